"""Whether the clip shows one photograph: standing still, or moved, turned and zoomed as a whole, as slide shows do.

Once a second the picture is laid over an earlier one by the shift, turn and zoom that fits best. A photograph then agrees
everywhere; where people, water or leaves move, or near things pass far ones, some of it does not. So 1 says that nothing moves
but the picture as a whole. It cannot say why: a real video of a flat or distant scene in which nothing moves gives 1 as well. A
slide show of several photographs gives 0; its still pairs and cuts tell it.

Axes: T frames, H height, W width, N points.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from curation import motion
from curation.filters import _range
from svmbench.media import ClipMedia
from svmbench.records import Verdict
from svmbench.settings import setting

NEEDS = motion.NEEDS
NAME_OF_MEASURE = "still_photo"
MEASURED_WITH = ()
EVERY_CLIP = True

APART = 4  # ours: pairs, a second
NUM_POINTS, FEW_POINTS = 120, 8  # ours: to find the move by; with fewer the pictures must agree without one
ZOOM = 1.2  # ours: beyond, the next pictures are laid over a later one
OVERLAP = 0.5  # ours: and where less of the picture is shared
LEVELS = 10  # ours: grey levels that coding and resampling may change beside the range of a pixel's neighbours
UNLIKE_SHARE = 0.004  # ours: pictures with fewer unlike pixels agree
SMALLEST_PX = 16  # smaller pictures are not measured


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """drop = false only flags."""

    drop: bool = setting(False, source="ours")


def measure(clip: ClipMedia, settings: Settings) -> float | None:
    """1 or 0; None for a clip of less than about a second, or smaller than 16 px."""
    frames = [np.ascontiguousarray(image) for image in clip.frames(motion.PAIRS).images[::APART]]
    if len(frames) < 2 or min(frames[0].shape) < SMALLEST_PX:
        return None
    return float(one_photograph(frames))


def one_photograph(frames: list[np.ndarray]) -> bool:
    """Whether all of these pictures (luma_HW) are views of the same flat one."""
    base, last = 0, np.eye(2, 3)
    for i in range(1, len(frames)):
        move = _move(frames[base], frames[i], last)
        if base < i - 1 and (move is None or not _near(move, frames[0].shape)):
            base, move = i - 1, _move(frames[i - 1], frames[i], np.eye(2, 3))
        if move is None or not _agree(frames[base], frames[i], move):
            return False
        last = move
    return True


def _move(first_HW: np.ndarray, second_HW: np.ndarray, guess: np.ndarray) -> np.ndarray | None:
    """(2, 3): shift, turn and zoom from the first picture to the second, looked for around a guess; None where none is found."""
    points = cv2.goodFeaturesToTrack(first_HW, NUM_POINTS, 0.01, 5)
    if points is None or len(points) < FEW_POINTS:
        return np.eye(2, 3)
    near = cv2.transform(points, guess).astype(np.float32)
    found, there, _ = cv2.calcOpticalFlowPyrLK(
        first_HW, second_HW, points, near, winSize=(15, 15), maxLevel=3, flags=cv2.OPTFLOW_USE_INITIAL_FLOW
    )
    kept = there.ravel() == 1
    if kept.sum() < FEW_POINTS:
        return None
    move, _ = cv2.estimateAffinePartial2D(points[kept], found[kept], method=cv2.RANSAC, ransacReprojThreshold=1.0)
    return None if move is None else np.asarray(move)


def _near(move: np.ndarray, shape: tuple[int, ...]) -> bool:
    zoom = float(np.hypot(move[0, 0], move[1, 0]))
    height, width = shape[:2]
    centre = move @ np.array([width / 2, height / 2, 1]) - (width / 2, height / 2)
    shared = max(0.0, 1 - abs(centre[0]) / width) * max(0.0, 1 - abs(centre[1]) / height)
    return 1 / ZOOM <= zoom <= ZOOM and shared >= OVERLAP


def _agree(first_HW: np.ndarray, second_HW: np.ndarray, move: np.ndarray) -> bool:
    """Whether, with the move undone, nearly each pixel of the second lies within the range of its neighbours in the first."""
    size = first_HW.shape[1], first_HW.shape[0]
    undo = cv2.WARP_INVERSE_MAP | cv2.INTER_LINEAR
    again_HW = cv2.warpAffine(second_HW, move, size, flags=undo)
    inside_HW = cv2.erode(cv2.warpAffine(np.full_like(second_HW, 255), move, size, flags=undo), np.ones((5, 5), np.uint8)) == 255
    if inside_HW.mean() < 0.2:
        return False
    near = np.ones((3, 3), np.uint8)
    above = cv2.subtract(again_HW, cv2.dilate(first_HW, near))
    below = cv2.subtract(cv2.erode(first_HW, near), again_HW)
    unlike = np.count_nonzero((cv2.max(above, below) > LEVELS) & inside_HW)
    return bool(unlike < UNLIKE_SHARE * np.count_nonzero(inside_HW))


def judge(value: float | None, settings: Settings) -> Verdict:
    """Refuses 'still_photo'."""
    return _range.judge(value, None, 0.0 if settings.drop else None, above="still_photo")
