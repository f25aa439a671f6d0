"""Proves that the similarity of a video and a piece of music does not depend on what else is in the gallery.

Some videos are compared with a tenth of the gallery and with all of it, and some pieces of music likewise: the similarities they
share must be equal. A weight averaged over the gallery (as in one published code), a softmax over the candidates ("dual
softmax") and a correction for hubs all use the other test items, so that their score changes with the pool and cannot be had for
one pair alone.

Cannot see: what is computed from the test part before the model is handed over; a model gets no test item before.
"""

from __future__ import annotations

import torch

from benchmarks.checks import Evidence, Finding
from benchmarks.checks._again import Floats, embedded, largest_shift, scored, scores_pairs, sides
from benchmarks.inputs import Pairs
from benchmarks.towers import Model, generator

NEEDS = ("model", "test")

NUM_QUERIES = 32  # ours
SHARE = 0.1  # of the gallery
LIMIT = 1e-3  # largest change of a similarity, in units of their spread; float32 stays below 1e-5; ours


def check(evidence: Evidence) -> Finding:
    """Largest change of a similarity between a small and the whole gallery, over both directions."""
    model, test = evidence.model, evidence.test
    order = torch.randperm(len(test), generator=generator(0))
    queries, everything, worst = order[:NUM_QUERIES], torch.arange(len(test)), 0.0
    few = order[-max(2, round(SHARE * len(test))) :]
    for of_video in (True, False):
        small, large = (_similar(model, test, queries, gallery, of_video) for gallery in (few, everything))
        worst = max(worst, largest_shift(large[:, few.numpy()], small))
    detail = (
        f"a similarity changes by up to {worst:.1e} of their spread between {SHARE:.0%} and 100 % of the gallery, limit {LIMIT:g}"
    )
    return Finding("gallery_invariance", worst < LIMIT, worst, detail)


def _similar(model: Model, test: Pairs, queries: torch.Tensor, gallery: torch.Tensor, of_video: bool) -> Floats:
    """(queries, gallery): video queries and a gallery of music, or the other way round; the gallery is given at once."""
    size = len(gallery)
    if scores_pairs(model):
        if of_video:
            return scored(model, test, queries, gallery, (len(queries), size))
        return scored(model, test, gallery, queries, (size, len(queries))).T
    video, music = sides(model, test)
    query, item = (video, music) if of_video else (music, video)
    return embedded(*query, queries, len(queries)) @ embedded(*item, gallery, size).T
