"""What is still to be searched and fetched: one SQLite file with one writer, safe against a kill at any moment.

    job       one row a post, small: where it is, and how it stands; a lease has an end and a token that grows with each lease
    video     the record of a post that is done
    sighting  which search found which post, and at which rank
    query     one row a search word, with its position and how it ended
    blob      the stored files, each once
    attempt   a log that only grows: how each lease ended
    tally     numbers of jobs by fate, kept by triggers, so that counting costs nothing with millions of jobs; so is `tried`
    robots    robots.txt as last fetched, by host; `host`: what the pacer knows; `hits`: which selectors matched
    meta      one row: the settings, the limits and the clock

A worker that lost its lease (stalled, cut off) holds an old token, so its late answer changes nothing. Methods may run twice: the
process of the frontier may die between a commit and its answer. No method reads the whole table of jobs, so all stay as fast with
ten million of them (tests/perf/frontier.py).
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from crawl import frontier_jobs as jobs
from crawl.frontier_file import File
from crawl.jobs import Ended, Found, Lease, Query, Report, Stats

LEASE_S = 10.0  # ours; workers renew every third of it
WAIT_MAX_S = 3600.0  # ours: a new crawl lets no post wait longer; longer than any back-off
POLL_S, POLL_MAX_S = 0.1, 1.0  # ours: a worker without work asks again after so long


class Frontier:
    """The one writer of the file; every method is one transaction, on disk before it returns. StorageError where that fails.

    wall, monotonic: clocks, in seconds.
    """

    def __init__(self, path: str, wall: Callable[[], float] = time.time, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._file = File(path, wall, monotonic)
        with self._file.writing() as db:  # while there was no frontier nobody could renew
            until = self._file.now() + LEASE_S
            db.execute("UPDATE job INDEXED BY job_owner SET due=? WHERE owner IS NOT NULL AND due<?", (until, until))
            db.execute("UPDATE query SET lease_until=? WHERE state='leased' AND lease_until<?", (until, until))

    def close(self) -> None:
        self._file.close()

    # -- what it belongs to
    def claim(self, settings: str) -> str:
        """Notes the settings of the crawl at the first call, and returns the ones noted."""
        with self._file.writing() as db:
            db.execute("UPDATE meta SET settings=? WHERE settings IS NULL", (settings,))
            return str(db.execute("SELECT settings FROM meta").fetchone()[0])

    def begin(self, words: Sequence[str], good: Sequence[str], limit: int | None = None, disk_bytes: int | None = None) -> None:
        """The start of a crawl that has the file to itself: adds words, frees all leases, gives new tries.

        good: outcomes after which a word is not searched again. limit: so many posts are done and no more are given out.
        disk_bytes: the same for the size of all media. Both hold until the next begin, whoever opens the file.
        """
        marks = ",".join("?" * len(good))
        with self._file.writing() as db:
            for place, word in enumerate(words):
                db.execute("INSERT INTO query(word, place, state) VALUES(?,?,'ready') ON CONFLICT DO NOTHING", (word, place))
            db.execute(
                "UPDATE query SET state='ready', lease_until=NULL, attempts=0, not_before=0, outcome='', detail=''"
                f" WHERE state<>'ended' OR outcome NOT IN ({marks})",
                tuple(good),
            )
            db.execute("UPDATE meta SET done_max=?, bytes_max=?, stopped=0", (limit, disk_bytes))
            db.execute("DELETE FROM hits")
            jobs.set_free(db, self._file.now() + WAIT_MAX_S)

    def stop(self) -> None:
        """From now on there is no work to be had, until the next begin."""
        with self._file.writing() as db:
            db.execute("UPDATE meta SET stopped=1")

    # -- searching
    def next_query(self) -> tuple[Query | None, bool]:
        """A word to search, leased, or None when none is free now; and whether there will be none any more."""
        with self._file.writing() as db:
            if jobs.standing(db).halted:
                return None, True
            now = self._file.now()
            db.execute("UPDATE query SET state='ready' WHERE state='leased' AND lease_until<?", (now,))
            row = db.execute(
                "SELECT no, word, token+1, attempts, position, cursor FROM query INDEXED BY query_state"
                " WHERE state='ready' AND not_before<=? ORDER BY place LIMIT 1",
                (now,),
            ).fetchone()
            if row:
                db.execute("UPDATE query SET state='leased', token=token+1, lease_until=? WHERE no=?", (now + LEASE_S, row[0]))
                return Query(*row[1:]), False
            return None, not _searching(db)

    def add(self, query: Query, found: Iterable[Found], position: int, cursor: str = "") -> bool:
        """Takes in results of a search and saves its position.

        False, and nothing changes, if the lease was lost or all stops. Also False where results that are done at once reach the
        limit: those that fit are taken, and the position stays, so that a later crawl reads the page again.
        """
        with self._file.writing() as db:
            now = self._file.now()
            held = db.execute(
                "UPDATE query SET lease_until=? WHERE word=? AND state='leased' AND token=? RETURNING no",
                (now + LEASE_S, query.word, query.token),
            ).fetchall()
            if not held or jobs.standing(db).halted:
                return False
            new, whole = jobs.add(db, now, held[0][0], found)
            db.execute("UPDATE query SET found=found+? WHERE no=?", (new, held[0][0]))
            if whole:
                db.execute("UPDATE query SET position=max(position, ?), cursor=? WHERE no=?", (position, cursor, held[0][0]))
            return whole

    def end_query(self, query: Query, outcome: str, detail: str, again_in_s: float | None) -> bool:
        """The search of a word is over, or is to be tried again after again_in_s."""
        state = "ended" if again_in_s is None else "ready"
        with self._file.writing() as db:
            changed = db.execute(
                "UPDATE query SET state=?, outcome=?, detail=?, not_before=?, attempts=attempts+1, lease_until=NULL"
                " WHERE word=? AND state='leased' AND token=?",
                (state, outcome, detail, self._file.now() + (again_in_s or 0), query.word, query.token),
            ).rowcount
        return bool(changed)

    def note_hits(self, version: str, hits: dict[str, int]) -> None:
        """How often each selector of this version of the data file matched on a page; summed up for `stats`, from begin on."""
        with self._file.writing() as db:
            db.execute("UPDATE meta SET hits_version=?", (version,))
            db.executemany(
                "INSERT INTO hits VALUES(?,?,?) ON CONFLICT DO UPDATE SET n=n+excluded.n",
                [(version, selector, number) for selector, number in hits.items()],
            )

    # -- fetching
    def lease(self, owner: str, number: int, without: Sequence[str] = ()) -> Lease:
        """Up to so many jobs for this worker, the best rank first; jobs whose lease ran out come back.

        without: platforms that the worker has given up; it is over when only jobs of theirs are left.
        """
        with self._file.writing() as db:
            now = self._file.now()
            jobs.refresh(db, now)
            standing = jobs.standing(db)
            if standing.halted:
                return Lease(over=True)
            given = jobs.take(db, owner, int(min(number, standing.room)), now, now + LEASE_S, without)
            if given:
                return Lease(given)
            if _searching(db):
                return Lease(wait_s=POLL_S)
            due = db.execute("SELECT min(due) FROM job INDEXED BY job_due WHERE state='waiting' AND due>0").fetchone()[0]
            wait_s = POLL_S if due is None else min(POLL_MAX_S, max(POLL_S, due - now))
            return Lease(wait_s=wait_s, over=not jobs.open_ones(db, without))

    def renew(self, owner: str) -> int:
        """The worker lives: its leases last LEASE_S from now. Returns how many it holds."""
        with self._file.writing() as db:
            until = self._file.now() + LEASE_S
            return db.execute("UPDATE job INDEXED BY job_owner SET due=? WHERE owner=?", (until, owner)).rowcount

    def report(self, reports: Sequence[Report]) -> list[bool]:
        """What became of leases, all in one transaction. False for one whose lease was lost: for it nothing changes.

        Sent again, because the answer was lost, it changes nothing either and gives the same answer.
        """
        with self._file.writing() as db:
            now = self._file.now()
            return [jobs.report(db, report, now) for report in reports]

    def retry_dropped(self, reason: str) -> list[str]:
        """Posts that failed for this reason get new tries; their ids."""
        with self._file.writing() as db:
            return jobs.retry_dropped(db, reason)

    def refuse_ids(self, ids: Sequence[str], reason: str) -> list[str]:
        """Posts that may not be fetched (opted out): those that are ready or wait are dropped by this rule; their ids."""
        with self._file.writing() as db:
            return jobs.refuse(db, ids, reason)

    # -- what others keep here
    def host(self, host: str) -> str | None:
        """What the pacer kept about a host."""
        with self._file.reading() as db:
            row = db.execute("SELECT state FROM host WHERE host=?", (host,)).fetchone()
        return row[0] if row else None

    def keep_host(self, host: str, state: str) -> None:
        with self._file.writing() as db:
            db.execute("INSERT OR REPLACE INTO host VALUES(?,?)", (host, state))

    def robots(self, host: str) -> tuple[int, str, float] | None:
        """(HTTP status, text, age in seconds) of the host's robots.txt as last kept."""
        with self._file.reading() as db:
            row = db.execute("SELECT status, body, at FROM robots WHERE host=?", (host,)).fetchone()
        return (row[0], row[1], self._file.now() - row[2]) if row else None

    def keep_robots(self, host: str, status: int, body: str) -> None:
        with self._file.writing() as db:
            db.execute("INSERT OR REPLACE INTO robots VALUES(?,?,?,?)", (host, status, body, self._file.now()))

    # -- moving to the run's tables
    def finished(self, limit: int, at_least: int = 1) -> list[dict[str, Any]]:
        """Jobs that are over and not yet in the run's tables, each with the words that found it in the order of the recipe.

        None while there are fewer than at_least.
        """
        with self._file.reading() as db:
            waiting = db.execute("SELECT 1 FROM job INDEXED BY job_over WHERE exported=0 LIMIT ?", (at_least,)).fetchall()
            if len(waiting) < at_least:
                return []
            cursor = db.execute(
                "SELECT job.key, id, state, stage, kind, reason, value, detail, record FROM job INDEXED BY job_over"
                " LEFT JOIN video ON video.key=job.key WHERE exported=0 ORDER BY job.key LIMIT ?",
                (limit,),
            )
            names = [column[0] for column in cursor.description]
            rows = [dict(zip(names, row, strict=True)) for row in cursor]
            for row in rows:
                words = db.execute(
                    "SELECT word FROM sighting JOIN query ON no=query WHERE key=? ORDER BY place", (row.pop("key"),)
                )
                row["words"] = [word for (word,) in words]
        return rows

    def exported(self, ids: Sequence[str]) -> None:
        """These jobs are in the run's tables."""
        with self._file.writing() as db:
            db.executemany("UPDATE job INDEXED BY job_id SET exported=1 WHERE id=? AND exported=0", [(i,) for i in ids])

    def stats(self) -> Stats:
        """Counts by fate, and how each word stands. Jobs that wait for another try count as ready."""
        with self._file.reading() as db:
            queries = db.execute("SELECT word, state, outcome, detail, found FROM query ORDER BY place").fetchall()
            tally = Counter[tuple[str, str, str, str]]()
            for state, *fate, number in db.execute("SELECT * FROM tally WHERE n>0"):
                tally[("ready" if state == "waiting" else state, *fate)] += number
            num_bytes, version = db.execute("SELECT num_bytes, hits_version FROM meta").fetchone()
            hits = dict(db.execute("SELECT selector, n FROM hits WHERE version=?", (version,)).fetchall())
            stopped = jobs.standing(db).halted
        fates = tuple((*fate, number) for fate, number in tally.items())
        return Stats(tuple(Ended(*q) for q in queries), fates, num_bytes, stopped, hits)


def _searching(db: Any) -> bool:
    return bool(db.execute("SELECT EXISTS(SELECT 1 FROM query WHERE state IN ('ready','leased'))").fetchone()[0])
