"""Proves that the ranks have the shape that rankings by similarity have. It looks at the ranks alone, so it can be asked of any
saved result, and cannot say why a shape is odd.

edge      Ranks fill a stretch and then stop within a quarter of its length. Similarity fades; a model that finds a group (all
          items at its place in their batch, the items of a label) and guesses inside it has an edge at the size of the group.
          Spec, audit A1.
rising    More hits a rank further down than nearer the top.
median    Median rank and recalls, as our metrics compute them from these ranks, contradict each other: a defect of ours.

Queries of one song are no independent evidence and count together. Chance is even over the whole gallery and has no
edge inside it. Tied candidates stand in an order drawn once with a fixed seed. Axes: Q queries, S songs, K places.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import numpy.typing as npt

from benchmarks.checks import Evidence, Finding
from benchmarks.metrics import median_rank, recall
from benchmarks.ranking import Ranks
from svmbench import shapes

NEEDS = ("ranks", "song_N")

MIN_PLACES = 4  # an edge nearer to the top cannot be told from a good model; ours
MIN_SHARE = 0.05  # of the queries in the last quarter of the stretch: the thin tail of a good model may end anywhere; ours
MIN_SONGS = 30  # songs there, so that emptiness beyond is no accident; ours
DROP = 0.1  # hits on as many places beyond are at most this share of those; spec section 9, no. 10
SIGMAS = 4.0  # of a rise: at 3, as for one printed row, one in fifty honest results would be flagged; ours
STOPS = (1, 5, 10, 25, 50)  # last ranks of the brackets of `rising`, then doubling; ours


def check(evidence: Evidence) -> Finding:
    """Number of odd shapes over both directions; must be 0. more: by direction, the edge (0: none) and the steepest rise."""
    odd: list[str] = []
    more: dict[str, float] = {}
    for direction, ranks in evidence.ranks.items():
        song_Q = evidence.song_N if len(ranks) == len(evidence.song_N) else np.unique(evidence.song_N)
        place_Q, gallery = places(ranks), int(ranks.num_candidates.min())
        found, (sigmas, told) = edge(place_Q, song_Q, gallery), rise(place_Q, song_Q, gallery)
        more |= {f"{direction} edge": found, f"{direction} rise": sigmas}
        said = [f"the ranks fill {found} of {gallery} places and stop there"] if found else []
        said += [told] if sigmas > SIGMAS else []
        odd += [f"{direction.replace('_to_', ' to ')}: {text}" for text in [*said, *contradictions(ranks)]]
    steepest = max((v for name, v in more.items() if name.endswith("rise")), default=0.0)
    told = "; ".join(odd) or f"no edge, no contradiction; steepest rise {steepest:.1f} standard errors, limit {SIGMAS:g}"
    return Finding("shape", not odd, float(len(odd)), told, more)


def places(ranks: Ranks) -> npt.NDArray[np.int64]:
    """One place a query, from 1: of its first positive, the tied drawn into an order (Q,).

    Of w wrong and t right ones in random order, as many wrong stand before the first right one as fall below the least of t
    uniform numbers: binomial(w, beta(1, t)).
    """
    rng = np.random.default_rng(0)
    return np.asarray(ranks.better + 1 + rng.binomial(ranks.tied, rng.beta(1, ranks.tied_right)), dtype=np.int64)


def edge(place_Q: npt.NDArray[np.int64], song_Q: npt.NDArray[np.int64], gallery: int) -> int:
    """The last place before the sharpest cliff in the hits; 0 where there is none."""
    within_K = np.concatenate([[0], np.cumsum(np.bincount(place_Q, minlength=gallery + 1)[1 : gallery + 1])])
    end = np.arange(MIN_PLACES, gallery - gallery // 5 + 1)
    width = -(-end // 4)
    end, width = end[end + width <= gallery], width[end + width <= gallery]
    before, beyond = within_K[end] - within_K[end - width], within_K[end + width] - within_K[end]
    found = (before >= max(MIN_SONGS, MIN_SHARE * len(place_Q))) & (beyond <= DROP * before)
    end, width, ratio = end[found], width[found], beyond[found] / before[found]
    for i in np.argsort(ratio, kind="stable"):
        last = place_Q[(place_Q > end[i] - width[i]) & (place_Q <= end[i])].max()
        if len(np.unique(song_Q[(place_Q > end[i] - width[i]) & (place_Q <= end[i])])) >= MIN_SONGS:
            return int(last)
    return 0


def rise(place_Q: npt.NDArray[np.int64], song_Q: npt.NDArray[np.int64], gallery: int) -> tuple[float, str]:
    """The steepest rise of hits a rank from one bracket to the next, in standard errors, and a sentence on it.

    Under an even rate, each of the c hits of two brackets of a and b ranks lies in the first with probability a / (a + b). The
    difference of hits a rank then has the variance (1/a + 1/b) / (a + b) times c; times the sum over songs of the square of their
    hits, where the hits of one song are taken to go together.
    """
    song_Q = np.unique(song_Q, return_inverse=True)[1]
    worst = (0.0, "")
    for (a, b), (c, d) in pairwise(brackets(gallery)):
        upper, lower = (place_Q >= a) & (place_Q <= b), (place_Q >= c) & (place_Q <= d)
        long, longer = b - a + 1, d - c + 1
        hits_S = np.bincount(song_Q, weights=upper | lower)
        error = float(np.sqrt(np.sum(hits_S**2) * (1 / long + 1 / longer) / (long + longer)))
        sigmas = (lower.sum() / longer - upper.sum() / long) / error if error > 0 else 0.0
        if sigmas > worst[0]:
            rates = [100 * float(rows.mean()) / n for rows, n in ((upper, long), (lower, longer))]
            told = f"{rates[0]:.3g} % of the queries a rank on {shapes.span(a, b)}, {rates[1]:.3g} % on {shapes.span(c, d)}"
            worst = (float(sigmas), told)
    return worst


def brackets(gallery: int) -> list[tuple[int, int]]:
    """(first, last) rank: 1, 2 to 5, 6 to 10, 11 to 25, 26 to 50, 51 to 100 ... to the end of the gallery."""
    stops = [0, *STOPS]
    while stops[-1] < gallery:
        stops.append(2 * stops[-1])
    return [(a + 1, min(b, gallery)) for a, b in pairwise(stops) if a < gallery]


def contradictions(ranks: Ranks) -> list[str]:
    """Where our own median rank and recalls disagree by more than the ties allow."""
    found, slack = median_rank.score(ranks), 100 * ranks.tied_share() + 1e-9
    recalls = [(k, 100 * recall.score(ranks, k)) for k in recall.CUTOFFS]
    said = [(k, value, shapes.contradicts(found, k, value, slack)) for k, value in recalls]
    falling = [f"R@{j} {q:.2f} is below R@{k} {p:.2f}" for (k, p), (j, q) in pairwise(recalls) if q < p - 1e-9]
    return falling + [f"MedR {found:g}, yet R@{k} is {value:.2f}, {side} one half" for k, value, side in said if side]
