"""From a mood (a song's tempo, mode, energy and sections) to scenes, with noise; and the frames around the pictures.

All numbers here are ours.
"""

from __future__ import annotations

import colorsys
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from crawl.replica import picture
from crawl.replica.music import Section, Song
from crawl.replica.picture import Layout, Rgb, Scene, Thing
from svmbench.records import Box

HUES_DEG = {"major": 35.0, "minor": 215.0}  # warm, cool
BORDERS = ("letterbox", "pillarbox", "frame", "grey", "colour", "one_sided", "caption")
COLOURS: tuple[Rgb, ...] = ((255, 255, 255), (200, 40, 60), (30, 90, 180), (250, 210, 60), (20, 110, 60), (240, 200, 220))
SIZES = (*[(240, 426)] * 5, *[(216, 384)] * 2, (270, 480), (426, 240), (288, 288))  # eight in ten upright
CAPTIONS = ("wait for it", "part 2", "POV: monday", "sound on", "how it started", "watch to the end")


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What one post makes of its mood: drawn once, so that its scenes belong together. speed in heights a second."""

    hue_deg: float
    saturation: float
    mix: float
    gain: float
    speed: float
    beats_a_cut: float
    pulse: float
    textures: tuple[str, ...]
    num_things: int


def look(rng: np.random.Generator, mood: Song) -> Look:
    """The post's own reading of the mood."""
    quick = (mood.tempo_bpm - 60) / 120
    mode = mood.mode if rng.random() > 0.08 else ("minor" if mood.mode == "major" else "major")
    return Look(
        hue_deg=float(rng.normal(HUES_DEG[mode], 22)) % 360,
        saturation=float(np.clip(0.35 + 0.5 * mood.energy + rng.normal(0, 0.1), 0.1, 1)),
        mix=float(rng.uniform(0.45, 0.7)),
        gain=float(np.clip(0.4 + 0.55 * mood.energy + rng.normal(0, 0.07), 0.3, 1.1)),
        speed=float(0.04 * np.exp(2.1 * quick + rng.normal(0, 0.25))),
        beats_a_cut=float(np.exp(rng.normal(np.log(6.5), 0.2))),
        pulse=float(rng.choice((0.0, 0.02 + 0.05 * mood.energy))),
        textures=tuple(str(t) for t in rng.choice(picture.TEXTURES, size=3, replace=False)),
        num_things=int(rng.integers(0, 4)),
    )


def scenes(
    rng: np.random.Generator, mood: Song, parts: tuple[Section, ...], beats_s: list[float], fps: int, num_frames: int
) -> tuple[Scene, ...]:
    """The scenes of a moving post: cuts fall near beats, and nearly always where a section begins."""
    style = look(rng, mood)
    edges = [0, *cuts(rng, style, parts, beats_s, fps, num_frames), num_frames]
    found: list[Scene] = []
    for first, last in pairwise(edges):
        middle_s = (first + last) / 2 / fps
        level = next((p.level for p in parts if p.start_s <= middle_s < p.end_s), 0.5)
        before = found[-1].texture if found else ""
        name = str(rng.choice([t for t in style.textures if t != before]))
        found.append(_scene(rng, style, name, level, first, last))
    return tuple(found)


def cuts(
    rng: np.random.Generator, style: Look, parts: tuple[Section, ...], beats_s: list[float], fps: int, num_frames: int
) -> list[int]:
    """First frames of the scenes after the first. Scenes are at least 0.4 s long."""
    beat_s = float(np.diff(beats_s).mean())
    wanted = [p.start_s for p in parts[1:] if rng.random() < 0.85]
    at = beats_s[0]
    while at < num_frames / fps:
        level = next((p.level for p in parts if p.start_s <= at < p.end_s), 0.5)
        at += max(1, round(style.beats_a_cut * (1.5 - level) * np.exp(rng.normal(0, 0.2)))) * beat_s
        wanted.append(at + rng.normal(0, 0.03))
    frames: list[int] = []
    for number in sorted(round(t * fps) for t in wanted):
        if number - (frames[-1] if frames else 0) >= 0.4 * fps and num_frames - number >= 0.4 * fps:
            frames.append(number)
    return frames


def _scene(rng: np.random.Generator, style: Look, name: str, level: float, first: int, last: int) -> Scene:
    speed = style.speed * (0.6 + 0.8 * level) * np.exp(rng.normal(0, 0.15))
    angle = rng.uniform(0, 2 * np.pi)
    gain = style.gain * (0.75 + 0.4 * level)
    tint = _rgb(style.hue_deg + rng.normal(0, 8), style.saturation, 1.0)
    return Scene(
        first=first, last=last, texture=name, tint=tint, mix=style.mix, gain=float(gain),
        x=float(rng.uniform(0.3, 0.7)), y=float(rng.uniform(0.3, 0.7)), span=float(rng.uniform(340, 560)),
        speed_x=float(speed * np.cos(angle)), speed_y=float(speed * np.sin(angle)),
        zoom=float(rng.normal(0, 0.3) * speed), spin=float(rng.normal(0, 0.3) * speed), pulse=style.pulse,
        things=tuple(_thing(rng, style, speed) for _ in range(style.num_things)),
    )  # fmt: skip


def _thing(rng: np.random.Generator, style: Look, speed: float) -> Thing:
    angle = rng.uniform(0, 2 * np.pi)
    quick = 2.0 * speed * np.exp(rng.normal(0, 0.2))
    return Thing(
        shape=str(rng.choice(("disc", "ring", "square"))),
        colour=_rgb(style.hue_deg + rng.choice((0, 180)) + rng.normal(0, 15), style.saturation, 0.4 + 0.5 * style.gain),
        radius=float(rng.uniform(0.03, 0.08)), x=float(rng.random()), y=float(rng.random()),
        speed_x=float(quick * np.cos(angle)), speed_y=float(quick * np.sin(angle)),
    )  # fmt: skip


def still(rng: np.random.Generator, mood: Song, num_frames: int) -> tuple[Scene, ...]:
    """One picture that does not move."""
    style = look(rng, mood)
    tint = _rgb(style.hue_deg, style.saturation, 1.0)
    return (
        Scene(
            first=0, last=num_frames, texture=style.textures[0], tint=tint, mix=style.mix, gain=style.gain,
            x=0.5, y=0.5, span=500.0, speed_x=0.0, speed_y=0.0, zoom=0.0, spin=0.0, pulse=0.0, things=(),
        ),
    )  # fmt: skip


def _rgb(hue_deg: float, saturation: float, value: float) -> Rgb:
    r, g, b = colorsys.hsv_to_rgb(hue_deg % 360 / 360, saturation, min(1.0, value))
    return round(255 * r), round(255 * g), round(255 * b)


def layout(rng: np.random.Generator, border: str) -> Layout:
    """A frame of a usual size with a border of this kind, 'none' or one of BORDERS."""
    width, height = SIZES[rng.integers(len(SIZES))]
    across = bool(rng.random() < 0.7)  # bars above and below
    left, top, right, bottom = 0, 0, 0, 0
    if border == "one_sided":
        side, depth = rng.integers(4), rng.uniform(0.08, 0.25)
        left, top, right, bottom = (_even(depth * (width, height)[i % 2]) if side == i else 0 for i in range(4))
    if border in ("letterbox", "frame", "caption") or (border in ("grey", "colour") and across):
        low = 0.16 if border == "caption" else 0.08
        top = bottom = _even(rng.uniform(low, 0.24) * height)
        if rng.random() < 0.3:
            top = _even(0.6 * top)
    if border in ("pillarbox", "frame") or (border in ("grey", "colour") and not across):
        left = right = _even(rng.uniform(0.07, 0.2) * width)
    colour: Rgb = (0, 0, 0)
    if border == "grey":
        level = int(rng.integers(30, 120))
        colour = (level, level, level)
    elif border == "colour":
        colour = COLOURS[rng.integers(len(COLOURS))]
    caption = str(rng.choice(CAPTIONS)) if border == "caption" else ""
    box = Box(left_px=left, top_px=top, width_px=width - left - right, height_px=height - top - bottom)
    return Layout(width_px=width, height_px=height, box=box, border=border, colour=colour, caption=caption)


def _even(length_px: float) -> int:
    """An even number of pixels: colour is coded at half size, and would smear over an odd edge."""
    return 2 * round(length_px / 2)


def again(rng: np.random.Generator, source: Layout) -> Layout:
    """The frame of a re-upload: the same picture at another size, with bars above and below."""
    scale = float(rng.choice((0.75, 0.85, 1.1)))
    width, height = (_even(scale * size) for size in (source.box.width_px, source.box.height_px))
    bar = _even(rng.uniform(0.06, 0.14) * height)
    box = Box(left_px=0, top_px=bar, width_px=width, height_px=height)
    return Layout(width_px=width, height_px=height + 2 * bar, box=box, border="letterbox", colour=(0, 0, 0), caption="")
