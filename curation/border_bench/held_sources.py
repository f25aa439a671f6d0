"""Pictures for the half of the benchmark that nobody who writes a detector looks at: photographs and drawn scenes.

Axes: T time, H height, W width, C colour. All shares and ranges are ours. Every scene fills its frame up to the edges.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial

import cv2
import numpy as np
from skimage import data

from curation.border_bench.kinds import Source
from curation.border_bench.lettering import phrase, write
from curation.border_bench.photographs import filmed, grainy

PHOTOGRAPHS: dict[str, Callable[[], np.ndarray]] = {
    "motorcycle": lambda: data.stereo_motorcycle()[0],
    "clock": data.clock,
    "lettered_paper": data.text,
}


@cache
def _photograph(name: str) -> np.ndarray:
    image = PHOTOGRAPHS[name]()
    return np.ascontiguousarray(np.repeat(image[..., None], 3, axis=2) if image.ndim == 2 else image[..., :3])


def _filmed(name: str, width_px: int, height_px: int, num_frames: int, rng: np.random.Generator) -> np.ndarray:
    return filmed(_photograph(name), width_px, height_px, num_frames, rng)


def plasma(width_px: int, height_px: int, num_frames: int, rng: np.random.Generator) -> np.ndarray:
    """Waves of colour that run through one another."""
    small = max(8, width_px // 4), max(8, height_px // 4)
    y, x = np.mgrid[: small[1], : small[0]].astype(np.float32) / max(small)
    waves = [(*rng.uniform(-14, 14, 2), rng.uniform(0, 6.3), rng.uniform(-0.25, 0.25)) for _ in range(6)]
    frames = np.empty((num_frames, height_px, width_px, 3), np.uint8)
    for step, frame_HWC in enumerate(frames):
        for channel in range(3):
            pair = waves[2 * channel : 2 * channel + 2]
            total = sum(np.sin(a * x + b * y + phase + speed * step) for a, b, phase, speed in pair)
            frame_HWC[..., channel] = cv2.resize(127 + 58 * total, (width_px, height_px), interpolation=cv2.INTER_LINEAR)
    return grainy(frames, 2.0, rng)


def tumbling(width_px: int, height_px: int, num_frames: int, rng: np.random.Generator) -> np.ndarray:
    """Polygons that turn and drift over an uneven ground."""
    coarse = rng.integers(40, 200, (5, 5, 3)).astype(np.uint8)
    ground = cv2.resize(coarse, (width_px, height_px), interpolation=cv2.INTER_CUBIC)
    size = np.array([width_px, height_px])
    shapes = [
        (rng.random(2), rng.uniform(-0.008, 0.008, 2), rng.uniform(0.06, 0.22), rng.integers(3, 8), rng.uniform(-0.12, 0.12))
        for _ in range(14)
    ]
    paints = [tuple(int(v) for v in rng.integers(0, 256, 3)) for _ in shapes]
    frames = np.repeat(ground[None], num_frames, axis=0)
    for step, frame_HWC in enumerate(frames):
        for (place, speed, radius, corners, turn), paint in zip(shapes, paints, strict=True):
            angles = np.arange(corners) * 2 * np.pi / corners + turn * step
            centre = (place + speed * step) % 1 * size
            points = centre + radius * size.min() * np.stack([np.cos(angles), np.sin(angles)], 1)
            cv2.fillPoly(frame_HWC, [points.astype(np.int32)], paint, cv2.LINE_AA)
    return grainy(frames, 1.5, rng)


def city_lights(width_px: int, height_px: int, num_frames: int, rng: np.random.Generator) -> np.ndarray:
    """A town at night from a moving car: dark houses with lit windows, lamps and their halos, everywhere up to the edges."""
    wide = width_px + 4 * num_frames
    coarse = rng.integers(8, 46, (6, 14, 3)).astype(np.uint8)
    town: np.ndarray = cv2.resize(coarse, (wide, height_px), interpolation=cv2.INTER_LINEAR)
    for _ in range(wide * height_px // 260):
        x, y, w, h = (int(v) for v in (rng.integers(wide), rng.integers(height_px), rng.integers(2, 7), rng.integers(3, 9)))
        town[y : y + h, x : x + w] = rng.choice([[250, 220, 140], [200, 210, 255], [255, 170, 90], [90, 80, 60]])
    for _ in range(wide // 12):
        centre, radius = (int(rng.integers(wide)), int(rng.integers(height_px))), int(rng.integers(3, 14))
        cv2.circle(town, centre, radius, tuple(int(v) for v in rng.integers(90, 255, 3)), -1, cv2.LINE_AA)
    town = cv2.GaussianBlur(town, (0, 0), 0.8)
    speed = int(rng.integers(1, 5))
    return grainy(np.stack([town[:, speed * t : speed * t + width_px] for t in range(num_frames)]), 3.0, rng)


def market(width_px: int, height_px: int, num_frames: int, rng: np.random.Generator) -> np.ndarray:
    """Stalls with signs, filmed by somebody who walks past."""
    high, wide = int(1.5 * height_px), int(1.8 * width_px)
    scene = cv2.resize(rng.integers(60, 190, (9, 16, 3)).astype(np.uint8), (wide, high), interpolation=cv2.INTER_NEAREST)
    scene = cv2.GaussianBlur(scene, (0, 0), 2.0)
    for _ in range(34):
        left, top = int(rng.integers(wide)), int(rng.integers(high))
        right, bottom = left + int(rng.uniform(0.08, 0.25) * width_px), top + int(rng.uniform(0.05, 0.15) * height_px)
        paint = tuple(int(v) for v in rng.integers(30, 240, 3))
        cv2.rectangle(scene, (left, top), (right, bottom), paint, -1)
        write(scene, phrase(rng), left + 3, top + 3, max(7, (bottom - top) // 2), tuple(255 - v for v in paint))
    return filmed(scene, width_px, height_px, num_frames, rng)


def surf(width_px: int, height_px: int, num_frames: int, rng: np.random.Generator) -> np.ndarray:
    """Waves that roll in, with foam; light and shade over the whole frame."""
    y, x = np.mgrid[:height_px, :width_px].astype(np.float32)
    unit, slope, phase = height_px / rng.uniform(4, 8), rng.uniform(-0.3, 0.3), rng.uniform(0, 6.3)
    ripple = cv2.GaussianBlur(rng.normal(0, 1, (height_px, width_px + 4 * num_frames)).astype(np.float32), (0, 0), 3) * 130
    frames = np.empty((num_frames, height_px, width_px, 3), np.uint8)
    for step, frame_HWC in enumerate(frames):
        swell = np.sin((y + slope * x) / unit - 0.22 * step + phase + 0.012 * ripple[:, 2 * step : 2 * step + width_px])
        light = ripple[:, 4 * step : 4 * step + width_px] * 0.9 + 40 * swell
        foam = np.clip(120 * (swell - 0.75) / 0.25, 0, 120)
        frame_HWC[:] = np.clip(np.stack([40 + light + foam, 100 + light + foam, 130 + 0.8 * light + foam], 2), 0, 255)
    return grainy(frames, 2.0, rng)


SOURCES: dict[str, Source] = {
    **{name: Source(name=name, frames=partial(_filmed, name)) for name in PHOTOGRAPHS},
    **{draw.__name__: Source(name=draw.__name__, frames=draw) for draw in (plasma, tumbling, city_lights, market, surf)},
}
