"""MVBind's head (arXiv 2405.09286, section 4.2): two small networks on frozen features, symmetric InfoNCE.

What differs:
- The paper feeds ImageBind features of 1024 values on both sides; here the inputs are the run's features. With 1024 on both sides
  the heads have 1,314,304 parameters.
- The loss as printed (a sum over embedding components of matched pairs) contains no mismatched pair and cannot learn retrieval.
  Here: what the text describes, the N x N cosines of a batch with the diagonal as positives, both ways.
- Temperature, rate, batch, epochs and weight decay are not stated in the paper: ours.
- The paper's test set is its validation set. Here the checkpoint is chosen on val and scored on test.
- Clips of a batch that share a song are no negatives of each other (same_song_mask, on by default; ours).
Axes: B clips of a batch, V inputs, D embedding; before them S, where several seeds are stacked.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

from benchmarks import train as training
from benchmarks.inputs import Pairs
from benchmarks.losses import same_song
from benchmarks.towers import Dropout, Report, TwoTower, generator, linear, quiet
from svmbench.settings import setting

NEEDS: tuple[str, ...] = ()


@dataclass(frozen=True)
class Settings:
    hidden: int = setting(512, low=1, high=65536, source="section 4.2")
    dim: int = setting(256, low=1, high=65536, source="section 4.2")
    dropout: float = setting(0.5, low=0.0, high=0.95, source="section 4.2")
    temperature: float = setting(0.07, low=1e-3, high=10.0, source="ours")
    same_song_mask: bool = setting(True, source="ours")
    batch: int = setting(256, low=2, high=1_000_000, source="ours")
    lr: float = setting(1e-3, low=1e-7, high=1.0, source="ours")
    weight_decay: float = setting(1e-4, low=0.0, high=1.0, source="ours")
    epochs: int = setting(100, low=1, high=100_000, source="ours")
    patience: int = setting(15, low=1, high=100_000, unit="epochs", source="ours")


VARIANTS = {"default": Settings()}


def build(num_video: int, num_music: int, s: Settings, seed: int, device: str | torch.device = "cpu") -> TwoTower:
    """Two heads that share nothing; weights are drawn on the CPU."""
    init, drop = generator(seed), generator(seed + 1, device)

    def head(num_in: int) -> nn.Sequential:
        return nn.Sequential(
            linear(num_in, s.hidden, init), nn.BatchNorm1d(s.hidden), nn.ReLU(), Dropout(s.dropout, drop),
            linear(s.hidden, s.dim, init),
        )  # fmt: skip

    return TwoTower(video=head(num_video), music=head(num_music)).to(device)


def info_nce(video_BD: torch.Tensor, music_BD: torch.Tensor, masked_BB: torch.Tensor, temperature: float) -> torch.Tensor:
    """Mean cross-entropy of the own partner among the batch, over both directions; masked cells are no candidates."""
    logits_BB = (video_BD @ music_BD.mT / temperature).masked_fill(masked_BB, -torch.inf)
    first, second = (x.log_softmax(dim=-1).diagonal(dim1=-2, dim2=-1).mean(dim=-1) for x in (logits_BB, logits_BB.mT))
    return -(first + second) / 2


def fit_seeds(train: Pairs, val: Pairs, settings: Settings, seeds: tuple[int, ...], report: Report = quiet) -> list[TwoTower]:
    """AdamW with a constant rate."""
    s = settings

    def loss(outputs: tuple[torch.Tensor, ...], batch: Pairs) -> torch.Tensor:
        video_BD, music_BD = outputs
        return info_nce(video_BD, music_BD, same_song(batch.song_B) & s.same_song_mask, s.temperature)

    sizes = train.video.vectors_BV.shape[1], train.music.vectors_BV.shape[1]
    models = [build(*sizes, s, seed, train.song_B.device) for seed in seeds]
    schedule = training.Schedule(epochs=s.epochs, batch=s.batch, lr=s.lr, weight_decay=s.weight_decay, patience=s.patience)
    return training.fit_seeds(models, loss, (train, val), schedule, seeds=seeds, name="mvbind", report=report)
