"""Where the features of each clip lie in a run's Parquet parts, and reading them a few megabytes at a time."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from svmbench import __version__
from svmbench.errors import BadInput
from svmbench.store import RunFolder

BATCH_BYTES = 8 << 20  # ours: of the features that are read at once
COLUMNS = {"clip_id": pa.string(), "num_steps": pa.int64(), "dim": pa.int64(), "values": None}  # None: any type


@dataclass(frozen=True)
class Rows:
    """The rows of one feature. place: clip -> (part, row in it, steps), the last row of a clip that has several. dim: D."""

    name: str
    parts: tuple[Path, ...]
    place: Mapping[str, tuple[int, int, int]]
    dim: int

    def values(self, clip_ids: Collection[str]) -> Iterator[tuple[str, npt.NDArray[np.float32]]]:
        """(clip, values_TD) of these clips, in the order in which they lie on the disk."""
        wanted = {self.place[clip_id][:2]: clip_id for clip_id in clip_ids}
        for number, part in enumerate(self.parts):
            row = 0
            for values, lengths, claimed in _batches(part):
                if not np.array_equal(lengths, claimed * self.dim):
                    raise BadInput(f"{part} is damaged: a row of the feature {self.name!r} has not the length that it claims")
                ends = np.cumsum(claimed)
                steps_PD = values.reshape(-1, self.dim)
                for end, length in zip(ends.tolist(), claimed.tolist(), strict=True):
                    if (number, row) in wanted:
                        yield wanted[number, row], steps_PD[end - length : end]
                    row += 1


def _batches(part: Path) -> Iterator[tuple[npt.NDArray[np.float32], npt.NDArray[Any], npt.NDArray[np.int64]]]:
    """The values of some rows one after the other, how many each row has, and its number of steps as it says. One batch is in
    memory at a time."""
    with pq.ParquetFile(part, buffer_size=1 << 20, pre_buffer=False) as file:
        groups = (file.metadata.row_group(i) for i in range(file.metadata.num_row_groups))
        size = sum(group.total_byte_size for group in groups) / max(1, file.metadata.num_rows)
        for batch in file.iter_batches(max(1, int(BATCH_BYTES / max(size, 1))), columns=["num_steps", "values"]):
            lengths = np.asarray(pc.list_value_length(batch["values"]))
            yield np.asarray(batch["values"].flatten(), np.float32), lengths, np.asarray(batch["num_steps"], np.int64)


def find(run: RunFolder, name: str) -> Rows:
    """The rows of a feature; BadInput where it has none, its table is of another version, or its clips have different widths."""
    parts = run.table_parts(f"features_{name}")
    place: dict[str, tuple[int, int, int]] = {}
    first_of: dict[int, str] = {}
    for number, part in enumerate(parts):
        require_columns(part, COLUMNS, f"features_{name}", run)
        table = read_columns(part, ("clip_id", "num_steps", "dim"))
        columns = (table[column].to_pylist() for column in table.column_names)
        for row, (clip_id, num_steps, dim) in enumerate(zip(*columns, strict=True)):
            place[clip_id] = (number, row, num_steps)
            first_of.setdefault(dim, clip_id)
    if not place:
        raise BadInput(
            f"{run.path} has no rows of the feature {name!r}; run 'svmbench curate' or 'svmbench import-features' first"
        )
    if len(first_of) > 1:
        raise BadInput(
            f"the feature {name!r} has clips of different width: {sorted(first_of)} "
            f"({', '.join(f'{first_of[dim]} has {dim}' for dim in sorted(first_of))}); extract or import it again"
        )
    return Rows(name, tuple(parts), place, next(iter(first_of)))


def require_columns(part: Path, columns: Mapping[str, pa.DataType | None], table: str, run: RunFolder) -> None:
    """BadInput where a part of a table lacks a column, or has it in another type (None: any), or is no Parquet file."""
    try:
        schema = pq.read_schema(part)
    except FileNotFoundError:
        raise  # another process may just have replaced it: make_pack reads again
    except (pa.ArrowInvalid, OSError) as error:
        raise BadInput(
            f"{part} cannot be read ({' '.join(str(error).split())[:80]}); put back a copy, or make the run again"
        ) from error
    for column, kind in columns.items():
        there = schema.field(column).type if column in schema.names else None
        if there is None or kind not in (None, there):
            what = "has no column" if there is None else f"has another type ({there}) in the column"
            raise BadInput(
                f"the table {table} of {run.path} {what} {column!r}: {_made_by(run)}; make the run again with this version"
            )


def _made_by(run: RunFolder) -> str:
    """Which version of svmbench made a run, as far as its settings say."""
    there = (run.settings().get("svmbench") or {}).get("versions", {}).get("svmbench", "unknown")
    return f"it was made by another version of svmbench ({there}; this is {__version__})"


def read_columns(part: Path, columns: Sequence[str]) -> pa.Table:
    """Those columns that the part has."""
    with pq.ParquetFile(part) as file:
        return file.read(columns=[name for name in columns if name in file.schema_arrow.names])
