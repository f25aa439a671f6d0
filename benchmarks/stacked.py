"""Several models of one build as one: every tensor gets a leading axis S (seeds), so that a GPU makes one step for all of them.

Only layers whose stacked form is known are stacked; a model with any other layer is trained one by one. The stacked model mirrors
the structure and the names of the single one, and is for training alone: it is taken apart to be evaluated.
Axes: S seeds, B clips of a batch, I and D values of a row.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

import torch
from torch import nn
from torch.nn import functional

from benchmarks.towers import Dropout, TwoTower


class StackedLinear(nn.Module):
    """nn.Linear with the weights (S, D, I) and biases (S, D) of all seeds."""

    def __init__(self, layers: Sequence[nn.Linear]) -> None:
        super().__init__()
        self.weight = _joined([layer.weight for layer in layers])
        self.bias = None if layers[0].bias is None else _joined([layer.bias for layer in layers])

    def forward(self, x_SBI: torch.Tensor) -> torch.Tensor:
        weight_SID = self.weight.mT
        return x_SBI @ weight_SID if self.bias is None else torch.baddbmm(self.bias[:, None], x_SBI, weight_SID)


class StackedBatchNorm(nn.Module):
    """nn.BatchNorm1d in training: statistics of each seed's own batch, as one normalisation of S x D channels."""

    running_mean: torch.Tensor
    running_var: torch.Tensor
    num_batches_tracked: torch.Tensor

    def __init__(self, layers: Sequence[nn.BatchNorm1d]) -> None:
        super().__init__()
        self.eps, self.momentum = layers[0].eps, cast(float, layers[0].momentum)
        self.weight = _joined([layer.weight for layer in layers]) if layers[0].affine else None
        self.bias = _joined([layer.bias for layer in layers]) if layers[0].affine else None
        for name, _ in layers[0].named_buffers():
            self.register_buffer(name, torch.stack([getattr(layer, name) for layer in layers]))

    def forward(self, x_SBD: torch.Tensor) -> torch.Tensor:
        self.num_batches_tracked += 1
        weight, bias = (None if p is None else p.view(-1) for p in (self.weight, self.bias))
        mean, var = self.running_mean.view(-1), self.running_var.view(-1)
        x_BC = x_SBD.transpose(0, 1).flatten(1)
        y_BC = functional.batch_norm(x_BC, mean, var, weight, bias, training=True, momentum=self.momentum, eps=self.eps)
        return y_BC.view(len(y_BC), *self.running_mean.shape).transpose(0, 1)


class StackedDropout(nn.Module):
    """towers.Dropout where each seed draws from its own generator, the same numbers as alone."""

    def __init__(self, layers: Sequence[Dropout]) -> None:
        super().__init__()
        self.share, self.randoms = layers[0].share, [layer.random for layer in layers]

    def forward(self, x_SBD: torch.Tensor) -> torch.Tensor:
        if self.share == 0:
            return x_SBD
        kept_SBD = torch.empty_like(x_SBD, memory_format=torch.contiguous_format)
        for kept_BD, random in zip(kept_SBD, self.randoms, strict=True):
            kept_BD.bernoulli_(1 - self.share, generator=random)
        return x_SBD * kept_SBD / (1 - self.share)


def _joined(tensors: Sequence[torch.Tensor]) -> nn.Parameter:
    return nn.Parameter(torch.stack([tensor.detach() for tensor in tensors]))


def _sequential(models: Sequence[nn.Sequential]) -> nn.Sequential:
    return nn.Sequential(*(stack(layers) for layers in zip(*models, strict=True)))


def _two_tower(models: Sequence[TwoTower]) -> TwoTower:
    return TwoTower(stack([m.video for m in models]), stack([m.music for m in models]))


def _as_it_is(layers: Sequence[nn.Module]) -> nn.Module:
    """A layer without tensors that treats every value by itself."""
    return layers[0]


FORMS: Mapping[type[nn.Module], Callable[[Any], nn.Module]] = {
    TwoTower: _two_tower,
    nn.Sequential: _sequential,
    nn.Linear: StackedLinear,
    nn.BatchNorm1d: StackedBatchNorm,
    Dropout: StackedDropout,
    **dict.fromkeys((nn.Identity, nn.ReLU, nn.GELU, nn.SiLU, nn.Tanh, nn.Sigmoid), _as_it_is),
}  # by exact type: a subclass may do anything


def can_stack(model: nn.Module) -> bool:
    """Whether every part has a stacked form, is trained, is used once, and keeps running statistics in the usual way."""
    parts = [part for _, part in model.named_modules(remove_duplicate=False)]
    norms = [part for part in parts if isinstance(part, nn.BatchNorm1d)]
    return (
        all(type(part) in FORMS for part in parts)
        and len(parts) == len(set(parts))
        and all(parameter.requires_grad for parameter in model.parameters())
        and all(norm.track_running_stats and norm.momentum is not None for norm in norms)
    )


def stack(models: Sequence[nn.Module]) -> Any:
    """One module with the tensors of models that one build with one settings made; their generators are shared, not copied.

    It takes (S, B, I) rows and gives (S, B, D). KeyError where can_stack says no.
    """
    return FORMS[type(models[0])](models)


def take_apart(stacked: nn.Module, models: Sequence[nn.Module]) -> None:
    """Copies the state of each seed back into its own model."""
    states = stacked.state_dict()
    for seed, model in enumerate(models):
        model.load_state_dict({name: tensor[seed] for name, tensor in states.items()})
