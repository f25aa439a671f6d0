"""How loud the clip is: integrated loudness after ITU-R BS.1770-4, in LUFS. For clips that can hardly be heard; no label.

It is not to be compared between platforms or used as a label: sites turn uploads up and down, each in its own way.

Measured on the mean of the channels at 16 kHz, which is what the decoder gives, and read as two equal channels. So a mono file
reads as players play it, 3 dB above what a meter for one channel says (as with ffmpeg's ebur128=dualmono=true), and stereo whose
sides differ reads lower, by 3 dB where they have nothing in common. What lies above 8 kHz is not heard: 1.4 dB of pink noise.

The two filters of the K-weighting are those that the standard gives for 48 kHz. They are applied to the spectrum, at the
frequencies that a wave at 16 kHz has, so their response is the standard's at this rate too. (pyloudnorm does the same with
scipy.signal, which takes seconds and 47 MB to import; the tests hold this against it and against ffmpeg's ebur128.)

Axes: N samples, F frequencies, B blocks of 0.4 s.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import scipy.fft

from curation.filters import _range
from curation.spectra import finite_wave
from svmbench.media import ClipMedia, Needs
from svmbench.records import Verdict
from svmbench.settings import setting

HZ = 16_000
STEP = HZ // 10  # samples: blocks of four steps overlap by three quarters (BS.1770-4, annex 1)
STEPS = 4
QUIETEST_LUFS, RELATIVE_LU = -70.0, -10.0  # the gates of BS.1770-4
OFFSET_LU = -0.691  # BS.1770-4, equation 2
FILTER_HZ = 48_000
FILTERS = (  # BS.1770-4, tables 1 and 2: coefficients of z^0, z^-1, z^-2 above and below the line
    (
        (1.53512485958697, -2.69169618940638, 1.19839281085285),
        (1.0, -1.69065929318241, 0.73248077421585),
    ),  # what is high is raised
    ((1.0, -2.0, 1.0), (1.0, -1.99004745483398, 0.99007225036621)),  # what is low is taken out
)
SECTION, BEFORE = 1 << 19, HZ  # ours: samples that are filtered together, and those before them, in which the filters settle
NEEDS = Needs(audio_hz=(HZ,))
NAME_OF_MEASURE = "loudness_lufs"
MEASURED_WITH = ()
EVERY_CLIP = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Clips below min_lufs are dropped; None drops none."""

    min_lufs: float | None = setting(-50.0, low=-70.0, high=0.0, unit="LUFS", source="ours, see docs/sound.md")


def measure(clip: ClipMedia, settings: Settings) -> float | None:
    """Integrated loudness in LUFS, at least -70, below which the standard hears nothing; None for less than 0.4 s of sound."""
    wave = finite_wave(clip, HZ)
    return integrated_lufs(wave) if len(wave) >= STEPS * STEP else None


def integrated_lufs(wave: np.ndarray) -> float:
    """Of a wave at 16 kHz that is at least 0.4 s long, read as two equal channels."""
    steps = np.concatenate([np.square(part).reshape(-1, STEP).sum(axis=1, dtype=float) for part in _weighted(wave)])
    power_B = 2 * np.convolve(steps, np.ones(STEPS), "valid") / (STEPS * STEP)
    loud_B = power_B[power_B > 10 ** ((QUIETEST_LUFS - OFFSET_LU) / 10)]
    if not len(loud_B):
        return QUIETEST_LUFS
    loud_B = loud_B[loud_B > loud_B.mean() * 10 ** (RELATIVE_LU / 10)]
    return float(OFFSET_LU + 10 * np.log10(loud_B.mean()))


def _weighted(wave: np.ndarray) -> list[np.ndarray]:
    """The K-weighted wave in pieces of whole steps; a last step that is not whole is left out."""
    length, pieces = len(wave) // STEP * STEP, []
    size = SECTION // STEP * STEP
    for start in range(0, length, size):
        end, first = min(start + size, length), max(0, start - BEFORE)
        number = scipy.fft.next_fast_len(end - first + BEFORE, real=True)  # so that the filters' end does not come round again
        spectrum_F = scipy.fft.rfft(wave[first:end], number)
        spectrum_F *= _response(number)
        pieces.append(scipy.fft.irfft(spectrum_F, number)[start - first : end - first])
    return pieces


@lru_cache(maxsize=4)
def _response(number: int) -> np.ndarray:
    """(F,) complex64: the K-weighting for a transform of so many samples."""
    turn_F = np.exp(-2j * np.pi * np.arange(number // 2 + 1) * HZ / (number * FILTER_HZ))
    response_F = np.ones(len(turn_F), complex)
    for above, below in FILTERS:
        response_F *= np.polyval(above[::-1], turn_F) / np.polyval(below[::-1], turn_F)
    return response_F.astype(np.complex64)


def judge(value: float | None, settings: Settings) -> Verdict:
    """Refuses 'too_quiet'."""
    return _range.judge(value, settings.min_lufs, None, below="too_quiet")
