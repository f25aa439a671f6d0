"""A run -> its contact sheet. Everything comes from the run's tables; nothing is decoded and no media need be there."""

from __future__ import annotations

import base64
import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import partial
from importlib import resources
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
from markupsafe import Markup

from curation.clip_job import listed_filters
from curation.sheet import draw, margins
from curation.songs import drop_id, post_of
from svmbench import records
from svmbench.errors import BadInput
from svmbench.recipe import Recipe
from svmbench.records import Clip, ClipPicture, Drop, Duplicate, Post, Thumbnails
from svmbench.store import RunFolder, write_atomically

MOST_CARDS = 300  # ours: the clips nearest to a threshold; more make a page that a browser is slow with
MOST_FAILED = 200
MOTION_TOP = 0.98  # ours: the quantile of motion that reaches the top of every curve


def build(recipe: Recipe, run: RunFolder, out: Path) -> Path:
    """Writes the page to `out` (an .html file, or a folder that gets sheet.html) and returns its path."""
    clips = run.read(Clip, "candidates")
    if not clips:
        raise BadInput(f"{run.path} has no curated clips; run svmbench curate {run.path} first")
    path = out if out.suffix.lower() in (".html", ".htm") else out / "sheet.html"
    css, js = _packaged("page.css"), _packaged("page.js")
    html = _template().render(
        css=Markup(css), js=Markup(js), css_hash=_hash(css), js_hash=_hash(js), **_content(recipe, run, clips)
    )
    write_atomically(path, partial(Path.write_text, data=html, encoding="utf-8"))
    return path


def _content(recipe: Recipe, run: RunFolder, clips: Sequence[Clip]) -> dict[str, Any]:
    rules = margins.rules(listed_filters(recipe), clips)
    drops = run.read(Drop, "drops")
    refused = {d.id: d for d in drops if d.stage == "judge"}
    copies = {d.clip_id: d for d in run.read(Duplicate, "duplicates")}
    cards = [_card(clip, rules, refused, copies) for clip in clips]
    cards.sort(key=lambda c: (c["margin"] is None, c["margin"], c["clip"].clip_id))
    shown = cards[:MOST_CARDS]
    _illustrate(shown, run)
    failed = [d for d in drops if d.kind == "failure" and d.stage in ("curate", "judge")]
    return {
        "name": run.path.name, "about": recipe.about, "num_clips": len(clips), "cards": shown,
        "verdicts": Counter(c["verdict"] for c in cards).most_common(),
        "borders": Counter(c["border"] for c in shown).most_common(),
        "rules": [(rule, draw.histogram(rule)) for rule in rules if rule.values],
        "failed": failed[:MOST_FAILED], "num_failed": len(failed), "failures": Counter(d.reason for d in failed).most_common(),
        "measures": sorted({name for c in shown for name, value in c["clip"].measures.items() if value is not None}),
    }  # fmt: skip


def _card(
    clip: Clip, rules: Sequence[margins.Rule], refused: Mapping[str, Drop], copies: Mapping[str, Duplicate]
) -> dict[str, Any]:
    drop = refused.get(drop_id(clip))
    near = margins.nearest(rules, clip.measures)
    return {
        "clip": clip, "verdict": drop.reason if drop else "kept", "duplicate": copies.get(clip.clip_id),
        "margin": near[1] if near else None, "near": near[0] if near else None,
        "near_value": clip.measures.get(near[0].measure) if near else None,
    }  # fmt: skip


def _illustrate(cards: Sequence[dict[str, Any]], run: RunFolder) -> None:
    """Adds to each card what stands in other tables: thumbnails, border kinds, motion, the post's address."""
    wanted = {c["clip"].clip_id for c in cards}
    thumbnails = {t.clip_id: t for t in run.read(Thumbnails, "thumbnails") if t.clip_id in wanted}
    pictures = {p.clip_id: p for p in run.read(ClipPicture, "pictures") if p.clip_id in wanted}
    urls = {p.key: p.url for p in run.read(Post, "posts")}
    table = run.read_table("features_optical_flow")
    flows = {} if table is None else {k: f for k, f in records.features_from_table(table).items() if k in wanted}
    top = _motion_top([f.values_TD[:, 0] for f in flows.values()])
    for card in cards:
        clip: Clip = card["clip"]
        picture, flow = pictures.get(clip.clip_id), flows.get(clip.clip_id)
        cuts = picture.cut_times_s if picture else ()
        url = urls.get(post_of(clip), "")
        card.update(
            frames=draw.frames(clip, thumbnails.get(clip.clip_id)),
            curve=draw.motion(flow.values_TD[:, 0], flow.hop_s, clip, cuts, top) if flow else "",
            border=_border(picture), sides=_sides(clip, picture), num_cuts=len(cuts),
            url=url if url.startswith(("https://", "http://")) else "",
        )  # fmt: skip


def _motion_top(curves: Sequence[np.ndarray]) -> float:
    return max(float(np.quantile(np.concatenate(curves), MOTION_TOP)), 1e-3) if curves else 1.0


def _border(picture: ClipPicture | None) -> str:
    kinds = sorted({kind for kind in picture.border_kinds if kind != "none"}) if picture else []
    return " and ".join(kinds) or "none"


def _sides(clip: Clip, picture: ClipPicture | None) -> list[tuple[str, str, int, float]]:
    """(side, kind, depth in pixels, confidence) of the sides that are cut."""
    if picture is None or not clip.width_px:
        return []
    box = clip.box
    depths = (
        box.left_px, box.top_px, clip.width_px - box.left_px - box.width_px, clip.height_px - box.top_px - box.height_px
    )  # fmt: skip
    rows = zip(("left", "top", "right", "bottom"), picture.border_kinds, depths, picture.border_confidences, strict=True)
    return [row for row in rows if row[2] > 0]


def _template() -> jinja2.Template:
    env = jinja2.Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined)
    env.filters["number"] = lambda value: "not measured" if value is None else f"{value:.4g}"
    env.filters["words"] = lambda name: str(name).replace("_", " ")
    return env.from_string(_packaged("page.html"))


def _packaged(name: str) -> str:
    return resources.files("curation.sheet").joinpath(name).read_text(encoding="utf-8")


def _hash(content: str) -> str:
    """The hash by which the content security policy allows an inline script or style."""
    return "sha256-" + base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
