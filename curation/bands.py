"""Banded blocking: which pairs of clips have two hashes within some bits of each other, without comparing all with all.

A hash of 256 bits is cut into 16 bands of 16 bits. Hashes that agree in a band stand in one bucket, and only those are compared.
By chance two hashes 16 bits apart share a band nearly always, 24 bits apart in .99 of cases, 31 bits apart in .91; closer than 16
bits they always do. The buckets are compared in this process, or by Ray Data where there are many: they are then spread over
parts, and each part is sorted and compared by itself. Both give the same.

A picture and its mirror image stand in one bucket too: mirroring turns the sign of every other column of frequencies, and as the
median is near zero, that turns those bits, but for a few.

Axes: N hashes, 4 words of 64 bits, 16 bands.
"""

from __future__ import annotations

import logging
import warnings
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa

BANDS, KEYS = 16, 1 << 16
MIRRORED = np.uint64(0x5555_5555_5555_5555)  # the bits of the odd horizontal frequencies, in each word
HOT_CLIPS = 500  # ours, as in the blocking that was sized for ten million videos: a picture that more clips show is no evidence
HOT_TIMES = 8  # ours: with very many hashes chance alone fills a bucket; a hot one holds this many times the mean
HOT_BANDS = 8  # ours: chance puts a hash into a hot bucket now and then, and a picture that many show into most
PART_ROWS = 4_000_000  # ours: hashes a part, each counted once a band; some 200 MB
RETRIES = 3  # of a part whose worker died; Ray Data's own number is endless


def words(hashes: list[bytes]) -> np.ndarray:
    """Hashes of 32 bytes as uint64 of shape (N, 4)."""
    return np.frombuffer(b"".join(hashes), np.uint64).reshape(-1, 4)


def distance(first: np.ndarray, second: np.ndarray, *, mirrored: bool = False) -> np.ndarray:
    """Bits that differ, of hashes as uint64 words in the last axis; of the first's mirror image where mirrored. Broadcasts."""
    different = first ^ second ^ MIRRORED if mirrored else first ^ second
    return np.asarray(np.bitwise_count(different).sum(axis=-1, dtype=np.int16))


def _keys(words_N4: np.ndarray) -> np.ndarray:
    """The key of each hash in each band, uint16 of shape (16, N), the same for a picture and its mirror image."""
    keys = words_N4.view(np.uint16).T
    return np.minimum(keys, keys ^ np.uint16(MIRRORED & np.uint64(KEYS - 1)))


def hot(words_N4: np.ndarray, clip_N: np.ndarray) -> np.ndarray:
    """Which hashes belong to a picture that very many clips show, bool of shape (N,): most of their buckets are overfull.

    A bucket is overfull with more than HOT_CLIPS clips and HOT_TIMES the clips of a mean bucket.
    """
    limit = max(HOT_CLIPS, HOT_TIMES * len(words_N4) / (KEYS / 2))
    overfull = np.zeros(len(words_N4), np.uint8)
    if len(np.unique(clip_N)) <= limit:
        return overfull > 0
    for key_N in _keys(words_N4):
        places = np.sort(key_N.astype(np.int64) << 32 | clip_N)
        first = np.diff(places, prepend=-1) > 0  # a clip counts once
        overfull += np.bincount(places[first] >> 32, minlength=KEYS)[key_N] > limit
    return np.asarray(overfull >= HOT_BANDS)


def near(words_N4: np.ndarray, clip_N: np.ndarray, max_distance: int, *, shuffled: bool = False) -> np.ndarray:
    """Sorted pairs of clips (lower, higher number) that share a bucket with hashes within max_distance, int64 of shape (P, 2).

    shuffled: Ray Data compares the buckets; Ray runs already.
    """
    if shuffled:
        codes = _shuffled(words_N4, clip_N, max_distance)
    else:
        codes = _merged([_near_in_band(key_N, words_N4, clip_N, max_distance) for key_N in _keys(words_N4)])
    return np.stack([codes >> 32, codes & 0xFFFFFFFF], axis=1)


def _merged(codes: list[np.ndarray]) -> np.ndarray:
    return np.unique(np.concatenate([np.zeros(0, np.int64), *codes]))


def _near_in_band(key_N: np.ndarray, words_N4: np.ndarray, clip_N: np.ndarray, max_distance: int) -> np.ndarray:
    """Pairs of clips as codes (lower << 32 | higher), from neighbours in the sorted keys at growing steps."""
    order = np.argsort(key_N, kind="stable")
    key_N, words_N4, clip_N = key_N[order], words_N4[order], clip_N[order].astype(np.int64)
    found, first, step = [], np.arange(len(key_N)), 1
    while len(first):
        first = first[first + step < len(key_N)]
        first = first[key_N[first] == key_N[first + step]]
        others = first[clip_N[first] != clip_N[first + step]]
        ours, theirs = words_N4[others], words_N4[others + step]
        close = (distance(ours, theirs) <= max_distance) | (distance(ours, theirs, mirrored=True) <= max_distance)
        a, b = clip_N[others[close]], clip_N[others[close] + step]
        found.append(np.unique(np.minimum(a, b) << 32 | np.maximum(a, b)))
        step += 1
    return _merged(found)


def _shuffled(words_N4: np.ndarray, clip_N: np.ndarray, max_distance: int) -> np.ndarray:
    parts = -(-BANDS * len(words_N4) // PART_ROWS)
    table = pa.table({"hash": _binary(words_N4), "clip": clip_N.astype(np.int64)})
    step = -(-PART_ROWS // BANDS)
    blocks = [table.slice(start, step) for start in range(0, len(table), step)]
    options: dict[str, Any] = {"batch_format": "pyarrow", "num_cpus": 1, "max_retries": RETRIES}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Ray Data warns of its own defaults, and that max_retries will go, without a successor
        import ray.data

        ray.data.DataContext.get_current().enable_progress_bars = False
        logging.getLogger("ray.data").setLevel(logging.ERROR)
        banded = ray.data.from_arrow(blocks).map_batches(partial(_in_bands, parts=parts), batch_size=None, **options)
        grouped = banded.groupby("part", num_partitions=parts)
        pairs = grouped.map_groups(partial(_near_in_part, max_distance=max_distance), **options)
        return _merged([np.asarray(batch["code"]) for batch in pairs.iter_batches(batch_size=None, batch_format="numpy")])


def _binary(words_N4: np.ndarray) -> pa.Array:
    flat = pa.py_buffer(np.ascontiguousarray(words_N4))
    return pa.FixedSizeBinaryArray.from_buffers(pa.binary(32), len(words_N4), [None, flat])


def _words_of(column: pa.ChunkedArray) -> np.ndarray:
    array = column.combine_chunks()
    return np.frombuffer(array.buffers()[1], np.uint64).reshape(-1, 4)[array.offset : array.offset + len(array)]


def _in_bands(batch: pa.Table, parts: int) -> pa.Table:
    """Each hash once for each band, with its bucket (band and key) and the part to which the bucket belongs."""
    keys = np.arange(BANDS, dtype=np.int32)[:, None] * KEYS + _keys(_words_of(batch["hash"]))
    part = keys % parts
    rows = pa.concat_tables([batch.select(["hash", "clip"])] * BANDS)
    return rows.append_column("key", pa.array(keys.ravel())).append_column("part", pa.array(part.ravel()))


def _near_in_part(part: pa.Table, max_distance: int) -> pa.Table:
    key_N, clip_N = np.asarray(part["key"]), np.asarray(part["clip"])
    return pa.table({"code": _near_in_band(key_N, _words_of(part["hash"]), clip_N, max_distance)})
