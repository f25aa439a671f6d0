"""What each check says of honest models and of cheats. CAUGHT_BY and PLANTED name the checks that must fail. Run as a script it
prints the tables of docs/integrity.md.

The worlds are in cheat_data.py, the models in cheat_models.py. None of them is imported as a package: tests load them by path, in
this order (tests/benchmarks/test_checks.py).

    .venv/bin/python tests/benchmarks/cheats.py            the table: every cheat, every check
    .venv/bin/python tests/benchmarks/cheats.py 200        false alarms: honest models on so many data sets
"""

from __future__ import annotations

import sys
import time
from collections import Counter
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from cheat_data import WORLDS, World, weak_world, world
from cheat_models import (
    HONEST,
    BatchAttention,
    BatchNormInTraining,
    Coarse,
    Constant,
    CountsRows,
    DividesByNorm,
    DividesByNormCross,
    DualSoftmax,
    GalleryCentred,
    GalleryMean,
    Honest,
    LeakyTivm,
    OneLine,
    OwnBatchNorm,
    Positional,
    PositionalCross,
    ReadsPadding,
    Remembers,
    RemembersCross,
    RightTivm,
    TagOracle,
    TagOracleCross,
    Unnormalised,
    Unseeded,
    UnseededCross,
)

from benchmarks import checks
from benchmarks.checks import Evidence, Finding
from benchmarks.inputs import Pairs
from benchmarks.metrics import median_rank, recall
from benchmarks.ranking import retrieve, retrieve_scores
from benchmarks.towers import History, embed, quiet
from svmbench import plugins


def evidence_of(model: Any, given: World, seed: int = 0) -> Evidence:
    """A model fitted on the train part of a world and scored on its test part, as a run does it."""
    train, val, test = (given.parts[name] for name in ("train", "val", "test"))
    if issubclass(model, Remembers):
        model = type(model.__name__, (model,), {"ELSEWHERE": test, "__doc__": model.__doc__})
    fitted = model.fit(train, val, seed)
    song_N, sides = test.song_B.numpy(), (None, None)
    if hasattr(fitted, "score"):
        ranks = _ranked_pairs(fitted, test)
    else:
        sides = embed(fitted, test)
        ranks = retrieve(*sides, song_N)
    return Evidence(
        model=fitted, test=test, video_ND=sides[0], music_ND=sides[1], song_N=song_N, ranks=ranks, train=train, val=val,
        refit=(lambda first, second: model.fit(first, second, seed)) if getattr(model, "LEARNS", True) else None,
        fit_again=(lambda: model.fit(train, val, seed)) if getattr(model, "LEARNS", True) else None,
        facts=given.facts, settings_scored=frozenset({"aa"}),
        history=History(loss=(3.0, 2.0, 1.0), val=(0.1, 0.3, 0.2), chosen=1, chosen_by="val", num_steps=30),
    )  # fmt: skip


@torch.no_grad()
def _ranked_pairs(model: Any, test: Pairs) -> Any:
    """One block of all pairs, as the cheats with a look at the gallery would wish it."""
    sim_NN = model.score(test.video, test.music).numpy()
    return retrieve_scores(lambda rows, columns: sim_NN[np.ix_(rows, columns)], len(test), test.song_B.numpy())


def evidence_with(cheat: str, given: World) -> Evidence:
    """Evidence of an honest model in which something else is wrong; the cheats' names are the keys of PLANTED."""
    if cheat in WORLDS:
        return evidence_of(Honest, WORLDS[cheat](given))
    honest = evidence_of(Honest, given)
    if cheat == "chosen on test":
        return replace(honest, history=History((3.0, 2.0, 1.0), (0.1, 0.3, 0.2), chosen=2, chosen_by="val", num_steps=30))
    if cheat == "settings tuned on test":
        return replace(honest, settings_scored=frozenset({"aa", "bb", "cc"}))
    song_N = given.facts["test"].song_N
    seen = replace(given.facts["train"], group_N=np.r_[given.facts["train"].group_N[2:], song_N[:2]])
    return replace(honest, facts={**given.facts, "train": seen})


PLANTED: dict[str, tuple[str, ...]] = {
    "shifted file": ("alignment",),
    "scrambled file": ("alignment",),
    "lengths differ": ("negative_controls",),
    "closed catalogue": ("negative_controls",),
    "chosen on test": ("test_discipline",),
    "settings tuned on test": ("test_discipline",),
    "fitted on test rows": ("test_discipline",),
    "test songs in train": ("split_leak",),
}
CAUGHT_BY: dict[type, tuple[str, ...]] = {
    LeakyTivm: ("batch_invariance", "independent_order", "batch_position", "gallery_invariance", "shuffled_pairs"),
    Positional: ("batch_invariance", "independent_order", "gallery_invariance"),
    PositionalCross: ("batch_invariance", "independent_order", "gallery_invariance", "shuffled_pairs"),
    BatchAttention: ("batch_invariance",),
    BatchNormInTraining: ("batch_invariance",),
    OwnBatchNorm: ("batch_invariance", "gallery_invariance"),
    CountsRows: ("batch_invariance", "independent_order", "gallery_invariance"),
    ReadsPadding: ("batch_invariance",),
    GalleryMean: ("batch_invariance", "gallery_invariance"),
    DualSoftmax: ("gallery_invariance",),
    GalleryCentred: ("batch_invariance", "gallery_invariance"),
    TagOracle: ("label_blindness",),
    TagOracleCross: ("label_blindness",),
    Constant: ("ties", "collapse"),
    OneLine: ("collapse",),
    Coarse: ("ties",),
    DividesByNorm: ("finite",),
    DividesByNormCross: ("finite",),
    Unnormalised: ("finite",),
    Remembers: ("shuffled_pairs",),
    RemembersCross: ("shuffled_pairs",),
    Unseeded: ("determinism",),
    UnseededCross: ("determinism",),
}


# ---- the leak in small (spec, audit A1)


def as_evaluated(model: Any, given: World) -> dict[str, Any]:
    """Video-to-music ranks of a model among all clips of test, only the own pair right: in batches in the order of the file, with
    the sides shuffled apart, and clip by clip."""
    test, song_N = given.parts["test"], given.facts["test"].song_N
    fitted = model.fit(given.parts["train"], given.parts["val"], 0)
    orders = [np.random.default_rng(i).permutation(len(test)) for i in range(2)]
    apart = [embed(fitted, test[torch.from_numpy(order)])[side][np.argsort(order)] for side, order in enumerate(orders)]
    single = [embed(fitted, test[i : i + 1]) for i in range(len(test))]
    ways = {
        "in batches": embed(fitted, test),
        "shuffled apart": apart,
        "clip by clip": [np.concatenate(side) for side in zip(*single, strict=True)],
    }
    return {way: retrieve(*sides, song_N, unit="pair")["video_to_music"] for way, sides in ways.items()}


def print_leak() -> None:
    """Recall@1, 5, 10, 25, 50 in percent and median rank; in markdown."""
    print("| model | evaluated | R@1 | R@5 | R@10 | R@25 | R@50 | MedR |")
    print("|---|---|---|---|---|---|---|---|")
    for model in (LeakyTivm, RightTivm, BatchAttention):
        for way, ranks in as_evaluated(model, weak_world()).items():
            cells = [f"{100 * recall.score(ranks, k):.1f}" for k in (1, 5, 10, 25, 50)] + [f"{median_rank.score(ranks):.1f}"]
            print(f"| {model.__name__} | {way} |", " | ".join(cells), "|")
    print()


# ---- the table


def findings_of(evidence: Evidence) -> dict[str, Finding]:
    return {f.check: f for f in checks.run(evidence)}


def baselines() -> list[type]:
    """Those that ship, in the shape of the models above, with few epochs and small layers."""
    return [_wrapped(name) for name in plugins.names("benchmarks.baselines")]


def _wrapped(name: str) -> type:
    module = plugins.load("benchmarks.baselines", name)
    small = {"epochs": 8, "music_hidden_1": 64, "music_hidden_2": 64, "video_hidden": 64, "hidden": 64, "dim": 32}
    settings = next(iter(module.VARIANTS.values()))
    settings = replace(settings, **{k: v for k, v in small.items() if hasattr(settings, k)})

    def fit(train: Pairs, val: Pairs, seed: int) -> Any:
        if hasattr(module, "fit_seeds"):
            return module.fit_seeds(train, val, settings, (seed,), quiet)[0]
        return module.fit(train, val, settings, seed)

    return type(name, (), {"fit": staticmethod(fit), "LEARNS": getattr(module, "LEARNS", True), "module": module})


def print_table(given: World) -> None:
    """FAILED as X, passed as a dot, not run as a dash; in markdown."""
    names = plugins.names(checks.FOLDER)
    print("| model or split |", " | ".join(names), "|")
    print("|---" * (len(names) + 1) + "|")
    rows = [(m.__name__, evidence_of(m, given)) for m in (*HONEST, RightTivm)]
    rows += [(m.__name__, evidence_of(m, given)) for m in baselines()]
    rows += [(m.__name__, evidence_of(m, given)) for m in CAUGHT_BY] + [(c, evidence_with(c, given)) for c in PLANTED]
    for name, evidence in rows:
        found = findings_of(evidence)
        print(f"| {name} |", " | ".join({True: ".", False: "X", None: "-"}[found[c].passed] for c in names), "|")


def print_false_alarms(num: int) -> None:
    """Honest models, trained baselines among them, on data sets of changing size and signal; what fails, each with its detail."""
    models = [*HONEST, RightTivm, *(m for m in baselines() if not hasattr(m.module, "BY_DESIGN"))]
    alarms: Counter[str] = Counter()
    began = time.process_time()
    for seed in range(num):
        signal, model = (0.0, 0.3, 1.0, 3.0)[seed // len(models) % 4], models[seed % len(models)]
        given = world(seed, songs=160 + 40 * (seed % 5), signal=signal)
        for finding in findings_of(evidence_of(model, given, seed)).values():
            if finding.passed is False:
                alarms[f"{finding.check} at signal {signal}"] += 1
                print(f"{seed} {model.__name__} {finding.check}: {finding.detail}", flush=True)
    print(f"{num} honest models, {time.process_time() - began:.0f} CPU-s; failed: {dict(alarms)}")


if __name__ == "__main__":
    torch.set_num_threads(1)
    if len(sys.argv) > 1:
        print_false_alarms(int(sys.argv[1]))
    else:
        print_leak()
        print_table(world())
