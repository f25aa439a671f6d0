"""A worker with one browser: searches words and streams what it finds into the frontier.

The number of likes is read from the data that the page itself fetched; the rounded number on a card stands in only where such
data never came, and is marked as inexact. A search is over at the explicit end, at the quota or at a wall, and says which.
"""

from __future__ import annotations

import contextlib
import threading
import time
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from selenium.common.exceptions import TimeoutException, WebDriverException

from crawl.browser import Answer, Browser, View, browser
from crawl.frontier import LEASE_S
from crawl.jobs import GOOD, Found, Query
from crawl.pacer import PAUSE_INTERVALS, take_turn
from crawl.platforms import Candidate, refuse
from crawl.robots import Robots
from crawl.work import Work
from svmbench.errors import Blocked

FINAL = (*GOOD, "robots", "page_changed", "blocked")  # outcomes that a second try at once would not change
TRIES = 2  # ours: searches of one word in one crawl
STALL_S = 8.0  # ours: a page that shows nothing new for so long has stopped
LOOK_S = 0.05  # ours: between two looks at the page
WORDS_A_BROWSER = 50  # ours: then it is recycled


@dataclass
class _State:
    """What is known while one word is searched."""

    found: dict[str, Found] = field(default_factory=dict)
    cards: dict[str, str] = field(default_factory=dict)  # post id -> text of the like count
    num_cards: int = 0
    num_answers: int = 0
    more: bool = True
    wall: str = ""
    refused: bool = False  # the search page itself was refused: too many requests
    hits: dict[str, int] = field(default_factory=dict)


class Searcher:
    """Pulls words from the frontier until there are none."""

    def __init__(self, work: Work) -> None:
        self._recipe, self._access, self._mark = work.recipe, work.access, work.mark
        self._frontier, self._pacer, self._platform = work.frontier, work.pacer, work.platform
        self._host = self._platform.HOSTS[0]
        self._robots = Robots(work.frontier, work.pacer, work.access, obey=work.obey_robots)
        self._stop = threading.Event()

    def close(self) -> None:
        """Makes work() return soon."""
        self._stop.set()

    def work(self) -> None:
        """Searches until no word is left; a browser that crashes or has grown old is replaced."""
        query, over = self._frontier.ask("next_query")
        while not self._stop.is_set() and not (over and query is None):
            if query is None:
                self._stop.wait(0.2)
                query, over = self._frontier.ask("next_query")
                continue
            with browser(self._access, self._mark) as running:
                for _ in range(WORDS_A_BROWSER):
                    outcome = self._search_and_note(running, query)
                    query, over = self._frontier.ask("next_query")
                    if query is None or outcome == "browser_lost":
                        break

    def _search_and_note(self, running: Browser, query: Query) -> str:
        """Searches one word and writes down how it ended."""
        state = _State()
        try:
            outcome, detail = self._search(running, query, state)
        except Blocked as wall:
            outcome, detail = "blocked", str(wall)
        except TimeoutException:
            outcome, detail = "timeout", "the page did not load"
        except WebDriverException as error:
            outcome, detail = _broken(error)
        if outcome in ("end", "quota") and not state.found:
            outcome = "empty"
        tries = self._recipe.pace.attempts if outcome == "throttled" else TRIES
        again = outcome not in FINAL and query.attempts + 1 < tries
        pause_s = PAUSE_INTERVALS / self._recipe.pace.pages_per_s
        if outcome != "stopped":
            self._frontier.ask("end_query", query, outcome, detail, pause_s if again else None)
        return outcome

    def _search(self, running: Browser, query: Query, state: _State) -> tuple[str, str]:
        """(outcome, detail) of one search."""
        url = self._platform.search_url(query.word)
        if not self._robots.allows(url):
            return "robots", f"robots.txt of {self._host} forbids {url}"
        if not take_turn(self._pacer, self._host, self._stop):
            return "stopped", ""
        running.open(url)
        quiet_since = renewed = time.monotonic()
        while not self._stop.is_set():
            found, cards, answers = len(state.found), state.num_cards, state.num_answers
            pause_s = self._read(state, running.answers(lambda asked: asked == url or self._platform.is_listing(asked)))
            if len(state.found) > found or time.monotonic() - renewed > LEASE_S / 3:
                renewed = time.monotonic()
                if not self._frontier.ask("add", query, list(state.found.values())[found:], len(state.found)):
                    return "stopped", ""
            if state.num_answers > answers and state.more and not self._full(state) and not state.wall:
                take_turn(self._pacer, self._host, self._stop)  # the page fetches the next results when it is scrolled
            self._note_view(state, running.look(self._platform.SELECTORS, state.num_cards))
            if len(state.found) > found or state.num_cards > cards or pause_s:
                quiet_since = time.monotonic() + pause_s
            if state.wall:  # what the page had fetched before it
                self._read(state, running.answers(self._platform.is_listing))
            outcome = self._over(state, time.monotonic() - quiet_since)
            if outcome:
                if not state.wall:
                    self._take_cards(state)
                self._frontier.ask("add", query, list(state.found.values())[found:], len(state.found))
                return outcome, _explain(outcome, state)
            self._stop.wait(LOOK_S)
        return "stopped", ""

    def _read(self, state: _State, answers: list[Answer]) -> float:
        """Takes in what the page fetched; returns how long the server asked to wait."""
        pause_s = 0.0
        for answer in answers:
            if answer.status in (429, 503):
                pause_s = answer.after_s or PAUSE_INTERVALS / self._recipe.pace.pages_per_s
                self._pacer.ask("penalise", self._host, pause_s)
                state.refused = not self._platform.is_listing(answer.url)
                continue
            if not self._platform.is_listing(answer.url):
                continue  # the search page itself
            page = self._platform.parse(answer.url, answer.body)
            state.num_answers += 1
            state.wall = state.wall or page.wall
            state.more = state.more and page.more
            for candidate in page.candidates:
                self._take(state, candidate)
            if not page.wall:
                self._pacer.ask("passed", self._host)
        return pause_s

    def _full(self, state: _State) -> bool:
        return len(state.found) >= self._recipe.search.posts_per_word

    def _take(self, state: _State, candidate: Candidate) -> None:
        if candidate.post_id in state.found or self._full(state):
            return
        reason, value = refuse(candidate, self._recipe.search)
        state.found[candidate.post_id] = Found(
            id=f"{self._platform.SITE}:{candidate.post_id}", platform=self._recipe.search.platform,
            post_id=candidate.post_id, rank=len(state.found),
            likes=candidate.likes, likes_exact=candidate.likes_exact, reason=reason, value=value,
        )  # fmt: skip

    def _note_view(self, state: _State, view: View) -> None:
        state.num_cards += len(view.cards)
        for link, likes in view.cards:
            if post_id := self._platform.canonical(link):
                state.cards.setdefault(post_id, likes)
        for selector, number in view.hits.items():
            state.hits[selector] = max(state.hits.get(selector, 0), number)
        state.wall = state.wall or (view.walls[0] if view.walls else "")
        if urlsplit(view.url).path in self._platform.SELECTORS["login_paths"]:
            state.wall = "login_wall"

    def _over(self, state: _State, quiet_s: float) -> str:
        """The outcome if the search is over, else ''."""
        if self._full(state):
            return "quota"
        if state.wall:
            self._pacer.ask("walled", self._host, state.wall, True, state.wall != "soft_block")
            return state.wall
        if state.refused:
            return "throttled"
        if not state.more:
            return "end"
        if quiet_s < STALL_S:
            return ""
        seen_list = any(n for selector, n in state.hits.items() if selector.split()[0] in ("card", "list"))
        return "stalled" if state.num_answers or seen_list else "page_changed"

    def _take_cards(self, state: _State) -> None:
        """Cards for which no data came, marked as inexact; the post's own page will decide."""
        for post_id, likes in state.cards.items():
            self._take(state, Candidate(post_id=post_id, likes=self._platform.parse_count(likes), likes_exact=False))


def _broken(error: WebDriverException) -> tuple[str, str]:
    message = " ".join(str(error.msg).split())[:160]
    return ("network" if "net::ERR" in message else "browser_lost"), message


def _explain(outcome: str, state: _State) -> str:
    """What a person needs to know about an outcome that is not a success."""
    with contextlib.suppress(KeyError):
        return {"end": "", "quota": ""}[outcome]
    if outcome == "page_changed":
        return "; ".join(f"selector {name!r}: {n} hits" for name, n in state.hits.items())
    return f"after {len(state.found)} posts"
