"""The commands that need no run folder: crop one video, score the border methods, see what is installed. Part of the roof."""

from __future__ import annotations

import json as jsonlib
from pathlib import Path
from typing import Annotated, Any

import typer

from svmbench.console import STARTS_ANEW, AsJson, Local, close, guarded

Method = Annotated[str, typer.Option(help="How the border is found: robust, or paper for MVBind's seven steps.")]


def add_to(app: typer.Typer) -> None:
    """Registers the commands of this file."""
    app.command(epilog="Example:  svmbench crop film.mp4 --out film-border.png")(crop)
    app.command("bench-borders", epilog="Example:  svmbench bench-borders --half all --out bench")(bench_borders)
    app.command(epilog="Example:  svmbench doctor")(doctor)


def crop(
    video: Annotated[Path, typer.Argument(metavar="VIDEO", help="Any video file; it is never changed.", show_default=False)],
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help=".png or .jpg: a picture that shows the border. .mp4 or .mkv: a copy without it."),
    ] = None,
    method: Method = "robust",
    as_json: AsJson = False,
) -> None:
    """Find the border of one video: print the box, draw it, or write a cropped copy."""
    with guarded(STARTS_ANEW):
        from dataclasses import asdict

        from rich.console import Console

        from svmbench import jobs

        with jobs.extra("curate"):
            from curation import crop as cropper

        if out is not None:
            cropper.check_out(video, out)
        with Console(stderr=True, quiet=as_json).status("looking for the border") as status:
            looked, copied = cropper.look(video, method), None
            if out is not None:
                copied = cropper.write(looked, out, lambda share: status.update(f"writing the copy: {share:.0%}"))
        if as_json:
            written = ({"out": str(out)} if out else {}) | ({"copy": asdict(copied)} if copied else {})
            print(jsonlib.dumps(cropper.as_json(looked) | written, default=str))
            return
        lines = cropper.lines_of(looked)
        if out is not None:
            lines.append(f"written: {out}" + ("" if copied is None else f" ({_told(copied)})"))
        for line in lines:
            Console().print(line, highlight=False, markup=False, soft_wrap=True)


def _told(copied: Any) -> str:
    bad = f", {copied.num_bad} broken packets left out" if copied.num_bad else ""
    return f"{copied.num_frames} frames, sound: {copied.audio}{bad}"


def bench_borders(
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the table, the cases and the contact sheet.")] = Path(
        "border-bench"
    ),
    half: Annotated[
        str, typer.Option(help="held_out: what the methods were not developed on. dev: the rest. all: both, apart.")
    ] = "held_out",
    videos: Annotated[
        Path | None, typer.Option(help="A folder of videos without borders, to put borders around.", show_default=False)
    ] = None,
    cases: Annotated[
        int | None, typer.Option(min=1, help="How many videos; default a few of each kind.", show_default=False)
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Another seed gives other videos.")] = 0,
    only: Annotated[
        str | None, typer.Option(help="Methods by name, separated by commas; default all.", show_default=False)
    ] = None,
    local: Local = False,
    as_json: AsJson = False,
) -> None:
    """Make bordered videos with exact truth and score every border method on them, ffmpeg's cropdetect beside ours."""
    with guarded(STARTS_ANEW):
        from rich.console import Console

        from svmbench import jobs
        from svmbench.errors import BadInput
        from svmbench.progress import Progress

        with jobs.extra("curate"):
            from curation.border_bench import run as bench
        if out.exists() and not out.is_dir():
            raise BadInput(f"--out {out} is a file; name a folder")
        progress = Progress(quiet=as_json)
        names = tuple(filter(None, (only or "").split(",")))
        with jobs.Where(local=local).fleet() as fleet:
            report = bench.bench(out, fleet, progress, half=half, videos=videos, cases=cases, seed=seed, methods=names)
        if not as_json:
            Console().print(report.table())
        close(progress, as_json, **({"scores": report.rows()} if as_json else {}), written=out)


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
