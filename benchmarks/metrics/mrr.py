"""MRR: the mean over queries of 1 / rank of the best positive. Tied candidates count with the exact expectation of 1 / rank.

With t wrong and m right ones tied after b better candidates, P(first positive at place b + j) = C(t + m - j, m - 1) / C(t + m,
m).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.special import gammaln

from benchmarks.ranking import Ranks

HIGHER_IS_BETTER = True
AGGREGATE = "mean"


def values(ranks: Ranks) -> npt.NDArray[np.float64]:
    """Expected reciprocal rank of each query, in (0, 1] (Q,)."""
    cases, inverse = np.unique(np.stack([ranks.better, ranks.tied, ranks.tied_right]), axis=1, return_inverse=True)
    return np.asarray([_reciprocal(*case) for case in cases.T.astype(float)], dtype=np.float64)[inverse.ravel()]


def score(ranks: Ranks) -> float:
    """Mean reciprocal rank, in (0, 1]."""
    return float(np.mean(values(ranks)))


def _reciprocal(better: float, tied: float, right: float) -> float:
    place = np.arange(1.0, tied + 2.0)
    total = tied + right
    log_ways = gammaln(total - place + 1) - gammaln(right) - gammaln(total - place - right + 2)
    log_all = gammaln(total + 1) - gammaln(right + 1) - gammaln(tied + 1)
    return float(np.sum(np.exp(log_ways - log_all) / (better + place)))
