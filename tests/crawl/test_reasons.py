"""Every reason that the crawl can give is explained, in one place."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import crawl
from crawl.failures import LINK_STATUS
from crawl.reasons import FAILURES, OUTCOMES, RULES, known, outcome_of, reason_of
from svmbench.optout import REASON

FOLDER = Path(crawl.__file__).parent
NAMING = ("kind", "reason", "wall", "refused", "outcome")  # arguments that carry a reason
NO_REASONS = {
    "rule",
    "failure",
    "done",
    "retry",
    "given_back",
    "left",
    "lost",
    "",
}  # values of theirs that say what kind of end it is


def modules() -> list[Path]:
    return sorted([*FOLDER.glob("*.py"), *(FOLDER / "platforms").glob("*.py")])


def constant(node: ast.AST | None) -> str | None:
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None


def named_in(path: Path) -> Iterator[str | None]:
    """Reasons in the text of a module: arguments, the tables of what extractors say, what the rules return."""
    for node in ast.walk(ast.parse(path.read_text())):
        if text := constant(node):
            yield from re.findall(r"reason='(\w+)'", text)  # in SQL
        if isinstance(node, ast.Call):
            yield from (constant(argument.value) for argument in node.keywords if argument.arg in NAMING)
            if getattr(node.func, "id", "") in ("Failure", "Refused"):
                yield constant(node.args[0]) if node.args else None
        elif isinstance(node, ast.Assign | ast.AnnAssign) and "SAYINGS" in ast.unparse(node).split("=")[0]:
            yield from (constant(e.elts[1]) for e in ast.walk(node) if isinstance(e, ast.Tuple) and constant(e.elts[0]))
        elif isinstance(node, ast.FunctionDef) and node.name.startswith("refuse"):
            for inner in ast.walk(node):
                if isinstance(inner, ast.Return) and isinstance(inner.value, ast.Tuple):
                    yield constant(inner.value.elts[0])
        elif isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") in ("FINAL", "WALLS", "BROKEN", "GOOD"):
            yield from (constant(e) for e in ast.walk(node.value))


@pytest.mark.parametrize("path", modules(), ids=lambda path: path.stem)
def test_every_reason_in_the_code_is_explained(path: Path) -> None:
    found = {name for name in named_in(path) if name} - NO_REASONS
    assert not {name for name in found if not known(name)}, f"crawl/reasons.py lacks reasons of {path.name}"


def test_the_scan_finds_what_is_there() -> None:
    found = {name for path in modules() for name in named_in(path) if name}
    assert {"throttled", "too_few_likes", "robots", "worker_lost", "captcha", "private", "not_an_id", "page_changed"} <= found


def test_reasons_from_data_files_and_numbers_are_explained() -> None:
    names = {f"media_{status}" for status in LINK_STATUS} | {REASON, "http_418"}
    for path in (FOLDER / "platforms").glob("*.json"):
        selectors = json.loads(path.read_text())
        names |= {*selectors.get("walls", {}), *selectors.get("troubles", {})}
    assert not [name for name in names if not known(name)]


def test_each_has_a_meaning_and_something_to_do() -> None:
    assert not {*RULES} & {*FAILURES}, "a reason is a rule or a failure"
    for name in {*RULES, *FAILURES, *OUTCOMES}:
        for found in (reason_of(name), outcome_of(name)):
            assert found.meaning[0].islower()
            assert found.remedy.format(reason=name)
    assert "418" in reason_of("http_418").meaning
    assert not known("a_new_one")
    assert "platform's own" in reason_of("a_new_one").meaning
    assert "retry RUN --reason a_new_one" in reason_of("a_new_one").remedy.format(reason="a_new_one")
