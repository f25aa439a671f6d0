"""Kinds with bars of plain colour, and how their depths are drawn.

Axes: T time, H height, W width, C colour. All shares and ranges are ours.
"""

from __future__ import annotations

import cv2
import numpy as np

from curation.border_bench.kinds import Kind, Scene, by_name, canvas, inside, laid
from curation.border_bench.photographs import grainy
from curation.border_bench.scenes import gradient
from svmbench.records import Box

Bars = tuple[int, int, int, int]  # left, top, right, bottom in pixels
FLAT = 0.13  # of a 2.39:1 film in a 16:9 video; bars that make a wide picture wider are seldom much deeper
COLOURS = (
    (255, 255, 255),
    (235, 235, 235),
    (24, 40, 110),
    (200, 30, 60),
    (250, 210, 40),
    (40, 160, 120),
    (120, 120, 120),
    (245, 215, 225),
)


def letterbox(scene: Scene, rng: np.random.Generator, low: float = 0.06, high: float = 0.34) -> Bars:
    """Bars above and below of these shares of the height, less in a wide video; every other time one is a pixel deeper."""
    if scene.width_px > scene.height_px:
        low, high = min(low, FLAT), min(high, 1.7 * FLAT)
    depth = int(rng.uniform(low, high) * scene.height_px)
    return 0, depth, 0, depth + int(rng.integers(0, 2))


def pillarbox(scene: Scene, rng: np.random.Generator, low: float = 0.06, high: float = 0.34) -> Bars:
    """The same on the left and right."""
    if scene.height_px > scene.width_px:
        low, high = min(low, FLAT), min(high, 1.7 * FLAT)
    depth = int(rng.uniform(low, high) * scene.width_px)
    return depth, 0, depth + int(rng.integers(0, 2)), 0


def either(scene: Scene, rng: np.random.Generator) -> Bars:
    """Letterbox, or one time in three pillarbox."""
    return pillarbox(scene, rng) if rng.random() < 1 / 3 else letterbox(scene, rng)


def colour(rng: np.random.Generator) -> tuple[int, int, int]:
    red, green, blue = COLOURS[rng.integers(len(COLOURS))]
    return red, green, blue


def boxed(scene: Scene, bars: Bars, ground_THWC: np.ndarray | None = None) -> tuple[np.ndarray, Box]:
    """The scene's picture within bars, on black or on what is given (which is drawn over)."""
    box = inside(scene, bars)
    ground_THWC = canvas(scene) if ground_THWC is None else ground_THWC
    return laid(ground_THWC, scene.picture(box.width_px, box.height_px), box), box


def letter(scene: Scene, rng: np.random.Generator) -> tuple[np.ndarray, Box]:
    return boxed(scene, letterbox(scene, rng))


def pillar(scene: Scene, rng: np.random.Generator) -> tuple[np.ndarray, Box]:
    return boxed(scene, pillarbox(scene, rng))


def both(scene: Scene, rng: np.random.Generator) -> tuple[np.ndarray, Box]:
    left, _, right, _ = pillarbox(scene, rng, 0.05, 0.22)
    _, top, _, bottom = letterbox(scene, rng, 0.05, 0.26)
    return boxed(scene, (left, top, right, bottom))


def asym(scene: Scene, rng: np.random.Generator) -> tuple[np.ndarray, Box]:
    near, far = rng.uniform(0.04, 0.14), rng.uniform(0.17, 0.32)
    if rng.random() < 0.5:
        near, far = far, near
    if rng.random() < 0.3:
        return boxed(scene, (int(near * scene.width_px), 0, int(far * scene.width_px), 0))
    return boxed(scene, (0, int(near * scene.height_px), 0, int(far * scene.height_px)))


def oneside(scene: Scene, rng: np.random.Generator) -> tuple[np.ndarray, Box]:
    bars = [0, 0, 0, 0]
    side = int(rng.integers(4))
    bars[side] = int(rng.uniform(0.07, 0.3) * (scene.height_px if side % 2 else scene.width_px))
    return boxed(scene, (bars[0], bars[1], bars[2], bars[3]))


def thin(scene: Scene, rng: np.random.Generator) -> tuple[np.ndarray, Box]:
    one, two = map(int, rng.integers(2, 6, 2))
    return boxed(scene, (0, one, 0, two) if rng.random() < 0.5 else (one, 0, two, 0))


def coloured(scene: Scene, rng: np.random.Generator) -> tuple[np.ndarray, Box]:
    return boxed(scene, either(scene, rng), canvas(scene, colour(rng)))


def greybar(scene: Scene, rng: np.random.Generator) -> tuple[np.ndarray, Box]:
    grey = int(rng.integers(18, 34))
    return boxed(scene, either(scene, rng), canvas(scene, (grey, grey, grey)))


def nonblack_noise(scene: Scene, rng: np.random.Generator) -> tuple[np.ndarray, Box]:
    grey = int(rng.integers(18, 34))
    return boxed(scene, either(scene, rng), grainy(canvas(scene, (grey, grey, grey)), rng.uniform(2, 4), rng))


def two_colours(scene: Scene, rng: np.random.Generator) -> tuple[np.ndarray, Box]:
    one, two = rng.choice(len(COLOURS), 2, replace=False)
    ground = canvas(scene, COLOURS[one])
    bars = either(scene, rng)
    if bars[1]:
        ground[:, scene.height_px // 2 :] = COLOURS[two]
    else:
        ground[:, :, scene.width_px // 2 :] = COLOURS[two]
    return boxed(scene, bars, ground)


def gradient_bar(scene: Scene, rng: np.random.Generator) -> tuple[np.ndarray, Box]:
    ground = np.repeat(gradient(scene.width_px, scene.height_px, rng)[None], scene.num_frames, axis=0)
    return boxed(scene, either(scene, rng), ground)


def rounded(scene: Scene, rng: np.random.Generator) -> tuple[np.ndarray, Box]:
    ground = canvas(scene, (0, 0, 0) if rng.random() < 0.5 else colour(rng))
    frames, box = boxed(scene, letterbox(scene, rng, 0.08, 0.25), ground.copy())
    radius = int(rng.uniform(0.03, 0.12) * min(box.width_px, box.height_px))
    mask = np.zeros((scene.height_px, scene.width_px), np.uint8)
    right, bottom = box.left_px + box.width_px - 1, box.top_px + box.height_px - 1
    for x in (box.left_px + radius, right - radius):
        for y in (box.top_px + radius, bottom - radius):
            cv2.circle(mask, (x, y), radius, 1, -1)
    cv2.rectangle(mask, (box.left_px + radius, box.top_px), (right - radius, bottom), 1, -1)
    cv2.rectangle(mask, (box.left_px, box.top_px + radius), (right, bottom - radius), 1, -1)
    return np.where(mask[None, ..., None] > 0, frames, ground), box


def soft_edge(scene: Scene, rng: np.random.Generator) -> tuple[np.ndarray, Box]:
    frames, box = boxed(scene, either(scene, rng))
    blur = rng.uniform(0.8, 1.6)
    for frame_HWC in frames:
        soft_HWC = cv2.GaussianBlur(frame_HWC, (0, 0), blur)
        for low, length, axis in ((box.top_px, box.height_px, 0), (box.left_px, box.width_px, 1)):
            for edge in (low, low + length):
                if 0 < edge < frame_HWC.shape[axis]:
                    near = (slice(None),) * axis + (slice(max(0, edge - 5), edge + 5),)
                    frame_HWC[near] = soft_HWC[near]
    return frames, box


def frame_line(scene: Scene, rng: np.random.Generator) -> tuple[np.ndarray, Box]:
    left, top, right, bottom = bars = either(scene, rng)
    line = int(rng.integers(1, 3))
    ground, box = canvas(scene), inside(scene, bars)
    outer = inside(scene, (max(0, left - line), max(0, top - line), max(0, right - line), max(0, bottom - line)))
    laid(ground, np.array(colour(rng), np.uint8), outer)
    return laid(ground, scene.picture(box.width_px, box.height_px), box), box


def dimmed(frames_THWC: np.ndarray, gain_T: np.ndarray) -> np.ndarray:
    """The frames with their light turned down, each by its own gain."""
    scaled = [np.clip(frame * gain, 0, 255).astype(np.uint8) for frame, gain in zip(frames_THWC, gain_T, strict=True)]
    return np.stack(scaled)


def fade(num_frames: int, rng: np.random.Generator) -> np.ndarray:
    """gain_T in [0, 1]: comes out of the dark, goes into it, or both."""
    length = int(rng.uniform(0.15, 0.4) * num_frames)
    up, down = np.ones(num_frames), np.ones(num_frames)
    up[:length], down[-length:] = np.linspace(0, 1, length), np.linspace(1, 0, length)
    return np.asarray((up, down, up * down)[rng.integers(3)])


def fade_letter(scene: Scene, rng: np.random.Generator) -> tuple[np.ndarray, Box]:
    frames, box = boxed(scene, either(scene, rng))
    return dimmed(frames, fade(scene.num_frames, rng)), box


def dark_letter(scene: Scene, rng: np.random.Generator) -> tuple[np.ndarray, Box]:
    frames, box = boxed(scene, either(scene, rng))
    return dimmed(frames, np.full(scene.num_frames, rng.uniform(0.08, 0.2))), box


def slide_letter(scene: Scene, rng: np.random.Generator) -> tuple[np.ndarray, Box]:
    frames, box = boxed(scene, either(scene, rng))
    return np.repeat(frames[len(frames) // 2][None], scene.num_frames, axis=0), box


def slide_show(scene: Scene, rng: np.random.Generator) -> tuple[np.ndarray, Box]:
    bars = either(scene, rng)
    takes = [boxed(Scene(source=scene.source, width_px=scene.width_px, height_px=scene.height_px, num_frames=1, fps=scene.fps,
                         seed=scene.seed + take), bars) for take in range(3)]  # fmt: skip
    order = np.arange(scene.num_frames) * 3 // scene.num_frames
    return np.concatenate([frames for frames, _ in takes])[order], takes[0][1]


def mixed_sizes(scene: Scene, rng: np.random.Generator) -> tuple[np.ndarray, Box]:
    """The depths change with a cut; what is border all the time is the shallower pair."""
    frames, _ = boxed(scene, letterbox(scene, rng, 0.2, 0.34))
    others, shallow = boxed(scene, letterbox(scene, rng, 0.05, 0.15))
    cut = int(rng.uniform(0.3, 0.7) * scene.num_frames)
    return np.concatenate([frames[:cut], others[cut:]]), shallow


def slides_in(scene: Scene, rng: np.random.Generator) -> tuple[np.ndarray, Box]:
    frames, box = boxed(scene, letterbox(scene, rng))
    length = int(rng.uniform(0.15, 0.35) * scene.num_frames)
    for step in range(length):
        far = round(scene.width_px * (1 - step / length) ** 2)
        frames[step] = np.roll(frames[step], far, axis=1)
        frames[step, :, :far] = 0
    return frames, box


KINDS = by_name(
    Kind(name="letter", about="black bars above and below", draw=letter),
    Kind(name="pillar", about="black bars left and right", draw=pillar),
    Kind(name="both", about="black bars on all four sides", draw=both),
    Kind(name="asym", about="black bars of clearly unequal depth", draw=asym),
    Kind(name="oneside", about="a black bar on one side only", draw=oneside),
    Kind(name="thin", about="black bars of 2 to 5 pixels", draw=thin),
    Kind(name="colour", about="bars of a colour, white included", draw=coloured),
    Kind(name="greybar", about="bars of dark grey (18 to 33 of 255)", draw=greybar),
    Kind(name="nonblack_noise", about="dark grey bars with noise", draw=nonblack_noise),
    Kind(name="two_colours", about="two bars, each of another colour", draw=two_colours),
    Kind(name="gradient_bar", about="bars in which colours run into one another", draw=gradient_bar),
    Kind(name="rounded", about="a picture with rounded corners on black or a colour", draw=rounded),
    Kind(name="soft_edge", about="black bars that the picture blurs into", draw=soft_edge, tolerance_px=1),
    Kind(name="frame_line", about="a line of one or two pixels between bar and picture", draw=frame_line, tolerance_px=1),
    Kind(name="fade_letter", about="black bars, and the picture fades in or out", draw=fade_letter),
    Kind(name="dark_letter", about="black bars around a very dark picture", draw=dark_letter),
    Kind(name="slide_letter", about="black bars around a photograph that stands still", draw=slide_letter),
    Kind(name="slide_show", about="black bars around three still photographs", draw=slide_show),
    Kind(
        name="mixed_sizes", about="black bars whose depth changes with a cut; the shallower ones are the border", draw=mixed_sizes
    ),
    Kind(name="slides_in", about="black bars above and below, and the picture slides in from the side", draw=slides_in),
)
