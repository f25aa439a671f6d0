"""The classes of UT-CMVMR: by its own numbers, clamped where its code fails, and the same from a recipe."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from svmbench import recipe, settings
from svmbench.errors import BadSettings
from svmbench.rhythm import Bins, quantised


def classes(*rows: tuple[float, float, float], bins: Bins | None = None) -> list[list[int]]:
    values_TD = np.array([[*row, 120.0, 0.5] for row in rows], np.float32)  # the beats feature has two columns more
    return quantised(values_TD, bins or Bins()).tolist()


def test_worked_by_hand() -> None:
    """Counts as they are, strengths rounded, intervals in sixteenths of a second."""
    assert classes((8, 3.4, 0.5), (2, 3.6, 0.06), (17, 48, 3.99), (9, 0.4, 0.0625)) == [
        [8, 3, 8], [2, 4, 0], [17, 48, 63], [9, 0, 1],
    ]  # fmt: skip


def test_fewer_than_two_beats_have_a_class_of_their_own_and_no_beat_no_strength() -> None:
    assert classes((0, 0, 0), (1, 7.2, 0), (0, 9, 1)) == [[0, 0, 64], [1, 7, 64], [0, 0, 64]]


def test_what_lies_beyond_the_last_class_falls_into_it() -> None:
    assert classes((18, 49, 4.0), (500, 80, 9.0)) == [[17, 48, 63], [17, 48, 63]]


def test_every_class_is_reached_and_none_beyond() -> None:
    rng = np.random.default_rng(0)
    values = np.stack([rng.integers(0, 40, 20_000), rng.uniform(0, 90, 20_000), rng.uniform(0, 5, 20_000)], axis=1)
    found = quantised(values.astype(np.float32), Bins())
    assert found.dtype == np.int64
    assert [sorted(set(column)) for column in found.T.tolist()] == [list(range(18)), list(range(49)), list(range(65))]


def test_other_bins() -> None:
    bins = Bins(count_classes=4, strength_classes=5, strength_step_db=2.0, interval_classes=11, interval_max_s=2.0)
    assert classes((8, 3.4, 0.5), (1, 30, 0), bins=bins) == [[3, 2, 2], [1, 4, 10]]


def test_the_recipe_holds_the_same_bins() -> None:
    """Defaults and limits are written in both places."""
    section = recipe.Beats()
    assert Bins(**section.model_dump()) == Bins()
    for field in dataclasses.fields(Bins):
        for value in (field.metadata["low"], field.metadata["high"]):
            assert getattr(recipe.Beats(**{field.name: value}), field.name) == value
            settings.build(Bins, {field.name: value}, "bins")
        low = field.metadata["low"]
        with pytest.raises(BadSettings, match=f"bins.{field.name}.*out of range"):
            settings.build(Bins, {field.name: low / 2 if isinstance(low, float) else low - 1}, "bins")


def test_a_wrong_bin_in_a_recipe_is_one_line() -> None:
    with pytest.raises(BadSettings, match=r"^mine.yaml: beats.interval_classes: 1 is not allowed \(should be greater than"):
        recipe.parse({"name": "x", "search": {"words": ["a"]}, "beats": {"interval_classes": 1}}, "mine.yaml")
