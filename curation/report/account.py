"""Where every post went. Posts are told by their ids: each must be in one place, and a post in two or in none shows."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from curation.songs import drop_id, post_of
from svmbench.records import Clip, Drop

STAGES = ("search", "fetch", "curate", "judge")
CRAWLED = ("search", "fetch")


def account(posts: Collection[str], looked: Collection[str], clips: Collection[str], drops: Sequence[Drop]) -> dict[str, Any]:
    """The account of all posts; arguments are 'platform:post_id', and drops one of a post at most (of_posts).

    posts: fetched. looked: decoded, so that only the rules decide on them. clips: with a clip. A run without posts (imported
    features) has found what became a clip. adds_up: found = clips + dropped + waiting, over the rows of the tables; each
    contradiction is one too many.
    """
    by_id = {drop.id: drop for drop in reversed(drops)}
    found = set(posts) | {drop.id for drop in drops if drop.stage in CRAWLED or not posts} | (set() if posts else set(clips))
    waiting = found - set(clips) - set(by_id)
    contradictions = {
        "clip_and_drop": len(set(clips) & set(by_id)),
        "dropped_twice": len(drops) - len(by_id),
        "never_found": len((set(clips) | set(by_id)) - found),
    }
    return {
        "found": len(found),
        "clips": len(set(clips)),
        "dropped": len(drops),
        "waiting": len(waiting),
        "adds_up": len(found) == len(set(clips)) + len(drops) + len(waiting),
        "contradictions": contradictions,
        "stages": _stages(len(found), by_id.values(), Counter("judge" if p in looked else "curate" for p in waiting)),
        "reasons": _reasons(drops),
    }


def of_posts(drops: Iterable[Drop], clips: Iterable[Clip]) -> list[Drop]:
    """The drops of whole posts: of one that was cut into several clips none where one of them is kept, else the first one's.

    What contradicts itself stays: two drops with one id, a clip that is also dropped.
    """
    kept, posts = {drop_id(clip) for clip in clips}, {post_of(clip) for clip in clips}
    found: dict[str, list[Drop]] = defaultdict(list)
    for drop in drops:
        if drop.id in kept or drop.post not in posts:
            found[drop.post].append(drop)
    return [replace(drop, id=drop.post) for of_post in found.values() for drop in of_post if drop.id == of_post[0].id]


def _stages(found: int, drops: Collection[Drop], waiting: Mapping[str, int]) -> list[dict[str, Any]]:
    """What came into each stage and what became of it; a stage passes on what it neither refused nor has still to do."""
    kinds = Counter((drop.stage, drop.kind) for drop in drops)
    others = sorted({drop.stage for drop in drops} - set(STAGES))
    rows, there = [], found
    for stage in (*STAGES, *others):
        out = {"rule": kinds[stage, "rule"], "failure": kinds[stage, "failure"], "waiting": waiting.get(stage, 0)}
        rows.append({"stage": stage, "came": there, **out, "went_on": there - sum(out.values())})
        there -= sum(out.values())
    return rows


def _reasons(drops: Iterable[Drop]) -> list[dict[str, Any]]:
    counts = Counter((drop.stage, drop.kind, drop.reason) for drop in drops)
    place = {stage: i for i, stage in enumerate(STAGES)}
    order = sorted(counts.items(), key=lambda item: (place.get(item[0][0], len(place)), item[0][0], -item[1], item[0]))
    return [{"stage": stage, "kind": kind, "reason": reason, "posts": n} for (stage, kind, reason), n in order]


def words(words_of: Mapping[str, Sequence[str]], clips: Iterable[Clip]) -> list[dict[str, Any]]:
    """For each search word, by which posts are categorised: posts fetched, kept ones (with a clip), clips.

    A post counts for each of its words. words_of: of each fetched post, by 'platform:post_id'.
    """
    length_s: defaultdict[str, float] = defaultdict(float)
    num_clips: Counter[str] = Counter()
    kept: defaultdict[str, set[str]] = defaultdict(set)
    for clip in clips:
        for word in words_of.get(post_of(clip), ()):
            num_clips[word] += 1
            kept[word].add(post_of(clip))
            length_s[word] += clip.end_s - clip.start_s
    fetched = Counter(word for found in words_of.values() for word in found)
    return [
        {"word": word, "posts": n, "kept": len(kept[word]), "clips": num_clips[word], "hours": length_s[word] / 3600}
        for word, n in sorted(fetched.items(), key=lambda item: (-item[1], item[0]))
    ]
