"""Ranks against brute force: one positive or many, ties, both directions, all units; and inputs that must be refused."""

from __future__ import annotations

import tracemalloc
from functools import partial

import numpy as np
import pyarrow as pa
import pytest
import torch

from benchmarks import ranking, ranking_torch
from benchmarks.ranking import COUNTS, LISTS, Ranks, rank, retrieve, retrieve_scores, song_embeddings
from benchmarks.ranking_numpy import Products, Scores
from svmbench.errors import BadScores, UnknownName
from svmbench.records import M2V, V2M

Rows = list[tuple[list[int], list[int], int]]


def brute(sim: np.ndarray, query_group: np.ndarray, gallery_group: np.ndarray) -> Rows:
    """(above, level) of each positive in order of above, and the candidates, query by query, one candidate at a time."""
    rows = []
    for row, group in zip(sim.tolist(), query_group.tolist(), strict=True):
        right = [s for s, g in zip(row, gallery_group.tolist(), strict=True) if g == group]
        found = sorted((sum(s > own for s in row), sum(s == own for s in row)) for own in right)
        rows.append(([a for a, _ in found], [n for _, n in found], len(row)))
    return rows


def as_rows(ranks: Ranks) -> Rows:
    columns = ranks.columns()
    return [
        (above.tolist(), level.tolist(), int(n))
        for above, level, n in zip(columns["above"], columns["level"], columns["num_candidates"], strict=True)
    ]


def few_values(rng: np.random.Generator, num: int) -> np.ndarray:
    return rng.integers(-1, 2, (num, 2)).astype(np.float32)  # many ties


@pytest.fixture
def small_tiles(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ranking, "Products", partial(Products, tile_shape=(3, 2)))
    monkeypatch.setattr(ranking, "SCORE_BLOCK", 3)
    monkeypatch.setattr(ranking_torch, "TorchProducts", partial(ranking_torch.TorchProducts, tile_shape=(2, 3)))


def expected(video: np.ndarray, music: np.ndarray, song: np.ndarray, unit: str) -> dict[str, Rows]:
    group, gallery_group = song, song
    if unit == "pair":
        group = gallery_group = np.arange(len(song))
    if unit == "song":
        music, gallery_group = song_embeddings(music, song)
    sim = (video.astype(np.float64) @ music.T.astype(np.float64)).astype(np.float32)
    return {V2M: brute(sim, group, gallery_group), M2V: brute(sim.T, gallery_group, group)}


@pytest.mark.usefixtures("small_tiles")
@pytest.mark.parametrize("unit", ["song", "clip", "pair"])
@pytest.mark.parametrize("device", ["cpu", "torch:cpu"])
def test_both_directions_equal_brute_force(unit: str, device: str) -> None:
    for seed in range(30):
        rng = np.random.default_rng(seed)
        num = int(rng.integers(1, 20))
        song = rng.integers(0, rng.integers(1, 8), num) * 7
        make = few_values if seed % 2 else lambda rng, num: rng.normal(size=(num, 5)).astype(np.float32)
        video, music = make(rng, num), make(rng, num)
        found = retrieve(video, music, song, unit=unit, device=device)
        assert {d: as_rows(r) for d, r in found.items()} == expected(video, music, song, unit)


@pytest.mark.parametrize("seed", range(100))
def test_one_direction_equals_brute_force(seed: int) -> None:
    rng = np.random.default_rng(seed)
    num_queries, num_gallery, num_groups = rng.integers(1, 12), rng.integers(3, 25), rng.integers(1, 4)
    gallery_group = np.concatenate([np.arange(num_groups + 1), rng.integers(0, num_groups, num_gallery)])  # one never asked for
    query_group = rng.integers(0, num_groups, num_queries)
    query, gallery = few_values(rng, num_queries), few_values(rng, len(gallery_group))
    assert as_rows(rank(query, gallery, query_group, gallery_group)) == brute(query @ gallery.T, query_group, gallery_group)


@pytest.mark.parametrize("device", ["cpu", "torch:cpu"])
def test_many_tiles_give_what_sorting_gives(device: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ranking, "Products", partial(Products, tile_shape=(600, 700)))  # more than a byte counts, either way
    monkeypatch.setattr(ranking_torch, "TorchProducts", partial(ranking_torch.TorchProducts, tile_shape=(600, 700)))
    rng = np.random.default_rng(1)
    video, music = (rng.normal(size=(1300, 16)).astype(np.float32) for _ in range(2))
    music /= np.linalg.norm(music, axis=1, keepdims=True)
    ranks = retrieve(video, music, np.arange(1300), unit="clip", device=device)
    sim = (video.astype(np.float64) @ music.T.astype(np.float64)).astype(np.float32)
    for direction, sim_QG in ((V2M, sim), (M2V, sim.T)):
        place = np.argsort(np.argsort(-sim_QG, axis=1, kind="stable"), axis=1, kind="stable").diagonal()
        alone = ranks[direction].level == 1
        assert alone.mean() > 0.99
        assert ranks[direction].above[alone].tolist() == place[alone].tolist()


@pytest.mark.parametrize("device", ["cpu", "torch:cpu"])
@pytest.mark.parametrize("num", [37, 1301])
def test_equal_items_tie_wherever_they_stand(device: str, num: int) -> None:
    """A float32 product gives equal rows different last bits: without a cure a collapsed model is ranked by its order."""
    rng = np.random.default_rng(num)
    video, music = rng.normal(size=(num, 100)).astype(np.float32), np.repeat(rng.normal(size=(1, 100)), num, 0).astype(np.float32)
    video[1::2] = video[0]
    same = len(range(1, num, 2)) + 1
    ranks = retrieve(video, music, np.arange(num), unit="clip", device=device)
    assert ranks[V2M].level.tolist() == [num] * num
    assert set(ranks[M2V].level[1::2].tolist()) == {same}
    few = music.copy()
    few[3:] = rng.normal(size=(num - 3, 100))  # three twins among others: too few for a tile to be done anew
    assert retrieve(video, few, np.arange(num), unit="clip", device=device)[V2M].level[:3].tolist() == [3] * 3


@pytest.mark.parametrize("device", ["cpu", "torch:cpu"])
@pytest.mark.parametrize("others", [0, 600])  # all in doubt: tiles are done anew; a few: one by one
def test_candidates_closer_than_a_products_error_are_told_apart(device: str, others: int) -> None:
    rng = np.random.default_rng(8)
    one = rng.normal(size=(1, 100)) / 10
    near = one * (1 + rng.integers(-30, 30, (50, 1)) * 1e-7)  # neighbours in float32, some of them equal
    video = np.concatenate([np.repeat(one, 50, 0), rng.normal(size=(others, 100)) / 10]).astype(np.float32)
    music = np.concatenate([near, rng.normal(size=(others, 100)) / 10]).astype(np.float32)
    song = np.arange(50 + others)
    found = retrieve(video, music, song, unit="clip", device=device)
    assert {d: as_rows(r)[:50] for d, r in found.items()} == {d: r[:50] for d, r in expected(video, music, song, "clip").items()}
    assert len(set(found[V2M].above[:50].tolist())) > 10


def test_collapsed_embeddings_are_chance_whatever_the_number_of_clips_a_song() -> None:
    rng = np.random.default_rng(0)
    song = np.sort(rng.integers(0, 60, 300))
    ones = np.repeat(rng.normal(size=(1, 48)), 300, axis=0).astype(np.float32)
    for ranks in (retrieve(ones, ones, song), retrieve_scores(lambda a, b: np.full((len(a), len(b)), 0.1), 300, song)):
        for found in ranks.values():
            assert as_rows(found) == as_rows(found.chance())
            assert found.tied_share() == 1.0


def test_the_gallery_unit_is_the_song() -> None:
    video = np.eye(4, dtype=np.float32)
    music = np.eye(4, dtype=np.float32)[[0, 0, 2, 3]]
    ranks = retrieve(video, music, np.array([7, 7, 5, 9]))
    assert ranks[V2M].num_candidates.tolist() == [3] * 4
    assert ranks[V2M].num_right.tolist() == [1] * 4
    assert ranks[M2V].num_candidates.tolist() == [4] * 3
    assert ranks[M2V].num_right.tolist() == [1, 2, 1]  # songs 5, 7, 9
    assert ranks[V2M].expected().tolist() == [1.0, 2.0, 1.0, 1.0]  # the second clip is orthogonal to all songs: three tied
    of_clips = retrieve(video, music, np.array([7, 7, 5, 9]), unit="clip")
    assert of_clips[V2M].num_candidates.tolist() == [4] * 4
    assert of_clips[V2M].num_right.tolist() == [2, 2, 1, 1]
    assert retrieve(video, music, np.array([7, 7, 5, 9]), unit="pair")[V2M].num_right.tolist() == [1] * 4


def test_a_songs_embedding_is_the_unit_mean_of_its_clips() -> None:
    found, songs = song_embeddings(np.array([[1, 0], [0, 1], [0, 3]], np.float32), np.array([4, 4, 2]))
    assert songs.tolist() == [2, 4]
    assert np.allclose(found, np.array([[0, 1], [0.5, 0.5]]) ** 0.5)
    same = np.repeat(np.random.default_rng(0).normal(size=(1, 64)), 300, axis=0).astype(np.float32)
    assert len(np.unique(song_embeddings(same, np.arange(300) ** 2 // 900)[0], axis=0)) == 1  # bit by bit, for 1 to 30 clips


@pytest.mark.parametrize("unit", ["song", "clip"])
def test_the_order_of_the_clips_does_not_matter(unit: str) -> None:
    rng = np.random.default_rng(3)
    video, music = (rng.normal(size=(200, 24)).astype(np.float32) for _ in range(2))
    song, order = rng.integers(0, 80, 200), rng.permutation(200)
    first, again = retrieve(video, music, song, unit=unit), retrieve(video[order], music[order], song[order], unit=unit)
    assert [as_rows(first[V2M])[i] for i in order] == as_rows(again[V2M])
    songs = as_rows(first[M2V]) if unit == "song" else [as_rows(first[M2V])[i] for i in order]
    assert songs == as_rows(again[M2V])


def test_torch_and_numpy_give_the_same_ranks_and_tf32_is_put_back() -> None:
    rng = np.random.default_rng(4)
    video, music = (rng.normal(size=(400, 64)).astype(np.float32) for _ in range(2))
    song = rng.integers(0, 200, 400)
    name = "fp32_precision" if hasattr(torch.backends.cuda.matmul, "fp32_precision") else "allow_tf32"
    before, fast = getattr(torch.backends.cuda.matmul, name), "tf32" if name == "fp32_precision" else True
    setattr(torch.backends.cuda.matmul, name, fast)
    try:
        with ranking_torch.full_float32():
            assert getattr(torch.backends.cuda.matmul, name) in ("ieee", False)
        numpy_way, torch_way = (retrieve(video, music, song, device=d) for d in ("cpu", "torch:cpu"))
        assert getattr(torch.backends.cuda.matmul, name) == fast
    finally:
        setattr(torch.backends.cuda.matmul, name, before)
    assert {d: as_rows(r) for d, r in numpy_way.items()} == {d: as_rows(r) for d, r in torch_way.items()}


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_gives_the_same_ranks() -> None:
    rng = np.random.default_rng(5)
    video, music = (rng.normal(size=(9000, 64)).astype(np.float32) for _ in range(2))
    song = rng.integers(0, 5000, 9000)
    on_cpu, on_gpu = (retrieve(video, music, song, device=d) for d in ("cpu", "cuda"))
    assert {d: as_rows(r) for d, r in on_cpu.items()} == {d: as_rows(r) for d, r in on_gpu.items()}


@pytest.mark.usefixtures("small_tiles")
@pytest.mark.parametrize("unit", ["song", "clip", "pair"])
def test_scores_of_a_cross_encoder(unit: str) -> None:
    for seed in range(30):
        rng = np.random.default_rng(seed)
        num = int(rng.integers(1, 14))
        song, scores = rng.integers(0, 6, num), rng.integers(0, 4, (num, num)).astype(np.float32)

        def score(videos: np.ndarray, clips: np.ndarray, scores: np.ndarray = scores) -> np.ndarray:
            assert max(len(videos), len(clips)) <= 3
            return scores[np.ix_(videos, clips)]

        sim, group, gallery_group = scores, song, song
        if unit == "song":
            gallery_group = np.unique(song)
            sim = np.stack([scores[:, song == s].mean(axis=1) for s in gallery_group], axis=1)
        if unit == "pair":
            group = gallery_group = np.arange(num)
        found = retrieve_scores(score, num, song, unit=unit)
        assert as_rows(found[V2M]) == brute(sim, group, gallery_group)
        assert as_rows(found[M2V]) == brute(sim.T, gallery_group, group)


def test_scores_that_cannot_be_used_raise() -> None:
    rng, songs = np.random.default_rng(0), np.arange(5)
    with pytest.raises(BadScores, match="other values when asked for the same block again"):
        retrieve_scores(lambda a, b: rng.random((len(a), len(b))), 5, songs)
    with pytest.raises(BadScores, match=r"the shape \(5,\) for 5 videos and 5 clips"):
        retrieve_scores(lambda a, b: np.ones(len(a)), 5, songs)
    with pytest.raises(BadScores, match="25 values that are not finite"):
        retrieve_scores(lambda a, b: np.full((len(a), len(b)), np.nan), 5, songs)
    with pytest.raises(BadScores, match="4 clips, and songs for 5"):
        retrieve_scores(lambda a, b: np.ones((len(a), len(b))), 4, songs)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e30])
@pytest.mark.parametrize("side", [0, 1])
def test_similarities_that_are_not_finite_raise(value: float, side: int) -> None:
    pair = [np.ones((5, 3), np.float32), np.ones((5, 3), np.float32)]
    pair[side][2, 1] = value
    with pytest.raises(BadScores, match="not finite, first at row 2"):
        retrieve(pair[0], pair[1], np.arange(5))


def test_shapes_that_do_not_fit_raise() -> None:
    ones = np.ones((4, 3), np.float32)
    with pytest.raises(BadScores, match="3 dimensions on one side and 2"):
        rank(ones, np.ones((4, 2), np.float32), np.arange(4), np.arange(4))
    with pytest.raises(BadScores, match="query 3 has no positive"):
        rank(ones, ones, np.array([0, 1, 2, 9]), np.arange(4))
    with pytest.raises(BadScores, match="4 for 3 items"):
        retrieve(ones, ones, np.arange(3))
    with pytest.raises(BadScores, match="shape"):
        rank(np.ones(4, np.float32), ones, np.arange(4), np.arange(4))
    with pytest.raises(UnknownName, match=r"gallery unit 'songs'.*Did you mean 'song'"):
        retrieve(ones, ones, np.arange(4), unit="songs")


def test_memory_does_not_grow_with_the_product() -> None:
    rng = np.random.default_rng(6)
    video, music = (rng.normal(size=(5000, 8)).astype(np.float32) for _ in range(2))
    tracemalloc.start()
    retrieve(video, music, np.arange(5000))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 40e6  # the product is 100 MB


def of_lists(above: list[list[int]], level: list[list[int]], n: int) -> Ranks:
    ends = np.cumsum([len(x) for x in above])
    return Ranks(ends, np.concatenate(above), np.concatenate(level), np.full(len(above), n))


def test_what_follows_from_the_counts() -> None:
    # the first query: right at place 1; right, wrong, right tied on 2 to 4. The second: two wrong ones, then right and wrong tied
    ranks = of_lists([[0, 1, 1], [2]], [[1, 3, 3], [2]], 6)
    assert ranks.better.tolist() == [0, 2]
    assert ranks.tied.tolist() == [0, 1]
    assert ranks.tied_right.tolist() == [1, 1]
    assert ranks.num_right.tolist() == [3, 1]
    assert ranks.right_above.tolist() == [0, 1, 1, 0]
    assert ranks.right_level.tolist() == [1, 2, 2, 1]
    assert ranks.expected().tolist() == [1.0, 3.5]
    assert (ranks.optimistic().tolist(), ranks.pessimistic().tolist()) == ([1, 3], [1, 4])
    assert as_rows(ranks.optimistic_ranks()) == [([0, 1, 2], [1, 1, 1], 6), ([2], [1], 6)]
    assert as_rows(ranks.pessimistic_ranks()) == [([0, 2, 3], [1, 1, 1], 6), ([3], [1], 6)]
    assert as_rows(ranks.chance()) == [([0, 0, 0], [6, 6, 6], 6), ([0], [6], 6)]
    assert ranks.tied_share() == 0.5
    best = Ranks.of_best(ranks.better, ranks.tied, ranks.tied_right, ranks.num_right, ranks.num_candidates)
    assert as_rows(best) == [([0, 4, 5], [1, 1, 1], 6), ([2], [2], 6)]


def test_ranks_survive_a_table_and_a_changed_table_is_refused() -> None:
    rng = np.random.default_rng(7)
    ranks = retrieve(few_values(rng, 40), few_values(rng, 40), rng.integers(0, 9, 40), unit="clip")[V2M]
    table = pa.table(ranks.columns())
    columns = {name: table[name].to_numpy() for name in (*COUNTS, *LISTS)}
    assert as_rows(Ranks.from_columns(columns)) == as_rows(ranks)
    with pytest.raises(BadScores, match="'better' of row 2 does not follow"):
        Ranks.from_columns(columns | {"better": columns["better"] - (np.arange(40) == 2)})
    with pytest.raises(BadScores, match="num_right entries"):
        Ranks.from_columns(columns | {"above": columns["above"][::-1]})
    empty = Ranks.from_columns({name: [] for name in (*COUNTS, *LISTS)})
    assert (len(empty), len(empty.columns()["above"])) == (0, 0)


def test_a_source_of_scores_knows_when_a_tile_changes() -> None:
    plan = ranking.Plan.of(np.arange(4), np.arange(4))
    source = Scores(lambda rows, columns: np.zeros((2, 2), np.float32), plan, (2, 2))
    source.of_pairs(plan.row_P, plan.column_P)
    source.known[:] = 1.0
    source.tile(slice(0, 2), slice(2, 4))  # holds no pair
    with pytest.raises(BadScores):
        source.tile(slice(0, 2), slice(0, 2))
