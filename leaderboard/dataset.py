"""What a run's own tables say about its dataset: posts seen, kept and left out; clips, songs and splits."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

import numpy as np

from svmbench.records import Clip, Drop, Split
from svmbench.store import RunFolder


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One part of the split."""

    name: str
    num_clips: int
    num_songs: int
    share: float
    grouped_by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """One measure over the clips: how many clips have it, and its 5 %, 50 % and 95 % quantiles."""

    name: str
    num_clips: int
    low: float
    middle: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Dataset:
    """Counts of one run. num_waiting: posts that are neither a clip nor left out yet. reuse[n]: songs that n clips share.

    drops: (stage, kind, reason, number), most frequent first.
    """

    run: str
    num_posts: int
    num_seen: int
    num_waiting: int
    drops: tuple[tuple[str, str, str, int], ...]
    durations_s: tuple[float, ...]
    num_clips: int
    num_songs: int
    reuse: dict[int, int] = field(default_factory=dict)
    parts: tuple[Part, ...] = ()
    measures: tuple[Measure, ...] = ()

    @property
    def empty(self) -> bool:
        return not (self.num_seen or self.num_clips or self.parts)

    def left_out(self, kind: str) -> int:
        """Rows of the drops with this kind: 'rule' or 'failure'."""
        return sum(number for _, k, _, number in self.drops if k == kind)

    @property
    def hours(self) -> float:
        return sum(self.durations_s) / 3600


def describe(run: RunFolder) -> Dataset:
    """The statistics of one run; whatever table is absent counts nothing."""
    drops, clips, splits = run.read(Drop, "drops"), run.read(Clip, "clips"), run.read(Split, "splits")
    posts = run.read_table("posts", ["platform", "post_id"])
    ids = set() if posts is None else {f"{row['platform']}:{row['post_id']}" for row in posts.to_pylist()}
    counts = Counter((d.stage, d.kind, d.reason) for d in drops)
    reuse = Counter(Counter(c.song_id for c in clips).values())
    song_of = {c.clip_id: c.song_id for c in clips}
    total = sum(len(s.clip_ids) for s in splits)
    done = {d.post for d in drops} | {c.clip_id.rpartition("-")[0].replace("-", ":", 1) for c in clips}
    seen = len(ids | {d.id for d in drops if d.stage in ("search", "fetch")})
    return Dataset(
        run=run.path.name,
        num_posts=len(ids),
        num_seen=seen,
        num_waiting=max(0, seen - len(done)) if ids else 0,
        drops=tuple((*key, number) for key, number in sorted(counts.items(), key=lambda item: (-item[1], item[0]))),
        durations_s=tuple(c.end_s - c.start_s for c in clips),
        num_clips=len(clips),
        num_songs=sum(reuse.values()),
        reuse=dict(sorted(reuse.items())),
        parts=tuple(_part(s, song_of, total) for s in splits),
        measures=tuple(_measures(clips)),
    )


def _part(split: Split, song_of: dict[str, str], total: int) -> Part:
    songs = {song_of[c] for c in split.clip_ids if c in song_of}
    share = len(split.clip_ids) / total if total else 0.0
    return Part(name=split.name, num_clips=len(split.clip_ids), num_songs=len(songs), share=share, grouped_by=split.grouped_by)


def _measures(clips: list[Clip]) -> list[Measure]:
    found = []
    for name in sorted({name for c in clips for name in c.measures}):
        values = [v for c in clips if (v := c.measures.get(name)) is not None and np.isfinite(v)]
        if values:
            low, middle, high = np.quantile(values, [0.05, 0.5, 0.95])
            found.append(Measure(name=name, num_clips=len(values), low=float(low), middle=float(middle), high=float(high)))
    return found
