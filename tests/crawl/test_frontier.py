"""The frontier keeps its promises: one lease a job, late answers change nothing, and a kill leaves it whole."""

from __future__ import annotations

import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from crawl import frontier as module
from crawl.frontier import Frontier
from crawl.jobs import Found, Job, Query
from svmbench.errors import StorageError


def found(number: int, *, rank: int | None = None, reason: str = "", value: float | None = None) -> Found:
    likes = 20_000 + number
    return Found(
        id=f"tiktok:{number}", post_id=str(number), rank=number if rank is None else rank, likes=likes, likes_exact=True,
        reason=reason, value=value,
    )  # fmt: skip


@pytest.fixture
def frontier(tmp_path: Path) -> Iterator[Frontier]:
    made = Frontier(str(tmp_path / "crawl" / "frontier.sqlite"))
    made.begin(["dance", "food"], ("end",))
    yield made
    made.close()


def query(frontier: Frontier) -> Query:
    given, _ = frontier.next_query()
    assert given is not None
    return given


def job(frontier: Frontier, owner: str = "a") -> Job:
    lease = frontier.lease(owner)
    assert lease.job is not None
    return lease.job


def test_words_are_searched_once_each_in_the_recipes_order(frontier: Frontier) -> None:
    first, second = query(frontier), query(frontier)
    assert [first.word, second.word] == ["dance", "food"]
    assert frontier.next_query() == (None, False)  # both are under way
    assert frontier.end_query(first, "end", "", None)
    assert not frontier.end_query(first, "captcha", "", None), "a second report of the same search changes nothing"
    assert frontier.end_query(second, "captcha", "", None)
    assert frontier.next_query() == (None, True)
    frontier.begin(["dance", "food"], ("end",))
    again = query(frontier)
    assert again.word == "food", "a word that ended at a wall is searched again, one that ended well is not"


def test_a_search_that_lost_its_lease_adds_nothing(frontier: Frontier, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LEASE_S", -1.0)
    late = query(frontier)
    monkeypatch.setattr(module, "LEASE_S", 10.0)
    now = query(frontier)
    assert now.word == late.word
    assert now.token > late.token
    assert not frontier.add(late, [found(1)], 1)
    assert frontier.add(now, [found(2)], 1)
    assert frontier.stats().count("ready") == 1


def test_adding_twice_is_adding_once_and_a_post_keeps_all_its_words(frontier: Frontier) -> None:
    dance, food = query(frontier), query(frontier)
    for _ in range(2):
        assert frontier.add(food, [found(1), found(2)], 2)
    assert frontier.add(dance, [found(2)], 1)
    assert frontier.stats().count("ready") == 2
    for _ in range(2):
        held = job(frontier)
        frontier.complete(held, {"n": held.post_id})
    words = {row["id"]: row["words"] for row in frontier.finished(10)}
    assert words == {"tiktok:1": ["food"], "tiktok:2": ["dance", "food"]}


def test_the_position_is_kept_for_the_next_start(frontier: Frontier) -> None:
    held = query(frontier)
    frontier.add(held, [found(1)], 12)
    frontier.begin(["dance", "food"], ("end",))
    again = query(frontier)
    assert (again.word, again.position) == ("dance", 12)


def test_a_refused_result_is_never_leased(frontier: Frontier) -> None:
    held = query(frontier)
    frontier.add(held, [found(1, reason="too_few_likes", value=9_999.0), found(2)], 2)
    assert job(frontier).id == "tiktok:2"
    assert frontier.lease("a").job is None
    refused = frontier.finished(10)
    assert [(r["id"], r["stage"], r["kind"], r["reason"], r["value"]) for r in refused] == [
        ("tiktok:1", "search", "rule", "too_few_likes", 9_999.0)
    ]


def test_best_rank_first_and_no_job_twice(frontier: Frontier) -> None:
    frontier.add(query(frontier), [found(n, rank=50 - n) for n in range(50)], 50)
    order = [job(frontier, f"w{n % 3}").post_id for n in range(50)]
    assert order == [str(n) for n in reversed(range(50))]


def test_a_late_answer_of_a_lost_lease_changes_no_row(frontier: Frontier, monkeypatch: pytest.MonkeyPatch) -> None:
    frontier.add(query(frontier), [found(1)], 1)
    monkeypatch.setattr(module, "LEASE_S", -1.0)
    late = job(frontier, "stalled")
    monkeypatch.setattr(module, "LEASE_S", 10.0)
    now = job(frontier, "other")
    assert (now.id, now.token) == (late.id, late.token + 1)
    assert not frontier.complete(late, {"from": "late"})
    assert not frontier.drop(late, "failure", "gone", None, "")
    assert not frontier.retry(late, "timeout", "", 0.0)
    assert not frontier.give_back(late)
    assert frontier.stats().count("leased") == 1
    assert frontier.complete(now, {"from": "now"})
    assert not frontier.complete(now, {"from": "again"}), "an acknowledgement that is sent twice counts once"
    assert [row["record"] for row in frontier.finished(10)] == ['{"from": "now"}']


def test_leases_expire_unless_renewed(frontier: Frontier, monkeypatch: pytest.MonkeyPatch) -> None:
    frontier.add(query(frontier), [found(1)], 1)
    monkeypatch.setattr(module, "LEASE_S", 0.15)
    held = job(frontier, "a")
    for _ in range(4):
        time.sleep(0.08)
        assert frontier.renew("a") == 1
        assert frontier.lease("b").job is None
    time.sleep(0.3)
    assert job(frontier, "b").token == held.token + 1


def test_a_post_that_kills_its_workers_is_dropped_in_the_end(frontier: Frontier, monkeypatch: pytest.MonkeyPatch) -> None:
    frontier.add(query(frontier), [found(1)], 1)
    monkeypatch.setattr(module, "LEASE_S", -1.0)
    for _ in range(module.LEASES_MAX):
        assert frontier.lease("a").job is not None
    assert frontier.lease("a").job is None
    assert [row["reason"] for row in frontier.finished(10)] == ["worker_lost"]


def test_a_retry_waits_and_counts(frontier: Frontier) -> None:
    frontier.add(query(frontier), [found(1)], 1)
    frontier.retry(job(frontier), "timeout", "slow", 0.2)
    assert frontier.lease("a").job is None
    time.sleep(0.25)
    assert job(frontier).attempts == 1
    frontier.begin(["dance", "food"], ("end",))
    assert job(frontier).attempts == 0, "the next command gives a post all of its tries"


def test_it_is_over_when_all_searches_and_all_jobs_are(frontier: Frontier) -> None:
    dance, food = query(frontier), query(frontier)
    assert not frontier.lease("a").over
    frontier.add(dance, [found(1)], 1)
    frontier.end_query(dance, "end", "", None)
    held = job(frontier)
    assert not frontier.lease("b").over
    frontier.drop(held, "failure", "gone", None, "")
    assert not frontier.lease("b").over, "a search is still under way"
    frontier.end_query(food, "end", "", None)
    assert frontier.lease("b").over


def test_after_stop_there_is_no_work(frontier: Frontier) -> None:
    held = query(frontier)
    frontier.add(held, [found(1)], 1)
    frontier.stop()
    assert frontier.lease("a").over
    assert frontier.next_query() == (None, True)
    assert not frontier.add(held, [found(2)], 2)


def test_exported_rows_are_not_given_again(frontier: Frontier) -> None:
    frontier.add(query(frontier), [found(n, reason="too_short", value=1.0) for n in range(5)], 5)
    first = [row["id"] for row in frontier.finished(3)]
    frontier.exported(first)
    frontier.exported(first)
    assert [row["id"] for row in frontier.finished(10)] == ["tiktok:3", "tiktok:4"]


def test_the_tally_counts_what_the_table_holds(frontier: Frontier) -> None:
    frontier.add(query(frontier), [found(n, reason="too_short" if n % 4 == 0 else "") for n in range(20)], 20)
    for n in range(9):
        held = job(frontier)
        if n % 3 == 0:
            frontier.complete(held, {})
        elif n % 3 == 1:
            frontier.drop(held, "failure", "gone", None, "")
        else:
            frontier.retry(held, "timeout", "", 9.0)
    tally = {tuple(row[:4]): row[4] for row in frontier.stats().tally}
    assert tally == counted(frontier._path)
    assert tally["done", "", "", ""] == 3
    assert tally["dropped", "fetch", "failure", "gone"] == 3


def counted(path: str) -> dict[tuple[str, ...], int]:
    with sqlite3.connect(path) as db:
        rows = db.execute("SELECT state, stage, kind, reason, count(*) FROM job GROUP BY 1, 2, 3, 4").fetchall()
    db.close()
    return {tuple(row[:4]): row[4] for row in rows}


def test_robots_are_kept_with_their_age(frontier: Frontier) -> None:
    assert frontier.robots("www.tiktok.com") is None
    frontier.keep_robots("www.tiktok.com", 200, "User-agent: *")
    status, body, age_s = frontier.robots("www.tiktok.com") or (0, "", 99.0)
    assert (status, body) == (200, "User-agent: *")
    assert 0 <= age_s < 5


def test_a_file_that_is_no_frontier_is_refused_in_one_line(tmp_path: Path) -> None:
    path = tmp_path / "frontier.sqlite"
    path.write_bytes(b"not a database, but long enough to be taken for one" * 100)
    with pytest.raises(StorageError, match=r"frontier\.sqlite cannot be used"):
        Frontier(str(path))


WRITER = """
import sys
from crawl.frontier import Frontier
from crawl.jobs import Found
frontier = Frontier(sys.argv[1])
frontier.begin(["w"], ("end",))
query, _ = frontier.next_query()
n = 0
while True:
    rows = [Found(id=f"tiktok:{i}", post_id=str(i), rank=i, likes=1, likes_exact=True) for i in range(n, n + 5)]
    frontier.add(query, rows, n)
    print("added", *(row.id for row in rows), flush=True)
    n += 5
    for _ in range(3):
        job = frontier.lease("a").job
        if frontier.complete(job, {"x": "y" * 800}):
            print("done", job.id, flush=True)
"""


def test_sigkill_while_writing_loses_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    path = str(tmp_path / "frontier.sqlite")
    for round_ in range(3):
        Path(path).unlink(missing_ok=True)
        with subprocess.Popen([sys.executable, "-c", WRITER, path], stdout=subprocess.PIPE, text=True) as writer:
            assert writer.stdout is not None
            lines = [writer.stdout.readline().split() for _ in range(40 + 13 * round_)]
            writer.send_signal(signal.SIGKILL)
            lines += [line.split() for line in writer.stdout.read().splitlines()]
        with sqlite3.connect(path) as db:
            assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
            states = dict(db.execute("SELECT id, state FROM job").fetchall())
        db.close()
        assert len(lines) >= 40
        assert {i for line in lines if line[0] == "added" for i in line[1:]} <= states.keys()
        assert {line[1] for line in lines if line[0] == "done"} <= {i for i, state in states.items() if state == "done"}
        again = Frontier(path)
        assert counted(path) == {tuple(row[:4]): row[4] for row in again.stats().tally}
        again.begin(["w"], ("end",))
        assert again.stats().count("leased") == 0
        again.close()
        for extra in Path(path).parent.glob("frontier.sqlite-*"):
            extra.unlink()
