"""Proves that embeddings are finite and of unit length, also for an item whose inputs are all zero and for one far outside.

A silent or black clip has such inputs; dividing by its norm gives NaN, which sorts anywhere. (Scored embeddings that are
not finite stop the run before any check: benchmarks.ranking.)
"""

from __future__ import annotations

import torch

from benchmarks.checks import Evidence, Finding
from benchmarks.inputs import Inputs

NEEDS = ("model", "test")

LIMIT = 1e-3  # largest | |e| - 1 |; ours
FAR = 100.0  # standard deviations; ours


@torch.no_grad()
def check(evidence: Evidence) -> Finding:
    """Largest deviation of a length from 1; infinite where a value is not finite. A zero embedding of a zero input is allowed."""
    worst = 0.0
    sides = ((evidence.model.encode_video, evidence.test.video), (evidence.model.encode_music, evidence.test.music))
    for encode, inputs in sides:
        zero = torch.zeros_like(inputs.vectors_BV[:1])
        found = encode(Inputs(torch.cat([inputs.vectors_BV[:8], zero, zero + FAR]))).float()
        length = found.norm(dim=1)
        length[-2] = length[-2] if length[-2] > 0 else 1.0
        worst = max(worst, float((length - 1).abs().max()) if bool(torch.isfinite(found).all()) else float("inf"))
    return Finding("finite", worst <= LIMIT, worst, f"largest deviation from unit length {worst:.1e}, limit {LIMIT:g}")
