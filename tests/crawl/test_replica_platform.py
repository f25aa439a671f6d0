"""The embedded platform under its own name."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from crawl.platforms import replica, tiktok
from crawl.replica import catalogue
from crawl.run import check, crawl
from svmbench.errors import BadSettings
from svmbench.fleet import Fleet
from svmbench.progress import Progress
from svmbench.recipe import Recipe, parse
from svmbench.records import Post
from svmbench.store import RunFolder


def recipe(media_dir: Path | None = None, **search: Any) -> Recipe:
    values = {"platform": "replica", "words": ["travel"], "likes_min": 100, **search}
    return parse(
        {
            "name": "t", "search": values, "pace": {"pages_per_s": 80, "media_parallel": 4}, "robots": "obey",
            "replica": {"media_dir": media_dir and str(media_dir)},
        },
        "t",
    )  # fmt: skip


def test_it_is_tiktoks_module_under_another_name() -> None:
    assert (replica.SITE, replica.TERMS, replica.REPLICA) == ("replica", "", True)
    for name in (
        "HOSTS",
        "SEARCH",
        "MEDIA",
        "SELECTORS",
        "parse",
        "details",
        "classify",
        "canonical",
        "search_url",
        "extractors",
    ):
        assert getattr(replica, name) is getattr(tiktok, name)
    with pytest.raises(AttributeError):
        replica.__getattr__("nothing_of_the_kind")


def test_it_needs_no_site_and_refuses_the_internet() -> None:
    assert recipe().search.site == "replica"
    check(recipe())
    with pytest.raises(BadSettings, match=r"search\.site: the platform replica is not on the internet; leave 'site' out"):
        check(recipe(site="live"))


@pytest.mark.browser
def test_a_crawl_starts_the_embedded_platform_by_itself(
    site_catalogue: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SVMBENCH_CACHE", str(tmp_path / "cache"))
    films = tmp_path / "films"
    films.mkdir()
    for row in catalogue.read(site_catalogue)[:3]:
        os.link(site_catalogue / str(row.media), films / Path(str(row.media)).name)
    run, progress = RunFolder.create(tmp_path / "run"), Progress(quiet=True)
    with Fleet(local=True) as fleet:
        crawl(recipe(films), run, fleet, progress)
    posts = run.read(Post, "posts")
    assert {p.platform for p in posts} == {"replica"}
    assert len(posts) == 3
    assert all(run.media_path(p.sha256 or "").is_file() for p in posts)
