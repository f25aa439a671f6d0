"""The commands for the picture, as a person types them: crop, curate with its sheet and other thresholds, bench-borders."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import av
import numpy as np
import pytest
import yaml
from PIL import Image
from skimage import data
from typer.testing import CliRunner, Result

from svmbench import jobs, jobs_curate
from svmbench.cli import app
from svmbench.errors import BadInput, BadSettings
from svmbench.fleet import Fleet
from svmbench.progress import Progress
from svmbench.provenance import settle
from svmbench.recipe import Recipe, load
from svmbench.records import Clip, Drop, Post, to_table
from svmbench.store import RunFolder

WIDTH, HEIGHT, BAR = 160, 120, 20
PHOTO = np.ascontiguousarray(data.astronaut()[::2, ::2])


def film(path: Path, *, step: int = 2, bar: int = 0) -> Path:
    """A photograph that moves by `step` pixels a frame, ten frames a second for 1.5 s, between black bars."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=10, options={"crf": "20", "preset": "ultrafast"})
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        for i in range(15):
            image = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
            image[bar : HEIGHT - bar] = PHOTO[step * i : step * i + HEIGHT - 2 * bar, step * i : step * i + WIDTH]
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode())
    return path


def svmbench(*words: str | Path) -> Result:
    return CliRunner(env={"COLUMNS": "200"}).invoke(app, [str(word) for word in words])


def done(*words: str | Path) -> str:
    """What a command that ends well writes to its standard output."""
    result = svmbench(*words)
    assert result.exit_code == 0, result.output
    return result.stdout


def refused(*words: str | Path) -> str:
    """The one line of a command that stops."""
    result = svmbench(*words)
    assert result.exit_code == 1, result.output
    assert not result.stdout
    (line,) = result.stderr.strip().splitlines()
    assert line.startswith("error: ")
    return line


@pytest.fixture(scope="module")
def barred(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return film(tmp_path_factory.mktemp("crop") / "barred.mp4", bar=BAR)


def test_crop_prints_the_box_for_people_and_for_programs(barred: Path) -> None:
    words = done("crop", barred, "--method", "paper")
    told = json.loads(done("crop", barred, "--method", "paper", "--json"))
    assert told["kind"] == "letterbox"
    assert told["box"]["top_px"] == pytest.approx(BAR, abs=1)
    assert told["crop"] in words.splitlines()[1]
    assert words.splitlines()[0].startswith(f"barred.mp4   {WIDTH} x {HEIGHT}   1.5 s")
    assert "out" not in told


def test_crop_writes_a_picture_or_a_copy_and_nothing_over(barred: Path, tmp_path: Path) -> None:
    before = barred.read_bytes()
    picture, copy = tmp_path / "border.png", tmp_path / "copy.mp4"
    assert f"written: {picture}" in done("crop", barred, "--out", picture, "--method", "paper")
    with Image.open(picture) as image:
        assert image.width > 3 * WIDTH
    told = json.loads(done("crop", barred, "--out", copy, "--method", "paper", "--json"))
    assert (told["out"], told["copy"]["num_frames"], told["copy"]["audio"]) == (str(copy), 15, "none")
    with av.open(str(copy)) as container:
        assert container.streams.video[0].height == told["copy"]["box"]["height_px"] < HEIGHT
    kept = picture.read_bytes()
    for out, why in ((picture, "is there already"), (barred, "is the video itself"), (tmp_path / "x.gif", "no ending")):
        line = refused("crop", barred, "--out", out)
        assert str(out) in line
        assert why in line
    assert picture.read_bytes() == kept
    assert barred.read_bytes() == before


def test_crop_says_what_is_no_video(tmp_path: Path) -> None:
    (tmp_path / "notes.mp4").write_text("no video at all")
    assert "nowhere.mp4 is not a file" in refused("crop", tmp_path / "nowhere.mp4")
    assert "notes.mp4 cannot be read as a video" in refused("crop", tmp_path / "notes.mp4")
    assert "Did you mean 'paper'?" in refused("crop", tmp_path / "notes.mp4", "--method", "papr")


def plan(path: Path, **changes: object) -> Path:
    """A recipe file: quick to decode, no sound needed."""
    values = {
        **load("demo").model_dump(mode="json"), "name": "small", "clip": {"min_s": 1, "max_s": 4}, "features": [],
        "borders": {"method": "paper"}, "filters": {"still": {"max_share": 0.5}}, "duplicates": {"keep": "none"},
        "split": {"train": 0.5, "val": 0, "test": 0.5}, **changes,
    }  # fmt: skip
    path.write_text(yaml.safe_dump(values))
    return path


@pytest.fixture(scope="module")
def curated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with small.yaml and the run that `crawl` and `curate` make of it: one moves, one has bars, one stands still."""
    folder = tmp_path_factory.mktemp("curated")
    run = RunFolder.create(folder / "run")
    files = {"moving": {}, "barred": {"bar": BAR}, "still": {"step": 0}}
    posts = [
        Post(
            platform="tiktok", post_id=name, url="", words=("a",), caption="", hashtags=(), likes=1, likes_exact=True,
            track_id=name, track_title=None, track_original=False, duration_s=1.5, posted_at=None, fetched_at=None,
            sha256=run.add_media(film(folder / f"{name}.mp4", **how)), author_hash=None,
        )
        for name, how in files.items()
    ]  # fmt: skip
    with run.writing("crawl") as writer:
        writer.commit([f"tiktok:{post.post_id}" for post in posts], {"posts": to_table(Post, posts)})
    source = plan(folder / "small.yaml")
    settle(run, load(str(source)), "crawl small")
    jobs.remember(run, str(source))
    stages = json.loads(done("curate", run.path, "--local", "--json"))["stages"]
    assert [(s["stage"], s["kept"], s["dropped"]) for s in stages[:2]] == [("curate", 3, {}), ("judge", 2, {"still": 1})]
    return folder


@pytest.fixture
def folder(curated: Path, tmp_path: Path) -> Path:
    """A copy to change."""
    shutil.copytree(curated, tmp_path / "copy")
    run = RunFolder(tmp_path / "copy" / "run")
    run.write_settings({"recipe_from": str(tmp_path / "copy" / "small.yaml")})
    return tmp_path / "copy"


def outcomes(run: Path) -> dict[str, str]:
    found = RunFolder(run)
    return {c.post_id: "kept" for c in found.read(Clip, "clips")} | {
        d.id.partition(":")[2]: d.reason for d in found.read(Drop, "drops")
    }


def test_a_sheet_is_written_where_it_is_asked_for(folder: Path) -> None:
    run = folder / "run"
    assert f"sheet: {run / 'sheet.html'}" in done("curate", "sheet", run)
    page = (run / "sheet.html").read_text()
    assert page.count("<img") + page.count("<image") == 9, "three frames of three clips"
    assert json.loads(done("curate", "sheet", run, "--out", folder / "other.html", "--json"))["sheet"].endswith("other.html")
    assert (folder / "other.html").read_text() == page
    (folder / "empty" / "done").mkdir(parents=True)
    assert "svmbench" in refused("curate", "sheet", folder / "empty")


def test_other_thresholds_are_applied_and_the_changes_told(folder: Path) -> None:
    run = folder / "run"
    assert outcomes(run) == {"moving": "kept", "barred": "kept", "still": "still"}
    shutil.rmtree(run / "media")
    loose = plan(folder / "loose.yaml", filters={"border_share": {"max_share": 0.1}})
    told = json.loads(done("curate", run, "--rejudge", "--recipe", loose, "--local", "--json"))
    assert told["changes"] == "dropped -> kept: still 1; kept -> dropped: much_border 1"
    assert outcomes(run) == {"moving": "kept", "barred": "much_border", "still": "kept"}
    assert "changes: nothing" in done("curate", run, "--rejudge", "--local"), "the file that was named last"
    plan(folder / "loose.yaml", filters={"border_share": {"max_share": 0.2}, "still": {"max_share": 0.9}})
    assert "changes: dropped -> dropped" not in done("curate", run, "--rejudge", "--local")  # that file, as it is now
    assert outcomes(run) == {"moving": "kept", "barred": "much_border", "still": "still"}
    assert "changes: nothing" in done("curate", run, "--rejudge", "--local")


def test_what_needs_decoding_is_refused_and_changes_nothing(folder: Path) -> None:
    run = folder / "run"
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    longer = plan(folder / "longer.yaml", clip={"min_s": 1, "max_s": 8}, borders={"method": "none"})
    line = refused("curate", run, "--rejudge", "--recipe", longer, "--local")
    assert "borders.method, clip.max_s: not as in the recipe of" in line
    assert "nowhere.yaml does not exist" in refused("curate", run, "--rejudge", "--recipe", folder / "nowhere.yaml", "--local")
    assert {path: path.read_bytes() for path in run.rglob("*") if path.is_file()} == before


def test_words_and_options_that_do_not_go_together(folder: Path) -> None:
    run = folder / "run"
    assert "one run at a time" in refused("curate", run, run)
    assert "two commands" in refused("curate", "sheet", run, "--rejudge")
    assert "--recipe goes with --rejudge" in refused("curate", run, "--recipe", "svm_10k")
    assert "curate sheet RUN --out" in refused("curate", run, "--out", folder / "x")
    for words in (("--rejudge",), ("sheet",)):
        assert "--fresh decodes anew" in refused("curate", *words, run, "--fresh")
    assert jobs_curate.curate_words(["run"], rejudge=False, fresh=True) == ("curate", "run")
    assert jobs_curate.curate_words([], rejudge=True, recipe="demo") == ("rejudge", None)
    assert jobs_curate.curate_words(["sheet"], rejudge=False, out=Path("x")) == ("sheet", None)
    assert jobs_curate.curate_words(["report", "a"], rejudge=False, out=Path("x")) == ("report", "a")


def test_fresh_decodes_anew_and_forgives_what_was_at_work(folder: Path) -> None:
    run = folder / "run"
    (run / "at-work").mkdir()
    (run / "at-work" / "abc.json").write_text("{}")
    assert "3 of 3 posts were done before" in done("curate", run, "--local")
    assert (run / "at-work" / "abc.json").exists()
    assert "done before" not in done("curate", run, "--local", "--fresh")
    assert not (run / "at-work").exists()
    assert outcomes(run) == {"moving": "kept", "barred": "kept", "still": "still"}


def test_a_crawl_with_another_recipe_changes_nothing_of_the_run(folder: Path) -> None:
    run = RunFolder(folder / "run")
    before = run.settings()
    other: Recipe = load(str(plan(folder / "other.yaml", name="other")))
    with Fleet(local=True) as fleet, pytest.raises(BadSettings, match="made with another recipe"):
        jobs.crawl_job(other, run, fleet, Progress(quiet=True), source="other.yaml")
    assert run.settings() == before


def test_a_fresh_demo_deletes_nothing_but_a_run(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "settings.json").write_text("{}")
    assert "choose a new or empty folder" in refused("demo", "--fresh", "--local", "--out", tmp_path / "mine")
    assert (tmp_path / "mine" / "settings.json").read_text() == "{}"


def test_bench_borders(tmp_path: Path) -> None:
    options = ("--half", "dev", "--cases", "2", "--local", "--only", "paper")
    found = json.loads(done("bench-borders", "--out", tmp_path / "bench", *options, "--json"))
    assert found["stages"][0]["seen"] == 2
    assert {row["method"] for row in found["scores"]} == {"paper"}
    assert any((tmp_path / "bench").iterdir())
    assert "nonsense is none of: dev, held_out, all" in refused("bench-borders", "--half", "nonsense", "--local")
    assert "unknown border 'papr'" in refused("bench-borders", "--only", "papr", "--local")
    (tmp_path / "file").touch()
    assert "is a file" in refused("bench-borders", "--out", tmp_path / "file", "--cases", "1", "--local")


def test_a_run_is_found_by_path_by_name_and_by_age(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(BadInput, match="no run folder under runs/"):
        jobs.find_run(None)
    for name in ("old", "new"):
        RunFolder.create(Path("runs") / name)
    with jobs.find_run("old").writing("crawl") as writer:
        writer.commit(["a"], {})
    assert jobs.find_run("new").path == tmp_path / "runs" / "new"
    assert jobs.find_run("runs/new").path == tmp_path / "runs" / "new"
    assert jobs.find_run(None).path == tmp_path / "runs" / "old", "the one that was written last"


def test_ctrl_c_in_the_bench_promises_nothing_that_it_does_not_do(tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-P",
        "-m",
        "svmbench",
        "bench-borders",
        "--half",
        "dev",
        "--cases",
        "200",
        "--local",
        "--out",
        "bench",
    ]
    with subprocess.Popen(
        command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as child:
        time.sleep(8)
        os.killpg(child.pid, signal.SIGINT)  # as a terminal does
        _, errors = child.communicate(timeout=60)
    assert child.returncode == 1, errors
    assert errors.strip().splitlines()[-1].endswith("stopped; nothing was written. The same command starts anew")
    assert "Traceback" not in errors, errors
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]
