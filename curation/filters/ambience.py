"""How much of the clip's energy is tonal: rain, wind, traffic and crowds have no lasting tones, music does.

SVM-10K (arXiv 2405.09286, section 3.1) removed clips with dominant sounds of the surroundings by hand, and M2M kept 2,000 of
them on purpose, so a recipe chooses. The measure is ours: the share of the energy that lies in spectral peaks which stand
out of their neighbourhood and last. Speech lacks lasting tones as well: list this filter after `speech`, so that the reason
of a drop is right. Music made of nothing but unpitched percussion or noise scores low: what is a little tonal is for a person.
docs/sound.md has what was measured.

Axes: T frames of 32 ms, F frequency bins of 7.8 Hz up to 4 kHz.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from curation.medians import running_median
from curation.spectra import clip_power_blocks, finite_wave
from svmbench.media import ClipMedia, Needs
from svmbench.records import Verdict
from svmbench.settings import setting

HZ = 16_000
N_FFT, HOP = 2048, 512  # samples; ours, the grid of the beat tracker
TOP_BIN = N_FFT // 4  # 4 kHz; ours: tones above carry little of music's energy
NEIGHBOURS = 31  # bins, 240 Hz; ours
NEEDS = Needs(audio_hz=(HZ,))
NAME_OF_MEASURE = "tonal_share"
MEASURED_WITH = ("prominence_db", "num_frames")
EVERY_CLIP = True
READS = ("speech_share",)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """A peak stands prominence_db above the median of its neighbourhood and lasts num_frames. Clips with keep_share of such
    energy are kept; those with less than min_share, and speech in at most speech_max of the time, are dropped; all else is for a
    person.
    """

    min_share: float = setting(0.10, low=0.0, high=1.0, source="ours, see docs/sound.md")
    keep_share: float = setting(0.40, low=0.0, high=1.0, source="ours, see docs/sound.md")
    speech_max: float = setting(0.03, low=0.0, high=1.0, source="ours, as in the filter speech")
    prominence_db: float = setting(6.0, low=0.0, high=60.0, unit="dB", source="ours")
    num_frames: int = setting(5, low=1, high=100, unit="frames of 32 ms", source="ours")


def measure(clip: ClipMedia, settings: Settings) -> float | None:
    """Share of the energy below 4 kHz in lasting peaks, in [0, 1]; None where there is no sound, or less than num_frames of
    it.
    """
    wave = finite_wave(clip, HZ)
    if not wave.any() or 1 + len(wave) // HOP < settings.num_frames:
        return None
    energy = tonal = 0.0
    for whole_TF, own in clip_power_blocks(clip, (HZ, N_FFT, HOP), margin=settings.num_frames - 1):
        power_TF = whole_TF[:, :TOP_BIN]
        tones_TF = _lasting(_peaks(power_TF, settings.prominence_db), settings.num_frames)
        energy += float(power_TF[own].sum(dtype=float))
        tonal += float(power_TF[own][tones_TF[own]].sum(dtype=float))
    return tonal / energy if energy > 0 else None


def judge(value: float | None, settings: Settings, others: Mapping[str, float | None]) -> Verdict:
    """Drops 'ambience'; 'noisy' is for a person. What could not be measured is kept: the silence filter refuses clips without
    sound. Where it is not known whether somebody speaks, nothing is dropped: speech is not tonal either.
    """
    if value is None:
        return Verdict(keep=True, reason="not_measured", value=None)
    if value >= settings.keep_share:
        return Verdict(keep=True, reason="tonal", value=value)
    speech = others.get("speech_share")
    if value < settings.min_share and speech is not None and speech <= settings.speech_max:
        return Verdict(keep=False, reason="ambience", value=value)
    return Verdict(keep=False, reason="noisy", value=value, review=True)


def _peaks(power_TF: np.ndarray, prominence_db: float) -> np.ndarray:
    """Bins that are prominent local maxima over frequency, and the bin on either side: a tone may glide by a bin from frame
    to frame.
    """
    inner = power_TF[:, 1:-1]
    above = inner > 10 ** (prominence_db / 10) * running_median(power_TF, NEIGHBOURS, axis=1)[:, 1:-1]
    peaks = (inner > power_TF[:, :-2]) & (inner >= power_TF[:, 2:]) & above
    wide_TF = np.zeros(power_TF.shape, dtype=bool)
    for shift in range(3):
        wide_TF[:, shift : shift + peaks.shape[1]] |= peaks
    return wide_TF


def _lasting(bins_TF: np.ndarray, num_frames: int) -> np.ndarray:
    """Those that belong to a run of at least num_frames set frames of the same bin."""
    num_starts = len(bins_TF) - num_frames + 1
    starts = np.ones((num_starts, bins_TF.shape[1]), dtype=bool)
    for shift in range(num_frames):
        starts &= bins_TF[shift : shift + num_starts]
    lasting_TF = np.zeros_like(bins_TF)
    for shift in range(num_frames):
        lasting_TF[shift : shift + num_starts] |= starts
    return lasting_TF
