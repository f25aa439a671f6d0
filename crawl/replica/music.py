"""Songs written from a seed and played with numpy: drums, bass, chords, melody; sections with a build-up and a drop.

A Song is only its score and is cheap; `play` synthesises an excerpt. The same instant of a song sounds the same in each excerpt,
so that excerpts of one song can be recognised. Sound is float32 of shape (N,) in [-1, 1]. All numbers here are ours.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np

from crawl.replica import sounds

# Name, length (1 is about 8 s) and level in [0, 1] of each section; a build-up rises from its level to 1.
FORM = (
    ("intro", 0.6, 0.30), ("verse", 1.0, 0.60), ("build", 0.6, 0.50), ("drop", 1.0, 1.00),
    ("break", 0.8, 0.35), ("verse", 1.0, 0.65), ("build", 0.6, 0.55), ("drop", 1.2, 1.00), ("outro", 0.6, 0.30),
)  # fmt: skip
SCALES = {"major": (0, 2, 4, 5, 7, 9, 11), "minor": (0, 2, 3, 5, 7, 8, 10)}
CHORDS = {  # four bars, as degrees of the scale
    "major": ((0, 4, 5, 3), (0, 5, 3, 4), (0, 3, 4, 3), (0, 1, 3, 4)),
    "minor": ((0, 5, 2, 6), (0, 3, 4, 0), (0, 6, 5, 6), (0, 3, 5, 4)),
}
DRUMS = {  # sixteenths of a bar: kick, snare, hat
    "floor": ("x...x...x...x...", "....x.......x...", "..x...x...x...x."),
    "rock": ("x.......x.x.....", "....x.......x...", "x.x.x.x.x.x.x.x."),
    "trap": ("x.....x...x.....", "........x.......", "x.x.x.xxx.x.xxx."),
    "ballad": ("x.........x.....", "........x.......", "x...x...x...x..."),
}
BASSES = ("saw", "sine", "square")
PADS = {"major": ("organ", "stab"), "minor": ("strings", "strings", "organ")}  # the mood is in the timbre too
LEADS = {"major": ("pluck", "bell", "piano"), "minor": ("flute", "square"), "other": ("pluck", "flute", "square", "piano")}


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """A stretch of music; `level` in [0, 1] says how full it is."""

    name: str
    start_s: float
    end_s: float
    level: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Song:
    """The score. key: MIDI note of the bass. energy and brightness in [0, 1]. melody: 32 scale steps in eighths, or rests."""

    number: int
    seed: int
    tempo_bpm: float
    mode: str
    key: int
    energy: float
    brightness: float
    chords: tuple[int, ...]
    melody: tuple[int | None, ...]
    drums: str
    bass: str
    pad: str
    lead: str
    sections: tuple[Section, ...]

    @property
    def beat_s(self) -> float:
        return 60.0 / self.tempo_bpm

    @property
    def duration_s(self) -> float:
        return self.sections[-1].end_s


@cache
def song(seed: int, number: int) -> Song:
    """The song of this number: all of it follows from (seed, number)."""
    rng = np.random.default_rng([seed, 1, number])
    tempo = round(float(rng.uniform(60, 180)), 1)
    mode = str(rng.choice(("major", "minor")))
    energy = float(np.clip(0.5 + 0.25 * (tempo - 120) / 60 + rng.uniform(-0.5, 0.5), 0.02, 0.98))
    style = rng.choice(("floor", "rock", "trap")) if energy > 0.35 else rng.choice(("ballad", "rock"))
    return Song(
        number=number,
        seed=seed,
        tempo_bpm=tempo,
        mode=mode,
        key=int(rng.integers(33, 45)) - (3 if mode == "minor" else 0),
        energy=round(energy, 3),
        brightness=round(float(np.clip(0.75 * energy + rng.uniform(0, 0.3), 0, 1)), 3),
        chords=CHORDS[mode][rng.integers(4)],
        melody=_melody(rng, energy),
        drums=str(style),
        bass=str(rng.choice(BASSES)),
        pad=str(rng.choice(PADS[mode])),
        lead=str(rng.choice(LEADS[mode] if rng.random() < 0.8 else LEADS["other"])),
        sections=_sections(240.0 / tempo),
    )


def _sections(bar_s: float) -> tuple[Section, ...]:
    found, bar = [], 0
    for name, length, level in FORM:
        end = bar + max(1, round(8 * length / bar_s))
        found.append(Section(name=name, start_s=bar * bar_s, end_s=end * bar_s, level=level))
        bar = end
    return tuple(found)


def _melody(rng: np.random.Generator, energy: float) -> tuple[int | None, ...]:
    """A walk over the scale; the third bar repeats the first, so that it is heard as a tune."""
    steps = np.cumsum(rng.choice((-2, -1, 0, 1, 2), size=32)) % 9
    rests = rng.random(32) > 0.35 + 0.4 * energy
    rests[::8] = False
    notes = [None if rest else int(step) for rest, step in zip(rests, steps, strict=True)]
    return tuple(notes[:16] + notes[:8] + notes[24:])


def beats(piece: Song, start_s: float, end_s: float) -> list[float]:
    """Times of the beats in an excerpt, in seconds from its start."""
    numbers = np.arange(np.ceil(start_s / piece.beat_s - 1e-9), np.ceil(end_s / piece.beat_s - 1e-9))
    return [round(float(t), 4) for t in numbers * piece.beat_s - start_s]


def sections(piece: Song, start_s: float, end_s: float) -> tuple[Section, ...]:
    """The sections of an excerpt, in seconds from its start."""
    return tuple(
        Section(name=s.name, start_s=max(s.start_s - start_s, 0.0), end_s=min(s.end_s, end_s) - start_s, level=s.level)
        for s in piece.sections
        if s.end_s > start_s + 1e-9 and s.start_s < end_s - 1e-9
    )


def play(piece: Song, start_s: float, duration_s: float, hz: int) -> np.ndarray:
    """The excerpt as float32 of shape (N,). Its loudness follows the song's energy and the section, not the excerpt."""
    sound = np.zeros(round(duration_s * hz), np.float32)
    band = _Band(piece, hz)
    bar_s = 4 * piece.beat_s
    for bar in range(max(0, int(start_s / bar_s) - 1), int((start_s + duration_s) / bar_s) + 1):
        section = next((s for s in piece.sections if s.start_s - 1e-6 <= bar * bar_s < s.end_s - 1e-6), None)
        if section is None:
            continue
        for time_s, gain, one in band.bar(bar, section):
            sounds.add(sound, one, round((time_s - start_s) * hz), gain)
    return np.tanh(sound * np.float32(0.35 + 0.45 * piece.energy))


class _Band:
    """Plays a song bar by bar: (time in the song, gain, sound) for each note. Each sound is made once."""

    def __init__(self, piece: Song, hz: int) -> None:
        self.piece, self.hz = piece, hz
        self._made: dict[tuple, np.ndarray] = {}

    def bar(self, bar: int, section: Section) -> list[tuple[float, float, np.ndarray]]:
        """All notes of one bar."""
        piece, beat_s = self.piece, self.piece.beat_s
        start_s = bar * 4 * beat_s
        level = section.level
        if section.name == "build":
            level += (1 - level) * (start_s - section.start_s) / (section.end_s - section.start_s)
        notes = self._drums(start_s, section.name, level) + self._bass(bar, start_s, level) + self._melody(bar, start_s, level)
        chord = piece.chords[bar % 4]
        length = 0.3 if piece.pad == "stab" else 4 * beat_s
        for hit in range(4) if piece.pad == "stab" else (0,):
            for degree in (chord, chord + 2, chord + 4):
                one = self._note("pad", piece.pad, self._pitch(degree) + 24, length)
                notes.append((start_s + hit * beat_s, 0.10 + 0.06 * level, one))
        return notes

    def _drums(self, start_s: float, name: str, level: float) -> list[tuple[float, float, np.ndarray]]:
        piece, step_s = self.piece, self.piece.beat_s / 4
        kick, snare, hat = DRUMS[piece.drums]
        power = 0.3 + 0.7 * piece.energy
        notes = [(start_s + i * 4 * step_s, 0.10 + 0.1 * power, self._drum("hat")) for i in range(4)]  # each beat can be heard
        for i in range(16):
            at = start_s + i * step_s
            if kick[i] == "x" and (level > 0.5 or i == 0):
                notes.append((at, (0.5 + 0.5 * level) * power, self._drum("kick")))
            if (name == "build" and i % (2 if level > 0.75 else 4) == 0) or (name in ("verse", "drop") and snare[i] == "x"):
                notes.append((at, 0.6 * level * power, self._drum("snare")))
            if hat[i] == "x" and level > 0.5:
                notes.append((at, 0.25 * level * power, self._drum("hat")))
        return notes

    def _bass(self, bar: int, start_s: float, level: float) -> list[tuple[float, float, np.ndarray]]:
        beat_s = self.piece.beat_s
        parts = 8 if self.piece.energy * level > 0.45 else 4 if level > 0.45 else 2
        one = self._note("bass", self.piece.bass, self._pitch(self.piece.chords[bar % 4]), 3.6 * beat_s / parts)
        return [(start_s + i * 4 * beat_s / parts, 0.25 + 0.2 * level, one) for i in range(parts)]

    def _melody(self, bar: int, start_s: float, level: float) -> list[tuple[float, float, np.ndarray]]:
        steps = self.piece.melody[8 * (bar % 4) : 8 * (bar % 4) + 8]
        half_s = self.piece.beat_s / 2
        length = min(1.8 * half_s, 0.7)
        return [
            (start_s + i * half_s, 0.14 + 0.12 * level, self._note("lead", self.piece.lead, self._pitch(step) + 36, length))
            for i, step in enumerate(steps)
            if step is not None
        ]

    def _pitch(self, degree: int) -> int:
        octave, step = divmod(degree, 7)
        return self.piece.key + 12 * octave + SCALES[self.piece.mode][step]

    def _note(self, part: str, timbre: str, pitch: int, length_s: float) -> np.ndarray:
        key = (part, pitch, length_s)
        if key not in self._made:
            self._made[key] = sounds.note(timbre, 440.0 * 2 ** ((pitch - 69) / 12), length_s, self.hz, self.piece.brightness)
        return self._made[key]

    def _drum(self, name: str) -> np.ndarray:
        if (name,) not in self._made:
            rng = np.random.default_rng([self.piece.seed, 1, self.piece.number, len(name), self.hz])
            self._made[(name,)] = sounds.drum(name, rng, self.hz, self.piece.brightness)
        return self._made[(name,)]
