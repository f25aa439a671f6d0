"""The pacer on a clock of its own: spacing, the line of those who wait, Retry-After, the rate, the breaker, what outlives it."""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from crawl.frontier import Frontier
from crawl.host import OPENINGS, POSTS, QUIET_INTERVALS, ROBOTS, SEARCH, SHARE_MIN
from crawl.pacer import CLAIM_S, JITTER, LATE_S, LOST_S, NAP_S, PAUSE_INTERVALS, PROBE_S, WALLS, Pacer, Turn, take_turn
from crawl.retry_after import LONGEST_S, retry_after_s
from svmbench.errors import Blocked
from svmbench.fleet import Actor, Fleet

HOST = "www.tiktok.com"
DAY_S = 86_400.0


class Clock:
    """Time that passes when it is told to; wall is what the clock on the wall says, which may jump."""

    def __init__(self) -> None:
        self.now, self.offset = 1000.0, 1_700_000_000.0

    def __call__(self) -> float:
        return self.now

    def wall(self) -> float:
        return self.now + self.offset


class Shelf:
    """The two methods of the frontier that the pacer asks, for a pacer and the one that is made after it."""

    def __init__(self) -> None:
        self.hosts: dict[str, str] = {}
        self.kept = 0

    def ask(self, method: str, host: str, *state: str) -> str | None:
        if method == "keep_host":
            (self.hosts[host],) = state
            self.kept += 1
            return None
        assert method == "host"
        return self.hosts.get(host)


@pytest.fixture
def clock() -> Clock:
    return Clock()


def make(clock: Clock, per_s: float = 1.0, shelf: Any = None, run: str = "") -> Pacer:
    return Pacer(per_s, shelf, run, seed=0, clock=clock, wall_clock=clock.wall)


def send(pacer: Pacer, clock: Clock, who: str = "me", late_s: float = 0.0) -> float:
    """Waits for a turn as a worker does; the time at which the request goes out."""
    for _ in range(40_000):
        turn = pacer.reserve(HOST, who)
        assert not turn.blocked
        if turn.go:
            clock.now += late_s
            pacer.sent(HOST)
            return clock.now
        assert turn.wait_s > 0, "nobody asks again at once"
        clock.now += turn.wait_s
    raise AssertionError("no turn in 40000 tries")


# -- spacing
@pytest.mark.parametrize("per_s", [1.0, 40.0])
def test_requests_are_never_closer_than_the_interval(clock: Clock, per_s: float) -> None:
    pacer = make(clock, per_s)
    times = [send(pacer, clock) for _ in range(50)]
    gaps = [(b - a) * per_s for a, b in pairwise(times)]
    assert min(gaps) >= 1 + JITTER[0] - 1e-9
    assert max(gaps) <= 1 + JITTER[1] + 1e-9
    assert len({round(gap, 6) for gap in gaps}) > 10, "there is jitter"


def test_no_credit_is_saved_while_nothing_is_asked(clock: Clock) -> None:
    pacer = make(clock, 2.0)
    send(pacer, clock)
    clock.now += 100
    first, second = send(pacer, clock), send(pacer, clock)
    assert second - first >= 0.5


def test_a_request_that_leaves_late_moves_the_next_one(clock: Clock) -> None:
    pacer = make(clock)
    for _ in range(5):
        late = send(pacer, clock, late_s=0.9)  # the thread that has the turn is not scheduled for so long
        assert send(pacer, clock) >= late + 1.0


def test_until_a_request_has_left_nobody_else_gets_a_turn_and_a_lost_one_is_given_up(clock: Clock) -> None:
    pacer = make(clock)
    clock.now += 2
    assert pacer.reserve(HOST, "lost").go
    clock.now += LOST_S / 2
    assert not pacer.reserve(HOST, "me").go
    waited = send(pacer, clock)
    assert LOST_S - 0.1 <= waited - 1002.0 <= LOST_S + 2


def test_the_first_turn_of_a_new_pacer_is_an_interval_after_its_start(clock: Clock) -> None:
    assert send(make(clock, 0.5), clock) >= 1002.0
    pacer = make(clock, 0.5)
    clock.now += 60
    assert pacer.reserve(HOST, "me").go


def test_hosts_have_budgets_of_their_own(clock: Clock) -> None:
    pacer = make(clock)
    clock.now += 2
    assert pacer.reserve("a", "me").go
    assert pacer.reserve("b", "me").go


def test_a_redirection_takes_up_an_interval_of_its_own(clock: Clock) -> None:
    pacer = make(clock)
    first = send(pacer, clock)
    pacer.charge(HOST)
    pacer.charge(HOST)
    assert send(pacer, clock) >= first + 3.0
    clock.now += 100
    pacer.charge(HOST)
    assert send(pacer, clock) >= clock.now
    assert not pacer.reserve(HOST, "me").go


def test_many_waiters_are_served_in_turn_and_ask_seldom(clock: Clock) -> None:
    """24 threads, each of which asks again as soon as it has had its turn."""
    pacer, asks, turns = make(clock, 4.0), 0, list[tuple[float, str]]()
    back = {f"thread {n}": clock.now for n in range(24)}
    while len(turns) < 240:
        who = min(back, key=lambda name: back[name])
        clock.now = max(clock.now, back[who])
        turn = pacer.reserve(HOST, who)
        asks += 1
        if turn.go:
            pacer.sent(HOST)
            turns.append((clock.now, who))
        back[who] = clock.now + turn.wait_s + 1e-4
    assert min(b - a for (a, _), (b, _) in pairwise(turns)) >= 0.25
    assert (turns[-1][0] - turns[0][0]) / 239 <= 0.25 * (1 + JITTER[1]), "no turn is wasted"
    assert asks / len(turns) < 6
    served = Counter(who for _, who in turns)
    assert len(served) == 24
    assert max(served.values()) <= 2 * min(served.values())


def test_a_waiter_that_died_holds_nobody_up(clock: Clock) -> None:
    pacer = make(clock)
    pacer.reserve(HOST, "dead")
    send(pacer, clock)
    clock.now += LATE_S
    times = [send(pacer, clock) for _ in range(10)]
    assert times[-1] - times[0] <= 9 * (1 + JITTER[1]) + 1e-6


def test_nobody_sleeps_through_a_pause_without_looking_again(clock: Clock) -> None:
    pacer = make(clock)
    pacer.throttled(HOST, 3600.0)
    assert pacer.reserve(HOST, "me").wait_s == NAP_S


# -- what hosts ask for
def test_retry_after_is_obeyed(clock: Clock) -> None:
    pacer = make(clock, 40.0)
    asked = send(pacer, clock)
    pacer.throttled(HOST, 7.0)
    pacer.throttled(HOST, 2.0)
    assert "waits 7 s, as the host asked" in pacer.state()[HOST]
    assert send(pacer, clock) >= asked + 7.0
    pacer.throttled(HOST, 1e12)
    assert send(pacer, clock) <= clock.now <= asked + 8 + LONGEST_S


@pytest.mark.parametrize(
    ("header", "seconds"),
    [("120", 120.0), (" 0 ", 0.0), ("Sun, 06 Nov 1994 08:49:37 GMT", 30.0), ("Sunday, 06-Nov-94 08:49:37 GMT", 30.0),
     ("Sun Nov  6 08:49:37 1994", 30.0), ("Sun, 06 Nov 1994 08:49:00 GMT", 0.0), ("9" * 400, LONGEST_S),
     ("Fri, 31 Dec 9999 23:59:59 GMT", LONGEST_S), (None, None), ("", None), ("soon", None), ("-5", None), ("²", None),
     ("Sun, 99 Nov 1994 08:49:37 GMT", None)],
)  # fmt: skip
def test_both_forms_of_retry_after_are_read(header: str | None, seconds: float | None) -> None:
    assert retry_after_s(header, now=784_111_777.0 - 30) == seconds


def test_a_throttle_halves_the_rate_and_quiet_gives_it_back(clock: Clock) -> None:
    pacer = make(clock, 2.0)
    send(pacer, clock)
    pacer.throttled(HOST, None)
    pacer.throttled(HOST, None)  # one that was under way
    assert pacer.state()[HOST] == "1 requests/s since it asked for less"
    first, second = send(pacer, clock), send(pacer, clock)
    assert 1.0 <= second - first <= 1 + JITTER[1]
    pacer.throttled(HOST, None)
    assert pacer.state()[HOST] == "0.5 requests/s since it asked for less"
    rates = []
    for _ in range(12):
        clock.now += QUIET_INTERVALS / 2.0 + 0.01
        send(pacer, clock)
        rates.append(1 / pacer._hosts[HOST].interval_s)
    assert rates == pytest.approx([0.7, 0.9, 1.1, 1.3, 1.5, 1.7, 1.9, 2.0, 2.0, 2.0, 2.0, 2.0])
    assert pacer.state()[HOST] == ""


def test_a_pause_is_not_a_quiet_while(clock: Clock) -> None:
    pacer = make(clock)
    pacer.throttled(HOST, 4 * QUIET_INTERVALS)
    send(pacer, clock)
    assert pacer.state()[HOST] == "0.5 requests/s since it asked for less"


def test_the_rate_falls_to_a_floor(clock: Clock) -> None:
    pacer = make(clock)
    for _ in range(12):
        send(pacer, clock)
        pacer.throttled(HOST, None)
    first, second = send(pacer, clock), send(pacer, clock)
    assert 1 / SHARE_MIN <= second - first <= (1 + JITTER[1]) / SHARE_MIN


def test_robots_may_slow_down_but_not_speed_up(clock: Clock) -> None:
    pacer = make(clock, 10.0)
    before = send(pacer, clock)
    pacer.slow_down(HOST, 2.0)
    first = send(pacer, clock)
    assert first - before >= 2.0, "from the request on by which we know"
    pacer.throttled(HOST, None)
    assert send(pacer, clock) - first >= 4.0, "half the rate that robots.txt allows"
    pacer = make(clock, 10.0)
    pacer.slow_down(HOST, 0.001)
    first, second = send(pacer, clock), send(pacer, clock)
    assert second - first >= 0.1
    pacer.slow_down(HOST, 2.0)
    assert pacer.state()[HOST] == "0.5 requests/s, as robots.txt asks"
    pacer.slow_down(HOST, 0.0)
    assert pacer.state()[HOST] == "", "a robots.txt that asks for less is believed the next day"


# -- the breaker
def test_walls_in_a_row_open_the_breaker_and_an_answer_closes_it(clock: Clock) -> None:
    pacer = make(clock)
    for _ in range(WALLS - 1):
        pacer.walled(HOST, "blocked", True)
    assert pacer.state()[HOST] == ""
    pacer.passed(HOST)
    for _ in range(WALLS):
        pacer.walled(HOST, "blocked", True)
    opened = clock.now
    assert pacer.state()[HOST] == "paused for 60 s because of blocked"
    pacer.passed(HOST)
    assert "paused" in pacer.state()[HOST], "an answer that was under way says nothing"
    assert send(pacer, clock) >= opened + PAUSE_INTERVALS
    assert pacer.state()[HOST] == "trying again because of blocked"
    clock.now += 5
    assert not pacer.reserve(HOST, "other").go, "one probe at a time"
    pacer.passed(HOST)
    assert pacer.state()[HOST] == ""
    assert pacer.reserve(HOST, "other").go


def test_a_search_that_is_answered_says_nothing_of_posts_that_are_not(clock: Clock) -> None:
    shelf = Shelf()
    pacer = make(clock, shelf=shelf)
    for _ in range(WALLS - 1):
        pacer.walled(HOST, "blocked", True)
        pacer.passed(HOST, SEARCH)
        pacer.walled(HOST, "soft_block", False, of=SEARCH)
    assert json.loads(shelf.hosts[HOST])["walls"] == WALLS - 1, "the streak of the posts goes on"
    pacer = make(clock, shelf=shelf)
    pacer.passed(HOST, SEARCH)
    pacer.walled(HOST, "challenge", True, of=SEARCH)
    assert "paused for 60 s" in pacer.state()[HOST], "a new pacer knows whose streak it was"
    send(pacer, clock)
    assert not pacer.reserve(HOST, "other").go
    for origin in (SEARCH, ROBOTS):
        answered = clock.now
        pacer.passed(HOST, origin)
        assert pacer.state()[HOST] == "trying again because of challenge"
        assert send(pacer, clock) - answered < PROBE_S
        assert not pacer.reserve(HOST, "other").go, "the probe was answered, and the next request is a probe too"
    pacer.passed(HOST)
    assert pacer.state()[HOST] == ""


@pytest.mark.parametrize(("opener", "closers"), [(SEARCH, {SEARCH, POSTS}), (ROBOTS, {ROBOTS, POSTS}), (POSTS, {POSTS})])
def test_the_breaker_is_closed_by_a_post_or_by_what_opened_it(clock: Clock, opener: str, closers: set[str]) -> None:
    for closer in (POSTS, SEARCH, ROBOTS):
        shelf = Shelf()
        make(clock, shelf=shelf).walled(HOST, "captcha", True, True, opener)
        pacer = make(clock, shelf=shelf)
        send(pacer, clock)
        pacer.passed(HOST, closer)
        assert (pacer.state()[HOST] == "") == (closer in closers)


def test_a_probe_without_an_answer_is_followed_by_another(clock: Clock) -> None:
    pacer = make(clock)
    pacer.walled(HOST, "captcha", True, True)
    first, second = send(pacer, clock), send(pacer, clock)
    assert PROBE_S <= second - first <= PROBE_S + 2


def test_a_post_with_trouble_of_its_own_does_not_open_the_breaker(clock: Clock) -> None:
    pacer = make(clock)
    clock.now += 2
    for _ in range(5 * WALLS):
        pacer.walled(HOST, "login_wall", False)
    assert pacer.state()[HOST] == ""
    assert pacer.reserve(HOST, "me").go


def test_a_captcha_opens_at_once_pauses_double_and_then_the_host_is_given_up(clock: Clock) -> None:
    pacer = make(clock)
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
    assert pacer.state()[HOST] == "given up (captcha)"
    assert pacer.reserve(HOST, "me") == Turn(False, 0.0, "captcha")


# -- what outlives the actor and the run
def test_a_new_pacer_keeps_the_pause_the_rate_and_the_delay_of_robots(clock: Clock) -> None:
    shelf = Shelf()
    pacer = make(clock, shelf=shelf)
    send(pacer, clock)
    pacer.slow_down(HOST, 3.0)
    pacer.throttled(HOST, 100.0)
    asked = clock.now
    clock.now += 20
    again = make(clock, shelf=shelf)
    assert again.reserve(HOST, "me").wait_s == NAP_S
    assert again.state()[HOST] == "waits 80 s, as the host asked, 0.17 requests/s since it asked for less"
    first, second = send(again, clock), send(again, clock)
    assert first >= asked + 100
    assert second - first >= 6.0


def test_only_what_changes_is_kept_not_every_turn(clock: Clock) -> None:
    shelf = Shelf()
    pacer = make(clock, shelf=shelf)
    for _ in range(20):
        send(pacer, clock)
        pacer.passed(HOST)
        pacer.slow_down(HOST, 0.0)
        pacer.charge(HOST)
        pacer.walled(HOST, "challenge", False)
    assert shelf.kept == 0
    pacer.walled(HOST, "challenge", True)
    assert shelf.kept == 1
    assert json.loads(shelf.hosts[HOST])["walls"] == 1


@pytest.mark.parametrize(("jump_s", "left_s"), [(-365 * DAY_S, 60.0), (-30.0, 60.0), (0.0, 50.0), (365 * DAY_S, 0.0)])
def test_a_clock_that_jumped_between_runs_makes_no_pause_longer_than_it_was(clock: Clock, jump_s: float, left_s: float) -> None:
    shelf = Shelf()
    make(clock, shelf=shelf).walled(HOST, "captcha", True, True)
    clock.now += 10
    clock.offset += jump_s
    began, again = clock.now, make(clock, shelf=shelf)
    assert send(again, clock) - began == pytest.approx(max(left_s, 1.0), abs=0.3)


@pytest.mark.parametrize("jump_s", [-365 * DAY_S, 365 * DAY_S])
def test_a_clock_that_jumps_while_it_runs_changes_nothing(clock: Clock, jump_s: float) -> None:
    pacer = make(clock, shelf=Shelf())
    pacer.throttled(HOST, 100.0)
    began = clock.now
    clock.offset += jump_s
    assert 100 <= send(pacer, clock) - began <= 103


def give_up(pacer: Pacer, clock: Clock) -> None:
    while not pacer.blocked():
        pacer.walled(HOST, "captcha", True, True)
        if not pacer.blocked():
            send(pacer, clock)


def test_a_host_given_up_stays_so_in_its_run_and_gets_one_probe_in_the_next(clock: Clock) -> None:
    shelf = Shelf()
    give_up(make(clock, shelf=shelf, run="first"), clock)
    given_up = clock.now
    restarted = make(clock, shelf=shelf, run="first")
    assert restarted.reserve(HOST, "me").blocked == "captcha"
    assert restarted.blocked() == {HOST: "captcha"}
    pause_s = PAUSE_INTERVALS * 2 ** (OPENINGS - 1)
    clock.now += 30
    following = make(clock, shelf=shelf, run="second")
    assert send(following, clock) >= given_up + pause_s
    assert not following.reserve(HOST, "other").go
    following.walled(HOST, "captcha", True, True)
    assert following.reserve(HOST, "me").blocked == "captcha", "one wall is enough"
    clock.now += 10 * pause_s
    third = make(clock, shelf=shelf, run="third")
    send(third, clock)
    third.passed(HOST)
    assert third.state()[HOST] == ""
    assert make(clock, shelf=shelf, run="fourth").state() == {}
    assert send(make(clock, shelf=shelf, run="fourth"), clock) <= clock.now


def test_quiet_time_counts_also_between_runs(clock: Clock) -> None:
    shelf = Shelf()
    make(clock, shelf=shelf).throttled(HOST, None)
    clock.now += 2 * QUIET_INTERVALS + 1
    again = make(clock, shelf=shelf)
    send(again, clock)
    assert again.state()[HOST] == "0.7 requests/s since it asked for less"


def test_what_is_kept_goes_through_the_real_frontier(tmp_path: Path) -> None:
    with Fleet(local=True) as fleet:
        frontier = fleet.actor(Frontier, f"{tmp_path}/frontier.sqlite")
        first = fleet.actor(Pacer, 50.0, frontier, "run")
        first.ask("throttled", HOST, 30.0)
        fleet.stop(first)
        second = fleet.actor(Pacer, 50.0, frontier, "run")
        assert second.ask("reserve", HOST, "me").wait_s == NAP_S
        assert second.ask("state")[HOST].startswith("waits 30 s")


# -- for workers
def test_one_worker_at_a_time_is_to_fetch_robots_txt(clock: Clock) -> None:
    pacer = make(clock)
    assert pacer.claim_robots(HOST, "one") == 0.0
    assert pacer.claim_robots(HOST, "two") > 0
    assert pacer.claim_robots(HOST, "one") == 0.0, "it may try again"
    assert pacer.claim_robots("other", "two") == 0.0
    clock.now += CLAIM_S
    assert pacer.claim_robots(HOST, "two") == 0.0
    give_up(pacer, clock)
    assert pacer.claim_robots(HOST, "one") == 0.0, "nobody waits for a host that was given up: the turn will say so"


@pytest.fixture
def fleet() -> Iterator[Fleet]:
    with Fleet(local=True) as running:
        yield running


def test_take_turn_raises_at_a_host_that_was_given_up(fleet: Fleet) -> None:
    pacer, stopped = fleet.actor(Pacer, 50.0), threading.Event()
    assert take_turn(pacer, HOST, threading.Event())
    stopped.set()
    assert not take_turn(pacer, HOST, stopped)
    given_up = fleet.actor(GivenUp, 50.0)
    with pytest.raises(Blocked, match=r"www\.tiktok\.com.*captcha"):
        take_turn(given_up, HOST, threading.Event())


class GivenUp(Pacer):
    """A pacer whose host has been given up."""

    def __init__(self, per_s: float) -> None:
        clock = Clock()
        super().__init__(per_s, clock=clock)
        give_up(self, clock)


def test_a_worker_that_is_stopped_waits_no_longer(fleet: Fleet) -> None:
    pacer, stop, ended = fleet.actor(Pacer, 50.0), threading.Event(), list[bool]()
    pacer.ask("throttled", HOST, 600.0)
    thread = threading.Thread(target=lambda: ended.append(take_turn(pacer, HOST, stop)))
    thread.start()
    time.sleep(0.1)
    stop.set()
    thread.join(5)
    assert ended == [False]


class Slow(Pacer):
    """A pacer whose first answer takes longer than a turn is good for."""

    def reserve(self, host: str, who: str) -> Turn:
        turn = super().reserve(host, who)
        if turn.go and not hasattr(self, "been"):
            self.been = True
            time.sleep(0.3)
        return turn


def test_a_turn_that_comes_too_late_is_not_used(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("crawl.pacer.LOST_S", 0.4)
    pacer, began = fleet.actor(Slow, 50.0), time.monotonic()
    assert take_turn(pacer, HOST, threading.Event())
    assert time.monotonic() - began >= 0.4, "the first turn, which came after 0.3 s, was left to lapse"


def test_threads_of_three_workers_never_send_in_one_interval(fleet: Fleet) -> None:
    pacer: Actor = fleet.actor(Pacer, 50.0)
    times, stop = list[float](), threading.Event()

    def work() -> None:
        while not stop.is_set() and take_turn(pacer, HOST, stop):
            times.append(time.monotonic())

    threads = [threading.Thread(target=work) for _ in range(24)]
    for thread in threads:
        thread.start()
    time.sleep(1.5)
    stop.set()
    for thread in threads:
        thread.join()
    assert len(times) > 20
    assert len(times) <= 1 + (max(times) - min(times)) * 50
