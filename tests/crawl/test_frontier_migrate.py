"""A frontier of version 1 goes on where it was: nothing is lost, nothing is doubled."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import pytest

from crawl.frontier import Frontier
from crawl.frontier_read import failures, status
from crawl.jobs import Job
from svmbench.errors import StorageError

# Of the first release, but for the triggers' bodies.
FIRST = """
CREATE TABLE meta(key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE job(
  id TEXT PRIMARY KEY, post_id TEXT NOT NULL, rank INTEGER NOT NULL, likes INTEGER, likes_exact INTEGER NOT NULL,
  state TEXT NOT NULL CHECK(state IN ('ready','leased','done','dropped')), not_before REAL NOT NULL DEFAULT 0,
  token INTEGER NOT NULL DEFAULT 0, owner TEXT, lease_until REAL, attempts INTEGER NOT NULL DEFAULT 0,
  stage TEXT NOT NULL DEFAULT '', kind TEXT NOT NULL DEFAULT '', reason TEXT NOT NULL DEFAULT '', value REAL,
  detail TEXT NOT NULL DEFAULT '', record TEXT, exported INTEGER NOT NULL DEFAULT 0) STRICT, WITHOUT ROWID;
CREATE INDEX job_ready ON job(rank, id) WHERE state='ready';
CREATE INDEX job_leased ON job(lease_until) WHERE state='leased';
CREATE INDEX job_finished ON job(id) WHERE state IN ('done','dropped') AND exported=0;
CREATE TABLE sighting(
  id TEXT NOT NULL, word TEXT NOT NULL, rank INTEGER NOT NULL, seen_at REAL NOT NULL,
  PRIMARY KEY(id, word)) STRICT, WITHOUT ROWID;
CREATE TABLE query(
  word TEXT PRIMARY KEY, place INTEGER NOT NULL, state TEXT NOT NULL CHECK(state IN ('ready','leased','ended')),
  not_before REAL NOT NULL DEFAULT 0, token INTEGER NOT NULL DEFAULT 0, lease_until REAL, attempts INTEGER NOT NULL DEFAULT 0,
  position INTEGER NOT NULL DEFAULT 0, found INTEGER NOT NULL DEFAULT 0, outcome TEXT NOT NULL DEFAULT '',
  detail TEXT NOT NULL DEFAULT '') STRICT, WITHOUT ROWID;
CREATE TABLE attempt(
  id TEXT NOT NULL, token INTEGER NOT NULL, at REAL NOT NULL, outcome TEXT NOT NULL, detail TEXT NOT NULL) STRICT;
CREATE TABLE tally(
  state TEXT, stage TEXT, kind TEXT, reason TEXT, n INTEGER NOT NULL,
  PRIMARY KEY(state, stage, kind, reason)) STRICT, WITHOUT ROWID;
CREATE TABLE robots(host TEXT PRIMARY KEY, status INTEGER NOT NULL, body TEXT NOT NULL, at REAL NOT NULL) STRICT;
CREATE TRIGGER job_in AFTER INSERT ON job BEGIN SELECT 1; END;
CREATE TRIGGER job_moved AFTER UPDATE OF state ON job BEGIN SELECT 1; END;
INSERT INTO meta VALUES('settings', '{"a": 1}');
INSERT INTO query VALUES('dance', 0, 'ended', 0, 1, NULL, 1, 4, 4, 'end', ''), ('food', 1, 'leased', 0, 2, 99.0, 0, 2, 2, '', '');
INSERT INTO sighting VALUES('tiktok:1', 'dance', 0, 5.0), ('tiktok:2', 'dance', 1, 5.0), ('tiktok:2', 'food', 0, 6.0),
  ('tiktok:3', 'dance', 2, 5.0), ('tiktok:4', 'dance', 3, 5.0), ('tiktok:5', 'food', 1, 6.0);
INSERT INTO job(id, post_id, rank, likes, likes_exact, state, token, record, exported) VALUES
  ('tiktok:1', '1', 0, 10, 1, 'done', 2, '{"sha256": "ab"}', 1), ('tiktok:2', '2', 1, 10, 1, 'done', 1, '{"sha256": "ab"}', 0);
INSERT INTO job(id, post_id, rank, likes, likes_exact, state, token, owner, lease_until, attempts) VALUES
  ('tiktok:3', '3', 2, 10, 0, 'leased', 3, 'x', 99.0, 2), ('tiktok:5', '5', 1, 10, 1, 'ready', 0, NULL, NULL, 0);
INSERT INTO job(id, post_id, rank, likes, likes_exact, state, token, stage, kind, reason, detail) VALUES
  ('tiktok:4', '4', 3, 10, 1, 'dropped', 2, 'fetch', 'failure', 'gone', 'told so');
INSERT INTO attempt VALUES('tiktok:1', 1, 7.0, 'timeout', ''), ('tiktok:1', 2, 8.0, 'done', ''), ('tiktok:2', 1, 8.5, 'done', ''),
  ('tiktok:4', 1, 9.0, 'timeout', ''), ('tiktok:4', 2, 10.0, 'gone', 'told so');
INSERT INTO robots VALUES('www.tiktok.com', 200, 'User-agent: *', 5.0);
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "frontier.sqlite"
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA journal_mode=WAL")
        db.executescript(FIRST)
    db.close()
    return path


def test_an_old_file_goes_on_where_it_was(path: Path) -> None:
    frontier = Frontier(str(path))
    assert frontier.claim("other") == '{"a": 1}'
    stats = frontier.stats()
    assert {state: stats.count(state) for state in ("ready", "leased", "done", "dropped")} == {
        "ready": 2, "leased": 0, "done": 2, "dropped": 1,
    }  # fmt: skip
    assert [(q.word, q.state, q.outcome, q.found) for q in stats.queries] == [
        ("dance", "ended", "end", 4),
        ("food", "ready", "", 2),
    ]
    assert [(r["id"], r["words"], r["record"]) for r in frontier.finished(9)] == [
        ("tiktok:2", ["dance", "food"], json.dumps({"sha256": "ab"})),
        ("tiktok:4", ["dance"], None),
    ]
    frontier.begin(["dance", "food"], ("end",))
    assert frontier.lease("a", 9).jobs == (
        Job("tiktok:5", "tiktok", "5", "", 1, 0),
        Job("tiktok:3", "tiktok", "3", "", 4, 0),
    )
    query, _ = frontier.next_query()
    assert query is not None
    assert (query.word, query.token, query.position) == ("food", 3, 2)
    assert (frontier.robots("www.tiktok.com") or ())[:2] == (200, "User-agent: *")
    frontier.close()
    again = Frontier(str(path))
    assert again.stats().count("leased") == 2
    again.close()


def test_its_log_tells_what_each_try_was(path: Path) -> None:
    Frontier(str(path)).close()
    told = status(path)
    assert (told.tries, dict(told.retries), told.files) == (5, {"timeout": 2}, 1)
    (gone,) = failures(path)
    assert [(e.id, e.detail, e.attempts, e.last_at) for e in gone.examples] == [("tiktok:4", "told so", 2, 10.0)]


def test_it_has_the_tables_of_a_new_one(path: Path, tmp_path: Path) -> None:
    Frontier(str(path)).close()
    Frontier(str(tmp_path / "new.sqlite")).close()
    assert shape(path) == shape(tmp_path / "new.sqlite")


def shape(path: Path) -> list[tuple[str, str]]:
    with sqlite3.connect(path) as db:
        found = db.execute("SELECT name, sql FROM sqlite_master ORDER BY name").fetchall()
    db.close()
    return found


def test_a_migration_that_fails_leaves_the_old_file_as_it_was(path: Path) -> None:
    with sqlite3.connect(path) as db:
        db.execute("UPDATE job SET record='not json' WHERE id='tiktok:2'")
    db.close()
    before = shape(path)
    with pytest.raises(StorageError, match="malformed JSON"):
        Frontier(str(path))
    assert shape(path) == before


def test_who_only_looks_does_not_change_an_old_file(path: Path) -> None:
    before = path.read_bytes()
    with pytest.raises(StorageError, match="another version of svmbench; crawl once more"):
        status(path)
    assert path.read_bytes() == before
