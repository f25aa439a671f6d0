"""The operations of `core` for PyTorch tensors on any device."""

from __future__ import annotations

from functools import lru_cache

import torch

from curation.frontends import spec as specs
from curation.frontends.spec import Spec

log, where, stack = torch.log, torch.where, torch.stack


def framed(wave_BN: torch.Tensor, length: int, hop: int) -> torch.Tensor:
    return wave_BN.unfold(-1, length, hop)


def window(spec: Spec, like: torch.Tensor) -> torch.Tensor:
    return _window(spec, like.device)


def spectra(frames_BTN: torch.Tensor) -> torch.Tensor:
    return torch.fft.rfft(frames_BTN, specs.N_FFT)


def mel(sizes_BTF: torch.Tensor, spec: Spec) -> torch.Tensor:
    return sizes_BTF @ _bank(spec, sizes_BTF.device)


def filled(values: torch.Tensor, number: int, axis: int) -> torch.Tensor:
    """With zeros after it, up to a number along an axis."""
    shape = list(values.shape)
    shape[axis] = number - shape[axis]
    return torch.cat([values, values.new_zeros(shape)], axis)


@lru_cache
def _window(spec: Spec, device: torch.device) -> torch.Tensor:
    return torch.from_numpy(specs.window(spec)).to(device)


@lru_cache
def _bank(spec: Spec, device: torch.device) -> torch.Tensor:
    return torch.from_numpy(specs.bank(spec)).to(device)
