"""The main job as a user runs it: the real command, from a folder of their own, through every real part, once and again."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from crawl.replica.catalogue import read_truth
from svmbench.records import Clip, Drop, Duplicate, Post, Score, Split
from svmbench.store import RunFolder

POSTS = 48
pytestmark = [pytest.mark.slow, pytest.mark.browser]


def svmbench(*words: str, cwd: Path, code: int = 0) -> subprocess.CompletedProcess[str]:
    run = subprocess.run([sys.executable, "-P", "-m", "svmbench", *words], cwd=cwd, capture_output=True, text=True, timeout=600)
    assert run.returncode == code, f"exit {run.returncode}\n{run.stdout[-3000:]}\n{run.stderr[-6000:]}"
    return run


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A user's folder that has its own packages with the names of ours."""
    folder = tmp_path_factory.mktemp("home")
    for decoy in ("benchmarks", "crawl", "curation", "leaderboard"):
        (folder / decoy).mkdir()
        (folder / decoy / "__init__.py").write_text("raise SystemError('the decoy was imported')")
    return folder


@pytest.fixture(scope="module")
def demo(home: Path) -> dict[str, Any]:
    return json.loads(svmbench("demo", "--posts", str(POSTS), "--json", cwd=home).stdout)


@pytest.fixture(scope="module")
def run(demo: dict[str, Any]) -> RunFolder:
    return RunFolder.open(demo["run"])


def test_every_item_of_every_stage_is_accounted_for(demo: dict[str, Any]) -> None:
    stages = {s["stage"]: s for s in demo["stages"]}
    assert {"compose", "search", "fetch", "curate", "judge", "split"} <= set(stages)
    for stage in stages.values():
        assert stage["balanced"], stage
        assert stage["left"] == 0, stage
    assert stages["compose"]["kept"] == POSTS
    assert stages["search"]["seen"] == POSTS
    assert stages["fetch"]["seen"] == stages["search"]["kept"]
    assert stages["curate"]["seen"] == stages["fetch"]["kept"]
    assert stages["judge"]["seen"] == stages["curate"]["kept"]
    assert stages["split"]["seen"] == stages["judge"]["kept"]


def test_each_post_is_a_clip_or_a_drop_with_a_reason_and_never_both(run: RunFolder) -> None:
    posts = {f"{p.platform}:{p.post_id}" for p in run.read(Post, "posts")}
    drops = run.read(Drop, "drops")
    clips = run.read(Clip, "clips")
    fetched_out = {d.id for d in drops if d.stage in ("search", "fetch")}
    curated_out = {d.id for d in drops if d.stage in ("curate", "judge")}
    clip_posts = {f"{c.clip_id.split('-')[0]}:{c.clip_id.split('-')[1]}" for c in clips}
    assert len(drops) == len({d.id for d in drops})
    assert len(posts) + len(fetched_out) == POSTS
    assert not posts & fetched_out
    assert clip_posts | curated_out == posts
    assert not clip_posts & curated_out
    assert all(d.reason for d in drops)
    assert {d.reason for d in drops if d.stage == "search"} == {"too_few_likes"}


@pytest.fixture(scope="module")
def truth(run: RunFolder) -> dict[str, dict[str, Any]]:
    """What is exactly true of each composed post, by post_id."""
    rows: dict[str, dict[str, Any]] = {}
    for path in Path(os.environ["SVMBENCH_CACHE"]).rglob("truth.jsonl"):
        rows |= read_truth(path.parent)
    return {post.post_id: rows[post.post_id] for post in run.read(Post, "posts")}


def test_the_borders_of_the_composed_posts_are_found(run: RunFolder, truth: dict[str, dict[str, Any]]) -> None:
    candidates = run.read(Clip, "candidates")
    assert len({truth[clip.post_id]["border"] for clip in candidates}) >= 4
    for clip in candidates:
        left, top, width, height = truth[clip.post_id]["box"].values()
        expected = [left, top, left + width, top + height]
        box = clip.box
        found = [box.left_px, box.top_px, box.left_px + box.width_px, box.top_px + box.height_px]
        assert max(abs(a - b) for a, b in zip(found, expected, strict=True)) <= 2, (clip.clip_id, truth[clip.post_id]["border"])


def test_copies_of_a_video_are_found_and_nothing_else(run: RunFolder, truth: dict[str, dict[str, Any]]) -> None:
    original = {post_id: row.get("duplicate_of") or post_id for post_id, row in truth.items()}
    refused = {d.id.split(":")[1] for d in run.read(Drop, "drops") if d.stage == "judge" and d.reason != "duplicate"}
    judged = [c for c in run.read(Clip, "candidates") if c.post_id not in refused]
    shown = Counter(original[clip.post_id] for clip in judged)
    expected = {clip.clip_id for clip in judged if shown[original[clip.post_id]] > 1}
    copies = run.read(Duplicate, "duplicates")
    assert {copy.clip_id for copy in copies} == expected
    assert all(original[copy.clip_id.split("-")[1]] == original[copy.cluster.split("-")[1]] for copy in copies)


def test_no_song_stands_in_two_parts(run: RunFolder) -> None:
    songs = {c.clip_id: c.song_id for c in run.read(Clip, "clips")}
    seen: dict[str, str] = {}
    for part in run.read(Split, "splits"):
        for clip in part.clip_ids:
            assert seen.setdefault(songs[clip], part.name) == part.name
    assert sum(len(p.clip_ids) for p in run.read(Split, "splits")) == len(songs)


def test_features_are_there_for_each_clip_and_finite(run: RunFolder) -> None:
    import numpy as np

    from svmbench.records import features_from_table

    clips = {c.clip_id for c in run.read(Clip, "clips")}
    for name in run.settings()["recipe"]["features"]:
        table = run.read_table(f"features_{name}")
        assert table is not None, name
        features = features_from_table(table)
        assert clips <= set(features), name
        assert all(np.isfinite(f.values_TD).all() for f in features.values()), name


def test_scores_exist_in_both_directions_with_the_chance_row(run: RunFolder) -> None:
    scores = run.read(Score, "scores")
    cells = {(s.baseline, s.direction, s.metric) for s in scores}
    for baseline in ("chance", "vm_net", "mvbind"):
        for direction in ("video_to_music", "music_to_video"):
            for metric in ("recall@1", "recall@5", "recall@10", "recall@25", "recall@50", "median_rank"):
                assert (baseline, direction, metric) in cells
    assert all(0 <= s.value <= 1 for s in scores if s.metric.startswith("recall") and s.value is not None)


def test_the_page_and_the_release_are_there(demo: dict[str, Any], run: RunFolder) -> None:
    page = Path(demo["leaderboard"]).read_text()
    assert "mvbind" in page.lower()
    assert "published" in page.lower()
    assert (run.path / "release" / "README.md").is_file()


def test_the_same_command_again_does_nothing_twice(home: Path, demo: dict[str, Any], run: RunFolder) -> None:
    def commits() -> dict[Path, int]:  # scores and their tests are derived, and computed anew from the ranks
        return {
            p: p.stat().st_mtime_ns for p in (run.path / "done").iterdir() if p.name.split("-")[0] not in ("score", "compare")
        }

    before, scores = commits(), run.read(Score, "scores")
    again = json.loads(svmbench("demo", "--posts", str(POSTS), "--json", cwd=home).stdout)
    assert commits() == before
    assert run.read(Score, "scores") == scores
    first, second = ({s["stage"]: (s["seen"], s["kept"]) for s in answer["stages"]} for answer in (demo, again))
    assert second == {stage: counts for stage, counts in first.items() if stage != "compose"}, "a finished crawl composes nothing"


def test_another_recipe_into_the_same_run_is_refused_in_one_line(home: Path, run: RunFolder) -> None:
    answer = svmbench("demo", "--posts", str(POSTS + 1), "--out", str(run.path), cwd=home, code=1)
    assert "replica.posts: 48 there, 49 now" in answer.stderr
    assert len(answer.stderr.strip().splitlines()) == 1
