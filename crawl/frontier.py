"""What is still to be searched and fetched: one SQLite file with one writer, safe against a kill at any moment.

    job       one row a post: ready -> leased -> done | dropped; a lease has an end and a token that grows with each lease
    sighting  which search found which post, and at which rank
    query     one row a search word, with its position and how it ended
    attempt   a log that only grows: every try at a post and how it went
    tally     number of jobs by fate, kept by triggers, so that counting stays cheap with millions of jobs
    robots    robots.txt as last fetched, by host

A worker that lost its lease (stalled, cut off) holds an old token, so its late answer changes nothing. Methods may run twice.
Times are Unix seconds.
"""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from crawl.jobs import Ended, Found, Job, Lease, Query, Stats
from svmbench.errors import StorageError

SCHEMA = Path(__file__).with_suffix(".sql")
LEASE_S = 10.0  # ours; workers renew every third of it
LEASES_MAX = 20  # ours: a post whose lease ran out this often is taken to kill its workers


class Frontier:
    """The one writer of the file; every method is one transaction, on disk before it returns."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._stopped = False
        with self._errors():
            Path(path).parent.mkdir(parents=True, exist_ok=True)
            self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=30)
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=FULL")
            self._db.executescript(SCHEMA.read_text())

    def close(self) -> None:
        self._stopped = True
        self._db.close()

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.DatabaseError, OSError) as error:
            if isinstance(error, sqlite3.ProgrammingError | sqlite3.IntegrityError):
                raise
            raise StorageError(
                f"{self._path} cannot be used ({error}); free space or repair it, then run the same command"
            ) from error

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        with self._errors():
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield self._db
            except BaseException:
                self._db.execute("ROLLBACK")
                raise
            self._db.execute("COMMIT")

    # -- what it belongs to
    def claim(self, settings: str) -> str:
        """Notes the settings of the crawl at the first call, and returns the ones noted."""
        with self._writing() as db:
            db.execute("INSERT INTO meta VALUES('settings', ?) ON CONFLICT DO NOTHING", (settings,))
            return str(db.execute("SELECT value FROM meta WHERE key='settings'").fetchone()[0])

    def begin(self, words: Sequence[str], good: Sequence[str]) -> None:
        """The start of a crawl that has the file to itself: adds words, frees all leases, gives new tries."""
        marks = ",".join("?" * len(good))
        with self._writing() as db:
            for place, word in enumerate(words):
                db.execute("INSERT INTO query(word, place, state) VALUES(?,?,'ready') ON CONFLICT DO NOTHING", (word, place))
            db.execute("UPDATE job SET state='ready', owner=NULL, lease_until=NULL WHERE state='leased'")
            db.execute("UPDATE job SET attempts=0 WHERE state='ready' AND attempts>0")
            db.execute(
                f"UPDATE query SET state='ready', lease_until=NULL, attempts=0, not_before=0, outcome='', detail=''"
                f" WHERE state<>'ended' OR outcome NOT IN ({marks})",
                tuple(good),
            )

    def stop(self) -> None:
        """From now on there is no work to be had."""
        self._stopped = True

    # -- searching
    def next_query(self) -> tuple[Query | None, bool]:
        """A word to search, leased, or None when none is free now; and whether there will be none any more."""
        now = time.time()
        if self._stopped:
            return None, True
        with self._writing() as db:
            db.execute("UPDATE query SET state='ready' WHERE state='leased' AND lease_until<?", (now,))
            row = db.execute(
                "UPDATE query SET state='leased', token=token+1, lease_until=? WHERE word=("
                "SELECT word FROM query WHERE state='ready' AND not_before<=? ORDER BY place LIMIT 1)"
                " RETURNING word, token, attempts, position",
                (now + LEASE_S, now),
            ).fetchall()
            over = not db.execute("SELECT EXISTS(SELECT 1 FROM query WHERE state<>'ended')").fetchone()[0]
        return (Query(*row[0]) if row else None), over

    def add(self, query: Query, found: Iterable[Found], position: int) -> bool:
        """Takes in results of a search and saves its position. False, and nothing changes, if the lease was lost or all stops."""
        now = time.time()
        if self._stopped:
            return False
        with self._writing() as db:
            held = db.execute(
                "UPDATE query SET position=max(position, ?), lease_until=? WHERE word=? AND state='leased' AND token=?",
                (position, now + LEASE_S, query.word, query.token),
            ).rowcount
            if not held:
                return False
            for f in found:
                state, stage, kind = ("dropped", "search", "rule") if f.reason else ("ready", "", "")
                db.execute(
                    "INSERT INTO job(id, post_id, rank, likes, likes_exact, state, stage, kind, reason, value)"
                    " VALUES(?,?,?,?,?,?,?,?,?,?) ON CONFLICT DO NOTHING",
                    (f.id, f.post_id, f.rank, f.likes, f.likes_exact, state, stage, kind, f.reason, f.value),
                )
                new = db.execute("INSERT INTO sighting VALUES(?,?,?,?) ON CONFLICT DO NOTHING", (f.id, query.word, f.rank, now))
                db.execute("UPDATE query SET found=found+? WHERE word=?", (new.rowcount, query.word))
        return True

    def end_query(self, query: Query, outcome: str, detail: str, again_in_s: float | None) -> bool:
        """The search of a word is over, or is to be tried again after again_in_s."""
        state = "ended" if again_in_s is None else "ready"
        with self._writing() as db:
            changed = db.execute(
                "UPDATE query SET state=?, outcome=?, detail=?, not_before=?, attempts=attempts+1, lease_until=NULL"
                " WHERE word=? AND state='leased' AND token=?",
                (state, outcome, detail, time.time() + (again_in_s or 0), query.word, query.token),
            ).rowcount
        return bool(changed)

    # -- fetching
    def lease(self, owner: str) -> Lease:
        """One job for this worker, the best rank first; jobs whose lease ran out come back."""
        now = time.time()
        if self._stopped:
            return Lease(None, over=True)
        with self._writing() as db:
            self._expire(db, now)
            row = db.execute(
                "UPDATE job SET state='leased', owner=?, token=token+1, lease_until=? WHERE id=("
                "SELECT id FROM job WHERE state='ready' AND not_before<=? ORDER BY rank, id LIMIT 1)"
                " RETURNING id, post_id, token, attempts",
                (owner, now + LEASE_S, now),
            ).fetchall()
            if row:
                return Lease(Job(*row[0]))
            busy = db.execute("SELECT EXISTS(SELECT 1 FROM query WHERE state<>'ended')").fetchone()[0]
            open_jobs = db.execute("SELECT coalesce(sum(n), 0) FROM tally WHERE state IN ('ready','leased')").fetchone()[0]
        return Lease(None, wait_s=0.1, over=not busy and not open_jobs)

    @staticmethod
    def _expire(db: sqlite3.Connection, now: float) -> None:
        db.execute(
            "UPDATE job SET state='dropped', stage='fetch', kind='failure', reason='worker_lost', owner=NULL, lease_until=NULL,"
            " detail='its worker died each time' WHERE state='leased' AND lease_until<? AND token>=?",
            (now, LEASES_MAX),
        )
        db.execute("UPDATE job SET state='ready', owner=NULL, lease_until=NULL WHERE state='leased' AND lease_until<?", (now,))

    def renew(self, owner: str) -> int:
        """The worker lives: its leases last LEASE_S from now. Returns how many it holds."""
        with self._writing() as db:
            until = time.time() + LEASE_S
            return db.execute("UPDATE job SET lease_until=? WHERE state='leased' AND owner=?", (until, owner)).rowcount

    def complete(self, job: Job, record: dict[str, Any]) -> bool:
        """The post is fetched and its media are stored. False if the lease was lost, and then nothing changes."""
        return self._finish(job, "state='done', record=?", (json.dumps(record),), "done", "")

    def drop(self, job: Job, kind: str, reason: str, value: float | None, detail: str) -> bool:
        """The post is out for good: kind 'rule' or 'failure'. False if the lease was lost, and then nothing changes."""
        changes = "state='dropped', stage='fetch', kind=?, reason=?, value=?, detail=?"
        return self._finish(job, changes, (kind, reason, value, detail), reason, detail)

    def retry(self, job: Job, reason: str, detail: str, after_s: float) -> bool:
        """The try failed and another may succeed after a while. False if the lease was lost, and then nothing changes."""
        return self._finish(job, "state='ready', attempts=attempts+1, not_before=?", (time.time() + after_s,), reason, detail)

    def give_back(self, job: Job) -> bool:
        """The worker stops before it tried."""
        return self._finish(job, "state='ready'", (), "given_back", "")

    def _finish(self, job: Job, changes: str, values: tuple[Any, ...], outcome: str, detail: str) -> bool:
        with self._writing() as db:
            changed = db.execute(
                f"UPDATE job SET {changes}, owner=NULL, lease_until=NULL WHERE id=? AND state='leased' AND token=?",
                (*values, job.id, job.token),
            ).rowcount
            if changed:
                db.execute("INSERT INTO attempt VALUES(?,?,?,?,?)", (job.id, job.token, time.time(), outcome, detail))
        return bool(changed)

    # -- moving to the run's tables
    def finished(self, limit: int) -> list[dict[str, Any]]:
        """Jobs that are over and not yet in the run's tables, each with the words that found it in the order of the recipe."""
        with self._errors():
            cursor = self._db.execute(
                "SELECT id, state, stage, kind, reason, value, detail, record FROM job"
                " WHERE state IN ('done','dropped') AND exported=0 ORDER BY id LIMIT ?",
                (limit,),
            )
            names = [column[0] for column in cursor.description]
            rows = [dict(zip(names, row, strict=True)) for row in cursor]
            for row in rows:
                words = self._db.execute(
                    "SELECT word FROM sighting JOIN query USING(word) WHERE id=? ORDER BY place", (row["id"],)
                )
                row["words"] = [word for (word,) in words]
        return rows

    def exported(self, ids: Sequence[str]) -> None:
        """These jobs are in the run's tables."""
        with self._writing() as db:
            db.executemany("UPDATE job SET exported=1 WHERE id=?", [(i,) for i in ids])

    def stats(self) -> Stats:
        """Counts by fate, and how each word stands."""
        with self._errors():
            queries = self._db.execute("SELECT word, state, outcome, detail, found FROM query ORDER BY place").fetchall()
            tally = self._db.execute("SELECT * FROM tally WHERE n>0").fetchall()
        return Stats(tuple(Ended(*q) for q in queries), tuple(tally))

    # -- robots.txt
    def robots(self, host: str) -> tuple[int, str, float] | None:
        """(HTTP status, text, age in seconds) of the host's robots.txt as last kept."""
        with self._errors():
            row = self._db.execute("SELECT status, body, at FROM robots WHERE host=?", (host,)).fetchone()
        return (row[0], row[1], time.time() - row[2]) if row else None

    def keep_robots(self, host: str, status: int, body: str) -> None:
        with self._writing() as db:
            db.execute("INSERT OR REPLACE INTO robots VALUES(?,?,?,?)", (host, status, body, time.time()))
