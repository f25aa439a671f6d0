"""What the loopback Hub answers to readers: information, listings and files."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs

from svmbench.hubsim.core import DATE, Api, Reply, Request, front_matter, no_revision, refusal
from svmbench.hubsim.state import Entry, Repo


def info(api: Api, request: Request, repo: Repo, rev: str = "main") -> Reply:
    commit = repo.at(rev or "main")
    if commit is None:
        return no_revision(rev)
    card = commit.tree.get("README.md")
    values = front_matter(api.blobs.path(card.key).read_text()) if card else {}
    return Reply(
        body={
            "_id": "0", "id": repo.name, "author": repo.name.split("/")[0], "sha": commit.sha, "lastModified": DATE,
            "createdAt": DATE, "private": repo.private, "gated": repo.gated, "disabled": False, "downloads": 0, "likes": 0,
            "tags": values.get("tags") or [], "cardData": values,
            "siblings": [{"rfilename": path} for path in sorted(commit.tree)],
        }
    )  # fmt: skip


def tree(api: Api, request: Request, repo: Repo, rev: str, folder: str = "") -> Reply:
    commit = repo.at(rev)
    if commit is None:
        return no_revision(rev)
    prefix = f"{folder.strip('/')}/" if folder else ""
    deep = request.query.get("recursive", "").lower() in ("true", "1")
    rows, folders = [], set()
    for path, entry in sorted(commit.tree.items()):
        if not path.startswith(prefix):
            continue
        steps = path[len(prefix) :].split("/")
        folders |= {prefix + "/".join(steps[:i]) for i in range(1, len(steps) if deep else min(2, len(steps)))}
        if deep or len(steps) == 1:
            rows.append(row(path, entry))
    if prefix and not rows and not folders:
        return refusal(404, "EntryNotFound", "Entry not found")
    return Reply(body=[folder_row(path) for path in sorted(folders)] + rows)


def paths_info(api: Api, request: Request, repo: Repo, rev: str) -> Reply:
    commit = repo.at(rev)
    if commit is None:
        return no_revision(rev)
    paths = parse_qs(request.body.decode()).get("paths", [])  # the client sends a form
    files = [row(path, commit.tree[path]) for path in paths if path in commit.tree]
    folders = [folder_row(path) for path in paths if any(other.startswith(f"{path}/") for other in commit.tree)]
    return Reply(body=files + folders)


def resolve(api: Api, request: Request, repo: str, rev: str, path: str) -> Reply:
    found = api.find(request, repo)
    if isinstance(found, Reply):
        return found
    if found.gated and not request.authorized:
        return refusal(401, "GatedRepo", "Access to this dataset is restricted")
    commit = found.at(rev)
    if commit is None:
        return no_revision(rev)
    entry, headers = commit.tree.get(path), {"X-Repo-Commit": commit.sha}
    if entry is None:
        return refusal(404, "EntryNotFound", "Entry not found", **headers)
    headers["ETag"] = f'"{entry.oid}"'
    if not entry.large:
        return Reply(body=api.blobs.path(entry.key), headers=headers)
    # Another origin on purpose: the clients read these headers only from a redirect that leaves the API's origin.
    linked = {"X-Linked-Size": str(entry.size), "X-Linked-ETag": f'"{entry.key}"', "Location": f"{api.cdn}/get/{entry.key}"}
    return Reply(302, headers={**headers, **linked})


def get_large(api: Api, request: Request, oid: str) -> Reply:
    if not api.blobs.has(oid):
        return refusal(404, "EntryNotFound", "Entry not found")
    return Reply(body=api.blobs.path(oid), headers={"ETag": f'"{oid}"'})


def row(path: str, entry: Entry) -> dict[str, Any]:
    """A file in a listing."""
    lfs = {"lfs": {"oid": entry.key, "size": entry.size, "pointerSize": 134}} if entry.large else {}
    return {"type": "file", "oid": entry.oid, "size": entry.size, "path": path, **lfs}


def folder_row(path: str) -> dict[str, Any]:
    return {"type": "directory", "oid": "0" * 40, "size": 0, "path": path}
