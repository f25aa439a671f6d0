"""The pacer on a clock of its own: spacing, Retry-After, the breaker; and robots.txt."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from itertools import pairwise

import pytest

from crawl.access import Access
from crawl.frontier import Frontier
from crawl.pacer import JITTER, OPENINGS, PAUSE_INTERVALS, WALLS, Pacer, take_turn
from crawl.replica.site import Site
from crawl.robots import Robots, rules_from, wanted_interval_s
from svmbench.errors import Blocked
from svmbench.fleet import Actor, Fleet

HOST = "www.tiktok.com"


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def send(pacer: Pacer, clock: Clock) -> float:
    """Waits for a turn as a worker does; the time at which the request goes out."""
    for _ in range(1000):
        turn = pacer.reserve(HOST)
        assert not turn.blocked
        clock.now += turn.wait_s
        if turn.go:
            return clock.now
    raise AssertionError("no turn in 1000 tries")


@pytest.mark.parametrize("per_s", [1.0, 40.0])
def test_requests_are_never_closer_than_the_interval(clock: Clock, per_s: float) -> None:
    pacer = Pacer(per_s, 0, clock)
    times = [send(pacer, clock) for _ in range(50)]
    gaps = [b - a for a, b in pairwise(times)]
    assert min(gaps) >= 1 / per_s - 1e-9
    assert max(gaps) <= (1 + JITTER) / per_s + 1e-9
    assert len({round(gap * per_s, 6) for gap in gaps}) > 10, "there is jitter"


def test_no_credit_is_saved_while_nothing_is_asked(clock: Clock) -> None:
    pacer = Pacer(2.0, 0, clock)
    send(pacer, clock)
    clock.now += 100
    first, second = send(pacer, clock), send(pacer, clock)
    assert second - first >= 0.5


def test_many_askers_at_one_moment_get_spaced_turns(clock: Clock) -> None:
    pacer = Pacer(40.0, 0, clock)
    turns = [pacer.reserve(HOST) for _ in range(8)]
    waits = sorted(turn.wait_s for turn in turns if turn.go)
    assert len(waits) >= 4
    assert all(b - a >= 0.025 - 1e-9 for a, b in pairwise(waits))


def test_hosts_have_budgets_of_their_own(clock: Clock) -> None:
    pacer = Pacer(1.0, 0, clock)
    assert pacer.reserve("a").wait_s == pacer.reserve("b").wait_s == 0.0


def test_retry_after_is_obeyed(clock: Clock) -> None:
    pacer = Pacer(40.0, 0, clock)
    asked = send(pacer, clock)
    pacer.penalise(HOST, 7.0)
    pacer.penalise(HOST, 2.0)
    assert send(pacer, clock) >= asked + 7.0


def test_robots_may_slow_down_but_not_speed_up(clock: Clock) -> None:
    pacer = Pacer(10.0, 0, clock)
    pacer.slow_down(HOST, 2.0)
    pacer.slow_down(HOST, 0.001)
    first, second = send(pacer, clock), send(pacer, clock)
    assert second - first >= 2.0


def test_walls_in_a_row_open_the_breaker_and_an_answer_closes_it(clock: Clock) -> None:
    pacer = Pacer(1.0, 0, clock)
    for _ in range(WALLS - 1):
        pacer.walled(HOST, "blocked", True)
    assert pacer.state()[HOST] == ""
    pacer.passed(HOST)
    for _ in range(WALLS):
        pacer.walled(HOST, "blocked", True)
    opened = clock.now
    assert "blocked" in pacer.state()[HOST]
    assert send(pacer, clock) >= opened + PAUSE_INTERVALS
    probe = pacer.reserve(HOST)
    assert not probe.go, "one probe at a time"
    pacer.passed(HOST)
    assert pacer.state()[HOST] == ""
    clock.now += 2
    assert pacer.reserve(HOST).go


def test_a_post_with_trouble_of_its_own_does_not_open_the_breaker(clock: Clock) -> None:
    pacer = Pacer(1.0, 0, clock)
    for _ in range(5 * WALLS):
        pacer.walled(HOST, "login_wall", False)
    assert pacer.state()[HOST] == ""
    assert pacer.reserve(HOST).go


def test_a_captcha_opens_at_once_pauses_double_and_then_the_host_is_given_up(clock: Clock) -> None:
    pacer = Pacer(1.0, 0, clock)
    waits = []
    for _ in range(OPENINGS - 1):
        pacer.walled(HOST, "captcha", True, True)
        opened = clock.now
        pacer.walled(HOST, "captcha", True, True)  # one that was under way: counts no further
        waits.append(send(pacer, clock) - opened)
    assert waits[1] == pytest.approx(2 * waits[0], rel=0.1)
    assert not pacer.blocked()
    pacer.walled(HOST, "captcha", True, True)
    assert pacer.blocked() == {HOST: "captcha"}
    assert pacer.reserve(HOST).blocked == "captcha"


@pytest.fixture
def actors(tmp_path: pytest.TempPathFactory) -> Iterator[tuple[Actor, Actor]]:
    with Fleet(local=True) as fleet:
        yield fleet.actor(Frontier, f"{tmp_path}/frontier.sqlite"), fleet.actor(Pacer, 50.0)


def test_take_turn_raises_at_a_host_that_was_given_up(actors: tuple[Actor, Actor]) -> None:
    _, pacer = actors
    assert take_turn(pacer, HOST, threading.Event())
    stopped = threading.Event()
    stopped.set()
    assert not take_turn(pacer, HOST, stopped)
    with Fleet(local=True) as fleet:
        given_up = fleet.actor(GivenUp, 50.0)
        with pytest.raises(Blocked, match=r"www\.tiktok\.com.*captcha"):
            take_turn(given_up, HOST, threading.Event())


class GivenUp(Pacer):
    """A pacer whose host has been given up."""

    def __init__(self, per_s: float) -> None:
        clock = Clock()
        super().__init__(per_s, 0, clock)
        for _ in range(OPENINGS):
            self.walled(HOST, "captcha", True, True)
            clock.now += 10_000


def test_robots_of_the_site_are_obeyed_and_fetched_once(site: Site, actors: tuple[Actor, Actor]) -> None:
    frontier, pacer = actors
    for _ in range(2):  # two workers
        robots = Robots(frontier, pacer, site.access, obey=True)
        assert robots.allows(f"https://{HOST}/search/video?q=x")
        assert robots.allows(f"https://{HOST}/@_/video/1")
        assert not robots.allows(f"https://{HOST}/internal/preview")
    assert Robots(frontier, pacer, site.access, obey=False).allows(f"https://{HOST}/internal/preview")
    assert site.hits["robots"] == 1


def test_an_unreachable_host_forbids_all(actors: tuple[Actor, Actor]) -> None:
    frontier, pacer = actors
    closed = Access(proxy_url="http://127.0.0.1:9")
    assert not Robots(frontier, pacer, closed, obey=True).allows(f"https://{HOST}/@_/video/1")
    assert frontier.ask("robots", HOST)[0] == 503


@pytest.mark.parametrize(
    ("status", "text", "allowed"),
    [(200, "User-agent: *\nDisallow: /@", False), (200, "User-agent: svmbench\nDisallow:\n\nUser-agent: *\nDisallow: /", True),
     (404, "", True), (403, "", True), (500, "", False), (503, "", False)],
)  # fmt: skip
def test_statuses_mean_what_rfc_9309_says(status: int, text: str, allowed: bool) -> None:
    assert rules_from(status, text).can_fetch(f"https://{HOST}/@_/video/1", "svmbench") is allowed


def test_the_wanted_interval_is_the_larger_of_delay_and_rate() -> None:
    assert wanted_interval_s(rules_from(200, "User-agent: *\nDisallow: /x")) == 0.0
    assert wanted_interval_s(rules_from(200, "User-agent: *\nCrawl-delay: 2\nRequest-rate: 1/5")) == 5.0
