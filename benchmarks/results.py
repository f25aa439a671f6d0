"""From ranks to scores. Scores and tests are derived: they are computed anew from the committed ranks whenever something is
added.

Only results of the current data revision count, and of each (split, baseline, variant) those of the newest version of settings
and code that has a complete set of folds, so a table never mixes revisions, settings or code within one row. The table `scored`
says which jobs that were.
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from benchmarks import stats
from benchmarks.ranking import Ranks
from svmbench import plugins
from svmbench.records import DIRECTIONS, Score, from_table, to_table
from svmbench.store import RunFolder

COUNTS = tuple(f.name for f in fields(Ranks))
RANKS_SCHEMA = pa.schema(
    [("key", pa.string()), ("baseline", pa.string()), ("variant", pa.string()), ("seed", pa.int64()), ("fold", pa.int64())]
    + [("direction", pa.string()), ("query_id", pa.string()), ("song_id", pa.string())]
    + [(name, pa.int64()) for name in COUNTS]
)
JOBS_SCHEMA = pa.schema(
    [(name, pa.string()) for name in ("key", "dataset", "revision", "split", "baseline", "variant", "settings_hash", "settings")]
    + [("seed", pa.int64()), ("folds", pa.int64()), ("fold", pa.int64()), ("code", pa.string()), ("commit", pa.string())]
    + [("checks", pa.list_(pa.string())), ("findings", pa.list_(pa.string())), ("device", pa.string()), ("gpu", pa.string())]
    + [("num_params", pa.int64()), ("wall_s", pa.float64()), ("started", pa.string()), ("train_s", pa.float64())]
    + [("eval_s", pa.float64()), ("num_train", pa.int64()), ("epochs", pa.int64()), ("chosen_epoch", pa.int64())]
    + [("chosen_by", pa.string()), ("losses", pa.list_(pa.float64())), ("val", pa.list_(pa.float64()))]
    + [("checkpoint", pa.string()), ("checkpoint_sha256", pa.string()), ("peak_gpu_mb", pa.float64()), ("hardware", pa.string())]
)  # one row a fit; hardware: canonical JSON; checkpoint: path below the run folder; what a closed form lacks is null
TESTED = (("recall", 10), ("mean_rank", None))  # metrics of the paired tests; ours
SCORED_SCHEMA = pa.schema([JOBS_SCHEMA.field(name) for name in ("key", "revision", "split")])
CHANCE = "chance (exact)"


@dataclass(frozen=True)
class Comparison:
    """One paired test. first and second are 'baseline variant'; difference is first - second of the metric, p is two-sided.

    Averages over seeds are compared, query by query, with signs flipped song by song. p_holm is adjusted for all tests of the
    same split, direction, metric and kind ('chance': against the exact chance value; 'control': a shuffled or knowing-nothing row
    against it; 'pair': two baselines). On mean_rank the test against chance is exact where a query has one positive: under chance
    the rank is uniform, so its distance from the middle has a random sign. On recall it holds for many songs.
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
class Result:
    """All folds of one baseline, variant and seed: job records, and per direction the queries in order of id with ranks."""

    jobs: list[dict[str, Any]]
    queries: dict[str, npt.NDArray[np.str_]]
    songs: dict[str, npt.NDArray[np.str_]]
    ranks: dict[str, Ranks]

    @property
    def name(self) -> str:
        return f"{self.jobs[0]['baseline']} {self.jobs[0]['variant']}"


def write(run: RunFolder, revision: str) -> None:
    """Replaces the tables scores, scored and tests by what the committed ranks of this revision say."""
    found = read(run, revision)
    used = [{name: job[name] for name in SCORED_SCHEMA.names} for result in found for job in result.jobs]
    with run.writing("score") as writer:
        rows = to_table(Score, [row for result in found for row in scores(result)])
        writer.replace(["scores"], {"scores": rows, "scored": pa.Table.from_pylist(used, schema=SCORED_SCHEMA)})
    with run.writing("compare") as writer:
        writer.replace(["tests"], {"tests": to_table(Comparison, _compare(found))})


def read(run: RunFolder, revision: str) -> list[Result]:
    """The complete results of the newest version of each split, baseline and variant: one a seed."""
    jobs, ranks = run.read_table("jobs"), run.read_table("ranks")
    if jobs is None or ranks is None:
        return []
    by_row: dict[tuple[str, ...], dict[tuple[str, ...], dict[int, list[dict[str, Any]]]]] = defaultdict(dict)
    for job in jobs.to_pylist():
        if job["revision"] == revision:
            versions = by_row[job["split"], job["baseline"], job["variant"]]
            version = (job["settings_hash"], job["code"])
            versions[version] = versions.pop(version, {})  # the newest stands last
            versions[version].setdefault(job["seed"], []).append(job)
    chosen: list[list[dict[str, Any]]] = []
    for versions in by_row.values():
        complete = [[fits for fits in seeds.values() if len(fits) == (fits[0]["folds"] or 1)] for seeds in versions.values()]
        chosen += next((results for results in reversed(complete) if results), [])
    columns = {name: ranks[name].to_numpy(zero_copy_only=False) for name in RANKS_SCHEMA.names if name not in ("seed", "fold")}
    order = np.argsort(columns["key"].astype(str), kind="stable")
    keys = columns["key"].astype(str)[order]
    return [_result(group, columns, order, keys) for group in chosen]


def _result(jobs: list[dict[str, Any]], columns: dict[str, np.ndarray], order: np.ndarray, keys: np.ndarray) -> Result:
    rows = np.concatenate([order[slice(*np.searchsorted(keys, [j["key"], j["key"] + "~"]))] for j in jobs])
    queries, songs, ranks = {}, {}, {}
    for direction in DIRECTIONS:
        own = rows[columns["direction"][rows] == direction]
        own = own[np.argsort(columns["query_id"][own].astype(str), kind="stable")]
        queries[direction], songs[direction] = columns["query_id"][own].astype(str), columns["song_id"][own].astype(str)
        ranks[direction] = Ranks(*(columns[name][own].astype(np.int64) for name in COUNTS))
    return Result(jobs, queries, songs, ranks)


def cells() -> Iterator[tuple[str, Any, tuple[int, ...]]]:
    """Every cell of a score table: label such as 'recall@10', the metric's module, and its further arguments."""
    for name in plugins.names("benchmarks.metrics"):
        module = plugins.load("benchmarks.metrics", name)
        cutoffs = getattr(module, "CUTOFFS", ())
        yield from ((f"{name}@{k}", module, (k,)) for k in cutoffs) if cutoffs else ((name, module, ()),)


def scores(result: Result) -> list[Score]:
    """All cells of one result, with 95 % intervals over songs. Pooled folds: each query counts once, ranked in its own fold."""
    first, rows = result.jobs[0], []
    same = {name: first[name] for name in ("dataset", "revision", "split", "baseline", "variant", "settings_hash", "seed")}
    for direction, ranks in result.ranks.items():
        for label, module, arguments in cells():
            interval = stats.song_bootstrap(module.values(ranks, *arguments), result.songs[direction], aggregate=module.AGGREGATE)
            rows.append(
                Score(
                    **same, kind=kind(result), direction=direction, num_queries=len(ranks),
                    gallery_size=round(float(np.mean(ranks.num_candidates))),
                    metric=label, value=module.score(ranks, *arguments), ci95=interval,
                    checks=tuple(sorted({c for job in result.jobs for c in job["checks"]})), num_params=first["num_params"],
                    commit=first["commit"], device=first["device"], wall_s=sum(job["wall_s"] for job in result.jobs),
                )
            )  # fmt: skip
    return rows


def comparisons(run: RunFolder) -> list[Comparison]:
    """The paired tests as last written."""
    table = run.read_table("tests")
    return [] if table is None else from_table(Comparison, table)


def _compare(found: list[Result]) -> list[Comparison]:
    """All tests, adjusted family by family."""
    rows: list[Comparison] = []
    for split in sorted({r.jobs[0]["split"] for r in found}):
        for direction, (name, cutoff) in itertools.product(DIRECTIONS, TESTED):
            by_name: dict[str, list[Result]] = defaultdict(list)
            for result in found:
                if result.jobs[0]["split"] == split:
                    by_name[result.name].append(result)
            rows += _family(by_name, split, direction, name, cutoff)
    families = defaultdict(list)
    for row in rows:
        families[row.split, row.direction, row.metric, row.kind].append(row)
    adjusted = []
    for family in families.values():
        for row, p_holm in zip(family, stats.holm([r.p for r in family]), strict=True):
            adjusted.append(Comparison(**{**asdict(row), "p_holm": p_holm}))
    return adjusted


def _family(
    by_name: dict[str, list[Result]], split: str, direction: str, metric: str, cutoff: int | None
) -> Iterator[Comparison]:
    """The tests of one split, direction and metric, not yet adjusted."""
    module = plugins.load("benchmarks.metrics", metric)
    arguments = () if cutoff is None else (cutoff,)
    label = metric if cutoff is None else f"{metric}@{cutoff}"
    values = {name: np.mean([module.values(r.ranks[direction], *arguments) for r in rs], axis=0) for name, rs in by_name.items()}
    control = {name: kind(rs[0]) != "measured" for name, rs in by_name.items()}

    def test(family: str, first: str, second: str, other: npt.NDArray[np.float64]) -> Comparison:
        songs = by_name[first][0].songs[direction]
        difference = float(np.mean(values[first] - other))
        p = stats.paired_permutation(values[first], other, songs)
        return Comparison(split, direction, label, family, first, second, difference, p, p, len(songs), len(set(songs.tolist())))

    for name, results in sorted(by_name.items()):
        if name != "chance expected":
            chance = module.values(results[0].ranks[direction].chance(), *arguments)
            yield test("control" if control[name] else "chance", name, CHANCE, chance)
    for first, second in itertools.combinations(sorted(n for n in by_name if not control[n]), 2):
        yield test("pair", first, second, values[second])


def kind(result: Result) -> str:
    """Score.kind: 'chance', 'control' or 'measured'."""
    job = result.jobs[0]
    if job["baseline"] == "chance":
        return "chance"
    module = plugins.load("benchmarks.baselines", job["baseline"])
    return "control" if "shuffled" in job["variant"] or getattr(module, "CONTROL", False) else "measured"
