"""How fast a list of ids is read, and that memory stays flat: python tests/perf/lists.py [ROWS ...], default 100,000 1,000,000

Each size and kind is read by a process of its own; prints CPU time, microseconds a row, and the growth of the resident set while
the list is read. There is no peer: video2dataset reads its whole list into a data frame.
"""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from crawl.platforms import ids
from svmbench.recipe import parse

KINDS = ("ids.csv", "links.csv", "ids.parquet")


def write(path: Path, rows: int) -> None:
    def entry(n: int) -> str:
        number = str(7_300_000_000_000_000_000 + n)
        return number if path.name.startswith("ids") else f"https://www.tiktok.com/@user.{n}/video/{number}"

    if path.suffix == ".parquet":
        pq.write_table(pa.table({"id": [entry(n) for n in range(rows)]}), path)
        return
    with path.open("w") as file:
        file.write("url\n")
        file.writelines(f"{entry(n)}\n" for n in range(rows))


def read(path: str) -> None:
    values = {"name": "t", "search": {"platform": "ids", "words": ["l"], "source": path}, "robots": "obey"}
    means: Any = SimpleNamespace(recipe=parse(values, "t"))
    next(ids.pages(means, "l", ""))
    before, began = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
    found = sum(len(page.candidates) for page in ids.pages(means, "l", ""))
    cpu_s, grown = time.process_time() - began, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    print(
        f"{Path(path).name:12} {found:>10,} rows {cpu_s:8.1f} s CPU {cpu_s / found * 1e6:6.1f} us a row {grown / 1024:+8.1f} MiB"
    )


def main() -> None:
    if sys.argv[1:2] == ["--read"]:
        read(sys.argv[2])
        return
    with tempfile.TemporaryDirectory() as folder:
        for rows in [int(text) for text in sys.argv[1:]] or [100_000, 1_000_000]:
            for kind in KINDS:
                path = Path(folder, kind)
                write(path, rows)
                subprocess.run([sys.executable, __file__, "--read", str(path)], check=True)


if __name__ == "__main__":
    main()
