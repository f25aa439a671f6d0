"""Proves that an item's embedding does not depend on which items are embedded beside it.

A position code along the batch axis, batch norm in train mode and attention over the batch all make a model find its partner by
its place in the batch (spec: such a leak alone explains published recalls near 99 %). Items are embedded as scored, alone, and
in a shuffled batch with other neighbours.
"""

from __future__ import annotations

import numpy as np
import torch

from benchmarks.checks import Evidence, Finding
from benchmarks.towers import generator

NEEDS = ("model", "test", "video_ND", "music_ND")

NUM_ITEMS = 64  # ours
LIMIT = 1e-4  # largest |1 - cosine|; float32 rounding stays below 1e-6; ours


@torch.no_grad()
def check(evidence: Evidence) -> Finding:
    """Largest |1 - cosine| between two embeddings of one item."""
    order = torch.randperm(len(evidence.test), generator=generator(0))
    few, worst = order[:NUM_ITEMS].sort().values, 0.0
    sides = (
        (evidence.model.encode_video, evidence.test.video, evidence.video_ND),
        (evidence.model.encode_music, evidence.test.music, evidence.music_ND),
    )
    for encode, inputs, scored_ND in sides:
        rows = order.to(inputs.device)
        alone = torch.cat([encode(inputs[i : i + 1]) for i in few.tolist()]).float().cpu().numpy()
        shuffled = np.empty_like(scored_ND)
        shuffled[order.numpy()] = torch.cat([encode(inputs[r]) for r in rows.split(NUM_ITEMS // 2 + 1)]).float().cpu().numpy()
        for again, known in ((alone, scored_ND[few.numpy()]), (shuffled, scored_ND)):
            worst = max(worst, float(np.abs(1 - _cosine(again, known)).max()))
    passed = worst < LIMIT
    return Finding("batch_invariance", passed, worst, f"largest |1 - cosine| {worst:.1e}, limit {LIMIT:g}")


def _cosine(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    norms = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    return np.einsum("nd,nd->n", a, b) / np.maximum(norms, 1e-12)
