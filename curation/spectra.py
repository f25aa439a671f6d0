"""The spectral front end that the features and filters of the sound share: finite waves, STFT, mel banks, decibels, medians.

Axes: N samples, T frames, F frequency bins, M mel bands. Frames are rows, so one frame lies together in memory. Waves are
float32 mono in [-1, 1]. The conventions are those of librosa 0.11 (tests compare with it) unless a docstring says otherwise.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import scipy.fft
import scipy.ndimage
import scipy.signal

from svmbench.errors import Silent
from svmbench.media import ClipMedia

DB_FLOOR = 1e-10  # power below which decibels stop, as in librosa


def finite_wave(clip: ClipMedia, hz: int) -> np.ndarray:
    """The clip's wave with samples that are no number set to 0: they carry no sound. May be empty."""
    return np.nan_to_num(clip.wave(hz), nan=0.0, posinf=0.0, neginf=0.0).astype(np.float32, copy=False)


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
    return scipy.signal.get_window("hann", length, fftbins=True).astype(np.float32)


def framed(wave: np.ndarray, length: int, hop: int) -> np.ndarray:
    """Overlapping frames as a read-only view; the wave is at least `length` long."""
    return np.lib.stride_tricks.sliding_window_view(wave, length)[::hop]


def stft(wave: np.ndarray, n_fft: int, hop: int, window: np.ndarray | None = None) -> np.ndarray:
    """Complex64 spectra of frames centred on t * hop; zeros stand before and after the wave. window: periodic Hann if None."""
    padded = np.pad(wave, n_fft // 2)
    window = hann(n_fft) if window is None else window
    return scipy.fft.rfft(framed(padded, n_fft, hop) * window, axis=1)


def istft(spectra_TF: np.ndarray, hop: int, length: int) -> np.ndarray:
    """The wave whose windowed frames are nearest to these spectra: overlap-add over the summed squared Hann window.

    hop must divide the frame length. Only samples that a frame reaches are set.
    """
    n_fft = 2 * (spectra_TF.shape[1] - 1)
    window = hann(n_fft)
    frames = scipy.fft.irfft(spectra_TF, n=n_fft, axis=1) * window
    wave = _overlap_add(frames, hop)
    weight = _overlap_add(np.broadcast_to(window**2, frames.shape), hop)
    heard = weight > np.finfo(np.float32).tiny
    wave[heard] /= weight[heard]
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


def _mel(hz: np.ndarray | float, htk: bool) -> np.ndarray:
    hz = np.asarray(hz, dtype=float)
    if htk:
        return 2595 * np.log10(1 + hz / 700)
    return np.where(hz < 1000, hz * 3 / 200, 15 + 27 * np.log(np.maximum(hz, 1000) / 1000) / np.log(6.4))


def _slaney_hz(mel: np.ndarray) -> np.ndarray:
    return np.where(mel < 15, mel * 200 / 3, 1000 * np.exp((mel - 15) * np.log(6.4) / 27))


def decibels(power: np.ndarray, *, relative: bool = False, range_db: float = 80.0) -> np.ndarray:
    """10 log10(power), re 1 or re the array's maximum, cut at range_db below the array's own maximum."""
    db = 10 * np.log10(np.maximum(DB_FLOOR, power))
    if relative:
        db -= 10 * np.log10(max(DB_FLOOR, float(power.max())))
    return np.maximum(db, db.max() - range_db)


def running_median(values: np.ndarray, size: int) -> np.ndarray:
    """Median over `size` (odd) neighbours along the last axis, edges mirrored; equal to scipy.ndimage.median_filter along
    that axis.

    All rows go through SciPy's one-dimensional filter as one long row: 7 times faster than its two-dimensional one.
    """
    half = size // 2
    padded = np.pad(values, ((0, 0), (half, half)), mode="symmetric")
    return scipy.ndimage.median_filter(padded.ravel(), size=size).reshape(padded.shape)[:, half : half + values.shape[1]]


def vggish_log_mel(wave: np.ndarray) -> np.ndarray:
    """Log-mel frames of a 16 kHz wave as VGGish reads them (Hershey 2017): 25 ms periodic Hann every 10 ms, FFT of 512,
    magnitudes, 64 HTK mel bands of 125 to 7500 Hz, ln(x + 0.01). Frames are not centred; a wave under 25 ms is padded to
    one frame.
    """
    padded = np.pad(wave, (0, max(0, 400 - len(wave))))
    magnitudes = np.abs(scipy.fft.rfft(framed(padded, 400, 160) * hann(400), n=512, axis=1))
    return np.log(magnitudes @ mel_bank(16_000, 512, 64, low_hz=125.0, high_hz=7500.0, htk=True) + 0.01)
