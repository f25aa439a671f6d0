"""TikTok's research API, the route that TikTok itself opens to non-profit researchers who apply for it. It tells of posts and
gives no media: the posts of such a run have no file. `svmbench crawl RECIPE_WITH_ids RUN` then fetches the files of that run.

search.words are keywords, '#word' a hashtag; search.since and search.until are needed. The API searches at most 30 days at once,
so a longer span is asked for in pieces. The client token comes from the environment and is kept nowhere else: either
SVMBENCH_RESEARCH_TOKEN, which TikTok lets live for two hours, or SVMBENCH_RESEARCH_KEY and SVMBENCH_RESEARCH_SECRET, for which a
new token is asked whenever one is needed. On a cluster they must be set on each machine.

Requests, fields and errors: developers.tiktok.com/doc/research-api-specs-query-videos, .../doc/client-access-token-management,
.../doc/tiktok-api-v2-error-handling, .../doc/research-api-faq (1,000 requests a day, renewed at 00:00 UTC). TERMS say how long
what was collected may be kept, and that it is to be refreshed.
"""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta, timezone
from http.client import HTTPException
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode
from urllib.request import Request

from crawl import failures
from crawl.platforms import Candidate, Details, Page, without_names
from crawl.platforms.tiktok import canonical, post_url
from crawl.retry_after import retry_after_s
from svmbench.errors import BadSettings, Blocked, DownloadFailed, Failure
from svmbench.recipe import Search

if TYPE_CHECKING:
    from crawl.means import Heard, Means

__all__ = ["canonical", "post_url"]

SITE = "tiktok"
HOST = "open.tiktokapis.com"
HOSTS = (HOST,)
TERMS = "https://www.tiktok.com/legal/page/global/terms-of-service-research-api/en"
SEARCH, MEDIA, PAGE_ITEMS, REPLICA = "pages", "none", 100, True  # 100: the API's own max_count

DAYS_MAX = 30  # "end_date must be no more than 30 days after the start_date"
FIELDS = (
    "id", "video_description", "create_time", "like_count", "comment_count", "share_count", "view_count", "favorites_count",
    "music_id", "hashtag_names", "username", "video_duration",
)  # fmt: skip
TOKEN, KEY, SECRET = "SVMBENCH_RESEARCH_TOKEN", "SVMBENCH_RESEARCH_KEY", "SVMBENCH_RESEARCH_SECRET"  # names in the environment
EARLY_S = 60.0  # ours: a token is renewed so long before its end
_STALE = re.compile(r"Search Id \S* ?is invalid or expired", re.IGNORECASE)  # what the API says of a search that it has forgotten
_NOT_READY = "Invalid count or cursor"  # what it says while it still prepares the next results


def check(search: Search) -> None:
    """BadSettings without a span of time, or without a token in the environment."""
    if search.since is None or search.until is None:
        raise BadSettings("search.since, search.until: the research API searches a span of days; write both, as 2026-01-31")
    if search.since > search.until:
        raise BadSettings(f"search.until: {search.until} is before search.since, {search.since}")
    if not (os.environ.get(TOKEN) or (os.environ.get(KEY) and os.environ.get(SECRET))):
        raise BadSettings(
            f"the research API needs {TOKEN}, or {KEY} and {SECRET}, in the environment; TikTok gives them on application"
        )


def classify(error: BaseException) -> Failure:
    """What is not an answer of the API, which raises DownloadFailed itself."""
    return failures.common(error, media=False) or Failure(kind="unknown", permanent=False, detail=str(error)[:200])


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a search goes on: the first day of the piece that is read, the API's index in it, and its name for this search."""

    day: date
    index: int = 0
    search_id: str = ""

    def __str__(self) -> str:
        return f"{self.day.isoformat()} {self.index} {self.search_id}"

    @classmethod
    def read(cls, cursor: str, since: date) -> _Place:
        if not cursor:
            return cls(since)
        day, index, search_id = cursor.split(" ")
        return cls(date.fromisoformat(day), int(index), search_id)


def pages(means: Means, word: str, cursor: str) -> Iterator[Page]:
    """The posts of a word, piece after piece of the span; a piece whose search the API has forgotten is read anew."""
    since, until = means.recipe.search.since, means.recipe.search.until
    assert since
    assert until
    api, place = _Api(means), _Place.read(cursor, since)
    while place.day <= until:
        last = min(place.day + timedelta(days=DAYS_MAX), until)
        try:
            found = api.search(word, place, last)
        except _Forgotten:
            place = _Place(place.day)
            continue
        if found.get("has_more"):
            index = int(found.get("cursor") or 0)
            if index <= place.index:
                raise DownloadFailed(Failure(kind="stalled", permanent=False, detail=f"has_more, and no progress beyond {index}"))
            place = replace(place, index=index, search_id=str(found.get("search_id") or ""))
        else:
            place = _Place(last + timedelta(days=1))
        candidates = tuple(_candidate(video) for video in found.get("videos") or ())
        yield Page(candidates=candidates, more=place.day <= until, cursor=str(place))


def _candidate(video: Mapping[str, Any]) -> Candidate:
    """Everything that there is to know. The user's name leaves only as a hash; those of others are cut out of the caption."""
    likes, seconds = video.get("like_count"), video.get("video_duration")
    created = video.get("create_time")
    details = Details(
        post_id=str(video["id"]),
        likes=likes,
        duration_s=float(seconds) if seconds else None,
        caption=without_names(str(video.get("video_description") or "")),
        hashtags=tuple(str(tag) for tag in video.get("hashtag_names") or ()),
        track_id=str(video["music_id"]) if video.get("music_id") else None,
        posted_at=datetime.fromtimestamp(int(created), timezone.utc).isoformat() if created else None,
        author_key=video.get("username") or None,
        views=video.get("view_count"),
        comments=video.get("comment_count"),
        shares=video.get("share_count"),
        saves=video.get("favorites_count"),
    )
    return Candidate(
        post_id=details.post_id, likes=likes, likes_exact=likes is not None, duration_s=details.duration_s, details=details
    )


class _Forgotten(Exception):
    """The API does not know the search id any more."""


class _Refusal(Exception):
    """The API does not take the token. code: its word for it."""

    def __init__(self, code: str) -> None:
        self.code = code
        super().__init__(code)


class _Api:
    """Asks, with a token that is renewed when it ends or is refused."""

    def __init__(self, means: Means) -> None:
        self._means = means
        self._token, self._until_s = os.environ.get(TOKEN) or "", float("inf")
        self._key, self._secret = os.environ.get(KEY) or "", os.environ.get(SECRET) or ""

    def search(self, word: str, place: _Place, last: date) -> Mapping[str, Any]:
        """One answer: videos, has_more, cursor, search_id."""
        name, value = ("hashtag_name", word[1:]) if word.startswith("#") else ("keyword", word)
        body: dict[str, Any] = {
            "query": {"and": [{"operation": "EQ", "field_name": name, "field_values": [value]}]},
            "start_date": f"{place.day:%Y%m%d}", "end_date": f"{last:%Y%m%d}", "max_count": PAGE_ITEMS,
        }  # fmt: skip
        if place.search_id:
            body |= {"cursor": place.index, "search_id": place.search_id}
        for renew in (False, True):
            token = self._current(renew)
            try:
                return self._read(self._post("/v2/research/video/query/?fields=" + ",".join(FIELDS), json.dumps(body), token))
            except _Refusal as refusal:
                if renew or not (self._key and self._secret):
                    raise BadSettings(self._unwelcome(refusal.code)) from None
        raise AssertionError("the second refusal ends the loop")

    def _unwelcome(self, code: str) -> str:
        names = f"{KEY} and {SECRET}" if self._key and self._secret else TOKEN
        what = (
            "make a new one, it lives for two hours" if code == "access_token_invalid" else "see what TikTok granted your project"
        )
        return f"TikTok's research API refuses the token of {names} ({code}); {what}, and run the same command again"

    def _current(self, renew: bool) -> str:
        """A token that should be good. One from the environment is used until it is refused."""
        if not self._token or renew or time.monotonic() > self._until_s:
            form = {"client_key": self._key, "client_secret": self._secret, "grant_type": "client_credentials"}
            answer = _json(self._post("/v2/oauth/token/", urlencode(form), ""))
            if not answer.get("access_token"):
                raise BadSettings(
                    f"TikTok refuses {KEY} and {SECRET} ({self._clean(answer.get('error'))}); copy them from your project"
                )
            self._token = str(answer["access_token"])
            self._until_s = time.monotonic() + float(answer.get("expires_in") or 0) - EARLY_S
        return self._token

    def _post(self, path: str, body: str, token: str) -> Heard:
        """Trouble of the server's own is raised here."""
        request = Request(f"https://{HOST}{path}", data=body.encode(), method="POST")
        request.add_header("Content-Type", "application/json" if token else "application/x-www-form-urlencoded")
        if token:
            request.add_unredirected_header("Authorization", f"Bearer {token}")
        try:
            heard = self._means.ask(request)
        except HTTPException as error:
            raise DownloadFailed(Failure(kind="network", permanent=False, detail=type(error).__name__)) from error
        if heard.status == 429:
            self._too_many(heard)
        if heard.status >= 500:
            raise DownloadFailed(Failure(kind="server_error", permanent=False, detail=self._said(heard)))
        return heard

    def _too_many(self, heard: Heard) -> None:
        code = _error(heard).get("code")
        if code == "daily_quota_limit_exceeded":
            raise Blocked("the day's requests to TikTok's research API are used up; run the same command again after 00:00 UTC")
        after_s = retry_after_s({name.lower(): value for name, value in heard.headers.items()}.get("retry-after"), time.time())
        raise DownloadFailed(
            Failure(kind="throttled", permanent=False, wall=True, retry_after_s=after_s, detail=self._said(heard))
        )

    def _read(self, heard: Heard) -> Mapping[str, Any]:
        """The data of an answer, or its error."""
        code, message = str(_error(heard).get("code") or ""), self._message(heard)
        if heard.status == 200 and code == "ok":
            return dict(_json(heard).get("data") or {})
        if heard.status == 401:
            raise _Refusal(self._clean(code))
        if _STALE.search(message):
            raise _Forgotten
        if _NOT_READY in message:
            raise DownloadFailed(Failure(kind="not_ready", permanent=False, detail=message))
        kind = code if re.fullmatch(r"[a-z_]{3,40}", code) and code != "ok" else f"http_{heard.status}"
        raise DownloadFailed(Failure(kind=kind, permanent=400 <= heard.status < 500, detail=message))

    def _said(self, heard: Heard) -> str:
        return f"HTTP {heard.status} {self._message(heard)}".strip()

    def _message(self, heard: Heard) -> str:
        return self._clean(_error(heard).get("message"))

    def _clean(self, text: Any) -> str:
        """What the server said, in one short line without our secrets."""
        said = " ".join(str(text or "").split())
        for secret in filter(None, (self._token, self._key, self._secret)):
            said = said.replace(secret, "...")
        return said[:200]


def _json(heard: Heard) -> dict[str, Any]:
    try:
        value = json.loads(heard.body)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def _error(heard: Heard) -> dict[str, Any]:
    error = _json(heard).get("error")
    return error if isinstance(error, dict) else {}
