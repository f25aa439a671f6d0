"""Pictures that are drawn: graphics, animation and simple scenes, as short videos show beside what a camera saw.

Axes: T time, H height, W width, C colour.
"""

from __future__ import annotations

import cv2
import numpy as np

from curation.border_bench.kinds import Source
from curation.border_bench.photographs import grainy

GRAIN = 1.0  # ours: standard deviation of the noise in grey levels


def kites(width_px: int, height_px: int, num_frames: int, rng: np.random.Generator) -> np.ndarray:
    """Polygons of one colour each that drift and turn over a gradient."""
    ground_HWC = gradient(width_px, height_px, rng)
    colours, sizes = rng.integers(0, 256, (9, 3)), rng.uniform(0.08, 0.3, 9) * min(width_px, height_px)
    corners = [rng.uniform(0, 2 * np.pi, rng.integers(3, 6)) for _ in range(9)]
    starts, speeds = rng.random((9, 2)), rng.uniform(-0.5, 0.5, (9, 2))
    spins = rng.uniform(-2, 2, 9)
    frames = np.repeat(ground_HWC[None], num_frames, axis=0)
    for step, frame_HWC in enumerate(frames):
        at = step / num_frames
        for i in range(9):
            angles = np.sort(corners[i]) + spins[i] * at
            place = (starts[i] + speeds[i] * at) % 1 * (width_px, height_px)
            points = place + sizes[i] * np.stack([np.cos(angles), np.sin(angles)], axis=1)
            cv2.fillPoly(frame_HWC, [points.astype(np.int32)], colours[i].tolist(), cv2.LINE_AA)
    return grainy(frames, GRAIN, rng)


def street(width_px: int, height_px: int, num_frames: int, rng: np.random.Generator) -> np.ndarray:
    """Houses with windows that pass by under a sky, and cars on the road before them."""
    wide = 3 * width_px
    sky = gradient(wide, height_px, rng) // 2 + 110
    road = round(height_px * rng.uniform(0.75, 0.9))
    left = 0
    while left < wide:
        across, top = int(rng.uniform(0.1, 0.35) * height_px), int(rng.uniform(0.15, 0.6) * height_px)
        cv2.rectangle(sky, (left, top), (left + across, road), rng.integers(30, 200, 3).tolist(), -1)
        pitch = max(6, across // int(rng.integers(3, 7)))
        light = rng.integers(0, 256, 3).tolist()
        for x in range(left + pitch // 3, left + across - pitch // 3, pitch):
            for y in range(top + pitch // 2, road - pitch, pitch):
                cv2.rectangle(sky, (x, y), (x + pitch // 2, y + pitch // 2), light, -1)
        left += across
    sky[road:] = rng.integers(40, 110, 3)
    speed, cars = rng.uniform(0.5, 1.6), rng.uniform(-2, 2, 3)
    frames = np.empty((num_frames, height_px, width_px, 3), np.uint8)
    paint = rng.integers(0, 256, (3, 3))
    for step, frame_HWC in enumerate(frames):
        at = step / num_frames
        frame_HWC[:] = sky[:, round(speed * at * width_px) :][:, :width_px]
        for i, pace in enumerate(cars):
            x, y = round((i / 3 + pace * at) % 1.4 * width_px), round(road + (height_px - road) * 0.4)
            cv2.ellipse(frame_HWC, (x, y), (height_px // 12, height_px // 28), 0, 0, 360, paint[i].tolist(), -1, cv2.LINE_AA)
    return grainy(frames, GRAIN, rng)


def dancer(width_px: int, height_px: int, num_frames: int, rng: np.random.Generator) -> np.ndarray:
    """A figure that dances before a plain wall, on a floor: wide even areas and a camera that stands still."""
    wall, floor, skin, dress = (tuple(map(int, c)) for c in rng.integers(30, 236, (4, 3)))
    horizon = round(height_px * rng.uniform(0.65, 0.85))
    shade_HW1 = np.linspace(1, rng.uniform(0.75, 0.95), width_px)[None, :, None]
    room_HWC = np.empty((height_px, width_px, 3), np.uint8)
    room_HWC[:horizon], room_HWC[horizon:] = wall, floor
    room_HWC = (room_HWC * shade_HW1).astype(np.uint8)
    unit = min(width_px, height_px) * rng.uniform(0.07, 0.11)
    beat, phases = rng.uniform(2, 5), rng.uniform(0, 2 * np.pi, 4)
    frames = np.repeat(room_HWC[None], num_frames, axis=0)
    for step, frame_HWC in enumerate(frames):
        swing = np.sin(2 * np.pi * beat * step / num_frames + phases)
        hip = np.array([width_px * (0.5 + 0.15 * swing[0]), height_px * 0.6 + unit * 0.3 * swing[1]])
        neck = hip + np.array([unit * 0.5 * swing[2], -2.4 * unit])
        thick = max(2, round(unit * 0.5))
        for side in (-1, 1):
            hand = neck + unit * np.array([side * (1.6 + 0.5 * swing[3]), 0.8 * swing[1] * side - 0.6])
            foot = hip + unit * np.array([side * (0.7 + 0.4 * swing[2]), 2.4])
            cv2.line(frame_HWC, _point(neck), _point(hand), skin, thick, cv2.LINE_AA)
            cv2.line(frame_HWC, _point(hip), _point(foot), skin, thick, cv2.LINE_AA)
        cv2.line(frame_HWC, _point(neck), _point(hip), dress, 3 * thick, cv2.LINE_AA)
        cv2.circle(frame_HWC, _point(neck - np.array([0, unit])), round(0.7 * unit), skin, -1, cv2.LINE_AA)
    return grainy(frames, GRAIN, rng)


def aquarium(width_px: int, height_px: int, num_frames: int, rng: np.random.Generator) -> np.ndarray:
    """Water whose light wavers, with fish and rising bubbles."""
    deep, light = rng.integers(0, 90, 3) + np.array([0, 20, 60]), rng.integers(60, 160, 3)
    y_H1, x_1W = np.linspace(0, 1, height_px)[:, None], np.linspace(0, 1, width_px)[None]
    waves = rng.uniform(3, 14, 4)
    fish = rng.random((7, 3))
    paint = rng.integers(40, 256, (7, 3))
    frames = np.empty((num_frames, height_px, width_px, 3), np.uint8)
    for step, frame_HWC in enumerate(frames):
        at = step / num_frames
        glow = 0.5 + 0.25 * np.sin(waves[0] * x_1W + waves[1] * y_H1 + 6 * at) + 0.25 * np.sin(waves[2] * x_1W - waves[3] * at)
        frame_HWC[:] = np.clip(deep + light * (glow * (1 - 0.6 * y_H1))[..., None], 0, 255)
        for i, (x, y, pace) in enumerate(fish):
            place = np.array([((x + (pace - 0.5) * 1.5 * at) % 1.2 - 0.1) * width_px, y * height_px + 8 * np.sin(9 * at + i)])
            size = round((0.03 + 0.05 * pace) * min(width_px, height_px))
            cv2.ellipse(frame_HWC, _point(place), (2 * size, size), 0, 0, 360, paint[i].tolist(), -1, cv2.LINE_AA)
            bubble = (x * width_px, (y - 0.7 * at) % 1 * height_px)
            cv2.circle(frame_HWC, _point(np.array(bubble)), max(2, size // 3), (230, 240, 245), 1, cv2.LINE_AA)
    return grainy(frames, GRAIN, rng)


def train(width_px: int, height_px: int, num_frames: int, rng: np.random.Generator) -> np.ndarray:
    """What is seen from a train: hills in four layers, the nearer the faster, and posts that flash by."""
    frames = np.repeat((gradient(width_px, height_px, rng) // 3 + 150)[None], num_frames, axis=0)
    x_W = np.arange(width_px) / width_px
    layers = [(rng.uniform(2, 9, 3), rng.uniform(0, 6, 3), rng.integers(20, 170, 3).tolist()) for _ in range(4)]
    for step, frame_HWC in enumerate(frames):
        at = step / num_frames
        for depth, (pitch, phase, paint) in enumerate(layers):
            moved = x_W + at * 0.25 * 2**depth
            rise = sum(np.sin(pitch[k] * moved + phase[k]) for k in range(3)) / 18
            line = height_px * (0.4 + 0.14 * depth - rise)
            points = np.concatenate([np.stack([x_W * width_px, line], 1), [[width_px, height_px], [0, height_px]]])
            cv2.fillPoly(frame_HWC, [points.astype(np.int32)], paint)
        post = round(((1.7 - 4 * at) % 1.3 - 0.15) * width_px)
        cv2.rectangle(frame_HWC, (post, 0), (post + max(2, width_px // 30), height_px), (50, 45, 40), -1)
    return grainy(frames, GRAIN, rng)


def gradient(width_px: int, height_px: int, rng: np.random.Generator) -> np.ndarray:
    """image_HWC uint8: four corner colours that run into one another."""
    corners = rng.integers(0, 256, (2, 2, 3)).astype(np.float32)
    y_H, x_W = np.linspace(0, 1, height_px, dtype=np.float32), np.linspace(0, 1, width_px, dtype=np.float32)
    across = corners[:, :1] * (1 - x_W[None, :, None]) + corners[:, 1:] * x_W[None, :, None]
    return np.asarray(across[0] * (1 - y_H[:, None, None]) + across[1] * y_H[:, None, None]).astype(np.uint8)


def _point(place: np.ndarray) -> tuple[int, int]:
    return round(float(place[0])), round(float(place[1]))


DEV: dict[str, Source] = {f.__name__: Source(name=f.__name__, frames=f) for f in (kites, street, dancer)}
HELD_OUT: dict[str, Source] = {f.__name__: Source(name=f.__name__, frames=f) for f in (aquarium, train)}
