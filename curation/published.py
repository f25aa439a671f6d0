"""Which rows of a run may be published, under which ids, and in which part of the split.

Never: media, names, avatars, captions (unless the recipe says so), hashtags, likes, URLs, local paths, author hashes.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from svmbench.errors import BadInput, Leak
from svmbench.records import Clip, Post, Split
from svmbench.store import RunFolder, disk_errors

KEY_FILE = "release.key"
PARTS = {"train": "train", "val": "validation", "test": "test"}  # our parts -> the names that dataset viewers know
ROW_GROUP_BYTES = 8 * 2**20  # ours; viewers refuse row groups of a few hundred MB, and readers hold one at a time
OPAQUE = r"[cs][0-9a-f]{20}"  # 80 bits: no two of a million clips meet
MEASURE = "measure_"
METADATA = (
    ("clip_id", pa.string()), ("song_id", pa.string()), ("words", pa.list_(pa.string())), ("duration_s", pa.float64()),
    ("start_s", pa.float64()), ("end_s", pa.float64()), ("fps", pa.float64()), ("width_px", pa.int64()),
    ("height_px", pa.int64()), ("box_left_px", pa.int64()), ("box_top_px", pa.int64()), ("box_width_px", pa.int64()),
    ("box_height_px", pa.int64()),
)  # fmt: skip
SPLITS = (("clip_id", pa.string()), ("song_id", pa.string()), ("grouped_by", pa.string()))
IDS = (("clip_id", pa.string()), ("platform", pa.string()), ("post_id", pa.string()), ("track_id", pa.string()))
FEATURES = ("clip_id", "hop_s", "start_s", "num_steps", "dim", "values")


class Opaque:
    """Ids that say nothing: keyed hashes. The key stays in the run folder, so that the ids are the same in every release."""

    def __init__(self, run: RunFolder) -> None:
        path = run.path / KEY_FILE
        if not path.exists():
            with disk_errors(path), open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as handle:
                handle.write(os.urandom(32).hex())
        try:
            self._key = bytes.fromhex(path.read_text().strip())
        except ValueError:
            self._key = b""
        if len(self._key) != 32:
            raise BadInput(f"{path} is damaged; put back a copy, or delete it and accept that all published ids change")

    def clip(self, clip_id: str) -> str:
        return "c" + self._hash(clip_id, b"clip")

    def song(self, song_id: str) -> str:
        return "s" + self._hash(song_id, b"song")

    def _hash(self, text: str, person: bytes) -> str:
        return hashlib.blake2b(text.encode(), digest_size=10, key=self._key, person=person).hexdigest()


def kept_apart(part: Split) -> list[str]:
    """What may not stand in two parts of this split, of what a release looks at: always the clip itself; the post and the media
    file unless the split is as a paper published it; and what it is grouped by."""
    kinds = {"clip": True, "post": part.keeps("post"), "media file": part.keeps("media"), "song": part.keeps("song")}
    strict = part.rule != "as_published"
    return [kind for kind, kept in kinds.items() if kept or (strict and kind != "song")]


def audit(splits: Iterable[Split], clips: Mapping[str, Clip]) -> list[str]:
    """Raises Leak, naming the pair, if two parts share what they may not (kept_apart); returns warnings.

    What else is shared, such as songs where the split is not grouped by song, is what was asked for: a warning gives the number.
    """
    first: dict[tuple[str, str], tuple[str, str]] = {}
    shared: dict[str, set[str]] = {}
    grouped_by = ""
    for part in splits:
        grouped_by, refused = part.grouped_by, kept_apart(part)
        for clip_id in part.clip_ids:
            if clip_id not in clips:
                raise BadInput(
                    f"part {part.name!r} of the split names {clip_id}, which is no clip of this run; run 'svmbench curate'"
                )
            clip = clips[clip_id]
            marks = {"clip": clip_id, "post": clip_id.rpartition("-")[0], "media file": clip.media, "song": clip.song_id}
            for kind, value in marks.items():
                where, other = first.setdefault((kind, value), (part.name, clip_id))
                if where == part.name or not value:
                    continue
                if kind in refused:
                    raise Leak(
                        f"the split leaks: {other} ({where}) and {clip_id} ({part.name}) have the same {kind}; "
                        "nothing was written, the split must be made anew"
                    )
                shared.setdefault(kind, set()).add(value)
    return [
        f"{len(values)} {kind}s stand in several parts, because the split is grouped by {grouped_by}"
        for kind, values in shared.items()
    ]


def part_names(splits: Iterable[Split]) -> dict[str, str]:
    """Our name of each part that has clips -> its public name."""
    names = {part.name: PARTS.get(part.name, part.name) for part in splits if part.clip_ids}
    for name in names.values():
        if not re.fullmatch(r"[a-z][a-z0-9_]*", name) or name == "all":
            raise BadInput(f"part {name!r} of the split cannot be published; use lower-case letters, digits and '_'")
    return names


def metadata(rows: list[tuple[Clip, Post | None]], opaque: Opaque, *, captions: bool) -> pa.Table:
    """One row a clip: what it is, its song, and every measure as a column of its own."""
    measures = sorted({name for clip, _ in rows for name in clip.measures})
    schema = pa.schema(
        [*METADATA, *([("caption", pa.string())] if captions else []), *((MEASURE + m, pa.float64()) for m in measures)]
    )
    return pa.Table.from_pylist([_metadata_row(clip, post, opaque) for clip, post in rows], schema=schema)


def _metadata_row(clip: Clip, post: Post | None, opaque: Opaque) -> dict[str, Any]:
    """`caption` loses mentions and links; the schema leaves it out where the recipe does."""
    box = clip.box
    return {
        "clip_id": opaque.clip(clip.clip_id), "song_id": opaque.song(clip.song_id), "words": list(post.words) if post else [],
        "duration_s": clip.end_s - clip.start_s, "start_s": clip.start_s, "end_s": clip.end_s, "fps": clip.fps,
        "width_px": clip.width_px, "height_px": clip.height_px, "box_left_px": box.left_px, "box_top_px": box.top_px,
        "box_width_px": box.width_px, "box_height_px": box.height_px,
        "caption": re.sub(r"\S*(@|://)\S*", "", post.caption).strip() if post else None,
        **{MEASURE + name: value for name, value in clip.measures.items()},
    }  # fmt: skip


def split_rows(clips: list[Clip], grouped_by: str, opaque: Opaque) -> pa.Table:
    """One row a clip of one part."""
    rows = [{"clip_id": opaque.clip(c.clip_id), "song_id": opaque.song(c.song_id), "grouped_by": grouped_by} for c in clips]
    return pa.Table.from_pylist(rows, schema=pa.schema(SPLITS))


def ids(rows: list[tuple[Clip, Post | None]], opaque: Opaque) -> pa.Table:
    """Opaque id -> the platform's own ids; only of posts that have a public address, so no local file names."""
    public = [(clip, post) for clip, post in rows if post and post.url.startswith(("http://", "https://"))]
    dicts = [
        {"clip_id": opaque.clip(clip.clip_id), "platform": post.platform, "post_id": post.post_id, "track_id": post.track_id}
        for clip, post in public
    ]
    return pa.Table.from_pylist(dicts, schema=pa.schema(IDS))


def write_features(run: RunFolder, table_name: str, part_of: Mapping[str, str], folder: Path, opaque: Opaque) -> dict[str, int]:
    """Streams a table of features into one Parquet file a part; part_of: clip_id -> public part. Returns rows a part.

    `values` becomes a fixed-size list where all clips have the same T x D.
    """
    sources = run.table_parts(table_name)
    sizes = {size for source in sources for size in _sizes(source)}
    values_type = pa.list_(pa.float32(), sizes.pop() if len(sizes) == 1 else -1)
    writers: dict[str, Shard] = {}
    try:
        for table in (
            pa.Table.from_batches([batch]) for source in sources for batch in pq.ParquetFile(source).iter_batches(1024)
        ):
            where = [part_of.get(clip_id) for clip_id in table["clip_id"].to_pylist()]
            for part in sorted({part for part in where if part}):
                rows = _feature_rows(table.filter(pa.array([w == part for w in where])), values_type, opaque)
                writers.setdefault(part, Shard(folder / f"{part}.parquet")).add(rows)
    finally:
        for shard in writers.values():
            shard.close()
    return {part: shard.num_rows for part, shard in writers.items()}


def _sizes(source: Path) -> set[int]:
    """The different T x D in one part of a feature table."""
    shape = pq.read_table(source, columns=["num_steps", "dim"])
    return set(pc.unique(pc.multiply(shape["num_steps"], shape["dim"])).to_pylist())


def _feature_rows(table: pa.Table, values_type: pa.DataType, opaque: Opaque) -> pa.Table:
    """Rows of a feature table with public ids."""
    clip_ids = pa.array([opaque.clip(clip_id) for clip_id in table["clip_id"].to_pylist()], pa.string())
    columns = {"clip_id": clip_ids, **{n: table[n] for n in FEATURES[1:-1]}, "values": table["values"].cast(values_type)}
    return pa.table(columns)


class Shard:
    """One Parquet file, written in row groups of about ROW_GROUP_BYTES, so memory does not grow with the number of rows."""

    def __init__(self, path: Path) -> None:
        self.path, self.num_rows = path, 0
        self._waiting: list[pa.Table] = []
        self._writer: pq.ParquetWriter | None = None

    def add(self, table: pa.Table) -> None:
        self.num_rows += table.num_rows
        self._waiting.append(table)
        if sum(waiting.nbytes for waiting in self._waiting) >= ROW_GROUP_BYTES:
            self._flush()

    def _flush(self) -> None:
        group = pa.concat_tables(self._waiting).combine_chunks()
        self._waiting = []
        if self._writer is None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._writer = pq.ParquetWriter(self.path, group.schema, compression="zstd")
        rows = max(1, int(group.num_rows * ROW_GROUP_BYTES / max(group.nbytes, 1)))
        self._writer.write_table(group, row_group_size=rows)

    def close(self) -> None:
        if self._waiting:
            self._flush()
        if self._writer:
            self._writer.close()


def write_rows(table: pa.Table, path: Path) -> int:
    """A small table as one Parquet file; returns its rows."""
    shard = Shard(path)
    shard.add(table)
    shard.close()
    return table.num_rows
