"""The spectral front end that the features and filters of the sound share: finite waves, STFT, mel banks, decibels.

Long waves are transformed in blocks, so that the memory does not grow with the clip.

Axes: N samples, T frames, F frequency bins, M mel bands. Frames are rows, so one frame lies together in memory. Waves are
float32 mono in [-1, 1]. Spectra are OpenCV's, which takes half of SciPy's time: (T, N) float32, packed as re 0, re 1, im 1, re 2,
im 2, ..., re N/2. The conventions are those of librosa 0.11 (tests compare with it) unless a docstring says otherwise.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from weakref import WeakKeyDictionary

import cv2
import numpy as np

from svmbench.errors import Silent
from svmbench.media import ClipMedia

DB_FLOOR = 1e-10  # power below which decibels stop, as in librosa
BLOCK = 2000  # ours: frames that are transformed together; 64 s at 32 ms, so that most clips are one block
FRAMES_CACHED = 128  # ours
LOUDEST = 1e6  # ours: a sample larger than this, full scale being 1, is no sound
BANDS_TOGETHER = 16  # ours: mel bands that are summed up in one product, over no more bins than they reach

Grid = tuple[int, int, int]  # samples a second, samples a frame, samples from frame to frame
_power_of_clip: WeakKeyDictionary[ClipMedia, dict[Grid, list[tuple[np.ndarray, slice]]]] = WeakKeyDictionary()


def finite_wave(clip: ClipMedia, hz: int) -> np.ndarray:
    """The clip's wave with samples that are no number, or absurdly large, set to 0: they carry no sound. May be empty."""
    wave = clip.wave(hz).astype(np.float32, copy=False)
    if not wave.size or (wave.min() >= -LOUDEST and wave.max() <= LOUDEST):  # not so where a sample is no number
        return wave
    return np.where(np.abs(wave) <= LOUDEST, wave, np.float32(0))


def heard_wave(clip: ClipMedia, hz: int) -> np.ndarray:
    """finite_wave for features: raises Silent where the clip has no audio at all."""
    wave = finite_wave(clip, hz)
    if not wave.size:
        raise Silent("no_audio", "the clip has no audio, and this feature reads the audio")
    return wave


def steps(duration_s: float, hop_s: float) -> list[tuple[float, float]]:
    """(start_s, end_s) of the steps of hop_s that cover a clip; at least one.

    The last step is shorter where the clip ends earlier. A rest under an eighth of a step joins the step before it (ours): coders
    pad the sound by some milliseconds, and a step of nothing says nothing.
    """
    num_steps = max(1, int(np.ceil(duration_s / hop_s - 0.125)))
    return [(i * hop_s, duration_s if i == num_steps - 1 else (i + 1) * hop_s) for i in range(num_steps)]


@lru_cache
def hann(length: int) -> np.ndarray:
    """The periodic Hann window, float32."""
    return np.asarray(0.5 + 0.5 * np.cos(np.linspace(-np.pi, np.pi, length + 1)[:-1]), np.float32)


def framed(wave: np.ndarray, length: int, hop: int) -> np.ndarray:
    """Overlapping frames as a read-only view; the wave is at least `length` long."""
    return np.lib.stride_tricks.sliding_window_view(wave, length)[::hop]


def transformed(frames_TN: np.ndarray) -> np.ndarray:
    """Packed spectra of float32 frames that lie one after another; N is even."""
    return cv2.dft(frames_TN, flags=cv2.DFT_ROWS) if len(frames_TN) else np.empty_like(frames_TN)


def sizes_of(packed_TN: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
    """(T, F) magnitudes of packed spectra."""
    if out is None:
        out = np.empty((len(packed_TN), packed_TN.shape[1] // 2 + 1), np.float32)
    np.abs(packed_TN[:, 1:-1].view(np.complex64), out=out[:, 1:-1])
    np.abs(packed_TN[:, :: packed_TN.shape[1] - 1], out=out[:, :: out.shape[1] - 1])  # the first and the last bin are real
    return out


def stft(wave: np.ndarray, n_fft: int, hop: int) -> np.ndarray:
    """Packed spectra of frames centred on t * hop under a periodic Hann window; zeros stand before and after the wave."""
    return transformed(framed(np.pad(wave, n_fft // 2), n_fft, hop) * hann(n_fft))


def magnitudes(wave: np.ndarray, n_fft: int, hop: int) -> np.ndarray:
    """Sizes of the stft, some frames at a time, so that the spectra stay in the processor's cache."""
    return _magnitudes(framed(np.pad(wave, n_fft // 2), n_fft, hop))


def _magnitudes(frames_TN: np.ndarray) -> np.ndarray:
    num_frames, n_fft = frames_TN.shape
    sizes_TF = np.empty((num_frames, n_fft // 2 + 1), np.float32)
    for start in range(0, num_frames, FRAMES_CACHED):
        part = frames_TN[start : start + FRAMES_CACHED] * hann(n_fft)
        sizes_of(transformed(part), out=sizes_TF[start : start + FRAMES_CACHED])
    return sizes_TF


def power_blocks(wave: np.ndarray, n_fft: int, hop: int, margin: int = 0) -> Iterator[tuple[np.ndarray, slice]]:
    """The power, sizes of the stft squared, block after block: (power_TF, those of its frames that are the block's own).

    margin: frames on either side, as far as there are any, that come with a block besides its own.
    """
    num_frames = 1 + len(wave) // hop
    for start in range(0, num_frames, BLOCK):
        end = min(start + BLOCK, num_frames)
        first, last = max(0, start - margin), min(end + margin, num_frames)
        yield _power(wave, n_fft, hop, first, last), slice(start - first, end - first)


def clip_power_blocks(clip: ClipMedia, grid: Grid, margin: int = 0) -> Iterator[tuple[np.ndarray, slice]]:
    """power_blocks of the clip's finite wave; a clip of one block is transformed once, whoever asks."""
    hz, n_fft, hop = grid
    wave = finite_wave(clip, hz)
    if len(wave) // hop >= BLOCK:
        return power_blocks(wave, n_fft, hop, margin)
    known = _power_of_clip.setdefault(clip, {})
    if grid not in known:
        known[grid] = list(power_blocks(wave, n_fft, hop))
    return iter(known[grid])


def _power(wave: np.ndarray, n_fft: int, hop: int, first: int, last: int) -> np.ndarray:
    """The power of the frames from first up to last."""
    low, high = first * hop - n_fft // 2, (last - 1) * hop + n_fft // 2
    part = np.pad(wave[max(0, low) : max(0, high)], (max(0, -low), max(0, high - max(len(wave), low))))
    sizes_TF = _magnitudes(framed(part, n_fft, hop))
    return np.square(sizes_TF, out=sizes_TF)


def istft(packed_TN: np.ndarray, hop: int, length: int) -> np.ndarray:
    """The wave whose windowed frames are nearest to these spectra: overlap-add over the summed squared Hann window.

    hop must divide the frame length. Only samples that a frame reaches are set.
    """
    num_frames, n_fft = packed_TN.shape
    frames_TN = cv2.idft(packed_TN, flags=cv2.DFT_ROWS | cv2.DFT_SCALE)
    frames_TN *= hann(n_fft)
    wave = _overlap_add(frames_TN, hop)
    full = n_fft // hop  # frames over each hop, but for the first and the last hops: all between have the same weight
    weight = _overlap_add(np.broadcast_to(hann(n_fft) ** 2, (min(num_frames, 2 * full), n_fft)), hop).reshape(-1, hop)
    weight[weight <= np.finfo(np.float32).tiny] = 1
    hops = np.arange(len(wave) // hop)
    wave.reshape(-1, hop)[:] /= weight[np.maximum(np.minimum(hops, full - 1), hops - len(hops) + len(weight))]
    wave = wave[n_fft // 2 :][:length]
    return np.pad(wave, (0, length - len(wave)))


def _overlap_add(frames: np.ndarray, hop: int) -> np.ndarray:
    num_frames, n_fft = frames.shape
    parts = n_fft // hop
    sums = np.zeros((num_frames + parts - 1, hop), dtype=np.float32)
    for part in range(parts):
        sums[part : part + num_frames] += frames[:, part * hop : (part + 1) * hop]
    return sums.ravel()


@lru_cache
def mel_bank(
    hz: int, n_fft: int, num_mels: int, *, low_hz: float = 0.0, high_hz: float | None = None, htk: bool = False
) -> np.ndarray:
    """Triangular mel filters, float32 of shape (n_fft // 2 + 1, num_mels).

    htk=False: Slaney's scale and unit area; htk=True: the HTK scale (mel = 2595 log10(1 + f / 700)), triangles linear in mel
    and of peak 1, as VGGish has them.
    """
    edges_hz = np.linspace(_mel(low_hz, htk), _mel(hz / 2 if high_hz is None else high_hz, htk), num_mels + 2)
    bins_hz = np.linspace(0, hz / 2, n_fft // 2 + 1)
    bins = _mel(bins_hz, True) if htk else bins_hz
    edges = edges_hz if htk else _slaney_hz(edges_hz)
    rising = (bins[:, None] - edges[:-2]) / np.diff(edges)[:-1]
    falling = (edges[2:] - bins[:, None]) / np.diff(edges)[1:]
    bank = np.maximum(0, np.minimum(rising, falling))
    return (bank if htk else bank * 2 / (edges[2:] - edges[:-2])).astype(np.float32)


def in_bands(sizes_TF: np.ndarray, bank_FM: np.ndarray) -> np.ndarray:
    """sizes_TF @ bank_FM, (T, M), for a bank whose bands are narrow and rise in frequency, as a mel_bank's: a few bands at a
    time, without the bins that they do not hear.
    """
    sums_TM = np.zeros((len(sizes_TF), bank_FM.shape[1]), np.result_type(sizes_TF, bank_FM))
    for left in range(0, bank_FM.shape[1], BANDS_TOGETHER):
        bands = slice(left, left + BANDS_TOGETHER)
        bins = np.flatnonzero(bank_FM[:, bands].any(axis=1))
        if len(bins):
            heard = slice(bins[0], bins[-1] + 1)
            sums_TM[:, bands] = sizes_TF[:, heard] @ bank_FM[heard, bands]
    return sums_TM


def _mel(hz: np.ndarray | float, htk: bool) -> np.ndarray:
    hz = np.asarray(hz, dtype=float)
    if htk:
        return 2595 * np.log10(1 + hz / 700)
    return np.where(hz < 1000, hz * 3 / 200, 15 + 27 * np.log(np.maximum(hz, 1000) / 1000) / np.log(6.4))


def _slaney_hz(mel: np.ndarray) -> np.ndarray:
    return np.where(mel < 15, mel * 200 / 3, 1000 * np.exp((mel - 15) * np.log(6.4) / 27))


def decibels(power: np.ndarray, *, relative: bool = False, range_db: float = 80.0) -> np.ndarray:
    """10 log10(power), re 1 or re the array's maximum, cut at range_db below the array's own maximum."""
    db = np.log(np.maximum(DB_FLOOR, power))  # NumPy has a fast natural logarithm of float32, and no fast decadic one
    db *= 10 / np.log(10)
    if relative:
        db -= 10 * np.log10(max(DB_FLOOR, float(power.max())))
    return np.maximum(db, db.max() - range_db, out=db)
