"""The page and its files, from run folders: everything there, everything apart that must be, nothing hostile alive."""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from leaderboard import text
from leaderboard.build import build, read_ranks
from leaderboard.published import load
from leaderboard.table import tables
from svmbench.errors import BadInput
from svmbench.records import M2V, Drop, Score, to_table
from svmbench.store import RunFolder

Make = Callable[..., Score]
EVIL = [
    "</script><script>window.pwned=1</script>",
    '"><img src=x onerror="window.pwned=2">',
    "<svg/onload=window.pwned=3>",
    "javascript:window.pwned=4",
    "{{7*7}}{% for x in y %}",
    "<!--<script>",
    "</style><style>*{display:none}",
    "\u202egnp.exe\u2028\u0007\x1b[31m",
    '=HYPERLINK("http://example.invalid")',
    "| a | [b](javascript:x) `c`",
    "x" * 1_000_000,
]


def cells(row: Any) -> list[str]:
    return [cell.text() for cell in row.children if not isinstance(cell, str)]


def test_every_score_stands_on_the_page(run: RunFolder, tmp_path: Path, parse: Callable[[Path], Any]) -> None:
    page = parse(build([run], tmp_path / "out"))
    boards = page.all("table", "scores")
    wanted = tables(run.read(Score, "scores"))
    assert len(boards) == len(wanted) == 2
    for board, table in zip(boards, wanted, strict=True):
        rows = [r for body in board.all("tbody") for r in body.all("tr") if r.attrs.get("class") != "divider"]
        assert len(rows) == len(table.rows) == 5
        for shown, row in zip(rows, table.rows, strict=True):
            found = cells(shown)
            assert found[0].startswith(row.name)
            for cell, metric in zip(found[1:], table.columns, strict=False):
                value = row.cells[metric]
                assert cell.split()[0] == text.number(metric, value.value)
                assert text.interval(metric, value) in cell
            assert found[1 + len(table.columns)].split()[0] == str(len(row.seeds))
            assert text.count(row.num_params) in found
            assert f"{text.seconds(row.wall_s)} {row.device}" in found


def test_chance_controls_and_failed_checks_are_set_apart(run: RunFolder, tmp_path: Path, parse: Callable[[Path], Any]) -> None:
    page = parse(build([run], tmp_path / "out"))
    board = page.all("table", "scores")[0]
    assert [body.attrs["class"] for body in board.all("tbody")] == ["chance", "measured", "control"]
    assert cells(board.all("tbody", "chance")[0].all("tr")[0])[3] == "11.4"  # 10 of 88 songs
    assert "shuffled" in board.all("tbody", "control")[0].text()
    (failed,) = board.all("a", "flag")
    assert failed.text() == "batch_invariance"
    assert failed.attrs["href"] == "#check-batch-invariance"
    assert "batch_invariance" in page.with_id("check-batch-invariance").text()
    assert not any("best" in (c.attrs.get("class") or "") for r in board.all("tr") if "cca" in r.text() for c in r.all("td"))


def test_tables_that_must_not_be_mixed_are_separate_and_the_page_says_why(
    score: Make, make_run: Callable[..., RunFolder], tmp_path: Path, parse: Callable[[Path], Any]
) -> None:
    first = make_run("first", [score(), score(baseline="b")])
    second = make_run("second", [score(revision="r2", gallery_size=500), score(direction=M2V, revision="r2")])
    page = parse(build([first, second], tmp_path / "out"))
    assert len(page.all("table", "scores")) == 3
    remark = next(p.text() for p in page.all("p", "remark") if "separate" in p.text())
    assert "differ in revision of the data, size of the gallery, direction" in remark
    alone = parse(build([first], tmp_path / "alone"))
    assert not [p for p in alone.all("p", "remark") if "separate" in p.text()]


def test_published_figures_stand_apart_all_of_them_and_unranked(
    run: RunFolder, tmp_path: Path, parse: Callable[[Path], Any]
) -> None:
    page = parse(build([run], tmp_path / "out"))
    section = page.with_id("published")
    rows = [r for t in section.all("table", "printed") for r in t.all("tr") if r.attrs.get("class") != "chance"]
    shown = [c.children[0].strip() for r in rows for c in r.all("td", "num")]
    assert sorted(f.printed for f in load()) == sorted(value for value in shown if value != "–")
    assert "not measured by svmbench; never ranked with ours" in section.text()
    assert not section.all("table", "scores")
    assert not [n for t in section.all("table") for n in t.all("td", "best")]
    assert "TIVM" not in page.with_id("results").text()
    marks = {a.attrs["href"] for a in section.all("a", "flag")}
    assert {"#flag-grim", "#flag-median", "#flag-chance", "#flag-anchor", "#flag-suspect"} <= marks
    assert marks == {f"#{dt.attrs['id']}" for dt in section.all("dt") if dt.attrs.get("id")}


def test_paired_tests_are_shown_where_the_run_has_them(run: RunFolder, tmp_path: Path, parse: Callable[[Path], Any]) -> None:
    details = parse(build([run], tmp_path / "out")).all("details", "tests")
    assert len(details) == 2
    rows = [cells(r)[:5] for r in details[0].all("tbody")[0].all("tr")]
    assert rows[0] == ["cca default", "chance (exact)", "R@10", "+23.5", "< 0.001"]
    assert [r[0] for r in rows] == ["cca default", "mvbind shuffled", "mvbind default"]
    assert [b.text() for r in details[0].all("tbody")[0].all("tr") for b in r.all("b")] == ["< 0.001", "< 0.001"]


def test_curves_and_histograms_follow_the_jobs_of_the_scores(run: RunFolder) -> None:
    key = tables(run.read(Score, "scores"))[0].key
    ranks = read_ranks(run, key)
    assert {name: len(found.better) for name, found in ranks.items()} == {
        ("chance", "expected"): 192, ("cca", "default"): 192, ("vm_net", "hong"): 576, ("mvbind", "default"): 576,
        ("mvbind", "shuffled"): 576,
    }  # fmt: skip
    cell = next(s.value for s in run.read(Score, "scores") if (s.baseline, s.metric) == ("chance", "recall@25"))
    assert ranks["chance", "expected"].recall([25])[0] == pytest.approx(cell)
    ranks_table = run.read_table("ranks")
    assert ranks_table is not None
    other = ranks_table.filter(pa.compute.equal(ranks_table["key"], "cca default 0"))
    other = other.set_column(0, "key", pa.array(["a fit that made no score"] * len(other)))
    with run.writing("late") as writer:
        writer.commit(["late"], {"ranks": other})
    assert len(read_ranks(run, key)["cca", "default"].better) == 192
    assert read_ranks(run, replace(key, revision="another")) == {}
    assert read_ranks(run, replace(key, split="10-fold")) == {}


def test_dataset_statistics_account_for_every_post(run: RunFolder, tmp_path: Path, parse: Callable[[Path], Any]) -> None:
    section = parse(build([run], tmp_path / "out")).with_id("dataset")
    facts = {d.all("dt")[0].text(): d.all("dd")[0].text() for d in section.all("div") if d.all("dt")}
    assert facts["Posts seen"] == "287"
    assert facts["Clips"] == "192"
    assert facts["Songs"] == "88"
    assert facts["Not processed yet"] == "5"
    assert sum(int(facts[k]) for k in ("Left out by a rule", "Failed", "Not processed yet", "Clips")) == 287
    rows = [cells(r) for t in section.all("table") for r in t.all("tr")]
    assert ["likes below min", "search", "rule", "61"] in rows
    assert ["throttled", "fetch", "failure", "2"] in rows
    assert ["train", "96", "88", "50.0 %"] in rows


def test_provenance_has_the_commands_and_settings(run: RunFolder, tmp_path: Path, parse: Callable[[Path], Any]) -> None:
    section = parse(build([run], tmp_path / "out")).with_id("provenance")
    assert "svmbench run-baselines demo" in section.text()
    assert '"torch": "2.13.0"' in section.all("pre")[0].text()
    assert str(tmp_path) not in section.text()


def test_a_run_with_scores_only_makes_a_good_page(
    score: Make, make_run: Callable[..., RunFolder], tmp_path: Path, parse: Callable[[Path], Any]
) -> None:
    page = parse(build([make_run("imported", [score(), score(baseline="b", value=None, ci95=None)])], tmp_path / "out"))
    assert "features were imported" in page.with_id("dataset").text()
    assert "no chance row" in page.with_id("results").text()
    assert "svmbench run-baselines imported" in page.with_id("provenance").text()


@pytest.mark.parametrize("runs", [[], ["empty"]])
def test_a_run_without_scores_is_one_clear_line(runs: list[str], make_run: Callable[..., RunFolder], tmp_path: Path) -> None:
    folders = [make_run(name, []) for name in runs]
    with pytest.raises(BadInput) as error:
        build(folders, tmp_path / "out")
    assert "\n" not in str(error.value)
    assert ("run svmbench run-baselines" in str(error.value)) == bool(runs)
    assert not (tmp_path / "out").exists()


def test_files_hold_the_rows_of_the_page(run: RunFolder, tmp_path: Path) -> None:
    out = build([run], tmp_path / "out").parent
    rows = [(table, row) for table in tables(run.read(Score, "scores")) for row in table.rows]
    found = list(csv.DictReader(io.StringIO((out / "leaderboard.csv").read_text())))
    as_json = json.loads((out / "leaderboard.json").read_text())
    lines = [line for line in (out / "leaderboard.md").read_text().splitlines() if line.startswith("| ") and "R@1" not in line]
    assert len(found) == len(as_json["measured"]) == len(lines) == len(rows)
    for (table, row), cell, value, line in zip(rows, found, as_json["measured"], lines, strict=True):
        assert (cell["baseline"], cell["variant"], cell["direction"]) == (row.baseline, row.variant, table.key.direction)
        assert float(cell["recall@10"]) == value["recall@10"] == row.cells["recall@10"].value
        assert text.number("recall@10", row.cells["recall@10"].value) in line
    assert len(as_json["published"]) == 297
    assert sum(bool(f["flags"]) for f in as_json["published"]) > 50


@pytest.mark.parametrize("evil", EVIL, ids=range(len(EVIL)))
def test_hostile_names_are_text_and_nothing_else(
    evil: str,
    score: Make,
    make_run: Callable[..., RunFolder],
    standing: Callable[..., None],
    tmp_path: Path,
    parse: Callable[[Path], Any],
) -> None:
    fields = {name: evil for name in ("dataset", "revision", "split", "baseline", "variant", "device", "commit")}
    run = make_run("evil", [score(checks=(evil,), **fields), score(metric="mrr", checks=(evil,), **fields)])
    with run.writing("crawl") as writer:
        writer.commit([], {"drops": to_table(Drop, [Drop(id="t:1", stage=evil, kind=evil, reason=evil)])})
    standing(run, [(f"{evil} {evil}", 2, evil, 0.5, evil)], split=evil)
    job = {
        "key": "k",
        "split": evil,
        "baseline": evil,
        "variant": evil,
        "checks": [evil],
        "findings": [f"{evil}: not run, {evil}"],
    }
    with run.writing("late") as writer:
        made = {
            "jobs": pa.Table.from_pylist([job]),
            "scored": pa.Table.from_pylist([{"key": "k", "revision": evil, "split": evil}]),
        }
        writer.commit(["late"], made)
    run.write_settings({"recipe": {"about": evil}, "history": [{"at": evil, "command": evil}], evil: evil})
    out = build([run], tmp_path / "out").parent
    html = (out / "index.html").read_text()
    page = parse(out / "index.html")
    assert page.all("td", "tier")
    assert page.all("span", "failed")
    assert (len(page.all("script")), len(page.all("style")), len(page.all("img"))) == (1, 1, 0)
    assert len(html) < 400_000
    assert {a.attrs["href"][0] for a in page.all("a")} == {"#"}
    assert not re.search("[\u202a-\u202e\u2066-\u2069\u2028\u2029\x00-\x08\x0b-\x1f]", html)
    assert "window.pwned" not in page.all("script")[0].text()
    assert not list(csv.reader(io.StringIO((out / "leaderboard.csv").read_text())))[1][0].startswith(("=", "+", "@"))
    body = (out / "leaderboard.md").read_text()
    assert "<script" not in body.replace("\\<script", "")
    assert not re.search(r"(?<!\\)\]\(", body)
    assert len(body) < 20_000


def test_page_is_one_file_that_asks_for_nothing(run: RunFolder, tmp_path: Path, parse: Callable[[Path], Any]) -> None:
    path = build([run], tmp_path / "out")
    page = parse(path)
    (policy,) = [m.attrs["content"] for m in page.all("meta") if "http-equiv" in m.attrs]
    assert policy.startswith("default-src 'none';")
    for tag in ("script", "style"):
        content = "".join(c for c in page.all(tag)[0].children if isinstance(c, str))
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in policy
    assert not [
        n for t in ("script", "img", "link", "iframe", "video", "audio") for n in page.all(t) if "src" in n.attrs or t == "link"
    ]
    assert "url(" not in path.read_text()
    assert path.stat().st_size < 300_000


def test_tables_are_marked_up_for_screen_readers(run: RunFolder, tmp_path: Path, parse: Callable[[Path], Any]) -> None:
    page = parse(build([run], tmp_path / "out"))
    for table in page.all("table"):
        assert table.all("caption")
        assert all(th.attrs.get("scope") in ("col", "row", "rowgroup") for th in table.all("th"))
    ids = re.findall(r' id="([^"]+)"', (tmp_path / "out" / "index.html").read_text())
    assert len(ids) == len(set(ids))
    assert {a.attrs["href"][1:] for a in page.all("a")} <= set(ids)
    assert all(svg.attrs.get("aria-label") for svg in page.all("svg"))


def test_the_same_runs_give_the_same_page(run: RunFolder, tmp_path: Path) -> None:
    assert build([run], tmp_path / "a").read_bytes() == build([run], tmp_path / "b").read_bytes()
