"""What the embedded platform has on offer: a folder with listings, their media and, for composed posts, the exact truth.

    CATALOGUE/
      listings.jsonl        one Listing a line, in the order of the search results
      truth.jsonl           one mapping a line, key 'post_id'; only for composed posts
      media/NAME.mp4        named by Listing.media; may be a symbolic link to a user's file

The composer and the folder importer write it; the site serves it; tests and reports read the truth.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

# How a listing behaves when it is fetched. 'ok' serves the media. The others are the failure kinds of a real platform.
FATES = (
    "ok", "private", "private_account", "gone", "blocked", "login_wall", "slideshow", "classified", "no_data",
    "challenge", "flaky_503", "media_403", "truncated_once", "truncated",
)  # fmt: skip
# Troubles that a real site has now and then (crawl.replica.odd). The composer deals none of them.
ODD_FATES = (
    "challenge_empty", "odd_data", "page_401", "page_403", "page_404", "page_500", "page_huge", "page_stalls", "page_breaks",
    "page_loops", "page_leads_astray", "page_noindex", "media_404", "media_empty", "media_html", "media_json", "media_stalls",
    "media_breaks", "media_noindex", "media_astray", "media_429_once", "media_503_once", "media_elsewhere", "media_expired_once",
    "media_moved",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """One post of the embedded platform.

    post_id: 19 digits. author: an invented handle. track_id: digits, shared by all posts with the same song. created: Unix time.
    media: path relative to the catalogue, or None for a post without video. words: the searches that find it.
    """

    post_id: str
    author: str
    caption: str
    hashtags: tuple[str, ...]
    words: tuple[str, ...]
    likes: int
    created: int
    track_id: str
    track_title: str
    track_artist: str
    track_original: bool
    track_duration_s: float
    duration_s: float
    width_px: int
    height_px: int
    media: str | None
    fate: str = "ok"


def write(folder: Path, listings: Iterable[Listing], truth: Iterable[dict[str, Any]] = ()) -> None:
    """Writes listings.jsonl and, if given, truth.jsonl."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "listings.jsonl").write_text("".join(json.dumps(asdict(row)) + "\n" for row in listings))
    rows = list(truth)
    if rows:
        (folder / "truth.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def read(folder: Path) -> list[Listing]:
    """The listings in order."""
    return [_listing(json.loads(line)) for line in (folder / "listings.jsonl").read_text().splitlines()]


def _listing(row: dict[str, Any]) -> Listing:
    return Listing(**{**row, "hashtags": tuple(row["hashtags"]), "words": tuple(row["words"])})


def read_truth(folder: Path) -> dict[str, dict[str, Any]]:
    """post_id -> truth; empty where the catalogue was not composed."""
    path = folder / "truth.jsonl"
    return {row["post_id"]: row for row in map(json.loads, path.read_text().splitlines())} if path.is_file() else {}
