"""What a border is, side by side, and the ways to find one; each way is a file in curation/borders.

A border is found once for a clip and holds for all of it. The file is never cut: readers crop while they decode
(ClipMedia.with_box). Where it cannot be known whether something is border or picture, the picture is kept.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, cast

from svmbench import plugins
from svmbench.media import ClipMedia, Needs
from svmbench.records import Box

SIDES = ("left", "top", "right", "bottom")  # the order of Border.sides everywhere


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """The border on one side of the picture.

    kind: 'none', 'black' (dark, of one colour), 'colour' (any other single colour), 'blurred' (a blurred copy of the picture),
    'template' (a picture that stands still around the moving one). depth_px: 0 where kind is 'none'. confidence in [0, 1]: how
    sure the method is of this side, also of there being no border.
    """

    kind: str
    depth_px: int
    confidence: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Border:
    """box: the picture inside, in pixels as shown. sides: left, top, right, bottom."""

    box: Box
    sides: tuple[Side, Side, Side, Side]

    @property
    def kind(self) -> str:
        """'none', 'letterbox' (above and below), 'pillarbox' (left and right), 'windowbox' (on all four sides), 'one_sided', or
        'other' (two neighbouring sides, or three)."""
        left, top, right, bottom = (side.depth_px > 0 for side in self.sides)
        names = {
            (False, False, False, False): "none", (False, True, False, True): "letterbox",
            (True, False, True, False): "pillarbox", (True, True, True, True): "windowbox",
        }  # fmt: skip
        return names.get((left, top, right, bottom), "one_sided" if left + top + right + bottom == 1 else "other")

    @property
    def confidence(self) -> float:
        """Of the least sure side that is cut; of the least sure side at all where none is."""
        cut = [side.confidence for side in self.sides if side.depth_px]
        return min(cut or [side.confidence for side in self.sides])


class Method(Protocol):
    """What a module in curation/borders has. find() raises nothing for odd input: an unclear clip keeps its whole picture."""

    NEEDS: Needs

    def find(self, clip: ClipMedia) -> Border:
        """The border of a clip whose box is still the whole picture."""


def border_of(box: tuple[int, int, int, int], size: tuple[int, int], kind: str, confidence: float) -> Border:
    """A Border whose sides are all of one kind and confidence, from (left, top, right, bottom), right and bottom exclusive."""
    left, top, right, bottom = box
    depths = left, top, size[0] - right, size[1] - bottom
    sides = tuple(Side(kind=kind if depth else "none", depth_px=depth, confidence=confidence) for depth in depths)
    return Border(
        box=Box(left_px=left, top_px=top, width_px=right - left, height_px=bottom - top),
        sides=(sides[0], sides[1], sides[2], sides[3]),
    )


def method(name: str) -> Method:
    """The method with this name; UnknownName with the known ones otherwise."""
    return cast(Method, plugins.load("curation.borders", name))  # a module is a Method by having its names; test_contracts checks
