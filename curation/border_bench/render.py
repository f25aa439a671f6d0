"""From a case to a video file whose border is known: the kind draws, an encoder writes.

Axes: T time, H height, W width, C colour.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import av
import numpy as np

from curation.border_bench.kinds import Case, Kind, Scene, Source
from svmbench.records import Box

SPEED: dict[str, dict[str, str]] = {
    "libx264": {"preset": "veryfast"},
    "libx265": {"preset": "ultrafast", "x265-params": "log-level=none:pools=none:frame-threads=1"},
    "libvpx-vp9": {"deadline": "realtime", "cpu-used": "8", "b": "0"},
}


def codecs() -> tuple[str, ...]:
    """The encoders of SPEED that this PyAV has; H.264 is always among them."""
    return tuple(name for name in SPEED if name in av.codecs_available and _writes(name))


def _writes(name: str) -> bool:
    try:
        av.codec.Codec(name, "w")
    except av.codec.codec.UnknownCodecError:
        return False
    return True


def draw(case: Case, kinds: Mapping[str, Kind], sources: Mapping[str, Source]) -> tuple[np.ndarray, Box]:
    """(frames_THWC, truth) of a case; the same for the same case, always."""
    kind = kinds[case.kind]
    scene = Scene(
        source=sources[case.source], width_px=case.width_px, height_px=case.height_px, num_frames=case.num_frames, fps=case.fps,
        seed=case.seed,
    )  # fmt: skip
    frames, truth = kind.draw(scene, np.random.default_rng([case.seed, 1_000_003]))
    wanted = (case.num_frames, case.height_px, case.width_px, 3)
    if frames.shape != wanted or frames.dtype != np.uint8:
        raise ValueError(f"kind {case.kind} drew {frames.dtype} of {frames.shape}, not uint8 of {wanted}")
    return frames, truth


def encode(frames_THWC: np.ndarray, path: Path, *, fps: int, codec: str, crf: int) -> None:
    """Writes the frames; chroma at half size as everywhere, at full size where the video's size is odd and H.264 asks for it."""
    height, width = frames_THWC.shape[1:3]
    odd = (height % 2 or width % 2) and codec != "libvpx-vp9"
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream(codec, rate=fps, options={"crf": str(crf), **SPEED[codec]})
        stream.width, stream.height = width, height
        stream.pix_fmt = "yuv444p" if odd else "yuv420p"
        stream.codec_context.thread_count = 1
        for image_HWC in frames_THWC:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(image_HWC), format="rgb24")))
        container.mux(stream.encode())
