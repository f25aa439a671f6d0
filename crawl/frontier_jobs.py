"""The life of a job inside the frontier: found, leased, reported, lost, due again. Each function is a part of one transaction.

ready -> leased -> done | dropped
  ^        |-> waiting (for another try, or the next crawl) -> ready
  |--------|   given back, or the lease ran out
"""

from __future__ import annotations

import json
import math
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

from crawl.jobs import DONE, GIVEN_BACK, LEFT, RETRY, Found, Job, Report

BAND = 2**36  # jobs that fit into one rank: see frontier.sql
RANK_MAX = 2**26  # ranks beyond it share one: the key must stay below 2^63
LEASES_MAX = 20  # ours: a post whose lease ran out this often is taken to kill its workers
DUE_AT_ONCE = 1000  # ours: jobs made ready again by one lease, so that none takes long
LOST = "lost"
NOT_NOW = 1e12  # the end of waiting for the next crawl: later than any clock

CHUNK = 1000  # ours: results taken in at once
FOUND = (
    "INSERT INTO job(key, id, platform, post_id, url, state, stage, kind, reason, exported, value, detail)"
    " VALUES(?,?,?,?,?,?,?,?,?,?,?,?) ON CONFLICT(id) DO NOTHING"
)
SEEN = "INSERT INTO sighting SELECT key, ?,?,?,?,? FROM job INDEXED BY job_id WHERE id=? ON CONFLICT DO NOTHING"
DUE = "SELECT key FROM job INDEXED BY job_due WHERE state='waiting' AND due<=? ORDER BY due LIMIT ?"
RAN_OUT = "SELECT key, token, losses+1 FROM job INDEXED BY job_due WHERE state='leased' AND due<?"
NEXT = (
    "SELECT key, id, platform, post_id, url, token+1, attempts FROM job INDEXED BY job_ready WHERE state='ready'"
    " AND platform=? ORDER BY key LIMIT ?"
)
FOLLOWING = "SELECT min(platform) FROM job INDEXED BY job_ready WHERE state='ready' AND platform>?"
HELD = "SELECT key, token FROM job INDEXED BY job_leased WHERE id=? AND owner IS NOT NULL"


@dataclass(frozen=True, slots=True)
class Standing:
    """Whether work is given out. room: so many more posts may become done, counting those that are leased now."""

    halted: str
    room: float


def halted(done: int, num_bytes: int, limit: int | None, disk_bytes: int | None, stopped: bool) -> str:
    """Why no work is given out: 'limit', 'disk', 'stopped', or '' where it is."""
    if limit is not None and done >= limit:
        return "limit"
    if disk_bytes is not None and num_bytes >= disk_bytes:
        return "disk"
    return "stopped" if stopped else ""


def standing(db: sqlite3.Connection) -> Standing:
    """The limits beside what is there."""
    limit, disk_bytes, stopped, num_bytes = db.execute("SELECT done_max, bytes_max, stopped, num_bytes FROM meta").fetchone()
    counts = dict(db.execute("SELECT state, sum(n) FROM tally WHERE state<>'dropped' GROUP BY state").fetchall())
    done = counts.get("done", 0)
    room = math.inf if limit is None else limit - done - counts.get("leased", 0)
    return Standing(halted(done, num_bytes, limit, disk_bytes, bool(stopped)), room)


def add(db: sqlite3.Connection, now: float, query: int, found: Iterable[Found]) -> tuple[int, bool]:
    """Takes in results of a search. Returns how many are new to it, and whether all could be taken.

    Results that come with their record are done at once, and so stop where the limit is reached.
    """
    room, new, source = standing(db).room, 0, iter(found)
    number = db.execute("SELECT num_found FROM meta").fetchone()[0]
    while some := list(islice(source, CHUNK if room == math.inf else 1)):
        keyed = [(min(f.rank, RANK_MAX) * BAND + number + place, f) for place, f in enumerate(some)]
        number += len(some)
        records = [(json.dumps(dict(f.record)), key) for key, f in keyed if f.record is not None and not f.reason]
        if records and room < 1:
            return new, False
        db.executemany(FOUND, ((key, f.id, f.platform, f.post_id, f.url, *_fate(f), f.value, f.detail) for key, f in keyed))
        # A key that is not there is that of a post that was known before.
        room -= (
            db.executemany("INSERT INTO video(record, key) SELECT ?, key FROM job WHERE key=?", records).rowcount
            if records
            else 0
        )
        new += db.executemany(SEEN, ((query, f.rank, now, f.likes, f.likes_exact, f.id) for f in some)).rowcount
        db.execute("UPDATE meta SET num_found=?", (number,))
    return new, True


def _fate(found: Found) -> tuple[str, str, str, str, int | None]:
    """(state, stage, kind, reason, exported) of a job when it is found."""
    if found.reason:
        return "dropped", "search", "rule", found.reason, 0
    return ("ready", "", "", "", None) if found.record is None else ("done", "", "", "", 0)


def refresh(db: sqlite3.Connection, now: float) -> None:
    """Jobs that waited long enough are ready; so are those whose lease ran out, unless that happened too often."""
    db.execute(f"UPDATE job SET state='ready', due=NULL WHERE key IN ({DUE})", (now, DUE_AT_ONCE))
    lost = db.execute(RAN_OUT, (now,)).fetchall()
    for key, token, losses in lost:
        db.execute("INSERT INTO attempt VALUES(NULL,?,?,?,?,'','')", (key, token, now, LOST))
        db.execute("UPDATE job SET state='ready', losses=?, due=NULL, owner=NULL, leased_at=NULL WHERE key=?", (losses, key))
        if losses >= LEASES_MAX:
            db.execute(
                "UPDATE job SET state='dropped', stage='fetch', kind='failure', reason='worker_lost',"
                " detail='its worker died each time', exported=0 WHERE key=?",
                (key,),
            )


def take(db: sqlite3.Connection, owner: str, number: int, now: float, until: float, without: Sequence[str]) -> tuple[Job, ...]:
    """Leases up to so many ready jobs, the best rank first. without: platforms that are not asked for."""
    rows = sorted(row for name in _ready(db, without) for row in db.execute(NEXT, (name, number)))[:number]
    db.executemany(
        "UPDATE job SET state='leased', token=token+1, due=?, owner=?, leased_at=? WHERE key=?",
        [(until, owner, now, row[0]) for row in rows],
    )
    return tuple(Job(*row[1:]) for row in rows)


def _ready(db: sqlite3.Connection, without: Sequence[str]) -> Iterator[str]:
    """Platforms of which jobs are ready; a look into the index for each, however many jobs."""
    name = ""
    while name := db.execute(FOLLOWING, (name,)).fetchone()[0] or "":
        if name not in without:
            yield name


def open_ones(db: sqlite3.Connection, without: Sequence[str]) -> bool:
    """Whether there is any job that is ready, leased, or waits for another try in this crawl."""
    unasked = ",".join("?" * len(without))
    held = (
        "SELECT EXISTS(SELECT 1 FROM job INDEXED BY job_due WHERE state IN ('leased','waiting') AND due<?"
        f" AND platform NOT IN ({unasked}))"
    )
    return any(_ready(db, without)) or bool(db.execute(held, (NOT_NOW, *without)).fetchone()[0])


def report(db: sqlite3.Connection, said: Report, now: float) -> bool:
    """Takes in what became of one lease. A report that was taken before is not taken again, and is still true."""
    job = said.job
    held = db.execute(HELD, (job.id,)).fetchone()
    if held is None or held[1] != job.token:
        told = db.execute(
            "SELECT outcome FROM attempt WHERE key=(SELECT key FROM job INDEXED BY job_id WHERE id=?) AND token=?",
            (job.id, job.token),
        ).fetchone()
        return told is not None and told[0] != LOST
    key = held[0]
    db.execute("INSERT INTO attempt VALUES(NULL,?,?,?,?,?,?)", (key, job.token, now, said.outcome, said.reason, said.detail))
    if said.outcome == RETRY:
        _end(db, key, "state='waiting', attempts=attempts+1, due=?", now + said.after_s)
    elif said.outcome == LEFT:
        _end(db, key, "state='waiting', due=?", NOT_NOW)
    elif said.outcome == GIVEN_BACK:
        _end(db, key, "state='ready', due=NULL")
    elif said.outcome == DONE:
        _end(db, key, "state='done', exported=0, due=NULL")
        db.execute("INSERT INTO video VALUES(?,?)", (key, json.dumps(dict(said.record or {}))))
        if said.sha256:
            db.execute("INSERT INTO blob VALUES(?,?,?) ON CONFLICT DO NOTHING", (said.sha256, said.num_bytes, job.id))
    else:
        changes = "state='dropped', exported=0, due=NULL, stage='fetch', kind=?, reason=?, value=?, detail=?"
        _end(db, key, changes, said.outcome, said.reason, said.value, said.detail)
    return True


def _end(db: sqlite3.Connection, key: int, changes: str, *values: object) -> None:
    """The end of a lease."""
    db.execute(f"UPDATE job SET {changes}, owner=NULL, leased_at=NULL WHERE key=?", (*values, key))


def retry_dropped(db: sqlite3.Connection, reason: str) -> list[str]:
    """Posts that failed for this reason are ready, as if never tried; their ids."""
    rows = db.execute(
        "UPDATE job INDEXED BY job_dropped SET state='ready', stage='', kind='', reason='', value=NULL, detail='', attempts=0,"
        " losses=0, exported=NULL WHERE state='dropped' AND kind='failure' AND reason=? RETURNING id",
        (reason,),
    )
    return [row[0] for row in rows.fetchall()]


def refuse(db: sqlite3.Connection, ids: Sequence[str], reason: str) -> list[str]:
    """Drops those of the posts that are neither leased nor over; their ids."""
    dropped = []
    for i in ids:
        changed = db.execute(
            "UPDATE job INDEXED BY job_id SET state='dropped', stage='fetch', kind='rule', reason=?, due=NULL, exported=0"
            " WHERE id=? AND state IN ('ready','waiting')",
            (reason, i),
        )
        if changed.rowcount:
            dropped.append(i)
    return dropped


def set_free(db: sqlite3.Connection, latest: float) -> None:
    """Nobody holds anything: leases end, jobs that would wait beyond `latest` do not wait, and all have all of their tries."""
    db.execute("UPDATE job INDEXED BY job_owner SET state='ready', due=NULL, owner=NULL, leased_at=NULL WHERE owner IS NOT NULL")
    db.execute("UPDATE job INDEXED BY job_due SET state='ready', due=NULL WHERE state='waiting' AND due>?", (latest,))
    db.execute("UPDATE job INDEXED BY job_tried SET attempts=0 WHERE state IN ('ready','waiting') AND attempts>0")
