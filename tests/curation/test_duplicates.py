"""Near-duplicates: copies are found, what only looks alike in part is not, and the best copy stays."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from skimage import data

from curation import bands, border, duplicates, hashes
from curation.duplicates import find
from svmbench import media
from svmbench.fleet import Fleet
from svmbench.recipe import Duplicates
from svmbench.records import Box, Clip, ClipPicture, Duplicate

BEST = Duplicates(keep="best")
ALL = Duplicates(keep="all")


@pytest.fixture
def fleet() -> Iterator[Fleet]:
    with Fleet(local=True) as local:
        yield local


def clip(name: str, width: int = 360, height: int = 640, song: str = "s", **changes: Any) -> Clip:
    box = Box(left_px=0, top_px=0, width_px=width, height_px=height)
    made = Clip(
        clip_id=name, post_id=f"p-{name}", song_id=song, start_s=0, end_s=10, fps=30, width_px=720, height_px=1280, box=box,
        media=f"m-{name}",
    )  # fmt: skip
    return replace(made, **changes)


def picture(name: str, hashes_E32: np.ndarray, qualities: Iterable[int] | None = None) -> ClipPicture:
    hashes = tuple(row.tobytes() for row in hashes_E32)
    return ClipPicture(
        clip_id=name, border_method="none", border_kinds=(), border_confidences=(), cut_times_s=(), hashes=hashes,
        hash_times_s=tuple(i / 4 for i in range(len(hashes))),
        hash_qualities=(80,) * len(hashes) if qualities is None else tuple(qualities),
    )  # fmt: skip


def scenes(seed: int, num: int = 12) -> np.ndarray:
    """Hashes of `num` different frames, uint8 of shape (num, 32)."""
    return np.random.default_rng(seed).integers(0, 256, (num, 32)).astype(np.uint8)


def flipped(hashes_E32: np.ndarray, bits: int, seed: int = 0) -> np.ndarray:
    """The same with so many bits of each turned."""
    rng = np.random.default_rng(seed)
    found = np.unpackbits(hashes_E32, axis=1)
    for row in found:
        row[rng.choice(256, bits, replace=False)] ^= 1
    return np.packbits(found, axis=1)


def run(
    videos: dict[str, np.ndarray], fleet: Fleet, rule: Duplicates = BEST, qualities: Mapping[str, Iterable[int]] | None = None
) -> list[Duplicate]:
    pictures = {name: picture(name, h, (qualities or {}).get(name)) for name, h in videos.items()}
    return find([clip(name) for name in videos], pictures, rule, fleet)


def clusters(rows: list[Duplicate]) -> set[frozenset[str]]:
    return {frozenset(r.clip_id for r in rows if r.cluster == name) for name in {r.cluster for r in rows}}


def test_a_copy_is_found_and_the_others_are_not(fleet: Fleet) -> None:
    videos = {"a": scenes(1), "b": flipped(scenes(1), 20), "c": scenes(3), "d": scenes(4)}
    assert run(videos, fleet) == [
        Duplicate(clip_id="a", cluster="a", kept=True, match_share=1.0),
        Duplicate(clip_id="b", cluster="a", kept=False, match_share=1.0),
    ]


def test_thirty_different_videos_make_no_pair(fleet: Fleet) -> None:
    assert run({f"v{i}": scenes(i, 40) for i in range(30)}, fleet, Duplicates(match_share=0.01)) == []


def test_a_trimmed_copy_matches_by_the_frames_of_the_shorter(fleet: Fleet) -> None:
    rows = run({"a": scenes(1, 40), "b": flipped(scenes(1, 40)[22:34], 10)}, fleet)
    assert [row.match_share for row in rows] == [1.0, 1.0]


def test_only_frames_that_find_the_same_are_not_looked_up(fleet: Fleet) -> None:
    """The second half of the first clip is near its first half, but too far from it to be found by it."""
    first = scenes(1, 6)
    drifted = flipped(first, 40)
    videos = {"a": np.concatenate([first, drifted]), "b": flipped(drifted, 4, seed=1)}
    assert clusters(run(videos, fleet)) == {frozenset("ab")}


def test_match_share_is_that_of_the_nearest_other_member(fleet: Fleet) -> None:
    a, c = scenes(1, 20), scenes(2, 20)
    rows = run({"a": a, "b": np.concatenate([a[8:], c[12:]]), "c": c}, fleet, Duplicates(match_share=0.3))
    assert {row.clip_id: row.match_share for row in rows} == {"a": 0.6, "b": 0.6, "c": 0.4}


def test_a_mirrored_copy_is_found(fleet: Fleet) -> None:
    mirrored = (scenes(1).view(np.uint64) ^ bands.MIRRORED).view(np.uint8)
    assert clusters(run({"a": scenes(1), "b": flipped(mirrored, 12), "c": scenes(2)}, fleet)) == {frozenset("ab")}


def test_frames_that_match_as_they_are_and_mirrored_do_not_add_up(fleet: Fleet) -> None:
    half = scenes(1, 10).copy()
    half[4:] = scenes(9, 6)
    half[4:8] = (scenes(1, 10)[:4].view(np.uint64) ^ bands.MIRRORED).view(np.uint8)
    assert run({"a": scenes(1, 10), "b": half}, fleet) == []


def test_a_common_intro_alone_is_no_copy(fleet: Fleet) -> None:
    intro = scenes(9, 8)
    videos = {f"v{i}": np.concatenate([intro, scenes(i, 12)]) for i in range(6)}
    assert run(videos, fleet) == []
    assert len(run(videos, fleet, Duplicates(match_share=0.3))) == 6  # it is the rule that keeps them apart


@pytest.mark.parametrize("beginning", [1, 2])
def test_a_still_picture_is_not_a_copy_of_a_video_that_shows_it(beginning: int, fleet: Fleet) -> None:
    still = np.repeat(scenes(1, beginning), 10, axis=0)
    moving = np.concatenate([scenes(1, beginning), scenes(2, 60)])
    assert run({"still": still, "moving": moving}, fleet) == []


def test_noise_makes_no_different_frames_of_a_still_picture(fleet: Fleet) -> None:
    picture = scenes(1, 1)
    noisy = np.concatenate([flipped(picture, 12, seed=i) for i in range(15)])  # some 20 bits from each other
    assert run({"still": noisy[:10], "moving": np.concatenate([noisy[10:], scenes(2, 60)])}, fleet) == []


def test_two_uploads_of_one_still_picture_are_copies(fleet: Fleet) -> None:
    still = np.repeat(scenes(1, 1), 20, axis=0)
    assert clusters(run({"a": still, "b": flipped(still[:9], 6), "c": np.repeat(scenes(2, 1), 20, axis=0)}, fleet)) == {
        frozenset("ab")
    }


def test_one_frame_each(fleet: Fleet) -> None:
    assert clusters(run({"a": scenes(1, 1), "b": flipped(scenes(1, 1), 9), "c": scenes(2, 1)}, fleet)) == {frozenset("ab")}


def test_clips_without_a_usable_hash_are_in_no_cluster(fleet: Fleet) -> None:
    black = np.zeros((8, 32), np.uint8)
    videos = {"a": black, "b": black, "c": scenes(1, 0), "d": scenes(1, 0), "e": scenes(2), "f": scenes(2)}
    rows = run(videos, fleet, qualities={"a": [0] * 8, "b": [19] * 8})
    assert clusters(rows) == {frozenset("ef")}
    assert find([clip("x"), clip("y")], {}, BEST, fleet) == []
    assert find([], {}, BEST, fleet) == []


def test_quality_min_says_which_frames_count(fleet: Fleet) -> None:
    videos, qualities = {"a": scenes(1), "b": scenes(1)}, {"a": [20] * 12, "b": [20] * 12}
    assert len(run(videos, fleet, qualities=qualities)) == 2
    assert run(videos, fleet, Duplicates(quality_min=21), qualities) == []


def test_max_distance_is_the_last_that_matches(fleet: Fleet) -> None:
    videos = {"a": scenes(1), "b": flipped(scenes(1), 14)}
    assert len(run(videos, fleet, Duplicates(max_distance=14))) == 2
    assert run(videos, fleet, Duplicates(max_distance=13)) == []


def test_match_share_is_the_least_that_matches(fleet: Fleet) -> None:
    videos = {"a": scenes(1, 10), "b": np.concatenate([scenes(1, 10)[:4], scenes(2, 6)])}
    rows = run(videos, fleet, Duplicates(match_share=0.4))
    assert [row.match_share for row in rows] == pytest.approx([0.4, 0.4])
    assert run(videos, fleet, Duplicates(match_share=0.41)) == []


def test_the_same_song_with_another_video_is_no_copy(fleet: Fleet) -> None:
    clips = [clip("a", song="one"), clip("b", song="one")]
    assert find(clips, {n: picture(n, scenes(i)) for i, n in enumerate("ab")}, BEST, fleet) == []


def test_a_chain_is_one_cluster(fleet: Fleet) -> None:
    """b holds a stretch of a and one of c, which have nothing in common."""
    a, c = scenes(1, 20), scenes(2, 20)
    rows = run({"a": a, "b": np.concatenate([a[10:], c[:10]]), "c": c}, fleet)
    assert clusters(rows) == {frozenset("abc")}
    assert [row.kept for row in rows] == [True, False, False]


def test_keep_none_looks_for_none_and_keep_all_keeps_all(fleet: Fleet) -> None:
    videos = {"a": scenes(1), "b": scenes(1)}
    assert run(videos, fleet, Duplicates(keep="none")) == []
    assert [row.kept for row in run(videos, fleet, ALL)] == [True, True]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (clip("b", 400, 600), clip("a", 399, 600)),  # the larger picture inside the border, whatever the frame around it
        (clip("b", measures={"bytes_per_s": 2e5}), clip("a", measures={"bytes_per_s": 1e5})),
        (clip("b", 200, 600, measures={"bytes_per_s": 3e5}), clip("a", 400, 600, measures={"bytes_per_s": 1e5})),
        (clip("b", 401, 600, measures={"bytes_per_s": None}), clip("a", 400, 600, measures={"bytes_per_s": 9e5})),
        (clip("b", fps=30.0), clip("a", fps=15.0)),
        (clip("b", fps=30.0), clip("a", fps=None)),
        (clip("b", end_s=11.0), clip("a", end_s=10.0)),
        (clip("a"), clip("b")),
    ],
)
def test_the_best_copy_stays(first: Clip, second: Clip, fleet: Fleet) -> None:
    pictures = {name: picture(name, scenes(1)) for name in "ab"}
    for clips in ([first, second], [second, first]):
        rows = find(clips, pictures, BEST, fleet)
        assert {row.clip_id: row.kept for row in rows} == {first.clip_id: True, second.clip_id: False}
        assert {row.cluster for row in rows} == {first.clip_id}


def planted(num_clips: int, num_frames: int, bits: int, seed: int) -> dict[str, np.ndarray]:
    """Different videos, of which the first are in copies of two and three whose frames differ in up to `bits` bits each."""
    rng = np.random.default_rng(seed)
    videos = {f"v{i:05d}": scenes(seed * 100_000 + i, num_frames) for i in range(num_clips)}
    names = list(videos)
    for i in range(0, num_clips // 4, 4):
        for other in names[i + 1 : i + 2 + i % 3]:
            videos[other] = flipped(videos[names[i]], int(rng.integers(0, bits + 1)), seed=i)
    return videos


def compared_all(videos: dict[str, np.ndarray], rule: Duplicates) -> set[tuple[str, str]]:
    words = {name: np.ascontiguousarray(h).view(np.uint64) for name, h in videos.items()}
    return {(a, b) for a, b in combinations(sorted(videos), 2) if duplicates.match_share(words[a], words[b], rule) is not None}


@pytest.mark.parametrize("seed", [1, 2])
def test_the_bands_find_what_comparing_all_finds(seed: int, fleet: Fleet) -> None:
    videos = planted(96, 8, 31, seed)
    pairs = compared_all(videos, BEST)
    assert len(pairs) > 10
    found = clusters(run(videos, fleet))
    assert all(any({a, b} <= cluster for cluster in found) for a, b in pairs)
    assert sum(map(len, found)) == len({name for pair in pairs for name in pair})


def test_the_order_of_the_clips_does_not_matter(fleet: Fleet) -> None:
    videos = planted(80, 8, 25, 3)
    names = list(videos)
    expected = run(videos, fleet)
    assert expected
    for seed in range(3):
        np.random.default_rng(seed).shuffle(names)
        assert run({name: videos[name] for name in names}, fleet) == expected


def test_a_card_that_very_many_show_is_no_evidence(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sixty clips are half a title card; two of them are copies of one another in the other half too."""
    card = np.repeat(scenes(999, 4), 3, axis=0)
    videos = {f"v{i:02d}": np.concatenate([flipped(card, 5, seed=i), scenes(i, 10)]) for i in range(60)}
    videos["v01"] = videos["v00"].copy()
    assert clusters(run(videos, fleet)) == {frozenset(videos)}
    monkeypatch.setattr(bands, "HOT_CLIPS", 50)
    assert clusters(run(videos, fleet)) == {frozenset({"v00", "v01"})}


def test_hot_counts_clips_and_not_frames(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bands, "HOT_CLIPS", 5)
    words = np.repeat(scenes(1, 1).view(np.uint64), 40, axis=0)
    assert not bands.hot(words, np.repeat(np.arange(5), 8)).any()
    assert bands.hot(words, np.repeat(np.arange(8), 5)).all()

    monkeypatch.setattr(bands, "HOT_TIMES", 10**6)  # of so few hashes a mean bucket holds hardly any
    assert not bands.hot(words, np.repeat(np.arange(8), 5)).any()


def test_one_hot_bucket_makes_no_hot_hash(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bands, "HOT_CLIPS", 5)
    hashes = np.repeat(scenes(1, 1), 9, axis=0)
    hashes[8, 2:] = scenes(2, 1)[0, 2:]  # of another picture, and by chance as the others in the first band
    assert bands.hot(hashes.view(np.uint64), np.arange(9)).tolist() == [True] * 8 + [False]


def test_every_pair_of_a_bucket_is_compared() -> None:
    words = np.repeat(scenes(1, 1).view(np.uint64), 6, axis=0)
    assert bands.near(words, np.arange(6), 0).tolist() == [list(pair) for pair in combinations(range(6), 2)]


def test_hashes_share_a_band_as_often_as_is_said() -> None:
    first = scenes(1, 4000)
    for bits, share in ((24, 0.99), (31, 0.91)):
        both = np.concatenate([first, flipped(first, bits)]).view(np.uint64)
        found = len(bands.near(both, np.arange(8000), bits))
        assert found / 4000 == pytest.approx(share, abs=0.015)


def test_distance_counts_bits() -> None:
    words = scenes(1, 5).view(np.uint64)
    assert bands.distance(words, flipped(scenes(1, 5), 17).view(np.uint64)).tolist() == [17] * 5
    assert bands.distance(words, words ^ bands.MIRRORED, mirrored=True).tolist() == [0] * 5


def soft(name: str, layouts_E32: np.ndarray, pdq_seed: int) -> ClipPicture:
    """A film of soft shades: its hashes are as good as random, its layouts are not."""
    made = picture(name, scenes(pdq_seed, len(layouts_E32)))
    return replace(made, hash_layouts=tuple(row.tobytes() for row in layouts_E32))


def soft_clusters(films: dict[str, np.ndarray], fleet: Fleet, rule: Duplicates = BEST) -> set[frozenset[str]]:
    pictures = {name: soft(name, layouts, 500 + i) for i, (name, layouts) in enumerate(films.items())}
    return clusters(find([clip(name) for name in films], pictures, rule, fleet))


def test_a_film_of_soft_shades_is_found_by_its_layouts(fleet: Fleet) -> None:
    film = scenes(1, 20)
    films = {"a": film, "b": flipped(film, 12), "trimmed": film[7:], "c": scenes(2, 20)}
    assert soft_clusters(films, fleet) == {frozenset({"a", "b", "trimmed"})}
    assert soft_clusters({"a": film, "b": flipped(film, 13)}, fleet) == set()


def test_the_same_layouts_in_another_order_are_another_film(fleet: Fleet) -> None:
    film = scenes(1, 20)
    assert soft_clusters({"a": film, "b": film[::-1]}, fleet) == set()


def test_most_layouts_must_agree(fleet: Fleet) -> None:
    film = scenes(1, 20)
    part = {"a": film, "b": np.concatenate([film[:14], scenes(2, 6)])}
    assert soft_clusters(part, fleet) == set()
    part["b"] = np.concatenate([film[:15], scenes(2, 5)])
    assert soft_clusters(part, fleet) == {frozenset("ab")}
    assert soft_clusters(part, fleet, Duplicates(match_share=0.8)) == set()


def test_a_smooth_picture_that_stands_still_is_no_evidence(fleet: Fleet) -> None:
    still = np.repeat(scenes(1, 2), 10, axis=0)
    assert soft_clusters({"a": still, "b": still}, fleet) == set()


def moving(name: str) -> np.ndarray:
    """Three seconds of a photograph under a moving camera, RGB of shape (30, 180, 320, 3)."""
    image = getattr(data, name)()
    scaled = cv2.resize(image, (440, 440 * image.shape[0] // image.shape[1]), interpolation=cv2.INTER_AREA)
    return np.stack([scaled[t : t + 180, 3 * t : 3 * t + 320] for t in range(30)])


def barred(frames: np.ndarray, above: int, beside: int) -> np.ndarray:
    return np.pad(frames, ((0, 0), (above, above), (beside, beside), (0, 0)))


def captioned(frames: np.ndarray) -> np.ndarray:
    return np.stack(
        [
            cv2.putText(f.copy(), "wait for it", (60, 50), cv2.FONT_HERSHEY_DUPLEX, 1, (255,) * 3, 2)
            for f in barred(frames, 100, 0)
        ]
    )


def resized(frames: np.ndarray, width: int, height: int) -> np.ndarray:
    return np.stack([cv2.resize(f, (width, height), interpolation=cv2.INTER_AREA) for f in frames])


KINDS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "encoded": lambda frames: frames,
    "rough": lambda frames: frames // 24 * 24,
    "letterbox": lambda frames: barred(frames, 90, 0),
    "pillarbox": lambda frames: barred(frames, 0, 64),
    "captioned": captioned,
    "rescaled": lambda frames: resized(frames, 176, 112),
    "trimmed": lambda frames: frames[6:26],
    "dark": lambda frames: frames // 6,
    "graded": lambda frames: (255 * (frames / 255) ** 0.7).astype(np.uint8),
    "mirrored": lambda frames: frames[:, :, ::-1],
    "grey": lambda frames: np.repeat(frames[..., 1:2], 3, axis=3),
}


@pytest.fixture(scope="module")
def uploads(tmp_path_factory: pytest.TempPathFactory, film: Callable[..., Path]) -> Callable[[str, str], ClipPicture]:
    """uploads(photograph, kind): what decoding such a file gives, with the border cut off."""
    method, folder = border.method("robust"), tmp_path_factory.mktemp("uploads")

    def hashed(name: str, kind: str) -> ClipPicture:
        path = film(folder / f"{name}-{kind}.mp4", KINDS[kind](moving(name)))
        whole = media.decode(path, media.union([method.NEEDS, hashes.NEEDS]), 60)
        found = hashes.of(whole.with_box(method.find(whole).box))
        bits = np.frombuffer(b"".join(found[1]), np.uint8).reshape(-1, 32)
        return picture(f"{name}-{kind}", bits, found[2])

    return hashed


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "encoded"])
def test_a_re_upload_is_found(kind: str, uploads: Callable[[str, str], ClipPicture], fleet: Fleet) -> None:
    photographs = ("astronaut", "coffee", "chelsea")
    found = {p.clip_id: p for name in photographs for p in (uploads(name, "encoded"), uploads(name, kind))}
    rows = find([clip(name) for name in found], found, BEST, fleet)
    assert clusters(rows) == {frozenset({f"{name}-encoded", f"{name}-{kind}"}) for name in photographs}


def test_a_re_upload_of_soft_shades_is_found(tmp_path: Path, film: Callable[..., Path], fleet: Fleet) -> None:
    """Three computed films that look alike, each uploaded again, smaller and coarser."""
    y, x = np.mgrid[:180, :320] / 180
    pictures = {}
    for name, (speed, wide) in {"a": (1.5, 4), "b": (2.5, 4), "c": (1.5, 6)}.items():
        grey = np.stack([120 + 50 * np.sin(wide * x + speed * t / 10) + 40 * np.cos(5 * y - t / 7) for t in range(30)])
        frames = np.repeat(grey[..., None], 3, axis=3).astype(np.uint8)
        for kind, shown in {"first": frames, "again": resized(frames, 176, 112) // 6 * 6 + 3}.items():
            found = hashes.of(media.decode(film(tmp_path / f"{name}-{kind}.mp4", shown), hashes.NEEDS, 60))
            made = picture(f"{name}-{kind}", np.frombuffer(b"".join(found[1]), np.uint8).reshape(-1, 32), found[2])
            pictures[made.clip_id] = replace(made, hash_times_s=found[0], hash_layouts=found[3])
    found_clusters = clusters(find([clip(name) for name in pictures], pictures, BEST, fleet))
    assert found_clusters == {frozenset({f"{name}-first", f"{name}-again"}) for name in "abc"}


@pytest.fixture(scope="module")
def ray_fleet() -> Iterator[Fleet]:
    with Fleet() as embedded:
        yield embedded


@pytest.mark.slow
def test_ray_data_finds_the_same(ray_fleet: Fleet, fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    videos = planted(60, 8, 31, 5)
    here = run(videos, fleet)
    monkeypatch.setattr(duplicates, "LARGE", 1)
    assert run(videos, fleet) == here  # a local fleet has no Ray
    monkeypatch.setattr(bands, "PART_ROWS", 4_000)  # two parts
    assert run(videos, ray_fleet) == here
    assert here


@pytest.mark.slow
def test_a_worker_that_dies_ends_the_search_and_does_not_hang(ray_fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    import ray

    def dies(part: Any, max_distance: int) -> Any:
        import os

        os._exit(1)

    monkeypatch.setattr(duplicates, "LARGE", 1)
    monkeypatch.setattr(bands, "_near_in_part", dies)
    monkeypatch.setattr(bands, "RETRIES", 0)  # each takes Ray long
    with pytest.raises(ray.exceptions.RayError):
        run(planted(20, 8, 31, 5), ray_fleet)
