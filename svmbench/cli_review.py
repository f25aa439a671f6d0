"""The commands for the person who reviews clips, and for whoever doubts a split. Part of the roof."""

from __future__ import annotations

import json as jsonlib
from pathlib import Path
from typing import Annotated, Any

import typer

from svmbench.console import RESUMES, STARTS_ANEW, Address, AsJson, Local, RunName, close, guarded


def add_to(app: typer.Typer) -> None:
    """Registers the commands of this file."""
    app.command(epilog="Example:  svmbench review runs/svm_10k --reviewer anna")(review)
    app.command("audit-split", epilog="Example:  svmbench audit-split runs/demo    svmbench audit-split their-split.csv")(
        audit_split
    )


def review(
    run: RunName = None,
    reviewer: Annotated[
        str | None, typer.Option(help="Who decides; default the name you are logged in with.", show_default=False)
    ] = None,
    second: Annotated[
        float, typer.Option(min=0.0, max=1.0, help="Share of other reviewers' clips to decide on again, for Cohen's kappa.")
    ] = 0.1,
    blind: Annotated[
        float, typer.Option(min=0.0, max=1.0, help="Share of clips shown without what the rules say, to measure their error.")
    ] = 0.1,
    port: Annotated[int, typer.Option(min=0, max=65_535, help="Port on this machine; 0 takes a free one.")] = 0,
    export: Annotated[
        Path | None,
        typer.Option(help="Write the decisions instead: .jsonl, .csv, or .json for Label Studio.", show_default=False),
    ] = None,
    import_: Annotated[
        Path | None, typer.Option("--import", help="Add the decisions of such a file instead.", show_default=False)
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Decide on clips that the rules are in doubt about, on a page on this machine. 'curate --rejudge' applies the decisions."""
    with guarded(RESUMES):
        from svmbench import jobs, jobs_curate
        from svmbench.errors import BadInput
        from svmbench.progress import Progress

        folder, quiet = jobs.find_run(run), Progress(quiet=True)
        if export and import_:
            raise BadInput("--export and --import are two commands; import first, then export")
        if export:
            close(quiet, as_json, **jobs_curate.export_job(folder, export))
        elif import_:
            close(quiet, as_json, **jobs_curate.import_decisions_job(folder, import_))
        else:
            with jobs_curate.review_page(folder, reviewer, port=port, second=second, blind=blind) as page:
                _wait(page, as_json, " ".join(filter(None, ("svmbench curate", run, "--rejudge"))))


def _wait(page: Any, as_json: bool, applies: str) -> None:
    """Says where the page is, opens it where there is a desktop, and serves it until ctrl-C, which is how it ends.

    applies: the command that applies the decisions.
    """
    import os
    import sys
    import webbrowser

    from rich.console import Console

    if as_json:
        print(jsonlib.dumps({"url": page.url}), flush=True)
    else:
        Console().print(f"the page is at {page.url}", soft_wrap=True, highlight=False)
        Console().print("ctrl-C ends it; every decision is on the disk, and the same command goes on", highlight=False)
        if sys.stdout.isatty() and (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY") or sys.platform == "darwin"):
            webbrowser.open(page.url)
    try:
        page.wait()
    except KeyboardInterrupt:
        if not as_json:
            Console().print(f"ended; '{applies}' applies the decisions", highlight=False, soft_wrap=True)


def audit_split(
    target: Annotated[
        str,
        typer.Argument(metavar="RUN|FILE", help="A run, or a file or folder that holds a split: csv, jsonl, json, parquet."),
    ],
    split: Annotated[
        Path | None, typer.Option(help="For a run: another split of its clips, as such a file.", show_default=False)
    ] = None,
    only: Annotated[
        str | None,
        typer.Option(
            help="Kinds, separated by commas: clip, song, fingerprint, near-duplicate, author, post, media; default all.",
            show_default=False,
        ),
    ] = None,
    columns: Annotated[
        str | None, typer.Option(help="Where the file's columns are called otherwise: song=track,part=fold.", show_default=False)
    ] = None,
    local: Local = False,
    address: Address = None,
    as_json: AsJson = False,
) -> None:
    """Say what stands in several parts of a split: songs, near-duplicates, authors and so on. Exit code 1 if anything does."""
    with guarded(STARTS_ANEW):
        from svmbench import jobs, jobs_curate

        with jobs.Where(local=local, address=address).fleet() as fleet:
            found, pieces = jobs_curate.audit_job(target, fleet, split=split, only=only, columns=columns)
        if as_json:
            print(jsonlib.dumps(found.as_json()))
        else:
            from rich.console import Console

            for piece in pieces:
                Console().print(piece, soft_wrap=not hasattr(piece, "columns"))
        if found.leaks:
            raise typer.Exit(1)
