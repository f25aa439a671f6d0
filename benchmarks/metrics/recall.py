"""Recall@K: the share of queries with at least one positive among the first K candidates.

This is the field's name for the hit rate; it is not the share of all positives found. Tied candidates count with the probability
that the first positive stands among the first K when the tied are in random order:
1 - C(tied, n) / C(tied + tied_right, n) with n = K - better places left.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.special import gammaln

from benchmarks.ranking import Ranks

HIGHER_IS_BETTER = True
AGGREGATE = "mean"
CUTOFFS = (1, 5, 10, 25, 50)  # TIVM, Table 1; MVBind and CMMixer use the first three


def values(ranks: Ranks, cutoff: int) -> npt.NDArray[np.float64]:
    """Probability in [0, 1] that each query is a hit (Q,)."""
    places = cutoff - ranks.better
    pool = ranks.tied + ranks.tied_right
    miss = (places <= 0).astype(np.float64)
    some = (places > 0) & (places <= ranks.tied)  # more places than wrong ones among the tied: a sure hit
    miss[some] = np.exp(_log_choose(ranks.tied[some], places[some]) - _log_choose(pool[some], places[some]))
    return np.asarray(1.0 - miss)


def score(ranks: Ranks, cutoff: int) -> float:
    """Recall@cutoff in [0, 1]."""
    return float(values(ranks, cutoff).mean())


def _log_choose(n: npt.NDArray[np.int64], k: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    return np.asarray(gammaln(n + 1.0) - gammaln(k + 1.0) - gammaln(n - k + 1.0), dtype=np.float64)
