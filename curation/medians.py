"""The running median of many rows at once, exact, from nothing but minima and maxima of whole arrays.

Neighbouring windows share most of their values. So half a window's length of outputs, a tile, is treated together: the values
that all of its windows see are sorted once; then the tile is halved again and again, and each half merges in what only its own
windows see. Of every merge no more is kept than can still become the median (Adams 2021, Fast median filters using separable
sorting networks, here in one dimension). About 30 operations an output at 31 neighbours, where sorting takes 300.

Axes: K sorted values, P places in a tile (or blocks of places), S tiles, F columns beside each other, T places along the filter.
"""

from __future__ import annotations

import numpy as np

CACHED = 8192  # ours: values of S x F that are treated together, so that those at work stay in the processor's cache


def running_median(values: np.ndarray, size: int, axis: int = -1) -> np.ndarray:
    """Median over `size` neighbours (a power of two less one) along one axis of a 2-D array without NaN, edges mirrored.

    Equal to scipy.ndimage.median_filter along that axis.
    """
    if size < 3 or size & (size + 1):
        raise ValueError(f"the median runs over a power of two less one, not {size}")
    values_TF = np.moveaxis(values, axis, 0)
    tile = (size + 1) // 2
    num_tiles = -(-len(values_TF) // tile)
    mirrored = np.pad(np.arange(len(values_TF)), tile - 1, mode="symmetric")
    places_PS = np.pad(mirrored, (1, (num_tiles + 2) * tile - 1 - len(mirrored))).reshape(-1, tile).T
    medians = np.empty_like(values)
    medians_TF = np.moveaxis(medians, axis, 0)
    width = max(1, CACHED // (num_tiles + 2))
    for left in range(0, values_TF.shape[1], width):
        part_TF = medians_TF[:, left : left + width]
        found_PSF = _tiles(np.ascontiguousarray(values_TF[:, left : left + width])[places_PS])
        part_TF[:] = found_PSF.swapaxes(0, 1).reshape(-1, part_TF.shape[1])[: len(part_TF)]
    return medians


def _tiles(values_PSF: np.ndarray) -> np.ndarray:
    """The medians of all tiles but the first and the last, (P, S - 2, F); windows begin one place after the tile before."""
    blocks = [values_PSF[None]]  # at [n], (K, P, S, F): all blocks of 2 ** n places, sorted
    while len(blocks[-1]) < len(values_PSF):
        blocks.append(_sorted(np.concatenate([blocks[-1][:, ::2], blocks[-1][::-1, 1::2]])))
    shared = blocks.pop()[:, :, 1:-1]  # what the windows of each part of a tile share, as far as it can still become the median
    for added in blocks[::-1]:
        half = len(added)
        upper = np.empty((half, shared.shape[1], 2, *shared.shape[2:]), values_PSF.dtype)  # the parts are halved
        np.maximum(shared[:half], added[::-1, 1::2, :-2], out=upper[:, :, 0])
        np.maximum(shared[:half], added[::-1, ::2, 2:], out=upper[:, :, 1])
        upper = _sorted(upper)
        np.minimum(upper, shared[: half - 1 : -1, :, None], out=upper)
        shared = _sorted(upper).reshape(half, -1, *shared.shape[2:])
    return np.asarray(shared[0])


def _sorted(bitonic: np.ndarray) -> np.ndarray:
    """Sorts along axis 0, a power of two long, what rises and then falls there, or the other way round."""
    half = len(bitonic) // 2
    while half:
        pairs = bitonic.reshape(-1, 2, half, *bitonic.shape[1:])
        ordered = np.empty_like(pairs)
        np.minimum(pairs[:, 0], pairs[:, 1], out=ordered[:, 0])
        np.maximum(pairs[:, 0], pairs[:, 1], out=ordered[:, 1])
        bitonic = ordered.reshape(bitonic.shape)
        half //= 2
    return bitonic
