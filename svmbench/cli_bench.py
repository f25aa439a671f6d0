"""The command that looks after results: check, compare, merge, export. Part of the roof."""

from __future__ import annotations

import json as jsonlib
import sys
from pathlib import Path
from typing import Annotated

import typer

from svmbench.console import AsJson, close, guarded

STOPPED = "nothing was changed. The same command starts anew"


def add_to(app: typer.Typer) -> None:
    """Registers the commands of this file."""
    app.command(
        epilog="Example:  svmbench results check runs/demo\n\nsvmbench results diff runs/a/results/cca-default-1f2e3d4c5b6a "
        "runs/b/results/cca-default-6a5b4c3d2e1f\n\nsvmbench results merge runs/a runs/b --out merged\n\n"
        "svmbench results export merged --format md"
    )(results)


def results(
    words: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[check|diff|merge|export] [PATH]...",
            help="PATH: a record's folder, a folder of them, or a run folder or its name under runs/; default the newest run. "
            "'check' computes every score anew from its ranks; 'diff' says what differs between two results; 'merge' puts "
            "results of one table together; 'export' writes them as one table. Without a word: what is there.",
            show_default=False,
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="For merge: a new folder. For export: a file, or with mteb a folder; default print."),
    ] = None,
    format_: Annotated[
        str | None, typer.Option("--format", help="For export: csv (default), md, json, or mteb.", show_default=False)
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Check, compare, merge and export results. Nothing is believed that does not follow from the ranks beside it."""
    with guarded(STOPPED):
        from rich.console import Console

        from svmbench import jobs_bench
        from svmbench.progress import Progress

        quiet, asked = Progress(quiet=True), jobs_bench.asked(words or [], out, format_, as_json=as_json)
        if asked.action == "check":
            num_records, faults = jobs_bench.check_job(asked.paths)
            if as_json:
                print(jsonlib.dumps({"records": num_records, "faults": faults}))
            else:
                _print_lines([*faults, f"{num_records} records, {len(faults) or 'no'} faults"])
            if faults:
                raise typer.Exit(1)
        elif asked.action == "diff":
            found = jobs_bench.diff_job(*asked.paths)
            if as_json:
                print(jsonlib.dumps(found))
            else:
                _print_lines(jobs_bench.diff_lines(found))
        elif asked.action == "merge" and asked.out is not None:
            close(quiet, as_json, results=jobs_bench.merge_job(asked.paths, asked.out), merged=asked.out)
        elif asked.action == "export":
            text = jobs_bench.export_job(asked.paths, asked.format, asked.out)
            if text is None:
                close(quiet, as_json, export=asked.out)
            else:
                sys.stdout.write(text)
        else:
            rows = jobs_bench.list_job(asked.paths)
            if as_json:
                print(jsonlib.dumps({"results": rows}))
            else:
                Console().print(jobs_bench.list_table(rows))


def _print_lines(lines: list[str]) -> None:
    from rich.console import Console

    for line in lines:
        Console().print(line, highlight=False, markup=False, soft_wrap=True)
