"""Borders that are pictures: two lines that face each other and stay while the picture moves, with something simple outside.

Axes: T time, D depth in pixels from the outside in, S samples along the side. All numbers are ours.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from curation.borders._copy import Copy
from curation.borders._strips import Strips, ranked

STILL = 10  # a pixel whose luma stays within so many levels stands still
STILL_SHARE = 0.93  # of the pixels outside, for a template
SMOOTH = 0.4  # a blurred copy has at most this share of the detail of the picture
SMOOTH_LEVEL = 2.5  # and less than this between neighbouring lines, in grey levels
LEAST = 0.03  # of the side's depth: no one frames a picture with less
SCREEN = 0.1  # the bars of a recorded screen are less deep than this, and stand still too
UNMARKED = 1.0  # a bar without lettering has no line that differs more from the one before
EQUAL_PX = 4
RIVALS = 2  # so many lines inside may be as strong; more are a pattern of which the outermost is nothing special
ALONE = 0.75  # of a line stays
MOVED = 0.003  # of the pixels within change, or this is a photograph
PLAIN, TEXTURED = 0.1, 0.5  # levels between neighbouring lines: of one colour at most, and at least where there is a texture
VISIBLE = 0.3  # a frame shows the line where this share of it is a step
ODD_FRAMES = 0.07  # one frame of sixteen may be a flash
STRIKING, UNBROKEN, SEEN = 3.0, 0.85, 0.5  # a line's step over the larger ones of the picture; how much of it stays, and is seen
SHADES, SHADE = 3, 9  # a drawn pattern is mostly of three shades, each of nine levels
DRAWN, BARE = 0.7, 0.95  # the share of the outside that is of its usual shades: in a pattern that moves, and where nothing lies
DRAWN_DETAIL = 0.8  # levels between neighbouring lines; a night has few shades too, but no detail
BROKEN = 0.6  # of a striking line stays where the one that faces it is unbroken: there the picture is as light as the card
OF_STILLS = 5.0  # as STRIKING, where the picture is a photograph: its own lines stay too
MOVES, RESTS, EDGE_LINES = 0.6, 0.25, 8  # share of the few lines inside a line that moves, and at most of those outside
COPIED, COPY_HELD, COPY_PX = 0.5, 0.2, 2  # correlation with the copy, and how much of the lines is seen at least; how they face
COPY_SMOOTH = 0.6  # of the detail of the picture a copy has at most, where the correlation speaks for it too


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A line that may be where the picture begins. kind: what lies outside, smooth: its detail as a share of that of the picture.

    held in [0, 1]: how much of the line stays. jump: its mean step over the larger ones of the picture inside. moving: share of
    the pixels outside that change. simple: what lies outside is a blurred copy, or stands still beside a picture that moves.
    alone: the line is unbroken, always seen, and like no other within; outside is a still texture, or colours that change.
    striking: by far the largest step, and nearly unbroken; outside stands still, or is a pattern. bare: outside is still and
    plain. parted: all along it what moves begins at once, and outside stands still. soft: outside may lie a blurred copy.
    """

    depth_px: int
    kind: str
    held: float
    jump: float
    smooth: float
    moving: float
    simple: bool
    alone: bool
    striking: bool
    bare: bool
    parted: bool
    soft: bool

    @property
    def strength(self) -> float:
        return max(self.held, min(1.0, (self.jump - 1) / 4))


def surround(near: Strips, far: Strips, *, exact: bool) -> tuple[Line, Line] | None:
    """The pair of lines with something blurred, or something still, outside both; None where there is no such pair.

    exact: only lines that face each other exactly.
    """
    depth = near.luma_TDS.shape[1]
    ones, twos = lines(near), lines(far)
    pairs = [
        (one, two)
        for one in ones
        for two in twos
        if one.depth_px + two.depth_px < 0.92 * depth and (_facing(one, two, depth) or (not exact and _fit(one, two)))
    ]
    if not pairs and not exact:
        pairs = _copied(near, ones, twos)
    return max(pairs, key=lambda p: p[0].strength + p[1].strength, default=None)


def _copied(near: Strips, ones: list[Line], twos: list[Line]) -> list[tuple[Line, Line]]:
    """The pairs outside which lies a blurred copy of what is between them, which is known however little of the lines is seen."""
    pairs = [(a, b) for a in ones for b in twos if a.soft and b.soft and abs(a.depth_px - b.depth_px) <= COPY_PX]
    if not pairs:
        return []
    copy = Copy(near.luma_TDS)
    return [(a, b) for a, b in pairs if copy.alike(a.depth_px, b.depth_px) >= COPIED]


def _facing(one: Line, two: Line, depth: int) -> bool:
    """Whether two lines face each other so exactly, and stand so alone, that it is no chance; a screen's bars are less deep."""
    exact = abs(one.depth_px - two.depth_px) <= 1 and min(one.depth_px, two.depth_px) >= SCREEN * depth
    striking = one.striking and two.striking and max(one.held, two.held) >= UNBROKEN
    # a doorway is as straight, and as dark on both sides
    return exact and ((one.alone and two.alone) or ((striking or (one.parted and two.parted)) and not (one.bare and two.bare)))


def _fit(one: Line, two: Line) -> bool:
    """Whether two lines with something simple outside belong together: equally deep, the clearer the less exactly."""
    if not (one.simple and two.simple):
        return False
    apart, least, most = abs(one.depth_px - two.depth_px), min(one.held, two.held), max(one.held, two.held)
    if one.kind != two.kind:
        return apart <= 1 and least >= 0.9
    still = max(one.moving, two.moving) < 1 - STILL_SHARE
    if apart <= 2 and (most >= 0.8 or (not still and max(one.smooth, two.smooth) <= 0.15)):
        return True
    return apart <= EQUAL_PX and least >= (0.45 if still else 0.7)  # else two curtains, or a bright screen on a dark stage


def lines(side: Strips) -> list[Line]:
    """The lines of a side that stay and have something simple outside, or stand alone."""
    number, depth = side.size_TD.shape
    if number < 3 or depth < 32:
        return []
    held_DS = side.steps_DS > 0.5 * number
    held_D, size_D = held_DS.mean(axis=1), np.sort(side.size_TD, axis=0)[number // 2]
    moves_DS = np.ptp(side.luma_TDS, axis=0) > STILL
    found = [_line(side, at, held_DS, held_D, size_D, moves_DS) for at in _peaks(held_D, size_D, depth)]
    return [line for line in found if line and (line.simple or line.alone or line.striking or line.parted or line.soft)]


def _line(
    side: Strips, at: int, held_DS: np.ndarray, held_D: np.ndarray, size_D: np.ndarray, moves_DS: np.ndarray
) -> Line | None:  # fmt: skip
    """What can be said of the line at this depth; None where it is nothing special, or that of a recorded screen.

    held_DS: steps that stay for half the time; held_D, their share; size_D, the usual mean step; moves_DS: pixels that change.
    """
    depth = len(size_D)
    inside = slice(at + 3, max(at + 6, at + (depth - at) // 2))
    jump = float(size_D[at]) / max(0.5, ranked(size_D[inside], 0.95))
    usual = ranked(held_D[inside], 0.9)
    beyond = slice(at + 3, min(int(0.9 * depth), depth - at - EQUAL_PX))  # the line that faces it is no rival
    rivals = int(((size_D[beyond] >= 0.85 * size_D[at]) & (held_D[beyond] >= 0.85 * held_D[at])).sum())
    if (held_D[at] - usual < 0.3 and jump < 1.5) or rivals > RIVALS:
        return None
    detail, within = float(np.median(size_D[1 : at - 1])), float(size_D[inside].mean())
    moving, smooth = float(moves_DS[: at - 1].mean()), detail / max(0.01, within)
    still = moving < 1 - STILL_SHARE
    if still and at < SCREEN * depth and size_D[2 : at - 2].max(initial=0) > UNMARKED:
        return None
    active_S = moves_DS[at + 1 : at + max(6, depth // 8)].any(axis=0)
    along = float(held_DS[at, active_S].mean()) if active_S.any() else 0.0
    close = not still or moves_DS[at + 1 : at + 5].any(axis=0).mean() >= 0.25  # else a wall beside a passage
    template = close and still and active_S.mean() > 0.3 and along > 0.25
    soft = at >= SCREEN * depth and held_D[at] >= COPY_HELD and detail <= min(COPY_SMOOTH * within, SMOOTH_LEVEL)
    smoothed = close and not template and detail <= min(SMOOTH * within, SMOOTH_LEVEL)
    crossed = (soft or smoothed) and _crossed(side, at)
    blurred = smoothed and not crossed
    needed = ALONE if detail >= PLAIN else 0.95
    odd = detail >= TEXTURED if still else detail <= SMOOTH_LEVEL / 8
    alone = odd and held_D[at] >= needed and usual <= 0.1 and moves_DS[inside].mean() > MOVED
    seen = ranked(side.step_TDS[:, at].mean(axis=1), ODD_FRAMES)
    striking = min(jump / STRIKING, held_D[at] / BROKEN, seen / SEEN) >= 1 > rivals - 1
    striking = striking and (jump >= OF_STILLS or moves_DS[inside].mean() > MOVED)
    moves_D = moves_DS[max(0, at - EDGE_LINES) : at + EDGE_LINES + 1].mean(axis=1)
    parted = still and jump >= 1.5 and moves_D[EDGE_LINES + 1 :].mean() >= MOVES and moves_D[: EDGE_LINES - 1].mean() <= RESTS
    shades = _shades(side, at) if striking or parted else 0.0
    return Line(
        depth_px=at, kind="template" if still and (template or not blurred) else "blurred", jump=jump, smooth=smooth,
        held=along if template else float(held_D[at]), moving=moving, simple=template or blurred,
        alone=bool(alone and seen >= 0.6),
        striking=bool(striking and (still or (shades >= DRAWN and detail >= DRAWN_DETAIL))), bare=bool(still and shades >= BARE),
        parted=bool(parted), soft=bool(soft and not crossed),
    )  # fmt: skip


def _shades(side: Strips, at: int) -> float:
    """The share of the outside that is of its few most usual shades, in the median frame."""
    found = []
    for outside_DS in side.luma_TDS[::5, : at - 2, ::2]:
        levels = np.bincount(outside_DS.ravel(), minlength=256) / outside_DS.size
        share = 0.0
        for _ in range(SHADES):
            near = np.convolve(levels, np.ones(SHADE), "same")
            most = int(near.argmax())
            share += float(near[most])
            levels[max(0, most - SHADE // 2) : most + SHADE // 2 + 1] = 0
        found.append(share)
    return float(np.median(found))


def _crossed(side: Strips, at: int) -> bool:
    """Whether some frames have as much detail outside as inside, or half as much and no line: there the border has gone."""
    seen_T = side.step_TDS[:, at].mean(axis=1)
    outside_T, inside_T = side.size_TD[:, 1 : at - 1].mean(axis=1), side.size_TD[:, at + 2 :].mean(axis=1)
    crossed_T = (outside_T > 0.5) & (outside_T > np.where(seen_T < VISIBLE, 0.5, 0.75) * inside_T)
    return bool(crossed_T.mean() > ODD_FRAMES)


def _peaks(held_D: np.ndarray, size_D: np.ndarray, depth: int) -> list[int]:
    """The few lines that stay most, and those with the largest steps."""
    low, high = max(4, int(LEAST * depth)), int(0.7 * depth)
    places: list[int] = []
    for values in (held_D, size_D):
        values = values.copy()
        values[:low], values[high:] = 0, 0
        for _ in range(3):
            at = int(values.argmax())
            if values[at] <= 0:
                break
            if at not in places:
                places.append(at)
            values[max(0, at - 3) : at + 4] = 0
    return places
