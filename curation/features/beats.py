"""Beats of the music, and five numbers on them for every four seconds.

The tracker is the dynamic programming of Ellis 2007 (Beat tracking by dynamic programming, Journal of New Music Research
36.1) with the onset strength, tempo estimate and constants of librosa 0.11's `beat_track`, which UT-CMVMR (arXiv 2309.09421)
used; the tests demand the same beat frames. It runs on numpy and scipy alone, so no worker waits for a compiler.

The whole clip is tracked once and the beats are then cut into segments of 4 s (UT-CMVMR's segments): tracked segment by
segment, half as many segments get their exact number of beats. The tracker finds beats in any sound, rain included, and it
may lock to half or twice the tempo; `confidence` says how regular the onsets are at the beat's period.

Axes: T onset frames (32 ms each), L lags.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import scipy.fft

from curation.spectra import (
    BLOCK,
    FRAMES_CACHED,
    clip_power_blocks,
    decibels,
    framed,
    heard_wave,
    in_bands,
    mel_bank,
    power_blocks,
    steps,
)
from svmbench.media import ClipMedia, Needs
from svmbench.records import Features

HZ = 16_000  # UT-CMVMR resamples to 16 kHz
HOP = 512  # samples; librosa's default
N_FFT = 2048  # librosa's default
NUM_BANDS = 128  # librosa's default
FRAMES_PER_S = HZ / HOP
SEGMENT_S = 4.0  # UT-CMVMR
TEMPOGRAM_LEN = 250  # frames, 8 s: librosa's ac_size
PRIOR_BPM = 120.0  # librosa: log-normal prior of one octave's width around this tempo
MAX_BPM = 320.0  # librosa
TIGHTNESS = 100.0  # librosa: how strongly the intervals keep to the tempo

DIM = 5  # count, mean strength, mean interval in s, tempo in beats a minute, confidence
MODALITY = "music"
NEEDS = Needs(audio_hz=(HZ,))


@dataclass(frozen=True, slots=True)
class Beats:
    """The beats of one wave: tempo_bpm is 0 where no onset was found; times_s ascending; strengths in dB an onset frame.

    confidence in [0, 1]: see `pulse_clarity`.
    """

    tempo_bpm: float
    times_s: np.ndarray
    strengths: np.ndarray
    confidence: float


def extract(clip: ClipMedia) -> Features:
    """One row of five numbers for every segment of 4 s; the last may be shorter (see curation.spectra.steps).

    count: beats in the segment. strength: mean onset strength on them. interval: mean seconds between them, 0 with fewer than
    two. tempo and confidence are those of the whole clip, repeated.
    """
    wave = heard_wave(clip, HZ)
    beats = _tracked(_onsets(clip_power_blocks(clip, (HZ, N_FFT, HOP))))
    rows = []
    for start_s, end_s in steps(len(wave) / HZ, SEGMENT_S):
        inside = (beats.times_s >= start_s) & (beats.times_s < end_s)
        times_s, strengths = beats.times_s[inside], beats.strengths[inside]
        strength = strengths.mean() if len(strengths) else 0.0
        interval_s = np.diff(times_s).mean() if len(times_s) > 1 else 0.0
        rows.append([len(times_s), strength, interval_s, beats.tempo_bpm, beats.confidence])
    return Features(values_TD=np.array(rows, dtype=np.float32), hop_s=SEGMENT_S)


def track(wave: np.ndarray, hz: int) -> Beats:
    """The beats of a finite mono wave at 16 kHz (another rate is refused)."""
    if hz != HZ:
        raise ValueError(f"beats are tracked at {HZ} Hz, not at {hz}")
    return _tracked(onset_strength(wave))


def _tracked(onset_T: np.ndarray) -> Beats:
    if not onset_T.any():
        return Beats(tempo_bpm=0.0, times_s=np.zeros(0), strengths=np.zeros(0), confidence=0.0)
    lag, tempo_bpm = tempo(onset_T)
    beats = beat_frames(onset_T, tempo_bpm)
    return Beats(
        tempo_bpm=tempo_bpm, times_s=beats / FRAMES_PER_S, strengths=onset_T[beats], confidence=pulse_clarity(onset_T, lag)
    )


def onset_strength(wave: np.ndarray) -> np.ndarray:
    """(T,) float32: the median over 128 mel bands of how many dB each rose since the frame before, falls counting 0.

    Shifted by half a window, so that an onset stands where it is heard and not where the window first touches it.
    """
    return _onsets(power_blocks(wave, N_FFT, HOP))


def _onsets(blocks: Iterable[tuple[np.ndarray, slice]]) -> np.ndarray:
    """onset_strength from the power."""
    mel_db = decibels(np.concatenate([in_bands(power_TF, mel_bank(HZ, N_FFT, NUM_BANDS)) for power_TF, _ in blocks]))
    onset_T = np.zeros(len(mel_db), np.float32)
    shift, middle = 1 + N_FFT // (2 * HOP), NUM_BANDS // 2
    for start in range(0, max(0, len(mel_db) - shift), BLOCK):
        rises = np.maximum(0, np.diff(mel_db[start : start + BLOCK + 1], axis=0))
        rises.sort(axis=1)  # NumPy sorts faster than it finds the middle
        part = onset_T[start + shift :][: len(rises)]
        part[:] = ((rises[:, middle - 1] + rises[:, middle]) / 2)[: len(part)]
    return onset_T


def tempo(onset_T: np.ndarray) -> tuple[int, float]:
    """(lag in frames, beats a minute): the most likely period of the onsets under a log-normal prior around 120."""
    half = TEMPOGRAM_LEN // 2
    padded = np.pad(onset_T, half, mode="linear_ramp", end_values=0)
    size = scipy.fft.next_fast_len(2 * TEMPOGRAM_LEN - 1, real=True)
    sum_L = np.zeros(TEMPOGRAM_LEN)
    all_TL = framed(padded, TEMPOGRAM_LEN, 1)[: len(onset_T)]
    for start in range(0, len(onset_T), FRAMES_CACHED):
        frames_TL = all_TL[start : start + FRAMES_CACHED]
        spectra = scipy.fft.rfft(frames_TL * _tempogram_window(), n=size, axis=1)
        corr_TL = scipy.fft.irfft(spectra.real**2 + spectra.imag**2, n=size, axis=1)[:, :TEMPOGRAM_LEN]
        peak_T = np.abs(corr_TL).max(axis=1, keepdims=True)
        sum_L += (corr_TL / np.where(peak_T < np.finfo(float).tiny, 1, peak_T)).sum(axis=0)
    mean_L = sum_L / len(onset_T)
    bpm_L = 60 * FRAMES_PER_S / np.arange(1, TEMPOGRAM_LEN)
    prior_L = np.where(bpm_L < MAX_BPM, -0.5 * np.log2(bpm_L / PRIOR_BPM) ** 2, -np.inf)
    best = int(np.argmax(np.log1p(1e6 * mean_L[1:]) + prior_L))
    return best + 1, float(bpm_L[best])


def _tempogram_window() -> np.ndarray:
    return 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(TEMPOGRAM_LEN) / TEMPOGRAM_LEN)


def beat_frames(onset_T: np.ndarray, tempo_bpm: float) -> np.ndarray:
    """Indices of the onset frames that are beats: the chain that best joins strong onsets and even intervals."""
    period = float(np.round(60 * FRAMES_PER_S / tempo_bpm))
    score_T = _local_score(onset_T, period)
    back_T, total_T = _best_chains(score_T, period)
    beats = [_last_beat(total_T)]
    while back_T[beats[-1]] >= 0:
        beats.append(int(back_T[beats[-1]]))
    chain = np.array(beats[::-1])
    sounding = np.flatnonzero(score_T > 0)
    return chain[(chain >= sounding[0]) & (chain <= sounding[-1])]


def _local_score(onset_T: np.ndarray, period: float) -> np.ndarray:
    """Onsets in units of their standard deviation, smoothed by a Gaussian of 1/32 of the period."""
    scaled = onset_T / (onset_T.std(ddof=1) + np.finfo(onset_T.dtype).tiny)
    window = np.exp(-0.5 * (np.arange(-period, period + 1) * 32 / period) ** 2)
    return np.convolve(scaled, window)[len(window) // 2 :][: len(onset_T)]


def _best_chains(score_T: np.ndarray, period: float) -> tuple[np.ndarray, np.ndarray]:
    """For every frame the frame of the beat before it (-1: none) and the best total score of a chain that ends in it."""
    gaps = np.arange(int(np.round(period / 2)), int(2 * period) + 1)
    cost = TIGHTNESS * (np.log(gaps) - np.log(period)) ** 2
    first, last = int(gaps[0]), int(gaps[-1])
    totals = np.full(last + len(score_T), -np.inf)  # of the frames, after as many as the longest gap reaches back
    back_T = np.full(len(score_T), -1)
    for start in range(0, len(score_T), first):  # as many frames together as need none of each other
        scores = score_T[start : start + first]
        before = framed(totals[start : start + len(scores) + last - first], len(gaps), 1)[:, ::-1] - cost
        nearest = np.argmax(before, axis=1)
        best = before[np.arange(len(scores)), nearest]
        found = best > -np.inf
        back_T[start : start + len(scores)] = np.where(found, np.arange(start, start + len(scores)) - gaps[nearest], -1)
        totals[last + start :][: len(scores)] = scores + np.where(found, best, 0)
    back_T[: np.argmax(score_T >= 0.01 * score_T.max())] = -1  # no beat before the first onset that counts
    return back_T, totals[last:]


def _last_beat(total_T: np.ndarray) -> int:
    """The last local maximum that reaches half the median of the local maxima; the last frame where there is none."""
    after = np.append(total_T[1:], -np.inf)
    peaks = np.flatnonzero((total_T[1:] > total_T[:-1]) & (total_T[1:] >= after[1:])) + 1
    if not len(peaks):
        return len(total_T) - 1
    return int(peaks[total_T[peaks] >= 0.5 * np.median(total_T[peaks])][-1])


def pulse_clarity(onset_T: np.ndarray, lag: int) -> float:
    """How regular the onsets are, in [0, 1]: autocorrelation of the centred onset strength at the beat's period over that at
    lag 0.
    """
    centred = onset_T - onset_T.mean()
    energy = float(centred @ centred)
    if lag >= len(centred) or energy <= 0:
        return 0.0
    return float(np.clip((centred[lag:] @ centred[:-lag]) / energy, 0, 1))
