"""Chance, computed and never typed.

Every item gets the same embedding: all candidates tie, and as the metrics are expectations under a random order of the tied, the
row is the exact value of a scorer that knows nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from benchmarks.inputs import Inputs, Pairs
from svmbench.settings import setting

NEEDS: tuple[str, ...] = ()
CONTROL = True
SEEDED = False
BY_DESIGN = ("ties", "collapse")


@dataclass(frozen=True)
class Settings:
    dim: int = setting(64, low=1, high=4096, source="ours; the value does not matter")


VARIANTS = {"expected": Settings()}


@dataclass(frozen=True)
class Chance:
    dim: int

    def encode_video(self, video: Inputs) -> torch.Tensor:
        return self._embed(video)

    def encode_music(self, music: Inputs) -> torch.Tensor:
        return self._embed(music)

    def _embed(self, items: Inputs) -> torch.Tensor:
        first = torch.zeros(len(items), self.dim, device=items.device)
        first[:, 0] = 1.0
        return first


def fit(train: Pairs, val: Pairs, settings: Settings, seed: int) -> Chance:
    """Nothing is learnt."""
    return Chance(settings.dim)
