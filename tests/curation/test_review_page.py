"""The review page: what its server refuses, and a reviewer's work in a real browser, with the keyboard alone."""

from __future__ import annotations

import http.client
import json
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pytest

from curation.review import decisions, server
from curation.review.session import Session
from svmbench import recipe as recipes
from svmbench import records
from svmbench.errors import BadInput, SiteError
from svmbench.records import Box, Clip, ClipPicture, ClipSound, Features, Post, RuleVerdict, Song, Verdict
from svmbench.store import RunFolder

EVIL = '</bdi><script>window.pwned=1</script><img src=x onerror=window.pwned=2> \u202e"evil'
RECIPE = recipes.parse({"name": "review", "search": {"words": ["dance"]}, "filters": {"silence": {"max_share": 0.5}}}, "test")
NUM_CLIPS, NUM_DOUBTFUL, LENGTH_S = 12, 5, 3.0
SHARES = [0.48, 0.30, 0.40, 0.45, 0.20, 0.10, 0.05, 0.12, 0.14, 0.90, 0.80, 0.95]  # silence; the rule turns at 0.5


def a_clip(number: int, media: str) -> Clip:
    return Clip(
        clip_id=f"tiktok-{number}-0", post_id=str(number), song_id=f"tiktok:{number % 4}", start_s=0.0, end_s=LENGTH_S, fps=10.0,
        width_px=96, height_px=160, box=Box(left_px=0, top_px=20, width_px=96, height_px=120), media=media,
        measures={"silent_share": SHARES[number], "duration_s": LENGTH_S},
    )  # fmt: skip


def a_post(number: int) -> Post:
    return Post(
        platform="tiktok", post_id=str(number), url=f"https://www.tiktok.com/@x/video/{number}", words=("dance",),
        caption=EVIL if number == 3 else f"caption {number}", hashtags=(EVIL,) if number == 3 else ("dance",), likes=20_000,
        likes_exact=True, track_id="1", track_title=EVIL if number == 3 else "a song", track_original=False,
        duration_s=LENGTH_S, posted_at=None, fetched_at=None, sha256="", author_hash=None,
    )  # fmt: skip


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, film: Callable[..., Path]) -> Path:
    """A run of twelve clips: five in doubt, four that the rules keep, three that they drop."""
    folder = tmp_path_factory.mktemp("review")
    run = RunFolder.create(folder / "run")
    clips = []
    for number in range(NUM_CLIPS):
        t = np.arange(int(LENGTH_S * 16_000)) / 16_000
        frames = [np.full((160, 96, 3), (number * 20, 8 * k, 255 - 8 * k), np.uint8) for k in range(30)]
        path = film(folder / f"{number}.mp4", frames, wave=0.3 * np.sin(2 * np.pi * (300 + 40 * number) * t))
        clips.append(a_clip(number, run.add_media(path)))
    kinds = ["review"] * NUM_DOUBTFUL + ["keep"] * 4 + ["drop"] * 3
    rules = [
        RuleVerdict(clip_id=c.clip_id, verdict=kind, filter="silence", reason="mostly_silent", value=c.measures["silent_share"])
        for c, kind in zip(clips, kinds, strict=True)
    ]
    sounds = [
        ClipSound(clip_id=c.clip_id, peaks=bytes(range(50, 200)), peak_hop_s=0.02, speech_starts_s=(0.5,), speech_ends_s=(1.5,),
                  beats_s=(0.5, 1.0, 1.5, 2.0))
        for c in clips
    ]  # fmt: skip
    pictures = [
        ClipPicture(clip_id=c.clip_id, border_method="robust", border_kinds=(), border_confidences=(), cut_times_s=(1.2,),
                    hash_times_s=(), hashes=(), hash_qualities=())
        for c in clips
    ]  # fmt: skip
    flows = [(c.clip_id, Features(values_TD=np.full((1, 4), 0.3, np.float32), hop_s=4.0)) for c in clips]
    tables = {
        "posts": records.to_table(Post, [a_post(i) for i in range(NUM_CLIPS)]),
        "candidates": records.to_table(Clip, clips), "verdicts": records.to_table(RuleVerdict, rules),
        "sounds": records.to_table(ClipSound, sounds), "pictures": records.to_table(ClipPicture, pictures),
        "songs": records.to_table(
            Song, [Song(clip_id=c.clip_id, song_id=c.song_id, source="fingerprint", match_score=0.9) for c in clips]
        ),
        "features_optical_flow": records.features_table(flows),
    }  # fmt: skip
    with run.writing("curate") as writer:
        writer.commit([], tables)
    return run.path


@pytest.fixture
def run(whole: Path, tmp_path: Path) -> RunFolder:
    return RunFolder.open(shutil.copytree(whole, tmp_path / "run"))


@pytest.fixture
def serve(run: RunFolder) -> Iterator[Callable[..., server.Page]]:
    """serve(reviewer, **options): a page that is closed after the test."""
    with ExitStack() as stack:
        yield lambda reviewer="anna", **options: stack.enter_context(server.serve(RECIPE, run, reviewer=reviewer, **options))


class Client:
    """Plain HTTP to a page, so that every header can be a wrong one."""

    def __init__(self, page: server.Page) -> None:
        self.host = urlsplit(page.url).netloc
        self.base = urlsplit(page.url).path

    def __call__(self, method: str, name: str, body: Any = None, *, base: str | None = None, **headers: str) -> tuple[Any, bytes]:
        connection = http.client.HTTPConnection(self.host, timeout=10)
        sent = {"Host": self.host, **({"Origin": f"http://{self.host}"} if method == "POST" else {})}
        sent |= {key.replace("_", "-"): value for key, value in headers.items()}
        data = body if isinstance(body, bytes) else json.dumps(body).encode() if body is not None else None
        path = (self.base if base is None else base) + name
        connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
        for key, value in sent.items():
            if value:
                connection.putheader(key, value)
        if data is not None and "Content-Length" not in sent:
            connection.putheader("Content-Length", str(len(data)))
        connection.endheaders(data)
        answer = connection.getresponse()
        content = answer.read()
        connection.close()
        return answer, content

    def json(self, method: str, name: str, body: Any = None) -> Any:
        answer, content = self(method, name, body)
        assert answer.status == 200, content
        return json.loads(content)


@pytest.fixture
def client(serve: Callable[..., server.Page]) -> Client:
    return Client(serve())


# -- the server
def test_only_this_machine_can_reach_it(run: RunFolder) -> None:
    with server.serve(RECIPE, run, reviewer="anna") as page:
        assert page._server.server_address[0] == "127.0.0.1"
        assert page.url.startswith("http://127.0.0.1:")
        assert len(urlsplit(page.url).path.strip("/")) >= 32
        with server.serve(RECIPE, run, reviewer="anna") as other:
            assert urlsplit(other.url).path != urlsplit(page.url).path
        with pytest.raises(SiteError, match="leave --port out"):
            server.serve(RECIPE, run, reviewer="anna", port=page._server.server_address[1])


def test_without_the_token_there_is_nothing(client: Client) -> None:
    wrong = client.base[:-2] + ("A" if client.base[-2] != "A" else "B") + "/"
    for base in ("/", "", wrong, client.base.rstrip("/"), "/favicon.ico", "//", "/%2e/"):
        for name in ("", "state", "media/tiktok-0-0"):
            if (base + name).startswith("/"):
                answer, content = client("GET", name, base=base)
                assert answer.status == 404, (base, name)
                assert b"tiktok" not in content
    assert client("POST", "decide", {}, base=wrong)[0].status == 404
    assert client("GET", "", base="http://[x")[0].status == 404, "an address that cannot be taken apart"


@pytest.mark.parametrize("host", ["evil.example", "evil.example:80", "127.0.0.1", "", "localhost.evil.example", "[::1]"])
def test_another_hosts_name_is_refused(client: Client, host: str) -> None:
    answer, content = client("GET", "state", Host=host)
    assert answer.status == 421
    assert b"tiktok" not in content


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": ""},
        {"Origin": "null"},
        {"Origin": "https://evil.example"},
        {"Sec_Fetch_Site": "cross-site"},
        {"Sec_Fetch_Site": "same-site"},
    ],
)
def test_only_the_page_itself_writes(client: Client, run: RunFolder, headers: dict[str, str]) -> None:
    body = {"clip_id": "tiktok-0-0", "verdict": "keep", "reason": ""}
    assert client("POST", "decide", body, **headers)[0].status == 403
    assert client("POST", "undo", {}, **headers)[0].status == 403
    assert decisions.read(run.path) == decisions.Log()


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        (b"{" * 100, {}, 400),
        (b"[" * 4000, {}, 400),
        ([], {}, 400),
        (b"\xff\x00", {}, 400),
        (b"x" * 5000, {}, 413),
        (b"{}", {"Content_Length": "-1"}, 413),
        (b"{}", {"Content_Length": "many"}, 413),
        (None, {}, 413),
        ({"clip_id": "tiktok-0-0", "verdict": "maybe", "reason": ""}, {}, 409),
        ({"clip_id": "tiktok-0-0", "verdict": "drop", "reason": ""}, {}, 409),
        ({"clip_id": "tiktok-0-0", "verdict": "drop", "reason": "ugly"}, {}, 409),
        ({"clip_id": ["tiktok-0-0"], "verdict": "keep"}, {}, 409),
        ({"clip_id": "../../etc/passwd", "verdict": "keep"}, {}, 409),
        ({"clip_id": "\ud800", "verdict": "keep"}, {}, 409),
        ({}, {}, 409),
    ],
)
def test_a_bad_decision_is_refused_and_not_written(
    client: Client, run: RunFolder, body: Any, headers: dict[str, str], status: int
) -> None:
    assert client("POST", "decide", body, **headers)[0].status == status
    assert decisions.read(run.path) == decisions.Log()
    assert client("GET", "state")[0].status == 200


def test_a_clip_is_decided_on_once(client: Client, run: RunFolder) -> None:
    clip_id = client.json("GET", "state")["item"]["clip_id"]
    body = {"clip_id": clip_id, "verdict": "keep", "reason": ""}
    client.json("POST", "decide", body)
    answer, content = client("POST", "decide", body)
    assert answer.status == 409
    assert b"already" in content
    assert len(decisions.read(run.path).decisions) == 1


def test_every_answer_forbids_everything_foreign(client: Client) -> None:
    for name in ("", "page.js", "page.css", "state", "media/tiktok-0-0", "nothing"):
        headers = client("GET", name)[0].headers
        assert "default-src 'none'" in headers["Content-Security-Policy"]
        assert "unsafe" not in headers["Content-Security-Policy"]
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Referrer-Policy"] == "no-referrer"
        assert headers["Cross-Origin-Resource-Policy"] == "same-origin"


def film_of(run: RunFolder, number: int) -> Path:
    clip = next(c for c in run.read(Clip, "candidates") if c.clip_id == f"tiktok-{number}-0")
    return run.media_path(clip.media)


def test_media_come_whole_and_in_stretches(client: Client, run: RunFolder) -> None:
    film = film_of(run, 0).read_bytes()
    size = len(film)
    answer, content = client("GET", "media/tiktok-0-0")
    assert (answer.status, content, answer.headers["Content-Type"]) == (200, film, "video/mp4")
    assert answer.headers["Accept-Ranges"] == "bytes"
    for asked, first, last in (
        ("bytes=0-0", 0, 0), ("bytes=10-99", 10, 99), ("bytes=100-", 100, size - 1), ("bytes=-7", size - 7, size - 1),
        (f"bytes=-{size * 2}", 0, size - 1), (f"bytes=5-{size * 9}", 5, size - 1), ("bytes=0-", 0, size - 1),
    ):  # fmt: skip
        answer, content = client("GET", "media/tiktok-0-0", Range=asked)
        assert (answer.status, content) == (206, film[first : last + 1]), asked
        assert answer.headers["Content-Range"] == f"bytes {first}-{last}/{size}"
    for asked in (f"bytes={size}-", "bytes=-0"):
        answer, _ = client("GET", "media/tiktok-0-0", Range=asked)
        assert (answer.status, answer.headers["Content-Range"]) == (416, f"bytes */{size}")
    for asked in ("bytes=1-2,4-5", "bytes=9-3", "bytes=-", "lines=1-2", "bytes=x-y", "bytes=" + "9" * 500 + "-"):
        assert client("GET", "media/tiktok-0-0", Range=asked)[1] == film, asked
    answer, content = client("HEAD", "media/tiktok-0-0")
    assert (answer.status, answer.headers["Content-Length"], content) == (200, str(size), b"")


@pytest.mark.parametrize(
    "name",
    [
        "../settings.json", "media/../settings.json", "media/..%2Fsettings.json", "media/%2e%2e%2f%2e%2e%2fetc%2fpasswd",
        "media/", "media", "media//etc/passwd", "media/tiktok-99-0", "media/%00", "review/decisions.jsonl", "page.html", "..",
    ],
)  # fmt: skip
def test_no_other_file_and_no_listing_is_served(client: Client, run: RunFolder, name: str) -> None:
    (run.path / "settings.json").write_text('{"secret": 1}')
    answer, content = client("GET", name)
    assert answer.status == 404
    assert b"secret" not in content
    assert b"root:" not in content


@pytest.mark.parametrize("kind", ["file", "loop", "folder"])
def test_a_link_out_of_the_store_is_not_followed(client: Client, run: RunFolder, tmp_path: Path, kind: str) -> None:
    (tmp_path / "secret.mp4").write_text("secret")
    film = film_of(run, 0)
    film.unlink()
    target = {"file": tmp_path / "secret.mp4", "loop": film, "folder": tmp_path}[kind]
    film.symlink_to(target)
    answer, content = client("GET", "media/tiktok-0-0")
    assert answer.status == 404
    assert b"secret" not in content


def test_a_clip_whose_hash_is_a_pattern_has_no_media(run: RunFolder) -> None:
    session = Session(RECIPE, run, "anna", second=0, blind=0, seed=0)
    for media in ("*" * 64, "../" * 21 + "x", "", "A" * 64):
        session.items.clips["tiktok-0-0"] = a_clip(0, media)
        assert session.media("tiktok-0-0") is None


def test_a_store_that_is_itself_a_link_is_served(serve: Callable[..., server.Page], run: RunFolder, tmp_path: Path) -> None:
    shutil.move(run.path / "media", tmp_path / "disk")
    (run.path / "media").symlink_to(tmp_path / "disk")
    assert Client(serve())("GET", "media/tiktok-0-0")[0].status == 200


@pytest.mark.parametrize(
    "options",
    [{"reviewer": ""}, {"reviewer": "=1+1"}, {"reviewer": "a" * 50}, {"reviewer": "a\nb"}, {"blind": 2}, {"second": -1}],
)
def test_a_bad_option_is_one_line(run: RunFolder, options: dict[str, Any]) -> None:
    with pytest.raises(BadInput):
        server.serve(RECIPE, run, **{"reviewer": "anna", **options})


def test_nothing_curated_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="run svmbench curate"):
        server.serve(RECIPE, RunFolder.create(tmp_path / "empty"), reviewer="anna")


def test_a_blind_clip_tells_nothing_of_the_filter(client: Client) -> None:
    seen = []
    while item := client.json("GET", "state?rest=1")["item"]:
        seen.append(item)
        client.json("POST", "decide", {"clip_id": item["clip_id"], "verdict": "keep", "reason": "", "rest": True})
    assert len(seen) == NUM_CLIPS
    blind = [item for item in seen if item["blind"]]
    assert len(blind) == 2  # one of the first six, one of the other six
    for item in blind:
        assert not {"verdict", "numbers", "others", "closest"} & set(item)
        assert "silen" not in json.dumps(item)
        assert 'class="speech"' not in item["waveform"]
        assert 'class="beats"' in item["waveform"]
    for item in seen:
        if not item["blind"]:
            assert item["verdict"]["reason"] == "mostly_silent"
            assert item["numbers"][0]["thresholds"] == [pytest.approx(0.5)]
            assert 'class="speech"' in item["waveform"]


def test_a_rule_that_reads_other_measures_turns_where_it_does_for_this_clip(run: RunFolder) -> None:
    items = Session(RECIPE, run, "anna", second=0, blind=0, seed=0).items

    def judge(value: float, settings: Any, others: dict[str, float]) -> Verdict:
        keep = value < 0.1 * others.get("song_posts", 9)
        return Verdict(keep=keep, reason="" if keep else "mostly_silent", value=value)

    module = SimpleNamespace(READS=("song_posts", "nothing"), judge=judge)
    items.filters = [("silence", module, None)]
    row = items.shown("tiktok-0-0", blind=False)["numbers"][0]
    assert row["thresholds"] == [pytest.approx(0.3)]  # three posts share the song
    assert row["reads"] == [["song_posts", 3.0]]
    assert items.distances()["tiktok-0-0"] == pytest.approx((0.48 - 0.3) / items.rules[0].spread)


def test_a_run_from_before_sounds_and_verdicts_opens(run: RunFolder) -> None:
    clips = run.read(Clip, "candidates")
    with run.writing("curate") as writer:
        writer.replace([], {"candidates": records.to_table(Clip, clips)})
    with run.writing("judge") as writer:
        writer.commit([], {"clips": records.to_table(Clip, clips[:8])})
    session = Session(RECIPE, run, "anna", second=0, blind=0, seed=0)
    assert session.state()["item"] is None
    item = session.state(rest=True)["item"]
    assert (item["waveform"], item["flow"], item["verdict"]["verdict"]) == ("", "", "keep")
    assert "--fresh" in item["no_waveform"]


def test_a_decision_that_cannot_be_written_says_so(client: Client, run: RunFolder) -> None:
    (run.path / "review").write_text("in the way")
    clip_id = client.json("GET", "state")["item"]["clip_id"]
    answer, content = client("POST", "decide", {"clip_id": clip_id, "verdict": "keep", "reason": ""})
    assert answer.status == 507
    assert b"could not be written" in content


# -- the page
@pytest.fixture
def browser(chromium: Any) -> Any:
    """The driver with empty logs; loopback does not go through the proxy that is not there."""
    chromium.get("about:blank")
    chromium.get_log("browser"), chromium.get_log("performance")
    return chromium


class Reader:
    """A reviewer at the keyboard: presses keys, waits, and reads what the page shows."""

    def __init__(self, browser: Any, url: str) -> None:
        self.browser = browser
        browser.get(url)
        self.wait("!document.getElementById('work').hidden || !document.getElementById('finished').hidden")

    def js(self, words: str) -> Any:
        return self.browser.execute_script(f"return {words}")

    def wait(self, words: str, limit_s: float = 15.0) -> Any:
        end = time.monotonic() + limit_s
        while not (found := self.js(words)):
            assert time.monotonic() < end, f"not within {limit_s} s: {words}\n{self.js('document.body.innerText')}"
            time.sleep(0.03)
        return found

    def press(self, *keys: str) -> None:
        for key in keys:
            self.browser.switch_to.active_element.send_keys(key)

    def decide(self, *keys: str) -> None:
        """Presses keys, and waits until the next clip is there."""
        before = self.count()
        self.press(*keys)
        self.wait(f"document.getElementById('count').textContent !== {json.dumps(before)}")

    def count(self) -> str:
        return self.text("count")

    def text(self, name: str) -> str:
        return self.js(f"document.getElementById({json.dumps(name)}).innerText.trim()")

    def clip(self) -> str:
        return self.js("document.querySelector('#post bdi, #post a')?.closest('#post').querySelector('.small bdi').textContent")


@pytest.fixture
def reader(browser: Any, serve: Callable[..., server.Page]) -> Callable[..., Reader]:
    return lambda reviewer="anna", **options: Reader(browser, serve(reviewer, **options).url)


FILM = "document.querySelector('video.here')"
AHEAD = "document.querySelector('video:not(.here):not(#other)')"
FOCUS = "(e => e.id || e.dataset.verdict || e.dataset.reason || e.tagName)(document.activeElement)"


def verdicts(run: RunFolder) -> list[tuple[str, str]]:
    return [(d.verdict, d.reason) for d in decisions.read(run.path).decisions]


@pytest.mark.browser
def test_a_session_with_the_keyboard_alone(reader: Callable[..., Reader], run: RunFolder) -> None:
    page = reader()
    assert page.count() == "0 of 6 decided"
    page.decide("k")
    page.decide("d", "3")
    page.decide("1", "d")
    page.decide("u")
    assert verdicts(run) == [("keep", ""), ("drop", "singing"), ("drop", "voice_over"), ("unsure", "")]
    assert page.count() == "4 of 6 decided"
    page.decide("z")
    assert page.text("told") == "Taken back"
    page.decide("2", "k")
    assert verdicts(run)[-2:] == [("undo", ""), ("keep", "ambience")]
    page.decide("k")
    page.press("k")
    page.wait("!document.getElementById('finished').hidden")
    assert page.text("finished-title") == "All done"
    page.wait("document.querySelector('#finished .summary dd')")
    assert "kept\n4" in page.text("finished")
    assert "--rejudge" in page.text("finished")
    page.press("c")
    page.wait("!document.getElementById('work').hidden")
    assert page.count() == "0 of 6 of the rest"
    page.decide("k")
    page.decide("z")
    assert page.count() == "0 of 6 of the rest"
    assert page.browser.get_log("browser") == []


@pytest.mark.browser
def test_to_drop_takes_a_reason_and_escape_goes_back(reader: Callable[..., Reader], run: RunFolder) -> None:
    page = reader()
    page.press("d")
    assert page.text("why") == "Drop: why?"
    page.press("\ue00c")
    assert page.text("why") == "Reason"
    page.press("1", "1", "d")  # chosen, and let go again
    assert page.text("why") == "Drop: why?"
    assert verdicts(run) == []
    page.decide("4")
    assert verdicts(run) == [("drop", "static_video")]


@pytest.mark.browser
def test_the_film_plays_seeks_and_the_next_one_is_there_before_it_is_asked_for(reader: Callable[..., Reader]) -> None:
    page = reader()
    page.press(" ")  # whether it plays by itself is the browser's to say
    page.wait(f"{FILM}.readyState >= 3")
    if page.js(f"{FILM}.paused"):
        page.press(" ")
    at_s = page.js(f"{FILM}.currentTime")
    page.wait(f"{FILM}.currentTime > {at_s} + 0.3 || {FILM}.currentTime < {at_s}")  # it begins anew at its end
    page.wait("parseFloat(document.getElementById('head').style.left) > 0")
    assert page.js(f"{FILM}.muted") is False
    page.press(" ")
    page.wait(f"{FILM}.paused")
    page.press("\ue011")  # Home
    page.wait(f"{FILM}.currentTime === 0")
    page.press("\ue014")  # right arrow
    page.wait(f"Math.abs({FILM}.currentTime - 1) < 0.05")
    assert page.js("document.getElementById('timeline').getAttribute('aria-valuetext')") == "1.0 of 3.0 seconds"
    page.browser.execute_script(
        "const t = document.getElementById('timeline'), r = t.getBoundingClientRect();"
        "t.dispatchEvent(new PointerEvent('pointermove', {clientX: r.left + r.width * 2 / 3, buttons: 1}))"
    )
    page.wait(f"Math.abs({FILM}.currentTime - 2) < 0.05")
    page.wait(f"{AHEAD}?.readyState >= 4")
    page.js(f"{AHEAD}.mark = 'fetched before'")
    page.browser.get_log("performance")
    page.decide("k")
    assert page.js(f"{FILM}.mark") == "fetched before"
    assert page.js(f"{FILM}.readyState") >= 3
    page.wait(f"!{FILM}.paused")  # the reader's keys have allowed it


@pytest.mark.browser
def test_another_clip_of_the_song_plays_and_gives_way(reader: Callable[..., Reader]) -> None:
    page = reader()
    page.wait("document.querySelector('#other')?.readyState >= 1")
    assert "3 clips share it, by its sound, match 0.9" in page.text("song")
    page.press("g")
    page.wait("!document.getElementById('other').paused && document.getElementById('other').currentTime > 0.1")
    assert page.js(f"{FILM}.paused")
    page.press("g")
    page.wait(f"document.getElementById('other').paused && !{FILM}.paused")


@pytest.mark.browser
def test_the_border_the_numbers_and_the_sound_are_drawn(reader: Callable[..., Reader]) -> None:
    page = reader()
    assert page.js("[...document.querySelector('#overlay .box').attributes].map(a => a.value).slice(1, 5)") == [
        "0",
        "20",
        "96",
        "120",
    ]
    page.press("b")
    assert page.js("getComputedStyle(document.getElementById('overlay')).visibility") == "hidden"
    assert page.text("stamp") == "In doubt"
    assert page.text("said-by") == "mostly silent · rule silence · silent share 0.48, turns at 0.5"
    assert page.js("document.querySelectorAll('tr.fired:not(.also)').length") == 1
    assert page.js("document.querySelector('tr.fired .limit') !== null && document.querySelector('tr.fired .here') !== null")
    shade = page.js("(r => [r.getAttribute('x'), r.getAttribute('width')])(document.querySelector('.waveform .speech'))")
    assert [float(number) for number in shade] == pytest.approx([1000 / 6, 1000 / 3], abs=0.1)  # 0.5 to 1.5 s of 3 s
    assert page.js("document.querySelector('.waveform .beats').getAttribute('d').split('M').length - 1") == 4
    assert page.js("document.querySelector('#flow .cut') !== null")


@pytest.mark.browser
def test_a_blind_clip_hides_what_the_filter_says(reader: Callable[..., Reader]) -> None:
    page = reader()
    while page.text("stamp") != "Blind check":
        assert "mostly silent" in page.js("document.body.textContent")
        page.decide("k")
    shown = page.js("document.getElementById('work').textContent")
    assert not [word for word in ("silen", "0.5", "the rules", "turns at", "In doubt") if word in shown]
    assert page.js("document.querySelectorAll('.speech, .voice[d]:not([d=\"\"]), .limit, .here:not(video), tr').length") == 0
    assert "not told what the filter says" in page.text("said-by")


@pytest.mark.browser
def test_a_reload_and_a_new_server_go_on_where_it_was(browser: Any, run: RunFolder) -> None:
    with server.serve(RECIPE, run, reviewer="anna") as first:
        page = Reader(browser, first.url)
        page.decide("k")
        page.decide("u")
        clip = page.clip()
        browser.refresh()
        page.wait("!document.getElementById('work').hidden")
        assert (page.count(), page.clip()) == ("2 of 6 decided", clip)
    page.press("k")
    page.wait("!document.getElementById('trouble').hidden")
    assert "Nothing was saved" in page.text("trouble")
    assert page.clip() == clip
    with server.serve(RECIPE, run, reviewer="anna") as second:
        page = Reader(browser, second.url)
        assert (page.count(), page.clip()) == ("2 of 6 decided", clip)
        page.decide("z")
        assert page.count() == "1 of 6 decided"


@pytest.mark.browser
def test_two_reviewers_their_kappa_and_a_third(reader: Callable[..., Reader], run: RunFolder) -> None:
    page = reader("anna")
    for keys in ("k", "k", "k", "d1", "d2"):
        page.decide(*keys)
    page = reader("ben", second=1.0)
    assert page.count() == "0 of 6 decided"
    seen = page.js("document.body.innerText")
    assert "anna" not in seen
    for keys in ("k", "k", "d1", "d1", "d2"):
        page.decide(*keys)
    page.press("s")
    page.wait("document.querySelector('#summary dd')")
    assert "anna and ben: 5 clips, 80 % the same, kappa 0.62" in page.text("summary")  # (0.8 - 0.48) / 0.52
    assert "disputed\n1" in page.text("summary")
    page = reader("cleo", second=0.0)
    assert "Two reviewers disagree" in page.text("said-by")
    page.decide("d", "1")
    assert decisions.disputed(decisions.read(run.path)) == set()
    assert "Two reviewers disagree" not in page.text("said-by")


@pytest.mark.browser
def test_hostile_words_stay_words(reader: Callable[..., Reader]) -> None:
    page = reader(blind=0.0)
    while "onerror" not in page.text("post"):
        page.decide("k")
    assert "</bdi><script>window.pwned=1</script>" in page.js("document.querySelector('#post .caption').textContent")
    assert page.js("window.pwned ?? null") is None
    assert page.js("document.images.length") == 0
    assert page.js("document.scripts.length") == 1
    assert page.browser.get_log("browser") == []


@pytest.mark.browser
def test_it_asks_for_nothing_elsewhere(reader: Callable[..., Reader]) -> None:
    page = reader()
    page.decide("k")
    page.wait(f"{AHEAD}?.readyState >= 4")
    events = [json.loads(entry["message"])["message"] for entry in page.browser.get_log("performance")]
    asked = {e["params"]["request"]["url"] for e in events if e["method"] == "Network.requestWillBeSent"}
    assert len(asked) > 5
    home = page.browser.current_url
    assert [url for url in asked if not url.startswith(home) and url != "about:blank"] == []
    assert page.browser.get_log("browser") == []


@pytest.mark.browser
def test_tab_reaches_every_control_and_the_focus_is_seen(reader: Callable[..., Reader], run: RunFolder) -> None:
    page = reader()
    reached = []
    outline = "(s => s.outlineStyle !== 'none' && parseFloat(s.outlineWidth) >= 2)(getComputedStyle(document.activeElement))"
    for _ in range(40):
        page.press("\ue004")
        name = page.js(FOCUS)
        if name == "BODY" or name in reached:
            continue
        assert page.js(outline), f"the focus on {name} cannot be seen"
        reached.append(name)
    assert {
        "open-summary",
        "open-help",
        "play",
        "mute",
        "border",
        "timeline",
        "keep",
        "drop",
        "unsure",
        "voice_over",
        "other",
        "SUMMARY",
    } <= set(reached)
    page.js("document.querySelector('[data-verdict=keep]').focus()")
    page.decide(" ")  # on a button the space bar is that button's
    assert verdicts(run) == [("keep", "")]
    assert page.js("document.activeElement.id") == "work"  # and not on the button: a second space must not keep the next clip
    page.press("?")
    assert page.js("document.getElementById('help').open")
    page.press("k", "\ue00c")
    assert not page.js("document.getElementById('help').open")
    assert verdicts(run) == [("keep", "")]


CONTRAST = """(() => {
  const rgb = (text) => text.match(/[\\d.]+/g).map(Number);
  const linear = (c) => (c / 255 <= 0.03928 ? c / 255 / 12.92 : ((c / 255 + 0.055) / 1.055) ** 2.4);
  const light = ([r, g, b]) => 0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b);
  const behind = (node) => {
    for (; node; node = node.parentElement) {
      const c = rgb(getComputedStyle(node).backgroundColor);
      if (c.length < 4 || c[3] === 1) return c;
    }
    return [255, 255, 255];
  };
  const poor = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const node = walker.currentNode.parentElement;
    if (!walker.currentNode.data.trim() || !node.getClientRects().length || node.closest(':disabled, .frame')) continue;
    const [a, b] = [light(rgb(getComputedStyle(node).color)), light(behind(node))];
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (ratio < 4.5) poor.push([walker.currentNode.data.trim(), node.tagName, ratio]);
  }
  return poor;
})()"""


@pytest.mark.browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_can_be_read_and_fits(reader: Callable[..., Reader], browser: Any, scheme: str) -> None:
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": scheme}]})
    try:
        page = reader()
        for width_px, height_px in ((1280, 720), (1366, 768), (1920, 1080), (800, 900), (400, 800)):
            size = {"width": width_px, "height": height_px, "deviceScaleFactor": 1, "mobile": False}
            browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
            assert page.js("document.documentElement.scrollWidth") <= width_px
            if width_px >= 1280:  # all there without scrolling: the film, the timeline and the buttons
                assert page.js("document.documentElement.scrollHeight") <= height_px
                assert page.js("document.getElementById('decide').getBoundingClientRect().bottom") <= height_px
                assert page.js("document.querySelector('.frame').getBoundingClientRect().height") > height_px / 2
        assert page.js(CONTRAST) == []
        page.press("?")
        assert page.js(CONTRAST) == []
        assert page.js("getComputedStyle(document.body).backgroundColor") == (
            "rgb(255, 255, 255)" if scheme == "light" else "rgb(18, 22, 27)"
        )
    finally:
        browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})


@pytest.mark.browser
def test_who_wants_less_motion_starts_the_film_himself(reader: Callable[..., Reader], browser: Any) -> None:
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [{"name": "prefers-reduced-motion", "value": "reduce"}]})
    try:
        page = reader()
        page.decide("k")
        page.wait(f"{FILM}.readyState >= 3")
        assert page.js(f"{FILM}.paused")
        assert not page.js("document.getElementById('start').hidden")
        page.press(" ")
        page.wait(f"!{FILM}.paused && document.getElementById('start').hidden")
    finally:
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})


@pytest.mark.browser
def test_a_film_that_is_missing_or_broken_still_can_be_decided(reader: Callable[..., Reader], run: RunFolder) -> None:
    for number in range(NUM_CLIPS):
        film_of(run, number).write_bytes(b"no film") if number % 2 else film_of(run, number).unlink()
    page = reader()
    page.wait("!document.getElementById('unplayable').hidden")
    assert "not in the run" in page.text("unplayable")
    while "cannot play" not in page.text("unplayable"):
        page.decide("k")
        page.wait("!document.getElementById('unplayable').hidden")
    page.decide("u")


@pytest.mark.browser
def test_lines_that_cannot_be_read_are_told(reader: Callable[..., Reader], run: RunFolder) -> None:
    (run.path / "review").mkdir()
    decisions.place(run.path).write_text("{torn\n")
    page = reader()
    assert page.text("told") == "1 line of the log could not be read; see Summary"
    page.press("s")
    page.wait("document.querySelector('#summary details')")
    assert "1 line of the log could not be read" in page.text("summary")
