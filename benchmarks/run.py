"""The matrix of fits on one run folder: each is done once, on any worker, and the others go on when one fails.

The ranks of a fit and its record are committed together under its key, so a run that was killed goes on with the same command,
and another number of GPUs or workers gives the same ranks.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch

from benchmarks import data, jobs, live, pools, results
from benchmarks.fitting import Failed
from benchmarks.jobs import Job, Wanted
from benchmarks.own_model import Own
from benchmarks.worker import Made, Trainer
from svmbench.errors import BadSettings, FitFailed, SvmbenchError
from svmbench.fleet import Fleet, WorkerLost
from svmbench.progress import Progress, Stage
from svmbench.store import RunFolder, Writer, write_atomically

FAKE_GPUS = "SVMBENCH_FAKE_GPUS"  # "1": workers are placed on declared GPUs and compute on the CPU; for tests
SHARED_PACK_BYTES = 2**30  # ours: two workers share a GPU while the pack is no larger; their copies, batches and blocks then fit
Group = tuple[Job, ...]


def run_baselines(
    run: RunFolder,
    fleet: Fleet,
    progress: Progress,
    *,
    names: tuple[str, ...] = (),
    seeds: int = 1,
    folds: int | None = None,
    shuffle_pairs: bool = False,
    settings: Mapping[str, Mapping[str, Any]] | None = None,
    own: Own | None = None,
) -> None:
    """Fits and scores baselines, then writes the scores and all that follows from them.

    names: 'cca' or 'vm_net:hong'; empty means all. seeds: fits of each baseline that draws random numbers; the others are fitted
    once. folds: cross-validation over songs instead of the run's split, every clip tested once. shuffle_pairs: the control,
    stored as the variant 'shuffled'. settings: per baseline, values that replace the variants' own. own: a model of the user's;
    without names it runs beside chance alone. A fit that fails is accounted for, leaves its traceback in RUN/fits/KEY/error.txt,
    and the others go on; the first such error is raised at the end.
    """
    device = _device(fleet)
    if seeds < 1:
        raise BadSettings(f"seeds: {seeds} is out of range; allowed: 1 or more")
    pack = data.make_pack(run)
    index = data.split_parts(pack) if folds is None else data.fold_parts(pack, folds, 0)
    if pool := pools.of_run(run.path, folds):
        pools.in_pool(pack, index["test"], pool)  # one line now, and not one a fit
    failures: list[SvmbenchError] = []
    with progress.stage("baselines", unit="fits") as stage, run.writing("bench") as writer:
        scored = run.read_table("jobs")
        wanted = Wanted(names, seeds, folds, shuffle_pairs, settings or {}, own, pool)
        found, unusable = jobs.matrix(pack, wanted, scored.to_pylist() if scored else ())
        stage.summary.notes += [f"{n} clips left out: {reason}" for reason, n in pack.left_out.items()]
        stage.total(len(found) + len(unusable))
        stage.summary.seen = len(found) + len(unusable)
        for name, reason in unusable:
            stage.add(dropped="needs_feature")
            stage.summary.notes.append(f"{name}: {reason}")
        done = run.done_ids("bench")
        stage.add(kept=sum(job.key in done for job in found))
        todo = [job for job in found if job.key not in done]
        live.clear(run)
        stage.show(live.LiveTable(run.path) if todo else None)
        tell = None if progress.console.is_terminal else stage.tell  # a terminal has the live table
        if todo:
            if tell:
                tell(f"{len(todo)} fits to do; {live.STARTING}")
            failures = _do(todo, fleet, (str(run.path), str(pack.folder), device), stage, writer, tell)
        stage.summary.left = stage.summary.seen - (
            stage.summary.kept + stage.summary.dropped.total() + stage.summary.failed.total()
        )
        live.clear(run)
    results.write(run, pack.revision)
    if failures:
        raise failures[0]


def _do(
    todo: list[Job],
    fleet: Fleet,
    args: tuple[str, str, str],
    stage: Stage,
    writer: Writer,
    tell: Callable[[str], None] | None,
) -> list[SvmbenchError]:
    """Works off the jobs and commits each fit as it comes; tell() hears of each group. Returns what went wrong."""
    failures: list[SvmbenchError] = []
    by_key = {job.key: job for job in todo}
    run = Path(args[0])
    for group, made in _made(todo, fleet, args):
        for key, value in made:
            job = by_key[key]
            if isinstance(value, Failed):
                failures.append(_account(run, job, value, stage))
            else:
                writer.commit([key], value)
                stage.add(kept=1)
        if tell:
            kept = sum(not isinstance(value, Failed) for _, value in made)
            tell(f"{jobs.title(group)}: {kept} of {len(group)} fits done")
    return failures


def _account(run: Path, job: Job, failed: Failed, stage: Stage) -> SvmbenchError:
    """One line of the closing account, and the error that the command ends with if it is the first."""
    stage.add(failed=failed.kind)
    log = run / "fits" / job.key / "error.txt"
    if failed.trace:  # the worker has written it, unless it could not even be made
        write_atomically(log, lambda path: path.write_text(failed.trace))
    stage.summary.notes.append(f"{job.title}: {failed.kind}: {failed.line}" + (f" ({log})" if failed.trace else ""))
    if failed.error:
        return failed.error
    return FitFailed(f"{job.title}: {failed.kind}: {failed.line}; " + (f"see {log}" if failed.trace else "try again"))


def _made(todo: list[Job], fleet: Fleet, args: tuple[str, str, str]) -> Iterator[tuple[Group, list[tuple[str, Made]]]]:
    """Each group with what became of its jobs. A group over which a worker died twice is tried once more, fit by fit."""
    lost: list[Job] = []
    together = jobs.groups(todo, _places(fleet, len(todo), args[1])[0])
    if args[2] == "cpu":  # seeds are stacked on a GPU alone, and a kill then costs the fit at hand and not its group
        together = [(job,) for group in together for job in group]
    for group, value in _map(together, fleet, args):
        if isinstance(value, WorkerLost) and len(group) > 1:
            lost += group
        else:
            yield group, _as_made(group, value)
    for group, value in _map([(job,) for job in lost], fleet, args):
        yield group, _as_made(group, value)


def _as_made(group: Group, value: Any) -> list[tuple[str, Made]]:
    if isinstance(value, WorkerLost):
        value = Failed("WorkerLost", f"its worker died twice over it ({value})", "")
    elif isinstance(value, Exception):  # the worker itself could not be made
        value = Failed.of(value)
    return [(job.key, value) for job in group] if isinstance(value, Failed) else value


def _map(groups: list[Group], fleet: Fleet, args: tuple[str, str, str]) -> Iterator[tuple[Group, Any]]:
    if not groups:
        return
    workers, gpus = _places(fleet, len(groups), args[1])
    if fleet.local and any(job.own for group in groups for job in group):
        workers = 1  # a user's code may draw from the random generators that the threads of a process share
    cpus = min(1.0, int(1000 * fleet.num_cpus / workers) / 1000) if gpus else 1.0  # a machine may have more GPUs than CPUs
    yield from fleet.map(Trainer, args, groups, workers=workers, gpus=gpus, cpus=cpus)


def _places(fleet: Fleet, num: int, pack: str) -> tuple[int, float]:
    """(workers, share of a GPU that each holds) for so many groups or jobs.

    Two workers share a GPU where the pack is small (SHARED_PACK_BYTES) and there is work for two on every GPU.
    """
    if not fleet.gpus:
        return min(fleet.num_cpus, max(1, num)), 0.0
    size = sum(path.stat().st_size for path in Path(pack).iterdir())
    if size <= SHARED_PACK_BYTES and num >= 2 * fleet.gpus:
        return 2 * fleet.gpus, 0.5
    return fleet.gpus, 1.0


def _device(fleet: Fleet) -> str:
    if not fleet.gpus or os.environ.get(FAKE_GPUS) == "1":
        return "cpu"
    if not fleet.address and not torch.cuda.is_available():
        raise BadSettings(f"gpus: {fleet.gpus} asked for and no CUDA device is visible; use --gpus 0")
    if not fleet.address and torch.cuda.device_count() < fleet.gpus:
        raise BadSettings(
            f"gpus: {fleet.gpus} asked for and {torch.cuda.device_count()} visible; use --gpus {torch.cuda.device_count()}"
        )
    return "cuda"
