"""The rows that travel between the frontier, its workers and the driver."""

from __future__ import annotations

from dataclasses import dataclass

GOOD = ("end", "quota", "empty")  # outcomes after which a word is not searched again


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """One search result as it enters the frontier. reason is set where a rule of the recipe refuses it without a fetch."""

    id: str
    post_id: str
    rank: int
    likes: int | None
    likes_exact: bool
    reason: str = ""
    value: float | None = None


@dataclass(frozen=True, slots=True)
class Job:
    """One lease: only the holder of the newest token may report."""

    id: str
    post_id: str
    token: int
    attempts: int


@dataclass(frozen=True, slots=True)
class Lease:
    """The answer to a worker who asks for work: a job, or how long to wait, or that all is over."""

    job: Job | None
    wait_s: float = 0.0
    over: bool = False


@dataclass(frozen=True, slots=True)
class Query:
    """One lease of a search word; position is the number of results read before."""

    word: str
    token: int
    attempts: int
    position: int


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
    """Everything that the driver shows. tally: (state, stage, kind, reason, number of jobs)."""

    queries: tuple[Ended, ...]
    tally: tuple[tuple[str, str, str, str, int], ...]

    def count(self, *states: str) -> int:
        return sum(n for state, _, _, _, n in self.tally if state in states)

    @property
    def searching(self) -> bool:
        return any(q.state != "ended" for q in self.queries)
