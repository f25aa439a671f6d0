"""svmbench bench-borders: draws the cases, lets every method find their borders, and writes the tables and the contact sheet."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import av
import cv2

from curation import border
from curation.border_bench import cropdetect, render, score, sources
from curation.border_bench.job import CaseJob
from curation.border_bench.kinds import HALVES, Case
from curation.border_bench.plan import Labelled, labelled, plan
from curation.border_bench.report import Report, write
from curation.border_bench.score import Scored
from svmbench.errors import BadInput, BadMedia
from svmbench.fleet import Fleet, WorkerLost
from svmbench.progress import Progress

STAGE = "bench-borders"
METHODS = ("robust", "paper", *cropdetect.NAMES)
CASES = 300  # ours: a few videos a kind
PARTS = (*HALVES, "all")


def bench(
    out: Path,
    fleet: Fleet,
    progress: Progress,
    *,
    half: str = "held_out",
    videos: Path | None = None,
    labels: Path | None = None,
    cases: int | None = None,
    seed: int = 0,
    methods: Sequence[str] = (),
) -> Report:
    """Scores the methods on `cases` drawn videos of a half, or on the user's labelled videos, and writes the results into `out`.

    half: 'held_out', 'dev', or 'all' (half of the cases each). videos: a folder whose videos take the place of the built-in
    sources. labels: a table 'file,left,top,right,bottom' (depths in pixels) of videos that are scored instead of drawn ones.
    methods: names, all of METHODS where none is given.
    """
    known, notes = _known(methods or METHODS)
    items = labelled(labels) if labels else planned(half, CASES if cases is None else cases, seed, videos)
    scored, failed = _score(items, known, videos, fleet, progress)
    if not scored:
        raise BadInput(f"none of {len(items)} videos could be scored ({', '.join(f'{n} {r}' for r, n in failed.items())})")
    halves = dict.fromkeys(s.half for s in scored)
    report = Report(
        scores=score.table(scored, known),
        methods=known,
        settings={
            "half": list(halves), "videos": str(videos) if videos else None, "labels": str(labels) if labels else None,
            "cases": len(items), "seed": seed, "methods": list(known), "ffmpeg": cropdetect.version(),
            "pyav": av.__version__, "opencv": cv2.__version__, "codecs": list(render.codecs()),
        },
        failed=failed,
        notes=notes,
    )  # fmt: skip
    write(report, scored, out)
    return report


def planned(half: str, cases: int, seed: int, videos: Path | None = None) -> list[Case]:
    """The cases of a half, or of both."""
    if half not in PARTS:
        raise BadInput(f"--half {half} is none of: {', '.join(PARTS)}")
    if cases < 1:
        raise BadInput(f"--cases {cases}: at least 1 is needed")
    found = []
    for number, part in enumerate(HALVES if half == "all" else (half,)):
        pictures = sources.of_folder(videos, part) if videos else sources.built_in(part)
        share = (cases + 1 - number) // 2 if half == "all" else cases
        found += plan(part, share, seed, sources.kinds(part), list(pictures))
    return found


def _known(methods: Sequence[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """(the methods that can be run, notes for the table); UnknownName for a name that there is not."""
    for name in methods:
        if name not in cropdetect.NAMES:
            border.method(name)
    asked = [name for name in methods if name in cropdetect.NAMES]
    if not asked:
        return tuple(methods), ()
    if cropdetect.version() is None:
        rest = tuple(name for name in methods if name not in asked)
        if not rest:
            raise BadInput("ffmpeg is not installed, so cropdetect cannot be run; install it, or name other methods")
        return rest, (f"{', '.join(asked)}: not run, since ffmpeg is not installed",)
    return tuple(methods), (
        f"cropdetect: ffmpeg {cropdetect.version()}, limit {cropdetect.LIMIT}, round {cropdetect.ROUND}, on every frame; its CPU "
        "time is what the process takes longer than one that only decodes",
    )


def _score(
    items: Sequence[Case | Labelled], methods: tuple[str, ...], videos: Path | None, fleet: Fleet, progress: Progress
) -> tuple[list[Scored], dict[str, int]]:
    """(what was scored, in the order of the items; how many failed, by reason)."""
    scored, failed = dict[int, Scored](), Counter[str]()
    place = {id(item): number for number, item in enumerate(items)}
    args = (methods, str(videos.resolve()) if videos else None)
    with progress.stage(STAGE, total=len(items), unit="videos") as stage:
        stage.summary.seen = stage.summary.left = len(items)
        values: Any = fleet.map(CaseJob, args, items, workers=max(1, min(fleet.num_cpus, len(items))))
        for item, value in values:
            stage.summary.left -= 1
            if isinstance(value, Scored):
                scored[place[id(item)]] = value
                stage.add(kept=1)
            elif isinstance(value, BadMedia | WorkerLost):
                reason = value.reason if isinstance(value, BadMedia) else "worker_lost"
                failed[reason] += 1
                stage.add(failed=reason)
            else:
                raise value
    return [scored[number] for number in sorted(scored)], dict(failed)


def case_of(row: dict[str, Any]) -> Case:
    """The case of a line of cases.jsonl, to draw it again."""
    return Case(**row["case"])


def film(case: Case, path: Path, videos: Path | None = None) -> None:
    """Writes the video of a case, to look at it."""
    pictures = sources.of_folder(videos, case.half) if videos else sources.built_in(case.half)
    frames, _ = render.draw(case, sources.kinds(case.half), pictures)
    render.encode(frames, path, fps=case.fps, codec=case.codec, crf=case.crf)
