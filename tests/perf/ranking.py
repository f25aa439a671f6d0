"""Exact ranks beside the matrix product alone, torchmetrics and pytrec_eval: python tests/perf/ranking.py [items] [rounds].

CPU-seconds of one thread in one process, the least of several rounds; then the peak memory at 100,000 x 100,000, each size in a
process of its own, where only the first rows are walked through but all items are held.
"""

from __future__ import annotations

import os

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):  # read when numpy is imported
    os.environ[name] = "1"

import resource
import subprocess
import sys
import time
from collections.abc import Callable

import numpy as np
import pytrec_eval
import torch
from torchmetrics.functional.retrieval import retrieval_reciprocal_rank

from benchmarks import ranking, ranking_counts
from benchmarks.metrics import mrr
from benchmarks.ranking import rank, retrieve
from benchmarks.ranking_numpy import Products
from svmbench.records import V2M

DIM, PEER_QUERIES, LARGE, WALKED = 256, 200, 100_000, 4_080
NOISE = {"a good model": 4.0, "a model that knows nothing": 1e6}  # standard deviations of noise on the right music


def pairs(num: int, noise: float) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    music = rng.standard_normal((num, DIM), np.float32)
    video = music + np.float32(noise) * rng.standard_normal((num, DIM), np.float32)
    return tuple(x / np.linalg.norm(x, axis=1, keepdims=True) for x in (video, music))  # type: ignore[return-value]


def cpu_s(way: Callable[[], object]) -> float:
    began = time.process_time()
    way()
    return time.process_time() - began


def product(video: np.ndarray, music: np.ndarray, rows: int = 1024) -> None:
    """The fastest way found to compute all similarities and keep none."""
    out = np.empty((rows, len(music)), np.float32)
    for low in range(0, len(video), rows):
        part = video[low : low + rows]
        np.matmul(part, music.T, out=out[: len(part)])


def with_torchmetrics(sim_QG: np.ndarray) -> float:
    target = torch.zeros(sim_QG.shape[1], dtype=torch.bool)
    found = []
    for i, row in enumerate(sim_QG):
        target[i] = True
        found.append(float(retrieval_reciprocal_rank(torch.from_numpy(row), target)))
        target[i] = False
    return float(np.mean(found))


def with_pytrec_eval(sim_QG: np.ndarray) -> float:
    names = [f"d{i}" for i in range(sim_QG.shape[1])]
    found = []
    for i, row in enumerate(sim_QG):  # its dictionaries, query by query: all at once they do not fit into memory
        judge = pytrec_eval.RelevanceEvaluator({"q": {f"d{i}": 1}}, {"recip_rank"})
        found.append(judge.evaluate({"q": dict(zip(names, row.tolist(), strict=True))})["q"]["recip_rank"])
    return float(np.mean(found))


def speed(num: int, rounds: int) -> None:
    group = np.arange(num)
    for label, noise in NOISE.items():
        video, music = pairs(num, noise)
        ways: dict[str, Callable[[], object]] = {
            "the product alone": lambda v=video, m=music: product(v, m),
            "one direction": lambda v=video, m=music: rank(v, m, group, group),
            "both directions": lambda v=video, m=music: retrieve(v, m, group),
        }
        best = dict.fromkeys(ways, np.inf)
        for _ in range(rounds):
            for name, way in ways.items():
                best[name] = min(best[name], cpu_s(way))
        print(f"{num} x {num}, {DIM}-d, {label}:")
        for name, seconds in best.items():
            print(f"  {name:18s} {seconds:7.2f} CPU-s  {seconds / best['the product alone']:5.2f} x the product")
    video, music = pairs(num, NOISE["a good model"])
    sim_QG = video[:PEER_QUERIES] @ music.T
    of_ours = retrieve(video, music, group)[V2M]
    expected = float(mrr.values(of_ours)[:PEER_QUERIES].mean())
    for name, peer in (("torchmetrics", with_torchmetrics), ("pytrec_eval", with_pytrec_eval)):
        found: list[float] = []
        seconds = cpu_s(lambda peer=peer, found=found: found.append(peer(sim_QG))) * num / PEER_QUERIES
        print(f"  {name}, one metric of {PEER_QUERIES} queries, scaled: {seconds:7.0f} CPU-s, {seconds / best['one direction']:4.0f} x ours")
        if abs(found[0] - expected) > 1e-4:
            raise SystemExit(f"{name} finds another reciprocal rank: {found[0]} and not {expected}")


def memory(num: int) -> None:
    """Peak of this process; a source that hands out the tiles of the first WALKED rows only."""

    class Walk(Products):
        def tile(self, rows: slice, columns: slice) -> np.ndarray:
            return super().tile(slice(0, rows.stop - rows.start) if rows.start >= WALKED else rows, columns)

    video, music = pairs(num, NOISE["a good model"])
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
    ranking.Products = Walk  # type: ignore[misc]
    ranking_counts.blocks = lambda n, size, full=ranking_counts.blocks: full(min(n, WALKED) if size == ranking_counts.TILE[0] else n, size)  # type: ignore[assignment]
    retrieve(video, music, np.arange(num))
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
