"""The 1140 numbers that VM-NET reads of the music (Hong 2018, arXiv 1804.08202; described by the authors'
librosa_feature.py), as published and with its mel bands put right.

The 29.12 s around the middle at 12 kHz, zeros after a shorter clip; split into harmonic and percussive sound by medians over
time and over frequency (FFT 2048, hop 512, 31 neighbours); of each, 190 rows on 1366 frames (FFT 512, hop 256; the cepstrum
FFT 2048): chroma 12, CENS 12, mel 96, cepstrum 20 with its first and second differences 20 + 20, level 1, centroid 1,
bandwidth 1, roll-off 1, the coefficients of a line 2 and a parabola 3 through the spectrum, zero crossings 1. The absolute
values of each block go to decibels re its maximum, and every row gives its mean, variance and maximum: 2 x 190 x 3 = 1140.

Kept as the authors have it: the 96 mel bands are laid out for 22,050 Hz though the wave has 12,000, so each hears 0.54 of
the frequencies it is named after ('mel'; 'mel_true' has them at 12,000 Hz); and amplitudes pass through 10 log10 like powers.
Not to be had: the authors used librosa of 2017 and left no reference vectors; the numbers here are those of librosa 0.11, whose
differences are Savitzky-Golay's. Silence around the sound costs nothing: it is not transformed, its frames are 0 before the
decibels, and one row stands for all of them.

Axes: T frames, F frequency bins, N samples; blocks have their rows in columns.
"""

from __future__ import annotations

from functools import lru_cache
from weakref import WeakKeyDictionary

import cv2
import numpy as np

from curation.chroma import cens, chroma, tuning
from curation.medians import running_median
from curation.spectra import decibels, heard_wave, in_bands, istft, magnitudes, mel_bank, sizes_of, stft
from svmbench.media import ClipMedia

HZ = 12_000
LENGTH = 349_440  # samples, 29.12 s
N_FFT, HOP = 512, 256
WIDE_FFT, HPSS_HOP = 2048, 512  # librosa's defaults, which the authors left in place
NUM_FRAMES = 1 + LENGTH // HOP
MEL_HZ = 22_050  # the authors' call leaves librosa's default rate in place
TAIL = 20_480  # samples after the sound that some filter still reaches: 2048 of the split, 16,384 of the lowest constant-Q bins
ORDER = (
    "chroma", "cens", "mel", "cepstrum", "delta", "delta2", "level", "centroid", "bandwidth", "rolloff", "line", "parabola",
    "crossings",
)  # fmt: skip
DIM = 1140

_of_clip: WeakKeyDictionary[ClipMedia, dict[str, np.ndarray]] = WeakKeyDictionary()


def of(clip: ClipMedia) -> dict[str, np.ndarray]:
    """describe() of the clip's sound, once a clip, whoever asks. Raises Silent where it has no audio."""
    if clip not in _of_clip:
        _of_clip[clip] = describe(heard_wave(clip, HZ))
    return _of_clip[clip]


def describe(wave: np.ndarray) -> dict[str, np.ndarray]:
    """'mel' and 'mel_true': (1140,) float32 of a finite 12 kHz wave of any length, the two kinds of mel bands. Means of 190
    harmonic and 190 percussive rows, then variances, then maxima.
    """
    first = max(0, (len(wave) - LENGTH) // 2)
    heard = np.trim_zeros(wave[first : first + LENGTH], "b")
    heard = np.pad(heard, (0, min(TAIL, LENGTH - len(heard))))
    parts = [{name: _summary(rows) for name, rows in blocks(part).items()} for part in separate(heard)]
    return {
        mel: np.concatenate([part[mel if name == "mel" else name] for part in parts for name in ORDER], axis=1).ravel()
        for mel in ("mel", "mel_true")
    }


def _summary(rows_TD: np.ndarray) -> np.ndarray:
    """(3, D) float32: mean, variance and maximum over the 1366 frames."""
    rows_TD = rows_TD.astype(float)
    weight_T = np.ones(len(rows_TD))
    weight_T[-1] += NUM_FRAMES - len(rows_TD)
    mean = weight_T @ rows_TD / NUM_FRAMES
    return np.stack([mean, weight_T @ (rows_TD - mean) ** 2 / NUM_FRAMES, rows_TD.max(axis=0)]).astype(np.float32)


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
    """The blocks of ORDER and 'mel_true', each in decibels re its maximum, (T, rows): the frames of the wave, with its tail, and
    one of silence that stands for all that remain of the 1366.
    """
    sizes_TF = magnitudes(wave, N_FFT, HOP)
    power_TF = sizes_TF**2
    wide_TF = magnitudes(wave, WIDE_FFT, HOP)
    num_frames = min(len(wide_TF) + 1, NUM_FRAMES)  # the frames of a tail are silence already, so one tells all that follow
    cepstrum = _cepstrum(wide_TF, num_frames)
    raw = {
        "chroma": chroma(power_TF, HZ),
        "cens": cens(wave, HZ, HOP, tuning(wide_TF[::2], HZ, 36)),
        "mel": in_bands(power_TF, mel_bank(MEL_HZ, N_FFT, 96)),
        "mel_true": in_bands(power_TF, mel_bank(HZ, N_FFT, 96)),
        "cepstrum": cepstrum,
        "delta": _derivative(cepstrum, 1),
        "delta2": _derivative(cepstrum, 2),
        **_shape(sizes_TF),
        "level": _level(wave),
        "crossings": _crossings(wave),
    }
    return {name: decibels(np.abs(_with_silence(rows, num_frames)), relative=True) for name, rows in raw.items()}


def _with_silence(rows_TD: np.ndarray, num_frames: int) -> np.ndarray:
    """With rows of 0 up to a number of rows."""
    return np.pad(rows_TD, ((0, num_frames - len(rows_TD)), (0, 0)))


def _cepstrum(wide_TF: np.ndarray, num_frames: int) -> np.ndarray:
    """(T, 20): cosine transform of 128 mel bands in decibels, over silence after the sound as well."""
    mel_db = decibels(_with_silence(in_bands(np.square(wide_TF), mel_bank(HZ, WIDE_FFT, 128)), num_frames))
    return cv2.dct(mel_db, flags=cv2.DCT_ROWS)[:, :20]


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
    products = sizes_TF.astype(float) @ _spectral_sums()
    sums, firsts, squares = products[:, :3].T[:, :, None]
    sums = np.where(sums < np.finfo(np.float32).tiny, 1, sums)
    centroid = firsts / sums
    below_TF = np.cumsum(sizes_TF, axis=1)
    rolloff = np.argmax(below_TF >= np.float32(0.85) * below_TF[:, -1:], axis=1) * (HZ / N_FFT)
    return {
        "centroid": centroid,
        "bandwidth": np.sqrt(np.maximum(0, squares / sums - centroid**2)),
        "rolloff": rolloff[:, None],
        "line": products[:, 3:5],
        "parabola": products[:, 5:],
    }


@lru_cache
def _spectral_sums() -> np.ndarray:
    """(F, 8): what a frame is multiplied with to get its sums over 1, the frequency in Hz and its square, and the coefficients of
    the polynomials of first and second order over frequency, highest power first.
    """
    share = np.linspace(0, 1, N_FFT // 2 + 1)
    fits = [np.linalg.pinv(np.vander(share, n + 1)).T / (HZ / 2) ** np.arange(n, -1, -1) for n in (1, 2)]
    return np.hstack([np.vander(share * (HZ / 2), 3, increasing=True), *fits])


def _crossings(wave: np.ndarray) -> np.ndarray:
    """(T, 1): share of samples whose sign differs from the one before, within each frame; up to 1e-10 a sample counts as
    positive.
    """
    negative = np.pad(wave, N_FFT // 2, mode="edge") < -1e-10
    changes = np.pad(np.cumsum(negative[1:] != negative[:-1]), (1, 0))
    starts = np.arange(0, len(negative) - N_FFT + 1, HOP)
    return ((changes[starts + N_FFT - 1] - changes[starts]) / N_FFT)[:, None]
