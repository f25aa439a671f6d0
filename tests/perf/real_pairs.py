"""The tables of docs/real-pairs.md, in Markdown: python tests/perf/real_pairs.py RUN.

RUN is a run folder with results; every figure is read from its records and its table of tests. Recalls in percent; in brackets
the 95 % interval of the headlines, over seeds and songs together; p of R@10 against exact chance, after Holm.
"""

from __future__ import annotations

import sys
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks import record, results
from benchmarks.compare import CHANCE, Comparison
from benchmarks.record import Entry
from svmbench.records import DIRECTIONS, V2M
from svmbench.store import RunFolder

MAIN = "recall@10"
RECALLS = ("recall@1", "recall@5", MAIN, "recall@25", "recall@50")
HEAD = "| | tier | R@1 | R@5 | R@10 | R@25 | R@50 | MedR | p (Holm) | seeds | failed checks |\n|---|---" + "|---:" * 8 + "|---|"
FAILED = ": FAILED, "  # between the name of a check and what it says, in a finding


def table(rows: Sequence[Sequence[Entry]], tests: Sequence[Comparison], direction: str) -> Iterator[str]:
    """One line a row, the best R@10 first."""
    p_of = {t.first: t.p_holm for t in tests if (t.direction, t.metric, t.second) == (direction, MAIN, CHANCE)}
    yield f"**{direction.replace('_', ' ').capitalize()}**\n\n{HEAD}"
    for seeds in sorted(rows, key=lambda seeds: -seeds[0].values["group"]["scores"][direction][MAIN]["mean"]):
        group = seeds[0].values["group"]
        means = {name: found["mean"] for name, found in group["scores"][direction].items()}
        ends = {name: found["ci95"] for name, found in group["headline"][direction].items()}
        cells = [group["name"], str(group["tiers"][direction][MAIN]["tier"] or "none")]
        cells += [f"{100 * means[name]:.1f}" + _interval(ends.get(name), 100) for name in RECALLS]
        cells += [f"{means['median_rank']:.1f}" + _interval(ends["median_rank"], 1)]
        cells += [f"{p_of[group['name']]:.4f}" if group["name"] in p_of else "", str(len(seeds))]
        yield "| " + " | ".join([*cells, ", ".join(failed(seeds))]) + " |"


def _interval(ends: Sequence[float] | None, scale: float) -> str:
    return "" if ends is None else f" [{scale * ends[0]:.1f}, {scale * ends[1]:.1f}]"


def failed(seeds: Sequence[Entry]) -> list[str]:
    """The checks that failed in any fit, without those that a baseline fails by design."""
    return sorted({name for entry in seeds for name in entry.values["checks"]["failed"]})


def between(tests: Sequence[Comparison]) -> Iterator[str]:
    """The paired tests of two baselines."""
    yield "| R@10, paired | video to music, points | p (Holm) | music to video, points | p (Holm) |\n|---|---:|---:|---:|---:|"
    pairs: dict[str, list[str]] = defaultdict(list)
    for test in sorted(tests, key=lambda t: DIRECTIONS.index(t.direction)):
        if test.kind == "pair" and test.metric == MAIN:
            pairs[f"{test.first} - {test.second}"] += [f"{100 * test.difference:+.1f}", f"{test.p_holm:.4f}"]
    yield from ("| " + " | ".join([name, *cells]) + " |" for name, cells in pairs.items())


def said(rows: Sequence[Sequence[Entry]], run: RunFolder) -> Iterator[str]:
    """What each failed check said, in how many fits, and what the fits took."""
    keys = {fit["key"] for seeds in rows for entry in seeds for fit in entry.values["run"]["fits"]}
    jobs = run.read_table("jobs")
    fits = [] if jobs is None else [job for job in jobs.to_pylist() if job["key"] in keys]
    count = Counter((name, f"{job['baseline']} {job['variant']}") for job in fits for name in job["checks"])
    of_row = Counter(f"{job['baseline']} {job['variant']}" for job in fits)
    texts = {
        name: text for job in reversed(fits) for line in job["findings"] for name, sep, text in [line.partition(FAILED)] if sep
    }
    for name in sorted({name for name, _ in count}):
        where = ", ".join(f"{row} {n} of {of_row[row]}" for (check, row), n in sorted(count.items()) if check == name)
        yield f"- {name} failed in these fits: {where}. The first said: {texts[name]}."
    if not count:
        yield "- No check failed, but for those that chance fails by design."
    train_s, eval_s = (sum(job[name] for job in fits) for name in ("train_s", "eval_s"))
    yield f"- {len(fits)} fits: {train_s:.0f} s of training and {eval_s:.0f} s of ranking and checks, summed over fits."


def main(run: RunFolder) -> None:
    by_name: dict[str, list[Entry]] = defaultdict(list)
    for folder in record.find([run.path]):
        entry = record.read(folder)
        by_name[entry.values["group"]["name"]].append(entry)
    rows, tests = list(by_name.values()), results.comparisons(run)
    size = rows[0][0].values["scores"][V2M]
    print(f"{size['num_queries']} queries a direction, {size['gallery_size']} candidates on average.\n")
    for direction in DIRECTIONS:
        print("\n".join(table(rows, tests, direction)) + "\n")
    print("\n".join(between(tests)) + "\n")
    print("\n".join(said(rows, run)))


if __name__ == "__main__":
    main(RunFolder.open(Path(sys.argv[1])))
