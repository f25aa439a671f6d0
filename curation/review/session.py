"""One reviewer at work on one run: what is next, what was decided, what it comes to. Knows nothing of HTTP."""

from __future__ import annotations

import threading
from datetime import datetime
from pathlib import Path
from typing import Any

from curation import judge
from curation.review import decisions, queue
from curation.review.agreement import summary
from curation.review.decisions import DROP, REASONS, UNDO, VERDICTS, Decision, Log, Reading, Votes, checked_name
from curation.review.items import Items, changed, item_hash
from svmbench.errors import BadInput
from svmbench.recipe import Recipe
from svmbench.settings import settings_hash
from svmbench.store import RunFolder


class Session:
    """Reads the run once and the log whenever it has grown; safe to be asked by several threads."""

    def __init__(self, recipe: Recipe, run: RunFolder, reviewer: str, *, second: float, blind: float, seed: int) -> None:
        self.run, self.reviewer = run, checked_name(reviewer.strip())
        self.second, self.seed = _share("second", second), seed
        self.items = Items(recipe, run)
        self.version = version(recipe)
        told = {clip_id: verdict.verdict for clip_id, verdict in self.items.verdicts.items()}
        self.plan = queue.plan(told, self.items.distances(), _share("blind", blind), seed)
        self._lock = threading.Lock()
        self._reading, self._log = Reading(run.path), Log()
        self._votes: Votes = {}

    def state(self, *, rest: bool = False, front: str = "") -> dict[str, Any]:
        """The clip to decide on, the one after it, and how far the work is. front: this clip first, if it is still to do."""
        with self._lock:
            return self._state(rest, front)

    def decide(self, clip_id: str, verdict: str, reason: str, *, rest: bool = False) -> dict[str, Any]:
        """Writes the decision down and returns the new state. BadInput where this clip is not to be decided on."""
        if verdict not in VERDICTS or (reason and reason not in REASONS) or (verdict == DROP and not reason):
            raise BadInput(f"a verdict is one of {', '.join(VERDICTS)}, and to drop takes a reason: {', '.join(REASONS)}")
        with self._lock:
            turn = self._turn()
            if clip_id not in (*turn.waiting, *turn.waiting_rest):
                raise BadInput("this clip has been decided on already, here or in another window")
            self._append(clip_id, verdict, reason)
            return self._state(rest, "")

    def undo(self, *, rest: bool = False) -> dict[str, Any]:
        """Takes back this reviewer's latest decision and shows its clip again."""
        with self._lock:
            last = self._latest()
            if last is None:
                raise BadInput("there is no decision of yours left to undo")
            self._append(last.clip_id, UNDO, "", undoes=last.id)
            return self._state(rest, last.clip_id)

    def summary(self) -> dict[str, Any]:
        """What the decisions come to, of all reviewers."""
        with self._lock:
            log = self._read()
        shown = {clip_id: d.item_hash for clip_id, d in decisions.settled(log).items()}
        return {
            **summary(log, self.items.verdicts.values()),
            "changed": changed(self.items.clips, shown),
            "command": f"svmbench curate {_near(self.run.path)} --rejudge",
        }

    def media(self, clip_id: str) -> Path | None:
        """The clip's file in the run's media store; None where there is none, or where a link leads out of the store."""
        clip = self.items.clips.get(clip_id)
        if clip is None or len(clip.media) != 64 or not set(clip.media) <= set("0123456789abcdef"):
            return None
        try:
            path = self.run.media_path(clip.media).resolve(strict=True)
        except (BadInput, OSError, RuntimeError):  # RuntimeError: a link that leads to itself
            return None
        store = (self.run.path / "media").resolve()
        return path if path.is_relative_to(store) and path.is_file() else None

    def _state(self, rest: bool, front: str) -> dict[str, Any]:
        turn = self._turn()
        waiting = [*turn.waiting, *(turn.waiting_rest if rest else ())]
        if front in (*turn.waiting, *turn.waiting_rest):
            waiting = [front, *(clip_id for clip_id in waiting if clip_id != front)]
        item = None
        if waiting:
            item = self.items.shown(waiting[0], blind=waiting[0] in self.plan.blind)
            item |= {"third": waiting[0] in turn.third, "playable": self.media(waiting[0]) is not None}
        following = self.items.clips[waiting[1]] if len(waiting) > 1 else None
        return {
            "run": self.run.path.name, "reviewer": self.reviewer, "item": item, "can_undo": self._latest() is not None,
            "next": {"clip_id": following.clip_id, "start_s": following.start_s} if following else None,
            "done": turn.num_done, "waiting": len(turn.waiting), "rest": rest,
            "done_rest": turn.num_done_rest, "waiting_rest": len(turn.waiting_rest), "problems": len(self._log.problems),
        }  # fmt: skip

    def _turn(self) -> queue.Turn:
        return queue.turn(self.plan, self._said(), self.reviewer, self.second, self.seed)

    def _latest(self) -> Decision | None:
        mine = [by[self.reviewer] for by in self._said().values() if self.reviewer in by]
        return max(
            (d for d in mine if d.clip_id in self.items.verdicts), key=lambda d: datetime.fromisoformat(d.at), default=None
        )

    def _append(self, clip_id: str, verdict: str, reason: str, undoes: str = "") -> None:
        decisions.append(self.run.path, [decisions.new(
            clip_id, self.reviewer, verdict, reason=reason, blind=clip_id in self.plan.blind,
            item_hash=item_hash(self.items.clips[clip_id]), filter_version=self.version, undoes=undoes,
        )])  # fmt: skip

    def _said(self) -> Votes:
        self._read()
        return self._votes

    def _read(self) -> Log:
        """The log; other reviewers may add to it at the same time."""
        log = self._reading.log()
        if log != self._log:
            self._log, self._votes = log, decisions.standing(log)
        return log


def version(recipe: Recipe) -> str:
    """Of the thresholds: 12 hex digits."""
    return settings_hash(judge.thresholds(recipe))


def _near(path: Path) -> Path:
    """The shorter way to write a path, seen from where the command was started."""
    here = Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path


def _share(name: str, value: float) -> float:
    if not 0 <= value <= 1:
        raise BadInput(f"--{name}: {value:g} is no share; give one from 0 to 1")
    return value
