"""Which request goes to which handler, a table for each of the two origins."""

from __future__ import annotations

import re
from collections.abc import Callable
from urllib.parse import unquote

from svmbench.hubsim import reading, repos, writing
from svmbench.hubsim.core import Api, Reply, Request, of_repo, signed_in

Route = tuple[str, str, Callable[..., Reply]]
_REPO = r"/(?P<repo>[^/]+/[^/]+?)"
_SET = "/api/datasets" + _REPO
_REV = r"/(?P<rev>[^/]+)"
_SHA256 = r"/(?P<oid>[0-9a-f]{64})"

API: list[Route] = [
    ("GET", r"/api/whoami-v2", signed_in(repos.whoami)),
    ("GET", r"/api/agent-harnesses", repos.no_agents),
    ("POST", r"/api/validate-yaml", repos.validate_card),
    ("POST", r"/api/repos/create", signed_in(repos.create)),
    ("DELETE", r"/api/repos/delete", signed_in(repos.delete)),
    ("GET", _SET, of_repo(reading.info)),
    ("GET", _SET + "/revision" + _REV, of_repo(reading.info)),
    ("GET", _SET + "/tree" + _REV + r"(?:/(?P<folder>.*))?", of_repo(reading.tree)),
    ("POST", _SET + "/paths-info" + _REV, of_repo(reading.paths_info)),
    ("GET|HEAD", "/datasets" + _REPO + "/resolve" + _REV + r"/(?P<path>.+)", reading.resolve),
    ("GET", _SET + "/refs", of_repo(repos.refs)),
    ("GET", _SET + "/commits" + _REV, of_repo(repos.commits)),
    ("PUT", _SET + "/settings", of_repo(repos.settings, write=True)),
    ("POST", _SET + "/(?P<kind>tag|branch)" + _REV, of_repo(repos.add_ref, write=True)),
    ("DELETE", _SET + "/(?P<kind>tag|branch)" + _REV, of_repo(repos.remove_ref, write=True)),
    ("POST", _SET + "/preupload" + _REV, of_repo(writing.preupload, write=True)),
    ("POST", _SET + "/commit" + _REV, of_repo(writing.commit, write=True)),
    ("POST", "/datasets" + _REPO + r"\.git/info/lfs/objects/batch", writing.lfs_batch),
    ("POST", "/lfs/verify", writing.lfs_verify),
    ("POST", "/lfs/complete" + _SHA256, writing.lfs_complete),
]
CDN: list[Route] = [
    ("PUT", "/put" + _SHA256, writing.put_large),
    ("PUT", "/part" + _SHA256 + r"/(?P<number>\d+)", writing.put_part),
    ("GET|HEAD", "/get" + _SHA256, reading.get_large),
]


def answer(api: Api, origin: str, request: Request) -> Reply | None:
    """The reply of the route that takes the request, None where there is none."""
    for methods, pattern, handler in CDN if origin == "cdn" else API:
        match = re.fullmatch(pattern, request.path) if request.method in methods.split("|") else None
        if match:
            with api.lock:
                return handler(api, request, **{name: unquote(value or "") for name, value in match.groupdict().items()})
    return None
