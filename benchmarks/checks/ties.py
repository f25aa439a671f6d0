"""Proves that the model tells candidates apart: with many ties a score says how ties were broken and not what was learnt."""

from __future__ import annotations

import numpy as np

from benchmarks.checks import Evidence, Finding

NEEDS = ("ranks",)
LIMIT = 0.01  # share of queries whose best positive is tied with a wrong candidate; ours


def check(evidence: Evidence) -> Finding:
    """Share of tied queries in the worse of the two directions."""
    share = max(float(np.mean(ranks.tied > 0)) for ranks in evidence.ranks.values())
    return Finding("ties", share <= LIMIT, share, f"{share:.1%} of the queries are tied, limit {LIMIT:.0%}")
