"""How close a clip came to being judged otherwise.

A filter's judge() is asked, not read: where its answer turns between two values there is a threshold. The distance to the
nearest one is told in spreads of the measure over the run, so that seconds, shares and pixels can be compared.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np

from curation.clip_job import ask
from svmbench.records import Clip

REACH = 3.0  # ours: thresholds further than so many spreads beyond the values seen do not matter
PROBES = 121  # ours: answers asked over that stretch, beside one at each value seen
MOST_VALUES = 400  # ours: of a large run so many quantiles stand for the values seen
HALVINGS = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One filter of a recipe over a run: its name, its measure's name, all finite values, and where its verdict turns."""

    name: str
    measure: str
    values: tuple[float, ...]
    thresholds: tuple[float, ...]
    spread: float

    def margin(self, value: float | None) -> float | None:
        """Spreads to the nearest threshold; None without a value or a threshold."""
        if value is None or not self.thresholds:
            return None
        return min(abs(value - t) for t in self.thresholds) / self.spread


def rules(filters: Sequence[tuple[str, Any, Any]], clips: Sequence[Clip]) -> list[Rule]:
    """One Rule for each (name, plug-in, settings)."""
    found = []
    for name, plugin, chosen in filters:
        seen = [clip.measures.get(plugin.NAME_OF_MEASURE) for clip in clips]
        values = tuple(float(v) for v in seen if v is not None and np.isfinite(v))
        width = spread(values)
        turns = thresholds(partial(_answer, plugin, chosen), values, width)
        turns = tuple(t for t in turns if not any(np.isclose(t, edge) for edge in _edges(chosen)))
        found.append(Rule(name=name, measure=plugin.NAME_OF_MEASURE, values=values, thresholds=turns, spread=width))
    return found


def _edges(chosen: Any) -> list[float]:
    """The ends of the settings' ranges: a threshold there lets everything pass."""
    ends = [f.metadata.get(end) for f in dataclasses.fields(chosen) for end in ("low", "high")]
    return [float(end) for end in ends if end is not None]


def _answer(plugin: Any, chosen: Any, value: float) -> tuple[bool, bool]:
    """(keep, review); a filter that reads other measures is asked without them."""
    found = ask(plugin, chosen, value, {})
    return found.keep, found.review


def spread(values: Sequence[float]) -> float:
    """The middle half's width; where that is nothing, the standard deviation, then the size of the values, then 1."""
    if not values:
        return 1.0
    low, middle, high = np.quantile(values, (0.25, 0.5, 0.75))
    return float(next((w for w in (high - low, np.std(values), abs(middle)) if w > 1e-9), 1.0))


def thresholds(answer: Callable[[float], Hashable], values: Sequence[float], width: float) -> tuple[float, ...]:
    """Where answer() turns within REACH spreads of the values, to the precision of a float, in rising order."""
    if not values:
        return ()
    shown = np.quantile(values, np.linspace(0, 1, MOST_VALUES)) if len(values) > MOST_VALUES else np.asarray(values)
    around = np.linspace(min(values) - REACH * width, max(values) + REACH * width, PROBES)
    points = np.unique(np.concatenate([shown, around]))
    answers = [answer(float(p)) for p in points]
    return tuple(
        _turn(answer, float(low), float(high))
        for (low, high), (before, after) in zip(pairwise(points), pairwise(answers), strict=True)
        if before != after
    )


def _turn(answer: Callable[[float], Hashable], low: float, high: float) -> float:
    first = answer(low)
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if answer(middle) == first else (low, middle)
    return float(f"{(low + high) / 2:.9g}")


def nearest(found: Sequence[Rule], measures: Mapping[str, float | None]) -> tuple[Rule, float] | None:
    """The rule that this clip came closest to turning, with the margin; None where no rule has a threshold for it."""
    margins = [(rule, m) for rule in found if (m := rule.margin(measures.get(rule.measure))) is not None]
    return min(margins, key=lambda pair: pair[1]) if margins else None
