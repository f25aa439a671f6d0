"""Borders that are pictures: two lines that face each other and stay while the picture moves, with something simple outside.

Axes: T time, D depth in pixels from the outside in, S samples along the side. All numbers are ours.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from curation.borders._strips import Strips

STILL = 10  # a pixel whose luma stays within so many levels stands still
STILL_SHARE = 0.93  # of the pixels outside, for a template
SMOOTH = 0.35  # a blurred copy has at most this share of the detail of the picture
SMOOTH_LEVEL = 2.5  # and less than this between neighbouring lines, in grey levels
LEAST = 0.03  # of the side's depth: no one frames a picture with less
SCREEN = 0.1  # the bars of a recorded screen are less deep than this, and stand still too
UNMARKED = 1.0  # a bar without lettering has no line that differs more from the one before
EQUAL_PX = 4
RIVALS = 2  # so many lines inside may be as strong; more are a pattern of which the outermost is nothing special
VISIBLE = 0.3  # a frame shows the line where this share of it is a step
ODD_FRAMES = 0.07  # one frame of sixteen may be a flash


@dataclass(frozen=True, slots=True)
class Line:
    """A line that may be where the picture begins. kind: what lies outside, smooth: its detail as a share of that of the picture.

    held in [0, 1]: how much of the line stays. jump: its mean step over the larger ones of the picture inside. moving: share of
    the pixels outside that change.
    """

    depth_px: int
    kind: str
    held: float
    jump: float
    smooth: float
    moving: float

    @property
    def strength(self) -> float:
        return max(self.held, min(1.0, (self.jump - 1) / 4))


def surround(near: Strips, far: Strips) -> tuple[Line, Line] | None:
    """The pair of lines with something blurred, or something still, outside both; None where there is no such pair."""
    depth = near.luma_TDS.shape[1]
    others = lines(far)
    pairs = [
        (one, two)
        for one in (lines(near) if others else ())
        for two in others
        if one.kind == two.kind and one.depth_px + two.depth_px < 0.92 * depth and _fit(one, two, depth)
    ]
    return max(pairs, key=lambda p: p[0].strength + p[1].strength, default=None)


def _fit(one: Line, two: Line, depth: int) -> bool:
    """Whether two lines belong together: at equal depths, or both so clear that this needs not be."""
    apart, least, most = abs(one.depth_px - two.depth_px), min(one.held, two.held), max(one.held, two.held)
    still = max(one.moving, two.moving) < 1 - STILL_SHARE
    if apart <= 2 and (most >= 0.8 or (not still and max(one.smooth, two.smooth) <= 0.15)):
        return True
    if apart <= max(EQUAL_PX, 0.02 * depth) and (least >= 0.45 if still else max(one.strength, two.strength) >= 0.45):
        return True
    clear = least >= 0.85 and min(one.depth_px, two.depth_px) >= SCREEN * depth
    return clear and (one.kind == "template" or not still)


def lines(side: Strips) -> list[Line]:
    """The lines of a side that stay and have something simple outside."""
    number, depth = side.size_TD.shape
    if number < 3 or depth < 32:
        return []
    held_DS = side.steps_DS > 0.5 * number
    held_D, size_D = held_DS.mean(axis=1), np.median(side.size_TD, axis=0)
    moves_DS = side.luma_TDS.max(axis=0) - side.luma_TDS.min(axis=0) > STILL
    moves_D = moves_DS.mean(axis=1)
    found = []
    for at in _peaks(held_D, size_D, depth):
        inside = slice(at + 3, max(at + 6, at + (depth - at) // 2))
        jump = float(size_D[at] / max(0.5, np.percentile(size_D[inside], 95)))
        usual = float(np.percentile(held_D[inside], 90))
        beyond = slice(at + 3, int(0.9 * depth))
        rivals = int(((size_D[beyond] >= 0.85 * size_D[at]) & (held_D[beyond] >= 0.85 * held_D[at])).sum())
        if (held_D[at] - usual < 0.3 and jump < 1.5) or rivals > RIVALS:
            continue
        detail, within = float(np.median(size_D[1 : at - 1])), float(size_D[inside].mean())
        active_S = moves_DS[at + 1 : at + max(6, depth // 8)].any(axis=0)
        along = float(held_DS[at, active_S].mean()) if active_S.any() else 0.0
        moving, smooth = float(moves_D[: at - 1].mean()), detail / max(0.01, within)
        still = moving < 1 - STILL_SHARE
        if still and at < SCREEN * depth and size_D[2 : at - 2].max(initial=0) > UNMARKED:
            continue
        if still and active_S.mean() > 0.3 and along > 0.25:
            found.append(Line(at, "template", along, jump, smooth, moving))
        elif detail <= min(SMOOTH * within, SMOOTH_LEVEL) and not _crossed(side, at):
            found.append(Line(at, "blurred", float(held_D[at]), jump, smooth, moving))
    return found


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
