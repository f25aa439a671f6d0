"""The job behind run-baselines, and what it shows at the end. Part of the roof."""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Iterator
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from rich import box
from rich.table import Table

from svmbench import plugins
from svmbench.errors import BadInput, SvmbenchError
from svmbench.fleet import Fleet
from svmbench.jobs import RUNS, extra, find_run
from svmbench.progress import Progress
from svmbench.provenance import note
from svmbench.records import V2M, Score
from svmbench.store import RunFolder

BASELINES = "benchmarks.baselines"
METRICS = ("recall@1", "recall@5", "recall@10", "recall@25", "recall@50", "median_rank")


def baseline_words(words: list[str]) -> tuple[str | None, tuple[str, ...]]:
    """(the data, names of baselines): the first word is the data when it is no baseline's name. Names may also be joined by
    commas. BadInput where a word can be neither."""
    known = plugins.names(BASELINES)
    first = words[0] if words else ""
    is_name = first.partition(",")[0].partition(":")[0] in known
    source, rest = (None, words) if is_name or not words else (first, words[1:])
    if source is not None and not (Path(source).exists() or (RUNS / source).exists() or set(source) & set("/@.")):
        near = get_close_matches(source.partition(":")[0], known, n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise BadInput(
            f"{source!r} is neither a run folder nor a baseline.{hint} Baselines: {', '.join(known)}; "
            "without a run the newest under runs/ is taken"
        )
    return source, tuple(name for word in rest for name in word.split(",") if name)


def open_data(source: str | None, progress: Progress) -> RunFolder:
    """The run folder of what a person named as the data; without a name the newest under runs/."""
    if source is None:
        return find_run(None)
    with extra("bench"):
        from benchmarks.sources import open_source
    return open_source(source, progress=progress)


def baselines_job(
    run: RunFolder,
    fleet: Fleet,
    progress: Progress,
    *,
    names: tuple[str, ...] = (),
    seeds: int = 1,
    folds: int | None = None,
    shuffle_pairs: bool = False,
    model: str | None = None,
) -> SvmbenchError | None:
    """Fits and scores; returns the first error of those fits that failed, after which the others went on.

    model: FILE.py:CLASS or FILE.npz, a model or embeddings of the user's. What is wrong before the first fit is raised.
    """
    with extra("bench"):
        import benchmarks.run
        from benchmarks import own_embeddings, own_model
    own = None
    if model:
        own = own_embeddings.load(model, run, folds=folds) if model.endswith(".npz") else own_model.load(model)
    options = {"seeds": seeds if seeds > 1 else None, "folds": folds, "model": model}
    said = [f"--{name} {value}" for name, value in options.items() if value is not None]
    note(run, " ".join(["run-baselines", *names, *said, *(["--shuffle-pairs"] if shuffle_pairs else [])]))
    try:
        benchmarks.run.run_baselines(
            run, fleet, progress, names=names, seeds=seeds, folds=folds, shuffle_pairs=shuffle_pairs, own=own
        )
    except SvmbenchError as error:
        if progress.summaries and progress.summaries[-1].stage == "baselines" and progress.summaries[-1].failed:
            return error
        raise
    return None


def score_rows(run: RunFolder) -> list[dict[str, Any]]:
    """The run's scores as plain rows."""
    return [dataclasses.asdict(score) for score in run.read(Score, "scores")]


def score_table(rows: list[dict[str, Any]]) -> Table:
    """The scores as a table for the terminal: one row a baseline and direction; a star for failed checks."""
    caption = (
        "recalls in percent; MedR is the median rank; * a check failed, see below; intervals and tests: svmbench leaderboard"
    )
    table = Table(caption=caption, caption_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for name in ("baseline", *("R@" + m[7:] if "@" in m else "MedR" for m in METRICS), "gallery"):
        table.add_column(name, justify="left" if name == "baseline" else "right", no_wrap=True)
    cells: dict[tuple[str, str, str, str, int], dict[str, Any]] = {}
    for row in rows:
        key = (row["direction"], row["split"], row["baseline"], row["variant"], row["seed"])
        cells.setdefault(key, {})[row["metric"]] = row
    shown = None
    for key, found in sorted(cells.items(), key=lambda c: (c[0][0] != V2M, c[0][1], c[0][2] != "chance", c[0])):
        direction, split, baseline, variant, seed = key
        if shown != (direction, split):
            shown = (direction, split)
            table.add_section()
            table.add_row(f"[bold]{direction.replace('_to_', ' to ')}[/bold] ({split})")
        some = next(iter(found.values()))
        name = short(baseline, variant) + (f" seed {seed}" if seed else "") + (" *" if some["checks"] else "")
        table.add_row(name, *[_cell(found.get(metric), metric) for metric in METRICS], str(some["gallery_size"]))
    return table


def short(baseline: str, variant: str) -> str:
    """A row's name; the main variants go without theirs."""
    return baseline if variant in ("default", "expected") else f"{baseline} {variant}"


def marks(run: RunFolder) -> Iterator[str]:
    """A line for each failed check of a row that is shown: what it means in plain words, and what was measured."""
    from leaderboard.glossary import CHECKS, OTHER_CHECK

    jobs, scored = run.read_table("jobs"), run.read_table("scored")
    keys = set() if scored is None else set(scored["key"].to_pylist())
    found: dict[tuple[str, str], list[str]] = defaultdict(list)
    for job in [] if jobs is None else jobs.to_pylist():
        for check in job["checks"] if job["key"] in keys else []:
            said = next((text.partition(", ")[2] for text in job["findings"] if text.startswith(f"{check}: ")), "")
            found[short(job["baseline"], job["variant"]), check].append(said)
    for (name, check), details in sorted(found.items()):
        fits = f" ({len(details)} fits)" if len(details) > 1 else ""
        yield f"* {name}: {check}: {CHECKS.get(check, OTHER_CHECK)}. Measured: {details[0]}{fits}"


def _cell(row: dict[str, Any] | None, metric: str) -> str:
    if row is None or row["value"] is None:
        return "-"
    return f"{row['value']:.1f}" if metric == "median_rank" else f"{100 * row['value']:.1f}"
