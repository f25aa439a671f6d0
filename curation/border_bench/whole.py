"""Kinds without a border: whatever looks like one is part of the picture, and the truth is the whole video.

Axes: T time, H height, W width, C colour. All shares and ranges are ours.
"""

from __future__ import annotations

import cv2
import numpy as np

from curation.border_bench.bars import boxed, colour, dimmed, fade, letterbox
from curation.border_bench.kinds import Kind, Scene, by_name, canvas
from curation.border_bench.lettering import extent, fitted, phrase, write
from curation.border_bench.photographs import grainy
from svmbench.records import Box

Drawn = tuple[np.ndarray, Box]


def none(scene: Scene, rng: np.random.Generator) -> Drawn:
    return scene.whole(), scene.box


def fade_none(scene: Scene, rng: np.random.Generator) -> Drawn:
    return dimmed(scene.whole(), fade(scene.num_frames, rng)), scene.box


def dark_none(scene: Scene, rng: np.random.Generator) -> Drawn:
    return dimmed(scene.whole(), np.full(scene.num_frames, rng.uniform(0.08, 0.2))), scene.box


def slide_none(scene: Scene, rng: np.random.Generator) -> Drawn:
    frames = scene.whole()
    return np.repeat(frames[len(frames) // 2][None], scene.num_frames, axis=0), scene.box


def mixed_aspect(scene: Scene, rng: np.random.Generator) -> Drawn:
    """Boxed for three fifths of the time, then without a border."""
    frames, _ = boxed(scene, letterbox(scene, rng))
    cut = round(0.6 * scene.num_frames)
    return np.concatenate([frames[:cut], scene.whole()[cut:]]), scene.box


def zooms_out(scene: Scene, rng: np.random.Generator) -> Drawn:
    """The picture grows from the middle of a black frame until it fills it."""
    frames, length = scene.whole(), int(rng.uniform(0.2, 0.6) * scene.num_frames)
    for step in range(length):
        share = 0.3 + 0.7 * step / length
        width, height = int(share * scene.width_px), int(share * scene.height_px)
        small = cv2.resize(frames[step], (width, height), interpolation=cv2.INTER_AREA)
        left, top = (scene.width_px - width) // 2, (scene.height_px - height) // 2
        frames[step] = 0
        frames[step, top : top + height, left : left + width] = small
    return frames, scene.box


def night_sky(scene: Scene, rng: np.random.Generator) -> Drawn:
    """Black sky above, with a few stars or none, and the lit picture below a jagged line."""
    frames, x_W = scene.whole(), np.arange(scene.width_px)
    waves = rng.uniform(1, 9, 3)[:, None] * x_W / scene.width_px + rng.uniform(0, 6, 3)[:, None]
    line_W = scene.height_px * (rng.uniform(0.25, 0.55) + rng.uniform(0.01, 0.06) * np.sin(waves).sum(0))
    shade_HW = np.clip((np.arange(scene.height_px)[:, None] - line_W) / rng.uniform(1, 25), 0, 1)
    frames = dimmed(frames, np.repeat(shade_HW[None, ..., None], scene.num_frames, axis=0))
    for _ in range(int(rng.integers(0, 12))):
        x, y = int(rng.integers(scene.width_px)), int(rng.uniform(0, 0.25) * scene.height_px)
        frames[:, y : y + 2, x : x + 2] = int(rng.integers(90, 255))
    return grainy(frames, 1.0, rng), scene.box


def stage(scene: Scene, rng: np.random.Generator) -> Drawn:
    """A spotlight that wanders over the picture in the dark."""
    frames = scene.whole()
    radius = rng.uniform(0.25, 0.45) * min(scene.width_px, scene.height_px)
    start, reach = rng.uniform(0.35, 0.65, 2), rng.uniform(0, 0.15, 2)
    y_H1, x_1W = np.mgrid[: scene.height_px, :1][0], np.mgrid[:1, : scene.width_px][1]
    for step, frame_HWC in enumerate(frames):
        x, y = (start + reach * np.sin(5 * step / scene.num_frames + np.arange(2))) * (scene.width_px, scene.height_px)
        light_HW = np.clip(1.4 - np.hypot(x_1W - x, y_H1 - y) / radius, 0.02, 1)
        frame_HWC[:] = frame_HWC * light_HW[..., None]
    return frames, scene.box


def plain_sky(scene: Scene, rng: np.random.Generator) -> Drawn:
    """An even, light sky or wall above; roofs of different heights stand out against it."""
    frames, paint = scene.whole(), rng.integers(150, 256, 3)
    roofs_W = np.zeros(scene.width_px, int)
    left = 0
    while left < scene.width_px:
        across = int(rng.uniform(0.08, 0.3) * scene.width_px)
        roofs_W[left : left + across] = int(rng.uniform(0.2, 0.5) * scene.height_px)
        left += across
    sky_HW = np.arange(scene.height_px)[:, None] < roofs_W
    frames[:, sky_HW] = paint
    return grainy(frames, 1.0, rng), scene.box


def title_card(scene: Scene, rng: np.random.Generator) -> Drawn:
    """Text on an even ground first, then the video."""
    frames = scene.whole()
    length = int(rng.uniform(0.2, 0.5) * scene.num_frames)
    ground = (0, 0, 0) if rng.random() < 0.6 else colour(rng)
    frames[:length] = ground
    text = phrase(rng)
    size = fitted(text, round(0.8 * scene.width_px), round(0.2 * scene.height_px))
    across, high = extent(text, size)
    ink = (20, 20, 20) if sum(ground) > 380 else (240, 240, 240)
    for frame_HWC in frames[:length]:
        write(frame_HWC, text, (scene.width_px - across) // 2, (scene.height_px - high) // 2, size, ink)
    return frames, scene.box


def lyrics(scene: Scene, rng: np.random.Generator) -> Drawn:
    """Nothing but lines of text that change, on black: the text is the picture, and its frame is the whole video."""
    frames, length = canvas(scene), max(4, scene.num_frames // 4)
    for start in range(0, scene.num_frames, length):
        for row in range(int(rng.integers(1, 4))):
            text = phrase(rng)
            size = fitted(text, round(rng.uniform(0.5, 0.9) * scene.width_px), scene.height_px // 8)
            left = (scene.width_px - extent(text, size)[0]) // 2
            for frame_HWC in frames[start : start + length]:
                write(frame_HWC, text, left, round((0.35 + 0.12 * row) * scene.height_px), size, (235, 235, 235))
    return frames, scene.box


def split_screen(scene: Scene, rng: np.random.Generator) -> Drawn:
    """Two videos, side by side or one above the other, at times with a line between."""
    frames = canvas(scene)
    gap = int(rng.integers(0, 4))
    if scene.width_px > scene.height_px:
        half = int(rng.uniform(0.35, 0.65) * scene.width_px)
        frames[:, :, :half] = scene.picture(half, scene.height_px)
        frames[:, :, half + gap :] = scene.picture(scene.width_px - half - gap, scene.height_px, take=1)
    else:
        half = int(rng.uniform(0.35, 0.65) * scene.height_px)
        frames[:, :half] = scene.picture(scene.width_px, half)
        frames[:, half + gap :] = scene.picture(scene.width_px, scene.height_px - half - gap, take=1)
    return frames, scene.box


def screen_recording(scene: Scene, rng: np.random.Generator) -> Drawn:
    """A phone's screen: a status line above, buttons below, and what the app shows between. All of it was recorded."""
    frames = scene.whole()
    top, bottom = int(rng.uniform(0.03, 0.06) * scene.height_px), int(rng.uniform(0.05, 0.1) * scene.height_px)
    paint, ink = ((250, 250, 250), (20, 20, 20)) if rng.random() < 0.5 else ((12, 12, 14), (230, 230, 230))
    frames[:, :top], frames[:, -bottom:] = paint, paint
    size = max(6, top // 2)
    for step, frame_HWC in enumerate(frames):
        write(frame_HWC, f"12:{34 + step // 40}", scene.width_px // 20, top // 5, size, ink)
        cv2.rectangle(frame_HWC, (round(0.86 * scene.width_px), top // 4), (round(0.95 * scene.width_px), 3 * top // 4), ink, -1)
        for i in range(5):
            centre = round((i + 0.5) * scene.width_px / 5), scene.height_px - bottom // 2
            cv2.circle(frame_HWC, centre, max(2, bottom // 4), ink, 2 if i else -1, cv2.LINE_AA)
    return frames, scene.box


def lower_third(scene: Scene, rng: np.random.Generator) -> Drawn:
    """A band with text over the lower part of the picture, which goes on below it."""
    frames, paint, text = scene.whole(), colour(rng), phrase(rng)
    deep = int(rng.uniform(0.07, 0.14) * scene.height_px)
    top = int(rng.uniform(0.65, 0.8) * scene.height_px)
    size = fitted(text, round(0.8 * scene.width_px), round(0.6 * deep))
    begins = int(rng.uniform(0, 0.3) * scene.num_frames)
    for frame_HWC in frames[begins:]:
        frame_HWC[top : top + deep] = paint
        write(frame_HWC, text, scene.width_px // 12, top + deep // 6, size, (20, 20, 20) if sum(paint) > 380 else (240, 240, 240))
    return frames, scene.box


KINDS = by_name(
    *(
        Kind(name=draw.__name__, about=about, draw=draw, has_border=False)
        for draw, about in (
            (none, "no border"),
            (fade_none, "no border, and the picture fades in or out"),
            (dark_none, "no border around a very dark picture"),
            (slide_none, "no border, a photograph that stands still"),
            (mixed_aspect, "boxed for 60 % of the time, then not: nothing may be cut"),
            (zooms_out, "the picture grows from a small one until it fills the video"),
            (night_sky, "black sky above the lit part of the picture"),
            (stage, "a spotlight that wanders over a dark picture"),
            (plain_sky, "an even light sky above roofs of different heights"),
            (title_card, "text on an even ground, then the video"),
            (lyrics, "nothing but text on black"),
            (split_screen, "two videos that share the frame"),
            (screen_recording, "a recorded phone screen with its own bars"),
            (lower_third, "a band with text over the lower part of the picture"),
        )
    )
)
