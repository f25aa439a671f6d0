"""How long the clip is. The recipe's search asks for posts of some length; this looks at what was decoded."""

from __future__ import annotations

from dataclasses import dataclass

from svmbench.media import ClipMedia, Needs
from svmbench.records import Verdict
from svmbench.settings import setting

NEEDS = Needs()
NAME_OF_MEASURE = "duration_s"
MEASURED_WITH = ()
EVERY_CLIP = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Clips outside [min_s, max_s] are dropped. Both are ours and let everything pass that the recipe's clip rule lets pass."""

    min_s: float = setting(0.0, low=0, unit="s", source="ours")
    max_s: float = setting(600.0, low=0, unit="s", source="ours")


def measure(clip: ClipMedia, settings: Settings) -> float | None:
    """Seconds."""
    return clip.duration_s


def judge(value: float | None, settings: Settings) -> Verdict:
    if value is None or value < settings.min_s:
        return Verdict(keep=False, reason="too_short", value=value)
    return Verdict(keep=value <= settings.max_s, reason="" if value <= settings.max_s else "too_long", value=value)
