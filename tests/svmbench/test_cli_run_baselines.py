"""The command run-baselines as a person uses it: its words, its table, its errors."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console
from typer.testing import CliRunner, Result

from svmbench import jobs
from svmbench.cli import app
from svmbench.errors import BadInput
from svmbench.fleet import Fleet
from svmbench.jobs_baselines import baseline_words, score_table
from svmbench.store import RunFolder

EXAMPLE = Path(__file__).resolve().parents[2] / "docs" / "examples" / "my_model.py"


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """The command in an empty folder, on threads: tests/benchmarks/test_run_resume.py has Ray."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(jobs.Where, "fleet", lambda where: Fleet(local=True, gpus=where.gpus))
    return lambda *words: CliRunner(env={"COLUMNS": "160"}).invoke(app, ["run-baselines", *words])


@pytest.fixture
def pairs(tmp_path: Path) -> str:
    """Features of 40 tracks, of which 20 are for training, as an .npz file: twelve values a side, eight of them shared."""
    rng = np.random.default_rng(0)
    cause = rng.normal(size=(40, 8))
    video, music = (np.hstack([cause + 0.3 * rng.normal(size=(40, 8)), rng.normal(size=(40, 4))]) for _ in range(2))
    split = np.array(["train"] * 20 + ["val"] * 6 + ["test"] * 14)
    np.savez(tmp_path / "pairs.npz", track_id=[f"t{i:02d}" for i in range(40)], track_split=split, video_x=video, music_y=music)
    return "pairs.npz"


def one_line(result: Result, *words: str) -> None:
    assert result.exit_code == 1, result.output
    (line,) = [line for line in result.stderr.strip().splitlines() if line.startswith("error: ")]
    assert "Traceback" not in result.output
    for word in words:
        assert word in line, line


def test_from_a_file_of_features_to_a_table(run: Callable[..., Result], pairs: str) -> None:
    result = run(pairs, "cca", "chance")
    assert result.exit_code == 0, result.output
    assert "video to music (test)" in result.stdout
    assert "2 fits to do; workers are starting" in result.stderr, "a silence is explained"
    assert "cca default, seed 0: 1 of 1 fits done" in result.stderr, "a line a group where nothing is drawn live"
    (folder,) = Path("runs").iterdir()
    assert f"next: svmbench leaderboard {folder.resolve()}" in result.stdout
    again = run(folder.name, "cca,chance", "--json")
    stage = json.loads(again.stdout)
    assert (stage["stages"][0]["kept"], stage["run"]) == (2, str(folder.resolve()))
    assert {row["baseline"] for row in stage["scores"]} == {"cca", "chance"}
    assert again.stderr == ""
    assert run("cca").exit_code == 0, "the newest run"


def test_a_model_of_ones_own_and_failed_checks_in_plain_words(run: Callable[..., Result], pairs: str) -> None:
    result = run(pairs, "--model", f"{EXAMPLE}:Ridge")
    assert result.exit_code == 0, result.output
    assert "Ridge" in result.stdout
    Path("loose.py").write_text(
        "class Loose:\n    def fit(self, train, val, seed): pass\n    def encode_video(self, x): return x.vectors_BV\n"
        "    encode_music = encode_video\n"
    )
    result = run("--model", "loose.py:Loose")
    assert result.exit_code == 0, result.output
    assert "Loose *" in result.stdout
    assert "* Loose: finite: some inputs give embeddings that are not finite or not of unit length. Measured: " in result.stdout
    assert "* chance" not in result.stdout


def test_a_fit_that_fails_ends_with_1_after_the_table(run: Callable[..., Result], pairs: str) -> None:
    Path("bad.py").write_text(
        "class Bad:\n    def fit(self, train, val, seed): return self.nothing\n    def score(self, v, m): pass\n"
    )
    result = run(pairs, "--model", "bad.py:Bad")
    one_line(result, "bad.py:2: Bad, fit: AttributeError")
    assert "video to music (test)" in result.stdout
    assert "failed: BadInput 1" in result.stdout
    assert "error.txt" in result.stdout


def test_wrong_words_are_one_line_each(run: Callable[..., Result], pairs: str, monkeypatch: pytest.MonkeyPatch) -> None:
    one_line(run(), "there is no run folder under runs/")
    one_line(run("mvbnd"), "'mvbnd' is neither a run folder nor a baseline. Did you mean 'mvbind'?")
    one_line(run("nowhere.npz"), "nowhere.npz is no run folder, no release, no file")
    one_line(run(pairs, "vmnet"), "unknown baseline 'vmnet'. Did you mean 'vm_net'?")
    one_line(run(pairs, "vm_net:hogn"), "unknown variant of vm_net 'hogn'")
    one_line(run(pairs, "--model", "my_model.py"), "neither FILE.py:CLASS nor an embeddings file")
    one_line(run(pairs, "--model", "my_model.py:Mine"), "my_model.py does not exist")
    one_line(run(pairs, "--model", "mine.npz"), "mine.npz does not exist")
    one_line(run(pairs, "chance", "--shuffle-pairs"), "none of the named baselines learns from pairs")
    one_line(run(pairs, "--folds", "30"), "30 folds of 40")
    monkeypatch.delenv("SVMBENCH_FAKE_GPUS", raising=False)
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    one_line(run(pairs, "--gpus", "2"), "no CUDA device is visible; use --gpus 0")


def test_which_word_is_the_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    RunFolder.create(Path("runs/toy"))
    assert baseline_words([]) == (None, ())
    assert baseline_words(["cca", "mvbind"]) == (None, ("cca", "mvbind"))
    assert baseline_words(["vm_net:hong,cca"]) == (None, ("vm_net:hong", "cca"))
    assert baseline_words(["toy", "cca"]) == ("toy", ("cca",))
    assert baseline_words(["runs/toy"]) == ("runs/toy", ())
    assert baseline_words(["me/set@v1.0.0", "cca"]) == ("me/set@v1.0.0", ("cca",))
    with pytest.raises(BadInput, match="Did you mean 'chance'"):
        baseline_words(["chnace"])


def test_a_row_with_a_failed_check_has_a_star() -> None:
    fixed = {"direction": "video_to_music", "split": "test", "variant": "default", "seed": 0, "gallery_size": 5}
    rows = [
        {**fixed, "baseline": name, "metric": "recall@10", "value": 0.5, "checks": checks}
        for name, checks in (("honest", ()), ("cheat", ("ties",)))
    ]
    assert list(score_table(rows).columns[0].cells) == ["[bold]video to music[/bold] (test)", "cheat *", "honest"]


@pytest.mark.parametrize("width", [80, 200])
def test_the_table_of_scores_is_whole_in_a_narrow_terminal(width: int) -> None:
    fixed = {"direction": "video_to_music", "split": "10-fold", "variant": "hong", "baseline": "vm_net", "checks": ("ties",)}
    metrics = ("recall@1", "recall@5", "recall@10", "recall@25", "recall@50", "median_rank")
    rows = [{**fixed, "seed": 99, "metric": metric, "value": 1.0, "gallery_size": 100_000} for metric in metrics]
    told = io.StringIO()
    Console(file=told, width=width).print(score_table(rows))
    assert "…" not in told.getvalue()
    for word in ("vm_net hong seed 99 *", "gallery", "100000", "video to music (10-fold)"):
        assert word in told.getvalue()


def test_the_example_in_the_docs_is_the_one_that_runs() -> None:
    page = (EXAMPLE.parents[1] / "own-model.md").read_text()
    code = EXAMPLE.read_text()
    assert code[code.index("from typing") :] in page
    assert os.fspath(EXAMPLE.relative_to(EXAMPLE.parents[2])) in page


def test_a_file_that_cannot_be_imported_leaves_no_run_that_would_be_the_newest(run: Callable[..., Result], pairs: str) -> None:
    np.savez("bad.npz", track_id=["a", "b"], video_x=np.ones((2, 3)))
    wrong = CliRunner().invoke(app, ["import-features", "bad.npz"])
    one_line(wrong, "needs at least one array video_NAME and one music_NAME")
    assert not Path("runs/bad").exists()
    right = CliRunner().invoke(app, ["import-features", pairs])
    assert right.exit_code == 0, right.output
    assert CliRunner().invoke(app, ["import-features", "bad.npz", "--out", "runs/pairs"]).exit_code == 1
    assert RunFolder.open("runs/pairs").table_names(), "what was there before stays"
