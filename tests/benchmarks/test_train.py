"""The training loop: what it computes, what it keeps, that the seed alone decides, and that nothing in a step waits."""

from __future__ import annotations

import json
import math
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional
from torch.utils._python_dispatch import TorchDispatchMode

from benchmarks import train as training
from benchmarks.adamw import idle_biases
from benchmarks.baselines import mvbind, vm_net
from benchmarks.inputs import Inputs, Pairs
from benchmarks.losses import same_song
from benchmarks.towers import Dropout, TwoTower, embed, generator, linear
from svmbench.errors import BadInput, BadScores

SCHEDULE = {"epochs": 6, "batch": 32, "lr": 1e-2, "weight_decay": 1e-2, "patience": 100}


def pairs(num: int, seed: int, songs: int | None = None) -> Pairs:
    """Pairs with a common cause; widths that are no multiple of a vector register."""
    fixed, random = generator(99), generator(seed)
    to_video, to_music = torch.randn(4, 37, generator=fixed), torch.randn(4, 11, generator=fixed)
    cause = torch.randn(num, 4, generator=random)
    song = torch.arange(num) if songs is None else torch.randint(0, songs, (num,), generator=random)
    video, music = (cause @ to + torch.randn(num, to.shape[1], generator=random) for to in (to_video, to_music))
    return Pairs(Inputs(video), Inputs(music), song)


TRAIN, VAL, TEST = pairs(150, 1, songs=100), pairs(40, 2), pairs(60, 3)


def build(seed: int = 0, hidden: int = 19, dim: int = 7) -> TwoTower:
    settings = mvbind.Settings(hidden=hidden, dim=dim)
    return mvbind.build(37, 11, settings, seed)


def loss(outputs: tuple[torch.Tensor, ...], batch: Pairs) -> torch.Tensor:
    video, music = outputs
    return mvbind.info_nce(video, music, same_song(batch.song_B), 0.07)


def fit(seeds: Sequence[int] = (0,), parts: tuple[Pairs, Pairs] = (TRAIN, VAL), **more: Any) -> list[TwoTower]:
    fixed = {key: more.pop(key) for key in list(more) if key in SCHEDULE}
    make: Callable[[int], TwoTower] = more.pop("build", build)
    how = {"loss": loss, "seeds": seeds, "name": "toy", **more}
    return training.fit_seeds([make(seed) for seed in seeds], how.pop("loss"), parts, schedule(**fixed), **how)


def schedule(**more: Any) -> training.Schedule:
    return training.Schedule(**{**SCHEDULE, **more})


def test_the_loop_is_a_plain_one_in_pytorch() -> None:
    (ours,) = fit(seeds=(5,), parts=(TRAIN, VAL[:0]))
    model, random, losses = build(5), generator(5), []
    moments = [(torch.zeros_like(p), torch.zeros_like(p)) for p in model.parameters()]
    lr, decay = SCHEDULE["lr"], SCHEDULE["weight_decay"]
    for _ in range(int(SCHEDULE["epochs"])):
        model.train()
        for index in torch.randperm(len(TRAIN), generator=random).split(32):
            video, music = model.encode_video(TRAIN.video[index]), model.encode_music(TRAIN.music[index])
            logits = (video @ music.T / 0.07).masked_fill(same_song(TRAIN.song_B[index]), -torch.inf)
            own = torch.arange(len(index))
            value = (functional.cross_entropy(logits, own) + functional.cross_entropy(logits.T, own)) / 2
            model.zero_grad()
            value.backward()
            losses.append(value.item())
            for bias in (model.video[0].bias, model.music[0].bias):  # see idle_biases
                bias.grad.zero_()
            with torch.no_grad():
                for p, (first, second) in zip(model.parameters(), moments, strict=True):
                    first.lerp_(p.grad, 0.1)
                    second.lerp_(p.grad**2, 0.001)
                    unbiased = second / (1 - 0.999 ** len(losses))
                    p.mul_(1 - lr * decay).sub_(lr * first / (1 - 0.9 ** len(losses)) / (unbiased.sqrt() + 1e-8))
    by_epoch = np.array(losses).reshape(-1, 5).mean(axis=1)
    assert ours.history.loss == pytest.approx(by_epoch.tolist(), abs=1e-5)
    assert ours.history.num_steps == 6 * 5
    for found, expected in zip(embed(ours, TEST), embed(model.eval(), TEST), strict=True):
        assert np.abs(found - expected).max() < 1e-5


@pytest.mark.parametrize("module", [mvbind, vm_net])
def test_a_seed_gives_the_same_bytes_alone_twice_and_among_five(module: Any) -> None:
    sizes = (
        {"hidden": 19, "dim": 7}
        if module is mvbind
        else {"music_hidden_1": 19, "music_hidden_2": 13, "video_hidden": 17, "dim": 7}
    )
    settings = module.Settings(**sizes, batch=32, lr=2e-2, epochs=10, patience=1)
    five = module.fit_seeds(TRAIN, VAL, settings, (0, 1, 2, 3, 4))
    lengths = [len(model.history.loss) for model in five]
    assert len(set(lengths)) > 1, "they stop at different epochs"
    for seed in (3, 1):
        alone, again = (module.fit_seeds(TRAIN, VAL, settings, (seed,))[0] for _ in range(2))
        assert alone.history == again.history == five[seed].history
        for name, tensor in alone.state_dict().items():
            assert torch.equal(tensor, again.state_dict()[name])
            assert torch.equal(tensor, five[seed].state_dict()[name]), name


def test_the_best_epoch_on_val_is_kept_and_training_stops_after_it() -> None:
    calls, states = [0], []
    model = build()

    def spoil(outputs: tuple[torch.Tensor, ...], batch: Pairs) -> torch.Tensor:
        """Learns in the first 8 epochs (one batch each), then pulls the pairs apart."""
        calls[0] += 1
        states.append(model.video[0].weight.detach().clone())
        return loss(outputs, batch) if calls[0] <= 8 else -loss(outputs, batch)

    plan = schedule(epochs=100, batch=1000, patience=5)
    (kept,) = training.fit_seeds([model], spoil, (TRAIN, VAL), plan, seeds=(0,), name="toy")
    history = kept.history
    assert 8 < calls[0] < 30, "it stops some epochs after the best"
    assert history.chosen == int(np.argmax(history.val))
    assert history.chosen_by == "val"
    assert len(history.val) == len(history.loss) == history.num_steps == calls[0] == history.chosen + 1 + 5
    assert torch.equal(states[history.chosen + 1], kept.state_dict()["video.0.weight"]), "the state after that epoch"
    assert training.validate(kept, VAL) == history.val[history.chosen]
    assert not kept.training


def test_of_epochs_that_are_equal_on_val_the_first_is_kept() -> None:
    def still(outputs: tuple[torch.Tensor, ...], batch: Pairs) -> torch.Tensor:
        return 0 * loss(outputs, batch)

    def make(seed: int) -> TwoTower:  # without a batch norm, whose statistics would move
        return TwoTower(linear(37, 7, generator(seed)), linear(11, 7, generator(seed + 1)))

    (model,) = fit(loss=still, build=make, weight_decay=0.0, patience=3, epochs=20)
    assert len(set(model.history.val)) == 1
    assert (model.history.chosen, len(model.history.loss)) == (0, 4)


def test_the_val_value_is_the_mean_reciprocal_rank_over_both_directions() -> None:
    model = build().eval()
    video, music = embed(model, VAL)  # each clip has a song of its own
    sim = video.astype(np.float64) @ music.T
    both = [1 / (1 + (matrix > matrix.diagonal()[:, None]).sum(axis=1)) for matrix in (sim, sim.T)]
    assert both[0].mean() != both[1].mean()
    assert training.validate(model, VAL) == pytest.approx(np.mean(both), abs=1e-9)


@pytest.mark.parametrize("num_val", [0, 1])
def test_without_songs_to_choose_by_training_goes_to_the_end(num_val: int) -> None:
    told: list[float] = []
    (model,) = fit(parts=(TRAIN, VAL[:num_val]), patience=1, epochs=9, report=lambda _, __, ___, val: told.extend(val))
    assert model.history.val == ()
    assert (model.history.chosen, model.history.chosen_by, len(model.history.loss)) == (8, "end", 9)
    assert len(told) == 9
    assert all(map(math.isnan, told))


def test_a_model_that_scores_pairs_is_chosen_by_its_scores() -> None:
    class Cross(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.towers = build()

        def forward(self, video: Inputs, music: Inputs) -> tuple[torch.Tensor]:
            return (self.score(video, music),)

        def score(self, video: Inputs, music: Inputs) -> torch.Tensor:
            return self.towers.encode_video(video) @ self.towers.encode_music(music).T

    def own(outputs: tuple[torch.Tensor, ...], batch: Pairs) -> torch.Tensor:
        return functional.cross_entropy(outputs[0] / 0.07, torch.arange(len(batch)))

    (model,) = training.fit_seeds([Cross()], own, (TRAIN, VAL), schedule(), seeds=(0,), name="cross")
    assert model.history.val[model.history.chosen] == max(model.history.val)
    assert training.validate(model, VAL) == pytest.approx(training.validate(model.towers, VAL), abs=1e-9)


def test_each_epoch_is_reported_with_one_value_a_seed() -> None:
    told: list[tuple[int, int, list[float], list[float]]] = []
    models = fit(seeds=(0, 1, 2), epochs=30, patience=2, lr=3e-2, report=lambda *told_: told.append(told_))
    lengths = [len(model.history.loss) for model in models]
    assert min(lengths) < max(lengths) == len(told)
    for epoch, (at, of, losses, val) in enumerate(told):
        assert (at, of) == (epoch, 30)
        for seed, model in enumerate(models):
            last = min(epoch, lengths[seed] - 1)
            assert (losses[seed], val[seed]) == (model.history.loss[last], model.history.val[last])


def test_a_loss_that_is_not_finite_ends_training_in_one_line() -> None:
    calls = [0]

    def explode(outputs: tuple[torch.Tensor, ...], batch: Pairs) -> torch.Tensor:
        calls[0] += 1
        return loss(outputs, batch) * (math.inf if calls[0] == 8 else 1)

    with pytest.raises(BadScores, match=r"^training of toy \(seed 4\) diverged at epoch 2: the loss is not finite; lower lr$"):
        fit(seeds=(4,), loss=explode)
    assert torch.get_deterministic_debug_mode() == 0, "what was set before comes back after an error too"


def test_a_last_batch_of_one_clip_is_skipped_and_one_clip_is_not_enough() -> None:
    (model,) = fit(parts=(TRAIN[:65], VAL), batch=32, epochs=3)
    assert model.history.num_steps == 3 * 2
    with pytest.raises(BadInput, match="training of toy: the train part has 1 clips and needs two"):
        fit(parts=(TRAIN[:1], VAL))


def test_training_is_deterministic_inside_and_leaves_torch_as_it_was() -> None:
    seen = []

    def look(outputs: tuple[torch.Tensor, ...], batch: Pairs) -> torch.Tensor:
        seen.append((torch.get_deterministic_debug_mode(), training.FILLING.fill_uninitialized_memory))
        return loss(outputs, batch)

    fit(loss=look, epochs=1)
    assert set(seen) == {(2, False)}
    assert (torch.get_deterministic_debug_mode(), training.FILLING.fill_uninitialized_memory) == (0, True)
    torch.set_deterministic_debug_mode("warn")
    try:
        fit(loss=look, epochs=1)
        assert torch.get_deterministic_debug_mode() == 1
    finally:
        torch.set_deterministic_debug_mode("default")


def test_fits_on_threads_share_the_deterministic_mode_until_the_last_one_ends() -> None:
    entered, leave, modes = threading.Event(), threading.Event(), []

    def hold(outputs: tuple[torch.Tensor, ...], batch: Pairs) -> torch.Tensor:
        entered.set()
        assert leave.wait(60)
        modes.append(torch.get_deterministic_debug_mode())
        return loss(outputs, batch)

    thread = threading.Thread(target=lambda: fit(loss=hold, epochs=1))
    thread.start()
    assert entered.wait(60)
    fit(epochs=1)
    leave.set()
    thread.join(60)
    assert set(modes) == {2}
    assert torch.get_deterministic_debug_mode() == 0


class Waits(TorchDispatchMode):
    """Notes the operations that would make a GPU's host wait: reading a value, or sizes that depend on values."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func.overloadpacket.__name__
        if name in ("_local_scalar_dense", "nonzero", "masked_select", "unique_dim", "_unique2", "equal", "is_nonzero"):
            self.seen.append(name)
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("stacked", [False, True])
def test_nothing_in_a_step_reads_a_value_back(stacked: bool) -> None:
    waits, settings = Waits(), vm_net.Settings(music_hidden_1=8, music_hidden_2=8, video_hidden=8, dim=4)
    steps: list[list[str]] = []

    def watched(self: Any, batch: Pairs, how: training.Loss) -> torch.Tensor:
        waits.seen.clear()
        with waits:
            value = step(self, batch, how)
        steps.append(list(waits.seen))
        return value

    def both(outputs: tuple[torch.Tensor, ...], batch: Pairs) -> torch.Tensor:
        sim_BB, masked_BB = outputs[0] @ outputs[1].mT, same_song(batch.song_B)
        structure = vm_net.structure_loss(batch.video.vectors_BV, outputs[0], 9)
        return loss(outputs, batch) + vm_net.ranking_loss(sim_BB, masked_BB, 0.1, 5) + structure

    step = training._Crew.step
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training._Crew, "step", watched)
        fit(seeds=(0, 1), loss=both, epochs=1, stacked=stacked, build=lambda seed: vm_net.build(37, 11, settings, seed))
    assert steps
    assert not any(steps)
    with Waits() as control:
        torch.ones(1).item()
    assert control.seen == ["_local_scalar_dense"], "the watch sees such a read"


def test_biases_that_a_batch_norm_takes_out_again_stay_where_they_are() -> None:
    model = build()
    assert [id(b) for b in idle_biases(model)] == [id(model.video[0].bias), id(model.music[0].bias)]
    assert len(idle_biases(vm_net.build(37, 11, vm_net.Settings(dim=4), 0))) == 2
    before = model.video[0].bias.detach().clone()
    training.fit_seeds([model], loss, (TRAIN, VAL[:0]), schedule(weight_decay=0.0), seeds=(0,), name="toy")
    assert torch.equal(model.video[0].bias, before)
    assert not torch.equal(model.video[4].bias, build().video[4].bias), "others move"


def test_the_optimiser_is_adamw() -> None:
    class Two(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.p = nn.Parameter(torch.tensor([1.0, -2.0]))

    model = Two()
    optimiser = training.AdamW(model, 0.1, 0.01)
    expected, first, second = np.array([1.0, -2.0]), np.zeros(2), np.zeros(2)
    for step, gradient in enumerate(np.array([[0.5, 1.0], [-2.0, 0.0], [0.1, 3.0]]), start=1):
        model.p.grad = torch.tensor(gradient, dtype=torch.float32)
        optimiser.step()
        assert model.p.grad is None
        first, second = 0.9 * first + 0.1 * gradient, 0.999 * second + 0.001 * gradient**2
        unbiased_first, unbiased_second = first / (1 - 0.9**step), second / (1 - 0.999**step)
        expected = expected * (1 - 0.1 * 0.01) - 0.1 * unbiased_first / (np.sqrt(unbiased_second) + 1e-8)
    assert model.p.tolist() == pytest.approx(expected.tolist(), rel=1e-5)


def test_training_spares_the_workers_the_compiler() -> None:
    code = (
        "import json, sys; sys.path.insert(0, sys.argv[1]); import torch\n"
        "from benchmarks.baselines import mvbind; from benchmarks.inputs import Inputs, Pairs\n"
        "part = Pairs(Inputs(torch.randn(9, 4)), Inputs(torch.randn(9, 3)), torch.arange(9))\n"
        "mvbind.fit_seeds(part, part, mvbind.Settings(hidden=4, dim=2, epochs=2), (0, 1))\n"
        "print(json.dumps([name for name in ('torch._dynamo', 'torch._inductor', 'sympy') if name in sys.modules]))"
    )
    shown = subprocess.run([sys.executable, "-c", code, "."], check=True, capture_output=True, text=True).stdout
    assert json.loads(shown) == []


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("stacked", [False, True])
def test_on_a_gpu_no_step_waits_and_towers_run_in_bfloat16(stacked: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    seen, step = set(), training._Crew.step

    class Look(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            seen.add(x.dtype)
            return x

    def make(seed: int) -> TwoTower:
        init, drop = generator(seed), generator(seed + 1, "cuda")
        towers = [nn.Sequential(linear(n, 16, init), nn.BatchNorm1d(16), nn.ReLU(), Dropout(0.1, drop)) for n in (37, 11)]
        if not stacked:  # a layer that is not known cannot be stacked
            towers = [nn.Sequential(*tower, Look()) for tower in towers]
        return TwoTower(*towers)

    def watched(self: Any, batch: Pairs, how: training.Loss) -> torch.Tensor:
        torch.cuda.set_sync_debug_mode("error")
        try:
            return step(self, batch, how)
        finally:
            torch.cuda.set_sync_debug_mode("default")

    def typed(outputs: tuple[torch.Tensor, ...], batch: Pairs) -> torch.Tensor:
        assert all(output.dtype == torch.float32 for output in outputs)
        return loss(outputs, batch)

    on_gpu = [Pairs(Inputs(p.video.vectors_BV.cuda()), Inputs(p.music.vectors_BV.cuda()), p.song_B.cuda()) for p in (TRAIN, VAL)]
    monkeypatch.setattr(training._Crew, "step", watched)
    models = fit(seeds=(0, 1), parts=(on_gpu[0], on_gpu[1]), loss=typed, build=make, epochs=20)
    assert all(model.history.loss[-1] < model.history.loss[0] for model in models)
    assert stacked or torch.bfloat16 in seen
