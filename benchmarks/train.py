"""The training loop: tensors stay on the device, batches are gathered by an order drawn beforehand, the checkpoint is chosen on
val.

The test part is not an argument. Orders are drawn on the CPU, so they are the same on every device, and nothing is read back from
the device within an epoch. Several seeds go through the epochs side by side: on a GPU as one stacked model, where its layers can
be stacked (benchmarks/stacked.py), else one after the other. On a CPU stacking saves nothing that could be measured
(docs/training.md), and alone a seed gives the same bytes in any company.
Axes: S seeds, B clips of a batch, N clips.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar, cast

import numpy as np
import torch
from torch import nn

from benchmarks.adamw import AdamW
from benchmarks.inputs import Pairs
from benchmarks.metrics import mrr
from benchmarks.ranking import retrieve, retrieve_scores
from benchmarks.stacked import can_stack, stack, take_apart
from benchmarks.towers import History, Report, embed, generator, quiet
from svmbench.errors import BadInput, BadScores

M = TypeVar("M", bound=nn.Module)
Loss = Callable[[tuple[torch.Tensor, ...], Pairs], torch.Tensor]
"""loss(outputs, batch) -> one value a seed. outputs: what model(batch.video, batch.music) gave, in float32. Written so that
leading axes pass through: outputs are (B, D) and the loss is a scalar, or stacked (S, B, D) and the loss is (S,)."""
FILLING: Any = torch.utils.deterministic  # whether deterministic mode fills new tensors with NaN


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """AdamW with a constant rate. batch: clips; a last batch of one clip is skipped, as batch norm needs two.

    patience: epochs without a better val value before a seed stops.
    """

    epochs: int
    batch: int
    lr: float
    weight_decay: float
    patience: int


def fit_seeds(
    models: Sequence[M],
    loss: Loss,
    parts: tuple[Pairs, Pairs],
    schedule: Schedule,
    *,
    seeds: Sequence[int],
    name: str,
    report: Report = quiet,
    stacked: bool | None = None,
) -> list[M]:
    """Trains one model a seed in place on parts[0]; gives each back as it was at its best on parts[1], in eval mode, with
    `model.history`.

    The seed decides the order of the clips; model and draws of dropout are the caller's. The first val value counts after one
    epoch, so an untrained model is never handed back. With fewer than two songs in val there is nothing to choose by: each seed
    trains to the end, and its val values are empty (NaN in reports). stacked: None means on a GPU, where the model allows it.
    BadInput: fewer than two clips to train on. BadScores: the loss of a seed is not finite; `name` is the baseline's.
    """
    data, val = parts
    if len(data) < 2:
        raise BadInput(f"training of {name}: the train part has {len(data)} clips and needs two; split again or use --folds")
    device = data.song_B.device
    members = [_Member(model.to(device), seed, generator(seed)) for model, seed in zip(models, seeds, strict=True)]
    together = (device.type == "cuda" if stacked is None else stacked) and can_stack(models[0])
    judged = len(torch.unique(val.song_B)) > 1
    with _deterministic():
        crews = [_Crew(group, schedule, together) for group in ([members] if together else [[m] for m in members])]
        for epoch in range(schedule.epochs):
            for crew in crews:
                crew.train_epoch(data, loss, name)
                for member in crew.members:
                    member.judge(val if judged else None, schedule.patience)
                crew.dismiss()
            crews = [crew for crew in crews if crew.members]
            report(epoch, schedule.epochs, [m.losses[-1] for m in members], [m.val[-1] if m.val else math.nan for m in members])
            if not crews:
                break
    return [member.finish() for member in members]


@dataclass
class _Member(Generic[M]):
    """One seed of a fit: its model, its order of the clips, and how it goes."""

    model: M
    seed: int
    random: torch.Generator
    losses: list[float] = field(default_factory=list)
    val: list[float] = field(default_factory=list)
    num_steps: int = 0
    chosen: int = 0
    best: dict[str, torch.Tensor] = field(default_factory=dict)
    running: bool = True

    def judge(self, val: Pairs | None, patience: int) -> None:
        """Takes the val value of the epoch that has just ended, keeps the state if it is the best, and may stop."""
        epoch = len(self.losses) - 1
        if val is None:
            self.chosen = epoch
            return
        self.val.append(validate(self.model.eval(), val))
        if epoch == 0 or self.val[-1] > self.val[self.chosen]:
            self.chosen = epoch
            self.best = {name: tensor.detach().clone() for name, tensor in self.model.state_dict().items()}
        elif epoch - self.chosen >= patience:
            self.running = False

    def finish(self) -> M:
        if self.best:
            self.model.load_state_dict(self.best)
        chosen_by = "val" if self.val else "end"
        cast(Any, self.model).history = History(tuple(self.losses), tuple(self.val), self.chosen, chosen_by, self.num_steps)
        return self.model.eval()


class _Crew(Generic[M]):
    """Members that make their steps together: one as it is, or several as one stacked model."""

    def __init__(self, members: list[_Member[M]], schedule: Schedule, together: bool) -> None:
        self.members, self.schedule, self.together = members, schedule, together
        self.model: nn.Module = stack([m.model for m in members]) if together else members[0].model
        self.optimiser = AdamW(self.model, schedule.lr, schedule.weight_decay)

    def train_epoch(self, data: Pairs, loss: Loss, name: str) -> None:
        """One pass over the clips; the mean loss over its batches is read once, at the end."""
        self.model.train()
        device = data.song_B.device
        order_SN = torch.stack([torch.randperm(len(data), generator=m.random) for m in self.members]).to(device)
        batches = [b for b in (order_SN if self.together else order_SN[0]).split(self.schedule.batch, dim=-1) if b.shape[-1] > 1]
        total_S = torch.zeros(len(self.members), device=device)
        for index in batches:
            total_S += self.step(data[index], loss)
        if self.together:
            take_apart(self.model, [m.model for m in self.members])
        for member, value in zip(self.members, (total_S / len(batches)).tolist(), strict=True):
            member.losses.append(value)
            member.num_steps += len(batches)
            if not math.isfinite(value):
                at = f"(seed {member.seed}) diverged at epoch {len(member.losses)}"
                raise BadScores(f"training of {name} {at}: the loss is not finite; lower lr")

    def step(self, batch: Pairs, loss: Loss) -> torch.Tensor:
        """One step of the optimiser. Nothing in it waits for the device; the loss stays there."""
        device = batch.song_B.device.type
        with torch.autocast(device, torch.bfloat16, enabled=device == "cuda"):
            outputs = self.model(batch.video, batch.music)
        value_S = loss(tuple(output.float() for output in outputs), batch)
        value_S.sum().backward()
        self.optimiser.step()
        return value_S.detach()

    def dismiss(self) -> None:
        """Lets members go that have stopped; the others go on without their work."""
        stay = [i for i, member in enumerate(self.members) if member.running]
        if len(stay) == len(self.members):
            return
        self.members = [self.members[i] for i in stay]
        if self.members and self.together:
            self.model = stack([m.model for m in self.members])
            self.optimiser.keep(self.model, stay)


class _Strict:
    """How many fits of this process want deterministic algorithms, and how torch was set before the first of them."""

    lock = threading.Lock()
    fits = 0
    before = (0, True)


@contextmanager
def _deterministic() -> Iterator[None]:
    """Deterministic algorithms while any fit of this process runs; what was set before comes back after the last.

    An operation that has no deterministic form raises. torch.use_deterministic_algorithms would do the same, but imports torch's
    compiler. That every new tensor is filled with NaN, which deterministic mode does besides, costs time and is left out.
    """
    with _Strict.lock:
        if _Strict.fits == 0:
            _Strict.before = torch.get_deterministic_debug_mode(), FILLING.fill_uninitialized_memory
            torch.set_deterministic_debug_mode("error")
            FILLING.fill_uninitialized_memory = False
        _Strict.fits += 1
    try:
        yield
    finally:
        with _Strict.lock:
            _Strict.fits -= 1
            if _Strict.fits == 0:
                torch.set_deterministic_debug_mode(_Strict.before[0])
                FILLING.fill_uninitialized_memory = _Strict.before[1]


@torch.no_grad()
def validate(model: Any, val: Pairs) -> float:
    """Mean reciprocal rank over both directions: unlike Recall@10 it still tells models apart when val has few songs.

    model: a `towers.Model`, with encoders or with a score of pairs.
    """
    song_N = val.song_B.cpu().numpy()
    if hasattr(model, "score"):
        pick = lambda clips: torch.from_numpy(clips).to(val.song_B.device)
        score = lambda videos, clips: model.score(val.video[pick(videos)], val.music[pick(clips)]).float().cpu().numpy()
        ranks = retrieve_scores(score, len(val), song_N)
    else:
        ranks = retrieve(*embed(model, val), song_N)
    return float(np.mean([mrr.score(r) for r in ranks.values()]))
