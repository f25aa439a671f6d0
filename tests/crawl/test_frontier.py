"""The frontier keeps its promises: one lease a job, late answers change nothing, and limits are exact."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from crawl.frontier import LEASE_S, WAIT_MAX_S, Frontier
from crawl.frontier_jobs import DUE_AT_ONCE, LEASES_MAX
from crawl.jobs import Found, Job, Lease, Query, Report

WORDS = ["dance", "food"]


def found(number: int, *, rank: int | None = None, reason: str = "", value: float | None = None, **more: Any) -> Found:
    return Found(
        id=f"tiktok:{number}", platform="tiktok", post_id=str(number), rank=number if rank is None else rank, likes=20_000,
        likes_exact=True, reason=reason, value=value, **more,
    )  # fmt: skip


def done(job: Job, sha256: str = "", num_bytes: int = 0) -> Report:
    return Report(job=job, outcome="done", record={"n": job.post_id}, sha256=sha256, num_bytes=num_bytes)


def retry(job: Job, after_s: float) -> Report:
    return Report(job=job, outcome="retry", reason="timeout", detail="slow", after_s=after_s)


def failure(job: Job, reason: str = "gone") -> Report:
    return Report(job=job, outcome="failure", reason=reason, detail="told so")


@pytest.fixture
def frontier(tmp_path: Path, clock: Any) -> Iterator[Frontier]:
    made = opened(tmp_path, clock)
    made.begin(WORDS, ("end",))
    yield made
    made.close()


def opened(folder: Path, clock: Any) -> Frontier:
    return Frontier(str(folder / "crawl" / "frontier.sqlite"), clock.wall, clock.monotonic)


def query(frontier: Frontier) -> Query:
    given, _ = frontier.next_query()
    assert given is not None
    return given


def jobs(frontier: Frontier, number: int = 1, owner: str = "a") -> tuple[Job, ...]:
    lease = frontier.lease(owner, number)
    assert lease.jobs
    return lease.jobs


def rows(frontier: Frontier, sql: str) -> list[tuple[Any, ...]]:
    with frontier._file.reading() as db:
        return db.execute(sql).fetchall()


def test_words_are_searched_once_each_in_the_recipes_order(frontier: Frontier) -> None:
    first, second = query(frontier), query(frontier)
    assert [first.word, second.word] == WORDS
    assert frontier.next_query() == (None, False)  # both are under way
    assert frontier.end_query(first, "end", "", None)
    assert not frontier.end_query(first, "captcha", "", None), "a second report of the same search changes nothing"
    assert frontier.end_query(second, "captcha", "", None)
    assert frontier.next_query() == (None, True)
    frontier.begin(WORDS, ("end",))
    again = query(frontier)
    assert again.word == "food", "a word that ended at a wall is searched again, one that ended well is not"


def test_a_word_that_is_to_be_tried_again_waits(frontier: Frontier, clock: Any) -> None:
    frontier.end_query(query(frontier), "stalled", "", 60.0)
    assert query(frontier).word == "food"
    clock.wait(59.0)
    assert frontier.next_query()[0] == Query("food", 2, 0, 0), "its lease ran out; dance still waits"
    clock.wait(2.0)
    assert query(frontier) == Query("dance", 2, 1, 0)


def test_a_search_that_lost_its_lease_adds_nothing(frontier: Frontier, clock: Any) -> None:
    late = query(frontier)
    clock.wait(LEASE_S + 1)
    now = query(frontier)
    assert (now.word, now.token) == (late.word, late.token + 1)
    assert not frontier.add(late, [found(1)], 1)
    assert not frontier.end_query(late, "end", "", None)
    assert frontier.add(now, [found(2)], 1)
    assert frontier.stats().count("ready") == 1


def test_a_search_keeps_its_lease_by_adding(frontier: Frontier, clock: Any) -> None:
    held = query(frontier)
    query(frontier)
    for n in range(4):
        clock.wait(LEASE_S * 0.6)
        assert frontier.add(held, [], n)
    given, _ = frontier.next_query()
    assert given is not None
    assert given.word == "food"


def test_adding_twice_is_adding_once_and_a_post_keeps_all_its_words(frontier: Frontier) -> None:
    dance, food = query(frontier), query(frontier)
    for _ in range(2):
        assert frontier.add(food, [found(1), found(2), found(2)], 2)
    assert frontier.add(dance, [found(2, rank=7)], 1)
    stats = frontier.stats()
    assert stats.count("ready") == 2
    assert {q.word: q.found for q in stats.queries} == {"dance": 1, "food": 2}
    frontier.report([done(job) for job in jobs(frontier, 5)])
    words = {row["id"]: row["words"] for row in frontier.finished(10)}
    assert words == {"tiktok:1": ["food"], "tiktok:2": ["dance", "food"]}


def test_the_position_and_the_cursor_are_kept_for_the_next_start(frontier: Frontier) -> None:
    word = query(frontier)
    frontier.add(word, [found(1)], 12, "page 2")
    frontier.add(word, [found(1)], 3, "page 2")  # a page that was read again from its beginning
    frontier.begin(WORDS, ("end",))
    again = query(frontier)
    assert (again.word, again.position, again.cursor) == ("dance", 12, "page 2")


def test_a_refused_result_is_never_leased(frontier: Frontier) -> None:
    refused = found(1, reason="too_few_likes", value=9_999.0, detail="of the page")
    frontier.add(query(frontier), [refused, found(2)], 2)
    assert [job.id for job in jobs(frontier, 5)] == ["tiktok:2"]
    columns = ("id", "state", "stage", "kind", "reason", "value", "detail", "words")
    assert [tuple(row[c] for c in columns) for row in frontier.finished(10)] == [
        ("tiktok:1", "dropped", "search", "rule", "too_few_likes", 9_999.0, "of the page", ["dance"])
    ]


def test_a_result_with_its_record_is_done_at_once(frontier: Frontier) -> None:
    frontier.add(query(frontier), [found(1, record={"a": 1}), found(2, record={"a": 2}, reason="too_short")], 2)
    assert not frontier.lease("a", 5).jobs
    assert [(r["id"], r["state"], r["record"]) for r in frontier.finished(9)] == [
        ("tiktok:1", "done", '{"a": 1}'),
        ("tiktok:2", "dropped", None),
    ]
    frontier.add(query(frontier), [found(1, record={"a": 9})], 1)
    assert frontier.finished(1)[0]["record"] == '{"a": 1}'


def test_best_rank_first_and_no_job_twice(frontier: Frontier) -> None:
    frontier.add(query(frontier), [found(n, rank=25 - n // 2) for n in range(50)], 50)
    order = [job.post_id for n in range(10) for job in jobs(frontier, 5, f"w{n % 3}")]
    assert order == [str(n) for n in sorted(range(50), key=lambda n: (25 - n // 2, n))]


def test_threads_may_share_it(frontier: Frontier) -> None:
    frontier.add(query(frontier), [found(n) for n in range(60)], 60)

    def pull(owner: str) -> list[str]:
        pulled = []
        while given := frontier.lease(owner, 2).jobs:
            assert frontier.report([done(job) for job in given]) == [True] * len(given)
            pulled += [job.post_id for job in given]
        return pulled

    with ThreadPoolExecutor(4) as pool:
        pulled = [post for posts in pool.map(pull, "abcd") for post in posts]
    assert sorted(pulled, key=int) == [str(n) for n in range(60)]
    assert frontier.stats().count("done") == 60


def test_a_late_answer_of_a_lost_lease_changes_no_row(frontier: Frontier, clock: Any) -> None:
    frontier.add(query(frontier), [found(1)], 1)
    (late,) = jobs(frontier, owner="stalled")
    clock.wait(LEASE_S + 1)
    (now,) = jobs(frontier, owner="other")
    assert (now.id, now.token) == (late.id, late.token + 1)
    for said in (done(late), failure(late), retry(late, 0.0), Report(job=late, outcome="given_back")):
        before = rows(frontier, "SELECT * FROM job"), rows(frontier, "SELECT * FROM attempt")
        assert frontier.report([said]) == [False]
        assert (rows(frontier, "SELECT * FROM job"), rows(frontier, "SELECT * FROM attempt")) == before
    assert frontier.report([done(now)]) == [True]
    assert frontier.report([done(late)]) == [False]
    assert len(frontier.finished(10)) == 1


def test_a_late_answer_before_another_has_the_job_is_late_all_the_same(frontier: Frontier, clock: Any) -> None:
    frontier.add(query(frontier), [found(1), found(2)], 1)
    late, _ = jobs(frontier, 2)
    clock.wait(LEASE_S + 1)
    frontier.lease("b", 0)
    assert frontier.report([done(late)]) == [False]
    assert frontier.stats().count("ready") == 2


@pytest.mark.parametrize("said", [done, failure, lambda job: retry(job, 5.0), lambda job: Report(job=job, outcome="given_back")])
def test_a_report_that_is_sent_twice_counts_once_and_is_true_twice(frontier: Frontier, clock: Any, said: Any) -> None:
    frontier.add(query(frontier), [found(1)], 1)
    (held,) = jobs(frontier)
    assert frontier.report([said(held)]) == [True]
    before = rows(frontier, "SELECT * FROM job"), rows(frontier, "SELECT * FROM attempt")
    assert frontier.report([said(held)]) == [True]
    assert (rows(frontier, "SELECT * FROM job"), rows(frontier, "SELECT * FROM attempt")) == before
    clock.wait(6.0)
    frontier.lease("b", 1)
    assert frontier.report([said(held)]) == [True], "also when another has it by now"
    assert len(rows(frontier, "SELECT * FROM attempt")) == 1


def test_reports_of_many_jobs_are_one_transaction(frontier: Frontier) -> None:
    frontier.add(query(frontier), [found(n) for n in range(5)], 5)
    a, b, c, d, e = jobs(frontier, 5)
    assert frontier.report([done(a, "ab", 7), failure(b), done(Job(c.id, "", "", "", c.token - 1, 0)), retry(d, 9.0)]) == [
        True, True, False, True,
    ]  # fmt: skip
    with pytest.raises(TypeError):
        frontier.report([done(c), Report(job=e, outcome="done", record={"not": object()})])
    assert frontier.stats().count("leased") == 2, "nothing of a call that raises"


def test_leases_expire_unless_renewed(frontier: Frontier, clock: Any) -> None:
    frontier.add(query(frontier), [found(1), found(2)], 2)
    (held,) = jobs(frontier, owner="a")
    (lost,) = jobs(frontier, owner="b")
    for _ in range(4):
        clock.wait(LEASE_S / 2)
        assert frontier.renew("a") == 1
    (again,) = jobs(frontier, 5, owner="c")
    assert (again.id, again.token) == (lost.id, lost.token + 1)
    clock.wait(LEASE_S + 1)
    assert {job.id for job in jobs(frontier, 5, owner="d")} == {held.id, lost.id}


def test_a_post_that_kills_its_workers_is_dropped_in_the_end(frontier: Frontier, clock: Any) -> None:
    frontier.add(query(frontier), [found(1)], 1)
    for _ in range(LEASES_MAX):
        jobs(frontier)
        clock.wait(LEASE_S + 1)
    assert not frontier.lease("a", 1).jobs
    assert [row["reason"] for row in frontier.finished(10)] == ["worker_lost"]
    frontier.exported(["tiktok:1"])
    assert frontier.retry_dropped("worker_lost") == ["tiktok:1"]
    jobs(frontier)
    clock.wait(LEASE_S + 1)
    jobs(frontier)


def test_leases_that_ended_well_do_not_count_as_lost(frontier: Frontier) -> None:
    frontier.add(query(frontier), [found(1)], 1)
    for _ in range(LEASES_MAX + 5):
        frontier.report([Report(job=jobs(frontier)[0], outcome="given_back")])
        frontier.report([retry(jobs(frontier)[0], 0.0)])
    assert jobs(frontier)[0].attempts == LEASES_MAX + 5


def test_a_retry_waits_and_counts(frontier: Frontier, clock: Any) -> None:
    frontier.add(query(frontier), [found(1)], 1)
    frontier.report([retry(jobs(frontier)[0], 60.0)])
    assert frontier.stats().count("ready") == 1, "a job that waits is told as ready"
    assert frontier.stats().count("waiting") == 0
    clock.wait(59.0)
    assert not frontier.lease("a", 1).jobs
    clock.wait(2.0)
    assert jobs(frontier)[0].attempts == 1
    frontier.begin(WORDS, ("end",))
    assert jobs(frontier)[0].attempts == 0, "the next command gives a post all of its tries"


def test_a_post_that_waits_gets_its_tries_back_and_still_waits(frontier: Frontier, clock: Any) -> None:
    frontier.add(query(frontier), [found(1)], 1)
    frontier.report([retry(jobs(frontier)[0], 60.0)])
    frontier.begin(WORDS, ("end",))
    assert not frontier.lease("a", 1).jobs
    clock.wait(61.0)
    assert jobs(frontier)[0].attempts == 0


def test_many_jobs_that_are_due_at_once_come_back_in_parts(frontier: Frontier, clock: Any) -> None:
    number = DUE_AT_ONCE + 50
    frontier.add(query(frontier), [found(n) for n in range(number)], number)
    frontier.report([retry(job, 5.0) for job in jobs(frontier, number)])
    clock.wait(6.0)
    assert len(jobs(frontier, number)) == DUE_AT_ONCE
    assert len(jobs(frontier, number)) == 50


def test_it_is_over_when_all_searches_and_all_jobs_are(frontier: Frontier, clock: Any) -> None:
    dance, food = query(frontier), query(frontier)
    assert not frontier.lease("a", 1).over
    frontier.add(dance, [found(1), found(2)], 1)
    frontier.end_query(dance, "end", "", None)
    held, waits = jobs(frontier, 2)
    assert not frontier.lease("b", 1).over
    frontier.report([failure(held), retry(waits, 30.0)])
    frontier.end_query(food, "end", "", None)
    lease = frontier.lease("b", 1)
    assert not lease.over
    assert lease.wait_s == 1.0, "it is half a minute until there is something"
    clock.wait(29.5)
    assert frontier.lease("b", 1).wait_s == pytest.approx(0.5)
    clock.wait(1.0)
    frontier.report([done(jobs(frontier)[0])])
    assert frontier.lease("b", 1).over


def test_posts_of_a_platform_that_is_given_up_are_left_and_the_others_go_on(frontier: Frontier, clock: Any) -> None:
    walled = [replace(found(n, rank=n), platform="walled") for n in range(3)]
    one = query(frontier)
    frontier.add(one, [*walled, replace(found(8, rank=8), platform="well"), replace(found(9, rank=9), platform="able")], 5)
    frontier.end_query(one, "end", "", None)
    frontier.end_query(query(frontier), "end", "", None)
    held = jobs(frontier)[0]
    assert held.platform == "walled", "the best rank first, of whatever platform"
    given = frontier.lease("b", 9, ("walled",)).jobs
    assert [job.post_id for job in given] == ["8", "9"]
    assert not frontier.lease("b", 9, ("walled",)).over, "they may have to be tried again"
    frontier.report([done(given[0]), retry(given[1], 5.0)])
    assert not frontier.lease("b", 9, ("walled",)).over
    clock.wait(6.0)
    frontier.report([done(job) for job in frontier.lease("b", 9, ("walled",)).jobs])
    assert frontier.lease("b", 9, ("walled",)) == Lease(wait_s=0.1, over=True)
    assert not frontier.lease("b", 0, ()).over
    assert frontier.stats().count("ready", "leased") == 3
    frontier.begin([], ("end",))
    assert len(jobs(frontier, 9)) == 3


def test_a_post_that_is_left_comes_with_the_next_crawl_and_has_lost_no_try(frontier: Frontier, clock: Any) -> None:
    one = query(frontier)
    frontier.add(one, [found(1)], 1)
    frontier.end_query(one, "end", "", None)
    frontier.end_query(query(frontier), "end", "", None)
    frontier.report([Report(job=jobs(frontier)[0], outcome="left")])
    clock.wait(10 * WAIT_MAX_S)
    assert frontier.lease("a", 1).over
    assert frontier.stats().count("ready") == 1
    frontier.begin([], ("end",))
    assert jobs(frontier)[0].attempts == 0


def test_however_many_posts_are_left_a_lease_does_not_look_at_them(frontier: Frontier) -> None:
    """Counted in steps of SQLite's machine."""
    steps = []
    for number in (20, 5000):
        one = query(frontier)
        cards = [replace(found(n), platform="walled") for n in range(number)]
        frontier.add(one, [*cards, replace(found(10_000 + number, rank=9), platform="well")], 1)
        frontier.end_query(one, "end", "", None)
        count = [0]

        def step(count: list[int] = count) -> None:
            count[0] += 1

        frontier._file.db.set_progress_handler(step, 10)
        assert len(frontier.lease("a", 1, ("walled",)).jobs) == 1
        frontier.lease("a", 1, ("walled",))
        frontier._file.db.set_progress_handler(None, 0)
        steps.append(count[0])
    assert steps[1] < 1.5 * steps[0], steps


def test_after_stop_there_is_no_work_whoever_opens_the_file(frontier: Frontier, tmp_path: Path, clock: Any) -> None:
    held = query(frontier)
    frontier.add(held, [found(1), found(2)], 1)
    (job,) = jobs(frontier)
    frontier.stop()
    for f in (frontier, opened(tmp_path, clock)):
        assert f.lease("a", 1) == Lease(over=True)
        assert f.next_query() == (None, True)
        assert not f.add(held, [found(3)], 2)
        assert f.stats().stopped == "stopped"
    assert f.report([done(job)]) == [True], "what is under way may still be told"
    f.begin(WORDS, ("end",))
    assert f.stats().stopped == ""
    assert jobs(f)
    f.close()


def test_no_more_than_limit_posts_become_done(frontier: Frontier, tmp_path: Path, clock: Any) -> None:
    frontier.begin(WORDS, ("end",), 5)
    held = query(frontier)
    frontier.add(held, [found(n) for n in range(20)], 20)
    first = jobs(frontier, 8)
    assert len(first) == 5, "those that are leased count too"
    assert frontier.lease("b", 1) == Lease(wait_s=0.1)
    refused, failed, later, *rest = first
    frontier.report([Report(job=refused, outcome="rule", reason="too_short"), failure(failed), retry(later, 60.0)])
    frontier.close()
    again = opened(tmp_path, clock)  # as it is restarted
    second = jobs(again, 8)
    assert len(second) == 3, "a refused, a failed and a waiting one give their places back"
    assert again.report([done(job) for job in (*rest, *second)]) == [True] * 5
    assert again.stats().stopped == "limit"
    assert again.lease("a", 1) == Lease(over=True)
    assert again.next_query() == (None, True)
    assert not again.add(held, [found(99)], 21)
    again.stop()
    assert again.stats().stopped == "limit", "the drain at the end does not hide why"
    again.begin(WORDS, ("end",), 6)
    assert len(jobs(again, 8)) == 1
    again.begin(WORDS, ("end",))
    assert len(jobs(again, 99)) == 12
    again.close()


def test_results_that_are_done_at_once_stop_at_the_limit_and_are_read_again_later(frontier: Frontier) -> None:
    page = [found(n, record={"n": n}) for n in range(6)]
    frontier.begin(WORDS, ("end",), 4)
    held = query(frontier)
    assert frontier.add(held, page[:2], 2, "page 2")
    assert not frontier.add(held, [*page, found(7)], 6, "page 3")
    assert frontier.stats().count("done") == 4
    assert frontier.stats().stopped == "limit"
    frontier.begin(WORDS, ("end",))
    again = query(frontier)
    assert (again.word, again.position, again.cursor) == ("dance", 2, "page 2")
    assert frontier.add(again, page, 6)
    assert [row["record"] for row in frontier.finished(9)] == [f'{{"n": {n}}}' for n in range(6)]


def test_stored_bytes_count_each_file_once_and_stop_all_work(frontier: Frontier, tmp_path: Path, clock: Any) -> None:
    frontier.begin(WORDS, ("end",), None, 1000)
    held = query(frontier)
    frontier.add(held, [found(n) for n in range(9)], 9)
    a, b, c, d = jobs(frontier, 4)
    frontier.report([done(a, "aa", 400), done(b, "aa", 400), done(c, "cc", 599)])
    assert frontier.stats().num_bytes == 999
    assert frontier.stats().stopped == ""
    frontier.report([done(d, "dd", 1)])
    frontier.close()
    again = opened(tmp_path, clock)
    assert (again.stats().num_bytes, again.stats().stopped) == (1000, "disk")
    assert again.lease("a", 1) == Lease(over=True)
    assert again.next_query() == (None, True)
    assert not again.add(held, [found(99)], 10)
    again.begin(WORDS, ("end",), None, 1001)
    assert jobs(again)
    again.close()


def test_failures_of_one_reason_get_new_tries(frontier: Frontier, clock: Any) -> None:
    reasons = ("gone", "timeout", "timeout", "blocked")
    frontier.add(query(frontier), [found(9, reason="timeout"), *(found(n) for n in range(4))], 5)
    frontier.report([retry(job, 0.0) for job in jobs(frontier, 4)])
    frontier.report([failure(job, reason) for job, reason in zip(jobs(frontier, 4), reasons, strict=True)])
    frontier.exported([row["id"] for row in frontier.finished(9)])
    assert sorted(frontier.retry_dropped("timeout")) == ["tiktok:1", "tiktok:2"]
    assert frontier.retry_dropped("timeout") == []
    assert [(job.id, job.attempts) for job in jobs(frontier, 9)] == [("tiktok:1", 0), ("tiktok:2", 0)]
    clock.wait(LEASE_S + 1)
    frontier.report([done(job) for job in jobs(frontier, 9)])
    assert [(r["id"], r["state"], r["reason"], r["detail"]) for r in frontier.finished(9)] == [
        ("tiktok:1", "done", "", ""),
        ("tiktok:2", "done", "", ""),
    ]


def test_posts_that_opted_out_are_not_fetched(frontier: Frontier) -> None:
    frontier.add(query(frontier), [found(n) for n in range(5)], 5)
    is_done, waits, leased = jobs(frontier, 3)
    frontier.report([done(is_done), retry(waits, 9.0)])
    ids = [f"tiktok:{n}" for n in (0, 1, 2, 3, 77)]
    assert frontier.refuse_ids(ids, "opted_out") == ["tiktok:1", "tiktok:3"]
    assert frontier.refuse_ids(ids, "opted_out") == []
    assert [job.id for job in jobs(frontier, 9)] == ["tiktok:4"]
    assert frontier.report([done(leased)]) == [True]
    fates = [(r["id"], r["stage"], r["kind"], r["reason"]) for r in frontier.finished(9) if r["state"] == "dropped"]
    assert fates == [("tiktok:1", "fetch", "rule", "opted_out"), ("tiktok:3", "fetch", "rule", "opted_out")]


def test_exported_rows_are_not_given_again(frontier: Frontier) -> None:
    frontier.add(query(frontier), [found(n, reason="too_short", value=1.0) for n in range(5)], 5)
    first = [row["id"] for row in frontier.finished(3)]
    frontier.exported(first)
    frontier.exported([*first, "tiktok:99"])
    assert [row["id"] for row in frontier.finished(10)] == ["tiktok:3", "tiktok:4"]


def test_the_tally_counts_what_the_table_holds(frontier: Frontier) -> None:
    frontier.add(query(frontier), [found(n, reason="too_short" if n % 4 == 0 else "") for n in range(20)], 20)
    for n, job in enumerate(jobs(frontier, 9)):
        frontier.report([(done(job), failure(job), retry(job, 9.0))[n % 3]])
    frontier.retry_dropped("gone")
    jobs(frontier, 2)
    assert tally(frontier) == counted(frontier)
    assert frontier.stats().count("done") == 3


def tally(frontier: Frontier) -> dict[tuple[str, ...], int]:
    return {tuple(row[:4]): row[4] for row in rows(frontier, "SELECT * FROM tally WHERE n>0")}


def counted(frontier: Frontier) -> dict[tuple[str, ...], int]:
    found = rows(frontier, "SELECT state, stage, kind, reason, count(*) FROM job GROUP BY 1, 2, 3, 4")
    return {tuple(row[:4]): row[4] for row in found}


def test_selector_hits_are_summed_for_the_version_in_use_and_anew_with_each_crawl(frontier: Frontier) -> None:
    assert frontier.stats().hits == {}
    frontier.note_hits("1", {"card": 12, "end": 0})
    frontier.note_hits("1", {"card": 3, "end": 1})
    assert frontier.stats().hits == {"card": 15, "end": 1}
    frontier.note_hits("2", {"card": 0})
    assert frontier.stats().hits == {"card": 0}, "old selectors do not hide that the new ones fail"
    frontier.begin(WORDS, ("end",))
    assert frontier.stats().hits == {}, "and last week's hits do not hide it today"


def test_what_others_keep_is_kept(frontier: Frontier, tmp_path: Path, clock: Any) -> None:
    assert frontier.claim("first") == "first"
    assert frontier.claim("second") == "first"
    assert frontier.robots("www.tiktok.com") is None
    assert frontier.host("www.tiktok.com") is None
    frontier.keep_robots("www.tiktok.com", 200, "User-agent: *")
    for state in ("{}", '{"hold": 5}'):
        frontier.keep_host("www.tiktok.com", state)
    clock.wait(30.0)
    assert frontier.robots("www.tiktok.com") == (200, "User-agent: *", 30.0)
    frontier.close()
    again = opened(tmp_path, clock)
    assert again.host("www.tiktok.com") == '{"hold": 5}'
    assert again.claim("third") == "first"
    again.close()


def test_the_schema_refuses_a_job_that_makes_no_sense(frontier: Frontier) -> None:
    frontier.add(query(frontier), [found(1)], 1)
    for change in ("state='leased'", "due=1", "owner='x'", "exported=0", "state='done'", "state='gone'"):
        with pytest.raises(sqlite3.IntegrityError), frontier._file.writing() as db:
            db.execute(f"UPDATE job SET {change}")
