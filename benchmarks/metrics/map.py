"""mAP: the mean over queries of the average precision, over all positives of the query and the whole gallery.

Average precision is the mean over the positives of (positives up to its place) / place. With one positive a query it equals MRR.
Tied candidates count with the exact expectation under a random order (McSherry and Najork, ECIR 2008): a positive with a
candidates above it, r of them right, and L level with it, m of them right, itself included in both, adds the mean over
j = 1 ... L of (r + 1 + (m - 1) (j - 1) / (L - 1)) / (a + j).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from benchmarks.ranking import Ranks

HIGHER_IS_BETTER = True
AGGREGATE = "mean"


def values(ranks: Ranks) -> npt.NDArray[np.float64]:
    """Expected average precision of each query, in (0, 1] (Q,)."""
    found_P = (ranks.right_above + 1.0) / (ranks.above + 1.0)
    tied_P = ranks.level > 1
    cases = np.stack([ranks.above, ranks.right_above, ranks.level, ranks.right_level])[:, tied_P]
    cases, inverse = np.unique(cases, axis=1, return_inverse=True)
    found_P[tied_P] = np.asarray([_precision(*case) for case in cases.T.tolist()], dtype=np.float64)[inverse.ravel()]
    return np.asarray(ranks.sums(found_P) / ranks.num_right)


def score(ranks: Ranks) -> float:
    """Mean average precision, in (0, 1]."""
    return float(np.mean(values(ranks)))


def _precision(above: int, right_above: int, level: int, right_level: int) -> float:
    place = np.arange(level)  # j - 1
    return float(np.mean((right_above + 1 + (right_level - 1) * place / (level - 1)) / (above + 1 + place)))
