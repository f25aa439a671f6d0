"""The seven steps on pictures whose border is known: plain bars are found to two pixels, and borderless pictures stay whole."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from skimage import data

from curation.borders import paper
from curation.borders.paper import find_border
from svmbench import media
from svmbench.media import Needs
from svmbench.records import Box

PHOTOGRAPHS = ("astronaut", "chelsea", "coffee", "camera", "coins", "page")


def moving(name: str, width: int, height: int, number: int = 8) -> np.ndarray:
    """A slow zoom and pan over a photograph, luma THW in [16, 235], with a little noise."""
    image = getattr(data, name)()
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY) if image.ndim == 3 else image
    rng, rows = np.random.default_rng(len(name)), []
    for step in range(number):
        share = 0.75 + 0.2 * step / number
        h, w = int(grey.shape[0] * share), int(grey.shape[1] * share)
        top, left = (grey.shape[0] - h) * step // number, (grey.shape[1] - w) * step // number
        rows.append(cv2.resize(grey[top : top + h, left : left + w], (width, height), interpolation=cv2.INTER_AREA))
    frames = 16 + np.stack(rows) * (219 / 255) + rng.normal(0, 1.5, (number, height, width))
    return np.clip(frames, 0, 255).astype(np.uint8)


def boxed(picture_THW: np.ndarray, bars: tuple[int, int, int, int], level: int = 16) -> np.ndarray:
    """The pictures within bars (left, top, right, bottom) of one grey, with the coder's noise."""
    left, top, right, bottom = bars
    framed = np.pad(picture_THW, ((0, 0), (top, bottom), (left, right)), constant_values=level)
    noise = np.random.default_rng(1).integers(-1, 2, framed.shape)
    return np.clip(framed.astype(int) + noise, 0, 255).astype(np.uint8)


def as_coded(film: Callable[..., Path], path: Path, frames_THW: np.ndarray) -> np.ndarray:
    """The frames after a round trip through H.264."""
    film(path, np.repeat(frames_THW[..., None], 3, axis=3), fps=4)
    return media.decode(path, Needs(frames=(paper.FRAMES,)), 60).frames(paper.FRAMES).images


def errors(found: Box, bars: tuple[int, int, int, int], shape: tuple[int, ...]) -> tuple[int, ...]:
    """How much too deep each side was cut, in pixels."""
    height, width = shape[1:]
    cut = found.left_px, found.top_px, width - found.left_px - found.width_px, height - found.top_px - found.height_px
    return tuple(a - b for a, b in zip(cut, bars, strict=True))


@pytest.mark.parametrize(
    ("bars", "kind"),
    [
        ((0, 41, 0, 41), "letterbox"),
        ((0, 150, 0, 150), "letterbox"),
        ((53, 0, 53, 0), "pillarbox"),
        ((140, 0, 140, 0), "pillarbox"),
        ((24, 60, 24, 60), "windowbox"),
        ((60, 31, 61, 30), "windowbox"),
    ],
)
@pytest.mark.parametrize("name", ["astronaut", "chelsea", "coffee", "coins"])
def test_plain_bars_are_found_to_two_pixels(name: str, bars: tuple[int, int, int, int], kind: str) -> None:
    frames = boxed(moving(name, 288, 240), bars)
    found = find_border(frames)
    assert found.kind == kind
    assert max(map(abs, errors(found.box, bars, frames.shape))) <= 2
    assert tuple(side.kind for side in found.sides) == tuple("black" if bar else "none" for bar in bars)
    assert [side.depth_px for side in found.sides] == pytest.approx(bars, abs=2)
    assert found.confidence >= 0.5


@pytest.mark.parametrize("level", [0, 16, 30])
def test_bars_survive_the_coder(film: Callable[..., Path], tmp_path: Path, level: int) -> None:
    bars = (0, 66, 0, 66)
    frames = as_coded(film, tmp_path / "x.mp4", boxed(moving("astronaut", 288, 240), bars, max(level, 1)))
    assert max(map(abs, errors(find_border(frames).box, bars, frames.shape))) <= 2


@pytest.mark.parametrize("gain", [1.0, 0.3, 0.1])
@pytest.mark.parametrize("name", PHOTOGRAPHS)
def test_borderless_pictures_stay_whole_also_in_the_dark(name: str, gain: float) -> None:
    frames = (moving(name, 270, 480) * gain).astype(np.uint8)
    found = find_border(frames)
    assert found.box == Box(left_px=0, top_px=0, width_px=270, height_px=480)
    assert [(side.kind, side.depth_px) for side in found.sides] == [("none", 0)] * 4


def test_a_video_that_is_boxed_for_half_its_time_keeps_the_rest() -> None:
    bars = (0, 50, 0, 50)
    wide, full = boxed(moving("chelsea", 288, 240), bars), moving("chelsea", 288, 340)
    assert find_border(wide).kind == "letterbox"
    mixed = find_border(np.concatenate([wide[:5], full[5:]]))
    assert (mixed.kind, mixed.confidence, mixed.box.height_px) == ("none", 0.0, 340)


@pytest.mark.parametrize("level", [90, 235])
def test_bars_that_are_not_dark_stay(level: int) -> None:
    assert find_border(boxed(moving("astronaut", 288, 240), (0, 50, 0, 50), level)).kind == "none"


def test_a_picture_that_hardly_differs_from_its_bars_stays_whole() -> None:
    """A night scene: above and below black, and most of the line where the lighter part begins is black too."""
    frames = np.full((8, 240, 288), 16, np.uint8)
    frames[:, 50:190, : int(0.45 * 288)] = 30
    assert find_border(frames).kind == "none"
    frames[:, 50:190, : int(0.45 * 288)] = 90
    assert find_border(frames).kind == "letterbox"


def test_fades_do_not_vote() -> None:
    bars = (0, 50, 0, 50)
    frames = boxed(moving("coffee", 288, 240), bars)
    frames[:5] = 16
    assert find_border(frames).kind == "letterbox"


@pytest.mark.parametrize("level", [0, 16, 128, 255])
def test_blank_and_tiny_videos_stay_whole(level: int) -> None:
    for shape in ((8, 120, 90), (8, 6, 10), (1, 1, 1)):
        found = find_border(np.full(shape, level, np.uint8))
        assert (found.kind, found.box.width_px, found.box.height_px) == ("none", shape[2], shape[1])


def test_the_final_step_cuts_what_the_box_says() -> None:
    bars = (20, 30, 20, 30)
    picture = moving("camera", 200, 160)
    frames = boxed(picture, bars)
    box = Box(left_px=20, top_px=30, width_px=200, height_px=160)
    assert paper.crop(frames, box).shape == picture.shape
    assert np.abs(paper.crop(frames, box).astype(int) - picture).max() <= 1


def test_one_sided_bars_are_left_by_the_paper_method() -> None:
    """Step 5 folds about the centre: what has no mirror image is no border. In doubt nothing is cut."""
    assert find_border(boxed(moving("astronaut", 288, 240), (0, 0, 0, 90))).kind == "none"


@pytest.mark.slow
def test_real_videos(clips: Path) -> None:
    """No false cut on any real video; the two plain borders are found to two pixels, the thin ones at most."""
    rows = [r for r in csv.DictReader((clips / "manifest.csv").read_text().splitlines()) if r["width_px"] and r["borders"]]
    right = []
    for row in rows:
        clip = media.decode(clips / row["file"], Needs(frames=(paper.FRAMES,)), 20)
        found = find_border(clip.frames(paper.FRAMES).images)
        name, _, sides = row["borders"].partition(":")
        depth = {side: int(number) for side, number in re.findall(r"([ltrb])(\d+)", sides)}
        bars = depth.get("l", 0), depth.get("t", 0), depth.get("r", 0), depth.get("b", 0)
        off = errors(found.box, bars, (1, clip.probe.height_px, clip.probe.width_px))
        assert max(off) <= 2, row["file"]
        if sides and max(map(abs, off)) <= 2:
            right.append(name)
    assert len(rows) == 53
    assert {"pillarbox", "letterbox"} <= set(right)
