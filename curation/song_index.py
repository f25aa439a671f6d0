"""Which clips may be of one song as a given one, without comparing all with all: postings of words and of landmark keys.

A clip is found by what it shares with the asker at one offset and one pitch. Of each clip the index holds the words at its own
speed, and the keys of its loudest peaks; who asks brings the words at every speed, and the keys of more of its peaks and of the
pitches beside. What very many clips share tells nothing and is left out.

Axes: K keys of the asker or of the index, H hits (a key of the asker that stands in the index), C cells.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from curation import fingerprint, landmarks
from curation.song_match import Heard

INDEXED = {"ranks": 12, "fan": 3, "around": 0}  # ours, as all that follows: fewer keys of the clips that are looked up
ASKED = {"ranks": 24, "fan": 8, "around": 1}
WORD_CELL, MARK_CELL = 8, 48  # words (1 s) and frames (1.1 s) a cell: another tempo moves the offset by this much
SHIFT_CELL, MOST_SHIFT = 2, 8  # bins; 2.7 semitones
WORD_VOTES, MARK_VOTES = 2, 3  # fewer are chance
BEST = 6  # clips of the most votes, of words and of landmarks each
CROWD, CROWD_SHARE = 50, 0.02  # a key of more clips than both of these is left out


@dataclass(frozen=True, slots=True)
class Candidate:
    """A clip of the index that may be of the asker's song; shift: bins by which the asker is higher."""

    clip: int
    shift: float
    votes: int


@dataclass(frozen=True, slots=True)
class Postings:
    """Sorted by key: the key, its clip, where in the clip, and its pitch in bins (0 of words); uint32, uint32, uint16, uint8."""

    key_K: np.ndarray
    clip_K: np.ndarray
    place_K: np.ndarray
    pitch_K: np.ndarray

    @staticmethod
    def of(parts: Sequence[tuple[np.ndarray, np.ndarray, np.ndarray]]) -> Postings:
        """parts: the keys, places and pitches of each clip."""
        counts = [len(part[0]) for part in parts]
        none = np.zeros(0)
        columns = [np.concatenate([none.astype(kind), *(part[i].astype(kind) for part in parts)])
                   for i, kind in enumerate((np.uint32, np.uint16, np.uint8))]  # fmt: skip
        clips = np.repeat(np.arange(len(parts), dtype=np.uint32), counts)
        return Postings.sorted(columns[0], clips, columns[1], columns[2], len(parts))

    @staticmethod
    def sorted(key_K: np.ndarray, clip_K: np.ndarray, place_K: np.ndarray, pitch_K: np.ndarray, num_clips: int) -> Postings:
        """From the columns, clip by clip."""
        kept = np.argsort(key_K, kind="stable")
        kept = kept[~_crowded(key_K[kept], clip_K[kept], num_clips)]
        return Postings(key_K[kept], clip_K[kept], place_K[kept], pitch_K[kept])

    def hits(self, key_K: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(place in key_K, place in the postings) of each hit."""
        low_K, high_K = (np.searchsorted(self.key_K, key_K, side=side) for side in ("left", "right"))
        count_K = high_K - low_K
        asked_H = np.repeat(np.arange(len(key_K)), count_K)
        return asked_H, np.arange(len(asked_H)) + np.repeat(low_K - np.cumsum(count_K) + count_K, count_K)

    @property
    def num_bytes(self) -> int:
        return sum(column.nbytes for column in (self.key_K, self.clip_K, self.place_K, self.pitch_K))


def _crowded(key_K: np.ndarray, clip_K: np.ndarray, num_clips: int) -> np.ndarray:
    """Which postings have a key of too many clips; sorted by key, and within it by clip."""
    if not len(key_K):
        return np.zeros(0, bool)
    new_key = np.concatenate([[True], key_K[1:] != key_K[:-1]])
    new_clip = new_key | np.concatenate([[True], clip_K[1:] != clip_K[:-1]])
    first = np.flatnonzero(new_key)
    clips = np.add.reduceat(new_clip, first, dtype=np.int64)
    return np.repeat(clips > max(CROWD, CROWD_SHARE * num_clips), np.diff(first, append=len(key_K)))


class Index:
    """Clips by number. songs: a number for each clip, the same for clips of which it is known that they share a song."""

    def __init__(self, words: Postings, marks: Postings, songs: np.ndarray) -> None:
        self.words, self.marks, self.songs = words, marks, songs

    @staticmethod
    def of(clips: Sequence[Heard], songs: Sequence[int]) -> Index:
        words = Postings.of([word_postings(one) for one in clips])
        return Index(words, Postings.of([mark_postings(one) for one in clips]), np.asarray(songs, np.int64))

    @property
    def num_bytes(self) -> int:
        return self.words.num_bytes + self.marks.num_bytes

    def ask(self, one: Heard, song: int = -1) -> list[Candidate]:
        """What the words or the landmarks point at, most votes first; clips of `song` are known already and left out."""
        return self.by_words(one, song) + self.by_landmarks(one, song)

    def by_words(self, one: Heard, song: int = -1) -> list[Candidate]:
        """Chromaprint's words at every speed."""
        words = np.concatenate(one.words_SW)
        speed_K = np.repeat(np.arange(len(one.words_SW)), [len(w) for w in one.words_SW])
        place_K = np.concatenate([np.arange(len(w)) for w in one.words_SW])
        sound_K = words != fingerprint.EMPTY
        words, speed_K, place_K = words[sound_K], speed_K[sound_K], place_K[sound_K]
        asked_H, found_H = self.words.hits(words)
        offset_H = self.words.place_K[found_H].astype(np.int64) - place_K[asked_H]
        shift_H = landmarks.BINS * np.log2(fingerprint.STEP) * (fingerprint.NORMAL - speed_K[asked_H])
        return self._voted(self.words.clip_K[found_H], offset_H // WORD_CELL, shift_H, WORD_VOTES, song)

    def by_landmarks(self, one: Heard, song: int = -1) -> list[Candidate]:
        """Keys of three peaks, at any pitch and tempo."""
        asked = landmarks.keys(one.peaks_P, **ASKED)
        asked_H, found_H = self.marks.hits(asked.key_K)
        offset_H = self.marks.place_K[found_H].astype(np.int64) - asked.frame_K[asked_H]
        shift_H = asked.pitch_K[asked_H] - self.marks.pitch_K[found_H]
        return self._voted(self.marks.clip_K[found_H], offset_H // MARK_CELL, shift_H, MARK_VOTES, song)

    def _voted(self, clip_H: np.ndarray, cell_H: np.ndarray, shift_H: np.ndarray, least: int, song: int) -> list[Candidate]:
        """The clips with the most hits in a cell of offset and shift and the three beside it."""
        total = np.bincount(clip_H, minlength=len(self.songs))
        fit_H = (total[clip_H] >= least) & (self.songs[clip_H] != song) & (np.abs(shift_H) <= MOST_SHIFT)
        clip_H, cell_H, shift_H = clip_H[fit_H].astype(np.int64), cell_H[fit_H], shift_H[fit_H]
        shift_cell_H = np.floor(shift_H / SHIFT_CELL).astype(np.int64)
        code_H = (clip_H << 32) | ((shift_cell_H + 2**11) << 20) | (cell_H + 2**19)
        code_C, back_H, votes_C = np.unique(code_H, return_inverse=True, return_counts=True)
        shifts_C = np.bincount(back_H, weights=shift_H, minlength=len(code_C))
        votes, shifts = votes_C.astype(float), shifts_C.copy()
        for beside in (1, 1 << 20, (1 << 20) + 1):
            at = np.minimum(np.searchsorted(code_C, code_C + beside), max(len(code_C) - 1, 0))
            same = code_C[at] == code_C + beside
            votes += np.where(same, votes_C[at], 0)
            shifts += np.where(same, shifts_C[at], 0)
        clip_C = code_C >> 32
        found: dict[int, Candidate] = {}
        for c in np.lexsort((clip_C, -votes)):
            if votes[c] < least or len(found) == BEST:
                break
            found.setdefault(int(clip_C[c]), Candidate(int(clip_C[c]), float(shifts[c] / votes[c]), int(votes[c])))
        return list(found.values())


def word_postings(one: Heard) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Key, place and pitch of each word that the index holds of a clip."""
    words = one.words_SW[fingerprint.NORMAL]
    places = np.flatnonzero(words != fingerprint.EMPTY)
    return words[places], places, np.zeros(len(places))


def mark_postings(one: Heard) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Key, place and pitch of each landmark key that the index holds of a clip."""
    found = landmarks.keys(one.peaks_P, **INDEXED)
    return found.key_K, found.frame_K, np.round(found.pitch_K)
