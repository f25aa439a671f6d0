"""Each metric: perfect, chance, collapsed, worked by hand; and equal to the mean over all orders of the tied."""

from __future__ import annotations

import itertools
from types import ModuleType

import numpy as np
import pytest

from benchmarks.metrics import mean_rank, median_rank, mrr, recall
from benchmarks.ranking import Ranks, rank
from svmbench import plugins

METRICS = [(recall, (1,)), (recall, (10,)), (median_rank, ()), (mean_rank, ()), (mrr, ())]
N = 40


def ranks(
    better: list[int], *, tied: list[int] | int = 0, tied_right: list[int] | int = 1, num_right: int = 1, n: int = N
) -> Ranks:
    full = [np.broadcast_to(np.asarray(x, np.int64), (len(better),)) for x in (better, tied, tied_right, num_right, n)]
    return Ranks.of_best(*full)


def test_every_metric_is_tested_here() -> None:
    assert {m.__name__.rsplit(".", 1)[-1] for m, _ in METRICS} == set(plugins.names("benchmarks.metrics"))


@pytest.mark.parametrize(("metric", "arguments"), METRICS)
def test_perfect(metric: ModuleType, arguments: tuple[int, ...]) -> None:
    assert metric.score(ranks([0] * 5), *arguments) == 1.0  # recall 1, reciprocal rank 1, rank 1


@pytest.mark.parametrize(("metric", "arguments", "exact"), [
    (recall, (1,), 1 / N), (recall, (10,), 10 / N), (median_rank, (), (N + 1) / 2), (mean_rank, (), (N + 1) / 2),
    (mrr, (), sum(1 / r for r in range(1, N + 1)) / N),
])  # fmt: skip
def test_chance(metric: ModuleType, arguments: tuple[int, ...], exact: float) -> None:
    rng = np.random.default_rng(0)
    assert metric.score(ranks([3, 5]).chance(), *arguments) == pytest.approx(exact, rel=1e-12)
    random = ranks(rng.integers(0, N, 40_000).tolist())
    assert metric.score(random, *arguments) == pytest.approx(exact, rel=0.05)


@pytest.mark.parametrize(("metric", "arguments"), METRICS)
def test_collapsed_embeddings_score_like_chance(metric: ModuleType, arguments: tuple[int, ...]) -> None:
    same = np.ones((N, 3), np.float32)
    collapsed = rank(same, same, np.arange(N), np.arange(N))
    assert metric.score(collapsed, *arguments) == pytest.approx(metric.score(ranks([7]).chance(), *arguments), rel=1e-12)


@pytest.mark.parametrize(("metric", "arguments", "expected"), [
    (recall, (1,), (1 + 0 + 0 + 1 / 3) / 4),
    (recall, (5,), (1 + 1 + 0 + 1) / 4),
    (recall, (2,), (1 + 0 + 0 + 2 / 3) / 4),
    (median_rank, (), 3.0),  # of 1, 4, 21 and 2
    (mean_rank, (), 7.0),
    (mrr, (), (1 + 1 / 4 + 1 / 21 + (1 + 1 / 2 + 1 / 3) / 3) / 4),
])  # fmt: skip
def test_worked_by_hand(metric: ModuleType, arguments: tuple[int, ...], expected: float) -> None:
    case = ranks([0, 3, 20, 0], tied=[0, 0, 0, 2])
    assert metric.score(case, *arguments) == pytest.approx(expected, rel=1e-12)


def test_the_direction_of_better_is_right() -> None:
    good, bad = ranks([0, 1, 2]), ranks([9, 20, 30])
    for metric, arguments in METRICS:
        assert (metric.score(good, *arguments) > metric.score(bad, *arguments)) == metric.HIGHER_IS_BETTER


def plain(name: str, place: int, cutoff: int) -> float:
    return {"recall": float(place <= cutoff), "mrr": 1 / place}.get(name, float(place))


@pytest.mark.parametrize("seed", range(300))
def test_equals_the_mean_over_all_orders_of_the_tied(seed: int) -> None:
    rng = np.random.default_rng(seed)
    better, tied, tied_right = (int(x) for x in (rng.integers(0, 6), rng.integers(0, 5), rng.integers(1, 4)))
    cutoff = int(rng.integers(1, 12))
    case = ranks([better], tied=tied, tied_right=tied_right, num_right=tied_right + int(rng.integers(0, 2)))
    orders = set(itertools.permutations([False] * tied + [True] * tied_right))
    places = [better + 1 + order.index(True) for order in orders]
    for metric in (recall, median_rank, mean_rank, mrr):
        name = metric.__name__.rsplit(".", 1)[-1]
        arguments = (cutoff,) if metric is recall else ()
        expected = np.mean([plain(name, place, cutoff) for place in places])
        assert metric.score(case, *arguments) == pytest.approx(expected, abs=1e-9)
