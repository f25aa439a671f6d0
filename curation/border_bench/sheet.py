"""The contact sheet of failures: a frame of each video that a method got wrong, with the truth and every method's box.

Axes: H height, W width, C colour (blue, green, red, as OpenCV writes it).
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from curation.border_bench.score import FAR_PX, Scored
from svmbench.records import Box

WIDTH_PX, HEIGHT_PX, GAP_PX, LINE_PX = 250, 250, 8, 15  # ours: of a tile's picture, and of a line of text
MOST = 160  # ours: tiles on one sheet
TRUTH = (80, 220, 60)
COLOURS = ((70, 70, 255), (255, 170, 60), (30, 180, 255), (230, 90, 220), (220, 220, 60))
TEXT, GROUND = (235, 235, 235), (38, 38, 38)


def failures(scored: Sequence[Scored], method: str) -> list[Scored]:
    """The videos where a side is more than FAR_PX off: false cuts first, then the largest error first."""
    wrong = [s for s in scored if s.by(method).worst_px > FAR_PX]
    return sorted(wrong, key=lambda s: (max(s.by(method).error_px) <= FAR_PX, s.kind, -s.by(method).worst_px))


def sheet(shown: Sequence[Scored], methods: Sequence[str], title: str) -> np.ndarray:
    """image_HWC of at most MOST tiles, about twice as wide as high on a screen; a line that says so where none failed."""
    tiles = [tile(s, methods) for s in shown[:MOST]]
    left_out = f"; the first {MOST} of {len(shown)}" if len(shown) > MOST else ""
    columns = max(3, min(len(tiles), int(np.ceil(np.sqrt(1.9 * len(tiles)))))) if tiles else 3
    head = np.full((2 * LINE_PX + GAP_PX, columns * (WIDTH_PX + GAP_PX) + GAP_PX, 3), GROUND, np.uint8)
    _say(head, title + left_out, (GAP_PX, LINE_PX), TEXT)
    x = GAP_PX
    for name, paint in (("truth", TRUTH), *zip(methods, COLOURS, strict=False)):
        _say(head, name, (x, 2 * LINE_PX), paint)
        x += 9 * len(name) + 16
    rows = [head]
    for first in range(0, len(tiles), columns):
        row = tiles[first : first + columns]
        blank = np.full_like(tiles[0], GROUND)
        rows.append(np.hstack([*row, *[blank] * (columns - len(row)), np.full((blank.shape[0], GAP_PX, 3), GROUND, np.uint8)]))
    return np.vstack(rows)


def tile(scored: Scored, methods: Sequence[str]) -> np.ndarray:
    """image_HWC: the frame with the boxes drawn just outside one another's lines, the kind, and each method's errors."""
    image_HWC = np.asarray(cv2.imdecode(np.frombuffer(scored.jpeg, np.uint8), cv2.IMREAD_COLOR))
    scale = min(WIDTH_PX / scored.width_px, HEIGHT_PX / scored.height_px)
    size = round(scored.width_px * scale), round(scored.height_px * scale)
    tall = HEIGHT_PX + (len(methods) + 2) * LINE_PX + GAP_PX
    page = np.full((tall, WIDTH_PX + GAP_PX, 3), GROUND, np.uint8)
    picture = cv2.resize(image_HWC, size, interpolation=cv2.INTER_AREA)
    for number, name in reversed(list(enumerate(methods))):
        _outline(picture, scored.by(name).box, scale, COLOURS[number % len(COLOURS)], 1)
    _outline(picture, scored.truth, scale, TRUTH, 1)
    page[: size[1], GAP_PX : GAP_PX + size[0]] = picture
    _say(page, f"{scored.kind}  {scored.width_px}x{scored.height_px}", (GAP_PX, HEIGHT_PX + LINE_PX), TEXT)
    _say(page, scored.source[:32], (GAP_PX, HEIGHT_PX + 2 * LINE_PX), TEXT)
    for number, name in enumerate(methods):
        errors = " ".join(f"{e:+d}" if e else "0" for e in scored.by(name).error_px)
        place = (GAP_PX, HEIGHT_PX + (3 + number) * LINE_PX)
        _say(page, f"{name} {errors}", place, COLOURS[number % len(COLOURS)])
    return page


def _outline(image_HWC: np.ndarray, box: Box, scale: float, paint: tuple[int, int, int], thick: int) -> None:
    left, top = round(box.left_px * scale), round(box.top_px * scale)
    right, bottom = round((box.left_px + box.width_px) * scale) - 1, round((box.top_px + box.height_px) * scale) - 1
    cv2.rectangle(image_HWC, (left, top), (right, bottom), paint, thick)


def _say(image_HWC: np.ndarray, text: str, place: tuple[int, int], paint: tuple[int, int, int]) -> None:
    plain = text.encode("ascii", "replace").decode()
    cv2.putText(image_HWC, plain, place, cv2.FONT_HERSHEY_SIMPLEX, 0.4, paint, 1, cv2.LINE_AA)
