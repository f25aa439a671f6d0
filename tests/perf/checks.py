"""CPU-seconds of each check on 2,000 test clips (embeddings of 256 values, inputs of 512), refits not counted, beside embedding
and ranking the part once.

    .venv/bin/python tests/perf/checks.py
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from benchmarks import checks
from benchmarks.checks import Evidence, Facts
from benchmarks.inputs import Inputs, Pairs
from benchmarks.ranking import retrieve, retrieve_scores
from benchmarks.towers import History, embed
from svmbench import plugins

NUM_TEST, NUM_TRAIN, INPUTS, WIDTH = 2000, 6000, 512, 256


class Towers:
    """Two linear towers: the work around a model, not in it, is what is measured."""

    history = History(loss=(2.0, 1.0), val=(0.1, 0.2), chosen=1, chosen_by="val", num_steps=2)

    def __init__(self) -> None:
        random = torch.Generator().manual_seed(0)
        self.weight = [torch.randn(INPUTS, WIDTH, generator=random) for _ in range(2)]

    def encode_video(self, x: Inputs) -> torch.Tensor:
        return functional.normalize(x.vectors_BV @ self.weight[0], dim=-1)

    def encode_music(self, x: Inputs) -> torch.Tensor:
        return functional.normalize(x.vectors_BV @ self.weight[1], dim=-1)


class Cross:
    """The same, as a model that scores pairs."""

    def __init__(self) -> None:
        self.towers = Towers()

    def score(self, video: Inputs, music: Inputs) -> torch.Tensor:
        return self.towers.encode_video(video) @ self.towers.encode_music(music).T


def part(num: int, seed: int) -> tuple[Pairs, Facts]:
    """Two clips a song; both sides share half of their variance."""
    random = torch.Generator().manual_seed(seed)
    shared = torch.randn(num, INPUTS, generator=random)
    sides = [Inputs(shared + torch.randn(num, INPUTS, generator=random), tags_B=torch.arange(num) % 20) for _ in range(2)]
    song_N = np.arange(num) // 2 + 100_000 * seed
    rng, unknown = np.random.default_rng(seed), np.full(num, -1)
    known = Facts(
        clip_ids=tuple(f"{seed}-{i}" for i in range(num)), song_N=song_N, group_N=song_N, duration_s_N=np.full(num, 15.0),
        loudness_N=rng.normal(size=num), author_N=unknown, sound_N=unknown, look_N=unknown,
    )  # fmt: skip
    return Pairs(sides[0], sides[1], torch.from_numpy(song_N)), known


def cpu_s(call: Callable[[], Any]) -> tuple[float, Any]:
    began = time.process_time()
    found = call()
    return time.process_time() - began, found


def main() -> None:
    torch.set_num_threads(1)
    sizes = {"train": NUM_TRAIN, "val": 500, "test": NUM_TEST}
    made = {name: part(num, seed) for seed, (name, num) in enumerate(sizes.items())}
    parts, facts = ({name: value[i] for name, value in made.items()} for i in range(2))
    test, song_N = parts["test"], facts["test"].song_N
    common: dict[str, Any] = {
        "test": test, "song_N": song_N, "train": parts["train"], "val": parts["val"], "facts": facts,
        "settings_scored": frozenset({"a"}),
    }  # fmt: skip
    towers, cross = Towers(), Cross()
    once, (video_ND, music_ND) = cpu_s(lambda: embed(towers, test))
    ranking, ranks = cpu_s(lambda: retrieve(video_ND, music_ND, song_N))
    score = lambda rows, columns: cross.score(test.video[torch.from_numpy(rows)], test.music[torch.from_numpy(columns)]).numpy()
    scoring, pair_ranks = cpu_s(lambda: retrieve_scores(score, len(test), song_N))
    of_towers = Evidence(
        model=towers, video_ND=video_ND, music_ND=music_ND, ranks=ranks, history=Towers.history,
        refit=lambda train, val: Towers(), fit_again=Towers, **common,
    )  # fmt: skip
    of_cross = Evidence(model=cross, ranks=pair_ranks, refit=lambda train, val: Cross(), fit_again=Cross, **common)
    print(
        f"{NUM_TEST} test clips; embedding {once:.2f}, ranking {ranking:.2f}, scoring and ranking all pairs {scoring:.2f} CPU-s"
    )
    print(f"{'check':<20}{'towers':>8}{'pairs':>8}   CPU-s")
    total: dict[tuple[str, bool], float] = {}
    for name in plugins.names(checks.FOLDER):
        module, row = plugins.load(checks.FOLDER, name), []
        of_the_data = bool(getattr(module, "OF_THE_DATA", False))
        for kind, evidence in (("towers", of_towers), ("pairs", of_cross)):
            if any(getattr(evidence, field) is None for field in module.NEEDS):
                row.append("-")
                continue
            spent, _ = cpu_s(lambda module=module, evidence=evidence: module.check(evidence))
            total[kind, of_the_data] = total.get((kind, of_the_data), 0.0) + spent
            row.append(f"{spent:.2f}")
        print(f"{name:<20}{row[0]:>8}{row[1]:>8}   {'once a split' if of_the_data else ''}")
    for kind in ("towers", "pairs"):
        print(f"{kind}: {total[kind, False]:.2f} CPU-s a fit, {total[kind, True]:.2f} once a split")


if __name__ == "__main__":
    main()
