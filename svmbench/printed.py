"""A printed row of retrieval figures as plain data, and what a test says of it. svmbench.shapes has the tests."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Cell:
    """One figure. metric: 'recall@K' (percent), 'median_rank', 'mean_rank', 'mrr' (0 to 1) or another name, of which nothing is
    asked. printed: with the decimals that were printed; grim and the roundings need them."""

    metric: str
    printed: str

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
class Row:
    """Figures of one system, in one setting and direction, on one pool.

    pool: candidates ranked, None where unknown. spread: how far the number of queries may lie from the pool, as the pool was
    derived and not stated.
    """

    system: str
    setting: str
    cells: Mapping[str, Cell]
    pool: int | None
    spread: int = 0

    @property
    def name(self) -> str:
        return f"{self.system} {self.setting}".rstrip()

    @property
    def is_random(self) -> bool:
        """A row that the table gives as random ranking."""
        return self.system.lower() in ("random", "chance")

    @property
    def recalls(self) -> list[tuple[int, Cell]]:
        """(K, cell), by growing K."""
        return sorted(((c.cutoff, c) for c in self.cells.values() if c.cutoff is not None), key=lambda pair: pair[0])

    @property
    def queries(self) -> range:
        """The numbers of queries that are possible; empty where the pool is unknown."""
        return range(max(1, self.pool - self.spread), self.pool + self.spread + 1) if self.pool else range(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Flag:
    """One finding: its kind (the name of a test), the metrics concerned, and one sentence with the numbers."""

    kind: str
    metrics: tuple[str, ...]
    text: str
