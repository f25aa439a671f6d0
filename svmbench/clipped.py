"""Counts where sound is clipped, in the channels as they are decoded: mixing and resampling both round the flat tops off.

Axes: N samples.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

FULL = 0.999  # ours: of full scale
RUN = 3  # samples; ours: one or two at full scale may be a peak


class Clipped:
    """Runs of at least RUN samples in a row at FULL of full scale or beyond, in each channel, over all frames."""

    def __init__(self) -> None:
        self.runs: list[int] = []
        self.last: list[int] = []  # of each channel: how many samples at full scale the last frame ended with

    @property
    def most(self) -> int:
        """In the channel that has most of them."""
        return max(self.runs, default=0)

    def add(self, channels: Sequence[np.ndarray], middle: int, full: float) -> None:
        """The next samples. middle: the value of silence; full: the highest value above it."""
        new = max(0, len(channels) - len(self.runs))
        self.runs, self.last = self.runs + new * [0], self.last + new * [0]
        low, high = middle - FULL * full, middle + FULL * full
        for i, wave in enumerate(channels):
            if not len(wave):
                continue
            if wave.max() < high and wave.min() > low:
                self.last[i] = 0
                continue
            at_full = np.concatenate([[False], (wave >= high) | (wave <= low), [False]])
            edges = np.flatnonzero(at_full[1:] != at_full[:-1])
            starts, lengths = edges[::2], np.diff(edges)[::2]
            before = np.where(starts == 0, self.last[i], 0)
            self.runs[i] += int(((lengths + before >= RUN) & (before < RUN)).sum())
            self.last[i] = int((lengths + before)[-1]) if len(starts) and at_full[-2] else 0
