"""A feature pack: what a run knows of its clips, as contiguous memory-mapped arrays. benchmarks/packing.py writes them.

Axes: N clips in order of clip_id, T steps of one clip, P steps of all clips one after the other, D values a step, V pooled
values.

A pack lies in RUN/features/REVISION/ (16 digits of it) and is complete or absent. Per feature NAME:
    NAME.steps.npy (P, D)       float16 where that keeps the feature (benchmarks.packing.KEEPS), else float32
    NAME.ends.npy (N,) int64    where each clip's steps end
    NAME.vectors.npy (N, V)     float32, pooled from the original values: mean, standard deviation and mean absolute difference
                                over time (V = 3 D); a feature that has one step in every clip is taken as it is (V = D)
and for all of them
    clips.npz                   what the checks may know of the clips, and their labels (benchmarks.clip_facts)
    pack.json                   ids, songs, parts, features, where the data came from, the size of every file
    made_from.json              the table parts that were read, so that a pack is found again without reading them
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from svmbench.errors import BadInput

FORMAT = "svmbench.pack/2"
HEADER = "pack.json"
Index = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Stored:
    """One feature on disk. dtype: of its steps. longest: most steps of a clip.

    sha256: over the sorted sha256 of each clip's float32 values as they were extracted. So it is the same whatever the clips are
    called and however the steps are stored.
    """

    dtype: str
    num_steps: int
    dim: int
    longest: int
    pooled_dim: int
    sha256: str


@dataclass(frozen=True)
class Pack:
    """An opened feature pack. parts: clip indices of 'train', 'val' and 'test'; empty where the run has no split.

    revision: sha256 of the contents. source: where they came from, as the run's settings say: kind, and for a published dataset
    repo and commit (40 hex digits). split_sha256: over the sorted lines 'PART<tab>CLIP_ID' of the run's split; None without one.
    groups: a number a clip; clips of one song, or of the same media file, have the same and are never parted by a fold.
    left_out: reason -> number of clips or features that are not in the pack. tags: names of the unified labels, by their code.
    """

    folder: Path
    dataset: str
    revision: str
    source: Mapping[str, Any]
    split_sha256: str | None
    clip_ids: tuple[str, ...]
    song_ids: tuple[str, ...]
    groups: Index
    parts: Mapping[str, Index]
    modality: Mapping[str, str]
    features: Mapping[str, Stored]
    left_out: Mapping[str, int]
    tags: tuple[str, ...]

    def vectors(self, name: str) -> npt.NDArray[np.float32]:
        """Pooled vectors of one feature (N, V), memory-mapped."""
        vectors: np.ndarray = np.load(self.folder / f"{name}.vectors.npy", mmap_mode="r")
        return vectors

    def packed(self, name: str) -> npt.NDArray[Any]:
        """The steps of all clips (P, D) as stored, memory-mapped; what is written into them stays in this process."""
        steps: np.ndarray = np.load(self.folder / f"{name}.steps.npy", mmap_mode="c")
        return steps

    def bounds(self, name: str) -> tuple[Index, Index]:
        """Where each clip's steps begin in packed(), and how many they are (N,)."""
        ends: Index = np.load(self.folder / f"{name}.ends.npy")
        return np.concatenate([[0], ends[:-1]]), np.diff(ends, prepend=0)

    def steps(self, name: str, clip: int) -> npt.NDArray[np.float32]:
        """The sequence values_TD of one clip."""
        start, length = self.bounds(name)
        return self.packed(name)[start[clip] : start[clip] + length[clip]].astype(np.float32)

    def known(self) -> dict[str, npt.NDArray[Any]]:
        """The arrays of benchmarks.clip_facts.ClipFacts by field (N,)."""
        with np.load(self.folder / "clips.npz") as arrays:
            return {name: arrays[name] for name in arrays.files}

    def features_of(self, modality: str, needs: tuple[str, ...] = ()) -> list[str]:
        """The features of one modality, in order of name; with `needs`, those of them. BadInput where there is none."""
        for name in needs:
            if name not in self.modality:
                raise BadInput(f"the baseline needs the feature {name!r}; this run has: {', '.join(sorted(self.modality))}")
        found = sorted(n for n, kind in self.modality.items() if kind == modality and (not needs or n in needs))
        if not found:
            raise BadInput(f"no {modality} feature to use; this run has: {', '.join(sorted(self.modality)) or 'none'}")
        return found

    def song_codes(self) -> Index:
        """A number a song, ascending with the song's id (N,)."""
        return np.unique(np.asarray(self.song_ids), return_inverse=True)[1].astype(np.int64)


def open_pack(folder: Path) -> Pack:
    """A pack that make_pack has written; BadInput where it is none, or a file of it has not the size that it was written with."""
    try:
        return _opened(folder, json.loads((folder / HEADER).read_text()))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise BadInput(f"{folder} is not a feature pack ({HEADER} is missing or damaged); delete it, it is made again") from error


def _opened(folder: Path, values: dict[str, Any]) -> Pack:
    """values: what the header says. Any of KeyError, TypeError and AttributeError where it has another form."""
    if values.pop("format", None) != FORMAT:
        raise BadInput(f"{folder} is a feature pack of another version of svmbench; delete it, it is made again")
    for name, size in values.pop("files").items():
        if not (folder / name).is_file() or (folder / name).stat().st_size != size:
            raise BadInput(f"{folder / name} is missing or damaged; delete {folder}, it is made again")
    values["parts"] = {name: np.asarray(index, np.int64) for name, index in values["parts"].items()}
    values["groups"] = np.asarray(values["groups"], np.int64)
    values["features"] = {name: Stored(**stored) for name, stored in values["features"].items()}
    values |= {name: tuple(values[name]) for name in ("clip_ids", "song_ids", "tags")}
    return Pack(folder=folder, **{f.name: values[f.name] for f in fields(Pack) if f.name != "folder"})
