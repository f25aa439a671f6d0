"""Splits that do not leak: clips of one song, of one post, or of the same media file stand in one part only.

Near-duplicate videos with different tracks, which are not the same file, are not found yet, so they may stand in two parts; when
they are, they become one more key of `_keys`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator

import numpy as np

from svmbench.errors import Leak
from svmbench.groups import groups
from svmbench.recipe import SplitRule
from svmbench.records import Clip, Split

PARTS = ("train", "val", "test")


def split(clips: Iterable[Clip], rule: SplitRule) -> list[Split]:
    """train, val and test in the rule's shares, as nearly as whole groups of clips allow (see _keys).

    The same clips, rule and seed give the same split in whatever order the clips come.
    """
    clips = sorted(clips, key=lambda c: c.clip_id)
    together = _together(clips, rule.by)
    order = list(np.random.default_rng(rule.seed).permutation(len(together)))
    order.sort(key=lambda i: -len(together[i]))  # big groups first; equal ones stay shuffled
    shares = {"train": rule.train, "val": rule.val, "test": rule.test}
    held: dict[str, list[str]] = {part: [] for part in PARTS}
    for i in order:
        short = {part: shares[part] * len(clips) - len(held[part]) for part in PARTS if shares[part] > 0}
        held[max(short, key=lambda part: short[part])] += [c.clip_id for c in together[i]]
    parts = [Split(name=part, clip_ids=tuple(sorted(held[part])), grouped_by=rule.by) for part in PARTS]
    assert_no_leak(parts, clips, rule.by)
    return parts


def _keys(clip: Clip, by: str) -> Iterator[tuple[str, str]]:
    """What a clip may not share with a clip of another part: its post, its media file where it has one, and by song its song."""
    if by == "song":
        yield "song", clip.song_id
    yield "post", clip.post_id
    if clip.media:
        yield "media", clip.media


def _together(clips: list[Clip], by: str) -> list[list[Clip]]:
    """The clips in groups that must not be parted, in an order that does not depend on the order of the clips."""
    found: dict[int, list[Clip]] = defaultdict(list)
    for number, clip in zip(groups([list(_keys(clip, by)) for clip in clips]), clips, strict=True):
        found[number].append(clip)
    return sorted(found.values(), key=lambda group: min(next(_keys(clip, by)) for clip in group))


def assert_no_leak(parts: Iterable[Split], clips: Iterable[Clip], by: str) -> None:
    """Leak names the first pair of clips that share a key and stand in different parts."""
    part_of = {clip_id: part.name for part in parts for clip_id in part.clip_ids}
    first: dict[tuple[str, str], Clip] = {}
    for clip in clips:
        for kind, value in _keys(clip, by):
            other = first.setdefault((kind, value), clip)
            if part_of[clip.clip_id] != part_of[other.clip_id]:
                raise Leak(
                    f"{other.clip_id} ({part_of[other.clip_id]}) and {clip.clip_id} ({part_of[clip.clip_id]}) "
                    f"share {kind} {value}"
                )
