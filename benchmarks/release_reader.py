"""From a release, as 'svmbench publish' writes it, back to a run folder that baselines can be trained on.

What is read is release.json and Parquet files, nothing else: the clips of the configuration `metadata`, the parts of `splits`,
every `features_NAME`. Ids are the public ones. Authors, media files and what clips look and sound like are not
published, so a run made in this way does not know them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.feature_rows import BATCH_BYTES
from svmbench.errors import BadInput
from svmbench.hub import MARK
from svmbench.records import FEATURES_SCHEMA, Box, Clip, Split, to_table
from svmbench.store import RunFolder

STAGE = "import"
PARTS = {"train": "train", "validation": "val", "test": "test"}  # public names of the parts -> ours
MEASURE = "measure_"
COMMIT_BYTES = 64 << 20  # ours: of features in one part of the run's tables
METADATA = ("clip_id", "song_id", "start_s", "end_s", "fps", "width_px", "height_px")
BOX = ("left_px", "top_px", "width_px", "height_px")
AGAIN = "it was written by another version of svmbench; publish it again"


def import_release(folder: Path, run: RunFolder, source: Mapping[str, Any]) -> None:
    """Writes the tables clips, features_NAME and splits, and into the settings what the release is and where it is from.

    BadInput where the folder is no release of a dataset. A kill in between leaves nothing that the next attempt trips over.
    """
    mark = _mark(folder)
    try:
        _import(folder, run, mark)
    except pa.ArrowException as error:
        raise BadInput(f"{folder}: a table cannot be read ({' '.join(str(error).split())[:80]}): {AGAIN}") from error
    known = {"kind": "release", "name": mark["name"], "version": mark["version"], **source}
    run.write_settings({"import": known, "features": mark["features"], "svmbench": {"versions": {"svmbench": mark["svmbench"]}}})


def _import(folder: Path, run: RunFolder, mark: Mapping[str, Any]) -> None:
    with run.writing(STAGE) as writer:
        writer.clear()
        for name in mark["features"]:
            for number, table in enumerate(_features(folder, name)):
                writer.commit([f"{name}-{number}"], {f"features_{name}": table})
        rows = [row for path in _files(folder, "metadata") for row in pq.read_table(path).to_pylist()]
        writer.commit(["clips"], {"clips": to_table(Clip, [_clip(row, folder) for row in rows]), "splits": _splits(folder, mark)})


def _mark(folder: Path) -> dict[str, Any]:
    """What release.json says, checked."""
    try:
        mark = json.loads((folder / MARK).read_text())
        kind, named = mark["kind"], {name: str(mark[name]) for name in ("name", "version", "svmbench")}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BadInput(f"{folder}: {MARK} is missing or damaged; write the release anew") from error
    if kind != "dataset":
        raise BadInput(f"{folder} holds {kind}, which no baseline can be trained on; name the dataset itself")
    sides, split = mark.get("features"), mark.get("split")
    whole = isinstance(sides, dict) and sides and all(side in ("video", "music") for side in sides.values())
    if not whole or not isinstance(split, dict) or not {"grouped_by", "rule"} <= split.keys():
        raise BadInput(
            f"{folder}: {MARK} does not say which features are of the picture and which of the music, and the split: {AGAIN}"
        )
    return {**named, "features": sides, "split": split}


def _files(folder: Path, config: str) -> list[Path]:
    """The Parquet files of a configuration, one a part."""
    found = sorted((folder / config).glob("*.parquet"))
    if not found:
        raise BadInput(f"{folder} has no {config}: {AGAIN}")
    return found


def _clip(row: Mapping[str, Any], folder: Path) -> Clip:
    """The post of a published clip is not known, so it goes by the clip's id."""
    lacking = [name for name in (*METADATA, *(f"box_{side}" for side in BOX)) if name not in row]
    if lacking:
        raise BadInput(f"{folder}: metadata has no column {lacking[0]!r}: {AGAIN}")
    measures = {name.removeprefix(MEASURE): value for name, value in row.items() if name.startswith(MEASURE)}
    box = Box(**{name: row[f"box_{name}"] for name in BOX})
    return Clip(post_id=row["clip_id"], box=box, media="", measures=measures, **{name: row[name] for name in METADATA})


def _splits(folder: Path, mark: Mapping[str, Any]) -> pa.Table:
    rows = [
        Split(
            name=PARTS.get(path.stem, path.stem), clip_ids=tuple(pq.read_table(path, columns=["clip_id"])["clip_id"].to_pylist()),
            grouped_by=mark["split"]["grouped_by"], rule=mark["split"]["rule"],
        )
        for path in _files(folder, "splits")
    ]  # fmt: skip
    return to_table(Split, rows)


def _features(folder: Path, name: str) -> Iterator[pa.Table]:
    """The rows of one feature, a part of the run's table at a time."""
    if not re.fullmatch(r"[A-Za-z0-9][\w.-]*", name):
        raise BadInput(f"{folder}: {name!r} cannot be the name of a feature; publish it again")
    waiting: list[pa.RecordBatch] = []
    for path in _files(folder, f"features_{name}"):
        with pq.ParquetFile(path, buffer_size=1 << 20, pre_buffer=False) as file:
            size = sum(file.metadata.row_group(i).total_byte_size for i in range(file.metadata.num_row_groups))
            rows = max(1, int(BATCH_BYTES * file.metadata.num_rows / max(size, 1)))
            for batch in file.iter_batches(rows):
                waiting.append(batch)
                if sum(b.nbytes for b in waiting) >= COMMIT_BYTES:
                    yield _table(waiting, name, folder)
                    waiting = []
    if waiting:
        yield _table(waiting, name, folder)


def _table(batches: list[pa.RecordBatch], name: str, folder: Path) -> pa.Table:
    """Lists of fixed size, as they are published where all clips have one length, become plain lists."""
    try:
        return pa.concat_tables(
            pa.table({f.name: pa.table(batch)[f.name].cast(f.type) for f in FEATURES_SCHEMA}) for batch in batches
        )
    except (KeyError, pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:  # a column is missing, a value does not fit, or
        # pyarrow knows no cast between the two types, such as text for a list: its name for that is the last one
        raise BadInput(f"{folder}: the columns of features_{name} are not those of a feature: {AGAIN}") from error
