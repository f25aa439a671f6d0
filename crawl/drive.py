"""One crawl while it runs: the actors, and the loop that watches them, shows how it goes, fills the tables and ends in order."""

from __future__ import annotations

import math
import shutil
import time
import uuid
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from hashlib import blake2b
from pathlib import Path
from typing import Any

from crawl.access import Access
from crawl.account import account, at_a_limit, complain, not_read_well, pace_line
from crawl.frontier_read import shared_words
from crawl.jobs import Stats
from crawl.stopping import Signals
from crawl.tables import BATCH, Tables
from crawl.work import Work, module
from svmbench.errors import Blocked, StorageError, SvmbenchError
from svmbench.fleet import Actor, Fleet, WorkerLost, result, wait
from svmbench.optout import OptOut
from svmbench.progress import Progress, Stage, Summary
from svmbench.recipe import Recipe
from svmbench.store import RunFolder

POLL_S = 0.5  # ours: the driver looks this often
DRAIN_S = 10.0  # ours: so long the workers may finish what they hold when the crawl is stopped
LEAVE_S = 2.0  # ours: then so long to leave it
LOSSES_MAX = 60  # ours: so many deaths of workers, and no post finished between them, are a defect
FREE_BYTES_MIN = 10**9  # ours: with less space on its disk the crawl stops in order, before a write fails
RATE_S = 120.0  # ours: the rate shown is that of the last two minutes
PLACE_S = 30.0  # ours: of a worker that has not started for so long is told


def frontier_path(run: RunFolder) -> Path:
    """Where the frontier of a run folder is."""
    return run.path / "crawl" / "frontier.sqlite"


class Drive:
    """Runs one crawl; made anew for each."""

    def __init__(self, recipe: Recipe, run: RunFolder, tables: Tables, fleet: Fleet, progress: Progress) -> None:
        self._recipe, self._run, self._tables, self._fleet, self._progress = recipe, run, tables, fleet, progress
        self._platform = module(recipe.search.platform)
        self._calls: dict[Any, Actor] = {}
        self._waking: set[Any] = set()  # calls to workers that died and are made anew
        self._losses, self._full, self._told = 0, "", dict[str, str]()
        self._rates: deque[tuple[float, int]] = deque()

    def run(self, access: Access, secret: bytes, optout: OptOut) -> None:
        """Searches and fetches until nothing is left, or something ends it before.

        Raises KeyboardInterrupt after an orderly stop that was asked for, StorageError at the quota or a full disk, Blocked where
        the site put up a wall; whatever was fetched is in the tables by then.
        """
        from crawl.browser import sweep
        from crawl.frontier import Frontier
        from crawl.pacer import Pacer

        left_over = self._run.path / "crawl" / "tmp"  # what killed workers were at
        shutil.rmtree(left_over, ignore_errors=True)
        mark = blake2b(str(self._run.path).encode(), digest_size=6).hexdigest()
        sweep(mark)
        keep: dict[str, Any] = {"cpus": 0, "restarts": True, "here": True}
        self._frontier = self._fleet.actor(Frontier, str(frontier_path(self._run)), name="frontier", **keep)
        self._pacer = self._fleet.actor(
            Pacer, self._recipe.pace.pages_per_s, self._frontier, uuid.uuid4().hex, name="pacer", **keep
        )
        work = Work(
            recipe=self._recipe, run=str(self._run.path), access=access, frontier=self._frontier, pacer=self._pacer,
            secret=secret, mark=mark, optout=optout,
        )  # fmt: skip
        workers: list[Actor] = []
        with Signals() as self._signals:
            try:
                self._stages(workers, work)
                self._conclude()
            except SvmbenchError:
                self._settle(workers)
                self._account_for_all()
                raise
            finally:
                self._drain(workers)
                for actor in (*workers, self._pacer, self._frontier):
                    self._fleet.stop(actor)
                shutil.rmtree(left_over, ignore_errors=True)
                sweep(mark)

    def _stages(self, workers: list[Actor], work: Work) -> None:
        with self._progress.stage("search", unit="posts") as stage:
            self._start(workers, work)
            self._watch(stage, workers, lambda stats: not stats.searching or _over(stats))
            account(stage, self._frontier.ask("stats"))
        with self._progress.stage("fetch", unit="posts") as stage:
            self._watch(stage, workers, _over)
            if self._stopping:
                stage.tell(f"{self._stopping}: finishing what is in hand; ctrl-C leaves at once")
            self._settle(workers)
            account(stage, self._frontier.ask("stats"))

    def _settle(self, workers: list[Actor]) -> None:
        """Ends the work, and brings all that was finished into the tables."""
        self._drain(workers)
        self._tables.take_over(self._frontier.ask, 1)
        self._tables.complete_words(lambda: shared_words(frontier_path(self._run)))

    def _account_for_all(self) -> None:
        """The closing account where an error ended the crawl, also the fetching's where only the search was shown."""
        if self._progress.summaries[-1].stage == "search":
            self._progress.summaries.append(Summary(stage="fetch", unit="posts"))
        stats = self._frontier.ask("stats")
        for summary in self._progress.summaries[-2:]:
            account(Stage(summary, None, None), stats)

    @property
    def _stopping(self) -> str:
        """Why the crawl ends before its time, as far as the driver decides that; ''."""
        return self._signals.asked or self._full

    def _start(self, workers: list[Actor], work: Work) -> None:
        """Starts the workers. All threads of all fetchers together are what the recipe allows."""
        from crawl.fetch import THREADS_MAX, Fetcher
        from crawl.lister import Lister
        from crawl.searcher import Searcher

        pace = self._recipe.pace
        num_fetchers = math.ceil(pace.media_parallel / THREADS_MAX)
        shares = [pace.media_parallel // num_fetchers + (i < pace.media_parallel % num_fetchers) for i in range(num_fetchers)]
        browsing = self._platform.SEARCH == "browser"
        # Ours: two searchers use up a budget of one page a second; a browser takes 500 MB, so four CPUs for each.
        most = min(len(self._recipe.search.words), self._fleet.num_cpus // 4, math.ceil(2 * pace.pages_per_s))
        num_searchers = max(1, most)
        cpus = min(0.25, self._fleet.num_cpus / (num_searchers + num_fetchers + 1))
        options: dict[str, Any] = {"threads": 2, "cpus": cpus, "restarts": True}
        finder: type = Searcher if browsing else Lister
        workers += [self._fleet.actor(finder, work, name="searcher", **options) for _ in range(num_searchers)]
        workers += [self._fleet.actor(Fetcher, work, share, name="fetcher", **options) for share in shares]
        self._calls = {worker.call("work"): worker for worker in workers}
        self._began = time.monotonic()
        self._fleet.unplaced(workers)  # asks them

    def _watch(self, stage: Stage, workers: list[Actor], over: Callable[[Stats], bool]) -> None:
        """Until it is over, all workers have returned or the crawl is to stop: revives workers that died, fills the tables."""
        while self._calls:
            self._collect()
            stats = self._frontier.ask("stats")
            account(stage, stats)
            self._say(stage, stats, workers)
            self._tables.take_over(self._frontier.ask, BATCH)
            free = shutil.disk_usage(self._run.path).free
            if free < FREE_BYTES_MIN:
                self._full = f"only {free / 1e9:.2f} GB are free on the disk that holds {self._run.path}"
            if self._stopping or over(stats):
                return

    def _collect(self) -> None:
        """Waits a moment for workers that return; one that died begins again where the frontier says."""
        finished, _ = wait(self._calls, POLL_S)
        for call in finished:
            worker = self._calls.pop(call)
            try:
                result(call)
            except WorkerLost:
                self._losses += 1
                if self._losses > LOSSES_MAX:
                    raise
                self._calls[awake := worker.awake()] = worker
                self._waking.add(awake)
            else:
                if call in self._waking:
                    self._calls[worker.call("work")] = worker
            self._waking.discard(call)

    def _say(self, stage: Stage, stats: Stats, workers: list[Actor]) -> None:
        """What goes on, beside the bar; trouble also as a line of its own when it begins."""
        now, finished = time.monotonic(), stats.count("done", "dropped")
        if self._rates and finished > self._rates[-1][1]:
            self._losses = 0
        self._rates.append((now, finished))
        while now - self._rates[0][0] > RATE_S:
            self._rates.popleft()
        troubles = {host: text for host, text in self._pacer.ask("state").items() if text}
        if now - self._began > PLACE_S and (waiting := self._fleet.unplaced(workers)):
            troubles["workers"] = f"{waiting} of {len(workers)} have not started: the cluster has no CPUs free for them"
        for name, text in troubles.items():
            if _kind(text) != self._told.get(name):
                stage.tell(f"{name}: {text}")
        self._told = {name: _kind(text) for name, text in troubles.items()}
        stage.say("; ".join(f"{name}: {text}" for name, text in troubles.items()) or pace_line(stats, self._rates))

    def _drain(self, workers: list[Actor]) -> None:
        """Nobody takes new work; what is under way may still finish."""
        if not self._calls:
            return
        self._frontier.ask("stop")
        calls = list(self._calls)
        for patience_s in (DRAIN_S, LEAVE_S):
            for worker in workers:
                with suppress(WorkerLost):  # it has died, and holds nothing
                    worker.call("close")  # the second time it leaves what it has not finished
            until = time.monotonic() + patience_s
            while calls and time.monotonic() < until:
                _, calls = wait(calls, 0.5)
        self._calls = {}

    def _conclude(self) -> None:
        """Says what did not go well; raises where something ended the crawl before its time."""
        stats = self._frontier.ask("stats")
        left = stats.count("ready", "leased")
        search, fetch = self._progress.summaries[-2:]
        search.notes += not_read_well(stats, self._platform)
        if self._signals.asked:
            fetch.notes.append(f"stopped by {self._signals.asked} with {left} posts left; the same command goes on")
            raise KeyboardInterrupt
        if self._full:
            raise StorageError(f"{self._full}; {left} posts are left. Free some space and run the same command again")
        at_a_limit(stats, self._recipe, fetch.notes)
        complain(stats)
        for host, wall in self._pacer.ask("blocked").items():
            raise Blocked(f"{host} put up a wall ({wall}); {left} posts are left, run the same command again later")


def _over(stats: Stats) -> bool:
    """Whether nothing is in hand and nobody will be given more."""
    return not stats.count("leased") and (bool(stats.stopped) or not (stats.searching or stats.count("ready")))


def _kind(text: str) -> str:
    """Trouble without its numbers, which change all the time; a host that is asked more slowly is one kind, whatever it waits."""
    said = "".join(letter for letter in text if not letter.isdigit())
    return "slower" if "requests/s" in said and "paused" not in said else said
