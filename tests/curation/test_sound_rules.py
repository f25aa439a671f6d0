"""What the filters of the sound answer: keep, leave to a person, or drop; and that singing is not dropped as speech."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from types import ModuleType

import numpy as np
import pytest
import soxr

from crawl.replica import music, voice
from curation.filters import ambience, clipping, held_pitch, loudness, silence, speech
from svmbench.media import ClipMedia
from svmbench.records import Verdict

HZ = 16_000
SPOKEN = {"held_share": 0.0, "tonal_share": 0.3}


def said(verdict: Verdict) -> str:
    assert not (verdict.keep and verdict.review)
    return f"{'keep' if verdict.keep else 'review' if verdict.review else 'drop'} {verdict.reason}"


@pytest.mark.parametrize(
    ("value", "others", "answer"),
    [
        (None, {}, "keep not_measured"),
        (0.0, {}, "keep music"),
        (0.03, SPOKEN, "keep music"),
        (0.031, SPOKEN, "review voice"),
        (0.49, SPOKEN, "review voice"),
        (0.5, SPOKEN, "drop speech"),
        (1.0, SPOKEN, "drop speech"),
        (1.0, {**SPOKEN, "held_share": 0.059}, "drop speech"),
        (1.0, {**SPOKEN, "held_share": 0.06}, "review voice"),
        (1.0, {**SPOKEN, "held_share": None}, "review voice"),
        (1.0, {"tonal_share": 0.3}, "review voice"),
        (1.0, {**SPOKEN, "tonal_share": 0.75}, "drop speech"),
        (1.0, {**SPOKEN, "tonal_share": 0.76}, "review voice"),
        (1.0, {"held_share": 0.0}, "drop speech"),  # nothing says that there is music
        (1.0, {}, "review voice"),
    ],
)
def test_speech(value: float | None, others: dict[str, float | None], answer: str) -> None:
    verdict = speech.judge(value, speech.Settings(), others)
    assert (said(verdict), verdict.value) == (answer, value)


@pytest.mark.parametrize(
    ("song", "doubtful", "spoken"),
    [
        ({"song_posts": 4, "shared_song_posts": 4}, "keep sung", "review voice"),
        ({"song_posts": 3, "shared_song_posts": 4}, "review voice", "drop speech"),
        ({"song_posts": 400, "shared_song_posts": 0}, "review voice", "drop speech"),
        ({"song_posts": 400, "shared_song_posts": None}, "review voice", "drop speech"),
        ({"song_posts": 400}, "review voice", "drop speech"),
        ({"song_posts": None, "shared_song_posts": 4}, "review voice", "drop speech"),
        ({"song_posts": 9, "shared_song_posts": 4, "song_speech_share": 0.2}, "keep sung", "review voice"),
        ({"song_posts": 9, "shared_song_posts": 4, "song_speech_share": None}, "keep sung", "review voice"),
        ({"song_posts": 9, "shared_song_posts": 4, "song_speech_share": 0.03}, "review voice", "drop speech"),
    ],
)
def test_a_voice_that_belongs_to_a_shared_song(song: dict[str, float | None], doubtful: str, spoken: str) -> None:
    """Nobody's voice-over is in the song's other clips; evident speech is never kept unseen."""
    assert said(speech.judge(0.2, speech.Settings(), {**SPOKEN, **song})) == doubtful
    assert said(speech.judge(0.9, speech.Settings(), {**SPOKEN, **song})) == spoken
    assert said(speech.judge(0.0, speech.Settings(), {**SPOKEN, **song})) == "keep music"


@pytest.mark.parametrize(
    ("value", "others", "answer"),
    [
        (None, {}, "keep not_measured"),
        (0.40, {"speech_share": 1.0}, "keep tonal"),
        (0.399, {"speech_share": 0.0}, "review noisy"),
        (0.1, {"speech_share": 0.0}, "review noisy"),
        (0.099, {"speech_share": 0.0}, "drop ambience"),
        (0.099, {"speech_share": 0.03}, "drop ambience"),
        (0.099, {"speech_share": 0.031}, "review noisy"),
        (0.0, {"speech_share": None}, "review noisy"),
        (0.0, {}, "review noisy"),
    ],
)
def test_ambience(value: float | None, others: dict[str, float | None], answer: str) -> None:
    verdict = ambience.judge(value, ambience.Settings(), others)
    assert (said(verdict), verdict.value) == (answer, value)


@pytest.mark.parametrize(
    ("module", "value", "answer"),
    [
        (silence, None, "drop no_audio"),
        (silence, 0.8, "keep sound"),
        (silence, 0.81, "drop silent"),
        (loudness, None, "keep not_measured"),
        (loudness, -50.0, "keep "),
        (loudness, -50.1, "drop too_quiet"),
        (clipping, None, "keep not_measured"),
        (clipping, 10.0, "keep "),
        (clipping, 10.1, "review clipped"),
        (held_pitch, None, "keep not_measured"),
        (held_pitch, 1.0, "keep "),
    ],
)
def test_the_others(module: ModuleType, value: float | None, answer: str) -> None:
    verdict = module.judge(value, module.Settings())
    assert (said(verdict), verdict.value) == (answer, value)


def test_thresholds_can_be_moved() -> None:
    assert said(silence.judge(0.3, silence.Settings(max_share=0.2))) == "drop silent"
    assert said(speech.judge(0.1, speech.Settings(max_share=0.05), SPOKEN)) == "drop speech"
    assert said(speech.judge(0.1, speech.Settings(review_share=0.1), SPOKEN)) == "keep music"
    assert said(speech.judge(0.9, speech.Settings(held_max=0.6), {"held_share": 0.5})) == "drop speech"
    assert said(ambience.judge(0.05, ambience.Settings(min_share=0.01), {"speech_share": 0.0})) == "review noisy"
    assert said(ambience.judge(0.05, ambience.Settings(keep_share=0.05), {"speech_share": 0.0})) == "keep tonal"
    assert said(loudness.judge(-60.0, loudness.Settings(min_lufs=None))) == "keep "
    assert said(clipping.judge(50.0, clipping.Settings(max_per_s=20.0))) == "drop clipped"
    assert said(clipping.judge(50.0, clipping.Settings(review_per_s=None))) == "keep "
    assert said(held_pitch.judge(0.5, held_pitch.Settings(max_share=0.4))) == "drop sung"


def glide(start_hz: float, end_hz: float, length_s: float) -> np.ndarray:
    """A voice-like wave with twenty harmonics whose pitch goes straight, in cents, from one to the other."""
    times = np.arange(round(length_s * HZ)) / HZ
    phase = 2 * np.pi * np.cumsum(start_hz * (end_hz / start_hz) ** (times / length_s)) / HZ
    return sum(np.sin(k * phase) / k for k in range(1, 21)).astype(np.float32) * np.float32(0.2)


@pytest.mark.parametrize("hz", [80, 110, 220, 437, 620])
def test_the_pitch_is_found(hz: float) -> None:
    cents_T, strength_T = held_pitch.pitch(glide(hz, hz, 1.0), np.ones(62, bool))
    np.testing.assert_allclose(cents_T[4:-4], 1200 * np.log2(hz / 100), atol=12)
    assert strength_T[4:-4].min() > 0.9


def test_only_what_is_wanted_is_looked_at_and_silence_has_no_pitch() -> None:
    wanted = np.arange(62) % 3 == 0
    everywhere, strength = held_pitch.pitch(glide(100, 300, 1.0), np.ones(62, bool))
    cents_T, strength_T = held_pitch.pitch(glide(100, 300, 1.0), wanted)
    np.testing.assert_array_equal(cents_T, np.where(wanted, everywhere, 0))
    np.testing.assert_array_equal(strength_T, np.where(wanted, strength, 0))
    assert not held_pitch.pitch(np.zeros(HZ, np.float32), np.ones(62, bool))[1].any()
    assert held_pitch.pitch(np.zeros(0, np.float32), np.ones(3, bool))[1].tolist() == [0, 0, 0]


def test_the_pitch_in_blocks_is_that_of_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = held_pitch.pitch(glide(100, 300, 1.0), np.ones(62, bool))
    monkeypatch.setattr(held_pitch, "BLOCK", 7)
    np.testing.assert_allclose(held_pitch.pitch(glide(100, 300, 1.0), np.ones(62, bool)), whole, rtol=1e-4)


def test_held_by_hand() -> None:
    """19 frames are 0.3 s. A semitone may be moved over in them, and no more; an unvoiced frame parts two runs."""
    voiced = np.ones(19, bool)
    assert held_pitch.held(np.linspace(500, 600, 19), voiced).all()
    assert not held_pitch.held(np.linspace(500, 601, 19), voiced).any()
    assert not held_pitch.held(np.zeros(18), voiced[:18]).any()
    parted = np.arange(60) != 19
    assert held_pitch.held(np.zeros(60), parted).tolist() == parted.tolist()
    assert held_pitch.held(np.zeros(30), np.arange(30) != 15).sum() == 0


def test_a_voice_on_notes_holds_its_pitch_and_a_speaking_one_does_not(
    monkeypatch: pytest.MonkeyPatch, sound_clip: Callable[..., ClipMedia]
) -> None:
    """All of both is taken for speech here; what silero hears is another test's."""
    monkeypatch.setattr(speech._silero, "probabilities", lambda wave: np.ones(-(-len(wave) // 512), np.float32))
    notes = np.concatenate([glide(hz, hz, 0.5) for hz in (220, 247, 262, 294, 262)])
    words = np.concatenate([glide(hz, hz * 2 ** (turn / 12), 0.3) for hz, turn in ((220, 4), (270, -5), (200, 3), (250, -6))])
    assert held_pitch.measure(sound_clip(notes, HZ), held_pitch.Settings()) > 0.6
    assert held_pitch.measure(sound_clip(words, HZ), held_pitch.Settings()) == 0


def test_without_speech_there_is_no_voice_to_hold_a_pitch(sound_clip: Callable[..., ClipMedia]) -> None:
    assert held_pitch.measure(sound_clip(np.zeros(HZ, np.float32), HZ), held_pitch.Settings()) is None
    assert held_pitch.measure(sound_clip(np.zeros(0, np.float32), HZ), held_pitch.Settings()) is None


def rules(clip: ClipMedia) -> list[str]:
    """What silence, speech and ambience say, with their defaults."""
    measures = {m.NAME_OF_MEASURE: m.measure(clip, m.Settings()) for m in (silence, speech, held_pitch, ambience)}
    first = silence.judge(measures["silent_share"], silence.Settings())
    return [said(first)] + [said(m.judge(measures[m.NAME_OF_MEASURE], m.Settings(), measures)) for m in (speech, ambience)]


def over(loud: np.ndarray, base: np.ndarray, level_db: float) -> np.ndarray:
    power = np.square(loud[: len(loud) // 512 * 512].reshape(-1, 512)).mean(axis=1)
    spoken = np.sqrt(power[power > power.max() / 1000].mean())
    return base + loud * (base.std() / spoken * 10 ** (level_db / 20))


REAL_MUSIC = "librosa+data/audio/147793__setuniman__sweet-waltz-0i-22mi.ogg"
REAL_SPEECH = ("librosa+data/audio/198-209-0000.ogg", "librosa+data/audio/5703-47212-0000.ogg")


@pytest.mark.parametrize("name", REAL_SPEECH)
@pytest.mark.parametrize("level_db", [0, 10])
def test_real_speech_at_the_level_of_real_music_is_not_kept(
    name: str, level_db: float, real_wave: Callable[..., np.ndarray], sound_clip: Callable[..., ClipMedia]
) -> None:
    base, talk = real_wave(REAL_MUSIC, HZ, 12), real_wave(name, HZ, 12)
    assert rules(sound_clip(base, HZ)) == ["keep sound", "keep music", "keep tonal"]
    assert rules(sound_clip(over(talk, base, level_db), HZ))[1] in ("review voice", "drop speech")
    quarter = np.concatenate([over(talk[: 3 * HZ], base[: 3 * HZ], level_db), base[3 * HZ :]])
    assert rules(sound_clip(quarter, HZ))[1] == "review voice"


@pytest.mark.parametrize("name", REAL_SPEECH)
def test_real_speech_alone_is_dropped(
    name: str, real_wave: Callable[..., np.ndarray], sound_clip: Callable[..., ClipMedia]
) -> None:
    assert rules(sound_clip(real_wave(name, HZ, 12), HZ))[1] == "drop speech"


def test_real_speech_whose_syllables_are_drawn_out_like_notes_is_left_to_a_person(
    real_wave: Callable[..., np.ndarray], sound_clip: Callable[..., ClipMedia]
) -> None:
    """The nearest thing to real singing under the real media: vowels of a real voice, each held for half a second."""
    talk = real_wave(REAL_SPEECH[1], HZ, 12)
    clip = sound_clip(talk, HZ)
    voiced = held_pitch.pitch(talk, np.repeat(speech.probability(clip) > 0.9, 2))[1]
    places = np.flatnonzero(voiced > 0.9)[::7][:16] * held_pitch.HOP
    sung = np.concatenate([_drawn_out(talk[place - 400 : place + 400], 0.5) for place in places if place > 400])
    verdict = rules(sound_clip(sung, HZ))[1]
    assert verdict in ("review voice", "keep music")


def _drawn_out(vowel: np.ndarray, length_s: float) -> np.ndarray:
    """A period of the vowel, again and again, with a soft beginning and end."""
    own = np.correlate(vowel, vowel, "full")[len(vowel) - 1 :]
    period = 40 + int(own[40:240].argmax())
    wave = np.tile(vowel[200 : 200 + period], 1 + round(length_s * HZ) // period)[: round(length_s * HZ)]
    return wave * np.minimum(1, np.minimum(np.arange(len(wave)), np.arange(len(wave))[::-1]) / 800)


def test_composed_songs_are_kept_and_a_voice_over_them_is_not(sound_clip: Callable[..., ClipMedia]) -> None:
    rng = np.random.default_rng(3)
    for number in (0, 5, 9):
        band = music.play(music.song(2026, number), 6.0, 12.0, HZ)
        assert rules(sound_clip(band, HZ)) == ["keep sound", "keep music", "keep tonal"]
        talk = soxr.resample(voice.speak(voice.script(rng, 0.0, 12.0), 12.0, rng), voice.HZ, HZ)[: len(band)]
        voiced = over(np.pad(talk, (0, len(band) - len(talk))), band, 5)
        assert rules(sound_clip(voiced, HZ))[1] in ("review voice", "drop speech")


def test_spans_are_silero_vads(real_wave: Callable[..., np.ndarray], sound_clip: Callable[..., ClipMedia]) -> None:
    """The same as the package makes of the same probabilities, also where chance makes them."""
    from silero_vad.utils_vad import get_speech_timestamps_from_probs

    rng = np.random.default_rng(0)
    for i in range(60):
        length = int(rng.integers(1, 8 * HZ))
        number = -(-length // 512)
        steps = np.cumsum(rng.normal(0, 0.25, number)) + 0.4 if i % 2 else rng.random(number)
        found = np.clip(steps, 0, 1).astype(np.float32)
        clip = sound_clip(np.zeros(length, np.float32), HZ)
        speech._of_clip[clip] = found
        expected = get_speech_timestamps_from_probs(found.tolist(), audio_length_samples=length)
        assert len(speech.spans(clip)) == len(expected)
        for (start_s, end_s), span in zip(speech.spans(clip), expected, strict=True):
            assert start_s == pytest.approx(span["start"] / HZ, abs=2 / HZ)
            assert end_s == pytest.approx(span["end"] / HZ, abs=2 / HZ)


def test_spans_lie_where_somebody_speaks_and_cost_no_second_run(
    real_wave: Callable[..., np.ndarray], sound_clip: Callable[..., ClipMedia], monkeypatch: pytest.MonkeyPatch
) -> None:
    runs: list[int] = []
    run = speech._silero.probabilities
    monkeypatch.setattr(speech._silero, "probabilities", lambda wave: (runs.append(len(wave)), run(wave))[1])
    talk = real_wave(REAL_SPEECH[0], HZ, 4.0)
    clip = sound_clip(np.concatenate([np.zeros(2 * HZ), talk, np.zeros(3 * HZ)]).astype(np.float32), HZ)
    share = speech.measure(clip, speech.Settings())
    spans = speech.spans(clip)
    assert held_pitch.measure(clip, held_pitch.Settings()) is not None
    assert runs == [9 * HZ]
    assert spans
    assert 2.0 <= spans[0][0] < 3.0
    assert 5.0 < spans[-1][1] <= 6.3
    assert all(a < b for a, b in spans)
    assert all(before[1] <= after[0] for before, after in itertools.pairwise(spans))
    assert sum(b - a for a, b in spans) == pytest.approx(9 * share, abs=1.0)
    assert speech.spans(sound_clip(np.zeros(0, np.float32), HZ)) == ()
    assert speech.spans(sound_clip(np.zeros(HZ, np.float32), HZ)) == ()
