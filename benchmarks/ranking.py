"""From embeddings or scores to ranks: exact, by counting and not by sorting, both directions from one product.

Axes: Q queries, G gallery, N clips, S songs, D embedding, B block. The candidates of the query's own group (song) are its
positives. How the counting goes is in benchmarks.ranking_counts, what it gives in benchmarks.ranks.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from benchmarks.ranking_counts import Counter, Layers, Plan, Source, blocks, count
from benchmarks.ranking_numpy import NumpyCounter, Products, Scores
from benchmarks.ranks import COUNTS, LISTS, Ranks
from svmbench.errors import BadScores, UnknownName
from svmbench.records import M2V, V2M

__all__ = ["COUNTS", "LISTS", "UNITS", "Ranks", "rank", "retrieve", "retrieve_scores", "song_embeddings"]

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]
Score = Callable[[Ints, Ints], npt.ArrayLike]
UNITS = ("song", "clip", "pair")  # of the gallery
SCORE_BLOCK = 256  # clips of either side in one call of a cross-encoder; ours


def rank(query_QD: Floats, gallery_GD: Floats, query_group_Q: Ints, gallery_group_G: Ints) -> Ranks:
    """One direction, by dot product. BadScores: not finite, shapes that do not fit, or a query without a positive."""
    query, gallery = _checked(query_QD, "query", query_group_Q), _checked(gallery_GD, "gallery", gallery_group_G)
    _fit(query, gallery)
    plan = Plan.of(gallery_group_G, query_group_Q)
    alone = np.flatnonzero(plan.num_rows == 0)
    if len(alone):
        raise BadScores(f"query {plan.column_order[alone].min()} has no positive in the gallery")
    products = Products(gallery[plan.row_order], query[plan.column_order])
    (of_query,) = count(products, NumpyCounter(), plan, (0,))
    return _ranks(of_query, plan.column_order, len(gallery))


def retrieve(video_ND: Floats, music_ND: Floats, song_N: Ints, *, unit: str = "song", device: str = "cpu") -> dict[str, Ranks]:
    """Both directions over the clips of one part of a split, from one product of which only blocks are held.

    unit 'song': clip -> song and song -> clip; a song is the mean over its clips, so clips that share a song are no false
    negatives of each other. A query's own audio is part of that mean, as in the papers, whose task is to find the music that
    belongs to the video. Song queries come in ascending order of `song_N`. 'clip': the gallery holds clips and all clips of the
    song are right. 'pair': it holds clips and only the query's own is right; to replicate papers that score so.

    device: 'cpu' counts with numpy; any other is a device of torch, TF32 off; 'torch:cpu' is torch on the CPU.
    BadScores: embeddings that are not finite or do not fit.
    """
    video, music = _checked(video_ND, "video", song_N), _checked(music_ND, "music", song_N)
    _fit(video, music)
    video_group = music_group = _groups(song_N, unit)
    if unit == "song":
        music, music_group = song_embeddings(music, song_N)
    plan = Plan.of(video_group, music_group)
    video, music = video[plan.row_order], music[plan.column_order]
    if device == "cpu":
        return _both(Products(video, music), NumpyCounter(), plan)
    from benchmarks.ranking_torch import TorchCounter, TorchProducts  # torch takes seconds to import; the CPU does without

    device = device.removeprefix("torch:")
    return _both(TorchProducts(video, music, device), TorchCounter(device), plan)


def retrieve_scores(score: Score, num_clips: int, song_N: Ints, *, unit: str = "song") -> dict[str, Ranks]:
    """As `retrieve`, for a cross-encoder: score(videos of these clips (B,), music of these clips (B',)) -> (B, B') float32.

    Higher is closer. At most SCORE_BLOCK x SCORE_BLOCK pairs are asked for at once, those blocks that hold positives twice. A
    song's score is the mean over its clips. BadScores: a block that is not finite, of another shape, or not the same both times.
    """
    if num_clips != len(song_N):
        raise BadScores(f"{num_clips} clips, and songs for {len(song_N)}")
    video_group = music_group = _groups(song_N, unit)
    members = list(np.arange(num_clips)[:, None])
    if unit == "song":
        music_group, sizes = np.unique(song_N, return_counts=True)
        members = np.split(np.argsort(song_N, kind="stable"), np.cumsum(sizes)[:-1])
    plan = Plan.of(video_group, music_group)

    def block(rows: slice, columns: slice) -> Floats:
        videos, songs = plan.row_order[rows], [members[c] for c in plan.column_order[columns]]
        clips = np.concatenate(songs)
        sim = np.concatenate([_scored(score, videos, clips[part]) for part in blocks(len(clips), SCORE_BLOCK)], axis=1)
        if unit != "song":
            return sim
        num = np.asarray([len(song) for song in songs])
        sums = np.add.reduceat(sim.astype(np.float64), np.cumsum(num) - num, axis=1)  # equal scores have an equal mean: exact
        return np.asarray(sums / num, dtype=np.float32)

    return _both(Scores(block, plan, (SCORE_BLOCK, SCORE_BLOCK)), NumpyCounter(), plan)


def song_embeddings(music_ND: Floats, song_N: Ints) -> tuple[Floats, Ints]:
    """One embedding a song, the mean over its clips, L2-normalised; and the songs in ascending order.

    Summed in float64: songs whose clips all have the same embedding get the same bits, whatever their number of clips, and tie.
    """
    songs_S, num_S = np.unique(song_N, return_counts=True)
    order = np.argsort(song_N, kind="stable")
    mean_SD = np.add.reduceat(music_ND[order], np.cumsum(num_S) - num_S, axis=0, dtype=np.float64) / num_S[:, None]
    length_S = np.linalg.norm(mean_SD, axis=1, keepdims=True)
    return (mean_SD / np.maximum(length_S, 1e-12)).astype(np.float32), songs_S


def _groups(song_N: Ints, unit: str) -> Ints:
    """What makes a candidate right: the same song, or being the same clip."""
    if unit not in UNITS:
        raise UnknownName("gallery unit", unit, UNITS)
    return np.arange(len(song_N)) if unit == "pair" else song_N


def _both(source: Source, counter: Counter, plan: Plan) -> dict[str, Ranks]:
    of_column, of_row = count(source, counter, plan, (0, 1))
    num_rows, num_columns = len(plan.row_order), len(plan.column_order)
    return {V2M: _ranks(of_row, plan.row_order, num_columns), M2V: _ranks(of_column, plan.column_order, num_rows)}


def _ranks(layers: Layers, order: Ints, num_candidates: int) -> Ranks:
    """From the counts of sorted items to the items in their original order."""
    above_P, level_P = layers.counts()
    query_P = order[layers.item_P]
    sort_P = np.lexsort((above_P, query_P))
    ends_Q = np.cumsum(np.bincount(query_P, minlength=len(order)))
    return Ranks(ends_Q, above_P[sort_P], level_P[sort_P], np.full(len(order), num_candidates, np.int64))


def _checked(embedding: npt.ArrayLike, what: str, group: Ints) -> Floats:
    """Contiguous float32 (items, D) whose dot products are all finite (the norms bound them: |q.g| <= |q| |g|)."""
    found = np.ascontiguousarray(embedding, dtype=np.float32)
    if np.ndim(embedding) != 2:
        raise BadScores(f"{what} embeddings must have the shape (items, dimensions), not {np.shape(embedding)}")
    if len(found) != len(group):
        raise BadScores(f"{what} embeddings do not fit: {len(found)} for {len(group)} items")
    with np.errstate(over="ignore", invalid="ignore"):
        norms = np.einsum("nd,nd->n", found, found)
    bad = np.flatnonzero(~(norms < 1e38))
    if len(bad):
        raise BadScores(
            f"{len(bad)} of {len(norms)} {what} embeddings are not finite, first at row {bad[0]}; did training diverge?"
        )
    return found


def _fit(one: Floats, other: Floats) -> None:
    if one.shape[1] != other.shape[1]:
        raise BadScores(f"embeddings do not fit: {one.shape[1]} dimensions on one side and {other.shape[1]} on the other")


def _scored(score: Score, videos: Ints, clips: Ints) -> Floats:
    """One block of a cross-encoder's scores, looked at."""
    found = np.asarray(score(videos, clips))
    if found.shape != (len(videos), len(clips)):
        raise BadScores(f"score() gave the shape {found.shape} for {len(videos)} videos and {len(clips)} clips of music")
    found = np.asarray(found, dtype=np.float32)
    if not np.isfinite(found).all():
        raise BadScores(f"score() gave {np.count_nonzero(~np.isfinite(found))} values that are not finite in one block")
    return found
