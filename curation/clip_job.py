"""What the decode child does with one post: decode, find the border, measure, extract. One pass over the file, and no judgement.

A post gives one clip, or, where the recipe has clip.segment_s, its consecutive stretches. The border is found once on all of the
post that is decoded and holds for each of its clips: it belongs to the upload, the whole shows it better than 15 s of it do, and
the clips of a post are all cut alike.

Whatever can be decoded becomes a candidate, also a clip that some rule will refuse: curation.judge decides, and can decide anew.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from curation import border, clip_sound, fingerprint, hashes
from curation.border import Border
from curation.filters import cut_rate
from curation.songs import clip_id, song_id
from svmbench import media, plugins, settings
from svmbench.errors import BadInput, BadMedia, MissingExtra, Silent
from svmbench.media import ClipMedia, FrameNeed, Needs
from svmbench.recipe import Recipe
from svmbench.records import Clip, ClipPicture, ClipSound, Features, Fingerprint, Post, Thumbnails, Verdict
from svmbench.store import RunFolder

STAGE = "curate"
RUN_WIDE = (MemoryError, MissingExtra)  # no fault of the plug-in or the clip: not turned into its failure
SMALL = FrameNeed(count=3, short_side_px=160, plane="rgb")  # ours: the thumbnails
JPEG_QUALITY = 70  # ours
Chosen = tuple[str, Any, Any]  # a filter: name, module, settings


@dataclass(frozen=True)
class Candidate:
    """What one decoding gives: the clip with every measure, what was seen and heard of it, and its features by name.

    fingerprint: None where the recipe does not look for songs by their sound.
    """

    clip: Clip
    picture: ClipPicture
    thumbnails: Thumbnails
    sound: ClipSound
    fingerprint: Fingerprint | None = None
    features: Mapping[str, Features] = field(default_factory=dict)


def ask(module: Any, chosen: Any, value: float | None, others: Mapping[str, float | None]) -> Verdict:
    """A filter's verdict on its own measure; one with READS is shown the clip's other measures as well."""
    verdict: Verdict = module.judge(value, chosen, others) if getattr(module, "READS", ()) else module.judge(value, chosen)
    return verdict


def listed_filters(recipe: Recipe) -> list[Chosen]:
    """The filters that judge, in the recipe's order, which is that of the reasons."""
    modules = [(name, plugins.load("curation.filters", name), values) for name, values in recipe.filters.items()]
    return [(name, m, settings.build(m.Settings, values, where=f"filters.{name}")) for name, m, values in modules]


def measuring_filters(recipe: Recipe) -> list[Chosen]:
    """The filters that measure: those that the recipe lists, and those that are for every clip, with their defaults."""
    listed = listed_filters(recipe)
    others = [name for name in plugins.names("curation.filters") if name not in recipe.filters]
    modules = [(name, plugins.load("curation.filters", name)) for name in others]
    return listed + [(name, module, module.Settings()) for name, module in modules if module.EVERY_CLIP]


class ClipJob:
    """The work of the decode child: one post in, its Candidates out. BadMedia says why there is none."""

    def __init__(self, recipe: Recipe, folder: str) -> None:
        self.recipe, self.run_folder = recipe, RunFolder(folder)
        self.filters = measuring_filters(recipe)
        self.features = [(name, plugins.load("curation.features", name)) for name in recipe.features]
        self.border = border.method(recipe.borders.method)
        inside = [module.NEEDS for _, module, _ in self.filters] + [module.NEEDS for _, module in self.features]
        inside += [hashes.NEEDS, cut_rate.NEEDS, clip_sound.NEEDS]
        self.hears_beats = any(name == "beats" for name, _ in self.features)
        self.listens = recipe.songs.by == "fingerprint"
        if self.listens:
            inside.append(fingerprint.NEEDS)
        thumbnails = Needs(frames=(SMALL,))
        self.needs = media.union([self.border.NEEDS, thumbnails, *inside])
        self.inside = media.union([thumbnails, *inside])
        self.let_go = set(self.needs.frames) - {need for needs in inside for need in needs.frames}
        for _, module, _ in self.filters:
            if hasattr(module, "prepare"):
                module.prepare()  # a detector that does not work ends the run before it starts

    def run(self, post: Post) -> tuple[Candidate, ...]:
        path = self._path(post)
        if self.recipe.clip.segment_s is not None:
            return tuple(self._segments(post, path, self.recipe.clip.segment_s))
        whole = media.decode(path, self.needs, self.recipe.clip.max_s, frames=self.recipe.clip.frames)
        found, small = self.border.find(whole), _thumbnails(clip_id(post), whole)
        clip = whole.with_box(found.box, without=self.let_go)
        del whole  # and with it the pictures that only it needed
        return (self._candidate(post, path, clip, found, small),)

    def _segments(self, post: Post, path: Path, segment_s: float) -> Iterator[Candidate]:
        rule = self.recipe.clip
        whole, stretches = media.decode_segments(
            path, self.border.NEEDS, self.inside, rule.max_s, segment_s=segment_s, min_s=rule.min_s, frames=rule.frames
        )
        found = self.border.find(whole)
        del whole
        for number, uncut in stretches:
            small = _thumbnails(clip_id(post, number), uncut)
            yield self._candidate(post, path, uncut.with_box(found.box, without=[SMALL]), found, small)

    def _candidate(self, post: Post, path: Path, clip: ClipMedia, found: Border, small: Thumbnails) -> Candidate:
        name = small.clip_id
        taken, errors = self._measured(clip)
        measures = {
            "audio_s": clip.probe.audio_s, "container_s": clip.probe.container_s, "bytes_per_s": _bytes_per_s(path, clip),
            "border_confidence": found.confidence,
            **taken,
        }  # fmt: skip
        return Candidate(
            features=self._extracted(clip),
            clip=_clip(name, post, clip, measures),
            picture=_picture(name, self.recipe.borders.method, found, clip),
            thumbnails=small,
            sound=clip_sound.of(name, clip, errors=errors, hears_beats=self.hears_beats),
            fingerprint=self._fingerprint(name, clip),
        )

    def _path(self, post: Post) -> Path:
        try:
            return self.run_folder.media_path(post.sha256 or "")
        except BadInput as error:
            raise BadMedia("no_media", str(error)) from error

    def _measured(self, clip: ClipMedia) -> tuple[dict[str, float | None], dict[str, str]]:
        """What every filter measures, by the measure's name, and why one could not: then its value is None, never 0."""
        found: dict[str, float | None] = {}
        errors = {}
        for _, module, chosen in self.filters:
            try:
                value = module.measure(clip, chosen)
                if value is not None and not math.isfinite(value):
                    raise ValueError(f"the measure is {value}")
            except RUN_WIDE:
                raise
            except Exception as error:
                value, errors[module.NAME_OF_MEASURE] = None, detail(error)
            found[module.NAME_OF_MEASURE] = None if value is None else float(value)
        return found, errors

    def _fingerprint(self, name: str, clip: ClipMedia) -> Fingerprint | None:
        if not self.listens:
            return None
        words, landmarks = fingerprint.of(clip)
        return Fingerprint(clip_id=name, words=words, landmarks=landmarks)

    def _extracted(self, clip: ClipMedia) -> dict[str, Features]:
        """Every feature that the clip can have: one without audio has none of the music's."""
        found = {}
        for name, module in self.features:
            try:
                found[name] = _sound_features(module.extract(clip), module.DIM)
            except Silent:
                continue
            except RUN_WIDE:
                raise
            except Exception as error:
                raise BadMedia(f"feature_{name}", detail(error)) from error
        return found


def detail(error: Exception) -> str:
    """An unexpected exception on one line."""
    return f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"


def _sound_features(found: Features, dim: int) -> Features:
    steps, width = found.values_TD.shape
    if width != dim or not steps or not np.isfinite(found.values_TD).all():
        raise ValueError(f"features of shape {found.values_TD.shape}, not all finite or not {dim} columns wide")
    return found


def _thumbnails(name: str, whole: ClipMedia) -> Thumbnails:
    frames = whole.frames(SMALL)
    options = [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY]
    jpegs = [cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), options)[1].tobytes() for image in frames.images]
    return Thumbnails(clip_id=name, times_s=tuple(map(float, frames.times_s_T)), jpegs=tuple(jpegs))


def _bytes_per_s(path: Path, clip: ClipMedia) -> float | None:
    """Size of the file by the length of its whole picture; None where the file does not say its length."""
    length_s = clip.probe.container_s
    return path.stat().st_size / length_s if length_s and math.isfinite(length_s) else None


def _picture(name: str, method: str, found: Border, clip: ClipMedia) -> ClipPicture:
    times_s, codes, qualities, layouts = hashes.of(clip)
    return ClipPicture(
        clip_id=name,
        border_method=method,
        border_kinds=tuple(side.kind for side in found.sides),
        border_confidences=tuple(side.confidence for side in found.sides),
        cut_times_s=cut_rate.cut_times(clip),
        hash_times_s=times_s,
        hashes=codes,
        hash_qualities=qualities,
        hash_layouts=layouts,
    )


def _clip(name: str, post: Post, clip: ClipMedia, measures: Mapping[str, float | None]) -> Clip:
    return Clip(
        clip_id=name,
        post_id=post.post_id,
        song_id=song_id(post),
        start_s=clip.start_s,
        end_s=clip.end_s,
        fps=clip.probe.fps,
        width_px=clip.probe.width_px,
        height_px=clip.probe.height_px,
        box=clip.box,
        media=post.sha256 or "",
        measures=dict(sorted(measures.items())),  # whatever the order of the recipe
    )
