"""What is shown of the fits at work: notes that cost nothing, and a table of them."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from benchmarks import live
from benchmarks.live import LiveTable, Note, Notes


class Clock:
    """Seconds that pass when it is told so."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


def a_note(clock: Clock, **more: Any) -> Note:
    fixed: dict[str, Any] = {"baseline": "mvbind", "variant": "default", "seeds": [0, 1, 2], "fold": 4, "doing": "training"}
    return Note(**{**fixed, "began_s": clock.now_s, "now_s": clock.now_s, **more})


def text(renderable: object) -> str:
    console = Console(width=140, record=True, file=io.StringIO())
    console.print(renderable)
    return console.export_text()


def test_a_note_is_written_twice_a_second_at_most(tmp_path: Path) -> None:
    clock = Clock()
    notes = Notes(tmp_path, "abc", a_note(clock), clock)
    (path,) = live.folder(tmp_path).iterdir()
    written = 0
    for epoch in range(100):  # an epoch takes 0.1 s here
        clock.now_s += 0.1
        before = path.read_text()
        notes(epoch, 200, [2.0, 4.0], [0.1, 0.3])
        written += path.read_text() != before
    assert 15 <= written <= 20, "ten seconds"
    (note,) = live.read(tmp_path)
    assert (note.epochs, note.loss, note.val) == (200, 3.0, pytest.approx(0.2))
    assert note.epoch is not None
    assert note.left_s() == pytest.approx(0.1 * (200 - note.epoch - 1), rel=0.02)
    notes.doing("ranking and checks", [1])
    assert json.loads(path.read_text())["doing"] == "ranking and checks"
    notes.close()
    assert live.read(tmp_path) == []


def test_the_table_shows_what_a_person_wants_to_know(tmp_path: Path) -> None:
    clock = Clock()
    notes = Notes(tmp_path, "abc", a_note(clock), clock)
    Notes(tmp_path, "def", a_note(clock, seeds=[1, 3], fold=None, variant="big", began_s=0.0), clock)
    clock.now_s += 60
    notes(19, 100, [1.5] * 3, [0.25] * 3)
    shown = text(LiveTable(tmp_path, clock))
    first, second = shown.splitlines()[1:3]
    assert first.split() == ["mvbind", "big", "1,", "3", "training"], "the one that began first stands first"
    assert second.split() == ["mvbind", "default", "0-2", "4", "training", "20/100", "1.5", "0.25", "4", "min", "00", "s"]


def test_before_the_first_fit_it_says_what_is_waited_for(tmp_path: Path) -> None:
    clock = Clock()
    table = LiveTable(tmp_path, clock)
    assert live.STARTING in text(table)
    clock.now_s += 1
    notes = Notes(tmp_path, "abc", a_note(clock), clock)
    assert live.STARTING not in text(table)
    notes.close()
    clock.now_s += 1
    assert text(table).strip() == "", "nothing is said between two fits"


@pytest.mark.parametrize("width", [140, 80, 60])
def test_a_narrow_terminal_has_fewer_columns_and_whole_ones(width: int) -> None:
    clock = Clock()
    at_work = a_note(clock, baseline="vm_net", variant="hong", began_s=0.0, epoch=12, epochs=200, loss=1.2345, val=0.0123)
    console = Console(width=width, record=True, file=io.StringIO())
    console.print(live.table([at_work], width))
    shown = console.export_text()
    assert "…" not in shown
    assert "training 13/200" in shown
    assert "3 h 59 min" in shown
    assert ("1.234" in shown) == (width > 60)


def test_the_driver_looks_twice_a_second_at_most(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock, looks = Clock(), list[Path]()

    def read(run: Path) -> list[Note]:
        looks.append(run)
        return []

    monkeypatch.setattr(live, "read", read)
    table = LiveTable(tmp_path, clock)
    for _ in range(40):  # four frames a second
        clock.now_s += 0.25
        text(table)
    assert len(looks) == 20


def test_without_anything_to_choose_by_there_is_no_val_to_show(tmp_path: Path) -> None:
    clock = Clock()
    notes = Notes(tmp_path, "abc", a_note(clock), clock)
    clock.now_s += 1
    notes(0, 3, [1.0], [float("nan")])
    assert "nan" not in text(LiveTable(tmp_path, clock))


def test_words() -> None:
    assert [live.duration(s) for s in (3.4, 61, 3600, 7380)] == ["3 s", "1 min 01 s", "1 h 00 min", "2 h 03 min"]
    assert [live.span(x) for x in ([0], [0, 1], [0, 1, 2], [1, 2, 4])] == ["0", "0, 1", "0-2", "1, 2, 4"]
