"""The printed figures, and each audit on cases worked by hand and on rows known from the papers."""

from __future__ import annotations

from dataclasses import replace

import pytest

from leaderboard import audit
from leaderboard.glossary import FLAGS
from leaderboard.published import Figure, PrintedRow, PrintedTable, load

FIGURE = Figure(
    paper="P", source="P", table="1", title="t", dataset="d", system="S", setting="", direction=None, metric="recall@1",
    printed="10.0", unit="%", pool_size=500, pool_basis="stated", secondary=False, caveat="", note="",
)  # fmt: skip


def row(pool: int | None = 500, system: str = "S", basis: str = "stated", **printed: str) -> PrintedRow:
    """row(r1='10.0', medr='7'): a row with these figures as printed."""
    figures = {}
    for key, value in printed.items():
        metric = "median_rank" if key == "medr" else f"recall@{key[1:]}"
        figures[metric] = replace(FIGURE, metric=metric, printed=value, pool_size=pool, pool_basis=basis, system=system)
    return PrintedRow(system=system, setting="", figures=figures)


def metrics(flags: list[audit.Flag]) -> list[tuple[str, ...]]:
    return [flag.metrics for flag in flags]


def test_grim_asks_for_whole_queries_within_the_printed_rounding() -> None:
    assert audit.grim(row(r1="11.6", r5="33.4")) == []  # 58 and 167 of 500
    assert metrics(audit.grim(row(r1="11.6", r5="33.5"))) == [("recall@5",)]
    assert audit.grim(row(pool=2000, r1="2.75")) == []
    assert metrics(audit.grim(row(pool=2000, r1="2.73"))) == [("recall@1",)]
    assert audit.grim(row(pool=300, r1="33.3")) == []  # 100 of 300 is 33.33..
    assert audit.grim(row(pool=None, r1="2.73")) == []


def test_grim_with_a_derived_pool_asks_for_one_number_that_fits_the_whole_row() -> None:
    assert audit.possible_queries(row(pool=100, basis="derived", r1="1.05", r5="2.11").figures.values()) == [95]
    (flag,) = audit.grim(row(pool=100, basis="derived", r1="1.05", r5="2.50"))
    assert flag.metrics == ("recall@5",)  # 2 of 80 and 3 of 120, nothing from 90 to 110
    (flag,) = audit.grim(row(pool=100, basis="derived", r1="1.05", r5="2.13"))  # 1 of 95, 2 of 94, never both
    assert flag.metrics == ("recall@1", "recall@5")


def test_recall_must_not_fall() -> None:
    assert audit.monotone(row(r1="2.0", r5="2.0", r10="3.0")) == []
    assert metrics(audit.monotone(row(r1="2.0", r5="1.8", r10="3.0"))) == [("recall@1", "recall@5")]


@pytest.mark.parametrize(("hits", "expected"), [(0, 1.0), (1, 1 - 0.8**10), (2, 1 - 0.8**10 - 10 * 0.2 * 0.8**9), (10, 0.2**10)])
def test_binomial_tail_by_hand(hits: int, expected: float) -> None:
    assert audit.tail(hits, 10, 0.2) == pytest.approx(expected, rel=1e-6)
    assert audit.tail(hits, 10, 1.0) == 1.0


def test_chance_marks_what_a_random_ranking_reaches() -> None:
    assert metrics(audit.chance(row(r1="0.2", r5="1.0", r10="1.8"))) == [("recall@1", "recall@5", "recall@10")]
    assert audit.chance(row(r1="11.6", r5="33.4", r10="45.6")) == []
    assert metrics(audit.chance(row(r1="0.0", r10="17.2"))) == [("recall@1",)]
    assert audit.chance(row(pool=None, r1="0.0")) == []


def test_median_rank_and_recall_must_agree() -> None:
    assert audit.median(row(medr="6", r5="34.6", r10="58.5")) == []
    assert metrics(audit.median(row(medr="14", r10="53.2"))) == [("median_rank", "recall@10")]
    assert metrics(audit.median(row(medr="5", r5="32.8"))) == [("median_rank", "recall@5")]
    assert audit.median(row(medr="11", r10="50.0")) == []  # 50.0 may be 49.95
    assert audit.median(row(medr="7")) == []


def test_hits_must_not_thicken_downwards() -> None:
    assert audit.rising(row(pool=1000, r1="10.0", r5="30.0", r10="45.0")) == []
    (flag,) = audit.rising(row(pool=1000, r1="3.4", r5="5.2", r10="15.3"))
    assert "ranks 6 to 10" in flag.text
    assert audit.rising(row(pool=50, r1="4.0", r5="6.0", r10="16.0")) == []  # the same shape is noise on 50 queries
    (flag,) = audit.rising(row(pool=2000, medr="6", r1="11.2", r5="34.6"))
    assert "rank 6" in flag.text


def test_an_evenly_filled_stretch_with_an_edge_is_marked_and_a_good_model_is_not() -> None:
    leaky = row(pool=1622, r1="2.6", r5="12.8", r10="24.0", r25="55.9", r50="98.9")
    good = row(pool=1622, r1="61.0", r5="88.0", r10="94.0", r25="97.5", r50="99.0")
    assert metrics(audit.edge(leaky)) == [("recall@50",)]
    assert audit.edge(good) == []
    assert audit.edge(row(pool=1622, r1="0.8", r5="3.1", r10="5.8", r25="11.6", r50="18.6")) == []


def test_a_random_row_must_be_k_over_n() -> None:
    right = row(pool=100, basis="derived", system="Random", r1="1.00", r5="5.00", r10="10.00")
    wrong = row(pool=100, basis="derived", system="Random", r1="1.00", r5="5.00", r10="8.00")
    assert audit.anchor(right) == []
    assert metrics(audit.anchor(wrong)) == [("recall@10",)]
    assert audit.anchor(replace(wrong, system="S")) == []


def test_equal_rows_are_marked_unless_they_are_chance() -> None:
    a, b = row(system="A", r1="10.3", r5="34.7", r10="53.8"), row(system="B", r1="10.3", r5="34.7", r10="53.8")
    c, d = row(system="C", r1="0.2", r5="1.0", r10="1.8"), row(system="D", r1="0.2", r5="1.0", r10="1.8")
    assert len(audit.repeat(a, [a, b, c, d])) == 1
    assert audit.repeat(c, [a, b, c, d]) == []


def audited() -> list[PrintedTable]:
    return list(audit.shipped())


def kinds(paper: str, title: str, system: str, setting: str = "", **where: str | None) -> set[str]:
    """Kinds of flags of one row of the papers."""
    found = [t for t in audited() if (t.paper, t.title) == (paper, title) and all(getattr(t, k) == v for k, v in where.items())]
    (match,) = [r for t in found for r in t.rows if (r.system, r.setting) == (system, setting)]
    return {flag.kind for flag in match.flags}


def test_all_figures_are_there_and_every_flag_is_explained() -> None:
    assert len(load()) == 297
    assert sum(len(r.figures) for t in audited() for r in t.rows) == 297
    assert {f.kind for t in audited() for r in t.rows for f in r.flags} <= set(FLAGS)
    assert {f.pool_basis for f in load()} <= {"stated", "derived", "assumed", "not stated", None}


def test_flags_of_known_rows() -> None:
    assert {"chance", "suspect"} == kinds("MVBind", "Comparison with CBVMR", "CBVMR")
    assert kinds("MVBind", "Comparison with CBVMR", "MVBind") == set()
    assert kinds("MVBind", "Pairs of frozen features", "MVBind head", "ResNet × ImageBind") == {"chance"}
    title, v2m, m2v = "Decoders and mixers", {"direction": "video_to_music"}, {"direction": "music_to_video"}
    assert kinds("CMMixer", title, "CMMixer-Solo", "PixelMixup", **v2m) == {"median"}
    assert kinds("CMMixer", title, "CMMixer-Solo", "CutMix", **v2m) == {"rising"}
    assert kinds("CMMixer", title, "CMMixer-Duet", "PixelMixup", **m2v) == {"median", "repeat"}
    assert kinds("CMMixer", title, "CMMixer-Solo", "Mixup", **v2m) == set()
    other = "Comparison with other systems"
    assert kinds("CMMixer", other, "CMMixer-Solo", dataset="M2M") == {"tables"}
    assert kinds("CMMixer", other, "CBVMR", dataset="M2M") == {"grim"}
    assert kinds("CMMixer", other, "CMVAE", dataset="M2M") == set()
    assert kinds("TIVM", "Seven configurations and a random anchor", "Random") == {"anchor"}
    assert kinds("TIVM", "Seven configurations and a random anchor", "TIVM") == {"edge", "one_set", "suspect"}
    assert kinds("TIVM", "Seven configurations and a random anchor", "LIVM") == {"grim"}
    assert "rising" in kinds("UT-CMVMR", "Public data", "CBVMR", "AE")


def test_five_of_twelve_median_ranks_contradict_their_recalls() -> None:
    rows = [r for t in audited() if t.title == "Decoders and mixers" for r in t.rows]
    assert len(rows) == 12
    assert sum(any(f.kind == "median" for f in r.flags) for r in rows) == 5


def test_hand_written_doubts_say_what_they_are() -> None:
    notes = {f.note for f in load() if f.note}
    assert notes
    assert all("nference" in note for note in notes)
