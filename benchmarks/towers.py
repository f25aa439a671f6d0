"""What a baseline hands back, and the parts that two-tower baselines are built of.

Every random number comes from a generator that is passed in: workers may be threads of one process, and a seed must give the same
result there as on an actor of its own. Axes: B clips of a batch, N clips, V inputs, D embedding.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import nn
from torch.nn import functional

from benchmarks.inputs import Inputs, Pairs

ENCODE_ROWS = 4096  # at once, bounds the memory of the hidden layers; ours


@dataclass(frozen=True)
class History:
    """How training went, one value an epoch. chosen: the epoch (from 0) whose weights were kept, by `chosen_by`: 'val', or 'end'
    where there was nothing to choose by. num_steps: optimiser steps that were made."""

    loss: tuple[float, ...]
    val: tuple[float, ...]
    chosen: int
    chosen_by: str
    num_steps: int


Report = Callable[[int, int, list[float], list[float]], None]
"""report(epoch, epochs, losses, val): called once an epoch, with one loss and one val value a seed that is fitted together."""


def quiet(epoch: int, epochs: int, losses: list[float], val: list[float]) -> None:
    """A report to nobody."""


class Model(Protocol):
    """A fitted two-tower baseline. Each row's embedding depends on that row alone; the score of a pair is the dot product.

    A model that was trained step by step has `history: History`. A model that scores pairs has, in place of the encoders,
    score(video, music) -> (B, B'), where a cell depends on its own video and music alone.
    """

    def encode_video(self, video: Inputs) -> torch.Tensor:
        """(B, D), L2-normalised float32."""

    def encode_music(self, music: Inputs) -> torch.Tensor:
        """(B, D), L2-normalised float32."""


@torch.no_grad()
def embed(model: Model, part: Pairs) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Video and music embeddings of a part on the CPU (N, D), made in float32 without TF32."""
    torch.set_float32_matmul_precision("highest")
    sides = ((model.encode_video, part.video), (model.encode_music, part.music))
    video, music = (
        torch.cat([encode(x[low : low + ENCODE_ROWS]) for low in range(0, len(x), ENCODE_ROWS)]).float().cpu().numpy()
        for encode, x in sides
    )
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
    """Two independent networks into one space, compared by cosine.

    The towers may run in bfloat16; what comes out is float32. Leading axes pass through: seeds that are stacked are one more.
    """

    history: History

    def __init__(self, video: nn.Module, music: nn.Module) -> None:
        super().__init__()
        self.video, self.music = video, music

    def forward(self, video: Inputs, music: Inputs) -> tuple[torch.Tensor, torch.Tensor]:
        return self.encode_video(video), self.encode_music(music)

    def encode_video(self, video: Inputs) -> torch.Tensor:
        return functional.normalize(self.video(video.vectors_BV).float(), dim=-1)

    def encode_music(self, music: Inputs) -> torch.Tensor:
        return functional.normalize(self.music(music.vectors_BV).float(), dim=-1)


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
