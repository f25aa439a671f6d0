"""The frontier with ten thousand and with ten million jobs: python tests/perf/frontier.py [--folder DIR]

Makes two files, half of whose jobs are done with a record of 800 bytes and a stored file each, and works on both in turn, each time
in a new process: leases and reports in batches of 32 and one by one, results of searches in pages of 30 with ids that fall anywhere
among the old ones, and what the driver asks all the time. Acknowledgements are on disk (synchronous=FULL). Needs 13 GB in DIR.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory

import psutil
from rich.console import Console
from rich.progress import track
from rich.table import Table

from crawl.frontier import Frontier
from crawl.jobs import DONE, Found, Job, Report

SIZES = (10_000, 10_000_000)
ROUNDS = 3
RANKS = 200  # results of one search
RECORD = {"caption": "x" * 786}  # 800 bytes
BATCH, PAGE = 32, 30
NUM_BATCHED, NUM_SINGLE, NUM_PAGES = 1280, 160, 20  # jobs, jobs, pages a round
TARGET = 1500  # jobs/s, of the issue
LINES = {
    "lease + report, 32 a time": "jobs/s", "CPU of it": "ms a job", "lease + report, one by one": "jobs/s", "add(), 30 a page": "rows/s",
    "renew()": "ms", "stats()": "ms", "finished(200)": "ms", "memory, opened": "MB", "memory, worked": "MB",
}  # fmt: skip


def found(number: int, rank: int, *, done: bool) -> Found:
    post_id = str(7_000_000_000_000_000_000 + number)
    record = RECORD if done else None
    return Found(
        id=f"tiktok:{post_id}", platform="tiktok", post_id=post_id, rank=rank, likes=20_000, likes_exact=True, record=record
    )


def fill(path: Path, size: int) -> float:
    """A file with so many jobs; rows/s of adding them in batches of up to 50,000, in the order of their ids."""
    frontier = Frontier(str(path))
    step = 10**17 // size
    batch = min(size, 50_000)
    began = time.perf_counter()
    frontier.begin([f"word {n}" for n in range(size // batch)], ("end",))
    for start in track(range(0, size, batch), f"{size:,} jobs"):
        query, _ = frontier.next_query()
        assert query is not None
        rows = (found(step * n, n // 2 % RANKS, done=n % 2 == 1) for n in range(start, start + batch))
        assert frontier.add(query, rows, batch)
        frontier.end_query(query, "end", "", None)
    rate = size / (time.perf_counter() - began)
    with frontier._file.writing() as db:  # the hashes of files, in their order: what reports would have left
        files = ((f"{n * (2**256 // size):064x}", 1, "") for n in range(size // 2))
        db.executemany("INSERT INTO blob VALUES(?,?,?)", track(files, f"{size // 2:,} files", total=size // 2))
    frontier.close()
    return rate


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
    return Report(job=job, outcome=DONE, record=RECORD, sha256=sha256(job.id.encode()).hexdigest(), num_bytes=1)


def pages(frontier: Frontier, draw: random.Random) -> Iterator[list[Found]]:
    for _ in range(NUM_PAGES):
        yield [found(draw.randrange(10**17), rank, done=False) for rank in range(PAGE)]


def measure(path: Path) -> dict[str, float]:
    """One round on a file, in a process of its own."""
    process = psutil.Process()
    frontier = Frontier(str(path))
    frontier.begin(["more"], ("end",))
    query, _ = frontier.next_query()
    assert query is not None
    work(frontier, BATCH, BATCH)
    found_line = dict[str, float]()
    found_line["memory, opened"] = process.memory_info().rss / 1e6
    cpu = time.process_time()
    found_line["lease + report, 32 a time"] = NUM_BATCHED / timed(lambda: work(frontier, NUM_BATCHED, BATCH))
    found_line["CPU of it"] = (time.process_time() - cpu) / NUM_BATCHED * 1000
    found_line["lease + report, one by one"] = NUM_SINGLE / timed(lambda: work(frontier, NUM_SINGLE, 1))
    more = list(pages(frontier, random.Random()))
    found_line["add(), 30 a page"] = NUM_PAGES * PAGE / timed(lambda: [frontier.add(query, page, 0) for page in more])
    frontier.lease("worker", BATCH)
    for name, ask in {
        "renew()": lambda: frontier.renew("worker"), "stats()": frontier.stats, "finished(200)": lambda: frontier.finished(200)
    }.items():  # fmt: skip
        found_line[name] = statistics.median(timed(ask) for _ in range(5)) * 1000
    found_line["memory, worked"] = process.memory_info().rss / 1e6
    return found_line


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
        rates = {size: fill(path, size) for size, path in paths.items()}
        rounds: dict[int, list[dict[str, float]]] = {size: [] for size in SIZES}
        for _ in range(ROUNDS):
            for size, path in paths.items():
                command = [sys.executable, __file__, "--measure", str(path)]
                rounds[size].append(json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout))
        small, big = SIZES
        table = Table("", "unit", f"{small:,}", f"{big:,}", "big / small")
        table.add_row("filled with add(), in bulk", "rows/s", *(f"{rates[s]:,.0f}" for s in SIZES), f"{rates[big] / rates[small]:.2f}")
        for line, unit in LINES.items():
            a, b = (statistics.median(r[line] for r in rounds[size]) for size in SIZES)
            table.add_row(line, unit, f"{a:,.3g}" if a < 1000 else f"{a:,.0f}", f"{b:,.3g}" if b < 1000 else f"{b:,.0f}", f"{b / a:.2f}")
        table.add_row("file", "GB", *(f"{paths[size].stat().st_size / 1e9:.3g}" for size in SIZES), "")
        console.print(table)
        console.print(f"median of {ROUNDS} rounds; the target is {TARGET:,} jobs/s in batches at both sizes")


if __name__ == "__main__":
    main()
