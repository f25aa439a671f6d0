"""The worker that searches without a browser: its ends, retries, walls, lease, back-pressure, stop, and a kill in the middle."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from crawl import frontier, lister, place
from crawl.access import Access
from crawl.frontier import Frontier
from crawl.host import SEARCH
from crawl.jobs import GOOD, Ended
from crawl.lister import Lister
from crawl.means import Means, Refused
from crawl.pacer import Pacer
from crawl.platforms import Candidate, Details, Page
from crawl.posts import author_hash
from crawl.replica import catalogue, research
from crawl.replica.site import serve
from crawl.work import Work
from svmbench.errors import BadInput, Blocked, DownloadFailed, Failure
from svmbench.fleet import Fleet
from svmbench.optout import OptOut
from svmbench.recipe import parse
from svmbench.records import Post
from svmbench.store import RunFolder

HOST = "www.example.org"
Pages = Callable[[Means, str, str], Iterator[Page]]


class Crawl:
    """A lister over a real frontier and a real pacer, with a platform whose pages the test writes."""

    def __init__(self, folder: Path, fleet: Fleet, pages: Pages, **settings: Any) -> None:
        search = {"platform": "ids", "words": settings.pop("words", ["w"]), "posts_per_word": settings.pop("posts_per_word", 100)}
        optout = settings.pop("optout", OptOut())
        hosts = settings.pop("hosts", (HOST,))
        pace = {"pages_per_s": 50, "attempts": 3, **settings}
        self.recipe = parse({"name": "t", "search": search, "pace": pace, "robots": {"ignore_because": "there is no site"}}, "t")
        self.frontier = fleet.actor(Frontier, str(folder / "f.sqlite"), name="frontier", threads=4)
        self.pacer = fleet.actor(Pacer, self.recipe.pace.pages_per_s, self.frontier, "run", name="pacer", threads=4)
        self.frontier.ask("begin", self.recipe.search.words, GOOD)
        work = Work(
            recipe=self.recipe, run=str(folder), access=Access(), frontier=self.frontier, pacer=self.pacer, secret=b"k", mark="m",
            optout=optout,
        )  # fmt: skip
        self.lister = Lister(work)
        self.lister._platform = SimpleNamespace(SITE="site", HOSTS=hosts, pages=pages, classify=odd, post_url=str)
        self.lister._host = next(iter(hosts), "")

    def ended(self) -> Ended:
        (query,) = self.frontier.ask("stats").queries
        assert isinstance(query, Ended)
        return query

    def go(self) -> Ended:
        self.lister.work()
        return self.ended()


def odd(error: Exception) -> Failure:
    return Failure(kind="odd", permanent=isinstance(error, KeyError), detail=str(error))


def given(*pages: Page) -> Pages:
    """A platform with these answers."""

    def found(means: Means, word: str, cursor: str) -> Iterator[Page]:
        yield from pages

    return found


@pytest.fixture
def fleet() -> Iterator[Fleet]:
    with Fleet(local=True) as running:
        yield running


def page(*ids: int, more: bool = True, cursor: str = "", wall: str = "") -> Page:
    return Page(candidates=tuple(Candidate(post_id=str(n)) for n in ids), more=more, cursor=cursor, wall=wall)


@pytest.mark.parametrize(
    ("pages", "expected"),
    [
        ([page(1, 2), page(3, more=False)], ("end", "", 3)),
        ([page(more=False)], ("empty", "", 0)),
        ([], ("empty", "", 0)),
        ([page(1), page()], ("stalled", "after 1 posts, without an end", 1)),
        ([page(*range(7)), page(*range(7, 14))], ("quota", "posts_per_word is 10, and there is more", 10)),
        ([page(*range(10), more=False)], ("quota", "", 10)),
    ],
)
def test_how_a_search_ends(tmp_path: Path, fleet: Fleet, pages: list[Page], expected: tuple[str, str, int]) -> None:
    ended = Crawl(tmp_path, fleet, given(*pages), posts_per_word=10).go()
    assert (ended.state, ended.outcome, ended.detail, ended.found) == ("ended", *expected)


def test_what_may_go_well_later_is_tried_again_from_the_last_answer(tmp_path: Path, fleet: Fleet) -> None:
    asked: list[str] = []
    trouble = iter([True, True, False, True, True, False])

    def pages(means: Means, word: str, cursor: str) -> Iterator[Page]:
        asked.append(cursor)
        for n in range(int(cursor or 0), 2):
            if next(trouble):
                raise ConnectionResetError("cut off")
            yield page(n, more=n < 1, cursor=str(n + 1))

    ended = Crawl(tmp_path, fleet, pages).go()
    assert (ended.outcome, ended.found) == ("end", 2)
    assert asked == ["", "", "", "1", "1"], "three tries without an answer would have been the last"


@pytest.mark.parametrize(
    ("error", "times", "expected"),
    [
        (ConnectionResetError("cut off"), 3, ("odd", "cut off")),
        (KeyError("page"), 1, ("odd", "'page'")),
        (DownloadFailed(Failure(kind="bad_word", permanent=True, detail="no such tag")), 1, ("bad_word", "no such tag")),
        (Refused("robots", "robots.txt forbids it"), 1, ("robots", "robots.txt forbids it")),
        (Blocked("a wall"), 1, ("blocked", "a wall")),
    ],
)
def test_what_ends_a_search(tmp_path: Path, fleet: Fleet, error: Exception, times: int, expected: tuple[str, str]) -> None:
    asked = []

    def pages(means: Means, word: str, cursor: str) -> Iterator[Page]:
        asked.append(word)
        raise error
        yield

    ended = Crawl(tmp_path, fleet, pages).go()
    assert (ended.state, ended.outcome, ended.detail) == ("ended", *expected)
    assert len(asked) == times


def test_a_mistake_of_the_user_ends_the_crawl(tmp_path: Path, fleet: Fleet) -> None:
    def pages(means: Means, word: str, cursor: str) -> Iterator[Page]:
        raise BadInput("mend the list")
        yield

    with pytest.raises(BadInput, match="mend the list"):
        Crawl(tmp_path, fleet, pages).go()


def test_after_a_wall_of_the_host_no_other_word_is_asked_for(tmp_path: Path, fleet: Fleet) -> None:
    asked = []

    def pages(means: Means, word: str, cursor: str) -> Iterator[Page]:
        asked.append(word)
        raise Blocked("the quota is used up")
        yield

    made = Crawl(tmp_path, fleet, pages, words=["a", "b", "c"])
    made.lister.work()
    assert asked == ["a"]
    queries = made.frontier.ask("stats").queries
    assert [(q.outcome, q.detail) for q in queries] == [("blocked", "the quota is used up")] * 3


def test_walls_and_throttles_reach_the_pacer(tmp_path: Path, fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    trouble = iter([Failure(kind="throttled", permanent=False, wall=True, retry_after_s=0.3)])

    def pages(means: Means, word: str, cursor: str) -> Iterator[Page]:
        for failure in trouble:
            raise DownloadFailed(failure)
        yield page(1)
        yield page(2, wall="captcha")

    made = Crawl(tmp_path, fleet, pages)
    told: list[tuple[Any, ...]] = []

    def ask(*call: Any) -> None:
        told.append(call)
        if call[0] == "walled" and call[2] == "captcha":
            made.lister.close()  # it would try again after the pause of the breaker

    monkeypatch.setattr(made.lister, "_pacer", SimpleNamespace(ask=ask))
    made.lister.work()
    assert told[:4] == [
        ("throttled", HOST, 0.3),
        ("walled", HOST, "throttled", True, False, SEARCH),
        ("passed", HOST, SEARCH),
        ("walled", HOST, "captcha", True, True, SEARCH),
    ]
    query = made.ended()
    assert (query.state, query.outcome, query.detail) == ("ready", "captcha", "after 2 posts"), "it is tried once more, later"


def test_a_page_that_waits_longer_than_a_lease_keeps_the_word(
    tmp_path: Path, fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (frontier, place):
        monkeypatch.setattr(module, "LEASE_S", 0.6)
    begun = threading.Event()

    def pages(means: Means, word: str, cursor: str) -> Iterator[Page]:
        yield page(1, cursor="saved")
        begun.set()
        time.sleep(2.0)
        yield page(2, more=False)

    made = Crawl(tmp_path, fleet, pages)
    thread = threading.Thread(target=made.lister.work)
    thread.start()
    begun.wait()
    while thread.is_alive() and not made.frontier.ask("stats").queries[0].outcome:
        query, _ = made.frontier.ask("next_query")
        assert query is None, "another worker was given the word"
        time.sleep(0.1)
    thread.join()
    assert (made.ended().outcome, made.ended().found) == ("end", 2)


def test_a_lease_that_was_lost_all_the_same_changes_nothing(
    tmp_path: Path, fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(frontier, "LEASE_S", 0.2)  # and the heart beats every 3 s
    taken: list[Any] = []

    def pages(means: Means, word: str, cursor: str) -> Iterator[Page]:
        time.sleep(0.5)
        taken.append(made.frontier.ask("next_query")[0])  # another worker
        yield page(1)

    made = Crawl(tmp_path, fleet, pages)
    threading.Timer(1.0, made.lister.close).start()
    assert made.go().found == 0
    assert taken[0].token == 2


def test_it_stops_within_a_second_while_a_turn_is_far_away(tmp_path: Path, fleet: Fleet) -> None:
    def pages(means: Means, word: str, cursor: str) -> Iterator[Page]:
        for n in range(100):
            means.turn(f"https://{HOST}/{n}")
            yield page(n)

    made = Crawl(tmp_path, fleet, pages, pages_per_s=0.01)
    thread = threading.Thread(target=made.lister.work)
    thread.start()
    time.sleep(0.5)
    began = time.monotonic()
    made.lister.close()
    thread.join(10)
    assert time.monotonic() - began < 1.5
    assert made.ended().state == "leased", "it is left as it stands; the next crawl goes on there"


def test_a_search_that_costs_requests_waits_while_enough_posts_are_ready(
    tmp_path: Path, fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lister, "HIGH_WATER", 10)
    monkeypatch.setattr(lister, "ROOM_S", 0.05)
    read = []

    def pages(means: Means, word: str, cursor: str) -> Iterator[Page]:
        for n in range(0, 30, 6):
            read.append(n)
            yield page(*range(n, n + 6), more=n < 24)

    made = Crawl(tmp_path, fleet, pages)
    thread = threading.Thread(target=made.lister.work)
    thread.start()
    time.sleep(0.7)
    assert read == [0, 6], "twelve are ready"
    made.frontier.ask("lease", "fetcher", 6)
    time.sleep(0.7)
    assert read == [0, 6, 12]
    while thread.is_alive():
        made.frontier.ask("lease", "fetcher", 6)
        time.sleep(0.05)
    assert made.ended().found == 30


def test_a_search_without_requests_does_not_wait(tmp_path: Path, fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lister, "HIGH_WATER", 10)
    pages = [page(*range(n, n + 6), more=n < 24) for n in range(0, 30, 6)]
    assert Crawl(tmp_path, fleet, given(*pages), hosts=()).go().found == 30


def test_a_full_frontier_that_nobody_empties_any_more_does_not_hold_the_search(
    tmp_path: Path, fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lister, "HIGH_WATER", 1)
    made = Crawl(tmp_path, fleet, given(page(1, 2), page(3)))
    thread = threading.Thread(target=made.lister.work)
    thread.start()
    time.sleep(0.7)
    assert thread.is_alive()
    made.frontier.ask("stop")
    thread.join(1.5)  # the next heart-beat, which would tell too, is later
    assert not thread.is_alive()
    assert made.ended().found == 2


def test_the_opt_out_list_and_the_rules_hold_for_posts_that_the_search_tells_whole(tmp_path: Path, fleet: Fleet) -> None:
    def told(n: int, author: str) -> Candidate:
        details = Details(post_id=str(n), likes=10, duration_s=5.0, author_key=author)
        return Candidate(post_id=str(n), likes=10, likes_exact=True, details=details)

    candidates = (told(1, "ann"), told(2, "bob"), told(3, "cid"), Candidate(post_id="9", refused="not_an_id", detail="what"))
    optout = OptOut(frozenset({"site:1"}), frozenset({str(author_hash("bob", b"k"))}))
    made = Crawl(tmp_path, fleet, given(Page(candidates=candidates, more=False)), optout=optout)
    made.go()
    rows = {row["id"]: row for row in made.frontier.ask("finished", 10)}
    assert {i: (row["state"], row["reason"]) for i, row in rows.items()} == {
        "site:1": ("dropped", "opted_out"),
        "site:2": ("dropped", "opted_out"),
        "site:3": ("done", ""),
        "site:9": ("dropped", "not_an_id"),
    }
    assert rows["site:9"]["detail"] == "what"
    record = rows["site:3"]["record"]
    assert json.loads(record)["author_hash"] == author_hash("cid", b"k")


# -- killed and started again
DRIVER = """
import json, sys
from crawl.access import Access
from crawl.platforms import research_api
from crawl.run import crawl
from svmbench.fleet import Fleet
from svmbench.progress import Progress
from svmbench.recipe import parse
from svmbench.store import RunFolder

recipe, folder, access = json.loads(sys.argv[1])
research_api.PAGE_ITEMS = 5
with Fleet(local=True) as fleet:
    crawl(parse(recipe, "t"), RunFolder.create(folder), fleet, Progress(quiet=True), Access(**access))
"""


def test_killed_at_any_moment_it_goes_on_at_the_last_answer(
    tmp_path: Path, site_catalogue: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SVMBENCH_RESEARCH_TOKEN", research.TOKEN)
    model = catalogue.read(site_catalogue)[0]
    rows = [replace(model, post_id=str(int(model.post_id) + n), created=1_768_000_000 + n) for n in range(100)]
    catalogue.write(tmp_path / "shelf", rows)
    search = {
        "platform": "research_api", "site": "replica", "words": ["travel"], "since": "2026-01-01", "until": "2026-01-30",
    }  # fmt: skip
    values = {"name": "t", "search": search, "pace": {"pages_per_s": 6}, "robots": "obey"}
    run = RunFolder.create(tmp_path / "run")
    with serve(tmp_path / "shelf") as site:
        a = site.access
        order = json.dumps([values, str(run.path), {"proxy_url": a.proxy_url, "spki_pin": a.spki_pin, "ca_file": a.ca_file}])
        for number in (3, 9):
            driver = subprocess.Popen([sys.executable, "-c", DRIVER, order], start_new_session=True)
            until = time.monotonic() + 60
            while site.hits["research_query"] < number and time.monotonic() < until:
                assert driver.poll() is None, "the driver ended too early for this test"
                time.sleep(0.02)
            driver.send_signal(signal.SIGKILL)
            driver.wait()
        driver = subprocess.Popen([sys.executable, "-c", DRIVER, order], start_new_session=True)
        assert driver.wait(60) == 0
        assert 20 <= site.hits["research_query"] <= 20 + 2, "at most the answer under way is asked for again at each kill"
    posts = run.read(Post, "posts")
    assert Counter(p.post_id for p in posts) == dict.fromkeys((r.post_id for r in rows), 1)
