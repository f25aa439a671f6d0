"""A release: the folder that is published, made from a run folder.

    FOLDER/
      README.md            the card, with the configurations that load_dataset reads
      metadata/PART.parquet  splits/PART.parquet  features_NAME/PART.parquet
      recipe.yaml          the recipe with every default filled in, without local paths
      release.json         what this is: version, rows, split hashes, account
      tombstones.csv       clips that earlier versions had
      CHECKSUMS.sha256     of every other file; `sha256sum -c` reads it
    FOLDER-ids/            the platform's own ids, for a repository of their own to which access is asked

The same run gives the same bytes. Both folders are written aside, looked through, and only then put in place.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import yaml

from curation import card, published
from curation.forbidden import scan
from curation.songs import post_of
from svmbench import __version__, optout
from svmbench.errors import BadInput, BadSettings
from svmbench.hub import MARK, SUMS, checked_files
from svmbench.recipe import Recipe
from svmbench.records import Clip, Drop, Post, Split
from svmbench.store import RunFolder, disk_errors, sha256_file

RECIPE = "recipe.yaml"


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """What was written. rows: configuration -> part -> rows, 'ids' included. num_bytes: of both folders."""

    folder: Path
    ids_folder: Path
    version: str
    rows: dict[str, dict[str, int]]
    num_bytes: int
    warnings: tuple[str, ...]

    @property
    def configs(self) -> list[str]:
        """The configurations of the dataset; the ids are no part of it."""
        return [name for name in self.rows if name != "ids"]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Material:
    """What a run has to publish. clips: those in a part; by_part: our part name -> its clips in the split's order.

    split: its first part, which says what holds of all.
    """

    clips: list[Clip]
    by_part: dict[str, list[Clip]]
    names: dict[str, str]
    split: Split
    posts: dict[str, Post]
    drops: list[Drop]
    all_clips: list[Clip]
    warnings: list[str]


def write_release(recipe: Recipe, run: RunFolder, folder: Path, *, version: str = "1.0.0") -> Release:
    """Writes the release of a run into `folder` and `folder`-ids, in place of an earlier release there.

    Raises Leak, naming the pair, if the split is not clean, and BadInput if the folder holds something else.
    """
    if not all(number.isdigit() for number in version.split(".")) or version.count(".") != 2:
        raise BadSettings(f"version {version!r} is not like 1.0.0")
    folder = folder.absolute()
    targets = folder, folder.with_name(f"{folder.name}-ids")
    for target in targets:
        _refuse_foreign(target)
    with run.writing("publish"):
        material = _gather(recipe, run)
        drafts = [target.with_name(f".{target.name}.draft") for target in targets]
        try:
            with disk_errors(folder):
                rows = _draft(recipe, run, material, drafts, version)
            for draft in drafts:
                verify_release(draft)
            for draft, target in zip(reversed(drafts), reversed(targets), strict=True):
                _put_in_place(draft, target)
        finally:
            for draft in drafts:
                shutil.rmtree(draft, ignore_errors=True)
    warnings = list(material.warnings)
    for key, path in (
        ("replica.media_dir", recipe.replica.media_dir),
        ("optout", recipe.optout),
        ("search.source", recipe.search.source),
    ):
        if path:
            warnings.append(f"{key} is a path on this machine, which is not in recipe.yaml")
    size = sum(path.stat().st_size for target in targets for path in target.rglob("*") if path.is_file())
    return Release(folder=folder, ids_folder=targets[1], version=version, rows=rows, num_bytes=size, warnings=tuple(warnings))


def verify_release(folder: Path) -> None:
    """BadInput, naming the file, unless every file is as CHECKSUMS.sha256 says and none holds what is never published."""
    paths = checked_files(folder)
    try:
        recipe = yaml.safe_load((folder / RECIPE).read_text())
        captions = bool(recipe["publish"]["captions"])
    except (OSError, yaml.YAMLError, KeyError, TypeError) as error:
        raise BadInput(f"{folder}: {RECIPE} is missing or damaged; write the release anew") from error
    scan(folder, paths, captions=captions)


def _refuse_foreign(target: Path) -> None:
    if target.exists() and not (target / MARK).is_file() and (not target.is_dir() or any(target.iterdir())):
        raise BadInput(f"{target} exists and is not a release; choose a new or empty folder")


def _put_in_place(draft: Path, target: Path) -> None:
    """Renames the draft to the target; an earlier release steps aside first and goes when the new one stands."""
    with disk_errors(target):
        old = target.with_name(f".{target.name}.old")
        shutil.rmtree(old, ignore_errors=True)
        if target.exists():
            target.rename(old)
        draft.rename(target)
        shutil.rmtree(old, ignore_errors=True)


def _gather(recipe: Recipe, run: RunFolder) -> _Material:
    """Reads everything but the features, and audits the split."""
    made = list(run.read(Split, "splits"))
    splits = [part for part in made if part.clip_ids]
    if made and not splits:
        raise BadInput(f"{run.path} has no clip to publish: the curation kept none; 'svmbench curate report {run.path}' says why")
    if not splits:
        raise BadInput(f"{run.path} has no split to publish; run 'svmbench curate' first")
    clips = {clip.clip_id: clip for clip in run.read(Clip, "clips")}
    warnings = published.audit(splits, clips)
    by_part = {part.name: [clips[clip_id] for clip_id in part.clip_ids] for part in splits}
    posts = {f"{post.platform}-{post.post_id}": post for post in run.read(Post, "posts")}
    _refuse_opted_out(recipe, run, by_part, posts)
    chosen = [clip for part in by_part.values() for clip in part]
    if len(chosen) < len(clips):
        warnings.append(f"{len(clips) - len(chosen)} clips stand in no part of the split and are left out")
    return _Material(
        clips=chosen, by_part=by_part, names=published.part_names(splits), split=splits[0], posts=posts,
        drops=run.read(Drop, "drops"), all_clips=list(clips.values()), warnings=warnings,
    )  # fmt: skip


def _refuse_opted_out(recipe: Recipe, run: RunFolder, by_part: dict[str, list[Clip]], posts: dict[str, Post]) -> None:
    """BadInput if a clip of the split is on the opt-out list as it stands now."""
    left_out = optout.read(recipe, run)
    found = {
        post.key
        for clips in by_part.values()
        for clip in clips
        if (post := posts.get(clip.clip_id.rpartition("-")[0])) and left_out.has(post.key, post.author_hash)
    }
    if found:
        raise BadInput(
            f"{len(found)} posts of the split are on the opt-out list (the first is {min(found)}); nothing was written. "
            "Run 'svmbench curate', which leaves them out, then publish again"
        )


def _draft(recipe: Recipe, run: RunFolder, material: _Material, drafts: list[Path], version: str) -> dict[str, dict[str, int]]:
    """Writes both folders anew; returns rows by configuration and part."""
    for draft in drafts:
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir(parents=True)
    opaque = published.Opaque(run)
    rows = _write_tables(recipe, run, material, drafts, opaque)
    configs = [card.Config(name=name, rows=counts) for name, counts in rows.items()]
    parts = [
        card.part(material.names[name], clips, [opaque.clip(clip.clip_id) for clip in clips])
        for name, clips in material.by_part.items()
    ]
    account = card.account(
        [post.key for post in material.posts.values()], material.drops,
        map(post_of, material.all_clips), map(post_of, material.clips),
    )  # fmt: skip
    facts = card.Facts(
        version=version, configs=configs, parts=parts, account=account, clips=material.clips, split=material.split,
        filters=_filters(recipe, run), warnings=material.warnings,
    )  # fmt: skip
    cards = card.render(recipe, facts)
    for draft, kind, text in zip(drafts, ("dataset", "ids"), cards.values(), strict=True):
        (draft / "README.md").write_text(text)
        (draft / RECIPE).write_text(_recipe_text(recipe))
        (draft / "tombstones.csv").write_text("clip_id,removed_in,reason\n")
        mark: dict[str, Any] = {"kind": kind, "name": recipe.name, "version": version, "svmbench": __version__}
        mark["rows"] = {name: counts for name, counts in rows.items() if (name == "ids") == (kind == "ids")}
        mark |= {"parts": [asdict(part) for part in parts], "account": asdict(account), "warnings": material.warnings}
        if kind == "dataset":  # what those who train on it must know, and no table says
            sides: dict[str, str] = run.settings().get("features") or {}
            mark["split"] = {"grouped_by": material.split.grouped_by, "rule": material.split.rule}
            mark["features"] = {name: side for name, side in sides.items() if f"features_{name}" in rows}
        (draft / MARK).write_text(json.dumps(mark, indent=2) + "\n")
        _write_sums(draft)
    return rows


def _write_tables(
    recipe: Recipe, run: RunFolder, material: _Material, drafts: list[Path], opaque: published.Opaque
) -> dict[str, dict[str, int]]:
    """The Parquet files of both folders; 'ids' comes last."""
    rows: dict[str, dict[str, int]] = {"metadata": {}, "splits": {}}
    captions, id_rows = recipe.publish.captions, {}
    for name, clips in material.by_part.items():
        part = material.names[name]
        found = [(clip, material.posts.get(clip.clip_id.rpartition("-")[0])) for clip in clips]
        tables = {
            "metadata": published.metadata(found, opaque, captions=captions),
            "splits": published.split_rows(clips, material.split.grouped_by, opaque),
        }
        for config, table in tables.items():
            rows[config][part] = published.write_rows(table, drafts[0] / config / f"{part}.parquet")
        id_rows[part] = published.write_rows(published.ids(found, opaque), drafts[1] / "ids" / f"{part}.parquet")
    part_of = {clip.clip_id: material.names[name] for name, clips in material.by_part.items() for clip in clips}
    for table_name in (name for name in run.table_names() if name.startswith("features_")):
        counts = published.write_features(run, table_name, part_of, drafts[0] / table_name, opaque)
        if counts:
            rows[table_name] = {part: counts[part] for part in material.names.values() if part in counts}
        if sum(counts.values()) < len(part_of):
            material.warnings.append(f"{table_name}: {len(part_of) - sum(counts.values())} clips have none")
    if sum(id_rows.values()) < len(part_of):
        material.warnings.append(
            f"{len(part_of) - sum(id_rows.values())} clips have no public address, so their ids are left out"
        )
    return {**rows, "ids": id_rows}


def _filters(recipe: Recipe, run: RunFolder) -> dict[str, dict[str, Any]]:
    """The filters with the thresholds that made the clips, as the judge stage noted them; else as the recipe says."""
    chosen = run.settings().get("judge", {}).get("settings", {})
    return dict(chosen.get("filters") or recipe.filters)


def _recipe_text(recipe: Recipe) -> str:
    """The recipe with every default, as YAML that svmbench reads again."""
    values = recipe.model_dump(mode="json")
    values["replica"]["media_dir"] = values["optout"] = None
    if values["search"]["source"]:
        values["search"]["source"] = Path(values["search"]["source"]).name
    return yaml.safe_dump(values, sort_keys=False, allow_unicode=True, width=120)


def _write_sums(folder: Path) -> None:
    paths = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    (folder / SUMS).write_text("".join(f"{sha256_file(folder / path)}  {path}\n" for path in paths))
