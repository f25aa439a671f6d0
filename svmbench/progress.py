"""What a person sees while a stage works, and the account that it closes with."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from rich.console import Console, RenderableType
from rich.progress import BarColumn, MofNCompleteColumn, ProgressColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as Bars
from rich.table import Table
from rich.text import Text


@dataclass
class Summary:
    """The account of one stage: seen = kept + dropped + failed + left. `left` were not reached (stopped early, quota)."""

    stage: str
    unit: str = "items"
    seen: int = 0
    kept: int = 0
    dropped: Counter[str] = field(default_factory=Counter)  # by reason: a rule of the recipe refused it
    failed: Counter[str] = field(default_factory=Counter)  # by kind: could not be fetched, decoded or measured
    left: int = 0
    seconds: float = 0.0
    startup_s: float = 0.0  # part of `seconds` spent before the first item
    notes: list[str] = field(default_factory=list)

    def balanced(self) -> bool:
        """Whether every item is accounted for."""
        return self.seen == self.kept + self.dropped.total() + self.failed.total() + self.left

    def as_json(self) -> dict[str, Any]:
        plain = {k: dict(v) if isinstance(v, Counter) else v for k, v in vars(self).items()}
        return {**plain, "balanced": self.balanced()}


class StatedBars(Bars):
    """A bar, and below it what the stage says of itself, cut at the width of the terminal: beside it the counts would go."""

    def get_renderables(self) -> Iterable[RenderableType]:
        yield from super().get_renderables()
        for task in self.tasks:
            if task.fields["below"] is not None:
                yield task.fields["below"]
            if task.fields["state"]:
                yield Text(f"  {task.fields['state']}", style="dim", no_wrap=True, overflow="ellipsis")


class Stage:
    """One running stage: add() as items finish."""

    def __init__(self, summary: Summary, bars: Bars | None, task: Any) -> None:
        self.summary, self._bars, self._task = summary, bars, task

    def total(self, number: int | None) -> None:
        """How many items there will be, as far as known."""
        if self._bars:
            self._bars.update(self._task, total=number)

    def say(self, text: str) -> None:
        """A short state to show below the bar, e.g. 'www.tiktok.com: waiting 3 s'."""
        if self._bars:
            self._bars.update(self._task, state=text)

    def show(self, below: RenderableType | None) -> None:
        """Something that is drawn anew below the bar four times a second, as long as the stage runs."""
        if self._bars:
            self._bars.update(self._task, below=below)

    def tell(self, text: str) -> None:
        """A line that stays, above the bar: what happened once and should be seen, also where the bar has no room."""
        if self._bars:
            self._bars.console.print(text, highlight=False, markup=False)

    def add(self, *, kept: int = 0, dropped: str | None = None, failed: str | None = None) -> None:
        """Accounts for finished items: `kept` of them, or one dropped for a reason, or one failed of a kind."""
        s = self.summary
        s.kept += kept
        s.dropped.update([dropped] if dropped else [])
        s.failed.update([failed] if failed else [])
        if self._bars:
            counts = f"kept {s.kept}  dropped {s.dropped.total()}  failed {s.failed.total()}"
            self._bars.update(self._task, advance=kept + bool(dropped) + bool(failed), counts=counts)


class Progress:
    """Shows stages on a console; quiet=True shows nothing and only accounts."""

    def __init__(self, console: Console | None = None, *, quiet: bool = False) -> None:
        self.console = console or Console(stderr=True)
        self.quiet = quiet
        self.summaries: list[Summary] = []

    @contextmanager
    def stage(self, name: str, total: int | None = None, unit: str = "items") -> Iterator[Stage]:
        """One stage with a bar, counts and the time left; its Summary is kept in `summaries`, also when it ends early."""
        summary, began = Summary(stage=name, unit=unit), time.monotonic()
        self.summaries.append(summary)
        columns: list[ProgressColumn] = [
            TextColumn("[bold]{task.description:<10}"),
            BarColumn(bar_width=10),
            MofNCompleteColumn(),
            TextColumn("{task.fields[counts]}"),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
        ]
        try:
            if self.quiet:
                yield Stage(summary, None, None)
                return
            with StatedBars(*columns, console=self.console, refresh_per_second=4) as bars:
                task = bars.add_task(name, total=total, counts="", state="", below=None)
                try:
                    yield Stage(summary, bars, task)
                finally:
                    bars.update(task, state="", below=None)  # it is no longer so
        finally:
            summary.seconds = time.monotonic() - began

    def table(self) -> Table:
        """All stages so far: every item is in one of the columns."""
        table = Table(title="Every item accounted for", title_justify="left")
        table.add_column("stage")
        for name in ("seen", "kept", "dropped", "failed", "left", "time"):
            table.add_column(name, justify="right")
        for s in self.summaries:
            seen = f"{s.seen} {s.unit}" + ("" if s.balanced() else " [red](does not add up)[/red]")
            numbers = (s.kept, s.dropped.total(), s.failed.total(), s.left)
            table.add_row(s.stage, seen, *map(str, numbers), f"{s.seconds:.1f} s")
        return table

    def reasons(self) -> list[str]:
        """A line for each stage that left something out, with the counts by reason."""
        lines = []
        for s in self.summaries:
            for word, counts in (("dropped by a rule", s.dropped), ("failed", s.failed)):
                if counts:
                    parts = (f"{reason} {n}" for reason, n in sorted(counts.items(), key=lambda x: (-x[1], x[0])))
                    lines.append(f"{s.stage}: {counts.total()} {word}: {', '.join(parts)}")
        return lines
