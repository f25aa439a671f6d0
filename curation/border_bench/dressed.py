"""Kinds with something in the bars: text, logos, stickers, things that move. The truth is the picture between the bars.

Axes: T time, H height, W width, C colour. All shares and ranges are ours.
"""

from __future__ import annotations

from collections.abc import Iterator

import cv2
import numpy as np

from curation.border_bench.bars import boxed, colour, letterbox
from curation.border_bench.kinds import Kind, Scene, by_name, canvas
from curation.border_bench.lettering import STICKERS, extent, fitted, phrase, sticker, write
from svmbench.records import Box

WHITE, BLACK = (240, 240, 240), (15, 15, 15)


def _bars(scene: Scene, frames_THWC: np.ndarray, box: Box, rng: np.random.Generator) -> list[np.ndarray]:
    """The bar above and the bar below as views, in a random order; drawing into a frame of one never reaches the picture."""
    views = [frames_THWC[:, : box.top_px], frames_THWC[:, box.top_px + box.height_px :]]
    return views if rng.random() < 0.5 else views[::-1]


def _line(
    bar_THWC: np.ndarray, rng: np.random.Generator, share: tuple[float, float], paint: tuple[int, ...], steps: slice
) -> None:
    """A line of text in the bar, its height a share of the bar's, in the frames of `steps`."""
    depth, width = bar_THWC.shape[1:3]
    text = phrase(rng)
    size = min(fitted(text, round(0.94 * width), depth), max(6, round(rng.uniform(*share) * depth)))
    across, high = extent(text, size)
    left = int(rng.uniform(0.02, 0.98) * max(1, width - across))
    top = max(0, int(rng.uniform(0.1, 0.9) * (depth - high)))
    for frame_HWC in bar_THWC[steps]:
        write(frame_HWC, text, left, top, size, paint)


def logo(scene: Scene, rng: np.random.Generator) -> tuple[np.ndarray, Box]:
    frames, box = boxed(scene, letterbox(scene, rng, 0.09, 0.3))
    _line(_bars(scene, frames, box, rng)[0], rng, (0.15, 0.35), colour(rng), slice(None))
    return frames, box


def subtitle(scene: Scene, rng: np.random.Generator) -> tuple[np.ndarray, Box]:
    """Text comes and goes in the lower bar."""
    frames, box = boxed(scene, letterbox(scene, rng, 0.1, 0.3))
    length = max(4, scene.num_frames // 6)
    for start in range(0, scene.num_frames, 2 * length):
        _line(frames[:, box.top_px + box.height_px :], rng, (0.2, 0.45), WHITE, slice(start, start + length))
    return frames, box


def bigtext(scene: Scene, rng: np.random.Generator) -> tuple[np.ndarray, Box]:
    frames, box = boxed(scene, letterbox(scene, rng, 0.09, 0.3))
    for bar in _bars(scene, frames, box, rng):
        _line(bar, rng, (0.5, 0.9), WHITE, slice(None))
    return frames, box


def white_caption(scene: Scene, rng: np.random.Generator) -> tuple[np.ndarray, Box]:
    """White above with one or two lines of black text, nothing or a thinner white bar below."""
    top = int(rng.uniform(0.12, 0.3) * scene.height_px)
    bottom = int(rng.uniform(0.04, 0.12) * scene.height_px) * int(rng.integers(0, 2))
    frames, box = boxed(scene, (0, top, 0, bottom), canvas(scene, (255, 255, 255)))
    for half in np.array_split(np.arange(top), int(rng.integers(1, 3))):
        _line(frames[:, half[0] : half[-1] + 1], rng, (0.4, 0.7), BLACK, slice(None))
    return frames, box


def progress(scene: Scene, rng: np.random.Generator) -> tuple[np.ndarray, Box]:
    """A line that grows from left to right in a bar."""
    frames, box = boxed(scene, letterbox(scene, rng, 0.06, 0.3))
    bar = _bars(scene, frames, box, rng)[0]
    thick = max(2, int(rng.uniform(0.03, 0.12) * bar.shape[1]))
    top, paint = int(rng.uniform(0.1, 0.85) * (bar.shape[1] - thick)), colour(rng)
    for step, frame_HWC in enumerate(bar):
        frame_HWC[top : top + thick, : round((step + 1) / scene.num_frames * scene.width_px)] = paint
    return frames, box


def _path(shape: tuple[int, ...], radius: int, num_frames: int, rng: np.random.Generator) -> Iterator[tuple[int, int]]:
    """Where a thing of this radius is while it swings about in the bar."""
    rates, phases = rng.uniform(0.5, 2.5, 2), rng.uniform(0, 2 * np.pi, 2)
    for step in range(num_frames):
        x, y = 0.5 + 0.5 * np.sin(2 * np.pi * rates * step / num_frames + phases)
        yield round(radius + x * max(0, shape[1] - 2 * radius)), round(radius + y * max(0, shape[0] - 2 * radius))


def moving_sticker(scene: Scene, rng: np.random.Generator) -> tuple[np.ndarray, Box]:
    ground = canvas(scene) if rng.random() < 0.7 else canvas(scene, colour(rng))
    frames, box = boxed(scene, letterbox(scene, rng, 0.12, 0.32), ground)
    for bar in _bars(scene, frames, box, rng)[: int(rng.integers(1, 3))]:
        name, paint, radius = str(rng.choice(STICKERS)), colour(rng), max(5, int(rng.uniform(0.18, 0.42) * bar.shape[1]))
        for frame_HWC, centre in zip(bar, _path(bar.shape[1:3], radius, scene.num_frames, rng), strict=True):
            sticker(frame_HWC, name, centre, radius, paint)
    return frames, box


def counter(scene: Scene, rng: np.random.Generator) -> tuple[np.ndarray, Box]:
    """A number that counts up in a bar."""
    frames, box = boxed(scene, letterbox(scene, rng, 0.1, 0.3))
    bar = _bars(scene, frames, box, rng)[0]
    size = max(8, int(rng.uniform(0.3, 0.6) * bar.shape[1]))
    left, top = int(rng.uniform(0.05, 0.6) * scene.width_px), int(0.15 * bar.shape[1])
    for step, frame_HWC in enumerate(bar):
        write(frame_HWC, f"{step * 173 // 10:04d}", left, top, size, WHITE)
    return frames, box


def ticker(scene: Scene, rng: np.random.Generator) -> tuple[np.ndarray, Box]:
    """A long line of text that runs through the lower bar."""
    frames, box = boxed(scene, letterbox(scene, rng, 0.07, 0.25))
    bar = frames[:, box.top_px + box.height_px :]
    text = "  *  ".join(phrase(rng) for _ in range(4))
    size = max(8, int(rng.uniform(0.35, 0.6) * bar.shape[1]))
    speed = rng.uniform(0.5, 1.5) * scene.width_px
    for step, frame_HWC in enumerate(bar):
        left = round(0.8 * scene.width_px - speed * step / scene.num_frames)
        write(frame_HWC, text, left, int(0.2 * bar.shape[1]), size, WHITE)
    return frames, box


def profile(scene: Scene, rng: np.random.Generator) -> tuple[np.ndarray, Box]:
    """A round portrait with a name beside it above, buttons below, as in a re-posted post."""
    ground = canvas(scene, (255, 255, 255) if rng.random() < 0.5 else (18, 18, 22))
    bars = letterbox(scene, rng, 0.1, 0.28)
    ink = BLACK if ground[0, 0, 0, 0] > 128 else WHITE
    frames, box = boxed(scene, bars, ground)
    above, below = frames[:, : box.top_px], frames[:, box.top_px + box.height_px :]
    radius, middle = max(6, round(0.3 * bars[1])), bars[1] // 2
    name, paint = phrase(rng), colour(rng)
    size = max(7, min(fitted(name, scene.width_px // 2, bars[1]), bars[1] // 5))
    for frame_HWC in above:
        cv2.circle(frame_HWC, (2 * radius, middle), radius, paint, -1, cv2.LINE_AA)
        write(frame_HWC, name, 4 * radius, middle - size, size, ink)
    for frame_HWC in below:
        for i, mark in enumerate(("heart", "arrow", "star")):
            place = (round((i + 0.7) * scene.width_px / 6), bars[3] // 3)
            sticker(frame_HWC, mark, place, max(4, bars[3] // 8), ink)
    return frames, box


KINDS = by_name(
    Kind(name="logo", about="a name stands in one of two black bars", draw=logo),
    Kind(name="subtitle", about="text comes and goes in the lower black bar", draw=subtitle),
    Kind(name="bigtext", about="large captions fill both black bars", draw=bigtext),
    Kind(name="white_caption", about="a white bar with a black caption above, at times a white one below", draw=white_caption),
    Kind(name="progress", about="a line that grows through a black bar", draw=progress),
    Kind(name="moving_sticker", about="stickers that move about in black or coloured bars", draw=moving_sticker),
    Kind(name="counter", about="a number that counts up in a black bar", draw=counter),
    Kind(name="ticker", about="a line of text that runs through the lower black bar", draw=ticker),
    Kind(name="profile", about="portrait and name above, buttons below, on white or near black", draw=profile),
)
