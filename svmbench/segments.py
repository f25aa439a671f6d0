"""Consecutive stretches of a film, each collected from the same pass as if the film began and ended with it."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from svmbench.pictures import SOON_S, FrameNeed, Picture, Taker


def bounds(length_s: float, segment_s: float, min_s: float) -> list[tuple[float, float]]:
    """(start_s, end_s) of every stretch of segment_s, and of the rest where it is at least min_s long; the first one always."""
    edges = [number * segment_s for number in range(int((length_s + SOON_S) / segment_s) + 1)]
    if len(edges) == 1 or length_s - edges[-1] >= max(min_s, SOON_S):
        edges.append(length_s)
    return list(pairwise(edges))


class Cutter:
    """Collects what the needs ask for of each stretch of segment_s; a Taker to the Reader, many of them inside.

    A need with a count gets so many pictures of each stretch; one at a rate begins anew with it; the second picture of a pair is
    of the same stretch as the first. Times count from the start of the stretch.
    """

    def __init__(
        self, needs: Sequence[FrameNeed], segment_s: float, max_s: float, *, last_s: float | None, usual_s: float
    ) -> None:
        """last_s: when the last picture is likely to come, None where nobody knows. usual_s: from one picture to the next."""
        self.needs, self.segment_s, self.max_s = needs, segment_s, max_s
        self.last_s, self.usual_s = last_s, usual_s
        self.stretches: dict[int, list[Taker]] = {}  # of those in which a picture begins, by their number
        self.wanted_s = 0.0

    def offer(self, at_s: float, picture: Picture) -> None:
        number = int((at_s + SOON_S) / self.segment_s)
        start_s = number * self.segment_s
        if number not in self.stretches:
            self.stretches[number] = self._takers(start_s)
        for taker in self.stretches[number]:
            taker.offer(max(0.0, at_s - start_s), picture)
        due_s = start_s + min((taker.wanted_s for taker in self.stretches[number]), default=self.segment_s)
        self.wanted_s = min(due_s, start_s + self.segment_s - SOON_S)

    def _takers(self, start_s: float) -> list[Taker]:
        most_s = min(self.segment_s, self.max_s - start_s)
        likely_s = None if self.last_s is None else min(self.last_s - start_s, most_s - self.usual_s)
        return [Taker(need, most_s, likely_s if likely_s and likely_s > 0 else None) for need in self.needs]
