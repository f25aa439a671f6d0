"""Probe a file, and decode it once: every consumer says beforehand what it needs, and one pass serves them all.

Axes: T time, H height, W width, C colour, N audio samples. Time 0 is the first picture; the sound is laid against it.
What can be told about a bad file is the reason of its BadMedia: 'unreadable' (no container that we know), 'no_video' (no moving
picture in it), 'no_decoder' (a codec that this PyAV does not have), 'no_frames' (nothing of the picture can be decoded).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from svmbench.errors import BadMedia, MissingExtra
from svmbench.records import Box

try:
    import av
    import cv2
    from av.video.reformatter import VideoReformatter

    from svmbench.pictures import FrameNeed, Frames, Picture, Taker
    from svmbench.sound import Sound, resampled
except ImportError as error:
    raise MissingExtra("decoding needs PyAV, OpenCV and soxr; pip install 'svmbench[curate]'") from error

av.logging.restore_default_callback()  # PyAV's own callback takes the GIL inside decoders and can dead-lock
av.logging.set_libav_level(av.logging.PANIC)
cv2.setNumThreads(1)  # one process a core

TRUNCATED_BELOW, TRUNCATED_BY_S = 0.9, 0.3  # ours: the decoded picture is this short of what is claimed


@dataclass(frozen=True, slots=True, kw_only=True)
class Needs:
    """What one consumer wants from the decoder."""

    frames: tuple[FrameNeed, ...] = ()
    audio_hz: tuple[int, ...] = ()


def union(needs: Iterable[Needs]) -> Needs:
    """What several consumers want, each thing once, in the order in which it was first asked for."""
    needs = list(needs)
    return Needs(
        frames=tuple(dict.fromkeys(f for n in needs for f in n.frames)),
        audio_hz=tuple(dict.fromkeys(hz for n in needs for hz in n.audio_hz)),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """What a file is, read from its container and checked while decoding.

    duration_s is the decoded length of the picture where it was decoded, and container_s what the container claims of it (None if
    it says nothing). width_px and height_px are as shown, after the rotation tag; rotation_deg is that tag, counter-clockwise.
    audio_s: decoded length of the sound. truncated: clearly less was decoded than claimed, or some of the picture is corrupt.
    """

    width_px: int
    height_px: int
    fps: float | None
    duration_s: float
    container_s: float | None
    video_codec: str | None
    audio_codec: str | None
    audio_s: float
    rotation_deg: int
    truncated: bool


class ClipMedia:
    """One decoded clip as filters and features see it. Made by `decode`; holds only what was needed, small enough for memory.

    probe, start_s, end_s, box as attributes. frames(need) -> Frames cut to the box; wave(hz) -> float32 mono of shape (N,) whose
    first sample belongs to start_s, empty where the clip has no sound; it is not padded at the end. Asking for something that was
    not declared in the needs is a programming error (KeyError).
    """

    def __init__(
        self,
        *,
        probe: Probe,
        start_s: float,
        end_s: float,
        box: Box,
        frames: Mapping[FrameNeed, Frames],
        waves: Mapping[int, np.ndarray],
    ) -> None:
        self.probe, self.start_s, self.end_s, self.box = probe, start_s, end_s, box
        self._frames, self._waves = dict(frames), dict(waves)

    def frames(self, need: FrameNeed) -> Frames:
        found = self._frames[need]
        cut = self._cut(found.images)
        return replace(found, images=found.images[cut], next_images=None if found.next_images is None else found.next_images[cut])

    def _cut(self, images: np.ndarray) -> tuple[slice, slice, slice]:
        """The box in the pixels of these pictures, at least one pixel each way."""
        slices = [slice(None)]
        for size, whole, low, length in (
            (images.shape[1], self.probe.height_px, self.box.top_px, self.box.height_px),
            (images.shape[2], self.probe.width_px, self.box.left_px, self.box.width_px),
        ):
            first = min(round(low * size / whole), size - 1)
            slices.append(slice(first, max(first + 1, round((low + length) * size / whole))))
        return slices[0], slices[1], slices[2]

    def wave(self, hz: int) -> np.ndarray:
        return self._waves[hz]

    def with_box(self, box: Box, *, without: Iterable[FrameNeed] = ()) -> ClipMedia:
        """The same clip seen inside another box; the pictures of `without` are let go."""
        gone = set(without)
        kept = {need: frames for need, frames in self._frames.items() if need not in gone}
        return ClipMedia(probe=self.probe, start_s=self.start_s, end_s=self.end_s, box=box, frames=kept, waves=self._waves)

    @property
    def duration_s(self) -> float:
        return self.end_s - self.start_s


def probe(path: Path | str) -> Probe:
    """What the container says and the first frame shows; nothing more is decoded, so duration_s is a claim and may lie."""
    with _opened(path) as container:
        reader = _Reader(container, max_s=0.0)
        reader.read((), want_sound=False)
        claim = reader.claim_s
        audio = reader.audio
        length = (
            float(audio.duration * audio.time_base) if audio is not None and audio.duration and audio.time_base else claim or 0.0
        )
        return replace(reader.probe(), duration_s=claim or 0.0, audio_s=length if audio is not None else 0.0, truncated=False)


def decode(path: Path | str, needs: Needs, max_s: float) -> ClipMedia:
    """The beginning of a video, at most max_s of it, decoded in one pass for all needs; BadMedia where that cannot be done.

    The box is the whole picture. Corrupt packets are left out and mark the clip as truncated; sound that cannot be decoded is
    no sound.
    """
    with _opened(path) as container:
        reader = _Reader(container, max_s)
        takers = [Taker(need, max_s) for need in needs.frames]
        reader.read(takers, want_sound=bool(needs.audio_hz))
        found = reader.probe()
    end_s = min(found.duration_s, max_s)
    rate, wave = reader.sound.laid_out(reader.origin_s, end_s)
    return ClipMedia(
        probe=replace(found, audio_s=len(wave) / rate),
        start_s=0.0,
        end_s=end_s,
        box=Box(left_px=0, top_px=0, width_px=found.width_px, height_px=found.height_px),
        frames={taker.need: taker.frames() for taker in takers},
        waves={hz: resampled(wave, rate, hz) for hz in needs.audio_hz},
    )


def _opened(path: Path | str) -> Any:
    if not Path(path).is_file():
        raise BadMedia("unreadable", f"{path} is not a file")
    try:
        return av.open(str(path), metadata_errors="ignore")
    except (av.error.FFmpegError, OSError) as error:
        raise BadMedia("unreadable", _line(error)) from error


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:160]


class _Reader:
    """One pass over an open container."""

    def __init__(self, container: Any, max_s: float) -> None:
        self.container, self.max_s = container, max_s
        films = [s for s in container.streams.video if not s.disposition & av.stream.Disposition.attached_pic]
        if not films:
            raise BadMedia("no_video", f"streams: {', '.join(s.type for s in container.streams) or 'none'}")
        if all(s.codec_context is None for s in films):
            raise BadMedia("no_decoder", "no decoder for the picture")
        self.video = next(s for s in films if s.codec_context is not None)
        self.audio = next((s for s in container.streams.audio if s.codec_context is not None), None)
        self.video.codec_context.thread_type = "NONE"
        self.video.codec_context.thread_count = 1
        self.claim_s = self._claim()
        self.sound, self.reformatter = Sound(), VideoReformatter()
        self.origin_s = self.last_s = self.last_length_s = 0.0
        self.num_frames, self.num_bad, self.detail = 0, 0, "no picture in the stream"
        self.rotation_deg, self.size_px, self.done = 0, (0, 0), False

    def _claim(self) -> float | None:
        if self.video.duration and self.video.time_base:
            return float(self.video.duration * self.video.time_base)
        return float(self.container.duration) / av.time_base if self.container.duration else None

    def read(self, takers: Iterable[Taker], *, want_sound: bool) -> None:
        """Demuxes until both streams have passed max_s; a container that breaks off ends the pass."""
        sounding = self.audio is not None and want_sound
        streams = [self.video, self.audio] if sounding else [self.video]
        try:
            for packet in self.container.demux(streams):
                if packet.stream is self.video:
                    if not self.done:
                        self._picture(packet, takers)
                elif sounding:
                    sounding = self._hear(packet)
                if self.done and not sounding:
                    break
        except (av.error.FFmpegError, OSError) as error:
            self.num_bad += 1  # also where a damaged size asks for more memory than there is
            self.detail = _line(error)
        if not self.num_frames:
            codec = self.video.codec_context.name
            raise BadMedia("no_frames", f"{self.num_bad} packets of {codec} cannot be decoded; {self.detail}")

    def _picture(self, packet: Any, takers: Iterable[Taker]) -> None:
        try:
            frames = packet.decode()
        except av.error.MemoryError as error:
            raise MemoryError(_line(error)) from error
        except av.error.FFmpegError as error:
            self.num_bad += 1
            self.detail = _line(error)
            return
        for frame in frames:
            at_s = self._time(frame)
            if self.num_frames and at_s >= self.max_s:
                self.done = True
                return
            self.num_frames += 1
            self.num_bad += bool(frame.is_corrupt)
            self.last_s = at_s
            picture = Picture(frame, self.rotation_deg, self.reformatter)
            for taker in takers:
                taker.offer(at_s, picture)

    def _time(self, frame: Any) -> float:
        """Seconds since the first frame, always growing: a frame without a time, or an earlier one, follows at the usual rate."""
        usual_s = float(1 / self.video.guessed_rate) if self.video.guessed_rate else 1 / 25
        if not self.num_frames:
            self.origin_s = frame.time or 0.0
            self.rotation_deg = int(round(frame.rotation / 90) * 90)
            turned = self.rotation_deg % 180 != 0
            self.size_px = (frame.height, frame.width) if turned else (frame.width, frame.height)
            self.last_length_s = usual_s
            return 0.0
        at_s = frame.time - self.origin_s if frame.time is not None else -1.0
        if at_s <= self.last_s:
            return self.last_s + usual_s
        self.last_length_s = at_s - self.last_s
        return at_s

    def _hear(self, packet: Any) -> bool:
        """Decodes a packet of sound; False when the sound has gone past what is wanted."""
        try:
            for frame in packet.decode():
                self.sound.add(frame)
        except av.error.MemoryError as error:
            raise MemoryError(_line(error)) from error
        except av.error.FFmpegError:
            pass  # a hole in the sound
        return self.sound.end_s < (self.origin_s + self.max_s if self.num_frames else float("inf"))

    def probe(self) -> Probe:
        length_s = round(self.last_s + min(self.last_length_s, 1.0), 6)
        wanted_s = min(self.claim_s, self.max_s) if self.claim_s else 0.0
        rate = self.video.average_rate or self.video.guessed_rate
        fps = self.num_frames / length_s if self.num_frames > 1 else float(rate) if rate else None
        return Probe(
            width_px=self.size_px[0],
            height_px=self.size_px[1],
            fps=fps,
            duration_s=length_s,
            container_s=self.claim_s,
            video_codec=self.video.codec_context.codec.canonical_name,
            audio_codec=self.audio.codec_context.codec.canonical_name if self.audio else None,
            audio_s=0.0,
            rotation_deg=self.rotation_deg,
            truncated=length_s < min(TRUNCATED_BELOW * wanted_s, wanted_s - TRUNCATED_BY_S) or self.num_bad > 0,
        )
