"""A worker with one browser: searches words and streams what it finds into the frontier.

A search is over at the explicit end, at the quota or at a wall, and says which. Each listing that the page fetches costs one turn
of the pacer: the page is scrolled when the turn has come, and what it fetches by itself is charged afterwards.

Going on after a restart. A results page can only be read from its top: the address of its listing request holds an offset, but
the page's script signs it, and a forged signature is out of the question. So the position of a word (how many results were read)
is saved in one transaction with the results, and a search that is tried again scrolls from the top and passes over so many
results: they are neither sent nor counted again, and cost the turns of their listings. A word whose quota was read asks for
nothing. Where the site shows another order by then, a newcomer among the results passed over is missed, and a post that moved
down is known by its id. While a worker lives nothing starts anew: refusals and pauses are waited out on the open page.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from contextlib import ExitStack
from urllib.parse import urljoin

from selenium.common.exceptions import TimeoutException, WebDriverException
from urllib3.exceptions import HTTPError

from crawl.browser import Answer, Browser, browser
from crawl.host import SEARCH
from crawl.jobs import AT_ONCE, GOOD, HIGH_WATER, TRIES, Query
from crawl.means import Refused, Stopped
from crawl.pacer import PAUSE_INTERVALS, take_turn
from crawl.place import Place
from crawl.results import WALLS, Results
from crawl.robots import Robots, unwelcome
from crawl.selectors import of_page
from crawl.work import Work
from svmbench.errors import Blocked, MissingExtra

FINAL = (*GOOD, "robots", "x_robots_tag", "page_changed", "blocked")  # outcomes that a second try at once would not change
LOOK_S = 0.05  # ours: between two looks at the page
FREE_S = 0.2  # ours: between two looks for a free word
WORDS_A_BROWSER = 50  # ours: then it is recycled
MEMORY_MAX_BYTES = 800e6  # ours: a browser that holds more after a word is recycled
ROOM_S = 1.0  # ours: between two looks at how many posts wait to be fetched
BROKEN = ("browser_lost", "timeout")  # outcomes after which the browser is replaced and the word tried again at once
TROUBLE = (WebDriverException, HTTPError, ConnectionError)  # what Selenium raises, also where its driver has gone


class Searcher:
    """Pulls words from the frontier until there are none."""

    def __init__(self, work: Work) -> None:
        self._recipe, self._access, self._mark, self._optout = work.recipe, work.access, work.mark, work.optout
        self._frontier, self._pacer, self._platform = work.frontier, work.pacer, work.platform
        self._host = self._platform.HOSTS[0]
        self._stop = threading.Event()
        self._obey = work.obey_robots
        self._robots = Robots(work.frontier, work.pacer, work.access, obey=self._obey, stop=self._stop)
        self._life = ExitStack()  # of the browser
        self._browser: Browser | None = None
        self._num_lives = self._num_words = 0
        self._looked_at = 0.0  # when it was asked last how many posts wait

    def close(self) -> None:
        """Makes work() return soon."""
        self._stop.set()

    def work(self) -> None:
        """Searches until no word is left; no browser is kept open while there is none to be had."""
        with self._life:
            while not self._stop.is_set():
                query, over = self._frontier.ask("next_query")
                if query is not None:
                    self._search_and_note(query)
                    continue
                self._retire()
                if over:
                    return
                self._stop.wait(FREE_S)

    def _running(self) -> Browser:
        """The browser, a new one if need be."""
        if self._browser is None:
            self._browser = self._life.enter_context(browser(self._access, self._mark))
            self._num_lives += 1
        return self._browser

    def _retire(self) -> None:
        self._browser, self._num_words = None, 0
        self._life.close()

    def _search_and_note(self, query: Query) -> None:
        """Searches one word and writes down how it ended; a search that was stopped is left as it stands."""
        url = self._platform.search_url(query.word)
        selectors = of_page(self._platform.SELECTORS, url)
        page = Results(self._platform, self._recipe.search, selectors, query.position, self._optout)
        try:
            with Place(self._frontier, query, self._stop) as place:
                outcome, detail = self._try(place, url, page)
        except Stopped:
            return
        if page.judged or outcome in ("page_changed", "stalled"):
            self._frontier.ask("note_hits", self._platform.SELECTORS["version"], page.hits)
        if outcome in WALLS:
            self._pacer.ask("walled", self._host, outcome, query.attempts == 0, outcome in AT_ONCE, SEARCH)
        tries = self._recipe.pace.attempts if outcome == "throttled" else TRIES
        again_s: float | None = None
        if outcome not in FINAL and query.attempts + 1 < tries:
            again_s = 0.0 if outcome in BROKEN else PAUSE_INTERVALS / self._recipe.pace.pages_per_s
        self._frontier.ask("end_query", query, outcome, detail, again_s)
        self._num_words += 1
        if outcome in BROKEN or self._num_words >= WORDS_A_BROWSER or self._is_large():
            self._retire()

    def _is_large(self) -> bool:
        return self._browser is not None and self._browser.memory_bytes() > MEMORY_MAX_BYTES

    def _try(self, place: Place, url: str, page: Results) -> tuple[str, str]:
        """(outcome, detail) of one search, whatever goes wrong."""
        try:
            return self._search(place, url, page)
        except Refused as refusal:
            return refusal.rule, refusal.detail
        except Blocked as wall:
            return "blocked", str(wall)
        except TimeoutException:
            return "timeout", "the page did not load"
        except TROUBLE as error:
            return _broken(error)
        except MissingExtra as error:
            if not self._num_lives:
                raise
            return "browser_lost", str(error)  # one that started before and now does not

    def _search(self, place: Place, url: str, page: Results) -> tuple[str, str]:
        if page.full:
            return "quota", page.explain("quota")
        self._complain_if_forbidden(url, page)
        self._complain_if_blocked((self._host,))
        running = self._running()
        self._turn(place)
        running.open(url)
        self._pacer.ask("charge", self._host)  # the page fetches its first results by itself
        quiet_since = time.monotonic()
        while True:
            num_seen = page.num_seen
            answers = self._answers(running, url)
            page.note(running.look(page.selectors, page.num_cards))
            pause_s = self._read(page, answers)
            self._send(place, page)
            if pause_s or page.num_seen > num_seen:
                quiet_since = time.monotonic() + pause_s
            fetched = sum(self._platform.is_listing(answer.url) for answer in answers)
            for _ in range(fetched - 1):  # one had its turn
                self._pacer.ask("charge", self._host)
            quiet_s = time.monotonic() - quiet_since
            if outcome := page.over(quiet_s, running.asking):
                self._read(page, self._answers(running, url))  # what the page had fetched before it ended
                return self._conclude(place, page, page.over(quiet_s, running.asking) or outcome)
            if fetched:
                waiting_since = time.monotonic()
                self._turn(place)
                now = time.monotonic()
                quiet_since = max(quiet_since, min(now, quiet_since + now - waiting_since))  # waiting for a turn is no quiet
            place.wait(LOOK_S)

    def _conclude(self, place: Place, page: Results, outcome: str) -> tuple[str, str]:
        if outcome not in WALLS:
            page.take_cards()
        self._send(place, page)
        return outcome, page.explain(outcome)

    def _answers(self, running: Browser, url: str) -> list[Answer]:
        return running.answers(lambda asked: asked == url or self._platform.is_listing(asked))

    def _complain_if_forbidden(self, url: str, page: Results) -> None:
        """Raises if robots.txt keeps crawlers from the page, or from every address at which such a page fetches its results."""
        if not self._robots.allows(url):
            raise Refused("robots", f"robots.txt of {self._host} forbids {url}")
        listings = [urljoin(url, path) for path in page.selectors["listing_paths"]]
        if listings and not any(map(self._robots.allows, listings)):
            raise Refused("robots", f"robots.txt of {self._host} forbids {listings[0]}, where the page fetches its results")

    def _complain_if_blocked(self, hosts: Sequence[str] = ()) -> None:
        """Raises if one of these hosts was given up; without any named, if any was."""
        for host, wall in self._pacer.ask("blocked").items():
            if not hosts or host in hosts:
                raise Blocked(f"{host} answers with a wall ({wall})")

    def _turn(self, place: Place) -> None:
        """Returns when the page may be asked for more: when fewer posts wait to be fetched, and the pacer says so."""
        if time.monotonic() - self._looked_at > ROOM_S:
            while (stats := self._frontier.ask("stats")).count("ready") > HIGH_WATER and not stats.stopped:
                self._complain_if_blocked()  # a host of the media, too: then nobody makes room
                place.wait(ROOM_S)
            self._looked_at = time.monotonic()
        if not take_turn(self._pacer, self._host, self._stop):
            raise Stopped

    def _read(self, page: Results, answers: list[Answer]) -> float:
        """Takes in what the page fetched; returns how long the server asked to wait."""
        pause_s = 0.0
        for answer in answers:
            if self._obey and (tag := unwelcome(answer.robots_tag)):
                raise Refused("x_robots_tag", f"{answer.url} says X-Robots-Tag: {tag}")
            listing = self._platform.is_listing(answer.url)
            if listing and not self._robots.allows(answer.url):
                raise Refused("robots", f"robots.txt of {self._host} forbids {answer.url}, which the page fetched")
            if answer.status == 429 or answer.status >= 500:
                self._pacer.ask("throttled", self._host, answer.after_s)
                pause_s = answer.after_s or PAUSE_INTERVALS / self._recipe.pace.pages_per_s
                page.refusals += listing
            if not listing:
                page.page_status = answer.status
            elif answer.status < 500 and answer.status != 429 and answer.body is not None:
                parsed = self._platform.parse(answer.url, answer.body)
                page.read(answer.url, parsed)
                if not parsed.wall:
                    self._pacer.ask("passed", self._host, SEARCH)
        return pause_s

    def _send(self, place: Place, page: Results) -> None:
        """Streams what is new into the frontier, with the position."""
        found, position = page.fresh()
        if found:
            place.save(found, position, place.cursor)


def _broken(error: Exception) -> tuple[str, str]:
    message = " ".join(str(getattr(error, "msg", None) or error).split())[:160]
    return ("network" if "net::ERR" in message else "browser_lost"), message
