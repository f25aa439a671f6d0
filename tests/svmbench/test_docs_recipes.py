"""Every key that a recipe may have is explained in docs/recipes.md, and the recipe that is shown there is one."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml

from svmbench import plugins
from svmbench.recipe import Recipe, Section, parse

TEXT = (Path(__file__).parents[2] / "docs" / "recipes.md").read_text()
NAMED = set(re.findall(r"[a-z_]+", " ".join(re.findall(r"`([^`\n]+)`", TEXT))))


def keys(model: type[Section]) -> Iterator[str]:
    for name, field in model.model_fields.items():
        yield name
        hints: tuple[Any, ...] = (field.annotation, *get_args(field.annotation))
        for hint in hints:
            if isinstance(hint, type) and issubclass(hint, Section):
                yield from keys(hint)


@pytest.mark.parametrize("key", sorted(set(keys(Recipe)) - {"as_published", "name", "about"}))
def test_every_key_is_explained(key: str) -> None:
    assert key in NAMED


def test_the_example_is_a_recipe() -> None:
    example = re.search(r"```yaml\n(.*?)```", TEXT, re.S)
    assert example
    plan = parse(yaml.safe_load(example[1]), "docs/recipes.md")
    assert "robots" in plan.model_fields_set
    for kind, names in (("curation.filters", plan.filters), ("curation.features", plan.features)):
        for name in names:
            plugins.load(kind, name)
