"""The crawl stage: search -> like threshold -> posts -> media, into the run's tables `posts` and `drops`.

    RUN/crawl/frontier.sqlite   what is still to be done; a kill at any moment leaves it consistent
    RUN/crawl/author.key        key of the author hashes; never published
    RUN/crawl/tmp/              media on their way, swept at the start

Searchers and fetchers run at the same time. A post enters the tables once all searches are over, so that it has all of its words.
"""

from __future__ import annotations

import importlib.util
import json
import math
import os
import secrets
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from hashlib import blake2b
from pathlib import Path
from typing import Any

from crawl.access import Access
from crawl.account import account, complain, unhappy
from crawl.jobs import GOOD, Stats
from svmbench import plugins
from svmbench.errors import BadInput, BadSettings, Blocked, MissingExtra
from svmbench.fleet import Actor, Fleet, WorkerLost, result, wait
from svmbench.progress import Progress, Stage
from svmbench.recipe import Recipe
from svmbench.records import Drop, Post, to_table
from svmbench.store import RunFolder, Writer, write_atomically

STAGE = "crawl"
POLL_S = 0.25  # ours: the driver looks this often
BATCH = 200  # posts in one part of the tables; ours
DRAIN_S = 10.0  # ours: so long the workers may finish what they hold when the crawl is stopped
LOSSES_MAX = 20  # ours: workers that may die in one crawl before it is taken for a defect
NEEDS = ("selenium", "yt_dlp", "protego", "psutil")


def check(recipe: Recipe) -> None:
    """Everything that can be known to be missing or wrong before the crawl starts."""
    needs = (*NEEDS, "trustme") if recipe.search.site == "replica" else NEEDS
    missing = [name for name in needs if importlib.util.find_spec(name) is None]
    if missing:
        raise MissingExtra(f"crawling needs {', '.join(missing)}; pip install 'svmbench[crawl]'")
    platform: Any = plugins.load("crawl.platforms", recipe.search.platform)
    if "robots" not in recipe.model_fields_set:
        raise BadSettings(
            f"robots: missing in the recipe {recipe.name}; write 'robots: obey', or 'robots: {{ignore_because: \"the reason\"}}'"
        )
    if recipe.search.site == "replica" and not platform.REPLICA:
        raise BadSettings(f"search.site: the embedded platform has no {recipe.search.platform!r}; write 'site: live'")
    platform.check(recipe.search)
    if platform.SEARCH == "browser":
        from crawl.browser import find_programs

        find_programs()
    folder = recipe.replica.media_dir
    if recipe.search.site == "replica" and folder and not Path(folder).is_dir():
        raise BadInput(f"replica.media_dir: {folder} is not a folder; name one that holds videos")


def crawl(recipe: Recipe, run: RunFolder, fleet: Fleet, progress: Progress, access: Access | None = None) -> None:
    """Searches and fetches what the recipe asks for; what is there already is not asked for again.

    access: a way to the site that is open already; without it the recipe decides.
    """
    check(recipe)
    with run.writing(STAGE) as writer:
        if not _anything_to_do(recipe, run, progress):
            return
        with ExitStack() as stack:
            access = access or stack.enter_context(_access(recipe, fleet, progress))
            if fleet.local:
                from crawl.fetch import trust

                stack.enter_context(trust(access.ca_file))
            _Crawl(recipe, run, writer, fleet, progress).run(access)


def _anything_to_do(recipe: Recipe, run: RunFolder, progress: Progress) -> bool:
    """Prepares the frontier, which nobody else has open; a finished one is only accounted for."""
    from crawl.frontier import Frontier

    frontier = Frontier(str(_frontier_path(run)))
    try:
        mine = _search_settings(recipe)
        noted = json.loads(frontier.claim(json.dumps(mine)))
        for key in sorted({*mine, *noted}):
            if mine.get(key) != noted.get(key):
                raise BadSettings(
                    f"{key}: {run.path} was crawled with {noted.get(key)!r}, not {mine.get(key)!r}; choose another --out"
                )
        words = recipe.search.words
        stats = frontier.stats()
        ended = {q.word for q in stats.queries if q.state == "ended" and q.outcome in GOOD}
        if ended.issuperset(words) and not stats.count("ready", "leased") and not frontier.finished(1):
            for name in ("search", "fetch"):
                with progress.stage(name, unit="posts") as stage:
                    account(stage, stats)
            complain(stats)
            return False
        frontier.begin(words, GOOD)
        return True
    finally:
        frontier.close()


def _search_settings(recipe: Recipe) -> dict[str, Any]:
    """What decides which posts are found and taken; all of one run folder must be crawled with the same."""
    found = {f"search.{k}": v for k, v in recipe.search.model_dump(mode="json").items()}
    if recipe.search.site == "replica":
        found |= {f"replica.{k}": v for k, v in recipe.replica.model_dump(mode="json").items()}
    return found


def _frontier_path(run: RunFolder) -> Path:
    return run.path / "crawl" / "frontier.sqlite"


@contextmanager
def _access(recipe: Recipe, fleet: Fleet, progress: Progress) -> Iterator[Access]:
    """The way to the site: straight, or through the embedded platform, which is built and served while the crawl lasts."""
    if recipe.search.site == "live":
        yield Access()
        return
    from crawl.replica.build import catalogue
    from crawl.replica.site import serve

    cache = Path(os.environ.get("SVMBENCH_CACHE") or Path.home() / ".cache" / "svmbench")
    words, likes_min = recipe.search.words, recipe.search.likes_min
    with serve(catalogue(recipe.replica, words, likes_min, cache, fleet, progress)) as site:
        yield site.access


def _secret(run: RunFolder) -> bytes:
    """The key of the author hashes: 32 random bytes, made once, readable by the owner alone."""
    path = run.path / "crawl" / "author.key"

    def write(temporary: Path) -> None:
        with open(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as handle:
            handle.write(secrets.token_bytes(32))

    if not path.is_file():
        write_atomically(path, write)
    return path.read_bytes()


class _Crawl:
    """One crawl while it runs: the actors, and the loop that watches them and fills the tables."""

    def __init__(self, recipe: Recipe, run: RunFolder, writer: Writer, fleet: Fleet, progress: Progress) -> None:
        self._recipe, self._run, self._writer, self._fleet, self._progress = recipe, run, writer, fleet, progress
        self._calls: dict[Any, Actor] = {}
        self._losses = 0
        self._done = run.done_ids(STAGE)

    def run(self, access: Access) -> None:
        """Searches and fetches until nothing is left or the site puts up a wall."""
        from crawl.browser import sweep
        from crawl.frontier import Frontier
        from crawl.pacer import Pacer

        shutil.rmtree(self._run.path / "crawl" / "tmp", ignore_errors=True)
        mark = blake2b(str(self._run.path).encode(), digest_size=6).hexdigest()
        sweep(mark)
        self._frontier = self._fleet.actor(Frontier, str(_frontier_path(self._run)), name="frontier", cpus=0, restarts=True)
        self._pacer = self._fleet.actor(Pacer, self._recipe.pace.pages_per_s, name="pacer", cpus=0, restarts=True)
        workers: list[Actor] = []
        try:
            with self._progress.stage("search", unit="posts") as stage:
                workers += self._start(access, mark)
                self._watch(stage, lambda stats: not stats.searching)
            with self._progress.stage("fetch", unit="posts") as stage:
                try:
                    self._watch(stage, lambda stats: False)
                finally:
                    self._drain(workers)
                    self._export(1)
                    account(stage, self._frontier.ask("stats"))
            self._conclude()
        finally:
            self._drain(workers)
            for actor in (*workers, self._pacer, self._frontier):
                self._fleet.stop(actor)
            sweep(mark)

    def _start(self, access: Access, mark: str) -> list[Actor]:
        """The workers, at work. All threads of all fetchers together are what the recipe allows."""
        from crawl.fetch import THREADS_MAX, Fetcher
        from crawl.lister import Lister
        from crawl.searcher import Searcher
        from crawl.work import Work

        work = Work(
            recipe=self._recipe, run=str(self._run.path), access=access, frontier=self._frontier, pacer=self._pacer,
            secret=_secret(self._run), mark=mark,
        )  # fmt: skip
        parallel = self._recipe.pace.media_parallel
        platform: Any = plugins.load("crawl.platforms", self._recipe.search.platform)
        finder: type = Searcher
        if platform.SEARCH == "pages":
            finder = Lister
        num_fetchers = math.ceil(parallel / THREADS_MAX)
        num_searchers = max(1, min(len(self._recipe.search.words), self._fleet.num_cpus // 4))
        shares = [parallel // num_fetchers + (i < parallel % num_fetchers) for i in range(num_fetchers)]
        options: dict[str, Any] = {"threads": 2, "cpus": 0.25, "restarts": True}
        workers = [self._fleet.actor(finder, work, name="searcher", **options) for _ in range(num_searchers)]
        workers += [self._fleet.actor(Fetcher, work, share, name="fetcher", **options) for share in shares]
        self._calls = {worker.call("work"): worker for worker in workers}
        return workers

    def _watch(self, stage: Stage, over: Callable[[Stats], bool]) -> None:
        """Until it is over or all workers have returned: shows the state, revives workers that died, fills the tables."""
        while True:
            finished, _ = wait(self._calls, POLL_S)
            for call in finished:
                worker = self._calls.pop(call)
                try:
                    result(call)
                except WorkerLost:
                    self._losses += 1
                    if self._losses > LOSSES_MAX:
                        raise
                    time.sleep(1.0)  # its restart
                    self._calls[worker.call("work")] = worker
            stats = self._frontier.ask("stats")
            account(stage, stats)
            troubles = [f"{host}: {text}" for host, text in self._pacer.ask("state").items() if text]
            stage.say("; ".join(troubles) or ", ".join(f"{q.word} {q.found}" for q in stats.queries if q.state == "leased"))
            if not stats.searching:
                self._export(BATCH)
            if over(stats) or not self._calls:
                return

    def _export(self, at_least: int) -> None:
        """Moves finished posts from the frontier into the run's tables, in parts of a fair size."""
        while len(rows := self._frontier.ask("finished", BATCH)) >= at_least:
            new = [row for row in rows if row["id"] not in self._done]
            posts = [_post(row) for row in new if row["state"] == "done"]
            drops = [_drop(row) for row in new if row["state"] == "dropped"]
            ids = [row["id"] for row in new]
            if ids:
                self._writer.commit(ids, {"posts": to_table(Post, posts), "drops": to_table(Drop, drops)})
                self._done.update(ids)
            self._frontier.ask("exported", [row["id"] for row in rows])

    def _drain(self, workers: list[Actor]) -> None:
        """Nobody takes new work; what is under way may still finish."""
        if not self._calls:
            return
        self._frontier.ask("stop")
        closing = [worker.call("close") for worker in workers]
        until = time.monotonic() + DRAIN_S
        calls = list(self._calls)
        while calls and time.monotonic() < until:
            _, calls = wait(calls, 0.5)
        self._calls = {}
        wait(closing, 0.0)

    def _conclude(self) -> None:
        """Says what did not go well; raises where the site was the reason that something is left."""
        stats = self._frontier.ask("stats")
        complain(stats)
        left = stats.count("ready", "leased")
        for host, wall in self._pacer.ask("blocked").items():
            raise Blocked(f"{host} put up a wall ({wall}); {left} posts are left, run the same command again later")
        notes = [f"{q.word}: search ended with {q.outcome} ({q.detail})" for q in stats.queries if unhappy(q)]
        self._progress.summaries[-2].notes += notes


def _post(row: dict[str, Any]) -> Post:
    record = json.loads(row["record"])
    return Post(**{**record, "hashtags": tuple(record["hashtags"]), "words": tuple(row["words"])})


def _drop(row: dict[str, Any]) -> Drop:
    return Drop(**{key: row[key] for key in ("id", "stage", "kind", "reason", "value", "detail")})
