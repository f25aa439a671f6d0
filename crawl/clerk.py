"""A fetcher's dealings with the frontier: one thread leases what the others need, sends what they report, and keeps their leases.

    threads  --report()-->  waiting reports  --one `report` for all of them-->  frontier
    threads  <---next()---  leased jobs      <--one `lease` for all who wait--  frontier

While one exchange is under way the next reports gather, so that a crawl is not bound by one sync of the disk and one call a post.
No more jobs are held than threads ask for: another fetcher is not kept waiting, and few posts are fetched again after a kill.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

from crawl.frontier import LEASE_S
from crawl.jobs import Job, Report
from svmbench.fleet import Actor

GATHER_S = 0.003  # ours: so long the first report waits for others
BATCH = 64  # ours: reports in one call
LOOK_S = 0.2  # ours: so often a waiting thread looks whether all is over


class Clerk:
    """Made for one round of work. owner: name of the fetcher's leases. stop: nobody gets new jobs once it is set."""

    def __init__(self, frontier: Actor, owner: str, stop: threading.Event) -> None:
        self._frontier, self._owner, self._stop = frontier, owner, stop
        self._changed = threading.Condition()
        self._reports: deque[Report] = deque()
        self._jobs: deque[Job] = deque()
        self._without: tuple[str, ...] = ()
        self._waiting = self._held = 0
        self._over = self._closing = False
        self._error: BaseException | None = None
        self._renew_at = self._lease_at = 0.0
        self.lost = 0  # reports that came too late

    # -- for the threads
    def next(self) -> Job | None:
        """The next job, None when there will be none."""
        with self._changed:
            self._waiting += 1
            self._changed.notify_all()
            try:
                while not self._jobs and not self._finished():
                    self._changed.wait(LOOK_S)
                return self._jobs.popleft() if self._jobs and not self._finished() else None
            finally:
                self._waiting -= 1

    def report(self, report: Report) -> None:
        """Takes a report; it reaches the frontier soon, at the latest when the round ends."""
        with self._changed:
            self._reports.append(report)
            self._changed.notify_all()

    def leave_out(self, platform: str) -> None:
        """No more posts of this platform are leased: they are left for the next crawl."""
        with self._changed:
            if platform not in self._without:
                self._without += (platform,)

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """The clerk works inside. At the end all reports are with the frontier, and jobs that nobody took are given back.

        What the frontier raised is raised here.
        """
        thread = threading.Thread(target=self._run, name="clerk", daemon=True)
        thread.start()
        try:
            yield
        finally:
            with self._changed:
                self._closing = True
                self._changed.notify_all()
            thread.join()
        if self._error:
            raise self._error

    def _finished(self) -> bool:
        return self._over or self._stop.is_set() or self._error is not None

    # -- the clerk's thread
    def _run(self) -> None:
        try:
            while self._wait():
                self._hand_in()
                self._keep()
                self._lease()
            self._reports.extend(Report(job=job, outcome="given_back") for job in self._jobs)
            self._jobs.clear()
            self._hand_in()
        except BaseException as error:
            self._error = error
            self._stop.set()

    def _wait(self) -> bool:
        """Until there is something to do; False at the end."""
        with self._changed:
            while not self._closing:
                now = time.monotonic()
                wanted = self._wanted()
                if self._reports or (wanted and now >= self._lease_at) or (self._held and now >= self._renew_at):
                    break
                times = [self._renew_at] * bool(self._held) + [self._lease_at] * bool(wanted)
                self._changed.wait(max(0.0, min(times, default=now + LOOK_S) - now))
            if self._reports and not self._closing:
                self._changed.wait(GATHER_S)
            return not self._closing

    def _wanted(self) -> int:
        return 0 if self._finished() else self._waiting - len(self._jobs)

    def _hand_in(self) -> None:
        """Sends all reports. For one whose lease was lost the frontier changes nothing, and so do we."""
        while self._reports:
            with self._changed:
                batch = [self._reports.popleft() for _ in range(min(BATCH, len(self._reports)))]
            held = self._frontier.ask("report", batch)
            self._held -= len(batch)
            self.lost += held.count(False)

    def _keep(self) -> None:
        """The heart-beat: what we hold stays ours."""
        if self._held and time.monotonic() >= self._renew_at:
            self._frontier.ask("renew", self._owner)
            self._renew_at = time.monotonic() + LEASE_S / 3

    def _lease(self) -> None:
        """A job for each thread that waits."""
        wanted = self._wanted()
        if wanted <= 0 or time.monotonic() < self._lease_at:
            return
        lease = self._frontier.ask("lease", self._owner, wanted, self._without)
        now = time.monotonic()
        with self._changed:
            if lease.jobs and not self._held:
                self._renew_at = now + LEASE_S / 3
            self._held += len(lease.jobs)
            self._jobs.extend(lease.jobs)
            self._over = lease.over
            self._lease_at = 0.0 if lease.jobs else now + lease.wait_s
            self._changed.notify_all()
