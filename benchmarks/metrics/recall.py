"""Recall@K: the share of queries with at least one positive among the first K candidates.

This is the field's name for the hit rate; the share of all positives that are found is true_recall. Tied candidates count with
the probability that the first positive stands among the first K when the tied are in random order: 1 - C(t, n) / C(t + m, n)
with n = K - better places left for t wrong and m right ones.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from benchmarks.ranking import Ranks

HIGHER_IS_BETTER = True
AGGREGATE = "mean"
CUTOFFS = (1, 5, 10, 25, 50)  # TIVM, Table 1; MVBind and CMMixer use the first three


def values(ranks: Ranks, cutoff: int) -> npt.NDArray[np.float64]:
    """Probability in [0, 1] that each query is a hit (Q,)."""
    places, wrong, pool = cutoff - ranks.better, ranks.tied, ranks.tied + ranks.tied_right
    miss = np.ones(len(ranks))
    for place in range(min(cutoff, int(wrong.max(initial=0)) + 1)):  # drawn one after the other, all of them wrong
        drawn = np.maximum(wrong - place, 0) / np.maximum(pool - place, 1)
        miss *= np.where(place < places, drawn, 1.0)
    return 1.0 - miss


def score(ranks: Ranks, cutoff: int) -> float:
    """Recall@cutoff in [0, 1]."""
    return float(values(ranks, cutoff).mean())
