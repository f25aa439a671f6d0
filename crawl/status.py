"""How a crawl stands and why posts are missing, for a person: `svmbench crawl status` and `svmbench crawl failures`.

Reads the run folder and changes nothing, also while a crawl works in it.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from crawl.drive import frontier_path
from crawl.frontier_read import HOUR_S, Fate, Status, Word, failures, status
from crawl.host import Host
from crawl.jobs import GOOD
from crawl.reasons import outcome_of, reason_of
from crawl.selectors import rotten
from crawl.tables import STAGE
from crawl.wording import gigabytes, say_posts, span
from crawl.work import module
from svmbench.errors import BadInput
from svmbench.provenance import recipe_of
from svmbench.recipe import Recipe
from svmbench.store import RunFolder

EXAMPLES = 3  # ours: posts shown for each reason
EXAMPLES_MORE = 20  # ours: where one reason was named


def read_status(run: RunFolder) -> dict[str, Any]:
    """Everything about a run's crawl as plain values, for --json and for `show_status`. BadInput where nothing was crawled."""
    recipe, found = recipe_of(run), status(_frontier(run))
    left = found.ready + found.leased
    at_work, searching = run.busy(STAGE), any(w.state != "ended" for w in found.words)
    unread = [w.word for w in found.words if w.outcome not in GOOD]
    return {
        "run": str(run.path), "recipe": recipe.name, "platform": recipe.search.platform, "at_work": at_work,
        "state": _state(at_work, found, left, unread), "next": _next(run, at_work, found, left, unread),
        "kept": found.done, "left": left, "waiting_for_another_try": found.waiting,
        "dropped": [_fate(f) for f in found.dropped if f.kind == "rule"],
        "failed": [_fate(f) for f in found.dropped if f.kind != "rule"],
        "words": [{**asdict(w), "means": _word_means(w, at_work)} for w in found.words],
        "hosts": _hosts(recipe, found), "tries": found.tries, "tries_that_failed_before": dict(found.retries),
        "media_files": found.files, "media_gb": found.num_bytes / 1e9, "quota_gb": recipe.pace.disk_gb,
        "kept_an_hour": found.done_last_hour, "last_try_s_ago": None if found.last_at is None else time.time() - found.last_at,
        "left_s": left / found.done_last_hour * HOUR_S if left and found.done_last_hour and not searching else None,
        "selectors": _selectors(recipe, found),
    }  # fmt: skip


def read_failures(run: RunFolder, reason: str | None = None) -> list[dict[str, Any]]:
    """Why posts were left out, the commonest reason first, with examples; of one reason only, if named. BadInput if none was."""
    found = failures(_frontier(run), reason=reason, examples=EXAMPLES_MORE if reason else EXAMPLES)
    if reason and not found:
        known = sorted({fate.reason for fate in failures(_frontier(run), examples=0)})
        raise BadInput(f"--reason: no post of {run.path} was left out for {reason!r}; it has: {', '.join(known) or 'none'}")
    return [_fate(fate) for fate in found]


def _frontier(run: RunFolder) -> Any:
    if not frontier_path(run).is_file():
        raise BadInput(f"{run.path} has no crawl; 'svmbench crawl RECIPE --out {run.path}' starts one")
    return frontier_path(run)


def _state(at_work: bool, found: Status, left: int, unread: Sequence[str]) -> str:
    if at_work:
        return "at work"
    if (left or unread) and found.stopped in ("limit", "disk"):
        return f"ended at {'--limit' if found.stopped == 'limit' else 'pace.disk_gb'}: {_what_is_left(found, left, unread)}"
    if left or unread:
        return f"stopped: {_what_is_left(found, left, unread)}"
    return "finished"


def _what_is_left(found: Status, left: int, unread: Sequence[str]) -> str:
    words = f"{len(unread)} of {len(found.words)} words not read to the end" if unread else ""
    return ", ".join(filter(None, (f"{say_posts(left)} left" if left else "", words)))


def _next(run: RunFolder, at_work: bool, found: Status, left: int, unread: Sequence[str]) -> str:
    source = run.settings().get("recipe_from", "RECIPE")
    again = f"svmbench crawl {source} --out {run.path}"
    if at_work:
        return "ctrl-C in its terminal stops it in order; the same command goes on"
    if found.stopped == "disk" and (left or unread):
        return f"raise pace.disk_gb in the recipe, then: {again}"
    if left or unread:
        return again
    if any(fate.kind == "failure" for fate in found.dropped):
        return f"svmbench crawl failures {run.path}"
    if found.done and module(recipe_of(run).search.platform).MEDIA == "none":
        return f"its posts have no media; a recipe with 'platform: ids' fetches them: svmbench crawl RECIPE {run.path}"
    if not found.done:
        return f"nothing was kept: change the recipe, and crawl into a new folder; svmbench crawl failures {run.path} says why"
    return f"svmbench curate {run.path}"


def _fate(fate: Fate) -> dict[str, Any]:
    examples = []
    for example in fate.examples:
        url = example.url or (module(example.platform).post_url(example.post_id) if example.platform else "")
        examples.append({**asdict(example), "url": url})
    means = reason_of(fate.reason)
    return {
        "reason": fate.reason, "stage": fate.stage, "kind": fate.kind, "number": fate.number, "means": means.meaning,
        "what_to_do": means.remedy.format(reason=fate.reason), "examples": examples,
    }  # fmt: skip


def _word_means(word: Word, at_work: bool) -> str:
    if word.outcome:
        return outcome_of(word.outcome).meaning
    if word.state == "leased" and at_work:
        return "being searched"
    return "not read to its end yet" if word.position else "not searched yet"


def _hosts(recipe: Recipe, found: Status) -> dict[str, str]:
    """What the pacer kept of each host, in words; '' for one that answers at the full rate."""
    told = {}
    for name, text in found.hosts.items():
        host, now = Host(recipe_s=1 / recipe.pace.pages_per_s, sent_at=0.0), time.monotonic()
        host.restore(text, now, time.time(), json.loads(text)["run"])
        told[name] = host.tell(now)
    return told


def _selectors(recipe: Recipe, found: Status) -> dict[str, Any]:
    platform: Any = module(recipe.search.platform)
    if platform.SEARCH != "browser" or not found.hits:
        return {}
    return {"version": found.hits_version, "hits": dict(found.hits), "to_mend": rotten(platform.SELECTORS, found.hits)}


def show_status(told: dict[str, Any]) -> RenderableType:
    """For the terminal."""
    lines = [
        ("run", f"{told['run']}  (recipe {told['recipe']}, platform {told['platform']})"), ("state", told["state"]),
        ("kept", f"{say_posts(told['kept'])}, {told['media_files']:,} different files, {_gigabytes(told)}"),
        ("left", _left(told)), ("speed", _speed(told)),
    ]  # fmt: skip
    for host, text in told["hosts"].items():
        lines.append(("host", f"{host}: {text or 'answers at the full rate'}"))
    for text in told["selectors"].get("to_mend", ()):
        lines.append(("to mend", text))
    for reason, number in told["tries_that_failed_before"].items():
        lines.append(("tried again", f"{number:,} time{'s' if number != 1 else ''} after {reason}: {reason_of(reason).meaning}"))
    parts: list[RenderableType] = [_lines(lines), _words(told["words"])]
    everything = told["kept"] + told["left"] + sum(fate["number"] for fate in (*told["dropped"], *told["failed"]))
    if sum(word["found"] for word in told["words"]) > everything:
        parts.append(Text(f"{say_posts(everything)} in all: some were found by more than one word"))
    if told["dropped"] or told["failed"]:
        parts.append(_reasons(told["dropped"], told["failed"]))
    return Group(*parts, Text.assemble(("next", "bold"), f"  {told['next']}"))


def show_failures(fates: list[dict[str, Any]], run: RunFolder) -> RenderableType:
    """For the terminal."""
    if not fates:
        return Text("no post was left out so far")
    parts: list[RenderableType] = []
    for fate in fates:
        title = Text.assemble((fate["reason"], "bold"), f"  {fate['number']:,}  {fate['means']}")
        todo = fate["what_to_do"].replace("RUN", str(run.path))
        body = [title, Text(f"  what to do: {todo}")]
        for example in fate["examples"]:
            value = "" if example["value"] is None else f"  value {example['value']:g}"
            detail = f"  {example['detail']}" if example["detail"] else ""
            body.append(Text(f"    {example['url'] or example['id']}{value}{detail}", style="dim"))
        parts += [*body, Text()]
    return Group(*parts[:-1])


def _gigabytes(told: dict[str, Any]) -> str:
    return gigabytes(told["media_gb"]) + (f" of {gigabytes(told['quota_gb'])} allowed" if told["quota_gb"] else "")


def _left(told: dict[str, Any]) -> str:
    waiting = f", of which {told['waiting_for_another_try']:,} wait for another try" if told["waiting_for_another_try"] else ""
    time_left = f"; about {span(told['left_s'])} at the speed of the last hour" if told["left_s"] else ""
    return f"{say_posts(told['left'])}{waiting}{time_left}"


def _speed(told: dict[str, Any]) -> str:
    if told["last_try_s_ago"] is None:
        return "nothing was fetched yet"
    return f"{say_posts(told['kept_an_hour'])} kept in the last hour of work; the last try was {span(told['last_try_s_ago'])} ago"


def _lines(lines: list[tuple[str, str]]) -> Table:
    table = Table.grid(padding=(0, 2))
    for name, text in lines:
        table.add_row(Text(name, style="bold"), Text(text, overflow="fold"))
    return table


def _words(words: list[dict[str, Any]]) -> Table:
    table = Table(title="Words", title_justify="left")
    for name in ("word", "read", "found", "how it stands"):
        table.add_column(name, justify="right" if name in ("read", "found") else "left")
    for word in words:
        detail = f" ({word['detail']})" if word["detail"] else ""
        table.add_row(Text(word["word"]), f"{word['position']:,}", f"{word['found']:,}", Text(word["means"] + detail))
    return table


def _reasons(dropped: list[dict[str, Any]], failed: list[dict[str, Any]]) -> Table:
    table = Table(title="Left out", title_justify="left")
    for name in ("why", "reason", "posts", "what it means"):
        table.add_column(name, justify="right" if name == "posts" else "left")
    for kind, fates in (("by a rule", dropped), ("failed", failed)):
        for fate in fates:
            table.add_row(kind, fate["reason"], f"{fate['number']:,}", fate["means"])
    return table
