"""Rules applied to what was measured: the order of refusals, failures, and other thresholds without decoding."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from curation import judge as judging
from curation import run as stage_run
from curation import song_search
from curation.review import decisions
from curation.run import rejudge
from svmbench import plugins
from svmbench.errors import BadInput, BadSettings
from svmbench.fleet import Fleet
from svmbench.progress import Progress, Summary
from svmbench.recipe import Recipe, parse
from svmbench.records import Box, Clip, ClipPicture, Drop, Features, Listening, Post, features_table, to_table
from svmbench.store import RunFolder

FILTERS = {"silence": {}, "speech": {}, "still": {"max_share": 0.5}}
MEASURED = {
    "silent_share": 0.0,
    "speech_share": 0.0,
    "tonal_share": 0.01,
    "held_share": 0.0,
    "still_share": 0.2,
    "fps": 30.0,
    "truncated": 0.0,
    "container_s": 9.0,
}


def recipe(**changes: Any) -> Recipe:
    values = {
        "name": "small", "search": {"words": ["a"]}, "clip": {"min_s": 4, "max_s": 30}, "borders": {"method": "paper"},
        "filters": FILTERS, "features": ["log_mel"], "duplicates": {"keep": "best"},
        "split": {"train": 0.5, "val": 0.0, "test": 0.5},
    }  # fmt: skip
    return parse({**values, **changes}, "small")


def clip(number: int, length_s: float = 9.0, **measures: float | None) -> Clip:
    return Clip(
        clip_id=f"tiktok-{number}-0", post_id=str(number), song_id=f"tiktok:s{number // 2}", start_s=0.0, end_s=length_s,
        fps=30.0, width_px=360, height_px=640, box=Box(left_px=0, top_px=0, width_px=360, height_px=640), media=f"{number:064x}",
        measures={**MEASURED, **measures},
    )  # fmt: skip


def candidates() -> list[Clip]:
    """0 to 3 pass; 4 talks, 5 stands still, 6 does both, 7 is short; 8 breaks off; 9 has no sound; 3 repeats 2, smaller."""
    return [
        *(clip(i) for i in range(3)), replace(clip(3), box=Box(left_px=0, top_px=0, width_px=200, height_px=300)),
        clip(4, speech_share=0.7), clip(5, still_share=0.6), clip(6, speech_share=0.8, still_share=1.0),
        clip(7, 3.0, container_s=3.0), clip(8, 3.0, truncated=1.0), clip(9, silent_share=None),
    ]  # fmt: skip


def picture(number: int, of: int) -> ClipPicture:
    """Eight hashed frames; clips `of` the same number show the same."""
    codes = tuple(bytes((of * 37 + 11 * frame + 5 * i * i + i * of * (frame + 3)) % 256 for i in range(32)) for frame in range(8))
    return ClipPicture(
        clip_id=f"tiktok-{number}-0", border_method="paper", border_kinds=("none",) * 4, border_confidences=(1.0,) * 4,
        cut_times_s=(), hash_times_s=tuple(frame / 2 for frame in range(8)), hashes=codes, hash_qualities=(100,) * 8,
    )  # fmt: skip


def pictures() -> list[ClipPicture]:
    return [picture(i, 2 if i == 3 else i) for i in range(10)]


def run_of(folder: Path, chosen: Recipe, found: list[Clip], *, silent: tuple[int, ...] = (9,)) -> RunFolder:
    """A run folder as the decoding leaves it."""
    run = RunFolder.create(folder)
    run.write_settings({"recipe": chosen.model_dump(mode="json"), "curate": {"measured": judging.measured_with(chosen)}})
    heard = [c for c in found if int(c.post_id) not in silent]
    rows = [(c.clip_id, Features(values_TD=np.full((3, 80), 0.5, np.float32), hop_s=1.0)) for c in heard]
    posts = [Drop(id="tiktok:bad", stage="curate", kind="failure", reason="crash")]
    with run.writing("curate") as writer:
        writer.commit(
            [f"tiktok:{c.post_id}" for c in found] + ["tiktok:bad"],
            {
                "candidates": to_table(Clip, found), "pictures": to_table(ClipPicture, pictures()),
                "drops": to_table(Drop, posts),
                "features_log_mel": features_table(rows),
            },
        )  # fmt: skip
    return run


def go(chosen: Recipe, run: RunFolder) -> tuple[judging.Changes, dict[str, Summary]]:
    progress = Progress(quiet=True)
    with Fleet(local=True) as fleet:
        found = rejudge(chosen, run, fleet, progress)
    assert all(summary.balanced() and not summary.left for summary in progress.summaries)
    return found, {summary.stage: summary for summary in progress.summaries}


def verdicts(run: RunFolder) -> dict[str, tuple[str, str]]:
    found = {d.id.partition(":")[2]: (d.kind, d.reason) for d in run.read(Drop, "drops") if d.stage == "judge"}
    return {**found, **{c.post_id: ("", "kept") for c in run.read(Clip, "clips")}}


def test_the_first_refusal_in_the_recipes_order_counts_and_all_are_accounted_for(tmp_path: Path) -> None:
    run = run_of(tmp_path / "run", recipe(), candidates())
    _, account = go(recipe(), run)
    expected = {
        "0": ("", "kept"), "1": ("", "kept"), "2": ("", "kept"), "3": ("rule", "duplicate"), "4": ("rule", "speech"),
        "5": ("rule", "still"), "6": ("rule", "speech"), "7": ("rule", "too_short"), "8": ("failure", "short"),
        "9": ("rule", "no_audio"),
    }  # fmt: skip
    assert verdicts(run) == expected
    assert (account["judge"].kept, account["judge"].dropped.total(), account["judge"].failed) == (3, 6, {"short": 1})
    drops = {d.id: d for d in run.read(Drop, "drops")}
    assert drops["tiktok:6"].value == 0.8
    assert '"still_share": 1.0' in drops["tiktok:6"].detail
    assert drops["tiktok:7"].value == 3.0
    assert drops["tiktok:3"].detail == "of tiktok-2-0"
    assert drops["tiktok:8"].detail == "3.00 s of 9.00 s can be decoded, and clip.min_s is 4"
    assert drops["tiktok:bad"].stage == "curate", "what the decoding said stays"
    other = recipe(filters={"still": {"max_share": 0.5}, "speech": {}, "silence": {}})
    go(other, run)
    assert verdicts(run) == {**expected, "6": ("rule", "still")}


def test_a_kept_clip_has_every_feature_of_the_recipe(tmp_path: Path) -> None:
    chosen = recipe(filters={})
    run = run_of(tmp_path / "run", chosen, candidates())
    _, account = go(chosen, run)
    assert verdicts(run)["9"] == ("failure", "feature_log_mel")
    assert account["judge"].failed == {"short": 1, "feature_log_mel": 1}


def test_a_rule_that_raises_costs_the_clip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    still = plugins.load("curation.filters", "still")
    before = still.judge
    monkeypatch.setattr(still, "judge", lambda v, s: before(v, s) if v != 0.6 else 1 / 0)
    run = run_of(tmp_path / "run", recipe(), candidates())
    go(recipe(), run)
    drop = next(d for d in run.read(Drop, "drops") if d.id == "tiktok:5")
    assert (drop.kind, drop.reason) == ("failure", "filter_still")
    assert "ZeroDivisionError" in drop.detail


def test_rejudging_says_what_changes_and_ends_like_a_run_that_was_made_so(tmp_path: Path) -> None:
    strict, loose = recipe(), recipe(
        clip={"min_s": 2, "max_s": 30}, filters={**FILTERS, "speech": {"max_share": 0.75}, "still": {"max_share": 0.15}},
        duplicates={"keep": "none"}, split={"train": 0.3, "val": 0.0, "test": 0.7, "seed": 3},
    )  # fmt: skip
    run, anew = run_of(tmp_path / "run", strict, candidates()), run_of(tmp_path / "anew", loose, candidates())
    first, _ = go(strict, run)
    assert first.line() == ("new -> dropped: speech 2, duplicate 1, no_audio 1, short 1, still 1, too_short 1; new -> kept: 3")
    changed, _ = go(loose, run)
    assert changed.moved == {
        ("kept", "still"): ("tiktok:0", "tiktok:1", "tiktok:2"), ("duplicate", "still"): ("tiktok:3",),
        ("speech", "still"): ("tiktok:4",), ("short", "still"): ("tiktok:8",), ("too_short", "still"): ("tiktok:7",),
    }  # fmt: skip
    assert run.settings()["recipe"] == loose.model_dump(mode="json"), "so that a plain 'curate' ends in the same"
    assert changed.line().endswith("kept -> dropped: still 3")
    assert "speech -> still 1" in changed.line()
    go(loose, anew)
    assert _bytes(run) == _bytes(anew)
    back, _ = go(strict, run)
    assert back.moved["still", "kept"] == ("tiktok:0", "tiktok:1", "tiktok:2")
    assert run.settings()["recipe"] == strict.model_dump(mode="json")
    assert run.settings()["judge"]["settings"]["filters"]["speech"]["max_share"] == 0.5


def _bytes(run: RunFolder) -> dict[str, list[bytes]]:
    """The tables that judging and splitting write."""
    tables = ("clips", "drops", "duplicates", "songs", "verdicts", "listening", "splits")
    return {t: [part.read_bytes() for part in run.table_parts(t) if not part.name.startswith("curate")] for t in tables}


def test_what_does_not_change_is_not_written_again(tmp_path: Path) -> None:
    run = run_of(tmp_path / "run", recipe(), candidates())
    go(recipe(), run)
    parts = sorted((run.path / "tables").rglob("*.parquet"))
    stamps = [part.stat().st_mtime_ns for part in parts]
    changed, _ = go(recipe(filters={**FILTERS, "speech": {"max_share": 0.6}}), run)
    assert changed.line() == "nothing"
    assert sorted((run.path / "tables").rglob("*.parquet")) == parts
    assert [part.stat().st_mtime_ns for part in parts] == stamps


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"clip": {"min_s": 4, "max_s": 20}}, "clip.max_s: not as in the recipe"),
        ({"clip": {"min_s": 4, "max_s": 30, "frames": "reference"}}, "clip.frames: not"),
        ({"borders": {"method": "none"}, "name": "other"}, "borders.method, name: not"),
        ({"features": []}, "features: not"),
        ({"search": {"words": ["b"]}}, "search.words: not"),
        ({"filters": {**FILTERS, "speech": {"probability": 0.4}}}, r"\(filters.speech.probability changed\)"),
        ({"filters": {**FILTERS, "sharpness": {}}}, "filters.sharpness: 10 of 10 clips were decoded without its measure"),
        ({"filters": {**FILTERS, "speech": {"max_share": 2}}}, "filters.speech.max_share: 2.* is out of range"),
    ],
)
def test_only_thresholds_can_change_without_decoding(tmp_path: Path, changes: dict[str, Any], named: str) -> None:
    run = run_of(tmp_path / "run", recipe(), candidates())
    go(recipe(), run)
    before = {path: path.read_bytes() for path in run.path.rglob("*") if path.is_file()}
    with pytest.raises(BadSettings, match=named):
        go(recipe(**changes), run)
    assert {path: path.read_bytes() for path in run.path.rglob("*") if path.is_file()} == before, "a refusal changes nothing"


def test_what_a_filter_measured_with_is_remembered_when_the_recipe_drops_it(tmp_path: Path) -> None:
    run = run_of(tmp_path / "run", recipe(), candidates())
    without = recipe(filters={"still": {"max_share": 0.5}})
    kept = stage_run._same_measuring(without, run, candidates())
    assert kept == judging.measured_with(recipe())
    run.write_settings({"curate": {"measured": kept}})
    with pytest.raises(BadSettings, match=r"filters\.speech\.probability changed"):
        go(recipe(filters={"speech": {"probability": 0.4}}), run)


def test_posts_that_are_still_undone_do_not_matter_and_no_candidates_are_one_line(tmp_path: Path) -> None:
    run = run_of(tmp_path / "run", recipe(), candidates())
    post = Post(
        platform="tiktok", post_id="77", url="", words=("a",), caption="", hashtags=(), likes=1, likes_exact=True, track_id=None,
        track_title=None, track_original=False, duration_s=3.0, posted_at=None, fetched_at=None, sha256=None, author_hash=None,
    )  # fmt: skip
    with run.writing("crawl") as writer:
        writer.commit(["tiktok:77"], {"posts": to_table(Post, [post])})
    go(recipe(), run)
    assert "77" not in verdicts(run)
    empty = RunFolder.create(tmp_path / "empty")
    empty.write_settings({"recipe": recipe().model_dump(mode="json")})
    with pytest.raises(BadInput, match="run 'svmbench curate' first"):
        go(recipe(), empty)


def test_killed_between_taking_back_and_committing_the_same_command_heals(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, calm = run_of(tmp_path / "run", recipe(), candidates()), run_of(tmp_path / "calm", recipe(), candidates())
    loose = recipe(filters={"still": {}})
    for folder in (run, calm):
        go(recipe(), folder)
    go(loose, calm)
    with run.writing("judge") as writer:
        writer.clear()
    go(loose, run)
    assert _bytes(run) == _bytes(calm)


def test_the_order_of_the_candidates_does_not_matter(tmp_path: Path) -> None:
    run, turned = run_of(tmp_path / "run", recipe(), candidates()), run_of(tmp_path / "turned", recipe(), candidates()[::-1])
    for folder in (run, turned):
        go(recipe(), folder)
    assert _bytes(run) == _bytes(turned)


def test_what_a_person_decided_is_replayed_and_a_line_that_cannot_be_read_is_reported(tmp_path: Path) -> None:
    run = run_of(tmp_path / "run", recipe(), candidates())
    shown = {"reason": "voice_over", "blind": False, "item_hash": "a", "filter_version": "b"}
    decisions.append(run.path, [decisions.new("tiktok-0-0", "ann", "drop", **shown)])
    with open(decisions.place(run.path), "a") as log:
        log.write("{torn\n")
    decisions.append(run.path, [decisions.new("tiktok-5-0", "ann", "keep", **{**shown, "reason": ""})])
    _, account = go(recipe(), run)
    assert verdicts(run)["0"] == ("rule", "review_voice_over")
    assert verdicts(run)["5"] == ("", "kept")
    (note,) = account["judge"].notes
    assert "line 2 of review/decisions.jsonl was skipped: it is not JSON" in note


def test_nobody_listens_again_for_other_thresholds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = run_of(tmp_path / "run", recipe(), candidates())
    go(recipe(), run)
    (before,) = run.read(Listening, "listening")
    monkeypatch.setattr(song_search, "matches", lambda *_: pytest.fail("listens again"))
    go(recipe(filters={"still": {}}), run)
    assert run.read(Listening, "listening") == [before]
    go(recipe(songs={"by": "platform"}), run)
    assert run.read(Listening, "listening") == []
