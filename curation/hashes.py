"""PDQ hashes of frames, many at once: 256 bits that change little when a picture is scaled, encoded anew or made darker.

PDQ is Meta's (Davis and Rosen 2019, "The TMK+PDQF video-hashing algorithm and the PDQ image-hashing algorithm"): luma, a tent
filter down to 64 x 64, the 16 x 16 lowest frequencies of its cosine transform without the mean, each against their median. The
tent filter takes few pixels for each of the 64 x 64 points, so only those are read; the test holds the hashes against pdqhash.

Two things are ours. PDQ's quality counts strong steps of grey, so it is low for every dark picture. It is measured here after
the grey levels were stretched, at most GAIN times. The hash itself does not depend on gain.

And of a picture that is all soft shades most of PDQ's frequencies hold nothing but what the coder left, so two uploads of it
differ in many bits. Such a frame has a second hash of 256 bits, its layout: on which side of 256 fixed planes the 8 x 8 lowest
frequencies lie, with the mean grey and a constant beside them, so that unlike PDQ it tells brightness and contrast too.

Axes: T time, H height, W width, P the 64 points along a side, F the frequencies along a side, D the numbers of a layout.
"""

from __future__ import annotations

import hashlib
from functools import lru_cache

import numpy as np

from svmbench.media import ClipMedia, FrameNeed, Needs

FRAMES = FrameNeed(fps=4, short_side_px=160)  # ours: at 2 a second, half of the trimmed copies are missed (tests/perf)
NEEDS = Needs(frames=(FRAMES,))
POINTS, FREQUENCIES = 64, 16
SMALLEST_PX = 5  # PDQ's: a smaller picture has no hash
GAIN = 8.0  # ours: noise of one grey level stays below the step that counts
CHUNK = 64  # ours: frames at a time, for memory
LOW = 8
SMOOTH = 0.3  # ours: what the lowest frequencies leave of a smooth picture, root mean square, as a share of its contrast
LEAST_CONTRAST = 2.0  # ours: grey levels, root mean square; a picture with less shows nothing
BITS = 256
MEAN_WEIGHT, MIDDLE_GREY, CONSTANT = 32, 110, 800  # ours: about as much as the frequencies of a picture of little contrast


def of(clip: ClipMedia) -> tuple[tuple[float, ...], tuple[bytes, ...], tuple[int, ...], tuple[bytes, ...]]:
    """(times in seconds, hashes of 32 bytes, qualities in [0, 100], layouts) of the clip's frames inside its box.

    A layout has 32 bytes, or none where the frame is not smooth.
    """
    frames = clip.frames(FRAMES)
    if min(frames.images.shape[1:]) < SMALLEST_PX:
        return (), (), (), ()
    hashes, qualities, layouts = [], [], []
    for first in range(0, len(frames.images), CHUNK):
        points_TPP = tent(frames.images[first : first + CHUNK])
        spectrum_T = spectrum(points_TPP)
        hashes += [row.tobytes() for row in pdq(spectrum_T)]
        qualities += [int(q) for q in quality(stretched(points_TPP))]
        soft_T = smooth(points_TPP, spectrum_T)
        layouts += [row.tobytes() if soft else b"" for row, soft in zip(layout(spectrum_T), soft_T, strict=True)]
    return tuple(float(t) for t in frames.times_s_T), tuple(hashes), tuple(qualities), tuple(layouts)


def tent(luma_THW: np.ndarray) -> np.ndarray:
    """The pictures at 64 x 64 points, float32 of shape TPP, as PDQ scales down: two box filters each way, then picked."""
    for axis in (1, 2):
        if luma_THW.shape[1:] == (POINTS, POINTS):
            break
        places_PK, weights_PK = _taps(luma_THW.shape[axis])
        shape = (1, POINTS, 1) if axis == 1 else (1, 1, POINTS)
        parts = [luma_THW.take(p, axis=axis) * w.reshape(shape) for p, w in zip(places_PK.T, weights_PK.T, strict=True)]
        luma_THW = np.add.reduce(parts)
    return luma_THW.astype(np.float32)


@lru_cache(maxsize=256)
def _taps(size: int) -> tuple[np.ndarray, np.ndarray]:
    """(places, weights), each of shape (64, K): which K pixels of a line of `size` make each point, and with what weight.

    The boxes are size / 128 wide, rounded up, with the middle right of the centre for even widths, and smaller at the ends.
    """
    width = (size + 2 * POINTS - 1) // (2 * POINTS)
    box = np.zeros((size, size))
    for i in range(size):
        box[i, max(0, i - (width - 1) // 2) : i + width // 2 + 1] = 1
    box /= box.sum(axis=1, keepdims=True)
    lines = (box @ box)[((np.arange(POINTS) + 0.5) * size / POINTS).astype(int)]
    count = int((lines > 0).sum(axis=1).max())
    places = np.argsort(lines == 0, axis=1, kind="stable")[:, :count]
    return places, np.take_along_axis(lines, places, axis=1).astype(np.float32)


@lru_cache
def _cosines() -> np.ndarray:
    """The cosine transform's rows 0 to 16 for 64 points, float32 of shape (17, P); row 0 is the mean."""
    angles = np.pi / 2 / POINTS * np.outer(np.arange(FREQUENCIES + 1), 2 * np.arange(POINTS) + 1)
    rows = np.sqrt(2 / POINTS) * np.cos(angles)
    rows[0] = np.sqrt(1 / POINTS)
    return rows.astype(np.float32)


def spectrum(points_TPP: np.ndarray) -> np.ndarray:
    """Frequencies 0 to 16 of the cosine transform, down and across, float32 of shape (T, 17, 17)."""
    rows = _cosines()
    across = (points_TPP.reshape(-1, POINTS) @ rows.T).reshape(len(points_TPP), POINTS, len(rows))
    return np.asarray(rows @ across)


def pdq(spectrum_T: np.ndarray) -> np.ndarray:
    """The hashes, uint8 of shape (T, 32), in pdqhash's order: from the highest frequency down, rows of 16 horizontal ones."""
    strength = spectrum_T[:, 1:, 1:].reshape(len(spectrum_T), FREQUENCIES**2)[:, ::-1]
    middle = np.sort(strength, axis=1)[:, FREQUENCIES**2 // 2 - 1]  # PDQ's median is the lower of the two
    return np.packbits(strength > middle[:, None], axis=1)


def quality(points_TPP: np.ndarray) -> np.ndarray:
    """PDQ's quality, (T,) in [0, 100]: steps between neighbouring points in whole hundredths of 255, summed, over 90."""
    down = np.abs(np.diff(points_TPP, axis=1) * 100 / 255).astype(np.int64).sum(axis=(1, 2))
    across = np.abs(np.diff(points_TPP, axis=2) * 100 / 255).astype(np.int64).sum(axis=(1, 2))
    return np.asarray(np.minimum((down + across) // 90, 100))


def stretched(points_TPP: np.ndarray) -> np.ndarray:
    """The same pictures with their grey levels drawn apart until the 1st to the 99th percentile span 255, at most GAIN times."""
    sample = np.sort(points_TPP[:, ::2, ::2].reshape(len(points_TPP), -1), axis=1)
    low, high = sample[:, POINTS**2 // 400], sample[:, -1 - POINTS**2 // 400]
    gain = np.clip(255 / np.maximum(high - low, 1), 1, GAIN)
    return np.asarray(points_TPP * gain[:, None, None].astype(np.float32))


def smooth(points_TPP: np.ndarray, spectrum_T: np.ndarray) -> np.ndarray:
    """Which pictures have some contrast and are all soft shades, bool of shape (T,)."""
    centred_TPP = points_TPP - points_TPP.mean(axis=(1, 2), keepdims=True)
    whole_T = np.einsum("tpq,tpq->t", centred_TPP, centred_TPP)
    soft_T = np.square(spectrum_T[:, :LOW, :LOW]).sum(axis=(1, 2)) - np.square(spectrum_T[:, 0, 0])
    return np.asarray((whole_T - soft_T <= SMOOTH**2 * whole_T) & (whole_T >= (LEAST_CONTRAST * POINTS) ** 2))


def layout(spectrum_T: np.ndarray) -> np.ndarray:
    """The layouts, uint8 of shape (T, 32): near each other where two pictures have about the same shades at the same places.

    A frequency weighs as much as it is high, or the lowest would say all. The bits in which two differ tell the angle between
    them: 12 of 256 are some 8 degrees.
    """
    weighted = spectrum_T[:, :LOW, :LOW] * np.hypot(*np.mgrid[:LOW, :LOW]).astype(np.float32)
    mean_T = spectrum_T[:, 0, 0] / POINTS
    beside = np.stack([MEAN_WEIGHT * (mean_T - MIDDLE_GREY), np.full_like(mean_T, CONSTANT)], axis=1)
    values_TD = np.concatenate([weighted.reshape(len(weighted), LOW**2)[:, 1:], beside], axis=1)
    return np.packbits(values_TD @ _planes() > 0, axis=1)


@lru_cache
def _planes() -> np.ndarray:
    """The planes' normals, float32 of shape (65, 256): 1 and -1 as the bits of a hash function say, the same on any machine."""
    bits = np.unpackbits(np.frombuffer(hashlib.shake_256(b"svmbench layout").digest((LOW**2 + 1) * BITS // 8), np.uint8))
    return bits.reshape(BITS, LOW**2 + 1).T.astype(np.float32) * 2 - 1
