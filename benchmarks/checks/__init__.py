"""One file an integrity check. Each runs with every result; one that fails marks the rows of that baseline and never hides them.

A check module has
    a docstring       what it proves, and what it cannot see
    NEEDS             names of the fields of Evidence without which it cannot run; it is then reported as not run, and why
    OF_THE_DATA       True where it looks at the data alone: it runs once a split, and marks every row of it
    check(evidence)   -> Finding
and tests/benchmarks has a cheating model or split that it catches. Limits stand in the check's file with their reason.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.inputs import Pairs
from benchmarks.memory import out_of_memory, release
from benchmarks.ranking import Ranks
from benchmarks.towers import History, Model
from svmbench import plugins

FOLDER = "benchmarks.checks"
_ABSENT: Any = None  # a check reads the fields that its NEEDS name, and no others; so they have the plain type
WORDS = {True: "passed", False: "FAILED", None: "not run"}  # of Finding.passed


@dataclass(frozen=True)
class Facts:
    """What is known of clips beside their features; never shown to a model. Axis N: clips of one part.

    song_N, group_N: codes; a group joins songs and media files that a split may not part. duration_s_N; loudness_N: the measure
    of loudness, NaN where unknown. author_N, sound_N, look_N: codes of the author, of the cluster of recordings that sound
    alike, and of the cluster of near-duplicate pictures; -1 where unknown.
    """

    clip_ids: tuple[str, ...]
    song_N: npt.NDArray[np.int64]
    group_N: npt.NDArray[np.int64]
    duration_s_N: npt.NDArray[np.float64]
    loudness_N: npt.NDArray[np.float64]
    author_N: npt.NDArray[np.int64]
    sound_N: npt.NDArray[np.int64]
    look_N: npt.NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.clip_ids)


@dataclass(frozen=True)
class Evidence:
    """What a check may look at. A field is None where what is audited cannot show it: a saved embeddings file has no model.

    model, test: the fitted model and the part it is scored on; video_ND, music_ND: its embeddings as they were scored (None for
    a model that scores pairs); song_N, ranks: as scored. train, val: what it was fitted on. refit(train, val): the same baseline,
    settings and seed fitted on other pairs; None where nothing is learnt from pairs. fit_again(): the same fit once more, made in
    the same way on the same pairs; None where `refit` is. history: how training went; None for a closed form. facts: by part.
    unit: what a candidate is and what counts as right, as in ranking.retrieve. settings_scored: hashes of all settings of this
    baseline and variant that were ever scored on this part of these data, this one included.
    """

    model: Model = _ABSENT
    test: Pairs = _ABSENT
    video_ND: npt.NDArray[np.float32] = _ABSENT
    music_ND: npt.NDArray[np.float32] = _ABSENT
    song_N: npt.NDArray[np.int64] = _ABSENT
    ranks: Mapping[str, Ranks] = _ABSENT
    train: Pairs = _ABSENT
    val: Pairs = _ABSENT
    refit: Callable[[Pairs, Pairs], Model] = _ABSENT
    fit_again: Callable[[], Model] = _ABSENT
    history: History = _ABSENT
    facts: Mapping[str, Facts] = _ABSENT
    unit: str = "song"
    settings_scored: frozenset[str] = _ABSENT


@dataclass(frozen=True)
class Finding:
    """passed: None where the check could not run, and `detail` says why. value: what was measured, to be compared with the limit
    that the check's file states; None where it was not."""

    check: str
    passed: bool | None
    value: float | None
    detail: str
    more: Mapping[str, Any] = field(default_factory=dict)


def run(evidence: Evidence, *, of_the_data: bool | None = None) -> list[Finding]:
    """All checks by name; with of_the_data, only those that look at the data alone, or only the others.

    A check that runs out of memory is not run: it takes more at once than scoring did, which says nothing of the model.
    """
    found = []
    for name in plugins.names(FOLDER):
        module = plugins.load(FOLDER, name)
        if of_the_data is not None and getattr(module, "OF_THE_DATA", False) != of_the_data:
            continue
        missing = [field for field in module.NEEDS if getattr(evidence, field) is None]
        if missing:
            found.append(Finding(name, None, None, f"not run: not there to look at: {', '.join(missing)}"))
        else:
            found.append(_tried(name, module, evidence))
    return found


def _tried(name: str, module: Any, evidence: Evidence) -> Finding:
    try:
        finding: Finding = module.check(evidence)
        return finding
    except Exception as error:
        if not out_of_memory(error):
            raise
    release()
    return Finding(name, None, None, "not run: memory did not suffice")
