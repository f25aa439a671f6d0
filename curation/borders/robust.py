"""Borders found over time: what is border stays border whatever the picture does, and what is picture shows it some time.

The idea. 16 luma frames at up to 1080p and their chroma are seen as lines, from each side inwards (_strips). A border is cut
where two things hold: what lies outside a line is explained by something simple, and the line itself stays where it is, in all
frames and along the side, while the picture within does as it likes.

1. Bars of one colour (_solid). The colour is that of the outermost lines. A pixel that is off it in more than a few frames is
   live. A bar ends where most of a side goes from bare to live at once, or has a step in most frames. Text, stickers and lines
   that grow lie outside the line and count against the bar, but less where lines of the bare colour run between rows of text.
2. Borders that are pictures (_surround): a blurred copy, a still card or wallpaper, a pattern, colours that change. They have no
   colour to go by, so there must be two lines, one on each side, that face each other within a few pixels and stay. A blurred
   copy is known by itself (_copy): the picture, scaled until it covers the frame, goes with what lies outside.
3. Both sides of an axis are weighed together (_axis). Equal depth, or the very same colour, is what no scene has by chance: such
   pairs need little else. A bar that stands alone must be black as an editor paints it and even, along the whole side, or be
   white or lettered while the picture moves: else it may be a night sky, a stage, a curtain, a table or a floor.
4. What is left is looked at again, for bars may lie within bars, in both axes.

A picture speaks against its border: a frame that shows it across the line, a line that moves with a camera held by hand, a colour
that comes back within (slats, flags), sides that are bars of a recorded screen.

It cannot know, and then keeps the whole frame: one plain side that is not black (a wall, a sky, a header); a card
whose own line is weak on one side; the screen of a drawn phone; text that touches the picture along both lines; split screens. It
cuts what a camera films exactly as an editor would paint it: one side in perfect black with a straight edge. And it takes still
pictures of one size on both sides of a moving one for its card.

Axes: T time, H height, W width, C the two chroma planes. All numbers are ours.
"""

from __future__ import annotations

import math

import cv2
import numpy as np

from curation.border import Border, Side
from curation.borders._axis import Cut, look
from svmbench.media import ClipMedia, FrameNeed, Needs
from svmbench.records import Box

LUMA = FrameNeed(count=16, short_side_px=1080)
CHROMA = FrameNeed(count=16, short_side_px=540, plane="uv")
NEEDS = Needs(frames=(LUMA, CHROMA))

EMPTY = 2.0  # a frame whose luma deviates less is a flash, a fade or a fault: it has no picture to find
LEAST_PX, LEAST_SHARE = 12, 0.06  # a video, and a picture in it, that are smaller are kept as they are
ROUNDS = 3  # of looking: a picture in bars, in a blurred copy, in bars
SOLID, DEEP = ("black", "colour"), 0.06  # bars that take so much of an axis on both sides have no bars of another colour within

Bounds = tuple[int, int, int, int]  # left, top, right, bottom; right and bottom exclusive


def find(clip: ClipMedia) -> Border:
    """The border that a clip has all the time."""
    size_px = clip.probe.width_px, clip.probe.height_px
    return find_border(clip.frames(LUMA).images, clip.frames(CHROMA).images, size_px)


def find_border(luma_THW: np.ndarray, chroma_THWC: np.ndarray, size_px: tuple[int, int]) -> Border:
    """The same from frames; size_px is (width, height) of the video, of which the frames may be a smaller copy."""
    height, width = luma_THW.shape[1:]
    whole = (0, 0, width, height)
    telling = [i for i, luma_HW in enumerate(luma_THW) if cv2.meanStdDev(luma_HW)[1][0, 0] > EMPTY and i < len(chroma_THWC)]
    if not telling or min(height, width) < LEAST_PX:
        return _border(whole, [Cut(confidence=0.0)] * 4, (width, height), size_px)
    if len(telling) < max(len(luma_THW), len(chroma_THWC)):
        luma_THW, chroma_THWC = luma_THW[telling], chroma_THWC[telling]
    bounds, cuts = _search(luma_THW, chroma_THWC)
    if (bounds[2] - bounds[0]) * (bounds[3] - bounds[1]) < LEAST_SHARE * width * height:
        bounds, cuts = whole, [Cut(confidence=0.0)] * 4
    return _border(bounds, cuts, (width, height), size_px)


def _search(luma_THW: np.ndarray, chroma_THWC: np.ndarray) -> tuple[Bounds, list[Cut]]:
    """Above and below, then left and right, then within what is left, until nothing more is found."""
    bounds = [0, 0, luma_THW.shape[2], luma_THW.shape[1]]
    cuts: list[Cut | None] = [None] * 4
    seen: dict[bool, list[int]] = {}
    for _ in range(ROUNDS):
        for rows, sides in ((True, (1, 3)), (False, (0, 2))):
            if seen.get(rows) == bounds:
                continue
            seen[rows] = list(bounds)
            again = any(cut is not None and cut.depth_px for cut in (cuts[sides[0]], cuts[sides[1]]))
            found = look(*_inside(luma_THW, chroma_THWC, bounds), rows=rows, again=again)
            deep = DEEP * (bounds[sides[1]] - bounds[sides[0]])
            for side, cut in zip(sides, found, strict=True):
                bounds[side] += cut.depth_px if side < 2 else -cut.depth_px
                before = cuts[side]
                if before is None or not before.depth_px:
                    cuts[side] = cut
                elif cut.depth_px:
                    cuts[side] = Cut(cut.depth_px, cut.kind, min(cut.confidence, before.confidence))
            if all(cut.kind in SOLID and cut.depth_px >= deep for cut in found):
                seen[rows] = list(bounds)
    return (bounds[0], bounds[1], bounds[2], bounds[3]), [cut or Cut() for cut in cuts]


def _inside(luma_THW: np.ndarray, chroma_THWC: np.ndarray, bounds: list[int]) -> tuple[np.ndarray, np.ndarray]:
    """The frames within the bounds, chroma at least one pixel each way."""
    left, top, right, bottom = bounds
    parts = []
    for low, high, size, whole in (
        (top, bottom, chroma_THWC.shape[1], luma_THW.shape[1]),
        (left, right, chroma_THWC.shape[2], luma_THW.shape[2]),
    ):
        first = min(math.ceil(low * size / whole), size - 1)
        parts.append(slice(first, max(first + 1, high * size // whole)))
    return luma_THW[:, top:bottom, left:right], chroma_THWC[:, parts[0], parts[1]]


def _border(bounds: Bounds, cuts: list[Cut], seen_px: tuple[int, int], size_px: tuple[int, int]) -> Border:
    """In pixels of the video. Where the frames were smaller, rather a line of the picture is lost than one of the border kept."""
    depths = []
    for side, near in enumerate((bounds[0], bounds[1], seen_px[0] - bounds[2], seen_px[1] - bounds[3])):
        scale = size_px[side % 2] / seen_px[side % 2]
        depths.append(math.ceil(near * scale + (scale - 1) / 2 - 1e-9) if near else 0)
    left, top, right, bottom = (
        Side(kind=cut.kind if depth else "none", depth_px=depth, confidence=round(cut.confidence, 3))
        for cut, depth in zip(cuts, depths, strict=True)
    )
    box = Box(
        left_px=left.depth_px, top_px=top.depth_px, width_px=size_px[0] - left.depth_px - right.depth_px,
        height_px=size_px[1] - top.depth_px - bottom.depth_px,
    )  # fmt: skip
    return Border(box=box, sides=(left, top, right, bottom))
