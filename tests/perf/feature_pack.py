"""A feature pack beside one .npz file a clip: python tests/perf/feature_pack.py [clips] [steps] [dim].

Prints bytes on disk, CPU-seconds of an epoch of shuffled padded batches from either (ratio), and what making the pack takes:
CPU-seconds, and memory above that of the imports, measured in a process of its own. Both ways must give the same values.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.data import Pack, make_pack, pairs
from benchmarks.inputs import Pairs
from svmbench.records import Box, Clip, Features, features_table, to_table
from svmbench.store import RunFolder

BATCH, COMMIT, MUSIC_DIM, ROUNDS = 256, 250, 128, 2
BOX = Box(left_px=0, top_px=0, width_px=8, height_px=8)
SAME: dict[str, Any] = {"start_s": 0.0, "end_s": 10.0, "fps": 30.0, "width_px": 8, "height_px": 8, "box": BOX, "media": ""}


def make_run(folder: Path, clips: int, steps: int, dim: int) -> RunFolder:
    """One song a clip; half of `steps` to `steps` steps of the picture, one step of the music; in parts as a curation leaves
    them."""
    run, rng = RunFolder.create(folder), np.random.default_rng(0)
    with run.writing("curate") as writer:
        for low in range(0, clips, COMMIT):
            ids = [f"replica-{i:08d}-0" for i in range(low, min(low + COMMIT, clips))]
            rows = [Clip(clip_id=c, post_id=c, song_id=f"song:{c}", **SAME) for c in ids]
            lengths = rng.integers(steps // 2, steps + 1, size=len(ids))
            look = [(c, rng.normal(size=(n, dim)).astype(np.float32)) for c, n in zip(ids, lengths, strict=True)]
            sound = [(c, rng.normal(size=(1, MUSIC_DIM)).astype(np.float32)) for c in ids]
            tables = {
                "clips": to_table(Clip, rows),
                "features_look": features_table((c, Features(values_TD=v, hop_s=1.0)) for c, v in look),
                "features_sound": features_table((c, Features(values_TD=v, hop_s=10.0)) for c, v in sound),
            }
            writer.commit(ids, tables)
    run.write_settings({"features": {"look": "video", "sound": "music"}})
    return run


def measure_packing(path: str) -> None:
    """In a process of its own."""
    before, began = peak_mb(), time.process_time()
    make_pack(RunFolder(path))
    found = {"cpu_s": time.process_time() - began, "mb": peak_mb() - before}
    began = time.process_time()
    make_pack(RunFolder(path))
    print(json.dumps({**found, "again_s": time.process_time() - began}))


def peak_mb() -> float:
    """Most memory that this process ever had. (getrusage counts that of the process that started it, too.)"""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) / 1024


def size_of(folder: Path, pattern: str = "*") -> float:
    """In MiB."""
    return sum(path.stat().st_size for path in folder.rglob(pattern) if path.is_file()) / 2**20


def write_files(folder: Path, pack: Pack) -> None:
    folder.mkdir()
    for i in range(len(pack.clip_ids)):
        np.savez(folder / f"{i}.npz", look=pack.steps("look", i), sound=pack.steps("sound", i))


def files_epoch(folder: Path, order: np.ndarray) -> list[torch.Tensor]:
    """Padded batches as a Dataset and a collating function make them."""
    sums = []
    for low in range(0, len(order), BATCH):
        items: list[dict[str, torch.Tensor]] = []
        for i in order[low : low + BATCH]:
            with np.load(folder / f"{i}.npz") as arrays:
                items.append({name: torch.from_numpy(arrays[name]) for name in arrays.files})
        padded = torch.nn.utils.rnn.pad_sequence([item["look"] for item in items], batch_first=True)
        sums.append(padded.sum() + torch.stack([item["sound"] for item in items]).sum())
    return sums


def pack_epoch(train: Pairs, order: np.ndarray) -> list[torch.Tensor]:
    """The same from the pack, standardised on the way."""
    sums = []
    for rows in torch.from_numpy(order).split(BATCH):
        batch = train[rows]
        sums.append(batch.video.steps["look"].padded()[0].sum() + batch.music.steps["sound"].padded()[0].sum())
    return sums


def check(train: Pairs, folder: Path, rows: np.ndarray) -> None:
    """What the pack pads is what the files hold, standardised."""
    steps = train[torch.from_numpy(rows)].video.steps["look"]
    values = steps.padded()[0].numpy()
    for row, clip in enumerate(rows):
        own = (np.load(folder / f"{clip}.npz")["look"] - steps.mean_D.numpy()) * steps.scale_D.numpy()
        if not np.allclose(values[row, : len(own)], own, atol=1e-5) or values[row, len(own) :].any():
            raise SystemExit("pack and files disagree")


def main(clips: int = 10_000, steps: int = 10, dim: int = 512) -> None:
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory(prefix="svmbench-pack-") as folder:
        root = Path(folder)
        run = make_run(root / "run", clips, steps, dim)
        words = [sys.executable, __file__, "packing", str(run.path)]
        made = json.loads(subprocess.run(words, capture_output=True, text=True, check=True).stdout)
        tables = size_of(run.path / "tables", "*.parquet")
        print(f"{clips} clips of {steps // 2} to {steps} steps of {dim} values; Parquet tables {tables:.0f} MiB")
        took = f"{made['cpu_s']:.1f} CPU-s, {made['mb']:.0f} MB above the imports"
        print(f"making the pack: {took}; found again: {made['again_s']:.3f} CPU-s")
        pack = make_pack(run)
        write_files(root / "files", pack)
        train = pairs(pack, {"train": np.arange(clips)}, steps=True)["train"]
        order = np.random.default_rng(1).permutation(clips)
        ways = {"files": lambda: files_epoch(root / "files", order), "pack": lambda: pack_epoch(train, order)}
        best = dict.fromkeys(ways, np.inf)
        for _ in range(ROUNDS):
            for name, epoch in ways.items():
                began = time.process_time()
                epoch()
                best[name] = min(best[name], time.process_time() - began)
        check(train, root / "files", order[:BATCH])
        sizes, pooled = {"files": size_of(root / "files"), "pack": size_of(pack.folder)}, size_of(pack.folder, "*.vectors.npy")
        for name, seconds in best.items():
            print(f"{name:6s} {sizes[name]:8.1f} MiB  {seconds:6.2f} CPU-s an epoch of batches of {BATCH}")
        print(
            f"the pack is {best['files'] / best['pack']:.1f} x faster to read; {pooled:.1f} MiB of it are pooled vectors, which"
        )
        print(f"the files lack: the sequences alone are {sizes['files'] / (sizes['pack'] - pooled):.2f} x smaller")


if __name__ == "__main__":
    if sys.argv[1:2] == ["packing"]:
        measure_packing(sys.argv[2])
    else:
        main(*map(int, sys.argv[1:]))
