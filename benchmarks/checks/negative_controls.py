"""Scores what knows nothing of the content, and fails where it beats chance clearly on the test part: then so can any model.

- random projection: both sides through untrained random maps, NUM_DRAWS times. One draw is right or wrong by luck; over the draws
  the mean rank is chance.
- mean embedding: the baseline of that name, every query the same mean item.
- song popularity, loudness, index: one order of the songs for every video: most clips in train first, loudest first, first in the
  file first. (Nearest in loudness or place would always find the own pair: both sides have the same value.)
- duration: the song whose clip is nearest in length. Both sides of a true pair are as long, so lengths that differ give the pair
  away to a model that is given sequences; clips cut to one length do not. Means and spreads over time do not carry the length,
  so for a model that is given pooled vectors alone it is a remark and no failure.
All are embeddings and go through the ranking that models go through.

Cannot see: a cue that is not listed here; whether a model uses a cue that is there. Facts that are unknown are not looked at.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import torch
from scipy import special

from benchmarks.baselines import mean_embedding
from benchmarks.checks import Evidence, Facts, Finding
from benchmarks.checks._chance import against_chance
from benchmarks.ranking import retrieve
from benchmarks.stats import holm
from benchmarks.towers import embed

NEEDS = ("train", "val", "test", "facts")
OF_THE_DATA = True

LEVEL = 0.01  # after Holm over the controls; ours
NUM_DRAWS = 16  # of the random projection; ours
WIDTH = 32  # of a random projection; ours
SAME_S = 0.1  # lengths are compared in steps of this; ours

Floats = npt.NDArray[np.float32]


def check(evidence: Evidence) -> Finding:
    """Smallest p value of a control, adjusted after Holm."""
    song_N = evidence.facts["test"].song_N
    p_values, said, unknown = {"random projection": _random_projection(evidence, song_N)}, {}, []
    said["random projection"] = f"mean rank better than chance over {NUM_DRAWS} draws"
    for name, sides in _controls(evidence):
        if sides is None:
            unknown.append(name)
            continue
        found = against_chance(retrieve(*sides, song_N, unit=evidence.unit), song_N)
        p_values[name], said[name] = found.p, str(found)
    adjusted = dict(zip(p_values, holm(list(p_values.values())), strict=True))
    above = [name for name, p in adjusted.items() if p <= LEVEL]
    hidden = [] if evidence.test.video.steps and evidence.test.music.steps else ["duration"]
    beats = [f"{name}: {said[name]}" for name in above if name not in hidden]
    detail = "; ".join(beats) or f"at chance: {', '.join(name for name in adjusted if name not in above)}"
    detail += "".join(f"; {name}: {said[name]}, which pooled inputs do not carry" for name in above if name in hidden)
    if unknown:
        detail += f"; not looked at, as unknown: {', '.join(unknown)}"
    return Finding("negative_controls", not beats, min(adjusted.values()), detail, {"p": adjusted, "found": said})


def _controls(evidence: Evidence) -> Iterator[tuple[str, tuple[Floats, Floats] | None]]:
    """Name, and video and music embeddings of the test part; None where the facts are unknown."""
    test, train = evidence.facts["test"], evidence.facts["train"]
    blind = mean_embedding.fit(evidence.train, evidence.val, mean_embedding.Settings(), 0)
    yield "mean embedding", embed(blind, evidence.test)
    yield "song popularity", _in_one_order(_popularity(test, train))
    yield "loudness", None if np.isnan(test.loudness_N).any() else _in_one_order(test.loudness_N)
    yield "index", _in_one_order(-np.arange(len(test), dtype=np.float64))
    if np.isnan(test.duration_s_N).any():
        yield "duration", None
    else:
        angle = _on_arc(np.round(test.duration_s_N / SAME_S))
        yield "duration", (angle, angle)


def _popularity(test: Facts, train: Facts) -> npt.NDArray[np.float64]:
    """Clips of train with the song of each test clip."""
    songs, counts = np.unique(train.song_N, return_counts=True)
    known = dict(zip(songs.tolist(), counts.tolist(), strict=True))
    return np.asarray([known.get(song, 0) for song in test.song_N.tolist()], dtype=np.float64)


def _in_one_order(value_N: npt.NDArray[np.float64]) -> tuple[Floats, Floats]:
    """Every video is nearest to the music of the highest value, and all the same."""
    music_ND = _on_arc(value_N)
    return np.tile(np.asarray([[0.0, 1.0]], np.float32), (len(value_N), 1)), music_ND


def _on_arc(value_N: npt.NDArray[np.float64]) -> Floats:
    """(N, 2) points of a quarter circle by the rank of the value, so that the nearer in rank the more similar."""
    values, place_N = np.unique(value_N, return_inverse=True)
    angle_N = place_N / max(len(values) - 1, 1) * np.pi / 2
    return np.stack([np.cos(angle_N), np.sin(angle_N)], axis=1).astype(np.float32)


def _random_projection(evidence: Evidence, song_N: npt.NDArray[np.int64]) -> float:
    """p value, over draws, that the mean rank gains on chance."""
    random, gains = torch.Generator().manual_seed(0), []
    for _ in range(NUM_DRAWS):
        sides = []
        for inputs in (evidence.test.video, evidence.test.music):
            x_NV = inputs.vectors_BV.cpu()
            found = x_NV @ torch.randn(x_NV.shape[1], WIDTH, generator=random)
            sides.append(torch.nn.functional.normalize(found, dim=1).numpy())
        ranks = retrieve(sides[0], sides[1], song_N, unit=evidence.unit)
        gains.append(
            np.mean([1 - (r.expected().mean() - 1) / max(r.chance().expected().mean() - 1, 1e-9) for r in ranks.values()])
        )
    error = np.std(gains, ddof=1) / np.sqrt(NUM_DRAWS)
    return float(special.stdtr(NUM_DRAWS - 1, -np.mean(gains) / error)) if error > 0 else 1.0  # Student's t, above
