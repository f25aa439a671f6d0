"""Makes the catalogue behind the embedded platform: composed posts, or the files of a folder. Cached by what defines it.

CACHE/<key>/     one catalogue; listings.jsonl is written last, so a catalogue without it is not finished and goes on
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from crawl.files import MEDIA, named_media
from crawl.replica import catalogue as shelf
from crawl.replica import invent
from crawl.replica.catalogue import Listing
from svmbench.errors import BadInput
from svmbench.fleet import Fleet, WorkerLost
from svmbench.progress import Progress
from svmbench.recipe import Replica
from svmbench.store import disk_errors, sync_folder, write_atomically

OTHERS_SHOWN = 5  # names of other files in one note; ours


def catalogue(settings: Replica, words: tuple[str, ...], likes_min: int, cache: Path, fleet: Fleet, progress: Progress) -> Path:
    """The catalogue's folder, complete. A composed one of the same settings is reused; one that was interrupted goes on."""
    cache = cache.expanduser().resolve()  # workers stand in another folder
    if settings.media_dir is not None:
        return _folder(Path(settings.media_dir), words, likes_min, cache, fleet, progress)
    return _composed(settings, words, likes_min, cache, fleet, progress)


def _composed(settings: Replica, words: tuple[str, ...], likes_min: int, cache: Path, fleet: Fleet, progress: Progress) -> Path:
    from crawl.replica import compose

    folder = cache / _key([compose.VERSION, settings.seed, settings.posts, words, likes_min])
    with _alone(folder), progress.stage("compose", total=settings.posts, unit="posts") as stage:
        stage.summary.seen = settings.posts
        if _complete(folder):
            stage.summary.notes.append("composed before")
            stage.add(kept=settings.posts)
            return folder
        plans = compose.plan(settings.seed, settings.posts, words, likes_min)
        waiting = [p for p in plans if p.listing.media is not None and not (folder / p.listing.media).exists()]
        stage.add(kept=len(plans) - len(waiting))
        began = time.monotonic()
        try:
            for _, value in fleet.map(Composer, (str(folder),), waiting):
                stage.summary.startup_s = stage.summary.startup_s or time.monotonic() - began
                if isinstance(value, Exception):
                    raise value
                stage.add(kept=1)
        finally:
            stage.summary.left = stage.summary.seen - stage.summary.kept
        _finish(folder, [p.listing for p in plans], [p.truth for p in plans])
    return folder


class Composer:
    """Renders plans into a catalogue, each file whole or absent."""

    def __init__(self, folder: str) -> None:
        import cv2

        cv2.setNumThreads(1)  # there is a worker on each core
        self.folder = Path(folder)

    def run(self, plan: Any) -> None:
        from crawl.replica.render import render

        write_atomically(self.folder / plan.listing.media, lambda path: render(plan, path))


def _folder(source: Path, words: tuple[str, ...], likes_min: int, cache: Path, fleet: Fleet, progress: Progress) -> Path:
    source = source.expanduser().resolve()
    files = _media_files(source)
    names = [p.relative_to(source).as_posix() for p in files]
    stats = [(n, p.stat().st_size, p.stat().st_mtime_ns) for n, p in zip(names, files, strict=True)]
    folder = cache / _key([str(source), words, likes_min, stats])
    with _alone(folder), progress.stage("list files", total=len(files), unit="files") as stage:
        stage.summary.seen = len(files)
        if others := _others(source, files):
            stage.summary.notes.append(others)
        if not _complete(folder):
            probes = dict(_probed(fleet, files))
            listings = [
                _listing(name, path, probes[path], words[i % len(words)], likes_min)
                for i, (name, path) in enumerate(zip(names, files, strict=True))
            ]
            for listing, path in zip(listings, files, strict=True):
                _link(folder / str(listing.media), path)
            _finish(folder, listings, [])
        stage.add(kept=len(files))
    return folder


def posts_of(source: Path) -> dict[str, str]:
    """post_id -> path below the folder, of every file that a catalogue of this folder lists; as text that can be written."""
    source = source.expanduser().resolve()
    names = [p.relative_to(source).as_posix() for p in _media_files(source)]
    return {_invented(name)[2]: os.fsencode(name).decode(errors="backslashreplace") for name in names}


def _media_files(source: Path) -> list[Path]:
    if not source.is_dir():
        raise BadInput(f"media folder {source} does not exist; name a folder of video or audio files with --media")
    files = sorted(p for p in source.rglob("*") if named_media(p) and p.is_file())
    if not files:
        raise BadInput(f"media folder {source} has no video or audio files ({', '.join(MEDIA)})")
    return files


def _invented(name: str) -> tuple[np.random.Generator, int, str]:
    """What follows from a file's path below the folder: a generator, the time of the post, and its id."""
    rng = np.random.default_rng(int.from_bytes(hashlib.sha256(os.fsencode(name)).digest()[:8]))
    created = int(rng.integers(1_640_000_000, 1_760_000_000))
    return rng, created, str(created << 32 | int(rng.integers(1 << 32)))


def _others(source: Path, taken: list[Path]) -> str:
    """What else lies in the folder and is not listed, for the user to see that nothing was overlooked."""
    others = sorted(p.name for p in {*source.rglob("*")}.difference(taken) if p.is_symlink() or not p.is_dir() or named_media(p))
    shown = ", ".join(ascii(name) for name in others[:OTHERS_SHOWN]) + (", ..." if len(others) > OTHERS_SHOWN else "")
    return f"{len(others)} not listed, being no files with a media name: {shown}" if others else ""


def _probed(fleet: Fleet, files: list[Path]) -> Iterator[tuple[Path, tuple[float, int, int]]]:
    """(file, (duration in s, width, height)); zeros for a file that cannot be read, or whose reading ends the process."""
    for path, value in fleet.map(Prober, (), files):
        if isinstance(value, Exception) and not isinstance(value, WorkerLost):
            raise value
        yield path, (0.0, 0, 0) if isinstance(value, WorkerLost) else value


class Prober:
    """Reads the header of a file, no more."""

    def run(self, path: Path) -> tuple[float, int, int]:
        import av

        try:
            with av.open(str(path)) as container:
                pictures = next(iter(container.streams.video), None)
                duration_s = (container.duration or 0) / av.time_base
                return round(max(duration_s, 0.0), 3), *((pictures.width, pictures.height) if pictures else (0, 0))
        except (av.error.FFmpegError, OSError, ValueError):  # unreadable, and listed all the same
            return 0.0, 0, 0


def _listing(name: str, path: Path, probe: tuple[float, int, int], word: str, likes_min: int) -> Listing:
    """A file as a post of the platform; all that is invented follows from its path below the folder."""
    rng, created, post_id = _invented(name)
    duration_s, width_px, height_px = probe
    caption = os.fsencode(path.stem).decode(errors="replace")
    return Listing(
        post_id=post_id, author=invent.handle(rng), caption=caption, hashtags=(), words=(word,),
        likes=likes_min + 1 + int(rng.integers(max(likes_min, 1000))), created=created,
        track_id=str(6_800_000_000_000_000_000 + int(rng.integers(10**17))), track_title="original sound",
        track_artist=invent.handle(rng), track_original=True, track_duration_s=duration_s, duration_s=duration_s,
        width_px=width_px, height_px=height_px, media=f"media/{post_id}{path.suffix.lower()}",
    )  # fmt: skip


def _link(link: Path, target: Path) -> None:
    with disk_errors(link):
        link.parent.mkdir(parents=True, exist_ok=True)
        link.unlink(missing_ok=True)
        link.symlink_to(target)


def _key(parts: Any) -> str:
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]


def _complete(folder: Path) -> bool:
    return (folder / "listings.jsonl").is_file()


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Only one process at a time builds a catalogue; another waits and then finds it complete. Sweeps what a killed one left."""
    with disk_errors(folder):
        (folder / "media").mkdir(parents=True, exist_ok=True)
        lock = open(folder / ".lock", "w")  # noqa: SIM115  (held until the with-block ends)
    with lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for path in (folder / "media").glob(".*.tmp"):
            path.unlink(missing_ok=True)
        yield


def _finish(folder: Path, listings: Iterable[Listing], truth: Iterable[dict[str, Any]]) -> None:
    """Writes the tables beside the catalogue first and moves them in, listings last."""
    fresh = folder / "fresh"
    with disk_errors(folder):
        shelf.write(fresh, listings, truth)
        for name in ("truth.jsonl", "listings.jsonl"):
            if (fresh / name).exists():
                os.replace(fresh / name, folder / name)
        fresh.rmdir()
        sync_folder(folder)
