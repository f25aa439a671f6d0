"""The rows that travel between the frontier, its workers and the driver."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

GOOD = ("end", "quota", "empty")  # outcomes after which a word is not searched again

HIGH_WATER = 5_000  # ours: with so many posts ready to be fetched, a search that costs requests waits
TRIES = 2  # ours: searches of one word in one crawl that end at a wall
AT_ONCE = ("captcha", "login_wall")  # walls that open the breaker at once

DONE, RULE, FAILURE, RETRY, LEFT, GIVEN_BACK = "done", "rule", "failure", "retry", "left", "given_back"


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """One search result as it enters the frontier.

    id: 'SITE:post_id'. platform: name of the module that fetches it. url: where it is, '' for the module's own post_url(post_id).
    reason is set where a rule of the recipe refuses it without a fetch, with value and detail for the Drop. record: the whole
    Post as a mapping, where the search has told everything and there are no media to fetch; the job is then done at once.
    """

    id: str
    platform: str
    post_id: str
    rank: int
    likes: int | None
    likes_exact: bool
    url: str = ""
    reason: str = ""
    value: float | None = None
    detail: str = ""
    record: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Job:
    """One lease: only the holder of the newest token may report. attempts: tries that failed before."""

    id: str
    platform: str
    post_id: str
    url: str
    token: int
    attempts: int


@dataclass(frozen=True, slots=True)
class Lease:
    """The answer to a worker who asks for work: jobs, or how long to wait, or that all is over."""

    jobs: tuple[Job, ...] = ()
    wait_s: float = 0.0
    over: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What became of one lease.

    outcome: done (record: the Post as a mapping; sha256 and num_bytes of its stored file), rule or failure (out for good, with
    reason, value and detail), retry (another try may go well after after_s), left (no try before the next crawl can go well),
    given_back (not tried at all).
    """

    job: Job
    outcome: Literal["done", "rule", "failure", "retry", "left", "given_back"]
    reason: str = ""
    value: float | None = None
    detail: str = ""
    after_s: float = 0.0
    record: Mapping[str, Any] | None = None
    sha256: str = ""
    num_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Query:
    """One lease of a search word. position: number of results read before; cursor: where the site said that it goes on."""

    word: str
    token: int
    attempts: int
    position: int
    cursor: str = ""


@dataclass(frozen=True, slots=True)
class Ended:
    """How a search word stands: state, and once it has ended the outcome and its explanation; found is the number of posts."""

    word: str
    state: str
    outcome: str
    detail: str
    found: int


@dataclass(frozen=True, slots=True)
class Stats:
    """Everything that the driver shows.

    tally: (state, stage, kind, reason, number of jobs). num_bytes: of all stored media, each file once. stopped: why no more work
    is given out: '', 'stopped', 'limit' or 'disk'. hits: matches by selector, over all pages looked at.
    """

    queries: tuple[Ended, ...]
    tally: tuple[tuple[str, str, str, str, int], ...]
    num_bytes: int = 0
    stopped: str = ""
    hits: Mapping[str, int] = field(default_factory=dict)

    def count(self, *states: str) -> int:
        return sum(n for state, _, _, _, n in self.tally if state in states)

    @property
    def searching(self) -> bool:
        return any(q.state != "ended" for q in self.queries)
