"""What most filters share: a range that the measure must lie in, open at both ends unless the recipe says."""

from __future__ import annotations

from svmbench.records import Verdict


def judge(value: float | None, low: float | None, high: float | None, *, below: str = "", above: str = "") -> Verdict:
    """Keeps low <= value <= high, where None is no limit; refuses with the word `below` or `above`.

    What could not be measured is kept: nothing is held against it.
    """
    if value is None:
        return Verdict(keep=True, reason="not_measured", value=None)
    if low is not None and value < low:
        return Verdict(keep=False, reason=below, value=value)
    if high is not None and value > high:
        return Verdict(keep=False, reason=above, value=value)
    return Verdict(keep=True, reason="", value=value)
