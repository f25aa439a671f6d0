"""Politeness, read from the site's own clock: whole crawls with the real Chromium, the real yt-dlp and the real Ray on loopback.

Our requests are pages, media and robots.txt. What a search page fetches by itself or when it is scrolled (/api/) comes when the
page likes; it is counted in the rate and not in the spacing.
"""

from __future__ import annotations

import os
import shutil
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from email.utils import formatdate
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

import pytest

from crawl import browser as browser_module
from crawl.pacer import PAUSE_INTERVALS, WALLS
from crawl.replica import catalogue
from crawl.replica.items import MEDIA_HOST, SITE_HOST
from crawl.replica.pages import Answer, Pages, Request
from crawl.replica.site import Site, serve
from crawl.run import crawl
from svmbench.errors import Blocked
from svmbench.fleet import Fleet
from svmbench.progress import Progress, Summary
from svmbench.recipe import Recipe, parse
from svmbench.records import Drop
from svmbench.store import RunFolder

# Between the moment at which a request leaves and the one that the site notes lie the way, TLS for a new connection, and the wait
# for a busy processor. Who is late makes the next gap short by as much, so gaps are judged by their median, and stretches of any
# length by their count, each with this allowance.
LATE_S = 0.5
CHROMIUM = os.environ.get("SVMBENCH_CHROMIUM") or any(map(shutil.which, browser_module.CHROMIUM))


def go(recipe: Recipe, run: RunFolder, site: Site, *, local: bool = True) -> Summary:
    """Crawls, and returns the summary of the fetches."""
    progress = Progress(quiet=True)
    with Fleet(local=local) as fleet:
        crawl(recipe, run, fleet, progress, site.access)
    return progress.summaries[1]


def searched(words: list[str], pages_per_s: float, media_parallel: int = 24) -> Recipe:
    """Found by word in the browser. 24 threads are three workers with eight each."""
    values = {"site": "replica", "words": words, "likes_min": 10_000}
    pace = {"pages_per_s": pages_per_s, "media_parallel": media_parallel, "attempts": 3}
    return parse({"name": "t", "search": values, "pace": pace, "robots": "obey"}, "t")


@pytest.fixture
def listed(site_catalogue: Path, tmp_path: Path) -> Callable[..., Recipe]:
    """Makes a recipe for so many posts from a list, which needs no browser."""

    def make(number: int, pages_per_s: float, *, robots: Any = "obey", attempts: int = 3) -> Recipe:
        good = [row.post_id for row in catalogue.read(site_catalogue) if row.words == ("travel",)][:number]
        path = tmp_path / "list.txt"
        path.write_text("\n".join(f"tiktok:{post_id}" for post_id in good))
        values = {"platform": "ids", "site": "replica", "words": ["list"], "source": str(path)}
        pace = {"pages_per_s": pages_per_s, "media_parallel": 8, "attempts": attempts}
        return parse({"name": "t", "search": values, "pace": pace, "robots": robots}, "t")

    return make


def requests(site: Site, host: str) -> list[tuple[float, str, int]]:
    """(time, path, status) of our requests to a host."""
    return [
        (at_s, target, status) for at_s, asked, target, status in site.log if asked == host and not target.startswith("/api/")
    ]


def assert_spaced(site: Site, host: str, interval_s: float, at_least: int) -> None:
    """An interval between our requests, as far as the site can tell, and no more than the budget in any stretch."""
    times = [at_s for at_s, _, _ in requests(site, host)]
    assert len(times) >= at_least
    assert_apart(times, interval_s)
    everything = [at_s for at_s, asked, _, _ in site.log if asked == host]
    span_s = everything[-1] - everything[0] + LATE_S
    assert len(everything) - 1 <= span_s / interval_s + 2, "with what the page fetches by itself"


def assert_apart(times: list[float], interval_s: float) -> None:
    assert median(b - a for a, b in pairwise(times)) >= 0.9 * interval_s, times
    for first, begin in enumerate(times):
        for number, end in enumerate(times[first:]):
            assert end - begin >= number * interval_s - LATE_S, times


# -- spacing
@pytest.mark.parametrize("local", [True, pytest.param(False, marks=pytest.mark.slow)], ids=["local", "ray"])
@pytest.mark.browser
@pytest.mark.skipif(not CHROMIUM, reason="Chromium is not installed")
def test_each_host_is_asked_once_an_interval_by_24_threads_and_a_browser(site: Site, tmp_path: Path, local: bool) -> None:
    fetch = go(searched(["travel"], 5.0), RunFolder.create(tmp_path / "run"), site, local=local)
    assert fetch.kept == 25
    assert_spaced(site, SITE_HOST, 0.2, 27)
    assert_spaced(site, MEDIA_HOST, 0.2, 26)
    for host in (SITE_HOST, MEDIA_HOST):
        asked = [target for _, target, _ in requests(site, host)]
        assert asked.index("/robots.txt") == 0
        assert asked.count("/robots.txt") == 1
    assert site.hits["disallowed"] == site.hits["foreign"] == 0


def test_a_crawl_delay_slower_than_the_recipe_slows_all_down(site: Site, tmp_path: Path, listed: Callable[..., Recipe]) -> None:
    site.set_robots("User-agent: *\nCrawl-delay: 0.4", host=SITE_HOST)
    site.set_robots("User-agent: *\nRequest-rate: 3/1", host=MEDIA_HOST)
    assert go(listed(6, 50.0), RunFolder.create(tmp_path / "run"), site).kept == 6
    assert_spaced(site, SITE_HOST, 0.4, 7)
    assert_spaced(site, MEDIA_HOST, 1 / 3, 7)


def test_nothing_that_robots_txt_forbids_is_asked_for(site: Site, tmp_path: Path, listed: Callable[..., Recipe]) -> None:
    site.set_robots("User-agent: svmbench\nDisallow: /video/\n\nUser-agent: *\nDisallow:", host=MEDIA_HOST)
    run = RunFolder.create(tmp_path / "run")
    assert go(listed(3, 50.0), run, site).kept == 0
    assert [drop.reason for drop in run.read(Drop, "drops")] == ["robots"] * 3
    assert site.hits["media"] == 0
    ignored = listed(3, 50.0, robots={"ignore_because": "the site has agreed in writing"})
    before = site.hits["robots"]
    assert go(ignored, RunFolder.create(tmp_path / "other"), site).kept == 3
    assert site.hits["robots"] == before, "where it is ignored it is not fetched either"


# -- a host that says that it is too much
@pytest.mark.parametrize("date", [False, True], ids=["seconds", "date"])
def test_retry_after_is_obeyed_and_then_the_rate_is_lower(
    site: Site, tmp_path: Path, listed: Callable[..., Recipe], date: bool
) -> None:
    until = int(time.time()) + 4
    site.throttle(None, formatdate(until, usegmt=True) if date else 3, kinds=["video_page"])
    lifted = threading.Thread(target=lift_throttle, args=(site,))
    lifted.start()
    run = RunFolder.create(tmp_path / "run")
    fetch = go(listed(8, 10.0), run, site)
    lifted.join()
    assert (fetch.kept, fetch.left) == (8, 0)
    pages = [(at_s, status) for at_s, target, status in requests(site, SITE_HOST) if target != "/robots.txt"]
    refused = [at_s for at_s, status in pages if status == 429]
    answered = [at_s for at_s, status in pages if status == 200]
    assert 1 <= len(refused) <= 5, "what was under way when the first was refused"
    assert len(answered) == 8
    begun_s = time.time() - time.monotonic()  # the site notes monotonic seconds
    assert answered[0] >= (until - begun_s if date else refused[0] + 3) - 0.05
    assert_apart(answered, 0.2)  # half of ten a second


def lift_throttle(site: Site) -> None:
    while not site.hits["throttled"]:
        time.sleep(0.02)
    time.sleep(0.5)  # those that were under way then are refused too
    site.throttle(0)


@pytest.mark.parametrize(
    ("kinds", "wall", "most"),
    [([], "robots.txt cannot be had", 4), (["video_page"], "throttled", WALLS + 8 + 3), (["media"], "throttled", WALLS + 8 + 3)],
    ids=["everything", "pages", "media"],
)
def test_a_host_that_refuses_everything_is_given_up_and_gets_one_probe_in_the_next_run(
    site: Site, tmp_path: Path, listed: Callable[..., Recipe], monkeypatch: pytest.MonkeyPatch, kinds: list[str], wall: str,
    most: int,
) -> None:  # fmt: skip
    """most: the robots.txt at each opening; or as many posts as open the breaker, those under way, and three probes."""
    recipe, run, pause_s = listed(12, 100.0), RunFolder.create(tmp_path / "run"), 15 / 100
    monkeypatch.setattr("crawl.pacer.PAUSE_INTERVALS", 15)
    host = MEDIA_HOST if kinds == ["media"] else SITE_HOST
    site.throttle(None, None, kinds=kinds)
    with pytest.raises(Blocked, match=rf"{host} put up a wall \({wall}\); [1-9]\d* posts are left, run the same command again"):
        go(recipe, run, site)
    refused = [at_s for at_s, _, _, status in site.log if status == 429]
    assert WALLS - 1 <= len(refused) <= most
    longest = max(b - a for a, b in pairwise(refused))
    assert longest >= 4 * pause_s, "the pauses double"
    with pytest.raises(Blocked, match=wall):
        go(recipe, run, site)
    again = [at_s for at_s, _, _, status in site.log if status == 429][len(refused) :]
    assert len(again) == 1, "a probe"
    assert again[0] - refused[-1] >= 8 * pause_s - 0.05, "the pause of the run before is not cut short"
    site.throttle(0)
    fetch = go(recipe, run, site)
    assert fetch.left == 0
    assert fetch.kept + fetch.failed["throttled"] == 12
    assert fetch.kept >= 4, "the others had failed for good before the host was given up"


# -- X-Robots-Tag
@pytest.mark.parametrize(
    ("kind", "tags", "kept"),
    [("video_page", ("noindex, nofollow",), 0), ("media", ("noai", "otherbot: nofollow"), 0), ("media", ("svmbench: none",), 0),
     ("media", ("otherbot: noindex", "nofollow"), 2)],
)  # fmt: skip
def test_x_robots_tag_drops_the_post(
    site: Site, tmp_path: Path, listed: Callable[..., Recipe], kind: str, tags: tuple[str, ...], kept: int
) -> None:
    site.tag(*tags, kinds=[kind])
    run = RunFolder.create(tmp_path / "run")
    fetch = go(listed(2, 50.0), run, site)
    assert (fetch.kept, dict(fetch.dropped)) == (kept, {} if kept else {"x_robots_tag": 2})
    assert [drop.reason for drop in run.read(Drop, "drops")] == ["x_robots_tag"] * (2 - kept)
    assert site.hits["media"] == (0 if kind == "video_page" else 2)
    assert len(list((run.path / "media").rglob("*.mp4"))) == kept


# -- the breaker
@pytest.mark.parametrize(
    ("fate", "wall"), [("login_wall", "login_wall"), ("challenge_empty", "challenge"), ("blocked", "blocked")]
)
def test_posts_that_all_meet_a_wall_open_the_breaker(
    site_catalogue: Path, tmp_path: Path, listed: Callable[..., Recipe], fate: str, wall: str
) -> None:
    """blocked: code 10204."""
    shelf = tmp_path / "shelf"
    catalogue.write(shelf, [replace(row, fate=fate) for row in catalogue.read(site_catalogue)])
    (shelf / "media").symlink_to(site_catalogue / "media")
    with serve(shelf) as site:
        with pytest.raises(Blocked, match=rf"put up a wall \({wall}\)"):
            go(listed(20, 100.0), RunFolder.create(tmp_path / "run"), site)
        assert WALLS <= site.hits["video_page"] <= WALLS + 8 + 3
        assert site.hits["media"] == 0


@pytest.mark.browser
@pytest.mark.skipif(not CHROMIUM, reason="Chromium is not installed")
def test_a_captcha_pauses_everything_at_once(site: Site, tmp_path: Path) -> None:
    site.raise_wall("travel", after=0)
    go(searched(["travel", "files"], 40.0), RunFolder.create(tmp_path / "run"), site)
    captcha = next(at_s for at_s, _, target, _ in site.log if target.startswith("/api/"))
    after = next(at_s for at_s, _, _ in requests(site, SITE_HOST) if at_s > captcha)
    assert after - captcha >= PAUSE_INTERVALS / 40


class Hollow(Pages):
    """Every search answers well, with an empty list and more to come: how a site turns crawlers away without saying so."""

    def answer(self, request: Request) -> Answer:
        """As the site's own, but for the lists."""
        answer = super().answer(request)
        if answer.kind != "search_api":
            return answer
        return replace(answer, body='{"status_code": 0, "item_list": [], "cursor": 0, "has_more": 1}')


@pytest.mark.browser
@pytest.mark.skipif(not CHROMIUM, reason="Chromium is not installed")
def test_empty_lists_open_the_breaker(odd_site: Callable[[type], Site], searching: Callable[..., Any]) -> None:
    odd, looking = odd_site(Hollow), searching(pages_per_s=20)
    looking.access = odd.access
    with looking.start([f"word {n}" for n in range(WALLS + 2)]) as (worker, _, pacer):
        search = threading.Thread(target=worker.work)
        search.start()
        until, said = time.monotonic() + 60, ""
        while "soft_block" not in said and time.monotonic() < until:
            time.sleep(0.05)
            said = pacer.ask("state").get(SITE_HOST, "")
        worker.close()
        search.join()
    assert said.startswith("paused for 3 s because of soft_block")
    assert WALLS <= odd.hits["search_page"] <= WALLS + 2, "second tries, which do not count, included"
