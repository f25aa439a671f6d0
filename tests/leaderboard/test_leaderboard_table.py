"""Which scores share a table, how seeds are combined, and what is marked."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from leaderboard.export import flat_rows
from leaderboard.table import Table, tables
from svmbench.errors import BadScores
from svmbench.records import M2V, Score

Make = Callable[..., Score]


def marks(table: Table, metric: str = "recall@10") -> dict[str, str]:
    return {row.name: row.cells[metric].mark for row in table.rows}


@pytest.mark.parametrize(
    "other", [{"dataset": "x"}, {"revision": "x"}, {"split": "val"}, {"gallery_size": 9}, {"num_queries": 9}, {"direction": M2V}]
)
def test_scores_of_another_task_get_a_table_of_their_own(score: Make, other: dict[str, object]) -> None:
    assert len(tables([score(), score(seed=1)])) == 1
    assert len(tables([score(), score(**other)])) == 2


def test_settings_and_variants_are_rows_of_their_own(score: Make) -> None:
    (table,) = tables([score(), score(settings_hash="t"), score(variant="wide"), score(baseline="cca")])
    assert sorted(row.name for row in table.rows) == ["cca", "mvbind", "mvbind", "mvbind · wide"]


def test_seeds_are_their_mean_with_the_spread_apart_from_the_interval(score: Make) -> None:
    seeds = [score(seed=i, value=v, ci95=(v - 0.1, v + 0.1), wall_s=w) for i, (v, w) in enumerate([(0.3, 2), (0.5, 4), (0.7, 6)])]
    ((row,),) = (t.rows for t in tables(seeds))
    cell = row.cells["recall@10"]
    assert (row.seeds, row.wall_s) == ((0, 1, 2), 4.0)
    assert (cell.value, cell.low, cell.high) == pytest.approx((0.5, 0.4, 0.6))
    assert cell.sd == pytest.approx(0.2)


def test_one_seed_without_interval_leaves_the_cell_without(score: Make) -> None:
    (table,) = tables([score(), score(seed=1, ci95=None)])
    assert table.rows[0].cells["recall@10"].low is None


def test_the_same_score_twice_counts_once_and_a_contradiction_is_refused(score: Make) -> None:
    (table,) = tables([score(), score()])
    assert table.rows[0].cells["recall@10"].sd is None
    with pytest.raises(BadScores, match=r"there twice: 0\.5 and 0\.6"):
        tables([score(), score(value=0.6)])


@pytest.mark.parametrize(
    "bad",
    [
        {"kind": None},
        {"kind": "best"},
        {"value": float("nan")},
        {"metric": "median_rank", "value": float("inf")},
        {"value": 1.2},
        {"value": 45.6},
        {"ci95": (0.1, float("inf"))},
    ],
)
def test_values_that_cannot_be_scores_are_refused(score: Make, bad: dict[str, object]) -> None:
    with pytest.raises(BadScores, match="mvbind"):
        tables([score(**bad)])


def test_undefined_values_are_kept_as_undefined(score: Make) -> None:
    (table,) = tables([score(value=None, ci95=None), score(baseline="cca")])
    assert [row.name for row in table.rows] == ["cca", "mvbind"]
    assert table.rows[1].cells["recall@10"].value is None


def test_chance_comes_first_and_controls_last(score: Make) -> None:
    rows = [
        score(kind="control", baseline="mean_embedding", value=0.9),
        score(kind="control", variant="shuffled", value=0.95),
        score(kind="chance", baseline="chance", variant="expected", value=0.1),
        score(baseline="cca", value=0.3),
        score(value=0.5),
    ]
    (table,) = tables(rows)
    assert [row.group for row in table.rows] == ["chance", "measured", "measured", "control", "control"]
    assert [row.name for row in table.rows] == ["chance", "mvbind", "cca", "mvbind · shuffled", "mean_embedding"]
    assert table.chance is table.rows[0]


def test_best_is_marked_and_so_are_those_it_cannot_be_told_from(score: Make) -> None:
    rows = [
        score(baseline="a", value=0.6, ci95=(0.5, 0.7)),
        score(baseline="b", value=0.5, ci95=(0.4, 0.6)),
        score(baseline="c", value=0.3, ci95=(0.2, 0.4)),
        score(kind="control", baseline="d", value=0.9, ci95=(0.8, 1.0), variant="shuffled"),
        score(kind="chance", baseline="chance", value=0.1, ci95=(0.1, 0.1)),
    ]
    (table,) = tables(rows)
    assert marks(table) == {"chance": "", "a": "best", "b": "near", "c": "", "d · shuffled": ""}


def test_ranks_are_better_when_lower(score: Make) -> None:
    rows = [score(baseline=b, metric="median_rank", value=v, ci95=(v - 1, v + 1)) for b, v in (("a", 9.0), ("b", 3.0))]
    rows.append(score(kind="chance", baseline="chance", metric="median_rank", value=44.5, ci95=(44.5, 44.5)))
    assert marks(tables(rows)[0], "median_rank") == {"chance": "", "a": "", "b": "best"}


def test_equal_bests_share_the_mark(score: Make) -> None:
    rows = [score(baseline=b) for b in "ab"] + [score(baseline="c", value=0.2, ci95=(0.1, 0.3))]
    assert marks(tables(rows)[0]) == {"a": "best", "b": "best", "c": ""}


def test_nothing_is_best_within_the_noise_of_chance_or_alone_or_without_intervals(score: Make) -> None:
    chance = score(kind="chance", baseline="chance", value=0.45, ci95=(0.45, 0.45))
    assert set(marks(tables([chance, score(), score(baseline="b", value=0.3)])[0]).values()) == {""}
    assert set(marks(tables([score()])[0]).values()) == {""}
    assert set(marks(tables([score(ci95=None), score(baseline="b", value=0.3)])[0]).values()) == {""}


def test_a_row_with_a_failed_check_is_never_best(score: Make) -> None:
    rows = [
        score(baseline="leaky", value=0.9, ci95=(0.8, 1.0), checks=("batch_invariance",)),
        score(baseline="a"),
        score(baseline="b", value=0.2, ci95=(0.1, 0.3)),
    ]
    assert marks(tables(rows)[0]) == {"leaky": "", "a": "best", "b": ""}


def test_the_page_has_room_for_the_main_metrics_and_the_files_for_all(score: Make) -> None:
    names = ("recall@10", "true_recall@10", "normalised_median_rank", "ndcg@25")
    (table,) = tables([score(metric=name) for name in names])
    assert table.columns == ["recall@10", "normalised_median_rank"]
    (flat,) = flat_rows([table])
    assert set(names) <= set(flat)
    (other,) = tables([score(metric="ndcg@25")])
    assert other.columns == ["ndcg@25"]


def test_the_lower_normalised_median_rank_is_the_better_one(score: Make) -> None:
    rows = [score(baseline=b, metric="normalised_median_rank", value=v, ci95=(v, v)) for b, v in (("a", 0.1), ("b", 0.4))]
    (table,) = tables(rows)
    assert marks(table, "normalised_median_rank") == {"a": "best", "b": ""}
