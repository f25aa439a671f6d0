"""How much of the clip has sound at all: length of the decoded sound by length of the picture."""

from __future__ import annotations

from dataclasses import dataclass

from curation.filters import _range
from svmbench.media import ClipMedia, Needs
from svmbench.records import Verdict
from svmbench.settings import setting

NEEDS = Needs(audio_hz=(16_000,))  # so that the sound is decoded; the filters of the sound ask for the same
NAME_OF_MEASURE = "audio_share"
MEASURED_WITH = ()
EVERY_CLIP = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Clips whose sound is shorter than min_share of the picture are dropped; 0 drops none."""

    min_share: float = setting(0.0, low=0, high=1, unit="share of the clip's length", source="ours")


def measure(clip: ClipMedia, settings: Settings) -> float | None:
    """Share in [0, 1]: 0 without sound, 1 where it lasts at least as long as the picture. Silent sound counts as sound."""
    return min(1.0, clip.probe.audio_s / clip.duration_s) if clip.duration_s > 0 else None


def judge(value: float | None, settings: Settings) -> Verdict:
    """Refuses 'short_audio'."""
    return _range.judge(value, settings.min_share, None, below="short_audio")
