"""Where the right candidates stand: per positive, how many are above it and how many level with it. From these counts every
metric is computed, and nothing else about the similarities is kept.

Axes: Q queries, P positives of all queries, one query after the other. Ties are kept as counts, so that every metric can be the
expectation under a random order of the tied, and no order of the data leaks into a score.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from svmbench.errors import BadScores

Ints = npt.NDArray[np.int64]
COUNTS = ("better", "tied", "tied_right", "num_right", "num_candidates")  # of Ranks.columns(): one int64 a query
LISTS = ("above", "level")  # of Ranks.columns(): num_right int64 a query


@dataclass(frozen=True, eq=False)
class Ranks:
    """Where the positives of each query stand among its candidates.

    ends (Q,): the positives of query q are ends[q - 1] : ends[q] of the arrays over P; each query has at least one.
    above (P,): candidates strictly more similar than this positive, other positives included; ascending within a query.
    level (P,): candidates of exactly its similarity, itself included. Its place lies in above + 1 ... above + level.
    num_candidates (Q,): size of the gallery.
    """

    ends: Ints
    above: Ints
    level: Ints
    num_candidates: Ints

    @classmethod
    def of_best(cls, better: Ints, tied: Ints, tied_right: Ints, num_right: Ints, num_candidates: Ints) -> Ranks:
        """From what is known of the best positive alone; positives that are not tied with it stand last of all."""
        counts = np.stack([better, tied, tied_right, num_right, num_candidates]).astype(np.int64)
        better_Q, tied_Q, tied_right_Q, num_right_Q, num_candidates_Q = counts
        ends_Q = np.cumsum(num_right_Q)
        query_P = np.repeat(np.arange(len(ends_Q)), num_right_Q)
        index_P = np.arange(len(query_P)) - (ends_Q - num_right_Q)[query_P]  # 0, 1 ... within the query
        best_P = index_P < tied_right_Q[query_P]
        above_P = np.where(best_P, better_Q[query_P], (num_candidates_Q - num_right_Q)[query_P] + index_P)
        level_P = np.where(best_P, (tied_Q + tied_right_Q)[query_P], 1)
        return cls(ends_Q, above_P, level_P, num_candidates_Q)

    @classmethod
    def from_columns(cls, columns: Mapping[str, Any]) -> Ranks:
        """From `columns()`, as a table gives them back. BadScores: the lists do not fit the counts beside them."""
        count = {name: np.asarray(columns[name], dtype=np.int64) for name in COUNTS}
        found = {name: _joined(columns[name]) for name in LISTS}
        sizes_Q = np.asarray([len(x) for x in columns["above"]], dtype=np.int64)
        if not np.array_equal(sizes_Q, count["num_right"]) or len(found["above"]) != len(found["level"]):
            raise BadScores("ranks: the lists 'above' and 'level' do not have num_right entries a query")
        ranks = cls(np.cumsum(sizes_Q), found["above"], found["level"], count["num_candidates"])
        for name in COUNTS:
            wrong_Q = np.flatnonzero(getattr(ranks, name) != count[name])
            if len(wrong_Q):
                raise BadScores(f"ranks: {name!r} of row {wrong_Q[0]} does not follow from its lists 'above' and 'level'")
        return ranks

    def columns(self) -> dict[str, Any]:
        """One value a query for a table: the int64 arrays COUNTS and the lists of arrays LISTS."""
        lists = {name: np.split(getattr(self, name), self.ends[:-1])[: len(self)] for name in LISTS}
        return {name: getattr(self, name) for name in COUNTS} | lists

    def __len__(self) -> int:
        return len(self.ends)

    @cached_property
    def num_right(self) -> Ints:
        """Positives of each query (Q,)."""
        return np.diff(self.ends, prepend=0)

    @cached_property
    def query(self) -> Ints:
        """The query of each positive (P,)."""
        return np.asarray(np.repeat(np.arange(len(self)), self.num_right))

    @cached_property
    def better(self) -> Ints:
        """Candidates above the best positive; all of them are wrong (Q,)."""
        return np.asarray(self.above[self.ends - self.num_right])

    @cached_property
    def tied_right(self) -> Ints:
        """Positives that share the best positive's similarity, itself included (Q,)."""
        return np.asarray(self.right_level[self.ends - self.num_right])

    @cached_property
    def tied(self) -> Ints:
        """Wrong candidates tied with the best positive (Q,)."""
        return np.asarray(self.level[self.ends - self.num_right] - self.tied_right)

    @cached_property
    def _first(self) -> Ints:
        """Index of the first positive of its query that has the same similarity (P,)."""
        new_P = np.diff(self.above, prepend=-1) != 0
        new_P[self.ends - self.num_right] = True
        return np.maximum.accumulate(np.where(new_P, np.arange(len(new_P)), 0))

    @cached_property
    def right_above(self) -> Ints:
        """Positives of the same query that are strictly more similar than this one (P,)."""
        return self._first - (self.ends - self.num_right)[self.query]

    @cached_property
    def right_level(self) -> Ints:
        """Positives of the same query with exactly its similarity, itself included (P,)."""
        return np.bincount(self._first, minlength=len(self._first))[self._first]

    def sums(self, value_P: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Sum over the positives of each query (Q,)."""
        return np.asarray(np.bincount(self.query, weights=value_P, minlength=len(self)))

    def expected(self) -> npt.NDArray[np.float64]:
        """1-based expected rank of the first positive when the tied stand in random order (Q,)."""
        return np.asarray(self.better + (self.tied + self.tied_right + 1) / (self.tied_right + 1), dtype=np.float64)

    def optimistic(self) -> Ints:
        """1-based rank of the first positive when it stands before all tied with it (Q,)."""
        return self.better + 1

    def pessimistic(self) -> Ints:
        """1-based rank of the first positive when all wrong ones tied with it stand before it (Q,)."""
        return self.better + self.tied + 1

    def optimistic_ranks(self) -> Ranks:
        """Ranks without ties, the positives first among the tied: any metric of them is its upper bound in quality."""
        return self._ordered(self.above)

    def pessimistic_ranks(self) -> Ranks:
        """Ranks without ties, the positives last among the tied: any metric of them is its lower bound in quality."""
        return self._ordered(self.above + self.level - self.right_level)

    def _ordered(self, above_P: Ints) -> Ranks:
        index_P = np.arange(len(above_P)) - self._first  # 0, 1 ... among the positives of one similarity
        return Ranks(self.ends, above_P + index_P, np.ones_like(above_P), self.num_candidates)

    def chance(self) -> Ranks:
        """The ranks of a scorer that knows nothing (all candidates tied): any metric of them is the exact chance value."""
        return Ranks(self.ends, np.zeros_like(self.above), self.num_candidates[self.query], self.num_candidates)

    def tied_share(self) -> float:
        """Share of queries whose best positive is tied with a wrong candidate, in [0, 1]."""
        return float(np.mean(self.tied > 0))


def _joined(lists: Any) -> Ints:
    return np.concatenate([np.zeros(0, np.int64), *(np.asarray(x, dtype=np.int64) for x in lists)])
