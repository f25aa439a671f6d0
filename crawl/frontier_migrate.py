"""Brings a frontier's file of an older svmbench into today's tables, inside the caller's transaction."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable

from crawl.frontier_jobs import BAND

FIRST = {"job", "sighting", "query", "attempt", "tally", "robots", "meta"}  # tables of version 1, which noted no version


def migrate(db: sqlite3.Connection, schema: Iterable[str]) -> None:
    """From version 1. Leases end. How large the files stored so far are was not noted: they count as files of 0 bytes."""
    for kind, name in db.execute("SELECT type, name FROM sqlite_master WHERE sql IS NOT NULL AND type<>'table'").fetchall():
        db.execute(f"DROP {kind} {name}")
    old = [name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type='table'")]
    for name in old:
        db.execute(f"ALTER TABLE {name} RENAME TO old_{name}")
    for statement in schema:
        db.execute(statement)
    for statement in _moves(_columns(db, "old_job"), _columns(db, "old_query")):
        db.execute(statement)
    for name in old:
        db.execute(f"DROP TABLE old_{name}")


def _columns(db: sqlite3.Connection, table: str) -> set[str]:
    return {row[1] for row in db.execute(f"PRAGMA table_info({table})")}


def _moves(job: set[str], query: set[str]) -> tuple[str, ...]:
    """Columns that the very first files lack get what they could only have held."""
    platform, url = ("platform", "url") if "platform" in job else ("'tiktok'", "''")
    cursor = "cursor" if "cursor" in query else "''"
    over = "state IN ('done','dropped')"
    return (
        "UPDATE meta SET settings=(SELECT value FROM old_meta WHERE key='settings'), num_found=(SELECT count(*) FROM old_job)",
        "INSERT INTO job(key, id, platform, post_id, url, state, token, stage, kind, reason, value, detail, exported)"
        f" SELECT rank*{BAND}+row_number() OVER (ORDER BY rank, id)-1, id, {platform}, post_id, {url},"
        f" iif({over}, state, 'ready'), token, stage, kind, reason, value, detail, iif({over}, exported, NULL) FROM old_job",
        "INSERT INTO video SELECT key, record FROM job JOIN old_job USING(id) WHERE record IS NOT NULL ORDER BY key",
        "INSERT OR IGNORE INTO blob SELECT json_extract(record, '$.sha256'), 0, id FROM old_job"
        " WHERE json_extract(record, '$.sha256') IS NOT NULL",
        "INSERT INTO query(word, place, state, token, attempts, position, cursor, found, outcome, detail) SELECT word, place,"
        f" iif(state='ended', state, 'ready'), token, attempts, position, {cursor}, found, outcome, detail FROM old_query",
        "INSERT INTO sighting SELECT key, no, s.rank, seen_at, likes, likes_exact FROM old_sighting AS s JOIN job USING(id)"
        " JOIN old_job USING(id) JOIN query USING(word)",
        "INSERT OR IGNORE INTO attempt SELECT NULL, key, a.token, at, CASE WHEN outcome IN ('done','given_back') THEN outcome"
        " WHEN state='dropped' AND outcome=reason AND a.token=job.token THEN kind ELSE 'retry' END,"
        " iif(outcome IN ('done','given_back'), '', outcome), a.detail FROM old_attempt AS a JOIN job USING(id) ORDER BY at",
        "INSERT INTO robots SELECT * FROM old_robots",
    )
