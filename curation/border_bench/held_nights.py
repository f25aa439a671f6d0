"""Held-out pictures of the dark: moon, stars, stage, water, fireworks; and what all held-out places are painted with.

Axes: T time, H height, W width, C colour. All shares and ranges are ours.
"""

from __future__ import annotations

import cv2
import numpy as np

from curation.border_bench.kinds import Scene, canvas
from curation.border_bench.photographs import grainy
from svmbench.records import Box

Drawn = tuple[np.ndarray, Box]


def rows(scene: Scene) -> np.ndarray:
    """Height of every pixel from 0 at the top to 1 at the bottom, of shape (height, width)."""
    return np.repeat(np.linspace(0, 1, scene.height_px, dtype=np.float32)[:, None], scene.width_px, axis=1)


def texture(scene: Scene, rng: np.random.Generator, size_px: float, strength: float) -> np.ndarray:
    """Smooth noise of this deviation in grey levels, (height, width, 1)."""
    noise = cv2.GaussianBlur(rng.normal(0, 1, (scene.height_px, scene.width_px)).astype(np.float32), (0, 0), size_px)
    return np.asarray(noise / noise.std() * strength)[..., None]


def shaken(frames_THWC: np.ndarray, rng: np.random.Generator, reach_px: float) -> np.ndarray:
    """As a hand holds the camera, in place; what comes in at the edges is mirrored."""
    height, width = frames_THWC.shape[1:3]
    path_T2 = np.cumsum(rng.normal(0, reach_px / 4, (len(frames_THWC), 2)), axis=0)
    for frame_HWC, (x, y) in zip(frames_THWC, np.clip(path_T2, -reach_px, reach_px), strict=True):
        move = np.array([[1, 0, x], [0, 1, y]])
        frame_HWC[:] = cv2.warpAffine(frame_HWC.copy(), move, (width, height), borderMode=cv2.BORDER_REFLECT_101)
    return frames_THWC


def moon_in_black(scene: Scene, rng: np.random.Generator) -> Drawn:
    """A bright disc drifts over a black sky."""
    frames, short = canvas(scene), min(scene.width_px, scene.height_px)
    radius, start, way = rng.uniform(0.06, 0.2) * short, rng.uniform(0.3, 0.5, 2), rng.uniform(-0.2, 0.3, 2)
    spots = [(rng.uniform(-0.6, 0.6, 2), rng.uniform(0.08, 0.25)) for _ in range(9)]
    for step, frame_HWC in enumerate(frames):
        x, y = (start + way * step / scene.num_frames) * (scene.width_px, scene.height_px)
        cv2.circle(frame_HWC, (round(x), round(y)), round(radius), (225, 222, 205), -1, cv2.LINE_AA)
        for (across, down), size in spots:
            place = round(x + across * radius), round(y + down * radius)
            cv2.circle(frame_HWC, place, round(size * radius), (180, 178, 165), -1, cv2.LINE_AA)
    return grainy(frames, 1.0, rng), scene.box


def led_screen(scene: Scene, rng: np.random.Generator) -> Drawn:
    """A concert filmed by hand: a bright screen on a dark stage, beams of light, and faint hands in front."""
    frames, size = np.full_like(canvas(scene), 5), np.array([scene.width_px, scene.height_px])
    wide, high = (rng.uniform(0.5, 0.7, 2) * size).astype(int)
    left, top = ((size - (wide, high)) * (0.5, 0.35)).astype(int)
    picture, phases = scene.picture(int(wide), int(high)), rng.uniform(0, 6.3, 3)
    for step, (frame_HWC, image_HWC) in enumerate(zip(frames, picture, strict=True)):
        frame_HWC[top : top + high, left : left + wide] = image_HWC
        lights = np.zeros_like(frame_HWC)
        for phase in phases:
            foot = size[0] * (0.5 + 0.6 * np.sin(step / 11 + phase))
            beam = np.array([[size[0] / 2, -20], [foot - 0.06 * size[0], size[1]], [foot + 0.06 * size[0], size[1]]]).astype(
                np.int32
            )
            cv2.fillPoly(lights, [beam], (50, 34, 80), cv2.LINE_AA)
        for i in range(6):
            hand = round((i + 0.5) / 6 * size[0]), round(size[1] * (0.9 + 0.04 * np.sin(step / 3 + i)))
            cv2.ellipse(lights, hand, (scene.width_px // 26, scene.height_px // 12), 0, 0, 360, (28, 20, 20), -1, cv2.LINE_AA)
        frame_HWC[:] = cv2.add(frame_HWC, lights)
    return grainy(shaken(frames, rng, 5.0), 2.5, rng), scene.box


def fireworks(scene: Scene, rng: np.random.Generator) -> Drawn:
    """Bursts of sparks on a black sky."""
    frames, size = canvas(scene), np.array([scene.width_px, scene.height_px])
    for _ in range(5):
        first, centre = int(rng.uniform(-0.1, 0.8) * scene.num_frames), rng.uniform(0.3, 0.7, 2) * size
        angles, speeds = rng.uniform(0, 2 * np.pi, 90), rng.uniform(0.2, 1.0, 90) * 0.014 * size.min()
        paint = rng.integers(90, 256, 3)
        for step in range(max(first, 0), min(first + 22, scene.num_frames)):
            age = step - first
            points = centre + (speeds * age)[:, None] * np.stack([np.cos(angles), np.sin(angles)], 1) + (0, 0.06 * age**2)
            for x, y in points.astype(int):
                cv2.circle(frames[step], (int(x), int(y)), 1, tuple(int(v * max(0, 1 - age / 22)) for v in paint), -1)
    return grainy(frames, 1.5, rng), scene.box


def underwater(scene: Scene, rng: np.random.Generator) -> Drawn:
    """Dark blue that fades to black downwards, shafts of light, bubbles that rise."""
    depth = 1 - rows(scene)[..., None]
    ground, x_W = np.array([6, 34, 62]) * depth**1.5 + 2, np.arange(scene.width_px) / scene.width_px
    bubbles = [(rng.random(2), rng.uniform(0.005, 0.02), int(rng.integers(1, 5))) for _ in range(18)]
    frames = canvas(scene)
    for step, frame_HWC in enumerate(frames):
        shafts_W = np.clip(np.sin(9 * x_W + step / 15) + np.sin(23 * x_W - step / 9), 0, 2)
        frame_HWC[:] = np.clip(ground + 14 * shafts_W[None, :, None] * depth**2 * (0.4, 0.9, 1.0), 0, 255)
        for (x, y), speed, radius in bubbles:
            place = round(x * scene.width_px), round((y - speed * step) % 1 * scene.height_px)
            cv2.circle(frame_HWC, place, radius, (90, 140, 160), 1, cv2.LINE_AA)
    return grainy(frames, 1.5, rng), scene.box


def star_trails(scene: Scene, rng: np.random.Generator) -> Drawn:
    """Stars turn about the pole above the black outline of hills."""
    frames, size = np.full_like(canvas(scene), 4), np.array([scene.width_px, scene.height_px])
    radii, angles = rng.uniform(0.02, 1.2, 260) * size.max(), rng.uniform(0, 2 * np.pi, 260)
    lights, pole = rng.integers(50, 240, 260), size * rng.uniform(0.3, 0.6, 2)
    x_W = np.arange(scene.width_px) / scene.width_px
    hills_W = scene.height_px * (rng.uniform(0.75, 0.85) + 0.04 * np.sin(7 * x_W + rng.uniform(0, 6)) + 0.02 * np.sin(19 * x_W))
    dark_HW = np.arange(scene.height_px)[:, None] > hills_W
    for step, frame_HWC in enumerate(frames):
        points = pole + radii[:, None] * np.stack([np.cos(angles + step / 90), np.sin(angles + step / 90)], 1)
        for (x, y), light in zip(points.astype(int), lights, strict=True):
            cv2.circle(frame_HWC, (int(x), int(y)), 1, (int(light),) * 3, -1)
        frame_HWC[dark_HW] = 1
    return frames, scene.box
