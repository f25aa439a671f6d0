"""Looks, in embeddings alone, for a code of the place: in the batch (modulo its size), or in the file.

A position code that ran over the batch axis puts every item near those that stood at the same place of other batches. Over all
lags, place of the music minus place of the video, the similarity of clips of different songs should know nothing of the lag.
- Modulo: lags that are a multiple of B against lags SIDE places beside, for every B in MIN_BATCH ... a third of the clips. In
  units of the standard error over random orders of the songs; the limit leaves room for all B that are tried.
- Order: lags of 1 ... NEAR against far ones, as a share of what true pairs have. It fails when neighbours are nearly as similar
  as true pairs.
Rows and columns are centred first (a hub is near everything), clips of one song are left out, and lags below GUARD are no
evidence for a modulus, so a file that is sorted by song, popularity or length passes although its neighbours are alike.

Cannot see: a code without neighbours (one-hot places are the same as perfect retrieval; independent_order sees them), a batch of
more than a third of the clips. Cannot tell apart: a code of the place in the file, and a file sorted by the one thing that a
model has learnt; a code modulo B, and a collection that repeats a sequence of kinds with a period of B. Shuffle and embed again.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import fft, sparse

from benchmarks.checks import Evidence, Finding

NEEDS = ("video_ND", "music_ND", "song_N")

LIMIT = 8.0  # standard errors; below 1e-7 a B by luck with NUM_ORDERS orders; ours
NUM_ORDERS = 40  # random orders of the songs, for the standard error; ours
MIN_BATCH, MAX_BATCH = 4, 1024  # ours
SIDE = 8  # places beside, at most half of B; ours
GUARD = 64  # lags, at most an eighth of the clips; ours
NEAR, MAX_SHARE = 2, 0.5  # lags, and share of the true pairs' excess; ours
MAX_DIMENSIONS = 64  # wider embeddings are projected at random; ours
MIN_CLIPS, MAX_CLIPS = 24, 4096  # the first of them are looked at; ours

Floats = npt.NDArray[np.floating[Any]]
Ints = npt.NDArray[np.int64]


def check(evidence: Evidence) -> Finding:
    """Standard errors by which the most suspicious B stands out."""
    num = min(len(evidence.song_N), MAX_CLIPS)
    if num < MIN_CLIPS:
        return Finding("batch_position", None, None, f"not run: {num} clips are too few to see a period in")
    song_N, lags, rng = evidence.song_N[:num], Lags(num), np.random.default_rng(0)
    video_ND, music_ND = _centred(evidence.video_ND[:num], evidence.music_ND[:num])
    found, near = lags.contrasts(video_ND, music_ND, song_N)
    null, null_near = [], []
    for _ in range(NUM_ORDERS):
        order = _shuffled_songs(song_N, rng)
        other, other_near = lags.contrasts(video_ND[order], music_ND[order], song_N[order])
        null.append(other)
        null_near.append(other_near)
    error_B = np.maximum(np.std(null, axis=0), 1e-12)
    z_B = (found - np.mean(null, axis=0)) / error_B
    batch, z = MIN_BATCH + int(np.argmax(z_B)), float(z_B.max())
    z_near = (near - float(np.mean(null_near))) / max(float(np.std(null_near)), 1e-12)
    share = near / max(_own_pairs(video_ND, music_ND), 1e-12)
    ordered = z_near > LIMIT and share > MAX_SHARE
    detail = f"same place modulo {batch}: {z:.1f} standard errors above chance, limit {LIMIT:g}; " + (
        f"neighbours in the file have {share:.0%} of the similarity of true pairs, limit {MAX_SHARE:.0%}"
        if ordered
        else "neighbours in the file stand out no more than they may"
    )
    more = {"batch": batch, "z_modulo": z, "z_near": z_near, "share_near": share}
    return Finding("batch_position", z <= LIMIT and not ordered, z, detail, more)


def _centred(video_ND: npt.NDArray[np.float32], music_ND: npt.NDArray[np.float32]) -> tuple[Floats, Floats]:
    """Both sides without their mean, in at most MAX_DIMENSIONS."""
    width = video_ND.shape[1]
    sides = [x - x.mean(axis=0) for x in (video_ND, music_ND)]
    if width > MAX_DIMENSIONS:
        mix = np.random.default_rng(0).normal(size=(width, MAX_DIMENSIONS)).astype(np.float32) / np.sqrt(MAX_DIMENSIONS)
        sides = [x @ mix for x in sides]
    return sides[0], sides[1]


def _own_pairs(video_ND: Floats, music_ND: Floats) -> float:
    return float(np.einsum("nd,nd->n", video_ND, music_ND).mean())


class Lags:
    """Which lags are compared, of `num` clips. Lag d stands at d + num - 1."""

    def __init__(self, num: int) -> None:
        self.num, self.largest = num, min(MAX_BATCH, num // 3)
        guard, on_B, beside_B = min(GUARD, num // 8), [], []
        for batch in range(MIN_BATCH, self.largest + 1):
            side = min(SIDE, batch // 2)
            on = np.arange(batch, num - side, batch)
            on = on[on >= guard]
            on = np.concatenate([on, -on])
            on_B.append(on)
            beside_B.append(np.concatenate([on - side, on + side]))
        self.on_BL, self.beside_BL = self._table(on_B), self._table(beside_B)
        near = np.arange(1, NEAR + 1)
        self.near_1L = self._table([np.concatenate([near, -near])])

    def _table(self, lags_B: list[Ints]) -> sparse.csr_array:
        rows = np.repeat(np.arange(len(lags_B)), [len(x) for x in lags_B])
        columns = np.concatenate(lags_B) + self.num - 1
        return sparse.csr_array((np.ones(len(rows)), (rows, columns)), shape=(len(lags_B), 2 * self.num - 1))

    def contrasts(self, video_ND: Floats, music_ND: Floats, song_N: Ints) -> tuple[Floats, float]:
        """For each B: mean similarity at the multiples of B, less that at the lags beside. And that of near lags."""
        total_L, count_L = _lags(video_ND, music_ND, song_N)
        on_B, beside_B, near_1 = (
            (table @ total_L) / np.maximum(table @ count_L, 1.0) for table in (self.on_BL, self.beside_BL, self.near_1L)
        )
        return on_B - beside_B, float(near_1[0])


def _lags(video_ND: Floats, music_ND: Floats, song_N: Ints) -> tuple[Floats, Floats]:
    """Sum of the similarities and number of pairs of different songs at each lag -(N - 1) ... N - 1, by Fourier transform."""
    num = len(song_N)
    size = fft.next_fast_len(2 * num - 1, real=True)
    spectrum = (np.conj(fft.rfft(video_ND, size, axis=0)) * fft.rfft(music_ND, size, axis=0)).sum(axis=1)
    total_L = np.roll(fft.irfft(spectrum, size), num - 1)[: 2 * num - 1]
    count_L = num - np.abs(np.arange(-(num - 1), num)).astype(np.float64)
    first, second = _same_song(song_N)
    same = np.einsum("pd,pd->p", video_ND[first], music_ND[second])
    np.subtract.at(total_L, second - first + num - 1, same)
    np.subtract.at(count_L, second - first + num - 1, 1.0)
    return total_L, count_L


def _same_song(song_N: Ints) -> tuple[Ints, Ints]:
    """All pairs of places, a place with itself too, whose clips share a song."""
    order = np.argsort(song_N, kind="stable")
    _, start, size = np.unique(song_N[order], return_index=True, return_counts=True)
    partners = np.repeat(size, size)
    first = np.repeat(np.arange(len(order)), partners)
    offset = np.arange(len(first)) - np.repeat(np.cumsum(partners) - partners, partners)
    second = np.repeat(np.repeat(start, size), partners) + offset
    return order[first], order[second]


def _shuffled_songs(song_N: Ints, rng: np.random.Generator) -> Ints:
    """An order in which songs stand at random and the clips of a song together, in turn."""
    songs, code_N = np.unique(song_N, return_inverse=True)
    return np.argsort(rng.permutation(len(songs))[code_N], kind="stable")
