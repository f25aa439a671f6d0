"""Motion and picture statistics on pictures whose motion and colours are known."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from scipy.stats import spearmanr
from skimage import data

from curation.features import frame_stats, optical_flow
from curation.filters import duration, still
from svmbench import media
from svmbench.media import ClipMedia, FrameNeed, Frames, Probe
from svmbench.records import Box

Film = Callable[..., Path]
NEEDS = media.union([optical_flow.NEEDS, frame_stats.NEEDS, still.NEEDS])


def made_of(need: FrameNeed, first: np.ndarray, second: np.ndarray, apart_s: float = 0.04) -> ClipMedia:
    """A clip of these frame pairs, four a second."""
    length, height, width = first.shape
    box = Box(left_px=0, top_px=0, width_px=width, height_px=height)
    times = np.arange(length) / 4
    probe = Probe(
        width_px=width, height_px=height, fps=25, duration_s=length / 4, container_s=None, video_codec=None, audio_codec=None,
        audio_s=0, rotation_deg=0, truncated=False,
    )  # fmt: skip
    frames = Frames(times_s_T=times, images=first, next_times_s_T=times + apart_s, next_images=second)
    return ClipMedia(probe=probe, start_s=0, end_s=length / 4, box=box, frames={need: frames}, waves={})


def pair_under_motion(rng: np.random.Generator, index: int) -> tuple[np.ndarray, np.ndarray, float]:
    """A photograph and the same moved by a known affine map; the mean displacement in pixels of 284 x 160."""
    names = ("astronaut", "chelsea", "coffee", "rocket", "camera", "coins", "moon", "page")
    image = getattr(data, names[index % len(names)])()
    grey = cv2.resize(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY) if image.ndim == 3 else image, (568, 320))
    length, angle = float(np.exp(rng.uniform(np.log(0.2), np.log(20)))), rng.uniform(0, 2 * np.pi)
    turn = cv2.getRotationMatrix2D((284, 160), float(rng.normal(0, 0.3) * min(1, length / 10)), 1.0)
    turn[:, 2] += [2 * length * np.cos(angle), 2 * length * np.sin(angle)]
    moved = cv2.warpAffine(grey, turn, (568, 320), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
    rows, columns = np.mgrid[0:320:8, 0:568:8]
    dx = turn[0, 0] * columns + turn[0, 1] * rows + turn[0, 2] - columns
    dy = turn[1, 0] * columns + turn[1, 1] * rows + turn[1, 2] - rows
    light = rng.choice([1.0, 0.3])
    small = [
        cv2.resize(x, (284, 160), interpolation=cv2.INTER_AREA) * light + rng.normal(0, 1.5, (160, 284)) for x in (grey, moved)
    ]
    first, second = (np.clip(x, 0, 255).astype(np.uint8) for x in small)
    return first, second, float(np.hypot(dx, dy).mean() / 2)


def test_displacement_follows_known_motion() -> None:
    rng = np.random.default_rng(5)
    dis = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_ULTRAFAST)
    found, truth = [], []
    for index in range(80):
        first, second, pixels = pair_under_motion(rng, index)
        found.append(optical_flow.displacements(first, second, dis)[0] * np.hypot(160, 284))
        truth.append(pixels)
    assert spearmanr(found, truth).statistic > 0.97
    assert np.median(np.abs(np.array(found) - truth) / truth) < 0.04


def test_motion_is_in_diagonals_a_second_whatever_the_frame_rate() -> None:
    image = cv2.GaussianBlur(np.random.default_rng(0).integers(0, 255, (160, 200), np.uint8), (0, 0), 3)
    image = cv2.normalize(image, None, 0, 255, cv2.NORM_MINMAX)
    once, twice = (np.stack([np.roll(image, step, axis=1)] * 8) for step in (2, 4))
    base = np.stack([image] * 8)
    slow = optical_flow.extract(made_of(still.PAIRS, base, once, apart_s=0.02)).values_TD
    fast = optical_flow.extract(made_of(still.PAIRS, base, twice, apart_s=0.04)).values_TD
    assert slow.shape == (2, optical_flow.DIM)
    assert slow[0, 0] == pytest.approx(2 / np.hypot(160, 200) / 0.02, rel=0.15)
    assert fast[0, 0] == pytest.approx(slow[0, 0], rel=0.15)
    assert slow[0, 1] >= slow[0, 0]
    assert slow[0, 2] == 0


def test_pairs_across_a_cut_do_not_count() -> None:
    rng = np.random.default_rng(0)
    one, other = (cv2.GaussianBlur(rng.integers(0, 255, (160, 200), np.uint8), (0, 0), 20) for _ in range(2))
    one, other = cv2.normalize(one, None, 0, 120, cv2.NORM_MINMAX), cv2.normalize(other, None, 90, 255, cv2.NORM_MINMAX)
    second = np.stack([one] * 8)
    second[2] = other  # within the first second
    values = optical_flow.extract(made_of(still.PAIRS, np.stack([one] * 8), second)).values_TD
    assert values[:, 0].max() < 1e-3
    assert values[:, 2].min() == 1
    second[:4] = other  # no usable pair in the first second: it takes the next one's
    assert np.array_equal(*optical_flow.extract(made_of(still.PAIRS, np.stack([one] * 8), second)).values_TD)


def test_a_still_photograph_and_a_moving_one(film: Film, tmp_path: Path) -> None:
    photo = cv2.resize(data.astronaut(), (240, 240))
    held = media.decode(film(tmp_path / "held.mp4", [photo] * 30), NEEDS, 60)
    panned = media.decode(film(tmp_path / "panned.mp4", [photo[:, i : i + 180] for i in range(0, 60, 2)]), NEEDS, 60)
    assert still.measure(held, still.Settings()) == 1
    assert still.measure(panned, still.Settings()) == 0
    assert optical_flow.extract(held).values_TD[:, 0].max() < 0.01
    expected = 2 * 10 / np.hypot(240, 180)  # two pixels a frame at ten frames a second
    assert np.median(optical_flow.extract(panned).values_TD[:, 0]) == pytest.approx(expected, rel=0.15)
    assert still.judge(1.0, still.Settings()).keep
    assert still.judge(0.9, still.Settings(max_share=0.8)).reason == "still"


def test_the_border_is_no_part_of_the_motion(film: Film, tmp_path: Path) -> None:
    photo = cv2.resize(data.coffee(), (400, 200))
    frames = [np.pad(photo[:, i : i + 240], ((100, 100), (0, 0), (0, 0))) for i in range(0, 60, 2)]
    clip = media.decode(film(tmp_path / "barred.mp4", frames), NEEDS, 60)
    inside = clip.with_box(Box(left_px=0, top_px=100, width_px=240, height_px=200))
    whole, cut = (np.median(optical_flow.extract(c).values_TD[:, 0]) for c in (clip, inside))
    assert cut == pytest.approx(20 / np.hypot(240, 200), rel=0.15)
    assert whole < 0.6 * cut


def test_colours_light_and_cuts(film: Film, tmp_path: Path) -> None:
    red, blue = np.zeros((64, 64, 3), np.uint8), np.zeros((64, 64, 3), np.uint8)
    red[..., 0], blue[..., 2] = 220, 220
    clip = media.decode(film(tmp_path / "two.mp4", [red] * 20 + [blue] * 20), NEEDS, 60)
    values = frame_stats.extract(clip).values_TD
    assert values.shape == (4, frame_stats.DIM)
    assert np.isfinite(values).all()
    assert values[0, 8] + values[0, 15] > 0.9  # red stands around 0 degrees
    assert values[3, 13] > 0.9  # blue: 240 degrees
    assert values[0, 1] > 0.3 > 0 > values[3, 2]  # a* of red, b* of blue
    assert values[:, 21].tolist() == [0, 0, 0.5, 0]
    assert values[2, 20] > 0.05 > values[1, 20]
    assert values[:, 18].max() == 0  # no edges
    noisy = film(tmp_path / "noisy.mp4", np.random.default_rng(0).integers(0, 255, (20, 64, 64, 3), np.uint8))
    assert frame_stats.extract(media.decode(noisy, NEEDS, 60)).values_TD[:, 18].min() > 0.05


def test_tiny_and_single_frame_clips(film: Film, tmp_path: Path, clips: Path) -> None:
    tiny = media.decode(clips / "mozilla+popcorn-js/test/trailer.webm", NEEDS, 5)
    one = media.decode(film(tmp_path / "one.mp4", [np.full((32, 32, 3), 80, np.uint8)]), NEEDS, 5)
    for clip, steps in ((tiny, 5), (one, 1)):
        for feature in (optical_flow, frame_stats):
            values = feature.extract(clip).values_TD
            assert values.shape == (steps, feature.DIM)
            assert np.isfinite(values).all()
    assert still.measure(one, still.Settings()) is None
    assert still.judge(None, still.Settings()).keep


def test_duration() -> None:
    strict = duration.Settings(min_s=5, max_s=20)
    assert [duration.judge(v, strict).reason for v in (4.9, 5.0, 20.0, 20.1)] == ["too_short", "", "", "too_long"]
    assert duration.judge(4.0, strict).value == 4.0
    assert duration.judge(300.0, duration.Settings()).keep
