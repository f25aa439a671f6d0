"""Proves that the ranks do not come from videos and music standing in the same order.

Both sides are embedded again, each in a shuffled order and batch size of its own, put back, and ranked again. A model that reads
the item's place rather than the item loses its score here. Of a model that scores pairs, some clips are scored in order and
again with rows and columns shuffled apart, and ranked among each other. Float32 rounding may swap near-equal candidates, so a
rank counts as moved when it moves by more than 1 % of the gallery and more than one place.

Cannot see: a place that is written in the inputs themselves (negative_controls, batch_position).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch

from benchmarks.checks import Evidence, Finding
from benchmarks.checks._again import embedded, scored, scores_pairs, sides
from benchmarks.ranking import retrieve
from benchmarks.towers import generator

NEEDS = ("model", "test", "ranks")

LIMIT = 0.01  # share of queries whose rank moves; ours
BATCHES = (37, 53)  # of the video and of the music side; ours
NUM_CLIPS = 256  # of a model that scores pairs; ours


def check(evidence: Evidence) -> Finding:
    """Share of queries, over both directions, whose rank moves."""
    moved = _of_pairs(evidence) if scores_pairs(evidence.model) else _of_items(evidence)
    share = float(moved.mean())
    return Finding("independent_order", share <= LIMIT, share, f"{share:.1%} of the ranks move, limit {LIMIT:.0%}")


def _of_items(evidence: Evidence) -> npt.NDArray[np.bool_]:
    again = []
    for seed, ((encode, inputs), batch) in enumerate(zip(sides(evidence.model, evidence.test), BATCHES, strict=True)):
        order = torch.randperm(len(inputs), generator=generator(seed))
        found = embedded(encode, inputs, order, batch)
        again.append(np.empty_like(found))
        again[-1][order.numpy()] = found
    ranks = retrieve(again[0], again[1], evidence.test.song_B.cpu().numpy(), unit=evidence.unit)
    return np.concatenate(
        [_moved(first.expected(), ranks[d].expected(), first.num_candidates) for d, first in evidence.ranks.items()]
    )


def _of_pairs(evidence: Evidence) -> npt.NDArray[np.bool_]:
    model, test = evidence.model, evidence.test
    few = torch.randperm(len(test), generator=generator(0))[:NUM_CLIPS].sort().values
    rows, columns = (torch.randperm(len(few), generator=generator(seed)) for seed in (1, 2))
    first = scored(model, test, few, few, (NUM_CLIPS, NUM_CLIPS))
    again = np.empty_like(first)
    again[np.ix_(rows.numpy(), columns.numpy())] = scored(model, test, few[rows], few[columns], BATCHES)
    return np.concatenate([_moved(_places(a), _places(b), len(few)) for a, b in ((first, again), (first.T, again.T))])


def _places(sim_RC: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    """Mean place of each row's own column among all, from 1."""
    own = sim_RC.diagonal()[:, None]
    return np.asarray(0.5 + (sim_RC > own).sum(axis=1) + (sim_RC == own).sum(axis=1) / 2, dtype=np.float64)


def _moved(first: npt.NDArray[np.float64], again: npt.NDArray[np.float64], gallery: npt.ArrayLike) -> npt.NDArray[np.bool_]:
    return np.abs(first - again) > np.maximum(1.0, 0.01 * np.asarray(gallery))
