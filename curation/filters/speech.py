"""How much of the clip is speech, heard by silero-vad: a voice-over hides the music that the clip should be matched with.

The papers removed clips with significant voices by hand (SVM-10K, arXiv 2405.09286, section 3.1). The detector hears singing as
speech too (snakers4/silero-vad, issues 233 and 565), and instruments may raise it (issue 663). So a voice alone drops nothing: a
clip is dropped where most of it is speech and the voice does not hold its pitch (curation.filters.held_pitch), and any other
voice is for a person, unless so many posts share the song that the voice must be part of it. docs/sound.md has what was measured.

Axes: T frames of 32 ms.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from weakref import WeakKeyDictionary

import numpy as np

from curation.filters import _silero
from curation.spectra import finite_wave
from svmbench.media import ClipMedia, Needs
from svmbench.records import Verdict
from svmbench.settings import setting

HZ = _silero.HZ
FRAME_S = _silero.FRAME / HZ
NEEDS = Needs(audio_hz=(HZ,))
NAME_OF_MEASURE = "speech_share"
MEASURED_WITH = ("probability",)
EVERY_CLIP = True
READS = ("held_share", "tonal_share", "song_posts", "shared_song_posts", "song_speech_share")

BEGINS, ENDS = 0.5, 0.35  # silero-vad's defaults (get_speech_timestamps): a span begins at the one and ends below the other
GAP_S, LEAST_S, PAD_S = 0.1, 0.25, 0.03  # silero-vad's defaults: pauses that part spans, shortest span, what is added at its ends

_of_clip: WeakKeyDictionary[ClipMedia, np.ndarray] = WeakKeyDictionary()


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """A frame is speech above `probability`. Up to review_share of such frames the clip is kept; from max_share on it is dropped,
    if the voice holds its pitch for less than held_max of the time and the sound is not more tonal than tonal_max. All else is
    for a person.
    """

    probability: float = setting(0.5, low=0.0, high=1.0, source="silero-vad's default")
    review_share: float = setting(0.03, low=0.0, high=1.0, source="ours, see docs/sound.md")
    max_share: float = setting(0.5, low=0.0, high=1.0, source="ours, see docs/sound.md")
    held_max: float = setting(0.06, low=0.0, high=1.0, source="ours, see docs/sound.md")
    tonal_max: float = setting(0.75, low=0.0, high=1.0, source="ours, see docs/sound.md")


def prepare() -> None:
    """Called once a worker: MissingExtra where the detector is not there, or is deaf in its self-test."""
    _silero.tested_weights()


def probability(clip: ClipMedia) -> np.ndarray:
    """(T,) probability of speech in each frame, found once a clip; empty without sound."""
    if clip not in _of_clip:
        _of_clip[clip] = _silero.probabilities(finite_wave(clip, HZ))
    return _of_clip[clip]


def measure(clip: ClipMedia, settings: Settings) -> float | None:
    """Share of 32 ms frames that are speech, in [0, 1]; None where there is no audio. A detector that fails raises."""
    found = probability(clip)
    return float((found > settings.probability).mean()) if len(found) else None


def spans(clip: ClipMedia) -> tuple[tuple[float, float], ...]:
    """(start_s, end_s) of each stretch of speech, in seconds from the clip's start, by silero-vad's own rule and defaults.

    A span begins where the probability reaches BEGINS and ends where it falls below ENDS for at least GAP_S before it reaches
    BEGINS again; those of at most LEAST_S are no speech; PAD_S is added on either side, at most half of a pause.
    """
    length_s = len(clip.wave(HZ)) / HZ
    found = [span for span in _raw_spans(probability(clip), length_s) if span[1] - span[0] > LEAST_S]
    padded = []
    for i, (start_s, end_s) in enumerate(found):
        before_s = (start_s - found[i - 1][1]) / 2 if i else start_s
        after_s = (found[i + 1][0] - end_s) / 2 if i + 1 < len(found) else length_s - end_s
        padded.append((start_s - min(PAD_S, before_s), end_s + min(PAD_S, after_s)))
    return tuple(padded)


def _raw_spans(found: np.ndarray, length_s: float) -> list[tuple[float, float]]:
    spans, start_s, falls_s = [], None, None
    for i, value in enumerate(found.tolist()):
        at_s = i * FRAME_S
        if value >= BEGINS:
            start_s, falls_s = at_s if start_s is None else start_s, None
        elif start_s is not None and value < ENDS:
            falls_s = at_s if falls_s is None else falls_s
            if at_s - falls_s >= GAP_S:
                spans.append((start_s, falls_s))
                start_s = falls_s = None
    return spans if start_s is None else [*spans, (start_s, length_s)]


def judge(value: float | None, settings: Settings, others: Mapping[str, float | None]) -> Verdict:
    """Drops 'speech'; 'voice' is for a person. Keeps 'music', and 'sung' where the voice seems to be the song's.

    What could not be measured is kept: the silence filter refuses clips without audio. Where it is not known whether the voice
    holds its pitch nothing is dropped.
    """
    if value is None:
        return Verdict(keep=True, reason="not_measured", value=None)
    if value <= settings.review_share:
        return Verdict(keep=True, reason="music", value=value)
    held, tonal = others.get("held_share"), others.get("tonal_share")
    is_doubtful = held is None or held >= settings.held_max or (tonal is not None and tonal > settings.tonal_max)
    is_spoken = value >= settings.max_share and not is_doubtful
    if _of_the_song(settings, others):
        return Verdict(keep=not is_spoken, reason="voice" if is_spoken else "sung", value=value, review=is_spoken)
    return Verdict(keep=False, reason="speech" if is_spoken else "voice", value=value, review=not is_spoken)


def _of_the_song(settings: Settings, others: Mapping[str, float | None]) -> bool:
    """Whether at least shared_song_posts posts share the song, and a voice is heard in the other ones too.

    song_speech_share: the median speech_share of the song's other clips; where it is not known the number of posts decides.
    """
    posts, enough, heard = others.get("song_posts"), others.get("shared_song_posts"), others.get("song_speech_share")
    return bool(posts and enough and posts >= enough) and (heard is None or heard > settings.review_share)
