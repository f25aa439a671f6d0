"""Motion vectors as the codec has them: where each block of a frame was taken from. They cost next to nothing and are coarse.

Encoders choose them to save bits, not to follow motion, so they tell a still picture from a moving one and little more. Only
H.264 and the MPEG family give them; key frames have none. Axes: T frames.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from av.sidedata.sidedata import Type

from svmbench.pictures import SOON_S


@dataclass(frozen=True, slots=True, kw_only=True)
class Vectors:
    """One row for each frame that has vectors, all float64 of shape (T,).

    times_s_T: seconds from the start of the clip. mean_px_T: mean length of the vectors in coded pixels, blocks weighted by their
    area. moving_share_T: share of the area with vectors whose vector is not zero, in [0, 1].
    """

    times_s_T: np.ndarray
    mean_px_T: np.ndarray
    moving_share_T: np.ndarray


class VectorTaker:
    """Sums up the vectors of each frame while the frames go by."""

    def __init__(self) -> None:
        self.rows: list[tuple[float, float, float]] = []

    def offer(self, at_s: float, frame: Any) -> None:
        data = frame.side_data.get(Type.MOTION_VECTORS)
        if data is None or not len(data):
            return
        blocks = data.to_ndarray()
        area = blocks["w"].astype(np.float64) * blocks["h"]
        length = np.hypot(blocks["motion_x"], blocks["motion_y"]) / np.maximum(blocks["motion_scale"], 1)
        whole = area.sum() or 1.0
        self.rows.append((at_s, float((length * area).sum() / whole), float(area[length > 0].sum() / whole)))

    def vectors(self, start_s: float = 0.0, end_s: float = float("inf")) -> Vectors | None:
        """Of the frames within, timed from start_s. None where no frame had any: the codec gives none."""
        rows = [row for row in self.rows if start_s - SOON_S <= row[0] < end_s - SOON_S]
        if not rows:
            return None
        times, means, shares = np.array(rows, np.float64).T
        return Vectors(times_s_T=times - start_s, mean_px_T=means, moving_share_T=shares)
