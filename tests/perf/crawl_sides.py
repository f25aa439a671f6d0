"""The two sides of crawl_speed.py: each tool's command run against the site, and a look at what it stored."""

from __future__ import annotations

import functools
import hashlib
import json
import os
import re
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import process_tree
import video2dataset_env as peer
from crawl_posts import LINK, has_sound
from process_tree import Cost

from crawl.replica.catalogue import Listing
from crawl.replica.site import Site
from svmbench.records import Drop, Post
from svmbench.store import RunFolder

LIMIT_S = 3600.0
RECIPE = """name: speed
search: {{platform: ids, site: live, words: [all], source: {source}, posts_per_word: {number}}}
robots: obey
pace: {{pages_per_s: 100, media_parallel: {threads}, attempts: 3}}
"""
# The command itself, with the way to the loopback site in the place of the internet.
OURS = """
import functools, json, sys
import crawl.run
from crawl.access import Access
crawl.run.crawl = functools.partial(crawl.run.crawl, access=Access(**json.loads(sys.argv.pop(1))))
from svmbench.cli import main
main()
"""
BOTH, PICTURE = {"video": "mp4", "audio": "m4a"}, {"video": "mp4"}
FETCHED = "fetched"
Say = Callable[[str], str]  # post_id -> what a tool says of the post


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """One run of one tool. good: videos that count; of these `told` have right metadata and `hashed` the right hash noted."""

    name: str
    asked: int
    cost: Cost
    good: int
    sounding: int
    told: int
    hashed: int
    hits: Counter[str]
    first_s: float
    last_s: float

    @property
    def per_s(self) -> float:
        return self.good / self.cost.wall_s

    @property
    def per_s_running(self) -> float:
        """Without start-up and end: between the first request and the last."""
        return self.good / max(1e-9, self.last_s - self.first_s)

    @property
    def cpu_ms(self) -> float:
        return 1000 * self.cost.cpu_s / self.asked


class Bench:
    """Both tools against one site."""

    def __init__(self, site: Site, listings: list[Listing], hashes: dict[str, str], threads: int, scratch: Path) -> None:
        self.site, self.listings, self.hashes, self.threads, self.scratch = site, listings, hashes, threads, scratch

    def ours(self, name: str, *options: str) -> tuple[Taken, Say]:
        """Our command; and what it says of a post."""
        with tempfile.TemporaryDirectory(dir=self.scratch) as folder:
            work = Path(folder)
            (work / "links.txt").write_text("".join(f"{LINK.format(row.post_id)}\n" for row in self.listings))
            recipe = RECIPE.format(source=work / "links.txt", number=len(self.listings), threads=self.threads)
            (work / "speed.yaml").write_text(recipe)
            (work / "ours.py").write_text(OURS)
            way = json.dumps(asdict(self.site.access))
            command = [sys.executable, str(work / "ours.py"), way, "crawl", str(work / "speed.yaml"), "--out", str(work / "run")]
            taken = self._measure(name, [*command, *options], work, {}, self.listings, functools.partial(_ours, work / "run"))
            return taken, _reasons(work / "run")

    def theirs(self, folder: Path, name: str, kinds: dict[str, str], number: int, *, metadata: bool) -> tuple[Taken, Say]:
        """video2dataset's command; and what it says of a post."""
        rows = self.listings[:number]
        with tempfile.TemporaryDirectory(dir=self.scratch) as place:
            work = Path(place)
            links = [LINK.format(row.post_id) for row in rows]
            command = peer.command(folder, work, links, kinds, threads=self.threads, metadata=metadata)
            assert self.site.access.ca_file
            assert self.site.access.proxy_url
            peer.trust(folder, self.site.access.ca_file)
            way = {"HTTP_PROXY": self.site.access.proxy_url, "HTTPS_PROXY": self.site.access.proxy_url}
            look = functools.partial(_theirs, work, metadata=metadata)
            taken = self._measure(name, command, work, way, rows, look)
            return taken, _their_reasons(work, self.hashes)

    def _measure(
        self,
        name: str,
        command: list[str],
        work: Path,
        way: dict[str, str],
        rows: list[Listing],
        look: Callable[[dict[str, Listing], dict[str, str]], tuple[int, int, int, int]],
    ) -> Taken:
        print(f"{name}: {len(rows)} posts ...", flush=True)
        before, seen = self.site.hits, len(self.site.log)
        cost = process_tree.run(command, folder=work, environment={**_environment(), **way}, limit_s=LIMIT_S)
        times = [at_s for at_s, *_ in self.site.log[seen:]] or [cost.began_at]
        if cost.exit_code:
            print(f"  ended with {cost.exit_code}: {' '.join(cost.output.strip().splitlines()[-3:])[:400]}", flush=True)
        good, sounding, told, hashed = look({row.post_id: row for row in rows}, self.hashes)
        return Taken(
            name=name, asked=len(rows), cost=cost, good=good, sounding=sounding, told=told, hashed=hashed,
            hits=self.site.hits - before, first_s=times[0] - cost.began_at, last_s=times[-1] - cost.began_at,
        )  # fmt: skip


def _environment() -> dict[str, str]:
    """One thread each for libraries that would take all cores; nothing of the user's that leads elsewhere."""
    kept = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy") and name != "SSL_CERT_FILE"}
    return {**kept, "OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore"}


def _post_id(link: str) -> str:
    return link.rsplit("/", 1)[1]


# -- what was stored
def _ours(run: Path, rows: dict[str, Listing], hashes: dict[str, str]) -> tuple[int, int, int, int]:
    folder = RunFolder.open(run)
    posts = {post.post_id: post for post in folder.read(Post, "posts") if post.post_id in rows and post.sha256}
    files = {post_id: folder.media_path(str(post.sha256)) for post_id, post in posts.items()}
    whole = {post_id for post_id, path in files.items() if _sha256(path) == hashes[post_id]}
    told = sum(_matches(rows[i], posts[i].likes, posts[i].track_title, posts[i].caption) for i in whole)
    return len(whole), sum(has_sound(files[i]) for i in whole), told, sum(posts[i].sha256 == hashes[i] for i in whole)


def _theirs(work: Path, rows: dict[str, Listing], hashes: dict[str, str], *, metadata: bool) -> tuple[int, int, int, int]:
    whole = sounding = told = 0
    for row in peer.told(work):
        post_id = _post_id(row["url"])
        mine = [path for path in row["files"] if _sha256(path) == hashes[post_id]]
        whole += bool(mine)
        sounding += bool(mine) and has_sound(mine[0])
        info = (row.get("yt_meta_dict") or {}).get("info") or {}
        told += bool(mine) and _matches(rows[post_id], info.get("like_count"), info.get("track"), info.get("description"))
    return whole, sounding, told, 0


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _matches(row: Listing, likes: int | None, track: str | None, caption: str | None) -> bool:
    return (likes, track, caption) == (row.likes, row.track_title, row.caption)


def _reasons(run: Path) -> Say:
    folder = RunFolder.open(run)
    said = {drop.id.split(":")[1]: f"{drop.reason}: {drop.detail}" for drop in folder.read(Drop, "drops")}
    said |= {post.post_id: FETCHED for post in folder.read(Post, "posts")}
    return lambda post_id: said.get(post_id, "nothing")


def _their_reasons(work: Path, hashes: dict[str, str]) -> Say:
    said = {}
    for row in peer.told(work):
        post_id, message = _post_id(row["url"]), re.sub(r"'/[^']*(\.\w+)'", r"'...\1'", str(row["error_message"]))
        stored = [_sha256(path) == hashes.get(post_id) for path in row["files"]]
        said[post_id] = (FETCHED if any(stored) else "fetched, and not whole") if stored else message
    return lambda post_id: said.get(post_id, "nothing")
