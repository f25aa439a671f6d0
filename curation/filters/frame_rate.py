"""How many pictures a second the clip has, counted while decoding."""

from __future__ import annotations

from dataclasses import dataclass

from curation.filters import _range
from svmbench.media import ClipMedia, Needs
from svmbench.records import Verdict
from svmbench.settings import setting

NEEDS = Needs()
NAME_OF_MEASURE = "fps"
MEASURED_WITH = ()
EVERY_CLIP = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Clips outside [min_fps, max_fps] are dropped; None is no limit."""

    min_fps: float | None = setting(None, low=0, unit="frames a second", source="ours")
    max_fps: float | None = setting(None, low=0, unit="frames a second", source="ours")


def measure(clip: ClipMedia, settings: Settings) -> float | None:
    """Frames a second, the mean where the rate varies; None where neither the frames nor the container tell."""
    return clip.probe.fps


def judge(value: float | None, settings: Settings) -> Verdict:
    """Refuses 'few_frames' and 'many_frames'."""
    return _range.judge(value, settings.min_fps, settings.max_fps, below="few_frames", above="many_frames")
