"""A small hand-made catalogue and the embedded platform that serves it.

Words: 'travel' finds 30 good posts (three pages of results), the first three with 9,999, 10,000 and 10,001 likes.
'trouble' finds one post for each fate that is not 'ok'.
'files' finds a post with a webm file, one with a wav file, and one with a hostile caption.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
import pytest

from crawl.replica import catalogue
from crawl.replica.catalogue import FATES, Listing
from crawl.replica.site import Site, serve

HOSTILE = "</script><script>alert('x')</script> \"quoted\" & <!-- 🌊 \\ ' \u2028 end"
RATE_HZ = 44_100


def write_clip(path: Path, *, seed: int, seconds: float = 1.0, video: str = "libx264", audio: str = "aac") -> None:
    """A moving gradient of 64 x 112 px at 10 fps with a tone; no two seeds give the same bytes."""
    with av.open(str(path), "w") as container:
        picture = container.add_stream(video, rate=10) if video else None
        if picture:
            picture.width, picture.height, picture.pix_fmt = 64, 112, "yuv420p"
        sound = container.add_stream(audio, rate=48_000 if audio == "libopus" else RATE_HZ, layout="mono")
        ramp = np.add.outer(np.arange(112), np.arange(64))
        for i in range(round(seconds * 10) if picture else 0):
            rgb = np.stack([ramp + 10 * i, ramp + 37 * seed, np.full_like(ramp, 40 * (seed // 7))], axis=-1).astype(np.uint8)
            container.mux(picture.encode(av.VideoFrame.from_ndarray(rgb, format="rgb24")))
        times_s = np.arange(round(seconds * sound.rate)) / sound.rate
        tone = (8000 * np.sin(2 * np.pi * (220 + 20 * seed) * times_s)).astype(np.int16)
        frame = av.AudioFrame.from_ndarray(tone[None], format="s16", layout="mono")
        frame.sample_rate = sound.rate
        container.mux(sound.encode(frame))
        for stream in filter(None, (picture, sound)):
            container.mux(stream.encode(None))


def listing(number: int, word: str, *, likes: int, media: str | None, fate: str = "ok", caption: str = "") -> Listing:
    """A listing with the id 7400000000000000000 + number; two neighbours share a song."""
    song = number // 2
    return Listing(
        post_id=str(7_400_000_000_000_000_000 + number),
        author=f"maker.{number % 5}",
        caption=caption or f"post {number} about {word} #{word}",
        hashtags=(word, "demo"),
        words=(word,),
        likes=likes,
        created=1_700_000_000 + 60 * number,
        track_id=str(7_100_000_000_000_000_000 + song),
        track_title=f"Song {song}",
        track_artist=f"Artist {song % 4}",
        track_original=song % 3 == 0,
        track_duration_s=30.5,
        duration_s=1.0 if media else 0.0,
        width_px=64,
        height_px=112,
        media=media,
        fate=fate,
    )


@pytest.fixture(scope="session")
def site_catalogue(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the catalogue described above."""
    folder = tmp_path_factory.mktemp("catalogue")
    media = folder / "media"
    media.mkdir()
    rows = [listing(n, "travel", likes=9_999 + n if n < 3 else 1_500 * n, media=f"media/{n}.mp4") for n in range(30)]
    for n, fate in enumerate(FATES[1:], start=100):
        rows.append(listing(n, "trouble", likes=20_000, media=None if fate == "slideshow" else f"media/{n}.mp4", fate=fate))
    rows.append(listing(200, "files", likes=30_000, media="media/200.webm"))
    rows.append(listing(201, "files", likes=30_000, media="media/201.wav"))
    rows.append(listing(202, "files", likes=30_000, media="media/202.mp4", caption=HOSTILE))
    for row in rows:
        if row.media:
            kind = Path(row.media).suffix
            video, audio = {".webm": ("libvpx", "libopus"), ".wav": ("", "pcm_s16le")}.get(kind, ("libx264", "aac"))
            write_clip(folder / row.media, seed=int(row.post_id) % 1000, video=video, audio=audio)
    catalogue.write(folder, rows)
    return folder


@pytest.fixture
def site(site_catalogue: Path) -> Iterator[Site]:
    """The site over that catalogue, fresh for each test, so that fates that happen once happen again."""
    with serve(site_catalogue) as running:
        yield running


@pytest.fixture(scope="session")
def by_fate(site_catalogue: Path) -> dict[str, Listing]:
    """One listing of each fate."""
    return {row.fate: row for row in reversed(catalogue.read(site_catalogue))}
