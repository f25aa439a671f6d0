"""Foreign .npz files: whatever is wrong with one is one line, for every reader of them."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest

from benchmarks.npz import read_npz
from svmbench.errors import BadInput


def header(text: bytes) -> bytes:
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text


def with_member(path: Path, name: str, content: bytes) -> Path:
    np.savez(path, good=np.ones(3))
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(name, content)
    return path


@pytest.mark.parametrize(("name", "content", "says"), [
    ("songs", b"plain text", "'songs' in it is no array"),
    ("video_x.txt", b"plain text", "'video_x.txt' in it is no array"),
    ("songs.npy", b"plain text", "'songs' in it is no array"),
    ("a.npy", header(b'{"descr": "<f8", "fortran_order": False, "shape": (1000000000, 1000000)}\n'), "it is damaged"),
    ("a.npy", header(b'{"descr": "<f8", "fortran_order": False, "shape": (-5, 2)}\n'), "it is damaged"),
    ("a.npy", header(b'{"descr":   '), "it is damaged"),
    ("a.npy", header(b'{"descr": "|O", "fortran_order": False, "shape": (1,)}\n') + b"junk", "it holds Python objects"),
])  # fmt: skip
def test_a_member_that_is_no_plain_array(tmp_path: Path, name: str, content: bytes, says: str) -> None:
    with pytest.raises(BadInput) as error:
        read_npz(with_member(tmp_path / "a.npz", name, content), "write it anew")
    assert says in str(error.value)
    assert str(error.value).endswith("; write it anew")
    assert "\n" not in str(error.value)


def test_an_encrypted_archive(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", good=np.ones(3))
    content = bytearray((tmp_path / "a.npz").read_bytes())
    for mark, at in ((b"PK\x01\x02", 8), (b"PK\x03\x04", 6)):
        content[content.index(mark) + at] |= 1
    (tmp_path / "a.npz").write_bytes(bytes(content))
    with pytest.raises(BadInput, match=r"it is damaged .*encrypted"):
        read_npz(tmp_path / "a.npz", "write it anew")


def test_bytes_that_changed_on_the_way_never_give_anything_but_arrays_or_one_line(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    wholes = []
    for save in (np.savez, np.savez_compressed):
        handle = io.BytesIO()
        save(handle, video=rng.normal(size=(6, 4)), song=np.arange(6))
        wholes.append(handle.getvalue())
    refused = 0
    for number in range(300):
        content = bytearray(wholes[number % 2])
        for place in rng.integers(len(content), size=3):
            content[place] = rng.integers(256)
        (tmp_path / "a.npz").write_bytes(bytes(content))
        try:
            found = read_npz(tmp_path / "a.npz", "write it anew")
        except BadInput:
            refused += 1
        else:
            assert all(isinstance(values, np.ndarray) for values in found.values())
    assert refused > 200
