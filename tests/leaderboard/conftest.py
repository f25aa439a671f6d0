"""A run folder as the other rooms leave it: chance, three baselines with three seeds and a control, ranked both ways."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from benchmarks.compare import Standing
from svmbench.records import DIRECTIONS, M2V, V2M, Box, Clip, Drop, Post, Score, Split, to_table
from svmbench.store import RunFolder

CUTOFFS = (1, 5, 10, 25, 50)
SYSTEMS = {  # baseline, variant: how much signal, seeds, parameters, seconds
    ("chance", "expected"): (0.0, 1, 0, 0.01),
    ("cca", "default"): (0.9, 1, 70_000, 0.8),
    ("vm_net", "hong"): (1.3, 3, 8_110_080, 64.0),
    ("mvbind", "default"): (1.9, 3, 1_314_304, 21.5),
    ("mvbind", "shuffled"): (0.0, 3, 1_314_304, 21.9),
}
TESTS = [
    {"split": "test", "direction": direction, "metric": "recall@10", "kind": kind, "first": first, "second": second,
     "difference": difference, "p": p, "p_holm": 2 * p, "num_queries": 192, "num_songs": 88}
    for direction in DIRECTIONS
    for kind, first, second, difference, p in [
        ("pair", "mvbind default", "vm_net hong", 0.189, 0.0004), ("chance", "cca default", "chance (exact)", 0.235, 0.0001),
        ("control", "mvbind shuffled", "chance (exact)", 0.009, 0.4),
    ]
]  # fmt: skip


def ranks_of(signal: float, queries: int, gallery: int, rng: np.random.Generator) -> np.ndarray:
    """How many wrong candidates stand before the right one, for a scorer that sees `signal` standard deviations of the truth."""
    right = rng.normal(signal, 1.0, queries)
    return (rng.normal(0.0, 1.0, (queries, gallery - 1)) > right[:, None]).sum(axis=1)


def scores_of(better: np.ndarray, tied: np.ndarray, **common: object) -> list[Score]:
    """Scores with intervals from a plain bootstrap over queries."""
    rng, rank = np.random.default_rng(0), better + tied / 2 + 1
    found = {f"recall@{k}": np.clip((k - better) / (tied + 1), 0, 1) for k in CUTOFFS}
    draws = rng.integers(0, len(rank), (200, len(rank)))
    rows = [(m, v.mean(), np.percentile(v[draws].mean(axis=1), [2.5, 97.5])) for m, v in found.items()]
    rows.append(("median_rank", np.median(rank), np.percentile(np.median(rank[draws], axis=1), [2.5, 97.5])))
    rows.append(("mean_rank", rank.mean(), np.percentile(rank[draws].mean(axis=1), [2.5, 97.5])))
    rows.append(("mrr", (1 / rank).mean(), np.percentile((1 / rank)[draws].mean(axis=1), [2.5, 97.5])))
    return [Score(metric=m, value=float(v), ci95=(float(c[0]), float(c[1])), **common) for m, v, c in rows]  # type: ignore[arg-type]


def scored(revision: str) -> pa.Table:
    """The jobs behind the scores."""
    rows = [
        {"key": f"{baseline} {variant} {seed}", "revision": revision, "split": "test"}
        for (baseline, variant), (_, seeds, _, _) in SYSTEMS.items()
        for seed in range(seeds)
    ]
    return pa.Table.from_pylist(rows)


def kind_of(baseline: str, variant: str) -> str:
    return "chance" if baseline == "chance" else "control" if "shuffled" in variant else "measured"


def fill_scores(
    run: RunFolder, *, dataset: str = "demo", revision: str = "3f9c2a71d0be44aa", checks: tuple[str, ...] = ()
) -> list[Score]:
    """Commits scores and ranks; `checks` are failed by the cca rows."""
    sizes = {V2M: (192, 88), M2V: (88, 192)}
    scores, ranks = [], []
    for (baseline, variant), (signal, seeds, params, wall_s) in SYSTEMS.items():
        for direction, (queries, gallery) in sizes.items():
            for seed in range(seeds):
                rng = np.random.default_rng([len(baseline), len(variant), seed, direction == V2M])
                better = ranks_of(signal, queries, gallery, rng) if baseline != "chance" else np.zeros(queries, int)
                tied = np.full(queries, gallery - 1 if baseline == "chance" else 0)
                scores += scores_of(
                    better, tied, kind=kind_of(baseline, variant), dataset=dataset, revision=revision, split="test",
                    direction=direction, gallery_size=gallery,
                    num_queries=queries, baseline=baseline, variant=variant, settings_hash="a1b2c3", seed=seed, num_params=params,
                    commit="0f1e2d3c4b5a", device="cpu", wall_s=wall_s, checks=checks if baseline == "cca" else (),
                )  # fmt: skip
                ranks += [
                    {"key": f"{baseline} {variant} {seed}", "baseline": baseline, "variant": variant, "seed": seed, "fold": None,
                     "direction": direction, "query_id": f"v:{q}", "song_id": f"m:{q % 88}", "better": int(b), "tied": int(t),
                     "tied_right": 1, "num_candidates": gallery}
                    for q, (b, t) in enumerate(zip(better, tied, strict=True))
                ]  # fmt: skip
    with run.writing("bench") as writer:
        tables = {"scores": to_table(Score, scores), "ranks": pa.Table.from_pylist(ranks)}
        writer.commit(["all"], tables | {"scored": scored(revision), "tests": pa.Table.from_pylist(TESTS)})
    return scores


def fill_dataset(run: RunFolder) -> None:
    """Commits posts, drops, clips and a split, and writes settings with a history."""
    rng = np.random.default_rng(1)
    posts = [
        Post(platform="tiktok", post_id=str(i), url=f"https://example.invalid/{i}", words=("dance",), caption=f"clip {i}",
             hashtags=(), likes=20_000, likes_exact=True, track_id=str(i % 100), track_title="song", track_original=False,
             duration_s=12.0, posted_at=None, fetched_at=None, sha256=None, author_hash=None)
        for i in range(220)
    ]  # fmt: skip
    reasons = [
        ("search", "rule", "likes_below_min", 61),
        ("fetch", "failure", "private", 4),
        ("fetch", "failure", "throttled", 2),
    ]
    late = [("curate", "rule", "no_audio", 6), ("curate", "rule", "speech", 14), ("curate", "failure", "unreadable", 3)]
    drops = [Drop(id=f"tiktok:x{s}{r}{i}", stage=s, kind=k, reason=r) for s, k, r, n in reasons for i in range(n)]
    refused = [(stage, kind, reason) for stage, kind, reason, number in late for _ in range(number)]
    drops += [Drop(id=f"tiktok:{192 + i}", stage=s, kind=k, reason=r) for i, (s, k, r) in enumerate(refused)]
    lengths = rng.uniform(8, 15, 192)
    clips = [
        Clip(clip_id=f"tiktok-{i}-0", post_id=str(i), song_id=f"tiktok:{i % 88}", start_s=0.0, end_s=float(lengths[i]), fps=30.0,
             width_px=576, height_px=1024, box=Box(left_px=0, top_px=0, width_px=576, height_px=1024), media="0" * 64,
             measures={"speech_share": float(rng.random() / 3), "flow_px": float(rng.gamma(2.0, 2.0))})
        for i in range(192)
    ]  # fmt: skip
    names = [c.clip_id for c in clips]
    parts = {"train": names[:96], "val": names[96:116], "test": names[116:]}
    splits = [Split(name=name, clip_ids=tuple(ids), grouped_by="song") for name, ids in parts.items()]
    with run.writing("crawl") as writer:
        writer.commit([], {"posts": to_table(Post, posts), "drops": to_table(Drop, drops)})
    with run.writing("curate") as writer:
        writer.commit([], {"clips": to_table(Clip, clips)})
    with run.writing("split") as writer:
        writer.commit([], {"splits": to_table(Split, splits)})
    run.write_settings(
        {
            "recipe": {"name": "demo", "about": "Composed short videos on the embedded platform."},
            "svmbench": {"commit": "0f1e2d3c4b5a", "versions": {"svmbench": "0.1.0", "torch": "2.13.0"}, "machine": {"cores": 2}},
            "history": [
                {"at": "2026-11-21T10:00:00Z", "command": "svmbench crawl demo --out demo", "commit": "0f1e2d3c4b5a"},
                {"at": "2026-11-21T10:05:00Z", "command": "svmbench run-baselines demo", "commit": "0f1e2d3c4b5a"},
            ],
        }
    )


@dataclass
class Node:
    """An element of a parsed page: attributes, children and text."""

    tag: str
    attrs: dict[str, str | None]
    children: list[Node | str] = field(default_factory=list)

    def text(self) -> str:
        """All text inside, white space collapsed."""
        return " ".join("".join(_words(c) for c in self.children).split())

    def all(self, tag: str, cls: str | None = None) -> list[Node]:
        """Elements below with this tag and class, in document order."""
        found = []
        for child in self.children:
            if isinstance(child, Node):
                if child.tag == tag and (cls is None or cls in (child.attrs.get("class") or "").split()):
                    found.append(child)
                found += child.all(tag, cls)
        return found

    def with_id(self, name: str) -> Node:
        return next(n for t in ("section", "dt", "h2", "h3") for n in self.all(t) if n.attrs.get("id") == name)


def _words(child: Node | str) -> str:
    """The text of a child; a place where a word may be broken is no space."""
    return child if isinstance(child, str) else "" if child.tag == "wbr" else f" {child.text()} "


class _Tree(HTMLParser):
    VOID = ("meta", "input", "br", "wbr", "line", "circle", "rect", "polyline")

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.open = [Node("root", {})]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        node = Node(tag, dict(attrs))
        self.open[-1].children.append(node)
        if tag not in self.VOID:
            self.open.append(node)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.open[-1].children.append(Node(tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert tag in self.VOID or self.open.pop().tag == tag, f"</{tag}> closes nothing"

    def handle_data(self, data: str) -> None:
        self.open[-1].children.append(data)


@pytest.fixture
def parse() -> Callable[[Path], Node]:
    """Parses a page strictly enough to notice an element that is not closed."""

    def parsed(path: Path) -> Node:
        tree = _Tree()
        tree.feed(path.read_text(encoding="utf-8"))
        assert len(tree.open) == 1, f"never closed: {[n.tag for n in tree.open[1:]]}"
        return tree.open[0]

    return parsed


@pytest.fixture
def score() -> Callable[..., Score]:
    """A score; every field can be given."""
    base: dict[str, object] = {
        "dataset": "demo", "revision": "r1", "split": "test", "direction": V2M, "gallery_size": 88, "num_queries": 192,
        "kind": "measured", "baseline": "mvbind", "variant": "default", "settings_hash": "s", "seed": 0, "metric": "recall@10",
        "value": 0.5, "ci95": (0.4, 0.6), "checks": (), "num_params": 10, "commit": "c", "device": "cpu", "wall_s": 1.0,
    }  # fmt: skip
    return lambda **values: Score(**{**base, **values})  # type: ignore[arg-type]


@pytest.fixture
def make_run(tmp_path: Path) -> Callable[..., RunFolder]:
    """make_run(name, scores): a run folder that holds these scores and nothing else."""

    def made(name: str, scores: list[Score]) -> RunFolder:
        run = RunFolder.create(tmp_path / name)
        with run.writing("bench") as writer:
            writer.commit(["all"], {"scores": to_table(Score, scores)})
        return run

    return made


@pytest.fixture
def standing() -> Callable[..., None]:
    """standing(run, [(name, tier, anchor, p_holm, reason), ...]): commits the run's table of tiers, both directions alike."""

    def commit(run: RunFolder, rows: list[tuple[str, int | None, str | None, float | None, str]], split: str = "test") -> None:
        found = [
            Standing(split, direction, metric, name, 0.5, tier if metric == "recall@10" else 9, anchor, p_holm, reason)
            for name, tier, anchor, p_holm, reason in rows
            for direction in DIRECTIONS
            for metric in ("recall@10", "mean_rank")
        ]
        with run.writing("compare") as writer:
            writer.replace(["tests"], {"tiers": to_table(Standing, found)})

    return commit


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    """A full run: dataset tables, settings, scores and ranks."""
    made = RunFolder.create(tmp_path / "demo-run")
    fill_dataset(made)
    fill_scores(made, checks=("batch_invariance",))
    return made
