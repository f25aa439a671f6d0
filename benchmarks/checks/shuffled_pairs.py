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
MIN_SHARE = 0.75  # of the true model's gain over chance; below, the start, which all fits of a seed share, may be lucky; ours
NUM_CLIPS = 500  # of a model that scores pairs; ours


def check(evidence: Evidence) -> Finding:
    """Share of the way from chance to rank 1 that a model fitted on shuffled pairs goes; the least, of several."""
    test, true = evidence.test, against_chance(evidence.ranks, evidence.test.song_B.cpu().numpy())
    found: list[Against] = []
    while len(found) < NUM_FITS:
        first = 1000 * (len(found) + 1)
        found.append(
            _ranked(evidence.refit(evidence.train.shuffled(first), evidence.val.shuffled(first + 1)), test, evidence.unit)
        )
        if found[-1].p > LEVEL or found[-1].gain < MIN_SHARE * true.gain:
            return Finding("shuffled_pairs", True, found[-1].gain, f"fitted on shuffled pairs: {found[-1]}")
    least = min(found, key=lambda against: against.gain)
    detail = (
        f"fitted on shuffled pairs, {NUM_FITS} times, it is above chance each time: {least}; the score is not learnt from pairs"
    )
    return Finding("shuffled_pairs", False, least.gain, detail)


def _ranked(model: Model, test: Pairs, unit: str) -> Against:
    """Of a model that scores pairs, some clips, ranked among each other."""
    if not scores_pairs(model):
        song_N = test.song_B.cpu().numpy()
        return against_chance(retrieve(*embed(model, test), song_N, unit=unit), song_N)
    few = torch.arange(min(NUM_CLIPS, len(test)))
    song_N = test.song_B[: len(few)].cpu().numpy()
    sim_NN = scored(model, test, few, few, (len(few), len(few)))
    ranks = retrieve_scores(lambda rows, columns: sim_NN[np.ix_(rows, columns)], len(few), song_N, unit=unit)
    return against_chance(ranks, song_N)
