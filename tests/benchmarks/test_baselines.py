"""The contract of every baseline, the papers' parameter counts, losses by hand, and that the seed decides everything."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional

from benchmarks import train as training
from benchmarks.baselines import cca, mean_embedding, mvbind, vm_net
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


def test_a_shuffled_pair_has_the_music_of_another_clip_and_that_clips_song() -> None:
    clips = torch.arange(50)
    part = Pairs(Inputs(clips[:, None]), Inputs(100 + clips[:, None]), 1000 + clips)
    shuffled = part.shuffled(0)
    assert torch.equal(shuffled.video.vectors_BV, part.video.vectors_BV)
    assert torch.equal(shuffled.music.vectors_BV[:, 0] - 100, shuffled.song_B - 1000)
    assert sorted(shuffled.song_B.tolist()) == part.song_B.tolist()
    assert (shuffled.song_B != part.song_B).float().mean() > 0.9
    assert torch.equal(part.shuffled(0).song_B, shuffled.song_B)
    assert not torch.equal(part.shuffled(1).song_B, shuffled.song_B)


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


def handed_to_the_loop(module: Any, settings: Any, parts: dict[str, Pairs], patch: pytest.MonkeyPatch) -> tuple[Any, Any, Any]:
    """Model, loss and schedule."""
    seen: list[tuple[Any, Any, Any]] = []

    def fit_seeds(models: Any, loss: Any, parts_: Any, schedule: Any, **_: Any) -> Any:
        seen.append((models[0], loss, schedule))
        return models

    patch.setattr(training, "fit_seeds", fit_seeds)
    module.fit_seeds(parts["train"], parts["val"], settings, (0,))
    return seen[0]


def some_outputs(num: int = 12) -> tuple[torch.Tensor, ...]:
    return tuple(functional.normalize(torch.randn(num, 5, generator=generator(i)), dim=1) for i in range(2))


def test_vm_net_weighs_its_four_losses_and_trains_as_set(parts: dict[str, Pairs], monkeypatch: pytest.MonkeyPatch) -> None:
    s = vm_net.Settings(margin=0.3, top_k=2, structure_k=7, dropout=0.3, batch=50, lr=2e-4, epochs=3, patience=2, dim=5)
    model, loss, schedule = handed_to_the_loop(vm_net, s, parts, monkeypatch)
    (video, music), batch = some_outputs(), parts["train"][:12]
    masked = same_song(batch.song_B)
    assert masked.any()
    of_music, of_video = (vm_net.ranking_loss(sim, masked, 0.3, 2) for sim in (music @ video.T, video @ music.T))
    inside = [vm_net.structure_loss(*x, 7) for x in ((batch.music.vectors_BV, music), (batch.video.vectors_BV, video))]
    assert len({x.item() for x in (of_music, of_video, *inside)}) == 4
    expected = 3 * of_music + 1 * of_video + 0.2 * inside[0] + 0.2 * inside[1]
    assert loss((video, music), batch).item() == pytest.approx(expected.item(), rel=1e-6)
    assert schedule == training.Schedule(epochs=3, batch=50, lr=2e-4, weight_decay=0.0, patience=2)
    assert [layer.share for layer in model.modules() if isinstance(layer, Dropout)] == [0.3] * 3


def test_mvbind_uses_its_temperature_and_trains_as_set(parts: dict[str, Pairs], monkeypatch: pytest.MonkeyPatch) -> None:
    s = mvbind.Settings(temperature=0.2, dropout=0.4, batch=50, lr=2e-4, weight_decay=3e-3, epochs=3, patience=2)
    model, loss, schedule = handed_to_the_loop(mvbind, s, parts, monkeypatch)
    (video, music), batch = some_outputs(), parts["train"][:12]
    logits = (video @ music.T / 0.2).masked_fill(same_song(batch.song_B), -torch.inf)
    expected = sum(functional.cross_entropy(x, torch.arange(12)) for x in (logits, logits.T)) / 2
    assert loss((video, music), batch).item() == pytest.approx(float(expected), rel=1e-6)
    assert schedule == training.Schedule(epochs=3, batch=50, lr=2e-4, weight_decay=3e-3, patience=2)
    assert [layer.share for layer in model.modules() if isinstance(layer, Dropout)] == [0.4] * 2


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
    sides = [Inputs(torch.from_numpy(x.astype(np.float32))) for x in (video, music)]
    data = Pairs(sides[0], sides[1], torch.arange(500))
    model = cca.fit(data, data, cca.Settings(ridge_video=1e-6, ridge_music=1e-6, components=1), 0)
    assert abs(model.video_VD[0, 0]) > 20 * model.video_VD[1:, 0].abs().max()
    assert abs(model.music_VD[2, 0]) > 20 * model.music_VD[:2, 0].abs().max()
    assert torch.sign(model.video_VD[0, 0]) == -torch.sign(model.music_VD[2, 0])


def test_cca_is_the_textbooks_with_a_ridge_on_each_side(parts: dict[str, Pairs]) -> None:
    """By inverse roots of the covariances, where ours goes by singular values of the data."""
    s = cca.Settings(ridge_video=0.5, ridge_music=5.0, components=4, power=2.0)
    model = cca.fit(parts["train"], parts["val"], s, 0)
    video, music = (x.vectors_BV.double().numpy() for x in (parts["train"].video, parts["train"].music))

    def inverse_root(x: np.ndarray, ridge: float) -> np.ndarray:
        variances, axes = np.linalg.eigh(x.T @ x / len(x))
        variances, axes = variances[variances > 1e-10 * variances.max()], axes[:, variances > 1e-10 * variances.max()]
        return (axes / np.sqrt(variances + ridge * variances.mean())) @ axes.T

    of_video, of_music = inverse_root(video, 0.5), inverse_root(music, 5.0)
    left, correlation, right = np.linalg.svd(of_video @ (video.T @ music / len(video)) @ of_music)
    test = [x.vectors_BV.double().numpy() for x in (parts["test"].video, parts["test"].music)]
    sides = [
        x @ root @ axes[:, :4] * correlation[:4] ** 2
        for x, root, axes in zip(test, (of_video, of_music), (left, right.T), strict=True)
    ]
    expected = [x / np.linalg.norm(x, axis=1, keepdims=True) for x in sides]
    found = embed(model, parts["test"])
    np.testing.assert_allclose(found[0] @ found[1].T, expected[0] @ expected[1].T, atol=1e-5)


def test_the_mean_embedding_scores_closeness_to_the_mean_item_of_each_side(parts: dict[str, Pairs]) -> None:
    model = mean_embedding.fit(parts["train"], parts["val"], mean_embedding.Settings(), 0)
    close = []
    for side in ("video", "music"):
        train, test = (functional.normalize(getattr(parts[name], side).vectors_BV, dim=1) for name in ("train", "test"))
        close.append(functional.cosine_similarity(test, train.mean(dim=0)[None]))
    video, music = embed(model, parts["test"])
    expected = (close[0][:, None] + close[1][None]) / 2  # each side has two halves of length 1
    np.testing.assert_allclose(video @ music.T, expected.numpy(), atol=1e-5)


def test_dropout_is_off_in_eval_and_keeps_the_mean() -> None:
    layer, x = Dropout(0.5, generator(0)), torch.ones(1000, 50)
    assert layer(x).mean().item() == pytest.approx(1.0, abs=0.02)
    assert set(layer(x).unique().tolist()) == {0.0, 2.0}
    assert torch.equal(layer.eval()(x), x)
