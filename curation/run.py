"""posts -> clips, measures, features -> splits.

A post becomes one clip: its beginning, at most clip.max_s long. One pass decodes it in a supervised child; the border is found
first, then every filter of the recipe measures inside it, then the features are extracted from what all filters keep.
"""

from __future__ import annotations

import importlib.util
import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Any

import pyarrow as pa

from curation import border
from curation.clip_job import STAGE, ClipJob, Outcome, dropped, filter_settings, post_key
from curation.isolate import Item, Supervisor
from curation.split import split
from svmbench import plugins, records, settings
from svmbench.errors import BadMedia, BadSettings, MissingExtra
from svmbench.fleet import Fleet, WorkerLost
from svmbench.progress import Progress, Stage
from svmbench.recipe import Recipe
from svmbench.records import Clip, Drop, Post, Split
from svmbench.store import RunFolder, Writer

BATCH, BATCH_S = 16, 10.0  # ours: finished posts a commit, and how long they may wait for it
LIMIT_S, LIMIT_FACTOR = 30.0, 4.0  # ours: wall time a post may take, and how often its length
LIBRARIES = ("av", "cv2", "skimage", "scipy", "soxr")


def check(recipe: Recipe) -> None:
    """Raises before anything starts: unknown filters or features, settings out of range, missing libraries."""
    for name in recipe.features:
        if name not in plugins.names("curation.features"):
            plugins.load("curation.features", name)  # raises with the known names
    missing = [name for name in LIBRARIES if importlib.util.find_spec(name) is None]
    if missing:
        raise MissingExtra(f"curating needs {', '.join(missing)}; pip install 'svmbench[curate]'")
    filter_settings(recipe)
    border.method(recipe.borders.method)


def curate(recipe: Recipe, run: RunFolder, fleet: Fleet, progress: Progress) -> None:
    """Brings the clips, features, drops and splits of a run up to date with its posts; done posts are not done again."""
    check(recipe)
    _same_settings(recipe, run)
    posts = {post_key(post): post for post in run.read(Post, "posts")}
    with progress.stage(STAGE, total=len(posts), unit="posts") as stage, run.writing(STAGE) as writer:
        stage.summary.seen = len(posts)
        done = _account_done(run, stage, posts)
        todo = {key: post for key, post in posts.items() if key not in done}
        stage.summary.left = len(todo)
        if todo:
            _work(recipe, run, fleet, stage, writer, todo)
    _split(recipe, run, progress)


def _same_settings(recipe: Recipe, run: RunFolder) -> None:
    """Stores what defines the clips; BadSettings where the run's clips were made with something else."""
    chosen = recipe.model_dump(mode="json", include={"clip", "borders", "features"})
    chosen["filters"] = {name: asdict(s) for name, s in filter_settings(recipe).items()}
    mark = settings.settings_hash(chosen)
    before = run.settings().get(STAGE, {})
    if before.get("hash") not in (None, mark) and run.done_ids(STAGE):
        old = before.get("settings", {})
        changed = sorted(key for key in chosen if old.get(key) != json.loads(json.dumps(chosen[key])))
        raise BadSettings(
            f"{run.path} was curated with other settings ({', '.join(changed)} changed); choose a new --out, or use --fresh"
        )
    modality = {name: plugins.load("curation.features", name).MODALITY for name in recipe.features}
    run.write_settings({STAGE: {"hash": mark, "settings": chosen}, "features": modality})


def _account_done(run: RunFolder, stage: Stage, posts: Mapping[str, Post]) -> set[str]:
    """Counts what an earlier start of the same command has finished."""
    done = run.done_ids(STAGE) & set(posts)
    drops = {d.id: d for d in run.read(Drop, "drops") if d.stage == STAGE and d.id in done}
    for key in done:
        drop = drops.get(key)
        if drop is None:
            stage.add(kept=1)
        else:
            _count(stage, drop)
    if done:
        stage.summary.notes.append(f"{len(done)} of {len(posts)} posts were done before")
    return done


def _count(stage: Stage, drop: Drop) -> None:
    if drop.kind == "rule":
        stage.add(dropped=drop.reason)
    else:
        stage.add(failed=drop.reason)


def _work(recipe: Recipe, run: RunFolder, fleet: Fleet, stage: Stage, writer: Writer, todo: Mapping[str, Post]) -> None:
    """Maps the posts over the supervised children and commits what is finished, also when the run is broken off."""
    items = [Item(post, _limit_s(post, recipe)) for post in todo.values()]
    began, waiting, committed = time.monotonic(), dict[str, Outcome](), time.monotonic()
    workers = max(1, min(fleet.num_cpus, len(items)))
    results: Any = fleet.map(Supervisor, (ClipJob, recipe, str(run.path)), items, workers=workers)
    try:
        for item, value in results:
            stage.summary.startup_s = stage.summary.startup_s or time.monotonic() - began
            outcome = _outcome(item.payload, value)
            waiting[post_key(item.payload)] = outcome
            stage.summary.left -= 1
            if outcome.drop:
                _count(stage, outcome.drop)
            else:
                stage.add(kept=1)
            if len(waiting) >= BATCH or time.monotonic() - committed > BATCH_S:
                _commit(writer, waiting)
                waiting, committed = {}, time.monotonic()
    finally:
        results.close()  # the children end before the last commit
        if waiting:
            _commit(writer, waiting)


def _limit_s(post: Post, recipe: Recipe) -> float:
    length_s = min(post.duration_s or recipe.clip.max_s, recipe.clip.max_s)
    return max(LIMIT_S, LIMIT_FACTOR * length_s)


def _outcome(post: Post, value: Any) -> Outcome:
    """The one place where a bad file becomes a Drop."""
    if isinstance(value, Outcome):
        return value
    if isinstance(value, BadMedia):
        return dropped(post, "failure", value.reason, None, value.detail)
    if isinstance(value, WorkerLost):
        return dropped(post, "failure", "worker_lost", None, str(value))
    raise value


def _commit(writer: Writer, finished: Mapping[str, Outcome]) -> None:
    kept = [o for o in finished.values() if o.clip]
    tables: dict[str, pa.Table] = {
        "clips": records.to_table(Clip, [o.clip for o in kept]),
        "drops": records.to_table(Drop, [o.drop for o in finished.values() if o.drop]),
    }
    for name in sorted({name for o in kept for name in o.features}):
        rows = [(o.clip.clip_id, o.features[name]) for o in kept if o.clip]
        tables[f"features_{name}"] = records.features_table(rows)
    writer.commit(finished, tables)


def _split(recipe: Recipe, run: RunFolder, progress: Progress) -> None:
    """Splits the clips anew where they or the rule have changed."""
    clips = run.read(Clip, "clips")
    with progress.stage("split", total=len(clips), unit="clips") as stage:
        stage.summary.seen = len(clips)
        parts = split(clips, recipe.split)
        if parts != run.read(Split, "splits"):
            with run.writing("split") as writer:
                writer.clear()
                writer.commit([c.clip_id for c in clips], {"splits": records.to_table(Split, parts)})
        stage.add(kept=sum(len(part.clip_ids) for part in parts))
        stage.summary.notes += _shares(parts, clips)


def _shares(parts: list[Split], clips: list[Clip]) -> Iterator[str]:
    song = {clip.clip_id: clip.song_id for clip in clips}
    for part in parts:
        yield f"{part.name}: {len(part.clip_ids)} clips of {len({song[c] for c in part.clip_ids})} songs"
