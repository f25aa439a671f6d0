"""Splits: whole groups, near shares, the same every time, and a leak raises."""

from __future__ import annotations

from collections import Counter
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

import curation.split
from curation.songs import clip_id, song_id
from curation.split import assert_no_leak, split
from svmbench.errors import Leak
from svmbench.recipe import SplitRule
from svmbench.records import Box, Clip, Duplicate, Post, Split

RULE = SplitRule(by="song", train=0.5, val=0.1, test=0.4, seed=3)


def clip(number: int, song: str, post: str | None = None, media: str = "") -> Clip:
    return Clip(
        clip_id=f"c{number:03d}", post_id=post or f"p{number}", song_id=song, start_s=0, end_s=10, fps=30, width_px=9,
        height_px=16, box=Box(left_px=0, top_px=0, width_px=9, height_px=16), media=media,
    )  # fmt: skip


def post(track: str | None) -> Post:
    return Post(
        platform="tiktok", post_id="7", url="", words=(), caption="", hashtags=(), likes=1, likes_exact=True, track_id=track,
        track_title=None, track_original=False, duration_s=None, posted_at=None, fetched_at=None, sha256=None, author_hash=None,
    )  # fmt: skip


def test_ids() -> None:
    assert clip_id(post("9")) == "tiktok-7-0"
    assert song_id(post("9")) == "tiktok:9"
    assert song_id(post(None)) == song_id(post("")) == "post:tiktok-7-0"


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 40)), max_size=80), st.integers(0, 5))
def test_every_clip_stands_in_one_part_with_its_song_and_its_file(kinds: list[tuple[int, int]], seed: int) -> None:
    clips = [clip(i, f"s{song}", media=f"f{file}" if file > 10 else "") for i, (song, file) in enumerate(kinds)]
    parts = split(clips, RULE.model_copy(update={"seed": seed}))
    assert [part.name for part in parts] == ["train", "val", "test"]
    assert sorted(c for part in parts for c in part.clip_ids) == sorted(c.clip_id for c in clips)
    for of in ({c.clip_id: c.song_id for c in clips}, {c.clip_id: c.media for c in clips if c.media}):
        homes = [{of[c] for c in part.clip_ids if c in of} for part in parts]
        assert not homes[0] & homes[1] | homes[1] & homes[2] | homes[0] & homes[2]


def test_one_file_under_two_songs_keeps_both_songs_together() -> None:
    """Song a shares a file with b, and b another one with c; clips without a file share nothing."""
    chain = [clip(0, "a", media="f"), clip(1, "b", media="f"), clip(2, "b", media="g"), clip(3, "c", media="g"), clip(4, "a")]
    others = [clip(i, f"s{i}") for i in range(5, 20)]
    for seed in range(20):
        parts = split([*chain, *others], RULE.model_copy(update={"seed": seed}))
        assert sum(any(c.clip_id in part.clip_ids for c in chain) for part in parts) == 1
        assert all(part.clip_ids for part in parts)


def test_shares_are_near_where_groups_are_small() -> None:
    parts = split([clip(i, f"s{i // 2}") for i in range(200)], RULE)
    assert [len(part.clip_ids) for part in parts] == pytest.approx([100, 20, 80], abs=2)


def test_it_depends_on_the_seed_and_not_on_the_order() -> None:
    clips = [clip(i, f"s{i // 2}") for i in range(60)]
    assert split(clips, RULE) == split(clips[::-1], RULE)
    assert split(clips, RULE) != split(clips, RULE.model_copy(update={"seed": 4}))


def test_a_part_without_a_share_stays_empty() -> None:
    parts = split([clip(i, f"s{i}") for i in range(9)], SplitRule(train=0, val=0, test=1))
    assert [len(part.clip_ids) for part in parts] == [0, 0, 9]


def test_a_split_that_would_leak_is_never_handed_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(curation.split, "_together", lambda clips, by, cluster_of: [[c] for c in clips])
    with pytest.raises(Leak, match="share song one"):
        split([clip(i, "one") for i in range(9)], RULE)


def test_by_post_a_song_may_stand_on_both_sides_but_a_post_may_not() -> None:
    clips = [clip(i, "one", post=f"p{i // 2}") for i in range(40)]
    parts = split(clips, SplitRule(by="post", train=0.5, val=0, test=0.5))
    assert Counter(len(part.clip_ids) for part in parts) == {20: 2, 0: 1}


def test_by_post_one_file_stays_in_one_part() -> None:
    clips = [clip(i, f"s{i}", media=f"f{i // 2}") for i in range(40)]
    parts = split(clips, SplitRule(by="post", train=0.5, val=0, test=0.5))
    assert [len({c.media for c in clips if c.clip_id in part.clip_ids}) for part in parts] == [10, 0, 10]


@pytest.mark.parametrize(
    ("second", "shared"),
    [
        (clip(2, "a"), "song a"),
        (clip(2, "b", post="p1"), "post p1"),
        (clip(2, "b", media="f"), "media f"),
    ],
)
def test_a_leak_names_the_pair(second: Clip, shared: str) -> None:
    parts = [
        Split(name="train", clip_ids=("c001",), grouped_by="song"),
        Split(name="test", clip_ids=("c002",), grouped_by="song"),
    ]
    with pytest.raises(Leak, match=rf"c001 \(train\) and c002 \(test\) share {shared}"):
        assert_no_leak(parts, [clip(1, "a", media="f"), second], "song")


def same_video(*clip_ids: str) -> list[Duplicate]:
    return [Duplicate(clip_id=c, cluster=clip_ids[0], kept=True, match_share=1.0) for c in clip_ids]


@pytest.mark.parametrize("by", ["song", "post"])
def test_near_duplicates_under_different_songs_stay_together(by: Literal["song", "post"]) -> None:
    clips = [clip(i, f"s{i}") for i in range(30)]
    for seed in range(20):
        rule = SplitRule(by=by, train=0.5, val=0.1, test=0.4, seed=seed)
        parts = split(clips, rule, [*same_video("c003", "c017", "c021"), *same_video("c004", "c005")])
        homes = {c: part.name for part in parts for c in part.clip_ids}
        assert homes["c003"] == homes["c017"] == homes["c021"]
        assert homes["c004"] == homes["c005"]
        assert len(homes) == 30
        assert all(part.clip_ids for part in parts)


def test_rows_of_clips_that_were_dropped_change_nothing() -> None:
    clips = [clip(i, f"s{i}") for i in range(30)]
    gone = [Duplicate(clip_id="c099", cluster="c003", kept=False, match_share=0.9), *same_video("c003")]
    assert split(clips, RULE, gone) == split(clips, RULE)


def test_a_near_duplicate_on_both_sides_is_a_leak_that_names_the_pair() -> None:
    parts = [
        Split(name="train", clip_ids=("c001",), grouped_by="post"),
        Split(name="test", clip_ids=("c002",), grouped_by="post"),
    ]
    assert_no_leak(parts, [clip(1, "a"), clip(2, "b")], "post")
    with pytest.raises(Leak, match=r"c001 \(train\) and c002 \(test\) share near-duplicate c001"):
        assert_no_leak(parts, [clip(1, "a"), clip(2, "b")], "post", same_video("c001", "c002"))
