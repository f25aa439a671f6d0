"""The crawl stage end to end on the embedded platform: everything accounted for, resumable, killed and run again."""

from __future__ import annotations

import io
import json
import os
import shutil
import signal
import sqlite3
import stat
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import suppress
from dataclasses import asdict, replace
from hashlib import blake2b
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest
from rich.console import Console

from crawl.access import Access
from crawl.account import account, not_read_well
from crawl.drive import frontier_path
from crawl.frontier import Frontier
from crawl.jobs import Ended, Found, Report, Stats
from crawl.platforms import Details, tiktok
from crawl.posts import post_of
from crawl.replica import catalogue
from crawl.replica.site import Site, serve
from crawl.run import check, crawl, search_settings
from crawl.status import read_status
from svmbench.errors import BadInput, BadSettings, Blocked, MissingExtra, StorageError, UnknownName
from svmbench.fleet import Fleet
from svmbench.guard import MARK
from svmbench.progress import Progress, Summary
from svmbench.provenance import settle
from svmbench.recipe import Recipe, parse
from svmbench.records import Drop, Post
from svmbench.store import RunFolder

WORDS = ["travel", "trouble", "files"]


def make(words: list[str] | None = None, pages_per_s: float = 80, robots: Any = "obey", **search: Any) -> Recipe:
    values = {"site": "replica", "words": words or WORDS, "likes_min": 10_000, **search}
    pace = {"pages_per_s": pages_per_s, "media_parallel": 6, "attempts": 3}
    return parse({"name": "t", "search": values, "pace": pace, "robots": robots}, "t")


def go(recipe: Recipe, run: RunFolder, site: Site, fleet: Fleet | None = None) -> tuple[Summary, Summary]:
    progress = Progress(quiet=True)
    with fleet or Fleet(local=True) as running:
        crawl(recipe, run, running, progress, site.access)
    search, fetch = progress.summaries
    return search, fetch


def assert_complete(run: RunFolder, folder: Path, words: list[str]) -> None:
    """Every listing under the words is in exactly one table, once; each kept post's file has the right content."""
    listed = {f"tiktok:{row.post_id}": row for row in catalogue.read(folder) if set(words) & set(row.words)}
    posts, drops = run.read(Post, "posts"), run.read(Drop, "drops")
    counts = Counter([p.key for p in posts] + [d.id for d in drops])
    assert counts == dict.fromkeys(listed, 1)
    assert run.done_ids("crawl") == listed.keys()
    for post in posts:
        row = listed[f"tiktok:{post.post_id}"]
        assert row.media is not None
        assert post.sha256 is not None
        assert run.media_path(post.sha256).read_bytes() == (folder / row.media).read_bytes()
        assert post.words == tuple(w for w in words if w in row.words)


@pytest.mark.browser
def test_all_posts_are_accounted_for_and_a_second_run_adds_nothing(site: Site, site_catalogue: Path, tmp_path: Path) -> None:
    run, trusted = RunFolder.create(tmp_path / "run"), os.environ.get("SSL_CERT_FILE")
    search, fetch = go(make(), run, site)
    rows = catalogue.read(site_catalogue)
    too_few = sum(row.likes < 10_000 for row in rows)
    assert search.seen == len(rows)
    assert search.dropped["too_few_likes"] == too_few == 5
    assert (fetch.seen, fetch.left) == (search.kept, 0)
    assert fetch.kept >= sum(row.fate == "ok" for row in rows) - too_few == 28
    assert fetch.failed["private"] == 2
    assert search.balanced()
    assert fetch.balanced()
    assert_complete(run, site_catalogue, WORDS)
    assert [d.value for d in run.read(Drop, "drops") if d.id.endswith("000000000")] == [9_999.0]
    assert not list((run.path / "crawl" / "tmp").glob("*"))
    assert site.hits["foreign"] == site.hits["disallowed"] == 0
    key = run.path / "crawl" / "author.key"
    assert (stat.S_IMODE(key.stat().st_mode), len(key.read_bytes())) == (0o600, 32)
    names = {row.author for row in catalogue.read(site_catalogue)}
    text = b"".join(p.read_bytes() for p in run.path.rglob("*") if p.is_file() and p.suffix in (".sqlite", ".json"))
    assert not [name for name in names if name.encode() in text]
    assert os.environ.get("SSL_CERT_FILE") == trusted

    before, parts = site.hits, len(run.markers())
    began = time.monotonic()
    search2, fetch2 = go(make(), run, site)
    assert time.monotonic() - began < 2.0
    assert site.hits == before
    assert len(run.markers()) == parts
    assert (search2.seen, fetch2.kept, fetch2.failed) == (len(rows), fetch.kept, fetch.failed)
    with pytest.raises(BadSettings, match=r"search\.likes_min.*10000, not 5000"):
        go(make(likes_min=5_000), run, site)


@pytest.mark.browser
def test_a_post_found_by_two_words_is_one_post(tmp_path: Path, site_catalogue: Path) -> None:
    rows = [r for r in catalogue.read(site_catalogue) if r.words == ("travel",) and r.likes >= 10_000][:6]
    shelf = tmp_path / "shelf"
    catalogue.write(shelf, [replace(r, words=("travel", "night") if n % 2 else ("night",)) for n, r in enumerate(rows)])
    (shelf / "media").symlink_to(site_catalogue / "media")
    run = RunFolder.create(tmp_path / "run")
    with serve(shelf) as site:
        go(make(["travel", "night"]), run, site)
        assert site.hits["video_page"] == 6
    assert_complete(run, shelf, ["travel", "night"])


@pytest.mark.browser
def test_a_word_that_is_read_later_is_noted_though_it_finds_no_new_post(tmp_path: Path, site_catalogue: Path) -> None:
    rows = [r for r in catalogue.read(site_catalogue) if r.words == ("travel",) and r.likes >= 10_000][:6]
    shelf, words = tmp_path / "shelf", ("travel", "night")
    catalogue.write(shelf, [replace(r, words=words) for r in rows])
    (shelf / "media").symlink_to(site_catalogue / "media")
    run = RunFolder.create(tmp_path / "run")
    with serve(shelf) as site:
        site.raise_wall("night", after=0)
        go(make([*words]), run, site)
        assert {p.words for p in run.read(Post, "posts")} == {("travel",)}
        site.lift_wall("night")
        go(make([*words]), run, site)
        assert site.hits["video_page"] == 6
    assert_complete(run, shelf, [*words])


@pytest.mark.browser
def test_nothing_found_is_said_and_is_no_success(site: Site, tmp_path: Path) -> None:
    site.raise_wall("travel", after=0)
    with pytest.raises(Blocked, match=r"no post was found\. travel: captcha"):
        go(make(["travel"]), RunFolder.create(tmp_path / "walled"), site)
    run = RunFolder.create(tmp_path / "empty")
    for _ in range(2):
        with pytest.raises(BadInput, match=r"no post was found; try other words\. unheard of: empty"):
            go(make(["unheard of"]), run, site)


@pytest.mark.browser
def test_a_host_that_walls_every_post_is_given_up_and_its_posts_are_left(site_catalogue: Path, tmp_path: Path) -> None:
    rows = [replace(r, fate="blocked") for r in catalogue.read(site_catalogue) if r.words == ("travel",)]
    walled, open_again, run = tmp_path / "walled", tmp_path / "open", RunFolder.create(tmp_path / "run")
    for shelf, fate in ((walled, "blocked"), (open_again, "ok")):
        catalogue.write(shelf, [replace(r, fate=fate) for r in rows])
        (shelf / "media").symlink_to(site_catalogue / "media")
    screen = io.StringIO()
    progress = Progress(Console(file=screen, width=80))
    with serve(walled) as site, Fleet(local=True) as fleet:
        with pytest.raises(Blocked, match=r"www\.tiktok\.com put up a wall \(blocked\); \d+ posts are left, run the same"):
            crawl(make(["travel"]), run, fleet, progress, site.access)
        assert site.hits["video_page"] < 25, "25 posts of three tries each are not all asked for"
    assert "www.tiktok.com: paused for" in screen.getvalue(), "the open breaker is seen, however narrow the terminal"
    assert progress.summaries[1].balanced()
    assert progress.summaries[1].left > 5
    with serve(open_again) as site:
        _, fetch = go(make(["travel"]), run, site)
    assert fetch.left == 0
    assert fetch.kept + fetch.failed["blocked"] == fetch.seen == 25
    assert {d.stage for d in run.read(Drop, "drops")} <= {"search", "fetch"}


@pytest.mark.browser
def test_a_walled_word_is_noted_and_goes_on_the_next_time(site: Site, site_catalogue: Path, tmp_path: Path) -> None:
    site.raise_wall("travel", after=12)
    run = RunFolder.create(tmp_path / "run")
    search, fetch = go(make(["travel", "files"]), run, site)
    assert any("travel: search ended with captcha" in note for note in search.notes)
    assert (search.seen, fetch.left) == (15, 0)
    site.lift_wall("travel")
    before = site.hits["video_page"]
    search, fetch = go(make(["travel", "files"]), run, site)
    assert (search.seen, search.notes) == (33, [])
    assert site.hits["video_page"] - before == 18, "what was fetched before is not fetched again"
    assert_complete(run, site_catalogue, ["travel", "files"])


def test_two_crawls_into_one_folder_are_refused(site: Site, tmp_path: Path) -> None:
    run = RunFolder.create(tmp_path / "run")
    with run.writing("crawl"), pytest.raises(StorageError, match="another svmbench is running"):
        go(make(), run, site)


def test_check_names_what_is_wrong(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    check(make())
    with pytest.raises(UnknownName, match=r"unknown platform 'tiktak'\. Did you mean 'tiktok'"):
        check(make(platform="tiktak"))
    values = {"name": "t", "search": {"site": "replica", "words": ["x"]}, "replica": {"media_dir": str(tmp_path / "none")}}
    with pytest.raises(BadSettings, match="robots: missing in the recipe t; write 'robots: obey'"):
        check(parse(values, "t"))
    values["robots"] = "obey"
    with pytest.raises(BadInput, match=r"replica\.media_dir: .*none is not a folder"):
        check(parse(values, "t"))
    monkeypatch.setenv("SVMBENCH_CHROMEDRIVER", "/nowhere/chromedriver")
    with pytest.raises(MissingExtra, match="apt install chromium chromium-driver"):
        check(make())


def refated(site_catalogue: Path, shelf: Path, fate: str, num: int = 8) -> Path:
    """A catalogue of a few posts under 'travel'; the first two have this fate."""
    rows = [r for r in catalogue.read(site_catalogue) if r.words == ("travel",) and r.likes >= 10_000][:num]
    catalogue.write(shelf, [replace(r, fate=fate if n < 2 else "ok") for n, r in enumerate(rows)])
    (shelf / "media").symlink_to(site_catalogue / "media")
    return shelf


@pytest.mark.browser
def test_retry_takes_failures_up_again_and_doubles_nothing(site_catalogue: Path, tmp_path: Path) -> None:
    run, recipe = RunFolder.create(tmp_path / "run"), make(["travel"])
    with serve(refated(site_catalogue, tmp_path / "gone", "gone")) as site:
        _, fetch = go(recipe, run, site)
    assert (fetch.kept, fetch.failed) == (6, {"gone": 2})
    back = refated(site_catalogue, tmp_path / "back", "ok")
    with serve(back) as site, Fleet(local=True) as fleet:
        progress = Progress(quiet=True)
        crawl(recipe, run, fleet, progress, site.access, retry="gone")
        assert site.hits["video_page"] == 2, "nothing else is asked for again"
    assert (progress.summaries[1].kept, progress.summaries[1].failed.total()) == (8, 0)
    assert_complete(run, back, ["travel"])
    assert not run.read(Drop, "drops")


@pytest.mark.browser
@pytest.mark.parametrize("what", ["quota", "disk"])
def test_a_full_quota_or_disk_ends_the_crawl_in_order_and_it_goes_on(
    what: str, site: Site, site_catalogue: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, recipe = RunFolder.create(tmp_path / "run"), make(["travel"], pages_per_s=20)
    sizes = [(site_catalogue / str(r.media)).stat().st_size for r in catalogue.read(site_catalogue) if r.words == ("travel",)]
    if what == "quota":
        recipe = recipe.model_copy(update={"pace": recipe.pace.model_copy(update={"disk_gb": 6 * max(sizes) / 1e9})})
        says = r"pace\.disk_gb: the media take .* that the recipe allows; \d+ posts are left\. Raise pace\.disk_gb"
    else:
        usage = shutil.disk_usage(tmp_path)

        def shrinking(_: Path) -> Any:
            free = 9e8 if count(run, "SELECT coalesce(sum(n), 0) FROM tally WHERE state='done'") >= 5 else 2e9
            return usage._replace(free=int(free))

        monkeypatch.setattr("crawl.drive.shutil.disk_usage", shrinking)
        says = r"only 0\.90 GB are free on the disk that holds .*run; \d+ posts are left\. Free some space"
    with pytest.raises(StorageError, match=says):
        go(recipe, run, site)
    kept = len(run.read(Post, "posts"))
    assert 5 <= kept < 25
    assert kept == count(run, "SELECT sum(n) FROM tally WHERE state='done'"), "what was fetched is in the tables"
    assert count(run, "SELECT coalesce(sum(n), 0) FROM tally WHERE state='leased'") == 0, "and nothing is in hand"
    if what == "quota":
        asked = site.hits["video_page"]
        with pytest.raises(StorageError, match=says):
            go(recipe, run, site)
        assert site.hits["video_page"] == asked, "the same command asks nobody"
    monkeypatch.undo()
    go(make(["travel"]), run, site)
    assert_complete(run, site_catalogue, ["travel"])


@pytest.mark.browser
def test_an_error_of_a_worker_keeps_what_was_fetched(
    site: Site, site_catalogue: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, add = RunFolder.create(tmp_path / "run"), RunFolder.add_media

    def full_after_five(self: RunFolder, source: Path, *, move: bool = False) -> str:
        if count(run, "SELECT coalesce(sum(n), 0) FROM tally WHERE state='done'") >= 5:
            raise StorageError("the disk is full")
        return add(self, source, move=move)

    monkeypatch.setattr(RunFolder, "add_media", full_after_five)
    progress = Progress(quiet=True)
    with Fleet(local=True) as fleet, pytest.raises(StorageError, match="the disk is full"):
        crawl(make(["travel"], pages_per_s=20), run, fleet, progress, site.access)
    assert 5 <= len(run.read(Post, "posts")) == count(run, "SELECT sum(n) FROM tally WHERE state='done'")
    search, fetch = progress.summaries
    assert (search.stage, fetch.stage, fetch.kept) == ("search", "fetch", len(run.read(Post, "posts")))
    assert search.balanced()
    assert fetch.balanced()
    monkeypatch.undo()
    go(make(["travel"]), run, site)
    assert_complete(run, site_catalogue, ["travel"])


@pytest.mark.browser
def test_a_selector_that_no_longer_matches_is_told_at_the_end(
    site_catalogue: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tiktok, "SELECTORS", {**tiktok.SELECTORS, "card": ["[data-e2e='old']", *tiktok.SELECTORS["card"]]})
    with serve(refated(site_catalogue, tmp_path / "shelf", "ok", num=2)) as site:
        search, fetch = go(make(["travel"]), RunFolder.create(tmp_path / "run"), site)
    assert (search.notes, fetch.kept) == (["to mend: selector card [data-e2e='old']: 0 hits"], 2)


def test_what_a_word_says_is_not_said_twice() -> None:
    hits = {"card [data-e2e='old']": 0, **{f"card {css}": 1 for css in tiktok.SELECTORS["card"]}}
    platform = SimpleNamespace(SEARCH="browser", SELECTORS={"card": ["[data-e2e='old']", *tiktok.SELECTORS["card"]]})
    dead = "selector card [data-e2e='old']: 0 hits"
    changed = Ended("travel", "ended", "page_changed", dead, 0)
    assert not_read_well(Stats((changed,), (), hits=hits), platform) == [f"travel: search ended with page_changed ({dead})"]
    read = replace(changed, outcome="end", detail="")
    assert not_read_well(Stats((read,), (), hits=hits), platform) == [f"to mend: {dead}"]
    platform.SEARCH = "pages"
    assert not not_read_well(Stats((read,), (), hits=hits), platform)


@pytest.mark.browser
def test_who_opted_out_is_not_asked_for(site_catalogue: Path, tmp_path: Path) -> None:
    run, shelf = RunFolder.create(tmp_path / "run"), refated(site_catalogue, tmp_path / "shelf", "ok", num=4)
    with serve(shelf) as site:
        with Fleet(local=True) as fleet:
            crawl(make(["travel"]), run, fleet, Progress(quiet=True), site.access, limit=1)
        left = [row for row in catalogue.read(shelf) if row.post_id not in {p.post_id for p in run.read(Post, "posts")}]
        out = left[0].post_id
        (run.path / "optout.txt").write_text(f"tiktok:{out}\n")
        asked = site.hits["video_page"]
        go(make(["travel"]), run, site)
        assert site.hits["video_page"] - asked == 2
    assert [(d.id, d.kind, d.reason) for d in run.read(Drop, "drops")] == [(f"tiktok:{out}", "rule", "opted_out")]
    (run.path / "optout.txt").write_text("somebody\n")
    with pytest.raises(BadInput, match=r"optout\.txt, line 1: 'somebody' is not an entry"):
        go(make(["travel"]), run, site)


def test_a_folder_of_an_older_svmbench_takes_the_defaults_of_what_it_lacks(tmp_path: Path) -> None:
    run, recipe = RunFolder.create(tmp_path / "run"), make(["travel"])
    finished_run(run, recipe, {key: value for key, value in search_settings(recipe).items() if key != "search.original_sound"})
    _crawl_nothing(recipe, run)
    with pytest.raises(BadSettings, match=r"search\.original_sound: .*run was crawled with 'keep', not 'drop'"):
        _crawl_nothing(make(["travel"], original_sound="drop"), run)


def test_a_list_is_known_by_its_content_and_not_by_its_place(tmp_path: Path) -> None:
    lists = [tmp_path / name for name in ("a.csv", "b.csv", "c.csv")]
    for path, number in zip(lists, (1, 1, 2), strict=True):
        path.write_text(f"id\ntiktok:{7_400_000_000_000_000_000 + number}\n")
    recipes = [make(["list"], platform="ids", source=str(path), likes_min=0) for path in lists]
    run = RunFolder.create(tmp_path / "run")
    finished_run(run, recipes[0], search_settings(recipes[0]))
    _crawl_nothing(recipes[1], run)
    with pytest.raises(BadSettings, match=r"search\.source: .*was crawled with 'sha256:"):
        _crawl_nothing(recipes[2], run)


def test_a_retry_that_was_killed_is_finished_before_anything_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run, recipe = RunFolder.create(tmp_path / "run"), make(["travel"])
    frontier = Frontier(str(frontier_path(run)))
    frontier.claim(json.dumps(search_settings(recipe)))
    frontier.begin(["travel"], ("end",))
    query, _ = frontier.next_query()
    assert query
    frontier.add(query, [Found(id="tiktok:1", platform="tiktok", post_id="1", rank=0, likes=1, likes_exact=True)], 1)
    frontier.end_query(query, "end", "", None)
    frontier.report([Report(job=job, outcome="failure", reason="gone") for job in frontier.lease("me", 1).jobs])
    frontier.close()
    _crawl_nothing(recipe, run)
    assert [d.reason for d in run.read(Drop, "drops")] == ["gone"]
    begun = run.path / "crawl" / "retry.json"
    begun.write_text('{"reason": "gone"}')
    monkeypatch.setattr("crawl.run.Drive.run", lambda *_: None)
    _crawl_nothing(recipe, run)
    assert not begun.exists()
    assert not run.read(Drop, "drops")
    assert count(run, "SELECT sum(n) FROM tally WHERE state='ready'") == 1


def test_the_summaries_account_for_every_post() -> None:
    tally = (
        ("ready", "", "", "", 1), ("leased", "", "", "", 2), ("done", "", "", "", 4),
        ("dropped", "search", "rule", "too_few_likes", 8), ("dropped", "fetch", "rule", "too_long", 16),
        ("dropped", "fetch", "failure", "gone", 32),
    )  # fmt: skip
    progress = Progress(quiet=True)
    for name in ("search", "fetch"):
        with progress.stage(name, unit="posts") as stage:
            for _ in range(2):
                account(stage, Stats((), tally))
    search, fetch = progress.summaries
    assert (search.seen, search.kept, search.dropped, search.failed, search.left) == (63, 55, {"too_few_likes": 8}, {}, 0)
    assert (fetch.seen, fetch.kept, fetch.dropped, fetch.failed, fetch.left) == (55, 4, {"too_long": 16}, {"gone": 32}, 3)
    assert search.balanced()
    assert fetch.balanced()


@pytest.mark.parametrize("reached", ["limit", "quota"])
def test_a_limit_that_the_last_post_of_all_reaches_is_no_trouble(tmp_path: Path, reached: str) -> None:
    run, recipe = RunFolder.create(tmp_path / "run"), make(["travel"])
    frontier = Frontier(str(frontier_path(run)))
    frontier.claim(json.dumps(search_settings(recipe)))
    frontier.begin(["travel"], ("end",), **{"limit": 1} if reached == "limit" else {"disk_bytes": 5})
    query, _ = frontier.next_query()
    assert query
    found = Found(id="tiktok:1", platform="tiktok", post_id="1", rank=0, likes=1, likes_exact=True)
    assert frontier.add(query, [found], 1)
    frontier.end_query(query, "end", "", None)
    post = post_of(Details(post_id="1", likes=1, duration_s=1.0), site="tiktok", url="", secret=b"key", sha256="0" * 64)
    (job,) = frontier.lease("me", 1).jobs
    frontier.report([Report(job=job, outcome="done", record=asdict(post), sha256="0" * 64, num_bytes=5)])
    assert frontier.stats().stopped
    frontier.close()
    progress = Progress(quiet=True)
    with Fleet(local=True) as fleet:
        crawl(recipe, run, fleet, progress, Access())
    assert (progress.summaries[1].kept, progress.summaries[1].notes) == (1, [])
    settle(run, recipe, "travel")
    assert read_status(run)["state"] == "finished"
    assert read_status(run)["next"].startswith("svmbench curate")


def finished_run(run: RunFolder, recipe: Recipe, settings: dict[str, Any]) -> None:
    """A run of these settings whose words have been read to their end, without a post but one that is too long."""
    frontier = Frontier(str(frontier_path(run)))
    frontier.claim(json.dumps(settings))
    frontier.begin(recipe.search.words, ("end",))
    query, _ = frontier.next_query()
    assert query
    one = Found(id="tiktok:1", platform="tiktok", post_id="1", rank=0, likes=1, likes_exact=True, reason="too_long", value=9e9)
    assert frontier.add(query, [one], 1)
    frontier.end_query(query, "end", "", None)
    frontier.close()


def _crawl_nothing(recipe: Recipe, run: RunFolder) -> None:
    with Fleet(local=True) as fleet:
        crawl(recipe, run, fleet, Progress(quiet=True), Access())


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
    with Fleet(local=local) as fleet:
        crawl(parse(recipe, "t"), RunFolder.create(folder), fleet, Progress(quiet=True), Access(**access))
"""


def start_driver(recipe: Recipe, run: RunFolder, site: Site, local: bool = True) -> subprocess.Popen[bytes]:
    a = site.access
    access = {"proxy_url": a.proxy_url, "spki_pin": a.spki_pin, "ca_file": a.ca_file}
    order = json.dumps([recipe.model_dump(mode="json"), str(run.path), access, local])
    return subprocess.Popen([sys.executable, "-c", DRIVER, order], start_new_session=True)


def wait_for(run: RunFolder, sql: str, at_least: int, driver: subprocess.Popen[bytes]) -> None:
    """Until a count in the frontier has been reached while the driver works."""
    until = time.monotonic() + 60
    while time.monotonic() < until:
        assert driver.poll() is None, "the driver ended too early for this test"
        try:
            with sqlite3.connect(f"file:{run.path}/crawl/frontier.sqlite?mode=ro", uri=True) as db:
                number = db.execute(sql).fetchone()[0]
            db.close()
        except sqlite3.OperationalError:
            number = 0
        if number >= at_least:
            return
        time.sleep(0.02)
    raise AssertionError(f"{sql} did not reach {at_least}")


@pytest.mark.browser
def test_sigkill_of_the_driver_then_the_same_command_exactly_once(site: Site, site_catalogue: Path, tmp_path: Path) -> None:
    recipe, run = make(["travel"], pages_per_s=12), RunFolder.create(tmp_path / "run")
    moments = (("SELECT count(*) FROM job", 1), ("SELECT count(*) FROM job WHERE state='done'", 8))
    for sql, number in moments:  # while it searches, and while it fetches
        driver = start_driver(recipe, run, site)
        wait_for(run, sql, number, driver)
        family = psutil.Process(driver.pid).children(recursive=True)
        assert number > 1 or browsers_of(run), "it is killed while its browser runs"
        driver.send_signal(signal.SIGKILL)
        driver.wait()
        assert not psutil.wait_procs(family, timeout=10)[1], "nothing outlives the driver"
        assert not list(Path(tempfile.gettempdir()).glob(f"svmbench-{mark_of(run)}-*")), "the profile of its browser is gone too"
    done_before = count(run, "SELECT count(*) FROM job WHERE state='done'")
    pages_before = site.hits["video_page"]
    assert 8 <= done_before < 25
    go(make(["travel"]), run, site)
    assert_complete(run, site_catalogue, ["travel"])
    kept = len(run.read(Post, "posts"))
    assert site.hits["video_page"] - pages_before == kept - done_before, "what was done is not asked for again"
    assert site.hits["video_page"] <= kept + 2 * recipe.pace.media_parallel, "at most what was in hand is asked twice"
    assert not [p for p in (run.path / "media").rglob(".*")]
    assert not browsers_of(run)


@pytest.mark.browser
def test_ctrl_c_finishes_what_is_in_hand_and_keeps_it(site: Site, site_catalogue: Path, tmp_path: Path) -> None:
    run = RunFolder.create(tmp_path / "run")
    driver = start_driver(make(["travel"], pages_per_s=8), run, site)
    wait_for(run, "SELECT count(*) FROM job WHERE state='done'", 3, driver)
    os.killpg(driver.pid, signal.SIGINT)  # as a terminal does: to the driver and all that it started
    driver.wait(timeout=30)
    assert count(run, "SELECT count(*) FROM job WHERE state='leased'") == 0
    assert not browsers_of(run)
    done = count(run, "SELECT count(*) FROM job WHERE state='done'")
    assert len(run.read(Post, "posts")) in (0, done), "what was fetched is in the tables, if all searches were over"
    go(make(["travel"]), run, site)
    assert site.hits["video_page"] == len(run.read(Post, "posts")), "nothing was fetched twice"
    assert_complete(run, site_catalogue, ["travel"])


def count(run: RunFolder, sql: str) -> int:
    with sqlite3.connect(run.path / "crawl" / "frontier.sqlite") as db:
        number = int(db.execute(sql).fetchone()[0])
    db.close()
    return number


def browsers_of(run: RunFolder) -> list[psutil.Process]:
    """The processes of browsers that this run has started, and no other run."""
    found, mark = [], mark_of(run)
    for process in psutil.process_iter(["name"]):
        with suppress(psutil.Error, OSError):
            if process.environ().get(MARK, "").startswith(f"{mark}/"):
                found.append(process)
    return found


def mark_of(run: RunFolder) -> str:
    return blake2b(str(run.path).encode(), digest_size=6).hexdigest()


@pytest.mark.browser
@pytest.mark.slow
def test_on_ray_fetcher_and_frontier_may_be_killed_too(site: Site, site_catalogue: Path, tmp_path: Path) -> None:
    recipe, run = make(pages_per_s=8), RunFolder.create(tmp_path / "run")
    driver = start_driver(recipe, run, site, local=False)
    try:
        done = "SELECT count(*) FROM job WHERE state='done'"
        wait_for(run, done, 5, driver)
        kill_worker(driver, "Fetcher")
        wait_for(run, done, 12, driver)
        kill_worker(driver, "Frontier")
        assert driver.wait(timeout=120) == 0
    finally:
        driver.kill()
    assert_complete(run, site_catalogue, WORDS)


def kill_worker(driver: subprocess.Popen[bytes], name: str) -> None:
    for process in psutil.Process(driver.pid).children(recursive=True):
        if process.cmdline() and process.cmdline()[0].startswith(f"ray::{name}"):
            process.kill()
            return
    raise AssertionError(f"no Ray worker {name}")
