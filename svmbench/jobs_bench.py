"""The job behind `svmbench results`. Part of the roof: it imports benchmarks, when called."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from svmbench import jobs
from svmbench.errors import BadInput, BadSettings, UnknownName
from svmbench.store import write_atomically

if TYPE_CHECKING:
    from rich.table import Table

ACTIONS = ("check", "diff", "merge", "export")
FORMATS = ("csv", "md", "mteb", "json")


@dataclass(frozen=True, slots=True)
class Asked:
    """What the words and options of the command ask for. action: '' shows what is there."""

    action: str
    paths: tuple[Path, ...]
    out: Path | None
    format: str


def asked(words: Sequence[str], out: Path | None, format_: str | None, *, as_json: bool = False) -> Asked:
    """The command's words, checked before anything is read. Without a path the newest run is meant."""
    action = words[0] if words and words[0] in ACTIONS else ""
    names = list(words[1:] if action else words)
    if words and not action and len(words) > 1 and not (Path(words[0]).exists() or (jobs.RUNS / words[0]).exists()):
        raise UnknownName("action of results", words[0], ACTIONS)
    if out is not None and action not in ("merge", "export"):
        raise BadSettings("--out goes with merge and export only")
    if format_ is not None and action != "export":
        raise BadSettings("--format goes with export only")
    if format_ is not None and format_ not in FORMATS:
        raise UnknownName("format", format_, FORMATS)
    if action == "merge" and (out is None or not names):
        raise BadSettings("merge needs what to merge and where to: svmbench results merge RUN RUN --out FOLDER")
    if out is not None and action == "export" and (out.is_file() if format_ == "mteb" else out.is_dir()):
        raise BadSettings(f"{out} is a {'file' if format_ == 'mteb' else 'folder'}; --out needs a name for what is written")
    if action == "diff" and len(names) != 2:
        raise BadSettings(f"diff compares two places, not {len(names)}: svmbench results diff A B")
    printed = "json" if as_json and out is None else "csv"  # --json prints one JSON document, whatever the action
    if printed == "json" and format_ in ("csv", "md"):
        raise BadSettings(f"--json prints JSON and not {format_}; leave one of the two out, or write the table with --out FILE")
    return Asked(action, tuple(map(_place, names)) or (jobs.find_run(None).path,), out, format_ or printed)


def _place(name: str) -> Path:
    path = Path(name)
    if not path.exists() and path.parent == Path() and (jobs.RUNS / name).exists():
        path = jobs.RUNS / name
    if not path.exists():
        words = ", ".join(ACTIONS)
        raise BadInput(
            f"{name} does not exist; name a record's folder, a folder of them, or a run folder, after {words} or no word"
        )
    return path


def check_job(paths: Sequence[Path]) -> tuple[int, list[str]]:
    """How many records there are, and all their faults."""
    with jobs.extra("bench"):
        from benchmarks import record, record_check
    folders = record.find(paths)
    return len(folders), record_check.check(folders)


def diff_job(first: Path, second: Path) -> dict[str, Any]:
    """What differs between the results of two places, as plain values; `pairs` has one entry a pair of results."""
    with jobs.extra("bench"):
        from benchmarks import record, record_diff
    sides = [[record.read(folder) for folder in record.find([path])] for path in (first, second)]
    both, alone = record_diff.pairs(*sides)
    found = [record_diff.diff(*pair) for pair in both]
    pairs = [
        {
            "first": d.first.title, "second": d.second.title, "inputs": [asdict(i) for i in d.inputs],
            "scores": [asdict(s) for s in d.scores], "same_queries": list(d.same_queries),
        }
        for d in found
    ]  # fmt: skip
    return {"pairs": pairs, "alone": [entry.title for entry in alone]}


def diff_lines(found: dict[str, Any]) -> list[str]:
    """The same for people."""
    lines: list[str] = []
    for pair in found["pairs"]:
        lines += [f"{pair['first']}  against  {pair['second']}"]
        inputs = [f"  {i['what']}: {i['place']}: {_short(i['first'])} -> {_short(i['second'])}" for i in pair["inputs"]]
        lines += inputs or ["  made of the same"]
        for s in pair["scores"]:
            p = "" if s["p"] is None else f"  p {s['p']:.4f}"
            where = f"{s['direction'].replace('_', ' ')} {s['metric']}"
            lines.append(f"  {where}: {s['first']:.4f} -> {s['second']:.4f} ({-s['difference']:+.4f}){p}")
        if not pair["scores"]:
            lines.append("  all scores are equal")
        if len(pair["same_queries"]) < 2 and pair["scores"]:
            lines.append("  the queries are not the same, so there is no paired test")
    return lines + [f"in one place only: {title}" for title in found["alone"]]


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def merge_job(paths: Sequence[Path], out: Path) -> int:
    """How many results were merged into `out`."""
    with jobs.extra("bench"):
        from benchmarks import record, record_merge
    return len(record_merge.merge(record.find(paths), out))


def export_job(paths: Sequence[Path], format_: str, out: Path | None) -> str | None:
    """The results as text, or None where they were written to `out`: a file, or for mteb a folder."""
    with jobs.extra("bench"):
        from benchmarks import record, record_export
    entries = [record.read(folder) for folder in record.find(paths)]
    if format_ == "mteb":
        results = {f"{record.folder_name(e.values)}/{_file_name(e)}.json": record_export.to_mteb(e) for e in entries}
        if out is None:
            return json.dumps(list(results.values()), indent=2) + "\n"
        for name, values in results.items():
            write_atomically(out / name, partial(Path.write_text, data=json.dumps(values, indent=2) + "\n", encoding="utf-8"))
        return None
    to_text = {"csv": record_export.to_csv, "md": record_export.to_markdown, "json": record_export.to_json}[format_]
    text = to_text(entries)
    if out is None:
        return text
    write_atomically(out, partial(Path.write_text, data=text, encoding="utf-8"))
    return None


def _file_name(entry: Any) -> str:
    return "".join(c if c.isalnum() or c in "._" else "-" for c in entry.values["data"]["dataset"])


def list_job(paths: Sequence[Path]) -> list[dict[str, Any]]:
    """What is there: one row a result."""
    with jobs.extra("bench"):
        from benchmarks import record
    rows = []
    for folder in record.find(paths):
        values = record.read_values(folder)
        if faults := record.schema_faults(values):
            raise BadInput(f"{folder / record.RECORD}: {faults[0]}")
        tiers = (values["group"] or {}).get("tiers", {}).get("video_to_music", {})
        scores = next(iter(values["scores"].values()))["metrics"]
        rows.append(
            {
                "result": folder.name, "split": values["data"]["split"], "revision": values["data"]["revision"][:12],
                "seed": values["seed"], "tier": tiers.get("recall@10", {}).get("tier"), "recall@10": scores["recall@10"]["value"],
                "median_rank": scores["median_rank"]["value"], "failed_checks": " ".join(values["checks"]["failed"]),
                "commit": values["code"]["commit"] + ("+" if values["code"]["dirty"] else ""),
            }
        )  # fmt: skip
    return rows


def list_table(rows: Sequence[dict[str, Any]]) -> Table:
    """The same for the terminal."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    caption = "scores are video to music; tiers by R@10; details: svmbench results export"
    table = Table(caption=caption, caption_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for name in ("result", "split", "seed", "tier", "R@10", "MedR", "failed checks"):
        left = name in ("result", "split", "failed checks")
        table.add_column(name, justify="left" if left else "right", no_wrap=name != "failed checks", overflow="fold")
    for row in rows:
        cells = [row["result"], row["split"], row["seed"], "" if row["tier"] is None else row["tier"]]
        cells += [f"{100 * row['recall@10']:.1f}", f"{row['median_rank']:.1f}", row["failed_checks"]]
        table.add_row(*(Text(str(cell)) for cell in cells))
    return table
