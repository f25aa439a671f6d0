"""What people decided over a run's clips, and how far the rules and the people can be trusted: in numbers, without names."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from curation.review import agreement, decisions
from curation.review.decisions import DROP, KEEP, Log
from svmbench.records import RuleVerdict
from svmbench.store import RunFolder


def review(run: RunFolder, verdicts: Sequence[RuleVerdict]) -> dict[str, Any] | None:
    """None where nobody has decided anything, else:

    clips, disputed     clips on which somebody decided; of these, those on which as many say keep as say drop
    outcomes            [{rules, people, clips}]: what the rules alone say of a clip, and the decision that counts
    reasons             [{reason, clips}] of the clips that people drop
    filter_error        {kept, dropped: {num_wrong, num_checked, share, ci95, clips}, num_unsure, num_doubtful} from blind items,
                        see curation.review.agreement; clips: on how many the rules say so, blind or not
    reviewers           [{clips, blind}] in order of clips, without their names
    kappa               [{reviewers: [place, place] in `reviewers` from 1, num_clips, observed, kappa, ci95}]
    skipped_lines       of the log, which could not be read
    """
    log = decisions.read(run.path)
    standing = decisions.standing(log)
    if not standing and not log.problems:
        return None
    ruled = {row.clip_id: row.verdict for row in verdicts}
    settled = decisions.settled(log)
    outcomes = Counter((ruled.get(clip_id, "not judged"), found.verdict) for clip_id, found in settled.items())
    reasons = Counter(found.reason for found in settled.values() if found.verdict == DROP)
    ranked = _reviewers(log)
    return {
        "clips": len(standing),
        "disputed": len(decisions.disputed(log)),
        "outcomes": [{"rules": rules, "people": said, "clips": n} for (rules, said), n in _by_count(outcomes)],
        "reasons": [{"reason": why, "clips": n} for why, n in _by_count(reasons)],
        "filter_error": _filter_error(log, verdicts),
        "reviewers": list(ranked.values()),
        "kappa": [
            {**asdict(found), "reviewers": sorted(list(ranked).index(name) + 1 for name in found.reviewers)}
            for found in agreement.agreements(log)
        ],
        "skipped_lines": len(log.problems),
    }


def _by_count(counts: Counter[Any]) -> list[tuple[Any, int]]:
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))


def _reviewers(log: Log) -> dict[str, dict[str, int]]:
    """Name -> number of clips, and of those shown blind; the busiest first."""
    clips, blind = Counter[str](), Counter[str]()
    for by_reviewer in decisions.standing(log).values():
        clips.update(by_reviewer.keys())
        blind.update(name for name, decision in by_reviewer.items() if decision.blind)
    return {name: {"clips": n, "blind": blind[name]} for name, n in _by_count(clips)}


def _filter_error(log: Log, verdicts: Sequence[RuleVerdict]) -> dict[str, Any]:
    found = asdict(agreement.filter_error(log, verdicts))
    said = Counter(row.verdict for row in verdicts)
    found["kept"]["clips"], found["dropped"]["clips"] = said[KEEP], said[DROP]
    return found
