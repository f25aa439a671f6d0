"""From the frontier into the run's tables `posts` and `drops`: each finished post once, in one of them, whatever is killed when.

    RUN/crawl/words-open.json   words are searched that may find posts which are in the tables already; these get them at the
                                end of the crawl. Removed when they have.
    RUN/crawl/retry.json        a retry that was begun; finished by the next command in this folder

Rows change only by Writer.replace, which puts new parts in the place of old ones in one step.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from svmbench.records import Drop, Post, to_table
from svmbench.store import RunFolder, Writer, write_json

STAGE = "crawl"
NAMES = ("posts", "drops")
BATCH = 200  # posts in one part of the tables; ours


class Tables:
    """The crawl's part of one run folder, while this process may write it."""

    def __init__(self, run: RunFolder, writer: Writer) -> None:
        self._run, self._writer = run, writer
        self._done = run.done_ids(STAGE)
        self._open, self._retry = run.path / "crawl" / "words-open.json", run.path / "crawl" / "retry.json"

    def take_over(self, ask: Callable[..., Any], at_least: int) -> None:
        """Moves finished jobs over in parts of a fair size, until fewer than at_least wait. ask: the frontier, as Actor.ask."""
        while rows := ask("finished", BATCH, at_least):
            self._add(rows)
            ask("exported", [row["id"] for row in rows])

    def _add(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Commits finished jobs; what is in the tables already stays as it is."""
        new = [row for row in rows if row["id"] not in self._done]
        if not new:
            return
        posts = to_table(Post, [_post(row) for row in new if row["state"] == "done"])
        drops = to_table(Drop, [_drop(row) for row in new if row["state"] == "dropped"])
        ids = [row["id"] for row in new]
        self._writer.commit(ids, {"posts": posts, "drops": drops})
        self._done.update(ids)

    def expect_words(self) -> None:
        """To be called before words are searched, also those of which an earlier crawl has read a part."""
        write_json(self._open, {})

    def complete_words(self, shared: Callable[[], Mapping[str, tuple[str, ...]]]) -> None:
        """Gives posts that lack some all of their words. shared: tells the words of each post that several words have found."""
        if not self._open.exists():
            return
        words = shared()

        def change(name: str, table: pa.Table) -> pa.Table:
            if name != "posts":
                return table
            ids = [f"{a}:{b}" for a, b in zip(table["platform"].to_pylist(), table["post_id"].to_pylist(), strict=True)]
            old = table["words"].to_pylist()
            new = [list(words.get(i, had)) for i, had in zip(ids, old, strict=True)]
            if new == old:
                return table
            column = table.column_names.index("words")
            return table.set_column(column, table.schema.field("words"), pa.array(new, table.schema.field("words").type))

        self._change(change)
        self._open.unlink()

    def retry(self, reason: str, forget: Callable[[str], object]) -> None:
        """Takes the failures with this reason out of the tables. forget: the frontier's part of it, Frontier.retry_dropped.

        Killed anywhere in it, `finish_retry` does the rest.
        """
        write_json(self._retry, {"reason": reason})
        self.finish_retry(forget)

    def finish_retry(self, forget: Callable[[str], object]) -> None:
        """Finishes a retry that was begun; nothing where there is none."""
        if not self._retry.exists():
            return
        reason = json.loads(self._retry.read_text())["reason"]
        forget(reason)

        def change(name: str, table: pa.Table) -> pa.Table:
            if name != "drops":
                return table
            failed = pc.and_(pc.equal(table["kind"], "failure"), pc.equal(table["reason"], reason))
            return table.filter(pc.invert(failed)) if pc.any(failed).as_py() else table

        self._change(change)
        self._retry.unlink()

    def _change(self, change: Callable[[str, pa.Table], pa.Table]) -> None:
        """Puts changed parts in the place of those of whose tables `change` returns another table; all in one step."""
        ids: set[str] = set()
        kept: dict[str, list[pa.Table]] = {name: [] for name in NAMES}
        parts = []
        for marker in self._run.markers(STAGE):
            old = {name: self._read(name, marker["part"]) for name in NAMES if name in marker["tables"]}
            new = {name: change(name, table) for name, table in old.items()}
            if all(new[name] is old[name] for name in old):
                continue
            parts.append(marker["part"])
            for name, table in new.items():
                kept[name].append(table)
            ids |= set(marker["ids"]) - (_drop_ids(old) - _drop_ids(new))
        if parts:
            tables = {name: pa.concat_tables(found, promote_options="default") for name, found in kept.items() if found}
            self._writer.replace(ids, tables, parts)
            self._done = self._run.done_ids(STAGE)

    def _read(self, name: str, part: str) -> pa.Table:
        return pq.read_table(self._run.path / "tables" / name / f"{part}.parquet")


def _drop_ids(tables: Mapping[str, pa.Table]) -> set[str]:
    return set(tables["drops"]["id"].to_pylist()) if "drops" in tables else set()


def _post(row: Mapping[str, Any]) -> Post:
    record = json.loads(row["record"])
    return Post(**{**record, "hashtags": tuple(record["hashtags"]), "words": tuple(row["words"])})


def _drop(row: Mapping[str, Any]) -> Drop:
    return Drop(
        id=row["id"], stage=row["stage"], kind=row["kind"], reason=row["reason"], value=row["value"], detail=row["detail"]
    )
