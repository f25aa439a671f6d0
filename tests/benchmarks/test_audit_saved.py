"""The audit of what lies on the disk: a run with its records, a single record, and what was changed in them afterwards."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from benchmarks import audit, record
from benchmarks.audit import Audited
from benchmarks.checks import Finding
from benchmarks.ranking import Ranks
from benchmarks.run import run_baselines
from svmbench import jobs_audit
from svmbench.errors import BadInput
from svmbench.fleet import Fleet
from svmbench.progress import Progress
from svmbench.records import V2M
from svmbench.store import RunFolder, sha256_file


@pytest.fixture(scope="module")
def scored(tmp_path_factory: pytest.TempPathFactory, toy_maker: Callable[..., RunFolder]) -> Path:
    """A run with the records of chance and cca."""
    run = toy_maker(tmp_path_factory.mktemp("audit") / "toy")
    with Fleet(local=True) as fleet:
        run_baselines(run, fleet, Progress(quiet=True), names=("chance", "cca"))
    return run.path


def by_name(found: list[Audited]) -> dict[str, dict[str, Finding]]:
    return {audited.name.split(",")[0]: {f.check: f for f in audited.findings} for audited in found}


def test_a_clean_run_passes_with_its_data_and_all_that_its_fits_recorded(scored: Path) -> None:
    found = by_name(audit.of_records([scored]))
    assert set(found) == {"the data", "cca default", "chance expected"}
    assert found["the data"]["split_leak"].passed
    cca = found["cca default"]
    assert all(cca[name].passed for name in ("record", "ties", "shape", "pool_audit", "batch_invariance", "split_leak"))
    assert cca["batch_invariance"].detail.startswith("as the fit recorded: ")
    assert not cca["ties"].detail.startswith("as the fit recorded")
    told = jobs_audit.audit_job(str(scored))
    assert told.failed == 0
    verdicts = {(line.row.split(",")[0], line.check): line.verdict for line in told.lines}
    assert verdicts["chance expected", "ties"] == "by design"
    assert any("cca default" in note and "R@10" in note for note in told.notes)


def test_nothing_is_written(scored: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in scored.rglob("*")}
    audit.of_records([scored])
    assert {path: path.stat().st_mtime_ns for path in scored.rglob("*")} == before


@pytest.fixture
def alone(scored: Path, tmp_path: Path) -> Path:
    """The record of cca, sent by itself."""
    (folder,) = (scored / "results").glob("cca-*")
    return Path(shutil.copytree(folder, tmp_path / "sent" / folder.name))


def test_a_record_by_itself_needs_no_run(alone: Path) -> None:
    found = by_name(audit.of_records([alone]))
    assert set(found) == {"cca default"}
    assert found["cca default"]["record"].passed
    assert found["cca default"]["split_leak"].detail.startswith("as the fit recorded: ")


def test_a_score_that_was_changed_is_found(alone: Path) -> None:
    values = json.loads((alone / "record.json").read_text())
    values["scores"][V2M]["metrics"]["recall@1"]["value"] += 0.1
    (alone / "record.json").write_text(json.dumps(values))
    finding = by_name(audit.of_records([alone]))["cca default"]["record"]
    assert finding.passed is False
    assert "recall@1" in finding.detail


def test_a_record_of_a_baseline_that_this_version_lacks_is_audited_all_the_same(alone: Path) -> None:
    values = json.loads((alone / "record.json").read_text())
    values["model"]["baseline"] = "tomorrow"
    (alone / "record.json").write_text(json.dumps(values))
    (found,) = audit.of_records([alone])
    assert {f.check for f in found.findings} >= {"record", "ties", "shape", "pool_audit"}


def test_a_record_that_says_a_check_failed_keeps_its_mark(alone: Path) -> None:
    values = json.loads((alone / "record.json").read_text())
    failed = "finite: FAILED, largest deviation from unit length 3.0e+00, limit 0.001"
    values["checks"]["findings"] = [failed if f.startswith("finite: ") else f for f in values["checks"]["findings"]]
    (alone / "record.json").write_text(json.dumps(values))
    finding = by_name(audit.of_records([alone]))["cca default"]["finite"]
    assert finding.passed is False
    assert finding.detail == "as the fit recorded: largest deviation from unit length 3.0e+00, limit 0.001"
    assert jobs_audit.audit_job(str(alone)).failed


def test_ranks_that_were_forged_with_all_that_follows_from_them_show_their_shape(alone: Path) -> None:
    """Ranks with an edge, a record made anew of them: whole, and caught by the shape of the ranks alone."""
    num = 600
    place, one = np.random.default_rng(0).integers(0, 40, num), np.ones(num, int)
    ranks = Ranks.of_best(place, 0 * one, one, one, num * one)
    names = np.asarray([f"{i:04d}" for i in range(num)])
    listed = record.Listed(np.char.add("v:", names), names, np.full(num, -1), ranks)
    values = json.loads((alone / "record.json").read_text())
    shutil.rmtree(alone)
    folder = record.write(record.Entry(values, {V2M: listed}), alone.parent)
    finding = by_name(audit.of_records([folder]))["cca default"]["shape"]
    assert finding.passed is False
    assert "the ranks fill 40 of 600 places" in finding.detail


def test_a_file_that_was_damaged_is_a_failed_row_and_the_others_are_still_audited(scored: Path, tmp_path: Path) -> None:
    copied = Path(shutil.copytree(scored / "results", tmp_path / "results"))
    (folder,) = copied.glob("cca-*")
    table = pq.read_table(folder / "ranks.parquet")
    pq.write_table(table.set_column(0, "direction", pa.array(["sideways"] * len(table))), folder / "ranks.parquet")
    (other,) = copied.glob("chance-*")
    (other / "ranks.parquet").write_bytes(b"no parquet")
    assert (
        sha256_file(folder / "ranks.parquet") != json.loads((folder / "record.json").read_text())["artifacts"]["ranks"]["sha256"]
    )
    found = audit.of_records([copied])
    assert len(found) == 2
    assert all(f.passed is False for audited in found for f in audited.findings if f.check == "record")


def test_the_worst_of_several_folds_is_told() -> None:
    folds = [Finding("split_leak", passed, 0.0, text) for passed, text in ((True, "a"), (False, "b"), (None, "c"))]
    assert audit.worst(folds).detail == "b (in 1 of 3 folds)"
    assert audit.worst([folds[1], folds[1]]).detail == "b"
    assert audit.worst([folds[0], folds[2]]).passed


def test_folds_that_say_the_same_are_all_counted(tmp_path: Path, scored_run: Callable[..., RunFolder]) -> None:
    said = ["passed, at chance", "FAILED, duration", "passed, at chance"]
    rows = [
        {"baseline": "cca", "noise": 1.0, "split": "3-fold", "folds": 3, "fold": fold, "findings": [f"negative_controls: {text}"]}
        for fold, text in enumerate(said)
    ]
    control = by_name(audit.of_records([scored_run(tmp_path / "run", rows).path]))["cca default"]["negative_controls"]
    assert control.passed is False
    assert control.detail == "as the fit recorded: duration (in 1 of 3 folds)"


def test_the_data_of_cross_validation_is_looked_at_fold_by_fold(tmp_path: Path, toy_maker: Callable[..., RunFolder]) -> None:
    run = toy_maker(tmp_path / "folds", songs=20, split=False)
    with Fleet(local=True) as fleet:
        run_baselines(run, fleet, Progress(quiet=True), names=("chance",), folds=2)
    found = by_name(audit.of_records([run.path]))
    assert found["the data"]["split_leak"].passed
    assert found["the data"]["split_leak"].check == "split_leak"
    shutil.rmtree(next((run.path / "features").iterdir()))
    gone = by_name(audit.of_records([run.path]))["the data"]["data"]
    assert gone.passed is None
    assert "is not a feature pack" in gone.detail, "what could not be looked at is told"


def test_a_run_without_results_is_one_line(tmp_path: Path, toy_maker: Callable[..., RunFolder]) -> None:
    with pytest.raises(BadInput, match="has no results"):
        audit.of_records([toy_maker(tmp_path / "bare").path])
