"""From the frontier into the tables: each post once and in one of them, with all of its words, killed wherever it may be."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from crawl import tables as module
from crawl.drive import frontier_path
from crawl.frontier import Frontier
from crawl.frontier_read import shared_words
from crawl.jobs import GOOD, Found, Query, Report
from crawl.platforms import Details
from crawl.posts import post_of
from crawl.tables import Tables
from svmbench.records import Drop, Post
from svmbench.store import RunFolder


class Killed(BaseException):
    """Stands for a SIGKILL."""


def ask_of(frontier: Frontier) -> Callable[..., Any]:
    return lambda method, *args: getattr(frontier, method)(*args)


@contextmanager
def opened(run: RunFolder, words: tuple[str, ...] = ("one", "two")) -> Iterator[tuple[Frontier, Tables]]:
    """What a command has in hand when it begins."""
    frontier = Frontier(str(frontier_path(run)))
    try:
        with run.writing("crawl") as writer:
            tables = Tables(run, writer)
            tables.finish_retry(frontier.retry_dropped)
            frontier.begin(words, GOOD)
            if frontier.stats().searching:
                tables.expect_words()
            yield frontier, tables
    finally:
        frontier.close()


def add(frontier: Frontier, query: Query, numbers: range) -> None:
    found = [Found(id=f"tiktok:{n}", platform="tiktok", post_id=str(n), rank=n, likes=n, likes_exact=True) for n in numbers]
    assert frontier.add(query, found, len(numbers))


def fetch(frontier: Frontier, failing: dict[int, str] | None = None) -> None:
    """All that is ready becomes done, but for posts that fail for a reason."""
    while jobs := frontier.lease("me", 16).jobs:
        for job in jobs:
            if reason := (failing or {}).get(int(job.post_id)):
                frontier.report([Report(job=job, outcome="failure", reason=reason, detail="so it is")])
                continue
            sha = f"{int(job.post_id):064d}"
            details = Details(post_id=job.post_id, likes=1, duration_s=1.0, hashtags=("a",))
            post = post_of(details, site="tiktok", url="", secret=b"key", sha256=sha)
            frontier.report([Report(job=job, outcome="done", record=asdict(post), sha256=sha, num_bytes=1)])


def where(run: RunFolder) -> Counter[str]:
    """How often each id stands in the tables; they and the markers agree."""
    ids = [f"tiktok:{p.post_id}" for p in run.read(Post, "posts")] + [d.id for d in run.read(Drop, "drops")]
    assert run.done_ids("crawl") == set(ids)
    return Counter(ids)


def ids(numbers: range | list[int]) -> Counter[str]:
    return Counter(f"tiktok:{n}" for n in numbers)


def test_posts_enter_the_tables_while_words_are_searched_and_get_their_other_words_later(tmp_path: Path) -> None:
    run = RunFolder.create(tmp_path / "run")
    with opened(run) as (frontier, tables):
        one, _ = frontier.next_query()
        assert one
        add(frontier, one, range(10))
        fetch(frontier, {7: "gone"})
        tables.take_over(ask_of(frontier), 11)
        assert not where(run), "so few wait for others"
        tables.take_over(ask_of(frontier), 1)
        assert where(run) == ids(range(10))
        frontier.end_query(one, "end", "", None)
        two, _ = frontier.next_query()
        assert two
        add(frontier, two, range(5, 12))
        frontier.end_query(two, "end", "", None)
        assert {p.words for p in run.read(Post, "posts")} == {("one",)}
    with opened(run) as (frontier, tables):  # killed before the words were made complete
        fetch(frontier)
        tables.take_over(ask_of(frontier), 1)
        tables.complete_words(lambda: shared_words(frontier_path(run)))
    words = {int(p.post_id): p.words for p in run.read(Post, "posts")}
    assert words == {n: ("one",) for n in range(5)} | {n: ("one", "two") for n in (5, 6, 8, 9)} | {10: ("two",), 11: ("two",)}
    assert where(run) == ids(range(12))
    assert not (run.path / "crawl" / "words-open.json").exists()


def test_a_word_that_ends_between_two_questions_to_the_frontier_is_not_forgotten(tmp_path: Path) -> None:
    run = RunFolder.create(tmp_path / "run")
    with opened(run) as (frontier, tables):
        one, _ = frontier.next_query()
        two, _ = frontier.next_query()
        assert one
        assert two
        add(frontier, one, range(3))
        fetch(frontier)
        frontier.end_query(one, "end", "", None)

        def meanwhile(method: str, *args: Any) -> Any:
            answer = getattr(frontier, method)(*args)
            if method == "finished" and answer:
                add(frontier, two, range(3))
                frontier.end_query(two, "end", "", None)
            return answer

        tables.take_over(meanwhile, 1)
        tables.complete_words(lambda: shared_words(frontier_path(run)))
    assert {p.words for p in run.read(Post, "posts")} == {("one", "two")}


def test_a_kill_between_the_tables_and_the_frontier_doubles_nothing(tmp_path: Path) -> None:
    run = RunFolder.create(tmp_path / "run")

    def dies(method: str, *args: Any) -> Any:
        if method == "exported":
            raise Killed
        return getattr(frontier, method)(*args)

    with opened(run) as (frontier, tables):
        one, _ = frontier.next_query()
        assert one
        add(frontier, one, range(6))
        fetch(frontier)
        with pytest.raises(Killed):
            tables.take_over(dies, 1)
    assert where(run) == ids(range(6))
    with opened(run) as (frontier, tables):
        tables.take_over(ask_of(frontier), 1)
        assert not frontier.finished(1)
    assert where(run) == ids(range(6))


STEPS = ("write_json", "retry_dropped", "replace", "unlink")


@pytest.mark.parametrize("step", [*STEPS, "none"])
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_retry_killed_anywhere_is_finished_by_the_next_command(
    tmp_path: Path, step: str, after: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = RunFolder.create(tmp_path / "run")
    with opened(run) as (frontier, tables):
        one, _ = frontier.next_query()
        assert one
        for start in (0, 5, 10):  # three parts, the last without such a failure
            add(frontier, one, range(start, start + 5))
            fetch(frontier, {1: "timeout", 2: "gone", 5: "timeout", 6: "timeout", 7: "timeout", 8: "timeout", 9: "timeout"})
            tables.take_over(ask_of(frontier), 1)
        frontier.end_query(one, "end", "", None)
        assert where(run) == ids(range(15))

        def kill(real: Callable[..., Any]) -> Callable[..., Any]:
            def dies(*args: Any, **more: Any) -> Any:
                if after:
                    real(*args, **more)
                raise Killed

            return dies

        forget: Callable[[str], object] = frontier.retry_dropped
        with monkeypatch.context() as patch:
            if step == "write_json":
                patch.setattr(module, "write_json", kill(module.write_json))
            elif step == "retry_dropped":
                forget = kill(forget)
            elif step == "replace":
                patch.setattr(tables._writer, "replace", kill(tables._writer.replace))
            elif step == "unlink":
                patch.setattr(Path, "unlink", kill(Path.unlink))
            try:
                tables.retry("timeout", forget)
            except Killed:
                assert step != "none"
        assert max(where(run).values()) == 1, "at no moment twice"
    begun = step not in ("write_json",) or after
    with opened(run) as (frontier, tables):
        gone = [1, 5, 6, 7, 8, 9] if begun else []
        assert where(run) == ids([n for n in range(15) if n not in gone])
        assert frontier.stats().count("ready") == len(gone)
        fetch(frontier, {1: "gone"})
        tables.take_over(ask_of(frontier), 1)
    assert where(run) == ids(range(15)), "each in one table, once"
    reasons = {d.id: d.reason for d in run.read(Drop, "drops")}
    assert reasons["tiktok:1"] == ("gone" if begun else "timeout")
    assert reasons["tiktok:2"] == "gone"
    assert not (run.path / "crawl" / "retry.json").exists()


def test_a_rule_of_the_same_name_is_no_failure(tmp_path: Path) -> None:
    run = RunFolder.create(tmp_path / "run")
    with opened(run, ("one",)) as (frontier, tables):
        one, _ = frontier.next_query()
        assert one
        add(frontier, one, range(2))
        ruled = Found(id="tiktok:9", platform="tiktok", post_id="9", rank=9, likes=9, likes_exact=True, reason="timeout")
        assert frontier.add(one, [ruled], 3)
        frontier.end_query(one, "end", "", None)
        fetch(frontier, {1: "timeout"})
        tables.take_over(ask_of(frontier), 1)
        tables.retry("timeout", frontier.retry_dropped)
    assert where(run) == ids([0, 9])


def test_a_part_of_which_nothing_is_left_makes_no_empty_table(tmp_path: Path) -> None:
    run = RunFolder.create(tmp_path / "run")
    with opened(run, ("one",)) as (frontier, tables):
        one, _ = frontier.next_query()
        assert one
        add(frontier, one, range(3))
        frontier.end_query(one, "end", "", None)
        fetch(frontier, dict.fromkeys(range(3), "timeout"))
        tables.take_over(ask_of(frontier), 1)
        tables.retry("timeout", frontier.retry_dropped)
        assert run.read_table("drops") is None
        assert not run.done_ids("crawl")
    with opened(run, ("one",)):
        names = [json.loads(path.read_text()) for path in (run.path / "done").iterdir()]
        assert not any(marker["ids"] for marker in names)
