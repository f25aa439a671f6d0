"""From ranks to scores. Scores, tests, tiers and records are derived: they are computed anew from the committed ranks whenever
something is added.

Only results of the current data revision count, and of each (split, baseline, variant) those of the newest version of settings
and code that has a complete set of folds, so a table never mixes revisions, settings or code within one row. The table `scored`
says which jobs that were.
"""

from __future__ import annotations

import json
import shutil
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from benchmarks import record
from benchmarks.compare import Comparison, Standing
from benchmarks.ranking import COUNTS, LISTS, Ranks
from benchmarks.record_group import grouped
from benchmarks.scoring import cells as cells  # the cells that a score table has
from svmbench import plugins
from svmbench.errors import BadInput
from svmbench.records import Score, from_table, to_table
from svmbench.store import RunFolder

RANKS_SCHEMA = pa.schema(
    [("key", pa.string()), ("baseline", pa.string()), ("variant", pa.string()), ("seed", pa.int64()), ("fold", pa.int64())]
    + [("direction", pa.string()), ("query_id", pa.string()), ("song_id", pa.string())]
    + [(name, pa.int64()) for name in COUNTS]
    + [(name, pa.list_(pa.int64())) for name in LISTS]
)
JOBS_SCHEMA = pa.schema(
    [(name, pa.string()) for name in ("key", "dataset", "revision", "split", "baseline", "variant", "settings_hash", "settings")]
    + [("seed", pa.int64()), ("folds", pa.int64()), ("fold", pa.int64()), ("code", pa.string()), ("commit", pa.string())]
    + [("checks", pa.list_(pa.string())), ("findings", pa.list_(pa.string())), ("device", pa.string()), ("gpu", pa.string())]
    + [("num_params", pa.int64()), ("wall_s", pa.float64()), ("started", pa.string()), ("train_s", pa.float64())]
    + [("eval_s", pa.float64()), ("num_train", pa.int64()), ("epochs", pa.int64()), ("chosen_epoch", pa.int64())]
    + [("chosen_by", pa.string()), ("losses", pa.list_(pa.float64())), ("val", pa.list_(pa.float64()))]
    + [("checkpoint", pa.string()), ("checkpoint_sha256", pa.string()), ("peak_gpu_mb", pa.float64()), ("hardware", pa.string())]
    + [("pool", pa.string())]
)  # one row a fit; hardware, pool: canonical JSON; checkpoint: path below the run folder; what a closed form lacks is null
OPTIONAL = frozenset(JOBS_SCHEMA.names[JOBS_SCHEMA.names.index("started") :])  # columns that the jobs of an older run lack
SCORED_SCHEMA = pa.schema([JOBS_SCHEMA.field(name) for name in ("key", "revision", "split")])
RESULTS = "results"  # folder of the records below the run folder


@dataclass(frozen=True)
class Result:
    """All folds of one baseline, variant and seed: job records, and per direction the queries in order of id with ranks."""

    jobs: list[dict[str, Any]]
    lists: dict[str, record.Listed]

    @property
    def name(self) -> str:
        return f"{self.jobs[0]['baseline']} {self.jobs[0]['variant']}"

    @property
    def ranks(self) -> dict[str, Ranks]:
        return {direction: found.ranks for direction, found in self.lists.items()}


def write(run: RunFolder, revision: str) -> None:
    """Replaces the tables scores, scored, tests and tiers, and the records in RUN/results, by what the committed ranks of this
    revision say."""
    found = read(run, revision)
    used = [{name: job[name] for name in SCORED_SCHEMA.names} for result in found for job in result.jobs]
    of_data = _of_data(run, revision)
    made = [record.make(result.jobs, result.lists, role=kind(result), data=of_data) for result in found]
    entries, tests, tiers = grouped(made)
    with run.writing("score") as writer:
        rows = [row for result, entry in zip(found, entries, strict=True) for row in scores(result, entry)]
        writer.replace(["scores"], {"scores": to_table(Score, rows), "scored": pa.Table.from_pylist(used, schema=SCORED_SCHEMA)})
        _write_records(run.path / RESULTS, entries)
    with run.writing("compare") as writer:
        writer.replace(["tests"], {"tests": to_table(Comparison, tests), "tiers": to_table(Standing, tiers)})


def _write_records(folder: Path, entries: Sequence[record.Entry]) -> None:
    """The records of the entries and no others: what they stand on is in the tables."""
    kept = {record.write(entry, folder).name for entry in entries}
    for path in folder.glob(f"*/{record.RECORD}"):
        if path.parent.name not in kept:
            path.unlink()  # first, so that what is left of a killed removal is no record
            shutil.rmtree(path.parent, ignore_errors=True)


def _of_data(run: RunFolder, revision: str) -> dict[str, Any]:
    """What the pack of this revision says of the data, as far as it is there: sha256 by feature, split_sha256, source."""
    path = run.path / "features" / revision[:16] / "pack.json"
    header = json.loads(path.read_text()) if path.is_file() else {}
    features = header.get("features", {})
    return {
        "features": {name: stored["sha256"] for name, stored in features.items() if "sha256" in stored},
        "split_sha256": header.get("split_sha256"), "source": header.get("source") or {},
    }  # fmt: skip


def read(run: RunFolder, revision: str) -> list[Result]:
    """The complete results of the newest version of each split, baseline and variant: one a seed. BadInput: the tables are of
    another version of svmbench."""
    jobs, ranks = run.read_table("jobs"), run.read_table("ranks")
    if jobs is None or ranks is None:
        return []
    _same_version(run, ranks, jobs)
    by_row: dict[tuple[str, ...], dict[tuple[str, ...], dict[int, dict[Any, dict[str, Any]]]]] = defaultdict(dict)
    whole = ranks.filter(ranks["above"].is_valid())  # the fits of an older version beside newer ones have none
    known = set(whole["key"].unique().to_pylist())
    for job in jobs.to_pylist():
        if job["revision"] == revision and job["key"] in known:
            versions = by_row[job["split"], job["baseline"], job["variant"]]
            version = (job["settings_hash"], job["code"])
            versions[version] = versions.pop(version, {})  # the newest stands last
            versions[version].setdefault(job["seed"], {})[job["fold"]] = job  # the newest, where only the key is another
    chosen: list[list[dict[str, Any]]] = []
    for versions in by_row.values():
        fits_of = [[list(fits.values()) for fits in seeds.values()] for seeds in versions.values()]
        complete = [[fits for fits in seeds if len(fits) == (fits[0]["folds"] or 1)] for seeds in fits_of]
        chosen += next((results for results in reversed(complete) if results), [])
    names = ("key", *(name for name in record.RANKS_COLUMNS if name != "fold"))
    columns = {name: whole[name].to_numpy(zero_copy_only=False) for name in names}
    columns["fold"] = whole["fold"].fill_null(-1).to_numpy()
    order = np.argsort(columns["key"].astype(str), kind="stable")
    keys = columns["key"].astype(str)[order]
    return [_result(group, columns, order, keys) for group in chosen]


def _same_version(run: RunFolder, ranks: pa.Table, jobs: pa.Table) -> None:
    for name, table, schema in (("ranks", ranks, RANKS_SCHEMA), ("jobs", jobs, JOBS_SCHEMA)):
        if missing := [column for column in schema.names if column not in table.column_names and column not in OPTIONAL]:
            raise BadInput(
                f"{run.path} was scored by another version of svmbench (its table {name!r} has no {missing[0]!r}); "
                "run the baselines again"
            )


def _result(
    jobs: list[dict[str, Any]], columns: Mapping[str, npt.NDArray[Any]], order: npt.NDArray[np.int64], keys: npt.NDArray[np.str_]
) -> Result:
    rows = np.concatenate([order[slice(*np.searchsorted(keys, [j["key"], j["key"] + "~"]))] for j in jobs])
    return Result(jobs, record.listed(columns, rows))


def scores(result: Result, entry: record.Entry) -> list[Score]:
    """The cells of one result as rows of the leaderboard. Pooled folds: each query counts once, ranked in its own fold."""
    first, rows = result.jobs[0], []
    same = {name: first[name] for name in ("dataset", "revision", "split", "baseline", "variant", "settings_hash", "seed")}
    for direction, found in entry.values["scores"].items():
        for label, value in found["metrics"].items():
            rows.append(
                Score(
                    **same, kind=entry.values["model"]["role"], direction=direction, num_queries=found["num_queries"],
                    gallery_size=found["gallery_size"], metric=label, value=value["value"],
                    ci95=None if value["ci95"] is None else tuple(value["ci95"]),
                    checks=tuple(entry.values["checks"]["failed"]), num_params=first["num_params"],
                    commit=first["commit"], device=first["device"], wall_s=sum(job["wall_s"] for job in result.jobs),
                )
            )  # fmt: skip
    return rows


def comparisons(run: RunFolder) -> list[Comparison]:
    """The paired tests as last written."""
    table = run.read_table("tests")
    return [] if table is None else from_table(Comparison, table)


def standings(run: RunFolder) -> list[Standing]:
    """The tiers as last written."""
    table = run.read_table("tiers")
    return [] if table is None else from_table(Standing, table)


def kind(result: Result) -> str:
    """Score.kind: 'chance', 'control' or 'measured'."""
    job = result.jobs[0]
    if job["baseline"] == "chance":
        return "chance"
    shipped = job["baseline"] in plugins.names("benchmarks.baselines")
    module = plugins.load("benchmarks.baselines", job["baseline"]) if shipped else None
    return "control" if "shuffled" in job["variant"] or getattr(module, "CONTROL", False) else "measured"
