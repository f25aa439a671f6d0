"""Losses that two or more baselines use. Axes: B clips of a batch; before them S, where several seeds are stacked."""

from __future__ import annotations

import torch


def same_song(song_B: torch.Tensor) -> torch.Tensor:
    """(..., B, B) bool: off-diagonal cells whose two clips share a song. They are false negatives."""
    same_BB = song_B[..., :, None] == song_B[..., None, :]
    return same_BB & ~torch.eye(song_B.shape[-1], dtype=torch.bool, device=song_B.device)
