"""A worker that searches words without a browser: asks a platform's `pages` and streams what they hold into the frontier.

The cursor of the last answer is saved with its results, so that a search that was cut off goes on there. What fails and may go
well later is tried again from that place, so often without an answer in between as the recipe allows tries at a post.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator
from contextlib import closing
from dataclasses import asdict, dataclass
from typing import Any

from crawl.fetch import backoff_s
from crawl.host import SEARCH
from crawl.jobs import AT_ONCE, HIGH_WATER, TRIES, Found, Query
from crawl.means import Means, Refused, Stopped
from crawl.pacer import PAUSE_INTERVALS, tell
from crawl.place import Place
from crawl.platforms import Candidate, Page, refuse, refuse_unknown
from crawl.posts import post_of
from crawl.work import Work, module
from svmbench.errors import Blocked, DownloadFailed, Failure, SvmbenchError
from svmbench.fleet import WorkerLost
from svmbench.optout import REASON

LOOK_S = 0.2  # ours: between two looks for a free word
ROOM_S = 0.5  # ours: between two looks at how many posts wait to be fetched


@dataclass(frozen=True, slots=True)
class _Ending:
    """How a search ended. wall: at an obstacle that may be gone after a pause."""

    outcome: str
    detail: str = ""
    wall: bool = False


class Lister:
    """Pulls words from the frontier until there are none."""

    def __init__(self, work: Work) -> None:
        self._recipe, self._frontier, self._pacer, self._platform = work.recipe, work.frontier, work.pacer, work.platform
        self._optout = work.optout
        self._host = next(iter(self._platform.HOSTS), "")
        self._stop = threading.Event()
        self._means = Means(work, self._stop)
        self._given_up = ""  # why the host is not asked any more

    def close(self) -> None:
        """Makes work() return soon."""
        self._stop.set()

    def work(self) -> None:
        """Searches until no word is left. What only an answer shows to be the user's mistake (a wrong token) is raised."""
        query, over = self._frontier.ask("next_query")
        while not self._stop.is_set() and not (over and query is None):
            if query is None:
                self._stop.wait(LOOK_S)
            else:
                self._search_and_note(query)
            query, over = self._frontier.ask("next_query")

    def _search_and_note(self, query: Query) -> None:
        """Searches one word and writes down how it ended; a search that was stopped is left as it stands."""
        try:
            with Place(self._frontier, query, self._stop) as place:
                ending = _Ending("blocked", self._given_up) if self._given_up else self._search(query.word, place)
        except Stopped:
            return
        except Refused as refusal:
            ending = _Ending(refusal.rule, refusal.detail)
        except Blocked as wall:
            self._given_up = str(wall)
            ending = _Ending("blocked", self._given_up)
        again_s = PAUSE_INTERVALS / self._recipe.pace.pages_per_s if ending.wall and query.attempts + 1 < TRIES else None
        self._frontier.ask("end_query", query, ending.outcome, ending.detail, again_s)

    def _search(self, word: str, place: Place) -> _Ending:
        """The whole search of one word, with what had to be tried again."""
        fruitless = 0  # failures in a row
        while True:
            with closing(self._platform.pages(self._means, word, place.cursor)) as pages:
                while True:
                    self._await_room(place)
                    page, failure = self._next(pages)
                    if page is None:
                        break
                    if ending := self._take(place, page):
                        return ending
                    fruitless = 0
            if failure is None:
                return _Ending("stalled", f"after {place.position} posts, without an end") if place.position else _Ending("empty")
            if self._host:
                tell(self._pacer, self._host, failure, fruitless == 0, failure.kind in AT_ONCE, SEARCH)
            fruitless += 1
            if failure.permanent or fruitless >= self._recipe.pace.attempts:
                return _Ending(failure.kind, failure.detail)
            place.wait(backoff_s(fruitless - 1, self._recipe.pace.pages_per_s, failure.retry_after_s, random.random()))

    def _next(self, pages: Iterator[Page]) -> tuple[Page | None, Failure | None]:
        """The next answer, or why there is none: a failure, or neither where the platform has no more to say."""
        try:
            return next(pages, None), None
        except DownloadFailed as error:
            return None, error.failure
        except (Stopped, Refused, SvmbenchError, WorkerLost):
            raise
        except Exception as error:
            return None, self._platform.classify(error)

    def _take(self, place: Place, page: Page) -> _Ending | None:
        """Saves what an answer holds; how the search ended, if it did."""
        quota = self._recipe.search.posts_per_word
        taken = page.candidates[: max(0, quota - place.position)]
        found = [self._found(candidate, place.position + n) for n, candidate in enumerate(taken)]
        place.save(found, place.position + len(found), page.cursor)
        if page.wall:
            self._pacer.ask("walled", self._host, page.wall, True, page.wall in AT_ONCE, SEARCH)
            return _Ending(page.wall, f"after {place.position} posts", wall=True)
        if self._host:
            self._pacer.ask("passed", self._host, SEARCH)
        if place.position >= quota:
            more = page.more or len(taken) < len(page.candidates)
            return _Ending("quota", f"posts_per_word is {quota}, and there is more" if more else "")
        if not page.more:
            return _Ending("end" if place.position else "empty")
        return None

    def _found(self, candidate: Candidate, rank: int) -> Found:
        platform = module(candidate.platform) if candidate.platform else self._platform
        post_key, record = f"{platform.SITE}:{candidate.post_id}", None
        reason, value = candidate.refused, None
        if not reason:
            reason, value = (refuse_unknown if candidate.details else refuse)(candidate, self._recipe.search)
        if candidate.details and not reason:
            record = self._record(candidate, platform)
        if self._optout.has(post_key, record["author_hash"] if record else None):
            reason, value, record = REASON, None, None
        return Found(
            id=post_key, platform=candidate.platform or self._recipe.search.platform, post_id=candidate.post_id,
            url=candidate.url, rank=rank, likes=candidate.likes, likes_exact=candidate.likes_exact, reason=reason,
            value=value, detail=candidate.detail, record=record,
        )  # fmt: skip

    def _record(self, candidate: Candidate, platform: Any) -> dict[str, Any]:
        """The whole post, where the search told everything."""
        assert candidate.details
        url = candidate.url or platform.post_url(candidate.post_id)
        return asdict(post_of(candidate.details, site=platform.SITE, url=url, secret=self._means.secret, sha256=None))

    def _await_room(self, place: Place) -> None:
        """Back-pressure: a search that costs requests waits while enough posts are ready to be fetched."""
        while self._host:
            stats = self._frontier.ask("stats")
            if stats.stopped:
                raise Stopped
            if stats.count("ready") < HIGH_WATER:
                return
            for host, wall in self._pacer.ask("blocked").items():  # of the media, too: then nobody makes room
                raise Blocked(f"{host} answers with a wall ({wall})")
            place.wait(ROOM_S)
