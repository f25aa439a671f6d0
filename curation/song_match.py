"""Whether two clips are of one song: their peaks are laid over each other, and their words compared as they then lie.

Axes: W words.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from curation import fingerprint, landmarks
from curation.landmarks import Lay
from svmbench.records import Fingerprint

Limits = tuple[tuple[float, float, float], ...]
FRAMES_A_WORD = fingerprint.HOP / landmarks.HOP
CENTRE = (fingerprint.FRAME / 2 - landmarks.FRAME / 2) / landmarks.HOP  # frames from the middle of a peak's to that of a word's
FEWEST_WORDS = 12  # ours: 1.5 s, beside the 2.3 s that each word looks at
FEWEST_SHARE = 1 / 3  # ours: of the words that differ from each other, so that no steady tone tells
# (least height, least share, most wrong bits): the higher the peaks stand, the more wrong bits pass. Ours, chosen on composed
# songs of one seed and scored on another (docs/songs.md).
CHANGED: Limits = ((20.0, 0.3, 0.27), (33.0, 0.3, 0.35), (40.0, 0.3, 0.36))
OTHER_TEMPO: Limits = ((20.0, 0.3, 0.22),)  # at the same pitch the words hardly change
UNCHANGED: Limits = (
    (6.0, 0.12, 0.22),
    (14.0, 0.28, 0.378),
    (29.0, 0.3, 0.42),
    (32.0, 0.3, 1.0),
)  # fewer other songs lie well just so
SAME_SHIFT, SAME_TEMPO = 0.3, 0.001  # bins; and natural logarithm, as what follows
STILL_SHIFT, STILL_TEMPO = 0.6, 0.066  # another tempo at the same pitch, by up to 6.8 %
MOST_PITCH, NEAR_TEMPO = 3.7, 0.0126  # another pitch at the same tempo, by up to 1.2 semitones; and how exact a tempo must be


@dataclass(frozen=True, slots=True)
class Heard:
    """What is known of a clip's sound: the words at each speed, and the peaks."""

    words_SW: list[np.ndarray]
    peaks_P: np.ndarray


def heard(one: Fingerprint) -> Heard:
    return Heard(fingerprint.unpack(one.words), landmarks.unpack(one.landmarks))


@dataclass(frozen=True, slots=True)
class Comparison:
    """lay: of the first clip over the second. wrong_bits: share of bits in which their words differ there, in [0, 1]; None where
    too few words overlap."""

    lay: Lay
    wrong_bits: float | None

    @property
    def same(self) -> bool:
        """Whether they are of one song."""
        shift, tempo = self.lay.shift, math.log(self.lay.tempo)
        if abs(shift) <= SAME_SHIFT and abs(tempo) <= SAME_TEMPO:
            limits = UNCHANGED
        elif abs(shift) <= STILL_SHIFT and abs(tempo) <= STILL_TEMPO:
            limits = OTHER_TEMPO
        elif plausible(shift, tempo):
            limits = CHANGED
        else:
            return False
        wrong = 1.0 if self.wrong_bits is None else self.wrong_bits
        return any(self.lay.height >= height and self.lay.share >= share and wrong <= most for height, share, most in limits)

    @property
    def score(self) -> float:
        """In [0, 1]: the share of the peaks that are one, or of the bits that agree beyond chance, whichever is more."""
        return max(self.lay.share, 1 - 2 * self.wrong_bits if self.wrong_bits is not None else 0.0)


def plausible(shift: float, tempo: float) -> bool:
    """Whether people change the pitch of music so: alone and by little, or with the tempo as a turntable does.

    Two songs of one kind often lie well over each other at some other pitch and tempo. tempo: its natural logarithm.
    """
    alone = abs(shift) <= MOST_PITCH and abs(tempo) <= NEAR_TEMPO
    return alone or abs(tempo - shift * math.log(2) / landmarks.BINS) <= NEAR_TEMPO


def compare(first: Heard, second: Heard, shift: float) -> Comparison | None:
    """shift: bins by which the first is higher, as the index tells; None where there is nothing to compare."""
    found = landmarks.lay(first.peaks_P, second.peaks_P, shift)
    return Comparison(found, wrong_bits(first, second, found)) if found else None


def wrong_bits(first: Heard, second: Heard, lay: Lay) -> float | None:
    """The first is played at the speed that undoes its pitch; words of silence do not count."""
    speed = int(
        np.clip(round(-lay.shift / landmarks.BINS / np.log2(fingerprint.STEP)) + fingerprint.NORMAL, 0, 2 * fingerprint.NORMAL)
    )
    ours_W, theirs_W = first.words_SW[speed], second.words_SW[fingerprint.NORMAL]
    frame_W = CENTRE + FRAMES_A_WORD * fingerprint.SPEEDS[speed] * np.arange(len(ours_W))
    place_W = np.round((lay.tempo * frame_W + lay.offset - CENTRE) / FRAMES_A_WORD).astype(int)
    inside_W = (place_W >= 0) & (place_W < len(theirs_W))
    ours_W, theirs_W = ours_W[inside_W], theirs_W[place_W[inside_W]]
    sound_W = (ours_W != fingerprint.EMPTY) & (theirs_W != fingerprint.EMPTY)
    ours_W, theirs_W = ours_W[sound_W], theirs_W[sound_W]
    different = min(len(np.unique(ours_W)), len(np.unique(theirs_W)))
    if len(ours_W) < FEWEST_WORDS or different < FEWEST_SHARE * len(ours_W):
        return None
    return float(np.bitwise_count(ours_W ^ theirs_W).mean() / 32)
