"""How a crawl is asked to stop from outside: ctrl-C and SIGTERM, once for an orderly end and twice for an end at once."""

from __future__ import annotations

import os
import signal
import socket
import threading
from types import FrameType, TracebackType
from typing import Any

SHOW_CURSOR = b"\x1b[?25h"  # a progress bar hides it
AT_ONCE = b"\nstopped at once; what was in hand is fetched again. The same command goes on where it stopped\n"


class Signals:
    """A context manager. asked: 'ctrl-C' or 'SIGTERM' once one of them came, '' before.

    At the second ctrl-C the process ends at once with exit code 1: leases are left to expire, and guards end the browsers and an
    embedded Ray. Outside the main thread, where Python takes no signals, nothing is ever asked.

    While the main thread waits in foreign code (ray.wait) two signals make one call of a handler, which comes late. So a thread
    of ours counts them, by the bytes that Python writes for each as it comes (signal.set_wakeup_fd).
    """

    def __init__(self) -> None:
        self.asked = ""
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Signals:
        if threading.current_thread() is threading.main_thread():
            listening, self._told = socket.socketpair()
            self._told.setblocking(False)
            self._counter = threading.Thread(target=_count, args=(listening,), name="signals", daemon=True)
            self._counter.start()
            self._wakeup_before = signal.set_wakeup_fd(self._told.fileno(), warn_on_full_buffer=False)
            for number in (signal.SIGINT, signal.SIGTERM):
                self._before[number] = signal.signal(number, self._hear)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if not self._before:
            return
        signal.set_wakeup_fd(self._wakeup_before)
        for number, before in self._before.items():
            signal.signal(number, before)
        self._told.shutdown(socket.SHUT_RDWR)
        self._told.close()
        self._counter.join()

    def _hear(self, number: int, frame: FrameType | None) -> None:
        self.asked = self.asked or ("ctrl-C" if number == signal.SIGINT else "SIGTERM")


def _count(listening: socket.socket) -> None:
    """Ends the process at a ctrl-C that is not the first signal; returns when the other side is closed."""
    heard = 0
    with listening:
        while numbers := listening.recv(64):
            for number in numbers:
                if heard and number == signal.SIGINT:
                    os.write(2, (SHOW_CURSOR if os.isatty(2) else b"") + AT_ONCE)
                    os._exit(1)
                heard += number in (signal.SIGINT, signal.SIGTERM)
