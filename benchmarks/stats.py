"""Uncertainty and comparison. Clips of one song are no independent evidence, so songs are what is resampled, flipped and counted.

Axes: Q queries, S songs, R replicates.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from scipy.stats import hypergeom

from benchmarks.ranking import Ranks

REPLICATES = 2000  # ours
FLIPS = 10_000  # ours: the smallest p value is then 1 / 10,001
CHUNK = 100  # replicates at once, bounds the memory at CHUNK x Q


def song_bootstrap(
    values_Q: npt.ArrayLike, songs_Q: npt.ArrayLike, *, aggregate: str, replicates: int = REPLICATES, seed: int = 0
) -> tuple[float, float] | None:
    """95 % percentile interval of the mean or median over queries when songs are drawn with replacement; None below two songs."""
    values, inverse = np.asarray(values_Q, float), np.unique(np.asarray(songs_Q), return_inverse=True)[1]
    num_songs = int(inverse.max(initial=-1)) + 1
    if num_songs < 2:
        return None
    order = np.argsort(values, kind="stable")
    sums_S = np.bincount(inverse, weights=values)
    counts_S = np.bincount(inverse)
    found = []
    for low in range(0, replicates, CHUNK):
        weight_RS = _weights(num_songs, replicates, seed)[low : low + CHUNK].astype(np.int64)
        if aggregate == "mean":
            found.append((weight_RS @ sums_S) / (weight_RS @ counts_S))
        else:
            found.append(_weighted_medians(values[order], weight_RS[:, inverse[order]]))
    low_value, high_value = np.percentile(np.concatenate(found), [2.5, 97.5])
    return float(low_value), float(high_value)


@lru_cache(maxsize=2)
def _weights(num_songs: int, replicates: int, seed: int) -> npt.NDArray[np.uint16]:
    """How often each song is drawn in each replicate (R, S): the same draws for every metric and baseline."""
    rng = np.random.default_rng(seed)
    return rng.multinomial(num_songs, np.full(num_songs, 1 / num_songs), size=replicates).astype(np.uint16)


def _weighted_medians(sorted_Q: npt.NDArray[np.float64], weight_RQ: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """Median of each row's multiset: sorted_Q[q] taken weight_RQ[r, q] times."""
    ends_RQ = np.cumsum(weight_RQ, axis=1)
    total_R = ends_RQ[:, -1:]
    lower = np.argmax(ends_RQ > (total_R - 1) // 2, axis=1)
    upper = np.argmax(ends_RQ > total_R // 2, axis=1)
    return (sorted_Q[lower] + sorted_Q[upper]) / 2


def paired_permutation(
    first_Q: npt.ArrayLike, second_Q: npt.ArrayLike, songs_Q: npt.ArrayLike, *, flips: int = FLIPS, seed: int = 0
) -> float:
    """Two-sided p value of a mean difference over the same queries: the sign of each song's difference is flipped at random."""
    difference = np.asarray(first_Q, float) - np.asarray(second_Q, float)
    inverse = np.unique(np.asarray(songs_Q), return_inverse=True)[1]
    sums_S = np.bincount(inverse, weights=difference)
    sums_S = sums_S[sums_S != 0]
    if not len(sums_S):
        return 1.0
    rng, seen, extreme = np.random.default_rng(seed), abs(sums_S.sum()), 0
    for low in range(0, flips, 500):
        signs = rng.integers(0, 2, (min(500, flips - low), len(sums_S))) * 2.0 - 1.0
        extreme += int(np.count_nonzero(np.abs(signs @ sums_S) >= seen - 1e-9))
    return (1 + extreme) / (flips + 1)


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's step-down adjustment for all tests of a family, in the order given."""
    order = np.argsort(p_values, kind="stable")
    adjusted, highest = [0.0] * len(p_values), 0.0
    for step, index in enumerate(order):
        highest = max(highest, min(1.0, (len(p_values) - step) * p_values[index]))
        adjusted[index] = highest
    return adjusted


def recall_at_pool(ranks: Ranks, *, pool: int, cutoff: int) -> float:
    """Exact expected Recall@cutoff if each query were ranked among `pool` candidates: its best positive and pool - 1 random wrong
    ones.

    The better ones among them are hypergeometric; tied candidates stand in random order. Nothing is sampled, so papers with
    pools of 500 and 2000 can be put on one axis. pool may not exceed the wrong candidates + 1 of any query.
    """
    wrong_Q = ranks.num_candidates - ranks.num_right
    if not 1 <= pool <= int(wrong_Q.min()) + 1:
        raise ValueError(f"a pool of {pool} cannot be drawn from {int(wrong_Q.min()) + 1} candidates")
    cases, counts = np.unique(np.stack([wrong_Q, ranks.better, ranks.tied]), axis=1, return_counts=True)
    total = 0.0
    for (wrong, better, tied), count in zip(cases.T, counts, strict=True):
        ahead = np.arange(better, better + tied + 1)  # how many wrong ones stand before it: each equally likely
        total += count * float(hypergeom.cdf(cutoff - 1, wrong, ahead, pool - 1).mean())
    return total / len(ranks)
