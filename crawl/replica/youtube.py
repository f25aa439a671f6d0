"""The embedded YouTube: search, tag pages, watch pages, the player's API and the media, over the catalogue of the other sites.

The real yt-dlp talks to it. Each fate of catalogue.FATES shows as YouTube would show it (youtube_answers.FATES), as far as public
extractors tell; the real site was never asked. Search answers mix both kinds of a Short's card with an ordinary video, no post.
"""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from crawl.replica import catalogue
from crawl.replica.catalogue import Listing
from crawl.replica.gate import Gate
from crawl.replica.pages import Answer, Request, file_answer
from crawl.replica.youtube_answers import MEDIA_HOST, SITE_HOST, html, player, results, tag_page, video_id, watch_data
from crawl.replica.youtube_streams import MIME, streams_of

PAGE_ITEMS = 20  # Shorts in one answer; ours, near what extractors report
# The real one forbids /youtubei/ and /results; a demonstration that obeyed that would show nothing.
ROBOTS = "User-agent: *\nAllow: /watch\nAllow: /hashtag/\nAllow: /youtubei/v1/\nDisallow: /api/\nCrawl-delay: 0.02\n"


class YouTube:
    """The site over one catalogue. Thread-safe."""

    HOSTS = frozenset({SITE_HOST, MEDIA_HOST})

    def __init__(self, folder: Path, requests_per_s: float | None) -> None:
        self._folder = folder
        self._listings = {video_id(row.post_id): row for row in catalogue.read(folder)}
        self._gate = Gate(requests_per_s)

    def set_wall(self, word: str, after: int | None) -> None:
        """The search for this word gets answers without content after so many posts; None takes the wall away."""
        self._gate.set_wall(word, after)

    def answer(self, request: Request) -> Answer:
        """The answer to a request for one of HOSTS."""
        path = request.path
        if path == "/robots.txt":
            return Answer(kind="robots", body=ROBOTS, mime="text/plain")
        if request.host == MEDIA_HOST:
            return self._media(request)
        kind = _kind(path)
        if not self._gate.passes():
            return Answer(kind=kind, status=429, body=html("Sorry", "unusual traffic"), headers=(("Retry-After", "1"),))
        if kind == "search_api":
            return self._search(kind, _body(request))
        if kind == "search_page":
            return self._tag(unquote(path.split("/")[2]))
        if kind == "video_page":
            return self._watch(request.query.get("v", ""))
        if kind == "player_api":
            return self._player(str(_body(request).get("videoId", "")))
        return Answer(kind=kind, status=200 if path == "/" else 404, body=html("svmbench embedded platform", ""))

    def _search(self, kind: str, asked: dict[str, Any]) -> Answer:
        """A search, or what follows one or a tag page: a token is 'WORD OFFSET'."""
        word, offset = str(asked.get("query", "")), 0
        token = str(asked.get("continuation", ""))
        if token:
            word, _, place = token.rpartition(" ")
            if not place.isdecimal():
                return _json(kind, {"error": {"code": 400, "message": "Request contains an invalid argument."}}, 400)
            offset = int(place)
        return _json(kind, self._results(word, offset, bool(token)))

    def _tag(self, name: str) -> Answer:
        return Answer(kind="search_page", body=html(f"#{name}", "", ytInitialData=tag_page(self._results(f"#{name}", 0, False))))

    def _results(self, word: str, offset: int, following: bool) -> dict[str, Any]:
        if self._gate.walled(word, offset):
            return {"responseContext": {}}
        found = [row for row in self._listings.values() if _answers(row, word.casefold())]
        shown = found[offset : offset + PAGE_ITEMS]
        stop = offset + len(shown)
        return results(word, shown, f"{word} {stop}" if stop < len(found) else "", following)

    def _watch(self, name: str) -> Answer:
        listing = self._listings.get(name)
        if listing and listing.fate == "flaky_503" and not self._gate.visits(f"page {name}"):
            return Answer(kind="video_page", status=503, body=html("Busy", ""), headers=(("Retry-After", "1"),))
        page = html("Video", "", ytInitialPlayerResponse=player(name, listing, None), ytInitialData=watch_data(listing))
        return Answer(kind="video_page", body=page)

    def _player(self, name: str) -> Answer:
        listing = self._listings.get(name)
        file = self._file(listing) if listing else None
        streams = streams_of(self._folder, listing.post_id, file) if listing and file else ()
        return _json("player_api", player(name, listing, streams))

    def _file(self, listing: Listing) -> Path | None:
        """The media of a post; None for a post without, and where a user's file has gone."""
        file = self._folder / listing.media if listing.media else None
        return file if file and os.access(file, os.R_OK) else None

    def _media(self, request: Request) -> Answer:
        match = re.fullmatch(r"/videoplayback/([\w-]{11})/(\d+)", request.path)
        listing = self._listings.get(match[1]) if match else None
        file = self._file(listing) if listing else None
        if not match or not listing or not file:
            return Answer(kind="media", status=404)
        stream = next((s for s in streams_of(self._folder, listing.post_id, file) if str(s.itag) == match[2]), None)
        if stream is None:
            return Answer(kind="media", status=404)
        if listing.fate == "media_403":
            return Answer(kind="media", status=403)
        short = listing.fate == "truncated" or (listing.fate == "truncated_once" and not self._gate.visits(request.path))
        return file_answer(request, stream.path, MIME[stream.kind], short)


def _answers(row: Listing, word: str) -> bool:
    """Whether a search finds the post; a '#tag' finds its hashtags too."""
    words = {*row.words, *(f"#{tag}" for tag in row.hashtags)} if word.startswith("#") else row.words
    return word in map(str.casefold, words)


def _kind(path: str) -> str:
    if path in ("/youtubei/v1/search", "/youtubei/v1/browse"):
        return "search_api"
    if path == "/youtubei/v1/player":
        return "player_api"
    if re.fullmatch(r"/hashtag/[^/]+/shorts", path):
        return "search_page"
    if path == "/watch":
        return "video_page"
    return "disallowed" if path.startswith("/api/") else "other"


def _body(request: Request) -> dict[str, Any]:
    try:
        value = json.loads(request.body or b"{}")
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def _json(kind: str, value: Any, status: int = 200) -> Answer:
    return Answer(kind=kind, status=status, body=json.dumps(value), mime="application/json")
