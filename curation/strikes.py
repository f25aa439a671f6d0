"""What was at work when a whole run was killed: notes in the run folder, so that no item can end one run after the other.

    RUN/at-work/
      <hash>          this item is at work: the boot of the machine, and how often its kernel ran out of memory until then
      <hash>.json     {"key", "strikes", "kills"}: it was at work when a run was killed

A note that is there when a run starts is a kill. It is a strike where the item may be to blame: since the note was written the
machine started anew, or its kernel killed something for want of memory. Somebody who kills a run with signal 9 gives no strike,
but many kills in a row over one item are taken as its fault all the same.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from svmbench.store import disk_errors, write_json

STRIKES = 2
KILLS = 5  # ours: so many runs ended without a known cause while the item was at work


@dataclass(frozen=True, slots=True)
class Record:
    """How often a run ended while an item was at work; strikes: those for which the item may be to blame."""

    strikes: int = 0
    kills: int = 0

    @property
    def out(self) -> bool:
        return self.strikes >= STRIKES or self.kills >= KILLS


class Strikes:
    """The notes of one run folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def note(self, key: str) -> Path:
        """The file that is there while the item of this key is at work."""
        return self.folder / hashlib.sha256(key.encode()).hexdigest()[:24]

    def take_stock(self, keys: Iterable[str]) -> dict[str, Record]:
        """What earlier runs that were killed say about these items; counts the notes that they left."""
        with disk_errors(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
        present, now = {path.name for path in self.folder.iterdir()}, circumstances()
        found = {}
        for key in keys:
            note = self.note(key)
            if {note.name, f"{note.name}.json"} & present:
                found[key] = self._counted(key, note, now)
        return found

    def _counted(self, key: str, note: Path, now: str) -> Record:
        path = note.with_suffix(".json")
        old = json.loads(path.read_text()) if path.exists() else {"strikes": 0, "kills": 0}
        if note.exists():
            blamed = note.read_text() != now  # an empty note was lost with the machine's power
            old = {"key": key, "strikes": old["strikes"] + blamed, "kills": old["kills"] + 1}
            write_json(path, old)
            note.unlink()
        return Record(old["strikes"], old["kills"])

    def forget(self, keys: Iterable[str]) -> None:
        """A run ends cleanly: nothing is at work any more, and these items are done with."""
        for key in keys:
            self.note(key).with_suffix(".json").unlink(missing_ok=True)
        for path in self.folder.glob("*"):
            if not path.suffix:
                path.unlink(missing_ok=True)
        with contextlib.suppress(OSError):  # records of items that were not tried again stay
            self.folder.rmdir()


def circumstances() -> str:
    """The boot of this machine and the number of processes that its kernel killed for want of memory; empty where unknown."""
    with contextlib.suppress(OSError):
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        kills = [line for line in Path("/proc/vmstat").read_text().splitlines() if line.startswith("oom_kill ")]
        return f"{boot} {' '.join(kills)}"
    return ""
