"""How well a curated run of composed posts agrees with the composer's truth (crawl/replica/compose.py). One function a table.

Shares carry their 95 % interval by Wilson's score. Times in seconds from the start of the clip, which here is that of the post.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations, pairwise
from typing import Any

import numpy as np
from scipy.stats import spearmanr

from curation.filters import still_photo
from curation.review.agreement import wilson
from curation.songs import group
from svmbench.fleet import Fleet
from svmbench.recipe import Recipe
from svmbench.records import Box, Clip, ClipPicture, ClipSound, Drop, Duplicate, Fingerprint, RuleVerdict, Song
from svmbench.store import RunFolder

BORDER_PX = 2  # the tolerance
BEAT_S = 0.07  # MIREX and mir_eval
CUT_S = 0.125  # curation.filters.cut_rate looks at eight pictures a second, and finds a cut at most so much late
OVERLAP_S = 5.0  # of two excerpts of a song; below it a fingerprint can hardly know
GRID_S = 0.01  # of speech and no speech
DRAWS = 1000  # of songs, for the interval of a mean
OUTCOMES = ("keep", "review", "drop", "failed")


@dataclass(frozen=True, kw_only=True)
class Table:
    """A table in Markdown: a title, column names, rows of text, and remarks below."""

    title: str
    columns: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]
    remarks: tuple[str, ...] = ()

    def __str__(self) -> str:
        lines = [f"### {self.title}", "", f"| {' | '.join(self.columns)} |", "|---" + "|---:" * (len(self.columns) - 1) + "|"]
        lines += [f"| {' | '.join(row)} |" for row in self.rows]
        return "\n".join([*lines, *(f"\n{remark}" for remark in self.remarks)]) + "\n"


@dataclass(frozen=True, kw_only=True)
class Case:
    """One decoded clip with what is true of it. said: what the rules alone say; reason: theirs, or the failure's."""

    truth: Mapping[str, Any]
    clip: Clip
    picture: ClipPicture
    sound: ClipSound
    said: str
    reason: str
    kept: bool


def cases(run: RunFolder, truth: Mapping[str, Mapping[str, Any]]) -> list[Case]:
    """Every candidate of the run, in order of its id."""
    pictures = {row.clip_id: row for row in run.read(ClipPicture, "pictures")}
    sounds = {row.clip_id: row for row in run.read(ClipSound, "sounds")}
    verdicts = {row.clip_id: row for row in run.read(RuleVerdict, "verdicts")}
    drops = {row.id.split(":")[1]: row for row in run.read(Drop, "drops")}
    kept = {clip.clip_id for clip in run.read(Clip, "clips")}
    found = []
    for clip in sorted(run.read(Clip, "candidates"), key=lambda c: c.clip_id):
        verdict, drop = verdicts.get(clip.clip_id), drops.get(clip.post_id)
        found.append(
            Case(
                truth=truth[clip.post_id], clip=clip, picture=pictures[clip.clip_id], sound=sounds[clip.clip_id],
                said=verdict.verdict if verdict else "failed", kept=clip.clip_id in kept,
                reason=verdict.reason if verdict else drop.reason if drop else "",
            )
        )  # fmt: skip
    return found


def rate(hits: int, of: int) -> str:
    """A share with its interval and counts."""
    ci95 = wilson(hits, of).ci95
    return f"{hits / of:.3f} [{ci95[0]:.3f}, {ci95[1]:.3f}] ({hits}/{of})" if ci95 else "none to judge"


def by(cases: Iterable[Case], key: Callable[[Case], str]) -> dict[str, list[Case]]:
    """Cases by a key, the most frequent first."""
    found: dict[str, list[Case]] = defaultdict(list)
    for case in cases:
        found[key(case)].append(case)
    return dict(sorted(found.items(), key=lambda item: (-len(item[1]), item[0])))


# -- borders
def borders(cases: Sequence[Case]) -> Table:
    """Exact: all four sides within BORDER_PX. False cut: some side takes more than that of the picture. Left: border stays."""
    rows = []
    for name, group_ in [*by(cases, lambda c: str(c.truth["border"])).items(), ("all", list(cases))]:
        off = [_insets(c.clip.box, c.clip) - _insets(Box(**c.truth["box"]), c.clip) for c in group_]
        counts = [sum(f(o) for o in off) for f in (_exact, lambda o: (o > BORDER_PX).any(), lambda o: (o < -BORDER_PX).any())]
        rows.append((name, *(rate(int(n), len(off)) for n in counts)))
    return Table(title="Borders", columns=("kind", "all sides within 2 px", "false cut", "border left"), rows=rows)


def _insets(box: Box, clip: Clip) -> np.ndarray:
    right, bottom = clip.width_px - box.left_px - box.width_px, clip.height_px - box.top_px - box.height_px
    return np.array([box.left_px, box.top_px, right, bottom])


def _exact(off: np.ndarray) -> bool:
    return bool((np.abs(off) <= BORDER_PX).all())


# -- beats and cuts: points in time
def matches(found: Sequence[float], true: Sequence[float], within_s: float) -> int:
    """How many of both ascending lists pair up one to one within a tolerance."""
    i = j = hits = 0
    while i < len(found) and j < len(true):
        gap = found[i] - true[j]
        hits += abs(gap) <= within_s + 1e-9
        i, j = (i + 1, j + 1) if abs(gap) <= within_s + 1e-9 else (i + (gap < 0), j + (gap > 0))
    return hits


def f_measure(found: Sequence[float], true: Sequence[float], within_s: float = BEAT_S) -> float:
    """2 hits / (found + true); 1 where both are empty."""
    return 2 * matches(found, true, within_s) / (len(found) + len(true)) if len(found) + len(true) else 1.0


def forgiven(found: Sequence[float], true: Sequence[float]) -> float:
    """The best F over the readings that AMLt forgives: as it is, off the beat, double, and half from either beat."""
    middles = [(a + b) / 2 for a, b in pairwise(true)]
    readings = [true, middles, sorted([*true, *middles]), true[::2], true[1::2]]
    return max(f_measure(found, reading) for reading in readings)


def beats(cases: Sequence[Case]) -> Table:
    rows = []
    for name, group_ in by([c for c in cases if c.truth["beats_s"]], lambda c: c.truth["kind"]).items():
        songs = [c.truth["song"] for c in group_]
        pairs = [(c.sound.beats_s, [t for t in c.truth["beats_s"] if t < c.clip.end_s - c.clip.start_s]) for c in group_]
        plain, kind = [f_measure(*pair) for pair in pairs], [forgiven(*pair) for pair in pairs]
        good, nearly = (sum(f >= 0.9 for f in fs) for fs in (plain, kind))
        rows.append(
            (name, str(len(pairs)), _mean(plain, songs), _mean(kind, songs), rate(good, len(pairs)), rate(nearly, len(pairs)))
        )
    found = [len(c.sound.beats_s) for c in cases if not c.truth["beats_s"] and c.truth["has_audio"]]
    remark = f"Clips with sound and without music: {sum(n > 0 for n in found)} of {len(found)} have beats all the same."
    columns = ("kind", "clips", "F at 70 ms", "F, octave and off-beat forgiven", "F of 0.9 or more", "forgiven F of 0.9 or more")
    how = "Means over clips with the 95 % interval over songs drawn with replacement; the first seconds are not left out."
    return Table(title="Beats", columns=columns, rows=rows, remarks=(how, remark))


def _mean(values: Sequence[float], songs: Sequence[int]) -> str:
    """The mean, with its interval over songs drawn with replacement."""
    of_song: dict[int, list[float]] = defaultdict(list)
    for song, value in zip(songs, values, strict=True):
        of_song[song].append(value)
    sums, sizes = (np.array([f(v) for v in of_song.values()]) for f in (sum, len))
    drawn = np.random.default_rng(0).integers(0, len(of_song), (DRAWS, len(of_song)))
    low, high = np.quantile(sums[drawn].sum(axis=1) / sizes[drawn].sum(axis=1), [0.025, 0.975])
    return f"{np.mean(values):.3f} [{low:.3f}, {high:.3f}]"


def cuts(cases: Sequence[Case]) -> Table:
    """Within one frame of the post's own rate, and within CUT_S: fewer pictures are looked at than the post has."""
    rows = []
    for name, within_s in (("one frame", None), (f"{CUT_S:g} s", CUT_S)):
        pairs = [(c.picture.cut_times_s, c.truth["cuts_s"], within_s or 1 / c.truth["fps"]) for c in cases]
        hits, told, true = sum(matches(*pair) for pair in pairs), sum(len(p[0]) for p in pairs), sum(len(p[1]) for p in pairs)
        rows.append((name, f"{2 * hits / max(told + true, 1):.3f}", rate(hits, told), rate(hits, true)))
    return Table(title="Cuts", columns=("within", "F", "precision", "recall"), rows=rows)


# -- picture
def motion(cases: Sequence[Case]) -> Table:
    """Rank correlation of `motion_mean` with the true speed in diagonals of the picture a second."""
    rows = []
    for name, group_ in (("all", cases), ("moving ones", [c for c in cases if not c.truth["still"]])):
        pairs = [(c.clip.measures.get("motion_mean"), _diagonals_s(c.truth)) for c in group_]
        known = [(a, b) for a, b in pairs if a is not None]
        if len(known) > 2:
            rho = float(spearmanr(*zip(*known, strict=True)).statistic)
            low, high = np.tanh(np.arctanh(min(rho, 0.9999)) + np.array([-1.96, 1.96]) * 1.03 / max(len(known) - 3, 1) ** 0.5)
            ratio = float(np.median([a / b for a, b in known if b > 0]))
            rows.append((name, str(len(known)), f"{rho:.3f} [{low:.3f}, {high:.3f}]", f"{ratio:.2f}"))
    columns = ("clips", "number", "Spearman's rank correlation", "median of measured / true")
    return Table(title="Motion", columns=columns, rows=rows)


def _diagonals_s(truth: Mapping[str, Any]) -> float:
    return float(truth["motion_px_s"] / np.hypot(truth["box"]["width_px"], truth["box"]["height_px"]))


def stills(cases: Sequence[Case]) -> Table:
    """What the filter `still_photo` would refuse if the recipe let it drop."""
    rows = []
    for name, truth in (("still", True), ("moving", False)):
        values = [c.clip.measures.get(still_photo.NAME_OF_MEASURE) for c in cases if c.truth["still"] is truth]
        refused = sum(not still_photo.judge(value, still_photo.Settings(drop=True)).keep for value in values)
        rows.append((name, rate(refused, len(values))))
    return Table(title="Still pictures", columns=("clips", "told by `still_photo`"), rows=rows)


# -- sound
def speech(cases: Sequence[Case]) -> Table:
    """Of the time: precision and recall against the spans of the composer's syllables."""
    rows = []
    for name, group_ in by([c for c in cases if c.truth["has_audio"]], lambda c: c.truth["kind"]).items():
        found, true = (np.concatenate(masks) for masks in zip(*map(_speech_masks, group_), strict=True))
        hits, length_s = int((found & true).sum()), len(true) * GRID_S
        shares = [f"{hits / n:.3f}" if n else "none to judge" for n in (int(found.sum()), int(true.sum()))]
        wrong = int((found & ~true).sum()) * GRID_S
        rows.append(
            (name, str(len(group_)), f"{true.sum() * GRID_S:.0f} of {length_s:.0f} s", *shares, f"{60 * wrong / length_s:.2f} s")
        )
    columns = ("kind", "clips", "true speech", "precision of time", "recall of time", "wrongly heard a minute")
    return Table(title="Speech spans", columns=columns, rows=rows)


def _speech_masks(case: Case) -> tuple[np.ndarray, np.ndarray]:
    at_s = np.arange(0, case.clip.end_s - case.clip.start_s, GRID_S) + GRID_S / 2
    told = zip(case.sound.speech_starts_s, case.sound.speech_ends_s, strict=True)
    masks = []
    for spans in (list(told), case.truth["speech"]):
        mask = np.zeros(len(at_s), bool)
        for start_s, end_s in spans:
            mask |= (at_s >= start_s) & (at_s < end_s)
        masks.append(mask)
    return masks[0], masks[1]


def verdicts(cases: Sequence[Case]) -> Table:
    """What the rules alone say, by the true kind of the post."""
    rows = []
    for name, group_ in by(cases, lambda c: c.truth["kind"]).items():
        said = Counter(c.said for c in group_)
        why = Counter(f"{c.said} {c.reason}".strip() for c in group_ if c.said != "keep")
        reasons = ", ".join(f"{reason.replace('_', ' ')} {n}" for reason, n in why.most_common())
        rows.append((name, str(len(group_)), *(str(said[o]) for o in OUTCOMES), str(sum(c.kept for c in group_)), reasons))
    return Table(title="Verdicts of the rules", columns=("kind", "clips", *OUTCOMES, "clips in the end", "reasons"), rows=rows)


# -- what belongs together: pairs of clips
def songs(cases: Sequence[Case], run: RunFolder, recipe: Recipe, fleet: Fleet) -> Table:
    """Pairs of clips that share a song: as the run has them, and by sound alone, as if the platform had no track ids."""
    by_id = {c.clip.clip_id: c for c in cases}
    prints = {row.clip_id: row for row in run.read(Fingerprint, "fingerprints")}
    blind = [replace(c.clip, song_id=f"post:{c.clip.clip_id}") for c in cases]
    found = {"track id and sound": run.read(Song, "songs"), "sound alone": group(blind, prints, recipe.songs, fleet)}
    true = _pairs({name: c.truth["song"] for name, c in by_id.items() if c.truth.get("song") is not None})
    near = {pair for pair in true if _overlap_s(*(by_id[name].truth for name in pair)) >= OVERLAP_S}
    rows = []
    for name, known in found.items():
        told = _pairs({row.clip_id: row.song_id for row in known if row.clip_id in by_id})
        rows.append(
            (name, rate(len(told & true), len(told)), *(rate(len(told & of), len(of)) for of in (true, near, true - near)))
        )
    columns = (
        "known by",
        "precision",
        "recall",
        f"recall where excerpts overlap {OVERLAP_S:g} s",
        "recall where they overlap less",
    )
    again = len(true & _pairs({name: _original(c) for name, c in by_id.items()}))
    remarks = (
        "Pairs of clips. In the composed catalogue all posts of a song have its track id, so only the second row tells of sound.",
        f"{again} of the pairs are uploads of one video, which have the same sound but for its encoding.",
    )
    return Table(title="Songs", columns=columns, rows=rows, remarks=remarks)


def _overlap_s(a: Mapping[str, Any], b: Mapping[str, Any]) -> float:
    starts, ends = zip(*((t["excerpt_start_s"], t["excerpt_start_s"] + t["duration_s"]) for t in (a, b)), strict=True)
    return float(min(ends) - max(starts))


def duplicates(cases: Sequence[Case], run: RunFolder) -> Table:
    """Pairs of uploads of one video, among the clips for which copies were looked for: those that nothing else refuses."""
    copies = run.read(Duplicate, "duplicates")
    looked = {c.clip.clip_id for c in cases if c.kept} | {row.clip_id for row in copies}
    original = {c.clip.clip_id: _original(c) for c in cases if c.clip.clip_id in looked}
    true, told = _pairs(original), _pairs({row.clip_id: row.cluster for row in copies})
    row = (str(len(looked)), rate(len(told & true), len(told)), rate(len(told & true), len(true)))
    return Table(title="Near-duplicates", columns=("clips", "precision of pairs", "recall of pairs"), rows=[row])


def _original(case: Case) -> str:
    return str(case.truth["duplicate_of"] or case.clip.post_id)


def _pairs(key_of: Mapping[str, Any]) -> set[tuple[str, str]]:
    members: dict[Any, list[str]] = defaultdict(list)
    for name, key in sorted(key_of.items()):
        members[key].append(name)
    return {pair for names in members.values() for pair in combinations(names, 2)}
