"""The contact sheet from a run's tables: order, thresholds, overlay, curves, failures; and the page in a real browser."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from curation.filters import duration, silence
from curation.sheet import build as sheet
from curation.sheet import margins
from svmbench import recipe as recipes
from svmbench import records
from svmbench.errors import BadInput
from svmbench.records import Box, Clip, ClipPicture, Drop, Duplicate, Features, Post, Thumbnails
from svmbench.store import RunFolder

EVIL = '"><script>window.pwned=1</script><img src=x onerror=window.pwned=2>'


def a_clip(number: int, *, box: tuple[int, int, int, int] = (0, 40, 180, 240), **measures: float | None) -> Clip:
    left, top, width, height = box
    return Clip(
        clip_id=f"tiktok-{number}-0", post_id=str(number), song_id=f"tiktok:{number % 3}", start_s=0.0, end_s=10.0, fps=30.0,
        width_px=180, height_px=320, box=Box(left_px=left, top_px=top, width_px=width, height_px=height), media="ab",
        measures={"duration_s": 10.0, "silent_share": 0.1, **measures},
    )  # fmt: skip


def a_post(number: int, url: str = "") -> Post:
    return Post(
        platform="tiktok", post_id=str(number), url=url or f"https://www.tiktok.com/@x/video/{number}", words=("dance",),
        caption=EVIL, hashtags=(), likes=20_000, likes_exact=True, track_id="1", track_title=None,
        track_original=False, duration_s=10.0,
        posted_at=None, fetched_at=None, sha256="ab", author_hash=None,
    )  # fmt: skip


def a_recipe(**filters: Any) -> recipes.Recipe:
    return recipes.parse({"name": "sheet", "search": {"words": ["dance"]}, "filters": filters}, "test")


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    """Six clips with rising silence, the last two refused, the fourth a copy of the third; one post that failed."""
    run = RunFolder.create(tmp_path / "run")
    shares = (0.10, 0.20, 0.30, 0.44, 0.56, 0.90)
    clips = [a_clip(i, **{silence.NAME_OF_MEASURE: share}) for i, share in enumerate(shares)]
    jpeg = cv2.imencode(".jpg", np.full((160, 90, 3), 128, np.uint8))[1].tobytes()
    tables = {
        "candidates": records.to_table(Clip, clips),
        "pictures": records.to_table(ClipPicture, [
            ClipPicture(clip_id=c.clip_id, border_method="robust", border_kinds=("none", "black", "none", "black"),
                        border_confidences=(1.0, 0.9, 1.0, 0.8), cut_times_s=(2.5, 7.5),
                        hash_times_s=(), hashes=(), hash_qualities=())
            for c in clips
        ]),
        "thumbnails": records.to_table(Thumbnails, [
            Thumbnails(clip_id=c.clip_id, times_s=(1.0, 5.0, 9.0), jpegs=(jpeg,) * 3) for c in clips
        ]),
        "features_optical_flow": records.features_table(
            [(c.clip_id, Features(values_TD=np.full((3, 4), 0.1 * (i + 1), np.float32), hop_s=4.0)) for i, c in enumerate(clips)]
        ),
    }  # fmt: skip
    with run.writing("crawl") as w:
        w.commit([], {"posts": records.to_table(Post, [a_post(i, "javascript:alert(1)" if i == 1 else "") for i in range(7)])})
    with run.writing("curate") as w:
        broken = Drop(id="tiktok:6", stage="curate", kind="failure", reason="no_frames", detail=EVIL)
        w.commit([], {**tables, "drops": records.to_table(Drop, [broken])})
    refused = [
        Drop(id=f"tiktok:{i}", stage="judge", kind="rule", reason=reason, value=None)
        for i, reason in ((3, "duplicate"), (4, "silent"), (5, "silent"))
    ]
    copies = [
        Duplicate(clip_id="tiktok-2-0", cluster="tiktok-2-0", kept=True, match_share=0.8),
        Duplicate(clip_id="tiktok-3-0", cluster="tiktok-2-0", kept=False, match_share=0.8),
    ]
    with run.writing("judge") as w:
        w.commit([], {"drops": records.to_table(Drop, refused), "duplicates": records.to_table(Duplicate, copies)})
    return run


def ids(html: str) -> list[str]:
    return re.findall(r'data-ids="(\S+)', html)


RULES = {"duration": {}, "silence": {"max_share": 0.5}}


def test_the_closest_calls_come_first_on_both_sides_of_a_threshold(run: RunFolder, tmp_path: Path) -> None:
    html = sheet.build(a_recipe(**RULES), run, tmp_path / "out").read_text()
    assert set(ids(html)[:2]) == {"tiktok-3-0", "tiktok-4-0"}  # 0.44 and 0.56 beside 0.5
    assert ids(html)[2:] == ["tiktok-2-0", "tiktok-1-0", "tiktok-0-0", "tiktok-5-0"][:4] or ids(html)[-1] in (
        "tiktok-0-0",
        "tiktok-5-0",
    )
    margin = [float(m) for m in re.findall(r"margin ([\d.]+)", html)]
    assert margin == sorted(margin)
    assert len(margin) == 6


def test_verdicts_copies_failures_and_sides_are_told(run: RunFolder, tmp_path: Path) -> None:
    html = sheet.build(a_recipe(**RULES), run, tmp_path / "sheet.html").read_text()
    assert re.findall(r'data-verdict="(\w+)"', html).count("silent") == 2
    assert "copy of <bdi>tiktok-2-0</bdi>, 80 % of frames match" in html
    assert "best copy of its cluster" in html
    assert "no frames: 1" in html
    assert "black 40 px <small>0.90 sure" in html
    assert "turns at 0.5" in html
    assert "nothing is near a threshold" in html  # the default of duration lets all pass


def test_the_overlay_stands_at_the_boxs_pixels(run: RunFolder, tmp_path: Path) -> None:
    html = sheet.build(a_recipe(**RULES), run, tmp_path / "out").read_text()
    assert html.count('<rect class="box" x="0" y="40" width="180" height="240"') == 18  # six clips, three frames
    assert "M0 0H180V320H0Z M0 40V280H180V40Z" in html


def test_the_curve_has_a_step_a_segment_and_a_mark_a_cut(run: RunFolder, tmp_path: Path) -> None:
    html = sheet.build(a_recipe(**RULES), run, tmp_path / "out").read_text()
    assert html.count('<path class="cut" d="M75.0 0v54"/><path class="cut" d="M225.0 0v54"/>') == 6
    points = re.findall(r'<polyline points="([^"]+)" class="line"', html)
    assert all(len(p.split()) == 6 for p in points)  # three segments of 4 s
    assert all(p.split()[-1].startswith("300.0,") for p in points)  # the last one ends with the clip


def test_what_comes_from_outside_cannot_run(run: RunFolder, tmp_path: Path) -> None:
    html = sheet.build(a_recipe(**RULES), run, tmp_path / "out").read_text()
    assert "<script>window" not in html
    assert "javascript:" not in html
    assert "default-src 'none'" in html


def test_nothing_curated_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="run svmbench curate"):
        sheet.build(a_recipe(), RunFolder.create(tmp_path / "empty"), tmp_path)


def test_a_large_run_shows_the_closest_only(run: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sheet, "MOST_CARDS", 2)
    html = sheet.build(a_recipe(**RULES), run, tmp_path / "out").read_text()
    assert set(ids(html)) == {"tiktok-3-0", "tiktok-4-0"}
    assert "The 2 of 6 clips that are nearest" in html


def keeps_between(low: float, high: float) -> Callable[[float], bool]:
    return lambda value: low <= value <= high


def test_thresholds_are_found_by_asking() -> None:
    values = [1.0, 2.0, 3.0, 4.0]
    width = margins.spread(values)
    assert margins.thresholds(keeps_between(-99, 2.345), values, width) == pytest.approx((2.345,), rel=1e-7)
    assert margins.thresholds(keeps_between(0.5, 4.5), values, width) == pytest.approx(
        (0.5, 4.5), rel=1e-7
    )  # outside what was seen
    assert margins.thresholds(keeps_between(-99, 99), values, width) == ()
    assert margins.thresholds(keeps_between(0, 1), [], 1.0) == ()
    assert margins.thresholds(keeps_between(0, 7.5), [7.0] * 5, margins.spread([7.0] * 5)) == pytest.approx((0.0, 7.5), abs=1e-6)


def test_margins_compare_measures_of_different_units() -> None:
    clips = [a_clip(i, duration_s=10.0 + 10 * i, **{silence.NAME_OF_MEASURE: 0.1 * i}) for i in range(5)]
    found = margins.rules(
        [("duration", duration, duration.Settings(max_s=49.0)), ("silence", silence, silence.Settings(max_share=0.9))], clips
    )
    near = margins.nearest(found, clips[4].measures)  # 1 s over of a spread of 20 s; 0.5 below of a spread of 0.2
    assert near is not None
    assert near[0].name == "duration"
    assert near[1] == pytest.approx(1 / 20)
    assert margins.nearest(found, {"duration_s": None, silence.NAME_OF_MEASURE: None}) is None


@pytest.mark.browser
def test_the_page_filters_and_sorts_and_is_silent(chromium: Any, run: RunFolder, tmp_path: Path) -> None:
    from selenium.webdriver.common.by import By
    from selenium.webdriver.support.ui import Select

    chromium.get_log("browser")  # what other pages have said
    chromium.get(sheet.build(a_recipe(**RULES), run, tmp_path / "out").as_uri())

    def shown() -> list[str]:
        return [c.text.split()[0] for c in chromium.find_elements(By.CSS_SELECTOR, ".card:not([hidden]) h3")]

    assert len(shown()) == 6
    assert chromium.get_log("browser") == []
    verdict, order = (Select(chromium.find_element(By.NAME, name)) for name in ("verdict", "order"))
    verdict.select_by_value("silent")
    assert set(shown()) == {"tiktok-4-0", "tiktok-5-0"}
    assert chromium.find_element(By.ID, "count").text == "2 of 6 clips"
    verdict.select_by_value("")
    order.select_by_value(silence.NAME_OF_MEASURE)
    assert shown() == [f"tiktok-{i}-0" for i in range(6)]
    chromium.find_element(By.NAME, "find").send_keys("TIKTOK-2")
    assert shown() == ["tiktok-2-0"]
    assert chromium.execute_script("return window.pwned") is None
    assert chromium.get_log("browser") == []
