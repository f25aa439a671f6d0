"""Log-mel frames of waves: the one formula behind every front end, for arrays and tensors.

Axes: B waves, N samples, T frames, F frequency bins, M mel bands.
"""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np

from curation.frontends import _arrays
from curation.frontends.spec import Spec
from curation.spectra import LOUDEST

BLOCK = 512  # ours: frames that are treated together, 5 s; their spectra then stay in the processor's cache

Waves = Any  # np.ndarray or torch.Tensor, float32; what goes in as one comes out as it, on its device


def ops(waves: Waves) -> ModuleType:
    """The operations for this kind of waves."""
    if isinstance(waves, np.ndarray):
        return _arrays
    from curation.frontends import _tensors  # PyTorch is there if a tensor is

    return _tensors


def log_mel(wave_BN: Waves, spec: Spec) -> Waves:
    """(..., T, M) float32 of waves (..., N) at spec.hz, before cutting and normalisation.

    Samples that are no number or absurdly large count as 0, and a wave shorter than a frame is filled up with 0.
    """
    to = ops(wave_BN)
    wave_BN = to.where(abs(wave_BN) <= LOUDEST, wave_BN, 0.0)
    if wave_BN.shape[-1] < spec.length:
        wave_BN = to.filled(wave_BN, spec.length, -1)
    frames_BTN = _emphasised(wave_BN, spec) if spec.preemphasis else to.framed(wave_BN, spec.length, spec.hop)
    mel_BTM = to.mel(to.sizes(frames_BTN, spec), spec) + spec.offset
    return to.log(mel_BTM.clip(spec.floor) if spec.floor else mel_BTM)


def _emphasised(wave_BN: Waves, spec: Spec) -> Waves:
    """Frames (..., T, N) less their mean, then each sample less preemphasis times the one before, but for the first of a frame.

    Kaldi does it frame by frame. Emphasis leaves 1 - preemphasis of a mean, so the wave is emphasised once and the rest of each
    frame's mean taken off after; the first sample does not matter, the window is 0 there. The wave's own mean goes first, for
    the sake of rounding.
    """
    to = ops(wave_BN)
    wave_BN = wave_BN - wave_BN.mean(-1)[..., None]
    rest_BT1 = (1 - spec.preemphasis) * to.framed(wave_BN, spec.length, spec.hop).mean(-1)[..., None]
    risen_BN = wave_BN + 0.0
    risen_BN[..., 1:] -= spec.preemphasis * wave_BN[..., :-1]
    return to.framed(risen_BN, spec.length, spec.hop) - rest_BT1


def normalised(mel_BTM: Waves, spec: Spec) -> Waves:
    """Cut or filled up with 0 to spec.num_frames, then (x - mean) / std: the order of ImageBind and AST."""
    if spec.num_frames is not None:
        mel_BTM = mel_BTM[..., : spec.num_frames, :]
        if mel_BTM.shape[-2] < spec.num_frames:
            mel_BTM = ops(mel_BTM).filled(mel_BTM, spec.num_frames, -2)
    return (mel_BTM - spec.mean) / spec.std


def long_log_mel(wave_N: np.ndarray, spec: Spec) -> np.ndarray:
    """(T, M): log_mel of one wave, some frames at a time, so that besides the result the memory does not grow with the wave."""
    num_frames = spec.frames(len(wave_N))
    found_TM = np.empty((num_frames, spec.num_mels), np.float32)
    for start in range(0, num_frames, BLOCK):
        end = min(start + BLOCK, num_frames)
        part_N = wave_N[start * spec.hop : (end - 1) * spec.hop + spec.length]
        found_TM[start:end] = log_mel(part_N[None], spec)[0]
    return found_TM
