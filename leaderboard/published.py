"""The figures that the papers print, as rows of tables.

`published.jsonl` has one line a figure:
    paper, source     short name, and what the reader can look up
    table             number of the table in the paper; null where only a listing was seen
    line              line of the paper's text, as extracted, on which the figure stands; null where only a listing was seen
    title             our own name for the table; one title may join several printed tables (MVBind prints one a cut-off)
    dataset, system, setting, direction    as printed; direction is null where the paper does not say
    metric, printed, unit                  `printed` keeps the decimals of the paper: the audit needs them
    pool_size, pool_basis                  candidates ranked: 'stated', 'derived', 'assumed' or 'not stated'
    secondary         true when the figure was read from a listing and not from the paper
    caveat            written by hand: what the paper leaves open and what is assumed here; no reproach
    note              written by hand: a reason for doubt that no formula sees; says 'inference' where it is one
The flags are computed by leaderboard.audit, never typed. Users' own tables come as csv: leaderboard.printed_csv.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources

from svmbench.printed import Cell, Flag, Row

DERIVED_SPREAD = 0.1  # ours: a song-disjoint tenth of 16,217 clips in 1200 videos moves by about this share (three sigma)


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One printed figure; the fields are described at the top of this file."""

    paper: str
    source: str
    table: str | None
    line: int | None
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
    def cell(self) -> Cell:
        return Cell(self.metric, self.printed)

    @property
    def value(self) -> float:
        return self.cell.value

    @property
    def half_unit(self) -> float:
        return self.cell.half_unit

    @property
    def cutoff(self) -> int | None:
        return self.cell.cutoff


@dataclass(frozen=True, slots=True, kw_only=True)
class PrintedRow:
    """One system in one setting: its figures by metric, and what the audit found."""

    system: str
    setting: str
    figures: dict[str, Figure]
    flags: tuple[Flag, ...] = ()

    @property
    def row(self) -> Row:
        """What the shape tests read of it."""
        first = next(iter(self.figures.values()))
        spread = round(DERIVED_SPREAD * (first.pool_size or 0)) if first.pool_basis == "derived" else 0
        cells = {metric: f.cell for metric, f in self.figures.items()}
        return Row(system=self.system, setting=self.setting, cells=cells, pool=first.pool_size, spread=spread)


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
    """Figures grouped into tables and rows in the order of printing, without flags yet."""
    groups: dict[tuple[object, ...], list[Figure]] = {}
    for f in figures:
        groups.setdefault((f.paper, f.title, f.dataset, f.direction, f.pool_size), []).append(f)
    return [_table(group) for group in groups.values()]


def _table(group: list[Figure]) -> PrintedTable:
    by_row: dict[tuple[str, str], dict[str, Figure]] = {}
    for f in group:
        by_row.setdefault((f.system, f.setting), {})[f.metric] = f
    first = group[0]
    return PrintedTable(
        paper=first.paper, source=first.source, title=first.title, dataset=first.dataset, direction=first.direction,
        numbers=tuple(dict.fromkeys(f.table for f in group if f.table)), pool_size=first.pool_size, pool_basis=first.pool_basis,
        secondary=first.secondary,
        rows=tuple(PrintedRow(system=s, setting=t, figures=figures) for (s, t), figures in by_row.items()),
    )  # fmt: skip
