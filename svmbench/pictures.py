"""Pictures out of the decoder: scaled once, turned as shown, and collected for each need while the frames go by.

Axes: T time, H height, W width, C colour.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

import av
import cv2
import numpy as np
from av.sidedata.sidedata import Type
from av.video.reformatter import ColorRange, Interpolation, VideoReformatter

from svmbench.growing import Growing

FIRST_SPREAD_S = 1.0  # ours: of a video of unknown length; what is spread over it is thinned as the video goes on
GREY_CHROMA = 128  # of a picture without colour
SOON_S = 1e-6  # a time this little before it is due is due


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameNeed:
    """Pictures at a rate (fps) or an evenly spread number (count), scaled down to short_side_px (None: as coded), never up.

    plane 'y' gives uint8 THW luma as coded (black is 16, or 0 in a full-range video), 'rgb' gives uint8 THWC, 'uv' gives uint8
    THWC with Cb and Cr as coded, at half the coded size or less. pairs=True gives for each time the frame and the one that
    follows it, or the first one at least pair_gap_s later. A short video has fewer than `count`; a video slower than fps gives
    each of its frames once. Needs with the same fps or count are given the same times. A count holds up to twice as many pictures
    while decoding where a file lies about its length, so a need for many sets short_side_px: 32 luma pictures of a 4K video take
    265 MB, at a short side of 1080 66 MB.
    """

    fps: float | None = None
    count: int | None = None
    short_side_px: int | None = None
    plane: Literal["y", "rgb", "uv"] = "y"
    pairs: bool = False
    pair_gap_s: float = 0.0

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """How a coded picture becomes the shown one: rows and columns swapped first, then mirrored."""

    swapped: bool = False
    left_right: bool = False
    up_down: bool = False

    @classmethod
    def of(cls, frame: Any) -> Turn:
        """From the frame's display matrix; angles between quarter turns go to the nearest one."""
        data = frame.side_data.get(Type.DISPLAYMATRIX)
        if data is None:
            return cls()
        across, down, _, shift, rise, *_ = struct.unpack("9i", bytes(data))  # x' = across x + shift y, y' = down x + rise y
        swapped = abs(down) + abs(shift) > abs(across) + abs(rise)
        return cls(swapped=swapped, left_right=(shift if swapped else across) < 0, up_down=(down if swapped else rise) < 0)

    @property
    def mirrored(self) -> bool:
        return (self.swapped + self.left_right + self.up_down) % 2 == 1

    def apply(self, image: np.ndarray) -> np.ndarray:
        if self.swapped:
            image = cv2.transpose(image)
        if self.left_right or self.up_down:
            image = cv2.flip(image, -1 if self.left_right and self.up_down else int(self.left_right))
        return image


@lru_cache
def _depth(name: str) -> int:
    """Bits by which to shift a luma sample to get eight; -1 where luma does not stand alone in a plane that numpy can read."""
    form = av.VideoFormat(name, 16, 16)
    luma = form.components[0]
    alone = luma.is_luma and (form.is_planar or len(form.components) == 1)
    if not alone or form.has_palette or form.is_bit_stream or form.is_big_endian or not 8 <= luma.bits <= 16:
        return -1
    return 8 if name.startswith(("p0", "p2", "p4")) else luma.bits - 8  # those hold their bits at the top of 16


class Scalers:
    """swscale contexts, one for each size and format: setting one up costs more than scaling a frame."""

    def __init__(self) -> None:
        self._made: dict[tuple[tuple[int, int], str], VideoReformatter] = {}

    def scaled(self, frame: Any, size: tuple[int, int], form: str) -> Any:
        """The frame in another size (width, height) and format, each pixel the mean of what it covers.

        For anything but RGB the range of the values stays: swscale takes it for full on both sides.
        """
        scaler = self._made.setdefault((size, form), VideoReformatter())
        full = None if form == "rgb24" else ColorRange.JPEG
        return scaler.reformat(
            frame, *size, format=form, interpolation=Interpolation.AREA, src_color_range=full, dst_color_range=full, threads=1
        )


class Picture:
    """One decoded frame; each size and plane is made once however many ask for it."""

    def __init__(self, frame: Any, turn: Turn, scalers: Scalers) -> None:
        self.frame, self.turn, self._scalers = frame, turn, scalers
        self._made: dict[tuple[str, int | None], np.ndarray] = {}

    def image(self, plane: str, short_side_px: int | None) -> np.ndarray:
        """It may be the decoder's own memory, which is written to again once the next frame is asked for."""
        key = (plane, short_side_px)
        if key not in self._made:
            width, height = self.frame.width, self.frame.height
            scale = min(0.5 if plane == "uv" else 1.0, (short_side_px or 10**9) / min(width, height))
            size = max(1, round(width * scale)), max(1, round(height * scale))
            if plane == "rgb":
                flat = np.asarray(self._scalers.scaled(self.frame, size, "rgb24").to_ndarray())
            else:
                flat = self._luma(size) if plane == "y" else self._chroma(size)
            self._made[key] = self.turn.apply(flat)
        return self._made[key]

    def _luma(self, size: tuple[int, int]) -> np.ndarray:
        shift = _depth(self.frame.format.name)
        if size != (self.frame.width, self.frame.height) or shift < 0 or self.frame.planes[0].line_size <= 0:
            return _view(self._scalers.scaled(self.frame, size, "gray"), 0)
        view = _view(self.frame, 0, np.uint16 if shift else np.uint8)
        return cv2.convertScaleAbs(view, alpha=1 / 2**shift) if shift else view

    def _chroma(self, size: tuple[int, int]) -> np.ndarray:
        if len(self.frame.format.components) < 3 and _depth(self.frame.format.name) >= 0:
            return np.full((size[1], size[0], 2), GREY_CHROMA, np.uint8)
        frame = self.frame
        if frame.format.name not in ("yuv420p", "yuvj420p") or size != (frame.width // 2, frame.height // 2):
            frame = self._scalers.scaled(frame, size, "yuv444p")
        return cv2.merge([_view(frame, 1)[: size[1], : size[0]], _view(frame, 2)[: size[1], : size[0]]])


def _view(frame: Any, plane: int, dtype: type = np.uint8) -> np.ndarray:
    """A plane as numpy sees it, without its padding and without a copy."""
    data = frame.planes[plane]
    samples: np.ndarray = np.frombuffer(data, dtype)
    per_line = data.line_size // samples.itemsize
    return samples[: per_line * data.height].reshape(data.height, per_line)[:, : data.width]


class Taker:
    """Collects what one FrameNeed asks for while the frames go by."""

    def __init__(self, need: FrameNeed, max_s: float, length_s: float | None = None) -> None:
        """length_s: how long the video is likely to be; None where nobody knows."""
        self.need = need
        self.step_s = 1 / need.fps if need.fps else min(max_s, length_s or FIRST_SPREAD_S) / (need.count or 1)
        self.due_s = 0.0 if need.fps else self.step_s / 2
        self.likely = int(np.ceil(max_s * need.fps)) + 1 if need.fps else 2 * (need.count or 1)
        self.times: list[float] = []
        self.next_times: list[float] = []
        self.images: Growing | None = None
        self.next_images: Growing | None = None

    @property
    def wanted_s(self) -> float:
        """Frames before this time are of no interest."""
        return (self.times[-1] + self.need.pair_gap_s if self._waits else self.due_s) - SOON_S

    @property
    def _waits(self) -> bool:
        """For the second frame of a pair."""
        return self.need.pairs and len(self.next_times) < len(self.times)

    def offer(self, at_s: float, picture: Picture) -> None:
        if self._waits:
            if at_s < self.times[-1] + self.need.pair_gap_s - SOON_S:
                return
            self.next_images = self._put(self.next_images, len(self.next_times), picture)
            self.next_times.append(at_s)
        if at_s < self.due_s - SOON_S:
            return
        if self.need.count and len(self.times) >= 2 * self.need.count:
            self._choose(np.arange(0, len(self.times), 2))  # longer than thought: from now on half as often
            self.step_s *= 2
        self.images = self._put(self.images, len(self.times), picture)
        self.times.append(at_s)
        first_s = 0.0 if self.need.fps else self.step_s / 2
        self.due_s = float((np.floor((at_s - first_s) / self.step_s + SOON_S) + 1) * self.step_s + first_s)

    def _put(self, block: Growing | None, at: int, picture: Picture) -> Growing:
        image = picture.image(self.need.plane, self.need.short_side_px)
        block = block or Growing(self.likely, image.shape, np.uint8)
        if image.shape != block.shape:  # the size changed within the stream
            image = cv2.resize(image, (block.shape[1], block.shape[0]), interpolation=cv2.INTER_AREA).reshape(block.shape)
        block.put(at, image[None])
        return block

    def _choose(self, indices: np.ndarray) -> None:
        self.times = [self.times[i] for i in indices]
        for block in filter(None, (self.images, self.next_images)):
            block.choose(indices)
        if self.need.pairs:
            self.next_times = [self.next_times[i] for i in indices]

    def frames(self) -> Frames:
        length = len(self.next_times if self.need.pairs else self.times)
        chosen = np.arange(length)
        if self.need.count and length > self.need.count:
            chosen = ((np.arange(self.need.count) + 0.5) * length / self.need.count).astype(int)
        self._choose(chosen)
        empty = np.zeros((0, 1, 1, 1)[: 3 if self.need.plane == "y" else 4], np.uint8)
        images = self.images.closed(len(chosen)) if self.images and len(chosen) else empty
        if not self.need.pairs:
            return Frames(times_s_T=np.array(self.times), images=images)
        following = self.next_images.closed(len(chosen)) if self.next_images else empty
        return Frames(
            times_s_T=np.array(self.times), images=images, next_times_s_T=np.array(self.next_times), next_images=following
        )
