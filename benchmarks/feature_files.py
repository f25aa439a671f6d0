"""One feature of a pack: the steps of all clips into one array, pooled vectors beside it. Axes as in benchmarks/pack.py."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from benchmarks.feature_rows import Rows
from benchmarks.pack import Stored
from svmbench.errors import BadInput

KEEPS = 2.0**-11  # float16 keeps a feature where no value moves by more than this share of its column's range, and none is lost
BLOCK_BYTES = 8 << 20  # ours: of an array that is looked at at once
Values = npt.NDArray[np.float32]


def write_feature(folder: Path, rows: Rows, clip_ids: Sequence[str]) -> tuple[Stored, str]:
    """Writes NAME.steps.npy, NAME.ends.npy and NAME.vectors.npy of these clips, in their order.

    Returns what was stored, and the sha256 of the values clip by clip in this order. BadInput names a clip whose values are
    empty or not finite. Clips are read in the order of the disk and written to their places, so memory does not grow with N.
    """
    number_of = {clip_id: i for i, clip_id in enumerate(clip_ids)}
    length_N = np.array([rows.place[clip_id][2] for clip_id in clip_ids], np.int64)
    end_N = np.cumsum(length_N)
    whole = bool((length_N == 1).all())
    pooled_dim = rows.dim if whole else 3 * rows.dim
    digests = np.zeros((len(clip_ids), 32), np.uint8)
    exact, vectors = folder / f"{rows.name}.steps.npy", folder / f"{rows.name}.vectors.npy"
    with (
        _new(exact, np.float32, (int(end_N[-1]), rows.dim)) as steps_file,
        _new(vectors, np.float32, (len(clip_ids), pooled_dim)) as vectors_file,
    ):
        at_steps, at_vectors = steps_file.tell(), vectors_file.tell()
        for clip_id, values_TD in rows.values(clip_ids):
            i = number_of[clip_id]
            if not len(values_TD) or not np.isfinite(values_TD).all():
                raise BadInput(f"the feature {rows.name!r} of clip {clip_id} is empty or not finite; extract or import it again")
            digests[i] = np.frombuffer(hashlib.sha256(repr(values_TD.shape).encode() + values_TD.tobytes()).digest(), np.uint8)
            _put(steps_file, at_steps + int(end_N[i] - length_N[i]) * rows.dim * 4, values_TD)
            _put(vectors_file, at_vectors + i * pooled_dim * 4, values_TD[0] if whole else pooled(values_TD))
    dtype = _halved(exact)
    np.save(folder / f"{rows.name}.ends.npy", end_N)
    for path in (exact, vectors, folder / f"{rows.name}.ends.npy"):
        sync(path)
    content = hashlib.sha256(b"".join(sorted(map(bytes, digests)))).hexdigest()
    stored = Stored(
        dtype=dtype, num_steps=int(end_N[-1]), dim=rows.dim, longest=int(length_N.max()), pooled_dim=pooled_dim, sha256=content
    )
    return stored, hashlib.sha256(digests.tobytes()).hexdigest()


def pooled(values_TD: Values) -> Values:
    """Mean, standard deviation and mean absolute difference over time, one after the other (3 D,); from float64."""
    values = values_TD.astype(np.float64)
    change = np.abs(np.diff(values, axis=0)).mean(axis=0) if len(values) > 1 else np.zeros(values.shape[1])
    return np.concatenate([values.mean(axis=0), values.std(axis=0), change]).astype(np.float32)


@contextmanager
def _new(path: Path, dtype: Any, shape: tuple[int, int]) -> Iterator[BinaryIO]:
    """A .npy file with its header, open for writing rows."""
    with open(path, "wb") as handle:
        np.lib.format.write_array_header_1_0(handle, {"descr": np.dtype(dtype).str, "fortran_order": False, "shape": shape})
        yield handle


def _put(handle: BinaryIO, at: int, values: Values) -> None:
    block = np.ascontiguousarray(values).tobytes()
    while block:
        written = os.pwrite(handle.fileno(), block, at)
        block, at = block[written:], at + written


def _blocks(path: Path) -> Iterator[Values]:
    """The rows of a (P, D) array a few megabytes at a time, without mapping the file into memory."""
    with open(path, "rb") as handle:
        np.lib.format.read_magic(handle)
        shape, _, dtype = np.lib.format.read_array_header_1_0(handle)
        rows = max(1, BLOCK_BYTES // (shape[1] * dtype.itemsize))
        for low in range(0, shape[0], rows):
            yield np.fromfile(handle, dtype, min(rows, shape[0] - low) * shape[1]).reshape(-1, shape[1])


def _halved(path: Path) -> str:
    """Turns a float32 array on disk into float16 where that keeps it (KEEPS; a column that never changes is kept unless it
    overflows); returns the type that it has then."""
    bounds = [(block.min(axis=0), block.max(axis=0), len(block)) for block in _blocks(path)]
    low_D, high_D = np.min([b[0] for b in bounds], axis=0), np.max([b[1] for b in bounds], axis=0)
    allowed_D = np.where(high_D > low_D, KEEPS * (high_D.astype(np.float64) - low_D), np.inf)
    half, kept = path.with_suffix(".half"), True
    with _new(half, np.float16, (sum(b[2] for b in bounds), len(low_D))) as handle:
        for block in _blocks(path):
            with np.errstate(over="ignore"):
                values = block.astype(np.float16)
            kept = bool(np.isfinite(values).all() and (np.abs(values.astype(np.float32) - block).max(axis=0) <= allowed_D).all())
            if not kept:
                break
            handle.write(values.tobytes())
    if kept:
        os.replace(half, path)
    else:
        half.unlink()
    return "float16" if kept else "float32"


def sync(path: Path) -> None:
    """Makes a file survive a power cut before the folder that it is in gets its name."""
    with open(path, "rb") as handle:
        os.fsync(handle.fileno())
