"""Local files: `svmbench crawl RECIPE FOLDER`, where search.source is the folder and search.words are its sub-folders ('.': all).

Files are copied into the run, never moved or changed, without pacing and without robots.txt. A post's id follows from the file's
path below the folder, so it stays when the folder moves. What a post says of itself is read from yt-dlp's NAME.info.json beside
the file where there is one, and is unknown else: with likes_min above 0, a file without known likes is refused ('likes_unknown').
Hidden files and folders, and links to folders, are left out.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import datetime, timezone
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote_to_bytes

from crawl.files import named_media
from crawl.platforms import Candidate, Details, Page, without_names
from svmbench.errors import BadInput, BadSettings, Failure
from svmbench.recipe import Search

if TYPE_CHECKING:
    from crawl.means import Means

SITE = "folder"
HOSTS: tuple[str, ...] = ()
TERMS = ""  # the files are the user's
SEARCH, MEDIA, PAGE_ITEMS, REPLICA = "pages", "file", 500, False

_TAG = re.compile(r"#(\w+)")


def check(search: Search) -> None:
    """BadSettings without a source or with a word that is no place below it; BadInput where it is no folder."""
    if not search.source:
        raise BadSettings("search.source: missing; name the folder, as in 'svmbench crawl RECIPE FOLDER'")
    root = _root(search)
    if not root.is_dir():
        raise BadInput(f"search.source: {search.source} is not a folder; name one that holds videos")
    for word in search.words:
        if PurePosixPath(word).is_absolute() or ".." in PurePosixPath(word).parts:
            raise BadSettings(f"search.words: {word!r} is not below the folder; name sub-folders, or '.' for all of it")
        if not (root / word).is_dir():
            raise BadInput(f"search.words: {search.source} has no sub-folder {word!r}; name one, or '.' for all of it")


def identity(search: Search) -> dict[str, str]:
    """Nothing of the folder's path: ids do not depend on it, and files may be added."""
    return {"search.source": "a folder"}


def expected(search: Search) -> Counter[str]:
    """The files that are there, each as often as a word finds it."""
    root = _root(search)
    return Counter({"folder": sum(1 for word in search.words for _ in _walk(root, PurePosixPath(word).parts, ()))})


def canonical(url: str) -> str | None:
    """A file has no link."""
    return None


def post_url(post_id: str) -> str:
    """The address of a file is its path, which only the search knows."""
    return ""


def pages(means: Means, word: str, cursor: str) -> Iterator[Page]:
    """The media files of a sub-folder by name; the cursor is the path of the last one, as a link would write it."""
    root = _root(means.recipe.search)
    after = PurePosixPath(os.fsdecode(unquote_to_bytes(cursor))).parts
    files = _walk(root, PurePosixPath(word).parts, after)
    while taken := list(islice(files, PAGE_ITEMS)):
        cursor = quote(os.fsencode(taken[-1].as_posix()))
        yield Page(candidates=tuple(_candidate(root, name) for name in taken), cursor=cursor)
    yield Page(more=False, cursor=cursor)


def details(info: Mapping[str, Any]) -> Details:
    """What is known of a file. info: 'path', 'post_id'. ValueError if there is a sidecar that cannot be read."""
    path, told = Path(info["path"]), dict[str, Any]()
    sidecar = path.with_suffix(".info.json")
    if sidecar.is_file():
        told = json.loads(sidecar.read_bytes())
        if not isinstance(told, dict):
            raise ValueError("it is not a mapping")
    if not path.is_file():
        raise FileNotFoundError(f"{path.name} is no longer there")
    text = str(told.get("description") or told.get("title") or "")
    author = told.get("channel_id") or told.get("uploader_id") or told.get("uploader")
    return Details(
        post_id=str(info["post_id"]),
        likes=_count(told.get("like_count")),
        duration_s=float(told["duration"]) if isinstance(told.get("duration"), int | float) else None,
        caption=without_names(text),
        hashtags=tuple(dict.fromkeys(_TAG.findall(text))),
        track_title=str(told["track"]) if told.get("track") else None,
        posted_at=_posted_at(told),
        author_key=str(author) if author else None,
        views=_count(told.get("view_count")),
        comments=_count(told.get("comment_count")),
        shares=_count(told.get("repost_count")),
        saves=_count(told.get("save_count")),
    )


def classify(error: BaseException) -> Failure:
    """A file that has gone or cannot be read, or a damaged sidecar."""
    kind = "gone" if isinstance(error, FileNotFoundError) else "unreadable" if isinstance(error, OSError) else "bad_sidecar"
    return Failure(kind=kind, permanent=True, detail=" ".join(str(error).split())[:200])


def _root(search: Search) -> Path:
    return Path(str(search.source)).expanduser().absolute()


def _walk(root: Path, folder: tuple[str, ...], after: tuple[str, ...]) -> Iterator[PurePosixPath]:
    """Media files under root/folder in the order of their paths' parts, those beyond `after`; memory is one folder's names."""
    with os.scandir(root.joinpath(*folder)) as entries:
        found = sorted((entry.name, entry.is_dir(follow_symlinks=False), entry.is_file()) for entry in entries)
    for name, is_folder, is_file in found:
        parts = (*folder, name)
        if name.startswith(".") or parts < after[: len(parts)]:
            continue
        if is_folder:
            yield from _walk(root, parts, after)
        elif is_file and parts > after and named_media(Path(name)):
            yield PurePosixPath(*parts)


def _candidate(root: Path, name: PurePosixPath) -> Candidate:
    post_id = hashlib.blake2b(os.fsencode(name.as_posix()), digest_size=10).hexdigest()
    try:
        name.as_posix().encode()
    except UnicodeEncodeError:  # the tables hold text
        return Candidate(post_id=post_id, refused="unreadable_name", detail=ascii(name.as_posix()))
    return Candidate(post_id=post_id, url=str(root / name))


def _count(value: Any) -> int | None:
    return int(value) if isinstance(value, int | float) and not isinstance(value, bool) and value >= 0 else None


def _posted_at(told: Mapping[str, Any]) -> str | None:
    if isinstance(stamp := told.get("timestamp"), int | float):
        return datetime.fromtimestamp(stamp, timezone.utc).isoformat()
    day = str(told.get("upload_date") or "")
    return f"{day[:4]}-{day[4:6]}-{day[6:]}" if re.fullmatch(r"\d{8}", day) else None
