"""The jobs behind `svmbench curate` and the pages on what it found. Part of the roof."""

from __future__ import annotations

import getpass
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from svmbench.errors import BadInput
from svmbench.fleet import Fleet
from svmbench.jobs import RUNS, extra, remember
from svmbench.progress import Progress
from svmbench.provenance import note, recipe_of
from svmbench.recipe import load
from svmbench.records import Drop
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
    """Judges anew what was measured, with the thresholds of recipe `name`; without a name with those of the file that was named
    last, here or for the crawl, as it is now. Returns what changed."""
    with extra("curate"):
        import curation.run
    source = name or run.settings().get("recipe_from")
    recipe = load(source) if source else recipe_of(run)
    changes = curation.run.rejudge(recipe, run, fleet, progress)
    if name:
        remember(run, name)  # so that applying decisions later does not bring the older thresholds back
    note(run, f"curate --rejudge --recipe {recipe.name}")
    return {"changes": changes.line()}


def for_a_person(run: RunFolder, name: str | None) -> dict[str, Any]:
    """What to tell the user where clips await a person. name: of the run, as the user gave it."""
    num_clips = sum(drop.reason == "awaits_review" for drop in run.read(Drop, "drops"))
    command = " ".join(filter(None, ("svmbench review", name)))
    return {"for a person": f"{num_clips} in doubt; '{command}' shows them"} if num_clips else {}


def sheet_job(run: RunFolder, out: Path | None) -> Path:
    with extra("curate"):
        import curation.sheet.build
    return curation.sheet.build.build(recipe_of(run), run, out or run.path)


def report_job(run: RunFolder, out: Path | None) -> Path:
    with extra("curate"):
        import curation.report.build
    return curation.report.build.build(recipe_of(run), run, out or run.path)


@contextmanager
def review_page(run: RunFolder, reviewer: str | None, *, port: int, second: float, blind: float) -> Iterator[Any]:
    """The page, served while the context lasts. reviewer: default the name of who is logged in."""
    with extra("curate"):
        from curation.review import server
    with server.serve(recipe_of(run), run, reviewer=reviewer or _login(), port=port, second=second, blind=blind) as page:
        yield page


def _login() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError) as error:
        raise BadInput("who reviews? Name yourself with --reviewer") from error


def export_job(run: RunFolder, path: Path) -> dict[str, Any]:
    with extra("curate"):
        from curation.review import exchange
    return {"decisions": exchange.export(recipe_of(run), run, path), "written": path}


def import_decisions_job(run: RunFolder, path: Path) -> dict[str, Any]:
    with extra("curate"):
        from curation.review import exchange
    found = exchange.import_(run, path)
    skipped = [f"line {problem.line}: {problem.why}" for problem in found.problems]
    return {"added": found.added, "known_before": found.known} | ({"skipped": "; ".join(skipped)} if skipped else {})


def audit_job(
    target: str, fleet: Fleet, *, split: Path | None = None, only: str | None = None, columns: str | None = None
) -> tuple[Any, Iterator[Any]]:
    """The audit, and its pieces for a terminal. target: a path, or the name of a run under runs/."""
    with extra("curate"):
        from curation import audit, audit_text, split_file
    named = RUNS / target
    path = named if not Path(target).exists() and named.exists() else Path(target)
    if columns and not split and RunFolder(path).is_run():
        raise BadInput("--columns is about the file of a split, and a run has its own; add --split FILE, or leave it out")
    kinds = tuple(filter(None, (only or "").split(",")))
    found = audit.audit(path, fleet, split=split, columns=split_file.columns_of(columns) if columns else None, only=kinds)
    return found, audit_text.lines(found)
