"""One pass over a file: frames at a rate or a number, sound laid against the picture, and every odd file with its own result."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from svmbench import media
from svmbench.errors import BadMedia
from svmbench.media import FrameNeed, Needs
from svmbench.records import Box

LUMA = FrameNeed(count=16)
PAIRS = FrameNeed(fps=4, short_side_px=48, pairs=True)
COLOUR = FrameNeed(fps=2, short_side_px=32, plane="rgb")
ALL = Needs(frames=(LUMA, PAIRS, COLOUR), audio_hz=(16_000, 22_050))
ANDROID = "androidx+media/libraries/test_data/src/test/assets/media/"
Film = Callable[..., Path]


def grey(level: int, height: int = 64, width: int = 96) -> np.ndarray:
    return np.full((height, width, 3), level, np.uint8)


def test_frames_come_at_the_asked_rate_and_number(film: Film, tmp_path: Path) -> None:
    path = film(tmp_path / "ramp.mp4", [grey(40 + 2 * i) for i in range(60)], fps=20)
    clip = media.decode(path, ALL, 60)
    assert clip.duration_s == pytest.approx(3.0)
    pairs = clip.frames(PAIRS)
    assert pairs.times_s_T == pytest.approx(np.arange(12) / 4)
    assert pairs.next_times_s_T == pytest.approx(np.arange(12) / 4 + 0.05)
    assert pairs.images.shape == (12, 48, 72)
    assert pairs.next_images is not None
    assert (pairs.next_images.astype(int).mean(axis=(1, 2)) > pairs.images.mean(axis=(1, 2))).all()
    many = clip.frames(LUMA)
    assert many.images.shape == (16, 64, 96)
    assert np.diff(many.times_s_T).min() > 0
    assert many.times_s_T[0] < 0.3
    assert many.times_s_T[-1] > 2.5
    assert clip.frames(COLOUR).images.shape == (6, 32, 48, 3)


def test_only_the_asked_beginning_is_decoded(film: Film, tmp_path: Path) -> None:
    path = film(tmp_path / "long.mp4", [grey(90)] * 60, wave=np.zeros(96_000))
    clip = media.decode(path, ALL, 2.0)
    assert clip.duration_s == pytest.approx(2.0)
    assert clip.frames(PAIRS).times_s_T.max() < 2.0
    assert len(clip.wave(16_000)) == 32_000
    assert not clip.probe.truncated


@pytest.mark.parametrize("late_s", [0.0, 0.5])
def test_a_click_stays_with_its_flash(film: Film, tmp_path: Path, late_s: float) -> None:
    """A white frame at 1.0 s and a click at the same moment, also where the sound begins later than the picture."""
    wave = np.zeros(48_000, np.float32)
    at = round((1.0 - late_s) * 16_000)
    wave[at : at + 160] = 0.9
    frames = [grey(235 if i == 20 else 30) for i in range(60)]
    clip = media.decode(film(tmp_path / "clap.mp4", frames, fps=20, wave=wave, sound_at_s=late_s), ALL, 60)
    flash_s = clip.frames(FrameNeed(fps=4, short_side_px=48, pairs=True))
    assert flash_s.times_s_T[flash_s.images.mean(axis=(1, 2)).argmax()] == pytest.approx(1.0)
    for hz in (16_000, 22_050):
        click_s = np.flatnonzero(np.abs(clip.wave(hz)) > 0.4)[0] / hz
        assert click_s == pytest.approx(1.0, abs=0.003)


def test_the_box_cuts_every_size_and_lets_go_of_what_is_not_needed(film: Film, tmp_path: Path) -> None:
    image = grey(20)
    image[16:48] = 200
    clip = media.decode(film(tmp_path / "bars.mp4", [image] * 20), ALL, 60)
    inside = clip.with_box(Box(left_px=0, top_px=16, width_px=96, height_px=32), without=[LUMA])
    assert inside.frames(PAIRS).images.shape == (8, 24, 72)
    assert inside.frames(PAIRS).images.min() > 150
    assert inside.frames(COLOUR).images.shape[1:] == (16, 48, 3)
    with pytest.raises(KeyError):
        inside.frames(LUMA)
    with pytest.raises(KeyError):
        clip.wave(8_000)
    assert clip.frames(PAIRS).images.min() < 60  # the first view is as it was


def test_needs_of_several_consumers_are_served_once() -> None:
    both = media.union([Needs(frames=(PAIRS,), audio_hz=(16_000,)), Needs(frames=(COLOUR, PAIRS), audio_hz=(16_000, 8_000))])
    assert both == Needs(frames=(PAIRS, COLOUR), audio_hz=(16_000, 8_000))


def test_damage_in_the_middle_keeps_the_rest_and_is_marked(film: Film, tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (40, 64, 96, 3), np.uint8)
    whole = film(tmp_path / "whole.mp4", noise).read_bytes()
    begin = whole.index(b"mdat") + len(whole) // 2
    (tmp_path / "hurt.mp4").write_bytes(whole[:begin] + bytes(9_000) + whole[begin + 9_000 :])
    clip = media.decode(tmp_path / "hurt.mp4", ALL, 60)
    assert clip.probe.truncated
    assert clip.frames(PAIRS).images.shape[0] >= 5


@pytest.mark.parametrize(
    ("content", "reason"), [(b"", "unreadable"), (b"<html>429</html>" * 100, "unreadable"), (None, "unreadable")]
)
def test_what_is_no_container_is_unreadable(tmp_path: Path, content: bytes | None, reason: str) -> None:
    path = tmp_path / "x.mp4"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(BadMedia) as caught:
        media.decode(path, ALL, 60)
    assert caught.value.reason == reason


def test_a_file_cut_short_is_unreadable_or_truncated(film: Film, tmp_path: Path, clips: Path) -> None:
    webm = (clips / "mdn+learning-area/accessibility/multimedia/rabbit320.webm").read_bytes()
    (tmp_path / "half.webm").write_bytes(webm[: len(webm) // 2])
    clip = media.decode(tmp_path / "half.webm", ALL, 60)
    assert clip.probe.truncated
    assert 2 < clip.duration_s < 6
    mp4 = film(tmp_path / "a.mp4", [grey(50)] * 20).read_bytes()
    (tmp_path / "half.mp4").write_bytes(mp4[: len(mp4) // 2])  # its index stands at the end
    with pytest.raises(BadMedia, match="unreadable"):
        media.decode(tmp_path / "half.mp4", ALL, 60)


ODD = [  # file, size as shown, seconds of picture, seconds of sound, rotation
    ("Zulko+moviepy/media/fire2.mp4", (1280, 720), 2.38, 2.38, -180),
    (ANDROID + "mp4/sample_rotate_and_reflect.mp4", (720, 1080), 1.0, 1.0, -90),
    (ANDROID + "mp4/sample_fragmented.mp4", (1080, 720), 1.0, 1.0, 0),
    (ANDROID + "mp4/sample_with_increasing_timestamps_320w_240h_5s.mp4", (320, 240), 5.0, 5.0, 0),
    (ANDROID + "mp4/sample_shorter_audio.mp4", (320, 240), 1.2, 0.77, 0),
    (ANDROID + "flv/sample.flv", (1080, 720), 1.0, 1.0, 0),  # claims 1000 fps
    (ANDROID + "avi/sample.avi", (960, 400), 4.09, 4.08, 0),  # variable rate
    (ANDROID + "vp9/bear-vp9-odd-dimensions.webm", (161, 121), 1.0, 0.0, 0),
    (ANDROID + "mp4/hdr10-av1.mp4", (720, 1280), 4.24, 4.2, 0),  # ten bits
    ("pytorch+torchcodec/test/resources/h264_10bits.mp4", (200, 200), 1.0, 0.0, 0),
    ("mozilla+popcorn-js/test/trailer.webm", (10, 6), 4.0, 4.0, 0),
    ("Zulko+moviepy/media/no_duration.webm", (1280, 720), 4.0, 4.0, 0),
    ("Zulko+moviepy/media/transparent.webm", (200, 200), 4.0, 4.0, 0),
    ("Zulko+moviepy/media/video_with_failing_audio.mp4", (640, 360), 4.0, 4.0, 0),
]


@pytest.mark.parametrize(("name", "size", "picture_s", "sound_s", "rotation"), ODD, ids=[Path(row[0]).name for row in ODD])
def test_odd_files(clips: Path, name: str, size: tuple[int, int], picture_s: float, sound_s: float, rotation: int) -> None:
    clip = media.decode(clips / name, ALL, 4.0 if picture_s == 4.0 else 60)
    probe = clip.probe
    assert (probe.width_px, probe.height_px) == size
    assert clip.duration_s == pytest.approx(picture_s, abs=0.06)
    assert probe.audio_s == pytest.approx(sound_s, abs=0.06)
    assert probe.rotation_deg == rotation
    assert not probe.truncated
    assert clip.frames(LUMA).images.shape[1:] == (size[1], size[0])
    assert clip.frames(LUMA).images.std() > 1  # a picture, not a blank
    assert len(clip.frames(PAIRS).times_s_T) >= int(4 * clip.duration_s) - 1
    assert len(clip.wave(16_000)) == pytest.approx(sound_s * 16_000, abs=1_000)


def test_a_turned_picture_is_shown_upright(clips: Path) -> None:
    """fire2.mp4 carries a tag of 180 degrees: its frames are the coded ones upside down."""
    import av

    path = clips / "Zulko+moviepy/media/fire2.mp4"
    with av.open(str(path)) as container:
        coded = next(container.decode(video=0)).to_ndarray(format="rgb24")
    shown = media.decode(path, Needs(frames=(FrameNeed(fps=1, plane="rgb"),)), 1).frames(FrameNeed(fps=1, plane="rgb")).images[0]
    difference = np.abs(shown.astype(int) - coded[::-1, ::-1]).mean()
    assert difference < 2 < np.abs(shown.astype(int) - coded).mean()


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        (ANDROID + "vp9/invalid-bitstream.webm", "no_frames"),
        ("librosa+data/audio/198-209-0000.ogg", "no_video"),
        ("facebookresearch+audiocraft/assets/bach.mp3", "no_video"),
    ],
)
def test_files_without_a_picture(clips: Path, name: str, reason: str) -> None:
    for ask in (lambda p: media.decode(p, ALL, 60), media.probe):
        with pytest.raises(BadMedia) as caught:
            ask(clips / name)
        assert caught.value.reason == reason


def test_damaged_packets_mark_a_real_file(clips: Path) -> None:
    clip = media.decode(clips / "mozilla+popcorn-js/test/trailer.ogv", Needs(frames=(PAIRS,)), 20)
    assert clip.probe.truncated
    assert clip.duration_s == pytest.approx(20, abs=0.2)


def test_probe_reads_the_container_only(clips: Path) -> None:
    found = media.probe(clips / "chouliuzuo+GVMGen/examples_of_results/27.mp4")
    assert (found.width_px, found.height_px, found.video_codec, found.audio_codec) == (852, 480, "h264", "aac")
    assert found.duration_s == pytest.approx(15.07, abs=0.02)
    assert found.audio_s == pytest.approx(15.07, abs=0.05)
    assert found.fps == pytest.approx(30, abs=0.01)


def test_damaged_bytes_give_a_clip_or_a_reason_and_nothing_else(clips: Path, tmp_path: Path) -> None:
    """Seeded mutations of real files: cut off, bytes overwritten anywhere, and in the header."""
    rng = np.random.default_rng(7)
    results: Counter[str] = Counter()
    for name in ("rabbit320.mp4", "rabbit320.webm"):
        whole = (clips / "mdn+learning-area/accessibility/multimedia" / name).read_bytes()
        for number in range(15):
            hurt = bytearray(whole[: rng.integers(100, len(whole))] if number % 3 == 0 else whole)
            for at in rng.integers(0, len(hurt) if number % 3 == 1 else min(4_000, len(hurt)), 60 * (number % 3 > 0)):
                hurt[at] = rng.integers(256)
            (tmp_path / "hurt").write_bytes(hurt)
            try:
                clip = media.decode(tmp_path / "hurt", ALL, 10)
                results["truncated" if clip.probe.truncated else "decoded"] += 1
            except BadMedia as error:
                results[error.reason] += 1
    assert results.total() == 30
    assert results["truncated"] >= 8
    assert set(results) <= {"decoded", "truncated", "unreadable", "no_video", "no_frames", "no_decoder"}


@pytest.mark.slow
def test_every_real_file_is_decoded_or_refused_with_a_reason(clips: Path) -> None:
    results: Counter[str] = Counter()
    rows = list(csv.DictReader((clips / "manifest.csv").read_text().splitlines()))
    for row in rows:
        try:
            clip = media.decode(clips / row["file"], Needs(frames=(PAIRS,), audio_hz=(16_000,)), 10)
        except BadMedia as error:
            results[error.reason] += 1
            continue
        results["truncated" if clip.probe.truncated else "decoded"] += 1
        assert (clip.probe.width_px, clip.probe.height_px) != (0, 0)
        claimed = float(row["duration_s"] or 0)
        if 0 < claimed < 1_000 and not clip.probe.truncated and "nasa" not in row["file"]:
            assert clip.duration_s == pytest.approx(min(claimed, 10), abs=0.3), row["file"]
    assert results == {"no_video": 173, "no_frames": 1, "decoded": 57, "truncated": 1}
    assert results.total() == len(rows) == 232
