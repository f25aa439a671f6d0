"""Pictures out of photographs: a hand-held camera moves over an image that scikit-image carries in its own package.

Axes: T time, H height, W width, C colour.
"""

from __future__ import annotations

from functools import cache, partial

import cv2
import numpy as np
from skimage import data

from curation.border_bench.kinds import Source

# (left, top, right, bottom) as shares of the image: the part without a margin of its own
WHOLE = (0.0, 0.0, 1.0, 1.0)
PARTS = {
    "astronaut": WHOLE, "coffee": WHOLE, "rocket": WHOLE, "camera": WHOLE, "brick": WHOLE,
    "immunohistochemistry": WHOLE,
    "chelsea": WHOLE, "hubble_deep_field": WHOLE, "retina": (0.2, 0.2, 0.8, 0.8), "moon": WHOLE, "page": WHOLE, "coins": WHOLE,
    "grass": WHOLE, "gravel": WHOLE,
}  # fmt: skip
ZOOM = (0.55, 0.95)  # ours: share of the photograph that is seen
SHAKE = 0.006  # ours: standard deviation of a hand's tremble, as a share of the view's short side
TURN_DEG = 4.0  # ours: how far the camera turns at most
STILL_CHANCE = 0.15  # ours: of a camera on a tripod, which sees only its own noise
GRAIN = 1.5  # ours: standard deviation of the sensor's noise in grey levels


def source(name: str) -> Source:
    """The photograph of this name as a source of moving pictures."""
    return Source(name=name, frames=partial(_filmed, name))


@cache
def _photograph(name: str) -> np.ndarray:
    image = getattr(data, name)()
    image = np.repeat(image[..., None], 3, axis=2) if image.ndim == 2 else image[..., :3]
    height, width = image.shape[:2]
    left, top, right, bottom = PARTS[name]
    return np.ascontiguousarray(image[round(top * height) : round(bottom * height), round(left * width) : round(right * width)])


def _filmed(name: str, width_px: int, height_px: int, num_frames: int, rng: np.random.Generator) -> np.ndarray:
    return filmed(_photograph(name), width_px, height_px, num_frames, rng)


def filmed(image_HWC: np.ndarray, width_px: int, height_px: int, num_frames: int, rng: np.random.Generator) -> np.ndarray:
    """frames_THWC: a view of the image that pans, zooms, turns and trembles, and never leaves it."""
    height, width = image_HWC.shape[:2]
    largest = min(width / width_px, height / height_px)  # image pixels a video pixel, for the largest view
    if largest > 1.6:  # shrunk once, so that no detail flickers
        scale = 1 / (largest * 0.7)
        image_HWC = cv2.resize(image_HWC, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        height, width = image_HWC.shape[:2]
        largest = min(width / width_px, height / height_px)
    moves = rng.random() >= STILL_CHANCE
    share_T = _from_to(rng.uniform(*ZOOM, 2), num_frames, moves)
    turn_T = np.radians(_from_to(rng.uniform(-TURN_DEG, TURN_DEG, 2), num_frames, moves))
    shake_T2 = rng.normal(0, SHAKE, (num_frames, 2)) * min(width_px, height_px) * largest * moves
    path_T2 = _from_to(rng.random((2, 2)), num_frames, moves)
    frames = np.empty((num_frames, height_px, width_px, 3), np.uint8)
    for step in range(num_frames):
        view = _view((width, height), (width_px, height_px), share_T[step] * largest, turn_T[step], path_T2[step], shake_T2[step])
        frames[step] = cv2.warpAffine(
            image_HWC,
            view,
            (width_px, height_px),
            flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_REFLECT_101,
        )
    return grainy(frames, GRAIN, rng)


def _from_to(ends: np.ndarray, num_frames: int, moves: bool) -> np.ndarray:
    """From the first of two values to the second, or the first all the time."""
    return np.linspace(ends[0], ends[1] if moves else ends[0], num_frames)


def _view(
    image: tuple[int, int], video: tuple[int, int], scale: float, turn: float, place: np.ndarray, shake: np.ndarray
) -> np.ndarray:
    """The affine map from video to image pixels; place in [0, 1] goes over all centres at which the view lies in the image."""
    half = np.array(video) * scale / 2
    reach = np.abs([[np.cos(turn), np.sin(turn)], [np.sin(turn), np.cos(turn)]]) @ half
    free = np.maximum(np.array(image) / 2 - reach, 0)
    centre = np.array(image) / 2 + np.clip((2 * place - 1) * free + shake, -free, free)
    matrix = scale * np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    return np.hstack([matrix, (centre - matrix @ (np.array(video) / 2))[:, None]])


def grainy(frames_THWC: np.ndarray, deviation: float, rng: np.random.Generator) -> np.ndarray:
    """The frames with noise, the same in all three colours, in place. Four pictures of noise are drawn, and shifted about."""
    height, width = frames_THWC.shape[1:3]
    noise_THW = np.rint(rng.normal(0, deviation, (4, height, width))).astype(np.int16)
    for step, frame_HWC in enumerate(frames_THWC):
        noise_HW = np.roll(noise_THW[step % 4], rng.integers(0, (height, width)), axis=(0, 1))
        frame_HWC[:] = np.clip(frame_HWC + noise_HW[..., None], 0, 255)
    return frames_THWC


DEV: dict[str, Source] = {
    name: source(name) for name in ("astronaut", "coffee", "rocket", "camera", "brick", "immunohistochemistry")
}
HELD_OUT: dict[str, Source] = {
    name: source(name) for name in ("chelsea", "hubble_deep_field", "retina", "moon", "page", "coins", "grass", "gravel")
}
