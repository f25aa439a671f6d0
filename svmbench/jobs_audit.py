"""The job behind `svmbench audit`: what is named is recognised by what it is, and every finding becomes one line."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.table import Table
from rich.text import Text

from svmbench import jobs, shapes
from svmbench.errors import BadInput

SHIPPED = "published"
PASSED, FAILED, REMARK, EXCUSED, NOT_RUN = "passed", "FAILED", "remark", "by design", "not run"
STYLES = {PASSED: "green", FAILED: "bold red", REMARK: "yellow", EXCUSED: "yellow", NOT_RUN: "dim"}
REMARKS = ("chance", "suspect")  # marks that no arithmetic forbids: a system may be no better than chance


@dataclass(frozen=True)
class Line:
    """One check on one row. verdict: passed, FAILED, remark, by design, not run."""

    row: str
    check: str
    verdict: str
    detail: str


@dataclass(frozen=True)
class Audit:
    """The lines, and what else a person should know: scores, counts."""

    lines: tuple[Line, ...]
    notes: tuple[str, ...]

    @property
    def failed(self) -> int:
        return sum(line.verdict == FAILED for line in self.lines)

    def as_json(self) -> dict[str, Any]:
        return {"failed": self.failed, "lines": [asdict(line) for line in self.lines], "notes": list(self.notes)}


def audit_job(target: str) -> Audit:
    """Audits the shipped figures ('published'), a printed table (.csv), an embeddings file (.npz), or a run folder, a record or a
    folder of records. BadInput: none of these, or one that cannot be read."""
    path = Path(target)
    if target == SHIPPED and not path.exists():
        from leaderboard import audit

        return _of_tables(audit.shipped())
    if path.suffix.lower() in (".csv", ".tsv"):
        from leaderboard import audit
        from leaderboard.printed_csv import read_printed

        return _of_tables(audit.audit(read_printed(path)))
    with jobs.extra("bench"):
        import benchmarks.audit
    if path.suffix.lower() == ".npz":
        return _of_results([benchmarks.audit.of_embeddings(path)])
    if path.is_file():
        raise BadInput(f"{path}: what to audit is a run folder, a record's folder, an .npz or .csv file, or the word {SHIPPED!r}")
    folder = path if path.exists() or path.parent != Path() else jobs.RUNS / path
    if not folder.exists():
        raise BadInput(f"{target} does not exist; name a run folder, a record's folder, an .npz or .csv file, or {SHIPPED!r}")
    return _of_results(benchmarks.audit.of_records([folder]))


def _of_results(found: Sequence[Any]) -> Audit:
    lines = [
        Line(audited.name, finding.check, _verdict(finding.passed, finding.check in audited.excused), finding.detail)
        for audited in found
        for finding in audited.findings
    ]
    return Audit(tuple(lines), tuple(f"{audited.name}: {audited.scores}" for audited in found if audited.scores))


def _verdict(passed: bool | None, excused: bool) -> str:
    if passed is None:
        return NOT_RUN
    return PASSED if passed else EXCUSED if excused else FAILED


def _of_tables(tables: Sequence[Any]) -> Audit:
    """Every shape test on every row that has a recall, a median or mean rank or an MRR."""
    lines = [line for table in tables for row in table.rows for line in _of_row(table, row)]
    rows = len({line.row for line in lines})
    flagged = len({line.row for line in lines if line.verdict == FAILED})
    figures = sum(len(row.figures) for table in tables for row in table.rows)
    notes = [f"{figures} figures, tables: {len(tables)}; of {rows} rows that tests can speak about {flagged} fail"]
    for table in tables:
        least = None if table.pool_size else shapes.least_queries([row.row for row in table.rows])
        if least:
            notes.append(f"{_of_paper(table)}: no pool size; its recalls are whole together on no fewer than {least} queries")
    return Audit(tuple(lines), tuple(notes))


def _of_row(table: Any, row: Any) -> Iterator[Line]:
    cannot = shapes.cannot(row.row)
    names = [test.__name__ for test in (*shapes.OF_A_ROW, *shapes.OF_A_TABLE)]
    flags = {
        name: [flag for flag in row.flags if flag.kind == name] for name in dict.fromkeys([*names, *(f.kind for f in row.flags)])
    }
    if all(name in cannot for name in names) and not row.flags:
        return
    label = _label(table, row)
    for name, found in flags.items():
        for flag in found:
            yield Line(label, name, REMARK if name in REMARKS else FAILED, flag.text)
        if not found:
            yield Line(label, name, NOT_RUN, cannot[name]) if name in cannot else Line(label, name, PASSED, "")


def _label(table: Any, row: Any) -> str:
    """'CMMixer Table 1, M2M, CMMixer-Solo CutMix, video to music'."""
    return ", ".join(filter(None, (_of_paper(table), row.row.name, (table.direction or "").replace("_to_", " to "))))


def _of_paper(table: Any) -> str:
    numbers = f"Table{'s' if len(table.numbers) > 1 else ''} {', '.join(table.numbers)}" if table.numbers else ""
    return ", ".join(filter(None, (f"{table.paper} {numbers}".strip(), table.dataset)))


def pieces_of(audit: Audit) -> Iterator[Text | Table]:
    """For the terminal: a heading a row and a line a finding; at the end what could not be run, and why, over all rows."""
    for row in dict.fromkeys(line.row for line in audit.lines):
        yield Text(row, style="bold")
        grid = Table.grid(padding=(0, 2, 0, 0))
        grid.add_column(min_width=12)
        grid.add_column(no_wrap=True)
        grid.add_column(overflow="fold")
        mine = [line for line in audit.lines if line.row == row and line.verdict != NOT_RUN]
        for line in mine:
            if line.detail:
                grid.add_row("  " + line.check, Text(line.verdict, style=STYLES[line.verdict]), Text(line.detail))
        if quiet := [line.check for line in mine if not line.detail]:
            grid.add_row(f"  {len(quiet)} tests", Text(PASSED, style=STYLES[PASSED]), Text(", ".join(quiet)))
        yield grid
    skipped = [line for line in audit.lines if line.verdict == NOT_RUN]
    for reason in dict.fromkeys(line.detail for line in skipped):
        mine = [line for line in skipped if line.detail == reason]
        names, rows = dict.fromkeys(line.check for line in mine), dict.fromkeys(line.row for line in mine)
        where = next(iter(rows)) if len(rows) == 1 else f"{len(rows)} rows"
        yield Text(f"{NOT_RUN} on {where}: {', '.join(names)}: {reason.removeprefix('not run: ')}", style=STYLES[NOT_RUN])
    yield from (Text(note) for note in audit.notes)
    verdicts = [line.verdict for line in audit.lines]
    yield Text(", ".join(f"{verdicts.count(v)} {v}" for v in STYLES if v in verdicts))
