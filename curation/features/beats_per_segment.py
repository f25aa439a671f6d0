"""Beats as the code of UT-CMVMR (arXiv 2309.09421) counts them: each segment of 4 s tracked on its own.

The columns of `beats` and the same tracker, but with what librosa's `onset_strength` and `beat_track` do when asked for nothing
else, as in the authors' code (TencentARC-QQ/UT-CMVMR): the mean over the bands instead of the median, and weak beats at either
end of a segment left out. Tempo and confidence are each segment's own. A segment tells little of its tempo, and beats near its
ends are lost; docs/performance.md has how often both count rightly. It has a file of its own because in a recipe a feature has a
name and no settings.

Differs from the authors' code in the last segment: they leave out what is shorter than 4 s; the paper pads it with zeros, as
is done here.
"""

from __future__ import annotations

import numpy as np

from curation.features._beat_tracker import HZ, mean, track_each
from curation.features.beats import DIM, MODALITY, NEEDS, SEGMENT_S, row
from curation.spectra import heard_wave, steps
from svmbench.media import ClipMedia
from svmbench.records import Features

__all__ = ["DIM", "MODALITY", "NEEDS", "extract"]
TOGETHER = 16  # ours: segments whose spectra are in memory together


def extract(clip: ClipMedia) -> Features:
    """One row for every segment of 4 s; the last is padded with zeros, or a little longer (see curation.spectra.steps)."""
    wave = heard_wave(clip, HZ)
    length = round(SEGMENT_S * HZ)
    bounds = [(round(start_s * HZ), round(end_s * HZ)) for start_s, end_s in steps(len(wave) / HZ, SEGMENT_S)]
    segments = [np.pad(wave[start:end], (0, max(0, length - (end - start)))) for start, end in bounds]
    groups = [segments[i : i + TOGETHER] for i in range(0, len(segments), TOGETHER)]
    found = [beats for group in groups for beats in track_each(group, mean, trim=True)]
    rows = [row(beats, 0.0, np.inf) for beats in found]
    return Features(values_TD=np.array(rows, dtype=np.float32), hop_s=SEGMENT_S)
