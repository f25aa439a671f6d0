"""What the embedded platform answers: one function from a Request to an Answer, for every path of the site.

Each fate of catalogue.FATES shows as the real platform shows it; the codes are those that yt-dlp's TikTok extractor tells apart.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import secrets
from dataclasses import dataclass
from email.message import Message
from http.cookies import CookieError, SimpleCookie
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from crawl.replica import catalogue, odd
from crawl.replica.catalogue import Listing
from crawl.replica.documents import CHALLENGE_COOKIE, challenge, document, solved, video_page
from crawl.replica.gate import Gate
from crawl.replica.items import MEDIA_HOST, MUSIC_HOST, SITE_HOST, item, tag_id

STATUS_CODES = {"private": 10216, "private_account": 10222, "gone": 10215, "blocked": 10204}
PAGE_ITEMS_MAX = 30  # posts in one search answer; ours
ROBOTS = "User-agent: *\nAllow: /search\nAllow: /@\nDisallow: /internal/\nCrawl-delay: 0.02\n"
TAG_LISTING = "/api/challenge/item_list/"
SEARCH_PAGE = Path(__file__).with_name("search.html")
CHAIN_COOKIE = "tt_chain_token"
MIME = {
    ".mp4": "video/mp4",
    ".webm": "video/webm",
    ".mkv": "video/x-matroska",
    ".mov": "video/quicktime",
    ".avi": "video/x-msvideo",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One request; target is path and query."""

    host: str
    target: str
    headers: Message
    method: str = "GET"
    body: bytes = b""

    @property
    def path(self) -> str:
        return urlsplit(self.target).path

    @property
    def query(self) -> dict[str, str]:
        return dict(parse_qsl(urlsplit(self.target).query))

    def cookie(self, name: str) -> str:
        """The value of a cookie, '' where it was not sent."""
        try:
            morsel = SimpleCookie(self.headers.get("Cookie", "")).get(name)
        except CookieError:
            return ""
        return morsel.value if morsel else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """kind is what the hit counter calls it. The body is text, or bytes [start, stop) of a file.

    cut: bytes of the file from here on are promised and not sent. wait_s: the answer comes so late. hang_up: none comes.
    """

    kind: str
    status: int = 200
    body: str = ""
    mime: str = "text/html; charset=utf-8"
    headers: tuple[tuple[str, str], ...] = ()
    file: Path | None = None
    start: int = 0
    stop: int = 0
    cut: int | None = None
    wait_s: float = 0.0
    hang_up: bool = False


class Pages:
    """The site over one catalogue. Thread-safe."""

    HOSTS = frozenset({SITE_HOST, MEDIA_HOST, MUSIC_HOST})

    def __init__(self, folder: Path, requests_per_s: float | None) -> None:
        self._folder = folder
        self._listings = {row.post_id: row for row in catalogue.read(folder)}
        self._by_word: dict[str, list[Listing]] = {}
        for row in self._listings.values():
            for word in {word.casefold() for word in (*row.words, *(f"#{tag}" for tag in row.hashtags))}:
                self._by_word.setdefault(word, []).append(row)
        self._tags = {tag_id(word[1:]): word for word in self._by_word if word.startswith("#")}
        self._chain, self._gate = secrets.token_hex(16), Gate(requests_per_s)

    def set_wall(self, word: str, after: int | None) -> None:
        """The search for this word or #hashtag meets a captcha after so many posts; None takes the wall away."""
        self._gate.set_wall(word, after)

    def answer(self, request: Request) -> Answer:
        """The answer to a request for one of HOSTS."""
        if request.path == "/robots.txt":
            return Answer(kind="robots", body=ROBOTS, mime="text/plain")
        if request.host == MEDIA_HOST:
            return self._media(request)
        if request.host == MUSIC_HOST:
            return Answer(kind="music", status=404)
        return self._site(request)

    def _site(self, request: Request) -> Answer:
        path = request.path
        kind = _kind(path)
        if not self._gate.passes():
            return _refusal(kind)
        if kind == "search_page":
            return Answer(kind=kind, body=SEARCH_PAGE.read_text(), headers=self._set_chain())
        if kind == "search_api":
            return self._search(request)
        if kind == "tag_api":
            return self._tag(request)
        if kind == "video_page":
            return self._video(request)
        if kind == "login":
            return Answer(kind=kind, body=document("Log in", "<p>This page asks visitors to log in.</p>"))
        if kind == "disallowed":
            return Answer(kind=kind, body=document("Internal", "<p>robots.txt asks crawlers to stay away from here.</p>"))
        return Answer(kind=kind, status=200 if path == "/" else 404, body=document("svmbench embedded platform", ""))

    def _search(self, request: Request) -> Answer:
        """Results for a word, or those under a hashtag, which has other names for the same things."""
        query = request.query
        of_tag = request.path == TAG_LISTING
        word = self._tags.get(query.get("challengeID", ""), "") if of_tag else query.get("keyword", "").casefold()
        offset = _number(query.get("cursor" if of_tag else "offset"), 0)
        count = min(_number(query.get("count"), 12), PAGE_ITEMS_MAX)
        if self._gate.walled(word, offset):
            return _json({"code": "10000", "type": "verify", "subtype": "slide", "message": "Verify to continue"})
        found = self._by_word.get(word, [])
        shown = found[offset : offset + count]
        cursor, more = offset + len(shown), offset + len(shown) < len(found)
        rows = [item(row, self._size(row)) for row in shown]
        if of_tag:
            return _json({"statusCode": 0, "itemList": rows, "cursor": str(cursor), "hasMore": more})
        search_id = hashlib.sha256(word.encode()).hexdigest()[:20]
        return _json({"status_code": 0, "item_list": rows, "cursor": cursor, "has_more": int(more), "rid": search_id})

    def _tag(self, request: Request) -> Answer:
        """The number of a hashtag, with which its page asks for its posts."""
        name = request.query.get("challengeName", "").casefold()
        challenge_info = {"challenge": {"id": tag_id(name), "title": name}}
        return _json({"statusCode": 0, "challengeInfo": challenge_info}, kind="tag_api")

    def _video(self, request: Request) -> Answer:
        post_id = request.path.rsplit("/", 1)[1]
        listing = self._listings.get(post_id)
        fate = listing.fate if listing else "gone"
        visits = self._gate.visits(f"page {post_id}")
        if fate in odd.PAGES:
            return Answer(**{"kind": "video_page", "headers": self._set_chain(), **odd.PAGES[fate](request.path)})
        if fate == "login_wall":
            to = (("Location", f"https://{SITE_HOST}/login?redirect_url={request.path}"),)
            return Answer(kind="video_page", status=302, headers=to)
        if fate == "no_data":
            return Answer(kind="video_page", body=document("Video", "<p>Nothing to show.</p>"))
        if fate == "flaky_503" and not visits:
            return Answer(kind="video_page", status=503, body=document("Busy", ""), headers=(("Retry-After", "1"),))
        if fate == "challenge" and not solved(request.cookie(CHALLENGE_COOKIE), post_id):
            return Answer(kind="video_page", body=challenge(post_id))
        if listing is None or fate in STATUS_CODES:
            detail: dict[str, Any] = {"statusCode": STATUS_CODES[fate], "statusMsg": fate, "itemInfo": {}}
        elif fate == "classified":
            detail = {"statusCode": 0, "itemInfo": {"itemStruct": {"id": post_id, "isContentClassified": True}}}
        else:
            shown = odd.item_of(fate, item(listing, self._size(listing)), visits)
            detail = {"statusCode": 0, "itemInfo": {"itemStruct": shown}}
        return Answer(kind="video_page", body=video_page(detail), headers=self._set_chain())

    def _media(self, request: Request) -> Answer:
        match = re.fullmatch(r"/video/tos/(\d+)/", request.path)
        listing = self._listings.get(match[1]) if match else None
        if listing is None or listing.media is None:
            return Answer(kind="media", status=404)
        referred = urlsplit(request.headers.get("Referer", "")).hostname == SITE_HOST
        if not referred or request.cookie(CHAIN_COOKIE) != self._chain or listing.fate == "media_403":
            return Answer(kind="media", status=403)
        visits = self._gate.visits(f"media {listing.post_id}")
        different = odd.media(listing.fate, request.path, urlsplit(request.target).query, not visits)
        if different is not None:
            return Answer(**{"kind": "media", **different})
        file = self._folder / listing.media
        if not os.access(file, os.R_OK):  # a link to a user's file that has gone
            return Answer(kind="media", status=404)
        short = listing.fate == "truncated" or (listing.fate == "truncated_once" and not visits)
        return file_answer(request, file, MIME.get(file.suffix.lower(), "application/octet-stream"), short)

    def _size(self, listing: Listing) -> int | None:
        """Bytes of the media, 0 where the file has gone, None for a post without video."""
        if listing.media is None or listing.fate == "slideshow":
            return None
        file = self._folder / listing.media
        return file.stat().st_size if file.is_file() else 0

    def _set_chain(self) -> tuple[tuple[str, str], ...]:
        return (("Set-Cookie", f"{CHAIN_COOKIE}={self._chain}; Domain=.tiktok.com; Path=/; Secure; HttpOnly"),)


def file_answer(request: Request, file: Path, mime: str, short: bool) -> Answer:
    """A file of media, or the part that a Range header asks for. short: half of the file is promised and not sent."""
    size = file.stat().st_size
    span = byte_range(request.headers.get("Range", ""), size)
    start, stop = span or (0, size)
    if span and start == stop:
        return Answer(kind="media", status=416, headers=(("Content-Range", f"bytes */{size}"),))
    headers: tuple[tuple[str, str], ...] = (("Accept-Ranges", "bytes"),)
    if span:
        headers += (("Content-Range", f"bytes {start}-{stop - 1}/{size}"),)
    cut, status = size // 2 if short else None, 206 if span else 200
    return Answer(kind="media", status=status, mime=mime, headers=headers, file=file, start=start, stop=stop, cut=cut)


def byte_range(header: str, size: int) -> tuple[int, int] | None:
    """[start, stop) that a Range header asks for. None: send all; start = stop: beyond the end (RFC 9110, section 14)."""
    match = re.fullmatch(r"bytes=(\d*)-(\d*)", header.strip())
    if not match or not (match[1] or match[2]):
        return None
    if not match[1]:
        return size - min(int(match[2]), size), size
    start, last = int(match[1]), int(match[2]) if match[2] else size - 1
    if start >= size:
        return size, size
    return (start, min(last + 1, size)) if last >= start else None


def _kind(path: str) -> str:
    if path == "/search" or path.startswith(("/search/", "/tag/")):
        return "search_page"
    if path in ("/api/search/item/full/", TAG_LISTING):
        return "search_api"
    if path == "/api/challenge/detail/":
        return "tag_api"
    if re.fullmatch(r"/@[\w.-]*/video/\d+", path):
        return "video_page"
    if path == "/login":
        return "login"
    return "disallowed" if path.startswith("/internal/") else "other"


def _refusal(kind: str) -> Answer:
    wait = (("Retry-After", "1"),)
    if kind in ("search_api", "tag_api"):
        return Answer(kind=kind, status=429, body="{}", mime="application/json", headers=wait)
    body = '<h2 data-e2e="search-error-title">Something went wrong</h2><p>Too many requests. Try again later.</p>'
    return Answer(kind=kind, status=429, body=document("Something went wrong", body), headers=wait)


def _number(text: str | None, default: int) -> int:
    return int(text) if text and text.isdecimal() else default


def _json(value: Any, kind: str = "search_api") -> Answer:
    return Answer(kind=kind, body=json.dumps(value), mime="application/json")
