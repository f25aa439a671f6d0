"""A worker: fits, embeds once, ranks and checks. What becomes of each fit is data: rows of tables, or the account of a failure.

Beside the rows each fit leaves RUN/fits/KEY/: log.txt, checkpoint.safetensors, and error.txt with the traceback where it failed.
They are written before the driver commits the rows.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import torch

from benchmarks import checks, data
from benchmarks.checks import Evidence, Finding
from benchmarks.fitting import (
    Failed,
    Fit,
    embed_rows,
    fit_again,
    fit_seeds,
    handed,
    pair_scores,
    refit,
    save,
    saved_vectors,
    watched,
)
from benchmarks.inputs import Pairs
from benchmarks.jobs import Job
from benchmarks.live import Note, Notes
from benchmarks.memory import release, with_less
from benchmarks.pools import in_pool
from benchmarks.ranking import retrieve, retrieve_scores
from benchmarks.rows import job_row, rank_rows
from benchmarks.towers import Report
from svmbench.errors import BadSettings
from svmbench.provenance import now
from svmbench.store import write_atomically


@dataclass
class Log:
    """What happened to a group, line by line with the time."""

    lines: list[str] = field(default_factory=list)

    def __call__(self, text: str) -> None:
        self.lines.append(f"{now()} {text}")


Made = Mapping[str, pa.Table] | Failed


class Trainer:
    """Holds the feature pack (memory-mapped) and does one group of fits at a time on one device."""

    def __init__(self, run: str, pack: str, device: str) -> None:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # CUDA's deterministic matrix products want it
        torch.set_num_threads(1)
        if device == "cuda" and not torch.cuda.is_available():
            raise BadSettings("a worker sees no CUDA device; use --gpus 0")
        self.folder, self.pack, self.device = Path(run), data.open_pack(Path(pack)), device
        self.parts: dict[Any, dict[str, Pairs]] = {}
        self.of_the_data: dict[Any, list[Finding]] = {}

    def run(self, group: tuple[Job, ...]) -> list[tuple[str, Made]]:
        """For each fit its key, and rows of the tables ranks and jobs or the account of its failure."""
        first, log = group[0], Log()
        seeds = [job.seed for job in group]
        began_s = time.time()
        note = Note(first.baseline, first.variant, seeds, first.fold, "training", began_s, began_s)
        notes = Notes(self.folder, first.key, note)
        try:
            return [(job.key, self._left(job, made, log)) for job, made in self._group(group, notes, log)]
        finally:
            notes.close()

    def _group(self, group: tuple[Job, ...], notes: Notes, log: Log) -> Iterator[tuple[Job, Made]]:
        log(f"{group[0].baseline} {group[0].variant}, seeds {[job.seed for job in group]}, on {self.device}")
        try:
            index = self._index(group[0])
            self._pairs(group[0], index)
        except Exception as error:
            failed = Failed.of(error)
            yield from ((job, failed) for job in group)
            return
        for job, fit in zip(group, self._fits(group, index, notes, log), strict=True):
            if isinstance(fit, Failed):
                yield job, fit
                continue
            notes.doing("ranking and checks", [job.seed])
            try:
                made: Made = self._scored(job, fit, index, log)
            except Exception as error:
                made = Failed.of(error)
            if isinstance(made, Failed):
                self._forget(job)
            yield job, made

    def _forget(self, job: Job) -> None:
        """Reads the inputs anew after a user's model has failed: it may have written into them."""
        if job.own:
            self.parts = {}
            data.forget()

    def _fits(self, jobs: tuple[Job, ...], index: Mapping[str, data.Index], report: Report, log: Log) -> list[Fit | Failed]:
        """A model a job. What fails together is tried again in halves: too little memory may suffice for fewer, and an error of
        one seed costs the others nothing."""
        if torch.cuda.is_available():
            torch.cuda.reset_peak_memory_stats()
        started, began = now(), time.monotonic()
        try:
            models = fit_seeds(jobs[0], tuple(job.seed for job in jobs), handed(jobs[0], self._pairs(jobs[0], index)), report)
        except Exception as error:
            failed = Failed.of(error)
        else:
            train_s = (time.monotonic() - began) / len(jobs)
            seeds = tuple(job.seed for job in jobs)
            return [Fit(model, train_s, started, seeds) for model in models]
        release()
        self._forget(jobs[0])
        if len(jobs) == 1:
            return [failed]
        log(f"{failed.kind} with {len(jobs)} seeds at once: {failed.line}; again in halves")
        half = len(jobs) // 2
        return self._fits(jobs[:half], index, report, log) + self._fits(jobs[half:], index, report, log)

    def _scored(self, job: Job, fit: Fit, index: Mapping[str, data.Index], log: Log) -> dict[str, pa.Table]:
        """Embeds, ranks and checks a fitted model."""
        began, parts = time.monotonic(), self._pairs(job, index)
        train, val = handed(job, parts)
        history = getattr(fit.model, "history", None)
        if history is not None:
            log(f"{len(history.loss)} epochs, {history.num_steps} steps; kept epoch {history.chosen}, by {history.chosen_by}")
        with watched(job, parts):
            made = self._ranks(job, fit.model, parts["test"], index["test"], log)
            if fit.model is not None:
                made |= {"model": fit.model, "test": parts["test"], "train": train, "val": val, "refit": refit(job)}
                made["fit_again"] = fit_again(job, fit.seeds, (train, val))
                made["history"] = history
            evidence = Evidence(
                **made, song_N=parts["test"].song_B.cpu().numpy(), facts=data.facts(self.pack, index),
                settings_scored=job.settings_scored,
            )  # fmt: skip
            found = checks.run(evidence, of_the_data=False)
        found += self._data_findings(job, parts, index)
        found.sort(key=lambda finding: finding.check)
        for finding in found:
            log(f"check {finding.check}: {checks.WORDS[finding.passed]}, {finding.detail}")
        eval_s = time.monotonic() - began
        path = self.folder / "fits" / job.key / "checkpoint.safetensors"
        sha = save(job, fit.model, parts, self.pack, index["train"], path)
        kept = {"checkpoint": str(path.relative_to(self.folder)) if sha else None, "checkpoint_sha256": sha}
        more = kept | {"device": self.device, "eval_s": eval_s, "wall_s": fit.train_s + eval_s, "num_train": len(train)}
        return {
            "ranks": rank_rows(job, evidence.ranks, index["test"], self.pack),
            "jobs": job_row(job, fit, found, self.pack, more),
        }

    def _ranks(self, job: Job, model: Any, test: Pairs, clips: data.Index, log: Log) -> dict[str, Any]:
        """The fields video_ND, music_ND and ranks of the evidence; no embeddings for a model that scores pairs."""
        song_N = test.song_B.cpu().numpy()
        if hasattr(model, "score"):
            return {"ranks": retrieve_scores(pair_scores(model, test, log), len(test), song_N)}
        if model is None:
            video_ND, music_ND = saved_vectors(job, clips)
        else:
            video_ND, music_ND = with_less(lambda rows: embed_rows(model, test, rows), len(test), log)
        log(f"{len(test)} test clips embedded")
        places = {2: self.device, 1: "cpu"}  # where the device has no room for the tiles, the CPU counts
        ranks = with_less(lambda place: retrieve(video_ND, music_ND, song_N, device=places[place]), 2, log)
        return {"video_ND": video_ND, "music_ND": music_ND, "ranks": ranks}

    def _data_findings(self, job: Job, parts: Mapping[str, Pairs], index: Mapping[str, data.Index]) -> list[Finding]:
        """The checks that look at the data alone, made once a fold and choice of features."""
        where = (job.folds, job.fold, job.module().NEEDS, getattr(job.module(), "STEPS", False))
        if where not in self.of_the_data:
            evidence = Evidence(
                test=parts["test"], train=parts["train"], val=parts["val"], song_N=parts["test"].song_B.cpu().numpy(),
                facts=data.facts(self.pack, index),
            )  # fmt: skip
            self.of_the_data[where] = checks.run(evidence, of_the_data=True)
        return self.of_the_data[where]

    def _index(self, job: Job) -> dict[str, data.Index]:
        if job.fold is not None:
            return data.fold_parts(self.pack, job.folds or 0, job.fold)
        index = data.split_parts(self.pack)
        return index if job.pool is None else index | {"test": in_pool(self.pack, index["test"], job.pool)}

    def _pairs(self, job: Job, index: Mapping[str, data.Index]) -> dict[str, Pairs]:
        """The tensors of this job's parts; those of the last fold are kept, as the next job often takes the same."""
        module = job.module()
        steps, tags = getattr(module, "STEPS", False), getattr(module, "TAGS", False)
        where = (job.folds, job.fold, module.NEEDS, steps, tags, job.own is not None)
        if where not in self.parts:
            self.parts = {}  # before the others are made: both need not fit
            made = data.pairs(self.pack, index, module.NEEDS, self.device, steps=steps, tags=tags)
            # the packed steps are of all clips; foreign code gets those of the part alone
            self.parts = {where: {name: part.alone() for name, part in made.items()} if job.own else made}
        return self.parts[where]

    def _left(self, job: Job, made: Made, log: Log) -> Made:
        """Writes what a fit leaves in its folder."""
        folder = self.folder / "fits" / job.key
        lines = [*log.lines, f"{now()} {'failed: ' + made.line if isinstance(made, Failed) else 'done'}", ""]
        write_atomically(folder / "log.txt", lambda path: path.write_text("\n".join(lines)))
        if isinstance(made, Failed):
            write_atomically(folder / "error.txt", lambda path: path.write_text(made.trace))
        else:
            (folder / "error.txt").unlink(missing_ok=True)
        return made
