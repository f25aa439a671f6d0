"""TikTok: found by word or by #hashtag in a browser, fetched with yt-dlp.

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

from crawl import failures
from crawl.platforms import Candidate, Details, Page, nameless, without_names
from svmbench.errors import BadSettings, Failure
from svmbench.recipe import Search

SITE = "tiktok"
HOSTS = ("www.tiktok.com",)
TERMS = "https://www.tiktok.com/legal/terms-of-service"
SEARCH, MEDIA, PAGE_ITEMS, REPLICA = "browser", "yt_dlp", 12, True
SELECTORS: Mapping[str, Any] = json.loads(Path(__file__).with_suffix(".json").read_text())

# Hosts and paths under which a post is linked to; short links (vm.tiktok.com/...) name no post and cannot be read without asking.
_LINK_HOSTS = ("www.tiktok.com", "tiktok.com", "m.tiktok.com", "www.tiktokv.com", "tiktokv.com")
_POST = re.compile(r"/(?:@[^/]*/(?:video|photo)|v|embed(?:/v\d)?|player/v\d|(?:h5/)?share/video)/([0-9]{1,20})(?:\.html)?/?")
_ID = re.compile(r"\d{1,20}", re.ASCII)
_COUNT = re.compile(r"([\d.,]+)\s*([KMB]?)", re.IGNORECASE)
_NUMBER_MAX = 2**63 - 1  # what the tables hold
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
)


def check(search: Search) -> None:
    """Any words will do; one that begins with # is a hashtag, and must be one."""
    for word in search.words:
        if word.startswith("#") and (len(word) < 2 or any(c.isspace() or c in "#/?" for c in word[1:])):
            raise BadSettings(f"search.words: {word!r} is not a hashtag; write one word after the #, or leave the # out")


def search_url(word: str) -> str:
    """The search page's Video tab, or the page of a hashtag."""
    if word.startswith("#"):
        return str(SELECTORS["pages"]["tag"]["search_url"]).format(word=quote(word[1:], safe=""))
    return str(SELECTORS["search_url"]).format(word=quote(word, safe=""))


def is_listing(url: str) -> bool:
    """Whether the page fetched search results with this request."""
    return urlsplit(url).path in (*SELECTORS["listing_paths"], *SELECTORS["pages"]["tag"]["listing_paths"])


def parse(url: str, body: str) -> Page:
    """Candidates from the JSON of a search answer: items in item_list, in data[].item on the Top tab, in itemList on a tag page.

    A 200 without content, or an empty list without the end, is how the site turns crawlers away.
    """
    try:
        answer = json.loads(body)
    except ValueError:
        return Page(wall="soft_block")
    if not isinstance(answer, dict):
        return Page(wall="soft_block")
    if answer.get("type") == "verify":
        return Page(wall="captcha")
    items = answer.get("item_list", answer.get("itemList"))
    if items is None:
        items = [row.get("item") for row in _rows(answer.get("data")) if isinstance(row, dict)]
    more = answer.get("has_more", answer.get("hasMore"))
    failed = [code for key in ("status_code", "statusCode") if (code := answer.get(key)) not in (0, None)]
    if failed or (not items and (more is None or more)):
        return Page(wall="soft_block")
    found = (_candidate(item) for item in _rows(items) if isinstance(item, dict) and _ID.fullmatch(str(item.get("id"))))
    return Page(candidates=tuple(found), more=more is None or bool(more))


def _candidate(item: Mapping[str, Any]) -> Candidate:
    likes = _likes(item)
    duration_s = _number(_part(item, "video").get("duration")) or None
    original = _part(item, "music").get("original")
    return Candidate(
        post_id=str(item["id"]),
        likes=likes,
        likes_exact=likes is not None,
        duration_s=None if duration_s is None else float(duration_s),
        slideshow=bool(item.get("imagePost")),
        original=None if original is None else bool(original),
    )


def _likes(item: Mapping[str, Any]) -> int | None:
    """From stats, or from statsV2, which has the same counts as text."""
    exact = _number(_part(item, "stats").get("diggCount"))
    return _number(_part(item, "statsV2").get("diggCount")) if exact is None else exact


def _part(item: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    """The mapping under a key, empty where there is none."""
    part = item.get(key)
    return part if isinstance(part, dict) else {}


def _rows(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


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
    """The post's number in a link to it, whatever follows it; a link to a slideshow (/photo/) too: the post's page will tell."""
    try:
        parts = urlsplit(url.strip())
    except ValueError:
        return None
    match = _POST.fullmatch(parts.path)
    return match[1] if match and parts.scheme in ("http", "https") and parts.hostname in _LINK_HOSTS else None


def post_url(post_id: str) -> str:
    """The address without the user's name; the site and the extractor take it."""
    return f"https://www.tiktok.com/@_/video/{post_id}"


class KeepItem(TikTokIE):
    """yt-dlp's extractor drops the music's id, its 'original' flag and the hashtags; this one keeps the item that has them.

    yt-dlp also sends header fields of random names to slip past a wall; this one does not.
    """

    IE_NAME = "TikTok"

    @classmethod
    def ie_key(cls) -> str:
        return "TikTok"

    @staticmethod
    def _generate_blockbuster_headers(*, min_headers: int = 0, max_headers: int = 0) -> dict[str, str]:
        """None."""
        return {}

    def _parse_aweme_video_web(self, aweme_detail: dict[str, Any], *args: Any, **kwargs: Any) -> dict[str, Any]:
        return {**super()._parse_aweme_video_web(aweme_detail, *args, **kwargs), "svmbench_item": aweme_detail}


def extractors() -> list[Any]:
    """The one extractor that is needed; leaving out the other thousand saves start-up."""
    return [KeepItem()]


def details(info: Mapping[str, Any]) -> Details:
    """What the video page says, from the extractor's unprocessed info dict.

    An original sound has no title here: the site makes it of the uploader's name ('original sound - NAME').
    """
    item = info["svmbench_item"]
    music, author, stats = _part(item, "music"), _part(item, "author"), _part(item, "stats")
    duration_s = _number(_part(item, "video").get("duration"))
    tags = [_text(tag["hashtagName"]) for tag in _extras(item) if tag.get("hashtagName")]
    return Details(
        post_id=str(info["id"]),
        likes=_likes(item),
        duration_s=float(duration_s) if duration_s else None,
        slideshow=bool(item.get("imagePost")),
        caption=_caption(item),
        hashtags=tuple(dict.fromkeys(tags)),
        track_id=str(music["id"]) if music.get("id") else None,
        track_title=_text(music["title"]) if music.get("title") and not music.get("original") else None,
        track_original=bool(music.get("original")),
        posted_at=_time(_number(item.get("createTime"))),
        author_key=author.get("secUid") or author.get("id") or None,
        views=_number(stats.get("playCount")),
        comments=_number(stats.get("commentCount")),
        shares=_number(stats.get("shareCount")),
        saves=_number(stats.get("collectCount")),
    )


def _extras(item: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The marked parts of the caption: hashtags, and mentions of people."""
    return [extra for extra in _rows(item.get("textExtra")) if isinstance(extra, dict)]


def _caption(item: Mapping[str, Any]) -> str:
    """The caption without mentions: the parts that the item marks as people (a shown name may have spaces), and what looks like
    one. Places are counted in UTF-16 units, two bytes each.
    """
    text = str(item.get("desc") or "").encode("utf-16-le", "surrogatepass")
    marked = [(_number(e.get("start")), _number(e.get("end"))) for e in _extras(item) if e.get("userUniqueId") or e.get("userId")]
    for start, end in sorted(((s, e) for s, e in marked if s is not None and s >= 0 and e is not None), reverse=True):
        if text[2 * start : 2 * start + 2] == "@".encode("utf-16-le"):
            text = text[: 2 * start] + text[2 * max(start, end) :]
    return without_names(text.decode("utf-16-le", "replace"))


def _text(value: Any) -> str:
    """Text that can be stored: half of a character that the site cut in two becomes a mark."""
    return str(value).encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def _time(unix_s: int | None) -> str | None:
    try:
        return datetime.fromtimestamp(unix_s, timezone.utc).isoformat() if unix_s else None
    except (OverflowError, ValueError, OSError):
        return None


def classify(error: BaseException) -> Failure:
    """The kind of a failed fetch; what the network and every site mean alike comes first."""
    if failure := failures.common(error, media=False):
        return failure
    cause = failures.cause_of(error)
    words = " ".join(str(getattr(cause, "orig_msg", None) or cause).split())
    detail = nameless(words.split(" Use --cookies")[0])[: failures.DETAIL_MAX]
    for text, kind, permanent, wall in _SAYINGS:
        if text in words:
            return Failure(kind=kind, permanent=permanent, wall=wall, detail=detail)
    return Failure(kind="unknown", permanent=False, detail=detail)


def _number(value: Any) -> int | None:
    """Counts come as numbers or as strings of digits."""
    try:
        number = int(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return number if abs(number) <= _NUMBER_MAX else None
