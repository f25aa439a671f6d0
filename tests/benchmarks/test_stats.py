"""Intervals, tests and pool sizes against independent computations."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import bootstrap, permutation_test

from benchmarks.pools import recall_at_pool
from benchmarks.ranking import Ranks
from benchmarks.stats import headline_interval, holm, paired_permutation, seed_sd, song_bootstrap


def test_clips_of_one_song_are_no_independent_evidence() -> None:
    rng = np.random.default_rng(0)
    per_song = rng.random(100)
    alone = song_bootstrap(per_song, np.arange(100), aggregate="mean")
    fourfold = song_bootstrap(np.repeat(per_song, 4), np.repeat(np.arange(100), 4), aggregate="mean")
    assert alone is not None
    assert fourfold == pytest.approx(alone)  # four copies say no more than one
    half_width = (alone[1] - alone[0]) / 2
    assert half_width == pytest.approx(1.96 * per_song.std() / 10, rel=0.1)
    assert alone[0] < per_song.mean() < alone[1]


def test_the_interval_of_a_median_is_that_of_resampled_lists() -> None:
    rng = np.random.default_rng(1)
    values, songs = rng.integers(1, 30, 25), rng.integers(0, 12, 25)
    found = song_bootstrap(values, songs, aggregate="median", replicates=4000)
    names = np.unique(songs)
    medians = []
    for _ in range(4000):
        drawn = rng.choice(names, len(names))
        medians.append(np.median(np.concatenate([values[songs == s] for s in drawn])))
    assert found == pytest.approx(np.percentile(medians, [2.5, 97.5]), abs=1.0)


def test_one_song_has_no_interval() -> None:
    assert song_bootstrap([1.0, 2.0], ["a", "a"], aggregate="mean") is None


def test_the_permutation_test_agrees_with_scipy() -> None:
    rng = np.random.default_rng(2)
    first, second = rng.normal(0.25, 1, 80), rng.normal(0, 1, 80)
    expected = permutation_test((first, second), lambda a, b: np.mean(a - b), permutation_type="samples", n_resamples=9999, rng=3)
    assert paired_permutation(first, second, np.arange(80)) == pytest.approx(expected.pvalue, abs=0.02)


def test_the_permutation_test_holds_its_level_for_correlated_clips() -> None:
    rng = np.random.default_rng(4)
    songs = np.repeat(np.arange(40), 5)
    rejected = 0
    for trial in range(200):
        difference = np.repeat(rng.normal(size=40), 5) + 0.1 * rng.normal(size=200)
        rejected += paired_permutation(difference, np.zeros(200), songs, flips=400, seed=trial) < 0.05
    assert rejected <= 22  # 5 % of 200 is 10; a test that took clips as independent rejects about half


def test_equal_scores_are_not_different() -> None:
    assert paired_permutation([1, 0, 1], [1, 0, 1], [0, 1, 2]) == 1.0


def test_holm_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.5, 0.9]) == [1.0, 1.0]
    assert holm([]) == []


def test_recall_at_a_pool_size_is_what_sampling_gives() -> None:
    rng = np.random.default_rng(5)
    better, tied = rng.integers(0, 80, 30), rng.integers(0, 10, 30)
    one, n = np.ones(30, np.int64), 100
    ranks = Ranks.of_best(better, tied, one, one, np.full(30, n))
    hits = []
    for _ in range(4000):
        ahead = better + rng.integers(0, tied + 1)
        hits.append(np.mean(rng.hypergeometric(ahead, n - 1 - ahead, 19) < 5))
    assert recall_at_pool(ranks, pool=20, cutoff=5) == pytest.approx(np.mean(hits), abs=0.005)
    assert recall_at_pool(ranks, pool=n, cutoff=5) == pytest.approx(np.mean(np.clip((5 - better) / (tied + 1), 0, 1)))
    assert recall_at_pool(ranks, pool=1, cutoff=1) == 1.0
    with pytest.raises(ValueError, match="pool of 101"):
        recall_at_pool(ranks, pool=101, cutoff=1)


def test_the_interval_agrees_with_scipy_where_every_song_has_one_clip() -> None:
    rng = np.random.default_rng(6)
    values = rng.exponential(size=200)
    for aggregate, statistic in (("mean", np.mean), ("median", np.median)):
        expected = bootstrap((values,), statistic, n_resamples=5000, method="percentile", rng=7).confidence_interval
        found = song_bootstrap(values, np.arange(200), aggregate=aggregate, replicates=5000)
        assert found == pytest.approx(tuple(expected), abs=0.03)


def test_the_spread_over_seeds() -> None:
    assert seed_sd([0.1, 0.3]) == pytest.approx(np.std([0.1, 0.3], ddof=1))
    assert seed_sd([0.2]) is None


def test_the_headline_of_one_seed_is_its_own_interval() -> None:
    rng = np.random.default_rng(8)
    values, songs = rng.random(300), np.repeat(np.arange(100), 3)
    assert headline_interval([values], songs, aggregate="mean") == song_bootstrap(values, songs, aggregate="mean")
    assert headline_interval([values[:3]], songs[:3], aggregate="mean") is None


def test_the_headline_has_both_sources_of_noise() -> None:
    """Five seeds over 400 songs: the variance is that of the songs and that of the mean of five seeds."""
    rng = np.random.default_rng(9)
    songs, shared = np.arange(400), rng.normal(size=400)
    offsets = np.asarray([-0.3, -0.1, 0.0, 0.1, 0.3])
    fits = [shared + offset for offset in offsets]
    both = headline_interval(fits, songs, aggregate="mean", replicates=8000)
    alone = song_bootstrap(fits[2], songs, aggregate="mean", replicates=8000)
    assert both is not None
    assert alone is not None
    expected = 1.96 * np.sqrt(shared.var() / 400 + offsets.var() / 5)
    assert (both[1] - both[0]) / 2 == pytest.approx(expected, rel=0.05)
    assert both[1] - both[0] > 1.3 * (alone[1] - alone[0])
    assert both[0] < shared.mean() < both[1]


def test_all_fits_of_a_replicate_see_the_same_songs() -> None:
    """Two seeds that are wrong on the same songs: their mean is no surer than each of them."""
    rng = np.random.default_rng(10)
    values, songs = rng.normal(size=200), np.arange(200)
    assert headline_interval([values, values], songs, aggregate="median") == song_bootstrap(values, songs, aggregate="median")
