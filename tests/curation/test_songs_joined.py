"""Songs: what is made of matches that are known, and when clips are listened to anew."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import pytest

from crawl.replica import music
from curation import fingerprint, landmarks, song_search, songs
from svmbench import records
from svmbench.fleet import Fleet
from svmbench.recipe import Songs
from svmbench.records import Box, Clip, Fingerprint, Listening, Song

Pair = tuple[str, str, float]


def clip(name: str, song: str) -> Clip:
    """name: 'POST' or 'POST-NUMBER'."""
    post, _, number = name.partition("-")
    return Clip(
        clip_id=f"x-{post}-{number or 0}", post_id=post, song_id=song, start_s=0.0, end_s=15.0, fps=25.0, width_px=2, height_px=2,
        box=Box(left_px=0, top_px=0, width_px=2, height_px=2), media="",
    )  # fmt: skip


def told(clips: Sequence[Clip], pairs: Sequence[Pair]) -> Listening:
    """As if these had been found, in this order."""
    ids = [[f"x-{pair[i]}-0" for pair in pairs] for i in (0, 1)]
    wanted = song_search.digest({one.clip_id: one.song_id for one in clips}, {})
    return Listening(digest=wanted, first=tuple(ids[0]), second=tuple(ids[1]), scores=tuple(pair[2] for pair in pairs))


def joined(given: Mapping[str, str], pairs: Sequence[Pair], max_posts: int = 100) -> tuple[dict[str, Song], list[songs.Apart]]:
    clips = [clip(name, song) for name, song in given.items()]
    with Fleet(local=True) as fleet:
        found = songs.grouping(clips, {}, Songs(max_posts=max_posts), fleet, told(clips, pairs))
    return {row.clip_id.removeprefix("x-").removesuffix("-0"): row for row in found.songs}, found.apart


def of(rows: Mapping[str, Song]) -> dict[str, tuple[str, str, float | None]]:
    return {name: (row.song_id, row.source, row.match_score) for name, row in rows.items()}


def test_each_clip_says_how_its_song_is_known_and_by_which_match():
    given = {"a": "t:1", "b": "t:1", "c": "t:2", "d": "post:x-d-0", "e": "post:x-e-0", "f": "post:x-f-0", "g": "post:x-g-0"}
    rows, apart = joined(given, [("d", "a", 0.9), ("e", "f", 0.8), ("d", "b", 0.7), ("a", "d", 0.6)])
    assert of(rows) == {
        "a": ("t:1", "platform", None), "b": ("t:1", "platform", None), "c": ("t:2", "platform", None),
        "d": ("t:1", "fingerprint", 0.9), "e": ("post:x-e-0", "fingerprint", 0.8), "f": ("post:x-e-0", "fingerprint", 0.8),
        "g": ("post:x-g-0", "alone", None),
    }  # fmt: skip
    assert apart == []


def test_what_hangs_together_by_other_clips_is_one_song_and_each_has_its_own_best_match():
    given = {"a": "t:1", "b": "t:2", "c": "t:3", "d": "post:x-d-0"}
    rows, _ = joined(given, [("a", "b", 0.9), ("b", "c", 0.8), ("a", "c", 0.7), ("c", "d", 0.6), ("b", "d", 0.5)])
    assert {row.song_id for row in rows.values()} == {"t:1"}
    assert {name: row.match_score for name, row in rows.items()} == {"a": None, "b": 0.9, "c": 0.8, "d": 0.6}


def test_posts_give_the_name_and_not_clips():
    given = {"a": "t:1", "a-1": "t:1", "a-2": "t:1", "b": "t:2", "c": "t:2"}
    rows, _ = joined(given, [("a", "b", 0.9)])
    assert {row.song_id for row in rows.values()} == {"t:2"}


def test_a_platforms_id_gives_the_name_before_an_unknown_one_and_then_the_smallest():
    given = {"a": "post:x-a-0", "b": "zz:9"}  # of as many posts, and the unknown one sorts first
    assert {row.song_id for row in joined(given, [("a", "b", 0.9)])[0].values()} == {"zz:9"}
    for given in ({"a": "t:9", "b": "t:5"}, {"a": "t:5", "b": "t:9"}):
        assert {row.song_id for row in joined(given, [("a", "b", 0.9)])[0].values()} == {"t:5"}


@pytest.mark.parametrize(("second", "names"), [("de", {"t:1"}), ("def", {"t:1", "t:2"})])
def test_max_posts_counts_all_but_the_largest_track(second, names):
    given = {**dict.fromkeys("abc", "t:1"), **dict.fromkeys(second, "t:2")}
    rows, apart = joined(given, [("a", "d", 0.9)], max_posts=2)
    assert {row.song_id for row in rows.values()} == names
    assert [(one.first, one.second, one.posts) for one in apart] == ([("t:1", "t:2", 6)] if len(names) == 2 else [])


def test_the_best_matches_are_followed_first_and_refused_ones_leave_no_score():
    given = {name: f"post:x-{name}-0" for name in "abcde"}
    pairs = [("a", "b", 0.9), ("b", "c", 0.8), ("c", "d", 0.7), ("d", "e", 0.6)]
    rows, apart = joined(given, pairs, max_posts=2)
    assert of(rows) == {
        "a": ("post:x-a-0", "fingerprint", 0.9), "b": ("post:x-a-0", "fingerprint", 0.9), "c": ("post:x-a-0", "fingerprint", 0.8),
        "d": ("post:x-d-0", "fingerprint", 0.6), "e": ("post:x-d-0", "fingerprint", 0.6),
    }  # fmt: skip
    assert [(one.first, one.second, one.posts, one.match.score) for one in apart] == [("post:x-a-0", "post:x-d-0", 5, 0.7)]
    rows, apart = joined({name: given[name] for name in "abcd"}, pairs[:3], max_posts=2)
    assert of(rows)["d"] == ("post:x-d-0", "alone", None)


def test_two_songs_left_apart_are_told_once_by_their_last_names():
    given = {name: f"post:x-{name}-0" for name in "abcuvwz"}
    pairs = [("b", "c", 0.9), ("v", "w", 0.9), ("c", "v", 0.8), ("b", "w", 0.7), ("a", "b", 0.6), ("c", "z", 0.5)]
    _, apart = joined(given, pairs, max_posts=2)
    assert [(one.first, one.second, one.posts, one.match.score) for one in apart] == [
        ("post:x-a-0", "post:x-v-0", 5, 0.8), ("post:x-a-0", "post:x-z-0", 4, 0.5),
    ]  # fmt: skip


def test_a_remark_names_the_first_pairs_that_were_left_apart():
    given = dict.fromkeys("abc", "t:0") | {f"{name}{i}": f"t:{i}" for i in range(1, 6) for name in "abc"}
    rule = Songs(max_posts=2)
    for count in (0, 1, 3, 4, 5):
        _, apart = joined(given, [(f"a{i}", "a", 0.9 - i / 100) for i in range(1, count + 1)], max_posts=2)
        said = songs.remarks(apart, rule)
        assert len(said) == (count > 0)
        if said:
            assert said[0].startswith("1 pair of songs sounds alike" if count == 1 else f"{count} pairs of songs sound alike")
            assert "songs.max_posts (2)" in said[0]
            assert "t:0 and t:1 (x-a1-0 is like x-a-0: 0.89)" in said[0]
            assert ("t:0 and t:3" in said[0], "t:0 and t:4" in said[0]) == (count >= 3, False)
            assert said[0].endswith(f"and {count - 3} more") == (count > 3)


# -- listening: by sound
@pytest.fixture(scope="module")
def prints() -> dict[str, Fingerprint]:
    """10 s of five songs, twice each: x-a0-0 to x-a4-0, and from second 3 on x-b0-0 to x-b4-0."""
    found = {}
    for i in range(5):
        wave = music.play(music.song(404, i), 12.0, 13.0, fingerprint.HZ)
        for name, part in (("a", wave[: 10 * fingerprint.HZ]), ("b", wave[3 * fingerprint.HZ :])):
            key = f"x-{name}{i}-0"
            words, peaks = fingerprint.words(part), landmarks.peaks(part)
            found[key] = Fingerprint(clip_id=key, words=fingerprint.pack(words), landmarks=landmarks.pack(peaks))
    return found


@pytest.fixture
def fleet() -> Iterator[Fleet]:
    with Fleet(local=True) as local:
        yield local


def own(prints: Mapping[str, Fingerprint]) -> dict[str, str]:
    return {name: f"post:{name}" for name in prints}


def test_nobody_listens_again_while_nothing_has_changed(prints, fleet, monkeypatch):
    clips = [clip(name.split("-")[1], f"post:{name}") for name in prints]
    first = songs.grouping(clips, prints, Songs(), fleet)
    assert len(first.listening.first) == 5
    stored = records.from_table(Listening, records.to_table(Listening, [first.listening]))[0]
    assert stored == first.listening
    monkeypatch.setattr(song_search, "matches", lambda *_: pytest.fail("listens again"))
    again = songs.grouping(clips[::-1], dict(reversed(prints.items())), Songs(max_posts=2), fleet, stored)
    assert (again.songs, again.listening) == (first.songs, stored)
    assert songs.grouping(clips, prints, Songs(by="platform"), fleet, stored).listening is None


def test_what_another_listening_knew_is_not_believed(prints, fleet):
    clips = [clip(name.split("-")[1], f"post:{name}") for name in prints]
    wrong = Listening(digest="of something else", first=("x-a0-0",), second=("x-a1-0",), scores=(1.0,))
    found = songs.grouping(clips, prints, Songs(), fleet, wrong)
    assert found == songs.grouping(clips, prints, Songs(), fleet)
    assert found.listening.digest != wrong.digest


def test_the_digest_changes_with_all_that_decides_the_matches(prints):
    given, one, other = own(prints), "x-a0-0", "x-a1-0"
    first = song_search.digest(given, prints)
    swapped = {**prints, one: prints[other], other: prints[one]}
    peaks = {**prints, one: replace(prints[one], landmarks=prints[other].landmarks)}
    words = {**prints, one: replace(prints[one], words=prints[other].words)}
    moved = replace(prints[one], words=prints[one].words[:-1], landmarks=prints[one].words[-1:] + prints[one].landmarks)
    fewer = {name: song for name, song in given.items() if name != one}
    renamed = {**{f"{name}1" if name == one else name: song for name, song in given.items()}}
    changed = [
        song_search.digest({**given, one: given[other]}, prints),
        *(song_search.digest(given, some) for some in (swapped, peaks, words, {**prints, one: moved})),
        song_search.digest(fewer, prints),
        song_search.digest(renamed, {**prints, f"{one}1": prints[one]}),
    ]
    assert len({first, *changed}) == 8
    assert song_search.digest(dict(reversed(given.items())), dict(reversed(prints.items()))) == first
    silent = {**prints, "mute": Fingerprint(clip_id="mute", words=b"", landmarks=b"")}
    assert song_search.digest({**given, "mute": "t:1", "none": "t:2"}, silent) == first, "these are not listened to"


@pytest.mark.parametrize("module", ["fingerprint", "landmarks", "song_index", "song_match", "song_search"])
def test_the_digest_changes_with_the_code_that_compares(module, monkeypatch):
    before, read = song_search.digest({}, {}), song_search.inspect.getsource
    monkeypatch.setattr(song_search.inspect, "getsource", lambda m: read(m) + " # changed" * (m.__name__ == f"curation.{module}"))
    assert song_search.digest({}, {}) != before


def test_every_pair_of_a_song_is_found_the_best_first(prints, fleet):
    here = song_search.matches(own(prints), prints, fleet)
    assert [(match.first, match.second) for match in sorted(here, key=lambda match: match.first)] == [
        (f"x-a{i}-0", f"x-b{i}-0") for i in range(5)
    ]
    assert here == sorted(here, key=lambda match: -match.score)


@pytest.mark.parametrize(("workers", "batch"), [(1, 3), (3, 1), (3, 4)])
def test_shared_asking_finds_the_same(workers, batch, prints, fleet, monkeypatch):
    here = song_search.matches(own(prints), prints, fleet)
    monkeypatch.setattr(song_search, "MANY", len(prints))
    monkeypatch.setattr(song_search, "BATCH", batch)
    fleet.num_cpus = workers
    asked, ask = [], song_search.Finder._of
    monkeypatch.setattr(song_search.Finder, "_of", lambda self, number: asked.append(number) or ask(self, number))
    assert song_search.matches(own(prints), prints, fleet) == here
    assert sorted(asked) == list(range(len(prints)))
    assert len(here) == 5


def test_what_goes_wrong_with_a_worker_is_raised(prints, fleet, monkeypatch):
    monkeypatch.setattr(song_search, "MANY", 1)
    monkeypatch.setattr(song_search, "compare", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        song_search.matches(own(prints), prints, fleet)


@pytest.mark.slow
def test_rays_workers_find_the_same(prints, fleet, monkeypatch):
    here = song_search.matches(own(prints), prints, fleet)
    monkeypatch.setattr(song_search, "MANY", 1)
    monkeypatch.setattr(song_search, "BATCH", 3)
    with Fleet() as embedded:
        assert song_search.matches(own(prints), prints, embedded) == here
