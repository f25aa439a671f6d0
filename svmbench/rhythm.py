"""From the beats of a segment to the classes that UT-CMVMR (arXiv 2309.09421) embeds: how many beats, how strong, how far apart.

The paper (section 2.2) says that the number of beats is used as it is, and the other two cut into bins of an estimated range.
The numbers are those of the authors' code (TencentARC-QQ/UT-CMVMR): 18 counts; strengths rounded to whole numbers, 49 of them;
64 intervals of 4 / 64 s and a 65th class for segments with fewer than two beats. Their code fails on a value beyond the last
class; here it falls into the last.

Axes: T segments, D columns of the beat features.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from svmbench.settings import setting


@dataclass(frozen=True, slots=True, kw_only=True)
class Bins:
    """How the three statistics of a segment become classes. The embedding tables have as many rows as there are classes."""

    count_classes: int = setting(18, low=2, high=1024, source="UT-CMVMR's code: 0 to 17 beats")
    strength_classes: int = setting(49, low=2, high=1024, source="UT-CMVMR's code: 0 to 48")
    strength_step_db: float = setting(1.0, low=0.01, high=80.0, unit="dB", source="UT-CMVMR's code: rounded to whole numbers")
    interval_classes: int = setting(65, low=3, high=4097, source="UT-CMVMR's code: the last is for fewer than two beats")
    interval_max_s: float = setting(4.0, low=0.1, high=600.0, unit="s", source="UT-CMVMR's code: the length of a segment")


def quantised(values_TD: np.ndarray, bins: Bins) -> np.ndarray:
    """int64 of shape (T, 3), classes of count, strength and interval, from a feature whose columns begin with those three.

    A segment without beats has the strength class 0, one with fewer than two the last interval class.
    """
    count_T, strength_T, interval_T = values_TD[:, :3].astype(np.float64).T
    last_bin = bins.interval_classes - 2
    strength = np.rint(strength_T / bins.strength_step_db)
    interval = np.floor(interval_T * (last_bin + 1) / bins.interval_max_s)
    classes_T3 = np.stack(
        [
            np.clip(count_T, 0, bins.count_classes - 1),
            np.where(count_T > 0, np.clip(strength, 0, bins.strength_classes - 1), 0),
            np.where(count_T > 1, np.clip(interval, 0, last_bin), bins.interval_classes - 1),
        ],
        axis=1,
    )
    return classes_T3.astype(np.int64)
