"""The optimiser of the training loop: fused AdamW, for one model or several stacked ones."""

from __future__ import annotations

from itertools import pairwise
from typing import cast

import torch
from torch import nn
from torch.optim.adamw import adamw

from benchmarks.stacked import StackedBatchNorm, StackedLinear


class AdamW:
    """betas 0.9 and 0.999, eps 1e-8, a constant rate. All stacked models have made the same number of steps.

    torch.optim.AdamW would do, but its first step imports torch's compiler, which costs every worker three CPU-seconds.
    """

    def __init__(self, model: nn.Module, lr: float, weight_decay: float) -> None:
        self.lr, self.weight_decay = lr, weight_decay
        self._look_at(model)
        self.first, self.second = ([torch.zeros_like(p) for p in self.parameters] for _ in range(2))
        self.steps = [torch.zeros((), device=p.device) for p in self.parameters]

    def _look_at(self, model: nn.Module) -> None:
        self.parameters: list[torch.Tensor] = [p for p in model.parameters() if p.requires_grad]
        self.idle = idle_biases(model)

    @torch.no_grad()
    def step(self) -> None:
        """One step from the gradients, which it clears."""
        for bias in self.idle:
            cast(torch.Tensor, bias.grad).zero_()
        gradients = [cast(torch.Tensor, p.grad) for p in self.parameters]
        adamw(
            self.parameters, gradients, self.first, self.second, [], self.steps, fused=True, amsgrad=False, maximize=False,
            beta1=0.9, beta2=0.999, lr=self.lr, weight_decay=self.weight_decay, eps=1e-8,
        )  # fmt: skip
        for p in self.parameters:
            p.grad = None

    def keep(self, model: nn.Module, rows: list[int]) -> None:
        """Goes on with `model`, which is stacked of the models `rows` alone."""
        self._look_at(model)
        self.first, self.second = ([moment[rows] for moment in moments] for moments in (self.first, self.second))


def idle_biases(model: nn.Module) -> list[nn.Parameter]:
    """Biases right before a batch norm, which takes them out again, so that their true gradient is 0.

    What is computed for them is rounding. Adam would scale it up to steps of full size, and as the running means of the norm lag
    behind, embeddings would hang on the order in which the machine adds up: by 5e-4 after one epoch, and 2e-7 without it.
    """
    found = []
    for part in model.modules():
        layers = list(part) if isinstance(part, nn.Sequential) else []
        for layer, following in pairwise(layers):
            if isinstance(layer, nn.Linear | StackedLinear) and isinstance(following, nn.BatchNorm1d | StackedBatchNorm):
                found += [] if layer.bias is None or not layer.bias.requires_grad else [layer.bias]
    return found
