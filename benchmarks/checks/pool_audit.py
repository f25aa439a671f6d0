"""Says what the gallery is made of, and proves that a perfect model could reach 100 % on it.

Where the gallery holds every clip and only the query's own pair counts, clips of the same song are equally right and count as
errors: a perfect ranker of songs puts the own pair at a random place among its n same-song clips, a hit in the first K with
probability min(K, n) / n. With songs as candidates, or where any clip of the song is a hit, there is no such ceiling.
"""

from __future__ import annotations

import numpy as np

from benchmarks.checks import Evidence, Finding

NEEDS = ("song_N", "unit")
OF_THE_DATA = True

CUTOFFS = (1, 5, 10)  # of the ceilings that are told; ours


def check(evidence: Evidence) -> Finding:
    """Highest Recall@1 that a perfect ranking of songs can expect, from 0 to 1; must be 1."""
    sizes_S = np.unique(evidence.song_N, return_counts=True)[1]
    ceilings = {k: ceiling(sizes_S, k, evidence.unit) for k in CUTOFFS}
    num, songs = int(sizes_S.sum()), len(sizes_S)
    twins = float(sizes_S[sizes_S > 1].sum() / max(num, 1))
    told = (
        f"{num} clips of {songs} songs, {num / max(songs, 1):.2f} a song, at most {sizes_S.max(initial=0)}; unit {evidence.unit}"
    )
    if ceilings[1] < 1:
        told += (
            f"; {twins:.1%} of the clips have a same-song twin that counts as an error, so R@1 cannot be expected above "
            f"{ceilings[1]:.1%}"
        )
    more = {"clips": num, "songs": songs, "twins": twins, **{f"ceiling@{k}": value for k, value in ceilings.items()}}
    return Finding("pool_audit", ceilings[1] == 1, ceilings[1], told, more)


def ceiling(sizes_S: np.ndarray, cutoff: int, unit: str) -> float:
    """Expected Recall@cutoff of a perfect ranking of songs, given the number of clips of each song (S,)."""
    if unit != "pair" or not len(sizes_S):
        return 1.0
    return float(np.minimum(sizes_S, cutoff).sum() / sizes_S.sum())
