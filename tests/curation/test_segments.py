"""Several clips a post: each is what a file cut to its stretch would be, and the tables know whose it is."""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from curation import card, duplicates, songs
from curation.clip_job import Candidate, ClipJob
from curation.judge import Shared
from curation.report import account
from curation.run import curate, rejudge
from curation.sheet.build import build
from curation.song_search import Match
from curation.songs import clip_id, drop_id, post_of, song_id
from curation.split import split
from svmbench import media, recipe
from svmbench.demo import file_account
from svmbench.errors import BadSettings
from svmbench.fleet import Fleet
from svmbench.media import ClipMedia, FrameNeed, Needs
from svmbench.progress import Progress, Summary
from svmbench.recipe import ClipRule, Recipe, Songs, parse
from svmbench.records import (
    Box,
    Clip,
    ClipPicture,
    Drop,
    Duplicate,
    Post,
    RuleVerdict,
    Song,
    Split,
    to_table,
)
from svmbench.segments import bounds
from svmbench.store import RunFolder

FPS, HZ = 10, 16_000
NEEDS = Needs(
    frames=(
        FrameNeed(count=3, short_side_px=60, plane="rgb"), FrameNeed(count=7), FrameNeed(fps=4, pairs=True, pair_gap_s=0.03),
        FrameNeed(count=5, plane="uv"), FrameNeed(fps=1 / 3, short_side_px=50), FrameNeed(count=4, pairs=True, pair_gap_s=0.5),
    ),
    audio_hz=(HZ, 11_025), vectors=True,
)  # fmt: skip
OF_THE_FILE = ("container_s", "bytes_per_s")  # measures that tell of the whole file
STRETCHES = [(0.0, 15.0), (15.0, 30.0), (30.0, 40.0)]


def film(
    path: Path, frames: Sequence[np.ndarray], wave: np.ndarray | None = None, *, at_s: float = 0.0, ticks: Any = None
) -> Path:
    """A lossless file, so that cutting before encoding and after decoding is the same. at_s: when its sound begins. ticks: the
    number of each frame's tenth of a second."""
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=FPS, options={"qp": "0", "preset": "ultrafast"})
        video.height, video.width = frames[0].shape[:2]
        video.pix_fmt, video.codec_context.time_base = "yuv420p", Fraction(1, FPS)
        sound = None if wave is None else container.add_stream("pcm_s16le", rate=HZ, layout="mono")
        for tick, image in zip(ticks or range(len(frames)), frames, strict=True):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24")
            frame.pts, frame.time_base = tick, Fraction(1, FPS)
            container.mux(video.encode(frame))
        container.mux(video.encode())
        if sound is not None and wave is not None:
            whole = (wave * 32767).astype(np.int16)
            for start in range(0, len(whole), 800):
                piece = av.AudioFrame.from_ndarray(whole[None, start : start + 800], "s16", "mono")
                piece.rate, piece.time_base, piece.pts = HZ, Fraction(1, HZ), start + round(at_s * HZ)
                container.mux(sound.encode(piece))
            container.mux(sound.encode())
    return path


def moving(length_s: float, seed: int = 0, size: tuple[int, int] = (120, 160)) -> list[np.ndarray]:
    """A camera that passes over one picture, faster and slower."""
    rng = np.random.default_rng(seed)
    number = round(length_s * FPS)
    noise = rng.integers(0, 255, (size[0] // 8, (size[1] + 4 * number) // 8 + 1, 3), np.uint8).repeat(8, 0).repeat(8, 1)
    lefts = np.cumsum(np.random.default_rng(seed + 1).integers(1, 4, number))
    return [noise[: size[0], left : left + size[1]] for left in lefts]


def music(length_s: float, seed: int = 0) -> np.ndarray:
    """Notes that begin on a beat."""
    rng, t = np.random.default_rng(seed), np.arange(HZ // 2) / HZ
    notes = [np.sin(2 * np.pi * 220 * 2 ** (rng.integers(0, 24) / 12) * t) * np.exp(-4 * t) for _ in range(int(2 * length_s + 1))]
    return (0.5 * np.concatenate(notes)[: round(length_s * HZ)]).astype(np.float32)


def rules(**changes: Any) -> Recipe:
    values = {
        "name": "small", "search": {"words": ["a"]}, "clip": {"min_s": 4, "max_s": 60, "segment_s": 15},
        "borders": {"method": "none"}, "filters": {"duration": {}, "still": {"max_share": 0.9}, "silence": {}},
        "features": ["frame_stats", "optical_flow", "log_mel", "beats"],
        "split": {"train": 0.5, "val": 0.0, "test": 0.5, "keys": ["song", "near-duplicate"]},
    }  # fmt: skip
    return parse({**values, **changes}, "small")


def run_of(folder: Path, files: Mapping[str, tuple[Path, str | None]]) -> RunFolder:
    """files: post id -> (its film, its track)."""
    run = RunFolder.create(folder)
    posts = [
        Post(
            platform="tiktok", post_id=name, url="", words=("a",), caption="", hashtags=(), likes=1, likes_exact=True,
            track_id=track, track_title=None, track_original=False, duration_s=40.0, posted_at=None, fetched_at=None,
            sha256=run.add_media(path), author_hash=None,
        )
        for name, (path, track) in files.items()
    ]  # fmt: skip
    with run.writing("crawl") as writer:
        writer.commit([f"tiktok:{p.post_id}" for p in posts], {"posts": to_table(Post, posts)})
    return run


def go(chosen: Recipe, run: RunFolder) -> dict[str, Summary]:
    progress = Progress(quiet=True)
    with Fleet(local=True) as fleet:
        curate(chosen, run, fleet, progress)
    assert all(summary.balanced() for summary in progress.summaries)
    return {summary.stage: summary for summary in progress.summaries}


@pytest.fixture(scope="module")
def long(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Path]]:
    """A film of 40 s, and one of each of its stretches."""
    folder, pictures, wave = tmp_path_factory.mktemp("long"), moving(40), music(40)
    wave[20 * HZ : 21 * HZ] = np.sign(wave[20 * HZ : 21 * HZ])  # clipped in the second stretch only
    cut = [
        film(folder / f"{i}.mov", pictures[round(a * FPS) : round(b * FPS)], wave[round(a * HZ) : round(b * HZ)])
        for i, (a, b) in enumerate(STRETCHES)
    ]
    return film(folder / "whole.mov", pictures, wave), cut


def segments(path: Path, *, max_s: float = 60.0, min_s: float = 4.0, segment_s: float = 15.0) -> dict[int, ClipMedia]:
    return dict(media.decode_segments(path, Needs(), NEEDS, max_s, segment_s=segment_s, min_s=min_s)[1])


@pytest.mark.parametrize(
    ("length_s", "segment_s", "min_s", "expected"),
    [
        (40, 15, 4, STRETCHES),
        (40, 15, 10, STRETCHES),
        (40, 15, 10.5, STRETCHES[:2]),
        (45, 15, 15, [(0, 15), (15, 30), (30, 45)]),
        (30, 15, 0, [(0, 15), (15, 30)]),
        (15, 15, 15, [(0, 15)]),
        (3, 15, 4, [(0, 3)]),  # all there is: a rule will refuse it
        (7.8, 2.6, 2.6, [(0, 2.6), (2.6, 5.2), (5.2, 7.8)]),
    ],
)
def test_where_a_post_is_cut(length_s: float, segment_s: float, min_s: float, expected: list[tuple[float, float]]) -> None:
    assert np.allclose(bounds(length_s, segment_s, min_s), expected, atol=1e-9)


def test_the_rule_of_a_recipe() -> None:
    assert ClipRule().segment_s is None
    assert rules().clip.segment_s == 15
    for odd, message in ((0, "greater than 0"), (601, "less than or equal to 600"), (3, "no clip may be shorter than min_s")):
        with pytest.raises(BadSettings, match=f"clip.*{message}"):
            rules(clip={"min_s": 4, "segment_s": odd})
    tivm = recipe.load("tivm").clip
    assert (tivm.segment_s, tivm.min_s) == (15, 15)
    assert tivm.max_s > 203, "1200 videos gave 16,217 pieces of 15 s, so they last 203 s on average"


def test_each_segment_is_what_a_file_cut_there_gives(long: tuple[Path, list[Path]]) -> None:
    """Every picture, sample and time of it; of the motion vectors their times, as the files have other key frames."""
    whole, cut = long
    found = segments(whole)
    assert [(clip.start_s, clip.end_s) for clip in found.values()] == STRETCHES
    for number, path in enumerate(cut):
        ours, theirs = found[number], media.decode(path, NEEDS, 60)
        for need in NEEDS.frames:
            a, b = ours.frames(need), theirs.frames(need)
            assert np.allclose(a.times_s_T, b.times_s_T, atol=1e-6), need
            assert np.array_equal(a.images, b.images), need
            assert not need.count or len(a.images) == need.count
            assert (a.next_images is not None) == need.pairs
            if a.next_times_s_T is not None and b.next_times_s_T is not None:
                assert np.allclose(a.next_times_s_T, b.next_times_s_T, atol=1e-6)
                assert np.array_equal(np.asarray(a.next_images), np.asarray(b.next_images))
                assert a.next_times_s_T.max() < ours.duration_s, "the second of a pair is of the same stretch"
        for hz in NEEDS.audio_hz:
            assert np.array_equal(ours.wave(hz), theirs.wave(hz))
        vectors = ours.vectors()
        assert vectors is not None
        assert 0 <= vectors.times_s_T.min() < 1
        assert ours.duration_s - 1 < vectors.times_s_T.max() < ours.duration_s
        clipped, offset_s, fps = ours.probe.clipped_runs_per_s, ours.probe.audio_offset_s, ours.probe.fps
        assert clipped == pytest.approx(theirs.probe.clipped_runs_per_s, rel=0.01)  # counted by the frame of sound
        assert (offset_s, fps) == (pytest.approx(0, abs=1e-4), pytest.approx(theirs.probe.fps))
        same: Any = {"clipped_runs_per_s": clipped, "audio_offset_s": offset_s, "fps": fps, "container_s": 40.0}
        assert ours.probe == replace(theirs.probe, **same)
    assert [bool(clip.probe.clipped_runs_per_s) for clip in found.values()] == [False, True, False]


def test_nothing_is_cut_beyond_max_s_and_a_short_rest_is_none(long: tuple[Path, list[Path]]) -> None:
    assert [(c.start_s, c.end_s) for c in segments(long[0], max_s=20).values()] == [(0, 15), (15, 20)]
    assert [(c.start_s, c.end_s) for c in segments(long[0], max_s=18).values()] == [(0, 15)]
    assert [(c.start_s, c.end_s) for c in segments(long[1][2], min_s=12).values()] == [(0, 10)]
    last = segments(long[0], max_s=20)[1]
    assert last.frames(NEEDS.frames[2]).times_s_T.max() < 5
    assert len(last.wave(HZ)) == 5 * HZ


def test_sound_that_begins_late_and_ends_early(tmp_path: Path) -> None:
    path = film(tmp_path / "late.mov", moving(60), music(15), at_s=20)
    found = segments(path)
    assert [len(clip.wave(HZ)) / HZ for clip in found.values()] == [0, 15, 5, 0]
    assert [clip.probe.audio_s for clip in found.values()] == [0, 15, 5, 0]
    assert [clip.probe.audio_offset_s for clip in found.values()] == [None, pytest.approx(5, abs=1e-3), 0, None]
    assert [clip.probe.clipped_runs_per_s is None for clip in found.values()] == [True, False, False, True]
    assert not found[1].wave(HZ)[: 5 * HZ - 9].any()
    assert found[1].wave(HZ)[5 * HZ : 6 * HZ].any()


def test_a_stretch_without_any_picture_is_left_out(tmp_path: Path) -> None:
    ticks = [*range(100), *range(350, 400)]
    found = segments(film(tmp_path / "gap.mov", moving(15), music(40), ticks=ticks))
    assert list(found) == [0, 2]
    assert found[2].start_s == 30
    assert found[2].frames(NEEDS.frames[2]).times_s_T[0] == pytest.approx(5)
    assert len(found[2].wave(HZ)) == pytest.approx(10 * HZ, abs=HZ / FPS)


def test_every_measure_and_feature_is_that_of_a_file_cut_there(long: tuple[Path, list[Path]], tmp_path: Path) -> None:
    """Within a millionth, and clipping within the frame of sound; hashes, cuts and fingerprints are equal."""
    run = run_of(tmp_path, {name: (path, None) for name, path in zip(("whole", "0", "1", "2"), (long[0], *long[1]), strict=True)})
    whole, *cut = run.read(Post, "posts")
    one_clip = ClipJob(rules(clip={"min_s": 4, "max_s": 60}), str(run.path))
    found = ClipJob(rules(), str(run.path)).run(whole)
    assert [c.clip.clip_id for c in found] == [f"tiktok-whole-{i}" for i in range(3)]
    assert [(c.clip.start_s, c.clip.end_s) for c in found] == STRETCHES
    for ours, post in zip(found, cut, strict=True):
        (theirs,) = one_clip.run(post)
        _same(ours, theirs)
    assert found[0].clip.measures["container_s"] == found[2].clip.measures["container_s"] == 40


def _same(ours: Candidate, theirs: Candidate) -> None:
    measures = [{n: v for n, v in c.clip.measures.items() if n not in OF_THE_FILE} for c in (ours, theirs)]
    assert measures[0].pop("clipped_runs_per_s") == pytest.approx(measures[1].pop("clipped_runs_per_s"), rel=0.01)
    unknown = [{name for name, value in found.items() if value is None} for found in measures]
    assert unknown[0] == unknown[1]
    assert len(measures[0]) - len(unknown[0]) > 20
    known = [{name: value for name, value in found.items() if value is not None} for found in measures]
    assert known[0] == pytest.approx(known[1], abs=1e-6, rel=1e-6)
    assert ours.clip.fps == pytest.approx(theirs.clip.fps)
    assert ours.clip.box == theirs.clip.box
    assert set(ours.features) == set(theirs.features) == {"frame_stats", "optical_flow", "log_mel", "beats"}
    for name, feature in ours.features.items():
        assert np.allclose(feature.values_TD, theirs.features[name].values_TD, atol=1e-5), name
        assert (feature.start_s, feature.hop_s) == pytest.approx((theirs.features[name].start_s, theirs.features[name].hop_s))
    for name in ("cut_times_s", "hash_times_s"):
        assert getattr(ours.picture, name) == pytest.approx(getattr(theirs.picture, name), abs=1e-6)
    assert (ours.picture.hashes, ours.picture.hash_qualities) == (theirs.picture.hashes, theirs.picture.hash_qualities)
    assert (ours.thumbnails.jpegs, len(ours.thumbnails.jpegs)) == (theirs.thumbnails.jpegs, 3)
    assert ours.sound.beats_s == pytest.approx(theirs.sound.beats_s)
    assert ours.sound.peaks == theirs.sound.peaks
    assert ours.fingerprint is not None
    assert theirs.fingerprint is not None
    assert (ours.fingerprint.words, ours.fingerprint.landmarks) == (theirs.fingerprint.words, theirs.fingerprint.landmarks)


def test_the_border_is_found_once_for_all_segments(tmp_path: Path) -> None:
    """The second stretch is nearly black, so that nobody could tell its bars."""
    pictures = [np.pad(image, ((40, 40), (0, 0), (0, 0))) for image in moving(20)]
    dark = [image // 24 if 5 <= i / FPS < 10 else image for i, image in enumerate(pictures)]
    run = run_of(tmp_path / "run", {"barred": (film(tmp_path / "barred.mov", dark, music(20)), None)})
    chosen = rules(clip={"min_s": 4, "segment_s": 5}, borders={"method": "robust"}, features=[])
    found = ClipJob(chosen, str(run.path)).run(run.read(Post, "posts")[0])
    assert len(found) == 4
    assert {c.clip.box for c in found} == {found[0].clip.box}
    assert found[1].clip.box.top_px == pytest.approx(40, abs=2)
    assert found[1].clip.box.height_px == pytest.approx(120, abs=3)
    assert {c.picture.border_kinds for c in found} == {("none", "black", "none", "black")}


@pytest.fixture(scope="module")
def curated(long: tuple[Path, list[Path]], tmp_path_factory: pytest.TempPathFactory) -> tuple[RunFolder, dict[str, Summary]]:
    """Of 40 s, of which the second stretch stands still; a copy of it at half the size; one that stands still throughout but for
    its last 2 s; one of 3 s; and a file that is none."""
    folder = tmp_path_factory.mktemp("curated")
    pictures = moving(40, seed=5)
    pictures[150:300] = [pictures[150]] * 150
    small = [image[::2, ::2] for image in pictures]
    still = [moving(1, seed=9)[0]] * 300 + moving(2, seed=9)
    (folder / "page.mp4").write_bytes(b"<html>slow down</html>")
    run = run_of(
        folder / "run",
        {
            "long": (film(folder / "long.mov", pictures, music(40, 1)), None),
            "copy": (film(folder / "copy.mov", small, music(40, 2)), "7"),
            "other": (film(folder / "other.mov", moving(31, seed=7), music(31, 3)), "8"),
            "still": (film(folder / "still.mov", still, music(32, 4)), "9"),
            "short": (film(folder / "short.mov", moving(3, seed=8), music(3, 5)), "10"),
            "page": (folder / "page.mp4", None),
        },
    )
    return run, go(rules(songs={"by": "platform"}), run)


def ids(name: str, *numbers: int) -> set[str]:
    return {f"tiktok-{name}-{number}" for number in numbers}


def test_a_post_is_one_item_and_gives_several_candidates(curated: tuple[RunFolder, dict[str, Summary]]) -> None:
    run, stages = curated
    assert (stages["curate"].seen, stages["curate"].kept, stages["curate"].failed) == (6, 5, {"unreadable": 1})
    assert run.done_ids("curate") == {f"tiktok:{name}" for name in ("long", "copy", "other", "still", "short", "page")}
    names = ids("long", 0, 1, 2) | ids("copy", 0, 1, 2) | ids("other", 0, 1) | ids("still", 0, 1) | ids("short", 0)
    candidates = {clip.clip_id: clip for clip in run.read(Clip, "candidates")}
    assert set(candidates) == names
    tables = ("pictures", "thumbnails", "sounds", *(f"features_{name}" for name in rules().features))
    for name in tables:
        table = run.read_table(name, ["clip_id"])
        assert table is not None
        assert sorted(table["clip_id"].to_pylist()) == sorted(names)
    assert {c.post_id for c in candidates.values()} == {"long", "copy", "other", "still", "short"}
    again = go(rules(songs={"by": "platform"}), run)
    assert again["curate"].notes == ["6 of 6 posts were done before"]


def test_every_candidate_is_a_clip_or_a_drop(curated: tuple[RunFolder, dict[str, Summary]]) -> None:
    run, stages = curated
    drops = {drop.id: drop.reason for drop in run.read(Drop, "drops")}
    clips = run.read(Clip, "clips")
    assert {clip.clip_id for clip in clips} == ids("long", 0, 2) | ids("other", 0, 1)
    assert drops == {
        "tiktok:long#1": "still", "tiktok:copy": "duplicate", "tiktok:copy#1": "still", "tiktok:copy#2": "duplicate",
        "tiktok:still": "still", "tiktok:still#1": "still", "tiktok:short": "too_short", "tiktok:page": "unreadable",
    }  # fmt: skip
    assert {d.post for d in run.read(Drop, "drops")} == {f"tiktok:{n}" for n in ("long", "copy", "still", "short", "page")}
    judged = {drop_id(clip) for clip in run.read(Clip, "candidates")}
    assert len(judged) == 11 == stages["judge"].seen
    assert {drop_id(clip) for clip in clips} | (set(drops) - {"tiktok:page"}) == judged
    assert len({v.clip_id for v in run.read(RuleVerdict, "verdicts")}) == 11


def test_copies_are_found_segment_by_segment_and_a_post_is_none_of_itself(curated: tuple[RunFolder, dict[str, Summary]]) -> None:
    found = {(d.cluster, d.clip_id, d.kept) for d in curated[0].read(Duplicate, "duplicates")}
    assert found == {(f"tiktok-long-{i}", f"tiktok-{post}-{i}", post == "long") for i in (0, 2) for post in ("long", "copy")}


def test_a_post_has_one_song_and_stands_in_one_part(curated: tuple[RunFolder, dict[str, Summary]]) -> None:
    run, _ = curated
    found = {song.clip_id: song.song_id for song in run.read(Song, "songs")}
    assert {found[name] for name in ids("long", 0, 1, 2)} == {"post:tiktok-long-0"}
    assert {found[name] for name in ids("other", 0, 1)} == {"tiktok:8"}
    parts = [set(part.clip_ids) for part in run.read(Split, "splits") if part.clip_ids]
    assert sorted(map(sorted, parts)) == [sorted(ids("long", 0, 2)), sorted(ids("other", 0, 1))]


def test_the_accounts_count_each_post_once(curated: tuple[RunFolder, dict[str, Summary]], tmp_path: Path) -> None:
    run, _ = curated
    drops, clips = run.read(Drop, "drops"), run.read(Clip, "clips")
    posts = [f"tiktok:{post.post_id}" for post in run.read(Post, "posts")]
    with_clip = {post_of(clip) for clip in clips}
    out = {"still": 1, "duplicate": 1, "too_short": 1, "unreadable": 1}
    found = account.account(posts, with_clip, with_clip, account.of_posts(drops, clips))
    assert (found["found"], found["clips"], found["dropped"], found["waiting"], found["adds_up"]) == (6, 2, 4, 0, True)
    assert {row["reason"]: row["posts"] for row in found["reasons"]} == out
    assert not any(found["contradictions"].values())
    assert account.words({post: ("a",) for post in posts}, clips)[0].items() > {"posts": 6, "kept": 2, "clips": 4}.items()
    shown = card.account(posts, drops, with_clip, with_clip)
    assert (shown.found, shown.published) == (6, 2)
    assert {row["reason"]: row["posts"] for row in shown.out} == out
    facts = card.Facts(
        version="v1", configs=[card.Config(name=name, rows={}) for name in ("metadata", "ids")], parts=[], account=shown,
        clips=clips, split=run.read(Split, "splits")[0], filters={}, warnings=[],
    )  # fmt: skip
    text = card.render(rules(), facts)["card.md"]
    assert "stretches of 15 s of its first 60 s; what is left at the end is one too where it lasts 4 s. Borders" in text
    assert "A clip is the beginning of a post, 4 to 60 s long. Borders" in card.render(rules(clip={"min_s": 4}), facts)["card.md"]
    html = build(rules(), run, tmp_path / "sheet.html").read_text()
    verdicts = {name: verdict for verdict, name in re.findall(r'data-verdict="(\w+)"[^>]* data-ids="(\S+)', html)}
    assert len(verdicts) == 11
    assert [verdicts[f"tiktok-long-{number}"] for number in range(3)] == ["kept", "still", "kept"]
    assert [verdicts[f"tiktok-copy-{number}"] for number in range(3)] == ["duplicate", "still", "duplicate"]


def test_what_contradicts_itself_still_shows(curated: tuple[RunFolder, dict[str, Summary]]) -> None:
    run, _ = curated
    drops, clips = run.read(Drop, "drops"), run.read(Clip, "clips")
    posts, with_clip = [f"tiktok:{post.post_id}" for post in run.read(Post, "posts")], {post_of(clip) for clip in clips}
    also = next(clip for clip in clips if clip.clip_id == "tiktok-other-1")
    for wrong in (
        Drop(id=drop_id(also), stage="judge", kind="rule", reason="still"),
        next(d for d in drops if d.id == "tiktok:short"),
    ):
        found = account.account(posts, with_clip, with_clip, account.of_posts([*drops, wrong], clips))
        assert sum(found["contradictions"].values()) == 1
        assert not found["adds_up"]


def test_rejudging_changes_thresholds_but_not_where_posts_are_cut(
    curated: tuple[RunFolder, dict[str, Summary]],
) -> None:
    run, _ = curated
    chosen = rules(songs={"by": "platform"})
    run.write_settings({"recipe": chosen.model_dump(mode="json")})
    with Fleet(local=True) as fleet:
        for clip in ({"min_s": 5, "segment_s": 15}, {"min_s": 4, "segment_s": 10}, {"min_s": 4}):
            with pytest.raises(BadSettings, match=r"clip\.(min_s|segment_s)"):
                rejudge(rules(songs={"by": "platform"}, clip={**clip, "max_s": 60}), run, fleet, Progress(quiet=True))
        looser = {"duration": {}, "still": {"max_share": 1.0}, "silence": {}}
        found = rejudge(rules(songs={"by": "platform"}, filters=looser), run, fleet, Progress(quiet=True))
        # the still stretch of `long` comes back, that of its copy does so as a duplicate, and `still` is none of itself
        assert found.moved == {
            ("still", "duplicate"): ("tiktok:copy#1",), ("still", "kept"): ("tiktok:long#1", "tiktok:still", "tiktok:still#1"),
        }  # fmt: skip
        back = rejudge(chosen, run, fleet, Progress(quiet=True))
    assert back.moved == {
        ("duplicate", "still"): ("tiktok:copy#1",), ("kept", "still"): ("tiktok:long#1", "tiktok:still", "tiktok:still#1"),
    }  # fmt: skip


def a_clip(post: str, number: int, song: str = "post:tiktok-a-0", **measures: float) -> Clip:
    return Clip(
        clip_id=f"tiktok-{post}-{number}", post_id=post, song_id=song, start_s=15.0 * number, end_s=15.0 * number + 15, fps=30,
        width_px=90, height_px=160, box=Box(left_px=0, top_px=0, width_px=90, height_px=160), media=post, measures=measures,
    )  # fmt: skip


def test_names() -> None:
    post: Any = Post(
        platform="tiktok", post_id="a", url="", words=(), caption="", hashtags=(), likes=0, likes_exact=True, track_id=None,
        track_title=None, track_original=False, duration_s=None, posted_at=None, fetched_at=None, sha256=None, author_hash=None,
    )  # fmt: skip
    assert [clip_id(post), clip_id(post, 12)] == ["tiktok-a-0", "tiktok-a-12"]
    assert song_id(post) == "post:tiktok-a-0"
    assert [drop_id(a_clip("a-b", n)) for n in (0, 2, 12)] == ["tiktok:a-b", "tiktok:a-b#2", "tiktok:a-b#12"]
    assert post_of(a_clip("a-b", 12)) == "tiktok:a-b"
    assert Drop(id="tiktok:a-b#12", stage="judge", kind="rule", reason="x").post == "tiktok:a-b"


def test_a_still_film_and_its_copy_are_two_posts_and_not_many_copies() -> None:
    """All six clips show one picture: the better post keeps its three."""
    code = np.random.default_rng(0).bytes(32)
    clips = [a_clip(post, number, bytes_per_s=rate) for post, rate in (("a", 1.0), ("b", 2.0)) for number in range(3)]
    pictures = {
        c.clip_id: ClipPicture(
            clip_id=c.clip_id, border_method="none", border_kinds=("none",) * 4, border_confidences=(1.0,) * 4, cut_times_s=(),
            hash_times_s=(0.0, 1.0), hashes=(code, code), hash_qualities=(100, 100),
        )
        for c in clips
    }  # fmt: skip
    with Fleet(local=True) as fleet:
        assert duplicates.find(clips[:3], pictures, recipe.Duplicates(), fleet) == []
        found = duplicates.find(clips, pictures, recipe.Duplicates(), fleet)
    assert {row.clip_id for row in found if row.kept} == ids("b", 0, 1, 2)
    assert {row.clip_id for row in found if not row.kept} == ids("a", 0, 1, 2)
    assert {row.cluster for row in found} == {"tiktok-b-0"}


def test_songs_are_limited_by_their_posts_and_not_by_segments(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nine clips of three posts, of which the first ones sound alike; beside one post a song may have two by its sound alone."""
    clips = [a_clip(post, number, song=f"post:tiktok-{post}-0") for post in "abc" for number in range(3)]
    planted = [Match(0.9, "tiktok-a-0", "tiktok-b-0"), Match(0.8, "tiktok-b-0", "tiktok-c-0")]
    monkeypatch.setattr(songs, "listen", lambda *_: planted)
    monkeypatch.setattr(songs, "kept", lambda heard: heard)
    with Fleet(local=True) as fleet:
        found = songs.group(clips, {}, Songs(max_posts=2), fleet)
    assert {row.song_id for row in found} == {"post:tiktok-a-0"}


def test_posts_share_a_song_and_the_segments_of_one_post_are_no_others() -> None:
    clips = [a_clip("a", n, speech_share=0.9) for n in range(3)] + [a_clip("b", n, speech_share=n / 10) for n in range(3)]
    shared = Shared(clips)
    assert shared.of(clips[0]) == {"song_posts": 2, "song_speech_share": pytest.approx(0.1)}
    assert shared.of(clips[3]) == {"song_posts": 2, "song_speech_share": pytest.approx(0.9)}
    assert Shared(clips[:3]).of(clips[0]) == {"song_posts": 1, "song_speech_share": None}


def test_the_account_of_a_folder_of_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = RunFolder.create(tmp_path / "run")
    kept = [a_clip("1", 1), a_clip("1", 2)]
    drops = [Drop(id=i, stage="judge", kind="rule", reason="still") for i in ("tiktok:1", "tiktok:2", "tiktok:2#1")]
    with run.writing("judge") as writer:
        writer.commit(["x"], {"clips": to_table(Clip, kept), "drops": to_table(Drop, drops)})
    monkeypatch.setattr("crawl.replica.build.posts_of", lambda _: {"1": "one.mp4", "2": "two.mp4", "3": "three.mp4"})
    with open(file_account(run, tmp_path), newline="") as handle:
        rows = [row[:3] for row in csv.reader(handle)][1:]
    assert rows == [["one.mp4", "kept", ""], ["two.mp4", "dropped", "still"], ["three.mp4", "not reached", ""]]


@pytest.mark.parametrize("rule", ["strict", "as_published"])
def test_tivms_split_keeps_the_clips_of_a_post_together(rule: str) -> None:
    """Posts of one song, of a song of their own, and of an unknown one."""
    names = [f"p{i:02d}" for i in range(30)]
    clips = [
        a_clip(name, number, song="tiktok:shared" if i < 3 else f"tiktok:{name}" if i % 2 else f"post:tiktok-{name}-0")
        for i, name in enumerate(names)
        for number in range(1 + i % 5)
    ]
    parts = split(clips, recipe.load("tivm").split.model_copy(update={"rule": rule}))
    assert sum(len(part.clip_ids) for part in parts) == len(clips)
    assert all(part.clip_ids for part in parts)
    homes = {
        post: {part.name for part in parts for name in part.clip_ids if name.startswith(f"tiktok-{post}-")} for post in names
    }
    assert all(len(home) == 1 for home in homes.values())
    assert len(homes["p00"] | homes["p01"] | homes["p02"]) == 1


REAL = (  # h264 and aac, variable frame rate, vp9 and opus
    "mdn+learning-area/accessibility/multimedia/rabbit320.mp4",
    "intel-iot-devkit+sample-videos/asl_gestures/brother.mkv",
    "androidx+media/libraries/test_data/src/test/assets/media/vp9/bear-vp9-odd-dimensions.webm",
    "androidx+media/libraries/test_data/src/test/assets/media/mp4/midroll-5s.mp4",
)


@pytest.mark.parametrize("name", REAL)
def test_the_segments_of_a_real_file_put_together_are_the_whole(clips: Path, name: str) -> None:
    """Every picture and every sample is in one of them, at its time."""
    every = FrameNeed(fps=1000, short_side_px=64)
    with av.open(str(clips / name)) as container:
        hz = container.streams.audio[0].rate if container.streams.audio else HZ
    needs = Needs(frames=(every,), audio_hz=(hz,))
    whole = media.decode(clips / name, needs, 9.0)
    found = dict(media.decode_segments(clips / name, Needs(), needs, 9.0, segment_s=0.7, min_s=0.0)[1])
    assert len(found) >= 2
    times = np.concatenate([clip.frames(every).times_s_T + clip.start_s for clip in found.values()])
    assert np.allclose(times, whole.frames(every).times_s_T, atol=1e-6)
    assert np.array_equal(np.concatenate([clip.frames(every).images for clip in found.values()]), whole.frames(every).images)
    if len(found) == len(bounds(whole.end_s, 0.7, 0.0)):  # else a stretch without a picture is left out
        assert np.array_equal(np.concatenate([clip.wave(hz) for clip in found.values()]), whole.wave(hz))
    assert sum(clip.duration_s for clip in found.values()) <= whole.duration_s + 1e-6
