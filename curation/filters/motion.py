"""How much moves: the mean displacement of the picture's points between adjacent frames, in frame diagonals a second.

Dense optical flow four times a second inside the picture's box, pairs across cuts left out (curation.motion). Camera and objects
count together.
"""

from __future__ import annotations

from dataclasses import dataclass

from curation import motion
from curation.filters import _range
from svmbench.media import ClipMedia
from svmbench.records import Verdict
from svmbench.settings import setting

NEEDS = motion.NEEDS
NAME_OF_MEASURE = "motion_mean"
MEASURED_WITH = ()
EVERY_CLIP = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Clips outside [min_mean, max_mean] are dropped; None is no limit."""

    min_mean: float | None = setting(None, low=0, unit="diagonals a second", source="ours")
    max_mean: float | None = setting(None, low=0, unit="diagonals a second", source="ours")


def measure(clip: ClipMedia, settings: Settings) -> float | None:
    """Diagonals a second; None where no two frames of one scene can be compared."""
    return motion.clip_motion(clip).mean


def judge(value: float | None, settings: Settings) -> Verdict:
    """Refuses 'little_motion' and 'much_motion'."""
    return _range.judge(value, settings.min_mean, settings.max_mean, below="little_motion", above="much_motion")
