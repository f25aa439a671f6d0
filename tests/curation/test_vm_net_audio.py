"""VM-NET's 1140 numbers against librosa 0.11, block by block, on the parameters of the authors' script."""

from __future__ import annotations

import resource
import warnings
from collections.abc import Callable
from functools import cache

import librosa
import numpy as np
import pytest

from curation.chroma import cens, tuning
from curation.features import _vm_net as vm_net
from curation.features import vm_net_audio, vm_net_audio_fixed_sr
from curation.spectra import magnitudes
from svmbench.errors import Silent
from svmbench.media import ClipMedia
from svmbench.sound import resampled

HZ = vm_net.HZ
ROWS = {
    "chroma": 12, "cens": 12, "mel": 96, "mel_true": 96, "cepstrum": 20, "delta": 20, "delta2": 20, "level": 1, "centroid": 1,
    "bandwidth": 1, "rolloff": 1, "line": 2, "parabola": 3, "crossings": 1,
}  # fmt: skip
# Largest difference of a row's mean, variance and maximum in dB, dB^2, dB. Not 0, because a value may fall to the other side of a
# threshold by rounding (the 80 dB floor, the next bin of a roll-off). Differences of the cepstrum pass through 0, where the
# logarithm makes the last bit of a float32 heard.
TOLERANCE = (0.02, 0.5, 0.02)
TOLERANCE_DELTA = (0.1, 3.0, 0.02)
MUSIC = "librosa+data/audio/Kevin_MacLeod_-_Vibe_Ace.ogg"
WALTZ = "librosa+data/audio/147793__setuniman__sweet-waltz-0i-22mi.ogg"
VOICE = "librosa+data/audio/198-209-0000.ogg"


def made_up(seconds: float) -> np.ndarray:
    """A chord that moves, with clicks and a little noise."""
    rng, times = np.random.default_rng(0), np.arange(round(seconds * HZ)) / HZ
    wave = 0.002 * rng.standard_normal(len(times))
    for second in range(int(np.ceil(seconds))):
        part = slice(second * HZ, (second + 1) * HZ)
        for semitone in (0, 4, 7):
            wave[part] += 0.1 * np.sin(2 * np.pi * 220.5 * 2 ** ((semitone + 2 * second % 12) / 12) * times[part])
    wave[:: HZ // 2] += 0.8
    return wave.astype(np.float32)


def librosa_blocks(wave: np.ndarray) -> list[dict[str, np.ndarray]]:
    """The authors' thirteen blocks of both parts of a wave of 29.12 s in decibels, and the mel bands at the true rate;
    (1366, rows).
    """
    feature = librosa.feature
    found = []
    for y in librosa.effects.hpss(wave):
        grid = {"y": y, "hop_length": 256, "n_fft": 512}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # empty mel filters; tuning of a part without peaks
            mfcc = feature.mfcc(y=y, sr=HZ, hop_length=256)
            raw = {
                "chroma": feature.chroma_stft(sr=HZ, **grid),
                "cens": feature.chroma_cens(y=y, sr=HZ, hop_length=256),
                "mel": feature.melspectrogram(n_mels=96, **grid),
                "mel_true": feature.melspectrogram(n_mels=96, sr=HZ, **grid),
                "cepstrum": mfcc,
                "delta": feature.delta(mfcc),
                "delta2": feature.delta(mfcc, order=2),
                "level": feature.rms(y=y, hop_length=256, frame_length=512),
                "centroid": feature.spectral_centroid(sr=HZ, **grid),
                "bandwidth": feature.spectral_bandwidth(sr=HZ, **grid),
                "rolloff": feature.spectral_rolloff(sr=HZ, **grid),
                "line": feature.poly_features(sr=HZ, **grid),
                "parabola": feature.poly_features(sr=HZ, order=2, **grid),
                "crossings": feature.zero_crossing_rate(y=y, hop_length=256, frame_length=512),
            }
        found.append({name: librosa.power_to_db(np.abs(rows), ref=np.max).T for name, rows in raw.items()})
    return found


def whole_blocks(part: np.ndarray) -> dict[str, np.ndarray]:
    """Our blocks with the last row as often as it stands for."""
    found = vm_net.blocks(part)
    return {name: np.concatenate([rows, np.repeat(rows[-1:], 1366 - len(rows), axis=0)]) for name, rows in found.items()}


def summary(blocks: dict[str, np.ndarray], name: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rows = blocks[name].astype(float)
    return rows.mean(axis=0), rows.var(axis=0), rows.max(axis=0)


def assert_blocks(wave: np.ndarray, *, without: tuple[str, ...] = ()) -> None:
    whole = np.pad(wave, (0, vm_net.LENGTH - len(wave)))
    heard = np.pad(wave, (0, min(vm_net.TAIL, vm_net.LENGTH - len(wave))))
    for part, expected in zip(vm_net.separate(heard), librosa_blocks(whole), strict=True):
        found = whole_blocks(part)
        assert {name: block.shape for name, block in found.items()} == {n: (1366, rows) for n, rows in ROWS.items()}
        for name in ROWS:
            if name not in without:
                tolerances = TOLERANCE_DELTA if name.startswith("delta") else TOLERANCE
                for ours, theirs, tolerance in zip(summary(found, name), summary(expected, name), tolerances, strict=True):
                    np.testing.assert_allclose(ours, theirs, atol=tolerance, err_msg=name)


def test_a_made_up_clip_of_full_length_equals_librosa_in_every_block() -> None:
    assert_blocks(made_up(29.12))


def test_a_real_track_equals_librosa_in_every_block(real_wave: Callable[..., np.ndarray]) -> None:
    assert_blocks(real_wave(WALTZ, HZ, 29.12))


@pytest.mark.parametrize("name", [MUSIC, VOICE])
def test_a_short_clip_equals_librosa_but_for_cens(name: str, real_wave: Callable[..., np.ndarray]) -> None:
    """After a short clip librosa's CENS scales up the rounding noise of its resampler, where there is no sound: not
    comparable.
    """
    assert_blocks(real_wave(name, HZ, 12), without=("cens",))


@pytest.mark.parametrize("name", [MUSIC, VOICE])
def test_cens_of_a_short_clip_equals_librosa_where_there_is_sound(name: str, real_wave: Callable[..., np.ndarray]) -> None:
    wave = real_wave(name, HZ, 12)
    whole, heard = np.pad(wave, (0, vm_net.LENGTH - len(wave))), np.pad(wave, (0, vm_net.TAIL))
    for part, y in zip(vm_net.separate(heard), librosa.effects.hpss(whole), strict=True):
        tuned = tuning(magnitudes(part, 2048, 256)[::2], HZ, 36)
        assert tuned == pytest.approx(librosa.estimate_tuning(y=y, sr=HZ, bins_per_octave=36), abs=1e-9)
        expected = librosa.feature.chroma_cens(y=y, sr=HZ, hop_length=256).T
        last = len(wave) // 256 + 20  # half the smoothing window after the sound
        np.testing.assert_allclose(cens(part, HZ, 256, tuned)[:last], expected[:last], atol=1e-4)


@cache
def described(seconds: float) -> np.ndarray:
    return vm_net.describe(made_up(seconds))["mel"]


def test_the_order_of_the_1140_numbers() -> None:
    wave = made_up(29.12)
    order = [name for name in ROWS if name != "mel_true"]
    parts = [whole_blocks(part) for part in vm_net.separate(wave)]
    rows = [part[name].astype(float) for part in parts for name in order]
    found = described(29.12)
    assert found.shape == (1140,)
    np.testing.assert_allclose(found[:12], rows[0].mean(axis=0), atol=1e-3)
    np.testing.assert_allclose(found[190:202], rows[13].mean(axis=0), atol=1e-3)
    np.testing.assert_allclose(found[380 : 380 + 12], rows[0].var(axis=0), atol=1e-3)
    np.testing.assert_allclose(found[-1], rows[-1].max())
    assert sum(ROWS[name] for name in order) == 190


def test_the_other_reading_differs_in_its_mel_bands_only() -> None:
    found = vm_net.describe(made_up(9.0))
    differs = np.flatnonzero(found["mel"] != found["mel_true"]) % 190
    assert differs.min() >= 24
    assert differs.max() < 24 + 96
    assert len(differs) > 400


def test_both_readings_of_a_clip_are_computed_once(sound_clip: Callable[..., ClipMedia], monkeypatch: pytest.MonkeyPatch) -> None:
    clip, calls = sound_clip(made_up(3.0), HZ), []
    separate = vm_net.separate
    monkeypatch.setattr(vm_net, "separate", lambda wave: calls.append(1) or separate(wave))
    found = vm_net.describe(made_up(3.0))
    np.testing.assert_array_equal(vm_net_audio.extract(clip).values_TD[0], found["mel"])
    np.testing.assert_array_equal(vm_net_audio_fixed_sr.extract(clip).values_TD[0], found["mel_true"])
    assert len(calls) == 2, "one of them is this test's own"


def test_a_row_for_the_silence_counts_as_often_as_it_stands_for() -> None:
    rows = np.random.default_rng(0).normal(-20, 9, (500, 3)).astype(np.float32)
    every = np.concatenate([rows, np.repeat(rows[-1:], 866, axis=0)]).astype(float)
    np.testing.assert_allclose(vm_net._summary(rows), [every.mean(axis=0), every.var(axis=0), every.max(axis=0)], rtol=1e-5)


def test_silence_after_the_sound_is_the_zero_padding_of_the_paper() -> None:
    """A clip that ends and one that goes on in silence are the same sound."""
    wave = made_up(9.0)
    padded = np.pad(wave, (0, vm_net.LENGTH - len(wave)))
    np.testing.assert_array_equal(vm_net.describe(padded)["mel"], described(9.0))


def test_what_is_not_transformed_would_change_nothing() -> None:
    """All 29.12 s transformed, against the sound and what its filters reach; CENS apart (see above)."""
    wave = made_up(9.0)
    short, whole = (vm_net.separate(np.pad(wave, (0, n))) for n in (vm_net.TAIL, vm_net.LENGTH - len(wave)))
    for a, b in zip(short, whole, strict=True):
        ours, theirs = whole_blocks(a), whole_blocks(b)
        for name in set(ROWS) - {"cens"}:
            np.testing.assert_allclose(ours[name].mean(axis=0), theirs[name].mean(axis=0), atol=0.05, err_msg=name)


def test_the_last_row_of_a_short_clip_is_silence() -> None:
    """Also where a low tone rings on in the lowest constant-Q bins to the end of what is transformed."""
    tone = (0.5 * np.sin(2 * np.pi * 35 * np.arange(3 * HZ) / HZ)).astype(np.float32)
    found = vm_net.blocks(np.pad(tone, (0, vm_net.TAIL)))["cens"]
    assert found[-2].max() > -10
    np.testing.assert_allclose(found[-1], -80)


def test_the_middle_of_a_long_clip_counts() -> None:
    wave = made_up(29.12)
    louder = np.concatenate([np.full(5000, 0.9, np.float32), wave, np.full(5000, 0.9, np.float32)])
    np.testing.assert_array_equal(vm_net.describe(louder)["mel"], described(29.12))


def test_the_parts_add_up_to_the_wave_and_tell_tones_from_clicks() -> None:
    wave = made_up(4.0)
    harmonic, percussive = vm_net.separate(wave)
    np.testing.assert_allclose(harmonic + percussive, wave, atol=1e-5)
    click = slice(HZ - 50, HZ + 50)
    assert np.abs(percussive[click]).max() > 3 * np.abs(harmonic[click]).max()
    quiet = slice(HZ + 1500, HZ + 4500)
    assert np.std(harmonic[quiet]) > 5 * np.std(percussive[quiet])


def test_sound_of_8_khz_has_finite_numbers(sound_clip: Callable[..., ClipMedia]) -> None:
    """Above 4 kHz there is nothing then."""
    wave = resampled(made_up(6.0)[::2].copy(), HZ // 2, HZ)
    for feature in (vm_net_audio, vm_net_audio_fixed_sr):
        assert np.isfinite(feature.extract(sound_clip(wave, HZ)).values_TD).all()


def test_memory_does_not_grow_with_the_clip() -> None:
    """Of an hour the 29.12 s in the middle are looked at."""
    wave = np.zeros(3600 * HZ, np.float32)
    wave[len(wave) // 2 :][:HZ] = 0.1 * np.random.default_rng(0).standard_normal(HZ)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    vm_net.describe(wave)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000, "kB"


@pytest.mark.parametrize("length", [1, 2, 255, 2047, 30_000])
@pytest.mark.parametrize("kind", ["zeros", "noise", "nan", "constant", "infinite", "huge"])
def test_odd_sounds_give_finite_numbers(length: int, kind: str, sound_clip: Callable[..., ClipMedia]) -> None:
    wave = {
        "zeros": np.zeros(length),
        "noise": np.random.default_rng(0).standard_normal(length),
        "nan": np.full(length, np.nan),
        "constant": np.ones(length),
        "infinite": np.full(length, np.inf),
        "huge": np.where(np.arange(length) % 7, 0.1, 3e38),
    }[kind]
    clip = sound_clip(wave, HZ)
    for feature in (vm_net_audio, vm_net_audio_fixed_sr):
        found = feature.extract(clip)
        assert found.values_TD.shape == (1, feature.DIM)
        assert np.isfinite(found.values_TD).all()
        assert found.hop_s == length / HZ


def test_a_clip_without_audio_raises_silent(sound_clip: Callable[..., ClipMedia]) -> None:
    with pytest.raises(Silent):
        vm_net_audio.extract(sound_clip(np.zeros(0), HZ))
