"""How bright the picture is on average."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from curation.features.frame_stats import FRAMES
from curation.filters import _range
from svmbench.media import ClipMedia, Needs
from svmbench.records import Verdict
from svmbench.settings import setting

NEEDS = Needs(frames=(FRAMES,))
NAME_OF_MEASURE = "brightness"
MEASURED_WITH = ()
EVERY_CLIP = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Clips outside [min_mean, max_mean] are dropped."""

    min_mean: float = setting(0.0, low=0, high=1, source="ours")
    max_mean: float = setting(1.0, low=0, high=1, source="ours")


def grey_frames(clip: ClipMedia) -> np.ndarray:
    """Luma of two frames a second inside the box, uint8 of shape (T, H, W), 0 black and 255 white whatever the coded range."""
    images = clip.frames(FRAMES).images
    return np.stack([cv2.cvtColor(np.ascontiguousarray(image), cv2.COLOR_RGB2GRAY) for image in images])


def measure(clip: ClipMedia, settings: Settings) -> float | None:
    """Mean luma (0.299 R + 0.587 G + 0.114 B) of all looked-at frames, in [0, 1]: 0 is black, 1 white."""
    return float(grey_frames(clip).mean() / 255)


def judge(value: float | None, settings: Settings) -> Verdict:
    """Refuses 'too_dark' and 'too_bright'."""
    return _range.judge(value, settings.min_mean, settings.max_mean, below="too_dark", above="too_bright")
