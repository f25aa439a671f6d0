"""Borders found over time: what is border stays border whatever the picture does, and what is picture shows it some time.

16 luma frames at up to 1080p and their chroma are looked at side by side, from the outside in (_strips). A bar of one colour ends
where most of a side leaves that colour, however much text or how many stickers lie on it (_solid). A blurred copy, or a picture
that stands still, ends at two lines that face each other and stay (_surround). The two sides of an axis support each other, and
where the evidence is thin, nothing is cut (_axis). What is left is looked at again: bars may lie within bars.

Left alone on purpose: a single flat colour on one side (a sky, a road, a wall), the bars of a recorded screen, split screens,
anything that some frames show a picture across. Axes: T time, H height, W width, C the two chroma planes. All numbers are ours.
"""

from __future__ import annotations

import math

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

Bounds = tuple[int, int, int, int]  # left, top, right, bottom; right and bottom exclusive


def find(clip: ClipMedia) -> Border:
    """The border that a clip has all the time."""
    size_px = clip.probe.width_px, clip.probe.height_px
    return find_border(clip.frames(LUMA).images, clip.frames(CHROMA).images, size_px)


def find_border(luma_THW: np.ndarray, chroma_THWC: np.ndarray, size_px: tuple[int, int]) -> Border:
    """The same from frames; size_px is (width, height) of the video, of which the frames may be a smaller copy."""
    height, width = luma_THW.shape[1:]
    whole = (0, 0, width, height)
    telling = [i for i, luma_HW in enumerate(luma_THW) if luma_HW[::4, ::4].std() > EMPTY and i < len(chroma_THWC)]
    if not telling or min(height, width) < LEAST_PX:
        return _border(whole, [Cut(confidence=0.0)] * 4, (width, height), size_px)
    bounds, cuts = _search(luma_THW[telling], chroma_THWC[telling])
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
            for side, cut in zip(sides, look(*_inside(luma_THW, chroma_THWC, bounds), rows=rows, again=again), strict=True):
                bounds[side] += cut.depth_px if side < 2 else -cut.depth_px
                before = cuts[side]
                if before is None or not before.depth_px:
                    cuts[side] = cut
                elif cut.depth_px:
                    cuts[side] = Cut(cut.depth_px, cut.kind, min(cut.confidence, before.confidence))
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
