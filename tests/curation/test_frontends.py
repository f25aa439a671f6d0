"""The front ends against kaldi-native-fbank, the original's numbers and a double-precision formula; arrays against tensors; bad
input.

The logarithm of a band in which next to nothing sounds magnifies the last bits of a float32: on real music the references
themselves differ from the formula in double precision by up to 8e-4, kaldi-native-fbank by 7e-3 where a wave has a large mean.
Hence the tolerances: 3.2e-3, and 1.9e-4 of what a network reads, are what others were measured to agree within before.
"""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from dataclasses import replace
from types import ModuleType

import kaldi_native_fbank as knf
import numpy as np
import pytest
import torch

from curation.features import cmmixer_mel, fbank, log_mel
from curation.frontends import _tensors, core, inputs
from curation.frontends.core import long_log_mel
from curation.frontends.spec import AST, CMMIXER, FBANK80, IMAGEBIND, VGGISH, Spec
from svmbench.errors import Silent
from svmbench.media import ClipMedia
from svmbench.sound import resampled

HZ = 16_000
MUSIC = "librosa+data/audio/Kevin_MacLeod_-_Vibe_Ace.ogg"
FLOOR = float(np.log(np.finfo(np.float32).eps))
ALL = [inputs.vggish, inputs.ut_cmvmr, inputs.imagebind, inputs.ast, inputs.cmmixer]
SPECS = {"vggish": VGGISH, "fbank80": FBANK80, "imagebind": IMAGEBIND, "ast": AST, "cmmixer": CMMIXER}
PLUGINS = {log_mel: VGGISH, fbank: FBANK80, cmmixer_mel: CMMIXER}
KINDS: dict[str, Callable[[np.ndarray], object]] = {"array": np.asarray, "tensor": torch.from_numpy}


def chirp_and_hiss() -> np.ndarray:
    """One second: a tone that rises from 200 Hz to 4 kHz, and one of 6.1 kHz that beats."""
    t = np.arange(HZ) / HZ
    return (
        0.3 * np.sin(2 * np.pi * (200 * t + 1900 * t * t)) + 0.05 * np.sin(2 * np.pi * 6100 * t) * np.cos(14 * np.pi * t)
    ).astype(np.float32)


def noise(seconds: float, size: float = 0.1, seed: int = 0) -> np.ndarray:
    return (size * np.random.default_rng(seed).standard_normal(round(seconds * HZ))).astype(np.float32)


@pytest.fixture(scope="module")
def waves(real_wave: Callable[..., np.ndarray]) -> dict[str, np.ndarray]:
    music = real_wave(MUSIC, HZ, 5.0)
    return {
        "music": music,
        "quiet music": (0.01 * music).astype(np.float32),
        "noise": noise(4),
        "chirp": chirp_and_hiss(),
        "silence": np.zeros(HZ, np.float32),
    }


def as_numpy(found: object) -> np.ndarray:
    return found.numpy() if isinstance(found, torch.Tensor) else np.asarray(found)


def kaldi(wave: np.ndarray, spec: Spec) -> np.ndarray:
    """kaldi-native-fbank's frames."""
    options = knf.FbankOptions()
    options.frame_opts.dither = 0
    options.frame_opts.window_type = {"povey": "povey", "hann": "hanning"}[spec.window]
    options.mel_opts.num_bins = spec.num_mels
    options.use_energy = False
    extractor = knf.OnlineFbank(options)
    extractor.accept_waveform(HZ, wave.tolist())
    extractor.input_finished()
    return np.stack([extractor.get_frame(i) for i in range(extractor.num_frames_ready)])


def in_double_precision(wave: np.ndarray, spec: Spec) -> np.ndarray:
    """Frame by frame from the definition: mean off, emphasis, window, Fourier sum, triangles in mel, logarithm."""
    mels = np.linspace(*(1127 * np.log(1 + hz / 700) for hz in (spec.low_hz, spec.high_hz)), spec.num_mels + 2)
    bins = 1127 * np.log(1 + np.arange(257) * HZ / 512 / 700)
    triangles = [
        np.maximum(0, np.minimum((bins - low) / (mid - low), (high - bins) / (high - mid)))
        for low, mid, high in zip(mels[:-2], mels[1:-1], mels[2:], strict=True)
    ]
    window = np.sin(np.pi * np.arange(400) / (400 if spec.window == "hann_periodic" else 399)) ** 2
    if spec.window == "povey":
        window = window**0.85
    rows = []
    for start in range(0, len(wave) - 399, 160):
        frame = wave[start : start + 400].astype(float)
        if spec.preemphasis:
            frame = frame - frame.mean()
            frame = frame - spec.preemphasis * np.concatenate([frame[:1], frame[:-1]])
        sizes = np.abs(np.fft.rfft(frame * window, 512)) ** spec.power
        rows.append(np.log(np.maximum(np.array(triangles) @ sizes + spec.offset, spec.floor)))
    return np.array(rows)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["music", "quiet music", "noise", "silence"])
@pytest.mark.parametrize("spec", [FBANK80, IMAGEBIND], ids=["povey 80", "hann 128"])
def test_kaldi_native_fbank_gives_the_same(name: str, kind: str, spec: Spec, waves: dict[str, np.ndarray]) -> None:
    found = as_numpy(core.log_mel(KINDS[kind](waves[name][None]), spec))[0]
    expected = kaldi(waves[name], spec)
    assert found.dtype == np.float32
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, atol=3.2e-3)
    assert np.abs(found - expected).mean() < 3e-5
    np.testing.assert_allclose(found / IMAGEBIND.std, expected / IMAGEBIND.std, atol=1.9e-4)
    if name == "silence":
        np.testing.assert_allclose(found, FLOOR, atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", SPECS)
def test_the_formula_in_double_precision_gives_the_same(name: str, kind: str, waves: dict[str, np.ndarray]) -> None:
    shifted = (0.5 + 0.01 * waves["noise"]).astype(np.float32)  # all but a constant
    for wave in (*waves.values(), shifted):
        found = as_numpy(core.log_mel(KINDS[kind](wave[None]), SPECS[name]))[0].astype(float)
        expected = in_double_precision(wave, SPECS[name])
        heard = expected > expected.max(axis=1, keepdims=True) - 18  # 78 dB: float32 does not tell what is below from nothing
        np.testing.assert_allclose(found[heard], expected[heard], atol=1.5e-3)
        assert (np.abs(np.exp(found) - np.exp(expected)) < 4e-6 * np.exp(expected).sum(axis=1, keepdims=True)).all()


def test_vggish_gives_the_numbers_of_the_original_code() -> None:
    """Every seventh band of three frames, printed by mel_features.py of the VGGish authors for the same wave."""
    expected = {
        0: [0.8076, -0.8081, -4.151, -4.4854, -4.5561, -4.5867, -4.5964, -4.5999, -4.44, -4.5665],
        37: [-4.5822, -4.5876, -4.53, -4.2926, 3.4478, -4.08, -4.5475, -4.5903, -4.4647, -4.5753],
        97: [-4.6041, -4.6043, -4.6034, -4.6032, -4.5958, -4.5796, -4.3598, 1.3838, -4.3902, -4.5782],
    }
    for of in KINDS.values():
        found = as_numpy(core.log_mel(of(chirp_and_hiss()[None]), VGGISH))[0]
        assert found.shape == (98, 64)
        assert found.mean() == pytest.approx(-3.64714, abs=1e-4)
        assert found.std() == pytest.approx(2.01174, abs=1e-4)
        for frame, bands in expected.items():
            np.testing.assert_allclose(found[frame, ::7], bands, atol=2e-4)


@pytest.mark.parametrize("front_end", ALL, ids=lambda f: f.__name__)
def test_arrays_and_tensors_give_the_same(front_end: Callable[..., object], waves: dict[str, np.ndarray]) -> None:
    batch = np.stack([waves["music"], noise(5), waves["quiet music"]])
    array, tensor = front_end(batch), front_end(torch.from_numpy(batch))
    assert isinstance(array, np.ndarray)
    assert isinstance(tensor, torch.Tensor)
    assert array.dtype == np.float32
    assert tensor.dtype == torch.float32
    np.testing.assert_allclose(array, tensor.numpy(), atol=1e-3)
    assert np.abs(array - tensor.numpy()).mean() < 1e-5
    for i, wave in enumerate(batch):
        np.testing.assert_allclose(front_end(wave[None])[0], array[i], atol=1e-3, err_msg="one at a time")


@pytest.mark.parametrize("front_end", ALL, ids=lambda f: f.__name__)
def test_all_is_computed_on_the_wave_s_device(front_end: Callable[..., torch.Tensor]) -> None:
    """PyTorch refuses to mix its device without memory with another, as it does with a GPU."""
    found = front_end(torch.zeros(2, 3 * HZ, device="meta"))
    assert found.device.type == "meta"
    assert found.shape == front_end(torch.zeros(2, 3 * HZ)).shape


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
@pytest.mark.parametrize("front_end", ALL, ids=lambda f: f.__name__)
def test_a_gpu_gives_the_same(front_end: Callable[..., torch.Tensor]) -> None:
    batch = torch.from_numpy(np.stack([noise(5, seed=i) for i in range(3)]))
    np.testing.assert_allclose(front_end(batch.cuda()).cpu().numpy(), front_end(batch).numpy(), atol=2e-3)


def test_the_shapes_that_the_networks_read() -> None:
    batch = np.stack([noise(15, seed=1), noise(15, seed=2)])
    assert inputs.vggish(batch).shape == (2, 15, 96, 64)
    assert inputs.ut_cmvmr(batch).shape == (2, 4, 398, 80)
    assert inputs.imagebind(batch).shape == (2, 3, 128, 204)
    assert inputs.ast(batch).shape == (2, 1024, 128)
    assert inputs.cmmixer(batch).shape == (2, 8, 128, 258)
    assert inputs.cmmixer(batch, replace(CMMIXER, num_mels=80)).shape == (2, 8, 80, 258)
    assert inputs.ut_cmvmr(noise(33)[None]).shape == (1, 7, 398, 80), "28 s and no more"


def test_vggish_examples_follow_each_other() -> None:
    wave = noise(3)[None]
    np.testing.assert_array_equal(inputs.vggish(wave)[0].reshape(-1, 64), core.log_mel(wave, VGGISH)[0, : 3 * 96])


def test_ut_cmvmr_s_last_segment_is_filled_up_with_silence() -> None:
    wave = noise(5)
    found = inputs.ut_cmvmr(wave[None])[0]
    np.testing.assert_allclose(found[0], core.log_mel(wave[None, : 4 * HZ], FBANK80)[0], atol=1e-3)
    np.testing.assert_allclose(found[1], kaldi(np.pad(wave[4 * HZ :], (0, 3 * HZ)), FBANK80), atol=3.2e-3)
    np.testing.assert_allclose(found[1, 100:], FLOOR, atol=1e-4)


def test_imagebind_reads_the_first_the_middle_and_the_last_two_seconds() -> None:
    wave = noise(7) + np.float32(0.2)
    found = inputs.imagebind(wave[None])[0]
    for window, start_s in zip(found, (0, 2.5, 5), strict=True):
        part = wave[round(start_s * HZ) :][: 2 * HZ]
        expected = np.pad(kaldi(part - part.mean(), IMAGEBIND), ((0, 6), (0, 0)))
        np.testing.assert_allclose(window, (expected.T + 4.268) / 9.138, atol=1.9e-4)
    np.testing.assert_allclose(found[:, :, 198:], 4.268 / 9.138, rtol=1e-6)


def test_imagebind_fills_up_the_frames_of_a_short_wave_not_its_samples() -> None:
    found = inputs.imagebind(noise(1)[None])[0]
    np.testing.assert_allclose(found[:, :, 98:], 4.268 / 9.138, rtol=1e-6)
    np.testing.assert_allclose(found[0], found[2], atol=1e-4)


def test_ast_is_normalised_by_audioset_s_mean_and_twice_its_deviation() -> None:
    found = inputs.ast(noise(4)[None])[0]
    np.testing.assert_allclose(found[:398], (kaldi(noise(4), AST) + 4.2677393) / (2 * 4.5689974), atol=1.9e-4)
    np.testing.assert_allclose(found[398:], 4.2677393 / (2 * 4.5689974), rtol=1e-6)
    assert inputs.ast(noise(12)[None]).shape == (1, 1024, 128)


def test_cmmixer_reads_the_middle_of_each_eighth() -> None:
    wave = noise(40)
    found = inputs.cmmixer(wave[None])[0]
    for i in range(8):
        start = round((5 * i + 2.5 - 1.3) * HZ)
        expected = core.normalised(core.log_mel(wave[None, start : start + 41_600], CMMIXER), CMMIXER)[0]
        np.testing.assert_allclose(found[i], expected.T, atol=1e-4)
    wave = noise(3)[None]
    windows = inputs.cmmixer(wave)[0]  # 3 s have little room for windows of 2.6 s, and all lie inside
    for i, start in ((0, 0), (2, 0), (4, 6200), (5, 6400), (7, 6400)):
        expected = core.normalised(core.log_mel(wave[:, start : start + 41_600], CMMIXER), CMMIXER)[0]
        np.testing.assert_allclose(windows[i], expected.T, atol=1e-4)


@pytest.mark.parametrize("front_end", ALL, ids=lambda f: f.__name__)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("length", [0, 1, 399, 1600, 16_001])
def test_a_short_wave_gives_as_much_as_the_network_needs(front_end: Callable[..., object], kind: str, length: int) -> None:
    whole = as_numpy(front_end(noise(1)[None]))
    found = as_numpy(front_end(KINDS[kind](noise(length / HZ)[None])))
    assert np.isfinite(found).all()
    assert found.shape == whole.shape


@pytest.mark.parametrize("front_end", ALL, ids=lambda f: f.__name__)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 3e38, -1e8])
def test_samples_that_are_no_sound_count_as_silence(front_end: Callable[..., object], kind: str, bad: float) -> None:
    wave = noise(3)[None]
    cleaned, broken = wave.copy(), wave.copy()
    cleaned[:, 5000:5003], broken[:, 5000:5003] = 0, bad
    np.testing.assert_array_equal(as_numpy(front_end(KINDS[kind](broken))), as_numpy(front_end(KINDS[kind](cleaned))))
    assert (broken[:, 5000:5003] != 0).all(), "the caller's wave is left alone"


@pytest.mark.parametrize("front_end", ALL, ids=lambda f: f.__name__)
def test_loud_sound_of_8_khz_and_zeros_give_finite_numbers(front_end: Callable[..., object]) -> None:
    for wave in (resampled(noise(2)[::2].copy(), 8000, HZ), np.zeros(2 * HZ, np.float32), 9e5 * noise(2, 1.0)):
        assert np.isfinite(as_numpy(front_end(np.clip(wave, -1e6, 1e6)[None]))).all()


@pytest.mark.parametrize("plugin", PLUGINS, ids=lambda m: m.__name__.rsplit(".", 1)[-1])
@pytest.mark.parametrize("length", [1, 399, 400, 1600, 5 * HZ + 7])
def test_the_features_of_odd_sounds_are_finite(plugin: ModuleType, length: int, sound_clip: Callable[..., ClipMedia]) -> None:
    for wave in (np.zeros(length), np.full(length, np.nan), np.where(np.arange(length) % 3, 0.1, 3e38)):
        found = plugin.extract(sound_clip(wave, HZ)).values_TD
        assert np.isfinite(found).all()
        assert found.shape[1] == plugin.DIM
        assert len(found) >= 1


@pytest.mark.parametrize("plugin", PLUGINS, ids=lambda m: m.__name__.rsplit(".", 1)[-1])
def test_a_clip_without_audio_raises_silent(plugin: ModuleType, sound_clip: Callable[..., ClipMedia]) -> None:
    with pytest.raises(Silent):
        plugin.extract(sound_clip(np.zeros(0), HZ))


def test_segments_of_four_seconds_are_rows_of_the_fbank_feature(sound_clip: Callable[..., ClipMedia]) -> None:
    wave = noise(12)
    found = fbank.extract(sound_clip(wave, HZ))
    assert found.hop_s == 0.01
    assert found.values_TD.shape == (1198, 80)
    for i, segment in enumerate(inputs.ut_cmvmr(wave[None])[0]):
        np.testing.assert_allclose(found.values_TD[400 * i : 400 * i + 398], segment, atol=1e-3)


def test_windows_of_cmmixer_are_rows_of_its_feature(sound_clip: Callable[..., ClipMedia]) -> None:
    wave = noise(40)
    found = cmmixer_mel.extract(sound_clip(wave, HZ)).values_TD
    for i, window in enumerate(inputs.cmmixer(wave[None])[0]):
        np.testing.assert_allclose(found[500 * i + 120 :][:258], window.T, atol=2e-4)


@pytest.mark.parametrize("name", SPECS)
def test_blocks_give_what_the_whole_gives(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    wave = noise(4.03)
    whole = core.log_mel(wave[None], SPECS[name])[0]
    monkeypatch.setattr(core, "BLOCK", 37)
    found = long_log_mel(wave, SPECS[name])
    assert found.shape == whole.shape == (SPECS[name].frames(len(wave)), SPECS[name].num_mels)
    np.testing.assert_allclose(found, whole, atol=1e-3)


def test_memory_beyond_the_result_does_not_grow_with_the_wave() -> None:
    wave = noise(600)
    tracemalloc.start()
    result = long_log_mel(wave, FBANK80)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak - result.nbytes < 10e6


@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_windows_and_banks_are_made_once_a_device_and_lie_there(device: str) -> None:
    place = torch.device(device)
    constants = _tensors._constants(FBANK80, place)
    assert constants is _tensors._constants(replace(FBANK80), place)
    assert {constant.device for constant in constants} == {place}
