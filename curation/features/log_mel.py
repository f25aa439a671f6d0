"""Log-mel statistics a second: what the sound's spectrum is and how much it moves. Needs no download and no training.

Formula: the log-mel frames of VGGish's front end (16 kHz, 25 ms Hann every 10 ms, 64 HTK mel bands of 125 to 7500 Hz,
ln(magnitude + 0.01)); for each step of 1 s, over the frames that begin in it, the mean of each band and then its standard
deviation. The front end is that of Hershey et al. 2017 (CNN architectures for large-scale audio classification); the step
and the two statistics are ours.
"""

from __future__ import annotations

import numpy as np

from curation.frontends.core import log_mel
from curation.frontends.spec import VGGISH
from curation.spectra import heard_wave, steps
from svmbench.media import ClipMedia, Needs
from svmbench.records import Features

HZ = VGGISH.hz
HOP_S = 1.0
FRAMES_PER_S = HZ // VGGISH.hop
REACH = VGGISH.length - VGGISH.hop  # samples that the last frame of a step reads beyond the step
STEPS_TOGETHER = 4  # ours: steps that are transformed together, so that their spectra stay in the processor's cache
DIM = 2 * VGGISH.num_mels  # means, standard deviations
MODALITY = "music"
NEEDS = Needs(audio_hz=(HZ,))


def extract(clip: ClipMedia) -> Features:
    """One row a second of 64 band means and 64 band deviations; a rest under an eighth of a second joins the step before it."""
    wave = heard_wave(clip, HZ)
    all_steps = steps(len(wave) / HZ, HOP_S)
    rows = [_rows(wave, all_steps[i : i + STEPS_TOGETHER]) for i in range(0, len(all_steps), STEPS_TOGETHER)]
    return Features(values_TD=np.concatenate(rows).astype(np.float32), hop_s=HOP_S)


def _rows(wave: np.ndarray, some_steps: list[tuple[float, float]]) -> np.ndarray:
    """One row for each of some steps that follow each other."""
    frames = [(round(start_s * FRAMES_PER_S), round(end_s * FRAMES_PER_S)) for start_s, end_s in some_steps]
    begin, end = frames[0][0], frames[-1][1]
    mel_TM = log_mel(wave[None, begin * VGGISH.hop : end * VGGISH.hop + REACH], VGGISH)[0]
    rows = []
    for first, last in frames:
        first = min(first - begin, len(mel_TM) - 1)
        part = mel_TM[first : max(first + 1, last - begin)]
        rows.append(np.concatenate([part.mean(axis=0), part.std(axis=0)]))
    return np.stack(rows)
