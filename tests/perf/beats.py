"""The beat tracker beside librosa 0.11: same beats, cost, import, and how right the beats and the confidence are.

    python tests/perf/beats.py [--real FOLDER]

The tracks are those of beat_tracks.py, the posts are composed by the replica and read back from their files. Settings of the
confidence were chosen on CHOSEN and are scored on HELD_OUT; the real clips (FOLDER, default the clips under SVMBENCH_SHARED) were
looked at while the kind of measure was chosen, so they flatter it. Takes about three CPU-minutes.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import av
import beat_tracks
import librosa
import numpy as np
from beat_tracks import BEATLESS, HZ, STYLES

from crawl.replica import compose, music, render, voice
from curation.features import _beat_tracker, beats, beats_per_segment
from curation.features._beat_tracker import Beats, mean, onset_strength, track, track_each
from curation.spectra import steps
from svmbench import media
from svmbench.media import Needs

CLIPS = Path(os.environ.get("SVMBENCH_SHARED", Path(__file__).resolve().parents[3] / "shared")) / "clips"
SAME, CHOSEN, HELD_OUT = range(4), range(30, 42), range(130, 142)  # seeds
NUM_POSTS = 30
WITH_BEAT = (  # judged by the collection's own notes: 'music', or a film with music
    "Zulko+moviepy/media/chaplin.mp4", "chouliuzuo+GVMGen/examples_of_results/*.mp4", "facebookresearch+audiocraft/assets/b*.mp3",
    "facebookresearch+audiocraft/assets/sep_drums_1.mp3", "facebookresearch+audiocraft/dataset/example/*.mp3",
    "librosa+data/audio/1477*", "librosa+data/audio/4427*", "librosa+data/audio/Hung*", "librosa+data/audio/Kevin*",
    "librosa+data/audio/admiral*", "librosa+data/audio/sorohanro*", "mdn+dom-examples/launch-handler/audio/sample-9s.mp3",
    "mdn+dom-examples/media-session/tracks/alignment.mp3", "mdn+dom-examples/media/mediaerror/assets/good.mp3",
    "mdn+webaudio-examples/audio-analyser/viper.mp3", "mozilla+popcorn-js/test/trailer.webm",
    "open-mmlab+FoleyCrafter/examples/vggsound/0.mp4", "tyiannak+pyAudioAnalysis/pyAudioAnalysis/data/doremi.wav",
)  # fmt: skip
WITHOUT = (  # 'speech', 'ambient', 'foley', 'home video + room sound'
    "facebookresearch+audiocraft/assets/a_duck*", "facebookresearch+audiocraft/assets/sirens*", "librosa+data/audio/198*",
    "librosa+data/audio/3436*", "librosa+data/audio/5703*", "librosa+data/audio/glacier*", "librosa+data/audio/pibble*",
    "mdn+dom-examples/canvas/chroma-keying/media/video.mp4", "mdn+learning-area/accessibility/*/media/bear.ogg",
    "mdn+learning-area/javascript/*/*/*/*/*/*.webm", "mdn+webaudio-examples/voice-change-o-matic/audio/concert-crowd.ogg",
    "open-mmlab+FoleyCrafter/examples/avsync/*.mp4", "open-mmlab+FoleyCrafter/examples/vggsound/3.mp4",
    "tyiannak+pyAudioAnalysis/pyAudioAnalysis/data/count.wav",
)  # fmt: skip
Waves = list[np.ndarray]
Labelled = list[tuple[bool, np.ndarray]]  # whether it has a beat, and the wave


def by_librosa(wave: np.ndarray) -> np.ndarray:
    """Frames of the beats."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "n_fft=")
        return librosa.beat.beat_track(y=wave, sr=HZ, trim=False)[1]


def by_ut_cmvmr(segment: np.ndarray) -> np.ndarray:
    """As the authors' code asks librosa for them."""
    return librosa.beat.beat_track(onset_envelope=librosa.onset.onset_strength(y=segment, sr=HZ), sr=HZ)[1]


def frames(found: Beats) -> np.ndarray:
    return np.round(found.times_s * _beat_tracker.FRAMES_PER_S).astype(int)


class Match:
    """Counts equal answers of one kind and adds up what both sides cost."""

    def __init__(self, kind: str) -> None:
        self.kind, self.their_s, self.our_s = kind, 0.0, 0.0
        self.equal: list[bool] = []

    def add(self, theirs: Callable[[Waves], list[np.ndarray]], ours: Callable[[Waves], list[Beats]], waves: Waves) -> None:
        began = time.process_time()
        expected = theirs(waves)
        between = time.process_time()
        found = ours(waves)
        self.their_s, self.our_s = self.their_s + between - began, self.our_s + time.process_time() - between
        self.equal += [np.array_equal(frames(f), e) for f, e in zip(found, expected, strict=True)]

    def say(self, rounds: int) -> None:
        theirs, ours = 1000 * self.their_s / rounds, 1000 * self.our_s / rounds
        print(f"{self.kind:28s} same beats in {sum(self.equal)} of {len(self.equal)}")
        print(f"    CPU ms librosa {theirs:5.1f}, ours {ours:5.1f}: {theirs / ours:.2f} times as fast")


def sameness_and_cost() -> None:
    """Milliseconds are those of one track: once as a whole, once as seven segments."""
    made, without = beat_tracks.tracks(SAME), beat_tracks.beatless(SAME)
    by_librosa(made[0].wave)  # it compiles at its first call
    kinds = ("whole tracks", "seven segments", "seven segments as UT-CMVMR", "sound without beats")
    whole, segments, as_authors, nothing = map(Match, kinds)
    for one in made:
        parts = np.split(one.wave, 7)
        whole.add(all_by_librosa, all_by_us, [one.wave])
        segments.add(all_by_librosa, all_by_us, parts)
        as_authors.add(
            lambda waves: [by_ut_cmvmr(wave) for wave in waves], lambda waves: track_each(waves, mean, trim=True), parts
        )
    for one in without:
        nothing.add(all_by_librosa, all_by_us, [one.wave, *np.split(one.wave, 7)])
    for match in (whole, segments, as_authors):
        match.say(len(made))
    nothing.say(len(without))


def all_by_librosa(waves: Waves) -> list[np.ndarray]:
    return [by_librosa(wave) for wave in waves]


def all_by_us(waves: Waves) -> list[Beats]:
    return [track(wave) for wave in waves]


def imports() -> None:
    """CPU seconds in fresh processes, the best of five."""
    for code in (
        "import numpy",
        "import numpy, scipy.fft",
        "import curation.features.beats",
        "import librosa.beat, librosa.onset",
    ):
        script = f"{code}; import time; print(time.process_time())"
        runs = [subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True) for _ in range(5)]
        print(f"{code:36s} {min(float(run.stdout) for run in runs):.2f} s")


def f_measure(found_s: np.ndarray, truth_s: np.ndarray) -> float:
    """Davies et al. 2009: harmonic mean of precision and recall; a true beat is matched by one found beat within 70 ms."""
    left, matched = list(found_s), 0
    for beat_s in truth_s:
        near = [time_s for time_s in left if abs(time_s - beat_s) <= 0.07]
        if near:
            left.remove(min(near, key=lambda time_s: abs(time_s - beat_s)))
            matched += 1
    return 2 * matched / max(1, len(found_s) + len(truth_s))


def composed_posts() -> Iterator[tuple[media.ClipMedia, np.ndarray]]:
    """NUM_POSTS posts with music from the replica, written as files and decoded, and the times of their beats."""
    plans = [
        plan for plan in compose.plan(77, 2 * NUM_POSTS, ("dance",), 1000) if plan.content.kind == "music" and plan.listing.media
    ]
    with tempfile.TemporaryDirectory() as folder:
        for number, plan in enumerate(plans[:NUM_POSTS]):
            path = Path(folder) / f"{number}.mp4"
            render.render(plan, path)
            yield media.decode(path, Needs(audio_hz=(HZ,)), 60.0), np.array(plan.truth["beats_s"])


def accuracy() -> None:
    made = beat_tracks.tracks(SAME)
    ours = [f_measure(track(one.wave).times_s, one.beats_s) for one in made]
    theirs = [f_measure(by_librosa(one.wave) / _beat_tracker.FRAMES_PER_S, one.beats_s) for one in made]
    print(f"F-measure, {len(made)} made-up tracks: ours {np.mean(ours):.3f}, librosa {np.mean(theirs):.3f}")
    for style in STYLES:
        some = [f for f, one in zip(ours, made, strict=True) if one.name.startswith(f"{style}_")]
        print(f"    {style:10s} {np.mean(some):.2f}")


def accuracy_on_posts() -> None:
    scores: list[float] = []
    sure: list[float] = []
    wrongs: dict[ModuleType, list[float]] = {beats: [], beats_per_segment: []}  # by how many beats a segment's count is wrong
    for clip, truth_s in composed_posts():
        found = beats.of(clip)
        assert found is not None
        scores.append(f_measure(found.times_s, truth_s))
        sure.append(found.confidence)
        bounds = steps(len(clip.wave(HZ)) / HZ, beats.SEGMENT_S)
        counts = np.array([((truth_s >= start_s) & (truth_s < end_s)).sum() for start_s, end_s in bounds])
        for module, wrong in wrongs.items():
            wrong += np.abs(module.extract(clip).values_TD[:, 0] - counts).tolist()
    print(f"F-measure, {len(scores)} composed posts: mean {np.mean(scores):.3f}, median {np.median(scores):.3f}")
    print(f"    confidence: mean {np.mean(sure):.2f}, lowest {min(sure):.2f}")
    for module, wrong in wrongs.items():
        exact, near = np.mean(np.array(wrong) == 0), np.mean(np.array(wrong) <= 1)
        name = module.__name__.rsplit(".", 1)[-1]
        print(f"    {name:18s} exact count {exact:.2f}, within one {near:.2f} of {len(wrong)} segments")


def pulse_clarity(wave: np.ndarray) -> float:
    """What the confidence was before: the autocorrelation of the onsets that the tracker uses, at the beat's period."""
    onset_T = onset_strength(wave)
    if not onset_T.any():
        return 0.0
    lag, centred = round(60 * _beat_tracker.FRAMES_PER_S / _beat_tracker.tempo(onset_T)), onset_T - onset_T.mean()
    return float(np.clip(centred[lag:] @ centred[:-lag] / (centred @ centred), 0, 1)) if lag < len(centred) else 0.0


def mixed(seeds: range) -> Labelled:
    """Music under beatless sound at -6 to 15 dB, beatless sound, voices and mixtures of these; 5, 8 or 15 s long."""
    found: Labelled = []
    for seed in seeds:
        rng = np.random.default_rng([77, seed])
        around = [beat_tracks.without_beats(kind, seed).wave for kind in BEATLESS]
        voices = [voice.speak(voice.script(rng, 0.5, 20), 20.0, rng) for _ in range(4)]
        songs = [music.play(music.song(seed + 900, number), 6.0, 20.0, HZ) for number in range(4)]
        with_beat = [beat_tracks.track(style, seed).wave for style in STYLES] + songs
        found += [(True, _cut(_over(one, around[rng.integers(len(around))], rng), rng)) for one in with_beat]
        found += [(False, _cut(one, rng)) for one in [*around, *voices[:2]]]
        found += [
            (False, _cut(_over(one, around[rng.integers(len(around))], rng), rng)) for one in [*voices[2:], around[seed % 10]]
        ]
    return found


def _over(wave: np.ndarray, other: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    length = min(len(wave), len(other))
    level = 10 ** (-rng.uniform(-6, 15) / 20)
    return wave[:length] / wave.std() + level * other[:length] / max(float(other.std()), 1e-6)


def _cut(wave: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    length = HZ * int(rng.choice((5, 8, 15)))
    start = int(rng.integers(0, len(wave) - length))
    return (wave[start : start + length] / np.abs(wave).max()).astype(np.float32)


def real(folder: Path) -> Labelled:
    """The first 15 s of each file."""
    found = []
    for label, patterns in ((True, WITH_BEAT), (False, WITHOUT)):
        for path in sorted({path for pattern in patterns for path in folder.glob(pattern)}):
            resampler = av.AudioResampler(format="fltp", layout="mono", rate=HZ)
            with av.open(str(path)) as container:
                parts = [p.to_ndarray()[0] for frame in container.decode(audio=0) for p in resampler.resample(frame)]
            found.append((label, np.concatenate(parts)[: 15 * HZ].astype(np.float32)))
    return found


def confidences(name: str, sounds: Labelled) -> None:
    for kind, measure in (("confidence", lambda wave: track(wave).confidence), ("pulse clarity", pulse_clarity)):
        values = [np.array([measure(wave) for has_beat, wave in sounds if has_beat == label]) for label in (True, False)]
        high, low = values[0][:, None], values[1]
        auc = (high > low).mean() + 0.5 * (high == low).mean()
        print(f"{kind:13s} {name:30s} AUC {auc:.3f}; 10 % of {len(high)} with a beat below {np.quantile(high, 0.1):.2f}, "
              f"10 % of {len(low)} without above {np.quantile(low, 0.9):.2f}")  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--real", type=Path, default=CLIPS)
    folder = parser.parse_args().real
    sameness_and_cost()
    imports()
    accuracy()
    accuracy_on_posts()
    confidences("mixed, seeds it was chosen on", mixed(CHOSEN))
    confidences("mixed, held-out seeds", mixed(HELD_OUT))
    if folder.is_dir():
        confidences("real clips", real(folder))


if __name__ == "__main__":
    main()
