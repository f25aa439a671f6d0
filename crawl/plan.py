"""What a crawl would do, before it does anything: `svmbench crawl --dry-run`. Nobody is asked, nothing is written.

All numbers are upper bounds: words find the same posts, and rules refuse some before their media are fetched.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from crawl.drive import frontier_path
from crawl.frontier_read import Status, status
from crawl.jobs import GOOD
from crawl.pacer import JITTER
from crawl.run import embedded
from crawl.wording import gigabytes, say_posts, span
from crawl.work import module
from svmbench.recipe import Recipe, Search
from svmbench.store import RunFolder

CLIP_MB = 5.0  # a guess of ours: 30 s at 1.3 Mbit/s; the search results do not tell
CLIP_S = 3.0  # a guess of ours: how long one file takes a thread


@dataclass(frozen=True, slots=True, kw_only=True)
class WordPlan:
    """Requests for one word: pages of results, pages of posts, media. posts: as many as it may find."""

    word: str
    posts: int
    search_requests: int
    page_requests: int
    media_requests: int
    state: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """What the run folder has already."""

    kept: int
    left_out: int
    left: int
    gigabytes: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """seconds: at the configured rate and parallelism. disk_gb: of media, at clip_mb a clip, which is a guess."""

    recipe: str
    run: str
    platform: str
    site: str
    hosts: tuple[str, ...]
    terms: tuple[str, ...]
    robots: str
    words: tuple[WordPlan, ...]
    requests: int
    pages_per_s: float
    media_parallel: int
    seconds: float
    disk_gb: float
    quota_gb: float | None
    clip_mb: float
    limit: int | None
    done: Done | None


def plan(recipe: Recipe, run: RunFolder, limit: int | None = None) -> Plan:
    """The plan for a recipe that has passed crawl.run.check, with what `run` has already, if it exists."""
    path = frontier_path(run)
    before = status(path) if path.is_file() else None
    told = [_expected(recipe.search, word) for word in recipe.search.words]
    members = tuple(dict.fromkeys([recipe.search.platform, *(name for counts in told for name in counts or () if name)]))
    words = _words(recipe, members, told, before)
    pages = sum(w.search_requests + w.page_requests for w in words)
    media = min(sum(w.media_requests for w in words), limit if limit is not None else math.inf)
    clips = min(sum(w.posts for w in words), limit if limit is not None else math.inf)
    pace = recipe.pace
    # All pages come from one host, asked at intervals that JITTER lengthens; media come from others, in parallel.
    paced_s = (1 + sum(JITTER) / 2) * max(pages, media) / pace.pages_per_s
    room_gb = max(0.0, (pace.disk_gb or math.inf) - (before.num_bytes / 1e9 if before else 0.0))
    modules = [module(name) for name in members]
    ignored = "" if recipe.robots == "obey" else f"ignored: {recipe.robots.ignore_because}"
    return Plan(
        recipe=recipe.name,
        run=str(run.path),
        platform=recipe.search.platform,
        site=_site(recipe, modules[0]),
        hosts=tuple(dict.fromkeys(host for m in modules for host in m.HOSTS)),
        terms=tuple(dict.fromkeys(m.TERMS for m in modules if m.TERMS)),
        robots=ignored or ("obeyed: read once a day from each host, before anything else" if pages else "nothing is asked"),
        words=words,
        requests=int(pages + media),
        pages_per_s=pace.pages_per_s,
        media_parallel=pace.media_parallel,
        seconds=max(paced_s, media * CLIP_S / pace.media_parallel) if pages else 0.0,
        disk_gb=min(clips * CLIP_MB / 1000, room_gb) if modules[0].MEDIA != "none" else 0.0,
        quota_gb=pace.disk_gb,
        clip_mb=CLIP_MB,
        limit=limit,
        done=_done(before) if before else None,
    )


def _site(recipe: Recipe, platform: Any) -> str:
    if embedded(recipe):
        return "the embedded platform on this machine"
    return "files of this machine" if platform.MEDIA == "file" else "live"


def _expected(search: Search, word: str) -> Mapping[str, int] | None:
    """Posts of a word by the platform that will fetch them, where a list or a folder tells; '' are rows that are no id."""
    platform: Any = module(search.platform)
    return platform.expected(search.model_copy(update={"words": (word,)})) if hasattr(platform, "expected") else None


def _words(
    recipe: Recipe, members: Sequence[str], told: Sequence[Mapping[str, int] | None], before: Status | None
) -> tuple[WordPlan, ...]:
    """What is still to be done for each word, and for posts that were found before."""
    search, platform = recipe.search, module(recipe.search.platform)
    states = {w.word: w for w in before.words} if before else {}
    pages = max((getattr(module(name), "POST_REQUESTS", 1) for name in members if module(name).MEDIA == "yt_dlp"), default=0)
    plans = []
    for word, counts in zip(search.words, told, strict=True):
        was = states.get(word)
        most = search.posts_per_word if counts is None else min(sum(counts.values()), search.posts_per_word)
        posts = max(0, most - (was.position if was else 0))
        if was and was.outcome in GOOD:
            posts = 0
        opening = posts > 0 and platform.SEARCH == "browser"
        requests = math.ceil(posts / platform.PAGE_ITEMS) + opening if platform.HOSTS else 0
        media = posts if pages else 0
        state = ", ".join(filter(None, (was.outcome, f"{was.position:,} read" if was.position else ""))) if was else ""
        plans.append(WordPlan(word=word, posts=posts, search_requests=requests, page_requests=posts * pages,
                              media_requests=media, state=state))  # fmt: skip
    if before and (left := before.ready + before.leased):
        media = left if pages else 0
        plans.append(WordPlan(word="(found before)", posts=left, search_requests=0, page_requests=left * pages,
                              media_requests=media, state="to be fetched"))  # fmt: skip
    return tuple(plans)


def _done(before: Status) -> Done:
    left_out = sum(fate.number for fate in before.dropped)
    return Done(kept=before.done, left_out=left_out, left=before.ready + before.leased, gigabytes=before.num_bytes / 1e9)


def lines(plan: Plan) -> list[tuple[str, str]]:
    """(what, value) for a person, the words apart."""
    media = any(word.media_requests for word in plan.words)
    each = f" and {plan.media_parallel} media at a time, if each takes {CLIP_S:g} s (a guess)" if media else ""
    rate = f"{plan.pages_per_s:g} page{'s' if plan.pages_per_s != 1 else ''} a second for each host"
    time = f"at most about {span(plan.seconds)}, at {rate}{each}" if plan.requests else "no host is asked, so nothing is paced"
    disk = f"at most about {gigabytes(plan.disk_gb)}, if a clip has {plan.clip_mb:g} MB (a guess)"
    told = [
        ("recipe", plan.recipe),
        ("platform", f"{plan.platform}, {plan.site}"),
        ("hosts", ", ".join(plan.hosts) or "none"),
        ("terms", f"{', '.join(plan.terms)}: read them before you go on" if plan.terms else "none"),
        ("robots.txt", plan.robots),
        ("requests", f"at most {plan.requests:,}"),
        ("time", time),
        ("disk", disk if plan.disk_gb else "nothing more"),
    ]
    if plan.quota_gb:
        full = ", which are used up: raise it first" if plan.done and plan.done.gigabytes >= plan.quota_gb else ""
        told.append(("quota", f"pace.disk_gb: stops in order at {gigabytes(plan.quota_gb)}{full}"))
    if plan.limit is not None:
        told.append(("limit", f"stops in order when the run has {say_posts(plan.limit)}"))
    if plan.done:
        d = plan.done
        told.append(
            ("done already", f"{d.kept:,} kept, {d.left_out:,} left out, {d.left:,} left; {gigabytes(d.gigabytes)} of media")
        )
    return [*told, ("run folder", plan.run)]


def show(made: Plan) -> RenderableType:
    """For the terminal."""
    grid = Table.grid(padding=(0, 2))
    for name, text in lines(made):
        grid.add_row(Text(name, style="bold"), Text(text, overflow="fold"))
    table = Table(title="Still to be asked, at most", title_justify="left")
    for name in ("word", "posts", "search", "pages", "media", "so far"):
        table.add_column(name, justify="left" if name in ("word", "so far") else "right")
    for w in made.words:
        numbers = (w.posts, w.search_requests, w.page_requests, w.media_requests)
        table.add_row(Text(w.word), *(f"{n:,}" for n in numbers), w.state)
    return Group(grid, table, Text("This was a dry run: nobody was asked and nothing was written."))
