"""The demo: the main job end to end on the embedded platform. Part of the roof."""

from __future__ import annotations

import csv
import re
import shutil
from collections import defaultdict
from pathlib import Path
from typing import Any

from svmbench.errors import BadInput
from svmbench.jobs import (
    REHEARSAL,
    RUNS,
    Where,
    check,
    crawl_job,
    leaderboard_job,
    publish_job,
)
from svmbench.jobs_baselines import baselines_job
from svmbench.jobs_curate import curate_job, report_job, sheet_job
from svmbench.progress import Progress
from svmbench.recipe import Recipe, load, parse
from svmbench.records import Clip, Drop
from svmbench.store import RunFolder


def demo_job(
    out: Path | None, media: Path | None, posts: int | None, where: Where, progress: Progress, *, fresh: bool = False
) -> dict[str, Any]:
    """The whole way: crawl, curate, publish to a loopback Hub, baselines, leaderboard. Returns what to tell the user.

    A folder of the user's may have too few songs for training; then the account of its files is the result.
    """
    recipe = _demo_recipe(media, posts)
    check(recipe)
    run = RunFolder(out or RUNS / recipe.name)
    if fresh and run.is_run() and "recipe" in run.settings():  # and so no folder of the user's
        shutil.rmtree(run.path)
    run = RunFolder.create(run.path)
    facts: dict[str, Any] = {"run": run.path}
    with where.fleet() as fleet:
        crawl_job(recipe, run, fleet, progress)
        curate_job(run, fleet, progress)
        if media:
            facts["what became of each file"] = file_account(run, media)
        if run.read_table("candidates") is not None:
            facts["contact sheet"] = sheet_job(run, None)
            facts["report"] = report_job(run, None)
        try:
            if run.read_table("clips") is None:
                raise BadInput("no clip was kept; the reasons are above")
            publish_job(run, None, f"demo/{recipe.name.replace('_', '-')}", REHEARSAL, progress)
            failed = baselines_job(run, fleet, progress)
            if failed:
                raise failed
            facts["leaderboard"] = leaderboard_job([run], run.path / "leaderboard")
        except BadInput as error:
            if not media:
                raise
            facts["leaderboard"] = f"none: {error}"
        if fleet.startup_s:
            progress.summaries[0].notes.append(f"starting Ray took {fleet.startup_s:.1f} s")
    return facts


def file_account(run: RunFolder, media: Path) -> Path:
    """Writes RUN/files.csv: for each file of the user's folder what became of it, and why."""
    from crawl.replica.build import posts_of

    outcomes = dict[str, tuple[str, str, str, str]]()
    for drop in run.read(Drop, "drops"):
        value = "" if drop.value is None else f"{drop.value:.3g}"
        outcomes.setdefault(drop.post, ("dropped" if drop.kind == "rule" else "failed", drop.reason, value, drop.detail))
    kept = defaultdict[str, list[Clip]](list)
    for clip in run.read(Clip, "clips"):
        kept[f"tiktok:{clip.post_id}"].append(clip)
    for key, clips in kept.items():
        lengths = " + ".join(f"{clip.end_s - clip.start_s:.1f} s" for clip in clips)
        outcomes[key] = ("kept", "", "", f"{lengths}, {clips[0].width_px}x{clips[0].height_px}")
    path = run.path / "files.csv"
    with open(path, "w", newline="") as handle:
        table = csv.writer(handle)
        table.writerow(("file", "outcome", "reason", "value", "detail"))
        for post_id, name in posts_of(media).items():
            table.writerow((name, *outcomes.get(f"tiktok:{post_id}", ("not reached", "", "", ""))))
    return path


def _demo_recipe(media: Path | None, posts: int | None) -> Recipe:
    values = load("demo").model_dump(mode="json")
    if posts:
        values["replica"]["posts"] = posts
    if media:
        if not media.is_dir():
            raise BadInput(f"--media: {media} is not a folder; name one that holds videos")
        values |= {"name": f"demo_{re.sub(r'[^a-z0-9]+', '_', media.resolve().name.lower()).strip('_') or 'media'}"}
        values["replica"]["media_dir"] = str(media.resolve())
        values["search"] |= {"duration_min_s": 0, "duration_max_s": 1e6}  # the curation decides, with a reason for each file
    return parse(values, "demo")
