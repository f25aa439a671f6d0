"""True recall@K: the mean over queries of the share of its positives that stand among the first K candidates.

With one positive a query it equals Recall@K. A positive with a candidates above it and L level with it, itself included, stands
among the first K with the probability min(max((K - a) / L, 0), 1) when the tied are in random order.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from benchmarks.ranking import Ranks

HIGHER_IS_BETTER = True
AGGREGATE = "mean"
CUTOFFS = (1, 5, 10, 25, 50)  # those of Recall@K


def values(ranks: Ranks, cutoff: int) -> npt.NDArray[np.float64]:
    """Expected share of each query's positives among the first `cutoff`, in [0, 1] (Q,)."""
    found_P = np.clip((cutoff - ranks.above) / ranks.level, 0.0, 1.0)
    return np.asarray(ranks.sums(found_P) / ranks.num_right)


def score(ranks: Ranks, cutoff: int) -> float:
    """True recall@cutoff in [0, 1]; where a query has more than `cutoff` positives it cannot reach 1."""
    return float(values(ranks, cutoff).mean())
