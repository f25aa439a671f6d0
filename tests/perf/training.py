"""Our training loop against a file an item and a DataLoader: python tests/perf/training.py [pairs] [epochs].

Both train the same two-tower model with the same initial weights, the same orders and AdamW; their losses must agree. The peer is
what a careful person writes in plain PyTorch: one .npz file a pair, a Dataset, a DataLoader, fused AdamW, loss.item() once an
epoch. CPU-seconds a fit, children included; on one thread. Ours counts the reading of its packed arrays, not their packing. The
second head is the counter-example: where arithmetic is most of the work, no loop can make it much faster.
"""

from __future__ import annotations

import resource
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn import functional
from torch.utils.data import DataLoader, Dataset, Sampler

from benchmarks import train as training
from benchmarks.baselines.mvbind import info_nce
from benchmarks.inputs import Inputs, Pairs
from benchmarks.losses import same_song
from benchmarks.towers import TwoTower, generator, linear

BATCH, TEMPERATURE, LR, SEEDS = 256, 0.07, 1e-3, (0, 1, 2, 3, 4)
HEADS = {
    "512 + 128 inputs, hidden 128, 128-d": (512, 128, 128, 128),
    "1024 + 1024 inputs, hidden 512, 256-d": (1024, 1024, 512, 256),
}
Sizes = tuple[int, int, int, int]


def build(sizes: Sizes, seed: int) -> TwoTower:
    num_video, num_music, hidden, dim = sizes
    init = generator(seed)
    towers = (nn.Sequential(linear(n, hidden, init), nn.ReLU(), linear(hidden, dim, init)) for n in (num_video, num_music))
    return TwoTower(*towers)


class Files(Dataset[tuple[torch.Tensor, torch.Tensor]]):
    """One file a pair; or, in memory, a row of two arrays."""

    def __init__(self, folder: Path, num: int, in_memory: bool) -> None:
        self.folder, self.num = folder, num
        sides = ("video", "music") if in_memory else ()
        self.rows = [torch.from_numpy(np.load(folder / f"{side}.npy")) for side in sides]

    def __len__(self) -> int:
        return self.num

    def __getitem__(self, index: int) -> tuple[torch.Tensor, torch.Tensor]:
        if self.rows:
            return self.rows[0][index], self.rows[1][index]
        with np.load(self.folder / f"{index}.npz") as pair:
            return torch.from_numpy(pair["video"]), torch.from_numpy(pair["music"])


class Order(Sampler[int]):
    """The orders that our loop draws for a seed."""

    def __init__(self, num: int, seed: int) -> None:
        self.num, self.random = num, generator(seed)

    def __len__(self) -> int:
        return self.num

    def __iter__(self) -> Iterator[int]:
        return iter(torch.randperm(self.num, generator=self.random).tolist())


def peer(folder: Path, num: int, epochs: int, sizes: Sizes, *, workers: int = 0, in_memory: bool = False) -> list[float]:
    """Losses by epoch of seed 0."""
    model = build(sizes, 0).train()
    optimiser = torch.optim.AdamW(model.parameters(), lr=LR, weight_decay=0.0, fused=True)
    loader = DataLoader(Files(folder, num, in_memory), BATCH, sampler=Order(num, 0), num_workers=workers)
    losses = []
    for _ in range(epochs):
        total, batches = torch.zeros(()), 0
        for video, music in loader:
            video, music = model.video(video), model.music(music)
            sim = functional.normalize(video, dim=-1) @ functional.normalize(music, dim=-1).T / TEMPERATURE
            own = torch.arange(len(sim))
            loss = (functional.cross_entropy(sim, own) + functional.cross_entropy(sim.T, own)) / 2
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            total, batches = total + loss.detach(), batches + 1
        losses.append((total / batches).item())
    return losses


def ours(folder: Path, epochs: int, sizes: Sizes, seeds: tuple[int, ...], stacked: bool) -> list[float]:
    """Losses by epoch of seed 0, which is fitted with the other seeds."""
    video, music = (torch.from_numpy(np.load(folder / f"{side}.npy")) for side in ("video", "music"))
    data = Pairs(Inputs(video), Inputs(music), torch.arange(len(video)))

    def loss(outputs: tuple[torch.Tensor, ...], batch: Pairs) -> torch.Tensor:
        return info_nce(outputs[0], outputs[1], same_song(batch.song_B), TEMPERATURE)

    schedule = training.Schedule(epochs=epochs, batch=BATCH, lr=LR, weight_decay=0.0, patience=epochs)
    models = [build(sizes, seed) for seed in seeds]
    fitted = training.fit_seeds(models, loss, (data, data[:0]), schedule, seeds=seeds, name="two towers", stacked=stacked)
    return list(fitted[0].history.loss)


def cpu_s() -> float:
    usages = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def main(num: int = 8_000, epochs: int = 2) -> None:
    torch.set_num_threads(1)
    for (name, sizes), rounds in zip(HEADS.items(), (3, 1), strict=True):
        with tempfile.TemporaryDirectory() as folder:
            write(Path(folder), num, sizes)
            print(f"{name}: {num} pairs, {epochs} epochs, batch {BATCH}")
            show(ways(Path(folder), num, epochs, sizes), rounds)


def ways(folder: Path, num: int, epochs: int, sizes: Sizes) -> dict[str, tuple[int, Callable[[], list[float]]]]:
    """By name how many fits it makes, and how."""
    return {
        "files, DataLoader in process": (1, lambda: peer(folder, num, epochs, sizes)),
        "files, DataLoader 2 workers": (1, lambda: peer(folder, num, epochs, sizes, workers=2)),
        "in memory, DataLoader": (1, lambda: peer(folder, num, epochs, sizes, in_memory=True)),
        "ours, one seed": (1, lambda: ours(folder, epochs, sizes, SEEDS[:1], False)),
        "ours, five seeds side by side": (5, lambda: ours(folder, epochs, sizes, SEEDS, False)),
        "ours, five seeds stacked": (5, lambda: ours(folder, epochs, sizes, SEEDS, True)),
    }


def write(folder: Path, num: int, sizes: Sizes) -> None:
    """Pairs with a common cause of 32 values, as files and as packed arrays."""
    rng = np.random.default_rng(0)
    cause = rng.normal(size=(num, 32))
    both = [(cause @ rng.normal(size=(32, n)) * 0.2 + rng.normal(size=(num, n)) * 0.5).astype(np.float32) for n in sizes[:2]]
    for side, values in zip(("video", "music"), both, strict=True):
        np.save(folder / f"{side}.npy", values)
    for index, (video, music) in enumerate(zip(*both, strict=True)):
        np.savez(folder / f"{index}.npz", video=video, music=music)


def show(ways: dict[str, tuple[int, Callable[[], list[float]]]], rounds: int) -> None:
    best: dict[str, float] = {}
    losses: dict[str, list[float]] = {}
    for _ in range(rounds):
        for way, (fits, fit) in ways.items():
            began = cpu_s()
            losses[way] = fit()
            best[way] = min(best.get(way, np.inf), (cpu_s() - began) / fits)
    first, slow = next(iter(losses.values())), next(iter(best.values()))
    for way, seconds in best.items():
        apart = max(abs(a - b) for a, b in zip(first, losses[way], strict=True))
        print(f"  {way:30s} {seconds:6.2f} CPU-s a fit  {slow / seconds:5.1f} x  losses within {apart:.0e} of the first row's")
        if apart > 1e-5:
            raise SystemExit("the losses differ")


if __name__ == "__main__":
    torch.optim.AdamW([nn.Parameter(torch.zeros(1, requires_grad=True))], fused=True).step()  # its imports are not counted
    main(*map(int, sys.argv[1:]))
