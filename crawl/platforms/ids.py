"""A published list of ids or links: how SVM-10K, M2M, HIMV-200K or a list from YouTube-8M is rebuilt.

search.source names the list: csv, tsv, txt or Parquet; a run folder, whose posts are fetched anew; or the ids that svmbench
publishes. Each entry is fetched by the platform that it belongs to, one request for its page, so the recipe's rules hold as ever.
search.words is one name for the list; posts_per_word is how many of its rows are read at most. Other columns (likes, labels) are
not looked at: only the post's own page tells its likes.

An entry is a link, SITE:ID as in svmbench's own tables ('tiktok:73...'), or a bare id that its shape tells. A row that is none
of these becomes a Drop 'ids:ROW' with the reason not_an_id.
"""

from __future__ import annotations

import hashlib
import itertools
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from crawl import lists
from crawl.platforms import Candidate, Page, nameless
from svmbench import plugins
from svmbench.errors import BadInput, BadSettings, Failure
from svmbench.recipe import Search
from svmbench.store import sha256_file

if TYPE_CHECKING:
    from crawl.means import Means

SITE = "ids"  # of rows that are no id; a post has its platform's own
HOSTS: tuple[str, ...] = ()  # none of its own: see expected()
TERMS = ""  # those of the platforms in the list
SEARCH, MEDIA, PAGE_ITEMS, REPLICA = "pages", "yt_dlp", 2000, True  # the media: by the modules of the entries

# Column names that hold ids or links, the surest first; ours, from published lists.
NAMES = (
    "post_id", "video_id", "youtube_id", "youtubeid", "tiktok_id", "ytid", "yt_id", "vid", "aweme_id", "item_id", "video_url",
    "youtube_url", "tiktok_url", "url", "link", "id", "video",
)  # fmt: skip
PLATFORM_NAMES = ("platform", "site")  # of a column that says whose the id is
SAMPLE_ROWS = 200  # ours: they decide which column it is
DETAIL_CHARS = 200
_OWN = re.compile(r"([a-z][a-z0-9_]*):(?!//)(\S+)")
# TikTok's ids are 64-bit numbers that begin with the time; YouTube's are 64 bits in base 64 (11 letters of this alphabet).
_SHAPES = ((re.compile(r"\d{17,19}"), "tiktok"), (re.compile(r"[A-Za-z0-9_-]{11}"), "youtube"))


def check(search: Search) -> None:
    """BadSettings without a source or with several words; BadInput if it is no list, or nothing tells which column it is."""
    if not search.source:
        raise BadSettings("search.source: missing; name the list, as in 'svmbench crawl tivm LIST.csv'")
    if len(search.words) != 1:
        raise BadSettings(f"search.words: one name for the list, not {len(search.words)} words")
    _open(search.source)


def identity(search: Search) -> dict[str, str]:
    """What a run is frozen with instead of the list's path: its content."""
    found = hashlib.sha256()
    for part in lists.files(Path(str(search.source)).expanduser()):
        found.update(bytes.fromhex(sha256_file(part)))
    return {"search.source": f"sha256:{found.hexdigest()}"}


def expected(search: Search) -> Counter[str]:
    """Entries by the module that will fetch them, '' for rows that are none; reads the list, up to posts_per_word rows."""
    rows = itertools.islice(_candidates(str(search.source), 0), search.posts_per_word)
    return Counter(candidate.platform for _, candidate in rows)


def canonical(url: str) -> str | None:
    """A list has no links of its own."""
    return None


def post_url(post_id: str) -> str:
    """A row that is no id has no address."""
    return ""


def classify(error: BaseException) -> Failure:
    """The list itself cannot be read on."""
    return Failure(kind="unreadable_list", permanent=True, detail=" ".join(str(error).split())[:DETAIL_CHARS])


def pages(means: Means, word: str, cursor: str) -> Iterator[Page]:
    """The list in pages of PAGE_ITEMS rows; the cursor is the place of the last row read. What a page has twice is there once."""
    rows = _candidates(str(means.recipe.search.source), int(cursor or 0))
    while taken := list(itertools.islice(rows, PAGE_ITEMS)):
        cursor = str(taken[-1][0])
        once = dict.fromkeys(candidate for _, candidate in taken)
        yield Page(candidates=tuple(once), cursor=cursor)
    yield Page(more=False, cursor=cursor)


# -- which column, and what an entry is
def _candidates(source: str, after: int) -> Iterator[tuple[int, Candidate]]:
    """(place, candidate) of each row beyond a place."""
    table, columns = _open(source)
    for place, cells in table.rows(after, columns):
        yield place, _candidate(place, *cells)


def _candidate(place: int, text: str, site: str = "") -> Candidate:
    found = resolve(text, site)
    if found is None:
        return Candidate(post_id=str(place), refused="not_an_id", detail=nameless(text)[:DETAIL_CHARS] or "it is empty")
    return Candidate(platform=found[0], post_id=found[1])


def _open(source: str) -> tuple[lists.Table, list[str]]:
    """The list, and the columns to read: that of the entries, and where there is one that of their platforms."""
    table = lists.table(source, _is_header)
    sites = [name for name in table.columns if name.lower() in PLATFORM_NAMES][:1]
    shares = {name: _share(table, [name, *sites]) for name in table.columns if name not in sites}
    return table, [_choose(source, shares), *sites]


def _is_header(cells: Sequence[str]) -> bool:
    """Whether a first row names columns: by a name that we know, or because none of its several cells is an entry."""
    names = [cell.strip() for cell in cells]
    if any(name.lower() in (*NAMES, *PLATFORM_NAMES) for name in names):
        return True
    return len(names) > 1 and not any(resolve(name) and not re.fullmatch("[a-z_]+", name) for name in names)


def _share(table: lists.Table, columns: Sequence[str]) -> float:
    """Share of the first rows' cells that are entries."""
    rows = [cells for _, cells in itertools.islice(table.rows(0, columns), SAMPLE_ROWS) if cells[0]]
    return sum(resolve(*cells) is not None for cells in rows) / len(rows) if rows else 0.0


def _choose(source: str, shares: dict[str, float]) -> str:
    """The column of the entries: the one with the surest name, or the only one; most of its first cells are entries."""
    found = [name for name, share in shares.items() if share >= 0.5] or [name for name, share in shares.items() if share]
    known = sorted((name for name in found if name.lower() in NAMES), key=lambda name: NAMES.index(name.lower()))
    if known or len(found) == 1:
        return (known or found)[0]
    if found:
        raise BadInput(f"{source}: the columns {', '.join(found)} all look like ids; call the right one 'id'")
    if len(shares) == 1:
        raise BadInput(f"{source}: none of the first rows is a link to a post, SITE:ID, or an id of TikTok or YouTube")
    raise BadInput(f"{source}: no column holds ids or links; there are {', '.join(shares)}")


def resolve(text: str, site: str = "") -> tuple[str, str] | None:
    """(module that fetches it, its id) of an entry, None where it is none. site: what the list says whose id it is."""
    links, by_site = _modules()
    if site:
        module = by_site.get(site.casefold())
        return (module.__name__.rpartition(".")[2], text) if module and _is_id(module, text) else _link(links, text)
    if own := _OWN.fullmatch(text):
        return resolve(own[2], own[1])
    for shape, name in _SHAPES:
        if shape.fullmatch(text):
            return resolve(text, name)
    return _link(links, text)


def _link(links: Sequence[Any], text: str) -> tuple[str, str] | None:
    """A link, also one without https:// or www."""
    address = text.partition("://")[2] or text
    if "/" not in address:
        return None
    for host in ("", "www."):
        for module in links:
            if post_id := module.canonical(f"https://{host}{address}"):
                return module.__name__.rpartition(".")[2], post_id
    return None


def _is_id(module: Any, post_id: str) -> bool:
    return bool(module.canonical(module.post_url(post_id)) == post_id)


@lru_cache
def _modules() -> tuple[tuple[Any, ...], dict[str, Any]]:
    """The modules that know links, and all that fetch posts, by the name of their site and by their own."""
    fetching = [
        module for name in plugins.names("crawl.platforms") if name != "ids" for module in [plugins.load("crawl.platforms", name)]
    ]
    fetching = [module for module in fetching if module.MEDIA == "yt_dlp"]
    by_site = {name: module for module in fetching for name in (module.SITE, module.__name__.rpartition(".")[2])}
    return tuple(module for module in fetching if module.TERMS), by_site
