"""Single sounds made with numpy: notes of several timbres, drums, and ambience; float32 of shape (N,). All numbers are ours."""

from __future__ import annotations

from functools import cache

import numpy as np

TABLE = 2048  # samples in one cycle of a wave table, a power of two
FADE_S = 5.0  # longer than any note
AMBIENCES = ("wind", "rain", "crowd", "waves")

# Share of each harmonic k = 1, 2, ...; attack and decay in seconds (decay 0: held until the note ends).
_TIMBRES = {
    "saw": (lambda k: 1 / k, 0.005, 0.35),
    "sine": (lambda k: np.where(k == 1, 1.0, 0.15 / k**2), 0.005, 0.6),
    "square": (lambda k: (k % 2) / k, 0.005, 0.45),
    "strings": (lambda k: 1 / k**1.2, 0.12, 0.0),
    "organ": (lambda k: np.where(np.isin(k, (1, 2, 4, 8)), 0.6, 0.05) / np.sqrt(k), 0.01, 0.0),
    "stab": (lambda k: 1 / k, 0.003, 0.10),
    "pluck": (lambda k: 1 / k**1.1, 0.002, 0.16),
    "bell": (lambda k: np.where(np.isin(k, (1, 3, 7)), 1 / k**0.7, 0.0), 0.002, 0.5),
    "flute": (lambda k: 1 / k**2.2, 0.03, 0.0),
    "piano": (lambda k: 1 / k**1.5, 0.003, 0.5),
}


def add(sound: np.ndarray, one: np.ndarray, at: int, gain: float) -> None:
    """Adds `one` to `sound` in place from sample `at` on; what lies outside is cut off."""
    first, last = max(at, 0), min(at + len(one), len(sound))
    if first < last:
        sound[first:last] += np.float32(gain) * one[first - at : last - at]


def note(timbre: str, pitch_hz: float, length_s: float, hz: int, brightness: float) -> np.ndarray:
    """A note: a bright wave table that fades into a dull one. brightness in [0, 1] sets the number of harmonics."""
    _, attack_s, decay_s = _TIMBRES[timbre]
    count = round((length_s + 0.05) * hz)
    time_s = np.arange(count, dtype=np.float32) / np.float32(hz)
    harmonics = max(2, min(int(3 + 25 * brightness), int(9000 / pitch_hz)))
    turns = np.arange(count, dtype=np.uint32) * np.uint32(round(pitch_hz / hz * 2**32))  # of the wave; whole ones fall off
    index = turns >> np.uint32(32 - TABLE.bit_length() + 1)
    bright, dull = _table(timbre, harmonics)[index], _table(timbre, 2)[index]
    envelope = np.minimum(time_s / np.float32(attack_s), 1) * np.clip((length_s + 0.05 - time_s) * np.float32(20), 0, 1)
    if decay_s:
        envelope *= _fade(hz, decay_s)[:count]
    return (dull + _fade(hz, 1 / 6)[:count] * (bright - dull)) * envelope


@cache
def _fade(hz: int, decay_s: float) -> np.ndarray:
    """exp(-t / decay_s) over FADE_S, float32."""
    return np.exp(-np.arange(round(FADE_S * hz), dtype=np.float32) / np.float32(hz * decay_s))


@cache
def _table(timbre: str, harmonics: int) -> np.ndarray:
    """One cycle of a wave with so many harmonics, float32 (TABLE,), of equal power for all."""
    share, _, _ = _TIMBRES[timbre]
    k = np.arange(1, harmonics + 1)[:, None]
    wave = (share(k) * np.sin(2 * np.pi * k * np.arange(TABLE) / TABLE)).sum(axis=0)
    return (wave / np.sqrt((wave**2).mean()) / 1.6).astype(np.float32)


def drum(name: str, rng: np.random.Generator, hz: int, brightness: float) -> np.ndarray:
    """'kick', 'snare' or 'hat', a little different in each song."""
    if name == "kick":
        t = np.arange(round(0.28 * hz)) / hz
        low, sweep = rng.uniform(42, 60), rng.uniform(90, 160)
        phase = 2 * np.pi * (low * t - sweep / 35 * np.exp(-35 * t) + sweep / 35)
        return (1.3 * np.sin(phase) * np.exp(-t / 0.09)).astype(np.float32)
    t = np.arange(round((0.18 if name == "snare" else 0.07) * hz)) / hz
    noise = rng.standard_normal(len(t))
    if name == "snare":
        tone = np.sin(2 * np.pi * rng.uniform(160, 220) * t) * np.exp(-t / 0.05)
        return (0.6 * tone + 0.5 * noise * np.exp(-t / rng.uniform(0.03, 0.06))).astype(np.float32)
    high = np.diff(np.diff(noise, prepend=0), prepend=0)  # twice differenced: only the highs stay
    return (0.35 * (0.4 + brightness) * high * np.exp(-t / rng.uniform(0.008, 0.02))).astype(np.float32)


def ambience(kind: str, rng: np.random.Generator, length_s: float, hz: int) -> np.ndarray:
    """Sound of a place without music: 'wind', 'rain', 'crowd' (far, no words) or 'waves'."""
    n = round(length_s * hz)
    low_hz, high_hz, rate_hz, depth = {
        "wind": (60, 600, 0.3, 0.7),
        "rain": (900, 9000, 1.0, 0.1),
        "crowd": (250, 2200, 3.0, 0.25),
        "waves": (100, 3000, 0.15, 0.9),
    }[kind]
    sound = _band(rng, n, hz, low_hz, high_hz)
    slow = np.interp(np.arange(n), np.linspace(0, n, max(3, int(length_s * rate_hz * 2) + 2)),
                     rng.uniform(1 - depth, 1, max(3, int(length_s * rate_hz * 2) + 2)))  # fmt: skip
    return (0.12 * sound * slow).astype(np.float32)


def _band(rng: np.random.Generator, n: int, hz: int, low_hz: float, high_hz: float) -> np.ndarray:
    """Noise between two frequencies with soft edges, of unit power."""
    size = 1 << (n - 1).bit_length()
    spectrum = np.fft.rfft(rng.standard_normal(size))
    f = np.fft.rfftfreq(size, 1 / hz)
    noise = np.fft.irfft(spectrum / (1 + (low_hz / np.maximum(f, 1)) ** 4) / (1 + (f / high_hz) ** 4))[:n]
    return noise / noise.std()
