"""Which scores may stand in one table, and what a row of it says.

A table holds one dataset, revision, split, gallery and direction: recalls of another gallery size or another revision are other
quantities. A row is one baseline in one variant and one set of settings; its seeds are combined as their mean.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from statistics import fmean, stdev

from svmbench.errors import BadScores
from svmbench.records import V2M, Score

CHANCE, MEASURED, CONTROL = GROUPS = ("chance", "measured", "control")  # Score.kind
METRICS = (  # the page's columns; the csv and json have every metric
    "recall@1", "recall@5", "recall@10", "recall@25", "recall@50", "median_rank", "normalised_median_rank", "mrr", "map",
)  # fmt: skip
RANKS = {"median_rank", "mean_rank"}
LOWER_IS_BETTER = {*RANKS, "normalised_median_rank"}
HEADLINE = "recall@10"  # of charts and of the order of rows; ours


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """What all scores of a table have in common."""

    dataset: str
    revision: str
    split: str
    gallery_size: int
    num_queries: int
    direction: str


def named(baseline: str, variant: str) -> str:
    """Baseline, and the variant where it has one."""
    return baseline if variant in ("", "default", "expected") else f"{baseline} · {variant}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One metric of one row, over its seeds.

    value: mean over seeds. low, high: mean ends of the seeds' 95 % intervals, the noise of the choice of test songs.
    sd: standard deviation over seeds, None for one seed. mark: 'best', 'near' (its interval overlaps that of the best) or ''.
    """

    value: float | None
    low: float | None = None
    high: float | None = None
    sd: float | None = None
    mark: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tier:
    """Where the paired tests on Recall@10 put a row; 1 is best. None: in no tier, and `reason` says why.

    anchor: 'baseline variant' of the row that leads the tier. p_holm: of the test against it, None for the anchor itself.
    """

    number: int | None
    anchor: str | None = None
    p_holm: float | None = None
    reason: str = ""

    @property
    def leads(self) -> bool:
        """Whether this row is the anchor."""
        return self.number is not None and self.p_holm is None


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One line of a table. group: the Score.kind of its scores. wall_s: mean over seeds, seconds.

    checks: failed integrity checks of any seed. tier: None where no tiers were made.
    """

    group: str
    baseline: str
    variant: str
    settings_hash: str
    seeds: tuple[int, ...]
    cells: dict[str, Cell]
    num_params: int
    wall_s: float
    device: str
    commit: str
    checks: tuple[str, ...]
    tier: Tier | None = None

    @property
    def name(self) -> str:
        """As the page shows it."""
        return named(self.baseline, self.variant)


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """Rows that may be compared, chance first, then by falling Recall@10, controls last."""

    key: Key
    metrics: tuple[str, ...]
    rows: tuple[Row, ...]

    @property
    def columns(self) -> list[str]:
        """The metrics that a page has room for; all of them where none of those is there."""
        return [m for m in METRICS if m in self.metrics] or list(self.metrics)

    @property
    def tiered(self) -> bool:
        """Whether any row stands in a tier."""
        return any(row.tier is not None and row.tier.number is not None for row in self.rows)

    def group(self, name: str) -> list[Row]:
        return [row for row in self.rows if row.group == name]

    @property
    def chance(self) -> Row | None:
        """The row that the others are held against."""
        return next(iter(self.group(CHANCE)), None)


def tables(scores: Iterable[Score]) -> list[Table]:
    """All scores, in as many tables as they need; video to music first. BadScores: a value that cannot be one."""
    groups: dict[Key, list[Score]] = {}
    for score in scores:
        _check(score)
        key = Key(
            dataset=score.dataset, revision=score.revision, split=score.split, gallery_size=score.gallery_size,
            num_queries=score.num_queries, direction=score.direction,
        )  # fmt: skip
        groups.setdefault(key, []).append(score)
    order = sorted(groups, key=lambda k: (k.dataset, k.revision, k.split, k.direction != V2M, k.gallery_size, k.num_queries))
    return [_table(key, groups[key]) for key in order]


def _check(score: Score) -> None:
    numbers = [n for n in (score.value, *(score.ci95 or ())) if n is not None]
    name = f"{score.metric} of {score.baseline} (seed {score.seed})"
    if score.kind not in GROUPS:
        raise BadScores(f"{name} is of the kind {score.kind!r}; allowed: {', '.join(GROUPS)}; run that baseline again")
    if not all(math.isfinite(n) for n in numbers):
        raise BadScores(f"{name} is not a finite number; run that baseline again")
    if score.metric not in RANKS and not all(-1e-9 <= n <= 1 + 1e-9 for n in numbers):
        raise BadScores(f"{name} is {score.value}, but it is a share from 0 to 1; run that baseline again")


def _table(key: Key, scores: list[Score]) -> Table:
    by_row: dict[tuple[str, str, str, str], list[Score]] = {}
    for score in scores:
        by_row.setdefault((score.kind, score.baseline, score.variant, score.settings_hash), []).append(score)
    present = {score.metric for score in scores}
    metrics = (*(m for m in METRICS if m in present), *sorted(present - set(METRICS)))
    rows = [_row(group, found, metrics) for (group, *_), found in by_row.items()]
    rows.sort(key=_place)
    return Table(key=key, metrics=metrics, rows=tuple(_marked(rows, metrics)))


def _place(row: Row) -> tuple[int, float, str]:
    return GROUPS.index(row.group), -_headline(row), row.name


def _headline(row: Row) -> float:
    value = row.cells[HEADLINE].value if HEADLINE in row.cells else None
    return -1.0 if value is None else value


def _row(group: str, scores: list[Score], metrics: tuple[str, ...]) -> Row:
    first = scores[0]
    wall = {score.seed: score.wall_s for score in scores}
    return Row(
        group=group, baseline=first.baseline, variant=first.variant, settings_hash=first.settings_hash,
        seeds=tuple(sorted(wall)), num_params=first.num_params, wall_s=fmean(wall.values()),
        cells={metric: _cell([s for s in scores if s.metric == metric]) for metric in metrics},
        device=", ".join(sorted({s.device for s in scores})), commit=", ".join(sorted({s.commit for s in scores})),
        checks=tuple(sorted({check for s in scores for check in s.checks})),
    )  # fmt: skip


def _cell(scores: list[Score]) -> Cell:
    """Seeds combined; the same seed given twice (one run named twice) counts once, and must agree."""
    by_seed: dict[int, Score] = {}
    for score in scores:
        known = by_seed.setdefault(score.seed, score)
        if known.value != score.value:
            raise BadScores(
                f"{score.metric} of {score.baseline}, seed {score.seed}, is there twice: {known.value} and {score.value}; "
                "name only one of the two runs"
            )
    found = [s for s in by_seed.values() if s.value is not None]
    if not found:
        return Cell(value=None)
    values = [s.value for s in found if s.value is not None]
    ends = [s.ci95 for s in found if s.ci95 is not None]
    whole = len(ends) == len(found)
    return Cell(
        value=fmean(values),
        low=fmean(e[0] for e in ends) if whole else None,
        high=fmean(e[1] for e in ends) if whole else None,
        sd=stdev(values) if len(values) > 1 else None,
    )


def _marked(rows: list[Row], metrics: tuple[str, ...]) -> list[Row]:
    """Marks in each column the best measured row, and those that its interval cannot tell from it.

    No mark where the best one's interval includes chance, where intervals are missing, or where there is only one row.
    Rows with a failed integrity check are never marked.
    """
    marks: dict[tuple[int, str], str] = {}
    chance = next((row for row in rows if row.group == CHANCE), None)
    fair = [i for i, row in enumerate(rows) if row.group == MEASURED and not row.checks]
    for metric in metrics:
        sign = -1 if metric in LOWER_IS_BETTER else 1
        known = [(sign * v, i) for i in fair if (v := rows[i].cells[metric].value) is not None]
        if len(known) < 2:
            continue
        top = max(value for value, _ in known)
        best = [i for value, i in known if value == top]
        cell = rows[best[0]].cells[metric]
        if cell.low is None or cell.high is None or (chance and _reaches(cell, chance.cells[metric], sign)):
            continue
        for _, i in known:
            other = rows[i].cells[metric]
            if other.low is not None and other.high is not None and other.low <= cell.high and other.high >= cell.low:
                marks[i, metric] = "near"
        marks |= {(i, metric): "best" for i in best}
    return [_with_marks(row, {m: marks[i, m] for m in metrics if (i, m) in marks}) for i, row in enumerate(rows)]


def _reaches(best: Cell, chance: Cell, sign: int) -> bool:
    """Whether the interval of the best includes chance."""
    end = best.low if sign > 0 else best.high
    return end is None or chance.value is None or sign * end <= sign * chance.value


def _with_marks(row: Row, marks: dict[str, str]) -> Row:
    return replace(row, cells={metric: replace(cell, mark=marks.get(metric, "")) for metric, cell in row.cells.items()})
