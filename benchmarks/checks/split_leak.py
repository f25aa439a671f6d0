"""Proves that the clips that are scored are of songs, files and recordings that training has not seen, near-duplicates included.

A model that remembers which music went with a video finds it again without having learnt what fits. An author in two parts is
told and fails nothing: their videos look alike without being the same. A split as a paper published it may part the clips of a
song by design; its rows are marked here and never hidden. Where no fingerprints or picture hashes were made, copies under other
names cannot be seen, and the detail says which kinds were not known.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from benchmarks.checks import Evidence, Facts, Finding

NEEDS = ("facts",)
OF_THE_DATA = True

KINDS = {  # field of Facts: what its codes stand for, in words
    "song_N": "song",
    "group_N": "song or file",
    "sound_N": "recording that sounds alike",
    "look_N": "near-duplicate picture",
}
WARNED = {"author_N": "author"}  # told, and no failure (spec: warn)
NUM_NAMED = 3  # clips named in the sentence; all are in `more`; ours


def check(evidence: Evidence) -> Finding:
    """Share of the test clips of which train or val has the song, file, recording or near-duplicate as well; must be 0.

    more: by kind the ids of the clips, 'author' and those between val and train ('val song' ...) among them.
    """
    facts = evidence.facts
    test, seen = facts["test"], [facts[part] for part in ("train", "val") if part in facts]
    found = {words: _shared(test, seen, name) for name, words in (KINDS | WARNED).items()}
    leaks = np.any([found[words] for words in KINDS.values()], axis=0)
    share = float(leaks.mean()) if len(leaks) else 0.0
    more = {words: _ids(test, rows) for words, rows in found.items() if rows.any()}
    if "val" in facts and "train" in facts:
        between = {words: _shared(facts["val"], [facts["train"]], name) for name, words in KINDS.items()}
        more |= {f"val {words}": _ids(facts["val"], rows) for words, rows in between.items() if rows.any()}
    return Finding("split_leak", share == 0, share, _sentence(share, more, test), more)


def _shared(part: Facts, others: list[Facts], name: str) -> npt.NDArray[np.bool_]:
    """Which clips of a part have a code that another part has as well; -1 is unknown and equals nothing (N,)."""
    code_N = getattr(part, name)
    seen = np.concatenate([getattr(other, name) for other in others]) if others else np.empty(0, np.int64)
    return np.asarray((code_N >= 0) & np.isin(code_N, seen))


def _ids(part: Facts, rows: npt.NDArray[np.bool_]) -> list[str]:
    return [part.clip_ids[i] for i in np.flatnonzero(rows)]


def _sentence(share: float, more: dict[str, list[str]], test: Facts) -> str:
    kinds = [
        words for words in KINDS.values() if words in more and not (words == "song or file" and more[words] == more.get("song"))
    ]
    told = f"{share:.1%} of the test clips share something with training"
    if kinds:
        told += ": " + "; ".join(f"{len(more[words])} a {words} ({_few(more[words])})" for words in kinds)
    warned = [f"{len(more['author'])} share an author" if "author" in more else ""]
    warned.append("val and train share some too, so the choice by val is no fair one" if any("val " in k for k in more) else "")
    unknown = [words for name, words in (KINDS | WARNED).items() if len(test) and (getattr(test, name) < 0).all()]
    warned.append(f"not known here: {', '.join(unknown)}" if unknown else "")
    return "; ".join([told, *filter(None, warned)])


def _few(ids: list[str]) -> str:
    return ", ".join(ids[:NUM_NAMED]) + (" ..." if len(ids) > NUM_NAMED else "")
