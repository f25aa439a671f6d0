"""What is being fitted now: workers leave small notes under RUN/at-work/fits, and the driver shows them as a table.

A note is written once an epoch at most and twice a second at most, so a training step costs nothing.
"""

from __future__ import annotations

import json
import math
import os
import shutil
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from rich.console import Console, ConsoleOptions, RenderResult
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from svmbench.store import RunFolder

STARTING = "workers are starting: seconds, or a minute on a busy machine"
EVERY_S = 0.5  # between two notes, and between two looks at them; ours
COLUMNS = ("baseline", "seeds", "fold", "doing", "loss", "validation", "at most")
LESS = ("loss", "validation", "fold", "seeds")  # what a narrow terminal goes without, in this order


@dataclass(frozen=True)
class Note:
    """How one group of fits stands. began_s, now_s: seconds since 1970. epoch from 0; epochs: the most there can be. loss, val:
    means over the seeds of the group."""

    baseline: str
    variant: str
    seeds: list[int]
    fold: int | None
    doing: str
    began_s: float
    now_s: float
    epoch: int | None = None
    epochs: int | None = None
    loss: float | None = None
    val: float | None = None

    def left_s(self) -> float | None:
        """Seconds to the last epoch at the pace so far: the most it can take, as training may stop early."""
        if self.epoch is None or self.epochs is None:
            return None
        return (self.now_s - self.began_s) / (self.epoch + 1) * (self.epochs - self.epoch - 1)


def folder(run: Path) -> Path:
    return run / "at-work" / "fits"


def clear(run: RunFolder) -> None:
    """Forgets what a killed run has left."""
    shutil.rmtree(folder(run.path), ignore_errors=True)


class Notes:
    """The worker's side: a benchmarks.towers.Report for one group of fits."""

    def __init__(self, run: Path, name: str, first: Note, clock: Callable[[], float] = time.time) -> None:
        self.path, self.note, self.clock = folder(run) / f"{name}.json", first, clock
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._write(first)

    def __call__(self, epoch: int, epochs: int, losses: list[float], val: list[float]) -> None:
        now_s = self.clock()
        if now_s - self.note.now_s >= EVERY_S:
            self._write(replace(self.note, now_s=now_s, epoch=epoch, epochs=epochs, loss=_mean(losses), val=_mean(val)))

    def doing(self, what: str, seeds: list[int]) -> None:
        """What comes after the training."""
        self._write(replace(self.note, doing=what, seeds=seeds, now_s=self.clock(), epoch=None, epochs=None))

    def _write(self, note: Note) -> None:
        self.note = note
        temporary = self.path.with_suffix(".tmp")
        temporary.write_text(json.dumps(asdict(note)))
        os.replace(temporary, self.path)

    def close(self) -> None:
        self.path.unlink(missing_ok=True)


def read(run: Path) -> list[Note]:
    """All groups that are being worked on, the longest first."""
    found = []
    for path in folder(run).glob("*.json"):
        try:
            found.append(Note(**json.loads(path.read_text())))
        except FileNotFoundError:
            continue  # finished since we looked
    return sorted(found, key=lambda note: note.began_s)


class LiveTable:
    """A rich renderable: a row a group at work, as the notes were at most half a second ago."""

    def __init__(self, run: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self.run, self.clock = run, clock
        self.looked_s = float("-inf")
        self.notes: list[Note] = []
        self.begun = False

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        if self.clock() - self.looked_s >= EVERY_S:
            self.looked_s, self.notes = self.clock(), read(self.run)
        self.begun = self.begun or bool(self.notes)
        yield table(self.notes, options.max_width) if self.begun else Text(f"  {STARTING}", style="dim")


def table(notes: list[Note], width: int) -> Any:
    """The notes as a table, without the columns of LESS that a terminal of this width has no room for; nothing where there are no
    notes."""
    if not notes:
        return ""
    columns = {name: [name] for name in COLUMNS}
    for note in notes:
        epoch = "" if note.epoch is None else f" {note.epoch + 1}/{note.epochs}"
        left_s = note.left_s()
        cells = (
            f"{note.baseline} {note.variant}", span(note.seeds), "" if note.fold is None else str(note.fold), note.doing + epoch,
            _number(note.loss), _number(note.val), "" if left_s is None else duration(left_s),
        )  # fmt: skip
        for name, cell in zip(COLUMNS, cells, strict=True):
            columns[name].append(cell)
    for name in LESS:
        if sum(max(map(len, cells)) + 2 for cells in columns.values()) > width:
            del columns[name]
    shown = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for name in columns:
        shown.add_column(name, justify="left" if name in ("baseline", "doing") else "right", no_wrap=True)
    for row in list(zip(*columns.values(), strict=True))[1:]:
        shown.add_row(*map(escape, row))
    return shown


def span(seeds: list[int]) -> str:
    """E.g. '0-4', or '1, 3' where seeds are missing between."""
    if len(seeds) > 2 and seeds == list(range(seeds[0], seeds[-1] + 1)):
        return f"{seeds[0]}-{seeds[-1]}"
    return ", ".join(map(str, seeds))


def duration(seconds: float) -> str:
    """E.g. '40 s', '3 min 20 s', '2 h 05 min'."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    return f"{whole // 60} min {whole % 60:02d} s" if whole < 3600 else f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def _mean(values: list[float]) -> float | None:
    return sum(values) / len(values) if values else None


def _number(value: float | None) -> str:
    return "" if value is None or math.isnan(value) else f"{value:.4g}"
