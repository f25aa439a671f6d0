"""One file a feature: what it needs from the decoder, and extract().

The file name is the feature's name in a recipe (`features: [log_mel, optical_flow]`) and of its table `features_NAME`. Features
are extracted from every clip that can be decoded, also from those that a rule refuses, so that other thresholds need no decoding.
A clip without audio has none of those that raise Silent, and is dropped as a failure where no rule refuses it before. Any other
exception in extract() costs the clip: it becomes a Drop with kind 'failure', reason 'feature_NAME' and the exception as detail.
MissingExtra stops the run instead.
"""

from __future__ import annotations

from typing import Literal, Protocol

from svmbench.media import ClipMedia, Needs
from svmbench.records import Features


class Feature(Protocol):
    """What a module in this folder has.

    DIM: columns of values_TD. MODALITY: which side of the retrieval may look at it; a feature of the picture is 'video', one of
    the sound is 'music'. NEEDS: what the decoder must provide; only that may be asked of the clip.
    """

    DIM: int
    MODALITY: Literal["video", "music"]
    NEEDS: Needs

    def extract(self, clip: ClipMedia) -> Features:
        """values_TD float32, finite, of shape (T, DIM) with T >= 1, also for a clip that is silent or still."""
