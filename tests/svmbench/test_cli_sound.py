"""The commands for the sound, as a person types them: review, audit-split, curate with decisions and with its report."""

from __future__ import annotations

import csv
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import yaml
from skimage import data
from typer.testing import CliRunner, Result

from svmbench import doctor, jobs
from svmbench.cli import app
from svmbench.provenance import settle
from svmbench.recipe import load
from svmbench.records import Clip, Drop, Post, Split, to_table
from svmbench.store import RunFolder

SIDE, FPS, HZ, LENGTH_S = 96, 10, 16_000, 4
PHOTO = np.ascontiguousarray(data.astronaut())
OF_ISSUE_D = ("sounds", "fingerprints", "songs", "verdicts", "labels")  # tables that older runs do not have


def tune(*pitches_hz: float) -> np.ndarray:
    """Four notes in a row: sound that is tonal."""
    at_s = np.arange(HZ * LENGTH_S // len(pitches_hz)) / HZ
    return np.concatenate([0.3 * np.sin(2 * np.pi * hz * at_s) * np.exp(-at_s) for hz in pitches_hz])


def noise(seed: int) -> np.ndarray:
    return 0.1 * np.random.default_rng(seed).standard_normal(HZ * LENGTH_S)


# What is heard, and what the rules say of it.
TUNE, OTHER_TUNE = tune(262, 330, 392, 523), tune(220, 277, 330, 440)
HEARD = {
    "tune": TUNE, "again": TUNE, "other": OTHER_TUNE,  # kept
    "wind": noise(0),  # dropped: ambience
    "breeze": noise(1) + 0.25 * tune(294, 294, 370, 440), "gale": noise(2) + 0.25 * OTHER_TUNE,  # in doubt: noisy
}  # fmt: skip
AUTHOR = {"tune": "anna", "other": "anna"}


def film(path: Path, wave: np.ndarray, row: int) -> Path:
    """A photograph that moves, from this row on, with this sound."""
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=FPS, options={"crf": "24", "preset": "ultrafast"})
        video.width, video.height, video.pix_fmt = SIDE, SIDE, "yuv420p"
        sound = container.add_stream("aac", rate=HZ, layout="mono")
        for i in range(FPS * LENGTH_S):
            image = np.ascontiguousarray(PHOTO[row : row + SIDE, 3 * i : 3 * i + SIDE])
            container.mux(video.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(video.encode())
        for start in range(0, len(wave) - 1023, 1024):
            piece = av.AudioFrame.from_ndarray(wave[None, start : start + 1024].astype(np.float32), "fltp", "mono")
            piece.rate, piece.time_base, piece.pts = HZ, Fraction(1, HZ), start
            container.mux(sound.encode(piece))
        container.mux(sound.encode())
    return path


def svmbench(*words: str | Path) -> Result:
    return CliRunner(env={"COLUMNS": "200"}).invoke(app, [str(word) for word in words])


def done(*words: str | Path, code: int = 0) -> str:
    """What a command that ends well, or with this exit code, writes to its standard output."""
    result = svmbench(*words)
    assert result.exit_code == code, result.output
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
def curated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run that `crawl` and `curate` make of these films."""
    folder = tmp_path_factory.mktemp("sound")
    run = RunFolder.create(folder / "run")
    posts = [
        Post(
            platform="tiktok", post_id=name, url="", words=("a",), caption="", hashtags=("#calm",), likes=1, likes_exact=True,
            track_id="hit" if name in ("tune", "again") else name, track_title=None, track_original=False, duration_s=LENGTH_S,
            posted_at=None, fetched_at=None, sha256=run.add_media(film(folder / f"{name}.mp4", wave, 60 * row)),
            author_hash=AUTHOR.get(name, name),
        )
        for row, (name, wave) in enumerate(HEARD.items())
    ]  # fmt: skip
    with run.writing("crawl") as writer:
        writer.commit([f"tiktok:{post.post_id}" for post in posts], {"posts": to_table(Post, posts)})
    source = folder / "small.yaml"
    values = {
        **load("demo").model_dump(mode="json"), "name": "small", "clip": {"min_s": 1, "max_s": 4}, "features": [],
        "borders": {"method": "none"}, "filters": {"silence": {}, "speech": {}, "ambience": {}}, "labels": {"songs_min": 1},
        "sound": {"preset": "svm_10k"}, "split": {"keys": ["song"], "train": 0.5, "val": 0, "test": 0.5},
    }  # fmt: skip
    source.write_text(yaml.safe_dump(values))
    settle(run, load(str(source)), "crawl small")
    jobs.remember(run, str(source))
    told = json.loads(done("curate", run.path, "--local", "--json"))
    assert told["for a person"] == f"2 in doubt; 'svmbench review {run.path}' shows them"
    assert [(s["stage"], s["kept"], s["dropped"]) for s in told["stages"][:2]] == [
        ("curate", 6, {}), ("judge", 3, {"ambience": 1, "awaits_review": 2})]  # fmt: skip
    return run.path


@pytest.fixture
def run(curated: Path, tmp_path: Path) -> Path:
    """A copy to change."""
    return Path(shutil.copytree(curated, tmp_path / "run"))


@pytest.fixture
def older(run: Path) -> Path:
    """As a svmbench of before the sound was curated left it."""
    found = RunFolder(run)
    for name in OF_ISSUE_D:
        assert found.read_table(name) is not None, f"{name} is not there to be taken away"
        shutil.rmtree(run / "tables" / name)
    for marker in (run / "done").glob("*.json"):
        values = json.loads(marker.read_text())
        values["tables"] = {name: rows for name, rows in values["tables"].items() if name not in OF_ISSUE_D}
        marker.write_text(json.dumps(values))
    return run


def outcomes(run: Path) -> dict[str, str]:
    found = RunFolder(run)
    return {c.post_id: "kept" for c in found.read(Clip, "clips")} | {
        d.id.partition(":")[2]: d.reason for d in found.read(Drop, "drops")
    }


def log(run: Path) -> list[dict[str, Any]]:
    path = run / "review" / "decisions.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


# -- review


@contextmanager
def page(run: Path, *words: str, stops_with: int = 0) -> Iterator[str]:
    """The address that `svmbench review` prints, while it is served; then ctrl-C, as a terminal sends it."""
    command = [sys.executable, "-P", "-m", "svmbench", "review", str(run), "--json", *words]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True) as child:
        assert child.stdout
        try:
            yield json.loads(child.stdout.readline())["url"]
            os.killpg(child.pid, signal.SIGINT)
            rest, errors = child.communicate(timeout=30)
        finally:
            child.kill()
    assert child.returncode == stops_with, errors
    assert (rest, errors) == ("", "")


def ask(url: str, **values: str) -> Any:
    """What is at this address; with values they are sent there as the page itself does."""
    origin = "/".join(url.split("/")[:3])
    body = json.dumps(values).encode() if values else None
    with urllib.request.urlopen(urllib.request.Request(url, body, {"Origin": origin}), timeout=20) as answer:
        return answer.read()


def test_review_serves_a_page_and_keeps_what_is_decided_there(run: Path) -> None:
    with page(run, "--reviewer", "ben", "--blind", "0") as url:
        assert url.startswith("http://127.0.0.1:")
        assert b"<title>" in ask(url)
        state = json.loads(ask(f"{url}state"))
        assert (state["reviewer"], state["waiting"]) == ("ben", 2)
        first = state["item"]["clip_id"]
        following = json.loads(ask(f"{url}decide", clip_id=first, verdict="drop", reason="ambience"))
        assert following["waiting"] == 1
        assert following["item"]["clip_id"] != first
    assert [(d["clip_id"], d["reviewer"], d["verdict"], d["reason"]) for d in log(run)] == [(first, "ben", "drop", "ambience")]
    with page(run, "--reviewer", "ben", "--blind", "0") as url:  # the same command goes on
        assert json.loads(ask(f"{url}state"))["done"] == 1


def test_review_says_in_one_line_what_cannot_be(run: Path, tmp_path: Path) -> None:
    assert "is no reviewer's name" in refused("review", run, "--reviewer", "=cmd")
    assert "is not a run folder" in refused("review", tmp_path / "nowhere")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        line = refused("review", run, "--reviewer", "ben", "--port", str(taken.getsockname()[1]))
    assert "leave --port out to take a free one" in line
    both = ("--export", tmp_path / "a.csv", "--import", tmp_path / "b.csv")
    assert "two commands" in refused("review", run, *both)
    assert svmbench("review", run, "--blind", "2").exit_code == 2
    assert svmbench("review", run, "--port", "70000").exit_code == 2
    assert not log(run)


def decide(run: Path, **verdicts: str) -> None:
    """Decisions of anna's, by way of a file: post_id='keep', or '' and the reason to drop."""
    clip_of = {clip.post_id: clip.clip_id for clip in RunFolder(run).read(Clip, "candidates")}
    lines = [
        {
            "id": f"line-{name}", "clip_id": clip_of[name], "reviewer": "anna", "verdict": "keep" if said == "keep" else "drop",
            "reason": "" if said == "keep" else said, "at": "2026-01-31T12:00:00Z", "blind": False, "item_hash": "",
            "filter_version": "",
        }
        for name, said in verdicts.items()
    ]  # fmt: skip
    (run.parent / "anna.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    told = json.loads(done("review", run, "--import", run.parent / "anna.jsonl", "--json"))
    assert (told["added"], told["known_before"]) == (len(lines), 0)


@pytest.mark.parametrize("ending", ["jsonl", "csv", "json"])
def test_decisions_go_out_and_come_in_once(run: Path, tmp_path: Path, ending: str) -> None:
    decide(run, breeze="keep", gale="voice_over")
    before, out = log(run), tmp_path / f"out.{ending}"
    assert "decisions: 2" in done("review", run, "--export", out)
    told = json.loads(done("review", run, "--import", out, "--json"))
    assert (told["added"], told["known_before"]) == (0, 2)
    assert log(run) == before
    shutil.rmtree(run / "review")
    assert "added: 2" in done("review", run, "--import", out)
    assert "added: 0" in done("review", run, "--import", out)
    assert sorted(log(run), key=lambda d: d["id"]) == before
    if ending == "csv":
        assert len(list(csv.DictReader(out.read_text().splitlines()))) == 2


def test_files_that_hold_no_decisions_are_refused_in_one_line(run: Path, tmp_path: Path) -> None:
    (tmp_path / "bad.json").write_text("{")
    (tmp_path / "bad.csv").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "bad.jsonl").write_text('{"id": 1}\n')
    assert "the ending says the form" in refused("review", run, "--export", tmp_path / "out.xlsx")
    assert "the ending says the form" in refused("review", run, "--import", tmp_path / "in.txt")
    assert "cannot be read" in refused("review", run, "--import", tmp_path / "nowhere.csv")
    assert "is no JSON" in refused("review", run, "--import", tmp_path / "bad.json")
    assert "is no CSV" in refused("review", run, "--import", tmp_path / "bad.csv")
    assert "line 1: id is missing" in done("review", run, "--import", tmp_path / "bad.jsonl")  # a bad line costs that line
    assert not log(run)


# -- curate --rejudge, curate report


def test_rejudge_applies_decisions_and_says_what_changes(run: Path) -> None:
    shutil.rmtree(run / "media")
    decide(run, breeze="keep", gale="voice_over", other="singing")
    told = json.loads(done("curate", run, "--rejudge", "--local", "--json"))
    assert told["changes"] == (
        "dropped -> dropped: awaits_review -> review_voice_over 1; dropped -> kept: awaits_review 1; "
        "kept -> dropped: review_singing 1"
    )
    assert "for a person" not in told, "nothing awaits one any more"
    assert outcomes(run) == {"tune": "kept", "again": "kept", "other": "review_singing", "wind": "ambience",
                             "breeze": "kept", "gale": "review_voice_over"}  # fmt: skip
    assert "changes: nothing" in done("curate", run, "--rejudge", "--local")
    with open(run / "review" / "decisions.jsonl", "a") as handle:
        handle.write("no JSON\n")
    assert "line 4 of review/decisions.jsonl was skipped" in done("curate", run, "--rejudge", "--local")
    assert outcomes(run)["breeze"] == "kept"


def test_a_report_is_written_where_it_is_asked_for(run: Path, tmp_path: Path) -> None:
    decide(run, breeze="keep")
    assert f"report: {run / 'report.html'}" in done("curate", "report", run)
    numbers = json.loads((run / "report.json").read_text())
    assert (numbers["account"]["found"], numbers["account"]["adds_up"], numbers["review"]["clips"]) == (6, True, 1)
    assert "anna" not in (run / "report.html").read_text() + (run / "report.json").read_text()
    told = json.loads(done("curate", "report", run, "--out", tmp_path / "other" / "page.html", "--json"))
    assert told["report"] == str(tmp_path / "other" / "page.html")
    assert (tmp_path / "other" / "page.json").is_file()
    (tmp_path / "empty" / "done").mkdir(parents=True)
    assert "svmbench" in refused("curate", "report", tmp_path / "empty")
    assert "decodes nothing" in refused("curate", "report", run, "--fresh")


# -- audit-split


def clips_of(run: Path) -> dict[str, str]:
    return {clip.post_id: clip.clip_id for clip in RunFolder(run).read(Clip, "clips")}


def test_audit_of_a_run_and_of_a_split_with_a_planted_leak(run: Path, tmp_path: Path) -> None:
    assert RunFolder(run).read(Split, "splits")
    assert json.loads(done("audit-split", run, "--only", "song,post,media", "--local", "--json"))["leaks"] is False
    assert "nothing stands in two parts" in done("audit-split", run, "--only", "song", "--local")
    of = clips_of(run)
    planted = tmp_path / "theirs.csv"
    planted.write_text(f"clip_id,split\n{of['tune']},train\n{of['again']},test\n{of['other']},test\n")
    said = done("audit-split", run, "--split", planted, "--local", code=1)
    assert "song tiktok:hit: train tiktok-tune-0; test tiktok-again-0" in said
    assert "in several parts: 1 by song, 1 by author" in said
    kinds = json.loads(done("audit-split", run, "--split", planted, "--local", "--json", code=1))["kinds"]
    assert kinds["author"]["pairs"] == {"train/test": 1}
    assert kinds["near-duplicate"]["shared"] == 0
    assert "nothing stands in two parts" in done("audit-split", run, "--split", planted, "--only", "media", "--local")


def test_audit_of_files_alone(tmp_path: Path) -> None:
    folder = tmp_path / "theirs"
    folder.mkdir()
    (folder / "train.csv").write_text("video,tune\na,1\nb,2\n")
    (folder / "test.csv").write_text("video,tune\nc,2\n")
    assert "not checked: clip, song," in done("audit-split", folder, "--local"), "the column has another name"
    said = done("audit-split", folder, "--columns", "song=tune", "--only", "song", "--local", code=1)
    assert "song 2: train b; test c" in said


def test_audit_says_in_one_line_what_cannot_be(run: Path, tmp_path: Path) -> None:
    words = tmp_path / "words.csv"
    words.write_text("a,b\n1,2\n")
    assert "does not exist" in refused("audit-split", tmp_path / "nowhere.csv", "--local")
    assert "name a run folder, a file or a folder" in refused("audit-split", "nowhere", "--local")
    assert "no column that names the part" in refused("audit-split", words, "--local")
    assert "--only: tunes is not one of clip, song" in refused("audit-split", run, "--only", "tunes", "--local")
    assert "write KIND=COLUMN" in refused("audit-split", words, "--columns", "song", "--local")
    assert "is not a run folder" in refused("audit-split", words, "--split", words, "--local")
    assert "add --split FILE" in refused("audit-split", run, "--columns", "song=tune", "--local")


# -- doctor


def test_doctor_says_which_features_ask_for_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor.importlib.util, "find_spec", lambda _: None)
    found = {finding.what: finding for finding in doctor.examine()}
    for what, extra, feature in (("Essentia", "essentia", "beats_essentia"), ("torchvision", "raft", "optical_flow_raft")):
        assert found[what].state == "optional", "the main job does without"
        assert f"svmbench[{extra}]" in found[what].remedy
        assert feature in found[what].remedy
    assert (found["silero-vad"].state, "svmbench[curate]" in found["silero-vad"].remedy) == ("missing", True)


# -- runs of older versions


def test_each_command_on_a_run_of_before_the_sound_was_curated(older: Path, tmp_path: Path) -> None:
    """What cannot be done is said in one line; nothing ends in a traceback."""
    assert "not checked: fingerprint (the run has no fingerprints of sound)" in done(
        "audit-split", older, "--only", "song,fingerprint", "--local"
    )
    assert "report:" in done("curate", "report", older)
    assert "decisions: 0" in done("review", older, "--export", tmp_path / "out.jsonl")
    with page(older, "--reviewer", "ben", "--blind", "0.5") as url:
        state = json.loads(ask(f"{url}state?rest=1"))
    assert state["waiting"] == 0
    assert "before waveforms were stored" in state["item"]["no_waveform"]
    found = RunFolder(older)
    measured = found.settings()["curate"]["measured"]
    found.write_settings({"curate": {"measured": {key: value for key, value in measured.items() if key != "fingerprints"}}})
    assert "decoded without fingerprints" in refused("curate", older, "--rejudge", "--local")
    by_id = tmp_path / "by_id.yaml"
    by_id.write_text(yaml.safe_dump(found.settings()["recipe"] | {"songs": {"by": "platform"}}))
    assert "changes: nothing" in done("curate", older, "--rejudge", "--recipe", by_id, "--local")
    assert outcomes(older)["tune"] == "kept"
