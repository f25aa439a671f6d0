"""The worlds on which honest models and cheats are compared, and what can be wrong in the data themselves.

A world is pairs that share a hidden cause, one to three clips a song, in order of the songs. Loaded by path, as cheats.py says.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from benchmarks.checks import Facts
from benchmarks.inputs import Inputs, Pairs, Steps

NUM_TAGS, NUM_STEPS, NUM_CAUSES = 12, 4, 6
WIDTH = {"video": 12, "music": 10}


@dataclass(frozen=True)
class World:
    parts: Mapping[str, Pairs]
    facts: Mapping[str, Facts]


def world(seed: int = 0, *, songs: int = 320, signal: float = 1.0, noise: float = 1.0) -> World:
    """Parts of 60, 15 and 25 % of the songs; a video has up to NUM_STEPS steps; the labels of both sides follow the cause."""
    rng = np.random.default_rng(seed)
    song_N = np.repeat(np.arange(songs), 1 + np.arange(songs) % 3)
    num = len(song_N)
    cause_N = rng.normal(size=(songs, NUM_CAUSES))[song_N]
    mixes = {side: rng.normal(size=(NUM_CAUSES, width)) / NUM_CAUSES**0.5 for side, width in WIDTH.items()}
    video = signal * (cause_N @ mixes["video"])[:, None] + noise * rng.normal(size=(num, NUM_STEPS, WIDTH["video"]))
    music = signal * cause_N @ mixes["music"] + noise * rng.normal(size=(num, WIDTH["music"])) / 2
    tags = {side: _tags(cause_N, rng) for side in WIDTH}
    order = np.random.default_rng(seed + 1).permutation(songs)
    part_S = np.empty(songs, dtype=int)
    part_S[order] = np.searchsorted([0.6 * songs, 0.75 * songs], np.arange(songs), side="right")
    lengths = {"duration_s_N": np.full(num, 15.0), "loudness_N": rng.normal(size=num)}
    parts, facts = {}, {}
    seen = part_S[song_N] == 0
    video = (video - video[seen].mean(axis=(0, 1))) / video[seen].std(axis=(0, 1))
    pooled = video.mean(axis=1)
    vectors = {"video": pooled / pooled[seen].std(axis=0), "music": (music - music[seen].mean(axis=0)) / music[seen].std(axis=0)}
    for number, name in enumerate(("train", "val", "test")):
        rows = np.flatnonzero(part_S[song_N] == number)
        sides = {
            side: Inputs(torch.from_numpy(vectors[side][rows]).float(), tags_B=torch.from_numpy(tags[side][rows]))
            for side in WIDTH
        }
        sides["video"] = replace(sides["video"], steps={"look": _steps(video[rows])})
        parts[name] = Pairs(sides["video"], sides["music"], torch.from_numpy(song_N[rows]))
        facts[name] = some_facts(song_N[rows], **{key: values[rows] for key, values in lengths.items()})
    return World(parts, facts)


def _tags(cause_N: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return np.minimum(np.abs(4 * cause_N[:, 0] + rng.normal(size=len(cause_N))).astype(np.int64), NUM_TAGS - 1)


def _steps(values_NTD: np.ndarray) -> Steps:
    num, length, width = values_NTD.shape
    return Steps(
        packed_PD=torch.from_numpy(values_NTD.reshape(num * length, width)).float(),
        start_B=torch.arange(num) * length,
        length_B=torch.full((num,), length) - torch.arange(num) % 2,
        mean_D=torch.zeros(width),
        scale_D=torch.ones(width),
        longest=length,
    )


def some_facts(song_N: np.ndarray, **known: np.ndarray) -> Facts:
    """Of clips of these songs; what is not given is unknown."""
    unknown, nothing = np.full(len(song_N), -1), np.full(len(song_N), np.nan)
    fields: dict[str, Any] = {"duration_s_N": nothing, "loudness_N": nothing} | known
    return Facts(
        clip_ids=tuple(f"c{s}-{i}" for i, s in enumerate(song_N)), song_N=song_N, group_N=song_N, author_N=unknown,
        sound_N=unknown, look_N=unknown, **fields,
    )  # fmt: skip


def weak_world() -> World:
    """442 test clips that share little: 14 clips stand at each place of a batch of 32."""
    return world(0, songs=900, signal=0.3)


# ---- what is wrong in the data


def shifted(given: World) -> World:
    """The music file is out of step by one clip."""
    parts = {
        name: Pairs(part.video, part.music[torch.arange(len(part)).roll(-1)], part.song_B) for name, part in given.parts.items()
    }
    return World(parts, given.facts)


def scrambled(given: World) -> World:
    """The music file is in another order altogether."""
    return World({name: part.shuffled(i) for i, (name, part) in enumerate(given.parts.items())}, given.facts)


def lengths_differ(given: World) -> World:
    """Clips as long as their song, and sequences on both sides, so that the length gives the pair away."""
    rng = np.random.default_rng(0)
    facts = {name: replace(f, duration_s_N=rng.uniform(120, 300, len(f))) for name, f in given.facts.items()}
    parts = {name: replace(p, music=replace(p.music, steps=p.video.steps)) for name, p in given.parts.items()}
    return World(parts, facts)


def popular(given: World) -> World:
    """A closed catalogue: songs that many test clips have are those that many train clips have."""
    return World(given.parts, {**given.facts, "train": replace(given.facts["train"], song_N=given.facts["test"].song_N)})


def with_test_rows(given: World) -> World:
    """The train part holds clips of the test part."""
    train, test = given.parts["train"], given.parts["test"]
    rows = {side: torch.cat([getattr(p, side).vectors_BV for p in (train, test[:20])]) for side in WIDTH}
    more = Pairs(Inputs(rows["video"]), Inputs(rows["music"]), torch.cat([train.song_B, test.song_B[:20]]))
    return World({**given.parts, "train": more}, given.facts)


WORLDS = {
    "shifted file": shifted,
    "scrambled file": scrambled,
    "lengths differ": lengths_differ,
    "closed catalogue": popular,
    "fitted on test rows": with_test_rows,
}
