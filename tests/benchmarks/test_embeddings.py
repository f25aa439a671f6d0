"""Reading an embeddings file: what is right is read as it is, what is wrong gets one line that names it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.embeddings import read_embeddings
from svmbench.errors import BadInput

NUM = 6
GOOD: dict[str, Any] = {
    "video": np.random.default_rng(0).normal(size=(NUM, 4)),
    "music": np.random.default_rng(1).normal(size=(NUM, 4)),
    "song": np.asarray(["b", "a", "a", "c", "b", "d"]),
}


def saved(path: Path, **changes: Any) -> Path:
    """An embeddings file; None takes an array away."""
    np.savez(path / "e.npz", **{name: values for name, values in {**GOOD, **changes}.items() if values is not None})
    return path / "e.npz"


def test_rows_are_scaled_to_unit_length_and_songs_numbered(tmp_path: Path) -> None:
    found = read_embeddings(saved(tmp_path, ids=np.arange(NUM)))
    assert found.video_ND.dtype == np.float32
    np.testing.assert_allclose(found.video_ND, GOOD["video"] / np.linalg.norm(GOOD["video"], axis=1, keepdims=True), rtol=1e-6)
    np.testing.assert_array_equal(found.song_N, [1, 0, 0, 2, 1, 3])
    assert found.ids == ("0", "1", "2", "3", "4", "5")
    assert len(found) == NUM
    assert read_embeddings(saved(tmp_path, song=np.arange(NUM) * 7)).ids == ()


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.int8, np.uint16])
def test_any_kind_of_number_is_read(tmp_path: Path, dtype: type) -> None:
    assert np.linalg.norm(read_embeddings(saved(tmp_path, video=np.ones((NUM, 4), dtype))).video_ND[0]) == pytest.approx(1)


def test_very_long_and_very_short_rows_keep_their_direction_and_zero_stays_zero(tmp_path: Path) -> None:
    video = GOOD["video"].copy()
    video[0], video[1], video[2] = 3e38, 1e-30, 0
    found = read_embeddings(saved(tmp_path, video=video)).video_ND
    np.testing.assert_allclose(found[:2], 0.5, rtol=1e-6)
    np.testing.assert_array_equal(found[2], 0)


NAN = np.where(np.arange(NUM)[:, None] == 2, np.nan, GOOD["music"])


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"music": None}, "has no array 'music'; an embeddings file has video, music and song; this one has song, video"),
        ({"song": None}, "has no array 'song'"),
        ({"music": GOOD["music"][:4]}, "6 video rows and 4 music rows"),
        ({"music": GOOD["music"][:, :3]}, "video has 4 dimensions and music 3"),
        ({"music": NAN}, "music is not finite in float32 in 1 of 6 rows, first in row 2"),
        ({"video": np.full((NUM, 4), 1e300)}, "video is not finite in float32 in 6 of 6 rows"),
        ({"video": np.zeros(NUM)}, "video has the shape (6,)"),
        ({"video": np.zeros((0, 4))}, "video has the shape (0, 4)"),
        ({"video": np.full((NUM, 4), "x")}, "it must be numbers"),
        ({"song": GOOD["song"][:3]}, "song has the shape (3,)"),
        ({"song": np.zeros(NUM)}, "names or numbers, one a clip"),
        ({"song": np.full(NUM, "one")}, "all 6 clips are of one song"),
        ({"ids": np.asarray(list("abcdea"))}, "ids has 'a' more than once"),
        ({"ids": np.asarray(["a"])}, "ids has the shape (1,)"),
        ({"song": np.asarray([{}, *"abcde"], dtype=object)}, "holds Python objects"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_one_line(tmp_path: Path, changes: dict[str, Any], words: str) -> None:
    with pytest.raises(BadInput) as error:
        read_embeddings(saved(tmp_path, **changes))
    assert words in str(error.value)
    assert "e.npz" in str(error.value)
    assert "\n" not in str(error.value)


def test_names_of_clips_as_bytes_are_names(tmp_path: Path) -> None:
    assert read_embeddings(saved(tmp_path, ids=np.array([f"c{i}".encode() for i in range(NUM)]))).ids[0] == "c0"


def test_files_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="does not exist"):
        read_embeddings(tmp_path / "nothing.npz")
    (tmp_path / "text.npz").write_text("video,music\n1,2\n")
    with pytest.raises(BadInput, match="it is no zip archive, or its end is missing"):
        read_embeddings(tmp_path / "text.npz")
    half = saved(tmp_path).read_bytes()
    (tmp_path / "half.npz").write_bytes(half[: len(half) // 2])
    with pytest.raises(BadInput, match="it is no zip archive, or its end is missing"):
        read_embeddings(tmp_path / "half.npz")
    (tmp_path / "empty.npz").write_bytes(b"")
    with pytest.raises(BadInput, match="it is no zip archive, or its end is missing"):
        read_embeddings(tmp_path / "empty.npz")
    with (tmp_path / "one.npz").open("wb") as file:
        np.save(file, np.zeros(3))
    with pytest.raises(BadInput, match="it is no zip archive, or its end is missing"):
        read_embeddings(tmp_path / "one.npz")
    np.savez_compressed(tmp_path / "e.npz", **GOOD)
    packed = bytearray((tmp_path / "e.npz").read_bytes())
    packed[150:200] = b"\xff" * 50
    (tmp_path / "packed.npz").write_bytes(bytes(packed))
    with pytest.raises(BadInput, match="it is damaged"):
        read_embeddings(tmp_path / "packed.npz")
    broken = bytearray(half)
    broken[200:260] = b"\xff" * 60
    (tmp_path / "broken.npz").write_bytes(bytes(broken))
    with pytest.raises(BadInput, match="it is damaged"):
        read_embeddings(tmp_path / "broken.npz")
