"""A worker that searches words without a browser: asks a platform's `pages` and streams what they hold into the frontier.

The cursor of the last answer is saved with its results, so that a search that was cut off goes on there.
"""

from __future__ import annotations

import threading
from dataclasses import asdict

from crawl.jobs import GOOD, Found, Query
from crawl.means import Means, Refused, Stopped
from crawl.pacer import PAUSE_INTERVALS
from crawl.platforms import Candidate, Page, refuse, refuse_unknown
from crawl.posts import post_of
from crawl.work import Work, module
from svmbench.errors import Blocked, SvmbenchError

FINAL = (*GOOD, "robots", "blocked")  # outcomes that a second try at once would not change
TRIES = 2  # ours: searches of one word in one crawl


class Lister:
    """Pulls words from the frontier until there are none."""

    def __init__(self, work: Work) -> None:
        self._recipe, self._frontier, self._pacer, self._platform = work.recipe, work.frontier, work.pacer, work.platform
        self._stop = threading.Event()
        self._means = Means(work, self._stop)

    def close(self) -> None:
        """Makes work() return soon."""
        self._stop.set()

    def work(self) -> None:
        """Searches until no word is left."""
        query, over = self._frontier.ask("next_query")
        while not self._stop.is_set() and not (over and query is None):
            if query is None:
                self._stop.wait(0.2)
            else:
                self._search_and_note(query)
            query, over = self._frontier.ask("next_query")

    def _search_and_note(self, query: Query) -> None:
        """Searches one word and writes down how it ended."""
        again_s: float | None = None
        try:
            outcome, detail = self._search(query)
        except Stopped:
            return
        except Refused as refusal:
            outcome, detail = "robots", refusal.detail
        except Blocked as wall:
            outcome, detail = "blocked", str(wall)
        except SvmbenchError:
            raise
        except Exception as error:
            failure = self._platform.classify(error)
            outcome, detail, again_s = failure.kind, failure.detail, failure.retry_after_s
        again = outcome not in FINAL and query.attempts + 1 < TRIES
        pause_s = max(again_s or 0.0, PAUSE_INTERVALS / self._recipe.pace.pages_per_s)
        self._frontier.ask("end_query", query, outcome, detail, pause_s if again else None)

    def _search(self, query: Query) -> tuple[str, str]:
        """(outcome, detail) of one search."""
        rank, quota = query.position, self._recipe.search.posts_per_word
        for page in self._platform.pages(self._means, query.word, query.cursor):
            found = self._found(page, rank, quota)
            rank += len(found)
            if not self._frontier.ask("add", query, found, rank, page.cursor):
                raise Stopped
            if page.wall:
                return page.wall, f"after {rank} posts"
            if rank >= quota:
                return "quota", ""
            if not page.more:
                return ("end", "") if rank else ("empty", "")
        return ("stalled", f"after {rank} posts, without an end") if rank else ("empty", "")

    def _found(self, page: Page, rank: int, quota: int) -> list[Found]:
        taken = page.candidates[: max(0, quota - rank)]
        return [self._one(candidate, rank + place) for place, candidate in enumerate(taken)]

    def _one(self, candidate: Candidate, rank: int) -> Found:
        platform = module(candidate.platform) if candidate.platform else self._platform
        reason, value = (refuse_unknown if candidate.details else refuse)(candidate, self._recipe.search)
        record = None
        if candidate.details and not reason:
            url = candidate.url or platform.post_url(candidate.post_id)
            record = asdict(post_of(candidate.details, site=platform.SITE, url=url, secret=self._means.secret, sha256=None))
        return Found(
            id=f"{platform.SITE}:{candidate.post_id}", platform=candidate.platform or self._recipe.search.platform,
            post_id=candidate.post_id, url=candidate.url, rank=rank, likes=candidate.likes, likes_exact=candidate.likes_exact,
            reason=reason, value=value, record=record,
        )  # fmt: skip
