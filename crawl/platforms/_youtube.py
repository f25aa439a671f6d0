"""yt-dlp's YouTube extractors, made to ask as little as possible, to say why they stop, and to keep what a music dataset needs.

Measured with yt-dlp 2026.10.26: one video costs two requests before its media, the watch page (likes, music, time of posting)
and one call of the player's API. What is overridden here is private to yt-dlp; a test fails when it moves.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

from yt_dlp.extractor.youtube import YoutubeIE, YoutubeTabIE
from yt_dlp.extractor.youtube._base import YoutubeBaseInfoExtractor
from yt_dlp.networking.exceptions import RequestError
from yt_dlp.utils import ExtractorError

NAMES: Mapping[str, Any] = json.loads(Path(__file__).with_name("youtube_shorts.json").read_text())
# The one player client that yt-dlp asks where there is no JavaScript runtime; no player script, no manifests, no other languages.
SETTINGS = {
    "player_client": YoutubeIE._DEFAULT_JSLESS_CLIENTS[:1],
    "player_skip": ("configs", "js"),
    "skip": ("hls", "dash", "translated_subs"),
}
# Up to 720 lines, in the most portable codecs: ours. Curation makes the picture smaller.
SORT = ("res:720", "vcodec:h264", "acodec:aac", "quality", "fps")
UNUSED = ("thumbnails", "thumbnail", "subtitles", "automatic_captions")  # yt-dlp makes tables of them, for nobody
LIVE = ("is_live", "is_upcoming", "post_live")
NOT_A_CLIP = "This is a live stream or a premiere, not a clip"
ROUNDED = re.compile(r"\d\s*(?:[KMB]\b|thousand|million|billion)", re.IGNORECASE)
ONLY_A_TRAILER = "This video requires payment; only its trailer is free"


class Direct(YoutubeBaseInfoExtractor):
    """An extractor that ends at the first request that fails, with the failure itself; yt-dlp's own goes on asking without it."""

    def _request_webpage(self, *args: Any, **kwargs: Any) -> Any:
        try:
            return super()._request_webpage(*args, **kwargs)
        except ExtractorError as error:
            if isinstance(error.cause, RequestError):
                raise error.cause from error
            raise


class OneVideo(Direct, YoutubeIE):
    """A video or a Short, with 'svmbench_songs' beside yt-dlp's own facts: (title, artist) of each song in the music panel."""

    IE_NAME = "youtube"
    _page_data: Any = None

    @classmethod
    def ie_key(cls) -> str:
        return "Youtube"

    def _configuration_arg(self, key: str, *args: Any, **kwargs: Any) -> Any:
        return list(SETTINGS[key]) if key in SETTINGS else super()._configuration_arg(key, *args, **kwargs)

    @staticmethod
    def _is_agegated(player_response: Any) -> bool:
        """No: an age gate is not to be gone around, and the way around it would be two more requests."""
        return False

    def _download_initial_data(self, *args: Any, **kwargs: Any) -> Any:
        self._page_data = super()._download_initial_data(*args, **kwargs)
        return self._page_data

    def _real_extract(self, url: str) -> dict[str, Any]:
        self._page_data = None
        info = super()._real_extract(url)
        if info.get("_type", "video") != "video":
            raise ExtractorError(ONLY_A_TRAILER, expected=True)
        if info.get("live_status") in LIVE:
            raise ExtractorError(NOT_A_CLIP, expected=True)
        kept = {key: value for key, value in info.items() if key not in UNUSED}
        if likes_are_rounded(self._page_data):
            kept["like_count"] = None
        return {**kept, "_format_sort_fields": SORT, "svmbench_songs": songs(self._page_data)}


class Lists(Direct, YoutubeTabIE):
    """Search results and tag pages, one answer at a time: of a '#word' the tag's page, of any other word a search for Shorts."""

    def first(self, word: str) -> Any:
        """The first answer."""
        if not word.startswith("#"):
            return self._extract_response(word, {"query": word, "params": NAMES["search_params"]}, ep="search")
        page = self._download_webpage(NAMES["tag_url"].format(name=quote(word[1:])), word)
        return self.extract_yt_initial_data(word, page, fatal=False) or {}

    def after(self, word: str, token: str, before: Any) -> Any:
        """The answer that goes on where a token says. before: the answer that had it, None where it was kept from another day."""
        headers = self.generate_api_headers(visitor_data=self._extract_visitor_data(before))
        endpoint = "browse" if word.startswith("#") else "search"
        return self._extract_response(word, {"continuation": token}, ep=endpoint, headers=headers)

    def read(self, answer: Any) -> tuple[list[dict[str, Any]], str, bool]:
        """(yt-dlp's flat entries, token of the next answer or '', whether the answer says anything at all).

        Cards are taken wherever they stand, but in advertisements: shelves around them come and go, and yt-dlp knows only some.
        """
        cards = [{key: node} for key, node in named(answer, *NAMES["cards"], *NAMES["ads"])]  # yt-dlp finds nothing in an ad's
        entries = [entry for card in cards for entry in self._rich_entries({"content": card}) if entry]
        tokens = [self._extract_continuation({"contents": [{key: node}]}) for key, node in named(answer, NAMES["next"])]
        token = next((told["continuation"] for told in reversed(tokens) if told), "")
        return entries, token, bool(entries) or any(True for _ in named(answer, *NAMES["ends"]))


def named(node: Any, *names: str) -> Iterator[tuple[str, Any]]:
    """Every (name, value) with one of these names, in the order of the document; nothing is looked for inside them."""
    if isinstance(node, list):
        for value in node:
            yield from named(value, *names)
    elif isinstance(node, dict):
        for key, value in node.items():
            if key in names:
                yield key, value
            else:
                yield from named(value, *names)


def likes_are_rounded(page_data: Any) -> bool:
    """Whether the label of the like button says '1.2K' or '1.2 million', which decides no threshold; it used to be exact."""
    labels = [str(text) for _, button in named(page_data, NAMES["likes"]) for _, text in named(button, NAMES["likes_label"])]
    return bool(labels) and bool(ROUNDED.search(labels[0]))


def songs(page_data: Any) -> list[tuple[str, str]]:
    """(title, artist) of each song in the music panel of a watch page, which yt-dlp does not read; each once."""
    panels = page_data.get("engagementPanels") if isinstance(page_data, dict) else None
    found: dict[tuple[str, str], None] = {}
    for _, shelf in named(panels, NAMES["song_lists"]):
        heading = "".join(str(text) for _, text in named(shelf.get("header"), "simpleText", "text"))
        if heading and heading.casefold() != NAMES["song_list_title"]:
            continue
        for _, card in named(shelf.get("cards"), NAMES["song"]):
            title, artist = card.get("title"), card.get("subtitle")
            if isinstance(title, str) and isinstance(artist, str) and title.strip():
                found[title.strip(), artist.strip()] = None
    return list(found)
