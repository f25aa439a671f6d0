"""Long sound is treated block after block: blocks give what the whole gives. And what replaces SciPy gives what SciPy gives."""

from __future__ import annotations

import gc
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import scipy.signal
import soxr

from crawl.replica import music
from curation import spectra
from curation.features import _beat_tracker, _vm_net, beats, log_mel
from curation.filters import _silero, ambience, silence, speech
from curation.spectra import clip_power_blocks, hann, in_bands, mel_bank, power_blocks, sizes_of, stft
from svmbench import sound
from svmbench.media import ClipMedia

HZ = 16_000
GRID = (HZ, 2048, 512)
SMALL = {  # module: its constant, and a value at which the clip of this test has several blocks, the last one short
    _silero: ("BLOCK", 57),
    silence: ("BLOCK", 37 * silence.FRAME),
    log_mel: ("STEPS_TOGETHER", 3),
    _beat_tracker: ("BLOCK", 61),
    spectra: ("BLOCK", 61),
}


@pytest.fixture(scope="module")
def wave() -> np.ndarray:
    """13.37 s: music, with a silent stretch and a loud one."""
    found = music.play(music.song(2026, 3), 6.0, 13.37, HZ).astype(np.float32)
    found[2 * HZ : 4 * HZ] = 0
    found[-3 * HZ :] *= 3
    return found


@pytest.fixture
def in_blocks(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    def use() -> None:
        for module, (name, value) in SMALL.items():
            monkeypatch.setattr(module, name, value)

    return use


@pytest.mark.parametrize("module", [speech, silence, ambience])
def test_filters(
    module: ModuleType, wave: np.ndarray, sound_clip: Callable[..., ClipMedia], in_blocks: Callable[[], None]
) -> None:
    whole = module.measure(sound_clip(wave, HZ), module.Settings())
    in_blocks()
    assert module.measure(sound_clip(wave, HZ), module.Settings()) == pytest.approx(whole, rel=1e-6)
    assert 0 <= whole <= 1
    assert module is speech or whole > 0.1


def test_a_tone_that_lasts_over_the_seam_of_two_blocks(
    sound_clip: Callable[..., ClipMedia], in_blocks: Callable[[], None]
) -> None:
    """It lasts 24 frames, 12 in each block, and only runs of 20 count."""
    hiss = np.random.default_rng(0).normal(0, 0.01, 5 * HZ)
    tone = slice((61 - 12) * 512, (61 + 12) * 512)
    hiss[tone] += np.sin(2 * np.pi * 1000 * np.arange(24 * 512) / HZ)
    settings = ambience.Settings(num_frames=20)
    whole = ambience.measure(sound_clip(hiss, HZ), settings)
    in_blocks()
    assert ambience.measure(sound_clip(hiss, HZ), settings) == pytest.approx(whole, rel=1e-6)
    assert whole is not None
    assert whole > 0.8


def test_speech_probabilities(real_wave: Callable[..., np.ndarray], in_blocks: Callable[[], None]) -> None:
    wave = real_wave("librosa+data/audio/198-209-0000.ogg", HZ, 8.01)
    whole = _silero.probabilities(wave)
    in_blocks()
    np.testing.assert_allclose(_silero.probabilities(wave), whole, atol=1e-5)


@pytest.mark.parametrize("module", [log_mel, beats])
def test_features(
    module: ModuleType, wave: np.ndarray, sound_clip: Callable[..., ClipMedia], in_blocks: Callable[[], None]
) -> None:
    whole = module.extract(sound_clip(wave, HZ)).values_TD
    in_blocks()
    np.testing.assert_allclose(module.extract(sound_clip(wave, HZ)).values_TD, whole, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("length", [1, 511, 512, 5000, 61 * 512 - 1, 61 * 512, 100_000])
@pytest.mark.parametrize("margin", [0, 5, 100])
def test_the_power_is_that_of_the_stft(length: int, margin: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spectra, "BLOCK", 61)
    wave = np.random.default_rng(1).standard_normal(length).astype(np.float32)
    expected = sizes_of(stft(wave, 2048, 512)) ** 2
    found = [(power_TF, own) for power_TF, own in power_blocks(wave, 2048, 512, margin)]
    np.testing.assert_allclose(np.concatenate([power_TF[own] for power_TF, own in found]), expected, rtol=1e-4, atol=1e-3)
    assert len(found[0][0]) == min(len(expected), 61 + margin)


def test_one_transform_serves_a_clip_and_goes_with_it(wave: np.ndarray, sound_clip: Callable[..., ClipMedia]) -> None:
    clip, other = sound_clip(wave, HZ), sound_clip(2 * wave, HZ)
    first, again, louder = (next(iter(clip_power_blocks(c, GRID)))[0] for c in (clip, clip, other))
    assert first is again
    np.testing.assert_allclose(louder, 4 * first, rtol=1e-3, atol=1e-3)
    before = len(spectra._power_of_clip)
    del clip, other
    gc.collect()
    assert len(spectra._power_of_clip) == before - 2


@pytest.mark.parametrize("length", [0, 1, 7, sound.BLOCK - 1, sound.BLOCK, sound.BLOCK + 1, 300_001])
@pytest.mark.parametrize(("rate", "hz"), [(48_000, 16_000), (44_100, 12_000), (8_000, 16_000)])
def test_resampled_in_blocks_is_resampled_at_once(length: int, rate: int, hz: int) -> None:
    wave = np.random.default_rng(2).standard_normal(length).astype(np.float32)
    expected = soxr.resample(wave, rate, hz) if length else wave
    np.testing.assert_array_equal(sound.resampled(wave, rate, hz), expected)


def test_bands_are_the_product_with_the_whole_bank() -> None:
    sizes = np.random.default_rng(3).exponential(size=(20, 1025)).astype(np.float32)
    for hz, bands in ((HZ, 128), (12_000, 128), (HZ, 40)):
        bank = mel_bank(hz, 2048, bands)
        np.testing.assert_allclose(in_bands(sizes, bank), sizes @ bank, rtol=1e-5)
    empty = mel_bank(22_050, 512, 96)  # VM-NET's: some of its bands hear no bin
    np.testing.assert_allclose(in_bands(sizes[:, :257], empty), sizes[:, :257] @ empty, rtol=1e-5)


def test_the_windows_and_the_slopes_are_scipys() -> None:
    for length in (148, 256, 297, 512, 2048):
        np.testing.assert_allclose(hann(length), scipy.signal.get_window("hann", length), atol=1e-7)
    rows = np.random.default_rng(4).normal(0, 30, (60, 20)).astype(np.float32)
    for order in (1, 2):
        expected = scipy.signal.savgol_filter(rows.astype(float), 9, polyorder=order, deriv=order, axis=0)
        np.testing.assert_allclose(_vm_net._derivative(rows, order), expected, atol=1e-5)


def test_no_sound_measure_imports_scipys_signal(tmp_path: Path) -> None:
    """47 MB a child."""
    code = (
        "import sys; from curation.features import beats, cmmixer_mel, fbank, log_mel, vm_net_audio;"
        "from curation.filters import ambience, speech;"
        "print([m for m in ('scipy.signal', 'scipy.ndimage', 'librosa', 'torch') if m in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path)
    assert out.stdout.strip() == "[]"
