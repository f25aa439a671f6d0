"""The jobs behind the commands: each reads and writes a run folder. Part of the roof: imports the four packages, when called."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from svmbench.errors import BadInput, MissingExtra
from svmbench.fleet import Fleet
from svmbench.progress import Progress
from svmbench.provenance import note, recipe_of, settle
from svmbench.recipe import Recipe
from svmbench.store import RunFolder

RUNS = Path("runs")


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


def crawl_job(recipe: Recipe, run: RunFolder, fleet: Fleet, progress: Progress) -> None:
    with extra("crawl"):
        import crawl.run
    settle(run, recipe, f"crawl {recipe.name}")
    crawl.run.crawl(recipe, run, fleet, progress)


def curate_job(run: RunFolder, fleet: Fleet, progress: Progress, *, fresh: bool = False) -> None:
    with extra("curate"):
        import curation.run
    recipe = recipe_of(run)
    curation.run.check(recipe)
    if fresh:
        for stage in ("curate", "split"):
            with run.writing(stage) as writer:
                writer.clear()
    note(run, "curate")
    curation.run.curate(recipe, run, fleet, progress)


def leaderboard_job(runs: list[RunFolder], out: Path) -> Path:
    import leaderboard.build

    return leaderboard.build.build(runs, out)
