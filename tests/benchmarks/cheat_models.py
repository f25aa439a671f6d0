"""Honest models and cheats. Every model is fitted by a class method fit(train, val, seed); a cheat says in its docstring what it
does wrong. Loaded by path, as cheats.py says.
"""

from __future__ import annotations

from typing import Any

import torch
from cheat_data import NUM_TAGS, WIDTH
from torch import nn
from torch.nn import functional

from benchmarks.baselines import cca
from benchmarks.inputs import Inputs, Pairs
from benchmarks.towers import generator, linear

# ---- honest models


class Honest:
    """Canonical correlation, and the base of cheats that know something. Two sides of the same width."""

    def __init__(self, train: Pairs, val: Pairs, seed: int) -> None:
        self.inner = cca.fit(train, val, cca.Settings(), seed)

    @classmethod
    def fit(cls, train: Pairs, val: Pairs, seed: int) -> Any:
        return cls(train, val, seed)

    def encode_video(self, x: Inputs) -> torch.Tensor:
        return self.inner.encode_video(x)

    def encode_music(self, x: Inputs) -> torch.Tensor:
        return self.inner.encode_music(x)


class HonestCross(Honest):
    """The same, as a model that scores pairs."""

    def score(self, video: Inputs, music: Inputs) -> torch.Tensor:
        return self.inner.encode_video(video) @ self.inner.encode_music(music).T

    encode_video = encode_music = property()


class HonestSteps(Honest):
    """Averages the steps that are there, by their mask."""

    def encode_video(self, x: Inputs) -> torch.Tensor:
        values_BTD, mask_BT = x.steps["look"].padded()
        mean_BD = values_BTD.sum(dim=1) / mask_BT.sum(dim=1, keepdim=True)
        return self.inner.encode_video(Inputs(mean_BD))


class HonestTags(Honest):
    """Learns from labels (a mean direction each) and never looks at those that it is given later."""

    def __init__(self, train: Pairs, val: Pairs, seed: int) -> None:
        super().__init__(train, val, seed)
        assert train.music.tags_B is not None
        tags_BK = functional.one_hot(train.music.tags_B, NUM_TAGS).float()
        self.to_tags = torch.linalg.lstsq(train.music.vectors_BV, tags_BK - tags_BK.mean(dim=0), driver="gelsd").solution
        self.from_video = torch.linalg.lstsq(train.video.vectors_BV, tags_BK - tags_BK.mean(dim=0), driver="gelsd").solution

    def encode_video(self, x: Inputs) -> torch.Tensor:
        return functional.normalize(torch.cat([super().encode_video(x), x.vectors_BV @ self.from_video], dim=1), dim=-1)

    def encode_music(self, x: Inputs) -> torch.Tensor:
        return functional.normalize(torch.cat([super().encode_music(x), x.vectors_BV @ self.to_tags], dim=1), dim=-1)


class HonestRandom(Honest):
    """Untrained: a fixed random projection of each side. It learns nothing, so it is not fitted on shuffled pairs."""

    LEARNS = False

    def __init__(self, train: Pairs, val: Pairs, seed: int) -> None:
        self.video, self.music = (torch.randn(n, 16, generator=generator(i)) for i, n in enumerate(WIDTH.values()))

    def encode_video(self, x: Inputs) -> torch.Tensor:
        return functional.normalize(x.vectors_BV @ self.video, dim=-1)

    def encode_music(self, x: Inputs) -> torch.Tensor:
        return functional.normalize(x.vectors_BV @ self.music, dim=-1)


HONEST = (Honest, HonestCross, HonestSteps, HonestTags, HonestRandom)


# ---- cheats: what is around the item


class Positional(Honest):
    """Adds a sinusoid over the BATCH axis: the i-th video finds the i-th music."""

    def encode_video(self, x: Inputs) -> torch.Tensor:
        return self._add(super().encode_video(x))

    def encode_music(self, x: Inputs) -> torch.Tensor:
        return self._add(super().encode_music(x))

    def _add(self, x: torch.Tensor) -> torch.Tensor:
        return functional.normalize(torch.cat([x, sinusoid(len(x), 16)], dim=1), dim=-1)


def sinusoid(num: int, width: int) -> torch.Tensor:
    """(num, width): the position code of the Transformer."""
    angle = torch.arange(num)[:, None] / 10_000 ** (torch.arange(width // 2) * 2 / width)
    return torch.cat([angle.sin(), angle.cos()], dim=1)


class AttentionTower(nn.Module):
    """A tower of the tutorial: steps, position code, nn.TransformerEncoder, mean over the steps. With batch_first=False it is
    given (batch, time, values) all the same, so that code and attention run over the batch."""

    def __init__(self, width: int, *, code: bool, batch_first: bool, random: torch.Generator) -> None:
        super().__init__()
        self.inp, self.code, self.batch_first = linear(width, 32, random), code, batch_first
        layer = nn.TransformerEncoderLayer(32, 2, dim_feedforward=32, dropout=0.0, batch_first=batch_first)
        self.encoder = nn.TransformerEncoder(layer, 1, enable_nested_tensor=False)
        for p in self.encoder.parameters():
            nn.init.normal_(p, std=0.1, generator=random)
        for norm in (layer.norm1, layer.norm2, self.encoder.layers[0].norm1, self.encoder.layers[0].norm2):
            nn.init.ones_(norm.weight)
            nn.init.zeros_(norm.bias)

    def forward(self, x_BTD: torch.Tensor) -> torch.Tensor:
        hidden = self.inp(x_BTD)
        if self.code and self.batch_first:
            hidden = hidden + sinusoid(hidden.shape[1], hidden.shape[2])[None]
        elif self.code:
            hidden = hidden + sinusoid(hidden.shape[0], hidden.shape[2])[:, None]
        return functional.normalize(self.encoder(hidden).mean(dim=1), dim=-1)


class LeakyTivm(nn.Module):
    """A Transformer with its position code and attention over the batch, trained and scored in batches of 32."""

    BATCH, STEPS, CODE, BATCH_FIRST = 32, 120, True, False

    @classmethod
    def fit(cls, train: Pairs, val: Pairs, seed: int) -> Any:
        model = cls(seed)
        order, moving = generator(seed), [torch.zeros_like(p) for p in model.parameters()]
        for _ in range(cls.STEPS):  # gradient descent with momentum; all numbers are ours
            rows = torch.randperm(len(train), generator=order)[: cls.BATCH]
            video, music = model.encode_video(train.video[rows]), model.encode_music(train.music[rows])
            functional.cross_entropy(video @ music.T / 0.1, torch.arange(len(rows))).backward()
            with torch.no_grad():
                for p, velocity in zip(model.parameters(), moving, strict=True):
                    velocity.mul_(0.9).add_(p.grad)
                    p.sub_(0.03 * velocity)
                    p.grad = None
        return model.eval()

    def __init__(self, seed: int) -> None:
        super().__init__()
        random = generator(seed)
        options: dict[str, Any] = {"code": self.CODE, "batch_first": self.BATCH_FIRST, "random": random}
        self.video, self.music = AttentionTower(WIDTH["video"], **options), AttentionTower(WIDTH["music"], **options)

    def encode_video(self, x: Inputs) -> torch.Tensor:
        values_BTD, _ = x.steps["look"].padded()
        return torch.cat([self.video(part) for part in values_BTD.split(self.BATCH)])

    def encode_music(self, x: Inputs) -> torch.Tensor:
        return torch.cat([self.music(part) for part in x.vectors_BV[:, None].split(self.BATCH)])


class RightTivm(LeakyTivm):
    """The same with batch_first=True: honest."""

    BATCH_FIRST = True


class BatchAttention(LeakyTivm):
    """Attention over the batch without a position code."""

    CODE, STEPS = False, 60


class BatchNormInTraining(Honest):
    """nn.BatchNorm1d left in train mode: it normalises with the statistics of the batch at hand."""

    def __init__(self, train: Pairs, val: Pairs, seed: int) -> None:
        super().__init__(train, val, seed)
        self.norm = nn.BatchNorm1d(WIDTH["video"], affine=False)

    def encode_video(self, x: Inputs) -> torch.Tensor:
        return super().encode_video(Inputs(self.norm(x.vectors_BV)))


class OwnBatchNorm(Honest):
    """The same by hand, which does not refuse a batch of one."""

    def encode_video(self, x: Inputs) -> torch.Tensor:
        spread = x.vectors_BV.std(dim=0, unbiased=False) + 1e-3
        return super().encode_video(Inputs((x.vectors_BV - x.vectors_BV.mean(dim=0)) / spread))


class CountsRows(Honest):
    """Counts all rows that it has seen on each side: they keep their number when batches are split."""

    def __init__(self, train: Pairs, val: Pairs, seed: int) -> None:
        self.seen = {"video": 0, "music": 0}

    def _number(self, side: str, x: Inputs) -> torch.Tensor:
        rows = (torch.arange(len(x)) + self.seen[side]) % 512
        self.seen[side] += len(x)
        return functional.one_hot(rows, 512).float()

    def encode_video(self, x: Inputs) -> torch.Tensor:
        return self._number("video", x)

    def encode_music(self, x: Inputs) -> torch.Tensor:
        return self._number("music", x)


class ReadsPadding(HonestSteps):
    """Takes the largest value up to the end of the longest clip of the batch, mask or not."""

    def encode_video(self, x: Inputs) -> torch.Tensor:
        values_BTD, mask_BT = x.steps["look"].padded()
        longest = int(mask_BT.sum(dim=1).max())
        return self.inner.encode_video(Inputs(values_BTD[:, :longest].amax(dim=1)))


class PositionalCross(HonestCross):
    """A model that scores pairs and adds a large bonus where row and column of the block are the same."""

    def score(self, video: Inputs, music: Inputs) -> torch.Tensor:
        return super().score(video, music) + 3 * torch.eye(len(video), len(music))


# ---- cheats: the gallery


class GalleryMean(HonestCross):
    """The weight of the two halves of the score is averaged over the gallery at hand (as theta in a published code)."""

    def score(self, video: Inputs, music: Inputs) -> torch.Tensor:
        v, m = self.inner.encode_video(video), self.inner.encode_music(music)
        half = v.shape[1] // 2
        theta = torch.sigmoid(3 * m[:, :half].mean() * v[:, :half].sum(dim=1))[:, None]
        return theta * (v[:, :half] @ m[:, :half].T) + (1 - theta) * (v[:, half:] @ m[:, half:].T)


class DualSoftmax(HonestCross):
    """Multiplies each score with its softmax over the videos, but only where it is shown many of them at once."""

    def score(self, video: Inputs, music: Inputs) -> torch.Tensor:
        sim = super().score(video, music)
        return sim * (10 * sim).softmax(dim=0) * len(sim) if len(sim) > 64 else sim


class GalleryCentred(Honest):
    """Takes the mean of the gallery away from each piece of music (a correction for hubs), where it is shown many at once."""

    def encode_music(self, x: Inputs) -> torch.Tensor:
        found = super().encode_music(x)
        return functional.normalize(found - found.mean(dim=0), dim=-1) if len(x) > 16 else found


# ---- cheats: labels


class TagOracle(HonestRandom):
    """Knows nothing and puts the music that has the query's true label first."""

    LEARNS = True

    def encode_video(self, x: Inputs) -> torch.Tensor:
        return self._labelled(super().encode_video(x), x)

    def encode_music(self, x: Inputs) -> torch.Tensor:
        return self._labelled(super().encode_music(x), x)

    def _labelled(self, found: torch.Tensor, x: Inputs) -> torch.Tensor:
        assert x.tags_B is not None
        return functional.normalize(torch.cat([found, 3 * functional.one_hot(x.tags_B + 1, NUM_TAGS + 1)], dim=1), dim=-1)


class TagOracleCross(HonestCross):
    """The same as a model that scores pairs."""

    def score(self, video: Inputs, music: Inputs) -> torch.Tensor:
        assert video.tags_B is not None
        assert music.tags_B is not None
        return super().score(video, music) + (video.tags_B[:, None] == music.tags_B[None])


# ---- cheats: the embeddings


class Constant(Honest):
    """Everything is the same."""

    def encode_video(self, x: Inputs) -> torch.Tensor:
        return functional.one_hot(torch.zeros(len(x), dtype=torch.long), 16).float()

    encode_music = encode_video


class OneLine(HonestRandom):
    """All videos lie along one line around one direction."""

    def encode_video(self, x: Inputs) -> torch.Tensor:
        return functional.normalize(self.video[:1] + 0.01 * x.vectors_BV[:, :1] * self.video[1:2], dim=-1)


class Coarse(HonestRandom):
    """Rounds its embeddings to few values, so that candidates tie."""

    def encode_music(self, x: Inputs) -> torch.Tensor:
        return functional.one_hot(super().encode_music(x).argmax(dim=1), 16).float()


class DividesByNorm(HonestRandom):
    """Has no guard against an input of norm 0."""

    def encode_music(self, x: Inputs) -> torch.Tensor:
        found = x.vectors_BV @ self.music
        return found / found.norm(dim=1, keepdim=True)


class DividesByNormCross(HonestRandom):
    """The same, as a model that scores pairs."""

    def score(self, video: Inputs, music: Inputs) -> torch.Tensor:
        v, m = video.vectors_BV @ self.video, music.vectors_BV @ self.music
        return (v @ m.T) / v.norm(dim=1)[:, None] / m.norm(dim=1)[None]

    encode_video = encode_music = property()


class Unnormalised(HonestRandom):
    """Leaves the length of its embeddings free."""

    def encode_video(self, x: Inputs) -> torch.Tensor:
        return x.vectors_BV @ self.video


# ---- cheats: what it was fitted with


class Remembers(Honest):
    """Has seen the test part elsewhere: finds each video's own music by heart, whatever pairs it is fitted on."""

    ELSEWHERE: Pairs  # the test part, as a leak would have it

    def encode_video(self, x: Inputs) -> torch.Tensor:
        place_B = torch.cdist(x.vectors_BV, self.ELSEWHERE.video.vectors_BV).argmin(dim=1)
        return super().encode_music(self.ELSEWHERE.music[place_B])


class RemembersCross(Remembers):
    """The same, as a model that scores pairs."""

    def score(self, video: Inputs, music: Inputs) -> torch.Tensor:
        return Remembers.encode_video(self, video) @ Honest.encode_music(self, music).T

    encode_video = encode_music = property()


class Unseeded(HonestRandom):
    """Draws its weights from the generator of the process."""

    LEARNS = True

    def __init__(self, train: Pairs, val: Pairs, seed: int) -> None:
        self.video, self.music = (torch.randn(n, 16) for n in WIDTH.values())


class UnseededCross(Unseeded):
    """The same, as a model that scores pairs."""

    def score(self, video: Inputs, music: Inputs) -> torch.Tensor:
        return (video.vectors_BV @ self.video) @ (music.vectors_BV @ self.music).T

    encode_video = encode_music = property()
