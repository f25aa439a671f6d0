"""Tiers, failed checks and what did not run: on the page, in the files, and in the words that explain them."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from leaderboard import glossary, text
from leaderboard.build import build
from leaderboard.table import METRICS
from svmbench import plugins
from svmbench.records import Score
from svmbench.store import RunFolder

Make = Callable[..., Score]
STANDINGS = [
    ("mvbind default", 1, "mvbind default", None, ""),
    ("vm_net hong", 1, "mvbind default", 0.31, ""),
    ("cca default", None, None, None, "may not lead a tier: failed batch_invariance"),
    ("chance expected", None, None, None, "does not compete: chance"),
    ("mvbind shuffled", None, None, None, "does not compete: control"),
]


def tiers(page: Any, board: int = 0) -> dict[str, tuple[str, str]]:
    """By row, the Tier cell and its title."""
    rows = page.all("table", "scores")[board].all("tr")
    return {
        r.all("th")[0].all("bdi")[0].text(): (cell.text(), cell.all("span")[0].attrs["title"])
        for r in rows
        for cell in r.all("td", "tier")
    }


def test_tiers_stand_beside_the_rows_with_anchor_and_reasons(
    run: RunFolder, standing: Callable[..., None], tmp_path: Path, parse: Callable[[Path], Any]
) -> None:
    standing(run, STANDINGS)
    page = parse(build([run], tmp_path / "out"))
    for board in (0, 1):
        assert tiers(page, board) == {
            "chance": ("–", "does not compete: chance"),
            "mvbind": ("1 anchor", "anchor of tier 1: its best row without a failed check"),
            "vm_net · hong": ("1", "not told from mvbind default: adjusted p 0.310"),
            "cca": ("–", "may not lead a tier: failed batch_invariance"),
            "mvbind · shuffled": ("–", "does not compete: control"),
        }
    heads = [th.text() for th in page.all("table", "scores")[0].all("thead")[0].all("th")]
    assert heads[:2] == ["Baseline", "Tier"]
    for row in page.all("table", "scores")[0].all("tr"):
        width = (
            len(row.all("th") + row.all("td")) if row.attrs.get("class") != "divider" else int(row.all("th")[0].attrs["colspan"])
        )
        assert width == len(heads)


def test_tiers_stand_in_the_files(run: RunFolder, standing: Callable[..., None], tmp_path: Path) -> None:
    standing(run, STANDINGS)
    out = build([run], tmp_path / "out").parent
    rows = json.loads((out / "leaderboard.json").read_text())["measured"]
    found = {f"{r['baseline']} {r['variant']}": tuple(r[f"tier{n}"] for n in ("", "_anchor", "_p", "_reason")) for r in rows}
    assert found == {name: tuple(rest) for name, *rest in STANDINGS}
    cells = list(csv.DictReader(io.StringIO((out / "leaderboard.csv").read_text())))
    assert [c["tier"] for c in cells] == ["" if r["tier"] is None else str(r["tier"]) for r in rows]
    lines = [line.split(" | ")[:2] for line in (out / "leaderboard.md").read_text().splitlines() if line.startswith("| ")]
    assert lines[0] == ["| baseline", "tier"]
    assert {line[0]: line[1] for line in lines[1:6]} == {
        "| chance (chance)": "–", "| mvbind": "1 (anchor)", "| vm\\_net · hong": "1", "| cca": "–",
        "| mvbind · shuffled (control)": "–",
    }  # fmt: skip


def test_a_run_of_an_older_version_has_no_tier_column(run: RunFolder, tmp_path: Path, parse: Callable[[Path], Any]) -> None:
    page = parse(build([run], tmp_path / "out"))
    assert tiers(page) == {}
    assert "Tier" not in page.all("table", "scores")[0].text()
    assert "| tier" not in (tmp_path / "out" / "leaderboard.md").read_text()


def test_only_tables_of_one_run_have_tiers(
    score: Make, make_run: Callable[..., RunFolder], standing: Callable[..., None], tmp_path: Path, parse: Callable[[Path], Any]
) -> None:
    first = make_run("first", [score(), score(baseline="b")])
    second = make_run("second", [score(baseline="c"), score(baseline="d", revision="r2")])
    for run in (first, second):
        standing(run, [(f"{name} default", 1, "x default", 0.5, "") for name in ("mvbind", "b", "c", "d")])
    assert tiers(parse(build([first], tmp_path / "alone"))).keys() == {"mvbind", "b"}
    page = parse(build([first, second], tmp_path / "both"))
    assert (tiers(page, 0), tiers(page, 1).keys()) == ({}, {"d"})
    assert tiers(parse(build([first, first], tmp_path / "twice"))).keys() == {"mvbind", "b"}


def test_a_failed_check_is_told_beside_the_name_and_explained_with_what_was_measured(
    run: RunFolder, tmp_path: Path, parse: Callable[[Path], Any]
) -> None:
    findings = [
        "batch_invariance: FAILED, largest <b> 1.4, limit 0.0001",
        "ties: passed, none",
        "label_blindness: not run, not run: no labels",
    ]
    jobs = [
        {"key": "cca default 0", "split": "test", "baseline": "cca", "variant": "default", "checks": ["batch_invariance"]},
        {"key": "of no score", "split": "test", "baseline": "vm_net", "variant": "hong", "checks": ["batch_invariance"]},
    ]
    with run.writing("late") as writer:
        writer.commit(["late"], {"jobs": pa.Table.from_pylist([{**job, "findings": findings} for job in jobs])})
    page = parse(build([run], tmp_path / "out"))
    row = next(r for r in page.all("tr") if "cca" in r.text())
    assert [tag.text() for tag in row.all("span", "failed")] == ["1 failed check"]
    (skipped,) = row.all("td")[-1].all("small")
    assert (skipped.text(), skipped.attrs["title"]) == ("1 not run", "label_blindness: no labels")
    assert not [
        tag for r in page.all("tr") if "vm_net" in r.text() for tag in r.all("span", "failed") + r.all("td")[-1].all("small")
    ]
    told = next(dd for dd in page.with_id("results").all("dd") if "beside it" in dd.text())
    assert told.text().startswith("An item's embedding changes with the items embedded beside it")
    assert [li.text() for li in told.all("li")] == ["cca, test largest <b> 1.4, limit 0.0001"]


def test_a_check_that_ran_for_one_seed_is_not_called_not_run(
    run: RunFolder, tmp_path: Path, parse: Callable[[Path], Any]
) -> None:
    said = ["determinism: passed, the same bits", "determinism: not run, not run: there is no refit to look at"]
    jobs = [
        {
            "key": f"vm_net hong {seed}",
            "split": "test",
            "baseline": "vm_net",
            "variant": "hong",
            "checks": [],
            "findings": [words],
        }
        for seed, words in enumerate(said)
    ]
    with run.writing("late") as writer:
        writer.commit(["late"], {"jobs": pa.Table.from_pylist(jobs)})
    page = parse(build([run], tmp_path / "out"))
    assert not [small for r in page.all("tr") if "vm_net" in r.text() for small in r.all("td")[-1].all("small")]


def test_every_check_has_one_plain_sentence() -> None:
    assert sorted(glossary.CHECKS) == plugins.names("benchmarks.checks")
    for name, meaning in glossary.CHECKS.items():
        assert meaning[0].islower(), name  # the page and the command begin and end the sentence
        assert "." not in meaning, name
        assert len(meaning) > 30, name


@pytest.mark.parametrize("word", ["R@K", *(text.metric(m) for m in METRICS if "@" not in m), "Tier", "Not run"])
def test_every_column_of_the_page_is_explained(word: str) -> None:
    (term,) = [
        term for term in glossary.TERMS if word in term.replace("(", "").replace(")", "").replace(",", "").split() or term == word
    ]
    assert glossary.TERMS[term].endswith(".")
