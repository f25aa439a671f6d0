"""Proves, as far as records can, that the test part chose nothing: neither the checkpoint, nor the settings, nor the weights.

- The kept epoch is the one that was best on val (history.chosen), or the last one where there was nothing to choose by.
- One set of settings of this baseline and variant was ever scored on this part: the best of several is chosen on test.
- No clip of the test part, by the values of both its inputs, is among the clips that it was fitted on.

Cannot see: a loop that writes down another history than it had; settings that were tried in another run folder; a test clip
whose features were changed; test media in the pretraining of a feature. A history and the settings scored are looked at where
they are known.
"""

from __future__ import annotations

import numpy as np

from benchmarks.checks import Evidence, Finding
from benchmarks.inputs import Pairs
from benchmarks.towers import History

NEEDS = ("train", "val", "test")


def check(evidence: Evidence) -> Finding:
    """Number of things that are wrong; must be 0."""
    wrong = []
    if evidence.history is not None:
        wrong += _checkpoint(evidence.history)
    if evidence.settings_scored is not None and len(evidence.settings_scored) > 1:
        wrong.append(f"scored on test with {len(evidence.settings_scored)} settings")
    seen = _rows(evidence.train) | _rows(evidence.val)
    shared = len(_rows(evidence.test) & seen)
    if shared:
        wrong.append(f"{shared} of {len(evidence.test)} test clips have the inputs of a clip that it was fitted on")
    looked = [
        *(["the checkpoint"] if evidence.history is not None else []),
        *(["the settings scored"] if evidence.settings_scored is not None else []),
        "the rows it was fitted on",
    ]
    return Finding("test_discipline", not wrong, float(len(wrong)), "; ".join(wrong) or f"looked at {', '.join(looked)}")


def _checkpoint(history: History) -> list[str]:
    if history.chosen_by == "end":
        last = len(history.loss) - 1
        return [] if history.chosen == last else [f"the checkpoint is of epoch {history.chosen} and not of the last, {last}"]
    if history.chosen_by != "val":
        return [f"the checkpoint was chosen by {history.chosen_by!r} and not on val"]
    best = max(history.val)
    if history.val[history.chosen] == best:
        return []
    return [f"the checkpoint is of epoch {history.chosen} (val {history.val[history.chosen]:.4f}), the best on val is {best:.4f}"]


def _rows(part: Pairs) -> set[bytes]:
    """The values of both inputs of each clip. One whose inputs are all 0 (silent and black) is left out: it is like any such."""
    both = np.concatenate([x.vectors_BV.cpu().numpy() for x in (part.video, part.music)], axis=1)
    return {row.tobytes() for row in both[both.any(axis=1)] + 0.0}
