"""A user's own features: the documented shapes, the window, and files that must be refused with one clear line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.importer import import_features
from svmbench.errors import BadInput
from svmbench.progress import Progress
from svmbench.records import Clip, Split, features_from_table
from svmbench.store import RunFolder


def arrays(**more: Any) -> dict[str, Any]:
    """Two tracks of three and one segments of 4 s."""
    return {
        "track_id": np.array(["one", "two"]),
        "segment_track": np.array([0, 0, 0, 1]),
        "segment_start_s": np.array([0, 8, 4, 0]),  # in any order
        "video_look": np.arange(8, dtype=np.float16).reshape(4, 2),
        "music_loud": np.arange(16).reshape(4, 4),
        "music_chord": np.arange(24, dtype=np.uint8).reshape(4, 2, 3),
        **more,
    }


def imported(tmp_path: Path, values: dict[str, Any], **more: Any) -> RunFolder:
    np.savez(tmp_path / "mine.npz", **values)
    run = RunFolder.create(tmp_path / "run")
    import_features(tmp_path / "mine.npz", run, **more)
    return run


def feature(run: RunFolder, name: str) -> dict[str, Any]:
    table = run.read_table(f"features_{name}")
    assert table is not None
    return {clip_id: f for clip_id, f in features_from_table(table).items()}


def test_the_three_shapes(tmp_path: Path) -> None:
    run = imported(tmp_path, arrays())
    look, loud, chord = (feature(run, n)["import-one-0"] for n in ("video_look", "music_loud", "music_chord"))
    assert look.values_TD.tolist() == [[0, 1], [4, 5], [2, 3]]
    assert look.hop_s == 4.0
    assert loud.values_TD.ravel().tolist() == [0, 1, 2, 3, 8, 9, 10, 11, 4, 5, 6, 7]  # four values a segment of 4 s: one a second
    assert loud.hop_s == 1.0
    assert chord.values_TD.shape == (6, 3)
    assert chord.hop_s == 2.0
    assert run.settings()["features"] == {"video_look": "video", "music_loud": "music", "music_chord": "music"}
    clips = {c.clip_id: c for c in run.read(Clip, "clips")}
    assert (clips["import-one-0"].song_id, clips["import-one-0"].end_s) == ("import:one", 12.0)
    assert (clips["import-two-0"].song_id, clips["import-two-0"].end_s) == ("import:two", 4.0)


def test_per_second_says_which_arrays_are_values_in_time(tmp_path: Path) -> None:
    run = imported(tmp_path, arrays(per_second=np.array(["video_look"])))
    assert feature(run, "video_look")["import-one-0"].values_TD.shape == (6, 1)
    assert feature(run, "music_loud")["import-one-0"].values_TD.shape == (3, 4)


def test_the_window_is_the_middle(tmp_path: Path) -> None:
    run = imported(tmp_path, arrays(), window_s=6.0)
    loud, chord, look = (feature(run, n) for n in ("music_loud", "music_chord", "video_look"))
    assert loud["import-one-0"].values_TD.ravel().tolist() == [3, 8, 9, 10, 11, 4]  # seconds 3 to 9 of 12
    assert loud["import-one-0"].start_s == 3.0
    assert chord["import-one-0"].values_TD[:, 0].tolist() == [3, 12, 15]  # steps with centres at 3, 5 and 7 s
    assert look["import-one-0"].values_TD.tolist() == [[4, 5]]
    assert len(loud["import-two-0"].values_TD) == 4, "a track shorter than the window is kept whole"


def test_songs_splits_and_tracks_without_segments(tmp_path: Path) -> None:
    values = {
        "track_id": np.array(["a", "b", "c", "d"]), "track_song": np.array(["x", "x", "y", "z"]),
        "track_split": np.array(["train", "train", "val", "test"]), "video_look": np.ones((4, 2)), "music_sound": np.ones((4, 3)),
    }  # fmt: skip
    run = imported(tmp_path, values)
    assert [c.song_id for c in run.read(Clip, "clips")] == ["import:x", "import:x", "import:y", "import:z"]
    parts = {s.name: s.clip_ids for s in run.read(Split, "splits")}
    assert parts == {"train": ("import-a-0", "import-b-0"), "val": ("import-c-0",), "test": ("import-d-0",)}


def test_a_track_without_segments_is_accounted_for(tmp_path: Path) -> None:
    progress = Progress(quiet=True)
    run = imported(tmp_path, arrays(track_id=np.array(["one", "two", "none"])), progress=progress)
    summary = progress.summaries[0]
    assert (summary.seen, summary.kept, dict(summary.dropped), summary.balanced()) == (3, 2, {"no_segments": 1}, True)
    assert len(run.read(Clip, "clips")) == 2


def test_the_same_file_again_changes_nothing_and_another_is_refused(tmp_path: Path) -> None:
    run = imported(tmp_path, arrays())
    import_features(tmp_path / "mine.npz", run)
    assert len(run.read(Clip, "clips")) == 2
    with pytest.raises(BadInput, match="holds other data already"):
        import_features(tmp_path / "mine.npz", run, window_s=5.0)


@pytest.mark.parametrize(("wrong", "says"), [
    ({"track_id": np.array(["one", "one"])}, "names twice"),
    ({"track_id": np.array([])}, "track_id .* missing or empty"),
    ({"segment_track": np.array([0, 0, 0, 2])}, "whole numbers from 0 to 1"),
    ({"segment_track": np.array([0.0, 0.0, 0.0, 1.0])}, "whole numbers"),
    ({"segment_start_s": np.array([0, 4])}, "belong together"),
    ({"segment_track": np.array(0)}, "whole numbers from 0 to 1"),
    ({"segment_start_s": np.array([0, 8, np.nan, 0]), "segment_s": np.array(4.0)}, "one finite number a segment each"),
    ({"segment_start_s": np.array([0, 8, 4, np.inf])}, "one finite number a segment each"),
    ({"per_second": np.array(["music_lod"])}, "per_second names 'music_lod', which is no feature with two axes"),
    ({"per_second": np.array(["music_chord"])}, "per_second names 'music_chord', which is no feature with two axes"),
    ({"per_second": np.array(["vidéo".encode()])}, "per_second names 'vidéo'"),
    ({"segment_start_s": np.array([0, 4, 4, 0])}, "overlap or have no length"),
    ({"segment_s": np.array(5.0)}, "overlap or have no length"),
    ({"segment_s": np.array("x")}, "no length"),
    ({"video_look": np.ones((3, 2))}, r"video_look has the shape \(3, 2\)"),
    ({"video_look": np.ones(4)}, "two or three axes"),
    ({"video_look": np.array([["a"]] * 4)}, "must be numbers"),
    ({"video_look": np.array([[1.0], [np.nan], [2.0], [3.0]])}, r"not finite in 1 segments, first in segment 1 \(track 'one'\)"),
    ({"video_../x": np.ones((4, 2))}, r"'video_\.\./x' cannot be the name of a feature"),
    ({"track_split": np.array(["train", "eval"])}, "'eval'; allowed: train, val, test"),
    ({"track_song": np.array(["x"])}, "one a track"),
])  # fmt: skip
def test_a_wrong_array_is_named(tmp_path: Path, wrong: dict[str, Any], says: str) -> None:
    with pytest.raises(BadInput, match=says):
        imported(tmp_path, arrays(**wrong))
    assert not (tmp_path / "run" / "tables").exists(), "nothing is written"


def test_a_file_that_is_no_npz(tmp_path: Path) -> None:
    run = RunFolder.create(tmp_path / "run")
    with pytest.raises(BadInput, match="does not exist"):
        import_features(tmp_path / "no.npz", run)
    np.savez(tmp_path / "whole.npz", **arrays())
    whole = (tmp_path / "whole.npz").read_bytes()
    for content in (b"", b"PK\x03\x04 broken", b"plain text", whole[:-30], whole[: len(whole) // 2], whole[:50]):
        (tmp_path / "bad.npz").write_bytes(content)
        with pytest.raises(BadInput, match=r"cannot be read as an \.npz"):
            import_features(tmp_path / "bad.npz", run)
    for name, save in (("plain", np.savez), ("packed", np.savez_compressed)):  # a byte that changed on the way
        save(tmp_path / f"{name}.npz", **arrays(video_long=np.zeros((4, 500))))
        content = (tmp_path / f"{name}.npz").read_bytes()
        at = content.index(b"video_long") + 120
        (tmp_path / f"{name}.npz").write_bytes(content[:at] + bytes(b ^ 255 for b in content[at : at + 40]) + content[at + 40 :])
        with pytest.raises(BadInput, match="cannot be read"):
            import_features(tmp_path / f"{name}.npz", run)
    np.savez(tmp_path / "pickled.npz", track_id=np.array([{"a": 1}], dtype=object))
    with pytest.raises(BadInput, match="cannot be read"):
        import_features(tmp_path / "pickled.npz", run)
    np.save(tmp_path / "single.npy", np.ones(3))
    with pytest.raises(BadInput, match="cannot be read"):
        import_features(tmp_path / "single.npy", run)
    np.savez(tmp_path / "onesided.npz", track_id=np.array(["a"]), video_look=np.ones((1, 2)))
    with pytest.raises(BadInput, match="at least one array video_NAME and one music_NAME"):
        import_features(tmp_path / "onesided.npz", run)


def test_text_that_numpy_keeps_as_bytes_is_text(tmp_path: Path) -> None:
    names = {"track_id": [b"a", b"b", b"c"], "track_song": [b"x", b"x", b"y"], "track_split": [b"train", b"val", b"test"]}
    features = {"video_look": np.ones((3, 1)), "music_loud": np.ones((3, 4)), "per_second": np.array([b"music_loud"])}
    run = imported(tmp_path, {**{name: np.array(values) for name, values in names.items()}, **features})
    assert [(c.clip_id, c.song_id) for c in run.read(Clip, "clips")][1] == ("import-b-0", "import:x")
    assert {s.name: s.clip_ids for s in run.read(Split, "splits")}["val"] == ("import-b-0",)
    assert feature(run, "music_loud")["import-a-0"].values_TD.shape == (4, 1)


def test_a_run_that_an_older_version_imported_is_known_again(tmp_path: Path) -> None:
    run = imported(tmp_path, arrays())
    older = {key: value for key, value in run.settings()["import"].items() if key != "kind"}
    run.write_settings({"import": older})
    import_features(tmp_path / "mine.npz", run)
    assert run.settings()["import"]["kind"] == "file"
