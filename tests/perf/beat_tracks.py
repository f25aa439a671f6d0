"""Seeded tracks with known beats, and seeded sound without beats, for the tests and measurements of the beat tracker.

Everything is made with numpy alone: notes with harmonics, drums of noise. A track lasts 28 s (UT-CMVMR's longest) at 16 kHz, is
rounded to 16 bits, so that it is the same on every machine, and is one of STYLES at 60 to 180 beats a minute.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from itertools import pairwise

import numpy as np

HZ = 16_000
DURATION_S = 28.0
CHORDS = ((0, 4, 7), (5, 9, 12), (7, 11, 14), (9, 12, 16))  # semitones above the key


@dataclass(frozen=True)
class Track:
    """wave: float32 mono. beats_s: empty where nothing beats."""

    name: str
    wave: np.ndarray
    beats_s: np.ndarray


@dataclass(frozen=True)
class Style:
    """One bar of drums, a character an eighth or a third of a beat: K kick, S snare, H hat, B kick and hat, O snare and hat.

    steps: to a beat. late: by how much of a step every second step comes late (swing). notes: how chords are played, 'held' once
    a bar, 'plucked' on every beat, 'arpeggio' one note a step, 'soft' with slow attacks on every beat.
    """

    drums: str
    notes: str
    steps: int = 2
    late: float = 0.0


STYLES = {
    "rock": Style("BHOHBBOH", "held"),
    "floor": Style("KHKHKHKH", "plucked"),
    "swing": Style("H.HHH.HH", "plucked", late=0.33),
    "waltz": Style("B.H.H.", "plucked"),
    "half_time": Style("BHHHOHHH", "arpeggio"),
    "trap": Style("BHHHHHBHOHHHHHHH", "held", steps=4),
    "dembow": Style("B..SK.S.B..SK.S.", "held", steps=4),
    "ballad": Style("K...S...", "arpeggio"),
    "shuffle": Style("B.HS.HB.HS.H", "plucked", steps=3),
    "plucked": Style("........", "plucked"),
    "arpeggio": Style("........", "arpeggio"),
    "strings": Style("........", "soft"),
    "hats": Style("HHHHHHHH", "none"),
    "faster": Style("BHOHBHOH", "plucked"),
    "rubato": Style("........", "plucked"),
    "step": Style("BHOHBBOH", "plucked"),
}
BEATLESS = ("pad", "hiss", "wind", "waves", "rain", "crowd", "chimes", "drone", "drips", "glide")


def tracks(seeds: range) -> list[Track]:
    """One track a seed and style; the tempi of a style's seeds spread over 60 to 180."""
    return [track(style, seed) for style in STYLES for seed in seeds]


def beatless(seeds: range) -> list[Track]:
    """One stretch of sound a seed and kind."""
    return [without_beats(kind, seed) for kind in BEATLESS for seed in seeds]


def track(style: str, seed: int) -> Track:
    rng = np.random.default_rng([list(STYLES).index(style), seed])
    tempo_bpm = 60 + 120 * ((seed * 0.381966 + rng.uniform(0, 0.2)) % 1)
    beats_s = _beat_times(style, tempo_bpm, rng)
    wave = np.zeros(round(DURATION_S * HZ))
    _drums(wave, STYLES[style], beats_s, rng)
    _notes(wave, STYLES[style], beats_s, rng)
    wave += 10 ** rng.uniform(-5, -3) * rng.standard_normal(len(wave))
    beats_s = beats_s[(beats_s >= 0) & (beats_s < DURATION_S)]
    return Track(f"{style}_{seed}_{tempo_bpm:.0f}", _sixteen_bits(wave, rng), beats_s)


def without_beats(kind: str, seed: int) -> Track:
    rng = np.random.default_rng([1000 + BEATLESS.index(kind), seed])
    return Track(f"{kind}_{seed}", _sixteen_bits(BEATLESS_SOUNDS[kind](rng), rng), np.zeros(0))


def _beat_times(style: str, tempo_bpm: float, rng: np.random.Generator) -> np.ndarray:
    """Beats from before the beginning to after the end, with a player's few milliseconds of unevenness."""
    num = int((DURATION_S + 4) * 200 / 60)
    intervals = np.full(num, 60 / tempo_bpm)
    place = np.cumsum(intervals) / DURATION_S
    if style == "faster":
        intervals /= 1 + 0.5 * np.clip(place, 0, 1)
    if style == "step":
        intervals /= np.where(place < 0.5, 1, 1.33)
    if style == "rubato":
        intervals *= 1 + 0.15 * np.sin(2 * np.pi * place * rng.uniform(1.5, 3))
    beats_s = np.cumsum(intervals) - intervals[0] + rng.uniform(-0.5, 0.5)
    return beats_s + rng.normal(0, rng.choice((0, 0.004, 0.01)), num)


def _drums(wave: np.ndarray, style: Style, beats_s: np.ndarray, rng: np.random.Generator) -> None:
    kit = {"K": _kick(rng), "S": _snare(rng), "H": _hat(rng)}
    kit["B"], kit["O"] = (np.append(kit[hit], np.zeros(0)) for hit in "KS")
    for drum in "BO":
        kit[drum][: len(kit["H"])] += kit["H"]
    gain = rng.uniform(0.3, 1)
    for time_s, number in _steps(style, beats_s):
        hit = style.drums[number % len(style.drums)]
        if hit != ".":
            _add(wave, kit[hit], time_s, gain * rng.uniform(0.8, 1))


def _notes(wave: np.ndarray, style: Style, beats_s: np.ndarray, rng: np.random.Generator) -> None:
    if style.notes == "none":
        return
    key, gain, dull = rng.integers(45, 60), rng.uniform(0.08, 0.25), rng.uniform(1, 2)
    attack_s = rng.uniform(0.03, 0.08) if style.notes == "soft" else rng.uniform(0.003, 0.02)
    beat_s = float(np.diff(beats_s).mean())
    hold_s = {"held": 4 * beat_s, "plucked": 0.7 * beat_s, "soft": beat_s, "arpeggio": 0.5 * beat_s}[style.notes]
    for time_s, number in _steps(style, beats_s):
        chord = CHORDS[number // (4 * style.steps) % 4]
        every = {"held": 4 * style.steps, "arpeggio": 1}.get(style.notes, style.steps)
        if number % every == 0:
            for semitone in chord[number % 3 :][:1] if style.notes == "arpeggio" else chord:
                _add(wave, gain * _note(int(key + semitone), round(hold_s, 2), round(attack_s, 3), round(dull, 1)), time_s)


def _steps(style: Style, beats_s: np.ndarray) -> list[tuple[float, int]]:
    """(time, number) of every step."""
    found = []
    for i, (beat_s, next_s) in enumerate(pairwise(beats_s)):
        for step in range(style.steps):
            part = (step + (style.late if step % 2 else 0)) / style.steps
            found.append((beat_s + part * (next_s - beat_s), i * style.steps + step))
    return found


@cache
def _note(pitch: int, length_s: float, attack_s: float, dull: float) -> np.ndarray:
    times_s = np.arange(round(length_s * HZ)) / HZ
    pitch_hz = 440 * 2 ** ((pitch - 69) / 12)
    envelope = np.minimum(1, times_s / attack_s) * np.exp(-1.5 * times_s / length_s) * np.minimum(1, 20 * (length_s - times_s))
    return envelope * sum(np.sin(2 * np.pi * k * pitch_hz * times_s) / k**dull for k in range(1, 9) if k * pitch_hz < HZ / 2)


def _kick(rng: np.random.Generator) -> np.ndarray:
    times_s = np.arange(HZ // 4) / HZ
    return np.sin(2 * np.pi * (rng.uniform(45, 60) * times_s - 3 * np.exp(-30 * times_s))) * np.exp(-14 * times_s)


def _snare(rng: np.random.Generator) -> np.ndarray:
    times_s = np.arange(HZ // 5) / HZ
    return 0.4 * rng.standard_normal(len(times_s)) * np.exp(-times_s / rng.uniform(0.03, 0.06))


def _hat(rng: np.random.Generator) -> np.ndarray:
    times_s = np.arange(HZ // 12) / HZ
    return 0.1 * np.diff(rng.standard_normal(len(times_s)), prepend=0) * np.exp(-times_s / rng.uniform(0.01, 0.03))


def _add(wave: np.ndarray, one: np.ndarray, time_s: float, gain: float = 1.0) -> None:
    start = round(time_s * HZ)
    if 0 <= start < len(wave):
        part = wave[start : start + len(one)]
        part += gain * one[: len(part)]


def _sixteen_bits(wave: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    loud = rng.uniform(0.05, 0.95) / np.abs(wave).max()
    return (np.round(wave * loud * 32767) / 32768).astype(np.float32)


def _band(rng: np.random.Generator, low_hz: float, high_hz: float) -> np.ndarray:
    """Noise between two frequencies, of unit power."""
    spectrum = np.fft.rfft(rng.standard_normal(round(DURATION_S * HZ)))
    hz = np.fft.rfftfreq(round(DURATION_S * HZ), 1 / HZ)
    noise = np.fft.irfft(spectrum / (1 + (low_hz / np.maximum(hz, 1)) ** 4) / (1 + (hz / high_hz) ** 4))
    return noise / noise.std()


def _slow(rng: np.random.Generator, points_a_s: float, depth: float) -> np.ndarray:
    """A level that wanders between 1 - depth and 1."""
    num = round(DURATION_S * HZ)
    points = rng.uniform(1 - depth, 1, max(4, round(points_a_s * DURATION_S)))
    return np.interp(np.arange(num), np.linspace(0, num, len(points)), points)


def _pad(rng: np.random.Generator) -> np.ndarray:
    """Chords that fade into each other, at no regular times."""
    wave, at_s, key = np.zeros(round(DURATION_S * HZ)), 0.0, int(rng.integers(40, 55))
    while at_s < DURATION_S:
        length_s = round(float(rng.uniform(3, 8)), 1)
        for semitone in CHORDS[rng.integers(4)]:
            _add(wave, _note(key + semitone, length_s, round(length_s / 3, 2), 1.5), at_s, rng.uniform(0.5, 1))
        at_s += length_s * rng.uniform(0.4, 0.7)
    return wave + 0.01 * _band(rng, 100, 3000)


def _scattered(rng: np.random.Generator, mean_s: float, one: Callable[[], np.ndarray]) -> np.ndarray:
    """The same kind of sound at random times, over a faint hiss."""
    wave = 0.002 * rng.standard_normal(round(DURATION_S * HZ))
    for time_s in np.cumsum(rng.exponential(mean_s, round(2 * DURATION_S / mean_s))):
        _add(wave, one(), float(time_s), rng.uniform(0.2, 1))
    return wave


def _drip(rng: np.random.Generator) -> np.ndarray:
    times_s = np.arange(HZ // 10) / HZ
    return np.sin(2 * np.pi * rng.uniform(600, 3000) * (times_s + 2 * times_s**2)) * np.exp(-times_s / rng.uniform(0.01, 0.03))


def _drone(rng: np.random.Generator) -> np.ndarray:
    times_s = np.arange(round(DURATION_S * HZ)) / HZ
    low_hz = rng.uniform(60, 200)
    tones = [np.sin(2 * np.pi * k * low_hz * times_s * rng.uniform(0.999, 1.001)) / k for k in range(1, 9)]
    return np.sum([_slow(rng, 0.3, 0.6) * tone for tone in tones], axis=0)


def _glide(rng: np.random.Generator) -> np.ndarray:
    """An engine that speeds up and slows down."""
    turns = np.cumsum(rng.uniform(40, 90) * _slow(rng, 0.4, 0.6)) / HZ
    tone = sum(np.sin(2 * np.pi * k * turns) / k for k in range(1, 20))
    return tone + 0.3 * _band(rng, 100, 2000)


BEATLESS_SOUNDS: dict[str, Callable[[np.random.Generator], np.ndarray]] = {
    "pad": _pad,
    "hiss": lambda rng: rng.standard_normal(round(DURATION_S * HZ)),
    "wind": lambda rng: _band(rng, 60, rng.uniform(300, 900)) * _slow(rng, 0.6, 0.8),
    "waves": lambda rng: _band(rng, 100, 3000) * _slow(rng, 0.3, 0.95),
    "rain": lambda rng: _band(rng, 900, 7000) * _slow(rng, 2, 0.1) + _scattered(rng, 0.05, lambda: 2 * _drip(rng)),
    "crowd": lambda rng: _band(rng, 250, 2200) * _slow(rng, 6, rng.uniform(0.2, 0.6)),
    "chimes": lambda rng: _scattered(rng, rng.uniform(0.3, 1.2), lambda: _note(int(rng.integers(72, 96)), 1.5, 0.002, 2.0)),
    "drone": _drone,
    "drips": lambda rng: _scattered(rng, rng.uniform(0.15, 0.8), lambda: _drip(rng)),
    "glide": _glide,
}
