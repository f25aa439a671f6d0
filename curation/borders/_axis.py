"""What is cut along one axis: the evidence of both its sides weighed against each other, and where it is thin, nothing.

Every rule says what kind of picture it keeps from being cut. Axes: T time, H height, W width, C chroma. All numbers are ours.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from curation.borders._solid import Evidence, solid
from curation.borders._strips import strips
from curation.borders._surround import SCREEN, Line, surround

LEVEL_PX = 3  # sides this equal in depth support each other
ALIKE = 6  # and so do sides whose colours differ by no more levels in any plane
WHITE = 226  # luma of the most usual coloured bar
NOTHING_SEEN = 0.97  # confidence in a side where nothing at all looks like a border


@dataclass(frozen=True, slots=True)
class Cut:
    """What is taken off a side, in pixels of the frames looked at; as curation.border.Side."""

    depth_px: int = 0
    kind: str = "none"
    confidence: float = NOTHING_SEEN


def look(luma_THW: np.ndarray, chroma_THWC: np.ndarray, *, rows: bool, again: bool) -> tuple[Cut, Cut]:
    """(top, bottom) of these frames, or (left, right); again: something was cut here before, and only bars are looked for."""
    near = strips(luma_THW, chroma_THWC, rows=rows)
    depth, samples = near.luma_TDS.shape[1:]
    if depth < 12 or samples < 6:
        return Cut(confidence=0.0), Cut(confidence=0.0)
    far = near.turned()
    found = solid(near), solid(far)
    ones, twos = ([e for e in side if possible(e)] for side in found)
    if ones and not twos:  # something may lie over the outermost lines of the other bar
        twos = [e for e in solid(far, ones[0].colour) if possible(e)]
    elif twos and not ones:
        ones = [e for e in solid(near, twos[0].colour) if possible(e)]
    one, two = _best(ones, twos, depth, again)
    cuts = _bar(one, found[0]), _bar(two, found[1])
    if not again and not (one and two):
        pair = surround(near, far)
        if pair and all(line.depth_px >= cut.depth_px for line, cut in zip(pair, cuts, strict=True)):
            return _pictured(pair[0]), _pictured(pair[1])
    return cuts


def possible(e: Evidence) -> bool:
    """Whether this may be a bar at all, whatever the other side says."""
    if e.against > 0.08:  # a picture goes across the line in some frames
        return False
    if e.inside < 0.25 or e.fill < 0.12 or (e.fill < 0.35 and e.contrast > 60):  # text, or a lamp, on an empty frame
        return False
    clean = min(e.step, e.steady) >= 0.95
    if e.outside > 0.4 or e.busy > (0.35 if clean else 0.2):  # not a bar of one colour
        return False
    if e.black:
        return e.active > 0.25 and (_strong(e) or (e.outside < 0.03 and max(e.turn, e.step) >= 0.3))
    return min(e.turn, e.steady, e.active) >= 0.5


def _strong(e: Evidence) -> bool:
    """A black bar that needs no other beside it: its colour ends along the line, or a step runs along nearly all of it."""
    return (
        min(e.turn, e.step) >= 0.45
        or (e.turn >= 0.25 and e.step >= 0.8)
        or (e.step >= 0.85 and e.outside < 0.25 and e.busy < 0.15)
        or min(e.step, e.steady) >= 0.95
    )


def _best(ones: list[Evidence], twos: list[Evidence], depth: int, again: bool) -> tuple[Evidence | None, Evidence | None]:
    """The two, or the one, that explain most of the axis."""
    pairs = [(a, b) for a in (None, *ones) for b in (None, *twos) if not (a and b) or a.depth_px + b.depth_px < 0.94 * depth]
    return max(pairs, key=lambda pair: _explained(pair, depth, again))


def _explained(pair: tuple[Evidence | None, Evidence | None], depth: int, again: bool) -> float:
    """How much these bars explain: 0 for none, less where they may not be cut. Deeper ones win, for what lies outside is dead."""
    both = [e for e in pair if e]
    if both and all(e.depth_px < SCREEN * depth and e.lettered > 0.01 for e in both):
        return -1.0  # the bars of a recorded screen belong to it
    if not all(_allowed(e, *[o for o in both if o is not e], again=again) for e in both):
        return -1.0
    return sum((e.turn + e.step + e.steady) * e.active * (1 - e.outside) * (1 + e.depth_px / depth) for e in both)


def _allowed(e: Evidence, other: Evidence | None = None, *, again: bool) -> bool:
    """Whether this bar may be cut, given the one on the other side."""
    level = other is not None and abs(e.depth_px - other.depth_px) <= LEVEL_PX
    alike = other is not None and max(abs(a - b) for a, b in zip(e.colour, other.colour, strict=True)) <= ALIKE
    if e.black:
        if not _strong(e):
            return level and other is not None and _strong(other)
        if level or alike:
            return True
        flat = e.even <= 2 or (e.turn >= 0.95 and e.outside < 0.02)  # not a dark part of the picture
        return flat and (e.turn >= 0.75 or e.moving >= 0.4)
    clear = min(e.turn, e.steady) >= 0.85
    if level or alike:  # else a wall and a floor, or the stripes of a test card
        return e.moving >= 0.3 or (e.plain <= 0.9 and (alike or clear))
    if again:
        return False
    if other is not None:
        return clear and e.moving >= 0.6
    # alone, it is a sky, a road or a wall, unless it is lettered, or white and stays while the picture moves
    white = e.colour[0] >= WHITE and min(e.turn, e.steady) >= 0.95 and e.moving >= 0.5 and e.plain <= 0.9
    return white or (min(e.turn, e.steady) >= 0.97 and e.plain <= 0.5 and e.lettered >= 0.02)


def _bar(chosen: Evidence | None, found: Sequence[Evidence]) -> Cut:
    if chosen:
        return Cut(chosen.depth_px, "black" if chosen.black else "colour", _sure(chosen))
    return Cut(confidence=NOTHING_SEEN - 0.5 * max([_sure(e) * e.active for e in found], default=0.0))


def _sure(e: Evidence) -> float:
    """The share of the line that can be seen, less what stands outside."""
    return min(1.0, max((e.turn + e.step) / 2, min(e.step, e.steady)) * (1 - e.outside))


def _pictured(line: Line) -> Cut:
    return Cut(line.depth_px, line.kind, min(0.95, 0.5 + 0.45 * line.strength))
