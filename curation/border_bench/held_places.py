"""Held-out kinds without a border: places and things that look as if they had one. The truth is always the whole video.

Axes: T time, H height, W width, C colour. All shares and ranges are ours.
"""

from __future__ import annotations

import cv2
import numpy as np

from curation.border_bench.held_nights import fireworks, led_screen, moon_in_black, rows, shaken, star_trails, texture, underwater
from curation.border_bench.kinds import Kind, Scene, by_name, canvas
from curation.border_bench.photographs import grainy
from svmbench.records import Box

Drawn = tuple[np.ndarray, Box]


def _still(scene: Scene, image_HWC: np.ndarray) -> np.ndarray:
    return np.repeat(np.clip(image_HWC, 0, 255).astype(np.uint8)[None], scene.num_frames, axis=0)


def product_on_white(scene: Scene, rng: np.random.Generator) -> Drawn:
    """A thing turns before pure white."""
    frames, short = canvas(scene, (255, 255, 255)), min(scene.width_px, scene.height_px)
    centre, paint = np.array([scene.width_px, scene.height_px]) / 2, rng.integers(20, 200, 3)
    wide, high = rng.uniform(0.2, 0.35) * short, rng.uniform(0.2, 0.4) * short
    for step, frame_HWC in enumerate(frames):
        turn = 2 * np.pi * step / scene.num_frames
        for corner in range(4):
            a, b = (turn + corner * np.pi / 2 + d for d in (-np.pi / 4, np.pi / 4))
            if np.cos((a + b) / 2) > 0:
                x0, x1 = centre[0] + wide * np.sin(a), centre[0] + wide * np.sin(b)
                light = 0.4 + 0.6 * np.cos((a + b) / 2)
                points = np.array(
                    [[x0, centre[1] - high], [x1, centre[1] - high], [x1, centre[1] + high], [x0, centre[1] + high]]
                )
                cv2.fillPoly(frame_HWC, [points.astype(np.int32)], tuple(int(v * light) for v in paint), cv2.LINE_AA)
    return frames, scene.box


def talking_head(scene: Scene, rng: np.random.Generator) -> Drawn:
    """Head and shoulders before a plain, evenly lit wall; the camera stands on a tripod."""
    wall = rng.integers(90, 245) + rng.integers(-15, 16, 3)
    frames = _still(scene, np.full((scene.height_px, scene.width_px, 3), wall) + 6 * (0.5 - rows(scene)[..., None]))
    short, shirt = min(scene.width_px, scene.height_px), tuple(int(v) for v in rng.integers(20, 220, 3))
    for step, frame_HWC in enumerate(frames):
        x = round(scene.width_px / 2 + 0.03 * short * np.sin(step / 7))
        y = round(0.5 * scene.height_px + 0.01 * short * np.sin(step / 3))
        cv2.ellipse(frame_HWC, (x, scene.height_px), (round(0.34 * short), round(0.3 * short)), 0, 0, 360, shirt, -1, cv2.LINE_AA)
        cv2.ellipse(frame_HWC, (x, y), (round(0.13 * short), round(0.17 * short)), 0, 0, 360, (196, 150, 120), -1, cv2.LINE_AA)
        cv2.ellipse(
            frame_HWC, (x, y - round(0.09 * short)), (round(0.14 * short), round(0.1 * short)), 0, 180, 360, (50, 35, 25), -1
        )
        mouth = round(0.02 * short * abs(np.sin(step)))
        cv2.ellipse(frame_HWC, (x, y + round(0.08 * short)), (round(0.04 * short), mouth + 1), 0, 0, 360, (120, 40, 40), -1)
    return grainy(frames, 1.2, rng), scene.box


def white_wall_dance(scene: Scene, rng: np.random.Generator) -> Drawn:
    """Somebody dances before a wall that is burnt out to white; arms and legs move, the edges never do."""
    frames, short = canvas(scene, (252, 252, 252)), min(scene.width_px, scene.height_px)
    unit, cloth = 0.13 * short, tuple(int(v) for v in rng.integers(10, 150, 3))
    phases, tempo = rng.uniform(0, 6.3, 4), rng.uniform(0.2, 0.5)
    for step, frame_HWC in enumerate(frames):
        hip = np.array([scene.width_px / 2 + 0.05 * short * np.sin(tempo * step), 0.55 * scene.height_px])
        neck = hip - (0.2 * unit * np.sin(tempo * step), 1.8 * unit)
        for limb, start in enumerate((neck, neck, hip, hip)):
            side = 1 if limb % 2 else -1
            angle = (0.9 if limb < 2 else 0.3) * side + 0.5 * np.sin(tempo * step + phases[limb])
            knee = start + 1.1 * unit * np.array([np.sin(angle), np.cos(angle)])
            foot = knee + 1.1 * unit * np.array([np.sin(angle / 2), np.cos(angle / 2)])
            line = np.array([start, knee, foot]).astype(np.int32)
            cv2.polylines(frame_HWC, [line], False, cloth, max(3, round(0.32 * unit)), cv2.LINE_AA)
        cv2.line(frame_HWC, hip.astype(int).tolist(), neck.astype(int).tolist(), cloth, max(4, round(0.7 * unit)), cv2.LINE_AA)
        head = round(neck[0]), round(neck[1] - 0.6 * unit)
        cv2.circle(frame_HWC, head, round(0.5 * unit), (90, 65, 50), -1, cv2.LINE_AA)
    return grainy(frames, 0.7, rng), scene.box


def crowd_silhouette(scene: Scene, rng: np.random.Generator) -> Drawn:
    """The lit picture above, and at the bottom the black heads of a crowd that sways."""
    frames, short = scene.whole(), min(scene.width_px, scene.height_px)
    heads = [(rng.random(), rng.uniform(0.72, 0.9), rng.uniform(0.04, 0.08), rng.uniform(0, 6.3)) for _ in range(16)]
    floor = round(rng.uniform(0.84, 0.92) * scene.height_px)
    for step, frame_HWC in enumerate(frames):
        frame_HWC[floor:] = 3
        for x, y, size, phase in heads:
            place = round(x * scene.width_px), round(y * scene.height_px + 0.01 * short * np.sin(step / 3 + phase))
            cv2.circle(frame_HWC, place, round(size * short), (3, 3, 3), -1, cv2.LINE_AA)
            cv2.rectangle(
                frame_HWC,
                (place[0] - round(size * short), place[1]),
                (place[0] + round(size * short), scene.height_px),
                (3, 3, 3),
                -1,
            )
    return frames, scene.box


def flat_sea(scene: Scene, rng: np.random.Generator) -> Drawn:
    """An even sky, a dead straight horizon, a calm sea with a weak swell, and a small boat."""
    line = round(rng.uniform(0.55, 0.85) * scene.height_px)
    sky, sea = rng.integers(150, 240, 3) - rows(scene)[..., None] * 25, rng.integers(20, 90, 3) + rows(scene)[..., None] * 12
    swell = cv2.resize(
        rng.normal(0, 6, (scene.height_px // 2, scene.width_px // 12)).astype(np.float32),
        (scene.width_px + scene.num_frames, scene.height_px),
    )
    frames = canvas(scene)
    for step, frame_HWC in enumerate(frames):
        frame_HWC[:line] = np.clip(sky[:line], 0, 255)
        frame_HWC[line:] = np.clip(sea[line:] + swell[line:, step : step + scene.width_px, None], 0, 255)
        x, size = round(0.2 * scene.width_px) + step, scene.height_px // 30
        cv2.fillPoly(frame_HWC, [np.array([[x, line - 3 * size], [x, line], [x + 2 * size, line]])], (250, 250, 245), cv2.LINE_AA)
        cv2.ellipse(frame_HWC, (x + size // 2, line + size // 3), (2 * size, size), 0, 0, 180, (90, 40, 30), -1, cv2.LINE_AA)
    return grainy(frames, 1.0, rng), scene.box


def snow_field(scene: Scene, rng: np.random.Generator) -> Drawn:
    """A film of hills above, nearly white snow below a straight line, and somebody who walks into it."""
    frames, line = scene.whole(), round(rng.uniform(0.65, 0.82) * scene.height_px)
    snow = np.clip(246 + texture(scene, rng, 9.0, 2.5) - 4 * rows(scene)[..., None], 0, 255).astype(np.uint8)
    for step, frame_HWC in enumerate(frames):
        frame_HWC[line:] = snow[line:]
        x, y = round((0.2 + 0.5 * step / scene.num_frames) * scene.width_px), line + (scene.height_px - line) // 2
        size = scene.height_px // 28
        cv2.ellipse(frame_HWC, (x, y - size), (size // 2, 2 * size), 0, 0, 360, (60, 30, 40), -1, cv2.LINE_AA)
        cv2.ellipse(frame_HWC, (x + size, y + size), (2 * size, size // 3), 0, 0, 360, (215, 220, 232), -1, cv2.LINE_AA)
    return frames, scene.box


def sky_gradient(scene: Scene, rng: np.random.Generator) -> Drawn:
    """Nothing but evening sky, and a bird that crosses it."""
    top, bottom = rng.integers(20, 120, 3), rng.integers(120, 250, 3)
    frames = _still(scene, top + (bottom - top) * rows(scene)[..., None])
    for step, frame_HWC in enumerate(frames):
        x, y = scene.width_px * step / scene.num_frames, scene.height_px * (0.4 + 0.05 * np.sin(step / 4))
        size, lift = scene.width_px / 18, np.sin(step / 1.5) * scene.width_px / 40
        wings = np.array([[x - size, y - lift], [x, y], [x + size, y - lift]]).astype(np.int32)
        cv2.polylines(frame_HWC, [wings], False, (15, 15, 20), 3, cv2.LINE_AA)
    return grainy(frames, 1.0, rng), scene.box


def power_line(scene: Scene, rng: np.random.Generator) -> Drawn:
    """The picture seems to be parted by straight dark wires near its upper edge, and by a rail near the lower."""
    frames = scene.whole()
    for share in (rng.uniform(0.05, 0.2), rng.uniform(0.8, 0.95)):
        row, thick = round(share * scene.height_px), int(rng.integers(1, 5))
        frames[:, row : row + thick] = rng.integers(5, 50)
    return frames, scene.box


def table_edge(scene: Scene, rng: np.random.Generator) -> Drawn:
    """The film of a room above the straight edge of a table, on which a shadow moves; the camera stands still."""
    frames, line = scene.whole(), round(rng.uniform(0.68, 0.85) * scene.height_px)
    wood = rng.integers(60, 190, 3) + texture(scene, rng, 1.5, 4.0)
    x_W = np.arange(scene.width_px)
    for step, frame_HWC in enumerate(frames):
        shade_W = 1 - 0.3 * np.exp(-(((x_W - scene.width_px * (0.5 + 0.4 * np.sin(step / 9))) / (0.12 * scene.width_px)) ** 2))
        frame_HWC[line:] = np.clip(wood[line:] * shade_W[None, :, None], 0, 255)
    return grainy(frames, 1.0, rng), scene.box


def venetian_blind(scene: Scene, rng: np.random.Generator) -> Drawn:
    """Light and dark slats over the whole frame, and clouds that change the light."""
    pitch = scene.height_px / rng.uniform(9, 22)
    slats = np.where(np.arange(scene.height_px) / pitch % 1 < 0.55, 1.0, 0.25)[:, None, None]
    frames = scene.whole()
    for step, frame_HWC in enumerate(frames):
        light = 0.75 + 0.2 * np.sin(step / 8)
        frame_HWC[:] = np.clip((0.25 * frame_HWC + 150) * slats * light, 0, 255)
    return frames, scene.box


def window_frame(scene: Scene, rng: np.random.Generator) -> Drawn:
    """A view through a window, filmed by hand: the dark wood leans, moves with the hand, and shines a little."""
    frames, size = scene.whole(), np.array([scene.width_px, scene.height_px])
    corners = np.array([[0, 0], [1, 0], [1, 1], [0, 1]]) * size
    inner = corners + (size / 2 - corners) * rng.uniform(0.16, 0.3, (4, 1)) + rng.uniform(-0.02, 0.02, (4, 2)) * size
    mask = np.zeros((scene.height_px, scene.width_px), np.uint8)
    cv2.fillPoly(mask, [inner.astype(np.int32)], 255, cv2.LINE_AA)
    wood = np.clip(np.array([46, 32, 24]) + texture(scene, rng, 2.0, 5.0), 0, 255)
    for frame_HWC in frames:
        frame_HWC[:] = np.where(mask[..., None] > 127, frame_HWC, wood)
    return shaken(frames, rng, 0.012 * float(size.min()) + 2), scene.box


def doorway(scene: Scene, rng: np.random.Generator) -> Drawn:
    """Somebody walks through a dark passage towards a bright door."""
    frames, size = scene.whole(), np.array([scene.width_px, scene.height_px])
    dark = 10 + 5 * np.abs(texture(scene, rng, 6.0, 1.0))
    for step, frame_HWC in enumerate(frames):
        share = 0.28 + 0.3 * step / scene.num_frames
        centre = size * (0.5, 0.55) + rng.normal(0, 1.0, 2)
        (left, top), (right, bottom) = (centre - share * size / 2).astype(int), (centre + share * size / 2).astype(int)
        door = frame_HWC[top:bottom, left:right].copy()
        frame_HWC[:] = dark
        points = np.array([[left, bottom], [right, bottom], [scene.width_px, scene.height_px], [0, scene.height_px]])
        cv2.fillPoly(frame_HWC, [points], (44, 40, 34), cv2.LINE_AA)
        frame_HWC[top:bottom, left:right] = np.clip(door.astype(int) + 40, 0, 255)
    return grainy(frames, 2.0, rng), scene.box


KINDS = by_name(
    *(
        Kind(name=draw.__name__, about=about, draw=draw, has_border=False)
        for draw, about in (
            (moon_in_black, "a bright disc drifts over a black sky"),
            (product_on_white, "a thing turns before pure white"),
            (talking_head, "head and shoulders before a plain wall"),
            (white_wall_dance, "somebody dances before a white wall"),
            (crowd_silhouette, "black heads of a crowd at the bottom"),
            (flat_sea, "an even sky and a calm sea with a straight horizon"),
            (snow_field, "nearly white snow below a straight line"),
            (sky_gradient, "evening sky and a bird"),
            (power_line, "straight dark wires near the edges"),
            (table_edge, "the straight edge of a table near the bottom"),
            (venetian_blind, "light and dark slats over the whole frame"),
            (window_frame, "a view through a dark window, filmed by hand"),
            (doorway, "a dark passage with a bright door"),
            (led_screen, "a bright screen on a dark stage, filmed by hand"),
            (fireworks, "sparks on a black sky"),
            (underwater, "dark water with shafts of light"),
            (star_trails, "stars above black hills"),
        )
    )
)
