"""Reading .npz files that other programs wrote: plain arrays, or one line that says what is wrong."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np

from svmbench.errors import BadInput


def read_npz(path: Path, hint: str) -> dict[str, np.ndarray]:
    """All arrays of a file by name. BadInput, which ends in the hint, where it is no such file or holds anything but arrays."""
    if not path.is_file():
        raise BadInput(f"{path} does not exist or is no file; {hint}")
    try:
        with open(path, "rb") as file:
            if not zipfile.is_zipfile(file):
                raise BadInput(f"{path} cannot be read as an .npz file: it is no zip archive, or its end is missing; {hint}")
            file.seek(0)
            with np.load(file, allow_pickle=False) as archive:
                found = {name: archive[name] for name in archive.files}
    except (BadInput, PermissionError):
        raise
    except Exception as error:  # of what is foreign, zipfile, its decoders and numpy's parser of headers raise a dozen kinds
        objects = "it holds Python objects, which are not read"
        reason = objects if "Object arrays" in str(error) else f"it is damaged ({' '.join(str(error).split())[:80]})"
        raise BadInput(f"{path} cannot be read as an .npz file: {reason}; {hint}") from error
    for name, values in found.items():
        if not isinstance(values, np.ndarray):
            raise BadInput(f"{path} cannot be read as an .npz file: {name!r} in it is no array; {hint}")
    return found


def texts(values: np.ndarray) -> list[str]:
    """Names as text, also where numpy keeps them as bytes or numbers (N,)."""
    return [v.decode("utf-8", "replace") if isinstance(v, bytes) else str(v) for v in values.tolist()]
