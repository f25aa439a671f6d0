"""What a run finds: songs of whose clips every one is asked against every other, by curation.song_search.matches itself.

Of each change the clips are the stretches that the index of tests/perf/songs.py holds, and the changed ones. A pair of one song
is found where either clip finds the other; every pair of two different songs that is taken for one counts as false.
"""

from __future__ import annotations

from dataclasses import dataclass

from curation import fingerprint, landmarks
from curation.song_match import Heard
from curation.song_search import matches
from svmbench.fleet import Fleet
from svmbench.records import Fingerprint


@dataclass(frozen=True)
class InARun:
    """found: songs of whose two clips it is told. false: pairs of clips of different songs that are taken for one. pairs: how
    many pairs of clips of different songs there were."""

    found: int
    false: list[tuple[str, str]]
    pairs: int


def in_a_run(job: tuple[str, dict[str, dict[str, Heard]]]) -> InARun:
    """(change, songs: name -> query -> sound); songs that lack the change are left out."""
    change, songs = job
    clips = {(name, part): asked[part] for name, asked in songs.items() if change in asked for part in ("", change)}
    prints = {"|".join(key): printed("|".join(key), one) for key, one in clips.items()}
    with Fleet(local=True) as fleet:
        told = [(m.first, m.second) for m in matches({name: f"post:{name}" for name in prints}, prints, fleet)]
    right = [pair for pair in told if pair[0].split("|")[0] == pair[1].split("|")[0]]
    num_songs = len(clips) // 2
    return InARun(len(right), sorted(set(told) - set(right)), len(clips) * (len(clips) - 1) // 2 - num_songs)


def printed(name: str, one: Heard) -> Fingerprint:
    return Fingerprint(clip_id=name, words=fingerprint.pack(one.words_SW), landmarks=landmarks.pack(one.peaks_P))
