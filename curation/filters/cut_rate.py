"""How often the picture is cut: cuts a minute.

Eight times a second the picture inside the box is compared with the one before. A cut changes where things are (thumbnails no
longer correlate) and at the same moment which greys there are, wherever they are (histograms), and it stands alone: motion goes
on changing the thumbnail and leaves most greys, a flash comes back to the picture before it. Two cuts within an eighth of a
second count as one; slow dissolves and fades are not found.

Axes: T frames, H height, W width, P pixels of a thumbnail, G steps of grey.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from weakref import WeakKeyDictionary

import cv2
import numpy as np

from curation.filters import _range
from svmbench.media import ClipMedia, FrameNeed, Needs
from svmbench.records import Verdict
from svmbench.settings import setting

FRAMES = FrameNeed(fps=8, short_side_px=160, plane="y")  # ours; every second one is decoded for the motion as well
NEEDS = Needs(frames=(FRAMES,))
NAME_OF_MEASURE = "cuts_per_min"
MEASURED_WITH = ()
EVERY_CLIP = True

THUMBNAIL, GREYS = (16, 16), 32
LEVEL = 6.0  # ours: across a cut the thumbnails differ by at least this mean grey level
LIKENESS = 0.5  # ours: and their correlation, each about its mean, is below this
FAINT = 16.0**2  # ours: added to the variances, so that two nearly black thumbnails do not count as unlike
NEW_GREYS = 0.012  # ours: and the cumulated histograms are this far apart, in the mean over the steps of grey
ALONE = 3.0  # ours: which is so many times what is usual in the quarter of a second on either side
RETURNED = 0.5  # ours: and which is not undone to this share within a quarter of a second

_of_clip: WeakKeyDictionary[ClipMedia, tuple[float, ...]] = WeakKeyDictionary()  # the measure and the table ask both


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Clips outside [min_per_min, max_per_min] are dropped; no limit where None."""

    min_per_min: float | None = setting(None, low=0, unit="cuts a minute", source="ours")
    max_per_min: float | None = setting(None, low=0, unit="cuts a minute", source="ours")


def cut_times(clip: ClipMedia) -> tuple[float, ...]:
    """Seconds from the start of the clip: for each cut the first looked-at frame after it, at most an eighth of a second late."""
    if clip not in _of_clip:
        frames = clip.frames(FRAMES)
        _of_clip[clip] = tuple(float(frames.times_s_T[i]) for i in cuts_at(frames.images))
    return _of_clip[clip]


def cuts_at(luma_THW: np.ndarray) -> list[int]:
    """Indices of the frames that come right after a cut."""
    if len(luma_THW) < 2:
        return []
    small_TP, greys_TG = (np.stack([read(np.ascontiguousarray(image)) for image in luma_THW]) for read in (_small, _greys))
    centred_TP = small_TP - small_TP.mean(axis=1, keepdims=True)
    spread_T = (centred_TP**2).mean(axis=1) + FAINT
    likeness = (centred_TP[1:] * centred_TP[:-1]).mean(axis=1) / np.sqrt(spread_T[1:] * spread_T[:-1])
    unlike = (np.abs(np.diff(small_TP, axis=0)).mean(axis=1) >= LEVEL) & (likeness < LIKENESS)
    change = np.abs(np.diff(greys_TG, axis=0)).mean(axis=1)
    return [
        i + 1
        for i in np.flatnonzero(unlike & (change >= NEW_GREYS)).tolist()
        if change[i] >= ALONE * _usual(change, i) and not _flash(greys_TG, small_TP, i)
    ]


def _small(image_HW: np.ndarray) -> np.ndarray:
    rows, columns = (_areas(size, steps) for size, steps in zip(image_HW.shape, THUMBNAIL, strict=True))
    return np.asarray(rows @ image_HW.astype(np.float32) @ columns.T).ravel()


@lru_cache
def _areas(size: int, steps: int) -> np.ndarray:
    """Weights of shape (steps, size) by which a line of pixels becomes the means of so many equal stretches."""
    ends, pixels = np.linspace(0, size, steps + 1)[:, None], np.arange(size)
    covered = np.minimum(pixels + 1, ends[1:]) - np.maximum(pixels, ends[:-1])
    return np.asarray(np.maximum(covered, 0) * steps / size, np.float32)


def _greys(image_HW: np.ndarray) -> np.ndarray:
    """The histogram, cumulated: a shift of the brightness then counts by how far it goes."""
    some_HW = np.ascontiguousarray(image_HW[::2, ::2])
    return np.asarray(np.cumsum(cv2.calcHist([some_HW], [0], None, [GREYS], [0, 256]).ravel()) / some_HW.size)


def _usual(change: np.ndarray, i: int) -> float:
    """The median of the two changes before and the two after."""
    around = np.concatenate([change[max(0, i - 2) : i], change[i + 1 : i + 3]])
    return float(np.median(around)) if len(around) else 0.0


def _flash(greys_TG: np.ndarray, small_TP: np.ndarray, i: int) -> bool:
    """Whether the picture before the jump (frame i) comes back, or the jump ends a picture that had come for a moment only."""
    for values in (greys_TG, small_TP):
        jump = np.abs(values[i + 1] - values[i]).mean()
        back = [np.abs(values[k] - values[i]).mean() for k in (i + 2, i + 3) if k < len(values)]
        back += [np.abs(values[i + 1] - values[k]).mean() for k in (i - 1, i - 2) if k >= 0]
        if not back or min(back) >= RETURNED * jump:
            return False
    return True


def measure(clip: ClipMedia, settings: Settings) -> float | None:
    """Cuts a minute; None for a clip of one frame."""
    if len(clip.frames(FRAMES).images) < 2:
        return None
    return 60 * len(cut_times(clip)) / clip.duration_s


def judge(value: float | None, settings: Settings) -> Verdict:
    """Refuses 'few_cuts' and 'many_cuts'."""
    return _range.judge(value, settings.min_per_min, settings.max_per_min, below="few_cuts", above="many_cuts")
