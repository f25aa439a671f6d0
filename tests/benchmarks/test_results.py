"""Tables and records as run-baselines leaves them, of embeddings that were drawn."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from benchmarks import jobs as matrix
from benchmarks import record, results, scoring
from benchmarks.pools import pool_curve
from benchmarks.stats import headline_interval, song_bootstrap
from svmbench import plugins
from svmbench.errors import BadInput
from svmbench.records import DIRECTIONS, Score
from svmbench.store import RunFolder

ROWS = [
    {"baseline": "mvbind", "noise": 1.0, "seed": 0}, {"baseline": "mvbind", "noise": 1.1, "seed": 1},
    {"baseline": "cca", "noise": 1.05}, {"baseline": "vm_net", "variant": "hong", "noise": 6.0},
    {"baseline": "mean_embedding", "noise": 50.0}, {"baseline": "cca", "variant": "shuffled", "noise": 60.0},
]  # fmt: skip


@pytest.fixture(scope="module")
def run(scored_run: Callable[..., RunFolder], tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    return scored_run(tmp_path_factory.mktemp("results") / "run", ROWS)


@pytest.fixture(scope="module")
def entries(run: RunFolder) -> dict[tuple[str, str, int], record.Entry]:
    found = [record.read(folder) for folder in record.find([run.path])]
    return {(e.values["model"]["baseline"], e.values["model"]["variant"], e.values["seed"]): e for e in found}


def test_every_metric_stands_in_scores_and_records(run: RunFolder, entries: dict[Any, record.Entry]) -> None:
    names = {label for label, _, _ in results.cells()}
    assert {name.partition("@")[0] for name in names} == set(plugins.names("benchmarks.metrics"))
    rows = run.read(Score, "scores")
    assert len(rows) == len(ROWS) * len(DIRECTIONS) * len(names)
    for entry in entries.values():
        for direction in DIRECTIONS:
            assert set(entry.values["scores"][direction]["metrics"]) == names
    (row,) = [r for r in rows if (r.baseline, r.variant, r.direction, r.metric) == ("cca", "default", DIRECTIONS[0], "recall@10")]
    cell = entries["cca", "default", 0].values["scores"][DIRECTIONS[0]]["metrics"]["recall@10"]
    assert (row.value, list(row.ci95 or ())) == (cell["value"], cell["ci95"])
    assert {(r.baseline, r.variant): r.kind for r in rows} == {
        ("mvbind", "default"): "measured", ("cca", "default"): "measured", ("vm_net", "hong"): "measured",
        ("mean_embedding", "default"): "control", ("cca", "shuffled"): "control",
    }  # fmt: skip


def test_a_record_says_what_its_ranks_say(entries: dict[Any, record.Entry]) -> None:
    entry = entries["cca", "default", 0]
    ranks = {d: entry.lists[d].ranks for d in DIRECTIONS}
    for direction, listed in entry.lists.items():
        said = entry.values["scores"][direction]
        hits = (ranks[direction].better < 10).astype(float)
        cell = said["metrics"]["recall@10"]
        assert cell["value"] == pytest.approx(hits.mean())
        assert tuple(cell["ci95"]) == song_bootstrap(hits, listed.songs, aggregate="mean")
        assert cell["optimistic"] == cell["pessimistic"] == cell["value"], "no ties here"
        assert said["num_songs"] == 40
    assert entry.values["scores"]["video_to_music"]["metrics"]["recall@10"]["chance"] == pytest.approx(10 / 40)
    assert entry.values["scores"]["video_to_music"]["pools"] == {}, "a gallery of 40 has no pool of 500"


def test_pools_of_the_papers_stand_in_the_record_where_the_gallery_is_large_enough(
    scored_run: Callable[..., RunFolder], tmp_path: Path
) -> None:
    found = scored_run(tmp_path / "large", [{"baseline": "cca", "noise": 2.0}], songs=600)
    (entry,) = [record.read(folder) for folder in record.find([found.path])]
    said = {direction: entry.values["scores"][direction]["pools"] for direction in DIRECTIONS}
    assert {d: list(sizes) for d, sizes in said.items()} == {"video_to_music": ["500"], "music_to_video": ["500", "1000"]}
    for direction, size in (("video_to_music", 500), ("music_to_video", 1000)):
        (point,) = pool_curve(entry.lists[direction].ranks, [size], 10)
        cell = said[direction][str(size)]
        assert (cell["recall@10"], cell["median_rank"]) == (point.recall, point.median_rank)
        assert cell["recall@10"] > entry.values["scores"][direction]["metrics"]["recall@10"]["value"], "a smaller pool is easier"


def test_ties_have_bounds_in_the_record(scored_run: Callable[..., RunFolder], tmp_path: Path) -> None:
    """A model that says the same of all: best and worst luck are far apart, and the value is chance."""
    found = scored_run(tmp_path / "tied", [{"baseline": "cca", "noise": 0.0}])
    ranks = found.read_table("ranks")
    assert ranks is not None
    tied = record.listed({n: ranks[n].to_numpy(zero_copy_only=False) for n in record.RANKS_COLUMNS if n != "fold"}
                         | {"fold": np.full(ranks.num_rows, -1)}, np.arange(ranks.num_rows))  # fmt: skip
    flat = {d: record.Listed(x.queries, x.songs, x.folds, x.ranks.chance()) for d, x in tied.items()}
    jobs = found.read_table("jobs")
    assert jobs is not None
    said = record.make(jobs.to_pylist(), flat, role="measured", data={}).values["scores"]["video_to_music"]
    cell = said["metrics"]["recall@1"]
    assert (cell["optimistic"], cell["pessimistic"]) == (1.0, 0.0)
    assert cell["value"] == pytest.approx(cell["chance"]) == pytest.approx(1 / 40)
    assert said["metrics"]["median_rank"]["optimistic"] == 1
    assert said["metrics"]["median_rank"]["pessimistic"] == 40
    assert said["tied_fraction"] == 1.0


def test_two_sources_of_noise_are_kept_apart_and_combined(entries: dict[Any, record.Entry]) -> None:
    seeds = [entries["mvbind", "default", seed] for seed in (0, 1)]
    group = seeds[0].values["group"]
    assert group["seeds"] == [0, 1]
    assert group["scores"] == seeds[1].values["group"]["scores"]
    values = [e.values["scores"]["video_to_music"]["metrics"]["recall@1"]["value"] for e in seeds]
    assert values[0] != values[1]
    assert group["scores"]["video_to_music"]["recall@1"] == {"mean": np.mean(values), "seed_sd": np.std(values, ddof=1)}
    lists = [e.lists["video_to_music"] for e in seeds]
    hits = [(x.ranks.better < 10).astype(float) for x in lists]
    headline = group["headline"]["video_to_music"]["recall@10"]
    assert tuple(headline["ci95"]) == headline_interval(hits, lists[0].songs, aggregate="mean")
    assert headline["num_seeds"] == 2
    alone = entries["cca", "default", 0].values["group"]
    assert alone["scores"]["video_to_music"]["recall@1"]["seed_sd"] is None


def test_tiers_stand_in_the_run_and_in_the_records(run: RunFolder, entries: dict[Any, record.Entry]) -> None:
    found = {(s.name, s.direction, s.metric): s for s in results.standings(run)}
    v2m = {name: found[name, "video_to_music", "recall@10"].tier for name, *_ in found}
    assert v2m == {
        "mvbind default": 1, "cca default": 1, "vm_net hong": 2, "mean_embedding default": None, "cca shuffled": None,
    }  # fmt: skip
    for entry in entries.values():
        tiers = entry.values["group"]["tiers"]
        for direction in DIRECTIONS:
            for metric, said in tiers[direction].items():
                standing = found[entry.values["group"]["name"], direction, metric]
                assert (said["tier"], said["anchor"], said["p_holm"]) == (standing.tier, standing.anchor, standing.p_holm)
    p = {
        (c.first, c.second): c.p_holm
        for c in results.comparisons(run)
        if (c.direction, c.metric) == ("video_to_music", "recall@10")
    }
    assert found["vm_net hong", "video_to_music", "recall@10"].p_holm is None, "it leads its tier"
    assert p["cca default", "vm_net hong"] < 0.05


def test_same_key_same_ranks_file_and_no_time_or_machine_in_it(
    run: RunFolder, scored_run: Callable[..., RunFolder], tmp_path: Path
) -> None:
    other = [{**row, "wall_s": 99.0, "hardware": '{"cores": 64}', "started": "2027-01-01T00:00:00Z", "gpu": "3"} for row in ROWS]
    again = scored_run(tmp_path / "again", other[::-1])
    folders = {f.name: f for f in record.find([run.path])}
    anew = {f.name: f for f in record.find([again.path])}
    assert set(folders) == set(anew), "the key does not depend on time or machine"
    for name, folder in folders.items():
        assert (folder / record.RANKS).read_bytes() == (anew[name] / record.RANKS).read_bytes()
        one, two = (json.loads((f / record.RECORD).read_text()) for f in (folder, anew[name]))
        assert one["run"] != two["run"]
        assert {k: v for k, v in one.items() if k != "run"} == {k: v for k, v in two.items() if k != "run"}
        assert one["artifacts"]["ranks"]["sha256"] == hashlib.sha256((folder / record.RANKS).read_bytes()).hexdigest()


def test_folds_of_one_seed_are_one_result(scored_run: Callable[..., RunFolder], tmp_path: Path) -> None:
    rows = [{"baseline": "cca", "noise": 1.0, "split": "3-fold", "folds": 3, "fold": fold} for fold in range(3)]
    found = scored_run(tmp_path / "folds", rows[:2])
    assert not (found.path / "results").exists(), "two of three folds are no result"
    found = scored_run(tmp_path / "folds", rows[2:])
    (folder,) = record.find([found.path])
    entry = record.read(folder)
    assert [fit["fold"] for fit in entry.values["run"]["fits"]] == [0, 1, 2]
    assert entry.values["scores"]["video_to_music"]["num_queries"] == 240
    assert entry.values["scores"]["video_to_music"]["gallery_size"] == 40
    assert sorted(set(pq.read_table(folder / record.RANKS)["fold"].to_pylist())) == [0, 1, 2]


def test_results_that_are_replaced_leave_no_record(scored_run: Callable[..., RunFolder], tmp_path: Path) -> None:
    found = scored_run(tmp_path / "run", [{"baseline": "cca", "noise": 1.0}, {"baseline": "mvbind", "noise": 1.0}])
    before = {f.name for f in record.find([found.path])}
    scored_run(tmp_path / "run", [{"baseline": "cca", "noise": 2.0, "settings_hash": "another"}])
    after = {f.name for f in record.find([found.path])}
    assert len(before) == len(after) == 2
    assert len(before & after) == 1, "the one of mvbind"


def test_a_fit_that_was_made_again_under_another_key_does_not_hide_its_row(
    scored_run: Callable[..., RunFolder], tmp_path: Path
) -> None:
    """As after a new metric specification: the same settings, code and seed, and another key. The newest counts."""
    scored_run(tmp_path / "run", [{"baseline": "cca", "noise": 1.0, "key": "old"}])
    found = scored_run(tmp_path / "run", [{"baseline": "cca", "noise": 1.0, "key": "new"}])
    (result,) = results.read(found, "d" * 64)
    assert [job["key"] for job in result.jobs] == ["new"]


def test_a_killed_writer_leaves_a_folder_that_is_no_record(
    scored_run: Callable[..., RunFolder], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest = record.write_json

    def killed(path: Path, value: Any) -> None:
        if path.name == record.RECORD:
            raise KeyboardInterrupt
        honest(path, value)

    with monkeypatch.context() as patch:
        patch.setattr(record, "write_json", killed)
        with pytest.raises(KeyboardInterrupt):
            scored_run(tmp_path / "run", [{"baseline": "cca", "noise": 1.0}])
    assert list((tmp_path / "run" / "results").glob(f"*/{record.RANKS}")), "the ranks were written first"
    with pytest.raises(BadInput, match="or stopped before its end; run the baselines again"):
        record.find([tmp_path / "run"])
    run = RunFolder.open(tmp_path / "run")
    results.write(run, "d" * 64)
    assert len(record.find([run.path])) == 1


def test_what_keys_are_made_of_names_the_metrics_of_the_records() -> None:
    assert matrix.METRIC_SPEC == scoring.METRIC_SPEC


def test_a_users_own_model_is_a_submission(scored_run: Callable[..., RunFolder], tmp_path: Path) -> None:
    found = scored_run(tmp_path / "run", [{"baseline": "MyModel", "noise": 1.0}])
    (entry,) = [record.read(folder) for folder in record.find([found.path])]
    assert (entry.values["kind"], entry.values["model"]["role"]) == ("submitted", "measured")
    assert {r.kind for r in found.read(Score, "scores")} == {"measured"}


def test_a_run_of_another_version_gives_one_line(
    scored_run: Callable[..., RunFolder], tmp_path: Path
) -> None:  # fmt: skip
    found = scored_run(tmp_path / "run", [{"baseline": "cca", "noise": 1.0}])
    ranks, jobs = found.read_table("ranks"), found.read_table("jobs")
    assert ranks is not None
    assert jobs is not None
    old = RunFolder.create(tmp_path / "old")
    with old.writing("bench") as writer:
        writer.commit(["x"], {"ranks": ranks.drop_columns(["above", "level"]), "jobs": jobs})
    with pytest.raises(BadInput, match=r"scored by another version of svmbench \(its table 'ranks' has no 'above'\)"):
        results.read(old, "d" * 64)
    with old.writing("bench") as writer:
        table = jobs.set_column(0, "key", pa.array(["new"])).drop_columns(["hardware", "started"])
        writer.commit(["y"], {"ranks": ranks.set_column(0, "key", pa.array(["new"] * ranks.num_rows)), "jobs": table})
    with pytest.raises(BadInput, match="has ranks and no records: it was scored by another version of svmbench"):
        record.find([old.path])
    (result,) = results.read(old, "d" * 64)
    assert result.jobs[0]["key"] == "new", "fits without full ranks do not count beside those that have them"
