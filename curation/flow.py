"""Two adjacent frames: are they one scene, do they differ, which way does each pixel go, and what of it is the camera.

Summed up are the points of a grid over the picture. Their places and displacements are complex numbers, across + 1j * down, in
diagonals of the picture: then a shift, turn and zoom of the whole is `shift + twist * place`, and sizes need not be told.

Axes: H height, W width, P pairs, N the points of the grid, row by row.
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

Follow = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""Two pictures (H, W) or (H, W, 3) -> flow (h, w, 2) all over the first, as fine or coarser: how far each pixel of it has moved
right and down, in its own pixels."""

NOISE = 6  # ours: grey levels that coding alone may change
CHANGED_SHARE = 0.001  # ours: of two pictures that are the same, fewer pixels differ by more
CUT_LEVEL = 2.0  # ours: across a cut the thumbnails differ by at least this mean grey level
CUT_LIKENESS = 0.6  # ours: and their correlation, about each one's mean, is below this
FAINT = 4.0**2  # ours: added to the variances, so that two nearly black thumbnails do not count as unlike
SHIFT_LIKENESS = 0.8  # ours: and the middle of neither is found in the other with at least this correlation
THUMBNAIL, VIEW = (16, 16), (64, 64)
SMALL_PX = 72  # ours: the short side of the small picture, which the default search looks at
PATCH_PX = 8  # DIS: the side of the patches that it searches for
GRID_PX = 4  # ours: points lie half a patch apart, in the small picture
ROUNDS = 4  # ours: how often the camera's motion is fitted again, each time trusting less what does not follow it
LEAST_SPREAD = 1.5e-4  # ours: diagonals; half that of flow's noise, so that a perfect fit divides by no zero
NOISE_SMALL = 0.5  # ours: grey levels, standard deviation of what noise and coding leave in a small picture
SIGMAS = 3  # what lies within three standard deviations of noise is taken for noise
SOBEL = 8  # its weights: a slope of one grey level a pixel gives this
MOST_DOUBT_PX = 0.7  # ours: of the small picture; a difference beyond this is motion, however flat the place


def is_still(first_HW: np.ndarray, second_HW: np.ndarray) -> bool:
    """Whether hardly a pixel differs by more than the coder's noise."""
    difference = cv2.absdiff(np.ascontiguousarray(first_HW), np.ascontiguousarray(second_HW))
    changed = cv2.countNonZero(cv2.threshold(difference, NOISE, 1, cv2.THRESH_BINARY)[1])
    return changed < CHANGED_SHARE * difference.size


def is_cut(first_HW: np.ndarray, second_HW: np.ndarray) -> bool:
    """Whether two adjacent frames show different scenes, or one of them nothing (a white-out), so that none can be followed.

    Told by thumbnails: motion within a scene hardly changes those, a flash changes their level but not their pattern, and a fast
    pan shifts it.
    """
    first_HW, second_HW = np.ascontiguousarray(first_HW), np.ascontiguousarray(second_HW)
    if cv2.norm(first_HW, second_HW, cv2.NORM_L1) < CUT_LEVEL * first_HW.size:
        return False  # thumbnails differ by no more than the pictures do
    a, b = (cv2.resize(image, THUMBNAIL, interpolation=cv2.INTER_AREA) for image in (first_HW, second_HW))
    if cv2.norm(a, b, cv2.NORM_L1) < CUT_LEVEL * a.size:
        return False
    a, b = (thumbnail.ravel().astype(np.float64) - cv2.mean(thumbnail)[0] for thumbnail in (a, b))
    likeness = (a @ b) / np.sqrt((a @ a + FAINT * a.size) * (b @ b + FAINT * b.size))
    return bool(likeness < CUT_LIKENESS) and not _is_shifted(first_HW, second_HW)


def _is_shifted(first_HW: np.ndarray, second_HW: np.ndarray) -> bool:
    """Whether the middle half of one picture is found in the other, up to a quarter of the picture away."""
    a, b = (cv2.resize(image, VIEW, interpolation=cv2.INTER_AREA) for image in (first_HW, second_HW))
    rows, columns = (slice(length // 4, -length // 4) for length in VIEW[::-1])
    for image, middle in ((a, b[rows, columns]), (b, a[rows, columns])):
        if middle.var() > FAINT and cv2.matchTemplate(image, middle, cv2.TM_CCOEFF_NORMED).max() >= SHIFT_LIKENESS:
            return True
    return False


def shrunk(image: np.ndarray) -> np.ndarray:
    """The small picture, its sides whole numbers of patches: shrunk by a whole number first, which is quick and averages."""
    times = min(image.shape[:2]) // SMALL_PX
    if times == 0:
        return np.ascontiguousarray(image)
    height, width = (length // times for length in image.shape[:2])
    whole = np.ascontiguousarray(image[: height * times, : width * times])
    near = cv2.resize(whole, (width, height), interpolation=cv2.INTER_AREA)
    patches = (round(length * SMALL_PX / min(height, width) / PATCH_PX) for length in (width, height))
    return cv2.resize(near, tuple(n * PATCH_PX for n in patches), interpolation=cv2.INTER_LINEAR)


def dis(preset: int, **changes: int) -> Follow:
    """Dense inverse search, after Kroeger et al. 2016, as OpenCV has it; `changes` to the preset, by the names of its setters."""
    search = cv2.DISOpticalFlow.create(preset)
    for name, value in changes.items():
        getattr(search, f"set{name}")(value)
    calc: Callable[..., np.ndarray] = search.calc
    return lambda first_HW, second_HW: calc(first_HW, second_HW, None)


def dis_ultrafast() -> Follow:
    """The ultrafast preset on small pictures, down to their full size, with patches side by side and half of the steps.

    Ours: as it is, the preset looks at a quarter of the size and enlarges the flow; this looks at half and does not enlarge.
    tests/perf/flow.py has both. It is given small pictures, as `shrunk` makes them.
    """
    return dis(cv2.DISOPTICAL_FLOW_PRESET_ULTRAFAST, FinestScale=0, PatchStride=PATCH_PX, GradientDescentIterations=6)


def dis_fast() -> Follow:
    return dis(cv2.DISOPTICAL_FLOW_PRESET_FAST)


def _at_points(image: np.ndarray, small: tuple[int, int]) -> np.ndarray:
    """(rows, columns) or (rows, columns, 2): what an array over the whole picture has at the points of the grid."""
    rows, columns = (max(1, length // GRID_PX) for length in small)
    return cv2.resize(image, (columns, rows), interpolation=cv2.INTER_NEAREST_EXACT)


def places(size: tuple[int, int], small: tuple[int, int]) -> np.ndarray:
    """(N,) complex64: where the points are, from the middle of a picture of this (height, width)."""
    rows, columns = (max(1, length // GRID_PX) for length in small)
    y, x = np.mgrid[(1 - rows) / rows : 1 : 2 / rows, (1 - columns) / columns : 1 : 2 / columns]
    return ((x * size[1] + 1j * y * size[0]) / (2 * np.hypot(*size))).astype(np.complex64).ravel()


def displacements(flow_HW2: np.ndarray, small: tuple[int, int]) -> np.ndarray:
    """(N,) complex64: at the points, in pixels of that flow."""
    return _at_points(flow_HW2, small).view(np.complex64).ravel()


def in_diagonals(moved_PN: np.ndarray, of: tuple[int, int], size: tuple[int, int]) -> np.ndarray:
    """Displacements in pixels of a flow of this (height, width) in diagonals of the picture of that size that it covers."""
    moved_PN2 = moved_PN.view(np.float32).reshape(*moved_PN.shape, 2)
    scale = np.array([size[1] / of[1], size[0] / of[0]] / np.hypot(*size), np.float32)
    return (moved_PN2 * scale).view(np.complex64)[..., 0]


def steepness(small_HW: np.ndarray) -> np.ndarray:
    """(N,) float32: the mean square of the change of grey a pixel around each point, along both axes together."""
    across, down = (cv2.multiply(slope, slope, dtype=cv2.CV_32F) for slope in cv2.spatialGradient(small_HW))
    rows, columns = (max(1, length // GRID_PX) for length in small_HW.shape)
    squared = cv2.resize(cv2.add(across, down), (columns, rows), interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.blur(squared, (3, 3)).ravel())


def doubts(steepness_PN: np.ndarray, small: tuple[int, int]) -> np.ndarray:
    """(P, N) float32: the variance of the displacement that noise alone brings about there, in squared diagonals.

    That of a least-squares match of a patch of n pixels whose grey levels change by g a pixel, along both axes together, under
    noise in both pictures: 8 noise^2 / (n mean(g^2)). Where a picture is flat nothing can be matched.
    """
    variance = SIGMAS**2 * 8 * NOISE_SMALL**2 / (PATCH_PX**2 * np.maximum(steepness_PN / SOBEL**2, 1e-6))
    return np.asarray(np.minimum(variance, MOST_DOUBT_PX**2) / np.float32(small[0] ** 2 + small[1] ** 2))


def camera_and_rest(moved_PN: np.ndarray, doubt_PN: np.ndarray, place_N: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Displacements taken apart: one shift, turn and zoom of the whole picture, and what is left.

    A least-squares fit of a similarity, weighted again and again by how well each point follows it (Geman and McClure's weights),
    so that what moves by itself does not count, as long as it is the smaller part of the picture. What is left is shrunk by as
    much as noise explains (James and Stein's factor): where it is no more than the doubt, the point goes with the camera.
    """
    camera = np.broadcast_to(_middle(moved_PN.real) + 1j * _middle(moved_PN.imag), moved_PN.shape)
    basis_N2 = np.stack([np.ones_like(place_N), place_N.conj()], axis=1)
    radius_N2 = np.stack([place_N.real, place_N.imag, _squared(place_N)], axis=1)
    for _ in range(ROUNDS):
        off = _squared(moved_PN - camera)
        spread = np.maximum(2.2 * _middle(off), LEAST_SPREAD**2)  # 1.4826 squared
        weight = 1 / np.square(1 + off / spread)
        total = weight.sum(axis=1)
        x, y, around = (weight @ radius_N2).T / total
        mean, twisted = ((weight * moved_PN) @ basis_N2).T / total
        middle = x + 1j * y
        twist = (twisted - mean * middle.conj()) / np.maximum(around - _squared(middle), 1e-9)
        camera = (mean - twist * middle)[:, None] + twist[:, None] * place_N
    rest = moved_PN - camera
    return camera, rest * np.maximum(0, 1 - doubt_PN / np.maximum(_squared(rest), 1e-12))


def _middle(values_PN: np.ndarray) -> np.ndarray:
    """(P, 1): the median of each row, of an even number the upper of the two in the middle."""
    half = values_PN.shape[1] // 2
    return np.partition(values_PN, half, axis=1)[:, half : half + 1]


def _squared(values: np.ndarray) -> np.ndarray:
    return np.square(values.real) + np.square(values.imag)
