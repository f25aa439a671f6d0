"""The operations of `core` for PyTorch tensors on any device."""

from __future__ import annotations

from functools import lru_cache

import torch

from curation.frontends import spec as specs
from curation.frontends.spec import Spec

log, where, stack = torch.log, torch.where, torch.stack


def framed(wave_BN: torch.Tensor, length: int, hop: int) -> torch.Tensor:
    return wave_BN.unfold(-1, length, hop)


def sizes(frames_BTN: torch.Tensor, spec: Spec) -> torch.Tensor:
    """(B, T, F) magnitudes or powers under the window."""
    window_N, _ = _constants(spec, frames_BTN.device)
    spectra_BTF = torch.fft.rfft(frames_BTN * window_N, specs.N_FFT)
    return spectra_BTF.real**2 + spectra_BTF.imag**2 if spec.power == 2 else spectra_BTF.abs()


def mel(sizes_BTF: torch.Tensor, spec: Spec) -> torch.Tensor:
    return sizes_BTF @ _constants(spec, sizes_BTF.device)[1]


def filled(values: torch.Tensor, number: int, axis: int) -> torch.Tensor:
    """With zeros after it, up to a number along an axis."""
    shape = list(values.shape)
    shape[axis] = number - shape[axis]
    return torch.cat([values, values.new_zeros(shape)], axis)


@lru_cache
def _constants(spec: Spec, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    """The window and the mel bank, on a device."""
    return torch.from_numpy(specs.window(spec)).to(device), torch.from_numpy(specs.bank(spec)).to(device)
