"""What a host says about crawlers, and that we do as it says: robots.txt (RFC 9309) and the header X-Robots-Tag.

robots.txt is fetched once a day and host for the whole cluster, in turn like everything else, parsed by Protego, and obeyed for
every page that we ask for. While it cannot be had the host is not asked for anything else: that is a wall like others, with its
pauses, and in the end the host is given up and its posts are left for another day.
"""

from __future__ import annotations

import http.client
import re
import threading
import time
import urllib.error
import urllib.request
import uuid
from dataclasses import dataclass
from urllib.parse import urljoin, urlsplit

from protego import Protego

from crawl.access import Access
from crawl.host import ROBOTS
from crawl.pacer import take_turn
from crawl.retry_after import retry_after_s
from svmbench import __version__
from svmbench.fleet import Actor

AGENT = "svmbench"
DAY_S = 86_400.0  # RFC 9309, section 2.4: not to be kept longer, but where the host cannot be reached
BYTES_MAX = 500 * 1024  # RFC 9309, section 2.5: at least this much is to be read
HOPS_MAX = 5  # RFC 9309, section 2.3.1.2: redirections to follow
TIMEOUT_S = 20.0  # ours
WALL = "robots.txt cannot be had"
UNWELCOME = frozenset({"noindex", "none", "noai", "noimageai", "noml"})  # directives that keep a collector of data away
_AGENT_NAME = re.compile(r"\*|[\w.-]+")
_WITH_VALUE = frozenset({"unavailable_after", "max-snippet", "max-image-preview", "max-video-preview"})


@dataclass(frozen=True, slots=True)
class _Got:
    """One answer; status 0: none came. after_s: Retry-After. location: of a redirection."""

    status: int
    text: str = ""
    after_s: float | None = None
    location: str = ""


class Robots:
    """Answers for one worker; what was fetched is kept in the frontier for all of them. Thread-safe."""

    def __init__(self, frontier: Actor, pacer: Actor, access: Access, obey: bool, stop: threading.Event | None = None) -> None:
        self._frontier, self._pacer, self._access, self._obey = frontier, pacer, access, obey
        self._stop, self._me = stop or threading.Event(), uuid.uuid4().hex
        self._rules: dict[str, tuple[Protego, float]] = {}
        self._locks: dict[str, threading.Lock] = {}

    def allows(self, url: str) -> bool:
        """Whether robots.txt lets us ask for this page. Always True where the recipe says that it is ignored, and why.

        Blocked where the host is given up. When the work is stopped before it is known: True, as nobody gets a turn any more.
        """
        if not self._obey:
            return True
        rules = self._of(urlsplit(url).hostname or "")
        return rules is None or bool(rules.can_fetch(url, AGENT))

    def _of(self, host: str) -> Protego | None:
        """The rules of a host, None when the work is stopped. The threads of a worker wait here for the one that fetches them."""
        with self._locks.setdefault(host, threading.Lock()):
            rules, until = self._rules.get(host, (None, 0.0))
            while (rules is None or time.monotonic() > until) and not self._stop.is_set():
                kept = self._frontier.ask("robots", host)
                if not _fresh(kept):
                    self._refresh(host, kept)
                    continue
                rules, until = rules_from(kept[0], kept[1]), time.monotonic() + DAY_S - abs(kept[2])
                self._rules[host] = (rules, until)
                self._pacer.ask("slow_down", host, wanted_interval_s(rules))
            return rules

    def _refresh(self, host: str, old: tuple[int, str, float] | None) -> None:
        """One try to get the host's robots.txt into the frontier, unless another worker is about to."""
        if wait_s := self._pacer.ask("claim_robots", host, self._me):
            self._stop.wait(wait_s)
            return
        got = self._fetch(host)
        if got is None:
            return
        if usable(got.status):
            self._frontier.ask("keep_robots", host, got.status, got.text)
            self._pacer.ask("passed", host, ROBOTS)
        elif old:  # RFC 9309, section 2.4: an older one may serve while the host cannot be reached; ours: for another day
            self._frontier.ask("keep_robots", host, old[0], old[1])
        else:
            self._pacer.ask("walled", host, WALL, True, True, ROBOTS)

    def _fetch(self, host: str) -> _Got | None:
        """What became of it, after redirections; None if it is not needed any more."""
        url = f"https://{host}/robots.txt"
        for _ in range(1 + HOPS_MAX):
            asked = urlsplit(url).hostname or ""
            if not take_turn(self._pacer, asked, self._stop):
                return None
            if _fresh(self._frontier.ask("robots", host)):
                return None  # somebody else's, fetched while we waited
            got = self._get(url)
            if got.status in (429, 503):
                self._pacer.ask("throttled", asked, got.after_s)
            if not (300 <= got.status < 400 and got.location.startswith(("https://", "http://"))):
                return got
            url = got.location
        return _Got(404)  # RFC 9309, section 2.3.1.2: more redirections than this are as if there were none

    def _get(self, url: str) -> _Got:
        from crawl.means import opener

        request = urllib.request.Request(url, headers={"User-Agent": f"{AGENT}/{__version__}"})
        try:
            with opener(self._access).open(request, timeout=TIMEOUT_S) as answer:
                return _Got(answer.status, text_of(answer.read(BYTES_MAX)))
        except urllib.error.HTTPError as error:
            with error:
                location = urljoin(url, error.headers.get("Location") or "")
                return _Got(error.code, "", retry_after_s(error.headers.get("Retry-After"), time.time()), location)
        except (OSError, http.client.HTTPException):
            return _Got(0)


def text_of(body: bytes) -> str:
    """The text of a robots.txt; of one that is longer than we read, without the line that was cut."""
    text = body.decode("utf-8-sig", "replace")
    return text.rpartition("\n")[0] if len(body) >= BYTES_MAX else text


def usable(status: int) -> bool:
    """RFC 9309, section 2.3.1: 2xx and 4xx say what is allowed. A 429 is a 4xx too, but says only: not now."""
    return 200 <= status < 300 or (400 <= status < 500 and status != 429)


def _fresh(kept: tuple[int, str, float] | None) -> bool:
    """Whether what the frontier keeps may still be used; an age below zero is that of a clock that was set back."""
    return kept is not None and usable(kept[0]) and abs(kept[2]) <= DAY_S


def rules_from(status: int, text: str) -> Protego:
    """2xx as written, another usable status allows all, and what is not usable forbids all."""
    if not usable(status):
        return Protego.parse("User-agent: *\nDisallow: /")
    return Protego.parse(text if status < 300 else "")


def wanted_interval_s(rules: Protego) -> float:
    """The time between requests that the host asks for, 0 where it asks for none."""
    delay = rules.crawl_delay(AGENT) or 0.0
    rate = rules.request_rate(AGENT)
    wanted = max(float(delay), rate.seconds / rate.requests if rate and rate.requests else 0.0)
    return wanted if wanted > 0 else 0.0


def unwelcome(tag: str) -> str:
    """The directive of an X-Robots-Tag header that keeps a collector of data away, '' where none does.

    tag: one header, or several joined by commas. A name before a colon ('otherbot: noindex, nofollow') makes the directives
    after it, up to the next name, a matter of that crawler alone.
    """
    ours = True
    for part in tag.lower().split(","):
        name, colon, rest = (piece.strip() for piece in part.partition(":"))
        if colon and name in _WITH_VALUE:
            continue
        if colon and _AGENT_NAME.fullmatch(name):
            ours, name = name in (AGENT, "*"), rest
        if ours and name in UNWELCOME:
            return name
    return ""
