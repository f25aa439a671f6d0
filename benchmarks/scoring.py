"""The scores of one list of ranks: every metric with its interval, its bounds under ties, its chance value, and smaller pools.

What is written into a record and what `svmbench results check` computes anew is this one function, so they can only agree.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks import pools, stats
from benchmarks.ranking import Ranks
from svmbench import plugins

METRIC_SPEC = "1"  # counted up whenever a metric, the ties or the bootstrap mean something else; no table mixes two of them
POOLS = (500, 1000, 2000)  # MVBind; between; CMMixer and MVPt
HEADLINE = ("recall@10", "median_rank")  # ours: the cells for which seeds and songs are combined into one interval


def cells() -> Iterator[tuple[str, Any, tuple[int, ...]]]:
    """Every cell of a score table: label such as 'recall@10', the metric's module, and its further arguments."""
    for name in plugins.names("benchmarks.metrics"):
        module = plugins.load("benchmarks.metrics", name)
        cutoffs = getattr(module, "CUTOFFS", ())
        yield from ((f"{name}@{k}", module, (k,)) for k in cutoffs) if cutoffs else ((name, module, ()),)


def cell(label: str) -> tuple[Any, tuple[int, ...]]:
    """The metric's module and further arguments of a label; UnknownName where there is no such metric."""
    name, _, cutoff = label.partition("@")
    return plugins.load("benchmarks.metrics", name), (int(cutoff),) if cutoff else ()


def scores(ranks: Ranks, songs_Q: npt.NDArray[np.str_], *, replicates: int = stats.REPLICATES, seed: int = 0) -> dict[str, Any]:
    """All that a record says about one direction; docs/results.md names every key. replicates, seed: of the bootstrap."""
    best, worst, chance = ranks.optimistic_ranks(), ranks.pessimistic_ranks(), ranks.chance()
    metrics = {}
    for label, module, more in cells():
        interval = stats.song_bootstrap(
            module.values(ranks, *more), songs_Q, aggregate=module.AGGREGATE, replicates=replicates, seed=seed
        )
        metrics[label] = {
            "value": float(module.score(ranks, *more)), "ci95": None if interval is None else list(interval),
            "optimistic": float(module.score(best, *more)), "pessimistic": float(module.score(worst, *more)),
            "chance": float(module.score(chance, *more)),
        }  # fmt: skip
    return {
        "num_queries": len(ranks), "num_songs": len(np.unique(songs_Q)),
        "gallery_size": round(float(np.mean(ranks.num_candidates))), "tied_fraction": ranks.tied_share(),
        "metrics": metrics, "pools": {str(size): _pool(ranks, size) for size in POOLS if pools.can_draw(ranks, size)},
    }  # fmt: skip


def _pool(ranks: Ranks, size: int) -> dict[str, float]:
    """Exact expectations in random pools of one size, for the metrics that papers print."""
    mass = pools.rank_mass(ranks, size)
    cutoffs = plugins.load("benchmarks.metrics", "recall").CUTOFFS
    recalls = {f"recall@{k}": float(mass[:k].sum()) for k in cutoffs}
    return recalls | {"median_rank": pools.median_of(mass)}
