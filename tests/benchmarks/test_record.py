"""Check, diff, merge and export of records, each with what must not pass."""

from __future__ import annotations

import csv
import io
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from jsonschema import Draft202012Validator

from benchmarks import record, record_export, scoring
from benchmarks.record_check import check, differences
from benchmarks.record_diff import diff, pairs
from benchmarks.record_merge import merge, one_table
from svmbench.errors import BadInput, BadScores, RevisionMismatch
from svmbench.store import RunFolder, sha256_file

ROWS = [{"baseline": "cca", "noise": 1.0}, {"baseline": "mvbind", "noise": 1.5}, {"baseline": "mvbind", "noise": 1.6, "seed": 1}]


@pytest.fixture(scope="module")
def made(scored_run: Callable[..., RunFolder], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return scored_run(tmp_path_factory.mktemp("record") / "run", ROWS).path


@pytest.fixture
def copy(made: Path, tmp_path: Path) -> Path:
    """The records of a run in a folder of their own, to be spoilt."""
    return Path(shutil.copytree(made / "results", tmp_path / "results"))


def of(folder: Path, baseline: str = "cca", seed: int = 0) -> Path:
    found = [f for f in record.find([folder]) if f.name.startswith(baseline) and record.read_values(f)["seed"] == seed]
    assert len(found) == 1
    return found[0]


def change(folder: Path, *place: str | int, to: Any) -> None:
    values = json.loads((folder / record.RECORD).read_text())
    at = values
    for name in place[:-1]:
        at = at[name]
    at[place[-1]] = to
    (folder / record.RECORD).write_text(json.dumps(values))


def faults(folder: Path) -> list[str]:
    return [line.partition(": ")[2] for line in check(record.find([folder]))]


# -- check


def test_honest_records_pass(made: Path, copy: Path) -> None:
    assert faults(made) == []
    assert faults(copy) == [], "they need nothing of the run folder"
    assert faults(of(copy)) == [], "nor of each other"


def test_the_schema_is_one_and_knows_every_key(copy: Path) -> None:
    schema = json.loads((Path(record.__file__).parent / "record.schema.json").read_text())
    Draft202012Validator.check_schema(schema)
    values = record.read_values(of(copy))

    def closed(node: Any, value: Any, place: str) -> None:
        node = schema["$defs"][node["$ref"].rsplit("/", 1)[1]] if "$ref" in node else node
        if isinstance(value, dict) and "properties" in node:
            assert node["additionalProperties"] is False, place
            for name, part in value.items():
                assert name in node["properties"], f"{place}.{name}"
                closed(node["properties"][name], part, f"{place}.{name}")

    closed(schema, values, "record")
    assert set(schema["required"]) == set(schema["properties"]) == set(values)


@pytest.mark.parametrize(
    ("place", "to", "words"),
    [
        (("seed",), "0", "seed: '0' is not of type 'integer'"),
        (("key",), "cafe", "key: 'cafe' does not match"),
        (("extra",), 1, "Additional properties are not allowed ('extra' was unexpected)"),
        (("scores", "video_to_music", "tied_fraction"), 1.5, "tied_fraction: 1.5 is greater than the maximum"),
        (("model", "role"), "best", "model.role: 'best' is not one of"),
        (("model", "baseline"), "\x1b[2Jcca", "model.baseline: '\\x1b[2Jcca' does not match"),
        (("schema",), "svmbench.result/2", "is of another version: its schema is 'svmbench.result/2'"),
    ],
)  # fmt: skip
def test_what_is_not_as_the_schema_says(copy: Path, place: tuple[str, ...], to: Any, words: str) -> None:
    folder = of(copy)
    change(folder, *place, to=to)
    (line,) = faults(folder)
    assert words in line


@pytest.mark.parametrize("part", ["value", "optimistic", "pessimistic", "chance"])
def test_a_score_that_does_not_follow_from_the_ranks(copy: Path, part: str) -> None:
    said = record.read_values(of(copy))["scores"]["video_to_music"]["metrics"]["recall@10"][part]
    change(of(copy), "scores", "video_to_music", "metrics", "recall@10", part, to=said + 1e-8)
    (line,) = faults(of(copy))
    assert line.startswith(f"scores.video_to_music.metrics.recall@10.{part}: the record says ")
    change(of(copy), "scores", "video_to_music", "metrics", "recall@10", part, to=said + 1e-10)
    assert faults(of(copy)) == []


def test_intervals_counts_and_spread_are_computed_anew(copy: Path) -> None:
    low, high = record.read_values(of(copy))["scores"]["music_to_video"]["metrics"]["mrr"]["ci95"]
    change(of(copy), "scores", "music_to_video", "metrics", "mrr", "ci95", to=[low, high + 0.001])
    change(of(copy), "scores", "music_to_video", "num_songs", to=41)
    assert [line.partition(":")[0] for line in faults(of(copy))] == [
        "scores.music_to_video.metrics.mrr.ci95.1", "scores.music_to_video.num_songs",
    ]  # fmt: skip
    shutil.copytree(of(copy, "mvbind"), copy.parent / "seeds" / "a")
    shutil.copytree(of(copy, "mvbind", 1), copy.parent / "seeds" / "b")
    change(copy.parent / "seeds" / "a", "group", "scores", "video_to_music", "recall@1", "seed_sd", to=0.5)
    (line,) = faults(copy.parent / "seeds")
    assert line.startswith("group.scores.video_to_music.recall@1.seed_sd: the record says 0.5")
    assert faults(copy.parent / "seeds" / "a") == [], "one seed alone cannot show it"


def test_a_tier_that_was_not_won(copy: Path) -> None:
    group = record.read_values(of(copy, "mvbind"))["group"]
    change(of(copy, "mvbind"), "group", "tiers", "video_to_music", "recall@10", "tier", to=3)
    assert group["tiers"]["video_to_music"]["recall@10"]["tier"] in (1, 2)
    (line,) = faults(copy)
    assert line.startswith("group.tiers.video_to_music.recall@10.tier: the record says 3")


def test_better_ranks_without_a_new_sha256(copy: Path) -> None:
    folder = of(copy, "mvbind")
    table = pq.read_table(folder / record.RANKS)
    above = [np.zeros(len(a), np.int64) for a in table["above"].to_pylist()]
    better = table.set_column(table.column_names.index("above"), "above", pa.array(above, pa.list_(pa.int64())))
    pq.write_table(better, folder / record.RANKS)
    (line,) = faults(folder)
    assert "does not follow from its lists" in line
    num = table["num_right"].to_numpy()
    first = [np.arange(n) for n in num]
    perfect = {"above": pa.array(first, pa.list_(pa.int64())), "better": pa.array(np.zeros(len(num), np.int64))}
    for name, column in perfect.items():
        table = table.set_column(table.column_names.index(name), name, column)
    pq.write_table(table, folder / record.RANKS)
    lines = faults(folder)
    assert "does not have the sha256" in lines[0]
    assert any(line.startswith("scores.music_to_video.metrics.") and ": the record says " in line for line in lines)
    change(folder, "artifacts", "ranks", "sha256", to=sha256_file(folder / record.RANKS))
    assert all(line.startswith(("scores.", "and ")) for line in faults(folder))


def test_what_is_missing_or_damaged(copy: Path) -> None:
    (of(copy) / record.RANKS).write_bytes(b"PAR1 no parquet")
    (line,) = faults(of(copy))
    assert "cannot be read" in line
    (of(copy, "mvbind") / record.RANKS).unlink()
    (line,) = faults(of(copy, "mvbind"))
    assert "cannot be read" in line
    (copy / "broken").mkdir()
    (copy / "broken" / record.RECORD).write_text("{")
    (line,) = faults(copy / "broken")
    assert "cannot be read" in line
    with pytest.raises(BadScores, match="cannot be read"):
        record.read(of(copy))


@pytest.mark.parametrize(
    ("place", "to", "missing"),
    [
        (("code", "commit"), "", "code.commit"),
        (("data", "features"), {}, "data.features"),
        (("run", "hardware"), [], "run.hardware"),
        (("run", "fits", 0, "started"), None, "run.fits.started"),
        (("data", "split_sha256"), None, "data.split_sha256"),
    ],
)
def test_a_reproduced_result_must_say_where_it_comes_from(
    copy: Path, place: tuple[str | int, ...], to: Any, missing: str
) -> None:
    change(of(copy), *place, to=to)
    (line,) = faults(of(copy))
    assert line.startswith(f"{missing} is missing; a reproduced result must have it")
    change(of(copy), "kind", to="submitted")
    assert faults(of(copy)) == []


def test_other_queries_key_or_metrics(copy: Path) -> None:
    change(of(copy), "data", "queries_sha256", "video_to_music", to="0" * 64)
    change(of(copy), "protocol", "metric_spec", to="0")
    change(of(copy), "run", "fits", 0, "key", to="another")
    assert [line[:25] for line in faults(of(copy))] == [
        "the key is not that of th", "protocol.metric_spec is '", "data.queries_sha256.video",
    ]  # fmt: skip


def test_a_checkpoint_that_was_changed(made: Path, copy: Path) -> None:
    run = copy.parent
    (run / "fits").mkdir()
    (run / "fits" / "w.safetensors").write_bytes(b"weights")
    change(of(copy), "run", "fits", 0, "checkpoint", to="fits/w.safetensors")
    change(of(copy), "run", "fits", 0, "checkpoint_sha256", to=sha256_file(run / "fits" / "w.safetensors"))
    assert faults(of(copy)) == []
    (run / "fits" / "w.safetensors").write_bytes(b"other weights")
    assert faults(of(copy)) == ["fits/w.safetensors does not have the sha256 that stands in the record"]


def put(table: pa.Table, name: str, values: Any) -> pa.Table:
    """The table with another column; values: a list, or a change of the list that is there."""
    at, column = table.column_names.index(name), table[name].to_pylist()
    kind = None if isinstance(values, list) else table.schema.field(name).type
    if not isinstance(values, list):
        values(column)
        values = column
    return table.set_column(at, name, pa.array(values, kind))


TABLES: dict[str, tuple[Callable[[pa.Table], pa.Table], str]] = {
    "gaps": (lambda t: put(t, "better", lambda c: c.__setitem__(0, None)), "column 'better' has gaps"),
    "gaps in a list": (lambda t: put(t, "above", lambda c: c.__setitem__(0, [None])), "column 'above' has gaps"),
    "another type": (lambda t: put(t, "direction", [1] * t.num_rows), "column 'direction' is int64 and not string"),
    "no positives": (lambda t: put(t, "level", lambda c: c.__setitem__(0, [])), "a query has no positive in 'level'"),
    "a huge gallery": (lambda t: put(t, "num_candidates", [2**60] * t.num_rows), "'num_candidates' must be 1 to 10,000,000"),
    "a negative rank": (
        lambda t: put(put(t, "above", lambda c: c.__setitem__(0, [-5])), "better", lambda c: c.__setitem__(0, -5)),
        "a positive stands outside its gallery",
    ),
    "a column more": (lambda t: t.append_column("x", pa.array([1] * t.num_rows)), "has a column 'x' that no ranks have"),
    "ids swapped": (
        lambda t: put(t, "query_id", lambda c: c.__setitem__(slice(0, 6, 5), [c[5], c[0]])), "data.queries_sha256.",
    ),
    "a row twice": (lambda t: pa.concat_tables([t, t.slice(0, 1)]), "a query of video_to_music stands twice"),
    "no rows": (lambda t: t.slice(0, 0), "ranks.parquet has 0 rows"),
}  # fmt: skip


@pytest.mark.parametrize("case", TABLES)
def test_ranks_that_no_ranking_gives(copy: Path, case: str) -> None:
    spoil, words = TABLES[case]
    path = of(copy) / record.RANKS
    pq.write_table(spoil(pq.read_table(path)), path)
    change(of(copy), "artifacts", "ranks", "sha256", to=sha256_file(path))
    assert any(words in line for line in faults(of(copy)))


def test_rows_that_were_left_out_are_missed_whatever_else_was_made_anew(copy: Path) -> None:
    """The queries that a model does worst on are dropped, and every sha256 and score is worked out from the rest."""
    entry = record.read(of(copy))
    best = entry.lists["video_to_music"]
    kept = best.ranks.better < np.sort(best.ranks.better)[-3]
    columns = {name: [x for x, mine in zip(c, kept, strict=True) if mine] for name, c in best.ranks.columns().items()}
    fewer = record.Listed(best.queries[kept], best.songs[kept], best.folds[kept], record.Ranks.from_columns(columns))
    values = entry.values
    values["scores"]["video_to_music"] = scoring.scores(fewer.ranks, fewer.songs)
    values["data"]["queries_sha256"]["video_to_music"] = record.queries_sha256(fewer)
    values["artifacts"]["ranks"]["num_rows"] -= len(best.queries) - len(fewer.queries)
    values["group"] = None
    folder = record.write(record.Entry(values, {**entry.lists, "video_to_music": fewer}), copy.parent / "fewer")
    assert any("rows are missing" in line for line in faults(folder))


@pytest.mark.parametrize(
    ("place", "to", "words"),
    [
        (("scores", "video_to_music", "metrics", "mrr", "value"), 10**400, "a number of 401 digits"),
        (("group", "scores", "video_to_music", "mrr", "mean"), float("nan"), "NaN is no finite number"),
        (("model", "settings", "x"), json.loads("[" * 50 + "]" * 50), "values within values, more than 40 deep"),
        (("run", "fits", 0, "key"), "\ud800", "surrogates not allowed"),
        (("scores", "video_to_music", "metrics", "mrr\n"), {}, "scores.video_to_music.metrics.mrr "),
        (("uncertainty", "method"), "none", "uncertainty.method"),
        (("run", "fits", 0, "checkpoint"), "../../x", "no path below the run folder"),
        (("run", "fits", 0, "checkpoint"), "/etc/hostname", "no path below the run folder"),
        (("schema",), ["x" * 900], "is of another version: its schema is \"['xxx"),
    ],
)
def test_values_that_no_writer_writes(copy: Path, place: tuple[str | int, ...], to: Any, words: str) -> None:
    folder = of(copy)
    change(folder, *place, to=to)
    lines = faults(folder)
    assert any(words in line for line in lines)
    assert all("\n" not in line and len(line) < 500 for line in lines)


def test_metrics_that_every_table_shows_are_in_every_record(copy: Path) -> None:
    values = json.loads((of(copy) / record.RECORD).read_text())
    del values["scores"]["video_to_music"]["metrics"]["recall@10"]
    (of(copy) / record.RECORD).write_text(json.dumps(values))
    assert any("'recall@10' is a required property" in line for line in faults(of(copy)))
    with pytest.raises(BadInput, match="is a required property"):
        record.read(of(copy))


def test_a_whole_number_may_be_written_with_a_point(copy: Path) -> None:
    change(of(copy), "uncertainty", "replicates", to=2000.0)
    assert faults(of(copy)) == []


def test_a_record_of_one_direction_is_not_read_with_ranks_of_two(copy: Path) -> None:
    values = json.loads((of(copy) / record.RECORD).read_text())
    del values["scores"]["music_to_video"]
    (of(copy) / record.RECORD).write_text(json.dumps(values))
    with pytest.raises(BadInput, match="are of other directions"):
        record.read(of(copy))


def test_a_copy_beside_the_results_does_not_hide_a_tier_that_was_not_won(copy: Path) -> None:
    shutil.copytree(of(copy, "mvbind"), copy / "again")
    change(copy / "again", "group", "tiers", "video_to_music", "recall@10", "tier", to=3)
    (line,) = faults(copy)
    assert line.startswith("group.tiers.video_to_music.recall@10.tier: the record says 3")


def test_results_that_claim_one_table_and_were_asked_different_queries(
    copy: Path, scored_run: Callable[..., RunFolder], tmp_path: Path
) -> None:
    other = scored_run(tmp_path / "other", [{"baseline": "mvbind", "noise": 1.0, "seed": 5}], songs=30)
    among = record.read_values(of(copy, "mvbind"))["group"]["among"]
    change(of(other.path, "mvbind", 5), "group", "among", to=among)
    lines = check(record.find([copy, other.path]))
    assert len(lines) == 1
    assert "4 results say that they are of one table, and were asked different queries" in lines[0]


def test_long_lists_of_faults_are_cut(copy: Path) -> None:
    values = json.loads((of(copy) / record.RECORD).read_text())
    for cell in values["scores"]["video_to_music"]["metrics"].values():
        cell["value"] += 0.1
    (of(copy) / record.RECORD).write_text(json.dumps(values))
    lines = faults(of(copy))
    assert len(lines) == 6
    assert lines[-1].startswith("and ")


def test_numbers_are_compared_and_not_their_kind() -> None:
    assert differences(1, 1.0, "x") == []
    assert differences({"a": None}, {"a": None}, "x") == []
    assert differences({"a": None}, {"a": 0.0}, "x") == ["x.a: the record says None, the ranks give 0.0"]
    assert differences({"a": 1}, {}, "x") == ["x.a: does not follow from the ranks"]
    assert differences([1, 2], [1], "x") == ["x: the record says [1, 2], the ranks give [1]"]
    assert differences(True, 1.0, "x") == [], "equal in Python"
    assert differences(float("nan"), 1.0, "x") != []


# -- diff


def test_a_diff_says_which_input_changed(scored_run: Callable[..., RunFolder], tmp_path: Path, made: Path) -> None:
    first = record.read(of(made))
    for more, places in (
        ({"settings": '{"lr": 0.2}', "settings_hash": "x"}, {"settings": "model.settings.lr"}),
        ({"code": "beef"}, {"code": "code.hash"}),
        ({"seed": 3}, {"seed": "seed"}),
        ({"variant": "small"}, {"baseline": "model.variant"}),
    ):
        row: dict[str, Any] = {"baseline": "cca", "noise": 1.2, **more}
        (folder,) = record.find([scored_run(tmp_path / next(iter(more)), [row]).path])
        found = diff(first, record.read(folder))
        assert {i.what: i.place for i in found.inputs} == places
        assert found.same_queries == ("video_to_music", "music_to_video")
        assert {s.metric for s in found.scores if s.p is not None} <= {"recall@10", "mean_rank"}
        assert any(s.p is not None for s in found.scores)
        assert all(s.difference == s.first - s.second != 0 for s in found.scores)


def test_a_diff_of_other_data(scored_run: Callable[..., RunFolder], tmp_path: Path, made: Path) -> None:
    other = scored_run(tmp_path / "other", [{"baseline": "cca", "noise": 1.0}], revision="e" * 64, songs=50)
    found = diff(record.read(of(made)), record.read(of(other.path)))
    assert {i.what for i in found.inputs} == {"data", "split", "features"}
    assert found.same_queries == ()
    assert all(s.p is None for s in found.scores)
    same = diff(record.read(of(made)), record.read(of(made)))
    assert (same.inputs, same.scores) == ((), ())


def test_which_results_are_set_side_by_side(scored_run: Callable[..., RunFolder], tmp_path: Path, made: Path) -> None:
    here = [record.read(f) for f in record.find([made])]
    other = scored_run(tmp_path / "other", [{"baseline": "mvbind", "noise": 1.0}, {"baseline": "chance", "noise": 9.0}])
    there = [record.read(f) for f in record.find([other.path])]
    both, alone = pairs(here, there)
    assert [(a.values["model"]["baseline"], a.values["seed"]) for a, _ in both] == [("mvbind", 0)]
    assert len(alone) == 3
    with pytest.raises(BadInput, match="no result of the same split"):
        pairs(here, [e for e in there if e.values["model"]["baseline"] == "chance"])
    with pytest.raises(BadInput, match="two results are called cca default, seed 0"):
        pairs([*here, *here], there)


# -- merge


def test_a_merge_makes_spread_and_tiers_anew(scored_run: Callable[..., RunFolder], tmp_path: Path, made: Path) -> None:
    more = scored_run(tmp_path / "more", [{"baseline": "mvbind", "noise": 1.7, "seed": 2}, {"baseline": "vm_net", "noise": 9.0}])
    merged = merge(record.find([made, more.path]), tmp_path / "out")
    assert len(merged) == 5
    assert faults(tmp_path / "out") == []
    (seed,) = [e for e in merged if e.values["seed"] == 1]
    assert seed.values["group"]["seeds"] == [0, 1, 2]
    (last,) = [e for e in merged if e.values["model"]["baseline"] == "vm_net"]
    assert last.values["group"]["tiers"]["video_to_music"]["recall@10"]["anchor"] == "vm_net default"
    assert last.values["group"]["among"] != record.read(of(more.path, "vm_net")).values["group"]["among"]
    assert (of(tmp_path / "out") / record.RANKS).read_bytes() == (of(made) / record.RANKS).read_bytes()


def test_the_same_record_twice_counts_once(made: Path, copy: Path, tmp_path: Path) -> None:
    change(of(copy), "run", "hardware", to=[{"cores": 128}])
    assert len(merge(record.find([made, copy]), tmp_path / "out")) == 3
    assert faults(tmp_path / "out") == []


def test_contradicting_copies_are_refused(
    made: Path, tmp_path: Path, scored_run: Callable[..., RunFolder]
) -> None:  # fmt: skip
    other = scored_run(tmp_path / "other", [{"baseline": "cca", "noise": 1.0}], start="again")
    assert of(other.path).name == of(made).name, "the same key"
    with pytest.raises(BadInput, match="copies of one result and contradict each other: scores"):
        merge(record.find([made, other.path]), tmp_path / "out")
    assert not (tmp_path / "out").exists()
    again = scored_run(tmp_path / "again", [{"baseline": "cca", "noise": 1.0, "key": "another"}])
    with pytest.raises(BadInput, match="the same baseline, settings, code and seed and another key"):
        merge(record.find([made, again.path]), tmp_path / "out")


@pytest.mark.parametrize(
    ("more", "place"),
    [
        ({"revision": "e" * 64}, "data.revision"),
        ({"split": "2-fold", "folds": 2}, "data.split"),
        ({"songs": 41}, "data.queries_sha256"),
    ],
)
def test_a_table_of_several_quantities_is_refused(
    scored_run: Callable[..., RunFolder], tmp_path: Path, made: Path, more: dict[str, Any], place: str
) -> None:
    of_run = {name: more[name] for name in ("revision", "songs") if name in more}
    of_job = {name: more[name] for name in ("split", "folds") if name in more}
    rows = [
        {"baseline": "vm_net", "noise": 1.0, **of_job, **({"fold": i} if of_job else {})} for i in range(of_job.get("folds", 1))
    ]
    other = scored_run(tmp_path / "other", rows, **of_run)
    with pytest.raises(RevisionMismatch, match=f"vm_net-default-.* has {place} .* no one table: merge them apart"):
        merge(record.find([made, other.path]), tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("place", "to"),
    [(("protocol", "gallery_unit"), "clip"), (("protocol", "pool"), {"size": 9, "seed": 0, "sha256": "0" * 64})],
)
def test_another_gallery_is_refused(copy: Path, tmp_path: Path, place: tuple[str, ...], to: Any) -> None:
    change(of(copy), *place, to=to)
    with pytest.raises(RevisionMismatch, match=f"cca-default-.* has {'.'.join(place)}"):
        one_table([record.read(folder) for folder in record.find([copy])])
    with pytest.raises(BadInput, match=r"the positives are not those of a gallery of clips|are not of 9 candidates"):
        merge(record.find([copy]), tmp_path / "out")


def test_what_does_not_pass_the_check_is_not_merged(copy: Path, tmp_path: Path) -> None:
    change(of(copy), "protocol", "metric_spec", to="0")
    with pytest.raises(BadInput, match="metric_spec is '0'"):
        merge(record.find([copy]), tmp_path / "out")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").touch()
    with pytest.raises(BadInput, match="not an empty folder"):
        merge(record.find([copy]), tmp_path / "out")


def test_two_settings_of_one_baseline_are_two_rows(scored_run: Callable[..., RunFolder], tmp_path: Path, made: Path) -> None:
    other = scored_run(tmp_path / "other", [{"baseline": "cca", "noise": 1.0, "settings_hash": "other"}])
    merged = merge(record.find([made, other.path]), tmp_path / "out")
    names = {e.values["group"]["name"] for e in merged if e.values["model"]["baseline"] == "cca"}
    assert names == {"cca default [5e77145 c0de]", "cca default [other c0de]"}
    assert faults(tmp_path / "out") == []


# -- export


def test_csv_has_a_row_a_result_and_direction(made: Path) -> None:
    entries = [record.read(f) for f in record.find([made])]
    rows = list(csv.DictReader(io.StringIO(record_export.to_csv(entries))))
    assert len(rows) == 6
    first = entries[0].values
    cell = first["scores"]["video_to_music"]["metrics"]["recall@10"]
    assert (float(rows[0]["recall@10"]), float(rows[0]["recall@10_low"])) == (cell["value"], cell["ci95"][0])
    assert rows[0]["key"] == first["key"]
    assert record_export._plain("=1+1") == "'=1+1"


def test_markdown_puts_the_best_first_and_seeds_together(made: Path) -> None:
    text = record_export.to_markdown([record.read(f) for f in record.find([made])])
    lines = [line for line in text.splitlines() if line.startswith(("| cca", "| mvbind"))]
    assert [line.split(" | ")[0] for line in lines] == ["| cca default", "| mvbind default"] * 2
    assert all(line.count("|") == lines[0].count("|") for line in lines)
    assert " | 2 | " in lines[1]
    assert record_export._md("a|b\n#c") == "a\\|b \\#c"


def test_json_is_the_records(made: Path) -> None:
    entries = [record.read(f) for f in record.find([made])]
    assert json.loads(record_export.to_json(entries)) == [e.values for e in entries]


def test_mteb_has_the_fields_that_mteb_reads(made: Path) -> None:
    """mteb's TaskResult refuses scores without main_score, hf_subset (str) and languages (list)."""
    entry = record.read(of(made))
    values = record_export.to_mteb(entry)
    assert set(values) == {
        "dataset_revision", "task_name", "mteb_version", "scores", "evaluation_time", "kg_co2_emissions", "date",
    }  # fmt: skip
    assert values["dataset_revision"] == "d" * 64
    assert values["evaluation_time"] == 0.5
    (split,) = values["scores"].values()
    assert [s["hf_subset"] for s in split] == ["video_to_music", "music_to_video"]
    for scores, direction in zip(split, ("video_to_music", "music_to_video"), strict=True):
        assert isinstance(scores["languages"], list)
        metrics = entry.values["scores"][direction]["metrics"]
        assert scores["main_score"] == scores["hit_rate_at_10"] == metrics["recall@10"]["value"]
        assert scores["recall_at_10"] == metrics["true_recall@10"]["value"]
        assert scores["ndcg_at_10"] == metrics["ndcg@10"]["value"]
        assert all(isinstance(v, float) for k, v in scores.items() if k not in ("hf_subset", "languages"))
    assert json.loads(json.dumps(values)) == values
