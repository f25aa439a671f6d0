"""Ctrl-C and SIGTERM: once for an orderly end, twice for an end at once, also while the main thread hears of neither."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

import pytest

from crawl.stopping import Signals

# The main thread is in C, without the interpreter's lock, for minutes: no handler of Python's runs.
BUSY = """
import hashlib
from crawl.stopping import Signals
with Signals():
    print("ready", flush=True)
    hashlib.pbkdf2_hmac("sha256", b"word", b"salt", 10**9)
"""


@pytest.fixture
def busy() -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen([sys.executable, "-c", BUSY], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout
        assert process.stdout.readline() == "ready\n"
        yield process
        process.kill()


@pytest.mark.parametrize("first", [signal.SIGINT, signal.SIGTERM])
def test_a_second_ctrl_c_ends_at_once_whatever_the_main_thread_is_at(busy: subprocess.Popen[str], first: int) -> None:
    busy.send_signal(first)
    time.sleep(0.1)
    assert busy.poll() is None
    busy.send_signal(signal.SIGINT)
    assert busy.wait(timeout=20) == 1
    assert busy.stderr
    assert "stopped at once" in busy.stderr.read()


def test_one_ctrl_c_or_two_sigterms_only_ask() -> None:
    for numbers, asked in (([signal.SIGINT], "ctrl-C"), ([signal.SIGTERM, signal.SIGTERM], "SIGTERM")):
        with Signals() as signals:
            assert signals.asked == ""
            for number in numbers:
                os.kill(os.getpid(), number)
                time.sleep(0.1)
            assert signals.asked == asked


def test_what_heard_signals_before_does_so_again() -> None:
    handlers, threads = [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)], threading.active_count()
    other, mine = socket.socketpair()
    with other, mine:
        mine.setblocking(False)
        before = signal.set_wakeup_fd(mine.fileno())
        try:
            with Signals():
                assert threading.active_count() == threads + 1
        finally:
            put_back = signal.set_wakeup_fd(before)
        assert put_back == mine.fileno()
    assert [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)] == handlers
    assert threading.active_count() == threads


def test_outside_the_main_thread_nothing_is_asked_or_changed() -> None:
    handler, seen = signal.getsignal(signal.SIGINT), list[object]()

    def look() -> None:
        with Signals() as signals:
            seen.extend([signal.getsignal(signal.SIGINT), signals.asked])

    thread = threading.Thread(target=look)
    thread.start()
    thread.join()
    assert seen == [handler, ""]
