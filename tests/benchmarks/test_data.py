"""From tables to tensors: pooling, standardising with the train part alone, folds, and what must be refused."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from benchmarks.checks import Evidence, split_leak
from benchmarks.data import Index, Pack, facts, fold_parts, make_pack, pairs, pooled, split_parts, tasks
from svmbench.errors import BadInput, Leak
from svmbench.records import M2V, V2M, Box, Clip, Features, Split, features_table, to_table
from svmbench.store import RunFolder


def test_pooling_by_hand() -> None:
    found = pooled([np.array([[1, 0], [3, 0]], np.float32), np.array([[5, 2]], np.float32)])
    assert found.tolist() == [[2, 0, 1, 0, 2, 0], [5, 2, 0, 0, 0, 0]]  # mean, std, mean absolute difference
    assert pooled([np.array([[1, 2]], np.float32), np.array([[3, 4]], np.float32)]).tolist() == [[1, 2], [3, 4]]


def test_a_pack_holds_what_the_tables_hold(toy: RunFolder) -> None:
    pack = make_pack(toy)
    assert len(pack.clip_ids) == 120
    assert pack.dataset == "toy"
    assert pack.vectors("look").shape == (120, 36)
    assert pack.vectors("sound").shape == (120, 10)
    assert pack.steps("look", 3).shape == (5, 12)
    assert np.allclose(pack.steps("look", 3).mean(axis=0), pack.vectors("look")[3, :12], atol=1e-6)
    assert pack.groups.tolist() == pack.song_codes().tolist(), "without media files the songs are the groups"
    assert make_pack(toy).revision == pack.revision
    assert len(list((toy.path / "features").iterdir())) == 1


def test_the_revision_follows_the_data(tmp_path: Path, toy_maker: Callable[..., RunFolder]) -> None:
    changes: list[dict[str, Any]] = [{}, {"seed": 1}, {"split": False}, {"songs": 59}]
    revisions = {make_pack(toy_maker(tmp_path / str(i), **change)).revision for i, change in enumerate(changes)}
    assert len(revisions) == 4
    assert make_pack(toy_maker(tmp_path / "again")).revision in revisions


def test_standardised_with_the_train_part_alone(toy: RunFolder) -> None:
    pack = make_pack(toy)
    parts = split_parts(pack)
    found = pairs(pack, parts)
    raw = pack.vectors("look")[parts["train"]].astype(np.float64)
    expected = (pack.vectors("look")[parts["test"]] - raw.mean(axis=0)) / raw.std(axis=0)
    assert np.allclose(found["test"].video.vectors_BV.numpy(), expected, atol=1e-4)
    assert torch.allclose(found["train"].video.vectors_BV.mean(dim=0), torch.zeros(36), atol=1e-5)
    assert found["test"].video.vectors_BV.is_contiguous()
    assert found["test"].video.vectors_BV.dtype == torch.float32


def test_a_constant_column_becomes_zero_everywhere(tmp_path: Path) -> None:
    run = small_run(tmp_path, video=[[1.0, 7.0], [2.0, 7.0], [3.0, 7.0], [4.0, 9.0]])
    found = pairs(make_pack(run), {"train": np.array([0, 1, 2]), "test": np.array([3])})
    assert found["test"].video.vectors_BV[:, 1].tolist() == [0.0]
    assert found["test"].video.vectors_BV[:, 0].abs().min() > 1


def test_folds_test_every_song_once_and_never_share_one(toy: RunFolder) -> None:
    pack = make_pack(toy)
    songs = np.asarray(pack.song_ids)
    tested: list[int] = []
    for fold in range(7):
        parts = fold_parts(pack, 7, fold)
        assert sorted(np.concatenate(list(parts.values())).tolist()) == list(range(120))
        groups = [set(songs[index]) for index in parts.values()]
        assert len(set.union(*groups)) == sum(map(len, groups))
        tested += parts["test"].tolist()
    assert sorted(tested) == list(range(120))


def test_folds_and_parts_keep_one_media_file_together(tmp_path: Path, toy_maker: Callable[..., RunFolder]) -> None:
    """Songs s000 and s001 have one file, s001 and s002 another: three songs that no fold may part."""
    files = {"c000-0": "f", "c001-0": "f", "c001-1": "g", "c002-0": "g"}
    pack = make_pack(toy_maker(tmp_path / "run", media=files, split=False))
    assert pack.groups.max() + 1 == 58
    for fold in range(7):
        for index in fold_parts(pack, 7, fold).values():
            held = {pack.song_ids[i] for i in index}
            assert {"s000", "s001", "s002"} & held in (set(), {"s000", "s001", "s002"})
    with pytest.raises(Leak, match="media file f stands in both 'train' and 'test'"):
        make_pack(toy_maker(tmp_path / "leaky", media={"c000-0": "f", "c059-0": "f"}))


def test_tasks_have_ids_that_can_never_be_equal_and_positives_of_the_song(toy: RunFolder) -> None:
    pack = make_pack(toy)
    found = tasks(pack, split_parts(pack)["test"], "test")
    clips, songs = found[V2M], found[M2V]
    assert not set(clips.query_ids) & set(clips.gallery_ids)
    assert clips.gallery_ids == songs.query_ids
    assert len(set(clips.gallery_ids)) == len(clips.gallery_ids) == 15
    number = clips.query_ids.index("v:c047-1")
    assert clips.positives[number] == ("m:s047",)
    assert set(songs.positives[songs.query_ids.index("m:s047")]) == {"v:c047-0", "v:c047-1", "v:c047-2"}
    assert clips.revision == pack.revision


def small_run(path: Path, *, video: list[list[float]] | None = None, splits: tuple[Split, ...] = (), skip: str = "") -> RunFolder:
    """Four clips; clips a and b share a song. `skip` has no music."""
    run = RunFolder.create(path / "run")
    box = Box(left_px=0, top_px=0, width_px=8, height_px=8)
    same: dict[str, Any] = {"start_s": 0.0, "end_s": 5.0, "fps": 25.0, "width_px": 8, "height_px": 8, "box": box, "media": ""}
    songs = {"a": "s1", "b": "s1", "c": "s2", "d": "s3"}
    clips = [Clip(clip_id=name, post_id=name, song_id=song, **same) for name, song in songs.items()]
    rows = video or [[1.0, 2.0], [2.0, 1.0], [0.0, 5.0], [3.0, 3.0]]
    look = [(c.clip_id, Features(values_TD=np.array([r], np.float32), hop_s=5.0)) for c, r in zip(clips, rows, strict=True)]
    sound = [(c.clip_id, Features(values_TD=np.ones((2, 3), np.float32), hop_s=2.5)) for c in clips if c.clip_id != skip]
    tables = {"clips": to_table(Clip, clips), "features_look": features_table(look), "features_sound": features_table(sound)}
    if splits:
        tables["splits"] = to_table(Split, splits)
    with run.writing("curate") as writer:
        writer.commit([c.clip_id for c in clips], tables)
    run.write_settings({"features": {"look": "video", "sound": "music"}})
    return run


def test_a_clip_without_a_feature_is_left_out_and_counted(tmp_path: Path) -> None:
    pack = make_pack(small_run(tmp_path, skip="c"))
    assert pack.clip_ids == ("a", "b", "d")
    assert pack.left_out == {"no_sound": 1}


def test_a_song_in_two_parts_is_a_leak(tmp_path: Path) -> None:
    parts = (Split(name="train", clip_ids=("a", "c"), grouped_by="x"), Split(name="test", clip_ids=("b", "d"), grouped_by="x"))
    with pytest.raises(Leak, match="song s1 stands in both 'train' and 'test'"):
        make_pack(small_run(tmp_path, splits=parts))


def seen(pack: Pack, parts: Mapping[str, Index]) -> float | None:
    return split_leak.check(Evidence(facts=facts(pack, parts))).value


def test_a_split_as_published_may_leak_and_tells_how_much(tmp_path: Path) -> None:
    train = Split(name="train", clip_ids=("a", "c"), grouped_by="none", rule="as_published")
    test = Split(name="test", clip_ids=("b", "d"), grouped_by="none", rule="as_published")
    pack = make_pack(small_run(tmp_path, splits=(train, test)))
    assert seen(pack, split_parts(pack)) == 0.5  # b's song is a's
    nothing = np.empty(0, np.int64)
    assert seen(pack, {"train": np.array([2]), "val": nothing, "test": np.array([0, 1, 3])}) == 0
    assert seen(pack, {"train": nothing, "val": np.array([1, 2]), "test": np.array([0, 3])}) == 0.5


def test_a_feature_that_is_not_finite_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="'look' of clip c is empty or not finite"):
        make_pack(small_run(tmp_path, video=[[1, 2], [2, 1], [np.nan, 5], [3, 3]]))


def test_a_run_that_cannot_be_used_says_why(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="no curated clips"):
        make_pack(RunFolder.create(tmp_path / "empty"))
    pack = make_pack(small_run(tmp_path))
    with pytest.raises(BadInput, match="part 'train' of the split has 0 songs"):
        split_parts(pack)
    with pytest.raises(BadInput, match="5 folds of 3 songs"):
        fold_parts(pack, 5, 0)
    with pytest.raises(BadInput, match="needs the feature 'clap'"):
        pack.features_of("music", ("clap",))
