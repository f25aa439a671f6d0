"""The matrix of baseline x variant x seed (x fold) on one run folder: each fit is one job, done once, on any worker.

A job's key is the hash of all that its result depends on: data revision, baseline, variant, settings, seed, fold, code. Its ranks
and its record are committed together under that key, so a run that was killed goes on with the same command, and another number
of GPUs or workers gives the same ranks.
"""

from __future__ import annotations

import hashlib
import inspect
import itertools
import json
import os
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import pyarrow as pa
import torch

import benchmarks
from benchmarks import checks, data, results
from benchmarks.checks import Evidence, Finding
from benchmarks.inputs import Pairs
from benchmarks.ranking import Ranks, retrieve
from benchmarks.towers import embed, num_params
from svmbench import plugins
from svmbench.errors import BadInput, BadSettings, UnknownName
from svmbench.fleet import Fleet, WorkerLost
from svmbench.progress import Progress
from svmbench.provenance import commit
from svmbench.settings import build, settings_hash
from svmbench.store import RunFolder

BASELINES = "benchmarks.baselines"
SHARED = (
    "data",
    "inputs",
    "losses",
    "ranking",
    "run",
    "towers",
    "train",
    "checks/*",
    "metrics/mrr",
)  # code that every job's result depends on
FAKE_GPUS = "SVMBENCH_FAKE_GPUS"  # "1": workers are placed on declared GPUs and compute on the CPU; for tests


@dataclass(frozen=True)
class Job:
    """One fit. fold is None for the run's own split. `shuffled` trains on pairs that do not belong together."""

    key: str
    baseline: str
    variant: str
    settings: Any
    seed: int
    folds: int | None
    fold: int | None
    shuffled: bool
    code: str
    commit: str  # of the checkout; not part of the key

    @property
    def split(self) -> str:
        return "test" if self.folds is None else f"{self.folds}-fold"


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
) -> None:
    """Fits and scores baselines, then writes the tables scores and tests.

    names: 'cca' or 'vm_net:hong'; empty means all. seeds: fits of each baseline that draws random numbers; the others are fitted
    once. folds: cross-validation over songs instead of the run's split, every clip
    tested once. shuffle_pairs: the control, stored as the variant 'shuffled'. settings: per baseline, values that replace the
    variants' own. A job that fails is accounted for and the others go on; the first such error is raised at the end.
    """
    device = _device(fleet)
    if seeds < 1:
        raise BadSettings(f"seeds: {seeds} is out of range; allowed: 1 or more")
    pack = data.make_pack(run)
    data.split_parts(pack) if folds is None else data.fold_parts(pack, folds, 0)
    errors: list[Exception] = []
    with progress.stage("baselines", unit="fits") as stage, run.writing("bench") as writer:
        jobs, unusable = _jobs(pack, names, seeds, folds, shuffle_pairs, settings or {})
        stage.summary.notes += [f"{n} clips left out: {reason}" for reason, n in pack.left_out.items()]
        stage.total(len(jobs) + len(unusable))
        stage.summary.seen = len(jobs) + len(unusable)
        for name, reason in unusable:
            stage.add(dropped="needs_feature")
            stage.summary.notes.append(f"{name}: {reason}")
        done = run.done_ids("bench")
        stage.add(kept=sum(job.key in done for job in jobs))
        todo = [job for job in jobs if job.key not in done]
        workers = fleet.gpus or min(fleet.num_cpus, max(1, len(todo)))
        gpus = 1.0 if fleet.gpus else 0.0
        for job, value in fleet.map(Trainer, (str(pack.folder), device), todo, workers=workers, gpus=gpus) if todo else ():
            if isinstance(value, Exception):
                stage.add(failed=type(value).__name__)
                stage.summary.notes.append(f"{job.baseline} {job.variant} seed {job.seed} fold {job.fold}: {value}")
                errors += [] if isinstance(value, WorkerLost) else [value]
            else:
                writer.commit([job.key], value)
                stage.add(kept=1)
        stage.summary.left = stage.summary.seen - (
            stage.summary.kept + stage.summary.dropped.total() + stage.summary.failed.total()
        )
    results.write(run, pack.revision)
    if errors:
        raise errors[0]


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


def _jobs(
    pack: data.Pack,
    names: tuple[str, ...],
    seeds: int,
    folds: int | None,
    shuffled: bool,
    replaced: Mapping[str, Mapping[str, Any]],
) -> tuple[list[Job], list[tuple[str, str]]]:
    """All jobs in a fixed order, and the baselines that this run's features cannot serve; one that was named raises instead."""
    jobs: list[Job] = []
    unusable: list[tuple[str, str]] = []
    for name in replaced:
        plugins.load(BASELINES, name)
    for name in names or plugins.names(BASELINES):
        name, _, wanted = name.partition(":")
        module = plugins.load(BASELINES, name)
        if wanted and wanted not in module.VARIANTS:
            raise UnknownName(f"variant of {name}", wanted, module.VARIANTS)
        if shuffled and getattr(module, "CONTROL", False):
            continue
        try:
            _require(pack, module.NEEDS)
        except BadInput as error:
            if names:
                raise
            unusable.append((name, str(error)))
            continue
        code, main = _code(module), next(iter(module.VARIANTS))
        fits = seeds if shuffled or getattr(module, "SEEDED", True) else 1
        for variant in [wanted] if wanted else list(module.VARIANTS):
            settings = build(module.Settings, {**asdict(module.VARIANTS[variant]), **replaced.get(name, {})}, name)
            label = variant if not shuffled else "shuffled" if variant == main else f"{variant}-shuffled"
            for seed, fold in itertools.product(range(fits), [None] if folds is None else range(folds)):
                parts = (pack.revision, name, label, asdict(settings), seed, folds, fold, code)
                key = hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:24]
                jobs.append(Job(key, name, label, settings, seed, folds, fold, shuffled, code, commit()))
    if not jobs and not unusable:
        raise BadSettings("shuffle_pairs: none of the named baselines learns from pairs")
    return jobs, unusable


def _require(pack: data.Pack, needs: tuple[str, ...]) -> None:
    """BadInput where a baseline's features are missing: one that it names, or all of a modality."""
    for modality in data.MODALITIES:
        pack.features_of(modality, needs)


def _code(module: ModuleType) -> str:
    """Hash of the source that a job runs: its baseline, what all baselines share, and the version of torch."""
    root = Path(benchmarks.__file__ or "").parent
    digest = hashlib.sha256(inspect.getsource(module).encode() + torch.__version__.encode())
    for pattern in SHARED:
        for path in sorted(root.glob(f"{pattern}.py")):
            digest.update(path.read_bytes())
    return digest.hexdigest()[:12]


class Trainer:
    """A worker: holds the feature pack (memory-mapped) and does one job at a time on one device."""

    def __init__(self, pack: str, device: str) -> None:
        torch.set_num_threads(1)
        if device == "cuda" and not torch.cuda.is_available():
            raise BadSettings("a worker sees no CUDA device; use --gpus 0")
        self.pack, self.device = data.open_pack(Path(pack)), device
        self.parts: dict[Any, dict[str, Pairs]] = {}

    def run(self, job: Job) -> dict[str, pa.Table]:
        """Fits, embeds the test part once, ranks, checks. Returns the rows of the tables ranks and jobs."""
        began = time.monotonic()
        module = plugins.load(BASELINES, job.baseline)
        index = data.split_parts(self.pack) if job.fold is None else data.fold_parts(self.pack, job.folds or 0, job.fold)
        parts = self._pairs(job, index, module.NEEDS)
        train, val = parts["train"], parts["val"]
        if job.shuffled:
            train, val = train.shuffled(job.seed), val.shuffled(job.seed + 1)
        model = module.fit(train, val, job.settings, job.seed)
        video_ND, music_ND = embed(model, parts["test"])
        ranks = retrieve(video_ND, music_ND, parts["test"].song_B.cpu().numpy())
        findings = checks.run(
            Evidence(
                model=model, test=parts["test"], video_ND=video_ND, music_ND=music_ND, ranks=ranks,
                song_N=parts["test"].song_B.cpu().numpy(), train=train, val=val, facts=data.facts(self.pack, index),
            )
        )  # fmt: skip
        record = self._record(job, findings, getattr(module, "BY_DESIGN", ())) | {
            "num_params": num_params(model), "wall_s": time.monotonic() - began,
        }  # fmt: skip
        return {
            "ranks": self._table(job, ranks, index["test"]),
            "jobs": pa.Table.from_pylist([record], schema=results.JOBS_SCHEMA),
        }

    def _pairs(self, job: Job, index: Mapping[str, data.Index], needs: tuple[str, ...]) -> dict[str, Pairs]:
        """The tensors of this job's parts; those of the last fold are kept, as the next job often takes the same."""
        if (job.folds, job.fold, needs) not in self.parts:
            self.parts = {(job.folds, job.fold, needs): data.pairs(self.pack, index, needs, self.device)}
        return self.parts[job.folds, job.fold, needs]

    def _record(self, job: Job, findings: list[Finding], by_design: tuple[str, ...]) -> dict[str, Any]:
        return {
            "key": job.key, "dataset": self.pack.dataset, "revision": self.pack.revision, "split": job.split,
            "baseline": job.baseline, "variant": job.variant, "settings_hash": settings_hash(job.settings),
            "settings": json.dumps(asdict(job.settings)), "seed": job.seed, "folds": job.folds, "fold": job.fold,
            "code": job.code, "commit": job.commit,
            "checks": sorted(f.check for f in findings if f.passed is False and f.check not in by_design),
            "findings": [f"{f.check}: {checks.WORDS[f.passed]}, {f.detail}" for f in findings],
            "device": torch.cuda.get_device_name() if self.device == "cuda" else "cpu",
            "gpu": os.environ.get("CUDA_VISIBLE_DEVICES", ""),
        }  # fmt: skip

    def _table(self, job: Job, ranks: Mapping[str, Ranks], index: data.Index) -> pa.Table:
        song_of = dict(zip((f"v:{self.pack.clip_ids[i]}" for i in index), (self.pack.song_ids[i] for i in index), strict=True))
        rows = []
        for direction, task in data.tasks(self.pack, index, job.split).items():
            found = ranks[direction]
            fixed = {"key": job.key, "baseline": job.baseline, "variant": job.variant, "seed": job.seed, "fold": job.fold}
            for i, query in enumerate(task.query_ids):
                song = song_of.get(query, query.removeprefix("m:"))
                counts = {name: getattr(found, name)[i] for name in results.COUNTS}
                rows.append({**fixed, "direction": direction, "query_id": query, "song_id": song, **counts})
        return pa.Table.from_pylist(rows, schema=results.RANKS_SCHEMA)
