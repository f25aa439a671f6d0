"""The commands. The roof of the house: the four packages are imported inside the jobs, so that --help stays light."""

from __future__ import annotations

import errno
import json as jsonlib
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    help="Build short-video music datasets, and benchmark the systems that match music to video.\n\n"
    "Start with [bold]svmbench demo[/bold]: the whole job on an embedded platform, without the internet.",
    epilog="Exit codes: 0 done, 1 stopped by an error (one line says why), 2 wrong usage.",
)

OutRun = Annotated[
    Path | None, typer.Option("--out", "-o", help="Run folder to write; default runs/<recipe>.", show_default=False)
]
Local = Annotated[bool, typer.Option("--local", help="Threads of this process instead of Ray.")]
Address = Annotated[str | None, typer.Option("--address", help="A Ray cluster, e.g. ray://host:10001.", show_default=False)]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of tables and progress.")]
Fresh = Annotated[bool, typer.Option("--fresh", help="Forget what this stage has done and do it anew.")]
RunName = Annotated[
    str | None,
    typer.Argument(metavar="[RUN]", help="Run folder, or its name under runs/; default the newest.", show_default=False),
]


@contextmanager
def guarded() -> Iterator[None]:
    """Turns an expected error into one red line and exit code 1, and ctrl-C into a line that says how to go on."""
    from svmbench.errors import SvmbenchError

    try:
        yield
    except SvmbenchError as error:
        _fail(str(error))
    except KeyboardInterrupt:
        _say("stopped; nothing is lost. The same command goes on where it stopped")
        sys.stdout.flush()
        os._exit(1)  # everything is closed by now, and a Ray that was interrupted can crash as the interpreter ends
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        _fail("the disk is full; free some space and run the same command again")


def _fail(message: str) -> None:
    _say(message)
    raise typer.Exit(1)


def _say(message: str) -> None:
    from rich.console import Console
    from rich.text import Text

    Console(stderr=True).print(
        Text("error: ", style="bold red").append(Text(" ".join(message.split()), style="red")), soft_wrap=True
    )


def _close(progress: Any, as_json: bool, **facts: Any) -> None:
    """The closing account: a table for people, or one JSON document."""
    from rich.console import Console
    from rich.text import Text

    if as_json:
        stages = [s.as_json() for s in progress.summaries]
        print(jsonlib.dumps({"stages": stages, **facts}, default=str))
        return
    console = Console()
    if progress.summaries:
        console.print(progress.table())
        notes = [f"{summary.stage}: {text}" for summary in progress.summaries for text in summary.notes]
        for line in [*progress.reasons(), *notes]:
            console.print(line, highlight=False, markup=False)
    for name, value in facts.items():
        console.print(Text(f"{name.replace('_', ' ')}: ").append(str(value), style="bold"), soft_wrap=True)


@app.command(epilog="Example:  svmbench demo --media ~/my-videos")
def demo(
    out: OutRun = None,
    media: Annotated[
        Path | None, typer.Option(help="Put the files of this folder on the embedded platform instead of composed posts.")
    ] = None,
    posts: Annotated[
        int | None, typer.Option(min=20, max=20_000, help="How many posts to compose; default 240.", show_default=False)
    ] = None,
    fresh: Fresh = False,
    local: Local = False,
    as_json: AsJson = False,
) -> None:
    """The main job end to end: compose or serve posts, crawl, curate, publish, run baselines, build the leaderboard."""
    with guarded():
        from svmbench import jobs
        from svmbench.progress import Progress

        progress = Progress(quiet=as_json)
        _close(progress, as_json, **jobs.demo_job(out, media, posts, jobs.Where(local=local), progress, fresh=fresh))


@app.command(epilog="Example:  svmbench crawl svm_10k --out runs/svm_10k")
def crawl(
    recipe: Annotated[str, typer.Argument(help="Name of a recipe that ships with svmbench, or a YAML file.")] = "demo",
    out: OutRun = None,
    local: Local = False,
    address: Address = None,
    as_json: AsJson = False,
) -> None:
    """Search a platform for liked short videos and fetch them. Stopped or killed, the same command goes on."""
    with guarded():
        from svmbench import jobs
        from svmbench import recipe as recipes
        from svmbench.progress import Progress
        from svmbench.store import RunFolder

        plan = recipes.load(recipe)
        jobs.check(plan)
        run, progress = RunFolder.create(out or jobs.RUNS / plan.name), Progress(quiet=as_json)
        with jobs.Where(local=local, address=address).fleet() as fleet:
            jobs.crawl_job(plan, run, fleet, progress)
        _close(progress, as_json, run=run.path)


@app.command(epilog="Example:  svmbench curate runs/svm_10k")
def curate(
    run: RunName = None, fresh: Fresh = False, local: Local = False, address: Address = None, as_json: AsJson = False
) -> None:
    """Crop borders, filter, measure, extract features, and split by song. Works on what the crawl has fetched so far."""
    with guarded():
        from svmbench import jobs
        from svmbench.progress import Progress

        folder, progress = jobs.find_run(run), Progress(quiet=as_json)
        with jobs.Where(local=local, address=address).fleet() as fleet:
            jobs.curate_job(folder, fleet, progress, fresh=fresh)
        _close(progress, as_json, run=folder.path)


@app.command(epilog="Example:  svmbench publish runs/demo --repo me/my-set --dry-run")
def publish(
    run: RunName = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Folder for the release; default RUN/release.", show_default=False)
    ] = None,
    repo: Annotated[
        str | None, typer.Option(help="OWNER/NAME on the Hugging Face Hub; without it only the folder is written.")
    ] = None,
    to: Annotated[
        str | None, typer.Option(help="Another Hub, by URL; 'rehearsal' starts a loopback Hub for this release.")
    ] = None,
    private: Annotated[bool, typer.Option("--private", help="Make the repository private.")] = False,
    tag: Annotated[str | None, typer.Option(help="Tag of the release, e.g. v1.0.0.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Write and verify the folder, and show what would be sent.")] = False,
    as_json: AsJson = False,
) -> None:
    """Write the dataset as tables and a card, and push it to the Hub. Media, names and captions are never in it."""
    with guarded():
        from svmbench import jobs
        from svmbench.progress import Progress

        progress = Progress(quiet=as_json)
        facts = jobs.publish_job(jobs.find_run(run), out, repo, to, progress, private=private, tag=tag, dry_run=dry_run)
        _close(progress, as_json, **facts)


@app.command("run-baselines", epilog="Example:  svmbench run-baselines runs/svm_10k --gpus 4")
def run_baselines(
    run: RunName = None,
    gpus: Annotated[int, typer.Option(min=0, help="GPUs to use, one worker each; 0 is the CPU.")] = 0,
    only: Annotated[
        str | None, typer.Option(help="Baselines by name, separated by commas; default all.", show_default=False)
    ] = None,
    seeds: Annotated[int, typer.Option(min=1, max=100, help="Training runs of each baseline that draws random numbers.")] = 1,
    folds: Annotated[
        int | None, typer.Option(min=2, max=50, help="Cross-validation over songs instead of the run's split.")
    ] = None,
    shuffle_pairs: Annotated[
        bool, typer.Option("--shuffle-pairs", help="Control: train on wrong pairs; must fall to chance.")
    ] = False,
    address: Address = None,
    as_json: AsJson = False,
) -> None:
    """Train and score every baseline under one protocol: exact ranks, Recall@K, median rank, both directions."""
    with guarded():
        from svmbench import jobs
        from svmbench.progress import Progress

        folder, progress = jobs.find_run(run), Progress(quiet=as_json)
        names = tuple(filter(None, (only or "").split(",")))
        with jobs.Where(address=address, gpus=gpus).fleet() as fleet:
            jobs.baselines_job(folder, fleet, progress, names=names, seeds=seeds, folds=folds, shuffle_pairs=shuffle_pairs)
        scores = jobs.score_rows(folder)
        if not as_json:
            progress.console.print(jobs.score_table(scores))
        _close(progress, as_json, **({"scores": scores} if as_json else {}), run=folder.path)


@app.command(epilog="Example:  svmbench leaderboard runs/demo runs/pairs --out leaderboard")
def leaderboard(
    runs: Annotated[
        list[str] | None, typer.Argument(metavar="[RUNS]...", help="Run folders; default the newest.", show_default=False)
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Folder for the page; default RUN/leaderboard.", show_default=False)
    ] = None,
    as_json: AsJson = False,
) -> None:
    """One self-contained HTML page (and csv, md, json) of what was measured, with the papers' published figures apart."""
    with guarded():
        from svmbench import jobs
        from svmbench.progress import Progress

        folders = [jobs.find_run(name) for name in runs] if runs else [jobs.find_run(None)]
        page = jobs.leaderboard_job(folders, out or folders[0].path / "leaderboard")
        _close(Progress(quiet=True), as_json, leaderboard=page)


@app.command("import-features", epilog="Example:  svmbench import-features pairs.npz --out runs/pairs --window 120")
def import_features(
    file: Annotated[Path, typer.Argument(help="An .npz file of video and music features; docs/features.md describes it.")],
    out: OutRun = None,
    window: Annotated[
        float | None, typer.Option(min=1, help="Take only the middle so many seconds of each item.", show_default=False)
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Make a run folder from features that you already have, so that every baseline runs on them."""
    with guarded():
        from svmbench import jobs
        from svmbench.progress import Progress
        from svmbench.store import RunFolder

        run, progress = RunFolder.create(out or jobs.RUNS / file.stem), Progress(quiet=as_json)
        jobs.import_job(file, run, progress, window_s=window)
        _close(progress, as_json, run=run.path)


@app.command(epilog="Example:  svmbench doctor")
def doctor(as_json: AsJson = False) -> None:
    """Say what is installed, what is missing, and how to get it."""
    from dataclasses import asdict

    from svmbench.doctor import examine

    findings = examine()
    missing = [f for f in findings if f.state == "missing"]
    if as_json:
        print(jsonlib.dumps([asdict(f) for f in findings]))
        raise typer.Exit(1 if missing else 0)
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    marks = {"ok": "[green]ok[/green]", "missing": "[red]missing[/red]", "optional": "[yellow]optional[/yellow]"}
    table = Table("what", "state", "detail", "how to get it")
    for f in findings:
        table.add_row(f.what, marks[f.state], escape(f.detail), escape(f.remedy))
    console = Console()
    console.print(table)
    console.print(
        "Everything the main job needs is here: svmbench demo" if not missing else f"{len(missing)} missing; see the last column"
    )
    raise typer.Exit(1 if missing else 0)


def _version(wanted: bool) -> None:
    if wanted:
        from svmbench import __version__

        print(f"svmbench {__version__}")
        raise typer.Exit()


@app.callback()
def _root(
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")] = False,
) -> None:
    pass


def main() -> None:
    """The console script."""
    try:
        app()
    except BrokenPipeError:  # the reader of our output went away, e.g. `| head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
