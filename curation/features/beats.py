"""Beats of the music, and five numbers on them for every four seconds.

The whole clip is tracked once (_beat_tracker.py, after librosa 0.11) and the beats are then cut into segments of 4 s, those of
UT-CMVMR (arXiv 2309.09421). `beats_per_segment` tracks each segment on its own, as the authors' code does. The tracker finds
beats in any sound, rain included, and it may lock to half or twice the tempo; `confidence` says how regular the onsets are.
"""

from __future__ import annotations

from weakref import WeakKeyDictionary

import numpy as np

from curation.features._beat_tracker import HOP, HZ, N_FFT, Beats, track_power
from curation.spectra import clip_power_blocks, finite_wave, heard_wave, steps
from svmbench.media import ClipMedia, Needs
from svmbench.records import Features

SEGMENT_S = 4.0  # UT-CMVMR
DIM = 5  # count, mean strength, mean interval in s, tempo in beats a minute, confidence
MODALITY = "music"
NEEDS = Needs(audio_hz=(HZ,))

_beats_of_clip: WeakKeyDictionary[ClipMedia, Beats | None] = WeakKeyDictionary()


def of(clip: ClipMedia) -> Beats | None:
    """The beats of the whole clip, tracked once, whoever asks; None where it has no audio."""
    if clip not in _beats_of_clip:
        heard = finite_wave(clip, HZ).size > 0
        _beats_of_clip[clip] = track_power(clip_power_blocks(clip, (HZ, N_FFT, HOP))) if heard else None
    return _beats_of_clip[clip]


def extract(clip: ClipMedia) -> Features:
    """One row for every segment of 4 s; the last may be shorter (see curation.spectra.steps). Tempo and confidence are those of
    the whole clip, repeated.
    """
    duration_s = len(heard_wave(clip, HZ)) / HZ
    beats = of(clip)
    assert beats is not None  # it is heard
    rows = [row(beats, start_s, end_s) for start_s, end_s in steps(duration_s, SEGMENT_S)]
    return Features(values_TD=np.array(rows, dtype=np.float32), hop_s=SEGMENT_S)


def row(beats: Beats, start_s: float, end_s: float) -> list[float]:
    """count: beats in the segment. strength: mean onset strength on them, in dB. interval: mean seconds between them, 0 with
    fewer than two. Then tempo and confidence.
    """
    inside = (beats.times_s >= start_s) & (beats.times_s < end_s)
    times_s, strengths = beats.times_s[inside], beats.strengths[inside]
    strength = float(strengths.mean()) if len(strengths) else 0.0
    interval_s = float(np.diff(times_s).mean()) if len(times_s) > 1 else 0.0
    return [len(times_s), strength, interval_s, beats.tempo_bpm, beats.confidence]
