"""The recipes that ship: every number says where it comes from, the figures are the papers', and all that they name exists."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

import crawl.run
import curation.run
from crawl.platforms import ids
from svmbench import plugins, recipe
from svmbench.errors import BadSettings

NUMBER = re.compile(r"(?<![\w.])\d+(\.\d+)?(?![\w.])")
TEXT = ("about", "title")  # prose


def numbered_lines(name: str) -> list[tuple[str, str]]:
    """(what stands before the comment, the comment) of each line that has a number as a value."""
    lines = [line.partition("#") for line in (recipe.FOLDER / f"{name}.yaml").read_text().splitlines()]
    return [(code, comment) for code, _, comment in lines if NUMBER.search(code) and code.strip().partition(":")[0] not in TEXT]


@pytest.mark.parametrize("name", recipe.known())
def test_every_number_has_its_place_in_the_paper_or_is_ours(name: str) -> None:
    lines = numbered_lines(name)
    assert len(lines) > 5
    assert [code for code, comment in lines if not re.search(r"section [IVX\d]|Table \d|abstract of|\bours\b", comment)] == []


def test_the_check_above_sees_a_number_without_a_source() -> None:
    for line, bare in [("  min_s: 4   # fine", True), ("clip: {min_s: 4}", True), ("words: [a 4k film, top_10]", False)]:
        code, _, comment = line.partition("#")
        assert bool(NUMBER.search(code) and "ours" not in comment) == bare


@pytest.mark.parametrize("name", recipe.known())
def test_all_that_a_recipe_names_exists(name: str) -> None:
    plan = recipe.load(name)
    assert set(plan.features) <= set(plugins.names("curation.features"))
    assert set(plan.filters) <= set(plugins.names("curation.filters"))
    curation.run.check(plan)
    assert plan.search.platform in plugins.names("crawl.platforms")


@pytest.mark.parametrize("name", ["tivm", "himv_200k"])
def test_a_set_that_is_a_list_says_so_and_takes_one(name: str, tmp_path: Path) -> None:
    with pytest.raises(BadSettings, match=r"search\.source: missing; name the list, as in 'svmbench crawl tivm LIST\.csv'"):
        crawl.run.check(recipe.load(name))
    listed = tmp_path / "list.csv"
    listed.write_text(
        "video,label\n" + "".join(f"https://www.youtube.com/watch?v=abcdefghi{n:02d},Music video\n" for n in range(30))
    )
    plan = recipe.load(name)
    plan = plan.model_copy(update={"search": plan.search.model_copy(update={"source": str(listed)})})
    crawl.run.check(plan)
    assert ids.expected(plan.search) == {"youtube_shorts": 30}


def test_the_figures_of_the_papers() -> None:
    svm, m2m, tivm, ut = (recipe.load(name) for name in ("svm_10k", "m2m", "tivm", "ut_cmvmr"))
    assert svm.search.likes_min == 10_001
    assert svm.search.posts_per_word * len(svm.search.words) == 40_000
    assert svm.split.as_published == recipe.AsPublished(train=7940, val=0, test=500)
    assert (svm.sound.preset, m2m.sound.preset, m2m.sound.natural_max) == ("svm_10k", "m2m", 2000)
    assert m2m.split.as_published == recipe.AsPublished(train=8000, val=0, test=2000)
    assert (m2m.clip.min_s, m2m.clip.max_s) == (10, 60)
    assert (tivm.clip.segment_s, tivm.clip.min_s) == (15, 15)
    assert tivm.split.as_published == recipe.AsPublished(train=0.8, val=0.1, test=0.1, keys=("song",))
    assert ut.clip.max_s == 28
    assert ut.labels is not None
    assert ut.labels.labels_max == 578


@pytest.mark.parametrize("name", recipe.known())
def test_the_default_is_strict_and_one_word_gives_the_papers_split(name: str) -> None:
    values = yaml.safe_load((recipe.FOLDER / f"{name}.yaml").read_text())
    assert recipe.parse(values, name).split.rule == "strict"
    assert recipe.parse(values, name).split.keys == ("song", "near-duplicate", "author")
    values["split"]["rule"] = "as_published"
    if name == "demo":
        with pytest.raises(BadSettings, match="rule: as_published needs the numbers of the paper"):
            recipe.parse(values, name)
    else:
        assert recipe.parse(values, name).split.rule == "as_published"


def test_rules_that_cannot_be() -> None:
    minimal: dict[str, object] = {"name": "x", "search": {"words": ["a"]}}
    changes: list[tuple[dict[str, object], str]] = [
        ({"split": {"stratify": "label"}}, r"^x: recipe: split\.stratify: label needs the section labels$"),
        (
            {"split": {"keys": ["songs"]}},
            r"split\.keys\.0: 'songs' is not allowed \(should be 'song', 'near-duplicate' or 'author'",
        ),
        ({"split": {"as_published": {"train": 0.5, "test": 20}}}, "whole numbers of clips, or shares that sum to 1"),
        ({"split": {"as_published": {"train": 0.5, "test": 0.4}}}, "whole numbers of clips, or shares that sum to 1"),
        ({"labels": {"song_min": 2}}, r"labels\.song_min: unknown key; did you mean 'songs_min'"),
        ({"split": {"as_published": {"train": 1, "tests": 1, "test": 0}}}, "did you mean 'test'"),
    ]
    for change, message in changes:
        with pytest.raises(BadSettings, match=message):
            recipe.parse({**minimal, **change}, "x")


def test_a_run_of_before_there_were_keys_keeps_its_meaning() -> None:
    for by, keys in [("song", ("song", "near-duplicate")), ("post", ("near-duplicate",))]:
        values = {"name": "x", "search": {"words": ["a"]}, "split": {"by": by, "train": 1, "val": 0, "test": 0}}
        found = recipe.parse(values, "x").split
        assert (found.keys, found.train, found.rule) == (keys, 1, "strict")
