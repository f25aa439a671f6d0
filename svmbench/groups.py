"""Which rows belong together. What shares a song, a post or a file must stay on one side of a split."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def groups(rows: Sequence[Iterable[object]]) -> list[int]:
    """The group of each row, given its keys: rows that share a key are in one group, also by way of other rows.

    Groups are numbered from 0 in order of first appearance.
    """
    parent = list(range(len(rows)))

    def root(i: int) -> int:
        while parent[i] != i:
            parent[i] = i = parent[parent[i]]
        return i

    first: dict[object, int] = {}
    for i, keys in enumerate(rows):
        for key in keys:
            a, b = root(first.setdefault(key, i)), root(i)
            parent[max(a, b)] = min(a, b)
    roots = [root(i) for i in range(len(rows))]
    number = {r: n for n, r in enumerate(dict.fromkeys(roots))}
    return [number[r] for r in roots]
