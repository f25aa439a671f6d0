"""The figures that the papers print, and an audit that computes which of them cannot be taken at face value.

`published.jsonl` has one line a figure:
    paper, source     short name, and what the reader can look up
    table             number of the table in the paper; null where only a listing was seen
    title             our own name for the table; one title may join several printed tables (MVBind prints one a cut-off)
    dataset, system, setting, direction    as printed; direction is null where the paper does not say
    metric, printed, unit                  `printed` keeps the decimals of the paper: the audit needs them
    pool_size, pool_basis                  candidates ranked: 'stated', 'derived', 'assumed' or 'not stated'
    secondary         true when the figure was read from a listing and not from the paper
    caveat            written by hand: what the paper leaves open and what is assumed here; no reproach
    note              written by hand: a reason for doubt that no formula sees; says 'inference' where it is one
The flags are computed here, never typed. N is the number of queries, taken to equal the pool; K a cut-off; h hits.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import lru_cache
from importlib import resources

DERIVED_SPREAD = 0.1  # ours: a song-disjoint tenth of 16,217 clips in 1200 videos moves by about this share (three sigma)
ALPHA = 0.05  # ours: one-sided level of "not above chance", for each figure by itself
SIGMAS = 3.0  # ours: how far hits per rank must rise before it is called odd

FLAGS = {
    "grim": "The printed share times the number of queries is not a whole number of queries, within the printed rounding. "
    "It was averaged over several pools, or scored on another number of queries than the paper says.",
    "monotone": "Recall falls although the cut-off grows. That cannot happen on one set of queries.",
    "chance": "Not above random ranking of a pool of this size (one-sided binomial test at 5 %, each figure by itself, so about one "
    "figure in twenty of a random system escapes this mark).",
    "median": "The median rank contradicts a recall beside it: the median is at most K exactly when at least half of the queries "
    "have a hit in the first K.",
    "rising": "More hits per rank further down than nearer the top, by over three standard errors. "
    "Rankings by similarity thin out downwards; look for a slip of the pen or a mixed pool.",
    "edge": "Hits lie almost evenly over a stretch of ranks and then stop. A ranking by similarity fades; an edge suggests that the "
    "system found a group of that size and guessed inside it (inference from the shape alone).",
    "anchor": "The row of random ranking does not fit any one pool size: K / N is violated at this cut-off.",
    "one_set": "No one number of test queries makes the rows of this table whole; the systems were hardly scored on one test set.",
    "repeat": "The same figures stand in another row of this table. Two systems rarely agree in every cell; one row may be a copy.",
    "tables": "The same system has no such figure in the paper's other table of the same data.",
    "suspect": "A problem that no formula sees, written by hand with its reason.",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One printed figure; the fields are described at the top of this file."""

    paper: str
    source: str
    table: str | None
    title: str
    dataset: str | None
    system: str
    setting: str
    direction: str | None
    metric: str
    printed: str
    unit: str
    pool_size: int | None
    pool_basis: str | None
    secondary: bool
    caveat: str
    note: str

    @property
    def value(self) -> float:
        return float(self.printed)

    @property
    def half_unit(self) -> float:
        """Half of the last printed decimal: the true value lies within value +- half_unit if it was rounded."""
        return 0.5 * 10.0 ** -len(self.printed.partition(".")[2])

    @property
    def cutoff(self) -> int | None:
        """K of a recall, None for another metric."""
        name, _, cutoff = self.metric.partition("@")
        return int(cutoff) if name == "recall" else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Flag:
    """One finding of the audit: its kind (a key of FLAGS), the metrics concerned, and one sentence with the numbers."""

    kind: str
    metrics: tuple[str, ...]
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PrintedRow:
    """One system in one setting: its figures by metric, and what the audit found."""

    system: str
    setting: str
    figures: dict[str, Figure]
    flags: tuple[Flag, ...] = ()

    @property
    def recalls(self) -> list[tuple[int, Figure]]:
        """(K, figure), by growing K."""
        return sorted((f.cutoff, f) for f in self.figures.values() if f.cutoff is not None)


@dataclass(frozen=True, slots=True, kw_only=True)
class PrintedTable:
    """Figures that may stand in one table: one paper, title, dataset, direction and pool."""

    paper: str
    source: str
    title: str
    numbers: tuple[str, ...]
    dataset: str | None
    direction: str | None
    pool_size: int | None
    pool_basis: str | None
    secondary: bool
    rows: tuple[PrintedRow, ...]

    @property
    def metrics(self) -> list[str]:
        """The metrics that any row has, recalls by growing K first."""
        found = dict.fromkeys(m for row in self.rows for m in row.figures)
        return sorted(found, key=lambda m: (not m.startswith("recall@"), int(m.partition("@")[2] or 0)))


    @property
    def caveats(self) -> list[str]:
        return list(dict.fromkeys(f.caveat for row in self.rows for f in row.figures.values() if f.caveat))


@lru_cache
def load() -> tuple[Figure, ...]:
    """All published figures that ship with svmbench."""
    text = resources.files("leaderboard").joinpath("published.jsonl").read_text(encoding="utf-8")
    return tuple(Figure(**json.loads(line)) for line in text.splitlines() if line.strip())


def tables(figures: Iterable[Figure]) -> list[PrintedTable]:
    """Figures grouped into tables and rows in the order of printing, audited."""
    figures = list(figures)
    groups: dict[tuple[object, ...], list[Figure]] = {}
    for f in figures:
        groups.setdefault((f.paper, f.title, f.dataset, f.direction, f.pool_size), []).append(f)
    return [_audited(group, figures) for group in groups.values()]


def _audited(group: list[Figure], everything: list[Figure]) -> PrintedTable:
    by_row: dict[tuple[str, str], dict[str, Figure]] = {}
    for f in group:
        by_row.setdefault((f.system, f.setting), {})[f.metric] = f
    plain = [PrintedRow(system=s, setting=t, figures=figures) for (s, t), figures in by_row.items()]
    rows = []
    for row in plain:
        flags = [flag for audit in ROW_AUDITS for flag in audit(row)]
        flags += [*repeat(row, plain), *one_set(row, plain), *between_tables(row, everything), *suspect(row)]
        rows.append(replace(row, flags=tuple(flags)))
    first = group[0]
    return PrintedTable(
        paper=first.paper, source=first.source, title=first.title, dataset=first.dataset, direction=first.direction,
        numbers=tuple(dict.fromkeys(f.table for f in group if f.table)), pool_size=first.pool_size, pool_basis=first.pool_basis,
        secondary=first.secondary, rows=tuple(rows),
    )  # fmt: skip


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
    asked = f"{numbers[0]} queries" if len(numbers) == 1 else f"any one number of queries from {numbers[0]} to {numbers[-1]}"
    return [Flag(kind="grim", metrics=tuple(f.metric for f in odd), text=f"{_list(odd)}: not whole on {asked}")]


def monotone(row: PrintedRow) -> list[Flag]:
    """Recall@K must not fall as K grows."""
    pairs = zip(row.recalls, row.recalls[1:], strict=False)
    return [
        Flag(kind="monotone", metrics=(a.metric, b.metric), text=f"R@{k} {a.printed} is above R@{j} {b.printed}")
        for (k, a), (j, b) in pairs
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
    return [(a + 1, b, q - p) for (a, p), (b, q) in zip(edges, edges[1:], strict=False)]


def rising(row: PrintedRow) -> list[Flag]:
    """Neighbouring brackets in which the hits per rank rise by more than SIGMAS standard errors."""
    pool = next((f.pool_size for f in row.figures.values()), None)
    if pool is None:
        return []
    flags, spans = [], brackets(row)
    for (a, b, p), (c, d, q) in zip(spans, spans[1:], strict=False):
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
    odd = [(k, f) for k, f in row.recalls if f not in fits[best[0]]]
    return [
        Flag(
            kind="anchor",
            metrics=(f.metric,),
            text=f"R@{k} {f.printed}; the other cells fit a pool of {best[0]} to {best[-1]}, where it is {100 * k / best[len(best) // 2]:.2f}",
        )
        for k, f in odd
    ]


def one_set(row: PrintedRow, rows: list[PrintedRow]) -> list[Flag]:
    """Rows that are whole by themselves, for numbers of queries that the other rows do not share."""
    sets = [set(possible_queries(f for _, f in r.recalls)) for r in rows if not _is_random(r)]
    mine = possible_queries(f for _, f in row.recalls)
    sets = [found for found in sets if found]
    if _is_random(row) or not mine or len(mine) > 20 or not sets or set.intersection(*sets):
        return []
    return [Flag(kind="one_set", metrics=(), text=f"whole only on {_numbers(mine)} queries, which the other rows do not share")]


def _numbers(found: list[int]) -> str:
    return ", ".join(map(str, found[:3])) + (f" and {len(found) - 3} other numbers of" if len(found) > 3 else "")


def repeat(row: PrintedRow, rows: list[PrintedRow]) -> list[Flag]:
    """Another row with the same figures in at least three recalls, all above chance."""
    mine = {f.metric: f.printed for _, f in row.recalls}
    if len(mine) < 3 or any(flag.kind == "chance" for flag in chance(row)):
        return []
    return [
        Flag(kind="repeat", metrics=tuple(mine), text=f"equal to {other.system} {other.setting}".rstrip() + " in every recall")
        for other in rows
        if other is not row and {f.metric: f.printed for _, f in other.recalls} == mine
    ]


def between_tables(row: PrintedRow, everything: list[Figure]) -> list[Flag]:
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
