"""How much the camera moves: the part of the displacement that one shift, turn and zoom of the whole picture explains.

In frame diagonals a second, mean over the pairs. See the filter `motion` for how it is taken.
"""

from __future__ import annotations

from dataclasses import dataclass

from curation import motion
from curation.filters import _range
from svmbench.media import ClipMedia
from svmbench.records import Verdict
from svmbench.settings import setting

NEEDS = motion.NEEDS
NAME_OF_MEASURE = "camera_motion"
MEASURED_WITH = ()
EVERY_CLIP = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Clips outside [min_mean, max_mean] are dropped; None is no limit."""

    min_mean: float | None = setting(None, low=0, unit="diagonals a second", source="ours")
    max_mean: float | None = setting(None, low=0, unit="diagonals a second", source="ours")


def measure(clip: ClipMedia, settings: Settings) -> float | None:
    """Diagonals a second; None where no two frames of one scene can be compared."""
    return motion.clip_motion(clip).camera


def judge(value: float | None, settings: Settings) -> Verdict:
    """Refuses 'steady_camera' and 'restless_camera'."""
    return _range.judge(value, settings.min_mean, settings.max_mean, below="steady_camera", above="restless_camera")
