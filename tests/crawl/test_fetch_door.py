"""What surrounds a fetch: the one door of requests, stopping, full disks, local files, and a run folder out of sight."""

from __future__ import annotations

import json
import os
import threading
import time
import urllib.request
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from yt_dlp.downloader.http import HttpFD
from yt_dlp.extractor.common import InfoExtractor
from yt_dlp.networking import Request as YtRequest
from yt_dlp.utils.networking import std_headers

from crawl.downloader import _hop
from crawl.fetch import HOPELESS_MAX, Fetcher
from crawl.frontier import Frontier
from crawl.incoming import LOOK_BYTES, is_text
from crawl.jobs import Found
from crawl.means import Heard, Means, Refused
from crawl.pacer import Pacer
from crawl.platforms import tiktok
from crawl.posts import author_hash
from crawl.replica import catalogue
from crawl.replica.items import MEDIA_HOST, SITE_HOST
from crawl.replica.pages import Answer, Pages, Request
from crawl.replica.site import Site, serve
from crawl.work import Work
from svmbench import __version__
from svmbench.errors import BadInput, StorageError
from svmbench.fleet import Fleet
from svmbench.optout import KEY, OptOut
from svmbench.store import RunFolder, sha256_file

SECRET = b"0123456789abcdef0123456789abcdef"


def good(folder: Path, number: int) -> list[Any]:
    return [row for row in catalogue.read(folder) if "travel" in row.words and row.likes > 10_001][:number]


@pytest.fixture
def means(site: Site, tmp_path: Path, recipe_of: Any) -> Any:
    """The means of a worker, robots.txt obeyed."""
    with Fleet(local=True) as fleet:
        frontier, pacer = fleet.actor(Frontier, str(tmp_path / "frontier.sqlite")), fleet.actor(Pacer, 80.0)
        work = Work(
            recipe=recipe_of(), run=str(tmp_path), access=site.access, frontier=frontier, pacer=pacer, secret=SECRET, mark="test"
        )
        yield Means(work, threading.Event())


class OneStream(InfoExtractor):
    """An extractor whose page leads to one stream of a protocol, a thumbnail and subtitles."""

    _VALID_URL = r"https://www\.tiktok\.com/@_/video/(?P<id>\d+)"
    protocol = "m3u8_native"

    def _real_extract(self, url: str) -> Any:
        page = self._download_webpage(url, "1")
        assert page
        formats = [
            {"format_id": "0", "url": f"https://{MEDIA_HOST}/x", "protocol": self.protocol, "vcodec": "h264", "ext": "mp4"}
        ]
        return {"id": "1", "title": "t", "formats": formats, "subtitles": {"en": [{"url": f"https://{SITE_HOST}/subs"}]},
                "thumbnails": [{"url": f"https://{SITE_HOST}/thumbnail"}]}  # fmt: skip


@pytest.mark.parametrize("protocol", ["m3u8_native", "m3u8", "rtmp", "websocket_frag"])
def test_no_stream_is_handed_to_another_program(
    means: Any, site: Site, site_catalogue: Path, tmp_path: Path, protocol: str
) -> None:
    from crawl.failures import common

    extractor = OneStream()
    extractor.protocol = protocol
    downloader = means.downloader([extractor], tmp_path, format="b/bv*")
    info = downloader.extract_info(tiktok.post_url(good(site_catalogue, 1)[0].post_id), download=False, process=False)
    with pytest.raises(Exception, match="does not ask in turn") as caught:
        downloader.process_ie_result(dict(info), download=True)
    failure = common(caught.value, media=True)
    assert failure
    assert (failure.kind, failure.permanent) == ("unsupported", True)
    asked = [target for _, _, target, _ in site.log if target != "/robots.txt"]
    assert len(asked) == 1, "no thumbnail, no subtitle, no test of the format"


def test_there_is_one_way_out_whatever_else_is_installed(means: Any, tmp_path: Path) -> None:
    downloader = means.downloader(tiktok.extractors(), tmp_path)
    assert list(downloader._request_director.handlers) == ["OneHop"]
    assert downloader.params["geo_bypass"] is False, "yt-dlp would say that it is somewhere else"
    assert not downloader.params.get("cookiefile")
    assert not downloader.params.get("cookiesfrombrowser")


def test_every_request_says_what_it_always_says(
    odd_site: Any, site_catalogue: Path, tmp_path: Path, fetch_posts: Any, recipe_of: Any
) -> None:
    said: list[tuple[str, dict[str, str]]] = []

    class Listening(Pages):
        def answer(self, request: Request) -> Answer:
            said.append((request.path, {name.lower(): value for name, value in request.headers.items()}))
            return super().answer(request)

    post_id = good(site_catalogue, 1)[0].post_id
    assert fetch_posts(odd_site(Listening), tmp_path, [post_id], recipe_of()).rows[post_id]["state"] == "done"
    assert len(said) == 4
    for path, headers in said:
        ours = f"svmbench/{__version__}" if path == "/robots.txt" else std_headers["User-Agent"]
        assert headers["user-agent"] == ours, path
        usual = {name.lower() for name in std_headers} | {"host", "connection", "accept-encoding", "cookie", "referer", "range"}
        assert set(headers) <= usual, "no field of a random name to slip past a wall, no address that is not ours"


def test_what_is_meant_for_one_host_is_not_told_to_another(means: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[urllib.request.Request] = []
    answers = iter([Heard(302, {"Location": f"https://{MEDIA_HOST}/see"}, b""), Heard(200, {}, b"")])

    def answer(request: urllib.request.Request) -> Heard:
        asked.append(request)
        return next(answers)

    monkeypatch.setattr(means, "_once", answer)
    means.ask(urllib.request.Request(f"https://{SITE_HOST}/x", headers={"Authorization": "Bearer secret"}))
    assert [request.get_header("Authorization") for request in asked] == ["Bearer secret", None]
    assert {request.get_header("User-agent") for request in asked} == {f"svmbench/{__version__}"}

    own = {"Authorization": "secret", "Cookie": "c=1", "Content-Type": "application/json", "Accept": "text/html"}
    first = YtRequest(f"https://{SITE_HOST}/x", data=b"{}", headers=own, method="POST")
    away, here = _hop(first, 302, f"https://{MEDIA_HOST}/y"), _hop(first, 307, f"https://{SITE_HOST}/y")
    assert (away.method, away.data, dict(away.headers)) == ("GET", None, {"Accept": "text/html"})
    assert (here.method, here.data) == ("POST", b"{}")
    assert set(here.headers) == {"Authorization", "Content-Type", "Accept"}, "cookies are the jar's to add"


def test_a_plain_request_is_redirected_in_turn_and_only_where_it_may(means: Any, site: Site, by_fate: Any) -> None:
    page = urllib.request.Request(tiktok.post_url(by_fate["login_wall"].post_id))
    site.set_robots("User-agent: *\nDisallow: /login\n", host=SITE_HOST)
    with pytest.raises(Refused, match=r"forbids https://www\.tiktok\.com/login"):
        means.ask(page)
    assert site.hits["login"] == 0


def test_each_hop_of_a_plain_request_has_its_turn(means: Any, site: Site, by_fate: Any) -> None:
    heard = means.ask(urllib.request.Request(tiktok.post_url(by_fate["login_wall"].post_id)))
    assert (heard.status, b"Log in" in heard.body) == (200, True)
    times = [at_s for at_s, host, _, _ in site.log if host == SITE_HOST]
    assert len(times) == 3, "robots.txt, the page, where it leads"
    assert min(b - a for a, b in pairwise(times)) > 0.9 / 80


def test_a_log_in_wall_is_known_without_going_there(
    site: Site, by_fate: Any, tmp_path: Path, fetch_posts: Any, recipe_of: Any
) -> None:
    site.set_robots("User-agent: *\nDisallow: /login\n")
    got = fetch_posts(site, tmp_path, [by_fate["login_wall"].post_id], recipe_of({"attempts": 1}))
    assert got.rows[by_fate["login_wall"].post_id]["reason"] == "login_wall"
    assert site.hits["login"] == 0


@pytest.mark.parametrize("kind", ["video_page", "media"])
def test_robots_txt_and_x_robots_tag_hold_for_pages_and_media(
    site: Site, site_catalogue: Path, tmp_path: Path, fetch_posts: Any, recipe_of: Any, kind: str
) -> None:
    post_id = good(site_catalogue, 1)[0].post_id
    site.tag("noindex", kinds=[kind])
    got = fetch_posts(site, tmp_path / "tagged", [post_id], recipe_of())
    assert (got.rows[post_id]["kind"], got.rows[post_id]["reason"]) == ("rule", "x_robots_tag")
    site.tag()
    before = site.hits[kind]
    site.set_robots("User-agent: svmbench\nDisallow: /\n", host=SITE_HOST if kind == "video_page" else MEDIA_HOST)
    got = fetch_posts(site, tmp_path / "forbidden", [post_id], recipe_of())
    assert (got.rows[post_id]["kind"], got.rows[post_id]["reason"]) == ("rule", "robots")
    assert site.hits[kind] == before, "not asked for at all"
    ignored = fetch_posts(site, tmp_path / "ignored", [post_id], recipe_of(robots={"ignore_because": "the site has agreed"}))
    assert ignored.rows[post_id]["state"] == "done"


def test_rules_and_the_opt_out_list_come_before_the_media(
    site: Site, site_catalogue: Path, tmp_path: Path, fetch_posts: Any, recipe_of: Any
) -> None:
    rows = good(site_catalogue, 8)
    first = fetch_posts(site, tmp_path / "first", [row.post_id for row in rows], recipe_of())
    author = first.post(rows[0].post_id)["author_hash"]
    assert author == author_hash(author_key(rows[0]), SECRET)
    before = site.hits["media"]
    got = fetch_posts(
        site, tmp_path / "second", [row.post_id for row in rows], recipe_of(original_sound="drop"),
        optout=OptOut(frozenset({f"tiktok:{rows[1].post_id}"}), frozenset({author})),
    )  # fmt: skip
    said = {row.post_id: got.rows[row.post_id]["reason"] for row in rows}
    gone = {row.post_id for row in rows if row.author == rows[0].author} | {rows[1].post_id}
    own = {row.post_id for row in rows if row.track_original} - gone
    assert said == {row.post_id: "opted_out" if row.post_id in gone else "original_sound" if row.post_id in own else ""
                    for row in rows}  # fmt: skip
    assert own
    assert site.hits["media"] - before == len(rows) - len(gone) - len(own)


def author_key(row: Any) -> str:
    from crawl.replica.items import item

    return str(item(row, 1)["author"]["secUid"])


class Bench:
    """A fetcher over some posts that is started and stopped by a test."""

    def __init__(self, site: Site, folder: Path, ids: list[str], recipe: Any, fleet: Fleet) -> None:
        self.run = RunFolder.create(folder / "run")
        (self.run.path / KEY).parent.mkdir()
        (self.run.path / KEY).write_bytes(SECRET)
        self.frontier = fleet.actor(Frontier, str(self.run.path / "crawl" / "frontier.sqlite"))
        self.pacer = fleet.actor(Pacer, recipe.pace.pages_per_s)
        self.frontier.ask("begin", ["w"], ("end",))
        query, _ = self.frontier.ask("next_query")
        cards = [
            Found(id=f"tiktok:{i}", platform="tiktok", post_id=i, rank=n, likes=1, likes_exact=False) for n, i in enumerate(ids)
        ]
        self.frontier.ask("add", query, cards, len(cards))
        self.frontier.ask("end_query", query, "end", "", None)
        self.work = Work(
            recipe=recipe, run=str(self.run.path), access=site.access, frontier=self.frontier, pacer=self.pacer, secret=SECRET,
            mark="test",
        )  # fmt: skip
        self.fetcher = Fetcher(self.work, recipe.pace.media_parallel)


def test_closing_finishes_what_was_begun_and_begins_nothing(site_catalogue: Path, tmp_path: Path, recipe_of: Any) -> None:
    ids = [row.post_id for row in good(site_catalogue, 15)]
    with serve(site_catalogue, latency_s=0.3) as site, Fleet(local=True) as fleet:
        bench = Bench(site, tmp_path, ids, recipe_of({"media_parallel": 3}), fleet)
        thread = threading.Thread(target=bench.fetcher.work)
        thread.start()
        while site.hits["video_page"] < 3:
            time.sleep(0.02)
        bench.fetcher.close()
        thread.join(20)
        assert not thread.is_alive()
        stats = bench.frontier.ask("stats")
        assert stats.count("done") == site.hits["video_page"] == site.hits["media"] < len(ids)
        assert (stats.count("leased"), stats.count("ready")) == (0, len(ids) - stats.count("done"))
    assert not list((bench.run.path / "crawl" / "tmp").iterdir())


def test_a_host_of_media_that_is_given_up_leaves_all_posts_for_later(
    site_catalogue: Path, tmp_path: Path, recipe_of: Any
) -> None:
    ids = [row.post_id for row in good(site_catalogue, 25)]
    with serve(site_catalogue) as site, Fleet(local=True) as fleet:
        site.throttle(None, None, kinds=["media"], host=MEDIA_HOST)
        bench = Bench(site, tmp_path, ids, recipe_of({"attempts": 5, "pages_per_s": 100}), fleet)
        bench.fetcher.work()
        stats = bench.frontier.ask("stats")
        assert bench.pacer.ask("blocked") == {MEDIA_HOST: "throttled"}
        assert stats.count("done", "dropped", "leased") == 0
        assert site.hits["video_page"] < 25 + 12, "pages are not asked for without end for media that cannot be had"
        asked = site.hits["video_page"], site.hits["media"]
        bench.fetcher.work()
        assert site.hits["video_page"] - asked[0] <= HOPELESS_MAX + 6, "however many posts there are"
        assert site.hits["media"] == asked[1]
        assert site.hits["media"] <= 15


def test_a_site_that_answers_429_to_everything_is_asked_little_and_loses_nothing(
    site_catalogue: Path, tmp_path: Path, recipe_of: Any
) -> None:
    ids = [row.post_id for row in good(site_catalogue, 25)]
    with serve(site_catalogue) as site, Fleet(local=True) as fleet:
        site.throttle(None, None, kinds=["video_page", "media"])
        bench = Bench(site, tmp_path, ids, recipe_of({"attempts": 5, "pages_per_s": 100}), fleet)
        bench.fetcher.work()
        assert bench.pacer.ask("blocked") == {SITE_HOST: "throttled"}
        assert bench.frontier.ask("stats").count("done", "dropped", "leased") == 0
        assert site.hits["video_page"] <= 15


def test_in_a_list_of_several_platforms_one_that_is_given_up_does_not_keep_the_others(
    site_catalogue: Path, tmp_path: Path, recipe_of: Any
) -> None:
    ids = [row.post_id for row in good(site_catalogue, 8)]
    with serve(site_catalogue) as site, Fleet(local=True) as fleet:
        recipe = recipe_of({"pages_per_s": 100, "media_parallel": 2}, platform="ids", source="list.txt", likes_min=0)
        bench = Bench(site, tmp_path, ids, recipe, fleet)
        clip: dict[str, Any] = {
            "platform": "folder",
            "url": str(site_catalogue / str(good(site_catalogue, 1)[0].media)),
            "likes_exact": False,
        }
        bench.frontier.ask("begin", ["files"], ("end",))
        query, _ = bench.frontier.ask("next_query")
        files = [Found(id=f"folder:{n}", post_id=f"{n}.mp4", rank=100 + n, likes=None, **clip) for n in range(3)]
        bench.frontier.ask("add", query, files, 3)
        bench.frontier.ask("end_query", query, "end", "", None)
        while not bench.pacer.ask("blocked"):
            bench.pacer.ask("walled", SITE_HOST, "captcha", True, True)
            time.sleep(0.1)
        bench.fetcher.work()
        rows, stats = bench.frontier.ask("finished", 100), bench.frontier.ask("stats")
        assert site.hits["video_page"] == 0
    assert {(row["id"], row["state"]) for row in rows} == {(f"folder:{n}", "done") for n in range(3)}
    assert (stats.count("ready"), stats.count("leased")) == (len(ids), 0)


@pytest.mark.parametrize("buffered", [0, 1 << 20])
def test_a_disk_that_is_full_while_a_file_is_written_loses_nothing(
    site: Site, site_catalogue: Path, tmp_path: Path, recipe_of: Any, monkeypatch: pytest.MonkeyPatch, buffered: int
) -> None:
    def full(self: HttpFD, name: str, mode: str) -> Any:
        return Path("/dev/full").open("wb", buffered), name

    monkeypatch.setattr(HttpFD, "sanitize_open", full)
    ids = [row.post_id for row in good(site_catalogue, 6)]
    with Fleet(local=True) as fleet:
        bench = Bench(site, tmp_path, ids, recipe_of(), fleet)
        with pytest.raises(StorageError, match="full; free some space and run the same command again"):
            bench.fetcher.work()
        stats = bench.frontier.ask("stats")
        assert (stats.count("ready"), stats.count("done", "dropped", "leased")) == (6, 0)
        monkeypatch.undo()
        Fetcher(bench.work, 3).work()
        assert bench.frontier.ask("stats").count("done") == 6


def test_a_worker_that_does_not_see_the_run_folder_says_so(site: Site, tmp_path: Path, recipe_of: Any) -> None:
    with Fleet(local=True) as fleet:
        bench = Bench(site, tmp_path, ["1"], recipe_of(), fleet)
        for wrong in (b"of another run", None):
            (bench.run.path / KEY).unlink()
            if wrong:
                (bench.run.path / KEY).write_bytes(wrong)
            with pytest.raises(BadInput, match=r"the worker on .+ does not see the run folder .+ that all nodes share"):
                Fetcher(bench.work, 2).work()
    assert site.hits["video_page"] == 0


def test_files_of_a_folder_are_copied_and_bad_ones_cost_themselves_alone(
    site: Site, site_catalogue: Path, tmp_path: Path, fetch_posts: Any, recipe_of: Any
) -> None:
    videos = tmp_path / "videos"
    videos.mkdir()
    source = site_catalogue / str(good(site_catalogue, 1)[0].media)
    (videos / "a.MP4").write_bytes(source.read_bytes())
    (videos / "empty.mp4").write_bytes(b"")
    (videos / "page.mp4").write_text("<!doctype html><title>Sorry</title>")
    (videos / "folder.mp4").mkdir()
    os.mkfifo(videos / "pipe.mp4")
    (videos / "sidecar.mp4").write_bytes(source.read_bytes())
    (videos / "sidecar.info.json").write_text(json.dumps({"like_count": 3, "duration": 1.0}))
    names = ["a.MP4", "empty.mp4", "page.mp4", "folder.mp4", "pipe.mp4", "sidecar.mp4", "vanished.mp4"]
    urls = {name: str(videos / name) for name in names}
    recipe = recipe_of({"attempts": 1}, platform="folder", site="live", source=str(videos), words=["."], likes_min=0)
    before = {path.name: path.stat().st_mtime_ns for path in videos.iterdir()}
    got = fetch_posts(site, tmp_path, names, recipe, platform="folder", urls=urls)
    said = {name: got.rows[name]["reason"] or got.rows[name]["state"] for name in names}
    assert said == {"a.MP4": "done", "empty.mp4": "empty_file", "page.mp4": "not_media", "folder.mp4": "gone", "pipe.mp4": "gone",
                    "sidecar.mp4": "done", "vanished.mp4": "gone"}  # fmt: skip
    assert got.post("a.MP4")["sha256"] == sha256_file(source)
    assert got.run.media_path(got.post("a.MP4")["sha256"]).read_bytes() == source.read_bytes()
    assert got.post("sidecar.mp4")["likes"] == 3
    assert {path.name: path.stat().st_mtime_ns for path in videos.iterdir()} == before
    stored = got.run.media_path(got.post("a.MP4")["sha256"])
    assert stored.stat().st_ino != (videos / "a.MP4").stat().st_ino, "editing the user's file must not change the store"
    assert not site.hits, "no request of any kind"


@pytest.mark.parametrize(
    ("start", "text"),
    [(b"<html>", True), (b'{"a": 1}', True), ("ü".encode() * 300, True), (b"x" * (LOOK_BYTES - 1) + "ü".encode()[:1], True),
     (b"\0\0\0\x20ftypisom", False), (b"RIFF\x24\x00\x00\x00WAVE", False), (b"\x1a\x45\xdf\xa3\x9f\x42\x86", False),
     (b"ID3\x03\xff\xfb", False)],
)  # fmt: skip
def test_text_is_no_media(start: bytes, text: bool) -> None:
    assert is_text(start[:LOOK_BYTES]) == text
