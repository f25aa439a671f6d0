"""Where the data of a benchmark may come from: a run folder, a dataset published at a revision, a release on disk, your own file.

Whatever it is becomes a run folder, once. One that is made here is filled aside and renamed when it is complete.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from benchmarks.importer import import_features
from benchmarks.release_reader import import_release
from svmbench import hub
from svmbench.errors import BadInput
from svmbench.progress import Progress
from svmbench.store import RunFolder, disk_errors, sha256_file

RUNS = Path("runs")
ASIDE = ".imports"  # in the folder of the runs: what is not complete yet
STAGE = "fetch"
DIGITS = 8  # of a commit or a sha256, in the name of a run folder


def open_source(text: str, *, endpoint: str | None = None, cache: Path = RUNS, progress: Progress | None = None) -> RunFolder:
    """The run folder for what a person named; the second time nothing is fetched or imported again.

    text: a run folder, or the name of one in `cache`; the folder of a release; an .npz file (docs/features.md); or OWNER/NAME on
    the Hub, with @ and a tag, a branch or a commit, else as main stands now. endpoint: another Hub. BadInput or HubError in one
    line.
    """
    path, progress = Path(text), progress or Progress(quiet=True)
    repo, _, revision = text.partition("@")
    if RunFolder(path).is_run():
        return RunFolder(path)
    if (path / hub.MARK).is_file():
        return _of_release(path, cache)
    if path.is_dir():
        raise BadInput(f"{text} is a folder, but neither a run folder (it has no done/) nor a release (it has no {hub.MARK})")
    if path.is_file():
        return _of_file(path, cache, progress)
    if "/" not in text and RunFolder(cache / text).is_run():
        return RunFolder(cache / text)
    owner, named = Path(repo.split("/")[0]), re.fullmatch(hub.REPO_NAME, repo) and not text.endswith((".npz", "@"))
    if named and (revision or not owner.is_dir()):
        return _of_hub(repo, revision or None, endpoint, cache, progress)
    there = ", ".join(sorted(p.parent.name for p in cache.glob("*/done"))) or "none"
    raise BadInput(
        f"{text} is no run folder, no release, no file, and not OWNER/NAME or OWNER/NAME@REVISION of a published dataset; "
        f"runs in {cache}: {there}" + (f"; for {repo} on the Hub write {repo}@main" if named else "")
    )


def _of_file(path: Path, cache: Path, progress: Progress) -> RunFolder:
    target = cache / f"{_name(path.stem)}-{sha256_file(path)[:DIGITS]}"
    return _once(target, lambda run: import_features(path, run, progress=progress))


def _of_release(folder: Path, cache: Path) -> RunFolder:
    """Named by the digest of its checksums, so a release that is written anew is another run."""
    hub.checked_files(folder)
    sha = sha256_file(folder / hub.SUMS)
    target = cache / f"{_name(folder.resolve().name)}-{sha[:DIGITS]}"
    return _once(target, lambda run: import_release(folder, run, {"checksums": sha}))


def _of_hub(repo: str, revision: str | None, endpoint: str | None, cache: Path, progress: Progress) -> RunFolder:
    """A commit never changes, so one that is there is used without asking the Hub."""
    exact = revision is not None and re.fullmatch(hub.COMMIT, revision) is not None
    sha = str(revision) if exact else hub.commit_of(repo, revision, endpoint=endpoint, progress=progress)

    def fill(run: RunFolder) -> None:
        folder = run.path / "download"
        hub.download(repo, sha, folder, endpoint=endpoint, progress=progress)
        import_release(folder, run, {"name": repo, "repo": repo, "commit": sha})
        shutil.rmtree(folder)

    run = _once(cache / f"{repo.replace('/', '--')}@{sha[:DIGITS]}", fill)
    if run.settings().get("import", {}).get("commit") != sha:
        raise BadInput(f"{run.path} holds another commit than {sha[:12]} of {repo}; move it away")
    return run


def _name(stem: str) -> str:
    return re.sub(r"[^\w.-]+", "-", stem).strip(".-") or "data"


def _once(target: Path, fill: Callable[[RunFolder], None]) -> RunFolder:
    """The run folder at `target`, filled if it is not there. StorageError while another process is filling it; BadInput where
    something else has its name."""
    if not RunFolder(target).is_run():
        if target.exists():
            raise BadInput(f"{target} is in the way and no run folder; move it, then try again")
        with disk_errors(target):
            draft = RunFolder.create(target.parent / ASIDE / target.name)
            try:
                with draft.writing(STAGE):
                    if not RunFolder(target).is_run():  # else another process has filled it since we looked
                        fill(draft)
                        draft.path.rename(target.resolve())
            except BadInput:  # a cut download goes on next time; what cannot be imported is not kept
                shutil.rmtree(draft.path)
                raise
            finally:
                if RunFolder(target).is_run():
                    shutil.rmtree(draft.path, ignore_errors=True)
                with suppress(OSError):
                    draft.path.parent.rmdir()
    return RunFolder(target)
