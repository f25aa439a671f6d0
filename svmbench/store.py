"""A run folder: settings, tables in atomic parts, media by content hash. Any stage may be killed at any moment.

    RUN/
      settings.json             the resolved recipe, versions, commit
      tables/NAME/STAGE-000007.parquet
      done/STAGE-000007.json    {"ids": [...], "tables": {NAME: number of rows}, "replaces": [parts]}: written last; without it
                                the part does not exist
      media/ab/<sha256>.mp4     the files as fetched, never edited
      features/NAME/...         packed arrays made from the feature tables, rebuilt at will
      .lock-STAGE               held while a stage writes

One commit puts rows into several tables at once: the Parquet parts are written, synced and renamed first, then the done-marker.
A reader takes only parts that a marker names; a writer that starts again deletes parts without one. So an item is in all of its
tables or in none, and once. A marker may name parts that its own part replaces: from then on no reader takes those, and the next
writer deletes them.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import os
import shutil
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import pyarrow as pa
import pyarrow.parquet as pq

from svmbench import records
from svmbench.errors import BadInput, StorageError

T = TypeVar("T")
SETTINGS = "settings.json"
LOOK_S = 0.1  # ours: far more than a look at a lock takes


@contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Turns 'disk full' and 'no permission' into one StorageError that names the place."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise StorageError(f"the disk that holds {path} is full; free some space and run the same command again") from error
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR):
            raise StorageError(f"{path} cannot be written ({error.strerror}); choose another folder with --out") from error
        raise


def write_atomically(path: Path, write: Callable[[Path], object]) -> None:
    """Calls write(temporary path beside `path`), syncs, renames: the file is whole or absent."""
    temporary = path.with_name(f".{path.name}.{threading.get_ident()}.{os.getpid()}.tmp")
    with disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            write(temporary)
            with open(temporary, "rb") as handle:
                os.fsync(handle.fileno())
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)
        sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Makes renames in `folder` survive a power cut."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_json(path: Path, value: Any) -> None:
    """JSON, atomically. Keys stay in their order: the order of a recipe's filters is that of the reasons."""
    write_atomically(path, lambda p: p.write_text(json.dumps(value, indent=2, default=str) + "\n"))


class RunFolder:
    """One run folder, for reading; `writing(stage)` gives the right to commit."""

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path).resolve()

    @classmethod
    def create(cls, path: Path | str) -> RunFolder:
        """The run folder at `path`, made if absent. A non-empty folder that is no run folder is refused."""
        run = cls(path)
        if run.path.is_dir() and any(run.path.iterdir()) and not run.is_run():
            raise BadInput(f"{path} exists and is not a run folder; choose a new or empty folder with --out")
        with disk_errors(run.path):
            (run.path / "done").mkdir(parents=True, exist_ok=True)
        return run

    @classmethod
    def open(cls, path: Path | str) -> RunFolder:
        """An existing run folder; BadInput where there is none."""
        run = cls(path)
        if not run.is_run():
            raise BadInput(f"{path} is not a run folder (it has no done/); 'svmbench crawl' makes one")
        return run

    def is_run(self) -> bool:
        """Whether `create` made it; a settings.json alone may belong to any program."""
        return (self.path / "done").is_dir()

    # -- settings
    def write_settings(self, values: Mapping[str, Any]) -> None:
        """Merges `values` into settings.json: one key a stage."""
        write_json(self.path / SETTINGS, {**self.settings(), **values})

    def settings(self) -> dict[str, Any]:
        path = self.path / SETTINGS
        return dict(json.loads(path.read_text())) if path.is_file() else {}

    # -- tables
    def markers(self, stage: str | None = None) -> list[dict[str, Any]]:
        """The done-markers in order of writing: stage, part, number, ids, tables. What another one replaces is not there."""
        found = self._all_markers(stage)
        replaced = _replaced(found)
        return [marker for marker in found if marker["part"] not in replaced]

    def _all_markers(self, stage: str | None) -> list[dict[str, Any]]:
        found = []
        for path in sorted((self.path / "done").glob("*.json")):
            name, _, number = path.stem.rpartition("-")
            if stage not in (None, name):
                continue
            try:
                values = json.loads(path.read_text())
            except FileNotFoundError:
                return self._all_markers(stage)  # a writer has deleted it since we looked
            found.append({"stage": name, "part": path.stem, "number": int(number), **values})
        return found

    def done_ids(self, stage: str) -> set[str]:
        """Ids that this stage has finished with, kept or dropped."""
        return {i for marker in self.markers(stage) for i in marker["ids"]}

    def table_names(self) -> list[str]:
        return sorted({name for marker in self.markers() for name in marker["tables"]})

    def read_table(self, name: str, columns: list[str] | None = None) -> pa.Table | None:
        """All committed rows of a table in order of writing; None where nothing was committed."""
        parts = self.table_parts(name)
        try:
            return (
                pa.concat_tables([pq.read_table(part, columns=columns) for part in parts], promote_options="default")
                if parts
                else None
            )
        except FileNotFoundError:
            if parts == self.table_parts(name):
                raise
            return self.read_table(name, columns)  # a writer has replaced them since we looked

    def table_parts(self, name: str) -> list[Path]:
        """The Parquet files of a table's committed rows, in order of writing: for tables that are too large to read at once."""
        return [self._part(name, m["part"]) for m in self.markers() if name in m["tables"]]

    def read(self, cls: type[T], name: str) -> list[T]:
        """All committed rows of a table as records."""
        table = self.read_table(name)
        return [] if table is None else records.from_table(cls, table)

    def _part(self, table: str, part: str) -> Path:
        return self.path / "tables" / table / f"{part}.parquet"

    @contextmanager
    def writing(self, stage: str) -> Iterator[Writer]:
        """The right to commit for a stage; StorageError if another process holds it. Sweeps what a killed writer left."""
        with disk_errors(self.path):
            (self.path / "done").mkdir(parents=True, exist_ok=True)
            lock = open(self.path / f".lock-{stage}", "w")  # noqa: SIM115  (held until the with-block ends)
        try:
            if not _locked(lock, fcntl.LOCK_EX):
                time.sleep(LOOK_S)  # somebody may have looked whether the stage is at work
                if not _locked(lock, fcntl.LOCK_EX):
                    raise StorageError(
                        f"another svmbench is running '{stage}' in {self.path}; wait for it or choose another --out"
                    )
            yield Writer(self, stage)
        finally:
            lock.close()

    def busy(self, stage: str) -> bool:
        """Whether a process is writing this stage now."""
        try:
            with open(self.path / f".lock-{stage}") as lock:
                return not _locked(lock, fcntl.LOCK_SH)
        except FileNotFoundError:
            return False

    # -- media
    def media_path(self, sha256: str) -> Path:
        """Where the media with this hash is; BadInput when it is not there."""
        found = sorted((self.path / "media" / sha256[:2]).glob(f"{sha256}.*"))
        if not found:
            raise BadInput(f"media {sha256[:12]} is not in {self.path / 'media'}; run the crawl again")
        return found[0]

    def add_media(self, source: Path, *, move: bool = False) -> str:
        """Puts a file into the store under its sha256 (hex) and returns that; what is there already is not written again."""
        sha = sha256_file(source)
        target = self.path / "media" / sha[:2] / f"{sha}{source.suffix.lower()}"
        if not target.exists():
            if move and source.stat().st_dev == self.path.stat().st_dev:
                write_atomically(target, lambda p: os.replace(source, p))
            else:
                write_atomically(target, lambda p: shutil.copyfile(source, p))
        if move:
            source.unlink(missing_ok=True)
        return sha


class Writer:
    """Commits batches of one stage. Made by RunFolder.writing."""

    def __init__(self, run: RunFolder, stage: str) -> None:
        self.run, self.stage = run, stage
        self._remove(_replaced(run._all_markers(stage)))
        markers = run.markers(stage)
        self._next = max((m["number"] for m in markers), default=-1) + 1
        self._sweep({m["part"] for m in markers})

    def _sweep(self, known: set[str]) -> None:
        for path in (self.run.path / "tables").glob(f"*/{self.stage}-*.parquet"):
            if path.stem not in known:
                path.unlink()
        for folder in ("tables", "done", "media"):
            for path in (self.run.path / folder).rglob(".*.tmp"):
                if not _alive(path):
                    path.unlink(missing_ok=True)

    def commit(self, ids: Iterable[str], tables: Mapping[str, pa.Table]) -> str:
        """Adds rows to several tables at once and marks `ids` as done. Returns the part's name. Empty tables are left out."""
        return self._write(ids, tables, replaces=[])

    def replace(self, ids: Iterable[str], tables: Mapping[str, pa.Table], parts: Iterable[str] | None = None) -> str:
        """Puts these rows in the place of what this stage has committed, in one step: at any moment a reader sees all of the old
        or all of the new. parts: only these parts give way, with all their tables and ids; None: all of them."""
        markers = self.run._all_markers(self.stage)
        old = {marker["part"] for marker in markers} if parts is None else set(parts)
        while more := _replaced(marker for marker in markers if marker["part"] in old) - old:
            old |= more  # what gave way before must not come back when its successor is gone
        return self._write(ids, tables, replaces=[marker["part"] for marker in markers if marker["part"] in old])

    def _write(self, ids: Iterable[str], tables: Mapping[str, pa.Table], replaces: list[str]) -> str:
        part = f"{self.stage}-{self._next:06d}"
        tables = {name: table for name, table in tables.items() if table.num_rows}
        for name, table in tables.items():
            path = self.run._part(name, part)
            write_atomically(path, partial(pq.write_table, table, compression="zstd"))
        rows = {name: table.num_rows for name, table in tables.items()}
        write_json(
            self.run.path / "done" / f"{part}.json",
            {"ids": sorted(ids), "tables": rows} | ({"replaces": replaces} if replaces else {}),
        )
        self._next += 1
        return part

    def clear(self) -> None:
        """Takes back everything this stage has committed, markers first: the way to run a stage anew with other settings."""
        markers = self.run._all_markers(self.stage)
        self._remove(_replaced(markers))  # before what replaces them
        self._remove(m["part"] for m in markers)
        self._next = 0
        self._sweep(set())

    def _remove(self, parts: Iterable[str]) -> None:
        for part in parts:
            (self.run.path / "done" / f"{part}.json").unlink(missing_ok=True)


def _locked(handle: Any, kind: int) -> bool:
    """Takes the lock on an open file, unless another process has it."""
    try:
        fcntl.flock(handle, kind | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _replaced(markers: Iterable[Mapping[str, Any]]) -> set[str]:
    return {part for marker in markers for part in marker.get("replaces", ())}


def _alive(temporary: Path) -> bool:
    """Whether the process that made this temporary file still runs."""
    try:
        os.kill(int(temporary.name.split(".")[-2]), 0)
    except (ProcessLookupError, ValueError, IndexError):
        return False
    except PermissionError:
        return True
    return True


def sha256_file(path: Path) -> str:
    """sha256 of a file, hex."""
    with open(path, "rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()
