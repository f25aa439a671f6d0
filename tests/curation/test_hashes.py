"""PDQ hashes: the same as pdqhash's, inside the box, and of use for dark pictures."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pdqhash
import pytest
from skimage import data

from curation import bands, hashes
from svmbench.media import ClipMedia, Probe, decode
from svmbench.pictures import Frames
from svmbench.records import Box

SIZES = [(284, 160), (160, 284), (455, 256), (90, 160), (161, 121), (64, 64), (64, 90), (640, 360), (33, 47), (5, 9)]


def photograph(name: str, size: tuple[int, int] = (284, 160)) -> np.ndarray:
    image = getattr(data, name)()
    grey = image if image.ndim == 2 else cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    return cv2.resize(grey, size, interpolation=cv2.INTER_AREA)


def clip_of(images_THW: np.ndarray, box: Box | None = None) -> ClipMedia:
    """A clip whose frames for the hashes are these, four a second."""
    num, height, width = images_THW.shape
    probe = Probe(
        width_px=width, height_px=height, fps=4.0, duration_s=num / 4, container_s=None, video_codec=None, audio_codec=None,
        audio_s=0.0, rotation_deg=0, truncated=False,
    )  # fmt: skip
    frames = Frames(times_s_T=np.arange(num) / 4, images=images_THW)
    whole = Box(left_px=0, top_px=0, width_px=width, height_px=height)
    return ClipMedia(probe=probe, start_s=0, end_s=num / 4, box=box or whole, frames={hashes.FRAMES: frames}, waves={})


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", ["astronaut", "rocket", "camera"])
def test_hash_and_quality_are_those_of_pdqhash(name: str, size: tuple[int, int]) -> None:
    picture = photograph(name, size)
    bits, quality = pdqhash.compute(np.stack([picture] * 3, axis=-1))
    points = hashes.tent(picture[None])
    ours = np.unpackbits(hashes.pdq(hashes.spectrum(points))[0])
    assert (ours != bits).sum() <= 2  # rounding of frequencies that are the median
    assert hashes.quality(points)[0] == pytest.approx(quality, abs=1)


def test_noise_too() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (20, 160, 284)).astype(np.uint8)
    ours = hashes.pdq(hashes.spectrum(hashes.tent(noise)))
    theirs = np.stack([np.packbits(pdqhash.compute(np.stack([n] * 3, axis=-1))[0].astype(np.uint8)) for n in noise])
    assert np.unpackbits(ours ^ theirs, axis=1).sum(axis=1).max() <= 2


def test_many_frames_are_hashed_as_one_by_one() -> None:
    frames = np.stack([np.roll(photograph("coffee"), shift, axis=1) for shift in range(hashes.CHUNK + 9)])
    times, found, qualities, layouts = hashes.of(clip_of(frames))
    assert len(times) == len(found) == len(qualities) == len(layouts) == len(frames)
    assert times[:3] == (0.0, 0.25, 0.5)
    assert {len(h) for h in found} == {32}
    for i in (0, hashes.CHUNK - 1, hashes.CHUNK, len(frames) - 1):
        assert hashes.of(clip_of(frames[i : i + 1]))[1] == (found[i],)


def test_only_what_is_inside_the_box_counts() -> None:
    picture = photograph("astronaut", (200, 160))
    boxed = np.full((160, 300), 16, np.uint8)
    boxed[:, 60:260] = picture
    box = Box(left_px=60, top_px=0, width_px=200, height_px=160)
    assert hashes.of(clip_of(boxed[None], box))[1] == hashes.of(clip_of(picture[None]))[1]
    assert hashes.of(clip_of(boxed[None]))[1] != hashes.of(clip_of(picture[None]))[1]


def test_a_dark_picture_keeps_its_hash_and_its_quality() -> None:
    bright = photograph("chelsea")
    dark = (16 + bright * 0.08).astype(np.uint8)
    (one, two), qualities = hashes.of(clip_of(np.stack([bright, dark])))[1:3]
    assert bands.distance(bands.words([one]), bands.words([two]))[0] <= 31
    assert min(qualities) >= 50
    assert hashes.quality(hashes.tent(dark[None]))[0] < 20  # PDQ's own


@pytest.mark.parametrize("noise", [0, 1])
def test_black_has_no_quality_even_with_noise(noise: int) -> None:
    rng = np.random.default_rng(0)
    black = 16 + rng.integers(0, noise + 1, (3, 160, 284))
    assert max(hashes.of(clip_of(black.astype(np.uint8)))[2]) < 20


@pytest.mark.parametrize("shape", [(0, 90, 160), (2, 90, 4), (2, 1, 1)])
def test_nothing_to_hash(shape: tuple[int, int, int]) -> None:
    assert hashes.of(clip_of(np.zeros(shape, np.uint8))) == ((), (), (), ())


def test_a_decoded_film(tmp_path: Path, film: Callable[..., Path]) -> None:
    """One hash a quarter of a second, and the encoder changes few bits."""
    frames = [np.stack([photograph("coffee")] * 3, axis=-1)] * 20
    found = hashes.of(decode(film(tmp_path / "a.mp4", frames), hashes.NEEDS, 60))
    assert found[0] == pytest.approx((0, 0.3, 0.5, 0.8, 1.0, 1.3, 1.5, 1.8), abs=1e-6)
    plain = hashes.of(clip_of(photograph("coffee")[None]))
    assert bands.distance(bands.words(list(found[1])), bands.words(list(plain[1]))).max() <= 31


def plasma(shift: float, size: tuple[int, int] = (284, 160), gain: float = 1.0) -> np.ndarray:
    """Soft shades, as a computed film has them."""
    y, x = np.mgrid[: size[1], : size[0]] / size[1]
    return (120 + gain * (50 * np.sin(4 * x + shift) + 40 * np.cos(5 * y - 2 * shift))).astype(np.uint8)


def layout_of(picture: np.ndarray) -> bytes:
    return hashes.of(clip_of(picture[None]))[3][0]


def bits_between(first: bytes, second: bytes) -> int:
    return int(bands.distance(bands.words([first]), bands.words([second]))[0])


def test_only_soft_shades_have_a_layout() -> None:
    flat = np.full((160, 284), 90, np.uint8)
    noisy = flat + np.random.default_rng(0).integers(0, 9, flat.shape).astype(np.uint8)
    written = cv2.putText(plasma(1), "wait for it", (20, 90), cv2.FONT_HERSHEY_DUPLEX, 1.4, (255,), 3)
    assert len(layout_of(plasma(1))) == 32
    for picture in (flat, noisy, photograph("coffee"), photograph("astronaut"), written):
        assert layout_of(picture) == b""


def test_a_layout_stays_where_pdq_does_not() -> None:
    """Scaled and quantised as a coder does, the picture keeps its layout; of PDQ's bits many turn."""
    first, again = plasma(1), cv2.resize(plasma(1, (120, 68)), (284, 160)) // 6 * 6 + 3
    assert bits_between(layout_of(first), layout_of(again)) <= 12
    one, two = (hashes.of(clip_of(picture[None]))[1][0] for picture in (first, again))
    assert bits_between(one, two) > 40


@pytest.mark.parametrize("other", [plasma(1.5), plasma(1, gain=0.2), plasma(1) // 2, plasma(1)[:, ::-1]])
def test_another_place_contrast_or_brightness_is_another_layout(other: np.ndarray) -> None:
    assert bits_between(layout_of(plasma(1)), layout_of(other)) > 20
