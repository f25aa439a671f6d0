"""Which candidates become clips: by the rules of the recipe, a person's decisions, and near-duplicates.

Nothing is decoded, so it can be asked anew. The same evidence and rules always give the same tables, sorted by clip.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from statistics import median
from typing import Any

from curation import duplicates, songs
from curation.clip_job import listed_filters, measuring_filters
from curation.labels import unified
from curation.review.decisions import Decision
from curation.rules import DROP, REVIEW, STAGE, Ruling, failed, refused, rule
from curation.songs import drop_id
from svmbench import optout
from svmbench.errors import BadSettings
from svmbench.fleet import Fleet
from svmbench.recipe import Recipe
from svmbench.records import Clip, ClipPicture, Drop, Duplicate, Fingerprint, Label, Listening, Post, RuleVerdict, Song

__all__ = ["STAGE", "Changes", "Evidence", "Judgement", "changes", "judge", "measured_with", "require_measures", "thresholds"]
KEPT, NEW = "kept", "new"
NATURAL_SOUND = "natural_sound"


@dataclass(frozen=True, slots=True)
class Evidence:
    """What is judged. pictures, prints (by clip_id), posts: called only where they are looked at.

    lacking: clip_id -> a feature of the recipe that it does not have. errors: clip_id -> measure -> why it could not be taken.
    decisions: clip_id -> what a person decided. opted_out: ids of clips that are left out whatever else holds of them.
    listening: of the judgement before.
    """

    candidates: Sequence[Clip]
    pictures: Callable[[], Mapping[str, ClipPicture]]
    prints: Callable[[], Mapping[str, Fingerprint]] = dict
    lacking: Mapping[str, str] = field(default_factory=dict)
    errors: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    decisions: Mapping[str, Decision] = field(default_factory=dict)
    posts: Callable[[], Sequence[Post]] = tuple
    opted_out: Collection[str] = frozenset()
    listening: Listening | None = None


@dataclass(frozen=True, slots=True)
class Judgement:
    """clips: what is kept. drops: one for every other candidate. duplicates: the clusters among what would else be kept.

    songs: of every candidate. verdicts: what the rules alone say of every candidate that no failure keeps out. labels: of the
    clips, where the recipe asks for them. listening: which clips sound alike, kept so that nobody listens twice. remarks: what a
    person should know.
    """

    clips: list[Clip]
    drops: list[Drop]
    duplicates: list[Duplicate]
    songs: list[Song]
    verdicts: list[RuleVerdict]
    labels: list[Label]
    listening: Listening | None = None
    remarks: tuple[str, ...] = field(default=(), compare=False)

    def outcomes(self) -> dict[str, str]:
        """The id of the clip's drop, or what it would be -> 'kept', or the reason."""
        return {**{drop_id(clip): KEPT for clip in self.clips}, **{drop.id: drop.reason for drop in self.drops}}


@dataclass(frozen=True, slots=True)
class Changes:
    """What another judgement changes: (before, after) -> ids. Both are 'kept' or the reason of the drop; before may be 'new'."""

    moved: Mapping[tuple[str, str], tuple[str, ...]]

    def line(self) -> str:
        """For people: 'dropped -> dropped: speech -> still 3; dropped -> kept: speech 10; kept -> dropped: still 4'."""
        found: dict[str, list[str]] = defaultdict(list)
        for (before, after), ids in sorted(self.moved.items(), key=lambda item: (-len(item[1]), item[0])):
            arrow = f"{_side(before)} -> {_side(after)}"
            words = [word for word in (before, after) if word not in (KEPT, NEW)]
            found[arrow].append(f"{' -> '.join(words)} {len(ids)}".strip())
        return "; ".join(f"{arrow}: {', '.join(words)}" for arrow, words in sorted(found.items())) or "nothing"


def _side(verdict: str) -> str:
    return verdict if verdict in (KEPT, NEW) else "dropped"


def changes(before: Mapping[str, str], after: Mapping[str, str]) -> Changes:
    """From the verdicts of two judgements."""
    moved: dict[tuple[str, str], list[str]] = defaultdict(list)
    for key in sorted(after):
        if before.get(key, NEW) != after[key]:
            moved[before.get(key, NEW), after[key]].append(key)
    return Changes({pair: tuple(ids) for pair, ids in moved.items()})


def measured_with(recipe: Recipe) -> dict[str, Any]:
    """What decides the candidates and their measures, as plain values: another of these needs decoding again.

    clip.min_s is among them where it decides which rest of a post is a clip.
    """
    return {
        "clip": recipe.clip.model_dump(mode="json", exclude={"min_s"} if recipe.clip.segment_s is None else None),
        "borders": recipe.borders.model_dump(mode="json"),
        "features": list(recipe.features),
        "fingerprints": recipe.songs.by == "fingerprint",
        "filters": {name: _fields(chosen, module.MEASURED_WITH) for name, module, chosen in measuring_filters(recipe)},
    }


def thresholds(recipe: Recipe) -> dict[str, Any]:
    """What decides which candidates are kept, as plain values."""
    return {
        "clip": recipe.clip.model_dump(mode="json", include={"min_s"}),
        "duplicates": recipe.duplicates.model_dump(mode="json"),
        "sound": recipe.sound.model_dump(mode="json"),
        "songs": recipe.songs.model_dump(mode="json"),
        "labels": recipe.labels.model_dump(mode="json") if recipe.labels else None,
        "filters": {name: asdict(chosen) for name, _, chosen in listed_filters(recipe)},
    }


def _fields(chosen: Any, names: Iterable[str]) -> dict[str, Any]:
    return {name: getattr(chosen, name) for name in names}


def judge(recipe: Recipe, evidence: Evidence, fleet: Fleet) -> Judgement:
    """Songs, rules, persons, what the recipe does with doubt, near-duplicates: in this order."""
    filters = listed_filters(recipe)
    require_measures(recipe, evidence.candidates)
    grouped = songs.grouping(evidence.candidates, evidence.prints(), recipe.songs, fleet, evidence.listening)
    song_of = {song.clip_id: song.song_id for song in grouped.songs}
    candidates = [replace(clip, song_id=song_of[clip.clip_id]) for clip in evidence.candidates]
    shared = Shared(candidates)
    drops: dict[str, Drop] = {}
    verdicts, kept = [], []
    for clip in candidates:
        others = {**clip.measures, **shared.of(clip), "shared_song_posts": recipe.sound.shared_song_posts}
        ruling = rule(recipe, filters, clip, others, evidence.errors.get(clip.clip_id, {}))
        verdicts += [ruling.verdict] if ruling.verdict else []
        opted_out = refused(clip, optout.REASON, None) if clip.clip_id in evidence.opted_out else None
        drop = opted_out or ruling.failure or _left_out(recipe, clip, ruling, evidence)
        if drop:
            drops[clip.clip_id] = drop
        else:
            kept.append(_labelled(recipe, clip, ruling, evidence.decisions.get(clip.clip_id)))
    drops |= _beyond_quota(recipe, kept)
    kept = [clip for clip in kept if clip.clip_id not in drops]
    twins = [] if recipe.duplicates.keep == "none" else duplicates.find(kept, evidence.pictures(), recipe.duplicates, fleet)
    by_id = {clip.clip_id: clip for clip in kept}
    drops |= {
        twin.clip_id: refused(by_id[twin.clip_id], "duplicate", twin.match_share, f"of {twin.cluster}")
        for twin in twins
        if not twin.kept
    }
    kept = [clip for clip in kept if clip.clip_id not in drops]
    labels = unified(kept, evidence.posts(), recipe.labels) if recipe.labels else []
    left_out = [drops[key] for key in sorted(drops)]
    return Judgement(
        clips=kept, drops=left_out, duplicates=twins, songs=grouped.songs, verdicts=verdicts, labels=labels,
        listening=grouped.listening, remarks=tuple(songs.remarks(grouped.apart, recipe.songs)),
    )  # fmt: skip


class Shared:
    """What a clip's song says of it, for filters that read it."""

    def __init__(self, clips: Iterable[Clip]) -> None:
        self._of_song: dict[str, dict[str, list[float | None]]] = defaultdict(lambda: defaultdict(list))
        for clip in clips:
            self._of_song[clip.song_id][clip.post_id].append(clip.measures.get("speech_share"))

    def of(self, clip: Clip) -> dict[str, float | None]:
        """song_posts: how many posts have the song. song_speech_share: the median share of speech in its other posts' clips, or
        None."""
        posts = self._of_song[clip.song_id]
        others = [s for post_id, shares in posts.items() if post_id != clip.post_id for s in shares if s is not None]
        return {"song_posts": len(posts), "song_speech_share": median(others) if others else None}


def _left_out(recipe: Recipe, clip: Clip, ruling: Ruling, evidence: Evidence) -> Drop | None:
    """A person's word counts before the rule's; nobody can give a clip a feature that it lacks."""
    verdict, decision = ruling.verdict, evidence.decisions.get(clip.clip_id)
    assert verdict is not None  # a ruling without one is a failure
    said = decision.verdict if decision else ""
    if decision and said == "drop":
        return refused(clip, f"review_{decision.reason or 'dropped'}", None, "by a person")
    if said != "keep" and verdict.verdict == DROP:
        return refused(clip, verdict.reason, verdict.value)
    if clip.clip_id in evidence.lacking:
        why = "the clip has no audio, and this feature reads it"
        return failed(clip, f"feature_{evidence.lacking[clip.clip_id]}", why)
    if said != "keep" and verdict.verdict == REVIEW:
        left_out = "doubtful" if recipe.sound.preset == "auto" else "awaits_review"
        return refused(clip, left_out, verdict.value, f"{verdict.filter}: {verdict.reason}")
    return None


def _labelled(recipe: Recipe, clip: Clip, ruling: Ruling, decision: Decision | None) -> Clip:
    """With the measure natural_sound, 1 or 0, where the preset keeps such clips; a person says so by keeping one as ambience."""
    if recipe.sound.preset != "m2m":
        return clip
    said = decision is not None and decision.verdict == "keep" and decision.reason == "ambience"
    return replace(clip, measures={**clip.measures, NATURAL_SOUND: float(ruling.natural or said)})


def _beyond_quota(recipe: Recipe, kept: Iterable[Clip]) -> dict[str, Drop]:
    """Clips of natural sound beyond recipe.sound.natural_max; which ones stay hangs on a hash of their ids."""
    natural = [clip for clip in kept if clip.measures.get(NATURAL_SOUND)]
    if recipe.sound.natural_max is None:
        return {}
    natural.sort(key=lambda clip: hashlib.sha256(clip.clip_id.encode()).digest())
    why = f"more than {recipe.sound.natural_max} clips have natural sound"
    return {clip.clip_id: refused(clip, "natural_quota", None, why) for clip in natural[recipe.sound.natural_max :]}


def require_measures(recipe: Recipe, candidates: Collection[Clip]) -> None:
    """BadSettings where the recipe asks for a measure that was not taken of every candidate."""
    for name, module, _ in listed_filters(recipe):
        missing = sum(module.NAME_OF_MEASURE not in clip.measures for clip in candidates)
        if missing:
            raise BadSettings(
                f"filters.{name}: {missing} of {len(candidates)} clips were decoded without its measure; leave the filter out, "
                "or decode again with 'svmbench curate --fresh'"
            )
