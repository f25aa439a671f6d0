"""Which candidates become clips: the rules of the recipe, then near-duplicates. Nothing is decoded, so it can be asked anew.

Reads the tables `candidates` and `pictures` and the names of the features that each clip has; gives the rows of `clips`, `drops`
and `duplicates`, sorted by id, so that the same candidates and rules always give the same tables.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from curation import duplicates
from curation.clip_job import RUN_WIDE, Chosen, detail, listed_filters, measuring_filters
from curation.songs import post_of
from svmbench.errors import BadSettings
from svmbench.fleet import Fleet
from svmbench.recipe import Recipe
from svmbench.records import Clip, ClipPicture, Drop, Duplicate

STAGE = "judge"
KEPT, NEW = "kept", "new"


@dataclass(frozen=True, slots=True)
class Judgement:
    """clips: what is kept. drops: one for every other candidate. duplicates: the clusters among what the rules keep."""

    clips: list[Clip]
    drops: list[Drop]
    duplicates: list[Duplicate]

    def verdicts(self) -> dict[str, str]:
        """Post key -> 'kept', or the reason of its drop."""
        return {**{post_of(clip): KEPT for clip in self.clips}, **{drop.id: drop.reason for drop in self.drops}}


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
    """What decides the candidates and their measures, as plain values: another of these needs decoding again."""
    return {
        "clip": recipe.clip.model_dump(mode="json", exclude={"min_s"}),
        "borders": recipe.borders.model_dump(mode="json"),
        "features": list(recipe.features),
        "filters": {name: _fields(chosen, module.MEASURED_WITH) for name, module, chosen in measuring_filters(recipe)},
    }


def thresholds(recipe: Recipe) -> dict[str, Any]:
    """What decides which candidates are kept, as plain values."""
    return {
        "clip": recipe.clip.model_dump(mode="json", include={"min_s"}),
        "duplicates": recipe.duplicates.model_dump(mode="json"),
        "filters": {name: asdict(chosen) for name, _, chosen in listed_filters(recipe)},
    }


def _fields(chosen: Any, names: Iterable[str]) -> dict[str, Any]:
    return {name: getattr(chosen, name) for name in names}


def judge(
    recipe: Recipe,
    candidates: Iterable[Clip],
    pictures: Callable[[], Mapping[str, ClipPicture]],
    lacking: Mapping[str, str],
    fleet: Fleet,
) -> Judgement:
    """lacking: clip_id -> a feature of the recipe that it does not have. pictures: called where duplicates are looked for."""
    candidates = sorted(candidates, key=lambda clip: clip.clip_id)
    filters = listed_filters(recipe)
    require_measures(recipe, candidates)
    drops = {clip.clip_id: drop for clip in candidates if (drop := _refused(recipe, filters, clip, lacking))}
    kept = [clip for clip in candidates if clip.clip_id not in drops]
    twins = [] if recipe.duplicates.keep == "none" else duplicates.find(kept, pictures(), recipe.duplicates, fleet)
    by_id = {clip.clip_id: clip for clip in kept}
    for twin in twins:
        if not twin.kept:
            why = f"of {twin.cluster}"
            drops[twin.clip_id] = _drop(by_id[twin.clip_id], "rule", "duplicate", twin.match_share, why)
    kept = [clip for clip in kept if clip.clip_id not in drops]
    return Judgement(clips=kept, drops=[drops[key] for key in sorted(drops)], duplicates=twins)


def require_measures(recipe: Recipe, candidates: Collection[Clip]) -> None:
    """BadSettings where the recipe asks for a measure that was not taken of every candidate."""
    for name, module, _ in listed_filters(recipe):
        missing = sum(module.NAME_OF_MEASURE not in clip.measures for clip in candidates)
        if missing:
            raise BadSettings(
                f"filters.{name}: {missing} of {len(candidates)} clips were decoded without its measure; leave the filter out, "
                "or decode again with 'svmbench curate --fresh'"
            )


def _refused(recipe: Recipe, filters: Iterable[Chosen], clip: Clip, lacking: Mapping[str, str]) -> Drop | None:
    """The first rule that refuses the clip, in the recipe's order."""
    too_short = _too_short(clip, recipe.clip.min_s)
    if too_short:
        return too_short
    for name, module, chosen in filters:
        try:
            verdict = module.judge(clip.measures[module.NAME_OF_MEASURE], chosen)
        except RUN_WIDE:
            raise
        except Exception as error:
            return _drop(clip, "failure", f"filter_{name}", None, detail(error))
        if not verdict.keep:
            return _drop(clip, "rule", verdict.reason, verdict.value, json.dumps(dict(clip.measures)))
    if clip.clip_id in lacking:
        return _drop(
            clip, "failure", f"feature_{lacking[clip.clip_id]}", None, "the clip has no audio, and this feature reads it"
        )
    return None


def _too_short(clip: Clip, min_s: float) -> Drop | None:
    """A file that claims enough and breaks off before is damaged, which is no rule's refusal."""
    length_s, claim_s = clip.end_s - clip.start_s, clip.measures.get("container_s") or 0.0
    if length_s >= min_s:
        return None
    if clip.measures.get("truncated") and claim_s >= min_s:
        why = f"{length_s:.2f} s of {claim_s:.2f} s can be decoded, and clip.min_s is {min_s:g}"
        return _drop(clip, "failure", "short", length_s, why)
    return _drop(clip, "rule", "too_short", length_s, json.dumps(dict(clip.measures)))


def _drop(clip: Clip, kind: str, reason: str, value: float | None, why: str) -> Drop:
    return Drop(id=post_of(clip), stage=STAGE, kind=kind, reason=reason, value=value, detail=why)
