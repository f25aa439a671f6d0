"""Which cases are made: kinds times sources, the rest drawn from the seed; or the user's labelled videos."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from curation.border_bench.kinds import HALVES, SHAPES, Case, Kind
from curation.border_bench.render import codecs
from svmbench.errors import BadInput

# All numbers are ours. The first size of a shape is drawn as often as all the others together.
SIZES = {
    "portrait": ((360, 640), (270, 480), (406, 720), (361, 641), (288, 512), (352, 626), (540, 960)),
    "landscape": ((640, 360), (480, 270), (641, 359), (568, 320), (426, 240), (854, 480)),
    "square": ((480, 480), (400, 500), (401, 399)),
}
SHARE_OF_SHAPE = {"portrait": 0.6, "landscape": 0.28, "square": 0.12}
RATES = (12, 15, 24, 25, 30)
LENGTHS = (36, 61)  # frames
CRF = (20, 35)
SHARE_OF_CODEC = {"libx264": 0.84, "libx265": 0.08, "libvpx-vp9": 0.08}


@dataclass(frozen=True, slots=True, kw_only=True)
class Labelled:
    """A video of the user's with the depth of its border on the left, top, right and bottom, in pixels as shown."""

    path: str
    bars: tuple[int, int, int, int]


def plan(half: str, num: int, seed: int, kinds: Mapping[str, Kind], sources: Sequence[str]) -> list[Case]:
    """`num` cases of a half: every kind as often as every other, each time on another source; the same for the same seed."""
    names, half_number = list(kinds), HALVES.index(half)
    order = np.random.default_rng([seed, half_number]).permutation(len(names))
    cases = []
    for index in range(num):
        place, turn = index % len(names), index // len(names)
        rng = np.random.default_rng([seed, half_number, index])
        kind = kinds[names[order[place]]]
        cases.append(_case(half, kind, sources[(place + turn) % len(sources)], rng))
    return cases


def _case(half: str, kind: Kind, source: str, rng: np.random.Generator) -> Case:
    shapes = [shape for shape in SHAPES if shape in kind.shapes]
    weights = np.array([SHARE_OF_SHAPE[shape] for shape in shapes])
    sizes = SIZES[shapes[rng.choice(len(shapes), p=weights / weights.sum())]]
    width, height = sizes[0] if rng.random() < 0.5 else sizes[rng.integers(1, len(sizes))]
    codec = list(SHARE_OF_CODEC)[rng.choice(len(SHARE_OF_CODEC), p=list(SHARE_OF_CODEC.values()))]
    return Case(
        kind=kind.name, source=source, half=half, width_px=width, height_px=height, num_frames=int(rng.integers(*LENGTHS)),
        fps=RATES[rng.integers(len(RATES))], seed=int(rng.integers(2**53)), codec=codec if codec in codecs() else "libx264",
        crf=int(rng.integers(*CRF)),
    )  # fmt: skip


def labelled(labels: Path) -> list[Labelled]:
    """The videos of a table 'file,left,top,right,bottom'; the files are named from the table's folder."""
    try:
        rows = list(csv.DictReader(labels.read_text().splitlines()))
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"{labels} cannot be read: {error}") from error
    found = []
    for number, row in enumerate(rows, start=2):
        try:
            left, top, right, bottom = (int(row[side]) for side in ("left", "top", "right", "bottom"))
            path = (labels.parent / row["file"]).resolve()
        except (KeyError, TypeError, ValueError) as error:
            raise BadInput(f"{labels}, line {number}: needs file,left,top,right,bottom with whole pixels") from error
        if min(left, top, right, bottom) < 0 or not path.is_file():
            raise BadInput(f"{labels}, line {number}: {'no such file' if not path.is_file() else 'a depth is below 0'}")
        found.append(Labelled(path=str(path), bars=(left, top, right, bottom)))
    if not found:
        raise BadInput(f"{labels} names no video; write one line a video: file,left,top,right,bottom")
    return found
