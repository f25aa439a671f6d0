"""One file a platform; the file name is the name that a recipe uses. Here: what such a file must have, the rows it deals in,
and the rules of the recipe that can be judged from them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol

from svmbench.errors import Failure
from svmbench.recipe import Search

if TYPE_CHECKING:
    from crawl.means import Means

_ADDRESS = re.compile(r"[\w.+-]{1,64}@[\w-]+(?:\.[\w-]+)+", re.ASCII)  # of mail
_HANDLE = re.compile(r"[@\uff20][\w.\u00b7-]+")  # as TikTok and YouTube write them
ROUNDING_S = 0.5  # platforms give whole seconds; the exact limits are the curation's


@dataclass(frozen=True, slots=True, kw_only=True)
class Details:
    """What a platform says of one post. author_key is its id of the uploader; it leaves the worker only as a hash.

    None where it does not say.
    """

    post_id: str
    likes: int | None
    duration_s: float | None
    slideshow: bool = False
    caption: str = ""
    hashtags: tuple[str, ...] = ()
    track_id: str | None = None
    track_title: str | None = None
    track_original: bool = False
    posted_at: str | None = None
    author_key: str | None = None
    views: int | None = None
    comments: int | None = None
    shares: int | None = None
    saves: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """One search result. likes_exact is False for the rounded number on a card ('10K'), which cannot decide a threshold.

    platform: name of the module that fetches it, '' for the one that found it. url: where it is, '' for the module's own
    post_url(post_id). slideshow, original: pictures instead of a video, the uploader's own sound; None where not known.
    details: everything, where the search tells everything and there are no media to fetch. refused: why it is no post that
    could be fetched ('not_an_id'), with a detail for a person; '' for a post.
    """

    post_id: str
    likes: int | None = None
    likes_exact: bool = False
    duration_s: float | None = None
    slideshow: bool | None = None
    original: bool | None = None
    platform: str = ""
    url: str = ""
    details: Details | None = None
    refused: str = ""
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """One answer of a search. more=False is the explicit end; wall is an obstacle ('captcha').

    cursor: where the next answer starts, for platforms that can go on from there.
    """

    candidates: tuple[Candidate, ...] = ()
    more: bool = True
    wall: str = ""
    cursor: str = ""


class Platform(Protocol):
    """What every platform's module has.

    SITE: the name before the ids of its posts ('tiktok:73...') and in Post.platform. HOSTS: the hosts that are asked, and paced;
    () where a search costs no request. TERMS: where the site's rules stand, '' where there is no site. SEARCH: 'browser' (then it
    is Browsed too) or 'pages' (then Listed). MEDIA: 'yt_dlp' (then Fetched, or its candidates name modules that are), 'file' (a
    Candidate's url is a path, and details() takes {'path', 'post_id'}), or 'none'. PAGE_ITEMS: results that one answer of the
    search carries, for the estimate of --dry-run; so is POST_REQUESTS, requests before a post's media, where they are not 1.
    REPLICA: whether the embedded platform has it.
    """

    SITE: str
    HOSTS: tuple[str, ...]
    TERMS: str
    SEARCH: Literal["browser", "pages"]
    MEDIA: Literal["yt_dlp", "file", "none"]
    PAGE_ITEMS: int
    REPLICA: bool

    def check(self, search: Search) -> None:
        """BadSettings or BadInput, where the recipe lacks what this platform needs or asks for what it does not have."""

    def canonical(self, url: str) -> str | None:
        """The post's id in a link to it, None where it links to something else."""

    def post_url(self, post_id: str) -> str:
        """The post's address without the user's name."""

    def classify(self, error: BaseException) -> Failure:
        """Why a request or a fetch failed."""


class Browsed(Platform, Protocol):
    """A platform that is searched in a browser. SELECTORS: the versioned data file."""

    SELECTORS: Mapping[str, Any]

    def search_url(self, word: str) -> str:
        """The page that lists the posts for a word."""

    def is_listing(self, url: str) -> bool:
        """Whether a request that the search page made itself carries search results."""

    def parse(self, url: str, body: str) -> Page:
        """The candidates in such an answer."""

    def parse_count(self, text: str) -> int | None:
        """The number that a card shows ('10.2K'), rounded as it is."""


class Listed(Platform, Protocol):
    """A platform that is searched without a browser."""

    def pages(self, means: Means, word: str, cursor: str) -> Generator[Page, None, None]:
        """The answers of the search for a word, from a cursor on ('' is the start). Each request goes through `means`; what a
        request raises is passed on, and classify() knows it."""


class Sourced(Platform, Protocol):
    """A platform that searches what the user has: search.source."""

    def identity(self, search: Search) -> Mapping[str, str]:
        """What a run folder is bound to instead of the source's place: settings by name."""

    def expected(self, search: Search) -> Counter[str]:
        """Posts that the source has, by the module that will fetch them; '' for what is no post."""


class Fetched(Platform, Protocol):
    """A platform whose media yt-dlp fetches. It may have FORMAT: yt-dlp's choice among the streams, instead of the fetcher's."""

    def extractors(self) -> Sequence[Any]:
        """New yt-dlp extractors to use instead of all of yt-dlp's own."""

    def details(self, info: Mapping[str, Any]) -> Details:
        """What the extractor's unprocessed info dict says."""


def without_names(text: str) -> str:
    """A caption without the users that it mentions and without addresses of mail, in single spaces."""
    return " ".join(_HANDLE.sub("", _ADDRESS.sub("", text)).split())


def nameless(text: str) -> str:
    """What a site or a library said, or an address, with '@_' for the users that it names: for logs and tables."""
    return _HANDLE.sub("@_", text)


def candidate_of(details: Details) -> Candidate:
    """The same facts, for the rules."""
    return Candidate(
        post_id=details.post_id, likes=details.likes, likes_exact=details.likes is not None, duration_s=details.duration_s,
        slideshow=details.slideshow, original=details.track_original,
    )  # fmt: skip


def refuse(candidate: Candidate, search: Search) -> tuple[str, float | None]:
    """(reason, value) if a rule of the recipe refuses the post, else ('', None). A rounded like count refuses nothing."""
    if candidate.slideshow:
        return "slideshow", None
    if candidate.likes_exact and candidate.likes is not None and candidate.likes < search.likes_min:
        return "too_few_likes", float(candidate.likes)
    if candidate.duration_s is not None and candidate.duration_s + ROUNDING_S < search.duration_min_s:
        return "too_short", candidate.duration_s
    if candidate.duration_s is not None and candidate.duration_s - ROUNDING_S > search.duration_max_s:
        return "too_long", candidate.duration_s
    if candidate.original and search.original_sound == "drop":
        return "original_sound", None
    return "", None


def refuse_unknown(candidate: Candidate, search: Search) -> tuple[str, float | None]:
    """`refuse`, once everything is known: likes that the platform does not tell cannot pass a threshold."""
    if candidate.likes is None and search.likes_min > 0 and not candidate.slideshow:
        return "likes_unknown", None
    return refuse(candidate, search)
