"""The streams that the embedded YouTube offers for a post: one file with both or, for a third of them, picture and sound apart.

Streams apart are made from the catalogue's file without coding anew, when first asked for, and kept in CATALOGUE/streams.
"""

from __future__ import annotations

import os
import threading
from dataclasses import dataclass
from pathlib import Path

from crawl.replica.youtube_answers import apart

MIME = {"both": "video/mp4", "video": "video/mp4", "audio": "audio/mp4"}
ITAGS = {"both": 18, "video": 136, "audio": 140}


@dataclass(frozen=True, slots=True)
class Stream:
    """kind: both, video or audio."""

    kind: str
    path: Path

    @property
    def itag(self) -> int:
        return ITAGS[self.kind]


def streams_of(catalogue: Path, post_id: str, file: Path) -> tuple[Stream, ...]:
    """Only mp4 files are taken apart; any other is offered as it is."""
    if not apart(post_id) or file.suffix.lower() != ".mp4":
        return (Stream("both", file),)
    folder = catalogue / "streams"
    streams = tuple(Stream(kind, folder / f"{post_id}.{kind}.mp4") for kind in ("video", "audio"))
    for stream in streams:
        if not stream.path.is_file():
            folder.mkdir(exist_ok=True)
            _copy(file, stream)
    return streams


def _copy(file: Path, stream: Stream) -> None:
    """Writes the first stream of one kind to a file of its own; appears whole or not at all."""
    import av  # here, so that the site starts fast

    temporary = stream.path.with_name(f"{stream.path.stem}.{os.getpid()}-{threading.get_ident()}.tmp")
    with av.open(str(file)) as source, av.open(str(temporary), "w", format="mp4") as target:
        wanted = next(s for s in source.streams if s.type == stream.kind)
        copied = target.add_stream_from_template(wanted)
        for packet in source.demux(wanted):
            if packet.dts is not None:
                packet.stream = copied
                target.mux(packet)
    temporary.replace(stream.path)
