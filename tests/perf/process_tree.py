"""What a command costs together with every process that it starts: time, CPU and memory. For Linux; used by crawl_speed.py.

The CPU time is what the kernel charged to all processes that ended, which counts those that lived shorter than a look at them, or
what was seen of each while it lived, which counts those whose parents wait for nobody (Ray's workers): the larger of the two.
"""

from __future__ import annotations

import ctypes
import os
import resource
import subprocess
import time
from collections import defaultdict
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

SUBREAPER = 36  # PR_SET_CHILD_SUBREAPER: orphans become our children, so that their time is charged to us in the end
LOOK_S, MEMORY_LOOK_S = 0.2, 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """began_at: monotonic seconds. cpu_of: CPU seconds by role of the process, as seen. peak_mb: PSS of all together."""

    exit_code: int
    output: str
    began_at: float
    wall_s: float
    cpu_s: float
    cpu_of: dict[str, float]
    peak_mb: float


def run(command: Sequence[str], *, folder: Path, environment: dict[str, str], limit_s: float) -> Cost:
    """Runs a command to its end in a folder. TimeoutExpired after limit_s, when all of its processes have been killed."""
    ctypes.CDLL(None).prctl(SUBREAPER, 1, 0, 0, 0)
    others = {child.pid for child in psutil.Process().children()}
    before, began_at = _charged_s(), time.monotonic()
    seen: dict[psutil.Process, tuple[str, float]] = {}
    peak, next_look = 0.0, 0.0
    output = folder / "output.txt"
    with output.open("wb") as file:
        process = subprocess.Popen(
            command, cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=file, stderr=subprocess.STDOUT
        )
        while process.poll() is None:
            now = time.monotonic()
            tree = _tree(others)
            _look(tree, process.pid, seen)
            if now >= next_look:
                peak, next_look = max(peak, _memory_mb(tree)), now + MEMORY_LOOK_S
            if now - began_at > limit_s:
                _end(others)
                raise subprocess.TimeoutExpired(command, limit_s)
            time.sleep(LOOK_S)
    wall_s = time.monotonic() - began_at
    _end(others)
    by_role = defaultdict[str, float](float)
    for role, cpu_s in seen.values():
        by_role[role] += cpu_s
    return Cost(
        exit_code=process.returncode, output=output.read_text(errors="replace"), began_at=began_at, wall_s=wall_s,
        cpu_s=max(_charged_s() - before, sum(by_role.values())), cpu_of=by_role, peak_mb=peak,
    )  # fmt: skip


def _charged_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _tree(others: set[int]) -> list[psutil.Process]:
    found: list[psutil.Process] = []
    for child in psutil.Process().children():
        if child.pid not in others:
            with suppress(psutil.Error):
                found += [child, *child.children(recursive=True)]
    return found


def _look(tree: list[psutil.Process], root: int, seen: dict[psutil.Process, tuple[str, float]]) -> None:
    for process in tree:
        with suppress(psutil.Error):
            used = process.cpu_times()
            seen[process] = ("the command" if process.pid == root else _role(process), used.user + used.system)


def _role(process: psutil.Process) -> str:
    """'Fetcher' for a Ray actor of this class, 'Ray itself' for what Ray starts for its own use."""
    words = process.cmdline()
    title = " ".join(words)
    if title.startswith("ray::") and not title.startswith("ray::IDLE"):
        return title.removeprefix("ray::").split(".")[0].split(" ")[0]
    if "/ray/" in title or title.startswith("ray::"):
        return "Ray itself"
    return "its helpers"


def _memory_mb(tree: list[psutil.Process]) -> float:
    total = 0.0
    for process in tree:
        with suppress(psutil.Error, AttributeError):
            total += process.memory_full_info().pss / 1e6
    return total


def _end(others: set[int]) -> None:
    """Kills what the command left behind, and waits for it."""
    while left := [child for child in psutil.Process().children() if child.pid not in others]:
        for process in left:
            with suppress(psutil.Error):
                for child in process.children(recursive=True):
                    child.kill()
                process.kill()
            with suppress(ChildProcessError):
                os.waitpid(process.pid, 0)
