"""Black borders, found by the seven steps of MVBind (arXiv 2405.09286, section 3.1, "video black border").

The paper gives one sentence a step and no number. Each step below is one function whose docstring says how its sentence is read;
every number is ours. Axes: T time, H height, W width; luma is uint8 as coded, so black is 0 or 16.

Where the letter of the text goes wrong, and what is done here:
- Step 1 calls a frame without contrast (a fade, a black flash) borderless, and step 6 would let such frames vote. They have no
  picture to find, so a frame of nearly one grey does not vote.
- Steps 2 to 6 judge frame by frame. A dark scene in a wide shot looks like a border in that frame, and a video that is boxed for
  half its time would lose the top and bottom of the other half. So the border of step 6 is held against all frames, and where
  some show a picture outside it nothing is cut: a wrong cut cannot be repaired later, a missed one can.
- Bars on all four sides shorten each other's edges, so columns are looked at between the bars above and below, and rows again
  between those on the left and right.
- Step 5 folds about the centre, so borders on one side only, or of clearly unequal widths, cannot be found: they stay. So do bars
  with a caption or a logo in them, coloured bars and blurred fills; "black" is read as dark grey at most.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from skimage.filters import threshold_otsu

from curation.border import Border, border_of
from svmbench.media import ClipMedia, FrameNeed, Needs
from svmbench.records import Box

FRAMES = FrameNeed(count=16)  # ours: luma at full size, evenly spread over the clip
NEEDS = Needs(frames=(FRAMES,))

FLAT_HISTOGRAM = 0.004  # step 1: standard deviation of the histogram's 256 shares; bars of a twentieth of the frame reach 0.004
ONE_GREY = 4.0  # step 1: a frame whose luma deviates less than this has no picture to find
EDGE_LENGTH = 0.4  # step 4: an edge runs along at least this share of its line, in the mean of both sides when folded
EDGE_LENGTH_A_SIDE = 0.2  # step 5: and along this share on each side alone
FOLD_PX = 2  # step 5: how far the two edges may be from mirroring each other
SOLID_DEVIATION = 8.0  # steps 4 and 5: a strip whose luma deviates less is close to a solid colour
DARK = 56  # step 5: the mean luma of a border that counts as black
SAME_BOX = 0.9  # step 6: boxes that overlap more are the same border
LIVE = 24  # after step 6: a pixel this far from the border's grey belongs to a picture
LIVE_SHARE = 0.15  # and a frame with more such pixels outside the box speaks against it
CONTRADICTED = 0.1  # a border that more than this share of the frames speaks against is not cut


@dataclass(frozen=True, slots=True)
class _Found:
    """What one frame says: (left, top, right, bottom), right and bottom exclusive, and how long its edges are."""

    box: tuple[int, int, int, int]
    strength: float


def find(clip: ClipMedia) -> Border:
    """The border that all frames of a video share; the whole picture where none is sure."""
    return find_border(clip.frames(FRAMES).images)


def find_border(frames_THW: np.ndarray) -> Border:
    """The same from luma frames. The confidence is the share of the frames with contrast that agree on the box.

    Of a side without a border it is the share of the frames that agree on that, and 0 where a border was found that other frames
    speak against.
    """
    height, width = frames_THW.shape[1:]
    whole = (0, 0, width, height)
    found = [f for f in map(_frame_border, frames_THW) if f is not None]
    if not found:
        return border_of(whole, (width, height), "black", 0.0)
    best, share = suppress(found)
    if best != whole and contradicted(frames_THW, best):
        best, share = whole, 0.0
    return border_of(best, (width, height), "black", share)


def crop(frames_THW: np.ndarray, box: Box) -> np.ndarray:
    """Step 7, "segment screenshots": every frame is cut with the one box. ClipMedia does the same for scaled frames."""
    return frames_THW[:, box.top_px : box.top_px + box.height_px, box.left_px : box.left_px + box.width_px]


def _frame_border(luma_HW: np.ndarray) -> _Found | None:
    """Steps 1 to 5 for one frame; None when the frame has no contrast and so no vote."""
    height, width = luma_HW.shape
    counts = cv2.calcHist([luma_HW], [0], None, [256], [0, 256]).ravel()
    if _deviation(counts) < ONE_GREY:
        return None
    if histogram_deviation(counts) < FLAT_HISTOGRAM or min(height, width) < 16:
        return _Found((0, 0, width, height), 0.0)
    rows_HW, columns_HW = sobel(binarise(luma_HW, counts))
    top, bottom, _ = fold(edge_lengths(rows_HW), luma_HW)
    upright_WH, luma_WH = cv2.transpose(columns_HW), cv2.transpose(luma_HW)
    left, right, level = fold(edge_lengths(upright_WH[:, top:bottom]), luma_WH[:, top:bottom])
    top, bottom, upright = fold(edge_lengths(rows_HW[:, left:right]), luma_HW[:, left:right])
    return _Found((left, top, right, bottom), max(upright, level))


def _deviation(counts: np.ndarray) -> float:
    grey, total = np.arange(256), counts.sum()
    mean = (counts * grey).sum() / total
    return float(np.sqrt((counts * (grey - mean) ** 2).sum() / total))


def histogram_deviation(counts: np.ndarray) -> float:
    """Step 1, "calculate standard deviation": of the histogram's bins, as shares of the frame.

    A border puts much of the frame into a few bins, which makes the bins differ; a flat histogram (small deviation) has none.
    """
    return float((counts / counts.sum()).std())


def binarise(luma_HW: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Step 2, "convert to binary image": Otsu's threshold parts foreground (255) from background (0)."""
    threshold = threshold_otsu(hist=(counts, np.arange(256)))
    return cv2.threshold(luma_HW, float(threshold), 255, cv2.THRESH_BINARY)[1]


def sobel(binary_HW: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Step 3, "Sobel edge detection": 1 where an edge runs along a row (vertical direction), and where along a column."""
    along_rows = cv2.Sobel(binary_HW, cv2.CV_16S, 0, 1, ksize=3) != 0
    along_columns = cv2.Sobel(binary_HW, cv2.CV_16S, 1, 0, ksize=3) != 0
    return along_rows.view(np.uint8), along_columns.view(np.uint8)


def edge_lengths(edges_LM: np.ndarray) -> np.ndarray:
    """Step 4, "edge analysis": the share of each line that is an edge; entry i answers to the step from line i - 1 to line i.

    Sobel marks both lines beside a step, so the weaker mark is the edge's length.
    """
    marks = _line_sums(edges_LM) / edges_LM.shape[1]
    steps = np.minimum(marks, np.roll(marks, 1))
    steps[0] = 0.0
    return np.asarray(steps)


def _line_sums(image_LM: np.ndarray) -> np.ndarray:
    depth = cv2.CV_32S if image_LM.dtype == np.uint8 else cv2.CV_64F
    return cv2.reduce(image_LM, 1, cv2.REDUCE_SUM, dtype=depth).ravel()


def fold(lengths_L: np.ndarray, luma_LM: np.ndarray) -> tuple[int, int, float]:
    """Step 5, "identify black border edge": (first line of the picture, line after its last, length of the edges) along one axis.

    Folded about the centre, the edge at line i must meet the edge at its mirrored place; both strips outside must be close to one
    dark colour (step 4's average pixel values), and the picture's line just inside must not be close to it. The innermost such
    pair is the border; without one the picture is whole.
    """
    size = len(lengths_L)
    best = (0, size, 0.0)
    lows = np.flatnonzero(lengths_L[: size // 2] >= EDGE_LENGTH_A_SIDE)
    if not len(lows):
        return best
    outside_low, outside_high = _strips(luma_LM), _strips(cv2.flip(luma_LM, 0))
    for low in map(int, lows):
        first, last = max(size // 2 + 1, size - low - FOLD_PX), min(size - 1, size - low + FOLD_PX)
        if first > last:
            continue
        high = first + int(np.argmax(lengths_L[first : last + 1]))
        length = float(lengths_L[low] + lengths_L[high]) / 2
        if length < EDGE_LENGTH or lengths_L[high] < EDGE_LENGTH_A_SIDE:
            continue
        if outside_low(low) and outside_high(size - high) and _differs(luma_LM, low, high):
            best = (low, high, length)
    return best


def _strips(luma_LM: np.ndarray) -> Callable[[int], bool]:
    """A function that tells for a depth whether the strip from the frame's edge to there is close to one dark colour."""
    half_LM = luma_LM[: len(luma_LM) // 2]
    sums = np.cumsum(_line_sums(half_LM))
    squares = np.cumsum(_line_sums(cv2.multiply(half_LM, half_LM, dtype=cv2.CV_32F)))

    def solid(depth: int) -> bool:
        number = depth * luma_LM.shape[1]
        mean = sums[depth - 1] / number
        return bool(mean <= DARK and squares[depth - 1] / number - mean**2 <= SOLID_DEVIATION**2)

    return solid


def _differs(luma_LM: np.ndarray, low: int, high: int) -> bool:
    """Whether the picture's outermost lines are anything else than the border's colour."""
    border = float(luma_LM[:low].mean())
    inside = np.concatenate([luma_LM[low : low + 2], luma_LM[high - 2 : high]]).astype(np.float32)
    return bool(np.abs(inside - border).mean() > SOLID_DEVIATION)


def suppress(found: Sequence[_Found]) -> tuple[tuple[int, int, int, int], float]:
    """Step 6, "non-maximum suppression": (the box that stands for most frames, the share of frames it stands for).

    In order of edge length each box takes the boxes that overlap it by SAME_BOX; of what is left, the one that took most frames
    is the unified border.
    """
    rest = sorted(found, key=lambda f: -f.strength)
    kept: list[tuple[int, tuple[int, int, int, int]]] = []
    while rest:
        first = rest[0]
        taken = [f for f in rest if overlap(first.box, f.box) > SAME_BOX and (f.strength > 0) == (first.strength > 0)]
        kept.append((len(taken), first.box))
        rest = [f for f in rest if f not in taken]
    number, box = max(kept, key=lambda k: k[0])
    return box, number / len(found)


def overlap(a: tuple[int, int, int, int], b: tuple[int, int, int, int]) -> float:
    """Intersection over union of two boxes (left, top, right, bottom)."""
    width, height = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    common = max(0, width) * max(0, height)
    return common / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - common)


def contradicted(frames_THW: np.ndarray, box: tuple[int, int, int, int]) -> bool:
    """Whether too many frames show a picture outside the box: step 5's "close to a solid colour", asked of the whole video."""
    left, top, right, bottom = box
    against = 0
    for luma_HW in frames_THW:
        strips = (luma_HW[:top], luma_HW[bottom:], luma_HW[top:bottom, :left], luma_HW[top:bottom, right:])
        against += any(s.size and _live_share(s) > LIVE_SHARE for s in strips)
    return against > CONTRADICTED * len(frames_THW)


def _live_share(strip: np.ndarray) -> float:
    return float((cv2.absdiff(strip, np.full_like(strip, np.median(strip))) > LIVE).mean())
