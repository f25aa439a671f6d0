"""A list that somebody published, read as a stream of rows: csv, tsv, txt, Parquet, a run folder's posts or a release's ids.

A row's place is its line in a text file, as an editor counts them, and its number from 1 in Parquet: memory does not grow with
the list, and reading goes on after any place.
"""

from __future__ import annotations

import csv
import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from svmbench.errors import BadInput
from svmbench.store import RunFolder

KINDS = "csv, tsv, txt or Parquet"
LOOK_BYTES = 2**16  # ours: so much of a file tells what it is
BATCH_ROWS = 4096  # ours: of Parquet in memory
WHOLE_LINE = "\x1f"  # a delimiter that no list has: the line is one cell
Row = tuple[int, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class Table:
    """columns: their names. rows(after, columns): (place, cells of these columns) of each row beyond a place."""

    columns: tuple[str, ...]
    rows: Callable[[int, Sequence[str]], Iterator[Row]]


def table(source: str, is_header: Callable[[Sequence[str]], bool]) -> Table:
    """The list at a path. is_header says whether the first row of a text file names its columns. BadInput if it is no list."""
    path = Path(source).expanduser()
    try:
        parts = files(path)
        if parts[0].suffix == ".parquet" or _starts(parts[0]).startswith(b"PAR1"):
            return _parquet(parts)
        return _text(path, is_header)
    except OSError as error:
        raise BadInput(f"{source} cannot be read ({error.strerror}); name a list: {KINDS}") from error


def files(path: Path) -> list[Path]:
    """The files of which a list is made, in order: the file itself, or Parquet parts in a run folder or a release's ids."""
    if not path.is_dir():
        return [path]
    parts = RunFolder(path).table_parts("posts") if RunFolder(path).is_run() else sorted((path / "ids").glob("*.parquet"))
    if not parts:
        raise BadInput(f"{path} is a folder without posts or ids; name a list ({KINDS}), a run folder or a release's ids folder")
    return parts


def _starts(path: Path) -> bytes:
    with path.open("rb") as handle:
        return handle.read(LOOK_BYTES)


# -- text
def _text(path: Path, is_header: Callable[[Sequence[str]], bool]) -> Table:
    start = _starts(path)
    encoding = "utf-16" if start[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    if encoding != "utf-16" and b"\0" in start:
        raise BadInput(f"{path} is not text, whatever its name says; a list is {KINDS}")
    lines = start.decode(encoding, "ignore").splitlines()
    first = next((line for line in lines if line.strip() and not line.lstrip().startswith("#")), "")
    delimiter = max("\t,;", key=first.count) if any(mark in first for mark in "\t,;") else WHOLE_LINE
    shape: dict[str, Any] = {"delimiter": delimiter, "skipinitialspace": True}
    if delimiter == WHOLE_LINE:
        shape["quoting"] = csv.QUOTE_NONE

    def cells() -> Iterator[tuple[int, list[str]]]:
        with path.open(encoding=encoding, errors="replace", newline="") as handle:
            numbered = _Numbered(handle)
            try:
                for row in csv.reader(numbered, **shape):
                    yield numbered.number, row
            except csv.Error as error:
                raise BadInput(f"{path}, line {numbered.number}: {error}; mend the line") from error

    top = next(cells(), None)
    if top is None:
        raise BadInput(f"{path} is empty; a list has an id or a link in each row")
    named = is_header(top[1])
    columns = tuple(name.strip() for name in top[1]) if named else tuple(f"column {n}" for n in range(1, len(top[1]) + 1))

    def rows(after: int, wanted: Sequence[str]) -> Iterator[Row]:
        places = [columns.index(name) for name in wanted]
        for number, row in itertools.islice(cells(), int(named), None):
            if number > after:
                yield number, tuple(row[n].strip() if n < len(row) else "" for n in places)

    return Table(columns, rows)


class _Numbered:
    """The lines that count, comments and blank ones left out; number: of the last one taken."""

    def __init__(self, lines: Iterator[str]) -> None:
        self._lines, self.number = enumerate(lines, 1), 0

    def __iter__(self) -> Iterator[str]:
        for number, line in self._lines:
            self.number = number
            if (text := line.strip()) and not text.startswith("#"):
                yield line


# -- Parquet
def _parquet(parts: list[Path]) -> Table:
    try:
        schema = pq.read_schema(parts[0])
        num_rows = sum(pq.read_metadata(part).num_rows for part in parts)
    except pa.ArrowException as error:
        raise _damaged(parts[0], error) from error
    columns = tuple(field.name for field in schema if _is_plain(field.type))
    if not num_rows:
        raise BadInput(f"{parts[0]} has no rows; a list has an id or a link in each row")

    def rows(after: int, wanted: Sequence[str]) -> Iterator[Row]:
        place = 0
        for part in parts:
            with pq.ParquetFile(part) as file:
                if place + file.metadata.num_rows <= after:
                    place += file.metadata.num_rows
                    continue
                for batch in _whole(part, file.iter_batches(BATCH_ROWS, columns=list(wanted))):
                    for row in zip(*(batch.column(name).to_pylist() for name in wanted), strict=True):
                        place += 1
                        if place > after:
                            yield place, tuple("" if cell is None else str(cell).strip() for cell in row)

    return Table(columns, rows)


def _whole(part: Path, batches: Iterator[Any]) -> Iterator[Any]:
    try:
        yield from batches
    except (pa.ArrowException, OSError) as error:
        raise _damaged(part, error) from error


def _damaged(part: Path, error: Exception) -> BadInput:
    return BadInput(f"{part} is not a whole Parquet file ({' '.join(str(error).split())[:80]}); fetch it anew")


def _is_plain(kind: pa.DataType) -> bool:
    value = kind.value_type if pa.types.is_dictionary(kind) else kind
    return pa.types.is_string(value) or pa.types.is_large_string(value) or pa.types.is_integer(value)
