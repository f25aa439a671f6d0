"""A small process beside each browser that ends all of the browser's processes, also when the one that started it was killed.

A browser has a session of its own, so that ctrl-C does not reach it; so SIGKILL of its starter does not either. The guard waits
for the end of a pipe that only the starter holds, then kills what carries the browser's mark and removes its profile.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

MARK = "SVMBENCH_BROWSER"  # set in the environment of all processes of a browser, so that they can be told from others
END_S = 5.0  # ours: so long it is looked for processes that start while others are killed
# The path is the starter's own: the folder in which the user stands may hold packages with our names.
BOOT = "import json, sys; sys.path[:] = json.loads(sys.argv.pop(1)); from crawl.guard import main; main()"


@contextmanager
def guarded(mark: str, folder: Path) -> Iterator[None]:
    """Inside, a guard watches: at the end, or at this process's death, all processes of this mark end and the folder goes."""
    path = json.dumps([str(Path(__file__).parents[1]), *sys.path])
    guard = subprocess.Popen(
        [sys.executable, "-I", "-c", BOOT, path, mark, str(folder)],
        stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    try:
        yield
    finally:
        assert guard.stdin
        guard.stdin.close()
        guard.wait()


def end(prefix: str) -> None:
    """Kills all processes of this machine whose mark begins so, also those that start meanwhile."""
    until = time.monotonic() + END_S
    while found := list(_marked(prefix)):
        for process in found:
            with contextlib.suppress(psutil.Error):
                process.kill()
        psutil.wait_procs(found, timeout=max(0.0, until - time.monotonic()))
        if time.monotonic() > until:
            return


def _marked(prefix: str) -> Iterator[psutil.Process]:
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if process.environ().get(MARK, "").startswith(prefix):
                yield process


def main() -> None:
    """The guard. Waits until the starter closes our standard input, by choice or by dying."""
    mark, folder = sys.argv[1:]
    starter = os.getppid()
    while os.getppid() == starter and not select.select([sys.stdin], [], [], 1.0)[0]:
        pass
    end(mark)
    shutil.rmtree(folder, ignore_errors=True)
