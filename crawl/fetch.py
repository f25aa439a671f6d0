"""A worker with several threads that pull posts from the frontier and fetch them with yt-dlp, one reused YoutubeDL a thread.

One page request a post: what the page says is read first, the recipe's rules are applied to it, and the same answer then leads
to the media. They are stored by content hash and synced before the frontier is told, so a post that is done has its file.
"""

from __future__ import annotations

import errno
import os
import random
import shutil
import threading
import uuid
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, cast

from yt_dlp.utils import YoutubeDLError

from crawl.frontier import LEASE_S
from crawl.jobs import Job, Report
from crawl.means import Downloader, Means, Refused, Stopped
from crawl.platforms import Details, candidate_of, refuse_unknown
from crawl.posts import post_of
from crawl.work import Work, module
from svmbench.errors import Blocked, DownloadFailed, Failure, StorageError
from svmbench.store import RunFolder, disk_errors

THREADS_MAX = 8  # threads of one worker; beyond that one interpreter gains little
BACKOFF_INTERVALS = 10  # ours: the first back-off, in request intervals; doubled each time, with full jitter
BACKOFF_MAX_S = 600.0  # ours
# Whole files with picture and sound first, then picture alone. The labels are the platform's: the decoder will look at the bytes.
FORMAT = "b[vcodec!=none][acodec!=none]/bv*"


@contextmanager
def trust(ca_file: str | None) -> Iterator[None]:
    """Inside, yt-dlp trusts this authority. It is asked for by an environment variable, which is put back at the end."""
    before = os.environ.get("SSL_CERT_FILE")
    if ca_file:
        os.environ["SSL_CERT_FILE"] = ca_file
    try:
        yield
    finally:
        if ca_file and before is None:
            os.environ.pop("SSL_CERT_FILE", None)
        elif ca_file and before is not None:
            os.environ["SSL_CERT_FILE"] = before


def backoff_s(attempts: int, pages_per_s: float, asked_s: float | None, draw: float) -> float:
    """Wait before the next try: full jitter (draw in [0, 1)) over a doubling span, and never less than the server asked for."""
    span_s = min(BACKOFF_MAX_S, BACKOFF_INTERVALS / pages_per_s * 2**attempts)
    return max(asked_s or 0.0, span_s * draw)


class Fetcher:
    """Pulls posts until there are none, so many at once."""

    def __init__(self, work: Work, threads: int) -> None:
        self._recipe, self._run, self._secret = work.recipe, RunFolder(work.run), work.secret
        self._frontier, self._pacer, self._threads = work.frontier, work.pacer, threads
        self._owner = uuid.uuid4().hex
        self._tmp = self._run.path / "crawl" / "tmp" / self._owner
        self._stop, self._door, self._own = threading.Event(), threading.Lock(), threading.local()
        self._means = Means(work, self._stop)
        if not work.frontier.local and work.access.ca_file:
            os.environ["SSL_CERT_FILE"] = work.access.ca_file  # this process is the worker's own

    def close(self) -> None:
        """Makes work() return soon."""
        self._stop.set()

    def work(self) -> None:
        """Fetches until no post is left, or the host is given up."""
        done = threading.Event()
        beat = threading.Thread(target=self._heart, args=(done,), daemon=True)
        beat.start()
        try:
            with ThreadPoolExecutor(self._threads, thread_name_prefix="fetch") as pool:
                for loop in [pool.submit(self._loop) for _ in range(self._threads)]:
                    loop.result()
        finally:
            done.set()
            beat.join()
            shutil.rmtree(self._tmp, ignore_errors=True)

    def _heart(self, done: threading.Event) -> None:
        while not done.wait(LEASE_S / 3):
            self._frontier.ask("renew", self._owner)

    def _loop(self) -> None:
        try:
            while job := self._next():
                self._one(job)
        except BaseException:
            self._stop.set()  # the other threads end, and work() raises it
            raise
        finally:
            for downloader in getattr(self._own, "downloaders", {}).values():
                downloader.close()

    def _next(self) -> Job | None:
        """The next lease, None when there will be none. One thread waits at the door, the others behind it."""
        with self._door:
            while not self._stop.is_set():
                lease = self._frontier.ask("lease", self._owner, 1)
                if lease.jobs or lease.over:
                    return cast("Job | None", lease.jobs[0] if lease.jobs else None)
                self._stop.wait(lease.wait_s)
        return None

    def _one(self, job: Job) -> None:
        """One try at one post, and its report to the frontier."""
        try:
            report = self._try(job, module(job.platform))
        except Stopped:
            report = Report(job=job, outcome="given_back")
        except Blocked:
            report = Report(job=job, outcome="given_back")
            self._stop.set()
        except Refused as refusal:
            report = Report(job=job, outcome="rule", reason=refusal.rule, detail=refusal.detail)
        except DownloadFailed as error:
            report = self._failed(job, module(job.platform), error.failure)
        self._frontier.ask("report", [report])

    def _try(self, job: Job, platform: Any) -> Report:
        """The page, the rules, the media."""
        url = job.url or platform.post_url(job.post_id)
        details, info = self._page(platform, url)
        self._pacer.ask("passed", platform.HOSTS[0])
        reason, value = refuse_unknown(candidate_of(details), self._recipe.search)
        if reason:
            return Report(job=job, outcome="rule", reason=reason, value=value)
        sha256 = self._media(platform, info)
        size = self._run.media_path(sha256).stat().st_size
        post = post_of(details, site=platform.SITE, url=url, secret=self._secret, sha256=sha256)
        return Report(job=job, outcome="done", record=asdict(post), sha256=sha256, num_bytes=size)

    def _page(self, platform: Any, url: str) -> tuple[Details, dict[str, Any]]:
        """What the post's page says: one request. A page that cannot be read raises DownloadFailed."""
        with self._failures(platform):
            info = self._downloader(platform).extract_info(url, download=False, process=False)
        return platform.details(info), dict(info)

    def _media(self, platform: Any, info: Mapping[str, Any]) -> str:
        """Downloads the media that the page named and stores them; their sha256."""
        folder = self._folder()
        try:
            with self._failures(platform), disk_errors(folder):
                done = self._downloader(platform).process_ie_result(dict(info), download=True)
            path = Path(done["requested_downloads"][0]["filepath"])
            return self._run.add_media(path, move=True)
        finally:
            for left in folder.iterdir():
                left.unlink(missing_ok=True)

    @contextmanager
    def _failures(self, platform: Any) -> Iterator[None]:
        try:
            yield
        except (YoutubeDLError, ConnectionError, TimeoutError) as error:
            if os.strerror(errno.ENOSPC) in str(error):
                raise StorageError(
                    f"the disk that holds {self._run.path} is full; free some space and run the same command again"
                ) from error
            raise DownloadFailed(platform.classify(error)) from error

    def _failed(self, job: Job, platform: Any, failure: Failure) -> Report:
        """Tells the pacer about a failed try; the report for the frontier."""
        host = self._downloader(platform).host or platform.HOSTS[0]
        if failure.retry_after_s is not None:
            self._pacer.ask("penalise", host, failure.retry_after_s)
        if failure.wall:
            self._pacer.ask("walled", host, failure.kind, job.attempts == 0)
        elif failure.permanent:
            self._pacer.ask("passed", host)
        if failure.permanent or job.attempts + 1 >= self._recipe.pace.attempts:
            return Report(job=job, outcome="failure", reason=failure.kind, detail=failure.detail)
        wait_s = backoff_s(job.attempts, self._recipe.pace.pages_per_s, failure.retry_after_s, random.random())
        return Report(job=job, outcome="retry", reason=failure.kind, detail=failure.detail, after_s=wait_s)

    def _folder(self) -> Path:
        """This thread's own folder for files on their way."""
        if not hasattr(self._own, "folder"):
            self._own.folder = self._tmp / str(threading.get_ident())
        self._own.folder.mkdir(parents=True, exist_ok=True)
        return cast(Path, self._own.folder)

    def _downloader(self, platform: Any) -> Downloader:
        """This thread's own, one a platform."""
        if not hasattr(self._own, "downloaders"):
            self._own.downloaders = {}
        if platform.SITE not in self._own.downloaders:
            made = self._means.downloader(platform.extractors(), self._folder(), format=FORMAT)
            self._own.downloaders[platform.SITE] = made
        return cast(Downloader, self._own.downloaders[platform.SITE])
