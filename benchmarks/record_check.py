"""`svmbench results check`: whether records are whole, and say what their own ranks say.

The ranks are believed, everything else is computed anew from them with the code that wrote it. What this cannot see is whether
the ranks are those of an honest model: that is what the integrity checks and `svmbench audit` are for.
"""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import record, scoring
from benchmarks.record import Entry, Listed
from benchmarks.record_group import among_sha256, grouped, of_seeds, row_of
from svmbench.errors import SvmbenchError
from svmbench.records import M2V, V2M
from svmbench.store import sha256_file

TOLERANCE = 1e-9
LINES = 5  # of one kind that are shown for one record; the rest is counted


def check(folders: Sequence[Path]) -> list[str]:
    """All faults of the records, one line each: 'FOLDER: what is wrong'."""
    faults, whole = [], []
    for folder in folders:
        entry, found = examine(folder)
        faults += [f"{folder}: {_line(fault)}" for fault in found]
        if entry is not None and not found:
            whole.append(entry)
    return faults + [f"{entry.folder}: {_line(fault)}" for entry, fault in _group_faults(whole)]


def _line(fault: str) -> str:
    """Without line breaks, and without what a terminal would obey: the words may be a stranger's."""
    return "".join(c if c.isprintable() else "?" for c in " ".join(fault.split()))


def examine(folder: Path) -> tuple[Entry | None, list[str]]:
    """One record, and its own faults; no record where it could not be read at all."""
    try:
        values = record.read_values(folder)
        if faults := record.schema_faults(values):
            return None, _few(faults)
        entry = Entry(values, record.read_ranks(folder), folder)
    except SvmbenchError as error:
        return None, [str(error)]
    try:
        faults = [*_artifacts(entry, folder), *_inputs(entry), *_gallery(entry)]
        return entry, [*faults, *_few(_scores(entry)), *_provenance(values)]
    except SvmbenchError as error:
        return entry, [str(error)]


def _few(faults: list[str]) -> list[str]:
    return faults if len(faults) <= LINES else [*faults[:LINES], f"and {len(faults) - LINES} more like these"]


def _artifacts(entry: Entry, folder: Path) -> list[str]:
    """The files have the sha256 that the record says; a checkpoint, where it is there."""
    said, faults = entry.values["artifacts"]["ranks"], []
    if said["sha256"] != sha256_file(folder / record.RANKS):
        faults.append(f"{record.RANKS} does not have the sha256 that stands in the record: one of the two was changed")
    if said["num_rows"] != (rows := sum(len(found.ranks) for found in entry.lists.values())):
        faults.append(f"{record.RANKS} has {rows} rows and not {said['num_rows']}")
    for fit in entry.values["run"]["fits"]:
        path = Path(fit["checkpoint"] or "")
        place = folder.absolute().parent.parent / path
        if path.is_absolute() or ".." in path.parts:
            faults.append(f"run.fits.checkpoint: {fit['checkpoint']!r} is no path below the run folder")
        elif fit["checkpoint"] and os.path.isfile(place) and sha256_file(place) != fit["checkpoint_sha256"]:
            faults.append(f"{fit['checkpoint']} does not have the sha256 that stands in the record")
    return faults


def _gallery(entry: Entry) -> list[str]:
    """In every fold the candidates of one direction are the queries of the other, and the positives those of the same song.

    So rows that were left out are missed, even where key and sha256 are made anew.
    """
    protocol, faults = entry.values["protocol"], []
    for direction, found in entry.lists.items():
        if len(np.unique(np.stack([found.queries, found.folds.astype(str)]), axis=1).T) < len(found.queries):
            faults.append(f"{record.RANKS}: a query of {direction} stands twice")
    clips, songs = entry.lists.get(V2M), entry.lists.get(M2V)
    if faults or clips is None or songs is None:
        return faults
    if protocol["pool"] and set(clips.ranks.num_candidates.tolist()) != {protocol["pool"]["size"]}:
        faults.append(f"protocol.pool: the galleries in {record.RANKS} are not of {protocol['pool']['size']} candidates")
    for fold in np.union1d(clips.folds, songs.folds):
        faults += _of_fold(clips.of_fold(fold), songs.of_fold(fold), protocol["gallery_unit"])
    return list(dict.fromkeys(faults))


def _of_fold(clips: Listed, songs: Listed, unit: str) -> list[str]:
    """The faults of one fold; clips: the queries of video to music, songs: those of the other direction."""
    faults, num_clips = [], Counter(clips.songs.tolist())
    of_the_song = lambda found: np.asarray([num_clips[song] for song in found.songs.tolist()])
    one = lambda found: np.ones(len(found.queries), np.int64)
    for found, other, many in ((clips, songs, unit == "clip"), (songs, clips, unit != "pair")):
        if (found.ranks.num_candidates != len(other.queries)).any():
            faults.append(f"{record.RANKS}: the queries of one direction are not the candidates of the other; rows are missing")
        if not np.array_equal(found.ranks.num_right, of_the_song(found) if many else one(found)):
            faults.append(f"{record.RANKS}: the positives are not those of a gallery of {unit}s")
    return faults


def _inputs(entry: Entry) -> list[str]:
    """The key follows from the fits, and what was asked is what the ranks were made of."""
    values, faults = entry.values, []
    if values["key"] != record.key_of([fit["key"] for fit in values["run"]["fits"]]):
        faults.append("the key is not that of the fits")
    if values["protocol"]["metric_spec"] != scoring.METRIC_SPEC:
        spec = values["protocol"]["metric_spec"]
        faults.append(f"protocol.metric_spec is {spec!r}; this svmbench computes {scoring.METRIC_SPEC!r} and cannot check it")
    if len(values["run"]["fits"]) != (values["data"]["folds"] or 1):
        faults.append(f"{len(values['run']['fits'])} fits of {values['data']['folds'] or 1}: folds are missing")
    for direction in sorted({*entry.lists, *values["data"]["queries_sha256"]}):
        found = entry.lists.get(direction)
        if found is None or values["data"]["queries_sha256"].get(direction) != record.queries_sha256(found):
            faults.append(f"data.queries_sha256.{direction} is not that of the queries in {record.RANKS}")
    return faults


def _scores(entry: Entry) -> list[str]:
    """Every score against the same code run on the ranks."""
    said, how, faults = entry.values["scores"], entry.values["uncertainty"], []
    for direction in sorted({*said, *entry.lists}):
        if direction not in said or direction not in entry.lists:
            faults.append(f"scores.{direction}: is in only one of {record.RECORD} and {record.RANKS}")
            continue
        listed = entry.lists[direction]
        found = scoring.scores(listed.ranks, listed.songs, replicates=int(how["replicates"]), seed=int(how["seed"]))
        found["metrics"] = {name: value for name, value in found["metrics"].items() if name in said[direction]["metrics"]}
        faults += differences(said[direction], found, f"scores.{direction}")
    return faults


def differences(said: Any, found: Any, place: str) -> list[str]:
    """Where two values differ by more than TOLERANCE, place by place."""
    if isinstance(said, Mapping) and isinstance(found, Mapping):
        lines = []
        for name in sorted({*said, *found}):
            if name not in said or name not in found:
                lines.append(
                    f"{place}.{name}: {'is not in the record' if name not in said else 'does not follow from the ranks'}"
                )
            else:
                lines += differences(said[name], found[name], f"{place}.{name}")
        return lines
    if isinstance(said, list) and isinstance(found, list) and len(said) == len(found):
        return [line for i, pair in enumerate(zip(said, found, strict=True)) for line in differences(*pair, f"{place}.{i}")]
    numbers = all(isinstance(value, int | float) and not isinstance(value, bool) for value in (said, found))
    if said == found or (numbers and abs(said - found) <= TOLERANCE):
        return []
    return [f"{place}: the record says {said!r}, the ranks give {found!r}"]


def _provenance(values: Mapping[str, Any]) -> list[str]:
    """What a result that was made here must say of itself, so that another can make it again."""
    if values["kind"] != "reproduced":
        return []
    needed = {
        "code.commit": values["code"]["commit"], "data.features": values["data"]["features"],
        "run.hardware": values["run"]["hardware"], "run.fits.started": all(fit["started"] for fit in values["run"]["fits"]),
        "data.split_sha256": values["data"]["split_sha256"] or values["data"]["folds"],
    }  # fmt: skip
    return [
        f"{place} is missing; a reproduced result must have it: run the baselines again" for place, v in needed.items() if not v
    ]


def _group_faults(entries: Sequence[Entry]) -> list[tuple[Entry, str]]:
    """What the records say of each other. It can be computed anew only for those whose company is here."""
    faults: list[tuple[Entry, str]] = []
    companies: dict[str, dict[str, Entry]] = defaultdict(dict)
    copies: list[tuple[Entry, Entry]] = []
    for entry in entries:
        if entry.values["group"] is not None:
            copies.append((entry, companies[entry.values["group"]["among"]].setdefault(entry.key, entry)))
    faults += [(e, f"has the key of {known.folder} and other ranks") for e, known in copies if _sha256(e) != _sha256(known)]
    for among, known in companies.items():
        company = list(known.values())
        asked = {(e.values["data"]["split"], *sorted(e.values["data"]["queries_sha256"].items())) for e in company}
        if len(asked) > len({split for split, *_ in asked}):
            faults.append(
                (company[0], f"{len(company)} results say that they are of one table, and were asked different queries")
            )
            continue
        if among_sha256(company) == among:
            anew = {entry.key: entry.values["group"] for entry in grouped(company)[0]}
        else:
            anew = {}
            for entry in company:
                seeds = [e for e in company if row_of(e) == row_of(entry)]
                if sorted(e.values["seed"] for e in seeds) == entry.values["group"]["seeds"]:
                    same = {name: entry.values["group"][name] for name in ("name", "among", "tiers")}
                    anew[entry.key] = {**same, **of_seeds(sorted(seeds, key=lambda e: e.values["seed"]))}
        for entry, first in copies:
            if entry.values["group"]["among"] == among and first.key in anew:
                found = _few(differences(entry.values["group"], anew[first.key], "group"))
                faults += [(entry, fault) for fault in found]
    return faults


def _sha256(entry: Entry) -> str:
    return str(entry.values["artifacts"]["ranks"]["sha256"])
