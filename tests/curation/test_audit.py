"""The audit of a split finds what was planted, all of it and nothing else, in whatever form the split comes."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from rich.console import Console

from crawl.replica import compose
from crawl.replica.render import render
from curation import split_file
from curation.audit import KINDS, Audit, audit, overlaps
from curation.audit_text import lines
from curation.clip_job import ClipJob
from curation.songs import clip_id, song_id
from curation.split import digest, split
from curation.split_file import Row
from svmbench.errors import BadInput
from svmbench.fleet import Fleet
from svmbench.recipe import SplitRule, parse
from svmbench.records import Box, Clip, ClipPicture, Fingerprint, Post, Split, to_table
from svmbench.store import RunFolder

WORDS = ("travel", "dance", "food", "night", "nature")
RECIPE = parse({"name": "x", "search": {"words": list(WORDS)}}, "test")
FRAMES = 12


class Planted:
    """A composed catalogue as the tables of a run. Nothing is rendered: a re-upload has the hashes of its source, but for a few
    bits, and every other post has its own. Some posts have the author of another one, and some share a file."""

    def __init__(self, folder: Path, num_posts: int) -> None:
        rng = np.random.default_rng(5)
        plans = [plan for plan in compose.plan(2026, num_posts, WORDS, 10_001) if plan.listing.media]
        self.posts = [self._post(plan, plans[i - 7].listing.author if i % 20 == 10 else "") for i, plan in enumerate(plans)]
        self.clips = [self._clip(post, "shared" if i % 50 == 3 else f"file {i}") for i, post in enumerate(self.posts)]
        self.source_of = {f"tiktok-{p.listing.post_id}-0": f"tiktok-{p.truth['duplicate_of']}-0" for p in plans}
        hashes = {clip.clip_id: rng.integers(0, 256, (FRAMES, 32), np.uint8) for clip in self.clips}
        for name, source in self.source_of.items():
            if source in hashes:
                hashes[name] = hashes[source] ^ np.packbits(rng.random((FRAMES, 256)) < 0.03, axis=1)
        pictures = [
            ClipPicture(
                clip_id=name, border_method="none", border_kinds=(), border_confidences=(), cut_times_s=(),
                hash_times_s=tuple(np.arange(FRAMES) / 4), hashes=tuple(map(bytes, of_clip)), hash_qualities=(100,) * FRAMES,
            )
            for name, of_clip in hashes.items()
        ]  # fmt: skip
        self.run = RunFolder.create(folder)
        self.run.write_settings({"recipe": RECIPE.model_dump(mode="json")})
        tables = {"posts": to_table(Post, self.posts), "candidates": to_table(Clip, self.clips)}
        tables |= {"clips": to_table(Clip, self.clips), "pictures": to_table(ClipPicture, pictures)}
        with self.run.writing("curate") as writer:
            writer.commit([clip.clip_id for clip in self.clips], tables)

    @staticmethod
    def _post(plan: compose.Plan, author: str) -> Post:
        listing = plan.listing
        return Post(
            platform="tiktok", post_id=listing.post_id, url="", words=listing.words, caption="", hashtags=(), likes=1,
            likes_exact=True, track_id=listing.track_id, track_title=None, track_original=False, duration_s=None,
            posted_at=None, fetched_at=None, sha256=None, author_hash=author or listing.author,
        )  # fmt: skip

    @staticmethod
    def _clip(post: Post, media: str) -> Clip:
        return Clip(
            clip_id=clip_id(post), post_id=post.post_id, song_id=song_id(post), start_s=0, end_s=10, fps=30, width_px=9,
            height_px=16, box=Box(left_px=0, top_px=0, width_px=9, height_px=16), media=media,
        )  # fmt: skip

    def at_random(self) -> dict[str, str]:
        """Clip -> part."""
        parts = np.random.default_rng(1).choice(["train", "val", "test"], len(self.clips), p=[0.7, 0.1, 0.2])
        return {clip.clip_id: str(part) for clip, part in zip(self.clips, parts, strict=True)}

    def keep(self, parts: Iterable[Split]) -> None:
        with self.run.writing("split") as writer:
            writer.replace(["x"], {"splits": to_table(Split, parts)})

    def leaks(self, part_of: Mapping[str, str]) -> dict[str, set[frozenset[str]]]:
        """Kind -> every pair of clips in different parts that share it, found by comparing all with all."""
        author = {clip_id(post): post.author_hash for post in self.posts}
        found: dict[str, set[frozenset[str]]] = {kind: set() for kind in KINDS}
        for a, b in combinations(self.clips, 2):
            one, other = a.clip_id, b.clip_id
            same = {
                "song": a.song_id == b.song_id,
                "near-duplicate": self.source_of[one] == other or self.source_of[other] == one,
                "author": author[one] == author[other],
                "media": a.media == b.media,
            }
            for kind, alike in same.items():
                if alike and part_of[one] != part_of[other]:
                    found[kind].add(frozenset((one, other)))
        return found


def pairs(found: Audit) -> dict[str, set[frozenset[str]]]:
    """Kind -> the pairs of clips that an audit tells."""
    told: dict[str, set[frozenset[str]]] = {}
    for kind in found.kinds:
        told[kind.name] = {
            frozenset((a, b))
            for thing in kind.shared
            for one, other in combinations(thing.ids.values(), 2)
            for a in one
            for b in other
        }
    return told


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Planted:
    return Planted(tmp_path_factory.mktemp("planted") / "run", 300)


@pytest.fixture(scope="module")
def fleet() -> Iterator[Fleet]:
    with Fleet(local=True) as local:
        yield local


@pytest.fixture(scope="module")
def at_random(planted: Planted, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("split") / "random.csv"
    with path.open("w", newline="") as handle:
        csv.writer(handle).writerows([("clip_id", "split"), *planted.at_random().items()])
    return path


def test_every_planted_overlap_of_a_random_split_is_found_and_nothing_else(
    planted: Planted, fleet: Fleet, at_random: Path
) -> None:
    truth = planted.leaks(planted.at_random())
    assert min(len(truth[kind]) for kind in ("song", "near-duplicate", "author", "media")) >= 4
    found = audit(planted.run.path, fleet, split=at_random)
    assert pairs(found) == truth
    assert found.leaks
    assert found.sha256 == digest({p: [c for c, q in planted.at_random().items() if p == q] for p in ("train", "val", "test")})
    for kind in found.kinds:
        for a, b in (("train", "val"), ("train", "test"), ("val", "test")):
            part_of = planted.at_random()
            assert kind.num_pairs(a, b) == sum({part_of[c] for c in pair} == {a, b} for pair in truth[kind.name])
        assert kind.touched("test") == len({c for pair in truth[kind.name] for c in pair if planted.at_random()[c] == "test"})


def test_a_strict_split_of_the_same_clips_has_none(planted: Planted, fleet: Fleet) -> None:
    """Near-duplicates are told to the split by the table that the run would have, and to the audit by the hashes."""
    from curation import duplicates

    pictures = {picture.clip_id: picture for picture in planted.run.read(ClipPicture, "pictures")}
    twins = duplicates.find(planted.clips, pictures, RECIPE.duplicates.model_copy(update={"keep": "all"}), fleet)
    parts = split(planted.clips, SplitRule(), twins, planted.posts)
    planted.keep(parts)
    found = audit(planted.run.path, fleet)
    assert not found.leaks
    assert not any(pairs(found).values())
    assert found.sha256 == parts[0].sha256
    assert "song, near-duplicate, post, media, author (strict)" in found.remarks[0]
    assert [kind.name for kind in found.kinds if kind.unchecked] == ["fingerprint"]
    without = split(planted.clips, SplitRule(keys=("near-duplicate", "author")), twins, planted.posts)
    planted.keep(without)
    told = pairs(audit(planted.run.path, fleet))
    assert {kind for kind, leaking in told.items() if leaking} == {"song"}


def forms(folder: Path, part_of: Mapping[str, str]) -> dict[str, Path]:
    """The same split in every form that is read; some name posts, some clips."""
    parts = {part: [name for name, p in part_of.items() if p == part] for part in ("train", "val", "test")}
    posts = {name: name.split("-")[1] for name in part_of}
    rows = [{"clip_id": name, "split": part} for name, part in part_of.items()]
    found = {name: folder / name for name in ("a.tsv", "b.jsonl", "c.json", "d.json", "e.json", "f.parquet", "g", "h", "i")}
    found["a.tsv"].write_text("video_id\tsubset\n" + "".join(f"{posts[name]}\t{part}\n" for name, part in part_of.items()))
    found["b.jsonl"].write_text("".join(json.dumps(row) + "\n" for row in rows))
    found["c.json"].write_text(json.dumps(rows))
    found["d.json"].write_text(json.dumps({"train": parts["train"], "validation": parts["val"], "test": parts["test"]}))
    found["e.json"].write_text(json.dumps({f"tiktok:{posts[name]}": part for name, part in part_of.items()}))
    pq.write_table(pa.Table.from_pylist(rows), found["f.parquet"])
    for name in "ghi":
        found[name].mkdir()
    for part, ids in parts.items():
        (found["g"] / f"{part}_data.csv").write_text("post_id\n" + "".join(f"{posts[name]}\n" for name in ids))
        public = "validation" if part == "val" else part
        for shard in range(2):
            table = pa.Table.from_pylist([{"clip_id": name, "vector": [0.0]} for name in ids[shard::2]])
            pq.write_table(table, found["h"] / f"{public}-{shard:05d}-of-00002.parquet")
        (found["i"] / part).mkdir()
        (found["i"] / part / "ids.txt").write_text("\n".join(ids))
    (found["g"] / "README.csv").write_text("not,a,part\n1,2,3\n")
    return found


def test_the_form_of_the_split_does_not_matter(planted: Planted, fleet: Fleet, at_random: Path, tmp_path: Path) -> None:
    kinds = ("song", "author", "media")
    expected = audit(planted.run.path, fleet, split=at_random, only=kinds)
    for name, path in forms(tmp_path, planted.at_random()).items():
        found = audit(planted.run.path, fleet, split=path, only=kinds)
        assert (found.parts, found.kinds, found.sha256) == (expected.parts, expected.kinds, expected.sha256), name


def test_ids_that_the_run_does_not_have_are_told(planted: Planted, fleet: Fleet, tmp_path: Path) -> None:
    known = planted.clips[0].clip_id
    (tmp_path / "some.json").write_text(json.dumps({"train": [known, "stranger"], "test": ["another"]}))
    found = audit(planted.run.path, fleet, split=tmp_path / "some.json")
    assert found.remarks[0] == "2 of 3 ids are not in the run, and were not checked"
    assert found.parts == {"train": 1}
    (tmp_path / "none.json").write_text(json.dumps({"train": ["stranger"], "test": ["another"]}))
    with pytest.raises(BadInput, match="none of the ids"):
        audit(planted.run.path, fleet, split=tmp_path / "none.json")


def test_a_clip_in_two_parts_and_a_post_with_clips_in_two_parts(planted: Planted, fleet: Fleet, tmp_path: Path) -> None:
    one, other = planted.clips[0].clip_id, planted.clips[1].clip_id
    (tmp_path / "twice.json").write_text(json.dumps({"train": [one, other], "test": [one]}))
    found = {kind.name: kind for kind in audit(planted.run.path, fleet, split=tmp_path / "twice.json").kinds}
    assert [thing.value for thing in found["clip"].shared] == [one]
    rows = [Row(where=f"p-{n}", part=part, marks={"clip": f"p-{n}", "post": "p"}) for n, part in enumerate(("train", "test"))]
    kinds = {kind.name: kind for kind in overlaps(rows, "x").kinds}
    assert (len(kinds["clip"].shared), len(kinds["post"].shared)) == (0, 1)


def test_a_file_alone_is_checked_by_its_columns(fleet: Fleet, tmp_path: Path) -> None:
    """As music benchmarks publish their splits: a file a part, a video and its music in each row, and nothing else."""
    (tmp_path / "train.csv").write_text("\ufeffvideo_id,music_id,uploader\nv1,m1,u1\nv2,m2,\nv3,m3,u3\nv8,m8,u1\n", "utf-8")
    (tmp_path / "val_data.csv").write_text("video_id,music_id,uploader\nv4,m1,u4\n")
    (tmp_path / "test.csv").write_text("video_id,music_id,uploader\nv5,m1,u3\nv6,m6,\nv1,m7,u7\n")
    found = audit(tmp_path, fleet)
    assert found.parts == {"train": 4, "val": 1, "test": 3}
    shared = {kind.name: {thing.value: dict(thing.ids) for thing in kind.shared} for kind in found.kinds}
    assert shared["song"] == {"m1": {"train": ("v1",), "val": ("v4",), "test": ("v5",)}}
    assert shared["author"] == {"u3": {"train": ("v3",), "test": ("v5",)}}
    assert shared["post"] == {"v1": {"train": ("v1",), "test": ("v1",)}}
    unchecked = {kind.name: kind.unchecked for kind in found.kinds if kind.unchecked}
    assert unchecked == dict.fromkeys(("clip", "fingerprint", "near-duplicate", "media"), "no column tells it")
    assert next(kind for kind in found.kinds if kind.name == "author").num_known == 6
    assert (
        found.line()
        == "in several parts: 1 by song, 1 by author, 1 by post; not checked: clip, fingerprint, near-duplicate, media"
    )


def test_columns_with_other_names_are_named(fleet: Fleet, tmp_path: Path) -> None:
    path = tmp_path / "split.csv"
    path.write_text("nr,where,tune\n1,train,a\n2,test,a\n")
    with pytest.raises(BadInput, match=r"no column that names the part, such as 'split'; it has nr, where, tune"):
        audit(path, fleet)
    found = audit(path, fleet, columns={"part": "where", "song": "tune"})
    assert [kind.name for kind in found.kinds if kind.shared] == ["song"]
    for columns, message in [({"tune": "x"}, "tune is not one of clip, post"), ({"song": "x"}, "has no column 'x'; it has nr")]:
        with pytest.raises(BadInput, match=message):
            audit(path, fleet, columns=columns)
    pq.write_table(pa.Table.from_pylist([{"part": "train", "tune": 7.0}, {"part": "test", "tune": 7.0}]), tmp_path / "s.parquet")
    (song,) = audit(tmp_path / "s.parquet", fleet, columns={"song": "tune"}, only=["song"]).kinds
    assert song.shared[0].value == "7"


def test_columns_as_they_are_written_on_the_command_line() -> None:
    assert split_file.columns_of("song=music_id, author = user") == {"song": "music_id", "author": "user"}
    assert split_file.columns_of("") == {}
    for text in ("song", "song=", "=x"):
        with pytest.raises(BadInput, match="write KIND=COLUMN"):
            split_file.columns_of(text)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.csv", "", "has no rows"),
        ("a.csv", "id,split\n1,\n", "row 1 is in no part"),
        ("a.csv", "split,text\ntrain,x\n", "no column with an id that is known; it has split, text"),
        ("a.json", "{", "cannot be read"),
        ("a.json", "3", "neither a list nor an object"),
        ("a.jsonl", "{}\n", "no column that names the part"),
        ("a.parquet", "x", "cannot be read"),
        ("a.json", "[" * 100_000, "cannot be read"),
        ("a.xlsx", "x", r"a split is read from \.csv"),
        ("readme.md", "x", "a split is read from"),
    ],
)
def test_what_cannot_be_read_is_one_line(fleet: Fleet, tmp_path: Path, name: str, text: str, message: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(BadInput, match=message) as caught:
        audit(tmp_path / name, fleet)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("end", ["\u2028", "\x0b", "\x85"])
def test_a_caption_may_hold_any_line_end_and_a_row_too_many_cells(tmp_path: Path, end: str) -> None:
    rows = [{"id": "a", "caption": f"one{end}two", "split": "train"}, {"id": "b", "caption": "x", "split": "test"}]
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(row, ensure_ascii=False) + "\r\n" for row in rows), "utf-8")
    (tmp_path / "a.csv").write_text(f'id,caption,split\na,one{end}two,train,more\nb,"two\nlines",test\n', "utf-8")
    (tmp_path / "train.txt").write_text(f"a{end}b\r\nc\n", "utf-8")
    for name in ("a.jsonl", "a.csv"):
        assert [(row.where, row.part) for row in split_file.read(tmp_path / name)] == [("a", "train"), ("b", "test")], name
    folder = tmp_path / "parts"
    folder.mkdir()
    (tmp_path / "train.txt").rename(folder / "train.txt")
    assert [row.where for row in split_file.read(folder)] == [f"a{end}b", "c"]


def test_places_without_a_split(planted: Planted, fleet: Fleet, tmp_path: Path) -> None:
    for place, message in [(tmp_path / "absent", "does not exist"), (tmp_path, "no file that is named after a part")]:
        with pytest.raises(BadInput, match=message):
            audit(place, fleet)
    with pytest.raises(BadInput, match="is not a run folder"):
        audit(tmp_path, fleet, split=tmp_path / "a.csv")
    with pytest.raises(BadInput, match=r"--only: sound is not one of clip, song"):
        audit(planted.run.path, fleet, only=["sound"])
    empty = RunFolder.create(tmp_path / "run")
    with pytest.raises(BadInput, match="has no split"):
        audit(empty.path, fleet)


def test_part_names_of_files() -> None:
    for path, part in {
        "data/train-00000-of-00001.parquet": "train", "validation.csv": "val", "val/ids.txt": "val", "MGSV_test_data.csv": "test",
        "contest.csv": "", "notes.txt": "", "trainers.csv": "",
    }.items():  # fmt: skip
        assert split_file._part_of(Path(path)) == part, path


def test_the_table_and_the_json_tell_the_same(planted: Planted, fleet: Fleet, at_random: Path) -> None:
    found = audit(planted.run.path, fleet, split=at_random)
    console = Console(width=200, file=io.StringIO(), record=True)
    for piece in lines(found, shown=2):
        console.print(piece)
    text = console.export_text()
    values = json.loads(json.dumps(found.as_json()))
    assert values["leaks"] is True
    assert values["parts"] == {"train": found.parts["train"], "val": found.parts["val"], "test": found.parts["test"]}
    for kind in found.kinds:
        told = values["kinds"][kind.name]
        assert told["shared"] == len(kind.shared) == len(told["things"])
        assert {frozenset(ids) for thing in told["things"] for ids in thing["ids"].values()} == {
            frozenset(ids) for thing in kind.shared for ids in thing.ids.values()
        }
        if kind.unchecked:
            assert f"not checked: {kind.name} ({told['why_not']})" in text
        else:
            row = next(line for line in text.splitlines() if line.startswith(f"│ {kind.name} "))
            cells = [cell.strip() for cell in row.split("│")[1:-1]]
            assert cells[:3] == [kind.name, str(kind.num_known), str(len(kind.shared))]
            assert [int(n) for n in cells[3:6]] == [told["pairs"].get(p, 0) for p in ("train/val", "train/test", "val/test")]
        if len(kind.shared) > 2:
            assert f"{kind.name}: {len(kind.shared) - 2} more" in text
    assert found.line() in text


def test_imported_features_are_checked_as_far_as_they_go(tmp_path: Path, fleet: Fleet, planted: Planted) -> None:
    """A run without posts, pictures and media."""
    run = RunFolder.create(tmp_path / "run")
    clips = [replace(clip, media="") for clip in planted.clips[:4]]
    parts = [
        Split(name=name, clip_ids=tuple(clip.clip_id for clip in clips[i::2]), grouped_by="file")
        for i, name in enumerate(("train", "test"))
    ]
    with run.writing("import") as writer:
        writer.commit(["x"], {"clips": to_table(Clip, clips), "splits": to_table(Split, parts)})
    found = audit(run.path, fleet)
    unchecked = {kind.name: kind.unchecked for kind in found.kinds if kind.unchecked}
    assert unchecked == {
        "fingerprint": "the run has no fingerprints of sound", "near-duplicate": "the run has no hashes of pictures",
        "author": "the run knows no authors", "media": "the run has no media files",
    }  # fmt: skip


SAME_VIDEO = ("7209028629584164075", "7179052266618117087")  # re-uploads of others of the catalogue
SAME_SONG = (("7170805625959172596", "7455157403924880288"),)


@pytest.fixture(scope="module")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> tuple[RunFolder, dict[str, compose.Plan]]:
    """Six composed posts, rendered, decoded and measured as `curate` does: two videos that were uploaded twice, and a song under
    two track ids, of which both posts play the same 11 s."""
    folder = tmp_path_factory.mktemp("rendered")
    plans = {plan.listing.post_id: plan for plan in compose.plan(2026, 120, WORDS, 10_001)}
    chosen = [p for name in SAME_VIDEO for p in (name, plans[name].truth["duplicate_of"])] + [
        p for pair in SAME_SONG for p in pair
    ]
    run = RunFolder.create(folder / "run")
    run.write_settings({"recipe": RECIPE.model_dump(mode="json")})
    job, candidates, posts = ClipJob(RECIPE, str(run.path)), [], []
    job.filters = []  # an audit looks at pictures and sound only
    for number, name in enumerate(chosen):
        render(plans[name], folder / f"{name}.mp4")
        post = replace(Planted._post(plans[name], ""), track_id=f"own{number}", sha256=run.add_media(folder / f"{name}.mp4"))
        posts.append(post)
        candidates += job.run(post)
    tables = {
        "posts": to_table(Post, posts), "candidates": to_table(Clip, [c.clip for c in candidates]),
        "pictures": to_table(ClipPicture, [c.picture for c in candidates]),
        "fingerprints": to_table(Fingerprint, [c.fingerprint for c in candidates if c.fingerprint]),
    }  # fmt: skip
    with run.writing("curate") as writer:
        writer.commit([post.post_id for post in posts], tables)
    return run, {name: plans[name] for name in chosen}


def test_real_pictures_and_sound_give_away_what_the_ids_hide(
    rendered: tuple[RunFolder, dict[str, compose.Plan]], fleet: Fleet, tmp_path: Path
) -> None:
    run, plans = rendered
    pairs_of_videos = {frozenset((name, plans[name].truth["duplicate_of"])) for name in SAME_VIDEO}
    firsts = {*SAME_VIDEO, *(pair[0] for pair in SAME_SONG)}
    (tmp_path / "ids.json").write_text(json.dumps({name: "train" if name in firsts else "test" for name in plans}))
    told = pairs(audit(run.path, fleet, split=tmp_path / "ids.json"))
    found = {kind: {frozenset(c.split("-")[1] for c in pair) for pair in told[kind]} for kind in told}
    assert found["song"] == found["media"] == found["author"] == set()
    assert found["near-duplicate"] == pairs_of_videos
    assert found["fingerprint"] == pairs_of_videos | {frozenset(pair) for pair in SAME_SONG}
