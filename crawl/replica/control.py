"""What a test may ask of the whole embedded platform, whatever its sites answer by themselves: too many requests, another
robots.txt, an X-Robots-Tag. Asked for over the control channel (crawl.replica.site), told with plain values."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from crawl.replica.pages import Answer


@dataclass(frozen=True, slots=True, kw_only=True)
class Throttle:
    """until_s: monotonic. kinds, host: of the answers that become refusals; without any, all."""

    until_s: float
    status: int
    retry_after: str | None
    kinds: Sequence[str] = ()
    host: str = ""


class Control:
    """Orders that change answers. Thread-safe."""

    def __init__(self) -> None:
        self._throttle: Throttle | None = None
        self._robots: dict[str, Answer] = {}
        self._tags: tuple[tuple[str, ...], tuple[str, ...]] = ((), ())
        self._lock = threading.Lock()

    def order(self, what: str, values: Mapping[str, Any]) -> bool:
        """throttle, robots or tag, with the arguments of crawl.replica.site.Site's method."""
        with self._lock:
            if what == "throttle":
                seconds = values["seconds"]
                until_s = float("inf") if seconds is None else time.monotonic() + seconds
                self._throttle = Throttle(until_s=until_s, **{k: v for k, v in values.items() if k != "seconds"})
            elif what == "robots":
                self._set_robots(**values)
            else:
                self._tags = (tuple(values["values"]), tuple(values["kinds"]))
        return True

    def _set_robots(self, text: str | None, status: int, location: str | None, host: str) -> None:
        if text is None:
            self._robots.pop(host, None)
            return
        headers = (("Location", location),) if location else ()
        self._robots[host] = Answer(kind="robots", status=status, body=text, mime="text/plain", headers=headers)

    def apply(self, answer: Answer, host: str) -> Answer:
        """The answer as ordered."""
        with self._lock:
            throttle, (tags, kinds) = self._throttle, self._tags
            if answer.kind == "robots":
                answer = self._robots.get(host) or self._robots.get("") or answer
        concerned = throttle and (not throttle.kinds or answer.kind in throttle.kinds) and throttle.host in ("", host)
        if throttle and concerned and time.monotonic() < throttle.until_s:
            wait = (("Retry-After", throttle.retry_after),) if throttle.retry_after is not None else ()
            return Answer(kind=answer.kind, status=throttle.status, body="Too many requests", mime="text/plain", headers=wait)
        if tags and (not kinds or answer.kind in kinds):
            return replace(answer, headers=(*answer.headers, *(("X-Robots-Tag", tag) for tag in tags)))
        return answer
