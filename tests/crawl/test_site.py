"""The embedded platform as an HTTP client sees it, and as a process."""

from __future__ import annotations

import base64
import http.client
import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import quote

import pytest
from protego import Protego

from crawl.replica import catalogue
from crawl.replica.catalogue import Listing
from crawl.replica.pages import byte_range
from crawl.replica.site import Site, serve
from svmbench.errors import BadInput, SiteError

WWW, MEDIA = "www.tiktok.com", "v16-webapp-prime.us.tiktok.com"
REFERER = {"Referer": "https://www.tiktok.com/@_/video/1"}
SEARCH = "/api/search/item/full/?keyword={}&offset={}&count=12"


def connect(site: Site, host: str = WWW) -> http.client.HTTPSConnection:
    """A connection through the site's proxy, with verified TLS under the host's real name."""
    context = ssl.create_default_context(cafile=site.access.ca_file)
    connection = http.client.HTTPSConnection("127.0.0.1", site.port, context=context, timeout=20)
    connection.set_tunnel(host, 443)
    return connection


def get(site: Site, path: str, host: str = WWW, **headers: str) -> tuple[int, http.client.HTTPMessage, bytes]:
    """Status, headers and body of one GET."""
    connection = connect(site, host)
    try:
        connection.request("GET", path, headers=headers)
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read()
    finally:
        connection.close()


def chain_cookie(site: Site) -> str:
    """The cookie that a visitor of the search page is given."""
    return get(site, "/search/video?q=travel")[1]["Set-Cookie"].split(";")[0]


@pytest.fixture(scope="module")
def shared(site_catalogue: Path) -> Iterator[Site]:
    """One site for the tests that change nothing in it."""
    with serve(site_catalogue) as running:
        yield running


@pytest.fixture(scope="module")
def fetch_media(shared: Site) -> Callable[..., tuple[int, http.client.HTTPMessage, bytes]]:
    """GET of post 0's media, with Referer and cookie unless overridden."""
    cookie = chain_cookie(shared)

    def fetch(**headers: str) -> tuple[int, http.client.HTTPMessage, bytes]:
        asked = {**REFERER, "Cookie": cookie, **headers}
        return get(shared, "/video/tos/7400000000000000000/", MEDIA, **{k: v for k, v in asked.items() if v})

    return fetch


def test_it_ends_with_its_block(site_catalogue):
    with serve(site_catalogue, latency_s=0.3) as site:
        start_s = time.monotonic()
        assert get(site, "/login")[0] == 200
        assert time.monotonic() - start_s >= 0.3
    assert not _listens(site.port)
    assert not Path(site.access.ca_file or "").parent.exists()
    with pytest.raises(SiteError, match="does not answer"):
        _ = site.hits


def test_head_has_no_body(shared):
    connection = connect(shared)
    for method, wanted in (("HEAD", False), ("GET", True)):
        connection.request(method, "/login")
        answer = connection.getresponse()
        assert int(answer.headers["Content-Length"]) > 0
        assert bool(answer.read()) is wanted
    connection.close()


def test_media_want_the_referer_and_the_cookie(fetch_media, site_catalogue):
    status, headers, body = fetch_media()
    assert (status, headers["Content-Type"], headers["Accept-Ranges"]) == (200, "video/mp4", "bytes")
    assert body == (site_catalogue / "media/0.mp4").read_bytes()
    assert fetch_media(Referer="")[0] == fetch_media(Referer="https://elsewhere.example/")[0] == 403
    assert fetch_media(Cookie="")[0] == fetch_media(Cookie="tt_chain_token=guess")[0] == 403


@pytest.mark.parametrize(
    ("asked", "start", "stop"),
    [("0-0", 0, 1), ("100-299", 100, 300), ("500-", 500, None), ("-7", -7, None), ("100-99999999", 100, None)],
)
def test_media_ranges(fetch_media, site_catalogue, asked, start, stop):
    whole = (site_catalogue / "media/0.mp4").read_bytes()
    first, end, _ = slice(start, stop).indices(len(whole))
    status, headers, body = fetch_media(Range=f"bytes={asked}")
    assert (status, body) == (206, whole[start:stop])
    assert headers["Content-Range"] == f"bytes {first}-{end - 1}/{len(whole)}"


def test_media_range_beyond_the_end(fetch_media, site_catalogue):
    size = (site_catalogue / "media/0.mp4").stat().st_size
    status, headers, _ = fetch_media(Range=f"bytes={size}-")
    assert (status, headers["Content-Range"]) == (416, f"bytes */{size}")


@pytest.mark.parametrize("header", ["", "bytes=", "bytes=-", "bytes=9-3", "bytes=0-1,4-5", "items=0-3", "bytes=a-b"])
def test_an_unusable_range_means_all(header):
    assert byte_range(header, 10) is None


def test_search_answers_page_by_page(shared, site_catalogue):
    found, offset, more = [], 0, 1
    while more:
        answer = json.loads(get(shared, SEARCH.format("Travel", offset))[2])
        found += answer["item_list"]
        offset, more = answer["cursor"], answer["has_more"]
    wanted = [row for row in catalogue.read(site_catalogue) if "travel" in row.words]
    assert [post["id"] for post in found] == [row.post_id for row in wanted]
    assert [post["stats"]["diggCount"] for post in found[:3]] == [9_999, 10_000, 10_001]
    assert found[0]["statsV2"]["diggCount"] == "9999"
    assert [(post["music"]["id"], post["music"]["original"]) for post in found] == [
        (row.track_id, row.track_original) for row in wanted
    ]
    assert [tag["hashtagName"] for tag in found[0]["textExtra"]] == ["travel", "demo"]
    empty = json.loads(get(shared, SEARCH.format(quote("no such word"), 0))[2])
    assert (empty["item_list"], empty["has_more"], empty["status_code"]) == ([], 0, 0)


def test_robots(shared):
    for host in (WWW, MEDIA):
        robots = Protego.parse(get(shared, "/robots.txt", host)[2].decode())
        for agent in ("svmbench", "AnyBot/2.0"):
            assert robots.can_fetch("https://www.tiktok.com/search/video?q=x", agent)
            assert robots.can_fetch("https://www.tiktok.com/@_/video/7400000000000000000", agent)
            assert not robots.can_fetch("https://www.tiktok.com/internal/preview", agent)
            assert robots.crawl_delay(agent) == 0.02


def test_every_request_is_counted_and_logged(site, by_fate):
    before_s = time.monotonic()
    for path in ("/search/video?q=a", "/@_/video/7400000000000000000", "/internal/x", "/login", "/nowhere", "/robots.txt"):
        get(site, path)
    assert site.hits == dict.fromkeys(("search_page", "video_page", "disallowed", "login", "other", "robots"), 1)
    assert [(host, path, status) for _, host, path, status in site.log][:2] == [
        (WWW, "/search/video?q=a", 200),
        (WWW, "/@_/video/7400000000000000000", 200),
    ]
    assert all(before_s <= at_s <= time.monotonic() for at_s, *_ in site.log)


def test_nothing_is_forwarded(site, site_catalogue):
    with serve(site_catalogue) as other:
        for method, target in (
            ("CONNECT", f"127.0.0.1:{other.port}"),
            ("CONNECT", "elsewhere.example:443"),
            ("CONNECT", f"{WWW}:22"),
            ("GET", f"http://127.0.0.1:{other.port}/hits"),
            ("GET", "http://elsewhere.example/"),
        ):
            connection = http.client.HTTPConnection("127.0.0.1", site.port, timeout=10)
            connection.request(method, target)
            assert connection.getresponse().status == 502
            connection.close()
        assert not other.log
    assert site.hits == {"foreign": 5}
    connection = http.client.HTTPConnection("127.0.0.1", site.port, timeout=10)
    connection.request("GET", "http://www.tiktok.com/search?q=a")
    answer = connection.getresponse()
    assert (answer.status, answer.headers["Location"]) == (301, "https://www.tiktok.com/search?q=a")
    connection.close()


def test_too_fast_a_visitor_is_slowed_down(site_catalogue):
    with serve(site_catalogue, requests_per_s=1) as site:
        connection = connect(site)
        statuses = []
        while 429 not in statuses:
            assert len(statuses) < 100
            connection.request("GET", SEARCH.format("travel", 0))
            answer = connection.getresponse()
            answer.read()
            statuses.append(answer.status)
        connection.close()
        assert statuses[:5] == [200] * 5
        assert answer.headers["Retry-After"] == "1"
        assert site.hits["throttled"] == 1
        assert get(site, "/robots.txt")[0] == 200
        time.sleep(1.0)
        assert get(site, SEARCH.format("travel", 0))[0] == 200


def test_a_wall_stands_until_it_is_lifted(site):
    site.raise_wall("Travel", after=12)
    answers = [json.loads(get(site, SEARCH.format(word, at))[2]) for word, at in (("travel", 0), ("travel", 12), ("files", 12))]
    assert [answer.get("type") for answer in answers] == [None, "verify", None]
    site.lift_wall("travel")
    assert json.loads(get(site, SEARCH.format("travel", 12))[2])["item_list"]


def test_the_challenge_takes_no_guess(site, by_fate: dict[str, Listing]):
    path = f"/@_/video/{by_fate['challenge'].post_id}"
    guess = base64.b64encode(json.dumps({"d": base64.b64encode(b"10001").decode()}).encode()).decode()
    for cookie in ("", "_wafchallengeid=e30=", "_wafchallengeid=%%%", f"_wafchallengeid={guess}"):
        body = get(site, path, **({"Cookie": cookie} if cookie else {}))[2].decode()
        assert "Please wait..." in body
        assert "__UNIVERSAL_DATA" not in body


def test_a_caption_cannot_leave_its_place(shared, site_catalogue):
    row = catalogue.read(site_catalogue)[-1]
    page = get(shared, f"/@_/video/{row.post_id}")[2].decode()
    assert "</script>" in row.caption
    assert page.lower().count("</script") == page.lower().count("<script") == 1
    data = json.loads(page.split('type="application/json">')[1].split("</script>")[0])
    assert data["__DEFAULT_SCOPE__"]["webapp.video-detail"]["itemInfo"]["itemStruct"]["desc"] == row.caption


def test_many_clients_at_once_and_some_hang_up(site, site_catalogue):
    cookie = chain_cookie(site)
    whole = (site_catalogue / "media/0.mp4").read_bytes()

    def visit(number: int) -> bool:
        if number % 4 == 3:
            with socket.create_connection(("127.0.0.1", site.port)) as raw:
                raw.sendall(b"CONNECT www.tiktok.com:443 HTTP/1.1\r\n\r\n")
            return True
        connection = connect(site, MEDIA)
        bodies = []
        for _ in range(5):
            connection.request("GET", "/video/tos/7400000000000000000/", headers={**REFERER, "Cookie": cookie})
            bodies.append(connection.getresponse().read())
        connection.close()
        return bodies == [whole] * 5

    with ThreadPoolExecutor(16) as pool:
        assert all(pool.map(visit, range(32)))
    assert site.hits["media"] == 24 * 5
    assert site.hits["defect"] == 0


def test_a_file_that_has_gone_is_one_missing_post(site_catalogue, tmp_path):
    row = next(row for row in catalogue.read(site_catalogue) if row.fate == "ok")
    catalogue.write(tmp_path, [row])
    with serve(tmp_path) as site:
        cookie = chain_cookie(site)
        assert get(site, f"/@_/video/{row.post_id}")[0] == 200
        assert get(site, f"/video/tos/{row.post_id}/", MEDIA, Cookie=cookie, **REFERER)[0] == 404


def test_port_taken_and_no_catalogue(shared, site_catalogue, tmp_path):
    with pytest.raises(SiteError, match=f"port {shared.port} .*in use.*choose another"), serve(site_catalogue, port=shared.port):
        pass
    with pytest.raises(BadInput, match=r"no listings\.jsonl"), serve(tmp_path):
        pass
    (tmp_path / "listings.jsonl").write_text("not json\n")
    with pytest.raises(SiteError, match="did not start: json"), serve(tmp_path):
        pass


STARTER = """
import sys, time
from pathlib import Path
from crawl.replica.site import serve
with serve(Path(sys.argv[1])) as site:
    try:
        print(site.port, site.access.ca_file, flush=True)
        time.sleep(60)
    except KeyboardInterrupt:
        time.sleep(1)  # a site that was hit as well would be gone by now
        print(dict(site.hits), flush=True)
"""


@pytest.fixture
def starter(site_catalogue, tmp_path) -> Iterator[tuple[subprocess.Popen[str], int, Path]]:
    """A process that serves, its site's port and CA file. It stands in a folder that holds a package named like ours."""
    (tmp_path / "crawl").mkdir()
    (tmp_path / "crawl/__init__.py").write_text("raise RuntimeError('decoy imported')")
    command = [sys.executable, "-I", "-c", STARTER, str(site_catalogue)]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, text=True, start_new_session=True) as process:
        assert process.stdout
        port, ca_file = process.stdout.readline().split()
        assert _listens(int(port))
        assert Path(ca_file).is_file()
        yield process, int(port), Path(ca_file)
        process.kill()


def test_it_dies_with_its_starter(starter):
    process, port, ca_file = starter
    process.send_signal(signal.SIGKILL)
    end_s = time.monotonic() + 3
    while time.monotonic() < end_s and (_listens(port) or ca_file.parent.exists()):
        time.sleep(0.05)
    assert not _listens(port)
    assert not ca_file.parent.exists()


def test_ctrl_c_reaches_the_starter_alone(starter):
    process, port, ca_file = starter
    os.killpg(process.pid, signal.SIGINT)
    assert process.stdout.readline() == "{}\n"  # the site still answers
    assert process.wait(timeout=20) == 0
    assert not _listens(port)
    assert not ca_file.parent.exists()


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True
