"""Uncertainty and comparison. Clips of one song are no independent evidence, so songs are what is resampled, flipped and counted.

Two sources of noise are kept apart: which songs were drawn into the test part (`song_bootstrap`), and which seed a training began
with (`seed_sd`). `headline_interval` combines them. docs/statistics.md says how each is read.

Axes: Q queries, S songs, R replicates, F fits (seeds).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
REPLICATES = 2000  # ours
FLIPS = 10_000  # ours: the smallest p value is then 1 / 10,001
FLIPS_A_TEST = 40  # ours, for each test of a family: so the smallest p, times their number, stays below 0.05
CHUNK = 100  # replicates at once, bounds the memory at CHUNK x Q


def song_bootstrap(
    values_Q: npt.ArrayLike, songs_Q: npt.ArrayLike, *, aggregate: str, replicates: int = REPLICATES, seed: int = 0
) -> tuple[float, float] | None:
    """95 % percentile interval of the mean or median over queries when songs are drawn with replacement; None below two songs."""
    found_R = _replicates(np.asarray(values_Q, float), np.asarray(songs_Q), aggregate, replicates, seed)
    return None if found_R is None else _interval(found_R)


def headline_interval(
    values_FQ: Sequence[npt.ArrayLike], songs_Q: npt.ArrayLike, *, aggregate: str, replicates: int = REPLICATES, seed: int = 0
) -> tuple[float, float] | None:
    """95 % percentile interval of the mean over fits of the mean or median over queries: each replicate draws fits with
    replacement, and then songs with replacement, the same songs for all its fits.

    With one fit it is that fit's `song_bootstrap`. With F fits the noise between them is understated by (F - 1) / F of its
    variance, as by every bootstrap of few values. None below two songs.
    """
    songs = np.asarray(songs_Q)
    found = [_replicates(np.asarray(values, float), songs, aggregate, replicates, seed) for values in values_FQ]
    known = [replicates_R for replicates_R in found if replicates_R is not None]
    if not known:
        return None
    drawn_RF = np.random.default_rng([seed, len(known)]).integers(0, len(known), (replicates, len(known)))
    return _interval(np.stack(known)[drawn_RF, np.arange(replicates)[:, None]].mean(axis=1))


def seed_sd(scores_F: Sequence[float]) -> float | None:
    """Standard deviation over seeds (n - 1 in the denominator); None below two."""
    return float(np.std(scores_F, ddof=1)) if len(scores_F) > 1 else None


def _replicates(values: Floats, songs: npt.NDArray[np.generic], aggregate: str, replicates: int, seed: int) -> Floats | None:
    """The statistic of each replicate (R,)."""
    inverse = np.unique(songs, return_inverse=True)[1]
    num_songs = int(inverse.max(initial=-1)) + 1
    if num_songs < 2:
        return None
    order = np.argsort(values, kind="stable")
    sums_S = np.bincount(inverse, weights=values)
    counts_S = np.bincount(inverse).astype(float)
    weights_RS = _weights(num_songs, replicates, seed)
    found = []
    for low in range(0, replicates, CHUNK):
        weight_RS = weights_RS[low : low + CHUNK]
        if aggregate == "mean":
            weight_RS = weight_RS.astype(float)
            found.append((weight_RS @ sums_S) / (weight_RS @ counts_S))
        else:
            found.append(_weighted_medians(values[order], weight_RS[:, inverse[order]]))
    return np.concatenate(found)


def _interval(found_R: Floats) -> tuple[float, float]:
    low, high = np.percentile(found_R, [2.5, 97.5])
    return float(low), float(high)


@lru_cache(maxsize=2)
def _weights(num_songs: int, replicates: int, seed: int) -> npt.NDArray[np.uint16]:
    """How often each song is drawn in each replicate (R, S): the same draws for every metric and baseline."""
    rng = np.random.default_rng(seed)
    drawn = (rng.integers(0, num_songs, num_songs) for _ in range(replicates))
    return np.stack([np.bincount(songs, minlength=num_songs).astype(np.uint16) for songs in drawn])


def _weighted_medians(sorted_Q: Floats, weight_RQ: npt.NDArray[np.uint16]) -> Floats:
    """Median of each row's multiset: sorted_Q[q] taken weight_RQ[r, q] times."""
    ends_RQ = np.cumsum(weight_RQ, axis=1, dtype=np.int32)
    total_R = ends_RQ[:, -1:]
    lower = np.count_nonzero(ends_RQ <= (total_R - 1) // 2, axis=1)
    upper = np.count_nonzero(ends_RQ <= total_R // 2, axis=1)
    return np.asarray((sorted_Q[lower] + sorted_Q[upper]) / 2)


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
    rng, total, extreme = np.random.default_rng(seed), float(sums_S.sum()), 0
    limit = abs(total) - 1e-9 * max(1.0, abs(total))  # a flip that only rounding sets apart from what was seen is as extreme
    for low in range(0, flips, 500):
        bits = rng.integers(0, 256, (min(500, flips - low), -(-len(sums_S) // 8)), dtype=np.uint8)
        plus_RS = np.unpackbits(bits, axis=1, count=len(sums_S)).astype(float)
        extreme += int(np.count_nonzero(np.abs(2 * (plus_RS @ sums_S) - total) >= limit))
    return (1 + extreme) / (flips + 1)


def num_flips(num_tests: int) -> int:
    """Flips for each test of a family of so many. With 10,000 no p of 501 tests or more could fall below 0.05 once adjusted."""
    return max(FLIPS, FLIPS_A_TEST * num_tests)


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's step-down adjustment for all tests of a family, in the order given."""
    order = np.argsort(p_values, kind="stable")
    adjusted, highest = [0.0] * len(p_values), 0.0
    for step, index in enumerate(order):
        highest = max(highest, min(1.0, (len(p_values) - step) * p_values[index]))
        adjusted[index] = highest
    return adjusted
