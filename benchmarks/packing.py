"""From the tables of a run folder to a feature pack (benchmarks/pack.py), a few megabytes at a time.

A pack is named by what is in it, is written in a draft folder and renamed when it is complete: one that a kill left half-written
is never opened. Axes: N clips, T steps of a clip, P steps of all clips, D values a step.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from benchmarks import clip_facts, feature_rows
from benchmarks.clip_facts import ClipFacts
from benchmarks.feature_files import sync, write_feature
from benchmarks.feature_rows import Rows
from benchmarks.pack import FORMAT, HEADER, Pack, Stored, open_pack
from svmbench.errors import BadInput, Leak, StorageError
from svmbench.groups import groups
from svmbench.records import Split
from svmbench.store import RunFolder, disk_errors, sync_folder, write_json

STAGE = "pack"
MADE_FROM = "made_from.json"
CLIP_COLUMNS = ("clip_id", "song_id", "start_s", "end_s", "media")
COLUMNS = {"clips": CLIP_COLUMNS, "candidates": ("clip_id",), "splits": ("name", "clip_ids"), **clip_facts.TABLES}
ATTEMPTS = 3  # ours: readings of tables that another process is replacing


class _Changed(Exception):
    """The tables are no longer those that the reading began with, so what was read may be a mixture."""


def make_pack(run: RunFolder) -> Pack:
    """The feature pack of a run, made if these data have none yet. A clip that lacks a feature is left out and counted.

    BadInput, Leak or StorageError in one line where the run cannot be used, or another process is making its pack or goes on
    replacing its tables. Tables that change while they are read are read again, so a pack is never a mixture of two states.
    """
    for _ in range(ATTEMPTS):
        try:
            return _found_or_made(run)
        except _Changed:
            continue
        except FileNotFoundError as error:
            if Path(error.filename or "") in [path for name in run.table_names() for path in run.table_parts(name)]:
                raise BadInput(f"{error.filename} is missing; put back a copy, or make the run again") from error
        except (pa.ArrowException, OSError) as error:
            if isinstance(error, OSError) and error.errno is not None:
                raise
            raise BadInput(
                f"a table of {run.path} is damaged ({' '.join(str(error).split())[:80]}); put back a copy, or make the run again"
            ) from error
    raise StorageError(
        f"the tables of {run.path} change while they are read; wait for the command that writes them, then try again"
    )


def _found_or_made(run: RunFolder) -> Pack:
    modality = _modality(run)
    stamp = _stamp(run, modality)
    found = _made_from(run, stamp)
    if found:
        return found
    with run.writing(STAGE), disk_errors(run.path):
        draft = run.path / "features" / ".draft"
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir(parents=True)
        try:
            return _make(run, modality, stamp, draft)
        finally:
            shutil.rmtree(draft, ignore_errors=True)


def _modality(run: RunFolder) -> dict[str, str]:
    """Feature -> 'video' or 'music', as the run's settings say."""
    try:
        settings = run.settings()
        found = settings.get("features") or {}
        forms = [isinstance(settings.get(key) or {}, dict) for key in ("features", "import", "judge", "svmbench")]
        if not all(forms) or set(found.values()) - {"video", "music"}:
            raise ValueError
    except (ValueError, TypeError) as error:
        raise BadInput(
            f"{run.path / 'settings.json'} does not say which feature is of the picture and which of the music, or has another "
            "form; it was written by another version of svmbench or by hand: curate or import again into a new folder"
        ) from error
    return {name: str(found[name]) for name in sorted(found)}


def _stamp(run: RunFolder, modality: Mapping[str, str]) -> str:
    """sha256 of the names, sizes and times of the table parts that a pack is made from, and of the settings that it holds."""
    settings = run.settings()
    tables = (*COLUMNS, *(f"features_{name}" for name in modality))
    parts = [(name, path.name, *_size_and_time(path)) for name in tables for path in run.table_parts(name)]
    kept = [FORMAT, modality, _dataset(run), settings.get("import"), settings.get("judge"), parts]
    return hashlib.sha256(json.dumps(kept, sort_keys=True, default=str).encode()).hexdigest()


def _size_and_time(path: Path) -> tuple[int, int]:
    state = path.stat()
    return state.st_size, state.st_mtime_ns


def _made_from(run: RunFolder, stamp: str) -> Pack | None:
    """The pack that was made from these very parts; one that is damaged is as none, and `_make` writes over it."""
    for path in sorted((run.path / "features").glob(f"*/{MADE_FROM}")):
        with suppress(OSError, ValueError, BadInput):
            if path.parent.name != ".draft" and json.loads(path.read_text()) == {"stamp": stamp}:
                return open_pack(path.parent)
    return None


def _dataset(run: RunFolder) -> str:
    settings = run.settings()
    recipe = settings.get("recipe")
    named = recipe.get("name") if isinstance(recipe, dict) else recipe
    return str(named or (settings.get("import") or {}).get("name") or run.path.name)


def _make(run: RunFolder, modality: Mapping[str, str], stamp: str, draft: Path) -> Pack:
    for table, columns in COLUMNS.items():
        for part in run.table_parts(table):
            feature_rows.require_columns(part, dict.fromkeys(columns), table, run)
    clips = _clips(run)
    rows = {name: feature_rows.find(run, name) for name in modality}
    splits, known = run.read(Split, "splits"), set(clips["clip_id"].to_pylist())
    clips, left_out = _complete(run, clips, rows)
    strangers = {clip_id for split in splits for clip_id in split.clip_ids} - known
    left_out |= {"split_of_no_clip": len(strangers)} if strangers else {}
    clip_ids, song_ids = clips["clip_id"].to_pylist(), clips["song_id"].to_pylist()
    keys = [_keys(song, media) for song, media in zip(song_ids, clips["media"].to_pylist(), strict=True)]
    together, facts = _groups(song_ids, keys), clip_facts.clip_facts(run, clips)
    part_of = _parts(splits, clip_ids, keys)
    digest = _digest([*zip(clip_ids, song_ids, together, map(part_of.get, clip_ids), strict=True)], facts)
    features: dict[str, Stored] = {}
    for name, kind in modality.items():
        features[name], values = write_feature(draft, rows[name], clip_ids)
        digest.update(f"{name} {kind} {values}".encode())
    np.savez(draft / "clips.npz", **facts.arrays())
    sync(draft / "clips.npz")
    header = {
        "format": FORMAT, "dataset": _dataset(run), "revision": digest.hexdigest(), "source": run.settings().get("import") or {},
        "split_sha256": _split_sha256(splits), "clip_ids": clip_ids, "song_ids": song_ids, "groups": together,
        "parts": {p: [i for i, c in enumerate(clip_ids) if part_of.get(c) == p] for p in sorted(set(part_of.values()))},
        "modality": modality, "features": {name: asdict(stored) for name, stored in features.items()}, "left_out": left_out,
        "tags": facts.tags, "files": {path.name: path.stat().st_size for path in sorted(draft.iterdir())},
    }  # fmt: skip
    write_json(draft / HEADER, header)
    if _stamp(run, _modality(run)) != stamp:
        raise _Changed
    folder = run.path / "features" / digest.hexdigest()[:16]
    try:
        open_pack(folder)
    except BadInput:
        shutil.rmtree(folder, ignore_errors=True)
        os.replace(draft, folder)
        sync_folder(folder.parent)
    else:
        write_json(folder / HEADER, header)  # the same contents from other parts; another source, or more that was left out
    write_json(folder / MADE_FROM, {"stamp": stamp})
    return open_pack(folder)


def _clips(run: RunFolder) -> pa.Table:
    """The clips in order of clip_id, the last row of each."""
    parts = run.table_parts("clips")
    if not parts or not run.settings().get("features"):
        raise BadInput(
            f"{run.path} has no curated clips with features; run 'svmbench curate' or 'svmbench import-features' first"
        )
    table = pa.concat_tables(
        (feature_rows.read_columns(part, (*CLIP_COLUMNS, "measures")) for part in parts), promote_options="default"
    )
    last = {clip_id: row for row, clip_id in enumerate(table["clip_id"].to_pylist())}
    return table.take(pa.array([last[clip_id] for clip_id in sorted(last)], pa.int64()))


def _complete(run: RunFolder, clips: pa.Table, rows: Mapping[str, Rows]) -> tuple[pa.Table, dict[str, int]]:
    """The clips that have every feature, and how many were left out for which reason.

    Features of candidates that the rules refused are no surprise; those of ids that the run has never heard of are counted.
    """
    ids = clips["clip_id"].to_pylist()
    lacking = [next((name for name in rows if clip_id not in rows[name].place), None) for clip_id in ids]
    left_out = Counter(f"no_{name}" for name in lacking if name)
    candidates = run.read_table("candidates", ["clip_id"])
    heard_of = {*ids, *(() if candidates is None else candidates["clip_id"].to_pylist())}
    for name, found in rows.items():
        strangers = sorted(found.place.keys() - heard_of)
        if len(strangers) == len(found.place):
            raise BadInput(
                f"{run.path}: none of the {len(strangers)} ids of the feature {name!r} (the first is {strangers[0]}) is a clip "
                f"of this run (the first is {ids[0] if ids else 'none'}); the ids do not match"
            )
        left_out[f"{name}_of_no_clip"] += len(strangers)
    kept = pa.array([name is None for name in lacking], pa.bool_())
    if not pc.any(kept).as_py():
        raise BadInput(f"no clip of {run.path} has all of the features {', '.join(rows)}")
    return clips.filter(kept), {reason: n for reason, n in left_out.items() if n}


def _keys(song_id: str, media: str | None) -> list[tuple[str, str]]:
    """What two parts may not share: the song, and the media file where there is one."""
    return [("song", song_id), *([("media file", media)] if media else [])]


def _groups(song_ids: Sequence[str], keys: Sequence[list[tuple[str, str]]]) -> list[int]:
    """A number a clip, ascending with the song's id."""
    order = sorted(range(len(keys)), key=lambda i: song_ids[i])
    found = dict(zip(order, groups([keys[i] for i in order]), strict=True))
    return [found[i] for i in range(len(keys))]


def _parts(splits: Sequence[Split], clip_ids: Sequence[str], keys: Sequence[list[tuple[str, str]]]) -> dict[str, str]:
    """Clip -> part; Leak where a clip stands in two parts, or a song or a media file does, unless the split is as a paper
    published it: then the check split_leak marks every row."""
    part_of: dict[str, str] = {}
    for split in splits:
        for clip_id in split.clip_ids:
            if part_of.setdefault(clip_id, split.name) != split.name:
                raise Leak(f"the clip {clip_id} stands in both {part_of[clip_id]!r} and {split.name!r}; split the run again")
    may_leak = any(split.rule == "as_published" for split in splits)
    seen: dict[tuple[str, str], str] = {}
    for clip_id, of_clip in zip(clip_ids, keys, strict=True):
        part = part_of.get(clip_id)
        for key in of_clip:
            if part and seen.setdefault(key, part) != part and not may_leak:
                raise Leak(f"the {key[0]} {key[1]} stands in both {seen[key]!r} and {part!r}; split the run again")
    return {c: part_of[c] for c in clip_ids if c in part_of}


def _split_sha256(splits: Sequence[Split]) -> str | None:
    """As in the rows of `splits` that say it, worked out for those that do not."""
    lines = sorted(f"{split.name}\t{clip_id}\n" for split in splits for clip_id in split.clip_ids)
    return hashlib.sha256("".join(lines).encode()).hexdigest() if lines else None


def _digest(rows: Sequence[Any], facts: ClipFacts) -> Any:
    """The running sha256 of a pack's contents: clips, songs, parts, and what is known of the clips; the features follow."""
    digest = hashlib.sha256(json.dumps([FORMAT, rows, facts.tags]).encode())
    for name, values in facts.arrays().items():
        digest.update(name.encode() + values.tobytes())
    return digest
