"""What the command says when something is wrong: one line, the right exit code, no traceback."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
import yaml
from typer.testing import CliRunner

from svmbench import doctor, recipe
from svmbench.cli import app


def svmbench(*words: str, cwd: Path, **env: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-P", "-m", "svmbench", *words]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=120, env={**os.environ, **env})


def one_line(run: subprocess.CompletedProcess[str], *words: str) -> None:
    assert run.returncode == 1, run.stderr
    lines = run.stderr.strip().splitlines()
    assert len(lines) == 1, run.stderr
    assert lines[0].startswith("error: ")
    for word in words:
        assert word in lines[0], lines[0]


def a_recipe(path: Path, **changes: object) -> str:
    values = recipe.load("demo").model_dump(mode="json")
    path.write_text(yaml.safe_dump({**values, **changes}))
    return str(path)


def test_bad_recipes(tmp_path: Path) -> None:
    one_line(svmbench("crawl", "dmeo", cwd=tmp_path), "unknown recipe 'dmeo'", "Did you mean 'demo'?")
    bad = a_recipe(tmp_path / "a.yaml", filters={"silence": {"max_shar": 1}})
    one_line(svmbench("crawl", bad, cwd=tmp_path), "filters.silence.max_shar", "unknown key")
    bad = a_recipe(tmp_path / "b.yaml", filters={"loudness_of_colour": {}})
    one_line(svmbench("crawl", bad, cwd=tmp_path), "unknown filter 'loudness_of_colour'", "Known:")
    bad = a_recipe(tmp_path / "c.yaml", features=["log_mell"])
    one_line(svmbench("crawl", bad, cwd=tmp_path), "Did you mean 'log_mel'?")
    bad = a_recipe(tmp_path / "d.yaml", pace={"pages_per_s": 0})
    one_line(svmbench("crawl", bad, cwd=tmp_path), "pace.pages_per_s", "0", "greater than 0")
    assert not (tmp_path / "runs").exists(), "a wrong recipe must start nothing"


def test_missing_folders_and_runs(tmp_path: Path) -> None:
    one_line(svmbench("curate", cwd=tmp_path), "there is no run folder under runs/")
    one_line(svmbench("demo", "--media", "nowhere", cwd=tmp_path), "nowhere")
    (tmp_path / "empty").mkdir()
    one_line(svmbench("demo", "--media", "empty", cwd=tmp_path), "empty")
    one_line(svmbench("curate", cwd=tmp_path), "has no fetched posts; run 'svmbench crawl'")
    one_line(svmbench("curate", "nowhere", cwd=tmp_path), "is not a run folder")
    one_line(svmbench("leaderboard", str(tmp_path / "empty"), cwd=tmp_path), "is not a run folder")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "letter.txt").touch()
    one_line(svmbench("crawl", "--out", "full", cwd=tmp_path), "choose a new or empty folder")


def test_no_browser(tmp_path: Path) -> None:
    run = svmbench("crawl", cwd=tmp_path, SVMBENCH_CHROMIUM="/nowhere/chromium")
    one_line(run, "/nowhere/chromium", "apt install chromium")


def test_wrong_usage_is_2(tmp_path: Path) -> None:
    for words in (["crawl", "--colour"], ["nonsense"], ["demo", "--posts", "3"], ["run-baselines", "--gpus", "-1"]):
        run = svmbench(*words, cwd=tmp_path)
        assert run.returncode == 2, (words, run.stderr)
        assert "Traceback" not in run.stderr


def test_version_and_help(tmp_path: Path) -> None:
    assert svmbench("--version", cwd=tmp_path).stdout.startswith("svmbench ")
    run = svmbench("run-baselines", "--help", cwd=tmp_path)
    assert "Example:" in run.stdout
    assert "--gpus" in run.stdout


@pytest.mark.slow
@pytest.mark.parametrize("where", [["--local"], []], ids=["threads", "ray"])
def test_ctrl_c_while_the_embedded_platform_is_composed_ends_in_order(tmp_path: Path, where: list[str]) -> None:
    plan = a_recipe(tmp_path / "small.yaml", replica={"posts": 40, "seed": 5})
    command = [sys.executable, "-P", "-m", "svmbench", "crawl", plan, "--out", "run", *where]
    with subprocess.Popen(
        command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as child:
        while not (tmp_path / "run" / "done").is_dir() and child.poll() is None:
            time.sleep(0.1)
        time.sleep(2)  # with Ray this is while it starts
        family = psutil.Process(child.pid).children(recursive=True)
        os.killpg(child.pid, signal.SIGINT)  # as a terminal does
        account, errors = child.communicate(timeout=60)
    assert child.returncode == 0, errors
    assert "stopped: in order; the same command goes on" in account
    assert "Traceback" not in errors, errors
    assert not psutil.wait_procs(family, timeout=10)[1], "it left processes behind"


def test_doctor_names_what_is_missing_and_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = svmbench("doctor", "--json", cwd=tmp_path)
    findings = {f["what"]: f for f in json.loads(run.stdout)}
    assert {"Python", "Ray", "Chromium", "ChromeDriver", "ffmpeg", "GPU", "Hub token", "Free disk"} <= set(findings)
    assert run.returncode == (1 if any(f["state"] == "missing" for f in findings.values()) else 0)
    broken = svmbench("doctor", "--json", cwd=tmp_path, SVMBENCH_CHROMIUM="/nowhere/chromium")
    assert broken.returncode == 1
    chromium = next(f for f in json.loads(broken.stdout) if f["what"] == "Chromium")
    assert chromium["state"] == "missing"
    assert "apt install chromium" in chromium["remedy"]
    monkeypatch.setattr(doctor.importlib.util, "find_spec", lambda _: None)
    assert "svmbench[ray]" in {f.what: f.remedy for f in doctor.examine()}["Ray"]
    assert "svmbench[ray]" in CliRunner(env={"COLUMNS": "200"}).invoke(app, ["doctor"]).output
    monkeypatch.setattr(shutil, "which", lambda _: None)
    assert {f.what: f.state for f in doctor.examine()}["ffmpeg"] == "optional"
