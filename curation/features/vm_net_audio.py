"""VM-NET's 1140 audio numbers, vmnet1140: as the authors' script computes them, the misplaced mel bands included.

Formula, sources and what is kept of the script: curation.features._vm_net. The other reading is vm_net_audio_fixed_sr; both
together cost little more than one.
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
    return Features(values_TD=_vm_net.of(clip)["mel"][None], hop_s=len(clip.wave(_vm_net.HZ)) / _vm_net.HZ)
