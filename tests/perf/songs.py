"""Are posts of one song found, and no others? python tests/perf/songs.py [SONGS] [SEED] [--margins].

SONGS composed songs (default 200), of SEED (default 303; the limits were chosen on seed 101 and tightened on 202). 15 s of each
stand in an index; it is asked with 15 s that begin 1.2 s later and were changed, then with stretches that overlap less. Printed
for each change: how many songs are found, with Wilson's 95 % interval, and how many pairs of different songs were taken for one;
the same for a run, where both clips are in the index and either may find the other (songs_in_a_run.py); how many the words and
the landmarks alone point at, asked once; and what Chromaprint's words alone say, without a sweep (wrong bits at most .25 over 30
words or more, compared with the right song only). Then real recordings, and sounds without music. Then what it costs. --margins:
also how far right and wrong pairs are apart.
"""

from __future__ import annotations

import os
import sys
import time
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path

import av
import numpy as np
import soxr
from songs_changes import CHANGES, HARDER, HZ
from songs_in_a_run import InARun, in_a_run

from crawl.replica import music, sounds, voice
from curation import fingerprint, landmarks
from curation.song_index import Index
from curation.song_match import Comparison, Heard, compare

LENGTH_S, LATER_S = 15, 1.237
OVERLAPS_S = (10, 5, 3, 0)
PLAIN = "later by 1.2 s"
CLIPS = Path(os.environ.get("SVMBENCH_SHARED", Path(__file__).resolve().parents[2].parent / "shared")) / "clips"
NO_MUSIC = ("speech", "ambient", "foley", "home video", "silence", "audio test")


@dataclass
class Row:
    """What came of one change: the queries, those of them whose song was found, the false pairs, and the routes; and the run."""

    asked: int = 0
    found: int = 0
    false: list[tuple[str, str]] = field(default_factory=list)
    by_words: int = 0
    by_landmarks: int = 0
    bare: int = 0
    right: list[Comparison | None] = field(default_factory=list)
    wrong: list[Comparison] = field(default_factory=list)
    run: InARun | None = None


def hear(wave_N: np.ndarray) -> Heard:
    wave_N = np.asarray(soxr.resample(wave_N, HZ, fingerprint.HZ), np.float32)
    return Heard(fingerprint.words(wave_N), landmarks.peaks(wave_N))


def composed(job: tuple[int, int, bool]) -> dict[str, Heard]:
    """One song: what the index holds ('') and each query."""
    seed, number, harder = job
    rng = np.random.default_rng([seed, number, 77])
    piece = music.song(seed, number)
    wave = music.play(piece, float(rng.uniform(0, piece.duration_s - 2 * LENGTH_S - 1)), 2 * LENGTH_S + 1, HZ)
    return queries(wave, rng, {**CHANGES, **(HARDER if harder else {})})


def heard_songs(count: int, seed: int) -> dict[str, dict[str, Heard]]:
    """By the song's number; one in ten has the harder changes too."""
    jobs = [(seed, number, number < count // 10) for number in range(count)]
    with get_context("spawn").Pool() as pool:
        return dict(zip(map(str, range(count)), pool.map(composed, jobs, chunksize=1), strict=True))


def queries(wave_N: np.ndarray, rng: np.random.Generator, changes: dict) -> dict[str, Heard]:
    long, later = LENGTH_S * HZ, round(LATER_S * HZ)
    found = {"": hear(wave_N[:long]), PLAIN: hear(wave_N[later : later + long])}
    for name, change in changes.items():
        found[name] = hear(change(wave_N[later : later + long], rng))
    for overlap_s in OVERLAPS_S:
        first = (LENGTH_S - overlap_s) * HZ + (round(0.1 * HZ) if not overlap_s else 0)
        if len(wave_N) >= first + long:
            found[f"overlap {overlap_s} s"] = hear(wave_N[first : first + long])
    return found


def score(songs: dict[str, dict[str, Heard]]) -> dict[str, Row]:
    """songs: name -> query -> sound."""
    names = [name for name in songs if "" in songs[name]]
    index = Index.of([songs[name][""] for name in names], list(range(len(names))))
    rows: dict[str, Row] = {}
    for name, asked in songs.items():
        for change, one in asked.items():
            if change:
                _ask(rows.setdefault(change, Row()), name, one, names, songs, index)
    with get_context("spawn").Pool() as pool:
        for change, run in zip(rows, pool.imap(in_a_run, [(change, _with(songs, change)) for change in rows]), strict=True):
            rows[change].run = run
    return rows


def _with(songs: dict[str, dict[str, Heard]], change: str) -> dict[str, dict[str, Heard]]:
    """The songs that have this change, with what it is compared with."""
    return {name: {part: asked[part] for part in ("", change)} for name, asked in songs.items() if change in asked}


def _ask(row: Row, name: str, one: Heard, names: list[str], songs: dict[str, dict[str, Heard]], index: Index) -> None:
    routes = index.by_words(one), index.by_landmarks(one)
    here = names.index(name)
    row.asked += 1
    row.by_words += any(c.clip == here for c in routes[0])
    row.by_landmarks += any(c.clip == here for c in routes[1])
    row.bare += bare(one.words_SW[fingerprint.NORMAL], songs[name][""].words_SW[fingerprint.NORMAL]) <= 0.25
    best: dict[int, Comparison] = {}
    for candidate in (*routes[0], *routes[1]):
        comparison = compare(one, songs[names[candidate.clip]][""], candidate.shift)
        if comparison:
            before = best.get(candidate.clip)
            best[candidate.clip] = comparison if before is None or comparison.lay.height > before.lay.height else before
    row.right.append(best.pop(here, None))
    row.wrong += best.values()
    row.found += bool(row.right[-1] and row.right[-1].same)
    row.false += [(name, names[i]) for i, comparison in best.items() if comparison.same]


def bare(ours_W: np.ndarray, theirs_W: np.ndarray, least: int = 30) -> float:
    """The lowest share of wrong bits over all offsets."""
    best = 1.0
    for offset in range(least - len(ours_W), len(theirs_W) - least + 1):
        first, last = max(0, -offset), min(len(ours_W), len(theirs_W) - offset)
        wrong = np.bitwise_count(ours_W[first:last] ^ theirs_W[first + offset : last + offset])
        best = min(best, float(wrong.mean()) / 32)
    return best


def wilson(found: int, asked: int) -> tuple[float, float]:
    """The 95 % interval of a share."""
    z, p = 1.96, found / asked
    middle, half = p + z * z / (2 * asked), z * np.sqrt(p * (1 - p) / asked + z * z / (4 * asked**2))
    return (middle - half) / (1 + z * z / asked), (middle + half) / (1 + z * z / asked)


def rate(found: int, asked: int) -> str:
    low, high = wilson(found, asked)
    return f"{found}/{asked} {found / asked:.3f} {low:.3f} to {high:.3f}"


def table(title: str, rows: dict[str, Row], margins: bool) -> None:
    print(f"\n{title}")
    print(f"{'':26}{'asked once, 95 % interval':>31}{'false':>7}{'in a run, 95 % interval':>33}{'false':>7}"
          f"{'words':>8}{'landm.':>8}{'no sweep':>10}")  # fmt: skip
    for change, row in rows.items():
        assert row.run
        share = f"{row.by_words / row.asked:>8.2f}{row.by_landmarks / row.asked:>8.2f}{row.bare / row.asked:>10.2f}"
        print(f"{change:26}{rate(row.found, row.asked):>31}{len(row.false):>7}{rate(row.run.found, row.asked):>33}"
              f"{len(row.run.false):>7}{share}")  # fmt: skip
        if margins:
            right, wrong = [[c.lay.height for c in some if c] for some in (row.right, row.wrong)]
            bits = [[c.wrong_bits for c in some if c and c.wrong_bits is not None] for some in (row.right, row.wrong)]
            print(f"{'':8}height right min {min(right, default=0):.1f} 5 % {np.quantile(right or [0], 0.05):.1f}, wrong max "
                  f"{max(wrong, default=0):.1f}; wrong bits right 95 % {np.quantile(bits[0] or [0], 0.95):.3f} max "
                  f"{max(bits[0], default=0):.3f}, wrong min {min(bits[1], default=1):.3f}")  # fmt: skip
    for change, row in rows.items():
        for pair in row.false:
            print(f"  false: {change}: {pair[0]} and {pair[1]}")
        for pair in row.run.false if row.run else ():
            print(f"  false in a run: {change}: {pair[0]} and {pair[1]}")


def recordings() -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """(music of at least 20 s, all other sound) of the real media, by name."""
    import csv

    played, other = {}, {}
    with (CLIPS / "manifest.csv").open() as file:
        for row in csv.DictReader(file):
            kind, name = row["kind"].strip('"'), row["file"]
            try:
                wave = read(CLIPS / name)
            except (av.error.FFmpegError, OSError, IndexError, ValueError):
                continue
            if kind.startswith("music") and len(wave) >= (LENGTH_S + 5) * HZ:
                played[name] = wave
            elif len(wave) >= HZ // 2:
                other[name] = wave[: LENGTH_S * HZ]
    return played, other


def read(path: Path) -> np.ndarray:
    resampler = av.AudioResampler(format="fltp", layout="mono", rate=HZ)
    parts: list[np.ndarray] = []
    with av.open(str(path)) as container:
        for frame in container.decode(audio=0):
            parts += [part.to_ndarray()[0] for part in resampler.resample(frame)]
            if sum(map(len, parts)) > 3 * LENGTH_S * HZ:
                break
    return np.concatenate(parts)


def without_music(count: int) -> dict[str, np.ndarray]:
    """Voices, places, tones, hums, beeps, white noise and silence, count of each."""
    rng, found, t = np.random.default_rng(5), {}, np.arange(LENGTH_S * HZ) / HZ
    for i in range(count):
        spoken = voice.speak(voice.script(rng, 0.2, LENGTH_S - 0.2), LENGTH_S, rng)
        found[f"voice {i}"] = np.asarray(soxr.resample(spoken, voice.HZ, HZ))
        found[f"place {i}"] = sounds.ambience(sounds.AMBIENCES[i % 4], rng, LENGTH_S, HZ)
        found[f"tone {i}"] = 0.3 * np.sin(2 * np.pi * 220 * 2 ** ((i % 12) / 12) * t)
        found[f"hum {i}"] = np.sum([0.2 / k * np.sin(2 * np.pi * 50 * k * t) for k in range(1, 20)], axis=0)
        found[f"hum {i}"] += 1e-3 * rng.standard_normal(len(t))
        found[f"beep {i}"] = 0.3 * np.sin(2 * np.pi * 1000 * t) * (t % 1 < 0.1 + 0.02 * i)
        found[f"white {i}"] = 0.1 * rng.standard_normal(len(t))
        found[f"silence {i}"] = rng.integers(-1, 2, len(t)) / 32768 * (i > 0)
    return {name: wave.astype(np.float32) for name, wave in found.items()}


def main(count: int, seed: int, margins: bool) -> None:
    heard = heard_songs(count, seed)
    rows = score(heard)
    table(f"{count} composed songs of seed {seed}, each query against all {count}", rows, margins)
    wrong = sum(len(row.false) for row in rows.values())
    print(f"false pairs: {wrong} among {sum(r.asked for r in rows.values()) * (count - 1)} (query, other song)")
    runs = [row.run for row in rows.values() if row.run]
    wrong = len({pair for run in runs for pair in run.false})
    print(f"in a run: {wrong} among {sum(run.pairs for run in runs)} pairs of clips of different songs")
    real, other = recordings() if CLIPS.is_dir() else ({}, {})
    rng = np.random.default_rng(1)
    shelf = {name: queries(wave, rng, CHANGES) for name, wave in real.items()}
    mixed = {**shelf, **{name: {"": asked[""]} for name, asked in heard.items()}}
    table(f"{len(real)} real recordings of music, with the {count} composed songs in the index", score(mixed), margins)
    quiet = {name: hear(wave) for name, wave in {**other, **without_music(8)}.items()}
    false = _pairs(quiet, {**{n: q[""] for n, q in heard.items()}, **{n: q[""] for n, q in shelf.items()}})
    print(f"\n{len(quiet)} sounds: {len(other)} other real recordings, voices, places, tones, hums, beeps, noise, silence; pairs "
          f"with each other and with all songs that are taken for one: {len(false)}")  # fmt: skip
    for pair in false:
        print(f"  {pair[0]} and {pair[1]}: height {pair[2].lay.height:.1f}, wrong bits {pair[2].wrong_bits}")
    cost(heard)


def _pairs(quiet: dict[str, Heard], songs: dict[str, Heard]) -> list[tuple[str, str, Comparison]]:
    names, everything = [*quiet, *songs], [*quiet.values(), *songs.values()]
    index = Index.of(everything, list(range(len(everything))))
    found = {}
    for i, name in enumerate(quiet):
        for candidate in index.ask(everything[i], i):
            comparison = compare(everything[i], everything[candidate.clip], candidate.shift)
            if comparison and comparison.same:
                low, high = sorted((name, names[candidate.clip]))
                found[low, high] = comparison
    return [(one, other, comparison) for (one, other), comparison in found.items()]


def cost(heard: dict[str, dict[str, Heard]]) -> None:
    wave = np.asarray(soxr.resample(music.play(music.song(1, 1), 5, LENGTH_S, HZ), HZ, fingerprint.HZ), np.float32)
    works = {
        "words at 13 speeds": lambda: fingerprint.words(wave),
        "words at one speed": lambda: fingerprint.words(wave, (1.0,)),
        "landmarks": lambda: landmarks.peaks(wave),
    }
    times = {}
    for name, work in works.items():
        work()
        began = time.process_time()
        for _ in range(20):
            work()
        times[name] = (time.process_time() - began) / 20 * 1000
    one = heard["0"][""]
    size = len(fingerprint.pack(one.words_SW)), len(landmarks.pack(one.peaks_P))
    print("\nCPU ms a clip of 15 s: " + ", ".join(f"{name} {ms:.1f}" for name, ms in times.items())
          + f"; bytes: words {size[0]}, landmarks {size[1]}")  # fmt: skip


if __name__ == "__main__":
    numbers = [int(a) for a in sys.argv[1:] if a.isdigit()]
    main(numbers[0] if numbers else 200, numbers[1] if len(numbers) > 1 else 303, "--margins" in sys.argv)
