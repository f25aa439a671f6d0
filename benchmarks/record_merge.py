"""`svmbench results merge`: results of several places in one, with spread, tests and tiers anew.

Numbers of other data, another split, another gallery or another metric are other quantities. They are refused and not converted.
"""

from __future__ import annotations

import json
import os
import shutil
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks import record, record_check
from benchmarks.record import Entry
from benchmarks.record_group import grouped, row_of
from svmbench.errors import BadInput, RevisionMismatch
from svmbench.store import disk_errors

SAME = ("data.dataset", "data.revision", "data.split", "data.folds", "data.split_sha256", "data.queries_sha256",
        "protocol.gallery_unit", "protocol.pool", "protocol.metric_spec")  # fmt: skip
RESULT = ("schema", "kind", "model", "data", "protocol", "seed", "scores")  # what two copies of one result must agree in


def merge(folders: Sequence[Path], out: Path) -> list[Entry]:
    """Checks all records, and writes them below `out`, each once, with the group that they now form. BadInput: one does not pass,
    or two contradict each other. RevisionMismatch: they are of more than one table."""
    out = out.absolute()  # "." has no name
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise BadInput(f"{out} exists and is not an empty folder; choose another --out")
    entries = []
    for folder in folders:
        entry, faults = record_check.examine(folder)
        if entry is None or faults:
            raise BadInput(f"{folder}: {faults[0]}; 'svmbench results check' shows all that is wrong")
        entries.append(entry)
    merged = grouped(one_table(_once(entries)))[0]
    beside = out.with_name(f".{out.name}.{os.getpid()}.tmp")
    try:
        for entry in merged:
            record.write(entry, beside)
        with disk_errors(out):
            os.replace(beside, out)  # all of them or none
    finally:
        shutil.rmtree(beside, ignore_errors=True)
    return merged


def one_table(entries: Sequence[Entry]) -> list[Entry]:
    """The entries, if they may stand in one table. RevisionMismatch names the one that differs, and in what."""
    for place in SAME:
        found = [_at(entry.values, place) for entry in entries]
        values = [json.dumps(value, sort_keys=True) if isinstance(value, dict) else str(value) for value in found]
        usual = Counter(values).most_common(1)[0][0]
        for entry, value in zip(entries, values, strict=True):
            if value != usual:
                others = next(e for e, v in zip(entries, values, strict=True) if v == usual)
                raise RevisionMismatch(
                    f"{entry.folder or entry.title} has {place} {value}, and {others.folder or others.title} has {usual}; "
                    "such results are no one table: merge them apart"
                )
    return list(entries)


def _once(entries: Sequence[Entry]) -> list[Entry]:
    """Each result once; BadInput where two copies of one differ, or two results claim one seed of one row."""
    found: dict[str, Entry] = {}
    for entry in entries:
        known = found.setdefault(entry.key, entry)
        if lines := _contradictions(known.values, entry.values):
            raise BadInput(f"{known.folder} and {entry.folder} are copies of one result and contradict each other: {lines[0]}")
    seeds: dict[Any, Entry] = {}
    for entry in found.values():
        other = seeds.setdefault((row_of(entry), entry.values["data"]["revision"], entry.values["seed"]), entry)
        if other is not entry:
            raise BadInput(f"{other.folder} and {entry.folder} have the same baseline, settings, code and seed and another key")
    return list(found.values())


def _contradictions(first: Mapping[str, Any], second: Mapping[str, Any]) -> list[str]:
    ranks = [values["artifacts"]["ranks"]["sha256"] for values in (first, second)]
    lines = [place for name in RESULT for place in record_check.differences(first[name], second[name], name)]
    return lines + (["their ranks differ"] if ranks[0] != ranks[1] else [])


def _at(values: Mapping[str, Any], place: str) -> Any:
    found: Any = values
    for name in place.split("."):
        found = found[name]
    return found
