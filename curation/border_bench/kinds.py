"""The contract of the border benchmark: what a source of pictures, a kind of border and a case are.

Axes: T time, H height, W width, C colour (red, green, blue); frames are uint8. Boxes are in pixels as shown.

A kind is one function (scene, rng) -> (frames_THWC, truth): it draws a video of the scene's size and says where the picture
in it lies. It asks the scene for its picture at whatever size it wants, takes every random choice from rng, and needs no other
state, so that a case can be made again from its seed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from svmbench.records import Box

HALVES = ("dev", "held_out")
SHAPES = ("portrait", "landscape", "square")


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Where pictures come from. frames(width_px, height_px, num_frames, rng) -> frames_THWC of exactly that size and number.

    The frames have no border of their own, are not distorted (what does not fit the aspect is cut off), and move.
    """

    name: str
    frames: Callable[[int, int, int, np.random.Generator], np.ndarray]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """What a kind is given: the size and length of the video to draw, and pictures at any size."""

    source: Source
    width_px: int
    height_px: int
    num_frames: int
    fps: int
    seed: int

    def picture(self, width_px: int, height_px: int, take: int = 0) -> np.ndarray:
        """frames_THWC of that size. The same take is the same scene and movement; another take is another of the same source."""
        return self.source.frames(width_px, height_px, self.num_frames, np.random.default_rng([self.seed, take]))

    def whole(self, take: int = 0) -> np.ndarray:
        """The picture at the size of the video."""
        return self.picture(self.width_px, self.height_px, take)

    @property
    def box(self) -> Box:
        """The truth where there is no border: the whole video."""
        return Box(left_px=0, top_px=0, width_px=self.width_px, height_px=self.height_px)


Draw = Callable[[Scene, np.random.Generator], tuple[np.ndarray, Box]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """A kind of border, or of picture without one.

    about: one sentence for the table in the docs. has_border: whether the truth is smaller than the video. shapes: of the videos
    it is made in. tolerance_px: how far the truth itself is uncertain on each side (a soft edge); errors are counted beyond it.
    """

    name: str
    about: str
    draw: Draw
    has_border: bool = True
    shapes: tuple[str, ...] = SHAPES
    tolerance_px: int = 0


def by_name(*kinds: Kind) -> dict[str, Kind]:
    """What a module of kinds holds as KINDS."""
    return {kind.name: kind for kind in kinds}


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One video of the benchmark; everything in it follows from these fields.

    shape: one of SHAPES. crf: of the encoder, lower is finer. codec: name of an encoder, as in PyAV.
    """

    kind: str
    source: str
    half: str
    width_px: int
    height_px: int
    num_frames: int
    fps: int
    seed: int
    codec: str
    crf: int


def inside(scene: Scene, bars: tuple[int, int, int, int]) -> Box:
    """The box that bars of (left, top, right, bottom) pixels leave of the scene."""
    left, top, right, bottom = bars
    return Box(left_px=left, top_px=top, width_px=scene.width_px - left - right, height_px=scene.height_px - top - bottom)


def canvas(scene: Scene, colour: tuple[int, int, int] = (0, 0, 0)) -> np.ndarray:
    """frames_THWC of one colour, of the scene's size."""
    frames = np.empty((scene.num_frames, scene.height_px, scene.width_px, 3), np.uint8)
    frames[:] = colour
    return frames


def laid(frames_THWC: np.ndarray, picture_THWC: np.ndarray, box: Box) -> np.ndarray:
    """The frames with the picture put into the box, in place."""
    rows = slice(box.top_px, box.top_px + box.height_px)
    frames_THWC[:, rows, box.left_px : box.left_px + box.width_px] = picture_THWC
    return frames_THWC
