"""How far the decisions can be trusted: the filter's own error from blind items, and the agreement of two reviewers."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from itertools import combinations
from typing import Any

from curation.review.decisions import DROP, KEEP, VERDICTS, Decision, Log, disputed, settled, standing, winner
from svmbench.records import RuleVerdict

Z95 = 1.959964  # the 97.5 % point of the normal distribution


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """num_wrong of num_checked, the share and its 95 % interval by Wilson's score; None where nothing was checked."""

    num_wrong: int
    num_checked: int
    share: float | None
    ci95: tuple[float, float] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class FilterError:
    """How often blind reviewers and the rules differ.

    kept: of the clips that the rules keep, those that a person dropped. dropped: of those that the rules drop, those that a
    person kept. num_unsure: blind clips on which the reviewers are unsure or disagree, and which count in neither.
    num_doubtful: blind clips that were KEEP or DROP when they were shown, and are in REVIEW or without a verdict by now.
    """

    kept: Rate
    dropped: Rate
    num_unsure: int
    num_doubtful: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """Cohen's kappa of two reviewers over the clips on which both decided: keep, drop and unsure are the categories.

    observed: share of equal decisions. kappa = (observed - by chance) / (1 - by chance), with chance from each reviewer's own
    shares (Cohen 1960, doi 10.1177/001316446002000104); None without clips, and where both always say the same one thing.
    ci95: from the same paper's large-sample error.
    """

    reviewers: tuple[str, str]
    num_clips: int
    observed: float | None
    kappa: float | None
    ci95: tuple[float, float] | None


def wilson(num_wrong: int, num_checked: int) -> Rate:
    """Wilson (1927): centre (p + z2/2n) / (1 + z2/n), half width z / (1 + z2/n) sqrt(p(1-p)/n + z2/4n2)."""
    if not num_checked:
        return Rate(num_wrong=0, num_checked=0, share=None, ci95=None)
    share, n, z2 = num_wrong / num_checked, num_checked, Z95**2
    centre = (share + z2 / (2 * n)) / (1 + z2 / n)
    half = Z95 / (1 + z2 / n) * math.sqrt(share * (1 - share) / n + z2 / (4 * n * n))
    ends = (max(0.0, centre - half), min(1.0, centre + half))
    return Rate(num_wrong=num_wrong, num_checked=n, share=share, ci95=ends)


def filter_error(log: Log, verdicts: Iterable[RuleVerdict]) -> FilterError:
    """From the blind decisions of a log and what the rules say now."""
    rules = {v.clip_id: v.verdict for v in verdicts}
    counts: Counter[tuple[str, str]] = Counter()
    num_unsure = num_doubtful = 0
    for clip_id, by_reviewer in standing(log).items():
        votes = [d for d in by_reviewer.values() if d.blind]
        if not votes:
            continue
        told = winner(votes)
        if rules.get(clip_id) not in (KEEP, DROP):
            num_doubtful += 1
        elif told is None or told.verdict not in (KEEP, DROP):
            num_unsure += 1
        else:
            counts[rules[clip_id], told.verdict] += 1
    return FilterError(
        kept=wilson(counts[KEEP, DROP], counts[KEEP, DROP] + counts[KEEP, KEEP]),
        dropped=wilson(counts[DROP, KEEP], counts[DROP, KEEP] + counts[DROP, DROP]),
        num_unsure=num_unsure,
        num_doubtful=num_doubtful,
    )


def kappa(pairs: Iterable[tuple[str, str]], reviewers: tuple[str, str] = ("first", "second")) -> Agreement:
    """From the verdicts of two reviewers on the same clips."""
    table = Counter(pairs)
    n = sum(table.values())
    if not n:
        return Agreement(reviewers=reviewers, num_clips=0, observed=None, kappa=None, ci95=None)
    first: Counter[str] = Counter()
    second: Counter[str] = Counter()
    for (a, b), count in table.items():
        first[a] += count
        second[b] += count
    observed = sum(count for (a, b), count in table.items() if a == b) / n
    chance = sum(first[word] * second[word] for word in first) / n**2
    value = None if chance == 1 else (observed - chance) / (1 - chance)
    ends = None
    if value is not None:
        half = Z95 * math.sqrt(observed * (1 - observed) / (n * (1 - chance) ** 2))
        ends = (max(-1.0, value - half), min(1.0, value + half))
    return Agreement(reviewers=reviewers, num_clips=n, observed=observed, kappa=value, ci95=ends)


def agreements(log: Log) -> list[Agreement]:
    """One for each two reviewers who decided on the same clips; those with the most such clips first."""
    pairs: dict[tuple[str, str], list[tuple[Decision, Decision]]] = defaultdict(list)
    for by_reviewer in standing(log).values():
        for a, b in combinations(sorted(by_reviewer), 2):
            pairs[a, b].append((by_reviewer[a], by_reviewer[b]))
    found = [kappa([(a.verdict, b.verdict) for a, b in both], names) for names, both in pairs.items()]
    return sorted(found, key=lambda agreement: (-agreement.num_clips, agreement.reviewers))


def summary(log: Log, verdicts: Iterable[RuleVerdict]) -> dict[str, Any]:
    """All of this as plain values, for the page, the terminal and the report."""
    found = settled(log)
    return {
        "settled": {verdict: sum(d.verdict == verdict for d in found.values()) for verdict in VERDICTS},
        "disputed": len(disputed(log)),
        "error": asdict(filter_error(log, verdicts)),
        "agreements": [asdict(agreement) for agreement in agreements(log)],
        "problems": [f"line {problem.line}: {problem.why}" for problem in log.problems],
    }
