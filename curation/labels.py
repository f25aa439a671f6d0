"""Unified labels: one for a song and for all of its clips, from the hashtags of its posts (UT-CMVMR, section 2.1).

For each song the tags of its posts are put together, repeats and all. The TF-IDF of a tag in a song is

    (times the tag is among the song's tags / number of the song's tags) * ln(number of songs / number of songs with the tag)

and the song's label is its tag with the highest (equation 1; the base of the logarithm decides nothing). Its clips take it.

The paper's tags came from an internal tagger with a closed vocabulary, and gave 578 labels. Hashtags are an open vocabulary: the
highest TF-IDF often belongs to a tag that no other song has. So, and this is ours, labels of too few songs are given up (see
`unified`).

Labels are for pre-training extractors on the train part. A test song's label comes from its own posts, so a system that reads
labels or tags of the gallery or of the queries while testing is told which music belongs to which video: no query, gallery or
score may read them.
"""

from __future__ import annotations

import heapq
import math
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping

from curation.songs import post_of
from svmbench.recipe import Labels
from svmbench.records import Clip, Label, Post


def unified(clips: Iterable[Clip], posts: Iterable[Post], rule: Labels) -> list[Label]:
    """One row for each clip, sorted by clip_id, whatever the order of the clips and posts.

    The label with the fewest songs is given up, the alphabetically last of equals first, and its songs take their next tag, until
    every label has rule.songs_min songs and there are at most rule.labels_max labels. A song whose posts have no tag, or whose
    tags were all given up, has no label. Of equal TF-IDF the alphabetically first tag counts.
    """
    clips = sorted(clips, key=lambda clip: clip.clip_id)
    scores = tf_idf(_tags(clips, posts))
    label_of = _settled(scores, rule)
    found = []
    for clip in clips:
        label = label_of.get(clip.song_id)
        score = None if label is None else scores[clip.song_id][label]
        found.append(Label(clip_id=clip.clip_id, label=label, score=score))
    return found


def counts(labels: Iterable[Label]) -> dict[str, int]:
    """Label -> number of its clips, the most frequent first."""
    found = Counter(row.label for row in labels if row.label is not None)
    return dict(sorted(found.items(), key=lambda item: (-item[1], item[0])))


def normal(tag: str) -> str:
    """A hashtag without its sign, in one spelling (NFKC, case folded): '#Travel' and 'travel' are one tag (ours)."""
    return unicodedata.normalize("NFKC", tag).strip().lstrip("#").casefold()


def tf_idf(tags_of: Mapping[str, Counter[str]]) -> dict[str, dict[str, float]]:
    """Song -> tag -> TF-IDF, from the tags of every song; at least 0, and 0 for a tag that every song has."""
    songs_with = Counter(tag for tags in tags_of.values() for tag in tags)
    return {
        song: {tag: n / tags.total() * math.log(len(tags_of) / songs_with[tag]) for tag, n in tags.items()}
        for song, tags in tags_of.items()
    }


def _tags(clips: Iterable[Clip], posts: Iterable[Post]) -> dict[str, Counter[str]]:
    """Song -> how often each tag stands in its posts; a post with several clips counts once. Every song is there."""
    by_key = {post.key: post for post in posts}
    found: dict[str, Counter[str]] = defaultdict(Counter)
    for song, key in sorted({(clip.song_id, post_of(clip)) for clip in clips}):
        post = by_key.get(key)
        found[song].update(filter(None, map(normal, post.hashtags if post else ())))
    return dict(found)


def _settled(scores: Mapping[str, Mapping[str, float]], rule: Labels) -> dict[str, str]:
    """Song -> its label, once the rare ones are given up."""
    waiting = {song: sorted(sorted(tags, reverse=True), key=lambda tag: tags[tag]) for song, tags in scores.items()}  # best last
    place = {tag: i for i, tag in enumerate(sorted({tag for tags in scores.values() for tag in tags}))}
    holders: dict[str, set[str]] = defaultdict(set)
    given_up: set[str] = set()
    rarest: list[tuple[int, int, str]] = []  # a heap; a label stands in it once for every count that it had

    def take(song: str) -> None:
        """The song's best tag that is not given up becomes its label."""
        while waiting[song] and waiting[song][-1] in given_up:
            waiting[song].pop()
        if waiting[song]:
            label = waiting[song][-1]
            holders[label].add(song)
            heapq.heappush(rarest, (len(holders[label]), -place[label], label))

    for song in scores:
        take(song)
    while rarest:
        num_songs, _, label = rarest[0]
        if label in given_up or num_songs < len(holders[label]):
            heapq.heappop(rarest)
        elif num_songs >= rule.songs_min and len(holders) <= (rule.labels_max or len(holders)):
            break
        else:
            given_up.add(label)
            for song in holders.pop(label):
                take(song)
    return {song: label for label, songs in holders.items() for song in songs}
