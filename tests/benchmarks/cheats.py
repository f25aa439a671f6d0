"""Honest models and cheats, and what each check says of each. Run as a script it prints the table of docs/integrity.md.

Not imported as a package: tests load it by path (tests/benchmarks/test_checks.py). Every model is fitted by a class method
fit(train, val, seed); a cheat says in its docstring what it does wrong, and CAUGHT_BY names the checks that must fail.

    .venv/bin/python tests/benchmarks/cheats.py            the table: every cheat, every check
    .venv/bin/python tests/benchmarks/cheats.py 200        false alarms: honest models on so many data sets
"""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from benchmarks import checks
from benchmarks.baselines import cca
from benchmarks.checks import Evidence, Facts, Finding
from benchmarks.inputs import Inputs, Pairs, Steps
from benchmarks.metrics import median_rank, recall
from benchmarks.ranking import retrieve, retrieve_scores
from benchmarks.towers import History, embed, generator, linear, quiet
from svmbench import plugins

NUM_TAGS, NUM_STEPS, NUM_CAUSES = 12, 4, 6
WIDTH = {"video": 12, "music": 10}


# ---- the world: pairs that share a hidden cause, one to three clips a song, in order of the songs


@dataclass(frozen=True)
class World:
    parts: Mapping[str, Pairs]
    facts: Mapping[str, Facts]


def world(seed: int = 0, *, songs: int = 320, signal: float = 1.0, noise: float = 1.0) -> World:
    """Parts of 60, 15 and 25 % of the songs; a video has up to NUM_STEPS steps; the labels of both sides follow the cause."""
    rng = np.random.default_rng(seed)
    song_N = np.repeat(np.arange(songs), 1 + np.arange(songs) % 3)
    num = len(song_N)
    cause_N = rng.normal(size=(songs, NUM_CAUSES))[song_N]
    mixes = {side: rng.normal(size=(NUM_CAUSES, width)) / NUM_CAUSES**0.5 for side, width in WIDTH.items()}
    video = signal * (cause_N @ mixes["video"])[:, None] + noise * rng.normal(size=(num, NUM_STEPS, WIDTH["video"]))
    music = signal * cause_N @ mixes["music"] + noise * rng.normal(size=(num, WIDTH["music"])) / 2
    tags = {side: _tags(cause_N, rng) for side in WIDTH}
    order = np.random.default_rng(seed + 1).permutation(songs)
    part_S = np.empty(songs, dtype=int)
    part_S[order] = np.searchsorted([0.6 * songs, 0.75 * songs], np.arange(songs), side="right")
    lengths = {"duration_s_N": np.full(num, 15.0), "loudness_N": rng.normal(size=num)}
    parts, facts = {}, {}
    seen = part_S[song_N] == 0
    video = (video - video[seen].mean(axis=(0, 1))) / video[seen].std(axis=(0, 1))
    pooled = video.mean(axis=1)
    vectors = {"video": pooled / pooled[seen].std(axis=0), "music": (music - music[seen].mean(axis=0)) / music[seen].std(axis=0)}
    for number, name in enumerate(("train", "val", "test")):
        rows = np.flatnonzero(part_S[song_N] == number)
        sides = {
            side: Inputs(torch.from_numpy(vectors[side][rows]).float(), tags_B=torch.from_numpy(tags[side][rows]))
            for side in WIDTH
        }
        sides["video"] = replace(sides["video"], steps={"look": _steps(video[rows])})
        parts[name] = Pairs(sides["video"], sides["music"], torch.from_numpy(song_N[rows]))
        facts[name] = some_facts(song_N[rows], **{key: values[rows] for key, values in lengths.items()})
    return World(parts, facts)


def _tags(cause_N: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return np.minimum(np.abs(4 * cause_N[:, 0] + rng.normal(size=len(cause_N))).astype(np.int64), NUM_TAGS - 1)


def _steps(values_NTD: np.ndarray) -> Steps:
    num, length, width = values_NTD.shape
    return Steps(
        packed_PD=torch.from_numpy(values_NTD.reshape(num * length, width)).float(),
        start_B=torch.arange(num) * length,
        length_B=torch.full((num,), length) - torch.arange(num) % 2,
        mean_D=torch.zeros(width),
        scale_D=torch.ones(width),
        longest=length,
    )


def some_facts(song_N: np.ndarray, **known: np.ndarray) -> Facts:
    """Of clips of these songs; what is not given is unknown."""
    unknown, nothing = np.full(len(song_N), -1), np.full(len(song_N), np.nan)
    fields: dict[str, Any] = {"duration_s_N": nothing, "loudness_N": nothing} | known
    return Facts(
        clip_ids=tuple(f"c{s}-{i}" for i, s in enumerate(song_N)), song_N=song_N, group_N=song_N, author_N=unknown,
        sound_N=unknown, look_N=unknown, **fields,
    )  # fmt: skip


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


# ---- evidence, and cheats that lie in it


def evidence_of(model: Any, given: World, seed: int = 0) -> Evidence:
    """A model fitted on the train part of a world and scored on its test part, as a run does it."""
    train, val, test = (given.parts[name] for name in ("train", "val", "test"))
    if issubclass(model, Remembers):
        model = type(model.__name__, (model,), {"ELSEWHERE": test, "__doc__": model.__doc__})
    fitted = model.fit(train, val, seed)
    song_N, sides = test.song_B.numpy(), (None, None)
    if hasattr(fitted, "score"):
        ranks = _ranked_pairs(fitted, test)
    else:
        sides = embed(fitted, test)
        ranks = retrieve(*sides, song_N)
    return Evidence(
        model=fitted, test=test, video_ND=sides[0], music_ND=sides[1], song_N=song_N, ranks=ranks, train=train, val=val,
        refit=(lambda first, second: model.fit(first, second, seed)) if getattr(model, "LEARNS", True) else None,
        fit_again=(lambda: model.fit(train, val, seed)) if getattr(model, "LEARNS", True) else None,
        facts=given.facts, settings_scored=frozenset({"aa"}),
        history=History(loss=(3.0, 2.0, 1.0), val=(0.1, 0.3, 0.2), chosen=1, chosen_by="val", num_steps=30),
    )  # fmt: skip


@torch.no_grad()
def _ranked_pairs(model: Any, test: Pairs) -> Any:
    """One block of all pairs, as the cheats with a look at the gallery would wish it."""
    sim_NN = model.score(test.video, test.music).numpy()
    return retrieve_scores(lambda rows, columns: sim_NN[np.ix_(rows, columns)], len(test), test.song_B.numpy())


def shifted(given: World) -> World:
    """The music file is out of step by one clip."""
    parts = {
        name: Pairs(part.video, part.music[torch.arange(len(part)).roll(-1)], part.song_B) for name, part in given.parts.items()
    }
    return World(parts, given.facts)


def scrambled(given: World) -> World:
    """The music file is in another order altogether."""
    return World({name: part.shuffled(i) for i, (name, part) in enumerate(given.parts.items())}, given.facts)


def lengths_differ(given: World) -> World:
    """Clips as long as their song, so that the length gives the pair away."""
    rng = np.random.default_rng(0)
    facts = {name: replace(f, duration_s_N=rng.uniform(120, 300, len(f))) for name, f in given.facts.items()}
    return World(given.parts, facts)


def popular(given: World) -> World:
    """A closed catalogue: songs that many test clips have are those that many train clips have."""
    return World(given.parts, {**given.facts, "train": replace(given.facts["train"], song_N=given.facts["test"].song_N)})


def with_test_rows(given: World) -> World:
    """The train part holds clips of the test part."""
    train, test = given.parts["train"], given.parts["test"]
    rows = {side: torch.cat([getattr(p, side).vectors_BV for p in (train, test[:20])]) for side in WIDTH}
    more = Pairs(Inputs(rows["video"]), Inputs(rows["music"]), torch.cat([train.song_B, test.song_B[:20]]))
    return World({**given.parts, "train": more}, given.facts)


def evidence_with(cheat: str, given: World) -> Evidence:
    """Evidence of an honest model in which something else is wrong; the cheats' names are the keys of PLANTED."""
    if cheat in WORLDS:
        return evidence_of(Honest, WORLDS[cheat](given))
    honest = evidence_of(Honest, given)
    if cheat == "chosen on test":
        return replace(honest, history=History((3.0, 2.0, 1.0), (0.1, 0.3, 0.2), chosen=2, chosen_by="val", num_steps=30))
    if cheat == "settings tuned on test":
        return replace(honest, settings_scored=frozenset({"aa", "bb", "cc"}))
    song_N = given.facts["test"].song_N
    seen = replace(given.facts["train"], group_N=np.r_[given.facts["train"].group_N[2:], song_N[:2]])
    return replace(honest, facts={**given.facts, "train": seen})


WORLDS = {
    "shifted file": shifted,
    "scrambled file": scrambled,
    "lengths differ": lengths_differ,
    "closed catalogue": popular,
    "fitted on test rows": with_test_rows,
}
PLANTED: dict[str, tuple[str, ...]] = {
    "shifted file": ("alignment",),
    "scrambled file": ("alignment",),
    "lengths differ": ("negative_controls",),
    "closed catalogue": ("negative_controls",),
    "chosen on test": ("test_discipline",),
    "settings tuned on test": ("test_discipline",),
    "fitted on test rows": ("test_discipline",),
    "test songs in train": ("split_leak",),
}
CAUGHT_BY: dict[type, tuple[str, ...]] = {
    LeakyTivm: ("batch_invariance", "independent_order", "batch_position", "gallery_invariance", "shuffled_pairs"),
    Positional: ("batch_invariance", "independent_order", "gallery_invariance"),
    PositionalCross: ("batch_invariance", "independent_order", "gallery_invariance", "shuffled_pairs"),
    BatchAttention: ("batch_invariance",),
    BatchNormInTraining: ("batch_invariance",),
    OwnBatchNorm: ("batch_invariance", "gallery_invariance"),
    CountsRows: ("batch_invariance", "independent_order", "gallery_invariance"),
    ReadsPadding: ("batch_invariance",),
    GalleryMean: ("batch_invariance", "gallery_invariance"),
    DualSoftmax: ("gallery_invariance",),
    GalleryCentred: ("batch_invariance", "gallery_invariance"),
    TagOracle: ("label_blindness",),
    TagOracleCross: ("label_blindness",),
    Constant: ("ties", "collapse"),
    OneLine: ("collapse",),
    Coarse: ("ties",),
    DividesByNorm: ("finite",),
    DividesByNormCross: ("finite",),
    Unnormalised: ("finite",),
    Remembers: ("shuffled_pairs",),
    RemembersCross: ("shuffled_pairs",),
    Unseeded: ("determinism",),
    UnseededCross: ("determinism",),
}


# ---- the leak in small (spec, audit A1)


def weak_world() -> World:
    """442 test clips that share little: 14 clips stand at each place of a batch of 32."""
    return world(0, songs=900, signal=0.3)


def as_evaluated(model: Any, given: World) -> dict[str, Any]:
    """Video-to-music ranks of a model among all clips of test, only the own pair right: in batches in the order of the file, with
    the sides shuffled apart, and clip by clip."""
    test, song_N = given.parts["test"], given.facts["test"].song_N
    fitted = model.fit(given.parts["train"], given.parts["val"], 0)
    orders = [np.random.default_rng(i).permutation(len(test)) for i in range(2)]
    apart = [embed(fitted, test[torch.from_numpy(order)])[side][np.argsort(order)] for side, order in enumerate(orders)]
    single = [embed(fitted, test[i : i + 1]) for i in range(len(test))]
    ways = {
        "in batches": embed(fitted, test),
        "shuffled apart": apart,
        "clip by clip": [np.concatenate(side) for side in zip(*single, strict=True)],
    }
    return {way: retrieve(*sides, song_N, unit="pair")["video_to_music"] for way, sides in ways.items()}


def print_leak() -> None:
    """Recall@1, 5, 10, 25, 50 in percent and median rank; in markdown."""
    print("| model | evaluated | R@1 | R@5 | R@10 | R@25 | R@50 | MedR |")
    print("|---|---|---|---|---|---|---|---|")
    for model in (LeakyTivm, RightTivm, BatchAttention):
        for way, ranks in as_evaluated(model, weak_world()).items():
            cells = [f"{100 * recall.score(ranks, k):.1f}" for k in (1, 5, 10, 25, 50)] + [f"{median_rank.score(ranks):.1f}"]
            print(f"| {model.__name__} | {way} |", " | ".join(cells), "|")
    print()


# ---- the table


def findings_of(evidence: Evidence) -> dict[str, Finding]:
    return {f.check: f for f in checks.run(evidence)}


def baselines() -> list[type]:
    """Those that ship, in the shape of the models above, with few epochs and small layers."""
    return [_wrapped(name) for name in plugins.names("benchmarks.baselines")]


def _wrapped(name: str) -> type:
    module = plugins.load("benchmarks.baselines", name)
    small = {"epochs": 8, "music_hidden_1": 64, "music_hidden_2": 64, "video_hidden": 64, "hidden": 64, "dim": 32}
    settings = next(iter(module.VARIANTS.values()))
    settings = replace(settings, **{k: v for k, v in small.items() if hasattr(settings, k)})

    def fit(train: Pairs, val: Pairs, seed: int) -> Any:
        if hasattr(module, "fit_seeds"):
            return module.fit_seeds(train, val, settings, (seed,), quiet)[0]
        return module.fit(train, val, settings, seed)

    return type(name, (), {"fit": staticmethod(fit), "LEARNS": getattr(module, "LEARNS", True), "module": module})


def print_table(given: World) -> None:
    """FAILED as X, passed as a dot, not run as a dash; in markdown."""
    names = plugins.names(checks.FOLDER)
    print("| model or split |", " | ".join(names), "|")
    print("|---" * (len(names) + 1) + "|")
    rows = [(m.__name__, evidence_of(m, given)) for m in (*HONEST, RightTivm)]
    rows += [(m.__name__, evidence_of(m, given)) for m in baselines()]
    rows += [(m.__name__, evidence_of(m, given)) for m in CAUGHT_BY] + [(c, evidence_with(c, given)) for c in PLANTED]
    for name, evidence in rows:
        found = findings_of(evidence)
        print(f"| {name} |", " | ".join({True: ".", False: "X", None: "-"}[found[c].passed] for c in names), "|")


def print_false_alarms(num: int) -> None:
    """Honest models, trained baselines among them, on data sets of changing size and signal; what fails, each with its detail."""
    models = [*HONEST, RightTivm, *(m for m in baselines() if not hasattr(m.module, "BY_DESIGN"))]
    alarms: Counter[str] = Counter()
    began = time.process_time()
    for seed in range(num):
        signal, model = (0.0, 0.3, 1.0, 3.0)[seed // len(models) % 4], models[seed % len(models)]
        given = world(seed, songs=160 + 40 * (seed % 5), signal=signal)
        for finding in findings_of(evidence_of(model, given, seed)).values():
            if finding.passed is False:
                alarms[f"{finding.check} at signal {signal}"] += 1
                print(f"{seed} {model.__name__} {finding.check}: {finding.detail}", flush=True)
    print(f"{num} honest models, {time.process_time() - began:.0f} CPU-s; failed: {dict(alarms)}")


if __name__ == "__main__":
    torch.set_num_threads(1)
    if len(sys.argv) > 1:
        print_false_alarms(int(sys.argv[1]))
    else:
        print_leak()
        print_table(world())
