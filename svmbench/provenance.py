"""Which code, packages and machine made a run, and the rule that one run folder belongs to one recipe."""

from __future__ import annotations

import os
import platform
import subprocess
from datetime import datetime, timezone
from functools import lru_cache
from importlib import metadata
from pathlib import Path
from typing import Any

from svmbench import __version__
from svmbench.errors import BadInput, BadSettings
from svmbench.recipe import Recipe, parse
from svmbench.store import RunFolder

PACKAGES = (
    "ray",
    "torch",
    "numpy",
    "av",
    "opencv-python-headless",
    "scikit-image",
    "selenium",
    "yt-dlp",
    "datasets",
    "huggingface_hub",
)


@lru_cache
def commit() -> str:
    """The commit of svmbench's own checkout, with '+' if files differ from it; 'v<version>' for an installed wheel."""
    root = Path(__file__).resolve().parent.parent
    if not (root / ".git").exists():
        return f"v{__version__}"
    try:
        sha = _git(root, "rev-parse", "--short=12", "HEAD")
        return sha + ("+" if _git(root, "status", "--porcelain", "--untracked-files=no") else "")
    except (OSError, subprocess.SubprocessError):
        return f"v{__version__}"


def _git(root: Path, *words: str) -> str:
    return subprocess.run(["git", *words], cwd=root, capture_output=True, text=True, check=True, timeout=20).stdout.strip()


def versions() -> dict[str, str]:
    """Installed versions of the packages that decide a result, and of Python."""
    found = {"svmbench": __version__, "python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def machine() -> dict[str, Any]:
    """Cores and memory of this machine; no names."""
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return {
        "system": platform.system(),
        "processor": platform.machine(),
        "cores": os.cpu_count(),
        "memory_gb": round(pages / 2**30),
    }


def now() -> str:
    """UTC, ISO 8601, to the second."""
    return datetime.now(timezone.utc).isoformat(timespec="seconds").replace("+00:00", "Z")


def require_same(run: RunFolder, recipe: Recipe) -> None:
    """BadSettings where the run was made with another recipe.

    What an older run's recipe lacks has its default. The section `pace` says how, and not what, and may change; so may the place
    of search.source, which the crawl knows by its content.
    """
    if run.settings().get("recipe") is not None:
        old, new = recipe_of(run).model_dump(mode="json"), recipe.model_dump(mode="json")
        if difference := _first_difference(_decides(old), _decides(new)):
            raise BadSettings(f"{run.path} was made with another recipe ({difference}); choose another folder with --out")


def settle(run: RunFolder, recipe: Recipe, command: str) -> None:
    """Writes the resolved recipe into the run's settings, once it is the same as before; notes the command."""
    require_same(run, recipe)
    values = {"commit": commit(), "versions": versions(), "machine": machine()}
    run.write_settings({"recipe": recipe.model_dump(mode="json"), "svmbench": values})
    note(run, command)


def note(run: RunFolder, command: str) -> None:
    """Adds a command to the run's history."""
    history = run.settings().get("history", [])
    run.write_settings({"history": [*history, {"at": now(), "command": command, "commit": commit()}]})


def recipe_of(run: RunFolder) -> Recipe:
    """The recipe that a run folder was made with."""
    values = run.settings().get("recipe")
    if values is None:
        raise BadInput(f"{run.path} has no recipe in its settings; make it with 'svmbench crawl'")
    return parse(values, str(run.path / "settings.json"))


def _decides(values: dict[str, Any]) -> dict[str, Any]:
    """What of a recipe decides the dataset."""
    search = {key: value for key, value in values["search"].items() if key != "source"}
    return {key: value for key, value in values.items() if key != "pace"} | {"search": search}


def _first_difference(old: Any, new: Any, where: str = "") -> str:
    if old == new:
        return ""
    if isinstance(old, dict) and isinstance(new, dict):
        for key in sorted({*old, *new}):
            if old.get(key) != new.get(key):
                return _first_difference(old.get(key), new.get(key), f"{where}.{key}" if where else key)
    return f"{where}: {old!r} there, {new!r} now"
