"""The opt-out list: posts and authors that are left out, at the crawl, in the curation and when publishing.

A text file, one entry a line, `#` begins a comment:

    tiktok:7312345678901234567            a post
    author:3f0c...                        an author by the keyed hash of a run's own tables (32 hex digits; other runs differ)
    tiktok:author:MS4wLjABAAAA...         an author by the platform's own id; only its hash is ever compared or kept

RUN/optout.txt always counts, and so does the file that the recipe names under `optout`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

from svmbench.errors import BadInput
from svmbench.recipe import Recipe
from svmbench.records import Post
from svmbench.store import RunFolder, disk_errors

FILE = "optout.txt"
REASON = "opted_out"
KEY = Path("crawl", "author.key")  # of a run's author hashes; made by the crawl, never published

_POST = re.compile(r"(?!author:)[a-z0-9_]+:[A-Za-z0-9_-]+")
_HASHED = re.compile(r"author:([0-9a-f]{32})")
_AUTHOR = re.compile(r"[a-z0-9_]+:author:(\S+)")


@dataclass(frozen=True, slots=True)
class OptOut:
    """posts: 'platform:post_id'. authors: keyed hashes, as in Post.author_hash."""

    posts: frozenset[str] = frozenset()
    authors: frozenset[str] = frozenset()

    def has(self, post_key: str, author_hash: str | None = None) -> bool:
        """Whether a post is to be left out, for its own sake or its author's."""
        return post_key in self.posts or (author_hash is not None and author_hash in self.authors)


def author_hash(author_key: str | None, secret: bytes) -> str | None:
    """Keyed BLAKE2b of the platform's id of the uploader, 32 hex digits. Without the run's secret nobody can go back."""
    return blake2b(author_key.encode(), key=secret, digest_size=16).hexdigest() if author_key else None


def read(recipe: Recipe, run: RunFolder) -> OptOut:
    """The entries of both files. BadInput names the line that is none, or the file of the recipe that is not there."""
    key = run.path / KEY
    secret = key.read_bytes() if key.is_file() else None
    named = Path(recipe.optout) if recipe.optout else None
    if named and not named.is_file():
        raise BadInput(f"optout: {named} is not a file; without the list nothing may be crawled, curated or published")
    posts, authors = set[str](), set[str]()
    for path in filter(None, (named, run.path / FILE)):
        for where, entry in _entries(path):
            if match := _HASHED.fullmatch(entry):
                authors.add(match[1])
            elif match := _AUTHOR.fullmatch(entry):
                if secret is None:  # a run without authors, as one of imported features
                    continue
                authors.add(str(author_hash(match[1], secret)))
            elif _POST.fullmatch(entry):
                posts.add(entry)
            else:
                raise BadInput(
                    f"{where}: {entry!r} is not an entry of an opt-out list; write 'tiktok:POST_ID', 'author:HASH' or "
                    "'tiktok:author:ID'"
                )
    return OptOut(frozenset(posts), frozenset(authors))


def _entries(path: Path) -> Iterator[tuple[str, str]]:
    """(file and line, entry)."""
    if not path.is_file():
        return
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise BadInput(f"{path} is not a text file; an opt-out list has one entry a line") from error
    for number, line in enumerate(lines, 1):
        if entry := line.partition("#")[0].strip():
            yield f"{path}, line {number}", entry


def forget_media(optout: OptOut, posts: Iterable[Post], run: RunFolder) -> int:
    """Deletes the media of posts that are to be left out, where no other post has the same file. Returns how many files went."""
    gone, staying = set[str](), set[str]()
    for post in posts:
        if post.sha256 is not None:
            (gone if optout.has(post.key, post.author_hash) else staying).add(post.sha256)
    removed = 0
    for sha256 in sorted(gone - staying):
        for path in (run.path / "media" / sha256[:2]).glob(f"{sha256}.*"):
            with disk_errors(path):
                path.unlink()
            removed += 1
    return removed
