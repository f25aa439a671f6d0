"""Media are decoded in a child process, so that no file can stop or lose another.

A Supervisor is a worker for svmbench.fleet: it owns one child (a fresh interpreter, not a fork), hands it one item at a time and
watches it. What can happen to an item, as the reason of its BadMedia:

    crash       the child died (segmentation fault, killed), or closed its pipe
    timeout     it was not done within the item's limit
    memory      the child took more memory than it may, or was refused more address space
    exception   anything else that was raised, and a result that cannot be sent; the detail names it
    (others)    a BadMedia of the work itself passes as it is, 'short' among them

crash, timeout and memory are strikes: the item is tried once more in a fresh child, and the second strike is final. An exception
would only be raised again, so one try suffices. Strikes outlive the run: see curation.strikes. The child dies with its
parent, whatever kills that, and what the child has started dies with the child.
"""

from __future__ import annotations

import pickle
import signal
import threading
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from curation.child import Child, Struck
from curation.strikes import STRIKES, Record, Strikes, circumstances
from svmbench.errors import BadMedia
from svmbench.fleet import Fleet

ITEMS_A_CHILD = 500  # ours: a fresh child after so many items, against leaks in decoders
START_LIMIT_S = 180.0  # ours: loading the libraries on a busy machine


@dataclass(frozen=True, slots=True)
class Item:
    """One piece of work: what the job gets, the wall time it may take, and its key among all of the run.

    `supervised` adds the note that is there while the item is at work, and the strikes that it has from earlier runs.
    """

    payload: Any
    limit_s: float
    key: str = ""
    note: Path | None = None
    strikes: int = 0


def supervised(
    fleet: Fleet, job: type, args: tuple[Any, ...], items: Iterable[Item], *, workers: int, notes: Path
) -> Iterator[tuple[Item, Any]]:
    """job(*args).run(item.payload) in the children of `workers` supervisors; yields (item, value or Exception) as fleet.map does.

    `notes` is a folder of the run. What was at work when an earlier run was killed is done first, one item at a time; what
    has its second strike is not tried and yields BadMedia. A run that ends cleanly, also by ctrl-C or SIGTERM, leaves no notes.
    """
    book, finished = Strikes(notes), list[str]()
    items = list(items)
    found = book.take_stock(item.key for item in items)
    items = [replace(i, note=book.note(i.key), strikes=found.get(i.key, Record()).strikes) for i in items]
    out = [item for item in items if item.key in found and found[item.key].out]
    suspects = [item for item in items if item.key in found and not found[item.key].out]
    others = [item for item in items if item.key not in found]
    try:
        with _ends_cleanly():
            for item in out:
                finished.append(item.key)
                yield item, BadMedia("crash", f"{found[item.key].kills} runs were killed while it was at work")
            for batch, num in ((suspects, 1), (others, workers)):
                if batch:
                    results: Any = fleet.map(Supervisor, (job, *args), batch, workers=num)
                    with closing(results):
                        for item, value in results:
                            finished.append(item.key)
                            item.note.unlink(missing_ok=True)  # where the worker died it could not do so itself
                            yield item, value
    finally:
        book.forget(finished)


@contextmanager
def _ends_cleanly() -> Iterator[None]:
    """SIGTERM inside ends the program as ctrl-C does, through every `finally`."""
    if threading.current_thread() is not threading.main_thread() or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        yield
        return

    def leave(number: int, _: Any) -> None:
        raise SystemExit(128 + number)

    signal.signal(signal.SIGTERM, leave)
    try:
        yield
    finally:
        if signal.getsignal(signal.SIGTERM) is leave:  # Ray may have set its own
            signal.signal(signal.SIGTERM, signal.SIG_DFL)


class Supervisor:
    """run(item) is job(*args).run(item.payload) in a child. `job` is a class that can be imported by name."""

    def __init__(self, job: type, *args: Any) -> None:
        self._spec = pickle.dumps((job, args))
        self._child: Child | None = None
        self._served = 0
        self._closed = False
        self._at_work = threading.Lock()

    def run(self, item: Item) -> Any:
        """The job's value, or BadMedia with the reason. What keeps a child from starting at all is raised as it is."""
        for strike in range(item.strikes + 1, STRIKES + 1):
            try:
                with self._at_work:
                    return self._once(item)
            except Struck as struck:
                if strike == STRIKES or self._closed:
                    raise BadMedia(struck.reason, f"{struck.detail}; strike {strike}") from None
        raise AssertionError("unreachable")

    def _once(self, item: Item) -> Any:
        child = self._ready()
        try:
            with _noted(item.note):
                status, value, spent = child.ask(item.payload, item.limit_s)
            if status == "memory":
                raise Struck(status, value)
        except Struck:
            self._end()
            raise
        self._served += 1
        if spent or self._served >= ITEMS_A_CHILD:
            self._end()
        if status == "ok":
            return value
        raise value if status == "error" else BadMedia(status, value)

    def _ready(self) -> Child:
        """A child whose libraries are loaded; starts one where none is."""
        if self._closed:
            raise Struck("crash", "the supervisor has ended")
        if self._child is not None:
            return self._child
        self._child, self._served = Child(), 0
        try:
            status, value, _ = self._child.ask(self._spec, START_LIMIT_S)
        except Struck as struck:
            self._end()
            raise RuntimeError(f"a decode child could not start: {struck.reason}, {struck.detail}") from None
        if status != "ok":
            self._end()
            raise value if status == "error" else RuntimeError(f"a decode child could not start: {value}")
        return self._child

    def _end(self) -> None:
        child, self._child = self._child, None
        if child is not None:
            child.end()

    def close(self) -> None:
        """Ends the child, also while it works."""
        self._closed = True
        child = self._child
        if child is not None:
            child.kill()
        with self._at_work:
            self._end()


@contextmanager
def _noted(note: Path | None) -> Iterator[None]:
    """The note is there while the item is at work."""
    if note is not None:
        note.write_text(circumstances())
    try:
        yield
    finally:
        if note is not None:
            note.unlink(missing_ok=True)
