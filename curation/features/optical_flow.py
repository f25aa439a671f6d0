"""Motion: dense optical flow between frames some 1/30 s apart, four pairs a second, summed up for every four seconds of the clip.

UT-CMVMR ("Optical Flow and Rhythm Quantization") takes the mean pixel displacement between frames from RAFT. Here DIS runs on
pictures of a short side of 160, halved once more, which needs no download; tests/perf/flow.py shows how close it comes to known
motion and what it costs. `optical_flow_accurate` and `optical_flow_raft` give the same columns for more time.

Columns, in frame diagonals a second where nothing else is said; curation/motion.py defines them:

    0 mean displacement over the picture
    1 its 90th percentile over the picture
    2 share of still pairs, in [0, 1]
    3 camera: the part that one shift, turn and zoom of the whole picture explains
    4 object: what is left of it
    5 mean displacement in UT-CMVMR's unit: pixels a second of a picture squashed to 224 x 224

Row t covers [4 t, 4 t + 4) seconds, the last one what is left of the clip. A row without a usable pair takes the values of the
nearest one that has some; a clip without any counts as still.
"""

from __future__ import annotations

from curation import motion
from svmbench.media import ClipMedia
from svmbench.records import Features

DIM = len(motion.COLUMNS)
MODALITY = "video"
NEEDS = motion.NEEDS
HOP_S = motion.HOP_S


def extract(clip: ClipMedia) -> Features:
    """values_TD of shape (segments, 6)."""
    return motion.by_segment(motion.of_clip(clip), clip.duration_s)
