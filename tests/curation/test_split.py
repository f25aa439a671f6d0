"""Splits: whole groups, near shares, the same every time, and a leak raises."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from curation.songs import clip_id, song_id
from curation.split import assert_no_leak, split
from svmbench.errors import Leak
from svmbench.recipe import SplitRule
from svmbench.records import Box, Clip, Post, Split

RULE = SplitRule(by="song", train=0.5, val=0.1, test=0.4, seed=3)


def clip(number: int, song: str, post: str | None = None) -> Clip:
    return Clip(
        clip_id=f"c{number:03d}", post_id=post or f"p{number}", song_id=song, start_s=0, end_s=10, fps=30, width_px=9,
        height_px=16, box=Box(left_px=0, top_px=0, width_px=9, height_px=16), media="0",
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


@given(st.lists(st.integers(0, 30), max_size=80), st.integers(0, 5))
def test_every_clip_stands_in_one_part_with_its_song(songs: list[int], seed: int) -> None:
    clips = [clip(i, f"s{song}") for i, song in enumerate(songs)]
    parts = split(clips, RULE.model_copy(update={"seed": seed}))
    assert [part.name for part in parts] == ["train", "val", "test"]
    assert sorted(c for part in parts for c in part.clip_ids) == sorted(c.clip_id for c in clips)
    song_of = {c.clip_id: c.song_id for c in clips}
    homes = [{song_of[c] for c in part.clip_ids} for part in parts]
    assert not homes[0] & homes[1] | homes[1] & homes[2] | homes[0] & homes[2]


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


def test_by_post_a_song_may_stand_on_both_sides_but_a_post_may_not() -> None:
    clips = [clip(i, "one", post=f"p{i // 2}") for i in range(40)]
    parts = split(clips, SplitRule(by="post", train=0.5, val=0, test=0.5))
    assert Counter(len(part.clip_ids) for part in parts) == {20: 2, 0: 1}


@pytest.mark.parametrize(("second", "shared"), [(clip(2, "a"), "song a"), (clip(2, "b", post="p1"), "post p1")])
def test_a_leak_names_the_pair(second: Clip, shared: str) -> None:
    parts = [
        Split(name="train", clip_ids=("c001",), grouped_by="song"),
        Split(name="test", clip_ids=("c002",), grouped_by="song"),
    ]
    with pytest.raises(Leak, match=rf"c001 \(train\) and c002 \(test\) share {shared}"):
        assert_no_leak(parts, [clip(1, "a"), second], "song")
