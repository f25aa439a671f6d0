"""The command for whoever doubts a result, their own or somebody else's. Part of the roof."""

from __future__ import annotations

import json as jsonlib
from typing import Annotated

import typer

from svmbench.console import STARTS_ANEW, AsJson, guarded


def add_to(app: typer.Typer) -> None:
    """Registers the command of this file."""
    app.command(
        epilog="Example:  svmbench audit runs/demo    svmbench audit theirs.npz    svmbench audit their-table.csv    "
        "svmbench audit published\n\nExit code 1 if a check fails."
    )(audit)


def audit(
    target: Annotated[
        str,
        typer.Argument(
            metavar="RUN|RECORD|FILE|published",
            help="A run folder or its name under runs/, a record's folder, an embeddings file (.npz with video, music, song), "
            "a table from a paper (.csv), or the word 'published' for the papers' tables that ship with svmbench.",
        ),
    ],
    as_json: AsJson = False,
) -> None:
    """Run the integrity checks on a saved result, embeddings or a published table. Exit code 1 if a check fails."""
    with guarded(STARTS_ANEW):
        from svmbench import jobs_audit

        found = jobs_audit.audit_job(target)
        if as_json:
            print(jsonlib.dumps(found.as_json()))
        else:
            from rich.console import Console

            for piece in jobs_audit.pieces_of(found):
                Console().print(piece, highlight=False, soft_wrap=not hasattr(piece, "columns"))
        if found.failed:
            raise typer.Exit(1)
