"""Splits that do not leak: clips of one song, one post, one media file or one cluster of near-duplicates stand in one part."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping

import numpy as np

from svmbench.errors import Leak
from svmbench.groups import groups
from svmbench.recipe import SplitRule
from svmbench.records import Clip, Duplicate, Split

PARTS = ("train", "val", "test")


def split(clips: Iterable[Clip], rule: SplitRule, duplicates: Iterable[Duplicate] = ()) -> list[Split]:
    """train, val and test in the rule's shares, as nearly as whole groups of clips allow (see _keys).

    duplicates: of curation.duplicates.find; rows of clips that are not among these change nothing. The same clips, rule and seed
    give the same split in whatever order the clips come.
    """
    clips = sorted(clips, key=lambda c: c.clip_id)
    duplicates = list(duplicates)
    together = _together(clips, rule.by, _clusters(duplicates))
    order = list(np.random.default_rng(rule.seed).permutation(len(together)))
    order.sort(key=lambda i: -len(together[i]))  # big groups first; equal ones stay shuffled
    shares = {"train": rule.train, "val": rule.val, "test": rule.test}
    held: dict[str, list[str]] = {part: [] for part in PARTS}
    for i in order:
        short = {part: shares[part] * len(clips) - len(held[part]) for part in PARTS if shares[part] > 0}
        held[max(short, key=lambda part: short[part])] += [c.clip_id for c in together[i]]
    parts = [Split(name=part, clip_ids=tuple(sorted(held[part])), grouped_by=rule.by) for part in PARTS]
    assert_no_leak(parts, clips, rule.by, duplicates)
    return parts


def _clusters(duplicates: Iterable[Duplicate]) -> dict[str, str]:
    return {row.clip_id: row.cluster for row in duplicates}


def _keys(clip: Clip, by: str, cluster_of: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """What a clip may not share with a clip of another part: its post, its media file where it has one, its cluster of
    near-duplicates where it is in one, and by song its song."""
    if by == "song":
        yield "song", clip.song_id
    yield "post", clip.post_id
    if clip.media:
        yield "media", clip.media
    if clip.clip_id in cluster_of:
        yield "near-duplicate", cluster_of[clip.clip_id]


def _together(clips: list[Clip], by: str, cluster_of: Mapping[str, str]) -> list[list[Clip]]:
    """The clips in groups that must not be parted, in an order that does not depend on the order of the clips."""
    found: dict[int, list[Clip]] = defaultdict(list)
    for number, clip in zip(groups([list(_keys(clip, by, cluster_of)) for clip in clips]), clips, strict=True):
        found[number].append(clip)
    return sorted(found.values(), key=lambda group: min(next(_keys(clip, by, cluster_of)) for clip in group))


def assert_no_leak(parts: Iterable[Split], clips: Iterable[Clip], by: str, duplicates: Iterable[Duplicate] = ()) -> None:
    """Leak names the first pair of clips that share a key and stand in different parts."""
    cluster_of = _clusters(duplicates)
    part_of = {clip_id: part.name for part in parts for clip_id in part.clip_ids}
    first: dict[tuple[str, str], Clip] = {}
    for clip in clips:
        for kind, value in _keys(clip, by, cluster_of):
            other = first.setdefault((kind, value), clip)
            if part_of[clip.clip_id] != part_of[other.clip_id]:
                raise Leak(
                    f"{other.clip_id} ({part_of[other.clip_id]}) and {clip.clip_id} ({part_of[clip.clip_id]}) "
                    f"share {kind} {value}"
                )
