"""The beat tracker against librosa 0.11, imported for these tests alone: real sound, odd sound, the authors' settings."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import av
import numpy as np
import pytest

from curation.features import _beat_tracker, beats_per_segment
from curation.features._beat_tracker import HZ, track
from svmbench.media import ClipMedia

sys.path.append(str(Path(__file__).parent))
import golden_beats
from golden_beats import beat_tracks, by_librosa

REAL = (
    "librosa+data/audio/147793__setuniman__sweet-waltz-0i-22mi.ogg",
    "librosa+data/audio/Kevin_MacLeod_-_Vibe_Ace.ogg",
    "librosa+data/audio/442789__lena-orsa__happy-music-pistachio-ice-cream-ragtime.ogg",
    "librosa+data/audio/sorohanro_-_solo-trumpet-06.ogg",
    "librosa+data/audio/198-209-0000.ogg",
    "facebookresearch+audiocraft/dataset/example/electro_1.mp3",
    "facebookresearch+audiocraft/assets/bach.mp3",
    "mdn+dom-examples/media/mediaerror/assets/good.mp3",
    "Zulko+moviepy/media/chaplin.mp4",
)


@pytest.fixture(scope="session")
def librosa() -> ModuleType:
    import librosa

    return librosa


def same(wave: np.ndarray) -> bool:
    tempo_bpm, frames = by_librosa(wave)
    found = track(wave)
    return frames_of(found) == frames and found.tempo_bpm == pytest.approx(tempo_bpm, rel=1e-12)


def frames_of(found: _beat_tracker.Beats) -> list[int]:
    return np.round(found.times_s * HZ / 512).astype(int).tolist()


@pytest.mark.parametrize("name", REAL)
def test_the_same_beats_on_real_clips(name: str, real_wave: Callable[..., np.ndarray]) -> None:
    wave = real_wave(name, HZ, 30)
    assert same(wave)
    for start in range(0, len(wave), 4 * HZ):
        assert same(wave[start : start + 4 * HZ]), start


@pytest.mark.parametrize("length", [1, 2, 100, 511, 512, 1023, 1024, 1600, 2047, 2048, 2049, 4000, 5000, 12_345, 64_001, 500_000])
@pytest.mark.parametrize("kind", ["zeros", "constant", "noise", "click", "tone", "square"])
def test_the_same_beats_on_odd_sounds(kind: str, length: int) -> None:
    times = np.arange(length)
    wave = {
        "zeros": np.zeros(length),
        "constant": np.full(length, 0.5),
        "noise": 0.1 * np.random.default_rng(length).standard_normal(length),
        "click": (times == length // 2).astype(float),
        "tone": 0.3 * np.sin(2 * np.pi * 440 * times / HZ),
        "square": 1.0 * (times % 8000 < 4000),
    }[kind]
    assert same(wave.astype(np.float32))


def test_the_same_beats_on_ten_minutes() -> None:
    minutes = np.concatenate(
        [made.wave for made in beat_tracks.tracks(range(1))] + [made.wave for made in beat_tracks.beatless(range(1))]
    )
    assert len(minutes) > 10 * 60 * HZ
    assert same(minutes)


@pytest.mark.parametrize("summary", ["median", "mean"])
def test_onset_strength_is_librosas(summary: str, librosa: ModuleType, real_wave: Callable[..., np.ndarray]) -> None:
    wave = real_wave(REAL[1], HZ, 12)
    expected = librosa.onset.onset_strength(y=wave, sr=HZ, hop_length=512, aggregate=getattr(np, summary))
    found = _beat_tracker.onset_strength(wave, getattr(_beat_tracker, summary))
    np.testing.assert_allclose(found, expected, atol=1e-3)  # dB; float32 sums in another order


def test_per_segment_is_what_the_code_of_ut_cmvmr_counts(librosa: ModuleType, sound_clip: Callable[..., ClipMedia]) -> None:
    """Number of beats, mean onset strength on them, mean interval, each by librosa with its own defaults."""
    for made in beat_tracks.tracks(range(20, 21)):
        rows = beats_per_segment.extract(sound_clip(made.wave, HZ)).values_TD
        for segment, found in zip(np.split(made.wave, 7), rows, strict=True):
            onset_T = librosa.onset.onset_strength(y=segment, sr=HZ)
            _, frames = librosa.beat.beat_track(onset_envelope=onset_T, sr=HZ)
            times_s = librosa.frames_to_time(frames, sr=HZ)
            assert found[0] == len(frames), made.name
            assert found[1] == pytest.approx(onset_T[frames].mean() if len(frames) else 0, abs=1e-3), made.name
            assert found[2] == pytest.approx(np.diff(times_s).mean() if len(frames) > 1 else 0, abs=1e-5), made.name


@pytest.mark.slow
def test_the_golden_beats_are_what_librosa_finds_today() -> None:
    written = json.loads(golden_beats.GOLDEN.read_text())
    assert written == json.loads(json.dumps(golden_beats.golden()))


@pytest.mark.slow
def test_nearly_all_real_sound_has_the_same_beats(clips: Path, real_wave: Callable[..., np.ndarray]) -> None:
    """Up to a minute of every file and its segments. One in some hundreds differs by a frame: two chains as good."""
    results = []
    for row in csv.DictReader((clips / "manifest.csv").read_text(encoding="utf-8").splitlines()):
        if row["audio_codec"] and "digit" not in row["file"]:
            try:
                wave = real_wave(row["file"], HZ, 60)
            except (av.FFmpegError, ValueError):
                continue  # a broken file of the collection
            results += [same(wave), *(same(wave[i : i + 4 * HZ]) for i in range(0, len(wave), 4 * HZ))]
    assert len(results) > 500
    assert results.count(False) <= 3
