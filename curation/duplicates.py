"""Near-duplicate videos: other uploads of the same pictures, found by the PDQ hashes of their frames.

Two clips match when enough frames of the one with fewer have a frame of the other within the rule's distance; or, where that
holds for more frames, when they have its mirror image. Frames below the rule's quality do not count, nor do those that very many
clips show (a logo, a title card). A clip with hardly any different frames (a still photograph, a card) is a copy only of a clip
that shows little else, and not of every clip that shows it once. Only clips with at least one such pair of frames in a common
band are compared (curation.bands).

PDQ says nothing of pictures that are all soft shades; those have a layout beside it (curation.hashes). Layouts are soon alike by
chance, so more is asked for: two clips match too when most frames of the shorter have the layouts of the other in the same course
of time, with one shift for all, and VARIED different ones among them. A smooth picture that stands still is no evidence, and a
mirror image is not looked for.

A cluster is everything that hangs together by matches: where A matches B and B matches C, the three are one cluster, even if A
does not match C (A and C may be two different stretches of B). Clips of one post are no copies of each other, however alike they
look: a film that stands still is alike from end to end. Where a copy of another post has brought them into one cluster, all those
of the best copy's post stay.

Axes: N hashes of all clips, 4 words of 64 bits, E the frames of one clip and F those of another, L those with a layout.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from curation import bands
from svmbench.fleet import Fleet
from svmbench.groups import groups
from svmbench.recipe import Duplicates
from svmbench.records import Clip, ClipPicture, Duplicate

REPEAT_BITS = 16  # ours: a frame this near to an earlier one of its clip is not looked up: what it finds, that one finds
VARIED = 3  # ours: a clip with fewer different frames that match is as good as still
LAYOUT_BITS = 12  # ours: layouts of one picture hardly differ in more
SAME_LAYOUT_BITS = 4  # ours: as REPEAT_BITS, of layouts
COURSE_SHARE = 0.75  # ours: of the frames of the shorter clip, where the rule's match_share is no higher
COURSE_S = 0.26  # ours: about the time between two hashes
LARGE = 1_000_000  # ours: from so many hashes on, Ray Data compares the buckets


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """What of a clip's frames can be compared: hashes of enough quality, layouts with their times, and how many frames it has."""

    words_E4: np.ndarray
    layouts_L4: np.ndarray
    times_s_L: np.ndarray
    num_frames: int


def find(clips: Sequence[Clip], pictures: Mapping[str, ClipPicture], rule: Duplicates, fleet: Fleet) -> list[Duplicate]:
    """Every member of every cluster of two or more, the best copy too, sorted by cluster and clip; with keep: none, nothing.

    kept: of a cluster only the best copy, with the other clips of its post, stays under keep: best. The best has the largest
    picture inside the border times bytes a second (measure `bytes_per_s`; where a copy lacks it, the picture alone), then the
    highest frame rate, then the longest, then the smallest clip_id. A clip without a usable hash is in no cluster. The order of
    the clips does not matter.
    """
    if rule.keep == "none" or not clips:
        return []
    clips = sorted(clips, key=lambda c: c.clip_id)
    posts = [clip.post_id for clip in clips]
    share_of = _matches(_known([shown(pictures.get(clip.clip_id), rule) for clip in clips], posts), posts, rule, fleet)
    highest: dict[int, float] = {}
    for pair, share in share_of.items():
        for i in pair:
            highest[i] = max(share, highest.get(i, 0.0))
    rows = []
    for members in _clusters(len(clips), share_of):
        best = _best([clips[i] for i in members])
        for i in members:
            kept = rule.keep == "all" or posts[i] == best.post_id
            rows.append(Duplicate(clip_id=clips[i].clip_id, cluster=best.clip_id, kept=kept, match_share=highest[i]))
    return sorted(rows, key=lambda row: (row.cluster, row.clip_id))


def shown(picture: ClipPicture | None, rule: Duplicates) -> Shown:
    """What can be compared of a clip; nothing where it has no picture."""
    if picture is None:
        return Shown(words_E4=bands.words([]), layouts_L4=bands.words([]), times_s_L=np.zeros(0), num_frames=0)
    good = [h for h, q in zip(picture.hashes, picture.hash_qualities, strict=True) if q >= rule.quality_min]
    soft = [(layout, t) for layout, t in zip(picture.hash_layouts, picture.hash_times_s, strict=False) if layout]
    return Shown(
        words_E4=bands.words(good),
        layouts_L4=bands.words([layout for layout, _ in soft]),
        times_s_L=np.array([t for _, t in soft]),
        num_frames=len(picture.hashes),
    )


def _known(clips: Sequence[Shown], posts: Sequence[str]) -> list[Shown]:
    """The same without the frames that very many posts show."""
    post_of_clip = np.unique(posts, return_inverse=True)[1]
    cold = _cold([clip.words_E4 for clip in clips], post_of_clip)
    cold_layouts = _cold([clip.layouts_L4 for clip in clips], post_of_clip)
    return [
        replace(clip, words_E4=clip.words_E4[kept], layouts_L4=clip.layouts_L4[soft], times_s_L=clip.times_s_L[soft])
        for clip, kept, soft in zip(clips, cold, cold_layouts, strict=True)
    ]


def _flat(parts: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """(hashes of all clips, number of their clip)."""
    return np.concatenate([bands.words([]), *parts]), np.repeat(np.arange(len(parts)), [len(part) for part in parts])


def _cold(parts: Sequence[np.ndarray], post_of_clip: np.ndarray) -> list[np.ndarray]:
    """For each clip, which of its hashes are not hot."""
    words_N4, clip_N = _flat(parts)
    return np.split(~bands.hot(words_N4, post_of_clip[clip_N]), np.cumsum([len(part) for part in parts])[:-1])


def _matches(clips: Sequence[Shown], posts: Sequence[str], rule: Duplicates, fleet: Fleet) -> dict[tuple[int, int], float]:
    """Pairs of clip numbers that show the same video, with the share of frames that match."""
    pairs = {
        *_near([clip.words_E4 for clip in clips], REPEAT_BITS, rule.max_distance, fleet),
        *_near([clip.layouts_L4 for clip in clips], SAME_LAYOUT_BITS, LAYOUT_BITS, fleet),
    }
    shares = {(a, b): alike(clips[a], clips[b], rule) for a, b in sorted(pairs) if posts[a] != posts[b]}
    return {pair: share for pair, share in shares.items() if share is not None}


def _near(parts: Sequence[np.ndarray], repeat_bits: int, max_distance: int, fleet: Fleet) -> list[tuple[int, int]]:
    """Pairs of clip numbers with hashes within max_distance that share a band."""
    words_N4, clip_N = _flat([part[_different(part, repeat_bits)] for part in parts])
    shuffled = len(words_N4) >= LARGE and fleet.start_ray()
    return [(a, b) for a, b in bands.near(words_N4, clip_N, max_distance, shuffled=shuffled).tolist()]


def _different(words_E4: np.ndarray, bits: int) -> np.ndarray:
    """Which frames are more than `bits` away from every earlier one that was kept, bool of shape (E,)."""
    near_EE = bands.distance(words_E4[:, None], words_E4[None]) <= bits
    kept = np.zeros(len(words_E4), bool)
    for i in range(len(words_E4)):
        kept[i] = not (near_EE[i] & kept).any()
    return kept


def alike(first: Shown, second: Shown, rule: Duplicates) -> float | None:
    """The share of frames that match, None where the two clips are not the same video."""
    shares = []
    if len(first.words_E4) and len(second.words_E4):
        shares.append(match_share(first.words_E4, second.words_E4, rule))
    if len(first.layouts_L4) and len(second.layouts_L4):
        shares.append(course_share(first, second, rule))
    return max((share for share in shares if share is not None), default=None)


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


def course_share(first: Shown, second: Shown, rule: Duplicates) -> float | None:
    """The share of the shorter clip's frames whose layouts the other shows as much later or earlier as the rest; None where the
    two clips are not the same video."""
    near_EF = bands.distance(first.layouts_L4[:, None], second.layouts_L4[None]) <= LAYOUT_BITS
    ours, theirs = np.nonzero(near_EF)
    if min(_num_different(first, ours), _num_different(second, theirs)) < VARIED:
        return None
    shift_s = second.times_s_L[theirs] - first.times_s_L[ours]
    of_shorter = ours if first.num_frames <= second.num_frames else theirs
    common = [np.abs(shift_s - s) <= COURSE_S for s in np.unique(shift_s.round(1))]
    together = max(common, key=lambda chosen: len(np.unique(of_shorter[chosen])))
    share = len(np.unique(of_shorter[together])) / min(first.num_frames, second.num_frames)
    varied = min(_num_different(first, ours[together]), _num_different(second, theirs[together]))
    return share if share >= max(rule.match_share, COURSE_SHARE) and varied >= VARIED else None


def _num_different(clip: Shown, indices: np.ndarray) -> int:
    return int(_different(clip.layouts_L4[np.unique(indices)], LAYOUT_BITS).sum())


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


def _best(copies: Sequence[Clip]) -> Clip:
    """The copy that is kept."""
    rates = [clip.measures.get("bytes_per_s") for clip in copies]
    weighed = [rate if rate is not None and None not in rates else 1.0 for rate in rates]

    def merit(i: int) -> tuple[float, float, float, str]:
        clip = copies[i]
        area = clip.box.width_px * clip.box.height_px
        return -area * weighed[i], -(clip.fps or 0.0), clip.start_s - clip.end_s, clip.clip_id

    return copies[min(range(len(copies)), key=merit)]
