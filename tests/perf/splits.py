"""Splits and their audit, in numbers: python tests/perf/splits.py [RUN CATALOGUE]

Without arguments: how large the groups become that a strict split may not part, for invented songs and authors, what that does
to the shares, and the CPU time. With a curated run of composed posts and the folder of their catalogue (in the cache): a random
split of the run's candidates is audited, and what the audit finds is held against what the composer planted.
"""

from __future__ import annotations

import argparse
import json
import time
from collections import Counter
from itertools import combinations
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from crawl.replica.catalogue import read_truth
from curation.audit import Audit, audit
from curation.audit_text import lines
from curation.split import remarks, split
from svmbench.fleet import Fleet
from svmbench.groups import groups
from svmbench.recipe import SplitKey, SplitRule
from svmbench.records import Box, Clip, Post
from svmbench.store import RunFolder

NUM_CLIPS, NUM_SONGS, ZIPF = 10_000, 3762, 0.8  # M2M's songs (CMMixer, section 4.1) for as many clips; the skew is ours
BOX = Box(left_px=0, top_px=0, width_px=9, height_px=16)
KEYS: tuple[tuple[SplitKey, ...], ...] = (("song", "near-duplicate"), ("song", "near-duplicate", "author"))


def invented(num_authors: int) -> tuple[list[Clip], list[Post]]:
    """Clips whose songs follow Zipf's law, and whose authors are drawn evenly."""
    rng = np.random.default_rng(0)
    weight = 1 / np.arange(1, NUM_SONGS + 1) ** ZIPF
    songs, authors = rng.choice(NUM_SONGS, NUM_CLIPS, p=weight / weight.sum()), rng.integers(0, num_authors, NUM_CLIPS)
    clips, posts = [], []
    for i, (song, author) in enumerate(zip(songs.tolist(), authors.tolist(), strict=True)):
        posts.append(
            Post(
                platform="t", post_id=f"{i:05d}", url="", words=(f"w{i % 10}",), caption="", hashtags=(), likes=1,
                likes_exact=True, track_id=str(song), track_title=None, track_original=False, duration_s=None, posted_at=None,
                fetched_at=None, sha256=None, author_hash=f"a{author}",
            )
        )  # fmt: skip
        clips.append(
            Clip(
                clip_id=f"t-{i:05d}-0", post_id=f"{i:05d}", song_id=f"s{song}", start_s=0, end_s=10, fps=30, width_px=9,
                height_px=16, box=BOX, media="",
            )
        )  # fmt: skip
    return clips, posts


def growth(console: Console) -> None:
    """The largest group, by how many posts an author has."""
    table = Table("posts an author", "keys", "largest group", "train / val / test", "CPU s")
    for num_authors in (10**9, 10_000, 5000, 2500):
        clips, posts = invented(num_authors)
        mean = NUM_CLIPS / len({post.author_hash for post in posts})
        for keys in KEYS:
            rule = SplitRule(keys=keys)
            began = time.process_time()
            parts = split(clips, rule, posts=posts)
            spent_s = time.process_time() - began
            rows = [[c.song_id, *([p.author_hash] if "author" in keys else [])] for c, p in zip(clips, posts, strict=True)]
            largest = max(Counter(groups(rows)).values())
            sizes = " / ".join(str(len(part.clip_ids)) for part in parts)
            table.add_row(f"{mean:.2f}", ", ".join(keys), f"{largest / NUM_CLIPS:.1%}", sizes, f"{spent_s:.2f}")
            for line in remarks(parts, clips, rule, posts=posts):
                console.print(f"says: {line}", highlight=False)
    console.print(table)


def planted(part_of: dict[str, str], truth: dict[str, dict[str, Any]]) -> dict[str, set[frozenset[str]]]:
    """Kind -> pairs of clips in different parts, as composed."""
    found: dict[str, set[frozenset[str]]] = {"song": set(), "near-duplicate": set()}
    for one, other in combinations(part_of, 2):
        a, b = (truth[name.split("-")[1]] for name in (one, other))
        if part_of[one] != part_of[other]:
            if a["song"] is not None and a["song"] == b["song"]:
                found["song"].add(frozenset((one, other)))
            if a["duplicate_of"] == b["post_id"] or b["duplicate_of"] == a["post_id"]:
                found["near-duplicate"].add(frozenset((one, other)))
    return found


def told(found: Audit) -> dict[str, set[frozenset[str]]]:
    pairs = lambda ids: {frozenset((a, b)) for one, other in combinations(ids.values(), 2) for a in one for b in other}
    return {kind.name: set().union(*(pairs(thing.ids) for thing in kind.shared)) for kind in found.kinds}


def against_the_composer(console: Console, run: RunFolder, catalogue: Path) -> None:
    truth = read_truth(catalogue)
    names = [clip.clip_id for clip in run.read(Clip, "candidates")]
    parts = np.random.default_rng(0).choice(["train", "val", "test"], len(names), p=[0.7, 0.1, 0.2])
    part_of = dict(zip(names, map(str, parts), strict=True))
    with TemporaryDirectory() as folder, Fleet(local=True) as fleet:
        path = Path(folder) / "random.json"
        path.write_text(json.dumps(part_of))
        found = audit(run.path, fleet, split=path)
    for piece in lines(found, shown=2):
        console.print(piece)
    table = Table("kind", "pairs planted", "of these found", "others found")
    composed, heard = planted(part_of, truth), told(found)
    for kind, real in (("song", "song"), ("near-duplicate", "near-duplicate"), ("fingerprint", "song")):
        both = len(heard[kind] & composed[real])
        table.add_row(kind, str(len(composed[real])), str(both), str(len(heard[kind] - composed[real])))
    console.print(table)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", nargs="?", type=Path)
    parser.add_argument("catalogue", nargs="?", type=Path)
    chosen, console = parser.parse_args(), Console(width=130)
    growth(console)
    if chosen.run and chosen.catalogue:
        against_the_composer(console, RunFolder.open(chosen.run), chosen.catalogue)


if __name__ == "__main__":
    main()
