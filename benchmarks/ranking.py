"""From embeddings to ranks: exact, by counting and not by sorting, block by block.

Axes: Q queries, G gallery, N clips, D embedding. Candidates of the query's own group (song) are its positives; the rank is that
of the best one. The other positives can never stand before it and are not counted as errors. Ties are kept as counts, so that
every metric can be the expectation under a random order of the tied, and no order of the data leaks into a score.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from svmbench.errors import BadScores
from svmbench.records import M2V, V2M

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]
BLOCK_BYTES = 64 * 2**20  # of one block of similarities; ours


@dataclass(frozen=True)
class Ranks:
    """Per query (Q,): how many wrong candidates are better than the best positive and how many are tied with it.

    tied_right: positives that share the best positive's similarity, itself included (>= 1). num_right: all positives (>= 1).
    num_candidates: size of the gallery. The rank of the best positive lies in better + 1 ... better + tied + 1.
    """

    better: Ints
    tied: Ints
    tied_right: Ints
    num_right: Ints
    num_candidates: Ints

    def __len__(self) -> int:
        return len(self.better)

    def expected(self) -> npt.NDArray[np.float64]:
        """1-based expected rank of the first positive when the tied stand in random order (Q,)."""
        return np.asarray(self.better + (self.tied + self.tied_right + 1) / (self.tied_right + 1), dtype=np.float64)

    def chance(self) -> Ranks:
        """The ranks of a scorer that knows nothing (all candidates tied): any metric of them is the exact chance value."""
        return Ranks(
            better=np.zeros_like(self.better),
            tied=self.num_candidates - self.num_right,
            tied_right=self.num_right,
            num_right=self.num_right,
            num_candidates=self.num_candidates,
        )


def rank(
    query_QD: Floats,
    gallery_GD: Floats,
    query_group_Q: Ints,
    gallery_group_G: Ints,
    *,
    block_rows: int | None = None,
) -> Ranks:
    """Ranks by dot product in float32. BadScores: not finite, shapes that do not fit, or a query without a positive.

    Memory is one block of similarities, whatever the gallery's size. The best positive's similarity is taken from the same block
    as its rivals: computed apart it would differ in the last bits and break ties.
    """
    query, gallery = _checked(query_QD, "query"), _checked(gallery_GD, "gallery")
    if query.shape[1] != gallery.shape[1] or len(query) != len(query_group_Q) or len(gallery) != len(gallery_group_G):
        raise BadScores(
            f"embeddings do not fit: queries {query.shape} with {len(query_group_Q)} groups, "
            f"gallery {gallery.shape} with {len(gallery_group_G)} groups"
        )
    order_G = np.argsort(gallery_group_G, kind="stable")
    sorted_group_G = gallery_group_G[order_G]
    first_Q = np.searchsorted(sorted_group_G, query_group_Q, "left")
    right_Q = np.searchsorted(sorted_group_G, query_group_Q, "right") - first_Q
    if len(right_Q) and right_Q.min() == 0:
        raise BadScores(f"query {int(np.argmin(right_Q))} has no positive in the gallery")
    rows = block_rows or max(1, BLOCK_BYTES // (4 * max(1, len(gallery))))
    better_Q, tied_Q, tied_right_Q = (np.zeros(len(query), np.int64) for _ in range(3))
    gallery_DG = gallery.T
    for low in range(0, len(query), rows):
        part = slice(low, low + rows)
        sim_BG = query[part] @ gallery_DG
        starts = np.concatenate([[0], np.cumsum(right_Q[part])[:-1]])
        row_P = np.repeat(np.arange(len(sim_BG)), right_Q[part])
        place_P = np.arange(len(row_P)) - np.repeat(starts - first_Q[part], right_Q[part])
        right_P = sim_BG[row_P, order_G[place_P]]
        best_B = np.maximum.reduceat(right_P, starts)
        better_Q[part] = np.count_nonzero(sim_BG > best_B[:, None], axis=1)
        tied_right_Q[part] = np.add.reduceat((right_P == best_B[row_P]).astype(np.int64), starts)
        tied_Q[part] = np.count_nonzero(sim_BG >= best_B[:, None], axis=1) - better_Q[part] - tied_right_Q[part]
    return Ranks(better_Q, tied_Q, tied_right_Q, right_Q.astype(np.int64), np.full(len(query), len(gallery), np.int64))


def _checked(embedding: Floats, what: str) -> Floats:
    """Contiguous float32 whose dot products are all finite (the norms bound them: |q.g| <= |q| |g|)."""
    if embedding.ndim != 2:
        raise BadScores(f"{what} embeddings must have the shape (items, dimensions), not {embedding.shape}")
    embedding = np.ascontiguousarray(embedding, dtype=np.float32)
    with np.errstate(over="ignore", invalid="ignore"):
        norms = np.einsum("nd,nd->n", embedding, embedding)
    bad = np.flatnonzero(~(norms < 1e38))
    if len(bad):
        raise BadScores(
            f"{len(bad)} of {len(norms)} {what} embeddings are not finite, first at row {bad[0]}; did training diverge?"
        )
    return embedding


def song_embeddings(music_ND: Floats, song_N: Ints) -> tuple[Floats, Ints]:
    """One embedding a song, the mean over its clips, L2-normalised; and the songs in ascending order."""
    songs_S, inverse = np.unique(song_N, return_inverse=True)
    sums = np.zeros((len(songs_S), music_ND.shape[1]), np.float32)
    np.add.at(sums, inverse, music_ND)
    return sums / np.maximum(np.linalg.norm(sums, axis=1, keepdims=True), 1e-12), songs_S.astype(np.int64)


def retrieve(video_ND: Floats, music_ND: Floats, song_N: Ints) -> dict[str, Ranks]:
    """Both directions over the clips of one part of a split: clip -> song and song -> clip.

    The gallery unit is the song (unique songs; a hit is the right song), so clips that share a song are no false negatives of
    each other. The music of a song is the mean over its clips here: a query's own audio is part of it, as in the papers, whose
    task is to find the music that belongs to the video. Song queries come in ascending order of `song_N`.
    """
    if not len(video_ND) == len(music_ND) == len(song_N):
        raise BadScores(f"{len(video_ND)} video and {len(music_ND)} music embeddings for {len(song_N)} clips")
    song_SD, songs_S = song_embeddings(_checked(music_ND, "music"), song_N)
    return {V2M: rank(video_ND, song_SD, song_N, songs_S), M2V: rank(song_SD, video_ND, songs_S, song_N)}
