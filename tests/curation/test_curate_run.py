"""The whole stage on real files in a real run folder: every post accounted for, once, whatever its file does."""

from __future__ import annotations

import importlib
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest

from curation import run as stage_run
from curation.clip_job import ClipJob
from curation.filters import duration
from curation.run import check, curate, rejudge
from svmbench import plugins
from svmbench.errors import BadSettings, MissingExtra, UnknownName
from svmbench.fleet import Fleet, WorkerLost
from svmbench.progress import Progress, Summary
from svmbench.recipe import Recipe, parse
from svmbench.records import Clip, ClipPicture, Drop, Duplicate, Post, Split, Thumbnails, features_from_table, to_table
from svmbench.store import RunFolder

Film = Callable[..., Path]
FILTERS = {"duration": {}, "still": {"max_share": 0.9}, "silence": {}}
FEATURES = ["frame_stats", "optical_flow", "log_mel"]
LIGHT = {"filters": {"still": {"max_share": 0.9}}, "features": ["optical_flow"]}  # quick to load


def recipe(**changes: Any) -> Recipe:
    values = {
        "name": "small", "search": {"words": ["a"]}, "clip": {"min_s": 2, "max_s": 4}, "borders": {"method": "paper"},
        "filters": FILTERS, "features": FEATURES,
        "duplicates": {"keep": "none"}, "split": {"train": 0.5, "val": 0.0, "test": 0.5},
    }  # fmt: skip
    return parse({**values, **changes}, "small")


def run_of(folder: Path, files: Mapping[str, Path | None]) -> RunFolder:
    """A run folder as the crawl leaves it: a post a file, in pairs of the same track."""
    run = RunFolder.create(folder)
    posts = [
        Post(
            platform="tiktok", post_id=name, url="", words=("a",), caption="", hashtags=(), likes=1, likes_exact=True,
            track_id=str(i // 2), track_title=None, track_original=False, duration_s=3.0, posted_at=None, fetched_at=None,
            sha256=run.add_media(path) if path else "0" * 64, author_hash=None,
        )
        for i, (name, path) in enumerate(files.items())
    ]  # fmt: skip
    with run.writing("crawl") as writer:
        writer.commit([f"tiktok:{p.post_id}" for p in posts], {"posts": to_table(Post, posts)})
    return run


def go(chosen: Recipe, run: RunFolder, *, local: bool = True) -> dict[str, Summary]:
    progress = Progress(quiet=True)
    with Fleet(local=local) as fleet:
        curate(chosen, run, fleet, progress)
    assert all(summary.balanced() for summary in progress.summaries)
    return {summary.stage: summary for summary in progress.summaries}


@pytest.fixture(scope="session")
def films(film: Film, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Five small files of one picture: two that move, one in bars, one that stands still, one without sound."""
    folder = tmp_path_factory.mktemp("films")
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 255, (120, 400, 3), np.uint8).repeat(2, 0)[:120]
    smooth = np.stack([np.convolve(row, np.ones(9) / 9, "same") for row in noise.reshape(120, -1)]).reshape(120, 400, 3)
    picture = smooth.astype(np.uint8)
    wave = (0.3 * np.sin(np.arange(48_000) * 0.15)).astype(np.float32)
    moving = [picture[:, 3 * i : 3 * i + 160] for i in range(30)]
    barred = [np.pad(image, ((60, 60), (0, 0), (0, 0))) for image in moving]
    return {
        "one": film(folder / "one.mp4", moving, wave=wave),
        "two": film(folder / "two.mp4", moving[::-1], wave=wave),
        "barred": film(folder / "barred.mp4", barred, wave=wave),
        "still": film(folder / "still.mp4", [picture[:, :160]] * 30, wave=wave),
        "mute": film(folder / "mute.mp4", moving),
    }


def reasons(run: RunFolder) -> dict[str, tuple[str, str]]:
    return {drop.id.partition(":")[2]: (drop.kind, drop.reason) for drop in run.read(Drop, "drops")}


def test_every_post_becomes_a_clip_or_a_drop(films: dict[str, Path], film: Film, tmp_path: Path) -> None:
    (tmp_path / "page.mp4").write_bytes(b"<html>slow down</html>")
    short = film(tmp_path / "short.mp4", [np.full((64, 64, 3), 9 * i, np.uint8) for i in range(12)])
    run = run_of(tmp_path / "run", {**films, "page": tmp_path / "page.mp4", "short": short, "gone": None})
    account = go(recipe(), run)
    assert (account["curate"].seen, account["curate"].kept, account["curate"].failed.total()) == (8, 6, 2)
    assert (account["judge"].seen, account["judge"].kept, account["judge"].dropped.total()) == (6, 3, 3)
    assert reasons(run) == {
        "still": ("rule", "still"), "mute": ("rule", "no_audio"), "short": ("rule", "too_short"),
        "page": ("failure", "unreadable"), "gone": ("failure", "no_media"),
    }  # fmt: skip
    clips = {clip.post_id: clip for clip in run.read(Clip, "clips")}
    assert set(clips) == {"one", "two", "barred"}
    assert clips["barred"].box.top_px == pytest.approx(60, abs=2)
    assert clips["barred"].box.height_px == pytest.approx(120, abs=3)
    assert clips["one"].box.height_px == 120
    assert clips["one"].song_id == clips["two"].song_id == "tiktok:0"
    assert clips["one"].clip_id == "tiktok-one-0"
    assert clips["one"].end_s == pytest.approx(3.0)
    assert clips["one"].measures["still_share"] == 0
    assert {"duration_s", "silent_share", "truncated", "border_confidence"} <= set(clips["one"].measures)
    candidates = {clip.post_id: clip for clip in run.read(Clip, "candidates")}
    assert set(candidates) == {*clips, "still", "mute", "short"}, "whatever can be decoded, so that the rules may change"
    assert [candidates[name] for name in clips] == list(clips.values())
    for name in FEATURES:
        table = run.read_table(f"features_{name}")
        assert table is not None
        heard = {clip.clip_id for clip in candidates.values() if name != "log_mel" or clip.measures["audio_s"]}
        assert set(features_from_table(table)) == heard
    pictures = {picture.clip_id: picture for picture in run.read(ClipPicture, "pictures")}
    thumbnails = {small.clip_id: small for small in run.read(Thumbnails, "thumbnails")}
    assert set(pictures) == set(thumbnails) == {clip.clip_id for clip in candidates.values()}
    barred = pictures["tiktok-barred-0"]
    assert barred.border_kinds == ("none", "black", "none", "black")
    assert len(barred.hashes) == len(barred.hash_times_s) == len(barred.hash_qualities) > 3
    small = thumbnails["tiktok-barred-0"]
    assert len(small.jpegs) == len(small.times_s) == 3
    shown = cv2.imdecode(np.frombuffer(small.jpegs[0], np.uint8), cv2.IMREAD_GRAYSCALE)
    assert shown is not None
    assert shown.shape == (240, 160), "the whole frame, with its bars"
    assert shown[:50].max() < 40 < shown[80:160].mean()
    drop = next(d for d in run.read(Drop, "drops") if d.reason == "still")
    assert drop.value == 1
    assert '"silent_share": 0.0' in drop.detail
    parts = run.read(Split, "splits")
    assert [part.name for part in parts] == ["train", "val", "test"]
    assert sorted(len(part.clip_ids) for part in parts) == [0, 1, 2]


def test_a_second_start_does_nothing_again_and_other_settings_are_refused(films: dict[str, Path], tmp_path: Path) -> None:
    run = run_of(tmp_path / "run", {name: films[name] for name in ("one", "still")})
    first = go(recipe(), run)["curate"]
    markers = run.markers()
    again = go(recipe(), run)["curate"]
    assert run.markers() == markers
    assert (again.kept, again.dropped, again.left) == (first.kept, first.dropped, 0)
    assert again.notes == ["2 of 2 posts were done before"]
    for changed, key in (
        ({"clip": {"min_s": 2, "max_s": 3}}, "clip.max_s"),
        ({"borders": {"method": "none"}}, "borders.method"),
        ({"features": FEATURES[:1]}, "features"),
        ({"filters": {**FILTERS, "silence": {"floor_dbfs": -40}}}, "filters.silence.floor_dbfs"),
    ):
        with pytest.raises(BadSettings, match=rf"\({key} changed\).*--out"):
            go(recipe(**changed), run)
    go(recipe(split={"train": 0, "val": 0, "test": 1}), run)  # a split is made anew, clips stay
    assert [len(part.clip_ids) for part in run.read(Split, "splits")] == [0, 0, 1]
    for stage in ("curate", "judge"):
        assert run.markers(stage) == [m for m in markers if m["stage"] == stage]


def test_other_thresholds_judge_anew_and_decode_nothing(films: dict[str, Path], tmp_path: Path) -> None:
    run = run_of(tmp_path / "run", {name: films[name] for name in ("one", "still")})
    go(recipe(), run)
    decoded = run.markers("curate")
    loose = go(recipe(filters={**FILTERS, "still": {}}), run)
    assert (loose["judge"].kept, loose["judge"].dropped) == (2, {})
    assert {clip.post_id for clip in run.read(Clip, "clips")} == {"one", "still"}
    assert not run.read(Drop, "drops")
    assert sum(len(part.clip_ids) for part in run.read(Split, "splits")) == 2
    assert run.markers("curate") == decoded
    assert loose["curate"].notes == ["2 of 2 posts were done before"]


def test_rejudging_gives_the_tables_of_a_run_that_was_decoded_with_the_new_thresholds(
    films: dict[str, Path], tmp_path: Path
) -> None:
    names = {name: films[name] for name in ("one", "barred", "still")}
    run, fresh = run_of(tmp_path / "run", names), run_of(tmp_path / "fresh", names)
    rules = {"sharpness": {"min_sharpness": 0.01}, "border_share": {"max_share": 0.3}, "silence": {"max_share": 0.9}}
    new = recipe(filters=rules, duplicates={"keep": "best"})
    go(recipe(), run)
    run.write_settings({"recipe": recipe().model_dump(mode="json")})
    shutil.rmtree(run.path / "media")
    with Fleet(local=True) as fleet:
        found = rejudge(new, run, fleet, Progress(quiet=True))
    assert found.moved == {("still", "kept"): ("tiktok:still",), ("kept", "much_border"): ("tiktok:barred",)}
    go(new, fresh)
    for table in ("clips", "drops", "duplicates", "splits"):
        written = [[part.read_bytes() for part in folder.table_parts(table)] for folder in (run, fresh)]
        assert written[0] == written[1], table


def test_a_run_of_an_older_svmbench_asks_for_fresh(films: dict[str, Path], tmp_path: Path) -> None:
    run = run_of(tmp_path / "run", {"one": films["one"]})
    with run.writing("curate") as writer:
        writer.commit(["tiktok:one"], {"drops": to_table(Drop, [Drop(id="tiktok:one", stage="curate", kind="rule", reason="x")])})
    run.write_settings({"curate": {"hash": "abc", "settings": {"filters": {}}}})
    with pytest.raises(BadSettings, match=r"older svmbench.*use --fresh"):
        go(recipe(), run)
    with run.writing("curate") as writer:
        writer.clear()
    assert go(recipe(), run)["judge"].kept == 1


def test_one_copy_of_a_near_duplicate_is_kept(films: dict[str, Path], tmp_path: Path) -> None:
    run = run_of(tmp_path / "run", {name: films[name] for name in ("one", "barred", "still")})
    account = go(recipe(duplicates={"keep": "best"}), run)["judge"]
    assert account.dropped == {"still": 1, "duplicate": 1}
    (clip,) = run.read(Clip, "clips")
    drop = next(d for d in run.read(Drop, "drops") if d.reason == "duplicate")
    twins = {twin.clip_id: twin for twin in run.read(Duplicate, "duplicates")}
    assert set(twins) == {"tiktok-one-0", "tiktok-barred-0"}, "and not the still one, which a rule refuses"
    assert twins[clip.clip_id].kept
    assert (drop.kind, drop.stage, drop.detail) == ("rule", "judge", f"of {clip.clip_id}")
    assert drop.value == twins[f"{drop.id.replace(':', '-')}-0"].match_share
    account = go(recipe(duplicates={"keep": "all"}), run)["judge"]
    assert account.kept == 2
    assert sorted(len(part.clip_ids) for part in run.read(Split, "splits")) == [0, 0, 2], "copies stand in one part"


def test_what_is_broken_off_is_taken_up(films: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stage_run, "BATCH", 1)
    run = run_of(tmp_path / "run", films)

    class Interrupted(Fleet):
        def map(self, *args: Any, **options: Any) -> Iterator[tuple[Any, Any]]:
            for number, pair in enumerate(super().map(*args, **options)):
                if number == 2:
                    raise KeyboardInterrupt
                yield pair

    progress = Progress(quiet=True)
    with Interrupted(local=True) as fleet, pytest.raises(KeyboardInterrupt):
        curate(recipe(**LIGHT), run, fleet, progress)
    assert progress.summaries[0].balanced()
    assert progress.summaries[0].left == 3
    assert len(run.done_ids("curate")) == len(run.markers("curate")) == 2
    account = go(recipe(**LIGHT), run)["curate"]
    assert (account.seen, account.kept, account.left) == (5, 5, 0)
    assert len(run.read(Clip, "clips")) == 4
    assert len(run.read(Drop, "drops")) == 1


def test_not_measured_is_none_and_not_zero_and_a_detector_that_fails_leaves_its_reason(
    films: dict[str, Path], tmp_path: Path
) -> None:
    run = run_of(tmp_path / "run", {"one": films["one"]})
    (post,) = run.read(Post, "posts")
    job = ClipJob(recipe(**LIGHT), str(run.path))

    def measured_as(measure: Callable[[Any, Any], float | None]) -> tuple[float | None, Mapping[str, str]]:
        odd: Any = SimpleNamespace(NAME_OF_MEASURE="odd", measure=measure)
        job.filters = [("odd", odd, None)]
        (found,) = job.run(post)
        return found.clip.measures["odd"], found.sound.errors

    for value in (None, 0.0, 0.25):
        assert measured_as(lambda clip, _, value=value: value) == (value, {})
    for value in (float("nan"), float("inf")):
        assert measured_as(lambda clip, _, value=value: value) == (None, {"odd": f"ValueError: the measure is {value}"})
    assert measured_as(lambda clip, _: 1 / 0) == (None, {"odd": "ZeroDivisionError: division by zero"})


def test_a_detector_that_fails_its_self_test_ends_the_run_before_it_starts(
    films: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails() -> None:
        raise MissingExtra("the detector hears nothing")

    monkeypatch.setattr(plugins.load("curation.filters", "still"), "prepare", fails, raising=False)
    with pytest.raises(MissingExtra, match="hears nothing"):
        ClipJob(recipe(**LIGHT), str(run_of(tmp_path / "run", {"one": films["one"]}).path))


JOB = '''
import os, signal, time
from curation.clip_job import ClipJob

class Unlucky(ClipJob):
    """Crashes, hangs or trips over the posts with these names, with everything else as it is."""
    def run(self, post):
        if post.post_id == "two": os.kill(os.getpid(), signal.SIGSEGV)
        if post.post_id == "barred": time.sleep(60)
        if post.post_id == "still":
            class Broken:
                DIM = 3
                def extract(self, clip): raise ZeroDivisionError("no flow")
            self.filters, self.features = [], [("optical_flow", Broken())]
        return super().run(post)
'''


def test_a_crash_a_hang_and_a_defect_cost_one_post_each(
    films: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "unlucky_job.py").write_text(JOB)
    monkeypatch.syspath_prepend(str(tmp_path))
    sys.modules.pop("unlucky_job", None)
    unlucky_job = importlib.import_module("unlucky_job")

    monkeypatch.setattr(stage_run, "ClipJob", unlucky_job.Unlucky)
    monkeypatch.setattr(stage_run, "LIMIT_S", 2.0)
    monkeypatch.setattr(stage_run, "LIMIT_FACTOR", 0.1)
    run = run_of(tmp_path / "run", {name: films[name] for name in ("two", "barred", "one", "still")})
    account = go(recipe(**LIGHT), run)["curate"]
    assert [clip.post_id for clip in run.read(Clip, "clips")] == ["one"]
    assert reasons(run) == {
        "two": ("failure", "crash"), "barred": ("failure", "timeout"), "still": ("failure", "feature_optical_flow")
    }  # fmt: skip
    assert account.failed == {"crash": 1, "timeout": 1, "feature_optical_flow": 1}
    assert "SIGSEGV" in next(d.detail for d in run.read(Drop, "drops") if d.reason == "crash")
    assert "no flow" in next(d.detail for d in run.read(Drop, "drops") if d.reason.startswith("feature"))


def test_a_worker_that_is_lost_for_good_costs_its_post_and_an_unknown_error_ends_the_run(
    films: dict[str, Path], tmp_path: Path
) -> None:
    class Failing(Fleet):
        def map(self, *args: Any, **options: Any) -> Iterator[tuple[Any, Any]]:
            for item, value in super().map(*args, **options):
                yield item, error if item.payload.post_id == "one" else value

    run, progress = run_of(tmp_path / "run", {name: films[name] for name in ("one", "two")}), Progress(quiet=True)
    error: Exception = ZeroDivisionError("a defect")
    with Failing(local=True) as fleet, pytest.raises(ZeroDivisionError):
        curate(recipe(**LIGHT), run, fleet, progress)
    error = WorkerLost("out of memory")
    with Failing(local=True) as fleet:
        curate(recipe(**LIGHT), run, fleet, progress)
    assert reasons(run) == {"one": ("failure", "worker_lost")}
    assert [clip.post_id for clip in run.read(Clip, "clips")] == ["two"]


def test_the_recipe_is_checked_before_anything_starts() -> None:
    check(recipe())
    with pytest.raises(UnknownName, match="Did you mean 'silence'"):
        check(recipe(filters={"silense": {}}))
    with pytest.raises(UnknownName, match="optical_flow"):
        check(recipe(features=["optical_flov"]))
    with pytest.raises(BadSettings, match=r"filters\.still\.max_share: 1\.5 is out of range"):
        check(recipe(filters={"still": {"max_share": 1.5}}))


@pytest.mark.parametrize(
    ("value", "keep", "reason"),
    [(None, False, "too_short"), (2.9, False, "too_short"), (3.0, True, ""), (9.0, True, ""), (9.1, False, "too_long")],
)
def test_the_duration_filter_keeps_what_lies_between(value: float | None, keep: bool, reason: str) -> None:
    verdict = duration.judge(value, duration.Settings(min_s=3.0, max_s=9.0))
    assert (verdict.keep, verdict.reason, verdict.value) == (keep, reason, value)


@pytest.mark.slow
def test_the_same_on_ray(films: dict[str, Path], tmp_path: Path) -> None:
    local, ray = (run_of(tmp_path / name, films) for name in ("local", "ray"))
    go(recipe(), local)
    go(recipe(), ray, local=False)
    for run in (local, ray):
        assert len(run.read(Clip, "clips")) == 3
    key = lambda clip: clip.clip_id
    assert sorted(ray.read(Clip, "clips"), key=key) == sorted(local.read(Clip, "clips"), key=key)
    assert ray.read(Split, "splits") == local.read(Split, "splits")
