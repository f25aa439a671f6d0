"""Moving pictures: photographs that ship with scikit-image and drawn patterns, under a moving camera, with objects and borders.

Lengths of a scene are in heights of the picture (the box inside the border), so one scene can be painted at any size. Frames are
painted as NV12: luma at full size, two colour planes at half size, which is what the encoder wants. Colours are (red, green,
blue). All numbers here are ours. Axes: T frames, H height, W width.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

import cv2
import numpy as np
from PIL import Image

from svmbench.records import Box

Rgb = tuple[int, int, int]
SIDE = 560  # short side of a texture in its own pixels
PHOTOS = {  # file in scikit-image's data folder
    "astronaut": "astronaut.png", "chelsea": "chelsea.png", "coffee": "coffee.png", "rocket": "rocket.jpg",
    "hubble": "hubble_deep_field.jpg", "retina": "retina.jpg", "moon": "moon.png", "page": "page.png", "camera": "camera.png",
    "coins": "coins.png",
}  # fmt: skip
PATTERNS = ("waves", "checks", "rings", "discs", "hills")
TEXTURES = (*PHOTOS, *PATTERNS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Thing:
    """A disc, ring or square that crosses the picture and comes in again on the other side. Speeds in heights a second."""

    shape: str
    colour: Rgb
    radius: float
    x: float
    y: float
    speed_x: float
    speed_y: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """What is seen between two cuts.

    first, last: frames, last excluded. tint and mix: the picture's grey takes this colour with this weight. gain: brightness.
    x, y: where on the texture the camera begins, in shares. span: height of the view in texture pixels. speed_x, speed_y: heights
    a second. zoom: growth a second as a natural logarithm. spin: radians a second. pulse: share by which a beat zooms in.
    """

    first: int
    last: int
    texture: str
    tint: Rgb
    mix: float
    gain: float
    x: float
    y: float
    span: float
    speed_x: float
    speed_y: float
    zoom: float
    spin: float
    pulse: float
    things: tuple[Thing, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """The coded frame: its size, the box of the picture, and what surrounds it. caption is written into the bar below."""

    width_px: int
    height_px: int
    box: Box
    border: str
    colour: Rgb
    caption: str


def views(scene: Scene, fps: float, beats: list[float], box: Box) -> np.ndarray:
    """The camera: for each frame the matrix (T, 2, 3) that takes a pixel of the box to a pixel of the texture."""
    frames = np.arange(scene.first, scene.last)
    t = (frames - scene.first) / fps
    span = scene.span * np.exp(-scene.zoom * t) * (1 - scene.pulse * _pulses(frames / fps, beats))
    scale = span / box.height_px
    angle = scene.spin * t
    texture_h, texture_w = texture(scene.texture).shape[:2]
    x = scene.x * texture_w + scene.speed_x * scene.span * t
    y = scene.y * texture_h + scene.speed_y * scene.span * t
    a, b = scale * np.cos(angle), scale * np.sin(angle)
    centre_x, centre_y = (box.width_px - 1) / 2, (box.height_px - 1) / 2
    rows = [[a, -b, x - a * centre_x + b * centre_y], [b, a, y - b * centre_x - a * centre_y]]
    return np.moveaxis(np.array(rows), 2, 0)


def _pulses(times_s: np.ndarray, beats: list[float]) -> np.ndarray:
    """1 on a beat, then fading within about a tenth of a second; 0 without beats."""
    if not beats:
        return np.zeros(len(times_s))
    since = times_s - np.concatenate([[-1e9], beats])[np.searchsorted(beats, times_s + 1e-9)]
    return np.exp(-since / 0.12)


def motion_px_s(scene: Scene, fps: float, beats: list[float], box: Box) -> float:
    """Mean speed of the picture's points in coded pixels a second: the camera's, and by their share of area the things'."""
    if scene.last - scene.first < 2:
        return 0.0
    view = views(scene, fps, beats, box)
    xs, ys = np.meshgrid(np.linspace(0, box.width_px - 1, 9), np.linspace(0, box.height_px - 1, 9))
    points = np.stack([xs.ravel(), ys.ravel(), np.ones(xs.size)])
    seen = view[:-1] @ points - view[1:, :, 2:]  # texture places of the points, as from the next frame's camera
    moved = np.linalg.solve(view[1:, :, :2], seen) - points[:2]
    camera = float(np.linalg.norm(moved, axis=1).mean() * fps)
    area = [_share(thing, box) for thing in scene.things]
    things = sum(s * np.hypot(t.speed_x, t.speed_y) * box.height_px for s, t in zip(area, scene.things, strict=True))
    return camera * max(0.0, 1 - sum(area)) + float(things)


def _share(thing: Thing, box: Box) -> float:
    return 3.1416 * thing.radius**2 * box.height_px / box.width_px


def paint(
    scenes: tuple[Scene, ...], layout: Layout, fps: float, beats: list[float], luma: np.ndarray, chroma: np.ndarray
) -> Iterator[int]:
    """Paints each frame into the planes of an NV12 picture, luma (H, W) and chroma (H / 2, W), and then yields its number."""
    colour, box = chroma.reshape(layout.height_px // 2, layout.width_px // 2, 2), layout.box
    _surround(luma, colour, layout)
    right, bottom = box.left_px + box.width_px, box.top_px + box.height_px
    luma_box = luma[box.top_px : bottom, box.left_px : right]
    colour_box = colour[box.top_px // 2 : (bottom + 1) // 2, box.left_px // 2 : (right + 1) // 2]
    pairs_box = colour_box.view(np.uint16)[..., 0]  # a pair of colours as one number: taken as it is, five times as fast
    for scene in scenes:
        grey, tones = _graded(scene)
        for number, view in enumerate(views(scene, fps, beats, box)):
            half = view.copy()
            half[:, 2] /= 2  # half-size pixels of the frame onto half-size pixels of the texture: same turn, half the shift
            _warp(grey, view, luma_box, cv2.INTER_LINEAR)
            _warp(tones, half, pairs_box, cv2.INTER_NEAREST)
            for thing in scene.things:
                _draw(thing, number / fps, luma_box, colour_box)
            yield scene.first + number


def _warp(source: np.ndarray, view: np.ndarray, target: np.ndarray, how: int) -> None:
    size = (target.shape[1], target.shape[0])
    cv2.warpAffine(source, view, size, target, flags=how | cv2.WARP_INVERSE_MAP, borderMode=cv2.BORDER_REFLECT_101)


def _surround(luma: np.ndarray, colour: np.ndarray, layout: Layout) -> None:
    y, u, v = _yuv(layout.colour)
    luma[:], colour[:] = y, (u, v)
    if not layout.caption:
        return
    below = layout.box.top_px + layout.box.height_px
    bar = luma[below:]
    size = 0.045 * layout.width_px / cv2.getTextSize("M" * 10, cv2.FONT_HERSHEY_SIMPLEX, 0.1, 1)[0][0]
    baseline = min(bar.shape[0] - 4, 12 + bar.shape[0] // 3)
    cv2.putText(bar, layout.caption, (8, baseline), cv2.FONT_HERSHEY_SIMPLEX, size, 235 if y < 128 else 20, 1, cv2.LINE_AA)


def _draw(thing: Thing, t: float, luma: np.ndarray, colour: np.ndarray) -> None:
    y, u, v = _yuv(thing.colour)
    height, width = luma.shape
    reach = thing.radius * height
    x = (thing.x * width + thing.speed_x * t * height + reach) % (width + 2 * reach) - reach
    z = (thing.y * height + thing.speed_y * t * height + reach) % (height + 2 * reach) - reach
    for plane, value, scale in ((luma, y, 1.0), (colour, (u, v), 0.5)):
        centre, radius = (round(16 * x * scale), round(16 * z * scale)), round(16 * reach * scale)
        if thing.shape == "square":
            low, high = (centre[0] - radius, centre[1] - radius), (centre[0] + radius, centre[1] + radius)
            cv2.rectangle(plane, low, high, value, -1, cv2.LINE_8, 4)
        else:
            cv2.circle(
                plane, centre, radius, value, -1 if thing.shape == "disc" else max(2, int(reach * scale / 3)), cv2.LINE_8, 4
            )


def _yuv(rgb: Rgb) -> Rgb:
    """BT.601, limited range: black is (16, 128, 128)."""
    r, g, b = rgb
    y = 16 + 0.257 * r + 0.504 * g + 0.098 * b
    return round(y), round(128 - 0.148 * r - 0.291 * g + 0.439 * b), round(128 + 0.439 * r - 0.368 * g - 0.071 * b)


def _graded(scene: Scene) -> tuple[np.ndarray, np.ndarray]:
    """The scene's texture as luma (uint8) and half-size pairs of colours (uint16), lifted off black, unlike a black border."""
    tint = np.array(scene.tint[::-1], np.float64) / max(1, max(scene.tint))
    grey = np.array([0.114, 0.587, 0.299])
    matrix = scene.gain * ((1 - scene.mix) * np.eye(3) + scene.mix * np.outer(tint, grey))
    lift = np.full((3, 1), 26.0)
    picture = cv2.transform(texture(scene.texture), np.hstack([matrix, lift]))
    planes = cv2.cvtColor(picture, cv2.COLOR_BGR2YUV_I420)
    height, width = picture.shape[:2]
    u = planes[height : height * 5 // 4].reshape(height // 2, width // 2)
    v = planes[height * 5 // 4 :].reshape(height // 2, width // 2)
    return planes[:height], cv2.merge([u, v]).view(np.uint16)[..., 0]


@cache
def texture(name: str) -> np.ndarray:
    """A photograph or pattern as uint8 blue-green-red, short side SIDE, both sides multiples of four."""
    picture = _photo(name) if name in PHOTOS else _pattern(name)
    height, width = picture.shape[:2]
    scale = SIDE / min(height, width)
    size = (round(width * scale) // 4 * 4, round(height * scale) // 4 * 4)
    return cv2.resize(picture, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)


def _photo(name: str) -> np.ndarray:
    with Image.open(str(files("skimage") / "data" / PHOTOS[name])) as image:
        return cv2.cvtColor(np.asarray(image.convert("RGB")), cv2.COLOR_RGB2BGR)


def _pattern(name: str) -> np.ndarray:
    rng = np.random.default_rng(PATTERNS.index(name))
    y, x = np.mgrid[0:SIDE, 0:SIDE] / SIDE
    if name == "waves":
        grey = sum(np.sin(2 * np.pi * (fx * x + fy * y) + p) for fx, fy, p in rng.uniform(-7, 7, (6, 3))) / 8 + 0.5
    elif name == "checks":
        grey = 0.25 + 0.5 * ((np.floor(8 * x) + np.floor(8 * y)) % 2) + 0.2 * rng.random((8, 8)).repeat(70, 0).repeat(70, 1)
    elif name == "rings":
        grey = 0.5 + 0.4 * np.sin(50 * np.hypot(x - 0.5, y - 0.5))
    elif name == "hills":
        grey = cv2.resize(rng.random((12, 12)), (SIDE, SIDE), interpolation=cv2.INTER_CUBIC)
        grey = np.floor(np.clip(grey, 0, 1) * 8) / 8
    else:
        grey = np.full((SIDE, SIDE), 0.3)
        for cx, cy, r, value in rng.random((60, 4)):
            cv2.circle(grey, (int(cx * SIDE), int(cy * SIDE)), int(8 + 40 * r), 0.2 + 0.8 * value, -1)
    return cv2.cvtColor((np.clip(grey, 0, 1) * 255).astype(np.uint8), cv2.COLOR_GRAY2BGR)
