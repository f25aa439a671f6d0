"""How files get into the loopback Hub: upload modes, LFS in one piece or in parts, commits."""

from __future__ import annotations

import base64
import json
import re
from typing import Any

from svmbench.hubsim.core import Api, Reply, Request, no_revision, refusal
from svmbench.hubsim.state import Commit, Repo

LARGE_SUFFIX = re.compile(r"\.(parquet|arrow|zip|gz|npy|npz|bin|safetensors|tar)$")  # as in the Hub's default .gitattributes
SMALL_MAX_BYTES = 10_000_000


def preupload(api: Api, request: Request, repo: Repo, rev: str) -> Reply:
    commit = repo.at(rev)
    if commit is None:
        return no_revision(rev)
    return Reply(body={"files": [_mode(f, commit) for f in request.json()["files"]]})


def _mode(file: dict[str, Any], commit: Commit) -> dict[str, Any]:
    large = file["size"] >= SMALL_MAX_BYTES or LARGE_SUFFIX.search(file["path"])
    known = commit.tree.get(file["path"])
    return {
        "path": file["path"], "uploadMode": "lfs" if large else "regular", "shouldIgnore": False,
        "oid": known and (known.key if known.large else known.oid),
    }  # fmt: skip


def lfs_batch(api: Api, request: Request, repo: str) -> Reply:
    found = api.find(request, repo, write=True)
    if isinstance(found, Reply):
        return found
    objects = [_upload(api, o["oid"], o["size"]) for o in request.json()["objects"]]
    return Reply(body={"transfer": "basic", "objects": objects}, headers={"Content-Type": "application/vnd.git-lfs+json"})


def _upload(api: Api, sha256: str, size: int) -> dict[str, Any]:
    """Where to send one large file; without 'actions' when its content is here already."""
    if api.blobs.has(sha256):
        return {"oid": sha256, "size": size}
    verify = {"href": f"{api.endpoint}/lfs/verify"}
    if api.part_bytes and size > api.part_bytes:
        parts = {f"{n:05d}": f"{api.cdn}/part/{sha256}/{n}" for n in range(1, -(-size // api.part_bytes) + 1)}
        upload = {"href": f"{api.endpoint}/lfs/complete/{sha256}", "header": {"chunk_size": str(api.part_bytes), **parts}}
    else:
        upload = {"href": f"{api.cdn}/put/{sha256}"}
    return {"oid": sha256, "size": size, "actions": {"upload": upload, "verify": verify}}


def lfs_verify(api: Api, request: Request) -> Reply:
    wanted = request.json()
    entry = api.blobs.large(wanted["oid"])
    return Reply(200 if entry and entry.size == wanted["size"] else 404, {})


def lfs_complete(api: Api, request: Request, oid: str) -> Reply:
    return Reply(body={}) if api.blobs.join_parts(oid) else refusal(400, "BadDigest", "the parts do not have this sha256")


def commit(api: Api, request: Request, repo: Repo, rev: str) -> Reply:
    if rev not in repo.branches:
        return no_revision(rev)
    head = repo.branches[rev]
    tree, title = dict(repo.commits[head].tree), ""
    for line in request.body.splitlines():
        step = json.loads(line)
        kind, value = step["key"], step["value"]
        if kind == "header":
            title = value.get("summary", "")
            if value.get("parentCommit") not in (None, head):
                return refusal(412, "PreconditionFailed", "A commit has happened since. Please refresh and try again.")
        elif kind == "file":
            tree[value["path"]] = api.blobs.add_small(base64.b64decode(value["content"]))
        elif kind == "lfsFile":
            entry = api.blobs.large(value["oid"])
            if entry is None:
                return refusal(400, "LfsMissing", f"LFS object {value['oid']} was not uploaded")
            tree[value["path"]] = entry
        elif kind == "deletedFile":
            tree.pop(value["path"], None)
        else:
            return refusal(400, "BadRequest", f"the loopback Hub does not know the commit operation {kind!r}")
    sha = repo.commit(rev, tree, title).sha
    return Reply(body={"success": True, "commitOid": sha, "commitUrl": f"{api.endpoint}/datasets/{repo.name}/commit/{sha}"})


def put_large(api: Api, request: Request, oid: str) -> Reply:
    return Reply() if api.blobs.put_large(oid, request.body) else refusal(400, "BadDigest", "the content has another sha256")


def put_part(api: Api, request: Request, oid: str, number: str) -> Reply:
    return Reply(headers={"ETag": f'"{api.blobs.put_part(oid, int(number), request.body)}"'})
