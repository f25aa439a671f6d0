"""Log-mel frames for CMMixer (M2M's paper, section 4.1), 128 bands every 10 ms.

The paper states 16 kHz, a 25 ms Hann window and 10 ms; it cuts 2.6 s, 258 frames, from the middle of each of 8 parts. Those are
rows of this table: a frame depends on its own 25 ms only. Ours, because the paper is silent: 128 bands, pre-emphasis, logarithm
and normalisation as in the Audio Spectrogram Transformer, whose line AudioMAE follows, which CMMixer names as its model.
"""

from __future__ import annotations

from curation.frontends.core import long_log_mel
from curation.frontends.spec import CMMIXER
from curation.spectra import heard_wave
from svmbench.media import ClipMedia, Needs
from svmbench.records import Features

DIM = CMMIXER.num_mels
MODALITY = "music"
NEEDS = Needs(audio_hz=(CMMIXER.hz,))


def extract(clip: ClipMedia) -> Features:
    """One row every 10 ms, as far as its 25 ms lie in the clip; (ln(mel) - mean) / std with AudioSet's two numbers."""
    mel_TM = long_log_mel(heard_wave(clip, CMMIXER.hz), CMMIXER)
    mel_TM -= CMMIXER.mean
    mel_TM /= CMMIXER.std
    return Features(values_TD=mel_TM, hop_s=CMMIXER.hop / CMMIXER.hz)
