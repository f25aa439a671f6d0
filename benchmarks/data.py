"""From the tables of a run folder to contiguous tensors: what the baselines are trained and scored on.

Axes: N clips, T steps in time, D values a step, V pooled values, B clips of one part of a split.

A feature pack is made once a data revision under RUN/features/REVISION/ and opened memory-mapped by every worker. Per feature
NAME:
    NAME.steps.npy (sum of T, D) float32    all steps of all clips, one after the other
    NAME.ends.npy (N,) int64                where each clip's steps end
    NAME.vectors.npy (N, V) float32         per clip mean, standard deviation and mean absolute difference over time (V = 3 D);
                                            a feature that has one step in every clip is taken as it is (V = D)
    pack.json                               clips, songs, parts, modality of each feature
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from benchmarks.checks import Facts
from benchmarks.inputs import Inputs, Pairs
from svmbench.errors import BadInput, Leak
from svmbench.groups import groups
from svmbench.records import M2V, V2M, Clip, Features, RetrievalTask, Split, features_from_table
from svmbench.store import RunFolder, write_json

MODALITIES = ("video", "music")
VAL_SHARE = 0.1  # of the songs outside a test fold; ours
Index = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Pack:
    """An opened feature pack. parts: clip indices of 'train', 'val' and 'test'; empty where the run has no split.

    groups: a number a clip; clips of one song, or of the same media file, have the same and are never parted by a fold.
    """

    folder: Path
    dataset: str
    revision: str
    clip_ids: tuple[str, ...]
    song_ids: tuple[str, ...]
    groups: Index
    parts: Mapping[str, Index]
    modality: Mapping[str, str]
    left_out: Mapping[str, int]

    def vectors(self, name: str) -> npt.NDArray[np.float32]:
        """Pooled vectors of one feature (N, V), memory-mapped."""
        vectors: np.ndarray = np.load(self.folder / f"{name}.vectors.npy", mmap_mode="r")
        return vectors

    def steps(self, name: str, clip: int) -> npt.NDArray[np.float32]:
        """The sequence values_TD of one clip, memory-mapped."""
        ends = np.load(self.folder / f"{name}.ends.npy")
        begin = ends[clip - 1] if clip else 0
        steps: np.ndarray = np.load(self.folder / f"{name}.steps.npy", mmap_mode="r")
        return steps[begin : ends[clip]]

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
    """A pack that make_pack has written."""
    values = json.loads((folder / "pack.json").read_text())
    parts = {name: np.asarray(index, np.int64) for name, index in values.pop("parts").items()}
    clips, songs, together = (values.pop(name) for name in ("clip_ids", "song_ids", "groups"))
    return Pack(
        folder=folder, clip_ids=tuple(clips), song_ids=tuple(songs), groups=np.asarray(together, np.int64), parts=parts, **values
    )  # fmt: skip


def make_pack(run: RunFolder) -> Pack:
    """The feature pack of a run, made if these data have none yet. A clip that lacks a feature is left out and counted."""
    modality = run.settings().get("features") or {}
    tables = {name: run.read_table(f"features_{name}") for name in sorted(modality)}
    clips = {c.clip_id: c for c in run.read(Clip, "clips")}
    if not clips or not tables or any(t is None for t in tables.values()):
        empty = [name for name, table in tables.items() if table is None]
        what = f"no rows of the feature {empty[0]!r}" if clips and empty else "no curated clips with features"
        raise BadInput(f"{run.path} has {what}; run 'svmbench curate' or 'svmbench import-features' first")
    features = {name: features_from_table(table) for name, table in tables.items() if table is not None}
    left_out = Counter(
        f"no_{next(n for n in features if c not in features[n])}" for c in clips if any(c not in f for f in features.values())
    )
    clip_ids = sorted(c for c in clips if all(c in f for f in features.values()))
    if not clip_ids:
        raise BadInput(f"no clip of {run.path} has all of the features {', '.join(features)}")
    parts = _parts(run.read(Split, "splits"), clip_ids, clips)
    together = _groups([clips[c] for c in clip_ids])
    rows = [(c, clips[c].song_id, group, parts.get(c)) for c, group in zip(clip_ids, together, strict=True)]
    digest = hashlib.sha256(json.dumps(rows).encode())
    for name, of_clip in features.items():
        digest.update(f"{name} {modality[name]}".encode())
        for clip_id in clip_ids:
            values = _checked(of_clip[clip_id], name, clip_id)
            digest.update(repr(values.shape).encode() + values.tobytes())
    folder = run.path / "features" / digest.hexdigest()[:16]
    if not (folder / "pack.json").is_file():
        recipe = run.settings().get("recipe")
        header = {
            "dataset": (recipe or {}).get("name") or run.path.name if isinstance(recipe, dict | None) else str(recipe),
            "revision": digest.hexdigest(), "clip_ids": clip_ids, "song_ids": [clips[c].song_id for c in clip_ids],
            "groups": together,
            "parts": {p: [i for i, c in enumerate(clip_ids) if parts.get(c) == p] for p in sorted(set(parts.values()))},
            "modality": modality, "left_out": left_out,
        }  # fmt: skip
        _write(folder, {n: [of_clip[c].values_TD for c in clip_ids] for n, of_clip in features.items()}, header)
    return open_pack(folder)


def _keys(clip: Clip) -> list[tuple[str, str]]:
    """What two parts may not share: the song, and the media file where there is one."""
    return [("song", clip.song_id), *([("media file", clip.media)] if clip.media else [])]


def _groups(clips: list[Clip]) -> list[int]:
    """A number a clip, ascending with the song's id."""
    order = sorted(range(len(clips)), key=lambda i: clips[i].song_id)
    found = dict(zip(order, groups([_keys(clips[i]) for i in order]), strict=True))
    return [found[i] for i in range(len(clips))]


def _parts(splits: list[Split], clip_ids: list[str], clips: Mapping[str, Clip]) -> dict[str, str]:
    """Clip -> part; Leak where a song or a media file stands in two parts, unless the split is as a paper published it: then the
    check split_leak marks every row."""
    part_of = {c: split.name for split in splits for c in split.clip_ids}
    may_leak = any(split.rule == "as_published" for split in splits)
    seen: dict[tuple[str, str], str] = {}
    for clip_id in clip_ids:
        part = part_of.get(clip_id)
        for key in _keys(clips[clip_id]):
            if part and seen.setdefault(key, part) != part and not may_leak:
                raise Leak(f"the {key[0]} {key[1]} stands in both {seen[key]!r} and {part!r}; split the run again")
    return {c: part_of[c] for c in clip_ids if c in part_of}


def _checked(feature: Features, name: str, clip_id: str) -> npt.NDArray[np.float32]:
    values = feature.values_TD
    if not len(values) or not np.isfinite(values).all():
        raise BadInput(f"the feature {name!r} of clip {clip_id} is empty or not finite; extract or import it again")
    return values


def _write(folder: Path, features: Mapping[str, list[npt.NDArray[np.float32]]], header: Mapping[str, Any]) -> None:
    """All files of a pack in a folder beside, renamed when complete."""
    temporary = folder.with_name(f".{folder.name}.{os.getpid()}.tmp")
    temporary.mkdir(parents=True, exist_ok=True)
    for name, blocks in features.items():
        if len({b.shape[1] for b in blocks}) > 1:
            raise BadInput(f"the feature {name!r} has clips of different width: {sorted({b.shape[1] for b in blocks})}")
        ends = np.cumsum([len(b) for b in blocks])
        np.save(temporary / f"{name}.steps.npy", np.concatenate(blocks))
        np.save(temporary / f"{name}.ends.npy", ends)
        np.save(temporary / f"{name}.vectors.npy", pooled(blocks))
    write_json(temporary / "pack.json", header)
    shutil.rmtree(folder, ignore_errors=True)
    os.replace(temporary, folder)


def pooled(blocks: list[npt.NDArray[np.float32]]) -> npt.NDArray[np.float32]:
    """Mean, standard deviation and mean absolute difference over time of each (T, D) block; (D,) itself where all have T = 1."""
    if all(len(b) == 1 for b in blocks):
        return np.concatenate(blocks)
    rows = []
    for block in blocks:
        values = block.astype(np.float64)
        change = np.abs(np.diff(values, axis=0)).mean(axis=0) if len(values) > 1 else np.zeros(values.shape[1])
        rows.append(np.concatenate([values.mean(axis=0), values.std(axis=0), change]))
    return np.asarray(rows, np.float32)


def split_parts(pack: Pack) -> dict[str, Index]:
    """The run's own split; BadInput where a part is too small to train or to score on. val may be empty."""
    for name, least in (("train", 2), ("test", 2)):
        songs = {pack.song_ids[i] for i in pack.parts.get(name, [])}
        if len(songs) < least:
            raise BadInput(f"the part {name!r} of the split has {len(songs)} songs and needs {least}; split again or use --folds")
    return {"val": np.empty(0, np.int64), **pack.parts}


def fold_parts(pack: Pack, folds: int, fold: int, seed: int = 0) -> dict[str, Index]:
    """One fold over songs (groups of them that share a media file): each is tested in exactly one fold; a tenth of the others is
    for validation.
    """
    order = np.random.default_rng(seed).permutation(pack.groups.max() + 1)
    if not 2 <= folds <= len(order) // 2:
        raise BadInput(f"{folds} folds of {len(order)} songs: every fold needs two songs; allowed: 2 to {len(order) // 2}")
    chunks = np.array_split(order, folds)
    others = np.concatenate([c for i, c in enumerate(chunks) if i != fold])
    num_val = max(1, round(VAL_SHARE * len(others)))
    held = {"test": chunks[fold], "val": others[:num_val], "train": others[num_val:]}
    return {name: np.flatnonzero(np.isin(pack.groups, part)) for name, part in held.items()}


def facts(pack: Pack, parts: Mapping[str, Index]) -> dict[str, Facts]:
    """What the checks may know of the clips of each part."""
    song_N, unknown = pack.song_codes(), np.full(len(pack.clip_ids), -1, np.int64)
    nothing = np.full(len(pack.clip_ids), np.nan)
    return {
        part: Facts(
            clip_ids=tuple(pack.clip_ids[i] for i in index), song_N=song_N[index], group_N=pack.groups[index],
            duration_s_N=nothing[index], loudness_N=nothing[index], author_N=unknown[index], sound_N=unknown[index],
            look_N=unknown[index],
        )
        for part, index in parts.items()
    }  # fmt: skip


def pairs(pack: Pack, parts: Mapping[str, Index], needs: tuple[str, ...] = (), device: str = "cpu") -> dict[str, Pairs]:
    """The parts as tensors: all features of a modality side by side, standardised with the statistics of the train part alone.

    A column that is constant in the train part becomes 0 everywhere: nothing about it can be learnt.
    """
    made: dict[str, dict[str, torch.Tensor]] = {part: {} for part in parts}
    for modality in MODALITIES:
        values_NV = np.concatenate([pack.vectors(n) for n in pack.features_of(modality, needs)], axis=1)
        train = values_NV[parts["train"]].astype(np.float64)
        mean, std = train.mean(axis=0), train.std(axis=0)
        scale = np.where(std > 1e-6 * np.maximum(np.abs(mean), 1e-6), 1 / np.maximum(std, 1e-30), 0.0)
        for part, index in parts.items():
            values = np.ascontiguousarray((values_NV[index] - mean) * scale, dtype=np.float32)
            made[part][modality] = torch.from_numpy(values).to(device)
    codes = pack.song_codes()
    return {
        part: Pairs(Inputs(made[part]["video"]), Inputs(made[part]["music"]), torch.from_numpy(codes[index]).to(device))
        for part, index in parts.items()
    }


def tasks(pack: Pack, index: Index, split: str) -> dict[str, RetrievalTask]:
    """Both directions over some clips: gallery of unique songs for clips, gallery of clips for songs; right = the same song."""
    clip_ids = tuple(f"v:{pack.clip_ids[i]}" for i in index)
    songs = [pack.song_ids[i] for i in index]
    unique = sorted(set(songs))
    song_ids = tuple(f"m:{s}" for s in unique)
    clips_of: dict[str, list[str]] = {s: [] for s in unique}
    for clip_id, song in zip(clip_ids, songs, strict=True):
        clips_of[song].append(clip_id)
    common: dict[str, Any] = {"dataset": pack.dataset, "revision": pack.revision, "split": split}
    return {
        V2M: RetrievalTask(
            direction=V2M, query_ids=clip_ids, gallery_ids=song_ids, positives=tuple((f"m:{s}",) for s in songs), **common
        ),
        M2V: RetrievalTask(
            direction=M2V, query_ids=song_ids, gallery_ids=clip_ids, positives=tuple(tuple(clips_of[s]) for s in unique), **common
        ),
    }
