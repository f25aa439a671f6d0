"""YouTube end to end with the real yt-dlp against the embedded platform: found, fetched, and every failure with its word."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import av
import pytest

from crawl.platforms import youtube_shorts
from crawl.replica import catalogue
from crawl.replica.catalogue import FATES, Listing
from crawl.replica.site import Site, serve
from crawl.replica.youtube_answers import MEDIA_HOST, SITE_HOST, apart, channel_id, video_id
from crawl.run import crawl
from svmbench.errors import BadSettings, MissingExtra
from svmbench.fleet import Fleet
from svmbench.progress import Progress, Summary
from svmbench.recipe import Recipe, parse
from svmbench.records import Drop, Post
from svmbench.store import RunFolder, sha256_file

FATAL = {
    "private": "private", "private_account": "members_only", "gone": "gone", "blocked": "region_blocked",
    "login_wall": "bot_check", "slideshow": "live", "classified": "classified", "no_data": "no_formats",
    "challenge": "throttled", "media_403": "media_403", "truncated": "truncated",
}  # fmt: skip
HEALED = ("flaky_503", "truncated_once")
ONCE = ("private", "private_account", "gone", "blocked", "slideshow", "classified")  # permanent: asked once
ATTEMPTS = 3


def make_recipe(words: list[str], **search: Any) -> Recipe:
    values = {"platform": "youtube_shorts", "site": "replica", "words": words, "likes_min": 10_000, **search}
    pace = {"pages_per_s": 80, "media_parallel": 4, "attempts": ATTEMPTS}
    return parse({"name": "t", "robots": "obey", "search": values, "pace": pace}, "t")


class Crawled(NamedTuple):
    """What one crawl left: its run folder, how the site was asked, and its two summaries."""

    run: RunFolder
    hits: Counter[str]
    log: list[tuple[float, str, str, int]]
    search: Summary
    fetch: Summary

    @property
    def posts(self) -> dict[str, Post]:
        return {post.post_id: post for post in self.run.read(Post, "posts")}

    @property
    def drops(self) -> dict[str, Drop]:
        return {drop.id.removeprefix("youtube:"): drop for drop in self.run.read(Drop, "drops")}

    def asked(self, path: str, row: Listing) -> int:
        name = video_id(row.post_id)
        return sum(target.startswith(path) and name in target for _, _, target, _ in self.log)


def go(recipe: Recipe, folder: Path, site: Site) -> Crawled:
    run, progress = RunFolder.create(folder / "run"), Progress(quiet=True)
    with Fleet(local=True) as fleet:
        crawl(recipe, run, fleet, progress, site.access)
    return Crawled(run, site.hits, site.log, *progress.summaries)


@pytest.fixture(scope="module")
def shelf(site_catalogue: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The catalogue of conftest without files that are no mp4, which YouTube has not, and with hidden likes under 'hidden'."""
    folder = tmp_path_factory.mktemp("youtube")
    rows = [row for row in catalogue.read(site_catalogue) if row.words != ("files",)]
    rows.append(replace(rows[0], post_id="7400000000000000300", words=("hidden",), likes=0))
    catalogue.write(folder, rows)
    (folder / "media").symlink_to(site_catalogue / "media")
    return folder


@pytest.fixture(scope="module")
def rows(shelf: Path) -> list[Listing]:
    return catalogue.read(shelf)


@pytest.fixture(scope="module")
def whole(shelf: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Crawled]:
    """One crawl of everything, by two words and a tag."""
    with serve(shelf) as site:
        recipe = make_recipe(["travel", "trouble", "#demo"])
        yield go(recipe, tmp_path_factory.mktemp("whole"), site)


def test_every_listing_is_kept_refused_or_failed_with_its_word(whole: Crawled, rows: list[Listing]) -> None:
    listed = {video_id(row.post_id): row for row in rows}
    assert Counter([*whole.posts, *whole.drops]) == dict.fromkeys(listed, 1)
    said = {row.fate: whole.drops[name].reason for name, row in listed.items() if row.fate in FATAL}
    assert said == FATAL
    kept = {name for name, row in listed.items() if row.fate in ("ok", *HEALED) and row.likes >= 10_000}
    assert whole.posts.keys() == kept
    refused = {drop.reason for name, drop in whole.drops.items() if listed[name].fate == "ok"}
    assert refused == {"too_few_likes", "likes_unknown"}
    assert whole.fetch.balanced()
    assert all(drop.detail for drop in whole.drops.values() if drop.kind == "failure")


def test_no_fate_is_forgotten() -> None:
    assert {"ok", *FATAL, *HEALED} == set(FATES)


def test_only_the_platforms_own_hosts_are_asked(whole: Crawled) -> None:
    assert {host for _, host, _, _ in whole.log} == {SITE_HOST, MEDIA_HOST}
    assert set(whole.hits) <= {"robots", "search_api", "search_page", "video_page", "player_api", "media"}
    assert whole.hits["foreign"] == whole.hits["defect"] == 0


def test_a_video_costs_two_requests_and_one_or_two_for_its_media(whole: Crawled, rows: list[Listing]) -> None:
    """The numbers that the estimate of a crawl and its politeness rest on."""
    kept = [row for row in rows if video_id(row.post_id) in whole.posts and row.fate == "ok"]
    shapes = {apart(row.post_id) for row in kept}
    assert shapes == {True, False}
    for row in kept:
        asked = [whole.asked(path, row) for path in ("/watch", "/videoplayback/")]
        assert asked == [1, 2 if apart(row.post_id) else 1]
    pages = [path for _, host, path, _ in whole.log if host == SITE_HOST and path.startswith(("/watch", "/youtubei/v1/player"))]
    refused = sum(status != 200 for _, _, path, status in whole.log if path.startswith("/watch"))
    tried = sum(whole.asked("/watch", row) for row in rows)
    assert len(pages) == youtube_shorts.POST_REQUESTS * tried - refused
    assert whole.hits["video_page"] == tried
    assert whole.hits["player_api"] == tried - 1, "each page is followed by one call of the player, but where the page is refused"


def test_a_post_below_the_threshold_costs_no_media(whole: Crawled, rows: list[Listing]) -> None:
    below = [row for row in rows if video_id(row.post_id) in whole.drops and row.fate == "ok"]
    assert {row.likes for row in below} >= {0, 9_999}
    assert not any(whole.asked("/videoplayback/", row) for row in below)
    by_likes = {row.likes: video_id(row.post_id) for row in rows if row.fate == "ok"}
    assert whole.drops[by_likes[9_999]].value == 9_999.0
    assert [whole.posts[by_likes[n]].likes for n in (10_000, 10_001)] == [10_000, 10_001]


def test_permanent_failures_are_asked_once_and_others_as_often_as_the_recipe_says(whole: Crawled, rows: list[Listing]) -> None:
    pages = {row.fate: whole.asked("/watch", row) for row in rows if row.fate != "ok"}
    assert {fate: pages[fate] for fate in ONCE} == dict.fromkeys(ONCE, 1)
    others = set(FATAL) - set(ONCE)
    assert {fate: pages[fate] for fate in others} == dict.fromkeys(others, ATTEMPTS)


def test_what_is_stored_has_picture_and_sound(whole: Crawled, rows: list[Listing], shelf: Path) -> None:
    listed = {video_id(row.post_id): row for row in rows}
    for name, post in whole.posts.items():
        row = listed[name]
        assert post.sha256
        assert row.media
        stored = whole.run.media_path(post.sha256)
        assert lengths(stored) == lengths(shelf / row.media)
        assert min(lengths(stored).values()) > 0
        if not apart(row.post_id):
            assert post.sha256 == sha256_file(shelf / row.media)


def lengths(path: Path) -> dict[str, int]:
    """Decoded frames by kind of stream."""
    found: Counter[str] = Counter(video=0, audio=0)
    with av.open(str(path)) as file:
        for frame in file.decode():
            found["video" if isinstance(frame, av.VideoFrame) else "audio"] += 1
    return dict(found)


def test_what_is_kept_of_a_post(whole: Crawled, rows: list[Listing]) -> None:
    by_song: dict[str, set[str | None]] = {}
    for row in rows:
        if not (post := whole.posts.get(video_id(row.post_id))):
            continue
        assert post.platform == "youtube"
        assert post.url == f"https://www.youtube.com/watch?v={post.post_id}"
        assert (post.likes, post.likes_exact, post.duration_s) == (row.likes, True, 1.0)
        assert (post.caption, post.hashtags) == (row.caption, row.hashtags)
        assert (post.views, post.comments) == (row.likes * 12, row.likes // 90)
        assert post.posted_at
        assert post.posted_at.startswith("2023-11-1")
        assert post.track_title == (None if row.track_original else row.track_title)
        assert post.track_original is False, "YouTube does not tell"
        by_song.setdefault(row.track_id, set()).add(post.track_id)
        assert set(post.words) == {*row.words, "#demo"}
    assert all(len(keys) == 1 for keys in by_song.values()), "posts with one song share its key"
    known = [next(iter(keys)) for keys in by_song.values() if keys != {None}]
    assert len(set(known)) == len(known) > 5, "two songs do not"


def test_nobody_is_named(whole: Crawled, rows: list[Listing]) -> None:
    text = json.dumps([[post.author_hash, post.caption] for post in whole.posts.values()])
    stored = b"".join(path.read_bytes() for path in whole.run.path.rglob("*") if path.suffix in (".sqlite", ".json"))
    for row in rows:
        assert row.author not in text
        assert row.author.encode() not in stored
        assert channel_id(row.author).encode() not in stored
    assert len({post.author_hash for post in whole.posts.values()}) == 5


def test_a_second_run_asks_nothing(shelf: Path, tmp_path: Path) -> None:
    with serve(shelf) as site:
        recipe = make_recipe(["travel"], posts_per_word=6)
        first = go(recipe, tmp_path, site)
        assert len(first.posts) + len(first.drops) == 6
        assert go(recipe, tmp_path, site).hits == first.hits


def test_a_list_of_videos_is_fetched_by_its_links(shelf: Path, rows: list[Listing], tmp_path: Path) -> None:
    """How a list of ordinary YouTube videos is rebuilt: the platform `ids` hands them to this one."""
    names = [video_id(row.post_id) for row in rows[3:7]]
    links = [names[0], f"https://youtu.be/{names[1]}", f"https://www.youtube.com/watch?v={names[2]}&t=1", f"youtube:{names[3]}"]
    (tmp_path / "list.txt").write_text("\n".join(links) + "\n")
    recipe = make_recipe(["list"], platform="ids", source=str(tmp_path / "list.txt"), likes_min=0)
    with serve(shelf) as site:
        got = go(recipe, tmp_path, site)
    assert {(name, got.posts[name].platform) for name in got.posts} == {(name, "youtube") for name in names}
    assert (got.hits["search_api"], got.hits["video_page"]) == (0, 4)


@pytest.mark.parametrize("status", ["page", "player"])
def test_a_refused_request_ends_the_try(shelf: Path, tmp_path: Path, status: str) -> None:
    """yt-dlp alone would go on without the page, and would take a throttled player for a video without formats."""
    kind = {"page": "video_page", "player": "player_api"}[status]
    with serve(shelf) as site:
        site.throttle(None, retry_after=0, kinds=[kind])
        got = go(make_recipe(["hidden"], likes_min=0), tmp_path, site)
        assert [(drop.reason, drop.kind) for drop in got.drops.values()] == [("throttled", "failure")]
        tries = {"video_page": ATTEMPTS, "player_api": ATTEMPTS if status == "player" else 0}
        assert {name: site.hits[name] for name in tries} == tries


def test_hidden_likes_pass_where_no_likes_are_asked_for(shelf: Path, tmp_path: Path) -> None:
    with serve(shelf) as site:
        got = go(make_recipe(["hidden"], likes_min=0), tmp_path, site)
    assert [(post.likes, post.likes_exact) for post in got.posts.values()] == [(None, False)]


def test_check_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    youtube_shorts.check(make_recipe(["travel"]).search)
    with pytest.raises(BadSettings, match="original_sound"):
        youtube_shorts.check(make_recipe(["travel"], original_sound="drop").search)
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(MissingExtra, match="ffmpeg"):
        youtube_shorts.check(make_recipe(["travel"]).search)
