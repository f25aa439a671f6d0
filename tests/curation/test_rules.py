"""Doubt, the persons who decide it, and what the recipe does with what nobody has decided."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from curation import judge as judging
from curation.judge import Evidence, Judgement
from curation.review.decisions import Decision
from svmbench import plugins
from svmbench.fleet import Fleet
from svmbench.recipe import Recipe, parse
from svmbench.records import Box, Clip, Verdict

Answer = Callable[..., Verdict]


def recipe(**changes: Any) -> Recipe:
    values = {
        "name": "small", "search": {"words": ["a"]}, "filters": {"silence": {}, "still": {"max_share": 0.9}},
        "duplicates": {"keep": "none"}, "songs": {"by": "platform"}, "clip": {"min_s": 4},
    }  # fmt: skip
    return parse({**values, **changes}, "small")


def clip(number: int, song: str = "", **measures: float | None) -> Clip:
    return Clip(
        clip_id=f"tiktok-{number}-0", post_id=str(number), song_id=f"tiktok:{song or number}", start_s=0.0, end_s=9.0,
        fps=30.0, width_px=360, height_px=640, box=Box(left_px=0, top_px=0, width_px=360, height_px=640), media="",
        measures={"silent_share": 0.0, "still_share": 0.0, **measures},
    )  # fmt: skip


def decision(number: int, verdict: str, reason: str = "") -> Decision:
    """As the page writes it."""
    known: dict[str, Any] = {"clip_id": f"tiktok-{number}-0", "verdict": verdict, "reason": reason, "reviewer": "ann"}
    rest: dict[str, Any] = {"at": "2026-11-21T12:00:00Z", "blind": False, "item_hash": "a", "filter_version": "b", "id": "c"}
    names = Decision.__dataclass_fields__
    return Decision(**known, **{name: value for name, value in rest.items() if name in names})


def go(chosen: Recipe, clips: list[Clip], **evidence: Any) -> Judgement:
    with Fleet(local=True) as fleet:
        return judging.judge(chosen, Evidence(candidates=clips, pictures=dict, **evidence), fleet)


@pytest.fixture
def doubt(monkeypatch: pytest.MonkeyPatch) -> None:
    """The filter 'still' is in doubt from .2 to .8, and drops above."""

    def judge(value: float, settings: Any) -> Verdict:
        if value > 0.8:
            return Verdict(keep=False, reason="still", value=value)
        return Verdict(keep=value < 0.2, reason="calm", value=value, review=value >= 0.2)

    monkeypatch.setattr(plugins.load("curation.filters", "still"), "judge", judge)


def left_out(found: Judgement) -> dict[str, tuple[str, str, str]]:
    return {d.id: (d.kind, d.reason, d.detail) for d in found.drops}


@pytest.mark.usefixtures("doubt")
def test_a_doubtful_clip_waits_for_a_person_or_is_left_out_as_the_preset_says() -> None:
    clips = [clip(0), clip(1, still_share=0.5), clip(2, still_share=0.9)]
    for preset, reason in (("svm_10k", "awaits_review"), ("m2m", "awaits_review"), ("auto", "doubtful")):
        found = go(recipe(sound={"preset": preset}), clips)
        assert [c.clip_id for c in found.clips] == ["tiktok-0-0"]
        drops = {d.id: d for d in found.drops}
        assert (drops["tiktok:1"].kind, drops["tiktok:1"].reason, drops["tiktok:1"].value) == ("rule", reason, 0.5)
        assert drops["tiktok:1"].detail == "still: calm"
        assert drops["tiktok:2"].reason == "still"
    verdicts = {v.clip_id: (v.verdict, v.filter, v.reason, v.value) for v in found.verdicts}
    assert verdicts == {
        "tiktok-0-0": ("keep", "", "", None), "tiktok-1-0": ("review", "still", "calm", 0.5),
        "tiktok-2-0": ("drop", "still", "still", 0.9),
    }  # fmt: skip


@pytest.mark.usefixtures("doubt")
def test_a_person_decides_over_every_rule_and_the_rules_verdicts_stay_as_they_were() -> None:
    clips = [clip(0), clip(1, still_share=0.5), clip(2, still_share=0.9), clip(3, still_share=0.5), clip(4, still_share=0.5)]
    said = [
        decision(0, "drop", "voice_over"), decision(1, "keep"), decision(2, "keep"), decision(3, "drop"), decision(4, "unsure")
    ]  # fmt: skip
    found = go(recipe(), clips, decisions={d.clip_id: d for d in said})
    assert [c.post_id for c in found.clips] == ["1", "2"]
    assert left_out(found) == {
        "tiktok:0": ("rule", "review_voice_over", "by a person"), "tiktok:3": ("rule", "review_dropped", "by a person"),
        "tiktok:4": ("rule", "doubtful", "still: calm"),
    }  # fmt: skip
    assert [v.verdict for v in found.verdicts] == ["keep", "review", "drop", "review", "review"]


def test_nobody_can_keep_a_clip_that_a_failure_keeps_out() -> None:
    said = {f"tiktok-{i}-0": decision(i, "keep") for i in range(3)}
    found = go(
        recipe(), [clip(0), clip(1, still_share=None), clip(2)], decisions=said, lacking={"tiktok-0-0": "beats"},
        errors={"tiktok-1-0": {"still_share": "RuntimeError: no"}},
    )  # fmt: skip
    assert [c.post_id for c in found.clips] == ["2"]
    assert left_out(found) == {
        "tiktok:0": ("failure", "feature_beats", "the clip has no audio, and this feature reads it"),
        "tiktok:1": ("failure", "filter_still", "RuntimeError: no"),
    }  # fmt: skip


def test_a_detector_that_failed_matters_only_where_its_filter_is_listed() -> None:
    errors = {"tiktok-0-0": {"speech_share": "RuntimeError: no"}}
    assert [c.post_id for c in go(recipe(), [clip(0)], errors=errors).clips] == ["0"]


def test_a_drop_of_a_later_rule_counts_before_the_doubt_of_an_earlier_one(monkeypatch: pytest.MonkeyPatch) -> None:
    silence = plugins.load("curation.filters", "silence")
    monkeypatch.setattr(silence, "judge", lambda v, s: Verdict(keep=False, reason="quiet", value=v, review=True))
    found = go(recipe(), [clip(0), clip(1, still_share=1.0)])
    assert {d.id: d.reason for d in found.drops} == {"tiktok:0": "doubtful", "tiktok:1": "still"}


def test_a_filter_that_reads_other_measures_is_shown_them_and_how_many_posts_share_the_song(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen: dict[float, Mapping[str, float | None]] = {}

    def judge(value: float, settings: Any, others: Mapping[str, float | None]) -> Verdict:
        seen[value] = others
        return Verdict(keep=True, reason="", value=value)

    still = plugins.load("curation.filters", "still")
    monkeypatch.setattr(still, "judge", judge)
    monkeypatch.setattr(still, "READS", ("silent_share",), raising=False)
    clips = [
        clip(0, "a", still_share=0.1, speech_share=0.9), clip(1, "a", still_share=0.2, speech_share=0.5),
        clip(2, "b", still_share=0.3, speech_share=0.4), clip(3, "a", still_share=0.4, speech_share=0.7),
        clip(4, "a", still_share=0.5, speech_share=None),
    ]  # fmt: skip
    go(recipe(sound={"shared_song_posts": 7}), clips)
    assert {value: others["song_posts"] for value, others in seen.items()} == {0.1: 4, 0.2: 4, 0.3: 1, 0.4: 4, 0.5: 4}
    heard = {value: others["song_speech_share"] for value, others in seen.items()}
    assert heard == {0.1: 0.6, 0.2: 0.8, 0.3: None, 0.4: 0.7, 0.5: 0.7}, "the median of the song's other posts"
    assert {(others["silent_share"], others["shared_song_posts"]) for others in seen.values()} == {(0.0, 7)}


def test_natural_sound_is_kept_and_labelled_where_the_preset_says_so_up_to_a_number(monkeypatch: pytest.MonkeyPatch) -> None:
    ambience = plugins.load("curation.filters", "ambience")

    def judge(value: float, *_: Any) -> Verdict:
        return Verdict(keep=value > 0.1, reason="ambience" if value <= 0.1 else "tonal", value=value)

    monkeypatch.setattr(ambience, "judge", judge)
    clips = [clip(i, tonal_share=0.05 if i < 6 else 0.5, still_share=1.0 if i == 0 else 0.0) for i in range(8)]
    filters = {"ambience": {}, "still": {"max_share": 0.9}}
    found = go(recipe(filters=filters), clips)
    assert {d.reason for d in found.drops} == {"ambience"}
    assert not any(judging.NATURAL_SOUND in c.measures for c in found.clips)
    found = go(recipe(filters=filters, sound={"preset": "m2m"}), clips)
    assert {c.post_id: c.measures["natural_sound"] for c in found.clips} == {**dict.fromkeys("12345", 1.0), "6": 0.0, "7": 0.0}
    assert {d.id: d.reason for d in found.drops} == {"tiktok:0": "still"}, "other rules still hold"
    assert {v.reason for v in found.verdicts if v.clip_id == "tiktok-1-0"} == {"natural_sound"}
    few = go(recipe(filters=filters, sound={"preset": "m2m", "natural_max": 2}), clips)
    turned = go(recipe(filters=filters, sound={"preset": "m2m", "natural_max": 2}), clips[::-1])
    assert sum(bool(c.measures["natural_sound"]) for c in few.clips) == 2
    assert {c.clip_id for c in few.clips} == {c.clip_id for c in turned.clips}
    assert [d.reason for d in few.drops].count("natural_quota") == 3
    said = {"tiktok-6-0": decision(6, "keep", "ambience"), "tiktok-7-0": decision(7, "keep")}
    heard = go(recipe(filters=filters, sound={"preset": "m2m"}), clips, decisions=said)
    assert {c.post_id: c.measures["natural_sound"] for c in heard.clips if c.post_id in "67"} == {"6": 1.0, "7": 0.0}
