"""The command `svmbench crawl`, as a person types it: plan, crawl, stop, go on, look, try again; what it says when it cannot."""

from __future__ import annotations

import dataclasses
import json
import os
import pty
import select
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import av
import numpy as np
import psutil
import pytest
import yaml
from typer.testing import CliRunner, Result

from crawl import status
from crawl.drive import frontier_path
from crawl.frontier import Frontier
from crawl.jobs import Found, Report
from crawl.platforms import Details
from crawl.posts import post_of
from svmbench import jobs_crawl
from svmbench.cli import app
from svmbench.errors import BadInput, Blocked, StorageError, SvmbenchError
from svmbench.fleet import Fleet
from svmbench.progress import Progress
from svmbench.provenance import settle
from svmbench.recipe import Recipe, load
from svmbench.records import Drop, Post
from svmbench.store import RunFolder

NUM_FILES = 24


def svmbench(*words: str | Path) -> Result:
    return CliRunner(env={"COLUMNS": "200"}).invoke(app, [str(word) for word in words])


def done(*words: str | Path) -> str:
    """What a command that ends well writes to its standard output."""
    result = svmbench(*words)
    assert result.exit_code == 0, result.output
    return result.stdout


def refused(*words: str | Path) -> str:
    """The one line of a command that stops."""
    result = svmbench(*words)
    assert result.exit_code == 1, result.output
    assert not result.stdout
    (line,) = result.stderr.strip().splitlines()
    assert line.startswith("error: ")
    return line


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of tiny films, no two alike, for the embedded platform."""
    folder = tmp_path_factory.mktemp("shelf")
    for n in range(NUM_FILES):
        with av.open(str(folder / f"{n:02d}.mp4"), "w") as container:
            stream = container.add_stream("libx264", rate=10)
            stream.width, stream.height, stream.pix_fmt = 32, 32, "yuv420p"
            for i in range(10):
                picture = np.full((32, 32, 3), (9 * n + i) % 256, np.uint8)
                container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
            container.mux(stream.encode(None))
    return folder


@pytest.fixture(autouse=True)
def at_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SVMBENCH_CACHE", str(tmp_path / "cache"))


def write_recipe(path: Path, shelf: Path, *, pages_per_s: float = 40, **changes: Any) -> Path:
    values = load("demo").model_dump(mode="json")
    values["search"] |= {"words": ["one", "two"], "likes_min": 0, "duration_min_s": 0, "duration_max_s": 1000}
    values["replica"] |= {"media_dir": str(shelf)}
    values["pace"] |= {"pages_per_s": pages_per_s, "media_parallel": 4, "attempts": 2}
    for section, entries in changes.items():
        values[section] = {**values[section], **entries} if isinstance(values[section], dict) else entries
    path.write_text(yaml.safe_dump({**values, "name": path.stem}))
    return path


# -- words and options
def words_of(*words: str, **given: Any) -> jobs_crawl.Order:
    blank = {"out": None, "limit": None, "dry_run": False, "reason": None, "local": False, "address": None}
    return jobs_crawl.crawl_words(list(words), **{**blank, **given})


def test_what_the_words_mean() -> None:
    order = jobs_crawl.Order
    assert words_of() == order("crawl", "demo")
    assert words_of("svm_10k") == order("crawl", "svm_10k")
    assert words_of("tivm", "list.csv", limit=3) == order("crawl", "tivm", "list.csv")
    assert words_of("status") == order("status", None)
    assert words_of("failures", "runs/x", reason="gone") == order("failures", "runs/x")
    assert words_of("retry", reason="gone", limit=4, local=True) == order("retry", None)
    assert words_of("status.yaml") == order("crawl", "status.yaml"), "a recipe file is told by its ending"


@pytest.mark.parametrize(
    ("words", "given", "says"),
    [
        (("status", "a", "b"), {}, "one run at a time, not a, b; write 'svmbench crawl status RUN'"),
        (("retry", "a"), {}, "retry needs --reason; 'svmbench crawl failures RUN'"),
        (("status",), {"limit": 3}, "--limit does not go with status, which takes --json"),
        (("failures",), {"dry_run": True}, "--dry-run does not go with failures, which takes --reason and --json"),
        (("retry",), {"reason": "x", "out": Path("y")}, "--out does not go with retry"),
        (("demo",), {"reason": "gone"}, "--reason goes with failures and retry"),
        (("demo", "a", "b"), {}, "a recipe and at most one source, not demo, a, b; search words stand in the recipe"),
    ],
)
def test_what_does_not_go_together_is_said(words: tuple[str, ...], given: dict[str, Any], says: str) -> None:
    with pytest.raises(BadInput) as caught:
        words_of(*words, **given)
    assert says in str(caught.value)


def test_wrong_usage_is_one_line(tmp_path: Path) -> None:
    assert "did you mean 'svmbench crawl status'?" in refused("crawl", "statu")
    assert "unknown recipe 'dmeo'. Did you mean 'demo'?" in refused("crawl", "dmeo")
    assert "there is no run folder under runs/" in refused("crawl", "status")
    Path("status.yaml").touch()
    assert "The recipe file is crawled with 'svmbench crawl status.yaml'" in refused("crawl", "status")
    assert "nowhere.yaml does not exist" in refused("crawl", "nowhere.yaml")
    RunFolder.create("runs/mine").write_settings({"recipe_from": "demo"})
    line = refused("crawl", "runs/mine")
    assert "runs/mine is a run folder, not a recipe; 'svmbench crawl demo --out runs/mine' goes on" in line
    assert "mine has no recipe in its settings" in refused("crawl", "status", "mine")
    assert svmbench("crawl", "--limit", "0").exit_code == 2


def test_bad_recipes_are_one_line(tmp_path: Path, shelf: Path) -> None:
    def bad(**changes: Any) -> str:
        return str(write_recipe(tmp_path / "bad.yaml", shelf, **changes))

    def without_robots() -> str:
        path = Path(bad())
        path.write_text("".join(line for line in path.read_text().splitlines(True) if not line.startswith("robots:")))
        return str(path)

    assert "unknown platform 'tiktak'. Did you mean 'tiktok'?" in refused("crawl", bad(search={"platform": "tiktak"}))
    assert "robots: missing in the recipe bad; write 'robots: obey'" in refused("crawl", without_robots())
    assert "pace.media_parallel: 33 is not allowed" in refused("crawl", bad(pace={"media_parallel": 33}))
    assert "search.source: tiktok searches words and takes no" in refused("crawl", bad(), "list.csv")
    assert "replica.media_dir: /nowhere is not a folder" in refused("crawl", bad(replica={"media_dir": "/nowhere"}))
    ids = bad(search={"platform": "ids", "site": "live", "words": ["list"]})
    assert "search.source: missing; name the list" in refused("crawl", ids)
    assert "nowhere.csv cannot be read" in refused("crawl", ids, "nowhere.csv")
    assert "search.site: the embedded platform has no 'folder'" in refused("crawl", bad(search={"platform": "folder"}))
    assert not Path("runs").exists(), "what is wrong starts nothing"


# -- the plan
def test_a_dry_run_asks_nobody_and_writes_nothing(tmp_path: Path, shelf: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_recipe(
        tmp_path / "small.yaml",
        shelf,
        search={"posts_per_word": 30},
        pace={"pages_per_s": 2, "media_parallel": 8, "disk_gb": 0.1},
    )

    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("a dry run opened a connection")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    before = sorted(tmp_path.rglob("*"))
    told = json.loads(done("crawl", path, "--dry-run", "--json"))
    page = done("crawl", path, "--dry-run")
    assert sorted(tmp_path.rglob("*")) == before
    # 30 posts a word: 3 answers of 12 and the page itself, then a page and a file for each post
    assert [(w["search_requests"], w["page_requests"], w["media_requests"]) for w in told["words"]] == [(4, 30, 30)] * 2
    assert told["requests"] == 2 * (4 + 30 + 30)
    assert 68 / 2 <= told["seconds"] <= 1.3 * 68 / 2, "68 pages from one host at 2 a second"
    assert told["disk_gb"] == 0.1, "not more than the quota"
    assert told["done"] is None
    for text in ("www.tiktok.com", "terms-of-service", "robots.txt", "obeyed", "5 MB (a guess)", "stops in order at 100 MB"):
        assert text in page
    slow = write_recipe(tmp_path / "slow.yaml", shelf, search={"posts_per_word": 30}, pace={"media_parallel": 1})
    told = json.loads(done("crawl", slow, "--dry-run", "--limit", "50", "--json"))
    assert told["seconds"] == 50 * 3, "fifty files one after the other take longer than 68 pages at 40 a second"
    tube = write_recipe(
        tmp_path / "tube.yaml", shelf, search={"platform": "youtube_shorts", "site": "live", "posts_per_word": 20}
    )
    told = json.loads(done("crawl", tube, "--dry-run", "--json"))
    assert [(w["search_requests"], w["page_requests"], w["media_requests"]) for w in told["words"]] == [(1, 40, 20)] * 2
    ignoring = write_recipe(tmp_path / "rude.yaml", shelf, robots={"ignore_because": "the owner allows it in writing"})
    assert "ignored: the owner allows it in writing" in done("crawl", ignoring, "--dry-run")


def test_a_wrong_opt_out_list_is_told_before_anything_is_written(tmp_path: Path, shelf: Path) -> None:
    path = write_recipe(tmp_path / "small.yaml", shelf, optout="out.txt")
    (tmp_path / "out.txt").write_text("author:zzz\n")
    for how in ("--dry-run", "--local"):
        assert "line 1: 'author:zzz' is not an entry" in refused("crawl", path, how)
    assert not Path("runs/small").exists()


@pytest.mark.parametrize(
    ("words", "says"), [(["one", " "], "a word is empty"), (["one", "one"], "'one' stands there more than once")]
)
def test_words_that_cannot_be_meant(tmp_path: Path, shelf: Path, words: list[str], says: str) -> None:
    assert says in refused("crawl", write_recipe(tmp_path / "small.yaml", shelf, search={"words": words}), "--dry-run")


def test_a_file_where_the_run_folder_should_be(tmp_path: Path, shelf: Path) -> None:
    (tmp_path / "taken").touch()
    line = refused("crawl", write_recipe(tmp_path / "small.yaml", shelf), "--out", "taken", "--local")
    assert "taken cannot be written (Not a directory); choose another folder with --out" in line


def test_the_name_of_a_recipe_file_without_its_ending(tmp_path: Path, shelf: Path) -> None:
    write_recipe(tmp_path / "small.yaml", shelf)
    assert "the file is 'svmbench crawl small.yaml'" in refused("crawl", "small", "--dry-run")


def test_a_dry_run_of_a_folder_counts_the_files_of_each_word(tmp_path: Path, shelf: Path) -> None:
    (shelf.parent / "more").mkdir(exist_ok=True)
    search = {"platform": "folder", "site": "live", "source": str(shelf.parent), "words": [shelf.name, "more"]}
    path = write_recipe(tmp_path / "files.yaml", shelf, search=search)
    told, page = json.loads(done("crawl", path, "--dry-run", "--json")), done("crawl", path, "--dry-run")
    assert [word["posts"] for word in told["words"]] == [NUM_FILES, 0]
    for text in ("files of this machine", "nothing is asked", "no host is asked"):
        assert text in page


def test_a_dry_run_counts_the_entries_of_a_list(tmp_path: Path, shelf: Path) -> None:
    Path("list.csv").write_text("id\n" + "".join(f"tiktok:{7_400_000_000_000_000_000 + n}\n" for n in range(7)))
    path = write_recipe(tmp_path / "rebuilt.yaml", shelf, search={"platform": "ids", "words": ["list"]})
    told = json.loads(done("crawl", path, "list.csv", "--dry-run", "--json"))
    assert (told["hosts"], told["requests"]) == (["www.tiktok.com"], 14)


# -- a run made by hand
FAILURES = {"gone": 4, "timeout": 2}


@pytest.fixture
def hand_made(tmp_path: Path, shelf: Path) -> RunFolder:
    """A run with ten posts of one word: two done, four gone, two timed out, one with too few likes, one left."""
    recipe = load(str(write_recipe(tmp_path / "made.yaml", shelf, search={"words": ["one"]})))
    run = RunFolder.create("runs/made")
    settle(run, recipe, "crawl made")
    frontier = Frontier(str(frontier_path(run)))
    frontier.begin(["one"], ("end",))
    query, _ = frontier.next_query()
    assert query
    found = [
        Found(
            id=f"tiktok:{n}", platform="tiktok", post_id=str(n), rank=n, likes=n, likes_exact=True,
            reason="too_few_likes" if n == 9 else "", value=9.0 if n == 9 else None,
        )
        for n in range(10)
    ]  # fmt: skip
    assert frontier.add(query, found, 10)
    frontier.end_query(query, "end", "", None)
    for job in frontier.lease("me", 8).jobs:
        n = int(job.post_id)
        if n < 2:
            details = Details(post_id=str(n), likes=n, duration_s=1.0)
            post = post_of(details, site="tiktok", url="", secret=b"key", sha256=f"{n:064d}")
            record, size = dataclasses.asdict(post), 5 * 10**8
            frontier.report([Report(job=job, outcome="done", record=record, sha256=f"{n:064d}", num_bytes=size)])
        else:
            reason = "gone" if n < 6 else "timeout"
            frontier.report([Report(job=job, outcome="failure", reason=reason, detail=f"it said {reason}")])
    frontier.close()
    return run


def test_status_and_failures_explain_a_run(hand_made: RunFolder) -> None:
    told = json.loads(done("crawl", "status", "made", "--json"))
    assert (told["state"], told["kept"], told["left"]) == ("stopped: 1 post left", 2, 1)
    assert {f["reason"]: f["number"] for f in told["failed"]} == FAILURES
    assert told["media_gb"] == 1.0
    page = done("crawl", "status")
    for text in ("stopped: 1 post left", "2 posts, 2 different files, 1.0 GB", "read to its end", "the post is no longer there"):
        assert text in page
    reasons = json.loads(done("crawl", "failures", "made", "--json"))["reasons"]
    assert [(r["reason"], r["kind"], r["number"]) for r in reasons] == [
        ("gone", "failure", 4), ("timeout", "failure", 2), ("too_few_likes", "rule", 1),
    ]  # fmt: skip
    assert len(reasons[0]["examples"]) == 3
    page = done("crawl", "failures", "made", "--reason", "gone")
    assert [line.split()[0] for line in page.splitlines() if "https" in line] == [
        f"https://www.tiktok.com/@_/video/{n}" for n in range(2, 6)
    ]
    assert "it said gone" in page
    assert "timeout" not in page
    assert "too_few_likes" in refused("crawl", "failures", "made", "--reason", "captcha")


def test_status_adds_up_where_words_find_the_same_posts(hand_made: RunFolder) -> None:
    assert "posts in all" not in done("crawl", "status", "made")
    frontier = Frontier(str(frontier_path(hand_made)))
    frontier.begin(["one", "two"], ("end",))
    query, _ = frontier.next_query()
    assert query
    frontier.add(query, [Found(id="tiktok:0", platform="tiktok", post_id="0", rank=1, likes=1, likes_exact=True)], 1)
    frontier.close()
    told = json.loads(done("crawl", "status", "made", "--json"))
    everything = told["kept"] + told["left"] + sum(f["number"] for f in (*told["dropped"], *told["failed"]))
    page = done("crawl", "status", "made")
    assert f"{everything} posts in all: some were found by more than one word" in page
    assert "being searched" not in page, "nobody is at work"


def test_failures_keep_links_and_commands_whole_on_a_narrow_terminal(hand_made: RunFolder) -> None:
    told = CliRunner(env={"COLUMNS": "40"}).invoke(app, ["crawl", "failures", "made", "--reason", "timeout"]).stdout.splitlines()
    assert any(line.endswith(f"svmbench crawl retry {hand_made.path} --reason timeout") for line in told), told
    assert any("https://" in line and line.endswith("it said timeout") for line in told), told


def test_status_says_that_a_crawl_is_at_work(hand_made: RunFolder) -> None:
    with hand_made.writing("crawl"):
        told = json.loads(done("crawl", "status", "made", "--json"))
        assert told["state"] == "at work"
        assert "another svmbench is running 'crawl'" in refused("crawl", "retry", "made", "--reason", "timeout", "--local")


def test_status_tells_of_selectors_that_no_longer_match(hand_made: RunFolder) -> None:
    frontier = Frontier(str(frontier_path(hand_made)))
    selector = status.module("tiktok").SELECTORS["card"][0]
    frontier.note_hits("v", {f"card {selector}": 0})
    frontier.close()
    assert "0 hits" in done("crawl", "status", "made")


def test_retry_refuses_what_would_not_change(hand_made: RunFolder) -> None:
    line = refused("crawl", "retry", "made", "--reason", "too_few_likes")
    assert "too_few_likes is no failure but a rule" in line
    assert "it has: gone, timeout, too_few_likes" in refused("crawl", "retry", "made", "--reason", "captcha")
    (hand_made.path / "crawl" / "frontier.sqlite").unlink()
    assert "has no crawl; 'svmbench crawl RECIPE" in refused("crawl", "status", "made")


# -- for real, in a terminal
class Terminal:
    """A command in a terminal of its own."""

    def __init__(self, *words: str | Path) -> None:
        self.output, self._screen = "", pty.openpty()[0]
        leader, follower = pty.openpty()
        self._screen = leader
        command = [sys.executable, "-P", "-m", "svmbench", *map(str, words)]
        boot = "import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); os.execv(sys.argv[1], sys.argv[1:])"
        self.process = subprocess.Popen(
            [sys.executable, "-c", boot, *command], stdin=follower, stdout=follower, stderr=follower, start_new_session=True,
            env={**os.environ, "COLUMNS": "150", "TERM": "xterm"},
        )  # fmt: skip
        os.close(follower)

    def read(self, until: str = "", seconds: float = 90) -> None:
        """Reads what appears, until this text does or the command ends."""
        end = time.monotonic() + seconds
        while time.monotonic() < end and not (until and until in self.output):
            if select.select([self._screen], [], [], 0.2)[0]:
                try:
                    self.output += os.read(self._screen, 4096).decode("utf-8", "replace")
                except OSError:  # the terminal has closed
                    return
        assert time.monotonic() < end, self.output[-2000:]

    def ctrl_c(self) -> None:
        os.write(self._screen, b"\x03")

    def ended(self) -> int:
        self.read()
        return self.process.wait(timeout=30)


def posts_done(run: Path) -> int:
    try:
        return json.loads(done("crawl", "status", run, "--json"))["kept"] if frontier_path(RunFolder(run)).exists() else 0
    except AssertionError:  # its settings or its tables are only being made
        return 0


def wait_for_posts(run: Path, number: int, seconds: float = 90) -> None:
    end = time.monotonic() + seconds
    while posts_done(run) < number:
        assert time.monotonic() < end
        time.sleep(0.2)


@pytest.mark.browser
@pytest.mark.slow
@pytest.mark.parametrize("where", [["--local"], []], ids=["threads", "ray"])
def test_ctrl_c_in_a_terminal_ends_in_order_and_twice_at_once(tmp_path: Path, shelf: Path, where: list[str]) -> None:
    path = write_recipe(tmp_path / "small.yaml", shelf, pages_per_s=4, search={"words": ["one"]})
    first = Terminal("crawl", path, *where)
    wait_for_posts(Path("runs/small"), 3)
    family = psutil.Process(first.process.pid).children(recursive=True)
    first.ctrl_c()
    assert first.ended() == 0, first.output[-3000:]
    assert "ctrl-C: finishing what is in hand; ctrl-C leaves at once" in first.output
    assert "stopped by ctrl-C with" in first.output
    assert "posts left; the same command goes on" in first.output
    assert "Traceback" not in first.output
    assert not psutil.wait_procs(family, timeout=10)[1], "it left processes behind"
    run = RunFolder("runs/small")
    kept = len(run.read(Post, "posts"))
    assert 3 <= kept < NUM_FILES
    assert kept == posts_done(run.path), "what was fetched is in the tables"
    second = Terminal("crawl", path, *where)
    wait_for_posts(run.path, kept + 2)
    family = psutil.Process(second.process.pid).children(recursive=True)
    second.ctrl_c()
    time.sleep(0.1)
    second.ctrl_c()
    assert second.ended() == 1, second.output[-3000:]
    assert "stopped at once" in second.output
    assert "Traceback" not in second.output
    assert not psutil.wait_procs(family, timeout=15)[1], "it left processes behind"
    assert svmbench("crawl", path, "--local").exit_code == 0
    assert len(run.read(Post, "posts")) == NUM_FILES
    assert not run.read(Drop, "drops")


@pytest.mark.browser
@pytest.mark.slow
def test_sigterm_is_like_ctrl_c(tmp_path: Path, shelf: Path) -> None:
    path = write_recipe(tmp_path / "small.yaml", shelf, pages_per_s=4, search={"words": ["one"]})
    crawl = Terminal("crawl", path, "--local")
    wait_for_posts(Path("runs/small"), 2)
    crawl.process.send_signal(signal.SIGTERM)
    assert crawl.ended() == 0, crawl.output[-3000:]
    assert "stopped by SIGTERM with" in crawl.output


@pytest.mark.browser
def test_the_whole_life_of_a_crawl(tmp_path: Path, shelf: Path) -> None:
    path = write_recipe(tmp_path / "small.yaml", shelf)
    run = RunFolder("runs/small")

    def crawl(*words: str | Path) -> list[dict[str, Any]]:
        stages: list[dict[str, Any]] = json.loads(done("crawl", *words, "--local", "--json"))["stages"]
        return stages[-2:]

    fetch = crawl(path, "--limit", "5")[1]
    assert (fetch["kept"], len(run.read(Post, "posts"))) == (5, 5)
    assert "a larger --limit, or none, goes on" in fetch["notes"][-1]
    parts = run.markers()
    assert crawl(path, "--limit", "5")[1]["kept"] == 5
    assert run.markers() == parts, "the same command does nothing"
    assert json.loads(done("crawl", "status", "--json"))["state"].startswith("ended at --limit")
    assert crawl(path, "--limit", "9")[1]["kept"] == 9
    search, fetch = crawl(path)
    assert (search["seen"], fetch["kept"], fetch["left"], fetch["notes"]) == (NUM_FILES, NUM_FILES, 0, [])
    told = json.loads(done("crawl", "status", "--json"))
    assert (told["state"], told["left"], told["failed"]) == ("finished", 0, [])
    plan = json.loads(done("crawl", path, "--dry-run", "--json"))
    assert (plan["requests"], plan["done"]["kept"]) == (0, NUM_FILES)
    assert len({post.post_id for post in run.read(Post, "posts")}) == NUM_FILES
    assert json.loads(done("crawl", path, "--local", "--json"))["next"] == f"svmbench curate {run.path}"
    write_recipe(path, shelf, search={"likes_min": 7, "words": ["one", "two"]})
    for how in ("--local", "--dry-run"):
        assert "search.likes_min: 0 there, 7 now" in refused("crawl", path, how)
    write_recipe(path, shelf, pages_per_s=20)
    assert done("crawl", path, "--local"), "how fast it is asked may change"


def test_a_full_quota_is_one_line_that_names_the_key(tmp_path: Path, shelf: Path, hand_made: RunFolder) -> None:
    quota = {"disk_gb": 0.7, "pages_per_s": 40, "media_parallel": 4, "attempts": 2}
    path = write_recipe(tmp_path / "made.yaml", shelf, search={"words": ["one"]}, pace=quota)
    result = svmbench("crawl", path, "--local")
    assert result.exit_code == 1
    line = result.stderr.strip().splitlines()[-1]
    assert line.startswith("error: pace.disk_gb: the media take 1 of the 0.7 GB that the recipe allows; 1 posts are left")
    assert "Raise pace.disk_gb in the recipe and run the same command again" in line
    assert (
        0 < result.output.index("Every item accounted for") < result.output.index("fetch: 6 failed") < result.output.index(line)
    )
    result = svmbench("crawl", path, "--local", "--json")
    assert result.stderr.strip() == line
    stages = json.loads(result.stdout)["stages"]
    assert [(s["stage"], s["kept"], s["left"], s["balanced"]) for s in stages] == [("search", 9, 0, True), ("fetch", 2, 1, True)]
    assert json.loads(done("crawl", "status", "--json"))["state"].startswith("ended at pace.disk_gb")


@pytest.mark.parametrize("error", [Blocked, StorageError, BadInput])
def test_what_a_wall_or_a_full_disk_ends_is_accounted_for_before_the_red_line(
    tmp_path: Path, shelf: Path, monkeypatch: pytest.MonkeyPatch, error: type[SvmbenchError]
) -> None:
    def ended(recipe: Recipe, run: RunFolder, fleet: Fleet, progress: Progress, **_: Any) -> None:
        if seen:
            with progress.stage("search", unit="posts") as stage:
                stage.summary.seen = seen
                stage.add(kept=seen)
        raise error("that was it")

    monkeypatch.setattr("svmbench.jobs_crawl.crawl_job", ended)
    path = write_recipe(tmp_path / "small.yaml", shelf)
    for seen in (0, 7):
        result = svmbench("crawl", path, "--local")
        assert (result.exit_code, "error: that was it" in result.stderr) == (1, True)
        assert ("7 posts" in result.stdout) == bool(seen and error is not BadInput)
