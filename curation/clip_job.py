"""What the decode child does with one post: decode, find the border, measure, judge, extract. One pass over the file."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from curation import border
from curation.songs import clip_id, song_id
from svmbench import media, plugins, settings
from svmbench.errors import BadInput, BadMedia, MissingExtra
from svmbench.media import ClipMedia
from svmbench.recipe import Recipe
from svmbench.records import Clip, Drop, Features, Post
from svmbench.store import RunFolder

STAGE = "curate"
RUN_WIDE = (MemoryError, MissingExtra)  # no fault of the plug-in or the clip: not turned into its failure


@dataclass(frozen=True)
class Outcome:
    """What became of one post: a clip with its features, or a drop."""

    clip: Clip | None = None
    drop: Drop | None = None
    features: Mapping[str, Features] = field(default_factory=dict)


def post_key(post: Post) -> str:
    """'platform:post_id', the id of a post in done-markers and drops."""
    return f"{post.platform}:{post.post_id}"


def filter_settings(recipe: Recipe) -> dict[str, Any]:
    """Filter name -> its Settings as the recipe gives them, in the recipe's order."""
    return {
        name: settings.build(plugins.load("curation.filters", name).Settings, values, where=f"filters.{name}")
        for name, values in recipe.filters.items()
    }


class ClipJob:
    """The work of the decode child: one post in, one Outcome out. BadMedia says why a file cannot be used."""

    def __init__(self, recipe: Recipe, folder: str) -> None:
        self.recipe, self.run_folder = recipe, RunFolder(folder)
        self.filters = [(name, plugins.load("curation.filters", name), s) for name, s in filter_settings(recipe).items()]
        self.features = [(name, plugins.load("curation.features", name)) for name in recipe.features]
        wanted = [plugin.NEEDS for _, plugin, _ in self.filters] + [plugin.NEEDS for _, plugin in self.features]
        self.border = border.method(recipe.borders.method)
        self.needs = media.union([self.border.NEEDS, *wanted])
        self.let_go = set(self.border.NEEDS.frames) - {need for n in wanted for need in n.frames}

    def run(self, post: Post) -> Outcome:
        decoded = media.decode(self._path(post), self.needs, self.recipe.clip.max_s)
        measures: dict[str, float | None] = {
            "truncated": float(decoded.probe.truncated), "audio_s": decoded.probe.audio_s
        }  # fmt: skip
        if decoded.duration_s < self.recipe.clip.min_s:
            return dropped(post, "rule", "too_short", decoded.duration_s, json.dumps(measures))
        clip = self._cropped(decoded, measures)
        refusal = self._measured(post, clip, measures)
        if refusal:
            return refusal
        found = {}
        for name, plugin in self.features:
            try:
                found[name] = _sound_features(plugin.extract(clip), plugin.DIM)
            except RUN_WIDE:
                raise
            except Exception as error:
                return dropped(post, "failure", f"feature_{name}", None, _detail(error))
        return Outcome(clip=_clip(post, clip, measures), features=found)

    def _path(self, post: Post) -> Path:
        try:
            return self.run_folder.media_path(post.sha256 or "")
        except BadInput as error:
            raise BadMedia("no_media", str(error)) from error

    def _cropped(self, decoded: ClipMedia, measures: dict[str, float | None]) -> ClipMedia:
        """The clip inside its border; the full-size frames that showed it are let go."""
        found = self.border.find(decoded)
        measures["border_confidence"] = found.confidence
        return decoded.with_box(found.box, without=self.let_go)

    def _measured(self, post: Post, clip: ClipMedia, measures: dict[str, float | None]) -> Outcome | None:
        """Adds every filter's measure; the first refusal as a drop, None where all keep."""
        first = None
        for name, plugin, chosen in self.filters:
            try:
                value = plugin.measure(clip, chosen)
                if value is not None and not math.isfinite(value):
                    raise ValueError(f"the measure is {value}")
                verdict = plugin.judge(value, chosen)
            except RUN_WIDE:
                raise
            except Exception as error:
                return dropped(post, "failure", f"filter_{name}", None, _detail(error))
            measures[plugin.NAME_OF_MEASURE] = None if value is None else float(value)
            first = first or (None if verdict.keep else verdict)
        return dropped(post, "rule", first.reason, first.value, json.dumps(measures)) if first else None


def dropped(post: Post, kind: str, reason: str, value: float | None, detail: str) -> Outcome:
    return Outcome(drop=Drop(id=post_key(post), stage=STAGE, kind=kind, reason=reason, value=value, detail=detail))


def _detail(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"


def _sound_features(found: Features, dim: int) -> Features:
    steps, width = found.values_TD.shape
    if width != dim or not steps or not np.isfinite(found.values_TD).all():
        raise ValueError(f"features of shape {found.values_TD.shape}, not all finite or not {dim} columns wide")
    return found


def _clip(post: Post, clip: ClipMedia, measures: Mapping[str, float | None]) -> Clip:
    return Clip(
        clip_id=clip_id(post),
        post_id=post.post_id,
        song_id=song_id(post),
        start_s=clip.start_s,
        end_s=clip.end_s,
        fps=clip.probe.fps,
        width_px=clip.probe.width_px,
        height_px=clip.probe.height_px,
        box=clip.box,
        media=post.sha256 or "",
        measures=dict(measures),
    )
