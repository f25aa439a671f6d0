"""The crawl stage: search -> like threshold -> posts -> media, into the run's tables `posts` and `drops`.

    RUN/crawl/frontier.sqlite   what is still to be done; a kill at any moment leaves it consistent
    RUN/crawl/author.key        key of the author hashes; never published
    RUN/crawl/tmp/              media on their way, swept at the start

Searchers and fetchers run at the same time (crawl.drive); what is finished enters the tables meanwhile (crawl.tables).
"""

from __future__ import annotations

import importlib.util
import json
import os
import secrets
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from crawl.access import Access
from crawl.account import account, at_a_limit, complain, finished
from crawl.drive import Drive, frontier_path
from crawl.frontier_read import shared_words
from crawl.jobs import GOOD
from crawl.tables import STAGE, Tables
from svmbench import optout, plugins
from svmbench.errors import BadInput, BadSettings, MissingExtra
from svmbench.fleet import Fleet
from svmbench.optout import OptOut
from svmbench.progress import Progress
from svmbench.recipe import Recipe, Replica, Search
from svmbench.store import RunFolder, write_atomically

if TYPE_CHECKING:
    from crawl.frontier import Frontier

NEEDS = ("yt_dlp", "protego", "psutil")


def embedded(recipe: Recipe) -> bool:
    """Whether the crawl goes to the embedded platform, which it starts."""
    return recipe.search.site == "replica" or recipe.search.platform == "replica"


def check(recipe: Recipe) -> None:
    """Everything that can be known to be missing or wrong before the crawl starts."""
    search = recipe.search
    needs = (*NEEDS, "trustme") if embedded(recipe) else NEEDS
    _require(needs)
    platform: Any = plugins.load("crawl.platforms", search.platform)
    if "robots" not in recipe.model_fields_set:
        raise BadSettings(
            f"robots: missing in the recipe {recipe.name}; write 'robots: obey', or 'robots: {{ignore_because: \"the reason\"}}'"
        )
    if search.site == "replica" and not platform.REPLICA:
        raise BadSettings(f"search.site: the embedded platform has no {search.platform!r}; write 'site: live'")
    if search.source and not hasattr(platform, "identity"):
        raise BadSettings(f"search.source: {search.platform} searches words and takes no {search.source}; leave it out")
    _check_words(search.words)
    platform.check(search)
    if platform.SEARCH == "browser":
        _require(("selenium",))
        from crawl.browser import find_programs

        find_programs()
    folder = recipe.replica.media_dir
    if embedded(recipe) and folder and not Path(folder).is_dir():
        raise BadInput(f"replica.media_dir: {folder} is not a folder; name one that holds videos")


def _check_words(words: Sequence[str]) -> None:
    if not all(word.strip() for word in words):
        raise BadSettings("search.words: a word is empty; a word that begins with # must stand in quotes in YAML")
    if twice := sorted(word for word, number in Counter(words).items() if number > 1):
        raise BadSettings(f"search.words: {', '.join(map(repr, twice))} stands there more than once")


def _require(names: tuple[str, ...]) -> None:
    missing = [name for name in names if importlib.util.find_spec(name) is None]
    if missing:
        raise MissingExtra(f"crawling needs {', '.join(missing)}; pip install 'svmbench[crawl]'")


def crawl(
    recipe: Recipe,
    run: RunFolder,
    fleet: Fleet,
    progress: Progress,
    access: Access | None = None,
    *,
    limit: int | None = None,
    retry: str | None = None,
    agreed: Callable[[], object] = lambda: None,
) -> None:
    """Searches and fetches what the recipe asks for; what is there already is not asked for again.

    access: a way to the site that is open already; without it the recipe decides. limit: at so many posts in the run it ends.
    retry: posts that failed for this reason are tried again. agreed: called once the folder is known to be of this recipe.
    KeyboardInterrupt after an orderly stop that was asked for.
    """
    check(recipe)
    with run.writing(STAGE) as writer:
        tables, secret = Tables(run, writer), _secret(run)
        opted = optout.read(recipe, run)
        if not _prepare(recipe, run, tables, opted, progress, limit=limit, retry=retry, agreed=agreed):
            return
        with ExitStack() as stack:
            access = access or stack.enter_context(_access(recipe, fleet, progress))
            Drive(recipe, run, tables, fleet, progress).run(access, secret, opted)


def _prepare(
    recipe: Recipe, run: RunFolder, tables: Tables, opted: OptOut, progress: Progress, *, limit: int | None, retry: str | None,
    agreed: Callable[[], object],
) -> bool:  # fmt: skip
    """Readies the frontier, which nobody else has open. False where nothing is to be done; that is then accounted for."""
    from crawl.frontier import Frontier

    frontier = Frontier(str(frontier_path(run)))

    def ask(method: str, *args: Any) -> Any:
        return getattr(frontier, method)(*args)

    try:
        _agree(recipe, run, frontier)
        agreed()
        tables.finish_retry(frontier.retry_dropped)
        if retry:
            tables.take_over(ask, 1)
            tables.retry(retry, frontier.retry_dropped)
        if not finished(frontier.stats(), recipe):
            quota = recipe.pace.disk_gb
            frontier.begin(recipe.search.words, GOOD, limit, round(quota * 1e9) if quota else None)
            frontier.refuse_ids(sorted(opted.posts), optout.REASON)
        stats = frontier.stats()
        if not finished(stats, recipe) and stats.stopped not in ("limit", "disk"):
            if stats.searching:
                tables.expect_words()
            return True
        tables.take_over(ask, 1)
        tables.complete_words(lambda: shared_words(frontier_path(run)))
        for name in ("search", "fetch"):
            with progress.stage(name, unit="posts") as stage:
                account(stage, stats)
        if not at_a_limit(stats, recipe, progress.summaries[-1].notes):
            complain(stats)
        return False
    finally:
        frontier.close()


def _agree(recipe: Recipe, run: RunFolder, frontier: Frontier) -> None:
    """All of one run folder is crawled with the same settings; BadSettings names the first that differs."""
    mine = search_settings(recipe)
    noted = _with_defaults(json.loads(frontier.claim(json.dumps(mine))))
    for key in sorted({*mine, *noted}):
        if mine.get(key) != noted.get(key):
            raise BadSettings(
                f"{key}: {run.path} was crawled with {noted.get(key)!r}, not {mine.get(key)!r}; choose another --out"
            )


def search_settings(recipe: Recipe) -> dict[str, Any]:
    """What decides which posts are found and taken. A platform may say what stands for a setting: for a path, what is there."""
    found = {f"search.{k}": v for k, v in recipe.search.model_dump(mode="json").items()}
    if embedded(recipe):
        found |= {f"replica.{k}": v for k, v in recipe.replica.model_dump(mode="json").items()}
    platform: Any = plugins.load("crawl.platforms", recipe.search.platform)
    return found | (platform.identity(recipe.search) if hasattr(platform, "identity") else {})


def _with_defaults(noted: dict[str, Any]) -> dict[str, Any]:
    """The settings of a run folder, with the defaults of those that svmbench did not have when it was made."""
    whole = dict(noted)
    for name, section in (("search", Search), ("replica", Replica)):
        if any(key.startswith(f"{name}.") for key in noted):
            for key, field in section.model_fields.items():
                if not field.is_required():
                    whole.setdefault(f"{name}.{key}", field.default)
    return whole


@contextmanager
def _access(recipe: Recipe, fleet: Fleet, progress: Progress) -> Iterator[Access]:
    """The way to the site: straight, or through the embedded platform, which is built and served while the crawl lasts."""
    if not embedded(recipe):
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
    path = run.path / optout.KEY

    def write(temporary: Path) -> None:
        with open(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as handle:
            handle.write(secrets.token_bytes(32))

    if not path.is_file():
        write_atomically(path, write)
    return path.read_bytes()
