"""What the integrity checks of a run measured, in the words left with each fit: of failed ones, and of those not run."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from svmbench.store import RunFolder

Row = tuple[str, str, str]  # split, baseline, variant
NOT_RUN = "not run"


def failed(run: RunFolder) -> dict[str, dict[Row, list[str]]]:
    """By check and row, what was measured in each fit that failed it. Empty for runs of older versions."""
    found: dict[str, dict[Row, list[str]]] = defaultdict(lambda: defaultdict(list))
    for row, job in _jobs(run):
        said = {check: detail for check, _, detail in map(_parts, job["findings"])}
        for check in job["checks"]:
            found[check][row].append(said.get(check, ""))
    return {check: dict(rows) for check, rows in sorted(found.items())}


def not_run(run: RunFolder) -> dict[Row, dict[str, str]]:
    """By row, the checks that ran in no fit of it, and why. (Checks that fit again look at one seed of several.)"""
    found: dict[Row, dict[str, str]] = defaultdict(dict)
    ran: set[tuple[Row, str]] = set()
    for row, job in _jobs(run):
        for check, word, detail in map(_parts, job["findings"]):
            if word == NOT_RUN:
                found[row][check] = detail.removeprefix(f"{NOT_RUN}: ")
            else:
                ran.add((row, check))
    return {row: {check: why for check, why in skipped.items() if (row, check) not in ran} for row, skipped in found.items()}


def _jobs(run: RunFolder) -> list[tuple[Row, dict[str, Any]]]:
    """The fits that the scores were made of."""
    jobs, scored = run.read_table("jobs"), run.read_table("scored")
    if jobs is None or scored is None or not {"findings", "checks"} <= set(jobs.column_names):
        return []
    keys = set(scored["key"].to_pylist())
    return [((job["split"], job["baseline"], job["variant"]), job) for job in jobs.to_pylist() if job["key"] in keys]


def _parts(finding: str) -> tuple[str, str, str]:
    """'ties: FAILED, 3.0 % of ...' as check, word and detail."""
    check, _, said = finding.partition(": ")
    word, _, detail = said.partition(", ")
    return check, word, detail
