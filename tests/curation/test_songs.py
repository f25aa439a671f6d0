"""Songs: who is grouped with whom, by track ids and by sound; and the index that says where to look."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import soxr

from crawl.replica import music, sounds, voice
from curation import fingerprint, song_index, songs
from curation.song_match import heard
from svmbench.fleet import Fleet
from svmbench.recipe import Songs
from svmbench.records import Box, Clip, Fingerprint, Song

PLACE = Path(__file__).parents[1] / "perf" / "songs_changes.py"
HZ, LENGTH_S = 22_050, 15
ASKED = ("AAC 48 kbit/s", "tempo +5 %", "tempo -5 %", "speed +10 %", "speed -10 %", "pitch +1 semitone", "pitch -1 semitone",
         "noise 0 dB")  # fmt: skip


@pytest.fixture(scope="module")
def changes() -> ModuleType:
    spec = importlib.util.spec_from_file_location("songs_changes", PLACE)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules["songs_changes"] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def printed(sound_clip: Callable) -> Callable[..., Fingerprint]:
    """printed(clip_id, wave of HZ): what the decode child would write."""

    def make(name: str, wave: np.ndarray) -> Fingerprint:
        clip = sound_clip(np.asarray(soxr.resample(wave, HZ, fingerprint.HZ), np.float32), fingerprint.HZ)
        words, landmarks = fingerprint.of(clip)
        return Fingerprint(clip_id=name, words=words, landmarks=landmarks)

    return make


@pytest.fixture(scope="module")
def waves() -> list[np.ndarray]:
    """20 s of six songs; 0 and 2 have the same chords, and tempos that differ by half a percent."""
    return [music.play(music.song(404, number), 12.0, 20.0, HZ) for number in range(6)]


@pytest.fixture(scope="module")
def shelf(waves: list[np.ndarray], printed: Callable) -> dict[str, Fingerprint]:
    """The first 15 s of each, 'a0' to 'a5', and 15 s from second 5 on, 'b0' to 'b5'."""
    found = {}
    for i, wave in enumerate(waves):
        found[f"a{i}"] = printed(f"a{i}", wave[: LENGTH_S * HZ])
        found[f"b{i}"] = printed(f"b{i}", wave[5 * HZ : (5 + LENGTH_S) * HZ])
    return found


def clip(name: str, song: str) -> Clip:
    """The clip of a post of this name: its clip_id is x-NAME-0."""
    return Clip(
        clip_id=f"x-{name}-0", post_id=name, song_id=song, start_s=0.0, end_s=15.0, fps=25.0, width_px=2, height_px=2,
        box=Box(left_px=0, top_px=0, width_px=2, height_px=2), media="",
    )  # fmt: skip


def grouped(given: Mapping[str, str], prints: Mapping[str, Fingerprint], rule: Songs | None = None) -> dict[str, Song]:
    clips = [clip(name, song) for name, song in given.items()]
    with Fleet(local=True) as fleet:
        rows = songs.group(clips, by_clip(prints), rule or Songs(), fleet)
    assert [row.clip_id for row in rows] == [f"x-{name}-0" for name in sorted(given)]
    return {row.clip_id.split("-")[1]: row for row in rows}


def by_clip(prints: Mapping[str, Fingerprint]) -> dict[str, Fingerprint]:
    return {f"x-{name}-0": one for name, one in prints.items()}


def test_the_track_id_alone_groups_what_sounds_different(shelf):
    rows = grouped({"a0": "t:1", "a1": "t:1", "a2": "t:2"}, shelf)
    assert {name: (row.song_id, row.source, row.match_score) for name, row in rows.items()} == {
        "a0": ("t:1", "platform", None), "a1": ("t:1", "platform", None), "a2": ("t:2", "platform", None),
    }  # fmt: skip


def test_an_original_sound_joins_the_song_that_it_is_a_copy_of(shelf):
    rows = grouped({"a0": "t:1", "a1": "t:2", "b1": "t:77", "a2": "t:2", "b0": "post:b0", "a3": "post:a3"}, shelf)
    assert {name: row.song_id for name, row in rows.items()} == {
        "a0": "t:1", "b0": "t:1", "a1": "t:2", "b1": "t:2", "a2": "t:2", "a3": "post:a3",
    }  # fmt: skip
    assert {name: row.source for name, row in rows.items()} == {
        "a0": "platform", "b0": "fingerprint", "a1": "platform", "b1": "fingerprint", "a2": "platform", "a3": "alone",
    }  # fmt: skip
    assert all((row.match_score is not None) == (row.source == "fingerprint") for row in rows.values())
    assert all(0.5 < rows[name].match_score <= 1 for name in ("b0", "b1"))


def test_the_song_is_named_by_the_platform_id_of_most_posts_then_the_smallest(shelf):
    assert {r.song_id for r in grouped({"a0": "t:9", "b0": "t:5", "a1": "t:9"}, shelf).values()} == {"t:9"}
    assert {r.song_id for r in grouped({"a0": "t:9", "b0": "t:5"}, shelf).values()} == {"t:5"}
    assert {r.song_id for r in grouped({"a0": "t:9", "b0": "post:b0"}, shelf).values()} == {"t:9"}
    unknown = grouped({"a0": "post:a0", "b0": "post:b0"}, shelf)
    assert {(r.song_id, r.source) for r in unknown.values()} == {("post:a0", "fingerprint")}


def test_by_platform_does_not_listen(shelf):
    rows = grouped({"a0": "t:9", "b0": "t:5"}, shelf, Songs(by="platform"))
    assert [(r.song_id, r.source) for r in rows.values()] == [("t:9", "platform"), ("t:5", "platform")]


def test_the_order_of_clips_does_not_matter(shelf):
    given = {name: f"t:{i}" for i, name in enumerate(shelf)}
    rows = grouped(given, shelf)
    assert rows == grouped(dict(reversed(given.items())), dict(reversed(shelf.items())))
    assert {rows[f"a{i}"].song_id == rows[f"b{i}"].song_id for i in range(6)} == {True}
    assert len({row.song_id for row in rows.values()}) == 6


def test_clips_without_a_print_are_grouped_by_their_id(shelf):
    silent = Fingerprint(clip_id="mute", words=b"", landmarks=b"")
    rows = grouped({"a0": "t:1", "mute": "t:1", "none": "t:1", "x": "post:x"}, {**shelf, "mute": silent})
    assert [rows[name].song_id for name in ("a0", "mute", "none", "x")] == ["t:1", "t:1", "t:1", "post:x"]


def test_a_song_that_grows_too_large_by_sound_alone_is_left_apart_and_told(shelf):
    given = {"a0": "t:1", "b0": "t:2", "a1": "t:1", "a2": "t:1", "a3": "t:2", "a4": "t:2", "b1": "post:b1"}
    clips = [clip(name, song) for name, song in given.items()]
    with Fleet(local=True) as fleet:
        joined = songs.grouping(clips, by_clip(shelf), Songs(max_posts=4), fleet)
        left = songs.grouping(clips, by_clip(shelf), Songs(max_posts=2), fleet)
    assert {row.song_id for row in joined.songs} == {"t:1"}
    assert joined.apart == []
    assert {row.song_id for row in left.songs} == {"t:1", "t:2"}
    assert [(apart.first, apart.second, apart.match.first, apart.match.second, apart.posts) for apart in left.apart] == [
        ("t:1", "t:2", "x-a0-0", "x-b0-0", 7)
    ]
    assert {row.clip_id: row.song_id for row in left.songs}["x-b1-0"] == "t:1", "a single one may still join the larger"


@pytest.mark.parametrize("name", ASKED)
def test_a_changed_copy_is_found(name, changes, waves, shelf, printed):
    i, later = ASKED.index(name) % 3, round(1.237 * HZ)
    copy = printed("copy", changes.CHANGES[name](waves[i][later : later + LENGTH_S * HZ], np.random.default_rng(3)))
    rows = grouped({**{f"a{k}": f"t:{k}" for k in range(6)}, "copy": "post:copy"}, {**shelf, "copy": copy})
    assert rows["copy"].song_id == f"t:{i}"
    assert len({row.song_id for row in rows.values()}) == 6


def test_voice_overs_are_found(changes, waves, shelf, printed):
    """A voice as loud as the music: the landmarks find nearly all."""
    rng, copies = np.random.default_rng(3), {}
    for i, wave in enumerate(waves):
        copies[f"v{i}"] = printed(f"v{i}", changes.speech(wave[2 * HZ : (2 + LENGTH_S) * HZ], rng))
    rows = grouped({**{f"a{i}": f"t:{i}" for i in range(6)}, **{name: f"post:{name}" for name in copies}}, {**shelf, **copies})
    found = {name: rows[name].song_id for name in copies if rows[name].source == "fingerprint"}
    assert found.items() <= {f"v{i}": f"t:{i}" for i in range(6)}.items()
    assert len(found) >= 5


@pytest.mark.parametrize("overlap_s", [10, 5])
def test_excerpts_that_overlap_are_found(overlap_s, waves, printed):
    given, prints = {}, {}
    for i, wave in enumerate(waves[:3]):
        for part, first in (("x", 0), ("y", 10 - overlap_s)):
            given[f"{part}{i}"], prints[f"{part}{i}"] = (
                f"post:{part}{i}",
                printed(f"{part}{i}", wave[first * HZ : (first + 10) * HZ]),
            )
    rows = grouped(given, prints)
    assert [rows[f"x{i}"].song_id == rows[f"y{i}"].song_id for i in range(3)] == [True] * 3
    assert len({row.song_id for row in rows.values()}) == 3


def test_sounds_that_are_no_music_are_left_alone(waves, shelf, printed):
    rng, t = np.random.default_rng(0), np.arange(LENGTH_S * HZ) / HZ
    spoken = [voice.speak(voice.script(rng, 0.2, 14.8), LENGTH_S, rng) for _ in range(3)]
    other = {f"voice{i}": np.asarray(soxr.resample(one, voice.HZ, HZ)) for i, one in enumerate(spoken)}
    other |= {f"{kind}{i}": sounds.ambience(kind, rng, LENGTH_S, HZ) for kind in sounds.AMBIENCES for i in range(2)}
    other |= {f"tone{i}": 0.3 * np.sin(2 * np.pi * hz * t) for i, hz in enumerate((220, 220, 233.08, 440))}
    other |= {
        f"hum{i}": sum(0.1 / k * np.sin(2 * np.pi * 50 * k * t) for k in range(1, 20)) + 1e-3 * rng.standard_normal(len(t))
        for i in range(2)
    }
    other |= {f"noise{i}": 0.1 * rng.standard_normal(len(t)) for i in range(2)}
    other |= {"silence0": np.zeros(len(t)), "silence1": np.zeros(len(t)), "least": rng.integers(-1, 2, len(t)) / 32768}
    other |= {f"beep{i}": 0.3 * np.sin(2 * np.pi * 1000 * t) * (t % 1 < 0.1 * (i + 1)) for i in range(3)}
    prints = {**shelf, **{name: printed(name, wave.astype(np.float32)) for name, wave in other.items()}}
    rows = grouped({**{name: f"post:{name}" for name in other}, **{f"a{i}": f"t:{i}" for i in range(6)}}, prints)
    assert {name for name, row in rows.items() if row.source == "fingerprint"} == set()
    assert (prints["silence0"].words, prints["least"].landmarks) == (b"", b"")


def test_songs_with_the_same_drums_are_not_one(printed):
    """The same bar of drums over and over, under two different pads and tunes."""
    rng = np.random.default_rng(1)
    beat = np.zeros(LENGTH_S * HZ, np.float32)
    kick, snare = (sounds.drum(name, rng, HZ, 0.5) for name in ("kick", "snare"))
    for i in range(2 * LENGTH_S):
        sounds.add(beat, snare if i % 2 else kick, i * HZ // 2, 0.5)
    tunes = [music.play(music.song(404, number), 20.0, LENGTH_S, HZ) for number in (7, 8)]
    prints = {f"d{i}": printed(f"d{i}", 0.6 * beat + tune) for i, tune in enumerate(tunes)}
    rows = grouped({"d0": "t:0", "d1": "t:1"}, prints)
    assert [row.song_id for row in rows.values()] == ["t:0", "t:1"]


def test_the_index_leaves_out_what_very_many_clips_share_and_clips_that_are_known(shelf):
    one, other = heard(shelf["a0"]), heard(shelf["b0"])
    index = song_index.Index.of([one, other], [0, 1])
    assert {c.clip for c in index.ask(one, 0)} == {1}
    assert {c.clip for c in index.ask(one, 1)} == {0}
    crowd = song_index.Index.of([one] * (song_index.CROWD + 1), list(range(song_index.CROWD + 1)))
    assert len(crowd.words.key_K) == len(crowd.marks.key_K) == 0
    assert len(song_index.Index.of([one] * song_index.CROWD, list(range(song_index.CROWD))).words.key_K)
    assert song_index.Index.of([], []).ask(one) == []


def test_real_music_is_found_and_no_other_recording(real_wave, printed, changes):
    music_of = (
        "facebookresearch+audiocraft/dataset/example/electro_2.mp3",
        "mdn+webaudio-examples/audio-analyser/viper.mp3",
        "librosa+data/audio/Kevin_MacLeod_-_Vibe_Ace.ogg",
        "librosa+data/audio/admiralbob77_-_Choice_-_Drum-bass.ogg",
    )
    speech = ("librosa+data/audio/198-209-0000.ogg", "librosa+data/audio/3436-172162-0000.ogg")
    given, prints = {}, {}
    for i, path in enumerate((*music_of, *speech)):
        wave = real_wave(path, HZ, 20.0)
        given[f"r{i}"], prints[f"r{i}"] = f"t:{i}", printed(f"r{i}", wave[: LENGTH_S * HZ])
        if path in music_of:
            again = changes.speed(wave[3 * HZ :][: LENGTH_S * HZ], 1.06)
            given[f"s{i}"], prints[f"s{i}"] = f"post:s{i}", printed(f"s{i}", again)
    rows = grouped(given, prints)
    assert {name: row.song_id for name, row in rows.items()} == {name: f"t:{name[1:]}" for name in given}
