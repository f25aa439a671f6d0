"""Exact ranks by counting against sorting, side by side in one process: python tests/perf/ranking.py [gallery] [queries].

Prints CPU-seconds and ratios; the matrix product alone is 1. Both must give the same ranks.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

import numpy as np
import torch

from benchmarks.ranking import rank

DIM, ROUNDS, BLOCK = 256, 3, 512


def main(gallery: int = 20_000, queries: int = 2_048) -> None:
    torch.set_num_threads(1)
    rng = np.random.default_rng(0)
    music = rng.normal(size=(gallery, DIM)).astype(np.float32)
    video = music[:queries] + 1.2 * rng.normal(size=(queries, DIM)).astype(np.float32)
    group, own = np.arange(gallery), np.arange(queries)

    def product() -> None:
        for low in range(0, queries, BLOCK):
            video[low : low + BLOCK] @ music.T

    def counting() -> np.ndarray:
        return rank(video, music, own, group, block_rows=BLOCK).expected()

    def sorting() -> np.ndarray:
        places = []
        for low in range(0, queries, BLOCK):
            order = np.argsort(-(video[low : low + BLOCK] @ music.T), axis=1)
            places.append((order == own[low : low + BLOCK, None]).argmax(axis=1) + 1)
        return np.concatenate(places)

    best: dict[str, float] = {}
    ways: tuple[Callable[[], object], ...] = (product, counting, sorting)
    for _ in range(ROUNDS):
        for way in ways:
            began = time.process_time()
            way()
            best[way.__name__] = min(best.get(way.__name__, np.inf), time.process_time() - began)
    if not np.array_equal(counting(), sorting()):
        raise SystemExit("counting and sorting disagree")
    for name, seconds in best.items():
        print(f"{name:9s} {seconds:6.2f} CPU-s  {seconds / best['product']:5.2f} x the matrix product")
    gain = best["sorting"] / best["counting"]
    print(f"counting is {gain:.1f} x faster than sorting; gallery {gallery}, queries {queries}, {DIM}-d")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
