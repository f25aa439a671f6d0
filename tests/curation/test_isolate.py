"""One child per supervisor: crashes, hangs and hogs cost one item, never another, and nothing outlives its parent."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from curation import isolate
from curation.isolate import Item, Supervisor
from svmbench.errors import BadMedia, MissingExtra
from svmbench.fleet import Fleet

JOBS = '''
import os, signal, time
import numpy as np
from svmbench.errors import BadMedia, MissingExtra

class Odd:
    """Does what the item says."""
    def __init__(self, folder):
        self.folder = folder
    def run(self, word):
        if word == "crash": os.kill(os.getpid(), signal.SIGSEGV)
        if word == "hang": time.sleep(60)
        if word == "hog": return float(np.ones((6 * 2**30,), np.uint8).sum())
        if word == "bad": raise BadMedia("no_video", "sound only")
        if word == "bug": raise ZeroDivisionError("by zero")
        if word == "unsendable": return lambda: 0
        if word == "sometimes":
            flag = os.path.join(self.folder, "once")
            if not os.path.exists(flag):
                open(flag, "w").close()
                os.kill(os.getpid(), signal.SIGSEGV)
        return word, os.getpid()

class Unable:
    def __init__(self):
        raise MissingExtra("install it")
'''


@pytest.fixture
def odd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> type:
    """The class Odd from a module that a child can import."""
    (tmp_path / "odd_jobs.py").write_text(JOBS)
    monkeypatch.syspath_prepend(str(tmp_path))
    sys.modules.pop("odd_jobs", None)
    import odd_jobs  # type: ignore[import-not-found]

    return odd_jobs.Odd


def reason(supervisor: Supervisor, word: str, limit_s: float = 30.0) -> str:
    with pytest.raises(BadMedia) as caught:
        supervisor.run(Item(word, limit_s))
    return caught.value.reason


def test_each_kind_of_failure_has_its_reason_and_the_next_item_works(odd: type, tmp_path: Path) -> None:
    supervisor = Supervisor(odd, str(tmp_path))
    assert reason(supervisor, "bad") == "no_video"
    assert reason(supervisor, "bug") == "exception"
    assert reason(supervisor, "unsendable") == "exception"
    first = supervisor.run(Item("fine", 30))[1]
    assert supervisor.run(Item("fine", 30))[1] == first  # none of these cost the child
    assert reason(supervisor, "crash") == "crash"
    assert supervisor.run(Item("fine", 30))[0] == "fine"
    assert reason(supervisor, "hang", 0.5) == "timeout"
    assert reason(supervisor, "hog") == "memory"
    assert supervisor.run(Item("fine", 30))[0] == "fine"
    supervisor.close()


def test_an_item_that_crashes_once_is_tried_again(odd: type, tmp_path: Path) -> None:
    supervisor = Supervisor(odd, str(tmp_path))
    assert supervisor.run(Item("sometimes", 30))[0] == "sometimes"
    supervisor.close()


def test_the_detail_names_the_signal_and_the_strikes(odd: type, tmp_path: Path) -> None:
    supervisor = Supervisor(odd, str(tmp_path))
    with pytest.raises(BadMedia, match="SIGSEGV, 2 times"):
        supervisor.run(Item("crash", 30))
    supervisor.close()


def test_a_child_is_replaced_after_its_share_of_items(odd: type, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(isolate, "ITEMS_A_CHILD", 2)
    supervisor = Supervisor(odd, str(tmp_path))
    pids = [supervisor.run(Item("fine", 30))[1] for _ in range(4)]
    assert pids[0] == pids[1] != pids[2] == pids[3]
    supervisor.close()


def test_a_job_that_cannot_start_is_no_fault_of_the_item(odd: type) -> None:
    supervisor = Supervisor(sys.modules["odd_jobs"].Unable)
    with pytest.raises(MissingExtra, match="install it"):
        supervisor.run(Item("fine", 30))


def test_no_item_stops_another_in_a_fleet(odd: type, tmp_path: Path) -> None:
    words = ["fine"] * 10
    words[2], words[5], words[7] = "crash", "hang", "bug"
    with Fleet(local=True) as fleet:
        found = list(fleet.map(Supervisor, (odd, str(tmp_path)), [Item(word, 3.0) for word in words], workers=2))
    failed = sorted((item.payload, value.reason) for item, value in found if isinstance(value, BadMedia))
    assert failed == [("bug", "exception"), ("crash", "crash"), ("hang", "timeout")]
    assert sum(not isinstance(value, Exception) for _, value in found) == 7


def test_children_die_with_a_killed_parent(odd: type, tmp_path: Path) -> None:
    script = textwrap.dedent(
        f"""
        import sys, threading
        sys.path.insert(0, {str(tmp_path)!r})
        from curation.isolate import Item, Supervisor
        import odd_jobs
        busy = Supervisor(odd_jobs.Odd, {str(tmp_path)!r})
        print(busy.run(Item("fine", 30))[1], flush=True)
        busy.run(Item("hang", 60))
        """
    )
    parent = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    time.sleep(0.2)
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    parent.stdout.close()
    until = time.monotonic() + 10
    while _runs(child) and time.monotonic() < until:
        time.sleep(0.05)
    assert not _runs(child)


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z"
