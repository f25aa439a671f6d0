"""One file an integrity check. Each runs with every fit; one that fails marks the rows of that baseline and never hides them.

A check module has a docstring that says what it proves, and check(evidence: Evidence) -> Finding.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from benchmarks.data import Pairs
from benchmarks.ranking import Ranks
from benchmarks.towers import Model


@dataclass(frozen=True)
class Evidence:
    """What a check may look at: a fitted model, the test part, its embeddings as they were scored (N, D), and the ranks.

    seen_share: share of the test clips whose song or media file stands in train or val as well.
    """

    model: Model
    test: Pairs
    video_ND: npt.NDArray[np.float32]
    music_ND: npt.NDArray[np.float32]
    ranks: Mapping[str, Ranks]
    seen_share: float = 0.0


@dataclass(frozen=True)
class Finding:
    """value: what was measured, to be compared with the limit that the check's file states."""

    check: str
    passed: bool
    value: float
    detail: str
