"""The index of songs when there are very many: python tests/perf/songs_scale.py [SONGS ...] (default 10000 100000).

PLANTED composed songs stand among made-up ones, and are asked for with changed copies. A made-up song has as many words and
landmark keys as a clip of 15 s, drawn from those of POOL random scores: peaks on a grid of sixteenths and on the notes of a scale
with their overtones, each song in its own tempo, key and tuning; words from the planted songs, with the same bits turned in all
of a song. Printed for each size: bytes a song, CPU-seconds to sort the postings, CPU-milliseconds and hits a question (without
checking what it points at), how many planted songs are pointed at, and the most memory. A million songs are not built unless
asked for (some 12 GB): beside the sizes stands what they give when scaled up, postings and hits being in proportion to songs.
"""

from __future__ import annotations

import resource
import sys
import time

import numpy as np
import soxr
from songs_changes import CHANGES, HZ

from crawl.replica import music
from curation import fingerprint, landmarks, song_index
from curation.song_index import Index, Postings
from curation.song_match import Heard

PLANTED, POOL, LENGTH_S = 24, 400, 15
ASKED = ("AAC 48 kbit/s", "noise 0 dB", "tempo +5 %", "speed +10 %")
Columns = tuple[np.ndarray, np.ndarray, np.ndarray]


def hear(wave_N: np.ndarray) -> Heard:
    wave_N = np.asarray(soxr.resample(wave_N, HZ, fingerprint.HZ), np.float32)
    return Heard(fingerprint.words(wave_N), landmarks.peaks(wave_N))


def planted() -> tuple[list[Heard], list[tuple[int, str, Heard]]]:
    """(the songs, (song, change, changed copy))."""
    songs, asked = [], []
    for number in range(PLANTED):
        wave = music.play(music.song(303, number), 15.0, LENGTH_S + 2.0, HZ)
        songs.append(hear(wave[: LENGTH_S * HZ]))
        change = ASKED[number % len(ASKED)]
        asked.append((number, change, hear(CHANGES[change](wave[HZ:][: LENGTH_S * HZ], np.random.default_rng(number)))))
    return songs, asked


def made_up(rng: np.random.Generator) -> np.ndarray:
    """The peaks of a random score."""
    count = landmarks.A_SECOND * LENGTH_S
    step = 60 / rng.uniform(60, 180) / 4 * landmarks.HZ / landmarks.HOP
    scale = np.array([0, 2, 4, 5, 7, 9, 11]) + rng.integers(12)
    notes = rng.choice(scale, count) + 12 * rng.integers(0, 3, count)
    overtones = 12 * np.log2(rng.choice([1, 2, 3, 4, 5], count, p=[0.4, 0.25, 0.15, 0.12, 0.08]))
    pitch = 3 * ((notes + overtones) % 60) + rng.uniform(-1.5, 1.5) + rng.normal(0, 0.15, count)
    frame = np.sort(np.round(rng.integers(0, int(LENGTH_S * landmarks.HZ / landmarks.HOP / step), count) * step))
    found = np.zeros(count, landmarks.TYPE)
    found["frame"] = np.clip(frame + rng.integers(-1, 2, count), 0, None)
    found["pitch"] = np.clip(pitch, 1, 179) * landmarks.UNITS
    found["rank"] = rng.permutation(np.arange(count) % landmarks.A_SECOND)
    return np.sort(found, order="frame")


def postings(real: list[Columns], pool: Columns, size: int, count: int, rng: np.random.Generator, turned: bool) -> Postings:
    """The real clips' postings, and for each of `count` made-up songs `size` draws from the pool."""
    draws = rng.integers(0, len(pool[0]), count * size, dtype=np.uint32)
    joined = [
        np.concatenate([*(one[i].astype(kind) for one in real), part.astype(kind)[draws]])
        for i, (part, kind) in enumerate(zip(pool, (np.uint32, np.uint16, np.uint8), strict=True))
    ]
    del draws
    if turned:
        joined[0][-count * size :] ^= np.repeat(rng.integers(0, 2**32, count, dtype=np.uint32), size)
    clips = np.arange(len(real) + count, dtype=np.uint32)
    clips = np.repeat(clips, [*(len(one[0]) for one in real), *([size] * count)])
    return Postings.sorted(joined[0], clips, joined[1], joined[2], len(real) + count)


def main(sizes: list[int]) -> None:
    rng = np.random.default_rng(0)
    songs, asked = planted()
    parts = [song_index.mark_postings(Heard([], made_up(rng))) for _ in range(POOL)]
    marks = tuple(np.concatenate([part[i] for part in parts]) for i in range(3))
    words = tuple(np.concatenate([song_index.word_postings(one)[i] for one in songs]) for i in range(3))
    real_words, real_marks = [[of(one) for one in songs] for of in (song_index.word_postings, song_index.mark_postings)]
    for count in sizes:
        began = time.process_time()
        index = Index(
            postings(real_words, words, 100, count, rng, True),
            postings(real_marks, marks, len(marks[0]) // POOL, count, rng, False),
            np.arange(count + len(songs)),
        )
        built_s = time.process_time() - began
        ask(index, asked, count, built_s)


def ask(index: Index, asked: list[tuple[int, str, Heard]], count: int, built_s: float) -> None:
    took, found = np.zeros(2), [0, 0, 0]
    hits = 0
    for song, _, one in asked:
        began = time.process_time()
        by_words = index.by_words(one)
        middle = time.process_time()
        by_marks = index.by_landmarks(one)
        took += middle - began, time.process_time() - middle
        hits += len(index.marks.hits(landmarks.keys(one.peaks_P, **song_index.ASKED).key_K)[0])
        there = [any(c.clip == song for c in some) for some in (by_words, by_marks)]
        found = [found[0] + there[0], found[1] + there[1], found[2] + any(there)]
    ms, size = took / len(asked) * 1000, index.num_bytes / count
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(
        f"{count} songs: {size:.0f} bytes a song, {index.words.num_bytes / count:.0f} of them words; made in {built_s:.1f} CPU-s"
    )
    print(f"  a question: {ms[0]:.1f} CPU-ms for words, {ms[1]:.1f} for landmarks with {hits / len(asked):.0f} hits")
    print(f"  pointed at: {found[2]} of {len(asked)}, {found[0]} by words and {found[1]} by landmarks; at most {peak:.1f} GB")
    if count < 10**6:
        times = 10**6 / count
        print(f"  scaled to 1000000: {size * 1e6 / 2**30:.1f} GB, {built_s * times:.0f} CPU-s, {ms.sum() * times:.0f} CPU-ms")


if __name__ == "__main__":
    main([int(a) for a in sys.argv[1:]] or [10_000, 100_000])
