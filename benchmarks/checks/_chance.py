"""The test of ranks against chance that several checks share.

Chance is exact (Ranks.chance). Songs are the unit: clips of one song are no independent evidence. Axes: Q queries, N clips.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from benchmarks.metrics import mean_rank, recall
from benchmarks.ranking import Ranks
from benchmarks.stats import holm, paired_permutation
from svmbench.records import M2V, V2M

CUTOFF = 10  # of the recall that is tested
FLIPS = 4000  # ours: the smallest one-sided p value is 1 / 8,002


@dataclass(frozen=True)
class Against:
    """How ranks compare with chance. p_values: one-sided, that they are better by luck; Recall@10 and mean rank, each direction.

    recall, chance: Recall@10 from video to music. gain: how much of the way from the mean rank of chance to 1 they go, mean over
    the directions; 0 at chance, 1 for a perfect ranking, below 0 for worse than chance.
    """

    p_values: tuple[float, ...]
    recall: float
    chance: float
    gain: float

    @property
    def p(self) -> float:
        """The smallest p value, adjusted after Holm for the four tests."""
        return min(holm(self.p_values))

    def __str__(self) -> str:
        return (
            f"R@{CUTOFF} {self.recall:.1%} beside {self.chance:.1%} by chance, {self.gain:+.1%} of the way from chance to rank 1"
        )


def against_chance(ranks: Mapping[str, Ranks], song_N: npt.NDArray[np.int64]) -> Against:
    """Both directions of `ranks` as retrieve() gives them; song_N of the clips that were ranked, whose unit may be any."""
    p_values, gains = [], []
    for direction in (V2M, M2V):
        found, blind = ranks[direction], ranks[direction].chance()
        songs_Q = song_N if len(found) == len(song_N) else np.unique(song_N)
        p_values.append(one_sided(recall.values(found, CUTOFF) - recall.values(blind, CUTOFF), songs_Q))
        p_values.append(one_sided((mean_rank.values(blind) - mean_rank.values(found)) / found.num_candidates, songs_Q))
        gains.append(1 - (mean_rank.score(found) - 1) / max(mean_rank.score(blind) - 1, 1e-9))
    hits, luck = (recall.score(r, CUTOFF) for r in (ranks[V2M], ranks[V2M].chance()))
    return Against(tuple(p_values), hits, luck, float(np.mean(gains)))


def one_sided(better_Q: npt.NDArray[np.float64], songs_Q: npt.NDArray[np.int64]) -> float:
    """p value that the mean is above 0 by luck alone: the sign of each song's sum is flipped at random."""
    better_Q = np.where(np.abs(better_Q) < 1e-12, 0.0, better_Q)
    p = paired_permutation(better_Q, np.zeros_like(better_Q), songs_Q, flips=FLIPS)
    return p / 2 if better_Q.mean() > 0 else 1 - p / 2
