"""Whether the voice sings: for how much of its time it holds a pitch, as notes are held and words are not.

The speech detector cannot tell singing from speech. This can, in part: the pitch of a speaker glides, by ten semitones a second
and more, while a note stays within a semitone for a third of a second. Only frames that the detector takes for speech are looked
at. Rap, chanted words and quick runs are not held, and a held note may be an instrument's behind the voice: so a high share keeps
a clip from being dropped as speech, and proves nothing else.

The pitch is found by autocorrelation with the window's own divided out (P. Boersma, Proc. IFA 17, 1993), below 2.5 kHz.

Axes: N samples, T frames of 16 ms, L lags.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.fft

from curation.filters import _range, speech
from curation.spectra import finite_wave, hann
from svmbench.media import ClipMedia, Needs
from svmbench.records import Verdict
from svmbench.settings import setting

HZ = speech.HZ
WINDOW, HOP, FFT = 1024, 256, 2048  # samples: 64 ms, which holds five periods of 75 Hz; two hops in a frame of the detector
LOW_HZ, HIGH_HZ, TOP_HZ = 75, 800, 2500  # ours: pitches of voices, and harmonics by which they are found
VOICED = 0.6  # ours: autocorrelation of a frame with a pitch, 1 for a steady one without noise
HIGHER = 0.03  # ours, after Boersma's octave cost: of two pitches an octave apart the lower must correlate so much better
HELD_S, HELD_CENTS = 0.3, 100.0  # ours: a note is held for so long, within a semitone
SPEECH = 0.5  # silero-vad's default: probability of a frame that is speech
BLOCK = 1000  # ours: frames that are transformed together
NEEDS = Needs(audio_hz=(HZ,))
NAME_OF_MEASURE = "held_share"
MEASURED_WITH = ()
EVERY_CLIP = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """max_share = 1 only measures and drops nothing; the filter `speech` reads the measure."""

    max_share: float = setting(1.0, low=0.0, high=1.0, unit="share of the voice's time", source="ours")


def measure(clip: ClipMedia, settings: Settings) -> float | None:
    """Share of the speech frames in which a pitch is held, in [0, 1]; None where there is no speech."""
    is_speech = np.repeat(speech.probability(clip) > SPEECH, 2)
    if not is_speech.any():
        return None
    cents_T, strength_T = pitch(finite_wave(clip, HZ), is_speech)
    return float(held(cents_T, is_speech & (strength_T >= VOICED)).sum() / is_speech.sum())


def held(cents_T: np.ndarray, voiced_T: np.ndarray) -> np.ndarray:
    """(T,) whether the frame belongs to a run of at least HELD_S that is voiced and stays within HELD_CENTS."""
    number = round(HELD_S * HZ / HOP)
    held_T = np.zeros(len(cents_T), dtype=bool)
    if len(cents_T) < number:
        return held_T
    runs = np.lib.stride_tricks.sliding_window_view(np.where(voiced_T, cents_T, np.nan), number)
    starts = np.ptp(runs, axis=1) <= HELD_CENTS  # a run with an unvoiced frame is no number, and not within anything
    for shift in range(number):
        held_T[shift : shift + len(starts)] |= starts
    return held_T


def pitch(wave: np.ndarray, wanted_T: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(pitch in cents above 100 Hz, its autocorrelation in [0, 1] or a little above), (T,) each and 0 where not wanted.

    Frame t is centred on the middle of its HOP samples.
    """
    before = (WINDOW - HOP) // 2
    padded = np.pad(wave, (before, max(0, len(wanted_T) * HOP + WINDOW - len(wave))))
    frames_TN = np.lib.stride_tricks.sliding_window_view(padded, WINDOW)[::HOP]
    cents_T, strength_T = np.zeros(len(wanted_T), np.float32), np.zeros(len(wanted_T), np.float32)
    places = np.flatnonzero(wanted_T)
    for start in range(0, len(places), BLOCK):
        part = places[start : start + BLOCK]
        cents_T[part], strength_T[part] = _peak(_autocorrelation(frames_TN[part]))
    return cents_T, strength_T


def _autocorrelation(frames_TN: np.ndarray) -> np.ndarray:
    """(T, L), 1 at lag 0; 0 for frames of silence."""
    own_L = scipy.fft.irfft(np.abs(scipy.fft.rfft(hann(WINDOW), FFT)) ** 2)
    spectra_TF = scipy.fft.rfft((frames_TN - frames_TN.mean(axis=1, keepdims=True)) * hann(WINDOW), FFT, axis=1)
    power_TF = np.square(np.abs(spectra_TF))
    power_TF[:, TOP_HZ * FFT // HZ :] = 0
    number = HZ // LOW_HZ + 2
    found_TL = scipy.fft.irfft(power_TF, axis=1)[:, :number]
    energy_T1 = found_TL[:, :1]
    silent = energy_T1 <= np.finfo(np.float32).tiny
    return np.where(silent, 0, found_TL / np.where(silent, 1, energy_T1)) / (own_L[:number] / own_L[0])


def _peak(found_TL: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The best local maximum of each frame, between the lags by a parabola; correlation 0 where there is none."""
    low, rows = HZ // HIGH_HZ, np.arange(len(found_TL))
    inner = found_TL[:, low:-1]
    peaks = (inner >= found_TL[:, low - 1 : -2]) & (inner > found_TL[:, low + 1 :])
    lags = np.arange(low, found_TL.shape[1] - 1)
    best = np.where(peaks, inner - HIGHER * np.log2(lags / low), -np.inf).argmax(axis=1) + low
    left, top, right = (found_TL[rows, best + shift] for shift in (-1, 0, 1))
    bend = np.minimum(left - 2 * top + right, -np.finfo(np.float32).tiny)
    exact = best + np.clip(0.5 * (left - right) / bend, -0.5, 0.5)
    return 1200 * np.log2(HZ / exact / 100), np.where(peaks.any(axis=1), top, 0)


def judge(value: float | None, settings: Settings) -> Verdict:
    """Refuses 'sung'."""
    return _range.judge(value, None, settings.max_share, above="sung")
