"""Proves that the model tells candidates apart: with many ties a score says how ties were broken and not what was learnt.

Ties are counted, never broken, so the headline is right all the same; a run with many is marked because another program's order
would give another figure. Cannot see: candidates that differ by rounding alone.
"""

from __future__ import annotations

from benchmarks.checks import Evidence, Finding

NEEDS = ("ranks",)
LIMIT = 0.01  # share of queries whose best positive is tied with a wrong candidate; ours


def check(evidence: Evidence) -> Finding:
    """Share of tied queries in the worse of the two directions."""
    share = max(ranks.tied_share() for ranks in evidence.ranks.values())
    return Finding("ties", share <= LIMIT, share, f"{share:.1%} of the queries are tied, limit {LIMIT:.0%}")
