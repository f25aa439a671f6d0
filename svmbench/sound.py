"""Sound out of the decoder: mono, laid against the picture's time, resampled.

Axes: N samples.
"""

from __future__ import annotations

from itertools import zip_longest
from typing import Any

import numpy as np
import soxr

from svmbench.clipped import Clipped
from svmbench.growing import Growing

SAMPLES = {"u8": "u1", "s16": "i2", "s32": "i4", "s64": "i8", "flt": "f4", "dbl": "f8"}  # FFmpeg's names, numpy's
JUMP_S = 0.010  # ours: a time stamp this far off the one before may begin a hole or an overlap
LASTING_S = 0.015  # ours: and does where the stamps of about a second on either side differ by this; else it is jitter
WINDOW = 40  # frames on either side, about a second
BLOCK = 1 << 16  # ours: samples that are resampled together, so that a long wave is not held a second time


class Sound:
    """Decoded sound as mono float32 in [-1, 1] with its times, all at the rate of the first frame. max_s: how much is likely."""

    def __init__(self, max_s: float) -> None:
        self.max_s, self.rate, self.length, self.end_s = max_s, 0, 0, 0.0
        self.clipped = Clipped()
        self.clipped_so_far: list[tuple[int, ...]] = []  # of each frame: its channels' runs, and those before
        self.samples: Growing | None = None
        self.firsts: list[int] = []  # of each frame: its first sample
        self.starts_s: list[float] = []  # and when the whole sound would have begun, if it had no holes before

    def add(self, frame: Any) -> None:
        channels = _channels(frame)
        if not channels or not len(channels[0]) or not frame.sample_rate:
            return
        self.clipped.add(channels, *_scale(channels[0].dtype))
        self.clipped_so_far.append(tuple(self.clipped.runs))
        mono = _mono(channels)
        self.rate = self.rate or frame.sample_rate
        self.samples = self.samples or Growing(int(self.max_s * self.rate) + self.rate, (), np.float32)
        mono = resampled(mono, frame.sample_rate, self.rate)
        time_s = frame.time if frame.time is not None else self.end_s
        self.firsts.append(self.length)
        self.starts_s.append(time_s - self.length / self.rate)
        self.samples.put(self.length, mono)
        self.length += len(mono)
        self.end_s = time_s + len(mono) / self.rate

    def runs(self) -> list[tuple[int, float]]:
        """(first sample, its time) of each stretch without a hole.

        A stretch has one time for all its frames: the median takes out the rounding of time stamps (a millisecond in Matroska)
        and their jitter (Vorbis in WebM is off by up to two blocks here and there).
        """
        starts_s, found = np.array(self.starts_s), [0]
        for at in np.flatnonzero(np.abs(np.diff(starts_s)) > JUMP_S) + 1:
            before, after = starts_s[max(found[-1], at - WINDOW) : at], starts_s[at : at + WINDOW]
            if abs(np.median(after) - np.median(before)) > LASTING_S:
                found.append(int(at))
        bounds = zip(found, [*found[1:], len(starts_s)], strict=True)
        return [(self.firsts[a], float(np.median(starts_s[a:b])) + self.firsts[a] / self.rate) for a, b in bounds]

    @property
    def start_s(self) -> float | None:
        """The time of the first sample; None where there is no sound."""
        return self.runs()[0][1] if self.length else None

    @property
    def clipped_runs_per_s(self) -> float | None:
        """In the channel that is clipped most; None where there is no sound."""
        return self.clipped.most * self.rate / self.length if self.length else None

    def clipped_between(self, start_s: float, end_s: float) -> float | None:
        """As clipped_runs_per_s, of the frames that begin within; None where none does."""
        begins_s = np.array(self.starts_s) + np.array(self.firsts) / (self.rate or 1)
        first, end = np.searchsorted(np.maximum.accumulate(begins_s), [start_s, end_s])
        if first == end:
            return None
        before = self.clipped_so_far[first - 1] if first else ()
        runs = [after - earlier for after, earlier in zip_longest(self.clipped_so_far[end - 1], before, fillvalue=0)]
        length = (self.firsts[end] if end < len(self.firsts) else self.length) - self.firsts[first]
        return max(runs) * self.rate / length

    def laid_out(self, origin_s: float, length_s: float) -> tuple[int, np.ndarray]:
        """(rate, samples) from origin_s on, at most length_s, holes as silence, no padding at the end; only to be called once."""
        if self.samples is None:
            return 1, np.zeros(0, np.float32)
        rate, samples, runs = self.rate, self.samples.closed(self.length), self.runs()
        pieces = [
            (round((time_s - origin_s) * rate), samples[first:end])
            for (first, time_s), end in zip(runs, [first for first, _ in runs[1:]] + [self.length], strict=True)
        ]
        size = max(0, min(round(length_s * rate), max(place + len(piece) for place, piece in pieces)))
        place, piece = pieces[0]
        if len(pieces) == 1 and place <= 0:  # as nearly always: nothing is moved
            return rate, _finite(piece[-place : size - place])
        whole = np.zeros(size, np.float32)
        for place, piece in pieces:
            piece = piece[max(0, -place) : max(0, size - place)]
            whole[max(0, place) : max(0, place) + len(piece)] = piece
        return rate, _finite(whole)


def _channels(frame: Any) -> list[np.ndarray]:
    """The samples of each channel as they come."""
    kind, number = np.dtype(SAMPLES[frame.format.packed.name]), len(frame.layout.channels)
    if frame.format.is_planar:
        return [np.frombuffer(plane, kind, frame.samples) for plane in frame.planes]
    packed = np.frombuffer(frame.planes[0], kind, frame.samples * number)
    return [packed[i::number] for i in range(number)]


def _scale(kind: np.dtype) -> tuple[int, float]:
    """(value of silence, highest value above it): 8-bit samples are unsigned."""
    middle = 128 if kind == np.uint8 else 0
    return middle, 1.0 if kind.kind == "f" else float(np.iinfo(kind).max - middle)


def _mono(channels: list[np.ndarray]) -> np.ndarray:
    """The mean of the channels, float32; whole numbers scaled to [-1, 1]."""
    kind, number = channels[0].dtype, len(channels)
    mono = channels[0].astype(np.float32)
    for channel in channels[1:]:
        mono += channel
    middle, full = _scale(kind)
    if middle:
        mono -= middle * number
    mono *= np.float32(1 / (number * (full if kind.kind == "f" else full + 1)))
    return mono


def _finite(wave: np.ndarray) -> np.ndarray:
    """The wave, in which samples that are no number have become 0, and infinite ones very large."""
    for start in range(0, len(wave), BLOCK):
        part = wave[start : start + BLOCK]
        if not np.isfinite(part).all():
            np.nan_to_num(part, copy=False)
    return wave


def resampled(wave: np.ndarray, rate: int, hz: int) -> np.ndarray:
    if rate == hz or not len(wave):
        return wave if len(wave) else np.zeros(0, np.float32)
    stream = soxr.ResampleStream(rate, hz, 1, dtype="float32")
    found, length = Growing(len(wave) * hz // rate + 1, (), np.float32), 0
    for start in range(0, len(wave), BLOCK):
        part = stream.resample_chunk(wave[start : start + BLOCK], last=start + BLOCK >= len(wave))
        found.put(length, part)
        length += len(part)
    return found.closed(length)
