"""The jobs behind the commands: each reads and writes a run folder. Part of the roof: imports the four packages, when called."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from svmbench.errors import BadInput, BadSettings, MissingExtra
from svmbench.fleet import Fleet
from svmbench.progress import Progress
from svmbench.provenance import note, recipe_of, require_same, settle
from svmbench.recipe import Recipe
from svmbench.store import RunFolder

RUNS = Path("runs")
REHEARSAL = "rehearsal"  # publish --to rehearsal


@dataclass(frozen=True, slots=True)
class Where:
    """Where the work is done: on threads of this process, on an embedded Ray (default), or on a Ray cluster."""

    local: bool = False
    address: str | None = None
    gpus: int = 0

    def fleet(self) -> Fleet:
        return Fleet(local=self.local, address=self.address, gpus=self.gpus)


@contextmanager
def extra(name: str) -> Iterator[None]:
    """Turns a missing package into one line that names the extra to install."""
    try:
        yield
    except ModuleNotFoundError as error:
        if error.name and error.name.split(".")[0] in ("crawl", "curation", "benchmarks", "leaderboard", "svmbench"):
            raise
        raise MissingExtra(f"{error.name} is not installed; pip install 'svmbench[{name}]'") from error


def find_run(name: str | None) -> RunFolder:
    """The run folder at a path, or runs/NAME, or without a name the one under runs/ that was written last."""
    if name is not None:
        path = Path(name)
        return RunFolder.open(path if path.exists() or path.parent != Path() else RUNS / name)
    found = [RunFolder(p) for p in RUNS.glob("*") if RunFolder(p).is_run()]
    if not found:
        raise BadInput("there is no run folder under runs/; name one, or make one with 'svmbench crawl'")
    return max(found, key=lambda run: (run.path / "done").stat().st_mtime)


def check(recipe: Recipe) -> None:
    """Everything that can be wrong with a recipe, before anything starts."""
    with extra("all"):
        import crawl.run
        import curation.run
    crawl.run.check(recipe)
    curation.run.check(recipe)


def remember(run: RunFolder, recipe: str) -> None:
    """Notes where the recipe came from, so that new thresholds in the same file can be applied later."""
    path = Path(recipe)
    run.write_settings({"recipe_from": str(path.resolve()) if path.suffix in (".yaml", ".yml") else recipe})


def crawl_job(
    recipe: Recipe, run: RunFolder, fleet: Fleet, progress: Progress, *, source: str | None = None, limit: int | None = None,
    retry: str | None = None,
) -> None:  # fmt: skip
    """source: the recipe's name or file. It and the recipe are noted once the run is known to be of this recipe. limit, retry:
    see crawl.run.crawl; KeyboardInterrupt after an orderly stop, as there."""
    with extra("crawl"):
        import crawl.run

    def agreed() -> None:
        settle(run, recipe, f"crawl {recipe.name}" + (f" --reason {retry}" if retry else ""))
        if source:
            remember(run, source)

    require_same(run, recipe)
    crawl.run.crawl(recipe, run, fleet, progress, limit=limit, retry=retry, agreed=agreed)


def leaderboard_job(runs: list[RunFolder], out: Path) -> Path:
    import leaderboard.build

    if out.is_file():
        raise BadSettings(f"{out} is a file; --out needs a folder for the page")
    return leaderboard.build.build(runs, out)


def publish_job(
    run: RunFolder,
    out: Path | None,
    repo: str | None,
    to: str | None,
    progress: Progress,
    *,
    private: bool = False,
    tag: str | None = None,
    dry_run: bool = False,
) -> dict[str, Any]:
    """Writes the release folder, and pushes it where a repository was named; returns what to tell the user.

    to='rehearsal' pushes to a loopback Hub that is forgotten afterwards. The ids of the posts go to REPO-ids, which is gated.
    """
    with extra("hub"):
        import curation.release
        from svmbench import hub, hubsim
    if to and not repo:
        raise BadSettings("--to needs --repo OWNER/NAME")
    version = (tag or "v1.0.0").removeprefix("v")
    release = curation.release.write_release(recipe_of(run), run, out or run.path / "release", version=version)
    facts: dict[str, Any] = {
        "release": release.folder,
        "configs": ", ".join(release.configs),
        "size": f"{release.num_bytes / 2**20:.1f} MiB",
    }
    facts |= {"warning": "; ".join(release.warnings)} if release.warnings else {}
    if not repo:
        return facts
    with ExitStack() as stack:
        if to == REHEARSAL:
            to = stack.enter_context(hubsim.serve()).endpoint
        for folder, name in ((release.folder, repo), (release.ids_folder, f"{repo}-ids")):
            sha = hub.push(folder, name, endpoint=to, private=private, tag=tag, dry_run=dry_run, progress=progress)
            facts[f"commit of {name}"] = sha or "none: this was a dry run"
    note(run, f"publish --repo {repo}" + (f" --to {to}" if to else ""))
    return facts


def import_job(file: Path, folder: Path, progress: Progress, *, window_s: float | None = None) -> RunFolder:
    """Makes a run folder of a file of features; of a file that is refused nothing is left behind."""
    with extra("bench"):
        import benchmarks.importer
    new = not folder.exists()
    run = RunFolder.create(folder)
    try:
        benchmarks.importer.import_features(file, run, window_s=window_s, progress=progress)
    except BadInput:
        if new:
            shutil.rmtree(folder)
        raise
    note(run, f"import-features {file.name}" + (f" --window {window_s:g}" if window_s else ""))
    return run
