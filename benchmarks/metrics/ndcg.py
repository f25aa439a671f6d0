"""nDCG@K with binary gains: DCG / the best DCG possible, DCG being the sum of 1 / log2(place + 1) over positives in the first K.

The best has min(K, positives) of them on the first places (Jarvelin and Kekalainen, TOIS 2002). A tied positive counts with the
mean discount of the places that its tie takes up, which is the exact expectation (McSherry and Najork, ECIR 2008).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from benchmarks.ranking import Ranks

HIGHER_IS_BETTER = True
AGGREGATE = "mean"
CUTOFFS = (10,)  # the usual one, as in mteb; ours for this field, whose papers print none


def values(ranks: Ranks, cutoff: int) -> npt.NDArray[np.float64]:
    """Expected nDCG of each query, in [0, 1] (Q,)."""
    gain = np.concatenate([[0.0], np.cumsum(1.0 / np.log2(np.arange(2.0, cutoff + 2.0)))])  # of the first 0 ... K places
    last_P, first_P = np.minimum(ranks.above + ranks.level, cutoff), np.minimum(ranks.above, cutoff)
    return np.asarray(ranks.sums((gain[last_P] - gain[first_P]) / ranks.level) / gain[np.minimum(ranks.num_right, cutoff)])


def score(ranks: Ranks, cutoff: int) -> float:
    """nDCG@cutoff in [0, 1]."""
    return float(values(ranks, cutoff).mean())
