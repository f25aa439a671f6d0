"""Things that are added by adding a file: the file name is the public name."""

from __future__ import annotations

import importlib
import importlib.util
import pkgutil
from types import ModuleType

from svmbench.errors import UnknownName


def names(folder: str) -> list[str]:
    """The public names in a package such as 'curation.filters': its modules, without those that begin with an underscore."""
    spec = importlib.util.find_spec(folder)
    places = list(spec.submodule_search_locations or []) if spec else []
    return sorted(m.name for m in pkgutil.iter_modules(places) if not m.name.startswith("_"))


def load(folder: str, name: str) -> ModuleType:
    """The module `name` of the package `folder`; raises UnknownName with the known names and the nearest."""
    if name not in names(folder):
        kind = folder.rsplit(".", 1)[-1].removesuffix("s")
        raise UnknownName(kind, name, names(folder))
    return importlib.import_module(f"{folder}.{name}")
