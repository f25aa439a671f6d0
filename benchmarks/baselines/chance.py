"""Chance, computed and never typed.

`expected` gives every item the same embedding: all candidates tie, and as the metrics are expectations under a random order of
the tied, its row is the exact value of a scorer that knows nothing. `random` gives every item a random embedding drawn from a
hash of its own inputs: one draw of such a scorer, with the spread that a real run has.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
import torch
from torch.nn import functional

from benchmarks.data import Pairs
from svmbench.settings import setting

NEEDS: tuple[str, ...] = ()
CONTROL = True
BY_DESIGN = ("ties", "collapse")


@dataclass(frozen=True)
class Settings:
    kind: str = setting("expected", choices=("expected", "random"), source="ours")
    dim: int = setting(64, low=1, high=4096, source="ours")


VARIANTS = {"expected": Settings(), "random": Settings(kind="random")}


@dataclass(frozen=True)
class Chance:
    settings: Settings
    seed: int

    def encode_video(self, video_BV: torch.Tensor) -> torch.Tensor:
        return self._embed(video_BV, "video")

    def encode_music(self, music_BV: torch.Tensor) -> torch.Tensor:
        return self._embed(music_BV, "music")

    def _embed(self, x_BV: torch.Tensor, side: str) -> torch.Tensor:
        if self.settings.kind == "expected":
            first = torch.zeros(len(x_BV), self.settings.dim, device=x_BV.device)
            first[:, 0] = 1.0
            return first
        rows = [self._random(row.tobytes(), side) for row in x_BV.cpu().numpy()]
        return functional.normalize(torch.from_numpy(np.asarray(rows, np.float32)), dim=-1).to(x_BV.device)

    def _random(self, row: bytes, side: str) -> np.ndarray:
        digest = hashlib.blake2b(row, key=f"{side} {self.seed}".encode(), digest_size=8).digest()
        return np.random.default_rng(int.from_bytes(digest, "big")).standard_normal(self.settings.dim)


def fit(train: Pairs, val: Pairs, settings: Settings, seed: int) -> Chance:
    """Nothing is learnt."""
    return Chance(settings, seed)
