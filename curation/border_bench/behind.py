"""Kinds whose border is a picture itself: blurred copies, templates, wallpapers.

Axes: T time, H height, W width, C colour. All shares and ranges are ours.
"""

from __future__ import annotations

import cv2
import numpy as np

from curation.border_bench.bars import boxed, colour, either, letterbox, pillarbox
from curation.border_bench.kinds import Kind, Scene, by_name, inside, laid
from curation.border_bench.lettering import STICKERS, phrase, sticker, write
from curation.border_bench.scenes import gradient
from svmbench.records import Box

BLUR = (0.02, 0.06)  # standard deviation as a share of the video's short side


def _blurred(scene: Scene, picture_THWC: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """frames_THWC of the video's size: the picture blown up until it covers it, blurred and often dimmed. Blurred small."""
    height, width = picture_THWC.shape[1:3]
    scale = max(scene.width_px / width, scene.height_px / height) * rng.uniform(1.0, 1.2)
    small = max(2, round(width * scale / 4)), max(2, round(height * scale / 4))
    blur, gain = rng.uniform(*BLUR) * min(scene.width_px, scene.height_px) / 4, rng.choice([1.0, 0.7, 0.5])
    frames = np.empty((len(picture_THWC), scene.height_px, scene.width_px, 3), np.uint8)
    for frame_HWC, image_HWC in zip(frames, picture_THWC, strict=True):
        soft = cv2.GaussianBlur(cv2.resize(image_HWC, small, interpolation=cv2.INTER_AREA), (0, 0), max(blur, 0.6))
        soft = cv2.resize(soft, (4 * small[0], 4 * small[1]), interpolation=cv2.INTER_LINEAR)
        top, left = max(0, (soft.shape[0] - scene.height_px) // 2), max(0, (soft.shape[1] - scene.width_px) // 2)
        cut = soft[top : top + scene.height_px, left : left + scene.width_px]
        if cut.shape != frame_HWC.shape:  # a rounding short
            cut = cv2.resize(cut, (scene.width_px, scene.height_px))
        frame_HWC[:] = (cut * gain).astype(np.uint8)
    return frames


def _strips(scene: Scene, rng: np.random.Generator) -> tuple[int, int, int, int]:
    """Pillars in a wide video, bars above and below in a high one: how a picture of the other shape is fitted in."""
    return pillarbox(scene, rng, 0.15, 0.34) if scene.width_px > scene.height_px else letterbox(scene, rng, 0.12, 0.34)


def blurfill(scene: Scene, rng: np.random.Generator) -> tuple[np.ndarray, Box]:
    box = inside(scene, _strips(scene, rng))
    picture = scene.picture(box.width_px, box.height_px)
    return laid(_blurred(scene, picture, rng), picture, box), box


def blurfill_still(scene: Scene, rng: np.random.Generator) -> tuple[np.ndarray, Box]:
    box = inside(scene, _strips(scene, rng))
    picture = scene.picture(box.width_px, box.height_px)
    return laid(np.repeat(_blurred(scene, picture[:1], rng), scene.num_frames, axis=0), picture, box), box


def bars_in_blur(scene: Scene, rng: np.random.Generator) -> tuple[np.ndarray, Box]:
    """The picture has black bars of its own, and all of that lies in a blurred copy. The truth is the picture."""
    bars = _strips(scene, rng)
    outer = inside(scene, bars)
    own = int(rng.uniform(0.06, 0.16) * (outer.width_px if bars[1] else outer.height_px))
    inner = (own, 0, own, 0) if bars[1] else (0, own, 0, own)
    box = inside(scene, (bars[0] + inner[0], bars[1] + inner[1], bars[2] + inner[2], bars[3] + inner[3]))
    picture = scene.picture(box.width_px, box.height_px)
    ground = laid(_blurred(scene, picture, rng), np.zeros(3, np.uint8), outer)
    return laid(ground, picture, box), box


def template(scene: Scene, rng: np.random.Generator) -> tuple[np.ndarray, Box]:
    """A drawn card that stands still: colours, soft spots, a name, stickers."""
    card = gradient(scene.width_px, scene.height_px, rng)
    spots = cv2.GaussianBlur(rng.normal(0, 1, card.shape[:2]).astype(np.float32), (0, 0), 14)
    card = np.clip(card + 900 * spots[..., None], 0, 255).astype(np.uint8)
    for _ in range(int(rng.integers(2, 6))):
        place = int(rng.integers(scene.width_px)), int(rng.integers(scene.height_px))
        sticker(card, str(rng.choice(STICKERS)), place, int(rng.uniform(0.03, 0.09) * scene.height_px), colour(rng))
    write(card, phrase(rng), int(0.05 * scene.width_px), int(rng.uniform(0.02, 0.9) * scene.height_px), 16, colour(rng))
    return boxed(scene, _strips(scene, rng), np.repeat(card[None], scene.num_frames, axis=0))


def wallpaper(scene: Scene, rng: np.random.Generator) -> tuple[np.ndarray, Box]:
    """Another picture, sharp and still, lies behind."""
    still = scene.whole(take=1)[:1]
    return boxed(scene, _strips(scene, rng), np.repeat(still, scene.num_frames, axis=0))


def pattern(scene: Scene, rng: np.random.Generator) -> tuple[np.ndarray, Box]:
    """Stripes or dots of two colours that stand still or run."""
    one, two = np.array(colour(rng)), np.array(colour(rng)) // 2
    pitch, speed = int(rng.integers(10, 36)), float(rng.choice([0.0, 1.0]))
    y_H1, x_1W = np.mgrid[: scene.height_px, :1][0], np.mgrid[:1, : scene.width_px][1]
    dots = rng.random() < 0.5
    ground = np.empty((scene.num_frames, scene.height_px, scene.width_px, 3), np.uint8)
    for step, frame_HWC in enumerate(ground):
        run = round(speed * step)
        if dots:
            mask = ((x_1W + run) % pitch - pitch / 2) ** 2 + (y_H1 % pitch - pitch / 2) ** 2 < (pitch / 3.5) ** 2
        else:
            mask = (x_1W + y_H1 + run) // pitch % 2 == 0
        frame_HWC[:] = np.where(mask[..., None], one, two)
    return boxed(scene, _strips(scene, rng), ground)


def moving_gradient(scene: Scene, rng: np.random.Generator) -> tuple[np.ndarray, Box]:
    one, two = (gradient(scene.width_px, scene.height_px, rng).astype(np.float32) for _ in range(2))
    ground = np.stack([(one * (1 - a) + two * a).astype(np.uint8) for a in np.linspace(0, 1, scene.num_frames)])
    return boxed(scene, either(scene, rng), ground)


KINDS = by_name(
    Kind(name="blurfill", about="a blurred copy of the moving picture behind it", draw=blurfill),
    Kind(name="blurfill_still", about="a blurred copy of one frame behind the picture", draw=blurfill_still),
    Kind(name="bars_in_blur", about="a picture with black bars of its own, inside a blurred copy", draw=bars_in_blur),
    Kind(name="template", about="a drawn card with text and stickers around the picture", draw=template),
    Kind(name="wallpaper", about="another photograph or drawing, sharp and still, behind the picture", draw=wallpaper),
    Kind(name="pattern", about="stripes or dots behind the picture, still or running", draw=pattern),
    Kind(name="moving_gradient", about="bars in which colours slowly change", draw=moving_gradient),
)
