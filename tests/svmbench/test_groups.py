"""Groups: rows that share a key, also by way of others."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from svmbench.groups import groups


def test_by_hand() -> None:
    assert groups([]) == []
    assert groups([["a"], ["b"], ["a", "c"], [], ["c"], []]) == [0, 1, 0, 2, 0, 3]
    assert groups([["x"], ["y"], ["z"], ["z", "y"], ["y", "x"]]) == [0] * 5


@given(st.lists(st.lists(st.integers(0, 20), max_size=3), max_size=25))
def test_the_groups_are_the_connected_components(rows: list[list[int]]) -> None:
    found = groups(rows)
    for number, keys in enumerate(rows):
        reached, grown = {number}, set(keys)
        while True:
            more = {i for i, other in enumerate(rows) if grown & set(other)} | reached
            if more == reached:
                break
            reached, grown = more, grown | {key for i in more for key in rows[i]}
        assert {i for i, group in enumerate(found) if group == found[number]} == reached
    assert list(dict.fromkeys(found)) == list(range(len(set(found))))
