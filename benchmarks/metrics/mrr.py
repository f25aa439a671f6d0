"""MRR: the mean over queries of 1 / rank of the best positive. Tied candidates count with the exact expectation of 1 / rank.

With t wrong and m right ones tied after b better candidates, the first positive stands at place b + j, j = 1 ... t + 1, with the
probability m / (t + m - j + 1) times the product over i < j of (t - i + 1) / (t + m - i + 1): j - 1 wrong ones, then a right one.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from benchmarks.ranking import Ranks

HIGHER_IS_BETTER = True
AGGREGATE = "mean"


def values(ranks: Ranks) -> npt.NDArray[np.float64]:
    """Expected reciprocal rank of each query, in (0, 1] (Q,)."""
    found_Q = np.asarray(1.0 / (ranks.better + 1.0), dtype=np.float64)
    tied_Q = ranks.tied > 0
    cases = np.stack([ranks.better, ranks.tied, ranks.tied_right])[:, tied_Q]
    cases, inverse = np.unique(cases, axis=1, return_inverse=True)
    found_Q[tied_Q] = np.asarray([_reciprocal(*case) for case in cases.T.tolist()], dtype=np.float64)[inverse.ravel()]
    return found_Q


def score(ranks: Ranks) -> float:
    """Mean reciprocal rank, in (0, 1]."""
    return float(np.mean(values(ranks)))


def _reciprocal(better: int, tied: int, right: int) -> float:
    place = np.arange(tied + 1)  # j - 1
    left = tied + right - place  # tied candidates not yet drawn
    wrong = np.concatenate([[1.0], np.cumprod((tied - place[:-1]) / left[:-1])])
    return float(np.sum(wrong * right / left / (better + 1.0 + place)))
