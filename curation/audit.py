"""What stands in several parts of a split, for any split: a run's own, one for the clips of a run, or one that is only a file.

Kinds: 'clip' (the same id), 'song' (the run's song groups, or a column), 'fingerprint' (sounds alike, whatever the platform's
ids say), 'near-duplicate' (looks alike), 'author', 'post', 'media' (the same file). A kind of which nothing is known is said to
be not checked. Fingerprints and near-duplicates are looked for anew among the clips of the split, by way of others too: where A
is like B and B like C, the three count as one thing.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path
from typing import Any

from curation import duplicates, songs, split_file
from curation.songs import post_of
from curation.split import digest
from curation.split_file import Row
from svmbench.errors import BadInput
from svmbench.fleet import Fleet
from svmbench.provenance import recipe_of
from svmbench.recipe import Songs
from svmbench.records import Clip, ClipPicture, Fingerprint, Post, Song, Split
from svmbench.store import RunFolder

KINDS = ("clip", "song", "fingerprint", "near-duplicate", "author", "post", "media")
PARTS = ("train", "val", "test")


@dataclass(frozen=True, slots=True, kw_only=True)
class Shared:
    """One thing that stands in several parts: a song, an author, ... ids: part -> what has it there."""

    value: str
    ids: Mapping[str, tuple[str, ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """The overlap of one kind. num_known: ids of which it is known. unchecked: why it could not be looked at, '' where it was."""

    name: str
    num_known: int
    shared: tuple[Shared, ...]
    unchecked: str = ""

    def touched(self, part: str) -> int:
        """Ids of this part that share something with another part."""
        return len({one for thing in self.shared for one in thing.ids.get(part, ())})

    def num_pairs(self, a: str, b: str) -> int:
        """Pairs of an id in part a and one in part b that share something."""
        return sum(len(thing.ids.get(a, ())) * len(thing.ids.get(b, ())) for thing in self.shared)


@dataclass(frozen=True, slots=True, kw_only=True)
class Audit:
    """sha256: of the split (curation.split.digest). parts: name -> number of ids. remarks: what else a person should know."""

    source: str
    sha256: str
    parts: Mapping[str, int]
    kinds: tuple[Kind, ...]
    remarks: tuple[str, ...]

    @property
    def leaks(self) -> bool:
        return any(kind.shared for kind in self.kinds)

    def line(self) -> str:
        """For people, in short: 'in several parts: 12 by song, 3 by author; not checked: media'."""
        found = [f"{len(kind.shared)} by {kind.name}" for kind in self.kinds if kind.shared]
        unchecked = [kind.name for kind in self.kinds if kind.unchecked]
        said = f"in several parts: {', '.join(found)}" if found else "nothing stands in two parts"
        return said + (f"; not checked: {', '.join(unchecked)}" if unchecked else "")

    def as_json(self) -> dict[str, Any]:
        """Everything, as plain values."""
        return {
            "source": self.source,
            "sha256": self.sha256,
            "parts": dict(self.parts),
            "leaks": self.leaks,
            "kinds": {kind.name: _kind_json(kind, list(self.parts)) for kind in self.kinds},
            "remarks": list(self.remarks),
        }


def _kind_json(kind: Kind, parts: Sequence[str]) -> dict[str, Any]:
    return {
        "checked": not kind.unchecked,
        "why_not": kind.unchecked,
        "known": kind.num_known,
        "shared": len(kind.shared),
        "pairs": {f"{a}/{b}": n for a, b in combinations(parts, 2) if (n := kind.num_pairs(a, b))},
        "touched": {part: n for part in parts if (n := kind.touched(part))},
        "things": [{"value": thing.value, "ids": {part: list(ids) for part, ids in thing.ids.items()}} for thing in kind.shared],
    }


def audit(
    target: Path, fleet: Fleet, *, split: Path | None = None, columns: Mapping[str, str] | None = None, only: Collection[str] = ()
) -> Audit:
    """target: a run folder, or a file or folder that holds a split. split: for a run, a file or folder with another split of its
    clips. columns: kind -> column, where the file's are called otherwise (curation.split_file). only: kinds to look at.

    BadInput where there is no split, or where a file names nothing that the run has.
    """
    if unknown := set(only) - set(KINDS):
        raise BadInput(f"--only: {', '.join(sorted(unknown))} is not one of {', '.join(KINDS)}")
    run, remarks = RunFolder(target), list[str]()
    if run.is_run():
        told = [] if split is None else split_file.read(split, columns)
        rows, why_not = _of_run(run, fleet, told, only, remarks)
    elif split is not None:
        raise BadInput(f"{target} is not a run folder, so there is nothing to hold {split} against")
    else:
        rows, why_not = split_file.read(target, columns), {}
    source = str(target) if split is None else f"{split}, against {target}"
    return overlaps(rows, source, why_not=why_not, only=only, remarks=remarks)


def overlaps(
    rows: Sequence[Row],
    source: str,
    *,
    why_not: Mapping[str, str] | None = None,
    only: Collection[str] = (),
    remarks: Iterable[str] = (),
) -> Audit:
    """What the rows share between parts. why_not: kind -> why nothing is known of it, where that can be told."""
    homes: dict[str, dict[str, dict[str, dict[str, None]]]] = {kind: defaultdict(lambda: defaultdict(dict)) for kind in KINDS}
    known: dict[str, set[tuple[str, str]]] = defaultdict(set)
    ids: dict[str, dict[str, None]] = defaultdict(dict)
    for row in rows:
        ids[row.part][row.where] = None
        for kind, value in row.marks.items():
            known[kind].add((row.part, row.where))
            homes[kind][value][row.part][row.where] = None
    order = sorted(ids, key=lambda part: (PARTS.index(part) if part in PARTS else len(PARTS), part))
    kinds = []
    for name in [kind for kind in KINDS if kind in (only or KINDS)]:
        shared = [
            Shared(value=value, ids={part: tuple(sorted(where[part])) for part in order if part in where})
            for value, where in sorted(homes[name].items())
            if len(where) > 1
        ]
        unchecked = "" if known[name] else (why_not or {}).get(name, "no column tells it")
        kinds.append(Kind(name=name, num_known=len(known[name]), shared=tuple(shared), unchecked=unchecked))
    if len(order) == 1:
        remarks = [*remarks, f"there is only one part, {order[0]!r}: nothing can stand in two"]
    sha256 = digest({part: ids[part] for part in order})
    sizes = {part: len(ids[part]) for part in order}
    return Audit(source=source, sha256=sha256, parts=sizes, kinds=tuple(kinds), remarks=tuple(remarks))


def _of_run(
    run: RunFolder, fleet: Fleet, told: Sequence[Row], only: Collection[str], remarks: list[str]
) -> tuple[list[Row], dict[str, str]]:
    """A row for each clip that stands in a part, with all that the run knows of it; and why a kind is not known."""
    clips = {clip.clip_id: clip for name in ("candidates", "clips") for clip in run.read(Clip, name)}  # a clip's row counts last
    song_of = {song.clip_id: song.song_id for song in run.read(Song, "songs")}
    clips = {name: replace(clip, song_id=song_of.get(name, clip.song_id)) for name, clip in clips.items()}
    if told:
        placed = list(_matched(told, clips, remarks))
    else:
        parts = run.read(Split, "splits")
        placed = [(part.name, clips[name], dict[str, str]()) for part in parts for name in part.clip_ids if name in clips]
        if not placed:
            raise BadInput(f"{run.path} has no split; run 'svmbench curate' first, or name a file with --split")
        rule = f" ({parts[0].rule})" if parts[0].rule else ""
        remarks.append(f"the run says that these stand in one part each: {parts[0].grouped_by.replace('+', ', ')}{rule}")
    within = list({clip.clip_id: clip for _, clip, _ in placed}.values())
    wanted = set(only or KINDS)
    alike = _looks_alike(run, within, fleet) if "near-duplicate" in wanted else {}
    sounds = _sounds_alike(run, within, fleet) if "fingerprint" in wanted else {}
    authors = {post.key: post.author_hash for post in run.read(Post, "posts")}
    rows = []
    for part, clip, marks in placed:
        found = {
            "clip": clip.clip_id,
            "song": clip.song_id,
            "fingerprint": sounds.get(clip.clip_id),
            "near-duplicate": alike.get(clip.clip_id),
            "author": authors.get(post_of(clip)),
            "post": post_of(clip),
            "media": clip.media,
        }
        rows.append(
            Row(where=clip.clip_id, part=part, marks={**marks, **{kind: value for kind, value in found.items() if value}})
        )
    return rows, {
        "author": "the run knows no authors", "near-duplicate": "the run has no hashes of pictures",
        "fingerprint": "the run has no fingerprints of sound", "media": "the run has no media files",
    }  # fmt: skip


def _looks_alike(run: RunFolder, clips: Sequence[Clip], fleet: Fleet) -> dict[str, str]:
    """Clip -> its cluster of near-duplicates, or itself where it is alone; only clips whose pictures were hashed."""
    pictures = {picture.clip_id: picture for picture in run.read(ClipPicture, "pictures")}
    rule = recipe_of(run).duplicates.model_copy(update={"keep": "all"}) if pictures else None
    found = {row.clip_id: row.cluster for row in duplicates.find(clips, pictures, rule, fleet)} if rule else {}
    return {clip.clip_id: found.get(clip.clip_id, clip.clip_id) for clip in clips if clip.clip_id in pictures}


def _sounds_alike(run: RunFolder, clips: Sequence[Clip], fleet: Fleet) -> dict[str, str]:
    """Clip -> a name for what sounds like it, or itself where it is alone; only clips whose sound has a fingerprint."""
    prints = {one.clip_id: one for one in run.read(Fingerprint, "fingerprints") if one.landmarks}
    unknown = [replace(clip, song_id=f"post:{clip.clip_id}") for clip in clips if clip.clip_id in prints]  # by sound alone
    rule = Songs(by="fingerprint", max_posts=max(2, len(unknown)))
    return {song.clip_id: song.song_id for song in songs.group(unknown, prints, rule, fleet)} if unknown else {}


def _matched(told: Sequence[Row], clips: Mapping[str, Clip], remarks: list[str]) -> Iterator[tuple[str, Clip, Mapping[str, str]]]:
    """(part, clip, what only the file tells) for every clip that a row names, by clip id, 'platform:post_id' or post id."""
    by_name: dict[str, list[Clip]] = defaultdict(list)
    for clip in clips.values():
        for name in {clip.clip_id, post_of(clip), post_of(clip).replace(":", "-", 1), clip.post_id}:
            by_name[name].append(clip)
    strangers = 0
    for row in told:
        found = next((by_name[name] for kind in ("clip", "post") if (name := row.marks.get(kind, "")) in by_name), [])
        strangers += not found
        for clip in found:
            yield row.part, clip, {kind: value for kind, value in row.marks.items() if kind not in ("clip", "post")}
    if strangers == len(told):
        raise BadInput("none of the ids of the split is known to the run; are they of the same platform?")
    if strangers:
        remarks.append(f"{strangers} of {len(told)} ids are not in the run, and were not checked")
