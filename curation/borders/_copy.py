"""Whether what lies outside two lines is a blurred copy of what lies between them: how apps fill a frame of another shape.

They scale the picture about its centre until it covers the frame, blur it, and put the picture in front. So the picture, scaled
and blurred in the same way, goes with what lies outside, whatever was done to its light; no camera films that by chance.

Axes: T time, D depth in pixels from the outside in, S samples along the side, Y and X of a small copy. All numbers are ours.
"""

from __future__ import annotations

import cv2
import numpy as np

FRAMES = 6  # that are compared
DEPTH, ACROSS = 128, 64  # size of the small copy
BLUR = 0.05  # standard deviation of the blur as a share of either side; apps' differ, and the correlation hardly minds
ZOOMS = (1.0, 1.1, 1.2)  # over what covers the frame
LEAST = 8  # lines of the small copy to be copied from


class Copy:
    """The small copies of a clip's frames, and how well the outside of two lines goes with what lies between them."""

    def __init__(self, luma_TDS: np.ndarray) -> None:
        chosen = np.unique(np.linspace(0, len(luma_TDS) - 1, FRAMES).round().astype(int))
        self.depth = luma_TDS.shape[1]
        self.small_TYX = np.stack(
            [cv2.resize(luma_TDS[i], (ACROSS, DEPTH), interpolation=cv2.INTER_AREA).astype(np.float32) for i in chosen]
        )

    def alike(self, one_px: int, two_px: int) -> float:
        """The correlation, of the two sides the lower one, with the zoom that suits best; 0 where there is too little to see."""
        first, last = DEPTH * one_px / self.depth, DEPTH * (self.depth - two_px) / self.depth
        inner = slice(int(np.ceil(first + 1)), int(last - 1))
        outer = slice(1, int(first - 1)), slice(int(np.ceil(last + 1)), DEPTH - 1)
        if inner.stop - inner.start < LEAST or any(part.stop - part.start < 1 for part in outer):
            return 0.0
        blurred = [
            cv2.GaussianBlur(image, (0, 0), sigmaX=BLUR * ACROSS, sigmaY=BLUR * DEPTH, borderType=cv2.BORDER_REPLICATE)
            for image in self.small_TYX[:, inner]
        ]
        best = 0.0
        for zoom in ZOOMS:
            scale = zoom * DEPTH / (last - first)
            middle = (first + last) / 2 - inner.start
            back = np.array(
                [
                    [1 / scale, 0, ACROSS / 2 + (0.5 - ACROSS / 2) / scale - 0.5],
                    [0, 1 / scale, middle + (0.5 - DEPTH / 2) / scale - 0.5],
                ],
                np.float32,
            )
            flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
            copy_TYX = np.stack(
                [cv2.warpAffine(b, back, (ACROSS, DEPTH), flags=flags, borderMode=cv2.BORDER_REPLICATE) for b in blurred]
            )
            best = max(best, min(_correlation(self.small_TYX[:, part], copy_TYX[:, part]) for part in outer))
        return best


def _correlation(one: np.ndarray, two: np.ndarray) -> float:
    """Over all pixels and frames; 0 where one of the two is of one shade."""
    one, two = one - one.mean(), two - two.mean()
    power = float((one * one).mean() * (two * two).mean())
    return float((one * two).mean()) / power**0.5 if power > 0.25 else 0.0
