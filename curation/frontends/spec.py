"""What the front ends are: rates, windows, mel bands, logarithms and normalisation, each with its source.

Axes: N samples of a frame, F frequency bins, M mel bands.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np

from curation.spectra import mel_bank

N_FFT = 512  # samples: every front end here pads its 25 ms to the next power of two


@dataclass(frozen=True, slots=True, kw_only=True)
class Spec:
    """A log-mel front end. Frames are not centred, and a frame that the wave does not fill is left out (Kaldi: snip_edges).

    window: 'hann' is symmetric, 'hann_periodic' is not, 'povey' is Kaldi's hann ** .85. preemphasis: of the sample before, taken
    off; with it goes Kaldi's removal of each frame's mean. power: 2, or 1 for magnitudes. The mel bands are triangles in HTK's
    mel from low_hz to high_hz. The logarithm is that of mel + offset, at least floor. Then num_frames are cut or filled up with
    0, if it is not None, and (x - mean) / std is taken.
    """

    num_mels: int
    window: Literal["hann", "hann_periodic", "povey"] = "hann"
    preemphasis: float = 0.97
    power: Literal[1, 2] = 2
    low_hz: float = 20.0
    high_hz: float = 8000.0
    offset: float = 0.0
    floor: float = float(np.finfo(np.float32).eps)
    num_frames: int | None = None
    mean: float = 0.0
    std: float = 1.0
    hz: int = 16_000
    length: int = 400
    hop: int = 160

    def frames(self, num_samples: int) -> int:
        """How many frames a wave gives: at least one, since a shorter wave is filled up with 0 (ours)."""
        return 1 + max(0, num_samples - self.length) // self.hop


VGGISH = Spec(  # tensorflow/models, research/audioset/vggish: vggish_params.py; magnitudes, no floor
    num_mels=64, window="hann_periodic", preemphasis=0.0, power=1, low_hz=125.0, high_hz=7500.0, offset=0.01, floor=0.0
)
FBANK80 = Spec(
    num_mels=80, window="povey"
)  # UT-CMVMR, section 3.2: 80 bands at 16 kHz; the rest is Kaldi's default, the paper is silent
IMAGEBIND = Spec(num_mels=128, num_frames=204, mean=-4.268, std=9.138)  # facebookresearch/ImageBind, imagebind/data.py
AST = Spec(num_mels=128, num_frames=1024, mean=-4.2677393, std=2 * 4.5689974)  # YuanGongND/ast; transformers' ASTFeatureExtractor
CMMIXER = (
    Spec(  # CMMixer, section 4.1: 16 kHz, 25 ms Hann, 10 ms. Ours: the bands, the logarithm and AST's normalisation, as AudioMAE
        num_mels=128, num_frames=258, mean=AST.mean, std=AST.std
    )
)


@lru_cache
def window(spec: Spec) -> np.ndarray:
    """(N,) float32; every one of these begins with 0."""
    turns = np.arange(spec.length) / (spec.length if spec.window == "hann_periodic" else spec.length - 1)
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * turns)
    return np.asarray(hann**0.85 if spec.window == "povey" else hann, np.float32)


def bank(spec: Spec) -> np.ndarray:
    """(F, M) float32."""
    return mel_bank(spec.hz, N_FFT, spec.num_mels, low_hz=spec.low_hz, high_hz=spec.high_hz, htk=True)
