"""The clerk: as many leases as threads, reports in batches, nothing lost at the end, late reports change nothing."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from crawl.clerk import Clerk
from crawl.frontier import Frontier
from crawl.jobs import Found, Job, Report
from svmbench.errors import StorageError
from svmbench.fleet import Fleet


class Watched(Frontier):
    """A frontier that notes what it is asked; report() is as slow as a busy disk."""

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self.leases: list[int] = []
        self.batches: list[int] = []
        self.renewals = 0
        self.broken = False
        self.slow_s = 0.0

    def lease(self, owner: str, number: int, without: Any = ()) -> Any:
        lease = super().lease(owner, number, without)
        time.sleep(self.slow_s)
        self.leases.append(len(lease.jobs))
        return lease

    def report(self, reports: Any) -> list[bool]:
        if self.broken:
            raise StorageError("the disk is full")
        time.sleep(0.02)
        self.batches.append(len(reports))
        return super().report(reports)

    def renew(self, owner: str) -> int:
        self.renewals += 1
        return super().renew(owner)

    def posts(self, number: int) -> None:
        self.begin(["w"], ("end",))
        query, _ = self.next_query()
        assert query
        self.add(query, [found(n) for n in range(number)], number)
        self.end_query(query, "end", "", None)

    def itself(self) -> Watched:
        return self

    def on_loan(self) -> int:
        return self.stats().count("leased")


def found(number: int) -> Found:
    return Found(id=f"x:{number}", platform="x", post_id=str(number), rank=number, likes=1, likes_exact=True)


@pytest.fixture
def frontier(tmp_path: Path) -> Any:
    with Fleet(local=True) as fleet:
        actor = fleet.actor(Watched, str(tmp_path / "frontier.sqlite"))
        yield actor.ask("itself"), actor


def done(job: Job) -> Report:
    return Report(job=job, outcome="rule", reason="too_short")


def work_through(clerk: Clerk, threads: int, each_s: float = 0.0) -> list[str]:
    """What the threads got, until there is no more."""
    got: list[str] = []

    def loop() -> None:
        while job := clerk.next():
            got.append(job.id)
            time.sleep(each_s)
            clerk.report(done(job))

    with clerk.at_work(), ThreadPoolExecutor(threads) as pool:
        for call in [pool.submit(loop) for _ in range(threads)]:
            call.result()
    return got


def test_every_post_is_handed_out_once_and_reported_in_batches(frontier: Any) -> None:
    store, actor = frontier
    store.posts(200)
    got = work_through(Clerk(actor, "me", threading.Event()), 8)
    assert sorted(got) == sorted(f"x:{n}" for n in range(200))
    assert store.stats().count("dropped") == sum(store.batches) == 200
    assert len(store.batches) < 100, "reports gather while the one before is under way"
    assert max(store.leases) <= 8


def test_no_more_is_leased_than_threads_can_take(frontier: Any) -> None:
    store, actor = frontier
    store.posts(40)
    most = 0
    clerk, over = Clerk(actor, "me", threading.Event()), threading.Event()

    def watch() -> None:
        nonlocal most
        while not over.wait(0.005):
            most = max(most, actor.ask("on_loan"))

    with ThreadPoolExecutor(1) as pool:
        watching = pool.submit(watch)
        work_through(clerk, 3, each_s=0.03)
        over.set()
        watching.result()
    assert 1 <= most <= 3


def test_a_slow_post_holds_up_no_other(frontier: Any) -> None:
    store, actor = frontier
    store.posts(20)
    clerk = Clerk(actor, "me", threading.Event())
    with clerk.at_work():
        slow = clerk.next()
        for _ in range(19):
            job = clerk.next()
            assert job
            clerk.report(done(job))
        assert slow
        clerk.report(done(slow))
    assert store.stats().count("dropped") == 20


def test_what_is_held_is_renewed(frontier: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    store, actor = frontier
    monkeypatch.setattr("crawl.clerk.LEASE_S", 0.3)
    store.posts(1)
    clerk = Clerk(actor, "me", threading.Event())
    with clerk.at_work():
        job = clerk.next()
        time.sleep(0.65)
        renewals = store.renewals
        assert job
        clerk.report(done(job))
        time.sleep(0.3)
    assert 4 <= renewals <= 7
    assert store.renewals <= renewals + 1, "nothing is held, so nothing is renewed"


def test_when_the_work_is_stopped_what_nobody_took_is_given_back(frontier: Any) -> None:
    store, actor = frontier
    store.posts(5)
    stop = threading.Event()
    clerk = Clerk(actor, "me", stop)
    with clerk.at_work():
        job = clerk.next()
        stop.set()
        assert clerk.next() is None
        assert job
        clerk.report(done(job))
    stats = store.stats()
    assert (stats.count("dropped"), stats.count("ready"), stats.count("leased")) == (1, 4, 0)


def test_a_thread_that_asks_after_the_stop_gets_nothing_though_a_job_lies_there(frontier: Any) -> None:
    _, actor = frontier
    stop = threading.Event()
    clerk = Clerk(actor, "me", stop)
    clerk._jobs.append(Job("x:1", "x", "1", "", 1, 0))
    stop.set()
    assert clerk.next() is None


def test_a_lease_that_comes_when_nobody_wants_it_any_more_is_given_back(frontier: Any) -> None:
    store, actor = frontier
    store.posts(2)
    store.slow_s = 0.5
    stop = threading.Event()
    clerk = Clerk(actor, "me", stop)
    with clerk.at_work(), ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(clerk.next)
        time.sleep(0.15)
        stop.set()
        assert waiting.result() is None
    assert store.leases == [1]
    assert (store.stats().count("ready"), store.stats().count("leased")) == (2, 0)


def test_a_report_on_a_lost_lease_changes_nothing(frontier: Any) -> None:
    store, actor = frontier
    store.posts(1)
    clerk = Clerk(actor, "slow", threading.Event())
    with clerk.at_work():
        mine = clerk.next()
        assert mine
        store.begin(["w"], ("end",))  # a driver that was started anew frees all leases
        theirs = store.lease("other", 1).jobs[0]
        assert (theirs.id, theirs.token > mine.token) == (mine.id, True)
        clerk.report(Report(job=mine, outcome="failure", reason="gone"))
    assert clerk.lost == 1
    assert store.report([done(theirs)]) == [True]
    assert [row["reason"] for row in store.finished(10)] == ["too_short"]


def test_what_the_frontier_raises_ends_the_round(frontier: Any) -> None:
    store, actor = frontier
    store.posts(5)
    store.broken = True
    with pytest.raises(StorageError, match="the disk is full"):
        work_through(Clerk(actor, "me", threading.Event()), 2)
