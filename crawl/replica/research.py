"""The embedded platform's research API, as TikTok documents its own: client tokens, conditions, at most 30 days a request, pages
with a search id, errors. It serves the same catalogue as the site, and no media.

Credentials: KEY and SECRET give tokens; TOKEN is good at once. The wall of a word is the end of the day's quota; a wall for the
word REVOKED makes every token void that was given before.
"""

from __future__ import annotations

import json
import secrets
import threading
from collections.abc import Mapping
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

from crawl.replica import catalogue
from crawl.replica.catalogue import Listing
from crawl.replica.gate import Gate
from crawl.replica.items import counts
from crawl.replica.pages import Answer, Request

HOST = "open.tiktokapis.com"
KEY, SECRET, TOKEN = "replica-key", "replica-secret", "clt.replica"
REVOKED = "every token"
TOKEN_LIFE_S = 7200  # as TikTok's
COUNT_MAX, DAYS_MAX = 100, 30  # as TikTok's
FIELDS = (
    "id", "video_description", "create_time", "region_code", "share_count", "view_count", "like_count", "comment_count",
    "music_id", "hashtag_names", "username", "effect_ids", "playlist_id", "voice_to_text", "is_stem_verified", "favorites_count",
    "video_duration",
)  # fmt: skip
GONE = ("private", "private_account", "gone", "classified")  # fates that the API leaves out of its answers


class Research:
    """The API over one catalogue. Thread-safe."""

    HOSTS = frozenset({HOST})

    def __init__(self, folder: Path, requests_per_s: float | None) -> None:
        self._listings = catalogue.read(folder)
        self._tokens, self._searches = {TOKEN}, set[str]()
        self._gate, self._lock = Gate(requests_per_s), threading.Lock()

    def set_wall(self, word: str, after: int | None) -> None:
        """The quota ends after so many posts of this word; for REVOKED tokens and searches are forgotten. None takes it away."""
        if word != REVOKED:
            self._gate.set_wall(word, after)
            return
        with self._lock:
            self._tokens, self._searches = set() if after is not None else {TOKEN}, set()

    def answer(self, request: Request) -> Answer:
        """The answer to a request for one of HOSTS."""
        if request.path == "/robots.txt":
            return Answer(kind="robots", status=404, mime="text/plain")
        with self._lock:
            if request.method == "POST" and request.path == "/v2/oauth/token/":
                return self._token(dict(parse_qsl(request.body.decode("utf-8", "replace"))))
            if request.method == "POST" and request.path == "/v2/research/video/query/":
                return self._query(request)
        return _error("research_other", 404, "invalid_params", "Unsupported path(Janus)")

    def _token(self, form: Mapping[str, str]) -> Answer:
        said = form.get("client_key"), form.get("client_secret"), form.get("grant_type")
        if said != (KEY, SECRET, "client_credentials"):
            told = {"error": "invalid_client", "error_description": "Client key or secret is incorrect.", "log_id": "1"}
            return _json("research_token", 401, told)
        token = f"clt.{secrets.token_hex(12)}"
        self._tokens.add(token)
        return _json("research_token", 200, {"access_token": token, "expires_in": TOKEN_LIFE_S, "token_type": "Bearer"})

    def _query(self, request: Request) -> Answer:
        kind = "research_query"
        if not self._gate.passes():
            return _error(kind, 429, "rate_limit_exceeded", "The API rate limit was exceeded. Please try again later.")
        if request.headers.get("Authorization", "").removeprefix("Bearer ") not in self._tokens:
            return _error(kind, 401, "access_token_invalid", "The access token is invalid or not found in the request.")
        fields = request.query.get("fields", "").split(",")
        try:
            body = json.loads(request.body)
            problem = _problem(body, fields)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            problem = f"Request body cannot be read ({type(error).__name__})"
        if problem:
            return _error(kind, 400, "invalid_params", problem)
        return self._found(body, fields)

    def _found(self, body: Mapping[str, Any], fields: list[str]) -> Answer:
        kind, index, search_id = "research_query", int(body.get("cursor", 0)), str(body.get("search_id") or "")
        if search_id and search_id not in self._searches:
            return _error(kind, 400, "invalid_params", f"Search Id {search_id} is invalid or expired")
        condition = body["query"]["and"][0]
        value = str(condition["field_values"][0])
        if self._gate.walled(value, index):
            return _error(kind, 429, "daily_quota_limit_exceeded", "The daily quota of requests is exceeded.")
        matches = [row for row in self._listings if _matches(row, condition["field_name"], value, body)]
        shown = matches[index : index + int(body.get("max_count", 20))]
        if any(row.fate == "flaky_503" and not self._gate.visits(row.post_id) for row in shown):
            return _error(kind, 500, "internal_error", "Something went wrong. Please try again later.")
        search_id = search_id or str(secrets.randbits(62))
        self._searches.add(search_id)
        videos = [{k: v for k, v in _video(row).items() if k in fields} for row in shown if row.fate not in GONE]
        index += len(shown)
        data = {"videos": videos, "cursor": index, "has_more": index < len(matches), "search_id": search_id}
        return _json(kind, 200, {"data": data, "error": {"code": "ok", "message": "", "log_id": "1"}})


def _problem(body: Mapping[str, Any], fields: list[str]) -> str:
    """What is wrong with a query, '' if nothing is."""
    if unknown := [name for name in fields if name not in FIELDS]:
        return f"Invalid fields: {', '.join(unknown)}"
    conditions = body["query"]["and"]
    if [c["field_name"] for c in conditions] not in (["keyword"], ["hashtag_name"]) or conditions[0]["operation"] != "EQ":
        return "Invalid query: this API knows one condition, keyword or hashtag_name"
    first, last = _day(body["start_date"]), _day(body["end_date"])
    if last < first or last - first > timedelta(days=DAYS_MAX):
        return f"The end_date must be no more than {DAYS_MAX} days after the start_date"
    if not 1 <= int(body.get("max_count", 20)) <= COUNT_MAX:
        return "Invalid count or cursor"
    return ""


def _day(text: str) -> datetime:
    return datetime.strptime(text, "%Y%m%d").replace(tzinfo=timezone.utc)


def _matches(row: Listing, field_name: str, value: str, body: Mapping[str, Any]) -> bool:
    first, last = _day(body["start_date"]).timestamp(), _day(body["end_date"]).timestamp() + 86_400
    if not first <= row.created < last:
        return False
    if field_name == "hashtag_name":
        return value in row.hashtags
    return value.casefold() in (word.casefold() for word in row.words) or value.casefold() in row.caption.casefold()


def _video(row: Listing) -> dict[str, Any]:
    """A listing as the API's Video object."""
    numbers = counts(row)
    return {
        "id": int(row.post_id), "video_description": row.caption, "create_time": row.created, "region_code": "US",
        "like_count": numbers["diggCount"], "view_count": numbers["playCount"], "share_count": numbers["shareCount"],
        "comment_count": numbers["commentCount"], "favorites_count": numbers["collectCount"], "music_id": int(row.track_id),
        "hashtag_names": list(row.hashtags), "username": row.author, "video_duration": round(row.duration_s),
    }  # fmt: skip


def _error(kind: str, status: int, code: str, message: str) -> Answer:
    return _json(kind, status, {"data": {}, "error": {"code": code, "message": message, "log_id": "1"}})


def _json(kind: str, status: int, value: Any) -> Answer:
    return Answer(kind=kind, status=status, body=json.dumps(value), mime="application/json; charset=utf-8")
