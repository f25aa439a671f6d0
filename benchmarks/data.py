"""From a feature pack to contiguous tensors: what the baselines are trained and scored on.

Axes: N clips, B clips of one part of a split, D values a step, V pooled values, P steps of all clips.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from benchmarks.checks import Facts
from benchmarks.inputs import Inputs, Pairs, Steps
from benchmarks.pack import Index, Pack, Stored, open_pack
from benchmarks.packing import make_pack
from svmbench.errors import BadInput
from svmbench.groups import groups
from svmbench.records import M2V, V2M, RetrievalTask

__all__ = [
    "MODALITIES",
    "Index",
    "Pack",
    "Stored",
    "facts",
    "fold_parts",
    "make_pack",
    "open_pack",
    "pairs",
    "split_parts",
    "standard",
    "tasks",
]
MODALITIES = ("video", "music")
VAL_SHARE = 0.1  # of the songs outside a test fold; ours
BLOCK_ROWS = 4096  # ours: rows that are converted at once
Scaling = tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]


def split_parts(pack: Pack) -> dict[str, Index]:
    """The run's own split; BadInput where there is none, or a part is too small to train or to score on. val may be empty."""
    if not any(len(index) for index in pack.parts.values()):
        raise BadInput("no clip of this run is in a part of a split; run 'svmbench curate', or use --folds")
    for name, least in (("train", 2), ("test", 2)):
        songs = {pack.song_ids[i] for i in pack.parts.get(name, [])}
        if len(songs) < least:
            raise BadInput(f"the part {name!r} of the split has {len(songs)} songs and needs {least}; split again or use --folds")
    return {"val": np.empty(0, np.int64), **pack.parts}


def fold_parts(pack: Pack, folds: int, fold: int, seed: int = 0) -> dict[str, Index]:
    """One fold over songs: each is tested in exactly one fold; a tenth of the others is for validation.

    Songs that share a media file stay together, and those whose clips are known to sound alike or to show the same pictures.
    """
    together = _together(pack)
    order = np.random.default_rng(seed).permutation(together.max() + 1)
    if len(order) < 6 or not 2 <= folds <= len(order) // 2:  # of five, two folds leave one song to train on
        allowed = f"allowed: 2 to {len(order) // 2}" if len(order) >= 6 else "that takes six songs or more"
        raise BadInput(f"{folds} folds of {len(order)} songs: every fold and its train part need two songs; {allowed}")
    chunks = np.array_split(order, folds)
    others = np.concatenate([c for i, c in enumerate(chunks) if i != fold])
    num_val = max(1, round(VAL_SHARE * len(others)))
    held = {"test": chunks[fold], "val": others[:num_val], "train": others[num_val:]}
    return {name: np.flatnonzero(np.isin(together, part)) for name, part in held.items()}


def _together(pack: Pack) -> Index:
    """pack.groups, joined where clips of two of them are in one known cluster; numbered in order of the groups (N,)."""
    known = pack.known()
    keys = [[("group", group)] for group in pack.groups.tolist()]
    for kind in ("sound_N", "look_N"):
        for key, code in zip(keys, known[kind].tolist(), strict=True):
            key += [(kind, code)] if code >= 0 else []
    order = np.argsort(pack.groups, kind="stable")
    found = np.empty(len(keys), np.int64)
    found[order] = groups([keys[i] for i in order])
    return found


def facts(pack: Pack, parts: Mapping[str, Index]) -> dict[str, Facts]:
    """What the checks may know of the clips of each part. Codes are those of the whole pack, so they can be compared between
    parts."""
    song_N, known = pack.song_codes(), pack.known()
    names = ("duration_s_N", "loudness_N", "author_N", "sound_N", "look_N")
    return {
        part: Facts(
            clip_ids=tuple(pack.clip_ids[i] for i in index),
            song_N=song_N[index],
            group_N=pack.groups[index],
            **{name: known[name][index] for name in names},
        )
        for part, index in parts.items()
    }


def pairs(
    pack: Pack,
    parts: Mapping[str, Index],
    needs: tuple[str, ...] = (),
    device: str = "cpu",
    *,
    steps: bool = False,
    tags: bool = False,
) -> dict[str, Pairs]:
    """The parts as tensors: all features of a modality side by side, standardised with the statistics of the train part alone.

    needs: only these features. steps, tags: also the sequences, and the labels (for a baseline with STEPS or TAGS). A column that
    is constant in the train part becomes 0 everywhere: nothing about it can be learnt. The packed steps are loaded once for a
    process and device, whatever the parts.
    """
    codes, tag_N = pack.song_codes(), pack.known()["tag_N"]
    made: dict[str, dict[str, Inputs]] = {part: {} for part in parts}
    for modality in MODALITIES:
        names = pack.features_of(modality, needs)
        vectors = _vectors(pack, names, parts, device)
        sequences = {name: _steps(pack, name, parts["train"], device) for name in names} if steps else {}
        for part, index in parts.items():
            rows = torch.from_numpy(index).to(device)
            made[part][modality] = Inputs(
                vectors[part],
                {name: whole[rows] for name, whole in sequences.items()},
                torch.from_numpy(tag_N[index]).to(device) if tags else None,
            )
    return {
        part: Pairs(made[part]["video"], made[part]["music"], torch.from_numpy(codes[index]).to(device))
        for part, index in parts.items()
    }


def standard(pack: Pack, train: Index, needs: tuple[str, ...] = ()) -> dict[str, dict[str, list[float]]]:
    """By modality the 'mean' and the 'scale' of every column of the vectors, as `pairs` has them: it gives (x - mean) * scale."""
    found: dict[str, dict[str, list[float]]] = {}
    for modality in MODALITIES:
        scaling = [_vector_scaling(pack, name, train) for name in pack.features_of(modality, needs)]
        found[modality] = {
            "mean": [float(x) for mean_V, _ in scaling for x in mean_V],
            "scale": [float(x) for _, scale_V in scaling for x in scale_V],
        }
    return found


def _vectors(pack: Pack, names: Sequence[str], parts: Mapping[str, Index], device: str) -> dict[str, torch.Tensor]:
    """part -> (B, V) float32, standardised block by block."""
    features = [pack.vectors(name) for name in names]
    scaling = [_vector_scaling(pack, name, parts["train"]) for name in names]
    found = {}
    for part, index in parts.items():
        made_BV = np.empty((len(index), sum(values.shape[1] for values in features)), np.float32)
        first = 0
        for values, (mean_V, scale_V) in zip(features, scaling, strict=True):
            for low, rows in zip(range(0, len(index), BLOCK_ROWS), _chunks(index), strict=True):
                made_BV[low : low + len(rows), first : first + values.shape[1]] = (values[rows] - mean_V) * scale_V
            first += values.shape[1]
        found[part] = torch.from_numpy(made_BV).to(device)
    return found


def _vector_scaling(pack: Pack, name: str, train: Index) -> Scaling:
    return _scaling_of(str(pack.folder), name, train.astype(np.int64).tobytes())


@lru_cache(maxsize=32)
def _scaling_of(folder: str, name: str, train: bytes) -> Scaling:
    """Worked out once for the fits of a fold: `pairs` and `standard` both need it."""
    values = np.load(f"{folder}/{name}.vectors.npy", mmap_mode="r")
    return _scaling(values[rows] for rows in _chunks(np.frombuffer(train, np.int64)))


def _chunks(index: Index) -> Iterator[Index]:
    return (index[low : low + BLOCK_ROWS] for low in range(0, len(index), BLOCK_ROWS))


def _scaling(blocks: Iterable[npt.NDArray[Any]]) -> Scaling:
    """Mean, and 1 / standard deviation, of the columns of all blocks together; 0 in its place for a constant column.

    The blocks' own means and squared deviations are joined pair by pair (Chan, Golub and LeVeque 1979), in float64.
    """
    num, mean, square = 0, np.zeros(1), np.zeros(1)
    for block in blocks:
        values = block.astype(np.float64)
        own = values.mean(axis=0)
        shift, total = own - mean, num + len(values)
        square = square + ((values - own) ** 2).sum(axis=0) + shift**2 * (num * len(values) / total)
        mean, num = mean + shift * (len(values) / total), total
    std = np.sqrt(square / max(num, 1))
    return mean, np.where(std > 1e-6 * np.maximum(np.abs(mean), 1e-6), 1 / np.maximum(std, 1e-30), 0.0)


def _steps(pack: Pack, name: str, train: Index, device: str) -> Steps:
    """The sequences of one feature of all clips; indexing it makes those of a part."""
    stored, (start_N, length_N) = pack.packed(name), pack.bounds(name)
    mean_D, scale_D = _scaling(stored[low:high] for low, high in _runs(start_N[train], length_N[train]))
    as_tensor = lambda values: torch.from_numpy(values).to(device)
    return Steps(
        packed_PD=_packed(pack, name, device),
        start_B=as_tensor(start_N),
        length_B=as_tensor(length_N),
        mean_D=as_tensor(mean_D.astype(np.float32)),
        scale_D=as_tensor(scale_D.astype(np.float32)),
        longest=pack.features[name].longest,
    )


def _runs(start_B: Index, length_B: Index) -> Iterator[tuple[int, int]]:
    """The stretches of packed steps that these clips take, neighbours joined and long ones cut at BLOCK_ROWS."""
    order = np.argsort(start_B)
    start, end = start_B[order], (start_B + length_B)[order]
    first = np.flatnonzero(np.concatenate([[True], start[1:] != end[:-1]]))
    for low, high in zip(start[first].tolist(), end[np.concatenate([first[1:] - 1, [-1]])].tolist(), strict=True):
        yield from ((at, min(at + BLOCK_ROWS, high)) for at in range(low, high, BLOCK_ROWS))


def _packed(pack: Pack, name: str, device: str) -> torch.Tensor:
    """All steps of a feature on a device; on the CPU they stay memory-mapped."""
    return _loaded(str(pack.folder), name, device, pack.revision)


def forget() -> None:
    """Lets go of all packed steps that this process holds, so that the next use reads them anew: to free a device's memory, or
    after foreign code has written into them."""
    _loaded.cache_clear()


@lru_cache(maxsize=32)
def _loaded(folder: str, name: str, device: str, revision: str) -> torch.Tensor:
    return torch.from_numpy(np.load(f"{folder}/{name}.steps.npy", mmap_mode="c")).to(device)


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
