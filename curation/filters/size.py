"""How large the picture inside the border is: its shorter side in pixels."""

from __future__ import annotations

from dataclasses import dataclass

from curation.filters import _range
from svmbench.media import ClipMedia, Needs
from svmbench.records import Verdict
from svmbench.settings import setting

NEEDS = Needs()
NAME_OF_MEASURE = "short_side_px"
MEASURED_WITH = ()
EVERY_CLIP = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Clips whose shorter side lies outside [min_px, max_px] are dropped; None is no limit."""

    min_px: float | None = setting(None, low=1, unit="px", source="ours")
    max_px: float | None = setting(None, low=1, unit="px", source="ours")


def measure(clip: ClipMedia, settings: Settings) -> float | None:
    """Pixels of the file, as shown."""
    return float(min(clip.box.width_px, clip.box.height_px))


def judge(value: float | None, settings: Settings) -> Verdict:
    """Refuses 'too_small' and 'too_large'."""
    return _range.judge(value, settings.min_px, settings.max_px, below="too_small", above="too_large")
