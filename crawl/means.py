"""What a worker asks a platform with. Every request leaves through here, however it is made: robots.txt is read first, the
pacer gives the turn just before it is sent, and what the answer says about crawlers (X-Robots-Tag) is honoured. A redirection is
an answer: where it leads is another request.
"""

from __future__ import annotations

import ssl
import threading
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin, urlsplit

from crawl.access import Access
from crawl.pacer import take_turn
from crawl.platforms import nameless
from crawl.robots import AGENT, Robots, unwelcome
from crawl.work import Work
from svmbench import __version__

if TYPE_CHECKING:
    from crawl.downloader import Downloader

TIMEOUT_S = 20.0  # ours: without a byte
BYTES_MAX = 32 * 2**20  # ours: of one answer to a plain request
HOPS_MAX = 5  # ours: redirections one after the other


class Stopped(Exception):
    """The crawl is being stopped; the request was not sent."""


class Refused(Exception):
    """robots.txt or X-Robots-Tag keeps crawlers from this address. rule: 'robots' or 'x_robots_tag'."""

    def __init__(self, rule: str, detail: str) -> None:
        self.rule, self.detail = rule, detail
        super().__init__(detail)


@dataclass(frozen=True, slots=True)
class Heard:
    """The answer to a plain request, whatever its status."""

    status: int
    headers: dict[str, str]
    body: bytes


class Means:
    """Made by each worker for its own use; thread-safe. Raises Stopped, Refused, and Blocked where the host is given up."""

    def __init__(self, work: Work, stop: threading.Event) -> None:
        self.recipe, self.access, self.secret = work.recipe, work.access, work.secret
        self.pacer, self._obey, self._stop = work.pacer, work.obey_robots, stop
        self.robots = Robots(work.frontier, work.pacer, work.access, work.obey_robots, stop)
        self._way = opener(work.access)

    def turn(self, url: str, stop: threading.Event | None = None) -> None:
        """Returns when a request for this address may be sent. stop: ends the waiting, instead of the worker's own."""
        if not self.robots.allows(url):
            raise Refused("robots", f"robots.txt of {host_of(url)} forbids {nameless(url)}")
        if not take_turn(self.pacer, host_of(url), stop or self._stop):
            raise Stopped

    def answered(self, url: str, headers: Any) -> None:
        """To be told of each answer: it may keep crawlers away."""
        if self._obey and (tag := unwelcome(", ".join(headers.get_all("X-Robots-Tag") or ()))):
            raise Refused("x_robots_tag", f"{nameless(url)} says X-Robots-Tag: {tag}")

    def ask(self, request: urllib.request.Request) -> Heard:
        """Sends a plain request and returns the answer, errors of HTTP included. OSError where none came.

        A GET follows redirections; the answer to anything else is given back as it is.
        """
        request.add_header("User-Agent", f"{AGENT}/{__version__}")
        heard = self._once(request)
        for _ in range(HOPS_MAX):
            target = leads_to(request.full_url, heard.status, heard.headers)
            if request.get_method() != "GET" or not target:
                break
            kept = {k: v for k, v in request.header_items() if host_of(target) == request.host or k != "Authorization"}
            request = urllib.request.Request(target, headers={k: v for k, v in kept.items() if k != "Host"})
            heard = self._once(request)
        return heard

    def _once(self, request: urllib.request.Request) -> Heard:
        self.turn(request.full_url)
        try:
            with self._way.open(request, timeout=TIMEOUT_S) as answer:
                self.answered(request.full_url, answer.headers)
                return Heard(answer.status, dict(answer.headers), answer.read(BYTES_MAX))
        except urllib.error.HTTPError as error:
            with error:
                return Heard(error.code, dict(error.headers), error.read(BYTES_MAX))

    def downloader(self, extractors: Sequence[Any], folder: Path, **options: Any) -> Downloader:
        """A YoutubeDL whose every request goes through this; for one thread, which may use it again and again."""
        from crawl.downloader import Downloader

        return Downloader(self, extractors, folder, options)


class _Stay(urllib.request.HTTPRedirectHandler):
    """Makes a redirection an answer like any other error of HTTP."""

    def redirect_request(self, *args: Any) -> None:
        """No."""


def opener(access: Access) -> urllib.request.OpenerDirector:
    """The way to the site for the standard library; thread-safe. A redirection is raised, as any HTTPError."""
    proxies = {"http": access.proxy_url, "https": access.proxy_url} if access.proxy_url else None
    context = ssl.create_default_context(cafile=access.ca_file)
    return urllib.request.build_opener(
        urllib.request.ProxyHandler(proxies), urllib.request.HTTPSHandler(context=context), _Stay()
    )


def leads_to(url: str, status: int, headers: Mapping[str, str]) -> str:
    """The address that an answer redirects to, '' where it does not, or not to a site."""
    target = headers.get("Location") or ""
    if status not in (301, 302, 303, 307, 308) or not target:
        return ""
    target = urljoin(url, target)
    return target if target.startswith(("http://", "https://")) else ""


def host_of(url: str) -> str:
    """The host in an address."""
    return urlsplit(url).hostname or ""
