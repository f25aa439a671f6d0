"""What a crawl has come to, from the frontier's counts: the summaries, and the complaint when nothing was found."""

from __future__ import annotations

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
