"""Which pairs of clips sound like one song: each is asked for in the index of all, and what the index points at is checked.

Asking takes minutes for ten thousand clips. So what was found is kept with a digest of all that decides it (records.Listening),
and nobody listens again while that is the same; and where there are many clips, the fleet's workers share the asking.
"""

from __future__ import annotations

import hashlib
import inspect
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from curation import fingerprint, landmarks, song_index, song_match
from curation.song_index import Index
from curation.song_match import compare, heard
from svmbench.fleet import Fleet
from svmbench.records import Fingerprint, Listening

MANY = 2_000  # ours: clips from which on the workers share the asking; for fewer it takes longer to start them
BATCH = 50  # ours: clips that a worker asks for at a time
Found = tuple[int, int, float]  # numbers of two clips, the lower first, and the score


@dataclass(frozen=True, slots=True, order=True)
class Match:
    """Two clips that sound like one song, by clip_id in order. score: in [0, 1] (curation.song_match)."""

    score: float
    first: str
    second: str


def listen(given: Mapping[str, str], prints: Mapping[str, Fingerprint], fleet: Fleet, known: Listening | None) -> Listening:
    """The matches; those that are known where they came of the same clips, sounds and code."""
    wanted = digest(given, prints)
    if known is not None and known.digest == wanted:
        return known
    found = matches(given, prints, fleet)
    first, second, scores = ([getattr(match, name) for match in found] for name in ("first", "second", "score"))
    return Listening(digest=wanted, first=tuple(first), second=tuple(second), scores=tuple(scores))


def kept(listening: Listening) -> list[Match]:
    """The matches of a listening, the best first."""
    return [Match(*row) for row in zip(listening.scores, listening.first, listening.second, strict=True)]


def digest(given: Mapping[str, str], prints: Mapping[str, Fingerprint]) -> str:
    """Of all that decides the matches: the clips with a sound, their given songs, their fingerprints, and the code that compares
    them (its source, so that no change of a limit can be forgotten). 0.1 s for ten thousand clips."""
    found = hashlib.sha256()
    for module in (fingerprint, landmarks, song_index, song_match, sys.modules[__name__]):
        found.update(inspect.getsource(module).encode())
    for name in _sounding(given, prints):
        for part in (name.encode(), given[name].encode(), prints[name].words, prints[name].landmarks):
            found.update(len(part).to_bytes(8, "big"))
            found.update(part)
    return found.hexdigest()


def matches(given: Mapping[str, str], prints: Mapping[str, Fingerprint], fleet: Fleet) -> list[Match]:
    """Pairs of clips of different given songs that sound like one, the best first. given: clip_id -> song_id.

    A pair is found where either clip finds the other. The number of workers does not matter.
    """
    names = _sounding(given, prints)
    numbers = {song: number for number, song in enumerate(sorted({given[name] for name in names}))}
    sounds = [prints[name] for name in names]
    index = Index.of([heard(one) for one in sounds], [numbers[given[name]] for name in names])
    if len(names) < MANY:
        rows: Iterable[Found] = Finder(index, sounds).run(range(len(names)))
    else:
        rows = _shared(index, sounds, fleet)
    best: dict[tuple[int, int], float] = {}
    for i, j, score in rows:
        best[i, j] = max(score, best.get((i, j), 0.0))
    found = [Match(score, names[i], names[j]) for (i, j), score in best.items()]
    return sorted(found, key=lambda match: (-match.score, match.first, match.second))


def _sounding(given: Mapping[str, str], prints: Mapping[str, Fingerprint]) -> list[str]:
    return sorted(name for name in given if name in prints and prints[name].landmarks)


def _shared(index: Index, sounds: Sequence[Fingerprint], fleet: Fleet) -> Iterable[Found]:
    """As Finder.run of all clips, in no order, over the fleet's workers."""
    args: tuple[Any, ...] = (index, sounds)
    if fleet.start_ray():
        import ray

        args = tuple(ray.put(arg) for arg in args)  # once for all workers
    batches = [range(i, min(i + BATCH, len(sounds))) for i in range(0, len(sounds), BATCH)]
    for _, value in fleet.map(Finder, args, batches, workers=min(fleet.num_cpus, len(batches))):
        if isinstance(value, Exception):
            raise value
        yield from value


class Finder:
    """Asks the index for clips, and checks what it says."""

    def __init__(self, index: Index, sounds: Sequence[Fingerprint]) -> None:
        self.index, self.clips = index, [heard(one) for one in sounds]

    def run(self, numbers: Iterable[int]) -> list[Found]:
        """The clips that sound like those of these numbers."""
        return [(min(i, j), max(i, j), score) for i in numbers for j, score in self._of(i).items()]

    def _of(self, number: int) -> dict[int, float]:
        found: dict[int, float] = {}
        for candidate in self.index.ask(self.clips[number], int(self.index.songs[number])):
            if candidate.clip in found:
                continue
            comparison = compare(self.clips[number], self.clips[candidate.clip], candidate.shift)
            if comparison and comparison.same:
                found[candidate.clip] = comparison.score
        return found
