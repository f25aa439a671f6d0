"""Normalised MedR: the median over queries of rank / size of the gallery, so that galleries of different size compare.

1 / gallery is best, about 0.5 is chance with one positive a query. Tied candidates count with the expected rank.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from benchmarks.ranking import Ranks

HIGHER_IS_BETTER = False
AGGREGATE = "median"


def values(ranks: Ranks) -> npt.NDArray[np.float64]:
    """Expected rank of each query's first positive, as a share of its gallery, in (0, 1] (Q,)."""
    return np.asarray(ranks.expected() / ranks.num_candidates)


def score(ranks: Ranks) -> float:
    """Median of the normalised ranks, in (0, 1]."""
    return float(np.median(values(ranks)))
