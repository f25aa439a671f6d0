"""A small hand-made catalogue and the embedded platform that serves it.

Words: 'travel' finds 30 good posts (three pages of results), the first three with 9,999, 10,000 and 10,001 likes.
'trouble' finds one post for each fate that is not 'ok'.
'files' finds a post with a webm file, one with a wav file, and one with a hostile caption.
"""

from __future__ import annotations

import json
import os
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from crawl.access import Access
from crawl.jobs import GOOD, Stats
from crawl.replica import catalogue
from crawl.replica.catalogue import FATES, Listing
from crawl.replica.site import Site, serve
from svmbench.fleet import Actor, Fleet
from svmbench.optout import KEY, OptOut
from svmbench.recipe import Recipe, parse
from svmbench.store import RunFolder

HOSTILE = "</script><script>alert('x')</script> \"quoted\" & <!-- 🌊 \\ ' \u2028 end"
RATE_HZ = 44_100
SECRET = b"0123456789abcdef0123456789abcdef"


class Clock:
    """Seconds that pass when a test says so: on the wall, which may jump, and monotonic."""

    def __init__(self) -> None:
        self.wall_s, self.monotonic_s = 1_800_000_000.0, 50.0

    def wall(self) -> float:
        return self.wall_s

    def monotonic(self) -> float:
        return self.monotonic_s

    def wait(self, seconds: float) -> None:
        self.wall_s += seconds
        self.monotonic_s += seconds


@pytest.fixture
def clock() -> Clock:
    """A frontier's clock."""
    return Clock()


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


class Searching:
    """Searches words with one real searcher over the frontier in a folder; each call goes on as a restarted crawl does."""

    MARK = f"test{os.getpid()}"  # tells the browsers of this test run from others on the machine

    def __init__(
        self, access: Access, folder: Path, *, robots: Any = "obey", optout: OptOut | None = None, **search: Any
    ) -> None:
        self.access, self.folder, self.optout = access, folder, optout or OptOut()
        pace = {"pages_per_s": search.pop("pages_per_s", 80), "attempts": 3}
        values = {"site": "replica", "likes_min": 10_000, "words": ["x"], **search}
        self.recipe = parse({"name": "t", "search": values, "pace": pace, "robots": robots}, "t")

    @contextmanager
    def start(self, words: list[str]) -> Iterator[tuple[Any, Actor, Actor]]:
        """(searcher that is not at work yet, frontier, pacer)."""
        from crawl.frontier import Frontier
        from crawl.pacer import Pacer
        from crawl.searcher import Searcher
        from crawl.work import Work

        with Fleet(local=True) as fleet:
            frontier = fleet.actor(Frontier, str(self.folder / "frontier.sqlite"))
            frontier.ask("begin", words, GOOD)
            pacer = fleet.actor(Pacer, self.recipe.pace.pages_per_s)
            work = Work(
                recipe=self.recipe, run=str(self.folder), access=self.access, frontier=frontier, pacer=pacer, secret=b"x",
                mark=self.MARK, optout=self.optout,
            )  # fmt: skip
            yield Searcher(work), frontier, pacer

    def __call__(self, *words: str) -> Searching:
        with self.start(list(words)) as (searcher, frontier, pacer):
            searcher.work()
            self.note(frontier.ask("stats"))
            self.blocked = pacer.ask("blocked")
        return self

    def note(self, stats: Stats) -> None:
        """Takes over how the words ended, and the jobs by post id."""
        self.stats = stats
        self.outcome = {q.word: q.outcome for q in stats.queries}
        self.detail = {q.word: q.detail for q in stats.queries}
        self.found = {q.word: q.found for q in stats.queries}
        with closing(sqlite3.connect(self.folder / "frontier.sqlite")) as db:
            db.row_factory = sqlite3.Row
            rows = db.execute("SELECT * FROM job JOIN sighting USING(key) ORDER BY sighting.rank").fetchall()
        self.rows = {row["post_id"]: dict(row) for row in rows}


@pytest.fixture
def searching(site: Site, tmp_path: Path) -> Callable[..., Searching]:
    """Makes a Searching of the site, in a folder of its own."""
    return lambda folder="one", **options: Searching(site.access, tmp_path / folder, **options)


@pytest.fixture
def odd_site(site_catalogue: Path, tmp_path: Path) -> Iterator[Callable[[type], Site]]:
    """Serves a class derived from crawl.replica.pages.Pages in this process, over the catalogue."""
    from crawl.replica.server import Server, make_tls

    servers: list[Server] = []

    def start(pages: type) -> Site:
        tls, pin = make_tls(tmp_path)
        servers.append(Server(0, [pages(site_catalogue, None)], tls, 0.0, 0))
        threading.Thread(target=servers[-1].serve_forever, kwargs={"poll_interval": 0.1}, daemon=True).start()
        port = servers[-1].server_address[1]
        return Site(port, Access(proxy_url=f"http://127.0.0.1:{port}", spki_pin=pin, ca_file=str(tmp_path / "ca.pem")))

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


class Fetched:
    """What one fetcher made of some posts."""

    def __init__(self, run: RunFolder, rows: list[dict[str, Any]], pacer: dict[str, str]) -> None:
        self.run, self.pacer = run, pacer
        self.rows = {row["id"].partition(":")[2]: row for row in rows}

    def post(self, post_id: str) -> dict[str, Any]:
        """The record of a post that was kept."""
        return dict(json.loads(self.rows[post_id]["record"]))

    def tries(self, post_id: str) -> list[str]:
        """What the log of attempts says of a post, oldest first."""
        select = (
            "SELECT coalesce(nullif(attempt.reason, ''), outcome) FROM attempt JOIN job USING(key) WHERE post_id=? ORDER BY no"
        )
        with closing(sqlite3.connect(self.run.path / "crawl" / "frontier.sqlite")) as db:
            return [row[0] for row in db.execute(select, (post_id,))]


def fetch_recipe(pace: dict[str, Any] | None = None, robots: Any = "obey", **search: Any) -> Recipe:
    """A recipe for the fetcher on the embedded platform."""
    values = {"site": "replica", "words": ["travel"], "likes_min": 10_000, **search}
    pace = {"pages_per_s": 80, "media_parallel": 6, "attempts": 3, **(pace or {})}
    return parse({"name": "t", "search": values, "pace": pace, "robots": robots}, "t")


def fetch(
    site: Site, folder: Path, post_ids: list[str], recipe: Recipe, *, platform: str = "tiktok",
    urls: dict[str, str] | None = None, optout: OptOut | None = None,
) -> Fetched:  # fmt: skip
    """Runs one fetcher over the posts, as if a search had found them with only the card's rounded count."""
    from crawl.fetch import Fetcher
    from crawl.frontier import Frontier
    from crawl.jobs import Found
    from crawl.pacer import Pacer
    from crawl.work import Work

    run = RunFolder.create(folder / "run")
    (run.path / KEY).parent.mkdir(exist_ok=True)
    (run.path / KEY).write_bytes(SECRET)
    with Fleet(local=True) as fleet:
        frontier = fleet.actor(Frontier, str(run.path / "crawl" / "frontier.sqlite"))
        pacer = fleet.actor(Pacer, recipe.pace.pages_per_s)
        frontier.ask("begin", ["w"], ("end",))
        query, _ = frontier.ask("next_query")
        cards = [
            Found(id=f"{platform}:{i}", platform=platform, post_id=i, rank=n, likes=10_000, likes_exact=False,
                  url=(urls or {}).get(i, ""))
            for n, i in enumerate(post_ids)
        ]  # fmt: skip
        frontier.ask("add", query, cards, len(cards))
        frontier.ask("end_query", query, "end", "", None)
        work = Work(
            recipe=recipe, run=str(run.path), access=site.access, frontier=frontier, pacer=pacer, secret=SECRET, mark="test",
            optout=optout or OptOut(),
        )  # fmt: skip
        Fetcher(work, recipe.pace.media_parallel).work()
        return Fetched(run, frontier.ask("finished", 1000), pacer.ask("state"))


@pytest.fixture(scope="session")
def fetch_posts() -> Callable[..., Fetched]:
    """fetch(site, folder, post ids, recipe)."""
    return fetch


@pytest.fixture(scope="session")
def recipe_of() -> Callable[..., Recipe]:
    """fetch_recipe(pace, robots, **search)."""
    return fetch_recipe
