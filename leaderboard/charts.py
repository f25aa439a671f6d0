"""Charts as SVG, drawn here and not in the browser. Colours, fonts and dashes come from the page's style sheet by class.

Every chart has a title that says in words what it shows; all text passes through escape. Axes: Q queries, K cut-off.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt
from markupsafe import Markup, escape

from leaderboard import text
from leaderboard.table import CHANCE, CONTROL, HEADLINE, MEASURED, Row, Table

WIDTH = 460  # of every chart, in its own units; a phone shows it at about 0.8
STYLES = 6  # lines with their own colour and dash
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class RankList:
    """The ranks of one row's queries, all seeds together; arrays of shape (Q,).

    better: wrong candidates before the first positive; tied: wrong ones tied with it; right: positives tied, itself included.
    """

    better: Floats
    tied: Floats
    right: Floats

    def recall(self, cutoffs: Sequence[int]) -> list[float]:
        """Recall at each cut-off, the tied in random order, as in benchmarks/metrics/recall.py."""
        log = np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, self.tied.max(initial=0) + self.right.max(initial=1) + 1)))])
        return [float(1 - _misses(self, cutoff, log).mean()) for cutoff in cutoffs]

    def expected(self) -> Floats:
        """Expected rank of the first positive, from 1."""
        return self.better + (self.tied + self.right + 1) / (self.right + 1)


def _misses(ranks: RankList, cutoff: int, log: Floats) -> Floats:
    """P(no positive among the first `cutoff`) a query: C(tied, n) / C(tied + right, n), n places left after the better ones."""
    places = cutoff - ranks.better
    miss = (places <= 0).astype(np.float64)
    some = (places > 0) & (places <= ranks.tied)
    t, r, n = (a[some].astype(int) for a in (ranks.tied, ranks.right, places))
    miss[some] = np.exp(log[t] - log[t - n] - log[t + r] + log[t + r - n])
    return miss


def _svg(height: float, label: str, parts: Sequence[str]) -> Markup:
    body = Markup("").join(Markup(p) for p in parts)
    return Markup('<svg viewBox="0 0 {} {:.0f}" role="img" aria-label="{}">{}</svg>').format(WIDTH, height, label, body)


def _text(x: float, y: float, words: object, cls: str = "", anchor: str = "start") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" class="{cls}" text-anchor="{anchor}">{escape(words)}</text>'


def _line(x1: float, y1: float, x2: float, y2: float, cls: str) -> str:
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" class="{cls}"/>'


def _bar(x: float, base: float, wide: float, tall: float) -> str:
    return f'<rect x="{x:.1f}" y="{base - tall:.1f}" width="{wide:.1f}" height="{tall:.1f}" class="bar"/>'


def nice_step(top: float, steps: int = 5) -> float:
    """A step of 1, 2 or 5 times a power of ten that divides 0 to top into at most `steps` parts or so."""
    raw = max(top, 1e-9) / steps
    power = 10.0 ** math.floor(math.log10(raw))
    return next(f * power for f in (1, 2, 5, 10) if f * power >= raw * 0.999)


def intervals(table: Table, metric: str = HEADLINE) -> Markup:
    """One line a row: mean and 95 % interval of a recall, chance as a line through all. Of long tables the first rows."""
    rows = [*table.group(CHANCE), *table.group(MEASURED)[:16], *table.group(CONTROL)[:4]]
    rows = [row for row in rows if metric in row.cells and row.cells[metric].value is not None]
    if not rows:
        return Markup("")
    left, right, top, pitch = 142.0, WIDTH - 44.0, 8.0, 24.0
    bottom = top + pitch * len(rows)
    most = max(max(row.cells[metric].high or 0, row.cells[metric].value or 0) for row in rows) * 100
    step = nice_step(most)
    limit = step * math.ceil(most / step - 1e-9)
    place = lambda share: left + (right - left) * min(100 * share, limit) / limit
    parts = []
    for i in range(round(limit / step) + 1):
        x = place(i * step / 100)
        parts += [_line(x, top, x, bottom, "grid"), _text(x, bottom + 15, f"{i * step:g}", "tick", "middle")]
    chance = table.chance.cells[metric].value if table.chance else None
    if chance is not None:
        parts.append(_line(place(chance), top, place(chance), bottom, "chance-line"))
    for i, row in enumerate(rows):
        parts += _interval(row, metric, top + pitch * (i + 0.5), place, left, right)
    parts.append(
        _text((left + right) / 2, bottom + 32, f"{text.metric(metric)} in percent, with 95 % interval", "axis", "middle")
    )
    words = "; ".join(
        f"{text.shown(row.name)} {text.number(metric, row.cells[metric].value)}, {text.ends(metric, row.cells[metric])}"
        for row in rows
    )
    return _svg(bottom + 38, f"{text.metric(metric)} of each row: {words}", parts)


def _interval(row: Row, metric: str, y: float, place: object, left: float, right: float) -> list[str]:
    assert callable(place)
    cell = row.cells[metric]
    name = text.shown(row.name, 22)
    parts = [_text(left - 10, y + 4, name, f"name {row.group}", "end")]
    if cell.low is not None and cell.high is not None:
        parts.append(_line(place(cell.low), y, place(cell.high), y, f"whisker {row.group}"))
    parts.append(f'<circle cx="{place(cell.value):.1f}" cy="{y:.1f}" r="4" class="dot {row.group}"/>')
    parts.append(_text(right + 8, y + 4, text.number(metric, cell.value), "value"))
    return parts


def cutoffs(gallery: int, number: int = 40) -> list[int]:
    """Cut-offs from 1 to the gallery's size, evenly spread on a logarithmic axis."""
    return sorted({round(float(k)) for k in np.geomspace(1, max(gallery, 1), number)})


def curves(table: Table, ranks: Mapping[tuple[str, str], RankList]) -> Markup:
    """Recall at every cut-off, on a logarithmic axis: chance, and the first STYLES measured rows that have ranks."""
    rows = [*table.group(CHANCE)[:1], *table.group(MEASURED)]
    chosen = [r for r in rows if (r.baseline, r.variant) in ranks][: STYLES + 1]
    if len(chosen) < 2:
        return Markup("")
    left, right, top, bottom = 40.0, WIDTH - 14.0, 10.0, 220.0
    points = cutoffs(table.key.gallery_size)
    x_of = lambda k: left + (right - left) * math.log(k) / math.log(max(points[-1], 2))
    y_of = lambda share: bottom - (bottom - top) * share
    parts = []
    for share in (0, 0.25, 0.5, 0.75, 1):
        parts += [
            _line(left, y_of(share), right, y_of(share), "grid"),
            _text(left - 6, y_of(share) + 4, f"{100 * share:g}", "tick", "end"),
        ]
    for k in [k for k in (1, 2, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10000, 100000) if k <= points[-1]]:
        parts += [_line(x_of(k), bottom, x_of(k), bottom + 4, "grid"), _text(x_of(k), bottom + 17, f"{k}", "tick", "middle")]
    parts.append(_text((left + right) / 2, bottom + 34, "K: how many of the first candidates are looked at", "axis", "middle"))
    style = 0
    found = [ranks[row.baseline, row.variant].recall(points) for row in chosen]
    wide = 34 + 7 * max(len(text.shown(row.name, 26)) for row in chosen)  # of the legend, about
    x, y = (left + 10, top + 14) if _room_at_top(found) else (right - wide, bottom - 8 - 17 * (len(chosen) - 1))
    for i, (row, shares) in enumerate(zip(chosen, found, strict=True)):
        cls = "line chance" if row.group == CHANCE else f"line s{(style := style + 1)}"
        path = " ".join(f"{x_of(k):.1f},{y_of(s):.1f}" for k, s in zip(points, shares, strict=True))
        parts.append(f'<polyline points="{path}" class="{cls}"/>')
        at = y + 17 * i
        parts += [_line(x, at - 4, x + 28, at - 4, cls), _text(x + 34, at, text.shown(row.name, 26), "name")]
    names = ", ".join(text.shown(row.name) for row in chosen)
    return _svg(bottom + 40, f"Recall against the cut-off K from 1 to {points[-1]} for {names}; the table has the values", parts)


def _room_at_top(curves: Sequence[Sequence[float]]) -> bool:
    """Whether a legend covers less of the curves at the top left than at the bottom right."""
    half = len(curves[0]) // 2
    return sum(s > 0.6 for c in curves for s in c[:half]) <= sum(s < 0.4 for c in curves for s in c[half:])


def histogram(table: Table, ranks: Mapping[tuple[str, str], RankList]) -> Markup:
    """Where the right item lands: for each row a histogram of the ranks, in bins that double, over chance."""
    rows = [r for r in table.rows if (r.baseline, r.variant) in ranks and r.group == MEASURED][:STYLES]
    if not rows:
        return Markup("")
    edges = [2**i for i in range(math.ceil(math.log2(table.key.gallery_size + 1)))] + [table.key.gallery_size + 1]
    edges = sorted(set(edges))
    chance = ranks.get((table.chance.baseline, table.chance.variant)) if table.chance else None
    random = _bins(chance, edges) if chance else None
    bins = [_bins(ranks[r.baseline, r.variant], edges) for r in rows]
    left, pitch, height = 142.0, 50.0, 38.0
    wide = (WIDTH - 14.0 - left) / (len(edges) - 1)
    most = max(max(b) for b in [*bins, random or [0.0]])
    parts = []
    for i, (row, shares) in enumerate(zip(rows, bins, strict=True)):
        base = 8 + pitch * i + height
        parts.append(_text(left - 10, base - height / 2 + 4, text.shown(row.name, 22), "name", "end"))
        parts.append(_line(left, base, WIDTH - 14, base, "grid"))
        for j, share in enumerate(shares):
            parts.append(_bar(left + wide * j + 1, base, wide - 2, height * share / most))
            if random:
                y = base - height * random[j] / most
                parts.append(_line(left + wide * j + 1, y, left + wide * (j + 1) - 1, y, "chance-line"))
    bottom = 8 + pitch * len(rows) - 4
    for j, (a, b) in enumerate(pairwise(edges)):
        parts.append(_text(left + wide * (j + 0.5), bottom + 10, f"{a}" if b - a == 1 else f"{a}+", "tick", "middle"))
    parts.append(
        _text(
            (left + WIDTH - 14) / 2, bottom + 28, "rank of the right item, in bins that double; dashed: chance", "axis", "middle"
        )
    )
    words = "; ".join(f"{text.shown(r.name)}: {100 * b[0]:.0f} % at rank 1" for r, b in zip(rows, bins, strict=True))
    return _svg(bottom + 34, f"Histogram of ranks. {words}", parts)


def _bins(ranks: RankList, edges: list[int]) -> list[float]:
    """Share of the queries whose first positive has a rank in each bin, the tied in random order."""
    inside = [0.0 if e == 1 else ranks.recall([e - 1])[0] for e in edges]
    return [b - a for a, b in pairwise(inside)]


def bars(values: Mapping[str, int], label: str, axis: str) -> Markup:
    """A column chart of counts under their names."""
    if not values:
        return Markup("")
    left, right, top, bottom = 14.0, WIDTH - 14.0, 22.0, 130.0
    wide, most = (right - left) / len(values), max(values.values())
    parts = [_line(left, bottom, right, bottom, "grid")]
    for i, (name, number) in enumerate(values.items()):
        x, tall = left + wide * i, (bottom - top) * number / max(most, 1)
        gap = min(3.0, wide / 6)
        parts.append(_bar(x + gap, bottom, wide - 2 * gap, tall))
        parts.append(_text(x + wide / 2, bottom + 16, name, "tick", "middle"))
        parts.append(_text(x + wide / 2, bottom - tall - 5, number, "value", "middle"))
    parts.append(_text((left + right) / 2, bottom + 34, axis, "axis", "middle"))
    words = ", ".join(f"{name}: {number}" for name, number in values.items())
    return _svg(bottom + 40, f"{label}. {words}", parts)


def duration_bins(durations_s: Sequence[float], bins: int = 8) -> dict[str, int]:
    """Counts of durations in at most `bins` bins of a round number of seconds, named by their lower end."""
    if not durations_s:
        return {}
    low, high = min(durations_s), max(durations_s)
    step = max(1.0, nice_step(high - low, bins))
    first, last = math.floor(low / step), math.floor(high / step)
    counts = np.bincount([math.floor(d / step) - first for d in durations_s], minlength=last - first + 1)
    return {f"{(first + i) * step:g}": int(n) for i, n in enumerate(counts)}


def reuse_bins(reuse: Mapping[int, int], most: int = 8) -> dict[str, int]:
    """Songs by the number of clips that share them: 1, 2, ... and the rest together."""
    found = {str(n): reuse.get(n, 0) for n in range(1, min(max(reuse, default=0), most) + 1)}
    rest = sum(number for n, number in reuse.items() if n > most)
    return {**found, f"> {most}": rest} if rest else found
