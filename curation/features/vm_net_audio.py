"""The 1140 numbers that VM-NET reads of the music (Hong 2018, arXiv 1804.08202; described by the authors'
librosa_feature.py).

The 29.12 s around the middle at 12 kHz, zeros after a shorter clip; split into harmonic and percussive sound by medians over
time and over frequency (FFT 2048, hop 512, 31 neighbours); of each, 190 rows on 1366 frames (FFT 512, hop 256; the cepstrum
FFT 2048): chroma 12, CENS 12, mel 96, cepstrum 20 with its first and second differences 20 + 20, level 1, centroid 1,
bandwidth 1, roll-off 1, the coefficients of a line 2 and a parabola 3 through the spectrum, zero crossings 1. The absolute
values of each block go to decibels re its maximum, and every row gives its mean, variance and maximum: 2 x 190 x 3 = 1140.

Kept as the authors have it: the 96 mel bands are laid out for 22,050 Hz though the wave has 12,000, so each hears 0.54 of
the frequencies it is named after; and amplitudes pass through 10 log10 like powers. Not to be had: the authors used librosa
of 2017 and left no reference vectors; the numbers here are those of librosa 0.11, whose differences are Savitzky-Golay's.
Silence around the sound costs nothing: it is not transformed, its frames are 0 before the decibels.

Axes: T frames, F frequency bins, N samples; blocks have their rows in columns.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import scipy.fft

from curation.chroma import cens, chroma, tuning
from curation.medians import running_median
from curation.spectra import decibels, heard_wave, in_bands, istft, magnitudes, mel_bank, sizes_of, stft
from svmbench.media import ClipMedia, Needs
from svmbench.records import Features

HZ = 12_000
LENGTH = 349_440  # samples, 29.12 s
N_FFT, HOP = 512, 256
WIDE_FFT, HPSS_HOP = 2048, 512  # librosa's defaults, which the authors left in place
NUM_FRAMES = 1 + LENGTH // HOP
MEL_HZ = 22_050  # the authors' call leaves librosa's default rate in place
TAIL = 20_480  # samples after the sound that some filter still reaches: 2048 of the split, 16,384 of the lowest constant-Q bins

DIM = 1140
MODALITY = "music"
NEEDS = Needs(audio_hz=(HZ,))


def extract(clip: ClipMedia) -> Features:
    """One row for the whole clip."""
    wave = heard_wave(clip, HZ)
    return Features(values_TD=describe(wave)[None].astype(np.float32), hop_s=len(wave) / HZ)


def describe(wave: np.ndarray) -> np.ndarray:
    """(1140,) of a finite 12 kHz wave of any length: means of 190 harmonic and 190 percussive rows, then variances, then
    maxima.
    """
    first = max(0, (len(wave) - LENGTH) // 2)
    heard = np.trim_zeros(wave[first : first + LENGTH], "b")
    heard = np.pad(heard, (0, min(TAIL, LENGTH - len(heard))))
    rows = np.concatenate([block for part in separate(heard) for block in blocks(part).values()], axis=1)
    return np.concatenate([rows.mean(axis=0), rows.var(axis=0), rows.max(axis=0)])


def separate(wave: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(harmonic, percussive) waves, which add up to the wave: soft masks from medians of the spectrogram (Fitzgerald 2010)."""
    packed_TN = stft(wave, WIDE_FFT, HPSS_HOP)
    sizes_TF = sizes_of(packed_TN)
    share_TF = running_median(sizes_TF, 31, axis=1)  # sudden sound: the median over frequency
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        share_TF /= running_median(sizes_TF, 31, axis=0)
        share_TF *= share_TF
        share_TF += 1
        np.reciprocal(share_TF, out=share_TF)  # harmonic power over that and the sudden power
    share_TF[np.isnan(share_TF)] = 0.5  # where both are 0
    packed_TN[:, 1:-1].view(np.complex64)[:] *= share_TF[:, 1:-1]
    packed_TN[:, :: WIDE_FFT - 1] *= share_TF[:, :: WIDE_FFT // 2]
    harmonic = istft(packed_TN, HPSS_HOP, len(wave))
    return harmonic, wave - harmonic


def blocks(wave: np.ndarray) -> dict[str, np.ndarray]:
    """The thirteen blocks in the authors' order, each in decibels re its maximum, of shape (1366, rows)."""
    sizes_TF = magnitudes(wave, N_FFT, HOP)
    power_TF = sizes_TF**2
    wide_TF = magnitudes(wave, WIDE_FFT, HOP)
    cepstrum = _cepstrum(wide_TF)
    raw = {
        "chroma": chroma(power_TF, HZ),
        "cens": cens(wave, HZ, HOP, tuning(wide_TF[::2], HZ, 36)),
        "mel": in_bands(power_TF, mel_bank(MEL_HZ, N_FFT, 96)),
        "cepstrum": cepstrum,
        "delta": _derivative(cepstrum, 1),
        "delta2": _derivative(cepstrum, 2),
        **_shape(sizes_TF),
    }
    raw["level"] = _level(wave)
    raw["crossings"] = _crossings(wave)
    order = ("chroma", "cens", "mel", "cepstrum", "delta", "delta2", "level", "centroid", "bandwidth", "rolloff")
    return {name: decibels(np.abs(_whole(raw[name])), relative=True) for name in (*order, "line", "parabola", "crossings")}


def _whole(rows_TD: np.ndarray) -> np.ndarray:
    whole_TD = np.zeros((NUM_FRAMES, rows_TD.shape[1]), rows_TD.dtype)
    whole_TD[: len(rows_TD)] = rows_TD
    return whole_TD


def _cepstrum(wide_TF: np.ndarray) -> np.ndarray:
    """(1366, 20): cosine transform of 128 mel bands in decibels, over the silence after the sound as well."""
    mel_db = decibels(_whole(in_bands(wide_TF**2, mel_bank(HZ, WIDE_FFT, 128))))
    return scipy.fft.dct(mel_db, axis=1, norm="ortho")[:, :20]


def _derivative(rows_TD: np.ndarray, order: int) -> np.ndarray:
    """The order-th derivative of the polynomial of that order through nine rows around each (Savitzky-Golay): it is the same all
    over the nine, so the first and the last four rows have that of their neighbour.
    """
    weights = np.linalg.pinv(np.vander(np.arange(-4, 5), order + 1))[0] * order  # order is 1 or 2, so order! = order
    nine_TD9 = np.lib.stride_tricks.sliding_window_view(rows_TD.astype(float), 9, axis=0)
    return np.pad(nine_TD9 @ weights, ((4, 4), (0, 0)), mode="edge").astype(rows_TD.dtype)


def _level(wave: np.ndarray) -> np.ndarray:
    """(T, 1): root mean square of each frame, from the sums over its two halves."""
    padded = np.pad(wave, N_FFT // 2)
    halves = padded[: len(padded) // HOP * HOP].reshape(-1, HOP)
    energy = np.einsum("tn,tn->t", halves, halves)
    return np.sqrt((energy[1:] + energy[:-1]) / N_FFT)[:, None]


def _shape(sizes_TF: np.ndarray) -> dict[str, np.ndarray]:
    """Of each frame's magnitudes: centroid and bandwidth in Hz, the frequency under which 85 % of them lie, and two
    polynomial fits.
    """
    bins_hz = np.linspace(0, HZ / 2, sizes_TF.shape[1])
    sums, firsts, squares = (sizes_TF.astype(float) @ np.vander(bins_hz, 3, increasing=True)).T[:, :, None]
    sums = np.where(sums < np.finfo(np.float32).tiny, 1, sums)
    centroid = firsts / sums
    below_TF = np.cumsum(sizes_TF, axis=1)
    rolloff = bins_hz[np.argmax(below_TF >= 0.85 * below_TF[:, -1:], axis=1)]
    return {
        "centroid": centroid,
        "bandwidth": np.sqrt(np.maximum(0, squares / sums - centroid**2)),
        "rolloff": rolloff[:, None],
        "line": sizes_TF @ _least_squares(1),
        "parabola": sizes_TF @ _least_squares(2),
    }


@lru_cache
def _least_squares(order: int) -> np.ndarray:
    """(F, order + 1): what a frame is multiplied with to get its polynomial over frequency in Hz, highest power first."""
    powers = np.vander(np.linspace(0, 1, N_FFT // 2 + 1), order + 1)
    return np.linalg.pinv(powers).T / (HZ / 2) ** np.arange(order, -1, -1)


def _crossings(wave: np.ndarray) -> np.ndarray:
    """(T, 1): share of samples whose sign differs from the one before, within each frame; up to 1e-10 a sample counts as
    positive.
    """
    negative = np.pad(wave, N_FFT // 2, mode="edge") < -1e-10
    changes = np.pad(np.cumsum(negative[1:] != negative[:-1]), (1, 0))
    starts = np.arange(0, len(negative) - N_FFT + 1, HOP)
    return ((changes[starts + N_FFT - 1] - changes[starts]) / N_FFT)[:, None]
