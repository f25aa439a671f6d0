"""Every check catches the cheat it is for, and passes honest models."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional

from benchmarks.checks import Evidence, Facts, collapse
from benchmarks.inputs import Inputs, Pairs
from benchmarks.ranking import retrieve
from benchmarks.towers import embed
from svmbench import plugins

NUM = 100


class Honest:
    """A fixed random projection of each side."""

    def __init__(self) -> None:
        random = torch.Generator().manual_seed(0)
        self.video, self.music = (torch.randn(n, 16, generator=random) for n in (12, 10))

    def encode_video(self, x: Inputs) -> torch.Tensor:
        return functional.normalize(x.vectors_BV @ self.video, dim=-1)

    def encode_music(self, x: Inputs) -> torch.Tensor:
        return functional.normalize(x.vectors_BV @ self.music, dim=-1)


class Positional(Honest):
    """Adds a sinusoid over the BATCH axis: the i-th video finds the i-th music (what batch_first=False does to a Transformer)."""

    def _add(self, x: torch.Tensor) -> torch.Tensor:
        angle = torch.arange(len(x))[:, None] / 10 ** (torch.arange(8) / 4)
        return functional.normalize(x + 5 * torch.cat([angle.sin(), angle.cos()], dim=1), dim=-1)

    def encode_video(self, x: Inputs) -> torch.Tensor:
        return self._add(super().encode_video(x))

    def encode_music(self, x: Inputs) -> torch.Tensor:
        return self._add(super().encode_music(x))


class CountsRows(Honest):
    """Counts all rows that it has seen on each side: they keep their number when batches are split."""

    def __init__(self) -> None:
        super().__init__()
        self.seen = {"video": 0, "music": 0}

    def _number(self, side: str, x: torch.Tensor) -> torch.Tensor:
        rows = (torch.arange(len(x)) + self.seen[side]) % NUM
        self.seen[side] += len(x)
        return functional.one_hot(rows, NUM).float()

    def encode_video(self, x: Inputs) -> torch.Tensor:
        return self._number("video", x.vectors_BV)

    def encode_music(self, x: Inputs) -> torch.Tensor:
        return self._number("music", x.vectors_BV)


class BatchNormInTraining(Honest):
    """Normalises with the statistics of the batch at hand."""

    def encode_video(self, x: Inputs) -> torch.Tensor:
        return super().encode_video(
            Inputs((x.vectors_BV - x.vectors_BV.mean(dim=0)) / (x.vectors_BV.std(dim=0, unbiased=False) + 1e-3))
        )


class Constant(Honest):
    """Everything is the same."""

    def encode_video(self, x: Inputs) -> torch.Tensor:
        return functional.one_hot(torch.zeros(len(x), dtype=torch.long), 16).float()

    encode_music = encode_video


class OneLine(Honest):
    """All videos lie along one line around one direction."""

    def encode_video(self, x: Inputs) -> torch.Tensor:
        return functional.normalize(self.video[:1] + 0.01 * x.vectors_BV[:, :1] * self.video[1:2], dim=-1)


class Coarse(Honest):
    """Rounds its embeddings to few values, so that candidates tie."""

    def encode_music(self, x: Inputs) -> torch.Tensor:
        return functional.one_hot(super().encode_music(x).argmax(dim=1), 16).float()


class DividesByNorm(Honest):
    """Has no guard against an input of norm 0."""

    def encode_music(self, x: Inputs) -> torch.Tensor:
        out = x.vectors_BV @ self.music
        return out / out.norm(dim=1, keepdim=True)


class Unnormalised(Honest):
    def encode_video(self, x: Inputs) -> torch.Tensor:
        return x.vectors_BV @ self.video


class HasSeenTheSongs(Honest):
    """Fitted on a split in which one test clip in fifty is of a song that is in train."""

    songs_seen = 2


def evidence(model: Any) -> Evidence:
    random = torch.Generator().manual_seed(1)
    test = Pairs(
        Inputs(torch.randn(NUM, 12, generator=random)), Inputs(torch.randn(NUM, 10, generator=random)), torch.arange(NUM)
    )
    video, music = embed(model, test)
    seen = getattr(model, "songs_seen", 0)
    train = np.arange(NUM - seen, 2 * NUM - seen)
    return Evidence(
        model=model, test=test, video_ND=video, music_ND=music, ranks=retrieve(video, music, np.arange(NUM)),
        facts={"train": some_facts(train), "val": some_facts(train[:0]), "test": some_facts(np.arange(NUM))},
    )  # fmt: skip


def some_facts(song_N: np.ndarray) -> Facts:
    """Of clips each with a song of its own."""
    unknown = np.full(len(song_N), -1)
    return Facts(
        clip_ids=tuple(f"c{s}" for s in song_N), song_N=song_N, group_N=song_N, duration_s_N=unknown * np.nan,
        loudness_N=unknown * np.nan, author_N=unknown, sound_N=unknown, look_N=unknown,
    )  # fmt: skip


@pytest.mark.parametrize("check", plugins.names("benchmarks.checks"))
def test_an_honest_model_passes(check: str) -> None:
    module = plugins.load("benchmarks.checks", check)
    assert module.__doc__
    finding = module.check(evidence(Honest()))
    assert finding.check == check
    assert finding.passed, finding.detail


CHEATS: list[tuple[str, type]] = [
    ("batch_invariance", Positional), ("batch_invariance", BatchNormInTraining), ("batch_invariance", CountsRows),
    ("independent_order", Positional), ("independent_order", CountsRows),
    ("ties", Constant), ("ties", Coarse),
    ("collapse", Constant), ("collapse", OneLine),
    ("finite", DividesByNorm), ("finite", Unnormalised),
    ("split_leak", HasSeenTheSongs),
]  # fmt: skip


@pytest.mark.parametrize(("check", "cheat"), CHEATS)
def test_a_cheat_is_caught(check: str, cheat: type) -> None:
    finding = plugins.load("benchmarks.checks", check).check(evidence(cheat()))
    assert not finding.passed, finding.detail
    assert finding.detail


def test_the_positional_cheat_would_have_scored() -> None:
    """Why the checks matter: without them this model, which knows nothing, would lead any table."""
    found = evidence(Positional())
    assert np.median(found.ranks["video_to_music"].expected()) <= 3
    honest = evidence(Honest())
    assert np.median(honest.ranks["video_to_music"].expected()) > 25


def test_every_check_has_a_cheat() -> None:
    assert {name for name, _ in CHEATS} == set(plugins.names("benchmarks.checks"))


def test_a_narrow_cone_is_a_collapse_although_its_rank_is_full() -> None:
    """All items point nearly one way and differ in every direction by a little."""
    noise = np.random.default_rng(0).normal(size=(NUM, 16)).astype(np.float32)
    cone = 0.01 * noise + np.eye(16, dtype=np.float32)[0]
    wide, narrow = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in (noise, cone))
    for video, passed in ((wide, True), (narrow, False)):
        finding = collapse.check(Evidence(video_ND=video, music_ND=wide))
        assert finding.value > 10
        assert finding.passed == passed
