"""A user's own files go the same way as composed posts, and each is accounted for."""

from __future__ import annotations

import csv
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.browser]

# file of the shared media -> outcome and reason, as its manifest and a look at it say
EXPECTED = {
    "chouliuzuo+GVMGen/examples_of_results/21.mp4": ("kept", ""),
    "Zulko+moviepy/media/chaplin.mp4": ("kept", ""),
    "mozilla+popcorn-js/test/trailer.ogv": ("kept", ""),
    "mozilla+popcorn-js/test/italia.mp4": ("failed", "no_video"),
    "librosa+data/audio/198-209-0000.ogg": ("failed", "no_video"),
    "androidx+media/libraries/test_data/src/test/assets/media/vp9/invalid-bitstream.webm": ("failed", "no_frames"),
    "androidx+media/libraries/test_data/src/test/assets/media/mp4/silent-black-10s.mp4": ("dropped", "silent"),
    "androidx+media/libraries/test_data/src/test/assets/media/3gp/bbb_176x144_128kbps_15fps_h263.3gp": ("dropped", "too_short"),
    "pytorch+torchcodec/test/resources/av1_video.mkv": ("dropped", "no_audio"),
    "pytorch+torchcodec/test/resources/nasa_13013.mp4": ("dropped", "speech"),
    "mdn+learning-area/accessibility/multimedia/rabbit320.webm": ("dropped", "ambience"),
}


def test_each_of_the_users_files_has_an_outcome_and_the_right_reason(clips: Path, tmp_path: Path) -> None:
    media = tmp_path / "my videos"
    media.mkdir()
    for name in EXPECTED:
        shutil.copyfile(clips / name, media / name.replace("/", " & "))
    (media / "not really a video.mp4").write_bytes(b"hello" * 100)
    (media / "notes.txt").write_text("not media: not listed")
    command = [
        sys.executable,
        "-P",
        "-m",
        "svmbench",
        "demo",
        "--media",
        str(media),
        "--out",
        str(tmp_path / "run"),
        "--local",
        "--json",
    ]
    run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert run.returncode == 0, run.stdout[-2000:] + run.stderr[-4000:]
    answer = json.loads(run.stdout)
    assert all(stage["balanced"] and stage["left"] == 0 for stage in answer["stages"])
    assert answer["leaderboard"].startswith("none: "), "three clips cannot train anything, and the answer says so"
    with open(answer["what became of each file"], newline="") as handle:
        rows = {row["file"]: (row["outcome"], row["reason"]) for row in csv.DictReader(handle)}
    wanted = {name.replace("/", " & "): outcome for name, outcome in EXPECTED.items()}
    assert rows == wanted | {"not really a video.mp4": ("failed", "not_media")}
