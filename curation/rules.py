"""What the rules of a recipe say of one candidate: keep it, drop it, or ask a person. No person and no other clip is asked here.

The order of the recipe's filters is that of the reasons: the first one that drops decides, else the first one in doubt.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from curation.clip_job import RUN_WIDE, Chosen, ask, detail
from curation.songs import drop_id
from svmbench.recipe import Recipe
from svmbench.records import Clip, Drop, RuleVerdict

STAGE = "judge"
KEEP, REVIEW, DROP = "keep", "review", "drop"
CLIP_RULE = "clip"  # stands for the filter's name where clip.min_s decides
ROUNDING_S = 1e-6  # of end_s - start_s
NATURAL = ("ambience", "ambience")  # filter and reason that mean natural sound, which the preset m2m keeps


@dataclass(frozen=True, slots=True)
class Ruling:
    """verdict: None where a failure keeps the clip out. natural: kept though its sound is natural, because the preset says so."""

    verdict: RuleVerdict | None
    failure: Drop | None = None
    natural: bool = False


def rule(
    recipe: Recipe, filters: Iterable[Chosen], clip: Clip, others: Mapping[str, float | None], errors: Mapping[str, str]
) -> Ruling:
    """others: what a filter with READS is shown beside the clip's measures. errors: measure -> why it could not be taken."""
    damaged, too_short = _too_short(clip, recipe.clip.min_s)
    if damaged or too_short:
        return Ruling(too_short, damaged)
    doubt, natural = None, False
    for name, module, chosen in filters:
        measure = module.NAME_OF_MEASURE
        if measure in errors:
            return Ruling(None, failed(clip, f"filter_{name}", errors[measure]))
        try:
            found = ask(module, chosen, clip.measures[measure], others)
        except RUN_WIDE:
            raise
        except Exception as error:
            return Ruling(None, failed(clip, f"filter_{name}", detail(error)))
        if found.review:
            doubt = doubt or _verdict(clip, REVIEW, name, found.reason, found.value)
        elif not found.keep and (name, found.reason) == NATURAL and recipe.sound.preset == "m2m":
            natural = True
        elif not found.keep:
            return Ruling(_verdict(clip, DROP, name, found.reason, found.value))
    kept = _verdict(clip, KEEP, NATURAL[0] if natural else "", "natural_sound" if natural else "", None)
    return Ruling(doubt or kept, natural=natural)


def failed(clip: Clip, reason: str, why: str) -> Drop:
    return Drop(id=drop_id(clip), stage=STAGE, kind="failure", reason=reason, detail=why)


def refused(clip: Clip, reason: str, value: float | None, why: str = "") -> Drop:
    """A rule's Drop. why: '' for all measures as JSON."""
    why = why or json.dumps(dict(clip.measures))
    return Drop(id=drop_id(clip), stage=STAGE, kind="rule", reason=reason, value=value, detail=why)


def _verdict(clip: Clip, verdict: str, name: str, reason: str, value: float | None) -> RuleVerdict:
    return RuleVerdict(clip_id=clip.clip_id, verdict=verdict, filter=name, reason=reason, value=value)


def _too_short(clip: Clip, min_s: float) -> tuple[Drop | None, RuleVerdict | None]:
    """A file that claims enough and breaks off before is damaged, which is no rule's refusal."""
    length_s, claim_s = clip.end_s - clip.start_s, clip.measures.get("container_s") or 0.0
    if length_s >= min_s - ROUNDING_S:
        return None, None
    if clip.measures.get("truncated") and claim_s >= min_s:
        why = f"{length_s:.2f} s of {claim_s:.2f} s can be decoded, and clip.min_s is {min_s:g}"
        return failed(clip, "short", why), None
    return None, _verdict(clip, DROP, CLIP_RULE, "too_short", length_s)
