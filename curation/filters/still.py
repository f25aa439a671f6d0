"""How much of the clip stands still: slide shows and single photographs under music have no motion to match.

Adjacent frames are compared four times a second inside the picture's box (curation.motion). A pair is still when hardly a pixel
changes by more than the coder's noise.
"""

from __future__ import annotations

from dataclasses import dataclass

from curation import motion
from curation.filters import _range
from svmbench.media import ClipMedia
from svmbench.records import Verdict
from svmbench.settings import setting

NEEDS = motion.NEEDS
NAME_OF_MEASURE = "still_share"
MEASURED_WITH = ()
EVERY_CLIP = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """max_share = 1 only measures and drops nothing."""

    max_share: float = setting(1.0, low=0, high=1, unit="share of frame pairs", source="ours")


def measure(clip: ClipMedia, settings: Settings) -> float | None:
    """Share of still pairs in [0, 1]; None for a clip of one frame."""
    return motion.clip_motion(clip).still_share


def judge(value: float | None, settings: Settings) -> Verdict:
    """Refuses 'still'."""
    return _range.judge(value, None, settings.max_share, above="still")
