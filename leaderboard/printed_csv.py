"""A published table that a user typed into a csv file, as printed tables. docs/audit.md describes the columns.

Either one row a system, with a column a metric, or one row a figure, with the columns `metric` and `value`. The decimals are kept
as they stand in the file: the audit needs them.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from pathlib import Path

from leaderboard.published import Figure, PrintedTable, tables
from svmbench.errors import BadInput, UnknownName
from svmbench.records import M2V, V2M

COLUMNS = ("system", "setting", "direction", "pool_size", "table", "dataset")
LONG = ("metric", "value")
METRICS = {"medr": "median_rank", "median_rank": "median_rank", "meanr": "mean_rank", "mean_rank": "mean_rank", "mrr": "mrr",
           "map": "map"}  # fmt: skip
AT_K = {"r": "recall", "recall": "recall", "ndcg": "ndcg"}
DIRECTIONS = {"": None, "v2m": V2M, V2M: V2M, "m2v": M2V, M2V: M2V}
NUMBER = re.compile(r"\d+(\.\d+)?")
ABSENT = ("", "-", "–", "—")
MAX_BYTES = 10_000_000  # a table of a paper has a few thousand; ours


def read_printed(path: Path) -> list[PrintedTable]:
    """The tables of a csv file, without flags yet. BadInput or UnknownName with one line for whatever is wrong with it."""
    text = _text(path)
    delimiter = max(",;\t", key=next((line for line in text.splitlines() if line.strip()), "").count)
    try:
        lines = list(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True))
    except csv.Error as error:
        raise BadInput(f"{path} is no csv file: {error}") from error
    rows = [(number, [cell.strip() for cell in line]) for number, line in enumerate(lines, 1) if any(map(str.strip, line))]
    if len(rows) < 2:
        raise BadInput(f"{path} has no rows: a line with the names of the columns, then one line a system, is needed")
    names = _names(rows[0][1], path)
    figures: dict[tuple[object, ...], Figure] = {}
    for number, cells in rows[1:]:
        if len(cells) != len(names):
            raise BadInput(f"{path}, line {number}: {len(cells)} cells under {len(names)} column names")
        for figure in _figures(dict(zip(names, cells, strict=True)), f"{path}, line {number}", number):
            where = (
                figure.table,
                figure.dataset,
                figure.direction,
                figure.pool_size,
                figure.system,
                figure.setting,
                figure.metric,
            )
            if where in figures:
                raise BadInput(
                    f"{path}, line {number}: {figure.metric} of {figure.system!r} stands on line {figures[where].line} too"
                )
            figures[where] = figure
    if not figures:
        raise BadInput(f"{path} has no figure: all of its metric cells are empty")
    return tables(figures.values())


def _text(path: Path) -> str:
    try:
        if path.stat().st_size > MAX_BYTES:
            raise BadInput(f"{path} has {path.stat().st_size} bytes; a printed table has less than {MAX_BYTES}")
        return path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise BadInput(f"{path} cannot be read ({error.strerror})") from error
    except UnicodeDecodeError as error:
        raise BadInput(f"{path} is not in UTF-8 (byte {error.start}); save it as 'CSV UTF-8'") from error


def _names(header: list[str], path: Path) -> list[str]:
    """Columns by our names: those of COLUMNS and LONG, and metrics as in 'recall@10'."""
    names = [name.lower() if name.lower() in (*COLUMNS, *LONG) else metric_name(name) for name in header]
    twice = [name for name in names if names.count(name) > 1]
    if twice:
        raise BadInput(f"{path}: the column {twice[0]!r} stands there twice")
    metrics = [name for name in names if name not in (*COLUMNS, *LONG)]
    if "system" not in names or not (metrics or set(LONG) <= set(names)) or (metrics and set(LONG) & set(names)):
        raise BadInput(f"{path}: needs the column 'system', and a column a metric or the two columns 'metric' and 'value'")
    return names


def metric_name(name: str) -> str:
    """'R@10' -> 'recall@10', 'MedR' -> 'median_rank'; UnknownName otherwise."""
    plain = re.sub(r"[\s-]+", "_", name.strip().lower())
    found = re.fullmatch(r"(\w+?)_?@_?([1-9]\d{0,6})", plain)
    if found and found[1] in AT_K:
        return f"{AT_K[found[1]]}@{found[2]}"
    if plain in METRICS:
        return METRICS[plain]
    raise UnknownName("metric or column", name, [*COLUMNS, *LONG, "R@K", "NDCG@K", "MedR", "MeanR", "MRR", "mAP"])


def _figures(row: dict[str, str], place: str, number: int) -> Iterator[Figure]:
    if not row["system"]:
        raise BadInput(f"{place}: has no system")
    direction = row.get("direction", "").lower()
    if direction not in DIRECTIONS:
        raise BadInput(f"{place}: direction is {row['direction']!r}; allowed: {V2M}, {M2V}, or nothing")
    pool = row.get("pool_size", "")
    if pool and not (pool.isdecimal() and 2 <= int(pool) < 10**9):
        raise BadInput(f"{place}: pool_size is {pool!r}; it must be a whole number from 2, or nothing where it is not known")
    size = int(pool) if pool else None
    printed = (
        {metric_name(row["metric"]): row["value"]} if "metric" in row else {n: v for n, v in row.items() if n not in COLUMNS}
    )
    for metric, value in printed.items():
        if value in ABSENT:
            continue
        yield Figure(
            paper="", source="", table=row.get("table") or None, line=number, title=row.get("table") or "the file",
            dataset=row.get("dataset") or None, system=row["system"], setting=row.get("setting", ""),
            direction=DIRECTIONS[direction], metric=metric, printed=_number(metric, value, size, place),
            unit="%" if "@" in metric else "", pool_size=size, pool_basis="stated" if size else "not stated", secondary=False,
            caveat="", note="",
        )  # fmt: skip


def _number(metric: str, value: str, pool: int | None, place: str) -> str:
    """The number as text, without a percent sign; BadInput where it cannot be one of this metric."""
    text = value.removesuffix("%").strip()
    if not NUMBER.fullmatch(text):
        raise BadInput(f"{place}: {metric} is {value!r}, which is no number; write 12.3, and nothing where there is none")
    if metric.startswith("recall@") and float(text) > 100:
        raise BadInput(f"{place}: {metric} is {value}, above 100 percent")
    if metric == "mrr" and float(text) > 1:
        raise BadInput(f"{place}: mrr is {value}; it lies between 0 and 1 (where it was printed in percent, divide by 100)")
    if metric.endswith("_rank") and not 1 <= float(text) <= (pool or float("inf")):
        raise BadInput(f"{place}: {metric} is {value}; ranks lie between 1 and the size of the pool")
    return text
