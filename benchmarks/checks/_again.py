"""Embeds and scores clips again, in other company: what several checks share.

Axes: N clips, D embedding, R clips whose videos and C clips whose music are scored.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from benchmarks.inputs import Inputs, Pairs

Encode = Callable[[Inputs], torch.Tensor]
Floats = npt.NDArray[np.float32]


def scores_pairs(model: Any) -> bool:
    """Whether it scores pairs (`score`) rather than embedding each side."""
    return hasattr(model, "score")


def sides(model: Any, part: Pairs) -> tuple[tuple[Encode, Inputs], tuple[Encode, Inputs]]:
    """Each encoder with what it is given: video, then music."""
    return (model.encode_video, part.video), (model.encode_music, part.music)


@torch.no_grad()
def embedded(encode: Encode, inputs: Inputs, order: torch.Tensor, batch: int) -> Floats:
    """Embeddings of the clips in `order`, in that order, made in batches of this size."""
    found = [encode(inputs[rows]) for rows in order.to(inputs.device).split(batch)]
    return torch.cat(found).float().cpu().numpy()


@torch.no_grad()
def scored(model: Any, part: Pairs, rows: torch.Tensor, columns: torch.Tensor, batch: tuple[int, int]) -> Floats:
    """Scores (R, C) of these videos with these pieces of music, in that order, made in blocks of `batch` rows and columns."""
    device = part.video.device
    found = [
        torch.cat([model.score(part.video[r], part.music[c]) for c in columns.to(device).split(batch[1])], dim=1)
        for r in rows.to(device).split(batch[0])
    ]
    return torch.cat(found).float().cpu().numpy()


def largest_turn(first_ND: Floats, again_ND: Floats) -> float:
    """Largest |a - b|^2 / 2 in units of the longer squared length: 1 - cosine for rows of unit length, 0 for two rows of 0."""
    if not np.isfinite(again_ND).all():
        return float("inf")
    longer = np.maximum((first_ND**2).sum(axis=1), (again_ND**2).sum(axis=1))
    return float((((first_ND - again_ND) ** 2).sum(axis=1) / np.maximum(2 * longer, 1e-24)).max(initial=0.0))


def largest_shift(first_RC: Floats, again_RC: Floats) -> float:
    """Largest change of a score, in units of the scores' spread (or of a tenth of the largest, where that is more)."""
    if not np.isfinite(again_RC).all():
        return float("inf")
    unit = max(float(first_RC.std()), 0.1 * float(np.abs(first_RC).max(initial=0.0)), 1e-12)
    return float(np.abs(first_RC - again_RC).max(initial=0.0)) / unit


def first_block(model: Any, part: Pairs, size: int) -> Floats:
    """Of a model that scores pairs: the scores of the first `size` videos with the first `size` pieces of music."""
    few = torch.arange(min(size, len(part)))
    return scored(model, part, few, few, (size, size))
