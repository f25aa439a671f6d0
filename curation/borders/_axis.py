"""What is cut along one axis: the evidence of both its sides weighed against each other, and where it is thin, nothing.

Every rule says what kind of picture it keeps from being cut. Axes: T time, H height, W width, C chroma. All numbers are ours.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from curation.borders._solid import Evidence, solid
from curation.borders._strips import strips
from curation.borders._surround import SCREEN, Line, surround

LEVEL_PX = 3  # sides this equal in depth support each other
ALIKE = 6  # and so do sides whose colours differ by no more levels in any plane
WHITE = 226  # luma of the most usual coloured bar
WHOLE_LINE = 0.6  # of a side that has no other to support it, the share along which the colour is seen to end
PLAIN = 0.75  # a line inside of which more is of one shade is a wall, if nothing moves there
AGAINST = 0.13  # two frames of sixteen may have something lying over the line
STAYS = 0.4  # see Evidence.stays; a camera held by hand moves the edge of a screen in and out
RECURS = 0.02  # of the lines within may be of the bar's bare colour; else it is the colour of a slat, or of a stripe of a flag
STILL_TEXT = 0.8  # of what lies on a lettered bar stands still; on a road, cars do not
ONE_SIDE = 0.6  # of the depth is more than a bar takes that has no other
VARIED = 4  # levels; a picture has more than one shade
LEVEL = 1.15  # how much more two bars explain that are equally deep
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
    ones = [e for e in found[0] if possible(e) and not _belied(e, found[1])]
    twos = [e for e in found[1] if possible(e) and not _belied(e, found[0])]
    if ones and not twos:  # something may lie over the outermost lines of the other bar
        twos = [e for e in solid(far, ones[0].colour) if possible(e)]
    elif twos and not ones:
        ones = [e for e in solid(near, twos[0].colour) if possible(e)]
    one, two = _best(ones, twos, depth, again)
    if one and two and _tinted(one) != _tinted(two):  # the luma of the other side tells where
        depth_px = (two if _tinted(one) else one).depth_px
        one, two = replace(one, depth_px=depth_px), replace(two, depth_px=depth_px)
    cuts = _bar(one, found[0]), _bar(two, found[1])
    if not again and not (one and two and abs(one.depth_px - two.depth_px) <= LEVEL_PX):
        pair = surround(near, far, exact=bool(one and two))
        if pair and all(line.depth_px + 1 >= cut.depth_px for line, cut in zip(pair, cuts, strict=True)):
            return _pictured(pair[0]), _pictured(pair[1])
    return cuts


def possible(e: Evidence) -> bool:
    """Whether this may be a bar at all, whatever the other side says."""
    if e.stays < STAYS:  # the edge of a screen that is filmed by hand
        return False
    if e.against > AGAINST:  # a picture goes across the line in some frames
        return False
    if e.inside < 0.25 or e.fill < 0.12 or (e.fill < 0.35 and e.contrast > 60):  # text, or a lamp, on an empty frame
        return False
    if e.varied < VARIED and not e.pure:  # a flag, or a sea under a sky
        return False
    clean = min(e.step, e.steady) >= 0.95
    if e.outside > 0.4 or e.busy > (0.35 if clean else 0.2):  # not a bar of one colour
        return False
    if e.black:
        return e.active > 0.25 and (_strong(e) or (max(e.turn, e.step) >= 0.3 and (e.outside < 0.03 or e.step >= 0.6)))
    exact = e.even == 0 and min(e.turn, e.active) >= 0.95 and e.step >= 0.5  # in some frames the picture is as light
    return min(e.turn, e.active) >= 0.5 and (e.steady >= 0.5 or exact or _tinted(e))


def _tinted(e: Evidence) -> bool:
    """Whether the picture begins in as light a shade as the bar has: only chroma, which is coarse, tells where."""
    return not e.black and e.step < 0.1 and min(e.turn, e.active) >= 0.95 and e.outside <= 0.03


def _belied(e: Evidence, others: Sequence[Evidence]) -> bool:
    """Whether the bar that faces this one is a picture in some frames: there it was boxed for a while, and here it is dark."""
    return any(o.against > 1 and abs(o.depth_px - e.depth_px) <= LEVEL_PX and _apart(e, o) <= ALIKE for o in others)


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
    if both and all(e.depth_px < 1.2 * SCREEN * depth and e.lettered > 0.01 for e in both):
        return -1.0  # the bars of a recorded screen belong to it
    if len(both) == 1 and both[0].depth_px > ONE_SIDE * depth:
        return -1.0  # a stage in the dark
    if not all(_allowed(e, *[o for o in both if o is not e], again=again) for e in both):
        return -1.0
    level = len(both) == 2 and abs(both[0].depth_px - both[1].depth_px) <= 1
    return (LEVEL if level else 1.0) * sum(
        (e.turn + e.step + e.steady) * e.active * (1 - e.outside) * (1 + e.depth_px / depth) for e in both
    )


def _allowed(e: Evidence, other: Evidence | None = None, *, again: bool) -> bool:
    """Whether this bar may be cut, given the one on the other side."""
    level = other is not None and abs(e.depth_px - other.depth_px) <= LEVEL_PX
    alike = other is not None and _apart(e, other) <= ALIKE
    clear = min(e.turn, e.steady) >= 0.85
    if _tinted(e) and not (other is not None and level and alike and other.steady >= 0.85):
        return False
    if other is not None and level and min(_bare(e), _bare(other)) >= 0.97:
        return True
    if e.black and not _strong(e) and not (level and other is not None and _strong(other)):
        return False
    if e.pure and (level or alike):
        return True
    if e.black and not level and not alike:  # a dark floor, a night sky, a stage: only what no camera films is cut
        whole = e.active * max(e.turn, e.steady) >= WHOLE_LINE
        return e.pure and e.even <= 1 and whole and (e.turn >= 0.75 or e.moving >= 0.4)
    if e.black and not level and other is not None and (e.even > 1 or _apart(e, other) > 2):
        return False  # two curtains
    if other is not None and (_painted(e, other) or _two_coloured(e, other)):
        return True
    if (level or alike) and e.recurs < RECURS:  # else a wall and a floor, a passage, or the stripes of a test card
        if level and alike and other is not None and max(e.moving, other.moving) >= 0.3:
            return True
        most = 0.9 if other is not None and _whole(e, other) and abs(e.depth_px - other.depth_px) <= 1 else PLAIN
        return e.moving >= 0.3 or (e.plain <= most and (alike or clear))
    if again:
        return False
    if other is not None:
        return clear and e.moving >= 0.6
    # alone, it is a sky, a road or a wall, unless it is lettered, or white and stays while the picture moves
    white = e.colour[0] >= WHITE and min(e.turn, e.steady) >= 0.95 and e.moving >= 0.5 and e.plain <= 0.9
    return white or (
        min(e.turn, e.steady) >= 0.97 and e.plain <= 0.5 and e.lettered >= max(0.02, STILL_TEXT * e.outside) and e.moving > 0
    )


def _painted(e: Evidence, other: Evidence) -> bool:
    """Whether two bars are the very same even colour and end along the whole of their sides, and it does not come back within.

    That is enough where nothing moves near the line: a flat wall in the picture.
    """
    level = abs(e.depth_px - other.depth_px) <= (LEVEL_PX if _tinted(e) != _tinted(other) else 1)
    if _apart(e, other) > 2 or max(e.recurs, other.recurs) >= RECURS:
        return False
    if level and max(e.even, other.even) == 0 and max(e.outside, other.outside) <= 0.03:  # as no camera films it
        ends = [min(x.active, x.turn) for x in (e, other)]
        return max(ends) >= 0.95 and min(ends) >= 0.75
    return _whole(e, other) and max(e.even, other.even) <= (2 if level else 0.5)


def _two_coloured(e: Evidence, other: Evidence) -> bool:
    """Whether two bars, each of its own even colour, end along their whole sides at the same depth, and the picture moves."""
    level = abs(e.depth_px - other.depth_px) <= 1
    even = max(e.even, other.even) == 0 and max(e.outside, other.outside) <= 0.03 and max(e.recurs, other.recurs) < RECURS
    return level and even and _whole(e, other) and max(e.moving, other.moving) >= 0.3


def _bare(e: Evidence) -> float:
    """The share of a side along which black, as painted, ends at one line, however dark what follows; 0 where text lies on it."""
    return min(e.turn, e.active) if e.pure and e.even == 0 and e.outside <= 0.005 else 0.0


def _apart(e: Evidence, other: Evidence) -> float:
    """The largest difference of the two colours, in levels of any plane."""
    return max(abs(a - b) for a, b in zip(e.colour, other.colour, strict=True))


def _whole(e: Evidence, other: Evidence) -> bool:
    """Whether both lines run, unbroken and all the time, along their whole sides."""
    return min(min(x.active, x.steady, x.turn) for x in (e, other)) >= 0.95


def _bar(chosen: Evidence | None, found: Sequence[Evidence]) -> Cut:
    if chosen:
        return Cut(chosen.depth_px, "black" if chosen.black else "colour", _sure(chosen))
    return Cut(confidence=NOTHING_SEEN - 0.5 * max([_sure(e) * e.active for e in found], default=0.0))


def _sure(e: Evidence) -> float:
    """The share of the line that can be seen, less what stands outside."""
    return min(1.0, max((e.turn + e.step) / 2, min(e.step, e.steady)) * (1 - e.outside))


def _pictured(line: Line) -> Cut:
    return Cut(line.depth_px, line.kind, min(0.95, 0.5 + 0.45 * line.strength))
