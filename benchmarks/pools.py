"""What a result would have been in a smaller pool: exact from the ranks in the full gallery, so that papers with pools of 500,
1,629 or 2,000 candidates stand on one axis; and a fixed list of candidates for strict replication.

A pool of n has the query's positives and n less their number of random wrong candidates, every choice equally likely. How many
of the wrong ones that stand before the first positive come into the pool is hypergeometric. Nothing is sampled: one sampled pool
of 2,000 moves Recall@10 by a point or two by luck alone. In the full gallery the pool's recall is that of the metric.

Axes: Q queries, A counts of wrong candidates before the first positive, X of them in the pool.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import gammaln

from benchmarks.pack import Pack
from benchmarks.ranking import Ranks
from svmbench.errors import BadInput
from svmbench.store import write_json

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
POOL_FILE = "pool.json"  # in a run folder
ROWS = 256  # counts at once, bounds the memory
RULE = "ids by ascending sha256 of 'SEED:ID' in UTF-8, the first SIZE of them, sorted; the sha256 is of these ids, one a line"


@dataclass(frozen=True)
class PoolPoint:
    """Exact expectations in random pools of one size. median_rank: of the rank over queries and pools."""

    pool: int
    recall: float
    median_rank: float


def pool_curve(ranks: Ranks, sizes: Iterable[int], cutoff: int) -> list[PoolPoint]:
    """Recall@cutoff and median rank at each pool size; ValueError for a size that cannot be drawn."""
    masses = ((size, rank_mass(ranks, size)) for size in sizes)
    return [PoolPoint(size, float(mass[:cutoff].sum()), median_of(mass)) for size, mass in masses]


def recall_at_pool(ranks: Ranks, *, pool: int, cutoff: int) -> float:
    """Exact expected Recall@cutoff (hit rate) if each query were ranked in a random pool."""
    return float(rank_mass(ranks, pool)[:cutoff].sum())


def median_rank_at_pool(ranks: Ranks, *, pool: int) -> float:
    """Median of the rank of the first positive over all queries and all pools: where the mixture of the queries' distributions
    crosses one half."""
    return median_of(rank_mass(ranks, pool))


def can_draw(ranks: Ranks, pool: int) -> bool:
    """Whether every query has room for its positives in such a pool, and wrong candidates enough to fill it."""
    return bool(len(ranks)) and int(ranks.num_right.max()) <= pool <= int(ranks.num_candidates.min())


def rank_mass(ranks: Ranks, pool: int) -> Floats:
    """Probability (pool,) that the first positive of a random query stands at place 1, 2 ... of a random pool. Tied candidates
    stand in random order. ValueError where a query cannot have such a pool."""
    if not can_draw(ranks, pool):
        low, high = (int(ranks.num_right.max()), int(ranks.num_candidates.min())) if len(ranks) else (1, 0)
        raise ValueError(f"a pool of {pool} cannot be drawn from {high} candidates; possible: {low} to {high}")
    shape_Q = np.stack([ranks.num_candidates, ranks.num_right])
    mass = np.zeros(pool)
    for size, right in np.unique(shape_Q, axis=1).T:
        own_Q = (shape_Q[0] == size) & (shape_Q[1] == right)
        share_A = _ahead(ranks.better[own_Q], ranks.tied[own_Q], ranks.tied_right[own_Q], int(size - right))
        found_X = _hypergeometric(share_A, int(pool - right))
        mass[: len(found_X)] += found_X
    return mass / len(ranks)


def median_of(mass: Floats) -> float:
    below = np.cumsum(mass)
    return float(np.searchsorted(below, 0.5 - 1e-12) + np.searchsorted(below, 0.5 + 1e-12)) / 2 + 1


def _ahead(better_Q: Ints, tied_Q: Ints, right_Q: Ints, wrong: int) -> Floats:
    """Queries, summed, by the number of wrong candidates that stand before their first positive (wrong + 1,).

    With t wrong and m right ones tied in random order, P(a wrong ones first) = C(t + m - 1 - a, m - 1) / C(t + m, m).
    """
    share_A = np.bincount(better_Q[tied_Q == 0], minlength=wrong + 1).astype(float)
    some = tied_Q > 0
    cases, counts = np.unique(np.stack([better_Q, tied_Q, right_Q])[:, some], axis=1, return_counts=True)
    for (better, tied, right), count in zip(cases.T, counts, strict=True):
        left = np.arange(tied, -1, -1.0)  # wrong ones that stand behind the first positive
        log_ways = gammaln(left + right) - gammaln(left + 1)
        ways = np.exp(log_ways - log_ways.max())
        share_A[better : better + tied + 1] += count * ways / ways.sum()
    return share_A


def _hypergeometric(share_A: Floats, drawn: int) -> Floats:
    """How many of the A wrong ones ahead are among `drawn` of all wrong ones, summed over share_A (drawn + 1,)."""
    wrong, total_X = len(share_A) - 1, np.zeros(drawn + 1)
    ahead_A = np.flatnonzero(share_A)
    for low in range(0, len(ahead_A), ROWS):
        a = ahead_A[low : low + ROWS, None].astype(float)
        first, last = _window(a, wrong, drawn)
        x = np.arange(first.min(), last.max() + 1)
        up, down = (a - x) * (drawn - x), (x + 1) * (wrong - a - drawn + x + 1)  # P(x + 1) / P(x) = up / down
        step = np.log(np.divide(up, down, out=np.ones_like(up), where=(up > 0) & (down > 0)))
        log_mass = np.cumsum(step, axis=1) - step
        log_mass[(x < first) | (x > last)] = -np.inf
        mass = np.exp(log_mass - log_mass.max(axis=1, keepdims=True))
        total_X[int(x[0]) : int(x[-1]) + 1] += (share_A[ahead_A[low : low + ROWS]] / mass.sum(axis=1)) @ mass
    return total_X


def _window(a: Floats, wrong: int, drawn: int) -> tuple[Floats, Floats]:
    """The possible counts, but those that are further from the mean than 12 standard deviations and 12: they weigh nothing."""
    share = a / max(1, wrong)
    mean, sd = drawn * share, np.sqrt(drawn * share * (1 - share))
    first = np.maximum(np.maximum(0, drawn - (wrong - a)), np.floor(mean - 12 * sd - 12))
    last = np.minimum(np.minimum(a, drawn), np.ceil(mean + 12 * sd + 12))
    return first, last


@dataclass(frozen=True)
class Pool:
    """A fixed list of candidates. ids: sorted. sha256: of the list, see RULE."""

    seed: int
    ids: tuple[str, ...]
    sha256: str

    @property
    def brief(self) -> dict[str, Any]:
        """What a record says of it."""
        return {"size": len(self.ids), "seed": self.seed, "sha256": self.sha256}


def fixed_pool(ids: Iterable[str], size: int, seed: int) -> Pool:
    """The `size` ids that RULE picks: whoever has the same ids gets the same list, on any machine, in any order of the data.
    An id more or less changes at most one place, and a smaller pool is part of a
    larger one. BadInput: too few ids, or one id twice."""
    known = list(ids)
    if len(set(known)) < len(known):
        raise BadInput(f"{len(known) - len(set(known))} ids stand twice in the list that a pool is to be drawn from")
    if not 1 <= size <= len(known):
        raise BadInput(f"a pool of {size} cannot be drawn from {len(known)} ids; allowed: 1 to {len(known)}")
    picked = sorted(sorted(known, key=lambda name: hashlib.sha256(f"{seed}:{name}".encode()).digest())[:size])
    return Pool(seed, tuple(picked), list_sha256(picked))


def list_sha256(ids: Sequence[str]) -> str:
    """sha256 (hex) of ids, one a line, each line ended."""
    return hashlib.sha256("".join(f"{name}\n" for name in ids).encode()).hexdigest()


def keep(ids_N: Iterable[str], pool: Pool) -> npt.NDArray[np.bool_]:
    """Which of the items (N,) are in the pool; several may have one id (clips of a song). BadInput where the pool has ids that
    no item has: then it is of other data, or of another version of them."""
    names, wanted = list(ids_N), set(pool.ids)
    if missing := sorted(wanted.difference(names)):
        raise BadInput(f"{len(missing)} of the pool's {len(wanted)} ids are not in these data, first {missing[0]!r}")
    return np.fromiter((name in wanted for name in names), bool, len(names))


def in_pool(pack: Pack, index: npt.NDArray[np.int64], pool: Pool) -> npt.NDArray[np.int64]:
    """Those of the clips `index` whose song is in the pool."""
    return index[keep([pack.song_ids[i] for i in index], pool)]


def of_run(run: Path, folds: int | None) -> Pool | None:
    """The pool that a run folder asks for with its file POOL_FILE; None without one. BadInput: it does not go with folds."""
    path = run / POOL_FILE
    if path.is_file() and folds is not None:
        raise BadInput(f"{path} cuts down the run's own test part and does not go with --folds; move the file away")
    return read_pool(path) if path.is_file() else None


def write_pool(path: Path, pool: Pool) -> None:
    """A pool as a JSON file that says its rule and its sha256."""
    write_json(path, {"rule": RULE, "size": len(pool.ids), **asdict(pool)})


def read_pool(path: Path) -> Pool:
    """The pool of a JSON file; BadInput where it is none, or its list is not the one that its sha256 was made of."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        pool = Pool(int(found["seed"]), tuple(map(str, found["ids"])), str(found["sha256"]))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BadInput(f"{path} is no list of candidates as 'fixed_pool' writes it ({type(error).__name__}: {error})") from error
    if list(pool.ids) != sorted(set(pool.ids)):
        raise BadInput(f"{path}: the ids are not sorted, or one stands twice; the list was changed after it was written")
    if list_sha256(pool.ids) != pool.sha256:
        raise BadInput(f"{path}: the list does not have the sha256 that stands beside it; it was changed after it was written")
    return pool
