"""TikTok: found by word in a browser, fetched with yt-dlp.

Crawling the live site is the operator's own responsibility: read TERMS and the site's robots.txt first; such rules generally
forbid automated collection. This module never logs in, solves no captcha and forges no signature: at a wall the crawl stops
asking. Everything that the site may rename stands in tiktok.json.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

from yt_dlp.extractor.tiktok import TikTokIE

from crawl.platforms import Candidate, Details, Page
from svmbench.errors import Failure
from svmbench.recipe import Search

SITE = "tiktok"
HOSTS = ("www.tiktok.com",)
TERMS = "https://www.tiktok.com/legal/terms-of-service"
SEARCH, MEDIA, PAGE_ITEMS, REPLICA = "browser", "yt_dlp", 12, True
SELECTORS: Mapping[str, Any] = json.loads(Path(__file__).with_suffix(".json").read_text())

_POST = re.compile(r"^https://www\.tiktok\.com/@[\w.-]*/video/(\d+)")
_COUNT = re.compile(r"([\d.,]+)\s*([KMB]?)", re.IGNORECASE)
_MENTION = re.compile(r"@[\w.]+")
# What yt-dlp says, and what it means: (text, kind, permanent, wall). The codes behind it are in its TikTok extractor.
_SAYINGS = (
    ("permission to view this post", "private", True, False),
    ("IP address is blocked", "blocked", False, True),
    ("requiring login", "login_wall", False, True),
    ("comfortable for some audiences", "classified", True, False),
    ("challenge", "challenge", False, True),
    ("Unexpected response from webpage", "no_data", False, True),
    ("universal data for rehydration", "no_data", False, True),
    ("Video not available", "gone", True, False),
    ("Requested format is not available", "no_video", True, False),
    ("No video formats found", "no_video", True, False),
    ("more expected", "truncated", False, False),
    ("any data blocks", "empty_file", False, False),
    ("timed out", "timeout", False, False),
)


def check(search: Search) -> None:
    """Any words will do."""


def search_url(word: str) -> str:
    """The search page's Video tab."""
    return str(SELECTORS["search_url"]).format(word=quote(word))


def is_listing(url: str) -> bool:
    """Whether the page fetched search results with this request."""
    return urlsplit(url).path in SELECTORS["listing_paths"]


def parse(url: str, body: str) -> Page:
    """Candidates from the JSON of a search answer: items in item_list, or in data[].item on the Top tab."""
    try:
        answer = json.loads(body)
    except ValueError:
        return Page(wall="soft_block")  # a 200 without content is how the site turns crawlers away
    if not isinstance(answer, dict):
        return Page(wall="soft_block")
    if answer.get("type") == "verify":
        return Page(wall="captcha")
    items = answer.get("item_list")
    if items is None:
        items = [row.get("item") for row in answer.get("data") or () if isinstance(row, dict)]
    if answer.get("status_code") not in (0, None) or (not items and "has_more" not in answer):
        return Page(wall="soft_block")
    found = tuple(_candidate(item) for item in items if isinstance(item, dict) and str(item.get("id", "")).isdigit())
    return Page(candidates=found, more=bool(answer.get("has_more")))


def _candidate(item: Mapping[str, Any]) -> Candidate:
    likes = _number((item.get("stats") or {}).get("diggCount"))
    duration_s = _number((item.get("video") or {}).get("duration")) or None
    return Candidate(
        post_id=str(item["id"]),
        likes=likes,
        likes_exact=likes is not None,
        duration_s=None if duration_s is None else float(duration_s),
        slideshow=bool(item.get("imagePost")),
        original=bool((item.get("music") or {}).get("original")),
    )


def parse_count(text: str) -> int | None:
    """The number on a card: '9999', '10.2K', '1.5M'."""
    match = _COUNT.fullmatch(text.strip())
    if not match:
        return None
    scale = {"": 1, "K": 10**3, "M": 10**6, "B": 10**9}[match[2].upper()]
    try:
        return round(float(match[1].replace(",", "")) * scale)
    except ValueError:
        return None


def canonical(url: str) -> str | None:
    """The post's number in a link to it."""
    match = _POST.match(url)
    return match[1] if match else None


def post_url(post_id: str) -> str:
    """The address without the user's name; the site and the extractor take it."""
    return f"https://www.tiktok.com/@_/video/{post_id}"


class KeepItem(TikTokIE):
    """yt-dlp's extractor drops the music's id, its 'original' flag and the hashtags; this one keeps the item that has them."""

    IE_NAME = "TikTok"

    @classmethod
    def ie_key(cls) -> str:
        return "TikTok"

    def _parse_aweme_video_web(self, aweme_detail: dict[str, Any], *args: Any, **kwargs: Any) -> dict[str, Any]:
        return {**super()._parse_aweme_video_web(aweme_detail, *args, **kwargs), "svmbench_item": aweme_detail}


def extractors() -> list[Any]:
    """The one extractor that is needed; leaving out the other thousand saves start-up."""
    return [KeepItem()]


def details(info: Mapping[str, Any]) -> Details:
    """What the video page says, from the extractor's unprocessed info dict."""
    item = info["svmbench_item"]
    music, author, stats = item.get("music") or {}, item.get("author") or {}, item.get("stats") or {}
    created = _number(item.get("createTime"))
    duration_s = _number((item.get("video") or {}).get("duration"))
    return Details(
        post_id=str(info["id"]),
        likes=_number(stats.get("diggCount")),
        duration_s=float(duration_s) if duration_s else None,
        slideshow=bool(item.get("imagePost")),
        caption=" ".join(_MENTION.sub("", str(item.get("desc") or "")).split()),
        hashtags=tuple(str(tag["hashtagName"]) for tag in item.get("textExtra") or () if tag.get("hashtagName")),
        track_id=str(music["id"]) if music.get("id") else None,
        track_title=music.get("title") or None,
        track_original=bool(music.get("original")),
        posted_at=datetime.fromtimestamp(created, timezone.utc).isoformat() if created else None,
        author_key=author.get("secUid") or author.get("id") or None,
        views=_number(stats.get("playCount")),
        comments=_number(stats.get("commentCount")),
        shares=_number(stats.get("shareCount")),
        saves=_number(stats.get("collectCount")),
    )


def classify(error: BaseException) -> Failure:
    """The kind of a failed fetch, from the exception that yt-dlp raised or the one behind it."""
    inner = getattr(error, "exc_info", None)
    cause = inner[1] if inner and inner[1] else error
    detail = " ".join(str(getattr(cause, "orig_msg", None) or cause).split()).split(" Use --cookies")[0][:200]
    status = getattr(cause, "status", None)
    if isinstance(status, int):
        return _http(status, cause, detail)
    for text, kind, permanent, wall in _SAYINGS:
        if text in detail:
            return Failure(kind=kind, permanent=permanent, wall=wall, detail=detail)
    return Failure(kind="network" if _is_network(error, cause) else "unknown", permanent=False, detail=detail)


def _http(status: int, cause: BaseException, detail: str) -> Failure:
    if status in (429, 503):
        headers = getattr(getattr(cause, "response", None), "headers", {})
        wait = str(headers.get("Retry-After", ""))
        after_s = float(wait) if wait.isdigit() else None
        return Failure(kind="throttled", permanent=False, wall=status == 429, retry_after_s=after_s, detail=detail)
    if status == 403:
        return Failure(kind="media_403", permanent=False, detail=detail)  # an expired link: the next try reads the page anew
    if status in (404, 410):
        return Failure(kind="gone", permanent=True, detail=detail)
    return Failure(kind=f"http_{status}", permanent=400 <= status < 500, detail=detail)


def _is_network(*errors: BaseException) -> bool:
    from yt_dlp.networking.exceptions import TransportError

    return any(isinstance(e, TransportError | ConnectionError) for e in errors)


def _number(value: Any) -> int | None:
    """Counts come as numbers or as strings of digits."""
    try:
        return int(value)
    except (TypeError, ValueError):
        return None
