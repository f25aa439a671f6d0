"""The beat tracker: onset strength, tempo, and the chain of beats, on numpy and scipy alone: no worker waits for a compiler.

The dynamic programming of Ellis 2007 (Beat tracking by dynamic programming, Journal of New Music Research 36.1) with the onset
strength, tempo estimate and constants of librosa 0.11's `beat_track`, which UT-CMVMR (arXiv 2309.09421) used; the tests demand
the same beat frames. The spectra have 32 bits where librosa's partly have 64, so that of two chains that are equally good to
one part in a million the other may win: docs/performance.md says how often. The confidence is ours; librosa has none.

Axes: T onset frames (32 ms each), L lags, M mel bands, G gaps.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import scipy.fft

from curation.spectra import BLOCK, FRAMES_CACHED, decibels, framed, in_bands, mel_bank, power_blocks

HZ = 16_000  # UT-CMVMR resamples to 16 kHz
HOP = 512  # samples; librosa's default
N_FFT = 2048  # librosa's default
NUM_BANDS = 128  # librosa's default
FRAMES_PER_S = HZ / HOP
TEMPOGRAM_LEN = 250  # frames, 8 s: librosa's ac_size
PRIOR_BPM = 120.0  # librosa: log-normal prior of one octave's width around this tempo
MAX_BPM = 320.0  # librosa
TIGHTNESS = 100.0  # librosa: how strongly the intervals keep to the tempo
LOUD_DB = 50.0  # ours: what is so far below the loudest band does not count for the confidence
PULSE_LAGS = range(8, 63)  # frames, 234 to 30 beats a minute; ours

Summary = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True, slots=True)
class Beats:
    """The beats of one wave: tempo_bpm is 0 where no onset was found; times_s ascending; strengths in dB an onset frame.

    confidence in [0, 1]: see `pulse`.
    """

    tempo_bpm: float
    times_s: np.ndarray
    strengths: np.ndarray
    confidence: float


def median(rises_TM: np.ndarray) -> np.ndarray:
    """(T,): the median over the bands; librosa's `beat_track` asks for it. Sorts in place."""
    rises_TM.sort(axis=1)  # NumPy sorts faster than it finds the middle
    return (rises_TM[:, NUM_BANDS // 2 - 1] + rises_TM[:, NUM_BANDS // 2]) / 2


def mean(rises_TM: np.ndarray) -> np.ndarray:
    """(T,): the mean over the bands; librosa's `onset_strength` has it when it is asked for nothing else."""
    return rises_TM.mean(axis=1)


def track(wave: np.ndarray) -> Beats:
    """The beats of a finite mono wave at 16 kHz."""
    return track_power(power_blocks(wave, N_FFT, HOP))


def track_power(blocks: Iterable[tuple[np.ndarray, slice]]) -> Beats:
    """`track` from the power that curation.spectra.power_blocks gives at N_FFT and HOP."""
    return _tracked(_in_bands(blocks), median, trim=False)


def track_each(waves: Sequence[np.ndarray], summary: Summary, *, trim: bool) -> list[Beats]:
    """The beats of some short waves, each on its own; their bands are summed up together, which is faster.

    summary: `median` or `mean` over the bands. trim: leave out the weak beats at either end.
    """
    power_TF = np.concatenate([power_TF for wave in waves for power_TF, _ in power_blocks(wave, N_FFT, HOP)])
    ends = np.cumsum([1 + len(wave) // HOP for wave in waves])
    return [_tracked(mel_TM, summary, trim=trim) for mel_TM in np.split(in_bands(power_TF, _bank()), ends[:-1])]


def onset_strength(wave: np.ndarray, summary: Summary = median) -> np.ndarray:
    """(T,) float32: median or mean over 128 mel bands of how many dB each rose since the frame before, falls counting 0.

    Shifted by half a window, so that an onset stands where it is heard and not where the window first touches it.
    """
    return _onsets(decibels(_in_bands(power_blocks(wave, N_FFT, HOP))), summary)


def _in_bands(blocks: Iterable[tuple[np.ndarray, slice]]) -> np.ndarray:
    """(T, M): the power in the mel bands."""
    return np.concatenate([in_bands(power_TF, _bank()) for power_TF, _ in blocks])


def _bank() -> np.ndarray:
    return mel_bank(HZ, N_FFT, NUM_BANDS)


def _tracked(mel_TM: np.ndarray, summary: Summary, *, trim: bool) -> Beats:
    db_TM = decibels(mel_TM)
    onset_T = _onsets(db_TM, summary)
    if not onset_T.any():
        return Beats(tempo_bpm=0.0, times_s=np.zeros(0), strengths=np.zeros(0), confidence=0.0)
    tempo_bpm = tempo(onset_T)
    beats = beat_frames(onset_T, tempo_bpm, trim=trim)
    loud_T = _onsets(np.maximum(db_TM, db_TM.max() - LOUD_DB), mean)
    return Beats(tempo_bpm=tempo_bpm, times_s=beats / FRAMES_PER_S, strengths=onset_T[beats], confidence=pulse(loud_T))


def _onsets(db_TM: np.ndarray, summary: Summary) -> np.ndarray:
    onset_T = np.zeros(len(db_TM), np.float32)
    shift = 1 + N_FFT // (2 * HOP)
    for start in range(0, max(0, len(db_TM) - shift), BLOCK):
        rises = np.diff(db_TM[start : start + BLOCK + 1], axis=0)
        part = onset_T[start + shift :][: len(rises)]
        part[:] = summary(np.maximum(0, rises, out=rises))[: len(part)]
    return onset_T


def tempo(onset_T: np.ndarray) -> float:
    """Beats a minute: the most likely period of the onsets, a whole number of frames, under a log-normal prior around 120.

    The likelihood of a lag is the autocorrelation of 8 s around each frame, over its largest value, averaged over the frames. Its
    largest value is that at lag 0, the energy, and the average may as well be taken of the spectra.
    """
    padded = np.pad(onset_T.astype(float), TEMPOGRAM_LEN // 2, mode="linear_ramp", end_values=0)
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(TEMPOGRAM_LEN) / TEMPOGRAM_LEN)
    energy_T = np.correlate(padded**2, window**2)[: len(onset_T)]
    weight_T = 1 / np.where(energy_T < np.finfo(float).tiny, 1, energy_T) / len(onset_T)
    frames_TN = framed(padded, TEMPOGRAM_LEN, 1)
    size = scipy.fft.next_fast_len(2 * TEMPOGRAM_LEN - 1, real=True)
    power_F = np.zeros(size // 2 + 1)
    for start in range(0, len(onset_T), FRAMES_CACHED):
        weight = weight_T[start : start + FRAMES_CACHED]
        spectra = scipy.fft.rfft(frames_TN[start : start + len(weight)] * window, n=size, axis=1).view(float)
        power_F += (weight @ np.square(spectra, out=spectra)).reshape(-1, 2).sum(axis=1)  # real and imaginary parts alternate
    likely_L = scipy.fft.irfft(power_F, n=size)[1:TEMPOGRAM_LEN]
    bpm_L = 60 * FRAMES_PER_S / np.arange(1, TEMPOGRAM_LEN)
    prior_L = np.where(bpm_L < MAX_BPM, -0.5 * np.log2(bpm_L / PRIOR_BPM) ** 2, -np.inf)
    return float(bpm_L[np.argmax(np.log1p(1e6 * likely_L) + prior_L)])


def beat_frames(onset_T: np.ndarray, tempo_bpm: float, *, trim: bool = False) -> np.ndarray:
    """Indices of the onset frames that are beats: the chain that best joins strong onsets and even intervals."""
    period = float(np.round(60 * FRAMES_PER_S / tempo_bpm))
    score_T = _local_score(onset_T, period)
    back_T, total_T = _best_chains(score_T, period)
    beats = [_last_beat(total_T)]
    while back_T[beats[-1]] >= 0:
        beats.append(int(back_T[beats[-1]]))
    chain = np.array(beats[::-1])
    sounding = np.flatnonzero(score_T > (_weak(score_T[chain]) if trim else 0))
    return chain[(chain >= sounding[0]) & (chain <= sounding[-1])] if len(sounding) else chain[:0]


def _local_score(onset_T: np.ndarray, period: float) -> np.ndarray:
    """Onsets in units of their standard deviation, smoothed by a Gaussian of 1/32 of the period."""
    scaled = onset_T / (onset_T.std(ddof=1) + np.finfo(onset_T.dtype).tiny)
    window = np.exp(-0.5 * (np.arange(-period, period + 1) * 32 / period) ** 2)
    return np.convolve(scaled, window)[len(window) // 2 :][: len(onset_T)]


def _best_chains(score_T: np.ndarray, period: float) -> tuple[np.ndarray, np.ndarray]:
    """For every frame the frame of the beat before it (-1: none) and the best total score of a chain that ends in it."""
    gaps_G = np.arange(int(np.round(period / 2)), int(2 * period) + 1)
    cost_G = TIGHTNESS * (np.log(gaps_G) - np.log(period)) ** 2
    first, last = int(gaps_G[0]), int(gaps_G[-1])
    total_T = np.full(last + len(score_T), -np.inf)  # of the frames, after as many as the longest gap reaches back
    before_TG = framed(total_T, len(gaps_G), 1)[:, ::-1]  # a view: it is filled as total_T is
    nearest_T, rows = np.zeros(len(score_T), int), np.arange(first)
    for start in range(0, len(score_T), first):  # as many frames together as need none of each other
        score = score_T[start : start + first]
        chains = before_TG[start : start + len(score)] - cost_G
        nearest = nearest_T[start : start + len(score)] = chains.argmax(axis=1)  # of equally good ones
        best = chains[rows[: len(score)], nearest]
        best[best == -np.inf] = 0
        np.add(score, best, out=total_T[last + start :][: len(score)])
    back_T = np.arange(len(score_T)) - gaps_G[nearest_T]
    back_T[: max(first, int(np.argmax(score_T >= 0.01 * score_T.max())))] = -1  # no beat before the first onset that counts
    return np.maximum(back_T, -1), total_T[last:]


def _last_beat(total_T: np.ndarray) -> int:
    """The last local maximum that reaches half the median of the local maxima; the last frame where there is none."""
    after = np.append(total_T[1:], -np.inf)
    peaks = np.flatnonzero((total_T[1:] > total_T[:-1]) & (total_T[1:] >= after[1:])) + 1
    if not len(peaks):
        return len(total_T) - 1
    return int(peaks[total_T[peaks] >= 0.5 * np.median(total_T[peaks])][-1])


def _weak(scores: np.ndarray) -> float:
    """Half the root mean square of the beats' scores, smoothed over three beats: librosa's threshold for trimming."""
    smoothed = np.convolve(scores, np.hanning(5))[2:]
    return 0.5 * float(np.sqrt((smoothed**2).mean()))


def pulse(onset_T: np.ndarray) -> float:
    """How regular the onsets are, in [0, 1]: the autocorrelation of the centred onset strength over that at lag 0, averaged over
    a lag and its double, for the best lag. Ours.
    """
    centred = onset_T - onset_T.mean(dtype=float)
    spectrum = scipy.fft.rfft(centred, n=scipy.fft.next_fast_len(len(centred) + 2 * PULSE_LAGS[-1], real=True))
    corr_L = scipy.fft.irfft(spectrum.real**2 + spectrum.imag**2)[: 2 * PULSE_LAGS[-1] + 1]
    corr_L[len(centred) :] = 0
    lags = np.array(PULSE_LAGS)
    best = float((corr_L[lags] + corr_L[2 * lags]).max()) / 2
    return min(1.0, max(0.0, best / float(corr_L[0]))) if corr_L[0] > 0 else 0.0
