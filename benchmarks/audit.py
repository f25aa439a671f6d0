"""The integrity checks on what lies on the disk: a record, a run folder with its records, or an embeddings file.

What needs the fitted model cannot be run again from there; it is then told as the fit recorded it, and as not run where nothing
was recorded. Nothing is written.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import checks, data, record, record_check
from benchmarks.checks import Evidence, Finding
from benchmarks.embeddings import read_embeddings
from benchmarks.metrics import median_rank, recall
from benchmarks.ranking import Ranks, retrieve
from benchmarks.record import Entry
from svmbench import plugins
from svmbench.errors import BadInput
from svmbench.records import V2M
from svmbench.store import RunFolder

WORST = {False: 0, True: 1, None: 2}  # of several findings of one check, the first of these is told
SEPARATOR = ": "
BASELINES = "benchmarks.baselines"


@dataclass(frozen=True)
class Audited:
    """One result, embeddings file or split, and what was found. excused: checks whose failure is the point of this baseline.
    scores: recalls in percent and median rank by direction, for people; empty for a split."""

    name: str
    findings: tuple[Finding, ...]
    excused: frozenset[str] = frozenset()
    scores: str = ""


def of_embeddings(path: Path) -> Audited:
    """Ranks the file, and runs all checks that embeddings and ranks suffice for."""
    read = read_embeddings(path)
    ranks = retrieve(read.video_ND, read.music_ND, read.song_N)
    evidence = Evidence(video_ND=read.video_ND, music_ND=read.music_ND, song_N=read.song_N, ranks=ranks)
    return Audited(path.name, tuple(checks.run(evidence)), scores=scores(ranks))


def of_records(paths: Sequence[Path]) -> list[Audited]:
    """Every record at or below the paths, and for a run folder the data behind them, one row a split.

    BadInput: there is no record, or one that cannot be read.
    """
    entries = [(folder, *record_check.examine(folder)) for folder in record.find(paths)]
    found = [_of_entry(entry, faults) for folder, entry, faults in entries if entry is not None]
    found += [Audited(folder.name, (_whole(faults),)) for folder, entry, faults in entries if entry is None]
    runs: dict[tuple[Path, str, int | None], None] = {}
    for folder, entry, _ in entries:
        if entry is not None:
            about = entry.values["data"]
            runs.setdefault((folder.parent.parent / "features" / about["revision"][:16], about["split"], about["folds"]))
    return [_of_data(*about) for about in runs if about[0].is_dir() or RunFolder(about[0].parent.parent).is_run()] + found


def scores(ranks: Mapping[str, Ranks]) -> str:
    """'video to music R@1 3.2, R@10 20.1, MedR 41; music to video ...'."""
    said = []
    for direction, found in ranks.items():
        recalls = ", ".join(f"R@{k} {100 * recall.score(found, k):.1f}" for k in (1, 10))
        said.append(f"{direction.replace('_to_', ' to ')} {recalls}, MedR {median_rank.score(found):g}")
    return "; ".join(said)


def _of_entry(entry: Entry, faults: list[str]) -> Audited:
    if not entry.lists:
        return Audited(entry.title, (_whole(faults),))
    ranks = {direction: found.ranks for direction, found in entry.lists.items()}
    queries = entry.lists.get(V2M) or next(iter(entry.lists.values()))
    song_N = np.unique(queries.songs, return_inverse=True)[1].astype(np.int64)
    evidence = Evidence(ranks=ranks, song_N=song_N, unit=entry.values["protocol"]["gallery_unit"])
    findings = [_whole(faults), *_with_recorded(checks.run(evidence), entry.values["checks"])]
    baseline = entry.values["model"]["baseline"]
    ours = entry.values["kind"] == "reproduced" and baseline in plugins.names(BASELINES)
    module = plugins.load(BASELINES, baseline) if ours else None
    return Audited(entry.title, tuple(findings), frozenset(getattr(module, "BY_DESIGN", ())), scores(ranks))


def _whole(faults: list[str]) -> Finding:
    """Whether the record is whole and its scores follow from its ranks."""
    told = "; ".join(faults) or "whole, and every score follows from the ranks"
    return Finding("record", not faults, float(len(faults)), told)


def _with_recorded(again: Iterable[Finding], said: Mapping[str, Any]) -> list[Finding]:
    """The findings made anew; where a check could not be run, what its fits recorded of it (in the worst of the folds)."""
    word = {text: passed for passed, text in checks.WORDS.items()}
    recorded: dict[str, list[Finding]] = {}
    for line in said["findings"]:
        name, _, rest = line.partition(SEPARATOR)
        passed, _, told = rest.partition(", ")
        if passed in word:
            recorded.setdefault(name, []).append(Finding(name, word[passed], None, f"as the fit recorded: {told}"))
    found = [
        worst(recorded[f.check]) if f.passed is None and f.check in recorded else f
        for f in (*again, *(Finding(name, None, None, "") for name in recorded))
    ]
    return list({finding.check: finding for finding in reversed(found)}.values())[::-1]


def worst(findings: Sequence[Finding]) -> Finding:
    """One finding for several of one check: a failed one where any failed, and in how many."""
    first = min(findings, key=lambda finding: WORST[finding.passed])
    same = sum(finding.passed == first.passed for finding in findings)
    return first if same == len(findings) else replace(first, detail=f"{first.detail} (in {same} of {len(findings)} folds)")


def _of_data(folder: Path, split: str, folds: int | None) -> Audited:
    """The checks of songs, files and clusters, on the feature pack that the results were made of. Those that fit something to the
    features take minutes, and the records say what they found."""
    name = f"the data, {split}"
    try:
        pack = data.open_pack(folder)
        parts = [data.split_parts(pack)] if folds is None else [data.fold_parts(pack, folds, fold) for fold in range(folds)]
    except BadInput as error:
        return Audited(name, (Finding("data", None, None, f"not run: {error}"),))
    by_check: dict[str, list[Finding]] = {}
    for index in parts:
        facts = data.facts(pack, index)
        for finding in checks.run(Evidence(facts=facts, song_N=facts["test"].song_N), of_the_data=True):
            by_check.setdefault(finding.check, []).append(finding)
    return Audited(name, tuple(found for findings in by_check.values() if (found := worst(findings)).passed is not None))
