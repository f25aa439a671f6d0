"""Every check of models and controls catches the cheat it is for, and passes honest models (checks of data: test_checks_data)."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from benchmarks import checks, data
from benchmarks.checks import (
    Evidence,
    Facts,
    Finding,
    _chance,
    alignment,
    batch_position,
    collapse,
    determinism,
    negative_controls,
    shuffled_pairs,
    test_discipline,
)
from benchmarks.importer import import_features
from benchmarks.inputs import Inputs, Pairs
from benchmarks.metrics import recall
from benchmarks.ranking import retrieve
from benchmarks.towers import History
from svmbench import plugins
from svmbench.records import V2M
from svmbench.store import RunFolder

OF_OTHERS = {"pool_audit", "shape", "split_leak"}  # their cheats are in test_checks_data.py


def _load(name: str) -> Any:
    spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


cheat_data, cheat_models, cheats = (_load(name) for name in ("cheat_data", "cheat_models", "cheats"))
CAUGHT = [(model, check) for model, names in cheats.CAUGHT_BY.items() for check in names]
PLANTED = [(cheat, check) for cheat, names in cheats.PLANTED.items() for check in names]


@pytest.fixture(scope="module")
def given() -> Any:
    return cheat_data.world()


@pytest.fixture(scope="module")
def evidence(given: Any) -> Callable[[type], Evidence]:
    """Of a model fitted and scored on the world; made once."""
    known: dict[type, Evidence] = {}

    def of(model: type) -> Evidence:
        if model not in known:
            known[model] = cheats.evidence_of(model, given)
        return known[model]

    return of


def one(check: str, evidence: Evidence) -> Finding:
    finding: Finding = plugins.load(checks.FOLDER, check).check(evidence)
    assert finding.check == check
    assert finding.detail
    return finding


# ---- all checks, all cheats


@pytest.mark.parametrize("model", cheat_models.HONEST, ids=lambda m: m.__name__)
def test_an_honest_model_passes_every_check(model: type, evidence: Callable[[type], Evidence]) -> None:
    found = checks.run(evidence(model))
    assert {f.check for f in found} == set(plugins.names(checks.FOLDER))
    assert not [f for f in found if f.passed is False]
    pairs = issubclass(model, cheat_models.HonestCross)
    not_run = (
        {"batch_position", "collapse"}
        if pairs
        else set()
        if getattr(model, "LEARNS", True)
        else {"determinism", "shuffled_pairs"}
    )
    assert {f.check for f in found if f.passed is None} == not_run


@pytest.mark.parametrize(("model", "check"), CAUGHT, ids=lambda x: getattr(x, "__name__", x))
def test_a_cheat_is_caught(model: type, check: str, evidence: Callable[[type], Evidence]) -> None:
    finding = one(check, evidence(model))
    assert finding.passed is False, finding.detail


@pytest.mark.parametrize(("cheat", "check"), PLANTED)
def test_what_is_wrong_beside_the_model_is_caught(cheat: str, check: str, given: Any) -> None:
    found = {f.check: f for f in checks.run(cheats.evidence_with(cheat, given))}
    assert found[check].passed is False, found[check].detail
    also = {"split_leak"} if cheat == "closed catalogue" else set()
    assert {name for name, f in found.items() if f.passed is False} == {check} | also


def test_every_check_has_a_cheat() -> None:
    assert {check for _, check in [*CAUGHT, *PLANTED]} | OF_OTHERS == set(plugins.names(checks.FOLDER))


def test_every_check_stands_in_the_docs() -> None:
    text = (Path(__file__).parents[2] / "docs" / "integrity.md").read_text()
    section = text.split("## What each proves")[1].split("\n## ")[0]
    rows = [line.split("`")[1] for line in section.splitlines() if line.startswith("| `")]
    assert sorted(rows) == sorted(plugins.names(checks.FOLDER))


def test_the_leaky_transformer_would_have_led_any_table() -> None:
    """Why the checks matter: with its axes the wrong way round a Transformer finds the 14 clips at its place of the batches, has
    a published table's shape, and knows nothing (spec, audit A1)."""
    given = cheat_data.weak_world()
    leaky, right = (cheats.as_evaluated(model, given) for model in (cheat_models.LeakyTivm, cheat_models.RightTivm))
    num = len(given.parts["test"])
    assert recall.score(leaky["in batches"], 25) == 1.0
    assert recall.score(leaky["in batches"], 10) > 0.5 > 5 * recall.score(right["in batches"], 10)
    assert recall.score(leaky["shuffled apart"], 10) < 2 * 10 / num
    assert recall.score(leaky["clip by clip"], 10) < recall.score(right["clip by clip"], 10)
    assert recall.score(right["shuffled apart"], 10) == recall.score(right["in batches"], 10)
    song_N = given.facts["test"].song_N
    assert one("shape", Evidence(ranks={V2M: leaky["in batches"]}, song_N=song_N)).passed is False
    assert one("shape", Evidence(ranks={V2M: right["in batches"]}, song_N=song_N)).passed


@pytest.mark.parametrize("check", ["batch_invariance", "determinism", "finite", "gallery_invariance", "independent_order"])
def test_a_transformer_over_time_passes(check: str, evidence: Callable[[type], Evidence]) -> None:
    """Determinism fits it again: a fit needs gradients, whatever the check around it does."""
    assert one(check, evidence(cheat_models.RightTivm)).passed


def test_what_there_is_nothing_to_look_at_for_is_not_run_and_says_why() -> None:
    video = np.random.default_rng(0).normal(size=(60, 8)).astype(np.float32)
    found = {f.check: f for f in checks.run(Evidence(video_ND=video, music_ND=video[::-1], song_N=np.arange(60)))}
    assert {name for name, f in found.items() if f.passed is not None} == {"batch_position", "collapse", "pool_audit"}
    assert found["batch_invariance"].detail == "not run: not there to look at: model, test"


# ---- the baselines that ship


@pytest.mark.parametrize("model", cheats.baselines(), ids=lambda m: m.__name__)
def test_a_baseline_passes_on_the_toy_run(model: Any, toy: RunFolder) -> None:
    pack = data.make_pack(toy)
    index = data.split_parts(pack)
    given = cheat_data.World(data.pairs(pack, index, model.module.NEEDS), data.facts(pack, index))
    failed = [f for f in checks.run(cheats.evidence_of(model, given)) if f.passed is False]
    assert {f.check for f in failed} == set(getattr(model.module, "BY_DESIGN", ())), failed


@pytest.mark.slow
@pytest.mark.parametrize(
    ("window", "steps", "failing"),
    [(120.0, False, set()), (None, False, set()), (None, True, {"negative_controls"})],
    ids=["120 s", "whole tracks", "whole tracks as sequences"],
)
def test_the_baselines_pass_on_real_pairs_and_their_lengths_do_not(
    window: float | None, steps: bool, failing: set[str], real_pairs: Path, tmp_path: Path
) -> None:
    """On whole tracks the length gives the pair away to whom is given sequences, and the control says so."""
    run = RunFolder.create(tmp_path / "pairs")
    import_features(real_pairs, run, window_s=window)
    pack = data.make_pack(run)
    index = data.fold_parts(pack, 5, 0)
    for model in cheats.baselines():
        given = cheat_data.World(data.pairs(pack, index, model.module.NEEDS, steps=steps), data.facts(pack, index))
        found = {f.check: f for f in checks.run(cheats.evidence_of(model, given))}
        failed = {name for name, finding in found.items() if finding.passed is False}
        assert failed == set(getattr(model.module, "BY_DESIGN", ())) | failing, failed
        control = found["negative_controls"].detail
        assert control.startswith("duration: R@10") == bool(failing)
        assert ("; duration: R@10" in control) == (window is None and not steps), "a remark, where pooled inputs hide it"


# ---- one by one


def test_labels_are_not_looked_at_where_there_are_none(evidence: Callable[[type], Evidence]) -> None:
    honest = evidence(cheat_models.Honest)
    test = Pairs(replace(honest.test.video, tags_B=None), replace(honest.test.music, tags_B=None), honest.test.song_B)
    finding = one("label_blindness", replace(honest, test=test))
    assert finding.passed is None
    assert finding.detail == "not run: this model is given no labels"


def test_a_model_that_asks_only_whether_there_are_labels_is_caught_too(evidence: Callable[[type], Evidence]) -> None:
    known = evidence(cheat_models.Honest)

    class Asks:
        encode_music = known.model.encode_music

        def encode_video(self, x: Inputs) -> torch.Tensor:
            assert x.tags_B is not None
            return known.model.encode_video(x) * torch.where(x.tags_B < 0, -1, 1)[:, None]

    assert one("label_blindness", replace(known, model=Asks())).passed is False


@pytest.mark.parametrize("size", [1, 33], ids=["alone", "in a shuffled batch"])
def test_an_item_is_looked_at_alone_and_in_other_company(size: int, evidence: Callable[[type], Evidence]) -> None:
    """Of batches of one size alone the mean is taken away."""
    known = evidence(cheat_models.Honest)

    class Sometimes:
        encode_music = known.model.encode_music

        def encode_video(self, x: Inputs) -> torch.Tensor:
            found = known.model.encode_video(x)
            return found - found.mean(dim=0) if len(x) == size else found

    assert one("batch_invariance", replace(known, model=Sometimes())).passed is False


def test_a_model_that_refuses_a_single_clip_fails_and_the_check_says_why(evidence: Callable[[type], Evidence]) -> None:
    finding = one("batch_invariance", evidence(cheat_models.BatchNormInTraining))
    assert finding.detail.startswith("the model cannot take a clip alone: Expected more than 1 value per channel")


def _cloud(num: int, width: int = 24, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Video and music that share half of their variance."""
    rng = np.random.default_rng(seed)
    shared = rng.normal(size=(num, width))
    return shared + rng.normal(size=(num, width)), shared + rng.normal(size=(num, width))


def _unit(x_ND: np.ndarray) -> np.ndarray:
    return (x_ND / np.linalg.norm(x_ND, axis=1, keepdims=True)).astype(np.float32)


@pytest.mark.parametrize("batch", [5, 16, 32, 100])
def test_batch_position_finds_the_batch_in_a_saved_file(batch: int) -> None:
    video, music = _cloud(600)
    code = cheat_models.sinusoid(batch, 24).numpy()[np.arange(600) % batch]
    finding = batch_position.check(Evidence(video_ND=_unit(video + code), music_ND=_unit(music + code), song_N=np.arange(600)))
    assert finding.passed is False
    assert finding.more["batch"] == batch


@pytest.mark.parametrize("order", ["random", "one factor", "kinds", "songs of three"])
def test_batch_position_passes_files_that_are_sorted_by_something_honest(order: str) -> None:
    video, music = _cloud(600)
    song_N = np.arange(600)
    if order == "one factor":  # of 24 that they share
        rows = np.argsort(video[:, 0] + music[:, 0])
        video, music = video[rows], music[rows]
    if order == "kinds":  # one kind after the other, alike within
        kinds = np.repeat(np.random.default_rng(1).normal(size=(8, 24)), 75, axis=0)
        video, music = video + kinds / 2, music + kinds / 2
    if order == "songs of three":
        song_N = np.arange(600) // 3
        video, music = video[song_N * 3] + video / 3, music[song_N * 3] + music / 3
    finding = batch_position.check(Evidence(video_ND=_unit(video), music_ND=_unit(music), song_N=song_N))
    assert finding.passed, finding.detail


def test_batch_position_finds_a_place_in_the_file_and_cannot_tell_it_from_a_file_sorted_by_the_only_factor() -> None:
    rng = np.random.default_rng(0)
    code = 3 * cheat_models.sinusoid(600, 16).numpy()
    factor = np.sort(rng.normal(size=600))[:, None] * [4.0, 0, 0, 0]
    for known in (code, factor):
        video, music = (known + rng.normal(size=known.shape) for _ in range(2))
        finding = batch_position.check(Evidence(video_ND=_unit(video), music_ND=_unit(music), song_N=np.arange(600)))
        assert finding.passed is False
        assert "neighbours in the file have" in finding.detail
    few = Evidence(video_ND=_unit(video[:20]), music_ND=_unit(music[:20]), song_N=np.arange(20))
    assert batch_position.check(few).passed is None


def test_lags_are_what_a_loop_over_all_pairs_gives() -> None:
    video, music = (_unit(x) for x in _cloud(40))
    song_N = np.arange(40) // 2
    total_L, count_L = batch_position._lags(video, music, song_N)
    sums, counts = np.zeros(79), np.zeros(79)
    for i in range(40):
        for j in range(40):
            if song_N[i] != song_N[j]:
                sums[j - i + 39] += video[i] @ music[j]
                counts[j - i + 39] += 1
    np.testing.assert_allclose(total_L, sums, atol=1e-4)
    np.testing.assert_array_equal(count_L, counts)


def test_a_control_that_beats_chance_is_named_with_its_score_beside_chance(given: Any) -> None:
    finding = negative_controls.check(cheats.evidence_with("lengths differ", given))
    assert finding.detail.startswith("duration: R@10 34.0% beside 12.5% by chance")
    assert finding.more["p"]["duration"] < 0.01 < finding.more["p"]["loudness"]


def test_a_control_without_facts_is_told_as_not_looked_at(given: Any) -> None:
    facts: dict[str, Facts] = {name: cheat_data.some_facts(f.song_N) for name, f in given.facts.items()}
    finding = negative_controls.check(replace(cheats.evidence_of(cheat_models.Honest, given), facts=facts))
    assert finding.passed
    assert finding.detail.endswith("not looked at, as unknown: loudness, duration")


def test_a_fact_that_is_unknown_of_one_clip_is_not_looked_at(given: Any) -> None:
    facts = given.facts["test"]
    loudness, duration = facts.loudness_N.copy(), facts.duration_s_N.copy()
    loudness[5] = duration[7] = np.nan
    known = {**given.facts, "test": replace(facts, loudness_N=loudness, duration_s_N=duration)}
    finding = negative_controls.check(replace(cheats.evidence_of(cheat_models.Honest, given), facts=known))
    assert finding.detail.endswith("not looked at, as unknown: loudness, duration")
    assert set(finding.more["p"]) == {"random projection", "mean embedding", "song popularity", "index"}


def test_each_control_of_one_order_can_fail() -> None:
    """Songs of many clips are louder, or first in the file: then one order for all videos is better than chance."""
    known = cheats.evidence_of(cheat_models.HonestRandom, cheat_data.world(songs=600))
    song_N = known.facts["test"].song_N
    size_N = np.bincount(song_N)[song_N]
    loud = replace(known.facts["test"], loudness_N=size_N.astype(float))
    first = np.argsort(-size_N, kind="stable")
    in_order = replace(loud, loudness_N=np.full(len(song_N), -14.0), song_N=song_N[first])
    for name, facts, rows in (("loudness", loud, np.arange(len(song_N))), ("index", in_order, first)):
        moved = replace(known, test=known.test[torch.from_numpy(rows)], facts={**known.facts, "test": facts})
        finding = negative_controls.check(moved)
        assert finding.passed is False
        assert finding.detail.startswith(f"{name}: R@10"), finding.detail


def test_the_random_projection_catches_a_ranking_that_favours_the_own_pair(given: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    known = cheats.evidence_of(cheat_models.HonestRandom, given)

    def favouring(video_ND: np.ndarray, music_ND: np.ndarray, song_N: np.ndarray, unit: str) -> Any:
        return retrieve(video_ND, music_ND + 0.1 * video_ND, song_N, unit=unit)

    monkeypatch.setattr(negative_controls, "retrieve", favouring)
    finding = negative_controls.check(known)
    assert finding.passed is False
    assert finding.more["p"]["random projection"] < 0.01


def test_controls_of_one_order_rank_every_video_alike() -> None:
    video_ND, music_ND = negative_controls._in_one_order(np.asarray([3.0, 9.0, 1.0, 9.0]))
    sim = video_ND @ music_ND.T
    assert (sim == sim[:1]).all()
    assert sim[0, 1] == sim[0, 3] > sim[0, 0] > sim[0, 2]


def test_against_chance_knows_better_worse_and_equal() -> None:
    song_N = np.arange(60)
    video = np.eye(60, dtype=np.float32)
    better, worse, equal = (
        _chance.against_chance(retrieve(video, music, song_N), song_N)
        for music in (video, np.roll(video, 1, axis=0), np.ones_like(video) / 60**0.5)
    )
    assert better.p < 0.001
    assert better.gain == pytest.approx(1.0)
    assert (better.recall, better.chance) == (1.0, pytest.approx(1 / 6))
    assert worse.p > 0.5
    assert worse.gain < 0 == pytest.approx(equal.gain)
    assert equal.p == 1.0


@pytest.mark.parametrize("unit", ["song", "clip", "pair"])
def test_checks_take_ranks_of_any_unit(unit: str, evidence: Callable[[type], Evidence]) -> None:
    known = evidence(cheat_models.Honest)
    ranks = retrieve(known.video_ND, known.music_ND, known.song_N, unit=unit)
    failed = {f.check for f in checks.run(replace(known, ranks=ranks, unit=unit)) if f.passed is False}
    assert failed == ({"pool_audit"} if unit == "pair" else set())


def test_shuffled_pairs_stop_at_the_first_fit_that_is_at_chance(evidence: Callable[[type], Evidence]) -> None:
    for model, fits in ((cheat_models.Honest, 1), (cheat_models.Remembers, shuffled_pairs.NUM_FITS)):
        known, seen = evidence(model), []
        assert known.refit is not None

        def refit(train: Pairs, val: Pairs, known: Evidence = known, seen: list[Pairs] = seen) -> Any:
            seen.append(train)
            return known.refit(train, val)

        shuffled_pairs.check(replace(known, refit=refit))
        assert len(seen) == fits
        moved = (seen[0].music.vectors_BV != known.train.music.vectors_BV).any(dim=1).float().mean()
        assert moved > 0.95
        assert torch.equal(seen[0].video.vectors_BV, known.train.video.vectors_BV)


@pytest.mark.parametrize(("least", "not_run"), [(65, {"gallery_invariance"}), (1, {"batch_invariance"})])
def test_a_check_that_runs_out_of_memory_is_not_run_and_marks_nothing(
    least: int, not_run: set[str], evidence: Callable[[type], Evidence]
) -> None:
    """`least` clips at once are too many; scoring took fewer, in smaller blocks."""
    known = evidence(cheat_models.Honest)

    class Small:
        def encode_video(self, x: Inputs) -> torch.Tensor:
            return known.model.encode_video(self._held(x))

        def encode_music(self, x: Inputs) -> torch.Tensor:
            return known.model.encode_music(self._held(x))

        def _held(self, x: Inputs) -> Inputs:
            if len(x) >= least:
                raise torch.OutOfMemoryError("CUDA out of memory")
            return x

    found = {f.check: f for f in checks.run(replace(known, model=Small(), refit=None, fit_again=None))}
    assert not [f for f in found.values() if f.passed is False]
    for name in not_run:
        assert (found[name].passed, found[name].detail) == (None, "not run: memory did not suffice")


def test_shuffled_pairs_that_teach_less_than_true_ones_are_a_lucky_start(evidence: Callable[[type], Evidence]) -> None:
    """Half of the videos are found whatever is learnt: above chance, and less than MIN_SHARE of the true gain."""
    known = evidence(cheat_models.Honest)

    class Half:
        encode_music = known.model.encode_music

        def encode_video(self, x: Inputs) -> torch.Tensor:
            found = known.model.encode_video(x)
            found[::2] = found[:1]
            return found

    finding = shuffled_pairs.check(replace(known, refit=lambda train, val: Half()))
    assert finding.passed
    assert finding.value is not None
    assert finding.value > 0.1


def test_determinism_is_to_the_bit_on_a_cpu(evidence: Callable[[type], Evidence]) -> None:
    honest = evidence(cheat_models.Honest)
    nearly = honest.video_ND.copy()
    nearly[3, 0] = np.nextafter(nearly[3, 0], np.float32(2))
    assert determinism.check(honest).passed
    assert determinism.check(replace(honest, video_ND=nearly)).passed is False


@pytest.mark.parametrize(
    ("chosen", "chosen_by", "fine"),
    [(1, "val", True), (0, "val", False), (2, "end", True), (1, "end", False), (1, "test", False)],
)
def test_the_checkpoint_is_the_best_on_val_or_the_last(
    chosen: int, chosen_by: str, fine: bool, evidence: Callable[[type], Evidence]
) -> None:
    history = History(loss=(3.0, 2.0, 1.0), val=(0.1, 0.3, 0.2), chosen=chosen, chosen_by=chosen_by, num_steps=30)
    finding = test_discipline.check(replace(evidence(cheat_models.Honest), history=history))
    assert finding.passed == fine, finding.detail


def test_discipline_says_what_it_could_look_at(evidence: Callable[[type], Evidence]) -> None:
    known = evidence(cheat_models.Honest)
    bare = Evidence(train=known.train, val=known.val, test=known.test)
    assert test_discipline.check(bare).detail == "looked at the rows it was fitted on"
    two = test_discipline.check(replace(known, settings_scored=frozenset({"a", "b"})))
    assert two.detail == "scored on test with 2 settings"
    chosen = test_discipline.check(replace(bare, val=known.test[:5]))
    assert chosen.detail == f"5 of {len(known.test)} test clips have the inputs of a clip that it was fitted on"
    black = Pairs(*(Inputs(torch.zeros_like(x.vectors_BV)) for x in (known.test.video, known.test.music)), known.test.song_B)
    assert test_discipline.check(replace(bare, train=black, test=black)).passed, "silent and black clips are all alike"


@pytest.mark.parametrize("shift", [1, -2])
def test_alignment_says_by_how_many_clips_a_file_is_out_of_step(shift: int, given: Any) -> None:
    train = given.parts["train"]
    moved = Pairs(train.video, train.music[torch.arange(len(train)).roll(shift)], train.song_B)
    finding = alignment.check(Evidence(train=moved))
    assert finding.passed is False
    assert f"with the music moved by {shift:+d} clip" in finding.detail


def test_alignment_does_not_decide_on_few_songs(given: Any) -> None:
    train = cheat_data.scrambled(given).parts["train"]
    few, fewer = (train[train.song_B < limit] for limit in (100, 15))
    assert alignment.check(Evidence(train=few)).detail.startswith("cannot tell: a linear map is")
    assert alignment.check(Evidence(train=few)).passed is None
    assert alignment.check(Evidence(train=fewer)).detail.startswith("not run: ")


def test_a_narrow_cone_is_a_collapse_although_its_rank_is_full() -> None:
    """All items point nearly one way and differ in every direction by a little."""
    noise = np.random.default_rng(0).normal(size=(100, 16)).astype(np.float32)
    cone = 0.01 * noise + np.eye(16, dtype=np.float32)[0]
    wide, narrow = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in (noise, cone))
    for video, passed in ((wide, True), (narrow, False)):
        finding = collapse.check(Evidence(video_ND=video, music_ND=wide))
        assert finding.value is not None
        assert finding.value > 10
        assert finding.passed == passed


def test_effective_rank_is_that_of_the_singular_values() -> None:
    rng = np.random.default_rng(0)
    for shape in ((30, 8), (8, 30)):
        x = rng.normal(size=shape) * np.geomspace(1, 0.1, shape[1])
        share = np.linalg.svd(x - x.mean(axis=0), compute_uv=False) ** 2
        share = share[share > 1e-12] / share.sum()
        assert collapse.effective_rank(x) == pytest.approx(np.exp(-(share * np.log(share)).sum()), rel=1e-6)
