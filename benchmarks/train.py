"""The training loop: tensors stay on the device, batches are gathered by an order drawn beforehand, the checkpoint is chosen on
val.

The test part is not an argument. The order is drawn on the CPU, so it is the same on every device.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import numpy as np
import torch
from torch.optim.adamw import adamw

from benchmarks.inputs import Pairs
from benchmarks.metrics import mrr
from benchmarks.ranking import retrieve
from benchmarks.towers import TwoTower, embed, generator

M = TypeVar("M", bound=TwoTower)


def train(
    model: M,
    loss: Callable[[M, Pairs], torch.Tensor],
    parts: tuple[Pairs, Pairs],
    *,
    epochs: int,
    batch: int,
    lr: float,
    weight_decay: float,
    patience: int,
    seed: int,
) -> M:
    """Trains in place with AdamW on parts[0] and returns the model as it was at its best on parts[1], in eval mode.

    loss(model, batch) -> scalar. patience: epochs without a better val value before it stops. The first
    value counts after one epoch, so an untrained model is never handed back. A last batch of one clip is skipped (batch norm
    needs two). With fewer than two songs in val there is nothing to choose by: it trains to the end.
    """
    data, val = parts
    device = data.song_B.device
    model.to(device)
    step = _adamw(list(model.parameters()), lr, weight_decay)
    random = generator(seed)
    judged = len(torch.unique(val.song_B)) > 1
    best, best_epoch, best_state = -1.0, 0, {}
    for epoch in range(epochs):
        model.train()
        order = torch.randperm(len(data), generator=random).to(device)
        for index in order.split(batch):
            if len(index) < 2:
                continue
            loss(model, data[index]).backward()
            step()
        found = validate(model, val) if judged else float(epoch)
        if found > best:
            best, best_epoch = found, epoch
            best_state = {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}
        elif epoch - best_epoch >= patience:
            break
    model.load_state_dict(best_state)
    return model.eval()


def _adamw(parameters: list[torch.Tensor], lr: float, weight_decay: float) -> Callable[[], None]:
    """A function that makes one fused AdamW step from the gradients and clears them; betas 0.9 and 0.999, eps 1e-8.

    torch.optim.AdamW would do, but its first step imports torch's compiler, which costs every worker three CPU-seconds.
    """
    first, second = ([torch.zeros_like(p) for p in parameters] for _ in range(2))
    steps = [torch.zeros((), device=p.device) for p in parameters]

    @torch.no_grad()
    def step() -> None:
        gradients = [p.grad for p in parameters if p.grad is not None]
        adamw(
            parameters, gradients, first, second, [], steps, fused=True, amsgrad=False, maximize=False, beta1=0.9, beta2=0.999,
            lr=lr, weight_decay=weight_decay, eps=1e-8,
        )  # fmt: skip
        for p in parameters:
            p.grad = None

    return step


def validate(model: TwoTower, val: Pairs) -> float:
    """Mean reciprocal rank over both directions: unlike Recall@10 it still tells models apart when val has few songs."""
    model.eval()
    video_ND, music_ND = embed(model, val)
    ranks = retrieve(video_ND, music_ND, val.song_B.cpu().numpy())
    return float(np.mean([mrr.score(r) for r in ranks.values()]))
