"""The HTML of the embedded platform, apart from the search page, which is search.html."""

from __future__ import annotations

import base64
import hashlib
import json
from html import escape
from typing import Any

CHALLENGE_COOKIE = "_wafchallengeid"
CHALLENGE_SIZE = 10_000  # numbers that a visitor must try at most; ours. The extractor tries up to a million.
FOOTER = "svmbench embedded platform: a demonstration site on this machine"
LAYOUT = (
    '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title><link rel="icon" href="data:,"></head>'
    "<body><main>{body}</main><footer>{footer}</footer></body></html>"
)


def document(title: str, body: str) -> str:
    """A page; body is HTML."""
    return LAYOUT.format(title=escape(title), body=body, footer=FOOTER)


def video_page(detail: dict[str, Any]) -> str:
    """The page of a post, with its data as JSON in a script element; no caption can close the element."""
    data = json.dumps({"__DEFAULT_SCOPE__": {"webapp.video-detail": detail}})
    data = data.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
    script = f'<script id="__UNIVERSAL_DATA_FOR_REHYDRATION__" type="application/json">{data}</script>'
    post = detail["itemInfo"].get("itemStruct", {})
    if "stats" not in post:
        return document("Video", f"<p>This post is not available.</p>{script}")
    shown = (
        f'<h1 data-e2e="browse-video-desc">{escape(post["desc"])}</h1>'
        f'<p data-e2e="browse-music">{escape(post["music"]["title"])}</p>'
        f'<p><strong data-e2e="like-count">{post["stats"]["diggCount"]}</strong> likes</p>'
    )
    return document("Video", shown + script)


def challenge(post_id: str) -> str:
    """The page that asks for the number behind a SHA-256 digest before it shows the post."""
    prefix, number = _secret(post_id)
    digest = hashlib.sha256(prefix + number).digest()
    task = {"v": {"a": base64.b64encode(prefix).decode(), "c": base64.b64encode(digest).decode()}}
    puzzle = base64.b64encode(json.dumps(task).encode()).decode().rstrip("=")
    return document(
        "Please wait...", f'Please wait...<p id="cs" class="{puzzle}"></p><p id="wci" class="{CHALLENGE_COOKIE}"></p>'
    )


def solved(cookie: str, post_id: str) -> bool:
    """Whether the value of CHALLENGE_COOKIE holds the number."""
    try:
        answer = base64.b64decode(json.loads(base64.b64decode(cookie))["d"])
    except (ValueError, KeyError, TypeError):
        return False
    return answer == _secret(post_id)[1]


def _secret(post_id: str) -> tuple[bytes, bytes]:
    """Prefix and number of the challenge; the visitor is told the prefix."""
    return b"svmbench" + post_id.encode(), str(int(post_id) % CHALLENGE_SIZE).encode()
