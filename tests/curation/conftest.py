"""What the tests of curation share: clips made of a wave, and the waves of real files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest

from svmbench.media import ClipMedia, Probe
from svmbench.records import Box


@pytest.fixture(scope="session")
def sound_clip() -> Callable[[np.ndarray, int], ClipMedia]:
    """sound_clip(wave, hz): a clip that has this sound and no picture."""

    def make(wave: np.ndarray, hz: int) -> ClipMedia:
        duration_s = len(wave) / hz
        probe = Probe(
            width_px=2, height_px=2, fps=None, duration_s=duration_s, container_s=None, video_codec=None, audio_codec="pcm_f32le",
            audio_s=duration_s, rotation_deg=0, truncated=False,
        )  # fmt: skip
        box = Box(left_px=0, top_px=0, width_px=2, height_px=2)
        return ClipMedia(probe=probe, start_s=0.0, end_s=duration_s, box=box, frames={}, waves={hz: wave.astype(np.float32)})

    return make


@pytest.fixture(scope="session")
def real_wave(clips: Path) -> Callable[..., np.ndarray]:
    """real_wave(path below the folder of real media, hz, max_s): its sound, mono float32."""

    def read(name: str, hz: int, max_s: float = 30.0) -> np.ndarray:
        resampler = av.AudioResampler(format="fltp", layout="mono", rate=hz)
        parts: list[np.ndarray] = []
        with av.open(str(clips / name)) as container:
            for frame in container.decode(audio=0):
                parts += [part.to_ndarray()[0] for part in resampler.resample(frame)]
                if sum(map(len, parts)) >= max_s * hz:
                    break
        return np.concatenate(parts)[: int(max_s * hz)].astype(np.float32)

    return read
