"""The commands. The roof of the house: the four packages are imported inside the jobs, so that --help stays light."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from svmbench import cli_audit, cli_bench, cli_review, cli_tools
from svmbench.console import Address, AsJson, Fresh, Local, OutRun, RunName, accounted, close, guarded, leave

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    help="Build short-video music datasets, and benchmark the systems that match music to video.\n\n"
    "Start with [bold]svmbench demo[/bold]: the whole job on an embedded platform, without the internet.",
    epilog="Exit codes: 0 done, 1 stopped by an error (one line says why), 2 wrong usage.",
)


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
        from svmbench.demo import demo_job
        from svmbench.jobs import Where
        from svmbench.progress import Progress

        progress = Progress(quiet=as_json)
        close(progress, as_json, **demo_job(out, media, posts, Where(local=local), progress, fresh=fresh))


@app.command(
    epilog="Example:  svmbench crawl svm_10k --dry-run\n\nsvmbench crawl svm_10k --limit 100\n\n"
    "svmbench crawl tivm list.csv --out runs/tivm\n\nsvmbench crawl status runs/tivm\n\n"
    "svmbench crawl retry runs/tivm --reason timeout"
)
def crawl(
    words: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[RECIPE [SOURCE] | status|failures|retry [RUN]]",
            help="RECIPE: a recipe that ships with svmbench, or a YAML file; default demo. SOURCE: the list or folder to take "
            "instead of the recipe's. Or one of three words and a RUN, a folder or its name under runs/, default the newest: "
            "'status' tells how a crawl stands, also while it works; 'failures' why posts are missing; 'retry' tries them again.",
            show_default=False,
        ),
    ] = None,
    out: OutRun = None,
    limit: Annotated[
        int | None, typer.Option(min=1, help="End in order when the run has so many posts.", show_default=False)
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would be asked, how long and how much; ask nobody, write nothing.")
    ] = False,
    reason: Annotated[
        str | None, typer.Option(help="For failures and retry: the reason of the posts that are meant.", show_default=False)
    ] = None,
    local: Local = False,
    address: Address = None,
    as_json: AsJson = False,
) -> None:
    """Search a platform for liked short videos and fetch them, slowly and politely.

    Ctrl-C stops in order: what is in hand is finished and kept.

    Stopped or killed, the same command goes on; once all is done it does nothing.

    Read docs/politeness.md before you crawl a live site.
    """
    with guarded():
        from svmbench import jobs, jobs_crawl
        from svmbench.progress import Progress

        order = jobs_crawl.crawl_words(
            words or [], out=out, limit=limit, dry_run=dry_run, reason=reason, local=local, address=address
        )
        if dry_run or order.action in ("status", "failures"):
            jobs_crawl.look(order, out=out, limit=limit, reason=reason, as_json=as_json)
            return
        where, progress = jobs.Where(local=local, address=address), Progress(quiet=as_json)
        with accounted(progress, as_json):
            run, stopped = jobs_crawl.work(order, where, progress, out=out, limit=limit, reason=reason)
        facts = {"stopped": "in order; the same command goes on"} if stopped else {"next": jobs_crawl.next_step(run)}
        close(progress, as_json, run=run.path, **facts)
        if stopped:
            leave()


@app.command(epilog="Example:  svmbench curate --rejudge --recipe stricter.yaml    svmbench curate report runs/svm_10k")
def curate(
    words: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[[sheet|report] RUN]",
            help="Run folder, or its name under runs/; default the newest. After 'sheet' or 'report': write that page.",
            show_default=False,
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="For sheet and report: where to write it; default in RUN.", show_default=False),
    ] = None,
    rejudge: Annotated[
        bool,
        typer.Option(
            "--rejudge", help="Apply thresholds and decisions of 'review' to what was measured; decode nothing; say what changes."
        ),
    ] = False,
    recipe: Annotated[
        str | None,
        typer.Option(help="For --rejudge: the recipe with the new thresholds; default the one named last.", show_default=False),
    ] = None,
    fresh: Fresh = False,
    local: Local = False,
    address: Address = None,
    as_json: AsJson = False,
) -> None:
    """Crop borders, measure, extract features, group songs, judge, split. Works on what the crawl has fetched so far."""
    with guarded():
        from svmbench import jobs, jobs_curate
        from svmbench.progress import Progress

        action, name = jobs_curate.curate_words(words or [], rejudge=rejudge, recipe=recipe, out=out, fresh=fresh)
        folder, progress = jobs.find_run(name), Progress(quiet=as_json)
        if action in ("sheet", "report"):
            page = jobs_curate.sheet_job(folder, out) if action == "sheet" else jobs_curate.report_job(folder, out)
            close(progress, as_json, **{action: page})
            return
        with jobs.Where(local=local, address=address).fleet() as fleet:
            if action == "rejudge":
                facts = jobs_curate.rejudge_job(folder, recipe, fleet, progress)
            else:
                facts = {}
                jobs_curate.curate_job(folder, fleet, progress, fresh=fresh)
        facts |= jobs_curate.for_a_person(folder, name)
        close(progress, as_json, **facts, run=folder.path)


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
        close(progress, as_json, **facts)


@app.command(
    "run-baselines",
    epilog="Example:  svmbench run-baselines runs/svm_10k --gpus 4\n\nsvmbench run-baselines runs/pairs cca mvbind --folds 10\n\n"
    "svmbench run-baselines me/my-set@v1.0.0 --model my_model.py:MyModel",
)
def run_baselines(
    words: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[RUN|OWNER/NAME@REVISION|FILE.npz] [NAMES]...",
            help="The data: a run folder or its name under runs/, a published dataset, or a file of features; default the newest "
            "run. NAMES: baselines such as cca or vm_net:hong; default all, and with --model chance alone.",
            show_default=False,
        ),
    ] = None,
    gpus: Annotated[int, typer.Option(min=0, help="GPUs to use; small fits share one. 0 is the CPU.")] = 0,
    seeds: Annotated[int, typer.Option(min=1, max=100, help="Training runs of each baseline that draws random numbers.")] = 1,
    folds: Annotated[
        int | None, typer.Option(min=2, max=50, help="Cross-validation over songs instead of the run's split.")
    ] = None,
    shuffle_pairs: Annotated[
        bool, typer.Option("--shuffle-pairs", help="Control: train on wrong pairs; must fall to chance.")
    ] = False,
    model: Annotated[
        str | None,
        typer.Option(
            metavar="FILE.py:CLASS|FILE.npz",
            help="Your own model, or your own embeddings: docs/own-model.md.",
            show_default=False,
        ),
    ] = None,
    address: Address = None,
    as_json: AsJson = False,
) -> None:
    """Train and score every baseline under one protocol: exact ranks, Recall@K, median rank, both directions.

    What is done is not done again; killed or interrupted, the same command goes on. A fit that fails leaves its traceback in the
    run folder, the others go on, and the exit code is 1.
    """
    with guarded():
        from rich.console import Console

        from svmbench import jobs, jobs_baselines
        from svmbench.progress import Progress

        source, names = jobs_baselines.baseline_words(words or [])
        progress = Progress(quiet=as_json)
        folder = jobs_baselines.open_data(source, progress)
        with jobs.Where(address=address, gpus=gpus).fleet() as fleet:
            failed = jobs_baselines.baselines_job(
                folder, fleet, progress, names=names, seeds=seeds, folds=folds, shuffle_pairs=shuffle_pairs, model=model
            )
        scores, marks = jobs_baselines.score_rows(folder), list(jobs_baselines.marks(folder))
        if not as_json:
            console = Console()
            console.print(jobs_baselines.score_table(scores))
            for line in marks:
                console.print(line, highlight=False, markup=False)
        facts = {"scores": scores, "marks": marks} if as_json else {"next": f"svmbench leaderboard {folder.path}"}
        close(progress, as_json, **facts, run=folder.path)
        if failed:
            raise failed


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
        close(Progress(quiet=True), as_json, leaderboard=page)


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

        progress = Progress(quiet=as_json)
        run = jobs.import_job(file, out or jobs.RUNS / file.stem, progress, window_s=window)
        close(progress, as_json, run=run.path)


def _version(wanted: bool) -> None:
    if wanted:
        from svmbench import __version__

        print(f"svmbench {__version__}")
        raise typer.Exit()


cli_audit.add_to(app)
cli_bench.add_to(app)
cli_review.add_to(app)
cli_tools.add_to(app)


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
