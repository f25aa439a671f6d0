"""Log-mel statistics: the front end against librosa's filters, the steps, and odd sounds."""

from __future__ import annotations

from collections.abc import Callable

import librosa
import numpy as np
import pytest

from curation.features import log_mel
from curation.spectra import decibels, istft, magnitudes, mel_bank, sizes_of, steps, stft
from svmbench.errors import Silent
from svmbench.media import ClipMedia

HZ = log_mel.HZ


def tone(hz: float, seconds: float, amplitude: float = 0.5) -> np.ndarray:
    return (amplitude * np.sin(2 * np.pi * hz * np.arange(round(seconds * HZ)) / HZ)).astype(np.float32)


def test_one_row_a_second(sound_clip: Callable[..., ClipMedia]) -> None:
    found = log_mel.extract(sound_clip(tone(440, 3.5), HZ))
    assert found.values_TD.shape == (4, log_mel.DIM)
    assert found.hop_s == 1.0


def test_the_formula_by_hand(sound_clip: Callable[..., ClipMedia]) -> None:
    """Two steps, computed frame by frame from the definition in VGGish's paper."""
    wave = np.random.default_rng(0).uniform(-0.5, 0.5, 2 * HZ).astype(np.float32)
    centres = 700 * (10 ** (np.linspace(2595 * np.log10(1 + 125 / 700), 2595 * np.log10(1 + 7500 / 700), 66) / 2595) - 1)
    mels = 2595 * np.log10(1 + centres / 700)
    bins = 2595 * np.log10(1 + np.arange(257) * 31.25 / 700)
    bank = [
        [max(0.0, min((b - low) / (mid - low), (high - b) / (high - mid))) for b in bins]
        for low, mid, high in zip(mels[:-2], mels[1:-1], mels[2:], strict=True)
    ]
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(400) / 400)
    sizes = [np.abs(np.fft.rfft(wave[160 * i : 160 * i + 400] * window, 512)) for i in range(100)]
    rows = np.log(np.array(sizes) @ np.array(bank).T + 0.01)
    found = log_mel.extract(sound_clip(wave, HZ)).values_TD[0]
    np.testing.assert_allclose(found[:64], np.mean(rows, axis=0), atol=1e-4)
    np.testing.assert_allclose(found[64:], np.std(rows, axis=0), atol=1e-4)


def test_a_tone_stands_in_its_band_and_does_not_move(sound_clip: Callable[..., ClipMedia]) -> None:
    found = log_mel.extract(sound_clip(tone(1000, 2.0), HZ)).values_TD[0]
    edges = np.linspace(2595 * np.log10(1 + 125 / 700), 2595 * np.log10(1 + 7500 / 700), 66)
    band = int(np.argmin(np.abs(edges[1:-1] - 2595 * np.log10(1 + 1000 / 700))))
    assert abs(int(np.argmax(found[:64])) - band) <= 1
    assert found[64 + band] < 0.05


def test_silence_is_the_floor(sound_clip: Callable[..., ClipMedia]) -> None:
    found = log_mel.extract(sound_clip(np.zeros(HZ), HZ)).values_TD[0]
    np.testing.assert_allclose(found[:64], np.log(0.01), atol=1e-4)
    np.testing.assert_allclose(found[64:], 0, atol=1e-4)


@pytest.mark.parametrize("length", [1, 399, 400, 401, 2500, HZ - 1, HZ + 1])
def test_short_and_broken_waves_give_finite_rows(length: int, sound_clip: Callable[..., ClipMedia]) -> None:
    wave = np.random.default_rng(1).standard_normal(length)
    wave[::3] = np.nan
    wave[1::7] = np.inf
    found = log_mel.extract(sound_clip(wave, HZ)).values_TD
    assert found.shape == (1, log_mel.DIM)
    assert np.isfinite(found).all()


def test_a_clip_without_audio_raises_silent(sound_clip: Callable[..., ClipMedia]) -> None:
    with pytest.raises(Silent):
        log_mel.extract(sound_clip(np.zeros(0), HZ))


@pytest.mark.parametrize(
    ("duration_s", "expected"),
    [
        (0.0, [(0.0, 0.0)]),
        (0.3, [(0.0, 0.3)]),
        (4.0, [(0.0, 4.0)]),
        (8.4, [(0.0, 4.0), (4.0, 8.4)]),
        (8.6, [(0.0, 4.0), (4.0, 8.0), (8.0, 8.6)]),
    ],
)
def test_steps_cover_the_clip(duration_s: float, expected: list[tuple[float, float]]) -> None:
    assert steps(duration_s, 4.0) == expected


@pytest.mark.parametrize(
    ("hz", "n_fft", "bands", "high_hz"), [(16_000, 2048, 128, None), (12_000, 2048, 128, None), (16_000, 512, 40, 7600.0)]
)
def test_mel_bank_is_librosas(hz: int, n_fft: int, bands: int, high_hz: float | None) -> None:
    expected = librosa.filters.mel(sr=hz, n_fft=n_fft, n_mels=bands, fmax=high_hz).T
    np.testing.assert_allclose(mel_bank(hz, n_fft, bands, high_hz=high_hz), expected, atol=1e-7)


@pytest.mark.parametrize("length", [1, 700, 2048, 10_001])
def test_stft_and_its_inverse_are_librosas(length: int) -> None:
    wave = np.random.default_rng(2).standard_normal(length).astype(np.float32)
    packed, expected = (
        stft(wave, 2048, 512),
        librosa.stft(np.pad(wave, (0, 4096)), n_fft=2048, hop_length=512).T[: 1 + length // 512],
    )
    np.testing.assert_allclose(packed[:, [0, -1]], expected.real[:, [0, -1]], atol=1e-3)
    np.testing.assert_allclose(packed[:, 1:-1].view(np.complex64), expected[:, 1:-1], atol=1e-3)
    np.testing.assert_allclose(sizes_of(packed), np.abs(expected), atol=1e-3)
    np.testing.assert_allclose(magnitudes(wave, 2048, 512), np.abs(expected), atol=1e-3)
    np.testing.assert_allclose(istft(packed, 512, len(wave)), wave, atol=1e-4)


def test_decibels_are_librosas() -> None:
    power = np.random.default_rng(3).exponential(size=(50, 7)) ** 12
    np.testing.assert_allclose(decibels(power), librosa.power_to_db(power), atol=1e-9)
    np.testing.assert_allclose(decibels(power, relative=True), librosa.power_to_db(power, ref=np.max), atol=1e-9)
