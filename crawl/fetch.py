"""A worker with several threads that pull posts from the frontier and fetch them with yt-dlp, one reused YoutubeDL a thread.

One page request a post: what the page says is read first, the recipe's rules are applied to it, and the same answer then leads
to the media. They are stored by content hash and synced before the frontier is told, so a post that is done has its file. The
files of a local folder take the same way, without a site.
"""

from __future__ import annotations

import contextlib
import random
import shutil
import socket
import threading
import time
import uuid
from collections import Counter
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from yt_dlp.utils import DownloadError

from crawl import failures
from crawl.clerk import Clerk
from crawl.incoming import check_disk, copy_in, take_in
from crawl.jobs import Job, Report
from crawl.means import Means, Refused, Stopped
from crawl.pacer import tell
from crawl.platforms import Details, candidate_of, refuse_unknown
from crawl.posts import post_of
from crawl.work import Work, module
from svmbench.errors import BadInput, Blocked, DownloadFailed, Failure, SvmbenchError
from svmbench.fleet import WorkerLost
from svmbench.optout import KEY, REASON
from svmbench.store import RunFolder

if TYPE_CHECKING:
    from crawl.downloader import Downloader

THREADS_MAX = 8  # threads of one worker; beyond that one interpreter gains little
BACKOFF_INTERVALS = 10  # ours: the first back-off, in request intervals; doubled each time, with full jitter
BACKOFF_MAX_S = 600.0  # ours
HOPELESS_MAX = 5  # ours: so many posts of a platform in a row whose media's hosts are given up end its fetching
TELL_INTERVALS = 20  # ours: less than the shortest pause of the breaker, so that what a probe meets is told
# Whole files with picture and sound first, then picture alone. The labels are the platform's: the decoder will look at the bytes.
FORMAT = "b[vcodec!=none][acodec!=none][protocol^=http]/bv*[protocol^=http]"

# What yt-dlp needs of a page's facts to fetch the file; it would work on all the others too.
NEEDED = (
    "id", "title", "formats", "url", "ext", "http_headers", "duration", "live_status", "is_live", "webpage_url", "extractor",
    "extractor_key", "_format_sort_fields",
)  # fmt: skip


def backoff_s(attempts: int, pages_per_s: float, asked_s: float | None, draw: float) -> float:
    """Wait before the next try: full jitter (draw in [0, 1)) over a doubling span, and never less than the server asked for."""
    span_s = min(BACKOFF_MAX_S, BACKOFF_INTERVALS / pages_per_s * 2**attempts)
    return max(asked_s or 0.0, span_s * draw)


class Fetcher:
    """Pulls posts until there are none, so many at once."""

    def __init__(self, work: Work, threads: int) -> None:
        self._work, self._recipe, self._run = work, work.recipe, RunFolder(work.run)
        self._frontier, self._pacer, self._threads = work.frontier, work.pacer, threads
        self._owner = uuid.uuid4().hex
        self._tmp = self._run.path / "crawl" / "tmp" / self._owner
        self._closing, self._stop = threading.Event(), threading.Event()
        self._one_round, self._own, self._hopeless = threading.Lock(), threading.local(), Counter[str]()
        self._told: dict[str, float] = {}  # when the pacer was told last that a host answers
        self._means = Means(work, self._stop)

    def close(self) -> None:
        """No new post is begun, and one whose page was read is finished; at the second call not even that."""
        if self._closing.is_set():
            self._stop.set()
        self._closing.set()

    def work(self) -> None:
        """Fetches until no post is left but those of hosts that are given up. BadInput where the run folder is out of sight."""
        with self._one_round:  # a driver that lost touch with us may ask anew
            self._find_run_folder()
            clerk = Clerk(self._frontier, self._owner, self._closing)
            try:
                with clerk.at_work(), ThreadPoolExecutor(self._threads, thread_name_prefix="fetch") as pool:
                    for loop in [pool.submit(self._loop, clerk) for _ in range(self._threads)]:
                        loop.result()
            finally:
                shutil.rmtree(self._tmp, ignore_errors=True)

    def _find_run_folder(self) -> None:
        """The driver has put the key there before it started us."""
        with contextlib.suppress(OSError):
            if (self._run.path / KEY).read_bytes() == self._work.secret:
                return
        where = f"the worker on {socket.gethostname()} does not see the run folder {self._run.path}"
        raise BadInput(f"{where}; put it on a disk that all nodes share")

    def _loop(self, clerk: Clerk) -> None:
        try:
            while job := clerk.next():
                clerk.report(self._one(job, clerk))
        except BaseException:
            self._closing.set()  # the other threads end, and work() raises it
            self._stop.set()
            raise
        finally:
            for downloader in getattr(self._own, "downloaders", {}).values():
                downloader.close()
            vars(self._own).clear()

    def _one(self, job: Job, clerk: Clerk) -> Report:
        """One try at one post."""
        platform = module(job.platform)
        try:
            return self._from_disk(job, platform) if platform.MEDIA == "file" else self._from_site(job, platform)
        except Stopped:
            return Report(job=job, outcome="given_back")
        except Blocked as wall:
            return self._left(job, platform, str(wall), clerk)
        except Refused as refusal:
            return Report(job=job, outcome="rule", reason=refusal.rule, detail=refusal.detail)
        except DownloadFailed as error:
            return self._failed(job, platform, error.failure)
        except BaseException:
            clerk.report(Report(job=job, outcome="given_back"))
            raise

    # -- the ways to a post
    def _from_site(self, job: Job, platform: Any) -> Report:
        """The page, the rules, the media."""
        url = job.url or platform.post_url(job.post_id)
        downloader = self._downloader(platform)
        details, info = self._page(platform, downloader, url)
        self._passed(downloader.host)
        if refused := self._refused(job, platform, details):
            return refused
        with self._emptied() as folder:
            path = self._media(platform, downloader, info, folder)
            sha256, size = take_in(self._run, path)
        self._passed(downloader.host)
        self._hopeless[job.platform] = 0
        return self._done(job, platform, details, url, sha256, size)

    def _from_disk(self, job: Job, platform: Any) -> Report:
        """The same for a user's file, which is copied."""
        source = Path(job.url)
        try:
            details = platform.details({"path": job.url, "post_id": job.post_id})
        except Exception as error:
            raise DownloadFailed(platform.classify(error)) from error
        if refused := self._refused(job, platform, details):
            return refused
        with self._emptied() as folder:
            path = folder / f"media{source.suffix.lower()}"
            copy_in(source, path)
            sha256, size = take_in(self._run, path)
        return self._done(job, platform, details, job.url, sha256, size)

    def _page(self, platform: Any, downloader: Downloader, url: str) -> tuple[Details, dict[str, Any]]:
        """What the post's page says: one request. A page that cannot be read raises DownloadFailed."""
        downloader.stop = self._closing
        with self._failures(platform, downloader):
            info = dict(downloader.extract_info(url, download=False, process=False))
            return platform.details(info), info

    def _media(self, platform: Any, downloader: Downloader, info: Mapping[str, Any], folder: Path) -> Path:
        """Downloads the media that the page named."""
        downloader.stop = self._stop
        with self._failures(platform, downloader, media=True):
            done = downloader.process_ie_result({key: info[key] for key in NEEDED if key in info}, download=True)
            return Path(done["requested_downloads"][0]["filepath"])

    # -- what becomes of it
    def _refused(self, job: Job, platform: Any, details: Details) -> Report | None:
        """The report on a post that a rule keeps out, before its media are asked for."""
        post = post_of(details, site=platform.SITE, url="", secret=self._work.secret, sha256=None)
        if self._work.optout.has(job.id, post.author_hash):
            return Report(job=job, outcome="rule", reason=REASON)
        reason, value = refuse_unknown(candidate_of(details), self._recipe.search)
        return Report(job=job, outcome="rule", reason=reason, value=value) if reason else None

    def _done(self, job: Job, platform: Any, details: Details, url: str, sha256: str, size: int) -> Report:
        post = post_of(details, site=platform.SITE, url=url, secret=self._work.secret, sha256=sha256)
        return Report(job=job, outcome="done", record=asdict(post), sha256=sha256, num_bytes=size)

    def _failed(self, job: Job, platform: Any, failure: Failure) -> Report:
        """A failed try, of which the pacer is told. A file of the user's is the same at the next try, so there is none."""
        if platform.MEDIA == "file":
            failure = replace(failure, permanent=True)
        else:
            self._tell_pacer(job, self._downloader(platform).host or platform.HOSTS[0], failure)
        return self._again(job, failure)

    def _again(self, job: Job, failure: Failure) -> Report:
        """Another try later, or the end of them."""
        if failure.permanent or job.attempts + 1 >= self._recipe.pace.attempts:
            return Report(job=job, outcome="failure", reason=failure.kind, detail=failure.detail)
        wait_s = backoff_s(job.attempts, self._recipe.pace.pages_per_s, failure.retry_after_s, random.random())
        return Report(job=job, outcome="retry", reason=failure.kind, detail=failure.detail, after_s=wait_s)

    def _left(self, job: Job, platform: Any, wall: str, clerk: Clerk) -> Report:
        """A post of a host that is given up is left for the next crawl. Without the host of its pages nothing else of a platform
        can be fetched; without one host of media perhaps the posts with media elsewhere.
        """
        if self._downloader(platform).host in platform.HOSTS:
            clerk.leave_out(job.platform)
            return Report(job=job, outcome="given_back")
        self._hopeless[job.platform] += 1
        if self._hopeless[job.platform] >= HOPELESS_MAX:
            clerk.leave_out(job.platform)
        return Report(job=job, outcome="left", detail=wall)

    def _tell_pacer(self, job: Job, host: str, failure: Failure) -> None:
        if not failure.permanent:
            self._told.pop(host, None)  # the next proper answer is news
        tell(self._pacer, host, failure, job.attempts == 0)
        if failure.permanent and not failure.wall:
            self._passed(host)

    def _passed(self, host: str) -> None:
        """The host gave a proper answer; nobody waits for the pacer to know it, and it need not be told each time."""
        now = time.monotonic()
        if now < self._told.get(host, 0.0) + TELL_INTERVALS / self._recipe.pace.pages_per_s:
            return
        self._told[host] = now
        with contextlib.suppress(WorkerLost):
            self._pacer.call("passed", host)

    @contextmanager
    def _failures(self, platform: Any, downloader: Downloader, media: bool = False) -> Iterator[None]:
        """Turns whatever a page, yt-dlp or the network does to us into DownloadFailed: it costs one post."""
        downloader.last_error = None
        try:
            yield
        except (Stopped, Refused, SvmbenchError):
            raise
        except Exception as error:
            check_disk(self._run, error)
            known: BaseException = error
            if media and isinstance(error, DownloadError) and failures.cause_of(error) is error and downloader.last_error:
                known = downloader.last_error  # yt-dlp has kept only its text
            raise DownloadFailed(failures.common(known, media) or platform.classify(known)) from error

    # -- what belongs to a thread
    @contextmanager
    def _emptied(self) -> Iterator[Path]:
        """This thread's folder for files on their way; it is left empty."""
        folder = self._folder()
        try:
            yield folder
        finally:
            for left in folder.iterdir():
                left.unlink(missing_ok=True)

    def _folder(self) -> Path:
        folder = self._tmp / str(threading.get_ident())
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def _downloader(self, platform: Any) -> Downloader:
        """This thread's own, one a platform."""
        mine: dict[str, Downloader] = self._own.__dict__.setdefault("downloaders", {})
        if platform.SITE not in mine:
            wanted = getattr(platform, "FORMAT", FORMAT)
            mine[platform.SITE] = self._means.downloader(platform.extractors(), self._folder(), format=wanted)
        return mine[platform.SITE]
