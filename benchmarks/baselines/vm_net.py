"""VM-NET (Hong, Im, Yang: CBVMR, ICMR 2018): two towers, a ranking loss between and a soft structure loss within the modalities.

What differs:
- The inputs are the run's features, whatever they are. The paper takes 1140 audio values (our feature vm_net_audio) and 1024
  YouTube-8M Inception values; with these sizes the model has the paper's 8,110,080 parameters.
- The authors' code switches the ReLU in the trunk off (is_linear=True) and takes the video tower from a file that was never
  published. Here: ReLU, and 2048 -> 512 as the video tower of their other file has it.
- They keep no validation set and log the test score every 200 steps. Here the checkpoint is chosen on the val part, and
  there is no step count of 700,000: training stops when val gets no better.
- Negatives that share the anchor's song are no negatives (same_song_mask); the authors do not mask.
Axes: B clips of a batch, V inputs, D embedding, K hardest negatives; before them S, where several seeds are stacked.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional

from benchmarks import train as training
from benchmarks.inputs import Pairs
from benchmarks.losses import same_song
from benchmarks.towers import Dropout, Report, TwoTower, generator, linear, quiet
from svmbench.settings import setting

NEEDS: tuple[str, ...] = ()


@dataclass(frozen=True)
class Settings:
    music_hidden_1: int = setting(2048, low=1, high=65536, source="authors' network_structure.py")
    music_hidden_2: int = setting(1024, low=1, high=65536, source="authors' network_structure.py")
    video_hidden: int = setting(2048, low=1, high=65536, source="authors' embed_network_video.py")
    dim: int = setting(512, low=1, high=65536, source="authors' network_structure.py")
    dropout: float = setting(0.1, low=0.0, high=0.95, source="authors' train.py, keep 0.9")
    margin: float = setting(0.1, low=0.0, high=2.0, source="authors' train.py")
    top_k: int = setting(100, low=1, high=100_000, source="authors' train.py")
    structure_k: int = setting(100, low=2, high=100_000, source="authors' train.py")
    weight_music_anchor: float = setting(3.0, low=0.0, high=100.0, source="authors' train.py")
    weight_video_anchor: float = setting(1.0, low=0.0, high=100.0, source="authors' train.py")
    weight_structure: float = setting(0.2, low=0.0, high=100.0, source="authors' train.py")
    same_song_mask: bool = setting(True, source="ours")
    batch: int = setting(1000, low=2, high=1_000_000, source="authors' train.py")
    lr: float = setting(3e-4, low=1e-7, high=1.0, source="authors' train.py")
    epochs: int = setting(60, low=1, high=100_000, source="ours")
    patience: int = setting(10, low=1, high=100_000, unit="epochs", source="ours")


VARIANTS = {"hong": Settings()}


def build(num_video: int, num_music: int, s: Settings, seed: int, device: str | torch.device = "cpu") -> TwoTower:
    """The two towers; weights are drawn on the CPU."""
    init, drop = generator(seed), generator(seed + 1, device)

    def layer(num_in: int, num_out: int) -> list[nn.Module]:
        return [linear(num_in, num_out, init, he=True), nn.ReLU(), Dropout(s.dropout, drop)]

    def out(num_in: int) -> list[nn.Module]:
        return [linear(num_in, s.dim, init, he=True), nn.BatchNorm1d(s.dim, eps=1e-3, momentum=0.01)]

    music = nn.Sequential(*layer(num_music, s.music_hidden_1), *layer(s.music_hidden_1, s.music_hidden_2), *out(s.music_hidden_2))
    video = nn.Sequential(*layer(num_video, s.video_hidden), *out(s.video_hidden))
    return TwoTower(video=video, music=music).to(device)


def ranking_loss(sim_BB: torch.Tensor, masked_BB: torch.Tensor, margin: float, top_k: int) -> torch.Tensor:
    """Mean over anchors (rows) and their top_k hardest negatives of max(0, margin - sim(anchor, own) + sim(anchor, negative))."""
    own_B = sim_BB.diagonal(dim1=-2, dim2=-1)
    off_BB = masked_BB | torch.eye(sim_BB.shape[-1], dtype=torch.bool, device=sim_BB.device)
    hardest_BK = sim_BB.masked_fill(off_BB, -torch.inf).topk(min(top_k, sim_BB.shape[-1] - 1), dim=-1).values
    return functional.relu(margin - own_B[..., None] + hardest_BK).mean(dim=(-2, -1))


def structure_loss(x_BV: torch.Tensor, embedding_BD: torch.Tensor, k: int) -> torch.Tensor:
    """Soft intra-modal structure: for the first k rows, neighbouring columns should keep the order of distance that the inputs
    have.

    mean of [sgn(u(i,j) - u(i,j+1)) - sgn(e(i,j) - e(i,j+1))] * (e(i,j+1) - e(i,j)) with u, e the negative cosines of inputs
    and embeddings; >= 0, and 0 where all orders agree. The sign has no gradient.
    """
    unit, embedding = functional.normalize(x_BV[..., :k, :], dim=-1), embedding_BD[..., :k, :]
    u, e = -unit @ unit.mT, -embedding @ embedding.mT
    step = e[..., :-1] - e[..., 1:]
    return ((torch.sign(u[..., :-1] - u[..., 1:]) - torch.sign(step.detach())) * -step).mean(dim=(-2, -1))


def fit_seeds(train: Pairs, val: Pairs, settings: Settings, seeds: tuple[int, ...], report: Report = quiet) -> list[TwoTower]:
    """Adam with a constant rate."""
    s = settings

    def loss(outputs: tuple[torch.Tensor, ...], batch: Pairs) -> torch.Tensor:
        video_BD, music_BD = outputs
        sim_BB = music_BD @ video_BD.mT
        masked_BB = same_song(batch.song_B) & s.same_song_mask
        return (
            s.weight_music_anchor * ranking_loss(sim_BB, masked_BB, s.margin, s.top_k)
            + s.weight_video_anchor * ranking_loss(sim_BB.mT, masked_BB, s.margin, s.top_k)
            + s.weight_structure * structure_loss(batch.music.vectors_BV, music_BD, s.structure_k)
            + s.weight_structure * structure_loss(batch.video.vectors_BV, video_BD, s.structure_k)
        )

    sizes = train.video.vectors_BV.shape[1], train.music.vectors_BV.shape[1]
    models = [build(*sizes, s, seed, train.song_B.device) for seed in seeds]
    schedule = training.Schedule(epochs=s.epochs, batch=s.batch, lr=s.lr, weight_decay=0.0, patience=s.patience)
    return training.fit_seeds(models, loss, (train, val), schedule, seeds=seeds, name="vm_net", report=report)
