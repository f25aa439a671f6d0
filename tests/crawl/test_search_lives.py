"""The searcher's own troubles, with the real Chromium: browsers that die or grow old, restarts, a full frontier, an early end."""

from __future__ import annotations

import os
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

from crawl import browser as browser_module
from crawl import frontier as frontier_module
from crawl import place, searcher
from crawl.access import Access
from crawl.browser import Browser, browser, find_programs, sweep
from crawl.frontier import Frontier
from crawl.jobs import Found, Query, Report
from crawl.replica.site import Site
from svmbench.errors import MissingExtra
from svmbench.guard import MARK

RUN = f"lives{os.getpid()}"
needs_browser = pytest.mark.skipif(
    not (os.environ.get("SVMBENCH_CHROMIUM") or any(map(shutil.which, browser_module.CHROMIUM))),
    reason="Chromium is not installed",
)


def leftovers(mark: str = RUN) -> list[str]:
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get(MARK, "").startswith(f"{mark}/"):
                found.append(process.name())
        except (psutil.Error, OSError):
            continue
    return found


def kill(part: str) -> None:
    """SIGKILL to the driver, or to all of the browser's processes."""
    for process in psutil.Process().children(recursive=True):
        if "chrom" in process.name() and ("driver" in process.name()) == (part == "driver"):
            process.kill()


def count_lives(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The profile folder of each browser that a searcher starts from now on."""
    lives: list[str] = []

    @contextmanager
    def counted(access: Access, mark: str) -> Iterator[Browser]:
        with browser(access, mark) as running:
            lives.append(running._driver.capabilities["chrome"]["userDataDir"])
            yield running

    monkeypatch.setattr(searcher, "browser", counted)
    return lives


def record_adds(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every result that is sent to a frontier from now on."""
    sent: list[str] = []
    add = Frontier.add

    def recorded(self: Frontier, query: Query, found: Sequence[Found], position: int, cursor: str = "") -> bool:
        sent.extend(f.post_id for f in found)
        return add(self, query, found, position, cursor)

    monkeypatch.setattr(Frontier, "add", recorded)
    return sent


@needs_browser
@pytest.mark.browser
@pytest.mark.parametrize("part", ["browser", "driver"])
def test_a_browser_killed_in_the_middle_of_a_word_is_replaced(
    part: str, site: Site, searching: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    lives, sent, choices, look = count_lives(monkeypatch), record_adds(monkeypatch), [], Browser.look

    def look_and_kill(self: Browser, selectors: Any, skip_cards: int) -> Any:
        seen = look(self, selectors, skip_cards)
        choices.append(self._driver.execute_script("return document.body.dataset.consent || ''"))
        if sent and len(lives) == 1:
            kill(part)
        return seen

    monkeypatch.setattr(Browser, "look", look_and_kill)
    got = searching()("travel")
    assert got.outcome == {"travel": "end"}
    assert got.found == {"travel": 30}
    assert sorted(sent) == sorted(got.rows), "each result is sent once, by the first browser or by the second"
    assert [row["rank"] for row in got.rows.values()] == list(range(30))
    assert site.hits["search_page"] == len(set(lives)) == 2
    assert choices[-1] == "declined"
    assert "allowed" not in choices
    assert not leftovers(got.MARK)
    assert not list(Path(tempfile.gettempdir()).glob(f"svmbench-{got.MARK}-*"))


@needs_browser
@pytest.mark.browser
def test_old_and_large_browsers_are_replaced(searching: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    lives, sizes = count_lives(monkeypatch), iter([100e6, 900e6, 100e6])
    monkeypatch.setattr(searcher, "WORDS_A_BROWSER", 2)
    monkeypatch.setattr(Browser, "memory_bytes", lambda self: next(sizes))
    got = searching()("files", "trouble", "none", "travel")
    assert set(got.outcome.values()) == {"end", "empty"}
    assert len(set(lives)) == 3, "a new profile each: after two words, and after one that made it large"
    assert not list(sizes), "asked after each word but the one that makes it old"


@needs_browser
@pytest.mark.browser
def test_a_search_that_was_stopped_goes_on_behind_what_it_has(
    site: Site, searching: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    sent, save = record_adds(monkeypatch), place.Place.save
    looking = searching(posts_per_word=20)
    with looking.start(["travel"]) as (worker, frontier, _):

        def save_and_stop(self: place.Place, *args: Any) -> None:
            save(self, *args)
            worker.close()

        monkeypatch.setattr(place.Place, "save", save_and_stop)
        worker.work()
        assert frontier.ask("stats").queries[0].state != "ended"
    first = list(sent)
    assert 0 < len(first) < 20
    monkeypatch.setattr(place.Place, "save", save)
    got = looking("travel")
    assert got.outcome == {"travel": "quota"}
    assert got.found == {"travel": 20}
    assert len(sent) == len(set(sent)) == 20, "what the first search had is passed over"
    assert site.hits["search_page"] == 2


@needs_browser
@pytest.mark.browser
def test_a_word_whose_quota_was_read_asks_for_nothing(site: Site, searching: Callable[..., Any]) -> None:
    looking = searching(posts_per_word=3)
    with looking.start(["travel"]) as (_, frontier, _):
        query, _over = frontier.ask("next_query")
        frontier.ask("add", query, [], 3, "")  # killed before it could say how it ended
    got = looking("travel")
    assert got.outcome == {"travel": "quota"}
    assert site.hits["search_page"] == 0


@needs_browser
@pytest.mark.browser
def test_searching_pauses_while_the_frontier_is_full_and_keeps_its_word(
    site: Site, searching: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (frontier_module, place):
        monkeypatch.setattr(module, "LEASE_S", 1.0)
    monkeypatch.setattr(searcher, "HIGH_WATER", 5)
    monkeypatch.setattr(searcher, "ROOM_S", 0.0)
    looking = searching(likes_min=0)
    with looking.start(["travel"]) as (worker, frontier, _):
        thread = threading.Thread(target=worker.work)
        thread.start()
        while frontier.ask("stats").count("ready") <= 5:
            time.sleep(0.05)
        time.sleep(3.0)
        paused = frontier.ask("stats")
        assert paused.count("ready") < 30
        assert paused.queries[0].state == "leased", "three leases long"
        assert frontier.ask("next_query") == (None, False)
        while thread.is_alive():
            for job in frontier.ask("lease", "tester", 5).jobs:
                frontier.ask("report", [Report(job=job, outcome="failure", reason="gone")])
            time.sleep(0.05)
        looking.note(frontier.ask("stats"))
    assert looking.outcome == {"travel": "end"}
    assert looking.found == {"travel": 30}
    assert site.hits["search_page"] == 1, "the same page went on"


@needs_browser
@pytest.mark.browser
def test_searching_ends_when_the_frontier_says_so(
    site: Site, searching: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    looking = searching(pages_per_s=2)
    with looking.start(["travel", "files"]) as (worker, frontier, _):
        save = place.Place.save

        def save_and_fill(self: place.Place, *args: Any) -> None:
            save(self, *args)
            frontier.ask("stop")  # as the limit and the disk quota do

        monkeypatch.setattr(place.Place, "save", save_and_fill)
        worker.work()
        stats = frontier.ask("stats")
    assert [q.state for q in stats.queries] != ["ended", "ended"]
    assert site.hits["search_page"] == 1
    assert site.hits["search_api"] <= 2


@needs_browser
@pytest.mark.browser
def test_leftovers_of_a_killed_worker_are_swept(site: Site) -> None:
    with browser(site.access, RUN) as running:
        assert "chromedriver" in leftovers()
        sweep("other")
        assert "chromedriver" in leftovers()
        assert 100e6 < running.memory_bytes() < 800e6
        sweep(RUN)
        time.sleep(0.1)
        assert not leftovers()
        assert running.memory_bytes() == 0


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
