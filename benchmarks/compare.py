"""Which differences between rows are more than luck: paired tests, adjusted for their number, and tiers of rows.

A row is one baseline in one variant, all its seeds together; a contest is all rows of one split and direction. Averages over
seeds are compared, query by query, with signs flipped song by song.
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from benchmarks import stats
from benchmarks.ranking import Ranks
from benchmarks.scoring import cell

TESTED = ("recall@10", "mean_rank")  # metrics of the paired tests; ours
LEVEL = 0.05  # an adjusted p value below it tells two rows apart; ours
CHANCE = "chance (exact)"
MEASURED = "measured"  # the role of a row that competes; others are 'control' and 'chance'


@dataclass(frozen=True)
class Contestant:
    """One row in one direction. role: see MEASURED. checks: integrity checks that failed in any seed. queries_Q, songs_Q: ids in
    the order of the ranks; ranks_F: one a seed."""

    split: str
    direction: str
    name: str
    role: str
    checks: tuple[str, ...]
    queries_Q: npt.NDArray[np.str_]
    songs_Q: npt.NDArray[np.str_]
    ranks_F: tuple[Ranks, ...]

    def values(self, metric: str) -> npt.NDArray[np.float64]:
        """The metric of each query, the mean over seeds (Q,)."""
        module, more = cell(metric)
        return np.asarray(np.mean([module.values(ranks, *more) for ranks in self.ranks_F], axis=0))

    def score(self, metric: str) -> float:
        """The metric, the mean over seeds."""
        module, more = cell(metric)
        return float(np.mean([module.score(ranks, *more) for ranks in self.ranks_F]))


@dataclass(frozen=True)
class Comparison:
    """One paired test. first and second are 'baseline variant'; difference is first - second of the metric, p is two-sided.

    p_holm is adjusted for all tests of the same split, direction, metric and kind ('chance': against the exact chance value;
    'control': a shuffled or knowing-nothing row against it; 'pair': two baselines). On mean_rank the test against chance is exact
    where a query has one positive: under chance the rank is uniform, so its distance from the middle has a random sign. On recall
    it holds for many songs.
    """

    split: str
    direction: str
    metric: str
    kind: str
    first: str
    second: str
    difference: float
    p: float
    p_holm: float
    num_queries: int
    num_songs: int


@dataclass(frozen=True)
class Standing:
    """The tier of one row; 1 is best. anchor: the row that leads the tier; p_holm: of the test against it, None for the anchor
    itself. tier is None where the row does not compete, was asked other queries than the anchor, or is told apart from every
    anchor and may not lead; `reason` says why.
    """

    split: str
    direction: str
    metric: str
    name: str
    value: float
    tier: int | None
    anchor: str | None
    p_holm: float | None
    reason: str


def compare(rows: Sequence[Contestant]) -> list[Comparison]:
    """All tests, adjusted family by family."""
    families: dict[tuple[str, str, str, str], list[Comparison]] = defaultdict(list)
    for contest in _contests(rows):
        for metric in TESTED:
            for found in _family(contest, metric):
                families[found.split, found.direction, found.metric, found.kind].append(found)
    return [
        replace(found, p_holm=p_holm)
        for family in families.values()
        for found, p_holm in zip(family, stats.holm([f.p for f in family]), strict=True)
    ]


def tiers(rows: Sequence[Contestant], comparisons: Sequence[Comparison]) -> list[Standing]:
    """The tier of every row in every contest and tested metric.

    The best row that is left is the anchor of the next tier, and all that the adjusted tests cannot tell from this anchor share
    it. The anchor is fixed: rows are held against it and not against each other, so a chain of small steps cannot join rows that
    are far apart. Rows with failed checks may share a tier and never lead one; chance and controls do not compete.
    """
    p_of = {(c.split, c.direction, c.metric, frozenset((c.first, c.second))): c.p_holm for c in comparisons if c.kind == "pair"}
    found = []
    for contest in _contests(rows):
        for metric in TESTED:
            sign = 1 if cell(metric)[0].HIGHER_IS_BETTER else -1
            values = {row.name: row.score(metric) for row in contest}
            left = sorted((r for r in contest if r.role == MEASURED), key=lambda r: (-sign * values[r.name], r.name))
            for row in contest:
                if row.role != MEASURED:
                    found.append(_standing(row, metric, values, reason=f"does not compete: {row.role}"))
            for tier in itertools.count(1):
                anchor = next((row for row in left if not row.checks), None)
                if anchor is None:
                    break
                same = (anchor.split, anchor.direction, metric)
                p = {r.name: p_of.get((*same, frozenset((r.name, anchor.name)))) for r in left if r is not anchor}
                unlike = [row for row in left if row is not anchor and p[row.name] is None]
                why = f"was asked other queries than {anchor.name}, so no test says where it stands"
                found += [_standing(row, metric, values, reason=why) for row in unlike]
                left = [row for row in left if row not in unlike]
                sharing = [row for row in left if row is anchor or (p[row.name] or 0.0) >= LEVEL]
                found += [_standing(r, metric, values, tier=tier, anchor=anchor.name, p_holm=p.get(r.name)) for r in sharing]
                left = [row for row in left if row not in sharing]
            why = "may not lead a tier: failed "
            found += [_standing(row, metric, values, reason=why + ", ".join(row.checks)) for row in left]
    return found


def _standing(
    row: Contestant, metric: str, values: dict[str, float], *, tier: int | None = None, anchor: str | None = None,
    p_holm: float | None = None, reason: str = "",
) -> Standing:  # fmt: skip
    return Standing(row.split, row.direction, metric, row.name, values[row.name], tier, anchor, p_holm, reason)


def _contests(rows: Sequence[Contestant]) -> list[list[Contestant]]:
    """Rows by split and direction, each in order of name."""
    found: dict[tuple[str, str], list[Contestant]] = defaultdict(list)
    for row in sorted(rows, key=lambda r: (r.split, r.direction, r.name)):
        found[row.split, row.direction].append(row)
    return list(found.values())


def _family(rows: Sequence[Contestant], metric: str) -> Iterator[Comparison]:
    """The tests of one contest and metric, not yet adjusted. Rows that were asked other queries are not compared."""
    module, more = cell(metric)
    values = {row.name: row.values(metric) for row in rows}

    def test(kind: str, first: Contestant, second: str, other: npt.NDArray[np.float64]) -> Comparison:
        p = stats.paired_permutation(values[first.name], other, first.songs_Q, flips=flips)
        return Comparison(
            first.split, first.direction, metric, kind, first.name, second, float(np.mean(values[first.name] - other)), p, p,
            len(first.songs_Q), len(np.unique(first.songs_Q)),
        )  # fmt: skip

    flips = stats.num_flips(len(rows) * (len(rows) - 1) // 2)
    for row in rows:
        if row.name != "chance expected":
            kind = "chance" if row.role == MEASURED else "control"
            yield test(kind, row, CHANCE, module.values(row.ranks_F[0].chance(), *more))
    for first, second in itertools.combinations([row for row in rows if row.role == MEASURED], 2):
        if np.array_equal(first.queries_Q, second.queries_Q):
            yield test("pair", first, second.name, values[second.name])
