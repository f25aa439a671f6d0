"""How much later than the picture the sound begins: a file that was cut without care has sound that comes late or early."""

from __future__ import annotations

from dataclasses import dataclass

from curation.filters import _range
from svmbench.media import ClipMedia, Needs
from svmbench.records import Verdict
from svmbench.settings import setting

NEEDS = Needs(audio_hz=(16_000,))  # so that the sound is decoded; the filters of the sound ask for the same
NAME_OF_MEASURE = "audio_offset_s"
MEASURED_WITH = ()
EVERY_CLIP = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Clips whose sound begins more than max_s before or after the picture are dropped; None drops none."""

    max_s: float | None = setting(None, low=0, unit="s", source="ours")


def measure(clip: ClipMedia, settings: Settings) -> float | None:
    """Seconds from the first picture to the first sample, negative where the sound comes first; None without sound.

    Waves and pictures of a clip are already laid side by side with this offset; it is kept as a sign of a careless cut.
    """
    return clip.probe.audio_offset_s


def judge(value: float | None, settings: Settings) -> Verdict:
    """Refuses 'late_audio' and 'early_audio'."""
    low = None if settings.max_s is None else -settings.max_s
    return _range.judge(value, low, settings.max_s, below="early_audio", above="late_audio")
