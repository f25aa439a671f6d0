"""The tables of docs/real-pairs.md, in Markdown: python tests/perf/real_pairs.py PATH...

PATH is a run folder with results, or another place of records of one table. Every figure follows from their ranks. Recalls in
percent; in brackets the 95 % interval, over seeds and songs together; p of R@10 against exact chance, after Holm.
"""

from __future__ import annotations

import sys
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from benchmarks import record
from benchmarks.compare import CHANCE, Comparison
from benchmarks.record import Entry
from benchmarks.record_group import grouped
from svmbench.records import DIRECTIONS, V2M

MAIN = "recall@10"
RECALLS = ("recall@1", "recall@5", MAIN, "recall@25", "recall@50")
HEAD = "| | tier | R@1 | R@5 | R@10 | R@25 | R@50 | MedR | p (Holm) | seeds | failed checks |\n|---|---" + "|---:" * 8 + "|---|"
FAILED = ": FAILED, "  # between the name of a check and what it says, in a finding
Rows = Mapping[str, Sequence[Entry]]


def table(rows: Rows, tests: Sequence[Comparison], direction: str) -> Iterator[str]:
    """One line a row, the best R@10 first."""
    p_of = {t.first: t.p_holm for t in tests if (t.direction, t.metric, t.second) == (direction, MAIN, CHANCE)}
    yield f"**{direction.replace('_', ' ').capitalize()}**\n\n{HEAD}"
    for name, seeds in sorted(rows.items(), key=lambda row: -row[1][0].values["group"]["scores"][direction][MAIN]["mean"]):
        group = seeds[0].values["group"]
        means = {metric: found["mean"] for metric, found in group["scores"][direction].items()}
        ends = {metric: found["ci95"] for metric, found in group["headline"][direction].items()}
        cells = [name, str(group["tiers"][direction][MAIN]["tier"] or "none")]
        cells += [f"{100 * means[metric]:.1f}" + _interval(ends.get(metric), 100) for metric in RECALLS]
        cells += [f"{means['median_rank']:.1f}" + _interval(ends["median_rank"], 1)]
        cells += [f"{p_of[name]:.4f}" if name in p_of else "", str(len(seeds))]
        yield "| " + " | ".join([*cells, ", ".join(sorted({c for entry in seeds for c in _failed(entry)}))]) + " |"


def _interval(ends: Sequence[float] | None, scale: float) -> str:
    return "" if ends is None else f" [{scale * ends[0]:.1f}, {scale * ends[1]:.1f}]"


def _failed(entry: Entry) -> list[str]:
    """The checks that failed in any fold, without those that a baseline fails by design."""
    return list(entry.values["checks"]["failed"])


def between(tests: Sequence[Comparison]) -> Iterator[str]:
    """The paired tests of two baselines."""
    yield "| R@10, paired | video to music, points | p (Holm) | music to video, points | p (Holm) |\n|---|---:|---:|---:|---:|"
    pairs: dict[str, list[str]] = defaultdict(list)
    for test in sorted(tests, key=lambda t: DIRECTIONS.index(t.direction)):
        if test.kind == "pair" and test.metric == MAIN:
            pairs[f"{test.first} - {test.second}"] += [f"{100 * test.difference:+.1f}", f"{test.p_holm:.4f}"]
    yield from ("| " + " | ".join([name, *cells]) + " |" for name, cells in pairs.items())


def said(rows: Rows) -> Iterator[str]:
    """What each failed check said, and in which rows; then what the fits took."""
    entries = [entry for seeds in rows.values() for entry in seeds]
    failing: dict[str, list[str]] = defaultdict(list)
    texts: Counter[tuple[str, str]] = Counter()
    for name, seeds in rows.items():
        for check in sorted({c for entry in seeds for c in _failed(entry)}):
            failing[check].append(name)
        for entry in seeds:
            parts = [line.partition(FAILED) for line in entry.values["checks"]["findings"]]
            texts.update((check, text) for check, found, text in parts if found and check in _failed(entry))
    for check, names in sorted(failing.items()):
        mine = sorted(text for name, text in texts if name == check)
        yield f"- {check} failed for {', '.join(names)}. It said: " + "; or: ".join(dict.fromkeys([mine[0], mine[-1]])) + "."
    if not failing:
        yield "- No check failed, but for those that a baseline fails by design."
    fits = [fit for entry in entries for fit in entry.values["run"]["fits"]]
    train_s, eval_s = (sum(fit[name] for fit in fits) for name in ("train_s", "eval_s"))
    yield f"- {len(fits)} fits: {train_s:.0f} s of training and {eval_s:.0f} s of ranking and checks, wall time summed over fits."


def main(paths: Sequence[Path]) -> None:
    entries, tests, _ = grouped([record.read(folder) for folder in record.find(paths)])
    rows: dict[str, list[Entry]] = defaultdict(list)
    for entry in entries:
        rows[entry.values["group"]["name"]].append(entry)
    size = entries[0].values["scores"][V2M]
    print(f"{size['num_queries']} queries a direction, {size['gallery_size']} candidates on average.\n")
    for direction in DIRECTIONS:
        print("\n".join(table(rows, tests, direction)) + "\n")
    print("\n".join(between(tests)) + "\n")
    print("\n".join(said(rows)))


if __name__ == "__main__":
    if len(sys.argv) == 1:
        raise SystemExit("name a run folder with results: docs/real-pairs.md has the commands")
    main([Path(word) for word in sys.argv[1:]])
