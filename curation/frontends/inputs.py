"""What the networks read of a wave at 16 kHz, shaped as they read it. Arrays give arrays, tensors give tensors.

VGGish's examples and UT-CMVMR's segments are filled up with silence where the wave is too short; elsewhere frames that are
missing stand for 0 before normalisation.

Axes: B waves, N samples, E examples, S segments, W windows, T frames, M mel bands.
"""

from __future__ import annotations

from curation.frontends.core import Waves, log_mel, normalised, ops
from curation.frontends.spec import AST, CMMIXER, FBANK80, IMAGEBIND, VGGISH, Spec

EXAMPLE = 96  # VGGish: frames of an example, 0.96 s; examples do not overlap
SEGMENT_S, LONGEST_S = 4, 28  # UT-CMVMR, section 3.2
IMAGEBIND_S, IMAGEBIND_WINDOWS = 2, 3  # imagebind/data.py: clip_duration, clips_per_video
CMMIXER_SAMPLES, CMMIXER_WINDOWS = 41_600, 8  # CMMixer, section 4.1: 2.6 s from the middle of each of 8 parts


def vggish(wave_BN: Waves) -> Waves:
    """(B, E, 96, 64): whole examples of 0.96 s, 15 of 15 s; at least one."""
    least = (EXAMPLE - 1) * VGGISH.hop + VGGISH.length
    mel_BTM = log_mel(_at_least(wave_BN, least), VGGISH)
    examples = mel_BTM.shape[-2] // EXAMPLE
    return mel_BTM[:, : examples * EXAMPLE].reshape(len(mel_BTM), examples, EXAMPLE, VGGISH.num_mels)


def ut_cmvmr(wave_BN: Waves) -> Waves:
    """(B, S, 398, 80): Kaldi filter banks of each 4 s of the first 28, the last filled up with 0."""
    size = SEGMENT_S * FBANK80.hz
    wave_BN = wave_BN[:, : LONGEST_S * FBANK80.hz]
    segments = max(1, -(-wave_BN.shape[-1] // size))
    mel_BTM = log_mel(_at_least(wave_BN, segments * size).reshape(-1, size), FBANK80)
    return mel_BTM.reshape(len(wave_BN), segments, *mel_BTM.shape[1:])


def imagebind(wave_BN: Waves) -> Waves:
    """(B, 3, 128, 204), bands before frames: of 2 s at the beginning, in the middle and at the end; the last 6 frames stand for
    0 before normalisation. ImageBind takes each window's mean off before; the removal of each frame's does that.
    """
    return _of_windows(wave_BN, IMAGEBIND, IMAGEBIND_S * IMAGEBIND.hz, _spread(wave_BN.shape[-1], IMAGEBIND_S * IMAGEBIND.hz))


def ast(wave_BN: Waves) -> Waves:
    """(B, 1024, 128): the first 10.24 s, frames after the end stand for 0 before normalisation."""
    return normalised(log_mel(wave_BN, AST), AST)


def cmmixer(wave_BN: Waves, spec: Spec = CMMIXER) -> Waves:
    """(B, 8, M, 258), bands before frames: 2.6 s around the middle of each eighth, moved into the wave where they reach over its
    ends (ours). spec: the paper says neither the number of bands nor logarithm or normalisation; see CMMIXER.
    """
    size, parts = CMMIXER_SAMPLES, CMMIXER_WINDOWS
    last = max(0, wave_BN.shape[-1] - size)
    starts = [(2 * part + 1) * wave_BN.shape[-1] // (2 * parts) - size // 2 for part in range(parts)]
    return _of_windows(wave_BN, spec, size, [min(max(0, start), last) for start in starts])


def _spread(num_samples: int, size: int) -> list[int]:
    """First samples of ImageBind's windows, evenly from the first to the last possible one."""
    return [max(0, num_samples - size) * i // (IMAGEBIND_WINDOWS - 1) for i in range(IMAGEBIND_WINDOWS)]


def _of_windows(wave_BN: Waves, spec: Spec, size: int, starts: list[int]) -> Waves:
    windows_BWN = ops(wave_BN).stack([wave_BN[:, start : start + size] for start in starts], 1)
    mel_BWTM = normalised(log_mel(windows_BWN, spec), spec)
    return mel_BWTM.swapaxes(-1, -2)


def _at_least(wave_BN: Waves, size: int) -> Waves:
    return wave_BN if wave_BN.shape[-1] >= size else ops(wave_BN).filled(wave_BN, size, -1)
