"""Reading a record that may be a stranger's: what is refused before anything is computed from it.

Whatever the files hold, the answer is a record or one line. Numbers are finite and of a size that a computer can hold, text is
Unicode, and the ranks are those of some gallery.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from benchmarks.ranking import COUNTS, LISTS, Ranks
from svmbench.errors import BadScores

FILE_SCHEMA = pa.schema(
    [("direction", pa.string()), ("query_id", pa.string()), ("song_id", pa.string()), ("fold", pa.int64())]
    + [(name, pa.int64()) for name in COUNTS]
    + [(name, pa.list_(pa.int64())) for name in LISTS]
)  # of ranks.parquet
MOST_CANDIDATES = 10_000_000  # of a query; ours. More is no gallery, and would take the memory of this machine
MOST_DIGITS = 18  # of a whole number; ours
DEEPEST = 40  # values within values; ours, a record has 7


def json_values(path: Path) -> Any:
    """The JSON of a file; ValueError where it is none, or holds what no record holds. OSError where it cannot be read."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"), parse_constant=_finite, parse_float=_finite, parse_int=_whole)
    except RecursionError as error:
        raise ValueError("values within values without end") from error
    level, depth = [found], 0
    while level := [node for node in level if isinstance(node, dict | list)]:
        depth += 1
        if depth > DEEPEST:
            raise ValueError(f"values within values, more than {DEEPEST} deep")
        level = [child for node in level for child in (node.values() if isinstance(node, dict) else node)]
    json.dumps(found, ensure_ascii=False).encode()  # UnicodeEncodeError, a ValueError, for half a character
    return found


def _finite(text: str) -> float:
    if not math.isfinite(value := float(text)):
        raise ValueError(f"{text[:20]} is no finite number")
    return value


def _whole(text: str) -> int:
    if len(text.lstrip("-")) > MOST_DIGITS:
        raise ValueError(f"a number of {len(text)} digits")
    return int(text)


def ranks_table(path: Path) -> pa.Table:
    """The table of ranks.parquet; BadScores where it is missing, of other columns, or has gaps."""
    try:
        table = pq.read_table(path, partitioning=None)
        table.validate(full=True)
    except (OSError, pa.ArrowException, MemoryError) as error:
        raise BadScores(f"{path} cannot be read ({type(error).__name__}); copy the folder again") from error
    for field in FILE_SCHEMA:
        if field.name not in table.column_names:
            raise BadScores(f"{path} has no column {field.name!r}; it was written by another version")
        if table.schema.field(field.name).type != field.type:
            raise BadScores(f"{path}: column {field.name!r} is {table.schema.field(field.name).type} and not {field.type}")
    if more := [name for name in table.column_names if name not in FILE_SCHEMA.names]:
        raise BadScores(f"{path} has a column {more[0]!r} that no ranks have")
    for name in FILE_SCHEMA.names:
        gaps = table[name].null_count if name != "fold" else 0
        if gaps or (name in LISTS and pc.list_flatten(table[name]).null_count):
            raise BadScores(f"{path}: column {name!r} has gaps")
    for name in LISTS:
        if pc.any(pc.equal(pc.list_value_length(table[name]), 0)).as_py():
            raise BadScores(f"{path}: a query has no positive in {name!r}")
    return table


def possible(ranks: Ranks, path: Path) -> None:
    """BadScores where positives cannot stand so in any gallery."""
    limit_P = ranks.num_candidates[ranks.query]
    if ranks.num_candidates.min() < 1 or ranks.num_candidates.max() > MOST_CANDIDATES:
        raise BadScores(f"{path}: 'num_candidates' must be 1 to {MOST_CANDIDATES:,}")
    inside_P = (ranks.above >= 0) & (ranks.level >= 1) & (ranks.above <= limit_P) & (ranks.level <= limit_P)
    if not inside_P.all() or (ranks.above + ranks.level > limit_P).any() or (ranks.num_right > ranks.num_candidates).any():
        raise BadScores(f"{path}: a positive stands outside its gallery")
    same_P = np.diff(ranks.query, prepend=-1) == 0
    if (np.diff(ranks.above, prepend=0)[same_P] < 0).any():
        raise BadScores(f"{path}: the positives of a query are not in the order of 'above'")
    if (ranks.right_above > ranks.above).any() or (ranks.right_level > ranks.level).any():
        raise BadScores(f"{path}: more positives than candidates stand at one place")
