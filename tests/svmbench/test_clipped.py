"""Runs at full scale are counted over all frames, however the sound is cut into them."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from svmbench.clipped import Clipped


def counted(parts: list[np.ndarray], middle: int = 0, full: float = 1.0) -> int:
    found = Clipped()
    for part in parts:
        found.add([part], middle, full)
    return found.most


@pytest.mark.parametrize(
    ("wave", "runs"),
    [
        ([0, 0.5, -0.5], 0),
        ([1, 1, 0, -1, -1, 0], 0),
        ([1, 1, 1], 1),
        ([0, 1, 1, 1, 1, 1, 1, 0], 1),
        ([1, 1, 1, 0, -1, -1, -1, 0.998, 1.7, 0.999, 1], 3),
        ([0.9989] * 9, 0),
        ([np.nan, np.nan, np.nan, 1, 1, 1], 1),
        ([np.inf] * 3, 1),
    ],
)
def test_by_hand_and_cut_everywhere(wave: list[float], runs: int) -> None:
    samples = np.array(wave, np.float32)
    assert counted([samples]) == runs
    for first, second in itertools.combinations_with_replacement(range(len(samples) + 1), 2):
        assert counted([samples[:first], samples[first:second], samples[second:]]) == runs
    assert counted([samples[i : i + 1] for i in range(len(samples))]) == runs


def test_whole_numbers_reach_full_scale_on_both_sides() -> None:
    assert counted([np.array([32767, 32740, -32768, 0], np.int16)], 0, 32767.0) == 1
    assert counted([np.array([32734, 32734, 32734], np.int16)], 0, 32767.0) == 0
    assert counted([np.array([255, 255, 255, 128, 0, 1, 1], np.uint8)], 128, 127.0) == 2
    assert counted([np.array([254, 254, 254, 2, 2, 2], np.uint8)], 128, 127.0) == 0


def test_the_channel_with_most_counts_and_channels_may_come_and_go() -> None:
    found = Clipped()
    assert found.most == 0
    full, none = np.ones(5, np.float32), np.zeros(5, np.float32)
    found.add([none, full], 0, 1.0)
    found.add([none, none], 0, 1.0)
    found.add([none, full, full], 0, 1.0)
    found.add([full], 0, 1.0)
    assert found.runs == [1, 2, 1]
    assert found.most == 2
