"""The check of two clips that the index points at: its limits, as they were when docs/songs.md was scored, and what it compares.

Whoever changes a limit scores tests/perf/songs.py anew, and says so in docs/songs.md.
"""

from __future__ import annotations

import math

import numpy as np
import pytest

from curation import fingerprint, landmarks
from curation.landmarks import Lay
from curation.song_match import Comparison, Heard, plausible, wrong_bits

LITTLE = 1e-3
TURNTABLE = 36 / math.log(2)  # bins of pitch for each unit of the tempo's logarithm
STILL, FASTER, HIGHER, BOTH = (0.0, 0.0), (0.0, 0.05), (3.0, 0.0), (0.095 * TURNTABLE, 0.095)


def same(way: tuple[float, float], height: float, share: float, wrong: float | None) -> bool:
    """way: bins by which the first is higher, and the logarithm of its tempo."""
    return Comparison(Lay(shift=way[0], tempo=math.exp(way[1]), offset=0.0, share=share, height=height), wrong).same


@pytest.mark.parametrize(("way", "height", "share", "wrong"), [
    (STILL, 6.0, 0.12, 0.22), (STILL, 14.0, 0.28, 0.378), (STILL, 29.0, 0.3, 0.42), (FASTER, 20.0, 0.3, 0.22),
    *((way, *limits) for way in (HIGHER, BOTH) for limits in ((20.0, 0.3, 0.27), (33.0, 0.3, 0.35), (40.0, 0.3, 0.36))),
])  # fmt: skip
def test_each_limit_is_met_by_all_three_numbers(way, height, share, wrong):
    assert same(way, height, share, wrong)
    assert not same(way, height - LITTLE, share, wrong)
    assert not same(way, height, share - LITTLE, wrong)
    assert not same(way, height, share, wrong + LITTLE)


def test_words_need_not_agree_where_very_many_peaks_do_and_nothing_was_changed():
    assert same(STILL, 32.0, 0.3, None)
    assert same(STILL, 32.0, 0.3, 1.0)
    assert not same(STILL, 32.0 - LITTLE, 0.3, None)
    assert not same(STILL, 32.0, 0.3 - LITTLE, None)
    assert not any(same(way, 90.0, 1.0, None) for way in (FASTER, HIGHER, BOTH))


@pytest.mark.parametrize("sign", [-1, 1])
def test_how_near_to_unchanged_a_clip_must_lie(sign):
    """Within 0.3 bins and 0.1 % the limits of what was not changed hold; within 0.6 bins and 6.6 % those of another tempo."""
    weak, middle = (6.0, 0.12, 0.22), (20.0, 0.3, 0.22)
    assert same((sign * 0.3, 0.0), *weak)
    assert not same((sign * 0.301, 0.0), *weak)
    assert same((0.0, sign * 0.00099), *weak)
    assert not same((0.0, sign * 0.00101), *weak)
    assert same((sign * 0.6, sign * 0.0659), *middle)
    assert not same((sign * 0.601, sign * 0.0659), *middle)
    assert not same((0.0, sign * 0.0661), *middle)
    assert not same((0.0, sign * 0.05), 20.0, 0.3, 0.27), "another tempo alone is held to its own limits"
    assert same((sign * 0.601, 0.0), 20.0, 0.3, 0.27), "beyond them another pitch is"


@pytest.mark.parametrize("sign", [-1, 1])
def test_only_changes_that_people_make_are_plausible(sign):
    for shift, tempo, told in [
        (3.7, 0.0, True), (3.71, 0.0, False), (3.0, 0.0125, True), (3.0, -0.0127, False),  # another pitch at the same tempo
        (5.0, 5 / TURNTABLE, True), (5.0, 5 / TURNTABLE + 0.0125, True), (5.0, 5 / TURNTABLE - 0.0125, True),  # a turntable
        (5.0, 5 / TURNTABLE + 0.0127, False), (5.0, 5 / TURNTABLE - 0.0127, False), (5.0, -5 / TURNTABLE, False),
        (0.7, 0.05, False),
    ]:  # fmt: skip
        assert plausible(sign * shift, sign * tempo) == told
        assert same((sign * shift, sign * tempo), 40.0, 0.3, 0.27) == told


def test_the_score_is_the_better_of_peaks_and_words():
    lay = Lay(shift=0.0, tempo=1.0, offset=0.0, share=0.4, height=20.0)
    assert [Comparison(lay, wrong).score for wrong in (0.1, 0.3, 0.5, None)] == [0.8, 0.4, 0.4, 0.4]


# -- wrong bits
def heard(words: np.ndarray) -> Heard:
    """Other words at every other speed."""
    rng = np.random.default_rng(9)
    every = [rng.integers(1, 2**32, len(words), dtype=np.uint32) for _ in fingerprint.SPEEDS]
    every[fingerprint.NORMAL] = words
    return Heard(every, np.zeros(0, landmarks.TYPE))


def lay(later: float = 0.0, shift: float = 0.0) -> Lay:
    """The first lies so many words later over the second."""
    return Lay(shift=shift, tempo=1.0, offset=later * fingerprint.HOP / landmarks.HOP, share=1.0, height=50.0)


@pytest.fixture
def words() -> np.ndarray:
    return np.random.default_rng(1).integers(1, 2**32, 60, dtype=np.uint32)


def test_words_are_compared_where_the_peaks_lie(words):
    one, other = heard(words[7:]), heard(words)
    assert wrong_bits(one, other, lay(7.0)) == 0.0
    assert wrong_bits(other, one, lay(-7.0)) == 0.0
    assert 0.4 < wrong_bits(one, other, lay(8.0)) < 0.6
    turned = words ^ np.uint32(0b111)
    assert wrong_bits(heard(turned), other, lay()) == pytest.approx(3 / 32)


def test_the_first_is_compared_at_the_speed_that_undoes_its_pitch(words):
    """Two steps of 2 % higher: 36 log2(1.02^2) bins."""
    shift = 36 * math.log2(fingerprint.STEP**2)
    one, other = heard(words), heard(words)
    slowed = fingerprint.NORMAL - 2
    one.words_SW[slowed] = words
    stretched = Lay(shift=shift, tempo=1 / fingerprint.SPEEDS[slowed], offset=0.0, share=1.0, height=50.0)
    assert wrong_bits(one, other, stretched) == 0.0
    assert wrong_bits(one, other, Lay(shift=-shift, tempo=fingerprint.SPEEDS[slowed], offset=0.0, share=1.0, height=50.0)) > 0.4
    assert wrong_bits(one, other, lay(0.0, 99.0)) > 0.4, "beyond the sweep the last speed is taken"


@pytest.mark.parametrize(("overlap", "told"), [(12, True), (11, False)])
def test_too_few_words_say_nothing(overlap, told, words):
    one, other = heard(words[-overlap:]), heard(words)
    assert (wrong_bits(one, other, lay(60.0 - overlap)) == 0.0) == told
    assert (wrong_bits(one, other, lay(60.0 - overlap)) is None) != told


def test_silence_and_steady_tones_say_nothing(words):
    silent = words.copy()
    silent[: 60 - 11] = fingerprint.EMPTY
    assert wrong_bits(heard(silent), heard(words), lay()) is None
    assert wrong_bits(heard(words), heard(silent), lay()) is None
    silent[60 - 12] = 5
    assert wrong_bits(heard(silent), heard(silent), lay()) == 0.0
    half = words.copy()
    half[::2] = fingerprint.EMPTY
    assert wrong_bits(heard(half), heard(words), lay()) == wrong_bits(heard(words), heard(half), lay()) == 0.0
    few, enough = (np.resize(words[:number], 60) for number in (19, 20))
    assert wrong_bits(heard(few), heard(few), lay()) is None
    assert wrong_bits(heard(enough), heard(enough), lay()) == 0.0
    assert wrong_bits(heard(enough), heard(few), lay()) is None, "neither may be steady"
    assert wrong_bits(heard(few), heard(enough), lay()) is None
