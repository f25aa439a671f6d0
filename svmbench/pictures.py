"""Pictures out of the decoder: turned as shown, scaled once, and collected for each need while the frames go by.

Axes: T time, H height, W width, C colour.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import cv2
import numpy as np
from av.video.reformatter import VideoReformatter

FIRST_SPREAD_S = 1.0  # ours: an evenly spread number is first spread over this stretch, and thinned as the video goes on
LUMA_FIRST = ("yuv420p", "yuvj420p", "yuv422p", "yuvj422p", "yuv444p", "yuvj444p", "yuva420p", "yuv411p", "nv12", "nv21", "gray")


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameNeed:
    """Pictures at a rate (fps) or an evenly spread number (count), scaled down to short_side_px (None: as coded), never up.

    plane 'y' gives uint8 THW luma as coded, 'rgb' gives uint8 THWC. pairs=True gives for each time the frame and the one that
    follows it. A short video has fewer than `count`; a video slower than fps gives each of its frames once.
    """

    fps: float | None = None
    count: int | None = None
    short_side_px: int | None = None
    plane: Literal["y", "rgb"] = "y"
    pairs: bool = False

    def __post_init__(self) -> None:
        if (self.fps is None) == (self.count is None):
            raise TypeError("a FrameNeed has either fps or count")


@dataclass(frozen=True, slots=True, kw_only=True)
class Frames:
    """Decoded pictures with their times in seconds from the start of the clip; next_* only for pairs."""

    times_s_T: np.ndarray
    images: np.ndarray
    next_times_s_T: np.ndarray | None = None
    next_images: np.ndarray | None = None


class Picture:
    """One decoded frame, turned as shown; each size and plane is made once however many ask for it."""

    def __init__(self, frame: Any, rotation_deg: int, reformatter: VideoReformatter) -> None:
        self.frame, self.quarters, self._reformatter = frame, rotation_deg // 90 % 4, reformatter
        self._made: dict[tuple[str, int | None], np.ndarray] = {}

    def image(self, plane: str, short_side_px: int | None) -> np.ndarray:
        key = (plane, short_side_px)
        if key not in self._made:
            scale = min(1.0, (short_side_px or 10**9) / min(self.frame.width, self.frame.height))
            size = max(1, round(self.frame.width * scale)), max(1, round(self.frame.height * scale))
            flat = self._rgb(size) if plane == "rgb" else self._luma(size)
            self._made[key] = np.ascontiguousarray(np.rot90(flat, self.quarters))
        return self._made[key]

    def _rgb(self, size: tuple[int, int]) -> np.ndarray:
        frame = self._reformatter.reformat(self.frame, *size, format="rgb24", interpolation="AREA")
        return np.asarray(frame.to_ndarray())

    def _luma(self, size: tuple[int, int]) -> np.ndarray:
        frame = self.frame
        if frame.format.name not in LUMA_FIRST or frame.planes[0].line_size <= 0:
            frame = self._reformatter.reformat(frame, format="yuv420p")
        plane = frame.planes[0]
        view = np.frombuffer(plane, np.uint8)[: plane.line_size * frame.height].reshape(frame.height, plane.line_size)
        view = view[:, : frame.width]
        if size == (frame.width, frame.height):
            return view.copy()  # the decoder will write there again
        return cv2.resize(view, size, interpolation=cv2.INTER_AREA)


class Taker:
    """Collects what one FrameNeed asks for while the frames go by."""

    def __init__(self, need: FrameNeed, max_s: float) -> None:
        self.need = need
        self.step_s = 1 / need.fps if need.fps else min(max_s, FIRST_SPREAD_S) / (need.count or 1)
        self.due_s = 0.0 if need.fps else self.step_s / 2
        self.taken: list[list[Any]] = []  # [time, image, next time, next image]
        self.open_pair = False

    def offer(self, at_s: float, picture: Picture) -> None:
        if self.open_pair:
            self.taken[-1][2:] = [at_s, self._image(picture)]
            self.open_pair = False
        if at_s < self.due_s - 1e-6:
            return
        if self.need.count and len(self.taken) >= 2 * self.need.count:
            self._thin()
        self.taken.append([at_s, self._image(picture), None, None])
        self.open_pair = self.need.pairs
        steps = np.floor((at_s - (0.0 if self.need.fps else self.step_s / 2)) / self.step_s + 1e-6) + 1
        self.due_s = float(steps * self.step_s + (0.0 if self.need.fps else self.step_s / 2))

    def _thin(self) -> None:
        """The video is longer than thought: every second picture goes, and from now on they are taken half as often."""
        self.taken = self.taken[::2]
        self.step_s *= 2

    def _image(self, picture: Picture) -> np.ndarray:
        image = picture.image(self.need.plane, self.need.short_side_px)
        if self.taken and image.shape != self.taken[0][1].shape:  # the size changed within the stream
            height, width = self.taken[0][1].shape[:2]
            image = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
        return image

    def frames(self) -> Frames:
        rows = [row for row in self.taken if not self.need.pairs or row[3] is not None]
        if self.need.count and len(rows) > self.need.count:
            rows = [rows[i] for i in ((np.arange(self.need.count) + 0.5) * len(rows) / self.need.count).astype(int)]
        self.taken = rows  # what is not chosen is let go before the chosen are stacked
        empty = np.zeros((0, 1, 1), np.uint8)
        times, images = np.array([r[0] for r in rows]), np.stack([r[1] for r in rows]) if rows else empty
        if not self.need.pairs:
            return Frames(times_s_T=times, images=images)
        following = np.stack([r[3] for r in rows]) if rows else empty
        return Frames(times_s_T=times, images=images, next_times_s_T=np.array([r[2] for r in rows]), next_images=following)
