"""MeanR: the mean over queries of the rank of the best positive, 1 is best. Tied candidates count with the expected rank."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from benchmarks.ranking import Ranks

HIGHER_IS_BETTER = False
AGGREGATE = "mean"


def values(ranks: Ranks) -> npt.NDArray[np.float64]:
    """Expected rank of each query's first positive, from 1 (Q,)."""
    return ranks.expected()


def score(ranks: Ranks) -> float:
    """Mean rank, from 1 to the gallery's size."""
    return float(np.mean(values(ranks)))
