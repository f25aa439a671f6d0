"""The picture: turned and mirrored as a player shows it, every plane and depth, which stream, and the codec's motion vectors."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest
from skimage import data

from svmbench import media
from svmbench.errors import BadMedia
from svmbench.media import FrameNeed, Needs, Vectors
from svmbench.reader import MOST_PIXELS

Film = Callable[..., Path]
ANDROID = "androidx+media/libraries/test_data/src/test/assets/media/"
WHOLE, SMALL = FrameNeed(fps=10), FrameNeed(fps=10, short_side_px=32)
CORNERS = np.array([[40, 90], [150, 220]], np.uint8).repeat(48, 0).repeat(80, 1)  # 96 x 160: each quarter has its grey


def grey(level: int) -> np.ndarray:
    return np.full((96, 160, 3), level, np.uint8)


def encode(
    path: Path,
    codec: str,
    frames: list[np.ndarray],
    form: str,
    *,
    options: dict[str, str] | None = None,
    tag: dict[str, Any] | None = None,
) -> Path:
    """A file of RGB pictures, ten a second. tag: what set_display_rotation takes."""
    with av.open(str(path), "w") as container:
        film: Any = container.add_stream(codec, rate=10, options=options or {})
        film.pix_fmt = form
        film.height, film.width = frames[0].shape[:2]
        if tag:
            film.set_display_rotation(**tag)
        for image in frames:
            container.mux(film.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(film.encode())
    return path


@pytest.mark.parametrize("degrees", [0, 90, 180, 270])
@pytest.mark.parametrize("mirror", ["", "hflip", "vflip"])
def test_turned_and_mirrored_as_the_tag_says(tmp_path: Path, degrees: int, mirror: str) -> None:
    """The tag turns counter-clockwise and then mirrors. So ffmpeg shows it too, which turns by itself."""
    image = np.stack([CORNERS] * 3, axis=2)
    path = encode(
        tmp_path / "tag.mp4", "libx264", [image] * 3, "yuv420p", tag={"degrees": degrees} | ({mirror: True} if mirror else {})
    )
    clip = media.decode(path, Needs(frames=(WHOLE, SMALL, FrameNeed(fps=10, plane="rgb"), FrameNeed(fps=10, plane="uv"))), 60)
    want = np.rot90(image, degrees // 90)
    want = {"": want, "hflip": want[:, ::-1], "vflip": want[::-1]}[mirror]
    assert np.abs(clip.frames(FrameNeed(fps=10, plane="rgb")).images[0].astype(int) - want).mean() < 2
    luma = 16 + want[..., 0] * (219 / 255)
    assert np.abs(clip.frames(WHOLE).images[0] - luma).mean() < 2
    assert clip.frames(SMALL).images.shape[1:] == ((32, 53) if degrees % 180 == 0 else (53, 32))
    assert (clip.probe.height_px, clip.probe.width_px) == want.shape[:2]
    assert clip.frames(FrameNeed(fps=10, plane="uv")).images.shape[1:3] == (want.shape[0] // 2, want.shape[1] // 2)
    assert clip.probe.mirrored == bool(mirror)


def test_a_real_tag_that_mirrors(clips: Path) -> None:
    """It swaps rows and columns and nothing else, which no turn does."""
    path = clips / (ANDROID + "mp4/sample_rotate_and_reflect.mp4")
    with av.open(str(path)) as container:
        coded = next(container.decode(video=0)).to_ndarray(format="rgb24")
    clip = media.decode(path, Needs(frames=(FrameNeed(fps=1, plane="rgb"),)), 1)
    shown = clip.frames(FrameNeed(fps=1, plane="rgb")).images[0].astype(int)
    assert clip.probe.mirrored
    assert np.abs(shown - coded.swapaxes(0, 1)).mean() < 2


@pytest.mark.parametrize("form", ["yuv420p", "yuv420p10le", "yuv422p10le", "yuv444p", "yuva420p", "gray", "gray10le", "gbrp10le"])
def test_every_depth_gives_the_same_luma(tmp_path: Path, form: str) -> None:
    """Lossless, so the luma is known to a level: as coded, at full size and scaled."""
    photo = np.ascontiguousarray(data.astronaut()[:201, :301])  # odd sizes
    path = encode(tmp_path / "deep.mkv", "ffv1", [photo] * 2, form)
    clip = media.decode(path, Needs(frames=(WHOLE, SMALL, FrameNeed(fps=10, plane="uv"))), 60)
    coded = av.VideoFrame.from_ndarray(photo, format="rgb24").reformat(format=form)
    if form != "gbrp10le":
        plane: Any = np.frombuffer(bytes(coded.planes[0]), np.uint16 if "10" in form else np.uint8)
        plane = plane.reshape(201, -1)[:, :301] / (4 if "10" in form else 1)
        assert np.abs(clip.frames(WHOLE).images[0] - plane).max() <= 1
    luma = clip.frames(WHOLE).images[0].astype(float)
    small = clip.frames(SMALL).images[0].astype(float)
    assert small.shape == (32, 48)
    assert small.mean() == pytest.approx(luma.mean(), abs=1)
    assert np.abs(small - cv2.resize(luma, (48, 32), interpolation=cv2.INTER_AREA)).max() <= 1.5
    assert clip.frames(FrameNeed(fps=10, plane="uv")).images.shape == (2, 100, 150, 2)
    if form.startswith("gray"):
        assert (clip.frames(FrameNeed(fps=10, plane="uv")).images == 128).all()


def test_ten_bits_of_a_real_file(clips: Path) -> None:
    path = clips / "pytorch+torchcodec/test/resources/h264_10bits.mp4"
    with av.open(str(path)) as container:
        frame = next(container.decode(video=0))
        coded = np.frombuffer(bytes(frame.planes[0]), np.uint16).reshape(frame.height, -1)[:, : frame.width] / 4
    shown = media.decode(path, Needs(frames=(WHOLE,)), 1).frames(WHOLE).images[0]
    assert np.abs(shown - coded).max() <= 1


def test_full_range_stays_full(tmp_path: Path) -> None:
    ends = np.zeros((64, 96, 3), np.uint8)
    ends[:, 48:] = 255
    for form, levels in (("yuv420p", (16, 235)), ("yuvj420p", (0, 255))):
        path = encode(tmp_path / f"{form}.mp4", "mjpeg" if form == "yuvj420p" else "libx264", [ends] * 2, form)
        clip = media.decode(path, Needs(frames=(WHOLE, SMALL, FrameNeed(fps=10, plane="rgb"))), 60)
        for need in (WHOLE, SMALL):
            image = clip.frames(need).images[0]
            assert (image[5, 5], image[5, -5]) == (pytest.approx(levels[0], abs=3), pytest.approx(levels[1], abs=3)), form
        colour = clip.frames(FrameNeed(fps=10, plane="rgb")).images[0]
        assert colour[5, 5].max() <= 4
        assert colour[5, -5].min() >= 250


def test_colours_of_equal_luma_differ_in_uv(film: Film, tmp_path: Path) -> None:
    """Red and a green of the same luma: one grey, two colours."""
    image = np.zeros((64, 96, 3), np.uint8)
    image[:, :48], image[:, 48:] = (200, 0, 0), (0, 102, 0)
    need = FrameNeed(count=2, short_side_px=16, plane="uv")
    full = FrameNeed(count=2, plane="uv")
    clip = media.decode(film(tmp_path / "red.mp4", [image] * 20), Needs(frames=(need, full, FrameNeed(count=2))), 60)
    luma = clip.frames(FrameNeed(count=2)).images[0]
    assert abs(int(luma[30, 10]) - int(luma[30, 80])) <= 3
    for asked, size in ((need, (16, 24)), (full, (32, 48))):
        images = clip.frames(asked).images
        assert images.shape == (2, *size, 2)
        left, right = images[0][:, 2].mean(axis=0), images[0][:, -3].mean(axis=0)
        assert left[1] - right[1] > 80  # Cr: redness
        assert right[0] == pytest.approx(96, abs=12)  # Cb of that green
    assert clip.frames(full).times_s_T == pytest.approx(clip.frames(FrameNeed(count=2)).times_s_T)


def test_the_stream_that_a_player_would_show(tmp_path: Path) -> None:
    """The default one; without a default the largest; never a cover picture."""
    for defaults, want in ((("small",), 64), ((), 128), (("small", "large"), 128)):
        with av.open(str(tmp_path / "two.mkv"), "w") as container:
            streams: list[Any] = []
            for name, size in (("small", 64), ("large", 128)):
                stream: Any = container.add_stream("libx264", rate=10, options={"preset": "ultrafast"})
                stream.width, stream.height, stream.pix_fmt = size, size, "yuv420p"
                stream.disposition = av.stream.Disposition.default if name in defaults else av.stream.Disposition.dub
                streams.append(stream)
            for stream in streams:
                for level in range(0, 200, 10):
                    image = np.full((stream.height, stream.width, 3), level, np.uint8)
                    container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
                container.mux(stream.encode())
        assert media.probe(tmp_path / "two.mkv").width_px == want, defaults
    with av.open(str(tmp_path / "cover.mp4"), "w") as container:
        sound: Any = container.add_stream("aac", rate=16_000, layout="mono")
        cover: Any = container.add_stream("mjpeg", rate=1)
        cover.width, cover.height, cover.pix_fmt = 64, 64, "yuvj420p"
        cover.disposition = av.stream.Disposition.attached_pic
        container.mux(cover.encode(av.VideoFrame.from_ndarray(np.zeros((64, 64, 3), np.uint8), format="rgb24")))
        container.mux(cover.encode())
        for start in range(0, 16_000, 1024):
            piece = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), "fltp", "mono")
            piece.rate, piece.pts = 16_000, start
            container.mux(sound.encode(piece))
        container.mux(sound.encode())
    with pytest.raises(BadMedia, match="no_video"):
        media.decode(tmp_path / "cover.mp4", Needs(), 60)


def test_a_size_that_changes_in_the_stream(film: Film, tmp_path: Path) -> None:
    """Also a stream without time stamps: frames follow each other at the usual rate. All come in the size of the first."""
    wide = film(tmp_path / "a.h264", [grey(60)] * 20).read_bytes()
    tall = film(tmp_path / "b.h264", [np.full((160, 96, 3), 200, np.uint8)] * 20).read_bytes()
    (tmp_path / "both.h264").write_bytes(wide + tall)
    need = FrameNeed(fps=100, short_side_px=48, plane="rgb")
    frames = media.decode(tmp_path / "both.h264", Needs(frames=(need, WHOLE)), 60).frames(need)
    assert frames.images.shape == (40, 48, 80, 3)
    assert frames.images[5].mean() < 70 < 180 < frames.images[35].mean()
    assert np.diff(frames.times_s_T).min() > 0


def test_more_pixels_than_fit_are_refused(film: Film, tmp_path: Path) -> None:
    side = int(MOST_PIXELS**0.5) // 2 * 2 + 2
    path = encode(tmp_path / "vast.mkv", "mjpeg", [np.zeros((side, side, 3), np.uint8)], "yuvj420p")
    with pytest.raises(BadMedia) as caught:
        media.decode(path, Needs(), 60)
    assert caught.value.reason == "too_large"


def test_pairs_of_reference_frames_tell_their_true_times(tmp_path: Path) -> None:
    """Frame i has the grey 40 + 2 i: what is shown at a time is what was filmed then, however many frames are left out."""
    frames = [grey(40 + 2 * i) for i in range(80)]
    path = encode(
        tmp_path / "ramp.mp4",
        "libx264",
        frames,
        "yuv420p",
        options={"crf": "10", "x264-params": "bframes=3:b-adapt=0:b-pyramid=none"},
    )
    need = FrameNeed(fps=2, short_side_px=32, pairs=True)
    every, fewer = (media.decode(path, Needs(frames=(need, WHOLE)), 60, frames=f) for f in ("all", "reference"))
    assert len(fewer.frames(WHOLE).times_s_T) < len(every.frames(WHOLE).times_s_T)
    for clip in (every, fewer):
        pairs = clip.frames(need)
        assert pairs.next_times_s_T is not None
        assert pairs.next_images is not None
        for times_s_T, images in ((pairs.times_s_T, pairs.images), (pairs.next_times_s_T, pairs.next_images)):
            levels = (images.mean(axis=(1, 2)) - 16) * 255 / 219
            assert levels == pytest.approx(40 + 20 * times_s_T, abs=1.5)
        assert clip.probe.fps == pytest.approx(10, abs=0.01)
        assert clip.duration_s == pytest.approx(8.0, abs=0.3)
        assert not clip.probe.truncated
    assert every.frames(need).next_times_s_T == pytest.approx(every.frames(need).times_s_T + 0.1)
    assert (fewer.frames(need).next_times_s_T - fewer.frames(need).times_s_T).max() > 0.15


def test_vectors_tell_a_still_picture_from_a_moving_one(film: Film, tmp_path: Path) -> None:
    photo = np.ascontiguousarray(data.astronaut()[:160, :240])
    needs = Needs(vectors=True)
    held = media.decode(film(tmp_path / "held.mp4", [photo] * 20), needs, 60).vectors()
    moved = media.decode(film(tmp_path / "moved.mp4", [photo[:, 3 * i : 3 * i + 160] for i in range(20)]), needs, 60).vectors()
    assert isinstance(held, Vectors)
    assert isinstance(moved, Vectors)
    assert len(moved.times_s_T) == len(moved.mean_px_T) == len(moved.moving_share_T) == 19  # all but the key frame
    assert moved.times_s_T == pytest.approx(np.arange(1, 20) / 10)
    assert np.median(moved.mean_px_T) == pytest.approx(3, abs=0.5)
    assert moved.moving_share_T.mean() > 0.8
    assert held.moving_share_T.max(initial=0) < 0.05
    inside = media.decode(tmp_path / "moved.mp4", needs, 60)
    assert inside.with_box(inside.box).vectors() is not None


def test_no_vectors_where_the_codec_has_none_or_nobody_asked(film: Film, tmp_path: Path) -> None:
    image = data.astronaut()
    path = encode(tmp_path / "x.webm", "libvpx-vp9", [np.ascontiguousarray(image[:96, i : i + 96]) for i in range(8)], "yuv420p")
    assert media.decode(path, Needs(vectors=True), 60).vectors() is None
    moved = film(tmp_path / "moved.mp4", [image[:96, i : i + 160] for i in range(8)])
    assert media.decode(moved, Needs(), 60).vectors() is None
    assert media.union([Needs(), Needs(vectors=True)]).vectors


def test_many_more_frames_than_asked_for_hold_little(film: Film, tmp_path: Path) -> None:
    """Evenly spread, in the right order, whatever the length; and the block holds no more than it gives."""
    frames = [grey(20 + i) for i in range(200)]
    path = film(tmp_path / "long.mp4", frames, fps=10)
    for count in (1, 3, 16, 150):
        need = FrameNeed(count=count)
        found = media.decode(path, Needs(frames=(need,)), 60).frames(need)
        assert len(found.times_s_T) == count
        levels = (found.images.mean(axis=(1, 2)) - 16) * 255 / 219
        assert levels == pytest.approx(20 + 10 * found.times_s_T, abs=2)
        assert np.diff(found.times_s_T).max(initial=0) < 3 * 20 / count
        base = found.images if found.images.base is None else found.images.base
        assert base.nbytes == found.images.nbytes
