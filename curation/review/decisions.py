"""What people decided about clips: one JSON line a decision in RUN/review/decisions.jsonl, added to and never edited.

A decision may be taken back by a later line ('undo') that names it. A line that cannot be read is reported and skipped. A line
that a crash tore is ended by the next append, so that it costs itself only. Files of two machines may be joined in any order:
a line counts once, by its id, and which decision is a reviewer's latest is told by its time.
"""

from __future__ import annotations

import fcntl
import json
import os
import uuid
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from svmbench.errors import BadInput
from svmbench.store import disk_errors, sync_folder

FILE = "decisions.jsonl"
KEEP, DROP, UNSURE, UNDO = "keep", "drop", "unsure", "undo"
VERDICTS = (KEEP, DROP, UNSURE)
REASONS = ("voice_over", "ambience", "singing", "static_video", "border", "other")
LONGEST = 200  # ours: characters of any one text of a line
LONGEST_NAME = 40  # ours


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """One line of the log.

    verdict: 'keep', 'drop', 'unsure', or 'undo', which takes back the decision `undoes`. reason: one of REASONS, or ''.
    at: UTC, ISO 8601. blind: the reviewer did not see what the filter says. item_hash: of the clip and its measures as they
    were shown (curation.review.items). filter_version: hash of the thresholds at that time.
    """

    id: str
    clip_id: str
    reviewer: str
    verdict: str
    reason: str
    at: str
    blind: bool
    item_hash: str
    filter_version: str
    undoes: str = ""


Votes = Mapping[str, Mapping[str, Decision]]  # clip_id -> reviewer -> what the reviewer says of it


@dataclass(frozen=True, slots=True)
class Problem:
    """A line that was skipped: its number in the file, from 1, and why."""

    line: int
    why: str


@dataclass(frozen=True, slots=True)
class Log:
    """Every readable line, in the file's order, and what was wrong with the others."""

    decisions: tuple[Decision, ...] = ()
    problems: tuple[Problem, ...] = field(default=())


def place(folder: Path) -> Path:
    """The log's file in a run folder."""
    return folder / "review" / FILE


def new(clip_id: str, reviewer: str, verdict: str, **shown: Any) -> Decision:
    """A decision of this moment; `shown` are the other fields."""
    at = datetime.now(timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return Decision(id=uuid.uuid4().hex, clip_id=clip_id, reviewer=reviewer, verdict=verdict, at=at, **shown)


def read(folder: Path) -> Log:
    """The log of a run folder; empty where nobody has decided anything."""
    return Reading(folder).log()


def parse(raw: bytes) -> Log:
    """Decisions from the bytes of a log."""
    return _Lines().plus(raw)


class Reading:
    """The log of a run folder, of which only what is new is read when it is asked for again."""

    def __init__(self, folder: Path) -> None:
        self.path = place(folder)
        self._lines, self._end = _Lines(), 0

    def log(self) -> Log:
        if not self.path.is_file():
            return Log()
        with open(self.path, "rb") as handle:
            if handle.seek(0, os.SEEK_END) < self._end:  # another file by now
                self._lines, self._end = _Lines(), 0
            handle.seek(self._end)
            raw = handle.read()
        whole = raw[: raw.rfind(b"\n") + 1]
        self._lines.add(whole)
        self._end += len(whole)
        return self._lines.plus(raw[len(whole) :])


class _Lines:
    """What the lines so far have said."""

    def __init__(self) -> None:
        self.found: dict[str, Decision] = {}
        self.problems: list[Problem] = []
        self.num_lines = 0

    def add(self, raw: bytes) -> None:
        for line in raw.removesuffix(b"\n").split(b"\n") if raw else ():
            self.num_lines += 1
            if not line.strip():
                continue
            try:
                decision = _decision(line)
                if self.found.setdefault(decision.id, decision) != decision:
                    raise BadInput(f"another line has the id {decision.id} and says something else")
            except BadInput as error:
                self.problems.append(Problem(self.num_lines, str(error)))

    def plus(self, raw: bytes) -> Log:
        """The log with these further lines, which are not remembered."""
        lines = self
        if raw:
            lines = _Lines()
            lines.found, lines.problems, lines.num_lines = dict(self.found), list(self.problems), self.num_lines
            lines.add(raw)
        return Log(tuple(lines.found.values()), tuple(lines.problems))


def _decision(line: bytes) -> Decision:
    try:
        values = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise BadInput("it is not JSON in UTF-8; it may have been torn by a crash") from error
    return checked(values)


def checked(values: Any) -> Decision:
    """A decision from plain values; BadInput says what is wrong with them."""
    if not isinstance(values, dict):
        raise BadInput("it is not a JSON object")
    known = {f.name: f for f in fields(Decision)}
    taken: dict[str, Any] = {name: values.get(name, "" if name in ("undoes", "reason") else None) for name in known}
    for name, value in taken.items():
        wanted = bool if name == "blind" else str
        if not isinstance(value, wanted) or (isinstance(value, str) and len(value) > LONGEST):
            raise BadInput(f"{name} is missing or is no {'true or false' if wanted is bool else f'text of at most {LONGEST}'}")
    if not taken["id"] or not taken["clip_id"]:
        raise BadInput("id or clip_id is empty")
    checked_name(taken["reviewer"])
    if taken["verdict"] not in (*VERDICTS, UNDO) or (taken["verdict"] == UNDO) != bool(taken["undoes"]):
        raise BadInput(f"verdict is {taken['verdict']!r}, not one of {', '.join(VERDICTS)}, or an undo that names what it undoes")
    if taken["reason"] and taken["reason"] not in REASONS:
        raise BadInput(f"reason is {taken['reason']!r}, not one of {', '.join(REASONS)}")
    if not taken["at"].endswith("Z") or not _is_time(taken["at"]):
        raise BadInput(f"at is {taken['at']!r}, not a UTC time such as 2026-01-31T12:00:00Z")
    return Decision(**taken)


def checked_name(reviewer: str) -> str:
    """The reviewer's name, if it is one: it begins with a letter or digit, so that no table takes it for a formula."""
    if not reviewer or len(reviewer) > LONGEST_NAME or not reviewer.isprintable() or not reviewer[0].isalnum():
        raise BadInput(
            f"{reviewer!r} is no reviewer's name; give 1 to {LONGEST_NAME} characters that begin with a letter, e.g. anna"
        )
    return reviewer


def _is_time(text: str) -> bool:
    try:
        return datetime.fromisoformat(text).tzinfo is not None
    except ValueError:
        return False


def append(folder: Path, decisions: Iterable[Decision]) -> None:
    """Adds lines to the log of a run folder; when this returns they are on the disk. Several processes may do so at once."""
    path = place(folder)
    raw = "".join(json.dumps(asdict(decision)) + "\n" for decision in decisions).encode()
    if not raw:
        return
    with disk_errors(path):
        path.parent.mkdir(exist_ok=True)
        with open(path, "a+b", buffering=0) as handle:
            fcntl.flock(handle, fcntl.LOCK_EX)
            size = handle.seek(0, os.SEEK_END)
            torn = size and os.pread(handle.fileno(), 1, size - 1) != b"\n"
            view = memoryview(b"\n" + raw if torn else raw)
            while view:
                view = view[handle.write(view) :]
            os.fsync(handle.fileno())
        sync_folder(path.parent)


def standing(log: Log) -> Votes:
    """clip_id -> reviewer -> the latest decision that the reviewer has not taken back."""
    undone = {(d.reviewer, d.undoes) for d in log.decisions if d.verdict == UNDO}
    found: dict[str, dict[str, Decision]] = defaultdict(dict)
    for decision in sorted(log.decisions, key=lambda d: datetime.fromisoformat(d.at)):
        if decision.verdict != UNDO and (decision.reviewer, decision.id) not in undone:
            found[decision.clip_id][decision.reviewer] = decision
    return dict(found)


def settled(log: Log) -> Mapping[str, Decision]:
    """clip_id -> the decision that counts: the latest of those on the side of most reviewers.

    Between keep and drop the majority decides; where they are even the clip is disputed and not here. 'unsure' counts only
    where nobody said more.
    """
    found = {clip_id: winner(by_reviewer.values()) for clip_id, by_reviewer in standing(log).items()}
    return {clip_id: decision for clip_id, decision in found.items() if decision}


def winner(votes: Iterable[Decision]) -> Decision | None:
    """The decision that counts among those of several reviewers on one clip; None where keep and drop are even."""
    sides: dict[str, list[Decision]] = {verdict: [] for verdict in VERDICTS}
    for vote in votes:
        sides[vote.verdict].append(vote)
    keep, drop = len(sides[KEEP]), len(sides[DROP])
    if keep and keep == drop:
        return None
    side = sides[UNSURE] if keep == drop else sides[KEEP if keep > drop else DROP]
    return max(side, key=lambda d: datetime.fromisoformat(d.at), default=None)


def disputed(log: Log) -> set[str]:
    """Clips on which as many reviewers say keep as say drop."""
    return {clip_id for clip_id, by_reviewer in standing(log).items() if winner(by_reviewer.values()) is None}
