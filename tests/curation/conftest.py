"""What the tests of curation share: clips made of a wave, and the waves of real files."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from fractions import Fraction
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


@pytest.fixture(scope="session")
def film() -> Callable[..., Path]:
    """film(path, frames, fps=10, wave=None, hz=16000, sound_at_s=0): an H.264 / AAC file of RGB pictures and mono sound."""

    def write(
        path: Path,
        frames: Iterable[np.ndarray],
        fps: int = 10,
        wave: np.ndarray | None = None,
        hz: int = 16_000,
        sound_at_s: float = 0.0,
    ) -> Path:
        frames = list(frames)
        with av.open(str(path), "w") as container:
            video = container.add_stream("libx264", rate=fps, options={"crf": "20", "preset": "ultrafast"})
            video.height, video.width = frames[0].shape[:2]
            video.pix_fmt = "yuv420p"
            sound = None if wave is None else container.add_stream("aac", rate=hz, layout="mono")
            for image in frames:
                container.mux(video.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24")))
            container.mux(video.encode())
            if sound is not None and wave is not None:
                for start in range(0, len(wave) - 1023, 1024):
                    piece = av.AudioFrame.from_ndarray(wave[None, start : start + 1024].astype(np.float32), "fltp", "mono")
                    piece.rate, piece.time_base = hz, Fraction(1, hz)
                    piece.pts = start + round(sound_at_s * hz)
                    container.mux(sound.encode(piece))
                container.mux(sound.encode())
        return path

    return write
