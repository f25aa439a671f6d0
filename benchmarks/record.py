"""The record of one result: what a person keeps, checks and sends to another board. docs/results.md explains every key.

A result is one baseline, variant, settings and seed with all its folds. Its folder has ranks.parquet, one row a query, whose
bytes depend on the ranks alone; and record.json, written last and atomically, so that a folder is whole or no record. All scores
follow from ranks.parquet; time and machine stand in the record and nowhere else.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
from jsonschema import Draft202012Validator

from benchmarks import scoring, stats
from benchmarks.ranking import COUNTS, LISTS, Ranks
from benchmarks.record_input import FILE_SCHEMA, json_values, possible, ranks_table
from svmbench import __version__, plugins
from svmbench.errors import BadInput
from svmbench.provenance import versions
from svmbench.records import DIRECTIONS
from svmbench.store import disk_errors, sha256_file, write_atomically, write_json

SCHEMA = "svmbench.result/1"
RECORD, RANKS = "record.json", "ranks.parquet"
FIT_FIELDS = ("key", "fold", "started", "wall_s", "train_s", "eval_s", "device", "gpu", "num_train", "epochs", "chosen_epoch",
              "chosen_by", "peak_gpu_mb", "checkpoint", "checkpoint_sha256")  # fmt: skip
RANKS_COLUMNS = tuple(FILE_SCHEMA.names)
METHOD = "song bootstrap, percentile"


@dataclass(frozen=True)
class Listed:
    """The queries of one direction in order of id: ids, songs, fold (-1 without folds), ranks."""

    queries: npt.NDArray[np.str_]
    songs: npt.NDArray[np.str_]
    folds: npt.NDArray[np.int64]
    ranks: Ranks

    def of_fold(self, fold: int) -> Listed:
        """The queries of one fold alone."""
        own = self.folds == fold
        columns = {
            name: [x for x, mine in zip(column, own, strict=True) if mine] for name, column in self.ranks.columns().items()
        }
        return Listed(self.queries[own], self.songs[own], self.folds[own], Ranks.from_columns(columns))


@dataclass(frozen=True)
class Entry:
    """A record with the ranks behind it. folder: where it was read; None for one that was just made."""

    values: dict[str, Any]
    lists: dict[str, Listed]
    folder: Path | None = None

    @property
    def key(self) -> str:
        return str(self.values["key"])

    @property
    def title(self) -> str:
        """For people, e.g. 'cca default, seed 0 (3fa1c2...)'."""
        model = self.values["model"]
        return f"{model['baseline']} {model['variant']}, seed {self.values['seed']} ({self.key[7:19]})"


def make(jobs: Sequence[Mapping[str, Any]], lists: Mapping[str, Listed], *, role: str, data: Mapping[str, Any]) -> Entry:
    """A record from the rows of the table `jobs` of one result (all its folds) and their ranks. role: see benchmarks.compare.
    data: what is known of the data beside what the jobs say: features, split_sha256, source."""
    first, fits = jobs[0], sorted(jobs, key=lambda job: job["fold"] or 0)
    hardware = {job["hardware"]: json.loads(job["hardware"]) for job in fits if job.get("hardware")}
    shipped = first["baseline"] in plugins.names("benchmarks.baselines")
    values = {
        "schema": SCHEMA, "key": key_of([job["key"] for job in jobs]), "kind": "reproduced" if shipped else "submitted",
        "model": {
            "baseline": first["baseline"], "variant": first["variant"], "role": role, "num_params": first["num_params"],
            "settings": json.loads(first["settings"]), "settings_hash": first["settings_hash"],
        },
        "data": {
            "dataset": first["dataset"], "revision": first["revision"], "split": first["split"], "folds": first["folds"],
            "split_sha256": data.get("split_sha256"), "features": dict(data.get("features", {})),
            "source": dict(data.get("source", {})), "queries_sha256": {d: queries_sha256(found) for d, found in lists.items()},
        },
        "protocol": {
            "metric_spec": scoring.METRIC_SPEC, "gallery_unit": "song", "ties": "random order",
            "pool": json.loads(first.get("pool") or "null"),
        },
        "seed": first["seed"],
        "scores": {d: scoring.scores(found.ranks, found.songs) for d, found in lists.items()},
        "uncertainty": {"method": METHOD, "replicates": stats.REPLICATES, "seed": 0},
        "group": None,
        "checks": {
            "failed": sorted({name for job in fits for name in job["checks"]}),
            "findings": [text for job in fits for text in job["findings"] or ()],
        },
        "code": {
            "version": __version__, "commit": first["commit"].removesuffix("+"), "dirty": first["commit"].endswith("+"),
            "hash": first["code"], "packages": _packages(),
        },
        "run": {"fits": [{name: job.get(name) for name in FIT_FIELDS} for job in fits], "hardware": list(hardware.values())},
        "artifacts": {"ranks": {"path": RANKS, "sha256": None, "num_rows": sum(len(found.ranks) for found in lists.values())}},
        "provenance": {"submitted_by": None, "source_url": None, "notes": ""},
    }  # fmt: skip
    return Entry(values, dict(lists))


@lru_cache
def _packages() -> dict[str, str]:
    return versions()


def key_of(job_keys: Sequence[str]) -> str:
    """The key of a result from those of its fits."""
    return "sha256:" + hashlib.sha256(" ".join(sorted(job_keys)).encode()).hexdigest()


def queries_sha256(found: Listed) -> str:
    """What was asked: sha256 over the queries with their songs, folds and numbers of candidates, one a line."""
    columns = zip(found.queries, found.songs, found.folds, found.ranks.num_candidates, strict=True)
    return hashlib.sha256("".join(f"{q}\t{s}\t{f}\t{n}\n" for q, s, f, n in columns).encode()).hexdigest()


def folder_name(values: Mapping[str, Any]) -> str:
    """BASELINE-VARIANT-KEY12, of letters, digits, dots, dashes and underscores."""
    model = values["model"]
    name = "".join(c if c.isalnum() or c in "._" else "-" for c in f"{model['baseline']}-{model['variant']}")
    return f"{name}-{values['key'].removeprefix('sha256:')[:12]}"


def write(entry: Entry, parent: Path) -> Path:
    """Writes the folder of a record under `parent`, record.json last. Returns the folder."""
    folder = parent / folder_name(entry.values)
    with disk_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    write_atomically(folder / RANKS, partial(pq.write_table, _table(entry.lists), compression="zstd"))
    ranks = {**entry.values["artifacts"]["ranks"], "sha256": sha256_file(folder / RANKS)}
    write_json(folder / RECORD, {**entry.values, "artifacts": {**entry.values["artifacts"], "ranks": ranks}})
    return folder


def _table(lists: Mapping[str, Listed]) -> pa.Table:
    parts = []
    for direction, found in lists.items():
        columns = found.ranks.columns()
        rows = {
            "direction": [direction] * len(found.ranks), "query_id": found.queries.tolist(), "song_id": found.songs.tolist(),
            "fold": [None if fold < 0 else fold for fold in found.folds.tolist()],
            **{name: columns[name] for name in COUNTS}, **{name: list(columns[name]) for name in LISTS},
        }  # fmt: skip
        parts.append(pa.Table.from_pydict(rows, schema=FILE_SCHEMA))
    return pa.concat_tables(parts).combine_chunks()


def find(paths: Sequence[Path]) -> list[Path]:
    """Record folders at or below the paths: a record's folder, a folder of such, or a run folder. BadInput where none is."""
    found: list[Path] = []
    for path in paths:
        places = [path, path / "results"]
        here = [p for p in places if (p / RECORD).is_file()]
        here += sorted(p.parent for place in places for p in place.glob(f"*/{RECORD}"))
        if not here and (path / "tables" / "ranks").is_dir():
            raise BadInput(
                f"{path} has ranks and no records: it was scored by another version of svmbench, or stopped before its end; "
                "run the baselines again"
            )
        if not here:
            raise BadInput(
                f"{path} has no results (no {RECORD} in it, below it, or in its results/); make some with run-baselines"
            )
        found += [p for p in here if p not in found]
    return found


def read_values(folder: Path) -> dict[str, Any]:
    """The values of a record of this version; BadInput otherwise."""
    try:
        values = json_values(folder / RECORD)
    except (OSError, ValueError) as error:
        raise BadInput(f"{folder / RECORD} cannot be read ({error}); copy the folder again") from error
    schema = values.get("schema") if isinstance(values, dict) else None
    if schema != SCHEMA:
        raise BadInput(
            f"{folder / RECORD} is of another version: its schema is {str(schema)[:40]!r}, this svmbench reads {SCHEMA!r}; "
            "use the svmbench that wrote it, or run the baselines again"
        )
    return dict(values)


def schema_faults(values: Mapping[str, Any]) -> list[str]:
    """Where a record is not as record.schema.json says: 'place: what is wrong'."""
    errors = sorted(_validator().iter_errors(values), key=lambda error: [str(part) for part in error.absolute_path])
    return [f"{'.'.join(map(str, error.absolute_path)) or 'record'}: {error.message[:200]}" for error in errors]


@lru_cache
def _validator() -> Draft202012Validator:
    schema = json.loads(resources.files("benchmarks").joinpath("record.schema.json").read_text(encoding="utf-8"))
    return Draft202012Validator(schema)


def read(folder: Path) -> Entry:
    """A record with its ranks; BadInput where it is of another version or not whole, BadScores where its ranks are not."""
    values = read_values(folder)
    if faults := schema_faults(values):
        raise BadInput(f"{folder / RECORD}: {faults[0]}")
    lists = read_ranks(folder)
    if not set(values["scores"]) == set(values["data"]["queries_sha256"]) == set(lists):
        raise BadInput(f"{folder}: {RECORD} and {RANKS} are of other directions; one of the two was changed")
    return Entry(values, lists, folder)


def read_ranks(folder: Path) -> dict[str, Listed]:
    """The ranks beside a record, by direction; BadScores where they are missing or contradict themselves."""
    table = ranks_table(folder / RANKS)
    folds = table["fold"].fill_null(-1).to_numpy()
    columns = {name: table[name].to_numpy(zero_copy_only=False) for name in RANKS_COLUMNS if name != "fold"} | {"fold": folds}
    found = listed(columns, np.arange(table.num_rows))
    for one in found.values():
        possible(one.ranks, folder / RANKS)
    return found


def listed(columns: Mapping[str, npt.NDArray[Any]], rows: npt.NDArray[np.int64]) -> dict[str, Listed]:
    """Some rows of a table of ranks, by direction and in order of query and fold. columns: RANKS_COLUMNS; fold -1 for none."""
    found = {}
    for direction in DIRECTIONS:
        own = rows[columns["direction"][rows] == direction]
        own = own[np.lexsort((columns["fold"][own].astype(np.int64), columns["query_id"][own].astype(str)))]
        if len(own):
            ranks = Ranks.from_columns({name: columns[name][own] for name in (*COUNTS, *LISTS)})
            queries, songs = columns["query_id"][own].astype(str), columns["song_id"][own].astype(str)
            found[direction] = Listed(queries, songs, columns["fold"][own].astype(np.int64), ranks)
    return found
