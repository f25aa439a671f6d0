"""All sources of pictures and all kinds, by half; and a folder of the user's videos as sources.

Axes: T time, H height, W width, C colour.
"""

from __future__ import annotations

from functools import lru_cache, partial
from pathlib import Path
from typing import TypeVar

import cv2
import numpy as np

from curation.border_bench import bars, behind, dressed, held, photographs, scenes, whole
from curation.border_bench.kinds import Kind, Source
from svmbench import media
from svmbench.errors import BadInput
from svmbench.media import FrameNeed, Needs

VIDEO_SUFFIXES = (".mp4", ".mov", ".m4v", ".mkv", ".webm", ".avi")
T = TypeVar("T")
MAX_S, FPS, SHORT_SIDE_PX = 20.0, 15.0, 540  # ours: how much of a user's video is read


def kinds(half: str) -> dict[str, Kind]:
    """The kinds of a half by name; those that are held only in 'held_out': nobody works on a method with these in view."""
    parts = [bars.KINDS, dressed.KINDS, behind.KINDS, whole.KINDS]
    opened = {name: held.KINDS[name] for name in held.OPENED}
    return _merged([*parts, held.KINDS if half == "held_out" else opened])


def built_in(half: str) -> dict[str, Source]:
    """The sources that come with svmbench, by name; no source is in both halves."""
    if half == "dev":
        return _merged([photographs.DEV, scenes.DEV])
    return _merged([photographs.HELD_OUT, scenes.HELD_OUT, held.SOURCES])


def _merged(parts: list[dict[str, T]]) -> dict[str, T]:
    names = [name for part in parts for name in part]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(f"two kinds or sources of the border benchmark are named {', '.join(twice)}")
    return {name: value for part in parts for name, value in part.items()}


def of_folder(folder: Path, half: str) -> dict[str, Source]:
    """The videos of a folder as sources: every other one is in 'held_out', beginning with the first, the rest in 'dev'.

    They should have no border of their own, or the truth is wrong.
    """
    if not folder.is_dir():
        raise BadInput(f"{folder} is not a folder; name one that holds videos without borders")
    paths = sorted(p for p in folder.iterdir() if p.suffix.lower() in VIDEO_SUFFIXES)
    chosen = paths[0 if half == "held_out" else 1 :: 2]
    if not chosen:
        what = "no video" if not paths else "only one video, which is in the half 'held_out'"
        raise BadInput(f"{folder} holds {what}; put videos without borders there ({', '.join(VIDEO_SUFFIXES)})")
    return {p.name: Source(name=p.name, frames=partial(_film, str(p.resolve()))) for p in chosen}


@lru_cache(maxsize=2)
def _decoded(path: str) -> np.ndarray:
    need = FrameNeed(fps=FPS, short_side_px=SHORT_SIDE_PX, plane="rgb")
    return media.decode(path, Needs(frames=(need,)), MAX_S).frames(need).images


def _film(path: str, width_px: int, height_px: int, num_frames: int, rng: np.random.Generator) -> np.ndarray:
    """A stretch of the video, its middle cut to the aspect; played to and fro where it is too short."""
    images_THWC = _decoded(path)
    number, height, width = images_THWC.shape[:3]
    there_and_back = np.concatenate([np.arange(number), np.arange(number)[::-1]])
    first = int(rng.integers(max(1, number - num_frames + 1)))
    scale = max(width_px / width, height_px / height)
    across, down = min(width, round(width_px / scale)), min(height, round(height_px / scale))
    left, top = (width - across) // 2, (height - down) // 2
    frames = np.empty((num_frames, height_px, width_px, 3), np.uint8)
    for step, frame_HWC in enumerate(frames):
        image_HWC = images_THWC[there_and_back[(first + step) % len(there_and_back)]]
        cut = image_HWC[top : top + down, left : left + across]
        cv2.resize(cut, (width_px, height_px), dst=frame_HWC, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    return frames
