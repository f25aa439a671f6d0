"""The peaks of a clip's spectrogram, which stay where they are under noise and speech (the idea: Wang, ISMIR 2003).

A peak is louder than all that lies within REACH. Its frequency is told in bins of a third of a semitone, so that another pitch
moves all peaks alike, and another tempo stretches their times: two clips of one song can be laid over each other at any pitch
and tempo (`lay`). Three peaks together make a key that hardly changes with pitch and tempo; by it clips are looked up (`keys`).

Axes: N samples, T frames, F bins, P and Q peaks, K keys, H hits (pairs of peaks).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from scipy.ndimage import maximum_filter, uniform_filter1d

HZ = 11_025
FRAME, HOP = 2048, 256  # ours: 186 ms, which tell semitones apart above 100 Hz; 23 ms
LOW_HZ, OCTAVES, BINS = 110.0, 5, 36  # ours: 110 to 3520 Hz; bins an octave
SMOOTH = 5  # ours: frames
REACH = (9, 5)  # ours: frames and bins on each side: 0.2 s, 5/3 semitones
A_SECOND = 24  # ours: the loudest peaks of each second
RANGE_DB, FLOOR_DB = 50.0, -20.0  # ours: below the loudest; a tone of -74 dB of full scale, so that near silence has no peaks
UNITS = 100  # of TYPE's pitch, a bin
TYPE = np.dtype([("frame", "<u2"), ("pitch", "<u2"), ("rank", "u1")])  # rank 0: the loudest of its second

NEXT = (4, 64)  # ours: frames between the peaks of a key: 0.09 to 1.5 s
SPAN = 54  # ours: bins between them: 1.5 octaves
STEPS, RATIOS, LENGTHS, PLACES = 1.5, 12, 4, 6  # ours: bins a step of pitch; ratios of time; lengths a doubling; bins a place
TOLERANCE = 0.5  # ours: bins between two peaks that are one
TEMPOS = np.exp(np.arange(-24, 25) * 0.005)  # ours: +-12.7 % in steps that drift by 0.04 s from the middle of 15 s


def peaks(wave_N: np.ndarray) -> np.ndarray:
    """The loudest peaks of a wave of HZ, at most 25 minutes long, of TYPE and shape (P,), in order of time."""
    image_TF = _image(wave_N)
    if not len(image_TF):
        return np.zeros(0, TYPE)
    top_TF = image_TF == maximum_filter(image_TF, size=(2 * REACH[0] + 1, 2 * REACH[1] + 1))
    top_TF &= image_TF > max(image_TF.max() - RANGE_DB, FLOOR_DB)
    t_P, f_P = np.nonzero(top_TF[:, 1:-1])
    f_P += 1
    level_P, second_P = image_TF[t_P, f_P], t_P * HOP // HZ
    order_P = np.lexsort((-level_P, second_P))
    rank_P = np.empty(len(t_P), int)
    rank_P[order_P] = np.arange(len(t_P)) - np.searchsorted(second_P[order_P], second_P[order_P])
    below_P, above_P = image_TF[t_P, f_P - 1], image_TF[t_P, f_P + 1]
    curve_P = np.minimum(below_P - 2 * level_P + above_P, -1e-9)
    found = np.zeros(len(t_P), TYPE)
    found["frame"], found["rank"] = t_P, np.minimum(rank_P, 255)
    found["pitch"] = np.round(UNITS * (f_P + np.clip(0.5 * (below_P - above_P) / curve_P, -0.5, 0.5)))
    return found[rank_P < A_SECOND]


def _image(wave_N: np.ndarray) -> np.ndarray:
    """The spectrogram in dB over pitch, smoothed in time; float32 of shape (T, F)."""
    if len(wave_N) < FRAME:
        return np.zeros((0, OCTAVES * BINS + 1), np.float32)
    frames = np.lib.stride_tricks.sliding_window_view(wave_N, FRAME)[::HOP]
    spectrum = np.fft.rfft(frames * np.hanning(FRAME).astype(np.float32))
    image_TF = 20 * np.log10(np.sqrt(spectrum.real**2 + spectrum.imag**2) @ _bins() + np.float32(1e-9))
    return np.asarray(uniform_filter1d(image_TF, SMOOTH, axis=0, mode="nearest"))


@cache
def _bins() -> np.ndarray:
    """Triangles about the bins' frequencies, at least as wide as the spectrum resolves; float32 of shape (frequencies, F)."""
    hz = np.arange(FRAME // 2 + 1) * HZ / FRAME
    centre_F = LOW_HZ * 2 ** (np.arange(OCTAVES * BINS + 1) / BINS)
    width_F = np.maximum(centre_F * (2 ** (1 / BINS) - 1), HZ / FRAME)
    triangles = np.maximum(0, 1 - np.abs(hz[:, None] - centre_F) / width_F)
    return (triangles / np.sqrt(triangles.sum(axis=0))).astype(np.float32)


def pack(peaks_P: np.ndarray) -> bytes:
    """5 bytes a peak."""
    return peaks_P.tobytes()


def unpack(packed: bytes) -> np.ndarray:
    """The opposite of pack."""
    return np.frombuffer(packed, TYPE)


@dataclass(frozen=True, slots=True)
class Keys:
    """Three peaks each: key_K uint32; frame_K and pitch_K (in bins) of the first of the three."""

    key_K: np.ndarray
    frame_K: np.ndarray
    pitch_K: np.ndarray


def keys(peaks_P: np.ndarray, *, ranks: int, fan: int, around: int) -> Keys:
    """Each peak of a rank below `ranks` with every two of the `fan` that follow next. around: places beside its own to try.

    The key: both steps of pitch, when the middle one comes between the others, how long all take, and roughly where the first is.
    """
    peaks_P = peaks_P[peaks_P["rank"] < ranks]
    t_P, f_P = peaks_P["frame"].astype(np.int64), peaks_P["pitch"] / UNITS
    a, b, c = _threes(t_P, f_P, fan)
    steps = [np.round((f_P[x] - f_P[a]) / STEPS).astype(np.int64) + 64 for x in (b, c)]
    ratio = np.round(RATIOS * (t_P[b] - t_P[a]) / np.maximum(t_P[c] - t_P[a], 1)).astype(np.int64)
    length = np.round(LENGTHS * np.log2(np.maximum(t_P[c] - t_P[a], 1))).astype(np.int64)
    shape = (((steps[0] << 7 | steps[1]) << 4 | ratio) << 5 | length) << 6
    place = np.floor(f_P[a] / PLACES).astype(np.int64) + 8
    found = [shape | (place + beside) for beside in range(-around, around + 1)]
    times = 2 * around + 1
    return Keys(np.concatenate(found).astype(np.uint32), np.tile(t_P[a], times), np.tile(f_P[a], times))


def _threes(t_P: np.ndarray, f_P: np.ndarray, fan: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Places of the first, second and third peak."""
    table = np.full((len(t_P), fan), -1)
    for first in range(0, len(t_P), 1024):  # a band of the square at a time
        rows = np.arange(first, min(first + 1024, len(t_P)))
        last = int(np.searchsorted(t_P, t_P[rows[-1]] + NEXT[1], side="right"))
        apart = t_P[first:last][None] - t_P[rows][:, None]
        fit = (apart >= NEXT[0]) & (apart <= NEXT[1]) & (np.abs(f_P[first:last][None] - f_P[rows][:, None]) <= SPAN)
        count = np.cumsum(fit, axis=1)
        i, j = np.nonzero(fit & (count <= fan))
        table[first + i, count[i, j] - 1] = first + j
    x, y = np.triu_indices(fan, 1)
    a, b, c = np.repeat(np.arange(len(t_P)), len(x)), table[:, x].ravel(), table[:, y].ravel()
    good = (c >= 0) & (t_P[c] - t_P[b] >= NEXT[0])
    return a[good], b[good], c[good]


@dataclass(frozen=True, slots=True)
class Lay:
    """How one clip lies over another: frame t of it, played `tempo` times slower, is frame tempo * t + offset of the other.

    shift: bins by which its pitch is higher. share: of the peaks where they overlap, those that are one (of the clip with fewer).
    height: how far the count of these stands above those of all other offsets, in their standard deviations.
    """

    shift: float
    tempo: float
    offset: float
    share: float
    height: float


def lay(peaks_P: np.ndarray, peaks_Q: np.ndarray, shift: float) -> Lay | None:
    """The best tempo and offset at about this shift; None where there is nothing to lay."""
    tempo_S = np.log(TEMPOS)
    likely_S = (np.abs(tempo_S) <= 0.07 * (abs(shift) < 2)) | (
        np.abs(tempo_S) <= 0.02
    )  # as curation.song_match has it, and wider
    likely_S |= np.abs(tempo_S - shift * np.log(2) / BINS) <= 0.04
    rough = _best(peaks_P, peaks_Q, shift, 2 * TOLERANCE, TEMPOS[likely_S][::2])
    if rough is None:
        return None
    near = int(np.abs(TEMPOS - rough.tempo).argmin())
    return _best(peaks_P, peaks_Q, rough.shift, TOLERANCE, TEMPOS[max(0, near - 2) : near + 3]) or rough


def _best(peaks_P: np.ndarray, peaks_Q: np.ndarray, shift: float, tolerance: float, tempos: np.ndarray) -> Lay | None:
    order_Q = np.argsort(peaks_Q["pitch"], kind="stable")
    f_P, f_Q = peaks_P["pitch"] / UNITS - shift, peaks_Q["pitch"][order_Q] / UNITS
    low_P, high_P = np.searchsorted(f_Q, f_P - tolerance), np.searchsorted(f_Q, f_P + tolerance)
    count_P = high_P - low_P
    i_H = np.repeat(np.arange(len(f_P)), count_P)
    if not len(i_H):
        return None
    j_H = np.arange(len(i_H)) + np.repeat(low_P - np.cumsum(count_P) + count_P, count_P)
    t_P, t_Q = peaks_P["frame"].astype(float), peaks_Q["frame"][order_Q].astype(float)
    offset_SH = np.round(t_Q[j_H] - tempos[:, None] * t_P[i_H]).astype(np.int64)
    first = int(offset_SH.min()) - 1
    width = int(offset_SH.max()) - first + 2
    cells = (np.arange(len(tempos))[:, None] * width + offset_SH - first).ravel()
    once = np.bincount(cells, minlength=width * len(tempos)).reshape(len(tempos), width).astype(np.float32)
    three = once.copy()
    three[:, 1:] += once[:, :-1]
    three[:, :-1] += once[:, 1:]
    usual = uniform_filter1d(three, 101, axis=1, mode="constant")
    height = (three - usual) / np.sqrt(usual + 1)
    row, column = divmod(int(height.argmax()), width)
    tempo, offset = float(tempos[row]), float(column + first)
    mine_H = np.abs(offset_SH[row] - offset) <= 1
    moved = shift + float(np.median(f_P[i_H[mine_H]] - f_Q[j_H[mine_H]]))
    both = _overlap(tempo * t_P + offset, t_Q)
    share = min(1.0, min(len(np.unique(i_H[mine_H])), len(np.unique(j_H[mine_H]))) / max(both, 1))
    return Lay(shift=moved, tempo=tempo, offset=offset, share=share, height=float(height[row, column]))


def _overlap(t_P: np.ndarray, t_Q: np.ndarray) -> int:
    """Peaks where the two overlap, of the one with fewer."""
    first, last = max(t_P.min(), t_Q.min()) - 1, min(t_P.max(), t_Q.max()) + 1
    return min(int(((t >= first) & (t <= last)).sum()) for t in (t_P, t_Q))
