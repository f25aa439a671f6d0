"""Proves that embeddings are finite and of unit length, also for a clip whose inputs are all zero and for one far outside.

A silent or black clip has such inputs; dividing by its norm gives NaN, which sorts anywhere. (Scored embeddings that are
not finite stop the run before any check: benchmarks.ranking.) Of a model that scores pairs, the scores must be finite.

Cannot see: other inputs that break it; these three kinds are tried.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from benchmarks.checks import Evidence, Finding
from benchmarks.checks._again import first_block, scores_pairs, sides
from benchmarks.inputs import Inputs, Pairs, Steps

NEEDS = ("model", "test")

LIMIT = 1e-3  # largest | |e| - 1 |; ours
FAR = 100.0  # standard deviations; ours
NUM_REAL = 8  # clips beside the two; ours


@torch.no_grad()
def check(evidence: Evidence) -> Finding:
    """Largest deviation of a length from 1; infinite where a value is not finite. A zero embedding of a zero input is allowed."""
    test = evidence.test[:NUM_REAL]
    songs = torch.cat([test.song_B, test.song_B.new_full((2,), -1)])
    test = Pairs(_with_extremes(test.video), _with_extremes(test.music), songs)
    if scores_pairs(evidence.model):
        fine = bool(np.isfinite(first_block(evidence.model, test, len(test))).all())
        return Finding("finite", fine, 0.0 if fine else float("inf"), f"scores of a zero and of a far clip are {_FINE[fine]}")
    worst = 0.0
    for encode, inputs in sides(evidence.model, test):
        found = encode(inputs).float()
        length = found.norm(dim=1)
        length[-2] = length[-2] if length[-2] > 0 else 1.0
        worst = max(worst, float((length - 1).abs().max()) if bool(torch.isfinite(found).all()) else float("inf"))
    return Finding("finite", worst <= LIMIT, worst, f"largest deviation from unit length {worst:.1e}, limit {LIMIT:g}")


_FINE = {True: "finite", False: "not finite"}


def _with_extremes(inputs: Inputs) -> Inputs:
    """The clips, then one whose inputs are all 0, then one whose inputs are all FAR standard deviations outside."""
    zero, tags = torch.zeros_like(inputs.vectors_BV[:1]), inputs.tags_B
    return Inputs(
        torch.cat([inputs.vectors_BV, zero, zero + FAR]),
        {name: _longer(steps) for name, steps in inputs.steps.items()},
        None if tags is None else torch.cat([tags, tags.new_full((2,), -1)]),
    )


def _longer(steps: Steps) -> Steps:
    """The sequences, then one of a single step at the mean, then one of a single step far outside (0 where nothing varies)."""
    far_D = steps.mean_D + torch.where(steps.scale_D > 0, FAR / steps.scale_D.clamp(min=1e-30), 0.0)
    own = [steps.packed_PD[start : start + length].float() for start, length in zip(steps.start_B, steps.length_B, strict=True)]
    packed_PD = torch.cat([*own, steps.mean_D[None].float(), far_D[None].float()])
    length_B = torch.cat([steps.length_B, steps.length_B.new_ones(2)])
    return replace(steps, packed_PD=packed_PD, start_B=length_B.cumsum(0) - length_B, length_B=length_B)
