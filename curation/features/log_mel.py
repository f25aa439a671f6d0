"""Log-mel statistics a second: what the sound's spectrum is and how much it moves. Needs no download and no training.

Formula: the log-mel frames of VGGish's front end (16 kHz, 25 ms Hann every 10 ms, 64 HTK mel bands of 125 to 7500 Hz,
ln(magnitude + 0.01)); for each step of 1 s, over the frames that begin in it, the mean of each band and then its standard
deviation. The front end is that of Hershey et al. 2017 (CNN architectures for large-scale audio classification); the step
and the two statistics are ours.
"""

from __future__ import annotations

import numpy as np

from curation.spectra import heard_wave, steps, vggish_log_mel
from svmbench.media import ClipMedia, Needs
from svmbench.records import Features

HZ = 16_000
HOP_S = 1.0
FRAMES_PER_S = 100
DIM = 128  # 64 means, 64 standard deviations
MODALITY = "music"
NEEDS = Needs(audio_hz=(HZ,))


def extract(clip: ClipMedia) -> Features:
    """One row a second of 64 band means and 64 band deviations; a rest under an eighth of a second joins the step before it."""
    wave = heard_wave(clip, HZ)
    mel_TM = vggish_log_mel(wave)
    rows = []
    for start_s, end_s in steps(len(wave) / HZ, HOP_S):
        first = min(round(start_s * FRAMES_PER_S), len(mel_TM) - 1)
        last = max(first + 1, round(end_s * FRAMES_PER_S))
        part = mel_TM[first:last]
        rows.append(np.concatenate([part.mean(axis=0), part.std(axis=0)]))
    return Features(values_TD=np.stack(rows).astype(np.float32), hop_s=HOP_S)
