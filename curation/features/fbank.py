"""Kaldi filter banks, 80 bands every 10 ms: what UT-CMVMR's music Conformer reads (arXiv 2309.09421, section 3.2).

The paper states 16 kHz and 80 bands. Ours, because it is silent: Kaldi's defaults (25 ms Povey window, 10 ms hop, 20 to 8000 Hz,
pre-emphasis .97, logarithm of the power, no dither) and a wave in [-1, 1]. Its segments of 4 s are rows 400 k to 400 k + 398: a
frame depends on its own 25 ms only. Computed by curation.frontends, whose tests compare with kaldi-native-fbank.
"""

from __future__ import annotations

from curation.frontends.core import long_log_mel
from curation.frontends.spec import FBANK80
from curation.spectra import heard_wave
from svmbench.media import ClipMedia, Needs
from svmbench.records import Features

DIM = FBANK80.num_mels
MODALITY = "music"
NEEDS = Needs(audio_hz=(FBANK80.hz,))


def extract(clip: ClipMedia) -> Features:
    """One row every 10 ms, as far as its 25 ms lie in the clip; natural logarithms from -15.9 (silence) up."""
    wave = heard_wave(clip, FBANK80.hz)
    return Features(values_TD=long_log_mel(wave, FBANK80), hop_s=FBANK80.hop / FBANK80.hz)
