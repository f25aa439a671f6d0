"""Decisions about clips: the log, what it settles, who is shown what, the filter's error, two reviewers, files in and out."""

from __future__ import annotations

import csv
import fcntl
import json
import random
import threading
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from curation.review import agreement, decisions, exchange, queue
from curation.review.decisions import Decision, Log
from svmbench import recipe as recipes
from svmbench import records
from svmbench.errors import BadInput
from svmbench.records import Box, Clip, RuleVerdict
from svmbench.store import RunFolder

NUMBER = iter(range(10**6))


def said(clip_id: str, reviewer: str, verdict: str, **other: Any) -> Decision:
    """A decision; each later one is a second later."""
    number = next(NUMBER)
    at = f"2026-03-01T{number // 3600 % 24:02}:{number // 60 % 60:02}:{number % 60:02}.000Z"
    reason = {"drop": "voice_over"}.get(verdict, "")
    values = {"id": f"id{number}", "reason": reason, "at": at, "blind": False, "item_hash": "h", "filter_version": "v", **other}
    return Decision(clip_id=clip_id, reviewer=reviewer, verdict=verdict, **values)


def back(decision: Decision) -> Decision:
    return said(decision.clip_id, decision.reviewer, "undo", undoes=decision.id)


def told(*lines: Decision) -> dict[str, str]:
    return {clip_id: d.verdict for clip_id, d in decisions.settled(Log(lines)).items()}


# -- the log
def test_lines_come_back_as_they_were_written(tmp_path: Path) -> None:
    lines = [said("a", "anna", "keep", blind=True), said("a", "Jürgen", "drop", reason="singing")]
    decisions.append(tmp_path, lines[:1])
    decisions.append(tmp_path, lines[1:])
    assert decisions.read(tmp_path) == Log(tuple(lines))
    assert decisions.read(tmp_path / "nowhere") == Log()


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("{nonsense", "not JSON"),
        ("[" * 5000, "not JSON"),
        ('"a string"', "not a JSON object"),
        (json.dumps({**asdict(said("a", "b", "keep")), "verdict": "maybe"}), "maybe"),
        (json.dumps({**asdict(said("a", "b", "keep")), "verdict": "undo"}), "undo"),
        (json.dumps({**asdict(said("a", "b", "drop")), "reason": "ugly"}), "ugly"),
        (json.dumps({**asdict(said("a", "b", "keep")), "blind": "yes"}), "blind"),
        (json.dumps({**asdict(said("a", "b", "keep")), "clip_id": "x" * 300}), "clip_id"),
        (json.dumps({**asdict(said("a", "b", "keep")), "clip_id": ""}), "clip_id"),
        (json.dumps({**asdict(said("a", "b", "keep")), "reviewer": "=cmd()"}), "reviewer's name"),
        (json.dumps({**asdict(said("a", "b", "keep")), "at": "yesterday"}), "yesterday"),
        (json.dumps({**asdict(said("a", "b", "keep")), "at": "2026-01-01T00:00:00+02:00"}), "UTC"),
        (b"\xff\xfe\x00", "not JSON"),
    ],
)
def test_a_bad_line_is_reported_and_the_others_are_kept(tmp_path: Path, line: str | bytes, why: str) -> None:
    first, last = said("a", "anna", "keep"), said("b", "anna", "drop")
    decisions.append(tmp_path, [first])
    with open(decisions.place(tmp_path), "ab") as handle:
        handle.write((line if isinstance(line, bytes) else line.encode()) + b"\n")
    decisions.append(tmp_path, [last])
    log = decisions.read(tmp_path)
    assert log.decisions == (first, last)
    assert [problem.line for problem in log.problems] == [2]
    assert why in log.problems[0].why


@pytest.mark.parametrize("cut", [1, 5, 60])
def test_a_torn_last_line_costs_itself_only(tmp_path: Path, cut: int) -> None:
    first, torn, last = (said(name, "anna", "keep") for name in "abc")
    decisions.append(tmp_path, [first, torn])
    path = decisions.place(tmp_path)
    path.write_bytes(path.read_bytes()[:-cut])
    whole = cut == 1  # only the line's end is missing
    assert decisions.read(tmp_path).decisions == ((first, torn) if whole else (first,))
    decisions.append(tmp_path, [last])
    log = decisions.read(tmp_path)
    assert log.decisions == ((first, torn, last) if whole else (first, last))
    assert len(log.problems) == (0 if whole else 1)


def test_several_writers_at_once_lose_nothing(tmp_path: Path) -> None:
    def write(reviewer: str) -> None:
        for i in range(25):
            decisions.append(tmp_path, [said(f"clip{i}", reviewer, "keep", id=f"{reviewer}{i}")])

    threads = [threading.Thread(target=write, args=(name,)) for name in ("anna", "ben", "cleo")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    log = decisions.read(tmp_path)
    assert len(log.decisions) == 75
    assert not log.problems


def test_a_writer_waits_for_another_that_is_at_it(tmp_path: Path) -> None:
    decisions.append(tmp_path, [said("a", "anna", "keep")])
    with open(decisions.place(tmp_path)) as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        writer = threading.Thread(target=decisions.append, args=(tmp_path, [said("b", "anna", "keep")]))
        writer.start()
        writer.join(0.3)
        assert writer.is_alive()
        assert len(decisions.read(tmp_path).decisions) == 1
    writer.join()
    assert len(decisions.read(tmp_path).decisions) == 2


def test_a_log_that_grows_is_read_on_and_one_that_was_replaced_is_read_anew(tmp_path: Path) -> None:
    reading = decisions.Reading(tmp_path)
    assert reading.log() == Log()
    lines = [said(name, "anna", "keep") for name in "abc"]
    decisions.append(tmp_path, lines[:1])
    assert reading.log().decisions == (lines[0],)
    path = decisions.place(tmp_path)
    path.write_bytes(path.read_bytes() + b'{"torn')
    assert (reading.log().decisions, len(reading.log().problems)) == ((lines[0],), 1)
    decisions.append(tmp_path, lines[1:])
    log = reading.log()
    assert (log.decisions, [p.line for p in log.problems]) == (tuple(lines), [2])
    assert log == decisions.read(tmp_path)
    path.unlink()
    decisions.append(tmp_path, lines[2:])
    assert reading.log().decisions == (lines[2],)


def test_an_id_counts_once_and_may_not_say_two_things(tmp_path: Path) -> None:
    line = said("a", "anna", "keep")
    decisions.append(tmp_path, [line, line, replace(line, verdict="unsure")])
    log = decisions.read(tmp_path)
    assert log.decisions == (line,)
    assert [problem.line for problem in log.problems] == [3]


# -- what is settled
def test_the_latest_of_each_reviewer_counts_and_undo_brings_back_the_one_before() -> None:
    keep, drop = said("a", "anna", "keep"), said("a", "anna", "drop")
    assert told(keep, drop) == {"a": "drop"}
    assert told(keep, drop, back(drop)) == {"a": "keep"}
    assert told(keep, back(keep)) == {}
    assert told(keep, replace(back(keep), reviewer="ben")) == {"a": "keep"}  # nobody takes back another's word


def test_the_majority_settles_and_a_tie_is_disputed() -> None:
    anna, ben, cleo = said("a", "anna", "keep"), said("a", "ben", "drop"), said("a", "cleo", "drop", reason="ambience")
    assert told(anna, ben) == {}
    assert decisions.disputed(Log((anna, ben))) == {"a"}
    assert decisions.disputed(Log((anna, ben, said("a", "cleo", "unsure")))) == {"a"}
    assert told(anna, ben, cleo) == {"a": "drop"}
    assert decisions.settled(Log((anna, ben, cleo)))["a"].reason == "ambience"  # the latest of those who say so
    assert decisions.disputed(Log((anna, ben, cleo))) == set()


def test_unsure_counts_only_where_nobody_said_more() -> None:
    unsure = said("a", "anna", "unsure")
    assert told(unsure) == {"a": "unsure"}
    assert told(said("a", "ben", "keep"), unsure) == {"a": "keep"}


def test_the_order_of_the_lines_does_not_matter() -> None:
    first, second, third = said("a", "anna", "keep"), said("a", "anna", "drop"), said("b", "anna", "unsure")
    lines = [first, second, back(second), third, said("b", "ben", "drop"), said("a", "ben", "unsure"), said("b", "anna", "drop")]
    wanted = decisions.settled(Log(tuple(lines)))
    for seed in range(10):
        random.Random(seed).shuffle(lines)
        assert decisions.settled(Log(tuple(lines))) == wanted


# -- who is shown what
VERDICTS = (
    {f"r{i:02}": "review" for i in range(45)} | {f"k{i:03}": "keep" for i in range(300)} | {f"d{i:02}": "drop" for i in range(60)}
)
MARGINS = {name: (int(name[1:]) * 7 % 45) / 10 for name in VERDICTS}


def made(share: float = 0.1, seed: int = 0) -> queue.Plan:
    return queue.plan(VERDICTS, MARGINS, share, seed)


def test_the_doubtful_come_first_by_distance_and_a_tenth_is_blind() -> None:
    plan = made()
    first = plan.order[: plan.num_required]
    doubtful = [name for name in first if name not in plan.blind]
    assert doubtful == sorted((n for n in VERDICTS if n[0] == "r"), key=lambda n: (MARGINS[n], n))
    assert len(plan.blind & set(first)) == 5  # of 50
    rest = [name for name in plan.order[plan.num_required :] if name not in plan.blind]
    assert rest == sorted(rest, key=lambda n: (MARGINS[n], n))
    assert len(plan.blind - set(first)) == pytest.approx(0.1 * (len(plan.order) - len(first)), abs=1)
    assert sorted(plan.order) == sorted(VERDICTS)


def test_blind_clips_are_drawn_from_both_sides_whatever_their_margin() -> None:
    sides = [sum(name[0] == side for name in made().blind) for side in "kdr"]
    assert abs(sides[0] - sides[1]) <= 1
    assert sides[2] == 0
    drawn = [MARGINS[name] for seed in range(20) for name in made(seed=seed).blind]
    everyone = [MARGINS[name] for name in VERDICTS if name[0] != "r"]
    assert sum(drawn) / len(drawn) == pytest.approx(sum(everyone) / len(everyone), rel=0.1)


def test_the_seed_decides_the_draw() -> None:
    assert made() == made()
    assert made().blind != made(seed=1).blind


def test_blind_clips_do_not_follow_a_pattern() -> None:
    plans = [made(seed=seed) for seed in range(8)]
    shown = ["".join(name[0] for name in plan.order if name in plan.blind) for plan in plans]
    assert any("kk" in word for word in shown)
    assert any("dd" in word for word in shown)


def turn(log: list[Decision], reviewer: str, second: float = 0.0) -> queue.Turn:
    return queue.turn(made(), decisions.standing(Log(tuple(log))), reviewer, second, 0)


def test_what_is_decided_is_done_and_what_another_decided_is_shown_to_a_share() -> None:
    order = made().order
    log = [said(name, "anna", "keep") for name in order[:40]]
    assert turn(log, "anna").num_done == 40
    assert turn(log, "anna").waiting == order[40 : made().num_required]
    assert turn(log, "ben").waiting == order[40 : made().num_required]
    again = set(turn(log, "ben", 0.3).waiting) & set(order[:40])
    assert 4 <= len(again) <= 20
    assert turn(log, "ben", 0.3) == turn(log, "ben", 0.3)
    assert set(turn(log, "ben", 1.0).waiting) >= set(order[:40])


def test_unsure_goes_to_another_and_a_dispute_to_a_third_before_all_else() -> None:
    order = made().order
    assert order[3] in turn([said(order[3], "anna", "unsure")], "ben").waiting
    log = [said(order[9], "anna", "keep"), said(order[9], "ben", "drop")]
    assert turn(log, "cleo").waiting[0] == order[9]
    assert turn(log, "cleo").third == {order[9]}
    assert order[9] not in turn(log, "anna", 1.0).waiting
    log += [said(order[9], "cleo", "keep")]
    assert order[9] not in turn(log, "dora", 1.0).waiting  # three have looked


# -- how far it can be trusted
def test_wilsons_interval_is_that_of_the_tables() -> None:
    for wrong, n, low, high in (
        (0, 10, 0.0, 0.27754),
        (5, 10, 0.23659, 0.76341),
        (10, 10, 0.72246, 1.0),
        (1, 100, 0.00177, 0.05449),
    ):
        found = agreement.wilson(wrong, n)
        assert found.share == wrong / n
        assert found.ci95 == pytest.approx((low, high), abs=2e-5)
    assert agreement.wilson(0, 0).ci95 is None


def test_kappa_worked_by_hand_and_by_another() -> None:
    pairs = [("keep", "keep")] * 20 + [("keep", "drop")] * 5 + [("drop", "keep")] * 10 + [("drop", "drop")] * 15
    found = agreement.kappa(pairs)
    assert found.observed == pytest.approx(0.7)  # chance: 25/50 * 30/50 + 25/50 * 20/50 = 0.5
    assert found.kappa == pytest.approx(0.4)
    assert found.ci95 == pytest.approx((0.4 - 1.96 * 0.12961, 0.4 + 1.96 * 0.12961), abs=1e-3)  # sqrt(.7 * .3 / (50 * .25))
    metrics = pytest.importorskip("sklearn.metrics")
    pairs += [("unsure", "keep")] * 3 + [("unsure", "unsure")] * 4
    assert agreement.kappa(pairs).kappa == pytest.approx(metrics.cohen_kappa_score(*zip(*pairs, strict=True)))


def test_kappa_is_not_defined_without_a_choice() -> None:
    assert agreement.kappa([]).kappa is None
    assert agreement.kappa([("keep", "keep")] * 9).kappa is None
    assert agreement.kappa([("keep", "drop")] * 9).kappa == 0


def test_agreement_is_told_for_each_two_reviewers() -> None:
    log = [said(f"c{i}", "anna", "keep") for i in range(4)] + [said(f"c{i}", "ben", "keep" if i else "drop") for i in range(3)]
    found = agreement.agreements(Log((*log, said("c0", "cleo", "drop"))))
    assert [(a.reviewers, a.num_clips) for a in found] == [(("anna", "ben"), 3), (("anna", "cleo"), 1), (("ben", "cleo"), 1)]
    assert found[0].observed == pytest.approx(2 / 3)


def test_the_filters_error_counts_blind_clips_only() -> None:
    rules = [
        RuleVerdict(clip_id=name, verdict={"k": "keep", "d": "drop", "r": "review"}[name[0]], filter="", reason="", value=None)
        for name in ("k1", "k2", "k3", "k4", "d1", "d2", "r1")
    ]
    log = [said(name, "anna", "drop", blind=True) for name in ("k1", "d1", "r1")]
    log += [
        said("k2", "anna", "keep", blind=True),
        said("d2", "anna", "keep", blind=True),
        said("k3", "anna", "unsure", blind=True),
    ]
    log += [said("k4", "anna", "drop")]  # seen with the filter's verdict: proves nothing
    found = agreement.filter_error(Log(tuple(log)), rules)
    assert (found.kept.num_wrong, found.kept.num_checked) == (1, 2)
    assert (found.dropped.num_wrong, found.dropped.num_checked) == (1, 2)
    assert (found.num_unsure, found.num_doubtful) == (1, 1)
    undone = agreement.filter_error(Log((*log, back(log[0]))), rules)
    assert (undone.kept.num_wrong, undone.kept.num_checked) == (0, 1)


# -- files out and in
RECIPE = recipes.parse({"name": "review", "search": {"words": ["dance"]}, "filters": {"silence": {}}}, "test")


def a_run(folder: Path, num_clips: int = 6) -> RunFolder:
    run = RunFolder.create(folder)
    clips = [
        Clip(
            clip_id=f"tiktok-{i}-0", post_id=str(i), song_id=f"tiktok:{i % 3}", start_s=0.0, end_s=10.0, fps=30.0, width_px=90,
            height_px=160, box=Box(left_px=0, top_px=0, width_px=90, height_px=160), media="", measures={"silent_share": i / 10},
        )
        for i in range(num_clips)
    ]  # fmt: skip
    rules = [
        RuleVerdict(clip_id=c.clip_id, verdict="review" if i < 3 else "keep", filter="silence", reason="silent", value=i / 10)
        for i, c in enumerate(clips)
    ]
    with run.writing("curate") as writer:
        writer.commit([], {"candidates": records.to_table(Clip, clips), "verdicts": records.to_table(RuleVerdict, rules)})
    return run


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    """Three clips in doubt of six; anna and ben have decided, and anna has taken one decision back."""
    run = a_run(tmp_path / "run")
    lines = [said("tiktok-0-0", "anna", "keep"), said("tiktok-0-0", "ben", "drop", reason="singing", blind=True)]
    wrong = said("tiktok-1-0", "anna", "drop")
    decisions.append(run.path, [*lines, wrong, back(wrong), said("tiktok-4-0", "anna", "unsure")])
    return run


@pytest.mark.parametrize("name", ["out.jsonl", "out.csv", "out.json"])
def test_an_export_goes_into_another_run_and_is_not_doubled(run: RunFolder, tmp_path: Path, name: str) -> None:
    file, other = tmp_path / name, a_run(tmp_path / "other")
    count = exchange.export(RECIPE, run, file)
    stands = decisions.settled(decisions.read(run.path))
    first = exchange.import_(other, file)
    assert (first.added, first.known, first.problems) == (count, 0, ())
    assert decisions.settled(decisions.read(other.path)) == stands
    assert decisions.disputed(decisions.read(other.path)) == {"tiktok-0-0"}
    again = exchange.import_(other, file)
    assert (again.added, again.known) == (0, count)
    home = exchange.import_(run, file)
    assert (home.added, home.known) == (0, count)


@pytest.mark.parametrize("name", ["log.csv", "log.jsonl"])
def test_a_line_that_was_edited_outside_is_told(run: RunFolder, tmp_path: Path, name: str) -> None:
    path, log = tmp_path / name, decisions.read(run.path)
    exchange.export(RECIPE, run, path)
    path.write_text(path.read_text().replace("keep", "drop"))
    found = exchange.import_(run, path)
    assert (found.added, found.known) == (0, 4)
    assert [problem.why.partition(" and ")[2] for problem in found.problems] == ["says something else"]
    assert decisions.read(run.path) == log


def test_a_row_that_stands_twice_counts_once(run: RunFolder, tmp_path: Path) -> None:
    exchange.export(RECIPE, run, tmp_path / "log.csv")
    head, first = (tmp_path / "log.csv").read_text().splitlines()[:2]
    (tmp_path / "twice.csv").write_text("\n".join([head, first, first, ""]))
    found = exchange.import_(a_run(tmp_path / "other"), tmp_path / "twice.csv")
    assert (found.added, found.known, found.problems) == (1, 1, ())


def test_the_table_and_the_lines_hold_the_whole_log(run: RunFolder, tmp_path: Path) -> None:
    assert exchange.export(RECIPE, run, tmp_path / "all.csv") == 5
    rows = list(csv.DictReader((tmp_path / "all.csv").read_text().splitlines()))
    assert [row["verdict"] for row in rows] == ["keep", "drop", "drop", "undo", "unsure"]
    assert rows[1]["blind"] == "true"
    exchange.export(RECIPE, run, tmp_path / "all.jsonl")
    assert (tmp_path / "all.jsonl").read_text() == decisions.place(run.path).read_text()


@pytest.fixture
def tasks(run: RunFolder, tmp_path: Path) -> list[dict[str, Any]]:
    exchange.export(RECIPE, run, tmp_path / "tasks.json")
    return json.loads((tmp_path / "tasks.json").read_text())


@pytest.fixture
def put_back(run: RunFolder, tmp_path: Path) -> Callable[[Any], exchange.Imported]:
    """Imports these tasks into the run."""

    def put(tasks: Any) -> exchange.Imported:
        (tmp_path / "back.json").write_text(json.dumps(tasks))
        return exchange.import_(run, tmp_path / "back.json")

    return put


def test_label_studio_gets_a_task_for_each_clip_in_doubt_or_decided(tasks: list[dict[str, Any]]) -> None:
    assert [task["data"]["clip_id"] for task in tasks] == [f"tiktok-{i}-0" for i in (0, 1, 2, 4)]
    assert [len(task["annotations"]) for task in tasks] == [2, 0, 0, 1]
    results = tasks[0]["annotations"][1]["result"]
    assert [(r["from_name"], r["to_name"], r["type"]) for r in results][:2] == [
        ("verdict", "clip", "choices"),
        ("reason", "clip", "choices"),
    ]
    assert results[0]["value"] == {"choices": ["drop"]}
    assert "completed_by" not in tasks[0]["annotations"][0]  # it would have to be a user there
    assert "silence" not in json.dumps(tasks)  # nor does it say what the filter says


def test_what_was_decided_or_changed_in_label_studio_comes_back(
    run: RunFolder, tasks: list[dict[str, Any]], put_back: Callable[[Any], exchange.Imported]
) -> None:
    chosen = {"id": "x1", "from_name": "verdict", "to_name": "clip", "type": "choices", "value": {"choices": ["drop"]}}
    why = {**chosen, "id": "x2", "from_name": "reason", "value": {"choices": ["ambience"]}}
    at = "2026-04-01T12:00:00.123456Z"
    tasks[2]["annotations"] = [
        {"id": 7, "result": [chosen, why], "completed_by": {"id": 3, "email": "someone@example.org"}, "updated_at": at},
        {"id": 8, "result": [chosen], "was_cancelled": True, "completed_by": 4, "updated_at": at},
    ]
    tasks[3]["annotations"][0] |= {"id": 9, "completed_by": 3, "updated_at": at}
    tasks[3]["annotations"][0]["result"][0]["value"]["choices"] = ["keep"]  # anna's 'unsure', changed there
    assert put_back(tasks).added == 2
    found = decisions.settled(decisions.read(run.path))
    assert (found["tiktok-2-0"].verdict, found["tiktok-2-0"].reason) == ("drop", "ambience")
    assert found["tiktok-2-0"].reviewer == "label-studio-3"
    assert found["tiktok-2-0"].at == "2026-04-01T12:00:00.123Z"
    assert found["tiktok-4-0"].verdict == "keep"
    assert not [word for word in ("example.org", "label-studio-4") if word in decisions.place(run.path).read_text()]
    assert (put_back(tasks).added, put_back(tasks).known) == (0, 4)


def test_a_bad_task_costs_itself_only(tasks: list[dict[str, Any]], put_back: Callable[[Any], exchange.Imported]) -> None:
    stranger = json.loads(json.dumps(tasks[3]).replace("tiktok-4-0", "tiktok-99-0"))
    stranger["annotations"][0]["result"][1]["value"]["text"] = [json.dumps(asdict(said("tiktok-99-0", "anna", "unsure")))]
    odd = {"data": {"clip_id": "tiktok-3-0"}, "annotations": [{"result": [{"value": 3}], "updated_at": "never"}]}
    found = put_back([*tasks, 5, {}, odd, stranger])
    assert (found.added, found.known) == (0, 3)
    assert len(found.problems) == 4
    assert "tiktok-99-0 is not in this run" in str(found.problems)


@pytest.mark.parametrize(
    ("name", "content", "why"),
    [
        ("x.json", b"{", "no JSON"),
        ("x.json", b"{}", "list of tasks"),
        ("x.csv", b"\xff\xfe", "no CSV"),
        ("x.txt", b"", "ending"),
        ("x.jsonl", None, "cannot be read"),
    ],
)
def test_a_file_that_is_something_else_is_one_line(
    run: RunFolder, tmp_path: Path, name: str, content: bytes | None, why: str
) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(BadInput, match=why):
        exchange.import_(run, tmp_path / name)


def test_a_table_of_other_columns_adds_nothing(run: RunFolder, tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("clip,verdict\ntiktok-1-0,keep\n")
    found = exchange.import_(run, tmp_path / "x.csv")
    assert (found.added, len(found.problems)) == (0, 1)
