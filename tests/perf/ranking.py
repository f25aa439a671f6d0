"""Exact ranks beside the matrix product alone, torchmetrics and pytrec_eval: python tests/perf/ranking.py [items [rounds [s]]].

CPU-seconds of one thread in one process, the least of several rounds; then the peak memory, also at 100,000 x 100,000, each size
in a process of its own that is stopped after s CPU-seconds (30; with 1000 the large one runs to its end).
"""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable

import numpy as np
import pytrec_eval
import torch
from threadpoolctl import threadpool_limits
from torchmetrics.retrieval import RetrievalMRR

from benchmarks.metrics import mrr
from benchmarks.ranking import rank, retrieve
from svmbench.records import V2M

DIM, PEER_QUERIES, LARGE = 256, 200, 100_000
NOISE = {"a good model": 4.0, "a model that knows nothing": 1e6}  # standard deviations of noise on the right music


def pairs(num: int, noise: float) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    music = rng.standard_normal((num, DIM), np.float32)
    video = music + np.float32(noise) * rng.standard_normal((num, DIM), np.float32)
    for x in (video, music):
        x /= np.linalg.norm(x, axis=1, keepdims=True)
    return video, music


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
    query_QG = torch.arange(len(sim_QG))[:, None].expand(sim_QG.shape)
    right_QG = torch.zeros(sim_QG.shape, dtype=torch.bool)
    right_QG.diagonal()[:] = True
    return float(RetrievalMRR()(torch.from_numpy(sim_QG).ravel(), right_QG.ravel(), indexes=query_QG.reshape(-1)))


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
        gain = seconds / best["one direction"]  # of a model that knows nothing, the slower of the two
        print(f"  {name}, one metric of {PEER_QUERIES} queries, scaled: {seconds:.0f} CPU-s, {gain:.0f} x ours")
        if abs(found[0] - expected) > 1e-4:
            raise SystemExit(f"{name} finds another reciprocal rank: {found[0]} and not {expected}")


def memory(num: int, seconds: float) -> None:
    """Peak of this process while it ranks; after so many CPU-seconds it stops: all it holds has been allocated long before."""

    def tell(*_: object) -> None:
        print(f"{num} x {num}: peak {before} MB before, {peak_mb()} MB in {time.process_time() - began:.0f} CPU-s", flush=True)
        os._exit(0)

    video, music = pairs(num, NOISE["a good model"])
    before, began = peak_mb(), time.process_time()
    signal.signal(signal.SIGPROF, tell)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    retrieve(video, music, np.arange(num))
    tell()


def peak_mb() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def main(num: int = 20_000, rounds: int = 3, memory_s: int = 30) -> None:
    torch.set_num_threads(1)
    speed(num, rounds)
    for large in (num, LARGE):
        subprocess.run([sys.executable, __file__, "memory", str(large), str(memory_s)], check=True)


if __name__ == "__main__":
    with threadpool_limits(1):
        if sys.argv[1:2] == ["memory"]:
            memory(int(sys.argv[2]), float(sys.argv[3]))
        else:
            main(*map(int, sys.argv[1:]))
