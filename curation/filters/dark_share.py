"""How much of the clip is nearly black: the share of dark pixels over all frames, so half a black picture counts as a half."""

from __future__ import annotations

from dataclasses import dataclass

from curation.features.frame_stats import FRAMES
from curation.filters import _range
from curation.filters.brightness import grey_frames
from svmbench.media import ClipMedia, Needs
from svmbench.records import Verdict
from svmbench.settings import setting

NEEDS = Needs(frames=(FRAMES,))
NAME_OF_MEASURE = "dark_share"
MEASURED_WITH = ()
EVERY_CLIP = True
DARK = 26  # ours: a tenth of white


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Clips that are darker than max_share are dropped; 1 drops none."""

    max_share: float = setting(1.0, low=0, high=1, unit="share of pixels", source="ours")


def measure(clip: ClipMedia, settings: Settings) -> float | None:
    """Share in [0, 1] of the pixels of all looked-at frames whose luma is below a tenth of white."""
    return float((grey_frames(clip) < DARK).mean())


def judge(value: float | None, settings: Settings) -> Verdict:
    """Refuses 'mostly_dark'."""
    return _range.judge(value, None, settings.max_share, above="mostly_dark")
