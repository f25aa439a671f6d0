"""Every metric against brute force, scikit-learn, ranx and pytrec_eval on 1,000 seeded cases with ties and several positives.

None of the libraries knows the expectation under a random order of the tied (scikit-learn does for nDCG). So each case is
unrolled into all orders of its tied candidates, which are lists of right and wrong without ties; a library scores each list, and
the mean over the orders of a case is compared with ours.
"""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from math import log2

import numpy as np
import pytest

from benchmarks.metrics import map as mean_average_precision
from benchmarks.metrics import mean_rank, mrr, ndcg, normalised_median_rank, recall, true_recall
from benchmarks.ranking import Ranks, rank

CASES, CUTOFFS = 1000, (1, 2, 3, 5, 10)
RANX = """
import json, sys
import ranx
right, run, names = json.load(sys.stdin)
found = ranx.evaluate(ranx.Qrels(right), ranx.Run(run), names, return_mean=False)
print(json.dumps({name: values.tolist() for name, values in found.items()}))
"""  # in a process of its own: without numba's compiler, which takes a minute for these metrics
Labels = tuple[int, ...]  # 1 for right, in the order of one ranking
OURS: Mapping[str, Callable[[Ranks], np.ndarray]] = {
    "first": mean_rank.values,
    "normalised": normalised_median_rank.values,
    "mrr": mrr.values,
    "map": mean_average_precision.values,
    **{f"{name}@{k}": lambda ranks, m=module, k=k: m.values(ranks, k)
       for name, module in (("hit", recall), ("recall", true_recall), ("ndcg", ndcg)) for k in CUTOFFS},
}  # fmt: skip


@pytest.fixture(scope="module")
def cases() -> list[tuple[np.ndarray, np.ndarray]]:
    """Scores and labels of one query each; every fifth without ties and with a longer gallery."""
    found = []
    for seed in range(CASES):
        rng = np.random.default_rng(seed)
        num = int(rng.integers(2, 11)) if seed % 5 else 40
        labels = np.zeros(num, np.int64)
        labels[rng.choice(num, int(rng.integers(1, min(num, 5))), replace=False)] = 1
        scores = rng.permutation(num) if seed % 5 == 0 else rng.choice(5, num)
        found.append((scores.astype(np.float32), labels))
    return found


@pytest.fixture(scope="module")
def orders(cases: list[tuple[np.ndarray, np.ndarray]]) -> list[list[Labels]]:
    """Of each case all lists of labels that its ties allow, each as likely as the others."""
    found = []
    for scores, labels in cases:
        groups = [labels[scores == s].tolist() for s in sorted(set(scores.tolist()), reverse=True)]
        ways = [
            [tuple(int(i in chosen) for i in range(len(g))) for chosen in itertools.combinations(range(len(g)), sum(g))]
            for g in groups
        ]
        found.append([tuple(itertools.chain(*parts)) for parts in itertools.product(*ways)])
    return found


@pytest.fixture(scope="module")
def ours(cases: list[tuple[np.ndarray, np.ndarray]]) -> dict[str, np.ndarray]:
    """Through the ranking: the candidates' only coordinate is their score."""
    ranks = [rank(np.ones((1, 1), np.float32), scores[:, None], np.ones(1, np.int64), labels) for scores, labels in cases]
    assert sum(r.level.max() > r.right_level.max() for r in ranks) > 400  # right and wrong tied
    assert sum(r.num_right[0] > 1 for r in ranks) > 400
    return {name: np.concatenate([values(r) for r in ranks]) for name, values in OURS.items()}


def agree(ours: dict[str, np.ndarray], theirs: Mapping[str, Mapping[Labels, float]], orders: list[list[Labels]]) -> None:
    for name, of_list in theirs.items():
        expected = [np.mean([of_list[labels] for labels in ways]) for ways in orders]
        np.testing.assert_allclose(ours[name], expected, rtol=0, atol=1e-9, err_msg=name)


@pytest.fixture(scope="module")
def lists(orders: list[list[Labels]]) -> list[Labels]:
    """Each once: what the libraries score."""
    return sorted(set(itertools.chain.from_iterable(orders)))


def test_brute_force(ours: dict[str, np.ndarray], orders: list[list[Labels]], lists: list[Labels]) -> None:
    theirs: dict[str, dict[Labels, float]] = {name: {} for name in OURS}
    for labels in lists:
        places = [i for i, right in enumerate(labels, 1) if right]
        theirs["first"][labels] = places[0]
        theirs["normalised"][labels] = places[0] / len(labels)
        theirs["mrr"][labels] = 1 / places[0]
        theirs["map"][labels] = sum(found / place for found, place in enumerate(places, 1)) / len(places)
        for k in CUTOFFS:
            theirs[f"hit@{k}"][labels] = float(places[0] <= k)
            theirs[f"recall@{k}"][labels] = sum(p <= k for p in places) / len(places)
            best = sum(1 / log2(i + 1) for i in range(1, min(k, len(places)) + 1))
            theirs[f"ndcg@{k}"][labels] = sum(1 / log2(p + 1) for p in places if p <= k) / best
    agree(ours, theirs, orders)


def test_pytrec_eval(ours: dict[str, np.ndarray], orders: list[list[Labels]], lists: list[Labels]) -> None:
    pytrec_eval = pytest.importorskip("pytrec_eval")
    cuts = ",".join(map(str, CUTOFFS))
    names = {"recip_rank": "mrr", "map": "map"} | {
        f"{theirs}_{k}": f"{own}@{k}" for theirs, own in (("success", "hit"), ("recall", "recall"), ("ndcg_cut", "ndcg"))
        for k in CUTOFFS
    }  # fmt: skip
    right, run = as_dicts(lists)
    measures = {"recip_rank", "map", f"success.{cuts}", f"recall.{cuts}", f"ndcg_cut.{cuts}"}
    found = pytrec_eval.RelevanceEvaluator(right, measures).evaluate(run)
    theirs = {own: {labels: found[q][name] for q, labels in enumerate_ids(lists)} for name, own in names.items()}
    agree(ours, theirs, orders)


def test_ranx(ours: dict[str, np.ndarray], orders: list[list[Labels]], lists: list[Labels]) -> None:
    names = {"mrr": "mrr", "map": "map"} | {
        f"{theirs}@{k}": f"{own}@{k}" for theirs, own in (("hit_rate", "hit"), ("recall", "recall"), ("ndcg", "ndcg"))
        for k in CUTOFFS
    }  # fmt: skip
    right, run = as_dicts(lists)
    done = subprocess.run(
        [sys.executable, "-c", RANX], input=json.dumps([right, run, list(names)]), env=os.environ | {"NUMBA_DISABLE_JIT": "1"},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    found = json.loads(done.stdout)
    agree(ours, {own: dict(zip(lists, found[name], strict=True)) for name, own in names.items()}, orders)


def test_scikit_learn(ours: dict[str, np.ndarray], orders: list[list[Labels]], lists: list[Labels]) -> None:
    sklearn, metrics = pytest.importorskip("sklearn"), pytest.importorskip("sklearn.metrics")
    theirs: dict[str, dict[Labels, float]] = {name: {} for name in ("mrr", "map", "recall@3")}
    with sklearn.config_context(assume_finite=True, skip_parameter_validation=True):
        for num, of_length in itertools.groupby(sorted(lists, key=len), len):
            rankings = list(of_length)
            top = np.repeat(np.arange(num)[:, None] < 3, len(rankings), axis=1)  # a column a list
            found = metrics.recall_score(np.transpose(rankings), top, average=None, zero_division=0)
            theirs["recall@3"] |= dict(zip(rankings, np.atleast_1d(found).tolist(), strict=True))
            for labels in rankings:
                falling = -np.arange(num, dtype=float)[None]
                first = (np.cumsum(labels) * labels == 1)[None].astype(int)  # the first positive alone
                theirs["mrr"][labels] = metrics.label_ranking_average_precision_score(first, falling)
                theirs["map"][labels] = metrics.label_ranking_average_precision_score(np.asarray([labels]), falling)
    agree(ours, theirs, orders)


def test_scikit_learns_ndcg_averages_over_ties_itself(
    ours: dict[str, np.ndarray], cases: list[tuple[np.ndarray, np.ndarray]]
) -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    for k in (3, 10):
        expected = [metrics.ndcg_score(labels[None], scores[None], k=k) for scores, labels in cases]
        np.testing.assert_allclose(ours[f"ndcg@{k}"], expected, rtol=0, atol=1e-9)


def enumerate_ids(rankings: list[Labels]) -> list[tuple[str, Labels]]:
    return [(f"q{i:06d}", labels) for i, labels in enumerate(rankings)]


def as_dicts(rankings: list[Labels]) -> tuple[dict[str, dict[str, int]], dict[str, dict[str, float]]]:
    """Judgements and rankings as both libraries take them: the right ones, and a falling score for each place."""
    right = {q: {f"d{i}": 1 for i, label in enumerate(labels) if label} for q, labels in enumerate_ids(rankings)}
    run = {q: {f"d{i}": float(len(labels) - i) for i in range(len(labels))} for q, labels in enumerate_ids(rankings)}
    return right, run
