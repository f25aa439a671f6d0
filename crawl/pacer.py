"""One budget a host for the whole cluster: spacing, Retry-After, a rate that halves when a host says that it is too much, and a
breaker that stops asking a host that puts up walls.

Spacing is the generic cell rate algorithm with a burst of one, measured when requests are sent: a turn is given when it is due or
a moment before, to be used when it is due, and the next one not before the asker has said that its request leaves. So however
late a thread is scheduled, two requests do not leave together. Who asks too early is told how long to sleep; those who wait form
a line, and each is told to come back at about its own time. Of the threads of one process one at a time asks, and says with the
same call that the request before it has left: a call to another process costs as much as a tenth of a fetch.

The breaker opens when several posts in a row meet a wall at their first try (a post that meets one again and again while others
pass has its own trouble), or at once on a captcha. After a pause one request goes out as a probe; what it meets decides.

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

from crawl.host import OPENINGS, SHARE_MIN, Host
from crawl.retry_after import LONGEST_S
from svmbench.errors import Blocked
from svmbench.fleet import Actor, WorkerLost

JITTER = (0.05, 0.25)  # ours: spacing is 1.05 to 1.25 intervals; the least of it is for what a request's way adds to it
WALLS = 5  # ours: this many walls in a row open the breaker
PAUSE_INTERVALS = 60  # ours: the first pause; 60 s at one page a second, 1.5 s at forty; doubled each time
PROBE_S = 60.0  # ours: a probe without an answer for so long is taken to be lost
LOST_S = 10.0  # ours: a turn that was not used for so long is taken to be lost
NAP_S = 3.0  # ours: nobody is told to sleep longer; meanwhile the host may have answered again, or have been given up
AHEAD_S = 0.03  # ours: a turn is given so long before it is due, if nobody else has one; it counts as a request that is under way
OUT_LOOK_S = 0.01  # ours: who waits for a request that has not left looks no more often than this
LATE_S = 2.0  # ours: who comes back later than this after its time has lost its place in the line
DOOR_LOOK_S = 0.1  # ours: a thread behind another looks this often whether it is to stop
CLAIM_S = 60.0  # ours: so long one worker may take to fetch a robots.txt before another tries
CLAIM_LOOK_S = 0.2  # ours: the others look this often whether it is there


@dataclass(frozen=True, slots=True)
class Turn:
    """go: send the request after wait_s, else ask again after wait_s. blocked: the wall because of which the host is given up."""

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
    def reserve(self, host: str, who: str, left_s: float | None = None) -> Turn:
        """The next turn for one request to the host, if it is due. who: the same at each try to get this turn.

        left_s: the request for which the last turn was given left so long ago, as `sent` says it.
        """
        if left_s is not None:
            self.sent(host, left_s)
        h, now = self._host(host), self._clock()
        if h.blocked:
            return Turn(False, 0.0, h.blocked)
        if h.recover(now):
            self._keep(host)
        at, out = _ready_at(h, now)
        line = {w: back for w, back in self._lines[host].items() if w == who or now < back + LATE_S}
        self._lines[host] = line
        place = list(line).index(who) if who in line else len(line)
        if at > now and (out or place or at > now + AHEAD_S):  # each behind who has waited longest sleeps an interval more
            wait_s = min(at - now + place * h.interval_s * (1 + sum(JITTER) / 2), NAP_S)
            line[who] = now + wait_s
            return Turn(False, wait_s)
        line.pop(who, None)
        h.sent_at, h.out_at, h.jitter, h.cut = at, at, self._draw(), False
        if h.openings:
            h.probe_at = at
        return Turn(True, at - now)

    def sent(self, host: str, ago_s: float = 0.0) -> None:
        """The request for which the last turn was given leaves now, or has left: the next one is due an interval later."""
        h = self._host(host)
        if h.out_at is not None:
            h.sent_at, h.out_at = h.sent_at + self._clock() - ago_s - h.out_at, None

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
    def passed(self, host: str, only: str = "") -> None:
        """The host gave a proper answer: the breaker closes, unless no probe was out. only: if it was opened by this wall."""
        h = self._host(host)
        under_way = h.openings and h.probe_at is None
        if under_way or (only and h.wall != only) or not (h.walls or h.openings):
            return
        h.walls, h.openings, h.open_until, h.probe_at, h.wall = 0, 0, 0.0, None, ""
        self._keep(host)

    def walled(self, host: str, wall: str, first: bool, at_once: bool = False) -> None:
        """The host put up a wall. first: at the first try of a post. at_once: open without waiting for more."""
        h, now = self._host(host), self._clock()
        if h.blocked or now < h.open_until or not (first or at_once or h.openings):
            return  # a request that was under way when the breaker opened, or a post with trouble of its own
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


def _ready_at(h: Host, now: float) -> tuple[float, bool]:
    """When the next turn may be used, as far as is known; and whether one that was given is still out."""
    ready, out = max(h.due, h.free_at, now), False
    if h.out_at is not None and now < h.out_at + LOST_S:
        ready, out = max(ready, now + max(OUT_LOOK_S, h.interval_s * JITTER[0])), True
    if h.openings and h.probe_at is not None and now < h.probe_at + PROBE_S:
        ready, out = max(ready, now + max(1.0, h.interval_s)), True
    return ready, out


class _Door:
    """Where the threads of this process wait that want to ask one host. The first of them deals with the pacer.

    left_at: when a request left of which the pacer has not been told yet.
    """

    def __init__(self) -> None:
        self.first, self.lock = threading.Lock(), threading.Lock()
        self.name, self.waiting = uuid.uuid4().hex, 0
        self.left_at: float | None = None


_DOORS: dict[tuple[str, str], _Door] = {}  # by pacer and host


def take_turn(pacer: Actor, host: str, stop: threading.Event) -> bool:
    """Waits until one request may go to the host; False if the work was stopped meanwhile. Blocked if the host is given up.

    The request is to be sent at once.
    """
    door = _DOORS.setdefault((pacer.name, host), _Door())
    with door.lock:
        door.waiting += 1
    try:
        while not door.first.acquire(timeout=DOOR_LOOK_S):
            if stop.is_set():
                return False
        try:
            return _first_turn(pacer, host, stop, door)
        finally:
            door.first.release()
    finally:
        with door.lock:
            door.waiting -= 1
            if not door.waiting and door.left_at is not None:  # else the next one tells it when it asks
                door.left_at = None
                with contextlib.suppress(WorkerLost):  # a new pacer gives its first turn an interval after its start
                    pacer.call("sent", host)


def _first_turn(pacer: Actor, host: str, stop: threading.Event, door: _Door) -> bool:
    """take_turn for the thread that deals with the pacer."""
    while not stop.is_set():
        asked = time.monotonic()
        with door.lock:
            left_at, door.left_at = door.left_at, None
        turn = pacer.ask("reserve", host, door.name, None if left_at is None else asked - left_at)
        if turn.blocked:
            raise Blocked(f"{host} answers with a wall ({turn.blocked})")
        stopped = stop.wait(turn.wait_s)
        if turn.go and time.monotonic() - asked < LOST_S / 2:
            door.left_at = time.monotonic()
            return not stopped
    return False
