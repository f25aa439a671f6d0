"""What a smaller pool would have given: against sampling, against scipy, and at the ends where it is known."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import hypergeom

from benchmarks import pools
from benchmarks.metrics import median_rank, recall
from benchmarks.pools import fixed_pool, keep, median_rank_at_pool, pool_curve, rank_mass, recall_at_pool
from benchmarks.ranking import Ranks, retrieve
from svmbench.errors import BadInput


def untied(better: np.ndarray, n: int) -> Ranks:
    one = np.ones(len(better), np.int64)
    return Ranks.of_best(better, 0 * one, one, one, n * one)


def tied(num: int, n: int, seed: int) -> Ranks:
    """Queries with several positives, several of them tied with wrong candidates."""
    rng = np.random.default_rng(seed)
    num_right = rng.integers(1, 5, num)
    tied_right = rng.integers(1, num_right + 1)
    better = rng.integers(0, n // 2, num)
    return Ranks.of_best(better, rng.integers(0, 20, num), tied_right, num_right, np.full(num, n))


def test_recall_is_that_of_scipys_hypergeometric() -> None:
    rng = np.random.default_rng(0)
    better = rng.integers(0, 3000, 200)
    for pool, cutoff in ((1, 1), (50, 1), (500, 10), (2000, 25), (3000, 50)):
        exact = hypergeom.cdf(cutoff - 1, 2999, better, pool - 1).mean()
        assert recall_at_pool(untied(better, 3000), pool=pool, cutoff=cutoff) == pytest.approx(exact, abs=1e-12)


def test_ties_and_several_positives_are_as_sampled_one_by_one() -> None:
    """Each trial draws an order of the tied and a pool that has all positives, and looks where the first one stands."""
    n, pool, trials = 60, 25, 3000
    ranks = tied(8, n, seed=1)
    rng = np.random.default_rng(2)
    places = np.zeros((trials, len(ranks)), np.int64)
    for q in range(len(ranks)):
        right, level = int(ranks.num_right[q]), int(ranks.tied_right[q])
        wrong = np.concatenate(
            [np.full(ranks.better[q], 2.0), np.full(ranks.tied[q], 1.0), np.zeros(n - right - ranks.better[q] - ranks.tied[q])]
        )
        for t in range(trials):
            chosen = rng.choice(wrong, pool - right, replace=False)
            order = rng.random(np.count_nonzero(chosen == 1) + level)
            first = order[:level].min()
            places[t, q] = np.count_nonzero(chosen == 2) + np.count_nonzero(order[level:] < first) + 1
    mass = rank_mass(ranks, pool)
    seen = np.bincount(places.ravel() - 1, minlength=pool) / places.size
    assert mass.sum() == pytest.approx(1)
    assert np.abs(mass - seen).max() < 0.01
    assert np.abs(np.cumsum(mass) - np.cumsum(seen)).max() < 0.01
    assert median_rank_at_pool(ranks, pool=pool) == pytest.approx(np.median(places), abs=1)


def test_the_full_gallery_gives_the_metric_itself() -> None:
    ranks = tied(101, 300, seed=3)
    for cutoff in recall.CUTOFFS:
        assert recall_at_pool(ranks, pool=300, cutoff=cutoff) == pytest.approx(recall.score(ranks, cutoff), abs=1e-12)
    rng = np.random.default_rng(4)
    for num in (100, 101):
        plain = untied(rng.permutation(300)[:num], 300)
        assert median_rank_at_pool(plain, pool=300) == median_rank.score(plain)


def test_who_knows_nothing_is_at_chance_in_every_pool() -> None:
    chance = untied(np.zeros(30, np.int64), 400).chance()
    for pool in (1, 10, 100, 400):
        assert recall_at_pool(chance, pool=pool, cutoff=5) == pytest.approx(min(1, 5 / pool))
        assert median_rank_at_pool(chance, pool=pool) == pytest.approx((pool + 1) / 2, abs=1)


def test_the_median_is_that_of_bisecting_the_mixture() -> None:
    rng = np.random.default_rng(5)
    better = np.floor(rng.beta(0.35, 2.2, 501) * 7999).astype(int)
    found = [point.median_rank for point in pool_curve(untied(better, 8000), (100, 2000, 8000), 10)]
    for pool, median in zip((100, 2000, 8000), found, strict=True):
        low, high = 0, pool - 1
        while low < high:
            middle = (low + high) // 2
            below = hypergeom.cdf(middle, 7999, better, pool - 1).mean()
            low, high = (low, middle) if below >= 0.5 else (middle + 1, high)
        assert median == low + 1
    assert found == sorted(found)


def test_one_sampled_pool_lies_by_a_point_and_the_exact_value_in_their_middle() -> None:
    """The trap: papers print the numbers of one random pool of 2,000."""
    rng, n = np.random.default_rng(0), 10_000
    better = np.floor(rng.beta(0.35, 2.2, n) * (n - 1)).astype(int)
    exact = 100 * recall_at_pool(untied(better, n), pool=2000, cutoff=10)
    sampled = []
    for _ in range(50):
        asked = rng.choice(n, 2000, replace=False)
        ahead = rng.hypergeometric(better[asked], n - 1 - better[asked], 1999)
        sampled.append(100 * np.mean(ahead < 10))
    assert max(sampled) - min(sampled) > 2, "two pools differ by more than a paper's gain"
    assert np.std(sampled) > 0.7
    assert np.max(np.abs(np.asarray(sampled) - exact)) > 1
    assert abs(np.mean(sampled) - exact) < 3 * np.std(sampled) / np.sqrt(50)


def test_pools_that_cannot_be_drawn() -> None:
    ranks = tied(20, 100, seed=6)
    for pool in (0, int(ranks.num_right.max()) - 1, 101):
        assert not pools.can_draw(ranks, pool)
        with pytest.raises(ValueError, match=f"a pool of {pool} cannot be drawn from 100 candidates"):
            recall_at_pool(ranks, pool=pool, cutoff=1)
    nobody = Ranks.of_best(*np.zeros((5, 0), np.int64))
    assert not pools.can_draw(nobody, 1)


IDS = [f"song-{i}" for i in range(3000)]
SHA256 = "99f4f140ce7ebaa737fe861e2a9696c1b1bbda93a96a3fd28098f12a447a9b18"  # of fixed_pool(IDS, 2000, seed=0)


def test_a_fixed_pool_depends_on_the_ids_alone() -> None:
    pool = fixed_pool(IDS, 2000, seed=0)
    again = fixed_pool(reversed(IDS), 2000, seed=0)
    assert pool == again
    assert list(pool.ids) == sorted(set(pool.ids))
    assert len(pool.ids) == 2000
    assert pool.sha256 == SHA256, "the list of these ids is the same on every machine and in every version"
    assert fixed_pool(IDS, 2000, seed=1).ids != pool.ids
    fewer = fixed_pool([i for i in IDS if i != pool.ids[7]], 2000, seed=0)
    assert len(set(pool.ids) - set(fewer.ids)) == 1, "a song that is taken down changes one place of the list"
    assert set(fixed_pool(IDS, 500, seed=0).ids) < set(pool.ids)


def test_a_fixed_pool_by_hand() -> None:
    digests = {name: hashlib.sha256(f"0:{name}".encode()).hexdigest() for name in "abcd"}
    nearest = sorted(sorted("abcd", key=digests.__getitem__)[:2])
    pool = fixed_pool("dcba", 2, seed=0)
    assert list(pool.ids) == nearest
    assert pool.sha256 == hashlib.sha256(f"{nearest[0]}\n{nearest[1]}\n".encode()).hexdigest()


def test_candidates_outside_the_pool_are_masked() -> None:
    pool = fixed_pool(IDS, 100, seed=0)
    songs = np.repeat(IDS, 2)
    mask = keep(songs, pool)
    assert mask.sum() == 200
    assert set(songs[mask]) == set(pool.ids)
    with pytest.raises(BadInput, match="1 of the pool's 100 ids are not in these data, first"):
        keep([i for i in IDS if i != pool.ids[0]], pool)


def test_a_list_on_disk_is_what_it_says(tmp_path: Path) -> None:
    pool, path = fixed_pool(IDS, 50, seed=3), tmp_path / "pool.json"
    pools.write_pool(path, pool)
    assert pools.read_pool(path) == pool
    said = json.loads(path.read_text())
    for change, words in (
        ({"ids": [*said["ids"][:-1], "zzz"]}, "does not have the sha256"),
        ({"ids": said["ids"][::-1]}, "not sorted"),
        ({"ids": None}, "no list of candidates"),
    ):
        path.write_text(json.dumps(said | change))
        with pytest.raises(BadInput, match=words):
            pools.read_pool(path)
    with pytest.raises(BadInput, match="no list of candidates"):
        pools.read_pool(tmp_path / "nowhere.json")


def test_bad_pools_give_one_line() -> None:
    with pytest.raises(BadInput, match="a pool of 9 cannot be drawn from 3 ids; allowed: 1 to 3"):
        fixed_pool("abc", 9, seed=0)
    with pytest.raises(BadInput, match="2 ids stand twice"):
        fixed_pool("aabbc", 2, seed=0)


def test_a_ranking_within_a_fixed_pool_has_its_queries_and_candidates_and_no_others() -> None:
    rng = np.random.default_rng(11)
    songs = np.repeat(np.arange(60), 2)
    names = [f"song-{song}" for song in songs]
    video = rng.normal(size=(120, 8)).astype(np.float32)
    music = video + rng.normal(size=(120, 8)).astype(np.float32)
    mask = keep(names, fixed_pool(sorted(set(names)), 20, seed=0))
    inside = retrieve(video[mask], music[mask], songs[mask])["video_to_music"]
    assert (len(inside), set(inside.num_candidates.tolist())) == (40, {20})
    full = retrieve(video, music, songs)["video_to_music"]
    assert (inside.better <= full.better[mask]).all(), "fewer candidates, and the same similarities"
    assert inside.better.sum() < full.better[mask].sum()
