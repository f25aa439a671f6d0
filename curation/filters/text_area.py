"""How much of the picture is lettering: captions, titles, subtitles.

No characters are recognised. A line of letters is a low, wide strip that is dense with hard edges, where light and dark change
places again and again along its height's length; leaves and gravel are as dense, but seldom as hard, and no strips. Every three
seconds a frame is looked at, at a short side of 360 px. Letters in soft colours, slanted lines and handwriting are missed; bars,
fences and blinds of hard edges can pass for lettering.

Axes: H height, W width.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from curation.filters import _range
from curation.filters.sharpness import FRAMES
from svmbench.media import ClipMedia, Needs
from svmbench.records import Verdict
from svmbench.settings import setting

NEEDS = Needs(frames=(FRAMES,))
NAME_OF_MEASURE = "text_area"
MEASURED_WITH = ()
EVERY_CLIP = True

EDGE = 90  # ours: grey levels between a letter and what is around it, within 3 px
GAPS_PX = (9, 21)  # ours: between the edges of small and of large letters
LOW_PX, HIGH_SHARE = 7, 0.2  # ours: height of a line, in pixels and as a share of the picture's height
WIDE = 2.5  # ours: a line is at least so many times as wide as high
FULL = 0.55  # ours: share of the line's box that its strip fills
DENSE = (0.25, 0.9)  # ours: share of the line's box that is edge
TURNS = 1.0  # ours: how often the slope turns along a piece as long as the line is high
STEEP = 0.7  # ours: of EDGE, between the pixels on both sides of one: a slope


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Clips with more lettering than max_area are dropped; 1 drops none."""

    max_area: float = setting(1.0, low=0, high=1, unit="share of the picture's area", source="ours")


def measure(clip: ClipMedia, settings: Settings) -> float | None:
    """Mean over the frames of the share of the picture's area that lies in lines of letters, in [0, 1]."""
    images = clip.frames(FRAMES).images
    return float(np.mean([text_area(np.ascontiguousarray(image)) for image in images])) if len(images) else None


def text_area(luma_HW: np.ndarray) -> float:
    """Of one picture."""
    covered_HW = np.zeros(luma_HW.shape, np.uint8)
    for left, top, right, bottom in lines(luma_HW):
        covered_HW[top:bottom, left:right] = 1
    return float(covered_HW.mean())


def lines(luma_HW: np.ndarray) -> list[tuple[int, int, int, int]]:
    """Boxes (left, top, right, bottom) of what looks like lines of letters; they may overlap."""
    edges_HW = (cv2.morphologyEx(luma_HW, cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8)) >= EDGE).astype(np.uint8)
    number_HW = cv2.integral(edges_HW)
    found = []
    for gap_px in GAPS_PX:
        strips_HW = _strips(edges_HW, gap_px)
        for left, top, width, height in _boxes(strips_HW):
            right, bottom, size = left + width, top + height, width * height
            if not LOW_PX <= height <= HIGH_SHARE * len(luma_HW) or width < WIDE * height:
                continue
            if np.count_nonzero(strips_HW[top:bottom, left:right]) < FULL * size:
                continue
            num_edges = number_HW[bottom, right] - number_HW[top, right] - number_HW[bottom, left] + number_HW[top, left]
            if DENSE[0] * size <= num_edges <= DENSE[1] * size and _turns(luma_HW[top:bottom, left:right]) >= TURNS:
                found.append((left, top, right, bottom))
    return found


def _boxes(strips_HW: np.ndarray) -> list[Sequence[int]]:
    """(left, top, width, height) of each strip: its outline is found thirty times faster than its pixels are labelled."""
    outlines, nested = cv2.findContours(strips_HW, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE)
    return [cv2.boundingRect(outline) for i, outline in enumerate(outlines) if nested[0, i, 3] < 0]  # the others are holes


def _strips(edges_HW: np.ndarray, gap_px: int) -> np.ndarray:
    """The edges with the gaps between letters filled, and without what is thinner than a line."""
    wide = cv2.copyMakeBorder(edges_HW, 0, 0, gap_px, gap_px, cv2.BORDER_CONSTANT, value=0)
    closed = cv2.morphologyEx(wide, cv2.MORPH_CLOSE, np.ones((3, gap_px), np.uint8))[:, gap_px:-gap_px]
    return cv2.morphologyEx(closed, cv2.MORPH_OPEN, np.ones((max(5, gap_px // 2), gap_px), np.uint8))


def _turns(strip_HW: np.ndarray) -> float:
    """How often rising and falling slopes follow each other, in the mean over the middle rows, by width over height."""
    height, width = strip_HW.shape
    rows_HW = strip_HW[height // 4 : height - height // 4 + 1].astype(np.int16)
    slope_HW = rows_HW[:, 2:] - rows_HW[:, :-2]
    signs = [np.sign(row[np.abs(row) >= STEEP * EDGE]) for row in slope_HW]
    return float(np.mean([np.count_nonzero(np.diff(row)) for row in signs])) * height / width


def judge(value: float | None, settings: Settings) -> Verdict:
    """Refuses 'much_text'."""
    return _range.judge(value, None, settings.max_area, above="much_text")
