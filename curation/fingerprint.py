"""What a clip sounds like, to be looked up: the words of Chromaprint at thirteen speeds, and the peaks of curation.landmarks.

The words are those of Chromaprint 1.5 (its default algorithm, "test2"), computed here from one short-time spectrum, so that
nothing need be installed beside numpy: 12 chroma bands of spectra 0.37 s long, smoothed over 5 frames; 16 differences of areas of
that picture, up to 16 frames wide, each told as one of 4 levels. At the speed 1 they are the library's own, but for rounding.

Chromaprint itself does not stand a change of speed or pitch. So the words are made for the clip played at SPEEDS as well: that
moves every frequency to another band and sets the frames closer or wider, and needs no resampling and no second spectrum.

Axes: N samples, T frames, F frequencies, 12 bands, W words.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np

from curation import landmarks
from curation.spectra import finite_wave
from svmbench.media import ClipMedia, Needs

HZ = (
    11_025  # this and what follows: Chromaprint 1.5.1, src/fingerprinter_configuration.cpp, src/chroma.cpp, src/chroma_filter.cpp
)
FRAME, HOP = 4096, 1365
LOW_HZ, HIGH_HZ, BASE_HZ = 28, 3520, 27.5
SMOOTH = (0.25, 0.75, 1.0, 0.75, 0.25)
QUIET = 0.01  # a frame below this norm has no chroma
WIDEST = 16  # frames of the widest area
AREAS: tuple[tuple[tuple[int, int, int, int], tuple[float, float, float]], ...] = (  # (kind, band, bands, frames), (levels)
    ((0, 4, 3, 15), (1.98215, 2.35817, 2.63523)),
    ((4, 4, 6, 15), (-1.03809, -0.651211, -0.282167)),
    ((1, 0, 4, 16), (-0.298702, 0.119262, 0.558497)),
    ((3, 8, 2, 12), (-0.105439, 0.0153946, 0.135898)),
    ((3, 4, 4, 8), (-0.142891, 0.0258736, 0.200632)),
    ((4, 0, 3, 5), (-0.826319, -0.590612, -0.368214)),
    ((1, 2, 2, 9), (-0.557409, -0.233035, 0.0534525)),
    ((2, 7, 3, 4), (-0.0646826, 0.00620476, 0.0784847)),
    ((2, 6, 2, 16), (-0.192387, -0.029699, 0.215855)),
    ((2, 1, 3, 2), (-0.0397818, -0.00568076, 0.0292026)),
    ((5, 10, 1, 15), (-0.53823, -0.369934, -0.190235)),
    ((3, 6, 2, 10), (-0.124877, 0.0296483, 0.139239)),
    ((2, 1, 1, 14), (-0.101475, 0.0225617, 0.231971)),
    ((3, 5, 6, 4), (-0.0799915, -0.00729616, 0.063262)),
    ((1, 9, 2, 12), (-0.272556, 0.019424, 0.302559)),
    ((3, 4, 2, 14), (-0.164292, -0.0321188, 0.0846339)),
)
GRAY = np.array([0, 1, 3, 2], np.uint32)
STEP = 1.02  # ours, as measured for the sweep that was resampled
SPEEDS = tuple(STEP**k for k in range(-6, 7))
NORMAL = len(SPEEDS) // 2  # the place of speed 1
LONGEST_S = 60  # ours: of a longer clip only the beginning is known
NEEDS = Needs(audio_hz=(HZ,))


def of(clip: ClipMedia) -> tuple[bytes, bytes]:
    """(words, landmarks) of the clip for records.Fingerprint; both empty where there is nothing to tell songs by."""
    wave_N = finite_wave(clip, HZ)[: LONGEST_S * HZ]
    peaks_P = landmarks.peaks(wave_N)
    return (pack(words(wave_N)), landmarks.pack(peaks_P)) if len(peaks_P) else (b"", b"")


def pack(words_SW: Sequence[np.ndarray]) -> bytes:
    """The number of words at each speed, then all words; little-endian, 4 bytes each. Empty where there are none."""
    if not any(map(len, words_SW)):
        return b""
    return np.concatenate([[len(one) for one in words_SW], *words_SW]).astype("<u4").tobytes()


def unpack(packed: bytes) -> list[np.ndarray]:
    """The opposite of pack: uint32 words, an array a speed."""
    values = np.frombuffer(packed, "<u4")
    if not len(values):
        return [values] * len(SPEEDS)
    return np.split(values[len(SPEEDS) :], np.cumsum(values[: len(SPEEDS)])[:-1])


def words(wave_N: np.ndarray, speeds: Sequence[float] = SPEEDS) -> list[np.ndarray]:
    """Chromaprint's words of a wave of HZ as if it were played at each speed, uint32 of shape (W,) each.

    A clip shorter than 2.7 s has none. Silence is told by words like any other sound: who compares has to leave it out.
    """
    at_T, power_TF = _spectra(wave_N)
    found = []
    for speed in speeds:
        bands_T12 = power_TF @ _bands(speed)
        frames = max(0, int((len(wave_N) / speed - FRAME) // HOP) + 1)
        wanted = np.minimum(speed * HOP * np.arange(frames), at_T[-1] if len(at_T) else 0)
        found.append(_words(_between(at_T, bands_T12, wanted)))
    return found


def _spectra(wave_N: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(first sample of each frame, power of each frame), two frames a hop."""
    whole, between = (_frames(wave_N[first:]) for first in (0, HOP // 2))
    at = np.concatenate([HOP * np.arange(len(whole)), HOP // 2 + HOP * np.arange(len(between))])
    order = np.argsort(at)
    return at[order], np.concatenate([whole, between])[order]


def _frames(wave_N: np.ndarray) -> np.ndarray:
    if len(wave_N) < FRAME:
        return np.zeros((0, FRAME // 2 + 1), np.float32)
    frames = np.lib.stride_tricks.sliding_window_view(wave_N, FRAME)[::HOP]
    spectrum = np.fft.rfft(frames * np.hamming(FRAME).astype(np.float32))
    return (spectrum.real**2 + spectrum.imag**2).astype(np.float32)


@cache
def _bands(speed: float) -> np.ndarray:
    """Which frequency belongs to which band at this speed, 0 or 1, float32 of shape (F, 12)."""
    first, last = (round(FRAME * hz / HZ) for hz in (LOW_HZ, HIGH_HZ))
    number_F = np.arange(FRAME // 2 + 1)
    octaves_F = np.log2(np.maximum(number_F, 1) * speed * HZ / FRAME / BASE_HZ)
    inside_F = (number_F * speed >= first) & (number_F * speed < last)
    band_F = (12 * (octaves_F - np.floor(octaves_F))).astype(int)
    return ((band_F[:, None] == np.arange(12)) & inside_F[:, None]).astype(np.float32)


def _between(at_T: np.ndarray, rows_TK: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Rows at other places, on straight lines between the two beside them."""
    if not len(at_T):
        return np.zeros((0, rows_TK.shape[1]))
    right = np.clip(np.searchsorted(at_T, wanted), 1, len(at_T) - 1) if len(at_T) > 1 else np.zeros(len(wanted), int)
    left = np.maximum(right - 1, 0)
    share = ((wanted - at_T[left]) / np.maximum(at_T[right] - at_T[left], 1))[:, None]
    return (1 - share) * rows_TK[left] + share * rows_TK[right]


def _words(bands_T12: np.ndarray) -> np.ndarray:
    rows = len(bands_T12) - len(SMOOTH) + 1
    if rows < WIDEST:
        return np.zeros(0, np.uint32)
    chroma = np.sum([weight * bands_T12[i : i + rows] for i, weight in enumerate(SMOOTH)], axis=0)
    norm = np.sqrt((chroma**2).sum(axis=1, keepdims=True))
    chroma = np.where(norm < QUIET, 0.0, chroma / np.maximum(norm, QUIET))
    sums = np.zeros((rows + 1, 13))
    np.cumsum(np.cumsum(chroma, axis=0), axis=1, out=sums[1:, 1:])
    found = np.zeros(rows - WIDEST + 1, np.uint32)
    for area, levels in AREAS:
        level = np.searchsorted(np.array(levels), _difference(sums, len(found), *area), side="right")
        found = found << np.uint32(2) | GRAY[level]
    return found


def _difference(sums: np.ndarray, count: int, kind: int, band: int, bands: int, frames: int) -> np.ndarray:
    """log((1 + a) / (1 + b)) of the two parts of an area, for each of its first places in time; sums: the integral image."""

    def part(t0: int, t1: int, b0: int, b1: int) -> np.ndarray:
        rows = slice(t0, t0 + count), slice(t1, t1 + count)
        low, high = band + b0, band + b1
        return np.asarray(sums[rows[1], high] - sums[rows[0], high] - sums[rows[1], low] + sums[rows[0], low])

    t2, t3, b2, b3 = frames // 2, frames // 3, bands // 2, bands // 3
    zero = np.zeros(count)
    a, b = {
        0: lambda: (part(0, frames, 0, bands), zero),
        1: lambda: (part(0, frames, b2, bands), part(0, frames, 0, b2)),
        2: lambda: (part(t2, frames, 0, bands), part(0, t2, 0, bands)),
        3: lambda: (part(0, t2, b2, bands) + part(t2, frames, 0, b2), part(0, t2, 0, b2) + part(t2, frames, b2, bands)),
        4: lambda: (part(0, frames, b3, 2 * b3), part(0, frames, 0, b3) + part(0, frames, 2 * b3, bands)),
        5: lambda: (part(t3, 2 * t3, 0, bands), part(0, t3, 0, bands) + part(2 * t3, frames, 0, bands)),
    }[kind]()
    return np.log((1 + a) / (1 + b))


EMPTY = _words(np.zeros((len(SMOOTH) + WIDEST - 1, 12)))[0]  # the word of silence
