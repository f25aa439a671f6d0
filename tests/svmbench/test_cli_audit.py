"""`svmbench audit` on files: honest ones pass with exit code 0, planted cheats end with 1, and what is wrong is one line."""

from __future__ import annotations

import errno
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from leaderboard.published import load
from svmbench.cli import app

NUM, DIM = 600, 24


def asked(target: str | Path, *more: str) -> Result:
    return CliRunner().invoke(app, ["audit", str(target), *more])


def verdicts(found: Result) -> dict[tuple[str, str], str]:
    """(row, check) -> verdict, of --json."""
    return {(line["row"], line["check"]): line["verdict"] for line in json.loads(found.stdout)["lines"]}


def honest() -> dict[str, Any]:
    """Two clips a song that share a cause with their music."""
    rng = np.random.default_rng(0)
    song = np.arange(NUM) // 2
    cause = rng.normal(size=(NUM // 2, DIM))[song]
    video, music = (cause + rng.normal(size=cause.shape) for _ in range(2))
    order = rng.permutation(NUM)
    return {"video": video[order], "music": music[order], "song": song[order]}


def places_in_batches() -> dict[str, Any]:
    """Spec A1: hardly more than a code of each item's place in a batch of 20."""
    rng = np.random.default_rng(0)
    angle = (np.arange(NUM) % 20)[:, None] / 10 ** (np.arange(12) / 6)
    code = 3 * np.concatenate([np.sin(angle), np.cos(angle)], axis=1)
    video, music = (code + 0.3 * rng.normal(size=code.shape) for _ in range(2))
    return {"video": video, "music": music, "song": np.arange(NUM)}


def all_alike() -> dict[str, Any]:
    return honest() | {"music": np.ones((NUM, DIM)), "video": np.ones((NUM, DIM))}


def saved(path: Path, arrays: Mapping[str, Any]) -> Path:
    np.savez(path / "theirs.npz", **arrays)
    return path / "theirs.npz"


def test_an_honest_embeddings_file_passes_and_says_what_could_not_be_run(tmp_path: Path) -> None:
    found = asked(saved(tmp_path, honest()))
    assert found.exit_code == 0, found.output
    told = " ".join(found.stdout.split())
    assert "600 clips of 300 songs, 2.00 a song" in told
    assert "not there to look at: model" in told
    assert "video to music R@1" in told
    assert "FAILED" not in told
    kinds = verdicts(asked(saved(tmp_path, honest()), "--json"))
    assert {"ties", "collapse", "shape", "pool_audit"} <= {c for (_, c), v in kinds.items() if v == "passed"}
    assert {"batch_invariance", "split_leak", "determinism"} <= {c for (_, c), v in kinds.items() if v == "not run"}


@pytest.mark.parametrize(("cheat", "checks"), [(places_in_batches, {"shape"}), (all_alike, {"ties", "collapse"})])
def test_a_cheat_in_an_embeddings_file_ends_with_1(tmp_path: Path, cheat: Any, checks: set[str]) -> None:
    found = asked(saved(tmp_path, cheat()), "--json")
    assert found.exit_code == 1
    assert checks <= {check for (_, check), verdict in verdicts(found).items() if verdict == "FAILED"}
    assert json.loads(found.stdout)["failed"] >= len(checks)


def test_the_edge_is_told_in_words(tmp_path: Path) -> None:
    assert "the ranks fill 30 of 600 places and stop there" in " ".join(
        asked(saved(tmp_path, places_in_batches())).stdout.split()
    )


def test_the_shipped_figures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    found = asked("published", "--json")
    assert found.exit_code == 1
    lines = json.loads(found.stdout)["lines"]
    failed = {(line["row"].split(" Table")[0], line["check"]) for line in lines if line["verdict"] == "FAILED"}
    assert {("CMMixer", "median"), ("CMMixer", "repeat"), ("CMMixer", "grim"), ("TIVM", "anchor"), ("TIVM", "edge")} <= failed
    assert sum(line["check"] == "median" and line["verdict"] == "FAILED" for line in lines) == 5
    assert {line["verdict"] for line in lines if line["check"] in ("chance", "suspect")} == {"remark", "passed", "not run"}
    told = " ".join(asked("published").stdout.split())
    assert "297 figures, tables: " in told
    assert "MedR 14, yet R@10 is 53.2, above one half" in told


def as_csv(path: Path, paper: str, table: str, direction: str | None) -> Path:
    """A table of a paper, as a user would type it."""
    lines = ["system,setting,pool_size,metric,value"]
    for f in load():
        if (f.paper, f.table, f.direction) == (paper, table, direction):
            lines.append(f"{f.system},{f.setting},{f.pool_size},{f.metric},{f.printed}")
    (path / "theirs.csv").write_text("\n".join(lines))
    return path / "theirs.csv"


def test_a_table_in_a_csv_file(tmp_path: Path) -> None:
    found = asked(as_csv(tmp_path, "CMMixer", "1", "music_to_video"), "--json")
    assert found.exit_code == 1
    failed = {key for key, verdict in verdicts(found).items() if verdict == "FAILED"}
    assert failed == {
        ("CMMixer-Solo CutMix", "rising"),
        ("CMMixer-Solo PixelMixup", "median"),
        ("CMMixer-Duet CutMix", "repeat"),
        ("CMMixer-Duet PixelMixup", "median"),
        ("CMMixer-Duet PixelMixup", "repeat"),
    }
    (tmp_path / "clean.csv").write_text("system,pool_size,R@1,R@5,R@10,MedR\nA,500,11.6,33.4,45.6,13\nB,500,0.2,1.0,1.8,\n")
    found = asked(tmp_path / "clean.csv")
    assert found.exit_code == 0, found.output
    assert "chance is 0.2, 1, 2" in " ".join(found.stdout.split())


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("nowhere", None, "nowhere does not exist; name a run folder"),
        ("nothing.npz", None, "nothing.npz does not exist"),
        ("nothing.csv", None, "nothing.csv cannot be read"),
        ("theirs.txt", b"R@1 5", "what to audit is a run folder"),
        ("theirs.npz", b"no archive", "cannot be read as an .npz file"),
        ("theirs.csv", b"system,R@1\nA,101\n", "above 100 percent"),
        ("theirs.csv", b"system,R@1\nA,x\n", "which is no number"),
        ("theirs.csv", b"system,setting\nA,x\n", "a column a metric"),
        ("theirs.csv", "system,R@1\nBjörk,5\n".encode("cp1252"), "is not in UTF-8"),
        ("theirs.csv", b"system,Precision\nA,5\n", "unknown metric or column 'Precision'"),
    ],
)
def test_what_is_wrong_is_one_line(tmp_path: Path, name: str, content: bytes | None, words: str) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    found = asked(tmp_path / name)
    assert found.exit_code == 1
    assert found.stdout == ""
    (line,) = found.stderr.strip().splitlines()
    assert line.startswith("error: ")
    assert words in line


def test_what_may_not_be_opened_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The tests may run as root, who may open everything; so the refusal is made."""

    def closed(*_: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", "theirs.npz")

    (tmp_path / "theirs.npz").write_bytes(b"")
    with monkeypatch.context() as patch:
        patch.setattr("benchmarks.npz.open", closed, raising=False)
        refused = asked(tmp_path / "theirs.npz")
    for found in (refused, asked("a" * 300)):
        assert found.exit_code == 1
        (line,) = found.stderr.strip().splitlines()
        assert "cannot be opened: " in line


def test_an_empty_folder_has_no_results(tmp_path: Path) -> None:
    found = asked(tmp_path)
    assert found.exit_code == 1
    assert "has no results" in found.stderr
    assert len(found.stderr.strip().splitlines()) == 1


def test_the_help_says_what_the_exit_code_means() -> None:
    told = " ".join(CliRunner().invoke(app, ["audit", "--help"]).output.split())
    assert "Exit code 1 if a check fails" in told
