"""The searcher before pages that do not behave: the embedded platform with one thing changed for each word."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable
from dataclasses import replace
from email.utils import formatdate
from pathlib import Path
from typing import Any

import pytest

from crawl import browser as browser_module
from crawl import jobs, results, searcher
from crawl.browser import Browser
from crawl.replica import catalogue
from crawl.replica.documents import challenge, document
from crawl.replica.items import item
from crawl.replica.pages import SEARCH_PAGE, Answer, Pages, Request
from crawl.replica.site import Site

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(
        not (os.environ.get("SVMBENCH_CHROMIUM") or any(map(shutil.which, browser_module.CHROMIUM))),
        reason="Chromium is not installed",
    ),
]
LISTING = "/api/search/item/full/"
ERROR = '<h2 data-e2e="search-error-title">Something went wrong</h2><p>Refresh</p>'
MODAL = '<div data-e2e="login-modal">Log in<button onclick="document.body.dataset.closed = 1">Continue as guest</button></div>'
WALLS = {
    "hollow": "soft_block", "nothing": "soft_block", "error": "soft_block", "puzzle": "challenge", "login": "login_wall",
    "modal": "login_wall",
}  # fmt: skip


class Odd(Pages):
    """What each word gets. All cards say 10K. until: Unix seconds up to which the word 'later' is refused."""

    until = 0.0

    def answer(self, request: Request) -> Answer:
        word = request.query.get("keyword") or request.query.get("q") or ""
        if request.path == LISTING:
            return self._listing(word, int(request.query["offset"])) or super().answer(request)
        if request.path == "/search/video":
            return self._page(word) or replace(super().answer(request), body=self._cards_of_10k())
        return super().answer(request)

    @staticmethod
    def _cards_of_10k() -> str:
        page = SEARCH_PAGE.read_text()
        assert "rounded(post.stats.diggCount)" in page
        return page.replace("rounded(post.stats.diggCount)", '"10K"')

    def _page(self, word: str) -> Answer | None:
        if word == "later" and not self.until:
            Odd.until = time.time() + 8
            wait = (("Retry-After", formatdate(self.until, usegmt=True)),)
            return Answer(kind="search_page", status=429, body=document("Busy", ""), headers=wait)
        if word == "login":
            return Answer(kind="search_page", status=302, headers=(("Location", "https://www.tiktok.com/login?to=search"),))
        body = {"error": ERROR, "modal": MODAL, "puzzle": challenge("7")}.get(word)
        return Answer(kind="search_page", body=document("Search", body)) if body else None

    def _listing(self, word: str, offset: int) -> Answer | None:
        rows = [item(row, 1000) for row in self._by_word["travel"]]
        if word == "hollow":
            return _listed([], offset, more=True)
        if word == "nothing":
            return Answer(kind="search_api", body="", mime="application/json")
        if word == "always the same":
            return _listed(rows[:12], offset, more=True)
        if word == "short":  # four cards to a row: nothing to scroll
            return _listed(rows[offset : offset + 2], offset + 2, more=offset + 2 < len(rows))
        if word == "overlapping":
            return _listed(rows[offset : offset + 12], offset + 8, more=offset + 8 < len(rows))
        if word == "without counts":
            return _listed([{**row, "stats": None, "statsV2": None} for row in rows[:3]], 3, more=False)
        return None


def _listed(rows: list[dict[str, Any]], cursor: int, *, more: bool) -> Answer:
    body = {"status_code": 0, "item_list": rows, "cursor": cursor, "has_more": int(more), "rid": "r"}
    return Answer(kind="search_api", body=json.dumps(body), mime="application/json")


def test_the_threshold_is_exact_behind_cards_that_all_say_10k(
    odd_site: Callable[[type], Site], searching: Callable[..., Any], site_catalogue: Path
) -> None:
    odd, looking = odd_site(Odd), searching()
    looking.access = odd.access
    got = looking("travel", "short", "overlapping")
    assert set(got.outcome.values()) == {"end"}
    listed = {row.post_id: row.likes for row in catalogue.read(site_catalogue) if "travel" in row.words}
    assert {post_id: (row["likes"], row["likes_exact"]) for post_id, row in got.rows.items()} == {
        post_id: (likes, 1) for post_id, likes in listed.items()
    }
    by_likes = {row["likes"]: (row["state"], row["reason"]) for row in got.rows.values()}
    assert [by_likes[n] for n in (9_999, 10_000, 10_001)] == [("dropped", "too_few_likes"), ("ready", ""), ("ready", "")]
    assert got.found == {"travel": 30, "short": 30, "overlapping": 30}
    assert odd.hits["foreign"] == 0, odd.log
    assert {host for _, host, _, _ in odd.log} == {"www.tiktok.com"}


def test_items_without_counts_take_the_cards_hint_and_wait_for_their_page(
    odd_site: Callable[[type], Site], searching: Callable[..., Any]
) -> None:
    looking = searching()
    looking.access = odd_site(Odd).access
    got = looking("without counts")
    assert [(row["likes"], row["likes_exact"], row["state"]) for row in got.rows.values()] == [(10_000, 0, "ready")] * 3


@pytest.mark.slow
def test_a_page_that_never_grows_is_given_up(odd_site: Callable[[type], Site], searching: Callable[..., Any]) -> None:
    odd, looking = odd_site(Odd), searching()
    looking.access = odd.access
    got = looking("always the same")
    assert got.outcome == {"always the same": "stalled"}
    assert got.found == {"always the same": 12}
    asked = sum(target.startswith(LISTING) for _, _, target, _ in odd.log)
    assert asked <= jobs.TRIES * (1 + results.IDLE_MAX + 1), "it is not asked on and on"


@pytest.mark.slow
def test_a_date_in_retry_after_is_obeyed(odd_site: Callable[[type], Site], searching: Callable[..., Any]) -> None:
    odd, looking = odd_site(Odd), searching()
    looking.access = odd.access
    assert looking("later").outcome == {"later": "empty"}
    refused, served = (at_s for at_s, _, target, _ in odd.log if target.startswith("/search"))
    assert refused < int(Odd.until) - time.time() + time.monotonic() <= served, "the header has whole seconds"


def test_walls_are_told_apart_and_open_the_breaker(
    odd_site: Callable[[type], Site], searching: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []
    look = Browser.look

    def looked(self: Browser, *args: Any) -> Any:
        seen = look(self, *args)
        told.extend(seen.walls)
        assert not self._driver.execute_script("return document.body?.dataset.closed")
        return seen

    monkeypatch.setattr(Browser, "look", looked)
    monkeypatch.setattr(searcher, "TRIES", 1)
    looking = searching()
    looking.access = odd_site(Odd).access
    with looking.start(list(WALLS)) as (worker, frontier, pacer):
        worker.work()
        looking.note(frontier.ask("stats"))
        state = pacer.ask("state")
    assert looking.outcome == WALLS
    assert looking.rows == {}
    assert "login_wall" in told
    assert "login_wall" in state["www.tiktok.com"], "the breaker is open"


@pytest.mark.slow
def test_a_host_with_walls_only_is_given_up(odd_site: Callable[[type], Site], searching: Callable[..., Any]) -> None:
    odd, looking = odd_site(Odd), searching()
    looking.access = odd.access
    got = looking("login", "modal", "travel")
    assert got.blocked == {"www.tiktok.com": "login_wall"}
    assert got.outcome["travel"] == "blocked"
    assert odd.hits["search_api"] == 0
