"""Counting with numpy (benchmarks.ranking_counts), and two sources: embeddings, and the scores of a cross-encoder.

Axes: R rows, C columns, D embedding, P pairs, B block.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.ranking_counts import LANES, TILE, Floats, Ints, Plan, blocks
from svmbench.errors import BadScores

PAIRS = 4096  # worked out at once, 16 MB at 512-d; ours


def rounding(row_RD: Floats, column_CD: Floats) -> tuple[Floats, Floats]:
    """Bounds on the error of a float32 dot product, of a row with any column (R,) and of a column with any row (C,).

    In any order of summing it is at most D u / (1 - D u) |q| |g| with u = 2^-24 (Higham, Accuracy and Stability of Numerical
    Algorithms, 3.1); 4 u |q| |g| more for the roundings of the similarity and of the limits around it.
    """
    unit, terms = 2.0**-24, row_RD.shape[1]
    bound = terms * unit / (1 - terms * unit) + 4 * unit
    length_R, length_C = (np.sqrt(np.einsum("nd,nd->n", x, x, dtype=np.float64)) for x in (row_RD, column_CD))
    longest_R, longest_C = length_R.max(initial=0), length_C.max(initial=0)
    return (bound * length_R * longest_C).astype(np.float32), (bound * length_C * longest_R).astype(np.float32)


def dot(left_PD: Floats, right_PD: Floats) -> Floats:
    """Similarity of each pair: summed in float64, rounded to float32 (P,)."""
    return np.asarray(np.einsum("pd,pd->p", left_PD, right_PD, dtype=np.float64), dtype=np.float32)


class NumpyCounter:
    """A ranking_counts.Counter: comparisons into a small buffer of bytes, added up as bytes, eight to a word along a row."""

    def __init__(self) -> None:
        self.flags = np.zeros(0, np.uint8)

    def count(self, tile_RC: Floats, low: Floats, high: Floats, axis: int) -> tuple[Ints, Ints]:
        """As Counter.count."""
        above, from_low = np.zeros(len(low), np.int64), np.zeros(len(low), np.int64)
        for rows in blocks(tile_RC.shape[0], LANES):
            if axis == 0:
                self._columns(tile_RC[rows], low, high, above, from_low)
                continue
            for columns in blocks(tile_RC.shape[1], 8 * LANES):
                self._rows(tile_RC[rows, columns], low[rows], high[rows], above[rows], from_low[rows])
        return above, from_low - above

    def within(self, tile_RC: Floats, low: Floats, high: Floats, near: Ints, axis: int) -> tuple[Ints, Ints]:
        """As Counter.within. Only the columns or rows that have such entries are looked at, unless most have."""
        some = np.flatnonzero(near) if np.count_nonzero(near) * 4 < len(near) else np.arange(len(near))
        part = tile_RC if len(some) == len(near) else tile_RC[:, some] if axis == 0 else tile_RC[some]
        low, high = np.expand_dims(low[some], axis), np.expand_dims(high[some], axis)
        first, second = np.divmod(np.flatnonzero((part >= low) & (part <= high)), max(1, part.shape[1]))
        return (first, some[second]) if axis == 0 else (some[first], second)

    def put(self, values: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """As it is."""
        return values

    def get(self, values: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """As it is."""
        return values

    def _columns(self, part_RC: Floats, low: Floats, high: Floats, above: Ints, from_low: Ints) -> None:
        flags = self._bytes(*part_RC.shape)
        for compare, limit, total in ((np.greater, high, above), (np.greater_equal, low, from_low)):
            compare(part_RC, limit, out=flags.view(np.bool_))
            total += np.add.reduce(flags, axis=0, dtype=np.uint8)

    def _rows(self, part_RC: Floats, low: Floats, high: Floats, above: Ints, from_low: Ints) -> None:
        num, width = part_RC.shape
        flags = self._bytes(num, -(-width // 8) * 8)
        flags[:, width:] = 0
        for compare, limit, total in ((np.greater, high, above), (np.greater_equal, low, from_low)):
            compare(part_RC, limit[:, None], out=flags[:, :width].view(np.bool_))
            lanes = np.add.reduce(flags.view(np.uint64), axis=1)  # no lane overflows: at most LANES words
            total += np.add.reduce(lanes.view(np.uint8).reshape(num, 8), axis=1, dtype=np.int64)

    def _bytes(self, num: int, width: int) -> npt.NDArray[np.uint8]:
        if len(self.flags) < num * width:
            self.flags = np.empty(num * width, np.uint8)
        return self.flags[: num * width].reshape(num, width)


class Products:
    """A ranking_counts.Source: dot products of embeddings, tiles by matrix product in float32."""

    def __init__(self, row_RD: Floats, column_CD: Floats, tile_shape: tuple[int, int] = TILE) -> None:
        self.row_RD, self.column_CD, self.tile_shape = row_RD, column_CD, tile_shape
        self.row_slack, self.column_slack = rounding(row_RD, column_CD)
        self.buffer = np.zeros(0, np.float32)

    def tile(self, rows: slice, columns: slice) -> Floats:
        """As Source.tile; into one buffer that is used again."""
        left, right = self.row_RD[rows], self.column_CD[columns]
        size = len(left) * len(right)
        if len(self.buffer) < size:
            self.buffer = np.empty(size, np.float32)
        return np.matmul(left, right.T, out=self.buffer[:size].reshape(len(left), len(right)))

    def exact_tile(self, rows: slice, columns: slice) -> Floats:
        """As Source.exact_tile. The last bits of float64 depend on the place too; rounding to float32 takes them away."""
        product = self.row_RD[rows].astype(np.float64) @ self.column_CD[columns].T.astype(np.float64)
        return np.asarray(product, dtype=np.float32)

    def of_pairs(self, row_P: Ints, column_P: Ints) -> Floats:
        """As Source.of_pairs."""
        found = np.empty(len(row_P), np.float32)
        for own in blocks(len(row_P), PAIRS):
            found[own] = dot(self.row_RD[row_P[own]], self.column_CD[column_P[own]])
        return found


class Scores:
    """A ranking_counts.Source: blocks of scores as a function gives them. Exact, if it gives the same block twice.

    The scores of the pairs come from the tiles in which they lie, so these are computed twice. BadScores: with another result.
    """

    def __init__(self, block: Callable[[slice, slice], Floats], plan: Plan, tile_shape: tuple[int, int]) -> None:
        self.block, self.plan, self.tile_shape = block, plan, tile_shape
        self.row_slack, self.column_slack = (
            np.zeros(len(plan.row_order), np.float32),
            np.zeros(len(plan.column_order), np.float32),
        )
        self.known = np.zeros(len(plan.row_P), np.float32)

    def of_pairs(self, row_P: Ints, column_P: Ints) -> Floats:
        """As Source.of_pairs, for the pairs of the plan."""
        for rows in blocks(len(self.row_slack), self.tile_shape[0]):
            for columns in blocks(len(self.column_slack), self.tile_shape[1]):
                own = self.plan.pairs_in(rows, columns)
                if len(own):
                    self.known[own] = self.block(rows, columns)[row_P[own] - rows.start, column_P[own] - columns.start]
        return self.known

    def tile(self, rows: slice, columns: slice) -> Floats:
        """As Source.tile."""
        found, own = self.block(rows, columns), self.plan.pairs_in(rows, columns)
        again = found[self.plan.row_P[own] - rows.start, self.plan.column_P[own] - columns.start]
        if not np.array_equal(again, self.known[own]):
            raise BadScores("score() gave other values when asked for the same block again; is the model in eval mode?")
        return found

    exact_tile = tile
