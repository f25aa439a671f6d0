"""Runs -> one self-contained page, and the same rows as CSV, Markdown and JSON."""

from __future__ import annotations

import base64
import hashlib
import itertools
import json
import re
from collections.abc import Mapping, Sequence
from functools import lru_cache, partial
from importlib import resources
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
from markupsafe import Markup

from leaderboard import audit, charts, checks, dataset, export, glossary, published, table, text, tiers
from svmbench import __version__
from svmbench.errors import BadInput
from svmbench.records import Score
from svmbench.store import RunFolder, write_atomically

Ranks = dict[tuple[str, str], charts.RankList]


def build(runs: list[RunFolder], out: Path) -> Path:
    """Writes out/index.html, leaderboard.csv, .md and .json from the scores of the runs. Returns the path of index.html.

    BadInput: a run without scores. BadScores: a value that is not finite or not a share, or two runs that contradict each other.
    """
    if not runs:
        raise BadInput("no run folder named; give the folder of a run, e.g. svmbench leaderboard RUN")
    scores = {run.path: run.read(Score, "scores") for run in runs}
    for path, found in scores.items():
        if not found:
            raise BadInput(f"no scores in {path}; run svmbench run-baselines {path} first")
    keys = {run.path: {board.key for board in table.tables(scores[run.path])} for run in runs}
    boards = [
        tiers.with_tiers(board, [run for run in runs if board.key in keys[run.path]])
        for board in table.tables(score for found in scores.values() for score in found)
    ]
    papers = audit.shipped()
    rows = export.flat_rows(boards)
    files = {
        "leaderboard.csv": export.to_csv(rows),
        "leaderboard.json": export.to_json(rows, papers),
        "leaderboard.md": export.to_markdown(boards),
        "index.html": page(boards, papers, [_of_run(run, scores[run.path]) for run in runs]),
    }
    for name, content in files.items():
        write_atomically(out / name, partial(Path.write_text, data=content, encoding="utf-8"))
    return out / "index.html"


def _of_run(run: RunFolder, scores: Sequence[Score]) -> dict[str, Any]:
    """What the page says about one run beside its scores."""
    settings = run.settings()
    history = [{key: step.get(key, "") for key in ("at", "command", "commit")} for step in settings.get("history", [])]
    return {
        "name": run.path.name,
        "settings": json.dumps(settings, indent=2, sort_keys=True, ensure_ascii=False, default=str),
        "history": history,
        "date": str(history[-1].get("at", "")) if history else "",
        "versions": settings.get("svmbench", {}).get("versions", {}),
        "machine": settings.get("svmbench", {}).get("machine", {}),
        "title": settings.get("recipe", {}).get("about", ""),
        "dataset": dataset.describe(run),
        "ranks": {t.key: read_ranks(run, t.key) for t in table.tables(scores)},
        "tests": {t.key: read_tests(run, t.key) for t in table.tables(scores)},
        "failed": checks.failed(run),
        "not_run": checks.not_run(run),
    }


def read_ranks(run: RunFolder, key: table.Key) -> Ranks:
    """The ranks behind one table by (baseline, variant), seeds and folds together; empty where the run has none.

    The table `scored` says which jobs the scores were made of; others of the same run, older or incomplete, do not count.
    """
    rows = run.read_table("ranks")
    if rows is None:
        return {}
    column = {name: rows[name].to_numpy(zero_copy_only=False) for name in rows.column_names}
    jobs = _scored(run, key)
    right = column.get("tied_right", np.ones(rows.num_rows))
    groups: dict[tuple[str, str], list[int]] = {}
    wanted = (column["direction"] == key.direction) & np.isin(column["key"].astype(str), jobs)
    for i in np.flatnonzero(wanted):
        groups.setdefault((column["baseline"][i], column["variant"][i]), []).append(int(i))
    return {
        name: charts.RankList(
            better=column["better"][index].astype(float), tied=column["tied"][index].astype(int), right=right[index].astype(int)
        )
        for name, index in groups.items()
    }


def _scored(run: RunFolder, key: table.Key) -> list[str]:
    """Keys of the jobs that made the table `key`."""
    rows = run.read_table("scored")
    return (
        [] if rows is None else [r["key"] for r in rows.to_pylist() if (r["revision"], r["split"]) == (key.revision, key.split)]
    )


def read_tests(run: RunFolder, key: table.Key) -> list[dict[str, Any]]:
    """The paired tests of one table, against chance first, then control rows, then pairs; empty where the run has none."""
    rows = run.read_table("tests")
    found = [] if rows is None else [r for r in rows.to_pylist() if (r["split"], r["direction"]) == (key.split, key.direction)]
    return sorted(found, key=lambda r: (("chance", "control", "pair").index(r["kind"]), r["metric"], r["first"], r["second"]))


@lru_cache
def _template() -> jinja2.Template:
    env = jinja2.Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined)
    env.filters.update(shown=text.shown, lines=text.lines, slug=slug, parted=parted)
    return env.from_string(_packaged("page.html"))


def _packaged(name: str) -> str:
    return resources.files("leaderboard").joinpath(name).read_text(encoding="utf-8")


def page(boards: Sequence[table.Table], papers: Sequence[published.PrintedTable], runs: Sequence[Mapping[str, Any]]) -> str:
    """The HTML. What comes from outside passes text.shown and autoescape; style and script are inlined and allowed by hash."""
    css, js = _packaged("page.css"), _packaged("page.js")
    return _template().render(
        css=Markup(css), js=Markup(js), css_hash=_hash(css), js_hash=_hash(js), version=__version__,
        boards=[_board(t, runs) for t in boards], datasets=_by_dataset(boards), papers=_by_paper(papers), runs=runs,
        text=text, charts=charts, flags=_flags(papers), terms=glossary.TERMS, apart=_why_apart(boards),
        checks=_failed(boards, runs), num_figures=sum(len(r.figures) for p in papers for r in p.rows), chance=published_chance,
        findings=findings, lower=table.LOWER_IS_BETTER,
    )  # fmt: skip


def _hash(content: str) -> str:
    """The hash by which the content security policy allows an inline script or style."""
    return "sha256-" + base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()


def parted(name: str) -> Markup:
    """A name, escaped, that a narrow column may break after an underscore."""
    return Markup("_<wbr>").join(name.split("_"))


def slug(value: str) -> str:
    """A name as part of an id: letters, digits and dashes."""
    return re.sub(r"[^a-z0-9]+", "-", value.lower())[:60].strip("-") or "x"


def _board(board: table.Table, runs: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    ranks: Ranks = {}
    for run in runs:
        ranks.update(run["ranks"].get(board.key, {}))
    figures = [
        ("How far the rows are apart", charts.intervals(board)),
        ("How recall grows with the cut-off", charts.curves(board, ranks)),
        ("Where the right item lands", charts.histogram(board, ranks)),
    ]
    marks = {cell.mark for row in board.rows for cell in row.cells.values()}
    tests = [(run["name"], found) for run in runs if (found := run["tests"].get(board.key))]
    return {
        "table": board, "figures": [(title, svg) for title, svg in figures if svg], "marked": "best" in marks, "tests": tests,
        "not_run": _not_run(board, runs),
    }  # fmt: skip


def _not_run(board: table.Table, runs: Sequence[Mapping[str, Any]]) -> dict[tuple[str, str], dict[str, str]]:
    """By (baseline, variant), the checks that did not run and why; of the runs that have this table."""
    found: dict[tuple[str, str], dict[str, str]] = {}
    for run in runs:
        for (split, *row), why in run["not_run"].items() if board.key in run["tests"] else ():
            if split == board.key.split:
                found.setdefault((row[0], row[1]), {}).update(why)
    return found


def _by_dataset(boards: Sequence[table.Table]) -> dict[tuple[str, str, str], list[int]]:
    """Indices of the tables by (dataset, revision, split)."""
    found: dict[tuple[str, str, str], list[int]] = {}
    for i, board in enumerate(boards):
        found.setdefault((board.key.dataset, board.key.revision, board.key.split), []).append(int(i))
    return found


def _by_paper(papers: Sequence[published.PrintedTable]) -> dict[str, list[published.PrintedTable]]:
    found: dict[str, list[published.PrintedTable]] = {}
    for paper in papers:
        found.setdefault(paper.paper, []).append(paper)
    return found


def published_chance(paper: published.PrintedTable, metric: str) -> str:
    """What random ranking gives in the pool of a printed table, one right item a query: K / N, and (N + 1) / 2 for the median."""
    if paper.pool_size is None:
        return ""
    if metric == "median_rank":
        return f"{(paper.pool_size + 1) / 2:g}"
    return f"{100 * int(metric.partition('@')[2]) / paper.pool_size:.2f}" if metric.startswith("recall@") else ""


def findings(paper: published.PrintedTable) -> dict[str, list[tuple[str, str]]]:
    """The audit of a printed table by kind of flag: (systems, what was found), equal findings together.

    'chance' is left out: its figures are dotted in the table, and chance stands in the row above.
    """
    found: dict[str, dict[str, list[str]]] = {}
    for row in paper.rows:
        for flag in row.flags:
            name = f"{row.system}, {row.setting}" if row.setting else row.system
            if flag.kind != "chance":
                found.setdefault(flag.kind, {}).setdefault(flag.text, []).append(name)
    return {kind: [(" / ".join(names), words) for words, names in texts.items()] for kind, texts in found.items()}


def _flags(papers: Sequence[published.PrintedTable]) -> dict[str, str]:
    """The marks that occur, with what they mean."""
    found = {flag.kind for paper in papers for row in paper.rows for flag in row.flags}
    return {kind: meaning for kind, meaning in glossary.FLAGS.items() if kind in found}


def _failed(boards: Sequence[table.Table], runs: Sequence[Mapping[str, Any]]) -> dict[str, tuple[str, list[tuple[str, str]]]]:
    """The failed checks of all rows: what they mean, and of each row, in its run, what was measured."""
    names = sorted({check for board in boards for row in board.rows for check in row.checks})
    found: dict[str, list[tuple[str, str]]] = {name: [] for name in names}
    for name, run in itertools.product(names, runs):
        for (split, baseline, variant), details in run["failed"].get(name, {}).items():
            where = [table.named(baseline, variant), split, *([run["name"]] if len(runs) > 1 else [])]
            fits = f" ({len(details)} fits)" if len(details) > 1 else ""
            found[name].append((", ".join(where), details[0] + fits))
    return {name: (glossary.CHECKS.get(name, glossary.OTHER_CHECK), found[name]) for name in names}


def _why_apart(boards: Sequence[table.Table]) -> list[str]:
    """What differs between the tables of the page, in words; empty for a single table."""
    names = {
        "dataset": "dataset", "revision": "revision of the data", "split": "split", "gallery_size": "size of the gallery",
        "num_queries": "number of queries", "direction": "direction",
    }  # fmt: skip
    return [words for field, words in names.items() if len({getattr(board.key, field) for board in boards}) > 1]
