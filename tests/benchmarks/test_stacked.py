"""Stacked models: the same as one by one, seed by seed, and only where every layer is known."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from benchmarks import train as training
from benchmarks.baselines import mvbind, vm_net
from benchmarks.inputs import Inputs, Pairs
from benchmarks.losses import same_song
from benchmarks.stacked import can_stack, stack, take_apart
from benchmarks.towers import Dropout, TwoTower, embed, generator, linear

SEEDS = (0, 1, 2)
WITHIN = 1e-6  # the issue's


def pairs(num: int, seed: int, songs: int) -> Pairs:
    fixed, random = generator(99), generator(seed)
    cause = torch.randn(num, 4, generator=random)
    video, music = (cause @ torch.randn(4, n, generator=fixed) + torch.randn(num, n, generator=random) for n in (37, 11))
    return Pairs(Inputs(video), Inputs(music), torch.randint(0, songs, (num,), generator=random))


TRAIN, VAL, TEST = pairs(150, 1, 90), pairs(40, 2, 30), pairs(60, 3, 50)


def fitted(module: Any, stacked: bool, patch: pytest.MonkeyPatch, seeds: tuple[int, ...] = SEEDS, **more: Any) -> list[TwoTower]:
    """The baseline's own fit_seeds, told whether to stack."""
    small = {"hidden": 19} if module is mvbind else {"music_hidden_1": 19, "music_hidden_2": 13, "video_hidden": 17}
    plain = training.fit_seeds
    with patch.context() as inner:
        inner.setattr(training, "fit_seeds", lambda *args, **how: plain(*args, **{**how, "stacked": stacked}))
        models: list[TwoTower] = module.fit_seeds(TRAIN, VAL, module.Settings(**small, dim=7, batch=32, **more), seeds)
    return models


@pytest.mark.parametrize("module", [mvbind, vm_net])
def test_five_steps_stacked_are_five_steps_one_by_one(module: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    alone, together = (fitted(module, stacked, monkeypatch, epochs=1) for stacked in (False, True))
    for one, other in zip(alone, together, strict=True):
        assert one.history.num_steps == other.history.num_steps == 5
        assert one.history.loss == pytest.approx(other.history.loss, abs=WITHIN)
        for found, expected in zip(embed(other, TEST), embed(one, TEST), strict=True):
            assert np.abs(found - expected).max() < WITHIN
        for name, tensor in one.state_dict().items():
            assert (tensor - other.state_dict()[name]).abs().max() < 1e-5, name
    assert not np.allclose(embed(together[0], TEST)[0], embed(together[1], TEST)[0], atol=0.1), "each seed is a fit of its own"


def test_a_stack_that_is_fitted_again_gives_the_same_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the check of determinism counts on where seeds are stacked: it fits the same company again."""
    first, again = (fitted(mvbind, True, monkeypatch, epochs=3) for _ in range(2))
    for one, other in zip(first, again, strict=True):
        assert one.history == other.history
        for name, tensor in one.state_dict().items():
            assert torch.equal(tensor, other.state_dict()[name]), name


@pytest.mark.parametrize("module", [mvbind, vm_net])
def test_stacked_seeds_stop_by_themselves_and_the_others_go_on(module: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    how = {"epochs": 12, "patience": 2, "lr": 1e-2}
    alone = fitted(module, False, monkeypatch, **how)
    seeds = tuple(sorted(SEEDS, key=lambda seed: len(alone[seed].history.loss)))  # those that stop first stand first
    assert len(alone[seeds[0]].history.loss) < len(alone[seeds[-1]].history.loss)
    for seed, other in zip(seeds, fitted(module, True, monkeypatch, seeds, **how), strict=True):
        history = alone[seed].history
        assert (len(other.history.loss), other.history.chosen) == (len(history.loss), history.chosen)
        assert other.history.loss == pytest.approx(history.loss, abs=1e-3), "rounding grows with the steps, errors more"


def test_every_known_layer_gives_and_learns_the_same_stacked() -> None:
    activations = (nn.Identity(), nn.ReLU(), nn.GELU(), nn.SiLU(), nn.Tanh(), nn.Sigmoid())

    def make(seed: int) -> TwoTower:
        init, drop = generator(seed), generator(seed + 1)
        plain = nn.Linear(9, 3, bias=False)
        nn.init.uniform_(plain.weight, -1, 1, generator=init)
        video = nn.Sequential(
            linear(6, 9, init), nn.BatchNorm1d(9, affine=False, momentum=0.3), *activations, Dropout(0.3, drop), plain
        )
        music = nn.Sequential(nn.Sequential(linear(4, 9, init, he=True), nn.ReLU(), Dropout(0.0, drop)), linear(9, 3, init))
        return TwoTower(video, music)

    models, twins = ([make(seed) for seed in SEEDS] for _ in range(2))
    stacked = stack(twins)
    assert list(stacked.state_dict()) == list(models[0].state_dict())
    random = generator(5)
    video_SBV, music_SBV = torch.randn(3, 8, 6, generator=random), torch.randn(3, 8, 4, generator=random)
    found = stacked(Inputs(video_SBV), Inputs(music_SBV))
    assert [x.shape for x in found] == [(3, 8, 3)] * 2
    (found[0] * found[1]).sum().backward()
    for s, model in enumerate(models):
        expected = model(Inputs(video_SBV[s]), Inputs(music_SBV[s]))
        (expected[0] * expected[1]).sum().backward()
        for a, b in zip(found, expected, strict=True):
            assert (a[s] - b).abs().max() < WITHIN
        for (name, p), q in zip(stacked.named_parameters(), model.parameters(), strict=True):
            assert (p.grad[s] - q.grad).abs().max() < 1e-5, name
    take_apart(stacked, twins)
    for twin, model in zip(twins, models, strict=True):
        for name, tensor in model.state_dict().items():
            assert torch.allclose(twin.state_dict()[name], tensor, atol=WITHIN), name


class Doubled(nn.Linear):
    """A linear layer that does something else."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return 2 * super().forward(x)


def frozen() -> nn.Module:
    return nn.Linear(3, 3).requires_grad_(False)


@pytest.mark.parametrize(
    "layer",
    [lambda: nn.TransformerEncoderLayer(3, 1, 4, batch_first=True), lambda: Doubled(3, 3), lambda: nn.LayerNorm(3), frozen,
     lambda: nn.BatchNorm1d(3, momentum=None), lambda: nn.BatchNorm1d(3, track_running_stats=False), lambda: nn.Dropout(0.1)],
)  # fmt: skip
def test_a_model_with_any_other_layer_is_trained_one_by_one(layer: Callable[[], nn.Module]) -> None:
    def make(seed: int) -> TwoTower:
        init = generator(seed)
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            return TwoTower(nn.Sequential(linear(37, 3, init), layer()), nn.Sequential(linear(11, 3, init)))

    assert can_stack(TwoTower(nn.Sequential(linear(37, 3, generator(0))), linear(11, 3, generator(0))))
    assert not can_stack(make(0))

    def loss(outputs: tuple[torch.Tensor, ...], batch: Pairs) -> torch.Tensor:
        assert outputs[0].ndim == 2, "one seed at a time"
        return mvbind.info_nce(*outputs, masked_BB=same_song(batch.song_B), temperature=0.1)

    plan = training.Schedule(epochs=2, batch=50, lr=1e-3, weight_decay=0.0, patience=9)
    models = [make(seed) for seed in SEEDS]
    fitted_ = training.fit_seeds(models, loss, (TRAIN, VAL), plan, seeds=SEEDS, name="toy", stacked=True)
    assert [len(model.history.loss) for model in fitted_] == [2, 2, 2]


def test_towers_that_share_a_layer_are_not_stacked() -> None:
    layer = linear(4, 3, generator(0))
    assert not can_stack(TwoTower(nn.Sequential(layer), nn.Sequential(layer)))


def test_a_subclass_of_two_tower_is_not_stacked() -> None:
    class Other(TwoTower):
        pass

    assert not can_stack(Other(linear(4, 3, generator(0)), linear(4, 3, generator(0))))
