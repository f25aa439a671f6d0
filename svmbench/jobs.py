"""The jobs behind the commands: each reads and writes a run folder. Part of the roof: imports the four packages, when called."""

from __future__ import annotations

import csv
import dataclasses
import re
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.table import Table

from svmbench.errors import BadInput, BadSettings, MissingExtra
from svmbench.fleet import Fleet
from svmbench.progress import Progress
from svmbench.provenance import note, recipe_of, settle
from svmbench.recipe import Recipe, load, parse
from svmbench.records import V2M, Clip, Drop, Score
from svmbench.store import RunFolder

RUNS = Path("runs")
REHEARSAL = "rehearsal"  # publish --to rehearsal


@dataclass(frozen=True, slots=True)
class Where:
    """Where the work is done: on threads of this process, on an embedded Ray (default), or on a Ray cluster."""

    local: bool = False
    address: str | None = None
    gpus: int = 0

    def fleet(self) -> Fleet:
        return Fleet(local=self.local, address=self.address, gpus=self.gpus)


@contextmanager
def extra(name: str) -> Iterator[None]:
    """Turns a missing package into one line that names the extra to install."""
    try:
        yield
    except ModuleNotFoundError as error:
        if error.name and error.name.split(".")[0] in ("crawl", "curation", "benchmarks", "leaderboard", "svmbench"):
            raise
        raise MissingExtra(f"{error.name} is not installed; pip install 'svmbench[{name}]'") from error


def find_run(name: str | None) -> RunFolder:
    """The run folder at a path, or runs/NAME, or without a name the one under runs/ that was written last."""
    if name is not None:
        path = Path(name)
        return RunFolder.open(path if path.exists() or path.parent != Path() else RUNS / name)
    found = [RunFolder(p) for p in RUNS.glob("*") if RunFolder(p).is_run()]
    if not found:
        raise BadInput("there is no run folder under runs/; name one, or make one with 'svmbench crawl'")
    return max(found, key=lambda run: (run.path / "done").stat().st_mtime)


def check(recipe: Recipe) -> None:
    """Everything that can be wrong with a recipe, before anything starts."""
    with extra("all"):
        import crawl.run
        import curation.run
    crawl.run.check(recipe)
    curation.run.check(recipe)


def crawl_job(recipe: Recipe, run: RunFolder, fleet: Fleet, progress: Progress) -> None:
    with extra("crawl"):
        import crawl.run
    settle(run, recipe, f"crawl {recipe.name}")
    crawl.run.crawl(recipe, run, fleet, progress)


def curate_job(run: RunFolder, fleet: Fleet, progress: Progress, *, fresh: bool = False) -> None:
    with extra("curate"):
        import curation.run
    recipe = recipe_of(run)
    if not run.done_ids("crawl"):
        raise BadInput(f"{run.path} has no fetched posts; run 'svmbench crawl' first")
    curation.run.check(recipe)
    if fresh:
        for stage in ("curate", "split"):
            with run.writing(stage) as writer:
                writer.clear()
    note(run, "curate")
    curation.run.curate(recipe, run, fleet, progress)


def leaderboard_job(runs: list[RunFolder], out: Path) -> Path:
    import leaderboard.build

    return leaderboard.build.build(runs, out)


def publish_job(
    run: RunFolder,
    out: Path | None,
    repo: str | None,
    to: str | None,
    progress: Progress,
    *,
    private: bool = False,
    tag: str | None = None,
    dry_run: bool = False,
) -> dict[str, Any]:
    """Writes the release folder, and pushes it where a repository was named; returns what to tell the user.

    to='rehearsal' pushes to a loopback Hub that is forgotten afterwards. The ids of the posts go to REPO-ids, which is gated.
    """
    with extra("hub"):
        import curation.release
        from svmbench import hub, hubsim
    if to and not repo:
        raise BadSettings("--to needs --repo OWNER/NAME")
    version = (tag or "v1.0.0").removeprefix("v")
    release = curation.release.write_release(recipe_of(run), run, out or run.path / "release", version=version)
    facts: dict[str, Any] = {
        "release": release.folder,
        "configs": ", ".join(release.configs),
        "size": f"{release.num_bytes / 2**20:.1f} MiB",
    }
    facts |= {"warning": "; ".join(release.warnings)} if release.warnings else {}
    if not repo:
        return facts
    with ExitStack() as stack:
        if to == REHEARSAL:
            to = stack.enter_context(hubsim.serve()).endpoint
        for folder, name in ((release.folder, repo), (release.ids_folder, f"{repo}-ids")):
            sha = hub.push(folder, name, endpoint=to, private=private, tag=tag, dry_run=dry_run, progress=progress)
            facts[f"commit of {name}"] = sha or "none: this was a dry run"
    note(run, f"publish --repo {repo}" + (f" --to {to}" if to else ""))
    return facts


def baselines_job(
    run: RunFolder,
    fleet: Fleet,
    progress: Progress,
    *,
    names: tuple[str, ...] = (),
    seeds: int = 1,
    folds: int | None = None,
    shuffle_pairs: bool = False,
) -> None:
    with extra("bench"):
        import benchmarks.run
    note(run, "run-baselines")
    benchmarks.run.run_baselines(run, fleet, progress, names=names, seeds=seeds, folds=folds, shuffle_pairs=shuffle_pairs)


def import_job(file: Path, run: RunFolder, progress: Progress, *, window_s: float | None = None) -> None:
    with extra("bench"):
        import benchmarks.importer
    benchmarks.importer.import_features(file, run, window_s=window_s, progress=progress)
    note(run, f"import-features {file.name}" + (f" --window {window_s:g}" if window_s else ""))


def demo_job(
    out: Path | None, media: Path | None, posts: int | None, where: Where, progress: Progress, *, fresh: bool = False
) -> dict[str, Any]:
    """The whole way: crawl, curate, publish to a loopback Hub, baselines, leaderboard. Returns what to tell the user.

    A folder of the user's may have too few songs for training; then the account of its files is the result.
    """
    recipe = _demo_recipe(media, posts)
    check(recipe)
    run = RunFolder(out or RUNS / recipe.name)
    if fresh and run.is_run():
        shutil.rmtree(run.path)
    run = RunFolder.create(run.path)
    facts: dict[str, Any] = {"run": run.path}
    with where.fleet() as fleet:
        crawl_job(recipe, run, fleet, progress)
        curate_job(run, fleet, progress)
        if media:
            facts["what became of each file"] = file_account(run, media)
        try:
            if run.read_table("clips") is None:
                raise BadInput("no clip was kept; the reasons are above")
            publish_job(run, None, f"demo/{recipe.name.replace('_', '-')}", REHEARSAL, progress)
            baselines_job(run, fleet, progress)
            facts["leaderboard"] = leaderboard_job([run], run.path / "leaderboard")
        except BadInput as error:
            if not media:
                raise
            facts["leaderboard"] = f"none: {error}"
        if fleet.startup_s:
            progress.summaries[0].notes.append(f"starting Ray took {fleet.startup_s:.1f} s")
    return facts


def file_account(run: RunFolder, media: Path) -> Path:
    """Writes RUN/files.csv: for each file of the user's folder what became of it, and why."""
    from crawl.replica.build import posts_of

    kept = {f"tiktok:{c.post_id}": c for c in run.read(Clip, "clips")}
    outcomes = {key: ("kept", "", "", f"{c.end_s - c.start_s:.1f} s, {c.width_px}x{c.height_px}") for key, c in kept.items()}
    for drop in run.read(Drop, "drops"):
        value = "" if drop.value is None else f"{drop.value:.3g}"
        outcomes[drop.id] = ("dropped" if drop.kind == "rule" else "failed", drop.reason, value, drop.detail)
    path = run.path / "files.csv"
    with open(path, "w", newline="") as handle:
        table = csv.writer(handle)
        table.writerow(("file", "outcome", "reason", "value", "detail"))
        for post_id, name in posts_of(media).items():
            table.writerow((name, *outcomes.get(f"tiktok:{post_id}", ("not reached", "", "", ""))))
    return path


def _demo_recipe(media: Path | None, posts: int | None) -> Recipe:
    values = load("demo").model_dump(mode="json")
    if posts:
        values["replica"]["posts"] = posts
    if media:
        if not media.is_dir():
            raise BadInput(f"--media: {media} is not a folder; name one that holds videos")
        values |= {"name": f"demo_{re.sub(r'[^a-z0-9]+', '_', media.resolve().name.lower()).strip('_') or 'media'}"}
        values["replica"]["media_dir"] = str(media.resolve())
        values["search"] |= {"duration_min_s": 0, "duration_max_s": 1e6}  # the curation decides, with a reason for each file
    return parse(values, "demo")


def score_rows(run: RunFolder) -> list[dict[str, Any]]:
    """The run's scores as plain rows."""
    return [dataclasses.asdict(score) for score in run.read(Score, "scores")]


def score_table(rows: list[dict[str, Any]]) -> Table:
    """The scores as a table for the terminal: one row a baseline and direction."""
    metrics = ("recall@1", "recall@5", "recall@10", "recall@25", "recall@50", "median_rank")
    caption = "recalls in percent; MedR is the median rank; intervals and tests: svmbench leaderboard"
    table = Table(caption=caption, caption_justify="left")
    for name in ("baseline", *("R@" + m[7:] if "@" in m else "MedR" for m in metrics), "gallery"):
        table.add_column(name, justify="left" if name == "baseline" else "right", no_wrap=True)
    cells: dict[tuple[str, str, str, str, int], dict[str, Any]] = {}
    for row in rows:
        key = (row["direction"], row["split"], row["baseline"], row["variant"], row["seed"])
        cells.setdefault(key, {})[row["metric"]] = row
    shown = None
    for key, found in sorted(cells.items(), key=lambda c: (c[0][0] != V2M, c[0][1], c[0][2] != "chance", c[0])):
        direction, split, baseline, variant, seed = key
        if shown != (direction, split):
            shown = (direction, split)
            table.add_section()
            table.add_row(f"[bold]{direction.replace('_to_', ' to ')}[/bold] ({split})")
        name = baseline if variant in ("default", "expected") else f"{baseline} {variant}"
        texts = [_cell(found.get(metric), metric) for metric in metrics]
        table.add_row(name + (f" seed {seed}" if seed else ""), *texts, str(next(iter(found.values()))["gallery_size"]))
    return table


def _cell(row: dict[str, Any] | None, metric: str) -> str:
    if row is None or row["value"] is None:
        return "-"
    return f"{row['value']:.1f}" if metric == "median_rank" else f"{100 * row['value']:.1f}"
