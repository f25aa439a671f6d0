"""YouTube Shorts: found and fetched with yt-dlp, without a browser. Fetches ordinary videos as well, for lists of ids.

Crawling the live site is the operator's own responsibility: read TERMS and the site's robots.txt first. On 2026-11-21 public
copies of that robots.txt forbade /youtubei/, which every search and every video needs: under `robots: obey` nothing is fetched
there. This module never logs in, solves no captcha, makes no proof-of-origin token and goes around no age gate.
Everything that the site may rename stands in youtube_shorts.json.

FORMAT: one file with picture and sound if there is one (one request), else the two streams, which ffmpeg puts together here.
"""

from __future__ import annotations

import re
import shutil
import unicodedata
from collections.abc import Generator, Mapping
from contextlib import closing
from datetime import datetime, timezone
from hashlib import blake2b
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from yt_dlp.networking.exceptions import HTTPError
from yt_dlp.utils import YoutubeDLError

from crawl import failures
from crawl.means import Means
from crawl.platforms import Candidate, Details, Page, nameless, without_names
from crawl.platforms._youtube import NOT_A_CLIP, Lists, OneVideo
from svmbench.errors import BadSettings, Failure, MissingExtra
from svmbench.recipe import Search

SITE = "youtube"
HOSTS = ("www.youtube.com",)
TERMS = "https://www.youtube.com/t/terms"
SEARCH, MEDIA, PAGE_ITEMS, REPLICA = "pages", "yt_dlp", 20, True
POST_REQUESTS = 2  # before the media: the watch page and the player's API
FORMAT = "b[vcodec!=none][acodec!=none]/bv*+ba"

_ID = re.compile(r"[\w-]{11}", re.ASCII)
_PATH = re.compile(r"/(?:shorts|embed|v|e|live)/([\w-]{11})(?:/|$)", re.ASCII)
_SITES = ("youtube.com", "youtube-nocookie.com")
_TAG = re.compile(r"(?<!\w)#(\w+)")
_CLAIMANT = re.compile(r"(content from|claim by|claimants:?) .*")  # who had a video blocked
_STALE = (400, 404)  # answers to a token that is not known any more
# What YouTube or yt-dlp says, and what it means: (text, kind, permanent, wall); the first that fits. From its YouTube extractor.
_SAYINGS = (
    ("not a bot", "bot_check", False, True),
    ("requiring a captcha", "captcha", False, True),
    ("rate-limited by YouTube", "throttled", False, True),
    ("IP is likely being blocked", "blocked", False, True),
    ("confirm your age", "classified", True, False),
    ("age-restricted", "classified", True, False),
    ("inappropriate for some users", "classified", True, False),
    ("members-only", "members_only", True, False),
    ("members on level", "members_only", True, False),
    ("in your country", "region_blocked", True, False),
    ("requires payment", "paid", True, False),
    ("Premium members", "paid", True, False),
    ("rivate video", "private", True, False),
    ("video is private", "private", True, False),
    (NOT_A_CLIP, "live", True, False),
    ("Premieres in", "live", True, False),
    ("live event", "live", True, False),
    ("live stream", "live", True, False),
    ("DRM protected", "drm", True, False),
    ("processing this video", "not_ready", False, False),
    ("been removed", "gone", True, False),
    ("been terminated", "gone", True, False),
    ("unavailable", "gone", True, False),
    ("available anymore", "gone", True, False),
    ("Requested format is not available", "no_formats", False, True),
    ("No video formats found", "no_formats", False, True),
    ("Failed to extract any player response", "no_data", False, True),
    ("Failed to parse JSON", "no_data", False, True),
    ("ffmpeg is not installed", "no_ffmpeg", False, False),
)


def check(search: Search) -> None:
    """ffmpeg must be there, and YouTube does not say whether a sound is the uploader's own."""
    if search.original_sound == "drop":
        raise BadSettings("search.original_sound: YouTube does not say whose sound it is; write 'original_sound: keep'")
    if shutil.which("ffmpeg") is None:
        raise MissingExtra("youtube_shorts needs ffmpeg to put picture and sound together; install it, e.g. apt install ffmpeg")


def canonical(url: str) -> str | None:
    """The id in a link: youtu.be/ID, watch?v=ID, /shorts/ID, /embed/ID, on youtube.com or any of its subdomains."""
    try:
        parts = urlsplit(url if "//" in url else f"https://{url}")
    except ValueError:
        return None
    host = (parts.hostname or "").removeprefix("www.")
    if host == "youtu.be":
        found = parts.path[1:].split("/")[0]
    elif any(host == site or host.endswith(f".{site}") for site in _SITES):
        match = _PATH.match(parts.path)
        found = match[1] if match else parse_qs(parts.query).get("v", [""])[0]
    else:
        return None
    return found if _ID.fullmatch(found) else None


def post_url(post_id: str) -> str:
    """The watch page; it shows Shorts and ordinary videos alike."""
    return f"https://www.youtube.com/watch?v={post_id}"


def pages(means: Means, word: str, cursor: str) -> Generator[Page, None, None]:
    """The Shorts among the search results of a word, or on the page of a '#tag'. A Short is what the entry itself calls one.

    cursor: 'TAKEN TOKEN', how many were taken and the site's own token for what follows. Where the site does not know the token
    any more the search begins anew, and as many are passed over.
    """
    lists = Lists()
    with closing(means.downloader([lists], Path())):
        lists.initialize()
        taken, token, skip, seen = *_position(cursor), 0, set[str]()
        try:
            answer = lists.after(word, token, None) if token else lists.first(word)
        except HTTPError as error:
            if not token or error.status not in _STALE:
                raise
            answer, taken, skip = lists.first(word), 0, taken
        while True:
            entries, token, told = lists.read(answer)
            found = [_candidate(entry) for entry in entries if _is_short(entry)]
            taken += len(found)
            if not told and not token:  # a 200 with nothing in it is how the site turns crawlers away
                yield Page(wall="soft_block")
                return
            yield Page(candidates=tuple(found[skip:]), more=bool(token), cursor=f"{taken} {token}" if token else "")
            skip = max(0, skip - len(found))
            if not token or token in seen:
                return
            seen.add(token)
            answer = lists.after(word, token, answer)


def _position(cursor: str) -> tuple[int, str]:
    taken, _, token = cursor.partition(" ")
    return (int(taken), token) if taken.isdigit() else (0, "")


def _is_short(entry: Mapping[str, Any]) -> bool:
    """yt-dlp gives /shorts/ID where the site calls it a Short, and watch?v=ID for any other video."""
    return "/shorts/" in str(entry.get("url")) and bool(_ID.fullmatch(str(entry.get("id"))))


def _candidate(entry: Mapping[str, Any]) -> Candidate:
    """The cards tell no likes, and only some the duration."""
    duration_s = entry.get("duration")
    return Candidate(post_id=str(entry["id"]), duration_s=float(duration_s) if duration_s else None, slideshow=False)


def extractors() -> list[Any]:
    """The one extractor that watch pages need, of Shorts and of other videos."""
    return [OneVideo()]


def details(info: Mapping[str, Any]) -> Details:
    """What the watch page says, from the extractor's unprocessed info dict. likes is None where the uploader hides them.

    A post with one named song has its name as the track; with several, or with none, the fingerprints decide later.
    track_original is False: YouTube does not tell.
    """
    named = list(info["svmbench_songs"])
    if not named and info.get("track"):
        named = [(str(info["track"]), ", ".join(info.get("artists") or ()))]
    title, artist = named[0] if len(named) == 1 else (None, "")
    text = f"{info.get('title') or ''} {info.get('description') or ''}"
    duration_s = info.get("duration")
    return Details(
        post_id=str(info["id"]),
        likes=info.get("like_count"),
        duration_s=float(duration_s) if duration_s else None,
        caption=without_names(text),
        hashtags=_hashtags(text, info.get("tags") or ()),
        track_id=song_key(title, artist) if title else None,
        track_title=title,
        posted_at=_posted_at(info),
        author_key=info.get("channel_id"),
        views=info.get("view_count"),
        comments=info.get("comment_count"),
    )


def song_key(title: str, artist: str) -> str:
    """20 hex digits from the names of song and artist, whatever their case, width and spacing.

    The link on the song's card is not used: it is missing where the song has no page in the visitor's country, and differs
    between releases of one recording. Two recordings under one name share a key, which makes no leak: they stay together.
    """
    plain = [" ".join(unicodedata.normalize("NFKC", name).casefold().split()) for name in (artist, title)]
    return blake2b("\n".join(plain).encode(), digest_size=10).hexdigest()


def _hashtags(text: str, tags: Any) -> tuple[str, ...]:
    """The #words of title and description, then the uploader's tags of one word; each once."""
    words: dict[str, str] = {}
    for word in (*_TAG.findall(text), *(tag for tag in map(str, tags) if len(tag.split()) == 1)):
        words.setdefault(word.casefold(), word)
    return tuple(words.values())


def _posted_at(info: Mapping[str, Any]) -> str | None:
    """The exact time where the page has it, else the beginning of the day."""
    if info.get("timestamp"):
        return datetime.fromtimestamp(info["timestamp"], timezone.utc).isoformat()
    day = str(info.get("upload_date") or "")
    return datetime.strptime(day, "%Y%m%d").replace(tzinfo=timezone.utc).isoformat() if day else None


def classify(error: BaseException) -> Failure:
    """The kind of a failed search or fetch; what YouTube itself says comes first."""
    cause = failures.cause_of(error)
    told = cause if isinstance(cause, YoutubeDLError) else error
    words = " ".join(str(getattr(told, "orig_msg", None) or told).split())
    detail = words.split(" Use --cookies")[0].split("; please report")[0]
    detail = nameless(_CLAIMANT.sub(r"\1 ...", detail))[: failures.DETAIL_MAX]
    for text, kind, permanent, wall in _SAYINGS:
        if text in words:
            return Failure(kind=kind, permanent=permanent, wall=wall, detail=detail)
    return failures.common(error, media=False) or Failure(kind="unknown", permanent=False, detail=detail)
