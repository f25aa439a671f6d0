"""What the page shows of each clip: everything comes from the run's tables, as plain values for JSON.

Of a blind item nothing is given that a filter said or measured: no verdict, no numbers, no stretches of speech.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import asdict, replace
from functools import partial
from typing import Any

import numpy as np

from curation.clip_job import ask, listed_filters
from curation.judge import Shared
from curation.review import draw
from curation.sheet import margins
from curation.sheet.build import MOTION_TOP
from curation.sheet.draw import motion
from curation.songs import drop_id, post_of
from svmbench import records
from svmbench.errors import BadInput
from svmbench.recipe import Recipe
from svmbench.records import Clip, ClipSound, Drop, Post, RuleVerdict, Song
from svmbench.settings import settings_hash
from svmbench.store import RunFolder

LONGEST_TEXT = 2000  # ours: characters of a caption


class Items:
    """The clips of a run with all that is shown of them; read once."""

    def __init__(self, recipe: Recipe, run: RunFolder) -> None:
        self.songs = {s.clip_id: s for s in run.read(Song, "songs")}
        self.clips = {clip.clip_id: self._grouped(clip) for clip in run.read(Clip, "candidates")}
        if not self.clips:
            raise BadInput(f"{run.path} has no curated clips; run svmbench curate {run.path} first")
        self.verdicts = {v.clip_id: v for v in verdicts(run) if v.clip_id in self.clips}
        self.recipe, self.filters = recipe, listed_filters(recipe)
        self.rules = margins.rules(self.filters, list(self.clips.values()))
        self.sounds = {s.clip_id: s for s in run.read(ClipSound, "sounds")}
        self.cuts_s = _cuts(run)
        self.posts = {p.key: p for p in run.read(Post, "posts")}
        self.shared, self.groups = Shared(self.clips.values()), self._groups()
        table = run.read_table("features_optical_flow")
        self.flows = {} if table is None else records.features_from_table(table)
        curves = [flow.values_TD[:, 0] for flow in self.flows.values()]
        self.motion_top = max(float(np.quantile(np.concatenate(curves), MOTION_TOP)), 1e-3) if curves else 1.0

    def _grouped(self, clip: Clip) -> Clip:
        """With the song that it was found to share; candidates have the platform's."""
        song = self.songs.get(clip.clip_id)
        return replace(clip, song_id=song.song_id) if song else clip

    def _groups(self) -> dict[str, list[str]]:
        groups: dict[str, list[str]] = defaultdict(list)
        for clip_id, clip in sorted(self.clips.items()):
            groups[clip.song_id].append(clip_id)
        return groups

    def distances(self) -> dict[str, float | None]:
        """clip_id -> spreads to the nearest threshold. Of clips that are not in doubt, without what their filters read beside:
        there may be many of them."""
        found = {}
        for clip_id, clip in self.clips.items():
            verdict = self.verdicts.get(clip_id)
            rules = self.rules_of(clip) if verdict and verdict.verdict == "review" else self.rules
            near = margins.nearest(rules, clip.measures)
            found[clip_id] = near[1] if near else None
        return found

    def rules_of(self, clip: Clip) -> list[margins.Rule]:
        """The rules with the thresholds that they have for this clip: a filter may read its other measures, and its song's."""
        others = {**clip.measures, **self.shared.of(clip), "shared_song_posts": self.recipe.sound.shared_song_posts}
        found = []
        for rule, (_, module, chosen) in zip(self.rules, self.filters, strict=True):
            if getattr(module, "READS", ()) and rule.values:
                answer = partial(_answer, module, chosen, others)
                turns = margins.thresholds(answer, (min(rule.values), max(rule.values)), rule.spread)
                rule = replace(rule, thresholds=turns)
            found.append(rule)
        return found

    def shown(self, clip_id: str, *, blind: bool) -> dict[str, Any]:
        clip = self.clips[clip_id]
        length_s = clip.end_s - clip.start_s
        sound, flow, cuts_s = self.sounds.get(clip_id), self.flows.get(clip_id), self.cuts_s.get(clip_id, ())
        errors = dict(sound.errors) if sound and not blind else {}
        return {
            "clip_id": clip_id, "start_s": clip.start_s, "end_s": clip.end_s, "blind": blind,
            "width_px": clip.width_px, "height_px": clip.height_px, "box": asdict(clip.box),
            "waveform": draw.waveform(sound, length_s, spans=not blind) if sound and sound.peaks else "",
            "no_waveform": _why_silent(sound),
            "flow": motion(flow.values_TD[:, 0], flow.hop_s, clip, cuts_s, self.motion_top) if flow else "",
            "post": _post(self.posts.get(post_of(clip)), post_of(clip)), "song": self._song(clip_id),
            "errors": [f"{name}: {why}"[:300] for name, why in sorted(errors.items())],
            **({} if blind else self._judged(clip)),
        }  # fmt: skip

    def _judged(self, clip: Clip) -> dict[str, Any]:
        verdict, rules = self.verdicts[clip.clip_id], self.rules_of(clip)
        used = {rule.measure for rule in rules}
        near = margins.nearest(rules, clip.measures)
        return {
            "verdict": {
                "verdict": verdict.verdict, "filter": verdict.filter, "reason": verdict.reason, "value": _number(verdict.value),
            },
            "numbers": [self._row(rule, module, clip) for rule, (_, module, _) in zip(rules, self.filters, strict=True)],
            "others": [[name, _number(value)] for name, value in sorted(clip.measures.items()) if name not in used],
            "closest": {"filter": near[0].name, "margin": near[1]} if near else None,
        }  # fmt: skip

    def _row(self, rule: margins.Rule, module: Any, clip: Clip) -> dict[str, Any]:
        """One line of the numbers."""
        value, verdict = _number(clip.measures.get(rule.measure)), self.verdicts[clip.clip_id]
        others = {**clip.measures, **self.shared.of(clip)}
        reads = [[name, found] for name in getattr(module, "READS", ()) if (found := _number(others.get(name))) is not None]
        return {
            "filter": rule.name, "measure": rule.measure, "value": value, "thresholds": list(rule.thresholds), "reads": reads,
            "strip": draw.strip(rule, value), "fired": verdict.verdict != "keep" and rule.name == verdict.filter,
        }  # fmt: skip

    def _song(self, clip_id: str) -> dict[str, Any]:
        """The group, and the next member of it, round in a ring, so that the page has one to compare with."""
        members, song = self.groups[self.clips[clip_id].song_id], self.songs.get(clip_id)
        other = members[(members.index(clip_id) + 1) % len(members)]
        found: dict[str, Any] = {
            "song_id": self.clips[clip_id].song_id, "num_clips": len(members), "other": None,
            "source": song.source if song else "", "match_score": _number(song.match_score) if song else None,
        }  # fmt: skip
        if other != clip_id:
            clip = self.clips[other]
            caption = _post(self.posts.get(post_of(clip)), "")["caption"]
            found["other"] = {"clip_id": other, "start_s": clip.start_s, "end_s": clip.end_s, "caption": caption}
        return found


def _cuts(run: RunFolder) -> dict[str, tuple[float, ...]]:
    """clip_id -> times of the cuts. Only this column: the hashes beside it are most of what a run knows of its pictures."""
    table = run.read_table("pictures", ["clip_id", "cut_times_s"])
    return {} if table is None else {row["clip_id"]: tuple(row["cut_times_s"]) for row in table.to_pylist()}


def _answer(module: Any, chosen: Any, others: Mapping[str, float | None], value: float) -> tuple[bool, bool]:
    found = ask(module, chosen, value, others)
    return found.keep, found.review


def verdicts(run: RunFolder) -> list[RuleVerdict]:
    """What the rules say of each candidate. A run from before that was stored tells it by its clips and drops."""
    found = run.read(RuleVerdict, "verdicts")
    if found:
        return found
    kept = {clip.clip_id for clip in run.read(Clip, "clips")}
    drops = {d.id: d for d in run.read(Drop, "drops") if d.stage == "judge" and d.kind == "rule"}
    rows = []
    for clip in run.read(Clip, "candidates"):
        drop = drops.get(drop_id(clip))
        if clip.clip_id in kept or (drop and drop.reason == "duplicate"):
            rows.append(RuleVerdict(clip_id=clip.clip_id, verdict="keep", filter="", reason="", value=None))
        elif drop:
            rows.append(RuleVerdict(clip_id=clip.clip_id, verdict="drop", filter="", reason=drop.reason, value=drop.value))
    return rows


def _why_silent(sound: ClipSound | None) -> str:
    if sound is None:
        return "This run was curated before waveforms were stored; curate it with --fresh to see them."
    return "" if sound.peaks else "This clip has no sound."


def _post(post: Post | None, key: str) -> dict[str, Any]:
    if post is None:
        return {"key": key, "caption": "", "hashtags": [], "words": [], "track": "", "likes": None, "url": ""}
    return {
        "key": key, "caption": post.caption[:LONGEST_TEXT], "hashtags": [tag[:60] for tag in post.hashtags[:30]],
        "words": list(post.words[:10]), "track": (post.track_title or "")[:200], "likes": post.likes,
        "url": post.url if post.url.startswith(("https://", "http://")) else "",
    }  # fmt: skip


def _number(value: float | None) -> float | None:
    """JSON has no NaN."""
    return float(value) if value is not None and np.isfinite(value) else None


def item_hash(clip: Clip) -> str:
    """Of what a decision is about, 12 hex digits: the file, the stretch, the box, the measures."""
    shown = {"media": clip.media, "start_s": clip.start_s, "end_s": clip.end_s, "box": asdict(clip.box)}
    return settings_hash({**shown, "measures": dict(clip.measures)})


def changed(clips: Mapping[str, Clip], hashes: Mapping[str, str]) -> int:
    """How many decisions (clip_id -> item_hash) are about a clip that looks or measures otherwise by now."""
    return sum(clip_id in clips and item_hash(clips[clip_id]) != told for clip_id, told in hashes.items())
