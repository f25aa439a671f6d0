"""What a stage shows while it works, on a terminal of any width."""

from __future__ import annotations

import io
import time

import pytest
from rich.console import Console

from svmbench.progress import Progress


@pytest.mark.parametrize("width", [60, 80, 120])
def test_counts_and_state_are_both_seen(width: int) -> None:
    screen = io.StringIO()
    progress = Progress(Console(file=screen, force_terminal=True, width=width, _environ={}))
    with progress.stage("fetch", total=15, unit="posts") as stage:
        stage.say("www.tiktok.com: waits 1 s, as the host asked, " + "and more " * 20)
        stage.add(kept=13)
        until = time.monotonic() + 20
        while "waits 1 s" not in screen.getvalue() and time.monotonic() < until:
            time.sleep(0.05)
    shown = screen.getvalue()
    assert "www.tiktok.com: waits 1 s, as the host asked" in shown
    assert "kept 13" in shown
