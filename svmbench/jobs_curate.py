"""The jobs behind `svmbench curate` and the pages on what it found. Part of the roof."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from svmbench.errors import BadInput
from svmbench.fleet import Fleet
from svmbench.jobs import extra
from svmbench.progress import Progress
from svmbench.provenance import note, recipe_of
from svmbench.recipe import load
from svmbench.store import RunFolder


def curate_words(
    words: list[str], *, rejudge: bool, recipe: str | None = None, out: Path | None = None, fresh: bool = False
) -> tuple[str, str | None]:
    """('curate', 'rejudge', 'sheet' or 'report', name of the run or None) from what stands after `svmbench curate`; BadInput for
    words and options that do not go together."""
    pages = words[:1] if words[:1] in (["sheet"], ["report"]) else []
    action, names = (pages[0], words[1:]) if pages else ("rejudge" if rejudge else "curate", words)
    if len(names) > 1:
        raise BadInput(
            f"one run at a time, not {', '.join(names)}; 'svmbench curate sheet RUN' and 'curate report RUN' write pages"
        )
    if pages and rejudge:
        raise BadInput(f"--rejudge and {action} are two commands; rejudge first, then write the {action}")
    if recipe and action != "rejudge":
        raise BadInput("--recipe goes with --rejudge; a run is decoded with the recipe that it was crawled with")
    if out and not pages:
        raise BadInput(
            f"--out is where a sheet or a report goes: 'svmbench curate sheet RUN --out {out}'; tables stay in the run folder"
        )
    if fresh and action != "curate":
        raise BadInput(f"--fresh decodes anew, and {action} decodes nothing; leave one out")
    return action, names[0] if names else None


def curate_job(run: RunFolder, fleet: Fleet, progress: Progress, *, fresh: bool = False) -> None:
    with extra("curate"):
        import curation.run
    recipe = recipe_of(run)
    if not run.done_ids("crawl"):
        raise BadInput(f"{run.path} has no fetched posts; run 'svmbench crawl' first")
    curation.run.check(recipe)
    if fresh:
        for stage in ("curate", "judge", "split"):
            with run.writing(stage) as writer:
                writer.clear()
        shutil.rmtree(run.path / "at-work", ignore_errors=True)
    note(run, "curate")
    curation.run.curate(recipe, run, fleet, progress)


def rejudge_job(run: RunFolder, name: str | None, fleet: Fleet, progress: Progress) -> dict[str, Any]:
    """Judges anew what was measured, with the thresholds of recipe `name`; without a name with those of the file that the run
    was crawled with, as it is now. Returns what changed."""
    with extra("curate"):
        import curation.run
    source = name or run.settings().get("recipe_from")
    recipe = load(source) if source else recipe_of(run)
    changes = curation.run.rejudge(recipe, run, fleet, progress)
    note(run, f"curate --rejudge --recipe {recipe.name}")
    return {"changes": changes.line()}


def sheet_job(run: RunFolder, out: Path | None) -> Path:
    with extra("curate"):
        import curation.sheet.build
    return curation.sheet.build.build(recipe_of(run), run, out or run.path)


def report_job(run: RunFolder, out: Path | None) -> Path:
    with extra("curate"):
        import curation.report.build
    return curation.report.build.build(recipe_of(run), run, out or run.path)
