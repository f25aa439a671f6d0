"""The charts of the report as SVG. Colours and fonts come from the style sheet by class; each says in words what it shows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup, escape

WIDTH, HEIGHT = 340, 132  # of a chart, in its own units
LEFT, TOP, FLOOR = 34, 18, 112  # of the plot
GROUPS = {"kept": "kept", "refused_here": "out", "left_out": "other"}  # of a histogram -> class; stacked in this order


def figure(value: float) -> str:
    """A number for people: three digits, thousands apart, no exponents."""
    if value and abs(value) < 0.0005:
        return "≈ 0"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def histogram(rows: Mapping[str, Any], thresholds: Sequence[float], label: str) -> Markup:
    """The counts of measures.histogram: kept clips below, on them those left out, and a line at each threshold."""
    if not rows:
        return Markup("")
    edges, groups = rows["edges"], {name: rows[name] for name in GROUPS if name in rows}
    totals = [sum(counts) for counts in zip(*groups.values(), strict=True)]
    x_of = lambda value: LEFT + (WIDTH - LEFT) * (value - edges[0]) / (edges[-1] - edges[0])
    parts = _scale(max(totals))
    for i in range(len(totals)):
        base, x, wide = float(FLOOR), x_of(edges[i]) + 0.4, (WIDTH - LEFT) / len(totals) - 0.8
        for name, counts in groups.items():
            tall = (FLOOR - TOP) * counts[i] / max(totals)
            parts += [_rect(x, base - tall, wide, tall, GROUPS[name])] if counts[i] else []
            base -= tall
    for t in thresholds:
        x = x_of(t)
        parts += [f'<path class="limit" d="M{x:.1f} {TOP - 4}V{FLOOR}"/>', _limit_name(t, x)]
    parts += [_text(LEFT, HEIGHT - 6, figure(edges[0])), _text(WIDTH, HEIGHT - 6, figure(edges[-1]), "end")]
    return _svg(label, parts)


def columns(rows: Sequence[Mapping[str, Any]], label: str, most: int = 12) -> Markup:
    """Counts of sizes (together.counted) as columns from 1 to the largest; sizes above `most` share the last column."""
    if not rows:
        return Markup("")
    last = max(row["size"] for row in rows)
    names = [str(size) for size in range(1, min(last, most) + 1)] + ([f"> {most}"] if last > most else [])
    counts = dict.fromkeys(names, 0)
    for row in rows:
        counts[str(row["size"]) if row["size"] <= most else names[-1]] += row["number"]
    wide, top = (WIDTH - LEFT) / max(len(names), 4), max(counts.values())
    parts = _scale(top)
    for i, (name, n) in enumerate(counts.items()):
        x, tall = LEFT + wide * i, (FLOOR - TOP) * n / top
        parts += [_rect(x + wide * 0.12, FLOOR - tall, wide * 0.76, tall, "kept")] if n else []
        parts += [_text(x + wide / 2, HEIGHT - 6, name, "middle")]
        parts += [_text(x + wide / 2, FLOOR - tall - 4, f"{n:,}", "middle", "value")] if n else []
    return _svg(label, parts)


def segments(values: Mapping[str, int], total: int, label: str) -> Markup:
    """One bar for a cell of a table: each class takes its share of `total`, in order."""
    parts, x = [], 0.0
    for name, n in values.items():
        wide = 100 * n / total if total else 0.0
        parts += [f'<rect class="{name}" x="{x:.3f}" y="0" width="{max(wide, 0.4):.3f}" height="10"/>'] if n else []
        x += wide
    return Markup(
        f'<svg class="cell" viewBox="0 0 100 10" preserveAspectRatio="none" role="img" aria-label="{escape(label)}">'
        f"{''.join(parts)}</svg>"
    )


def interval(share: float, low: float, high: float, label: str) -> Markup:
    """A share in [0, 1] as a dot with its interval, on a scale from 0 to 1."""
    return Markup(
        f'<svg class="interval" viewBox="0 0 200 16" role="img" aria-label="{escape(label)}">'
        '<path class="axis" d="M4 8H196M4 3V13M100 5V11M196 3V13"/>'
        f'<path class="whisker" d="M{4 + 192 * low:.1f} 8H{4 + 192 * high:.1f}"/>'
        f'<circle class="dot" cx="{4 + 192 * share:.1f}" cy="8" r="4"/></svg>'
    )


def _scale(top: int) -> list[str]:
    """The floor, and a line at the tallest column with its count."""
    return [
        f'<path class="grid" d="M{LEFT} {TOP}H{WIDTH}"/><path class="axis" d="M{LEFT} {FLOOR}H{WIDTH}"/>',
        _text(LEFT - 5, TOP + 4, f"{top:,}", "end"),
        _text(LEFT - 5, FLOOR + 1, "0", "end"),
    ]


def _limit_name(value: float, x: float) -> str:
    anchor = "start" if x < LEFT + 24 else "end" if x > WIDTH - 24 else "middle"
    return _text(x, TOP - 8, f"{value:.4g}", anchor, "value")


def _rect(x: float, y: float, wide: float, tall: float, cls: str) -> str:
    return f'<rect class="{cls}" x="{x:.1f}" y="{y:.1f}" width="{wide:.1f}" height="{max(tall, 0.8):.1f}"/>'


def _text(x: float, y: float, words: str, anchor: str = "start", cls: str = "tick") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" class="{cls}" text-anchor="{anchor}">{escape(words)}</text>'


def _svg(label: str, parts: Sequence[str]) -> Markup:
    return Markup(
        f'<svg class="chart" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(label)}">{"".join(parts)}</svg>'
    )
