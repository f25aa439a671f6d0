"""What the loopback Hub keeps: repositories as immutable commits over content-addressed files, and what it was asked."""

from __future__ import annotations

import hashlib
import json
import os
import re
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

TOKEN = "hf_rehearsal"  # what a rehearsal sends in place of a real token


@dataclass(frozen=True, slots=True)
class Entry:
    """One file of a commit. oid: git's blob id (of the pointer, for a large file). key: of the content. large: kept by LFS."""

    oid: str
    key: str
    size: int
    large: bool


@dataclass(frozen=True, slots=True)
class Commit:
    """tree: path -> Entry."""

    sha: str
    parent: str | None
    title: str
    tree: dict[str, Entry]


@dataclass(frozen=True, slots=True)
class Seen:
    """One request as it was answered. status 0: the connection was cut. authorized: it carried an Authorization header."""

    origin: Literal["api", "cdn"]
    method: str
    path: str
    status: int
    authorized: bool


@dataclass(slots=True)
class Fault:
    """Makes matching requests fail, `times` times.

    what: a status to answer with; 'cut_before': the request is lost; 'cut_after': it is carried out and the answer is lost.
    pattern: searched for in the path. headers: added to the answer, e.g. Retry-After.
    """

    method: str
    pattern: str
    what: int | Literal["cut_before", "cut_after"]
    times: int = 1
    headers: dict[str, str] = field(default_factory=dict)

    def takes(self, method: str, path: str) -> bool:
        """Whether this request fails; counts down."""
        if self.times <= 0 or method != self.method or not re.search(self.pattern, path):
            return False
        self.times -= 1
        return True


class Repo:
    """A dataset repository with one empty first commit on main."""

    def __init__(self, name: str, *, private: bool) -> None:
        self.name, self.private = name, private
        self.gated: str | bool = False
        self.commits: dict[str, Commit] = {}
        self.branches: dict[str, str] = {}
        self.tags: dict[str, str] = {}
        self.commit("main", {}, "initial commit")

    def commit(self, branch: str, tree: dict[str, Entry], title: str) -> Commit:
        """A new commit at the head of a branch."""
        parent = self.branches.get(branch)
        files = sorted((path, entry.oid) for path, entry in tree.items())
        sha = hashlib.sha1(json.dumps([self.name, files, parent, title, len(self.commits)]).encode()).hexdigest()
        self.commits[sha] = Commit(sha=sha, parent=parent, title=title, tree=tree)
        self.branches[branch] = sha
        return self.commits[sha]

    def at(self, revision: str) -> Commit | None:
        """The commit that a branch, a tag, a ref or a commit id stands for."""
        revision = re.sub(r"^refs/(heads|tags)/", "", revision)
        sha = self.branches.get(revision) or self.tags.get(revision) or revision
        return self.commits.get(sha)


class Blobs:
    """File contents in a folder, by key."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self._parts: dict[str, dict[int, bytes]] = {}

    def path(self, key: str) -> Path:
        return self.folder / key

    def has(self, key: str) -> bool:
        return self.path(key).is_file()

    def put(self, key: str, data: bytes) -> None:
        temporary = self.folder / f"{key}.{threading.get_ident()}.tmp"
        temporary.write_bytes(data)
        os.replace(temporary, self.path(key))

    def put_large(self, sha256: str, data: bytes) -> bool:
        """Takes a large file if its content has the promised sha256."""
        if hashlib.sha256(data).hexdigest() != sha256:
            return False
        self.put(sha256, data)
        return True

    def put_part(self, sha256: str, number: int, data: bytes) -> str:
        """Takes one part of a large file; returns its ETag."""
        self._parts.setdefault(sha256, {})[number] = data
        return hashlib.md5(data).hexdigest()

    def join_parts(self, sha256: str) -> bool:
        """Makes a large file of its parts."""
        parts = self._parts.pop(sha256, {})
        return self.put_large(sha256, b"".join(parts[number] for number in sorted(parts)))

    def add_small(self, data: bytes) -> Entry:
        """A file that git keeps itself."""
        oid = git_oid(data)
        self.put(f"git-{oid}", data)
        return Entry(oid=oid, key=f"git-{oid}", size=len(data), large=False)

    def large(self, sha256: str) -> Entry | None:
        """A file that LFS keeps, if it has been uploaded."""
        if not self.has(sha256):
            return None
        size = self.path(sha256).stat().st_size
        pointer = f"version https://git-lfs.github.com/spec/v1\noid sha256:{sha256}\nsize {size}\n"
        return Entry(oid=git_oid(pointer.encode()), key=sha256, size=size, large=True)


def git_oid(data: bytes) -> str:
    """git's id of a blob with this content."""
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()
