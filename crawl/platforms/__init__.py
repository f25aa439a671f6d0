"""One file a platform; the file name is the name that a recipe uses. Here: what such a file must have, the rows it deals in,
and the rules of the recipe that can be judged from them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from svmbench.errors import Failure
from svmbench.recipe import Search

ROUNDING_S = 0.5  # platforms give whole seconds; the exact limits are the curation's


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """One search result. likes_exact is False for the rounded number on a card ('10K'), which cannot decide a threshold."""

    post_id: str
    likes: int | None
    likes_exact: bool
    duration_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """One answer of the search as the page itself fetched it. more=False is the explicit end; wall is an obstacle ('captcha')."""

    candidates: tuple[Candidate, ...] = ()
    more: bool = True
    wall: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Details:
    """What a post's own page says. author_key is the platform's id of the uploader; it leaves the worker only as a hash."""

    post_id: str
    likes: int
    duration_s: float | None
    slideshow: bool
    caption: str
    hashtags: tuple[str, ...]
    track_id: str | None
    track_title: str | None
    track_original: bool
    posted_at: str | None
    author_key: str | None


class Platform(Protocol):
    """A platform's module.

    HOSTS: the hosts whose pages are asked, and paced. TERMS: where the site's rules stand. SELECTORS: the versioned data file.
    """

    HOSTS: tuple[str, ...]
    TERMS: str
    NEEDS_BROWSER: bool
    SELECTORS: Mapping[str, Any]

    def search_url(self, word: str) -> str:
        """The page that lists the posts for a word."""

    def is_listing(self, url: str) -> bool:
        """Whether a request that the search page made itself carries search results."""

    def parse(self, url: str, body: str) -> Page:
        """The candidates in such an answer."""

    def parse_count(self, text: str) -> int | None:
        """The number that a card shows ('10.2K'), rounded as it is."""

    def canonical(self, url: str) -> str | None:
        """The post's id in a link to it, None where it links to something else."""

    def post_url(self, post_id: str) -> str:
        """The post's address without the user's name."""

    def extractors(self) -> Sequence[Any]:
        """New yt-dlp extractors to use instead of all of yt-dlp's own."""

    def details(self, info: Mapping[str, Any]) -> Details:
        """What the extractor's unprocessed info dict says."""

    def classify(self, error: BaseException) -> Failure:
        """Why a fetch failed."""


def refuse(candidate: Candidate, search: Search) -> tuple[str, float | None]:
    """(reason, value) if a rule of the recipe refuses the post, else ('', None). A rounded like count refuses nothing."""
    if candidate.likes_exact and candidate.likes is not None and candidate.likes < search.likes_min:
        return "too_few_likes", float(candidate.likes)
    if candidate.duration_s is not None and candidate.duration_s + ROUNDING_S < search.duration_min_s:
        return "too_short", candidate.duration_s
    if candidate.duration_s is not None and candidate.duration_s - ROUNDING_S > search.duration_max_s:
        return "too_long", candidate.duration_s
    return "", None
