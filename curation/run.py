"""posts -> candidates, features, pictures -> clips -> splits.

A post becomes one candidate: its beginning, at most clip.max_s long; or several: that beginning in stretches of clip.segment_s.
One pass decodes it in a supervised child, which finds the border, measures and extracts (stage 'curate', whose items are posts).
Then the rules of the recipe and the search for near-duplicates decide which candidates are clips (stage 'judge', whose items are
clips): that needs no decoding, and can be done anew with other thresholds. The clips are split.
"""

from __future__ import annotations

import importlib.util
import json
import time
from collections.abc import Iterator, Mapping
from typing import Any

import pyarrow as pa

from curation import border, judge
from curation.clip_job import STAGE, Candidate, ClipJob, listed_filters
from curation.isolate import Item, supervised
from curation.judge import Changes, Judgement
from curation.review import decisions
from curation.split import remarks, split
from svmbench import optout, plugins, records
from svmbench.errors import BadInput, BadMedia, BadSettings, MissingExtra
from svmbench.fleet import Fleet, WorkerLost
from svmbench.progress import Progress, Stage
from svmbench.provenance import recipe_of
from svmbench.recipe import Recipe
from svmbench.records import (
    Clip,
    ClipPicture,
    ClipSound,
    Drop,
    Duplicate,
    Fingerprint,
    Label,
    Listening,
    Post,
    RuleVerdict,
    Song,
    Split,
    Thumbnails,
)
from svmbench.store import RunFolder, Writer

BATCH, BATCH_S = 16, 10.0  # ours: finished posts a commit, and how long they may wait for it
LIMIT_S, LIMIT_FACTOR = 30.0, 4.0  # ours: wall time a post may take, and how often its length
Found = tuple[Candidate, ...]  # of one post
LIBRARIES = ("av", "cv2", "skimage", "scipy", "soxr")
THRESHOLDS = (
    "clip.min_s",
    "filters",
    "duplicates",
    "sound",
    "songs",
    "labels",
    "beats",
    "split",
    "optout",
)  # of a recipe: what may change without decoding


def check(recipe: Recipe) -> None:
    """Raises before anything starts: unknown filters or features, settings out of range, missing libraries."""
    for name in recipe.features:
        if name not in plugins.names("curation.features"):
            plugins.load("curation.features", name)  # raises with the known names
    missing = [name for name in LIBRARIES if importlib.util.find_spec(name) is None]
    if missing:
        raise MissingExtra(f"curating needs {', '.join(missing)}; pip install 'svmbench[curate]'")
    listed_filters(recipe)
    border.method(recipe.borders.method)


def curate(recipe: Recipe, run: RunFolder, fleet: Fleet, progress: Progress) -> None:
    """Brings a run up to date with its posts and the recipe's thresholds; done posts are not decoded again."""
    check(recipe)
    modality = {name: plugins.load("curation.features", name).MODALITY for name in recipe.features}
    with run.writing(STAGE) as writer:
        measured = _same_measuring(recipe, run, run.read(Clip, "candidates"))
        run.write_settings({STAGE: {"measured": measured}, "features": modality})
        posts = {post.key: post for post in run.read(Post, "posts")}
        left_out = optout.read(recipe, run)
        optout.forget_media(left_out, posts.values(), run)
        with progress.stage(STAGE, total=len(posts), unit="posts") as stage:
            stage.summary.seen = len(posts)
            done = _account_done(run, stage, posts)
            todo = {key: post for key, post in posts.items() if key not in done}
            stage.summary.left = len(todo)
            refused = {key: drop for key, post in todo.items() if (drop := _not_decoded(post, left_out))}
            if refused:
                _commit(writer, refused)
                _account_refused(stage, refused)
            todo = {key: post for key, post in todo.items() if key not in refused}
            if todo:
                _work(recipe, run, fleet, stage, writer, todo)
        _judge(recipe, run, fleet, progress)
    _split(recipe, run, progress)


def rejudge(recipe: Recipe, run: RunFolder, fleet: Fleet, progress: Progress) -> Changes:
    """Applies other thresholds to what was measured, and makes this the run's recipe; nothing is decoded, no media are needed.

    BadSettings names what else differs from the run's recipe.
    """
    check(recipe)
    old, new = recipe_of(run).model_dump(mode="json"), recipe.model_dump(mode="json")
    other = [key for key in _differing(old, new) if not key.startswith(THRESHOLDS)]
    if other:
        raise BadSettings(
            f"{', '.join(other)}: not as in the recipe of {run.path}; only {', '.join(THRESHOLDS)} can change without decoding"
        )
    with run.writing(STAGE):
        candidates = run.read(Clip, "candidates")
        _same_measuring(recipe, run, candidates)
        if not candidates:
            raise BadInput(f"{run.path} has nothing to judge yet; run 'svmbench curate' first")
        run.write_settings({"recipe": new})  # from here on the same command, or a plain 'curate', ends in the same tables
        found = _judge(recipe, run, fleet, progress)
    _split(recipe, run, progress)
    return found


def _differing(old: Any, new: Any, where: str = "") -> list[str]:
    """The keys, with dots, in which two trees of plain values differ."""
    if isinstance(old, dict) and isinstance(new, dict):
        keys = [(key, f"{where}.{key}" if where else key) for key in sorted({*old, *new})]
        return [found for key, path in keys for found in _differing(old.get(key), new.get(key), path)]
    return [] if old == new else [where]


def _same_measuring(recipe: Recipe, run: RunFolder, candidates: list[Clip]) -> dict[str, Any]:
    """What defines the candidates, for the settings; BadSettings where the run's were decoded with something else."""
    new: dict[str, Any] = json.loads(json.dumps(judge.measured_with(recipe)))
    if not run.done_ids(STAGE):
        return new
    old = run.settings().get(STAGE, {}).get("measured")
    if old is None:
        raise BadSettings(f"{run.path} was curated by an older svmbench, which kept too little to go on; use --fresh")
    both = set(old["filters"]) & set(new["filters"])
    one, other = ({**values, "filters": {name: values["filters"][name] for name in both}} for values in (old, new))
    if one.setdefault("fingerprints", False):  # older runs have none, and do not say so
        other["fingerprints"] = True  # what is there need not be asked for
    elif other["fingerprints"]:
        raise BadSettings(
            f"{run.path} was decoded without fingerprints of the sound; write 'songs: {{by: platform}}' into the recipe, or "
            "decode again with 'svmbench curate --fresh'"
        )
    changed = _differing(one, other)
    if changed:
        raise BadSettings(
            f"{run.path} was decoded with other settings ({', '.join(changed)} changed); choose a new --out, or use --fresh"
        )
    judge.require_measures(recipe, candidates)
    return {**other, "filters": {**old["filters"], **new["filters"]}}


def _not_decoded(post: Post, left_out: optout.OptOut) -> Drop | None:
    """The reason not to look at a post's media at all."""
    if left_out.has(post.key, post.author_hash):
        return Drop(id=post.key, stage=STAGE, kind="rule", reason=optout.REASON)
    if post.sha256 is None:
        why = "the platform told of this post and gave no media; fetch it with the platform 'ids'"
        return Drop(id=post.key, stage=STAGE, kind="rule", reason="metadata_only", detail=why)
    return None


def _account_refused(stage: Stage, refused: Mapping[str, Drop]) -> None:
    for drop in refused.values():
        _count(stage, drop)
    stage.summary.left -= len(refused)


def _account_done(run: RunFolder, stage: Stage, posts: Mapping[str, Post]) -> set[str]:
    """Counts what an earlier start of the same command has finished."""
    done = run.done_ids(STAGE) & set(posts)
    drops = {d.id: d for d in run.read(Drop, "drops") if d.stage == STAGE and d.id in done}
    for key in done:
        if key in drops:
            _count(stage, drops[key])
        else:
            stage.add(kept=1)
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
    items = [Item(post, _limit_s(post, recipe), key) for key, post in todo.items()]
    began, waiting, committed = time.monotonic(), dict[str, Found | Drop](), time.monotonic()
    workers = max(1, min(fleet.num_cpus, len(items)))
    results: Any = supervised(fleet, ClipJob, (recipe, str(run.path)), items, workers=workers, notes=run.path / "at-work")
    try:
        for item, value in results:
            stage.summary.startup_s = stage.summary.startup_s or time.monotonic() - began
            outcome = waiting[item.payload.key] = _outcome(item.payload, value)
            stage.summary.left -= 1
            if isinstance(outcome, Drop):
                _count(stage, outcome)
            else:
                stage.add(kept=1)
            if len(waiting) >= BATCH or time.monotonic() - committed > BATCH_S:
                batch, waiting, committed = waiting, {}, time.monotonic()  # taken first: never committed twice
                _commit(writer, batch)
    finally:
        results.close()  # the children end before the last commit
        if waiting:
            _commit(writer, waiting)


def _limit_s(post: Post, recipe: Recipe) -> float:
    length_s = min(post.duration_s or recipe.clip.max_s, recipe.clip.max_s)
    return max(LIMIT_S, LIMIT_FACTOR * length_s)


def _outcome(post: Post, value: Any) -> Found | Drop:
    """The one place where a bad file becomes a Drop."""
    if isinstance(value, tuple):
        return value
    if isinstance(value, BadMedia):
        return Drop(id=post.key, stage=STAGE, kind="failure", reason=value.reason, detail=value.detail)
    if isinstance(value, WorkerLost):
        return Drop(id=post.key, stage=STAGE, kind="failure", reason="worker_lost", detail=str(value))
    raise value


def _commit(writer: Writer, finished: Mapping[str, Found | Drop]) -> None:
    found = [candidate for outcome in finished.values() if not isinstance(outcome, Drop) for candidate in outcome]
    tables: dict[str, pa.Table] = {
        "candidates": records.to_table(Clip, [c.clip for c in found]),
        "pictures": records.to_table(ClipPicture, [c.picture for c in found]),
        "thumbnails": records.to_table(Thumbnails, [c.thumbnails for c in found]),
        "sounds": records.to_table(ClipSound, [c.sound for c in found]),
        "fingerprints": records.to_table(Fingerprint, [c.fingerprint for c in found if c.fingerprint]),
        "drops": records.to_table(Drop, [outcome for outcome in finished.values() if isinstance(outcome, Drop)]),
    }
    for name in sorted({name for c in found for name in c.features}):
        rows = [(c.clip.clip_id, c.features[name]) for c in found if name in c.features]
        tables[f"features_{name}"] = records.features_table(rows)
    writer.commit(finished, tables)


def _judge(recipe: Recipe, run: RunFolder, fleet: Fleet, progress: Progress) -> Changes:
    """Judges all candidates anew, and writes the tables where that changes them."""
    candidates = run.read(Clip, "candidates")
    with progress.stage(judge.STAGE, total=len(candidates), unit="clips") as stage, run.writing(judge.STAGE) as writer:
        stage.summary.seen = stage.summary.left = len(candidates)
        before = _judged(run)
        after = judge.judge(recipe, _evidence(recipe, run, candidates, stage), fleet)
        if after != before:
            writer.replace([clip.clip_id for clip in candidates], _tables(after))
        run.write_settings({judge.STAGE: {"settings": judge.thresholds(recipe)}})
        stage.summary.left = 0
        stage.summary.notes += after.remarks
        stage.add(kept=len(after.clips))
        for drop in after.drops:
            _count(stage, drop)
        return judge.changes(before.outcomes(), after.outcomes())


def _evidence(recipe: Recipe, run: RunFolder, candidates: list[Clip], stage: Stage) -> judge.Evidence:
    log, left_out = decisions.read(run.path), optout.read(recipe, run)
    stage.summary.notes += [f"line {p.line} of review/{decisions.FILE} was skipped: {p.why}" for p in log.problems]
    return judge.Evidence(
        candidates=sorted(candidates, key=lambda clip: clip.clip_id),
        pictures=lambda: {p.clip_id: p for p in run.read(ClipPicture, "pictures")},
        prints=lambda: {p.clip_id: p for p in run.read(Fingerprint, "fingerprints")},
        lacking=_lacking(recipe, run, candidates),
        errors={s.clip_id: s.errors for s in run.read(ClipSound, "sounds") if s.errors},
        decisions=decisions.settled(log),
        posts=lambda: run.read(Post, "posts"),
        opted_out=_opted_out(left_out, run, candidates) if left_out != optout.OptOut() else frozenset(),
        listening=next(iter(run.read(Listening, "listening")), None),
    )


def _opted_out(left_out: optout.OptOut, run: RunFolder, candidates: list[Clip]) -> frozenset[str]:
    """Ids of the clips whose post or author is on the list."""
    posts = {f"{post.platform}-{post.post_id}" for post in run.read(Post, "posts") if left_out.has(post.key, post.author_hash)}
    return frozenset(clip.clip_id for clip in candidates if clip.clip_id.rpartition("-")[0] in posts)


def _judged(run: RunFolder) -> Judgement:
    """The judgement that the run has; empty where it has none."""
    drops = [drop for drop in run.read(Drop, "drops") if drop.stage == judge.STAGE]
    return Judgement(
        clips=run.read(Clip, "clips"),
        drops=drops,
        duplicates=run.read(Duplicate, "duplicates"),
        songs=run.read(Song, "songs"),
        verdicts=run.read(RuleVerdict, "verdicts"),
        labels=run.read(Label, "labels"),
        listening=next(iter(run.read(Listening, "listening")), None),
    )


def _tables(found: Judgement) -> dict[str, pa.Table]:
    return {
        "clips": records.to_table(Clip, found.clips),
        "drops": records.to_table(Drop, found.drops),
        "duplicates": records.to_table(Duplicate, found.duplicates),
        "songs": records.to_table(Song, found.songs),
        "verdicts": records.to_table(RuleVerdict, found.verdicts),
        "labels": records.to_table(Label, found.labels),
        "listening": records.to_table(Listening, [found.listening] if found.listening else []),
    }


def _lacking(recipe: Recipe, run: RunFolder, candidates: list[Clip]) -> dict[str, str]:
    """clip_id -> the first feature of the recipe that the clip does not have."""
    found: dict[str, str] = {}
    for name in recipe.features:
        table = run.read_table(f"features_{name}", ["clip_id"])
        there = set() if table is None else set(table["clip_id"].to_pylist())
        for clip in candidates:
            if clip.clip_id not in there:
                found.setdefault(clip.clip_id, name)
    return found


def _split(recipe: Recipe, run: RunFolder, progress: Progress) -> None:
    """Splits the clips anew where they or the rule have changed."""
    clips = run.read(Clip, "clips")
    with progress.stage("split", total=len(clips), unit="clips") as stage:
        stage.summary.seen = len(clips)
        twins, posts, labels = run.read(Duplicate, "duplicates"), run.read(Post, "posts"), run.read(Label, "labels")
        parts = split(clips, recipe.split, twins, posts, labels)
        if parts != run.read(Split, "splits"):
            with run.writing("split") as writer:
                writer.replace([c.clip_id for c in clips], {"splits": records.to_table(Split, parts)})
        stage.add(kept=sum(len(part.clip_ids) for part in parts))
        stage.summary.notes += [*_shares(parts, clips), *remarks(parts, clips, recipe.split, twins, posts)]
        if recipe.duplicates.keep == "none":
            stage.summary.notes.append("near-duplicates were not looked for (duplicates.keep: none), so copies may be parted")


def _shares(parts: list[Split], clips: list[Clip]) -> Iterator[str]:
    song = {clip.clip_id: clip.song_id for clip in clips}
    for part in parts:
        yield f"{part.name}: {len(part.clip_ids)} clips of {len({song[c] for c in part.clip_ids})} songs"
