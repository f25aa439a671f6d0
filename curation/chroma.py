"""Chroma: how much of each of the twelve pitch classes sounds, from a spectrum or from a constant-Q transform.

Formulas and constants are those of librosa 0.11 (`chroma_stft`, `chroma_cens`), which the tests compare with.
Axes: T frames, F frequency bins, Q constant-Q bins of an octave, C pitch classes beginning at C.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import soxr

from curation.spectra import FRAMES_CACHED, framed, hann

A0_HZ = 440 / 16
C1_HZ = 440 * 2 ** (-45 / 12)  # 32.7 Hz, the lowest tone of the constant-Q transform
NUM_OCTAVES = 7
BINS_PER_OCTAVE = 36
QUIET = 1e-8  # frames this far below the loudest are silent (ours): librosa scales up the rounding noise of its resampler there


def tuning(spectra_TF: np.ndarray, hz: int, bins_per_octave: int) -> float:
    """How far the tones lie beside A = 440 Hz, in bins of an octave, in [-0.5, 0.5): the fullest hundredth over all spectral
    peaks.

    spectra_TF: magnitudes or powers. A peak is a local maximum of 150 to 4000 Hz above a tenth of its frame's maximum; its
    place and height are refined by a parabola, and peaks under the median height are left out. 0 where there is no peak.
    """
    bin_hz = hz / (2 * (spectra_TF.shape[1] - 1))
    low, high = int(np.ceil(150 / bin_hz)), int(np.ceil(min(4000, hz / 2) / bin_hz))
    left, mid, right = (spectra_TF[:, low + shift : high + shift] for shift in (-1, 0, 1))
    loud = mid > 0.1 * spectra_TF.max(axis=1, keepdims=True)
    frame, place = np.nonzero((mid > left) & (mid >= right) & loud)
    left, mid, right = (part[frame, place] for part in (left, mid, right))
    curve, slope = left + right - 2 * mid, (right - left) / 2
    shift = np.where(np.abs(slope) < np.abs(curve), -slope / np.where(curve == 0, 1, curve), 0)
    height = mid + 0.5 * slope * shift
    if not len(height):
        return 0.0
    tones_hz = ((low + place + shift) * bin_hz).astype(np.float32)[height >= np.median(height)]
    beside = np.mod(bins_per_octave * np.log2(tones_hz / np.float32(A0_HZ)), np.float32(1))
    beside[beside >= 0.5] -= 1
    counts, edges = np.histogram(beside, np.linspace(-0.5, 0.5, 101))
    return float(edges[np.argmax(counts)])


def chroma(power_TF: np.ndarray, hz: int) -> np.ndarray:
    """(T, 12): the power folded to pitch classes, each frame divided by its maximum; silent frames are 0."""
    raw_TC = power_TF @ _bank(hz, 2 * (power_TF.shape[1] - 1), tuning(power_TF, hz, 12))
    return _normalised(raw_TC, raw_TC.max(axis=1, keepdims=True))


@lru_cache(maxsize=128)
def _bank(hz: int, n_fft: int, tuned: float) -> np.ndarray:
    """Gaussian bumps of one semitone around each pitch class, columns of unit length, weighted by closeness to octave 5."""
    tones_hz = np.linspace(0, hz, n_fft, endpoint=False)[1:]
    semitones = 12 * np.log2(tones_hz / (A0_HZ * 2 ** (tuned / 12)))
    semitones = np.concatenate([[semitones[0] - 18], semitones])
    widths = np.append(np.maximum(np.diff(semitones), 1), 1)
    away = np.remainder(semitones[:, None] - np.arange(12) + 126, 12) - 6
    bumps = np.exp(-0.5 * (2 * away / widths[:, None]) ** 2)
    bumps /= np.linalg.norm(bumps, axis=1, keepdims=True)
    bumps *= np.exp(-0.5 * ((semitones / 12 - 5) / 2) ** 2)[:, None]
    return np.roll(bumps, -3, axis=1)[: n_fft // 2 + 1].astype(np.float32)


def cens(wave: np.ndarray, hz: int, hop: int, tuned: float) -> np.ndarray:
    """(T, 12): chroma energy normalised statistics (Müller 2007). Pitch classes from seven octaves of constant Q, shares of the
    frame quantised in four steps, smoothed over 41 frames, frames of unit length. tuned: in bins of 36 an octave."""
    folded_TC = _constant_q_chroma(wave, hz, hop, tuned)
    total = folded_TC.sum(axis=1, keepdims=True)
    share_TC = _normalised(np.where(total > QUIET * total.max(), folded_TC, 0), total)
    steps_TC = np.sum([0.25 * (share_TC > step) for step in (0.4, 0.2, 0.1, 0.05)], axis=0)
    window = np.sin(np.pi * np.arange(1, 42) / 42) ** 2  # the ends of a Hann window of 43 are 0
    padded_CT = np.pad(steps_TC.T, ((0, 0), (20, 20)))
    smooth_TC = np.stack([np.convolve(row, window / window.sum(), "valid") for row in padded_CT], axis=1)
    return _normalised(smooth_TC, np.linalg.norm(smooth_TC, axis=1, keepdims=True))


def _constant_q_chroma(wave: np.ndarray, hz: int, hop: int, tuned: float) -> np.ndarray:
    """(T, 12): magnitudes of 7 x 36 constant-Q bins, three to a pitch class, added over the octaves.

    Every octave uses the top octave's filters on the wave at half the rate of the octave above, so hop must be a multiple of 64.
    """
    tones_N2Q = _octave_tones(hz, tuned)
    n_fft = len(tones_N2Q)
    num_frames = 1 + len(wave) // hop
    total_TQ = np.zeros((num_frames, BINS_PER_OCTAVE), np.float32)
    for octave in range(NUM_OCTAVES):
        if octave:
            wave = _half_rate(wave)
        frames_TN = framed(np.pad(wave, n_fft // 2), n_fft, hop >> octave)[:num_frames]
        for start in range(0, len(frames_TN), FRAMES_CACHED):
            parts_TQ = (np.ascontiguousarray(frames_TN[start : start + FRAMES_CACHED]) @ tones_N2Q).view(np.complex64)
            total_TQ[start : start + len(parts_TQ)] += np.abs(parts_TQ) * np.float32(2 ** (octave / 2))
    return np.roll(total_TQ, 1, axis=1).reshape(num_frames, 12, 3).sum(axis=2)


@lru_cache(maxsize=128)
def _octave_tones(hz: int, tuned: float) -> np.ndarray:
    """The 36 windowed tones of the top octave, their real and imaginary parts in turn, (N, 2 x 36) float32: what a frame is
    multiplied with. Of each tone's spectrum the weakest parts that sum to 1 % are left out.
    """
    tones_hz = C1_HZ * 2 ** (NUM_OCTAVES - 1 + (np.arange(BINS_PER_OCTAVE) + tuned) / BINS_PER_OCTAVE)
    ratio = 2 ** (2 / BINS_PER_OCTAVE)
    lengths = (ratio + 1) / (ratio - 1) * hz / tones_hz
    n_fft = 2 ** int(np.ceil(np.log2(lengths.max())))
    basis_NQ = np.zeros((n_fft, BINS_PER_OCTAVE), complex)
    for q, (length, tone_hz) in enumerate(zip(lengths, tones_hz, strict=True)):
        places = np.arange(np.floor(-length / 2), np.floor(length / 2))
        tone = np.exp(2j * np.pi * tone_hz / hz * places) * hann(len(places))
        tone *= length / n_fft / np.abs(tone).sum() / np.sqrt(length)
        before = (n_fft - len(places)) // 2
        spectrum = np.fft.fft(np.pad(tone, (before, n_fft - len(places) - before)))[: n_fft // 2 + 1]
        sizes = np.sort(np.abs(spectrum))
        weakest = np.argmin(np.cumsum(sizes / sizes.sum()) < 0.01)
        strong = np.where(np.abs(spectrum) >= sizes[weakest], spectrum, 0)
        basis_NQ[:, q] = np.fft.fft(strong, n_fft)
    return basis_NQ.astype(np.complex64).view(np.float32)


def _half_rate(wave: np.ndarray) -> np.ndarray:
    """The wave at half its rate, ceil(N / 2) samples of it."""
    size = -(-len(wave) // 2)
    half = soxr.resample(wave, 2, 1, quality="soxr_hq")[:size]
    return half if len(half) == size else np.pad(half, (0, size - len(half)))


def _normalised(rows: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    return rows / np.where(lengths < np.finfo(np.float32).tiny, 1, lengths)
