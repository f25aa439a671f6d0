"""The driver, a fetcher and the frontier are killed at twenty random moments each, over one crawl of 1,500 posts: nothing is
lost, nothing is doubled, and hardly a page is fetched twice."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from crawl.drive import frontier_path
from crawl.frontier_read import status
from crawl.replica import catalogue
from crawl.replica.site import Site, serve
from svmbench.errors import SvmbenchError
from svmbench.records import Drop, Post
from svmbench.store import RunFolder

NUM_POSTS, NUM_FILES, KILLS = 1_500, 5, 20
REPEATED_MAX = 0.05

DRIVER = """
import json, sys
from crawl.access import Access
from crawl.run import crawl
from svmbench.fleet import Fleet
from svmbench.progress import Progress
from svmbench.recipe import parse
from svmbench.store import RunFolder

if __name__ == "__main__":
    recipe, folder, access, local = json.loads(sys.argv[1])
    print("begins", flush=True)
    with Fleet(local=local) as fleet:
        crawl(parse(recipe, "chaos"), RunFolder.create(folder), fleet, Progress(quiet=True), Access(**access))
"""


@pytest.fixture
def shelf(site_catalogue: Path, tmp_path: Path) -> Path:
    """A catalogue of many posts over a few files, no two of the same bytes."""
    like = next(row for row in catalogue.read(site_catalogue) if row.fate == "ok")
    rows = [
        replace(like, post_id=str(7_500_000_000_000_000_000 + n), media=f"media/{n % NUM_FILES}.mp4") for n in range(NUM_POSTS)
    ]
    catalogue.write(tmp_path / "shelf", rows)
    (tmp_path / "shelf" / "media").symlink_to(site_catalogue / "media")
    return tmp_path / "shelf"


@pytest.fixture
def site(shelf: Path) -> Iterator[Site]:
    with serve(shelf) as running:
        yield running


class Crawl:
    """The same command, started again and again."""

    def __init__(self, shelf: Path, site: Site, folder: Path) -> None:
        listed = folder / "list.txt"
        listed.write_text("".join(f"tiktok:{row.post_id}\n" for row in catalogue.read(shelf)))
        search = {"platform": "ids", "site": "replica", "words": ["list"], "source": str(listed), "posts_per_word": NUM_POSTS}
        pace = {"pages_per_s": 40, "media_parallel": 2, "attempts": 3}
        recipe = {"name": "chaos", "search": search, "pace": pace, "robots": "obey"}
        access = {name: getattr(site.access, name) for name in ("proxy_url", "spki_pin", "ca_file")}
        self.run, self.log = RunFolder.create(folder / "run"), folder / "log.txt"
        self._order = [recipe, str(self.run.path), access]
        self.family: set[psutil.Process] = set()

    def start(self, *, local: bool) -> subprocess.Popen[bytes]:
        order = json.dumps([*self._order, local])
        with open(self.log, "wb") as log:
            driver = subprocess.Popen(
                [sys.executable, "-P", "-c", DRIVER, order],
                start_new_session=True,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**os.environ, "RAY_worker_niceness": "0"},  # by default they start very late on a busy machine
            )
        while b"begins" not in self.log.read_bytes() and driver.poll() is None:
            time.sleep(0.02)
        return driver

    def look(self, driver: subprocess.Popen[bytes]) -> set[psutil.Process]:
        """All that the driver has started."""
        with contextlib.suppress(psutil.Error):
            self.family |= set(psutil.Process(driver.pid).children(recursive=True))
        return self.family

    def done(self) -> int:
        try:
            return status(frontier_path(self.run)).done
        except SvmbenchError:  # there is no file yet
            return 0


def kill_worker(crawl: Crawl, driver: subprocess.Popen[bytes], name: str, after_s: float) -> None:
    """SIGKILL for the process of a Ray actor, so long after it is there."""
    until = time.monotonic() + 120
    while time.monotonic() < until:
        assert driver.poll() is None, crawl.log.read_text()[-3000:]
        for process in crawl.look(driver):
            with contextlib.suppress(psutil.Error):
                if " ".join(process.cmdline()).startswith(f"ray::{name}"):
                    time.sleep(after_s)
                    process.kill()
                    return
        time.sleep(0.2)
    raise AssertionError(f"no Ray worker {name}")


def kill_drivers(crawl: Crawl, draw: random.Random) -> None:
    for number in range(KILLS):
        before, driver = crawl.done(), crawl.start(local=True)
        if number % 2:  # in the middle of its work
            while crawl.done() - before < 10 and driver.poll() is None:
                time.sleep(0.1)
        time.sleep(draw.uniform(0.0, 1.5))
        crawl.look(driver)
        assert driver.poll() is None, crawl.log.read_text()[-3000:]
        driver.send_signal(signal.SIGKILL)
        driver.wait()


def kill_workers(crawl: Crawl, draw: random.Random) -> None:
    driver = crawl.start(local=False)
    try:
        for number in range(KILLS):
            if number % 2:  # when both are at work again
                before, enough = crawl.done(), draw.randint(1, 12)
                while crawl.done() - before < enough and driver.poll() is None:
                    time.sleep(0.1)
            for name in draw.sample(["Fetcher", "Frontier"], 2):
                kill_worker(crawl, driver, name, draw.uniform(0.0, 1.0))
        assert driver.wait(timeout=300) == 0, crawl.log.read_text()[-3000:]
    finally:
        driver.kill()
        driver.wait()


@pytest.mark.slow
def test_sixty_kills_lose_and_double_nothing(shelf: Path, site: Site, tmp_path: Path) -> None:
    draw, crawl = random.Random(2026), Crawl(shelf, site, tmp_path)
    kill_drivers(crawl, draw)
    assert 50 <= crawl.done() < NUM_POSTS / 2
    kill_workers(crawl, draw)

    listed = {row.post_id: row for row in catalogue.read(shelf)}
    posts = crawl.run.read(Post, "posts")
    assert Counter(post.post_id for post in posts) == dict.fromkeys(listed, 1)
    assert not crawl.run.read(Drop, "drops")
    assert crawl.run.done_ids("crawl") == {f"tiktok:{post_id}" for post_id in listed}
    for post in posts:
        served = shelf / str(listed[post.post_id].media)
        assert post.sha256 == hashlib.sha256(served.read_bytes()).hexdigest()
    stored = [path for path in (crawl.run.path / "media").rglob("*") if path.is_file()]
    assert len(stored) == NUM_FILES
    assert all(hashlib.sha256(path.read_bytes()).hexdigest() == path.stem for path in stored)
    repeated = site.hits["video_page"] - NUM_POSTS
    assert 0 <= repeated < REPEATED_MAX * NUM_POSTS
    with sqlite3.connect(frontier_path(crawl.run)) as db:
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert db.execute("SELECT count(*), count(DISTINCT id) FROM job WHERE state='done'").fetchone() == (NUM_POSTS,) * 2
        assert db.execute("SELECT count(*) FROM attempt WHERE outcome='done'").fetchone() == (NUM_POSTS,)
    db.close()
    assert not list((crawl.run.path / "crawl" / "tmp").glob("*"))
    assert not psutil.wait_procs(crawl.family, timeout=15)[1], "something was left behind"
    print(f"{repeated} of {NUM_POSTS} pages were fetched again over {3 * KILLS} kills")
