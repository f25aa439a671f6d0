"""The frontier against a model of forty lines, over random histories with kills; and how SQLite goes about its questions."""

from __future__ import annotations

import math
import random
import re
import sqlite3
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from crawl.frontier import LEASE_S, Frontier
from crawl.frontier_file import CLOCK_STEP_S, UNSURE_S
from crawl.frontier_jobs import LEASES_MAX
from crawl.jobs import Found, Job, Report

OWNERS = ("a", "b", "c")
STEPS = 120


@dataclass
class Fate:
    """What the model knows of one job. until: end of its lease, or of its wait."""

    rank: int
    number: int
    state: str = "ready"
    token: int = 0
    attempts: int = 0
    losses: int = 0
    until: float = 0.0
    owner: str = ""
    given_at: float = 0.0


class Model:
    """What the frontier promises, the simplest way."""

    def __init__(self, limit: int | None) -> None:
        self.limit, self.jobs, self.taken = limit, dict[str, Fate](), set[tuple[str, int]]()

    def add(self, found: list[Found]) -> None:
        for f in found:
            self.jobs.setdefault(f.id, Fate(f.rank, len(self.jobs)))

    def count(self, *states: str) -> int:
        return sum(job.state in states for job in self.jobs.values())

    def lease(self, owner: str, number: int, now: float, without: str) -> list[Job]:
        for job in self.jobs.values():
            if job.state == "waiting" and job.until <= now:
                job.state = "ready"
            if job.state == "leased" and job.until < now:
                job.losses += 1
                job.state = "dropped" if job.losses >= LEASES_MAX else "ready"
        if self.limit is not None:
            number = min(number, self.limit - self.count("done", "leased"))
        jobs = [(job.rank, job.number, i) for i, job in self.jobs.items() if job.state == "ready" and platform(i) not in without]
        given = []
        for *_, i in sorted(jobs)[: max(0, number)]:
            job = self.jobs[i]
            job.state, job.token, job.until, job.owner, job.given_at = "leased", job.token + 1, now + LEASE_S, owner, now
            given.append(Job(i, platform(i), i[2:], "", job.token, job.attempts))
        return given

    def open(self, now: float) -> None:
        for job in self.jobs.values():
            if job.state == "leased":
                job.until = max(job.until, now + LEASE_S)

    def renew(self, owner: str, now: float) -> int:
        held = [job for job in self.jobs.values() if job.state == "leased" and job.owner == owner]
        for job in held:
            job.until = now + LEASE_S
        return len(held)

    def report(self, said: Report, now: float) -> bool:
        job = self.jobs[said.job.id]
        if job.state != "leased" or job.token != said.job.token:
            return (said.job.id, said.job.token) in self.taken
        self.taken.add((said.job.id, said.job.token))
        states = {"done": "done", "failure": "dropped", "retry": "waiting", "left": "waiting", "given_back": "ready"}
        job.state = states[said.outcome]
        job.attempts += said.outcome == "retry"
        job.until = math.inf if said.outcome == "left" else now + said.after_s
        return True

    def begin(self) -> None:
        for job in self.jobs.values():
            if job.state == "leased":
                job.state, job.until = "ready", 0.0
            if job.state in ("ready", "waiting"):
                job.attempts = 0
                job.state = "ready" if job.until == math.inf else job.state


@pytest.mark.parametrize("seed", range(12))
def test_random_histories_go_as_the_model_says(tmp_path: Path, clock: Any, seed: int) -> None:
    draw, path = random.Random(seed), str(tmp_path / "frontier.sqlite")
    limit = draw.choice((None, 10, 25))
    model, frontier = Model(limit), Frontier(path, clock.wall, clock.monotonic)
    frontier.begin(["word"], ("end",), limit)
    handed: list[Job] = []
    for step in range(STEPS):
        clock.wait(draw.choice((0.0, 0.1, 2.0, 4.0, LEASE_S / 2, LEASE_S * 1.5)))
        now = frontier._file.now()
        action = draw.choice(("add", "lease", "lease", "report", "report", "report", "renew", "kill", "begin"))
        if action == "add" and model.count("done") != limit:
            some = [found(draw.randrange(40), draw.randrange(4)) for _ in range(draw.randrange(4))]
            query = frontier.next_query()[0]
            assert query is not None
            assert frontier.add(query, some, step)
            frontier.end_query(query, "more", "", 0.0)
            model.add(some)
        elif action == "lease":
            owner, number = draw.choice(OWNERS), draw.randrange(1, 5)
            without = draw.choice(("", "", "", "a", "b", "ab"))
            lease = frontier.lease(owner, number, tuple(without))
            given = list(lease.jobs)
            assert given == model.lease(owner, number, now, without)
            assert not lease.over, "the word is never searched to its end"
            handed += given
        elif action == "report" and handed:
            said = [report(draw, draw.choice(handed)) for _ in range(draw.randrange(1, 4))]
            assert frontier.report(said) == [model.report(one, now) for one in said]
        elif action == "renew":
            owner = draw.choice(OWNERS)
            assert frontier.renew(owner) == model.renew(owner, now)
        elif action == "kill":
            with frontier._file.reading() as db:
                (stored,) = db.execute("SELECT clock FROM meta").fetchone()
            frontier.close()
            frontier = Frontier(path, clock.wall, clock.monotonic)
            model.open(frontier._file.now())
            with frontier._file.reading() as db:
                orphans = {i for (i,) in db.execute("SELECT id FROM job WHERE owner=''")}
            leased = {i: stored - job.given_at for i, job in model.jobs.items() if job.state == "leased"}
            assert {i for i, age_s in leased.items() if age_s < UNSURE_S} <= orphans
            assert all(leased[i] < UNSURE_S + 2 * CLOCK_STEP_S or not model.jobs[i].owner for i in orphans)
            for i in orphans:
                model.jobs[i].owner = ""
        elif action == "begin":
            frontier.begin(["word"], ("end",), limit)
            model.begin()
        check(frontier, model)
    frontier.close()


def platform(job: str) -> str:
    """Of a post with this id."""
    return "ab"[int(job[2:]) % 2]


def found(number: int, rank: int) -> Found:
    i = f"t:{number}"
    return Found(id=i, platform=platform(i), post_id=str(number), rank=rank, likes=1, likes_exact=True)


def report(draw: random.Random, job: Job) -> Report:
    said = Report(job=job, outcome="done", record={}, sha256=job.post_id, num_bytes=3)
    return draw.choice(
        (
            said,
            replace(said, outcome="failure", reason="gone"),
            replace(said, outcome="retry", after_s=draw.choice((0.0, 5.0))),
            replace(said, outcome="left"),
            replace(said, outcome="given_back"),
        )
    )


def check(frontier: Frontier, model: Model) -> None:
    with frontier._file.reading() as db:
        jobs = {row[0]: row[1:] for row in db.execute("SELECT id, state, token, attempts, losses FROM job")}
        assert jobs == {i: (job.state, job.token, job.attempts, job.losses) for i, job in model.jobs.items()}
        records = {i for (i,) in db.execute("SELECT id FROM video JOIN job USING(key)")}
        logged = db.execute("SELECT count(*), sum(n) FROM attempt, (SELECT sum(n) AS n FROM tried)").fetchone()
        assert not logged[0] or logged[0] == db.execute("SELECT sum(n) FROM tried").fetchone()[0]
    assert records == {i for i, job in model.jobs.items() if job.state == "done"}
    stats = frontier.stats()
    assert stats.count("ready") == model.count("ready", "waiting")
    assert [stats.count(state) for state in ("leased", "done", "dropped")] == [
        model.count(state) for state in ("leased", "done", "dropped")
    ]
    assert model.limit is None or stats.count("done") <= model.limit
    assert stats.num_bytes == 3 * len(records)


LARGE = r"\bSCAN (TABLE )?(job|video|sighting|blob|attempt)\b"


def test_no_method_reads_a_large_table_from_end_to_end(tmp_path: Path, clock: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every statement that the frontier ran, also to open the file, as SQLite plans it."""
    heard, connect = set[str](), sqlite3.connect
    Frontier(str(tmp_path / "frontier.sqlite"), clock.wall, clock.monotonic).close()

    def listened(*args: Any, **options: Any) -> sqlite3.Connection:
        db = connect(*args, **options)
        db.set_trace_callback(heard.add)
        return db

    monkeypatch.setattr(sqlite3, "connect", listened)
    frontier = Frontier(str(tmp_path / "frontier.sqlite"), clock.wall, clock.monotonic)
    use_all(frontier, clock)
    frontier._file.db.set_trace_callback(None)
    asked = [sql for sql in heard if re.match(r"(SELECT|INSERT|UPDATE|DELETE)\b", sql)]
    assert len({re.sub(r"[\d.]+|'[^']*'", "?", sql) for sql in asked}) > 40
    with frontier._file.reading() as db:
        plans = {sql: [row[3] for row in db.execute(f"EXPLAIN QUERY PLAN {sql}")] for sql in asked}
    slow = {sql: plan for sql, plan in plans.items() if any(re.search(LARGE, line) for line in plan)}
    assert not slow
    leases = [plan for sql, plan in plans.items() if "INDEXED BY job_ready" in sql and "ORDER BY" in sql]
    assert leases
    assert all(plan == ["SEARCH job USING INDEX job_ready (platform=?)"] for plan in leases), "without a sort"
    frontier.close()


def use_all(frontier: Frontier, clock: Any) -> None:
    """Each public method, with something to do for each of its statements."""
    frontier.begin(["word", "other"], ("end",), 50, 10**9)
    query, _ = frontier.next_query()
    assert query is not None
    some = [replace(found(n, n), reason="too_short" if n == 39 else "") for n in range(40)]
    frontier.add(query, [*some, replace(found(99, 99), record={"a": 1})], 1)
    frontier.add(query, some, 2)
    frontier.end_query(query, "end", "", None)
    given = frontier.lease("a", 9).jobs
    said = [Report(job=job, outcome="done", record={}, sha256="ab", num_bytes=1) for job in given]
    said[1], said[2] = replace(said[1], outcome="failure"), replace(said[2], outcome="retry")
    said[3], said[4] = replace(said[3], outcome="left"), replace(said[4], outcome="given_back")
    frontier.report(said[:8])
    frontier.report(said[:1])
    frontier.renew("a")
    clock.wait(4000.0)
    frontier.lease("b", 1)
    frontier.exported([row["id"] for row in frontier.finished(9)])
    frontier.retry_dropped("")
    frontier.refuse_ids(["t:20", "t:21"], "opted_out")
    frontier.note_hits("1", {"card": 1})
    frontier.keep_host("t", "")
    frontier.host("t")
    frontier.keep_robots("t", 200, "")
    frontier.robots("t")
    frontier.claim("settings")
    frontier.stats()
    frontier.lease("c", 99)
    frontier.lease("c", 99)
    frontier.end_query(frontier.next_query()[0] or query, "end", "", None)
    frontier.lease("c", 1)
    frontier.stop()
    assert frontier.lease("c", 1).over
    frontier.begin(["word"], ("end",))
