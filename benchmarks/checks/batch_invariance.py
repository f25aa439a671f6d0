"""Proves that an item's embedding, or a pair's score, does not depend on which items stand beside it in the batch.

A position code along the batch axis, batch norm in train mode, attention over the batch, padding that is read and a state that
counts rows all make an item's result depend on its neighbours (spec: a position code alone explains published recalls near
99 %). Items are embedded as scored, alone, and in a shuffled batch with other neighbours; a model that scores pairs scores some
alone and in a block.

Cannot see: a model that behaves when it is embedded again and did not when it was scored (then the embeddings as scored differ,
which it does see for encoders; for scores of pairs only in the blocks tried here).
"""

from __future__ import annotations

import numpy as np
import torch

from benchmarks.checks import Evidence, Finding
from benchmarks.checks._again import embedded, largest_shift, largest_turn, scored, scores_pairs, sides
from benchmarks.memory import out_of_memory
from benchmarks.towers import embed, generator

NEEDS = ("model", "test")

NUM_ITEMS = 64  # embedded alone; ours
NUM_PAIRS = 12  # videos and pieces of music whose pairs are scored alone; ours
LIMIT = 1e-4  # largest 1 - cosine, and largest change of a score in units of their spread; float32 stays below 1e-5; ours


def check(evidence: Evidence) -> Finding:
    """Largest 1 - cosine between two embeddings of one item, or largest change of a pair's score."""
    try:
        worst = _of_pairs(evidence) if scores_pairs(evidence.model) else _of_items(evidence)
    except (ValueError, RuntimeError) as error:  # as batch norm in train mode raises
        if out_of_memory(error):
            raise
        return Finding("batch_invariance", False, None, f"the model cannot take a clip alone: {error}")
    what = "change of a score, in units of their spread," if scores_pairs(evidence.model) else "1 - cosine"
    return Finding("batch_invariance", worst < LIMIT, worst, f"largest {what} {worst:.1e}, limit {LIMIT:g}")


def _of_items(evidence: Evidence) -> float:
    order, worst = torch.randperm(len(evidence.test), generator=generator(0)), 0.0
    few = order[:NUM_ITEMS].sort().values
    for (encode, inputs), scored_ND in zip(sides(evidence.model, evidence.test), _as_scored(evidence), strict=True):
        alone, shuffled = embedded(encode, inputs, few, 1), np.empty_like(scored_ND)
        shuffled[order.numpy()] = embedded(encode, inputs, order, NUM_ITEMS // 2 + 1)
        worst = max(worst, largest_turn(scored_ND[few.numpy()], alone), largest_turn(scored_ND, shuffled))
    return worst


def _as_scored(evidence: Evidence) -> tuple[np.ndarray, np.ndarray]:
    if evidence.video_ND is None:
        return embed(evidence.model, evidence.test)
    return evidence.video_ND, evidence.music_ND


def _of_pairs(evidence: Evidence) -> float:
    model, test = evidence.model, evidence.test
    few = torch.randperm(len(test), generator=generator(0))[:NUM_ITEMS]
    rows, columns = few[:NUM_PAIRS], few[-NUM_PAIRS:].flip(0)
    block = scored(model, test, few, few, (NUM_ITEMS, NUM_ITEMS))[:NUM_PAIRS, -NUM_PAIRS:][:, ::-1]
    again = [scored(model, test, rows, columns, size) for size in ((1, 1), (NUM_PAIRS // 2 + 1, NUM_PAIRS))]
    return max(largest_shift(block, other) for other in again)
