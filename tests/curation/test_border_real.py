"""Borders of real videos, held against labels made by eye.

Each label was read off the frames and the brightness of the outer lines (the brightest value that any of 16 frames has there),
before any detector was run on the file. They hold within two pixels.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path

import pytest

from curation import border
from svmbench import media
from svmbench.errors import BadMedia

MAX_S, CLOSE_PX = 20.0, 2
Sides = tuple[int, int, int, int]  # depth on the left, top, right and bottom, in pixels as shown

VIDEO_STORE = "mdn+learning-area/javascript/apis/client-side-storage/cache-sw/video-store-offline/videos/"
ANDROIDX = "androidx+media/libraries/test_data/src/test/assets/media/"
BORDERED: Mapping[str, Sides] = {
    "Zulko+moviepy/media/chaplin.mp4": (72, 0, 72, 0),
    "Zulko+moviepy/media/doc_medias/example3.mp4": (0, 58, 0, 58),
    "Zulko+moviepy/media/smpte-2997.mp4": (240, 0, 240, 0),  # colour bars with a counter: nearly a still
    **{VIDEO_STORE + name: (8, 0, 8, 0) for name in ("elf.webm", "frog.webm", "monster.webm", "pig.webm", "rabbit.webm")},
}
WHOLE = (
    "Zulko+moviepy/media/big_buck_bunny_0_30.webm",
    "Zulko+moviepy/media/big_buck_bunny_432_433.webm",
    "Zulko+moviepy/media/doc_medias/example2.mp4",
    "Zulko+moviepy/media/fire2.mp4",
    "Zulko+moviepy/media/no_duration.webm",  # nearly black
    "Zulko+moviepy/media/transparent.webm",  # a red dot that jumps about on black
    "Zulko+moviepy/media/video_with_failing_audio.mp4",
    ANDROIDX + "3gp/bbb_176x144_128kbps_15fps_h263.3gp",
    ANDROIDX + "avi/sample.avi",
    ANDROIDX + "flv/sample.flv",
    ANDROIDX + "mkv/bbb_960x540_60fps_vp8.webm",
    ANDROIDX + "mkv/sample_with_srt.mkv",
    ANDROIDX + "mp4/hdr10-av1.mp4",
    ANDROIDX + "mp4/midroll-5s.mp4",  # a logo on white: the card is the picture
    ANDROIDX + "mp4/sample_fragmented.mp4",
    ANDROIDX + "mp4/sample_portrait.mp4",
    ANDROIDX + "mp4/sample_rotate_and_reflect.mp4",
    ANDROIDX + "mp4/sample_sef_slow_motion.mp4",
    ANDROIDX + "mp4/sample_shorter_audio.mp4",
    ANDROIDX + "mp4/sample_twos_pcm.mp4",
    ANDROIDX + "mp4/sample_with_increasing_timestamps_320w_240h_5s.mp4",
    ANDROIDX + "mp4/silent-black-10s.mp4",  # black all the time: nothing to find
    ANDROIDX + "mp4/trim_optimization_failure.mp4",  # a watch, out of focus
    ANDROIDX + "vp9/bear-vp9-odd-dimensions.webm",
    ANDROIDX + "vp9/bear-vp9.webm",
    "chouliuzuo+GVMGen/examples_of_results/21.mp4",
    "chouliuzuo+GVMGen/examples_of_results/25.mp4",
    "chouliuzuo+GVMGen/examples_of_results/27.mp4",
    "chouliuzuo+GVMGen/examples_of_results/28.mp4",
    "chouliuzuo+GVMGen/examples_of_results/30.mp4",
    "intel-iot-devkit+sample-videos/asl_gestures/brother.mkv",
    "mdn+dom-examples/canvas/chroma-keying/media/video.mp4",
    "mdn+learning-area/accessibility/multimedia/rabbit320.mp4",
    "mdn+learning-area/accessibility/multimedia/rabbit320.webm",
    "mozilla+popcorn-js/test/trailer.ogv",
    "mozilla+popcorn-js/test/trailer.webm",  # 10 x 6 pixels
    "open-mmlab+FoleyCrafter/examples/avsync/0.mp4",
    "open-mmlab+FoleyCrafter/examples/avsync/1.mp4",
    "open-mmlab+FoleyCrafter/examples/avsync/2.mp4",
    "open-mmlab+FoleyCrafter/examples/vggsound/0.mp4",
    "open-mmlab+FoleyCrafter/examples/vggsound/3.mp4",
    "pytorch+torchcodec/test/resources/av1_video.mkv",  # a test picture whose left eighth is a black stripe of it
    "pytorch+torchcodec/test/resources/h264_10bits.mp4",
    "pytorch+torchcodec/test/resources/h265_video.mp4",  # white words on blue: the card is the picture
    "pytorch+torchcodec/test/resources/nasa_13013.mp4",  # a dark hall; the manifest's hint of 64 px on the left is a blue wall
    "samdutton+simpl/av1/video/vp9_562.webm",
    "samdutton+simpl/video/video/small.webm",
    "samdutton+simpl/videomedia/video/smaller.mp4",
    "v-iashin+video_features/sample/v_GGSY1Qvo990.mp4",
)
EITHER: Mapping[str, Sides] = {  # a test card with a magenta line of 2 to 6 px at its edge: a frame, or part of the card
    ANDROIDX + "dash/captions_h265/fragmented_captions_h265.mp4": (6, 4, 5, 4),
}


@pytest.fixture(scope="module")
def cut(clips: Path) -> Mapping[str, Sides]:
    """What robust cuts off each labelled video: left, top, right, bottom."""
    finder, found = border.method("robust"), {}
    for name in (*BORDERED, *WHOLE, *EITHER):
        left, top, right, bottom = (side.depth_px for side in finder.find(media.decode(clips / name, finder.NEEDS, MAX_S)).sides)
        found[name] = left, top, right, bottom
    return found


def test_every_video_has_a_label(clips: Path) -> None:
    with (clips / "manifest.csv").open() as table:
        videos = {row["file"] for row in csv.DictReader(table) if row["video_codec"]}
    readable = set()
    for name in videos:
        try:
            media.probe(clips / name)
        except BadMedia:
            continue
        readable.add(name)
    assert readable == {*BORDERED, *WHOLE, *EITHER}


@pytest.mark.slow
def test_no_real_picture_is_cut(cut: Mapping[str, Sides]) -> None:
    allowed = {**dict.fromkeys(WHOLE, (0, 0, 0, 0)), **BORDERED, **EITHER}
    wrong = {
        name: cut[name] for name, most in allowed.items() if any(c > m + CLOSE_PX for c, m in zip(cut[name], most, strict=True))
    }
    assert not wrong


@pytest.mark.slow
def test_real_borders_are_found(cut: Mapping[str, Sides]) -> None:
    far = {
        name: (cut[name], depths)
        for name, depths in BORDERED.items()
        if any(abs(c - d) > CLOSE_PX for c, d in zip(cut[name], depths, strict=True))
    }
    assert not far
