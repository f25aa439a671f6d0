"""The matrix of fits: accounted for, resumed, controls at chance, and the same through real Ray with declared GPUs."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from benchmarks import jobs, pools, record, record_check, results, worker
from benchmarks.baselines import cca, mvbind
from benchmarks.checkpoint import restore
from benchmarks.data import fold_parts, make_pack, pairs, split_parts
from benchmarks.importer import import_features
from benchmarks.inputs import Inputs
from benchmarks.jobs import Wanted
from benchmarks.ranking import retrieve
from benchmarks.run import FAKE_GPUS, run_baselines
from benchmarks.stats import song_bootstrap
from benchmarks.towers import embed
from svmbench import plugins
from svmbench.errors import BadInput, BadScores, BadSettings, FitFailed, UnknownName
from svmbench.fleet import Fleet
from svmbench.progress import Progress
from svmbench.records import DIRECTIONS, Score, Split, to_table
from svmbench.store import RunFolder, sha256_file

SMALL: dict[str, dict[str, Any]] = {
    "vm_net": {"music_hidden_1": 32, "music_hidden_2": 32, "video_hidden": 32, "dim": 16, "epochs": 5},
    "mvbind": {"hidden": 32, "dim": 16, "epochs": 20, "lr": 1e-2},
}


MVBIND_AGAINST_CHANCE = ("mvbind default", "chance", "video_to_music", "mean_rank")


@pytest.fixture(scope="module")
def local() -> Iterator[Fleet]:
    with Fleet(local=True) as fleet:
        yield fleet


def go(run: RunFolder, fleet: Fleet, **more: Any) -> Progress:
    progress = Progress(quiet=True)
    run_baselines(run, fleet, progress, **{"settings": SMALL, **more})
    return progress


def values(
    run: RunFolder, metric: str = "recall@10", direction: str = "video_to_music"
) -> dict[tuple[str, str, str, int], float]:
    rows = run.read(Score, "scores")
    return {
        (r.split, r.baseline, r.variant, r.seed): r.value or 0.0 for r in rows if (r.metric, r.direction) == (metric, direction)
    }


def test_all_baselines_on_the_runs_own_split(toy: RunFolder, local: Fleet) -> None:
    progress = go(toy, local)
    summary = progress.summaries[0]
    variants = sum(len(plugins.load("benchmarks.baselines", n).VARIANTS) for n in plugins.names("benchmarks.baselines"))
    assert (summary.seen, summary.kept, summary.balanced()) == (variants, variants, True)
    rows = toy.read(Score, "scores")
    assert len(rows) == variants * len(DIRECTIONS) * len(list(results.cells()))
    first = rows[0]
    assert (first.dataset, first.split, first.device) == ("toy", "test", "cpu")
    assert first.revision == make_pack(toy).revision
    assert {r.gallery_size for r in rows if r.direction == "video_to_music"} == {15}
    assert {r.num_queries for r in rows} == {15, 30}
    recall = values(toy)
    assert recall["test", "chance", "expected", 0] == pytest.approx(10 / 15)
    assert recall["test", "cca", "default", 0] > 0.9
    for row in rows:
        low, high = row.ci95 or (0, 0)
        assert low <= (row.value or 0) + 1e-9
        assert high >= (row.value or 0) - 1e-9
        assert row.checks == (), f"{row.baseline} {row.variant} is honest"


def test_scores_are_those_of_the_committed_ranks(toy: RunFolder, local: Fleet) -> None:
    go(toy, local, names=("cca",))
    ranks = toy.read_table("ranks")
    assert ranks is not None
    assert ranks.column_names == results.RANKS_SCHEMA.names
    own = [r for r in ranks.to_pylist() if r["direction"] == "video_to_music"]
    assert len({r["query_id"] for r in own}) == len(own) == 30
    assert values(toy, "recall@1")["test", "cca", "default", 0] == np.mean([r["better"] < 1 for r in own])
    hits, songs = [float(r["better"] < 1) for r in own], [r["song_id"] for r in own]
    (score,) = [r for r in toy.read(Score, "scores") if (r.metric, r.direction) == ("recall@1", "video_to_music")]
    assert len(set(songs)) == 15
    assert score.ci95 == song_bootstrap(hits, songs, aggregate="mean"), "songs are resampled, not queries"


def test_folds_are_pooled_and_the_control_falls_to_chance(
    tmp_path: Path, toy_maker: Callable[..., RunFolder], local: Fleet
) -> None:
    run = toy_maker(tmp_path / "run", split=False, songs=90)
    with pytest.raises(BadInput, match="use --folds"):
        go(run, local)
    go(run, local, names=("cca", "chance:expected"), folds=3)
    go(run, local, names=("cca",), folds=3, shuffle_pairs=True)
    recall = values(run)
    chance = recall["3-fold", "chance", "expected", 0]
    assert chance == pytest.approx(10 / 30)
    assert recall["3-fold", "cca", "default", 0] > 2.5 * chance
    assert {r.num_queries for r in run.read(Score, "scores") if r.direction == "video_to_music"} == {180}
    tests = {(c.first, c.kind): c for c in results.comparisons(run) if (c.direction, c.metric) == ("video_to_music", "mean_rank")}
    assert tests["cca default", "chance"].p_holm < 0.01
    assert tests["cca default", "chance"].difference < -5
    assert tests["cca shuffled", "control"].p > 0.01
    assert (tests["cca default", "chance"].num_queries, tests["cca default", "chance"].num_songs) == (180, 90)


def test_a_fixed_pool_cuts_down_the_test_part_and_shares_no_table(toy: RunFolder, local: Fleet) -> None:
    """The same songs whoever asks, beside the whole test part and never in one row with it; without the file nothing changes."""
    go(toy, local, names=("cca",))
    whole = {e.values["key"] for e in map(record.read, record.find([toy.path]))}
    pack = make_pack(toy)
    songs = sorted({pack.song_ids[i] for i in split_parts(pack)["test"]})
    pool = pools.fixed_pool(songs, 6, seed=0)
    pools.write_pool(toy.path / pools.POOL_FILE, pool)
    go(toy, local, names=("cca",))
    entries = {e.values["data"]["split"]: e for e in map(record.read, record.find([toy.path]))}
    assert set(entries) == {"test", f"test-pool-6-{pool.sha256[:8]}"}
    assert {entries["test"].values["key"]} == whole, "the key of what has no pool is as it was"
    entry = entries[f"test-pool-6-{pool.sha256[:8]}"]
    assert entry.values["protocol"]["pool"] == {"size": 6, "seed": 0, "sha256": pool.sha256}
    assert entries["test"].values["protocol"]["pool"] is None
    asked = entry.lists["video_to_music"]
    assert (set(asked.songs), set(asked.ranks.num_candidates)) == (set(pool.ids), {6})
    assert set(entry.lists["music_to_video"].queries) == {f"m:{song}" for song in pool.ids}
    assert record_check.check(record.find([toy.path])) == []
    with pytest.raises(BadInput, match=r"pool.json cuts down the run's own test part and does not go with --folds"):
        go(toy, local, names=("cca",), folds=3)
    pools.write_pool(toy.path / pools.POOL_FILE, pools.fixed_pool([*songs, "elsewhere"], len(songs) + 1, seed=0))
    with pytest.raises(BadInput, match=r"1 of the pool's \d+ ids are not in these data, first 'elsewhere'"):
        go(toy, local, names=("cca",))


def test_what_is_done_is_not_done_again_and_a_killed_run_goes_on(
    toy: RunFolder, local: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    fits: list[int] = []
    honest = worker.fit_seeds

    def counting(job: Any, seeds: tuple[int, ...], *more: Any) -> Any:
        fits.extend(seeds)
        if len(fits) == 3:
            raise KeyboardInterrupt
        return honest(job, seeds, *more)

    with monkeypatch.context() as one_at_a_time:
        one_at_a_time.setattr(worker, "fit_seeds", counting)
        one_at_a_time.setattr(jobs, "groups", lambda todo, workers: [(job,) for job in todo])
        one_at_a_time.setattr(local, "map", one_by_one)
        with pytest.raises(KeyboardInterrupt):
            go(toy, local, names=("mvbind",), seeds=4)
    assert len(toy.done_ids("bench")) == 2
    progress = go(toy, local, names=("mvbind",), seeds=4)
    assert progress.summaries[0].kept == 4
    before = values(toy)
    monkeypatch.setattr(worker, "fit_seeds", None)  # a further call would fail
    assert go(toy, local, names=("mvbind",), seeds=4).summaries[0].kept == 4
    assert values(toy) == before
    assert {k[3] for k in before} == {0, 1, 2, 3}
    ranks = toy.read_table("ranks")
    assert ranks is not None
    assert ranks.num_rows == 4 * (30 + 15)


def one_by_one(cls: type, args: tuple[Any, ...], items: list[Any], **_: Any) -> Iterator[tuple[Any, Any]]:
    worker = cls(*args)
    for item in items:
        yield item, worker.run(item)


def together(cls: type, args: tuple[Any, ...], items: list[Any], **_: Any) -> Iterator[tuple[Any, Any]]:
    """All fits as one group, as on a GPU."""
    group = tuple(job for item in items for job in item)
    yield from one_by_one(cls, args, [group] if group else [])


@pytest.mark.parametrize("folds", [None, 3])
def test_a_baseline_is_handed_train_and_val_and_nothing_of_test(
    toy: RunFolder, local: Fleet, monkeypatch: pytest.MonkeyPatch, folds: int | None
) -> None:
    handed: list[tuple[Any, Any]] = []
    honest, honest_fit = worker.fit_seeds, cca.fit
    seen: set[int] = set()

    def watched(job: Any, seeds: tuple[int, ...], parts: Any, report: Any) -> Any:
        handed.append(parts)
        return honest(job, seeds, parts, report)

    def also_refits(train: Any, val: Any, settings: Any, seed: int) -> Any:
        seen.update(train.song_B.tolist() + val.song_B.tolist())
        return honest_fit(train, val, settings, seed)

    monkeypatch.setattr(worker, "fit_seeds", watched)
    monkeypatch.setattr(cca, "fit", also_refits)
    monkeypatch.setattr(local, "map", one_by_one)
    go(toy, local, names=("cca",), folds=folds)
    pack = make_pack(toy)
    assert len(handed) == (folds or 1)
    for fold, (train, val) in enumerate(handed):
        parts = split_parts(pack) if folds is None else fold_parts(pack, folds, fold)
        for given, index in ((train, parts["train"]), (val, parts["val"])):
            assert given.song_B.tolist() == pack.song_codes()[index].tolist()
        assert not set(train.song_B.tolist() + val.song_B.tolist()) & set(pack.song_codes()[parts["test"]].tolist())
    if folds is None:
        assert seen
        assert not seen & set(pack.song_codes()[split_parts(pack)["test"]].tolist()), "no check fits on the test part either"


def test_a_fit_is_checked_in_the_company_it_was_made_in(toy: RunFolder, local: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[int, tuple[int, ...]]] = []

    def watched(job: Any, seeds: tuple[int, ...], parts: Any) -> None:
        seen.append((job.seed, seeds))

    monkeypatch.setattr(worker, "fit_again", watched)
    monkeypatch.setattr(local, "map", together)
    go(toy, local, names=("mvbind",), seeds=3)
    assert seen == [(0, (0, 1, 2)), (1, (0, 1, 2)), (2, (0, 1, 2))]


def test_what_draws_no_random_numbers_is_fitted_once(toy: RunFolder, local: Fleet) -> None:
    assert go(toy, local, names=("cca", "chance", "mean_embedding", "mvbind"), seeds=2).summaries[0].kept == 5
    assert {k[1:] for k in values(toy)} == {
        ("cca", "default", 0), ("chance", "expected", 0), ("mean_embedding", "default", 0), ("mvbind", "default", 0),
        ("mvbind", "default", 1),
    }  # fmt: skip
    (test,) = [c for c in results.comparisons(toy) if (c.first, c.kind, c.direction, c.metric) == MVBIND_AGAINST_CHANCE]
    both = [values(toy, "mean_rank")["test", "mvbind", "default", seed] for seed in (0, 1)]
    assert both[0] != both[1]
    assert test.difference == pytest.approx(np.mean(both) - (15 + 1) / 2), "seeds are averaged"
    go(toy, local, names=("cca",), seeds=2, shuffle_pairs=True)
    shuffled = [v for k, v in values(toy, "mean_rank").items() if k[2] == "shuffled"]
    assert len(set(shuffled)) == 2, "each shuffling is another one"


def test_a_shuffled_row_stands_beside_the_chance_that_it_must_fall_to(toy: RunFolder, local: Fleet) -> None:
    go(toy, local, names=("cca",), shuffle_pairs=True)
    assert {k[1:3] for k in values(toy)} == {("cca", "shuffled"), ("chance", "expected")}
    (shuffled,) = [r for r in go(toy, local, names=("chance",)).summaries]
    assert (shuffled.seen, shuffled.kept) == (1, 1)
    assert len(toy.done_ids("bench")) == 2, "chance is the same fit with and without shuffling"


def test_the_kind_of_a_row_is_that_of_its_baseline(toy: RunFolder, local: Fleet) -> None:
    go(toy, local, names=("chance", "mean_embedding", "cca"))
    go(toy, local, names=("cca",), shuffle_pairs=True)
    assert {(r.baseline, r.variant, r.kind) for r in toy.read(Score, "scores")} == {
        ("chance", "expected", "chance"), ("mean_embedding", "default", "control"), ("cca", "default", "measured"),
        ("cca", "shuffled", "control"),
    }  # fmt: skip


def test_changed_settings_replace_the_row_with_all_its_seeds(toy: RunFolder, local: Fleet) -> None:
    go(toy, local, names=("mvbind",), seeds=2)
    go(toy, local, names=("mvbind",), settings={"mvbind": SMALL["mvbind"] | {"epochs": 2}})
    rows = [r for r in toy.read(Score, "scores") if r.metric == "mrr"]
    assert [r.seed for r in rows] == [0, 0], "the second seed is of the old settings"
    assert len(rows) == len(DIRECTIONS)
    assert len({r.settings_hash for r in rows}) == 1
    assert len(toy.done_ids("bench")) == 3
    go(toy, local, names=("mvbind",), seeds=3)
    again = [r for r in toy.read(Score, "scores") if r.metric == "mrr"]
    assert sorted({r.seed for r in again}) == [0, 1, 2], "a new seed of the first settings makes them the newest again"
    assert not {r.settings_hash for r in again} & {r.settings_hash for r in rows}


def test_folds_that_are_not_complete_leave_the_earlier_row(toy: RunFolder, local: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    go(toy, local, names=("cca",), folds=3)
    before, used = values(toy), scored(toy)
    assert len(used) == 3
    assert used <= toy.done_ids("bench")

    def broken_off(cls: type, args: tuple[Any, ...], items: list[Any], **_: Any) -> Iterator[tuple[Any, Any]]:
        yield from one_by_one(cls, args, items[:2])

    changed: Any = {"cca": {"components": 2}}
    fleet: Any = SimpleNamespace(**vars(local), map=broken_off)
    assert go(toy, fleet, names=("cca",), folds=3, settings=changed).summaries[0].left == 1
    assert len(toy.done_ids("bench")) == 5
    assert (values(toy), scored(toy)) == (before, used)
    go(toy, local, names=("cca",), folds=3, settings=changed)
    assert values(toy) != before
    assert not scored(toy) & used


def scored(run: RunFolder) -> set[str]:
    table = run.read_table("scored")
    assert table is not None
    return set(table["key"].to_pylist())


def test_results_of_other_data_do_not_count(tmp_path: Path, toy_maker: Callable[..., RunFolder], local: Fleet) -> None:
    run = toy_maker(tmp_path / "run")
    go(run, local, names=("cca", "chance"))
    clips = run.read_table("clips")
    assert clips is not None
    with run.writing("curate") as writer:  # the same features; the songs of two clips have changed hands
        songs = clips["song_id"].to_pylist()
        songs[0], songs[1] = songs[1], songs[0]
        tables = {n: run.read_table(n) for n in run.table_names() if n.startswith("features_") or n == "splits"}
        writer.clear()
        changed = clips.set_column(clips.schema.get_field_index("song_id"), "song_id", [songs])
        writer.commit(["anew"], {"clips": changed, **{n: t for n, t in tables.items() if t is not None}})
    go(run, local, names=("cca",))
    rows = run.read(Score, "scores")
    assert {(r.baseline, r.revision) for r in rows} == {("cca", make_pack(run).revision)}


def instead(monkeypatch: pytest.MonkeyPatch, name: str, cls: type) -> None:
    """This class in the place of a baseline's fitted model, with its first weights."""
    honest = worker.fit_seeds

    def made(job: Any, seeds: tuple[int, ...], *more: Any) -> Any:
        if job.baseline != name:
            return honest(job, seeds, *more)
        return [cls(*mvbind.build(36, 10, job.settings, seed).children()).eval() for seed in seeds]

    monkeypatch.setattr(worker, "fit_seeds", made)


def test_one_fit_that_fails_is_accounted_for_and_the_others_go_on(
    toy: RunFolder, local: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Diverged(mvbind.TwoTower):
        def encode_video(self, video: Inputs) -> torch.Tensor:
            return super().encode_video(video) * torch.nan

    instead(monkeypatch, "mvbind", Diverged)
    progress = Progress(quiet=True)
    with pytest.raises(BadScores, match="not finite"):
        run_baselines(toy, local, progress, names=("mvbind", "cca"), settings=SMALL)
    summary = progress.summaries[0]
    assert (summary.kept, dict(summary.failed), summary.balanced()) == (1, {"BadScores": 1}, True)
    assert "mvbind default, seed 0: BadScores: 30 of 30 video embeddings are not finite" in summary.notes[0]
    (log,) = toy.path.glob("fits/*/error.txt")
    assert str(log) in summary.notes[0]
    assert "Traceback" in log.read_text()
    assert {r.baseline for r in toy.read(Score, "scores")} == {"cca"}


def test_a_failed_check_marks_the_row_and_does_not_hide_it(toy: RunFolder, local: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    class InTrainMode(mvbind.TwoTower):
        def encode_video(self, video: Inputs) -> torch.Tensor:
            return super().encode_video(Inputs(video.vectors_BV - video.vectors_BV.mean(dim=0)))

    instead(monkeypatch, "mvbind", InTrainMode)
    go(toy, local, names=("mvbind",))
    rows = toy.read(Score, "scores")
    assert rows
    assert all("batch_invariance" in r.checks for r in rows)


def test_a_split_as_published_marks_every_row(toy: RunFolder, local: Fleet) -> None:
    """Half of each part changes places by chance, so that songs of several clips stand in both."""
    ids = [clip_id for part in toy.read(Split, "splits") for clip_id in part.clip_ids]
    parts = {"train": ids[::2], "test": ids[1::2]}
    rows = [Split(name=name, clip_ids=tuple(of), grouped_by="none", rule="as_published") for name, of in parts.items()]
    clips = {name: toy.read_table(name) for name in toy.table_names() if name != "splits"}
    with toy.writing("curate") as writer:
        writer.replace(ids, {**clips, "splits": to_table(Split, rows)})
    go(toy, local, names=("cca",))
    scores = toy.read(Score, "scores")
    assert scores
    assert all(row.checks == ("split_leak",) for row in scores)


def test_a_baseline_whose_feature_is_missing(toy: RunFolder, local: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mvbind, "NEEDS", ("clap", "look"))
    progress = go(toy, local, settings=SMALL | {"vm_net": SMALL["vm_net"] | {"epochs": 1}})
    assert dict(progress.summaries[0].dropped) == {"needs_feature": 1}
    assert progress.summaries[0].balanced()
    with pytest.raises(BadInput, match="needs the feature 'clap'"):
        go(toy, local, names=("mvbind",))


def test_mistakes_give_one_clear_line(toy: RunFolder, local: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UnknownName, match="Did you mean 'vm_net'"):
        go(toy, local, names=("vmnet",))
    with pytest.raises(UnknownName, match="Known: hong"):
        go(toy, local, names=("vm_net:hogn",))
    with pytest.raises(BadSettings, match=r"mvbind\.epochs: 0 is out of range"):
        go(toy, local, names=("mvbind",), settings={"mvbind": {"epochs": 0}})
    with pytest.raises(BadSettings, match="seeds: 0"):
        go(toy, local, seeds=0)
    with pytest.raises(BadSettings, match="none of the named baselines learns"):
        go(toy, local, names=("chance",), shuffle_pairs=True)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.delenv(FAKE_GPUS, raising=False)
    with pytest.raises(BadSettings, match="no CUDA device is visible; use --gpus 0"):
        go(toy, Fleet(local=True, gpus=4))


@pytest.mark.slow
def test_real_pairs_beat_chance_and_shuffled_ones_do_not(tmp_path: Path, real_pairs: Path, local: Fleet) -> None:
    run = RunFolder.create(tmp_path / "pairs")
    import_features(real_pairs, run, window_s=120)
    quick = {"mvbind": {"hidden": 128, "dim": 64, "epochs": 12}}
    for shuffle in (False, True):
        go(run, local, names=("cca", "mvbind"), folds=3, settings=quick, shuffle_pairs=shuffle)
    tests = {(c.first, c.direction): c for c in results.comparisons(run) if c.metric == "mean_rank" and c.kind != "pair"}
    for direction in DIRECTIONS:
        for name in ("cca", "mvbind"):
            assert tests[f"{name} default", direction].p_holm < 0.001
            assert tests[f"{name} default", direction].difference < -20
            assert tests[f"{name} shuffled", direction].p > 0.001
            assert abs(tests[f"{name} shuffled", direction].difference) < 10


def test_a_job_is_plain_data_and_its_key_is_all_that_its_result_depends_on(
    toy: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    pack = make_pack(toy)

    def keys(pack: Any = pack, names: tuple[str, ...] = ("cca", "mvbind"), folds: int | None = 3, **more: Any) -> set[str]:
        wanted = Wanted(names, 2, folds, more.pop("shuffled", False), more)
        found, unusable = jobs.matrix(pack, wanted)
        assert not unusable
        assert all(dataclasses.is_dataclass(job.settings) for job in found)
        assert len({job.key for job in found}) == len(found)
        return {job.key for job in found}

    first = keys()
    assert len(first) == 3 * (1 + 2)
    assert keys(names=("cca",)) < first == keys()
    assert not first & keys(dataclasses.replace(pack, revision="0"))
    assert not first & keys(folds=4)
    assert not first & keys(folds=None)
    assert not first & keys(shuffled=True)
    assert len(first & keys(mvbind={"epochs": 7})) == 3
    assert not first & keys(dataclasses.replace(pack, source={"commit": "f" * 40}))
    monkeypatch.setattr(jobs, "METRIC_SPEC", "another")
    assert not first & keys()
    monkeypatch.undo()
    monkeypatch.setattr(jobs, "code_of", lambda *_: "another")
    assert not first & keys()


def test_a_baseline_that_is_named_twice_is_fitted_once(toy: RunFolder, local: Fleet) -> None:
    summary = go(toy, local, names=("vm_net:hong", "cca", "cca", "vm_net:hong")).summaries[0]
    assert (summary.seen, summary.kept) == (2, 2)
    fits = toy.read_table("jobs")
    assert fits is not None
    assert fits.num_rows == 2


def test_a_worker_that_cannot_be_made_leaves_its_traceback(toy: RunFolder, local: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    def unmade(cls: type, args: tuple[Any, ...], items: list[Any], **_: Any) -> Iterator[tuple[Any, Any]]:
        yield from ((item, RuntimeError("a worker could not be made")) for item in items)

    monkeypatch.setattr(local, "map", unmade)
    with pytest.raises(FitFailed, match=r"a worker could not be made; see (.*error\.txt)") as error:
        go(toy, local, names=("cca",))
    assert "could not be made" in Path(str(error.value).rpartition("see ")[2]).read_text()


def test_on_the_cpu_each_fit_is_committed_as_it_is_done(toy: RunFolder, local: Fleet) -> None:
    go(toy, local, names=("mvbind",), seeds=3)
    assert [len(marker["ids"]) for marker in toy.markers("bench")] == [1, 1, 1]
    groups: list[int] = []

    def watched(cls: type, args: tuple[Any, ...], items: list[Any], **_: Any) -> Iterator[tuple[Any, Any]]:
        groups.extend(map(len, items))
        yield from one_by_one(cls, args, items)

    fleet: Any = SimpleNamespace(**vars(local) | {"num_cpus": 1, "map": watched})
    go(toy, fleet, names=("mvbind",), seeds=6)
    assert groups == [1, 1, 1], "a kill costs the fit at hand"


def test_the_code_of_a_fit_is_the_files_that_it_imports_wherever_they_lie(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ("cca", "mvbind", "vm_net", "chance")
    here = {name: jobs.code_of(name) for name in names}
    shutil.copytree(jobs.ROOT / "benchmarks", tmp_path / "benchmarks", ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(jobs, "ROOT", tmp_path)
    assert {name: jobs.code_of(name) for name in names} == here
    for changed, expected in (
        ("baselines/mvbind.py", {"mvbind"}), ("losses.py", {"mvbind", "vm_net"}), ("results.py", set()), ("live.py", set()),
        ("worker.py", set(names)), ("ranking.py", set(names)), ("inputs.py", set(names)), ("checks/finite.py", set(names)),
        ("memory.py", set(names)), ("rows.py", set(names)), ("metrics/mrr.py", {"mvbind", "vm_net"}),
    ):  # fmt: skip
        path = tmp_path / "benchmarks" / changed
        text = path.read_text()
        path.write_text(text + "# another line\n")
        assert {name for name in names if jobs.code_of(name) != here[name]} >= expected, changed
        if changed in ("baselines/mvbind.py", "results.py", "live.py"):
            assert {name for name in names if jobs.code_of(name) != here[name]} == expected, changed
        path.write_text(text)
    monkeypatch.setattr(torch, "__version__", "2.13.7+cu126")
    assert jobs.code_of("cca") == here["cca"]
    monkeypatch.setattr(torch, "__version__", "2.14.0+cpu")
    assert jobs.code_of("cca") != here["cca"]


def test_other_settings_that_were_scored_on_the_same_test_part_are_told_to_the_checks(toy: RunFolder, local: Fleet) -> None:
    for components in (64, 32):
        go(toy, local, names=("cca",), settings={"cca": {"components": components}})
    rows = toy.read_table("jobs")
    assert rows is not None
    first, second = (row["checks"] for row in rows.to_pylist())
    assert "test_discipline" not in first
    assert "test_discipline" in second


def test_the_record_of_a_fit_says_how_it_went(toy: RunFolder, local: Fleet) -> None:
    go(toy, local, names=("mvbind", "cca"))
    table = toy.read_table("jobs")
    assert table is not None
    trained, closed = sorted(table.to_pylist(), key=lambda row: row["baseline"], reverse=True)
    assert (trained["baseline"], closed["baseline"]) == ("mvbind", "cca")
    assert trained["epochs"] == len(trained["losses"]) == len(trained["val"]) <= SMALL["mvbind"]["epochs"]
    assert trained["chosen_epoch"] == int(np.argmax(trained["val"]))
    assert (trained["chosen_by"], closed["chosen_by"], closed["epochs"], closed["losses"]) == ("val", None, None, None)
    for row in (trained, closed):
        assert row["num_train"] == len(split_parts(make_pack(toy))["train"])
        assert row["wall_s"] == pytest.approx(row["train_s"] + row["eval_s"])
        assert row["started"].endswith("Z")
        assert {"cores", "gpu", "memory_gb"} <= set(json.loads(row["hardware"]))
        checkpoint = toy.path / row["checkpoint"]
        assert row["checkpoint"] == f"fits/{row['key']}/checkpoint.safetensors"
        assert sha256_file(checkpoint) == row["checkpoint_sha256"]
        pack = make_pack(toy)
        test = pairs(pack, split_parts(pack))["test"]
        again = retrieve(*embed(restore(checkpoint), test), test.song_B.numpy())["video_to_music"]
        ranks = toy.read_table("ranks")
        assert ranks is not None
        own = [r for r in ranks.to_pylist() if (r["key"], r["direction"]) == (row["key"], "video_to_music")]
        assert [r["better"] for r in own] == again.better.tolist(), "the checkpoint is the model that was scored"
        assert "done" in (checkpoint.parent / "log.txt").read_text()
