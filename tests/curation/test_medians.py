"""The running median: equal to sorting every window, and to SciPy's filter."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.ndimage

from curation import medians
from curation.medians import running_median

SHAPES = [(5, 100), (3, 31), (4, 20), (1, 1), (17, 33), (70, 2)]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("size", [3, 7, 31, 63])
@pytest.mark.parametrize("axis", [0, 1])
def test_it_is_the_median_of_every_window(shape: tuple[int, int], size: int, axis: int) -> None:
    values = np.random.default_rng(4).standard_normal(shape).astype(np.float32)
    half = [(0, 0), (0, 0)]
    half[axis] = (size // 2, size // 2)
    windows = np.lib.stride_tricks.sliding_window_view(np.pad(values, half, mode="symmetric"), size, axis=axis)
    np.testing.assert_array_equal(running_median(values, size, axis), np.median(windows, axis=-1))


def test_it_is_scipys_filter_on_a_spectrogram_with_ties_and_silence() -> None:
    values = np.random.default_rng(5).integers(0, 9, (300, 1025)).astype(np.float32)
    values[100:150] = 0
    for axis, size in ((0, (31, 1)), (1, (1, 31))):
        np.testing.assert_array_equal(running_median(values, 31, axis), scipy.ndimage.median_filter(values, size=size))


def test_columns_are_treated_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(6).standard_normal((40, 90)).astype(np.float32)
    whole = running_median(values, 31, axis=0)
    monkeypatch.setattr(medians, "CACHED", 30)
    np.testing.assert_array_equal(running_median(values, 31, axis=0), whole)


@pytest.mark.parametrize("size", [1, 2, 5, 30, 32])
def test_another_size_is_refused(size: int) -> None:
    with pytest.raises(ValueError, match="power of two"):
        running_median(np.zeros((3, 3), np.float32), size)
