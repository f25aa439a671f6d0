"""The only file that speaks to the Hugging Face Hub: puts a release folder into a dataset repository, and fetches one.

A release is pushed by one process in one commit whose parent is pinned, so readers see the old release or the new one, never a
mixture. Files that are there already are not sent again: after a cut the same command finishes the work. The client repeats
failed uploads by itself and never repeats a failed commit (huggingface_hub 2.4), so `push` does that.

The token is the one that 'hf auth login' keeps, or HF_TOKEN; reading a public repository needs none. It is sent to nobody but
the Hub's own API, never over plain http to another machine, and a loopback Hub gets a made-up one in its place.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

from svmbench.errors import BadInput, HubError, MissingExtra
from svmbench.hubsim.state import TOKEN, git_oid
from svmbench.progress import Progress, Stage
from svmbench.store import disk_errors, sha256_file

if TYPE_CHECKING:
    from huggingface_hub import HfApi
    from huggingface_hub.hf_api import DatasetInfo

SUMS = "CHECKSUMS.sha256"
MARK = "release.json"  # what makes a folder, or a repository, a release of ours
ATTEMPTS = 4
WAIT_S = 1.0  # before the second attempt; doubled each time
PASSING = (408, 409, 412, 429, 500, 502, 503, 504)  # statuses that may be gone a moment later
LOOPBACK = ("127.0.0.1", "localhost", "::1")
REPO_NAME = r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*"
COMMIT = r"[0-9a-f]{40}"
T = TypeVar("T")


def push(
    folder: Path,
    repo: str,
    *,
    endpoint: str | None = None,
    private: bool = False,
    tag: str | None = None,
    dry_run: bool = False,
    progress: Progress,
) -> str:
    """Makes `repo` (OWNER/NAME) hold exactly the release in `folder`; returns the commit id, 40 hex digits.

    endpoint: another Hub, e.g. a loopback one. private: of a repository that is made; one that exists must be private already.
    tag: put on the commit; a tag that stands on another release is refused. dry_run: checks the folder and the names, asks the
    Hub nothing and returns ''. A folder of ids (see curation.release) gets its repository gated before anything is in it.
    """
    paths = checked_files(folder)
    if not re.fullmatch(REPO_NAME, repo):
        raise BadInput(f"{repo!r} is not a repository name; write OWNER/NAME")
    with progress.stage("publish", total=len(paths), unit="files") as stage:
        stage.summary.seen = stage.summary.left = len(paths)
        if dry_run:
            return ""
        api = _client(endpoint)
        stage.say(f"{repo}: {sum((folder / p).stat().st_size for p in paths) / 2**20:.1f} MiB")
        publish = lambda: _publish(api, folder, paths, repo, private=private, tag=tag)
        sha = _persist(publish, stage, repo, lambda failure, status: _say(failure, status, repo, api.endpoint))
        stage.summary.left = 0
        stage.add(kept=len(paths))
    return sha


def commit_of(repo: str, revision: str | None, *, endpoint: str | None = None, progress: Progress) -> str:
    """The commit, 40 hex digits, that a tag or a branch names; without one, that of main. HubError where there is none, or it
    cannot be read."""
    return _release_at(repo, revision, endpoint, progress)


def download(repo: str, commit: str, folder: Path, *, endpoint: str | None = None, progress: Progress) -> None:
    """Fetches the release that stands in `repo` at a commit into `folder`, and checks every file against CHECKSUMS.sha256.

    What an earlier attempt has fetched is not fetched again. HubError where it cannot be read, or is no release of ours.
    """
    _release_at(repo, commit, endpoint, progress)
    api = _client(endpoint, reading=True)

    def fetch() -> str:
        return api.snapshot_download(
            repo, repo_type="dataset", revision=commit, local_dir=folder, ignore_patterns=[".gitattributes"], max_workers=4
        )

    with progress.stage("download", unit="files") as stage, disk_errors(folder):
        _persist(fetch, stage, repo, lambda failure, status: _say_reading(failure, status, repo, commit, api))
        shutil.rmtree(folder / ".cache", ignore_errors=True)
        try:
            paths = checked_files(folder)
        except BadInput as error:
            shutil.rmtree(folder, ignore_errors=True)
            raise HubError(f"{repo} at {commit[:12]} is not a whole release of svmbench: {error}") from error
        stage.summary.seen = len(paths)
        stage.add(kept=len(paths))


def _release_at(repo: str, revision: str | None, endpoint: str | None, progress: Progress) -> str:
    """The commit of a revision at which a release stands."""
    if not re.fullmatch(REPO_NAME, repo):
        raise BadInput(f"{repo!r} is not a repository name; write OWNER/NAME")
    api = _client(endpoint, reading=True)
    with progress.stage("look up", unit="repositories") as stage:
        stage.summary.seen = 1
        say = lambda failure, status: _say_reading(failure, status, repo, revision, api)
        info = _persist(lambda: api.dataset_info(repo, revision=revision), stage, repo, say)
        stage.add(kept=1)
    if MARK not in {sibling.rfilename for sibling in info.siblings or []}:
        raise HubError(f"{repo} at {api.endpoint} holds no release of svmbench (it has no {MARK}); choose another dataset")
    return str(info.sha)


def checked_files(folder: Path) -> list[str]:
    """The files of a release, relative to its folder; BadInput unless each has the sha256 that CHECKSUMS.sha256 says."""
    listing = folder / SUMS
    if not listing.is_file() or not (folder / MARK).is_file():
        raise BadInput(f"{folder} is not a release (no {SUMS} or no {MARK}); 'svmbench publish' writes one")
    lines = (line.partition("  ") for line in listing.read_text(errors="replace").splitlines())
    sums = {path: sha for sha, _, path in lines}
    there = {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file() or p.is_symlink()} - {SUMS}
    for path in sorted(there ^ set(sums)):
        raise BadInput(
            f"{folder}: {path} is {'not listed in' if path in there else 'missing, and listed in'} {SUMS}; write the release anew"
        )
    for path, sha in sorted(sums.items()):
        if (folder / path).is_symlink() or sha256_file(folder / path) != sha:
            raise BadInput(f"{folder}: {path} has changed since the release was written; write it anew")
    return sorted([*sums, SUMS])


def _client(endpoint: str | None, *, reading: bool = False) -> HfApi:
    """The real client with the right token for this endpoint; reading: with none where nobody is signed in."""
    os.environ["HF_HUB_DISABLE_XET"] = "1"  # read at import; xet uploads have no way back to plain LFS when a Hub lacks xet
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    try:
        import huggingface_hub
        from huggingface_hub import constants
    except ImportError as error:
        raise MissingExtra("the Hub needs huggingface_hub; pip install 'svmbench[hub]'") from error
    constants.HF_HUB_DISABLE_XET = True  # for a process that had imported it before
    huggingface_hub.logging.set_verbosity_error()
    address = (endpoint or constants.ENDPOINT).rstrip("/")
    parts = urlsplit(address)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise BadInput(f"{address!r} is not the address of a Hub; write it like http://127.0.0.1:8900")
    if parts.hostname in LOOPBACK:
        return huggingface_hub.HfApi(endpoint=address, token=TOKEN)
    if parts.scheme == "http":
        raise BadInput(f"{address} would send your token in clear text; use https")
    token = huggingface_hub.get_token()
    if not token and not reading:
        raise HubError("no Hub token: run 'hf auth login', or set HF_TOKEN, then run the same command again")
    return huggingface_hub.HfApi(endpoint=address, token=token or False)


def _publish(api: HfApi, folder: Path, paths: list[str], repo: str, *, private: bool, tag: str | None) -> str:
    """One attempt, right from whatever state an earlier one has left."""
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete

    info = _repository(api, repo, private=private, gated=json.loads((folder / MARK).read_text())["kind"] == "ids")
    there = {sibling.rfilename for sibling in info.siblings or []} - {".gitattributes"}
    if there - {"README.md"} and MARK not in there:
        raise HubError(f"{repo} holds something else than a release of svmbench; choose another name")
    standing = _tagged(api, repo, tag, folder) if tag else None
    if standing:
        return standing
    operations = [CommitOperationAdd(path_in_repo=path, path_or_fileobj=folder / path) for path in paths]
    stale = [CommitOperationDelete(path_in_repo=path) for path in sorted(there - set(paths))]
    commit = api.create_commit(
        repo,
        [*stale, *operations],
        commit_message=f"Release {tag or json.loads((folder / MARK).read_text())['version']}",
        repo_type="dataset",
        parent_commit=info.sha,
    )
    if tag:
        api.create_tag(repo, tag=tag, revision=commit.oid, repo_type="dataset")
    return str(commit.oid)


def _repository(api: HfApi, repo: str, *, private: bool, gated: bool) -> DatasetInfo:
    """The repository as it stands, made and gated if need be."""
    from huggingface_hub.errors import RepositoryNotFoundError

    try:
        info = api.dataset_info(repo)
    except RepositoryNotFoundError as error:
        if error.response.status_code != 404:
            raise
        api.create_repo(repo, repo_type="dataset", private=private, exist_ok=True)
        info = api.dataset_info(repo)
    if private and not info.private:
        raise HubError(f"{repo} exists and is public; make it private on the Hub first, or choose another name")
    if gated and not info.gated:
        api.update_repo_settings(repo, repo_type="dataset", gated="manual")
    return info


def _tagged(api: HfApi, repo: str, tag: str, folder: Path) -> str | None:
    """The commit that the tag stands on if that is this very release; None where there is no such tag."""
    found = [ref.target_commit for ref in api.list_repo_refs(repo, repo_type="dataset").tags if ref.name == tag]
    if not found:
        return None
    listed = api.get_paths_info(repo, [SUMS], revision=tag, repo_type="dataset")
    if [getattr(file, "blob_id", None) for file in listed] != [git_oid((folder / SUMS).read_bytes())]:
        raise HubError(f"{repo} has the tag {tag} on another release; choose a new version")
    return str(found[0])


def _persist(attempt: Callable[[], T], stage: Stage, repo: str, say: Callable[[Any, int | None], str]) -> T:
    """attempt() until it succeeds, with ATTEMPTS tries for failures that may pass. say(failure, status) -> one line."""
    for number in range(1, ATTEMPTS + 1):
        try:
            return attempt()
        except Exception as error:  # the HTTP library has a tree of its own; what _failure does not know is raised again
            failure = _failure(error)
            if failure is None:
                raise
            status = _status(failure)
            if number == ATTEMPTS or (status is not None and status not in PASSING):
                raise HubError(say(failure, status)) from error
            wait_s = max(WAIT_S * 2 ** (number - 1), _retry_after_s(failure))
            stage.say(f"{repo}: {status or 'connection lost'}, once more in {wait_s:g} s")
            time.sleep(wait_s)
    raise AssertionError("unreachable")


def _failure(error: BaseException) -> Any:
    """The Hub's refusal or the broken connection behind an exception; None where it is neither and the defect is ours."""
    from huggingface_hub.errors import HTTPError  # of the HTTP library that the client uses; the Hub's own errors derive from it

    for cause in _causes(error):
        if isinstance(cause, (HTTPError, ConnectionError, json.JSONDecodeError)) or "Invalid metadata in README.md" in str(cause):
            return cause
    return None


def _status(failure: BaseException) -> int | None:
    """The HTTP status of a failure, None where no answer came."""
    answers = (getattr(cause, "response", None) for cause in _causes(failure))
    return next((int(answer.status_code) for answer in answers if answer is not None), None)


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__


def _retry_after_s(failure: Any) -> float:
    """What the Hub asked for with Retry-After, at most a minute; 0 where it did not."""
    value = getattr(getattr(failure, "response", None), "headers", {}).get("Retry-After", "")
    return min(60.0, float(value)) if value.isdigit() else 0.0


def _say(failure: Any, status: int | None, repo: str, endpoint: str) -> str:
    """One line for the user."""
    again = "run the same command again, it continues where this one stopped"
    if status == 401:
        return f"the Hub at {endpoint} refuses the token; run 'hf auth login' again or set HF_TOKEN"
    if status in (403, 404):
        return f"this token may not write to {repo} at {endpoint}; ask its owner, or choose another name"
    if status in (409, 412):
        return f"{repo} kept changing during {ATTEMPTS} attempts: somebody else publishes to it; {again}"
    if "Invalid metadata" in str(failure):
        return f"the Hub rejects the card: {' '.join(str(failure).split())[:200]}"
    if status is not None:
        return f"the Hub at {endpoint} answered {status}; {again}"
    return f"the Hub at {endpoint} cannot be reached ({type(failure).__name__}: {' '.join(str(failure).split())[:120]}); {again}"


def _say_reading(failure: Any, status: int | None, repo: str, revision: str | None, api: HfApi) -> str:
    """One line for the user who wanted to read."""
    from huggingface_hub.errors import GatedRepoError, RevisionNotFoundError

    causes = list(_causes(failure))
    if any(isinstance(cause, GatedRepoError) for cause in causes):
        return f"{repo} at {api.endpoint} asks for access: request it on its page, sign in with 'hf auth login', then try again"
    if any(isinstance(cause, RevisionNotFoundError) for cause in causes):
        return f"{repo} at {api.endpoint} has no revision {revision!r}; it has {_known_revisions(api, repo)}"
    if status in (401, 403, 404):
        return (
            f"{repo} at {api.endpoint} does not exist, or is private: check the name, or sign in with 'hf auth login' as "
            "somebody who may read it"
        )
    return _say(failure, status, repo, api.endpoint)


def _known_revisions(api: HfApi, repo: str) -> str:
    """For people; a Hub that does not tell is not asked twice."""
    from huggingface_hub.errors import HTTPError

    try:
        refs = api.list_repo_refs(repo, repo_type="dataset")
    except HTTPError:
        return "others"
    return ", ".join([*(ref.name for ref in (*refs.tags, *refs.branches)), "and its commits"])
