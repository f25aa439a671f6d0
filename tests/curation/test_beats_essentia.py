"""The optional tracker: its absence is one line, and where Essentia is installed its beats stand in the columns of `beats`."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soxr

from crawl.replica import music
from curation.features import beats, beats_essentia
from svmbench.errors import MissingExtra
from svmbench.media import ClipMedia, Probe
from svmbench.records import Box


def clip_of(wave: np.ndarray, hz: int) -> ClipMedia:
    """A clip that has this sound at both rates and no picture."""
    duration_s = len(wave) / hz
    probe = Probe(
        width_px=2, height_px=2, fps=None, duration_s=duration_s, container_s=None, video_codec=None, audio_codec="pcm_f32le",
        audio_s=duration_s, rotation_deg=0, truncated=False,
    )  # fmt: skip
    waves = {rate: soxr.resample(wave, hz, rate).astype(np.float32) for rate in beats_essentia.NEEDS.audio_hz}
    box = Box(left_px=0, top_px=0, width_px=2, height_px=2)
    return ClipMedia(probe=probe, start_s=0.0, end_s=duration_s, box=box, frames={}, waves=waves)


def test_without_essentia_there_is_one_line_that_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "essentia", None)
    with pytest.raises(MissingExtra, match=r"pip install 'svmbench\[essentia\]'") as caught:
        beats_essentia.extract(clip_of(np.ones(44_100, np.float32), 44_100))
    assert "\n" not in str(caught.value)


def test_essentia_is_not_imported_before_it_is_used(tmp_path: Path) -> None:
    code = "import sys; from curation.features import beats, beats_essentia; print('essentia' in sys.modules)"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path)
    assert out.stdout.strip() == "False"


class TestWithEssentia:
    @pytest.fixture(autouse=True)
    def installed(self) -> None:
        pytest.importorskip("essentia", reason="Essentia is optional (AGPL-3.0): pip install 'svmbench[essentia]'")

    def test_music_has_its_beats_with_confidence(self) -> None:
        song = music.song(2026, 1)
        rows = beats_essentia.extract(clip_of(music.play(song, 6.0, 16.0, 44_100), 44_100)).values_TD
        assert rows.shape == (4, beats.DIM)
        truth = np.asarray(music.beats(song, 6.0, 22.0))
        counts = [((truth >= start) & (truth < start + 4)).sum() for start in range(0, 16, 4)]
        doubling = rows[:, 3].mean() / song.tempo_bpm
        assert min(abs(doubling - factor) for factor in (0.5, 1, 2)) < 0.06
        np.testing.assert_allclose(rows[:, 0], np.array(counts) * np.round(doubling, 1), atol=1.5)
        assert (rows[:, 1] > 0).all()
        assert 0.3 < rows[0, 4] <= 1

    @pytest.mark.parametrize("length", [1, 441, 4410, 5 * 44_100])
    @pytest.mark.parametrize("loud", [0.0, 0.1])
    def test_short_and_silent_sounds_give_finite_rows(self, length: int, loud: float) -> None:
        wave = loud * np.random.default_rng(1).standard_normal(length)
        found = beats_essentia.extract(clip_of(np.append(wave, np.zeros(3)), 44_100)).values_TD
        assert found.shape[1] == beats.DIM
        assert np.isfinite(found).all()
        assert loud or not found.any()
