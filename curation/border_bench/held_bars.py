"""Held-out kinds: bars of other stuff, frames, cards and fills, and pictures that make a plain bar hard to see.

Axes: T time, H height, W width, C colour. All shares and ranges are ours.
"""

from __future__ import annotations

import cv2
import numpy as np

from curation.border_bench.bars import boxed, colour, either, letterbox, pillarbox
from curation.border_bench.kinds import Kind, Scene, by_name, canvas, inside, laid
from curation.border_bench.photographs import grainy
from curation.border_bench.scenes import gradient
from svmbench.records import Box

Drawn = tuple[np.ndarray, Box]
DEEP = ((10, 18, 48), (38, 22, 10), (8, 34, 22), (44, 6, 18), (28, 12, 44))


def deep_colours(scene: Scene, rng: np.random.Generator) -> Drawn:
    return boxed(scene, either(scene, rng), canvas(scene, DEEP[rng.integers(len(DEEP))]))


def paper_bars(scene: Scene, rng: np.random.Generator) -> Drawn:
    """Bars of paper: light, with an uneven grain that stands still."""
    grain = cv2.GaussianBlur(rng.normal(0, 1, (scene.height_px, scene.width_px)).astype(np.float32), (0, 0), 1.2)
    sheet = np.clip(rng.uniform(190, 235) + 18 * grain[..., None] + np.array([6, 0, -12]), 0, 255).astype(np.uint8)
    return boxed(scene, either(scene, rng), np.repeat(sheet[None], scene.num_frames, axis=0))


def old_film(scene: Scene, rng: np.random.Generator) -> Drawn:
    """Grey, grainy, flickering and scratched from edge to edge, the dark bars as well."""
    frames, box = boxed(scene, either(scene, rng), canvas(scene, (int(rng.integers(6, 20)),) * 3))
    for frame_HWC in frames:
        grey = cv2.cvtColor(frame_HWC, cv2.COLOR_RGB2GRAY)[..., None] * rng.uniform(0.85, 1.1) + rng.uniform(-3, 5)
        frame_HWC[:] = np.clip(grey, 0, 255)
        x = int(rng.integers(scene.width_px))
        frame_HWC[:, x : x + 1] = np.clip(frame_HWC[:, x : x + 1].astype(int) + 60, 0, 255)
    return grainy(frames, 5.0, rng), box


def white_on_white(scene: Scene, rng: np.random.Generator) -> Drawn:
    """A light, pale picture between white bars."""
    box = inside(scene, either(scene, rng))
    pale = scene.picture(box.width_px, box.height_px)
    for image_HWC in pale:
        image_HWC[:] = 120 + 0.45 * image_HWC
    return laid(canvas(scene, (255, 255, 255)), pale, box), box


def rises_from_white(scene: Scene, rng: np.random.Generator) -> Drawn:
    """The whole video, its black bars as well, comes out of white."""
    frames, box = boxed(scene, letterbox(scene, rng))
    length = int(rng.uniform(0.2, 0.4) * scene.num_frames)
    for step, frame_HWC in enumerate(frames[:length]):
        frame_HWC[:] = 255 - (255 - frame_HWC) * (step / length)
    return frames, box


def beat_bars(scene: Scene, rng: np.random.Generator) -> Drawn:
    """The bars change their colour with the beat."""
    paints, beat = [colour(rng) for _ in range(4)], int(rng.integers(5, 12))
    ground = canvas(scene)
    for step, frame_HWC in enumerate(ground):
        frame_HWC[:] = paints[step // beat % len(paints)]
    return boxed(scene, either(scene, rng), ground)


def hairline(scene: Scene, rng: np.random.Generator) -> Drawn:
    """One to three black lines on two or four sides, as bad scaling leaves them."""
    depths = rng.integers(1, 4, 4) * (np.ones(4, int) if rng.random() < 0.5 else np.array([1, 0, 1, 0]))
    return boxed(scene, (int(depths[0]), int(depths[1]), int(depths[2]), int(depths[3])))


def four_depths(scene: Scene, rng: np.random.Generator) -> Drawn:
    """Four bars, each of another depth."""
    across, down = rng.uniform(0.03, 0.22, 2) * scene.width_px, rng.uniform(0.03, 0.22, 2) * scene.height_px
    ground = ((0, 0, 0), (255, 255, 255), (16, 16, 16))[rng.integers(3)]
    return boxed(scene, (int(across[0]), int(down[0]), int(across[1]), int(down[1])), canvas(scene, ground))


def double_box(scene: Scene, rng: np.random.Generator) -> Drawn:
    """A wide film with black bars of its own, put between bars of another colour. The truth is the film's picture."""
    outer = pillarbox(scene, rng, 0.1, 0.25)
    box = inside(
        scene, (outer[0], int(rng.uniform(0.08, 0.2) * scene.height_px), outer[2], int(rng.uniform(0.08, 0.2) * scene.height_px))
    )
    frames = laid(canvas(scene, colour(rng)), np.zeros(3, np.uint8), inside(scene, outer))
    return laid(frames, scene.picture(box.width_px, box.height_px), box), box


def twice_coded(scene: Scene, rng: np.random.Generator) -> Drawn:
    """Compressed hard before, so that blocks of the picture reach into the black bars."""
    frames, box = boxed(scene, either(scene, rng))
    quality = [int(cv2.IMWRITE_JPEG_QUALITY), int(rng.integers(10, 25))]
    for frame_HWC in frames:
        frame_HWC[:] = cv2.imdecode(cv2.imencode(".jpg", frame_HWC, quality)[1], cv2.IMREAD_COLOR)
    return frames, box


def blown_up(scene: Scene, rng: np.random.Generator) -> Drawn:
    """A small video with black bars, enlarged: the edges are soft, and lie between the pixels."""
    scale = rng.uniform(1.7, 2.6)
    width, height = round(scene.width_px / scale), round(scene.height_px / scale)
    top, bottom = (int(d) for d in rng.uniform(0.06, 0.2, 2) * height)
    small = np.zeros((scene.num_frames, height, width, 3), np.uint8)
    small[:, top : height - bottom] = scene.picture(width, height - top - bottom)
    size = scene.width_px, scene.height_px
    frames = np.stack([cv2.resize(image_HWC, size, interpolation=cv2.INTER_CUBIC) for image_HWC in small])
    down = scene.height_px / height
    return frames, inside(scene, (0, round(top * down), 0, round(bottom * down)))


def flashes_in_dark(scene: Scene, rng: np.random.Generator) -> Drawn:
    """A scene of a film that is nearly black between its black bars, but for flashes of lightning that light all of it."""
    box = inside(scene, letterbox(scene, rng))
    picture = scene.picture(box.width_px, box.height_px)
    for image_HWC, lit in zip(picture, rng.random(scene.num_frames) < 0.3, strict=True):
        image_HWC[:] = 60 + 0.7 * image_HWC if lit else 0.05 * image_HWC
    return laid(canvas(scene), picture, box), box


def hills_letter(scene: Scene, rng: np.random.Generator) -> Drawn:
    """Black hills before a hazy view cover most of the picture's lower edge and run into the black bar."""
    box = inside(scene, letterbox(scene, rng))
    frames = laid(canvas(scene), (70 + 0.7 * scene.picture(box.width_px, box.height_px)).astype(np.uint8), box)
    x_W = np.arange(scene.width_px) / scene.width_px
    waves = np.sin(x_W[None] * rng.uniform(5, 16, 3)[:, None] + rng.uniform(0, 6.3, 3)[:, None]).sum(0)
    hills_W = rng.uniform(0.1, 0.2) * box.height_px * (waves - np.quantile(waves, rng.uniform(0.25, 0.4)))
    from_below_H = box.top_px + box.height_px - np.arange(scene.height_px)
    frames[:, from_below_H[:, None] <= hills_W[None]] = 0
    return frames, box


def thick_frame(scene: Scene, rng: np.random.Generator) -> Drawn:
    """A frame of two colours around the whole video."""
    deep, thin = int(rng.integers(5, 16)), int(rng.integers(1, 4))
    frames = laid(canvas(scene, colour(rng)), np.array(DEEP[rng.integers(len(DEEP))], np.uint8), inside(scene, (deep,) * 4))
    box = inside(scene, (deep + thin,) * 4)
    return laid(frames, scene.picture(box.width_px, box.height_px), box), box


def _rounded(high: int, wide: int, radius: int) -> np.ndarray:
    """mask_HW1 in [0, 1] of a card with rounded corners."""
    y_H1, x_1W = np.arange(high)[:, None], np.arange(wide)[None]
    across, down = (
        np.maximum(radius - np.minimum(x_1W, wide - 1 - x_1W), 0),
        np.maximum(radius - np.minimum(y_H1, high - 1 - y_H1), 0),
    )
    return np.asarray(np.clip(radius + 0.5 - np.hypot(across, down), 0, 1))[..., None]


def shadow_card(scene: Scene, rng: np.random.Generator) -> Drawn:
    """A picture with rounded corners that throws a soft shadow on a light ground."""
    short = min(scene.width_px, scene.height_px)
    across, down = int(rng.uniform(0.06, 0.14) * scene.width_px), int(rng.uniform(0.08, 0.25) * scene.height_px)
    box = inside(scene, (across, down, across, down + int(rng.integers(0, 9))))
    mask = _rounded(box.height_px, box.width_px, int(rng.uniform(0.02, 0.05) * short))
    ground = np.clip(gradient(scene.width_px, scene.height_px, rng) * 0.3 + 175, 0, 255)
    shade = laid(np.zeros((1, scene.height_px, scene.width_px, 1)), mask, box)[0, ..., 0]
    shade = cv2.GaussianBlur(np.roll(shade, (6, 4), (0, 1)), (0, 0), 8)
    frames = np.repeat((ground * (1 - 0.55 * shade[..., None])).astype(np.uint8)[None], scene.num_frames, axis=0)
    picture = scene.picture(box.width_px, box.height_px)
    rows, columns = slice(box.top_px, box.top_px + box.height_px), slice(box.left_px, box.left_px + box.width_px)
    for frame_HWC, image_HWC in zip(frames, picture, strict=True):
        frame_HWC[rows, columns] = frame_HWC[rows, columns] * (1 - mask) + image_HWC * mask
    return frames, box


def phone_mockup(scene: Scene, rng: np.random.Generator) -> Drawn:
    """The video plays on the screen of a phone that is drawn before a soft ground."""
    high = int(min(rng.uniform(0.72, 0.88) * scene.height_px, 1.9 * 0.8 * scene.width_px))
    wide, bezel = int(high / 1.9), int(rng.integers(5, 12))
    left, top = (scene.width_px - wide) // 2, (scene.height_px - high) // 2
    box = Box(left_px=left, top_px=top, width_px=wide, height_px=high)
    frames = np.repeat(gradient(scene.width_px, scene.height_px, rng)[None], scene.num_frames, axis=0)
    radius = max(4, wide // 16)
    body, mask = _rounded(high + 2 * bezel, wide + 2 * bezel, radius + bezel), _rounded(high, wide, radius)
    around = slice(top - bezel, top + high + bezel), slice(left - bezel, left + wide + bezel)
    picture = scene.picture(wide, high)
    for frame_HWC, image_HWC in zip(frames, picture, strict=True):
        cv2.rectangle(image_HWC, (wide // 2 - wide // 8, 8), (wide // 2 + wide // 8, 8 + wide // 18), (0, 0, 0), -1)
        frame_HWC[around] = frame_HWC[around] * (1 - body) + 22 * body
        inner = frame_HWC[top : top + high, left : left + wide]
        inner[:] = inner * (1 - mask) + image_HWC * mask
    return frames, box


def _filled(
    scene: Scene, picture_THWC: np.ndarray, box: Box, gain: float, mirrored: bool, rng: np.random.Generator
) -> np.ndarray:
    """frames_THWC with a blurred copy behind the picture: blown up over all of the video, or mirrored at the picture's edges."""
    blur = rng.uniform(0.025, 0.06) * min(scene.width_px, scene.height_px) / 4
    right, bottom = scene.width_px - box.left_px - box.width_px, scene.height_px - box.top_px - box.height_px
    frames = np.empty((len(picture_THWC), scene.height_px, scene.width_px, 3), np.uint8)
    for frame_HWC, image_HWC in zip(frames, picture_THWC, strict=True):
        if mirrored:
            image_HWC = cv2.copyMakeBorder(image_HWC, box.top_px, bottom, box.left_px, right, cv2.BORDER_REFLECT)
        small = cv2.resize(image_HWC, (scene.width_px // 4, scene.height_px // 4), interpolation=cv2.INTER_AREA)
        soft = cv2.GaussianBlur(small, (0, 0), max(1.0, blur)).astype(np.float32) * gain
        frame_HWC[:] = np.clip(cv2.resize(soft, (scene.width_px, scene.height_px)), 0, 255)
    return laid(frames, picture_THWC, box)


def _fitted(scene: Scene, rng: np.random.Generator) -> Box:
    tall = scene.height_px > scene.width_px
    return inside(scene, letterbox(scene, rng, 0.12, 0.32) if tall else pillarbox(scene, rng, 0.12, 0.32))


def mirror_fill(scene: Scene, rng: np.random.Generator) -> Drawn:
    box = _fitted(scene, rng)
    return _filled(scene, scene.picture(box.width_px, box.height_px), box, rng.uniform(0.45, 0.65), True, rng), box


def dark_fill(scene: Scene, rng: np.random.Generator) -> Drawn:
    box = _fitted(scene, rng)
    return _filled(scene, scene.picture(box.width_px, box.height_px), box, rng.uniform(0.2, 0.4), False, rng), box


def still_in_blur(scene: Scene, rng: np.random.Generator) -> Drawn:
    """A photograph that stands still before a darker blurred copy of itself: nothing in the video moves."""
    box = _fitted(scene, rng)
    frames = _filled(scene, scene.picture(box.width_px, box.height_px)[:1], box, 0.6, False, rng)
    return np.repeat(frames, scene.num_frames, axis=0), box


def blur_white_line(scene: Scene, rng: np.random.Generator) -> Drawn:
    """A white line parts the picture from the blurred copy."""
    box, thick = _fitted(scene, rng), int(rng.integers(1, 3))
    frames = _filled(scene, scene.picture(box.width_px, box.height_px), box, float(rng.choice([0.5, 0.8])), False, rng)
    right, bottom = box.left_px + box.width_px, box.top_px + box.height_px
    for frame_HWC in frames:
        for line in range(1, thick + 1):
            cv2.rectangle(
                frame_HWC, (box.left_px - line, box.top_px - line), (right + line - 1, bottom + line - 1), (255, 255, 255)
            )
    return frames, box


KINDS = by_name(
    Kind(name="deep_colours", about="bars of a very dark blue, brown, green, red or violet", draw=deep_colours),
    Kind(name="paper_bars", about="bars of light paper with a still grain", draw=paper_bars),
    Kind(name="old_film", about="dark bars and picture flicker and are scratched alike", draw=old_film),
    Kind(name="white_on_white", about="white bars around a pale picture", draw=white_on_white),
    Kind(name="rises_from_white", about="black bars and picture come out of white", draw=rises_from_white),
    Kind(name="beat_bars", about="bars that change their colour with the beat", draw=beat_bars),
    Kind(name="hairline", about="one to three black lines at the edges", draw=hairline),
    Kind(name="four_depths", about="four bars of four depths, black, white or dark grey", draw=four_depths),
    Kind(name="double_box", about="a film with black bars between bars of a colour", draw=double_box),
    Kind(name="twice_coded", about="black bars with coarse blocks from an earlier coding", draw=twice_coded, tolerance_px=1),
    Kind(name="blown_up", about="a small video with black bars, enlarged", draw=blown_up, tolerance_px=1),
    Kind(name="flashes_in_dark", about="black bars around a film that is dark but for flashes", draw=flashes_in_dark),
    Kind(name="hills_letter", about="black hills run into the lower black bar", draw=hills_letter),
    Kind(name="thick_frame", about="a frame of two colours around the video", draw=thick_frame),
    Kind(
        name="shadow_card", about="a card with rounded corners and a shadow on a light ground", draw=shadow_card, tolerance_px=1
    ),
    Kind(name="phone_mockup", about="the video on the screen of a drawn phone", draw=phone_mockup, tolerance_px=1),
    Kind(name="mirror_fill", about="a darker, blurred mirror image beside the picture", draw=mirror_fill),
    Kind(name="dark_fill", about="a very dark blurred copy behind the picture", draw=dark_fill),
    Kind(name="still_in_blur", about="a still photograph before a blurred copy of itself", draw=still_in_blur),
    Kind(name="blur_white_line", about="a white line between picture and blurred copy", draw=blur_white_line, tolerance_px=2),
)
