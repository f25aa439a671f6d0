"""The matrix of fits, as plain data: baseline x variant x seed (x fold), each with the key that says all that it depends on.

The key is the sha256 of the canonical JSON of `Job.depends_on`. What only says how the work is done is not in it: number of GPUs,
which fits are made together, wall time, where the checkout lies.
"""

from __future__ import annotations

import ast
import hashlib
import itertools
import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, is_dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch

import benchmarks
from benchmarks import data, own_model
from benchmarks.live import span
from benchmarks.own_model import Own
from benchmarks.pools import Pool
from benchmarks.scoring import METRIC_SPEC
from svmbench import plugins
from svmbench.errors import BadInput, BadSettings, UnknownName
from svmbench.provenance import commit
from svmbench.settings import build, settings_hash

BASELINES = "benchmarks.baselines"
ROOT = Path(benchmarks.__file__ or "").parent.parent
# A fit depends on these files and on all of benchmarks/ that they import. The ground floor is not among them: what it decides
# of a fit (rows, groups, checked settings) is in the data revision and in the settings. The worker comes without its imports, as
# it also imports what is derived from ranks later.
FIT = ("benchmarks/data.py", "benchmarks/ranking.py", "benchmarks/towers.py", "benchmarks/checks/*.py")
WORKER = ("benchmarks/worker.py", "benchmarks/fitting.py", "benchmarks/memory.py", "benchmarks/rows.py")


@dataclass(frozen=True)
class Job:
    """One fit. depends_on: what the key is made of. fold is None for the run's own split. `shuffled` trains on pairs that do not
    belong together. own: the user's model, where it is no baseline. pool: the
    songs to which the test part is cut down.

    settings_scored, commit, first: not in the key. `first` is the fit of a variant for which the checks that fit again are made.
    """

    depends_on: Mapping[str, Any]
    baseline: str
    variant: str
    settings: Any
    seed: int
    folds: int | None
    fold: int | None
    shuffled: bool
    first: bool
    settings_scored: frozenset[str]
    own: Own | None = None
    pool: Pool | None = None
    commit: str = field(default_factory=commit)  # of the checkout

    @property
    def key(self) -> str:
        canonical = json.dumps(self.depends_on, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(canonical.encode()).hexdigest()[:24]

    @property
    def split(self) -> str:
        return split_name(self.folds, self.pool)

    @property
    def title(self) -> str:
        """For people, e.g. 'mvbind default, seed 3, fold 1'."""
        return title((self,))

    @property
    def code(self) -> str:
        return str(self.depends_on["code"])

    def module(self) -> Any:
        """The baseline's module, or what stands for it where the model is the user's own."""
        return own_model.module(self.own) if self.own else plugins.load(BASELINES, self.baseline)


@dataclass(frozen=True)
class Wanted:
    """What a person asks for. names: 'cca' or 'vm_net:hong'; empty means all, or with `own` that model and chance."""

    names: tuple[str, ...] = ()
    seeds: int = 1
    folds: int | None = None
    shuffle_pairs: bool = False
    settings: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    own: Own | None = None
    pool: Pool | None = None


def split_name(folds: int | None, pool: Pool | None) -> str:
    """'test', '5-fold' or 'test-pool-2000-1f2e3d4c': what a table of scores never mixes."""
    if pool is not None:
        return f"test-pool-{len(pool.ids)}-{pool.sha256[:8]}"
    return "test" if folds is None else f"{folds}-fold"


def matrix(pack: data.Pack, wanted: Wanted, scored: Iterable[Mapping[str, Any]] = ()) -> tuple[list[Job], list[tuple[str, str]]]:
    """All jobs in a fixed order, and the baselines that this run's features cannot serve; one that was named raises instead.

    scored: rows of the table `jobs`, for the settings with which a variant was scored on these data before.
    """
    for name in wanted.settings:
        plugins.load(BASELINES, name)
    before = defaultdict(set)
    for row in scored:
        before[row["revision"], row["split"], row["baseline"], row["variant"]].add(row["settings_hash"])
    jobs: list[Job] = []
    unusable: list[tuple[str, str]] = []
    names = wanted.names or (("chance",) if wanted.own else tuple(plugins.names(BASELINES)))
    for name, module, variants in [*_own(wanted.own), *map(_baseline, names)]:
        if wanted.shuffle_pairs and getattr(module, "CONTROL", False):
            continue
        try:
            features = [name for modality in data.MODALITIES for name in pack.features_of(modality, module.NEEDS)]
        except BadInput as error:
            if wanted.names or wanted.own:
                raise
            unusable.append((name, str(error)))
            continue
        for variant in variants:
            jobs += _variant(pack, wanted, (name, module, variant), features, before)
    if not jobs and not unusable:
        raise BadSettings("shuffle_pairs: none of the named baselines learns from pairs")
    if wanted.shuffle_pairs:  # what they must fall to, in the same table; it looks at no feature and learns from no pair
        name, module, (variant, *_) = _baseline("chance")
        features = [name for modality in data.MODALITIES for name in pack.features_of(modality)]
        jobs += _variant(pack, replace(wanted, shuffle_pairs=False), (name, module, variant), features, before)
    return list({job.key: job for job in jobs}.values()), unusable  # once, also where a name was given twice


def _own(own: Own | None) -> list[tuple[str, Any, list[str]]]:
    if own is None:
        return []
    if own.name in plugins.names(BASELINES):
        raise BadInput(f"{own.file}: {own.name!r} is the name of a baseline; give your model another one")
    return [(own.name, own_model.module(own), ["default"])]


def _baseline(name: str) -> tuple[str, Any, list[str]]:
    name, _, wanted = name.partition(":")
    module = plugins.load(BASELINES, name)
    if wanted and wanted not in module.VARIANTS:
        raise UnknownName(f"variant of {name}", wanted, module.VARIANTS)
    return name, module, [wanted] if wanted else list(module.VARIANTS)


def _variant(
    pack: data.Pack, wanted: Wanted, which: tuple[str, Any, str], features: list[str], before: Mapping[Any, set[str]]
) -> list[Job]:
    """The fits of one variant: a seed each, and a fold each."""
    name, module, variant = which
    own = wanted.own if wanted.own and wanted.own.name == name else None
    settings = module.VARIANTS[variant]
    if own is None:
        settings = build(module.Settings, {**asdict(settings), **wanted.settings.get(name, {})}, name)
    shuffled = wanted.shuffle_pairs
    label = variant if not shuffled else "shuffled" if variant == next(iter(module.VARIANTS)) else f"{variant}-shuffled"
    split = split_name(wanted.folds, wanted.pool)
    scored = frozenset(before.get((pack.revision, split, name, label), set()) | {settings_hash(settings)})
    fits = wanted.seeds if shuffled or getattr(module, "SEEDED", True) else 1
    common = {
        "revision": pack.revision, "hub_commit": pack.source.get("commit"), "features": features, "split": split,
        "folds": wanted.folds, "baseline": name, "variant": label, "settings": plain(settings), "metric_spec": METRIC_SPEC,
        "code": code_of(name, own), **({"pool": wanted.pool.sha256} if wanted.pool else {}),
    }  # fmt: skip
    return [
        Job(
            {**common, "seed": seed, "fold": fold}, name, label, settings, seed, wanted.folds, fold, shuffled,
            seed == 0 and not fold, scored, own, wanted.pool,
        )
        for seed, fold in itertools.product(range(fits), [None] if wanted.folds is None else range(wanted.folds))
    ]  # fmt: skip


def plain(settings: Any) -> dict[str, Any]:
    """A settings dataclass, or the settings of a user's model, as a mapping."""
    return asdict(settings) if is_dataclass(settings) and not isinstance(settings, type) else dict(settings)


def groups(jobs: list[Job], workers: int) -> list[tuple[Job, ...]]:
    """Jobs that a worker does together: the seeds of one baseline, variant and fold, since their weights may be stacked.

    Each shuffling has training pairs of its own, so it is alone; so is each fit of a user's model, which may draw random numbers
    when it embeds. Where there are fewer groups than workers, the largest are split in halves. Groups decide speed; on a GPU the
    last bits of a stacked fit too.
    """
    found: dict[tuple[Any, ...], list[Job]] = defaultdict(list)
    for job in jobs:
        alone = job.shuffled or job.own is not None
        found[job.baseline, job.variant, job.fold, job.seed if alone else None].append(job)
    made = [tuple(group) for group in found.values()]
    while len(made) < workers and max(map(len, made), default=0) > 1:
        place = max(range(len(made)), key=lambda i: len(made[i]))
        half = len(made[place]) // 2
        made[place : place + 1] = [made[place][:half], made[place][half:]]
    return made


def title(group: tuple[Job, ...]) -> str:
    """For people, e.g. 'mvbind default, seeds 0-4, fold 1'."""
    first, seeds = group[0], span([job.seed for job in group])
    where = "" if first.fold is None else f", fold {first.fold}"
    return f"{first.baseline} {first.variant}, seed{'s' if len(group) > 1 else ''} {seeds}{where}"


def code_of(baseline: str, own: Own | None = None) -> str:
    """12 hex digits of the source that a fit runs: its baseline and what that imports, what all fits share, and torch's version
    to the minor number.

    The files are known by their place below the checkout and by their content. A user's model is its own source.
    """
    found = set(ROOT.joinpath(name) for name in WORKER)
    named = f"baselines/{baseline}.py" if own is None else "own_embeddings.py" if own.vectors else "own_model.py"
    open_ = [ROOT / "benchmarks" / named] + [path for pattern in FIT for path in ROOT.glob(pattern)]
    while open_:
        path = open_.pop()
        if path not in found:
            found.add(path)
            open_ += imports(path)
    digest = hashlib.sha256(f"torch {'.'.join(torch.__version__.split('.')[:2])} {own.sha256 if own else ''}".encode())
    for path in sorted(found):
        digest.update(f"{path.relative_to(ROOT)} {hashlib.sha256(path.read_bytes()).hexdigest()}".encode())
    return digest.hexdigest()[:12]


@lru_cache
def imports(path: Path) -> tuple[Path, ...]:
    """The files of benchmarks/ that a file imports, wherever in it."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    places = [ROOT.joinpath(*name.split(".")) for name in sorted(names) if name.split(".")[0] == "benchmarks"]
    return tuple(p for place in places for p in (place.with_suffix(".py"), place / "__init__.py") if p.is_file())
