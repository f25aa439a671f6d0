"""The operations of `core` for NumPy arrays."""

from __future__ import annotations

import numpy as np
import scipy.fft

from curation.frontends import spec as specs
from curation.frontends.spec import Spec
from curation.spectra import in_bands

log, where, stack = np.log, np.where, np.stack


def framed(wave_BN: np.ndarray, length: int, hop: int) -> np.ndarray:
    return np.lib.stride_tricks.sliding_window_view(wave_BN, length, axis=-1)[..., ::hop, :]


def window(spec: Spec, _: np.ndarray) -> np.ndarray:
    return specs.window(spec)


def spectra(frames_BTN: np.ndarray) -> np.ndarray:
    return scipy.fft.rfft(frames_BTN, specs.N_FFT)


def mel(sizes_BTF: np.ndarray, spec: Spec) -> np.ndarray:
    flat = in_bands(sizes_BTF.reshape(-1, sizes_BTF.shape[-1]), specs.bank(spec))
    return flat.reshape(*sizes_BTF.shape[:-1], spec.num_mels)


def filled(values: np.ndarray, number: int, axis: int) -> np.ndarray:
    """With zeros after it, up to a number along an axis."""
    widths = [(0, 0)] * values.ndim
    widths[axis] = (0, number - values.shape[axis])
    return np.pad(values, widths)
