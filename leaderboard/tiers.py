"""The tiers of a run: which rows its paired tests cannot tell apart. They are read here and made where the tests are made.

A tier is a statement about one set of rows: rows of another run would change the tests, their adjustment and the tiers. So a
table has tiers only where all of its rows come from one run.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from leaderboard.table import HEADLINE, Key, Table, Tier
from svmbench.store import RunFolder


def with_tiers(board: Table, runs: Sequence[RunFolder]) -> Table:
    """The table with the tiers of its run; as it is where its rows come from several runs, or the run has no tiers.

    runs: those that have scores in this table.
    """
    if len({run.path.resolve() for run in runs}) != 1:
        return board
    found = read_tiers(runs[0], board.key)
    return replace(board, rows=tuple(replace(row, tier=found.get(f"{row.baseline} {row.variant}")) for row in board.rows))


def read_tiers(run: RunFolder, key: Key) -> dict[str, Tier]:
    """The tiers on the headline metric by 'baseline variant'; empty where the run has none, as those of older versions."""
    rows = run.read_table("tiers")
    wanted = (key.split, key.direction, HEADLINE)
    return {
        r["name"]: Tier(number=r["tier"], anchor=r["anchor"], p_holm=r["p_holm"], reason=r["reason"] or "")
        for r in ([] if rows is None else rows.to_pylist())
        if (r["split"], r["direction"], r["metric"]) == wanted
    }
