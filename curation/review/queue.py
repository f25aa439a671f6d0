"""In which order clips are shown to whom, and which of them blind.

The doubtful clips come first, the closest call before the others. Among them stand blind ones: drawn at random from what the
rules keep and from what they drop, as many of each as there are, so that both errors are measured. Then comes the rest, for
those who want to go on. What another reviewer has decided is shown again to a drawn share, and without that decision; what two
have decided differently goes to a third before anything else. The same seed gives the same order to everybody.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import zip_longest

from curation.review.decisions import DROP, KEEP, UNSURE, Decision, Votes, winner

REVIEW = "review"


@dataclass(frozen=True, slots=True)
class Plan:
    """order: every clip with a verdict. num_required: the first so many are the doubtful ones and the blind ones among them."""

    order: tuple[str, ...]
    num_required: int
    blind: frozenset[str]


@dataclass(frozen=True, slots=True)
class Turn:
    """What one reviewer has to do and has done. third: clips on which two others disagree; they are part of `waiting`."""

    waiting: tuple[str, ...]
    waiting_rest: tuple[str, ...]
    num_done: int
    num_done_rest: int
    third: frozenset[str]


def plan(verdicts: Mapping[str, str], margins: Mapping[str, float | None], share_blind: float, seed: int) -> Plan:
    """verdicts: clip_id -> keep, review or drop. margins: distance to the nearest threshold. share_blind: of what is shown."""

    def by_margin(ids: Iterable[str]) -> list[str]:
        return sorted(ids, key=lambda i: (math.inf if (m := margins.get(i)) is None else m, i))

    sides = [sorted((i for i, v in verdicts.items() if v == side), key=lambda i: draw(seed, "blind", i)) for side in (KEEP, DROP)]
    by_turns = [i for pair in zip_longest(*sides) for i in pair if i is not None]
    doubtful = by_margin(i for i, verdict in verdicts.items() if verdict == REVIEW)
    num_required = _num_blind(len(doubtful), len(by_turns), share_blind)
    others = len(by_turns) - num_required
    num_blind = num_required + round(others * share_blind)
    blind = by_turns[:num_blind]
    rest = by_margin(set(by_turns[num_blind:]))
    first = _mixed(doubtful, blind[:num_required], seed)
    second = _mixed(rest, blind[num_required:], seed)
    return Plan((*first, *second), len(first), frozenset(blind))


def _num_blind(num_doubtful: int, num_others: int, share: float) -> int:
    """So many that they are `share` of all, as far as there are others; all others where the share is 1."""
    wanted = num_others if share >= 1 else math.ceil(num_doubtful * share / (1 - share))
    return min(wanted, num_others)


def _mixed(open_ids: list[str], blind: list[str], seed: int) -> list[str]:
    """The blind ones in a drawn order, each at a drawn place in its own stretch of the others, which keep their order."""
    blind = sorted(blind, key=lambda name: draw(seed, "order", name))
    stretch = len(open_ids) / max(len(blind), 1)
    places = [(i + draw(seed, "place", name)) * stretch for i, name in enumerate(blind)]
    keyed = [(float(i), 0, name) for i, name in enumerate(open_ids)]
    keyed += [(place, 1, name) for place, name in zip(places, blind, strict=True)]
    return [name for _, _, name in sorted(keyed)]


def turn(made: Plan, votes: Votes, reviewer: str, share_second: float, seed: int) -> Turn:
    """share_second: of what others have decided, the share that this reviewer decides again without knowing of it."""
    told = {clip_id: by_reviewer for clip_id in made.order if (by_reviewer := votes.get(clip_id))}
    several = {i: by_reviewer for i, by_reviewer in told.items() if len(by_reviewer) > 1 and reviewer not in by_reviewer}
    third = {i for i, by_reviewer in several.items() if winner(by_reviewer.values()) is None}
    waiting: list[list[str]] = [[], []]
    done = [0, 0]
    for place, clip_id in enumerate(made.order):
        which = int(place >= made.num_required)
        by_reviewer = told.get(clip_id, {})
        if reviewer in by_reviewer:
            done[which] += 1
        elif clip_id not in third and not _is_left_to_others(clip_id, by_reviewer.values(), share_second, seed):
            again = any(vote.verdict != UNSURE for vote in by_reviewer.values())
            waiting[0 if again else which].append(clip_id)
    first = [clip_id for clip_id in made.order if clip_id in third]
    return Turn((*first, *waiting[0]), tuple(waiting[1]), done[0], done[1], frozenset(third))


def _is_left_to_others(clip_id: str, votes: Iterable[Decision], share_second: float, seed: int) -> bool:
    said = [vote for vote in votes if vote.verdict != UNSURE]
    return bool(said) and (len(said) > 1 or draw(seed, "second", clip_id) >= share_second)


def draw(seed: int, *words: str) -> float:
    """A number in [0, 1) that depends on the seed and the words alone."""
    digest = hashlib.sha256("\0".join((str(seed), *words)).encode()).digest()
    return int.from_bytes(digest[:7], "big") / 2**56
