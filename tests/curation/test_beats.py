"""The beats of a clip: known clicks are the truth, odd sounds must not break it. test_beats_librosa.py compares with librosa."""

from __future__ import annotations

import gc
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from crawl.replica import music
from curation.features import _beat_tracker, beats, beats_per_segment
from curation.features._beat_tracker import HZ, track
from svmbench.errors import Silent
from svmbench.media import ClipMedia

sys.path.append(str(Path(__file__).parent))
import golden_beats
from golden_beats import beat_tracks


@pytest.fixture(scope="module")
def tracks() -> list[beat_tracks.Track]:
    """64 made-up tracks."""
    return beat_tracks.tracks(golden_beats.SEEDS)


def hits(times_s: np.ndarray, duration_s: float, seed: int = 0, *, tone_hz: float = 0.0) -> np.ndarray:
    """Short decaying bursts of noise (or of a tone) at these times over a faint floor."""
    rng = np.random.default_rng(seed)
    wave = 1e-4 * rng.standard_normal(round(duration_s * HZ))
    decay = np.exp(-np.arange(HZ // 8) / (HZ / 60))
    for start in np.round(np.asarray(times_s) * HZ).astype(int):
        body = np.sin(2 * np.pi * tone_hz * np.arange(len(decay)) / HZ) if tone_hz else rng.standard_normal(len(decay))
        part = wave[start : start + len(decay)]
        part += 0.3 * (body * decay)[: len(part)]
    return wave.astype(np.float32)


def f_measure(found_s: np.ndarray, truth_s: np.ndarray, window_s: float = 0.07, skip_s: float = 0.0) -> float:
    """Beat F-measure of Davies et al. 2009: each true beat may be matched once within 70 ms."""
    found_s, truth_s = found_s[found_s >= skip_s], truth_s[truth_s >= skip_s]
    used, matched = set(), 0
    for beat_s in truth_s:
        near = [i for i in np.flatnonzero(np.abs(found_s - beat_s) <= window_s) if i not in used]
        if near:
            used.add(min(near, key=lambda i: abs(found_s[i] - beat_s)))
            matched += 1
    return 2 * matched / (len(found_s) + len(truth_s)) if len(found_s) + len(truth_s) else 0.0


def test_the_same_beats_as_librosa_on_64_tracks_and_their_segments(tracks: list[beat_tracks.Track]) -> None:
    """Tempo and beat frames of 64 tracks and of 448 segments of 4 s, as golden_beats.py had them from librosa 0.11."""
    golden = json.loads(golden_beats.GOLDEN.read_text())
    assert set(golden) == {made.name for made in tracks}
    assert len(golden) >= 60
    for made in tracks:
        pieces = golden_beats.pieces(made.wave)
        assert len(pieces) == len(golden[made.name]) == 8
        for number, (wave, (tempo_bpm, frames)) in enumerate(zip(pieces, golden[made.name], strict=True)):
            found = track(wave)
            assert frames_of(found) == frames, f"{made.name} {number}"
            assert found.tempo_bpm == pytest.approx(tempo_bpm, rel=1e-12), f"{made.name} {number}"


def frames_of(found: _beat_tracker.Beats) -> list[int]:
    return np.round(found.times_s * HZ / 512).astype(int).tolist()


def test_several_waves_are_tracked_as_each_alone(tracks: list[beat_tracks.Track]) -> None:
    waves = [tracks[0].wave[: 4 * HZ], tracks[5].wave[:10_001], tracks[9].wave[: 6 * HZ], np.zeros(100, np.float32)]
    for together, wave in zip(_beat_tracker.track_each(waves, _beat_tracker.median, trim=False), waves, strict=True):
        alone = track(wave)
        np.testing.assert_array_equal(together.times_s, alone.times_s)
        np.testing.assert_allclose(together.strengths, alone.strengths, atol=1e-3)
        assert together.confidence == pytest.approx(alone.confidence, abs=1e-4)


@pytest.mark.parametrize("tempo_bpm", [90, 120, 140])
def test_steady_clicks_are_found(tempo_bpm: int) -> None:
    truth_s = np.arange(0.3, 15.5, 60 / tempo_bpm)
    found = track(hits(truth_s, 16.0))
    assert found.tempo_bpm == pytest.approx(tempo_bpm, rel=0.04)  # lags are whole frames of 32 ms
    assert f_measure(found.times_s, truth_s) > 0.9
    assert found.confidence > 0.7


def test_even_clicks_at_150_are_heard_at_half_their_tempo() -> None:
    """The known weakness of this tracker: between a tempo and its half or double nothing but the prior decides."""
    found = track(hits(np.arange(0.3, 15.5, 0.4), 16.0))
    assert found.tempo_bpm == pytest.approx(75, rel=0.03)


def test_confidence_tells_beats_from_sound_without_beats() -> None:
    """The share of pairs in the right order, on seeds that were not used to choose how it is measured."""
    music_like = [track(t.wave[: 15 * HZ]).confidence for t in beat_tracks.tracks(range(200, 201))]
    without = [track(t.wave[: 15 * HZ]).confidence for t in beat_tracks.beatless(range(200, 202))]
    assert np.mean(np.array(music_like)[:, None] > np.array(without)) > 0.97
    assert np.median(music_like) > 0.5
    assert max(without) < 0.35


@pytest.mark.parametrize("kind", ["noise", "one click", "steady tone", "silence"])
def test_what_does_not_beat_has_little_confidence(kind: str) -> None:
    seconds = np.arange(12 * HZ) / HZ
    wave = {
        "noise": 0.1 * np.random.default_rng(0).standard_normal(len(seconds)),
        "one click": hits(np.array([3.0]), 12.0),
        "steady tone": 0.2 * np.sin(2 * np.pi * 220 * seconds),
        "silence": np.zeros(len(seconds)),
    }[kind]
    assert track(wave.astype(np.float32)).confidence < 0.2


def test_composed_music_with_known_beats() -> None:
    """The embedded platform's music has its beats written beside it (40 songs at 12 s gave a mean F of 0.97)."""
    scores, confidences = [], []
    for number in range(6):
        song = music.song(2026, number)
        found = track(music.play(song, 6.0, 12.0, HZ))
        scores.append(f_measure(found.times_s, np.asarray(music.beats(song, 6.0, 18.0))))
        confidences.append(found.confidence)
    assert np.median(scores) > 0.9, scores
    assert min(confidences) > 0.5, confidences


def test_features_count_the_beats_of_each_segment(sound_clip: Callable[..., ClipMedia]) -> None:
    wave = hits(np.arange(0.25, 14, 0.5), 14.0)
    found = beats.extract(sound_clip(wave, HZ))
    assert found.values_TD.shape == (4, beats.DIM)
    assert found.hop_s == 4.0
    count, strength, interval_s, tempo_bpm, confidence = found.values_TD.T
    np.testing.assert_allclose(count[:3], 8, atol=1)
    assert count[3] == pytest.approx(4, abs=1)  # the last segment has 2 s
    np.testing.assert_allclose(interval_s, 0.5, atol=0.02)
    assert (strength > 1).all()
    assert np.ptp(tempo_bpm) == 0
    assert np.ptp(confidence) == 0
    assert tempo_bpm[0] == pytest.approx(120, rel=0.03)


def test_a_rest_of_a_few_milliseconds_is_no_segment(sound_clip: Callable[..., ClipMedia]) -> None:
    wave = hits(np.arange(0.25, 8, 0.5), 8.05)
    assert len(beats.extract(sound_clip(wave, HZ)).values_TD) == 2


def test_a_clip_is_tracked_once(sound_clip: Callable[..., ClipMedia], monkeypatch: pytest.MonkeyPatch) -> None:
    clip = sound_clip(hits(np.arange(0.25, 9, 0.5), 9.0), HZ)
    found = beats.of(clip)
    assert found is not None
    monkeypatch.setattr(beats, "track_power", lambda blocks: pytest.fail("tracked again"))
    assert beats.of(clip) is found
    rows = beats.extract(clip).values_TD
    assert rows[:, 0].sum() == len(found.times_s)
    known = len(beats._beats_of_clip)
    del clip
    gc.collect()
    assert len(beats._beats_of_clip) == known - 1


def test_no_sound_has_no_beats(sound_clip: Callable[..., ClipMedia]) -> None:
    assert beats.of(sound_clip(np.zeros(0), HZ)) is None
    silent = beats.of(sound_clip(np.zeros(5 * HZ), HZ))
    assert silent is not None
    assert not len(silent.times_s)


def test_per_segment_sees_each_segment_alone(sound_clip: Callable[..., ClipMedia]) -> None:
    """Its own tempo, and the last segment padded to 4 s; the whole clip has one tempo."""
    wave = hits(np.concatenate([np.arange(0.3, 8, 0.4), np.arange(8.2, 14, 0.6)]), 14.0)
    clip = sound_clip(wave, HZ)
    found, whole = beats_per_segment.extract(clip), beats.extract(clip)
    assert found.values_TD.shape == whole.values_TD.shape == (4, beats.DIM)
    assert found.hop_s == 4.0
    assert np.ptp(found.values_TD[:, 3]) > 20
    assert np.ptp(whole.values_TD[:, 3]) == 0
    last = np.pad(wave[12 * HZ :], (0, 2 * HZ))
    alone = beats_per_segment.extract(sound_clip(last, HZ)).values_TD[0]
    np.testing.assert_allclose(found.values_TD[3], alone, atol=1e-3)


@pytest.mark.parametrize("module", [beats, beats_per_segment])
@pytest.mark.parametrize("length", [1, 2, 100, 1600, 511, 2048, 5000])
@pytest.mark.parametrize("kind", ["zeros", "noise", "nan"])
def test_odd_sounds_give_finite_rows(length: int, kind: str, module: ModuleType, sound_clip: Callable[..., ClipMedia]) -> None:
    wave = {
        "zeros": np.zeros(length),
        "noise": np.random.default_rng(0).standard_normal(length),
        "nan": np.full(length, np.nan),
    }[kind]
    found = module.extract(sound_clip(wave, HZ)).values_TD
    assert found.shape == (1, beats.DIM)
    assert np.isfinite(found).all()
    if kind != "noise":
        assert not found.any()


@pytest.mark.parametrize("module", [beats, beats_per_segment])
def test_a_clip_without_audio_raises_silent(module: ModuleType, sound_clip: Callable[..., ClipMedia]) -> None:
    with pytest.raises(Silent, match="no_audio"):
        module.extract(sound_clip(np.zeros(0), HZ))


def test_samples_that_are_no_number_are_heard_as_silence(sound_clip: Callable[..., ClipMedia]) -> None:
    wave = hits(np.arange(0.25, 11.5, 0.5), 12.0)
    holes = wave.copy()
    wave[5000:9000] = 0
    holes[5000:9000:2], holes[5001:9000:2] = np.nan, np.inf
    np.testing.assert_array_equal(beats.extract(sound_clip(holes, HZ)).values_TD, beats.extract(sound_clip(wave, HZ)).values_TD)


def test_half_an_hour_has_beats_from_its_beginning_to_its_end(tracks: list[beat_tracks.Track]) -> None:
    minutes = np.tile(np.concatenate([made.wave for made in tracks[:4]]), 16)
    assert len(minutes) > 29 * 60 * HZ
    found = track(minutes)
    assert found.tempo_bpm > 0
    assert 40 < 60 * len(found.times_s) / (len(minutes) / HZ) < 240
    assert (np.diff(found.times_s) > 0).all()
    assert np.diff(found.times_s, prepend=0, append=len(minutes) / HZ).max() < 3


def test_the_module_needs_no_numba(tmp_path: Path) -> None:
    code = "import sys, curation.features.beats; print([m for m in ('numba', 'librosa', 'torch') if m in sys.modules])"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path)
    assert out.stdout.strip() == "[]"
