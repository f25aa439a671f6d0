"""Recipes are checked before anything starts, and the message names the key, the value and what is allowed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from svmbench import recipe, settings
from svmbench.errors import BadInput, BadSettings, UnknownName
from svmbench.provenance import recipe_of, settle
from svmbench.settings import setting
from svmbench.store import RunFolder

MINIMAL = {"name": "x", "search": {"words": ["a"]}}


@pytest.mark.parametrize("name", recipe.known())
def test_every_recipe_that_ships_is_valid_and_carries_its_name(name: str) -> None:
    assert recipe.load(name).name == name


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"search": {"words": ["a"], "like_min": 3}}, ["search.like_min", "unknown key", "did you mean 'likes_min'"]),
        ({"search": {"words": ["a"], "likes_min": -3}}, ["search.likes_min", "-3", "greater than or equal to 0"]),
        ({"search": {"words": []}}, ["search.words", "at least 1"]),
        ({"search": {}}, ["search.words", "missing"]),
        ({"pace": {"pages_per_s": 1000}}, ["pace.pages_per_s", "1000", "less than or equal to 100"]),
        ({"split": {"train": 0.9}}, ["split", "is 1.2 and must be 1"]),
        ({"robots": "no"}, ["robots", "'obey'", "ignore_because"]),
        ({"robots": {"ignore_because": "no"}}, ["robots", "at least 10 characters"]),
        ({"duplicates": {"keep": "some"}}, ["duplicates.keep", "'some'", "'best'"]),
        ({"name": "Bad Name"}, ["name", "Bad Name"]),
    ],
)
def test_a_wrong_recipe_is_one_line_that_says_what_is_allowed(change: dict[str, object], words: list[str]) -> None:
    with pytest.raises(BadSettings) as caught:
        recipe.parse({**MINIMAL, **change}, "mine.yaml")
    message = str(caught.value)
    assert message.startswith("mine.yaml: ")
    assert "\n" not in message
    for word in words:
        assert word in message


def test_unknown_names_and_files(tmp_path: Path) -> None:
    with pytest.raises(UnknownName, match=r"Did you mean 'svm_10k'\?"):
        recipe.load("svm_10")
    with pytest.raises(BadInput, match="does not exist"):
        recipe.load(str(tmp_path / "absent.yaml"))
    (tmp_path / "broken.yaml").write_text("a: [1")
    with pytest.raises(BadSettings, match="not valid YAML"):
        recipe.load(str(tmp_path / "broken.yaml"))
    (tmp_path / "list.yaml").write_text("- a")
    with pytest.raises(BadSettings, match="a mapping of keys"):
        recipe.load(str(tmp_path / "list.yaml"))


@dataclass(frozen=True)
class Thresholds:
    share: float = setting(0.5, low=0, high=1, unit="of the time")
    mode: str = setting("soft", choices=("soft", "hard"))
    limit: int | None = setting(None, low=1)


def test_a_run_folder_keeps_the_order_of_the_filters(tmp_path: Path) -> None:
    plan = recipe.parse({**MINIMAL, "filters": {"silence": {}, "speech": {}, "ambience": {}}}, "test")
    run = RunFolder.create(tmp_path)
    settle(run, plan, "crawl x")
    assert list(recipe_of(RunFolder.open(tmp_path)).filters) == [
        "silence",
        "speech",
        "ambience",
    ]  # the first refusal is the reason


def test_settings_are_checked_by_their_own_ranges() -> None:
    assert settings.build(Thresholds, {"share": 1}, "filters.x") == Thresholds(share=1.0)
    assert settings.build(Thresholds, None, "filters.x") == Thresholds()
    for values, message in [
        ({"shares": 1}, r"filters\.x\.shares: unknown key; did you mean 'share'\?"),
        ({"share": 1.5}, r"filters\.x\.share: 1\.5 is out of range; allowed: 0 to 1 of the time"),
        ({"share": "high"}, r"filters\.x\.share: 'high' is not float"),
        ({"share": True}, r"filters\.x\.share: True is not float"),
        ({"mode": "loud"}, r"'loud' is not allowed; allowed: soft, hard"),
        ({"limit": 0}, r"0 is out of range; allowed: 1 to any"),
        ({"share": float("nan")}, r"nan is out of range"),
    ]:
        with pytest.raises(BadSettings, match=message):
            settings.build(Thresholds, values, "filters.x")


def test_the_settings_hash_depends_on_values_only() -> None:
    assert settings.settings_hash(Thresholds()) == settings.settings_hash(Thresholds(share=0.5))
    assert settings.settings_hash(Thresholds()) != settings.settings_hash(Thresholds(share=0.6))


@pytest.mark.parametrize("words", ["[#dance, food]", "\n    - #dance"])
def test_a_hashtag_without_quotes_is_told(tmp_path: Path, words: str) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(f"name: mine\nsearch:\n  words: {words}\n")
    with pytest.raises(BadSettings, match="begins with # must"):
        recipe.load(str(path))
