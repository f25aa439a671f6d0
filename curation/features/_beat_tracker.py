"""The beat tracker: onset strength, tempo, and the chain of beats, on numpy and scipy alone, so that no worker waits for a compiler.

The dynamic programming of Ellis 2007 (Beat tracking by dynamic programming, Journal of New Music Research 36.1) with the onset
strength, tempo estimate and constants of librosa 0.11's `beat_track`, which UT-CMVMR (arXiv 2309.09421) used; the tests demand the
same beat frames. The frames are 32-bit where librosa's are partly 64-bit, so that two chains that are equally good up to one part
in a million may come out differently: see docs/performance.md. `confidence` is ours; librosa has none.

Axes: T onset frames (32 ms each), L lags, M mel bands, G gaps.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
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


def track(wave: np.ndarray, hz: int, *, summary: Summary = median, trim: bool = False) -> Beats:
    """The beats of a finite mono wave at 16 kHz (another rate is refused). trim: without the weak ones at either end."""
    if hz != HZ:
        raise ValueError(f"beats are tracked at {HZ} Hz, not at {hz}")
    return track_power(power_blocks(wave, N_FFT, HOP), summary=summary, trim=trim)


def track_power(blocks: Iterable[tuple[np.ndarray, slice]], *, summary: Summary = median, trim: bool = False) -> Beats:
    """`track` from the power that curation.spectra.power_blocks gives at N_FFT and HOP."""
    mel_TM = _mel_db(blocks)
    onset_T = _onsets(mel_TM, summary)
    if not onset_T.any():
        return Beats(tempo_bpm=0.0, times_s=np.zeros(0), strengths=np.zeros(0), confidence=0.0)
    tempo_bpm = tempo(onset_T)
    beats = beat_frames(onset_T, tempo_bpm, trim=trim)
    loud_T = _onsets(np.maximum(mel_TM, mel_TM.max() - LOUD_DB), mean)
    return Beats(tempo_bpm=tempo_bpm, times_s=beats / FRAMES_PER_S, strengths=onset_T[beats], confidence=pulse(loud_T))


def onset_strength(wave: np.ndarray, summary: Summary = median) -> np.ndarray:
    """(T,) float32: median or mean over 128 mel bands of how many dB each rose since the frame before, falls counting 0.

    Shifted by half a window, so that an onset stands where it is heard and not where the window first touches it.
    """
    return _onsets(_mel_db(power_blocks(wave, N_FFT, HOP)), summary)


def _mel_db(blocks: Iterable[tuple[np.ndarray, slice]]) -> np.ndarray:
    bank = mel_bank(HZ, N_FFT, NUM_BANDS)
    return decibels(np.concatenate([in_bands(power_TF, bank) for power_TF, _ in blocks]))


def _onsets(mel_TM: np.ndarray, summary: Summary) -> np.ndarray:
    onset_T = np.zeros(len(mel_TM), np.float32)
    shift = 1 + N_FFT // (2 * HOP)
    for start in range(0, max(0, len(mel_TM) - shift), BLOCK):
        rises = np.diff(mel_TM[start : start + BLOCK + 1], axis=0)
        part = onset_T[start + shift :][: len(rises)]
        part[:] = summary(np.maximum(0, rises, out=rises))[: len(part)]
    return onset_T


def tempo(onset_T: np.ndarray) -> float:
    """Beats a minute: the most likely period of the onsets, a whole number of frames, under a log-normal prior around 120.

    The likelihood of a lag is the autocorrelation of 8 s around each frame, over its largest value, averaged over the frames. Its
    largest value is that at lag 0, the energy, and the average may as well be taken of the spectra.
    """
    half = TEMPOGRAM_LEN // 2
    frames_TN = framed(np.pad(onset_T, half, mode="linear_ramp", end_values=0), TEMPOGRAM_LEN, 1)[: len(onset_T)]
    size = scipy.fft.next_fast_len(2 * TEMPOGRAM_LEN - 1, real=True)
    sum_F = np.zeros(size // 2 + 1)
    window = (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(TEMPOGRAM_LEN) / TEMPOGRAM_LEN)).astype(np.float32)
    for start in range(0, len(onset_T), FRAMES_CACHED):
        windowed_TN = frames_TN[start : start + FRAMES_CACHED] * window
        energy_T = np.einsum("tn,tn->t", windowed_TN, windowed_TN)
        spectra = scipy.fft.rfft(windowed_TN, n=size, axis=1)
        power_TF = spectra.real**2
        power_TF += spectra.imag**2
        sum_F += (1 / np.where(energy_T < np.finfo(np.float32).tiny, 1, energy_T)) @ power_TF
    likely_L = scipy.fft.irfft(sum_F / len(onset_T), n=size)[1:TEMPOGRAM_LEN]
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
