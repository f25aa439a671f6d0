"""Motion: dense optical flow between adjacent frames, four pairs a second, summed up for every second of the clip.

UT-CMVMR ("Optical Flow and Rhythm Quantization") takes the mean pixel displacement between adjacent frames from RAFT, without
saying the frame rate or the size. Here DIS (ultrafast preset) runs at a short side of 160, which needs no download and follows
known motion with a rank correlation above .97 (see its test). The displacement is made comparable: divided by the time between
the two frames and by the picture's diagonal. Pairs across a cut are left out, because flow between two scenes means nothing.
Bars are cut off before.

Columns: 0 mean displacement, 1 its 90th percentile over the picture, both in frame diagonals a second; 2 share of still pairs.
Row t covers [t, t + 1) seconds. A second without a usable pair takes the values of the nearest second that has one.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np

from curation.filters.still import PAIRS, is_still
from svmbench.media import ClipMedia, Needs
from svmbench.records import Features

DIM = 3
MODALITY = "video"
NEEDS = Needs(frames=(PAIRS,))
HOP_S = 1.0  # ours

THUMBNAIL = (16, 16)
CUT_LEVEL = 6.0  # ours: across a cut the thumbnails differ by at least this mean grey level
CUT_LIKENESS = 0.5  # ours: and their correlation, about each one's mean, is below this
FAINT = 16.0**2  # ours: added to the variances, so that two nearly black thumbnails do not count as unlike
SMALLEST_PX = 16  # DIS needs a few pixels; a smaller picture counts as without motion


def is_cut(first_HW: np.ndarray, second_HW: np.ndarray) -> bool:
    """Whether two adjacent frames belong to different scenes, told by thumbnails: motion within a scene hardly changes those.

    A flash changes their level but not their pattern, a fast pan the pattern but not all of it.
    """
    a, b = (cv2.resize(image, THUMBNAIL, interpolation=cv2.INTER_AREA).astype(np.float32) for image in (first_HW, second_HW))
    if np.abs(a - b).mean() < CUT_LEVEL:
        return False
    a, b = a - a.mean(), b - b.mean()
    likeness = (a * b).mean() / np.sqrt(((a * a).mean() + FAINT) * ((b * b).mean() + FAINT))
    return bool(likeness < CUT_LIKENESS)


def displacements(first_HW: np.ndarray, second_HW: np.ndarray, dis: Any) -> tuple[float, float]:
    """(mean, 90th percentile) of the displacement between two luma pictures, in diagonals of the picture."""
    height, width = first_HW.shape
    if min(height, width) < SMALLEST_PX:
        return 0.0, 0.0
    flow = dis.calc(first_HW, second_HW, None)
    length_HW = cv2.magnitude(flow[..., 0], flow[..., 1]) / np.hypot(height, width)
    return float(length_HW.mean()), float(np.percentile(length_HW[::2, ::2], 90))


def extract(clip: ClipMedia) -> Features:
    """values_TD of shape (seconds, 3)."""
    pairs = clip.frames(PAIRS)
    num_steps = max(1, int(np.ceil(clip.duration_s / HOP_S - 1e-6)))
    if pairs.next_images is None or pairs.next_times_s_T is None or not len(pairs.images):
        return Features(values_TD=np.array([[0.0, 0.0, 1.0]] * num_steps, np.float32), hop_s=HOP_S)
    dis: Any = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_ULTRAFAST)
    rows: list[tuple[int, float, float, float]] = []
    for start_s, end_s, first, second in zip(pairs.times_s_T, pairs.next_times_s_T, pairs.images, pairs.next_images, strict=True):
        first, second = np.ascontiguousarray(first), np.ascontiguousarray(second)
        if is_cut(first, second):
            continue
        mean, high = displacements(first, second, dis)
        lasts_s = end_s - start_s
        rows.append((min(int(start_s / HOP_S), num_steps - 1), mean / lasts_s, high / lasts_s, float(is_still(first, second))))
    return Features(values_TD=_by_second(rows, num_steps), hop_s=HOP_S)


def _by_second(rows: list[tuple[int, float, float, float]], num_steps: int) -> np.ndarray:
    """The mean of the pairs of each second; seconds without a pair take the nearest one's."""
    if not rows:
        return np.tile(np.array([0.0, 0.0, 1.0], np.float32), (num_steps, 1))
    table = np.array(rows)
    seconds = np.unique(table[:, 0])
    means = np.stack([table[table[:, 0] == second, 1:].mean(axis=0) for second in seconds])
    nearest = np.abs(np.arange(num_steps)[:, None] - seconds[None, :]).argmin(axis=1)
    return means[nearest].astype(np.float32)
