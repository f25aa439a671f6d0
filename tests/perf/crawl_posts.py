"""The posts that crawl_speed.py has crawled: small real films with sound, each with bytes of its own.

A few films are made; a post's file is one of them with an empty MP4 box behind it that holds the post's id, so that a thousand
files have a thousand hashes and are quickly made.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import av
import numpy as np

from crawl.replica import catalogue
from crawl.replica.catalogue import FATES, Listing

NUM_FILMS = 24
WIDTH_PX, HEIGHT_PX, FPS, LENGTH_S, RATE_HZ = 360, 640, 15, 6, 44_100
PICTURE_BITS_S, SOUND_BITS_S = 600_000, 64_000  # together about half a megabyte a film
LINK = "https://www.tiktok.com/@_/video/{}"


def plain(folder: Path, number: int) -> dict[str, str]:
    """A catalogue of posts that can all be fetched; the sha256 of each post's file."""
    return _write(folder, ["ok"] * number)


def troubled(folder: Path, number: int) -> dict[str, str]:
    """A catalogue with one post of every other fate, filled up with good ones in between."""
    fates = list(FATES[1:])
    good = max(5, number - len(fates))
    for i in range(good):
        fates.insert(i * (len(FATES) - 1 + good) // good, "ok")
    return _write(folder, fates)


def _write(folder: Path, fates: list[str]) -> dict[str, str]:
    (folder / "media").mkdir(parents=True)
    films = [_film(folder / "film.mp4", seed) for seed in range(min(NUM_FILMS, len(fates)))]
    (folder / "film.mp4").unlink()
    listings = [_listing(number, fate) for number, fate in enumerate(fates)]
    hashes = {}
    for number, listing in enumerate(listings):
        if listing.media is not None:
            data = films[number % len(films)] + _box(listing.post_id.encode())
            (folder / listing.media).write_bytes(data)
            hashes[listing.post_id] = hashlib.sha256(data).hexdigest()
    catalogue.write(folder, listings)
    return hashes


def _box(payload: bytes) -> bytes:
    """A box that players skip (ISO/IEC 14496-12, section 8.1.2)."""
    return (8 + len(payload)).to_bytes(4, "big") + b"free" + payload


def _film(path: Path, seed: int) -> bytes:
    """A field of coarse grain that drifts, over a tone."""
    rng = np.random.default_rng(seed)
    field = rng.integers(0, 256, (HEIGHT_PX // 8 + 16, WIDTH_PX // 8 + 16, 3), np.uint8).repeat(8, 0).repeat(8, 1)
    rate = {"preset": "ultrafast", "maxrate": str(PICTURE_BITS_S), "bufsize": str(PICTURE_BITS_S)}
    with av.open(str(path), "w") as container:
        film: Any = container.add_stream("libx264", rate=FPS, options=rate)
        film.width, film.height, film.pix_fmt, film.bit_rate = WIDTH_PX, HEIGHT_PX, "yuv420p", PICTURE_BITS_S
        sound: Any = container.add_stream("aac", rate=RATE_HZ, layout="mono")
        sound.bit_rate = SOUND_BITS_S
        for i in range(FPS * LENGTH_S):
            top, left = (i * (1 + seed % 3)) % 128, (2 * i) % 128
            picture = field[top : top + HEIGHT_PX, left : left + WIDTH_PX] ^ rng.integers(
                0, 32, (HEIGHT_PX, WIDTH_PX, 1), np.uint8
            )
            container.mux(film.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")))
        wave = 0.2 * np.sin(2 * np.pi * (220 + 10 * seed) * np.arange(RATE_HZ * LENGTH_S) / RATE_HZ)
        for start in range(0, len(wave), 1024):
            piece = av.AudioFrame.from_ndarray(wave[None, start : start + 1024].astype(np.float32), "fltp", "mono")
            piece.rate, piece.pts = RATE_HZ, start
            container.mux(sound.encode(piece))
        container.mux(film.encode())
        container.mux(sound.encode())
    return path.read_bytes()


def _listing(number: int, fate: str) -> Listing:
    post_id = str(7_400_000_000_000_000_000 + number)
    return Listing(
        post_id=post_id, author=f"maker.{number % 50}", caption=f"post {number} #music", hashtags=("music",), words=("all",),
        likes=10_000 + number, created=1_700_000_000 + 60 * number, track_id=str(7_100_000_000_000_000_000 + number // 4),
        track_title=f"Song {number // 4}", track_artist=f"Artist {number % 9}", track_original=False, track_duration_s=30.5,
        duration_s=float(LENGTH_S), width_px=WIDTH_PX, height_px=HEIGHT_PX,
        media=None if fate == "slideshow" else f"media/{post_id}.mp4", fate=fate,
    )  # fmt: skip


def has_sound(path: Path) -> bool:
    """Whether a file has both a picture and a sound stream with packets."""
    with av.open(str(path)) as container:
        return bool(
            container.streams.video and container.streams.audio and next(container.demux(container.streams.audio[0])).size
        )
