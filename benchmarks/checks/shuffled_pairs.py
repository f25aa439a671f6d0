"""Proves that the score comes from the training pairs: fitted on videos with the music of other clips, it must fall to chance.

What is left above chance then was not learnt from what belongs together: a code of the place, an id in a feature, a test part
that was seen. The same baseline, settings and seed are fitted on shuffled train and val pairs and ranked on the true test pairs.
One such fit is a random guess at how the two sides relate and can be right by luck, so a fit above chance is tried again with
other shuffles, at most NUM_FITS in all, and only a model that stays above chance each time fails.

Cannot see: a leak that gives less than MIN_SHARE of what the true model gains over chance; a leak that only true pairs open
(split_leak, batch_invariance).
"""

from __future__ import annotations

import numpy as np
import torch

from benchmarks.checks import Evidence, Finding
from benchmarks.checks._again import scored, scores_pairs
from benchmarks.checks._chance import Against, against_chance
from benchmarks.inputs import Pairs
from benchmarks.ranking import retrieve, retrieve_scores
from benchmarks.towers import Model, embed

NEEDS = ("refit", "train", "val", "test", "ranks")

LEVEL = 0.01  # of one fit; ours
NUM_FITS = 3  # ours
MIN_SHARE = 0.25  # of the true model's gain over chance; ours
NUM_CLIPS = 500  # of a model that scores pairs; ours


def check(evidence: Evidence) -> Finding:
    """Share of the way from chance to rank 1 that the shuffled model with the least goes."""
    test, true = evidence.test, against_chance(evidence.ranks, evidence.test.song_B.cpu().numpy())
    least: Against | None = None
    for number in range(NUM_FITS):
        train, val = (part.shuffled(1000 * (number + 1) + i) for i, part in enumerate((evidence.train, evidence.val)))
        found = _ranked(evidence.refit(train, val), test)
        least = found if least is None or found.gain < least.gain else least
        if found.p > LEVEL or found.gain < MIN_SHARE * max(true.gain, 0.0):
            return Finding("shuffled_pairs", True, found.gain, f"fitted on shuffled pairs: {found}")
    assert least is not None
    detail = (
        f"fitted on shuffled pairs, {NUM_FITS} times, it is above chance each time: {least}; the score does not come from pairs"
    )
    return Finding("shuffled_pairs", False, least.gain, detail)


def _ranked(model: Model, test: Pairs) -> Against:
    """Of a model that scores pairs, some clips, ranked among each other."""
    if not scores_pairs(model):
        return against_chance(retrieve(*embed(model, test), test.song_B.cpu().numpy()), test.song_B.cpu().numpy())
    few = torch.arange(min(NUM_CLIPS, len(test)))
    song_N = test.song_B[: len(few)].cpu().numpy()
    sim_NN = scored(model, test, few, few, (len(few), len(few)))
    return against_chance(retrieve_scores(lambda rows, columns: sim_NN[np.ix_(rows, columns)], len(few), song_N), song_N)
