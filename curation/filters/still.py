"""How much of the clip stands still: slide shows and single photographs under music have no motion to match.

Adjacent frames are compared four times a second inside the picture's box. A pair is still when hardly a pixel changes by more
than the coder's noise.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from svmbench.media import ClipMedia, FrameNeed, Needs
from svmbench.records import Verdict
from svmbench.settings import setting

PAIRS = FrameNeed(fps=4, short_side_px=160, plane="y", pairs=True)
NEEDS = Needs(frames=(PAIRS,))
NAME_OF_MEASURE = "still_share"

NOISE = 6  # ours: grey levels that coding alone may change
CHANGED_SHARE = 0.001  # ours: a pair with fewer changed pixels is still


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """max_share = 1 only measures and drops nothing."""

    max_share: float = setting(1.0, low=0, high=1, unit="share of frame pairs", source="ours")


def is_still(first_HW: np.ndarray, second_HW: np.ndarray) -> bool:
    """Whether two adjacent frames show the same picture."""
    difference = cv2.absdiff(np.ascontiguousarray(first_HW), np.ascontiguousarray(second_HW))
    return bool(np.count_nonzero(difference > NOISE) < CHANGED_SHARE * difference.size)


def measure(clip: ClipMedia, settings: Settings) -> float | None:
    """Share of still pairs in [0, 1]; None for a clip of one frame."""
    pairs = clip.frames(PAIRS)
    if pairs.next_images is None or not len(pairs.images):
        return None
    return float(np.mean([is_still(a, b) for a, b in zip(pairs.images, pairs.next_images, strict=True)]))


def judge(value: float | None, settings: Settings) -> Verdict:
    if value is None:
        return Verdict(keep=True, reason="", value=None)
    keep = value <= settings.max_share
    return Verdict(keep=keep, reason="" if keep else "still", value=value)
