"""Whether the file breaks off: 1 where clearly less was decoded than its header says, or some of the picture is corrupt."""

from __future__ import annotations

from dataclasses import dataclass

from curation.filters import _range
from svmbench.media import ClipMedia, Needs
from svmbench.records import Verdict
from svmbench.settings import setting

NEEDS = Needs()
NAME_OF_MEASURE = "truncated"
MEASURED_WITH = ()
EVERY_CLIP = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """drop = false only flags."""

    drop: bool = setting(False, source="ours")


def measure(clip: ClipMedia, settings: Settings) -> float | None:
    """1 or 0."""
    return float(clip.probe.truncated)


def judge(value: float | None, settings: Settings) -> Verdict:
    """Refuses 'truncated'."""
    return _range.judge(value, None, 0.0 if settings.drop else None, above="truncated")
