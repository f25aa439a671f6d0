"""VM-NET's 1140 audio numbers, vmnet1140_fixed_sr: the mel bands laid out for the wave's own 12,000 Hz.

The authors' script lays them out for 22,050 Hz (vm_net_audio, its 2 x 96 x 3 mel numbers); everything else is the same, see
curation.features._vm_net.
"""

from __future__ import annotations

from curation.features import _vm_net
from svmbench.media import ClipMedia, Needs
from svmbench.records import Features

DIM = _vm_net.DIM
MODALITY = "music"
NEEDS = Needs(audio_hz=(_vm_net.HZ,))


def extract(clip: ClipMedia) -> Features:
    """One row for the whole clip."""
    return Features(values_TD=_vm_net.of(clip)["mel_true"][None], hop_s=len(clip.wave(_vm_net.HZ)) / _vm_net.HZ)
