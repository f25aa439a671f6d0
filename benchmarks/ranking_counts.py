"""Counting in blocks: how many candidates are more similar than each positive, and how many exactly as similar.

Axes: R rows (one side's items), C columns (the other's), P pairs that belong together. The matrix of similarities sim_RC is never
held: it comes tile by tile from a source. A column's candidates are all rows, a row's candidates are all columns.

A product of matrices in float32 is not the same at each place of the matrix: the last bits of a dot product depend on where it
stands, on the library, the machine and the number of threads. Compared as they come, two equal candidates would not tie, and
the score of a collapsed model would depend on the order of the data. So a similarity is the dot product in float64, rounded to
float32. A tile decides all comparisons but those within the bound of its rounding errors, and these few are worked out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]
Array = Any  # a numpy array or a torch tensor, as the kernel has them
LANES = 255  # what a byte can count to
TILE = (4 * LANES, 8 * LANES)  # rows and columns of a tile that numpy counts: 8 MB, which a cache can hold; ours
MANY = 32  # where more than one entry in so many is in doubt, a tile is done anew in float64; ours: either takes as long


class Source(Protocol):
    """Similarities of sorted rows and columns."""

    tile_shape: tuple[int, int]
    row_slack: Floats  # (R,), (C,): bounds on |tile - similarity| over a row, over a column; all 0 where a tile is exact
    column_slack: Floats

    def tile(self, rows: slice, columns: slice) -> Array:
        """About the similarities of these items (R, C), float32; valid until the next call."""

    def exact_tile(self, rows: slice, columns: slice) -> Array:
        """The similarities themselves."""

    def of_pairs(self, row_P: Ints, column_P: Ints) -> Floats:
        """The similarity of each pair (P,)."""


class Counter(Protocol):
    """Comparisons with a tile, on the device where it is."""

    def count(self, tile_RC: Array, low: Array, high: Array, axis: int) -> tuple[Array, Array]:
        """How many entries of each column (axis 0) or row (axis 1) are above `high`, and how many from `low` to `high`."""

    def within(self, tile_RC: Array, low: Array, high: Array, near: Array, axis: int) -> tuple[Ints, Ints]:
        """Rows and columns of the entries from `low` to `high`, of which there are `near` in each column or row."""

    def put(self, values: npt.NDArray[Any]) -> Array:
        """To the device."""

    def get(self, values: Array) -> npt.NDArray[Any]:
        """Back from it."""


@dataclass(frozen=True)
class Plan:
    """Rows and columns sorted by group, and the pairs in order of the rows.

    row_order (R,), column_order (C,): original index of each sorted item. num_columns (R,), num_rows (C,): partners of each item,
    falling along each axis. row_P, column_P: sorted row and column of each pair; column_place, row_place: that column's place
    among the row's partners, and that row's among the column's, from 0.
    """

    row_order: Ints
    column_order: Ints
    num_columns: Ints
    num_rows: Ints
    row_P: Ints
    column_P: Ints
    column_place: Ints
    row_place: Ints

    @classmethod
    def of(cls, row_group: Ints, column_group: Ints) -> Plan:
        """Groups with many rows first. num_columns falls too when each group has one column, or as many as it has rows."""
        group = np.unique(np.concatenate([row_group, column_group]), return_inverse=True)[1]
        row, column = group[: len(row_group)], group[len(row_group) :]
        size = int(group.max(initial=-1)) + 1
        place_G = np.argsort(np.argsort(-np.bincount(row, minlength=size), kind="stable"))
        row, column = place_G[row], place_G[column]  # from here on a group's number is its place
        rows_G, columns_G = np.bincount(row, minlength=size), np.bincount(column, minlength=size)
        row_order, column_order = np.argsort(row, kind="stable"), np.argsort(column, kind="stable")
        num_columns = columns_G[row[row_order]]
        row_P = np.repeat(np.arange(len(row)), num_columns)
        column_place = np.arange(len(row_P)) - np.repeat(np.cumsum(num_columns) - num_columns, num_columns)
        group_P = row[row_order][row_P]
        column_P = (np.cumsum(columns_G) - columns_G)[group_P] + column_place
        row_place = row_P - (np.cumsum(rows_G) - rows_G)[group_P]
        num_rows = rows_G[column[column_order]]
        return cls(row_order, column_order, num_columns, num_rows, row_P, column_P, column_place, row_place)

    def pairs_in(self, rows: slice, columns: slice) -> Ints:
        """The pairs that lie in a tile."""
        own = np.arange(*np.searchsorted(self.row_P, [rows.start, rows.stop]))
        column_P = self.column_P[own]
        return np.asarray(own[(column_P >= columns.start) & (column_P < columns.stop)])


class Layers:
    """The pairs as seen from one axis, and their counts. Layer j holds the j-th partner of each item that has more than j.

    As the numbers of partners fall, a layer's items are the first width[j], so a tile and a layer meet in one slice. at (P,):
    where each pair stands in the arrays over layers, in which layer j begins at start[j].
    """

    def __init__(self, source: Source, counter: Counter, plan: Plan, axis: int, sim_P: Floats) -> None:
        self.source, self.counter, self.axis = source, counter, axis
        num_partners = plan.num_rows if axis == 0 else plan.num_columns
        slack = source.column_slack if axis == 0 else source.row_slack
        self.item_P, place_P = (plan.column_P, plan.row_place) if axis == 0 else (plan.row_P, plan.column_place)
        self.width = np.searchsorted(-num_partners, -np.arange(int(num_partners.max(initial=0))), "left")
        self.start = np.cumsum(self.width) - self.width
        self.at = self.start[place_P] + self.item_P
        sim, slack_L = np.empty_like(sim_P), np.empty_like(sim_P)
        sim[self.at], slack_L[self.at] = sim_P, slack[self.item_P]
        self.sure = not slack.any()
        self.host_sim = sim
        self.sim, self.low, self.high = (counter.put(x) for x in (sim, sim - slack_L, sim + slack_L))
        self.above, self.level = (counter.put(np.zeros(len(sim), np.int64)) for _ in range(2))
        self.more_above, self.more_level = np.zeros(len(sim), np.int64), np.zeros(len(sim), np.int64)

    def add(self, tile_RC: Array, exact: Callable[[], Array], rows: slice, columns: slice) -> None:
        """Counts one tile. exact: gives the same tile in full precision."""
        items = columns if self.axis == 0 else rows
        for width, start in zip(self.width.tolist(), self.start.tolist(), strict=True):
            num = min(items.stop, width) - items.start
            if num <= 0:
                break
            own = slice(start + items.start, start + items.start + num)
            part = self._first(tile_RC, num)
            above, near = self.counter.count(part, self.low[own], self.high[own], self.axis)
            in_doubt = 0 if self.sure else int(near.sum())
            if in_doubt * MANY > part.shape[0] * part.shape[1]:
                above, near = self.counter.count(self._first(exact(), num), self.sim[own], self.sim[own], self.axis)
            elif in_doubt:
                self._work_out(part, own, near, rows.start, columns.start)
                near = 0
            self.above[own] += above
            self.level[own] += near

    def _first(self, tile_RC: Array, num: int) -> Array:
        return tile_RC[:, :num] if self.axis == 0 else tile_RC[:num]

    def _work_out(self, part_RC: Array, own: slice, near: Array, first_row: int, first_column: int) -> None:
        """The comparisons that the tile leaves in doubt, one by one."""
        row, column = self.counter.within(part_RC, self.low[own], self.high[own], near, self.axis)
        sim = self.source.of_pairs(row + first_row, column + first_column)
        item = (column if self.axis == 0 else row) + own.start
        limit = self.host_sim[item]
        np.add.at(self.more_above, item, sim > limit)
        np.add.at(self.more_level, item, sim == limit)

    def counts(self) -> tuple[Ints, Ints]:
        """Above and level of each pair, in the plan's order (P,)."""
        above, level = self.counter.get(self.above), self.counter.get(self.level)
        return (above + self.more_above)[self.at], (level + self.more_level)[self.at]


def blocks(num: int, size: int) -> Iterator[slice]:
    """0 ... num in slices of at most `size`."""
    return (slice(low, min(low + size, num)) for low in range(0, num, size))


def count(source: Source, counter: Counter, plan: Plan, axes: tuple[int, ...]) -> list[Layers]:
    """Counts for the columns (axis 0), the rows (axis 1) or both, from one pass over the tiles."""
    sim_P = source.of_pairs(plan.row_P, plan.column_P)
    layers = [Layers(source, counter, plan, axis, sim_P) for axis in axes]
    for rows in blocks(len(plan.row_order), source.tile_shape[0]):
        for columns in blocks(len(plan.column_order), source.tile_shape[1]):
            tile_RC = source.tile(rows, columns)
            exact = cache(lambda rows=rows, columns=columns: source.exact_tile(rows, columns))
            for layer in layers:
                layer.add(tile_RC, exact, rows, columns)
    return layers
