"""robots.txt (RFC 9309): fetched once a day and host through the pacer, parsed by Protego, obeyed for every page we ask for."""

from __future__ import annotations

import threading
import time
import urllib.error
import urllib.request
from urllib.parse import urlsplit

from protego import Protego

from crawl.access import Access
from crawl.pacer import take_turn
from svmbench import __version__
from svmbench.fleet import Actor

AGENT = "svmbench"
DAY_S = 86_400.0
BYTES_MAX = 500 * 1024  # RFC 9309, section 2.5: at least this much is to be read
TIMEOUT_S = 20.0  # ours


class Robots:
    """Answers for one worker; what was fetched is kept in the frontier for all of them."""

    def __init__(self, frontier: Actor, pacer: Actor, access: Access, obey: bool) -> None:
        self._frontier, self._pacer, self._access, self._obey = frontier, pacer, access, obey
        self._rules: dict[str, tuple[Protego, float]] = {}
        self._lock = threading.Lock()

    def allows(self, url: str) -> bool:
        """Whether robots.txt lets us ask for this page. Always True where the recipe says that it is ignored, and why."""
        return not self._obey or bool(self._of(urlsplit(url).hostname or "").can_fetch(url, AGENT))

    def _of(self, host: str) -> Protego:
        with self._lock:
            rules, until = self._rules.get(host, (None, 0.0))
            if rules is None or time.monotonic() > until:
                kept = self._frontier.ask("robots", host)
                if kept is None or kept[2] > DAY_S or kept[0] >= 500:
                    kept = (*self._fetch(host), 0.0)
                    self._frontier.ask("keep_robots", host, kept[0], kept[1])
                rules = rules_from(kept[0], kept[1])
                self._rules[host] = (rules, time.monotonic() + DAY_S - kept[2])
                if (interval_s := wanted_interval_s(rules)) > 0:
                    self._pacer.ask("slow_down", host, interval_s)
            return rules

    def _fetch(self, host: str) -> tuple[int, str]:
        """(status, text); an unreachable host counts as 503."""
        from crawl.means import opener

        take_turn(self._pacer, host, threading.Event())
        request = urllib.request.Request(f"https://{host}/robots.txt", headers={"User-Agent": f"{AGENT}/{__version__}"})
        try:
            with opener(self._access).open(request, timeout=TIMEOUT_S) as answer:
                return answer.status, answer.read(BYTES_MAX).decode("utf-8", "replace")
        except urllib.error.HTTPError as error:
            with error:
                return error.code, ""
        except OSError:
            return 503, ""


def unwelcome(tag: str) -> str:
    """The part of an X-Robots-Tag header that keeps a collector of data away, '' where none does."""
    return ""


def rules_from(status: int, text: str) -> Protego:
    """RFC 9309, section 2.3.1: 2xx as written, 4xx allows all, anything else (the server is in trouble) forbids all."""
    if 200 <= status < 300:
        return Protego.parse(text)
    return Protego.parse("" if 400 <= status < 500 else "User-agent: *\nDisallow: /")


def wanted_interval_s(rules: Protego) -> float:
    """The time between requests that the host asks for, 0 where it asks for none."""
    delay = rules.crawl_delay(AGENT) or 0.0
    rate = rules.request_rate(AGENT)
    return max(float(delay), rate.seconds / rate.requests if rate and rate.requests else 0.0)
