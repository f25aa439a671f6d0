"""Splits that do not leak: clips of one song, and clips of one post, stand in one part only.

Near-duplicate videos with different tracks are not found yet, so they may stand in two parts; when they are, they become one more
thing that groups clips here.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

import numpy as np

from svmbench.errors import Leak
from svmbench.recipe import SplitRule
from svmbench.records import Clip, Split

PARTS = ("train", "val", "test")


def split(clips: Iterable[Clip], rule: SplitRule) -> list[Split]:
    """train, val and test, grouped by song or post, in the rule's shares as nearly as whole groups allow.

    The same clips, rule and seed give the same split in whatever order the clips come.
    """
    clips = sorted(clips, key=lambda c: c.clip_id)
    groups = _groups(clips, rule.by)
    order = list(np.random.default_rng(rule.seed).permutation(len(groups)))
    order.sort(key=lambda i: -len(groups[i]))  # big groups first; equal ones stay shuffled
    shares = {"train": rule.train, "val": rule.val, "test": rule.test}
    held: dict[str, list[str]] = {part: [] for part in PARTS}
    for i in order:
        short = {part: shares[part] * len(clips) - len(held[part]) for part in PARTS if shares[part] > 0}
        held[max(short, key=lambda part: short[part])] += [c.clip_id for c in groups[i]]
    parts = [Split(name=part, clip_ids=tuple(sorted(held[part])), grouped_by=rule.by) for part in PARTS]
    assert_no_leak(parts, clips, rule.by)
    return parts


def _groups(clips: Iterable[Clip], by: str) -> list[list[Clip]]:
    found: dict[str, list[Clip]] = defaultdict(list)
    for clip in clips:
        found[clip.song_id if by == "song" else clip.post_id].append(clip)
    return [found[key] for key in sorted(found)]


def assert_no_leak(parts: Iterable[Split], clips: Iterable[Clip], by: str) -> None:
    """Leak names the first pair of clips that share a post (or, grouped by song, a song) and stand in different parts."""
    part_of = {clip_id: part.name for part in parts for clip_id in part.clip_ids}
    shared = ("song_id", "post_id") if by == "song" else ("post_id",)
    for field in shared:
        first: dict[str, Clip] = {}
        for clip in clips:
            other = first.setdefault(getattr(clip, field), clip)
            if part_of[clip.clip_id] != part_of[other.clip_id]:
                raise Leak(
                    f"{other.clip_id} ({part_of[other.clip_id]}) and {clip.clip_id} ({part_of[clip.clip_id]}) "
                    f"share {field.removesuffix('_id')} {getattr(clip, field)}"
                )
