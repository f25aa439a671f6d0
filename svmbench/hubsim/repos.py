"""Accounts, repositories, branches and tags of the loopback Hub."""

from __future__ import annotations

import yaml

from svmbench.hubsim.core import DATE, Api, Reply, Request, front_matter, no_revision, refusal
from svmbench.hubsim.state import Repo


def whoami(api: Api, request: Request) -> Reply:
    token = {"role": "write", "displayName": "rehearsal"}
    return Reply(body={"type": "user", "name": api.user, "orgs": [], "auth": {"type": "access_token", "accessToken": token}})


def no_agents(api: Api, request: Request) -> Reply:
    """The list of coding agents that the client looks for in its environment: none."""
    return Reply(body={"standardEnvVars": [], "harnesses": {}})


def validate_card(api: Api, request: Request) -> Reply:
    try:
        values = front_matter(request.json()["content"])
    except yaml.YAMLError as error:
        return Reply(400, {"errors": [{"message": " ".join(str(error).split())}], "warnings": []})
    warnings = [] if values else [{"message": "empty or missing yaml metadata in repo card"}]
    return Reply(body={"errors": [], "warnings": warnings})


def create(api: Api, request: Request) -> Reply:
    wanted = request.json()
    if wanted.get("type") != "dataset":
        return refusal(400, "BadRequest", "the loopback Hub keeps datasets only")
    owner = wanted.get("organization") or api.user
    if api.owner not in (None, owner):
        return refusal(403, "Forbidden", f"You don't have the rights to create a dataset under the namespace {owner!r}")
    name = f"{owner}/{wanted['name']}"
    url = f"{api.endpoint}/datasets/{name}"
    if name in api.repos:
        return Reply(409, {"error": "You already created this dataset repo", "url": url})
    api.repos[name] = Repo(name, private=bool(wanted.get("private")) or wanted.get("visibility") == "private")
    return Reply(body={"url": url, "id": name, "name": name})


def delete(api: Api, request: Request) -> Reply:
    wanted = request.json()
    api.repos.pop(f"{wanted.get('organization') or api.user}/{wanted['name']}", None)
    return Reply(body={})


def settings(api: Api, request: Request, repo: Repo) -> Reply:
    wanted = request.json()
    repo.gated = wanted.get("gated", repo.gated)
    repo.private = wanted.get("private", repo.private)
    return Reply(body=wanted)


def refs(api: Api, request: Request, repo: Repo) -> Reply:
    def rows(kind: str, heads: dict[str, str]) -> list[dict[str, str]]:
        return [{"name": name, "ref": f"refs/{kind}/{name}", "targetCommit": sha} for name, sha in heads.items()]

    return Reply(body={"branches": rows("heads", repo.branches), "tags": rows("tags", repo.tags), "converts": []})


def commits(api: Api, request: Request, repo: Repo, rev: str) -> Reply:
    commit, rows = repo.at(rev), []
    while commit:
        rows.append({"id": commit.sha, "title": commit.title, "message": "", "date": DATE, "authors": [{"user": api.user}]})
        commit = repo.at(commit.parent) if commit.parent else None
    return Reply(body=rows)


def add_ref(api: Api, request: Request, repo: Repo, kind: str, rev: str) -> Reply:
    wanted = request.json()
    heads, name = (repo.tags, wanted["tag"]) if kind == "tag" else (repo.branches, rev)
    commit = repo.at(rev if kind == "tag" else wanted.get("startingPoint") or "main")
    if name in heads:
        return Reply(409, {"error": f"Reference {name} exists already"})
    if commit is None:
        return no_revision(rev)
    heads[name] = commit.sha
    return Reply(body={})


def remove_ref(api: Api, request: Request, repo: Repo, kind: str, rev: str) -> Reply:
    (repo.tags if kind == "tag" else repo.branches).pop(rev, None)
    return Reply()
