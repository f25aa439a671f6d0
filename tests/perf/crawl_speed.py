"""`svmbench crawl` against video2dataset 1.3.0: python tests/perf/crawl_speed.py [NUMBER [THREADS]]. About ten minutes.

Both are whole commands in processes of their own, start-up included, with one list of links, against one loopback site under the
real host names that stays up and whose CPU time is left out: NUMBER posts (default 1000) of half a megabyte with picture and
sound, pages of 200 KB, THREADS (default 8) threads in one process that fetches.

Ours does all that it does in a crawl: frontier, robots.txt, pacing (the site's robots.txt asks for at most 50 requests a second
and host, which bounds it), files synced and hashed, tables. video2dataset stands in an environment of its own with the same
yt-dlp (video2dataset_env.py) and hashes nothing. It is asked for three things: picture and sound as two files and metadata, of
which it makes nothing on TikTok and which gets few posts; one file and metadata; and one file alone, which is the least.

A video counts where its file is stored whole. CPU is that of all processes of a command. The second table has posts with
planned failures, and what each tool says of them. Ends with 1 where ours stored or said anything wrong; a missed speed is
printed and no error. Without the peer's environment it says so and measures ours alone.
"""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

import psutil
import video2dataset_env as peer
from crawl_posts import plain, troubled
from crawl_sides import BOTH, FETCHED, PICTURE, Bench, Say, Taken
from rich.console import Console
from rich.table import Table

from crawl.replica import catalogue
from crawl.replica.site import serve

PAGE_BYTES = 200_000
NUMBER, THREADS = 1000, 8
FEW = 40  # posts for what the peer cannot do
TROUBLED = 20
TARGET_RATIO, TARGET_MS = 4.0, 35.0
Row = dict[str, str]


def _table(console: Console, title: str, rows: list[Row]) -> None:
    table = Table(title=title, title_justify="left")
    for place, name in enumerate(rows[0]):
        table.add_column(name, justify="right" if place else "left", overflow="fold")
    for row in rows:
        table.add_row(*row.values())
    console.print(table)


def _row(taken: Taken) -> Row:
    n = taken.asked
    return {
        "": taken.name,
        "posts": str(n),
        "whole": f"{100 * taken.good / n:.0f} %",
        "with sound": f"{100 * taken.sounding / n:.0f} %",
        "metadata": f"{100 * taken.told / n:.0f} %",
        "sha256": f"{100 * taken.hashed / n:.0f} %",
        "videos/s": f"{taken.per_s:.2f}",
        "once started": f"{taken.per_s_running:.2f}",
        "start-up s": f"{taken.first_s:.1f}",
        "CPU ms/video": f"{taken.cpu_ms:.1f}",
        "peak MB": f"{taken.cost.peak_mb:.0f}",
        "requests/video": f"{sum(taken.hits[kind] for kind in ('video_page', 'media', 'music')) / n:.2f}",
    }


def _against(ours: Taken, theirs: Taken) -> Row:
    return {
        "": ours.name,
        "against": theirs.name,
        "videos/s": _times(ours.per_s, theirs.per_s),
        "once started": _times(ours.per_s_running, theirs.per_s_running),
        "CPU a video: theirs to ours": _times(theirs.cpu_ms, ours.cpu_ms),
    }


def _times(ours: float, theirs: float) -> str:
    return f"{ours / theirs:.1f}" if theirs else "none of theirs counts"


def _verdict(taken: Taken, others: list[Taken]) -> str:
    """What the targets make of one of our runs."""
    speeds = [f"{taken.per_s / other.per_s:.1f} times {other.name}" for other in others if other.per_s]
    speed = f"videos/s {', '.join(speeds) or 'without a peer'} (target {TARGET_RATIO:.0f})"
    cpu = f"{taken.cpu_ms:.1f} ms CPU a video (target {TARGET_MS:.0f})"
    return f"{taken.name}: {speed}; {cpu}; {100 * taken.sounding / taken.asked:.1f} % with sound (target 100)"


def _roles(taken: Taken) -> str:
    parts = sorted(taken.cost.cpu_of.items(), key=lambda part: -part[1])
    return f"{taken.name}, CPU ms a video by process: " + ", ".join(f"{k} {1000 * v / taken.asked:.1f}" for k, v in parts)


def _peer() -> Path | None:
    try:
        return peer.build()
    except (RuntimeError, OSError, subprocess.SubprocessError) as error:
        print(f"{peer.PEER} cannot be had here ({error}); ours alone", flush=True)
        return None


def speed(console: Console, number: int, threads: int, folder: Path | None, scratch: Path) -> bool:
    """The first table; whether ours was right."""
    hashes = plain(scratch / "plain", number)
    with serve(scratch / "plain", page_bytes=PAGE_BYTES) as site:
        bench = Bench(site, catalogue.read(scratch / "plain"), hashes, threads, scratch)
        ours = [bench.ours("ours, --local", "--local")[0], bench.ours("ours, on Ray")[0]]
        theirs = []
        if folder:
            asked = (
                ("peer: two files, metadata", BOTH, min(FEW, number), True),
                ("peer: one file, metadata", PICTURE, number, True),
                ("peer: one file alone", PICTURE, number, False),
            )
            theirs = [bench.theirs(folder, name, kinds, many, metadata=told)[0] for name, kinds, many, told in asked]
    _table(console, f"{number} posts, {threads} threads; the peer is {peer.PEER}", [_row(taken) for taken in (*ours, *theirs)])
    if theirs:
        _table(console, "Ratios", [_against(mine, other) for mine in ours for other in theirs])
    for taken in ours:
        print(_roles(taken))
    for taken in ours:
        print(_verdict(taken, theirs))
    return all(taken.asked == taken.good == taken.sounding == taken.told == taken.hashed for taken in ours)


def failures(console: Console, threads: int, folder: Path | None, scratch: Path) -> bool:
    """The second table; whether ours fetched every good post and knew why it did not fetch another."""
    hashes = troubled(scratch / "troubled", TROUBLED)
    rows, said = catalogue.read(scratch / "troubled"), dict[str, Say]()
    for name in ("ours", "video2dataset") if folder else ("ours",):
        with serve(scratch / "troubled", page_bytes=PAGE_BYTES) as site:  # a new one: what fails once fails again
            bench = Bench(site, rows, hashes, threads, scratch)
            if name == "ours":
                said[name] = bench.ours(name, "--local")[1]
            elif folder:
                said[name] = bench.theirs(folder, name, PICTURE, len(rows), metadata=True)[1]
    bad = [row for row in rows if row.fate != "ok"]
    good = [row.post_id for row in rows if row.fate == "ok"]
    told = [{"planned": row.fate, **{name: say(row.post_id)[:60] for name, say in said.items()}} for row in bad]
    fetched = {name: f"{sum(say(i) == FETCHED for i in good)} of {len(good)}" for name, say in said.items()}
    _table(console, f"{len(rows)} posts with planned failures", [*told, {"planned": "good posts fetched", **fetched}])
    known = all(not said["ours"](row.post_id).startswith(("nothing", "unknown")) for row in bad)
    return known and all(said["ours"](i) == FETCHED for i in good)


def main(number: int, threads: int) -> int:
    console = Console(width=160)
    folder = _peer()
    memory_gb = psutil.virtual_memory().total / 1e9
    load, python = os.getloadavg()[0], platform.python_version()
    print(f"{platform.machine()}, {os.cpu_count()} cores, {memory_gb:.0f} GB, load {load:.1f}, Python {python}")
    print("ours:", ", ".join(f"{name} {version(name)}" for name in ("svmbench", "yt-dlp", "ray", "requests")))
    if folder:
        print("theirs:", ", ".join(f"{n} {v}" for n, v in peer.versions(folder).items()))
    with tempfile.TemporaryDirectory(prefix="svmbench-speed-") as scratch:
        right = speed(console, number, threads, folder, Path(scratch))
        right &= failures(console, threads, folder, Path(scratch))
    print("everything that ours stored is right" if right else "WRONG: see the tables")
    return 0 if right else 1


if __name__ == "__main__":
    asked = [int(word) for word in sys.argv[1:]]
    sys.exit(main(*asked, *(NUMBER, THREADS)[len(asked) :]))
