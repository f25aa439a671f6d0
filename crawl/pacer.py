"""One budget a host for the whole cluster: spacing, Retry-After, and a breaker that stops asking a host that puts up walls.

Spacing is the generic cell rate algorithm with a burst of one: a host has one number, the time from which its next request is
due. The breaker opens when several posts in a row meet a wall at their first try (a post that meets one again and again while
others pass has its own trouble), or at once on a captcha. After a pause one request goes out as a probe; what it meets decides.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from svmbench.errors import Blocked
from svmbench.fleet import Actor

JITTER = 0.2  # ours: spacing is 1 to 1.2 intervals
HORIZON_S = (
    0.25  # ours: a turn further away than this (and than one interval) is not promised, so that a pause can still come between
)
WALLS = 5  # ours: this many walls in a row open the breaker
PAUSE_INTERVALS = 60  # ours: the first pause; 60 s at one page a second, 1.5 s at forty; doubled each time
OPENINGS = 4  # ours: after this many openings without an answer in between the host is given up
PROBE_S = 60.0  # ours: a probe without an answer for so long is taken to be lost


@dataclass(frozen=True, slots=True)
class Turn:
    """go: send the request after wait_s, else ask again after it. blocked: the wall because of which the host is given up."""

    go: bool
    wait_s: float
    blocked: str = ""


@dataclass(slots=True)
class _Host:
    interval_s: float
    due: float = 0.0
    hold_until: float = 0.0
    walls: int = 0
    openings: int = 0
    open_until: float = 0.0
    probe_at: float | None = None
    wall: str = ""
    blocked: str = ""


class Pacer:
    """Hands out turns. per_s: requests a second to one host. clock: monotonic seconds."""

    def __init__(self, per_s: float, seed: int | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self._per_s, self._clock, self._random = per_s, clock, random.Random(seed)
        self._hosts: dict[str, _Host] = {}

    def _host(self, host: str) -> _Host:
        return self._hosts.setdefault(host, _Host(interval_s=1 / self._per_s))

    def slow_down(self, host: str, interval_s: float) -> None:
        """The host wants at least this much time between requests (robots.txt); a faster recipe gives way."""
        h = self._host(host)
        h.interval_s = max(h.interval_s, interval_s)

    def reserve(self, host: str) -> Turn:
        """The next turn for one request to the host."""
        h, now = self._host(host), self._clock()
        if h.blocked:
            return Turn(False, 0.0, h.blocked)
        pause = max(h.hold_until, h.open_until) - now
        if pause > 0:
            return Turn(False, pause)
        if h.openings and h.probe_at is not None and now - h.probe_at < PROBE_S:
            return Turn(False, max(0.1, h.interval_s))
        wait = max(0.0, h.due - now)
        if wait > max(h.interval_s * (1 + JITTER), HORIZON_S):
            return Turn(False, wait - h.interval_s)
        if h.openings:
            h.probe_at = now
        h.due = max(h.due, now) + h.interval_s * (1 + JITTER * self._random.random())
        return Turn(True, wait)

    def charge(self, host: str) -> None:
        """A request was sent without a turn (a redirection): the next one is due an interval later."""
        h = self._host(host)
        h.due = max(h.due, self._clock()) + h.interval_s

    def penalise(self, host: str, seconds: float) -> None:
        """The host asked for a pause (Retry-After): no turn is due before it is over."""
        h = self._host(host)
        h.hold_until = max(h.hold_until, self._clock() + seconds)

    def passed(self, host: str) -> None:
        """The host gave a proper answer: the breaker closes."""
        h = self._host(host)
        h.walls, h.openings, h.open_until, h.probe_at, h.wall = 0, 0, 0.0, None, ""

    def walled(self, host: str, wall: str, first: bool, at_once: bool = False) -> None:
        """The host put up a wall. first: at the first try of a post. at_once: open without waiting for more."""
        h, now = self._host(host), self._clock()
        if h.blocked or now < h.open_until:
            return  # a request that was under way when the breaker opened
        h.walls += first
        if at_once or h.openings or h.walls >= WALLS:
            h.openings, h.wall, h.probe_at, h.walls = h.openings + 1, wall, None, 0
            h.open_until = now + PAUSE_INTERVALS * h.interval_s * 2 ** (h.openings - 1)
            if h.openings >= OPENINGS:
                h.blocked = wall

    def state(self) -> dict[str, str]:
        """What there is to tell about each host; '' for a host that answers."""
        now = self._clock()
        return {name: _tell(h, now) for name, h in self._hosts.items()}

    def blocked(self) -> dict[str, str]:
        """Hosts that were given up, and the wall."""
        return {name: h.blocked for name, h in self._hosts.items() if h.blocked}


def _tell(h: _Host, now: float) -> str:
    if h.blocked:
        return f"given up ({h.blocked})"
    if h.openings:
        return f"{h.wall}, next try in {max(0.0, h.open_until - now):.0f} s"
    if h.hold_until > now:
        return f"asked to wait {h.hold_until - now:.0f} s"
    return ""


def take_turn(pacer: Actor, host: str, stop: threading.Event) -> bool:
    """Waits until one request may go to the host; False if the work was stopped meanwhile. Blocked if the host is given up."""
    while not stop.is_set():
        turn = pacer.ask("reserve", host)
        if turn.blocked:
            raise Blocked(f"{host} answers with a wall ({turn.blocked})")
        if not stop.wait(turn.wait_s) and turn.go:
            return True
    return False
