"""yt-dlp with the crawl's manners: each of its requests, each redirection too, waits for its turn, and no answer is endless.

What could ask a site without a turn is not there: other request handlers than the one below, external programs, playlists that
ffmpeg would read, tests of formats, retries. Nor does it lie about where it is (yt-dlp's X-Forwarded-For).
"""

from __future__ import annotations

import ssl
import threading
import time
from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from yt_dlp import YoutubeDL
from yt_dlp.downloader import get_suitable_downloader
from yt_dlp.downloader.dash import DashSegmentsFD
from yt_dlp.downloader.http import HttpFD
from yt_dlp.networking import Request, Response
from yt_dlp.networking._helper import get_redirect_method
from yt_dlp.networking._requests import RequestsRH
from yt_dlp.networking.exceptions import HTTPError, TransportError
from yt_dlp.utils import DownloadError

from crawl.means import HOPS_MAX, Means, Refused, host_of, leads_to

TIMEOUT_S = 20.0  # ours: without a byte
PAGE_LIMITS = (16 * 2**20, 60.0)  # ours: bytes and seconds of one answer
MEDIA_LIMITS = (2 * 2**30, 900.0)  # ours
READ_BYTES = 256 * 1024
DIRECT = (HttpFD, DashSegmentsFD)  # yt-dlp's downloaders that ask through urlopen and hand nothing to another program


class TooLarge(TransportError):
    """More bytes came than any page or file should have."""


class Unsupported(DownloadError):
    """The only streams are such as yt-dlp gives to other programs."""


class OneHopRH(RequestsRH):
    """yt-dlp's way over `requests`, for one request at a time: a redirection is an answer like any other."""

    def __init__(self, *, ca_file: str | None, **options: Any) -> None:
        super().__init__(**options)
        self._ca_file = ca_file

    def _make_sslcontext(self, legacy_ssl_support: bool | None = None) -> ssl.SSLContext:
        if self._ca_file:
            return ssl.create_default_context(cafile=self._ca_file)
        return super()._make_sslcontext(legacy_ssl_support=legacy_ssl_support)

    def _create_instance(self, cookiejar: Any, legacy_ssl_support: bool | None = None) -> Any:
        session = super()._create_instance(cookiejar, legacy_ssl_support)
        session.get_redirect_target = lambda answer: None
        return session


class Bounded(Response):
    """An answer that may neither be endless nor take for ever. owner: told of the exception that reading ends with."""

    def __init__(self, answer: Response, bytes_max: int, seconds_max: float, owner: Downloader) -> None:
        super().__init__(answer, answer.url, answer.headers, answer.status, answer.reason, answer.extensions)
        self._left, self._bytes_max, self._seconds_max = bytes_max, bytes_max, seconds_max
        self._until, self._owner = time.monotonic() + seconds_max, owner

    def read(self, amt: int | None = None) -> bytes:
        """As the answer's own."""
        if amt is None:
            return b"".join(iter(lambda: self.read(READ_BYTES), b""))
        try:
            return self._read(amt)
        except TransportError as error:
            self._owner.last_error = error
            raise

    def _read(self, amt: int) -> bytes:
        data: bytes = self.fp.read(amt)
        self._left -= len(data)
        if self._left < 0:
            raise TooLarge(f"the answer is larger than {self._bytes_max / 2**20:.0f} MiB")
        if time.monotonic() > self._until:
            raise TransportError(f"timed out: the answer took more than {self._seconds_max:.0f} s")
        return data


class QuietHttpFD(HttpFD):
    """yt-dlp's downloader without the text of a progress bar."""

    def report_progress(self, status: dict[str, Any]) -> None:
        """Says nothing."""


class _Quiet:
    """yt-dlp's messages: the exceptions say it all."""

    def debug(self, message: str) -> None:
        """Says nothing."""

    info = warning = error = debug


class Downloader(YoutubeDL):
    """host: the one asked last. last_error: the network's last exception, for where yt-dlp keeps only its text; its user sets it
    to None. stop: ends the waiting for a turn, instead of the worker's own.
    """

    def __init__(self, means: Means, extractors: Sequence[Any], folder: Path, options: dict[str, Any]) -> None:
        self._means, self.host = means, ""
        self.last_error: BaseException | None = None
        self._limits = PAGE_LIMITS
        self.stop: threading.Event | None = None
        super().__init__(
            {
                "proxy": means.access.proxy_url, "cachedir": False, "quiet": True, "no_warnings": True, "noprogress": True,
                "logger": _Quiet(), "retries": 0, "extractor_retries": 0, "fragment_retries": 0, "file_access_retries": 0,
                "socket_timeout": TIMEOUT_S, "continuedl": False, "fixup": "never", "updatetime": False, "geo_bypass": False,
                "check_formats": False, "skip_unavailable_fragments": False, "buffersize": READ_BYTES, "noresizebuffer": True,
                "outtmpl": str(folder / "%(id)s.%(ext)s"), **options,
            },
            auto_init=False,
        )  # fmt: skip
        for extractor in extractors:
            self.add_info_extractor(extractor)

    def build_request_director(self, handlers: Iterable[Any], preferences: Any = None) -> Any:
        """With one way to send a request, whatever else is installed."""
        return super().build_request_director([partial(OneHopRH, ca_file=self._means.access.ca_file)], preferences)

    def urlopen(self, req: Any) -> Response:
        """As yt-dlp's own, in turn; a redirection is followed with a turn of its own, where robots.txt allows it."""
        request = Request(req) if isinstance(req, str) else req
        led: HTTPError | None = None
        for _ in range(HOPS_MAX + 1):
            try:
                return self._send(request)
            except Refused as refusal:
                if led is None or refusal.rule != "robots":
                    raise
                raise led from None
            except HTTPError as error:
                target = leads_to(request.url, error.status, error.response.headers)
                if not target:
                    raise
                error.close()
                request, led = _hop(request, error.status, target), error
        assert led
        raise led

    def _send(self, request: Request) -> Response:
        """One request."""
        self.host = host_of(request.url)
        self._means.turn(request.url, self.stop)
        try:
            answer: Response = super().urlopen(request)
        except (HTTPError, TransportError) as error:
            self.last_error = error
            raise
        try:
            self._means.answered(request.url, answer.headers)
        except Refused:
            answer.close()
            raise
        return Bounded(answer, *self._limits, self)

    def dl(self, name: str, info: dict[str, Any], subtitle: bool = False, test: bool = False) -> Any:
        """As yt-dlp's own, for streams that it reads itself."""
        kind = get_suitable_downloader(info, self.params)
        if kind not in DIRECT:
            raise Unsupported(f"the stream needs {kind.__name__}, which does not ask in turn")
        self._limits = MEDIA_LIMITS
        try:
            return (QuietHttpFD if kind is HttpFD else kind)(self, self.params).download(name, dict(info), subtitle)
        finally:
            self._limits = PAGE_LIMITS

    def _forceprint(self, key: str, info_dict: Any) -> Any:
        """Nothing is to be printed: yt-dlp's own sets up its tables for it seven times a file, a third of the time of a fetch."""
        return info_dict


def _hop(request: Request, status: int, target: str) -> Request:
    """The request that a redirection asks for; what is meant for one host alone is not told to another."""
    method = get_redirect_method(request.method, status)
    same_host, same_method = host_of(target) == host_of(request.url), method == request.method
    left_out = (
        "cookie",
        *(() if same_host else ("authorization",)),
        *(() if same_method else ("content-length", "content-type")),
    )
    headers = {name: value for name, value in request.headers.items() if name.lower() not in left_out}
    return Request(target, request.data if same_method else None, headers, request.proxies, None, method, request.extensions)
