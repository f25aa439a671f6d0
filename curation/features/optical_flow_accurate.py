"""Motion as in `optical_flow`, with the same columns, by DIS's fast preset at a short side of 256: closer, thrice the cost."""

from __future__ import annotations

from dataclasses import replace

from curation import motion
from curation.flow import dis_fast
from svmbench.media import ClipMedia, Needs
from svmbench.records import Features

PAIRS = replace(motion.PAIRS, short_side_px=256)
DIM = len(motion.COLUMNS)
MODALITY = "video"
NEEDS = Needs(frames=(PAIRS,))
HOP_S = motion.HOP_S


def extract(clip: ClipMedia) -> Features:
    """values_TD of shape (segments, 6)."""
    return motion.by_segment(motion.pair_motions(clip.frames(PAIRS), dis_fast()), clip.duration_s)
