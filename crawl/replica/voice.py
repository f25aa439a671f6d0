"""A voice without words: glottal pulses and noise through moving formants, in syllables, phrases and pauses.

The script (which syllable when) is drawn first and is cheap; `speak` turns it into sound. Formants are round textbook values for
an adult speaker; everything else is ours, tuned until a speech detector (silero-vad 6.2) took it for speech.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

HZ = 16_000  # a voice has little above 8 kHz
HOP, WINDOW, FFT = 80, 320, 1024  # samples: 5 ms, 20 ms
VOWELS = {  # first three formants in Hz
    "a": (730, 1150, 2450), "e": (530, 1840, 2500), "i": (290, 2250, 3000), "o": (560, 880, 2400), "u": (320, 900, 2250),
    "ae": (670, 1700, 2400), "er": (490, 1350, 1750),
}  # fmt: skip
CONSONANTS = {  # formants that the vowel comes from; voiced level; noise level, centre in Hz, width in Hz; length in s
    "s": ((320, 1700, 2600), 0.0, 0.30, 6000, 1500, 0.10),
    "sh": ((320, 1800, 2400), 0.0, 0.30, 3300, 1200, 0.10),
    "f": ((320, 1100, 2200), 0.0, 0.10, 4500, 4000, 0.08),
    "z": ((320, 1700, 2600), 0.25, 0.15, 5500, 1500, 0.07),
    "t": ((320, 1800, 2700), 0.0, 0.25, 4000, 2500, 0.06),
    "k": ((320, 2000, 2400), 0.0, 0.25, 2000, 1000, 0.07),
    "b": ((250, 900, 2200), 0.12, 0.05, 900, 800, 0.05),
    "d": ((250, 1700, 2700), 0.12, 0.08, 3500, 2500, 0.05),
    "m": ((250, 1100, 2200), 0.40, 0.0, 1000, 1000, 0.07),
    "n": ((250, 1500, 2500), 0.40, 0.0, 1000, 1000, 0.06),
    "l": ((360, 1200, 2700), 0.55, 0.0, 1000, 1000, 0.06),
    "r": ((350, 1250, 1700), 0.55, 0.0, 1000, 1000, 0.06),
    "w": ((300, 700, 2200), 0.55, 0.0, 1000, 1000, 0.06),
    "h": ((500, 1500, 2500), 0.05, 0.12, 1500, 2000, 0.05),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Syllable:
    """One consonant and one vowel. pitch_hz at its middle; loud in [0, 1]."""

    start_s: float
    end_s: float
    consonant: str
    vowel: str
    pitch_hz: float
    loud: float


def script(rng: np.random.Generator, start_s: float, end_s: float) -> tuple[Syllable, ...]:
    """Phrases of four to eleven syllables with short pauses, from start_s to at most end_s."""
    base_hz = float(rng.choice((rng.uniform(95, 135), rng.uniform(175, 225))))
    pace = rng.uniform(0.85, 1.15)
    found: list[Syllable] = []
    at = start_s
    while True:
        count = int(rng.integers(4, 12))
        for i in range(count):
            last = i == count - 1
            length = pace * rng.uniform(0.13, 0.23) * (1.5 if last else 1.0)
            if at + length > end_s:
                return tuple(found)
            accent = rng.random() < 0.3
            pitch = base_hz * (1.15 - 0.35 * i / count) * (1.18 if accent else 1) * np.exp(rng.normal(0, 0.03))
            found.append(
                Syllable(
                    start_s=round(at, 3),
                    end_s=round(at + length, 3),
                    consonant=str(rng.choice(list(CONSONANTS))),
                    vowel=str(rng.choice(list(VOWELS))),
                    pitch_hz=round(float(pitch), 1),
                    loud=round(float((1.0 if accent else 0.75) * rng.uniform(0.8, 1.0)), 3),
                )
            )
            at += length
        at += rng.uniform(0.15, 0.4)


def spans(syllables: tuple[Syllable, ...]) -> list[tuple[float, float]]:
    """(start_s, end_s) of the phrases."""
    found: list[tuple[float, float]] = []
    for s in syllables:
        if found and s.start_s - found[-1][1] < 0.05:
            found[-1] = (found[-1][0], s.end_s)
        else:
            found.append((s.start_s, s.end_s))
    return found


def speak(syllables: tuple[Syllable, ...], duration_s: float, rng: np.random.Generator) -> np.ndarray:
    """The voice at HZ, float32 of shape (N,), with an RMS of 0.1 while it speaks."""
    n = round(duration_s * HZ)
    tracks = _tracks(syllables, n // HOP + 1)
    pulses = _pulses(tracks["pitch"], n, rng)
    noise = rng.standard_normal(n) * 0.3
    f = np.fft.rfftfreq(FFT, 1 / HZ)
    formants = _formants(tracks, f)
    voiced = _stft(pulses + 0.04 * noise) * formants * tracks["voice"][:, None]
    hiss = np.exp(-(((f - tracks["centre"][:, None]) / tracks["width"][:, None]) ** 2))
    sound = _istft(voiced + _stft(noise) * hiss * tracks["noise"][:, None], n)
    loud = np.repeat(tracks["voice"] > 0.05, HOP)[:n]
    return (0.1 * sound / np.sqrt((sound[: len(loud)][loud] ** 2).mean() + 1e-12)).astype(np.float32)


def _tracks(syllables: tuple[Syllable, ...], count: int) -> dict[str, np.ndarray]:
    """Each parameter over time in hops of 5 ms, straight lines between the points that the syllables set."""
    names = ("f1", "f2", "f3", "voice", "noise", "centre", "width", "pitch")
    rows: list[tuple[float, ...]] = [(-1.0, 500, 1500, 2500, 0, 0, 1000, 1000, 120)]
    for s in syllables:
        onset, level, hiss, centre, width, length = CONSONANTS[s.consonant]
        start, end = s.start_s, s.end_s
        open_s = start + min(length, 0.45 * (end - start))
        vowel = VOWELS[s.vowel]
        rows += [
            (start + 0.004, *onset, level * s.loud, hiss * s.loud, centre, width, s.pitch_hz * 0.97),
            (open_s - 0.012, *onset, level * s.loud, hiss * s.loud, centre, width, s.pitch_hz * 0.99),
            (open_s + 0.022, *vowel, s.loud, 0.0, centre, width, s.pitch_hz * 1.02),
            (end - 0.035, *vowel, 0.85 * s.loud, 0.0, centre, width, s.pitch_hz),
            (end, *vowel, 0.25 * s.loud, 0.0, centre, width, s.pitch_hz * 0.96),
            (end + 0.03, *vowel, 0.0, 0.0, centre, width, s.pitch_hz * 0.94),
        ]
    rows.sort()
    table = np.array(rows)
    times = np.arange(count) * HOP / HZ
    return {name: np.interp(times, table[:, 0], table[:, i + 1]) for i, name in enumerate(names)}


def _pulses(pitch_hz: np.ndarray, n: int, rng: np.random.Generator) -> np.ndarray:
    """The derivative of the flow through the glottis: a slow opening, a sharp closing, and a little jitter."""
    pitch = np.interp(np.arange(n), np.arange(len(pitch_hz)) * HOP, pitch_hz)
    slow = np.interp(np.arange(n), np.arange(0, n + 200, 200), rng.normal(0, 0.012, len(np.arange(0, n + 200, 200))))
    phase = np.mod(np.cumsum(pitch * (1 + slow)) / HZ, 1.0)
    opening = np.where(phase < 0.4, np.sin(np.pi * phase / 0.4), 0.0)
    closing = np.where((phase >= 0.4) & (phase < 0.56), -2.4 * np.sin(np.pi * (phase - 0.4) / 0.16), 0.0)
    return opening + closing


def _formants(tracks: dict[str, np.ndarray], f: np.ndarray) -> np.ndarray:
    """The response (hops, frequencies) of five resonators in a row."""
    response = np.ones((len(tracks["f1"]), len(f)), np.complex64)
    s = (2j * np.pi * f).astype(np.complex64)
    fixed = np.ones_like(tracks["f1"])
    for centre, width in (
        (tracks["f1"], 70), (tracks["f2"], 100), (tracks["f3"], 140), (3500 * fixed, 220), (4600 * fixed, 300),
    ):  # fmt: skip
        pole = (-np.pi * width + 2j * np.pi * centre[:, None]).astype(np.complex64)
        response *= np.abs(pole) ** 2 / ((s - pole) * (s - np.conj(pole)))
    return response


def _stft(sound: np.ndarray) -> np.ndarray:
    padded = np.pad(sound, (WINDOW, WINDOW))
    frames = np.lib.stride_tricks.sliding_window_view(padded, WINDOW)[WINDOW // 2 :: HOP][: len(sound) // HOP + 1]
    return np.fft.rfft(frames * np.hanning(WINDOW + 1)[:-1], FFT, axis=1)


def _istft(spectra: np.ndarray, n: int) -> np.ndarray:
    frames = np.fft.irfft(spectra, FFT, axis=1)
    sound = np.zeros(len(frames) * HOP + FFT)
    for i, frame in enumerate(frames):
        sound[i * HOP : i * HOP + FFT] += frame
    return sound[WINDOW // 2 : WINDOW // 2 + n] * (2 * HOP / WINDOW)
