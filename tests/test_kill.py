"""SIGKILL at any moment of the crawl and of the curation, then the same command: nothing lost, nothing doubled."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
import yaml

from svmbench import recipe
from svmbench.records import Clip, ClipPicture, Drop, Post, Split
from svmbench.store import RunFolder

POSTS = 24
pytestmark = [pytest.mark.slow, pytest.mark.browser]


def start(*words: str) -> subprocess.Popen[str]:
    """The command in a session of its own, so that only it is killed."""
    return subprocess.Popen(
        [sys.executable, "-P", "-m", "svmbench", *words],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def kill_after(seconds: float, *words: str) -> bool:
    """Starts the command and kills it, alone and without warning, after so many seconds; whether it was still running."""
    with start(*words) as process:
        try:
            process.wait(seconds)
            assert process.returncode == 0, process.stderr.read() if process.stderr else ""
            return False
        except subprocess.TimeoutExpired:
            family = psutil.Process(process.pid).children(recursive=True)
            os.kill(process.pid, signal.SIGKILL)
            _, alive = psutil.wait_procs(family, timeout=10)
            assert not alive, f"a killed command left processes behind: {alive}"
            return True


def finish(*words: str) -> None:
    run = subprocess.run([sys.executable, "-P", "-m", "svmbench", *words], capture_output=True, text=True, timeout=300)
    assert run.returncode == 0, run.stdout[-2000:] + run.stderr[-4000:]


@pytest.fixture(scope="module")
def plan(tmp_path_factory: pytest.TempPathFactory) -> Path:
    values = recipe.load("demo").model_dump(mode="json")
    values["replica"]["posts"] = POSTS
    values["features"] = ["frame_stats", "log_mel"]
    path = tmp_path_factory.mktemp("plan") / "small.yaml"
    path.write_text(yaml.safe_dump(values))
    return path


def state(run: RunFolder) -> tuple[list[str], ...]:
    """Posts and drops, candidates and clips with all that was measured, and the parts of the split."""
    return (
        sorted(p.post_id for p in run.read(Post, "posts")),
        sorted(f"{d.stage} {d.id} {d.reason}" for d in run.read(Drop, "drops")),
        sorted(map(repr, run.read(Clip, "candidates"))),
        sorted(map(repr, run.read(Clip, "clips"))),
        sorted(map(repr, run.read(ClipPicture, "pictures"))),
        sorted(map(repr, run.read(Split, "splits"))),
    )


def test_killed_again_and_again_the_run_ends_like_an_undisturbed_one(plan: Path, tmp_path: Path) -> None:
    calm, rough = tmp_path / "calm", tmp_path / "rough"
    finish("crawl", str(plan), "--out", str(calm), "--local")
    finish("curate", str(calm), "--local")
    kills = 0
    for seconds in (3.0, 4.5, 6.0, 8.0):
        kills += kill_after(seconds, "crawl", str(plan), "--out", str(rough), "--local")
    finish("crawl", str(plan), "--out", str(rough), "--local")
    for seconds in (3.0, 5.0, 7.0):
        kills += kill_after(seconds, "curate", str(rough), "--local")
    finish("curate", str(rough), "--local")
    assert kills >= 3, "the kills came too late to mean anything"
    for rows in state(RunFolder.open(rough)):
        assert len(rows) == len(set(rows))
    assert state(RunFolder.open(rough)) == state(RunFolder.open(calm))
