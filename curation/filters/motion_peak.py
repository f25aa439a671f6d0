"""How fast the fast parts move: the 90th percentile of the displacement over the picture, in frame diagonals a second.

It tells a dancer before a fixed wall, whose mean is small, from a still picture. See the filter `motion` for how it is taken.
"""

from __future__ import annotations

from dataclasses import dataclass

from curation import motion
from curation.filters import _range
from svmbench.media import ClipMedia
from svmbench.records import Verdict
from svmbench.settings import setting

NEEDS = motion.NEEDS
NAME_OF_MEASURE = "motion_p90"
MEASURED_WITH = ()
EVERY_CLIP = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Clips outside [min_p90, max_p90] are dropped; None is no limit."""

    min_p90: float | None = setting(None, low=0, unit="diagonals a second", source="ours")
    max_p90: float | None = setting(None, low=0, unit="diagonals a second", source="ours")


def measure(clip: ClipMedia, settings: Settings) -> float | None:
    """Diagonals a second; None where no two frames of one scene can be compared."""
    return motion.clip_motion(clip).p90


def judge(value: float | None, settings: Settings) -> Verdict:
    """Refuses 'no_fast_part' and 'fast_part'."""
    return _range.judge(value, settings.min_p90, settings.max_p90, below="no_fast_part", above="fast_part")
