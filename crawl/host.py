"""What the pacer knows of one host: how fast it may be asked, and until when not at all. It outlives the process as JSON.

While it is used, times are monotonic seconds. A stored pause is its end on the wall clock and its length, so that a clock that
was set back cannot make it longer than it was.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

from crawl.wording import span

POSTS, SEARCH, ROBOTS = "posts", "search", "robots.txt"  # what of a host meets its walls
OPENINGS = 4  # ours: after this many openings without an answer in between the host is given up
SHARE_MIN = 1 / 64  # ours: six throttles in a row; the breaker ends what goes on longer
STEP = 0.1  # of the full rate: what a quiet while gives back
QUIET_INTERVALS = 300  # a quiet while, in request intervals of the recipe: 5 minutes at one a second


@dataclass(slots=True, kw_only=True)
class Host:
    """recipe_s, robots_s: seconds between requests that the recipe and robots.txt ask for. share: of that rate, after throttles.

    sent_at: of the last request; later than that where redirections are owed for. jitter: by this share of the interval the next
    turn comes later. out_at: a turn was given then, and its request has not been said to be sent. cut: no turn since the rate was
    halved. quiet_since: no throttle since. walls: in a row. openings: of the breaker, since the last answer. probe_at: a probe is
    out. wall: why the breaker is open. wall_of: what met the walls of this streak, POSTS as soon as one of them was a post's.
    blocked: why the host is given up.
    """

    recipe_s: float
    sent_at: float
    robots_s: float = 0.0
    share: float = 1.0
    jitter: float = 0.0
    out_at: float | None = None
    cut: bool = False
    quiet_since: float = 0.0
    hold_until: float = 0.0
    walls: int = 0
    openings: int = 0
    open_until: float = 0.0
    probe_at: float | None = None
    wall: str = ""
    wall_of: str = POSTS
    blocked: str = ""

    @property
    def full_s(self) -> float:
        """Seconds between requests at the full rate."""
        return max(self.recipe_s, self.robots_s)

    @property
    def interval_s(self) -> float:
        return self.full_s / self.share

    @property
    def due(self) -> float:
        """The time from which the next request may be sent, by the rate alone."""
        return self.sent_at + self.interval_s * (1 + self.jitter)

    @property
    def free_at(self) -> float:
        """The end of the pauses."""
        return max(self.hold_until, self.open_until)

    def recover(self, now: float) -> bool:
        """Gives back a step of the rate for each quiet while; whether it did. A pause is not counted as quiet."""
        if self.share >= 1:
            return False
        while_s = QUIET_INTERVALS * self.recipe_s
        since = max(self.quiet_since, self.free_at)
        steps = int((now - since) // while_s)
        if steps < 1:
            return False
        self.share, self.quiet_since = min(1.0, self.share + STEP * steps), since + while_s * steps
        return True

    def tell(self, now: float) -> str:
        """What a person should know, '' where there is nothing."""
        if self.blocked:
            return f"given up ({self.blocked})"
        said = []
        if self.openings:
            left = self.open_until - now
            said.append((f"paused for {span(left)}" if left > 0 else "trying again") + f" because of {self.wall}")
        if self.hold_until > max(now, self.open_until if self.openings else 0.0):
            said.append(f"waits {span(self.hold_until - now)}, as the host asked")
        if self.share < 1:
            said.append(f"{1 / self.interval_s:.2g} requests/s since it asked for less")
        elif self.robots_s > self.recipe_s:
            said.append(f"{1 / self.interval_s:.2g} requests/s, as robots.txt asks")
        return ", ".join(said)

    def stored(self, now: float, wall_now: float, run: str) -> str:
        """JSON of everything that must outlive the process. run: mark of the run that says so."""
        return json.dumps(
            {
                "robots_s": self.robots_s, "share": self.share, "quiet_s": now - max(self.quiet_since, self.free_at),
                "hold": _end(self.hold_until - now, wall_now), "open": _end(self.open_until - now, wall_now),
                "walls": self.walls, "openings": self.openings, "wall": self.wall, "wall_of": self.wall_of,
                "blocked": self.blocked, "at": wall_now, "run": run,
            }
        )  # fmt: skip

    def restore(self, text: str, now: float, wall_now: float, run: str) -> None:
        """Takes over what was stored. A host that another run gave up gets one more probe, once its pause is over."""
        kept = json.loads(text)
        self.robots_s, self.share, self.walls, self.openings = kept["robots_s"], kept["share"], kept["walls"], kept["openings"]
        self.wall, self.wall_of, self.blocked = kept["wall"], kept.get("wall_of", POSTS), kept["blocked"]
        self.quiet_since = now - kept["quiet_s"] - max(0.0, wall_now - kept["at"])
        self.hold_until, self.open_until = _until(kept["hold"], now, wall_now), _until(kept["open"], now, wall_now)
        if self.blocked and kept["run"] != run:
            self.blocked, self.openings = "", OPENINGS - 1


def _end(left_s: float, wall_now: float) -> tuple[float, float]:
    """(end on the wall clock, length) of a pause."""
    return wall_now + left_s, max(0.0, left_s)


def _until(pause: tuple[float, float], now: float, wall_now: float) -> float:
    """When a stored pause ends; 0 where it is over."""
    end, length_s = pause
    left_s = min(end - wall_now, length_s)
    return now + left_s if left_s > 0 else 0.0
