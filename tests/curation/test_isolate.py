"""One child per supervisor: crashes, hangs and hogs cost one item, never another, and nothing outlives its parent."""

from __future__ import annotations

import importlib
import json
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from curation import isolate, strikes
from curation.isolate import Item, Supervisor, supervised
from curation.strikes import KILLS, Record, Strikes
from svmbench.errors import BadMedia, MissingExtra
from svmbench.fleet import Fleet, WorkerLost

JOBS = '''
import ctypes, mmap, os, signal, subprocess, sys, threading, time
from pathlib import Path
from svmbench.errors import BadMedia, MissingExtra, SvmbenchError

class Unreadable(SvmbenchError):
    def __init__(self, one, two): super().__init__(one)  # pickles with one argument, needs two

def endless():
    while True: pass

def hog(step=64 * 2**20):
    kept = []
    while True:
        kept.append(bytearray(step))  # zeroed, so untouched
        kept[-1][::4096] = bytes([1]) * (step // 4096)

def mapped():
    area = mmap.mmap(-1, 1500 * 2**20)
    for at in range(0, len(area), 4096): area[at] = 1
    time.sleep(60)

def orphan():
    if os.fork(): os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(300)  # and holds the pipe open

def flood():
    for _ in range(200):
        os.write(1, b"x" * 2**16)
        print("y" * 2**16, file=sys.stderr)
    return "done"

def victim(folder):
    (folder / f"victim-{os.getpid()}").touch()
    time.sleep(60)

def sometimes(folder):
    try:
        (folder / "once").touch(exist_ok=False)
    except FileExistsError:
        return "done"
    os.kill(os.getpid(), signal.SIGSEGV)

class Odd:
    """Does what the item says."""
    def __init__(self, folder): self.folder = Path(folder)
    def run(self, item):
        word, _, number = item.partition(" ")
        if word == "segfault": ctypes.string_at(0)
        if word == "abort": os.abort()
        if word == "endless": endless()
        if word == "asleep": time.sleep(60)
        if word == "hog": hog()
        if word == "mapped": mapped()
        if word == "greedy": return len(bytearray(6 * 2**30))
        if word == "exit": os._exit(3)
        if word == "sys.exit": sys.exit(4)
        if word == "victim": victim(self.folder)
        if word == "closes": os.closerange(3, 200)
        if word == "orphan": orphan()
        if word == "lawless": os.kill(os.getppid(), signal.SIGKILL); time.sleep(60)
        if word == "sometimes": return sometimes(self.folder)
        if word == "bad": raise BadMedia("no_video", "sound only")
        if word == "bug": raise ZeroDivisionError("by zero")
        if word == "unreadable": raise Unreadable(1, 2)
        if word == "unsendable": return lambda: 0
        if word == "huge": return bytes(200 * 2**20)
        if word == "flood": return flood()
        if word == "thread": threading.Thread(target=endless).start(); return "done"
        if word == "process": subprocess.Popen(["sleep", "300"]); return "done"
        if word == "note": return len(list(self.folder.glob("notes/*")))
        if word == "slow": time.sleep(float(number or 1))
        with open(self.folder / "log", "a") as log: log.write(item + "\\n")
        return os.getpid() if word == "pid" else "done"

class Unable:
    def __init__(self): raise MissingExtra("install it")
'''
BAD = {
    "segfault": "crash", "abort": "crash", "exit": "crash", "sys.exit": "crash", "victim": "crash", "closes": "crash",
    "orphan": "crash", "endless": "timeout", "hog": "memory", "mapped": "memory", "greedy": "memory", "bug": "exception",
    "unreadable": "exception", "unsendable": "exception", "huge": "exception", "bad": "no_video",
}  # fmt: skip
HARMLESS = ("flood", "thread", "process", "sometimes")
LIMIT_S = {"endless": 1.0, "asleep": 0.5}


@pytest.fixture
def odd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> type:
    """The class Odd from a module that a child can import."""
    (tmp_path / "odd_jobs.py").write_text(JOBS)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=os.pathsep)  # for the workers of Ray
    sys.modules.pop("odd_jobs", None)
    found: type = importlib.import_module("odd_jobs").Odd
    return found


@pytest.fixture
def mark(monkeypatch: pytest.MonkeyPatch) -> str:
    """Stands in the environment of all that is started during the test."""
    value = uuid.uuid4().hex
    monkeypatch.setenv("SVMBENCH_TEST_MARK", value)
    return value


@pytest.fixture
def hunter(tmp_path: Path) -> Iterator[None]:
    """Kills, from outside, each child that asks for it."""
    over = threading.Event()

    def hunt() -> None:
        while not over.wait(0.05):
            for path in tmp_path.glob("victim-*"):
                os.kill(int(path.name.partition("-")[2]), signal.SIGKILL)
                path.unlink()

    thread = threading.Thread(target=hunt)
    thread.start()
    yield
    over.set()
    thread.join()


def item(word: str) -> Item:
    return Item(word, LIMIT_S.get(word.partition(" ")[0], 60.0), word)


def reason(supervisor: Supervisor, word: str) -> str:
    with pytest.raises(BadMedia) as caught:
        supervisor.run(item(word))
    return caught.value.reason


def left_behind(mark: str, patience_s: float = 10.0) -> list[str]:
    """Processes with this mark in their environment, other than this one, that do not end."""
    until = time.monotonic() + patience_s
    while True:
        found = []
        for process in psutil.process_iter():
            try:
                if process.environ().get("SVMBENCH_TEST_MARK") == mark and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(" ".join(process.cmdline()))
            except (psutil.Error, OSError):
                continue
        if not found or time.monotonic() > until:
            return found
        time.sleep(0.1)


def test_a_failure_that_does_not_end_the_child_costs_nothing(odd: type, tmp_path: Path) -> None:
    supervisor = Supervisor(odd, str(tmp_path))
    first = supervisor.run(item("pid"))
    for word in ("bad", "bug", "unsendable", "huge"):
        assert reason(supervisor, word) == BAD[word]
    assert supervisor.run(item("pid")) == first
    supervisor.close()


def test_what_is_at_work_too_long_or_takes_too_much_is_stopped(
    odd: type, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    supervisor = Supervisor(odd, str(tmp_path))
    assert reason(supervisor, "asleep") == "timeout"
    monkeypatch.setattr("curation.child.MEMORY_BYTES", 300 * 2**20)
    with pytest.raises(BadMedia, match=r"memory: \d+ MiB resident, more than 300; strike 2"):
        supervisor.run(item("mapped"))
    with pytest.raises(BadMedia, match="memory: more than 2048 MiB of address space"):
        supervisor.run(item("greedy"))
    assert supervisor.run(item("fine")) == "done"
    supervisor.close()


def test_an_item_that_crashes_once_is_tried_again_and_one_with_a_strike_is_not(odd: type, tmp_path: Path) -> None:
    supervisor = Supervisor(odd, str(tmp_path))
    assert supervisor.run(item("sometimes")) == "done"
    (tmp_path / "once").unlink()
    with pytest.raises(BadMedia, match="the child died of SIGSEGV; strike 2"):
        supervisor.run(Item("sometimes", 30, strikes=1))
    with pytest.raises(BadMedia, match="the child exited with 3; strike 2"):
        supervisor.run(item("exit"))
    supervisor.close()


def test_a_child_is_replaced_after_its_share_of_items_and_where_something_still_runs_in_it(
    odd: type, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(isolate, "ITEMS_A_CHILD", 2)
    supervisor = Supervisor(odd, str(tmp_path))
    pids = [supervisor.run(item("pid")) for _ in range(4)]
    assert pids[0] == pids[1] != pids[2] == pids[3]
    first = supervisor.run(item("pid"))
    supervisor.run(item("thread"))
    monkeypatch.setattr(isolate, "ITEMS_A_CHILD", 500)
    second = supervisor.run(item("pid"))
    supervisor.run(item("thread"))
    assert len({first, second, supervisor.run(item("pid"))}) == 3
    supervisor.close()


def test_a_job_that_cannot_start_is_no_fault_of_the_item(odd: type) -> None:
    supervisor = Supervisor(sys.modules["odd_jobs"].Unable)
    with pytest.raises(MissingExtra, match="install it"):
        supervisor.run(item("fine"))


def test_a_closed_supervisor_starts_no_child(odd: type, tmp_path: Path) -> None:
    supervisor = Supervisor(odd, str(tmp_path))
    supervisor.close()
    assert reason(supervisor, "fine") == "crash"
    assert supervisor._child is None


def test_the_child_is_the_first_to_go_where_memory_ends(odd: type, tmp_path: Path) -> None:
    supervisor = Supervisor(odd, str(tmp_path))
    pid = supervisor.run(item("pid"))
    assert int(Path(f"/proc/{pid}/oom_score_adj").read_text()) == 1000
    supervisor.close()


def many(bad: list[str], total: int) -> list[str]:
    """So many items, the bad ones and the odd but harmless ones spread among them."""
    words = [f"fine {i}" for i in range(total - len(bad))]
    for place, word in enumerate(bad):
        words.insert(3 + place * (total - 6) // len(bad), word)
    return words


def injected(fleet: Fleet, odd: type, folder: Path, bad: list[str]) -> None:
    """200 good items, more than 5 % bad ones: the run ends, each bad one has its reason, every other is done once."""
    words = many([*bad, *HARMLESS], 220)
    assert len(bad) / len(words) >= 0.05
    results = supervised(fleet, odd, (str(folder),), [item(word) for word in words], workers=2, notes=folder / "notes")
    pairs = [(i.payload, value) for i, value in results]
    assert sorted(word for word, _ in pairs) == sorted(words)
    found = dict(pairs)
    reasons = {word: value.reason if isinstance(value, BadMedia) else type(value).__name__ for word, value in found.items()}
    assert {word: reasons[word] for word in bad} == {word: BAD.get(word, "WorkerLost") for word in bad}
    assert {found[word] for word in words if word not in bad} == {"done"}
    assert not (folder / "notes").exists()


def test_no_item_stops_or_loses_another(
    odd: type, tmp_path: Path, mark: str, hunter: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("curation.child.MEMORY_BYTES", 700 * 2**20)
    with Fleet(local=True) as fleet:
        injected(fleet, odd, tmp_path, list(BAD))
    log = Counter((tmp_path / "log").read_text().splitlines())
    assert {word: times for word, times in log.items() if word.startswith("fine")} == {f"fine {i}": 1 for i in range(200)}
    assert left_behind(mark) == []


@pytest.mark.slow
def test_no_item_stops_or_loses_another_on_ray(odd: type, tmp_path: Path, mark: str, hunter: None) -> None:
    with Fleet() as fleet:
        injected(fleet, odd, tmp_path, [*BAD, "lawless"])
    log = set((tmp_path / "log").read_text().splitlines())
    assert {
        f"fine {i}" for i in range(199)
    } <= log  # what waited behind the killer of its worker may be done twice, and counts once
    assert left_behind(mark) == []


# -- strikes that outlive the run


def elsewhere(word: str) -> str:
    """The circumstances after a machine started anew."""
    return f"boot-{word} oom_kill 0"


def test_a_note_is_there_while_an_item_is_at_work(odd: type, tmp_path: Path) -> None:
    with Fleet(local=True) as fleet:
        found = list(supervised(fleet, odd, (str(tmp_path),), [item("note")], workers=1, notes=tmp_path / "notes"))
    assert [value for _, value in found] == [1]
    assert not (tmp_path / "notes").exists()


def test_what_was_at_work_when_the_machine_died_twice_is_out(tmp_path: Path) -> None:
    book = Strikes(tmp_path / "notes")
    assert book.take_stock(["a", "b"]) == {}
    book.note("a").write_text(elsewhere("one"))
    assert book.take_stock(["a", "b"]) == {"a": Record(strikes=1, kills=1)}
    assert book.take_stock(["a"]) == {"a": Record(strikes=1, kills=1)}  # started, and killed before it was handed out
    book.note("a").write_text("")  # the note reached the disk, what it says did not
    assert book.take_stock(["a"]) == {"a": Record(strikes=2, kills=2)}
    assert book.take_stock(["a"])["a"].out
    book.forget(["a"])
    assert not book.folder.exists()


def test_a_person_who_kills_the_run_gives_no_strike_but_not_for_ever(tmp_path: Path) -> None:
    book = Strikes(tmp_path / "notes")
    for kills in range(1, KILLS + 1):
        assert not book.take_stock(["a"]).get("a", Record()).out
        book.note("a").write_text(strikes.circumstances())
        assert book.take_stock(["a"])["a"] == Record(strikes=0, kills=kills)
    assert book.take_stock(["a"])["a"].out


def test_what_may_end_the_run_is_done_first_and_alone(odd: type, tmp_path: Path) -> None:
    book = Strikes(tmp_path / "notes")
    book.take_stock([])
    for word in ("slow .3", "slow .4", "out"):
        book.note(word).write_text(elsewhere("one"))
    book.take_stock(["out"])
    book.note("out").write_text(elsewhere("two"))
    words = ["fine", "slow .3", "out", "slow .4", "pid"]
    with Fleet(local=True) as fleet:
        results = supervised(fleet, odd, (str(tmp_path),), [item(w) for w in words], workers=2, notes=book.folder)
        found = [(i.payload, value) for i, value in results]
    assert [word for word, _ in found][:3] == ["out", "slow .3", "slow .4"]
    assert isinstance(found[0][1], BadMedia)
    assert str(found[0][1]) == "crash: 2 runs were killed while it was at work"
    assert "out" not in (tmp_path / "log").read_text().split("\n")
    assert sorted(word for word, _ in found) == sorted(words)


DRIVER = """
import os, sys
sys.path.insert(0, sys.argv[1])
from pathlib import Path
from curation import isolate, strikes
from svmbench.fleet import Fleet
import odd_jobs
isolate.circumstances = strikes.circumstances = lambda: sys.argv[2]
folder, words = Path(sys.argv[1]), sys.argv[3:]
items = [isolate.Item(word, 60.0, word) for word in words]
print("ready", flush=True)
with Fleet(local=True) as fleet:
    for item, value in isolate.supervised(fleet, odd_jobs.Odd, (str(folder),), items, workers=2, notes=folder / "notes"):
        print(item.payload, "->", value, flush=True)
print("end", flush=True)
"""


def driver(folder: Path, boot: str, *words: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", textwrap.dedent(DRIVER), str(folder), boot, *words]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, start_new_session=True)


def test_an_item_that_ends_the_whole_run_does_so_twice_and_no_more(odd: type, tmp_path: Path, mark: str) -> None:
    words = ["fine 1", "lawless", "fine 2", "slow 1", "fine 3"]
    ends = []
    for boot in ("one", "two", "three"):
        with driver(tmp_path, boot, *words) as process:
            out, _ = process.communicate(timeout=120)
            ends.append((process.returncode, out.splitlines()[1:]))
    assert [code for code, _ in ends] == [-signal.SIGKILL, -signal.SIGKILL, 0]
    assert ends[1][1][:1] in (["slow 1 -> done"], ["fine 1 -> done"], [])  # one that was beside it, or itself first
    assert ends[2][1][0] == "lawless -> crash: 2 runs were killed while it was at work"
    assert sorted(ends[2][1][1:]) == sorted([*(f"{w} -> done" for w in words if w != "lawless"), "end"])
    assert left_behind(mark) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_run_that_is_asked_to_end_leaves_no_note(odd: type, tmp_path: Path, mark: str, number: int) -> None:
    with driver(tmp_path, "one", "slow 60") as process:
        until = time.monotonic() + 60
        while not list(tmp_path.glob("notes/*")) and time.monotonic() < until:
            time.sleep(0.02)
        process.send_signal(number)
        assert process.wait(30) != 0
        assert process.stdout is not None
        assert "end" not in process.stdout.read()
    assert not (tmp_path / "notes").exists()
    assert left_behind(mark) == []


def test_children_die_with_a_killed_parent_and_leave_a_note(odd: type, tmp_path: Path, mark: str) -> None:
    with driver(tmp_path, strikes.circumstances(), "slow 60") as process:
        until = time.monotonic() + 60
        while not list(tmp_path.glob("notes/*")) and time.monotonic() < until:
            time.sleep(0.02)
        process.kill()
    assert left_behind(mark) == []
    assert Strikes(tmp_path / "notes").take_stock(["slow 60"]) == {"slow 60": Record(strikes=0, kills=1)}
    assert json.loads(next((tmp_path / "notes").glob("*.json")).read_text())["key"] == "slow 60"


def test_a_lost_worker_leaves_no_note(odd: type, tmp_path: Path) -> None:
    class Losing(Fleet):
        def map(self, cls: type, args: Any, items: Any, **options: Any) -> Iterator[tuple[Any, Any]]:
            for one in items:
                one.note.touch()  # as the dead worker left it
                yield one, WorkerLost("killed")

    found = supervised(Losing(local=True), odd, (str(tmp_path),), [item("fine")], workers=1, notes=tmp_path / "notes")
    assert isinstance(next(found)[1], WorkerLost)
    assert not list((tmp_path / "notes").iterdir())
    assert list(found) == []
