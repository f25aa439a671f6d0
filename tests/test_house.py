"""The house keeps its shape: who may import whom, what --help may load, where things stand, how many options a command has."""

from __future__ import annotations

import ast
import inspect
import json
import subprocess
import sys
import typing
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
ROOMS = ("svmbench", "crawl", "curation", "benchmarks", "leaderboard")
ROOF = {
    "svmbench.cli",
    "svmbench.cli_audit",
    "svmbench.cli_bench",
    "svmbench.cli_review",
    "svmbench.cli_tools",
    "svmbench.demo",
    "svmbench.jobs",
    "svmbench.jobs_audit",
    "svmbench.jobs_baselines",
    "svmbench.jobs_bench",
    "svmbench.jobs_crawl",
    "svmbench.jobs_curate",
    "svmbench.__main__",
}  # may import every room; nobody imports them but each other
HEAVY = (
    "torch",
    "ray",
    "cv2",
    "librosa",
    "datasets",
    "selenium",
    "av",
    "skimage",
    "scipy",
    "yt_dlp",
    "huggingface_hub",
    "pyarrow",
)
TOP = set(ROOMS) | {"tests", "docs", ".ci", ".gitignore", "pyproject.toml", "constraints.txt", "Makefile"}
TOP |= {"README.md", "CHANGELOG.md", "CONTRIBUTING.md", "LICENSE"}


def modules() -> list[tuple[str, Path]]:
    found = []
    for room in ROOMS:
        for path in sorted((ROOT / room).rglob("*.py")):
            parts = path.relative_to(ROOT).with_suffix("").parts
            found.append((".".join(parts[:-1] if parts[-1] == "__init__" else parts), path))
    return found


def imported(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: relative import"
            names |= {f"{node.module}.{alias.name}" for alias in node.names} | {str(node.module)}
    return names


@pytest.mark.parametrize(("module", "path"), modules(), ids=[m for m, _ in modules()])
def test_imports_point_down(module: str, path: Path) -> None:
    room = module.split(".")[0]
    for name in imported(path):
        target = name.split(".")[0]
        if target not in ROOMS or module in ROOF:
            continue
        assert target in ("svmbench", room), (
            f"{module} imports {name}: siblings never import each other, and the ground imports none"
        )
        assert not any(name == roof or name.startswith(roof + ".") for roof in ROOF), f"{module} imports the roof ({name})"


def test_only_the_fleet_starts_ray_and_only_the_hub_speaks_to_the_hub() -> None:
    for module, path in modules():
        text = path.read_text()
        if module != "svmbench.fleet":
            assert "ray.init(" not in text, f"{module} starts Ray; svmbench.fleet does that"
        if module != "svmbench.hub":
            assert not any(n.split(".")[0] == "huggingface_hub" for n in imported(path)), f"{module} imports huggingface_hub"


def test_the_top_level_is_as_agreed() -> None:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True)
    if listed.returncode:
        pytest.skip("not a git checkout")
    assert {line.split("/")[0] for line in listed.stdout.splitlines()} <= TOP
    assert not list(ROOT.glob("*/utils.py")), "a helper lives beside its only user"


HELP = """
import sys, json
sys.argv = ['svmbench', '--help']
try:
    import svmbench.cli
    svmbench.cli.main()
except SystemExit:
    print('|' + json.dumps(list(sys.modules)))
"""


def test_help_is_light() -> None:
    run = subprocess.run([sys.executable, "-c", HELP], capture_output=True, text=True, check=True)
    loaded = {name.split(".")[0] for name in json.loads(run.stdout.rsplit("|", 1)[1])}
    assert not loaded & set(HEAVY), f"--help loads {sorted(loaded & set(HEAVY))}"
    assert "run-baselines" in run.stdout


def commands() -> dict[str, typing.Callable[..., object]]:
    from svmbench.cli import app

    return {(c.name or c.callback.__name__): c.callback for c in app.registered_commands if c.callback}


# Frozen: an option is a promise. At most eight a command; everything else is in the recipe or the settings.
OPTIONS = {
    "demo": ["out", "media", "posts", "fresh", "local", "as_json"],
    "crawl": ["words", "out", "limit", "dry_run", "reason", "local", "address", "as_json"],
    "curate": ["words", "out", "rejudge", "recipe", "fresh", "local", "address", "as_json"],
    "crop": ["video", "out", "method", "as_json"],
    "bench-borders": ["out", "half", "videos", "cases", "seed", "only", "local", "as_json"],
    "publish": ["run", "out", "repo", "to", "private", "tag", "dry_run", "as_json"],
    "run-baselines": ["words", "gpus", "seeds", "folds", "shuffle_pairs", "model", "address", "as_json"],
    "leaderboard": ["runs", "out", "as_json"],
    "results": ["words", "out", "format_", "as_json"],
    "import-features": ["file", "out", "window", "as_json"],
    "review": ["run", "reviewer", "second", "blind", "port", "export", "import_", "as_json"],
    "audit": ["target", "as_json"],
    "audit-split": ["target", "split", "only", "columns", "local", "address", "as_json"],
    "doctor": ["as_json"],
}


def test_the_command_line_is_frozen() -> None:
    assert {name: list(inspect.signature(f).parameters) for name, f in commands().items()} == OPTIONS
    assert all(len(options) <= 8 for options in OPTIONS.values())


def test_every_command_has_help_and_an_example() -> None:
    from svmbench.cli import app

    for command in app.registered_commands:
        assert command.callback
        assert command.callback.__doc__, command.name
        assert command.epilog, command.name
        assert command.epilog.startswith("Example:"), command.name
    readme = (ROOT / "README.md").read_text() + "".join(p.read_text() for p in (ROOT / "docs").glob("*.md"))
    for name in OPTIONS:
        assert f"svmbench {name}" in readme, f"{name} is not documented"


def test_every_public_module_and_function_says_what_it_is() -> None:
    silent = []
    for module, path in modules():
        tree = ast.parse(path.read_text())
        if not ast.get_docstring(tree):
            silent.append(module)
    assert not silent, f"no docstring: {silent}"
