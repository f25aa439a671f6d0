"""The feature pack on disk: what it holds, in which precision, that it is whole or absent, and tables that must be refused."""

from __future__ import annotations

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from benchmarks import feature_rows, packing
from benchmarks.feature_files import KEEPS, pooled
from benchmarks.pack import open_pack
from benchmarks.packing import make_pack
from curation import split as curation_split
from svmbench.errors import BadInput, Leak, StorageError
from svmbench.records import Box, Clip, Features, Label, Split, features_table, to_table
from svmbench.store import RunFolder, sha256_file

BOX = Box(left_px=0, top_px=0, width_px=8, height_px=8)
Sequences = dict[str, np.ndarray]


def rows_of(values: Sequences) -> pa.Table:
    return features_table((name, Features(values_TD=np.asarray(v, np.float32), hop_s=1.0)) for name, v in values.items())


def clip(name: str, **more: Any) -> Clip:
    same: dict[str, Any] = {"start_s": 1.0, "end_s": 6.0, "fps": 25.0, "width_px": 8, "height_px": 8, "box": BOX, "media": ""}
    return Clip(**{"clip_id": name, "post_id": name, "song_id": f"s{name}", **same, **more})


def make_run(path: Path, look: Sequences, *, clips: list[Clip] | None = None, **tables: pa.Table) -> RunFolder:
    """One clip for each sequence; music of one step."""
    run = RunFolder.create(path)
    clips = clips or [clip(name) for name in look]
    sound = {c.clip_id: np.full((1, 2), i, np.float32) for i, c in enumerate(clips)}
    written = {"clips": to_table(Clip, clips), "features_look": rows_of(look), "features_sound": rows_of(sound)}
    with run.writing("curate") as writer:
        writer.commit([c.clip_id for c in clips], written | tables)
    run.write_settings({"features": {"look": "video", "sound": "music"}})
    return run


def sequences(num: int = 9, *, dim: int = 6, centre: float = 0.0, seed: int = 0) -> Sequences:
    """Of one to four steps."""
    rng = np.random.default_rng(seed)
    return {f"c{i}": (centre + rng.normal(size=(1 + i % 4, dim))).astype(np.float32) for i in range(num)}


def test_steps_and_vectors_are_those_of_the_tables_whatever_their_order(tmp_path: Path) -> None:
    look = sequences()
    pack = make_pack(make_run(tmp_path / "run", dict(reversed(look.items()))))
    assert pack.clip_ids == tuple(sorted(look))
    for i, name in enumerate(pack.clip_ids):
        assert np.array_equal(pack.steps("look", i), look[name].astype(np.float16).astype(np.float32))
        assert np.array_equal(pack.vectors("look")[i], pooled(look[name])), "pooled from the values as they were extracted"
        assert pack.vectors("sound")[i].tolist() == 2 * [len(look) - 1 - i], "one step in every clip is taken as it is"
    stored = pack.features["look"]
    assert (stored.dim, stored.pooled_dim, stored.longest, stored.num_steps) == (6, 18, 4, sum(map(len, look.values())))
    assert pack.features["sound"].pooled_dim == 2


@pytest.mark.parametrize(("values", "dtype"), [
    (np.random.default_rng(0).normal(size=(50, 3)), "float16"),
    (np.arange(150).reshape(50, 3), "float16"),  # whole numbers are kept exactly
    (np.random.default_rng(0).normal(size=(50, 3)) + 100, "float32"),  # far from zero: what differs would be lost
    (np.random.default_rng(0).normal(size=(50, 3)) * [1, 1, 1e-9], "float32"),  # too small for float16
    (np.random.default_rng(0).normal(size=(50, 3)) * [1, 1, 1e5], "float32"),  # too large for it
    (np.tile([0.1, 100.3, 7.7], (50, 1)), "float16"),  # columns that say nothing
])  # fmt: skip
def test_half_precision_only_where_it_keeps_the_feature(tmp_path: Path, values: np.ndarray, dtype: str) -> None:
    look = {f"c{i:02d}": values[i : i + 1] for i in range(50)}
    pack = make_pack(make_run(tmp_path / "run", look))
    assert pack.features["look"].dtype == str(pack.packed("look").dtype) == dtype
    assert json.loads((pack.folder / "pack.json").read_text())["features"]["look"]["dtype"] == dtype
    exact = values.astype(np.float32)
    error = np.abs(pack.packed("look").astype(np.float64) - exact).max(axis=0)
    spread = exact.max(axis=0).astype(np.float64) - exact.min(axis=0)
    assert ((error <= KEEPS * spread) | (spread == 0)).all()
    if dtype == "float32":
        assert (error == 0).all()
        with np.errstate(over="ignore"):
            half = exact.astype(np.float16).astype(np.float64)
        assert (np.abs(half - exact).max(axis=0) > KEEPS * spread).any(), "with reason"


def test_many_blocks_are_one_array(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    look = sequences(40, dim=5, seed=1)
    whole = make_pack(make_run(tmp_path / "whole", look))
    monkeypatch.setattr("benchmarks.feature_files.BLOCK_BYTES", 100)
    monkeypatch.setattr(feature_rows, "BATCH_BYTES", 64)
    parts = make_pack(make_run(tmp_path / "parts", look))
    assert parts.revision == whole.revision
    assert np.array_equal(parts.packed("look"), whole.packed("look"))


def test_a_clip_in_two_parts_of_a_table_counts_once_and_the_last_row_holds(tmp_path: Path) -> None:
    look = sequences(3)
    run = make_run(tmp_path / "run", look)
    newer = {"c1": np.ones((2, 6), np.float32)}
    with run.writing("newer") as writer:
        writer.commit(["c1"], {"features_look": rows_of(newer)})
    pack = make_pack(run)
    assert pack.steps("look", 1).tolist() == newer["c1"].tolist()
    assert np.array_equal(pack.steps("look", 2), look["c2"].astype(np.float16))


def test_the_digest_of_a_feature_does_not_depend_on_names_or_order(tmp_path: Path) -> None:
    look = sequences()
    renamed = {f"x{9 - i}": values for i, values in enumerate(look.values())}
    first, second = (make_pack(make_run(tmp_path / name, data)) for name, data in (("a", look), ("b", renamed)))
    assert first.features["look"].sha256 == second.features["look"].sha256
    assert first.revision != second.revision
    changed = make_pack(make_run(tmp_path / "c", {**look, "c3": look["c3"] + 1e-7}))
    assert changed.features["look"].sha256 != first.features["look"].sha256, "of the values as extracted, not as rounded"


def test_swapped_features_are_another_revision(tmp_path: Path) -> None:
    look = sequences(6)
    swapped = {**look, "c0": look["c4"], "c4": look["c0"]}
    assert len({make_pack(make_run(tmp_path / str(i), data)).revision for i, data in enumerate((look, swapped))}) == 2


def test_a_pack_is_found_again_without_reading_the_features(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = make_run(tmp_path / "run", sequences())
    pack = make_pack(run)
    monkeypatch.setattr(packing, "write_feature", lambda *_: pytest.fail("read again"))
    assert make_pack(run).revision == pack.revision
    run.write_settings({"history": ["run-baselines"]})
    assert make_pack(run).revision == pack.revision, "what does not decide the data changes nothing"


def test_a_copied_run_has_the_same_pack_and_a_changed_one_another(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", sequences())
    pack = make_pack(run)
    copied = Path(shutil.copytree(run.path, tmp_path / "copy"))
    for path in copied.rglob("*.parquet"):
        os.utime(path, (0, 0))
    assert make_pack(RunFolder(copied)).revision == pack.revision
    assert len(list((copied / "features").iterdir())) == 1
    with run.writing("split") as writer:
        writer.commit(["s"], {"splits": to_table(Split, [Split(name="train", clip_ids=("c1",), grouped_by="song")])})
    assert make_pack(run).revision != pack.revision
    labels = to_table(Label, [Label(clip_id="c1", label="surf", score=1.0)])
    with run.writing("labels") as writer:
        writer.commit(["l"], {"labels": labels})
    tagged = make_pack(run)
    assert tagged.tags == ("surf",)
    assert tagged.known()["tag_N"].tolist() == [-1, 0, *7 * [-1]]


def test_the_split_has_the_digest_that_the_curation_gives_it(tmp_path: Path) -> None:
    parts = {"train": ("c1", "c0"), "val": ("c3",), "test": ("c2", "c5")}
    splits = [Split(name=name, clip_ids=ids, grouped_by="song") for name, ids in parts.items()]
    pack = make_pack(make_run(tmp_path / "run", sequences(), splits=to_table(Split, splits)))
    assert pack.split_sha256 == curation_split.digest(parts)
    assert {name: index.tolist() for name, index in pack.parts.items()} == {"train": [0, 1], "val": [3], "test": [2, 5]}
    assert make_pack(make_run(tmp_path / "none", sequences())).split_sha256 is None


KILLED = """
import os, signal, sys
from benchmarks import packing
from svmbench.store import RunFolder
write = packing.write_feature
def die(folder, rows, clip_ids):
    found = write(folder, rows, clip_ids)
    if rows.name == "look":
        os.kill(os.getpid(), signal.SIGKILL)
    return found
packing.write_feature = die
packing.make_pack(RunFolder(sys.argv[1]))
"""


def test_a_pack_that_a_kill_left_half_written_is_never_opened(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", sequences())
    done = subprocess.run([sys.executable, "-c", KILLED, str(run.path)], timeout=120)
    assert done.returncode == -signal.SIGKILL
    assert [p.name for p in (run.path / "features").iterdir()] == [".draft"]
    pack = make_pack(run)
    assert [p.name for p in (run.path / "features").iterdir()] == [pack.folder.name]
    assert pack.revision == make_pack(make_run(tmp_path / "other", sequences())).revision


@pytest.mark.parametrize("name", ["look.steps.npy", "clips.npz", "pack.json", "sound.ends.npy"])
def test_a_damaged_pack_is_refused_by_workers_and_made_again(tmp_path: Path, name: str) -> None:
    run = make_run(tmp_path / "run", sequences())
    pack = make_pack(run)
    sums = {path.name: sha256_file(path) for path in pack.folder.iterdir()}
    (pack.folder / name).write_bytes((pack.folder / name).read_bytes()[:-9])
    with pytest.raises(BadInput, match="missing or damaged"):
        open_pack(pack.folder)
    assert make_pack(run).revision == pack.revision
    assert {path.name: sha256_file(path) for path in pack.folder.iterdir()} == sums, "byte for byte"


def test_a_pack_of_another_version_is_not_opened(tmp_path: Path) -> None:
    pack = make_pack(make_run(tmp_path / "run", sequences()))
    header = json.loads((pack.folder / "pack.json").read_text())
    (pack.folder / "pack.json").write_text(json.dumps(header | {"format": "svmbench.pack/99"}))
    with pytest.raises(BadInput, match="a feature pack of another version"):
        open_pack(pack.folder)


def test_two_processes_do_not_make_one_pack(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", sequences())
    with RunFolder(run.path).writing("pack"), pytest.raises(StorageError, match="another svmbench is running 'pack'"):
        make_pack(run)
    make_pack(run)
    with RunFolder(run.path).writing("pack"):
        make_pack(run)  # what is there needs no lock


def test_a_full_disk_is_one_line_and_leaves_no_pack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = make_run(tmp_path / "run", sequences())

    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "pwrite", full)
        with pytest.raises(StorageError, match="is full; free some space"):
            make_pack(run)
    assert list((run.path / "features").iterdir()) == []
    assert make_pack(run).clip_ids == tuple(sequences())


def test_clips_without_features_and_features_without_clips_are_counted(tmp_path: Path) -> None:
    look = sequences(6)
    clips = [clip(name) for name in ("c0", "c1", "c2", "c9")]
    run = make_run(tmp_path / "run", look, clips=clips)
    assert make_pack(run).left_out == {"no_look": 1, "look_of_no_clip": 3}
    with run.writing("candidates") as writer:
        writer.commit(["c"], {"candidates": to_table(Clip, [clip(name) for name in ("c3", "c4")])})
    assert make_pack(run).left_out == {"no_look": 1, "look_of_no_clip": 1}, "what a rule refused is no stranger"


def test_clips_of_the_split_that_the_run_does_not_have_are_counted(tmp_path: Path) -> None:
    splits = [
        Split(name="train", clip_ids=("c1", "x1", "x2"), grouped_by="song"),
        Split(name="test", clip_ids=("c2",), grouped_by="song"),
    ]
    pack = make_pack(make_run(tmp_path / "run", sequences(), splits=to_table(Split, splits)))
    assert pack.left_out == {"split_of_no_clip": 2}
    assert pack.parts["train"].tolist() == [1]


def test_ids_that_do_not_match_at_all(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", sequences(4), clips=[clip("other")])
    with pytest.raises(BadInput, match=r"none of the 4 ids of the feature 'look' \(the first is c0\) is a clip .*first is other"):
        make_pack(run)


def test_clips_of_different_width_are_named(tmp_path: Path) -> None:
    look = {**sequences(4), "c2": np.ones((2, 5), np.float32)}
    with pytest.raises(BadInput, match=r"'look' has clips of different width: \[5, 6\] \(c2 has 5, c0 has 6\)"):
        make_pack(make_run(tmp_path / "run", look))


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_value_that_is_not_finite_names_clip_and_feature(tmp_path: Path, bad: float) -> None:
    look = sequences(5)
    look["c3"][2, 1] = bad
    run = make_run(tmp_path / "run", look)
    with pytest.raises(BadInput, match="'look' of clip c3 is empty or not finite"):
        make_pack(run)
    assert list((run.path / "features").iterdir()) == []


def changed(run: RunFolder, table: str, change: Callable[[pa.Table], pa.Table]) -> RunFolder:
    for part in run.table_parts(table):
        pq.write_table(change(pq.read_table(part)), part)
    return run


def shorter(table: pa.Table) -> pa.Table:
    return table.set_column(3, "num_steps", pa.array([n + 1 for n in table["num_steps"].to_pylist()]))


def swapped(table: pa.Table) -> pa.Table:
    """The lengths of two rows, so that only their sum is right."""
    first, second, *others = table["num_steps"].to_pylist()
    return table.set_column(3, "num_steps", pa.array([second, first, *others]))


@pytest.mark.parametrize(("table", "change", "says"), [
    ("clips", lambda t: t.drop_columns(["song_id"]), r"the table clips of .* has no column 'song_id': .* \(9\.9\.9; this is"),
    ("clips", lambda t: t.drop_columns(["media"]), "has no column 'media'"),
    ("features_look", lambda t: t.drop_columns(["dim"]), "the table features_look of .* has no column 'dim'"),
    ("features_look", lambda t: t.set_column(4, "dim", t["dim"].cast("string")), r"another type \(string\) in the column 'dim'"),
    ("features_look", shorter, "is damaged: a row of the feature 'look' has not the length that it claims"),
    ("features_look", swapped, "is damaged: a row of the feature 'look' has not the length that it claims"),
    ("features_look", lambda t: t.slice(0, 0), "has no rows of the feature 'look'"),
    ("clips", lambda t: t.slice(0, 0), r"is a clip of this run \(the first is none\)"),
])  # fmt: skip
def test_a_table_of_another_version_is_named(
    tmp_path: Path, table: str, change: Callable[[pa.Table], pa.Table], says: str
) -> None:
    run = make_run(tmp_path / "run", sequences())
    run.write_settings({"svmbench": {"versions": {"svmbench": "9.9.9"}}})
    with pytest.raises(BadInput, match=says):
        make_pack(changed(run, table, change))


SIDE = {
    "posts": ("author_hash", {"platform": "t", "post_id": "c1", "author_hash": "a"}),
    "listening": ("second", {"first": ["c1"], "second": ["c2"]}),
    "duplicates": ("cluster", {"clip_id": "c1", "cluster": "c1"}),
    "labels": ("label", {"clip_id": "c1", "label": "surf"}),
    "candidates": ("clip_id", {"clip_id": "c1", "song_id": "s"}),
    "splits": ("clip_ids", {"name": "train", "clip_ids": ["c1"], "grouped_by": "song"}),
}


@pytest.mark.parametrize("table", SIDE)
def test_a_damaged_table_beside_the_features_is_one_line(tmp_path: Path, table: str) -> None:
    column, row = SIDE[table]
    run = make_run(tmp_path / "run", sequences(), **{table: pa.Table.from_pylist([row])})
    (part,) = run.table_parts(table)
    pq.write_table(pq.read_table(part).drop_columns([column]), part)
    with pytest.raises(BadInput, match=f"the table {table} of .* has no column '{column}'"):
        make_pack(run)
    part.write_bytes(b"PAR1 and no more")
    with pytest.raises(BadInput, match=f"{part.name} cannot be read"):
        make_pack(run)
    part.unlink()
    with pytest.raises(BadInput, match=f"{part.name} is missing; put back a copy"):
        make_pack(run)


def test_a_page_that_was_damaged_is_one_line(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", sequences(40))
    (part,) = run.table_parts("features_look")
    content = bytearray(part.read_bytes())
    content[4 : len(content) // 2] = bytes(b ^ 255 for b in content[4 : len(content) // 2])
    part.write_bytes(bytes(content))
    with pytest.raises(BadInput, match=r"a table of .* is damaged \("):
        make_pack(run)


def replacing(run: RunFolder, monkeypatch: pytest.MonkeyPatch, times: int) -> None:
    """While a pack is made, another process puts other clips and features in the place of the run's, and sweeps the old ones."""
    write, left = packing.write_feature, list(range(times))

    def beside(*args: Any) -> Any:
        if left:
            new = sequences(12, seed=1 + left.pop())
            music = {name: np.ones((1, 2), np.float32) for name in new}
            clips = to_table(Clip, [clip(name) for name in new])
            with RunFolder(run.path).writing("curate") as writer:
                writer.replace(new, {"clips": clips, "features_look": rows_of(new), "features_sound": rows_of(music)})
            with RunFolder(run.path).writing("curate"):
                pass
        return write(*args)

    monkeypatch.setattr(packing, "write_feature", beside)


def test_tables_that_are_replaced_while_they_are_read_are_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = make_run(tmp_path / "run", sequences())
    replacing(run, monkeypatch, 1)
    pack = make_pack(run)
    assert len(pack.clip_ids) == 12
    assert np.array_equal(pack.vectors("look")[1], pooled(sequences(12, seed=1)["c1"]))
    assert [path.name for path in (run.path / "features").iterdir()] == [pack.folder.name]


def test_a_pack_is_never_a_mixture_of_two_states_of_the_tables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All features are read by the time that the split changes, and no file is missing."""
    run = make_run(tmp_path / "run", sequences())
    split = to_table(Split, [Split(name="train", clip_ids=("c1",), grouped_by="song")])
    digest = packing._split_sha256

    def beside(splits: Any) -> str | None:
        with run.writing("split") as writer:
            writer.replace(["split"], {"splits": split})
        monkeypatch.setattr(packing, "_split_sha256", digest)
        return digest(splits)

    monkeypatch.setattr(packing, "_split_sha256", beside)
    pack = make_pack(run)
    assert pack.parts["train"].tolist() == [1]
    assert [path.name for path in (run.path / "features").iterdir()] == [pack.folder.name]


def test_tables_that_never_rest_are_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = make_run(tmp_path / "run", sequences())
    replacing(run, monkeypatch, 99)
    with pytest.raises(StorageError, match="change while they are read; wait for the command that writes them"):
        make_pack(run)
    assert list((run.path / "features").iterdir()) == []


def test_a_clip_in_two_parts_is_a_leak(tmp_path: Path) -> None:
    splits = [
        Split(name=name, clip_ids=("c1", f"c{i}"), grouped_by="song", rule="as_published")
        for i, name in ((2, "train"), (3, "test"))
    ]
    with pytest.raises(Leak, match="the clip c1 stands in both 'train' and 'test'"):
        make_pack(make_run(tmp_path / "run", sequences(), splits=to_table(Split, splits)))


@pytest.mark.parametrize(("name", "content"), [
    ("made_from.json", "{"), ("made_from.json", "[]"), ("pack.json", "[]"), ("pack.json", '{"format": "svmbench.pack/2"}'),
    ("pack.json", '{"format": "svmbench.pack/2", "files": {}}'),
])  # fmt: skip
def test_a_header_of_another_form_is_written_again(tmp_path: Path, name: str, content: str) -> None:
    run = make_run(tmp_path / "run", sequences())
    pack = make_pack(run)
    (pack.folder / name).write_text(content)
    if name == "pack.json":
        with pytest.raises(BadInput, match=r"pack\.json is missing or damaged"):
            open_pack(pack.folder)
    assert make_pack(run).revision == pack.revision
    assert json.loads((pack.folder / name).read_text()) != json.loads(content if content != "{" else "{}")


def test_older_clips_without_measures_are_taken(tmp_path: Path) -> None:
    run = changed(make_run(tmp_path / "run", sequences()), "clips", lambda t: t.drop_columns(["measures"]))
    assert np.isnan(make_pack(run).known()["loudness_N"]).all()


@pytest.mark.parametrize("features", [["look", "sound"], {"look": "picture"}, {"look": {"side": "video"}}, "look"])
def test_settings_of_another_version_are_refused(tmp_path: Path, features: Any) -> None:
    run = make_run(tmp_path / "run", sequences())
    run.write_settings({"features": features})
    with pytest.raises(BadInput, match=r"settings\.json does not say which feature .* another version"):
        make_pack(run)
    (run.path / "settings.json").write_text("{")
    with pytest.raises(BadInput, match=r"settings\.json does not say"):
        make_pack(run)


def test_a_part_that_is_no_parquet_file(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", sequences())
    run.table_parts("features_look")[0].write_bytes(b"PAR1 and no more")
    with pytest.raises(BadInput, match="cannot be read"):
        make_pack(run)


def test_a_feature_without_rows_is_named(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", sequences())
    run.write_settings({"features": {"look": "video", "sound": "music", "clap": "music"}})
    with pytest.raises(BadInput, match="has no rows of the feature 'clap'; run"):
        make_pack(run)
