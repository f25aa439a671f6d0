"""Time: sound stays with its picture in every container, and what is missing from a file is noticed."""

from __future__ import annotations

import re
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import soxr

from svmbench import media
from svmbench.errors import BadMedia
from svmbench.media import FrameNeed, Needs
from svmbench.sound import Sound

HZ, FPS, LENGTH_S = 48_000, 25, 3
EVERY = FrameNeed(fps=FPS)
CLICK = 0.7 * np.sin(np.arange(480) * 0.9) * np.hanning(480)  # 10 ms at 48 kHz
Film = Callable[..., Path]


def clicks(first_s: float) -> np.ndarray:
    """A click at every whole second of the picture, seen from a sound that begins first_s after it."""
    wave = np.zeros(HZ * LENGTH_S)
    for second in range(1, LENGTH_S):
        at = round((second - first_s) * HZ)
        wave[at : at + len(CLICK)] += CLICK[: len(wave) - at]
    return wave


def clapper(path: Path, codecs: tuple[str, str], picture_at_s: float, sound_at_s: float) -> Path:
    """A flash and a click at every second; the container says when the picture and the sound begin. B-frames where there are."""
    with av.open(str(path), "w") as container:
        film: Any = container.add_stream(codecs[0], rate=FPS)
        film.width, film.height, film.pix_fmt = 64, 48, "yuv420p"
        film.codec_context.time_base = Fraction(1, 1000)
        sound: Any = container.add_stream(codecs[1], rate=HZ, layout="mono")
        sound.codec_context.open()
        packets = []
        for i in range(FPS * LENGTH_S):
            level = 235 if i and i % FPS == 0 else 30
            frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), level, np.uint8), format="rgb24")
            frame.pts, frame.time_base = round(1000 * (i / FPS + picture_at_s)), Fraction(1, 1000)
            packets += film.encode(frame)
        resampler = av.AudioResampler(format=sound.codec_context.format.name, layout="mono", rate=HZ)
        wave, size = clicks(sound_at_s - picture_at_s), sound.codec_context.frame_size or 1024
        for start in range(0, len(wave), size):
            piece = av.AudioFrame.from_ndarray(wave[None, start : start + size].astype(np.float32), "fltp", "mono")
            piece.rate, piece.time_base, piece.pts = HZ, Fraction(1, HZ), start + round(sound_at_s * HZ)
            for part in resampler.resample(piece):
                packets += sound.encode(part)
        packets += film.encode() + sound.encode()
        for packet in sorted(packets, key=lambda p: p.dts * p.time_base):
            container.mux(packet)
    return path


KINDS = [  # with lossless sound the first sample is that of the wave; the others put some silence before it, and MPEG-TS shows it
    ("mp4", "libx264", "flac", 0.001), ("mp4", "libx264", "aac", 0.03), ("mkv", "libx264", "flac", 0.001),
    ("webm", "libvpx-vp9", "libopus", 0.001), ("ts", "libx264", "aac", 0.03), ("mov", "mpeg4", "pcm_s16le", 0.001),
]  # fmt: skip


@pytest.mark.parametrize(("picture_at_s", "sound_at_s"), [(0.0, 0.0), (0.0, 0.037), (0.037, 0.0), (0.523, 0.0), (0.0, 0.611)])
@pytest.mark.parametrize(("kind", "film_codec", "sound_codec", "ahead_s"), KINDS)
def test_flash_and_click_stay_within_a_millisecond(
    tmp_path: Path, kind: str, film_codec: str, sound_codec: str, ahead_s: float, picture_at_s: float, sound_at_s: float
) -> None:
    path = clapper(tmp_path / f"clap.{kind}", (film_codec, sound_codec), picture_at_s, sound_at_s)
    hz = 16_000
    clip = media.decode(path, Needs(frames=(EVERY,), audio_hz=(hz,)), 60)
    frames = clip.frames(EVERY)
    flashes_s = frames.times_s_T[frames.images.mean(axis=(1, 2)) > 130]
    assert flashes_s == pytest.approx([1.0, 2.0], abs=1e-6)
    click = soxr.resample(CLICK, HZ, hz)
    for flash_s in flashes_s:
        first = round((flash_s - 0.1) * hz)
        near = np.correlate(clip.wave(hz)[first : first + hz // 4], click, "valid")
        assert (first + near.argmax()) / hz == pytest.approx(flash_s, abs=0.001)
    assert clip.probe.audio_offset_s == pytest.approx(sound_at_s - picture_at_s, abs=ahead_s)
    assert not clip.probe.truncated
    assert clip.duration_s == pytest.approx(LENGTH_S, abs=0.01)


def test_what_an_edit_list_cuts_off_is_neither_seen_nor_heard(tmp_path: Path) -> None:
    """Time stamps 0.4 s before zero become an edit list in MP4: the flash of 1 s is shown at 0.6 s, with its click."""
    path = clapper(tmp_path / "whole.mp4", ("libx264", "flac"), 0.0, 0.037)
    with av.open(str(path)) as source, av.open(str(tmp_path / "cut.mp4"), "w", options={"avoid_negative_ts": "disabled"}) as sink:
        streams = {s.index: sink.add_stream_from_template(s) for s in source.streams}
        for packet in source.demux():
            if packet.dts is not None and packet.pts is not None:
                shift = round(0.4 / packet.time_base)
                packet.pts, packet.dts, packet.stream = packet.pts - shift, packet.dts - shift, streams[packet.stream_index]
                sink.mux(packet)
    clip = media.decode(tmp_path / "cut.mp4", Needs(frames=(EVERY,), audio_hz=(HZ,)), 60)
    frames = clip.frames(EVERY)
    assert frames.times_s_T[frames.images.mean(axis=(1, 2)) > 130] == pytest.approx([0.6, 1.6], abs=0.001)
    assert np.abs(clip.wave(HZ)[: round(1.5 * HZ)]).argmax() / HZ == pytest.approx(0.605, abs=0.001)  # the middle of the click
    assert clip.duration_s == pytest.approx(LENGTH_S - 0.4, abs=0.05)
    assert not clip.probe.truncated


class Told:
    """A frame of sound as the decoder gives it."""

    def __init__(self, time_s: float, samples: int = 1024) -> None:
        self.frame = av.AudioFrame.from_ndarray(np.full((1, samples), 0.5, np.float32), "fltp", "mono")
        self.frame.rate, self.frame.time_base = HZ, Fraction(1, 1_000_000)
        self.frame.pts = round(time_s * 1e6)


def test_jitter_is_smoothed_and_a_lost_packet_is_a_hole() -> None:
    rng, step_s = np.random.default_rng(1), 1024 / HZ
    sound = Sound(10.0)
    for i in range(200):
        if i != 120:  # one packet is lost: 21 ms
            sound.add(Told(0.5 + i * step_s + rng.uniform(-0.004, 0.004)).frame)
    assert sound.start_s == pytest.approx(0.5, abs=0.001)
    rate, wave = sound.laid_out(0.0, 10.0)
    hole = np.flatnonzero(wave[round(0.5 * rate) + 100 :] == 0) / rate + 0.5 + 100 / rate
    assert hole[0] == pytest.approx(0.5 + 120 * step_s, abs=0.001)
    assert len(hole) / rate == pytest.approx(step_s, abs=0.002)
    assert len(wave) / rate == pytest.approx(0.5 + 200 * step_s, abs=0.001)


def test_one_wrong_time_stamp_moves_nothing() -> None:
    sound, step_s = Sound(10.0), 1024 / HZ
    for i in range(100):
        sound.add(Told(i * step_s + (0.2 if i == 50 else 0.0)).frame)
    assert len(sound.runs()) == 1
    assert len(sound.laid_out(0.0, 10.0)[1]) == 100 * 1024


@pytest.mark.parametrize("kind", ["mkv", "ts", "flv", "avi", "mp4"])
@pytest.mark.parametrize("damage", ["zeroed", "noise", "missing"])
def test_damage_in_the_middle_is_never_silent(film: Film, tmp_path: Path, kind: str, damage: str) -> None:
    rng = np.random.default_rng(3)
    texture = rng.integers(0, 255, (64, 240, 3), np.uint8)
    frames = [texture[:, i : i + 96] for i in range(140)]
    whole = film(tmp_path / f"whole.{kind}", frames, fps=20, wave=rng.normal(0, 0.1, 110_000), hz=16_000).read_bytes()
    assert not media.decode(tmp_path / f"whole.{kind}", Needs(audio_hz=(16_000,)), 60).probe.truncated
    first, size = int(len(whole) * 0.45), int(len(whole) * 0.08)
    put = {"zeroed": bytes(size), "noise": rng.bytes(size), "missing": b""}[damage]
    (tmp_path / f"hurt.{kind}").write_bytes(whole[:first] + put + whole[first + size :])
    if (kind, damage) == ("mp4", "missing"):  # its index has moved
        with pytest.raises(BadMedia, match="unreadable"):
            media.decode(tmp_path / "hurt.mp4", Needs(), 60)
    else:
        assert media.decode(tmp_path / f"hurt.{kind}", Needs(audio_hz=(16_000,)), 60).probe.truncated


def test_a_claim_that_lies_is_told(film: Film, tmp_path: Path) -> None:
    """The container claims ten times what is there; and one that claims nothing is whole."""
    path = film(tmp_path / "claims.mkv", [np.full((48, 64, 3), 9 * i, np.uint8) for i in range(25)], fps=10)
    whole = path.read_bytes()
    assert not media.decode(path, Needs(), 60).probe.truncated
    tag = re.search(rb"00:00:02\.5\d+", whole)
    assert tag
    path.write_bytes(whole[: tag.start()] + b"00:00:25" + whole[tag.start() + 8 :])
    found = media.decode(path, Needs(), 60).probe
    assert found.truncated
    assert (found.duration_s, found.container_s) == (pytest.approx(2.5), pytest.approx(25.5, abs=0.1))
    assert not media.decode(path, Needs(), 2.0).probe.truncated  # as much as was asked for is there


def test_still_stretches_of_a_variable_rate_are_no_damage(tmp_path: Path) -> None:
    """Frames stand for as long as the file says, in Matroska too where the rate varies."""
    for kind in ("mp4", "mkv"):
        with av.open(str(tmp_path / f"slow.{kind}"), "w") as container:
            film: Any = container.add_stream("libx264", rate=25, options={"preset": "ultrafast"})
            film.width, film.height, film.pix_fmt = 64, 48, "yuv420p"
            film.codec_context.time_base = Fraction(1, 1000)
            at_ms = 0
            for i in range(60):
                frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), 3 * i, np.uint8), format="rgb24")
                frame.pts, frame.time_base = at_ms, Fraction(1, 1000)
                at_ms += 2000 if i in (20, 40) else 40 + 25 * (i % 3)
                container.mux(film.encode(frame))
            container.mux(film.encode())
        found = media.decode(tmp_path / f"slow.{kind}", Needs(frames=(EVERY,)), 60)
        assert not found.probe.truncated, kind
        assert np.diff(found.frames(EVERY).times_s_T).max() == pytest.approx(2.0)
