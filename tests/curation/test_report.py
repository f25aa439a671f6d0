"""The report of a run: every post in one place, the tables' numbers, nothing of anybody, and the page in a real browser."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from curation.report import build as report
from curation.report import draw, measures, numbers
from curation.review import decisions
from svmbench import recipe as recipes
from svmbench import records
from svmbench.errors import BadInput
from svmbench.records import Box, Clip, ClipPicture, ClipSound, Drop, Duplicate, Post, RuleVerdict, Song, Split
from svmbench.store import RunFolder

EVIL = '"><script>window.pwned=1</script><img src=x onerror=window.pwned=2>'
SECRETS = ("a caption of ours", "author-hash", "Anna", "Bert", "77000", "/home/anna", "Lovely Tune", "acct/private")
SILENCE = 0.5


def a_post(number: int, *words: str) -> Post:
    return Post(
        platform="tiktok", post_id=f"77000{number}", url="https://www.tiktok.com/@Anna/video/1", words=words or ("dance",),
        caption="a caption of ours", hashtags=("dance",), likes=20_000, likes_exact=True, track_id="9", track_title="Lovely Tune",
        track_original=False, duration_s=10.0, posted_at=None, fetched_at=None, sha256="ab", author_hash="author-hash",
    )  # fmt: skip


def a_clip(number: int, song: str, *, length_s: float = 10.0, **taken: float | None) -> Clip:
    return Clip(
        clip_id=f"tiktok-77000{number}-0", post_id=f"77000{number}", song_id=song, start_s=2.0, end_s=2.0 + length_s, fps=30.0,
        width_px=180, height_px=320, box=Box(left_px=0, top_px=40, width_px=180, height_px=240), media="ab",
        measures={"duration_s": length_s, **taken},
    )  # fmt: skip


def a_drop(number: int, stage: str, reason: str, kind: str = "rule") -> Drop:
    return Drop(id=f"tiktok:77000{number}", stage=stage, kind=kind, reason=reason, detail=f"{EVIL} /home/anna")


def a_recipe(**values: Any) -> recipes.Recipe:
    filters = {"duration": {}, "silence": {"max_share": SILENCE}}
    return recipes.parse({"name": "made", "about": EVIL, "search": {"words": ["dance"]}, "filters": filters} | values, "test")


def write(run: RunFolder, stage: str, **tables: list[Any]) -> None:
    with run.writing(stage) as writer:
        writer.commit([], {name: records.to_table(type(rows[0]), rows) for name, rows in tables.items() if rows})


def name(number: int) -> str:
    return f"tiktok-77000{number}-0"


CANDIDATES = [  # 3 to 10; kept are 3 to 7
    a_clip(n, song, length_s=length_s, silent_share=silent)
    for n, song, length_s, silent in (
        (3, "tiktok:1", 10.0, 0.1), (4, "tiktok:1", 20.0, 0.2), (5, "tiktok:1", 30.0, 0.3), (6, "tiktok:2", 40.0, 0.4),
        (7, "post:7", 80.0, None), (8, "tiktok:1", 10.0, 0.9), (9, "tiktok:2", 10.0, 0.1), (10, "tiktok:2", 10.0, 0.2),
    )
]  # fmt: skip


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    """Thirteen posts: two refused by the search, one not fetched, one not decoded, one still waiting; of eight candidates one is
    silent, one a copy, one awaits review, five are clips."""
    run = RunFolder.create(tmp_path / "made")
    run.write_settings({"recipe": a_recipe().model_dump(mode="json")})
    run.write_settings({"history": [{"at": "2026-01-02T03:04:05Z", "command": "publish --repo acct/private", "commit": "abc"}]})
    crawled = [a_drop(0, "search", "too_few_likes"), a_drop(1, "search", "too_few_likes"), a_drop(2, "fetch", "gone", "failure")]
    posts = [a_post(n, "dance", "food") if n == 3 else a_post(n, EVIL if n == 4 else "dance") for n in range(3, 13)]
    write(run, "crawl", posts=posts, drops=crawled)
    sounds = [
        ClipSound(clip_id=c.clip_id, peaks=b"", peak_hop_s=0.1, speech_starts_s=(), speech_ends_s=(), beats_s=(),
                  errors={"speech_share": "RuntimeError: /home/anna is not there"} if c.clip_id == name(7) else {})
        for c in CANDIDATES
    ]  # fmt: skip
    sides = {3: ("black", "none", "black", "none"), 4: ("none", "blurred", "none", "black")}
    pictures = [
        ClipPicture(clip_id=c.clip_id, border_method="robust", border_kinds=sides.get(n, ("none",) * 4),
                    border_confidences=(1.0,) * 4, cut_times_s=(), hash_times_s=(), hashes=(), hash_qualities=())
        for n, c in enumerate(CANDIDATES, start=3)
    ]  # fmt: skip
    write(
        run,
        "curate",
        candidates=CANDIDATES,
        sounds=sounds,
        pictures=pictures,
        drops=[a_drop(11, "curate", "no_frames", "failure")],
    )
    judged = [a_drop(8, "judge", "silent"), a_drop(9, "judge", "duplicate"), a_drop(10, "judge", "awaits_review")]
    says = {8: ("drop", "silence", "silent"), 10: ("review", "speech", "voice")}
    rules = [
        RuleVerdict(clip_id=name(n), verdict=verdict, filter=by, reason=why, value=None)
        for n in range(3, 11) for verdict, by, why in [says.get(n, ("keep", "", ""))]
    ]  # fmt: skip
    songs = [
        Song(clip_id=c.clip_id, song_id=c.song_id, source=source, match_score=0.8 if source == "fingerprint" else None)
        for c, source in zip(
            CANDIDATES, ("platform", "platform", "fingerprint", "platform", "alone", *["platform"] * 3), strict=True
        )
    ]
    copies = [Duplicate(clip_id=name(n), cluster=name(6), kept=n == 6, match_share=0.75) for n in (6, 9)]
    write(run, "judge", clips=CANDIDATES[:5], drops=judged, verdicts=rules, songs=songs, duplicates=copies)
    parts = [Split(name=part, clip_ids=tuple(map(name, ids)), grouped_by="song+post", rule="strict", sha256="c0ffee" * 10)
             for part, ids in (("train", (3, 4)), ("test", (5, 6)))]  # fmt: skip
    write(run, "split", splits=parts)
    return run


def test_each_post_is_counted_once_and_the_sum_is_said(run: RunFolder) -> None:
    found = numbers.gather(a_recipe(), run)["account"]
    assert (found["found"], found["clips"], found["dropped"], found["waiting"]) == (13, 5, 7, 1)
    assert found["adds_up"]
    ways = [(s["stage"], s["came"], s["rule"], s["failure"], s["waiting"], s["went_on"]) for s in found["stages"]]
    assert ways == [("search", 13, 2, 0, 0, 11), ("fetch", 11, 0, 1, 0, 10), ("curate", 10, 0, 1, 1, 8), ("judge", 8, 3, 0, 0, 5)]
    drops = run.read(Drop, "drops")
    assert sum(row["posts"] for row in found["reasons"]) == len(drops)
    assert all(row["posts"] == sum(d.reason == row["reason"] for d in drops) for row in found["reasons"])
    assert [row["reason"] for row in found["reasons"]][:2] == ["too_few_likes", "gone"]  # in the order of the stages


@pytest.mark.parametrize(
    ("drop", "what"),
    [(a_drop(3, "judge", "silent"), "clip_and_drop"), (a_drop(8, "judge", "still"), "dropped_twice"),
     (a_drop(99, "judge", "silent"), "never_found")],
)  # fmt: skip
def test_a_post_in_two_places_or_from_nowhere_is_told(run: RunFolder, tmp_path: Path, drop: Drop, what: str) -> None:
    write(run, "other", drops=[drop])
    found = numbers.gather(a_recipe(), run)["account"]
    assert not found["adds_up"]
    assert {name: n for name, n in found["contradictions"].items() if n} == {what: 1}
    page = report.build(a_recipe(), run, tmp_path).read_text()
    assert "does not add up" in page
    assert f"{what.replace('_', ' ')} 1" in page


def test_measures_with_their_thresholds_and_what_became_of_the_clips(run: RunFolder) -> None:
    found = {m["name"]: m for m in numbers.gather(a_recipe(), run)["measures"]}
    assert list(found) == ["duration_s", "silent_share"]  # the rules' order
    silent = found["silent_share"]
    assert silent["thresholds"] == pytest.approx([SILENCE])
    assert (silent["filter"], silent["num_measured"], silent["num_missing"]) == ("silence", 7, 1)
    assert silent["quantiles"]["median"] == pytest.approx(0.2)
    bins = silent["histogram"]
    assert {key: sum(bins[key]) for key in ("kept", "refused_here", "left_out")} == {"kept": 4, "refused_here": 1, "left_out": 2}
    place = int(np.searchsorted(bins["edges"], SILENCE))
    assert sum(bins["refused_here"][:place]) == 0
    assert bins["edges"][0] < SILENCE < bins["edges"][-1]


def test_a_rule_that_reads_other_measures_is_drawn_where_it_turns_for_any_clip() -> None:
    """Speech is doubtful above review_share, and dropped above max_share where the voice does not hold its pitch."""
    recipe = a_recipe(filters={"speech": {"review_share": 0.05, "max_share": 0.5}})
    clips = [a_clip(n, "s", speech_share=n / 100, held_share=0.0, tonal_share=0.2) for n in range(100)]
    assert measures.measures(recipe, clips, (), {})[0]["thresholds"] == pytest.approx([0.05, 0.5])
    held = [a_clip(n, "s", speech_share=n / 100, held_share=1.0, tonal_share=0.2) for n in range(100)]
    assert measures.measures(recipe, held, (), {})[0]["thresholds"] == pytest.approx([0.05])


def test_one_odd_value_does_not_flatten_a_histogram_and_is_counted() -> None:
    values = [*np.linspace(0, 1, 200).tolist(), 1e6]
    found = measures.histogram(values, {"kept": values}, marks=(1.5,))
    assert found["edges"][-1] == pytest.approx(1.5)
    assert sum(found["kept"]) == len(values)
    assert found["kept"][-1] == 1
    same = measures.histogram([3.0] * 4, {"kept": [3.0] * 4})
    assert sum(same["kept"]) == 4
    assert measures.histogram([], {"kept": []}) == {}


def test_songs_words_borders_copies_durations_and_the_split(run: RunFolder) -> None:
    found = numbers.gather(a_recipe(), run)
    songs = found["songs"]
    assert (songs["num_clips"], songs["num_songs"], songs["largest"]) == (5, 3, 3)
    assert songs["reuse"] == [{"size": 1, "number": 2}, {"size": 3, "number": 1}]
    assert {row["source"]: row["clips"] for row in songs["sources"]} == {"platform": 3, "fingerprint": 1, "alone": 1}
    assert songs["match_score"]["median"] == pytest.approx(0.8)
    words = {row["word"]: (row["posts"], row["clips"]) for row in found["words"]}
    assert words == {"dance": (9, 4), "food": (1, 1), EVIL: (1, 1)}
    assert found["words"][0]["hours"] == pytest.approx((10 + 30 + 40 + 80) / 3600)
    borders = {row["kind"]: (row["clips"], row["kept"], row["sides"]) for row in found["borders"]}
    assert borders["black"] == (2, 2, [{"size": 1, "number": 1}, {"size": 2, "number": 1}])
    assert (borders["blurred"][0], borders["none"][:2]) == (1, (6, 3))
    assert (found["duplicates"]["num_clusters"], found["duplicates"]["dropped"]) == (1, 1)
    assert found["durations"]["hours"] == pytest.approx(180 / 3600)
    split = found["split"]
    assert [(p["name"], p["clips"], p["songs"], p["share"]) for p in split["parts"]] == [
        ("train", 2, 1, 0.5),
        ("test", 2, 2, 0.5),
    ]
    assert [p["hours"] for p in split["parts"]] == pytest.approx([30 / 3600, 70 / 3600])
    assert (split["in_no_part"], split["rule"], split["sha256"]) == (1, "strict", "c0ffee" * 10)
    assert found["errors"] == [{"measure": "speech_share", "error": "RuntimeError", "clips": 1}]


def test_a_leak_is_told_without_saying_what_leaks(run: RunFolder, tmp_path: Path) -> None:
    audit = numbers.gather(a_recipe(), run)["split"]["audit"]
    shared = {kind["kind"]: kind["shared"] for kind in audit["kinds"] if kind["checked"]}
    assert shared == {"clip": 0, "song": 1, "near-duplicate": 0, "author": 1, "post": 0, "media": 1}
    assert audit["leaks"]
    page = report.build(a_recipe(), run, tmp_path).read_text()
    assert "Audit: in several parts: 1 by song, 1 by author, 1 by media; not checked: fingerprint." in page


def test_verdicts_of_the_rules_beside_what_was_kept(run: RunFolder) -> None:
    rows = [(v["verdict"], v["filter"], v["clips"], v["kept"]) for v in numbers.gather(a_recipe(), run)["verdicts"]]
    assert rows == [("keep", "", 6, 5), ("review", "speech", 1, 0), ("drop", "silence", 1, 0)]


def decided(run: RunFolder, number: int, who: str, verdict: str, *, blind: bool = True) -> None:
    reason = "voice_over" if verdict == "drop" else ""
    decisions.append(
        run.path, [decisions.new(name(number), who, verdict, reason=reason, blind=blind, item_hash="h", filter_version="v")]
    )


def test_what_people_say_of_the_rules_without_their_names(run: RunFolder, tmp_path: Path) -> None:
    assert numbers.gather(a_recipe(), run)["review"] is None
    for number, verdict in ((3, "keep"), (4, "keep"), (5, "drop"), (8, "keep")):
        decided(run, number, "Anna", verdict)
    decided(run, 3, "Bert", "keep")
    decided(run, 4, "Bert", "drop")
    decided(run, 10, "Bert", "keep", blind=False)
    found = numbers.gather(a_recipe(), run)["review"]
    kept, dropped = found["filter_error"]["kept"], found["filter_error"]["dropped"]
    assert (kept["num_wrong"], kept["num_checked"], kept["clips"]) == (1, 2, 6)  # 3 and 5; on 4 they disagree
    assert (dropped["num_wrong"], dropped["num_checked"], dropped["clips"]) == (1, 1, 1)
    assert kept["ci95"] == pytest.approx((0.0945, 0.9055), abs=1e-3)  # Wilson's interval of 1 in 2
    assert (found["clips"], found["disputed"]) == (5, 1)
    assert {(o["rules"], o["people"]): o["clips"] for o in found["outcomes"]} == {
        ("keep", "keep"): 1, ("keep", "drop"): 1, ("drop", "keep"): 1, ("review", "keep"): 1
    }  # fmt: skip
    assert found["reasons"] == [{"reason": "voice_over", "clips": 1}]
    assert found["reviewers"] == [{"clips": 4, "blind": 4}, {"clips": 3, "blind": 2}]
    assert [(k["reviewers"], k["num_clips"], k["observed"]) for k in found["kappa"]] == [([1, 2], 2, 0.5)]
    page = report.build(a_recipe(), run, tmp_path).read_text()
    assert "People have decided on 5 clips, and disagree evenly on 1 of them" in page


def test_nothing_of_anybody_is_in_the_report(run: RunFolder, tmp_path: Path) -> None:
    decided(run, 3, "Anna", "keep")
    decided(run, 3, "Bert", "keep")
    path = report.build(a_recipe(), run, tmp_path / "page.html")
    for text in (path.read_text(), path.with_suffix(".json").read_text()):
        for secret in SECRETS:
            assert secret not in text
    assert "<script" not in path.read_text()
    assert "<img" not in path.read_text()
    assert "&lt;script&gt;" in path.read_text()  # the recipe's own words, harmless


def test_the_json_holds_the_same_numbers_and_only_plain_ones(run: RunFolder, tmp_path: Path) -> None:
    path = report.build(a_recipe(), run, tmp_path / "out")
    assert path == tmp_path / "out" / "report.html"
    found = json.loads(path.with_suffix(".json").read_text(), parse_constant=lambda word: pytest.fail(word))
    assert found == json.loads(json.dumps(numbers.gather(a_recipe(), run)))
    assert found["schema"] == numbers.SCHEMA
    documented = set(re.findall(r"^    (\w+) {2,}", numbers.__doc__ or "", re.M)) - {"quantiles", "histogram"}
    assert set(found) == documented


def test_an_empty_folder_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="run 'svmbench crawl' first"):
        report.build(a_recipe(), RunFolder.create(tmp_path / "empty"), tmp_path)


def all_dropped(run: RunFolder) -> None:
    write(run, "crawl", posts=[a_post(1), a_post(2)])
    write(run, "curate", candidates=[a_clip(1, "s", silent_share=None)], drops=[a_drop(2, "curate", "no_frames", "failure")])
    write(run, "judge", drops=[a_drop(1, "judge", "silent")])


def only_found(run: RunFolder) -> None:
    write(run, "crawl", drops=[a_drop(1, "search", "too_few_likes")])


def not_curated(run: RunFolder) -> None:
    write(run, "crawl", posts=[a_post(1), a_post(2)])


def imported(run: RunFolder) -> None:
    write(run, "import", clips=[a_clip(1, "a"), a_clip(2, "a")])


def older(run: RunFolder) -> None:
    write(run, "crawl", posts=[a_post(1)])
    write(run, "curate", candidates=[a_clip(1, "s", silent_share=0.1)])
    write(run, "judge", clips=[a_clip(1, "s", silent_share=0.1)])
    write(run, "split", splits=[Split(name="train", clip_ids=(name(1),), grouped_by="song")])


@pytest.mark.parametrize(
    ("fill", "account", "says"),
    [
        (all_dropped, (2, 0, 2, 0), "No clip was kept"),
        (only_found, (1, 0, 1, 0), "No clip was measured"),
        (not_curated, (2, 0, 0, 2), "2 not reached yet"),
        (imported, (2, 2, 0, 0), "The clips are not split"),
        (older, (1, 1, 0, 0), "curated by an older svmbench"),
    ],
)
def test_any_run_has_a_report(
    tmp_path: Path, fill: Callable[[RunFolder], None], account: tuple[int, int, int, int], says: str
) -> None:
    run = RunFolder.create(tmp_path / "run")
    run.write_settings({"recipe": a_recipe().model_dump(mode="json")})
    fill(run)
    path = report.build(a_recipe(), run, tmp_path / "out")
    found = json.loads(path.with_suffix(".json").read_text())["account"]
    assert tuple(found[key] for key in ("found", "clips", "dropped", "waiting")) == account
    assert found["adds_up"]
    assert says in path.read_text()


def test_numbers_are_written_for_people() -> None:
    shown = [draw.figure(v) for v in (0.0, 0.25, 12.3456, 999.4, 64870.2, 4e-7, -0.5)]
    assert shown == ["0", "0.25", "12.3", "999", "64,870", "≈ 0", "-0.5"]


@pytest.mark.browser
def test_the_page_in_a_browser(chromium: Any, run: RunFolder, tmp_path: Path) -> None:
    from selenium.webdriver.common.by import By

    decided(run, 3, "Anna", "keep")
    path = report.build(a_recipe(), run, tmp_path)
    found = json.loads(path.with_suffix(".json").read_text())
    chromium.get_log("browser")  # what other pages have said
    chromium.get(path.as_uri())

    def cells(region: str) -> list[list[str]]:
        rows = chromium.find_elements(By.CSS_SELECTOR, f"[aria-label='{region}'] tbody tr")
        return [[cell.text for cell in row.find_elements(By.CSS_SELECTOR, "th, td")] for row in rows]

    reasons = found["account"]["reasons"]
    assert [(row[0], int(row[3])) for row in cells("Posts left out by reason")] == [
        (row["reason"].replace("_", " "), row["posts"]) for row in reasons
    ]
    stages = [[s["stage"], s["came"], s["rule"], s["failure"], s["waiting"], s["went_on"]] for s in found["account"]["stages"]]
    assert [row[:6] for row in cells("Posts by stage")] == [[str(cell) for cell in row] for row in stages]
    assert [[int(cell) for cell in row] for row in cells("Song reuse")] == [
        [r["size"], r["number"]] for r in found["songs"]["reuse"]
    ]
    assert cells("Categories")[0][:3] == ["dance", "9", "4"]
    labels = [svg.get_attribute("aria-label") for svg in chromium.find_elements(By.CSS_SELECTOR, ".figures svg")]
    assert any("silent_share of 7 clips" in label and "turns at: 0.5" in label for label in labels)
    assert chromium.execute_script("return window.pwned") is None
    assert chromium.get_log("browser") == []  # the security policy has refused nothing


@pytest.mark.browser
@pytest.mark.parametrize("width", [360, 768, 1400])
def test_nothing_sticks_out_and_the_keyboard_reaches_what_scrolls(
    chromium: Any, run: RunFolder, tmp_path: Path, width: int
) -> None:
    decided(run, 3, "Anna", "keep")
    chromium.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride", {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
    )
    try:
        chromium.get(report.build(a_recipe(), run, tmp_path).as_uri())
        assert chromium.execute_script("return document.documentElement.scrollWidth") <= width
        scrolled = (
            "return [...document.querySelectorAll('.scroll')].filter(e => e.scrollWidth > e.clientWidth).map(e => e.tabIndex)"
        )
        assert set(chromium.execute_script(scrolled)) <= {0}
        missing = (
            "return [...document.querySelectorAll('svg:not([aria-hidden])')].filter(e => !e.getAttribute('aria-label')).length"
        )
        assert chromium.execute_script(missing) == 0
    finally:
        chromium.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
