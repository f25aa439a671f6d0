"""From tables to tensors: pooling, standardising with the train part alone, folds, and what must be refused."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from benchmarks import data
from benchmarks.checks import Evidence, split_leak
from benchmarks.data import Index, Pack, facts, fold_parts, make_pack, pairs, split_parts, tasks
from benchmarks.feature_files import pooled
from svmbench.errors import BadInput, Leak
from svmbench.records import (
    M2V,
    V2M,
    Box,
    Clip,
    Duplicate,
    Features,
    Label,
    Listening,
    Post,
    Split,
    features_table,
    to_table,
)
from svmbench.store import RunFolder


def test_pooling_by_hand() -> None:
    assert pooled(np.array([[1, 0], [3, 0]], np.float32)).tolist() == [2, 0, 1, 0, 2, 0]  # mean, std, mean absolute difference
    assert pooled(np.array([[5, 2]], np.float32)).tolist() == [5, 2, 0, 0, 0, 0]


def test_a_pack_holds_what_the_tables_hold(toy: RunFolder) -> None:
    pack = make_pack(toy)
    assert len(pack.clip_ids) == 120
    assert pack.dataset == "toy"
    assert pack.vectors("look").shape == (120, 36)
    assert pack.vectors("sound").shape == (120, 10)
    assert pack.steps("look", 3).shape == (5, 12)
    assert np.allclose(pack.steps("look", 3).mean(axis=0), pack.vectors("look")[3, :12], atol=2e-3), "to float16's precision"
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
    with pytest.raises(BadInput, match=r"no clip of this run is in a part of a split; run 'svmbench curate', or use --folds"):
        split_parts(pack)
    halves = (Split(name="val", clip_ids=("a",), grouped_by="song"), Split(name="test", clip_ids=("c", "d"), grouped_by="song"))
    with pytest.raises(BadInput, match="part 'train' of the split has 0 songs and needs 2"):
        split_parts(make_pack(small_run(tmp_path / "halves", splits=halves)))
    alone = (
        Split(name="train", clip_ids=("c", "d"), grouped_by="song"),
        Split(name="test", clip_ids=("a", "b"), grouped_by="song"),
    )
    with pytest.raises(BadInput, match="part 'test' of the split has 1 songs and needs 2"):
        split_parts(make_pack(small_run(tmp_path / "alone", splits=alone)))
    with pytest.raises(BadInput, match="5 folds of 3 songs: every fold and its train part need two songs; that takes six songs"):
        fold_parts(pack, 5, 0)
    with pytest.raises(BadInput, match="needs the feature 'clap'"):
        pack.features_of("music", ("clap",))


def known_run(path: Path, *, judged: bool = True, listened: bool = True, num: int = 8) -> RunFolder:
    """Clips t-0-0 to t-7-0 of eight songs. Clips 0 and 1 sound alike; 2 and 3 look alike; 4 has the author of 5; 0 and 6 share a
    label; the loudness of 7 is not known."""
    run = RunFolder.create(path)
    same: dict[str, Any] = {"fps": 25.0, "width_px": 8, "height_px": 8, "box": Box(left_px=0, top_px=0, width_px=8, height_px=8)}
    names = [f"t-{i}-0" for i in range(num)]
    clips = [
        Clip(
            clip_id=name, post_id=str(i), song_id=f"s{i}", start_s=1.0, end_s=6.0 + i, media=f"m{i}",
            measures={"duration_s": 5.0, "loudness_lufs": None if i == 7 else -10.0 - i}, **same,
        )
        for i, name in enumerate(names)
    ]  # fmt: skip
    post: dict[str, Any] = {
        "url": "", "words": (), "caption": "", "hashtags": (), "likes": 1, "likes_exact": True, "track_id": None,
        "track_title": None, "track_original": False, "duration_s": None, "posted_at": None, "fetched_at": None, "sha256": None,
    }  # fmt: skip
    author = {4: "a9", 5: "a9", 6: None}
    posts = [Post(platform="t", post_id=str(i), author_hash=author.get(i, f"b{i}"), **post) for i in range(num)]
    rng = np.random.default_rng(0)
    look = [
        (name, Features(values_TD=rng.normal(size=(1 + i % 3, 4)).astype(np.float32), hop_s=1.0)) for i, name in enumerate(names)
    ]
    sound = [(name, Features(values_TD=rng.normal(size=(2, 3)).astype(np.float32), hop_s=1.0)) for name in names]
    tables = {
        "clips": to_table(Clip, clips), "posts": to_table(Post, posts), "features_look": features_table(look),
        "features_sound": features_table(sound),
        "labels": to_table(
            Label, [Label(clip_id=n, label={0: "surf", 6: "surf", 1: "city"}.get(i), score=1.0) for i, n in enumerate(names)]
        ),
        "duplicates": to_table(
            Duplicate, [Duplicate(clip_id=names[i], cluster=names[2], kept=True, match_share=1.0) for i in (2, 3)]
        ),
    }  # fmt: skip
    if listened:
        heard = Listening(digest="d", first=("t-0-0", "t-1-0"), second=("gone", "gone"), scores=(1.0, 1.0))
        tables["listening"] = to_table(Listening, [heard])
    with run.writing("curate") as writer:
        writer.commit(names, tables)
    settings = {"judge": {"settings": {"duplicates": {"keep": "all"}}}} if judged else {}
    run.write_settings({"features": {"look": "video", "sound": "music"}, **settings})
    return run


EVERYTHING = {"train": np.arange(6), "val": np.empty(0, np.int64), "test": np.array([6, 7])}


def test_what_is_known_of_the_clips(tmp_path: Path) -> None:
    pack = make_pack(known_run(tmp_path / "run"))
    train, test = (facts(pack, EVERYTHING)[part] for part in ("train", "test"))
    assert train.duration_s_N.tolist() == [5, 6, 7, 8, 9, 10]
    assert train.loudness_N.tolist() == [-10, -11, -12, -13, -14, -15]
    assert (test.loudness_N[0], np.isnan(test.loudness_N[1])) == (-16, True)
    assert train.author_N[4] == train.author_N[5] >= 0
    assert len(set(train.author_N.tolist())) == 5
    assert test.author_N.tolist() == [-1, 5], "an author who is not known is like nobody else"
    assert train.sound_N[0] == train.sound_N[1], "both sound like a clip that was dropped"
    assert len({*train.sound_N.tolist(), *test.sound_N.tolist()}) == 7
    assert train.look_N[2] == train.look_N[3]
    assert len({*train.look_N.tolist(), *test.look_N.tolist()}) == 7, "in no cluster: one by itself"
    assert test.clip_ids == ("t-6-0", "t-7-0")


def test_what_nobody_looked_for_is_unknown(tmp_path: Path) -> None:
    pack = make_pack(known_run(tmp_path / "run", judged=False, listened=False))
    train = facts(pack, EVERYTHING)["train"]
    assert train.sound_N.tolist() == 6 * [-1]
    assert train.look_N.tolist() == [-1, -1, 0, 0, -1, -1], "only what stands in the table"


def test_facts_of_plain_features_are_unknown(toy: RunFolder) -> None:
    pack = make_pack(toy)
    found = facts(pack, split_parts(pack))["test"]
    for codes in (found.author_N, found.sound_N, found.look_N):
        assert set(codes.tolist()) == {-1}
    assert np.isnan(found.loudness_N).all()
    assert set(found.duration_s_N.tolist()) == {5.0}


def test_folds_keep_what_sounds_or_looks_alike_together(tmp_path: Path) -> None:
    pack = make_pack(known_run(tmp_path / "run"))
    seen = []
    for fold in range(3):
        parts = fold_parts(pack, 3, fold)
        seen += parts["test"].tolist()
        for index in parts.values():
            held = set(index.tolist())
            assert {0, 1} & held in (set(), {0, 1})
            assert {2, 3} & held in (set(), {2, 3})
    assert sorted(seen) == list(range(8))
    with pytest.raises(BadInput, match="4 folds of 6 songs"):
        fold_parts(pack, 4, 0)
    assert all(len(fold_parts(pack, 2, fold)["train"]) >= 2 for fold in range(2))
    with pytest.raises(BadInput, match=r"2 folds of 5 songs: .* that takes six songs"):
        fold_parts(make_pack(known_run(tmp_path / "few", num=7)), 2, 0)


def test_tags_only_for_who_asks(tmp_path: Path) -> None:
    pack = make_pack(known_run(tmp_path / "run"))
    assert pack.tags == ("city", "surf")
    found = pairs(pack, EVERYTHING, tags=True)
    assert found["train"].video.tags_B is not None
    assert found["train"].video.tags_B.tolist() == [1, 0, -1, -1, -1, -1]
    batch = found["test"].music[torch.tensor([0])]
    assert batch.tags_B is not None
    assert batch.tags_B.tolist() == [1]
    assert pairs(pack, EVERYTHING)["train"].video.tags_B is None


def reference(pack: Pack, name: str, train: Index, index: Index) -> list[np.ndarray]:
    """Standardised sequences of some clips, the plain way."""
    steps = np.concatenate([pack.steps(name, i) for i in train]).astype(np.float64)
    std = steps.std(axis=0)
    return [np.where(std > 1e-6, (pack.steps(name, i) - steps.mean(axis=0)) / np.where(std > 0, std, 1), 0) for i in index]


@pytest.mark.parametrize("block", [3, 4096])
def test_steps_are_standardised_padded_and_masked(tmp_path: Path, block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(data, "BLOCK_ROWS", block)
    pack = make_pack(known_run(tmp_path / "run"))
    parts = {"train": np.array([5, 0, 3, 2]), "val": np.array([1]), "test": np.array([7, 4, 6])}
    found = pairs(pack, parts, steps=True)
    for part, index in parts.items():
        values, mask = found[part].video.steps["look"].padded()
        assert values.dtype == torch.float32
        assert values.shape == (len(index), 3, 4)
        for row, expected in enumerate(reference(pack, "look", parts["train"], index)):
            assert mask[row].tolist() == [t < len(expected) for t in range(3)]
            assert np.allclose(values[row, : len(expected)].numpy(), expected, atol=1e-5)
            assert not values[row, len(expected) :].any()
    train = found["train"].video.steps["look"]
    values, mask = train.padded()
    assert torch.allclose(values[mask].mean(dim=0), torch.zeros(4), atol=1e-5)
    assert torch.allclose(values[mask].std(dim=0, correction=0), torch.ones(4), atol=1e-5)
    assert pairs(pack, parts)["train"].video.steps == {}


def test_a_step_column_that_never_changes_in_train_becomes_zero(tmp_path: Path) -> None:
    pack = make_pack(small_run(tmp_path))  # music is all ones
    values, mask = pairs(pack, {"train": np.array([0, 2])}, steps=True)["train"].music.steps["sound"].padded()
    assert mask.all()
    assert not values.any()


def test_a_batch_copies_nothing_but_its_rows_and_steps_are_loaded_once(tmp_path: Path) -> None:
    pack = make_pack(known_run(tmp_path / "run"))
    folds = [pairs(pack, fold_parts(pack, 2, fold), steps=True) for fold in range(2)]
    packed = {p.video.steps["look"].packed_PD.data_ptr() for fold in folds for p in fold.values()}
    assert len(packed) == 1, "one copy for all parts and folds"
    whole = folds[0]["train"]
    batch = whole[torch.tensor([1, 0])]
    assert batch.video.steps["look"].packed_PD.data_ptr() in packed
    assert batch.video.steps["look"].packed_PD.dtype == torch.float16
    assert batch.video.steps["look"].start_B.shape == (2,)
    assert torch.equal(batch.video.steps["look"].padded()[0], whole.video.steps["look"].padded()[0][[1, 0]])
    assert torch.equal(whole[0:2].video.steps["look"].padded()[0], whole.video.steps["look"].padded()[0][:2])


def test_what_foreign_code_writes_into_the_steps_is_forgotten(tmp_path: Path) -> None:
    pack = make_pack(known_run(tmp_path / "run"))
    before = (pack.folder / "look.steps.npy").read_bytes()
    steps = pairs(pack, EVERYTHING, steps=True)["train"].video.steps["look"]
    held = steps.packed_PD.clone()
    steps.packed_PD.zero_()
    assert (pack.folder / "look.steps.npy").read_bytes() == before, "the pack on disk is not for writing"
    data.forget()
    assert torch.equal(pairs(pack, EVERYTHING, steps=True)["train"].video.steps["look"].packed_PD, held)


def test_only_the_features_that_are_needed(tmp_path: Path, toy: RunFolder) -> None:
    pack = make_pack(toy)
    found = pairs(pack, split_parts(pack), needs=("look", "sound"), steps=True)["train"]
    assert (set(found.video.steps), set(found.music.steps)) == ({"look"}, {"sound"})
    with pytest.raises(BadInput, match="no music feature to use"):
        pairs(pack, split_parts(pack), needs=("look",))


def test_the_numbers_that_a_checkpoint_keeps_standardise_as_training_did(toy: RunFolder) -> None:
    pack = make_pack(toy)
    parts = split_parts(pack)
    found = data.standard(pack, parts["train"])["video"]
    again = (pack.vectors("look")[parts["test"]] - np.array(found["mean"])) * np.array(found["scale"])
    assert np.array_equal(pairs(pack, parts)["test"].video.vectors_BV.numpy(), again.astype(np.float32))


def test_standardising_in_blocks_is_standardising(toy: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    pack = make_pack(toy)
    whole = pairs(pack, split_parts(pack))
    monkeypatch.setattr(data, "BLOCK_ROWS", 7)
    data._scaling_of.cache_clear()
    for part, blocks in pairs(pack, split_parts(pack)).items():
        assert torch.allclose(blocks.video.vectors_BV, whole[part].video.vectors_BV, atol=1e-6)
