"""The frontier's SQLite file: how it is opened, its clock, and its errors in one line."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from crawl.frontier_migrate import FIRST, migrate
from svmbench.errors import StorageError

SCHEMA = Path(__file__).with_name("frontier.sql")
VERSION = 2  # of frontier.sql, kept as SQLite's user_version
CLOCK_STEP_S = 1.0  # ours: the clock is written down once in so long, ahead by as much: never behind a time that was stored
SET_BACK_S = 3600.0  # ours: a wall clock this far behind the file's was set; what was fetched before is taken for old
UNSURE_S = 2.0  # ours: an answer takes milliseconds; one given within so long before the end of the last writer may be lost
# 16 MiB hold the inner pages of the trees at 10 million jobs (tests/perf/frontier.py) and all pages in use; more would be memory
# that grows with the file. No mmap: it counts as memory too, and an error of the disk would be a crash.
# The log is moved into the file each 16 MiB: pages that many leases change are then written once. After a large transaction
# the log shrinks to 64 MiB. FULL: what was acknowledged survives a power cut.
SETTINGS = (
    "journal_mode=WAL", "synchronous=FULL", "cache_size=-16384", "mmap_size=0", "wal_autocheckpoint=4096",
    "journal_size_limit=67108864",
)  # fmt: skip


def one_line(path: str | Path, error: Exception) -> StorageError:
    """The error for a file that cannot be used."""
    return StorageError(f"{path} cannot be used ({error}); free space or repair it, then run the same command")


class File:
    """One connection that writes. Transactions exclude each other, also between threads.

    Its clock is the wall's when it was opened, from then on that of `monotonic`, and never behind a time in the file: whatever is
    done to the computer's clock meanwhile changes nothing.
    """

    def __init__(self, path: str, wall: Callable[[], float], monotonic: Callable[[], float]) -> None:
        self._path, self._monotonic, self._lock = path, monotonic, threading.Lock()
        with self._errors():
            Path(path).parent.mkdir(parents=True, exist_ok=True)
            self.db = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=30)
        try:
            with self._errors():
                self._open(wall())
        except BaseException:
            self.db.close()
            raise

    def _open(self, wall: float) -> None:
        self._check()
        for setting in SETTINGS:
            self.db.execute(f"PRAGMA {setting}")
        self.db.execute("BEGIN IMMEDIATE")
        try:
            self._make()
            stored = self.db.execute("SELECT clock FROM meta").fetchone()[0]
            self._base, self._began, self._stored = max(wall, stored), self._monotonic(), stored
            if wall < stored - SET_BACK_S:
                self.db.execute("UPDATE robots SET at=0")
            # Whoever asked for these may not have heard; nobody's heart-beat renews them. They are reported, or run out.
            self.db.execute(
                "UPDATE job INDEXED BY job_owner SET owner='' WHERE owner IS NOT NULL AND leased_at>?",
                (stored - CLOCK_STEP_S - UNSURE_S,),
            )
            self.db.execute("COMMIT")
        finally:
            if self.db.in_transaction:
                self.db.execute("ROLLBACK")

    def _check(self) -> tuple[int, bool]:
        """(version, whether there are tables at all); StorageError for a file that is no frontier's."""
        version = self.db.execute("PRAGMA user_version").fetchone()[0]
        tables = {name for (name,) in self.db.execute("SELECT name FROM sqlite_master WHERE type='table'")}
        if version > VERSION:
            raise StorageError(f"{self._path} was written by a newer svmbench; use that one, or choose another --out")
        if version != VERSION and tables and FIRST - tables:
            raise StorageError(f"{self._path} was written by another program; move it away, or choose another --out")
        return version, bool(tables)

    def _make(self) -> None:
        """The tables, in a new file; those of an older svmbench are brought up to date."""
        version, old = self._check()
        if version == VERSION:
            return
        schema = statements(SCHEMA.read_text())
        if old:
            migrate(self.db, schema)
        else:
            for statement in schema:
                self.db.execute(statement)
        self.db.execute(f"PRAGMA user_version={VERSION}")

    def now(self) -> float:
        """Seconds; never goes back."""
        return self._base + self._monotonic() - self._began

    def close(self) -> None:
        with self._lock:
            self.db.close()

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.DatabaseError, OSError) as error:
            if isinstance(error, sqlite3.ProgrammingError | sqlite3.IntegrityError):
                raise
            raise one_line(self._path, error) from error

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        with self._lock, self._errors():
            yield self.db

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """One transaction, on disk when the block is left; nothing of it where it raises."""
        with self._lock, self._errors():
            self.db.execute("BEGIN IMMEDIATE")
            try:
                yield self.db
                if self._stored < self.now():
                    self._stored = self.now() + CLOCK_STEP_S
                    self.db.execute("UPDATE meta SET clock=?", (self._stored,))
                self.db.execute("COMMIT")
            finally:
                if self.db.in_transaction:
                    self.db.execute("ROLLBACK")


def statements(script: str) -> Iterator[str]:
    """The statements of a script one by one: executescript would end the transaction."""
    text = ""
    for line in script.splitlines(keepends=True):
        text += line
        if sqlite3.complete_statement(text):
            yield text
            text = ""
