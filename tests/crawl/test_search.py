"""The searcher with the real Chromium against the embedded platform."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from crawl import browser as browser_module
from crawl import results
from crawl.host import SEARCH
from crawl.pacer import Pacer, Turn
from crawl.platforms import tiktok
from crawl.replica import catalogue
from crawl.replica.catalogue import Listing
from crawl.replica.site import Site, serve
from crawl.selectors import rotten
from svmbench.optout import OptOut

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(
        not (os.environ.get("SVMBENCH_CHROMIUM") or any(map(shutil.which, browser_module.CHROMIUM))),
        reason="Chromium is not installed",
    ),
]


def test_words_and_hashtags_are_searched_to_the_end_with_exact_likes(
    site: Site, site_catalogue: Path, searching: Callable[..., Any], by_fate: dict[str, Listing]
) -> None:
    got = searching()("travel", "files", "nothing to find", "#Demo", "#nothing")
    assert got.outcome == {"travel": "end", "files": "end", "nothing to find": "empty", "#Demo": "end", "#nothing": "empty"}
    listed = {row.post_id: row for row in catalogue.read(site_catalogue)}
    assert got.rows.keys() == listed.keys(), "all have the tag 'demo'"
    assert {i: (row["likes"], row["likes_exact"]) for i, row in got.rows.items()} == {i: (r.likes, 1) for i, r in listed.items()}
    assert got.found["#Demo"] == len(listed)
    hits = site.hits
    assert (hits["search_page"], hits["video_page"], hits["disallowed"], hits["foreign"]) == (5, 0, 0, 0)
    assert hits["search_api"] == 3 + 1 + 1 + 2 + 1, "twelve a page for words, thirty for hashtags"
    assert got.rows[by_fate["slideshow"].post_id]["reason"] == "slideshow"
    assert rotten(tiktok.SELECTORS, got.stats.hits) == []
    assert got.stats.hits["tag/card [data-e2e='challenge-item']"] == len(listed)
    assert got.stats.hits["card_likes [data-e2e='search-card-like-container'] strong"] == 33
    assert not list(Path(tempfile.gettempdir()).glob(f"svmbench-{got.MARK}-*"))


def test_quota_and_captcha_end_a_search_and_say_so(site: Site, searching: Callable[..., Any]) -> None:
    site.raise_wall("travel", after=12)
    site.raise_wall("#demo", after=30)
    few = searching(posts_per_word=5)("travel", "trouble")
    assert few.outcome == {"travel": "quota", "trouble": "quota"}
    assert few.found == {"travel": 5, "trouble": 5}
    assert few.detail["travel"] == "posts_per_word is 5, and there is more"

    began = time.monotonic()
    again = searching("captcha")("travel", "#demo", "trouble")
    assert time.monotonic() - began < results.STALL_S * 3, "a wall is seen at once, not waited out"
    assert again.outcome == {"travel": "captcha", "#demo": "captcha", "trouble": "end"}
    assert (again.found["travel"], again.found["#demo"]) == (12, 30), "what was found before the wall is kept"
    site.lift_wall("travel")
    site.lift_wall("#demo")
    before = site.hits["search_page"]
    healed = searching("captcha")("travel", "#demo", "trouble")
    assert set(healed.outcome.values()) == {"end"}
    assert healed.found["travel"] == 30
    assert site.hits["search_page"] == before + 2, "a word that was finished is not searched again"


def test_a_site_that_throttles_is_waited_for(site_catalogue: Path, tmp_path: Path, searching: Callable[..., Any]) -> None:
    with serve(site_catalogue, requests_per_s=1.0) as site:
        throttled = searching()
        throttled.access = site.access
        got = throttled("travel", "trouble", "files")
        assert site.hits["throttled"] > 0
    assert set(got.outcome.values()) == {"end"}
    assert got.found["travel"] == 30


def test_one_that_refuses_for_ever_ends_the_search(site: Site, searching: Callable[..., Any]) -> None:
    site.throttle(None, 0, kinds=["search_page"])
    got = searching()("files")
    assert got.outcome == {"files": "throttled"}
    assert site.hits["search_page"] == 3, "as often as the recipe's pace.attempts says"


def test_every_request_of_the_page_has_a_turn_or_is_charged(
    site: Site, searching: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    turns, charges, reserve, charge = [], [], Pacer.reserve, Pacer.charge

    def reserved(self: Pacer, host: str, who: str) -> Turn:
        turn = reserve(self, host, who)
        turns.extend([host] * turn.go)
        return turn

    def charged(self: Pacer, host: str) -> None:
        charges.append(host)
        charge(self, host)

    monkeypatch.setattr(Pacer, "reserve", reserved)
    monkeypatch.setattr(Pacer, "charge", charged)
    assert searching()("travel").outcome == {"travel": "end"}
    asked = site.hits["robots"] + site.hits["search_page"] + site.hits["search_api"]
    assert asked == 5
    assert len(turns) + len(charges) == asked
    assert charges, "the first results come by themselves"


def test_a_page_without_any_expected_part_is_reported_selector_by_selector(
    searching: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    renamed = {**tiktok.SELECTORS, "list": ["[data-e2e='x']"], "card": ["[data-e2e='y']", "#z"], "listing_paths": ["/api/other/"]}
    monkeypatch.setattr(tiktok, "SELECTORS", {**renamed, "end": [".nowhere"]})
    monkeypatch.setattr(results, "STALL_S", 1.5)
    got = searching()("travel")
    assert got.outcome == {"travel": "page_changed"}
    assert got.detail["travel"].split("; ") == [
        "selector list: 0 hits, tried [data-e2e='x']",
        "selector card: 0 hits, tried [data-e2e='y'], #z",
        "selector listing_paths: 0 hits, tried /api/other/",
    ]
    assert rotten(renamed, got.stats.hits) == got.detail["travel"].split("; ")


def test_what_a_search_meets_is_told_as_of_a_search(
    site: Site, searching: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The breaker must not take it for an answer to a post."""
    site.raise_wall("travel", after=12)
    told: list[tuple[Any, ...]] = []
    with searching().start(["travel"]) as (worker, _, pacer):

        def ask(*call: Any) -> Any:
            told.append(call)
            if call[0] == "walled":
                worker.close()  # it would try again after the pause of the breaker
            return pacer.ask(*call)

        monkeypatch.setattr(worker, "_pacer", SimpleNamespace(ask=ask, call=pacer.call))
        worker.work()
    assert [call for call in told if call[0] in ("passed", "walled")] == [
        ("passed", "www.tiktok.com", SEARCH),
        ("walled", "www.tiktok.com", "captcha", True, True, SEARCH),
    ]


def test_one_dead_selector_is_replaced_by_the_next_and_reported(
    searching: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    renamed = {**tiktok.SELECTORS, "card": ["[data-e2e='old']", *tiktok.SELECTORS["card"]], "listing_paths": ["/api/other/"]}
    monkeypatch.setattr(tiktok, "SELECTORS", renamed)
    got = searching()("travel")
    assert got.outcome == {"travel": "end"}, "the page says itself that there are no more results"
    assert got.found == {"travel": 30}
    assert rotten(renamed, got.stats.hits) == [
        "selector listing_paths: 0 hits, tried /api/other/",
        "selector card [data-e2e='old']: 0 hits",
    ]


def test_cards_stand_in_where_the_data_are_not_recognised(searching: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tiktok, "SELECTORS", {**tiktok.SELECTORS, "listing_paths": ["/api/other/"], "end": [".nowhere"]})
    monkeypatch.setattr(results, "STALL_S", 1.5)
    got = searching()("travel")
    assert got.outcome == {"travel": "stalled"}, "without the explicit end it is no success"
    assert got.found == {"travel": 30}
    assert {row["likes_exact"] for row in got.rows.values()} == {0}
    assert {row["state"] for row in got.rows.values()} == {"ready"}, "a rounded number refuses nothing"
    assert got.rows["7400000000000000000"]["likes"] == 10_000, "the card of the post with 9,999 likes says 10K"


def test_what_a_host_says_about_crawlers_is_obeyed(
    site: Site, searching: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    site.tag("noarchive", "noindex", kinds=["search_page"])
    tagged = searching("tagged")("files")
    assert tagged.outcome == {"files": "x_robots_tag"}
    assert tagged.rows == {}
    site.tag()
    monkeypatch.setattr(tiktok, "SELECTORS", {**tiktok.SELECTORS, "search_url": "https://www.tiktok.com/internal/find?q={word}"})
    monkeypatch.setattr(results, "STALL_S", 1.0)
    assert searching()("travel").outcome == {"travel": "robots"}
    assert site.hits["disallowed"] == 0
    searching("told", robots={"ignore_because": "the operator has permission"})("travel")
    assert site.hits["disallowed"] == 1


def test_robots_txt_holds_for_what_the_page_fetches_too(site: Site, searching: Callable[..., Any]) -> None:
    site.set_robots("User-agent: *\nDisallow: /api/")
    assert searching("all")("travel", "#demo").outcome == {"travel": "robots", "#demo": "robots"}
    assert site.hits["search_page"] == 0, "a page whose results may not be asked for is not opened"
    site.set_robots("User-agent: *\nDisallow: /api/search/item/")
    one = searching("one")("travel")
    assert (one.outcome, one.rows) == ({"travel": "robots"}, {})
    assert "forbids https://www.tiktok.com/api/search/item/full/" in one.detail["travel"]


def test_posts_that_opted_out_are_not_taken(searching: Callable[..., Any]) -> None:
    out = OptOut(posts=frozenset({"tiktok:7400000000000000200"}))
    got = searching(optout=out)("files")
    assert {row["reason"] for row in got.rows.values()} == {"", "opted_out"}
    assert got.rows["7400000000000000200"]["reason"] == "opted_out"
