"""What the words of the page mean: metrics and terms, failed checks, and the marks of the audit of published figures."""

from __future__ import annotations

TERMS = {
    "Recall@K (R@K)": "Share of the queries with at least one right item among the first K candidates. It is the field's "
    "name for the hit rate, not the share of all right items found. Candidates with equal similarity count in random order.",
    "MedR, MeanR": "Median and mean over the queries of the rank of the first right item. 1 is best.",
    "nMedR": "Normalised median rank: the median over the queries of the rank of the first right item divided by the size of the "
    "gallery, so that galleries of different size compare. Near 0 is best; with one right item a query, chance is about 0.5.",
    "MRR": "Mean reciprocal rank: the mean of 1 / rank of the first right item. 1 is best.",
    "mAP": "Mean average precision: for each right item of a query, the share of right items among all candidates down to it; "
    "the mean over them, then over the queries. 1 is best; with one right item a query it equals MRR.",
    "Query, gallery": "The item asked about, and the candidates that are ranked for it. Video → music: a clip asks, and the "
    "songs are ranked, each song once. Music → video: a song asks, and the clips are ranked.",
    "Chance": "What a ranking that knows nothing gives on the same queries and gallery; computed, not typed.",
    "± and small figures": "95 % interval from drawing the test songs again with replacement (clips of one song are not "
    "independent): half its width for shares, both ends for ranks. With several seeds, the mean of their intervals.",
    "Seeds, sd": "How many times training was repeated, and the standard deviation of R@10 between the repeats. It is a noise of "
    "its own and not part of the interval.",
    "Control": "What is reached without the pairing. A model trained on shuffled pairs must fall back to chance; if it does not, "
    "something leaks. mean_embedding ranks the same way for every query; a model that does not beat it has "
    "learnt nothing about pairs.",
    "Interval overlap": "Intervals alone do not tell two rows apart when they overlap. Overlap is a cautious rule: "
    "a paired test can separate rows that it leaves together.",
    "Tier, anchor": "The best row that is left leads a tier as its anchor, and all rows that the adjusted paired tests on R@10 "
    "cannot tell from it share its tier; they are not proven equal. A row with a failed check may share a tier and never leads "
    "one, chance and controls do not compete, and a table of several runs has no tiers.",
    "Not run": "A check that had nothing to look at, such as labels where there are none. It neither passed nor failed, so a row "
    "with many of them is less examined than one with none.",
}
CHECKS = {  # each the end of a sentence that begins with the check's name; one for every file in benchmarks/checks
    "alignment": "on training clips held out, a simple linear map finds the music better when the rows are moved by a clip or "
    "two, or cannot find it at all, so the video and music features may be out of step",
    "batch_invariance": "an item's embedding changes with the items embedded beside it, so the score may rest on the order of "
    "the data",
    "batch_position": "clips that stood at the same place of a batch, or beside each other in the file, are alike without "
    "sharing a song, so the embeddings carry the place and not only the content",
    "collapse": "embeddings of different items hardly differ",
    "determinism": "a second fit with the same seed and the same pairs gives another model, so nobody can repeat the score",
    "finite": "some inputs give embeddings that are not finite or not of unit length",
    "gallery_invariance": "how alike a video and a piece of music are changes with the other candidates, so the score uses the "
    "test items together and holds for this gallery only",
    "independent_order": "ranks move when videos and music are read in other orders, so the model uses an item's place and not "
    "the item",
    "label_blindness": "other labels on the test clips, or none, change the result, so the model reads the answers' labels",
    "negative_controls": "something that knows nothing of the content, such as length, loudness, popularity or the order of the "
    "file, beats chance on this split, so a model can score without matching video to music",
    "pool_audit": "clips of one song stand in the gallery and only the query's own pair counts, so even a perfect ranking of "
    "songs cannot reach 100 %",
    "shape": "the ranks have a shape that no ranking by similarity has: an evenly filled stretch that ends at an edge, more "
    "hits further down than near the top, or a median that contradicts the recalls",
    "shuffled_pairs": "fitted on videos with the music of other clips it still keeps most of its score, so the score does not "
    "come from what belongs together",
    "split_leak": "some of the scored clips are of a song, a file, a recording or a near-duplicate that training saw, as in a "
    "split that follows a paper",
    "test_discipline": "the test part had a say: in which epoch was kept, in which of several settings is shown, or as clips "
    "that the model was fitted on",
    "ties": "more than one query in a hundred has its right item tied with a wrong one, so the score says how ties were broken",
}
OTHER_CHECK = "an integrity check of this name failed for the row"
FLAGS = {
    "grim": "The printed share times the number of queries is not a whole number of queries, within the printed rounding. "
    "It was averaged over several pools, or scored on another number of queries than the paper says.",
    "monotone": "Recall falls although the cut-off grows. That cannot happen on one set of queries.",
    "chance": "Not above random ranking of a pool of this size (one-sided binomial test at 5 %, each figure by itself, so about "
    "one figure in twenty of a random system escapes this mark).",
    "median": "The median rank contradicts a recall beside it: the median is at most K exactly when at least half of the queries "
    "have a hit in the first K.",
    "bounds": "The mean rank or MRR is outside what the recalls beside it allow, wherever between two cut-offs the hits may lie.",
    "rising": "More hits per rank further down than nearer the top, by over three standard errors. Rankings by similarity thin "
    "out downwards; look for a slip of the pen or a mixed pool.",
    "edge": "Hits lie almost evenly over a stretch of ranks and then stop. A ranking by similarity fades; an edge suggests that "
    "the system found a group of that size and guessed inside it (inference from the shape alone).",
    "anchor": "The row of random ranking does not fit any one pool size: K / N is violated at this cut-off.",
    "one_set": "No one number of test queries makes the rows of this table whole; the systems were hardly scored on one set.",
    "repeat": "The same figures stand in another row of this table. Two systems rarely agree in every cell; one may be a copy.",
    "tables": "The same system has no such figure in the paper's other table of the same data.",
    "suspect": "A reason for doubt that no formula sees, written by hand.",
}
