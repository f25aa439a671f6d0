"""What a crawl has come to, from the frontier's counts: the summaries, and the complaint when nothing was found."""

from __future__ import annotations

from collections.abc import Sequence

from crawl.jobs import GOOD, Ended, Stats
from svmbench.errors import BadInput, Blocked, PageChanged
from svmbench.progress import Stage


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


def unhappy(query: Ended) -> bool:
    """Whether a word's search ended without having read all that it should."""
    return query.outcome not in GOOD


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


def span(seconds: float) -> str:
    """A length of time as people say it: '40 s', '12 min', '3.5 h', '2.4 days'."""
    for unit_s, name in ((86_400.0, "days"), (3_600.0, "h")):
        if seconds >= 1.5 * unit_s:
            return f"{seconds / unit_s:.1f} {name}"
    return f"{seconds / 60:.0f} min" if seconds >= 90 else f"{seconds:.0f} s"


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


def say_posts(number: int) -> str:
    """'1 post', '2 posts'."""
    return f"{number:,} post{'s' if number != 1 else ''}"


def gigabytes(number: float) -> str:
    """A size in GB, or in MB where it is small."""
    return f"{1000 * number:.0f} MB" if number < 1 else f"{number:.1f} GB" if number < 10 else f"{number:,.0f} GB"
