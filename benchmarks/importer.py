"""Bring your own features: one .npz file becomes a run folder, and everything downstream is the same as after a crawl.

The file holds N tracks (a track is one video with its music: one clip), each cut into segments of equal length, S segments in
all:

    array             shape                   meaning
    track_id          (N,) text               a name a track, unique
    track_song        (N,) text, optional     tracks with the same text share a song; without it every track has its own
    track_split       (N,) text, optional     'train', 'val' or 'test'; used when all three occur, else run with --folds
    segment_track     (S,) integer, optional  index into track_*; without it S = N and segment i belongs to track i
    segment_start_s   (S,) number, optional   where the segment begins in its track; needed with segment_track
    segment_s         one number, optional    length of a segment; default: the smallest step between two starts of a track,
                                              else 1
    video_NAME        (S, D), (S, R), (S, R, D)   a feature of the picture, as many as you like
    music_NAME        (S, D), (S, R), (S, R, D)   a feature of the music, as many as you like
    per_second        (M,) text, optional     names of the two-axis arrays that are (S, R): R values of one quantity, one
                                              after the other

(S, D) is one vector a segment. (S, R, D) is R vectors a segment, evenly spaced. A two-axis array is read as (S, R) when
per_second names it; where the file has no per_second, when its second axis is the length of a segment in whole seconds (above 1).
Numbers of any type; float32 is kept.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.npz import read_npz, texts
from svmbench.errors import BadInput
from svmbench.progress import Progress
from svmbench.records import Box, Clip, Features, Split, features_table, to_table
from svmbench.store import RunFolder, Writer, sha256_file

STAGE = "import"
PARTS = ("train", "val", "test")


@dataclass(frozen=True)
class Bundle:
    """A checked file. Features are (S, R, D) float32 with R >= 1."""

    track_ids: list[str]
    songs: list[str]
    splits: list[str]
    segment_track: np.ndarray
    start_s: np.ndarray
    segment_s: float
    features: Mapping[str, np.ndarray]


def import_features(path: Path, run: RunFolder, *, window_s: float | None = None, progress: Progress | None = None) -> None:
    """Writes the tables clips, features_NAME and, where the file has one, splits; and which feature is of which modality.

    window_s keeps the middle window_s seconds of each track (steps whose centre lies in it), so that features cannot tell
    the track's length; shorter tracks are kept whole. The same file again changes nothing; another file in the same run is
    refused.
    """
    if window_s is not None and not window_s > 0:
        raise BadInput(f"the window is {window_s:g} s and must be longer than 0")
    bundle = _checked(read_npz(path, "format: docs/features.md"), path)
    source = {"kind": "file", "sha256": sha256_file(path), "window_s": window_s}
    known = run.settings().get("import")
    if (known is not None and {"kind": "file", **known} != source) or (known is None and run.table_names()):
        raise BadInput(f"{run.path} holds other data already; choose another folder with --out")
    with (progress or Progress(quiet=True)).stage(STAGE, total=len(bundle.track_ids), unit="tracks") as stage:
        stage.summary.seen = len(bundle.track_ids)
        with run.writing(STAGE) as writer:
            done = writer.run.done_ids(STAGE)
            run.write_settings({"import": source, "features": {n: n.split("_", 1)[0] for n in bundle.features}})
            empty = set(range(len(bundle.track_ids))) - set(bundle.segment_track.tolist())
            if not done:
                _commit(writer, bundle, [t for t in range(len(bundle.track_ids)) if t not in empty], window_s)
        for _ in empty:
            stage.add(dropped="no_segments")
        stage.add(kept=len(bundle.track_ids) - len(empty))


def _checked(arrays: dict[str, np.ndarray], path: Path) -> Bundle:
    """The arrays in one form, or BadInput with the first thing that is wrong."""
    if "track_id" not in arrays or arrays["track_id"].ndim != 1 or not len(arrays["track_id"]):
        raise BadInput(f"{path}: the array track_id (one name a track) is missing or empty")
    tracks = texts(arrays["track_id"])
    if len(set(tracks)) < len(tracks):
        raise BadInput(f"{path}: track_id has {len(tracks) - len(set(tracks))} names twice")
    for name in ("track_song", "track_split"):
        if name in arrays and arrays[name].shape != (len(tracks),):
            raise BadInput(f"{path}: {name} has the shape {arrays[name].shape} and must be ({len(tracks)},), one a track")
    owner = arrays.get("segment_track", np.arange(len(tracks)))
    start = arrays.get("segment_start_s", np.zeros(owner.shape))
    if owner.ndim != 1 or owner.dtype.kind not in "iu" or not len(owner) or owner.min() < 0 or owner.max() >= len(tracks):
        raise BadInput(f"{path}: segment_track must hold whole numbers from 0 to {len(tracks) - 1}, one a segment")
    if (
        start.shape != owner.shape
        or start.dtype.kind not in "iuf"
        or ("segment_track" in arrays) != ("segment_start_s" in arrays)
        or not np.isfinite(start).all()
    ):
        raise BadInput(f"{path}: segment_track and segment_start_s belong together, one finite number a segment each")
    order = np.lexsort((start, owner))
    owner, start = owner[order].astype(np.int64), start[order].astype(np.float64)
    segment_s = _segment_s(arrays, owner, start, path)
    of_segment = [tracks[track] for track in arrays.get("segment_track", np.arange(len(tracks)))]
    for name in texts(arrays.get("per_second", np.empty(0)).reshape(-1)):
        if name not in arrays or not name.startswith(("video_", "music_")) or arrays[name].ndim != 2:
            raise BadInput(f"{path}: per_second names {name!r}, which is no feature with two axes in this file")
    features = {
        name: _feature(arrays, name, of_segment, segment_s, path)[order]
        for name in sorted(arrays)
        if name.startswith(("video_", "music_"))
    }
    if {n.split("_", 1)[0] for n in features} != {"video", "music"}:
        raise BadInput(f"{path}: needs at least one array video_NAME and one music_NAME; it has {', '.join(sorted(arrays))}")
    splits = texts(arrays.get("track_split", np.empty(0)))
    if set(splits) - set(PARTS):
        raise BadInput(f"{path}: track_split has {sorted(set(splits) - set(PARTS))[0]!r}; allowed: {', '.join(PARTS)}")
    songs = texts(arrays.get("track_song", arrays["track_id"]))
    return Bundle(tracks, songs, splits, owner, start, segment_s, features)


def _segment_s(arrays: dict[str, np.ndarray], owner: np.ndarray, start: np.ndarray, path: Path) -> float:
    """Length of a segment; BadInput where it is not positive or segments of a track overlap."""
    steps = np.diff(start)[np.diff(owner) == 0]
    found = arrays.get("segment_s", steps.min() if len(steps) else 1.0)
    length = float(found) if np.ndim(found) == 0 and np.asarray(found).dtype.kind in "iuf" else float("nan")
    if not 0 < length < np.inf or (len(steps) and steps.min() < length - 1e-6):
        raise BadInput(f"{path}: segments of one track overlap or have no length; check segment_start_s and segment_s")
    return length


def _feature(arrays: dict[str, np.ndarray], name: str, of_segment: list[str], segment_s: float, path: Path) -> np.ndarray:
    """(S, R, D) float32. of_segment: the track of each segment."""
    values, num_segments = arrays[name], len(of_segment)
    if not re.fullmatch(r"[\w.-]+", name):
        raise BadInput(f"{path}: {name!r} cannot be the name of a feature; use letters, digits, '_', '.' and '-'")
    if values.ndim not in (2, 3) or len(values) != num_segments or 0 in values.shape or values.dtype.kind not in "iufb":
        raise BadInput(
            f"{path}: {name} has the shape {values.shape} of {values.dtype}; it must be numbers with two or three axes and "
            f"{num_segments} segments first"
        )
    with np.errstate(over="ignore"):
        values = values.astype(np.float32)
    bad = np.flatnonzero(~np.isfinite(values.reshape(num_segments, -1)).all(axis=1))
    if len(bad):
        raise BadInput(
            f"{path}: {name} is not finite in {len(bad)} segments, first in segment {bad[0]} (track {of_segment[bad[0]]!r})"
        )
    if values.ndim == 3:
        return values
    named = texts(arrays["per_second"].reshape(-1)) if "per_second" in arrays else None
    rate = values.shape[1] == round(segment_s) > 1 if named is None else name in named
    return values[:, :, None] if rate else values[:, None, :]


def _commit(writer: Writer, bundle: Bundle, tracks: list[int], window_s: float | None) -> None:
    clips, rows = [], {name: [] for name in bundle.features}  # type: tuple[list[Clip], dict[str, list[tuple[str, Features]]]]
    for track in tracks:
        segments = slice(*np.searchsorted(bundle.segment_track, [track, track + 1]))
        start, end = bundle.start_s[segments][0], bundle.start_s[segments][-1] + bundle.segment_s
        if window_s is not None and end - start > window_s:
            start, end = (start + end - window_s) / 2, (start + end + window_s) / 2
        clip_id = f"import-{bundle.track_ids[track]}-0"
        clips.append(
            Clip(
                clip_id=clip_id, post_id=bundle.track_ids[track], song_id=f"import:{bundle.songs[track]}", start_s=start,
                end_s=end, fps=None, width_px=0, height_px=0, box=Box(left_px=0, top_px=0, width_px=0, height_px=0), media="",
            )
        )  # fmt: skip
        for name, values in bundle.features.items():
            rows[name].append((clip_id, _window(values[segments], bundle.start_s[segments], bundle.segment_s, (start, end))))
    tables = {"clips": to_table(Clip, clips), **{f"features_{n}": features_table(r) for n, r in rows.items()}}
    if set(bundle.splits) == set(PARTS):
        part_of = {c.clip_id: bundle.splits[t] for c, t in zip(clips, tracks, strict=True)}
        parts = [Split(name=p, clip_ids=tuple(c for c in part_of if part_of[c] == p), grouped_by="file") for p in PARTS]
        tables["splits"] = to_table(Split, parts)
    writer.commit([c.clip_id for c in clips], tables)


def _window(values: np.ndarray, start_s: np.ndarray, segment_s: float, window: tuple[float, float]) -> Features:
    """The steps of a track whose centres lie in the window; the nearest one where there is none."""
    num_segments, num_steps, dim = values.shape
    hop_s = segment_s / num_steps
    time_s = (start_s[:, None] + hop_s * (np.arange(num_steps) + 0.5)).ravel()
    kept = (time_s >= window[0]) & (time_s < window[1])
    if not kept.any():
        kept[np.argmin(np.abs(time_s - sum(window) / 2))] = True
    steps = np.ascontiguousarray(values.reshape(num_segments * num_steps, dim)[kept])
    return Features(values_TD=steps, hop_s=hop_s, start_s=float(time_s[kept][0] - hop_s / 2))
