"""How much of the clip is silent. A clip without any audio, or nearly all silent, has no music to match."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from curation.spectra import finite_wave
from svmbench.media import ClipMedia, Needs
from svmbench.records import Verdict
from svmbench.settings import setting

HZ = 16_000
FRAME = 800  # samples, 50 ms; ours
BLOCK = 1000 * FRAME  # ours: samples that are looked at together
NEEDS = Needs(audio_hz=(HZ,))
NAME_OF_MEASURE = "silent_share"
MEASURED_WITH = ("floor_dbfs",)
EVERY_CLIP = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """A frame of 50 ms is silent below floor_dbfs (root mean square, 0 dBFS is amplitude 1); above max_share the clip is
    refused.
    """

    floor_dbfs: float = setting(-50.0, low=-120.0, high=0.0, unit="dBFS", source="ours")
    max_share: float = setting(0.8, low=0.0, high=1.0, source="ours")


def measure(clip: ClipMedia, settings: Settings) -> float | None:
    """Share of the clip's 50 ms frames that are silent, in [0, 1]; None where there is no audio. Samples that are no number
    are silent.
    """
    wave = finite_wave(clip, HZ)
    if not wave.size:
        return None
    threshold, num_silent = 10 ** (settings.floor_dbfs / 10), 0
    for start in range(0, len(wave), BLOCK):
        part = wave[start : start + BLOCK].astype(np.float64)
        whole, rest = part[: len(part) // FRAME * FRAME].reshape(-1, FRAME), part[len(part) // FRAME * FRAME :]
        num_silent += FRAME * int(((whole**2).mean(axis=1) < threshold).sum())
        num_silent += len(rest) * bool(len(rest) and (rest**2).mean() < threshold)
    return num_silent / len(wave)


def judge(value: float | None, settings: Settings) -> Verdict:
    """Refuses 'no_audio' and 'silent'."""
    if value is None:
        return Verdict(keep=False, reason="no_audio", value=None)
    if value > settings.max_share:
        return Verdict(keep=False, reason="silent", value=value)
    return Verdict(keep=True, reason="sound", value=value)
