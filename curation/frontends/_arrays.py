"""The operations of `core` for NumPy arrays."""

from __future__ import annotations

import numpy as np

from curation.frontends import spec as specs
from curation.frontends.spec import Spec
from curation.spectra import in_bands, sizes_of, transformed

log, where, stack = np.log, np.where, np.stack


def framed(wave_BN: np.ndarray, length: int, hop: int) -> np.ndarray:
    return np.lib.stride_tricks.sliding_window_view(wave_BN, length, axis=-1)[..., ::hop, :]


def sizes(frames_BTN: np.ndarray, spec: Spec) -> np.ndarray:
    """(B, T, F) magnitudes or powers under the window."""
    longer = np.zeros((*frames_BTN.shape[:-1], specs.N_FFT), np.float32)
    np.multiply(frames_BTN, specs.window(spec), out=longer[..., : spec.length])
    sizes_TF = sizes_of(transformed(longer.reshape(-1, specs.N_FFT)))
    if spec.power == 2:
        np.square(sizes_TF, out=sizes_TF)
    return sizes_TF.reshape(*frames_BTN.shape[:-1], -1)


def mel(sizes_BTF: np.ndarray, spec: Spec) -> np.ndarray:
    sums_TM = in_bands(sizes_BTF.reshape(-1, sizes_BTF.shape[-1]), specs.bank(spec))
    return sums_TM.reshape(*sizes_BTF.shape[:-1], spec.num_mels)


def filled(values: np.ndarray, number: int, axis: int) -> np.ndarray:
    """With zeros after it, up to a number along an axis."""
    widths = [(0, 0)] * values.ndim
    widths[axis] = (0, number - values.shape[axis])
    return np.pad(values, widths)
