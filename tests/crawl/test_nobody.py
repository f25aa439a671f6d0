"""Nobody's name is kept: each platform is crawled with marked people, and nothing of a whole run folder has the mark."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

import pyarrow.parquet as pq
import pytest

from crawl.browser import CHROMIUM
from crawl.platforms.research_api import TOKEN
from crawl.replica import catalogue, research
from crawl.replica.items import item
from crawl.replica.site import Site, serve
from crawl.replica.youtube_answers import channel_id
from crawl.run import crawl
from svmbench import plugins
from svmbench.fleet import Fleet
from svmbench.progress import Progress
from svmbench.recipe import parse
from svmbench.records import Post
from svmbench.store import RunFolder

MARK = "zqx"
TEXT = "moves by @zqxone.two-zqx and 舞@zqxthree, \uff20zqxfour, mail zqx.five@zqx.example #travel"
CHROMIUM_IS_THERE = bool(os.environ.get("SVMBENCH_CHROMIUM") or any(map(shutil.which, CHROMIUM)))


@pytest.fixture(scope="module")
def marked(site_catalogue: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three good posts and each that fails, of marked people; sounds of their own have titles that name them, as on TikTok."""
    shelf = tmp_path_factory.mktemp("marked")
    known = catalogue.read(site_catalogue)
    chosen = [r for r in known if r.words == ("travel",)][5:8] + [r for r in known if r.words == ("trouble",)]
    rows = [
        replace(
            row, author=f"{MARK}.person-{n}", caption=f"{n} {TEXT}", words=("travel",), likes=20_000,
            track_title=f"original sound - {MARK}.person-{n}" if row.track_original else row.track_title,
        )
        for n, row in enumerate(chosen)
    ]  # fmt: skip
    assert any(row.track_original for row in rows[:3])
    catalogue.write(shelf, rows)
    (shelf / "media").symlink_to(site_catalogue / "media")
    return shelf


@pytest.fixture
def people(marked: Path) -> Iterator[Site]:
    with serve(marked) as running:
        yield running


def needles(marked: Path) -> set[bytes]:
    """The mark, what the platforms call these people by, and the secret that one of them is asked with."""
    found = {MARK, research.TOKEN}
    for row in catalogue.read(marked):
        author = item(row, 1)["author"]
        found |= {author["secUid"], author["id"], channel_id(row.author)}
    return {text.encode() for text in found}


def source_of(platform: str, folder: Path, marked: Path) -> str:
    """The list or the folder of a platform that needs one; it is outside the run."""
    rows = catalogue.read(marked)
    if platform == "ids":
        links = [f"https://www.tiktok.com/@{row.author}/video/{row.post_id}" for row in rows]
        (folder / "list.txt").write_text("\n".join([*links, f"https://www.tiktok.com/@{MARK}.person", f"@{MARK}.person"]))
        return str(folder / "list.txt")
    shelf = folder / "files"
    shelf.mkdir()
    for row in rows[:3]:
        shutil.copy(marked / str(row.media), shelf / f"{row.post_id}.mp4")
        told = {
            "description": row.caption, "like_count": 20_000, "uploader": row.author, "uploader_id": row.author,
            "creator": row.author, "channel": row.author, "artists": [row.author],
            "thumbnail": f"https://example.org/{row.author}.jpg",
            "comments": [{"author": row.author, "text": f"{MARK} was here"}],
        }  # fmt: skip
        (shelf / f"{row.post_id}.info.json").write_text(json.dumps(told))
    return str(shelf)


@pytest.mark.parametrize("platform", sorted(set(plugins.names("crawl.platforms")) - {"replica"}))  # which is tiktok's code
@pytest.mark.browser
def test_nobody_is_named_in_a_run_folder(
    platform: str, people: Site, marked: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str], absent: Callable[[str], NoReturn],
) -> None:  # fmt: skip
    if platform == "tiktok" and not CHROMIUM_IS_THERE:
        absent("Chromium is not installed; see the Makefile's target browser")
    monkeypatch.setenv(TOKEN, research.TOKEN)
    search = {"platform": platform, "words": ["travel"], "likes_min": 10_000}
    if platform in ("ids", "folder"):
        search |= {"source": source_of(platform, tmp_path, marked), "words": ["."]}
    if platform == "research_api":
        search |= {"since": "2023-11-01", "until": "2023-11-30"}
    if platform != "folder":
        search["site"] = "replica"
    pace = {"pages_per_s": 80, "media_parallel": 4, "attempts": 2}
    run, progress = RunFolder.create(tmp_path / "run"), Progress()
    with Fleet(local=True) as fleet:
        crawl(parse({"name": "t", "search": search, "pace": pace, "robots": "obey"}, "t"), run, fleet, progress, people.access)
    posts = run.read(Post, "posts")
    assert len(posts) >= 3
    assert all(post.caption.startswith(tuple("0123456789")) and "moves by" in post.caption for post in posts)
    assert all(post.author_hash for post in posts)
    said = "".join(capfd.readouterr())
    assert not [text for text in needles(marked) if text.decode() in said]
    for path in run.path.rglob("*"):
        if path.is_file():
            stored = path.read_bytes()
            if path.suffix == ".parquet":  # which is compressed
                stored += json.dumps(pq.read_table(path).to_pylist(), default=str, ensure_ascii=False).encode()
            assert not [text for text in needles(marked) if text in stored], path
