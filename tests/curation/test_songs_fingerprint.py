"""Fingerprints: words equal to Chromaprint's library, the sweep, and the peaks beside what they are worked out to be."""

from __future__ import annotations

import ctypes
import ctypes.util

import numpy as np
import pytest
import soxr

from crawl.replica import music
from curation import fingerprint, landmarks

HZ = fingerprint.HZ


@pytest.fixture(scope="module")
def library(absent):
    """library(wave of HZ): the raw fingerprint that libchromaprint gives."""
    place = ctypes.util.find_library("chromaprint")
    if not place:
        absent("libchromaprint is not installed: apt install libchromaprint1")
    lib = ctypes.CDLL(place)
    lib.chromaprint_new.restype = ctypes.c_void_p

    def words(wave: np.ndarray) -> np.ndarray:
        pcm = np.clip(np.round(wave * 32767), -32768, 32767).astype(np.int16)
        context, found, size = ctypes.c_void_p(lib.chromaprint_new(1)), ctypes.POINTER(ctypes.c_uint32)(), ctypes.c_int()
        assert lib.chromaprint_start(context, HZ, 1)
        assert lib.chromaprint_feed(context, pcm.ctypes.data_as(ctypes.c_void_p), len(pcm))
        assert lib.chromaprint_finish(context)
        lib.chromaprint_get_raw_fingerprint(context, ctypes.byref(found), ctypes.byref(size))
        copied = np.array(found[: size.value], np.uint32)
        lib.chromaprint_dealloc(found)
        lib.chromaprint_free(context)
        return copied

    return words


@pytest.fixture(scope="module")
def wave() -> np.ndarray:
    return music.play(music.song(31, 4), 10.0, 15.0, HZ)


def wrong_bits(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.bitwise_count(a ^ b).mean()) / 32


@pytest.mark.parametrize("kind", ["song", "another", "noise", "tone", "silence", "short"])
def test_the_words_are_the_librarys(kind, library, wave):
    rng = np.random.default_rng(2)
    sound = {
        "song": wave,
        "another": music.play(music.song(31, 9), 0.0, 12.3, HZ),
        "noise": (0.1 * rng.standard_normal(6 * HZ)).astype(np.float32),
        "tone": 0.2 * np.sin(np.arange(5 * HZ) * 0.2).astype(np.float32),
        "silence": np.zeros(4 * HZ, np.float32),
        "short": wave[: 28 * HZ // 10],
    }[kind]
    ours, theirs = fingerprint.words(sound)[fingerprint.NORMAL], library(sound)
    assert len(ours) == len(theirs)
    assert len(ours) > 0
    assert wrong_bits(ours, theirs) < 0.002  # what rounding to 16 bits may turn
    assert (ours == theirs).mean() > 0.97


def test_the_librarys_words_of_real_music(library, real_wave):
    sound = real_wave("librosa+data/audio/Kevin_MacLeod_-_Vibe_Ace.ogg", HZ, 20.0)
    assert wrong_bits(fingerprint.words(sound)[fingerprint.NORMAL], library(sound)) < 0.002


@pytest.mark.parametrize("place", [0, 3, 9, 12])
def test_the_sweep_is_near_to_the_words_of_the_resampled_wave(place, wave):
    speed = fingerprint.SPEEDS[place]
    played = np.asarray(soxr.resample(wave, HZ * speed, HZ), np.float32)
    every, exact = fingerprint.words(wave), fingerprint.words(played, (1.0,))[0]
    assert abs(len(every[place]) - len(exact)) <= 1
    sizes = [min(len(every[i]), len(exact)) for i in (place, fingerprint.NORMAL)]
    swept, bare = (wrong_bits(every[i][:n], exact[:n]) for i, n in zip((place, fingerprint.NORMAL), sizes, strict=True))
    assert swept < 0.25
    assert bare > 0.3


def test_too_little_sound_has_no_words_and_nothing_is_packed(sound_clip):
    for seconds in (0.0, 0.1, 1.0, 2.6):
        assert [len(one) for one in fingerprint.words(np.ones(int(seconds * HZ), np.float32), (1.0,))] == [0]
    assert fingerprint.of(sound_clip(np.zeros(10 * HZ), HZ)) == (b"", b"")
    assert fingerprint.of(sound_clip(np.zeros(0), HZ)) == (b"", b"")
    assert [len(one) for one in fingerprint.unpack(b"")] == [0] * len(fingerprint.SPEEDS)


@pytest.mark.parametrize("value", [np.nan, np.inf, 3e38])
def test_one_odd_sample_does_not_cost_the_clip_its_song(value, sound_clip, wave):
    odd, zero = wave.copy(), wave.copy()
    odd[100], zero[100] = value, 0
    assert fingerprint.of(sound_clip(odd, HZ)) == fingerprint.of(sound_clip(zero, HZ)) != (b"", b"")


def test_what_is_packed_can_be_unpacked_and_only_the_first_minute_is_known(sound_clip, wave):
    words, peaks = fingerprint.of(sound_clip(wave, HZ))
    for one, other in zip(fingerprint.unpack(words), fingerprint.words(wave), strict=True):
        assert np.array_equal(one, other)
    assert np.array_equal(landmarks.unpack(peaks), landmarks.peaks(wave))
    assert len(words) + len(peaks) < 8_000
    minute = np.tile(wave, 4)
    assert fingerprint.of(sound_clip(np.concatenate([minute, wave]), HZ)) == fingerprint.of(sound_clip(minute, HZ))


def notes(pitches: list[float], starts_s: list[float], length_s: float = 12.0) -> np.ndarray:
    """Short tones of these MIDI numbers."""
    t = np.arange(int(length_s * HZ)) / HZ
    found = np.zeros(len(t))
    for pitch, start_s in zip(pitches, starts_s, strict=True):
        since = np.clip(t - start_s, 0, None)
        found += (
            (t >= start_s)
            * np.exp(-since / 0.1)
            * np.minimum(since / 0.01, 1)
            * np.sin(2 * np.pi * 440 * 2 ** ((pitch - 69) / 12) * since)
        )
    return (0.2 * found).astype(np.float32)


def test_peaks_stand_where_the_notes_are():
    pitches, starts_s = [57, 64, 73, 81], [1.0, 3.0, 5.0, 7.0]
    found = landmarks.peaks(notes(pitches, starts_s))
    for pitch, start_s in zip(pitches, starts_s, strict=True):
        bin_ = 3 * (pitch - 45)  # 110 Hz is MIDI 45; three bins a semitone
        at = (start_s * HZ - landmarks.FRAME / 2) / landmarks.HOP
        near = found[
            (np.abs(found["pitch"] / landmarks.UNITS - bin_) < 0.5) & (found["frame"] > at - 4) & (found["frame"] < at + 12)
        ]
        assert len(near)
    noise = np.random.default_rng(0).standard_normal(9 * HZ).astype(np.float32)
    per_second = np.bincount(landmarks.peaks(noise)["frame"].astype(int) * landmarks.HOP // HZ)
    assert per_second.max() <= landmarks.A_SECOND


@pytest.mark.parametrize(("speed", "shift"), [(1.0, 0.0), (1.1, 4.95), (0.92, -4.33)])
def test_a_clip_is_laid_over_the_other_where_it_belongs(speed, shift, wave):
    later_s = 2.0
    played = np.asarray(soxr.resample(wave[int(later_s * HZ) :], HZ * speed, HZ), np.float32)
    lay = landmarks.lay(landmarks.peaks(played), landmarks.peaks(wave), shift + 0.6)
    assert lay.shift == pytest.approx(shift, abs=0.15)
    assert lay.tempo == pytest.approx(speed, rel=0.006)
    assert lay.offset * landmarks.HOP / HZ == pytest.approx(later_s, abs=0.1)
    assert lay.share > 0.6


def test_nothing_can_be_laid_without_peaks(wave):
    none, some = landmarks.peaks(np.zeros(HZ, np.float32)), landmarks.peaks(wave)
    assert landmarks.lay(none, some, 0.0) is None
    assert landmarks.lay(some, none, 0.0) is None
    assert len(landmarks.keys(none, ranks=24, fan=8, around=1).key_K) == 0


def test_keys_stay_the_same_at_another_pitch_but_for_the_place():
    """Whole semitones and the same times: the shape of every key is kept, and its place moves by what was added."""
    moved = landmarks.peaks(notes([57, 61, 64, 69, 66], [1.0, 1.3, 1.7, 2.0, 2.5], 4.0))
    again = moved.copy()
    again["pitch"] += 2 * landmarks.PLACES * landmarks.UNITS
    one, other = (landmarks.keys(p, ranks=24, fan=3, around=0) for p in (moved, again))
    assert len(one.key_K) > 0
    assert np.array_equal(one.key_K + 2, other.key_K)
    assert np.allclose(other.pitch_K - one.pitch_K, 2 * landmarks.PLACES)
