"""The frontier's file: kills, clocks that jump, disks that fill, files of others."""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from crawl import frontier_file
from crawl.frontier import LEASE_S, WAIT_MAX_S, Frontier
from crawl.jobs import Found, Job, Report
from svmbench.errors import StorageError

DAY_S = 86_400.0


def found(number: int) -> Found:
    return Found(id=f"t:{number}", platform="t", post_id=str(number), rank=number, likes=1, likes_exact=True)


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "frontier.sqlite")


@pytest.fixture
def frontier(path: str, clock: Any) -> Iterator[Frontier]:
    """One with five ready jobs, and nothing left to search."""
    made = Frontier(path, clock.wall, clock.monotonic)
    made.begin(["word"], ("end",))
    query, _ = made.next_query()
    assert query is not None
    made.add(query, [found(n) for n in range(5)], 5)
    made.end_query(query, "end", "", None)
    yield made
    made.close()


def retry(job: Job, after_s: float) -> Report:
    return Report(job=job, outcome="retry", reason="timeout", after_s=after_s)


# -- clocks
@pytest.mark.parametrize("jump_s", [-DAY_S, DAY_S])
def test_the_walls_clock_may_jump_while_it_runs(frontier: Frontier, clock: Any, jump_s: float) -> None:
    frontier.keep_robots("a.example", 200, "")
    frontier.begin(["word", "other"], ("end",))
    query, _ = frontier.next_query()
    assert query is not None
    frontier.end_query(query, "stalled", "", 30.0)
    held, waits = frontier.lease("a", 2).jobs
    frontier.report([retry(waits, 30.0)])
    clock.wall_s += jump_s
    clock.wait(LEASE_S - 1)
    assert [job.post_id for job in frontier.lease("b", 1).jobs] == ["2"], "the first lease holds, the retry waits"
    assert frontier.next_query() == (None, False)
    assert frontier.renew("a") == 1
    assert frontier.robots("a.example") == (200, "", LEASE_S - 1)
    clock.wait(30.0 - LEASE_S + 2)
    assert sorted(job.post_id for job in frontier.lease("c", 9).jobs) == ["0", "1", "2", "3", "4"]
    assert frontier.next_query()[0] is not None
    assert frontier.report([retry(held, 0.0)]) == [False]


def test_a_clock_that_was_set_back_between_two_runs_holds_nothing_up(frontier: Frontier, path: str, clock: Any) -> None:
    frontier.keep_robots("a.example", 200, "")
    first, second, *_ = frontier.lease("a", 5).jobs
    frontier.report([retry(first, 20.0), retry(second, DAY_S)])
    before = frontier._file.now()
    frontier.close()
    clock.wall_s -= 3 * DAY_S
    again = Frontier(path, clock.wall, clock.monotonic)
    assert again._file.now() >= before
    assert (again.robots("a.example") or (0, "", 0.0))[2] > DAY_S, "how old it is nobody knows, so it is fetched again"
    again.begin(["word"], ("end",))
    assert sorted(job.post_id for job in again.lease("b", 9).jobs) == ["1", "2", "3", "4"]
    clock.wait(21.0)
    assert again.lease("b", 1).jobs[0].post_id == "0"
    again.close()


def test_a_day_between_two_runs_is_a_day(frontier: Frontier, path: str, clock: Any) -> None:
    frontier.keep_robots("a.example", 200, "")
    frontier.report([retry(job, 600.0) for job in frontier.lease("a", 9).jobs])
    frontier.close()
    clock.wall_s += DAY_S
    clock.monotonic_s = 3.0  # the computer was started anew
    again = Frontier(path, clock.wall, clock.monotonic)
    assert (again.robots("a.example") or (0, "", 0.0))[2] == pytest.approx(DAY_S)
    assert len(again.lease("a", 9).jobs) == 5
    again.close()


def test_the_clock_never_goes_back_however_often_it_is_opened(path: str, clock: Any) -> None:
    draw, last = random.Random(0), 0.0
    for _ in range(20):
        frontier = Frontier(path, clock.wall, clock.monotonic)
        assert frontier._file.now() >= last
        clock.wait(draw.random() * 3)
        frontier.keep_host("a.example", "x")
        last = frontier._file.now()
        clock.wall_s -= 1000.0
        frontier.close()


def test_nothing_waits_longer_than_any_back_off_when_a_crawl_begins(frontier: Frontier) -> None:
    short, long, *_ = frontier.lease("a", 5).jobs
    frontier.report([retry(short, WAIT_MAX_S - 1), retry(long, WAIT_MAX_S + 1)])
    frontier.begin(["word"], ("end",))
    assert sorted(job.post_id for job in frontier.lease("a", 9).jobs) == ["1", "2", "3", "4"]


# -- kills
def test_an_answer_that_got_lost_with_the_frontier_does_not_hold_the_job_for_ever(
    frontier: Frontier, path: str, clock: Any
) -> None:
    old = frontier.lease("worker", 2).jobs
    clock.wait(5.0)
    frontier.renew("worker")
    fresh = frontier.lease("worker", 2).jobs
    again = Frontier(path, clock.wall, clock.monotonic)  # the process was killed; the worker lives, and knows of the old ones
    for _ in range(5):
        clock.wait(LEASE_S / 3)
        assert again.renew("worker") == 2
    given = again.lease("other", 9).jobs
    assert {job.id for job in given} == {job.id for job in fresh} | {"t:4"}
    assert again.report([retry(job, 0.0) for job in (*old, *fresh)]) == [True, True, False, False]
    again.close()


def test_a_fresh_lease_that_was_heard_of_is_reported_after_a_kill(frontier: Frontier, path: str, clock: Any) -> None:
    (held,) = frontier.lease("worker", 1).jobs
    again = Frontier(path, clock.wall, clock.monotonic)
    clock.wait(LEASE_S - 1)
    assert again.report([Report(job=held, outcome="done", record={})]) == [True]
    again.close()


def test_leases_outlive_a_frontier_that_takes_long_to_start_again(path: str, clock: Any) -> None:
    first = Frontier(path, clock.wall, clock.monotonic)
    first.begin(["one", "two"], ("end",))
    query, _ = first.next_query()
    assert query
    first.add(query, [found(n) for n in range(3)], 3)
    held = first.lease("worker", 2).jobs
    clock.wait(5.0)
    assert first.renew("worker") == 2
    first.close()
    clock.wait(6 * LEASE_S)
    again = Frontier(path, clock.wall, clock.monotonic)
    other, _ = again.next_query()
    assert other
    assert other.word == "two"
    assert [job.id for job in again.lease("other", 9).jobs] == ["t:2"]
    assert again.renew("worker") == 2
    assert again.report([Report(job=job, outcome="done", record={}) for job in held]) == [True, True]
    assert again.add(query, [found(3)], 4)
    again.close()


WRITER = """
import sys
from crawl.frontier import Frontier
from crawl.jobs import Found, Report
frontier = Frontier(sys.argv[1])
frontier.begin(["w"], ("end",))
query, _ = frontier.next_query()
n = 0
while True:
    rows = [Found(id=f"t:{i}", platform="t", post_id=str(i), rank=i, likes=1, likes_exact=True) for i in range(n, n + 5)]
    frontier.add(query, rows, n)
    print("added", *(row.id for row in rows), flush=True)
    n += 5
    jobs = frontier.lease("a", 3).jobs
    files = [f"{int(job.post_id) % 7:064x}" for job in jobs]
    held = frontier.report([
        Report(job=job, outcome="done", record={"x": "y" * 800}, sha256=sha256, num_bytes=10) for job, sha256 in zip(jobs, files)
    ])
    print("done", *(job.id for job, kept in zip(jobs, held) if kept), flush=True)
"""


def test_sigkill_while_writing_loses_nothing_that_was_acknowledged(path: str) -> None:
    draw = random.Random(0)
    for _ in range(5):
        for old in Path(path).parent.glob("frontier.sqlite*"):
            old.unlink()
        with subprocess.Popen([sys.executable, "-c", WRITER, path], stdout=subprocess.PIPE, text=True) as writer:
            assert writer.stdout is not None
            lines = [writer.stdout.readline().split() for _ in range(draw.randrange(20, 60))]
            time.sleep(draw.random() / 50)
            writer.send_signal(signal.SIGKILL)
            lines += [line.split() for line in writer.stdout.read().splitlines()]
        again = Frontier(path)
        with again._file.reading() as db:
            assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
            states = dict(db.execute("SELECT id, state FROM job").fetchall())
            done = {i for i, state in states.items() if state == "done"}
            assert {i for line in lines if line[0] == "added" for i in line[1:]} <= states.keys()
            assert {i for line in lines if line[0] == "done" for i in line[1:]} <= done
            assert db.execute("SELECT count(*) FROM video").fetchone() == (len(done),)
            assert db.execute("SELECT count(*) FROM attempt WHERE outcome='done'").fetchone() == (len(done),)
            counted = dict(db.execute("SELECT state, count(*) FROM job GROUP BY 1").fetchall())
            assert dict(db.execute("SELECT state, sum(n) FROM tally WHERE n>0 GROUP BY 1").fetchall()) == counted
        assert again.stats().num_bytes == 10 * len({int(i[2:]) % 7 for i in done})
        again.begin(["w"], ("end",))
        assert again.stats().count("leased") == 0
        again.close()


# -- disks and files
def test_a_file_that_is_no_frontier_is_refused_in_one_line(path: str) -> None:
    Path(path).write_bytes(b"not a database, but long enough to be taken for one" * 100)
    with pytest.raises(StorageError, match=r"frontier\.sqlite cannot be used \(file is not a database\)"):
        Frontier(path)


def test_a_damaged_file_is_refused_in_one_line(frontier: Frontier, path: str) -> None:
    frontier.close()
    data = bytearray(Path(path).read_bytes())
    for page in range(1, len(data) // 4096):
        data[page * 4096 : page * 4096 + 64] = b"\xff" * 64
    Path(path).write_bytes(data)
    with pytest.raises(StorageError, match=r"frontier\.sqlite cannot be used \(database disk image is malformed\)"):
        Frontier(path).begin(["word"], ("end",))


def test_another_programs_database_is_left_alone(path: str) -> None:
    with sqlite3.connect(path) as db:
        db.execute("CREATE TABLE theirs(x)")
    db.close()
    before = Path(path).read_bytes()
    with pytest.raises(StorageError, match=r"was written by another program; move it away"):
        Frontier(path)
    assert Path(path).read_bytes() == before


def test_a_newer_file_is_left_alone(frontier: Frontier, path: str) -> None:
    frontier.close()
    with sqlite3.connect(path) as db:
        db.execute(f"PRAGMA user_version={frontier_file.VERSION + 1}")
    db.close()
    with pytest.raises(StorageError, match=r"was written by a newer svmbench"):
        Frontier(path)


def test_a_full_disk_is_told_in_one_line_and_leaves_the_file_whole(frontier: Frontier) -> None:
    with frontier._file.reading() as db:
        pages = db.execute("PRAGMA page_count").fetchone()[0]
        db.execute(f"PRAGMA max_page_count={pages}")
    frontier.begin(["word", "more"], ("end",))
    query, _ = frontier.next_query()
    assert query is not None
    with pytest.raises(StorageError, match=r"cannot be used \(database or disk is full\); free space"):
        frontier.add(query, [found(n) for n in range(5, 2000)], 2000)
    assert frontier.stats().count("ready") == 5
    with frontier._file.reading() as db:
        db.execute("PRAGMA max_page_count=100000")
    assert frontier.add(query, [found(n) for n in range(5, 2000)], 2000)
    assert frontier.stats().count("ready") == 2000


def test_a_commit_that_fails_is_undone(frontier: Frontier, monkeypatch: pytest.MonkeyPatch) -> None:
    class Broken:
        """A connection whose next COMMIT fails as it does where the disk is full."""

        def __init__(self, db: sqlite3.Connection) -> None:
            self._db = db

        def __getattr__(self, name: str) -> object:
            return getattr(self._db, name)

        def execute(self, sql: str, *values: Any) -> sqlite3.Cursor:
            if sql == "COMMIT":
                raise sqlite3.OperationalError("database or disk is full")
            return self._db.execute(sql, *values)

    with monkeypatch.context() as patch:
        patch.setattr(frontier._file, "db", Broken(frontier._file.db))
        with pytest.raises(StorageError, match="disk is full"):
            frontier.lease("a", 2)
    assert frontier.stats().count("ready") == 5
    assert len(frontier.lease("a", 2).jobs) == 2


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_may_not_be_written_is_told_in_one_line(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(StorageError, match="cannot be used"):
            Frontier(str(tmp_path / "crawl" / "frontier.sqlite"))
    finally:
        tmp_path.chmod(0o700)


def test_a_place_that_is_no_folder_is_told_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "crawl").write_text("a file")
    with pytest.raises(StorageError, match="cannot be used"):
        Frontier(str(tmp_path / "crawl" / "frontier.sqlite"))
    (tmp_path / "frontier.sqlite").mkdir()
    with pytest.raises(StorageError, match="cannot be used"):
        Frontier(str(tmp_path / "frontier.sqlite"))


def test_acknowledgements_are_on_disk_and_memory_is_bounded(frontier: Frontier) -> None:
    with frontier._file.reading() as db:
        told = {
            name: db.execute(f"PRAGMA {name}").fetchone()[0]
            for name in ("journal_mode", "synchronous", "cache_size", "mmap_size")
        }
    assert told == {"journal_mode": "wal", "synchronous": 2, "cache_size": -16384, "mmap_size": 0}
    assert frontier_file.VERSION >= 2
