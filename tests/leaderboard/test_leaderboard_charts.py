"""Charts: the numbers in them, and that hostile names stay text."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Callable
from itertools import permutations

import numpy as np
import pytest

from leaderboard import charts
from leaderboard.table import tables
from svmbench.records import Score

EVIL = '"><script>alert(1)</script>'


def ranks(better: list[int], tied: list[int] | None = None, right: list[int] | None = None) -> charts.RankList:
    size = len(better)
    return charts.RankList(better=np.array(better, float), tied=np.array(tied or [0] * size), right=np.array(right or [1] * size))


def test_recall_without_ties_counts_ranks() -> None:
    assert ranks([0, 1, 4, 9]).recall([1, 2, 5, 10]) == [0.25, 0.5, 0.75, 1.0]


@pytest.mark.parametrize(("tied", "right"), [(0, 1), (1, 1), (3, 1), (2, 2), (3, 2)])
@pytest.mark.parametrize("cutoff", [1, 2, 3, 4, 5, 6])
def test_recall_with_ties_is_the_mean_over_all_orders_of_the_tied(tied: int, right: int, cutoff: int) -> None:
    orders = set(permutations("w" * tied + "r" * right))
    hits = [("r" in ("w" + "".join(order))[:cutoff]) for order in orders]  # one wrong candidate stands before all of them
    assert ranks([1], [tied], [right]).recall([cutoff])[0] == pytest.approx(np.mean(hits))


def test_chart_scales_have_round_steps() -> None:
    assert [charts.nice_step(top) for top in (100, 43, 9.9, 0.8)] == [20, 10, 2, 0.2]
    assert charts.cutoffs(88)[0] == 1
    assert charts.cutoffs(88)[-1] == 88


def test_histogram_bins_share_all_queries() -> None:
    assert charts._bins(ranks([0, 1, 2, 7, 20]), [1, 2, 4, 8, 33]) == pytest.approx([0.2, 0.4, 0.0, 0.4])
    assert charts.duration_bins([4.0, 4.5, 5.0, 11.9]) == {"4": 2, "5": 1, "6": 0, "7": 0, "8": 0, "9": 0, "10": 0, "11": 1}
    assert charts.reuse_bins({1: 3, 4: 1, 40: 2}) == {"1": 3, "2": 0, "3": 0, "4": 1, "5": 0, "6": 0, "7": 0, "8": 0, "> 8": 2}


def test_charts_are_well_formed_finite_and_escape_names(score: Callable[..., Score]) -> None:
    (table,) = tables(
        [
            score(baseline=EVIL),
            score(kind="chance", baseline="chance", value=0.1, ci95=None),
            score(baseline="b", value=0.0, ci95=(0, 0)),
        ]
    )
    by_row = {(r.baseline, r.variant): ranks([0, 5, 87]) for r in table.rows}
    drawn = [
        charts.intervals(table),
        charts.curves(table, by_row),
        charts.histogram(table, by_row),
        charts.bars({EVIL: 2}, EVIL, EVIL),
    ]
    for svg in drawn:
        root = ET.fromstring(str(svg))
        assert not [e for e in root.iter() if e.tag not in ("svg", "text", "line", "circle", "rect", "polyline")]
        assert EVIL in root.attrib["aria-label"] or EVIL[:20] in "".join(root.itertext())
        assert "nan" not in str(svg)
        assert "inf" not in str(svg)


def test_intervals_show_the_first_rows_of_a_long_table_and_few_controls(score: Callable[..., Score]) -> None:
    rows = [score(baseline=f"m{i:02d}", value=1 - i / 100) for i in range(20)]
    rows += [score(kind="control", baseline=f"c{i}", value=0.1) for i in range(6)] + [
        score(kind="chance", baseline="chance", value=0.1)
    ]
    names = [e.text for e in ET.fromstring(str(charts.intervals(tables(rows)[0]))).iter("text")]
    assert [n for n in names if n in {r.baseline for r in rows}] == [
        "chance",
        *(f"m{i:02d}" for i in range(16)),
        "c0",
        "c1",
        "c2",
        "c3",
    ]


def test_charts_without_data_are_left_out(score: Callable[..., Score]) -> None:
    (table,) = tables([score(metric="mrr")])
    assert charts.intervals(table) == charts.curves(table, {}) == charts.histogram(table, {}) == charts.bars({}, "", "") == ""


@pytest.mark.parametrize(("better", "at_top"), [([60, 70, 80, 87], True), ([0, 0, 0, 0], False)])
def test_the_legend_stands_where_the_curves_do_not(score: Callable[..., Score], better: list[int], at_top: bool) -> None:
    (table,) = tables([score(), score(kind="chance", baseline="chance")])
    found = {("mvbind", "default"): ranks(better), ("chance", "default"): ranks([0] * 4, [87] * 4)}
    names = [t for t in ET.fromstring(str(charts.curves(table, found))).iter() if t.get("class") == "name"]
    assert [name.text for name in names] == ["chance", "mvbind"]
    assert all((float(name.get("y", "")) < 110) == at_top for name in names)
