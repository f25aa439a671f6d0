"""How sharp the edges of the picture are: the steepest slope over the height of the step, where 1 is a hard edge.

A blur spreads each step over more pixels, so its slope falls while its height stays; the contrast of the picture cancels out.
Every three seconds a frame is looked at, at a short side of 360 px, so that a large video is not called blurred for its many
pixels; one that is smaller is looked at as it is. Weak steps are left out, because noise makes them steep. Letters on a blurred
picture are sharp edges and raise the measure.

Axes: H height, W width.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from curation.filters import _range
from svmbench.media import ClipMedia, FrameNeed, Needs
from svmbench.records import Verdict
from svmbench.settings import setting

FRAMES = FrameNeed(fps=1 / 3, short_side_px=360, plane="y")  # ours; shared with text_area
NEEDS = Needs(frames=(FRAMES,))
NAME_OF_MEASURE = "sharpness"
MEASURED_WITH = ()
EVERY_CLIP = True

SMOOTH_PX = 1.0  # ours: standard deviation of the blur that comes first, against noise
WINDOW_PX = 15  # ours: a step lies within so many pixels
STEP = 50  # ours: grey levels that a step has at least
FEW = 50  # ours: with fewer such places there is nothing to measure
SLOPE_OF_A_HARD_EDGE = 1 / (SMOOTH_PX * np.sqrt(2 * np.pi))  # grey levels a pixel, of a step of 1 after the first blur


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Clips whose edges are softer than min_sharpness are dropped; 0 drops none."""

    min_sharpness: float = setting(0.0, low=0, high=1, source="ours")


def measure(clip: ClipMedia, settings: Settings) -> float | None:
    """The median over the frames, in [0, 1]; None where no frame has edges."""
    found = [sharpness_of(np.ascontiguousarray(image)) for image in clip.frames(FRAMES).images]
    values = [value for value in found if value is not None]
    return float(np.median(values)) if values else None


def sharpness_of(luma_HW: np.ndarray) -> float | None:
    """Of one picture: the median of slope by step over all places with a clear step."""
    smooth_HW = cv2.GaussianBlur(luma_HW, (0, 0), SMOOTH_PX)
    window = np.ones((WINDOW_PX, WINDOW_PX), np.uint8)
    step_HW = cv2.morphologyEx(smooth_HW, cv2.MORPH_GRADIENT, window)
    clear_HW = step_HW >= STEP
    if np.count_nonzero(clear_HW) < FEW:
        return None
    along_x, along_y = cv2.spatialGradient(smooth_HW)
    length_HW = cv2.magnitude(along_x.astype(np.float32), along_y.astype(np.float32))
    slope_HW = cv2.dilate(cv2.convertScaleAbs(length_HW, alpha=0.25), window)  # twice the slope: Sobel weighs by 8
    ratio = slope_HW[clear_HW] / (2 * step_HW[clear_HW].astype(np.float32))
    return float(min(1.0, np.median(ratio) / SLOPE_OF_A_HARD_EDGE))


def judge(value: float | None, settings: Settings) -> Verdict:
    """Refuses 'blurred'."""
    return _range.judge(value, settings.min_sharpness, None, below="blurred")
