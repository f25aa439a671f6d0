"""Proves that the clips that are scored are of songs and files that training has not seen.

A model that remembers which music went with a video finds it again without having learnt what fits. A split as a paper published
it may part the clips of a song by design; its rows are marked here and never hidden.
"""

from __future__ import annotations

import numpy as np

from benchmarks.checks import Evidence, Finding

NEEDS = ("facts",)
OF_THE_DATA = True


def check(evidence: Evidence) -> Finding:
    """Share of the test clips whose song or media file stands in train or val as well; must be 0."""
    seen = np.concatenate([evidence.facts["train"].group_N, evidence.facts["val"].group_N])
    share = float(np.isin(evidence.facts["test"].group_N, seen).mean())
    return Finding("split_leak", share == 0, share, f"{share:.1%} of the test clips are of a song or file that training saw")
