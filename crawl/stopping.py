"""How a crawl is asked to stop from outside: ctrl-C and SIGTERM, once for an orderly end and twice for an end at once."""

from __future__ import annotations

import os
import signal
import threading
from types import FrameType, TracebackType
from typing import Any

SHOW_CURSOR = b"\x1b[?25h"  # a progress bar hides it
AT_ONCE = b"\nstopped at once; what was in hand is fetched again. The same command goes on where it stopped\n"


class Signals:
    """A context manager. asked: 'ctrl-C' or 'SIGTERM' once one of them came, '' before.

    At the second ctrl-C the process ends at once with exit code 1: leases are left to expire, and guards end the browsers and an
    embedded Ray. Outside the main thread, where Python takes no signals, nothing is ever asked.
    """

    def __init__(self) -> None:
        self.asked = ""
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Signals:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._before[number] = signal.signal(number, self._hear)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for number, before in self._before.items():
            signal.signal(number, before)

    def _hear(self, number: int, frame: FrameType | None) -> None:
        if self.asked and number == signal.SIGINT:
            os.write(2, (SHOW_CURSOR if os.isatty(2) else b"") + AT_ONCE)
            os._exit(1)
        self.asked = self.asked or ("ctrl-C" if number == signal.SIGINT else "SIGTERM")
