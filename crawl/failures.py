"""Why a fetch failed, as far as every platform means the same by it; what its own pages say, a platform's classify() knows.

kind           permanent  wall  what happened
throttled      no         429   the host asks for a pause (429, 503)
forbidden      no         yes   403 for a page
login_wall     no         yes   401, or a redirection to a log-in page
gone           yes        no    404 or 410 for a page
media_NNN      no         no    401, 403, 404 or 410 for the media: the link is no good; the next try reads the page anew
http_NNN       4xx        no    any other status
redirected     no         no    a redirection that is not followed: robots.txt forbids where it leads, or it never ends
tls, timeout, network     no    no answer, or not all of it in time
truncated      no         no    fewer bytes than promised
too_large      yes        no    more bytes than any page or file should have
empty_file     no         no    no bytes at all
unsupported    yes        no    only streams that yt-dlp gives to other programs, which ask without a turn
extractor      yes        no    a defect of the extractor, or a page of a shape that it does not know
"""

from __future__ import annotations

import time
from urllib.parse import urlsplit

from yt_dlp.networking.exceptions import HTTPError, IncompleteRead, SSLError, TransportError
from yt_dlp.utils import YoutubeDLError

from crawl.downloader import TooLarge, Unsupported
from crawl.platforms import nameless
from crawl.retry_after import retry_after_s
from svmbench.errors import Failure

DETAIL_MAX = 200  # characters; ours
LINK_STATUS = (401, 403, 404, 410)
# yt-dlp's own words where it keeps no exception: (a part of them, kind)
SAYINGS = (("more expected", "truncated"), ("any data blocks", "empty_file"), ("timed out", "timeout"))


def cause_of(error: BaseException) -> BaseException:
    """The exception behind yt-dlp's own."""
    inner = getattr(error, "exc_info", None)
    return inner[1] if inner and inner[1] else error


def common(error: BaseException, media: bool) -> Failure | None:
    """The failure, where it is none of the platform's own. media: the page was read, this is about the file."""
    cause = cause_of(error)
    detail = nameless(" ".join(str(cause).split()))[:DETAIL_MAX]
    if isinstance(cause, HTTPError):
        return _of_status(cause, detail, media)
    kind = _of_network(cause, detail)
    if kind:
        return Failure(kind=kind, permanent=kind in ("too_large", "unsupported"), detail=detail)
    if not isinstance(cause, YoutubeDLError):
        return Failure(kind="extractor", permanent=True, detail=f"{type(cause).__name__}: {detail}"[:DETAIL_MAX])
    return None


def _of_network(cause: BaseException, detail: str) -> str:
    """The kind, '' where the network has nothing to do with it."""
    kinds = ((TooLarge, "too_large"), (Unsupported, "unsupported"), (IncompleteRead, "truncated"), (SSLError, "tls"))
    for kind, name in kinds:
        if isinstance(cause, kind):
            return name
    for text, name in SAYINGS:
        if text in detail:
            return name
    return "network" if isinstance(cause, TransportError | OSError) else ""


def _of_status(error: HTTPError, detail: str, media: bool) -> Failure:
    status, headers = error.status, error.response.headers
    if 300 <= status < 400:
        path = urlsplit(headers.get("Location") or "").path
        login = path.rstrip("/").endswith("/login")
        return Failure(
            kind="login_wall" if login else "redirected", permanent=False, wall=login, detail=f"{detail} to {nameless(path)}"
        )
    if status in (429, 503):
        asked_s = retry_after_s(headers.get("Retry-After"), time.time())
        return Failure(kind="throttled", permanent=False, wall=status == 429, retry_after_s=asked_s, detail=detail)
    if media and status in LINK_STATUS:
        return Failure(kind=f"media_{status}", permanent=False, detail=detail)
    if status in (401, 403):
        return Failure(kind="login_wall" if status == 401 else "forbidden", permanent=False, wall=True, detail=detail)
    if status in (404, 410):
        return Failure(kind="gone", permanent=True, detail=detail)
    return Failure(kind=f"http_{status}", permanent=400 <= status < 500, detail=detail)
