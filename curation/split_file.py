"""Reads a split that somebody published: which id stands in which part, and what else the file tells of it.

A file (.csv, .tsv, .jsonl, .json, .parquet) has a row an id, with a column for the part; or it is a JSON object {part: [ids]} or
{id: part}. A folder has a file for each part ('train.csv', 'test-00000-of-00002.parquet', 'val/ids.txt'), whose rows need no
column for the part; .txt files have an id a line.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from svmbench.errors import BadInput

# What such columns are called; the first that a file has is taken. Ours, from files that were seen.
COLUMNS = {
    "clip": ("clip_id", "segment_id", "sample_id", "id", "key", "name", "file_name", "filename"),
    "post": ("post_id", "video_id", "youtube_id", "ytid", "aweme_id", "video"),
    "part": ("part", "split", "set", "subset", "partition", "fold"),
    "song": ("song_id", "music_id", "track_id", "song", "music", "track", "audio_id"),
    "fingerprint": ("fingerprint", "acoustid"),
    "near-duplicate": ("cluster", "near_duplicate", "duplicate_of", "dup_cluster"),
    "author": ("author_hash", "author_id", "author", "uploader_id", "uploader", "channel_id", "user_id", "user"),
    "media": ("media", "sha256", "md5"),
}
NAMES = {"train": "train", "training": "train", "val": "val", "valid": "val", "validation": "val", "dev": "val", "test": "test",
         "testing": "test", "eval": "test"}  # fmt: skip
SUFFIXES = (".csv", ".tsv", ".jsonl", ".json", ".parquet", ".txt")


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One line of a split. marks: kind ('clip', 'post', 'song', ...) -> value, for what is told; `where` is for people."""

    where: str
    part: str
    marks: Mapping[str, str]


def read(path: Path, columns: Mapping[str, str] | None = None) -> list[Row]:
    """The rows of a file or folder. columns: kind -> the name of its column, where the file has another than COLUMNS knows.

    BadInput where nothing can be read, no part is told, or nothing tells one row from another.
    """
    chosen = dict(columns or {})
    if unknown := set(chosen) - set(COLUMNS):
        raise BadInput(f"--columns: {', '.join(sorted(unknown))} is not one of {', '.join(COLUMNS)}")
    if path.is_dir():
        files = [(file, _part_of(file.relative_to(path))) for file in sorted(path.rglob("*")) if file.suffix in SUFFIXES]
        told = [(file, part) for file, part in files if part]
        if not told:
            raise BadInput(f"{path} has no file that is named after a part, such as train.csv or test.parquet")
    elif path.is_file():
        told = [(path, "")]
    else:
        raise BadInput(f"{path} does not exist; name a run folder, a file or a folder that holds a split")
    rows = [row for file, part in told for row in _rows(file, part, chosen)]
    if not rows:
        raise BadInput(f"{path} has no rows")
    return rows


def columns_of(text: str) -> dict[str, str]:
    """'song=music_id,author=user' as {'song': 'music_id', 'author': 'user'}; BadInput where it is not like that."""
    pairs = [piece.partition("=") for piece in text.split(",") if piece.strip()]
    if not all(kind.strip() and column.strip() for kind, _, column in pairs):
        raise BadInput(f"--columns {text!r}: write KIND=COLUMN, more of them separated by commas, such as song=music_id")
    return {kind.strip(): column.strip() for kind, _, column in pairs}


def _part_of(path: Path) -> str:
    """'test' for 'data/test-00000-of-00001.parquet' and for 'test/ids.csv'; '' where no word of the path names a part."""
    for piece in (path.stem, *reversed(path.parts[:-1])):
        for word in re.split(r"[^a-z]+", piece.lower()):
            if word in NAMES:
                return NAMES[word]
    return ""


def _rows(path: Path, part: str, chosen: Mapping[str, str]) -> Iterator[Row]:
    names: Sequence[str] | None = None
    for number, record in enumerate(_records(path, set(chosen.values())), start=1):
        if names is None:
            names = [name for name in record if name]  # cells without a heading have none
            column_of = _columns(path, names, chosen)
            if not part and "part" not in column_of:
                raise BadInput(f"{path} has no column that names the part, such as 'split'; it has {', '.join(names)}")
            if not set(column_of) - {"part"}:
                raise BadInput(f"{path} has no column with an id that is known; it has {', '.join(names)}; see --columns")
        found = {kind: text for kind, column in column_of.items() if (text := _text(record.get(column)))}
        where = found.pop("part", "") or part
        if not where:
            raise BadInput(f"{path}: row {number} is in no part")
        marks = found if "clip" in found or "post" in found else {**found, "clip": f"{path.name} row {number}"}
        yield Row(where=marks.get("clip") or marks["post"], part=NAMES.get(where.lower(), where), marks=marks)


def _columns(path: Path, names: Sequence[str], chosen: Mapping[str, str]) -> dict[str, str]:
    """Kind -> the column that has it."""
    if missing := [column for column in chosen.values() if column not in names]:
        raise BadInput(f"{path} has no column {missing[0]!r}; it has {', '.join(names)}")
    lower = {name.lower(): name for name in names}
    found = {kind: next((lower[known] for known in options if known in lower), "") for kind, options in COLUMNS.items()}
    return {kind: column for kind, column in {**found, **chosen}.items() if column}


def _records(path: Path, more: set[str]) -> Iterable[Mapping[str, Any]]:
    """more: columns that are wanted beside the known ones."""
    try:
        if path.suffix == ".parquet":
            return _parquet(path, more)
        text = path.read_text(encoding="utf-8-sig")
        if path.suffix in (".csv", ".tsv"):
            return list(csv.DictReader(io.StringIO(text, newline=""), delimiter="\t" if path.suffix == ".tsv" else ","))
        lines = [line for line in text.split("\n") if line.strip()]  # a caption may hold other line ends, such as U+2028
        if path.suffix == ".txt":
            return [{"id": line} for line in lines]
        if path.suffix == ".jsonl":
            return [_record(json.loads(line)) for line in lines]
        if path.suffix == ".json":
            return _json(json.loads(text))
    except (OSError, ValueError, RecursionError, csv.Error, pa.ArrowException) as error:  # ValueError: bad UTF-8 or JSON
        raise BadInput(f"{path} cannot be read: {' '.join(str(error).split())[:200]}") from error
    raise BadInput(f"{path}: a split is read from {', '.join(SUFFIXES)}")


def _parquet(path: Path, more: set[str]) -> list[dict[str, Any]]:
    known = {name for names in COLUMNS.values() for name in names}
    file = pq.ParquetFile(path)
    simple = [field.name for field in file.schema_arrow if not pa.types.is_nested(field.type)]
    wanted = [name for name in simple if name.lower() in known or name in more] or simple  # vectors and bytes are not read
    return list(file.read(columns=wanted).to_pylist())


def _json(value: Any) -> list[Mapping[str, Any]]:
    """A list of records or ids, {part: [ids or records]}, {id: record} or {id: part}."""
    if isinstance(value, list):
        return [_record(one) for one in value]
    if not isinstance(value, dict):
        raise ValueError("neither a list nor an object")
    if all(isinstance(ids, list) for ids in value.values()):
        return [{**_record(one), "part": name} for name, ids in value.items() for one in ids]
    return [{"id": name, **(told if isinstance(told, dict) else {"part": told})} for name, told in value.items()]


def _record(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {"id": value}


def _text(value: Any) -> str:
    """A value as text; '' for what is not told (None, NaN, empty)."""
    if value is None or value != value or isinstance(value, dict | list):
        return ""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value).strip()
