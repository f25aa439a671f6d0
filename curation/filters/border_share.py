"""How much of the frame is border and cut away while decoding."""

from __future__ import annotations

from dataclasses import dataclass

from curation.filters import _range
from svmbench.media import ClipMedia, Needs
from svmbench.records import Verdict
from svmbench.settings import setting

NEEDS = Needs()
NAME_OF_MEASURE = "border_share"
MEASURED_WITH = ()
EVERY_CLIP = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Clips with more border than max_share are dropped; 1 drops none."""

    max_share: float = setting(1.0, low=0, high=1, unit="share of the frame's area", source="ours")


def measure(clip: ClipMedia, settings: Settings) -> float | None:
    """Share of the frame's area outside the box, in [0, 1)."""
    inside = clip.box.width_px * clip.box.height_px
    return 1 - inside / (clip.probe.width_px * clip.probe.height_px)


def judge(value: float | None, settings: Settings) -> Verdict:
    """Refuses 'much_border'."""
    return _range.judge(value, None, settings.max_share, above="much_border")
