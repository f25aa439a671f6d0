"""Unified labels: the formula by hand, ties, rare labels, posts without tags, and one label for a song and all of its clips."""

from __future__ import annotations

import math

import numpy as np
import pytest

from crawl.replica import compose
from curation.labels import counts, normal, unified
from curation.songs import clip_id, song_id
from svmbench.recipe import Labels
from svmbench.records import Box, Clip, Label, Post

ALL = Labels(songs_min=1)


def post(number: int, *tags: str, track: str | None = None) -> Post:
    return Post(
        platform="tiktok", post_id=f"{number:04d}", url="", words=(), caption="", hashtags=tags, likes=1, likes_exact=True,
        track_id=track, track_title=None, track_original=False, duration_s=None, posted_at=None, fetched_at=None, sha256=None,
        author_hash=None,
    )  # fmt: skip


def clip(of: Post, segment: int = 0) -> Clip:
    return Clip(
        clip_id=clip_id(of)[:-1] + str(segment), post_id=of.post_id, song_id=song_id(of), start_s=0, end_s=10, fps=30,
        width_px=9, height_px=16, box=Box(left_px=0, top_px=0, width_px=9, height_px=16), media="",
    )  # fmt: skip


def label_of(posts: list[Post], rule: Labels) -> dict[str, str | None]:
    """Post id -> label."""
    return {row.clip_id.split("-")[1]: row.label for row in unified(map(clip, posts), posts, rule)}


def test_the_formula_worked_by_hand() -> None:
    """Three songs. A has the tags sea, sea, fyp over two posts; B has fyp, sun; C has sea, fyp."""
    posts = [post(1, "sea", "fyp", track="A"), post(2, "sea", track="A"), post(3, "fyp", "sun", track="B")]
    posts.append(post(4, "sea", "fyp", track="C"))
    rows = unified(map(clip, posts), posts, ALL)
    assert [(row.clip_id, row.label) for row in rows] == [
        ("tiktok-0001-0", "sea"),
        ("tiktok-0002-0", "sea"),
        ("tiktok-0003-0", "sun"),
        ("tiktok-0004-0", "sea"),
    ]
    expected = [2 / 3 * math.log(3 / 2), 2 / 3 * math.log(3 / 2), 1 / 2 * math.log(3), 1 / 2 * math.log(3 / 2)]
    assert [row.score for row in rows] == pytest.approx(expected)
    assert counts(rows) == {"sea": 3, "sun": 1}


def test_a_tag_that_every_song_has_is_taken_only_where_there_is_no_other() -> None:
    posts = [post(1, "fyp", "sea", track="A"), post(2, "fyp", track="B")]
    assert label_of(posts, ALL) == {"0001": "sea", "0002": "fyp"}


def test_of_equal_values_the_first_in_the_alphabet_counts_whatever_the_order() -> None:
    posts = [post(1, "sun", "sea", "tea", track="A"), post(2, "x", track="B")]
    for order in (posts, posts[::-1]):
        assert label_of(order, ALL) == {"0001": "sea", "0002": "x"}


def test_one_spelling() -> None:
    assert normal("#Travel ") == normal("travel") == normal("ｔｒａｖｅｌ") == "travel"
    posts = [post(1, "#Sea", "", "#", track="A"), post(2, "SEA", track="B"), post(3, "x", track="C")]
    assert label_of(posts, ALL) == {"0001": "sea", "0002": "sea", "0003": "x"}


def test_a_rare_label_is_given_up_and_its_song_takes_the_next_tag() -> None:
    """'unique*' has the highest TF-IDF of each song, and no second song."""
    posts = [post(i, f"unique{i}", "sea" if i < 5 else "sun", track=f"s{i}") for i in range(9)]
    assert label_of(posts, ALL)["0003"] == "unique3"
    assert label_of(posts, Labels(songs_min=2)) == {f"{i:04d}": "sea" if i < 5 else "sun" for i in range(9)}
    assert label_of(posts, Labels(songs_min=5)) == {f"{i:04d}": "sea" if i < 5 else None for i in range(9)}
    assert set(label_of(posts, Labels(songs_min=6)).values()) == {None}


def test_labels_max_keeps_the_most_frequent() -> None:
    posts = [post(i, "sea" if i < 5 else "sun" if i < 8 else "tea", track=f"s{i}") for i in range(10)]
    assert counts(unified(map(clip, posts), posts, Labels(songs_min=1, labels_max=2))) == {"sea": 5, "sun": 3}
    assert counts(unified(map(clip, posts), posts, Labels(songs_min=1, labels_max=1))) == {"sea": 5}


def test_no_tags_no_post_and_no_song() -> None:
    silent, known = post(1), post(2, "sea", track="A")
    rows = unified([clip(silent), clip(known), clip(post(3, track="B"))], [silent, known], ALL)
    assert [row.label for row in rows] == [None, "sea", None]
    assert rows[0] == Label(clip_id="tiktok-0001-0", label=None, score=None)
    assert unified([], [], ALL) == []


def test_a_post_with_several_clips_counts_once() -> None:
    """A's tags are sea and sun, once each; were its three clips counted apart, it would be the same, so B's post has three."""
    posts = [post(1, "sea", track="A"), post(2, "tea", track="A"), post(3, "sun", track="B")]
    clips = [clip(posts[0]), clip(posts[1]), clip(posts[1], 1), clip(posts[1], 2), clip(posts[2])]
    rows = unified(clips, posts, ALL)
    assert [row.label for row in rows] == ["sea", "sea", "sea", "sea", "sun"]
    assert rows[0].score == pytest.approx(1 / 2 * math.log(2))


def test_composed_posts_get_their_themes_as_labels() -> None:
    posts: list[Post] = []
    for plan in compose.plan(2026, 200, ("travel", "dance", "food", "night", "nature"), 10_001):
        listing = plan.listing
        posts.append(post(len(posts), *listing.hashtags, track=listing.track_id))
    rows = unified(map(clip, posts), posts, Labels(songs_min=5))
    assert {row.clip_id for row in rows} == {clip(p).clip_id for p in posts}
    by_song: dict[str, set[str | None]] = {}
    for row, p in zip(rows, posts, strict=True):
        by_song.setdefault(song_id(p), set()).add(row.label)
        assert row.label is None or row.label in {tag for q in posts if q.track_id == p.track_id for tag in q.hashtags}
    assert all(len(labels) == 1 for labels in by_song.values())
    assert min(counts(rows).values()) >= 5
    assert unified(map(clip, posts[::-1]), posts[::-1], Labels(songs_min=5)) == rows


def test_many_songs_with_many_rare_tags_end_and_keep_their_promise() -> None:
    rng = np.random.default_rng(0)
    posts = [post(i, *(f"t{rng.zipf(1.3)}" for _ in range(5)), track=f"s{i // 2}") for i in range(3000)]
    rows = unified(map(clip, posts), posts, Labels(songs_min=3, labels_max=40))
    songs: dict[str, set[str]] = {}
    for row, p in zip(rows, posts, strict=True):
        if row.label is not None:
            songs.setdefault(row.label, set()).add(song_id(p))
    assert 1 < len(songs) <= 40
    assert min(map(len, songs.values())) >= 3
