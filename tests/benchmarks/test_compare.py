"""Which rows are told apart, and which share a tier."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from benchmarks import stats
from benchmarks.compare import Comparison, Contestant, Standing, compare, tiers
from benchmarks.ranking import Ranks

V2M = "video_to_music"


def row(name: str, better: Sequence[Sequence[int]], *, role: str = "measured", checks: tuple[str, ...] = ()) -> Contestant:
    """One list of better candidates a seed, among 1,000; every query is a song of its own."""
    ids = np.asarray([f"q{i:04d}" for i in range(len(better[0]))])
    one = np.ones(len(ids), np.int64)
    ranks = tuple(Ranks.of_best(np.asarray(b), 0 * one, one, one, 1000 * one) for b in better)
    return Contestant("test", V2M, name, role, checks, ids, ids, ranks)


def steps(*hits: int, checks: Sequence[str] = (), of: int = 200) -> list[Contestant]:
    """Rows a, b ... of which each finds the first so many of the queries, and no other."""
    marks = {name: tuple(["ties"]) for name in checks}
    return [
        row(chr(97 + i), [[0] * h + [500] * (of - h)], checks=marks.get(chr(97 + i), ())) for i, h in enumerate(hits)
    ]  # fmt: skip


def told(found: list[Standing], metric: str = "recall@10") -> dict[str, tuple[int | None, str | None]]:
    return {s.name: (s.tier, s.anchor) for s in found if s.metric == metric}


def test_tiers_do_not_chain() -> None:
    """Each finds 5 queries more than the next: no neighbours are told apart, and those further apart are."""
    rows = steps(100, 95, 90, 85, 80)
    tests = compare(rows)
    p = {(c.first, c.second): c.p_holm for c in tests if (c.kind, c.metric) == ("pair", "recall@10")}
    assert all(p[a, b] > 0.05 for a, b in ("ab", "bc", "cd", "de")), "a chain of them joins all five"
    assert p["a", "e"] < 0.05
    found = told(tiers(rows, tests))
    assert found == {"a": (1, "a"), "b": (1, "a"), "c": (2, "c"), "d": (2, "c"), "e": (3, "e")}


def test_the_order_of_the_rows_and_the_direction_of_the_metric() -> None:
    rows = steps(60, 150, 20)
    tests = compare(rows[::-1])
    for metric in ("recall@10", "mean_rank"):
        assert told(tiers(rows[::-1], tests), metric) == {"b": (1, "b"), "a": (2, "a"), "c": (3, "c")}
    best = [s for s in tiers(rows, tests) if (s.name, s.metric) == ("b", "mean_rank")]
    assert [(s.p_holm, s.value) for s in best] == [(None, 1 + 500 * 50 / 200)]


def test_a_row_with_a_failed_check_shares_a_tier_and_never_leads_one() -> None:
    cheat = steps(180, 100, 99, checks=("a",))
    found = {s.name: s for s in tiers(cheat, compare(cheat)) if s.metric == "recall@10"}
    assert (found["a"].tier, found["a"].reason) == (None, "may not lead a tier: failed ties")
    assert (found["b"].tier, found["c"].tier) == (1, 1)
    near = steps(101, 100, 20, checks=("a", "c"))
    found = {s.name: s for s in tiers(near, compare(near)) if s.metric == "recall@10"}
    assert (found["a"].tier, found["a"].anchor) == (1, "b")
    assert found["c"].tier is None, "nobody is left to lead the tier of the last"


def test_chance_and_controls_do_not_compete() -> None:
    fair = row("good", [[0] * 50 + [500] * 150])
    rows = [fair, row("index", [[0] * 200], role="control"), row("chance expected", [[0] * 200], role="chance")]
    found = {s.name: s for s in tiers(rows, compare(rows)) if s.metric == "recall@10"}
    assert (found["good"].tier, found["good"].anchor) == (1, "good")
    assert (found["index"].tier, found["index"].reason) == (None, "does not compete: control")
    assert (found["chance expected"].tier, found["chance expected"].reason) == (None, "does not compete: chance")


def test_adjusted_p_values_decide() -> None:
    """One pair is told apart alone and not among many."""
    rng = np.random.default_rng(0)
    pair = steps(100, 93)
    crowd = [*pair, *(row(f"x{i}", [rng.permutation([0] * 97 + [500] * 103).tolist()]) for i in range(6))]
    assert told(tiers(pair, compare(pair)))["b"] == (2, "b")
    assert told(tiers(crowd, compare(crowd)))["b"][0] == 1


def test_seeds_are_averaged_query_by_query() -> None:
    one, two = [0, 0, 500, 500], [0, 500, 0, 500]
    rows = [row("a", [one, two]), row("b", [one])]
    (pair,) = [c for c in compare(rows) if (c.kind, c.metric) == ("pair", "recall@10")]
    assert pair.difference == 0
    assert rows[0].values("recall@10").tolist() == [1, 0.5, 0.5, 0]
    (against,) = [c for c in compare(rows) if (c.first, c.kind, c.metric) == ("a", "chance", "mean_rank")]
    assert against.difference == pytest.approx(251 - 500.5)
    assert against.num_songs == 4


def test_holm_counts_the_tests_of_one_family() -> None:
    rows = [*steps(100, 60, 20), row("c", [[5] * 200], role="control")]
    found = compare(rows)
    sizes = {kind: len([c for c in found if (c.kind, c.metric) == (kind, "recall@10")]) for kind in ("pair", "chance", "control")}
    assert sizes == {"pair": 3, "chance": 3, "control": 1}
    pairs = [c for c in found if (c.kind, c.metric) == ("pair", "recall@10")]
    assert min(c.p_holm for c in pairs) == pytest.approx(3 * min(c.p for c in pairs))


def test_rows_that_were_asked_other_queries_are_not_compared() -> None:
    rows = [row("a", [[0] * 100]), row("b", [[500] * 120])]
    found = compare(rows)
    assert {c.kind for c in found} == {"chance"}
    standings = {s.name: s for s in tiers(rows, found) if s.metric == "recall@10"}
    assert standings["a"].tier == 1
    assert standings["b"].tier is None, "no test, so nobody knows"
    assert standings["b"].reason == "was asked other queries than a, so no test says where it stands"


def test_many_rows_can_still_be_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    """34 rows are 561 tests: with 10,000 flips the smallest p would be 0.056 once adjusted, and all would share one tier."""
    asked: list[int] = []

    def told_apart(*args: object, flips: int) -> float:
        asked.append(flips)
        return 1 / (flips + 1)

    monkeypatch.setattr(stats, "paired_permutation", told_apart)
    rows = steps(*range(34), of=34)
    found = told(tiers(rows, compare(rows)))
    assert {tier for tier, _ in found.values()} == set(range(1, 35))
    assert set(asked) == {stats.num_flips(561)} == {22_440}
    assert stats.num_flips(250) == stats.FLIPS


def test_no_rows_no_tests() -> None:
    nothing: list[Comparison] = compare([])
    assert nothing == []
    assert tiers([], nothing) == []
