"""Two adjacent frames: are they one scene, do they differ, which way does each pixel go, and what of it is the camera.

Axes: H height, W width, P pairs, Y and X the rows and columns of a grid over the picture, N the points of a coarser grid.
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

Follow = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""Two pictures (H, W) or (H, W, 3) -> flow (H, W, 2): how far each pixel of the first has moved right and down, in pixels."""

NOISE = 6  # ours: grey levels that coding alone may change
CHANGED_SHARE = 0.001  # ours: of two pictures that are the same, fewer pixels differ by more
CUT_LEVEL = 2.0  # ours: across a cut the thumbnails differ by at least this mean grey level
CUT_LIKENESS = 0.6  # ours: and their correlation, about each one's mean, is below this
FAINT = 4.0**2  # ours: added to the variances, so that two nearly black thumbnails do not count as unlike
SHIFT_LIKENESS = 0.8  # ours: and the middle of neither is found in the other with at least this correlation
THUMBNAIL, VIEW = (16, 16), (64, 64)
ROUNDS = 4  # ours: how often the camera's motion is fitted again, each time trusting less what does not follow it
LEAST_SPREAD = 0.05  # ours: pixels; deviations from the camera's motion below this are noise


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
    a, b = (cv2.resize(image, THUMBNAIL, interpolation=cv2.INTER_AREA).astype(np.float32) for image in (first_HW, second_HW))
    if np.abs(a - b).mean() < CUT_LEVEL:
        return False
    a, b = a - a.mean(), b - b.mean()
    likeness = (a * b).mean() / np.sqrt(((a * a).mean() + FAINT) * ((b * b).mean() + FAINT))
    return bool(likeness < CUT_LIKENESS) and not _is_shifted(first_HW, second_HW)


def _is_shifted(first_HW: np.ndarray, second_HW: np.ndarray) -> bool:
    """Whether the middle half of one picture is found in the other, up to a quarter of the picture away."""
    a, b = (cv2.resize(image, VIEW, interpolation=cv2.INTER_AREA) for image in (first_HW, second_HW))
    rows, columns = (slice(length // 4, -length // 4) for length in VIEW[::-1])
    for image, middle in ((a, b[rows, columns]), (b, a[rows, columns])):
        if middle.var() > FAINT and cv2.matchTemplate(image, middle, cv2.TM_CCOEFF_NORMED).max() >= SHIFT_LIKENESS:
            return True
    return False


def dis(preset: int, **changes: int) -> Follow:
    """Dense inverse search, after Kroeger et al. 2016, as OpenCV has it; `changes` to the preset, by the names of its setters."""
    search = cv2.DISOpticalFlow.create(preset)
    for name, value in changes.items():
        getattr(search, f"set{name}")(value)
    calc: Callable[..., np.ndarray] = search.calc
    return lambda first_HW, second_HW: calc(first_HW, second_HW, None)


def dis_ultrafast() -> Follow:
    """The ultrafast preset, but down to half the size instead of a quarter, with patches side by side and a third of the steps.

    Ours: it costs a third more, sees smaller things move, and noise misleads it less. tests/perf/flow.py has both.
    """
    return dis(cv2.DISOPTICAL_FLOW_PRESET_ULTRAFAST, FinestScale=1, PatchStride=8, GradientDescentIterations=4)


def dis_fast() -> Follow:
    return dis(cv2.DISOPTICAL_FLOW_PRESET_FAST)


def on_grid(flow_HW2: np.ndarray, step_px: int) -> np.ndarray:
    """(Y, X, 2): every step_px-th vector, each the mean of three by three of them, which takes away some of the noise."""
    return cv2.blur(np.ascontiguousarray(flow_HW2[step_px // 2 :: step_px, step_px // 2 :: step_px]), (3, 3))


def camera_flow(flow_PYX2: np.ndarray, step_px: int) -> tuple[np.ndarray, np.ndarray]:
    """(camera, rest), each of shape (P, N, 2): one shift, turn and zoom for the whole picture, and what is left of the flow.

    A least-squares fit of a similarity, weighted again and again by how well each point follows it (Geman and McClure's weights),
    so that what moves by itself does not count, as long as it is the smaller part of the picture.
    """
    num_pairs, rows, columns = flow_PYX2.shape[:3]
    y, x = (g.ravel().astype(np.float32) * step_px for g in np.mgrid[:rows, :columns])
    x, y = x - x.mean(), y - y.mean()
    u, v = (np.ascontiguousarray(flow_PYX2[..., i]).reshape(num_pairs, -1) for i in (0, 1))
    shift_u, shift_v = (np.median(part, axis=1, keepdims=True) for part in (u, v))
    zoom = turn = np.zeros_like(shift_u)
    basis_N4 = np.stack([np.ones_like(x), x, y, x * x + y * y], axis=1)
    for _ in range(ROUNDS):
        off = np.square(u - shift_u - zoom * x + turn * y) + np.square(v - shift_v - zoom * y - turn * x)
        spread = np.maximum(2.2 * np.median(off[:, ::2], axis=1, keepdims=True), LEAST_SPREAD**2)  # 1.4826 squared
        weight = 1 / np.square(1 + off / spread)
        total, of_x, of_y, of_r = (column[:, None] for column in (weight @ basis_N4).T)
        u0, ux, uy = (column[:, None] for column in ((weight * u) @ basis_N4[:, :3]).T)
        v0, vx, vy = (column[:, None] for column in ((weight * v) @ basis_N4[:, :3]).T)
        mid_x, mid_y, mid_u, mid_v = of_x / total, of_y / total, u0 / total, v0 / total
        around = np.maximum(of_r - of_x * mid_x - of_y * mid_y, 1e-6)
        zoom = (ux + vy - mid_u * of_x - mid_v * of_y) / around
        turn = (vx - uy - mid_v * of_x + mid_u * of_y) / around
        shift_u, shift_v = mid_u - zoom * mid_x + turn * mid_y, mid_v - zoom * mid_y - turn * mid_x
    camera = np.stack([shift_u + zoom * x - turn * y, shift_v + zoom * y + turn * x], axis=-1)
    return camera, np.stack([u, v], axis=-1) - camera
