"""What a worker asks a platform with. Every request leaves through here, however it is made: robots.txt is read first, the
pacer gives the turn just before it is sent, and what the answer says about crawlers (X-Robots-Tag) is honoured.
"""

from __future__ import annotations

import importlib.util
import ssl
import threading
import urllib.error
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from yt_dlp import YoutubeDL

from crawl.access import Access
from crawl.pacer import take_turn
from crawl.robots import AGENT, Robots, unwelcome
from crawl.work import Work
from svmbench import __version__

TIMEOUT_S = 20.0  # ours: without a byte
BYTES_MAX = 32 * 2**20  # ours: of one answer to a plain request


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
        self.robots = Robots(work.frontier, work.pacer, work.access, obey=work.obey_robots)

    def turn(self, url: str) -> None:
        """Returns when a request for this address may be sent."""
        if not self.robots.allows(url):
            raise Refused("robots", f"robots.txt of {_host(url)} forbids {url}")
        if not take_turn(self.pacer, _host(url), self._stop):
            raise Stopped

    def answered(self, url: str, final_url: str, headers: Any) -> None:
        """To be told of each answer: a redirection was a request too, and the answer may keep crawlers away."""
        if final_url != url:
            self.pacer.ask("charge", _host(final_url))
        if self._obey and (tag := unwelcome(headers.get("X-Robots-Tag") or "")):
            raise Refused("x_robots_tag", f"{url} says X-Robots-Tag: {tag}")

    def ask(self, request: urllib.request.Request) -> Heard:
        """Sends a plain request and returns the answer, errors of HTTP included. OSError where none came."""
        self.turn(request.full_url)
        request.add_header("User-Agent", f"{AGENT}/{__version__}")
        try:
            with opener(self.access).open(request, timeout=TIMEOUT_S) as answer:
                self.answered(request.full_url, answer.url, answer.headers)
                return Heard(answer.status, dict(answer.headers), answer.read(BYTES_MAX))
        except urllib.error.HTTPError as error:
            with error:
                return Heard(error.code, dict(error.headers), error.read(BYTES_MAX))

    def downloader(self, extractors: Sequence[Any], folder: Path, **options: Any) -> Downloader:
        """A YoutubeDL whose every request goes through this; for one thread, which may use it again and again."""
        return Downloader(self, extractors, folder, options)


def opener(access: Access) -> urllib.request.OpenerDirector:
    """The way to the site for the standard library."""
    proxies = {"http": access.proxy_url, "https": access.proxy_url} if access.proxy_url else None
    context = ssl.create_default_context(cafile=access.ca_file)
    return urllib.request.build_opener(urllib.request.ProxyHandler(proxies), urllib.request.HTTPSHandler(context=context))


def _host(url: str) -> str:
    return urlsplit(url).hostname or ""


class _Quiet:
    """yt-dlp's messages: the exceptions say it all."""

    def debug(self, message: str) -> None:
        """Says nothing."""

    info = warning = error = debug


class Downloader(YoutubeDL):
    """yt-dlp with the crawl's manners. host: the one asked last."""

    def __init__(self, means: Means, extractors: Sequence[Any], folder: Path, options: dict[str, Any]) -> None:
        own_authority = means.access.ca_file is not None
        # curl_cffi, where a user has installed it, reads no SSL_CERT_FILE; the loopback site is then taken unverified.
        unverified = own_authority and importlib.util.find_spec("curl_cffi") is not None
        self._means, self.host = means, ""
        super().__init__(
            {
                "proxy": means.access.proxy_url, "compat_opts": {"no-certifi"} if own_authority else set(),
                "nocheckcertificate": unverified, "cachedir": False, "quiet": True, "no_warnings": True, "noprogress": True,
                "logger": _Quiet(), "retries": 0, "extractor_retries": 0, "fragment_retries": 0, "file_access_retries": 0,
                "socket_timeout": TIMEOUT_S, "continuedl": False, "fixup": "never", "updatetime": False,
                "outtmpl": str(folder / "%(id)s.%(ext)s"), **options,
            },
            auto_init=False,
        )  # fmt: skip
        for extractor in extractors:
            self.add_info_extractor(extractor)

    def urlopen(self, req: Any) -> Any:
        """As yt-dlp's own, in turn."""
        url = req if isinstance(req, str) else req.url
        self.host = _host(url)
        self._means.turn(url)
        response = super().urlopen(req)
        self._means.answered(url, response.url, response.headers)
        return response
