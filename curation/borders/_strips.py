"""One side of a clip's frames, laid so that every side is looked at in the same way, and what is true of its lines over time.

Axes: T time, D depth in pixels from the outside in, S samples along the side, C the two chroma planes. Neighbouring pixels along
a side are averaged into SAMPLES to twice as many samples: noise and coding errors shrink, and depth keeps its full resolution.
"""

from __future__ import annotations

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
        step_TDS, steps_DS, size_TD = np.zeros_like(self.step_TDS), np.zeros_like(self.steps_DS), np.zeros_like(self.size_TD)
        step_TDS[:, 1:], steps_DS[1:] = self.step_TDS[:, :0:-1], self.steps_DS[:0:-1]
        size_TD[:, 1:] = self.size_TD[:, :0:-1]
        luma_TDS = np.ascontiguousarray(self.luma_TDS[:, ::-1])
        return Strips(luma_TDS, np.ascontiguousarray(self.chroma_TCDS[:, :, ::-1]), step_TDS, steps_DS, size_TD)


def strips(luma_THW: np.ndarray, chroma_THWC: np.ndarray, *, rows: bool) -> Strips:
    """Seen from above (rows) or from the left."""
    luma_TDS = np.stack([_thinned(image, rows) for image in luma_THW])
    chroma_TCDS = np.stack([np.stack(cv2.split(_thinned(image, rows))) for image in chroma_THWC])
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


def _thinned(image: np.ndarray, rows: bool) -> np.ndarray:
    """image_DS (or DSC): averaged along the side by a whole number of pixels; what is left over at the end is not looked at."""
    height, width = image.shape[:2]
    length = width if rows else height
    factor = max(1, length // SAMPLES)
    number = length // factor
    if rows:
        return cv2.resize(image[:, : number * factor], (number, height), interpolation=cv2.INTER_AREA)
    thin = cv2.resize(image[: number * factor], (width, number), interpolation=cv2.INTER_AREA)
    return cv2.transpose(thin)
