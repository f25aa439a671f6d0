"""robots.txt as RFC 9309 has it, asked for over loopback, and the header X-Robots-Tag."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from email.utils import formatdate
from itertools import pairwise
from pathlib import Path

import pytest

from crawl.access import Access
from crawl.frontier import Frontier
from crawl.pacer import OPENINGS, Pacer
from crawl.replica.items import MEDIA_HOST
from crawl.replica.site import Site
from crawl.robots import BYTES_MAX, DAY_S, HOPS_MAX, Robots, rules_from, text_of, unwelcome, wanted_interval_s
from svmbench.errors import Blocked
from svmbench.fleet import Actor, Fleet

HOST = "www.tiktok.com"
POST = f"https://{HOST}/@_/video/1"
PER_S = 50.0


@pytest.fixture
def fleet() -> Iterator[Fleet]:
    with Fleet(local=True) as running:
        yield running


@pytest.fixture
def frontier(fleet: Fleet, tmp_path: Path) -> Actor:
    return fleet.actor(Frontier, f"{tmp_path}/frontier.sqlite")


@pytest.fixture
def pacer(fleet: Fleet, frontier: Actor) -> Actor:
    return fleet.actor(Pacer, PER_S, frontier)


def test_it_is_fetched_once_for_all_workers_and_threads(site: Site, frontier: Actor, pacer: Actor) -> None:
    workers = [Robots(frontier, pacer, site.access, obey=True) for _ in range(3)]
    with ThreadPoolExecutor(24) as pool:
        asked = [pool.submit(workers[n % 3].allows, POST) for n in range(24)]
        assert all(call.result() for call in asked)
    assert not workers[0].allows(f"https://{HOST}/internal/preview")
    assert workers[1].allows(f"https://{HOST}/search/video?q=x")
    assert workers[2].allows(f"https://{MEDIA_HOST}/video/tos/1/")
    assert [host for _, host, target, _ in site.log if target == "/robots.txt"] == [HOST, MEDIA_HOST]


def test_with_robots_ignored_nothing_is_fetched(site: Site, frontier: Actor, pacer: Actor) -> None:
    assert Robots(frontier, pacer, site.access, obey=False).allows(f"https://{HOST}/internal/preview")
    assert site.hits == {}


def test_crawl_delay_slows_the_pacer_down_also_one_that_is_made_anew(
    site: Site, fleet: Fleet, frontier: Actor, pacer: Actor
) -> None:
    site.set_robots("User-agent: svmbench\nCrawl-delay: 2")
    assert Robots(frontier, pacer, site.access, obey=True).allows(POST)
    fleet.stop(pacer)
    again = fleet.actor(Pacer, PER_S, frontier)
    assert again.ask("reserve", HOST, "me").wait_s == pytest.approx(2.3, abs=0.31)
    assert again.ask("state")[HOST] == "0.5 requests/s, as robots.txt asks"


@pytest.mark.parametrize("status", [503, 429, 500])
def test_a_host_whose_robots_txt_cannot_be_had_is_not_asked_and_in_the_end_given_up(
    site: Site, frontier: Actor, pacer: Actor, monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    monkeypatch.setattr("crawl.pacer.PAUSE_INTERVALS", 10)
    site.set_robots("", status)
    workers = [Robots(frontier, pacer, site.access, obey=True) for _ in range(2)]

    def ask(worker: Robots) -> str:
        with pytest.raises(Blocked) as error:
            worker.allows(POST)
        return str(error.value)

    with ThreadPoolExecutor(8) as pool:
        said = set(pool.map(ask, [workers[n % 2] for n in range(8)]))
    assert said == {f"{HOST} answers with a wall (robots.txt cannot be had)"}
    times = [at_s for at_s, *_ in site.log]
    assert len(times) == OPENINGS
    assert [target for _, _, target, _ in site.log] == ["/robots.txt"] * OPENINGS
    gaps = [b - a for a, b in pairwise(times)]
    assert all(gap >= 0.9 * 10 / PER_S * 2**n for n, gap in enumerate(gaps))


def test_a_robots_txt_that_is_there_does_not_close_what_posts_opened(
    site: Site, frontier: Actor, pacer: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("crawl.pacer.PAUSE_INTERVALS", 1)
    pacer.ask("walled", HOST, "captcha", True, True)
    assert Robots(frontier, pacer, site.access, obey=True).allows(POST)
    assert pacer.ask("state")[HOST] == "trying again because of captcha"


def test_an_unreachable_host_is_given_up_too(frontier: Actor, pacer: Actor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("crawl.pacer.PAUSE_INTERVALS", 2)
    closed = Access(proxy_url="http://127.0.0.1:9")
    with pytest.raises(Blocked, match=r"robots\.txt cannot be had"):
        Robots(frontier, pacer, closed, obey=True).allows(POST)
    assert frontier.ask("robots", HOST) is None, "the next run asks again"


@pytest.mark.parametrize("date", [False, True])
def test_retry_after_on_robots_txt_is_obeyed_and_then_it_counts(
    site: Site, frontier: Actor, pacer: Actor, monkeypatch: pytest.MonkeyPatch, date: bool
) -> None:
    monkeypatch.setattr("crawl.pacer.PAUSE_INTERVALS", 1)
    site.throttle(1.0, formatdate(time.time() + 3, usegmt=True) if date else "2", kinds=["robots"])
    assert not Robots(frontier, pacer, site.access, obey=True).allows(f"https://{HOST}/internal/preview")
    (first_s, _, _, refused), (second_s, _, _, answered) = site.log
    assert (refused, answered) == (429, 200)
    assert second_s - first_s >= 2.0 - 0.05
    state = pacer.ask("state")[HOST]
    assert re.fullmatch(r"[\d.]+ requests/s since it asked for less", state), "the breaker has closed; it stays slow"


def test_an_older_one_serves_while_a_new_one_cannot_be_had(site: Site, frontier: Actor, pacer: Actor) -> None:
    old = Old(frontier, 2 * DAY_S)
    site.set_robots("", 500)
    assert not Robots(old, pacer, site.access, obey=True).allows(f"https://{HOST}/kept")
    assert not Robots(frontier, pacer, site.access, obey=True).allows(f"https://{HOST}/kept")
    assert site.hits["robots"] == 1, "and is good for another day"
    assert pacer.ask("state")[HOST] == ""


@pytest.mark.parametrize("age_s", [DAY_S + 1, -2 * DAY_S])
def test_it_is_fetched_anew_after_a_day_and_when_the_clock_was_set_back(
    site: Site, frontier: Actor, pacer: Actor, age_s: float
) -> None:
    old = Old(frontier, age_s)
    assert Robots(old, pacer, site.access, obey=True).allows(f"https://{HOST}/kept")
    assert site.hits["robots"] == 1


class Old(Actor):
    """A frontier that has kept a robots.txt for so long, until there is another."""

    def __init__(self, frontier: Actor, age_s: float) -> None:
        super().__init__(frontier.name, frontier.local)
        object.__setattr__(self, "age_s", age_s)

    def ask(self, method: str, *args: object, patience_s: float = 30.0) -> object:
        """As the frontier's own."""
        kept = super().ask(method, *args)
        if method == "robots" and kept is None:
            return 200, "User-agent: *\nDisallow: /kept", self.__dict__["age_s"]
        return kept


def test_redirections_are_followed_in_turn(site: Site, frontier: Actor, pacer: Actor) -> None:
    site.set_robots("", 301, location=f"https://{MEDIA_HOST}/robots.txt", host=HOST)
    site.set_robots("User-agent: *\nDisallow: /@", host=MEDIA_HOST)
    assert not Robots(frontier, pacer, site.access, obey=True).allows(POST)
    assert [(host, status) for _, host, _, status in site.log] == [(HOST, 301), (MEDIA_HOST, 200)]


def test_after_five_redirections_it_counts_as_missing(site: Site, frontier: Actor, pacer: Actor) -> None:
    site.set_robots("", 302, location="/robots.txt")
    assert Robots(frontier, pacer, site.access, obey=True).allows(POST)
    times = [at_s for at_s, *_ in site.log]
    assert len(times) == 1 + HOPS_MAX
    assert times[-1] - times[0] >= HOPS_MAX / PER_S


def test_a_worker_that_is_stopped_does_not_wait_for_it(site: Site, frontier: Actor, pacer: Actor) -> None:
    pacer.ask("throttled", HOST, 600.0)
    stop = threading.Event()
    robots = Robots(frontier, pacer, site.access, obey=True, stop=stop)
    threading.Timer(0.2, stop.set).start()
    began = time.monotonic()
    assert robots.allows(POST)
    assert time.monotonic() - began < 5
    assert site.hits["robots"] == 0


@pytest.mark.parametrize(
    ("status", "text", "allowed"),
    [(200, "User-agent: *\nDisallow: /@", False), (200, "User-agent: svmbench\nDisallow:\n\nUser-agent: *\nDisallow: /", True),
     (200, "<!doctype html><title>Home</title>", True), (404, "User-agent: *\nDisallow: /", True), (403, "", True),
     (429, "", False), (500, "", False), (503, "", False), (0, "", False)],
)  # fmt: skip
def test_statuses_mean_what_rfc_9309_says(status: int, text: str, allowed: bool) -> None:
    assert rules_from(status, text).can_fetch(POST, "svmbench") is allowed


def test_the_wanted_interval_is_the_larger_of_delay_and_rate() -> None:
    assert wanted_interval_s(rules_from(200, "User-agent: *\nDisallow: /x")) == 0.0
    assert wanted_interval_s(rules_from(200, "User-agent: *\nCrawl-delay: 2\nRequest-rate: 1/5")) == 5.0
    for odd in ("nan", "-3", "soon"):
        assert wanted_interval_s(rules_from(200, f"User-agent: *\nCrawl-delay: {odd}\nRequest-rate: 1/0")) == 0.0


def test_a_mark_at_its_start_and_a_cut_at_its_end_do_no_harm() -> None:
    assert not rules_from(200, text_of("\ufeffUser-agent: *\nDisallow: /".encode())).can_fetch(POST, "svmbench")
    long = b"User-agent: *\n" + b"#" * (BYTES_MAX - 14 - 11) + b"\nDisallow: "
    assert len(long) == BYTES_MAX
    assert text_of(long).endswith("#")


@pytest.mark.parametrize(
    ("header", "found"),
    [("", ""), ("all", ""), ("nofollow, noarchive", ""), ("NoIndex, nofollow", "noindex"), ("nofollow,none", "none"),
     ("noai", "noai"), ("noimageai, noai", "noimageai"), ("noml", "noml"),
     ("svmbench: noindex", "noindex"), ("SvmBench:noai", "noai"), ("*: none", "none"),
     ("googlebot: noindex, noai", ""), ("googlebot: nofollow, otherbot: noindex, none", ""),
     ("googlebot: noindex, svmbench: nofollow, noml", "noml"), ("svmbench: nofollow, googlebot: noindex", ""),
     ("unavailable_after: 25 Jun 2010 15:00:00 PST", ""), ("max-snippet: 50, noindex", "noindex"),
     ("unavailable_after: Wed, 03 Oct 2029 15:00:00 GMT, noindex", "noindex")],
)  # fmt: skip
def test_x_robots_tag(header: str, found: str) -> None:
    assert unwelcome(header) == found
