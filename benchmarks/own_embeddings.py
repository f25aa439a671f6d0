"""Embeddings of the user's for the clips of a run: scored like a model, without the model.

An .npz file (numpy.savez) with
    ids            (N,) text   clip ids of the run, each once
    video, music   (N, D)      numbers; row i of both is the clip ids[i]; compared by their dot product, as they are
Every clip that is scored must be there; more clips of the run may be.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt

from benchmarks import data
from benchmarks.npz import read_npz, texts
from benchmarks.own_model import Own
from svmbench.errors import BadInput
from svmbench.store import RunFolder, sha256_file, write_atomically


def load(text: str, run: RunFolder, *, folds: int | None = None) -> Own:
    """An embeddings file as an Own: its rows are put into the order of the run's clips, where workers find them.

    folds: with them every clip is scored, else those of the test part.
    """
    path = Path(text)
    arrays = _read(path)
    ids = _ids(path, arrays)
    sides = {name: _side(path, name, arrays, len(ids)) for name in data.MODALITIES}
    if sides["video"].shape[1] != sides["music"].shape[1]:
        raise BadInput(f"--model: {text}: video has {sides['video'].shape[1]} dimensions and music {sides['music'].shape[1]}")
    pack = data.make_pack(run)
    place = {clip: i for i, clip in enumerate(pack.clip_ids)}
    foreign = [clip for clip in ids if clip not in place]
    if foreign:
        raise BadInput(
            f"--model: {text}: {len(foreign)} of its {len(ids)} ids are no clips of {run.path}, first {foreign[0]!r}; "
            f"a clip of the run is called {pack.clip_ids[0]!r}"
        )
    scored = [int(i) for i in (range(len(place)) if folds else pack.parts.get("test", ()))]
    missing = sorted({pack.clip_ids[i] for i in scored} - set(ids))
    if missing:
        raise BadInput(f"--model: {text}: {len(missing)} of {len(scored)} clips to score are not in it, first {missing[0]!r}")
    sha = sha256_file(path)
    folder = run.path / "fits" / f"embeddings-{hashlib.sha256(f'{sha} {pack.revision}'.encode()).hexdigest()[:16]}"
    for name, values in sides.items():
        ordered = np.full((len(place), values.shape[1]), np.nan, np.float32)  # a row that is used and was not given is refused
        ordered[[place[clip] for clip in ids]] = values
        if not (folder / f"{name}.npy").is_file():
            write_atomically(folder / f"{name}.npy", partial(_save, values=ordered))
    return Own(name=re.sub(r"\W+", "_", path.stem), file=text, sha256=sha, vectors=str(folder))


def _save(path: Path, values: npt.NDArray[np.float32]) -> None:
    with open(path, "wb") as handle:  # numpy would add .npy to the name
        np.save(handle, values)


def _read(path: Path) -> dict[str, np.ndarray]:
    try:
        arrays = read_npz(path, "write it with numpy.savez")
    except BadInput as error:
        raise BadInput(f"--model: {error}") from error
    for name in ("ids", *data.MODALITIES):
        if name not in arrays:
            has = ", ".join(sorted(arrays)) or "nothing"
            raise BadInput(f"--model: {path} has no array {name!r}; it must have ids, video and music, and has {has}")
    return arrays


def _ids(path: Path, arrays: dict[str, np.ndarray]) -> list[str]:
    if arrays["ids"].ndim != 1 or arrays["ids"].dtype.kind not in "US" or not len(arrays["ids"]):
        raise BadInput(f"--model: {path}: ids must be (N,) text, not {arrays['ids'].shape} of {arrays['ids'].dtype}")
    ids = texts(arrays["ids"])
    twice = [clip for clip, count in Counter(ids).items() if count > 1]
    if twice:
        raise BadInput(f"--model: {path}: {len(twice)} ids stand there more than once, first {twice[0]!r}")
    return ids


def _side(path: Path, name: str, arrays: dict[str, np.ndarray], num: int) -> npt.NDArray[np.float32]:
    values = arrays[name]
    if values.ndim != 2 or len(values) != num or not values.shape[1] or values.dtype.kind not in "fiu":
        raise BadInput(f"--model: {path}: {name} has the shape {values.shape} of {values.dtype}; it must be ({num}, D) numbers")
    found: npt.NDArray[np.float32] = values.astype(np.float32)
    bad = np.flatnonzero(~np.isfinite(found).all(axis=1))
    if len(bad):
        raise BadInput(f"--model: {path}: {name} is not finite in {len(bad)} rows, first in row {bad[0]}")
    return found
