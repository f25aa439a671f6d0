"""Near-duplicate videos: other uploads of the same pictures, found by the PDQ hashes of their frames.

Two clips match when enough frames of the one with fewer have a frame of the other within the rule's distance; or, where that
holds for more frames, when they have its mirror image. Frames below the rule's quality do not count, nor do those that very many
clips show (a logo, a title card). A clip with hardly any different frames (a still photograph, a card) is a copy only of a clip
that shows little else, and not of every clip that shows it once. Only clips with at least one such pair of frames in a common
band are compared (curation.bands).

A cluster is everything that hangs together by matches: where A matches B and B matches C, the three are one cluster, even if A
does not match C (A and C may be two different stretches of B).

Axes: N hashes of all clips, 4 words of 64 bits, E the frames of one clip and F those of another.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np

from curation import bands
from svmbench.fleet import Fleet
from svmbench.groups import groups
from svmbench.recipe import Duplicates
from svmbench.records import Clip, ClipPicture, Duplicate

REPEAT_BITS = 16  # ours: a frame this near to an earlier one of its clip is not looked up: what it finds, that one finds
VARIED = 3  # ours: a clip with fewer different frames that match is as good as still
LARGE = 1_000_000  # ours: from so many hashes on, Ray Data compares the buckets


def find(clips: Sequence[Clip], pictures: Mapping[str, ClipPicture], rule: Duplicates, fleet: Fleet) -> list[Duplicate]:
    """Every member of every cluster of two or more, the best copy too, sorted by cluster and clip; with keep: none, nothing.

    kept: of a cluster only the best copy stays under keep: best. The best has the largest picture inside the border times bytes a
    second (measure `bytes_per_s`; where a copy lacks it, the picture alone), then the highest frame rate, then the longest, then
    the smallest clip_id. A clip without a usable hash is in no cluster. The order of the clips does not matter.
    """
    if rule.keep == "none":
        return []
    clips = sorted(clips, key=lambda c: c.clip_id)
    words_N4, clip_N = _usable(clips, pictures, rule.quality_min)
    cold = ~bands.hot(words_N4, clip_N)
    words_N4, clip_N = words_N4[cold], clip_N[cold]
    share_of = _matches(words_N4, clip_N, rule, fleet)
    highest: dict[int, float] = {}
    for pair, share in share_of.items():
        for i in pair:
            highest[i] = max(share, highest.get(i, 0.0))
    rows = []
    for members in _clusters(len(clips), share_of):
        best = _best([clips[i] for i in members])
        for i in members:
            name = clips[i].clip_id
            kept = rule.keep == "all" or name == best
            rows.append(Duplicate(clip_id=name, cluster=best, kept=kept, match_share=highest[i]))
    return sorted(rows, key=lambda row: (row.cluster, row.clip_id))


def _usable(clips: Sequence[Clip], pictures: Mapping[str, ClipPicture], quality_min: int) -> tuple[np.ndarray, np.ndarray]:
    """(hashes as words, number of their clip) of all frames of enough quality, clip by clip in order of time."""
    hashes: list[bytes] = []
    counts = np.zeros(len(clips), np.int64)
    for number, clip in enumerate(clips):
        picture = pictures.get(clip.clip_id)
        if picture:
            good = [h for h, q in zip(picture.hashes, picture.hash_qualities, strict=True) if q >= quality_min]
            hashes += good
            counts[number] = len(good)
    return bands.words(hashes), np.repeat(np.arange(len(clips)), counts)


def _matches(words_N4: np.ndarray, clip_N: np.ndarray, rule: Duplicates, fleet: Fleet) -> dict[tuple[int, int], float]:
    """Pairs of clip numbers that show the same video, with the share of frames that match."""
    numbers, starts = np.unique(clip_N, return_index=True)
    frames = dict(zip(numbers.tolist(), np.split(words_N4, starts[1:]), strict=True)) if len(numbers) else {}
    fresh_N = np.concatenate([np.zeros(0, bool), *(_different(words_E4, REPEAT_BITS) for words_E4 in frames.values())])
    shuffled = len(fresh_N) >= LARGE and fleet.start_ray()
    pairs = bands.near(words_N4[fresh_N], clip_N[fresh_N], rule.max_distance, shuffled=shuffled)
    found = {}
    for a, b in pairs.tolist():
        share = match_share(frames[a], frames[b], rule)
        if share is not None:
            found[a, b] = share
    return found


def _different(words_E4: np.ndarray, bits: int) -> np.ndarray:
    """Which frames are more than `bits` away from every earlier one that was kept, bool of shape (E,)."""
    near_EE = bands.distance(words_E4[:, None], words_E4[None]) <= bits
    kept = np.zeros(len(words_E4), bool)
    for i in range(len(words_E4)):
        kept[i] = not (near_EE[i] & kept).any()
    return kept


def match_share(words_E4: np.ndarray, words_F4: np.ndarray, rule: Duplicates) -> float | None:
    """The share of the shorter clip's frames that match, None where the two clips are not the same video.

    Of a clip that matches with fewer than VARIED different frames, the other must match by the same share of its own frames.
    """
    plain, turned = (
        bands.distance(words_E4[:, None], words_F4[None], mirrored=mirrored) <= rule.max_distance for mirrored in (False, True)
    )
    near_EF = plain if plain.any(axis=1).sum() >= turned.any(axis=1).sum() else turned
    shares = float(near_EF.any(axis=1).mean()), float(near_EF.any(axis=0).mean())
    share = shares[0] if len(words_E4) <= len(words_F4) else shares[1]
    varied = min(
        _different(words_E4[near_EF.any(axis=1)], rule.max_distance).sum(),
        _different(words_F4[near_EF.any(axis=0)], rule.max_distance).sum(),
    )
    least = share if varied >= VARIED else min(shares)
    return share if least >= rule.match_share else None


def _clusters(num_clips: int, pairs: Iterable[tuple[int, int]]) -> Iterator[list[int]]:
    """The numbers of the clips that hang together, two or more at a time."""
    keys: list[list[tuple[int, int]]] = [[] for _ in range(num_clips)]
    for pair in pairs:
        for number in pair:
            keys[number].append(pair)
    together: dict[int, list[int]] = defaultdict(list)
    for number, group in enumerate(groups(keys)):
        together[group].append(number)
    return (members for members in together.values() if len(members) > 1)


def _best(copies: Sequence[Clip]) -> str:
    """The clip_id of the copy that is kept."""
    rates = [clip.measures.get("bytes_per_s") for clip in copies]
    weighed = [rate if rate is not None and None not in rates else 1.0 for rate in rates]

    def merit(i: int) -> tuple[float, float, float, str]:
        clip = copies[i]
        area = clip.box.width_px * clip.box.height_px
        return -area * weighed[i], -(clip.fps or 0.0), clip.start_s - clip.end_s, clip.clip_id

    return copies[min(range(len(copies)), key=merit)].clip_id
