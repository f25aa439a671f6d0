"""Held-out kinds without a border: screens, titles, several pictures in one, and edits. The truth is always the whole video.

Axes: T time, H height, W width, C colour. All shares and ranges are ours.
"""

from __future__ import annotations

from itertools import pairwise

import cv2
import numpy as np

from curation.border_bench.bars import boxed, colour, dimmed, letterbox, pillarbox
from curation.border_bench.kinds import Kind, Scene, by_name, canvas
from curation.border_bench.lettering import extent, fitted, phrase, sticker, write
from curation.border_bench.photographs import grainy
from svmbench.records import Box

Drawn = tuple[np.ndarray, Box]


def _vignette(scene: Scene, power: float) -> np.ndarray:
    y, x = np.meshgrid(np.linspace(-1, 1, scene.height_px), np.linspace(-1, 1, scene.width_px), indexing="ij")
    return np.asarray(np.clip(1.25 - np.hypot(x, y) ** power / 1.15, 0, 1))[..., None]


def deep_vignette(scene: Scene, rng: np.random.Generator) -> Drawn:
    """The picture darkens to black towards its corners and edges."""
    return dimmed(scene.whole(), np.repeat(_vignette(scene, rng.uniform(1.5, 3.0))[None], scene.num_frames, axis=0)), scene.box


def still_vignette(scene: Scene, rng: np.random.Generator) -> Drawn:
    """The same of a photograph in which nothing moves."""
    frames, _ = deep_vignette(scene, rng)
    return np.repeat(frames[:1], scene.num_frames, axis=0), scene.box


def silent_film(scene: Scene, rng: np.random.Generator) -> Drawn:
    """Grey, with a vignette, scratches and flicker; now and then a card with text on black."""
    frames, _ = deep_vignette(scene, rng)
    card, text = canvas(scene)[0], phrase(rng)
    size = fitted(text, round(0.7 * scene.width_px), round(0.1 * scene.height_px))
    write(card, text, (scene.width_px - extent(text, size)[0]) // 2, scene.height_px // 2 - size, size, (220, 220, 210))
    first = int(rng.uniform(0.1, 0.6) * scene.num_frames)
    for step, frame_HWC in enumerate(frames):
        if first <= step < first + scene.num_frames // 4:
            frame_HWC[:] = card
        frame_HWC[:] = np.clip(cv2.cvtColor(frame_HWC, cv2.COLOR_RGB2GRAY)[..., None] * rng.uniform(0.85, 1.1), 0, 255)
        frame_HWC[:, int(rng.integers(scene.width_px))] = 150
    return grainy(frames, 4.0, rng), scene.box


def rolling_credits(scene: Scene, rng: np.random.Generator) -> Drawn:
    """Names roll up over black, in the middle of the frame."""
    frames, size = canvas(scene), max(8, scene.height_px // 36)
    names, speed = [phrase(rng) for _ in range(60)], rng.uniform(1.0, 3.0)
    for step, frame_HWC in enumerate(frames):
        for i, name in enumerate(names):
            y = round(i * 2.4 * size - speed * step)
            if -size < y < scene.height_px:
                write(frame_HWC, name, (scene.width_px - extent(name, size)[0]) // 2, y, size, (225, 225, 225))
    return frames, scene.box


def page_scroll(scene: Scene, rng: np.random.Generator) -> Drawn:
    """A page of a book or a site is scrolled; its margins belong to it."""
    size, margin = max(8, scene.height_px // 45), round(rng.uniform(0.06, 0.14) * scene.width_px)
    page = np.full((3 * scene.height_px, scene.width_px, 3), int(rng.integers(228, 253)), np.uint8)
    for top in range(size, len(page) - 2 * size, round(1.9 * size)):
        if rng.random() < 0.12:
            continue
        line = "  ".join(phrase(rng) for _ in range(8))
        strip = page[top : top + 2 * size, margin : round(scene.width_px - margin * rng.uniform(0.9, 2.0))]
        write(strip, line, 0, 0, size, (35, 35, 40))
    speed = rng.uniform(0.5, 4.0)
    frames = np.stack([page[round(speed * step) :][: scene.height_px] for step in range(scene.num_frames)])
    return grainy(frames, 0.8, rng), scene.box


def dark_app(scene: Scene, rng: np.random.Generator) -> Drawn:
    """A chat in dark mode is scrolled: a status line, bubbles left and right, a line to type in."""
    frames, size = canvas(scene, (17, 17, 20)), max(8, scene.height_px // 44)
    bubbles = [(rng.random() < 0.5, phrase(rng), tuple(int(v) for v in rng.integers(40, 140, 3))) for _ in range(40)]
    speed, bar = rng.uniform(0.5, 4.0), 3 * size
    for step, frame_HWC in enumerate(frames):
        for i, (mine, text, paint) in enumerate(bubbles):
            y, wide = round(bar + i * 3.4 * size - speed * step), extent(text, size)[0] + size
            x = scene.width_px - wide - size if mine else size
            if -3 * size < y < scene.height_px:
                cv2.rectangle(frame_HWC, (x, y), (x + wide, y + round(2.4 * size)), paint, -1, cv2.LINE_AA)
                write(frame_HWC, text, x + size // 2, y + size // 2, size, (235, 235, 235))
        frame_HWC[:bar], frame_HWC[scene.height_px - bar :] = 26, 26
        write(frame_HWC, f"21:{10 + step // 30}", size, size, size, (220, 220, 220))
        cv2.rectangle(
            frame_HWC, (size, scene.height_px - bar + 6), (scene.width_px - 3 * size, scene.height_px - 8), (60, 60, 66), -1
        )
    return frames, scene.box


def game_hud(scene: Scene, rng: np.random.Generator) -> Drawn:
    """A game with panels above and below through which the game shines."""
    frames = scene.whole()
    top, bottom = (int(d * scene.height_px) for d in rng.uniform(0.07, 0.14, 2))
    for panel in (slice(0, top), slice(scene.height_px - bottom, scene.height_px)):
        frames[:, panel] = 0.35 * frames[:, panel] + 12
    for step, frame_HWC in enumerate(frames):
        life = 1 - 0.6 * step / scene.num_frames
        cv2.rectangle(frame_HWC, (10, top // 3), (10 + round(0.3 * life * scene.width_px), 2 * top // 3), (210, 40, 40), -1)
        write(frame_HWC, f"{1200 + 10 * step}", round(0.75 * scene.width_px), top // 4, max(7, top // 2), (250, 230, 120))
        for slot in range(6):
            left, side = round(0.2 * scene.width_px) + slot * round(0.1 * scene.width_px), round(0.6 * bottom)
            place = left, scene.height_px - bottom + bottom // 5
            cv2.rectangle(frame_HWC, place, (left + min(side, scene.width_px // 12), place[1] + side), (180, 180, 190), 1)
    return frames, scene.box


def cartoon_floor(scene: Scene, rng: np.random.Generator) -> Drawn:
    """A cartoon: wall and floor of one colour each, a straight line between, and a figure that walks on the floor."""
    wall, floor = rng.integers(60, 240, (2, 3))
    frames, line = canvas(scene), round(rng.uniform(0.68, 0.85) * scene.height_px)
    frames[:, :line], frames[:, line:] = wall, floor
    size, paint = scene.height_px // 9, colour(rng)
    for step, frame_HWC in enumerate(frames):
        x, y = round((0.15 + 0.7 * step / scene.num_frames) * scene.width_px), line + (scene.height_px - line) // 2
        shade = tuple(int(0.7 * v) for v in floor)
        cv2.ellipse(frame_HWC, (x, y), (size, size // 5), 0, 0, 360, shade, -1, cv2.LINE_AA)
        cv2.ellipse(frame_HWC, (x, y - size), (size // 2, size), 0, 0, 360, paint, -1, cv2.LINE_AA)
        sticker(frame_HWC, "face", (x, y - 2 * size), max(5, size // 2), paint)
    return frames, scene.box


def three_panels(scene: Scene, rng: np.random.Generator) -> Drawn:
    """Three videos share the frame, with black lines between."""
    frames, gap = canvas(scene), int(rng.integers(0, 7))
    tall = scene.height_px >= scene.width_px
    length = scene.height_px if tall else scene.width_px
    marks = [0, int(rng.uniform(0.25, 0.38) * length), int(rng.uniform(0.6, 0.75) * length), length + gap]
    for take, (low, high) in enumerate(pairwise(marks)):
        size = high - gap - low
        if tall:
            frames[:, low : low + size] = scene.picture(scene.width_px, size, take)
        else:
            frames[:, :, low : low + size] = scene.picture(size, scene.height_px, take)
    return frames, scene.box


def fade_to_white(scene: Scene, rng: np.random.Generator) -> Drawn:
    frames, length = scene.whole(), int(rng.uniform(0.2, 0.6) * scene.num_frames)
    for step, frame_HWC in enumerate(frames[-length:]):
        frame_HWC[:] = 255 - (255 - frame_HWC) * (1 - (step + 1) / length)
    return frames, scene.box


def flash_cuts(scene: Scene, rng: np.random.Generator) -> Drawn:
    """Two shots that are cut to and fro, with black and white frames between."""
    frames, other = scene.whole(), scene.whole(take=1)
    length = int(rng.integers(4, 9))
    for step, frame_HWC in enumerate(frames):
        if step // length % 2:
            frame_HWC[:] = other[step]
        if step % length == 0:
            frame_HWC[:] = rng.choice([0, 255])
    return frames, scene.box


def dawn(scene: Scene, rng: np.random.Generator) -> Drawn:
    """Black at first, then light comes slowly, from the middle outwards."""
    light_T = np.linspace(0, 1, scene.num_frames) ** rng.uniform(1.5, 2.5)
    shape = _vignette(scene, 2.0)
    return dimmed(
        scene.whole(), np.clip(light_T[:, None, None, None] * (shape[None] + light_T[:, None, None, None]), 0, 1)
    ), scene.box


def bars_at_first(scene: Scene, rng: np.random.Generator) -> Drawn:
    """Boxed for the first 30 %, then the picture fills the video."""
    frames, _ = boxed(scene, letterbox(scene, rng))
    return np.concatenate([frames[: round(0.3 * len(frames))], scene.whole()[round(0.3 * len(frames)) :]]), scene.box


def bars_come_and_go(scene: Scene, rng: np.random.Generator) -> Drawn:
    """Black bars slide in from above and below for the middle of the video, and out again."""
    frames, depth = scene.whole(), rng.uniform(0.08, 0.2) * scene.height_px
    for step, frame_HWC in enumerate(frames):
        at = step / scene.num_frames
        out = round(depth * float(np.clip(min((at - 0.2) / 0.1, (0.75 - at) / 0.1), 0, 1)))
        frame_HWC[:out], frame_HWC[scene.height_px - out :] = 0, 0
    return frames, scene.box


def one_boxed_shot(scene: Scene, rng: np.random.Generator) -> Drawn:
    """One shot of four has bars on the left and right, the others fill the video."""
    frames, length, shot = scene.whole(), scene.num_frames // 4, int(rng.integers(4))
    inner, _ = boxed(scene, pillarbox(scene, rng, 0.1, 0.3))
    frames[shot * length : (shot + 1) * length] = inner[shot * length : (shot + 1) * length]
    return frames, scene.box


KINDS = by_name(
    *(
        Kind(name=draw.__name__, about=about, draw=draw, has_border=False)
        for draw, about in (
            (deep_vignette, "a picture that darkens to black towards its edges"),
            (still_vignette, "a still photograph that darkens towards its edges"),
            (silent_film, "an old film with a vignette and cards of text"),
            (rolling_credits, "names roll over black"),
            (page_scroll, "a page with margins is scrolled"),
            (dark_app, "a chat in dark mode is scrolled"),
            (game_hud, "a game with panels that it shines through"),
            (cartoon_floor, "wall and floor of one colour each"),
            (three_panels, "three videos share the frame"),
            (fade_to_white, "the picture fades to white"),
            (flash_cuts, "quick cuts with black and white frames between"),
            (dawn, "black at first, then light from the middle"),
            (bars_at_first, "boxed for the first 30 % only"),
            (bars_come_and_go, "black bars slide in and out again"),
            (one_boxed_shot, "one shot of four is boxed"),
        )
    )
)
