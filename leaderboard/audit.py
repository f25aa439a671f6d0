"""Arithmetic that every printed figure must pass, and a flag for each that does not. Nothing here is typed by hand.

N: number of queries, taken to equal the pool; K: cut-off of a recall. Shares are allowed half of their last printed decimal.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import lru_cache
from itertools import pairwise

from leaderboard.published import Figure, Flag, PrintedRow, PrintedTable, load, tables

DERIVED_SPREAD = 0.1  # ours: a song-disjoint tenth of 16,217 clips in 1200 videos moves by about this share (three sigma)
ALPHA = 0.05  # ours: one-sided level of "not above chance", for each figure by itself
SIGMAS = 3.0  # ours: how far hits per rank must rise before it is called odd


def audit(printed: Sequence[PrintedTable]) -> list[PrintedTable]:
    """The tables with the flags of all audits in their rows."""
    figures = [f for table in printed for row in table.rows for f in row.figures.values()]
    return [replace(table, rows=tuple(_flagged(row, table.rows, figures) for row in table.rows)) for table in printed]


@lru_cache
def shipped() -> tuple[PrintedTable, ...]:
    """The published figures that ship with svmbench, audited."""
    return tuple(audit(tables(load())))


def _flagged(row: PrintedRow, rows: Sequence[PrintedRow], figures: Sequence[Figure]) -> PrintedRow:
    flags = [flag for check in ROW_AUDITS for flag in check(row)]
    flags += [*repeat(row, rows), *one_set(row, rows), *between_tables(row, figures), *suspect(row)]
    return replace(row, flags=tuple(flags))


def possible_queries(figures: Iterable[Figure]) -> list[int]:
    """The numbers of queries N in the pool's range for which every share is a whole number of queries, within its rounding."""
    figures = [f for f in figures if f.cutoff is not None]
    if not figures or figures[0].pool_size is None:
        return []
    return [n for n in _range(figures[0]) if all(_whole(f, n) for f in figures)]


def _range(figure: Figure) -> range:
    pool = figure.pool_size or 0
    spread = round(DERIVED_SPREAD * pool) if figure.pool_basis == "derived" else 0
    return range(pool - spread, pool + spread + 1)


def _whole(figure: Figure, queries: int) -> bool:
    hits = round(figure.value / 100 * queries)
    return abs(100 * hits / queries - figure.value) <= figure.half_unit + 1e-9


def grim(row: PrintedRow) -> list[Flag]:
    """Granularity-related inconsistency of means (Brown and Heathers 2017), applied to recalls."""
    figures = [f for _, f in row.recalls]
    if _is_random(row) or not figures or figures[0].pool_size is None or possible_queries(figures):
        return []
    numbers = _range(figures[0])
    odd = [f for f in figures if not any(_whole(f, n) for n in numbers)] or figures
    asked = f"no multiple of 1/{numbers[0]}"
    if len(numbers) > 1:
        asked = f"together whole on no number of queries from {numbers[0]} to {numbers[-1]}"
    return [Flag(kind="grim", metrics=tuple(f.metric for f in odd), text=f"{_list(odd)}: {asked}")]


def monotone(row: PrintedRow) -> list[Flag]:
    """Recall@K must not fall as K grows."""
    return [
        Flag(kind="monotone", metrics=(a.metric, b.metric), text=f"R@{k} {a.printed} is above R@{j} {b.printed}")
        for (k, a), (j, b) in pairwise(row.recalls)
        if a.value > b.value
    ]


def chance(row: PrintedRow) -> list[Flag]:
    """Recalls whose hits a random ranking of the pool reaches with a probability of at least ALPHA."""
    low = [
        f
        for k, f in row.recalls
        if f.pool_size and tail(round(f.value / 100 * f.pool_size), f.pool_size, k / f.pool_size) >= ALPHA
    ]
    if not low or _is_random(row):
        return []
    expected = ", ".join(f"{100 * (f.cutoff or 0) / (f.pool_size or 1):.2g}" for f in low)
    return [Flag(kind="chance", metrics=tuple(f.metric for f in low), text=f"{_list(low)}; chance is {expected}")]


def tail(hits: int, queries: int, share: float) -> float:
    """P(X >= hits) for X binomial(queries, share), exact."""
    if hits <= 0:
        return 1.0
    if share >= 1:
        return 1.0
    below = 0.0
    for h in range(hits):
        log = math.lgamma(queries + 1) - math.lgamma(h + 1) - math.lgamma(queries - h + 1)
        below += math.exp(log + h * math.log(share) + (queries - h) * math.log1p(-share))
    return max(0.0, 1.0 - below)


def median(row: PrintedRow) -> list[Flag]:
    """MedR <= K exactly when R@K >= 50 %; both sides with their rounding allowed for."""
    found = row.figures.get("median_rank")
    if found is None:
        return []
    flags = []
    for k, f in row.recalls:
        if found.value <= k and f.value + f.half_unit < 50:
            flags.append(Flag(kind="median", metrics=("median_rank", f.metric), text=_median_text(found, k, f, "below")))
        if found.value > k and f.value - f.half_unit > 50:
            flags.append(Flag(kind="median", metrics=("median_rank", f.metric), text=_median_text(found, k, f, "above")))
    return flags


def _median_text(found: Figure, k: int, f: Figure, side: str) -> str:
    return f"MedR {found.printed}, yet R@{k} is {f.printed}, {side} one half"


def brackets(row: PrintedRow) -> list[tuple[int, int, float]]:
    """(first rank, last rank, share of queries in between) from the recalls and the median rank, by growing rank."""
    points = {k: f.value / 100 for k, f in row.recalls}
    found = row.figures.get("median_rank")
    if found is not None and points and not median(row):
        points.setdefault(int(found.value), 0.5)
    edges = [(0, 0.0), *sorted(points.items())]
    return [(a + 1, b, q - p) for (a, p), (b, q) in pairwise(edges)]


def rising(row: PrintedRow) -> list[Flag]:
    """Neighbouring brackets in which the hits per rank rise by more than SIGMAS standard errors."""
    pool = next((f.pool_size for f in row.figures.values()), None)
    if pool is None:
        return []
    flags, spans = [], brackets(row)
    for (a, b, p), (c, d, q) in pairwise(spans):
        upper, lower = p / (b - a + 1), q / (d - c + 1)
        error = math.sqrt(max(p, 1 / pool) / pool / (b - a + 1) ** 2 + max(q, 1 / pool) / pool / (d - c + 1) ** 2)
        if lower - upper > SIGMAS * error:
            text = f"{100 * upper:.2f} % of the queries a rank on {_span(a, b)}, {100 * lower:.2f} % on {_span(c, d)}"
            flags.append(Flag(kind="rising", metrics=(), text=text))
    return flags


def _span(first: int, last: int) -> str:
    return f"rank {first}" if first == last else f"ranks {first} to {last}"


def edge(row: PrintedRow) -> list[Flag]:
    """Nearly all hits inside the largest K, spread almost evenly, and nearly none beyond: ours, after the audit of TIVM."""
    spans, last = brackets(row), row.recalls[-1:]
    if len(spans) < 3 or not last or not last[0][1].pool_size:
        return []
    k, f = last[0]
    first_rate, last_rate = spans[0][2], spans[-1][2] / (spans[-1][1] - spans[-1][0] + 1)
    beyond = (1 - f.value / 100) / max(1, (f.pool_size or 0) - k)
    if f.value < 90 or last_rate < first_rate / 2 or beyond > last_rate / 50:
        return []
    text = (
        f"{100 * first_rate:.2f} % of the queries at rank 1, still {100 * last_rate:.2f} % a rank near rank {k}, "
        f"then {100 * beyond:.4f} %: about {100 * k / f.value:.0f} places, evenly filled"
    )
    return [Flag(kind="edge", metrics=(f.metric,), text=text)]


def anchor(row: PrintedRow) -> list[Flag]:
    """A printed row of random ranking against K / N, N chosen to fit most of its cells."""
    if not _is_random(row) or len(row.recalls) < 3:
        return []
    fits = {n: [f for k, f in row.recalls if abs(100 * k / n - f.value) <= f.half_unit + 1e-9] for n in _range(row.recalls[0][1])}
    most = max(len(found) for found in fits.values())
    best = [n for n, found in fits.items() if len(found) == most]
    pool, middle = f"a pool of {best[0]} to {best[-1]}", best[len(best) // 2]
    odd = [(k, f) for k, f in row.recalls if f not in fits[best[0]]]
    return [
        Flag(
            kind="anchor",
            metrics=(f.metric,),
            text=f"R@{k} {f.printed}; the other cells fit {pool}, where it is {100 * k / middle:.2f}",
        )
        for k, f in odd
    ]


def one_set(row: PrintedRow, rows: Sequence[PrintedRow]) -> list[Flag]:
    """Rows that are whole by themselves, for numbers of queries that the other rows do not share."""
    sets = [set(possible_queries(f for _, f in r.recalls)) for r in rows if not _is_random(r)]
    mine = possible_queries(f for _, f in row.recalls)
    sets = [found for found in sets if found]
    if _is_random(row) or not mine or len(mine) > 20 or not sets or set.intersection(*sets):
        return []
    return [Flag(kind="one_set", metrics=(), text=f"whole only on {_numbers(mine)} queries")]


def _numbers(found: list[int]) -> str:
    return ", ".join(map(str, found[:3])) + (f" and {len(found) - 3} other numbers of" if len(found) > 3 else "")


def repeat(row: PrintedRow, rows: Sequence[PrintedRow]) -> list[Flag]:
    """Another row with the same figures in at least three recalls, all above chance."""
    mine = {f.metric: f.printed for _, f in row.recalls}
    if len(mine) < 3 or any(flag.kind == "chance" for flag in chance(row)):
        return []
    return [
        Flag(kind="repeat", metrics=tuple(mine), text=f"equal to {other.system} {other.setting}".rstrip() + " in every recall")
        for other in rows
        if other is not row and {f.metric: f.printed for _, f in other.recalls} == mine
    ]


def between_tables(row: PrintedRow, everything: Sequence[Figure]) -> list[Flag]:
    """The same paper, data, system and metric in another table, none of whose values is this one."""
    flags = []
    for f in row.figures.values():
        others = [o for o in everything if _same_cell(f, o) and o.system == f.system]
        if others and all(abs(o.value - f.value) > o.half_unit + f.half_unit for o in others):
            elsewhere = sorted({o.system for o in everything if _same_cell(f, o) and abs(o.value - f.value) < 1e-9} - {f.system})
            hint = f"; it is printed there for {', '.join(elsewhere)}" if elsewhere else ""
            text = f"{f.printed} against {', '.join(o.printed for o in others)} in Table {others[0].table}{hint}"
            flags.append(Flag(kind="tables", metrics=(f.metric,), text=text))
    return flags


def _same_cell(f: Figure, other: Figure) -> bool:
    if f.table == other.table or f.table is None or f.setting or f.cutoff is None:
        return False  # only the table without settings is asked: it must repeat one of the detailed rows
    return (f.paper, f.dataset, f.metric) == (other.paper, other.dataset, other.metric)


def suspect(row: PrintedRow) -> list[Flag]:
    """The notes written by hand."""
    return [Flag(kind="suspect", metrics=(), text=note) for note in dict.fromkeys(f.note for f in row.figures.values() if f.note)]


def _is_random(row: PrintedRow) -> bool:
    return row.system.lower() == "random"


def _list(figures: Iterable[Figure]) -> str:
    return ", ".join(f"R@{f.cutoff} {f.printed}" for f in figures)


ROW_AUDITS: tuple[Callable[[PrintedRow], list[Flag]], ...] = (grim, monotone, chance, median, rising, edge, anchor)
