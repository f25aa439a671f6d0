"""Local files: which are taken, what their sidecars tell, and whole crawls of a folder."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from crawl.access import Access
from crawl.drive import frontier_path
from crawl.frontier_read import failures
from crawl.platforms import Page, folder
from crawl.run import check, crawl
from svmbench.errors import BadInput, BadSettings
from svmbench.fleet import Fleet
from svmbench.progress import Progress, Summary
from svmbench.recipe import Recipe, parse
from svmbench.records import Drop, Post
from svmbench.store import RunFolder

TOLD = {
    "title": "A day out", "description": "A day out with @some.body #travel #Sea #travel", "like_count": 12_000, "view_count": 90,
    "comment_count": 3, "repost_count": 2, "duration": 1.0, "track": "Song",
    "timestamp": 1_700_000_000, "uploader_id": "some.body",
}  # fmt: skip


def recipe(source: Path | str | None, words: list[str] | None = None, **search: Any) -> Recipe:
    values = {"platform": "folder", "words": words or ["."], "source": source and str(source), **search}
    return parse({"name": "t", "search": values, "pace": {"media_parallel": 4}, "robots": "obey"}, "t")


def go(plan: Recipe, run: RunFolder) -> tuple[Summary, Summary]:
    progress = Progress(quiet=True)
    with Fleet(local=True) as fleet:
        crawl(plan, run, fleet, progress, Access(proxy_url="http://127.0.0.1:9"))  # a way on which nothing answers
    search, fetch = progress.summaries
    return search, fetch


def pages(source: Path, word: str = ".", cursor: str = "") -> list[Page]:
    means: Any = SimpleNamespace(recipe=recipe(source))
    return list(folder.pages(means, word, cursor))


def names(source: Path, word: str = ".", cursor: str = "") -> list[str]:
    found = [c.url for page in pages(source, word, cursor) for c in page.candidates]
    return [Path(url).relative_to(source).as_posix() for url in found]


@pytest.fixture
def videos(tmp_path: Path, site_catalogue: Path) -> Path:
    """Four files in three folders, one with a sidecar, and much that is no post."""
    root = tmp_path / "videos"
    for n, name in enumerate(("one.mp4", "travel/two.mp4", "travel/deep/Drei \u00e4.MP4", "night/four.mp4")):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(site_catalogue / "media" / f"{n}.mp4", root / name)
    (root / "travel" / "two.info.json").write_text(json.dumps(TOLD))
    (root / "notes.txt").write_text("x")
    (root / ".hidden.mp4").write_bytes(b"x")
    (root / ".thumbs").mkdir()
    (root / ".thumbs" / "a.mp4").write_bytes(b"x")
    (root / "loop").symlink_to(root, target_is_directory=True)
    (root / "lost.mp4").symlink_to(root / "nowhere.mp4")
    return root


def test_media_files_by_name_and_nothing_hidden_linked_in_a_circle_or_else(videos: Path) -> None:
    assert names(videos) == ["night/four.mp4", "one.mp4", "travel/deep/Drei \u00e4.MP4", "travel/two.mp4"]
    assert names(videos, "travel") == ["travel/deep/Drei \u00e4.MP4", "travel/two.mp4"]


def test_it_goes_on_after_any_file(videos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folder, "PAGE_ITEMS", 1)
    read, everything = pages(videos), names(videos)
    assert [page.more for page in read] == [True] * 4 + [False]
    for n in range(4):
        assert names(videos, ".", read[n].cursor) == everything[n + 1 :]


def test_ids_follow_from_the_path_below_the_folder(videos: Path, tmp_path: Path) -> None:
    before = [c.post_id for page in pages(videos) for c in page.candidates]
    moved = videos.rename(tmp_path / "elsewhere")
    assert [c.post_id for page in pages(moved) for c in page.candidates] == before
    assert len(set(before)) == 4
    assert folder.expected(recipe(moved, ["travel", "."]).search) == {"folder": 6}
    below = [c.post_id for page in pages(moved, "travel") for c in page.candidates]
    assert set(below) < set(before), "a file is one post, whichever word finds it"


def test_a_name_that_is_no_text_is_refused_and_told(tmp_path: Path) -> None:
    (tmp_path / os.fsdecode(b"caf\xe9.mp4")).write_bytes(b"x")
    (found,) = [c for page in pages(tmp_path) for c in page.candidates]
    assert (found.refused, found.detail) == ("unreadable_name", "'caf\\udce9.mp4'")


def test_details_from_the_sidecar_and_without_one(videos: Path) -> None:
    told = folder.details({"path": str(videos / "travel" / "two.mp4"), "post_id": "x"})
    assert (told.likes, told.views, told.comments, told.shares, told.saves) == (12_000, 90, 3, 2, None)
    assert (told.caption, told.hashtags) == ("A day out with #travel #Sea #travel", ("travel", "Sea"))
    assert (told.track_title, told.duration_s, told.author_key) == ("Song", 1.0, "some.body")
    assert told.posted_at == "2023-11-14T22:13:20+00:00"
    unknown = folder.details({"path": str(videos / "one.mp4"), "post_id": "y"})
    assert (unknown.likes, unknown.duration_s, unknown.caption, unknown.author_key) == (None, None, "", None)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"source": None}, r"search\.source: missing; name the folder"),
        ({"source": "/nowhere/at/all"}, "is not a folder; name one that holds videos"),
        ({"words": ["../other"]}, r"search\.words: '\.\./other' is not below the folder"),
        ({"words": ["/etc"]}, r"search\.words: '/etc' is not below the folder"),
        ({"words": ["dance"]}, r"has no sub-folder 'dance'"),
        ({"site": "replica"}, r"search\.site: the embedded platform has no 'folder'"),
    ],
)
def test_what_the_recipe_gets_wrong(videos: Path, change: dict[str, Any], says: str) -> None:
    with pytest.raises((BadSettings, BadInput), match=says):
        check(recipe(**{"source": videos, **change}))


def test_a_folder_is_crawled_without_any_request_and_left_as_it_was(videos: Path, tmp_path: Path) -> None:
    before = {p: (p.stat().st_mtime_ns, p.read_bytes()) for p in videos.rglob("*") if p.is_file()}
    run = RunFolder.create(tmp_path / "run")
    search, fetch = go(recipe(videos, ["travel", "."]), run)
    assert (search.seen, fetch.kept, fetch.left) == (4, 4, 0)
    assert search.balanced()
    posts = {Path(p.url).name: p for p in run.read(Post, "posts")}
    assert set(posts) == {"one.mp4", "two.mp4", "Drei \u00e4.MP4", "four.mp4"}
    assert posts["two.mp4"].words == ("travel", ".")
    assert posts["one.mp4"].words == (".",)
    assert posts["two.mp4"].likes == 12_000
    assert {p.platform for p in posts.values()} == {"folder"}
    for post in posts.values():
        assert run.media_path(post.sha256 or "").read_bytes() == Path(post.url).read_bytes()
    assert {p: (p.stat().st_mtime_ns, p.read_bytes()) for p in videos.rglob("*") if p.is_file()} == before
    tables = b"".join(p.read_bytes() for p in (run.path / "tables").rglob("*.parquet"))
    assert b"some.body" not in tables

    search, fetch = go(recipe(videos, ["travel", "."]), run)
    assert (search.seen, fetch.kept) == (4, 4), "the same command again does nothing"


def test_likes_that_nobody_knows_cannot_pass_a_threshold_and_trouble_has_a_reason(videos: Path, tmp_path: Path) -> None:
    (videos / "night" / "four.info.json").write_text("{not json")
    (videos / "one.info.json").write_text(json.dumps({"like_count": 5_000}))
    run = RunFolder.create(tmp_path / "run")
    search, fetch = go(recipe(videos, likes_min=10_000), run)
    assert (search.seen, fetch.kept, fetch.left) == (4, 1, 0)
    assert dict(fetch.dropped) == {"likes_unknown": 1, "too_few_likes": 1}
    assert dict(fetch.failed) == {"bad_sidecar": 1}
    assert fetch.balanced()
    assert len(run.read(Drop, "drops")) == 3


def test_a_file_that_is_no_media_is_tried_once(tmp_path: Path) -> None:
    (tmp_path / "videos").mkdir()
    (tmp_path / "videos" / "empty.mp4").touch()
    (tmp_path / "videos" / "page.mp4").write_text("<!doctype html>")
    run = RunFolder.create(tmp_path / "run")
    _, fetch = go(recipe(tmp_path / "videos"), run)
    assert dict(fetch.failed) == {"empty_file": 1, "not_media": 1}
    tries = [example.attempts for fate in failures(frontier_path(run)) for example in fate.examples]
    assert tries == [1, 1], "a file does not change by itself"
