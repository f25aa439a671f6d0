"""Ranks against brute force, and inputs that must be refused."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.ranking import Ranks, rank, retrieve, song_embeddings
from svmbench.errors import BadScores
from svmbench.records import M2V, V2M


def brute(sim: np.ndarray, query_group: np.ndarray, gallery_group: np.ndarray) -> list[tuple[int, int, int, int]]:
    """(better, tied, tied_right, num_right) of each query, one candidate at a time."""
    rows = []
    for row, group in zip(sim, query_group, strict=True):
        best = max(s for s, g in zip(row, gallery_group, strict=True) if g == group)
        pairs = list(zip(row, gallery_group, strict=True))
        rows.append(
            (
                sum(1 for s, g in pairs if g != group and s > best),
                sum(1 for s, g in pairs if g != group and s == best),
                sum(1 for s, g in pairs if g == group and s == best),
                sum(1 for s, g in pairs if g == group),
            )
        )
    return rows


def as_rows(ranks: Ranks) -> list[tuple[int, int, int, int]]:
    columns = (ranks.better, ranks.tied, ranks.tied_right, ranks.num_right)
    return [tuple(int(x) for x in row) for row in zip(*columns, strict=True)]  # type: ignore[misc]


@pytest.mark.parametrize("seed", range(300))
def test_equals_brute_force_with_ties_and_several_positives(seed: int) -> None:
    rng = np.random.default_rng(seed)
    num_queries, num_gallery, num_groups = rng.integers(1, 12), rng.integers(3, 25), rng.integers(1, 4)
    gallery_group = np.concatenate([np.arange(num_groups), rng.integers(0, num_groups, num_gallery)])
    query_group = rng.integers(0, num_groups, num_queries)
    query = rng.integers(-1, 2, (num_queries, 2)).astype(np.float32)  # few values: many ties, exact in float32
    gallery = rng.integers(-1, 2, (len(gallery_group), 2)).astype(np.float32)
    expected = brute(query @ gallery.T, query_group, gallery_group)
    for block_rows in (None, 1, 3):
        found = rank(query, gallery, query_group, gallery_group)
        assert as_rows(found) == expected
        assert set(found.num_candidates.tolist()) <= {len(gallery)}


def test_without_ties_the_rank_is_the_place_in_the_sorted_list() -> None:
    rng = np.random.default_rng(1)
    video, music = (rng.normal(size=(200, 16)).astype(np.float32) for _ in range(2))
    ranks = retrieve(video, music, np.arange(200))
    unit = music / np.linalg.norm(music, axis=1, keepdims=True)
    order = np.argsort(-(video @ unit.T), axis=1)
    assert ranks[V2M].expected().tolist() == [1 + order[i].tolist().index(i) for i in range(200)]
    order = np.argsort(-(unit @ video.T), axis=1)
    assert ranks[M2V].expected().tolist() == [1 + order[i].tolist().index(i) for i in range(200)]


def test_the_gallery_unit_is_the_song() -> None:
    video = np.eye(4, dtype=np.float32)
    music = np.eye(4, dtype=np.float32)[[0, 0, 2, 3]]
    ranks = retrieve(video, music, np.array([7, 7, 5, 9]))
    assert len(ranks[V2M]) == 4
    assert ranks[V2M].num_candidates.tolist() == [3] * 4
    assert ranks[V2M].num_right.tolist() == [1] * 4
    assert len(ranks[M2V]) == 3
    assert ranks[M2V].num_right.tolist() == [1, 2, 1]  # songs 5, 7, 9
    assert ranks[V2M].expected().tolist() == [1.0, 2.0, 1.0, 1.0]  # the second clip is orthogonal to all songs: three tied


def test_a_songs_embedding_is_the_unit_mean_of_its_clips() -> None:
    found, songs = song_embeddings(np.array([[1, 0], [0, 1], [0, 3]], np.float32), np.array([4, 4, 2]))
    assert songs.tolist() == [2, 4]
    assert np.allclose(found, np.array([[0, 1], [0.5, 0.5]]) ** 0.5)


def test_the_order_of_the_gallery_does_not_matter() -> None:
    rng = np.random.default_rng(3)
    video, music = (rng.integers(-1, 2, (40, 2)).astype(np.float32) for _ in range(2))
    song, order = rng.integers(0, 15, 40), rng.permutation(40)
    first, again = retrieve(video, music, song), retrieve(video[order], music[order], song[order])
    assert as_rows(first[M2V]) == as_rows(again[M2V])
    assert [as_rows(first[V2M])[i] for i in order] == as_rows(again[V2M])


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e30])
@pytest.mark.parametrize("side", [0, 1])
def test_similarities_that_are_not_finite_raise(value: float, side: int) -> None:
    pair = [np.ones((5, 3), np.float32), np.ones((5, 3), np.float32)]
    pair[side][2, 1] = value
    with pytest.raises(BadScores, match="not finite, first at row 2"):
        retrieve(pair[0], pair[1], np.arange(5))


def test_shapes_that_do_not_fit_raise() -> None:
    ones = np.ones((4, 3), np.float32)
    with pytest.raises(BadScores, match="do not fit"):
        rank(ones, np.ones((4, 2), np.float32), np.arange(4), np.arange(4))
    with pytest.raises(BadScores, match="no positive"):
        rank(ones, ones, np.array([0, 1, 2, 9]), np.arange(4))
    with pytest.raises(BadScores, match="for 3 clips"):
        retrieve(ones, ones, np.arange(3))
    with pytest.raises(BadScores, match="shape"):
        rank(np.ones(4, np.float32), ones, np.arange(4), np.arange(4))
