"""What was measured of all clips: how each measure is distributed, where the recipe's rules turn on it, and what failed."""

from __future__ import annotations

import dataclasses
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from curation.card import MEASURED, plugin_texts
from curation.clip_job import Chosen, ask, listed_filters
from curation.sheet import margins
from svmbench.recipe import Recipe
from svmbench.records import Clip, RuleVerdict

BINS = 30
SAMPLE = 30  # ours: clips, from the lowest to the highest value
TAIL = 0.01  # ours: the outermost bins also hold this share at each end, so that one odd clip does not flatten the rest
QUANTILES = {"min": 0.0, "q05": 0.05, "q25": 0.25, "median": 0.5, "q75": 0.75, "q95": 0.95, "max": 1.0}


def quantiles(values: Sequence[float]) -> dict[str, float]:
    """QUANTILES of the values; empty without a value."""
    if not len(values):
        return {}
    return dict(zip(QUANTILES, np.quantile(values, list(QUANTILES.values())).tolist(), strict=True))


def measures(
    recipe: Recipe, looked: Sequence[Clip], kept: Collection[str], refused_by: Mapping[str, str]
) -> list[dict[str, Any]]:
    """One mapping a measure: those that a filter of the recipe judges first, in its order. kept: clip_ids.

    refused_by: clip_id -> the filter that drops it. num_missing: clips of which the measure could not be taken. thresholds: where
    the verdict of the rule turns.
    """
    filters = listed_filters(recipe)
    rules = {
        rule.measure: dataclasses.replace(rule, thresholds=_turns(chosen, rule, looked))
        for chosen, rule in zip(filters, margins.rules(filters, looked), strict=True)
    }
    others = sorted({name for clip in looked for name in clip.measures} - set(rules))
    return [_measure(name, rules.get(name), looked, kept, refused_by) for name in (*rules, *others)]


def _turns(chosen: Chosen, rule: margins.Rule, looked: Sequence[Clip]) -> tuple[float, ...]:
    """Where the verdict turns. A filter that reads other measures too is asked with those of SAMPLE clips: what turns for any."""
    _, module, settings = chosen
    if not getattr(module, "READS", ()) or not rule.values:
        return rule.thresholds
    known = [clip for clip in looked if clip.measures.get(rule.measure) is not None]
    known.sort(key=lambda clip: (clip.measures[rule.measure], clip.clip_id))
    sample = [clip.measures for clip in known[:: -(-len(known) // SAMPLE)]] + [known[-1].measures]

    def answers(value: float) -> tuple[tuple[bool, bool], ...]:
        found = [ask(module, settings, value, others) for others in sample]
        return tuple((verdict.keep, verdict.review) for verdict in found)

    return margins.thresholds(answers, rule.values, rule.spread)


def _measure(
    name: str, rule: margins.Rule | None, looked: Sequence[Clip], kept: Collection[str], refused_by: Mapping[str, str]
) -> dict[str, Any]:
    seen: dict[str, list[float]] = {"kept": [], "refused_here": [], "left_out": []}
    for clip in looked:
        value = clip.measures.get(name)
        if value is not None and np.isfinite(value):
            here = rule is not None and refused_by.get(clip.clip_id) == rule.name
            group = "kept" if clip.clip_id in kept else "refused_here" if here else "left_out"
            seen[group].append(float(value))
    values = [value for found in seen.values() for value in found]
    thresholds = list(rule.thresholds) if rule else []
    return {
        "name": name,
        "what": MEASURED.get(name) or plugin_texts("filters").get(name, ""),
        "filter": rule.name if rule else None,
        "num_measured": len(values),
        "num_missing": len(looked) - len(values),
        "quantiles": quantiles(values),
        "thresholds": thresholds,
        "histogram": histogram(values, seen, thresholds),
    }


def histogram(values: Sequence[float], groups: Mapping[str, Sequence[float]], marks: Sequence[float] = ()) -> dict[str, Any]:
    """{'edges': BINS + 1 of them, and the counts of each group of the values}; the first and last bin hold what lies beyond.

    The bins reach from the lower to the upper TAIL of the values, and over the marks. Without values it is empty.
    """
    if not len(values):
        return {}
    low, high = np.quantile(values, [TAIL, 1 - TAIL]).tolist()
    low, high = min(low, *marks, low), max(high, *marks, high)
    edges = np.linspace(low, high, BINS + 1) if high > low else np.linspace(low - 0.5, low + 0.5, BINS + 1)
    counts = {name: np.histogram(np.clip(found, edges[0], edges[-1]), edges)[0].tolist() for name, found in groups.items()}
    return {"edges": edges.tolist(), **counts}


def rules(recipe: Recipe) -> list[dict[str, Any]]:
    """The filters of the recipe in the order of the reasons, with all of their settings."""
    texts = plugin_texts("filters")
    return [
        {"filter": name, "what": texts.get(name, ""), "settings": dataclasses.asdict(chosen)}
        for name, _, chosen in listed_filters(recipe)
    ]


def verdicts(rows: Iterable[RuleVerdict], kept: Collection[str]) -> list[dict[str, Any]]:
    """What the rules alone say of the clips, by verdict, filter and reason, and how many of them were kept in the end."""
    found: dict[tuple[str, str, str], list[bool]] = defaultdict(list)
    for row in rows:
        found[row.verdict, row.filter, row.reason].append(row.clip_id in kept)
    order = {"keep": 0, "review": 1, "drop": 2}
    ranked = sorted(found.items(), key=lambda item: (order.get(item[0][0], 3), -len(item[1]), item[0]))
    return [
        {"verdict": verdict, "filter": name, "reason": reason, "clips": len(ends), "kept": sum(ends)}
        for (verdict, name, reason), ends in ranked
    ]


def errors(rows: Iterable[Iterable[tuple[str, str]]]) -> list[dict[str, Any]]:
    """How often a detector failed, by measure and kind of error; the message stays in the run: it may name a file.

    rows: of each clip, measure and what went wrong.
    """
    counts = Counter((measure, why.split(":")[0]) for found in rows for measure, why in found)
    ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return [{"measure": measure, "error": kind, "clips": n} for (measure, kind), n in ranked]
