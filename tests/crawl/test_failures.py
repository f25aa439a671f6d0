"""Every kind of failure through the real yt-dlp on the embedded platform: its name, its flags, and what the sites were asked."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from crawl.replica import catalogue
from crawl.replica.catalogue import FATES, ODD_FATES
from crawl.replica.items import MEDIA_HOST, SITE_HOST
from crawl.replica.site import Site, serve

TRIES = 3
# fate -> (reason, pages asked for, media asked for); the fates of catalogue.FATES are in test_fetch.py
ENDS = {
    "challenge_empty": ("challenge", 3, 0),
    "odd_data": ("extractor", 1, 0),
    "page_401": ("login_wall", 3, 0),
    "page_403": ("forbidden", 3, 0),
    "page_404": ("gone", 1, 0),
    "page_500": ("http_500", 3, 0),
    "page_huge": ("too_large", 1, 0),
    "page_stalls": ("timeout", 3, 0),
    "page_breaks": ("network", 3, 0),
    "page_loops": ("redirected", 18, 0),
    "page_leads_astray": ("redirected", 3, 0),
    "page_noindex": ("x_robots_tag", 1, 0),
    "media_404": ("media_404", 3, 3),
    "media_empty": ("empty_file", 3, 3),
    "media_html": ("not_media", 3, 3),
    "media_json": ("not_media", 3, 3),
    "media_stalls": ("timeout", 3, 3),
    "media_breaks": ("network", 3, 3),
    "media_noindex": ("x_robots_tag", 1, 1),
    "media_astray": ("redirected", 3, 3),
}
ELSEWHERE = "v99-webapp.us.tiktok.com"
HEALED = {"media_429_once": (2, 2), "media_503_once": (2, 2), "media_expired_once": (2, 2), "media_moved": (1, 2)}
RULES = ("page_noindex", "media_noindex")


@pytest.fixture(scope="module")
def odd(site_catalogue: Path, tmp_path_factory: pytest.TempPathFactory, fetch_posts: Any, recipe_of: Any) -> Iterator[Any]:
    """One post of each odd fate, fetched once for all tests here; and what the site was asked."""
    good = next(row for row in catalogue.read(site_catalogue) if row.likes > 10_001)
    rows = {fate: replace(good, post_id=str(7_500_000_000_000_000_000 + n), fate=fate) for n, fate in enumerate(ODD_FATES)}
    shelf = tmp_path_factory.mktemp("odd")
    catalogue.write(shelf, rows.values())
    (shelf / "media").symlink_to(site_catalogue / "media")
    with serve(shelf) as site, pytest.MonkeyPatch.context() as patch:
        patch.setattr("crawl.downloader.TIMEOUT_S", 1.5)
        wanted = [row.post_id for row in rows.values() if row.fate != "media_elsewhere"]
        got = fetch_posts(site, tmp_path_factory.mktemp("fetched"), wanted, recipe_of())
        yield SimpleNamespace(got=got, rows=rows, log=site.log, hits=site.hits, source=shelf)


def asked(odd: Any, fate: str, host: str) -> list[str]:
    """Paths and queries asked for on behalf of a post."""
    return [target for _, at, target, _ in odd.log if at == host and odd.rows[fate].post_id in target]


def test_the_table_here_is_complete() -> None:
    assert {*ENDS, *HEALED, "media_elsewhere"} == set(ODD_FATES)
    assert not set(ODD_FATES) & set(FATES), "the composer deals all of FATES, and these must stay out of composed catalogues"


@pytest.mark.parametrize("fate", ENDS)
def test_each_trouble_has_its_own_word_and_costs_what_it_should(odd: Any, fate: str) -> None:
    reason, num_pages, num_media = ENDS[fate]
    row = odd.got.rows[odd.rows[fate].post_id]
    assert (row["state"], row["stage"], row["reason"]) == ("dropped", "fetch", reason)
    assert row["kind"] == ("rule" if fate in RULES else "failure")
    assert row["detail"]
    assert len(asked(odd, fate, SITE_HOST)) == num_pages
    assert len(asked(odd, fate, MEDIA_HOST)) == num_media


@pytest.mark.parametrize("fate", HEALED)
def test_passing_troubles_heal(odd: Any, fate: str) -> None:
    listing = odd.rows[fate]
    assert odd.got.rows[listing.post_id]["state"] == "done"
    stored = odd.got.run.media_path(odd.got.post(listing.post_id)["sha256"])
    assert stored.read_bytes() == (odd.source / listing.media).read_bytes()
    assert (len(asked(odd, fate, SITE_HOST)), len(asked(odd, fate, MEDIA_HOST))) == HEALED[fate]


def test_the_log_of_attempts_has_every_try(odd: Any) -> None:
    said = {fate: odd.got.tries(odd.rows[fate].post_id) for fate in ("page_500", "page_404", "media_503_once", "page_noindex")}
    assert said["page_500"] == ["http_500"] * TRIES
    assert said["page_404"] == ["gone"]
    assert said["media_503_once"] == ["throttled", "done"]
    assert said["page_noindex"] == ["x_robots_tag"]


def test_an_expired_link_is_never_asked_for_again(odd: Any) -> None:
    links = asked(odd, "media_expired_once", MEDIA_HOST)
    assert len(set(links)) == len(links) == 2


def test_a_defect_of_the_extractor_is_named(odd: Any) -> None:
    row = odd.got.rows[odd.rows["odd_data"].post_id]
    assert row["detail"].startswith("ValueError: ")


def test_redirections_are_followed_only_where_robots_txt_allows(odd: Any) -> None:
    assert not [target for _, _, target, _ in odd.log if target.startswith("/internal/")]
    assert odd.hits["disallowed"] == 0
    assert "/internal/post" in odd.got.rows[odd.rows["page_leads_astray"].post_id]["detail"]


def test_a_tag_behind_a_redirection_counts_too(odd: Any, tmp_path: Path, fetch_posts: Any, recipe_of: Any) -> None:
    post_id = odd.rows["media_moved"].post_id
    with serve(odd.source) as site:
        site.tag("noai", kinds=["media"])
        got = fetch_posts(site, tmp_path, [post_id], recipe_of())
        assert site.hits["media"] == 2
    assert (got.rows[post_id]["kind"], got.rows[post_id]["reason"]) == ("rule", "x_robots_tag")


def test_a_host_that_no_name_server_knows(odd: Any, tmp_path: Path, fetch_posts: Any, recipe_of: Any) -> None:
    post_id = odd.rows["media_elsewhere"].post_id
    with serve(odd.source) as site:
        unread = recipe_of(robots={"ignore_because": "its robots.txt cannot be had either"})
        got = fetch_posts(site, tmp_path, [post_id], unread)
        assert {host for _, host, _, status in site.log if status == 502} == {ELSEWHERE}
    assert (got.rows[post_id]["reason"], got.tries(post_id)) == ("network", ["network"] * TRIES)
    assert "502" in got.rows[post_id]["detail"]


def test_nothing_but_media_is_stored(odd: Any) -> None:
    files = [path for path in (odd.got.run.path / "media").rglob("*") if path.is_file()]
    assert len(files) == 1, "all good posts here have the same file"
    assert not list((odd.got.run.path / "crawl" / "tmp").iterdir())


def _lift(site: Site) -> None:
    """The site is itself again once it has refused a request."""
    until = time.monotonic() + 60
    while not site.hits["throttled"] and time.monotonic() < until:
        time.sleep(0.02)
    site.throttle(0)


@pytest.mark.parametrize(("kind", "host"), [("video_page", SITE_HOST), ("media", MEDIA_HOST)])
def test_retry_after_holds_the_host_that_said_so_and_no_other(
    site_catalogue: Path, tmp_path: Path, fetch_posts: Callable[..., Any], recipe_of: Callable[..., Any], kind: str, host: str
) -> None:
    wanted = [row.post_id for row in catalogue.read(site_catalogue) if row.likes > 10_001 and "travel" in row.words][:4]
    with serve(site_catalogue) as site:
        site.throttle(None, 2, kinds=[kind], host=host)
        lifting = threading.Thread(target=_lift, args=(site,))
        lifting.start()
        got = fetch_posts(site, tmp_path, wanted, recipe_of({"media_parallel": 1}))
        lifting.join()
        log = [(at_s, at, status) for at_s, at, target, status in site.log if target != "/robots.txt"]
    assert {row["state"] for row in got.rows.values()} == {"done"}
    times = [at_s for at_s, at, _ in log if at == host]
    refused = next(at_s for at_s, _, status in log if status == 429)
    assert [at_s for at_s in times if refused < at_s < refused + 1.9] == []
    other = [at_s for at_s, at, _ in log if at != host and refused < at_s < refused + 1.9]
    assert bool(other) == (kind == "media"), "pages of other posts are still asked for while the media's host rests"


def test_a_page_that_drips_for_ever_is_given_up(
    site: Site, site_catalogue: Path, tmp_path: Path, fetch_posts: Any, recipe_of: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("crawl.downloader.PAGE_LIMITS", (2**20, 0.0))
    post_id = next(row.post_id for row in catalogue.read(site_catalogue) if row.likes > 10_001)
    got = fetch_posts(site, tmp_path, [post_id], recipe_of({"attempts": 1}))
    assert got.rows[post_id]["reason"] == "timeout"


def test_a_file_without_end_is_given_up(
    site: Site, site_catalogue: Path, tmp_path: Path, fetch_posts: Any, recipe_of: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("crawl.downloader.MEDIA_LIMITS", (1000, 60.0))
    post_id = next(row.post_id for row in catalogue.read(site_catalogue) if row.likes > 10_001)
    began = time.monotonic()
    got = fetch_posts(site, tmp_path, [post_id], recipe_of())
    assert got.rows[post_id]["reason"] == "too_large"
    assert got.tries(post_id) == ["too_large"]
    assert time.monotonic() - began < 20


def test_what_the_site_was_asked_for_is_only_pages_and_media(odd: Any) -> None:
    kinds = Counter(odd.hits)
    assert set(kinds) <= {"robots", "video_page", "media", "throttled"}
