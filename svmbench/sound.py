"""Sound out of the decoder: mono, laid against the picture's time, resampled.

Axes: N samples.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import soxr

PAUSE_S = 0.05  # ours: a hole longer than this is filled with silence, an overlap longer than this is overwritten


class Sound:
    """Decoded sound as mono float32 in [-1, 1] with its times, all at the rate of the first frame."""

    def __init__(self) -> None:
        self.rate = 0
        self.pieces: list[tuple[float, np.ndarray]] = []
        self.end_s = 0.0

    def add(self, frame: Any) -> None:
        mono = _mono(frame)
        if not len(mono) or not frame.sample_rate:
            return
        self.rate = self.rate or frame.sample_rate
        mono = resampled(mono, frame.sample_rate, self.rate)
        start_s = frame.time if frame.time is not None else self.end_s
        if self.pieces and abs(start_s - self.end_s) < PAUSE_S:
            start_s = self.end_s  # jitter of rounded time stamps
        self.pieces.append((start_s, mono))
        self.end_s = start_s + len(mono) / self.rate

    def laid_out(self, origin_s: float, length_s: float) -> tuple[int, np.ndarray]:
        """(rate, samples) from origin_s on, at most length_s, holes as silence, no padding at the end."""
        rate = self.rate or 1
        whole = np.zeros(max(0, min(round(length_s * rate), round((self.end_s - origin_s) * rate))), np.float32)
        for start_s, mono in self.pieces:
            at = round((start_s - origin_s) * rate)
            piece = mono[max(0, -at) : max(0, len(whole) - at)]
            whole[max(0, at) : max(0, at) + len(piece)] = piece
        return rate, np.nan_to_num(whole, copy=False)


def _mono(frame: Any) -> np.ndarray:
    """The mean of the channels, float32; whole numbers scaled to [-1, 1]."""
    samples = frame.to_ndarray()
    if not frame.format.is_planar:
        samples = samples.reshape(-1, len(frame.layout.channels)).T
    mono = np.add.reduce(samples, axis=0, dtype=np.float32) / len(samples)
    if samples.dtype == np.uint8:
        return np.asarray((mono - 128) / 128)
    if np.issubdtype(samples.dtype, np.integer):
        return np.asarray(mono / -float(np.iinfo(samples.dtype).min))
    return np.asarray(mono)


def resampled(wave: np.ndarray, rate: int, hz: int) -> np.ndarray:
    if rate == hz or not len(wave):
        return wave if len(wave) else np.zeros(0, np.float32)
    return np.ascontiguousarray(soxr.resample(wave, rate, hz), dtype=np.float32)
