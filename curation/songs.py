"""Which clips share a song: the platform's track id says so. A song uploaded anew as an 'original sound' is not recognised."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from svmbench.fleet import Fleet
from svmbench.recipe import Songs
from svmbench.records import Clip, Fingerprint, Post, Song


def clip_id(post: Post) -> str:
    """One clip a post: '<platform>-<post_id>-0'."""
    return f"{post.platform}-{post.post_id}-0"


def post_of(clip: Clip) -> str:
    """'platform:post_id' of a clip, as drops have it."""
    return clip.clip_id.rpartition("-")[0].replace("-", ":", 1)


def song_id(post: Post) -> str:
    """'<platform>:<track_id>', or 'post:<clip_id>' where the track is unknown: then the clip is alone with its song."""
    return f"{post.platform}:{post.track_id}" if post.track_id else f"post:{clip_id(post)}"


def group(clips: Sequence[Clip], prints: Mapping[str, Fingerprint], rule: Songs, fleet: Fleet) -> list[Song]:
    """One row for each clip, sorted by clip_id. Placeholder: by the platform's ids only."""
    return [
        Song(
            clip_id=clip.clip_id,
            song_id=clip.song_id,
            source="alone" if clip.song_id.startswith("post:") else "platform",
            match_score=None,
        )
        for clip in sorted(clips, key=lambda clip: clip.clip_id)
    ]
