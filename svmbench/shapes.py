"""Arithmetic that any printed row of retrieval figures must pass, and a flag for each test that it does not.

Nothing here knows where a row comes from: a paper, a user's file or our own scores. N: number of queries, taken to equal the pool
(one right item a query); K: cut-off of a recall. Recalls are in percent. A printed figure is allowed half of its last decimal.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise

from svmbench.printed import Cell, Flag, Row

ALPHA = 0.05  # ours: one-sided level of "not above chance", for each figure by itself
SIGMAS = 3.0  # ours: how far hits per rank must rise before it is called odd
MOST_QUERIES = 100_000  # ours: no number of queries above it is looked for
MANY_FITS = 20  # ours: a row that is whole on more numbers of queries than this says nothing about its number of queries


def possible_queries(row: Row) -> list[int]:
    """The possible numbers of queries for which every recall is a whole number of queries, within its rounding."""
    return [n for n in row.queries if row.recalls and all(_whole(c, n) for _, c in row.recalls)]


def _whole(cell: Cell, queries: int) -> bool:
    hits = round(cell.value / 100 * queries)
    return abs(100 * hits / queries - cell.value) <= cell.half_unit + 1e-9


def least_queries(rows: Sequence[Row]) -> int | None:
    """The smallest number of queries on which all rows of a table are whole, where it is not known; None where that says nothing,
    as any number from there on would do."""
    cells = [c for row in rows for _, c in row.recalls if not row.is_random]
    finest = min(MOST_QUERIES, 100 * 10 ** max((len(c.printed.partition(".")[2]) for c in cells), default=0))
    found = next((n for n in range(1, finest) if all(_whole(c, n) for c in cells)), finest)
    return found if found > finest / 10 else None


def grim(row: Row) -> list[Flag]:
    """Granularity-related inconsistency of means (Brown and Heathers 2017), applied to recalls."""
    cells = [c for _, c in row.recalls]
    if row.is_random or not cells or not row.queries or possible_queries(row):
        return []
    odd = [c for c in cells if not any(_whole(c, n) for n in row.queries)] or cells
    asked = f"no multiple of 1/{row.queries[0]}"
    if len(row.queries) > 1:
        asked = f"together whole on no number of queries from {row.queries[0]} to {row.queries[-1]}"
    return [Flag(kind="grim", metrics=tuple(c.metric for c in odd), text=f"{_list(odd)}: {asked}")]


def monotone(row: Row) -> list[Flag]:
    """Recall@K must not fall as K grows."""
    return [
        Flag(kind="monotone", metrics=(a.metric, b.metric), text=f"R@{k} {a.printed} is above R@{j} {b.printed}")
        for (k, a), (j, b) in pairwise(row.recalls)
        if a.value > b.value
    ]


def chance(row: Row) -> list[Flag]:
    """Recalls whose hits a random ranking of the pool reaches with a probability of at least ALPHA."""
    if row.is_random or not row.pool:
        return []
    low = [c for k, c in row.recalls if tail(round(c.value / 100 * row.pool), row.pool, k / row.pool) >= ALPHA]
    if not low:
        return []
    expected = ", ".join(f"{min(100.0, 100 * (c.cutoff or 0) / row.pool):.2g}" for c in low)
    return [Flag(kind="chance", metrics=tuple(c.metric for c in low), text=f"{_list(low)}; chance is {expected}")]


def tail(hits: int, queries: int, share: float) -> float:
    """P(X >= hits) for X binomial(queries, share), exact. Summed from `hits` away from the mean until nothing is added, so that
    it takes no longer than the square root of the queries."""
    if hits <= 0 or share >= 1:
        return 1.0
    above = hits > share * queries
    log = math.lgamma(queries + 1), math.log(share), math.log1p(-share)
    total = 0.0
    for h in range(hits, queries + 1) if above else range(hits - 1, -1, -1):
        term = math.exp(log[0] - math.lgamma(h + 1) - math.lgamma(queries - h + 1) + h * log[1] + (queries - h) * log[2])
        if total + term == total:
            break
        total += term
    return min(1.0, total) if above else max(0.0, 1.0 - total)


def contradicts(median_rank: float, cutoff: int, recall: float, slack: float) -> str:
    """'below' or 'above' where a recall in percent, give or take slack, contradicts the median rank; '' where it does not.

    At least half of the queries rank at the median or better; where more than half rank within K, so does the median.
    """
    if median_rank <= cutoff and recall + slack < 50:
        return "below"
    return "above" if median_rank > cutoff and recall - slack > 50 else ""


def median(row: Row) -> list[Flag]:
    """MedR <= K exactly when R@K >= 50 %, with the rounding of the recall allowed for."""
    found = row.cells.get("median_rank")
    if found is None:
        return []
    sides = [(k, c, contradicts(found.value, k, c.value, c.half_unit)) for k, c in row.recalls]
    return [
        Flag(
            kind="median",
            metrics=("median_rank", c.metric),
            text=f"MedR {found.printed}, yet R@{k} is {c.printed}, {side} one half",
        )
        for k, c, side in sides
        if side
    ]


def bounds(row: Row) -> list[Flag]:
    """Mean rank and MRR must lie between what the recalls allow: all hits of a bracket at its first rank, or all at its last."""
    if not row.recalls:
        return []
    flags = []
    for metric, gain in (("mean_rank", lambda rank: rank), ("mrr", lambda rank: 1 / rank)):
        found = row.cells.get(metric)
        if found is None:
            continue
        ends = [_sum(row, gain, first, side) for first, side in ((True, 1), (False, -1))]
        low, high = min(ends), max(ends)
        if not low - found.half_unit - 1e-9 <= found.value <= high + found.half_unit + 1e-9:
            span = f"{low:.4g} to {high:.4g}" if high < math.inf else f"at least {low:.4g}"
            flags.append(Flag(kind="bounds", metrics=(metric,), text=f"{metric} {found.printed}, yet its recalls allow {span}"))
    return flags


def _sum(row: Row, gain: Callable[[float], float], first: bool, side: int) -> float:
    """Mean of gain(rank) with the hits of each bracket at its first or last rank, the recalls moved by their rounding."""
    total, done, before = 0.0, 0.0, 0
    for k, c in row.recalls:
        share = min(100.0, max(done, c.value + side * c.half_unit))
        total += (share - done) / 100 * gain(before + 1 if first else k)
        done, before = share, k
    last = before + 1 if first else (row.pool or math.inf)
    return total + ((100 - done) / 100 * gain(last) if done < 100 else 0.0)


def brackets(row: Row) -> list[tuple[int, int, float]]:
    """(first rank, last rank, share of queries in between) from the recalls and the median rank, by growing rank."""
    points = {k: c.value / 100 for k, c in row.recalls}
    found = row.cells.get("median_rank")
    if found is not None and points and not median(row):
        points.setdefault(int(found.value), 0.5)
    edges = [(0, 0.0), *sorted(points.items())]
    return [(a + 1, b, q - p) for (a, p), (b, q) in pairwise(edges)]


def rising(row: Row) -> list[Flag]:
    """Neighbouring brackets in which the hits per rank rise by more than SIGMAS standard errors: the mass must be concave."""
    if row.pool is None or not row.recalls:
        return []
    flags = []
    for (a, b, p), (c, d, q) in pairwise(brackets(row)):
        upper, lower = p / (b - a + 1), q / (d - c + 1)
        least = 1 / row.pool
        error = math.sqrt(max(p, least) / row.pool / (b - a + 1) ** 2 + max(q, least) / row.pool / (d - c + 1) ** 2)
        if lower - upper > SIGMAS * error:
            text = f"{100 * upper:.2f} % of the queries a rank on {span(a, b)}, {100 * lower:.2f} % on {span(c, d)}"
            flags.append(Flag(kind="rising", metrics=(), text=text))
    return flags


def span(first: int, last: int) -> str:
    """'rank 3' or 'ranks 3 to 7'."""
    return f"rank {first}" if first == last else f"ranks {first} to {last}"


def edge(row: Row) -> list[Flag]:
    """Nearly all hits inside the largest K, spread almost evenly, and nearly none beyond: ours, after the audit of TIVM."""
    spans, last = brackets(row), row.recalls[-1:]
    if len(spans) < 3 or not last or not row.pool:
        return []
    k, c = last[0]
    first_rate, last_rate = spans[0][2], spans[-1][2] / (spans[-1][1] - spans[-1][0] + 1)
    beyond = (1 - c.value / 100) / max(1, row.pool - k)
    if c.value < 90 or last_rate < first_rate / 2 or beyond > last_rate / 50:
        return []
    text = (
        f"{100 * first_rate:.2f} % of the queries at rank 1, still {100 * last_rate:.2f} % a rank near rank {k}, "
        f"then {100 * beyond:.4f} %: about {100 * k / c.value:.0f} places, evenly filled"
    )
    return [Flag(kind="edge", metrics=(c.metric,), text=text)]


def anchor(row: Row) -> list[Flag]:
    """A printed row of random ranking against K / N, N chosen to fit most of its cells."""
    if not row.is_random or len(row.recalls) < 3 or not row.queries:
        return []
    fits = {n: [c for k, c in row.recalls if abs(100 * k / n - c.value) <= c.half_unit + 1e-9] for n in row.queries}
    most = max(len(found) for found in fits.values())
    best = [n for n, found in fits.items() if len(found) == most]
    pool, middle = f"a pool of {best[0]} to {best[-1]}", best[len(best) // 2]
    return [
        Flag(
            kind="anchor",
            metrics=(c.metric,),
            text=f"R@{k} {c.printed}; the other cells fit {pool}, where it is {100 * k / middle:.2f}",
        )
        for k, c in row.recalls
        if c not in fits[best[0]]
    ]


def one_set(row: Row, rows: Sequence[Row]) -> list[Flag]:
    """Rows that are whole by themselves, for numbers of queries that the other rows of the table do not share."""
    mine = possible_queries(row)
    if row.is_random or not mine or len(mine) > MANY_FITS:
        return []
    sets = [set(possible_queries(r)) for r in rows if not r.is_random]
    if set.intersection(*(found for found in sets if found), set(mine)):
        return []
    return [Flag(kind="one_set", metrics=(), text=f"whole only on {_numbers(mine)} queries")]


def _numbers(found: list[int]) -> str:
    return ", ".join(map(str, found[:3])) + (f" and {len(found) - 3} other numbers of" if len(found) > 3 else "")


def repeat(row: Row, rows: Sequence[Row]) -> list[Flag]:
    """Another row of the table with the same figures in at least three recalls, all above chance."""
    mine = {c.metric: c.printed for _, c in row.recalls}
    if len(mine) < 3 or chance(row):
        return []
    return [
        Flag(kind="repeat", metrics=tuple(mine), text=f"equal to {other.name} in every recall")
        for other in rows
        if other is not row and {c.metric: c.printed for _, c in other.recalls} == mine
    ]


def _list(cells: Iterable[Cell]) -> str:
    return ", ".join(f"R@{c.cutoff} {c.printed}" for c in cells)


OF_A_ROW: tuple[Callable[[Row], list[Flag]], ...] = (grim, monotone, chance, median, bounds, rising, edge, anchor)
OF_A_TABLE: tuple[Callable[[Row, Sequence[Row]], list[Flag]], ...] = (repeat, one_set)


def flags(row: Row, rows: Sequence[Row]) -> list[Flag]:
    """What all tests say of a row among the rows of its table, itself among them."""
    return [flag for test in OF_A_ROW for flag in test(row)] + [flag for test in OF_A_TABLE for flag in test(row, rows)]


def cannot(row: Row) -> dict[str, str]:
    """The tests that have nothing to look at in this row: their names, and what is missing."""
    num, names = len(row.recalls), set(row.cells)
    found = dict.fromkeys((t.__name__ for t in (grim, chance, rising, edge, anchor, one_set) if not row.pool), "no pool size")
    least = {"grim": 1, "monotone": 2, "chance": 1, "rising": 2, "edge": 3, "anchor": 3, "repeat": 3, "one_set": 1}
    found |= {name: f"fewer than {number} recalls" for name, number in least.items() if num < number}
    found |= {} if "median_rank" in names and num else {"median": "no median rank beside a recall"}
    found |= {} if names & {"mean_rank", "mrr"} and num else {"bounds": "no mean rank or MRR beside a recall"}
    asked_of_random = dict.fromkeys(("grim", "chance", "one_set"), "a row of random ranking")
    return found | (asked_of_random if row.is_random else {"anchor": "no row of random ranking"})
