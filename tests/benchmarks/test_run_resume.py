"""Killed at any moment, the same command ends with the results of an undisturbed run; nothing is done twice. And what is tried
again with less when memory runs out."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch

from benchmarks import jobs, worker
from benchmarks.data import make_pack
from benchmarks.fitting import Failed
from benchmarks.jobs import Job, Wanted
from benchmarks.memory import out_of_memory, with_less
from benchmarks.run import FAKE_GPUS, SHARED_PACK_BYTES, _places, run_baselines
from svmbench.errors import FitFailed
from svmbench.fleet import Fleet
from svmbench.progress import Progress
from svmbench.store import RunFolder

NAMES = ("cca", "mvbind")
SMALL: dict[str, dict[str, Any]] = {"mvbind": {"hidden": 16, "dim": 8, "epochs": 6, "lr": 1e-2}}
# The command without its words: the run folder, the number of GPUs (-1: threads of this process), and settings that are quick.
SCRIPT = """
import json, sys
from svmbench.fleet import Fleet
from svmbench.progress import Progress
from svmbench.store import RunFolder
from benchmarks.run import run_baselines

if __name__ == "__main__":
    run, gpus, names, settings = RunFolder.open(sys.argv[1]), int(sys.argv[2]), sys.argv[3].split(","), json.loads(sys.argv[4])
    with Fleet(local=gpus < 0, gpus=max(0, gpus)) as fleet:
        run_baselines(run, fleet, Progress(quiet=True), names=tuple(names), seeds=2, folds=2, settings=settings)
"""


def command(run: RunFolder, gpus: int) -> list[str]:
    settings = str(SMALL).replace("'", '"')
    return [sys.executable, "-c", SCRIPT, str(run.path), str(gpus), ",".join(NAMES), settings]


ENV = {**os.environ, FAKE_GPUS: "1", "OMP_NUM_THREADS": "1"}


def finish(run: RunFolder) -> None:
    with Fleet(local=True) as fleet:
        run_baselines(run, fleet, Progress(quiet=True), names=NAMES, seeds=2, folds=2, settings=SMALL)


def finish_on(run: RunFolder, gpus: int) -> None:
    done = subprocess.run(command(run, gpus), env=ENV, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]


def state(run: RunFolder) -> tuple[Any, ...]:
    """What a run has come to: the ranks, and of the fits all that is no time and no machine; each fit once."""
    ranks, fits = run.read_table("ranks"), run.read_table("jobs")
    assert ranks is not None
    assert fits is not None
    once = Counter(key for marker in run.markers("bench") for key in marker["ids"])
    assert set(once.values()) == {1}
    assert sorted(fits["key"].to_pylist()) == sorted(once), "a row a fit"
    timed = {"started", "wall_s", "train_s", "eval_s", "gpu", "hardware", "peak_gpu_mb"}
    plain = [{k: repr(v) for k, v in row.items() if k not in timed} for row in fits.to_pylist()]
    order = [("key", "ascending"), ("direction", "ascending"), ("query_id", "ascending")]
    files = {
        path.relative_to(run.path): path.read_bytes()
        for pattern in ("results/*/ranks.parquet", "fits/*/checkpoint.safetensors")
        for path in run.path.glob(pattern)
    }
    assert len([f for f in files if f.name == "ranks.parquet"]) == 3, "cca, and two seeds of mvbind"
    assert len([f for f in files if f.name == "checkpoint.safetensors"]) == 6
    return ranks.sort_by(order).to_pylist(), sorted(plain, key=lambda row: row["key"]), files


def wait_for(what: Callable[[], bool], process: subprocess.Popen[Any]) -> None:
    while not what() and process.poll() is None:
        time.sleep(0.01)


def kill(process: subprocess.Popen[Any]) -> None:
    family = psutil.Process(process.pid).children(recursive=True)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert not psutil.wait_procs(family, timeout=15)[1], "a killed command left processes behind"


@pytest.fixture(scope="module")
def calm(tmp_path_factory: pytest.TempPathFactory, toy_maker: Callable[..., RunFolder]) -> tuple[Any, ...]:
    """The state of an undisturbed run on threads."""
    run = toy_maker(tmp_path_factory.mktemp("calm") / "run", split=False)
    finish(run)
    return state(run)


def test_killed_after_the_first_fits_it_goes_on(
    tmp_path: Path, toy_maker: Callable[..., RunFolder], calm: tuple[Any, ...]
) -> None:
    run = toy_maker(tmp_path / "run", split=False)
    with subprocess.Popen(command(run, -1), env=ENV, stderr=subprocess.DEVNULL) as process:
        wait_for(lambda: bool(run.done_ids("bench")), process)
        kill(process)
    done = run.done_ids("bench")
    assert 0 < len(done) < 6
    before = {marker["part"]: marker for marker in run.markers("bench")}
    finish(run)
    after = {marker["part"]: marker for marker in run.markers("bench")}
    assert {part: after[part] for part in before} == before, "what was done was not done again"
    assert state(run) == calm


@pytest.mark.slow
def test_drivers_and_workers_killed_at_random_and_another_number_of_gpus_each_time(
    tmp_path: Path, toy_maker: Callable[..., RunFolder], calm: tuple[Any, ...]
) -> None:
    run, chance, kills = toy_maker(tmp_path / "run", split=False), random.Random(7), Counter[str]()
    for gpus in (0, 4, 2, 3):
        with subprocess.Popen(command(run, gpus), env=ENV, stderr=subprocess.DEVNULL, start_new_session=True) as process:
            at_work = run.path / "at-work" / "fits"
            wait_for(lambda at_work=at_work: any(at_work.glob("*.json")), process)  # workers have begun
            time.sleep(chance.uniform(0, 1))
            victims = [] if process.poll() is not None else psutil.Process(process.pid).children(recursive=True)
            for victim in [v for v in victims if "Trainer" in " ".join(_words(v))][:1]:
                victim.kill()
                kills["worker"] += 1
            time.sleep(chance.uniform(0, 4))
            if process.poll() is None:
                kill(process)
                kills["driver"] += 1
    finish_on(run, gpus=1)
    assert kills["worker"] > 0
    assert kills["driver"] > 0
    assert state(run) == calm


def _words(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []


@pytest.mark.slow
def test_four_gpus_on_a_machine_of_few_cpus(tmp_path: Path, toy_maker: Callable[..., RunFolder], calm: tuple[Any, ...]) -> None:
    """Real Ray with declared GPUs: all workers are placed, each sees its own GPU, and the results are those of threads."""
    run = toy_maker(tmp_path / "run", split=False)
    finish_on(run, gpus=4)
    assert state(run) == calm
    fits = run.read_table("jobs")
    assert fits is not None
    assert set(fits["gpu"].to_pylist()) == {"0", "1", "2", "3"}, "a worker a GPU, though there may be fewer CPUs"


# -- groups and places
@pytest.fixture
def local() -> Iterator[Fleet]:
    with Fleet(local=True) as fleet:
        yield fleet


def test_seeds_go_together_and_are_parted_for_idle_workers(toy: RunFolder) -> None:
    found, _ = jobs.matrix(make_pack(toy), Wanted(names=("mvbind", "cca"), seeds=5))
    sizes = lambda workers: [len(group) for group in jobs.groups(found, workers)]
    assert sizes(1) == sizes(2) == [5, 1]
    assert sorted(sizes(3)) == [1, 2, 3]
    assert sizes(6) == [1] * 6
    assert sizes(100) == [1] * 6
    assert [job for group in jobs.groups(found, 4) for job in group] == found
    shuffled, _ = jobs.matrix(make_pack(toy), Wanted(names=("mvbind",), seeds=3, shuffle_pairs=True))
    assert [len(group) for group in jobs.groups(shuffled, 1)] == [1, 1, 1, 1], "each shuffling has pairs of its own; chance"


def test_two_workers_share_a_gpu_where_the_pack_is_small(tmp_path: Path) -> None:
    with Fleet(gpus=4) as fleet:
        (tmp_path / "x.npy").write_bytes(b"0")
        assert _places(fleet, 8, str(tmp_path)) == (8, 0.5)
        assert _places(fleet, 7, str(tmp_path)) == (4, 1.0), "not enough work for two on each"
        os.truncate(tmp_path / "x.npy", SHARED_PACK_BYTES + 1)
        assert _places(fleet, 8, str(tmp_path)) == (4, 1.0), "too large for two"


# -- memory
def test_what_counts_as_out_of_memory() -> None:
    for error in (torch.OutOfMemoryError("CUDA out of memory. Tried"), MemoryError(), RuntimeError("CUDA error: out of memory")):
        assert out_of_memory(error)
    assert out_of_memory(RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling"))
    for other in (RuntimeError("size mismatch"), ValueError("out of memory")):
        assert not out_of_memory(other)


def test_with_less() -> None:
    tried, said = [], []

    def do(size: int) -> int:
        tried.append(size)
        if size > 3:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return size

    assert with_less(do, 30, said.append) == 3
    assert tried == [30, 15, 7, 3]
    assert said[-1] == "out of memory; again with 3 at once"
    with pytest.raises(torch.OutOfMemoryError):
        with_less(lambda size: do(99), 4, said.append)
    with pytest.raises(ZeroDivisionError):
        with_less(lambda size: size // 0, 4, said.append)


def fitted(run: RunFolder, group: tuple[Job, ...]) -> dict[int, Any]:
    trainer = worker.Trainer(str(run.path), str(make_pack(run).folder), "cpu")
    seed_of = {job.key: job.seed for job in group}
    return {seed_of[key]: made for key, made in trainer.run(group)}


def test_a_group_that_needs_too_much_memory_is_halved_with_the_same_results(
    toy: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    found, _ = jobs.matrix(make_pack(toy), Wanted(names=("mvbind",), seeds=5, settings=SMALL))
    (group,) = jobs.groups(found, 1)
    whole = fitted(toy, group)
    honest, sizes = worker.fit_seeds, list[int]()

    def hungry(job: Job, seeds: tuple[int, ...], *more: Any) -> Any:
        sizes.append(len(seeds))
        if len(seeds) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 8 GiB")
        return honest(job, seeds, *more)

    monkeypatch.setattr(worker, "fit_seeds", hungry)
    halved = fitted(toy, group)
    assert sizes == [5, 2, 3, 1, 2]
    for seed in range(5):
        assert halved[seed]["ranks"].equals(whole[seed]["ranks"])
    log = (toy.path / "fits" / group[0].key / "log.txt").read_text()
    assert "OutOfMemory with 5 seeds at once: CUDA out of memory. Tried to allocate 8 GiB; again in halves" in log


def test_embedding_is_tried_again_in_smaller_blocks(toy: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    (group,) = jobs.groups(jobs.matrix(make_pack(toy), Wanted(names=("cca",)))[0], 1)
    whole = fitted(toy, group)
    honest = worker.embed_rows

    def hungry(model: Any, part: Any, rows: int) -> Any:
        if rows > 8:
            raise RuntimeError("CUDA error: out of memory")
        return honest(model, part, rows)

    monkeypatch.setattr(worker, "embed_rows", hungry)
    assert fitted(toy, group)[0]["ranks"].equals(whole[0]["ranks"])
    assert "out of memory; again with 7 at once" in (toy.path / "fits" / group[0].key / "log.txt").read_text()


def test_a_seed_that_fails_leaves_its_log_and_costs_the_others_nothing(
    toy: RunFolder, local: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest = worker.fit_seeds

    def third_is_broken(job: Job, seeds: tuple[int, ...], *more: Any) -> Any:
        if 2 in seeds:
            raise ValueError("a defect\nin two lines")
        return honest(job, seeds, *more)

    progress = Progress(quiet=True)
    with monkeypatch.context() as broken:
        broken.setattr(worker, "fit_seeds", third_is_broken)
        with pytest.raises(FitFailed, match=r"mvbind default, seed 2: ValueError: a defect in two lines; see .*error\.txt"):
            run_baselines(toy, local, progress, names=("mvbind", "cca"), seeds=4, settings=SMALL)
    summary = progress.summaries[0]
    assert (summary.kept, dict(summary.failed), summary.balanced()) == (4, {"ValueError": 1}, True)
    (error,) = toy.path.glob("fits/*/error.txt")
    assert "Traceback" in error.read_text()
    assert "failed: a defect in two lines" in (error.parent / "log.txt").read_text()
    run_baselines(toy, local, Progress(quiet=True), names=("mvbind", "cca"), seeds=4, settings=SMALL)
    assert len(toy.done_ids("bench")) == 5
    assert not error.exists(), "what was broken is mended"


def test_memory_that_never_suffices_is_a_failure_with_its_log(toy: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    found, _ = jobs.matrix(make_pack(toy), Wanted(names=("mvbind",), seeds=2, settings=SMALL))

    def never(*_: Any) -> Any:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(worker, "fit_seeds", never)
    for made in fitted(toy, tuple(found)).values():
        assert isinstance(made, Failed)
        assert (made.kind, made.line) == ("OutOfMemory", "CUDA out of memory")
