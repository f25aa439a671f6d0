"""The same workers on threads and on Ray; a dying worker costs nobody else anything; decoy packages do not shadow ours."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from svmbench.errors import BadInput, DownloadFailed, Failure, SvmbenchError
from svmbench.fleet import Fleet

# Ray keeps state in its process, so each of these runs in a process of its own, as a command does.
SCRIPT = """
import os, sys, time
from svmbench.errors import DownloadFailed, Failure
from svmbench.fleet import Fleet

class Worker:
    def __init__(self, factor): self.factor = factor
    def run(self, item):
        import benchmarks, crawl
        if item == "raise": raise DownloadFailed(Failure(kind="gone", permanent=True))
        if item == "die": os._exit(1)
        return item * self.factor, benchmarks.__file__, crawl.__file__, os.getpid()

class Counter:
    def __init__(self): self.n = 0
    def add(self, k): self.n += k; return self.n

class Unborn:
    def __init__(self): raise ValueError("no such weights")
    def run(self, item): return item

class Caller:
    def __init__(self, counter): self.counter = counter
    def run(self, item): return self.counter.ask("add", item)

if __name__ == "__main__":
    with Fleet() as fleet:
        seen = dict(fleet.map(Worker, (2,), [1, 2, 3, "raise", "die", 4, 5, 6]))
        assert {i: v[0] for i, v in seen.items() if isinstance(i, int)} == {i: 2 * i for i in range(1, 7)}, seen
        for _, ours, theirs, pid in (v for i, v in seen.items() if isinstance(i, int)):
            assert ours.startswith(sys.argv[1]) and theirs.startswith(sys.argv[1]), (ours, theirs)
            assert pid != os.getpid()
        assert type(seen["raise"]).__name__ == "DownloadFailed" and seen["raise"].failure.kind == "gone", seen
        assert type(seen["die"]).__name__ == "WorkerLost", seen
        began = time.monotonic()
        failed = dict(fleet.map(Unborn, (), [1, 2, 3], workers=1))
        assert sorted(failed) == [1, 2, 3] and all("no such weights" in str(e) for e in failed.values()), failed
        assert all(type(e) is RuntimeError for e in failed.values()) and time.monotonic() - began < 40, failed
        counter = fleet.actor(Counter, name="counter", cpus=0, here=True)
        assert sorted(v for _, v in fleet.map(Caller, (counter,), [1] * 10)) == list(range(1, 11))
        too_large = fleet.actor(Counter, cpus=1000)
        assert fleet.unplaced([counter, too_large]) >= 1
        assert counter.ask("add", 1) == 11
        time.sleep(1)
        assert fleet.unplaced([counter, too_large]) == 1
    print("PASSED")
"""


@pytest.mark.slow
def test_ray_workers_from_a_folder_with_decoy_packages(tmp_path: Path) -> None:
    for decoy in ("benchmarks", "crawl", "curation", "leaderboard"):
        (tmp_path / decoy).mkdir()
        (tmp_path / decoy / "__init__.py").write_text("raise SystemError('the decoy was imported')")
    script = tmp_path / "scripts" / "job.py"
    script.parent.mkdir()
    script.write_text(SCRIPT)
    root = Path(__file__).resolve().parents[2]
    run = subprocess.run([sys.executable, script, root], cwd=tmp_path, capture_output=True, text=True, timeout=240)
    assert "PASSED" in run.stdout, run.stdout[-2000:] + run.stderr[-4000:]


class Square:
    closed = 0

    def run(self, item: int) -> int:
        if item == 3:
            raise DownloadFailed(Failure(kind="gone", permanent=True))
        return item * item

    def close(self) -> None:
        Square.closed += 1


def test_local_workers_give_values_and_exceptions_and_are_closed() -> None:
    Square.closed = 0
    with Fleet(local=True) as fleet:
        seen = dict(fleet.map(Square, (), range(20), workers=3))
    assert {i: v for i, v in seen.items() if i != 3} == {i: i * i for i in range(20) if i != 3}
    assert isinstance(seen[3], DownloadFailed)
    assert Square.closed == 3


def test_stop_is_asked_before_each_new_item() -> None:
    done: list[int] = []
    with Fleet(local=True) as fleet:
        for item, _ in fleet.map(Square, (), range(1000), workers=1, stop=lambda: len(done) >= 5):
            done.append(item)
    assert 5 <= len(done) <= 7


def test_no_cluster_at_the_address_is_one_line() -> None:
    for address in ("127.0.0.1:1", "ray://127.0.0.1:1", "nonsense"):
        with pytest.raises(BadInput, match=f"no Ray cluster answers at {address}"), Fleet(address=address):
            pass


def test_a_ray_that_starts_too_slowly_is_one_line_and_other_faults_are_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    import ray

    for said, kind, told in (
        ("The current node timed out during startup. This could ...", SvmbenchError, "this machine is busy; the same command"),
        ("something else", RuntimeError, "something else"),
    ):
        monkeypatch.setattr(ray, "init", failing(said))
        with pytest.raises(kind, match=told), Fleet() as fleet:
            fleet.start_ray()


def failing(said: str) -> Callable[..., None]:
    def init(**_: object) -> None:
        raise RuntimeError(said)

    return init


KILLED = """
import time
from svmbench.fleet import Fleet

class Worker:
    def run(self, seconds): time.sleep(seconds)

if __name__ == "__main__":
    with Fleet() as fleet:
        worker = fleet.actor(Worker)
        worker.ask("run", 0)
        worker.call("run", 600)
        print("at work", flush=True)
        time.sleep(600)
"""


@pytest.mark.slow
def test_nothing_of_an_embedded_ray_outlives_a_killed_driver(tmp_path: Path) -> None:
    script = tmp_path / "job.py"
    script.write_text(KILLED)
    with subprocess.Popen([sys.executable, script], stdout=subprocess.PIPE, text=True, start_new_session=True) as driver:
        try:
            assert driver.stdout
            assert driver.stdout.readline() == "at work\n"
            family = psutil.Process(driver.pid).children(recursive=True)
            assert len(family) > 5, "Ray's own processes, a worker and the guard"
        finally:
            driver.kill()
        assert not psutil.wait_procs(family, timeout=10)[1]
