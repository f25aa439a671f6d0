"""A run -> its report: one HTML page without network, and report.json with the same numbers beside it."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from functools import partial
from importlib import resources
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from curation.report import draw, numbers
from svmbench.recipe import Recipe
from svmbench.store import RunFolder, write_atomically


def build(recipe: Recipe, run: RunFolder, out: Path) -> Path:
    """Writes the page to `out` (an .html file, or a folder that gets report.html), and beside it the numbers as .json; numbers.py
    says what is in them. Returns the path of the page. BadInput: a run in which nothing was found yet.
    """
    found = numbers.gather(recipe, run)
    path = out if out.suffix.lower() in (".html", ".htm") else out / "report.html"
    plain = json.dumps(found, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    for target, content in ((path.with_suffix(".json"), plain), (path, page(found))):
        write_atomically(target, partial(Path.write_text, data=content, encoding="utf-8"))
    return path


def page(found: dict[str, Any]) -> str:
    """The page of these numbers."""
    css = _packaged("page.css")
    digest = base64.b64encode(hashlib.sha256(css.encode()).digest()).decode()  # by which the security policy allows the style
    return _template().render(css=Markup(css), css_hash=f"sha256-{digest}", draw=draw, **found)


def _template() -> jinja2.Template:
    env = jinja2.Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined)
    env.filters["n"] = lambda value: f"{value:,}"
    env.filters["g"] = draw.figure
    env.filters["percent"] = lambda share: f"{100 * share:.1f} %"
    env.filters["words"] = lambda name: str(name).replace("_", " ")
    env.filters["measure"] = lambda name: re.sub(r"(?<! per) (s|px|db|lufs)$", r" (\1)", name.replace("_", " "))
    return env.from_string(_packaged("page.html"))


def _packaged(name: str) -> str:
    return resources.files("curation.report").joinpath(name).read_text(encoding="utf-8")
