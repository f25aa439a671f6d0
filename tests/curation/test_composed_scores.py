"""The scoring of composed posts (tests/perf/composed_scores.py): perfect, wrong by a known amount, and worked by hand."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from svmbench.records import Box, Clip, ClipPicture, ClipSound

PLACE = Path(__file__).resolve().parent.parent / "perf" / "composed_scores.py"


@pytest.fixture(scope="module")
def scores() -> ModuleType:
    spec = importlib.util.spec_from_file_location("composed_scores", PLACE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["composed_scores"] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


TRUTH: dict[str, Any] = {
    "kind": "voice_over", "song": 1, "border": "letterbox", "still": False, "fps": 25, "has_audio": True,
    "box": {"left_px": 0, "top_px": 40, "width_px": 180, "height_px": 240}, "cuts_s": [2.0, 4.0], "beats_s": [0.5, 1.0, 1.5, 2.0],
    "speech": [[1.0, 3.0]], "motion_px_s": 30.0, "duplicate_of": None, "excerpt_start_s": 0.0, "duration_s": 10.0,
}  # fmt: skip


def a_case(scores: ModuleType, *, top_px: int = 40, late_s: float = 0.0, speech: tuple[float, float] = (1.0, 3.0)) -> Any:
    clip = Clip(
        clip_id="x-1-0", post_id="1", song_id="s", start_s=0.0, end_s=10.0, fps=25.0, width_px=180, height_px=320,
        box=Box(left_px=0, top_px=top_px, width_px=180, height_px=280 - top_px), media="m", measures={"still_photo": 0.0},
    )  # fmt: skip
    picture = ClipPicture(
        clip_id="x-1-0", border_method="robust", border_kinds=("none",) * 4, border_confidences=(1.0,) * 4,
        cut_times_s=tuple(t + late_s for t in TRUTH["cuts_s"]), hash_times_s=(), hashes=(), hash_qualities=(),
    )  # fmt: skip
    sound = ClipSound(
        clip_id="x-1-0", peaks=b"", peak_hop_s=0.02, speech_starts_s=speech[:1], speech_ends_s=speech[1:],
        beats_s=tuple(t + late_s for t in TRUTH["beats_s"]),
    )  # fmt: skip
    return scores.Case(truth=TRUTH, clip=clip, picture=picture, sound=sound, said="keep", reason="", kept=True)


def test_borders_two_pixels_off_are_right_and_three_are_a_false_cut_or_left(scores: ModuleType) -> None:
    for top_px, wanted in (
        (42, ("1.000", "0.000", "0.000")),
        (43, ("0.000", "1.000", "0.000")),
        (37, ("0.000", "0.000", "1.000")),
    ):
        _, *found = scores.borders([a_case(scores, top_px=top_px)]).rows[-1]
        assert tuple(cell.split()[0] for cell in found) == wanted


def test_points_in_time_pair_up_once(scores: ModuleType) -> None:
    assert scores.matches([1.0, 1.01], [1.0], 0.07) == 1
    assert scores.matches([0.0, 1.0, 2.0], [0.05, 1.08, 1.95], 0.07) == 2
    assert scores.f_measure([0.0, 1.0, 2.0], [0.05, 1.08, 1.95], 0.07) == pytest.approx(2 / 3)
    assert scores.f_measure([], []) == 1.0
    assert scores.f_measure([1.0], []) == 0.0


def test_half_double_and_off_the_beat_are_forgiven_and_a_third_is_not(scores: ModuleType) -> None:
    true = [0.5 * i for i in range(16)]
    for found in (true[::2], true[1::2], [t + 0.25 for t in true[:-1]], sorted([*true, *(t + 0.25 for t in true[:-1])])):
        assert scores.f_measure(found, true) < 0.7
        assert scores.forgiven(found, true) == pytest.approx(1.0)
    assert scores.forgiven([t / 3 for t in true], true) < 0.8


def test_cuts_and_beats_that_come_late(scores: ModuleType) -> None:
    late = [a_case(scores, late_s=0.1)]
    assert [row[1] for row in scores.cuts(late).rows] == ["0.000", "1.000"]  # a frame is 0.04 s
    assert scores.beats(late).rows[0][2].startswith("0.000")
    assert scores.beats([a_case(scores, late_s=0.06)]).rows[0][2].startswith("1.000")


def test_speech_is_weighed_by_time(scores: ModuleType) -> None:
    row = scores.speech([a_case(scores, speech=(2.0, 6.0))]).rows[0]  # one second of two found, three of four wrong
    assert row[3:] == ("0.250", "0.500", "18.00 s")


def test_shares_have_their_interval(scores: ModuleType) -> None:
    assert scores.rate(8, 10) == "0.800 [0.490, 0.943] (8/10)"  # Wilson, as in tables of it
    assert scores.rate(0, 0) == "none to judge"


def test_excerpts_overlap_by_the_time_that_both_have(scores: ModuleType) -> None:
    other = {**TRUTH, "excerpt_start_s": 7.0, "duration_s": 12.0}
    assert scores._overlap_s(TRUTH, other) == pytest.approx(3.0)
    assert scores._overlap_s(TRUTH, {**other, "excerpt_start_s": 30.0}) < 0
    assert scores._pairs({"a": 1, "b": 1, "c": 2, "d": 1}) == {("a", "b"), ("a", "d"), ("b", "d")}
