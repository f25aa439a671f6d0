"""Composed posts: from a seed to the plan of a catalogue, with the exact truth. render.py makes the files.

Hidden causes tie music to picture, with noise: tempo -> cut rate and speed of motion; mode and energy -> colour and brightness;
sections -> scene changes. Each post is drawn from default_rng([seed, index]), each song from default_rng([seed, 1, song]).

Truth, one mapping a post (times in seconds from the start of the post; lengths in coded pixels; None where it does not apply):
    post_id, fate, kind            kind: 'music', 'voice_over' (over music), 'voice' (alone), 'ambience', 'mute', 'slideshow'
    track_id, song                 song: number of the song, None without music; a song has one track id, but where own_sound
    own_sound                      the song was uploaded anew, as an "original sound" with a track id of its own
    excerpt_start_s                where in the song the post begins
    tempo_bpm, mode, energy        of the song; energy in [0, 1]
    beats_s                        all beats; empty without music
    sections                       [{name, start_s, end_s, level}]
    speech                         [[start_s, end_s]] of the voice
    has_audio, ambience            whether there is an audio stream; kind of ambience or None
    fps, num_frames, duration_s, width_px, height_px
    cuts_s                         time of the first frame after each cut
    motion_px_s                    mean speed of the picture's points, cuts left out (picture.motion_px_s)
    box, border, border_rgb, caption   the picture inside its border; kind of border, its colour, and text in it
    still                          one picture that does not move
    duplicate_of                   post_id of the upload that this one repeats, re-scaled, re-encoded and bordered, or None
A slideshow has no media and only the first four keys.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from crawl.replica import invent, music, picture, sounds, staging, voice
from crawl.replica.catalogue import FATES, Listing
from crawl.replica.picture import Layout, Scene

VERSION = 4  # of everything that is composed: a new one makes old catalogues be composed anew
POSTS_A_SONG = 2.1
SHARE_FAILING, SHARE_BELOW, SHARE_STILL, SHARE_REPEATED = 0.08, 0.20, 0.03, 0.05
SHARE_OWN_SOUND = 0.08  # of the posts with a song
KINDS = {"voice_over": 0.07, "voice": 0.02, "ambience": 0.06, "mute": 0.04}  # the rest is music
BORDER_SHARES = {
    "letterbox": 0.12, "pillarbox": 0.05, "frame": 0.03, "grey": 0.04, "colour": 0.04, "one_sided": 0.05, "caption": 0.05,
}  # the rest has none  # fmt: skip
SILENT_MOODS = 1_000_000  # numbers of songs that nobody hears: they only set the mood of posts without music


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """What is seen and heard, whatever the frame around it. speech_seed also seeds the ambience."""

    kind: str
    song: int | None
    excerpt_start_s: float
    fps: int
    num_frames: int
    scenes: tuple[Scene, ...]
    still: bool
    beats_s: tuple[float, ...]
    syllables: tuple[voice.Syllable, ...]
    ambience: str | None
    sound_seed: int

    @property
    def duration_s(self) -> float:
        return self.num_frames / self.fps


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """One post, ready to be rendered; plain data. A slideshow is never rendered. crf: x264's quality, lower is better."""

    seed: int
    listing: Listing
    truth: dict[str, Any]
    content: Content
    layout: Layout
    hz: int
    channels: int
    crf: int


def plan(seed: int, posts: int, words: tuple[str, ...], likes_min: int) -> list[Plan]:
    """The plans of all posts in the order of the search results. Cheap: nothing is rendered."""
    cards = _deal(seed, posts, likes_min)
    plans: list[Plan] = []
    for index, card in enumerate(cards):
        source = plans[card.again_of] if card.again_of is not None else None
        plans.append(_post(seed, index, card, source, words))
    return plans


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """What was dealt to a post, so that the catalogue as a whole has its shares. again_of: index of an earlier post.

    own_sound: its song has a track id of its own.
    """

    fate: str
    kind: str
    border: str
    still: bool
    again_of: int | None
    song: int | None
    own_sound: bool
    likes: int


def _deal(seed: int, posts: int, likes_min: int) -> list[Card]:
    rng = np.random.default_rng([seed, 0])
    failing = [fate for fate in FATES if fate != "ok"]
    rng.shuffle(failing)
    bad = round(SHARE_FAILING * posts)
    fates = _shuffled(rng, posts, [failing[i % len(failing)] for i in range(bad)], "ok")
    kinds = _shuffled(rng, posts, _shares(KINDS, posts), "music")
    borders = _shuffled(rng, posts, _shares(BORDER_SHARES, posts), "none")
    stills = _shuffled(rng, posts, ["still"] * round(SHARE_STILL * posts), "")
    sources = _repeats(rng, fates, kinds)
    heard = [i for i in range(posts) if kinds[i] in ("music", "voice_over") and i not in sources]
    songs = _songs(rng, heard, round((len(heard) + len(sources)) / POSTS_A_SONG))
    own_sounds = _own_sounds(seed, [i for i in heard if i not in sources.values()])
    likes = _likes(rng, likes_min, [i for i in range(posts) if fates[i] == "ok" and i not in sources], posts)
    cards: list[Card] = []
    for i in range(posts):
        of = sources.get(i)
        cards.append(
            Card(
                fate=fates[i], kind=kinds[i] if of is None else kinds[of], border=borders[i],
                still=bool(stills[i]) if of is None else cards[of].still, again_of=of,
                song=songs.get(i if of is None else of), own_sound=i in own_sounds, likes=likes[i],
            )
        )  # fmt: skip
    return cards


def _shares(shares: dict[str, float], posts: int) -> list[str]:
    return [name for name, share in shares.items() for _ in range(round(share * posts))]


def _shuffled(rng: np.random.Generator, posts: int, special: list[str], rest: str) -> list[str]:
    deck = (special + [rest] * posts)[:posts]
    return [deck[i] for i in rng.permutation(posts)]


def _repeats(rng: np.random.Generator, fates: list[str], kinds: list[str]) -> dict[int, int]:
    """Index of each re-upload -> index of the earlier post that it repeats; both can be fetched, each is repeated once."""
    fit = [i for i in range(len(fates)) if fates[i] == "ok" and kinds[i] == "music"]
    chosen = sorted(rng.permutation(fit)[: 2 * round(SHARE_REPEATED * len(fates))].tolist())
    half = len(chosen) // 2
    return dict(zip(chosen[half:], (int(i) for i in rng.permutation(chosen[:half])), strict=True))


def _songs(rng: np.random.Generator, heard: list[int], count: int) -> dict[int, int]:
    """Post -> song: each song is heard at least once, the others fall by chance."""
    numbers = [*range(count), *rng.integers(0, max(count, 1), len(heard) - count).tolist()]
    return dict(zip(rng.permutation(heard).tolist(), numbers, strict=True))


def _own_sounds(seed: int, heard: list[int]) -> set[int]:
    """The posts whose song has a track id of its own; none that is repeated, as a repeat keeps its track."""
    return set(np.random.default_rng([seed, 5]).permutation(heard)[: round(SHARE_OWN_SOUND * len(heard))].tolist())


def _likes(rng: np.random.Generator, likes_min: int, open_posts: list[int], posts: int) -> list[int]:
    """About four in five reach likes_min. Some lie next to it, and some so close below that a card rounds them up to it."""
    base = max(likes_min, 1000)
    likes = [int(base * np.exp(abs(rng.normal(0, 1.2)) + 0.005)) for _ in range(posts)]
    for i in rng.permutation(posts)[: round(SHARE_BELOW * posts)]:
        likes[i] = int(likes_min * rng.uniform(0.05, 0.99))
    rounded_up = (likes_min - rng.integers(2, max(3, likes_min // 200), 3)).tolist()
    close = [likes_min - 1, likes_min, likes_min + 1, *rounded_up]
    for i, number in zip(rng.permutation(open_posts).tolist(), close, strict=False):
        likes[i] = max(0, int(number))
    return likes


def _post(seed: int, index: int, card: Card, source: Plan | None, words: tuple[str, ...]) -> Plan:
    rng = np.random.default_rng([seed, index])
    content = source.content if source else _content(rng, seed, index, card)
    layout = staging.again(rng, source.layout) if source else staging.layout(rng, card.border)
    created = int(rng.integers(1_640_000_000, 1_760_000_000))
    post_id = str(created << 32 | int(rng.integers(1 << 32)))
    listing = Listing(
        post_id=post_id,
        created=created,
        likes=card.likes,
        fate=card.fate,
        media=None if card.fate == "slideshow" else f"media/{post_id}.mp4",
        duration_s=0.0 if card.fate == "slideshow" else round(content.duration_s, 3),
        width_px=layout.width_px,
        height_px=layout.height_px,
        **invent.about(rng, words, index),
        **_track(seed, index, card, content),
    )
    return Plan(
        seed=seed, listing=listing, truth=_truth(seed, card, listing, content, layout, source), content=content, layout=layout,
        hz=int(rng.choice((44_100, 48_000))), channels=int(rng.choice((1, 2), p=(0.7, 0.3))), crf=30 if source else 25,
    )  # fmt: skip


def _track(seed: int, index: int, card: Card, content: Content) -> dict[str, Any]:
    if card.song is None or card.own_sound:
        return invent.track(seed, index, None, content.duration_s)
    return invent.track(seed, index, card.song, music.song(seed, card.song).duration_s)


def _content(rng: np.random.Generator, seed: int, index: int, card: Card) -> Content:
    fps = int(rng.choice((24, 25, 30), p=(0.4, 0.4, 0.2)))
    num_frames = round(float(rng.uniform(10, 15)) * fps)
    duration_s = num_frames / fps
    mood = music.song(seed, SILENT_MOODS + index if card.song is None else card.song)
    start_s = round(float(rng.uniform(0, mood.duration_s - duration_s)), 3)
    beats_s = music.beats(mood, start_s, start_s + duration_s)
    parts = music.sections(mood, start_s, start_s + duration_s)
    speaks = card.kind in ("voice", "voice_over")
    return Content(
        kind=card.kind,
        song=card.song,
        excerpt_start_s=start_s,
        fps=fps,
        num_frames=num_frames,
        scenes=staging.still(rng, mood, num_frames) if card.still else staging.scenes(rng, mood, parts, beats_s, fps, num_frames),
        still=card.still,
        beats_s=tuple(beats_s),
        syllables=voice.script(rng, float(rng.uniform(0.2, 1.5)), duration_s - float(rng.uniform(0.2, 1.5))) if speaks else (),
        ambience=str(rng.choice(sounds.AMBIENCES)) if card.kind == "ambience" else None,
        sound_seed=index,
    )


def _truth(seed: int, card: Card, listing: Listing, content: Content, layout: Layout, source: Plan | None) -> dict[str, Any]:
    head = {"post_id": listing.post_id, "fate": listing.fate, "track_id": listing.track_id}
    if listing.media is None:
        return {**head, "kind": "slideshow"}
    score = music.song(seed, card.song) if card.song is not None else None
    end_s = content.excerpt_start_s + content.duration_s
    lengths = [scene.last - scene.first for scene in content.scenes]
    speeds = [picture.motion_px_s(s, content.fps, list(content.beats_s), layout.box) for s in content.scenes]
    return {
        **head,
        "kind": content.kind,
        "song": content.song,
        "own_sound": card.own_sound,
        "excerpt_start_s": content.excerpt_start_s if score else None,
        "tempo_bpm": score.tempo_bpm if score else None,
        "mode": score.mode if score else None,
        "energy": score.energy if score else None,
        "beats_s": list(content.beats_s) if score else [],
        "sections": [asdict(s) for s in music.sections(score, content.excerpt_start_s, end_s)] if score else [],
        "speech": [list(span) for span in voice.spans(content.syllables)],
        "has_audio": content.kind != "mute",
        "ambience": content.ambience,
        "fps": content.fps,
        "num_frames": content.num_frames,
        "duration_s": content.duration_s,
        "width_px": layout.width_px,
        "height_px": layout.height_px,
        "cuts_s": [scene.first / content.fps for scene in content.scenes[1:]],
        "motion_px_s": round(float(np.average(speeds, weights=lengths)), 3),
        "box": asdict(layout.box),
        "border": layout.border,
        "border_rgb": list(layout.colour) if layout.border != "none" else None,
        "caption": layout.caption or None,
        "still": content.still,
        "duplicate_of": source.listing.post_id if source else None,
    }
