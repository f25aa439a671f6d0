"""The contract of every baseline, the papers' parameter counts, losses by hand, and that the seed decides everything."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional

from benchmarks.baselines import cca, mvbind, vm_net
from benchmarks.data import make_pack, pairs, split_parts
from benchmarks.inputs import Inputs, Pairs
from benchmarks.losses import same_song
from benchmarks.metrics import recall
from benchmarks.ranking import retrieve
from benchmarks.towers import Dropout, embed, generator, num_params
from svmbench import plugins
from svmbench.records import V2M
from svmbench.store import RunFolder

QUICK: dict[str, dict[str, Any]] = {
    "vm_net": {"music_hidden_1": 32, "music_hidden_2": 32, "video_hidden": 32, "dim": 16, "lr": 1e-2, "epochs": 40},
    "mvbind": {"hidden": 64, "dim": 16, "epochs": 40},
}
ALL = [
    (name, variant)
    for name in plugins.names("benchmarks.baselines")
    for variant in plugins.load("benchmarks.baselines", name).VARIANTS
]


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory, toy_maker: Any) -> dict[str, Pairs]:
    run: RunFolder = toy_maker(Path(tmp_path_factory.mktemp("data")) / "toy", songs=120)
    pack = make_pack(run)
    return pairs(pack, split_parts(pack))


def fitted(name: str, variant: str, parts: dict[str, Pairs], seed: int = 0, **more: Any) -> Any:
    module = plugins.load("benchmarks.baselines", name)
    settings = dataclasses.replace(module.VARIANTS[variant], **{**QUICK.get(name, {}), **more})
    if hasattr(module, "fit_seeds"):
        return module.fit_seeds(parts["train"], parts["val"], settings, (seed,))[0]
    return module.fit(parts["train"], parts["val"], settings, seed)


def recall_5(model: Any, part: Pairs) -> float:
    return recall.score(retrieve(*embed(model, part), part.song_B.numpy())[V2M], 5)


@pytest.mark.parametrize(("name", "variant"), ALL)
def test_contract(name: str, variant: str, parts: dict[str, Pairs]) -> None:
    module = plugins.load("benchmarks.baselines", name)
    assert module.__doc__
    assert isinstance(module.NEEDS, tuple)
    assert hasattr(module, "fit") != hasattr(module, "fit_seeds") == hasattr(module, "build"), "a closed form or a training"
    first, again, other = (fitted(name, variant, parts, seed) for seed in (3, 3, 4))
    for found, same, different in zip(*(embed(m, parts["test"]) for m in (first, again, other)), strict=True):
        assert found.dtype == np.float32
        assert np.allclose(np.linalg.norm(found, axis=1), 1, atol=1e-5)
        assert np.array_equal(found, same), "the same seed must give the same bits"
        assert found.shape == different.shape
        assert np.array_equal(found, different) == (not getattr(module, "SEEDED", True)), "another seed is another fit, or none"
    video, music = embed(first, parts["test"])
    assert video.shape == music.shape


@pytest.mark.parametrize("name", ["cca", "vm_net", "mvbind"])
def test_a_baseline_learns_the_pairing_and_shuffled_pairs_teach_nothing(name: str, parts: dict[str, Pairs]) -> None:
    variant = next(iter(plugins.load("benchmarks.baselines", name).VARIANTS))
    chance = 5 / 30
    assert recall_5(fitted(name, variant, parts), parts["test"]) > 3 * chance
    shuffled = {"train": parts["train"].shuffled(0), "val": parts["val"].shuffled(1)}
    assert recall_5(fitted(name, variant, shuffled), parts["test"]) < 2 * chance


def test_parameter_counts_are_those_of_the_papers() -> None:
    assert num_params(vm_net.build(1024, 1140, vm_net.Settings(), seed=0)) == 8_110_080
    assert num_params(mvbind.build(1024, 1024, mvbind.Settings(), seed=0)) == 1_314_304


def test_a_closed_form_counts_what_it_has_fitted(parts: dict[str, Pairs]) -> None:
    assert num_params(fitted("cca", "default", parts, components=4)) == 4 * (36 + 10)
    assert num_params(fitted("mean_embedding", "default", parts)) == 36 + 10
    assert num_params(fitted("chance", "expected", parts)) == 0


def test_gradients_reach_every_parameter(parts: dict[str, Pairs]) -> None:
    for module, settings in ((vm_net, vm_net.Settings(**QUICK["vm_net"])), (mvbind, mvbind.Settings(**QUICK["mvbind"]))):
        model = module.build(36, 10, settings, seed=0)  # type: ignore[attr-defined]
        video, music = model(parts["train"].video, parts["train"].music)
        (video @ music.T).pow(2).sum().backward()
        assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in model.parameters())


def test_the_ranking_loss_by_hand() -> None:
    sim = torch.tensor([[0.5, 0.45, 0.1], [0.0, 0.2, 0.3], [0.9, 0.0, 0.0]])
    none = torch.zeros(3, 3, dtype=torch.bool)
    # hardest negative: 0.1 - 0.5 + 0.45 = 0.05; 0.1 - 0.2 + 0.3 = 0.2; 0.1 - 0 + 0.9 = 1.0
    assert vm_net.ranking_loss(sim, none, 0.1, 1).item() == pytest.approx((0.05 + 0.2 + 1.0) / 3)
    # two hardest: second ones 0 (cut off), 0 (exactly at -0.1), 0.1
    assert vm_net.ranking_loss(sim, none, 0.1, 2).item() == pytest.approx((0.05 + 0.2 + 1.0 + 0.1) / 6)
    masked = none.clone()
    masked[2, 0] = True  # the same song is no negative
    assert vm_net.ranking_loss(sim, masked, 0.1, 1).item() == pytest.approx((0.05 + 0.2 + 0.1) / 3)


def test_the_structure_loss_by_hand() -> None:
    def points(*degrees: float) -> torch.Tensor:
        angle = torch.deg2rad(torch.tensor(degrees))
        return torch.stack([angle.cos(), angle.sin()], dim=1)

    inputs, embeddings = points(0, 10, 50), points(0, 60, 20)
    assert vm_net.structure_loss(inputs, inputs, 10).item() == 0.0
    cos = lambda degrees: float(np.cos(np.deg2rad(degrees)))
    # rows 0, 1, 2; columns 0-1 and 1-2; the order differs in row 0 (columns 1-2), in row 1 not, in row 2 (columns 0-1)
    expected = (2 * (cos(20) - cos(60)) + 2 * (cos(20) - cos(40))) / 6
    assert vm_net.structure_loss(inputs, embeddings, 10).item() == pytest.approx(expected, abs=1e-6)


def test_info_nce_by_hand_and_masked() -> None:
    video, music = functional.normalize(torch.eye(3), dim=1), functional.normalize(torch.eye(3), dim=1)
    none = torch.zeros(3, 3, dtype=torch.bool)
    assert mvbind.info_nce(video, music, none, 1.0).item() == pytest.approx(-1 + np.log(np.e + 2), abs=1e-6)
    masked = same_song(torch.tensor([4, 4, 9]))
    assert masked.tolist() == [[False, True, False], [True, False, False], [False, False, False]]
    expected = (2 * np.log(np.e + 1) + np.log(np.e + 2)) / 3 - 1
    assert mvbind.info_nce(video, music, masked, 1.0).item() == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("name", ["vm_net", "mvbind"])
def test_training_masks_clips_of_the_same_song_where_the_settings_say_so(name: str, parts: dict[str, Pairs]) -> None:
    variant = next(iter(plugins.load("benchmarks.baselines", name).VARIANTS))
    alone = {part: Pairs(p.video, p.music, torch.arange(len(p))) for part, p in parts.items()}
    masked, unmasked, unshared = (
        embed(fitted(name, variant, {**data, "val": alone["val"]}, epochs=2, same_song_mask=mask), parts["test"])[0]
        for data, mask in ((parts, True), (parts, False), (alone, True))
    )
    assert not np.array_equal(masked, unmasked)
    assert np.array_equal(unmasked, unshared), "without shared songs there is nothing to mask"


def test_cca_finds_the_shared_direction() -> None:
    rng = np.random.default_rng(0)
    cause = rng.normal(size=(500, 1))
    noise_v, noise_m = rng.normal(size=(500, 3)), rng.normal(size=(500, 2))
    video, music = np.hstack([cause, noise_v]), np.hstack([noise_m, -cause])
    data = Pairs(*(Inputs(torch.from_numpy(x.astype(np.float32))) for x in (video, music)), torch.arange(500))  # type: ignore[call-arg]
    model = cca.fit(data, data, cca.Settings(ridge_video=1e-6, ridge_music=1e-6, components=1), 0)
    assert abs(model.video_VD[0, 0]) > 20 * model.video_VD[1:, 0].abs().max()
    assert abs(model.music_VD[2, 0]) > 20 * model.music_VD[:2, 0].abs().max()
    assert torch.sign(model.video_VD[0, 0]) == -torch.sign(model.music_VD[2, 0])


def test_dropout_is_off_in_eval_and_keeps_the_mean() -> None:
    layer, x = Dropout(0.5, generator(0)), torch.ones(1000, 50)
    assert layer(x).mean().item() == pytest.approx(1.0, abs=0.02)
    assert set(layer(x).unique().tolist()) == {0.0, 2.0}
    assert torch.equal(layer.eval()(x), x)
