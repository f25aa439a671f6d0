"""How often the sound is clipped: recorded or mastered so loud that its tops are cut off flat.

Counted while decoding, in the file's own channels and at its own rate. Loud masters are clipped on purpose, and lossy coders move
flat tops beyond full scale, where they still count: so this is for a person, and a recipe has to ask for it.
"""

from __future__ import annotations

from dataclasses import dataclass

from svmbench.media import ClipMedia, Needs
from svmbench.records import Verdict
from svmbench.settings import setting

NEEDS = Needs(audio_hz=(16_000,))  # so that the sound is decoded; the filters of the sound ask for the same
NAME_OF_MEASURE = "clipped_runs_per_s"
MEASURED_WITH = ()
EVERY_CLIP = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Clips with more than review_per_s runs are for a person, those with more than max_per_s are dropped; None is no limit."""

    review_per_s: float | None = setting(10.0, low=0, unit="runs a second", source="ours, see docs/sound.md")
    max_per_s: float | None = setting(None, low=0, unit="runs a second", source="ours")


def measure(clip: ClipMedia, settings: Settings) -> float | None:
    """Runs of at least three samples at 0.999 of full scale or beyond, a second, in the channel with most; None without sound."""
    return clip.probe.clipped_runs_per_s


def judge(value: float | None, settings: Settings) -> Verdict:
    """Refuses 'clipped', or leaves it to a person."""
    if value is not None and settings.max_per_s is not None and value > settings.max_per_s:
        return Verdict(keep=False, reason="clipped", value=value)
    if value is not None and settings.review_per_s is not None and value > settings.review_per_s:
        return Verdict(keep=False, reason="clipped", value=value, review=True)
    return Verdict(keep=True, reason="not_measured" if value is None else "", value=value)
