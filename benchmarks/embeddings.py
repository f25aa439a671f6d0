"""An embeddings file: both sides of some clips as another program embedded them, to be ranked or audited by our protocol.

An .npz file (numpy.savez, without pickled objects) with
    video, music   (N, D) numbers; row i of both is clip i. Compared by cosine: rows are scaled to unit length here
    song           (N,) text or whole numbers: the same where two clips have the same song; numpy.arange(N) where none do
    ids            (N,) text, optional: the clips' names, each once; needed where they must be found in a run
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from benchmarks.npz import read_npz, texts
from svmbench.errors import BadInput

SIDES = ("video", "music")


@dataclass(frozen=True)
class Embeddings:
    """video_ND, music_ND: float32, of unit length (a row of zeros stays one). song_N: codes from 0. ids: empty where the file
    names no clips."""

    video_ND: npt.NDArray[np.float32]
    music_ND: npt.NDArray[np.float32]
    song_N: npt.NDArray[np.int64]
    ids: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.song_N)


def read_embeddings(path: Path) -> Embeddings:
    """BadInput with one line for whatever is wrong with the file."""
    arrays = read_npz(path, "write it with numpy.savez(path, video=..., music=..., song=...)")
    missing = [name for name in (*SIDES, "song") if name not in arrays]
    if missing:
        has = ", ".join(sorted(arrays)) or "nothing"
        raise BadInput(f"{path}: has no array {missing[0]!r}; an embeddings file has video, music and song; this one has {has}")
    sides = {name: _side(arrays[name], name, path) for name in SIDES}
    rows, dims = sides["video"].shape
    if sides["music"].shape[0] != rows:
        raise BadInput(f"{path}: {rows} video rows and {len(sides['music'])} music rows; row i of both must be clip i")
    if sides["music"].shape[1] != dims:
        raise BadInput(f"{path}: video has {dims} dimensions and music {sides['music'].shape[1]}; cosine needs the same")
    song_N = _song(arrays["song"], rows, path)
    return Embeddings(sides["video"], sides["music"], song_N, _ids(arrays.get("ids"), rows, path))


def _side(values: np.ndarray, name: str, path: Path) -> npt.NDArray[np.float32]:
    """Float32 rows of unit length."""
    if values.ndim != 2 or 0 in values.shape or values.dtype.kind not in "fiu":
        raise BadInput(
            f"{path}: {name} has the shape {values.shape} of {values.dtype}; it must be numbers (clips, dimensions), not empty"
        )
    with np.errstate(over="ignore"):
        found = values.astype(np.float32)
    bad = np.flatnonzero(~np.isfinite(found).all(axis=1))
    if len(bad):
        raise BadInput(f"{path}: {name} is not finite in float32 in {len(bad)} of {len(found)} rows, first in row {bad[0]}")
    largest = np.abs(found).max(axis=1, keepdims=True)  # divided by first, so that no square overflows
    unit = found / np.where(largest > 0, largest, 1)
    length = np.linalg.norm(unit, axis=1, keepdims=True)
    return np.asarray(unit / np.where(length > 0, length, 1), np.float32)


def _song(values: np.ndarray, rows: int, path: Path) -> npt.NDArray[np.int64]:
    if values.shape != (rows,) or values.dtype.kind not in "iuSU":
        raise BadInput(
            f"{path}: song has the shape {values.shape} of {values.dtype}; it must be ({rows},) names or numbers, one a clip"
        )
    songs, code_N = np.unique(values, return_inverse=True)
    if len(songs) < 2:
        raise BadInput(f"{path}: all {rows} clips are of one song, so every ranking is right; there must be two songs or more")
    return code_N.astype(np.int64)


def _ids(values: np.ndarray | None, rows: int, path: Path) -> tuple[str, ...]:
    if values is None:
        return ()
    if values.shape != (rows,) or values.dtype.kind not in "iuSU":
        raise BadInput(f"{path}: ids has the shape {values.shape} of {values.dtype}; it must be ({rows},) names, one a clip")
    ids = tuple(texts(values))
    if len(set(ids)) < rows:
        twice = Counter(ids).most_common(1)[0][0]
        raise BadInput(f"{path}: ids has {twice!r} more than once; every clip needs a name of its own")
    return ids
