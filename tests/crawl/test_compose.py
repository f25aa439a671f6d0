"""The composer: its plan, the truth beside each post seen again in the decoded file, and the catalogues it builds."""

from __future__ import annotations

import json
import os
import warnings
import wave
from collections import Counter
from dataclasses import replace
from itertools import islice
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from crawl.replica import catalogue as shelf
from crawl.replica import compose, music, picture, sounds, staging, voice
from crawl.replica.build import catalogue, posts_of
from crawl.replica.compose import Plan
from crawl.replica.render import render
from svmbench.errors import BadInput
from svmbench.fleet import Fleet
from svmbench.progress import Progress
from svmbench.recipe import Replica

WORDS = ("travel", "dance", "food", "night", "nature")
LIKES_MIN = 10_000


@pytest.fixture(scope="module")
def plans() -> list[Plan]:
    return compose.plan(2026, 240, WORDS, LIKES_MIN)


@pytest.fixture(scope="module")
def media(plans: list[Plan], tmp_path_factory: pytest.TempPathFactory):
    """Renders a post once: plan -> path."""
    folder, done = tmp_path_factory.mktemp("media"), {}

    def path(plan: Plan) -> Path:
        if plan.listing.post_id not in done:
            done[plan.listing.post_id] = folder / f"{plan.listing.post_id}.mp4"
            render(plan, done[plan.listing.post_id])
        return done[plan.listing.post_id]

    return path


def first(plans: list[Plan], **wanted) -> Plan:
    """The first post whose truth has these values; the shortest of all costs the least."""
    return min((p for p in plans if all(p.truth.get(k) == v for k, v in wanted.items())), key=lambda p: p.content.num_frames)


def luma(path: Path, step: int = 1) -> np.ndarray:
    """Every step-th decoded frame, luma (T, H, W)."""
    with av.open(str(path)) as container:
        frames = islice(container.decode(video=0), 0, None, step)
        return np.stack([f.to_ndarray(format="yuv420p")[: f.height] for f in frames])


def sound(path: Path, hz: int = 16_000) -> np.ndarray:
    with av.open(str(path)) as container:
        resampler = av.AudioResampler(format="flt", layout="mono", rate=hz)
        parts = [r.to_ndarray()[0] for f in container.decode(audio=0) for r in resampler.resample(f)]
        return np.concatenate(parts)


# -- the plan


def test_plan_holds_every_fate(plans):
    fates = Counter(p.listing.fate for p in plans)
    assert set(fates) == set(shelf.FATES)
    assert 0.06 <= 1 - fates["ok"] / len(plans) <= 0.10
    assert all((p.listing.media is None) == (p.listing.fate == "slideshow") for p in plans)


def test_plan_holds_every_kind_of_sound_and_border(plans):
    truth = [p.truth for p in plans if p.listing.media]
    assert {t["kind"] for t in truth} == {"music", "voice_over", "voice", "ambience", "mute"}
    assert {t["border"] for t in truth} == {"none", *staging.BORDERS}
    assert sum(t["still"] for t in truth) >= 3
    assert {p.content.fps for p in plans} == {24, 25, 30}
    assert all(9.9 <= t["duration_s"] <= 15.1 for t in truth)
    assert Counter(p.layout.height_px > p.layout.width_px for p in plans)[True] > 0.6 * len(plans)


def test_likes_straddle_the_threshold(plans):
    likes = [p.listing.likes for p in plans if p.listing.fate == "ok"]
    assert {LIKES_MIN - 1, LIKES_MIN, LIKES_MIN + 1} <= set(likes)
    assert sum(9_950 <= n < LIKES_MIN - 1 for n in likes) >= 2  # a card says 10K for them
    assert 0.72 <= np.mean([n >= LIKES_MIN for n in likes]) <= 0.88


def test_songs_are_reused_with_an_own_excerpt_each(plans):
    heard = [p for p in plans if p.truth.get("song") is not None]
    shared = [p for p in heard if not p.truth["own_sound"]]
    assert len({p.listing.track_id for p in shared}) == len({(p.listing.track_id, p.truth["song"]) for p in shared})
    assert len({p.listing.track_id for p in shared}) == len({p.truth["song"] for p in shared})
    assert 2.0 <= len(heard) / len({p.truth["song"] for p in heard}) <= 2.25
    originals = {(p.truth["song"], p.truth["excerpt_start_s"]) for p in heard if not p.truth["duplicate_of"]}
    assert len(originals) == sum(not p.truth["duplicate_of"] for p in heard)
    own = [p.listing for p in plans if p.content.song is None]
    assert all(post.track_original for post in own)
    assert len({post.track_id for post in own}) == len(own)


def test_some_songs_are_uploaded_anew_as_an_original_sound(plans):
    heard = [p for p in plans if p.truth.get("song") is not None]
    own = [p for p in heard if p.truth["own_sound"]]
    assert 0.05 <= len(own) / len(heard) <= 0.11
    tracks = Counter(p.listing.track_id for p in plans)
    assert all(p.listing.track_original and tracks[p.listing.track_id] == 1 for p in own)
    assert not any(p.listing.track_original for p in heard if not p.truth["own_sound"])
    songs = {p.truth["song"] for p in heard if not p.truth["own_sound"]}
    assert any(p.truth["song"] in songs for p in own)
    assert not any(p.truth["duplicate_of"] for p in own)


def test_ids_are_unique_and_every_word_finds_posts(plans):
    ids = {p.listing.post_id for p in plans}
    assert len(ids) == len(plans)
    assert all(len(i) == 19 and i[0] == "7" for i in ids)
    found = Counter(w for p in plans for w in p.listing.words)
    assert set(found) == set(WORDS)
    assert min(found.values()) >= len(plans) // len(WORDS)


def test_plan_follows_from_the_seed_alone(plans):
    again = compose.plan(2026, 240, WORDS, LIKES_MIN)
    assert json.dumps([p.truth for p in again]) == json.dumps([p.truth for p in plans])
    assert again == plans
    assert compose.plan(2027, 8, WORDS, LIKES_MIN) != compose.plan(2026, 8, WORDS, LIKES_MIN)


@pytest.mark.parametrize(("posts", "likes_min"), [(1, 0), (3, 5), (40, 1_000_000)])
def test_any_size_and_threshold_can_be_planned(posts, likes_min):
    plans = compose.plan(0, posts, ("one word",), likes_min)
    assert len(plans) == posts
    assert all(p.listing.likes >= 0 for p in plans)


def test_hidden_causes_tie_picture_to_music(plans):
    """Rank correlation of what is seen with its cause: clearly there, and far from perfect."""
    told = [p for p in plans if p.truth.get("song") is not None and not p.content.still]
    songs = [music.song(2026, p.content.song) for p in told]
    rate = [len(p.truth["cuts_s"]) / p.truth["duration_s"] for p in told]
    speed = [p.truth["motion_px_s"] / p.layout.box.height_px for p in told]
    gain = [np.mean([s.gain for s in p.content.scenes]) for p in told]
    tempo, energy = [s.tempo_bpm for s in songs], [s.energy for s in songs]
    for seen, cause in ((rate, tempo), (speed, tempo), (gain, energy)):
        assert 0.4 < rank_correlation(seen, cause) < 0.97
    warm = [np.mean([s.tint[0] > s.tint[2] for s in p.content.scenes]) > 0.5 for p in told]
    assert 0.8 < np.mean([w == (s.mode == "major") for w, s in zip(warm, songs, strict=True)]) < 1.0


def rank_correlation(a, b) -> float:
    return float(np.corrcoef(np.argsort(np.argsort(a)), np.argsort(np.argsort(b)))[0, 1])


# -- the truth, seen again in the file


def test_the_same_plan_gives_the_same_bytes(plans, media, tmp_path):
    for plan in (first(plans, kind="music", still=False, border="none"), first(plans, kind="voice_over", still=False)):
        render(plan, tmp_path / "again.mp4")
        assert (tmp_path / "again.mp4").read_bytes() == media(plan).read_bytes()


@pytest.mark.parametrize("border", staging.BORDERS)
def test_box_is_where_the_picture_is(plans, media, border):
    plan = first(plans, border=border, still=False)
    box, pictures = plan.layout.box, luma(media(plan), 8).astype(int)
    r, g, b = plan.truth["border_rgb"]
    live = np.abs(pictures - (16 + 0.257 * r + 0.504 * g + 0.098 * b)) > 6
    if plan.layout.caption:
        below = live[:, box.top_px + box.height_px :]
        assert 0.002 < below.mean() < 0.2  # letters, and not a picture
        live[:, box.top_px + box.height_px :] = False
    seen = live.mean(axis=0) > 0.3
    rows, columns = np.flatnonzero(seen.mean(axis=1) > 0.3), np.flatnonzero(seen.mean(axis=0) > 0.3)
    assert (columns[0], rows[0]) == (box.left_px, box.top_px)
    assert (columns[-1] + 1, rows[-1] + 1) == (box.left_px + box.width_px, box.top_px + box.height_px)


def test_beats_are_where_sounds_begin(plans, media):
    told = [p for p in plans if p.truth["kind"] == "music" and p.truth["energy"] > 0.6]
    for plan in told[:1]:
        heard, beat_s = sound(media(plan)), 60 / plan.truth["tempo_bpm"]
        power = np.log(1e-3 + np.lib.stride_tricks.sliding_window_view(heard, 160)[::80].std(axis=1))  # each 5 ms
        rise = np.maximum(0, power[4:] - power[:-4])  # at 5 ms after its middle
        phase = ((np.arange(len(rise)) * 0.005 + 0.015 - plan.truth["beats_s"][0]) / beat_s) % 1
        places = np.arange(-0.5, 0.5, 0.01)
        folded = [rise[np.abs((phase - place + 0.5) % 1 - 0.5) < 0.02].mean() for place in places]
        strongest = places[int(np.argmax(folded))]
        assert abs(strongest * beat_s) < 0.03
        assert np.allclose(np.diff(plan.truth["beats_s"]), beat_s, atol=1e-3)


def test_cuts_are_where_the_picture_changes(plans, media):
    plan = first(plans, kind="music", still=False, border="none")
    pictures = luma(media(plan)).astype(np.int16)
    assert len(pictures) == plan.truth["num_frames"]
    change = np.abs(np.diff(pictures, axis=0)).mean(axis=(1, 2))
    wanted = {round(t * plan.truth["fps"]) for t in plan.truth["cuts_s"]}
    assert wanted
    assert {int(i) + 1 for i in np.argsort(change)[::-1][: len(wanted)]} == wanted


def test_motion_is_what_optical_flow_measures(plans, media):
    plan = first(plans, kind="voice_over", still=False)
    box, fps, pictures = plan.layout.box, plan.truth["fps"], luma(media(plan))
    pictures = pictures[:, box.top_px : box.top_px + box.height_px, box.left_px : box.left_px + box.width_px]
    cut = {round(t * fps) for t in plan.truth["cuts_s"]}
    flow = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_FAST)
    pairs = [pictures[i : i + 2].copy() for i in range(0, len(pictures) - 1, 6) if i + 1 not in cut]
    vectors = [flow.calc(a, b, np.zeros((*a.shape, 2), np.float32)) for a, b in pairs]  # zeros: where the search begins
    seen = fps * np.mean([np.linalg.norm(v, axis=2).mean() for v in vectors])
    assert seen == pytest.approx(plan.truth["motion_px_s"], rel=0.35)


def test_a_still_does_not_move(plans, media):
    plan = first(plans, still=True)
    pictures = luma(media(plan), 5).astype(int)
    assert np.abs(pictures[1:] - pictures[:1]).mean() < 1.5
    assert plan.truth["motion_px_s"] == 0
    assert plan.truth["cuts_s"] == []


def test_a_reupload_shows_the_same_in_another_frame(plans, media):
    copy = next(p for p in plans if p.truth.get("duplicate_of") and not p.content.still)
    source = next(p for p in plans if p.listing.post_id == copy.truth["duplicate_of"])
    assert copy.listing.track_id == source.listing.track_id
    assert media(copy).read_bytes() != media(source).read_bytes()
    assert copy.layout.box.height_px < copy.layout.height_px
    seen = []
    for plan in (copy, source):
        b = plan.layout.box
        cropped = luma(media(plan), 30)[:, b.top_px : b.top_px + b.height_px, b.left_px : b.left_px + b.width_px]
        seen.append(np.stack([cv2.resize(x, (64, 64), interpolation=cv2.INTER_AREA) for x in cropped]).ravel())
    assert np.corrcoef(seen[0], seen[1])[0, 1] > 0.97


def test_a_mute_post_has_no_audio_stream(plans, media):
    with av.open(str(media(first(plans, kind="mute")))) as container:
        assert not container.streams.audio
        assert container.streams.video[0].codec_context.name == "h264"


def test_audio_is_as_long_as_the_pictures(plans, media):
    plan = first(plans, kind="music", still=False, border="none")
    assert len(sound(media(plan))) / 16_000 == pytest.approx(plan.truth["duration_s"], abs=0.05)
    with av.open(str(media(plan))) as container:
        assert container.streams.audio[0].codec_context.name == "aac"
        assert container.streams.audio[0].codec_context.sample_rate in (44_100, 48_000)


def test_an_excerpt_is_a_part_of_its_song():
    piece = music.song(5, 0)
    whole = music.play(piece, 10.0, 8.0, 44_100)
    part = music.play(piece, 13.0, 3.0, 44_100)
    assert np.corrcoef(whole[3 * 44_100 : 6 * 44_100], part)[0, 1] > 0.999


def test_a_drop_is_louder_than_a_break():
    for number in range(4):
        piece = music.song(9, number)
        loud = {s.name: music.play(piece, s.start_s, s.end_s - s.start_s, 16_000).std() for s in piece.sections}
        assert loud["drop"] > 1.3 * loud["break"]


def test_a_moved_camera_is_measured_exactly():
    scene = staging.still(np.random.default_rng(0), music.song(0, 0), 25)[0]
    box = staging.layout(np.random.default_rng(0), "none").box
    moved = replace(scene, speed_x=0.3, speed_y=0.4)  # half a height a second
    assert picture.motion_px_s(moved, 25, [], box) == pytest.approx(0.5 * box.height_px, rel=1e-6)


# -- voice


def test_a_speech_detector_hears_the_voice_and_not_the_music():
    torch = pytest.importorskip("torch")
    silero = pytest.importorskip("silero_vad")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # torch's, about the detector's own file format
        model = silero.load_silero_vad()

    def speech(wave_N: np.ndarray) -> np.ndarray:
        model.reset_states()
        blocks = wave_N[: len(wave_N) // 512 * 512].astype(np.float32).reshape(-1, 512)
        with torch.no_grad():
            return np.array([float(model(torch.from_numpy(b), voice.HZ)) for b in blocks])

    rng = np.random.default_rng(1)
    syllables = voice.script(rng, 0.3, 5.7)
    spoken = voice.speak(syllables, 6.0, rng)
    played = music.play(music.song(2026, 2), 20.0, 6.0, voice.HZ)
    over = spoken + played * (0.1 / played.std() / 10 ** (5 / 20))
    times = (np.arange(len(spoken) // 512) + 0.5) * 512 / voice.HZ
    talking = np.any([(a < times) & (times < b) for a, b in voice.spans(syllables)], axis=0)
    assert (speech(spoken)[talking] > 0.5).mean() > 0.9
    assert (speech(over)[talking] > 0.5).mean() > 0.8
    assert (speech(played) > 0.5).mean() < 0.1
    for kind in sounds.AMBIENCES:
        assert (speech(sounds.ambience(kind, rng, 4.0, voice.HZ)) > 0.5).mean() < 0.1


# -- catalogues


def composed(cache: Path, fleet: Fleet, progress: Progress | None = None, posts: int = 2) -> Path:
    return catalogue(Replica(posts=posts, seed=11), WORDS, LIKES_MIN, cache, fleet, progress or Progress(quiet=True))


def contents(folder: Path) -> dict[str, bytes]:
    return {
        p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file() and p.stat().st_size
    }


def test_the_number_of_workers_does_not_matter_and_a_catalogue_is_reused(tmp_path):
    made = []
    for workers in (1, 2):
        with Fleet(local=True) as fleet:
            fleet.num_cpus = workers
            folder = composed(tmp_path / str(workers), fleet)
            made.append(contents(folder))
            times = {p: p.stat().st_mtime_ns for p in folder.rglob("*.mp4")}
            assert composed(tmp_path / str(workers), fleet) == folder
            assert times == {p: p.stat().st_mtime_ns for p in folder.rglob("*.mp4")}
    assert made[0] == made[1]
    listings, truth = shelf.read(folder), shelf.read_truth(folder)
    assert len(listings) == 2
    assert set(truth) == {post.post_id for post in listings}
    assert all((folder / str(post.media)).stat().st_size > 10_000 for post in listings)


class Interrupted(Fleet):
    """Ctrl-C after one post."""

    def map(self, cls, args, items, **named):
        yield from super().map(cls, args, islice(items, 1), **named)
        raise KeyboardInterrupt


def test_an_interrupted_catalogue_goes_on_where_it_stopped(tmp_path):
    progress = Progress(quiet=True)
    with Interrupted(local=True) as fleet, pytest.raises(KeyboardInterrupt):
        composed(tmp_path, fleet, progress)
    (folder,) = tmp_path.iterdir()
    assert not (folder / "listings.jsonl").exists()
    assert (progress.summaries[0].kept, progress.summaries[0].left) == (1, 1)
    assert progress.summaries[0].balanced()
    (folder / "media" / ".7000000000000000000.mp4.1.tmp").write_bytes(b"half a post")
    before = {p: p.stat().st_mtime_ns for p in (folder / "media").glob("*.mp4")}
    assert len(before) == 1
    with Fleet(local=True) as fleet:
        assert composed(tmp_path, fleet) == folder
    assert before == {p: p.stat().st_mtime_ns for p in before}
    assert len(list((folder / "media").iterdir())) == 2
    assert len(shelf.read(folder)) == 2


def test_another_seed_or_threshold_is_another_catalogue(tmp_path, monkeypatch):
    monkeypatch.setattr("crawl.replica.build.Composer.run", lambda self, plan: None)
    with Fleet(local=True) as fleet:
        folders = {
            catalogue(Replica(posts=1, seed=seed), words, likes, tmp_path, fleet, Progress(quiet=True))
            for seed, words, likes in ((1, ("a",), 5), (2, ("a",), 5), (1, ("b",), 5), (1, ("a",), 6))
        }
    assert len(folders) == 4


def test_a_folder_of_files_becomes_posts_broken_ones_too(plans, media, tmp_path):
    source = tmp_path / "mine"
    (source / "deep").mkdir(parents=True)
    good = media(first(plans, kind="mute"))
    os.link(good, source / "deep" / "my cat #1.MP4")
    (source / "broken.mp4").write_bytes(b"this is no video")
    (source / "empty.webm").write_bytes(b"")
    (source / os.fsdecode(b"caf\xe9.mkv")).write_bytes(b"a name that is not UTF-8")
    (source / "notes.txt").write_text("not media")
    (source / "folder.mp4").mkdir()
    (source / "loop.mp4").symlink_to("loop.mp4")
    (source / "round").symlink_to(".")
    os.mkfifo(source / "pipe\n.mp4")
    with wave.open(str(source / "tone.wav"), "wb") as tone:
        tone.setnchannels(1)
        tone.setsampwidth(2)
        tone.setframerate(8_000)
        tone.writeframes(bytes(2 * 8_000))
    progress, settings = Progress(quiet=True), Replica(media_dir=str(source))
    with Fleet(local=True) as fleet:
        folder = catalogue(settings, ("a", "b"), 100, tmp_path / "cache", fleet, progress)
        assert catalogue(settings, ("a", "b"), 100, tmp_path / "cache", fleet, progress) == folder
    posts = {post.caption: post for post in shelf.read(folder)}
    assert set(posts) == {"broken", "empty", "tone", "my cat #1", "caf\ufffd"}
    assert {post.fate for post in posts.values()} == {"ok"}
    assert {w for post in posts.values() for w in post.words} == {"a", "b"}
    assert all(post.likes > 100 and post.track_original and post.words for post in posts.values())
    assert len({post.track_id for post in posts.values()}) == 5
    assert posts["my cat #1"].duration_s == pytest.approx(first(plans, kind="mute").truth["duration_s"], abs=0.1)
    assert posts["tone"].duration_s == pytest.approx(1.0, abs=0.01)
    assert posts["broken"].duration_s == posts["empty"].duration_s == 0
    link = folder / str(posts["my cat #1"].media)
    assert link.is_symlink()
    assert os.path.isabs(os.readlink(link))
    assert link.read_bytes() == good.read_bytes()
    assert [(s.seen, s.kept) for s in progress.summaries] == [(5, 5), (5, 5)]
    others = "5 not listed, being no files with a media name: 'folder.mp4', 'loop.mp4', 'notes.txt', 'pipe\\n.mp4', 'round'"
    assert [s.notes for s in progress.summaries] == [[others]] * 2
    assert sorted(posts_of(source).values())[1] == "caf\\xe9.mkv", "can be written into a table"
    assert shelf.read_truth(folder) == {}


def test_a_missing_or_empty_folder_is_said_in_one_line(tmp_path):
    with Fleet(local=True) as fleet:
        for place, words in ((tmp_path / "nowhere", "does not exist"), (tmp_path, "has no video or audio files")):
            with pytest.raises(BadInput, match=words) as error:
                catalogue(Replica(media_dir=str(place)), WORDS, 0, tmp_path / "cache", fleet, Progress(quiet=True))
            assert "\n" not in str(error.value)
