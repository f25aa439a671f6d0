"""The shape tests on every row of the papers' tables, and what only a paper's tables can show. No finding is typed by hand.

The arithmetic stands in svmbench.shapes; here rows meet the other tables of their paper, and the doubts that were written down.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache

from leaderboard.published import Figure, PrintedRow, PrintedTable, load, tables
from svmbench import shapes
from svmbench.printed import Flag


def audit(printed: Sequence[PrintedTable]) -> list[PrintedTable]:
    """The tables with the flags of all audits in their rows."""
    figures = [f for table in printed for row in table.rows for f in row.figures.values()]
    return [replace(table, rows=tuple(_flagged(table, figures))) for table in printed]


@lru_cache
def shipped() -> tuple[PrintedTable, ...]:
    """The published figures that ship with svmbench, audited."""
    return tuple(audit(tables(load())))


def _flagged(table: PrintedTable, figures: Sequence[Figure]) -> list[PrintedRow]:
    rows = [row.row for row in table.rows]
    return [
        replace(printed, flags=(*shapes.flags(row, rows), *between_tables(printed, figures), *suspect(printed)))
        for printed, row in zip(table.rows, rows, strict=True)
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
