"""Media files by their names: what the platform `folder` and the embedded platform's media_dir both take."""

from __future__ import annotations

from pathlib import Path

MEDIA = (
    "mp4", "m4v", "mov", "webm", "mkv", "avi", "3gp", "ts", "ogv", "ogg", "flv", "mpg", "mpeg", "wmv", "gif",
    "wav", "mp3", "m4a", "aac", "flac", "opus", "wma",
)  # fmt: skip
# What looks like media by its name. A broken file is listed all the same, and fails where a real one would.


def named_media(path: Path) -> bool:
    """Whether it is called like a media file, and is not hidden."""
    return path.suffix.lower().lstrip(".") in MEDIA and path.name[0] != "."
