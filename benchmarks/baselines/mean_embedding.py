"""A control without the query: every query gets the same ranking, by closeness to the mean of the training items.

Score(video, music) = cos(music, mean training music) + cos(video, mean training video), over standardised inputs. A dataset on
which this beats chance rewards typical items; a model that does not beat it has learnt nothing about the pairing.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch.nn import functional

from benchmarks.inputs import Inputs, Pairs

NEEDS: tuple[str, ...] = ()
CONTROL = True
SEEDED = False


@dataclass(frozen=True)
class Settings:
    """Nothing to set."""


VARIANTS = {"default": Settings()}


@dataclass(frozen=True)
class MeanEmbedding:
    video_V: torch.Tensor
    music_V: torch.Tensor

    def encode_video(self, video: Inputs) -> torch.Tensor:
        own = functional.normalize(video.vectors_BV, dim=-1)
        return functional.normalize(torch.cat([self.music_V.expand(len(own), -1), own], dim=1), dim=-1)

    def encode_music(self, music: Inputs) -> torch.Tensor:
        own = functional.normalize(music.vectors_BV, dim=-1)
        return functional.normalize(torch.cat([own, self.video_V.expand(len(own), -1)], dim=1), dim=-1)


def fit(train: Pairs, val: Pairs, settings: Settings, seed: int) -> MeanEmbedding:
    """The mean direction of each modality. (The mean of standardised inputs themselves is 0.)"""
    means = (functional.normalize(x, dim=-1).mean(dim=0) for x in (train.video.vectors_BV, train.music.vectors_BV))
    video, music = (functional.normalize(mean, dim=0) for mean in means)
    return MeanEmbedding(video, music)
