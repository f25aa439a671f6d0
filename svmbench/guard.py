"""A small process beside others (a browser, an embedded Ray) that ends them all, also when the one that started them was killed.

SIGKILL of a process leaves its children alone, and a browser has a session of its own besides, so that ctrl-C does not reach it.
The guard waits for the end of a pipe that only the starter holds, then kills what carries the mark and removes the folder.
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

MARK = "SVMBENCH_GUARDED"  # set in the environment of the processes, and so in that of all that they start
END_S = 5.0  # ours: so long it is looked for processes that start while others are killed
# The path is the starter's own: the folder in which the user stands may hold packages with our names.
BOOT = "import json, sys; sys.path[:] = json.loads(sys.argv.pop(1)); from svmbench.guard import main; main()"


@contextmanager
def guarded(mark: str, folder: Path) -> Iterator[dict[str, str]]:
    """Inside, a guard watches: at the end, or at this process's death, all processes of this mark end and the folder goes.

    Gives the environment that a process needs to be guarded.
    """
    path = json.dumps([str(Path(__file__).parents[1]), *sys.path])
    env = {name: value for name, value in os.environ.items() if name != MARK}
    guard = subprocess.Popen(
        [sys.executable, "-I", "-c", BOOT, path, mark, str(folder)], env=env,
        stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    try:
        yield {**env, MARK: mark}
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
