"""Looking at a crawl's file: complete, also while it is written, and without a trace."""

from __future__ import annotations

import hashlib
import shutil
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from crawl.frontier import Frontier
from crawl.frontier_read import Fate, Word, failures, shared_words, status
from crawl.jobs import Found, Report
from svmbench.errors import BadInput, StorageError


def found(number: int, reason: str = "") -> Found:
    return Found(
        id=f"t:{number}", platform="t", post_id=str(number), url=f"https://t.example/{number}", rank=number, likes=1,
        likes_exact=True, reason=reason, value=5.0 if reason else None, detail="so few" if reason else "",
    )  # fmt: skip


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "a crawl? #1%20" / "frontier.sqlite"


@pytest.fixture
def frontier(path: Path, clock: Any) -> Iterator[Frontier]:
    """A crawl in the middle: of 12 posts 4 are done, 1 waits, 2 are leased, 2 failed, 2 were refused, 1 is ready."""
    made = Frontier(str(path), clock.wall, clock.monotonic)
    made.begin(["dance", "food"], ("end",), 50, 10**9)
    dance, _ = made.next_query()
    food, _ = made.next_query()
    assert dance is not None
    assert food is not None
    made.add(dance, [found(n, "too_few_likes" if n in (3, 4) else "") for n in range(10)], 10)
    made.add(food, [found(n) for n in (0, 9, 10, 11)], 4)
    made.end_query(dance, "end", "", None)
    slow, _, lost = made.lease("a", 3).jobs
    made.report([Report(job=slow, outcome="retry", reason="timeout"), Report(job=lost, outcome="given_back")])
    clock.wait(5000.0)
    jobs = made.lease("a", 7).jobs
    by_id = {job.id: job for job in jobs}
    assert by_id.keys() == {"t:0", "t:1", "t:2", "t:5", "t:6", "t:7", "t:8"}
    done = [Report(job=by_id[f"t:{n}"], outcome="done", record={}, sha256=f"{n % 2}", num_bytes=10) for n in (5, 6, 7)]
    made.report([
        *done, Report(job=by_id["t:1"], outcome="failure", reason="gone", detail="told so"),
        Report(job=by_id["t:2"], outcome="failure", reason="gone", detail="told so"),
        Report(job=by_id["t:8"], outcome="retry", reason="timeout", after_s=60.0),
    ])  # fmt: skip
    clock.wait(2.0)
    made.report([Report(job=by_id["t:0"], outcome="done", record={}, sha256="1", num_bytes=10)])
    made.lease("b", 2)
    made.note_hits("7", {"card": 3, "end": 0})
    made.keep_host("t.example", "{}")
    yield made
    made.close()


def test_the_status_is_complete(frontier: Frontier, path: Path, clock: Any) -> None:
    told = status(path)
    assert (told.ready, told.waiting, told.leased, told.done) == (2, 1, 2, 4)
    assert told.dropped == (
        Fate(stage="fetch", kind="failure", reason="gone", number=2),
        Fate(stage="search", kind="rule", reason="too_few_likes", number=2),
    )
    assert told.words == (
        Word(word="dance", state="ended", outcome="end", detail="", position=10, found=10, attempts=1),
        Word(word="food", state="leased", outcome="", detail="", position=4, found=4, attempts=0),
    )
    assert (told.tries, dict(told.retries), told.lost) == (9, {"timeout": 2}, 1)
    assert (told.files, told.num_bytes) == (2, 20)
    assert (told.done_last_hour, told.last_at) == (4, clock.wall_s)
    assert (told.stopped, told.limit, told.disk_bytes) == ("", 50, 10**9)
    assert (told.hits_version, dict(told.hits), dict(told.hosts)) == ("7", {"card": 3, "end": 0}, {"t.example": "{}"})
    clock.wait(3601.0)
    frontier.report([Report(job=job, outcome="done", record={}) for job in frontier.lease("b", 1).jobs])
    assert status(path).done_last_hour == 1
    frontier.stop()
    assert status(path).stopped == "stopped"


def test_failures_come_with_examples(frontier: Frontier, path: Path) -> None:
    gone, few = failures(path, examples=1)
    assert [(e.id, e.url, e.detail, e.attempts) for e in gone.examples] == [("t:1", "https://t.example/1", "told so", 2)]
    assert gone.number == 2
    assert [(e.id, e.value, e.detail, e.attempts, e.last_at) for e in few.examples] == [("t:3", 5.0, "so few", 0, None)]
    assert [fate.reason for fate in failures(path, kind="rule")] == ["too_few_likes"]
    assert [len(fate.examples) for fate in failures(path, reason="gone", examples=9)] == [2]
    assert failures(path, kind="rule", reason="gone") == ()


def test_posts_of_several_words(frontier: Frontier, path: Path) -> None:
    assert shared_words(path) == {"t:0": ("dance", "food"), "t:9": ("dance", "food")}


def prints(folder: Path) -> dict[str, str]:
    return {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in folder.iterdir() if not p.name.endswith("-shm")}


def test_looking_leaves_no_trace(frontier: Frontier, path: Path, tmp_path: Path) -> None:
    before = prints(path.parent)
    assert set(before) == {"frontier.sqlite", "frontier.sqlite-wal"}
    running = status(path)
    assert prints(path.parent) == before

    killed = tmp_path / "killed"
    shutil.copytree(path.parent, killed)
    assert status(killed / path.name) == running, "as a kill leaves it, with what is in the log alone"
    assert prints(killed) == before

    frontier.close()
    at_rest = {p.name: p.read_bytes() for p in path.parent.iterdir()}
    assert status(path) == running
    assert {p.name: p.read_bytes() for p in path.parent.iterdir()} == at_rest
    assert set(at_rest) == {"frontier.sqlite"}


def test_a_look_while_it_is_written_sees_one_moment(frontier: Frontier, path: Path) -> None:
    frontier.begin(["dance", "food"], ("end",))
    query, _ = frontier.next_query()
    assert query is not None
    stop, errors = threading.Event(), list[object]()

    def look() -> None:
        while not stop.is_set():
            told = status(path)
            if sum(word.found for word in told.words) != told.ready + told.leased + told.done + 4 + 2:
                errors.append(told)

    looker = threading.Thread(target=look)
    looker.start()
    for n in range(100, 200):
        frontier.add(query, [found(n), found(n + 1000)], n)
        for job in frontier.lease("c", 1).jobs:
            frontier.report([Report(job=job, outcome="done", record={})])
    stop.set()
    looker.join()
    assert not errors


def test_where_there_is_nothing_to_look_at(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="no crawl was begun there"):
        status(tmp_path / "frontier.sqlite")
    assert not list(tmp_path.iterdir())


def test_what_is_no_crawls_file(tmp_path: Path) -> None:
    path = tmp_path / "frontier.sqlite"
    path.write_bytes(b"no database at all" * 1000)
    with pytest.raises(StorageError, match="cannot be read"):
        failures(path)
    path.unlink()
    with sqlite3.connect(path) as db:
        db.execute("CREATE TABLE theirs(x)")
    db.close()
    with pytest.raises(StorageError, match="another version"):
        failures(path)
