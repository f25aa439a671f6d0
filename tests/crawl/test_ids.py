"""Lists of ids: what an entry is, which column holds them, junk and trouble; whole crawls of lists on the embedded platform."""

from __future__ import annotations

import csv
import sqlite3
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from crawl.platforms import Candidate, Page, ids
from crawl.replica import catalogue
from crawl.replica.site import Site
from crawl.replica.youtube_answers import video_id
from crawl.run import check, crawl
from svmbench.errors import BadInput, BadSettings
from svmbench.fleet import Fleet
from svmbench.progress import Progress, Summary
from svmbench.recipe import Recipe, load, parse
from svmbench.records import Drop, Post, to_table
from svmbench.store import RunFolder

A, B, C = "7400000000000000000", "7400000000000000001", "7400000000000000002"


def recipe(source: Path | str | None, **search: Any) -> Recipe:
    values = {"platform": "ids", "site": "replica", "words": ["list"], "source": source and str(source), **search}
    pace = {"pages_per_s": 80, "media_parallel": 6, "attempts": 2}
    return parse({"name": "t", "search": values, "pace": pace, "robots": "obey"}, "t")


def pages(source: Path, cursor: str = "") -> list[Page]:
    means: Any = SimpleNamespace(recipe=recipe(source))
    return list(ids.pages(means, "list", cursor))


def entries(source: Path) -> list[str]:
    """'module:id' of each candidate, 'refused:row' of a row that is none."""
    check(recipe(source))
    return [f"{c.refused or c.platform}:{c.post_id}" for page in pages(source) for c in page.candidates]


def write(path: Path, text: str, encoding: str = "utf-8") -> Path:
    path.write_text(text, encoding)
    return path


def go(plan: Recipe, run: RunFolder, site: Site) -> tuple[Summary, Summary]:
    progress = Progress(quiet=True)
    with Fleet(local=True) as fleet:
        crawl(plan, run, fleet, progress, site.access)
    search, fetch = progress.summaries
    return search, fetch


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (A, ("tiktok", A)),
        (f"tiktok:{A}", ("tiktok", A)),
        (f"replica:{A}", ("replica", A)),
        (f"https://www.tiktok.com/@some.one_1/video/{A}?lang=en", ("tiktok", A)),
        (f"tiktok.com/@a/video/{A}", ("tiktok", A)),
        ("youtube:dQw4w9WgXcQ", ("youtube_shorts", "dQw4w9WgXcQ")),
        ("dQw4w9WgXcQ", ("youtube_shorts", "dQw4w9WgXcQ")),
        ("-_w4w9WgXcQ", ("youtube_shorts", "-_w4w9WgXcQ")),
        ("https://youtu.be/dQw4w9WgXcQ?t=3", ("youtube_shorts", "dQw4w9WgXcQ")),
        ("http://www.youtube.com/watch?v=dQw4w9WgXcQ&x=1", ("youtube_shorts", "dQw4w9WgXcQ")),
        ("https://example.org/watch?v=dQw4w9WgXcQ", None),
        ("instagram:dQw4w9WgXcQ", None),
        ("tiktok:dQw4w9WgXcQ", None),
        ("7.4e18", None),
        ("", None),
        ("12345", None),
    ],
)
def test_an_entry_is_told_by_its_shape(text: str, expected: tuple[str, str] | None) -> None:
    assert ids.resolve(text) == expected


def test_an_id_belongs_to_the_site_that_the_list_names() -> None:
    assert ids.resolve("dQw4w9WgXcQ", "YouTube") == ("youtube_shorts", "dQw4w9WgXcQ")
    assert ids.resolve("dQw4w9WgXcQ", "instagram") is None, "their short codes look the same"


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("a.txt", f"{A}\n{B}\n", [f"tiktok:{A}", f"tiktok:{B}"]),
        ("bom.txt", f"\ufeff{A}\r\n\r\n# a comment\r\n{B}", [f"tiktok:{A}", f"tiktok:{B}"]),
        ("junk.txt", f"{A}\nnot one, is it\n\n{B}\n", [f"tiktok:{A}", "not_an_id:2", f"tiktok:{B}"]),
        ("headed.txt", f"video_id\n{A}\n", [f"tiktok:{A}"]),
        ("a.csv", f"n,likes,Post_ID\n0,12,{A}\n1,13,oops\n2,14,{B}\n", [f"tiktok:{A}", "not_an_id:3", f"tiktok:{B}"]),
        ("short.csv", f"id,label\n{A},x\n{B}\n", [f"tiktok:{A}", f"tiktok:{B}"]),
        ("unknown.csv", f"index,what,clip\n1,dance,{A}\n2,food,{B}\n", [f"tiktok:{A}", f"tiktok:{B}"]),
        ("bare.csv", f"{A},dance\n{B},food\n", [f"tiktok:{A}", f"tiktok:{B}"]),
        ("semicolons.csv", f"titel;url\nx;https://www.tiktok.com/@a/video/{A}\n", [f"tiktok:{A}"]),
        ("quoted.csv", f'id,caption\n{A},"two, words"\n{B},"a ""b"""\n', [f"tiktok:{A}", f"tiktok:{B}"]),
        (
            "a.tsv",
            f"youtube_id\tstart\ndQw4w9WgXcQ\t3\n{'x' * 11}\t4\n",
            ["youtube_shorts:dQw4w9WgXcQ", "youtube_shorts:" + "x" * 11],
        ),
        ("audioset.csv", "# YTID, start, end\ndQw4w9WgXcQ, 30.0, 40.0\n", ["youtube_shorts:dQw4w9WgXcQ"]),
        ("sites.csv", f"platform,id\ntiktok,{A}\ninstagram,dQw4w9WgXcQ\n", [f"tiktok:{A}", "not_an_id:3"]),
    ],
)
def test_text_lists(tmp_path: Path, name: str, text: str, expected: list[str]) -> None:
    assert entries(write(tmp_path / name, text)) == expected
    assert entries(write(tmp_path / f"16-{name}", text.lstrip("\ufeff"), "utf-16")) == expected, "as a spreadsheet saves it"


def test_parquet_also_under_another_name_and_with_numbers(tmp_path: Path) -> None:
    table = pa.table({"row": [1, 2, 3], "video_id": pa.array([int(A), None, int(B)]), "tags": [["x"], [], []]})
    for name in ("a.parquet", "list.data"):
        pq.write_table(table, tmp_path / name)
        assert entries(tmp_path / name) == [f"tiktok:{A}", "not_an_id:2", f"tiktok:{B}"]


def test_parquet_that_is_damaged_further_on_ends_the_crawl_with_one_line(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"id": [str(7_300_000_000_000_000_000 + n) for n in range(50_000)]}), path, row_group_size=10_000)
    data = bytearray(path.read_bytes())
    data[len(data) // 2 : len(data) // 2 + 2000] = bytes(2000)
    path.write_bytes(data)
    with pytest.raises(BadInput, match=r"a\.parquet is not a whole Parquet file"):
        pages(path)


def test_junk_carries_its_row_and_its_text(tmp_path: Path) -> None:
    found = [c for page in pages(write(tmp_path / "a.txt", f"{A}\n\nwhat is this\n")) for c in page.candidates]
    assert found[1] == Candidate(post_id="3", refused="not_an_id", detail="what is this")


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("none.csv", None, r"none\.csv cannot be read \(No such file or directory\); name a list"),
        ("empty.csv", b"", r"empty\.csv is empty"),
        ("comments.txt", b"# only this\n\n", r"comments\.txt is empty"),
        ("film.csv", b"\0\0\0\x18ftypmp42", r"film\.csv is not text, whatever its name says"),
        ("cut.parquet", b"PAR1 and no more", r"cut\.parquet is not a whole Parquet file"),
        ("words.txt", b"hello\nyou\n", r"words\.txt: none of the first rows is a link to a post"),
        (
            "both.csv",
            f"one,two\n{A},{B}\n".encode(),
            r"both\.csv: the columns one, two all look like ids; call the right one 'id'",
        ),
        ("other.csv", b"name,likes\nx,3\n", r"other\.csv: no column holds ids or links; there are name, likes"),
        ("headed.csv", b"id,likes\n", r"headed\.csv: no column holds ids or links"),
    ],
)
def test_what_is_no_list_is_said_in_one_line(tmp_path: Path, name: str, content: bytes | None, says: str) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(BadInput, match=says) as raised:
        check(recipe(tmp_path / name))
    assert "\n" not in str(raised.value)


def test_a_folder_without_posts_no_source_and_several_words(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="is a folder without posts or ids"):
        check(recipe(tmp_path))
    with pytest.raises(BadSettings, match=r"search\.source: missing; name the list"):
        check(recipe(None))
    with pytest.raises(BadSettings, match=r"search\.words: one name for the list, not 2"):
        check(recipe(write(tmp_path / "a.txt", A), words=["a", "b"]))


def test_a_long_list_is_read_in_pages_and_goes_on_at_any_cursor(tmp_path: Path) -> None:
    rows = [str(7_300_000_000_000_000_000 + n) for n in range(5_000)]
    text = write(tmp_path / "a.csv", "id,label\n" + "".join(f"{row},x\n" for row in rows))
    pq.write_table(pa.table({"id": rows}), tmp_path / "a.parquet", row_group_size=700)
    for source in (text, tmp_path / "a.parquet"):
        read = pages(source)
        assert [len(page.candidates) for page in read] == [2000, 2000, 1000, 0]
        assert [page.more for page in read] == [True, True, True, False]
        assert [c.post_id for page in read for c in page.candidates] == rows
        for n in (0, 1, 2):
            again = pages(source, read[n].cursor)
            assert [c.post_id for page in again for c in page.candidates] == rows[2000 * (n + 1) :]
    assert ids.expected(recipe(text, posts_per_word=4_500).search) == {"tiktok": 4_500}


def test_no_more_is_read_than_the_page_that_is_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """tests/perf/lists.py shows that memory does not grow with the list."""
    rows = [str(7_300_000_000_000_000_000 + n) for n in range(9_000)]
    pq.write_table(pa.table({"id": rows}), tmp_path / "a.parquet")
    seen: list[int] = []
    before = ids._candidate

    def count(place: int, *cells: str) -> Candidate:
        seen.append(place)
        return before(place, *cells)

    monkeypatch.setattr(ids, "_candidate", count)
    for source in (write(tmp_path / "a.csv", "id\n" + "\n".join(rows)), tmp_path / "a.parquet"):
        means: Any = SimpleNamespace(recipe=recipe(source))
        read = ids.pages(means, "list", "")
        for _ in range(2):
            seen.clear()
            next(read)
            assert len(seen) == ids.PAGE_ITEMS


def test_a_run_is_bound_to_the_content_of_its_list_and_not_to_its_place(tmp_path: Path) -> None:
    first, second = write(tmp_path / "a.txt", A), write(tmp_path / "b.txt", A)
    found = ids.identity(recipe(first).search)
    assert found == ids.identity(recipe(second).search)
    assert found["search.source"].startswith("sha256:")
    second.write_text(B)
    assert found != ids.identity(recipe(second).search)


# -- whole crawls
def test_a_list_is_crawled_and_every_row_is_accounted_for(site: Site, site_catalogue: Path, tmp_path: Path) -> None:
    rows = [r for r in catalogue.read(site_catalogue) if r.words in (("travel",), ("trouble",))]
    lines = [
        f"tiktok:{r.post_id}" if n % 2 else f"https://www.tiktok.com/@{r.author}/video/{r.post_id}" for n, r in enumerate(rows)
    ]
    source = write(tmp_path / "list.txt", "\n".join([*lines, "junk", "", lines[0], "7999999999999999999", "# end"]))
    run = RunFolder.create(tmp_path / "run")
    search, fetch = go(recipe(source, likes_min=10_000, site="replica"), run, site)
    assert (search.seen, dict(search.dropped)) == (len(rows) + 2, {"not_an_id": 1})
    assert search.balanced()
    assert fetch.balanced()
    assert fetch.left == 0
    posts, drops = run.read(Post, "posts"), run.read(Drop, "drops")
    assert sorted([p.key for p in posts] + [d.id for d in drops]) == sorted(
        [*(f"tiktok:{r.post_id}" for r in rows), f"ids:{len(rows) + 1}", "tiktok:7999999999999999999"]
    )
    junk = next(d for d in drops if d.id.startswith("ids:"))
    assert (junk.stage, junk.reason, junk.detail) == ("search", "not_an_id", "junk")
    assert fetch.dropped["too_few_likes"] == 5, "the post's own page tells the likes"
    assert {p.words for p in posts} == {("list",)}
    assert site.hits["search_page"] == site.hits["search_api"] == 0
    names = {row.author for row in rows}
    assert not [name for name in names if any(name in p.url for p in posts)], "the name in a link is not kept"

    before = site.hits
    moved = write(tmp_path / "moved.txt", source.read_text())
    go(recipe(moved, likes_min=10_000, site="replica"), run, site)
    assert site.hits == before, "the same list at another place is the same crawl"
    with pytest.raises(BadSettings, match=r"search\.source: .* was crawled with 'sha256"):
        go(recipe(write(moved, "\n".join(lines)), likes_min=10_000, site="replica"), run, site)


def test_a_runs_posts_and_published_ids_are_lists_too(site: Site, site_catalogue: Path, tmp_path: Path) -> None:
    rows = [r for r in catalogue.read(site_catalogue) if r.words == ("travel",)][:4]
    posts = [post(r.post_id, track_id=r.track_id) for r in rows]
    earlier = RunFolder.create(tmp_path / "earlier")
    with earlier.writing("crawl") as writer:
        for one in posts:
            writer.commit([f"tiktok:{one.post_id}"], {"posts": to_table(Post, [one])})
    release = tmp_path / "release-ids"
    (release / "ids").mkdir(parents=True)
    columns = {name: [getattr(p, name) for p in posts] for name in ("platform", "post_id", "track_id")}
    published = pa.table({"clip_id": [f"c{n:020x}" for n in range(4)], **columns})
    pq.write_table(published, release / "ids" / "train.parquet")
    with open(tmp_path / "ids.csv", "w", newline="") as handle:
        csv.writer(handle).writerows([published.column_names, *zip(*columns_of(published), strict=True)])
    for n, source in enumerate((earlier.path, release, release / "ids" / "train.parquet", tmp_path / "ids.csv")):
        assert entries(source) == [f"tiktok:{r.post_id}" for r in rows]
        run = RunFolder.create(tmp_path / f"run{n}")
        _, fetch = go(recipe(source), run, site)
        assert fetch.kept == 4
        assert all(p.sha256 and p.likes for p in run.read(Post, "posts"))


def columns_of(table: pa.Table) -> list[list[Any]]:
    return [column.to_pylist() for column in table.columns]


def post(post_id: str, track_id: str) -> Post:
    """As the research API leaves it: without a file."""
    return Post(
        platform="tiktok", post_id=post_id, url=f"https://www.tiktok.com/@_/video/{post_id}", words=("x",), caption="",
        hashtags=(), likes=None, likes_exact=False, track_id=track_id, track_title=None, track_original=False,
        duration_s=None, posted_at=None, fetched_at=None, sha256=None, author_hash=None,
    )  # fmt: skip


@pytest.mark.parametrize("name", ["tivm", "himv_200k"])
def test_the_recipes_that_are_lists_fetch_from_two_platforms_in_one_crawl(
    name: str, site: Site, site_catalogue: Path, tmp_path: Path
) -> None:
    rows = [r for r in catalogue.read(site_catalogue) if r.words == ("travel",)][:6]
    lines = [f"https://www.youtube.com/watch?v={video_id(r.post_id)}" for r in rows[:4]] + [r.post_id for r in rows[4:]]
    plan = load(name)
    source = str(write(tmp_path / "list.txt", "\n".join(lines)))
    search = {"source": source, "site": "replica", "duration_min_s": 0.0}  # the embedded posts last a second
    pace = {"pages_per_s": 80, "media_parallel": 4}
    changed = {"search": plan.search.model_copy(update=search), "pace": plan.pace.model_copy(update=pace)}
    plan = plan.model_copy(update=changed)
    check(plan)
    run = RunFolder.create(tmp_path / "run")
    found, fetch = go(plan, run, site)
    assert (found.seen, fetch.kept, fetch.failed.total()) == (6, 6, 0)
    posts = {p.key: p for p in run.read(Post, "posts")}
    assert set(posts) == {*(f"youtube:{video_id(r.post_id)}" for r in rows[:4]), *(f"tiktok:{r.post_id}" for r in rows[4:])}
    assert all(run.media_path(p.sha256 or "").is_file() for p in posts.values())


def test_posts_per_word_is_how_many_rows_are_read_and_it_says_that_there_are_more(site: Site, tmp_path: Path) -> None:
    run = RunFolder.create(tmp_path / "run")
    source = write(tmp_path / "a.txt", "\n".join(f"{7_400_000_000_000_000_000 + n}" for n in range(10)))
    search, _ = go(recipe(source, posts_per_word=3), run, site)
    assert search.seen == 3
    assert ended(run) == ("quota", "posts_per_word is 3, and there is more")


def ended(run: RunFolder) -> tuple[str, str]:
    with sqlite3.connect(run.path / "crawl" / "frontier.sqlite") as db:
        found = db.execute("SELECT outcome, detail FROM query").fetchone()
    db.close()
    return (str(found[0]), str(found[1]))
