"""What a baseline is given: one modality of some clips as tensors, and nothing else about them.

Axes: N clips, B clips of a batch, T steps in time, D values a step, V pooled values, P steps of all clips one after the other.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import torch

Rows = torch.Tensor | slice  # which clips: indices on the same device (of any shape), a mask, or a slice


def take(values: torch.Tensor, rows: Rows) -> torch.Tensor:
    """values[rows]; by index_select three to seven times as fast as by [], measured on batches of 256 rows of 512 values."""
    if isinstance(rows, torch.Tensor) and rows.dtype == torch.int64:
        return values.index_select(0, rows.reshape(-1)).reshape(*rows.shape, *values.shape[1:])
    return values[rows]


@dataclass(frozen=True)
class Steps:
    """The sequences of one feature. The packed steps are shared by all batches; a batch only says which rows it has.

    packed_PD: float16 or float32, as stored. start_B, length_B: where each clip's steps lie. mean_D, scale_D: of the train part.
    longest: most steps of any clip of the pack, so that padding needs no look at the device.
    """

    packed_PD: torch.Tensor
    start_B: torch.Tensor
    length_B: torch.Tensor
    mean_D: torch.Tensor
    scale_D: torch.Tensor
    longest: int

    def __len__(self) -> int:
        return len(self.start_B)

    def __getitem__(self, rows: Rows) -> Steps:
        return replace(self, start_B=self.start_B[rows], length_B=self.length_B[rows])

    def alone(self) -> Steps:
        """The same with a copy of these clips' steps, and no others."""
        start_B = self.length_B.cumsum(0) - self.length_B
        index_P = torch.repeat_interleave(self.start_B - start_B, self.length_B)
        packed_PD = self.packed_PD[index_P + torch.arange(len(index_P), device=index_P.device)]
        return replace(self, packed_PD=packed_PD, start_B=start_B)

    def padded(self) -> tuple[torch.Tensor, torch.Tensor]:
        """values_BTD float32, standardised, 0 behind the end; mask_BT bool, True where there is a step. T is `longest`."""
        place_T = torch.arange(self.longest, device=self.start_B.device)
        mask_BT = place_T < self.length_B[:, None]
        index_BT = torch.where(mask_BT, self.start_B[:, None] + place_T, self.start_B[:, None])
        values_BTD = (self.packed_PD[index_BT].float() - self.mean_D) * self.scale_D
        return values_BTD * mask_BT[:, :, None], mask_BT


@dataclass(frozen=True)
class Inputs:
    """One modality of some clips. vectors_BV: the pooled features, standardised with the statistics of the train part.

    steps: sequences by feature, for a baseline with STEPS = True. tags_B: code of each clip's unified label, -1 where it has
    none, for a baseline with TAGS = True: labels may be learnt from, and a score that looks at those of the test part is caught
    by the check label_blindness. Ids, songs and titles are never here.
    """

    vectors_BV: torch.Tensor
    steps: Mapping[str, Steps] = field(default_factory=dict)
    tags_B: torch.Tensor | None = None

    def __len__(self) -> int:
        return len(self.vectors_BV)

    def __getitem__(self, rows: Rows) -> Inputs:
        return Inputs(
            take(self.vectors_BV, rows),
            {name: steps[rows] for name, steps in self.steps.items()},
            None if self.tags_B is None else self.tags_B[rows],
        )

    def alone(self) -> Inputs:
        """The same with the steps of these clips alone."""
        return replace(self, steps={name: steps.alone() for name, steps in self.steps.items()})

    @property
    def device(self) -> torch.device:
        return self.vectors_BV.device


@dataclass(frozen=True)
class Pairs:
    """The clips of one part: both modalities, and a code a song (for masking and scoring; no encoder is ever given it)."""

    video: Inputs
    music: Inputs
    song_B: torch.Tensor

    def __len__(self) -> int:
        return len(self.song_B)

    def __getitem__(self, rows: Rows) -> Pairs:
        return Pairs(self.video[rows], self.music[rows], self.song_B[rows])

    def alone(self) -> Pairs:
        """The same with the steps of these clips alone."""
        return replace(self, video=self.video.alone(), music=self.music.alone())

    def shuffled(self, seed: int) -> Pairs:
        """The same videos with the music of other clips: a control from which nothing can be learnt about the pairing."""
        order = torch.randperm(len(self), generator=torch.Generator().manual_seed(seed)).to(self.song_B.device)
        return Pairs(self.video, self.music[order], self.song_B[order])
