"""A search word in a worker's hands: its lease and how far its search is, both kept in the frontier."""

from __future__ import annotations

import threading
from collections.abc import Sequence

from crawl.frontier import LEASE_S
from crawl.jobs import Found, Query
from crawl.means import Stopped
from svmbench.fleet import Actor


class Place:
    """While it is open a heart-beat keeps the word's lease, however long a request waits for its turn."""

    def __init__(self, frontier: Actor, query: Query, stop: threading.Event) -> None:
        self._frontier, self._query, self._stop = frontier, query, stop
        self.position, self.cursor = query.position, query.cursor
        self._lock, self._over = threading.Lock(), threading.Event()
        self._lost = False
        self._heart = threading.Thread(target=self._beat, daemon=True)

    def __enter__(self) -> Place:
        self._heart.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._heart.join()

    def save(self, found: Sequence[Found], position: int, cursor: str) -> None:
        """Results and place in one step. Stopped if the lease was lost or the crawl ends."""
        with self._lock:
            if not self._frontier.ask("add", self._query, found, position, cursor):
                raise Stopped
            self.position, self.cursor = position, cursor

    def wait(self, seconds: float) -> None:
        """Sleeps. Stopped if the lease was lost or the crawl ends."""
        if self._stop.wait(seconds) or self._lost:
            raise Stopped

    def _beat(self) -> None:
        while not self._over.wait(LEASE_S / 3) and not self._stop.is_set():
            with self._lock:
                self._lost = not self._frontier.ask("add", self._query, (), self.position, self.cursor)
