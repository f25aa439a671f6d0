"""Which clips share a song: the platform's track id says so, and then the sound does.

Clips with one track id are of one song. A song that was uploaded anew as somebody's 'original sound' has another id: such clips
are found by their fingerprints (curation.song_index), each find is checked (curation.song_match), and what hangs together by
finds becomes one song. Two stretches of a song that do not overlap cannot be known for one, but by loops that stand in both.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from curation.song_index import Index
from curation.song_match import Heard, compare, heard
from svmbench.fleet import Fleet
from svmbench.recipe import Songs
from svmbench.records import Clip, Fingerprint, Post, Song

UNKNOWN = "post:"  # what the song_id of a clip begins with whose track is not known


def clip_id(post: Post, number: int = 0) -> str:
    """'<platform>-<post_id>-<number>', of the clips of a post in order; most recipes make one a post."""
    return f"{post.platform}-{post.post_id}-{number}"


def post_of(clip: Clip) -> str:
    """'platform:post_id' of a clip."""
    return clip.clip_id.rpartition("-")[0].replace("-", ":", 1)


def drop_id(clip: Clip) -> str:
    """What a Drop of the stage 'judge' calls a clip: by its post, and by its number where it is not the first: 'post#2'."""
    number = clip.clip_id.rpartition("-")[2]
    return post_of(clip) if number == "0" else f"{post_of(clip)}#{number}"


def song_id(post: Post) -> str:
    """'<platform>:<track_id>', or 'post:<clip_id>' of the first clip where the track is unknown: the post is alone with its song."""
    return f"{post.platform}:{post.track_id}" if post.track_id else f"{UNKNOWN}{clip_id(post)}"


@dataclass(frozen=True, slots=True, order=True)
class Match:
    """Two clips that sound like one song, by clip_id in order. score: in [0, 1] (curation.song_match)."""

    score: float
    first: str
    second: str


@dataclass(frozen=True, slots=True)
class Apart:
    """Two songs that a match would join and that are left apart, as the whole would have too many posts; for a person to see."""

    first: str
    second: str
    posts: int
    match: Match


@dataclass(frozen=True, slots=True)
class Grouping:
    """songs: a row for each clip, sorted by clip_id. apart: what the rule's max_posts left apart."""

    songs: list[Song]
    apart: list[Apart]


def group(clips: Sequence[Clip], prints: Mapping[str, Fingerprint], rule: Songs, fleet: Fleet) -> list[Song]:
    """A row for each clip, sorted by clip_id; clip.song_id is the platform's. prints: by clip_id; a clip may have none."""
    return grouping(clips, prints, rule, fleet).songs


def grouping(clips: Sequence[Clip], prints: Mapping[str, Fingerprint], rule: Songs, fleet: Fleet) -> Grouping:
    """As group, and what was left apart. The order of the clips does not matter."""
    given = {clip.clip_id: clip.song_id for clip in sorted(clips, key=lambda clip: clip.clip_id)}
    found = matches(given, prints, fleet) if rule.by == "fingerprint" else []
    posts = Counter(song for song, _ in {(clip.song_id, post_of(clip)) for clip in clips})
    joined = _Joined(posts, rule.max_posts)
    for match in found:
        joined.join(given[match.first], given[match.second], match)
    rows = []
    for name, own in given.items():
        song, score = joined.name(own), joined.score.get(own)
        source = "platform" if song == own and not own.startswith(UNKNOWN) else "alone" if score is None else "fingerprint"
        rows.append(Song(clip_id=name, song_id=song, source=source, match_score=score if source == "fingerprint" else None))
    return Grouping(rows, joined.apart)


def matches(given: Mapping[str, str], prints: Mapping[str, Fingerprint], fleet: Fleet) -> list[Match]:
    """Pairs of clips of different given songs that sound like one, the best first. given: clip_id -> song_id."""
    names = sorted(name for name in given if name in prints and prints[name].landmarks)
    numbers = {song: number for number, song in enumerate(sorted({given[name] for name in names}))}
    finder = _Finder([heard(prints[name]) for name in names], [numbers[given[name]] for name in names])
    best: dict[tuple[int, int], float] = {}
    for i in range(len(names)):
        for j, score in finder.run(i):
            pair = min(i, j), max(i, j)
            best[pair] = max(score, best.get(pair, 0.0))
    found = [Match(score, names[i], names[j]) for (i, j), score in best.items()]
    return sorted(found, key=lambda match: (-match.score, match.first, match.second))


class _Finder:
    """Asks the index for a clip, and checks what it says."""

    def __init__(self, clips: list[Heard], songs: list[int]) -> None:
        self.clips, self.songs, self.index = clips, songs, Index.of(clips, songs)

    def run(self, number: int) -> list[tuple[int, float]]:
        """(number, score) of each clip that sounds like this one."""
        found: dict[int, float] = {}
        for candidate in self.index.ask(self.clips[number], self.songs[number]):
            if candidate.clip in found:
                continue
            comparison = compare(self.clips[number], self.clips[candidate.clip], candidate.shift)
            if comparison and comparison.same:
                found[candidate.clip] = comparison.score
        return list(found.items())


class _Joined:
    """Given songs that matches join, the best first. score: of each given song, its best match within what it was joined to."""

    def __init__(self, posts: Mapping[str, int], max_posts: int) -> None:
        self.posts, self.max_posts = posts, max_posts
        self.members = {song: [song] for song in posts}  # by the song's root
        self.root = {song: song for song in posts}
        self.score: dict[str, float] = {}
        self.apart: list[Apart] = []

    def join(self, first: str, second: str, match: Match) -> None:
        """Not where more than max_posts would then be known by their sound alone: those beside the largest given song's."""
        a, b = self.root[first], self.root[second]
        if a != b:
            together = self.members[a] + self.members[b]
            counts = [self.posts[song] for song in together]
            if sum(counts) - max(counts) > self.max_posts:
                self.apart.append(Apart(self.name(a), self.name(b), sum(counts), match))
                return
            self.members[a] = together
            for song in self.members.pop(b):
                self.root[song] = a
        for song in (first, second):
            self.score.setdefault(song, match.score)

    def name(self, song: str) -> str:
        """The given song of the most posts, a platform's before one that is not known, then the smallest."""
        return min(self.members[self.root[song]], key=lambda one: (one.startswith(UNKNOWN), -self.posts[one], one))
