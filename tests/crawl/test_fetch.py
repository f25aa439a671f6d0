"""The fetcher with the real yt-dlp against the embedded platform: every fate of a post, one page request each, nobody's name."""

from __future__ import annotations

import io
import json
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from email.utils import formatdate
from pathlib import Path
from typing import Any

import pytest
from yt_dlp.networking import Response
from yt_dlp.networking.exceptions import HTTPError
from yt_dlp.utils import DownloadError, ExtractorError

from crawl.failures import common
from crawl.fetch import BACKOFF_MAX_S, backoff_s
from crawl.platforms import Candidate, nameless, refuse, research_api, tiktok, without_names, youtube_shorts
from crawl.posts import author_hash
from crawl.replica import catalogue
from crawl.replica.catalogue import Listing
from crawl.replica.site import Site
from svmbench.errors import StorageError
from svmbench.store import sha256_file

SECRET = b"0123456789abcdef0123456789abcdef"
FATAL = {
    "private": "private", "private_account": "private", "gone": "gone", "blocked": "blocked",
    "login_wall": "login_wall", "slideshow": "slideshow", "classified": "classified", "no_data": "no_data",
    "media_403": "media_403", "truncated": "truncated",
}  # fmt: skip
HEALED = ("challenge", "flaky_503", "truncated_once")
ONE_PAGE = ("private", "private_account", "gone", "slideshow", "classified")  # permanent: asked once


def listings(folder: Path, word: str) -> dict[str, Listing]:
    return {row.post_id: row for row in catalogue.read(folder) if word in row.words}


@pytest.fixture(scope="module")
def trouble(
    site_catalogue: Path, tmp_path_factory: pytest.TempPathFactory, fetch_posts: Any, recipe_of: Any
) -> Iterator[tuple[Any, list[str], Counter[str]]]:
    """One post of each fate, fetched once for all tests here; and what the site was asked."""
    from crawl.replica.site import serve

    with serve(site_catalogue) as site:
        got = fetch_posts(site, tmp_path_factory.mktemp("trouble"), list(listings(site_catalogue, "trouble")), recipe_of())
        yield got, [target for _, _, target, _ in site.log], site.hits


def test_each_fate_has_its_own_word(trouble: Any, by_fate: dict[str, Listing]) -> None:
    got = trouble[0]
    said = {fate: got.rows[by_fate[fate].post_id]["reason"] for fate in FATAL}
    assert said == FATAL
    rows = {fate: got.rows[by_fate[fate].post_id] for fate in FATAL}
    rule = rows.pop("slideshow")
    assert (rule["state"], rule["stage"], rule["kind"]) == ("dropped", "fetch", "rule")
    assert {(row["state"], row["stage"], row["kind"]) for row in rows.values()} == {("dropped", "fetch", "failure")}
    assert all(row["detail"] and "cookies" not in row["detail"] for row in rows.values())


@pytest.mark.parametrize("fate", HEALED)
def test_passing_troubles_heal(trouble: Any, by_fate: dict[str, Listing], site_catalogue: Path, fate: str) -> None:
    got, row = trouble[0], by_fate[fate]
    assert got.rows[row.post_id]["state"] == "done"
    assert row.media is not None
    stored = got.run.media_path(got.post(row.post_id)["sha256"])
    assert stored.read_bytes() == (site_catalogue / row.media).read_bytes()


def test_permanent_failures_are_asked_once_and_others_as_often_as_the_recipe_says(
    trouble: Any, by_fate: dict[str, Listing]
) -> None:
    pages = Counter(target.rsplit("/", 1)[1] for target in trouble[1] if target.startswith("/@_/video/"))
    assert {fate: pages[by_fate[fate].post_id] for fate in ONE_PAGE} == dict.fromkeys(ONE_PAGE, 1)
    others = ("blocked", "login_wall", "no_data", "media_403", "truncated")
    assert {fate: pages[by_fate[fate].post_id] for fate in others} == dict.fromkeys(others, 3)


def test_nothing_is_left_over_in_the_run_folder(trouble: Any) -> None:
    run = trouble[0].run
    assert not list((run.path / "crawl" / "tmp").glob("*"))
    assert len([p for p in (run.path / "media").rglob("*") if p.is_file()]) == len(HEALED)
    assert set(trouble[2]) <= {"robots", "video_page", "media", "login"}, "no foreign host, no disallowed path"


def test_one_page_and_one_media_request_a_post(
    site: Site, site_catalogue: Path, tmp_path: Path, fetch_posts: Any, recipe_of: Any
) -> None:
    wanted = list(listings(site_catalogue, "travel"))[10:20]
    got = fetch_posts(site, tmp_path, wanted, recipe_of())
    assert all(row["state"] == "done" for row in got.rows.values())
    assert site.hits["video_page"] == len(wanted)
    assert site.hits["media"] == len(wanted)
    for post_id in wanted:
        sha256 = got.post(post_id)["sha256"]
        assert sha256_file(got.run.media_path(sha256)) == sha256


def test_the_like_threshold_is_exact_though_the_card_is_rounded(
    site: Site, site_catalogue: Path, tmp_path: Path, fetch_posts: Any, recipe_of: Any
) -> None:
    by_likes = {row.likes: row.post_id for row in listings(site_catalogue, "travel").values()}
    wanted = [by_likes[9_999], by_likes[10_000], by_likes[10_001]]
    got = fetch_posts(site, tmp_path, wanted, recipe_of())
    below = got.rows[by_likes[9_999]]
    assert (below["state"], below["stage"], below["kind"], below["reason"], below["value"]) == (
        "dropped", "fetch", "rule", "too_few_likes", 9_999.0
    )  # fmt: skip
    assert [got.rows[by_likes[n]]["state"] for n in (10_000, 10_001)] == ["done", "done"]
    assert [got.post(by_likes[n])["likes"] for n in (10_000, 10_001)] == [10_000, 10_001]
    assert site.hits["media"] == 2, "the media of a refused post are not asked for"


def test_what_is_kept_of_a_post(site: Site, site_catalogue: Path, tmp_path: Path, fetch_posts: Any, recipe_of: Any) -> None:
    rows = list(listings(site_catalogue, "travel").values())
    one, same_author = rows[7], rows[12]
    assert one.author == same_author.author
    got = fetch_posts(site, tmp_path, [one.post_id, same_author.post_id, rows[8].post_id], recipe_of(likes_min=0))
    post = got.post(one.post_id)
    assert post["url"] == f"https://www.tiktok.com/@_/video/{one.post_id}"
    assert (post["likes"], post["likes_exact"], post["duration_s"]) == (one.likes, True, 1.0)
    assert (post["track_id"], post["track_title"], post["track_original"]) == (one.track_id, None, True), "a name stands in it"
    assert got.post(rows[8].post_id)["track_title"] == rows[8].track_title
    assert post["hashtags"] == list(one.hashtags)
    assert post["caption"] == one.caption
    assert post["posted_at"].startswith("2023-11-1")
    assert one.author not in json.dumps(got.rows[one.post_id]), "no name in the frontier"
    assert post["author_hash"] == got.post(same_author.post_id)["author_hash"]
    assert post["author_hash"] != got.post(rows[8].post_id)["author_hash"]


def test_files_of_other_kinds_arrive_whole(
    site: Site, site_catalogue: Path, tmp_path: Path, fetch_posts: Any, recipe_of: Any
) -> None:
    rows = listings(site_catalogue, "files")
    got = fetch_posts(site, tmp_path, list(rows), recipe_of())
    for post_id, row in rows.items():
        assert row.media is not None
        assert got.post(post_id)["sha256"] == sha256_file(site_catalogue / row.media)
    assert any("<script>" in got.post(post_id)["caption"] for post_id in rows), "a hostile caption is only text"


def test_an_untrusted_site_is_not_fetched_from(
    site: Site, site_catalogue: Path, tmp_path: Path, fetch_posts: Any, recipe_of: Any
) -> None:
    post_id = next(iter(listings(site_catalogue, "travel")))
    no_robots = recipe_of({"attempts": 1}, {"ignore_because": "it cannot be had either"}, likes_min=0)
    stranger = Site(site.port, replace(site.access, ca_file=None))
    got = fetch_posts(stranger, tmp_path, [post_id], no_robots)
    assert got.rows[post_id]["reason"] == "tls"
    assert "certificate" in got.rows[post_id]["detail"].lower()
    assert site.hits["video_page"] == 0


def test_a_full_disk_stops_the_worker_with_one_line(
    site: Site, site_catalogue: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fetch_posts: Any, recipe_of: Any
) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise DownloadError("unable to write data: [Errno 28] No space left on device")

    monkeypatch.setattr("yt_dlp.YoutubeDL.process_ie_result", full)
    with pytest.raises(StorageError, match="full; free some space"):
        fetch_posts(site, tmp_path, list(listings(site_catalogue, "travel"))[5:9], recipe_of(likes_min=0))
    assert threading.active_count() < 20


def test_author_hash_needs_the_secret() -> None:
    assert author_hash("someone", SECRET) == author_hash("someone", SECRET)
    assert author_hash("someone", SECRET) != author_hash("someone", SECRET[::-1])
    assert author_hash("someone", SECRET) != author_hash("someone else", SECRET)
    assert author_hash(None, SECRET) is None
    assert len(author_hash("someone", SECRET) or "") == 32


def test_backoff_doubles_is_jittered_and_never_shorter_than_asked() -> None:
    assert [backoff_s(n, 1.0, None, 1.0) for n in range(4)] == [10.0, 20.0, 40.0, 80.0]
    assert backoff_s(2, 1.0, None, 0.25) == 10.0
    assert backoff_s(0, 1.0, 33.0, 0.1) == 33.0
    assert backoff_s(60, 1.0, None, 1.0) == BACKOFF_MAX_S


@pytest.mark.parametrize(
    ("likes", "exact", "duration_s", "verdict"),
    [(9_999, True, 20.0, ("too_few_likes", 9_999.0)), (10_000, True, 20.0, ("", None)), (9_000, False, 20.0, ("", None)),
     (None, False, None, ("", None)), (20_000, True, 4.0, ("too_short", 4.0)), (20_000, True, 5.0, ("", None)),
     (20_000, True, 60.0, ("", None)), (20_000, True, 61.0, ("too_long", 61.0))],
)  # fmt: skip
def test_rules_of_the_recipe(
    likes: int | None, exact: bool, duration_s: float | None, verdict: tuple[str, float | None], recipe_of: Any
) -> None:
    search = recipe_of(duration_min_s=5, duration_max_s=60).search
    assert refuse(Candidate(post_id="1", likes=likes, likes_exact=exact, duration_s=duration_s), search) == verdict


def test_names_in_captions_are_removed() -> None:
    item = {"desc": "with @some.one and @other_1, look @ this", "author": {"secUid": "x"}, "stats": {"diggCount": "12"}}
    details = tiktok.details({"id": "1", "svmbench_item": item})
    assert details.caption == "with and , look @ this"
    assert details.likes == 12


@pytest.mark.parametrize(
    ("text", "left"),
    [("by @jane-doe_1.x now", "by now"), ("舞蹈@小明 !", "舞蹈 !"), ("with\uff20jane", "with"), ("(@jane)", "()"),
     ("@ this", "@ this"), ("@mi\u00b7so", ""), ("write to jane.doe+x@mail.example.org today", "write to today")],
)  # fmt: skip
def test_no_handle_and_no_address_stays_in_a_caption(text: str, left: str) -> None:
    assert without_names(text) == left


def test_what_failed_is_told_without_names() -> None:
    led = HTTPError(Response(io.BytesIO(), "https://www.tiktok.com/x", {"Location": "/@jane-doe/video/1"}, 302))
    failure = common(led, media=False)
    assert failure
    assert (failure.kind, failure.detail) == ("redirected", "HTTP Error 302: Found to /@_/video/1")
    network = common(OSError("no answer from https://www.tiktok.com/@jane.doe/video/1"), media=False)
    assert network
    assert network.detail == "no answer from https://www.tiktok.com/@_/video/1"
    assert nameless("https://www.tiktok.com/@_/video/1") == "https://www.tiktok.com/@_/video/1"
    claimed = "Video unavailable. This video is no longer available due to a copyright claim by Jane Doe"
    assert youtube_shorts.classify(ExtractorError(claimed, expected=True)).detail.endswith("claim by ...")
    assert tiktok.classify(ExtractorError("odd page of @jane", expected=True)).detail == "odd page of @_"


@pytest.mark.parametrize(
    ("text", "number"),
    [("9999", 9_999), ("10K", 10_000), ("10.2K", 10_200), ("1.5M", 1_500_000), ("1,234", 1_234), ("likes", None)],
)
def test_card_counts(text: str, number: int | None) -> None:
    assert tiktok.parse_count(text) == number


@pytest.mark.parametrize(
    ("body", "wall"),
    [("", "soft_block"), ("[]", "soft_block"), ("{}", "soft_block"), ('{"type": "verify", "code": "10000"}', "captcha"),
     ('{"status_code": 2483, "item_list": []}', "soft_block"), ('{"item_list": [], "has_more": 0}', "")],
)  # fmt: skip
def test_a_search_answer_without_results_is_a_wall_unless_it_says_that_this_is_the_end(body: str, wall: str) -> None:
    page = tiktok.parse("https://www.tiktok.com/api/search/item/full/", body)
    assert (page.wall, page.candidates) == (wall, ())
    assert wall or not page.more


def test_both_shapes_of_search_answers_are_read() -> None:
    item = {"id": "7", "stats": {"diggCount": 10_049}, "video": {"duration": 12}}
    for body in ({"item_list": [item], "has_more": 1}, {"data": [{"type": 1, "item": item}, {"type": 4}], "has_more": 1}):
        page = tiktok.parse("https://www.tiktok.com/api/search/general/full/", json.dumps(body))
        assert page.candidates == (Candidate(post_id="7", likes=10_049, likes_exact=True, duration_s=12.0, slideshow=False),)
        assert page.more


def test_what_nobody_knows_is_tried_again() -> None:
    assert (tiktok.classify(ExtractorError("odd")).kind, tiktok.classify(ExtractorError("odd")).permanent) == ("unknown", False)


@pytest.mark.parametrize(
    ("status", "kind", "permanent", "wall"),
    [(403, "forbidden", False, True), (404, "gone", True, False), (429, "throttled", False, True),
     (451, "http_451", True, False), (500, "http_500", False, False), (503, "throttled", False, False)],
)  # fmt: skip
def test_each_platform_means_the_same_by_a_status(status: int, kind: str, permanent: bool, wall: bool) -> None:
    headers = {"Retry-After": formatdate(time.time() + 60, usegmt=True)} if kind == "throttled" else {}
    error = HTTPError(Response(io.BytesIO(), "https://www.tiktok.com/@_/video/1", headers, status))
    for platform in (tiktok, youtube_shorts, research_api):
        failure = platform.classify(error)
        assert (failure.kind, failure.permanent, failure.wall) == (kind, permanent, wall)
        assert failure.retry_after_s == (pytest.approx(60, abs=2) if headers else None)
