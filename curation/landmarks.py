"""The peaks of a clip's spectrogram, which stay where they are under noise and speech (after Wang, ISMIR 2003).

A peak is louder than all that lies REACH around it. Its frequency is told on a logarithmic scale, so that another pitch moves all
peaks alike, and another tempo stretches their times.

Axes: N samples, T frames, F frequencies, P peaks.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from scipy.ndimage import maximum_filter, uniform_filter1d

HZ = 11_025
FRAME, HOP = 2048, 256  # ours: 186 ms tell a semitone apart above 100 Hz; 23 ms
LOW_HZ, OCTAVES, BINS = 110.0, 5, 36  # ours: 110 to 3520 Hz, three bins a semitone
REACH = (9, 5)  # ours: frames and bins on each side: 0.2 s, 5/3 semitones
A_SECOND = 24  # ours: of the loudest peaks
SMOOTH = 5  # ours: frames
RANGE_DB, FLOOR_DB = 50.0, -20.0  # ours: below the loudest; and of the image, so that silence and its rounding have no peaks
UNITS = 100  # of the pitch, a bin
TYPE = np.dtype([("frame", "<u2"), ("pitch", "<u2"), ("rank", "u1")])


def peaks(wave_N: np.ndarray) -> np.ndarray:
    """The loudest peaks of a wave of HZ in order of time, of TYPE: frame, pitch (hundredths of a bin), rank in its second."""
    image_TF = _image(wave_N)
    if not len(image_TF):
        return np.zeros(0, TYPE)
    size = (2 * REACH[0] + 1, 2 * REACH[1] + 1)
    top_TF = (image_TF == maximum_filter(image_TF, size=size)) & (image_TF > max(image_TF.max() - RANGE_DB, FLOOR_DB))
    t_P, f_P = np.nonzero(top_TF[:, 1:-1])
    f_P += 1
    level_P, second_P = image_TF[t_P, f_P], t_P * HOP // HZ
    order_P = np.lexsort((-level_P, second_P))
    rank_P = np.empty(len(t_P), int)
    rank_P[order_P] = np.arange(len(t_P)) - np.searchsorted(second_P[order_P], second_P[order_P])
    below_P, above_P = image_TF[t_P, f_P - 1], image_TF[t_P, f_P + 1]
    curve_P = np.minimum(below_P - 2 * level_P + above_P, -1e-9)
    found = np.zeros(len(t_P), TYPE)
    found["frame"], found["rank"] = t_P, np.minimum(rank_P, 255)
    found["pitch"] = np.round(UNITS * (f_P + np.clip(0.5 * (below_P - above_P) / curve_P, -0.5, 0.5)))
    return found[rank_P < A_SECOND]


def _image(wave_N: np.ndarray) -> np.ndarray:
    """The spectrogram in dB over pitch, smoothed in time; float32 of shape (T, F)."""
    if len(wave_N) < FRAME:
        return np.zeros((0, OCTAVES * BINS + 1), np.float32)
    frames = np.lib.stride_tricks.sliding_window_view(wave_N, FRAME)[::HOP]
    spectrum = np.fft.rfft(frames * np.hanning(FRAME).astype(np.float32))
    power = spectrum.real**2 + spectrum.imag**2
    image_TF = 20 * np.log10(np.sqrt(power) @ _bins() + np.float32(1e-9))
    return np.asarray(uniform_filter1d(image_TF, SMOOTH, axis=0, mode="nearest"))


@cache
def _bins() -> np.ndarray:
    """Triangles about the bins' frequencies, at least as wide as the spectrum resolves; float32 of shape (frequencies, F)."""
    hz = np.arange(FRAME // 2 + 1) * HZ / FRAME
    centre_F = LOW_HZ * 2 ** (np.arange(OCTAVES * BINS + 1) / BINS)
    width_F = np.maximum(centre_F * (2 ** (1 / BINS) - 1), HZ / FRAME)
    triangles = np.maximum(0, 1 - np.abs(hz[:, None] - centre_F) / width_F)
    return (triangles / np.sqrt(triangles.sum(axis=0))).astype(np.float32)


def pack(peaks_P: np.ndarray) -> bytes:
    """5 bytes a peak."""
    return peaks_P.tobytes()


def unpack(packed: bytes) -> np.ndarray:
    """The opposite of pack."""
    return np.frombuffer(packed, TYPE)
