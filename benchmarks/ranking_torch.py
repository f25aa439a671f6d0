"""Counting with torch (benchmarks.ranking_counts): for a GPU. Tiles are float32 products with TF32 off, whatever is set.

Axes: R rows, C columns, D embedding, P pairs.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from benchmarks.ranking_counts import Floats, Ints
from benchmarks.ranking_numpy import Products

TILE = (8192, 8192)  # 256 MB of similarities, 64 MB of comparisons; ours


class TorchCounter:
    """A ranking_counts.Counter on one device."""

    def __init__(self, device: str) -> None:
        self.device = torch.device(device)

    def count(self, tile_RC: torch.Tensor, low: torch.Tensor, high: torch.Tensor, axis: int) -> tuple[torch.Tensor, torch.Tensor]:
        """As Counter.count."""
        above = (tile_RC > high.unsqueeze(axis)).sum(axis)
        return above, (tile_RC >= low.unsqueeze(axis)).sum(axis) - above

    def within(
        self, tile_RC: torch.Tensor, low: torch.Tensor, high: torch.Tensor, near: torch.Tensor, axis: int
    ) -> tuple[Ints, Ints]:
        """As Counter.within."""
        some = torch.nonzero(near).ravel()
        part = tile_RC.index_select(1 - axis, some)
        found = (part >= low[some].unsqueeze(axis)) & (part <= high[some].unsqueeze(axis))
        row, column = torch.nonzero(found, as_tuple=True)
        return (self.get(row), self.get(some[column])) if axis == 0 else (self.get(some[row]), self.get(column))

    def put(self, values: npt.NDArray[Any]) -> torch.Tensor:
        """As Counter.put."""
        return torch.tensor(values, device=self.device)

    def get(self, values: torch.Tensor) -> npt.NDArray[Any]:
        """As Counter.get."""
        return np.asarray(values.cpu().numpy())


class TorchProducts:
    """A ranking_counts.Source: as Products, with the tiles computed on a device. Single pairs are worked out on the CPU."""

    def __init__(self, row_RD: Floats, column_CD: Floats, device: str, tile_shape: tuple[int, int] = TILE) -> None:
        self.tile_shape = tile_shape
        on_cpu = Products(row_RD, column_CD)
        self.row_slack, self.column_slack, self.of_pairs = on_cpu.row_slack, on_cpu.column_slack, on_cpu.of_pairs
        self.row_RD, self.column_CD = (torch.tensor(x, device=device) for x in (row_RD, column_CD))

    def tile(self, rows: slice, columns: slice) -> torch.Tensor:
        """As Source.tile."""
        with full_float32():
            return self.row_RD[rows] @ self.column_CD[columns].T

    def exact_tile(self, rows: slice, columns: slice) -> torch.Tensor:
        """As Source.exact_tile."""
        return (self.row_RD[rows].double() @ self.column_CD[columns].double().T).float()


@contextmanager
def full_float32() -> Iterator[None]:
    """Products of float32 in float32; the setting is put back afterwards. The name of the setting changed in torch 2.9."""
    matmul = torch.backends.cuda.matmul
    name, exact = ("fp32_precision", "ieee") if hasattr(matmul, "fp32_precision") else ("allow_tf32", False)
    before = getattr(matmul, name)
    setattr(matmul, name, exact)
    try:
        yield
    finally:
        setattr(matmul, name, before)
