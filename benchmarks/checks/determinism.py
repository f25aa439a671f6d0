"""Proves that the same seed gives the same model: fitted again on the same pairs, it embeds the test part to the same values.

On a CPU every bit must be equal. On a GPU sums may be added in another order, so embeddings may turn a little. There the seeds
that were fitted together are fitted together again: alone, a seed has other last bits, and after many epochs other weights. A fit
that draws from a generator of the process, or depends on the time or on the order of a set, can be checked by nobody else.

Cannot see: another machine or version of torch; on a GPU, what the company of other seeds changes. It costs one more fit, on a
GPU one more of the group.
"""

from __future__ import annotations

from benchmarks.checks import Evidence, Finding
from benchmarks.checks._again import first_block, largest_shift, largest_turn, scores_pairs
from benchmarks.towers import embed

NEEDS = ("model", "fit_again", "test")

LIMIT_CPU = 0.0
LIMIT_GPU = 1e-3  # of 1 - cosine, or of a score's change in units of the spread; ours
NUM_CLIPS = 64  # whose pairs are scored, of a model that scores pairs; ours


def check(evidence: Evidence) -> Finding:
    """Largest 1 - cosine between the embeddings of the two fits, or change of a pair's score in units of their spread."""
    again, test = evidence.fit_again(), evidence.test
    if scores_pairs(again):
        first, second = (first_block(model, test, NUM_CLIPS) for model in (evidence.model, again))
        worst, equal = largest_shift(first, second), bool((first == second).all())
    else:
        known = (evidence.video_ND, evidence.music_ND) if evidence.video_ND is not None else embed(evidence.model, test)
        pairs = list(zip(known, embed(again, test), strict=True))
        worst, equal = max(largest_turn(a, b) for a, b in pairs), all(bool((a == b).all()) for a, b in pairs)
    on_cpu = test.video.device.type == "cpu"
    limit = LIMIT_CPU if on_cpu else LIMIT_GPU
    passed = equal if on_cpu else worst <= limit
    detail = "a second fit gives the same bits" if equal else f"a second fit differs by up to {worst:.1e}, limit {limit:g}"
    return Finding("determinism", passed, worst, detail)
