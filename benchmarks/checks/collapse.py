"""Proves that the embeddings of different items differ: neither all in one direction nor along one line.

Effective rank: exp of the entropy of the squared singular values' shares (Roy and Vetterli 2007), after the mean is taken away.

Cannot see: a wide cloud that has nothing to do with the items. A narrow cone can still rank well; the mark says that its
similarities live in the last digits.
"""

from __future__ import annotations

import numpy as np

from benchmarks.checks import Evidence, Finding

NEEDS = ("video_ND", "music_ND")

MIN_RANK = 2.0  # ours
MAX_COSINE = 0.99  # mean over pairs; ours


def check(evidence: Evidence) -> Finding:
    """Effective rank of the more collapsed side; also fails when the mean cosine between items is above MAX_COSINE."""
    rank = min(effective_rank(evidence.video_ND), effective_rank(evidence.music_ND))
    cosine = max(_mean_cosine(evidence.video_ND), _mean_cosine(evidence.music_ND))
    passed = rank >= min(MIN_RANK, len(evidence.video_ND) - 1.0) and cosine <= MAX_COSINE
    detail = f"effective rank {rank:.1f} (at least {MIN_RANK:g}), mean cosine {cosine:.3f} (at most {MAX_COSINE:g})"
    return Finding("collapse", passed, rank, detail)


def effective_rank(x_ND: np.ndarray) -> float:
    """From 1 (one line) to min(N - 1, D); 0 when all rows are equal."""
    centred = (x_ND - x_ND.mean(axis=0)).astype(np.float64)
    gram = centred.T @ centred if centred.shape[0] > centred.shape[1] else centred @ centred.T
    squares = np.maximum(np.linalg.eigvalsh(gram), 0.0)
    if squares.sum() < 1e-8 * len(x_ND):
        return 0.0
    shares = squares / squares.sum()
    shares = shares[shares > 0]
    return float(np.exp(-(shares * np.log(shares)).sum()))


def _mean_cosine(x_ND: np.ndarray) -> float:
    unit = x_ND / np.maximum(np.linalg.norm(x_ND, axis=1, keepdims=True), 1e-12)
    num = len(unit)
    return float((np.linalg.norm(unit.sum(axis=0)) ** 2 - num) / (num * (num - 1))) if num > 1 else 0.0
