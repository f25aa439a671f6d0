"""The rows of a fit in the tables `jobs` and `ranks`."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import Any

import pyarrow as pa
import torch

from benchmarks import checks, data, own_model, results
from benchmarks.checks import Finding
from benchmarks.fitting import Fit
from benchmarks.jobs import Job, plain
from benchmarks.ranking import Ranks
from benchmarks.towers import History, num_params
from svmbench.provenance import machine
from svmbench.records import V2M
from svmbench.settings import settings_hash


def job_row(job: Job, fit: Fit, findings: list[Finding], pack: data.Pack, more: Mapping[str, Any]) -> pa.Table:
    """more: the columns that only the worker knows, such as eval_s."""
    by_design = getattr(job.module(), "BY_DESIGN", ())
    gpu = torch.cuda.get_device_name() if more["device"] == "cuda" else None
    row = {
        "key": job.key, "dataset": pack.dataset, "revision": pack.revision, "split": job.split, "baseline": job.baseline,
        "variant": job.variant, "settings_hash": settings_hash(job.settings), "settings": json.dumps(plain(job.settings)),
        "seed": job.seed, "folds": job.folds, "fold": job.fold, "code": job.code, "commit": job.commit,
        "checks": sorted(f.check for f in findings if f.passed is False and f.check not in by_design),
        "findings": [f"{f.check}: {checks.WORDS[f.passed]}, {f.detail}" for f in findings],
        "pool": job.pool and json.dumps(job.pool.brief, sort_keys=True),
        "gpu": os.environ.get("CUDA_VISIBLE_DEVICES", ""), "started": fit.started, "train_s": fit.train_s,
        "num_params": own_model.num_params(fit.model) if job.own else num_params(fit.model),
        "peak_gpu_mb": torch.cuda.max_memory_allocated() / 2**20 if gpu else None,
        "hardware": json.dumps(machine() | {"gpu": gpu, "cuda": torch.version.cuda}, sort_keys=True),
        **_of(getattr(fit.model, "history", None)), **more, "device": gpu or "cpu",
    }  # fmt: skip
    return pa.Table.from_pylist([row], schema=results.JOBS_SCHEMA)


def _of(history: Any) -> dict[str, Any]:
    """How training went; nothing for a closed form."""
    if not isinstance(history, History):
        return {}
    return {
        "epochs": len(history.loss), "chosen_epoch": history.chosen, "chosen_by": history.chosen_by,
        "losses": list(history.loss), "val": list(history.val),
    }  # fmt: skip


def rank_rows(job: Job, ranks: Mapping[str, Ranks], index: data.Index, pack: data.Pack) -> pa.Table:
    """A row a query and direction."""
    songs_of = {V2M: [pack.song_ids[i] for i in index]}
    tables = []
    for direction, task in data.tasks(pack, index, job.split).items():
        num = len(task.query_ids)
        songs = songs_of.get(direction) or [query.removeprefix("m:") for query in task.query_ids]
        fixed = {"key": job.key, "baseline": job.baseline, "variant": job.variant, "seed": job.seed, "fold": job.fold}
        columns: dict[str, Any] = {name: [value] * num for name, value in fixed.items()}
        columns |= {"direction": [direction] * num, "query_id": list(task.query_ids), "song_id": songs}
        tables.append(pa.table(columns | ranks[direction].columns(), schema=results.RANKS_SCHEMA))
    return pa.concat_tables(tables)
