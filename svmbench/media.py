"""Probe a file, and decode it once: every consumer says beforehand what it needs, and one pass serves them all.

Axes: T time, H height, W width, C colour, N audio samples.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from svmbench.records import Box


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameNeed:
    """Pictures at a rate (fps) or an evenly spread number (count), scaled so that the short side has short_side_px (None: as coded).

    plane 'y' gives uint8 THW luma, 'rgb' gives uint8 THWC. pairs=True gives for each time the frame and the one that follows it.
    """

    fps: float | None = None
    count: int | None = None
    short_side_px: int | None = None
    plane: Literal["y", "rgb"] = "y"
    pairs: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Needs:
    """What one consumer wants from the decoder."""

    frames: tuple[FrameNeed, ...] = ()
    audio_hz: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """What a file is, read from its container and checked while decoding.

    duration_s is the decoded length where it was decoded, and container_s what the container claims (None if it says nothing).
    width_px and height_px are as shown, after the rotation tag. truncated: clearly less was decoded than claimed.
    """

    width_px: int
    height_px: int
    fps: float | None
    duration_s: float
    container_s: float | None
    video_codec: str | None
    audio_codec: str | None
    audio_s: float
    rotation_deg: int
    truncated: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Frames:
    """Decoded pictures with their times in seconds from the start of the clip; next_* only for pairs."""

    times_s_T: np.ndarray
    images: np.ndarray
    next_times_s_T: np.ndarray | None = None
    next_images: np.ndarray | None = None


class ClipMedia:
    """One decoded clip as filters and features see it. Made by `decode`; holds only what was needed, small enough for memory.

    probe, start_s, end_s, box as attributes. frames(need) -> Frames cut to the box; wave(hz) -> float32 mono of shape (N,), empty
    where the clip has no audio. Asking for something that was not declared in the needs is a programming error (KeyError).
    """

    probe: Probe
    start_s: float
    end_s: float
    box: Box

    def frames(self, need: FrameNeed) -> Frames:
        raise KeyError(need)

    def wave(self, hz: int) -> np.ndarray:
        raise KeyError(hz)

    @property
    def duration_s(self) -> float:
        return self.end_s - self.start_s
