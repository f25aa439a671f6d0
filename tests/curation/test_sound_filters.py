"""The filters of the sound: their rules, what they hear in known sounds and in real labelled ones, and odd input."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import soxr

from crawl.replica import music, sounds, voice
from curation.clip_job import ask
from curation.filters import _silero, ambience, held_pitch, loudness, silence, speech
from svmbench.errors import MissingExtra
from svmbench.media import ClipMedia
from svmbench.settings import build

HZ = 16_000
FILTERS = (silence, speech, ambience, held_pitch, loudness)
LABELLED = "tyiannak+pyAudioAnalysis/pytests/test_data/3_class"
LONG_MUSIC = (
    "librosa+data/audio/Kevin_MacLeod_-_Vibe_Ace.ogg",
    "librosa+data/audio/147793__setuniman__sweet-waltz-0i-22mi.ogg",
    "librosa+data/audio/sorohanro_-_solo-trumpet-06.ogg",
    "librosa+data/audio/admiralbob77_-_Choice_-_Drum-bass.ogg",
    "facebookresearch+audiocraft/assets/bach.mp3",
    "facebookresearch+audiocraft/assets/sep_drums_1.mp3",
    "facebookresearch+audiocraft/assets/electronic.mp3",
    "facebookresearch+audiocraft/dataset/example/electro_1.mp3",
    "open-mmlab+FoleyCrafter/examples/vggsound/0.mp4",  # a conga player
    "chouliuzuo+GVMGen/examples_of_results/21.mp4",
    "mdn+webaudio-examples/audio-analyser/viper.mp3",
)
LONG_SPEECH = (
    "librosa+data/audio/198-209-0000.ogg",
    "librosa+data/audio/3436-172162-0000.ogg",
    "librosa+data/audio/5703-47212-0000.ogg",
    "mdn+dom-examples/web-speech-api/audio-track-recognition/cheese-on-toast.mp3",
    "tyiannak+pyAudioAnalysis/pyAudioAnalysis/data/count.wav",
)
AMBIENT = (
    "librosa+data/audio/glacier-bay-humpback.ogg",
    "librosa+data/audio/pibble.ogg",
    "facebookresearch+audiocraft/assets/a_duck_quacking_as_birds_chirp_and_a_pigeon_cooing.mp3",
    "Zulko+moviepy/media/crunching.mp3",
)


def measured(module: ModuleType, clip: ClipMedia, **settings: Any) -> float | None:
    return module.measure(clip, build(module.Settings, settings, module.__name__))


def said(module: ModuleType, clip: ClipMedia) -> tuple[str, str]:
    """(keep, review or drop; the reason), with the defaults."""
    others = {m.NAME_OF_MEASURE: m.measure(clip, m.Settings()) for m in (speech, ambience, held_pitch)}
    settings = module.Settings()
    verdict = ask(module, settings, module.measure(clip, settings), others)
    return "keep" if verdict.keep else "review" if verdict.review else "drop", verdict.reason


def noise(seconds: float, seed: int = 0, *, slope: float = 0.0) -> np.ndarray:
    """White noise (slope 0), pink (1) or brown (2) with a peak of 0.5."""
    spectrum = np.fft.rfft(np.random.default_rng(seed).standard_normal(round(seconds * HZ)))
    spectrum /= np.maximum(1, np.arange(len(spectrum))) ** (slope / 2)
    wave = np.fft.irfft(spectrum)
    return (0.5 * wave / np.abs(wave).max()).astype(np.float32)


def chord(seconds: float) -> np.ndarray:
    times = np.arange(round(seconds * HZ)) / HZ
    return sum(0.1 * np.sin(2 * np.pi * hz * times) for hz in (220, 277, 330)).astype(np.float32)


def test_silent_share_is_the_share_of_the_time(sound_clip: Callable[..., ClipMedia]) -> None:
    wave = np.concatenate([chord(3.0), np.zeros(9 * HZ)])
    assert measured(silence, sound_clip(wave, HZ)) == pytest.approx(0.75, abs=1e-9)
    assert said(silence, sound_clip(wave, HZ)) == ("keep", "sound")
    longer = np.concatenate([chord(2.0), np.zeros(10 * HZ)])
    assert said(silence, sound_clip(longer, HZ)) == ("drop", "silent")


@pytest.mark.parametrize(("level_dbfs", "share"), [(-51, 1.0), (-49, 0.0)])
def test_the_silence_floor_is_a_level(level_dbfs: float, share: float, sound_clip: Callable[..., ClipMedia]) -> None:
    wave = np.sin(2 * np.pi * 400 * np.arange(2 * HZ) / HZ) * np.sqrt(2) * 10 ** (level_dbfs / 20)
    assert measured(silence, sound_clip(wave, HZ)) == share


@pytest.mark.parametrize("module", FILTERS)
@pytest.mark.parametrize("length", [1, 2, 63, 511, 512, 513, 2049])
@pytest.mark.parametrize("kind", ["zeros", "noise", "nan", "inf", "loud"])
def test_odd_sounds_are_measured_or_not_but_raise_nothing(
    module: ModuleType, length: int, kind: str, sound_clip: Callable[..., ClipMedia]
) -> None:
    wave = {
        "zeros": np.zeros(length),
        "noise": np.random.default_rng(0).standard_normal(length),
        "nan": np.full(length, np.nan),
        "inf": np.full(length, np.inf),
        "loud": np.full(length, 1e6),
    }[kind]
    value = measured(module, sound_clip(wave, HZ))
    assert value is None or (-70 <= value <= 130 if module is loudness else 0 <= value <= 1)
    if module is silence:
        assert value == (1.0 if kind in ("zeros", "nan", "inf") else 0.0)


@pytest.mark.parametrize("module", FILTERS)
def test_no_audio_has_no_value(module: ModuleType, sound_clip: Callable[..., ClipMedia]) -> None:
    assert measured(module, sound_clip(np.zeros(0), HZ)) is None


def test_samples_that_are_no_number_do_not_spread(sound_clip: Callable[..., ClipMedia]) -> None:
    wave = chord(4.0)
    wave[:HZ] = np.nan
    assert measured(silence, sound_clip(wave, HZ)) == pytest.approx(0.25, abs=1e-9)
    assert measured(ambience, sound_clip(wave, HZ)) > 0.9
    assert measured(speech, sound_clip(wave, HZ)) < 0.1


@pytest.mark.parametrize("slope", [0.0, 1.0, 2.0])
def test_noise_is_ambience_and_a_chord_is_not(slope: float, sound_clip: Callable[..., ClipMedia]) -> None:
    rain = noise(6.0, slope=slope)
    assert said(ambience, sound_clip(rain, HZ)) == ("drop", "ambience")
    assert measured(speech, sound_clip(rain, HZ)) < 0.1
    assert measured(ambience, sound_clip(chord(6.0), HZ)) > 0.95


def test_ambience_by_hand(sound_clip: Callable[..., ClipMedia]) -> None:
    """A tone and noise of equal energy below 4 kHz: about half of it is tonal."""
    hiss = noise(6.0)
    below = np.fft.rfft(hiss)
    below[round(4000 / (HZ / 2) * (len(below) - 1)) :] = 0
    hiss = np.fft.irfft(below)
    tone = np.sqrt(2) * hiss.std() * np.sin(2 * np.pi * 1000 * np.arange(len(hiss)) / HZ)
    assert measured(ambience, sound_clip(hiss + tone, HZ)) == pytest.approx(0.5, abs=0.06)


def test_a_tone_that_does_not_last_is_not_tonal(sound_clip: Callable[..., ClipMedia]) -> None:
    wave = noise(6.0) * 1e-3
    for start in range(0, len(wave) - HZ // 2, HZ // 2):
        wave[start : start + 600] += 0.5 * np.sin(2 * np.pi * (500 + start % 1700) * np.arange(600) / HZ)
    value = measured(ambience, sound_clip(wave, HZ), num_frames=8)
    assert value is not None
    assert value < 0.1


def test_speech_is_what_silero_says(real_wave: Callable[..., np.ndarray]) -> None:
    """The package's own model, which needs PyTorch's deprecated loader, gives the same probabilities."""
    import torch

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        from silero_vad import load_silero_vad

        model = load_silero_vad()
    for name in (LONG_SPEECH[0], LONG_MUSIC[0]):
        wave = real_wave(name, HZ, 8.01)
        with torch.no_grad():
            expected = model.audio_forward(torch.from_numpy(wave)[None], HZ)[0].numpy()
        np.testing.assert_allclose(_silero.probabilities(wave), expected, atol=1e-4)


@pytest.fixture
def fresh_network() -> Iterator[None]:
    _silero.tested_weights.cache_clear()
    yield
    _silero.tested_weights.cache_clear()


@pytest.mark.usefixtures("fresh_network")
def test_speech_needs_its_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingExtra, match="pip install"):
        _silero.probabilities(np.zeros(512, np.float32))


@pytest.mark.usefixtures("fresh_network")
def test_an_archive_of_other_sizes_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_silero, "SHAPES", {**_silero.SHAPES, "waves": (258, 128)})
    with pytest.raises(MissingExtra, match="another network"):
        _silero.probabilities(np.zeros(512, np.float32))


@pytest.mark.usefixtures("fresh_network")
@pytest.mark.parametrize("pair", [("lstm_in", "lstm_hidden"), ("conv1_bias", "conv4_bias")])
def test_a_detector_that_does_not_hear_a_voice_is_refused(pair: tuple[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    net = _silero._weights()
    swapped = {**net, pair[0]: net[pair[1]], pair[1]: net[pair[0]]}
    monkeypatch.setattr(_silero, "_weights", lambda: swapped)
    with pytest.raises(MissingExtra, match="self-test"):
        _silero.probabilities(np.zeros(512, np.float32))


@pytest.mark.usefixtures("fresh_network")
def test_a_worker_finds_out_before_its_first_clip(monkeypatch: pytest.MonkeyPatch) -> None:
    speech.prepare()
    _silero.tested_weights.cache_clear()
    monkeypatch.setattr(_silero, "_run", lambda net, wave: np.zeros(len(wave) // 512, np.float32))
    with pytest.raises(MissingExtra, match="self-test"):
        speech.prepare()
    monkeypatch.setattr(_silero, "_run", lambda net, wave: np.ones(len(wave) // 512, np.float32))
    with pytest.raises(MissingExtra, match="self-test"):
        speech.prepare()


def test_the_filters_do_not_import_pytorch(tmp_path: Path) -> None:
    code = (
        "import sys, numpy; from curation.filters import _silero, ambience, clipping, held_pitch, loudness, silence, speech;"
        "_silero.probabilities(numpy.zeros(512));"
        "print([m for m in ('torch', 'silero_vad', 'librosa') if m in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path)
    assert out.stdout.strip() == "[]"


@pytest.mark.parametrize("name", LONG_MUSIC)
def test_real_music_is_never_dropped(
    name: str, real_wave: Callable[..., np.ndarray], sound_clip: Callable[..., ClipMedia]
) -> None:
    clip = sound_clip(real_wave(name, HZ, 15), HZ)
    assert all(said(module, clip)[0] in ("keep", "review") for module in FILTERS)
    assert measured(speech, clip) < 0.25


@pytest.mark.parametrize("name", LONG_SPEECH)
def test_real_speech_is_dropped(name: str, real_wave: Callable[..., np.ndarray], sound_clip: Callable[..., ClipMedia]) -> None:
    assert said(speech, sound_clip(real_wave(name, HZ, 15), HZ)) == ("drop", "speech")


@pytest.mark.parametrize("name", AMBIENT)
def test_real_ambience_is_dropped(name: str, real_wave: Callable[..., np.ndarray], sound_clip: Callable[..., ClipMedia]) -> None:
    clip = sound_clip(real_wave(name, HZ, 15), HZ)
    assert said(ambience, clip) == ("drop", "ambience")
    assert said(speech, clip)[0] == "keep"


def test_confusion_on_the_labelled_seconds(
    clips: Path, real_wave: Callable[..., np.ndarray], sound_clip: Callable[..., ClipMedia], capsys: pytest.CaptureFixture[str]
) -> None:
    """120 labelled wavs of one second. No music may be dropped, no speech kept. One second of speech has pauses, so some of them
    are speech for less than half of it, and a person decides.
    """
    table: dict[str, dict[str, int]] = {}
    for label in ("music", "speech", "silence"):
        row = table.setdefault(label, {"keep": 0, "review": 0, "drop": 0})
        for path in sorted((clips / LABELLED / label).glob("*.wav")):
            clip = sound_clip(real_wave(str(path.relative_to(clips)), HZ, 1.0), HZ)
            answers = [said(module, clip)[0] for module in FILTERS]
            row["drop" if "drop" in answers else "review" if "review" in answers else "keep"] += 1
    with capsys.disabled():
        print("\nlabel of 1-s wav -> " + "; ".join(f"{label}: {row}" for label, row in table.items()))
    assert table["music"]["drop"] == 0
    assert table["music"]["keep"] >= 0.75 * sum(table["music"].values()) >= 30
    assert table["speech"]["keep"] == 0
    assert table["silence"]["drop"] == sum(table["silence"].values()) >= 40


@pytest.mark.parametrize("kind", ["rain", "wind", "crowd"])
def test_composed_ambience_is_dropped(kind: str, sound_clip: Callable[..., ClipMedia]) -> None:
    clip = sound_clip(sounds.ambience(kind, np.random.default_rng(1), 10.0, HZ), HZ)
    assert said(ambience, clip) == ("drop", "ambience")
    assert said(speech, clip)[0] == "keep"


def test_a_composed_voice_over_is_not_kept(sound_clip: Callable[..., ClipMedia]) -> None:
    """A voice from the composer, 5 dB over its music, for two thirds of the clip."""
    rng = np.random.default_rng(3)
    talk = soxr.resample(voice.speak(voice.script(rng, 0.0, 8.0), 12.0, rng), voice.HZ, HZ)
    band = music.play(music.song(2026, 2), 6.0, 12.0, HZ)
    talk = np.pad(talk, (0, max(0, len(band) - len(talk))))[: len(band)]
    talk *= band.std() * 10 ** (5 / 20) / talk[: 8 * HZ].std()
    clip = sound_clip(band + talk, HZ)
    assert said(speech, clip) == ("review", "voice")  # a third of it is music alone, which is tonal
    assert measured(speech, clip) == pytest.approx(8 / 12, abs=0.15)


def test_composed_music_is_kept(sound_clip: Callable[..., ClipMedia]) -> None:
    for number in range(8):
        song = music.song(2026, number)
        clip = sound_clip(music.play(song, 6.0, 10.0, HZ), HZ)
        assert measured(speech, clip) < 0.1, number
        assert measured(ambience, clip) > 0.2, number
        assert said(silence, clip)[0] == "keep", number
