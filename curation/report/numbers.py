"""A run -> the numbers of its report, as plain values: the page shows them, report.json holds them.

Counts are of posts where the key is `posts`, of clips where it is `clips`; shares are in [0, 1]; None means that the run does not
have it (an older run, or a step that was not taken). Nothing here names a post, a song or a person.

    schema       SCHEMA; it rises when a key changes its meaning or goes
    run          {name, recipe, about, site, platform, preset, svmbench, commit, made: [{at, command, commit}]}
    account      {found, clips, dropped, waiting, adds_up, contradictions: {...}, stages: [{stage, came, rule, failure, waiting,
                 went_on}], reasons: [{stage, kind, reason, posts}]}; found = clips + dropped + waiting when it adds up. All are
                 posts; one that is cut into several clips counts once, as a clip or by its first clip's reason
    rules        [{filter, what, settings: {...}}] in the order of the reasons
    verdicts     [{verdict, filter, reason, clips, kept}] of the rules alone, or None
    measures     [{name, what, filter, num_measured, num_missing, quantiles, thresholds, histogram}] over all decoded clips
    durations    {hours, quantiles, histogram} of the clips
    songs        {num_clips, num_songs, largest, reuse: [{size, number}], sources: [{source, clips}], match_score: quantiles}
    words        [{word, posts, kept, clips, hours}], of the searches by which posts are categorised
    borders      [{kind, clips, kept, sides: [{size, number}]}] over all decoded clips
    duplicates   {num_clusters, num_clips, dropped, sizes: [{size, number}], match_share: quantiles}
    split        {rule, grouped_by, sha256, parts: [{name, clips, share, songs, hours}], in_no_part, audit: {leaks, line, remarks,
                 kinds: [{kind, checked, why_not, known, shared, pairs, touched}]}}; see curation.audit
    errors       [{measure, error, clips}] of detectors, or None
    review       see curation.report.people, or None where nobody has reviewed
    quantiles    {min, q05, q25, median, q75, q95, max}, or {}
    histogram    {edges, kept, refused_here, left_out}, or {}: measures.histogram; refused_here: by the rule on this measure;
                 left_out: for another reason, or where the run does not say what the rules alone say
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from curation.audit import Audit, audit
from curation.report import account, measures, people, together
from curation.songs import post_of
from svmbench import __version__
from svmbench.errors import BadInput
from svmbench.fleet import Fleet
from svmbench.recipe import Recipe
from svmbench.records import Clip, Drop, Duplicate, Post, RuleVerdict, Song, Split
from svmbench.store import RunFolder

SCHEMA = 1


def gather(recipe: Recipe, run: RunFolder) -> dict[str, Any]:
    """All numbers of the report; BadInput where the run has neither posts nor clips."""
    drops, clips = run.read(Drop, "drops"), run.read(Clip, "clips")
    words = {post.key: post.words for post in run.read(Post, "posts")}
    looked = run.read(Clip, "candidates") or clips
    if not (words or drops or clips):
        raise BadInput(f"{run.path} has no posts yet, so there is nothing to report; run 'svmbench crawl' first")
    kept, of_posts = {clip.clip_id for clip in clips}, account.of_posts(drops, clips)
    verdicts, sounds = run.read(RuleVerdict, "verdicts"), _column(run, "sounds", "errors")
    splits = run.read(Split, "splits")
    return {
        "schema": SCHEMA,
        "run": _of_run(recipe, run),
        "account": account.account(words.keys(), {post_of(c) for c in looked}, {post_of(c) for c in clips}, of_posts),
        "rules": measures.rules(recipe),
        "verdicts": measures.verdicts(verdicts, kept) if verdicts else None,
        "measures": measures.measures(recipe, looked, kept, {v.clip_id: v.filter for v in verdicts if v.verdict == "drop"}),
        "durations": _durations(clips),
        "songs": together.songs(clips, run.read(Song, "songs")),
        "words": account.words(words, clips),
        "borders": together.borders(_column(run, "pictures", "border_kinds") or {}, kept),
        "duplicates": together.duplicates(run.read(Duplicate, "duplicates")),
        "split": together.parts(splits, clips, _audited(run) if splits else None),
        "errors": measures.errors(sounds.values()) if sounds is not None else None,
        "review": people.review(run, verdicts),
    }


def _audited(run: RunFolder) -> Audit:
    with Fleet(local=True) as fleet:
        return audit(run.path, fleet)


def _of_run(recipe: Recipe, run: RunFolder) -> dict[str, Any]:
    settings = run.settings()
    history = settings.get("history", [])
    return {
        "name": run.path.name,
        "recipe": recipe.name,
        "about": recipe.about,
        "site": recipe.search.site,
        "platform": recipe.search.platform,
        "preset": recipe.sound.preset,
        "svmbench": __version__,
        "commit": settings.get("svmbench", {}).get("commit"),
        "made": [{"at": step.get("at"), "command": _action(step), "commit": step.get("commit")} for step in history],
    }


def _action(step: Mapping[str, Any]) -> str:
    """The command without its arguments, which may name a person's account or file."""
    return next(iter(str(step.get("command", "")).split()), "")


def _durations(clips: Sequence[Clip]) -> dict[str, Any]:
    lengths_s = [clip.end_s - clip.start_s for clip in clips]
    return {
        "hours": sum(lengths_s) / 3600,
        "quantiles": measures.quantiles(lengths_s),
        "histogram": measures.histogram(lengths_s, {"kept": lengths_s}),
    }


def _column(run: RunFolder, table: str, column: str) -> Mapping[str, Any] | None:
    """One column by clip_id, without reading the others, which are large; None where the run lacks the table."""
    found = run.read_table(table, ["clip_id", column])
    return None if found is None else dict(zip(found["clip_id"].to_pylist(), found[column].to_pylist(), strict=True))
