"""Motion as in `optical_flow`, but where the codec says that nothing moved, and the pixels agree, no flow is computed.

The codec's vectors are there for H.264 and the MPEG family only, not for key frames, and cost time to export: see
docs/design.md for what that saves and costs. Columns as in `optical_flow`; pairs left out of the flow count as displaced by 0.
"""

from __future__ import annotations

import cv2
import numpy as np

from curation import motion
from curation.flow import dis_ultrafast
from svmbench.media import ClipMedia, Frames, Needs, Vectors
from svmbench.records import Features

DIM = len(motion.COLUMNS)
MODALITY = "video"
NEEDS = Needs(frames=(motion.PAIRS,), vectors=True)
HOP_S = motion.HOP_S

MOVING_SHARE = 0.001  # ours: of the picture's area with vectors; the codec sees no motion below
CHANGE = 0.5  # ours: mean grey levels; and the pixels agree below
SAME_TIME_S = 1e-4  # a frame of the pairs and a frame with vectors are the same


def unmoved(pairs: Frames, vectors: Vectors | None) -> np.ndarray:
    """(T,) bool: the second frame has vectors, they and those of frames between are zero, and the pixels hardly differ."""
    still_T = np.zeros(len(pairs.images), bool)
    if vectors is None or pairs.next_images is None or pairs.next_times_s_T is None:
        return still_T
    begins, ends = (np.searchsorted(vectors.times_s_T, times + SAME_TIME_S) for times in (pairs.times_s_T, pairs.next_times_s_T))
    for i, (begin, end) in enumerate(zip(begins, ends, strict=True)):
        if begin == end or vectors.times_s_T[end - 1] < pairs.next_times_s_T[i] - SAME_TIME_S:
            continue
        if (vectors.moving_share_T[begin:end] < MOVING_SHARE).all():
            first, second = (np.ascontiguousarray(images[i]) for images in (pairs.images, pairs.next_images))
            still_T[i] = cv2.norm(first, second, cv2.NORM_L1) < CHANGE * first.size
    return still_T


def extract(clip: ClipMedia) -> Features:
    """values_TD of shape (segments, 6)."""
    pairs = clip.frames(motion.PAIRS)
    found = motion.pair_motions(pairs, dis_ultrafast(), unmoved(pairs, clip.vectors()), small=True)
    return motion.by_segment(found, clip.duration_s)
