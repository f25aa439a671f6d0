"""One side of a clip's frames, laid so that every side is looked at in the same way, and what is true of its lines over time.

Axes: T time, D depth in pixels from the outside in, S samples along the side, C the two chroma planes. Neighbouring pixels along
a side are averaged into SAMPLES to twice as many samples: noise and coding errors shrink, and depth keeps its full resolution.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

SAMPLES = 120  # ours: 1 to 9 pixels each, from 180p to 1080p; with half as many, letters run together into what looks like a line
STEP = 4  # ours: a difference between neighbouring lines that is more than a coder's error in an even area
LARGEST = 40  # ours: a larger difference counts as this, so that few strong edges do not outweigh many


@dataclass(frozen=True, slots=True)
class Strips:
    """All frames, line by line inwards from one side. Chroma has half the depth or less.

    step_TDS: 1 where a line differs from the one outside it. steps_DS: in how many frames. size_TD: mean difference in levels.
    """

    luma_TDS: np.ndarray
    chroma_TCDS: np.ndarray
    step_TDS: np.ndarray
    steps_DS: np.ndarray
    size_TD: np.ndarray

    def turned(self) -> Strips:
        """The same seen from the other side."""
        step_TDS, size_TD = np.empty_like(self.step_TDS), np.empty_like(self.size_TD)
        step_TDS[:, 0], size_TD[:, 0] = 0, 0
        step_TDS[:, 1:], size_TD[:, 1:] = self.step_TDS[:, :0:-1], self.size_TD[:, :0:-1]
        luma_TDS = np.ascontiguousarray(self.luma_TDS[:, ::-1])
        return Strips(luma_TDS, np.ascontiguousarray(self.chroma_TCDS[:, :, ::-1]), step_TDS, counted(step_TDS), size_TD)

    def of(self, frames_T: np.ndarray) -> Strips:
        """The same of some frames only."""
        step_TDS = self.step_TDS[frames_T]
        return Strips(self.luma_TDS[frames_T], self.chroma_TCDS[frames_T], step_TDS, counted(step_TDS), self.size_TD[frames_T])


def strips(luma_THW: np.ndarray, chroma_THWC: np.ndarray, *, rows: bool) -> Strips:
    """Seen from above (rows) or from the left."""
    luma_TDS = _thinned(luma_THW, rows)
    split = [cv2.split(image_HWC) for image_HWC in chroma_THWC]
    chroma_TCDS = np.stack([_thinned([planes[plane] for planes in split], rows) for plane in (0, 1)], axis=1)
    number, depth, samples = luma_TDS.shape
    flat = luma_TDS.reshape(-1, samples)
    change = np.zeros_like(flat)
    cv2.absdiff(flat[1:], flat[:-1], dst=change[1:])
    change[::depth] = 0  # the first line of each frame has none outside it
    _, step = cv2.threshold(change, STEP, 1, cv2.THRESH_BINARY)
    size = cv2.reduce(np.minimum(change, LARGEST), 1, cv2.REDUCE_SUM, dtype=cv2.CV_32F).reshape(number, depth) / samples
    step_TDS = step.reshape(luma_TDS.shape)
    return Strips(luma_TDS, chroma_TCDS, step_TDS, counted(step_TDS), size)


def counted(flags_TDS: np.ndarray) -> np.ndarray:
    """In how many frames, uint8 DS."""
    total = flags_TDS[0].copy()
    for flags_DS in flags_TDS[1:]:
        cv2.add(total, flags_DS, dst=total)
    return total


def shares(flags_TDS: np.ndarray) -> np.ndarray:
    """Share of the samples of each line, float32 TD."""
    number, depth, samples = flags_TDS.shape
    return cv2.reduce(flags_TDS.reshape(-1, samples), 1, cv2.REDUCE_SUM, dtype=cv2.CV_32F).reshape(number, depth) / samples


def ranked(values: np.ndarray, share: float) -> float:
    """The value that this share of the values is below; np.percentile interpolates, and takes ten times as long."""
    place = round(share * (values.size - 1))
    return float(np.partition(values, place, axis=None)[place])


def _thinned(images_THW: Sequence[np.ndarray] | np.ndarray, rows: bool) -> np.ndarray:
    """images_TDS: averaged along the side by a whole number of pixels; what is left over at the end is not looked at.

    The lines that are averaged lie side by side in memory, which is several times faster than cv2.resize.
    """
    upright = [cv2.transpose(np.ascontiguousarray(image)) for image in images_THW] if rows else images_THW  # a line is a column
    number, depth = len(upright), upright[0].shape[1]
    factor = max(1, upright[0].shape[0] // SAMPLES)
    samples = upright[0].shape[0] // factor
    flat = np.stack([image[: samples * factor] for image in upright]).reshape(number * samples, factor * depth)
    if factor > 1:
        total = np.add(flat[:, :depth], flat[:, depth : 2 * depth], dtype=np.uint16)
        for line in range(2, factor):
            total += flat[:, line * depth : (line + 1) * depth]
        flat = cv2.convertScaleAbs(total, alpha=1 / factor)
    return np.stack([cv2.transpose(image) for image in flat.reshape(number, samples, depth)])
