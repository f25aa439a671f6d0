"""A worker with several threads that pull posts from the frontier and fetch them with yt-dlp, one reused YoutubeDL a thread.

One page request a post: what the page says is read first, the recipe's rules are applied to it, and the same answer then leads
to the media. They are stored by content hash and synced before the frontier is told, so a post that is done has its file.
"""

from __future__ import annotations

import errno
import importlib.util
import os
import random
import shutil
import threading
import uuid
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict
from datetime import datetime, timezone
from hashlib import blake2b
from pathlib import Path
from typing import Any, cast

from yt_dlp import YoutubeDL
from yt_dlp.utils import YoutubeDLError

from crawl.frontier import LEASE_S
from crawl.jobs import Job
from crawl.pacer import take_turn
from crawl.platforms import Candidate, Details, refuse
from crawl.robots import Robots
from crawl.work import Work
from svmbench.errors import Blocked, DownloadFailed, Failure, StorageError
from svmbench.records import Post
from svmbench.store import RunFolder, disk_errors

THREADS_MAX = 8  # threads of one worker; beyond that one interpreter gains little
TIMEOUT_S = 20.0  # ours: without a byte
BACKOFF_INTERVALS = 10  # ours: the first back-off, in request intervals; doubled each time, with full jitter
BACKOFF_MAX_S = 600.0  # ours
# Whole files with picture and sound first, then picture alone. The labels are the platform's: the decoder will look at the bytes.
FORMAT = "b[vcodec!=none][acodec!=none]/bv*"


class _Quiet:
    """yt-dlp's messages: the exceptions say it all."""

    def debug(self, message: str) -> None:
        """Says nothing."""

    info = warning = error = debug


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


def author_hash(author_key: str | None, secret: bytes) -> str | None:
    """Keyed BLAKE2b of the platform's id of the uploader, 32 hex digits. Without the run's secret nobody can go back."""
    return blake2b(author_key.encode(), key=secret, digest_size=16).hexdigest() if author_key else None


def backoff_s(attempts: int, pages_per_s: float, asked_s: float | None, draw: float) -> float:
    """Wait before the next try: full jitter (draw in [0, 1)) over a doubling span, and never less than the server asked for."""
    span_s = min(BACKOFF_MAX_S, BACKOFF_INTERVALS / pages_per_s * 2**attempts)
    return max(asked_s or 0.0, span_s * draw)


class Fetcher:
    """Pulls posts until there are none, so many at once."""

    def __init__(self, work: Work, threads: int) -> None:
        self._recipe, self._run, self._access, self._secret = work.recipe, RunFolder(work.run), work.access, work.secret
        self._frontier, self._pacer, self._platform, self._threads = work.frontier, work.pacer, work.platform, threads
        self._host = self._platform.HOSTS[0]
        self._robots = Robots(work.frontier, work.pacer, work.access, obey=work.obey_robots)
        self._owner = uuid.uuid4().hex
        self._tmp = self._run.path / "crawl" / "tmp" / self._owner
        self._stop, self._door, self._own = threading.Event(), threading.Lock(), threading.local()
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
            if downloader := getattr(self._own, "downloader", None):
                downloader.close()

    def _next(self) -> Job | None:
        """The next lease, None when there will be none. One thread waits at the door, the others behind it."""
        with self._door:
            while not self._stop.is_set():
                lease = self._frontier.ask("lease", self._owner)
                if lease.job is not None or lease.over:
                    return cast("Job | None", lease.job)
                self._stop.wait(lease.wait_s)
        return None

    def _one(self, job: Job) -> None:
        """One try at one post, and its report to the frontier."""
        url = self._platform.post_url(job.post_id)
        try:
            if not self._robots.allows(url):
                self._frontier.ask("drop", job, "rule", "robots", None, f"robots.txt of {self._host} forbids {url}")
                return
            if not take_turn(self._pacer, self._host, self._stop):
                self._frontier.ask("give_back", job)
                return
        except Blocked:
            self._frontier.ask("give_back", job)
            self._stop.set()
            return
        try:
            details, info = self._page(url)
            self._pacer.ask("passed", self._host)
            reason, value = self._judge(details)
            if reason:
                self._frontier.ask("drop", job, "rule", reason, value, "")
                return
            sha256 = self._media(info)
        except DownloadFailed as error:
            self._failed(job, error.failure)
            return
        self._frontier.ask("complete", job, asdict(self._post(details, sha256)))

    def _page(self, url: str) -> tuple[Details, dict[str, Any]]:
        """What the post's page says: one request. A page that cannot be read raises DownloadFailed."""
        with self._failures():
            info = self._downloader().extract_info(url, download=False, process=False)
        details = self._platform.details(info)
        if details.slideshow:
            self._pacer.ask("passed", self._host)
            raise DownloadFailed(Failure(kind="slideshow", permanent=True, detail="pictures with music, no video"))
        return details, dict(info)

    def _judge(self, details: Details) -> tuple[str, float | None]:
        return refuse(
            Candidate(post_id=details.post_id, likes=details.likes, likes_exact=True, duration_s=details.duration_s),
            self._recipe.search,
        )

    def _media(self, info: Mapping[str, Any]) -> str:
        """Downloads the media that the page named and stores them; their sha256."""
        folder = self._folder()
        try:
            with self._failures(), disk_errors(folder):
                done = self._downloader().process_ie_result(dict(info), download=True)
            path = Path(done["requested_downloads"][0]["filepath"])
            return self._run.add_media(path, move=True)
        finally:
            for left in folder.iterdir():
                left.unlink(missing_ok=True)

    @contextmanager
    def _failures(self) -> Iterator[None]:
        try:
            yield
        except (YoutubeDLError, ConnectionError, TimeoutError) as error:
            if os.strerror(errno.ENOSPC) in str(error):
                raise StorageError(
                    f"the disk that holds {self._run.path} is full; free some space and run the same command again"
                ) from error
            raise DownloadFailed(self._platform.classify(error)) from error

    def _failed(self, job: Job, failure: Failure) -> None:
        """Tells the pacer and the frontier about a failed try."""
        if failure.retry_after_s is not None:
            self._pacer.ask("penalise", self._host, failure.retry_after_s)
        if failure.wall:
            self._pacer.ask("walled", self._host, failure.kind, job.attempts == 0)
        elif failure.permanent:
            self._pacer.ask("passed", self._host)
        if failure.permanent or job.attempts + 1 >= self._recipe.pace.attempts:
            self._frontier.ask("drop", job, "failure", failure.kind, None, failure.detail)
            return
        wait_s = backoff_s(job.attempts, self._recipe.pace.pages_per_s, failure.retry_after_s, random.random())
        self._frontier.ask("retry", job, failure.kind, failure.detail, wait_s)

    def _folder(self) -> Path:
        """This thread's own folder for files on their way."""
        if not hasattr(self._own, "folder"):
            self._own.folder = self._tmp / str(threading.get_ident())
        self._own.folder.mkdir(parents=True, exist_ok=True)
        return cast(Path, self._own.folder)

    def _downloader(self) -> YoutubeDL:
        """This thread's own YoutubeDL."""
        if not hasattr(self._own, "downloader"):
            own_authority = self._access.ca_file is not None
            # curl_cffi, where a user has installed it, reads no SSL_CERT_FILE; the loopback site is then taken unverified.
            unverified = own_authority and importlib.util.find_spec("curl_cffi") is not None
            self._own.downloader = YoutubeDL(
                {
                    "proxy": self._access.proxy_url, "compat_opts": {"no-certifi"} if own_authority else set(),
                    "nocheckcertificate": unverified, "cachedir": False, "quiet": True, "no_warnings": True, "noprogress": True,
                    "logger": _Quiet(), "retries": 0, "extractor_retries": 0, "fragment_retries": 0, "file_access_retries": 0,
                    "socket_timeout": TIMEOUT_S, "continuedl": False, "fixup": "never", "updatetime": False, "format": FORMAT,
                    "outtmpl": str(self._folder() / "%(id)s.%(ext)s"),
                },
                auto_init=False,
            )  # fmt: skip
            for extractor in self._platform.extractors():
                self._own.downloader.add_info_extractor(extractor)
        return cast(YoutubeDL, self._own.downloader)

    def _post(self, details: Details, sha256: str) -> Post:
        return Post(
            platform=self._recipe.search.platform,
            post_id=details.post_id,
            url=self._platform.post_url(details.post_id),
            words=(),  # the frontier knows them, and more may come
            caption=details.caption,
            hashtags=details.hashtags,
            likes=details.likes,
            likes_exact=True,
            track_id=details.track_id,
            track_title=details.track_title,
            track_original=details.track_original,
            duration_s=details.duration_s,
            posted_at=details.posted_at,
            fetched_at=datetime.now(timezone.utc).isoformat(timespec="seconds"),
            sha256=sha256,
            author_hash=author_hash(details.author_key, self._secret),
        )
