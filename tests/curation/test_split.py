"""Splits: whole groups, near shares, the same every time, and a leak raises."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

import curation.split
from crawl.replica import compose
from curation.songs import clip_id, song_id
from curation.split import Known, assert_no_leak, digest, remarks, split
from svmbench import recipe
from svmbench.errors import Leak
from svmbench.recipe import AsPublished, SplitRule
from svmbench.records import Box, Clip, Duplicate, Label, Post, Split

RULE = SplitRule(train=0.5, val=0.1, test=0.4, seed=3)
EVERYTHING = ("song", "near-duplicate", "author", "post", "media")
WORDS = ("travel", "dance", "food", "night", "nature")


def clip(number: int, song: str, post: str | None = None, media: str = "") -> Clip:
    """Without `post` the only clip of its post, 'tiktok-<number>-0'; with it one of several."""
    return Clip(
        clip_id=name(number) if post is None else f"tiktok-{post}-{number}", post_id=post or f"{number:03d}", song_id=song,
        start_s=0, end_s=10, fps=30, width_px=9, height_px=16, box=Box(left_px=0, top_px=0, width_px=9, height_px=16),
        media=media,
    )  # fmt: skip


def name(number: int) -> str:
    return f"tiktok-{number:03d}-0"


def post(track: str | None = None, number: int = 7, author: str | None = None, words: tuple[str, ...] = ()) -> Post:
    return Post(
        platform="tiktok", post_id=f"{number:03d}", url="", words=words, caption="", hashtags=(), likes=1, likes_exact=True,
        track_id=track, track_title=None, track_original=False, duration_s=None, posted_at=None, fetched_at=None, sha256=None,
        author_hash=author,
    )  # fmt: skip


def homes_of(parts: list[Split]) -> dict[str, str]:
    return {c: part.name for part in parts for c in part.clip_ids}


def sizes_of(parts: list[Split]) -> list[int]:
    return [len(part.clip_ids) for part in parts]


def composed(num_posts: int) -> tuple[list[Clip], list[Post], list[Duplicate]]:
    """The clips and posts of a composed catalogue, with its re-uploads as near-duplicates; nothing is rendered."""
    plans = [plan for plan in compose.plan(2026, num_posts, WORDS, 10_001) if plan.listing.media]
    clips, posts, twins = [], [], []
    for plan in plans:
        listing = plan.listing
        posts.append(replace(post(listing.track_id, author=listing.author, words=listing.words), post_id=listing.post_id))
        clips.append(
            replace(
                clip(0, song_id(posts[-1]), media=f"file of {listing.post_id}"),
                clip_id=clip_id(posts[-1]),
                post_id=listing.post_id,
            )
        )
        source = plan.truth["duplicate_of"]
        if source:
            pair = (f"tiktok-{source}-0", clips[-1].clip_id)
            twins += [Duplicate(clip_id=c, cluster=pair[0], kept=True, match_share=1.0) for c in pair]
    return clips, posts, twins


def test_ids() -> None:
    assert clip_id(post("9")) == "tiktok-007-0"
    assert song_id(post("9")) == "tiktok:9"
    assert song_id(post(None)) == song_id(post("")) == "post:tiktok-007-0"


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
    assert sizes_of(parts) == pytest.approx([100, 20, 80], abs=2)


def test_it_depends_on_the_seed_and_not_on_the_order() -> None:
    clips = [clip(i, f"s{i // 2}") for i in range(60)]
    assert split(clips, RULE) == split(clips[::-1], RULE)
    assert split(clips, RULE) != split(clips, RULE.model_copy(update={"seed": 4}))


def test_a_part_without_a_share_stays_empty() -> None:
    parts = split([clip(i, f"s{i}") for i in range(9)], SplitRule(train=0, val=0, test=1))
    assert sizes_of(parts) == [0, 0, 9]


def test_a_split_that_would_leak_is_never_handed_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(curation.split, "_together", lambda clips, keys, known: [[i] for i in range(len(clips))])
    with pytest.raises(Leak, match="share song one"):
        split([clip(i, "one") for i in range(9)], RULE)


def test_without_the_key_a_song_may_stand_on_both_sides_but_a_post_may_not() -> None:
    clips = [clip(i, "one", post=f"p{i // 2}") for i in range(40)]
    rule = SplitRule(keys=("near-duplicate",), train=0.5, val=0, test=0.5)
    parts = split(clips, rule)
    assert sizes_of(parts) == [20, 0, 20]
    assert Counter(Counter(c.rpartition("-")[0] for c in part.clip_ids)[f"tiktok-p{i}"] for part in parts for i in range(20)) == {
        2: 20,
        0: 40,
    }
    assert {part.grouped_by for part in parts} == {"near-duplicate+post+media"}
    assert remarks(parts, clips, rule) == ["left out of split.keys, and in several parts: 1 by song"]


def test_without_the_song_one_file_stays_in_one_part() -> None:
    clips = [clip(i, f"s{i}", media=f"f{i // 2}") for i in range(40)]
    parts = split(clips, SplitRule(keys=(), train=0.5, val=0, test=0.5))
    assert [len({c.media for c in clips if c.clip_id in part.clip_ids}) for part in parts] == [10, 0, 10]


@pytest.mark.parametrize(
    ("second", "shared"),
    [
        (clip(2, "a"), "song a"),
        (clip(2, "b", post="001"), "post 001"),
        (clip(2, "b", media="f"), "media f"),
        (clip(3, "b"), "author them"),
        (clip(4, "b"), "near-duplicate tiktok-001-0"),
    ],
)
def test_a_leak_names_the_pair(second: Clip, shared: str) -> None:
    first = clip(1, "a", media="f")
    parts = [
        Split(name="train", clip_ids=(first.clip_id,), grouped_by="song"),
        Split(name="test", clip_ids=(second.clip_id,), grouped_by="song"),
    ]
    known = Known.of(same_video(name(1), name(4)), [post(number=n, author="them") for n in (1, 3)])
    with pytest.raises(Leak, match=rf"tiktok-001-0 \(train\) and {second.clip_id} \(test\) share {shared}"):
        assert_no_leak(parts, [first, second], EVERYTHING, known)
    others = set(EVERYTHING) - {shared.split()[0], *(["author"] if "post" in shared else [])}
    assert_no_leak(parts, [first, second], others, known)


def same_video(*clip_ids: str) -> list[Duplicate]:
    return [Duplicate(clip_id=c, cluster=clip_ids[0], kept=True, match_share=1.0) for c in clip_ids]


def test_near_duplicates_under_different_songs_stay_together() -> None:
    clips = [clip(i, f"s{i}") for i in range(30)]
    for seed in range(20):
        rule = RULE.model_copy(update={"seed": seed})
        parts = split(clips, rule, [*same_video(name(3), name(17), name(21)), *same_video(name(4), name(5))])
        homes = homes_of(parts)
        assert homes[name(3)] == homes[name(17)] == homes[name(21)]
        assert homes[name(4)] == homes[name(5)]
        assert len(homes) == 30
        assert all(part.clip_ids for part in parts)


def test_an_author_stands_in_one_part_and_ties_songs_together() -> None:
    clips = [clip(i, f"s{i // 2}") for i in range(60)]
    posts = [post(number=i, author=f"a{i}") for i in range(60)]
    posts[1] = posts[20] = post(number=1, author="both")
    posts[20] = replace(posts[20], post_id="020")
    for seed in range(20):
        homes = homes_of(split(clips, RULE.model_copy(update={"seed": seed}), posts=posts))
        assert len({homes[name(i)] for i in (0, 1, 20, 21)}) == 1  # songs 0 and 10, by way of their author


def test_rows_of_clips_that_were_dropped_change_nothing() -> None:
    clips = [clip(i, f"s{i}") for i in range(30)]
    gone = [Duplicate(clip_id="tiktok-099-0", cluster=name(3), kept=False, match_share=0.9), *same_video(name(3))]
    assert split(clips, RULE, gone) == split(clips, RULE)


def test_segments_of_a_post_stay_in_one_part() -> None:
    clips = [clip(segment, f"s{p}", post=f"{p:03d}") for p in range(30) for segment in range(1 + p % 5)]
    rule = SplitRule(rule="as_published", as_published=AsPublished(train=0.8, val=0.1, test=0.1, keys=("song",)))
    for chosen in (RULE, rule):
        homes: dict[str, set[str]] = defaultdict(set)
        for c, part in homes_of(split(clips, chosen)).items():
            homes[c.rpartition("-")[0]].add(part)
        assert len(homes) == 30
        assert all(len(where) == 1 for where in homes.values())


def test_categories_have_their_share_in_every_part() -> None:
    """Two words of which one is rare, and songs of one to three posts."""
    clips = [clip(i, f"s{i * 5 // 9}") for i in range(450)]
    posts = [post(number=i, words=("rare" if i % 10 == 0 else "common", "other")) for i in range(450)]
    parts = split(clips, RULE, posts=posts)
    assert sizes_of(parts) == pytest.approx([225, 45, 180], abs=2)
    rare = {f"tiktok-{p.post_id}-0" for p in posts if p.words[0] == "rare"}
    assert [len(rare.intersection(part.clip_ids)) for part in parts] == pytest.approx([22.5, 4.5, 18], abs=1)
    unaware = split(clips, RULE.model_copy(update={"stratify": "none"}), posts=posts)
    assert [len(rare.intersection(part.clip_ids)) for part in unaware] != pytest.approx([22.5, 4.5, 18], abs=1)


def test_unified_labels_have_their_share_in_every_part() -> None:
    clips = [clip(i, f"s{i}") for i in range(200)]
    labels = [Label(clip_id=name(i), label=None if i % 7 else "sea", score=None) for i in range(200)]
    parts = split(clips, RULE.model_copy(update={"stratify": "label"}), labels=labels)
    sea = {row.clip_id for row in labels if row.label}
    assert [len(sea.intersection(part.clip_ids)) for part in parts] == pytest.approx([14.5, 2.9, 11.6], abs=1)


def test_the_hash_is_that_of_its_lines() -> None:
    parts = split([clip(i, f"s{i}") for i in range(9)], RULE)
    lines = sorted(f"{part.name}\t{c}\n" for part in parts for c in part.clip_ids)
    assert {part.sha256 for part in parts} == {hashlib.sha256("".join(lines).encode()).hexdigest()}
    assert digest({"train": ["a", "b"]}) == digest({"train": ["b", "a"]}) != digest({"train": ["a"], "test": ["b"]})


def test_shares_that_cannot_be_met_are_told_with_numbers() -> None:
    clips = [clip(i, f"s{i // 2}") for i in range(100)]
    posts = [post(number=i, author="everyone" if i < 80 else f"a{i}") for i in range(100)]
    parts = split(clips, RULE, posts=posts)
    assert sizes_of(parts) == [80, 4, 16]
    (line,) = remarks(parts, clips, RULE, posts=posts)
    assert line == (
        "the shares cannot be met: train 80 val 4 test 16 instead of train 50 val 10 test 40; the largest group that hangs "
        "together by song, near-duplicate, post, media, author has 80 of 100 clips (80%); fewer split.keys make smaller groups"
    )
    without = RULE.model_copy(update={"keys": ("song", "near-duplicate")})
    parts = split(clips, without, posts=posts)
    assert sizes_of(parts) == [50, 10, 40]
    (line,) = remarks(parts, clips, without, posts=posts)
    assert line == "left out of split.keys, and in several parts: 1 by author"


def test_authors_that_nobody_knows_are_told() -> None:
    clips = [clip(i, f"s{i}") for i in range(40)]
    posts = [post(number=i, author=f"a{i}") for i in range(30)]
    parts = split(clips, RULE, posts=posts)
    assert remarks(parts, clips, RULE, posts=posts) == ["the author of 10 of 40 clips is not known"]


def published(dataset: str) -> SplitRule:
    return recipe.load(dataset).split.model_copy(update={"rule": "as_published"})


@pytest.mark.parametrize(
    ("dataset", "num_clips", "expected", "told"),
    [
        ("svm_10k", 8440, [7940, 0, 500], ""),
        ("svm_10k", 9000, [7940, 0, 500], "9000 clips where the paper splits 8440: 560 clips are in no part"),
        ("svm_10k", 844, [794, 0, 50], "844 clips where the paper splits 8440: in the same proportion"),
        ("m2m", 10_000, [8000, 0, 2000], ""),
        ("m2m", 500, [400, 0, 100], "500 clips where the paper splits 10000: in the same proportion"),
        ("tivm", 1000, [800, 100, 100], ""),
    ],
)
def test_as_published_has_the_numbers_of_the_papers(dataset: str, num_clips: int, expected: list[int], told: str) -> None:
    clips, rule = [clip(i, f"s{i}") for i in range(num_clips)], published(dataset)
    parts = split(clips, rule)
    assert sizes_of(parts) == expected
    assert {part.rule for part in parts} == {"as_published"}
    lines = remarks(parts, clips, rule)
    assert [told in line for line in lines[:-1]] == ([True] if told else [])
    assert lines[-1].startswith("as published, so it may leak")


def test_as_published_leaks_where_the_paper_did_and_says_so() -> None:
    clips = [clip(i, f"s{i // 4}") for i in range(400)]
    parts = split(clips, published("svm_10k"))
    assert {part.grouped_by for part in parts} == {"none"}
    test, train = ({c.song_id for c in clips if c.clip_id in part.clip_ids} for part in (parts[2], parts[0]))
    assert len(test & train) > 10
    assert f"in several parts: {len(test & train)} by song" in remarks(parts, clips, published("svm_10k"))[-1]
    by_song = split(clips, published("tivm"))
    assert {part.grouped_by for part in by_song} == {"song"}
    assert_no_leak(by_song, clips, ["song"], Known.of([], []))


def test_composed_posts_split_without_a_leak_and_near_their_shares() -> None:
    clips, posts, twins = composed(600)
    assert len(twins) == 60
    parts = split(clips, RULE, twins, posts)
    assert_no_leak(parts, clips, EVERYTHING, Known.of(twins, posts))
    assert {part.grouped_by for part in parts} == {"song+near-duplicate+post+media+author"}
    shares = [len(part.clip_ids) / len(clips) for part in parts]
    assert shares == pytest.approx([0.5, 0.1, 0.4], abs=0.005)
    word_of = {f"tiktok-{p.post_id}-0": p.words[0] for p in posts}
    for word, total in Counter(word_of[c.clip_id] for c in clips).items():
        of_word = [sum(word_of[c] == word for c in part.clip_ids) / total for part in parts]
        assert of_word == pytest.approx([0.5, 0.1, 0.4], abs=0.02)
    assert remarks(parts, clips, RULE, twins, posts) == []
