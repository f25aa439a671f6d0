"""Which clips share a song: the platform's track id says so, and then the sound does.

Clips with one track id are of one song. A song that was uploaded anew as somebody's 'original sound' has another id: such clips
are found by their fingerprints (curation.song_search), and what hangs together by finds becomes one song. Two stretches of a song
that do not overlap cannot be known for one, but by loops that stand in both.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from curation.song_search import Match, kept, listen
from svmbench.fleet import Fleet
from svmbench.recipe import Songs
from svmbench.records import Clip, Fingerprint, Listening, Post, Song

UNKNOWN = "post:"  # what the song_id of a clip begins with whose track is not known
SHOWN = 3  # pairs of songs in a remark


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
    """'<platform>:<track_id>'; where the track is unknown 'post:<clip_id>' of the first clip: the post is alone with its song."""
    return f"{post.platform}:{post.track_id}" if post.track_id else f"{UNKNOWN}{clip_id(post)}"


@dataclass(frozen=True, slots=True)
class Apart:
    """Two songs that a match would join and that are left apart, as the whole would have too many posts; for a person to see.

    first, second: their names, in order. posts: of both. match: the best between them.
    """

    first: str
    second: str
    posts: int
    match: Match


@dataclass(frozen=True, slots=True)
class Grouping:
    """songs: a row for each clip, sorted by clip_id. apart: what the rule's max_posts left apart. listening: what all this came
    of, to be given next time; None where the rule does not listen."""

    songs: list[Song]
    apart: list[Apart]
    listening: Listening | None


def group(clips: Sequence[Clip], prints: Mapping[str, Fingerprint], rule: Songs, fleet: Fleet) -> list[Song]:
    """A row for each clip, sorted by clip_id; clip.song_id is the platform's. prints: by clip_id; a clip may have none."""
    return grouping(clips, prints, rule, fleet).songs


def grouping(
    clips: Sequence[Clip], prints: Mapping[str, Fingerprint], rule: Songs, fleet: Fleet, known: Listening | None = None
) -> Grouping:
    """As group, with what was left apart. The order of the clips does not matter.

    known: the listening of an earlier grouping; where nothing has changed that it hangs on, nobody listens again.
    """
    given = {clip.clip_id: clip.song_id for clip in sorted(clips, key=lambda clip: clip.clip_id)}
    listening = listen(given, prints, fleet, known) if rule.by == "fingerprint" else None
    posts = Counter(song for song, _ in {(clip.song_id, post_of(clip)) for clip in clips})
    joined = _Joined(posts, rule.max_posts)
    for match in kept(listening) if listening else ():
        joined.join(given[match.first], given[match.second], match)
    rows = []
    for name, own in given.items():
        song, score = joined.name(own), joined.score.get(own)
        source = "platform" if song == own and not own.startswith(UNKNOWN) else "alone" if score is None else "fingerprint"
        rows.append(Song(clip_id=name, song_id=song, source=source, match_score=score if source == "fingerprint" else None))
    return Grouping(rows, joined.apart(), listening)


def remarks(apart: Sequence[Apart], rule: Songs) -> list[str]:
    """For people: a line where songs were left apart."""
    if not apart:
        return []
    pairs = [f"{a.first} and {a.second} ({a.match.first} is like {a.match.second}: {a.match.score:.2f})" for a in apart[:SHOWN]]
    more = f" and {len(apart) - SHOWN} more" if len(apart) > SHOWN else ""
    count = "1 pair of songs sounds" if len(apart) == 1 else f"{len(apart)} pairs of songs sound"
    return [
        f"{count} alike and stay apart, as more than songs.max_posts ({rule.max_posts}) posts of one song would be known by "
        f"sound alone: {'; '.join(pairs)}{more}"
    ]


class _Joined:
    """Given songs that matches join, the best first. score: of each given song, its best match within what it was joined to."""

    def __init__(self, posts: Mapping[str, int], max_posts: int) -> None:
        self.posts, self.max_posts = posts, max_posts
        self.members = {song: [song] for song in posts}  # by the song's root
        self.root = {song: song for song in posts}
        self.score: dict[str, float] = {}
        self.refused: list[tuple[str, str, Match]] = []

    def join(self, first: str, second: str, match: Match) -> None:
        """Not where more than max_posts would then be known by their sound alone: those beside the largest given song's."""
        a, b = self.root[first], self.root[second]
        if a != b:
            together = self.members[a] + self.members[b]
            counts = [self.posts[song] for song in together]
            if sum(counts) - max(counts) > self.max_posts:
                self.refused.append((first, second, match))
                return
            self.members[a] = together
            for song in self.members.pop(b):
                self.root[song] = a
        for song in (first, second):
            self.score.setdefault(song, match.score)

    def name(self, song: str) -> str:
        """The given song of the most posts, a platform's before one that is not known, then the smallest."""
        return min(self.members[self.root[song]], key=lambda one: (one.startswith(UNKNOWN), -self.posts[one], one))

    def apart(self) -> list[Apart]:
        """The pairs of songs that refused matches would have joined, the best first: what is too large only grows."""
        found: dict[tuple[str, str], Apart] = {}
        for first, second, match in self.refused:
            low, high = sorted((self.name(first), self.name(second)))
            posts = sum(self.posts[song] for name in (low, high) for song in self.members[self.root[name]])
            found.setdefault((low, high), Apart(low, high, posts, match))
        return list(found.values())
