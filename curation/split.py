"""Splits. strict: whatever shares a song, an author, a post, a media file or a cluster of near-duplicates stands in one part.
as_published: what a paper did, which may leak by design, and says so.
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from curation.songs import post_of
from svmbench.errors import BadSettings, Leak
from svmbench.groups import groups
from svmbench.recipe import SplitRule
from svmbench.records import Clip, Duplicate, Label, Post, Split

PARTS = ("train", "val", "test")
ALWAYS = ("post", "media")  # kept in one part by every strict split
KINDS = ("song", "near-duplicate", *ALWAYS, "author")
OFF_SHARE, OFF_CLIPS = 0.02, 2  # ours: a part further from its share than 2 % of all clips, and than 2 clips, is reported


@dataclass(frozen=True)
class Known:
    """What is known of clips beyond their own rows. clusters: clip_id -> near-duplicates; authors, words: by post_of(clip);
    labels: clip_id -> unified label."""

    clusters: Mapping[str, str]
    authors: Mapping[str, str]
    words: Mapping[str, str]
    labels: Mapping[str, str]

    @classmethod
    def of(cls, duplicates: Iterable[Duplicate], posts: Iterable[Post], labels: Iterable[Label] = ()) -> Known:
        by_key = {post.key: post for post in posts}
        return cls(
            clusters={row.clip_id: row.cluster for row in duplicates},
            authors={key: post.author_hash for key, post in by_key.items() if post.author_hash},
            words={key: post.words[0] for key, post in by_key.items() if post.words},
            labels={row.clip_id: row.label for row in labels if row.label is not None},
        )

    def marks(self, clip: Clip) -> dict[str, str]:
        """Kind -> what a clip of another part may not share with this one; a kind that is not known, or in which the clip is
        alone by nature (no media file, no copies), is not there."""
        found = {
            "song": clip.song_id,
            "near-duplicate": self.clusters.get(clip.clip_id),
            "post": clip.post_id,
            "media": clip.media,
            "author": self.authors.get(post_of(clip)),
        }
        return {kind: value for kind, value in found.items() if value}

    def stratum(self, clip: Clip, stratify: str) -> str:
        """The category of which each part gets its share."""
        if stratify == "word":
            return self.words.get(post_of(clip), "")
        return self.labels.get(clip.clip_id, "") if stratify == "label" else ""


def split(
    clips: Iterable[Clip],
    rule: SplitRule,
    duplicates: Iterable[Duplicate] = (),
    posts: Iterable[Post] = (),
    labels: Iterable[Label] = (),
) -> list[Split]:
    """train, val and test, as nearly in the rule's shares, in all and by category, as whole groups of clips allow.

    duplicates: of curation.duplicates.find; rows of clips that are not among these change nothing. posts: where authors and
    search words come from. The same clips, rule and seed give the same split in whatever order the clips come.
    """
    clips = sorted(clips, key=lambda c: c.clip_id)
    known, keys = Known.of(duplicates, posts, labels), kept_together(rule)
    strata = ["" if rule.rule == "as_published" else known.stratum(clip, rule.stratify) for clip in clips]
    together = _together(clips, keys, known)
    order = np.random.default_rng(rule.seed).permutation(len(together)).tolist()
    order.sort(key=lambda i: -len(together[i]))  # big groups first; equal ones stay shuffled
    held = _deal([together[i] for i in order], strata, wanted(rule, len(clips)))
    by_name = {part: tuple(clips[i].clip_id for i in sorted(held[part])) for part in PARTS}
    sha256, grouped_by = digest(by_name), "+".join(keys) or "none"
    parts = [
        Split(name=name, clip_ids=ids, grouped_by=grouped_by, rule=rule.rule, sha256=sha256) for name, ids in by_name.items()
    ]
    assert_no_leak(parts, clips, keys, known)
    return parts


def kept_together(rule: SplitRule) -> tuple[str, ...]:
    """The kinds of things that stand in one part under this rule, in the order of KINDS."""
    if rule.rule == "strict":
        return tuple(kind for kind in KINDS if kind in (*rule.keys, *ALWAYS))
    return tuple(kind for kind in KINDS if rule.as_published and kind in rule.as_published.keys)


def wanted(rule: SplitRule, num_clips: int) -> dict[str, float]:
    """Part -> clips that it should have. As published: the paper's numbers, or their proportion of fewer clips."""
    if rule.rule == "strict":
        return {part: getattr(rule, part) * num_clips for part in PARTS}
    if rule.as_published is None:
        raise BadSettings("split.rule is as_published, and split.as_published is missing")
    total = rule.as_published.total
    scale = num_clips / total if total == 1 or num_clips < total else 1
    return {part: getattr(rule.as_published, part) * scale for part in PARTS}


def digest(parts: Mapping[str, Iterable[str]]) -> str:
    """sha256, hex, over the sorted lines 'PART<tab>CLIP_ID' of a split."""
    lines = sorted(f"{part}\t{clip_id}\n" for part, ids in parts.items() for clip_id in ids)
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def _together(clips: Sequence[Clip], keys: Collection[str], known: Known) -> list[list[int]]:
    """The places of the clips in groups that must not be parted: connected components, also by way of other clips."""
    rows = [[mark for mark in known.marks(clip).items() if mark[0] in keys] for clip in clips]
    found: dict[int, list[int]] = defaultdict(list)
    for place, number in enumerate(groups(rows)):
        found[number].append(place)
    return list(found.values())


def _deal(together: Iterable[list[int]], strata: Sequence[str], targets: Mapping[str, float]) -> dict[str, list[int]]:
    """Each group goes where it brings the parts nearest to their targets, in all and for each category of its clips.

    The distance is that of chi-squared, (held - target)^2 / target, so that a part with a small share is filled as evenly as one
    with a large share. A part that has what it should gets no more; once all have, the rest is left out, which only happens where
    a paper's numbers are smaller than the run.
    """
    total, sizes = len(strata), Counter(strata)
    target_of: dict[tuple[str, str | None], float] = {(part, None): share for part, share in targets.items()}
    target_of |= {(part, stratum): share * n / total for part, share in targets.items() for stratum, n in sizes.items()}
    lacks, held = dict(target_of), {part: list[int]() for part in targets}
    for group in together:
        open_parts = [part for part in targets if lacks[part, None] > 1e-9]
        if not open_parts:
            break
        counts: dict[str | None, int] = {None: len(group), **Counter(strata[i] for i in group)}
        nearer = {
            part: sum((2 * n * lacks[part, of] - n * n) / target_of[part, of] for of, n in counts.items()) for part in open_parts
        }
        part = max(open_parts, key=lambda part: nearer[part])
        held[part] += group
        for of, n in counts.items():
            lacks[part, of] -= n
    return held


def assert_no_leak(parts: Iterable[Split], clips: Iterable[Clip], keys: Collection[str], known: Known) -> None:
    """Leak names the first pair of clips that share one of the keys and stand in different parts."""
    part_of = {clip_id: part.name for part in parts for clip_id in part.clip_ids}
    first: dict[tuple[str, str], Clip] = {}
    for clip in clips:
        for kind, value in known.marks(clip).items():
            if kind not in keys or clip.clip_id not in part_of:
                continue
            other = first.setdefault((kind, value), clip)
            if part_of[clip.clip_id] != part_of[other.clip_id]:
                raise Leak(
                    f"{other.clip_id} ({part_of[other.clip_id]}) and {clip.clip_id} ({part_of[clip.clip_id]}) "
                    f"share {kind} {value}"
                )


def remarks(
    parts: Sequence[Split],
    clips: Iterable[Clip],
    rule: SplitRule,
    duplicates: Iterable[Duplicate] = (),
    posts: Iterable[Post] = (),
) -> list[str]:
    """What a person should know of this split, a line each: shares that could not be met, what it does not keep apart, and what
    does stand in several parts."""
    clips = sorted(clips, key=lambda c: c.clip_id)
    known, keys, held = Known.of(duplicates, posts), kept_together(rule), {part.name: len(part.clip_ids) for part in parts}
    found = [*_shares_missed(held, clips, rule, known), *_unknown_authors(clips, keys, known)]
    shared = _shared(parts, clips, known)
    open_kinds = [f"{shared[kind]} by {kind}" for kind in KINDS if kind not in keys and shared[kind]]
    if rule.rule == "as_published":
        found.append(f"as published, so it may leak; in several parts: {', '.join(open_kinds) or 'nothing that is known'}")
    elif open_kinds:
        found.append(f"left out of split.keys, and in several parts: {', '.join(open_kinds)}")
    return found


def _shares_missed(held: Mapping[str, int], clips: Sequence[Clip], rule: SplitRule, known: Known) -> list[str]:
    """One line with numbers where the parts are not what the rule asks for."""
    targets, num = wanted(rule, len(clips)), len(clips)
    reached = " ".join(f"{part} {held[part]}" for part in PARTS)
    asked = " ".join(f"{part} {targets[part]:.0f}" for part in PARTS)
    found = []
    if rule.as_published and rule.rule == "as_published" and rule.as_published.total not in (1, num):
        what = "in the same proportion" if num < rule.as_published.total else f"{num - sum(held.values())} clips are in no part"
        found.append(f"{num} clips where the paper splits {rule.as_published.total:.0f}: {what} ({reached})")
    if any(abs(held[part] - targets[part]) > max(OFF_SHARE * num, OFF_CLIPS) for part in PARTS):
        largest = max(map(len, _together(clips, kept_together(rule), known)), default=0)
        found.append(
            f"the shares cannot be met: {reached} instead of {asked}; the largest group that hangs together by "
            f"{', '.join(kept_together(rule)) or 'nothing'} has {largest} of {num} clips ({largest / num:.0%}); fewer split.keys "
            "make smaller groups"
        )
    return found


def _unknown_authors(clips: Sequence[Clip], keys: Collection[str], known: Known) -> list[str]:
    unknown = sum("author" not in known.marks(clip) for clip in clips)
    return [f"the author of {unknown} of {len(clips)} clips is not known"] if unknown and "author" in keys else []


def _shared(parts: Iterable[Split], clips: Iterable[Clip], known: Known) -> Counter[str]:
    """Kind -> how many songs, authors, ... stand in several parts."""
    part_of = {clip_id: part.name for part in parts for clip_id in part.clip_ids}
    homes: dict[tuple[str, str], set[str]] = defaultdict(set)
    for clip in clips:
        if clip.clip_id in part_of:
            for mark in known.marks(clip).items():
                homes[mark].add(part_of[clip.clip_id])
    return Counter(kind for (kind, _), where in homes.items() if len(where) > 1)
