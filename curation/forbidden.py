"""The last look at a release before it leaves the machine: what must not be in it.

It reads the files as they were written: columns against a list of allowed ones, ids against their shape, every text against the
signs of a user name or a local path, every file against the first bytes of media.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from curation.published import FEATURES, IDS, MEASURE, METADATA, OPAQUE, SPLITS
from svmbench.errors import BadInput

ALLOWED_COLUMNS = {
    "metadata": {name for name, _ in METADATA},
    "splits": {name for name, _ in SPLITS},
    "ids": {name for name, _ in IDS},
    "features": set(FEATURES),
}
SUFFIXES = (".md", ".yaml", ".json", ".csv", ".sha256", ".parquet")
HANDLE = re.compile(r"(?<![\w.+-])@\w")  # a user name; before the '@' of an e-mail address stands a word character
JSON_LD_KEY = re.compile(r'"@[a-zA-Z]+"\s*:')  # the keys of Croissant's JSON-LD are no user names
LOCAL_PATH = re.compile(r"(?:^|[\s\"'=(\[,`])(?:/(?:[\w.+-]+/)+|[A-Za-z]:\\|~/|file:/)", re.MULTILINE)
MEDIA = (
    (4, b"ftyp"), (0, b"\x1aE\xdf\xa3"), (0, b"RIFF"), (0, b"OggS"), (0, b"fLaC"), (0, b"ID3"), (0, b"\xff\xfb"),
    (0, b"\xff\xf1"), (0, b"\xff\xd8\xff"), (0, b"\x89PNG"), (0, b"GIF8"),
)  # fmt: skip
PLAIN = (pa.types.is_string, pa.types.is_integer, pa.types.is_floating)


def scan(folder: Path, paths: Iterable[str], *, captions: bool) -> None:
    """BadInput, naming the file and the find, if any of these files of a release holds what is never published."""
    for path in paths:
        file = folder / path
        with open(file, "rb") as handle:
            start = handle.read(16)
        if any(start[at : at + len(magic)] == magic for at, magic in MEDIA) or not path.endswith(SUFFIXES):
            raise BadInput(
                f"{path} in the release is media or of an unknown kind; a release has only {', '.join(SUFFIXES)} files"
            )
        if path.endswith(".parquet"):
            _scan_parquet(file, path, captions=captions)
        else:
            _scan_text(_text(file, path), path)


def _text(file: Path, path: str) -> str:
    try:
        return file.read_text("utf-8")
    except UnicodeDecodeError as error:
        raise BadInput(f"{path} in the release is not text") from error


def _scan_text(text: str, where: str) -> None:
    text = JSON_LD_KEY.sub("", text) if where.endswith(".json") else text
    for pattern, what in ((HANDLE, "a user name"), (LOCAL_PATH, "a local path")):
        found = pattern.search(text)
        if found:
            near = text[max(0, found.start() - 10) : found.end() + 20]
            raise BadInput(f"{where} in the release holds {what} ({near!r}); it is never published, take it out of the recipe")


def _scan_parquet(file: Path, path: str, *, captions: bool) -> None:
    try:
        source = pq.ParquetFile(file)
    except pa.ArrowInvalid as error:
        raise BadInput(f"{path} in the release is not a Parquet file") from error
    kind = path.split("/")[0].split("_")[0]
    allowed = ALLOWED_COLUMNS.get(kind, set()) | ({"caption"} if captions and kind == "metadata" else set())
    texts = []
    for field in source.schema_arrow:
        if field.name not in allowed and not (kind == "metadata" and field.name.startswith(MEASURE)):
            raise BadInput(f"{path} in the release has the column {field.name!r}, which is not among what may be published")
        plain = field.type.value_type if pa.types.is_list(field.type) or pa.types.is_fixed_size_list(field.type) else field.type
        if not any(is_kind(plain) for is_kind in PLAIN):
            raise BadInput(f"{path} in the release has the column {field.name!r} of type {field.type}, neither text nor numbers")
        texts += [field.name] if pa.types.is_string(plain) else []
    for batch in source.iter_batches(65536, columns=texts):
        for name in texts:
            _scan_column(name, _strings(batch[name]), path)


def _strings(column: pa.Array) -> set[str]:
    flat = column.flatten() if pa.types.is_list(column.type) else column
    return {text for text in flat.to_pylist() if text is not None}


def _scan_column(name: str, texts: set[str], path: str) -> None:
    if name in ("clip_id", "song_id"):
        bad = next((text for text in sorted(texts) if not re.fullmatch(OPAQUE, text)), None)
        if bad is not None:
            raise BadInput(f"{path} in the release has the {name} {bad!r}, which is not an opaque id")
    else:
        _scan_text("\n".join(sorted(texts)), f"{path}, column {name},")
