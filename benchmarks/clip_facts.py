"""What a run's tables tell of its clips beside their features: for the checks, and the labels that some baselines learn from.

Rooms meet in the tables alone, so what they mean is told here once more: `posts` has the author's keyed hash, `listening` pairs
of clips that sound like one song, `duplicates` clusters of clips that show the same pictures, `labels` a unified label a clip.
Codes ascend with the name they stand for; -1 is unknown. Axis N: clips, in the order in which they are asked for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from svmbench.groups import groups
from svmbench.store import RunFolder

LOUDNESS = "loudness"  # what the name of the measure begins with (loudness_lufs, in LUFS)
TABLES = {  # and the columns that are read of them
    "posts": ("platform", "post_id", "author_hash"),
    "listening": ("first", "second"),
    "duplicates": ("clip_id", "cluster"),
    "labels": ("clip_id", "label"),
}
Index = npt.NDArray[np.int64]


@dataclass(frozen=True)
class ClipFacts:
    """duration_s_N: of the clip. loudness_N: NaN where unknown. author_N, look_N, tag_N: codes. sound_N: clips that sound alike,
    directly or by way of others, or have one song; -1 for all where the run's recipe did not listen. tags: names of tag_N.
    """

    duration_s_N: npt.NDArray[np.float64]
    loudness_N: npt.NDArray[np.float64]
    author_N: Index
    sound_N: Index
    look_N: Index
    tag_N: Index
    tags: tuple[str, ...]

    def arrays(self) -> dict[str, Any]:
        """All but the names."""
        return {name: value for name, value in vars(self).items() if name != "tags"}


def clip_facts(run: RunFolder, clips: pa.Table) -> ClipFacts:
    """clips: rows of the table `clips` in the order that is wanted."""
    clip_ids = clips["clip_id"].to_pylist()
    tag_N, tags = _codes([label or None for label in _of_clips(run, "labels", "label", clip_ids)])
    return ClipFacts(
        duration_s_N=np.asarray(pc.subtract(clips["end_s"], clips["start_s"]), np.float64),
        loudness_N=_loudness(clips),
        author_N=_codes(_authors(run, clip_ids))[0],
        sound_N=_sound(run, clip_ids, clips["song_id"].to_pylist()),
        look_N=_look(run, clip_ids),
        tag_N=tag_N,
        tags=tags,
    )


def _codes(names: Sequence[str | None]) -> tuple[Index, tuple[str, ...]]:
    known = sorted({name for name in names if name is not None})
    number = {name: code for code, name in enumerate(known)}
    return np.array([-1 if name is None else number[name] for name in names], np.int64), tuple(known)


def _of_clips(run: RunFolder, table: str, column: str, clip_ids: Sequence[str]) -> list[Any]:
    """One column of a table with a row a clip; None where the table or the row is missing."""
    rows = run.read_table(table, ["clip_id", column])
    found: Mapping[str, Any] = (
        {} if rows is None else dict(zip(*(rows[name].to_pylist() for name in ("clip_id", column)), strict=True))
    )
    return [found.get(clip_id) for clip_id in clip_ids]


def _loudness(clips: pa.Table) -> npt.NDArray[np.float64]:
    """The first measure, in order of name, that begins with LOUDNESS."""
    unknown = np.full(clips.num_rows, np.nan)
    if "measures" not in clips.column_names:
        return unknown
    measures = clips["measures"].combine_chunks()
    names = sorted(name for name in pc.unique(measures.keys).to_pylist() if name.startswith(LOUDNESS))
    if not names:
        return unknown
    found = pc.map_lookup(measures, query_key=pa.scalar(names[0]), occurrence="first")
    return np.array(pc.fill_null(found, np.nan), np.float64)


def _authors(run: RunFolder, clip_ids: Sequence[str]) -> list[str | None]:
    """A clip's id is '<platform>-<post_id>-<number>'."""
    posts = run.read_table("posts", [*TABLES["posts"]])
    rows = () if posts is None else zip(*(posts[name].to_pylist() for name in posts.column_names), strict=True)
    author = {f"{platform}-{post_id}": author_hash for platform, post_id, author_hash in rows}
    return [author.get(clip_id.rpartition("-")[0]) or None for clip_id in clip_ids]


def _sound(run: RunFolder, clip_ids: Sequence[str], song_ids: Sequence[str]) -> Index:
    listening = run.read_table("listening", [*TABLES["listening"]])
    if listening is None or not listening.num_rows:
        return np.full(len(clip_ids), -1, np.int64)
    row = listening.to_pylist()[-1]
    own = [[("clip", c), ("song", s)] for c, s in zip(clip_ids, song_ids, strict=True)]
    pairs = [[("clip", a), ("clip", b)] for a, b in zip(row["first"], row["second"], strict=True)]
    return np.array(groups([*own, *pairs])[: len(own)], np.int64)


def _look(run: RunFolder, clip_ids: Sequence[str]) -> Index:
    """A clip in no cluster is one by itself where copies were looked for, and unknown where they were not."""
    judged = run.settings().get("judge", {}).get("settings", {}).get("duplicates", {})
    searched = judged.get("keep", "none") != "none"
    clusters = _of_clips(run, "duplicates", "cluster", clip_ids)
    return _codes([cluster or (clip_id if searched else None) for cluster, clip_id in zip(clusters, clip_ids, strict=True)])[0]
