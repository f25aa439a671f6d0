"""Integrated loudness against the standard's own calibration, pyloudnorm and ffmpeg."""

from __future__ import annotations

import re
import subprocess
import warnings
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import soxr

from curation.filters import loudness
from svmbench import media
from svmbench.media import ClipMedia

HZ = 16_000
REAL = (
    "librosa+data/audio/Kevin_MacLeod_-_Vibe_Ace.ogg",
    "librosa+data/audio/198-209-0000.ogg",
    "facebookresearch+audiocraft/assets/bolero_ravel.mp3",
)


def sine(hz: float, level_dbfs: float, length_s: float) -> np.ndarray:
    return (10 ** (level_dbfs / 20) * np.sin(2 * np.pi * hz * np.arange(round(length_s * HZ)) / HZ)).astype(np.float32)


@pytest.fixture(scope="module")
def peer() -> ModuleType:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import pyloudnorm
    return pyloudnorm


def test_the_standards_calibration() -> None:
    """BS.1770-4: 0 dBFS at 997 Hz in one channel reads -3.01 LKFS, so in two equal channels 0."""
    for level_dbfs in (0.0, -20.0, -40.0):
        assert loudness.integrated_lufs(sine(997, level_dbfs, 5)) == pytest.approx(level_dbfs, abs=0.05)


def test_the_gates() -> None:
    """What is below -70 LUFS does not count, nor what is 10 LU below the rest; -69 alone does."""
    loud = sine(997, -20, 10)
    assert loudness.integrated_lufs(np.concatenate([loud, np.zeros(20 * HZ, np.float32)])) == pytest.approx(-20, abs=0.1)
    assert loudness.integrated_lufs(np.concatenate([loud, sine(997, -36, 30)])) == pytest.approx(-20, abs=0.1)
    beside = loudness.integrated_lufs(np.concatenate([loud, sine(997, -26, 30)]))
    assert -25 < beside < -22
    assert loudness.integrated_lufs(sine(997, -69, 5)) == pytest.approx(-69, abs=0.1)
    assert loudness.integrated_lufs(sine(997, -71, 5)) == -70
    assert loudness.integrated_lufs(np.zeros(HZ, np.float32)) == -70


@pytest.mark.parametrize("name", REAL)
def test_pyloudnorm_agrees(name: str, peer: ModuleType, real_wave: Callable[..., np.ndarray]) -> None:
    """It is given the same sound at 48 kHz, for which the standard's filters are made, in two equal channels."""
    wave = real_wave(name, HZ, 20)
    wide = soxr.resample(wave.astype(float), HZ, 48_000)
    expected = peer.Meter(48_000).integrated_loudness(np.stack([wide, wide], axis=1))
    assert loudness.integrated_lufs(wave) == pytest.approx(expected, abs=0.06)


@pytest.mark.parametrize("channels", [1, 2])
def test_ffmpeg_agrees_on_a_file(channels: int, tmp_path: Path) -> None:
    """Noise with little above 8 kHz, the same on both sides where there are two, at 44.1 kHz; through the decoder."""
    path = tmp_path / "a.mkv"
    make = ["-f", "lavfi", "-i", "anoisesrc=color=brown:r=44100:d=8:a=0.2:seed=3", "-f", "lavfi", "-i", "color=s=32x32:r=5:d=8"]
    coding = ["-ac", str(channels), "-c:a", "pcm_s16le", "-c:v", "mpeg4"]
    subprocess.run(["ffmpeg", "-v", "error", *make, *coding, str(path)], check=True, timeout=60)
    seen = subprocess.run(
        ["ffmpeg", "-hide_banner", "-nostats", "-i", str(path), "-af", "ebur128=dualmono=true", "-f", "null", "-"],
        check=True, timeout=60, capture_output=True, text=True,
    )  # fmt: skip
    expected = float(re.findall(r"I:\s+(-?[\d.]+) LUFS", seen.stderr)[-1])
    clip = media.decode(path, loudness.NEEDS, 60)
    assert loudness.measure(clip, loudness.Settings()) == pytest.approx(expected, abs=0.25)  # it counts in steps of 0.1


def test_a_long_wave_in_sections_is_the_whole(monkeypatch: pytest.MonkeyPatch, sound_clip: Callable[..., ClipMedia]) -> None:
    wave = np.random.default_rng(0).normal(0, 0.1, 20 * HZ).astype(np.float32)
    wave[5 * HZ : 9 * HZ] *= 0.05
    whole = loudness.measure(sound_clip(wave, HZ), loudness.Settings())
    monkeypatch.setattr(loudness, "SECTION", 3 * HZ + 17)
    assert loudness.measure(sound_clip(wave, HZ), loudness.Settings()) == pytest.approx(whole, abs=1e-3)


@pytest.mark.parametrize(("samples", "is_measured"), [(0, False), (6399, False), (6400, True), (6401, True)])
def test_one_block_is_the_least(samples: int, is_measured: bool, sound_clip: Callable[..., ClipMedia]) -> None:
    value = loudness.measure(sound_clip(np.full(samples, 0.1), HZ), loudness.Settings())
    assert (value is not None) == is_measured
