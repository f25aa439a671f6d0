"""An array that grows without being copied, for what is collected while a file is decoded.

Memory that no row has touched is not taken from the machine, so a block may be laid out for the longest clip. A block that turns
out too small is extended in place by the C library, and one that is closed gives the rest back; neither holds it twice.
"""

from __future__ import annotations

import numpy as np

FIRST_BYTES = 2**28  # ours: a block is laid out for at most this much before its first row
GROWTH = 1.25  # ours


class Growing:
    """Rows of one shape and dtype. rows: how many are likely; more may come."""

    def __init__(self, rows: int, shape: tuple[int, ...], dtype: type) -> None:
        size = int(np.prod(shape, dtype=np.int64)) * np.dtype(dtype).itemsize
        self._rows: np.ndarray = np.empty((max(1, min(rows, FIRST_BYTES // max(1, size))), *shape), dtype)

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one row."""
        return self._rows.shape[1:]

    def put(self, at: int, rows: np.ndarray) -> None:
        """Writes rows from `at` on."""
        end = at + len(rows)
        if end > len(self._rows):
            # no view of the block is handed out before it is closed, so nothing else can point into it
            self._rows.resize((max(end, int(len(self._rows) * GROWTH)), *self.shape), refcheck=False)
        self._rows[at:end] = rows

    def choose(self, indices: np.ndarray) -> None:
        """Moves the rows at these rising indices to the front."""
        for to, origin in enumerate(indices):
            if to != origin:
                self._rows[to] = self._rows[origin]

    def closed(self, length: int) -> np.ndarray:
        """The first rows, and nothing more kept of the rest; the block is not written to after that."""
        self._rows.resize((length, *self.shape), refcheck=False)
        return self._rows
