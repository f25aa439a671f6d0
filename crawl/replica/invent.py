"""Invented people, captions and songs for the embedded platform: nobody real is named."""

from __future__ import annotations

from typing import Any

import numpy as np

MOODS = ("quiet", "sunny", "late", "blue", "velvet", "paper", "neon", "salty", "lucky", "slow", "golden", "hidden")
THINGS = ("harbour", "kite", "lantern", "mango", "orbit", "pebble", "river", "saddle", "tram", "window", "meadow", "comet")
PHRASES = (
    "my favourite {w} moments",
    "{w} in fifteen seconds",
    "nobody told me about {w}",
    "more {w} soon",
    "this is {w}",
    "{w} again",
)
TAGS = ("fyp", "viral", "music", "vlog", "weekend", "throwback")


def about(rng: np.random.Generator, words: tuple[str, ...], index: int) -> dict[str, Any]:
    """Author, caption, hashtags and words of a post, as fields of a Listing. One post in three answers to a second word."""
    found = [words[index % len(words)]]
    if len(words) > 1 and rng.random() < 0.33:
        found.append(words[(index + 1 + int(rng.integers(len(words) - 1))) % len(words)])
    tags = (*(w.replace(" ", "") for w in found), str(rng.choice(TAGS)))
    caption = str(rng.choice(PHRASES)).format(w=found[0])
    return {
        "author": handle(rng),
        "caption": " ".join([caption, *(f"#{t}" for t in tags)]),
        "hashtags": tags,
        "words": tuple(found),
    }


def handle(rng: np.random.Generator) -> str:
    """An author's name such as 'velvet.comet42'."""
    return f"{rng.choice(MOODS)}.{rng.choice(THINGS)}{rng.integers(10, 99)}"


def track(seed: int, index: int, song: int | None, duration_s: float) -> dict[str, Any]:
    """The track of a post, as fields of a Listing: one for each song, and one for each post without a song."""
    rng = np.random.default_rng([seed, 4, index if song is None else song, int(song is None)])
    title = f"{rng.choice(MOODS).title()} {rng.choice(THINGS).title()}"
    return {
        "track_id": str(6_800_000_000_000_000_000 + int(rng.integers(10**17))),
        "track_title": "original sound" if song is None else title,
        "track_artist": handle(rng) if song is None else f"The {rng.choice(THINGS).title()}s",
        "track_original": song is None,
        "track_duration_s": round(duration_s, 3),
    }
