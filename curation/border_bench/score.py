"""How far a found box is from the truth, and what that makes over many videos.

An error is in pixels a side (left, top, right, bottom): above 0 is cut into the picture, below 0 is border that was left.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from curation.border_bench import held
from svmbench.records import Box

NEAR_PX, FAR_PX = 1, 2  # within_1 and within_2; beyond FAR_PX a side is a false cut or missed
Z95 = 1.959964  # of the normal distribution, for Wilson's interval
RATES = ("within_1", "within_2", "false_cut", "missed")
SIZE_360P = 360 * 640


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What one method said of one video. error_px: each side's error beyond the truth's own tolerance. iou: of the two boxes.

    cpu_ms: without decoding. kinds, confidences: of the four sides, where the method tells.
    """

    method: str
    box: Box
    error_px: tuple[int, int, int, int]
    iou: float
    cpu_ms: float
    kinds: tuple[str, ...] = ()
    confidences: tuple[float, ...] = ()

    @property
    def worst_px(self) -> int:
        return max(map(abs, self.error_px))


@dataclass(frozen=True, slots=True, kw_only=True)
class Scored:
    """One video with its truth and what every method said. file: of a labelled video, else ''. jpeg: a frame, for the sheet."""

    kind: str
    source: str
    half: str
    width_px: int
    height_px: int
    truth: Box
    tolerance_px: int
    case: Mapping[str, Any]
    found: tuple[Found, ...]
    jpeg: bytes

    def by(self, method: str) -> Found:
        return next(f for f in self.found if f.method == method)


def errors(truth: Box, box: Box, tolerance_px: int = 0) -> tuple[int, int, int, int]:
    """The error of each side, nearer to 0 by the tolerance."""
    off = (
        box.left_px - truth.left_px,
        box.top_px - truth.top_px,
        truth.left_px + truth.width_px - box.left_px - box.width_px,
        truth.top_px + truth.height_px - box.top_px - box.height_px,
    )
    left, top, right, bottom = (int(math.copysign(max(0, abs(e) - tolerance_px), e)) for e in off)
    return left, top, right, bottom


def overlap(a: Box, b: Box) -> float:
    """Intersection over union."""
    width = min(a.left_px + a.width_px, b.left_px + b.width_px) - max(a.left_px, b.left_px)
    height = min(a.top_px + a.height_px, b.top_px + b.height_px) - max(a.top_px, b.top_px)
    common = max(0, width) * max(0, height)
    return common / (a.width_px * a.height_px + b.width_px * b.height_px - common)


def wilson(hits: int, num: int) -> tuple[float, float]:
    """Wilson's 95 % interval of a rate."""
    if not num:
        return 0.0, 1.0
    rate, z2 = hits / num, Z95**2
    middle = (rate + z2 / (2 * num)) / (1 + z2 / num)
    half = Z95 / (1 + z2 / num) * math.sqrt(rate * (1 - rate) / num + z2 / (4 * num**2))
    return max(0.0, middle - half), min(1.0, middle + half)


def summary(found: Sequence[Found]) -> dict[str, Any]:
    """num, iou and cpu_ms (means), and every rate as [rate, low, high] with Wilson's interval."""
    hits = {
        "within_1": sum(f.worst_px <= NEAR_PX for f in found),
        "within_2": sum(f.worst_px <= FAR_PX for f in found),
        "false_cut": sum(max(f.error_px) > FAR_PX for f in found),
        "missed": sum(min(f.error_px) < -FAR_PX for f in found),
    }
    num = len(found)
    rates = {name: [number / num, *wilson(number, num)] for name, number in hits.items()}
    return {"num": num, **rates, "iou": sum(f.iou for f in found) / num, "cpu_ms": sum(f.cpu_ms for f in found) / num}


def table(scored: Sequence[Scored], methods: Iterable[str]) -> list[dict[str, Any]]:
    """One row a half, kind and method, after those of the GROUPS; groups that are empty or the whole half are left out."""
    methods, rows = list(methods), []
    for half in dict.fromkeys(s.half for s in scored):
        ours = [s for s in scored if s.half == half]
        groups = [(group, [s for s in ours if belongs(s)]) for group, belongs in GROUPS.items()]
        kinds = [(kind, [s for s in ours if s.kind == kind]) for kind in dict.fromkeys(s.kind for s in ours)]
        groups = [(group, some) for group, some in groups if group == TOTAL or 0 < len(some) < len(ours)]
        for kind, some in groups + kinds:
            for method in methods:
                row = {"half": half, "kind": kind, "method": method, **summary([s.by(method) for s in some])}
                at_360p = [s.by(method).cpu_ms for s in some if s.width_px * s.height_px == SIZE_360P]
                rows.append({**row, "cpu_ms_360p": sum(at_360p) / len(at_360p) if at_360p else None})
    return rows


def _bordered(scored: Scored) -> bool:
    return (scored.truth.width_px, scored.truth.height_px) != (scored.width_px, scored.height_px)


def _held(scored: Scored) -> bool:
    return scored.kind in held.KINDS and scored.kind not in held.OPENED


TOTAL = "total"
GROUPS: dict[str, Callable[[Scored], bool]] = {
    TOTAL: lambda _: True,
    "bordered": _bordered,
    "unbordered": lambda scored: not _bordered(scored),
    "held kinds": _held,
}
