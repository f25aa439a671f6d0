"""`svmbench results`: what it prints, its exit code, and one line for every mistake."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from svmbench.cli import app
from svmbench.store import RunFolder


@pytest.fixture(scope="module")
def folder(scored_run: Callable[..., RunFolder], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """runs/a and runs/b, which has the same data and other settings."""
    folder = tmp_path_factory.mktemp("results")
    scored_run(folder / "runs" / "b", [{"baseline": "cca", "noise": 1.6, "settings": '{"lr": 0.5}', "settings_hash": "b"}])
    scored_run(
        folder / "runs" / "a", [{"baseline": "cca", "noise": 1.5}, {"baseline": "vm_net", "noise": 5.0, "checks": ["ties"]}]
    )
    return folder


@pytest.fixture(autouse=True)
def here(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    monkeypatch.setenv("COLUMNS", "120")


def results(*words: str | Path, code: int = 0) -> Any:
    found = CliRunner().invoke(app, ["results", *map(str, words)])
    assert found.exit_code == code, found.output
    return found


def fault(*words: str | Path) -> str:
    found = results(*words, code=1)
    lines = [line for line in found.stderr.splitlines() if line]
    assert len(lines) == 1, "one line"
    assert lines[0].startswith("error: ")
    return str(lines[0].removeprefix("error: "))


def test_what_is_there() -> None:
    """Without a word the newest run is shown, and a run goes by its name."""
    for words in ((), ("a",), ("runs/a",)):
        text = results(*words).stdout
        assert "cca-default-" in text
        assert "vm_net-default-" in text
        assert "ties" in text
    assert len(json.loads(results("a", "b", "--json").stdout)["results"]) == 3, "two runs by their names"
    rows = json.loads(results("b", "--json").stdout)["results"]
    assert [(row["seed"], row["tier"]) for row in rows] == [(0, 1)]


def test_check_passes_and_fails_with_one_line_a_fault(folder: Path, tmp_path: Path) -> None:
    assert results("check", "a", "b").stdout == "3 records, no faults\n"
    assert json.loads(results("check", "a", "--json").stdout) == {"records": 2, "faults": []}
    copy = Path(shutil.copytree(folder / "runs" / "a" / "results", tmp_path / "copy"))
    for path in copy.glob("*/record.json"):
        values = json.loads(path.read_text())
        values["scores"]["video_to_music"]["metrics"]["recall@1"]["value"] = 0.99
        path.write_text(json.dumps(values))
    lines = results("check", copy, code=1).stdout.splitlines()
    assert len(lines) == 3
    assert lines[-1] == "2 records, 2 faults"
    assert all("scores.video_to_music.metrics.recall@1.value: the record says 0.99" in line for line in lines[:2])
    assert all(line.startswith(str(copy)) for line in lines[:2])
    assert len(json.loads(results("check", copy, "--json", code=1).stdout)["faults"]) == 2


def test_diff_says_inputs_then_scores() -> None:
    lines = results("diff", "a", "b").stdout.splitlines()
    assert lines[0].startswith("cca default, seed 0 (")
    assert "  settings: model.settings.lr: 0.1 -> 0.5" in lines
    assert any(line.startswith("  video to music recall@1: ") for line in lines)
    assert any(line.startswith("  video to music mean_rank: ") and " p 0." in line for line in lines)
    assert lines[-1].startswith("in one place only: vm_net default")
    found = json.loads(results("diff", "a", "b", "--json").stdout)
    assert [i["what"] for i in found["pairs"][0]["inputs"]] == ["settings"]
    (same,) = json.loads(results("diff", "b", "b", "--json").stdout)["pairs"]
    assert (same["inputs"], same["scores"]) == ([], [])


def test_merge_and_export(folder: Path, tmp_path: Path, scored_run: Callable[..., RunFolder]) -> None:
    assert "results: 3" in results("merge", "a", "b", "--out", tmp_path / "all").stdout
    assert results("check", tmp_path / "all").stdout == "3 records, no faults\n"
    assert len(results("export", tmp_path / "all").stdout.splitlines()) == 1 + 3 * 2
    assert "| cca default [b c0de] |" in results("export", tmp_path / "all", "--format", "md").stdout.replace("\\", "")
    assert len(json.loads(results("export", "a", "--format", "json").stdout)) == 2
    assert results("export", "a", "--json").stdout == results("export", "a", "--format", "json").stdout
    assert "--json prints JSON and not md" in fault("export", "a", "--json", "--format", "md")
    results("export", "a", "--format", "csv", "--out", tmp_path / "table.csv")
    assert (tmp_path / "table.csv").read_text() == results("export", "a").stdout
    results("export", "a", "--format", "mteb", "--out", tmp_path / "mteb")
    files = sorted(tmp_path.glob("mteb/*/toy.json"))
    assert len(files) == 2
    assert json.loads(results("export", "a", "--format", "mteb").stdout)[0] == json.loads(files[0].read_text())
    (tmp_path / "empty").mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path / "empty")
        assert "results: 1" in results("merge", folder / "runs" / "b", "--out", ".").stdout
    assert len(list((tmp_path / "empty").glob("*/record.json"))) == 1
    other = scored_run(tmp_path / "other", [{"baseline": "mvbind", "noise": 1.0}], revision="f" * 64)
    line = fault("merge", "a", other.path, "--out", tmp_path / "mixed")
    assert "mvbind-default-" in line
    assert f"has data.revision {'f' * 64}" in line
    assert not (tmp_path / "mixed").exists()


def test_mistakes_give_one_line(tmp_path: Path) -> None:
    for words, said in (
        (("chekc", "a"), "unknown action of results 'chekc'. Did you mean 'check'?"),
        (("check", "nowhere"), "nowhere does not exist"),
        (("check", tmp_path), "has no results"),
        (("diff", "a"), "diff compares two places, not 1"),
        (("merge", "a", "b"), "merge needs what to merge and where to"),
        (("check", "a", "--out", "x"), "--out goes with merge and export only"),
        (("check", "a", "--format", "md"), "--format goes with export only"),
        (("export", "a", "--format", "xlsx"), "unknown format 'xlsx'"),
        (("export", "a", "--out", tmp_path), "is a folder; --out needs a name"),
        (("export", "a", "--format", "mteb", "--out", __file__), "is a file; --out needs a name"),
    ):
        assert said in fault(*words)


def test_a_record_of_another_version_gives_one_line(folder: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(folder / "runs" / "b" / "results", tmp_path / "copy"))
    (path,) = copy.glob("*/record.json")
    path.write_text(path.read_text().replace("svmbench.result/1", "svmbench.result/9"))
    for words in (("diff", copy, "b"), ("export", copy), (copy,)):
        assert "is of another version: its schema is 'svmbench.result/9'" in fault(*words)
    (line, count) = results("check", copy, code=1).stdout.splitlines()
    assert "is of another version" in line
    assert count == "1 records, 1 faults"


def test_the_page_does_not_take_the_place_of_a_file() -> None:
    found = CliRunner().invoke(app, ["leaderboard", "a", "--out", __file__])
    assert found.exit_code == 1
    assert "is a file; --out needs a folder" in found.stderr
