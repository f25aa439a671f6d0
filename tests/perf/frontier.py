"""The frontier with ten thousand and with ten million jobs: python tests/perf/frontier.py [--folder DIR]

Makes two files, half of whose jobs are done with a record of 800 bytes and a stored file each, and works on both in turn, each
time in a new process: leases and reports in batches of 32 and one by one, results of searches with ids that fall anywhere among
the old ones, and what the driver asks all the time. Acknowledgements are on disk (synchronous=FULL). Needs 13 GB in DIR.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory

import psutil
from rich.console import Console
from rich.progress import track
from rich.table import Table

from crawl.frontier import Frontier
from crawl.frontier_jobs import BAND
from crawl.jobs import Found, Job, Query, Report

SIZES = (10_000, 10_000_000)
ROUNDS = 5
RANKS = 200  # results of one search
RECORD = {"caption": "x" * 786}  # 800 bytes
BATCH, PAGE = 32, 30
NUM_BATCHED, NUM_SINGLE, NUM_PAGES = 1280, 160, 20  # jobs, jobs, pages a round
TARGET = 1500  # jobs/s, of the issue
FIRST_ID = 7_000_000_000_000_000_000
NUMBERS = "WITH RECURSIVE s(n) AS (SELECT :start UNION ALL SELECT n+1 FROM s WHERE n+1<:end)"
KEY = "n/2%:ranks*:band+n"
FILL = (
    f"{NUMBERS} INSERT INTO job(key, id, platform, post_id, url, state, exported)"
    f" SELECT {KEY}, 'tiktok:'||(:first+n*:step), 'tiktok', :first+n*:step, '', iif(n%2, 'done', 'ready'), iif(n%2, 0, NULL)"
    " FROM s",
    f"{NUMBERS} INSERT INTO sighting SELECT {KEY}, 1, n/2%:ranks, 0, 20000, 1 FROM s",
    f"{NUMBERS} INSERT INTO video SELECT {KEY}, :record FROM s WHERE n%2",
)
LINES = {
    "lease + report, 32 a time": "jobs/s", "CPU of it": "ms a job", "written by it": "KB a job",
    "lease + report, one by one": "jobs/s",
    "add(), 30 at once": "rows/s", "add(), 3,000 at once": "rows/s", "renew()": "ms", "stats()": "ms", "finished(200)": "ms",
    "memory, opened": "MB", "memory, worked": "MB",
}  # fmt: skip


def found(number: int, rank: int) -> Found:
    post_id = str(FIRST_ID + number)
    return Found(id=f"tiktok:{post_id}", platform="tiktok", post_id=post_id, rank=rank, likes=20_000, likes_exact=True)


def fill(path: Path, size: int) -> None:
    """A file with so many jobs, as add() and report() would have left them; every other one is done, with a file of its own.

    Written in SQL, for its speed: in parts of up to 200,000, ids in ascending order, ranks as of searches with 200 results each.
    """
    frontier = Frontier(str(path))
    frontier.begin(["all"], ("end",))
    frontier.end_query(frontier.next_query()[0] or Query("", 0, 0, 0), "end", "", None)
    values = {"band": BAND, "ranks": RANKS, "first": FIRST_ID, "step": 10**17 // size, "record": json.dumps(RECORD)}
    part = min(size, 200_000)
    for start in track(range(0, size, part), f"{size:,} jobs"):
        with frontier._file.writing() as db:
            for statement in FILL:
                db.execute(statement, {**values, "start": start, "end": start + part})
    with frontier._file.writing() as db:
        files = ((f"{n * (2**256 // size):064x}", 1, "") for n in range(size // 2))
        db.executemany("INSERT INTO blob VALUES(?,?,?)", track(files, f"{size // 2:,} files", total=size // 2))
        db.execute("UPDATE meta SET num_found=?", (size,))
    frontier.close()


def timed(what: Callable[[], object]) -> float:
    began = time.perf_counter()
    what()
    return time.perf_counter() - began


def work(frontier: Frontier, number: int, at_once: int) -> None:
    for _ in range(0, number, at_once):
        held = frontier.lease("worker", at_once).jobs
        assert len(held) == at_once
        assert all(frontier.report([done(job) for job in held]))


def done(job: Job) -> Report:
    return Report(job=job, outcome="done", record=RECORD, sha256=sha256(job.id.encode()).hexdigest(), num_bytes=1)


def pages(number: int, size: int) -> list[list[Found]]:
    """Results with ids that fall anywhere among the old ones."""
    draw = random.Random()
    return [[found(draw.randrange(10**17), rank % RANKS) for rank in range(size)] for _ in range(number)]


def measure(path: Path) -> dict[str, float]:
    """One round on a file, in a process of its own."""
    process = psutil.Process()
    frontier = Frontier(str(path))
    frontier.begin(["more"], ("end",))
    query, _ = frontier.next_query()
    assert query is not None
    work(frontier, BATCH, BATCH)
    measured = dict[str, float]()
    measured["memory, opened"] = process.memory_info().rss / 1e6
    cpu, written = time.process_time(), process.io_counters().write_bytes
    measured["lease + report, 32 a time"] = NUM_BATCHED / timed(lambda: work(frontier, NUM_BATCHED, BATCH))
    measured["CPU of it"] = (time.process_time() - cpu) / NUM_BATCHED * 1000
    measured["written by it"] = (process.io_counters().write_bytes - written) / NUM_BATCHED / 1000
    measured["lease + report, one by one"] = NUM_SINGLE / timed(lambda: work(frontier, NUM_SINGLE, 1))
    for line, more in {"add(), 30 at once": pages(NUM_PAGES, PAGE), "add(), 3,000 at once": pages(1, 3000)}.items():
        began = time.perf_counter()
        for page in more:
            frontier.add(query, page, 0)
        measured[line] = sum(map(len, more)) / (time.perf_counter() - began)
    frontier.lease("worker", BATCH)
    for name, ask in {
        "renew()": lambda: frontier.renew("worker"), "stats()": frontier.stats, "finished(200)": lambda: frontier.finished(200)
    }.items():  # fmt: skip
        measured[name] = statistics.median(timed(ask) for _ in range(5)) * 1000
    measured["memory, worked"] = process.memory_info().rss / 1e6
    return measured


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, help="where to make the files; default: a temporary folder")
    parser.add_argument("--measure", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        print(json.dumps(measure(options.measure)))
        return
    console = Console()
    with TemporaryDirectory(dir=options.folder) as folder:
        paths = {size: Path(folder) / f"{size}.sqlite" for size in SIZES}
        for size, path in paths.items():
            fill(path, size)
        rounds: dict[int, list[dict[str, float]]] = {size: [] for size in SIZES}
        for _ in range(ROUNDS):
            for size, path in paths.items():
                command = [sys.executable, __file__, "--measure", str(path)]
                rounds[size].append(json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout))
        small, big = SIZES
        table = Table("", "unit", f"{small:,}", f"{big:,}", "big / small")
        for line, unit in LINES.items():
            best = max if unit.endswith("/s") or unit == "MB" else min
            a, b = (best(r[line] for r in rounds[size]) for size in SIZES)
            table.add_row(
                line, unit, f"{a:,.3g}" if a < 1000 else f"{a:,.0f}", f"{b:,.3g}" if b < 1000 else f"{b:,.0f}", f"{b / a:.2f}"
            )
        table.add_row("file", "GB", *(f"{paths[size].stat().st_size / 1e9:.3g}" for size in SIZES), "")
        console.print(table)
        console.print(
            f"the best of {ROUNDS} rounds (for memory the worst); the target is {TARGET:,} jobs/s in batches at both sizes"
        )


if __name__ == "__main__":
    main()
