"""The numbers of one picture against their definitions, with scikit-image's colours; and the seconds of a clip."""

from __future__ import annotations

import numpy as np
import pytest
from skimage import color, data, transform

from curation.features.frame_stats import DIM, EDGE, FRAMES, extract, picture_stats
from svmbench.media import ClipMedia, Frames, Probe
from svmbench.records import Box

PHOTO = (255 * transform.resize(data.astronaut(), (128, 128), anti_aliasing=True)).astype(np.uint8)


def clip_of(images: list[np.ndarray], length_s: float) -> ClipMedia:
    height, width = images[0].shape[:2]
    probe = Probe(
        width_px=width, height_px=height, fps=2.0, duration_s=length_s, container_s=length_s, video_codec="h264",
        audio_codec=None, audio_s=0.0, rotation_deg=0, truncated=False,
    )  # fmt: skip
    frames = Frames(times_s_T=np.arange(len(images)) / 2, images=np.stack(images))
    box = Box(left_px=0, top_px=0, width_px=width, height_px=height)
    return ClipMedia(probe=probe, start_s=0.0, end_s=length_s, box=box, frames={FRAMES: frames}, waves={})


def test_the_columns_are_what_the_docstring_says() -> None:
    columns, light = picture_stats(PHOTO)
    lab, hsv = color.rgb2lab(PHOTO) / (100, 128, 128), color.rgb2hsv(PHOTO)
    weights = hsv[..., 1] * hsv[..., 2]
    hues = np.histogram(hsv[..., 0], bins=8, range=(0, 1), weights=weights)[0]
    across, down = (
        np.array([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]]),
        np.array([[-1, -2, -1], [0, 0, 0], [1, 2, 1]]),
    )
    slopes = [
        sum(k[i, j] * lab[i : i + 126, j : j + 126, 0] for i in range(3) for j in range(3)) for k in (across, down)
    ]  # without the outermost pixels
    assert light == pytest.approx(lab[..., 0], abs=0.005)
    assert columns[:3] == pytest.approx(lab.mean(axis=(0, 1)), abs=0.005)
    assert columns[3:6] == pytest.approx(lab.std(axis=(0, 1)), abs=0.005)
    assert columns[6:8] == pytest.approx([hsv[..., 1].mean(), hsv[..., 1].std()], abs=1e-3)
    assert columns[8:16] == pytest.approx(hues / hues.sum(), abs=2e-3)
    assert columns[16:18] == pytest.approx(np.percentile(lab[..., 0], (5, 95)), abs=0.02)
    assert columns[18] == pytest.approx((np.hypot(*slopes) > EDGE).mean(), abs=0.02)


def test_a_grey_picture_has_no_hue() -> None:
    columns, _ = picture_stats(np.full((128, 128, 3), 128, np.uint8))
    assert columns[:3] == pytest.approx([0.536, 0, 0], abs=2e-3)
    assert columns[3:16] == pytest.approx(np.zeros(13), abs=1e-3)
    assert columns[18:20] == pytest.approx([0, 0], abs=1e-3)


def test_the_last_red_belongs_to_the_last_hues() -> None:
    columns, _ = picture_stats(np.full((8, 8, 3), (255, 0, 1), np.uint8))
    assert columns[8:16] == pytest.approx([0] * 7 + [1])


def test_change_and_cut_fall_into_their_second() -> None:
    black, white = np.zeros((32, 32, 3), np.uint8), np.full((32, 32, 3), 255, np.uint8)
    table = extract(clip_of([black, black, white, white, white], 3.0)).values_TD
    assert table.shape == (3, DIM)
    assert table[:, 20] == pytest.approx([0, 0.5, 0], abs=1e-3)  # one of the second's two steps, and that by all of L*
    assert table[:, 21] == pytest.approx([0, 0.5, 0])
    assert table[:, 0] == pytest.approx([0, 1, 1], abs=1e-3)
