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

from crawl.jobs import DONE, GIVEN_BACK, RETRY, Ended, Found, Job, Lease, Query, Report, Stats
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

    def begin(self, words: Sequence[str], good: Sequence[str], limit: int | None = None, disk_bytes: int | None = None) -> None:
        """The start of a crawl that has the file to itself: adds words, frees all leases, gives new tries.

        limit: so many posts are done and no more are given out. disk_bytes: the same for the size of all media.
        """
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
                " RETURNING word, token, attempts, position, cursor",
                (now + LEASE_S, now),
            ).fetchall()
            over = not db.execute("SELECT EXISTS(SELECT 1 FROM query WHERE state<>'ended')").fetchone()[0]
        return (Query(*row[0]) if row else None), over

    def add(self, query: Query, found: Iterable[Found], position: int, cursor: str = "") -> bool:
        """Takes in results of a search and saves its position. False, and nothing changes, if the lease was lost or all stops."""
        now = time.time()
        if self._stopped:
            return False
        with self._writing() as db:
            held = db.execute(
                "UPDATE query SET position=max(position, ?), cursor=?, lease_until=? WHERE word=? AND state='leased' AND token=?",
                (position, cursor, now + LEASE_S, query.word, query.token),
            ).rowcount
            if not held:
                return False
            for f in found:
                state, stage, kind = ("dropped", "search", "rule") if f.reason else ("ready", "", "")
                record = None
                if not f.reason and f.record is not None:
                    state, record = "done", json.dumps(dict(f.record))
                db.execute(
                    "INSERT INTO job(id, platform, post_id, url, rank, likes, likes_exact, state, stage, kind, reason, value,"
                    " record)"
                    " VALUES(?,?,?,?,?,?,?,?,?,?,?,?,?) ON CONFLICT DO NOTHING",
                    (
                        f.id,
                        f.platform,
                        f.post_id,
                        f.url,
                        f.rank,
                        f.likes,
                        f.likes_exact,
                        state,
                        stage,
                        kind,
                        f.reason,
                        f.value,
                        record,
                    ),
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
    def lease(self, owner: str, number: int) -> Lease:
        """Up to so many jobs for this worker, the best rank first; jobs whose lease ran out come back."""
        now = time.time()
        if self._stopped:
            return Lease(over=True)
        with self._writing() as db:
            self._expire(db, now)
            rows = db.execute(
                "UPDATE job SET state='leased', owner=?, token=token+1, lease_until=? WHERE id IN ("
                "SELECT id FROM job WHERE state='ready' AND not_before<=? ORDER BY rank, id LIMIT ?)"
                " RETURNING id, platform, post_id, url, token, attempts",
                (owner, now + LEASE_S, now, number),
            ).fetchall()
            if rows:
                return Lease(tuple(Job(*row) for row in rows))
            busy = db.execute("SELECT EXISTS(SELECT 1 FROM query WHERE state<>'ended')").fetchone()[0]
            open_jobs = db.execute("SELECT coalesce(sum(n), 0) FROM tally WHERE state IN ('ready','leased')").fetchone()[0]
        return Lease(wait_s=0.1, over=not busy and not open_jobs)

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

    def report(self, reports: Sequence[Report]) -> list[bool]:
        """What became of leases, all in one transaction. False for one whose lease was lost: for it nothing changes."""
        now = time.time()
        with self._writing() as db:
            return [self._take(db, report, now) for report in reports]

    @staticmethod
    def _take(db: sqlite3.Connection, report: Report, now: float) -> bool:
        job, values = report.job, dict[str, Any]()
        if report.outcome == DONE:
            values = {"state": "done", "record": json.dumps(dict(report.record or {}))}
        elif report.outcome == RETRY:
            values = {"state": "ready", "attempts": job.attempts + 1, "not_before": now + report.after_s}
        elif report.outcome == GIVEN_BACK:
            values = {"state": "ready"}
        else:
            values = {"state": "dropped", "stage": "fetch", "kind": report.outcome, "reason": report.reason,
                      "value": report.value, "detail": report.detail}  # fmt: skip
        changes = ", ".join(f"{name}=?" for name in values)
        changed = db.execute(
            f"UPDATE job SET {changes}, owner=NULL, lease_until=NULL WHERE id=? AND state='leased' AND token=?",
            (*values.values(), job.id, job.token),
        ).rowcount
        if changed:
            said = report.reason or report.outcome
            db.execute("INSERT INTO attempt VALUES(?,?,?,?,?)", (job.id, job.token, now, said, report.detail))
        return bool(changed)

    def retry_dropped(self, reason: str) -> list[str]:
        """Posts that failed for this reason get new tries; their ids."""
        with self._writing() as db:
            rows = db.execute(
                "UPDATE job SET state='ready', stage='', kind='', reason='', value=NULL, detail='', attempts=0, not_before=0,"
                " exported=0"
                " WHERE state='dropped' AND kind='failure' AND reason=? RETURNING id",
                (reason,),
            ).fetchall()
        return [row[0] for row in rows]

    def note_hits(self, version: str, hits: dict[str, int]) -> None:
        """How often each selector matched on a page; summed up for `stats`."""

    def host(self, host: str) -> str | None:
        """What the pacer kept about a host."""
        with self._errors():
            row = self._db.execute("SELECT state FROM host WHERE host=?", (host,)).fetchone()
        return row[0] if row else None

    def keep_host(self, host: str, state: str) -> None:
        with self._writing() as db:
            db.execute("INSERT OR REPLACE INTO host VALUES(?,?)", (host, state))

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
