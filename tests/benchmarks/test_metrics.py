"""Each metric: perfect, chance, collapsed, worked by hand; bounds where candidates tie. test_metrics_oracles.py has the rest."""

from __future__ import annotations

from math import log2
from types import ModuleType

import numpy as np
import pytest

from benchmarks.metrics import map as mean_average_precision
from benchmarks.metrics import mean_rank, median_rank, mrr, ndcg, normalised_median_rank, recall, true_recall
from benchmarks.ranking import Ranks, rank
from svmbench import plugins

METRICS = [
    (recall, (1,)), (recall, (10,)), (true_recall, (1,)), (true_recall, (10,)), (median_rank, ()), (mean_rank, ()),
    (normalised_median_rank, ()), (mrr, ()), (mean_average_precision, ()), (ndcg, (1,)), (ndcg, (10,)),
]  # fmt: skip
N = 40


def ranks(above: list[list[int]], level: list[list[int]] | None = None, n: int = N) -> Ranks:
    """From the lists of each query; without `level` nothing is tied."""
    flat = np.concatenate(above)
    tied = np.ones_like(flat) if level is None else np.concatenate(level)
    return Ranks(np.cumsum([len(x) for x in above]), flat, tied, np.full(len(above), n))


def test_every_metric_is_tested_here() -> None:
    assert {m.__name__.rsplit(".", 1)[-1] for m, _ in METRICS} == set(plugins.names("benchmarks.metrics"))


@pytest.mark.parametrize(("metric", "arguments"), METRICS)
def test_perfect(metric: ModuleType, arguments: tuple[int, ...]) -> None:
    best = 1 / N if metric is normalised_median_rank else 1.0
    assert metric.score(ranks([[0]] * 5), *arguments) == best
    several = metric.score(ranks([[0, 1, 2]] * 5), *arguments)
    assert several == pytest.approx(1 / 3 if (metric, arguments) == (true_recall, (1,)) else best, rel=1e-12)


HARMONIC = sum(1 / r for r in range(1, N + 1)) / N


@pytest.mark.parametrize(("metric", "arguments", "exact"), [
    (recall, (1,), 1 / N), (recall, (10,), 10 / N), (true_recall, (1,), 1 / N), (true_recall, (10,), 10 / N),
    (median_rank, (), (N + 1) / 2), (mean_rank, (), (N + 1) / 2), (normalised_median_rank, (), (N + 1) / 2 / N),
    (mrr, (), HARMONIC), (mean_average_precision, (), HARMONIC), (ndcg, (1,), 1 / N),
    (ndcg, (10,), sum(1 / log2(r + 1) for r in range(1, 11)) / N),
])  # fmt: skip
def test_chance(metric: ModuleType, arguments: tuple[int, ...], exact: float) -> None:
    rng = np.random.default_rng(0)
    assert metric.score(ranks([[3], [5]]).chance(), *arguments) == pytest.approx(exact, rel=1e-12)
    random = ranks(rng.integers(0, N, (40_000, 1)).tolist())
    assert metric.score(random, *arguments) == pytest.approx(exact, rel=0.05)


@pytest.mark.parametrize(("metric", "arguments"), METRICS)
def test_chance_with_several_positives_is_the_mean_over_random_orders(metric: ModuleType, arguments: tuple[int, ...]) -> None:
    rng = np.random.default_rng(1)
    places = np.sort(rng.permuted(np.tile(np.arange(N), (20_000, 1)), axis=1)[:, :3], axis=1)
    values = metric.values(ranks(places.tolist()), *arguments)
    assert metric.score(ranks([[1, 2, 3]]).chance(), *arguments) == pytest.approx(
        values.mean(), abs=5 * values.std() / 20_000**0.5
    )


@pytest.mark.parametrize(("metric", "arguments"), METRICS)
def test_collapsed_embeddings_score_like_chance(metric: ModuleType, arguments: tuple[int, ...]) -> None:
    same = np.full((N, 3), 0.3, np.float32)
    collapsed = rank(same, same, np.arange(N) // 2, np.arange(N) // 2)
    assert metric.score(collapsed, *arguments) == pytest.approx(metric.score(ranks([[7, 9]]).chance(), *arguments), rel=1e-12)


# three queries: right, wrong, right, wrong ...; nineteen wrong, then right; two wrong, then one right and three wrong ones tied
HAND = ranks([[0, 2], [19], [2]], [[1, 1], [1], [4]])


@pytest.mark.parametrize(("metric", "arguments", "expected"), [
    (recall, (1,), (1 + 0 + 0) / 3),
    (recall, (5,), (1 + 0 + 3 / 4) / 3),
    (true_recall, (1,), (1 / 2 + 0 + 0) / 3),
    (true_recall, (4,), (1 + 0 + 2 / 4) / 3),
    (median_rank, (), 4.5),  # of 1, 20 and the mean of 3 ... 6
    (mean_rank, (), 8.5),
    (normalised_median_rank, (), 4.5 / N),
    (mrr, (), (1 + 1 / 20 + (1 / 3 + 1 / 4 + 1 / 5 + 1 / 6) / 4) / 3),
    (mean_average_precision, (), ((1 + 2 / 3) / 2 + 1 / 20 + (1 / 3 + 1 / 4 + 1 / 5 + 1 / 6) / 4) / 3),
    (ndcg, (4,), ((1 + 1 / log2(4)) / (1 + 1 / log2(3)) + 0 + (1 / log2(4) + 1 / log2(5)) / 4) / 3),
    (ndcg, (1,), (1 + 0 + 0) / 3),
])  # fmt: skip
def test_worked_by_hand(metric: ModuleType, arguments: tuple[int, ...], expected: float) -> None:
    assert metric.score(HAND, *arguments) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(("metric", "arguments", "best", "worst"), [
    (recall, (4,), 2 / 3, 1 / 3), (recall, (6,), 2 / 3, 2 / 3), (median_rank, (), 3.0, 6.0), (mean_rank, (), 8.0, 9.0),
    (true_recall, (4,), 2 / 3, 1 / 3), (mrr, (), (1 + 1 / 20 + 1 / 3) / 3, (1 + 1 / 20 + 1 / 6) / 3),
])  # fmt: skip
def test_optimistic_and_pessimistic(metric: ModuleType, arguments: tuple[int, ...], best: float, worst: float) -> None:
    assert metric.score(HAND.optimistic_ranks(), *arguments) == pytest.approx(best, rel=1e-12)
    assert metric.score(HAND.pessimistic_ranks(), *arguments) == pytest.approx(worst, rel=1e-12)


def test_a_constant_scorer_is_perfect_only_to_an_optimist() -> None:
    same = np.ones((N, 3), np.float32)
    constant = rank(same, same, np.arange(N), np.arange(N))
    assert recall.score(constant.optimistic_ranks(), 1) == 1.0
    assert recall.score(constant, 1) == pytest.approx(1 / N)
    assert recall.score(constant.pessimistic_ranks(), 1) == 0.0
    assert constant.tied_share() == 1.0


def test_the_direction_of_better_is_right() -> None:
    good, bad = ranks([[0], [1], [2]]), ranks([[9], [20], [30]])
    for metric, arguments in METRICS:
        assert (metric.score(good, *arguments) > metric.score(bad, *arguments)) == metric.HIGHER_IS_BETTER


@pytest.mark.parametrize(("metric", "arguments"), METRICS)
def test_the_score_is_the_aggregate_of_the_values(metric: ModuleType, arguments: tuple[int, ...]) -> None:
    rng = np.random.default_rng(2)
    case = ranks(rng.integers(0, N, (99, 1)).tolist())
    values = metric.values(case, *arguments)
    assert values.shape == (99,)
    assert metric.score(case, *arguments) == pytest.approx({"mean": np.mean, "median": np.median}[metric.AGGREGATE](values))


def test_large_galleries_lose_no_digits() -> None:
    n = 100_000
    case = ranks([[0]], [[n]], n=n)
    assert mrr.score(case) == pytest.approx(mean_average_precision.score(case), rel=1e-12)
    assert recall.score(case, 50) == pytest.approx(50 / n, rel=1e-9)
    several = ranks([[0] * 5], [[n] * 5], n=n)
    miss = np.prod([(n - 5 - i) / (n - i) for i in range(50)])
    assert recall.score(several, 50) == pytest.approx(1 - miss, rel=1e-9)
