"""`svmbench crop`: the box, the picture that shows it, and the copy without the border."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image
from skimage import data
from skimage.transform import resize

from curation import border, crop
from curation.cropped_copy import even
from svmbench import media
from svmbench.errors import BadInput, UnknownName
from svmbench.media import Needs
from svmbench.records import Box

WIDTH, HEIGHT, LEFT, TOP, RIGHT, BOTTOM = 320, 240, 0, 33, 320, 206  # a letterbox of 33 and 34 px
HZ = 16_000
SOUND = Needs(audio_hz=(HZ,))


def letterboxed(number: int = 20) -> list[np.ndarray]:
    """A photograph that drifts between black bars."""
    photo_HWC = (resize(data.astronaut(), (400, 400)) * 255).astype(np.uint8)
    frames = []
    for i in range(number):
        frame = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
        frame[TOP:BOTTOM, LEFT:RIGHT] = photo_HWC[2 * i : 2 * i + BOTTOM - TOP, 2 * i : 2 * i + RIGHT - LEFT]
        frames.append(frame)
    return frames


def tone(seconds: float) -> np.ndarray:
    return (0.3 * np.sin(2 * np.pi * 440 * np.arange(int(seconds * HZ)) / HZ)).astype(np.float32)


@pytest.fixture(scope="module")
def video(film: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return film(tmp_path_factory.mktemp("crop") / "letterboxed.mp4", letterboxed(), wave=tone(2.0), hz=HZ)


@pytest.fixture(scope="module")
def looked(video: Path) -> crop.Looked:
    return crop.look(video, "paper")


def luma(path: Path) -> media.ClipMedia:
    return media.decode(path, media.union([Needs(frames=(media.FrameNeed(fps=1000),)), SOUND]), 100.0)


def images(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Times in seconds and luma frames of a whole file."""
    frames = luma(path).frames(media.FrameNeed(fps=1000))
    return frames.times_s_T, frames.images


def audio_packets(path: Path) -> list[bytes]:
    with av.open(str(path)) as container:
        return [bytes(packet) for packet in container.demux(audio=0) if packet.size]


def test_the_box_is_told_in_ffmpegs_words_and_as_json(looked: crop.Looked) -> None:
    assert looked.border.kind == "letterbox"
    told = json.loads(json.dumps(crop.as_json(looked)))
    assert told["crop"] == f"crop={told['box']['width_px']}:{told['box']['height_px']}:0:{told['box']['top_px']}"
    assert abs(told["box"]["top_px"] - TOP) <= 1
    assert abs(told["box"]["height_px"] - (BOTTOM - TOP)) <= 1
    assert told["sides"]["top"]["kind"] == "black"
    assert told["sides"]["left"] == {**told["sides"]["right"], "depth_px": 0}
    assert told["sides"]["bottom"]["depth_px"] == HEIGHT - told["box"]["top_px"] - told["box"]["height_px"]


def test_the_cropped_copy_is_the_picture_and_the_sound_and_nothing_else(video: Path, looked: crop.Looked, tmp_path: Path) -> None:
    out, shares = tmp_path / "copy.mp4", []
    copied = crop.write(looked, out, shares.append)
    assert copied is not None
    assert (copied.num_frames, copied.num_bad, copied.audio) == (20, 0, "copied")
    before, after = luma(video).probe, luma(out).probe
    assert (after.width_px, after.height_px) == (WIDTH, copied.box.height_px)
    assert BOTTOM - TOP - 2 <= copied.box.height_px <= BOTTOM - TOP
    assert copied.box.height_px % 2 == 0
    assert after.duration_s == pytest.approx(before.duration_s, abs=0.002)
    assert after.fps == pytest.approx(before.fps)
    assert audio_packets(out) == audio_packets(video)
    assert shares == sorted(shares)
    assert shares[-1] > 0.9
    assert max(shares) <= 1
    assert 0.3 < shares[len(shares) // 2] < 0.7
    again = border.method("paper").find(media.decode(out, border.method("paper").NEEDS, 100.0))
    assert again.kind == "none"
    assert list(tmp_path.iterdir()) == [out]


def test_the_copy_shows_the_same_pixels(video: Path, looked: crop.Looked, tmp_path: Path) -> None:
    copied = crop.write_cropped(video, tmp_path / "copy.mp4", looked.border.box)
    (_, before_THW), (_, after_THW) = images(video), images(tmp_path / "copy.mp4")
    box = copied.box
    inside_THW = before_THW[:, box.top_px : box.top_px + box.height_px, box.left_px : box.left_px + box.width_px]
    difference = np.abs(inside_THW.astype(int) - after_THW).mean(axis=(1, 2))
    assert difference.max() < 3
    shifted = np.abs(np.roll(inside_THW, 1, axis=1).astype(int) - after_THW).mean()
    assert shifted > 2 * difference.mean()


@pytest.mark.parametrize(
    ("box", "kept"),
    [((0, 31, 320, 174), (0, 32, 320, 172)), ((3, 0, 7, 9), (4, 0, 6, 8)), ((2, 4, 10, 12), (2, 4, 10, 12))],
)
def test_sizes_are_made_even_inwards(box: tuple[int, ...], kept: tuple[int, ...]) -> None:
    names = ("left_px", "top_px", "width_px", "height_px")
    assert even(Box(**dict(zip(names, box, strict=True)))) == Box(**dict(zip(names, kept, strict=True)))


def uneven(path: Path, times_ms: list[int], codec: str, rotation_deg: int = 0, mirrored: bool = False) -> Path:
    """A film whose frames come at these times, with a mark that tells them apart, and a sound in this codec."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"crf": "18", "preset": "ultrafast"})
        stream.width, stream.height, stream.pix_fmt = 128, 96, "yuv420p"
        stream.codec_context.time_base = Fraction(1, 1000)
        if rotation_deg or mirrored:
            stream.set_display_rotation(rotation_deg, hflip=mirrored)
        sound = container.add_stream(codec, rate=HZ, layout="mono")
        for i, at_ms in enumerate(times_ms):
            image = np.full((96, 128, 3), 200, np.uint8)
            image[:, :20], image[20:40, 20 + 5 * i : 40 + 5 * i] = 0, 30
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            frame.pts, frame.time_base = at_ms, Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
        samples = (tone(times_ms[-1] / 1000) * 32767).astype(np.int16)
        piece = av.AudioFrame.from_ndarray(samples[None], "s16", "mono")
        piece.rate, piece.pts, piece.time_base = HZ, 0, Fraction(1, HZ)
        container.mux(sound.encode(piece))
        container.mux(sound.encode())
    return path


TIMES_MS = [0, 40, 80, 200, 210, 500, 540, 580, 1000, 1040]


def test_every_frame_keeps_its_own_time(tmp_path: Path) -> None:
    video = uneven(tmp_path / "uneven.mkv", TIMES_MS, "pcm_s16le")
    for name in ("copy.mp4", "copy.mkv"):
        copied = crop.write_cropped(video, tmp_path / name, Box(left_px=20, top_px=0, width_px=108, height_px=96))
        times_s, frames_THW = images(tmp_path / name)
        assert copied.num_frames == len(TIMES_MS)
        assert times_s == pytest.approx(np.array(TIMES_MS) / 1000, abs=0.0011)
        assert frames_THW.shape[1:] == (96, 108)
        assert frames_THW[:, 60:, :].min() > 150


def test_packets_of_sound_that_share_a_time_are_copied(clips: Path, tmp_path: Path) -> None:
    video = clips / "mozilla+popcorn-js/test/trailer.webm"  # 164 of its packets have the time of the one before
    copied = crop.write_cropped(video, tmp_path / "copy.mp4", Box(left_px=1, top_px=0, width_px=8, height_px=6))
    assert copied.audio == "copied"
    assert audio_packets(tmp_path / "copy.mp4") == audio_packets(video)
    before, after = (media.decode(path, SOUND, 100.0).probe for path in (video, tmp_path / "copy.mp4"))
    assert after.audio_s == pytest.approx(before.audio_s, abs=0.01)
    assert after.duration_s == pytest.approx(before.duration_s, abs=0.002)


def test_sound_that_the_container_cannot_hold_is_encoded(tmp_path: Path) -> None:
    video = uneven(tmp_path / "mulaw.mov", TIMES_MS, "pcm_mulaw")
    box = Box(left_px=20, top_px=0, width_px=108, height_px=96)
    assert crop.write_cropped(video, tmp_path / "copy.mp4", box).audio == "encoded"
    before, after = luma(video), luma(tmp_path / "copy.mp4")
    assert after.probe.audio_codec == "aac"
    assert after.probe.audio_s == pytest.approx(before.probe.audio_s, abs=0.1)
    middle = slice(HZ // 4, HZ // 2)
    spectrum = np.abs(np.fft.rfft(after.wave(HZ)[middle]))
    assert np.argmax(spectrum) * HZ / (HZ // 4) == pytest.approx(440, abs=5)


@pytest.mark.parametrize(("rotation_deg", "mirrored"), [(90, False), (180, False), (-90, False), (0, True), (90, True)])
def test_a_turned_or_mirrored_video_is_cut_as_it_is_shown(rotation_deg: int, mirrored: bool, tmp_path: Path) -> None:
    video = uneven(tmp_path / "turned.mp4", TIMES_MS, "aac", rotation_deg, mirrored)
    _, before_THW = images(video)
    height, width = before_THW.shape[1:]
    box = Box(left_px=10, top_px=6, width_px=width - 30, height_px=height - 20)
    crop.write_cropped(video, tmp_path / "copy.mp4", box)
    probe, (_, after_THW) = media.probe(tmp_path / "copy.mp4"), images(tmp_path / "copy.mp4")
    assert probe.rotation_deg == 0
    assert (probe.width_px, probe.height_px) == (box.width_px, box.height_px)
    assert np.abs(before_THW[:, 6 : height - 14, 10 : width - 20].astype(int) - after_THW).mean() < 3


def test_the_copy_is_of_the_streams_that_were_looked_at(tmp_path: Path) -> None:
    """Of two pictures and two sounds the default ones, which stand second."""
    default, other = av.stream.Disposition.default, av.stream.Disposition.dub
    with av.open(str(tmp_path / "two.mkv"), "w") as container:
        films, sounds = [], []
        for size, disposition in ((64, other), (96, default)):
            stream = container.add_stream("libx264", rate=10, options={"preset": "ultrafast"})
            stream.width, stream.height, stream.pix_fmt, stream.disposition = size, size, "yuv420p", disposition
            films.append(stream)
        for disposition in (other, default):
            sounds.append(container.add_stream("pcm_s16le", rate=HZ, layout="mono"))
            sounds[-1].disposition = disposition
        for level, stream in ((40, films[0]), (200, films[1])):
            image = np.full((stream.height, stream.width, 3), level, np.uint8)
            container.mux([p for _ in range(10) for p in stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24"))])
            container.mux(stream.encode())
        for level, stream in ((100, sounds[0]), (20_000, sounds[1])):
            piece = av.AudioFrame.from_ndarray(np.full((1, HZ), level, np.int16), "s16", "mono")
            piece.rate, piece.pts, piece.time_base = HZ, 0, Fraction(1, HZ)
            container.mux(stream.encode(piece))
            container.mux(stream.encode())
    crop.write_cropped(tmp_path / "two.mkv", tmp_path / "copy.mkv", Box(left_px=0, top_px=0, width_px=90, height_px=80))
    _, copied_THW = images(tmp_path / "copy.mkv")
    assert copied_THW.shape == (10, 80, 90)
    assert copied_THW.mean() > 150
    assert luma(tmp_path / "copy.mkv").wave(HZ).max() > 0.5


@pytest.mark.parametrize(("rotation_deg", "shape"), [(0, Fraction(4, 3)), (90, Fraction(3, 4))])
def test_the_shape_of_the_pixels_and_the_colours_are_told_on(rotation_deg: int, shape: Fraction, tmp_path: Path) -> None:
    with av.open(str(tmp_path / "wide.mp4"), "w") as container:
        stream = container.add_stream("libx264", rate=10, options={"preset": "ultrafast"})
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        made = stream.codec_context
        made.sample_aspect_ratio, made.color_range, made.colorspace, made.color_trc, made.color_primaries = (
            Fraction(4, 3),
            1,
            1,
            1,
            1,
        )
        if rotation_deg:
            stream.set_display_rotation(rotation_deg)
        for _ in range(5):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.full((48, 64, 3), 90, np.uint8), format="rgb24")))
        container.mux(stream.encode())
    crop.write_cropped(tmp_path / "wide.mp4", tmp_path / "copy.mp4", Box(left_px=0, top_px=0, width_px=40, height_px=40))
    with av.open(str(tmp_path / "copy.mp4")) as container:
        film = container.streams.video[0]
        assert film.sample_aspect_ratio == shape
        given = film.codec_context
        assert (given.color_range, given.colorspace, given.color_trc, given.color_primaries) == (1, 1, 1, 1)


def test_a_size_that_changes_and_frames_without_a_time(film: Callable[..., Path], tmp_path: Path) -> None:
    """All are brought to the size of the first, and follow each other at the usual rate."""
    wide = film(tmp_path / "a.h264", [np.full((96, 160, 3), 60, np.uint8)] * 10).read_bytes()
    half = np.full((160, 96, 3), 200, np.uint8)
    half[:, 48:] = 0  # at the size of the first, all of the box lies left of this
    tall = film(tmp_path / "b.h264", [half] * 10).read_bytes()
    (tmp_path / "both.h264").write_bytes(wide + tall)
    copied = crop.write_cropped(
        tmp_path / "both.h264", tmp_path / "copy.mp4", Box(left_px=0, top_px=0, width_px=80, height_px=60)
    )
    times_s, copied_THW = images(tmp_path / "copy.mp4")
    assert copied.num_frames == len(copied_THW) == 20
    assert copied_THW.shape[1:] == (60, 80)
    assert copied_THW[5].mean() < 80 < 170 < copied_THW[15].mean()
    assert np.diff(times_s) == pytest.approx(np.full(19, times_s[1]), abs=0.002)


def test_what_cannot_be_decoded_is_counted(video: Path, looked: crop.Looked, tmp_path: Path) -> None:
    damaged = bytearray(video.read_bytes())
    with av.open(str(video)) as container:
        packets = [packet for packet in container.demux(video=0) if packet.size]
    for packet in packets[8:12]:
        damaged[packet.pos + 4 : packet.pos + packet.size] = b"\xff" * (packet.size - 4)
    (tmp_path / "damaged.mp4").write_bytes(damaged)
    copied = crop.write_cropped(tmp_path / "damaged.mp4", tmp_path / "copy.mp4", looked.border.box)
    assert copied.num_bad >= 4
    assert 8 <= copied.num_frames < 20
    assert "damaged or breaks off" in crop.lines_of(crop.look(tmp_path / "damaged.mp4", "paper"))[0]
    assert "damaged" not in crop.lines_of(looked)[0]


def test_the_picture_shows_the_box_at_the_right_pixels(looked: crop.Looked, tmp_path: Path) -> None:
    crop.write(looked, tmp_path / "look.png")
    with Image.open(tmp_path / "look.png") as picture:
        sheet_HWC = np.asarray(picture)
    box, pad, frames = looked.border.box, crop.PAD_PX, looked.frames_THWC
    assert len(frames) == 3
    assert frames.shape[1:] == (HEIGHT, WIDTH, 3)
    for i, frame_HWC in enumerate(frames):
        left = pad + i * (WIDTH + pad)
        panel_HWC = sheet_HWC[pad : pad + HEIGHT, left : left + WIDTH]
        top, bottom = box.top_px, box.top_px + box.height_px
        assert (panel_HWC[top:bottom] == frame_HWC[top:bottom]).all()
        assert (panel_HWC[top - crop.LINE_PX : top] == crop.LINE).all()
        assert (panel_HWC[bottom : bottom + crop.LINE_PX] == crop.LINE).all()
        cut_HWC = panel_HWC[: top - crop.LINE_PX].astype(int)
        assert (cut_HWC[..., 0] > cut_HWC[..., 1] + 30).all()
    words_HWC = sheet_HWC[pad + HEIGHT + 4 :]
    assert (words_HWC > 200).all(axis=2).sum() > 500


def test_small_videos_are_drawn_large_enough_to_see(film: Callable[..., Path], tmp_path: Path) -> None:
    small = film(tmp_path / "small.mp4", [f[::4, ::4] for f in letterboxed(4)])
    crop.write(crop.look(small, "none"), tmp_path / "small.jpg")
    with Image.open(tmp_path / "small.jpg") as picture:
        width, height = picture.size
    assert width >= 3 * WIDTH
    assert height >= HEIGHT


def test_nothing_is_written_over(video: Path, looked: crop.Looked, tmp_path: Path) -> None:
    mine = tmp_path / "mine.mp4"
    shutil.copy(video, mine)
    link = tmp_path / "link.mp4"
    link.symlink_to(mine)
    there = tmp_path / "there.mp4"
    there.write_bytes(b"something else")
    for out, words in ((mine, "is the video itself"), (link, "is the video itself"), (there, "is there already")):
        with pytest.raises(BadInput, match=words):
            crop.write_cropped(mine, out, looked.border.box)
    assert mine.read_bytes() == video.read_bytes()
    assert there.read_bytes() == b"something else"
    with pytest.raises(BadInput, match="is there already"):
        crop.draw(looked, there)


@pytest.mark.parametrize(
    ("out", "words"),
    [("copy.webm", "no ending that can be written"), ("copy", "no ending"), ("absent/copy.mp4", "there is no folder")],
)
def test_a_name_that_cannot_be_written_is_one_clear_line(out: str, words: str, looked: crop.Looked, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=words) as caught:
        crop.write(looked, tmp_path / out)
    assert "\n" not in str(caught.value)
    assert out.split("/")[0] in str(caught.value)


def test_a_folder_that_takes_no_file_is_one_clear_line(video: Path, looked: crop.Looked) -> None:
    for name in ("copy.mp4", "look.png"):
        with pytest.raises(BadInput, match="cannot be written") as caught:
            crop.write(looked, Path("/proc") / name)
        assert "\n" not in str(caught.value)


def test_a_file_that_breaks_off_is_copied_as_far_as_it_goes(tmp_path: Path) -> None:
    video = uneven(tmp_path / "whole.mkv", TIMES_MS, "pcm_s16le")
    broken = tmp_path / "broken.mkv"
    broken.write_bytes(video.read_bytes()[: video.stat().st_size * 2 // 3])
    copied = crop.write_cropped(broken, tmp_path / "copy.mkv", Box(left_px=20, top_px=0, width_px=108, height_px=96))
    assert 0 < copied.num_frames < len(TIMES_MS)
    assert len(images(tmp_path / "copy.mkv")[1]) == copied.num_frames


def test_a_copy_that_fails_leaves_nothing(video: Path, tmp_path: Path) -> None:
    for box in (Box(left_px=0, top_px=0, width_px=1, height_px=240), Box(left_px=200, top_px=0, width_px=200, height_px=240)):
        with pytest.raises(BadInput, match="leaves no picture"):
            crop.write_cropped(video, tmp_path / "copy.mp4", box)

    def stop(share: float) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        crop.write_cropped(video, tmp_path / "copy.mp4", Box(left_px=0, top_px=0, width_px=320, height_px=240), stop)
    assert not list(tmp_path.iterdir())


def test_what_is_no_video_is_one_clear_line(tmp_path: Path) -> None:
    text = tmp_path / "notes.txt"
    text.write_text("no video")
    with av.open(str(tmp_path / "tone.wav"), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=HZ, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), "s16", "mono")
        frame.rate = HZ
        container.mux(stream.encode(frame))
    for path, words in (
        (tmp_path / "absent.mp4", "is not a file"),
        (text, "cannot be read"),
        (tmp_path / "tone.wav", "no_video"),
    ):
        with pytest.raises(BadInput, match=words) as caught:
            crop.look(path, "paper")
        assert str(path) in str(caught.value)
        assert "\n" not in str(caught.value)
        if path.exists():
            with pytest.raises(BadInput, match="cannot be read"):
                crop.write_cropped(path, tmp_path / "copy.mp4", Box(left_px=0, top_px=0, width_px=4, height_px=4))


def test_an_unknown_method_names_the_known_ones(video: Path) -> None:
    with pytest.raises(UnknownName, match="paper"):
        crop.look(video, "papr")
