"""The shape of the picture inside the border: its width divided by its height."""

from __future__ import annotations

from dataclasses import dataclass

from curation.filters import _range
from svmbench.media import ClipMedia, Needs
from svmbench.records import Verdict
from svmbench.settings import setting

NEEDS = Needs()
NAME_OF_MEASURE = "aspect"
MEASURED_WITH = ()
EVERY_CLIP = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Clips whose shape lies outside [min_aspect, max_aspect] are dropped; 9:16 is 0.5625. None is no limit."""

    min_aspect: float | None = setting(None, low=0, unit="width / height", source="ours")
    max_aspect: float | None = setting(None, low=0, unit="width / height", source="ours")


def measure(clip: ClipMedia, settings: Settings) -> float | None:
    """Width by height, as shown; pixels that are not square are not made square."""
    return clip.box.width_px / clip.box.height_px


def judge(value: float | None, settings: Settings) -> Verdict:
    """Refuses 'too_narrow' and 'too_wide'."""
    return _range.judge(value, settings.min_aspect, settings.max_aspect, below="too_narrow", above="too_wide")
