"""Troubles of single posts that a real site has now and then: catalogue.ODD_FATES. Composed catalogues have none of them.

What makes an answer differ from the usual one is given as fields of crawl.replica.pages.Answer.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from crawl.replica.documents import document
from crawl.replica.items import MEDIA_HOST

HUGE_BYTES = 50 * 2**20
STALL_S = 4.0  # longer than the tests' time limit for a silent connection; ours
WAIT = (("Retry-After", "1"),)
Fields = dict[str, Any]

PAGES: dict[str, Callable[[str], Fields]] = {
    "challenge_empty": lambda path: {"body": document("Please wait...", "Please wait...")},
    "page_401": lambda path: {"status": 401, "body": document("Who are you?", "")},
    "page_403": lambda path: {"status": 403, "body": document("Not for you", "")},
    "page_404": lambda path: {"status": 404, "body": document("Nothing here", "")},
    "page_500": lambda path: {"status": 500, "body": document("Broken", "")},
    "page_huge": lambda path: {"body": document("Video", " " * HUGE_BYTES)},
    "page_stalls": lambda path: {"wait_s": STALL_S},
    "page_breaks": lambda path: {"hang_up": True},
    "page_loops": lambda path: {"status": 302, "headers": (("Location", path),)},
    "page_leads_astray": lambda path: {"status": 302, "headers": (("Location", "/internal/post"),)},
    "page_noindex": lambda path: {"headers": (("X-Robots-Tag", "noindex"),), "body": document("Video", "")},
}
MEDIA: dict[str, Callable[[str], Fields]] = {
    "media_404": lambda path: {"status": 404},
    "media_empty": lambda path: {"mime": "video/mp4"},
    "media_html": lambda path: {"body": document("Sorry", "<p>Something went wrong.</p>")},
    "media_json": lambda path: {"body": json.dumps({"code": 10000, "message": "denied"}), "mime": "application/json"},
    "media_stalls": lambda path: {"wait_s": STALL_S},
    "media_breaks": lambda path: {"hang_up": True},
    "media_noindex": lambda path: {"headers": (("X-Robots-Tag", "noai"),)},
    "media_astray": lambda path: {"status": 302, "headers": (("Location", "https://www.tiktok.com/internal/file"),)},
}
ONCE: dict[str, Callable[[str], Fields]] = {  # at the first request for the media
    "media_429_once": lambda path: {"status": 429, "headers": WAIT},
    "media_503_once": lambda path: {"status": 503, "headers": WAIT},
}


LINKS = {  # what of the media's address is replaced by what; {visits}: times that the post's page was shown before
    "odd_data": (f"https://{MEDIA_HOST}/", "https://[broken/"),
    "media_elsewhere": (MEDIA_HOST, "v99-webapp.us.tiktok.com"),
    "media_expired_once": ("mime_type=", "visits={visits}&mime_type="),
    "media_moved": ("mime_type=", "old=1&mime_type="),
}


def item_of(fate: str, item: dict[str, Any], visits: int) -> dict[str, Any]:
    """The item of a post with this fate."""
    if fate not in LINKS:
        return item
    old, new = LINKS[fate]
    return {**item, "video": json.loads(json.dumps(item["video"]).replace(old, new.format(visits=visits)))}


def media(fate: str, path: str, query: str, first: bool) -> Fields | None:
    """How the answer to a request for the media differs, None where it does not. first: nobody asked before."""
    if fate == "media_moved" and "old=1" in query:
        return {"status": 301, "headers": (("Location", f"{path}?{query.replace('old=1&', '')}"),)}
    if fate == "media_expired_once" and "visits=0" in query:
        return {"status": 403}
    if fate in ONCE:
        return ONCE[fate](path) if first else None
    return MEDIA[fate](path) if fate in MEDIA else None
