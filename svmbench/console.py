"""What all commands share: option types, the one red line of an error, and the closing account."""

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


RESUMES = "nothing is lost. The same command goes on where it stopped"
STARTS_ANEW = "nothing was written. The same command starts anew"


@contextmanager
def guarded(stopped: str = RESUMES) -> Iterator[None]:
    """Turns an expected error into one red line and exit code 1, and ctrl-C into a line that says what the command then does."""
    from svmbench.errors import SvmbenchError

    try:
        yield
    except SvmbenchError as error:
        fail(str(error))
    except KeyboardInterrupt:
        say(f"stopped; {stopped}")
        sys.stdout.flush()
        os._exit(1)  # everything is closed by now, and a Ray that was interrupted can crash as the interpreter ends
    except OSError as error:
        if error.errno in (errno.EACCES, errno.EPERM, errno.ENAMETOOLONG):
            fail(f"{error.filename or 'a file'} cannot be opened: {error.strerror}")
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        fail("the disk is full; free some space and run the same command again")


def leave() -> None:
    """Ends the process with code 0 after an orderly stop, without waiting for what may still hang on a server."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


def fail(message: str) -> None:
    say(message)
    raise typer.Exit(1)


def say(message: str) -> None:
    from rich.console import Console
    from rich.text import Text

    Console(stderr=True).print(
        Text("error: ", style="bold red").append(Text(" ".join(message.split()), style="red")), soft_wrap=True
    )


@contextmanager
def accounted(progress: Any, as_json: bool) -> Iterator[None]:
    """Gives the closing account also of work that a wall or a full disk ends; the error goes on to become the red line below."""
    from svmbench.errors import Blocked, StorageError

    try:
        yield
    except (Blocked, StorageError):
        if any(summary.seen for summary in progress.summaries):
            close(progress, as_json)
        raise


def close(progress: Any, as_json: bool, **facts: Any) -> None:
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
