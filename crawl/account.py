"""What a crawl has come to, from the frontier's counts: the summaries, the notes, and the complaint when nothing was found."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from crawl.jobs import GOOD, Stats
from crawl.selectors import rotten
from crawl.wording import span
from svmbench.errors import BadInput, Blocked, PageChanged, StorageError
from svmbench.progress import Stage
from svmbench.recipe import Recipe


def account(stage: Stage, stats: Stats) -> None:
    """Brings a stage's summary up to the frontier's counts, which include what earlier runs of the command did."""
    searching = stage.summary.stage == "search"
    summary, kept = stage.summary, 0
    for state, where, kind, reason, number in stats.tally:
        refused = state == "dropped" and where == "search"
        if (searching and not refused) or state == "done":
            kept += number
        elif state == "dropped" and refused == searching:
            for _ in range(number - (summary.dropped if kind == "rule" else summary.failed)[reason]):
                stage.add(dropped=reason if kind == "rule" else None, failed=None if kind == "rule" else reason)
    stage.add(kept=kept - summary.kept)
    refused_n = sum(n for state, where, _, _, n in stats.tally if state == "dropped" and where == "search")
    total = sum(n for *_, n in stats.tally)
    summary.seen = total if searching else total - refused_n
    summary.left = 0 if searching else stats.count("ready", "leased")
    stage.total(None if stats.searching else summary.seen)


def not_read_well(stats: Stats, platform: Any) -> list[str]:
    """Notes on the search: words that were not read to their end, and selectors of the platform's pages that no longer match."""
    notes = [
        f"{q.word}: search ended with {q.outcome}" + (f" ({q.detail})" if q.detail else "")
        for q in stats.queries
        if q.state == "ended" and q.outcome not in GOOD
    ]
    if platform.SEARCH == "browser":
        to_mend = rotten(platform.SELECTORS, stats.hits)  # some a word's own detail may name
        notes += [f"to mend: {text}" for text in to_mend if not any(text in note for note in notes)]
    return notes


def finished(stats: Stats, recipe: Recipe) -> bool:
    """Whether all words were read and all posts looked at. Then not even a new start is noted."""
    read = {q.word for q in stats.queries if q.state == "ended" and q.outcome in GOOD}
    return read.issuperset(recipe.search.words) and not stats.count("ready", "leased")


def at_a_limit(stats: Stats, recipe: Recipe, notes: list[str]) -> bool:
    """Whether --limit has ended the crawl before all was done, which is noted; StorageError where recipe.pace.disk_gb has."""
    left = stats.count("ready", "leased")
    if finished(stats, recipe):
        return False
    if stats.stopped == "disk":
        raise StorageError(
            f"pace.disk_gb: the media take {stats.num_bytes / 1e9:.3g} of the {recipe.pace.disk_gb:g} GB that the recipe allows;"
            f" {left} posts are left. Raise pace.disk_gb in the recipe and run the same command again"
        )
    if stats.stopped == "limit":
        kept = stats.count("done")
        notes.append(f"--limit: {kept} posts are kept, {left} left; a larger --limit, or none, goes on")
    return stats.stopped == "limit"


def complain(stats: Stats) -> None:
    """A crawl that found nothing at all is no success: raises, with the reason for each word."""
    if any(n for *_, n in stats.tally):
        return
    why = "; ".join(f"{q.word}: {q.outcome}" + (f" ({q.detail})" if q.detail else "") for q in stats.queries)
    outcomes = {q.outcome for q in stats.queries}
    if "page_changed" in outcomes:
        raise PageChanged(f"the search page has none of the expected parts; update the platform's selectors. {why}")
    if outcomes - {"empty"}:
        raise Blocked(f"no post was found. {why}. Run the same command again later")
    raise BadInput(f"no post was found; try other words. {why}")


def pace_line(stats: Stats, rates: Sequence[tuple[float, int]]) -> str:
    """How fast it goes. rates: (monotonic time, posts that were finished by then), the oldest first."""
    words = ", ".join(f"{q.word} ({q.found:,} found)" for q in stats.queries if q.state == "leased")
    words = f"searching {words}" if words else ""
    took_s, number = rates[-1][0] - rates[0][0], rates[-1][1] - rates[0][1]
    if not number:
        return words
    left, per_s = stats.count("ready", "leased"), number / took_s
    so_far = " so far" if stats.searching else ""
    return f"{words}; {per_s:.2g} posts/s, {span(left / per_s)} for what is left{so_far}".removeprefix("; ")
