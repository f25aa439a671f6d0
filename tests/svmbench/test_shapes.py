"""Each shape test on rows worked by hand: one that must be flagged, and its neighbour that must not."""

from __future__ import annotations

import math
import time
from typing import Any

import numpy as np
import pytest

from svmbench import shapes
from svmbench.printed import Cell, Flag, Row

SHORT = {"medr": "median_rank", "mean": "mean_rank", "mrr": "mrr"}


def row(pool: int | None = 500, system: str = "S", spread: int = 0, **printed: Any) -> Row:
    """row(r1='10.0', medr='7'): a row with these figures as printed."""
    cells = {metric: Cell(metric, value) for metric, value in ((SHORT.get(k, f"recall@{k[1:]}"), v) for k, v in printed.items())}
    return Row(system=system, setting="", cells=cells, pool=pool, spread=spread)


def metrics(flags: list[Flag]) -> list[tuple[str, ...]]:
    return [flag.metrics for flag in flags]


def test_grim_asks_for_whole_queries_within_the_printed_rounding() -> None:
    assert shapes.grim(row(r1="11.6", r5="33.4")) == []  # 58 and 167 of 500
    assert metrics(shapes.grim(row(r1="11.6", r5="33.5"))) == [("recall@5",)]
    assert shapes.grim(row(pool=2000, r1="2.75")) == []
    assert metrics(shapes.grim(row(pool=2000, r1="2.73"))) == [("recall@1",)]
    assert shapes.grim(row(pool=300, r1="33.3")) == []  # 100 of 300 is 33.33..
    assert shapes.grim(row(pool=None, r1="2.73")) == []


def test_grim_with_a_derived_pool_asks_for_one_number_that_fits_the_whole_row() -> None:
    assert shapes.possible_queries(row(pool=100, spread=10, r1="1.05", r5="2.11")) == [95]
    (flag,) = shapes.grim(row(pool=100, spread=10, r1="1.05", r5="2.50"))
    assert flag.metrics == ("recall@5",)  # 2 of 80 and 3 of 120, nothing from 90 to 110
    (flag,) = shapes.grim(row(pool=100, spread=10, r1="1.05", r5="2.13"))  # 1 of 95, 2 of 94, never both
    assert flag.metrics == ("recall@1", "recall@5")


def test_recall_must_not_fall() -> None:
    assert shapes.monotone(row(r1="2.0", r5="2.0", r10="3.0")) == []
    assert metrics(shapes.monotone(row(r1="2.0", r5="1.8", r10="3.0"))) == [("recall@1", "recall@5")]


@pytest.mark.parametrize(("hits", "expected"), [(0, 1.0), (1, 1 - 0.8**10), (2, 1 - 0.8**10 - 10 * 0.2 * 0.8**9), (10, 0.2**10)])
def test_binomial_tail_by_hand(hits: int, expected: float) -> None:
    assert shapes.tail(hits, 10, 0.2) == pytest.approx(expected, rel=1e-6)
    assert shapes.tail(hits, 10, 1.0) == 1.0


@pytest.mark.parametrize("hits", [1, 40, 99, 100, 101, 130, 400, 1000])
def test_binomial_tail_is_that_of_all_its_terms(hits: int) -> None:
    terms = [math.comb(1000, h) * 0.1**h * 0.9 ** (1000 - h) for h in range(hits, 1001)]
    assert shapes.tail(hits, 1000, 0.1) == pytest.approx(sum(terms), rel=1e-9)


def test_a_huge_pool_and_unrounded_figures_are_answered_at_once() -> None:
    """What was asked of each hit, or of each number of queries up to the last decimal, would take hours."""
    begun = time.process_time()
    huge = row(pool=10**9 - 1, r1="0.1", r10="50.0", r9999999="90.0", medr="10")
    assert shapes.chance(huge) == []
    unrounded = row(pool=None, r1="11.234567890123456", r5="34.765432109876543")
    assert shapes.least_queries([unrounded]) == 100_000
    assert time.process_time() - begun < 10


def test_chance_is_no_more_than_everything() -> None:
    (flag,) = shapes.chance(row(pool=5, r10="40.0"))
    assert flag.text.endswith("chance is 1e+02")


def test_chance_marks_what_a_random_ranking_reaches() -> None:
    assert metrics(shapes.chance(row(r1="0.2", r5="1.0", r10="1.8"))) == [("recall@1", "recall@5", "recall@10")]
    assert shapes.chance(row(r1="11.6", r5="33.4", r10="45.6")) == []
    assert metrics(shapes.chance(row(r1="0.0", r10="17.2"))) == [("recall@1",)]
    assert shapes.chance(row(pool=None, r1="0.0")) == []
    assert shapes.chance(row(system="Random", r1="0.2", r5="1.0")) == []


def test_median_rank_and_recall_must_agree() -> None:
    assert shapes.median(row(medr="6", r5="34.6", r10="58.5")) == []
    assert metrics(shapes.median(row(medr="14", r10="53.2"))) == [("median_rank", "recall@10")]
    assert metrics(shapes.median(row(medr="5", r5="32.8"))) == [("median_rank", "recall@5")]
    assert shapes.median(row(medr="11", r10="50.0")) == []  # 50.0 may be 49.95
    assert shapes.median(row(medr="7")) == []


def test_mean_rank_and_mrr_must_be_possible_with_the_recalls() -> None:
    assert shapes.bounds(row(pool=10, r1="50.0", r5="100.0", mean="2.0", mrr="0.7")) == []
    (flag,) = shapes.bounds(row(pool=10, r1="50.0", r5="100.0", mean="3.2"))  # half at 1, half at most at 5: 3 at most
    assert flag.metrics == ("mean_rank",)
    assert "1.5 to 3.005" in flag.text  # at most 49.95 % at 1, 50 % at 5 and, as 100.0 may be 99.95, the rest at 10
    assert metrics(shapes.bounds(row(pool=10, r1="50.0", r5="100.0", mrr="0.80"))) == [("mrr",)]  # 0.5 + 0.5 / 2 at most
    assert metrics(shapes.bounds(row(pool=None, r10="30.0", mean="7.6"))) == [("mean_rank",)]  # 70 % at 11 or below
    assert shapes.bounds(row(pool=None, r10="30.0", mean="900.0")) == []
    assert shapes.bounds(row(mean="900.0")) == []


def test_bounds_hold_for_any_real_ranks() -> None:
    rng = np.random.default_rng(0)
    for _ in range(50):
        ranks = np.minimum(1 + rng.geometric(rng.uniform(0.01, 0.9), 300), 400)
        printed: dict[str, Any] = {f"r{k}": f"{100 * np.mean(ranks <= k):.1f}" for k in (1, 5, 10, 50)}
        printed |= {"mean": f"{ranks.mean():.1f}", "mrr": f"{np.mean(1 / ranks):.3f}", "medr": f"{np.median(ranks):g}"}
        found = row(pool=400, **printed)
        assert [f for test in (shapes.bounds, shapes.median, shapes.monotone) for f in test(found)] == []


def test_hits_must_not_thicken_downwards() -> None:
    (flag,) = shapes.rising(row(pool=1000, r1="3.40", r5="5.20", r10="15.30"))  # .45 % a rank, then 2.02
    assert "0.45 %" in flag.text
    assert "2.02 %" in flag.text
    assert shapes.rising(row(pool=1000, r1="10.8", r5="28.1", r10="36.5", r25="51.6")) == []
    assert shapes.rising(row(pool=1000, r1="0.2", r5="0.4", r10="1.0")) == []  # two hits more are noise
    assert shapes.rising(row(pool=None, r1="3.40", r5="5.20", r10="15.30")) == []
    (flag,) = shapes.rising(row(pool=2000, medr="6", r1="11.2", r5="34.6", r10="58.5"))  # 15.4 % at rank 6 itself
    assert "rank 6" in flag.text


def test_the_edge_of_an_evenly_filled_stretch_is_seen_and_a_good_system_is_not() -> None:
    leaky = row(pool=1622, r1="2.61", r5="12.80", r10="24.01", r25="55.92", r50="98.92")
    (flag,) = shapes.edge(leaky)
    assert flag.metrics == ("recall@50",)
    assert "about 51 places" in flag.text
    assert shapes.edge(row(pool=1622, r1="60.0", r5="85.0", r10="92.0", r25="97.0", r50="99.0")) == []
    assert shapes.edge(row(pool=1622, r1="0.8", r5="3.1", r10="5.8", r25="11.6", r50="18.6")) == []


def test_a_random_row_must_be_k_over_n() -> None:
    right = row(pool=100, spread=10, system="Random", r1="1.00", r5="5.00", r10="10.00")
    wrong = row(pool=100, spread=10, system="Random", r1="1.00", r5="5.00", r10="8.00")
    assert shapes.anchor(right) == []
    assert metrics(shapes.anchor(wrong)) == [("recall@10",)]
    assert shapes.anchor(row(pool=100, spread=10, r1="1.00", r5="5.00", r10="8.00")) == []


def test_equal_rows_are_marked_unless_they_are_chance() -> None:
    a, b = row(system="A", r1="10.3", r5="34.7", r10="53.8"), row(system="B", r1="10.3", r5="34.7", r10="53.8")
    c, d = row(system="C", r1="0.2", r5="1.0", r10="1.8"), row(system="D", r1="0.2", r5="1.0", r10="1.8")
    assert len(shapes.repeat(a, [a, b, c, d])) == 1
    assert shapes.repeat(c, [a, b, c, d]) == []
    assert shapes.repeat(a, [a, c, d]) == []


def test_rows_of_one_table_must_share_a_number_of_queries() -> None:
    a = row(pool=100, spread=10, system="A", r1="1.05", r5="2.11")  # whole on 95 only
    b = row(pool=100, spread=10, system="B", r1="0.98", r5="1.96")  # whole on 102 only
    assert shapes.possible_queries(b) == [102]
    (flag,) = shapes.one_set(a, [a, b])
    assert "95" in flag.text
    assert shapes.one_set(a, [a, a]) == []


def test_the_fewest_queries_on_which_a_table_without_a_pool_is_whole() -> None:
    assert shapes.least_queries([row(pool=None, r1="33.33"), row(pool=None, r1="14.29")]) is None  # 21: says nothing
    assert shapes.least_queries([row(pool=None, r1="0.07", r5="99.98")]) == 4000  # 1 of 4000 is .025: .07 as 3, .98 as 3999
    assert shapes.least_queries([row(pool=None, medr="3")]) is None


def test_all_tests_run_together_and_a_clean_row_has_no_flag() -> None:
    clean = row(r1="11.6", r5="33.4", r10="45.6", medr="13")
    assert shapes.flags(clean, [clean]) == []
    odd = row(r1="11.7", r5="11.5", r10="45.6", medr="5")
    assert {flag.kind for flag in shapes.flags(odd, [odd, clean])} >= {"grim", "monotone", "median"}
