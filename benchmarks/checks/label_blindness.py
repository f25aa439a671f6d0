"""Proves that the score does not look at the labels of the test part.

The test clips are embedded, or scored in pairs, with their unified labels as they are, with the labels of other clips, and with
none: all must be equal. Labels may be learnt from; a gallery ordered by the true label of the query is an oracle (spec: a random
ranker under such an order scores like a published row).

Cannot see: a label that was made into a feature. It does not run for a model that is given no labels.
"""

from __future__ import annotations

from dataclasses import replace

import torch

from benchmarks.checks import Evidence, Finding
from benchmarks.checks._again import embedded, largest_shift, largest_turn, scored, scores_pairs, sides
from benchmarks.inputs import Inputs, Pairs
from benchmarks.towers import Model, generator

NEEDS = ("model", "test")

NUM_CLIPS = 512  # ours
BATCH = 256  # ours
LIMIT = 1e-6  # the same batches: only what is not repeatable on a GPU may differ; ours


def check(evidence: Evidence) -> Finding:
    """Largest 1 - cosine, or change of a pair's score in units of their spread, that other labels make."""
    test = evidence.test
    if test.video.tags_B is None and test.music.tags_B is None:
        return Finding("label_blindness", None, None, "not run: this model is given no labels")
    test = test[torch.randperm(len(test), generator=generator(0))[:NUM_CLIPS].to(test.video.device)]
    order = torch.randperm(len(test), generator=generator(1)).to(test.video.device)
    relabelled = Pairs(_with(test.video, order), _with(test.music, order.roll(1)), test.song_B)
    unlabelled = Pairs(_with(test.video, None), _with(test.music, None), test.song_B)
    worst = max(_difference(evidence.model, test, other) for other in (relabelled, unlabelled))
    detail = f"other labels change an embedding or score by up to {worst:.1e}, limit {LIMIT:g}"
    return Finding("label_blindness", worst < LIMIT, worst, detail)


def _with(inputs: Inputs, order: torch.Tensor | None) -> Inputs:
    """The same clips with labels in another order, or with none (-1)."""
    if inputs.tags_B is None:
        return inputs
    return replace(inputs, tags_B=torch.full_like(inputs.tags_B, -1) if order is None else inputs.tags_B[order])


def _difference(model: Model, first: Pairs, other: Pairs) -> float:
    every = torch.arange(len(first))
    if scores_pairs(model):
        few = every[:BATCH]
        return largest_shift(*(scored(model, part, few, few, (BATCH, BATCH)) for part in (first, other)))
    both = [[embedded(encode, inputs, every, BATCH) for encode, inputs in sides(model, part)] for part in (first, other)]
    return max(largest_turn(a, b) for a, b in zip(*both, strict=True))
