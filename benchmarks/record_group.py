"""What a result cannot say alone: the spread over its seeds, and how it stands among the others.

It is derived from the results that lie together, and made anew whenever they change or are merged.
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from benchmarks import stats
from benchmarks.compare import Comparison, Contestant, Standing, compare, tiers
from benchmarks.record import Entry
from benchmarks.scoring import HEADLINE, cell
from svmbench.records import DIRECTIONS

Row = tuple[str, str, str, str, str]


def row_of(entry: Entry) -> Row:
    """What the seeds of one row have in common: split, baseline, variant, settings, code."""
    model, code = entry.values["model"], entry.values["code"]["hash"]
    return entry.values["data"]["split"], model["baseline"], model["variant"], model["settings_hash"], code


def grouped(entries: Sequence[Entry]) -> tuple[list[Entry], list[Comparison], list[Standing]]:
    """The entries with their `group`, all paired tests, and all tiers. The entries are of one table (benchmarks.record_merge)."""
    rows = _rows(entries)
    names = _names(list(rows))
    contestants = [
        contestant
        for row, seeds in rows.items()
        for direction in DIRECTIONS
        if (contestant := _contestant(row, names[row], seeds, direction))
    ]
    tests = compare(contestants)
    standings = tiers(contestants, tests)
    among = among_sha256(entries)
    filled: dict[str, Entry] = {}
    for row, seeds in rows.items():
        group = {"name": names[row], "among": among, **of_seeds(seeds), "tiers": _tiers(standings, row[0], names[row])}
        filled |= {entry.key: replace(entry, values={**entry.values, "group": group}) for entry in seeds}
    return [filled[entry.key] for entry in entries], tests, standings


def among_sha256(entries: Sequence[Entry]) -> str:
    """Which results were held against each other: sha256 over their sorted keys, one a line."""
    return hashlib.sha256("".join(f"{key}\n" for key in sorted(entry.key for entry in entries)).encode()).hexdigest()


def _rows(entries: Sequence[Entry]) -> dict[Row, list[Entry]]:
    rows: dict[Row, list[Entry]] = defaultdict(list)
    for entry in sorted(entries, key=lambda e: (row_of(e), e.values["seed"])):
        rows[row_of(entry)].append(entry)
    return dict(rows)


def _names(rows: Sequence[Row]) -> dict[Row, str]:
    """'baseline variant', with the hashes of settings and code where two rows of a split would have one name."""
    plain = {row: f"{row[1]} {row[2]}" for row in rows}
    count = Counter((row[0], name) for row, name in plain.items())
    return {row: name if count[row[0], name] == 1 else f"{name} [{row[3]} {row[4]}]" for row, name in plain.items()}


def _contestant(row: Row, name: str, seeds: Sequence[Entry], direction: str) -> Contestant | None:
    asked = [entry for entry in seeds if direction in entry.lists]
    if not asked:
        return None
    first, checks = asked[0].lists[direction], {c for entry in seeds for c in entry.values["checks"]["failed"]}
    role = asked[0].values["model"]["role"]
    ranks = tuple(entry.lists[direction].ranks for entry in asked)
    return Contestant(row[0], direction, name, role, tuple(sorted(checks)), first.queries, first.songs, ranks)


def of_seeds(seeds: Sequence[Entry]) -> dict[str, Any]:
    """The part of `group` that follows from the seeds of one row: mean and sd over seeds, and the headline's interval."""
    found: dict[str, Any] = {"seeds": [entry.values["seed"] for entry in seeds], "scores": {}, "headline": {}}
    for direction in DIRECTIONS:
        asked = [entry for entry in seeds if direction in entry.lists]
        if not asked:
            continue
        metrics = [entry.values["scores"][direction]["metrics"] for entry in asked]
        values = {name: [m[name]["value"] for m in metrics if name in m] for name in metrics[0]}
        found["scores"][direction] = {n: {"mean": float(np.mean(v)), "seed_sd": stats.seed_sd(v)} for n, v in values.items()}
        found["headline"][direction] = {name: _headline(asked, direction, name) for name in HEADLINE if name in values}
    return found


def _headline(seeds: Sequence[Entry], direction: str, metric: str) -> dict[str, Any]:
    """One metric with both sources of noise in one interval. Apart they are the ci95 of each record, and seed_sd."""
    module, more = cell(metric)
    ranks = [entry.lists[direction].ranks for entry in seeds]
    values = [module.values(found, *more) for found in ranks]
    interval = stats.headline_interval(values, seeds[0].lists[direction].songs, aggregate=module.AGGREGATE)
    mean = float(np.mean([module.score(found, *more) for found in ranks]))
    return {"value": mean, "ci95": None if interval is None else list(interval), "num_seeds": len(seeds)}


def _tiers(standings: Sequence[Standing], split: str, name: str) -> dict[str, Any]:
    found: dict[str, Any] = defaultdict(dict)
    for s in standings:
        if (s.split, s.name) == (split, name):
            found[s.direction][s.metric] = {"tier": s.tier, "anchor": s.anchor, "p_holm": s.p_holm, "reason": s.reason}
    return dict(found)
