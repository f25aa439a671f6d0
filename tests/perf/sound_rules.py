"""What do the filters of the sound say of real and mixed sound?

    python tests/perf/sound_rules.py [--seed N] [--songs FOLDER] [--scores]

Real sound: the labelled files under SVMBENCH_SHARED (default ../shared), cut into clips of 15 s, two a file at most; spoken
digits are joined, one clip a speaker. Every file goes whole into one of two halves, drawn with the seed. The thresholds were
chosen on the first; what counts is the second. Within each half real speech is mixed with real music (levels are of the voice
while it speaks, over the music), real and made noise is laid over music, and songs and voices are composed. FOLDER has singing
that is not under SVMBENCH_SHARED: solo/ voices alone, with_music/ whole songs; docs/sound.md says where ours came from.

Printed: on the first half, between which values each threshold may lie; on both halves the table of kinds and verdicts; and the
same with the rule of the first measurements, which tells singing from speech by the tonal share. About a CPU-minute.
"""

from __future__ import annotations

import argparse
import csv
import os
import random
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
import soxr

from crawl.replica import music, sounds, voice
from curation.filters import ambience, held_pitch, silence, speech
from svmbench.media import ClipMedia, Probe
from svmbench.records import Box
from svmbench.sound import Sound, resampled

HZ, CLIP_S = 16_000, 15
SHARED = Path(os.environ.get("SVMBENCH_SHARED", Path(__file__).resolve().parents[2].parent / "shared"))
LEVELS_DB = (-20, -15, -10, -5, 0, 5, 10)
NOISE_DB = (-10, -5, 0, 5, 10)
VOICES_EACH = 2  # voices that each piece of music is mixed with
NUM_COMPOSED = 16  # songs in each half
MOST_CLIPS = 2  # of one file
Measures = dict[str, float | None]
SUNG = {"solo": "singing alone", "with_music": "singing with music"}
HALVES = ("chosen on", "scored")


@dataclass(frozen=True)
class Item:
    """One clip: what it is, and what was measured of it."""

    kind: str
    name: str
    measures: Measures


def read(path: Path) -> np.ndarray:
    """As the decoder of the project gives it."""
    most_s = float((MOST_CLIPS + 1) * CLIP_S)
    sound = Sound(most_s)
    with av.open(str(path)) as container:
        for frame in container.decode(audio=0):
            sound.add(frame)
            if sound.end_s - (sound.start_s or 0.0) > most_s:
                break
    rate, wave = sound.laid_out(sound.start_s or 0.0, most_s)
    return resampled(wave, rate, HZ)


def measured(wave: np.ndarray) -> Measures:
    length_s = len(wave) / HZ
    probe = Probe(
        width_px=2, height_px=2, fps=None, duration_s=length_s, container_s=None, video_codec=None, audio_codec=None,
        audio_s=length_s, rotation_deg=0, truncated=False,
    )  # fmt: skip
    box = Box(left_px=0, top_px=0, width_px=2, height_px=2)
    clip = ClipMedia(probe=probe, start_s=0.0, end_s=length_s, box=box, frames={}, waves={HZ: wave.astype(np.float32)})
    return {m.NAME_OF_MEASURE: m.measure(clip, m.Settings()) for m in (silence, speech, held_pitch, ambience)}


def verdict(measures: Measures) -> str:
    """Of the three filters with their defaults, no song shared."""
    found = [silence.judge(measures["silent_share"], silence.Settings())]
    found += [m.judge(measures[m.NAME_OF_MEASURE], m.Settings(), measures) for m in (speech, ambience)]
    drops = [v for v in found if not v.keep and not v.review]
    return f"DROP {drops[0].reason}" if drops else "REVIEW" if any(v.review for v in found) else "KEEP"


def verdict_by_tones(measures: Measures) -> str:
    """The rule of the measurements before: singing and speech told apart by the tonal share."""
    silent, share, tonal = measures["silent_share"], measures["speech_share"], measures["tonal_share"]
    if silent is None or silent > 0.8:
        return "DROP silent"
    if share is None or tonal is None or (share <= 0.05 and tonal >= 0.25):
        return "KEEP"
    if share >= 0.5 and tonal < 0.15:
        return "DROP speech"
    return "DROP ambience" if tonal < 0.1 and share < 0.05 else "REVIEW"


def pieces(wave: np.ndarray) -> list[np.ndarray]:
    """Its first clips of CLIP_S; a rest of less than 4 s is left out, a short file is one clip."""
    found = [wave[start : start + CLIP_S * HZ] for start in range(0, len(wave), CLIP_S * HZ)][:MOST_CLIPS]
    return [part for i, part in enumerate(found) if not i or len(part) >= 4 * HZ]


KINDS = {  # beginning of the manifest's words, or a part of them: what it is here
    "music": "music", "video + (generated) music": "music", "conga": "music", "silent-film clip + piano": "music",
    "video + music": "music", "speech: spoken digit": "digit", "speech/music": "", "speech": "speech", "silence": "silence",
    "ambient": "ambience", "foley": "ambience", "home video": "ambience", "video + ambient (toy": "ambience",
}  # fmt: skip


def sources(seed: int) -> list[dict[str, dict[str, np.ndarray]]]:
    """For each half: kind -> file -> wave. One-second files are of the kinds 'music 1 s' and 'speech 1 s'."""
    halves: list[dict[str, dict[str, np.ndarray]]] = [defaultdict(dict), defaultdict(dict)]
    groups: dict[str, dict[str, list[Path]]] = defaultdict(lambda: defaultdict(list))
    for row in csv.DictReader((SHARED / "clips" / "manifest.csv").open()):
        kind = next((what for words, what in KINDS.items() if row["kind"].startswith(words)), "")
        path = SHARED / "clips" / row["file"]
        if not row["audio_codec"] or not kind or path.suffix == ".ogv":
            continue
        if kind == "digit":
            groups["speech"][f"digits by {path.stem.split('_')[1]}"].append(path)
        else:
            short = " 1 s" if "3_class" in row["file"] and kind != "silence" else ""
            groups[kind + short][row["file"]].append(path)
    for kind, files in groups.items():
        names = sorted(files)
        random.Random(f"{seed} {kind}").shuffle(names)
        for i, name in enumerate(names):
            halves[i % 2][kind][name] = np.concatenate([read(path) for path in sorted(files[name])])
    return halves


def active(wave: np.ndarray) -> float:
    """Root mean square of the frames within 30 dB of the loudest."""
    power = np.square(wave[: len(wave) // 512 * 512].reshape(-1, 512)).mean(axis=1)
    return float(np.sqrt(power[power >= power.max() / 1000].mean()))


def filled(wave: np.ndarray, length: int) -> np.ndarray:
    """Again and again, with a pause of 0.3 s, until it is so long."""
    once = np.pad(wave, (0, round(0.3 * HZ)))
    return np.tile(once, -(-length // len(once)))[:length]


def over(loud: np.ndarray, base: np.ndarray, level_db: float) -> np.ndarray:
    return base + loud * np.float32(active(base) / max(active(loud), 1e-9) * 10 ** (level_db / 20))


def voices(half: dict[str, dict[str, np.ndarray]]) -> list[np.ndarray]:
    """The long speech files, and the short ones ten in a row: many people."""
    short = [half["speech 1 s"][name] for name in sorted(half["speech 1 s"])]
    return [half["speech"][name] for name in sorted(half["speech"])] + [
        np.concatenate(short[i : i + 10]) for i in range(0, len(short), 10)
    ]


def mixtures(half: dict[str, dict[str, np.ndarray]], rng: np.random.Generator) -> Iterator[tuple[str, np.ndarray]]:
    said, noises = voices(half), [half["ambience"][name] for name in sorted(half["ambience"])]
    noises += [sounds.ambience(kind, rng, 12.0, HZ) for kind in ("rain", "wind", "waves")]
    for name in sorted(half["music"]):
        base = half["music"][name][: CLIP_S * HZ]
        if len(base) < 8 * HZ:
            continue
        for pick in rng.choice(len(said), VOICES_EACH, replace=False):
            talk = filled(said[pick], len(base))
            for level_db in LEVELS_DB:
                yield f"speech {level_db:+d} dB over music", over(talk, base, level_db)
            quarter = over(talk[: len(base) // 4], base[: len(base) // 4], 5)
            yield "speech for a quarter, +5 dB", np.concatenate([quarter, base[len(quarter) :]])
        noise = filled(noises[rng.integers(len(noises))], len(base))
        for level_db in NOISE_DB:
            yield f"noise {level_db:+d} dB over music", over(noise, base, level_db)


def composed(number: int, rng: np.random.Generator) -> Iterator[tuple[str, np.ndarray]]:
    band = music.play(music.song(2026, number), 6.0, 12.0, HZ)
    yield "composed music", band
    talk = soxr.resample(voice.speak(voice.script(rng, 0.0, 12.0), 12.0, rng), voice.HZ, HZ)[: len(band)]
    for level_db in (0, 5):
        yield f"composed voice {level_db:+d} dB over it", over(np.pad(talk, (0, len(band) - len(talk))), band, level_db)
    tune = soxr.resample(voice.speak(sung(rng), 12.0, rng), voice.HZ, HZ)[: len(band)]
    yield "composed singing alone", tune
    yield "composed singing 0 dB over it", over(np.pad(tune, (0, len(band) - len(tune))), band, 0)


def sung(rng: np.random.Generator) -> tuple[voice.Syllable, ...]:
    """The composer's syllables on notes of a minor scale, 0.35 to 0.9 s each. Its voice still glides by a semitone in each."""
    base_hz, at, step, found = rng.choice((110.0, 220.0)), 0.2, 4, []
    while at < 11:
        length_s = rng.uniform(0.35, 0.9)
        step = int(np.clip(step + rng.integers(-2, 3), 0, 9))
        note = (0, 2, 3, 5, 7, 8, 10, 12, 14, 15)[step]
        found.append(
            voice.Syllable(
                start_s=at, end_s=at + length_s, consonant=str(rng.choice(["m", "n", "l", "w"])),
                vowel=str(rng.choice(list(voice.VOWELS))), pitch_hz=float(base_hz * 2 ** (note / 12)), loud=1.0,
            )
        )  # fmt: skip
        at += length_s + (rng.uniform(0.1, 0.4) if rng.random() < 0.2 else 0)
    return tuple(found)


def songs(folder: Path | None, seed: int) -> Iterator[tuple[int, str, str, np.ndarray]]:
    """(half, kind, name, wave) of every piece; a solo voice and the song it is from share a file name and so a half."""
    paths = [(kind, path) for kind in SUNG for path in sorted((folder / kind).iterdir())] if folder else []
    stems = list(dict.fromkeys(path.stem for _, path in paths))
    random.Random(f"{seed} songs").shuffle(stems)
    for kind, path in paths:
        for part in pieces(read(path)):
            yield stems.index(path.stem) % 2, SUNG[kind], path.name, part


def items(seed: int, folder: Path | None) -> list[list[Item]]:
    """The items of both halves."""
    found: list[list[Item]] = []
    for i, half in enumerate(sources(seed)):
        rng, mine = np.random.default_rng([seed, i]), []
        for kind in sorted(half):
            for name in sorted(half[kind]):
                mine += [Item(kind, name, measured(part)) for part in pieces(half[kind][name])]
        mine += [Item(kind, "", measured(wave)) for kind, wave in mixtures(half, rng)]
        for number in range(i, 2 * NUM_COMPOSED, 2):
            mine += [Item(kind, str(number), measured(wave)) for kind, wave in composed(number, rng)]
        found.append(mine)
    for i, kind, name, wave in songs(folder, seed):
        found[i].append(Item(kind, name, measured(wave)))
    return found


def is_voice(item: Item) -> bool:
    """Real speech at or above the level of the music, or alone."""
    loud = any(f"speech {level:+d} dB" in item.kind for level in LEVELS_DB if level >= 0)
    return loud or item.kind in ("speech", "speech for a quarter, +5 dB")


def bounds(found: list[Item]) -> None:
    """What each threshold parts, by the first half: its default, a quantile of what lies below, and one of what lies above."""

    def values(key: str, want: Callable[[Item], bool]) -> list[float]:
        return [v for item in found if want(item) and (v := item.measures[key]) is not None]

    def of(*kinds: str, loud: bool = False) -> Callable[[Item], bool]:
        least = rule.max_share if loud else 0.0
        return lambda item: item.kind in kinds and (item.measures["speech_share"] or 0.0) >= least

    rule, noise = speech.Settings(), ambience.Settings()
    music_kinds, songs_kind = ("music", "composed music"), SUNG["with_music"]
    clear, softer = ("speech", "speech +5 dB over music", "speech +10 dB over music"), "speech -10 dB over music"
    noisy = ("ambience", "noise +5 dB over music", "noise +10 dB over music")
    rows = (
        ("speech.review_share", rule.review_share, "speech_share", of(*music_kinds), 0.95, is_voice, 0.0),
        ("speech.max_share", rule.max_share, "speech_share", of(songs_kind), 1.0, of(*clear), 0.0),
        ("speech.held_max", rule.held_max, "held_share", of("speech", loud=True), 1.0, of(*SUNG.values(), loud=True), 0.0),
        ("speech.tonal_max", rule.tonal_max, "tonal_share", of(*clear), 1.0, of(softer, loud=True), 0.5),
        ("ambience.min_share", noise.min_share, "tonal_share", of("silence"), 0.5, of(*music_kinds, "music 1 s"), 0.0),
        ("ambience.keep_share", noise.keep_share, "tonal_share", of(*noisy), 0.75, of(*music_kinds), 0.05),
    )
    print("default        below (quantile)     above (quantile)")
    for name, chosen, key, low, low_share, high, high_share in rows:
        ends = [(values(key, want), share) for want, share in ((low, low_share), (high, high_share))]
        told = [f"{np.quantile(part, share):.3f} ({share:.0%} of {len(part)})" if part else "none" for part, share in ends]
        print(f"{chosen:<6g} {name:22s} {told[0]:20s} {told[1]}")
    under = ("speech -5 dB over music", softer)
    for share in (0.01, 0.02, 0.03, 0.05, 0.1, 0.15):
        words = {
            "music": of(*music_kinds),
            "songs": of(songs_kind),
            "voice at 0 dB and more": is_voice,
            "at -5 and -10 dB": of(*under),
        }
        parts = {word: values("speech_share", want) for word, want in words.items()}
        told = [f"{word} {sum(v > share for v in part)} of {len(part)}" for word, part in parts.items()]
        print(f"speech_share above {share:g}: {', '.join(told)}")


def table(found: list[Item], judged: Callable[[Measures], str]) -> None:
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for item in found:
        counts[item.kind][judged(item.measures)] += 1
    columns = ("KEEP", "REVIEW", "DROP speech", "DROP ambience", "DROP silent")
    print(f"{'':32s}" + "".join(f"{name:>14s}" for name in columns))
    for kind, row in counts.items():
        print(f"{kind:32s}" + "".join(f"{row[name]:14d}" for name in columns))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--songs", type=Path, help="singing: solo/ and with_music/")
    parser.add_argument("--scores", action="store_true", help="every item with its measures")
    args = parser.parse_args()
    halves = items(args.seed, args.songs)
    bounds(halves[0])
    for name, found in zip(HALVES, halves, strict=True):
        print(f"\n{name}: {len(found)} clips")
        table(found, verdict)
    print(f"\n{HALVES[1]}, by the tonal share instead of the held pitch")
    table(halves[1], verdict_by_tones)
    for item in (item for found in halves for item in found) if args.scores else ():
        values = " ".join(f"{key} {'none' if v is None else f'{v:.3f}'}" for key, v in item.measures.items())
        print(f"{item.kind:32s} {verdict(item.measures):14s} {values}  {item.name}")


if __name__ == "__main__":
    main()
