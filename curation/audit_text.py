"""An audit for people: a table of what stands in several parts, and the first of those things by name."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from curation.audit import Audit, Shared

SHOWN, IDS_SHOWN = 10, 3  # ours: things a kind, and ids a part; the JSON has all


def lines(found: Audit, shown: int = SHOWN) -> Iterator[RenderableType]:
    """What to print, piece by piece. shown: things that are named, a kind."""
    yield Text(f"split of {found.source}")
    yield Text(", ".join(f"{part} {size}" for part, size in found.parts.items()) + f"; sha256 {found.sha256}")
    yield _table(found)
    for why in dict.fromkeys(kind.unchecked for kind in found.kinds if kind.unchecked):
        yield Text(f"not checked: {', '.join(kind.name for kind in found.kinds if kind.unchecked == why)} ({why})")
    for kind in found.kinds:
        for thing in kind.shared[:shown]:
            yield Text(f"{kind.name} {thing.value}: {_where(thing)}")
        if len(kind.shared) > shown:
            yield Text(f"{kind.name}: {len(kind.shared) - shown} more; --json lists all")
    for remark in found.remarks:
        yield Text(f"mind: {remark}")
    yield Text(found.line(), style="red" if found.leaks else "green")


def _table(found: Audit) -> Table:
    """A row a kind; for each two parts the pairs that share something, and for each part how much of it shares something."""
    several = list(combinations(found.parts, 2))
    table = Table("kind", "known of")
    for heading in ("shared", *(f"pairs {a}/{b}" for a, b in several), *(f"of {part}" for part in found.parts)):
        table.add_column(heading, justify="right")
    for kind in found.kinds:
        if not kind.unchecked:
            pairs = [str(kind.num_pairs(a, b)) for a, b in several]
            touched = [f"{n} ({n / size:.0%})" if (n := kind.touched(part)) else "0" for part, size in found.parts.items()]
            table.add_row(kind.name, str(kind.num_known), str(len(kind.shared)), *pairs, *touched)
    return table


def _where(thing: Shared) -> str:
    """'train a, b, c (+4); test d'."""
    said = []
    for part, ids in thing.ids.items():
        more = f" (+{len(ids) - IDS_SHOWN})" if len(ids) > IDS_SHOWN else ""
        said.append(f"{part} {', '.join(ids[:IDS_SHOWN])}{more}")
    return "; ".join(said)
