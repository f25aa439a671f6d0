"""The rows that travel between the stages: frozen, keyword-only, and each with its Arrow schema.

Units stand in the names: `_s` seconds, `_px` pixels, `_hz`, `_fps`. Times are UTC in ISO 8601. A value that could not be measured
is None, never -1 and never 0.
"""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa

V2M = "video_to_music"
M2V = "music_to_video"
DIRECTIONS = (V2M, M2V)


@dataclass(frozen=True, slots=True, kw_only=True)
class Post:
    """An upload as it was found; never edited. No names and no avatars: `author_hash` is a keyed hash.

    likes_exact says that `likes` was read from the data of the page and not from a rounded card. sha256 names the fetched file
    in the run's media store, None where there are no media (a search by an interface that gives none). track_original marks the
    uploader's own sound. likes, views, comments, shares, saves: as counted at fetched_at; None where the platform does not say.
    """

    platform: str
    post_id: str
    url: str
    words: tuple[str, ...]
    caption: str
    hashtags: tuple[str, ...]
    likes: int | None
    likes_exact: bool
    track_id: str | None
    track_title: str | None
    track_original: bool
    duration_s: float | None
    posted_at: str | None
    fetched_at: str | None
    sha256: str | None
    author_hash: str | None
    views: int | None = None
    comments: int | None = None
    shares: int | None = None
    saves: int | None = None

    @property
    def key(self) -> str:
        """'platform:post_id': the id of a post in the frontier, done-markers, drops and opt-out lists."""
        return f"{self.platform}:{self.post_id}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Box:
    """The picture inside the border, in source pixels."""

    left_px: int
    top_px: int
    width_px: int
    height_px: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Clip:
    """The curated stretch of a post: the unit of retrieval. A new filter adds a key to `measures`, never a field.

    clip_id: '<platform>-<post_id>-<number>'; the number is 0 but where a post is cut into several clips.
    start_s, end_s: in the media file. width_px, height_px: of the whole picture, of which `box` is the part inside the border.
    media: sha256 of the file in the run's media store. Clips of imported features have no media (''), no fps and sizes of 0.
    """

    clip_id: str
    post_id: str
    song_id: str
    start_s: float
    end_s: float
    fps: float | None
    width_px: int
    height_px: int
    box: Box
    media: str
    measures: Mapping[str, float | None] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """A filter's answer. `value` is what was measured, None when it could not be measured.

    review: the filter is in doubt and a person should decide; `keep` is then False, and the recipe says what happens meanwhile.
    """

    keep: bool
    reason: str
    value: float | None
    review: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Drop:
    """One row for every post that was left out, errors included: nothing vanishes.

    id: 'platform:post_id'. Where a post is cut into several clips (recipe: clip.segment_s), the stage 'judge' drops them one by
    one: the first as 'platform:post_id', the clip '...-2' as 'platform:post_id#2'. stage: 'search', 'fetch', 'curate'
    (decoding) or 'judge' (rules and duplicates). reason: a short stable word. kind: 'rule' when a rule of the recipe refused
    it, 'failure' when it could not be fetched, decoded or measured. value: what the rule was held against, None where nothing
    was measured. detail: for a person, or JSON of all measures.
    """

    id: str
    stage: str
    kind: str
    reason: str
    value: float | None = None
    detail: str = ""

    @property
    def post(self) -> str:
        """'platform:post_id'; no platform has a # in its ids."""
        return self.id.partition("#")[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class ClipPicture:
    """What one decoding told of a clip's picture beyond its measures; kept for every clip that could be decoded.

    border_kinds, border_confidences: of the left, top, right and bottom side (curation.border.Side). cut_times_s: the first frame
    after each cut. hashes: 256-bit PDQ of frames inside the box at hash_times_s, 32 bytes each; hash_qualities in [0, 100];
    hash_layouts: a second hash of 32 bytes for frames that are all soft shades, none for the others (curation.hashes).
    """

    clip_id: str
    border_method: str
    border_kinds: tuple[str, ...]
    border_confidences: tuple[float, ...]
    cut_times_s: tuple[float, ...]
    hash_times_s: tuple[float, ...]
    hashes: tuple[bytes, ...]
    hash_qualities: tuple[int, ...]
    hash_layouts: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Thumbnails:
    """Small JPEG pictures of the whole frame, border included, for pages on this machine; never published."""

    clip_id: str
    times_s: tuple[float, ...]
    jpegs: tuple[bytes, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ClipSound:
    """What one decoding told of a clip's sound beyond its measures; kept for every clip that could be decoded.

    Times count from the start of the clip. peaks: the loudest sample of each peak_hop_s, a byte each, 255 at full scale; empty
    without sound. errors: measure -> what went wrong, for each measure that could not be taken because its detector failed.
    """

    clip_id: str
    peaks: bytes
    peak_hop_s: float
    speech_starts_s: tuple[float, ...]
    speech_ends_s: tuple[float, ...]
    beats_s: tuple[float, ...]
    errors: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fingerprint:
    """What tells a clip's song from others: little-endian words of curation.fingerprint, empty where there is no sound."""

    clip_id: str
    words: bytes
    landmarks: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Song:
    """The song of a clip, and how it is known.

    source: 'platform' (its track id), 'fingerprint' (it sounds like another clip of the song), 'alone' (nothing known shares it).
    match_score: of the fingerprint's best match within the song, in [0, 1]; None where none was needed.
    """

    clip_id: str
    song_id: str
    source: str
    match_score: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Listening:
    """Which pairs of all clips of a run sound like one song, the best pair first; one row a run (curation.song_search).

    digest: of all that decides it. first, second: clip_ids in order. scores: in [0, 1].
    """

    digest: str
    first: tuple[str, ...]
    second: tuple[str, ...]
    scores: tuple[float, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleVerdict:
    """What the rules alone say of a candidate, before any person: 'keep', 'review' or 'drop', by which filter, why and on what
    value. A clip that a failure keeps out has none."""

    clip_id: str
    verdict: str
    filter: str
    reason: str
    value: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Duplicate:
    """A clip that shows the same video as others. cluster: the clip_id of the best copy; kept: whether this clip stays.

    match_share: share of frames that match the nearest other member of the cluster, in [0, 1].
    """

    clip_id: str
    cluster: str
    kept: bool
    match_share: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Label:
    """The unified label of a clip: that of its song (curation.labels). None where its song has no tag that can be one.

    score: the tag's TF-IDF within the song, at least 0; None without a label. For pre-training only: no query, gallery or score
    may read it.
    """

    clip_id: str
    label: str | None
    score: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """One part of a split ('train', 'val', 'test').

    grouped_by: what does not stand in two parts, joined by '+': 'song+near-duplicate+post+media+author'; 'none' where clips fell
    by chance, one by one; 'file' where the user's own file said which clip is in which part; 'song' or 'post' in older runs.
    rule: 'strict' (a leak raises) or 'as_published' (may leak by design); None in older runs and for a user's own file.
    sha256: of the whole split, the same in all of its parts (curation.split.digest).
    """

    name: str
    clip_ids: tuple[str, ...]
    grouped_by: str
    rule: str | None = None
    sha256: str | None = None

    def keeps(self, key: str) -> bool:
        """Whether the split was made so that this ('song', 'author', ...) does not stand in two parts."""
        return key in self.grouped_by.split("+")


@dataclass(frozen=True, slots=True, kw_only=True)
class RetrievalTask:
    """Rank the gallery for each query. Ids carry the prefix 'v:' (clip) or 'm:' (song), so they can never be equal.

    positives[i] are the gallery ids that count as right for query_ids[i]: all of the same song.
    revision: sha256 over the data that define the task.
    """

    dataset: str
    revision: str
    split: str
    direction: str
    query_ids: tuple[str, ...]
    gallery_ids: tuple[str, ...]
    positives: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """One cell of the leaderboard. `value` is None where the metric is not defined; ci95 is (low, high) or None.

    metric: the metric's file name, with its cut-off where it has one: 'recall@10', 'median_rank'. Recalls are shares in [0, 1].
    kind: 'chance', 'control' where the row cannot know the pairing of video and music by design, else 'measured'.
    split: 'test', or '10-fold' where every clip was tested once in its own fold; then num_queries counts all folds,
    gallery_size is the mean of the folds' galleries, rounded, and wall_s their sum. ci95: over songs drawn with replacement.
    checks: integrity checks that failed, empty when all passed. num_params: numbers that the training part decided (weights,
    projections). wall_s: fitting, scoring and checking.
    """

    dataset: str
    revision: str
    split: str
    direction: str
    gallery_size: int
    num_queries: int
    kind: str
    baseline: str
    variant: str
    settings_hash: str
    seed: int
    metric: str
    value: float | None
    ci95: tuple[float, float] | None
    checks: tuple[str, ...]
    num_params: int
    commit: str
    device: str
    wall_s: float


T = TypeVar("T")
_SCALARS = {str: pa.string(), int: pa.int64(), float: pa.float64(), bool: pa.bool_(), bytes: pa.binary()}


def arrow_type(hint: Any) -> pa.DataType:
    """The Arrow type of a field annotation: scalars, X | None, tuple[X, ...], tuple[X, X], Mapping[str, X], a nested record."""
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if hint in _SCALARS:
        return _SCALARS[hint]
    if dataclasses.is_dataclass(hint):
        return pa.struct(list(schema_of(typing.cast(type, hint))))
    if origin in (typing.Union, types.UnionType):
        return arrow_type(next(a for a in args if a is not type(None)))
    if origin is tuple:
        return pa.list_(arrow_type(args[0]))
    if origin is not None and issubclass(origin, Mapping):
        return pa.map_(arrow_type(args[0]), arrow_type(args[1]))
    raise TypeError(f"no Arrow type for {hint!r}")


@lru_cache
def _hints(cls: type) -> dict[str, Any]:
    """The field annotations of a record class, evaluated once and not for every row."""
    return typing.get_type_hints(cls)


@lru_cache
def _defaulted(cls: type) -> frozenset[str]:
    missing = dataclasses.MISSING
    return frozenset(f.name for f in dataclasses.fields(cls) if f.default is not missing or f.default_factory is not missing)


@lru_cache
def schema_of(cls: type) -> pa.Schema:
    """The Arrow schema of a record class, in field order."""
    hints = _hints(cls)
    return pa.schema([pa.field(f.name, arrow_type(hints[f.name])) for f in dataclasses.fields(cls)])


def to_table(cls: type, rows: Iterable[Any]) -> pa.Table:
    """Records of one class as an Arrow table."""
    return pa.Table.from_pylist([dataclasses.asdict(row) for row in rows], schema=schema_of(cls))


def from_table(cls: type[T], table: pa.Table) -> list[T]:
    """Arrow rows back as records; the opposite of to_table."""
    return [_record(cls, row) for row in table.to_pylist()]


def _record(cls: type[T], row: Mapping[str, Any]) -> T:
    """A column that the table of an older run lacks takes the field's default, or None where it has none."""
    hints = _hints(typing.cast(Any, cls))
    given = [name for name in hints if name in row or name not in _defaulted(typing.cast(Any, cls))]
    return cls(**{name: _value(hints[name], row.get(name)) for name in given})


def _value(hint: Any, value: Any) -> Any:
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if value is None:
        return None
    if dataclasses.is_dataclass(hint):
        return _record(typing.cast(type, hint), value)
    if origin in (typing.Union, types.UnionType):
        return _value(next(a for a in args if a is not type(None)), value)
    if origin is tuple:
        return tuple(_value(args[0], v) for v in value)
    if origin is not None and isinstance(origin, type) and issubclass(origin, Mapping):
        return dict(value)
    return value


@dataclass(frozen=True, slots=True, kw_only=True)
class Features:
    """One feature of one clip: values_TD float32, T steps of D dimensions; step t covers start_s + t * hop_s onwards.

    A feature of the whole clip has T = 1 and hop_s equal to the clip's length.
    """

    values_TD: np.ndarray
    hop_s: float
    start_s: float = 0.0

    def __post_init__(self) -> None:
        if self.values_TD.ndim != 2 or self.values_TD.dtype != np.float32:
            raise TypeError(f"features must be float32 of shape (T, D), not {self.values_TD.dtype} {self.values_TD.shape}")


FEATURES_SCHEMA = pa.schema(
    [
        ("clip_id", pa.string()),
        ("hop_s", pa.float64()),
        ("start_s", pa.float64()),
        ("num_steps", pa.int64()),
        ("dim", pa.int64()),
        ("values", pa.list_(pa.float32())),  # T x D in row order
    ]
)


def features_table(rows: Iterable[tuple[str, Features]]) -> pa.Table:
    """(clip_id, Features) as an Arrow table; the run folder keeps one table 'features_NAME' a feature."""
    dicts = [
        {
            "clip_id": clip_id,
            "hop_s": f.hop_s,
            "start_s": f.start_s,
            "num_steps": f.values_TD.shape[0],
            "dim": f.values_TD.shape[1],
            "values": f.values_TD.ravel(),
        }
        for clip_id, f in rows
    ]
    return pa.Table.from_pylist(dicts, schema=FEATURES_SCHEMA)


def features_from_table(table: pa.Table) -> dict[str, Features]:
    """The opposite of features_table, keyed by clip_id."""
    values = table["values"].combine_chunks()
    flat = np.asarray(values.flatten(), dtype=np.float32)
    offsets = np.concatenate([[0], np.cumsum(np.asarray(table["num_steps"]) * np.asarray(table["dim"]))]).astype(int)
    found = {}
    for i, row in enumerate(table.drop_columns(["values"]).to_pylist()):
        block = flat[offsets[i] : offsets[i + 1]].reshape(row["num_steps"], row["dim"])
        found[row["clip_id"]] = Features(values_TD=block, hop_s=row["hop_s"], start_s=row["start_s"])
    return found
