"""What the pages show of a clip's sound: its waveform, where somebody speaks, where the beats are.

Axes: N samples.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from curation.features import beats
from curation.filters import speech
from curation.spectra import finite_wave
from svmbench.media import ClipMedia, Needs
from svmbench.records import ClipSound

HZ = 16_000
PEAK_S = 0.02  # ours: a pixel of the drawn waveform, roughly, for clips of half a minute
NEEDS = Needs(audio_hz=(HZ,))


def of(clip_id: str, clip: ClipMedia, *, errors: Mapping[str, str], hears_beats: bool) -> ClipSound:
    """errors: of measures. hears_beats: whether the recipe has the feature, so that the beats are known and cost nothing."""
    wave = finite_wave(clip, HZ)
    spans = speech.spans(clip) if wave.size and speech.NAME_OF_MEASURE not in errors else ()
    tracked = beats.of(clip) if hears_beats else None
    return ClipSound(
        clip_id=clip_id,
        peaks=peaks(wave),
        peak_hop_s=PEAK_S,
        speech_starts_s=tuple(start_s for start_s, _ in spans),
        speech_ends_s=tuple(end_s for _, end_s in spans),
        beats_s=tuple(map(float, tracked.times_s)) if tracked else (),
        errors=dict(sorted(errors.items())),
    )


def peaks(wave: np.ndarray) -> bytes:
    """The loudest sample of each PEAK_S of a 16 kHz wave, a byte each, 255 at amplitude 1 and above."""
    hop = round(PEAK_S * HZ)
    padded = np.pad(np.abs(wave), (0, -len(wave) % hop)).reshape(-1, hop)
    return np.minimum(255, np.ceil(255 * padded.max(axis=1))).astype(np.uint8).tobytes() if len(padded) else b""
