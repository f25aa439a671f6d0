"""What is known of one word's results page while it is scrolled: a record without a browser, that says when the search is over.

The likes of a post are those in the data that the page itself fetched; the rounded number on a card stands in only where such
data never came or lack it, and is marked as inexact.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import urlsplit

from crawl.browser import View
from crawl.jobs import Found
from crawl.platforms import Candidate, Page, refuse
from crawl.selectors import hit_key, rotten
from svmbench.optout import REASON, OptOut
from svmbench.recipe import Search

STALL_S = 8.0  # ours: a page that shows nothing new for so long, and asks for nothing, has stopped
SLOW_S = 30.0  # ours: so long an answer is waited for
GRACE_S = 3.0  # ours: so long a page may take to get over its own error or challenge
REFUSALS_MAX = 10  # ours: requests of one page refused in a row
IDLE_MAX = 3  # ours: answers in a row that hold nothing new
WALLS = ("captcha", "login_wall", "challenge", "soft_block")  # outcomes that the breaker is told of
SUMMED = ("card_link", "card_likes")  # groups whose hits are of new cards alone


@dataclass
class Results:
    """One page. position: results read in earlier searches of the word. found is in the order of the results."""

    platform: Any
    search: Search
    selectors: dict[str, Any]
    position: int
    optout: OptOut
    found: dict[str, Found] = field(default_factory=dict)
    num_read: int = 0  # of found, from data
    num_seen: int = 0  # posts of which anything is known
    num_cards: int = 0
    num_answers: int = 0
    idle: int = 0  # answers in a row that held nothing new
    refusals: int = 0  # in a row
    more: bool = True
    wall: str = ""
    trouble: str = ""
    page_status: int = 200
    hits: dict[str, int] = field(default_factory=dict)
    _cards: dict[str, str] = field(default_factory=dict)  # post id -> text of the like count
    _sent: int = 0

    @property
    def full(self) -> bool:
        """The quota is reached."""
        return max(len(self.found), self.position) >= self.search.posts_per_word

    def __post_init__(self) -> None:
        self.hits = {hit_key(self.selectors, "listing_paths", path): 0 for path in self.selectors["listing_paths"]}

    def read(self, url: str, page: Page) -> None:
        """Takes in one answer."""
        key = hit_key(self.selectors, "listing_paths", urlsplit(url).path)
        self.hits[key] = self.hits.get(key, 0) + 1
        self.num_answers, self.refusals = self.num_answers + 1, 0
        self.wall = self.wall or page.wall
        self.more = self.more and page.more
        for candidate in page.candidates:
            if candidate.likes is None:
                hint = self.platform.parse_count(self._cards.get(candidate.post_id, ""))
                candidate = replace(candidate, likes=hint, likes_exact=False)
            self._take(candidate)
        self.idle = 0 if len(self.found) > self.num_read else self.idle + 1
        self.num_read = len(self.found)

    def note(self, view: View) -> None:
        """Takes in what stands on the page."""
        self.num_cards += len(view.cards)
        for link, likes in view.cards:
            if (post_id := self.platform.canonical(link)) and post_id not in self._cards:
                self.num_seen += post_id not in self.found
                self._cards[post_id] = likes
        for selector, number in view.hits.items():
            old, group = self.hits.get(selector, 0), selector.split()[0].split("/")[-1]
            self.hits[selector] = old + number if group in SUMMED else max(old, number)
        self.wall = self.wall or (view.walls[0] if view.walls else "")
        path = urlsplit(view.url).path + "/"
        if any(path.startswith(f"{login}/") for login in self.selectors["login_paths"]):
            self.wall = "login_wall"
        self.trouble = view.troubles[0] if view.troubles else ""
        self.more = self.more and not view.end

    def take_cards(self) -> None:
        """Posts for which no data came, from their cards; the post's own page will decide."""
        for post_id, likes in self._cards.items():
            self._take(Candidate(post_id=post_id, likes=self.platform.parse_count(likes), likes_exact=False))

    def _take(self, candidate: Candidate) -> None:
        if candidate.post_id in self.found or len(self.found) >= self.search.posts_per_word:
            return
        self.num_seen += candidate.post_id not in self._cards
        post_key = f"{self.platform.SITE}:{candidate.post_id}"
        reason, value = (REASON, None) if self.optout.has(post_key) else refuse(candidate, self.search)
        self.found[candidate.post_id] = Found(
            id=post_key, platform=self.search.platform, post_id=candidate.post_id,
            rank=len(self.found), likes=candidate.likes, likes_exact=candidate.likes_exact, reason=reason, value=value,
        )  # fmt: skip

    def fresh(self) -> tuple[list[Found], int]:
        """(results beyond the position that were not given out yet, the position with them)."""
        start = max(self.position, self._sent)
        self._sent = max(self._sent, len(self.found))
        return list(self.found.values())[start:], max(self.position, self.num_read)

    def over(self, quiet_s: float, asking: bool) -> str:
        """The outcome if the search is over, else ''. quiet_s: since anything new; asking: an answer is under way."""
        if self.full:
            return "quota"
        if self.wall:
            return self.wall
        if outcome := self._refused():
            return outcome
        if not self.more:
            return "end" if max(self.num_seen, self.position) else "empty"
        if self.trouble and quiet_s > GRACE_S:
            return "throttled" if self.refusals else self.trouble
        if self.idle >= IDLE_MAX:
            return "stalled"
        if quiet_s < (SLOW_S if asking else STALL_S):
            return ""
        if self.refusals:
            return "throttled"  # and the page does not try again by itself
        seen = any(n for selector, n in self.hits.items() if selector.split()[0].split("/")[-1] in ("card", "list"))
        return "stalled" if self.num_answers or seen else "page_changed"

    def _refused(self) -> str:
        if self.page_status == 429 or self.page_status >= 500 or self.refusals > REFUSALS_MAX:
            return "throttled"
        if self.page_status in (401, 403):
            return "soft_block"
        return f"http_{self.page_status}" if self.page_status >= 400 else ""

    @property
    def judged(self) -> bool:
        """Whether the page had, or should have had, all parts of a page with results, so that hits tell of rot."""
        return bool(self.num_cards or self.found)

    def explain(self, outcome: str) -> str:
        """What a person needs to know about an outcome that is not a success."""
        if outcome in ("end", "empty"):
            return ""
        if outcome == "quota":
            return f"posts_per_word is {self.search.posts_per_word}" + (", and there is more" if self.more else "")
        if outcome == "page_changed":
            return "; ".join(rotten(self.platform.SELECTORS, self.hits))
        return f"after {len(self.found)} posts"
