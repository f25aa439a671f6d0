"""Proves that the ranks do not come from videos and music standing in the same order.

Both sides are embedded again, each in a shuffled order and batch size of its own, put back, and ranked again. A model that reads
the item's place rather than the item loses its score here. Float32 rounding may swap near-equal candidates, so a rank counts as
moved when it moves by more than 1 % of the gallery and more than one place.
"""

from __future__ import annotations

import numpy as np
import torch

from benchmarks.checks import Evidence, Finding
from benchmarks.ranking import retrieve
from benchmarks.towers import generator

NEEDS = ("model", "test", "video_ND", "ranks")

LIMIT = 0.01  # share of queries whose rank moves; ours
BATCHES = (37, 53)  # of the video and of the music side; ours


@torch.no_grad()
def check(evidence: Evidence) -> Finding:
    """Share of queries, over both directions, whose rank moves."""
    again = []
    sides = ((evidence.model.encode_video, evidence.test.video), (evidence.model.encode_music, evidence.test.music))
    for seed, ((encode, inputs), batch) in enumerate(zip(sides, BATCHES, strict=True)):
        order = torch.randperm(len(inputs), generator=generator(seed)).to(inputs.device)
        found = torch.cat([encode(inputs[rows]) for rows in order.split(batch)]).float()
        back = torch.empty_like(found)
        back[order] = found
        again.append(back.cpu().numpy())
    ranks = retrieve(again[0], again[1], evidence.test.song_B.cpu().numpy())
    moved = []
    for direction, first in evidence.ranks.items():
        shift = np.abs(ranks[direction].expected() - first.expected())
        moved.append(shift > np.maximum(1.0, 0.01 * first.num_candidates))
    share = float(np.concatenate(moved).mean())
    return Finding("independent_order", share <= LIMIT, share, f"{share:.1%} of the ranks move, limit {LIMIT:.0%}")
