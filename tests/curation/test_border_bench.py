"""The border benchmark: the truth is exact, a seed makes the same cases, the halves share nothing, and the scores are right."""

from __future__ import annotations

import dataclasses
import io
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from rich.console import Console

from curation.border_bench import cropdetect, held, photographs, render, run, score, sheet, sources
from curation.border_bench.kinds import HALVES, SHAPES, Case, Kind, Scene, Source
from curation.border_bench.plan import plan
from curation.border_bench.report import HEAD
from curation.border_bench.score import Found, Scored
from svmbench.errors import BadInput, UnknownName
from svmbench.fleet import Fleet
from svmbench.progress import Progress
from svmbench.records import Box

SIZES = {"portrait": (150, 266), "landscape": (261, 147), "square": (175, 173)}
NUM = 6
DEV, HELD_OUT = sources.kinds("dev"), sources.kinds("held_out")
ffmpeg = pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="ffmpeg is not installed")


def noise(width: int, height: int, num: int, rng: np.random.Generator) -> np.ndarray:
    """A picture in which every pixel changes all the time and none is dark."""
    return rng.integers(60, 256, (num, height, width, 3)).astype(np.uint8)


def scene(shape: str, source: Callable[..., np.ndarray] = noise, seed: int = 5) -> Scene:
    width, height = SIZES[shape]
    return Scene(source=Source(name="x", frames=source), width_px=width, height_px=height, num_frames=NUM, fps=12, seed=seed)


def small_case(kind: str = "letter", half: str = "dev", source: str = "astronaut", **changed: Any) -> Case:
    case = Case(
        kind=kind, source=source, half=half, width_px=120, height_px=160, num_frames=16, fps=12, seed=3, codec="libx264", crf=23
    )  # fmt: skip
    return dataclasses.replace(case, **changed)


OWN = [kind for name, kind in DEV.items() if name not in held.KINDS]  # those have their own ways inside the box, grain among them
# Kinds that draw the picture darker, softer, or only for a part of the time: inside their box it is not the picture itself.
CHANGED = {"rounded", "soft_edge", "fade_letter", "dark_letter", "slide_letter", "slide_show", "mixed_sizes", "slides_in"}


@pytest.mark.parametrize("name", [k.name for k in OWN if k.has_border and k.name not in CHANGED])
def test_inside_the_truth_is_the_picture_and_outside_is_none_of_it(name: str) -> None:
    """Drawn twice, with two pictures: pixels differ exactly inside the box, but where the border is a copy of the picture."""
    kind = DEV[name]
    for shape in kind.shapes:
        frames, truth = kind.draw(scene(shape), np.random.default_rng(7))
        inside = frames[:, truth.top_px : truth.top_px + truth.height_px, truth.left_px : truth.left_px + truth.width_px]
        assert (inside == scene(shape).picture(truth.width_px, truth.height_px)).all()
        if "blur" in name or name == "wallpaper":  # these show the source a second time
            continue
        others, same = kind.draw(scene(shape, lambda *size: 255 - noise(*size)), np.random.default_rng(7))
        assert same == truth
        differs = (frames != others).any(axis=(0, 3))
        rows, columns = np.flatnonzero(differs.any(1)), np.flatnonzero(differs.any(0))
        assert (rows[0], rows[-1] + 1) == (truth.top_px, truth.top_px + truth.height_px)
        assert (columns[0], columns[-1] + 1) == (truth.left_px, truth.left_px + truth.width_px)


@pytest.mark.parametrize("name", sorted(HELD_OUT))
def test_every_kind_draws_its_size_the_same_way_twice(name: str) -> None:
    kind = HELD_OUT[name]
    assert kind.about
    assert set(kind.shapes) <= set(SHAPES)
    for shape in kind.shapes:
        some = scene(shape, photographs.DEV["coffee"].frames)
        frames, truth = kind.draw(some, np.random.default_rng(1))
        assert (frames.shape, frames.dtype) == ((NUM, some.height_px, some.width_px, 3), np.uint8)
        assert (truth != some.box) == kind.has_border
        assert min(truth.left_px, truth.top_px, truth.width_px - 1, truth.height_px - 1) >= 0
        assert truth.left_px + truth.width_px <= some.width_px
        assert truth.top_px + truth.height_px <= some.height_px
    again, same = kind.draw(some, np.random.default_rng(1))
    assert same == truth
    assert (again == frames).all()


@pytest.mark.parametrize(("half", "name"), [(half, name) for half in HALVES for name in sources.built_in(half)])
def test_every_source_gives_the_size_asked_for_and_moves(half: str, name: str) -> None:
    source = sources.built_in(half)[name]
    moved = []
    for seed in range(4):
        frames = source.frames(91, 64, 8, np.random.default_rng(seed))
        assert (frames.shape, frames.dtype) == ((8, 64, 91, 3), np.uint8)
        assert (frames == source.frames(91, 64, 8, np.random.default_rng(seed))).all()
        moved.append(np.abs(frames[0].astype(int) - frames[-1]).mean())
    assert max(moved) > 1
    assert source.frames(40, 203, 2, np.random.default_rng(0)).shape == (2, 203, 40, 3)


def test_the_halves_share_no_source_no_seed_and_held_kinds_are_held() -> None:
    assert not set(sources.built_in("dev")) & set(sources.built_in("held_out"))
    assert set(DEV) < set(HELD_OUT)
    dev, held = run.planned("dev", 120, 0), run.planned("held_out", 120, 0)
    assert not {c.seed for c in dev} & {c.seed for c in held}
    assert {c.half for c in dev} == {"dev"}
    assert not {c.source for c in dev} & {c.source for c in held}
    both = run.planned("all", 121, 0)
    assert [sum(c.half == half for c in both) for half in HALVES] == [61, 60]


def test_a_seed_is_a_plan() -> None:
    assert run.planned("dev", 80, 4) == run.planned("dev", 80, 4)
    assert run.planned("dev", 80, 4)[:30] == run.planned("dev", 30, 4)  # more cases are the same and more
    assert not {c.seed for c in run.planned("dev", 80, 4)} & {c.seed for c in run.planned("dev", 80, 5)}
    frames = [render.draw(small_case(), DEV, sources.built_in("dev")) for _ in range(2)]
    assert (frames[0][0] == frames[1][0]).all()
    other = render.draw(small_case(seed=4), DEV, sources.built_in("dev"))
    assert other[1] != frames[0][1] or (other[0] != frames[0][0]).any()


def test_a_plan_shows_every_kind_as_often_and_on_different_sources() -> None:
    cases = plan("dev", 3 * len(DEV), 0, DEV, list(sources.built_in("dev")))
    for name in DEV:
        assert len({c.source for c in cases if c.kind == name}) == 3
    sizes = {(c.width_px, c.height_px) for c in cases}
    assert any(w % 2 and h % 2 for w, h in sizes)
    assert {w < h for w, h in sizes} == {True, False}
    assert {c.codec for c in cases} == set(render.codecs())


def test_a_kind_stays_in_its_shapes() -> None:
    wide = Kind(name="wide", about="x", draw=DEV["none"].draw, shapes=("landscape",))
    assert all(c.width_px > c.height_px for c in plan("dev", 20, 0, {"wide": wide}, ["a"]))


@pytest.mark.parametrize("codec", render.codecs())
@pytest.mark.parametrize("size", [(64, 48), (63, 49)])
def test_every_encoder_keeps_odd_sizes(tmp_path: Path, codec: str, size: tuple[int, int]) -> None:
    from svmbench import media

    path = tmp_path / "x.mkv"
    frames = photographs.DEV["coffee"].frames(*size, 6, np.random.default_rng(0))
    render.encode(frames, path, fps=6, codec=codec, crf=20)
    clip = media.decode(path, media.Needs(), 9)
    assert (clip.probe.width_px, clip.probe.height_px) == size
    assert clip.duration_s == pytest.approx(1.0, abs=0.01)


# --- the scorer, by hand --------------------------------------------------------------------------------------------------------
TRUTH = Box(left_px=10, top_px=20, width_px=80, height_px=60)


def found(box: Box, *, tolerance_px: int = 0, cpu_ms: float = 1.0, method: str = "m") -> Found:
    off = score.errors(TRUTH, box, tolerance_px)
    return Found(method=method, box=box, error_px=off, iou=score.overlap(TRUTH, box), cpu_ms=cpu_ms)


def test_errors_are_above_zero_where_the_picture_is_cut() -> None:
    box = Box(
        left_px=13, top_px=15, width_px=79, height_px=65
    )  # 3 px into the left, 5 px of border above, 2 px right, exact below
    assert score.errors(TRUTH, box) == (3, -5, -2, 0)
    assert score.errors(TRUTH, box, tolerance_px=2) == (1, -3, 0, 0)
    assert score.errors(TRUTH, TRUTH, tolerance_px=1) == (0, 0, 0, 0)


def test_overlap() -> None:
    assert score.overlap(TRUTH, TRUTH) == 1.0
    assert score.overlap(TRUTH, Box(left_px=10, top_px=20, width_px=40, height_px=60)) == 0.5
    assert score.overlap(TRUTH, Box(left_px=50, top_px=50, width_px=80, height_px=60)) == pytest.approx(40 * 30 / (9600 - 1200))
    assert score.overlap(TRUTH, Box(left_px=90, top_px=80, width_px=5, height_px=5)) == 0.0


def test_wilson_interval_against_a_worked_example() -> None:
    """8 of 10: (0.4902, 0.9433), Wilson's interval without continuity correction; and it is never empty at the ends."""
    assert score.wilson(8, 10) == pytest.approx((0.4902, 0.9433), abs=1e-4)
    assert score.wilson(0, 20)[0] == 0.0
    assert score.wilson(0, 20)[1] == pytest.approx(0.1611, abs=1e-4)
    assert score.wilson(20, 20)[1] == pytest.approx(1.0)
    assert score.wilson(0, 0) == (0.0, 1.0)


def test_summary_of_four_videos_by_hand() -> None:
    exact, one_off = found(TRUTH, cpu_ms=4.0), found(Box(left_px=11, top_px=20, width_px=79, height_px=60))
    two_off = found(Box(left_px=10, top_px=18, width_px=80, height_px=62))
    both = found(Box(left_px=13, top_px=0, width_px=77, height_px=80))  # cut on the left and missed above: it counts as both
    got = score.summary([exact, one_off, two_off, both])
    assert (got["num"], got["cpu_ms"]) == (4, 7.0 / 4)
    assert [got[rate][0] for rate in score.RATES] == [0.5, 0.75, 0.25, 0.25]
    assert got["iou"] == pytest.approx((1 + 79 / 80 + 60 / 62 + 77 * 60 / (4800 + 77 * 80 - 77 * 60)) / 4)
    assert tuple(got["within_2"][1:]) == score.wilson(3, 4)


def scored(kind: str, *boxes: Box, half: str = "dev", size: tuple[int, int] = (100, 100)) -> Scored:
    jpeg = bytes(cv2.imencode(".jpg", np.full((100, 100, 3), 128, np.uint8))[1])
    return Scored(
        kind=kind, source="s", half=half, width_px=size[0], height_px=size[1], truth=TRUTH, tolerance_px=0, case={},
        found=tuple(found(box, method=f"m{i}") for i, box in enumerate(boxes)), jpeg=jpeg,
    )  # fmt: skip


WHOLE = Box(left_px=0, top_px=0, width_px=100, height_px=100)
DEEP = Box(left_px=20, top_px=20, width_px=70, height_px=60)


def test_the_table_has_totals_and_kinds_of_each_half() -> None:
    some = [scored("a", TRUTH, WHOLE), scored("b", WHOLE, WHOLE), scored("a", TRUTH, TRUTH, half="held_out", size=(360, 640))]
    rows = score.table(some, ["m0", "m1"])
    assert [(r["half"], r["kind"], r["method"], r["num"], r["within_2"][0]) for r in rows] == [
        ("dev", "total", "m0", 2, 0.5), ("dev", "total", "m1", 2, 0.0), ("dev", "a", "m0", 1, 1.0), ("dev", "a", "m1", 1, 0.0),
        ("dev", "b", "m0", 1, 0.0), ("dev", "b", "m1", 1, 0.0), ("held_out", "total", "m0", 1, 1.0),
        ("held_out", "total", "m1", 1, 1.0), ("held_out", "a", "m0", 1, 1.0), ("held_out", "a", "m1", 1, 1.0),
    ]  # fmt: skip
    assert [r["cpu_ms_360p"] for r in rows[:1] + rows[6:7]] == [None, 1.0]


def test_the_table_tells_bordered_from_whole_and_held_kinds_apart() -> None:
    whole = dataclasses.replace(scored(sorted(set(HELD_OUT) - set(DEV))[0], TRUTH), truth=WHOLE)
    rows = score.table([scored("a", TRUTH), scored("b", WHOLE), whole], ["m0"])
    groups = {r["kind"]: (r["num"], r["within_2"][0]) for r in rows if r["kind"] in score.GROUPS}
    assert groups == {
        "total": (3, 2 / 3), "bordered": (2, 0.5), "unbordered": (1, 1.0), "held kinds": (1, 1.0),
    }  # fmt: skip


def test_the_sheet_shows_each_failure_once_false_cuts_first() -> None:
    some = [scored("a", TRUTH), scored("b", WHOLE), scored("c", DEEP)]
    wrong = sheet.failures(some, "m0")
    assert [s.kind for s in wrong] == ["c", "b"]
    image = sheet.sheet(wrong, ["m0"], "two")
    tiles = [sheet.tile(s, ["m0"]) for s in wrong]
    shown = [image[-tiles[0].shape[0] :, i * tiles[0].shape[1] :][:, : tiles[0].shape[1]] for i in range(3)]
    assert all((a == b).all() for a, b in zip(shown, tiles, strict=False))
    assert (shown[2] == sheet.GROUND).all()
    assert sheet.sheet([], ["m0"], "none").shape[0] < 60


def test_a_tile_has_the_boxes_in_their_colours() -> None:
    tile = sheet.tile(scored("c", DEEP), ["m0"])
    scale = sheet.WIDTH_PX / 100
    across, down = sheet.GAP_PX + round(50 * scale), round(20 * scale)
    assert np.abs(tile[down, across].astype(int) - sheet.TRUTH).max() <= 3  # the truth is drawn last
    assert np.abs(tile[round(50 * scale), sheet.GAP_PX + round(20 * scale)].astype(int) - sheet.COLOURS[0]).max() <= 3


# --- whole runs -----------------------------------------------------------------------------------------------------------------
def go(out: Path, **options: Any) -> run.Report:
    with Fleet(local=True) as fleet:
        return run.bench(out, fleet, Progress(quiet=True), **options)


@ffmpeg
def test_a_run_scores_every_method_and_writes_what_it_says(tmp_path: Path) -> None:
    methods = ("paper", "none", "cropdetect", "cropdetect_mode")
    report = go(tmp_path, half="dev", cases=6, seed=2, methods=methods)
    lines = [json.loads(line) for line in (tmp_path / "cases.jsonl").read_text().splitlines()]
    assert [line["case"]["seed"] for line in lines] == [c.seed for c in run.planned("dev", 6, 2)]
    assert all([f["method"] for f in line["found"]] == list(methods) for line in lines)
    assert all(line["case"]["codec"] in render.codecs() for line in lines)
    table = json.loads((tmp_path / "table.json").read_text())
    assert table["rows"] == json.loads(json.dumps(report.rows()))
    assert table["settings"]["seed"] == 2
    assert table["settings"]["ffmpeg"] == cropdetect.version()
    text = (tmp_path / "table.md").read_text()
    assert all(f"| {method} |" in text for method in methods)
    assert all(f"| {line['kind']} |" in text for line in lines)
    wrong = sum(max(map(abs, line["found"][0]["error_px"])) > 2 for line in lines)
    assert round(report.total("dev", "paper")["within_2"][0] * 6) == 6 - wrong
    assert report.total("dev", "none")["false_cut"][0] == 0.0
    terminal = io.StringIO()
    Console(width=80, file=terminal).print(report.table())
    assert all(name in terminal.getvalue() for name in (*methods, *HEAD))  # nothing is cut off at 80 columns
    image = cv2.imread(str(tmp_path / "failures.jpg"))
    assert image is not None
    assert (image.shape[0] > 60) == (wrong > 0)
    assert not list(tmp_path.glob("*.mp4"))
    row = lines[0]
    run.film(run.case_of(row), tmp_path / "again.mp4")
    assert (tmp_path / "again.mp4").stat().st_size > 0


@ffmpeg
def test_cropdetect_is_ffmpegs_own(tmp_path: Path) -> None:
    """Black bars on even lines are found exactly; the mode cuts what a part of the video shows, the union does not."""
    frames = photographs.DEV["astronaut"].frames(160, 120, 24, np.random.default_rng(0))
    boxed = np.pad(frames, ((0, 0), (30, 20), (0, 0), (0, 0)))
    late = boxed.copy()
    late[18:, :30] = 200
    for name, pictures in (("a.mp4", boxed), ("b.mp4", late)):
        render.encode(pictures, tmp_path / name, fps=12, codec="libx264", crf=20)
    names = list(cropdetect.NAMES)
    a, cpu_ms = cropdetect.find(tmp_path / "a.mp4", names, (160, 170), 60)
    assert a == {"cropdetect": (0, 30, 160, 150), "cropdetect_mode": (0, 30, 160, 150)}
    assert abs(cpu_ms) < 1000
    b, _ = cropdetect.find(tmp_path / "b.mp4", names, (160, 170), 60)
    assert b == {"cropdetect": (0, 0, 160, 150), "cropdetect_mode": (0, 30, 160, 150)}


@ffmpeg
def test_cropdetect_on_black_keeps_everything(tmp_path: Path) -> None:
    render.encode(np.zeros((8, 64, 64, 3), np.uint8), tmp_path / "x.mp4", fps=8, codec="libx264", crf=20)
    assert cropdetect.find(tmp_path / "x.mp4", ["cropdetect"], (64, 64), 60)[0] == {"cropdetect": (0, 0, 64, 64)}


def test_without_ffmpeg_the_table_says_so_and_the_rest_is_scored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cropdetect, "version", lambda: None)
    report = go(tmp_path, half="dev", cases=1, methods=("paper", "cropdetect"))
    assert report.methods == ("paper",)
    assert "ffmpeg is not installed" in (tmp_path / "table.md").read_text()
    with pytest.raises(BadInput, match="ffmpeg is not installed"):
        go(tmp_path, half="dev", cases=1, methods=("cropdetect",))


def test_a_folder_of_videos_is_a_source(film: Callable[..., Path], tmp_path: Path) -> None:
    videos = tmp_path / "mine"
    videos.mkdir()
    for number, name in enumerate(("a", "b", "c")):
        film(videos / f"{name}.mp4", photographs.DEV["coffee"].frames(200, 120, 10, np.random.default_rng(number)))
    (videos / "notes.txt").write_text("no video")
    assert list(sources.of_folder(videos, "held_out")) == ["a.mp4", "c.mp4"]
    assert list(sources.of_folder(videos, "dev")) == ["b.mp4"]
    made = sources.of_folder(videos, "dev")["b.mp4"].frames(
        77, 140, 25, np.random.default_rng(0)
    )  # longer than the video, and upright
    assert made.shape == (25, 140, 77, 3)
    film_THWC = photographs.DEV["coffee"].frames(200, 120, 10, np.random.default_rng(1))
    middle = cv2.resize(film_THWC[0][:, 67:133], (77, 140)).astype(int)
    assert np.abs(made[0] - middle).mean() < 8
    report = go(tmp_path / "out", half="dev", cases=2, videos=videos, methods=("paper",))
    lines = [json.loads(line) for line in (tmp_path / "out" / "cases.jsonl").read_text().splitlines()]
    assert {line["source"] for line in lines} == {"b.mp4"}
    assert report.total("dev", "paper")["num"] == 2


def test_a_broken_video_costs_its_cases_and_no_others(film: Callable[..., Path], tmp_path: Path) -> None:
    videos = tmp_path / "mine"
    videos.mkdir()
    film(videos / "a.mp4", photographs.DEV["coffee"].frames(200, 120, 10, np.random.default_rng(0)))
    (videos / "b.mp4").write_bytes(b"nothing")
    (videos / "c.mp4").write_bytes(b"nothing either")
    report = go(tmp_path / "out", cases=4, videos=videos, methods=("paper",))
    assert report.failed == {"unreadable": 2}
    assert report.total("held_out", "paper")["num"] == 2


def test_labelled_videos_are_scored_against_their_labels(film: Callable[..., Path], tmp_path: Path) -> None:
    picture = photographs.DEV["astronaut"].frames(160, 100, 12, np.random.default_rng(0))
    film(tmp_path / "boxed.mp4", np.pad(picture, ((0, 0), (31, 29), (0, 0), (0, 0))))
    film(tmp_path / "whole.mp4", picture)
    labels = tmp_path / "labels.csv"
    labels.write_text("file,left,top,right,bottom\nboxed.mp4,0,31,0,29\nwhole.mp4,0,0,0,0\n")
    report = go(tmp_path / "out", labels=labels, methods=("none", "paper"))
    total = report.total("labelled", "none")
    assert (total["num"], total["within_2"][0], total["missed"][0], total["false_cut"][0]) == (2, 0.5, 0.5, 0.0)
    assert report.total("labelled", "paper")["within_2"][0] == 1.0


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("file,left,top\nx.mp4,0,0\n", "line 2: needs file,left,top,right,bottom"),
        ("file,left,top,right,bottom\nx.mp4,0,0,0,0\n", "line 2: no such file"),
        ("file,left,top,right,bottom\nlabels.csv,0,-1,0,0\n", "line 2: a depth is below 0"),
        ("file,left,top,right,bottom\nlabels.csv,0,a,0,0\n", "line 2: needs"),
        ("file,left,top,right,bottom\n", "names no video"),
    ],
)
def test_a_bad_table_of_labels_is_one_clear_line(tmp_path: Path, text: str, says: str) -> None:
    (tmp_path / "labels.csv").write_text(text)
    with pytest.raises(BadInput, match=says):
        go(tmp_path / "out", labels=tmp_path / "labels.csv", methods=("paper",))


def test_user_mistakes_are_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="holds no video"):
        go(tmp_path, videos=tmp_path, methods=("paper",))
    with pytest.raises(BadInput, match="is not a folder"):
        go(tmp_path, videos=tmp_path / "nowhere", methods=("paper",))
    with pytest.raises(BadInput, match="none of: dev, held_out, all"):
        go(tmp_path, half="test", methods=("paper",))
    with pytest.raises(BadInput, match="at least 1"):
        go(tmp_path, cases=0, methods=("paper",))
    with pytest.raises(UnknownName, match="paper"):
        go(tmp_path, methods=("papper",))
    (tmp_path / "only.mp4").write_bytes(b"x")
    with pytest.raises(BadInput, match="only one video"):
        go(tmp_path, half="dev", videos=tmp_path, methods=("paper",))
    assert not (tmp_path / "table.md").exists()
