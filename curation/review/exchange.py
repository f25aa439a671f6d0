"""Decisions out of a run and into it: JSON lines, a CSV table, or the JSON of Label Studio, told by the file's ending.

The JSON lines and the table hold every line of the log. The Label Studio file holds a task for each clip that is in doubt or
decided, with the decisions that stand as annotations; its labelling interface is in docs/review.md. Each annotation carries its
own line of the log, so that one which comes back unchanged is known, and is not doubled.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, fields
from datetime import datetime, timezone
from functools import partial
from pathlib import Path
from typing import Any

from curation.review import decisions
from curation.review.decisions import UNDO, Decision, Log, Problem, checked
from curation.review.items import item_hash, verdicts
from curation.review.queue import REVIEW
from curation.review.session import version
from svmbench.errors import BadInput, StorageError
from svmbench.recipe import Recipe
from svmbench.records import Clip
from svmbench.store import RunFolder, write_atomically

FORMS = {".jsonl": "JSON lines", ".csv": "a table", ".json": "Label Studio"}
VIDEO, VERDICT, REASON, LINE = "clip", "verdict", "reason", "svmbench"  # names in Label Studio's labelling interface
LONGEST_ID = 32


@dataclass(frozen=True, slots=True)
class Imported:
    """added: new lines. known: lines that the log has already. problems: what was skipped, and why."""

    added: int
    known: int
    problems: tuple[Problem, ...]


def export(recipe: Recipe, run: RunFolder, path: Path) -> int:
    """Writes the decisions of a run to a file and returns how many."""
    form, log = _form(path), decisions.read(run.path)
    if form == ".json":
        tasks = list(_tasks(recipe, run, log))
        text = json.dumps(tasks, indent=1) + "\n"
        count = sum(len(task["annotations"]) for task in tasks)
    else:
        text, count = (_lines(log) if form == ".jsonl" else _table(log)), len(log.decisions)
    write_atomically(path, partial(Path.write_text, data=text, encoding="utf-8", newline=""))
    return count


def import_(run: RunFolder, path: Path) -> Imported:
    """Adds the decisions of a file to a run's log. What the log has already is not added again."""
    form = _form(path)
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise BadInput(f"{path} cannot be read: {error.strerror}") from error
    found = {".jsonl": decisions.parse, ".csv": _from_table, ".json": _from_tasks}[form](raw)
    clips = {clip.clip_id for clip in run.read(Clip, "candidates")}
    logged = {decision.id: decision for decision in decisions.read(run.path).decisions}
    problems, new, known = list(found.problems), list[Decision](), 0
    for number, decision in enumerate(found.decisions, start=1):
        if decision.clip_id not in clips:
            problems.append(Problem(number, f"clip {decision.clip_id} is not in this run"))
        elif decision.id not in logged:
            new.append(decision)
            logged[decision.id] = decision
        elif logged[decision.id] == decision:
            known += 1
        else:
            problems.append(Problem(number, f"a line of the log has the id {decision.id} and says something else"))
    decisions.append(run.path, new)
    return Imported(len(new), known, tuple(problems))


def _form(path: Path) -> str:
    if path.suffix.lower() not in FORMS:
        endings = ", ".join(f"{ending} ({name})" for ending, name in FORMS.items())
        raise BadInput(f"{path}: the ending says the form; use one of {endings}")
    return path.suffix.lower()


def _lines(log: Log) -> str:
    return "".join(json.dumps(asdict(decision)) + "\n" for decision in log.decisions)


def _table(log: Log) -> str:
    out = io.StringIO()
    table = csv.DictWriter(out, [f.name for f in fields(Decision)], lineterminator="\n")
    table.writeheader()
    table.writerows({**asdict(decision), "blind": "true" if decision.blind else "false"} for decision in log.decisions)
    return out.getvalue()


def _from_table(raw: bytes) -> Log:
    try:
        rows = list(csv.DictReader(io.StringIO(raw.decode("utf-8-sig"), newline=""), strict=True))
    except (UnicodeDecodeError, csv.Error) as error:
        raise BadInput(f"the file is no CSV table in UTF-8: {error}") from error
    words = {"true": True, "false": False}
    return _log({**row, "blind": words.get(str(row.get("blind")).lower())} for row in rows)


def _log(rows: Iterator[Mapping[str, Any]]) -> Log:
    found, problems = [], []
    for number, values in enumerate(rows, start=1):
        try:
            found.append(checked(values))
        except BadInput as error:
            problems.append(Problem(number, str(error)))
    return Log(tuple(found), tuple(problems))


def _tasks(recipe: Recipe, run: RunFolder, log: Log) -> Iterator[dict[str, Any]]:
    """As https://labelstud.io/guide/task_format has it. completed_by is left out: it would have to be a user there."""
    votes = decisions.standing(log)
    doubtful = {v.clip_id for v in verdicts(run) if v.verdict == REVIEW}
    for clip in run.read(Clip, "candidates"):
        if clip.clip_id in doubtful or clip.clip_id in votes:
            data = {
                "video": _local_file(run, clip), "clip_id": clip.clip_id, "start_s": clip.start_s, "end_s": clip.end_s,
                "item_hash": item_hash(clip), "filter_version": version(recipe),
            }  # fmt: skip
            said = [vote for _, vote in sorted(votes.get(clip.clip_id, {}).items())]
            yield {"data": data, "annotations": [_annotation(decision) for decision in said]}


def _local_file(run: RunFolder, clip: Clip) -> str:
    """As Label Studio serves local files, with the run folder as LOCAL_FILES_DOCUMENT_ROOT."""
    try:
        return f"/data/local-files/?d={run.media_path(clip.media).relative_to(run.path)}"
    except (BadInput, StorageError):
        return ""


def _annotation(decision: Decision) -> dict[str, Any]:
    results = [_result(decision, VERDICT, "choices", decision.verdict)]
    if decision.reason:
        results.append(_result(decision, REASON, "choices", decision.reason))
    results.append(_result(decision, LINE, "textarea", json.dumps(asdict(decision))))
    return {"result": results, "was_cancelled": False, "ground_truth": False, "created_at": decision.at}


def _result(decision: Decision, name: str, kind: str, value: str) -> dict[str, Any]:
    values = {"choices": [value]} if kind == "choices" else {"text": [value]}
    return {"id": f"{decision.id}-{name}", "from_name": name, "to_name": VIDEO, "type": kind, "value": values}


def _from_tasks(raw: bytes) -> Log:
    try:
        tasks = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise BadInput(f"the file is no JSON: {error}") from error
    if not isinstance(tasks, list):
        raise BadInput("the file is no Label Studio export: it should be a list of tasks; export it there as 'JSON'")
    found, problems = [], []
    for number, task in enumerate(tasks, start=1):
        try:
            for annotation in _listed(task, "annotations"):
                if not annotation.get("was_cancelled"):
                    found.append(_of_annotation(task, annotation))
        except BadInput as error:
            problems.append(Problem(number, str(error)))
    return Log(tuple({decision.id: decision for decision in found}.values()), tuple(problems))


def _listed(holder: Any, key: str) -> list[dict[str, Any]]:
    rows = holder.get(key) if isinstance(holder, dict) else None
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise BadInput(f"it has no list of {key}")
    return rows


def _of_annotation(task: Mapping[str, Any], annotation: Mapping[str, Any]) -> Decision:
    """The line that an annotation carries where it still says so; else a new decision by the person who worked there."""
    said = _said(annotation)
    data = task["data"] if isinstance(task.get("data"), dict) else {}
    carried = _carried(said.get(LINE))
    verdict, reason = said.get(VERDICT, ""), said.get(REASON, "")
    if carried and (carried.clip_id, carried.verdict, carried.reason) == (data.get("clip_id"), verdict, reason):
        return carried
    values = {
        "clip_id": data.get("clip_id"), "verdict": verdict, "reason": reason, "blind": False, "reviewer": _person(annotation),
        "at": _utc(annotation.get("updated_at") or annotation.get("created_at")),
        "item_hash": data.get("item_hash", ""), "filter_version": data.get("filter_version", ""),
    }  # fmt: skip
    name = hashlib.sha256(json.dumps([values, annotation.get("id")], sort_keys=True, default=str).encode()).hexdigest()
    if verdict == UNDO:
        raise BadInput("an annotation cannot be an undo")
    return checked({**values, "id": name[:LONGEST_ID]})


def _said(annotation: Mapping[str, Any]) -> dict[str, str]:
    """Name in the labelling interface -> what was chosen or written."""
    found = {}
    for result in _listed(annotation, "result"):
        value = result.get("value")
        chosen = (value.get("choices") or value.get("text") or [""]) if isinstance(value, dict) else [""]
        found[str(result.get("from_name"))] = str(chosen[0] if isinstance(chosen, list) else chosen)
    return found


def _carried(line: str | None) -> Decision | None:
    found = decisions.parse((line or "").encode(errors="replace")).decisions
    return found[0] if found and found[0].verdict != UNDO else None


def _person(annotation: Mapping[str, Any]) -> str:
    """completed_by is a user's number, or an object with it and an address; no address is taken over."""
    who = annotation.get("completed_by")
    number = who.get("id") if isinstance(who, dict) else who
    return f"label-studio-{number}" if isinstance(number, int) else "label-studio"


def _utc(text: Any) -> str:
    try:
        at = datetime.fromisoformat(str(text))
    except ValueError as error:
        raise BadInput(f"its time is {text!r}") from error
    at = at.astimezone(timezone.utc) if at.tzinfo else at.replace(tzinfo=timezone.utc)
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
