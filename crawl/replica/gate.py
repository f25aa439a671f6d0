"""What an embedded site holds against those who ask: a rate limit, walls after so many posts, and trouble that passes."""

from __future__ import annotations

import threading
import time
from collections import Counter

BURST = 5  # requests that may come at once under a rate limit; ours


class Gate:
    """One for each site. Thread-safe. requests_per_s: on average, BURST at once (a token bucket); None: as many as come."""

    def __init__(self, requests_per_s: float | None) -> None:
        self._per_s, self._tokens, self._last_s = requests_per_s, float(BURST), time.monotonic()
        self._walls: dict[str, int] = {}
        self._asked: Counter[str] = Counter()
        self._lock = threading.Lock()

    def passes(self) -> bool:
        """True if one more request may pass; it is counted."""
        if self._per_s is None:
            return True
        with self._lock:
            now_s = time.monotonic()
            self._tokens = min(BURST, self._tokens + (now_s - self._last_s) * self._per_s)
            self._last_s = now_s
            if self._tokens < 1:
                return False
            self._tokens -= 1
            return True

    def set_wall(self, word: str, after: int | None) -> None:
        """The search for this word meets a wall after so many posts; None takes the wall away."""
        with self._lock:
            self._walls.pop(word.casefold(), None)
            if after is not None:
                self._walls[word.casefold()] = after

    def walled(self, word: str, offset: int) -> bool:
        """Whether an answer to the search for this word that begins at this post is behind a wall."""
        with self._lock:
            after = self._walls.get(word.casefold())
        return after is not None and offset >= after

    def visits(self, what: str) -> int:
        """How often it was asked for before; this time is counted."""
        with self._lock:
            self._asked[what] += 1
            return self._asked[what] - 1
