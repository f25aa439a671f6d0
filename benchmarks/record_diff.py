"""`svmbench results diff`: what differs between two results: first what they were made of, then what came out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks import stats
from benchmarks.compare import TESTED
from benchmarks.record import Entry
from benchmarks.scoring import cell
from svmbench.errors import BadInput

Place = tuple[str, ...]
INPUTS: dict[str, tuple[Place, ...]] = {
    "data": (("data", "dataset"), ("data", "revision"), ("data", "source")),
    "split": (("data", "split"), ("data", "folds"), ("data", "split_sha256"), ("data", "queries_sha256")),
    "features": (("data", "features"),),
    "baseline": (("model", "baseline"), ("model", "variant")),
    "settings": (("model", "settings"),),
    "code": (("code", "hash"), ("code", "commit"), ("code", "dirty"), ("code", "packages")),
    "seed": (("seed",),),
    "metrics": (("protocol",), ("uncertainty",)),
}  # what a score depends on; the machine and the time are not in it


@dataclass(frozen=True)
class InputDifference:
    """One input that differs. what: a key of INPUTS; place: where in the record."""

    what: str
    place: str
    first: Any
    second: Any


@dataclass(frozen=True)
class ScoreDifference:
    """One score. difference: first - second. p: two-sided, of the paired test over the same queries, flipped song by song; None
    where the queries differ or the metric is not tested."""

    direction: str
    metric: str
    first: float
    second: float
    difference: float
    p: float | None


@dataclass(frozen=True)
class Diff:
    """Two results side by side. same_queries: directions in which both were asked the same."""

    first: Entry
    second: Entry
    inputs: tuple[InputDifference, ...]
    scores: tuple[ScoreDifference, ...]
    same_queries: tuple[str, ...]


def diff(first: Entry, second: Entry) -> Diff:
    """What differs between two records. Scores that are equal are not listed."""
    inputs = [
        InputDifference(what, place, a, b)
        for what, places in INPUTS.items()
        for at in places
        for place, a, b in _leaves(_at(first.values, at), _at(second.values, at), ".".join(at))
    ]
    asked = [entry.values["data"]["queries_sha256"] for entry in (first, second)]
    same = tuple(d for d in first.lists if d in second.lists and asked[0][d] == asked[1][d])
    shared = [d for d in first.lists if d in second.lists]
    scores = [found for direction in shared for found in _scores(first, second, direction, paired=direction in same)]
    return Diff(first, second, tuple(inputs), tuple(scores), same)


def pairs(first: Sequence[Entry], second: Sequence[Entry]) -> tuple[list[tuple[Entry, Entry]], list[Entry]]:
    """Which results of two places belong together, and those that are in one place only. A single result on both sides is a pair
    whatever it is; otherwise split, baseline, variant and seed must be the same. BadInput where that is not unique."""
    if len(first) == len(second) == 1:
        return [(first[0], second[0])], []
    sides = [_by_name(first), _by_name(second)]
    both = [(entry, sides[1][name]) for name, entry in sides[0].items() if name in sides[1]]
    alone = [e for side, other in (sides, sides[::-1]) for name, e in side.items() if name not in other]
    if not both:
        raise BadInput("the two places have no result of the same split, baseline, variant and seed; name two record folders")
    return both, alone


def _by_name(entries: Sequence[Entry]) -> dict[tuple[Any, ...], Entry]:
    found: dict[tuple[Any, ...], Entry] = {}
    for entry in entries:
        model = entry.values["model"]
        name = (entry.values["data"]["split"], model["baseline"], model["variant"], entry.values["seed"])
        if name in found:
            raise BadInput(
                f"two results are called {entry.title.rpartition(' (')[0]}; name record folders and not what holds them"
            )
        found[name] = entry
    return found


def _at(values: Any, place: Place) -> Any:
    for name in place:
        values = values[name]
    return values


def _leaves(first: Any, second: Any, place: str) -> list[tuple[str, Any, Any]]:
    if isinstance(first, Mapping) and isinstance(second, Mapping):
        names = sorted({*first, *second})
        return [leaf for name in names for leaf in _leaves(first.get(name), second.get(name), f"{place}.{name}")]
    return [] if first == second else [(place, first, second)]


def _scores(first: Entry, second: Entry, direction: str, *, paired: bool) -> list[ScoreDifference]:
    found = []
    metrics = [entry.values["scores"][direction]["metrics"] for entry in (first, second)]
    for name in metrics[0]:
        if name not in metrics[1] or metrics[0][name]["value"] == metrics[1][name]["value"]:
            continue
        a, b, p = metrics[0][name]["value"], metrics[1][name]["value"], None
        if paired and name in TESTED:
            module, more = cell(name)
            values = [np.asarray(module.values(entry.lists[direction].ranks, *more)) for entry in (first, second)]
            p = stats.paired_permutation(values[0], values[1], first.lists[direction].songs)
        found.append(ScoreDifference(direction, name, a, b, a - b, p))
    return found
