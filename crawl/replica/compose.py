"""Composed posts: the plan of a catalogue from a seed, and the rendering of one post.

Hidden causes tie music to picture, with noise: tempo -> cut rate and speed of motion; mode and energy -> colour and brightness;
sections -> scene changes. Each post is drawn from default_rng([seed, index]), each song from default_rng([seed, 1, song]).

Truth, one mapping a post (times in seconds from the start of the post; lengths in coded pixels; None where it does not apply):
    post_id, fate, kind            kind: 'music', 'voice_over' (over music), 'voice' (alone), 'ambience', 'mute', 'slideshow'
    track_id, song                 song: number of the song, None without music
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

import hashlib
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from crawl.replica import music, picture, sounds, staging, voice
from crawl.replica.catalogue import Listing
from crawl.replica.picture import Layout, Scene

VERSION = 1  # of everything that is composed: a new one makes old catalogues be composed anew


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
    """One post, ready to be rendered; plain data. content is None for a slideshow. crf: x264's quality, lower is better."""

    seed: int
    listing: Listing
    truth: dict[str, Any]
    content: Content | None
    layout: Layout
    hz: int
    channels: int
    crf: int


