"""What the benchmark writes: a table for the terminal, one in Markdown, JSON, and a line a video."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import cv2
from rich.table import Table

from curation.border_bench import sheet
from curation.border_bench.score import GROUPS, RATES, TOTAL, Scored

HEAD = ("method", "<= 1 px", "<= 2 px", "IoU", "false cut", "missed", "CPU ms")


@dataclass(frozen=True, kw_only=True)
class Report:
    """scores: rows of score.table. settings: what was run, with what. failed: videos that could not be scored, by reason."""

    scores: list[dict[str, Any]]
    methods: tuple[str, ...]
    settings: dict[str, Any]
    failed: Mapping[str, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def rows(self) -> list[dict[str, Any]]:
        """A row a half, kind and method as plain values; those of score.GROUPS are over several kinds."""
        return self.scores

    @property
    def halves(self) -> list[str]:
        return list(dict.fromkeys(row["half"] for row in self.scores))

    def total(self, half: str, method: str) -> dict[str, Any]:
        """The row over all of a half."""
        return self._row(half, "total", method)

    def _row(self, half: str, kind: str, method: str) -> dict[str, Any]:
        return next(r for r in self.scores if (r["half"], r["kind"], r["method"]) == (half, kind, method))

    def as_json(self) -> dict[str, Any]:
        return {"settings": self.settings, "failed": dict(self.failed), "notes": list(self.notes), "rows": self.scores}

    def table(self) -> Table:
        """The totals for a terminal of 80 columns; the intervals are in the Markdown."""
        caption = "\n".join(("a side more than 2 px off is a false cut or missed; intervals and kinds: table.md", *self.notes))
        shown = Table(caption=caption, caption_justify="left")
        for name in HEAD:
            shown.add_column(name, justify="left" if name == "method" else "right", no_wrap=True)
        for half in self.halves:
            shown.add_section()
            shown.add_row(f"[bold]{half}[/bold] ({self.total(half, self.methods[0])['num']})")
            for group in self._groups(half):
                if group != TOTAL:
                    shown.add_row(f"[dim]{group} ({self._row(half, group, self.methods[0])['num']})[/dim]")
                for method in self.methods:
                    row = self._row(half, group, method)
                    rates = [f"{row[name][0]:.3f}" for name in RATES]
                    shown.add_row(method, *rates[:2], f"{row['iou']:.4f}", *rates[2:], f"{row['cpu_ms']:.1f}")
        return shown

    def _groups(self, half: str) -> list[str]:
        """The groups of a half that have rows, the total first."""
        there = {row["kind"] for row in self.scores if row["half"] == half}
        return [group for group in GROUPS if group in there]

    def markdown(self) -> str:
        """The totals, and for each kind the share within 2 px and of false cuts."""
        lines = []
        for half in self.halves:
            lines += [f"**{half}**, {self.total(half, self.methods[0])['num']} videos", ""]
            lines += [_line(HEAD), _line("---" if i == 0 else "---:" for i in range(len(HEAD)))]
            lines += [_line((method, *_cells(self.total(half, method)))) for method in self.methods]
            for group in self._groups(half)[1:]:
                found = [self._row(half, group, method) for method in self.methods]
                lines += ["", f"{group[0].upper()}{group[1:]}, {found[0]['num']} videos", ""]
                lines += [_line(HEAD), _line("---" if i == 0 else "---:" for i in range(len(HEAD)))]
                lines += [_line((method, *_cells(row))) for method, row in zip(self.methods, found, strict=True)]
            lines += ["", "Share within 2 px by kind, and after a stroke the share of false cuts where there were any:", ""]
            lines += [_line(("kind", "videos", *self.methods)), _line(("---", *["---:"] * (1 + len(self.methods))))]
            for kind in dict.fromkeys(r["kind"] for r in self.scores if r["half"] == half and r["kind"] not in GROUPS):
                found = [self._row(half, kind, method) for method in self.methods]
                lines.append(_line((kind, str(found[0]["num"]), *map(_short, found))))
            lines.append("")
        return "\n".join([*lines, *(f"- {note}" for note in self.notes), ""])


def _line(cells: Any) -> str:
    return f"| {' | '.join(cells)} |"


def _cells(row: Mapping[str, Any]) -> list[str]:
    within, others = [_rate(row[k]) for k in ("within_1", "within_2")], [_rate(row[k]) for k in ("false_cut", "missed")]
    return [*within, f"{row['iou']:.4f}", *others, f"{row['cpu_ms']:.1f}"]


def _rate(value: Sequence[float]) -> str:
    return f"{value[0]:.3f} [{value[1]:.3f}, {value[2]:.3f}]"


def _short(row: Mapping[str, Any]) -> str:
    cut = row["false_cut"][0]
    return f"{row['within_2'][0]:.2f}" + (f" / {cut:.2f}" if cut else "")


def write(report: Report, scored: Sequence[Scored], out: Path) -> None:
    """table.md, table.json, cases.jsonl and failures.jpg: the first method's failures, with every method's box."""
    out.mkdir(parents=True, exist_ok=True)
    (out / "table.md").write_text(report.markdown())
    (out / "table.json").write_text(json.dumps(report.as_json(), indent=1))
    (out / "cases.jsonl").write_text("".join(json.dumps(_plain(s)) + "\n" for s in scored))
    first = report.methods[0]
    wrong = sheet.failures(scored, first)
    title = f"{first}: {len(wrong)} of {len(scored)} videos more than 2 px off; errors left top right bottom, + is cut too deep"
    cv2.imwrite(str(out / "failures.jpg"), sheet.sheet(wrong, report.methods, title), [cv2.IMWRITE_JPEG_QUALITY, 85])


def _plain(scored: Scored) -> dict[str, Any]:
    row = asdict(scored)
    del row["jpeg"]
    return row
