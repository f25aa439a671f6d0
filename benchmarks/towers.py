"""What a baseline hands back, and the parts that two-tower baselines are built of.

Every random number comes from a generator that is passed in: workers may be threads of one process, and a seed must give the same
result there as on an actor of its own. Axes: B clips of a batch, N clips, V inputs, D embedding.
"""

from __future__ import annotations

import math
from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import nn
from torch.nn import functional

from benchmarks.data import Pairs

ENCODE_ROWS = 4096  # at once, bounds the memory of the hidden layers; ours


class Model(Protocol):
    """A fitted two-tower baseline. Each row's embedding depends on that row alone; the score of a pair is the dot product."""

    def encode_video(self, video_BV: torch.Tensor) -> torch.Tensor:
        """(B, D), L2-normalised float32."""

    def encode_music(self, music_BV: torch.Tensor) -> torch.Tensor:
        """(B, D), L2-normalised float32."""


@torch.no_grad()
def embed(model: Model, part: Pairs) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Video and music embeddings of a part on the CPU (N, D), made in float32 without TF32."""
    torch.set_float32_matmul_precision("highest")
    sides = ((model.encode_video, part.video_BV), (model.encode_music, part.music_BV))
    video, music = (torch.cat([encode(rows) for rows in x.split(ENCODE_ROWS)]).float().cpu().numpy() for encode, x in sides)
    return video, music


def num_params(model: Model) -> int:
    """Numbers that were fitted: the trainable parameters of a module, the tensors of any other model."""
    if isinstance(model, nn.Module):
        return sum(p.numel() for p in model.parameters() if p.requires_grad)
    return sum(value.numel() for value in vars(model).values() if isinstance(value, torch.Tensor))


def generator(seed: int, device: str | torch.device = "cpu") -> torch.Generator:
    """A random generator on a device."""
    return torch.Generator(device=device).manual_seed(seed)


class TwoTower(nn.Module):
    """Two independent networks into one space, compared by cosine."""

    def __init__(self, video: nn.Module, music: nn.Module) -> None:
        super().__init__()
        self.video, self.music = video, music

    def forward(self, video_BV: torch.Tensor, music_BV: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return self.encode_video(video_BV), self.encode_music(music_BV)

    def encode_video(self, video_BV: torch.Tensor) -> torch.Tensor:
        return functional.normalize(self.video(video_BV), dim=-1)

    def encode_music(self, music_BV: torch.Tensor) -> torch.Tensor:
        return functional.normalize(self.music(music_BV), dim=-1)


class Dropout(nn.Module):
    """nn.Dropout with a generator of its own."""

    def __init__(self, share: float, random: torch.Generator) -> None:
        super().__init__()
        self.share, self.random = share, random

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if not self.training or self.share == 0:
            return x
        return x * torch.empty_like(x).bernoulli_(1 - self.share, generator=self.random) / (1 - self.share)


def linear(num_in: int, num_out: int, random: torch.Generator, *, he: bool = False) -> nn.Linear:
    """A linear layer, uniform in +-1/sqrt(num_in) as PyTorch's; he=True: truncated normal of std sqrt(2/num_in), bias 0."""
    layer = nn.Linear(num_in, num_out)
    if he:
        nn.init.trunc_normal_(layer.weight, std=math.sqrt(2 / num_in), generator=random)
        nn.init.zeros_(layer.bias)
    else:
        nn.init.uniform_(layer.weight, -1 / math.sqrt(num_in), 1 / math.sqrt(num_in), generator=random)
        nn.init.uniform_(layer.bias, -1 / math.sqrt(num_in), 1 / math.sqrt(num_in), generator=random)
    return layer
