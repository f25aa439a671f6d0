"""The opt-out list: what may stand in it, and that nothing on it is decoded, judged a clip, or published."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from curation.release import write_release
from curation.run import curate, rejudge
from svmbench.errors import BadInput
from svmbench.fleet import Fleet
from svmbench.optout import FILE, KEY, OptOut, author_hash, forget_media, read
from svmbench.progress import Progress, Summary
from svmbench.recipe import Recipe, load, parse
from svmbench.records import Clip, Drop, Post, Split, to_table
from svmbench.store import RunFolder

SECRET = b"s" * 32


def recipe(**changes: Any) -> Recipe:
    values = {
        "name": "small", "search": {"words": ["a"]}, "borders": {"method": "none"}, "clip": {"min_s": 1},
        "features": [], "filters": {}, "songs": {"by": "platform"}, "duplicates": {"keep": "none"},
        "split": {"train": 0.5, "val": 0.0, "test": 0.5, "keys": ["song"]},
    }  # fmt: skip
    return parse({**values, **changes}, "small")


def post(number: int, sha256: str | None, author: str = "somebody") -> Post:
    return Post(
        platform="tiktok", post_id=str(number), url=f"https://www.tiktok.com/@_/video/{number}", words=("a",), caption="",
        hashtags=(), likes=1, likes_exact=True, track_id=str(number), track_title=None, track_original=False, duration_s=3.0,
        posted_at=None, fetched_at=None, sha256=sha256, author_hash=author_hash(author, SECRET),
    )  # fmt: skip


def run_of(folder: Path, files: list[Path], *more: Post) -> RunFolder:
    """One post a file, numbered from 1, the second by `another`; and more posts."""
    run = RunFolder.create(folder)
    (run.path / KEY).parent.mkdir()
    (run.path / KEY).write_bytes(SECRET)
    authors = {2: "another"}
    posts = [post(n, run.add_media(path), authors.get(n, "somebody")) for n, path in enumerate(files, 1)]
    with run.writing("crawl") as writer:
        writer.commit([f"tiktok:{p.post_id}" for p in (*posts, *more)], {"posts": to_table(Post, [*posts, *more])})
    return run


def go(run: RunFolder, chosen: Recipe) -> Summary:
    progress = Progress(quiet=True)
    with Fleet(local=True) as fleet:
        curate(chosen, run, fleet, progress)
    assert all(summary.balanced() for summary in progress.summaries)
    return progress.summaries[0]


@pytest.fixture(scope="module")
def media(clips: Path) -> list[Path]:
    """Four different real files with picture."""
    found = sorted(p for p in clips.rglob("*.mp4"))[:4]
    assert len(found) == 4
    return found


def test_entries_are_posts_and_authors_and_comments(tmp_path: Path) -> None:
    run = run_of(tmp_path / "run", [])
    assert read(recipe(), run) == OptOut()
    hashed = author_hash("by hash", SECRET)
    (run.path / FILE).write_text(
        f"\ufeff# who asked\n\ntiktok:17  # on the phone\nauthor:{hashed}\ntiktok:author:MS4w\n", "utf-8"
    )
    named = tmp_path / "more.txt"
    named.write_text("youtube:abc_DEF-123\n")
    found = read(recipe(optout=str(named)), run)
    assert found == OptOut(
        frozenset({"tiktok:17", "youtube:abc_DEF-123"}), frozenset({str(hashed), str(author_hash("MS4w", SECRET))})
    )
    assert found.has("tiktok:17")
    assert not found.has("youtube:17")
    assert found.has("tiktok:18", hashed)
    assert not found.has("tiktok:18", None)
    assert not any("MS4w" in entry for entry in (*found.posts, *found.authors)), "an author's own id is kept nowhere"


@pytest.mark.parametrize("line", ["17", "https://www.tiktok.com/@somebody/video/17", "author:tooshort", "@somebody"])
def test_a_line_that_is_no_entry_stops_everything(tmp_path: Path, line: str) -> None:
    run = run_of(tmp_path / "run", [])
    (run.path / FILE).write_text(f"tiktok:1\n{line}\n")
    with pytest.raises(BadInput, match=r"optout\.txt, line 2: .* is not an entry of an opt-out list; write"):
        read(recipe(), run)


def test_a_list_that_cannot_be_read_stops_everything(tmp_path: Path) -> None:
    run = run_of(tmp_path / "run", [])
    with pytest.raises(BadInput, match="without the list nothing may be crawled"):
        read(recipe(optout=str(tmp_path / "none.txt")), run)
    (run.path / FILE).write_bytes(b"\xff\xfe\x00")
    with pytest.raises(BadInput, match="is not a text file"):
        read(recipe(), run)


def test_a_recipe_names_its_list_beside_itself(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("name: mine\nsearch: {words: [a], source: list.csv}\noptout: out.txt\n")
    found = load(str(tmp_path / "mine.yaml"))
    assert (found.optout, found.search.source) == (str(tmp_path / "out.txt"), str(tmp_path / "list.csv"))


def test_media_go_unless_another_post_has_the_same(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_bytes(b"a")
    (tmp_path / "b.mp4").write_bytes(b"b")
    run = run_of(tmp_path / "run", [tmp_path / "a.mp4", tmp_path / "b.mp4"])
    posts = run.read(Post, "posts")
    shared = [*posts, replace(posts[0], post_id="9")]
    assert forget_media(OptOut(frozenset({"tiktok:1"})), shared, run) == 0
    assert forget_media(OptOut(frozenset({"tiktok:1"})), posts, run) == 1
    assert forget_media(OptOut(frozenset({"tiktok:1"})), posts, run) == 0
    assert [p.suffix for p in (run.path / "media").rglob("*") if p.is_file()] == [".mp4"]
    assert run.media_path(str(posts[1].sha256)).read_bytes() == b"b"


def test_what_is_listed_is_not_decoded_and_posts_without_media_are_accounted_for(media: list[Path], tmp_path: Path) -> None:
    run = run_of(tmp_path / "run", media, post(8, None))
    (run.path / FILE).write_text("tiktok:1\ntiktok:author:another\n")
    account = go(run, recipe())
    assert (account.seen, account.kept, dict(account.dropped)) == (5, 2, {"opted_out": 2, "metadata_only": 1})
    assert {clip.post_id for clip in run.read(Clip, "candidates")} == {"3", "4"}
    assert len([p for p in (run.path / "media").rglob("*") if p.is_file()]) == 2
    assert {(d.id, d.stage, d.reason) for d in run.read(Drop, "drops") if d.stage == "curate"} == {
        ("tiktok:1", "curate", "opted_out"), ("tiktok:2", "curate", "opted_out"), ("tiktok:8", "curate", "metadata_only"),
    }  # fmt: skip
    again = go(run, recipe())
    assert (again.seen, again.kept, dict(again.dropped)) == (5, 2, {"opted_out": 2, "metadata_only": 1})


def test_who_opts_out_later_is_no_clip_any_more_and_cannot_be_published(media: list[Path], tmp_path: Path) -> None:
    run, listed = run_of(tmp_path / "run", media), tmp_path / "listed.txt"
    run.write_settings({"recipe": recipe().model_dump(mode="json")})
    go(run, recipe())
    assert {clip.post_id for clip in run.read(Clip, "clips")} == {"1", "2", "3", "4"}
    listed.write_text("tiktok:3\ntiktok:author:another\n")
    with pytest.raises(
        BadInput, match=r"2 posts of the split are on the opt-out list \(the first is tiktok:2\).*svmbench curate"
    ):
        write_release(recipe(optout=str(listed)), run, tmp_path / "release")
    assert not (tmp_path / "release").exists()
    with Fleet(local=True) as fleet:
        rejudge(recipe(optout=str(listed)), run, fleet, Progress(quiet=True))
    assert {clip.post_id for clip in run.read(Clip, "clips")} == {"1", "4"}
    assert {part for split in run.read(Split, "splits") for part in split.clip_ids} == {"tiktok-1-0", "tiktok-4-0"}
    assert {d.id: d.reason for d in run.read(Drop, "drops")} == {"tiktok:2": "opted_out", "tiktok:3": "opted_out"}
    write_release(recipe(optout=str(listed)), run, tmp_path / "release")
    text = (tmp_path / "release" / "recipe.yaml").read_text()
    assert str(tmp_path) not in text
    ids = pq.read_table(tmp_path / "release-ids" / "ids").column("post_id").to_pylist()
    assert sorted(ids) == ["1", "4"]
