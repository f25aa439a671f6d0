"""One budget a host for the whole cluster: spacing, Retry-After, a rate that halves when a host says that it is too much, and a
breaker that stops asking a host that puts up walls.

Spacing is the generic cell rate algorithm with a burst of one, measured when requests are sent: a turn is given only when it is
due, to be used at once, and the next one not before the asker has said that its request leaves. So however late a thread is
scheduled, two requests do not leave together. Who asks too early is told how long to sleep; those who wait form a line, and each
is told to come back at about its own time.

The breaker opens when several posts in a row meet a wall at their first try (a post that meets one again and again while others
pass has its own trouble), or at once on a captcha. After a pause one request goes out as a probe; what it meets decides. A search
that is answered says nothing of posts that are not, so it closes only what searches have opened.

What a host asked for outlives the actor and the run: it is kept in the frontier.
"""

from __future__ import annotations

import contextlib
import random
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass

from crawl.host import OPENINGS, POSTS, SHARE_MIN, Host
from crawl.retry_after import LONGEST_S
from svmbench.errors import Blocked, Failure
from svmbench.fleet import Actor, WorkerLost

JITTER = (0.05, 0.25)  # ours: spacing is 1.05 to 1.25 intervals; the least of it is for what a request's way adds to it
WALLS = 5  # ours: this many walls in a row open the breaker
PAUSE_INTERVALS = 60  # ours: the first pause; 60 s at one page a second, 1.5 s at forty; doubled each time
PROBE_S = 60.0  # ours: a probe without an answer for so long is taken to be lost
LOST_S = 10.0  # ours: a turn that was not used for so long is taken to be lost
NAP_S = 3.0  # ours: nobody is told to sleep longer; meanwhile the host may have answered again, or have been given up
LATE_S = 2.0  # ours: who comes back later than this after its time has lost its place in the line
CLAIM_S = 60.0  # ours: so long one worker may take to fetch a robots.txt before another tries
CLAIM_LOOK_S = 0.2  # ours: the others look this often whether it is there


@dataclass(frozen=True, slots=True)
class Turn:
    """go: send the request now, else ask again after wait_s. blocked: the wall because of which the host is given up."""

    go: bool
    wait_s: float = 0.0
    blocked: str = ""


class Pacer:
    """Hands out turns. per_s: requests a second to one host. frontier: keeps what hosts asked for. run: mark of this run.

    clock: monotonic seconds. wall_clock: Unix seconds.
    """

    def __init__(
        self, per_s: float, frontier: Actor | None = None, run: str = "", *, seed: int | None = None,
        clock: Callable[[], float] = time.monotonic, wall_clock: Callable[[], float] = time.time,
    ) -> None:  # fmt: skip
        self._per_s, self._frontier, self._run, self._clock, self._wall = per_s, frontier, run, clock, wall_clock
        self._random = random.Random(seed)
        self._born = clock()  # the one before us may have given a turn just then
        self._hosts: dict[str, Host] = {}
        self._lines: dict[str, dict[str, float]] = {}  # who waits for a host, and when it will come back
        self._claims: dict[str, tuple[str, float]] = {}

    def _host(self, host: str) -> Host:
        if host not in self._hosts:
            made = Host(recipe_s=1 / self._per_s, sent_at=self._born, quiet_since=self._born, jitter=self._draw())
            kept = self._frontier.ask("host", host) if self._frontier else None
            if kept:
                made.restore(kept, self._clock(), self._wall(), self._run)
            self._hosts[host], self._lines[host] = made, {}
        return self._hosts[host]

    def _keep(self, host: str) -> None:
        if self._frontier:
            stored = self._hosts[host].stored(self._clock(), self._wall(), self._run)
            self._frontier.ask("keep_host", host, stored)

    def _draw(self) -> float:
        return self._random.uniform(*JITTER)

    # -- turns
    def reserve(self, host: str, who: str) -> Turn:
        """The next turn for one request to the host, if it is due. who: the same at each try to get this turn."""
        h, now = self._host(host), self._clock()
        if h.blocked:
            return Turn(False, 0.0, h.blocked)
        if h.recover(now):
            self._keep(host)
        ready = _ready_at(h, now)
        if ready > now:
            return Turn(False, self._queue(host, who, ready, now))
        self._lines[host].pop(who, None)
        h.sent_at, h.out_at, h.jitter, h.cut = now, now, self._draw(), False
        if h.openings:
            h.probe_at = now
        return Turn(True)

    def _queue(self, host: str, who: str, ready: float, now: float) -> float:
        """How long to sleep: who has waited longest until the next turn, each behind it an interval more."""
        line = {w: back for w, back in self._lines[host].items() if w == who or now < back + LATE_S}
        place = list(line).index(who) if who in line else len(line)
        wait_s = min(ready - now + place * self._hosts[host].interval_s * (1 + sum(JITTER) / 2), NAP_S)
        line[who] = now + wait_s
        self._lines[host] = line
        return wait_s

    def sent(self, host: str) -> None:
        """The request for which the last turn was given leaves now: the next one is due an interval later."""
        h = self._host(host)
        if h.out_at is not None:
            h.sent_at, h.out_at = h.sent_at + self._clock() - h.out_at, None

    def charge(self, host: str) -> None:
        """A request was sent without a turn (a redirection): the next one is due an interval later."""
        h = self._host(host)
        h.sent_at = max(h.sent_at, self._clock() - h.interval_s) + h.interval_s

    # -- what hosts ask for
    def slow_down(self, host: str, interval_s: float) -> None:
        """robots.txt wants this much time between requests, 0 where it does not say; a faster recipe gives way."""
        h, wanted = self._host(host), min(interval_s, LONGEST_S)
        if h.robots_s != wanted:
            h.robots_s = wanted
            self._keep(host)

    def throttled(self, host: str, after_s: float | None) -> None:
        """The host said that it is too much (429, 503), and perhaps for how long (Retry-After, in seconds): half the rate.

        Of several requests that were under way the first one counts.
        """
        h, now = self._host(host), self._clock()
        if not h.cut:
            h.share, h.cut = max(SHARE_MIN, h.share / 2), True
        h.hold_until = max(h.hold_until, now + min(after_s or 0.0, LONGEST_S))
        h.quiet_since, h.sent_at = now, max(h.sent_at, now)
        self._keep(host)

    # -- the breaker
    def passed(self, host: str, of: str = POSTS) -> None:
        """The host gave a proper answer: the breaker closes, unless no probe was out.

        of: what was asked for. Where that is no post, the walls of posts stay counted, and the next request is a probe too.
        """
        h = self._host(host)
        under_way = h.openings and h.probe_at is None
        if under_way or not (h.walls or h.openings):
            return
        if of not in (POSTS, h.wall_of):
            h.probe_at = None
            return
        h.walls, h.openings, h.open_until, h.probe_at, h.wall = 0, 0, 0.0, None, ""
        self._keep(host)

    def walled(self, host: str, wall: str, first: bool, at_once: bool = False, of: str = POSTS) -> None:
        """The host put up a wall. first: at the first try of a post. at_once: open without waiting for more. of: what met it."""
        h, now = self._host(host), self._clock()
        if h.blocked or now < h.open_until or not (first or at_once or h.openings):
            return  # a request that was under way when the breaker opened, or a post with trouble of its own
        streak = h.walls or h.openings
        h.wall_of = POSTS if streak and h.wall_of == POSTS else of
        h.walls += first
        if at_once or h.openings or h.walls >= WALLS:
            h.openings, h.wall, h.probe_at, h.walls = h.openings + 1, wall, None, 0
            h.open_until = now + min(LONGEST_S, PAUSE_INTERVALS * h.full_s * 2 ** (h.openings - 1))
            if h.openings >= OPENINGS:
                h.blocked = wall
        self._keep(host)

    # -- robots.txt
    def claim_robots(self, host: str, who: str) -> float:
        """0 for the worker who is to fetch the host's robots.txt now; the others look again after so many seconds."""
        h, now = self._host(host), self._clock()
        claimant, until = self._claims.get(host, (who, now))
        if claimant != who and now < until and not h.blocked:
            return CLAIM_LOOK_S
        self._claims[host] = (who, now + CLAIM_S)
        return 0.0

    # -- telling
    def state(self) -> dict[str, str]:
        """What there is to tell about each host; '' for a host that answers at the full rate."""
        now = self._clock()
        return {name: h.tell(now) for name, h in self._hosts.items()}

    def blocked(self) -> dict[str, str]:
        """Hosts that were given up, and the wall."""
        return {name: h.blocked for name, h in self._hosts.items() if h.blocked}


def _ready_at(h: Host, now: float) -> float:
    """When the next turn may be given, as far as is known."""
    ready = max(h.due, h.free_at)
    if h.out_at is not None and now < h.out_at + LOST_S:  # the request before has not been sent yet
        ready = max(ready, now + h.interval_s * JITTER[0])
    if h.openings and h.probe_at is not None and now < h.probe_at + PROBE_S:
        ready = max(ready, now + max(1.0, h.interval_s))
    return ready


def tell(pacer: Actor, host: str, failure: Failure, first: bool, at_once: bool = False, of: str = POSTS) -> None:
    """Tells the pacer what a request that failed says of the host, if anything; the words are those of Pacer.walled."""
    if failure.kind == "throttled" or failure.retry_after_s is not None:
        pacer.ask("throttled", host, failure.retry_after_s)
    if failure.wall:
        pacer.ask("walled", host, failure.kind, first, at_once, of)


def take_turn(pacer: Actor, host: str, stop: threading.Event) -> bool:
    """Waits until one request may go to the host; False if the work was stopped meanwhile. Blocked if the host is given up.

    The request is to be sent at once.
    """
    who = uuid.uuid4().hex
    while not stop.is_set():
        asked = time.monotonic()
        turn = pacer.ask("reserve", host, who)
        if turn.blocked:
            raise Blocked(f"{host} answers with a wall ({turn.blocked})")
        if turn.go and time.monotonic() - asked < LOST_S / 2:
            with contextlib.suppress(WorkerLost):  # a new pacer gives its first turn an interval after its start
                pacer.call("sent", host)
            return True
        stop.wait(turn.wait_s)
    return False
