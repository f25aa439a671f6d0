"""The card of a release: its YAML head, its account of every post, its statistics, all from the run itself."""

from __future__ import annotations

import ast
import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
import yaml

from curation.published import kept_apart
from svmbench import __version__
from svmbench.recipe import Recipe
from svmbench.records import Clip, Drop, Split

FOLDER = Path(__file__).parent
SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"), (10**12, "1M<n<10M"))
WHAT = {
    "metadata": "song, search words, stretch of the post, size, border, and every measure of the filters",
    "splits": "which clip is in which part",
    "ids": "the platform's own ids",
}
MEASURED = {  # what curation.clip_job measures besides the filters
    "duration_s": "Length of the clip in seconds.",
    "audio_s": "Length of its sound in seconds.",
    "container_s": "Length of the whole file's picture in seconds, as the file claims.",
    "bytes_per_s": "Size of the file by that length.",
    "border_confidence": "How sure the border's least sure side is, in [0, 1]; of the sides that are cut, where any is.",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One part of the split as published. sha256: over the sorted public clip ids, one a line."""

    name: str
    clips: int
    songs: int
    hours: float
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """One configuration: rows a part."""

    name: str
    rows: Mapping[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """Where every post went that was found: found = published + the sum of out[].posts."""

    found: int
    published: int
    out: tuple[dict[str, Any], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What the cards say of a release. configs: the last is that of the ids. clips: the published ones. filters: as set."""

    version: str
    configs: list[Config]
    parts: list[Part]
    account: Account
    clips: list[Clip]
    split: Split
    filters: Mapping[str, Mapping[str, Any]]
    warnings: list[str]


def part(name: str, clips: list[Clip], public_ids: Iterable[str]) -> Part:
    """The figures of one part."""
    digest = hashlib.sha256("".join(f"{clip_id}\n" for clip_id in sorted(public_ids)).encode()).hexdigest()
    hours = sum(clip.end_s - clip.start_s for clip in clips) / 3600
    return Part(name=name, clips=len(clips), songs=len({clip.song_id for clip in clips}), hours=hours, sha256=digest)


def account(posts: Iterable[str], drops: Iterable[Drop], clips: Iterable[str], published: Iterable[str]) -> Account:
    """Each post once. All ids are 'platform:post_id'; `clips` have a clip, `published` have one in a part of the split.

    Of a post that was cut into several clips none of which is one, the first one's reason counts.
    """
    first = {drop.post: drop for drop in reversed(list(drops))}
    published, with_clip = set(published), set(clips)
    found = set(posts) | set(first) | with_clip
    out: Counter[tuple[str, str, str]] = Counter()
    for post in found - published:
        if post in with_clip:
            out["split", "in no part", "rule"] += 1
        elif post in first:
            out[first[post].stage, first[post].reason, first[post].kind] += 1
        else:
            out["", "not reached", "left"] += 1
    rows = sorted(out.items(), key=lambda item: (-item[1], item[0]))
    return Account(
        found=len(found),
        published=len(published),
        out=tuple({"stage": stage, "reason": reason, "kind": kind, "posts": n} for (stage, reason, kind), n in rows),
    )


@lru_cache
def plugin_texts(kind: str) -> dict[str, str]:
    """What the plug-ins of curation/KIND say of themselves: NAME -> first sentence of its docstring; of a filter also its
    measure's name. Read without importing them: whoever publishes need not have what they need.
    """
    found = {}
    for path in sorted((FOLDER / kind).glob("[!_]*.py")):
        module = ast.parse(path.read_text())
        text = re.split(r"(?<=\.)\s", " ".join((ast.get_docstring(module) or "").split()))[0]
        found[path.stem] = text
        for node in module.body:
            if (
                isinstance(node, ast.Assign)
                and isinstance(node.value, ast.Constant)
                and "NAME_OF_MEASURE" in ast.unparse(node.targets[0])
            ):
                found[str(node.value.value)] = text
    return found


def statistics(clips: Iterable[Clip]) -> list[dict[str, Any]]:
    """Quantiles of the duration and of every measure over the clips that have it, and what the measure is."""
    values: dict[str, list[float]] = {}
    for clip in clips:
        for name, value in {"duration_s": clip.end_s - clip.start_s, **clip.measures}.items():
            if value is not None and np.isfinite(value):
                values.setdefault(name, []).append(value)
    rows = []
    for name, numbers in sorted(values.items(), key=lambda item: (item[0] != "duration_s", item[0])):
        low, median, high = np.quantile(numbers, [0.05, 0.5, 0.95])
        what = MEASURED.get(name) or plugin_texts("filters").get(name, "")
        numbers_of = {"count": len(numbers), "low": float(low), "median": float(median), "high": float(high)}
        rows.append({"name": name, "what": what, **numbers_of})
    return rows


def head(recipe: Recipe, configs: list[Config], num_clips: int, *, ids: bool) -> str:
    """The YAML head that the Hub and load_dataset read."""
    title = recipe.publish.title + (": ids" if ids else "")
    values: dict[str, Any] = {
        "pretty_name": title,
        "license": recipe.publish.license_features,
        "size_categories": [next(name for limit, name in SIZES if num_clips < limit)],
        "task_categories": ["feature-extraction"],
        "tags": ["video-to-music-retrieval", "music-to-video-retrieval", "background-music", "short-video", "svmbench"],
        "configs": [
            {
                "config_name": config.name,
                **({"default": True} if number == 0 else {}),
                "data_files": [{"split": part, "path": f"{config.name}/{part}.parquet"} for part in config.rows],
            }
            for number, config in enumerate(configs)
        ],
    }
    if ids:
        values["extra_gated_prompt"] = (
            "These ids point to other people's posts. Use them for research only, do not try to find out who made a post, and "
            "delete what you have fetched when a new version takes it out."
        )
        values["extra_gated_fields"] = {"Affiliation": "text", "What I need the ids for": "text"}
    return yaml.safe_dump(values, sort_keys=False, allow_unicode=True, width=120)


def render(recipe: Recipe, facts: Facts) -> dict[str, str]:
    """The two cards, 'card.md' of the dataset and 'ids_card.md' of its ids."""
    songs = Counter(clip.song_id for clip in facts.clips)
    robots = recipe.robots if isinstance(recipe.robots, str) else f"not followed, because: {recipe.robots.ignore_because}"
    values = {
        "title": recipe.publish.title, "about": recipe.about, "version": facts.version, "svmbench": __version__,
        "name": recipe.name, "parts": facts.parts, "search": recipe.search,
        "embedded": "replica" in (recipe.search.site, recipe.search.platform), "robots": robots.replace("obey", "followed"),
        "clip": recipe.clip, "borders": recipe.borders.method, "filters": facts.filters,
        "texts": plugin_texts("filters"), "account": facts.account, "warnings": facts.warnings, "split": facts.split,
        "apart": " and ".join(", ".join(f"no {kind}" for kind in kept_apart(facts.split)).rsplit(", ", 1)),
        "statistics": statistics(facts.clips), "songs": len(songs),
        "clips": len(facts.clips), "largest_song": max(songs.values()), "captions": recipe.publish.captions,
        "license": recipe.publish.license_features, "contact": recipe.publish.contact,
    }  # fmt: skip
    cards = {}
    for name, shown in (("card.md", facts.configs[:-1]), ("ids_card.md", facts.configs[-1:])):
        rows = [
            {**asdict(config), "what": WHAT.get(config.name) or _feature_text(config.name.removeprefix("features_"))}
            for config in shown
        ]
        yaml_head = head(recipe, shown, len(facts.clips), ids=name == "ids_card.md")
        cards[name] = _environment().get_template(name).render(values, configs=rows, yaml=yaml_head)
    return cards


def _feature_text(name: str) -> str:
    return plugin_texts("features").get(name, f"The feature {name}, as it was imported.")


def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(FOLDER), undefined=jinja2.StrictUndefined, trim_blocks=True, keep_trailing_newline=True,
        autoescape=False,  # Markdown, not HTML: every value goes through the filter `md`
    )  # fmt: skip
    environment.filters["md"] = markdown_text
    return environment


def markdown_text(value: Any) -> str:
    """Any value as plain text inside Markdown: on one line, nothing in it can become markup."""
    return re.sub(r"([\\`*_\[\]<>|#])", r"\\\1", " ".join(str(value).split())).replace("\\<", "&lt;").replace("\\>", "&gt;")
