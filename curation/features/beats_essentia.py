"""Beats by Essentia's RhythmExtractor2013, with the columns of `beats`, for who would compare the two.

Its `multifeature` method (Zapata, Davies, Gomez 2014, Multi-feature beat tracking) takes, of several trackers' beats, those on
which the others agree most; its confidence is that agreement, 0 to 5.32, here over 5.32. The strengths are those of our
strongest onset within 64 ms of each. Essentia is under the AGPL-3.0: it has an extra of its own (svmbench[essentia]), and is
imported only where a recipe names this feature. UT-CMVMR (arXiv 2309.09421) used librosa.
"""

from __future__ import annotations

import numpy as np

from curation.features._beat_tracker import FRAMES_PER_S, HZ, Beats, onset_strength
from curation.features.beats import DIM, MODALITY, SEGMENT_S, row
from curation.spectra import heard_wave, steps
from svmbench.errors import MissingExtra
from svmbench.media import ClipMedia, Needs
from svmbench.records import Features

__all__ = ["DIM", "MODALITY", "NEEDS", "extract"]
ESSENTIA_HZ = 44_100  # the only rate at which RhythmExtractor2013 works
MOST_CONFIDENT = 5.32  # its documentation
NEEDS = Needs(audio_hz=(HZ, ESSENTIA_HZ))


def extract(clip: ClipMedia) -> Features:
    """One row for every segment of 4 s; the clip is tracked once. Tempo and confidence are those of the whole clip, repeated."""
    onset_T = onset_strength(heard_wave(clip, HZ))
    beats = _tracked(heard_wave(clip, ESSENTIA_HZ), onset_T)
    duration_s = len(heard_wave(clip, HZ)) / HZ
    rows = [row(beats, start_s, end_s) for start_s, end_s in steps(duration_s, SEGMENT_S)]
    return Features(values_TD=np.array(rows, dtype=np.float32), hop_s=SEGMENT_S)


def _tracked(wave: np.ndarray, onset_T: np.ndarray) -> Beats:
    """Without an onset there are no beats: in digital silence Essentia finds twelve a second."""
    try:
        import essentia
        import essentia.standard
    except ImportError as error:
        raise MissingExtra("the feature beats_essentia needs Essentia (AGPL-3.0): pip install 'svmbench[essentia]'") from error
    if not onset_T.any():
        return Beats(tempo_bpm=0.0, times_s=np.zeros(0), strengths=np.zeros(0), confidence=0.0)
    essentia.log.infoActive = essentia.log.warningActive = False
    tempo_bpm, times_s, confidence, _, _ = essentia.standard.RhythmExtractor2013(method="multifeature")(wave)
    frames = np.round(times_s * FRAMES_PER_S).astype(int)[:, None] + np.arange(-2, 3)
    return Beats(
        tempo_bpm=float(tempo_bpm),
        times_s=np.asarray(times_s, dtype=float),
        strengths=onset_T[np.clip(frames, 0, len(onset_T) - 1)].max(axis=1),
        confidence=min(1.0, float(confidence) / MOST_CONFIDENT),
    )
