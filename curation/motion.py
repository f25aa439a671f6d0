"""How much moves in a clip: what the flow features share, and the numbers that are kept as measures of every clip.

Pairs of frames, four a second, inside the picture's box: adjacent ones, but at least GAP_S apart, because below half a pixel
noise and the coder, which carries over what hardly moves, outweigh the motion. A displacement is divided by the picture's
diagonal and by the time between the two frames, so it depends neither on the size nor the frame rate, nor on skipped frames or
bars. Pairs across a cut are left out, because flow between two scenes means nothing.

UT-CMVMR's own unit ("Optical Flow and Rhythm Quantization"; neither size nor frame rate is in the paper) is taken from its
released code: frames squashed to 224 x 224, one a second, and the mean length of the displacement from one to the next, in
pixels. Here the displacement between adjacent frames is scaled to that size and continued for one second; so what swings to and
fro, or leaves the picture within a second, counts for more than there.

Axes: T and P pairs, N points of a grid over the picture, S segments, C columns.
"""

from __future__ import annotations

from dataclasses import dataclass
from weakref import WeakKeyDictionary

import cv2
import numpy as np

from curation.flow import (
    Follow,
    camera_and_rest,
    dis_ultrafast,
    displacements,
    doubts,
    in_diagonals,
    is_cut,
    is_still,
    places,
    shrunk,
    steepness,
)
from svmbench.media import ClipMedia, FrameNeed, Frames, Needs
from svmbench.records import Features

GAP_S = 0.03  # ours: between the frames of a pair at least, so adjacent ones up to 33 a second, every second one of 60
PAIRS = FrameNeed(fps=4, short_side_px=160, plane="y", pairs=True, pair_gap_s=GAP_S)
NEEDS = Needs(frames=(PAIRS,))
COLUMNS = ("mean", "p90", "still_share", "camera", "object", "ut_cmvmr_px")
STILL = COLUMNS.index("still_share")

HOP_S = 4.0  # UT-CMVMR: a video is taken apart into segments of 4 s
UT_CMVMR_PX = 224  # its released code: width and height to which frames are squashed
UT_CMVMR_BIN_PX, UT_CMVMR_CLASSES = 5.0, 65  # its released code: 64 bins over [0, 320), and an Embedding(65, 512)

STILL_SHIFT = 0.001  # ours: in diagonals; a dark scene changes hardly a grey level and may move all the same
SAME = 1  # ours: grey levels; where no pixel differs by more, no flow is computed
SMALLEST_PX = 16  # flow needs a few pixels; the motion of a smaller picture is not measured


@dataclass(frozen=True, slots=True, kw_only=True)
class Motion:
    """Of a clip; None where it cannot be measured: no pair within one scene, or (all but still_share) below SMALLEST_PX.

    mean: displacement, averaged over the picture. p90: its 90th percentile over the picture. camera: that part of it which one
    shift, turn and zoom of the whole picture explains. object: what is left. All in diagonals a second, averaged over the pairs.
    still_share: of the pairs, in [0, 1]. ut_cmvmr_px: in UT-CMVMR's unit. num_pairs: pairs within one scene.
    """

    mean: float | None
    p90: float | None
    still_share: float | None
    camera: float | None
    object: float | None
    ut_cmvmr_px: float | None
    num_pairs: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PairMotions:
    """One row for each pair within one scene: when it begins, and the numbers of COLUMNS; NaN where there is no measure."""

    times_s_P: np.ndarray
    values_PC: np.ndarray


NONE = PairMotions(times_s_P=np.zeros(0), values_PC=np.zeros((0, len(COLUMNS))))
_of_clip: WeakKeyDictionary[ClipMedia, PairMotions] = WeakKeyDictionary()


def pair_motions(pairs: Frames, follow: Follow, unmoved_T: np.ndarray | None = None, *, small: bool = False) -> PairMotions:
    """What moves between the frames of each pair that lies within one scene; for pairs in unmoved_T no flow is computed.

    Pictures of shape (H, W) or, for a `follow` that wants colour, (H, W, 3). small: `follow` wants them shrunk.
    """
    if pairs.next_images is None or pairs.next_times_s_T is None or not len(pairs.images):
        return NONE
    used, moved, steep = [], [], []
    size, small_size = pairs.images.shape[1:3], shrunk(_grey(pairs.images[0])).shape
    for i, (first, second) in enumerate(zip(pairs.images, pairs.next_images, strict=True)):
        first, second = np.ascontiguousarray(first), np.ascontiguousarray(second)
        grey, next_grey = _grey(first), _grey(second)
        view, next_view = shrunk(grey), shrunk(next_grey)
        if is_cut(view, next_view):
            continue
        used.append((i, is_still(grey, next_grey)))
        if min(size) >= SMALLEST_PX:
            same = (unmoved_T is not None and unmoved_T[i]) or cv2.norm(grey, next_grey, cv2.NORM_INF) <= SAME
            seen = (view, next_view) if small else (first, second)
            moved.append(displacements(np.zeros((*seen[0].shape[:2], 2), np.float32) if same else follow(*seen), small_size))
            steep.append(steepness(view))
    if not used:
        return NONE
    index, still = np.array(used).T
    if not moved:
        values = np.full((len(used), len(COLUMNS)), np.nan)
        values[:, STILL] = still
    else:
        lasts_s = pairs.next_times_s_T[index] - pairs.times_s_T[index]
        moved_PN = in_diagonals(np.stack(moved), small_size if small else size, size)
        values = _numbers(moved_PN, doubts(np.stack(steep), small_size), still > 0, lasts_s, places(size, small_size), size)
    return PairMotions(times_s_P=pairs.times_s_T[index], values_PC=values)


def _grey(image: np.ndarray) -> np.ndarray:
    return image if image.ndim == 2 else cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)


def _numbers(
    moved_PN: np.ndarray,
    doubt_PN: np.ndarray,
    alike_P: np.ndarray,
    lasts_s_P: np.ndarray,
    place_N: np.ndarray,
    size: tuple[int, int],
) -> np.ndarray:
    """values_PC of pairs whose displacements are known, in a picture of this (height, width)."""
    camera, rest = camera_and_rest(moved_PN, doubt_PN, place_N)
    whole, per_side = camera + rest, UT_CMVMR_PX * np.hypot(*size)
    length = np.abs(whole)
    mean = length.mean(axis=1)
    squashed = np.hypot(whole.real * (per_side / size[1]), whole.imag * (per_side / size[0]))
    high = int(0.9 * length.shape[1])
    p90 = np.partition(length, high, axis=1)[:, high]
    a_second = [mean, p90, np.abs(camera).mean(axis=1), np.abs(rest).mean(axis=1)]
    a_second = [values / lasts_s_P for values in (*a_second, squashed.mean(axis=1))]
    return np.stack([*a_second[:2], alike_P & (mean < STILL_SHIFT), *a_second[2:]], axis=1)


def of_clip(clip: ClipMedia) -> PairMotions:
    """The default measure, by DIS at a short side of 160: computed once for each clip, whoever asks."""
    if clip not in _of_clip:
        _of_clip[clip] = pair_motions(clip.frames(PAIRS), dis_ultrafast(), small=True)
    return _of_clip[clip]


def clip_motion(clip: ClipMedia) -> Motion:
    """How much moves in the whole clip."""
    found = of_clip(clip)
    with_measure = np.isfinite(found.values_PC).all(axis=0) if len(found.times_s_P) else np.zeros(len(COLUMNS), bool)
    values = {
        name: float(column.mean()) if there else None
        for name, column, there in zip(COLUMNS, found.values_PC.T, with_measure, strict=True)
    }
    return Motion(**values, num_pairs=len(found.times_s_P))


def by_segment(found: PairMotions, duration_s: float) -> Features:
    """values_TD of shape (segments, 6): the mean over the pairs of each 4 s, the last being what is left of the clip.

    A segment without a pair takes the values of the nearest one that has some. A clip without any is still; where only the length
    of the motion cannot be measured, it is 0.
    """
    num_segments = max(1, int(np.ceil(duration_s / HOP_S - 1e-6)))
    if not len(found.times_s_P):
        return Features(values_TD=np.array([[0, 0, 1, 0, 0, 0]] * num_segments, np.float32), hop_s=HOP_S)
    segment_P = np.minimum((found.times_s_P / HOP_S + 1e-6).astype(int), num_segments - 1)
    there = np.unique(segment_P)
    means = np.stack([np.nan_to_num(found.values_PC[segment_P == segment]).mean(axis=0) for segment in there])
    nearest = np.abs(np.arange(num_segments)[:, None] - there[None, :]).argmin(axis=1)
    return Features(values_TD=means[nearest].astype(np.float32), hop_s=HOP_S)


def ut_cmvmr_class(displacement_px: float) -> int:
    """UT-CMVMR's class of a segment, in [0, 64], from the column ut_cmvmr_px: 5 pixels each; 64 from 320 pixels on.

    Its released code has no class beyond 320 pixels and breaks off there; the Embedding has room for this one.
    """
    return int(np.clip(displacement_px // UT_CMVMR_BIN_PX, 0, UT_CMVMR_CLASSES - 1))
