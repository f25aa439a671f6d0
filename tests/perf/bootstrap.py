"""Intervals and pool sizes beside their peers, in one process: python tests/perf/bootstrap.py [queries] [songs].

Prints CPU-seconds and ratios. scipy.stats.bootstrap resamples queries and not songs, which is less work; it is timed at fewer
replicates and scaled. The exact value in a pool is beside that of sampling pools until the error is a tenth of a point.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from functools import partial

import numpy as np
from scipy.stats import bootstrap, hypergeom, permutation_test

from benchmarks import pools, stats
from benchmarks.ranking import Ranks

REPLICATES, PEER_REPLICATES, PEER_FLIPS = 2000, 100, 500
GALLERY, POOL = 20_000, 2000


def seconds(work: Callable[[], object]) -> float:
    began = time.process_time()
    work()
    return time.process_time() - began


def main(queries: int = 10_000, songs: int = 10_000) -> None:
    rng = np.random.default_rng(0)
    song_Q = rng.permutation(np.arange(queries) % songs)
    hits = (rng.random(queries) < 0.3).astype(float)
    ranks = np.floor(rng.beta(0.35, 2.2, queries) * GALLERY) + 1
    print(f"bootstrap over songs, {REPLICATES} replicates, {queries} queries, {songs} songs")
    total = 0.0
    for name, values, statistic in (("mean", hits, np.mean), ("median", ranks, np.median)):
        stats._weights.cache_clear()
        ours = partial(stats.song_bootstrap, values, song_Q, aggregate=name, replicates=REPLICATES)
        drawn, again = seconds(ours), seconds(ours)
        peer = seconds(partial(bootstrap, (values,), statistic, n_resamples=PEER_REPLICATES, method="percentile", rng=0))
        peer *= REPLICATES / PEER_REPLICATES
        total += drawn
        print(f"{name:7s} {drawn:5.2f} CPU-s, {again:5.2f} for the next metric; scipy {peer:6.2f} ({peer / drawn:.1f} x)")
    print(f"target: 2 CPU-s each; here {total:.2f} for both, each with draws of its own")
    other = ranks + rng.normal(size=queries)
    paired = partial(stats.paired_permutation, ranks, other, np.arange(queries))
    theirs = partial(
        permutation_test, (ranks, other), lambda a, b, axis: np.mean(a - b, axis=axis), permutation_type="samples",
        n_resamples=PEER_FLIPS, vectorized=True, batch=100, rng=0,
    )  # fmt: skip
    spent, peer = seconds(paired), seconds(theirs) * stats.FLIPS / PEER_FLIPS
    print(f"paired test, {stats.FLIPS} flips, {queries} songs: {spent:.2f} CPU-s; scipy {peer:.2f} ({peer / spent:.1f} x)")
    better = ranks.astype(np.int64) - 1
    one = np.ones(queries, np.int64)
    full = Ranks.of_best(better, 0 * one, one, one, GALLERY * one)
    exact: list[float] = []
    spent_exact = seconds(lambda: exact.append(100 * pools.recall_at_pool(full, pool=POOL, cutoff=10)))
    cdf = seconds(lambda: exact.append(float(100 * hypergeom.cdf(9, GALLERY - 1, better, POOL - 1).mean())))
    sampled: list[float] = []

    def sampling() -> None:
        for _ in range(50):
            asked = rng.choice(queries, min(POOL, queries), replace=False)
            ahead = rng.hypergeometric(better[asked], GALLERY - 1 - better[asked], POOL - 1)
            sampled.append(float(100 * np.mean(ahead < 10)))

    spent = seconds(sampling)
    needed = (np.std(sampled) / 0.1) ** 2
    print(f"Recall@10 in pools of {POOL} from a gallery of {GALLERY}: exact {exact[0]:.3f} (scipy's cdf {exact[1]:.3f})")
    print(f"50 sampled pools: mean {np.mean(sampled):.3f}, sd {np.std(sampled):.2f}, {min(sampled):.2f} to {max(sampled):.2f}")
    print(
        f"exact, the whole distribution: {spent_exact:.2f} CPU-s; scipy's cdf, one cut-off {cdf:.2f} ({cdf / spent_exact:.1f} x)"
    )
    print(f"sampling to an error of 0.1 points: {spent / 50 * needed:.2f} ({spent / 50 * needed / spent_exact:.1f} x)")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
