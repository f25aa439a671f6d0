"""What a crawl's file tells somebody who only looks: how the run stands, and why posts are missing.

The file is opened read-only, also while a crawl writes it; nothing is made or changed. Times are Unix seconds on the frontier's
clock.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar
from urllib.parse import quote

from crawl.frontier_file import VERSION
from crawl.frontier_jobs import halted
from svmbench.errors import BadInput, StorageError

T = TypeVar("T")
HOUR_S = 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Word:
    """One search word. state: ready, leased or ended. position: results read. found: posts. attempts: searches that ended."""

    word: str
    state: str
    outcome: str
    detail: str
    position: int
    found: int
    attempts: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """One post. url: '' where the platform's own post_url(post_id) is meant. attempts: tries of all crawls; last_at: the last."""

    id: str
    platform: str
    post_id: str
    url: str
    value: float | None
    detail: str
    attempts: int
    last_at: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Fate:
    """Posts that were left out for one reason. stage: search or fetch. kind: rule or failure. number: all of them."""

    stage: str
    kind: str
    reason: str
    number: int
    examples: tuple[Example, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """How a run stands.

    ready: posts to fetch, of which `waiting` wait for another try. tries: all at all posts, with those in retries (another was
    to follow; by reason) and lost (the worker was not heard of again). files, num_bytes: media stored, each file
    once. done_last_hour: posts done in the hour before the last try, which was at last_at. stopped, limit, disk_bytes: as in
    jobs.Stats and Frontier.begin. hosts: what the pacer kept. hits: matches by selector in the last crawl, with the version of
    the selectors.
    """

    ready: int
    waiting: int
    leased: int
    done: int
    dropped: tuple[Fate, ...]
    words: tuple[Word, ...]
    hosts: Mapping[str, str]
    tries: int
    retries: Mapping[str, int]
    lost: int
    files: int
    num_bytes: int
    done_last_hour: int
    last_at: float | None
    stopped: str
    limit: int | None
    disk_bytes: int | None
    hits_version: str
    hits: Mapping[str, int]


def status(path: Path) -> Status:
    """BadInput where there is no such file, StorageError where it cannot be read."""
    return _read(path, _status)


def failures(path: Path, *, kind: str | None = None, reason: str | None = None, examples: int = 3) -> tuple[Fate, ...]:
    """Why posts are missing, the commonest reason first; of one kind (rule or failure) or reason only where named.

    examples: posts that are shown a reason. BadInput where there is no such file, StorageError where it cannot be read.
    """
    return _read(path, lambda db: _failures(db, kind, reason, examples))


def shared_words(path: Path) -> dict[str, tuple[str, ...]]:
    """Posts that more than one word has found: id -> words in the order of the recipe."""
    return _read(path, _shared_words)


def _read(path: Path, look: Callable[[sqlite3.Connection], T]) -> T:
    """What `look` finds, all at one moment.

    Without a log beside it the file is at rest, and is read as it is: SQLite would make a log even to read. Should a crawl begin
    meanwhile, what was read may be torn, and is read again.
    """
    if not path.is_file():
        raise BadInput(f"{path}: no crawl was begun there; run svmbench crawl first, or name another run folder")
    while True:
        mark = _mark(path)
        try:
            found = _look(path, "mode=ro" if mark is None else "immutable=1", look)
        except sqlite3.DatabaseError as error:
            if mark == _mark(path):
                raise StorageError(f"{path} cannot be read ({error}); it may be damaged, or is no crawl's file") from error
        else:
            if mark == _mark(path):
                return found


def _mark(path: Path) -> tuple[int, int] | None:
    """Tells whether a file at rest has been written since; None for one that is not at rest."""
    if path.with_name(path.name + "-wal").exists():
        return None
    about = path.stat()
    return about.st_mtime_ns, about.st_size


def _look(path: Path, how: str, look: Callable[[sqlite3.Connection], T]) -> T:
    with closing(sqlite3.connect(f"file:{quote(str(path))}?{how}", uri=True, isolation_level=None, timeout=30)) as db:
        db.execute("BEGIN")
        version = db.execute("PRAGMA user_version").fetchone()[0]
        if version != VERSION:
            raise StorageError(
                f"{path} was written by another version of svmbench; crawl once more with this one, then look again"
            )
        return look(db)


def _status(db: sqlite3.Connection) -> Status:
    limit, disk_bytes, stopped, files, num_bytes, version = db.execute(
        "SELECT done_max, bytes_max, stopped, num_files, num_bytes, hits_version FROM meta"
    ).fetchone()
    counts: dict[str, int] = dict(db.execute("SELECT state, sum(n) FROM tally GROUP BY state").fetchall())
    ready, waiting, leased, done = (counts.get(state, 0) for state in ("ready", "waiting", "leased", "done"))
    words = db.execute("SELECT word, state, outcome, detail, position, found, attempts FROM query ORDER BY place").fetchall()
    ended = db.execute("SELECT outcome, reason, n FROM tried WHERE outcome<>'given_back' ORDER BY n DESC").fetchall()
    last_at, done_last_hour = _last_hour(db)
    return Status(
        ready=ready + waiting, waiting=waiting, leased=leased, done=done, dropped=_failures(db, None, None, 0),
        words=tuple(
            Word(word=w[0], state=w[1], outcome=w[2], detail=w[3], position=w[4], found=w[5], attempts=w[6]) for w in words
        ),
        hosts=dict(db.execute("SELECT host, state FROM host ORDER BY host").fetchall()),
        tries=sum(n for *_, n in ended), retries={reason: n for outcome, reason, n in ended if outcome == "retry"},
        lost=sum(n for outcome, _, n in ended if outcome == "lost"),
        files=files, num_bytes=num_bytes, done_last_hour=done_last_hour, last_at=last_at,
        stopped=halted(done, num_bytes, limit, disk_bytes, bool(stopped)), limit=limit, disk_bytes=disk_bytes,
        hits_version=version, hits=dict(db.execute("SELECT selector, n FROM hits WHERE version=?", (version,)).fetchall()),
    )  # fmt: skip


def _last_hour(db: sqlite3.Connection) -> tuple[float | None, int]:
    """(time of the last try, posts done in the hour before it); the log is read from its end."""
    last_at, number = None, 0
    for at, outcome in db.execute("SELECT at, outcome FROM attempt ORDER BY no DESC"):
        last_at = at if last_at is None else last_at
        if at < last_at - HOUR_S:
            break
        number += outcome == "done"
    return last_at, number


def _failures(db: sqlite3.Connection, kind: str | None, reason: str | None, examples: int) -> tuple[Fate, ...]:
    rows = db.execute(
        "SELECT stage, kind, reason, n FROM tally WHERE state='dropped' AND n>0 AND kind=coalesce(?, kind)"
        " AND reason=coalesce(?, reason) ORDER BY n DESC, reason",
        (kind, reason),
    ).fetchall()
    return tuple(Fate(stage=s, kind=k, reason=r, number=n, examples=_examples(db, s, k, r, examples)) for s, k, r, n in rows)


def _examples(db: sqlite3.Connection, stage: str, kind: str, reason: str, number: int) -> tuple[Example, ...]:
    rows = db.execute(
        "SELECT id, platform, post_id, url, value, detail,"
        " (SELECT count(*) FROM attempt WHERE attempt.key=job.key AND outcome<>'given_back'),"
        " (SELECT max(at) FROM attempt WHERE attempt.key=job.key)"
        " FROM job INDEXED BY job_dropped WHERE state='dropped' AND kind=? AND reason=? AND stage=? ORDER BY key LIMIT ?",
        (kind, reason, stage, number),
    )
    return tuple(
        Example(id=r[0], platform=r[1], post_id=r[2], url=r[3], value=r[4], detail=r[5], attempts=r[6], last_at=r[7])
        for r in rows
    )


def _shared_words(db: sqlite3.Connection) -> dict[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    rows = db.execute(
        "SELECT id, word FROM (SELECT key FROM sighting GROUP BY key HAVING count(*)>1) JOIN job USING(key)"
        " JOIN sighting USING(key) JOIN query ON no=query ORDER BY key, place"
    )
    for post, word in rows:
        found[post] = (*found.get(post, ()), word)
    return found
