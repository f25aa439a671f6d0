"""What belongs together in a run: clips of one song, copies of one video, kinds of border, parts of the split."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from curation.audit import Audit
from curation.report.measures import quantiles
from svmbench.records import Clip, Duplicate, Song, Split

SIDES = 4


def songs(clips: Sequence[Clip], known: Sequence[Song]) -> dict[str, Any]:
    """reuse: number of clips that share a song -> number of such songs, of the clips that were kept.

    sources: how the songs of the kept clips are known; empty where the run has no table of songs.
    """
    shared = Counter(clip.song_id for clip in clips)
    kept = {clip.clip_id for clip in clips}
    rows = [song for song in known if song.clip_id in kept]
    sources = Counter(song.source for song in rows)
    return {
        "num_clips": len(clips),
        "num_songs": len(shared),
        "largest": max(shared.values(), default=0),
        "reuse": counted(shared.values()),
        "sources": [
            {"source": source, "clips": n} for source, n in sorted(sources.items(), key=lambda item: (-item[1], item[0]))
        ],
        "match_score": quantiles([song.match_score for song in rows if song.match_score is not None]),
    }


def counted(sizes: Iterable[int]) -> list[dict[str, int]]:
    """How often each size occurs, by rising size."""
    return [{"size": size, "number": n} for size, n in sorted(Counter(sizes).items())]


def duplicates(rows: Sequence[Duplicate]) -> dict[str, Any]:
    """Clusters of the same video. dropped: members that did not stay."""
    sizes = Counter(row.cluster for row in rows)
    return {
        "num_clusters": len(sizes),
        "num_clips": len(rows),
        "dropped": sum(not row.kept for row in rows),
        "sizes": counted(sizes.values()),
        "match_share": quantiles([row.match_share for row in rows]),
    }


def borders(kinds_of: Mapping[str, Sequence[str]], kept: Collection[str]) -> list[dict[str, Any]]:
    """For each kind of border, clips that have it on some side; 'none' are the clips without any border. kinds_of: by clip_id."""
    found: dict[str, list[tuple[int, bool]]] = defaultdict(list)
    for clip_id, kinds in kinds_of.items():
        sides = Counter(kind for kind in kinds if kind != "none") or Counter({"none": 0})
        for kind, n in sides.items():
            found[kind].append((n, clip_id in kept))
    return [
        {
            "kind": kind, "clips": len(rows), "kept": sum(stays for _, stays in rows),
            "sides": counted(n for n, _ in rows) if kind != "none" else [],
        }
        for kind, rows in sorted(found.items(), key=lambda item: (item[0] == "none", -len(item[1]), item[0]))
    ]  # fmt: skip


def parts(splits: Sequence[Split], clips: Sequence[Clip], found: Audit | None) -> dict[str, Any]:
    """The parts of the split, and its audit without what the things are. in_no_part: clips that are in none of the parts. Without
    a split, `parts` is empty and the rest None."""
    by_id = {clip.clip_id: clip for clip in clips}
    total = sum(len(part.clip_ids) for part in splits)
    rows = []
    for part in splits:
        inside = [by_id[clip_id] for clip_id in part.clip_ids if clip_id in by_id]
        rows.append(
            {
                "name": part.name, "clips": len(part.clip_ids), "share": len(part.clip_ids) / total if total else 0.0,
                "songs": len({clip.song_id for clip in inside}), "hours": sum(c.end_s - c.start_s for c in inside) / 3600,
            }
        )  # fmt: skip
    return {
        "rule": splits[0].rule if splits else None,
        "grouped_by": splits[0].grouped_by if splits else None,
        "sha256": splits[0].sha256 if splits else None,
        "parts": rows,
        "audit": _audit(found) if found else None,
        "in_no_part": len(by_id.keys() - {clip_id for part in splits for clip_id in part.clip_ids}),
    }


def _audit(found: Audit) -> dict[str, Any]:
    kinds = found.as_json()["kinds"]
    rows = [{"kind": name, **{key: value for key, value in kind.items() if key != "things"}} for name, kind in kinds.items()]
    return {"leaks": found.leaks, "line": found.line(), "kinds": rows, "remarks": list(found.remarks)}
