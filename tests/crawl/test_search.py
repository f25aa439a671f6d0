"""The searcher with the real Chromium against the embedded platform."""

from __future__ import annotations

import os
import shutil
import sqlite3
import tempfile
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from crawl import browser as browser_module
from crawl import searcher
from crawl.access import Access
from crawl.browser import Browser, browser, find_programs, sweep
from crawl.frontier import Frontier
from crawl.jobs import GOOD, Stats
from crawl.pacer import Pacer
from crawl.platforms import tiktok
from crawl.replica import catalogue
from crawl.replica.site import Site, serve
from crawl.searcher import Searcher
from crawl.work import Work
from svmbench.errors import MissingExtra
from svmbench.fleet import Fleet
from svmbench.guard import MARK
from svmbench.recipe import parse

needs_browser = pytest.mark.skipif(
    not (os.environ.get("SVMBENCH_CHROMIUM") or any(map(shutil.which, browser_module.CHROMIUM))),
    reason="Chromium is not installed",
)


RUN = f"test{os.getpid()}"  # tells the browsers of this test run from others on the machine


class Searched:
    """How the words ended, and the jobs of the frontier by post id."""

    def __init__(self, stats: Stats, rows: list[dict[str, Any]]) -> None:
        self.outcome = {q.word: q.outcome for q in stats.queries}
        self.detail = {q.word: q.detail for q in stats.queries}
        self.found = {q.word: q.found for q in stats.queries}
        self.rows = {row["post_id"]: row for row in rows}


def search(site: Site, folder: Path, words: list[str], *, times: int = 1, **options: Any) -> Searched:
    """Runs one searcher over the words, and again for each of `times`, as a restarted crawl does."""
    robots = options.pop("robots", "obey")
    pace = {"pages_per_s": options.pop("pages_per_s", 80), "attempts": 3}
    values = {"site": "replica", "words": words, "likes_min": 10_000, **options}
    recipe = parse({"name": "t", "search": values, "pace": pace, "robots": robots}, "t")
    path = str(folder / "frontier.sqlite")
    for _ in range(times):
        with Fleet(local=True) as fleet:
            frontier = fleet.actor(Frontier, path)
            frontier.ask("begin", words, GOOD)
            pacer = fleet.actor(Pacer, recipe.pace.pages_per_s)
            work = Work(recipe=recipe, run=str(folder), access=site.access, frontier=frontier, pacer=pacer, secret=b"x", mark=RUN)
            Searcher(work).work()
            stats = frontier.ask("stats")
            db = sqlite3.connect(path)
            db.row_factory = sqlite3.Row
            rows = [dict(row) for row in db.execute("SELECT * FROM job")]
            db.close()
    return Searched(stats, rows)


def leftovers(mark: str = RUN) -> list[str]:
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get(MARK, "").startswith(f"{mark}/"):
                found.append(process.name())
        except (psutil.Error, OSError):
            continue
    return found


@needs_browser
@pytest.mark.browser
def test_words_are_searched_to_the_end_with_exact_likes(site: Site, site_catalogue: Path, tmp_path: Path) -> None:
    got = search(site, tmp_path, ["travel", "files", "nothing to find"])
    assert got.outcome == {"travel": "end", "files": "end", "nothing to find": "empty"}
    listed = {row.post_id: row for row in catalogue.read(site_catalogue) if {"travel", "files"} & set(row.words)}
    assert got.rows.keys() == listed.keys()
    assert {i: (row["likes"], row["likes_exact"]) for i, row in got.rows.items()} == {i: (r.likes, 1) for i, r in listed.items()}
    by_likes = {row["likes"]: (row["state"], row["reason"]) for row in got.rows.values()}
    assert [by_likes[n] for n in (9_999, 10_000, 10_001)] == [("dropped", "too_few_likes"), ("ready", ""), ("ready", "")]
    hits = site.hits
    assert (hits["search_page"], hits["video_page"], hits["disallowed"], hits["foreign"]) == (3, 0, 0, 0)
    assert hits["search_api"] == 3 + 1 + 1, "three pages of twelve for 'travel', one for each other word"
    assert not leftovers()
    assert not list(Path(tempfile.gettempdir()).glob(f"svmbench-{RUN}-*"))


@needs_browser
@pytest.mark.browser
def test_quota_robots_and_captcha_end_a_search_and_say_so(site: Site, tmp_path: Path) -> None:
    site.raise_wall("travel", after=12)
    got = search(site, tmp_path, ["travel", "trouble"], posts_per_word=5)
    assert got.outcome == {"travel": "quota", "trouble": "quota"}
    assert got.found == {"travel": 5, "trouble": 5}

    again = search(site, tmp_path / "captcha", ["travel", "trouble"])
    assert again.outcome == {"travel": "captcha", "trouble": "end"}
    assert again.found["travel"] == 12, "what was found before the wall is kept"
    site.lift_wall("travel")
    before = site.hits["search_page"]
    healed = search(site, tmp_path / "captcha", ["travel", "trouble"])
    assert healed.outcome == {"travel": "end", "trouble": "end"}
    assert healed.found["travel"] == 30
    assert site.hits["search_page"] == before + 1, "a word that was finished is not searched again"


@needs_browser
@pytest.mark.browser
def test_a_site_that_throttles_is_waited_for(site_catalogue: Path, tmp_path: Path) -> None:
    with serve(site_catalogue, requests_per_s=1.0) as site:
        got = search(site, tmp_path, ["travel", "trouble", "files"])
        assert site.hits["throttled"] > 0
    assert set(got.outcome.values()) == {"end"}
    assert got.found["travel"] == 30


@needs_browser
@pytest.mark.browser
def test_a_page_without_any_expected_part_is_reported_selector_by_selector(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    renamed = {**tiktok.SELECTORS, "list": ["[data-e2e='x']"], "card": ["[data-e2e='y']"], "listing_paths": ["/api/other/"]}
    monkeypatch.setattr(tiktok, "SELECTORS", renamed)
    monkeypatch.setattr(searcher, "STALL_S", 1.5)
    got = search(site, tmp_path, ["travel"])
    assert got.outcome == {"travel": "page_changed"}
    assert "selector \"card [data-e2e='y']\": 0 hits" in got.detail["travel"]


@needs_browser
@pytest.mark.browser
def test_cards_stand_in_where_the_data_are_not_recognised(site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tiktok, "SELECTORS", {**tiktok.SELECTORS, "listing_paths": ["/api/other/"]})
    monkeypatch.setattr(searcher, "STALL_S", 1.5)
    got = search(site, tmp_path, ["travel"])
    assert got.outcome == {"travel": "stalled"}, "without the explicit end it is no success"
    assert got.found == {"travel": 30}
    assert {row["likes_exact"] for row in got.rows.values()} == {0}
    assert {row["state"] for row in got.rows.values()} == {"ready"}, "a rounded number refuses nothing"
    assert got.rows["7400000000000000000"]["likes"] == 10_000, "the card of the post with 9,999 likes says 10K"


@needs_browser
@pytest.mark.browser
def test_robots_txt_is_obeyed_before_a_page_is_opened(site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tiktok, "SELECTORS", {**tiktok.SELECTORS, "search_url": "https://www.tiktok.com/internal/find?q={word}"})
    monkeypatch.setattr(searcher, "STALL_S", 1.0)
    assert search(site, tmp_path, ["travel"]).outcome == {"travel": "robots"}
    assert (site.hits["disallowed"], site.hits["robots"]) == (0, 1)
    search(site, tmp_path / "told", ["travel"], robots={"ignore_because": "the operator has permission"})
    assert site.hits["disallowed"] == 1


@needs_browser
@pytest.mark.browser
def test_consent_is_declined_and_a_crashed_browser_replaced(site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    choices, looks, look = [], [], Browser.look

    def look_and_crash(self: Browser, *args: Any) -> Any:
        looks.append(1)
        seen = look(self, *args)
        choices.append(self._driver.execute_script("return document.body.dataset.consent || ''"))
        if len(looks) == 1:
            for process in psutil.Process().children(recursive=True):
                if "chrom" in process.name() and "driver" not in process.name():
                    process.kill()
        return seen

    monkeypatch.setattr(Browser, "look", look_and_crash)
    got = search(site, tmp_path, ["travel"])
    assert got.outcome == {"travel": "end"}
    assert got.found == {"travel": 30}
    assert site.hits["search_page"] == 2
    assert set(choices[-3:]) == {"declined"}
    assert "allowed" not in choices


@needs_browser
@pytest.mark.browser
def test_leftovers_of_a_killed_worker_are_swept(site: Site) -> None:
    with browser(site.access, RUN) as running:
        assert "chromedriver" in leftovers()
        sweep("other")
        assert "chromedriver" in leftovers()
        sweep(RUN)
        time.sleep(0.1)
        assert not leftovers()
        del running


@pytest.mark.parametrize("name", ["SVMBENCH_CHROMIUM", "SVMBENCH_CHROMEDRIVER"])
def test_a_missing_browser_says_what_to_install(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, "/nowhere/program")
    with pytest.raises(MissingExtra, match=r"apt install chromium chromium-driver") as said:
        find_programs()
    assert "\n" not in str(said.value)


def test_a_browser_that_cannot_start_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = tmp_path / "chromium"
    broken.write_text("#!/bin/sh\nexit 1\n")
    broken.chmod(0o755)
    for name in ("SVMBENCH_CHROMIUM", "SVMBENCH_CHROMEDRIVER"):
        monkeypatch.setenv(name, str(broken))
    with pytest.raises(MissingExtra, match="Chromium did not start") as said, browser(Access(), RUN):
        pass
    assert "\n" not in str(said.value)


def test_addresses() -> None:
    assert tiktok.search_url("night market & food").endswith("q=night%20market%20%26%20food")
    assert tiktok.canonical("https://www.tiktok.com/@some.one/video/123?lang=en") == "123"
    assert tiktok.canonical("https://www.tiktok.com/@some.one") is None
    assert tiktok.post_url("123") == "https://www.tiktok.com/@_/video/123"
