"""Media on their way into the run's store: what came is looked at before it is kept, and a full disk is told from a bad file."""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path

from svmbench.errors import DownloadFailed, Failure, StorageError
from svmbench.store import RunFolder, disk_errors

LOOK_BYTES = 512  # ours: the beginning of any container of media has bytes that no text has
COPY_BYTES = 2**30  # of one call
NO_DISK = (errno.ENOSPC, errno.EDQUOT)
NO_CLONE = (errno.EXDEV, errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP)  # two file systems, or one that only copies bytes


def take_in(run: RunFolder, path: Path) -> tuple[str, int]:
    """Moves a file into the store, synced: (sha256, bytes). DownloadFailed if it is empty, or text as an error page is."""
    with path.open("rb") as file:
        start = file.read(LOOK_BYTES)
    if not start:
        raise DownloadFailed(Failure(kind="empty_file", permanent=False, detail="the file has no bytes"))
    if is_text(start):
        detail = f"it begins with {start[:40].decode(errors='replace')!r}"
        raise DownloadFailed(Failure(kind="not_media", permanent=False, detail=detail))
    size = path.stat().st_size
    return run.add_media(path, move=True), size


def is_text(start: bytes) -> bool:
    """Whether these first bytes are text: no zero byte, and UTF-8 but for a character that is cut at the end."""
    if b"\0" in start:
        return False
    try:
        start.decode()
    except UnicodeDecodeError as error:
        return len(start) == LOOK_BYTES and error.start > LOOK_BYTES - 4
    return True


def copy_in(source: Path, target: Path) -> None:
    """Copies a user's file, as a clone that shares its blocks where the file system can. DownloadFailed if it cannot be read."""
    try:
        if not source.is_file():  # a named pipe would be waited for
            raise FileNotFoundError(f"{source.name} is no longer there") if not source.exists() else OSError("it is no file")
        with source.open("rb") as file, disk_errors(target), target.open("wb") as copy:
            try:
                while os.copy_file_range(file.fileno(), copy.fileno(), COPY_BYTES):
                    pass
            except OSError as error:
                if error.errno not in NO_CLONE:
                    raise
                shutil.copyfileobj(file, copy)
    except OSError as error:
        kind = "gone" if isinstance(error, FileNotFoundError) else "unreadable"
        raise DownloadFailed(Failure(kind=kind, permanent=True, detail=f"{source.name}: {error.strerror or error}")) from error


def check_disk(run: RunFolder, error: BaseException) -> None:
    """StorageError if the error, or what yt-dlp made of it, says that the run's disk takes no more."""
    number = error.errno if isinstance(error, OSError) else None
    if number in NO_DISK or any(os.strerror(n) in str(error) for n in NO_DISK):
        raise StorageError(f"the disk that holds {run.path} is full; free some space and run the same command again") from error
