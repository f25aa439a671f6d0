"""Requests, replies, and what all routes of the loopback Hub share."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import yaml

from svmbench.hubsim.state import Blobs, Repo

DATE = "2026-01-01T00:00:00.000Z"  # of every commit, so that replies are reproducible


@dataclass(frozen=True, slots=True)
class Request:
    """authorized: with the right token; body is read whole."""

    method: str
    path: str
    query: dict[str, str]
    body: bytes
    authorized: bool

    def json(self) -> Any:
        return json.loads(self.body or b"{}")


@dataclass(frozen=True, slots=True)
class Reply:
    """body: plain values become JSON; a Path is sent as a file, of which the client may ask a range."""

    status: int = 200
    body: Any = b""
    headers: dict[str, str] = field(default_factory=dict)


def refusal(status: int, code: str, text: str, **headers: str) -> Reply:
    """An error as the clients expect it: the code in X-Error-Code tells them which exception to raise."""
    return Reply(status, {"error": text}, {"X-Error-Code": code, "X-Error-Message": text, **headers})


def no_revision(revision: str) -> Reply:
    return refusal(404, "RevisionNotFound", f"Invalid rev id: {revision}")


class Api:
    """What the routes work on.

    owner: the only namespace that may be written, None for any. part_bytes: larger files are asked for in parts of this size.
    """

    def __init__(self, blobs: Blobs, *, user: str, owner: str | None, part_bytes: int | None) -> None:
        self.blobs, self.user, self.owner, self.part_bytes = blobs, user, owner, part_bytes
        self.repos: dict[str, Repo] = {}
        self.lock = threading.Lock()
        self.endpoint = self.cdn = ""  # set when the servers know their ports

    def find(self, request: Request, repo: str, *, write: bool = False) -> Repo | Reply:
        """The repository, or the refusal."""
        found = self.repos.get(repo)
        if write and not request.authorized:
            return refusal(401, "Unauthorized", "Invalid username or password.")
        if found is None or (found.private and not request.authorized):
            return refusal(404 if request.authorized else 401, "RepoNotFound", "Repository not found")
        if write and self.owner not in (None, repo.split("/")[0]):
            return refusal(403, "Forbidden", f"You don't have the rights to write to {repo}")
        return found


def of_repo(handler: Callable[..., Reply], *, write: bool = False) -> Callable[..., Reply]:
    """Gives a handler the Repo in place of its name, or refuses."""

    def with_repo(api: Api, request: Request, repo: str, **rest: str) -> Reply:
        found = api.find(request, repo, write=write)
        return found if isinstance(found, Reply) else handler(api, request, found, **rest)

    return with_repo


def signed_in(handler: Callable[..., Reply]) -> Callable[..., Reply]:
    """Refuses without the right token."""

    def with_token(api: Api, request: Request, **rest: str) -> Reply:
        return (
            handler(api, request, **rest) if request.authorized else refusal(401, "Unauthorized", "Invalid username or password.")
        )

    return with_token


def front_matter(card: str) -> dict[str, Any]:
    """The YAML block at the top of a card; {} where there is none."""
    match = re.match(r"---\r?\n(.*?)\n---\s*(\n|$)", card, re.DOTALL)
    values = yaml.safe_load(match[1]) if match else {}
    return values if isinstance(values, dict) else {}
